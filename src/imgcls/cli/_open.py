"""How a verb reads what it is given: TensorFlow started without noise, models, datasets."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from imgcls.cli._app import was_typed
from imgcls.errors import BundleError, ConfigurationError

if TYPE_CHECKING:
    from imgcls.bundle import Contents
    from imgcls.datasets import Dataset

STARTING = "starting TensorFlow, which takes some seconds"
_ORDER = "The model comes first."


@contextmanager
def tensorflow_started() -> Iterator[None]:
    """Start TensorFlow without its start-up noise, which C++ code writes to the process's stderr.

    What was held back is shown if starting fails. IMGCLS_TENSORFLOW_LOG=1 shows everything, and so does a machine on
    which no file can be written to hold it.
    """
    if os.environ.get("IMGCLS_TENSORFLOW_LOG") == "1" or "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["MPLBACKEND"] = "Agg"  # files are written, no window is opened
    if sys.stderr.isatty():
        typer.secho(STARTING, dim=True, err=True)
    sys.stderr.flush()
    noise = _scratch()
    if noise is None:
        yield
        return
    with noise:
        stderr = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            noise.seek(0)
            os.write(stderr, noise.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _scratch() -> IO[bytes] | None:
    """Open a file that goes when it is closed; None where none can be written, such as in a read-only container."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return None


def check_model(path: Path) -> "Contents":
    """Return what a bundle holds. Refuse what is none, before TensorFlow takes its seconds to start."""
    from imgcls import bundle

    if path.is_file() and not _is_bundle(path):
        why = "This verb needs the bundle itself, not what was exported from it." if _is_export(path) else _ORDER
        message = f"{str(path)!r} is no bundle. Accepted: what `imgcls train` or ImageClassifier.save wrote. {why}"
        raise BundleError(message)
    return bundle.load(path)


def check_openable(path: Path) -> None:
    """Refuse what is neither a bundle nor an export, as far as that can be known quickly."""
    if path.is_file() and not _is_bundle(path) and not _is_export(path):
        message = f"{str(path)!r} is no model. Accepted: a bundle, or a file that `imgcls export` wrote. {_ORDER}"
        raise BundleError(message)
    if _is_bundle(path) or not path.exists():
        check_model(path)


def opened(path: Path, *, trust: bool = False) -> Any:
    """Return the classifier in a bundle, which starts TensorFlow, or what an export wrote."""
    if not _is_bundle(path):
        from imgcls.export import ExportedModel

        with tensorflow_started() if trust and _is_program(path) else nullcontext():
            return ExportedModel.open(path, trust=trust)
    with tensorflow_started():
        from imgcls.classifier import ImageClassifier
    return ImageClassifier.load(path, trust=trust)


def _is_export(path: Path) -> bool:
    from imgcls.export._formats import rows

    return path.suffix.lower() in {row.ending for row in rows() if row.ending}


def _is_program(path: Path) -> bool:
    """Say whether TensorFlow or Keras would run it."""
    from imgcls.export._formats import rows

    return path.is_dir() or path.suffix.lower() in {row.ending for row in rows() if row.program}


def _is_bundle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".imgcls" or b"manifest.json" in file.read(64)


def is_table(path: Path | str) -> bool:
    """Say whether a path is of a .csv file, for which there are the flags --image, --label and --root."""
    return Path(path).suffix.lower() == ".csv"


def read_if_given(path: Path | None, *, context: typer.Context, **columns: Any) -> "Dataset | None":
    """Make a Dataset as `read_dataset` does, of a flag or an argument that may be left out."""
    if path is None:
        _refuse_typed(context, columns, "none is given")
        return None
    return read_dataset(path, context=context, **columns)


def read_dataset(path: Path | str, *, context: typer.Context, labelled: bool = True, **columns: Any) -> "Dataset":
    """Make a Dataset of a path.

    Args:
        path: A folder, or a .csv file.
        context: That of the verb, which knows what was typed.
        labelled: Whether labels are needed.
        columns: The flags that say how a .csv file is read, None where not given. Of another path they are refused
            where they were typed, and a default of `imgcls.toml` lies idle.
    """
    from imgcls.datasets import Dataset, as_dataset
    from imgcls.datasets._convert import unlabelled

    given = {name: value for name, value in columns.items() if value is not None}
    if not is_table(path):
        _refuse_typed(context, given, f"{str(path)!r} is none")
        given = {}
    if given:
        dataset = Dataset.from_csv(path, **given) if labelled else unlabelled(path, **given)
    else:
        dataset = as_dataset(path, labelled=labelled)
    if dataset.ignored:
        first, reason = next(iter(dataset.ignored.items()))
        more = f" and {len(dataset.ignored) - 1:,} more" * (len(dataset.ignored) > 1)
        typer.echo(f"ignored {first} ({reason}){more}", err=True)
    return dataset


def _refuse_typed(context: typer.Context, columns: dict[str, Any], but: str) -> None:
    flags = ", ".join(f"--{name}" for name, value in columns.items() if value is not None and was_typed(context, name))
    if flags:
        message = f"{flags}: these say how a .csv file is read, and {but}. Leave them out, or give a .csv file."
        raise ConfigurationError(message)
