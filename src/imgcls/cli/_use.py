"""`imgcls evaluate`, `predict`, `explain`, `card` and `info`: what a bundle is good for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls import report
from imgcls._checks import refuse, unknown_name
from imgcls.cli._app import (
    AnyModel,
    Data,
    Image,
    Json,
    Label,
    Model,
    OnError,
    Root,
    Trust,
    app,
    check_model,
    check_openable,
    complain,
    opened,
    print_facts,
    read_dataset,
)
from imgcls.errors import ConfigurationError, UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgcls.predictions import Prediction, Rows

_PICTURES = (".png", ".jpg", ".pdf", ".svg")
FORMATS = ("text", "csv", "jsonl")
_NAMED = 5  # images left out that are named one by one; `check` names all


@app.command()
def evaluate(
    model: Model,
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report too: .html, .md, .json or .csv.")
    ] = None,
    *,
    trust: Trust = False,
    on_error: OnError = "skip",
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
) -> None:
    """Measure a model on labelled images, each figure with its 95 % interval.

    Images that cannot be read are counted, and the first few named, on stderr.

    Example: imgcls evaluate photos.imgcls more-photos/ -o report.html
    """
    check_model(model)
    if output is not None:
        from imgcls.metrics._page import check_report_path

        check_report_path(output)
    dataset = read_dataset(data, image=image, label=label, root=root)
    evaluation = opened(model, trust=trust).evaluate(dataset, on_error=on_error)
    for reason in list(evaluation.quarantined.values())[:_NAMED]:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(evaluation.to_json() if json_ else str(evaluation))
    if output is not None:
        typer.echo(f"wrote {evaluation.save(output)}", err=True)


@app.command()
def predict(
    model: AnyModel,
    images: Annotated[list[str], typer.Argument(help="Image files, folders or globs.")],
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
    json_: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
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
        options = {"abstain": abstain, "coverage": coverage, "most_error": most_error}
    check_openable(model)
    datasets = [read_dataset(path, labelled=False) for path in images]
    answering = opened(model, trust=trust)
    if options and not hasattr(answering, "held_out_"):
        message = (
            f"--abstain rests on images held out, which a bundle knows and {str(model)!r} does not. Give the bundle."
        )
        raise ConfigurationError(message)
    paths = [dataset.source(index) for dataset in datasets for index in range(len(dataset))]
    if output is not None:
        table = answering.predict_to(output, paths, **options)
        typer.echo(f"{output}: {len(table.ids):,} images", err=True)
        refused = table.refused
        if refused:
            typer.echo(f"{refused:,} cannot be read; the column 'error' says why", err=True)
    else:
        from imgcls.predictions import Rows

        rows = Rows(answering.predictor.classes, bool(abstain))
        refused = _print_answers(answering.predict(iter(paths), **options), rows, form)
    if refused:
        raise typer.Exit(1)


@app.command()
def explain(
    model: Model,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("explained.png"),
    *,
    trust: Trust = False,
    label: Annotated[str | None, typer.Option(help="The class to explain; else the likeliest.")] = None,
    instead_of: Annotated[str | None, typer.Option(help="Explain why it is the class and not this one.")] = None,
    method: Annotated[str, typer.Option(help="grad_cam, or occlusion.")] = "grad_cam",
) -> None:
    """Show where in an image the model finds what speaks for a class.

    Example: imgcls explain photos.imgcls new.jpg -o new-explained.png
    """
    check_model(model)
    report.check_path(output, _PICTURES, example="explained.png")
    classifier = opened(model, trust=trust)
    names = {str(name): name for name in classifier.classes_.tolist()}
    wanted, other = (None if name is None else names.get(name, name) for name in (label, instead_of))
    found = classifier.explain(image, wanted, instead_of=other, method=method)
    figure: Any = found.show().figure
    figure.savefig(output, dpi=150)
    typer.echo(f"{image}: {found}")
    typer.echo(f"wrote {output}", err=True)


@app.command()
def card(
    model: Model,
    data: Annotated[
        Path | None, typer.Argument(help="Labelled images to measure on; else those that were held out in training.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .md file to write; else stdout.")] = None,
    *,
    trust: Trust = False,
) -> None:
    """Write a model card in Markdown: what the model is, how good it is, and where it is not.

    Example: imgcls card photos.imgcls -o photos.md
    """
    check_model(model)
    if output is not None:
        report.check_path(output, (".md",), example="card.md")
    dataset = None if data is None else read_dataset(data)
    text = opened(model, trust=trust).card(dataset)
    if output is None:
        typer.echo(text)
        return
    report.write(output, text)
    typer.echo(f"wrote {output}", err=True)


@app.command()
def info(model: Model, *, json_: Json = False) -> None:
    """Say what a model file holds. Checks its hashes; starts no TensorFlow."""
    from imgcls import bundle

    description, arrays, _ = bundle.load(model)
    held_out, data = description["evaluation"], description["data"]
    facts = {
        "written by imgcls": description["imgcls"],
        "license": description["license"] or "not said",
        "architecture": description["architecture"] or "your own",
        "classes": description["classes"],
        "input (height, width, channels)": description["blueprint"]["input_shape"],
        "parameters": int(sum(array.size for array in arrays)),
        "epochs": len(description["history"]["columns"].get("loss", [])),
        "images": {part: f"{known['images']:,}" if known else "not known" for part, known in data.items()},
        "held out": _figures(held_out) if held_out else "nothing",
        "choices": {name: f"{value}: {reason}" for name, (value, reason) in description["choices"].items()},
    }
    print_facts(facts, json_=json_)


def _figures(held_out: dict[str, Any]) -> dict[str, str]:
    """Word the figures of what was held out, the first three."""
    return {
        one["name"]: f"{one['value']:.3f} [{one['lower']:.3f}, {one['upper']:.3f}] on {held_out['images']:,} images"
        for one in held_out["figures"][:3]
    }


def _print_answers(answers: "Iterator[Prediction | UnreadableImageError]", rows: "Rows", form: str) -> int:
    """Print each answer when it comes, and return how many images could not be read."""
    refused = 0
    if form == "csv":
        typer.echo(rows.csv([], head=True), nl=False)
    for one in answers:
        if isinstance(one, UnreadableImageError):
            refused += 1
            complain(one)
        if form == "csv":
            typer.echo(rows.csv([one]), nl=False)
        elif form == "jsonl":
            typer.echo(rows.lines([one]), nl=False)
        elif not isinstance(one, UnreadableImageError):
            typer.echo(f"{one.id}: {one}")
    return refused
