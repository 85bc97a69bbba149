"""`Dataset`: labelled images, lazy and immutable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import images, plotting
from imgcls._checks import not_size, not_whole, refuse, some, unknown_name
from imgcls.datasets import _check, _duplicates, _interop, _labels, _names, _parts, _sources, _split
from imgcls.datasets._constructors import Constructors
from imgcls.datasets._data_report import DataReport
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its label.

    Attributes:
        image: `uint8 (H, W, C)`, 0-255; C is 1 for a grayscale image, 3 for a colour image, and the number of bands
            of an array or a TIFF file that has others.
        label: The class, or a tuple of classes for several labels an image; None without labels.
        id: The name of the image within its dataset: a relative path, or a position.

    Examples:
        >>> from imgcls import Dataset
        >>> sample = Dataset.builtin("digits")[3]
        >>> sample
        Sample(8 x 8 gray, label '3', id '0003')
        >>> sample.image.shape, sample.image.dtype
        ((8, 8, 1), dtype('uint8'))
    """

    image: NDArray[np.uint8]
    label: Any
    id: str

    def __repr__(self) -> str:
        height, width, channels = self.image.shape
        kind = {1: " gray", 3: " RGB"}.get(channels, f", {channels} bands")
        return f"Sample({height} x {width}{kind}, label {self.label!r}, id {self.id!r})"


