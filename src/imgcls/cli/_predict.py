"""`imgcls predict`: what is in new images, as a stream or as a table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from imgcls._checks import refuse, unknown_name
from imgcls.cli._app import AnyModel, Image, Root, Trust, app, was_typed
from imgcls.cli._open import check_openable, is_table, opened, read_dataset
from imgcls.cli._print import complain, print_json
from imgcls.errors import ConfigurationError, UnreadableImageError

FORMATS = ("text", "csv", "jsonl")
_OF = {"coverage": "set", "most_error": "unsure", "set_method": "set"}  # of what may be asked of --abstain


@app.command()
def predict(
    context: typer.Context,
    model: AnyModel,
    images: Annotated[list[str], typer.Argument(help="Image files, folders, globs, or .csv files.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a table, .csv, .jsonl or .parquet; a rerun goes on where it was."),
    ] = None,
    *,
    form: Annotated[str, typer.Option("--format", help="On stdout: text, csv, or jsonl.")] = "text",
    image: Image = None,
    root: Root = None,
    trust: Trust = False,
    abstain: Annotated[
        list[str] | None, typer.Option(help="set, unsure or unknown: what may stand in place of a class. Repeatable.")
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="Of --abstain set: how often a set shall hold the truth; else 0.9.")
    ] = None,
    most_error: Annotated[
        float | None, typer.Option(help="Of --abstain unsure: how many answers may be wrong; else 0.05.")
    ] = None,
    set_method: Annotated[
        str | None, typer.Option(help="Of --abstain set: raps for larger sets where an image is hard; else lac.")
    ] = None,
    json_: Annotated[
        bool,
        typer.Option(
            "--json/--no-json",
            show_default=False,
            help="The same as --format jsonl; with --output, what was written, as JSON.",
        ),
    ] = False,
) -> None:
    """Say what is in new images: one line an image, as soon as it is known.

    Images that cannot be read are named on stderr; the others are answered, and the exit code is 1.

    Examples: imgcls predict photos.imgcls new.jpg --abstain set --abstain unknown;
    imgcls predict photos.onnx photos/ -o answers.csv
    """
    asked = abstain or []
    form_typed = was_typed(context, "form")
    if form_typed and output is None and not was_typed(context, "json_"):
        json_ = False  # what is typed wins over a default
    promises = {"coverage": coverage, "most_error": most_error, "set_method": set_method}
    given = {name: value for name, value in promises.items() if value is not None}
    refuse([unknown_name("format", form, FORMATS)])
    refuse(
        [
            *(_idle(name, asked) for name in given if was_typed(context, name)),
            _another_form(form, output, json_=json_) if form_typed else None,
        ]
    )
    options: dict[str, Any] = {name: value for name, value in given.items() if _OF[name] in asked}
    if asked:
        options["abstain"] = asked
    check_openable(model)
    tables = any(map(is_table, images))
    columns: dict[str, Any] = {"image": image, "root": root}
    datasets = [
        read_dataset(path, context=context, labelled=False, **(columns if is_table(path) or not tables else {}))
        for path in images
    ]
    answering = _opened(model, options, trust=trust)
    paths = [dataset.source(index) for dataset in datasets for index in range(len(dataset))]
    if output is None:
        refused = _print_answers(answering, paths, options, "jsonl" if json_ else form)
    else:
        refused = _write_answers(answering, paths, options, output, json_=json_)
    if refused:
        raise typer.Exit(1)


def _idle(name: str, asked: list[str]) -> str | None:
    """Say that a flag is of what is not asked for."""
    flag, of = f"--{name.replace('_', '-')}", f"--abstain {_OF[name]}"
    return None if _OF[name] in asked else f"{flag} is of {of}, which is not asked for. Leave it out, or add {of}."


def _another_form(form: str, output: Path | None, *, json_: bool) -> str | None:
    """Say that --format is not what is written or printed."""
    if output is None:
        return f"--format {form} and --json differ. Leave one of them out." if json_ and form != "jsonl" else None
    if output.suffix.lower() == f".{form}":
        return None
    other = "" if form == "text" else f", or name a file that ends with .{form}"
    return f"--format {form} is for stdout, and the ending of {str(output)!r} decides. Leave it out{other}."


def _opened(model: Path, options: dict[str, Any], *, trust: bool) -> Any:
    answering = opened(model, trust=trust)
    if options and not hasattr(answering, "held_out_"):
        message = (
            f"--abstain rests on images held out, which a bundle knows and {str(model)!r} does not. Give the bundle."
        )
        raise ConfigurationError(message)
    return answering


def _write_answers(answering: Any, paths: list[Any], options: dict[str, Any], output: Path, *, json_: bool) -> int:
    """Write a table, and return how many of its images could not be read, now or in an earlier run."""
    table = answering.predict_to(output, paths, **options)
    refused: int = table.unreadable
    typer.echo(f"{output}: {len(table.ids):,} images", err=True)
    if json_:
        print_json({"output": str(output), "images": len(table.ids), "refused": refused})
    if refused:
        typer.echo(f"{refused:,} cannot be read; the column 'error' says why", err=True)
        typer.echo("what has a row is not asked again: take out the rows of images that you have mended", err=True)
    return refused


def _print_answers(answering: Any, paths: list[Any], options: dict[str, Any], form: str) -> int:
    """Print each answer when it comes, and return how many images could not be read."""
    from imgcls.predictions import Rows

    rows = Rows(answering.predictor.classes, bool(options))
    refused = 0
    if form == "csv":
        typer.echo(rows.csv([], head=True), nl=False)
    for one in answering.predict(iter(paths), **options):
        if isinstance(one, UnreadableImageError):
            refused += 1
            complain(str(one))
        if form == "csv":
            typer.echo(rows.csv([one]), nl=False)
        elif form == "jsonl":
            typer.echo(rows.lines([one]), nl=False)
        elif not isinstance(one, UnreadableImageError):
            typer.echo(f"{one.id}: {one}")
    return refused
