"""The tournament: which of the backbones that are at hand suits these images, by a probe on some of them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import architectures, datasets
from imgcls._progress import ProgressReport
from imgcls.datasets import Batches, Dataset
from imgcls.trainer._embed import embed
from imgcls.trainer._objective import objective
from imgcls.trainer._probe import solve
from imgcls.trainer._recipe import Choice
from imgcls.trainer._speed import speed

_IMAGES = 300  # that each backbone sees, at most
_FIRST = 32  # images that tell the speed
_SHARE, _SECONDS = 0.25, 60.0  # of a budget; without one


class Entry(NamedTuple):
    """A backbone in the tournament."""

    name: str
    accuracy: float  # on images held out, from 0 to 1
    error: float  # its standard error
    seconds: float  # for an image that is computed; 0 where nobody needs to know


def tournament(
    names: Sequence[str],
    data: Dataset,
    *,
    channels: int = 3,
    budget: float | None = None,
    seed: int = 0,
    report: ProgressReport,
) -> Choice:
    """Choose a backbone for which ImageNet weights are at hand.

    Each embeds some images and gets a head; its accuracy is that on images held out. Of those within one standard error
    of the best, the one with the fewest multiply-adds is taken (Breiman et al., Classification and Regression Trees,
    1984, section 3.4.3).

    Args:
        names: Architectures.
        data: The training images.
        channels: As they are read.
        budget: Seconds for the whole training; a quarter of it is for this.
        seed: Of the images that are looked at.
        report: Shows how far it is; open.

    Returns:
        The name, and the table in its reason.
    """
    began, limit = time.perf_counter(), _SECONDS if budget is None else _SHARE * budget
    rows = sorted((architectures.describe(name) for name in names), key=lambda row: row.multiply_adds)
    if len(rows) == 1:
        return Choice(rows[0].name, "the only one whose ImageNet weights are in Keras' folder")
    some = data[np.sort(by_turns(data, seed)[:_IMAGES])]
    entries, left_out = list[Entry](), list[str]()
    pace = 0.0  # seconds for a multiply-add
    for row in rows:
        left = limit - (time.perf_counter() - began)
        if entries and pace * row.multiply_adds * len(some) > left:
            left_out.append(row.name)
            continue
        entry = _enter(row, some, channels, seed, report, timed=not pace)
        pace = max(pace, entry.seconds / row.multiply_adds)
        entries.append(entry)
        report.say(f"{entry.name:<22} {entry.accuracy:6.1%} right of {len(some)} held out, ± {entry.error:.1%}")
    best = max(entries, key=lambda entry: entry.accuracy)
    chosen = next(entry for entry in entries if entry.accuracy >= best.accuracy - best.error)
    others = [f"{entry.name} {entry.accuracy:.1%}" for entry in entries if entry is not chosen]
    reason = f"{chosen.accuracy:.1%} right of {len(some)} images held out; {', '.join(others) or 'no other was tried'}"
    if best is not chosen:
        reason += "; it is the quickest within one standard error of the best"
    if left_out:
        reason += f"; no time for {', '.join(left_out)}"
    return Choice(chosen.name, reason)


def by_turns(data: Dataset, seed: int) -> NDArray[np.int64]:
    """Return all positions in random order, the classes taking turns: whatever comes first has as many of each."""
    order = np.random.default_rng(seed).permutation(len(data))
    if data.labels is None or np.ndim(data.labels) != 1:
        return order
    return datasets.by_turns(data.labels, order)


def _enter(
    row: architectures.Architecture, data: Dataset, channels: int, seed: int, report: ProgressReport, *, timed: bool
) -> Entry:
    side = row.image_size or 224
    goal = objective(num_classes=len(data.classes), multi_label=data.multi_label)
    model = architectures.build(
        row.name,
        input_shape=(side, side, channels),
        num_classes=goal.outputs,
        weights=architectures.weights_at_hand(row.name, side) or "imagenet",
        head=goal.head,
    )
    begin, features = time.perf_counter(), architectures.cut(model)
    batches = Batches(data, image_size=(side, side), channels=channels, batch_size=32, keep="store", on_error="skip")
    found = embed(features, batches, report=report)
    count, seconds = len(found.positions), 0.0
    if found.computed >= min(_FIRST, count):
        seconds = (time.perf_counter() - begin) / found.computed
    elif timed:  # what is known does not tell the speed
        network = speed(features, min(_FIRST, count))
        seconds = network.starting / count + network.image
    labels = np.asarray(data.labels)[found.positions]
    groups = None if data.groups is None else np.asarray(data.groups)[found.positions].tolist()
    outputs = solve(
        found.features, labels, head=goal.head, num_classes=len(data.classes), groups=groups, seed=seed
    ).outputs
    accuracy = goal.accuracy(goal.targets(labels), outputs)
    return Entry(
        row.name,
        accuracy,
        float(np.sqrt(accuracy * (1 - accuracy) / len(outputs))),
        seconds,
    )
