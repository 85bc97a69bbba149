"""The one place that words argument errors: what is wrong, what is accepted, the nearest name, all at once.

A check returns a sentence, or None when all is well; `refuse` raises one error with every sentence.
"""

import math
import os
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from imgcls.errors import ConfigurationError

_LARGEST = 2**63 - 1  # that TensorFlow and a bundle hold


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest of `names`, or "" when none is near.

    Where one differs in its Unicode form alone, as by a way through an archive made on macOS, that is said instead.
    """
    known, composed = list(names), unicodedata.normalize("NFC", name)
    same = next((one for one in known if one != name and unicodedata.normalize("NFC", one) == composed), None)
    if same is not None:
        return (
            f" It is {same!a} in another Unicode form, {name!a}: rename one of them, or bring both into one form by "
            "unicodedata.normalize('NFC', name)."
        )
    spelled = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(spelled), n=1, cutoff=0.6)
    return f" Did you mean {spelled[near[0]]!r}?" if near else ""


def unknown_name(argument: str, value: Any, names: Sequence[Any]) -> str | None:
    """Check that `value` is one of `names`."""
    if value in names:
        return None
    words = [str(name) for name in names]
    return f"{argument}={value!r} is not known.{did_you_mean(str(value), words)} Accepted: {', '.join(words)}."


def not_whole(argument: str, value: Any, *, least: int = 1, names: Sequence[str] = ()) -> str | None:
    """Check that `value` is a whole number of at least `least` and of 64 bits, or one of the words in `names`."""
    if (isinstance(value, str) and value in names) or (value is None and "None" in names):
        return None
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and least <= value <= _LARGEST:
        return None
    most = f" and at most {_LARGEST}" if whole and value > _LARGEST else ""
    words = "".join(f", or {name if name == 'None' else repr(name)}" for name in names)
    return f"{argument}={value!r} is not accepted. Accepted: a whole number of at least {least}{most}{words}."


def not_size(argument: str, value: Any, *, side: bool = False) -> str | None:
    """Check that `value` is (height, width), whole numbers of at least 1; with `side`, that or one side alone."""
    sides = value if isinstance(value, tuple | list) else (value, value) if side else ()
    if len(sides) == 2 and not any(not_whole(argument, one) for one in sides):
        return None
    accepted = "a whole number of at least 1, or (height, width)" if side else "(height, width), whole numbers from 1"
    return f"{argument}={value!r} is not accepted. Accepted: {accepted}."


def not_fraction(argument: str, value: Any) -> str | None:
    """Check that `value` is a number in [0, 1)."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 <= value < 1:
        return None
    return f"{argument}={value!r} is not accepted. Accepted: a number from 0 to below 1."


def not_between(argument: str, value: Any) -> str | None:
    """Check that `value` is a number in (0, 1)."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 < value < 1:
        return None
    return f"{argument}={value!r} is not accepted. Accepted: a number between 0 and 1."


def not_share(argument: str, value: Any) -> str | None:
    """Check that `value` is a number in (0, 1]."""
    if value == 1 or not_between(argument, value) is None:
        return None
    return f"{argument}={value!r} is not accepted. Accepted: a number above 0, up to 1."


def not_positive(argument: str, value: Any, *, finite: bool = True) -> str | None:
    """Check that `value` is a number above 0, and a finite one unless infinity means something."""
    above = isinstance(value, int | float | np.number) and not isinstance(value, bool) and value > 0
    if above and (value < math.inf or not finite):
        return None
    return f"{argument}={value!r} is not accepted. Accepted: a {'finite ' if above else ''}number above 0."


def plain(value: Any) -> Any:
    """Return Python's own number for one of NumPy, which Keras and TensorFlow do not take; anything else as it is.

    Examples:
        >>> import numpy as np
        >>> from imgcls._checks import plain
        >>> plain(np.int64(3)), plain("auto")
        (3, 'auto')
    """
    return value.item() if isinstance(value, np.generic) else value


def refuse(problems: Iterable[str | None]) -> None:
    """Raise one ConfigurationError with every problem, or return when there is none."""
    found = [problem for problem in problems if problem]
    if len(found) == 1:
        raise ConfigurationError(found[0])
    if found:
        listed = "\n".join(f"- {problem}" for problem in found)
        message = f"{len(found)} arguments are wrong:\n{listed}"
        raise ConfigurationError(message)


def limit_of(variable: str, default: int) -> int:
    """Return the limit that an environment variable sets, a whole number from 1; `default` where it is not set.

    Raises:
        ConfigurationError: It says something else.

    Examples:
        >>> from imgcls._checks import limit_of
        >>> limit_of("IMGCLS_LIMIT_OF_NOTHING", 7)
        7
    """
    given = os.environ.get(variable)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and int(given)):
        message = (
            f"the environment variable {variable} is {given!r}. Accepted: a whole number from 1, such as {default}. "
            "Correct or unset it."
        )
        raise ConfigurationError(message)
    return int(given)


def folders_within(ids: Iterable[str]) -> str:
    """Ask whether classes lie one level deeper, where all images are of one class and lie in several folders of it.

    Args:
        ids: Names of images, such as "photos/cat/1.jpg".

    Examples:
        >>> from imgcls._checks import folders_within
        >>> folders_within(["photos/cat/1.jpg", "photos/dog/1.jpg"])
        " Or are the folders in 'photos' the classes, 'cat', 'dog'? Then give that folder."
    """
    parts = [name.split("/") for name in ids]
    inner = sorted({part[1] for part in parts if len(part) > 2})
    if len(inner) < 2 or len({part[0] for part in parts}) > 1:
        return ""
    return f" Or are the folders in {parts[0][0]!r} the classes, {some(inner)}? Then give that folder."


def some(items: Sequence[Any], *, most: int = 3) -> str:
    """Return the first few of `items` as text and how many more there are."""
    shown = ", ".join(repr(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def without_numbers(names: Sequence[str], of: str, left_out: str) -> str:
    """Say for which images a model gives NaN or infinity.

    Args:
        names: The images.
        of: Among how many, and of which.
        left_out: What leaves them out.
    """
    return (
        f"for {len(names):,} of {of} the model gives NaN or infinity: {some(names)}. {left_out}. Look at them, and at "
        "what the model does with them, such as a division by the deviation of pixels that are all alike."
    )
