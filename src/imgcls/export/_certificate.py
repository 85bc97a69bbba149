"""The certificate beside an export: what was run, what came out, and the golden images to run again."""

import base64
import hashlib
import json
import math
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, final, get_origin

import numpy as np
from numpy.typing import NDArray

from imgcls import _json
from imgcls.errors import ExportError
from imgcls.export._facts import MOST, Facts

VERSION = 1
_INSIDE = "certificate.json"  # of a folder
_LISTED = {"sha256": str, "milliseconds": float}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Images with what the classifier gave for them, and what the export gave when it was made.

    Attributes:
        pixels: `uint8 (n, H, W, C)`.
        expected: `float32 (n, K)`, of the classifier.
        given: `float32 (n, K)`, of the export.

    Examples:
        >>> import numpy as np
        >>> from imgcls.bundle import Verification
        >>> from imgcls.export import Golden
        >>> expected = np.float32([[0.9, 0.1], [0.3, 0.7]])
        >>> golden = Golden(np.zeros((2, 8, 8, 3), np.uint8), expected, expected + np.float32([2e-4, -2e-4]))
        >>> print(Verification.measured(golden.expected, golden.given))
        2 of 2 golden images give the same answer; probabilities differ by at most 2.0e-04 (accepted: 1.0e-03)
    """

    pixels: NDArray[np.uint8]
    expected: NDArray[np.float32]
    given: NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What was measured before an export was put in its place. Prints as a short table.

    Attributes:
        format: One of `FORMATS`.
        quantize: None, "float16" or "int8".
        any_size: Whether it takes images of any size.
        facts: What the file says of itself.
        sha256: Of each file, by its name; of a folder by its path inside.
        size: Of all files, in bytes.
        runtime: What opened and ran it, and which version.
        images: How many were run: golden images and those that were given.
        agreement: The share of them of which the same is said: the likeliest class or all labels from a probability of
            0.5 on, or what `thresholds` of the facts say. Ties may differ.
        largest_difference: Of two probabilities, the original's and the export's.
        tolerance: What is accepted; None where `agreement` or accuracy alone decides.
        accuracy_before: Of what the original says of the images that were given; None where they have no labels.
        accuracy_after: The same of the export.
        resize_difference: The largest difference of a probability between images that the export resized and the same
            images resized by imgcls; None where it does not resize.
        milliseconds: The median time for one image, of "export", "original" and, of int8, "float32", taken in turns on
            one machine.
        runs: How often each was timed.
        verdict: "passed", or "forced: " and why it would have been refused.
        golden: Images to run again.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier
        >>> digits = Dataset.builtin("digits")
        >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
        >>> certificate = classifier.export("digits", "saved_model")
        >>> certificate.verdict, certificate.agreement
        ('passed', 1.0)
    """

    format: str
    quantize: str | None
    any_size: bool
    facts: Facts
    sha256: dict[str, str]
    size: int
    runtime: str
    images: int
    agreement: float
    largest_difference: float
    tolerance: float | None
    accuracy_before: float | None
    accuracy_after: float | None
    resize_difference: float | None
    milliseconds: dict[str, float]
    runs: int
    verdict: str
    golden: Golden = field(repr=False)

    def to_json(self) -> str:
        """Return it as JSON, with the golden images in it."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        parts = {"facts": json.loads(self.facts.to_json()), "golden": _packed(self.golden)}
        return json.dumps({"certificate": VERSION, **plain, **parts}, ensure_ascii=False, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ExportError: It is something else, of another version, or a part of it does not go with another.
        """
        try:
            return cls._of(_json.read(text.encode() if isinstance(text, str) else text))
        except (ValueError, TypeError, KeyError, ExportError, zlib.error) as error:
            message = f"the certificate cannot be read: {error}. Export the model again."
            raise ExportError(message) from error

    @classmethod
    def _of(cls, value: dict[str, Any]) -> Self:
        """Return the certificate in an object that was read; raise what `from_json` words."""
        if value.pop("certificate", None) != VERSION:
            message = f"it is no certificate of version {VERSION}"
            raise ValueError(message)
        names = {one.name for one in fields(cls)}
        if set(value) != names:
            message = f"its parts are not {', '.join(sorted(names))}"
            raise ValueError(message)
        facts = Facts.from_json(json.dumps(value["facts"]))
        made = cls(**{**value, "facts": facts, "golden": _unpacked(value["golden"], facts)})
        _check(made)
        return made

    def __str__(self) -> str:
        rows = {
            "runtime": self.runtime,
            "images": f"{self.images:,}, of which {len(self.golden.pixels)} golden",
            "same answer": f"{self.agreement:.2%}",
            "largest difference": f"{self.largest_difference:.1e}" + _accepted(self.tolerance),
            "accuracy": "not known: the images have no labels"
            if self.accuracy_before is None
            else f"{self.accuracy_before:.4f} before, {self.accuracy_after:.4f} after",
            "resized inside": None if self.resize_difference is None else f"at most {self.resize_difference:.1e} apart",
            "one image": ", ".join(f"{name} {value:.3g} ms" for name, value in self.milliseconds.items())
            + f" (median of {self.runs}, in turns)",
            "size": f"{self.size:,} bytes",
        }
        head = f"{self.format}{f' {self.quantize}' if self.quantize else ''}: {self.verdict}"
        return "\n".join([head, *(f"  {name:<19}{value}" for name, value in rows.items() if value is not None)])


