"""Splits that stay: a hash of what an image is decides its part, never its place in a list.

Every unit (an image; all copies of an image; all images of a group) has a number in [0, 1) that follows from the seed
and its key alone, and the fractions cut [0, 1) into intervals, one for each part. Files that are added later therefore
move none of the old ones, unless one of them links two units into one. Each part gets its share of each class as
closely as independent draws do, which is the price of stability; where chance leaves a part without a class, the unit
nearest to the part's interval moves there.

A part holds the units of one interval alone. Where it is divided in its turn, other numbers decide: the same would fall
on one side of a cut.
"""

import csv
import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import some
from imgcls._replace import replacing
from imgcls._warnings import warn
from imgcls.errors import ConfigurationError, DataError, DataWarning

Codes = NDArray[np.int64]

_NAMES = "surrogateescape"  # a file's name may be no UTF-8; it is written as it is
_BEYOND = 25.0  # exp(-25): what a seed that is new to the images deals once in 70,000,000,000 times
_PART_NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}


def check_fractions(fractions: Any) -> tuple[float, ...]:
    """Check that `fractions` are at least two numbers above 0 that sum to 1."""
    try:
        parts = tuple(float(fraction) for fraction in fractions)
    except (TypeError, ValueError):
        parts = ()
    if len(parts) < 2 or min(parts) <= 0 or abs(sum(parts) - 1) > 1e-6:
        message = (
            f"fractions={fractions!r} is not accepted. Accepted: two or more numbers above 0 that sum to 1, "
            "such as (0.8, 0.2) or (0.7, 0.15, 0.15)."
        )
        raise ConfigurationError(message)
    return parts


def refuse_idle(seed: int, groups: Any, duplicates: str | None, file: Any) -> None:
    """Refuse what says how to divide images whose own parts are taken, since it would do nothing."""
    given = {
        "seed": seed != 0,
        "groups": groups is not None,
        "duplicates": duplicates != "near",
        "file": file is not None,
    }
    idle = [f"{name}=" for name, is_given in given.items() if is_given]
    if idle:
        message = (
            f"the source is divided already, and without fractions its own parts are taken: {', '.join(idle)} would do "
            "nothing. Leave that out, or give fractions, such as (0.8, 0.2), to divide anew."
        )
        raise ConfigurationError(message)


def units(
    keys: Sequence[str], groups: Any = None, clusters: Codes | None = None, size: Codes | None = None
) -> tuple[Codes, list[str]]:
    """Join what must not be divided.

    Args:
        keys: N keys: the name or the content of each image.
        groups: N group names, or None.
        clusters: N numbers, equal for copies of one image, or None.
        size: N sizes; the largest image of a unit names it, so that a small copy added later does not, but one as large
            may. None: equal.

    Returns:
        The unit of each image, 0..U-1, and the key of each unit.
    """
    if groups is None and clusters is None:
        return np.arange(len(keys)), list(keys)
    names: Sequence[str] = keys
    if groups is not None:
        names = [f"group {name}" for name in groups]
        unit = np.unique(np.asarray(names), return_inverse=True)[1].reshape(-1)
        unit = unit if clusters is None else components(unit, clusters)
    else:
        unit = np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    sizes = np.zeros(len(keys), np.int64) if size is None else size
    best: dict[int, tuple[int, str]] = {}
    for which, one, name in zip(unit.tolist(), sizes.tolist(), names, strict=True):
        best[which] = min(best.get(which, (-one, name)), (-one, name))
    return unit, [best[which][1] for which in range(len(best))]


def components(first: Codes, second: Codes) -> Codes:
    """Number what hangs together: images that share a value in `first` or in `second`, also by way of others.

    Args:
        first: Whole numbers from 0, `(N,)`, such as the group of each image.
        second: The same of another kind, such as the number of each picture of which there are copies.

    Returns:
        A number for each image, `(N,)`, from 0 in the order of the first images.

    Examples:
        >>> import numpy as np
        >>> from imgcls import datasets
        >>> groups, pictures = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
        >>> datasets.components(groups, pictures).tolist()  # 0 and 1 share a group, 1 and 2 a picture
        [0, 0, 0, 1]
    """
    component = np.arange(len(first))
    while True:
        before = component
        for values in (first, second):
            least = np.full(values.max() + 1, len(values))
            np.minimum.at(least, values, component)
            component = least[values]
        if (component == before).all():
            return np.unique(component, return_inverse=True)[1].reshape(-1)


