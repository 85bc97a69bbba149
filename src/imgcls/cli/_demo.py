"""`imgcls demo`: everything at work, in a minute and without network."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls._checks import not_whole, refuse
from imgcls.cli._app import Json, Verbose, app, level_of
from imgcls.cli._open import tensorflow_started
from imgcls.cli._print import print_json, print_text, summary
from imgcls.errors import ConfigurationError, UnreadableImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgcls.classifier import ImageClassifier
    from imgcls.datasets import Dataset, Sample
    from imgcls.metrics import Evaluation


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")] = Path("imgcls-demo"),
    *,
    epochs: Annotated[int, typer.Option(help="How often every image is seen.")] = 20,
    seed: Annotated[int, typer.Option(help="Another seed, another split and other initial weights.")] = 0,
    json_: Json = False,
    verbose: Verbose = "auto",
) -> None:
    """Train on 1,797 handwritten digits, without network: see everything work in a minute.

    Writes the digits as PNG files in class folders below `images`, trains from that folder, evaluates on images never
    seen, and leaves the model and its pictures beside it. A folder `images` that holds anything else is refused.

    Example: imgcls demo -o digits-demo
    """
    start = time.perf_counter()
    refuse([not_whole("epochs", epochs)])
    from imgcls.datasets import Dataset

    output.mkdir(parents=True, exist_ok=True)
    images, digits = output / "images", Dataset.builtin("digits")
    _refuse_others(images, digits)
    with tensorflow_started():
        from imgcls.classifier import ImageClassifier, train

    _write(images, digits)
    data = Dataset.from_folder(images)
    if level_of(verbose) != 0:
        typer.echo(f"wrote {len(data):,} PNG files in {len(data.classes)} class folders to {images}", err=True)
    classifier = train(data, ImageClassifier("small_cnn", epochs=epochs, seed=seed), verbose=level_of(verbose))
    bundle = classifier.save(output / "digits.imgcls")
    pictures = _pictures(classifier, images, output)
    seconds = time.perf_counter() - start
    if json_:
        print_json(summary(classifier.evaluation_) | {"seconds": round(seconds, 1), "output": str(output)})
        return
    print_text(str(classifier.evaluation_))
    typer.echo(f"accuracy {classifier.evaluation_.accuracy:.1%} on images never seen, after {seconds:.0f} s. Look at:")
    for path in (bundle, *pictures):
        typer.echo(f"  {path}")


def _file(folder: Path, sample: "Sample") -> Path:
    return folder / str(sample.label) / f"{sample.id}.png"


def _refuse_others(folder: Path, digits: "Dataset") -> None:
    """Refuse a folder that holds what no demo wrote: it would be learnt from, or written over. Hidden files may be."""
    ours = {_file(folder, sample): sample.image for sample in digits} if folder.exists() else {}
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        passed_over = any(part.startswith(".") for part in within.parts) or (path.is_dir() and not path.is_symlink())
        if not passed_over and not (path in ours and _shows(path, ours[path])):
            message = (
                f"{str(folder)!r} holds {str(within)!r}, which is none of the digits that the demo writes there: it "
                "would be learnt from, or written over. Name another folder with --output."
            )
            raise ConfigurationError(message)


def _shows(path: Path, image: "NDArray[np.uint8]") -> bool:
    import numpy as np

    from imgcls.datasets import read

    try:
        found = read(path)
    except UnreadableImageError:
        return False
    return np.array_equal(found, image)


def _write(folder: Path, digits: "Dataset") -> None:
    from imgcls.datasets import write_png

    for sample in digits:
        target = _file(folder, sample)
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
