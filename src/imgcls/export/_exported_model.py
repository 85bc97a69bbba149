"""`ExportedModel`: an exported file, opened again."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls._thresholds import Thresholds
from imgcls.bundle import TOLERANCE, Verification
from imgcls.errors import ConfigurationError, ExportError
from imgcls.export import _formats
from imgcls.export._certificate import Certificate, certificate_path, hashes
from imgcls.export._facts import Facts
from imgcls.export._formats import Format
from imgcls.inference import Predictor
from imgcls.predictions import Answers

_MOST_BYTES = 64 * 2**20  # of a certificate
# What the same file may give elsewhere: other processors add up in another order, and have other steps of int8.
_ELSEWHERE = {None: TOLERANCE, "float16": 1e-2, "int8": 5e-2}


@final
class ExportedModel:
    """An exported file that predicts. ONNX, LiteRT and OpenVINO need no TensorFlow. Made by `open`.

    Attributes:
        path: Where it lies.
        format: One of `FORMATS`.
        facts: What the file says of itself.
        certificate: What lies beside it; None where that is missing.
        predictor: An `imgcls.inference.Predictor`.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier
        >>> from imgcls.export import ExportedModel
        >>> digits = Dataset.builtin("digits")
        >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
        >>> _ = classifier.export("digits", "saved_model")
        >>> model = ExportedModel.open("digits", trust=True)
        >>> bool(model.verify()), model.classes == classifier.classes_.tolist()
        (True, True)
    """

    def __init__(
        self,
        path: Path,
        row: Format,
        facts: Facts,
        certificate: Certificate | None,
        run: Run,
        *,
        sha256: dict[str, str],
    ) -> None:
        self.path, self.format, self.facts, self.certificate = path, row.name, facts, certificate
        self._row, self._sha256 = row, sha256
        thresholds = Thresholds.of(facts.thresholds, facts.classes, multi_label=facts.multi_label)
        self.predictor = Predictor(
            run,
            input_shape=facts.input_shape,
            classes=facts.classes,
            multi_label=facts.multi_label,
            thresholds=thresholds.given,
        )

    @classmethod
    def open(cls, path: str | Path, *, trust: bool = False) -> Self:
        """Open what `export` wrote.

        Where the certificate lies beside it, its hashes are checked first, so that a damaged file is not parsed.

        Args:
            path: The file; of OpenVINO the `.xml`, of a SavedModel the folder.
            trust: Whether you trust who made the file. A SavedModel and a `.keras` file are programs, which TensorFlow
                and Keras run: open them if you made them, or would run a program from there. The others are data.

        Raises:
            ExportError: It is no export of imgcls, it is damaged, a library is not installed, or `trust` is needed.
        """
        path = Path(path)
        row = _row_of(path)
        if row.program and not trust:
            message = (
                f"{str(path)!r} is {row.title}: a program, which can read, write and run what it likes. If you made "
                "it, or trust who did as you would with a program: ExportedModel.open(path, trust=True), "
                "or --trust in a shell."
            )
            raise ExportError(message)
        row.check_installed((row.runtime,))
        certificate = _certificate_of(path, row)
        if row.program and certificate is None:
            raise ExportError(_missing_certificate(path))
        try:
            sha256 = hashes(path, row.files(path)) if certificate is None else certificate.sha256
            facts, run = row.read(path)
            found = run(np.zeros((1, *facts.input_shape), np.uint8))  # and is warm now
            if found.shape != (1, len(facts.classes)):
                message = f"it gives {found.shape[1:]} for an image, and has {len(facts.classes)} classes"
                raise ExportError(message)  # noqa: TRY301 - worded below, as all that is wrong with a file
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300].rstrip(".")
            message = f"{str(path)!r} cannot be opened as {row.title}: {first}. Get the file again, or export again."
            raise ExportError(message) from error
        return cls(path, row, facts, certificate, run, sha256=sha256)

    @property
    def classes(self) -> list[Any]:
        """The classes, in the order of probabilities."""
        return list(self.facts.classes)

    def predict(self, images: Any, *, bgr: bool = False, verbose: Any = "auto") -> Any:
        """Say what is in one image, in many, or in a stream: see `imgcls.inference.Predictor.predict`."""
        return self.predictor.predict(images, bgr=bgr, verbose=verbose)

    def predict_proba(self, images: Any, *, verbose: Any = "auto") -> NDArray[np.float32]:
        """Return the probabilities `float32 (N, K)` of many images, in the order of `classes`."""
        return self.predictor.predict_proba(images, verbose=verbose)

    def predict_to(self, path: str | Path, images: Any, *, bgr: bool = False, verbose: Any = "auto") -> Answers:
        """Write a table of answers that a rerun continues: see `imgcls.inference.Predictor.predict_to`."""
        files = "".join(self._sha256.values())  # of the model that answers, whatever lies at its path by now
        name = hashlib.sha256(files.encode()).hexdigest()[:12] + ("-bgr" if bgr else "")
        return self.predictor.predict_to(path, images, bgr=bgr, model=name, verbose=verbose)

    def verify(self) -> Verification:
        """Run the golden images of the certificate again.

        Returns:
            How far the answers are from those of the day of export; false if further than is accepted.

        Raises:
            ExportError: There is no certificate, or the file is not the one that it is for.
        """
        certificate = _certificate_of(self.path, self._row)
        if certificate is None:
            raise ExportError(_missing_certificate(self.path))
        if certificate.facts != self.facts:
            raise ExportError(_other_certificate(self.path))
        golden = certificate.golden
        with self._in_full_float32():
            found = self.predictor.run(golden.pixels)
        return Verification.measured(
            golden.given,
            found,
            multi_label=self.facts.multi_label,
            thresholds=self.facts.thresholds,
            tolerance=_ELSEWHERE.get(certificate.quantize, TOLERANCE),
        )

    def _in_full_float32(self) -> AbstractContextManager[None]:
        """Let TensorFlow compute as on the day of export, where it is what runs the model."""
        if not self._row.program:
            return nullcontext()
        from imgcls import _backend

        return _backend.in_full_float32()

    def __repr__(self) -> str:
        return f"ExportedModel({str(self.path)!r}, {self.format}, {len(self.classes)} classes)"


def _row_of(path: Path) -> Format:
    """Return the format of an existing file or folder.

    Raises:
        ExportError: It does not exist, or is of none.
    """
    if not path.exists():
        message = f"{str(path)!r} does not exist. Check the path and the working directory."
        raise ExportError(message)
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        message = f"{str(path)!r} is a folder, and no SavedModel. Accepted: what ImageClassifier.export wrote."
        raise ExportError(message)
    try:
        return _formats.by_name("saved_model", path) if path.is_dir() else _formats.by_ending(path)
    except ConfigurationError as error:
        raise ExportError(str(error)) from error


def _missing_certificate(path: Path) -> str:
    return (
        f"{str(path)!r} has no certificate: {str(certificate_path(path))!r} is missing. Copy it from where the model "
        "was exported, or export again."
    )


def _other_certificate(path: Path) -> str:
    return (
        f"{str(path)!r} is not the file that its certificate is for: it is truncated, damaged, altered or another. "
        "Get both again, or export again."
    )


def _certificate_of(path: Path, row: Format) -> Certificate | None:
    """Return the certificate that lies beside a file, if there is one, and check that it is for this file.

    Raises:
        ExportError: It cannot be read, or is for another file.
    """
    place = certificate_path(path)
    if not place.is_file():
        return None
    with place.open("rb") as file:
        certificate = Certificate.from_json(file.read(_MOST_BYTES))
    try:
        found = hashes(path, row.files(path))
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error}. Get the file again."
        raise ExportError(message) from error
    # A file may be renamed together with its certificate, and is the same; in a folder, names are part of it.
    said, is_ = (one.items() if path.is_dir() else sorted(one.values()) for one in (certificate.sha256, found))
    if certificate.format != row.name or said != is_:
        raise ExportError(_other_certificate(path))
    return certificate
