"""`imgcls evaluate`, `explain`, `card` and `info`: how good a bundle is, why it answers so, and what it holds."""

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls import report
from imgcls.cli._app import Data, Image, Json, Label, Model, OnError, Root, Trust, app
from imgcls.cli._open import check_model, opened, read_dataset, read_if_given
from imgcls.cli._print import complain, print_facts, print_json, print_text, summary
from imgcls.errors import DataWarning

if TYPE_CHECKING:
    from imgcls import ImageClassifier
    from imgcls.metrics import Evaluation, Leaks

_PICTURES = (".png", ".jpg", ".pdf", ".svg")
_NAMED = 5  # images left out that are named one by one; `check` names all


@app.command()
def evaluate(
    context: typer.Context,
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

    Images that cannot be read are counted, and the first few named, on stderr. Copies of images that the model has
    learnt from are counted too, and the accuracy without them is told.

    Example: imgcls evaluate photos.imgcls more-photos/ -o report.html
    """
    check_model(model)
    if output is not None:
        from imgcls.metrics._page import check_report_path

        check_report_path(output)
    dataset = read_dataset(data, context=context, image=image, label=label, root=root)
    evaluation = opened(model, trust=trust).evaluate(dataset, on_error=on_error)
    _name_left_out(evaluation)
    leaks = evaluation.leaks()
    if json_:
        print_json(summary(evaluation) | {"leaks": None if leaks is None else _told(leaks)})
    else:
        print_text(str(evaluation))
        if leaks is not None and leaks.ids:
            print_text(f"warning: {leaks}")
    if output is not None:
        typer.echo(f"wrote {evaluation.save(output)}", err=True)


@app.command()
def explain(
    model: Model,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("explained.png"),
    *,
    trust: Trust = False,
    label: Annotated[str | None, typer.Option(help="The class to explain; else the one that is said.")] = None,
    instead_of: Annotated[str | None, typer.Option(help="Explain why it is the class and not this one.")] = None,
    method: Annotated[str, typer.Option(help="grad_cam, or occlusion.")] = "grad_cam",
    json_: Json = False,
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
    if json_:
        told = {name: getattr(found, name) for name in ("label", "instead_of", "method")}
        print_json({"image": str(image), **told, "output": str(output)})
    else:
        typer.echo(f"{image}: {found}")
    typer.echo(f"wrote {output}", err=True)


@app.command()
def card(
    context: typer.Context,
    model: Model,
    data: Annotated[
        Path | None, typer.Argument(help="Labelled images to measure on; else those that were held out in training.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .md file to write; else stdout.")] = None,
    *,
    trust: Trust = False,
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
) -> None:
    """Write a model card in Markdown: what the model is, how good it is, and where it is not.

    Example: imgcls card photos.imgcls -o photos.md
    """
    check_model(model)
    if output is not None:
        report.check_path(output, (".md",), example="card.md")
    dataset = read_if_given(data, context=context, image=image, label=label, root=root)
    classifier = opened(model, trust=trust)
    text = classifier.card() if dataset is None else _card_of(classifier, dataset)
    if output is not None:
        report.write(output, text)
        typer.echo(f"wrote {output}", err=True)
    if json_:
        print_json({"card": text, "output": None if output is None else str(output)})
    elif output is None:
        typer.echo(text)


@app.command()
def info(model: Model, *, json_: Json = False) -> None:
    """Say what a model file holds. Checks its hashes; starts no TensorFlow.

    Example: imgcls info photos.imgcls
    """
    description, arrays, _ = check_model(model)
    held_out, data = description["evaluation"], description["data"]
    columns = description["history"]["columns"]
    facts = {
        "written by imgcls": description["imgcls"],
        "license": description["license"] or "not said",
        "architecture": description["architecture"] or "your own",
        "classes": description["classes"],
        "input (height, width, channels)": description["blueprint"]["input_shape"],
        "parameters": int(sum(array.size for array in arrays)),
        **({} if "held_out_loss" in columns else {"epochs": len(columns.get("loss", []))}),  # a solved head has none
        "images": {part: f"{known['images']:,}" if known else "not known" for part, known in data.items()},
        **({"thresholds": _thresholds(description)} if description["thresholds"] else {}),
        "held out": _figures(held_out) if held_out else "nothing",
        "choices": {name: f"{value}: {reason}" for name, (value, reason) in description["choices"].items()},
    }
    print_facts(facts, json_=json_)


def _name_left_out(evaluation: "Evaluation") -> None:
    """Say on stderr which images cannot be read, and why."""
    for reason in list(evaluation.quarantined.values())[:_NAMED]:
        typer.echo(f"left out: {reason}", err=True)


def _card_of(classifier: "ImageClassifier", dataset: Any) -> str:
    """Return the card of a classifier measured on images; those that cannot be read are named on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # which tells where Python has the names
        evaluation = classifier.evaluate(dataset)
    if left_out := evaluation.left_out:
        of = f"{left_out:,} of {left_out + len(evaluation.ids):,} images"
        complain(f"{of} cannot be read and are left out of the figures. Repair or remove them.", color="yellow")
    _name_left_out(evaluation)
    return evaluation.to_card()


def _told(leaks: "Leaks") -> dict[str, Any]:
    """Return leaks as JSON can hold them: where all images leak, there is no accuracy without them."""
    without = leaks.accuracy_without
    return {"images": leaks.ids, "accuracy_without": None if math.isnan(without) else without}


def _thresholds(description: dict[str, Any]) -> dict[str, float]:
    """Return the probability from which on a class is said, of those that have one."""
    named = zip(description["classes"], description["thresholds"], strict=True)
    return {str(name): least for name, least in named if least is not None}


def _figures(held_out: dict[str, Any]) -> dict[str, str]:
    """Word the figures of what was held out, the first three; one that is not defined is null in a bundle."""
    told = {}
    for one in held_out["figures"][:3]:
        value, lower, upper = ("-" if one[name] is None else f"{one[name]:.3f}" for name in ("value", "lower", "upper"))
        told[one["name"]] = f"{value} [{lower}, {upper}] on {held_out['images']:,} images"
    return told