def certificate_path(path: Path) -> Path:
    """Return where the certificate of an export lies: beside a file, inside a folder."""
    return path / _INSIDE if path.is_dir() else path.with_name(f"{path.name}.certificate.json")


def listed(folder: Path) -> set[str]:
    """Return the files that the certificate inside a folder is for, by their paths in it; none where it says none."""
    try:
        return set(_json.read(certificate_path(folder).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def hashes(path: Path, files: list[Path]) -> dict[str, str]:
    """Return the sha256 of each file, by its path in the folder of `path`, or inside of `path` where that is one."""
    within = path if path.is_dir() else path.parent
    found = {}
    for file in sorted(files):
        with file.open("rb") as stream:
            found[file.relative_to(within).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _accepted(tolerance: float | None) -> str:
    return "" if tolerance is None else f" (accepted: {tolerance:.1e})"


def _packed(golden: Golden) -> dict[str, Any]:
    """Return golden images as JSON: numbers in C order, floats little-endian, pixels deflated, all in base64."""
    return {
        "shape": list(golden.pixels.shape),
        "pixels": base64.b64encode(zlib.compress(golden.pixels.tobytes(), 9)).decode(),
        "expected": base64.b64encode(golden.expected.astype("<f4").tobytes()).decode(),
        "given": base64.b64encode(golden.given.astype("<f4").tobytes()).decode(),
    }


def _unpacked(value: dict[str, Any], facts: Facts) -> Golden:
    if not isinstance(value, dict) or set(value) != {"shape", "pixels", "expected", "given"}:
        message = "its golden images are not described"
        raise ValueError(message)
    count, *shape = value["shape"]
    if not (type(count) is int and count > 0 and tuple(shape) == facts.input_shape):
        message = f"its golden images have the shape {value['shape']}, and the model takes {facts.input_shape}"
        raise ValueError(message)
    size = count * math.prod(shape)
    if size > MOST:
        message = f"its golden images have {size:,} bytes, and at most {MOST:,} are read"
        raise ValueError(message)
    unpacking = zlib.decompressobj()
    pixels = unpacking.decompress(base64.b64decode(value["pixels"], validate=True), size + 1)
    floats = [base64.b64decode(value[name], validate=True) for name in ("expected", "given")]
    if len(pixels) != size or any(len(one) != 4 * count * len(facts.classes) for one in floats):
        message = "its golden images have not the size that it says"
        raise ValueError(message)
    expected, given = (np.frombuffer(one, "<f4").reshape(count, -1).astype(np.float32) for one in floats)
    if not (np.isfinite(expected).all() and np.isfinite(given).all()):
        message = "its probabilities are not numbers"
        raise ValueError(message)
    return Golden(np.frombuffer(pixels, np.uint8).reshape(count, *shape), expected, given)


def _check(made: Certificate) -> None:
    """Refuse parts of another kind than is written."""
    kinds = {one.name: dict if get_origin(one.type) is dict else one.type for one in fields(made)}
    found = {name: getattr(made, name) for name in kinds}
    found |= {f"{name}[{key!r}]": one for name in _LISTED for key, one in dict(found[name]).items()}
    kinds |= {name: _LISTED[name.split("[")[0]] for name in found if "[" in name}
    wrong = [name for name, value in found.items() if not isinstance(value, kinds[name])]  # type: ignore[arg-type] # a field's type is one
    if wrong:
        message = f"{wrong[0]} is {found[wrong[0]]!r}"
        raise ValueError(message)
