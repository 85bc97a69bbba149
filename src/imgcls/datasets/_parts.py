"""The parts that a source may be divided into, and how people spell them."""

from collections.abc import Iterable
from typing import Any

from imgcls._checks import some
from imgcls.errors import DataError

SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def part_names(given: Iterable[Any], what: str) -> list[str]:
    """Return "train", "validation" or "test" for each of `given`; refuse other words.

    Args:
        given: Words such as "val" or "Testing".
        what: What says them, for the error.

    Raises:
        DataError: A word means no part, or one is missing.

    Examples:
        >>> from imgcls.datasets._parts import part_names
        >>> part_names(["Train", "val", "testing"], "column 'part'")
        ['train', 'validation', 'test']
    """
    words = [str(word).strip().lower() for word in given]
    strange = sorted(set(words) - SPELLINGS.keys())
    if strange:
        message = (
            f"{what} says {some(strange)}. Accepted: {', '.join(SPELLINGS)}. Rename what is none of them, or leave it "
            "out."
        )
        raise DataError(message)
    return [SPELLINGS[word] for word in words]
