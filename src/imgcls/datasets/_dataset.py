"""`Dataset`: labelled images, lazy and immutable."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls._checks import some
from imgcls.datasets import _builtin, _images, _labels, _sources, _split
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its label.

    Attributes:
        image: `uint8 (H, W, C)`, 0-255; C is 1 for a grayscale image, else 3.
        label: The class, or a tuple of classes for several labels an image; None without labels.
        id: The name of the image within its dataset: a relative path, or a position.
    """

    image: NDArray[np.uint8]
    label: Any
    id: str

    def __repr__(self) -> str:
        height, width, channels = self.image.shape
        return f"Sample({height} x {width} {'gray' if channels == 1 else 'RGB'}, label {self.label!r}, id {self.id!r})"


@final
class Dataset:
    """Labelled images: indexable, lazy, immutable. Images are decoded when they are asked for.

    Made by `from_folder`, `from_files`, `from_frame`, `from_csv`, `from_arrays` and `builtin`.

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
        (1438, 359)
    """

    __slots__ = ("_at", "_ignored", "_images", "classes", "groups", "ids", "labels", "parts")

    def __init__(
        self,
        images: Any,
        labels: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
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
        self.ids: tuple[str, ...] = tuple(ids) if ids is not None else tuple(map(str, range(count)))
        self.labels: NDArray[Any] | None = None
        self.classes: _labels.Classes = () if classes is None else _labels.check_classes(classes)
        if labels is not None:
            self.labels, self.classes = _labels.encode(labels, count=count, classes=classes, multi_label=multi_label)
            _freeze(self.labels)
        self.groups = None if groups is None else _freeze(np.array(groups))
        self.parts = None if parts is None else _freeze(np.array(parts))
        for name, given in (("ids", self.ids), ("groups", self.groups), ("parts", self.parts)):
            if given is not None and len(given) != count:
                message = f"there are {count:,} images and {len(given):,} {name}. Give one for each image."
                raise DataError(message)
        self._ignored = dict(ignored or {})

    # --- sources -------------------------------------------------------------------------------------------------

    @classmethod
    def from_folder(cls, folder: str | Path, *, classes: Sequence[str] | None = None) -> "Dataset":
        """Read a folder with one sub-folder for each class, or with `train/`, `validation/`, `test/` that hold those.

        Images may lie deeper below their class. Hidden files, other file types and empty folders are ignored and
        listed in `ignored`. The folder is never changed.

        Args:
            folder: The folder.
            classes: The class folders to read, in this order; None for all, sorted by name.

        Raises:
            DataError: The folder does not exist, or its images lie outside class sub-folders.
            EmptyDatasetError: There is no image in it.

        Examples:
            >>> import imgcls, pathlib
            >>> from imgcls.datasets import write_png
            >>> for sample in Dataset.builtin("digits")[:20]:
            ...     pathlib.Path("photos", sample.label).mkdir(parents=True, exist_ok=True)
            ...     write_png(sample.image, f"photos/{sample.label}/{sample.id}.png")
            >>> Dataset.from_folder("photos").counts()["7"]
            2
        """
        found = _sources.walk(Path(folder), classes)
        return cls(
            found.paths, found.labels, classes=found.classes, ids=found.ids, parts=found.parts, ignored=found.ignored
        )

    @classmethod
    def from_files(
        cls,
        paths: Sequence[str | Path],
        labels: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        groups: Sequence[Any] | None = None,
    ) -> "Dataset":
        """Read a list of image files.

        Args:
            paths: N files.
            labels: N labels, or a function from a path to its label, such as `lambda path: path.parent.name`.
            classes: Class names in order; None for the labels found, sorted.
            groups: N group names.

        Raises:
            DataError: A file does not exist, or labels and files differ in number.
            EmptyDatasetError: The list is empty.

        Examples:
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> Dataset.from_files(["three.png"], ["three"])[0].label
            'three'
        """
        paths = paths if isinstance(paths, str | Path) else list(paths)  # `Path.glob` can be walked once
        files = _sources.existing(paths)
        if callable(labels):
            labels = [labels(path) for path in files]
        return cls(files, labels, classes=classes, ids=[str(path) for path in paths], groups=groups)

    @classmethod
    def from_frame(
        cls,
        frame: "pd.DataFrame",
        *,
        image: str = "image",
        label: str | Sequence[str] = "label",
        root: str | Path | None = None,
        classes: Sequence[Any] | None = None,
        group: str | None = None,
    ) -> "Dataset":
        """Read a pandas frame with one row for each image.

        Args:
            frame: The table.
            image: The column of image paths.
            label: The column of labels; or several columns of zeros and ones, one for each class.
            root: The folder that the paths are relative to; None for the working directory.
            classes: Class names in order; None for the labels found, sorted.
            group: The column of group names.

        Raises:
            ConfigurationError: A column does not exist.
            DataError: A file does not exist or a label is missing.

        Examples:
            >>> import pandas as pd
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> Dataset.from_frame(pd.DataFrame({"image": ["three.png"], "label": ["three"]}))
            Dataset(1 image, 1 class: 'three')
        """
        several = not isinstance(label, str)
        columns = list(label) if several else [label]
        _sources.check_columns(frame, [image, *columns, *([group] if group else [])])
        names = _sources.file_names(frame[image])
        files = _sources.existing(names, root=root)
        labels = frame[columns].to_numpy() if several else frame[label].to_numpy()
        return cls(
            files,
            labels,
            classes=columns if several else classes,
            ids=names,
            groups=frame[group].tolist() if group else None,
            multi_label=True if several else None,
        )

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        *,
        image: str = "image",
        label: str | Sequence[str] = "label",
        root: str | Path | None = None,
        classes: Sequence[Any] | None = None,
        group: str | None = None,
    ) -> "Dataset":
        r"""Read a CSV file with one row for each image; paths are relative to the CSV file's folder, or to `root`.

        The other arguments are those of `from_frame`. Labels are text, as in the file ("007" stays "007"), and only an
        empty cell is a missing label: a class may be called "NA" or "None".

        Examples:
            >>> import pathlib
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> _ = pathlib.Path("labels.csv").write_text("image,label\nthree.png,three\n")
            >>> Dataset.from_csv("labels.csv")
            Dataset(1 image, 1 class: 'three')
        """
        frame = _sources.read_csv(Path(path))
        folder = Path(path).parent if root is None else root
        return cls.from_frame(frame, image=image, label=label, root=folder, classes=classes, group=group)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        multi_label: bool | None = None,
    ) -> "Dataset":
        """Take images that are in memory.

        Args:
            images: `uint8 (N, H, W)` or `(N, H, W, C)`, C = 1, 3 or 4; or a list of arrays of different sizes.
            labels: N names or integers; or (N, K) zeros and ones, where rows with exactly one 1 each are one-hot.
            classes: Class names in order; labels are then names among them or integers into them.
            ids: N names; None for positions.
            groups: N group names.
            multi_label: Whether (N, K) labels mean several labels an image; None decides from the rows.

        Raises:
            DataError: Wrong dtype, range or shape, NaN labels, images and labels of different length.

        Examples:
            >>> import numpy as np
            >>> Dataset.from_arrays(np.zeros((2, 28, 28), np.uint8), ["cat", "dog"])
            Dataset(2 images, 2 classes: 'cat', 'dog')
        """
        checked = _sources.check_arrays(images)
        return cls(checked, labels, classes=classes, ids=ids, groups=groups, multi_label=multi_label)

    @classmethod
    def builtin(cls, name: str, *, path: str | Path | None = None) -> "Dataset":
        """Load a well-known set.

        Args:
            name: "digits" (ships inside scikit-learn, no network), "mnist", "fashion_mnist", "cifar10" or "cifar100".
            path: Files already on disk: an `.npz`, a folder of IDX files (`.gz` or not), a folder or `.tar.gz` of
                CIFAR's python or binary batches. None asks `keras.datasets`, which downloads what it has not kept.

        Returns:
            A Dataset; all but "digits" know their `parts` "train" and "test".

        Raises:
            ConfigurationError: The name is not known.
            DataError: The files are missing or not what they should be, or the download failed.

        Examples:
            >>> len(Dataset.builtin("digits"))
            1797
        """
        loaded = _builtin.load(name, None if path is None else Path(path))
        return cls(loaded.images, loaded.labels, classes=loaded.classes, parts=loaded.parts, ids=loaded.ids)

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
        """Whether the source is divided into at least two of "train", "validation" and "test"."""
        return self.parts is not None and len(set(self.parts.tolist())) > 1

    def read(
        self, index: int, *, size: tuple[int, int] | None = None, channels: int | None = None
    ) -> NDArray[np.uint8]:
        """Decode the image at `index`: `uint8 (H, W, C)`.

        Args:
            index: The position, from 0.
            size: (height, width) to resize to; None for its own.
            channels: 1 for grayscale, 3 for RGB, None for what the image is.
        """
        name = f"image {self.ids[index]!r}"
        image = _images.read(self._images[self._at[index]], size=size, channels=channels, name=name)
        return _freeze(image.view())  # an array in memory may be the dataset's own

    def source(self, index: int) -> Any:
        """Return where the image at `index` comes from, not decoded: a path, bytes, a PIL image or an array."""
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

    def show(self, n: int = 16) -> NDArray[Any]:
        """Draw the first `n` images with their labels and return the Axes (n,)."""
        shown = [self[index] for index in range(min(n, len(self)))]
        titles = ["" if sample.label is None else str(sample.label) for sample in shown]
        return plotting.image_grid([sample.image for sample in shown], titles)

    # --- dividing ------------------------------------------------------------------------------------------------

    def split(
        self, fractions: Sequence[float] | None = None, *, seed: int = 0, groups: Sequence[Any] | None = None
    ) -> tuple["Dataset", ...]:
        """Divide into stratified parts.

        Every part has about the same share of every class, and at least one image of each class as far as they go.
        Which image goes where follows from `seed` and the image's id, not from the order of files.

        Args:
            fractions: The share of each part, summing to 1, such as (0.7, 0.15, 0.15). None takes the parts that the
                source is divided into already.
            seed: Another seed, another split.
            groups: N group names that never straddle; None takes the dataset's own `groups`.

        Returns:
            One Dataset for each fraction.

        Raises:
            ConfigurationError: The fractions are not positive or do not sum to 1.
            DataError: There are too few images, or `fractions` is None and the source is not divided.

        Examples:
            >>> [len(part) for part in Dataset.builtin("digits").split((0.7, 0.15, 0.15))]
            [1259, 270, 268]
        """
        if fractions is None:
            if self.parts is None:
                message = "the source is not divided into train/ and test/. Give fractions, such as (0.8, 0.2)."
                raise DataError(message)
            return tuple(self.subset(name) for name in ("train", "validation", "test") if name in self.parts)
        shares = _split.check_fractions(fractions)
        strata = [0] * len(self) if self.labels is None else [row.tobytes() for row in self.labels]
        units = self.groups if groups is None else groups
        if units is not None and len(units) != len(self):
            message = f"there are {len(self):,} images and {len(units):,} groups. Give one for each image."
            raise DataError(message)
        chosen = _split.stratified(strata, self.ids, shares, seed=seed, groups=units)
        if not all(len(part) for part in chosen):
            kind = "images" if units is None else "groups"
            message = f"{len(self):,} images do not fill {len(shares)} parts. Give fewer parts or more {kind}."
            raise EmptyDatasetError(message)
        return tuple(self._take(part, divided=False) for part in chosen)

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
        return self._take(np.flatnonzero(self.parts == part), divided=False)

    def align(self, classes: Sequence[Any]) -> "Dataset":
        """Return the same images with labels coded in the order of `classes`.

        Integer labels that are not classes themselves are read as positions in `classes`.

        Raises:
            DataError: A label is not one of `classes`.

        Examples:
            >>> import numpy as np
            >>> dogs = Dataset.from_arrays(np.zeros((2, 8, 8), np.uint8), ["dog", "dog"])
            >>> dogs.align(["cat", "dog"]).labels.tolist()
            [1, 1]
        """
        if self.labels is None or tuple(classes) == self.classes:
            return self
        if self.multi_label:
            if set(classes) != set(self.classes):
                message = f"the classes are {some(self.classes)} and not {some(list(classes))}. Give the same columns."
                raise DataError(message)
            labels: Any = self.labels[:, [self.classes.index(name) for name in classes]]
        else:
            labels = np.array(self.classes, dtype=object)[self.labels]
        aligned = self._take(np.arange(len(self)))
        aligned.labels, aligned.classes = _labels.encode(
            labels, count=len(self), classes=classes, multi_label=self.multi_label
        )
        _freeze(aligned.labels)
        return aligned

    # --- inside --------------------------------------------------------------------------------------------------

    def _take(self, chosen: NDArray[np.int64], *, divided: bool = True) -> "Dataset":
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
        taken.parts = _freeze(self.parts[chosen]) if divided and self.parts is not None else None
        return taken

    def _label(self, index: int) -> Any:
        if self.labels is None:
            return None
        label = self.labels[index]
        return tuple(self.classes[code] for code in np.flatnonzero(label)) if self.multi_label else self.classes[label]


def _freeze(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
