"""`DataReport`: findings that print, tabulate and save themselves."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from imgcls import images, report
from imgcls._checks import some
from imgcls.datasets._findings import Finding
from imgcls.errors import UnreadableImageError

if TYPE_CHECKING:
    import pandas as pd

    from imgcls.datasets._dataset import Dataset

ENDINGS = (".html", ".json", ".csv")
_COLUMNS = ("code", "severity", "title", "id", "group")
_SHOWN = 12  # images of a finding on the page; more make it slow to open
_SIDE = 144  # pixels of a picture on the page


@final
class DataReport:
    """What `Dataset.check` found.

    It prints as text, is true when there is something to report, and `len` counts the findings.

    Attributes:
        findings: Errors first, then warnings, then notes.
        counts: The number of images of each class.

    Args:
        findings: In that order.
        dataset: What was checked; pictures of it are read when the page is written.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> from imgcls.datasets._check import check
        >>> images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
        >>> images[4] = images[3]
        >>> report = check(Dataset.from_arrays(images, ["cat", "dog"] * 15), verbose=0)
        >>> report.ids("IMG010"), report.exit_code
        (('3', '4'), 3)
        >>> print(report)
        30 images in 2 classes: 1 error, 1 warning
        <BLANKLINE>
        cat  15
        dog  15
        <BLANKLINE>
        error    IMG012  same image, other label: 2 images in 1 group are copies with different labels.
                         '3' = '4'
                         Decide which label is right and remove the other copies.
        warning  IMG010  exact duplicates: 2 images in 1 group have equal bytes or pixels.
                         '3' = '4'
                         Keep one of each group. split() keeps a group in one part.
        >>> page = report.to_html()  # with the two copies as pictures, once for each finding
        >>> page.count("<img "), "IMG012" in page
        (4, True)
    """

    def __init__(self, findings: Iterable[Finding], dataset: "Dataset") -> None:
        self.findings = tuple(findings)
        self.counts = dataset.counts()
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __repr__(self) -> str:
        return f"DataReport({self._summary()})"

    def __str__(self) -> str:
        lines = [self._summary(), ""]
        width = max(map(len, map(str, self.counts)), default=0)
        longest = max(map(len, (f"{count:,}" for count in self.counts.values())), default=0)
        lines += [f"{name!s:<{width}}  {count:>{longest},}" for name, count in self.counts.items()]
        lines += [""] * bool(self.counts)
        for one in self.findings:
            lines.append(f"{one.severity:<7}  {one.code}  {one.title}: {one.message}")
            lines += [f"{'':<17}{line}" for line in (_in_words(one), one.advice) if line]
        return "\n".join(lines).rstrip()

    @property
    def exit_code(self) -> int:
        """0, or 3 where something of severity "error" was found: the exit code of `imgcls check`."""
        return 3 if any(one.severity == "error" for one in self.findings) else 0

    def ids(self, code: str) -> tuple[str, ...]:
        """Return the ids of the images that a code concerns; none where it was not found."""
        return tuple(name for one in self.findings if one.code == code for name in one.ids)

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame with a row for each image and code: code, severity, title, id, group."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=list(_COLUMNS))

    def to_json(self) -> str:
        """Return everything as JSON text."""
        keys = ("code", "severity", "title", "message", "advice", "ids", "groups")
        found = [{key: getattr(one, key) for key in keys} for one in self.findings]
        counts = {str(name): count for name, count in self.counts.items()}
        return json.dumps(
            {"images": len(self._dataset), "classes": counts, "exit_code": self.exit_code, "findings": found},
            ensure_ascii=False,
        )

    def to_html(self) -> str:
        """Return one page with pictures, which needs nothing from elsewhere."""
        places = {name: place for place, name in enumerate(self._dataset.ids)}
        return report.data_page(
            title=self._summary(),
            images=len(self._dataset),
            severities=self._severities(),
            counts=self.counts,
            findings=[self._shown(one, places) for one in self.findings],
        )

    def save(self, path: str | Path) -> Path:
        """Write the report whole or not at all; return the path.

        Args:
            path: Its ending decides: .html is a page with pictures, .json everything, .csv a row for each image.

        Raises:
            ConfigurationError: The ending is another one, or the folder does not exist.
            DataError: The file cannot be written.
        """
        path = Path(path)
        check_path(path)
        write = {".html": self.to_html, ".json": self.to_json, ".csv": self._to_csv}[path.suffix.lower()]
        report.write(path, write())
        return path

    # --- inside --------------------------------------------------------------------------------------------------

    def _summary(self) -> str:
        images = f"{len(self._dataset):,} image{'s' * (len(self._dataset) != 1)}"
        if self.counts:
            images += f" in {len(self.counts):,} class{'es' * (len(self.counts) != 1)}"
        words = [f"{count:,} {name}{'s' * (count != 1)}" for name, count in self._severities().items() if count]
        return f"{images}: {', '.join(words) or 'nothing found'}"

    def _severities(self) -> dict[str, int]:
        counted = Counter(one.severity for one in self.findings)
        return {"error": counted["error"], "warning": counted["warning"], "note": counted["note"]}

    def _rows(self) -> Iterator[tuple[str, str, str, str, int | None]]:
        for one in self.findings:
            listed: list[tuple[str, int | None]] = [(name, None) for name in one.ids] or [("", None)]
            if one.groups:
                listed = [(name, number) for number, group in enumerate(one.groups) for name in group]
            for name, number in listed:
                yield one.code, one.severity, one.title, name, number

    def _to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(self._rows())
        return text.getvalue()

    def _shown(self, one: Finding, places: dict[str, int]) -> dict[str, Any]:
        groups = one.groups or tuple((name,) for name in one.ids)
        shown: list[list[dict[str, Any]]] = []
        left = _SHOWN
        for group in groups:
            if left <= 0:
                break
            shown.append([self._picture(name, places.get(name)) for name in group[:left]])
            left -= len(group)
        rest = sum(map(len, groups)) - sum(map(len, shown))
        return {"finding": one, "groups": shown, "rest": rest, "grouped": bool(one.groups)}

    def _picture(self, name: str, place: int | None) -> dict[str, Any]:
        picture = {"id": name, "label": "", "size": "", "source": ""}
        if place is None:  # a file that was left out, or an image of the other dataset
            return picture
        labels, classes = self._dataset.labels, self._dataset.classes
        if labels is not None:
            codes = np.flatnonzero(labels[place]) if self._dataset.multi_label else [labels[place]]
            picture["label"] = ", ".join(str(classes[code]) for code in codes)
        try:
            image = self._dataset.read(place)
            height, width = image.shape[:2]
            picture |= {"size": f"{width} x {height}", "source": images.data_uri(image, _SIDE)}
        except UnreadableImageError:
            pass
        return picture


def check_path(path: Path) -> None:
    """Refuse a path that a report cannot be saved to, before any image is looked at."""
    report.check_path(path, ENDINGS, example="data.html")


def _in_words(one: Finding) -> str:
    if not one.groups:
        return some(one.ids)
    shown = "; ".join(" = ".join(map(repr, group[:3])) for group in one.groups[:2])
    return shown if len(one.groups) <= 2 else f"{shown}; {len(one.groups):,} groups in all"
