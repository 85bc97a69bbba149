"""What one asks of predictions: wrong labels, worse parts, another classifier, unknown images."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import fisher_exact

from imgcls.errors import DataError
from imgcls.metrics import Evaluation, Familiarity, compare, energy, slices, suspected_labels


def test_flipped_labels_are_found():
    """5 % of 2,000 labels flipped, and a model that has not seen them: at least 60 % of the 50 most suspect are."""
    random = np.random.default_rng(0)
    y_true = random.integers(0, 8, 2_000)
    scores = 3.5 * np.eye(8)[y_true] + 1.2 * random.normal(size=(2_000, 8))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    flipped = random.permutation(2_000)[:100]
    labels = y_true.copy()
    labels[flipped] = (labels[flipped] + random.integers(1, 8, 100)) % 8
    positions, suggested = suspected_labels(labels, probabilities)
    assert np.isin(positions[:50], flipped).mean() >= 0.6
    both = np.isin(positions, flipped)
    assert (suggested[both] == y_true[positions[both]]).mean() > 0.9
    frame = Evaluation(labels, probabilities, classes=list("abcdefgh")).label_errors(10)
    assert frame.index.tolist() == positions[:10].tolist()
    assert frame["suggested"].tolist() == ["abcdefgh"[code] for code in suggested[:10]]


def test_right_labels_of_a_sure_model_are_not_suspected():
    probabilities = 0.9 * np.eye(3)[[0, 1, 2, 0, 1, 2]] + 0.1 / 3
    assert suspected_labels(np.array([0, 1, 2, 0, 1, 2]), probabilities)[0].tolist() == []


def test_a_class_without_labels_is_never_suggested():
    probabilities = np.array([[0.2, 0.1, 0.7], [0.3, 0.1, 0.6], [0.1, 0.9, 0.0]])
    assert suspected_labels(np.array([0, 0, 1]), probabilities)[0].tolist() == []


def test_mcnemar_by_hand():
    first, second = np.ones(20, bool), np.ones(20, bool)
    second[:6] = False
    found = compare(first, second)
    assert (found.only_first, found.only_second, found.difference) == (6, 0, 0.3)
    assert found.p_value == pytest.approx(2 * 0.5**6)
    assert str(found) == ("the first is better on these 20 images: +30.0 points of accuracy [+4.8, +49.7], p = 0.031")
    assert compare(second, first).difference == -0.3
    same = compare(first, first)
    assert (same.p_value, same.needed) == (1.0, None)
    assert str(same) == ("these 20 images cannot tell the two apart: +0.0 points of accuracy [-12.6, +12.6], p = 1")


def test_as_many_images_as_needed_tell_them_apart_in_four_of_five_tries():
    first, second = np.ones(60, bool), np.ones(60, bool)
    first[:4], second[4:12] = False, False
    needed = compare(first, second).needed
    random, told = np.random.default_rng(0), 0
    for _ in range(400):
        kind = random.choice(3, needed, p=[8 / 60, 4 / 60, 48 / 60])
        told += compare(kind != 1, kind != 0).p_value < 0.05
    assert 0.7 < told / 400 < 0.87  # the exact test is a little stricter than the formula's


def test_evaluations_are_compared_by_id():
    random = np.random.default_rng(0)
    y_true, one, other = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50), random.dirichlet(np.ones(3), 50)
    ids, order = [f"{index}.png" for index in range(50)], random.permutation(50)
    first = Evaluation(y_true, one, classes="abc", ids=ids)
    second = Evaluation(y_true[order], other[order], classes="abc", ids=[ids[place] for place in order])
    found = first.compare(second)
    assert found.difference == pytest.approx(first.accuracy - second.accuracy)
    assert found.only_first == int(((one.argmax(1) == y_true) & (other.argmax(1) != y_true)).sum())
    with pytest.raises(DataError) as caught:
        first.compare(Evaluation(y_true, other, classes="abc"))
    assert str(caught.value) == (
        "the two evaluations are not of the same images and classes. Evaluate both on one dataset."
    )
    with pytest.raises(DataError) as caught:
        first.compare(Evaluation((y_true + 1) % 3, other, classes="abc", ids=ids))
    assert str(caught.value) == ("the two evaluations disagree about the true labels. Evaluate both on one dataset.")


def test_images_that_are_listed_twice_are_compared_in_their_order():
    random = np.random.default_rng(0)
    y_true, one, other = random.integers(0, 3, 30), random.dirichlet(np.ones(3), 30), random.dirichlet(np.ones(3), 30)
    ids = [f"{index % 20}.png" for index in range(30)]
    first, second = (Evaluation(y_true, said, classes="abc", ids=ids) for said in (one, other))
    found = first.compare(second)
    assert found.images == 30
    assert found.only_first == int(((one.argmax(1) == y_true) & (other.argmax(1) != y_true)).sum())
    assert found.only_second == int(((one.argmax(1) != y_true) & (other.argmax(1) == y_true)).sum())
    once = Evaluation(y_true[:20], one[:20], classes="abc", ids=ids[:20])
    turned = Evaluation(y_true[::-1], other[::-1], classes="abc", ids=ids[::-1])  # which of two is which?
    for this, that in ((first, once), (once, first), (first, turned)):
        with pytest.raises(DataError, match=r"^the two evaluations are not of the same images and classes\."):
            this.compare(that)


def test_where_all_images_were_learnt_from_there_are_no_others():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
    copies = np.array([0, 1])
    found = Evaluation(np.array([0, 0]), probabilities, classes=["cat", "dog"], leaked=lambda: copies)
    words = (
        "2 of 2 images are copies of images that were learnt from: accuracy 0.500 with them, and there are no others"
    )
    assert str(found.leaks()) == words
    for told in (found.to_html(), found.to_card()):
        assert words in told
        assert "nan" not in told


def test_slices_by_hand():
    right = np.array([True] * 12 + [False] * 6 + [True] * 12)
    columns = {"camera": ["old"] * 12 + ["phone"] * 8 + ["new"] * 8 + ["rare"] * 2, "side": np.arange(30)}
    found = slices(right, columns)
    assert [(one.column, one.value, one.images, one.accuracy) for one in found if one.column == "camera"] == [
        ("camera", "phone", 8, 0.25),
        ("camera", "old", 12, 1.0),
        ("camera", "new", 8, 1.0),
    ]
    assert [one.value for one in found if one.worse] == ["phone", "from 9.667 to 19.33"]
    p_value = fisher_exact([[6, 2], [0, 22]], alternative="greater").pvalue
    assert p_value < 0.05 / 6
    assert sum(one.images for one in found if one.column == "side") == 30
    assert [slices(right.astype(kind), columns) for kind in (int, float)] == [found, found]


def test_missing_numbers_are_a_slice_and_leave_the_others_as_they_are():
    ages, right = np.arange(30.0), np.array([True] * 20 + [False] * 10)
    one = slices(np.append(right, True), {"age": np.append(ages, np.nan)})
    assert [(part.value, part.images, part.accuracy) for part in one] == [
        (part.value, part.images, part.accuracy) for part in slices(right, {"age": ages})
    ]  # thirds of the numbers that there are; one image is too few for a slice
    assert [part.value for part in one if part.worse] == ["above 19.33"]
    some = slices(np.append(right, [False] * 6), {"age": np.append(ages, [np.nan] * 4 + [np.inf, -np.inf])})
    assert {part.value: (part.images, part.accuracy) for part in some} == {
        "below 9.667": (10, 1.0),
        "from 9.667 to 19.33": (10, 1.0),
        "above 19.33": (10, 0.0),
        "missing": (6, 0.0),
    }
    few = slices(np.ones(24, bool), {"grade": [1.0] * 6 + [2.0] * 6 + [3.0] * 6 + [np.nan] * 6})  # values, no thirds
    assert {part.value: part.images for part in few} == dict.fromkeys(["1.0", "2.0", "3.0", "missing"], 6)
    (none,) = slices(right, {"age": np.full(30, np.nan)})
    assert (none.value, none.images, none.worse) == ("missing", 30, False)


def parts(values, right=None):
    right = np.arange(len(values)) % 3 > 0 if right is None else right
    return {one.value: (one.images, one.accuracy) for one in slices(right, {"column": values})}


def test_gaps_in_numbers_of_any_kind_are_missing_and_the_others_are_numbers():
    numbers = [None] * 6 + [float(one) for one in range(60)]
    expected = parts(np.array(numbers, float))  # with NaN, as NumPy has it
    assert expected["missing"][0] == 6
    assert expected["below 19.67"][0] == expected["from 19.67 to 39.33"][0] == expected["above 39.33"][0] == 20
    whole = [None if one is None else int(one) for one in numbers]
    for values in (
        numbers,
        whole,
        [math.nan if one is None else one for one in whole],
        [None if one is None else Decimal(one) for one in whole],
        [Decimal("nan") if one is None else Fraction(one) for one in whole],
        pd.Series(whole, dtype="Int64"),
        pd.Series(numbers, dtype="Float64"),
        pd.Series(whole, dtype=object),
        pd.Series(numbers).to_numpy(),
    ):
        assert parts(values) == expected
    assert sum(one.images for one in slices(np.ones(50, bool), {"age": [None, *range(49)]})) == 49


def test_gaps_beside_text_are_missing_too():
    for gap in (None, math.nan, pd.NA, pd.NaT):
        for values in (["old"] * 6 + [gap] * 6 + ["new"] * 6, [1] * 6 + [gap] * 6 + [2] * 6):
            names = [str(one) for one in values]
            expected = {names[0]: (6, 4 / 6), names[12]: (6, 4 / 6), "missing": (6, 4 / 6)}
            assert parts(values) == parts(pd.Series(values, dtype=object)) == expected
    kinds = pd.Series(["old"] * 6 + [None] * 6 + ["new"] * 6)
    for values in (kinds, kinds.astype("string"), kinds.astype("category")):
        assert set(parts(values)) == {"old", "missing", "new"}
    flags = [True] * 6 + [False] * 6
    assert set(parts(flags)) == set(parts(np.array(flags))) == {"True", "False"}
    assert set(parts([*flags, *[None] * 6])) == {"True", "False", "missing"}
    days = np.repeat(np.array(["2023-01-05", "NaT", "2023-02-07"], "datetime64[D]"), 6)
    assert set(parts(days)) == {"2023-01-05", "missing", "2023-02-07"}


@pytest.mark.parametrize(
    "numbers",
    [
        1_672_531_200 + 60.0 * np.arange(90),  # seconds: an hour and a half of one night
        np.array([20_230_101 + 100 * (one // 28 % 12) + one % 28 for one in range(336)]),  # dates
        np.random.default_rng(0).normal(1e6, 1e-3, 300),
        np.random.default_rng(1).normal(1e6, 1, 300).astype(np.float32),
        np.random.default_rng(2).integers(0, 256, 300).astype(np.uint8),
        np.random.default_rng(3).random(300) * 1e-7,
        -np.exp(np.random.default_rng(4).normal(0, 9, 300)),
        1_672_531_200_000_000_000 + np.arange(300) * 10**9,
        np.linspace(1e300, 2e300, 30),
        np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]),
    ],
)
def test_thirds_are_named_so_that_the_names_divide_the_numbers(numbers):
    right = np.random.default_rng(0).random(len(numbers)) < 0.5
    found, numbers = slices(right, {"time": numbers}), numbers.astype(np.float64)
    assert found
    for one in found:
        kind, *ends = one.value.replace("to ", "").split()
        low, high = (float(ends[0]), float(ends[-1]))
        inside = {"below": numbers < low, "above": numbers > high, "from": (numbers >= low) & (numbers <= high)}[kind]
        assert (inside.sum(), right[inside].mean()) == (one.images, one.accuracy)


def test_dates_and_times_keep_all_digits_before_the_point():
    names = parts(np.array([20_230_101 + 100 * (one // 28 % 12) + one % 28 for one in range(336)]))
    assert sorted(names) == ["above 20230852", "below 20230477", "from 20230477 to 20230852"]
    names = parts(1_672_531_200 + 60.0 * np.arange(91))
    assert sorted(names) == ["above 1672534800", "below 1672533000", "from 1672533000 to 1672534800"]


def test_a_slice_that_is_worse_by_chance_is_not_called_worse():
    random, false_alarms = np.random.default_rng(0), 0
    for _ in range(200):
        right = random.random(200) < 0.8
        false_alarms += any(
            one.worse for one in slices(right, {"a": random.random(200), "b": random.integers(0, 3, 200)})
        )
    assert false_alarms <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5


def test_columns_that_cannot_be_divided_are_refused_in_words():
    with pytest.raises(DataError) as caught:
        slices(np.ones(3, bool), {"camera": ["a", "b"]})
    assert str(caught.value) == "column 'camera' has 2 values and there are 3 images."
    with pytest.raises(DataError) as caught:
        slices(np.ones(40, bool), {"name": [f"{index}.png" for index in range(40)]})
    assert str(caught.value) == "column 'name' has 40 different values. Accepted: numbers, or up to 30."


def test_slices_of_images_name_the_dark_ones():
    images = np.full((60, 8, 8, 1), 128, np.uint8)
    images[:20] = 20
    images[40:] = 220
    y_true = np.zeros(60, int)
    probabilities = np.tile([0.9, 0.1], (60, 1))
    probabilities[:15] = [0.1, 0.9]
    found = Evaluation(y_true, probabilities, classes="ab", read=images.__getitem__).slices()
    assert found[0].worse
    assert found[0].column == "brightness"
    assert found[0].accuracy == 0.25
    assert {one.column for one in found} == {"brightness"}  # contrast and size do not vary


def familiar(random, count):
    return random.normal([4, 0, 0, 0], 0.5, (count, 4)).astype(np.float32)


def test_unknown_images_are_strange_and_known_ones_are_not():
    random = np.random.default_rng(0)
    head = random.normal(size=(4, 3))
    learnt, held_out, new = (familiar(random, count) for count in (400, 300, 2_000))
    known = Familiarity.learnt(learnt, held_out, held_out @ head)
    p_values = known.p_values(new, new @ head)
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.035)  # for Bonferroni at most 0.05; 300 held out
    other = random.normal([0, 4, 0, 0], 0.5, (100, 4)).astype(np.float32)
    assert (known.p_values(other, other @ head) < 0.05).all()
    weak = 0.01 * familiar(random, 100)  # the same direction, and hardly any score: only the energy tells
    assert (known.p_values(weak, weak @ head) < 0.05).mean() > 0.5


def test_distances_are_those_to_the_tenth_neighbour():
    from imgcls.metrics._unknown import _distances

    random = np.random.default_rng(0)
    known, asked = random.normal(size=(50, 6)), random.normal(size=(7, 6))
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (asked, known)]
    expected = np.sort(cdist(*unit), axis=1)[:, 9]
    found = _distances(asked, unit[1].astype(np.float16))
    np.testing.assert_allclose(found, expected, atol=2e-3)  # float16 is kept


def test_energy_by_hand():
    np.testing.assert_allclose(energy(np.array([[0.0, 0.0], [1000.0, 0.0]])), [-np.log(2), -1000])
