"""How a `Dataset` is made: one class method for each source."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from imgcls._checks import some
from imgcls.datasets import _builtin, _folders, _interop, _labels, _parts, _sources, _tables
from imgcls.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd


class Constructors:
    """The sources of a `Dataset`, which is the one class that inherits this."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, images: Any, labels: Any = None, **options: Any) -> None: ...

    @classmethod
    def from_folder(cls, folder: str | Path, *, classes: Sequence[Any] | None = None, groups: Any = None) -> Self:
        """Read a folder with one sub-folder for each class, or with `train/`, `validation/`, `test/` that hold those.

        Images may lie deeper below their class. Hidden files, other file types and empty folders are ignored and
        listed in `ignored`. The folder is never changed.

        Args:
            folder: The folder.
            classes: The class folders to read, in this order; None for all, sorted by name. Numbers become text.
            groups: What must not straddle a split: N names, or as in `from_files` a pattern or a function.

        Raises:
            DataError: The folder does not exist, or its images lie outside class sub-folders.
            EmptyDatasetError: There is no image in it.

        Examples:
            >>> from imgcls import Dataset
            >>> import imgcls, pathlib
            >>> from imgcls.datasets import write_png
            >>> for sample in Dataset.builtin("digits")[:20]:
            ...     pathlib.Path("photos", sample.label).mkdir(parents=True, exist_ok=True)
            ...     write_png(sample.image, f"photos/{sample.label}/{sample.id}.png")
            >>> Dataset.from_folder("photos").counts()["7"]
            2
        """
        found = _folders.walk(Path(folder), classes)
        files = _sources.Files(folder, found.ids)
        return cls(
            files,
            _labels.named(found.codes, found.classes),  # a folder may be called "10", which is no position
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
        multi_label: bool | None = None,
    ) -> Self:
        r"""Read image files whose labels stand in a list, in their names, or follow from a function.

        Args:
            paths: N files; a folder, for all images below it; or a pattern such as "photos/*.jpg".
            labels: N labels; a regular expression, whose group `label`, or else first group without a name, is the
                label; or a function from a `Path` to its label, such as `lambda path: path.parent.name`.
            classes: Class names in order; None for the labels found, sorted.
            groups: What must not straddle a split, such as patients: N names, a regular expression (group `group`, or
                else the first without a name), or a function.
            multi_label: As in `from_arrays`.

        Raises:
            DataError: A file does not exist, the expression does not match, or labels and files differ in number.
            EmptyDatasetError: There are no files.

        Examples:
            >>> from imgcls import Dataset
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
            multi_label=multi_label,
        )

    @classmethod
    def from_frame(
        cls,
        frame: "pd.DataFrame",
        *,
        image: str | int = "image",
        label: str | int | Sequence[str | int] = "label",
        root: str | Path | None = None,
        classes: Sequence[Any] | None = None,
        group: str | int | None = None,
        part: str | int | None = None,
        delimiter: str | None = None,
    ) -> Self:
        """Read a pandas frame with one row for each image.

        Args:
            frame: The table.
            image: The column of image paths. In a table without a header, columns are called by their numbers, from 0.
            label: The column of labels, or of lists of them for several labels an image; or several columns of zeros
                and ones, one for each class.
            root: The folder that the paths are relative to; None for the working directory.
            classes: Class names in order; None for the labels found, sorted, or for the order of several columns.
            group: The column of group names.
            part: The column that says "train", "validation" or "test" (or "val", "training" and the like).
            delimiter: What separates several labels in one cell, such as "|"; an empty cell means none of them.

        Raises:
            ConfigurationError: A column does not exist, `classes` are not the columns of labels, or `delimiter` stands
                beside several of these.
            DataError: A file does not exist or a label is missing.

        Examples:
            >>> from imgcls import Dataset
            >>> import pandas as pd
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> Dataset.from_frame(pd.DataFrame({"image": ["three.png"], "label": ["three"]}))
            Dataset(1 image, 1 class: 'three')
            >>> Dataset.from_frame(pd.DataFrame({"image": ["three.png"], "label": ["odd|prime"]}), delimiter="|")
            Dataset(1 image, 2 classes: 'odd', 'prime', several labels an image)
        """
        several = not isinstance(label, str | int | np.integer)
        columns = [str(label)] if isinstance(label, str | int | np.integer) else [str(name) for name in label]
        if several and delimiter is not None:
            message = (
                f"delimiter={delimiter!r} divides the cells of one column, and label= names {some(columns)}, whose "
                "cells are 0 or 1. Leave it out, or name the one column that holds several labels in a cell."
            )
            raise ConfigurationError(message)
        image, group, part = str(image), None if group is None else str(group), None if part is None else str(part)
        _tables.check_columns(frame, [image, *columns], group=group, part=part)
        frame = frame.rename(columns=str)
        if several and classes is not None:
            columns = _in_order(columns, classes)
        names = _tables.file_names(frame[image])
        files = _sources.existing(names, root=root)
        labels: Any = frame[columns if several else columns[0]].to_numpy()
        if delimiter is not None:
            labels = _labels.divided(labels, delimiter)
        return cls(
            files,
            labels,
            classes=columns if several else classes,
            ids=names,
            groups=frame[group].tolist() if group else None,
            parts=_parts.part_names(frame[part], f"column {part!r}") if part else None,
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
    ) -> Self:
        r"""Read a CSV file with one row for each image; paths are relative to the CSV file's folder, or to `root`.

        The other arguments are those of `from_frame`. Labels are text, as in the file ("007" stays "007"), and only an
        empty cell is a missing label: a class may be called "NA" or "None".

        Examples:
            >>> from imgcls import Dataset
            >>> import pathlib
            >>> from imgcls.datasets import write_png
            >>> write_png(Dataset.builtin("digits")[3].image, "three.png")
            >>> _ = pathlib.Path("labels.csv").write_text("image,label\nthree.png,three\n")
            >>> Dataset.from_csv("labels.csv")
            Dataset(1 image, 1 class: 'three')
        """
        frame = _tables.read_csv(Path(path))
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
        ids: Sequence[Any] | None = None,
        groups: Sequence[Any] | None = None,
        multi_label: bool | None = None,
    ) -> Self:
        """Take images that are in memory.

        Args:
            images: `uint8 (N, H, W)` or `(N, H, W, C)`; or a list of arrays of different sizes. C = 1 is grayscale,
                3 RGB, 4 RGBA; any other number of channels trains our own CNNs.
            labels: N names or integers; N lists of names, for several labels an image; or (N, K) zeros and ones,
                where rows with exactly one 1 each are one-hot. Of a pandas frame of these, the columns are the classes.
            classes: Class names in order; labels are then names among them or integers into them.
            ids: N names; None for positions. Numbers and paths become text.
            groups: N group names.
            multi_label: Whether (N, K) labels, or one label an image, plain or in a list of its own, mean several
                labels an image; None decides from the rows.

        Raises:
            DataError: Wrong dtype, range or shape, NaN labels, images and labels of different length.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Dataset
            >>> Dataset.from_arrays(np.zeros((2, 28, 28), np.uint8), ["cat", "dog"])
            Dataset(2 images, 2 classes: 'cat', 'dog')
        """
        checked = _sources.check_arrays(images)
        return cls(checked, labels, classes=classes, ids=ids, groups=groups, multi_label=multi_label)

    @classmethod
    def builtin(cls, name: str, *, path: str | Path | None = None) -> Self:
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
            >>> from imgcls import Dataset
            >>> len(Dataset.builtin("digits"))
            1797
        """
        loaded = _builtin.load(name, None if path is None else Path(path))
        return cls(loaded.images, loaded.labels, classes=loaded.classes, parts=loaded.parts, ids=loaded.ids)

    @classmethod
    def from_tf(cls, dataset: Any, *, classes: Sequence[Any] | None = None) -> Self:
        """Take the images of a finite `tf.data.Dataset` into memory.

        Args:
            dataset: Elements (image, label), or dictionaries with "image" and "label", or images alone; in batches or
                not, but batches of images alone have an axis of channels. Images 0-255, `uint8` or floating-point
                (rounded); labels integers, names or one-hot rows.
            classes: Class names in order; None for its `class_names`, which `image_dataset_from_directory` sets, or
                the labels found. Integer labels are positions in `class_names` where it has those, else in `classes`.

        Raises:
            ConfigurationError: It is no `tf.data.Dataset`, it never ends, or its elements hold more, such as weights.
            DataError: The images are not 0-255, or a label is none of `classes`.
        """
        images, labels, names = _interop.from_tf(dataset)
        return cls.from_arrays(images, labels, classes=names if classes is None else classes)

    @classmethod
    def from_huggingface(
        cls, dataset: Any, *, image: str | None = None, label: str | None = None, classes: Sequence[Any] | None = None
    ) -> Self:
        """Read a Hugging Face `datasets.Dataset`; images stay where they are and are decoded by our decoder.

        Args:
            dataset: One split, such as `load_dataset("beans")["train"]`, or a dictionary of splits, which become
                `parts`. A format or a transform that was set on it is not applied.
            image: The column of images; None for the only one.
            label: The column of labels; None for the only `ClassLabel` column, or one called "label".
            classes: Class names in order; None for those of the column, as the first split that has them orders them.

        Raises:
            ConfigurationError: It is no such dataset, or a column must be named.
            DataError: A split is called neither train, validation nor test, or an image has no label, or one that is
                none of `classes`.
        """
        found = _interop.from_huggingface(dataset, image, label)
        return cls(found.images, found.labels, classes=found.classes if classes is None else classes, parts=found.parts)


def _in_order(columns: Sequence[str], classes: Sequence[Any]) -> list[str]:
    """Return columns, one for each class, in the order of `classes`."""
    wanted = [str(name) for name in classes]
    if sorted(wanted) != sorted(columns):
        message = (
            f"classes= names {some(wanted)}, and the columns of labels are {some(columns)}. Accepted: the same names "
            "in the order that you want, or None for the order of the columns."
        )
        raise ConfigurationError(message)
    return wanted
