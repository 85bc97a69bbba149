"""`check`: what is wrong with a dataset, before a model learns from it. One function a question, each with its codes.

Thresholds are constants, and where a dataset sets its own standard (night photos are dark), an image must also differ
from the others: by deviations from the median, measured by the median absolute deviation, which outliers do not move.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean, folders_within, some
from imgcls.datasets import _duplicates, _scan, _shortcuts
from imgcls.datasets._data_report import DataReport
from imgcls.datasets._findings import Finding, finding

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

TINY = 10  # images; below, no split leaves enough to learn from and to measure with
IMBALANCE = 10  # times as many images in the largest class as in the smallest
DARK, BRIGHT = 30.0, 235.0  # of 255, in mean
BLANK = 4.0  # of 255, standard deviation
DEVIATIONS = 2.5  # from the median, beside the constants above
BLUR = 4  # times less sharp than the median image
SIZE = 3  # times larger or smaller than the median image, along a side
ELONGATED, ELONGATION = 3.0, 2.0  # longer by shorter side, and times as elongated as the median image

_REASONS = 5  # files whose reason is told; `ids` names all
_SEVERITIES = ("error", "warning", "note")
_OTHER = " (other)"  # behind the id of an image of the dataset that is checked against


def check(dataset: "Dataset", *, verbose: Any = "auto", against: "Dataset | None" = None) -> DataReport:
    """Look at every image once and report what is wrong.

    Args:
        dataset: The images. Leaks are searched between its `parts`.
        verbose: As in `fit`.
        against: Another dataset, such as a test set, that must not hold images of this one.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
        >>> images[1] = images[0]
        >>> report = check(Dataset.from_arrays(images, ["cat"] + ["dog"] * 19), verbose=0)
        >>> [finding.code for finding in report.findings]
        ['IMG012', 'IMG010', 'IMG020', 'IMG021']
    """
    scan = _scan.scan(dataset, verbose=verbose)
    datasets, facts = [dataset], scan.facts
    unread: list[Finding] = []
    if against is not None:
        other = _scan.scan(against, verbose=verbose)
        datasets, facts = [dataset, against], np.concatenate([facts, other.facts])
        unread = list(_unreadable(against, other, of=" of the other dataset", mark=_OTHER))
    exact = _duplicates.exact_copies(facts, datasets, verbose=verbose)
    near = _duplicates.near_copies(facts, exact)
    findings = [
        *_unreadable(dataset, scan),
        *unread,
        *_copies(dataset, against, exact, near),
        *_classes(dataset),
        *_untrained(dataset),
        *_looks(dataset, scan.facts),
        *_ignored(dataset),
        *_told_beside(dataset, scan.facts, near[: len(dataset)]),
    ]
    findings.sort(key=lambda one: (_SEVERITIES.index(one.severity), one.code))
    return DataReport(findings, dataset)


def _unreadable(dataset: "Dataset", scan: _scan.Scan, *, of: str = "", mark: str = "") -> Iterator[Finding]:
    truncated = scan.facts["truncated"]
    for code, chosen, words in (
        ("IMG001", ~scan.facts["readable"] & ~truncated, "cannot be read"),
        ("IMG002", truncated, "cut short"),
    ):
        places = np.flatnonzero(chosen).tolist()
        if places:
            verb = "" if code == "IMG001" else "is " if len(places) == 1 else "are "
            reasons = " ".join(scan.errors[place] for place in places[:_REASONS])
            more = f" And {len(places) - _REASONS:,} more." if len(places) > _REASONS else ""
            message = f"{_count(len(places))}{of} {verb}{words}. {reasons}{more}"
            yield finding(code, message, tuple(f"{name}{mark}" for name in _ids(dataset, places)))


def _copies(
    dataset: "Dataset", against: "Dataset | None", exact: NDArray[np.int64], near: NDArray[np.int64]
) -> Iterator[Finding]:
    own = len(dataset)
    same = _groups(exact[:own])
    alike = [_one_of_each(group, exact) for group in _groups(near[:own])]
    alike = [group for group in alike if len(group) > 1]
    yield from _grouped("IMG010", dataset, same, "have equal bytes or pixels")
    yield from _grouped("IMG011", dataset, alike, "look like one picture resized, encoded again or mirrored")
    if dataset.labels is not None:
        labels = [row.tobytes() for row in dataset.labels]
        clashing = [group for group in _groups(near[:own]) if len({labels[place] for place in group}) > 1]
        yield from _grouped("IMG012", dataset, clashing, "are copies with different labels")
    leaks = []
    if dataset.parts is not None:
        parts = dataset.parts.tolist()
        leaks = [group for group in _groups(near[:own]) if len({parts[place] for place in group}) > 1]
    yield from _grouped("IMG013", dataset, leaks, "are copies in different parts")
    if against is not None:
        across = [group for group in _groups(near) if group[0] < own <= group[-1]]
        yield from _across(dataset, against, across)


def _grouped(code: str, dataset: "Dataset", groups: Sequence[Sequence[int]], words: str) -> Iterator[Finding]:
    if groups:
        ids = tuple(_ids(dataset, group) for group in groups)
        total = sum(map(len, ids))
        message = f"{_count(total)} in {_count(len(ids), 'group')} {words}."
        yield finding(code, message, tuple(one for group in ids for one in group), ids)


def _across(dataset: "Dataset", against: "Dataset", groups: Sequence[Sequence[int]]) -> Iterator[Finding]:
    if groups:
        own = len(dataset)
        ids = _ids(dataset, [place for group in groups for place in group if place < own])
        named = tuple(
            tuple(dataset.ids[place] if place < own else f"{against.ids[place - own]}{_OTHER}" for place in group)
            for group in groups
        )
        message = f"{_count(len(ids))} of this dataset {'is' if len(ids) == 1 else 'are'} in the other one too."
        yield finding("IMG013", message, ids, named)


def _classes(dataset: "Dataset") -> Iterator[Finding]:
    counts = dataset.counts()
    tiny = [name for name, count in counts.items() if count < TINY]
    if tiny:
        codes = [code for code, count in enumerate(counts.values()) if count < TINY]
        labels: Any = dataset.labels
        chosen = labels[:, codes].any(axis=1) if dataset.multi_label else np.isin(labels, codes)
        message = f"{_count(len(tiny), 'class', 'classes')} below {TINY} images: {some(tiny)}."
        yield finding("IMG020", message, _ids(dataset, np.flatnonzero(chosen).tolist()))
    if len(counts) == 1 and not dataset.multi_label:
        yield finding("IMG023", f"all images are of class {dataset.classes[0]!r}.{folders_within(dataset.ids)}")
    if len(counts) > 1:
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        if counts[most] >= IMBALANCE * max(1, counts[least]):
            message = f"class {most!r} has {_count(counts[most])} and class {least!r} {counts[least]:,}."
            yield finding("IMG021", message)
    spelled = defaultdict(list)
    for name in counts:
        spelled[_plain(name)].append(name)
    alike = [names for names in spelled.values() if len(names) > 1]
    if alike:
        listed = "; ".join(" and ".join(map(repr, names)) for names in alike)
        yield finding("IMG022", f"{_count(len(alike), 'name')} written in several ways: {listed}.")


def _untrained(dataset: "Dataset") -> Iterator[Finding]:
    """Find classes that have images in other parts alone, as by a folder whose name is misspelt there."""
    if dataset.labels is None or not dataset.divided or dataset.parts is None or "train" not in dataset.parts:
        return
    counts = dataset.subset("train").counts()
    missing = [name for name, count in counts.items() if not count]
    if missing:
        lacks = np.array([not count for count in counts.values()])
        chosen = dataset.labels[:, lacks].any(axis=1) if dataset.multi_label else lacks[dataset.labels]
        hint = did_you_mean(str(missing[0]), [str(name) for name, count in counts.items() if count])
        message = f"{_count(len(missing), 'class', 'classes')} without an image in train: {some(missing)}.{hint}"
        yield finding("IMG024", message, _ids(dataset, np.flatnonzero(chosen).tolist()))


def _plain(name: Any) -> str:
    """Return a class name without case, and with one space for every gap, dash and underscore."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", str(name)).casefold().strip())