def stratified(
    labels: NDArray[Any] | None,
    unit: Codes,
    names: Sequence[str],
    fractions: tuple[float, ...],
    *,
    seed: int,
    times: int = 0,
) -> Codes:
    """Return the part of each unit, 0..P-1.

    Args:
        labels: `int64 (N,)` codes, a `uint8 (N, K)` indicator, or None.
        unit: The unit of each image.
        names: The key of each unit.
        fractions: The share of each part, summing to 1.
        seed: Another seed, another split.
        times: How often these units were divided before, to be what they are now.
    """
    draws = np.array([_draw(seed, times, name) for name in names])
    edges = np.concatenate([[0.0], np.cumsum(fractions)])
    parts = np.searchsorted(edges[1:-1], draws, side="right")
    _warn_of_chosen(parts, fractions, seed)
    held = _classes_of_units(labels, unit, len(names))
    counts = np.zeros((held[:, 1].max() + 1, len(fractions)), np.int64)
    np.add.at(counts, (held[:, 1], parts[held[:, 0]]), 1)
    totals = counts.sum(axis=1)
    wanted = np.ones_like(counts)
    largest_first = np.argsort(-np.asarray(fractions), kind="stable")
    for row in np.argsort(totals, kind="stable"):
        wanted[row, largest_first[totals[row] :]] = 0  # fewer units than parts: the larger parts come first
        for part in largest_first:
            if counts[row, part] >= wanted[row, part]:
                continue
            donor = _nearest_donor(row, part, parts, held, counts, wanted, draws, edges)
            if donor is not None:
                mine = held[held[:, 0] == donor, 1]
                counts[mine, parts[donor]] -= 1
                counts[mine, part] += 1
                parts[donor] = part
    return parts


def with_listed(part: Codes, unit: Codes, listed: Codes) -> Codes:
    """Return the part of each image where some are listed: those keep theirs, and what belongs to one goes with it.

    Args:
        part: The part that each image was dealt, `(N,)`.
        unit: The unit of each image, 0..U-1.
        listed: The part that is listed for it, or -1. Where those of one unit differ, a new image goes to the first
            part of them.

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets._split import with_listed
        >>> with_listed(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([1, -1, -1, -1])).tolist()
        [1, 1, 1, 1]
    """
    known, nowhere = listed >= 0, np.iinfo(np.int64).max
    of_unit = np.full(unit.max() + 1, nowhere)
    np.minimum.at(of_unit, unit[known], listed[known])
    there = np.where(known, listed, of_unit[unit])
    return np.where(there == nowhere, part, there)


def with_saved(
    path: Path, ids: Sequence[str], part: Codes, unit: Codes, count: int, *, by_id: bool
) -> tuple[Codes, dict[str, int]]:
    """Return the part of each image where a file may list some, as in `with_listed`, and what the file lists.

    Args:
        path: The file; there may be none yet.
        ids: N names.
        part: The part that each image was dealt, `(N,)`.
        unit: The unit of each image, 0..U-1.
        count: How many parts there are.
        by_id: Whether ids alone decided which part an image was dealt, and not its content.

    Raises:
        DataError: The file is no such split, or lists none of the images; or images of one id go to different parts.
    """
    known = read_saved(path, count)
    composed = {_composed(name): one for name, one in known.items()}
    listed = np.array([known.get(name, composed.get(_composed(name), -1)) for name in ids])
    if known and (listed < 0).all():
        message = (
            f"{str(path)!r} lists none of these {len(ids):,} images: {some(list(known))} there, {some(ids)} here. "
            "Make the dataset as it was made then, or name another file."
        )
        raise DataError(message)
    moved = known.keys() != set(ids) if by_id else bool((part != listed)[listed >= 0].any())
    if moved and known and all(name == str(place) for place, name in enumerate(ids)):
        _warn_of_numbers(path)
    part = with_listed(part, unit, listed)
    kept = dict(zip(ids, part.tolist(), strict=True))
    divided = {name: None for name, one in zip(ids, part.tolist(), strict=True) if kept[name] != one}
    if divided:
        message = (
            f"ids that several images have, which go to different parts: {some(list(divided))}. {str(path)!r} can "
            "keep one part for an id. Give each image an id of its own, such as its path, or leave file= out."
        )
        raise DataError(message)
    return part, known


def _warn_of_numbers(path: Path) -> None:
    """Warn that images without names are known by their numbers, which others may have had."""
    message = (
        f"{str(path)!r} knows images without names by their numbers, and does not list them as they are dealt now: "
        "some were added or left out, or their order, the seed, the groups or the fractions are others. An image goes "
        "where that number went, so that test images are learnt from where numbers have shifted. All is right where "
        "the old images still come first, in their order. Else name them, and make the file anew: "
        "Dataset.from_arrays(images, labels, ids=names)."
    )
    warn(message, DataWarning)