@final
class Dataset(Constructors):
    """Labelled images: indexable, lazy, immutable. Images are decoded when they are asked for.

    Made by `from_folder`, `from_files`, `from_frame`, `from_csv`, `from_arrays`, `from_tf`, `from_huggingface` and
    `builtin`.

    Attributes:
        labels: `int64 (N,)` codes into `classes`, or a `uint8 (N, K)` indicator for several labels an image; None
            without labels.
        classes: K class names, or integers where the labels were integers. Sorted, or in the order you gave.
        ids: N names: paths relative to the folder, or positions.
        groups: N group names (images of one group never straddle a split), or None.
        parts: N names out of "train", "validation", "test" where the source is divided already, or None.

    Examples:
        >>> from imgcls import Dataset
        >>> digits = Dataset.builtin("digits")
        >>> digits
        Dataset(1,797 images, 10 classes: '0', '1', '2' and 7 more)
        >>> digits[0].image.shape, digits[0].label
        ((8, 8, 1), '0')
        >>> train, test = digits.split((0.8, 0.2), seed=0)
        >>> len(train), len(test)
        (1408, 389)
    """

    __slots__ = ("_at", "_ignored", "_images", "_times", "classes", "groups", "ids", "labels", "parts")

    def __init__(
        self,
        images: Any,
        labels: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        ids: Sequence[Any] | None = None,
        groups: Sequence[Any] | None = None,
        parts: Sequence[str] | None = None,
        ignored: Mapping[str, str] | None = None,
        multi_label: bool | None = None,
    ) -> None:
        count = len(images)
        if not count:
            message = "there are no images. Give at least one."
            raise EmptyDatasetError(message)
        self._images = images
        self._at = np.arange(count)
        self.ids = tuple(map(str, range(count))) if ids is None else _names.texts(ids)
        self.labels: NDArray[Any] | None = None
        self.classes: _labels.Classes = () if classes is None else _labels.check_classes(classes)
        if labels is not None:
            self.labels, self.classes = _labels.encode(labels, count=count, classes=classes, multi_label=multi_label)
            _freeze(self.labels)
        _names.check_number("ids", self.ids, count)
        self.groups = None if groups is None else _freeze(_names.own_where_missing(groups, self.ids))
        self.parts = None if parts is None else _freeze(np.array(_parts.part_names(parts, "parts=")))
        _names.check_number("parts", self.parts, count)
        self._ignored = dict(ignored or {})
        self._times = 0  # that images were divided, to be these

    # --- looking -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, index: Any) -> Any:
        """Return the `Sample` at an integer; the `Dataset` of a slice, a boolean mask or a list of positions."""
        if isinstance(index, int | np.integer):
            position = range(len(self))[index]
            return Sample(self.read(position), self._label(position), self.ids[position])
        chosen = np.arange(len(self))[index]
        if not chosen.size:
            message = f"none of the {len(self):,} images is chosen. Choose at least one."
            raise EmptyDatasetError(message)
        return self._take(chosen)

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        images = f"{len(self):,} image{'s' * (len(self) != 1)}"
        if self.labels is None:
            return f"Dataset({images}, no labels)"
        kind = "classes" if len(self.classes) != 1 else "class"
        several = ", several labels an image" if self.multi_label else ""
        return f"Dataset({images}, {len(self.classes)} {kind}: {some(self.classes)}{several})"

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return self.labels is not None and self.labels.ndim == 2

    @property
    def ignored(self) -> Mapping[str, str]:
        """What the source held besides images, with the reason: hidden files, other file types, empty folders."""
        return MappingProxyType(self._ignored)

    @property
    def divided(self) -> bool:
        """Whether the source is divided into at least two of "train", "validation" and "test".

        Examples:
            >>> import numpy as np
            >>> images = np.zeros((3, 8, 8), np.uint8)
            >>> Dataset(images, parts=["train", "train", "test"]).divided, Dataset(images).divided
            (True, False)
        """
        return self.parts is not None and len(set(self.parts.tolist())) > 1

    def read(
        self, index: int, *, size: tuple[int, int] | None = None, channels: int | None = None
    ) -> NDArray[np.uint8]:
        """Decode the image at `index`: `uint8 (H, W, C)`.

        Args:
            index: The position, from 0.
            size: (height, width) to resize to; None for its own.
            channels: 1 for grayscale, 3 for RGB, None for what the image is.

        Raises:
            ConfigurationError: `size` is no (height, width).
            UnreadableImageError: The image cannot be read.
        """
        name = f"image {self.ids[index]!r}"
        image = images.read(self._images[self._at[index]], size=size, channels=channels, name=name)
        return _freeze(image.view())  # an array in memory may be the dataset's own

    def one_array(
        self, size: tuple[int, int], channels: int
    ) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]] | None:
        """Return what gives images `uint8 (n, H, W, C)` by their positions, where all are one array of this shape.

        Args:
            size: (height, width) in pixels.
            channels: C.

        Returns:
            A function of positions `int64 (n,)`; None where images have to be decoded, resized or converted.

        Examples:
            >>> digits = Dataset.builtin("digits")
            >>> take = digits.one_array((8, 8), 1)
            >>> take(np.array([7, 3])).shape
            (2, 8, 8, 1)
            >>> digits.one_array((16, 16), 1) is None
            True
        """
        kept = self._images
        if not (isinstance(kept, np.ndarray) and kept.dtype == np.uint8 and kept.ndim in {3, 4}):
            return None
        if (*kept.shape[1:], 1)[:3] != (*size, channels):
            return None
        return lambda positions: kept[self._at[positions]].reshape(-1, *size, channels)

    def source(self, index: int) -> Any:
        """Return where the image at `index` comes from, not decoded: a path, bytes, a PIL image or an array.

        Examples:
            >>> from pathlib import Path
            >>> for name in ("cat.png", "dog.png"):
            ...     images.write_png(np.zeros((8, 8, 3), np.uint8), name)
            >>> Path(Dataset.from_files(["cat.png", "dog.png"]).source(1)).name
            'dog.png'
        """
        return self._images[self._at[index]]

    def counts(self) -> dict[str | int, int]:
        """Count the images of each class, in the order of `classes`."""
        if self.labels is None:
            return {}
        per_class = (
            self.labels.sum(axis=0) if self.multi_label else np.bincount(self.labels, minlength=len(self.classes))
        )
        return dict(zip(self.classes, map(int, per_class), strict=True))

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame with the columns id, label, and group and part where they are known."""
        import pandas as pd

        columns: dict[str, Any] = {"id": self.ids, "label": [self._label(index) for index in range(len(self))]}
        columns |= {} if self.groups is None else {"group": self.groups}
        columns |= {} if self.parts is None else {"part": self.parts}
        return pd.DataFrame(columns)

    def check(self, *, verbose: Any = "auto", against: Any = None) -> DataReport:
        """Look at every image once and report what is wrong: unreadable files, copies, leaks, shortcuts, odd ones.

        Nothing is changed or moved. What files are like is kept, so that a second check reads only what has changed.

        Args:
            verbose: 0 for nothing, 1 for a live bar, 2 for lines, "auto" for what the place can show.
            against: Other images, such as a test set, that must hold none of these: a Dataset, or whatever `as_dataset`
                takes; labels are not needed.

        Returns:
            A `DataReport`: print it, `save("data.html")`, `to_frame()`.

        Examples:
            >>> print(Dataset.builtin("digits").check(verbose=0).findings)
            ()
        """
        from imgcls.datasets._convert import as_dataset  # which makes datasets

        other = None if against is None else as_dataset(against, labelled=False)
        return _check.check(self, verbose=verbose, against=other)

    def show(self, n: int = 16) -> NDArray[Any]:
        """Draw the first `n` images with their labels and return the Axes (n,)."""
        shown = [self[index] for index in range(min(n, len(self)))]
        titles = [_title(sample.label) for sample in shown]
        return plotting.image_grid([sample.image for sample in shown], titles)

    # --- dividing ------------------------------------------------------------------------------------------------

    def split(
        self,
        fractions: Sequence[float] | None = None,
        *,
        seed: int = 0,
        groups: Any = None,
        duplicates: str | None = "near",
        file: str | Path | None = None,
        verbose: Any = "auto",
    ) -> tuple["Dataset", ...]:
        """Divide at random into parts that copies of one image, and images of one group, never straddle.

        What an image is decides its part: a hash of `seed` and its content (or its id, or its group). Files that are
        added later move none of the old ones, as long as every part has every class, and none of the new files is a
        copy as large as the original, or larger, or links images that were apart, such as a copy of one in the group of
        another; with `file` they move none in any case, if images have names and not numbers. A part has its share of a
        class as closely as independent draws have it, and at least one image as far as they go. A part may be divided
        in its turn, by the same seed too.

        Args:
            fractions: The share of each part, summing to 1, such as (0.7, 0.15, 0.15). None takes the parts that the
                source is divided into already.
            seed: Another seed, another split.
            groups: N group names that never straddle, or as in `from_files` a pattern or a function: of the file, or of
                the id of what is in memory. None takes the dataset's own `groups`.
            duplicates: Which copies stay together: "near" (re-encoded, resized or mirrored ones too), "exact" (the
                same bytes or pixels), or None, which reads no image and goes by ids.
            file: A CSV file (columns id, part) that remembers the split: images that it lists go where it says, and
                copies of them, and others of their group, go with them. All others are dealt. All are added to it. It
                is made where there is none. Images without `ids` are known by their positions, so that new ones belong
                behind the old; a `DataWarning` says where they seem to be others.
            verbose: 0 for nothing, 1 for a live bar while duplicates are searched, "auto" for a bar where one can be
                drawn.

        Returns:
            One Dataset for each fraction.

        Raises:
            ConfigurationError: The fractions are not positive or do not sum to 1; or they are None, and another
                argument says how to divide what is divided already.
            DataError: There are too few images; `fractions` is None and the source is not divided; or `file` lists
                other images, or images of one id go to different parts.

        Examples:
            >>> [len(part) for part in Dataset.builtin("digits").split((0.7, 0.15, 0.15))]
            [1228, 274, 295]
        """
        if fractions is None:
            if self.parts is None:
                message = "the source is not divided into train/ and test/. Give fractions, such as (0.8, 0.2)."
                raise DataError(message)
            _split.refuse_idle(seed, groups, duplicates, file)
            return tuple(self.subset(name) for name in ("train", "validation", "test") if name in self.parts)
        shares = _split.check_fractions(fractions)
        part, unit = self._deal(shares, seed, groups, duplicates, verbose)
        if file is not None:
            by_id = duplicates is None
            part, known = _split.with_saved(Path(file), self.ids, part, unit, len(shares), by_id=by_id)
            self._check_filled(part, len(shares), Path(file) if known else None)
            _split.write_saved(Path(file), known | dict(zip(self.ids, part.tolist(), strict=True)), len(shares))
        self._check_filled(part, len(shares))
        return tuple(self._part(part == number) for number in range(len(shares)))

    def folds(
        self,
        count: int = 5,
        *,
        seed: int = 0,
        groups: Any = None,
        duplicates: str | None = "near",
        verbose: Any = "auto",
    ) -> tuple[tuple["Dataset", "Dataset"], ...]:
        """Divide for cross-validation: `count` pairs (training, validation), every image in one validation part.

        The other arguments and the guarantees are those of `split`.

        Examples:
            >>> pairs = Dataset.builtin("digits").folds(3)
            >>> sum(len(validation) for _, validation in pairs)
            1797
        """
        refuse([not_whole("count", count, least=2)])
        part, _ = self._deal((1 / count,) * count, seed, groups, duplicates, verbose)
        self._check_filled(part, count)
        return tuple((self._part(part != number), self._part(part == number)) for number in range(count))

    def _deal(
        self, shares: tuple[float, ...], seed: int, groups: Any, duplicates: str | None, verbose: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the part of each image, 0..P-1, and its unit: what must not be divided has the same number."""
        refuse([not_whole("seed", seed, least=0), unknown_name("duplicates", duplicates, ("near", "exact", None))])
        files = _sources.called(map(self.source, range(len(self))), self.ids)
        groups = _sources.from_names("group", groups, self.ids, files)
        groups = self.groups if groups is None else _names.own_where_missing(groups, self.ids)
        if duplicates is None:
            places = {name: place for place, name in enumerate(self.ids)}
            same = None if len(places) == len(self) else np.array([places[name] for name in self.ids])  # listed twice
            unit, names = _split.units(self.ids, groups, same)
        else:
            copies = _duplicates.clusters(self, near=duplicates == "near", verbose=verbose)
            unit, names = _split.units(copies.keys, groups, copies.cluster, copies.size)
        return _split.stratified(self.labels, unit, names, shares, seed=seed, times=self._times)[unit], unit

    def _check_filled(self, part: NDArray[np.int64], count: int, file: Path | None = None) -> None:
        """Refuse parts without images; `file` has decided where some of them go."""
        if len(np.unique(part)) < count:
            message = (
                f"{len(self):,} images do not fill {count} parts. Give fewer parts or more images; copies of one "
                "image and images of one group stay together."
            )
            if file is not None:
                message += f" {str(file)!r} says where some of them go: mend it or name another file."
            raise EmptyDatasetError(message)

    def subset(self, part: str) -> "Dataset":
        """Return the images that the source itself puts into `part`: "train", "validation" or "test".

        Raises:
            ConfigurationError: The source has no such part.
        """
        known = [] if self.parts is None else sorted(set(self.parts.tolist()))
        if part not in known:
            has = f"Accepted: {', '.join(known)}." if known else "The source is not divided: use split((0.8, 0.2))."
            message = f"there is no part {part!r}. {has}"
            raise ConfigurationError(message)
        return self._part(np.asarray(self.parts == part))

    def align(self, classes: Sequence[Any]) -> "Dataset":
        """Return the same images with labels coded in the order of `classes`.

        A number and its text ("2", "002", "2.0") are the same label where that makes all of them classes: tables are
        read as either. Otherwise integers are positions in `classes`: 2 is the class "2", or the third of "cat", "dog",
        "owl".

        Raises:
            DataError: A label is not one of `classes`, or may be two of them.

        Examples:
            >>> import numpy as np
            >>> dogs = Dataset.from_arrays(np.zeros((2, 8, 8), np.uint8), ["dog", "dog"])
            >>> dogs.align(["cat", "dog"]).labels.tolist()
            [1, 1]
        """
        if self.labels is None or tuple(classes) == self.classes:
            return self
        if self.multi_label:
            if set(classes) != set(self.classes):  # a column that is missing does not mean "none of these"
                message = (
                    f"the classes are {some(self.classes)} and not {some(list(classes))}. Give the same: a column for "
                    "each, or, where labels are lists of names, classes= as in Dataset.from_arrays(images, names, "
                    "classes=...)."
                )
                raise DataError(message)
            labels: Any = self.labels[:, [self.classes.index(name) for name in classes]]
        else:
            held, codes = np.unique(self.labels, return_inverse=True)
            found = _labels.called_alike([self.classes[code] for code in held], classes)
            labels = np.array(found, dtype=object)[codes]
        aligned = self._take(np.arange(len(self)))
        aligned.labels, aligned.classes = _labels.encode(
            labels, count=len(self), classes=classes, multi_label=self.multi_label
        )
        _freeze(aligned.labels)
        return aligned

    def __add__(self, other: "Dataset") -> "Dataset":
        """Return the images of both; classes are matched by name, new ones come last.

        Where both use an id, the ids of the first get the prefix "1/" and those of the second "2/". An image without a
        group stays in one of its own. Of several labels an image, a class that one of both does not name is on none of
        its images.

        Raises:
            DataError: One has labels, groups or parts and the other not, or their labels are of different kinds.

        Examples:
            >>> import numpy as np
            >>> cats = Dataset.from_arrays(np.zeros((2, 8, 8), np.uint8), ["cat", "cat"], ids=["a", "b"])
            >>> dogs = Dataset.from_arrays(np.zeros((1, 9, 9), np.uint8), ["dog"], ids=["c"])
            >>> cats + dogs
            Dataset(3 images, 2 classes: 'cat', 'dog')
        """
        if not isinstance(other, Dataset):
            return NotImplemented
        if (self.labels is None) != (other.labels is None) or self.multi_label != other.multi_label:
            message = "one dataset has no labels, or one has several labels an image. Join datasets of one kind."
            raise DataError(message)
        for what, one, two in (("parts", self.parts, other.parts), ("groups", self.groups, other.groups)):
            if (one is None) != (two is None):  # joined, they would be forgotten: test images would be trained on
                message = f"one dataset has {what} and the other has none. Join datasets of one kind."
                raise DataError(message)
        names = _labels.check_classes(list(dict.fromkeys([*self.classes, *other.classes])))
        labels = [
            _labels.spread(one.labels, one.classes, names) if one.multi_label else one.align(names).labels
            for one in (self, other)
        ]
        prefixes = ("", "") if set(self.ids).isdisjoint(other.ids) else ("1/", "2/")
        ids = [tuple(prefix + name for name in one.ids) for one, prefix in zip((self, other), prefixes, strict=True)]
        groups = [_names.renamed(one.groups, one.ids, called) for one, called in zip((self, other), ids, strict=True)]
        both = object.__new__(Dataset)
        both._images = _sources.Joined([(self._images, self._at), (other._images, other._at)])
        both.ids, both.classes = ids[0] + ids[1], names
        both._at = np.arange(len(both.ids))
        both.labels = _joined(*labels)
        both.groups, both.parts = _joined(*groups), _joined(self.parts, other.parts)
        both._ignored, both._times = {**self._ignored, **other._ignored}, max(self._times, other._times)
        return both

    # --- lending -------------------------------------------------------------------------------------------------

    def to_tf(
        self, batch_size: int = 32, *, image_size: int | tuple[int, int], channels: int = 3, seed: int | None = None
    ) -> Any:
        """Return a `tf.data.Dataset` of (images, labels), read by our decoder; images alone without labels.

        Args:
            batch_size: Images in a batch, at most.
            image_size: The side in pixels, or (height, width).
            channels: 3 for RGB, 1 for grayscale.
            seed: Shuffles anew in every pass; None keeps the order.

        Returns:
            Elements `uint8 (N, H, W, C)` and `int64 (N,)` or `uint8 (N, K)`.

        Examples:
            >>> images, labels = next(iter(Dataset.builtin("digits").to_tf(4, image_size=8, channels=1)))
            >>> images.shape.as_list(), labels.numpy().tolist()
            ([4, 8, 8, 1], [0, 1, 2, 3])
        """
        refuse([not_whole("batch_size", batch_size)])
        return _interop.to_tf(self, batch_size, image_size=_sides(image_size), channels=channels, seed=seed)

    def to_torch(self, *, image_size: int | tuple[int, int] | None = None, channels: int = 3) -> Any:
        """Return what `torch.utils.data.DataLoader` takes: it has a length and (image, label) at each position.

        PyTorch itself is not needed: `DataLoader` makes tensors of the arrays.

        Args:
            image_size: The side in pixels, or (height, width); None for each image's own.
            channels: 3 for RGB, 1 for grayscale.

        Returns:
            A sequence of `uint8 (C, H, W)` arrays with their labels as `int64`, or `uint8 (K,)`.

        Examples:
            >>> image, label = Dataset.builtin("digits").to_torch(image_size=16, channels=1)[3]
            >>> image.shape, int(label)
            ((1, 16, 16), 3)
        """
        return _interop.ForTorch(self, None if image_size is None else _sides(image_size), channels)

    # --- inside --------------------------------------------------------------------------------------------------

    def _part(self, inside: NDArray[np.bool_]) -> "Dataset":
        """Return the images inside a part: it is not divided now, and other numbers deal it where it will be."""
        return self._take(np.flatnonzero(inside), part=True)

    def _take(self, chosen: NDArray[np.int64], *, part: bool = False) -> "Dataset":
        taken = object.__new__(Dataset)
        taken._images, taken._at, taken.classes, taken._ignored = (
            self._images,
            self._at[chosen],
            self.classes,
            self._ignored,
        )
        taken.ids = tuple(self.ids[index] for index in chosen)
        taken.labels = None if self.labels is None else _freeze(self.labels[chosen])
        taken.groups = None if self.groups is None else _freeze(self.groups[chosen])
        taken.parts = None if part or self.parts is None else _freeze(self.parts[chosen])
        taken._times = self._times + part
        return taken

    def _label(self, index: int) -> Any:
        if self.labels is None:
            return None
        label = self.labels[index]
        return tuple(self.classes[code] for code in np.flatnonzero(label)) if self.multi_label else self.classes[label]


def _title(label: Any) -> str:
    if isinstance(label, tuple):  # several labels an image, of which there may be none
        return ", ".join(map(str, label)) or "none"
    return "" if label is None else str(label)


def _freeze(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _joined(first: NDArray[Any] | None, second: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if first is None or second is None else _freeze(np.concatenate([first, second]))


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    refuse([not_size("image_size", size, side=True)])
    height, width = size if isinstance(size, tuple | list) else (size, size)
    return int(height), int(width)
