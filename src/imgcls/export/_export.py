"""`export`: write, open again, compare, and only then put in place."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, images
from imgcls._runtimes import Run
from imgcls._thresholds import Thresholds
from imgcls.bundle import TOLERANCE
from imgcls.datasets import by_turns
from imgcls.errors import ExportError, ImgclsError
from imgcls.export import _formats, _measure
from imgcls.export._certificate import Certificate, Golden, certificate_path, hashes
from imgcls.export._facts import Facts
from imgcls.export._formats import Format
from imgcls.export._place import check_place, put_in_place
from imgcls.export._source import Source, Wanted
from imgcls.inference import in_passes

_SLOWER = 1.1  # times float32: below it, the difference may be chance


class _Limits(NamedTuple):
    """What is accepted: the largest difference of a probability, the lost share of answers or of accuracy, and ties."""

    difference: float | None
    lost: float
    tie: float


# Measured with MobileNetV2 of two widths, its head learnt on 500 photos of flowers, on 339 others: float32 was at most
# 7e-6 apart; float16 at most 0.026, its accuracy by 0.3 points, up or down; int8 up to 0.4, by 0.6 points, upwards.
_LIMITS = {
    None: _Limits(TOLERANCE, 0.0, TOLERANCE),
    "float16": _Limits(0.05, 0.01, 0.05),
    # A probability may be far off where an answer was undecided; what counts is whether answers are as good as before.
    # Between two steps of 1/256, int8 knows no probability.
    "int8": _Limits(None, 0.01, 1 / 256),
}
# Of a probability, by another resize: antialiased it was at most 0.05 there, and 0.14 to 0.5 without.
_RESIZED = 0.1


def export(
    model: Any,
    path: str | Path,
    format: str | None = None,  # noqa: A002 - the word that everybody uses
    *,
    facts: Facts,
    golden: tuple[NDArray[np.uint8], NDArray[np.float32]],
    measured: tuple[Any, NDArray[Any] | None] | None = None,
    representative: NDArray[np.uint8] | None = None,
    quantize: str | None = None,
    any_size: bool = False,
    force: bool = False,
) -> Certificate:
    """Write a classifier as a file for other programs, prove that it answers the same, and certify it.

    It is written to a temporary folder beside `path`, opened by its own runtime, run and compared. If it passes, it is
    renamed to `path`, with its certificate beside it or, in a folder, inside. If not, nothing is left, and what stood
    at `path` stands there still.

    Args:
        model: A `keras.Model` from pixels 0-255 `(N, H, W, C)` to probabilities `(N, K)`, or to one sigmoid for two
            classes, which becomes two.
        path: Where to. The ending says the format; a name without one is a folder, a SavedModel.
        format: One of `FORMATS`, where the ending shall not decide.
        facts: What the file shall say of itself.
        golden: Images `uint8 (n, H, W, C)` and their probabilities `float32 (n, K)`, by which the model is known for
            theirs. The images are kept in the certificate, with what it gives for them in full float32, so that
            `ExportedModel.verify` can run them again.
        measured: Further images to compare on, an array `uint8 (N, H, W, C)` or an iterable of such; and their labels,
            codes `(N,)` or an indicator `(N, K)`, or None. They are not kept. Those for which the model gives NaN or
            infinity are left out.
        representative: Images `uint8 (n, H, W, C)` by which "int8" sets its ranges, some hundred, of all classes; see
            `stratified`.
        quantize: None for float32; "float16" halves the file; "int8" makes it a quarter, and quicker on many phones.
            LiteRT only.
        any_size: Whether the file takes images of any size and resizes them itself, antialiased.
        force: Keep a quantised file that is less accurate than is accepted, or slower; or one whose resize changes more
            than is accepted. The certificate says so. A float32 file that answers otherwise is never kept.

    Returns:
        The certificate.

    Raises:
        ConfigurationError: Arguments are not accepted.
        ExportError: The model cannot be exported, the export does not answer as the original does, a library is not
            installed, the place is taken, or cannot be written to.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> from imgcls.export import ExportedModel, Facts, export
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=2)
        >>> facts = Facts("small_cnn", ("cat", "dog"), (8, 8, 1), model.count_params())
        >>> pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
        >>> certificate = export(model, "pets.keras", facts=facts, golden=(pixels, model.predict(pixels, verbose=0)))
        >>> certificate.verdict, certificate.agreement
        ('passed', 1.0)
        >>> ExportedModel.open("pets.keras", trust=True).predict_proba(pixels).shape
        (4, 2)
    """
    path = Path(path)
    row = _formats.by_name(format, path)
    wanted = Wanted(any_size, quantize, representative)
    _checks.refuse(_unwanted(row, path, wanted))
    row.check_installed(row.modules)
    check_place(path, row)
    source = Source.of(model, facts)
    pixels, expected = golden
    if not np.abs(source.run(pixels) - expected).max() <= TOLERANCE:
        message = "the model does not give the probabilities of the golden images: they are another model's."
        raise ExportError(message)
    with (
        _told_by_the_system(path),
        TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True) as folder,
    ):
        made = Path(folder) / path.name
        with _refused_by(row):
            row.write(source, made, wanted)
            found, run = row.read(made)
            if found != facts:
                message = f"{row.title} does not keep what the file shall say of itself."
                raise ExportError(message)
            certificate = _certified(row, made, run, source, wanted, pixels, measured, force=force)
        text = certificate.to_json()
        Certificate.from_json(text)  # what cannot be read again is no certificate
        certificate_path(made).write_text(text, encoding="utf-8")
        # The certificate first: by it a place is known for ours, also where the power went before the rest.
        files = [made] if made.is_dir() else [certificate_path(made), *row.files(made)]
        put_in_place(files, path.parent)
    return certificate


def stratified(labels: NDArray[Any], count: int = 200, *, seed: int = 0) -> NDArray[np.int64]:
    """Choose images that represent all classes alike, as "int8" needs them.

    Args:
        labels: Codes `(N,)`, or an indicator `(N, K)`, where an image stands for the rarest of its classes.
        count: How many, at most.
        seed: Another seed, another choice.

    Returns:
        Positions, in ascending order: as many of each class as there are, or as their share of `count`.

    Examples:
        >>> import numpy as np
        >>> from imgcls import export
        >>> labels = np.array([0] * 90 + [1] * 10)
        >>> np.bincount(labels[export.stratified(labels, 30)]).tolist()
        [20, 10]
    """
    labels = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.sort(by_turns(labels, order)[:count])


def _unwanted(row: Format, path: Path, wanted: Wanted) -> list[str | None]:
    """Word what a format cannot do."""
    sized = ", ".join(one.name for one in _formats.rows() if one.any_size)
    return [
        f"{str(path)!r} ends with {path.suffix}, and {row.runtime} takes small letters alone. Accepted: "
        f"{str(path.with_suffix(row.ending))!r}."
        if row.lower and path.suffix != row.ending
        else None,
        _checks.unknown_name("quantize", wanted.quantize, _formats.QUANTIZATIONS)
        or (
            None
            if wanted.quantize in row.quantizations
            else f"quantize={wanted.quantize!r} is for format='litert' alone. Leave it out, or name the file .tflite."
        ),
        f"any_size=True is for the formats {sized}: {row.title} has no resize. Leave it out."
        if wanted.any_size and not row.any_size
        else None,
        "quantize='int8' sets its ranges by images, and there are none. Give some hundred, of all classes: "
        "representative=... ."
        if wanted.quantize == "int8" in row.quantizations
        and (wanted.representative is None or not len(wanted.representative))
        else None,
    ]


@contextmanager
def _refused_by(row: Format) -> Iterator[None]:
    """Word whatever a converter or a runtime raises."""
    try:
        yield
    except (ImgclsError, OSError):
        raise
    except Exception as error:  # converters raise anything
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        message = f"{row.title} cannot hold this model: {first}. Nothing was written; another format may hold it."
        raise ExportError(message) from error


@contextmanager
def _told_by_the_system(path: Path) -> Iterator[None]:
    """Word what the system refuses: a folder of someone else, a name that is too long, a disk that is full."""
    try:
        yield
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error}. Free the place, or export somewhere else."
        raise ExportError(message) from error


def _certified(
    row: Format,
    made: Path,
    run: Run,
    source: Source,
    wanted: Wanted,
    golden: NDArray[np.uint8],
    measured: tuple[Any, NDArray[Any] | None] | None,
    *,
    force: bool,
) -> Certificate:
    """Run, compare, time; refuse or certify."""
    from imgcls import _backend

    limits, facts = _LIMITS[wanted.quantize], source.facts
    with _backend.in_full_float32():
        expected, given = source.run(golden), run(golden)
        before, after = [expected], [given]
        for part in _measure.batches(measured[0]) if measured else ():
            before.append(in_passes(source.run, part))
            after.append(in_passes(run, part))
        resized = _resize_difference(run, source) if wanted.any_size else None
    comparison = _measure.compare(
        np.concatenate(before),
        np.concatenate(after),
        measured[1] if measured else None,
        thresholds=Thresholds.of(facts.thresholds, facts.classes, multi_label=facts.multi_label),
        tie=limits.tie,
    )
    ways = {"export": run, "original": source.run}
    if wanted.quantize == "int8":
        other = made.with_name(f"float32-{made.name}")
        row.write(source, other, Wanted())
        ways["float32"] = row.read(other)[1]
    milliseconds, runs = _measure.medians(ways, golden[:1])
    apart = _apart(comparison, limits)
    drawbacks = _drawbacks(resized, milliseconds) + (apart if wanted.quantize else [])
    faults = [] if wanted.quantize else apart
    if faults or (drawbacks and not force):
        words = "; ".join(faults + drawbacks)
        message = f"the export as {row.title} is refused: {words}. Nothing was written. {_advice(faults, wanted)}"
        raise ExportError(message)
    files = row.files(made)
    return Certificate(
        format=row.name,
        quantize=wanted.quantize,
        any_size=wanted.any_size,
        facts=facts,
        sha256=hashes(made, files),
        size=sum(file.stat().st_size for file in files),
        runtime=_runtime(row),
        tolerance=limits.difference,
        resize_difference=resized,
        milliseconds=milliseconds,
        runs=runs,
        verdict=f"forced: {'; '.join(drawbacks)}" if drawbacks else "passed",
        golden=Golden(golden, expected, given),
        **comparison._asdict(),
    )


def _apart(comparison: _measure.Comparison, limits: _Limits) -> list[str]:
    """Word where an export answers otherwise than its original."""
    found = []
    same = f"it gives the same answer for {comparison.agreement:.2%} of {comparison.images:,} images"
    if not limits.lost:
        lost, words = 1 - comparison.agreement, same
    elif comparison.accuracy_before is None or comparison.accuracy_after is None:
        lost, words = 1 - comparison.agreement, f"{same}, and {1 - limits.lost:.0%} is accepted"
    else:
        lost = comparison.accuracy_before - comparison.accuracy_after
        figures = f"{comparison.accuracy_after:.4f}, and the original's {comparison.accuracy_before:.4f}"
        words = f"its accuracy is {figures}; {limits.lost:g} less is accepted"
    if lost > limits.lost + 1e-9:  # a rounding error more
        found.append(words)
    largest = comparison.largest_difference
    if limits.difference is not None and not largest <= limits.difference:
        found.append(f"a probability differs by {largest:.1e}, and {limits.difference:.1e} is accepted")
    return found


def _drawbacks(resized: float | None, milliseconds: dict[str, float]) -> list[str]:
    """Word what an export does less well than was to be hoped."""
    found = []
    if resized is not None and not resized <= _RESIZED:
        found.append(f"images that it resizes itself change a probability by {resized:.1e}, and {_RESIZED} is accepted")
    if "float32" in milliseconds and milliseconds["export"] > _SLOWER * milliseconds["float32"]:
        taken = f"{milliseconds['export']:.3g} ms, and {milliseconds['float32']:.3g} ms in float32"
        found.append(f"one image takes {taken}, on this machine")
    return found


def _advice(faults: list[str], wanted: Wanted) -> str:
    """Word what to do next."""
    if faults:
        return "Another format may do; please report it, for this is a fault."
    other = {"int8": "with quantize='float16'", "float16": "with quantize=None", None: "without any_size"}
    return f"Export {other[wanted.quantize]}, or keep it with force=True."


def _resize_difference(run: Run, source: Source) -> float:
    """Return how far probabilities are apart between two resizes: the file's and the one of imgcls."""
    height, width, channels = source.facts.input_shape
    largest = 0.0
    for shape in ((2 * height + 7, 3 * width + 5), (height // 2 + 1, 2 * width)):
        pictures = images.drawn(8, (*shape, channels))
        resized = np.stack([images.resize(picture, (height, width)) for picture in pictures])
        largest = max(largest, float(np.abs(run(pictures) - source.run(resized)).max()))
    return largest


def _runtime(row: Format) -> str:
    found = getattr(sys.modules[row.runtime], "__version__", None) or version(row.runtime)
    return f"{row.runtime} {found.split('-')[0]}"  # of OpenVINO, without its build
