"""The command line: one verb per job. Every flag is a Python argument of the same name.

Results go to stdout (as JSON with `--json`), progress to stderr. Exit codes: 0 done, 1 refused or failed with a message
of ours, 2 wrong usage, 3 `check` found errors in the data, 130 interrupted.
"""

import sys
import warnings
from functools import partial
from typing import Annotated, Any

import typer

from imgcls import __version__
from imgcls.cli import _demo, _learn, _machine, _serve, _ship, _use  # noqa: F401 - each adds its verbs to the app
from imgcls.cli._app import app, complain
from imgcls.errors import ImgclsError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; turn refusals into one message on stderr and exit code 1."""
    with warnings.catch_warnings():
        warnings.showwarning = partial(_show_warning, otherwise=warnings.showwarning)
        try:
            app()
        except ImgclsError as error:
            complain(error)
            sys.exit(1)


@app.callback(invoke_without_command=True)
def version(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False
) -> None:
    """Turn labelled images into a classifier you can trust."""
    if show_version:
        typer.echo(__version__)
        raise typer.Exit


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, otherwise: Any, **more: Any) -> None:
    """Say our own warnings in words alone: in a shell there is no line of the user's to point at."""
    if category.__module__.startswith("imgcls."):
        typer.secho(f"imgcls: {message}", fg="yellow", err=True)
    else:
        otherwise(message, category, *place, **more)