def _looks(dataset: "Dataset", facts: NDArray[Any]) -> Iterator[Finding]:
    seen = np.flatnonzero(facts["looked"])
    if not seen.size:
        return
    facts = facts[seen]
    brightness, contrast = facts["brightness"].astype(float), facts["contrast"]
    blank = contrast < BLANK
    light = _deviations(brightness, least=1.0)
    sharpness = np.log2(np.maximum(facts["sharpness"].astype(float), 0.1))
    measured = facts["hashed"] & ~blank
    blur = np.zeros(len(facts))
    if measured.any():
        typical = np.median(sharpness[measured])
        blur[measured] = typical - sharpness[measured]
    side = np.log2(np.sqrt(facts["height"].astype(float) * facts["width"]))
    longer, shorter = np.maximum(facts["height"], facts["width"]), np.minimum(facts["height"], facts["width"])
    elongation = longer / shorter
    usual = np.median(elongation)
    sizes = f"{2 ** np.median(side):.0f} pixels along a side"
    verdicts = (
        ("IMG030", (brightness < DARK) & (light < -DEVIATIONS) & ~blank, f"mean brightness below {DARK:.0f} of 255"),
        ("IMG033", (brightness > BRIGHT) & (light > DEVIATIONS) & ~blank, f"mean brightness above {BRIGHT:.0f} of 255"),
        ("IMG034", blank, f"nearly one colour: contrast below {BLANK:.0f} of 255"),
        ("IMG031", blur > math.log2(BLUR), f"more than {BLUR} times less sharp than the median image"),
        ("IMG032", np.abs(side - np.median(side)) > math.log2(SIZE), f"beyond {SIZE} times from the median, {sizes}"),
        (
            "IMG035",
            (elongation >= ELONGATED) & (elongation >= ELONGATION * usual),
            f"at least {ELONGATED:.0f} times as long as wide; the median image is {usual:.1f} times",
        ),
    )
    for code, chosen, words in verdicts:
        places = seen[chosen].tolist()
        if places:
            yield finding(code, f"{_count(len(places))}: {words}.", _ids(dataset, places))


