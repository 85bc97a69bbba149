"""Images that cannot be read: found, counted, named. Never replaced by another image or by black."""

from collections.abc import Callable, Collection
from typing import Any, final

import numpy as np

from imgcls._warnings import warn
from imgcls.datasets import _scan
from imgcls.datasets._dataset import Dataset
from imgcls.errors import DataWarning, UnreadableImageError

ON_ERROR = ("skip", "raise")

_NAMED = 5  # images named one by one; the others are counted
_MANY = 0.01  # a larger share of unreadable images is warned of


@final
class Quarantine:
    """The images that cannot be read, each with its reason.

    Args:
        count: How many images there are in all.
        what: What kind of images they are: "training", "validation".
        say: Called with a line for each of the first few; None for silence.
    """

    def __init__(self, count: int, *, what: str = "", say: Callable[[str], None] | None = None) -> None:
        self.reasons: dict[str, str] = {}
        self._found = 0
        self._count, self._what, self._say = count, f"{what} images".lstrip(), say
        self._concluded = 0

    def add(self, name: str, error: UnreadableImageError) -> None:
        """Take in an image."""
        self.reasons[name] = str(error)
        self._found += 1  # a file that is listed twice has one id, and is two images
        if self._say is not None and self._found <= _NAMED:
            self._say(f"left out: {error}")

    def conclude(self) -> None:
        """Count what was not named, after a pass, and warn where it is much."""
        if self._say is None or self._found == self._concluded:
            return
        self._concluded = found = self._found
        share = f"{found:,} of {self._count:,} {self._what} ({found / self._count:.1%})"
        if found > _NAMED:
            self._say(f"left out: {share}; the history's `quarantined` names all")
        if found > _MANY * self._count:
            message = f"{share} cannot be read and are left out. Repair or remove them; on_error='raise' refuses them."
            warn(message, DataWarning)

    def refusal(self) -> UnreadableImageError:
        """Word the refusal of these images, a line for each."""
        return _refusal(self.reasons.values(), self._found, self._count)


def check_readable(dataset: Dataset, *, verbose: Any = 0) -> None:
    """Look at every image once, and name all that cannot be read.

    Args:
        dataset: The images.
        verbose: As in `fit`.

    Raises:
        UnreadableImageError: Images cannot be read; the message has a line for each.

    Examples:
        >>> from imgcls import Dataset, datasets
        >>> datasets.check_readable(Dataset.builtin("digits"))
    """
    errors = _unreadable(dataset, verbose)
    if errors:
        raise _refusal([str(error) for error in errors.values()], len(errors), len(dataset))


def leave_out_unreadable(
    dataset: Dataset, *, say: Callable[[str], None] | None = None, verbose: Any = 0
) -> tuple[Dataset, dict[str, str]]:
    """Look at every image once, and leave out those that cannot be read.

    Args:
        dataset: The images.
        say: Called with a line for each of the first few that are left out. With it, a `DataWarning` warns where they
            are more than 1 % of all.
        verbose: As in `fit`.

    Returns:
        The images that can be read, and the reason of each other by its id.

    Raises:
        UnreadableImageError: No image can be read; the message has a line for each.

    Examples:
        >>> from imgcls import Dataset, datasets
        >>> digits, quarantined = datasets.leave_out_unreadable(Dataset.builtin("digits"))
        >>> len(digits), quarantined
        (1797, {})
    """
    errors = _unreadable(dataset, verbose)
    quarantine = Quarantine(len(dataset), say=say)
    for position, error in errors.items():
        quarantine.add(dataset.ids[position], error)
    if len(errors) == len(dataset):
        raise quarantine.refusal()
    quarantine.conclude()
    rest = dataset[np.setdiff1d(np.arange(len(dataset)), list(errors))] if errors else dataset
    return rest, quarantine.reasons


def _unreadable(dataset: Dataset, verbose: Any) -> dict[int, UnreadableImageError]:
    """Ask the scan, which the search for copies and `check` need too: it keeps what it has seen."""
    errors = _scan.scan(dataset, verbose=verbose).errors
    return {position: UnreadableImageError(error) for position, error in enumerate(errors) if error}


def _refusal(reasons: Collection[str], found: int, count: int) -> UnreadableImageError:
    if len(reasons) == 1:
        return UnreadableImageError(*reasons)
    listed = "".join(f"\n- {reason}" for reason in reasons)
    return UnreadableImageError(f"{found:,} of {count:,} images cannot be read:{listed}")
