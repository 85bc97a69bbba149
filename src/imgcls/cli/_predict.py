"""`imgcls predict`: what is in new images, as a stream or as a table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from imgcls._checks import refuse, unknown_name
from imgcls.cli._app import AnyModel, Trust, app
from imgcls.cli._open import check_openable, opened, read_dataset
from imgcls.cli._print import complain, print_json
from imgcls.errors import ConfigurationError, UnreadableImageError

FORMATS = ("text", "csv", "jsonl")


@app.command()
def predict(
    model: AnyModel,
    images: Annotated[list[str], typer.Argument(help="Image files, folders, globs, or .csv files.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a table, .csv, .jsonl or .parquet; a rerun goes on where it was."),
    ] = None,
    *,
    form: Annotated[str, typer.Option("--format", help="On stdout: text, csv, or jsonl.")] = "text",
    trust: Trust = False,
    abstain: Annotated[
        list[str] | None, typer.Option(help="set, unsure or unknown: what may stand in place of a class. Repeatable.")
    ] = None,
    coverage: Annotated[float, typer.Option(help="Of --abstain set: how often a set shall hold the truth.")] = 0.9,
    most_error: Annotated[float, typer.Option(help="Of --abstain unsure: how many answers may be wrong.")] = 0.05,
    set_method: Annotated[
        str, typer.Option(help="Of --abstain set: lac, or raps for larger sets where an image is hard.")
    ] = "lac",
    json_: Annotated[
        bool, typer.Option("--json", help="The same as --format jsonl; with --output, what was written, as JSON.")
    ] = False,
) -> None:
    """Say what is in new images: one line an image, as soon as it is known.

    Images that cannot be read are named on stderr; the others are answered, and the exit code is 1.

    Examples: imgcls predict photos.imgcls new.jpg --abstain set --abstain unknown;
    imgcls predict photos.onnx photos/ -o answers.csv
    """
    form = "jsonl" if json_ else form
    refuse([unknown_name("format", form, FORMATS)])
    options: dict[str, Any] = {}
    if abstain:
        options = {"abstain": abstain, "coverage": coverage, "most_error": most_error, "set_method": set_method}
    check_openable(model)
    datasets = [read_dataset(path, labelled=False) for path in images]
    answering = _opened(model, options, trust=trust)
    paths = [dataset.source(index) for dataset in datasets for index in range(len(dataset))]
    if output is None:
        refused = _print_answers(answering, paths, options, form)
    else:
        refused = _write_answers(answering, paths, options, output, json_=json_)
    if refused:
        raise typer.Exit(1)


def _opened(model: Path, options: dict[str, Any], *, trust: bool) -> Any:
    answering = opened(model, trust=trust)
    if options and not hasattr(answering, "held_out_"):
        message = (
            f"--abstain rests on images held out, which a bundle knows and {str(model)!r} does not. Give the bundle."
        )
        raise ConfigurationError(message)
    return answering


def _write_answers(answering: Any, paths: list[Any], options: dict[str, Any], output: Path, *, json_: bool) -> int:
    """Write a table, and return how many images could not be read."""
    table = answering.predict_to(output, paths, **options)
    refused: int = table.refused
    typer.echo(f"{output}: {len(table.ids):,} images", err=True)
    if json_:
        print_json({"output": str(output), "images": len(table.ids), "refused": refused})
    if refused:
        typer.echo(f"{refused:,} cannot be read; the column 'error' says why", err=True)
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
