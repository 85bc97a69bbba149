"""The table of formats: what varies between them is a row, not code."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from imgcls import _checks
from imgcls._runtimes import Run
from imgcls.errors import ConfigurationError, ExportError
from imgcls.export import _keras, _litert, _onnx, _openvino, _saved_model
from imgcls.export._facts import Facts
from imgcls.export._source import Source, Wanted

QUANTIZATIONS = (None, "float16", "int8")
_OF_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what Finder and Explorer leave in folders that they show
_OF_MACS = "._"  # what macOS keeps beside a file on drives of others and in archives begins with it


class Format(NamedTuple):
    """One row of the table.

    Attributes:
        name: What you write.
        title: What people call it.
        ending: Of its files; "" for a folder.
        write: Writes a model to a path.
        read: Opens what `write` wrote: its facts, and what runs it.
        runtime: The module that runs it, whose version the certificate names.
        modules: What has to be installed to write it.
        install: What to give to pip where they are not.
        any_size: Whether it can hold a resize.
        quantizations: What weights it can hold.
        program: Whether to open a file of it is to run a program.
        lower: Whether its own library knows its files by an ending in small letters alone.
    """

    name: str
    title: str
    ending: str
    write: Callable[[Source, Path, Wanted], None]
    read: Callable[[Path], tuple[Facts, Run]]
    runtime: str
    modules: tuple[str, ...]
    install: str
    any_size: bool = False
    quantizations: tuple[str | None, ...] = (None,)
    program: bool = False
    lower: bool = False

    def files(self, path: Path) -> list[Path]:
        """Return the files that an export at `path` is made of, but for its certificate."""
        if not self.ending:
            inside = [one for one in path.rglob("*") if one.is_file() and one != path / "certificate.json"]
            return [one for one in inside if one.name not in _OF_SYSTEMS and not one.name.startswith(_OF_MACS)]
        return [path, path.with_suffix(".bin")] if self.name == "openvino" else [path]

    def check_installed(self, modules: tuple[str, ...]) -> None:
        """Refuse to go on without a library, with the line that installs it.

        Raises:
            ExportError: One of `modules` is not installed.
        """
        lacking = [module.replace("_", "-") for module in modules if find_spec(module) is None]
        if lacking:
            message = f'{self.title} needs {" and ".join(lacking)}. Install it: pip install "{self.install}".'
            raise ExportError(message)


_ROWS = (
    Format(
        "saved_model",
        "a SavedModel",
        "",
        _saved_model.write,
        _saved_model.read,
        "tensorflow",
        ("tensorflow",),
        "imgcls",
        any_size=True,
        program=True,
    ),
    Format(
        "onnx",
        "ONNX",
        ".onnx",
        _onnx.write,
        _onnx.read,
        "onnxruntime",
        ("onnxruntime", "onnx", "tf2onnx"),
        "imgcls[onnx]",
        any_size=True,
    ),
    Format(
        "litert",
        "LiteRT",
        ".tflite",
        _litert.write,
        _litert.read,
        "ai_edge_litert",
        ("ai_edge_litert",),
        "imgcls[litert]",
        quantizations=QUANTIZATIONS,
    ),
    Format(
        "openvino",
        "OpenVINO",
        ".xml",
        _openvino.write,
        _openvino.read,
        "openvino",
        ("openvino",),
        "imgcls[fast]",
        any_size=True,
        lower=True,
    ),
    Format(
        "keras",
        "a .keras file",
        ".keras",
        _keras.write,
        _keras.read,
        "keras",
        ("keras",),
        "imgcls",
        program=True,
        lower=True,
    ),
)
_TABLE = {row.name: row for row in _ROWS}
FORMATS = tuple(_TABLE)


def rows() -> tuple[Format, ...]:
    """Return all rows."""
    return _ROWS


def by_name(name: Any, path: Path) -> Format:
    """Return the row of a format, or with None the one that a path's ending says.

    Raises:
        ConfigurationError: The name or the ending is not known, or one does not go with the other.
    """
    if name is None:
        return by_ending(path)
    _checks.refuse([_checks.unknown_name("format", name, FORMATS)])
    row = _TABLE[name]
    ending = path.suffix.lower()
    wrong = ending != row.ending and (bool(row.ending) or ending in _ENDINGS)
    _checks.refuse(
        [
            f"{str(path)!r} does not go with format={name!r}. "
            + (f"Accepted: a file that ends with {row.ending}." if row.ending else "Accepted: the name of a folder.")
            if wrong
            else None
        ]
    )
    return row


def by_ending(path: Path) -> Format:
    """Return the row of the format that a path's ending says; without one, it is a folder: a SavedModel.

    Raises:
        ConfigurationError: The ending is of none.
    """
    row = _ENDINGS.get(path.suffix.lower())
    if row is None:
        endings = ", ".join(f"{one.ending} ({one.name})" for one in _ROWS if one.ending)
        message = (
            f"what {str(path)!r} ends with is of no format that imgcls exports. Accepted: {endings}, or a folder "
            "(saved_model)."
        )
        raise ConfigurationError(message)
    return row


_ENDINGS = {row.ending: row for row in _ROWS}
