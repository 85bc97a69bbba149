"""The app, the kinds of flags that several verbs take, and how a verb reads, starts and prints."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls.errors import ConfigurationError, ImgclsError

if TYPE_CHECKING:
    from imgcls.datasets import Dataset
    from imgcls.metrics import Evaluation

app = typer.Typer(
    name="imgcls",
    help="Turn labelled images into a classifier you can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[Path, typer.Argument(help="A folder with class sub-folders, or a .csv file.")]
Image = Annotated[str | None, typer.Option(help="Of a .csv file: the column of image paths; else `image`.")]
Label = Annotated[str | None, typer.Option(help="Of a .csv file: the column of labels; else `label`.")]
Root = Annotated[Path | None, typer.Option(help="Of a .csv file: what its paths are relative to; else its folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Verbose = Annotated[str, typer.Option(help="Progress on stderr: 0 nothing, 1 a live bar, 2 a line an epoch, or auto.")]
OnError = Annotated[str, typer.Option(help="Unreadable images: skip names and leaves out, raise refuses.")]
Model = Annotated[Path, typer.Argument(help="A bundle that `imgcls train` or ImageClassifier.save wrote.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="You trust who made the file: a SavedModel, a .keras file, or a model of someone's own can run code.",
    ),
]
AnyModel = Annotated[Path, typer.Argument(help="A bundle, or a file that `imgcls export` wrote.")]


@contextmanager
def tensorflow_started() -> Iterator[None]:
    """Start TensorFlow without its start-up noise, which C++ code writes to the process's stderr.

    What was held back is shown if starting fails. IMGCLS_TENSORFLOW_LOG=1 shows everything.
    """
    if os.environ.get("IMGCLS_TENSORFLOW_LOG") == "1" or "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import matplotlib as mpl

    mpl.use("Agg")  # files are written, no window is opened
    sys.stderr.flush()
    with tempfile.TemporaryFile() as noise:
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


def complain(error: ImgclsError) -> None:
    typer.secho(f"imgcls: {error}", fg="red", err=True)


def check_model(path: Path) -> None:
    from imgcls import bundle

    bundle.load(path)  # a wrong file is refused before TensorFlow takes its seconds to start


def check_openable(path: Path) -> None:
    """Refuse what is neither a bundle nor an export, as far as that can be known quickly."""
    if _is_bundle(path) or not path.exists():
        check_model(path)


def opened(path: Path, *, trust: bool = False) -> Any:
    """Return the classifier in a bundle, which starts TensorFlow, or what an export wrote."""
    if not _is_bundle(path):
        from imgcls.export import ExportedModel

        return ExportedModel.open(path, trust=trust)
    with tensorflow_started():
        from imgcls.classifier import ImageClassifier
    return ImageClassifier.load(path, trust=trust)


def _is_bundle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix == ".imgcls" or b"manifest.json" in file.read(64)


def read_dataset(path: Path | str, *, labelled: bool = True, **columns: Any) -> "Dataset":
    """Make a Dataset of DATA. `columns` are the flags that say how a .csv file is read, None where not given."""
    from imgcls.datasets import Dataset, as_dataset

    given = {name: value for name, value in columns.items() if value is not None}
    if given and Path(path).suffix.lower() != ".csv":
        flags = ", ".join(f"--{name}" for name in given)
        message = (
            f"{flags}: these say how a .csv file is read, and DATA is {str(path)!r}. "
            "Leave them out, or give a .csv file."
        )
        raise ConfigurationError(message)
    dataset = Dataset.from_csv(path, **given) if given else as_dataset(path, labelled=labelled)
    if dataset.ignored:
        first, reason = next(iter(dataset.ignored.items()))
        more = f" and {len(dataset.ignored) - 1:,} more" * (len(dataset.ignored) > 1)
        typer.echo(f"ignored {first} ({reason}){more}", err=True)
    return dataset


def summary(evaluation: "Evaluation") -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(evaluation.to_json())
    return summary


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_facts(facts: dict[str, Any], *, json_: bool) -> None:
    if json_:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        lines = [f"{key} = {one}" for key, one in value.items()] if isinstance(value, dict) else [_words(value)]
        for index, line in enumerate(lines):
            typer.echo(f"{'' if index else name:<{width}}  {line}")


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def whole(argument: str, text: str) -> int | str:
    if text == "auto" or not text.isdecimal():
        if text != "auto":
            message = f"{argument}={text!r} is not accepted. Accepted: a whole number, or 'auto'."
            raise ConfigurationError(message)
        return text
    return int(text)


def level_of(verbose: str) -> int | str:
    return int(verbose) if verbose.isdecimal() else verbose
