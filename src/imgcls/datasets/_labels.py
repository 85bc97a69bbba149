"""From what people call labels to integer codes and class names.

Codes are `int64 (N,)` into `classes` for one label an image, or a `uint8 (N, K)` indicator for several. A label comes
back as it went in: names stay names, integers stay integers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean, some
from imgcls.errors import DataError

Classes = tuple[str, ...] | tuple[int, ...]

_HALF = re.compile("[\ud800-\udfff]")  # of a character; so Python reads a name that is no UTF-8
_WHOLE = re.compile(r"[-+]?[0-9]{1,99}(\.0*)?")  # a number in text, as tables have it


def encode(
    labels: Any, *, count: int, classes: Sequence[Any] | None = None, multi_label: bool | None = None
) -> tuple[NDArray[Any], Classes]:
    """Encode the labels of `count` images.

    Args:
        labels: N names or integers; N lists, tuples or sets of names, for several labels an image; or (N, K)
            zeros and ones, whose classes are the columns of a frame. Rows with exactly one 1 each are one-hot labels of
            one class an image, unless `multi_label` is True.
        count: How many images there are.
        classes: Class names in order; labels are then names among them or integers into them.
        multi_label: Whether a (N, K) array, or one name or number each, mean several labels an image; None decides from
            the rows.

    Returns:
        Codes `int64 (N,)` or an indicator `uint8 (N, K)`, and the classes.

    Raises:
        DataError: A label is missing or of the wrong kind, there are more or fewer labels than images, or no classes.
    """
    if classes is not None and not len(classes):
        message = "classes names none. Accepted: at least one, or None for those that the labels name."
        raise DataError(message)
    if hasattr(labels, "columns"):
        labels, classes = _of_columns(labels, classes, multi_label)
    check_listed("labels", labels)
    labels = labels if hasattr(labels, "__len__") else list(labels)
    if isinstance(labels, np.ndarray) and labels.dtype == object and labels.ndim == 1:  # may hold lists, as of a frame
        labels = labels.tolist()
    if multi_label is not False and are_names_each(labels, multi_label):
        return _encode_names(labels, count, classes)
    array = labels if isinstance(labels, np.ndarray) else np.asarray(_listed(labels), dtype=object)
    if len(array) != count:
        message = f"there are {count:,} images and {len(array):,} labels. Give one label for each image."
        raise DataError(message)
    if array.ndim == 2 and array.shape[1] == 1 and not multi_label:
        array = array[:, 0]
    if array.ndim == 2:
        return _encode_indicator(array, classes, multi_label)
    if array.ndim != 1:
        message = f"labels have shape {array.shape}. Accepted: (N,) names or integers, or (N, K) zeros and ones."
        raise DataError(message)
    codes, names = _encode_single(array, classes)
    return ((codes[:, None] == np.arange(len(names))).astype(np.uint8) if multi_label else codes), names


def check_listed(what: str, given: Any) -> None:
    """Refuse what has no order that images could share: a mapping, a set, a whole table.

    Raises:
        DataError: It is one of these; of a mapping the keys alone would be read.
    """
    if isinstance(given, Mapping | set | frozenset) or hasattr(given, "columns"):
        message = (
            f"{what} are a {type(given).__name__}. Accepted: a list, an array or a column, one for each image in their "
            f"order, such as [{what}[name] for name in names]."
        )
        raise DataError(message)


def check_classes(classes: Sequence[Any]) -> Classes:
    """Check that `classes` are different names, or different integers; names are text that files can hold."""
    plain = [_plain(name) for name in classes]
    if len(set(plain)) != len(plain):
        twice = sorted({str(name) for name in plain if plain.count(name) > 1})
        message = f"classes names {some(twice)} more than once. Give each class one name."
        raise DataError(message)
    broken = next((name for name in plain if isinstance(name, str) and _HALF.search(name)), None)
    if broken is not None:
        message = (
            f"class {broken!r} is no text in UTF-8, so no file could hold it. Rename its folder, or mend the label: "
            f"for example {_HALF.sub('_', broken)!r}."
        )
        raise DataError(message)
    if all(isinstance(name, str) for name in plain):
        return tuple(str(name) for name in plain)
    if all(isinstance(name, int) for name in plain):
        return tuple(int(str(name)) for name in plain)
    message = f"classes are {some(plain)}. Accepted: names, or whole numbers, not both."
    raise DataError(message)


def are_labels(column: Any) -> bool:
    """Say whether a column holds labels, and a label for each image.

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets._labels import are_labels
        >>> are_labels(np.array(["cat", "dog"])), are_labels(np.array([0.7, 0.2])), are_labels(np.array(["cat", None]))
        (True, False, False)
    """
    try:
        encode(column, count=len(column))
    except DataError:
        return False
    return True


def called_alike(labels: Sequence[Any], classes: Sequence[Any]) -> list[Any]:
    """Return the classes that numbers are in text, or texts in numbers, where each is one: tables make 2 of "002".

    Examples:
        >>> from imgcls.datasets._labels import called_alike
        >>> called_alike([1, 2], ["1", "10", "2"]), called_alike(["1", "2"], [1, 2, 10])
        (['1', '2'], [1, 2])
        >>> called_alike([1, 2], ["001", "002", "010"])
        ['001', '002']
        >>> called_alike([0, 1], ["cat", "dog"])
        [0, 1]
    """
    if {isinstance(label, str) for label in labels} == {isinstance(name, str) for name in classes}:
        return list(labels)
    numbers = [_number(label) for label in labels]
    named = _by_number(classes)
    alike = len(set(numbers)) == len(numbers) and all(len(named.get(number, ())) == 1 for number in numbers)
    return [named[number][0] for number in numbers] if alike else list(labels)


def named(codes: Iterable[Any], names: Sequence[Any]) -> list[Any]:
    """Return the name of each code, a whole number from 0 into `names`.

    Raises:
        DataError: A number is no code.

    Examples:
        >>> from imgcls.datasets._labels import named
        >>> named([1, 0, 1], ["cat", "dog"])
        ['dog', 'cat', 'dog']
    """
    given = _listed(codes)
    name_of = dict(enumerate(names))  # 1.0 and True are found as 1
    wrong = [code for code in given if code not in name_of]
    if wrong:
        message = (
            f"{len(wrong):,} of {len(given):,} labels are no position in the {len(names)} class names {some(names)}, "
            f"first {wrong[0]!r}. Accepted: whole numbers from 0 to {len(names) - 1}. Mend these labels or leave them "
            "out."
        )
        raise DataError(message)
    return [name_of[code] for code in given]


def spread(indicator: Any, held: Sequence[Any], classes: Sequence[Any]) -> NDArray[np.uint8]:
    """Return an indicator of classes as one of more classes: those that it does not have are on no image.

    Args:
        indicator: `uint8 (N, H)`.
        held: The H classes of its columns.
        classes: K classes, and those among them.

    Returns:
        `uint8 (N, K)`.

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets._labels import spread
        >>> spread(np.array([[1, 0], [1, 1]], np.uint8), ["dog", "cat"], ["cat", "cow", "dog"]).tolist()
        [[0, 0, 1], [1, 0, 1]]
    """
    place = {name: column for column, name in enumerate(classes)}
    wide = np.zeros((len(indicator), len(classes)), np.uint8)
    wide[:, [place[name] for name in held]] = indicator
    return wide


def divided(cells: Any, delimiter: str) -> list[list[str]]:
    """Divide cells such as "cat|dog" into names; an empty or missing cell holds none."""
    texts = ["" if is_missing(cell) else str(cell) for cell in cells]
    return [[name.strip() for name in text.split(delimiter) if name.strip()] for text in texts]


def is_missing(cell: Any) -> bool:
    """Say whether a cell of a table is empty: None, NaN, NaT, or pandas' NA, which no comparison decides.

    Examples:
        >>> from imgcls.datasets import is_missing
        >>> [is_missing(cell) for cell in (None, float("nan"), "", 0)]
        [True, True, False, False]
    """
    return cell is None or type(cell).__name__ == "NAType" or bool(cell != cell)  # noqa: PLR0124 - NaN alone differs


def are_names_each(labels: Any, multi_label: bool | None) -> bool:
    """Say whether labels are a collection of names for each image: sets, or lists with text in them."""
    if isinstance(labels, np.ndarray) and (labels.dtype != object or labels.ndim != 1):
        return False
    rows = [row for row in labels if _is_collection(row)]
    several = multi_label or any(isinstance(row, set | frozenset) or len(row) != 1 for row in rows)
    if len(rows) != len(labels) or not rows or not several:  # [["a"], ["b"]] is a column, if nobody says otherwise
        return False
    return all(isinstance(name, str) for row in rows for name in row)


def _is_collection(row: Any) -> bool:
    """Say whether a label is a collection of some; Parquet gives arrays for the lists that it was given."""
    return isinstance(row, list | tuple | set | frozenset) or (isinstance(row, np.ndarray) and row.ndim == 1)


def are_several_names(labels: Any, multi_label: bool | None) -> bool:
    """Say whether labels are names of several classes an image: in collections or, with `multi_label`, one name each.

    Examples:
        >>> from imgcls.datasets._labels import are_several_names
        >>> are_several_names([["cat", "dog"], ["cat"]], None), are_several_names([[1, 1], [1, 0]], True)
        (True, False)
        >>> are_several_names(["dog", "cat"], None), are_several_names(["dog", "cat"], True)
        (False, True)
    """
    if hasattr(labels, "columns"):
        return False
    return are_names_each(labels, multi_label) or bool(multi_label and all(isinstance(name, str) for name in labels))


def _of_columns(
    frame: Any, classes: Sequence[Any] | None, multi_label: bool | None
) -> tuple[NDArray[Any], Sequence[Any] | None]:
    """Return the rows of a frame of labels, and its columns as classes; a single column holds labels itself."""
    names = list(frame.columns)
    if len(names) == 1 and not multi_label:
        return frame.to_numpy(), classes
    if classes is None:
        return frame.to_numpy(), names
    if set(names) == set(classes):
        return frame[list(classes)].to_numpy(), classes
    if names != list(range(len(names))):  # those that pandas gives to columns without names are positions
        message = (
            f"the columns of labels are {some(names)}, and classes= names {some(list(classes))}. Accepted: the same "
            "names in the order that you want, or None for the order of the columns."
        )
        raise DataError(message)
    return frame.to_numpy(), classes


def _encode_names(labels: Any, count: int, classes: Sequence[Any] | None) -> tuple[NDArray[Any], Classes]:
    if len(labels) != count:
        message = f"there are {count:,} images and {len(labels):,} labels. Give one collection of names an image."
        raise DataError(message)
    names = check_classes(sorted({name for row in labels for name in row}) if classes is None else classes)
    indicator, code_of = np.zeros((count, len(names)), np.uint8), _codes(names)
    for index, row in enumerate(labels):
        for name in row:
            indicator[index, _find(name, names, code_of)] = 1
    return indicator, names


def _listed(labels: Any) -> list[Any]:
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def _plain(label: Any) -> str | int | None:
    """Return a label as str or int; None when it is missing or of another kind."""
    if isinstance(label, str):
        return str(label)
    if isinstance(label, int | np.integer | np.bool_):
        return int(label)
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return int(label)
    return None


def _number(label: Any) -> Any:
    """Return the whole number that a table makes of a label in text, such as 7 of "007" and of "7.0"; else itself."""
    return int(label.partition(".")[0]) if isinstance(label, str) and _WHOLE.fullmatch(label) else label


def _by_number(classes: Sequence[Any]) -> dict[Any, list[Any]]:
    """Return the classes of each number, or of each name that is none."""
    found: dict[Any, list[Any]] = {}
    for name in classes:
        found.setdefault(_number(name), []).append(name)
    return found


def _encode_single(array: NDArray[Any], classes: Sequence[Any] | None) -> tuple[NDArray[Any], Classes]:
    if array.dtype.kind in "iub":  # the common case, a million times faster than the loop below
        values, codes = np.unique(array, return_inverse=True)
        plain: list[Any] = [int(value) for value in values]
    else:
        labels = [_plain(label) for label in array.tolist()]
        wrong = [index for index, label in enumerate(labels) if label is None]
        if wrong:
            found = array.tolist()[wrong[0]]
            message = (
                f"{len(wrong):,} of {len(labels):,} labels are missing or no label, first at position {wrong[0]}: "
                f"{found!r}. Accepted: names or whole numbers. Label these images or leave them out."
            )
            raise DataError(message)
        if {type(label) for label in labels} == {str, int}:
            strange = next(label for label in labels if isinstance(label, int))
            message = f"labels mix names and numbers, for example {strange!r}. Use one kind, such as str(label)."
            raise DataError(message)
        plain = sorted(set(labels))
        position = {label: code for code, label in enumerate(plain)}
        codes = np.array([position[label] for label in labels], dtype=np.int64)
    if classes is None:
        return codes.reshape(-1).astype(np.int64), check_classes(plain)
    names = check_classes(classes)
    if isinstance(names[0], str) and all(isinstance(value, int) for value in plain):
        _refuse_ambiguous(plain, names)
    code_of = _codes(names)
    return np.array([_find(value, names, code_of) for value in plain], dtype=np.int64)[codes].reshape(-1), names


def _codes(classes: Classes) -> dict[Any, int]:
    return {name: code for code, name in enumerate(classes)}


def _find(value: Any, classes: Classes, code_of: Mapping[Any, int]) -> int:
    if value in code_of:
        return code_of[value]
    if isinstance(value, int) and isinstance(classes[0], str) and 0 <= value < len(classes):
        return value
    if isinstance(value, str):
        hint = did_you_mean(value, [str(name) for name in classes])
        message = f"label {value!r} is not one of the {len(classes)} classes.{hint} The classes are {some(classes)}."
    else:
        message = (
            f"label {value!r} is not one of the classes {some(classes)} nor a position from 0 to {len(classes) - 1}."
        )
    raise DataError(message)


def _refuse_ambiguous(numbers: Sequence[int], classes: Classes) -> None:
    """Refuse a number that names one class in text and is the position of another one."""
    named = _by_number(classes)
    for number in numbers:
        there: list[Any] = [classes[number]] if 0 <= number < len(classes) else []
        alike = named.get(number, there)
        if alike != there:
            what = "is a class" if len(alike) == 1 else "are the classes"
            how = "str(label)" if alike == [str(number)] else "as the classes are written"
            message = (
                f"label {number!r} is ambiguous: there {what} {some(alike)}, and at position {number} there is "
                f"{repr(there[0]) if there else 'none'}. Give labels as text: {how} where they are names, "
                "classes[label] where they are positions."
            )
            raise DataError(message)


def _encode_indicator(
    array: NDArray[Any], classes: Sequence[Any] | None, multi_label: bool | None
) -> tuple[NDArray[Any], Classes]:
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.array([[np.nan]])
    if not np.isin(numbers, (0.0, 1.0)).all():
        message = f"labels of shape {array.shape} are not all 0 or 1. Accepted: (N,) labels, or (N, K) zeros and ones."
        raise DataError(message)
    names = check_classes(classes if classes is not None else range(array.shape[1]))
    if len(names) != array.shape[1]:
        message = f"labels have {array.shape[1]} columns and classes {len(names)} names. Give one name for each column."
        raise DataError(message)
    one_hot = bool((numbers.sum(axis=1) == 1).all())
    if multi_label or (multi_label is None and not one_hot):
        return numbers.astype(np.uint8), names
    if not one_hot:
        message = "multi_label=False, but some images have no label or several. Give one label for each image."
        raise DataError(message)
    return numbers.argmax(axis=1).astype(np.int64), names
