"""How a verb prints: coloured in a terminal, plain in a pipe, one JSON document with `--json`. Results go to stdout."""

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from imgcls.metrics import Evaluation

State = Literal["", "good", "poor", "bad"]
_STYLES: dict[State, str] = {"": "", "good": "green", "poor": "yellow", "bad": "bold red"}
_HIGHLIGHTS = (  # of a result in words
    (r"\b(error)\b", "bold red"),
    (r"\b(warning)\b", "yellow"),
    (r"(?<![\w.-])(\d[\d,]*(?:\.\d+)?)(?![\w.-])", "cyan"),
    (r"(\[\d[^\]]*\])", "dim"),  # the interval of a figure
)


class Row(NamedTuple):
    """A line of a table: a name, and what there is to say of it."""

    name: str
    words: str
    state: State = ""


class Section(NamedTuple):
    """Rows that belong together."""

    title: str
    rows: list[Row]


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print_document(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_document(text: str) -> None:
    """Print a text in JSON; bytes of a file's name that are no text, as JSON escapes them."""
    typer.echo(text.encode(errors="backslashreplace").decode())


def print_text(text: str) -> None:
    """Print a result in words, with its figures and severities coloured in a terminal."""
    console = _console()
    if not console.is_terminal:
        typer.echo(text)
        return
    from rich.text import Text

    colored = Text(text)
    for pattern, style in _HIGHLIGHTS:
        colored.highlight_regex(pattern, style)
    console.print(colored, soft_wrap=True)


def print_lines(lines: Iterable[tuple[str, State]]) -> None:
    """Print lines, each in the color of its state in a terminal; none is broken, so that it can be copied."""
    console = _console()
    for line, state in lines:
        if console.is_terminal:
            console.print(line, style=_STYLES[state], markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(line)


def print_sections(sections: Iterable[Section]) -> None:
    """Print each section as a small table."""
    console = _console()
    for section in sections:
        if console.is_terminal:
            _draw(section, console)
        else:
            width = max((len(row.name) for row in section.rows), default=0)
            typer.echo(section.title)
            for row in section.rows:
                typer.echo(f"  {row.name:<{width}}  {row.words}")
            typer.echo()


def print_facts(facts: dict[str, Any], *, json_: bool) -> None:
    """Print facts, as JSON or one a line; a value that is a dict takes a line for each of its items."""
    if json_:
        print_json(facts)
        return
    width = max(map(len, facts))
    lines = []
    for name, value in facts.items():
        parts = [f"{key} = {one}" for key, one in value.items()] if isinstance(value, dict) else [_words(value)]
        lines += [f"{'' if index else name:<{width}}  {part}" for index, part in enumerate(parts)]
    print_text("\n".join(lines))


def summary(evaluation: "Evaluation") -> dict[str, Any]:
    """Return the figures of an evaluation, as JSON holds them."""
    figures: dict[str, Any] = json.loads(evaluation.to_json())
    return figures


def complain(message: str, *, color: str = "red") -> None:
    """Say on stderr what is wrong, coloured in a terminal."""
    plain = os.environ.get("NO_COLOR", "") != ""  # Typer does not look at it, and rich does on stdout
    typer.secho(f"imgcls: {message}", fg=color, err=True, color=False if plain else None)


def _console() -> "Console":
    from rich.console import Console

    return Console()  # made anew: it looks at once whether stdout is a terminal, at NO_COLOR and at TERM


def _draw(section: Section, console: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(section.title, "bold"), title_justify="left", box=box.ROUNDED, border_style="dim", show_header=False
    )
    for row in section.rows:
        table.add_row(Text(row.name, "cyan"), Text(row.words, _STYLES[row.state]))
    console.print(table)


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
