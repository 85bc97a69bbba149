"""The wording of argument errors."""

import unicodedata

import numpy as np
import pytest

from imgcls import _checks
from imgcls.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "hint"),
    [("stong", " Did you mean 'strong'?"), ("STRONG", " Did you mean 'strong'?"), ("xyz", ""), ("", "")],
)
def test_did_you_mean(name, hint):
    assert _checks.did_you_mean(name, ["light", "strong"]) == hint


@pytest.mark.parametrize("name", ["K\u00e4fer", "\u00fc", "\ud55c\uad6d", "\u00c4 \u00df"])
def test_a_name_that_differs_in_its_unicode_form_alone_is_told_apart(name):
    apart = unicodedata.normalize("NFD", name)
    assert apart != name
    assert _checks.did_you_mean(name, ["light", apart]) == (
        f" It is {apart!a} in another Unicode form, {name!a}: rename one of them, or bring both into one form by unicodedata.normalize('NFC', name)."
    )
    assert ascii(name) in _checks.did_you_mean(apart, iter([name, name.lower()]))
    assert _checks.did_you_mean("K\u00e4ferr", ["K\u00e4fer"]) == " Did you mean 'K\u00e4fer'?"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("light", None),
        ("lihgt", "policy='lihgt' is not known. Did you mean 'light'? Accepted: light, strong."),
        (7, "policy=7 is not known. Accepted: light, strong."),
        ([], "policy=[] is not known. Accepted: light, strong."),
    ],
)
def test_unknown_name(value, words):
    assert _checks.unknown_name("policy", value, ("light", "strong")) == words


@pytest.mark.parametrize("value", [1, 5, np.int64(3), "auto", None])
def test_a_whole_number_or_word_is_accepted(value):
    assert _checks.not_whole("epochs", value, names=("auto", "None")) is None


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "many", np.float32(2), np.nan])
def test_what_is_no_whole_number_is_worded(value):
    start = f"epochs={value!r} is not accepted. Accepted: a whole number of at least 1"
    assert _checks.not_whole("epochs", value) == f"{start}."
    assert _checks.not_whole("epochs", value, names=("auto", "None")) == f"{start}, or 'auto', or None."
    assert _checks.not_whole("epochs", None) == "epochs=None is not accepted. Accepted: a whole number of at least 1."


@pytest.mark.parametrize("value", [(1, 5), [224, 160], (np.int64(3), 3)])
def test_a_size_is_accepted(value):
    assert _checks.not_size("size", value) is None
    assert _checks.not_size("size", value, side=True) is None


@pytest.mark.parametrize(
    "value", [(4,), (4, 4, 3), (0, 4), (4, -1), (4, 2.5), (True, 4), "44", ("4", "4"), None, 4.5, 0]
)
def test_what_is_no_size_is_worded(value):
    start = f"size={value!r} is not accepted. Accepted: "
    assert _checks.not_size("size", value) == f"{start}(height, width), whole numbers from 1."
    assert _checks.not_size("size", value, side=True) == f"{start}a whole number of at least 1, or (height, width)."


def test_one_side_alone_is_a_size_where_it_is_asked_for():
    assert _checks.not_size("size", 224, side=True) is None
    assert _checks.not_size("size", 224) == "size=224 is not accepted. Accepted: (height, width), whole numbers from 1."


@pytest.mark.parametrize(
    ("check", "good", "bad", "accepted"),
    [
        (
            _checks.not_fraction,
            (0, 0.0, 0.99, np.float32(0.5)),
            (1, -0.1, True, "a", None, np.nan),
            "from 0 to below 1",
        ),
        (_checks.not_positive, (1, 1e-9, np.int8(3)), (0, -1, True, "a", None, np.nan), "above 0"),
    ],
)
def test_numbers_in_a_range(check, good, bad, accepted):
    for value in good:
        assert check("x", value) is None
    for value in bad:
        assert check("x", value) == f"x={value!r} is not accepted. Accepted: a number {accepted}."


@pytest.mark.parametrize("value", [float("inf"), np.inf, np.float32("inf")])
def test_infinity_is_no_number_above_0(value):
    assert _checks.not_positive("x", value) == f"x={value!r} is not accepted. Accepted: a finite number above 0."
    assert _checks.not_positive("x", value, finite=False) is None
    for finite in (True, False):
        words = f"x={-value!r} is not accepted. Accepted: a number above 0."
        assert _checks.not_positive("x", -value, finite=finite) == words


@pytest.mark.parametrize(
    ("problems", "words"),
    [(["a", None], "a"), (["a", None, "b"], "2 arguments are wrong:\n- a\n- b")],
)
def test_refuse_says_everything_at_once(problems, words):
    with pytest.raises(ConfigurationError) as caught:
        _checks.refuse(problems)
    assert str(caught.value) == words


def test_refuse_accepts_when_all_is_well():
    _checks.refuse([None, None])
    _checks.refuse(iter(()))


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (3, "'0', '1', '2'"), (4, "'0', '1', '2' and 1 more"), (2003, "'0', '1', '2' and 2,000 more")],
)
def test_some(count, words):
    assert _checks.some([str(index) for index in range(count)]) == words
