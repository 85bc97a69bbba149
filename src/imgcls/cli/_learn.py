"""`imgcls check`, `train` and `plan`: from images to a bundle."""

import itertools
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls import report
from imgcls._checks import not_positive, refuse
from imgcls.cli._app import Data, Image, Json, Label, OnError, Root, Verbose, app, level_of, none, number, whole, word
from imgcls.cli._open import is_table, read_dataset, tensorflow_started
from imgcls.cli._print import print_document, print_json, print_text, summary
from imgcls.errors import BundleError

if TYPE_CHECKING:
    from imgcls.classifier import ImageClassifier


@app.command()
def check(
    context: typer.Context,
    data: Data,
    *,
    against: Annotated[
        Path | None,
        typer.Option(help="Other images, such as a test set, that must hold none of these; a .csv file, read alike."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report too: .html, .json or .csv.")
    ] = None,
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
    verbose: Verbose = "auto",
) -> None:
    """Find what is wrong with images before training: unreadable files, copies, leaks, odd classes, odd pictures.

    Exit code 3: something was found that makes training fail or its figures wrong.

    Example: imgcls check photos/ -o photos.html
    """
    from imgcls.datasets._data_report import check_path

    if output is not None:
        check_path(output)
    columns: dict[str, Any] = {"image": image, "root": root}
    beside = against is not None and is_table(against)
    dataset = read_dataset(data, context=context, label=label, **({} if beside and not is_table(data) else columns))
    of_other = columns if beside else {}
    other = None if against is None else read_dataset(against, context=context, labelled=False, **of_other)
    report = dataset.check(verbose=level_of(verbose), against=other)
    print_document(report.to_json()) if json_ else print_text(str(report))
    if output is not None:
        report.save(output)
        typer.echo(f"wrote {output}", err=True)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def train(
    context: typer.Context,
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")] = Path("model.imgcls"),
    *,
    architecture: Annotated[str, typer.Option(help="A name, such as small_cnn or mobilenet_v2.")] = "auto",
    weights: Annotated[str, typer.Option(help="imagenet, the path of a weights file, none, or auto.")] = "auto",
    image_size: Annotated[str, typer.Option(help="The side in pixels, or auto.")] = "auto",
    augmentation: Annotated[
        str, typer.Option(help="light, standard, strong, overhead, shift, flip_shift, none, or auto.")
    ] = "auto",
    mixing: Annotated[str, typer.Option(help="mixup, cutmix, both, or none.")] = "none",
    epochs: Annotated[str, typer.Option(help="How often every image is seen, at most, or auto.")] = "auto",
    learning_rate: Annotated[str, typer.Option(help="A number, which stays constant, or auto.")] = "auto",
    budget: Annotated[str, typer.Option(help="The time for training: seconds, words such as 10min, or none.")] = "none",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A folder for the state of training; the same command goes on from there.")
    ] = None,
    class_weight: Annotated[str, typer.Option(help="balanced or none.")] = "none",
    seed: Annotated[int, typer.Option(help="Another seed, another split and other initial weights.")] = 0,
    on_error: OnError = "skip",
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
    verbose: Verbose = "auto",
) -> None:
    """Train on a folder, evaluate on images never seen, save a bundle.

    Ctrl-C, or an error once training is over, keeps what was learnt, and an output that exists already: then it is
    saved beside it, such as in model.interrupted.imgcls, or where that fails, in a temporary folder. With --checkpoint,
    the same command goes on where it stopped, exactly.

    Example: imgcls train photos/ -o photos.imgcls --checkpoint runs/photos
    """
    from imgcls.bundle import check_classes

    side, length, level = whole("image_size", image_size), whole("epochs", epochs), level_of(verbose)
    mixed, balance = (
        word("mixing", mixing, ("mixup", "cutmix", "both")),
        word("class_weight", class_weight, ["balanced"]),
    )
    report.check_path(output, (".imgcls",), example="model.imgcls")
    stopped = output.with_suffix(f".interrupted{output.suffix}") if output.exists() else output
    dataset = read_dataset(data, context=context, image=image, label=label, root=root)
    check_classes(dataset.classes)  # now, and not when hours of training cannot be saved
    with tensorflow_started():
        from imgcls.classifier import ImageClassifier
        from imgcls.classifier import train as train_classifier
    classifier = ImageClassifier(
        architecture,
        weights=none(weights),
        image_size=side,
        augmentation=none(augmentation),
        mixing=mixed,
        epochs=length,
        learning_rate=number("learning_rate", learning_rate),
        budget=none(budget),
        class_weight=balance,
        seed=seed,
    )
    try:
        train_classifier(dataset, classifier, checkpoint=checkpoint, on_error=on_error, verbose=level)
    except KeyboardInterrupt:
        _save_as_far_as_trained(classifier, stopped, output)
        raise
    except Exception:
        if hasattr(classifier, "model_"):  # training was over, and took longer than what failed
            _save_as_far_as_trained(classifier, stopped, output)
        raise
    place: Path | None = None
    try:
        place = classifier.save(output)
    except (Exception, KeyboardInterrupt):  # such as a disk that is full, or a share that is gone
        place = _save_somewhere(classifier, stopped, output)
        if place is not None:
            typer.echo(f"saved {place}" if place == output else f"saved {place} in place of {output}", err=True)
        raise
    finally:  # whatever became of the file, it was measured
        if json_:
            found = {"output": None if place is None else str(place)}
            print_json(summary(classifier.evaluation_) | found)
        else:
            print_text(str(classifier.evaluation_))
    if not json_:
        typer.echo(f"saved {output}")


