"""The command line: one verb per job. Every flag is a Python argument of the same name.

Results go to stdout (as JSON with `--json`), progress to stderr. Exit codes: 0 done, 1 refused or failed with a message
of ours, 2 wrong usage, 3 `check` found errors in the data, 130 interrupted.
"""

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls import __version__
from imgcls.errors import ConfigurationError, ImgclsError, UnreadableImageError

if TYPE_CHECKING:
    from imgcls.classifier import ImageClassifier
    from imgcls.datasets import Dataset
    from imgcls.metrics import Evaluation
    from imgcls.predictions import Prediction

app = typer.Typer(
    name="imgcls",
    help="Turn labelled images into a classifier you can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_CHUNK = 256  # images answered at a time
_NAMED = 5  # images left out that are named one by one; `check` names all

_Data = Annotated[Path, typer.Argument(help="A folder with class sub-folders, or a .csv file.")]
_Image = Annotated[str | None, typer.Option(help="Of a .csv file: the column of image paths; else `image`.")]
_Label = Annotated[str | None, typer.Option(help="Of a .csv file: the column of labels; else `label`.")]
_Root = Annotated[Path | None, typer.Option(help="Of a .csv file: what its paths are relative to; else its folder.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
_Verbose = Annotated[str, typer.Option(help="Progress on stderr: 0 nothing, 1 a live bar, 2 a line an epoch, or auto.")]
_OnError = Annotated[str, typer.Option(help="Unreadable images: skip names and leaves out, raise refuses.")]
_Model = Annotated[Path, typer.Argument(help="A bundle that `imgcls train` or ImageClassifier.save wrote.")]


def main() -> None:
    """Run the command line; turn refusals into one message on stderr and exit code 1."""
    with warnings.catch_warnings():
        warnings.showwarning = partial(_show_warning, otherwise=warnings.showwarning)
        try:
            app()
        except ImgclsError as error:
            _complain(error)
            sys.exit(1)


@app.callback(invoke_without_command=True)
def version(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False
) -> None:
    """Turn labelled images into a classifier you can trust."""
    if show_version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")] = Path("imgcls-demo"),
    *,
    epochs: Annotated[int, typer.Option(help="How often every image is seen.")] = 20,
    seed: Annotated[int, typer.Option(help="Another seed, another split and other initial weights.")] = 0,
    json_: _Json = False,
    verbose: _Verbose = "auto",
) -> None:
    """Train on 1,797 handwritten digits, without network: see everything work in a minute.

    Writes the digits as PNG files in class folders, trains from that folder, evaluates on images never seen, and
    leaves the model and its pictures in one folder.
    """
    start = time.perf_counter()
    with _tensorflow_started():
        from imgcls.classifier import ImageClassifier, train
        from imgcls.datasets import Dataset

    images = output / "images"
    _write_digits(images)
    data = Dataset.from_folder(images)
    typer.echo(f"wrote {len(data):,} PNG files in {len(data.classes)} class folders to {images}", err=True)
    classifier = train(data, ImageClassifier("small_cnn", epochs=epochs, seed=seed), verbose=_level(verbose))
    bundle = classifier.save(output / "digits.imgcls")
    pictures = _pictures(classifier, images, output)
    seconds = time.perf_counter() - start
    if json_:
        _print_json(_summary(classifier.evaluation_) | {"seconds": round(seconds, 1), "output": str(output)})
        return
    typer.echo(str(classifier.evaluation_))
    typer.echo(f"accuracy {classifier.evaluation_.accuracy:.1%} on images never seen, after {seconds:.0f} s. Look at:")
    for path in (bundle, *pictures):
        typer.echo(f"  {path}")


@app.command()
def check(
    data: _Data,
    *,
    against: Annotated[
        Path | None, typer.Option(help="Other images, such as a test set, that must hold none of these.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report too: .html, .json or .csv.")
    ] = None,
    image: _Image = None,
    label: _Label = None,
    root: _Root = None,
    json_: _Json = False,
    verbose: _Verbose = "auto",
) -> None:
    """Find what is wrong with images before training: unreadable files, copies, leaks, odd classes, odd pictures.

    Exit code 3: something was found that makes training fail or its figures wrong.

    Example: imgcls check photos/ -o photos.html
    """
    from imgcls.datasets._data_report import check_path

    if output is not None:
        check_path(output)
    report = _dataset(data, image=image, label=label, root=root).check(verbose=_level(verbose), against=against)
    typer.echo(report.to_json() if json_ else str(report))
    if output is not None:
        report.save(output)
        typer.echo(f"wrote {output}", err=True)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def train(
    data: _Data,
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
    budget: Annotated[str, typer.Option(help="The time that training may take, such as 10min, or none.")] = "none",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A folder for the state of training; the same command goes on from there.")
    ] = None,
    class_weight: Annotated[str, typer.Option(help="balanced or none.")] = "none",
    seed: Annotated[int, typer.Option(help="Another seed, another split and other initial weights.")] = 0,
    on_error: _OnError = "skip",
    image: _Image = None,
    label: _Label = None,
    root: _Root = None,
    json_: _Json = False,
    verbose: _Verbose = "auto",
) -> None:
    """Train on a folder, evaluate on images never seen, save a bundle.

    Ctrl-C keeps what was learnt. With --checkpoint, the same command goes on where it stopped, exactly.

    Example: imgcls train photos/ -o photos.imgcls --checkpoint runs/photos
    """
    side, length, level = _whole("image_size", image_size), _whole("epochs", epochs), _level(verbose)
    _check_output(output)
    dataset = _dataset(data, image=image, label=label, root=root)
    with _tensorflow_started():
        from imgcls.classifier import ImageClassifier
        from imgcls.classifier import train as train_classifier
    classifier = ImageClassifier(
        architecture,
        weights=_none(weights),
        image_size=side,
        augmentation=_none(augmentation),
        mixing=_none(mixing),
        epochs=length,
        budget=_none(budget),
        class_weight=_none(class_weight),
        seed=seed,
    )
    try:
        train_classifier(dataset, classifier, checkpoint=checkpoint, on_error=on_error, verbose=level)
    except KeyboardInterrupt:
        if hasattr(classifier, "history_") and classifier.history_.epochs:
            classifier.save(output)
            typer.echo(f"saved {output} as far as it was trained; not evaluated", err=True)
        raise
    classifier.save(output)
    if json_:
        _print_json(_summary(classifier.evaluation_) | {"output": str(output)})
        return
    typer.echo(str(classifier.evaluation_))
    typer.echo(f"saved {output}")


@app.command()
def plan(
    data: _Data,
    *,
    architecture: Annotated[str, typer.Option(help="A name, such as small_cnn or mobilenet_v2.")] = "auto",
    weights: Annotated[str, typer.Option(help="imagenet, the path of a weights file, none, or auto.")] = "auto",
    image_size: Annotated[str, typer.Option(help="The side in pixels, or auto.")] = "auto",
    budget: Annotated[str, typer.Option(help="The time that training may take, such as 10min, or none.")] = "none",
    seconds: Annotated[float, typer.Option(help="How long it may measure.")] = 20.0,
    image: _Image = None,
    label: _Label = None,
    root: _Root = None,
    json_: _Json = False,
    verbose: _Verbose = "auto",
) -> None:
    """Say what training would do, how long it would take, and what to expect of it.

    Nothing is trained. With pretrained weights it measures for some seconds how accuracy grows with the number of
    images, and of which class more would help.

    Example: imgcls plan photos/ --budget 10min
    """
    side, level = _whole("image_size", image_size), _level(verbose)
    dataset = _dataset(data, image=image, label=label, root=root)
    with _tensorflow_started():
        from imgcls.classifier import ImageClassifier, divide
    classifier = ImageClassifier(architecture, weights=_none(weights), image_size=side, budget=_none(budget))
    training, validation, _ = divide(dataset, verbose=level)
    found = classifier.forecast(training, validation_data=validation, seconds=seconds, verbose=level)
    typer.echo(found.to_json() if json_ else str(found))


@app.command()
def evaluate(
    model: _Model,
    data: _Data,
    *,
    on_error: _OnError = "skip",
    image: _Image = None,
    label: _Label = None,
    root: _Root = None,
    json_: _Json = False,
) -> None:
    """Measure a model on labelled images.

    Images that cannot be read are counted, and the first few named, on stderr.

    Example: imgcls evaluate photos.imgcls more-photos/
    """
    _check_model(model)
    dataset = _dataset(data, image=image, label=label, root=root)
    with _tensorflow_started():
        from imgcls.classifier import ImageClassifier
    evaluation = ImageClassifier.load(model).evaluate(dataset, on_error=on_error)
    for reason in list(evaluation.quarantined.values())[:_NAMED]:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(evaluation.to_json() if json_ else str(evaluation))


@app.command()
def predict(
    model: _Model,
    images: Annotated[list[str], typer.Argument(help="Image files or folders.")],
    *,
    json_: _Json = False,
) -> None:
    """Say what is in new images: one line an image.

    Images that cannot be read are named on stderr; the others are answered, and the exit code is 1.

    Example: imgcls predict photos.imgcls new.jpg
    """
    _check_model(model)
    datasets = [_dataset(path, labelled=False) for path in images]
    with _tensorflow_started():
        from imgcls.classifier import ImageClassifier
    classifier = ImageClassifier.load(model)
    refused = False
    for dataset in datasets:
        for one in _answers(classifier, dataset):
            if isinstance(one, ImgclsError):
                refused = True
                _complain(one)
            elif json_:
                probabilities = {str(name): round(value, 6) for name, value in one.probabilities.items()}
                label = list(one.label) if isinstance(one.label, tuple) else one.label
                _print_json({"id": one.id, "label": label, "probabilities": probabilities})
            else:
                typer.echo(f"{one.id}: {one}")
    if refused:
        raise typer.Exit(1)


@app.command()
def info(model: _Model, *, json_: _Json = False) -> None:
    """Say what a model file holds. Checks its hashes; starts no TensorFlow."""
    from imgcls import bundle

    description, arrays = bundle.load(model)
    facts = {
        "written by imgcls": description.get("imgcls"),
        "architecture": description.get("architecture") or "your own",
        "classes": description.get("classes"),
        "input (height, width, channels)": description.get("blueprint", {}).get("input_shape"),
        "parameters": int(sum(array.size for array in arrays)),
        "epochs": len(description.get("history", {}).get("columns", {}).get("loss", [])),
        "choices": {name: f"{value}: {reason}" for name, (value, reason) in description.get("choices", {}).items()},
    }
    _print_facts(facts, json_=json_)


@app.command()
def doctor(*, json_: _Json = False) -> None:
    """Say what this machine has: versions, devices, cores, free disk."""
    with _tensorflow_started():
        from imgcls import _backend
    import platform
    import shutil
    from importlib.metadata import version as installed

    names = ("keras", "numpy", "pillow", "scikit-learn", "matplotlib", "seaborn", "safetensors")
    facts: dict[str, Any] = {
        "imgcls": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "free disk (GiB)": round(shutil.disk_usage(".").free / 2**30, 1),
        **_backend.devices(),
        **{name: installed(name) for name in names},
    }
    if not facts["GPUs"]:
        facts["GPU"] = 'none seen by TensorFlow. With an NVIDIA GPU on Linux: pip install "imgcls[gpu]"'
    _print_facts(facts, json_=json_)


# --- inside --------------------------------------------------------------------------------------------------------


@contextmanager
def _tensorflow_started() -> Iterator[None]:
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


def _complain(error: ImgclsError) -> None:
    typer.secho(f"imgcls: {error}", fg="red", err=True)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, otherwise: Any, **more: Any) -> None:
    """Say our own warnings in words alone: in a shell there is no line of the user's to point at."""
    if category.__module__.startswith("imgcls."):
        typer.secho(f"imgcls: {message}", fg="yellow", err=True)
    else:
        otherwise(message, category, *place, **more)


