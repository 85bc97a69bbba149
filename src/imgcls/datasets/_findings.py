"""What can be wrong with images, as a table: code, severity, title, advice. The codes are stable."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final

Severity = Literal["error", "warning", "note"]


class Kind(NamedTuple):
    """A kind of finding: how bad it is, what it is called, and what to do about it."""

    severity: Severity
    title: str
    advice: str


# error: the figures of a model would be wrong, or training stops. warning: worth a look before training.
KINDS: dict[str, Kind] = {
    "IMG001": Kind("error", "unreadable", "Repair or remove these files: nothing can be learned from them."),
    "IMG002": Kind("error", "truncated", "Copy or download these files again: their end is missing."),
    "IMG010": Kind("warning", "exact duplicates", "Keep one of each group. split() keeps a group in one part."),
    "IMG011": Kind("warning", "near duplicates", "Compare, and keep the best. split() keeps a group in one part."),
    "IMG012": Kind("error", "same image, other label", "Decide which label is right and remove the other copies."),
    "IMG013": Kind("error", "leak between parts", "Keep each group in one part, or the accuracy measured is too high."),
    "IMG020": Kind("warning", "tiny classes", "Add images, merge classes, or leave these classes out."),
    "IMG021": Kind("warning", "imbalance", "Train with class_weight='balanced' and look at the balanced accuracy."),
    "IMG022": Kind("warning", "near-identical class names", "Merge these classes if they mean the same."),
    "IMG023": Kind("error", "one class", "Add images of a second class: there is nothing to tell apart."),
    "IMG024": Kind(
        "error", "untrained classes", "Mend misspelt names, move some images into train, or leave these classes out."
    ),
    "IMG030": Kind("note", "dark", "See whether one could tell the class; remove those where not."),
    "IMG031": Kind("note", "blurry", "See whether one could tell the class; remove those where not."),
    "IMG032": Kind("note", "odd size", "See whether these belong here: thumbnails, icons and scans often do not."),
    "IMG033": Kind("note", "bright", "See whether one could tell the class; remove those where not."),
    "IMG034": Kind("warning", "blank", "Remove these images: they show nothing."),
    "IMG035": Kind("note", "odd aspect ratio", "Crop these images: resizing to a square distorts them."),
    "IMG040": Kind("note", "ignored files", "Convert what is an image, put it below a class folder, or leave it."),
    "IMG050": Kind(
        "warning", "shortcut", "See whether the classes come from different sources; make them alike in it."
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing found in a dataset.

    Attributes:
        code: Such as "IMG001"; the same in every version.
        severity: "error", "warning" or "note".
        title: The kind in two or three words.
        message: What was found, in one sentence.
        ids: The images that it concerns; "(other)" stands behind those of what the dataset was checked against.
        groups: For copies, the ids of each group.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
        >>> images[4] = images[2]
        >>> (finding,) = Dataset.from_arrays(images, ["cat", "dog"] * 10).check(verbose=0)
        >>> print(finding)
        warning IMG010 exact duplicates: 2 images in 1 group have equal bytes or pixels.
        >>> finding.groups, finding.anchor
        ((('2', '4'),), 'reference/findings/#img010')
    """

    code: str
    severity: Severity
    title: str
    message: str
    ids: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def advice(self) -> str:
        """What to do about it."""
        return KINDS[self.code].advice

    @property
    def anchor(self) -> str:
        """Where the documentation explains the code."""
        return f"reference/findings/#{self.code.lower()}"

    def __str__(self) -> str:
        return f"{self.severity} {self.code} {self.title}: {self.message}"


def finding(code: str, message: str, ids: tuple[str, ...] = (), groups: tuple[tuple[str, ...], ...] = ()) -> Finding:
    """Make a finding of a kind in the table.

    Examples:
        >>> print(finding("IMG034", "1 image shows nothing.", ("a.png",)))
        warning IMG034 blank: 1 image shows nothing.
    """
    return Finding(code, KINDS[code].severity, KINDS[code].title, message, ids, groups)
