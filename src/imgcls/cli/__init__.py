"""The command line: one verb per job. Every flag is a Python argument of the same name.

Results go to stdout (as JSON with `--json`), progress to stderr. `imgcls.toml` holds defaults. Exit codes: 0 done, 1
refused or failed with a message of ours, 2 wrong usage, 3 `check` found errors in the data, 130 interrupted.
"""

import io
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from imgcls import __version__
from imgcls.cli import _demo, _doctor, _learn, _predict, _serve, _ship, _use  # noqa: F401 - each adds its verbs to the app
from imgcls.cli._app import app, in_flags
from imgcls.cli._defaults import take_defaults
from imgcls.cli._print import complain
from imgcls.errors import ImgclsError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; turn refusals into one message on stderr and exit code 1."""
    _let_every_name_out()
    running: dict[str, Any] = {}  # `begin` notes the verb here: what is said speaks of its flags
    with warnings.catch_warnings():
        warnings.showwarning = partial(_show_warning, otherwise=warnings.showwarning, running=running)
        try:
            app(obj=running)
        except ImgclsError as error:
            complain(in_flags(str(error), running.get("verb")))
            sys.exit(1)
        except OSError as error:
            complain(_in_words(error))
            sys.exit(1)


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of defaults; else imgcls.toml, if the working folder has one.")
    ] = None,
) -> None:
    """Turn labelled images into a classifier you can trust."""
    if show_version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:  # --config alone: as without anything
        typer.echo(context.get_help())
        raise typer.Exit(2)
    context.ensure_object(dict)["verb"] = context.invoked_subcommand
    take_defaults(context, config)


def _let_every_name_out() -> None:
    """Print names that stdout could not: of classes in any alphabet, of files in bytes that are no text.

    A pipe carries UTF-8, as JSON is, and such bytes as they are; without this, Windows would write it in the alphabet
    of one country.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        terminal = out.isatty()
        out.reconfigure(
            encoding=None if terminal else "utf-8", errors="backslashreplace" if terminal else "surrogateescape"
        )


def _in_words(error: OSError) -> str:
    """Say what the system refused: a disk that is full, a folder of someone else, a file that is in use."""
    place = "" if error.filename is None else f"{str(error.filename)!r}: "
    return f"{place}{error.strerror or error}. Check the path, its permissions and the free disk, and try again."


def _show_warning(
    message: Warning | str, category: type[Warning], *place: Any, otherwise: Any, running: dict[str, Any], **more: Any
) -> None:
    """Say our own warnings in words alone: in a shell there is no line of the user's to point at."""
    if category.__module__.startswith("imgcls."):
        complain(in_flags(str(message), running.get("verb")), color="yellow")
    else:
        otherwise(message, category, *place, **more)
