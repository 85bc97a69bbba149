"""A file of answers, a row for each image, that can be stopped at any time and continued."""

import csv
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, final

from imgcls._lock import held
from imgcls._replace import permit_as, replacing
from imgcls.errors import ConfigurationError, DataError, UnreadableImageError
from imgcls.predictions._rows import Answer, Rows, check_columns, joined

SUFFIXES = (".csv", ".jsonl", ".parquet")
_NAMES = "surrogateescape"  # a file's name may be no UTF-8; it is written as it is
_LINE = b'{"id": '  # how each of our lines begins
_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")  # a byte of such a name, as Parquet holds it
_ROWS = 10_000  # of a Parquet file, at a time


@final
class Answers:
    """A file with one row for each image: CSV, JSON Lines or Parquet, by its ending.

    Where the file holds answers already, they stay, and `ids` names their images: a run that was stopped goes on. The
    last row, if only half of it was written, is taken away. Parquet cannot be added to: rows gather in a file of JSON
    Lines beside it, and `close` makes it of them. Where both are there, and the lines do not begin with the rows of the
    Parquet file, they are refused. While a file is open here, it is refused to whoever else would write it.

    Args:
        path: The file.
        classes: K classes.
        abstaining: Whether rows have an "answer" beside the label: several classes, or "unknown".
        model: What names the model, such as the first digits of its hash; "" for no such column. A file with rows of
            another model is refused.

    Attributes:
        ids: The images that have a row.
        refused: How many of the rows added are of images that cannot be read.
        unreadable: How many of all rows are, of an earlier run too.

    Raises:
        ConfigurationError: The ending is not known, what writes Parquet is not installed, or a class has the name of
            another column of a .csv or .parquet file.
        DataError: The file holds something else, is being written already, or cannot be written.

    Examples:
        >>> from imgcls import Prediction
        >>> from imgcls.predictions import Answers
        >>> with Answers("answers.csv", ["cat", "dog"], model="3f2a") as answers:
        ...     answers.add([Prediction("cat", 0.9, {"cat": 0.9, "dog": 0.1}, "a.jpg")])
        >>> print(answers.path.read_text().rstrip())
        id,label,probability,cat,dog,error,model
        a.jpg,cat,0.9,0.9,0.1,,3f2a
    """

    def __init__(self, path: str | Path, classes: Sequence[Any], *, abstaining: bool = False, model: str = "") -> None:
        self.path, self._rows = Path(path), Rows(list(classes), abstaining, model)
        self.ids: set[str] = set()
        self.refused = self.unreadable = 0
        check_path(self.path, self._rows)
        self._is_csv = self.path.suffix.lower() == ".csv"
        self._is_parquet = self.path.suffix.lower() == ".parquet"
        self._journal = self.path.with_name(f".{self.path.name}.jsonl") if self._is_parquet else self.path
        self._source = self._journal  # where the rows stand that are there already: a refusal names it
        # What is locked is the file of CSV or of lines itself. That of Parquet is replaced, and its lines are removed.
        self._lock = self.path.with_name(f".{self.path.name}.lock") if self._is_parquet else self.path
        self._held = self._taken()
        with ExitStack() as undo:
            undo.callback(self._let_go)
            self._file = self._opened()
            undo.pop_all()

    def add(self, answers: Iterable[Answer]) -> None:
        """Write rows, and hand them to the operating system."""
        added = list(answers)
        self._write(self._rows.csv(added) if self._is_csv else self._rows.lines(added))
        refused = sum(isinstance(answer, UnreadableImageError) for answer in added)
        self.refused, self.unreadable = self.refused + refused, self.unreadable + refused
        self.ids.update(answer.id for answer in added)

    def close(self) -> None:
        """Finish the file.

        Examples:
            >>> from imgcls import Prediction
            >>> from imgcls.predictions import Answers
            >>> answers = Answers("week.csv", ["cat", "dog"])
            >>> answers.add([Prediction("cat", 0.9, {"cat": 0.9, "dog": 0.1}, "a.jpg")])
            >>> answers.close()
            >>> again = Answers("week.csv", ["cat", "dog"])  # such as on the next day
            >>> again.ids
            {'a.jpg'}
            >>> again.close()
        """
        if self._held.closed:  # it may be another's by now
            return
        try:
            self._file.close()
        except OSError as error:
            raise unwritable(self.path, error) from error
        if self._is_parquet and self._journal.exists():
            self._make_parquet()
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:  # what is written stays, to go on from
            _close(self._file)
            self._let_go()

    # --- the file ------------------------------------------------------------------------------------------------

    def _taken(self) -> IO[bytes]:
        """Lock the file against others that would write it."""
        try:
            return held(self._lock)
        except BlockingIOError as error:
            message = (
                f"{str(self.path)!r} is being written already, by another process or by answers that were not closed. "
                "Wait until it is done, or name another file."
            )
            raise DataError(message) from error
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _let_go(self) -> None:
        if self._held.closed:
            return
        if os.name == "nt":  # which removes no open file, nor one that another process has opened meanwhile
            _close(self._held)
        if self._is_parquet:
            with suppress(OSError):
                self._lock.unlink()
        _close(self._held)

    def _opened(self) -> IO[bytes]:
        """Open the file behind its last whole row."""
        unmade = False
        try:
            if self._is_parquet and self.path.exists():
                self._source, unmade = self.path, not self._journal.exists()
                if unmade:
                    self._unmake_parquet()
                else:
                    self._check_continued()
                    self._source = self._journal
            file = self._journal.open("a+b") if self._is_parquet else self._held
            file.seek(0)
        except OSError as error:
            raise unwritable(self.path, error) from error
        except ValueError as error:  # of pyarrow
            if isinstance(error, DataError):
                raise
            raise self._another(f"it is no Parquet file ({error})") from error
        with ExitStack() as undo:
            if unmade:
                undo.callback(self._journal.unlink)
            undo.callback(_close, file)
            try:
                end = self._read_csv(file) if self._is_csv else self._read_lines(file)
                file.seek(end)
                file.truncate()
            except OSError as error:
                raise unwritable(self.path, error) from error
            if self._is_csv and not end:
                self._file = file
                self._write(self._rows.csv([], head=True))
            undo.pop_all()
        return file

    def _read_csv(self, file: IO[bytes]) -> int:
        """Take in the rows of a CSV file, and return where the last whole one ends."""
        end, last, at, whole, width = 0, 0, 0, True, len(self._rows.columns)
        error = width - 1 - bool(self._rows.model)

        def lines() -> Iterator[str]:
            nonlocal at, whole
            for line in file:
                at, whole = at + len(line), line.endswith(b"\n")
                yield line.decode(errors=_NAMES)

        try:
            for number, row in enumerate(csv.reader(lines())):  # asks for the lines of one row at a time
                if end != last:
                    raise self._another(f"a row of it has other columns, before line {number + 1}")
                last = at
                if number == 0 and not _begins(row, self._rows.columns, whole=whole):
                    raise self._another("its columns are others")
                if whole and len(row) == width:
                    if number:
                        self._take_in(row[0], row[-1] if self._rows.model else "", refused=bool(row[error]))
                    end = at
        except csv.Error as trouble:
            raise self._another(str(trouble)) from trouble
        return end

    def _read_lines(self, file: IO[bytes]) -> int:
        """The same of JSON Lines."""
        end, names = 0, dict.fromkeys(map(str, self._rows.classes))
        for line in file:
            if not line.endswith(b"\n"):
                if not line.startswith(_LINE[: len(line)]):
                    raise self._another(f"a line of it is {line[:40]!r}")
                break
            try:
                row = json.loads(line)
                name, model = str(row["id"]), row.get("model", "")
                same = "error" in row or (
                    row["probabilities"].keys() == names.keys() and ("answer" in row) == self._rows.abstaining
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                raise self._another(f"a line of it is {line[:40]!r}") from None
            self._take_in(name, model, refused="error" in row)
            if not same:
                raise self._another("its columns are others")
            end += len(line)
        return end

    def _take_in(self, name: str, model: str, *, refused: bool) -> None:
        if model != self._rows.model:
            raise self._another(f"its rows are of model {model!r}, and this is {self._rows.model!r}")
        self.ids.add(name)
        self.unreadable += refused

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode(errors=_NAMES))
            self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _another(self, reason: str) -> DataError:
        message = (
            f"{str(self._source)!r} exists and holds no answers that these could be added to: {reason}. "
            "Name another file, or remove it."
        )
        return DataError(message)

    # --- Parquet -------------------------------------------------------------------------------------------------

    def _make_parquet(self) -> None:
        from pyarrow import parquet

        try:
            with (
                replacing(self.path) as whole,
                self._journal.open("rb") as lines,
                parquet.ParquetWriter(whole, self._schema()) as file,
            ):
                while chunk := list(islice(lines, _ROWS)):
                    file.write_table(self._table(chunk))
            self._journal.unlink()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _schema(self) -> Any:
        import pyarrow as pa

        number = pa.float32()
        kinds = dict.fromkeys(map(_utf8, self._rows.columns), pa.string())
        kinds |= dict.fromkeys(["probability", *(_utf8(str(name)) for name in self._rows.classes)], number)
        return pa.schema(list(kinds.items()))

    def _table(self, lines: Iterable[bytes]) -> Any:
        """Return JSON Lines as a table of Arrow."""
        import pyarrow as pa

        return pa.Table.from_pylist([_flat(json.loads(line)) for line in lines], schema=self._schema())

    def _check_continued(self) -> None:
        """Refuse lines that do not go on from the finished file: it would be replaced, and its rows be lost."""
        import pyarrow as pa
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as table, self._journal.open("rb") as lines:
            for rows in table.iter_batches(_ROWS):
                try:
                    same = self._table(islice(lines, rows.num_rows)).equals(pa.Table.from_batches([rows]))
                except (ValueError, TypeError, AttributeError):  # a line is none of ours
                    same = False
                if not same:
                    message = (
                        f"{str(self.path)!r} and {str(self._journal)!r}, where a run that was stopped has left its "
                        "rows, hold different answers. Remove the one that you do not need, or name another file."
                    )
                    raise DataError(message)

    def _unmake_parquet(self) -> None:
        """Write the rows of a finished file as lines again, to which others can be added."""
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as table:
            if table.schema_arrow.names != [_utf8(name) for name in self._rows.columns]:
                raise self._another("its columns are others")
            with replacing(self._journal) as whole, whole.open("w") as lines:
                permit_as(self.path, whole, also=stat.S_IWUSR)  # the rows of a private table are private in lines too
                for chunk in table.iter_batches(_ROWS):
                    for row in chunk.to_pylist():
                        row["id"] = _as_named(row["id"])
                        named = {name: row.pop(_utf8(str(name))) for name in self._rows.classes}
                        error = row.pop("error")
                        model = {"model": row["model"]} if self._rows.model else {}
                        rest = {"error": error, **model} if error else row | {"probabilities": named}
                        lines.write(json.dumps({"id": row["id"]} | rest) + "\n")


