"""`imgcls doctor`: what this machine has, whether imgcls can train here, and what to do where it cannot."""

import os
from typing import Any

import typer

from imgcls import __version__
from imgcls.cli._app import Json, app
from imgcls.cli._doctor._driver import driver
from imgcls.cli._doctor._findings import Finding, findings
from imgcls.cli._doctor._libraries import libraries, pip_folders
from imgcls.cli._doctor._machine import machine
from imgcls.cli._doctor._packages import extras, packages
from imgcls.cli._doctor._sections import sections
from imgcls.cli._doctor._tensorflow import ask
from imgcls.cli._open import STARTING
from imgcls.cli._print import State, print_json, print_lines, print_sections


@app.command()
def doctor(*, json_: Json = False) -> None:
    """Say what this machine has, whether imgcls can train here, and what to do where it cannot.

    Exit code 1: something that training needs is missing, too old or does not start. Where a GPU is there and not used,
    it says why; that is no such thing, for the CPU trains too.

    Example: imgcls doctor --json
    """
    facts = gathered()
    found = findings(facts)
    works = not any(finding.needed for finding in found)
    if json_:
        print_json({"works": works, "findings": [finding._asdict() for finding in found]} | facts)
    else:
        print_sections(sections(facts))
        print_lines(_verdict(found, works=works))
    if not works:
        raise typer.Exit(1)


def gathered() -> dict[str, Any]:
    """Return every fact, as `--json` prints it."""
    needs, more = packages(), extras()  # quick, and what is missing here explains what follows
    typer.echo(STARTING, err=True)
    tensorflow, log = ask()
    if os.environ.get("IMGCLS_TENSORFLOW_LOG") == "1":
        typer.echo(log, err=True)
    return {
        "imgcls": __version__,
        **machine(),
        "packages": needs,
        "tensorflow": tensorflow,
        "driver": driver(),
        "libraries": libraries(tensorflow.get("libraries", ()), log, folders=pip_folders()),
        "environment": {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES")},
        "extras": more,
    }


def _verdict(found: list[Finding], *, works: bool) -> list[tuple[str, State]]:
    """Return lines and their states: the verdict, then each finding with what to do."""
    lines: list[tuple[str, State]] = [
        ("imgcls can train here." if works else "imgcls cannot train here.", "good" if works else "bad")
    ]
    for finding in found:
        lines += [(finding.what, "bad" if finding.needed else "poor"), (f"  {finding.fix}", "")]
    return lines
