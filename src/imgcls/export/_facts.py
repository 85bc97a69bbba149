"""What a model file says of itself: which classes, in which order, of which images."""

import json
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

from imgcls import _checks, _json
from imgcls._thresholds import Thresholds
from imgcls._version import __version__
from imgcls.errors import ExportError

FORMAT = 1
KEY = "imgcls"  # under which a format's own place for notes holds them
MEMBER, LABELS = "imgcls.json", "labels.txt"  # as files, where a format holds files
MOST = 2**26  # numbers of an image, or of all golden ones: a file cannot ask for more memory


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What travels inside an exported file.

    Attributes:
        architecture: Its name, or "your own".
        classes: K classes, in the order of probabilities; strings or whole numbers.
        input_shape: (H, W, C) of the images that it takes.
        parameters: How many numbers were learnt or fixed.
        multi_label: Whether an image may have several labels: probabilities then do not sum to 1.
        license: Under what the model may be used, where that is known.
        thresholds: For each class, the probability from which on it is said, or None where it has none; None where the
            likeliest is said, or with several labels each of at least one half.
        imgcls: The version that wrote it.
        format: The version of these facts.

    Examples:
        >>> from imgcls.export import Facts
        >>> facts = Facts("small_cnn", ("cat", "dog"), (32, 32, 3), 24_050)
        >>> Facts.from_json(facts.to_json()) == facts
        True
    """

    architecture: str
    classes: tuple[Any, ...]
    input_shape: tuple[int, int, int]
    parameters: int
    multi_label: bool = False
    license: str | None = None
    thresholds: tuple[float | None, ...] | None = None
    imgcls: str = __version__
    format: int = FORMAT

    def __post_init__(self) -> None:
        kinds = {"architecture": str, "parameters": int, "multi_label": bool, "imgcls": str, "format": int}
        wrong = [
            f"{name}={getattr(self, name)!r} is not accepted. Accepted: {kind.__name__}."
            for name, kind in kinds.items()
            if type(getattr(self, name)) is not kind
        ]
        names = [one for one in self.classes if type(one) in {str, int}]
        if not len(names) == len(set(names)) == len(self.classes) > 0:
            wrong.append(f"classes={self.classes!r} is not accepted. Accepted: different strings or whole numbers.")
        sides = self.input_shape
        if not (len(sides) == 3 and all(type(one) is int and one > 0 for one in sides) and math.prod(sides) <= MOST):
            accepted = f"whole numbers above 0 for height, width and channels, together at most {MOST:,}"
            wrong.append(f"input_shape={sides!r} is not accepted. Accepted: {accepted}.")
        if self.license is not None and type(self.license) is not str:
            wrong.append(f"license={self.license!r} is not accepted. Accepted: words, or None.")
        _checks.refuse(wrong)
        Thresholds.of(self.thresholds, self.classes, multi_label=self.multi_label)

    def to_json(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes | None) -> Self:
        """Read what `to_json` wrote; None is what a file holds that another program wrote.

        Raises:
            ExportError: It is something else, or of another version.
        """
        if not text:
            message = (
                "it does not say its classes: another program made it. Accepted: what ImageClassifier.export wrote"
            )
            raise ExportError(message)
        try:
            return cls._of(_json.read(text.encode() if isinstance(text, str) else text))
        except (ValueError, TypeError) as error:
            message = f"what the file says of itself is not what imgcls writes: {error}"
            raise ExportError(message) from error

    @classmethod
    def _of(cls, value: dict[str, Any]) -> Self:
        """Return the facts in an object that was read.

        Raises:
            ValueError: It is something else.
            TypeError: A part is missing or not known.
        """
        if value.get("format") != FORMAT:
            message = f"its format is {value.get('format')!r}, and this imgcls reads {FORMAT}. Install a newer one."
            raise ValueError(message)
        lists = {name: tuple(value[name]) for name in ("classes", "input_shape") if isinstance(value.get(name), list)}
        if len(lists) != 2:
            message = "classes and input_shape have to be lists."
            raise ValueError(message)
        if isinstance(value.get("thresholds"), list):
            lists["thresholds"] = tuple(value["thresholds"])
        return cls(**{**value, **lists})

    def labels(self) -> str:
        """Return one class a line, as the tools of several formats read them."""
        return "".join(" ".join(str(name).splitlines()) + "\n" for name in self.classes)


def add_members(path: Path, facts: Facts) -> None:
    """Add facts and class names to a zip archive, or put one behind whatever else a file holds."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, facts.to_json())
        archive.writestr(LABELS, facts.labels())


def member(path: Path) -> Facts:
    """Return the facts that `add_members` put into a file.

    Raises:
        ExportError: There are none.
        OSError, RuntimeError, ValueError: The archive is damaged.
    """
    if not zipfile.is_zipfile(path):
        return Facts.from_json(None)
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            return Facts.from_json(None)
        return Facts.from_json(archive.open(MEMBER).read(_json.MOST_BYTES + 1))  # one more is refused, and told so