def _deviations(values: NDArray[np.float64], *, least: float) -> NDArray[np.float64]:
    """Return how many robust standard deviations each value is from the median; one is `least` or more."""
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))  # equals the standard deviation of a normal distribution
    return (values - middle) / max(float(spread), least)


def _ignored(dataset: "Dataset") -> Iterator[Finding]:
    if dataset.ignored:
        reasons = Counter(dataset.ignored.values()).most_common()
        listed = "; ".join(f"{count:,} x {reason}" for reason, count in reasons)
        yield finding("IMG040", f"{_count(len(dataset.ignored), 'file')} left out: {listed}.", tuple(dataset.ignored))


def _told_beside(dataset: "Dataset", facts: NDArray[Any], copies: NDArray[np.int64]) -> Iterator[Finding]:
    found = [row for row in _shortcuts.search(dataset, facts, copies) if row.found]
    if found:
        found.sort(key=lambda row: -row.accuracy)
        yield finding("IMG050", f"{'. '.join(map(str, found))}.")


def _groups(numbers: NDArray[np.int64]) -> list[list[int]]:
    """Return the places that share a number, in order, where there are at least two."""
    order = np.argsort(numbers, kind="stable")
    edges = np.flatnonzero(np.diff(numbers[order])) + 1
    return sorted(part.tolist() for part in np.split(order, edges) if len(part) > 1)


def _one_of_each(group: list[int], numbers: NDArray[np.int64]) -> list[int]:
    return list({numbers[place]: place for place in reversed(group)}.values())[::-1]


def _ids(dataset: "Dataset", places: Sequence[int]) -> tuple[str, ...]:
    return tuple(dataset.ids[place] for place in places)


def _count(number: int, one: str = "image", several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
