"""What lies beside the content of images, as a table: size, file, colour, border, camera, name.

The contract: a kind measures N images and returns columns `float (N, D)`, or None where there is nothing to measure.
All is taken from the scan's facts where they hold it. Read again are images too small to have a thumbnail there, and
the head of JPEG and TIFF files.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import images

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

_SIDE = 16  # of the scan's thumbnails
_SMALL = 16  # pixels of the shorter side, in the median
_INSIDE = 3  # cells from the border: what reaches so deep is no border any more
_COLORS = ("red", "green", "blue")
_COMMON = 0.02  # of the images; what is rarer tells few of them
_MOST = 64  # columns of what an image has or has not
_COUNTER = 5  # digits; a number no longer counts files


class Columns(NamedTuple):
    """`names` (D,) as a sentence takes them, `values` (N, D), and whether 1 and 0 say "has it" and "has not"."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    flags: bool = False


class Material(NamedTuple):
    """What kinds measure: places in the dataset `int (N,)`, and the facts and thumbnails `(N, 16, 16, 3)` of these."""

    dataset: "Dataset"
    places: NDArray[np.int64]
    facts: NDArray[Any]
    thumbnails: NDArray[np.float64]


class Beside(NamedTuple):
    """A kind of thing beside the content.

    Attributes:
        measure: Returns the columns.
        margin: How much skill matters (0 guesses, 1 is all right); None where it never does by itself.
        missing: Why there are no columns.
        inside: The same of the content itself, which must tell far less where this is to be a shortcut.
    """

    measure: Callable[[Material], Columns | None]
    margin: float | None
    missing: str = "all images are alike in it"
    inside: Callable[[Material], Columns] | None = None


def material(dataset: "Dataset", places: NDArray[np.int64], facts: NDArray[Any]) -> Material:
    """Gather what kinds measure.

    Args:
        dataset: The images.
        places: `int (N,)`: those to measure; all can be read.
        facts: As the scan found them, `(N,)`.
    """
    thumbnails = facts["thumbnail"].astype(float)
    for row in np.flatnonzero(~facts["hashed"]).tolist():
        image = dataset.read(int(places[row]), size=(_SIDE, _SIDE))
        thumbnails[row] = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    return Material(dataset, places, facts, thumbnails)


def _size(given: Material) -> Columns:
    height, width = given.facts["height"].astype(float), given.facts["width"].astype(float)
    return Columns(("width", "height", "width by height"), np.stack([width, height, width / height], axis=1))


def _file_size(given: Material) -> Columns | None:
    if not all(isinstance(source, str | Path | bytes) for source in _sources(given)):
        return None
    size, pixels = given.facts["bytes"].astype(float), given.facts["height"].astype(float) * given.facts["width"]
    return Columns(("number of bytes", "number of bytes per pixel"), np.stack([size, size / pixels], axis=1))


def _mean_color(given: Material) -> Columns:
    inside = given.thumbnails[:, 1:-1, 1:-1].mean(axis=(1, 2))
    return Columns(tuple(f"mean {color} inside the border" for color in _COLORS), inside)


def _border(given: Material) -> Columns | None:
    shorter = np.minimum(given.facts["height"], given.facts["width"])
    return None if np.median(shorter) < _SMALL else _ring(given, depth=0)


def _ring(given: Material, depth: int) -> Columns:
    pixels = given.thumbnails[:, depth : _SIDE - depth, depth : _SIDE - depth]
    sides = {"top": pixels[:, 0], "bottom": pixels[:, -1], "left": pixels[:, :, 0], "right": pixels[:, :, -1]}
    names = [f"{what} {color} at the {side}" for what in ("mean", "spread of") for side in sides for color in _COLORS]
    values = [measure(side, axis=1) for measure in (np.mean, np.std) for side in sides.values()]
    return Columns(tuple(names), np.concatenate(values, axis=1))


def _camera(given: Material) -> Columns | None:
    told = [images.made_with(source) for source in _sources(given)]
    return _common([{f"{tag} {value!r} in EXIF" for tag, value in one.items()} for one in told])


def _file_name(given: Material) -> Columns | None:
    """Leave out words that are in the name of a class: they tell the label, and nothing of the image."""
    classes = [str(name) for name in given.dataset.classes]
    named = {word for name in classes for word in _words(name) if word[0] == "'"}  # also the "ok" and "ng" of a factory
    told = [name for name in (re.sub(r"[\W_]", "", name.casefold()) for name in classes) if len(name) > 2]
    files = [Path(one) if isinstance(one, str) else one for one in _sources(given)]
    words = [set(_words(one.stem)) if isinstance(one, Path) else set() for one in files]
    own = named | {word for word in set().union(*words) if any(word[1:-1] in name or name in word for name in told)}
    return _common([{f"{word} in the name" for word in one - own} for one in words])


def _words(stem: str) -> Iterator[str]:
    """Yield the words of a file name, and its numbers by their length and first digits: a date begins with its year.

    A short number, or one with a zero before it, counts files, and tells no more than how many a class has.
    """
    for word in re.findall(r"[^\W\d_]+|\d+", stem.casefold()):
        if not word[0].isdecimal():
            yield repr(word)
        elif len(word) <= _COUNTER or word[0] == "0":
            yield "a short number"
        else:
            yield f"a number of {len(word)} digits"
            yield f"a number of {len(word)} digits from {word[:4]} on"


def _thumbnail(given: Material) -> Columns:
    gray = given.thumbnails.reshape(-1, 8, 2, 8, 2, 3).mean(axis=(2, 4, 5))
    names = tuple(f"brightness at row {row} and column {column} of 8" for row in range(1, 9) for column in range(1, 9))
    return Columns(names, gray.reshape(-1, 64))


def _sources(given: Material) -> Iterator[Any]:
    return (given.dataset.source(place) for place in given.places.tolist())


def _common(things: Sequence[set[str]]) -> Columns | None:
    """Return a column of 1 and 0 for each thing that is common, but is not everywhere; None without any."""
    counts = Counter(thing for some in things for thing in some)
    names = [thing for thing, count in counts.most_common() if max(2, _COMMON * len(things)) <= count < len(things)]
    values = np.array([[thing in some for thing in names[:_MOST]] for some in things], float)
    return Columns(tuple(names[:_MOST]), values, flags=True) if names else None


# How much skill matters follows from what honest data reach (digits, MNIST, CIFAR-10, flowers, products, X-rays,
# leaves): 0.26 by size, because what is tall is taken upright; 0.37 by file size, because a texture takes more bytes;
# 0.7 by mean colour, because it is content. By border 0.84, where content fills the image to its edge: there it tells
# more deeper inside, or at most 0.2 less, and less by 0.5 and more where a frame was planted. Content writes neither
# cameras nor names.
KINDS: dict[str, Beside] = {
    "size": Beside(_size, 0.4),
    "file size": Beside(_file_size, 0.5, "the images are not files"),
    "mean colour": Beside(_mean_color, 0.9),
    "border": Beside(
        _border, 0.5, "such small images have no border: content fills them", partial(_ring, depth=_INSIDE)
    ),
    "camera": Beside(_camera, 0.1, "no camera or program is named by some files and not by others"),
    "file name": Beside(_file_name, 0.1, "no word or long number is common to some names and not to others"),
    "thumbnail": Beside(_thumbnail, None),
}
