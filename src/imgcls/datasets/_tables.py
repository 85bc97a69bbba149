"""Tables of images: CSV files and pandas frames, and refusals in words."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls._checks import did_you_mean
from imgcls.datasets._paths import check_path
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

if TYPE_CHECKING:
    import pandas as pd


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file as text, so that a class "007" stays one; only an empty cell is missing.

    Where the rows have more fields than the header, pandas would take the first column for names of rows. What is empty
    at the end of all rows is left out in place of that, and anything else is refused.
    """
    import pandas as pd

    check_path(path)
    if not path.is_file():
        message = f"CSV file {str(path)!r} does not exist. Check the path and the working directory."
        raise DataError(message)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        message = f"{str(path)!r} cannot be read as CSV: {error}. Accepted: UTF-8 text with a header line."
        raise DataError(message) from error
    between = next((sign for sign in (";", "\t") if sign in str(frame.columns[0])), None)
    if between is not None and len(frame.columns) == 1:
        message = (
            f"{str(path)!r} has {between!r} between its columns. Accepted: commas. Save it with those, or give "
            f"Dataset.from_frame what pandas.read_csv({str(path)!r}, sep={between!r}, dtype=str) reads."
        )
        raise DataError(message)
    if any(one.category is pd.errors.ParserWarning for one in told):  # fields were left out that are not empty
        message = (
            f"{str(path)!r} has rows with more fields than its header line. Accepted: a header line that names each of "
            "them. Name all columns, and put what holds a comma in quotes."
        )
        raise DataError(message)
    return frame


def check_frame(frame: Any) -> None:
    """Refuse a table of another library than pandas, such as polars or pyarrow.

    Raises:
        ConfigurationError: It is none of pandas.
    """
    if not hasattr(frame, "isna"):
        name = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        message = f"the table is a {name}. Accepted: a pandas frame. Convert it, such as by .to_pandas()."
        raise ConfigurationError(message)


def check_columns(frame: "pd.DataFrame", columns: Iterable[str], **others: str | None) -> None:
    """Refuse a frame that has no rows, or lacks a column.

    Args:
        frame: The table.
        columns: Those of images and labels.
        others: Further ones, by the argument that names them; None for none.
    """
    check_frame(frame)
    has = [str(column) for column in frame.columns]
    wanted = dict.fromkeys(columns, "image= and label=, or --image and --label in a shell")
    wanted |= {column: f"{argument}=" for argument, column in others.items() if column and column not in wanted}
    for column, argument in wanted.items():
        if column not in has:
            message = (
                f"there is no column {column!r}.{did_you_mean(column, has)} The columns are {', '.join(has)}. "
                f"Say which with {argument}."
            )
            raise ConfigurationError(message)
    if not len(frame):
        message = "the table has no rows. Give at least one image."
        raise EmptyDatasetError(message)


def file_names(column: "pd.Series[Any]") -> list[str]:
    """Return the paths in a column as text; refuse missing ones."""
    missing = np.flatnonzero(column.isna().to_numpy())
    if missing.size:
        message = (
            f"{missing.size:,} of {len(column):,} rows name no image in column {str(column.name)!r}, "
            f"first at position {missing[0]}. Fill in the path or leave the row out."
        )
        raise DataError(message)
    return [str(name) for name in column]
