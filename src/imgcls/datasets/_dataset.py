"""`Dataset`: labelled images, lazy and immutable."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls._checks import not_whole, refuse, some, unknown_name
from imgcls.datasets import _builtin, _check, _duplicates, _images, _interop, _labels, _sources, _split
from imgcls.datasets._data_report import DataReport
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
        (1408, 389)
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
    def from_folder(cls, folder: str | Path, *, classes: Sequence[str] | None = None, groups: Any = None) -> "Dataset":
        """Read a folder with one sub-folder for each class, or with `train/`, `validation/`, `test/` that hold those.

        Images may lie deeper below their class. Hidden files, other file types and empty folders are ignored and
        listed in `ignored`. The folder is never changed.

        Args:
            folder: The folder.
            classes: The class folders to read, in this order; None for all, sorted by name.
            groups: What must not straddle a split: N names, or as in `from_files` a pattern or a function.

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
        files = _sources.Files(folder, found.ids)
        return cls(
            files,
            np.array(found.codes),
            classes=found.classes,
            ids=found.ids,
            groups=_sources.from_names("group", groups, found.ids, files),
            parts=found.parts,
            ignored=found.ignored,
        )

    @classmethod
    def from_files(
        cls,
        paths: Any,
        labels: Any = None,
        *,
        classes: Sequence[Any] | None = None,
        groups: Any = None,
    ) -> "Dataset":
        r"""Read image files whose labels stand in a list, in their names, or follow from a function.

        Args:
            paths: N files; a folder, for all images below it; or a pattern such as "photos/*.jpg".
            labels: N labels; a regular expression, whose group `label` or first group is the label; or a function
                from a `Path` to its label, such as `lambda path: path.parent.name`.
            classes: Class names in order; None for the labels found, sorted.
            groups: What must not straddle a split, such as patients: N names, a regular expression (group `group` or
                the first), or a function.

        Raises:
            DataError: A file does not exist, the expression does not match, or labels and files differ in number.
            EmptyDatasetError: There are no files.

        Examples:
            >>> from imgcls.datasets import write_png
            >>> for sample in Dataset.builtin("digits")[:20]:
            ...     write_png(sample.image, f"digit_{sample.label}_{sample.id}.png")
            >>> Dataset.from_files("digit_*.png", r"digit_(\d)_").counts()["7"]
            2
        """
        files, names, ignored = _sources.files_of(paths)
        return cls(
            files,
            _sources.from_names("label", labels, names, files),
            classes=classes,
            ids=names,
            groups=_sources.from_names("group", groups, names, files),
            ignored=ignored,
        )

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
        part: str | None = None,
        delimiter: str | None = None,
    ) -> "Dataset":
        """Read a pandas frame with one row for each image.

        Args:
            frame: The table.
            image: The column of image paths.
            label: The column of labels; or several columns of zeros and ones, one for each class.
            root: The folder that the paths are relative to; None for the working directory.
            classes: Class names in order; None for the labels found, sorted.
            group: The column of group names.
            part: The column that says "train", "validation" or "test" (or "val", "training" and the like).
            delimiter: What separates several labels in one cell, such as "|"; an empty cell means none of them.

        Raises:
            ConfigurationError: A column does not exist.
            DataError: A file does not exist or a label is missing.

        Examples:
            >>> import pandas as pd
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> Dataset.from_frame(pd.DataFrame({"image": ["three.png"], "label": ["three"]}))
            Dataset(1 image, 1 class: 'three')
            >>> Dataset.from_frame(pd.DataFrame({"image": ["three.png"], "label": ["odd|prime"]}), delimiter="|")
            Dataset(1 image, 2 classes: 'odd', 'prime', several labels an image)
        """
        several = not isinstance(label, str)
        columns = list(label) if several else [label]
        _sources.check_columns(frame, [image, *columns, *([group] if group else []), *([part] if part else [])])
        names = _sources.file_names(frame[image])
        files = _sources.existing(names, root=root)
        labels: Any = frame[columns].to_numpy() if several else frame[label].to_numpy()
        if delimiter is not None and not several:
            labels = _labels.divided(labels, delimiter)
        return cls(
            files,
            labels,
            classes=columns if several else classes,
            ids=names,
            groups=frame[group].tolist() if group else None,
            parts=_sources.part_names(frame[part]) if part else None,
            multi_label=True if several or delimiter is not None else None,
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
        part: str | None = None,
        delimiter: str | None = None,
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
        return cls.from_frame(
            frame, image=image, label=label, root=folder, classes=classes, group=group, part=part, delimiter=delimiter
        )

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
            images: `uint8 (N, H, W)` or `(N, H, W, C)`; or a list of arrays of different sizes. C = 1 is grayscale,
                3 RGB, 4 RGBA; any other number of channels trains our own CNNs.
            labels: N names or integers; N lists of names, for several labels an image; or (N, K) zeros and ones,
                where rows with exactly one 1 each are one-hot.
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

    @classmethod
    def from_tf(cls, dataset: Any, *, classes: Sequence[Any] | None = None) -> "Dataset":
        """Take the images of a finite `tf.data.Dataset` into memory.

        Args:
            dataset: Elements (image, label), or dictionaries with "image" and "label", or images alone; in batches or
                not. Images 0-255, `uint8` or floating-point (rounded); labels integers, names or one-hot rows.
            classes: Class names in order; None for its `class_names`, which `image_dataset_from_directory` sets, or
                the labels found.

        Raises:
            ConfigurationError: It is no `tf.data.Dataset`, or it never ends.
            DataError: The images are not 0-255.
        """
        images, labels, names = _interop.from_tf(dataset)
        return cls.from_arrays(images, labels, classes=names if classes is None else classes)

    @classmethod
    def from_huggingface(
        cls, dataset: Any, *, image: str | None = None, label: str | None = None, classes: Sequence[Any] | None = None
    ) -> "Dataset":
        """Read a Hugging Face `datasets.Dataset`; images stay where they are and are decoded by our decoder.

        Args:
            dataset: One split, such as `load_dataset("beans")["train"]`, or a dictionary of splits, which become
                `parts`.
            image: The column of images; None for the only one.
            label: The column of labels; None for the only `ClassLabel` column, or one called "label".
            classes: Class names in order; None for those of the column.

        Raises:
            ConfigurationError: It is no such dataset, or a column must be named.
        """
        found = _interop.from_huggingface(dataset, image, label)
        return cls(found.images, found.labels, classes=found.classes if classes is None else classes, parts=found.parts)

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

    def check(self, *, verbose: Any = "auto", against: "Dataset | None" = None) -> DataReport:
        """Look at every image once and report what is wrong: unreadable files, copies, leaks, odd classes and images.

        Nothing is changed or moved. What files are like is kept, so that a second check reads only what has changed.

        Args:
            verbose: 0 for nothing, 1 for a live bar, 2 for lines, "auto" for what the place can show.
            against: Another dataset, such as a test set, that must not hold images of this one.

        Returns:
            A `DataReport`: print it, `save("data.html")`, `to_frame()`.

        Examples:
            >>> print(Dataset.builtin("digits").check(verbose=0).findings)
            ()
        """
        return _check.check(self, verbose=verbose, against=against)

    def show(self, n: int = 16) -> NDArray[Any]:
        """Draw the first `n` images with their labels and return the Axes (n,)."""
        shown = [self[index] for index in range(min(n, len(self)))]
        titles = ["" if sample.label is None else str(sample.label) for sample in shown]
        return plotting.image_grid([sample.image for sample in shown], titles)

    # --- dividing ------------------------------------------------------------------------------------------------

    def split(
        self,
        fractions: Sequence[float] | None = None,
        *,
        seed: int = 0,
        groups: Sequence[Any] | None = None,
        duplicates: str | None = "near",
        file: str | Path | None = None,
        verbose: Any = 0,
    ) -> tuple["Dataset", ...]:
        """Divide into stratified parts that copies of one image, and images of one group, never straddle.

        What an image is decides its part: a hash of `seed` and its content (or its id, or its group). Files that are
        added later move none of the old ones, as long as every part has every class. A part has its share of a class as
        closely as independent draws have it, and at least one image as far as they go.

        Args:
            fractions: The share of each part, summing to 1, such as (0.7, 0.15, 0.15). None takes the parts that the
                source is divided into already.
            seed: Another seed, another split.
            groups: N group names that never straddle; None takes the dataset's own `groups`.
            duplicates: Which copies stay together: "near" (re-encoded, resized or mirrored ones too), "exact" (the
                same bytes or pixels), or None, which reads no image and goes by ids.
            file: A CSV file (columns id, part) that remembers the split: images that it lists go where it says, all
                others are dealt and added to it. It is made where there is none.
            verbose: 0 for nothing, 1 for a live bar while duplicates are searched, "auto" for what the place can show.

        Returns:
            One Dataset for each fraction.

        Raises:
            ConfigurationError: The fractions are not positive or do not sum to 1.
            DataError: There are too few images, or `fractions` is None and the source is not divided.

        Examples:
            >>> [len(part) for part in Dataset.builtin("digits").split((0.7, 0.15, 0.15))]
            [1228, 274, 295]
        """
        if fractions is None:
            if self.parts is None:
                message = "the source is not divided into train/ and test/. Give fractions, such as (0.8, 0.2)."
                raise DataError(message)
            return tuple(self.subset(name) for name in ("train", "validation", "test") if name in self.parts)
        shares = _split.check_fractions(fractions)
        part = self._deal(shares, seed, groups, duplicates, verbose)
        if file is not None:
            known = _split.read_saved(Path(file), len(shares))
            part = np.array([known.get(name, one) for name, one in zip(self.ids, part.tolist(), strict=True)])
            _split.write_saved(Path(file), known | dict(zip(self.ids, part.tolist(), strict=True)), len(shares))
        chosen = [np.flatnonzero(part == number) for number in range(len(shares))]
        if not all(map(len, chosen)):
            message = (
                f"{len(self):,} images do not fill {len(shares)} parts. Give fewer parts or more images; copies of one "
                "image and images of one group stay together."
            )
            raise EmptyDatasetError(message)
        return tuple(self._take(positions, divided=False) for positions in chosen)

    def folds(
        self,
        count: int = 5,
        *,
        seed: int = 0,
        groups: Sequence[Any] | None = None,
        duplicates: str | None = "near",
        verbose: Any = 0,
    ) -> tuple[tuple["Dataset", "Dataset"], ...]:
        """Divide for cross-validation: `count` pairs (training, validation), every image in one validation part.

        The other arguments and the guarantees are those of `split`.

        Examples:
            >>> pairs = Dataset.builtin("digits").folds(3)
            >>> sum(len(validation) for _, validation in pairs)
            1797
        """
        refuse([not_whole("count", count, least=2)])
        held_out = self.split((1 / count,) * count, seed=seed, groups=groups, duplicates=duplicates, verbose=verbose)
        everything = np.ones(len(self), bool)
        position = {name: index for index, name in enumerate(self.ids)}
        pairs = []
        for validation in held_out:
            training = everything.copy()
            training[[position[name] for name in validation.ids]] = False
            pairs.append((self[training], validation))
        return tuple(pairs)

    def _deal(
        self, shares: tuple[float, ...], seed: int, groups: Any, duplicates: str | None, verbose: Any
    ) -> NDArray[np.int64]:
        """Return the part of each image, 0..P-1."""
        refuse(
            [
                not_whole("seed", seed, least=0),
                unknown_name("duplicates", duplicates, ("near", "exact", None)),
            ]
        )
        groups = self.groups if groups is None else groups
        if groups is not None and len(groups) != len(self):
            message = f"there are {len(self):,} images and {len(groups):,} groups. Give one for each image."
            raise DataError(message)
        if duplicates is None:
            unit, names = _split.units(self.ids, groups)
        else:
            copies = _duplicates.clusters(self, near=duplicates == "near", verbose=verbose)
            unit, names = _split.units(copies.keys, groups, copies.cluster, copies.size)
        return _split.stratified(self.labels, unit, names, shares, seed=seed)[unit]

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
            if set(classes) != set(self.classes):  # a column that is missing does not mean "none of these"
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

    def __add__(self, other: "Dataset") -> "Dataset":
        """Return the images of both; classes are matched by name, new ones come last.

        Where both use an id, the ids of the first get the prefix "1/" and those of the second "2/".

        Raises:
            DataError: One is labelled and the other not, or their labels are of different kinds.

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
        names: tuple[Any, ...] = tuple(dict.fromkeys([*self.classes, *other.classes]))
        first, second = self.align(names), other.align(names)
        clash = not set(self.ids).isdisjoint(other.ids)
        ids = [f"{prefix}/{name}" if clash else name for prefix, one in ((1, self), (2, other)) for name in one.ids]
        both = object.__new__(Dataset)
        both._images = [one.source(index) for one in (self, other) for index in range(len(one))]
        both._at, both.ids, both.classes = np.arange(len(ids)), tuple(ids), first.classes
        both.labels = _joined(first.labels, second.labels)
        both.groups, both.parts = _joined(self.groups, other.groups), _joined(self.parts, other.parts)
        both._ignored = {**self._ignored, **other._ignored}
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


def _joined(first: NDArray[Any] | None, second: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if first is None or second is None else _freeze(np.concatenate([first, second]))


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    refuse([not_whole("image_size", side) for side in sides])
    return int(sides[0]), int(sides[-1])