def unwritable(path: Path, error: BaseException | None) -> DataError:
    """Word what the system refused of a table, or of a file beside it that becomes the table."""
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{str(path)!r} cannot be written: {reason}. Free the place, or write somewhere else.")


def _close(file: IO[bytes]) -> None:
    """Close a file after an error; a full disk refuses once more what it has refused before."""
    with suppress(OSError):
        file.close()


def _begins(row: Sequence[str], columns: Sequence[str], *, whole: bool) -> bool:
    """Say whether the first row of a file is the head of ours, or what was written of it."""
    return list(row) == list(columns) if whole else ",".join(columns).startswith(",".join(row))


def check_path(path: Path, rows: Rows) -> None:
    """Refuse a file that cannot be written, or not with these columns, before there is work for it."""
    if path.suffix.lower() not in SUFFIXES:
        message = f"{str(path)!r} has no ending of a table. Accepted: {', '.join(SUFFIXES)}."
        raise ConfigurationError(message)
    if not path.parent.is_dir():
        message = f"folder {str(path.parent)!r} does not exist. Make it, or write somewhere else."
        raise ConfigurationError(message)
    if path.suffix.lower() != ".jsonl":
        check_columns(rows.columns, instead=".jsonl, where probabilities stand apart")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        message = 'a .parquet file needs pyarrow. Install it: pip install "imgcls[parquet]". Or write .csv or .jsonl.'
        raise ConfigurationError(message)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return the object of a line as the columns of a table."""
    probabilities = row.pop("probabilities", {})
    texts = {column: _utf8(joined(cell)) for column, cell in row.items() if column != "probability"}
    return {**row, **texts, **{_utf8(name): number for name, number in probabilities.items()}}


def _utf8(text: str) -> str:
    r"""Return text that Parquet can hold: in a name that is no UTF-8, what is none becomes such as \udce9."""
    return text.encode(errors="backslashreplace").decode()


def _as_named(text: str) -> str:
    """Return the name that `_utf8` wrote so."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