def _save_as_far_as_trained(classifier: "ImageClassifier", path: Path, output: Path) -> None:
    """Save what was learnt so far, if anything was, and say where; `output`, where `path` is another, stays."""
    if not hasattr(classifier, "model_"):
        typer.echo("nothing saved: nothing was learnt yet", err=True)
        return
    saved = _save_somewhere(classifier, path, output)
    stays = "" if path == output else f"; {output} stays as it was before"
    if saved is not None:
        typer.echo(f"saved {saved} as far as it was trained; not evaluated{stays}", err=True)


def _save_somewhere(classifier: "ImageClassifier", path: Path, output: Path) -> Path | None:
    """Save at `path`, with a number where it is not `output`, or else in a temporary folder, and return where.

    None where neither can be written to: that is said.
    """
    with suppress(BundleError, OSError):
        return classifier.save(path if path == output else _unused(path))
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="imgcls-"))  # its own, where many users share the one for all
        return classifier.save(folder / output.name)
    except (BundleError, OSError) as error:
        typer.echo(f"nothing saved, nor in a temporary folder: {error}", err=True)
    if folder is not None:
        with suppress(OSError):
            folder.rmdir()
    return None


def _unused(path: Path) -> Path:
    """Return a path, or such as photos.interrupted-2.imgcls where an earlier run has left photos.interrupted.imgcls."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())


@app.command()
def plan(
    context: typer.Context,
    data: Data,
    *,
    architecture: Annotated[str, typer.Option(help="A name, such as small_cnn or mobilenet_v2.")] = "auto",
    weights: Annotated[str, typer.Option(help="imagenet, the path of a weights file, none, or auto.")] = "auto",
    image_size: Annotated[str, typer.Option(help="The side in pixels, or auto.")] = "auto",
    budget: Annotated[str, typer.Option(help="The time for training: seconds, words such as 10min, or none.")] = "none",
    seconds: Annotated[float, typer.Option(help="How long it may measure.")] = 20.0,
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
    verbose: Verbose = "auto",
) -> None:
    """Say what training would do, how long it would take, and what to expect of it.

    Nothing is trained. With pretrained weights it measures for some seconds how accuracy grows with the number of
    images, and of which class more would help.

    Example: imgcls plan photos/ --budget 10min
    """
    side, level = whole("image_size", image_size), level_of(verbose)
    refuse([not_positive("seconds", seconds)])
    dataset = read_dataset(data, context=context, image=image, label=label, root=root)
    with tensorflow_started():
        from imgcls.classifier import ImageClassifier, divide
        from imgcls.trainer import check_arguments
    classifier = ImageClassifier(architecture, weights=none(weights), image_size=side, budget=none(budget))
    check_arguments(classifier.get_params(deep=False), level)  # before every image is read
    training, validation, _ = divide(dataset, verbose=level)
    found = classifier.forecast(training, validation_data=validation, seconds=seconds, verbose=level)
    print_document(found.to_json()) if json_ else print_text(str(found))
