"""Export parity: every architecture in every format, beside the model it was made of.

    python benchmarks/parity.py [--names small_cnn resnet50 ...] [--minutes 25] [--page docs/concepts/parity.md]

Each network gets random weights; its normalisations get the statistics of 32 drawn pictures, and its head is scaled so
that the answers to them differ. Then it is written in each format in float32, opened by that format's own runtime, and
run on 32 other pictures. Left out are pictures on which the original itself changes by more than 1e-4 when pixels
change by 0.001: deep networks of random weights enlarge some pictures a thousand times, and the last bit of a sum then
decides. Networks of up to a thousand million multiply-adds run at the size they were designed for, others at a smaller
one.

Every architecture has a process of its own. Rows go into the page between its markers as they are measured; rows of
other architectures stay. Without names, one of each family comes first, then the others, the smallest first, until the
minutes are over.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

CLASSES = ("ant", "bee", "cat", "dog", "elk")
PICTURES, SPARE = 32, 32
SMALL = 96  # pixels
MARKERS = "<!-- {}: begin -->", "<!-- {}: end -->"


def lively(name: str, side: int) -> tuple[Any, np.ndarray]:
    """Return a network whose answers differ from picture to picture, and pictures that it has not seen."""
    import keras

    from imgcls import architectures, images

    pictures = images.drawn(2 * PICTURES + SPARE, (side, side, 3))
    seen = pictures[:PICTURES].astype(np.float32)
    model = architectures.build(name, input_shape=(side, side, 3), num_classes=len(CLASSES))
    layers = model._flatten_layers()  # noqa: SLF001 - Keras offers no public walk through nested models
    statistics = [one for one in layers if isinstance(one, keras.layers.BatchNormalization)]
    momenta = [one.momentum for one in statistics]
    for one in statistics:
        one.momentum = 0.0
    model(seen, training=True)
    for one, momentum in zip(statistics, momenta, strict=True):
        one.momentum = momentum
    features = np.asarray(architectures.cut(model)(seen, training=False))
    kernel = np.random.default_rng(0).normal(size=(features.shape[1], len(CLASSES)))
    scores = (features - features.mean(axis=0)) @ kernel
    kernel *= 2 / scores.std()
    model.get_layer("head").set_weights([kernel, -features.mean(axis=0) @ kernel])
    return model, pictures[PICTURES:][_steady(model, pictures[PICTURES:].astype(np.float32))][:PICTURES]


def _steady(model: Any, pictures: np.ndarray) -> np.ndarray:
    """Say of each picture whether the answer to it stays where it is when pixels change by 0.001."""
    moved = pictures + np.random.default_rng(0).choice([-0.001, 0.001], pictures.shape).astype(np.float32)
    one, other = (np.asarray(model(given, training=False)) for given in (pictures, moved))
    return np.abs(one - other).max(axis=1) <= 1e-4


def row(name: str) -> dict[str, list[str]]:
    """Return the cells of an architecture in each table."""
    from imgcls import architectures
    from imgcls._thresholds import Thresholds
    from imgcls.export import Facts, _formats, _measure
    from imgcls.export._source import Source, Wanted

    known = architectures.describe(name)
    designed = known.image_size or 32
    side = designed if known.multiply_adds <= 1e9 else max(SMALL, known.least_size)
    model, pictures = lively(name, side)
    source = Source.of(model, Facts(name, CLASSES, (side, side, 3), model.count_params()))
    expected, answers = source.run(pictures), Thresholds(None, CLASSES, multi_label=False)
    agreement, milliseconds, megabytes = [f"`{name}`", str(side)], dict[str, float](), 0.0
    with TemporaryDirectory() as folder:
        for form in _formats.rows():
            path = Path(folder) / f"model{form.ending}"
            try:
                form.write(source, path, Wanted())
                run = form.read(path)[1]
            except Exception as error:  # noqa: BLE001 - converters raise anything; the table says so
                print(f"  {form.name}: {error}", flush=True)
                agreement.append("fails")
                continue
            found = _measure.compare(expected, run(pictures), None, thresholds=answers, tie=0.0)
            differs = "" if found.agreement == 1 else f" ({found.agreement:.0%})"
            agreement.append(f"{found.largest_difference:.0e}{differs}")
            milliseconds |= _measure.medians({"original": source.run, form.name: run}, pictures[:1])[0]
            if form.name == "onnx":
                megabytes = path.stat().st_size / 1e6
            print(f"  {form.name}: {agreement[-1]}", flush=True)
            del run  # the next one may need its memory
    every = ("original", *(form.name for form in _formats.rows()))
    times = [f"{milliseconds[way]:.3g}" if way in milliseconds else "-" for way in every]
    return {"agreement": agreement, "time": [f"`{name}`", str(side), f"{megabytes:.1f}", *times]}


def put(page: Path, table: str, cells: list[str], order: tuple[str, ...]) -> None:
    """Put a row into a table of the page, in the order of the architectures."""
    begin, end = (marker.format(table) for marker in MARKERS)
    text = page.read_text(encoding="utf-8")
    inside = text.split(begin)[1].split(end)[0]
    head = inside.strip().splitlines()[:2]
    rows = dict(re.findall(r"^(?=\| `(\w+)` )(.+)$", inside, re.MULTILINE)) | {
        cells[0].strip("`"): f"| {' | '.join(cells)} |"
    }
    lines = [*head, *(rows[name] for name in order if name in rows)]
    page.write_text(text.replace(inside, "\n" + "\n".join(lines) + "\n"), encoding="utf-8")


def in_turn() -> list[str]:
    """Return all names: the smallest of each family first, then the others, by size."""
    from imgcls import architectures

    rows = sorted(map(architectures.describe, architectures.names()), key=lambda one: one.parameters)
    families: dict[str, str] = {}
    for one in rows:
        families.setdefault(one.summary if one.builder is None else one.summary.split("(")[1], one.name)
    first = list(families.values())
    return first + [one.name for one in rows if one.name not in first]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=None)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--page", type=Path, default=Path(__file__).resolve().parents[1] / "docs/concepts/parity.md")
    arguments = parser.parse_args()
    from imgcls import architectures

    if arguments.names and len(arguments.names) == 1:
        for table, cells in row(arguments.names[0]).items():
            put(arguments.page, table, cells, architectures.names())
        return
    end = time.monotonic() + 60 * arguments.minutes
    for name in arguments.names or in_turn():
        if time.monotonic() > end:
            break
        began = time.monotonic()
        print(name, flush=True)
        command = [sys.executable, __file__, "--names", name, "--page", str(arguments.page)]
        done = subprocess.run(command, check=False)  # noqa: S603 - this script
        print(f"  {time.monotonic() - began:.0f} s{'' if not done.returncode else ', and it failed'}", flush=True)


if __name__ == "__main__":
    main()
