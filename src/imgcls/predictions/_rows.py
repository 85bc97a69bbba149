"""An answer as a row of text: CSV or JSON Lines."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from imgcls.errors import ConfigurationError, UnreadableImageError
from imgcls.predictions._prediction import Prediction

Answer = Prediction | UnreadableImageError


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """What a table of answers holds. Probabilities have as many digits as a float32 needs to be read back as it was.

    Attributes:
        classes: K classes: a column of probabilities each.
        abstaining: Whether "answer" stands beside the label: several classes, or "unknown".
        model: What names the model in a column; "" for no such column.

    Examples:
        >>> from imgcls import Prediction
        >>> from imgcls.predictions import Rows
        >>> answer = Prediction("dog", 0.7, {"dog": 0.7, "cat": 0.3}, "b.jpg")
        >>> rows = Rows(["cat", "dog"], model="3f2a")
        >>> print(rows.csv([answer], head=True).rstrip())
        id,label,probability,cat,dog,error,model
        b.jpg,dog,0.7,0.3,0.7,,3f2a
        >>> rows.object(answer)
        {'id': 'b.jpg', 'label': 'dog', 'probability': 0.7, 'probabilities': {'dog': 0.7, 'cat': 0.3}, 'model': '3f2a'}
    """

    classes: Sequence[Any]
    abstaining: bool = False
    model: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, of which "id" is the first."""
        answer, model = ["answer"] * self.abstaining, ["model"] * bool(self.model)
        return ["id", "label", *answer, "probability", *map(str, self.classes), "error", *model]

    def csv(self, answers: Iterable[Answer], *, head: bool = False) -> str:
        """Return lines of CSV; with `head` the line of the columns first.

        Raises:
            ConfigurationError: With `head`, a class has the name of another column.
        """
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if head:
            check_columns(self.columns, instead="JSON Lines, where probabilities stand apart")
            rows.writerow(self.columns)
        rows.writerows(map(self._cells, answers))
        return text.getvalue()

    def lines(self, answers: Iterable[Answer]) -> str:
        """Return JSON Lines, each an object."""
        return "".join(json.dumps(self.object(answer), allow_nan=False) + "\n" for answer in answers)

    def _cells(self, answer: Answer) -> list[Any]:
        model = [self.model] * bool(self.model)
        if isinstance(answer, UnreadableImageError):
            return [answer.id, *[""] * (len(self.classes) + 2 + self.abstaining), str(answer), *model]
        said = [joined(answer.answer)] * self.abstaining
        values = [_shortest(answer.probabilities[name]) for name in self.classes]
        return [answer.id, joined(answer.label), *said, _shortest(answer.probability), *values, "", *model]

    def object(self, answer: Answer) -> dict[str, Any]:
        """Return an answer as JSON can hold it."""
        model = {"model": self.model} if self.model else {}
        if isinstance(answer, UnreadableImageError):
            return {"id": answer.id, "error": str(answer), **model}
        return {
            "id": answer.id,
            "label": _listed(answer.label),
            **({"answer": _listed(answer.answer)} if self.abstaining else {}),
            "probability": _shortest(answer.probability),
            "probabilities": {str(name): _shortest(value) for name, value in answer.probabilities.items()},
            **model,
        }


def check_columns(columns: Sequence[str], *, instead: str) -> None:
    """Refuse a table with two columns of one name: what reads it would take the one for the other.

    Args:
        columns: Their names.
        instead: What to take in place of such a table.

    Raises:
        ConfigurationError: A class is called like another column.
    """
    twice = next((name for name, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        message = f"class {twice!r} has the name of another column of the table. Take {instead}, or rename the class."
        raise ConfigurationError(message)


def joined(label: Any) -> str:
    """Return a label, or several, as one cell."""
    return "|".join(map(str, label)) if isinstance(label, tuple | list) else str(label)


def _shortest(probability: float) -> float:
    """Return the number of fewest digits that a float32 is read from as it was: no probability becomes another one."""
    return float(str(np.float32(probability)))


def _listed(label: Any) -> Any:
    return list(label) if isinstance(label, tuple) else label
