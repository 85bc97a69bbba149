"""The page and the card of an `Evaluation`. Whatever is not part of a template is escaped, for HTML or for Markdown."""

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls.report._chart import Chart, Line, chart

if TYPE_CHECKING:
    import jinja2

_MEANINGS = {
    "accuracy": "images predicted right",
    "balanced_accuracy": "mean recall over classes that have images",
    "macro_precision": "mean over classes: of what is called so, how much is",
    "macro_recall": "mean over classes: of what is so, how much is called so",
    "macro_f1": "mean over classes of the harmonic mean of both",
    "top_5_accuracy": "the class is among the five likeliest",
    "roc_auc": "how often a class's image is ranked above another's",
    "average_precision": "area under precision over recall, mean over classes",
    "log_loss": "mean surprise at the truth, in nats; lower is better",
    "brier": "mean squared error of the probabilities; lower is better",
    "calibration_error": "how far probabilities are from what happens; lower is better",
    "adaptive_calibration_error": "the same, with as many images in each bin",
}
_WORDS = {
    "f1": "F1",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "top_5_accuracy": "top-5 accuracy",
}
_TOLD = 0.2  # of the images; of the surest few, the interval reaches far up and says little
_SQUARE, _SHARES = (400, 372), (0.0, 1.0)
_MOST_ROWS, _MOST_OF_A_CARD = 2_000, 100  # classes; a card is read from top to bottom
_MARKS = re.compile(r"([\\`*_\[\]{}|~$#!])")


def evaluation_page(facts: Mapping[str, Any]) -> str:
    """Write the page of an `Evaluation`.

    Its policy lets no script run but the one in this folder, by its hash, and nothing be fetched.

    Args:
        facts: As `imgcls.metrics._page.facts` gathers them.
    """
    script = _part("evaluation.js")
    return (
        _templates()
        .get_template("evaluation.html")
        .render(
            facts,
            title=_title(facts),
            most_rows=_MOST_ROWS,
            lookup=_cells(facts["confusion"]),
            reliability_chart=_reliability(facts["reliability"], several=facts["several"]),
            risk_chart=_risk(facts["risk_coverage"]),
            history_charts=_history(facts["history"]),
            style=_part("evaluation.css"),
            script=script,
            digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def model_card(facts: Mapping[str, Any]) -> str:
    """Write the model card of an `Evaluation`, in Markdown.

    Args:
        facts: As `imgcls.metrics._page.facts` gathers them.
    """
    template = _templates(markdown=True).get_template("card.md")
    return template.render(facts, title=_title(facts), most_rows=_MOST_OF_A_CARD)


def _title(facts: Mapping[str, Any]) -> str:
    return f"{facts['images']:,} images, {facts['classes']:,} classes"


def _cells(confusion: Mapping[str, Any] | None) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Return the cells of a small matrix under (true, predicted)."""
    if confusion is None or confusion["compact"]:
        return {}
    return {(cell["true"], cell["predicted"]): cell for cell in confusion["cells"]}


# --- charts ------------------------------------------------------------------------------------------------------


def _reliability(bins: Any, *, several: bool) -> Chart:
    word = "there" if several else "right"  # of labels, or of answers
    share = f"share that is {word}" if several else f"share {word}"
    confidence, accuracy, counts = bins
    shares = [float(count) / max(float(max(counts)), 1) for count in counts]
    points = list(zip(map(float, confidence), map(float, accuracy), strict=True))
    guide = Line("said = true", "guide", [(0, 0), (1, 1)])
    lines = [guide, Line("measured", "first", points, sizes=shares, word=word)]
    return chart(
        lines,
        title=f"{share.capitalize()} over probability said",
        x_label="probability said",
        y_label=share,
        size=_SQUARE,
        x=_SHARES,
        y=_SHARES,
        percent=True,
    )


def _risk(columns: Mapping[str, Sequence[float]] | None) -> Chart | None:
    if columns is None:
        return None
    points = list(zip(columns["coverage"], columns["risk"], strict=True))
    band = list(zip(columns["lower"], columns["upper"], strict=True))
    points, band = [(0.0, points[0][1]), *points], [band[0], *band]  # as in plotting.risk_coverage
    ends = zip(columns["coverage"], columns["upper"], strict=True)
    most = max([*columns["risk"], *(upper for share, upper in ends if share > _TOLD)])
    return chart(
        [Line("wrong among the answers", "first", points, band=band)],
        title="Share of wrong answers over share of images answered",
        x_label="images answered, the surest first",
        y_label="wrong answers",
        x=_SHARES,
        y=(0.0, max(most, 0.01)),
        percent=True,
    )


def _history(history: Mapping[str, Sequence[Any]]) -> list[Chart]:
    found = []
    for metric in ("loss", "accuracy"):
        lines = [
            Line(
                label, style, [(epoch, math.nan if y is None else y) for epoch, y in enumerate(history[name], start=1)]
            )
            for name, label, style in ((metric, "training", "second"), (f"val_{metric}", "validation", "first"))
            if len(history.get(name, ())) > 1
        ]
        if lines:
            found.append(chart(lines, title=f"{metric} over epochs", x_label="epoch", y_label=metric))
    return found


# --- templates ---------------------------------------------------------------------------------------------------


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def _templates(*, markdown: bool = False) -> "jinja2.Environment":
    import jinja2  # when the first page is written: most programs write none

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("imgcls.report", ""),
        autoescape=not markdown,  # noqa: S701 - Markdown has an escape of its own, for every value
        finalize=in_markdown if markdown else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": lambda value: f"{value:.3f}" if math.isfinite(value) else "-",
        "share": lambda value: f"{100 * value:.1f} %" if math.isfinite(value) else "-",
        "place": lambda value: f"{100 * min(max(value, 0.0), 1.0):.2f}%",
        "many": _many,
        "words": lambda name: _WORDS.get(name, str(name).replace("_", " ")),
        "meaning": lambda name: _MEANINGS.get(name, ""),
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}.",
    }
    environment.filters["worst"] = _worst
    environment.tests["finite"] = math.isfinite
    return environment


def _worst(rows: Sequence[Any], most: int) -> Sequence[Any]:
    """Return the rows of all classes, or of very many those with the lowest F1; classes without images come last."""
    if len(rows) <= most:
        return rows
    return sorted(rows, key=lambda row: (not row["support"], row["figures"]["f1"][0]))[:most]


def _many(value: Any) -> str:
    """Return a number with its thousands divided, a list with commas, anything else as it is."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_many, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def in_markdown(value: Any) -> str:
    r"""Return a value as text that Markdown shows as it is.

    Examples:
        >>> print(in_markdown("<b> *5* | $x$"))
        &lt;b&gt; \*5\* \| \$x\$
    """
    text = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)