def _answers(classifier: "ImageClassifier", dataset: "Dataset") -> "Iterator[Prediction | ImgclsError]":
    """Yield a prediction for each image, or the error of one that cannot be read; the others are answered."""
    for start in range(0, len(dataset), _CHUNK):
        chunk = dataset[start : start + _CHUNK]
        try:
            yield from classifier.predict(chunk)
        except UnreadableImageError as error:
            if len(chunk) == 1:
                yield error
            else:
                for index in range(len(chunk)):
                    yield from _answers(classifier, chunk[index : index + 1])


def _check_model(path: Path) -> None:
    from imgcls import bundle

    bundle.load(path)  # a wrong file is refused before TensorFlow takes its seconds to start


def _dataset(path: Path | str, *, labelled: bool = True, **columns: Any) -> "Dataset":
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


def _write_digits(folder: Path) -> None:
    from imgcls.datasets import Dataset, write_png

    for sample in Dataset.builtin("digits"):
        target = folder / sample.label / f"{sample.id}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(sample.image, target)


def _pictures(classifier: "ImageClassifier", images: Path, output: Path) -> list[Path]:
    evaluation: Evaluation = classifier.evaluation_
    spread = range(0, len(evaluation.ids), len(evaluation.ids) // 36)[:36]
    drawn = {
        "curves.png": classifier.history_.plot()[0],
        "confusion.png": evaluation.plot(),
        "predictions.png": evaluation.show(spread)[0],
        "new-image.png": classifier.predict(images / evaluation.ids[0]).show()[0],
    }
    paths = []
    for name, axes in drawn.items():
        paths.append(output / name)
        axes.figure.savefig(paths[-1], dpi=120)
    return paths


def _summary(evaluation: "Evaluation") -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(evaluation.to_json())
    return summary


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _print_facts(facts: dict[str, Any], *, json_: bool) -> None:
    if json_:
        _print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        lines = [f"{key} = {one}" for key, one in value.items()] if isinstance(value, dict) else [_words(value)]
        for index, line in enumerate(lines):
            typer.echo(f"{'' if index else name:<{width}}  {line}")


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def _check_output(path: Path) -> None:
    """Refuse now what could not be written after training."""
    if path.is_dir():
        message = f"{str(path)!r} is a folder. Accepted: the name of a file, such as {str(path / 'model.imgcls')!r}."
        raise ConfigurationError(message)
    if not path.parent.is_dir():
        message = f"folder {str(path.parent)!r} does not exist. Make it, or name another output."
        raise ConfigurationError(message)
    if not os.access(path.parent, os.W_OK):
        message = f"folder {str(path.parent)!r} cannot be written to. Name another output."
        raise ConfigurationError(message)


def _none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _whole(argument: str, text: str) -> int | str:
    if text == "auto" or not text.isdecimal():
        if text != "auto":
            message = f"{argument}={text!r} is not accepted. Accepted: a whole number, or 'auto'."
            raise ConfigurationError(message)
        return text
    return int(text)


def _level(verbose: str) -> int | str:
    return int(verbose) if verbose.isdecimal() else verbose