def part_names(count: int) -> tuple[str, ...]:
    """Name the parts of a split: train and test, or train, validation and test, or part 1, part 2 ..."""
    return _PART_NAMES.get(count) or tuple(f"part {number}" for number in range(1, count + 1))


def read_saved(path: Path, count: int) -> dict[str, int]:
    """Read which part each id is in, from a file that `write_saved` wrote; nothing where there is no file yet."""
    if not path.exists():
        return {}
    names = part_names(count)
    try:
        with path.open(encoding="utf-8-sig", errors=_NAMES, newline="") as file:  # as Excel saves it too
            rows = {row["id"]: row["part"] for row in csv.DictReader(file)}
    except (KeyError, csv.Error, OSError) as error:
        message = f"{str(path)!r} cannot be read as a split: {error}. Accepted: a CSV file with the columns id, part."
        raise DataError(message) from error
    strange = sorted({str(part) for part in rows.values()} - set(names))
    if strange:
        message = (
            f"{str(path)!r} has the parts {some(strange)}, and a split into {count} has {', '.join(names)}. "
            "Give as many fractions as the file has parts, or another file."
        )
        raise DataError(message)
    return {name: names.index(part) for name, part in rows.items()}


def write_saved(path: Path, parts: dict[str, int], count: int) -> None:
    """Write which part each id is in, as CSV; the file is replaced in one step."""
    names = part_names(count)
    try:
        with replacing(path) as whole, whole.open("w", encoding="utf-8", errors=_NAMES, newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("id", "part"))
            writer.writerows((name, names[part]) for name, part in sorted(parts.items()))
    except OSError as error:
        message = f"the split cannot be written to {str(path)!r}: {error}. Name a file in a folder you may write to."
        raise DataError(message) from error


def _draw(seed: int, times: int, name: str) -> float:
    deal = f"{seed} {times}" if times else str(seed)
    digest = hashlib.blake2b(f"{deal}\0{name}".encode(errors=_NAMES), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _warn_of_chosen(parts: Codes, fractions: tuple[float, ...], seed: int) -> None:
    """Warn where chance cannot have dealt these parts: then the seed that deals them has also chosen the images.

    Of n units, a share q or one farther from p comes by chance at most exp(-n KL(q | p)) times (Chernoff's bound;
    Hoeffding, Probability Inequalities for Sums of Bounded Random Variables, JASA 58, 1963, theorem 1).
    """
    from scipy.special import rel_entr

    asked, found = np.asarray(fractions), np.bincount(parts, minlength=len(fractions)) / len(parts)
    beyond = len(parts) * (rel_entr(found, asked) + rel_entr(1 - found, 1 - asked))
    if beyond.max() > _BEYOND:
        worst = int((found / asked).argmin())
        message = (
            f"seed={seed} gives {found[worst]:.1%} of these {len(parts):,} images (copies and groups as one) to "
            f"{part_names(len(fractions))[worst]!r}, where {asked[worst]:.1%} are asked for: they seem to be a part of "
            "more images that this seed divided before. Give another seed."
        )
        warn(message, DataWarning)


def _composed(name: str) -> str:
    """Return a name in the one form that Unicode has for it: macOS takes letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def _classes_of_units(labels: NDArray[Any] | None, unit: Codes, count: int) -> Codes:
    """Return the pairs (unit, class) that occur, once each: `int64 (M, 2)`."""
    if labels is None:
        return np.column_stack([np.arange(count), np.zeros(count, np.int64)])
    if labels.ndim == 1:
        owner, held, num_classes = unit, labels, int(labels.max()) + 1
    else:
        image, held = np.nonzero(labels)
        owner, num_classes = unit[image], labels.shape[1]
        if not len(held):  # nothing is on any image
            return _classes_of_units(None, unit, count)
    both = np.unique(owner * num_classes + held)
    return np.column_stack([both // num_classes, both % num_classes])


def _nearest_donor(
    row: int,
    part: int,
    parts: Codes,
    held: Codes,
    counts: Codes,
    wanted: Codes,
    draws: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> int | None:
    """Return the unit of class `row` nearest to the interval of `part` that no other class needs where it is."""
    candidates = held[held[:, 1] == row, 0]
    candidates = candidates[parts[candidates] != part]
    distance = np.maximum(edges[part] - draws[candidates], draws[candidates] - edges[part + 1])
    for donor in candidates[np.argsort(distance, kind="stable")].tolist():
        mine, here = held[held[:, 0] == donor, 1], parts[donor]
        if (counts[mine, here] > wanted[mine, here]).all():
            return int(donor)
    return None
