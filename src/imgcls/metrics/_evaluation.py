"""`Evaluation`: every figure from one pass, keyed by sample id."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, plotting, report
from imgcls.errors import DataError
from imgcls.metrics import (
    _calibration,
    _comparison,
    _decisions,
    _figures,
    _label_errors,
    _leaks,
    _page,
    _ranking,
    _sets,
    _slices,
)
from imgcls.metrics._measured import Measured
from imgcls.metrics._pictures import MOST_IN_MATRIX, PLOTS, draw
from imgcls.metrics._robustness import Robustness

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LOOKED_AT = 2_000  # images that are read for slices, at most


@final
class Evaluation(Measured):
    """How good the predictions of one pass are: a mapping of figures that prints, tabulates, draws and saves itself.

    The figures are `accuracy`, `balanced_accuracy`, `macro_precision`, `macro_recall`, `macro_f1`, `top_5_accuracy`
    where there are more than five classes, `roc_auc` and `average_precision` (one class against the rest, the mean over
    classes), `log_loss`, `brier`, `calibration_error` and `adaptive_calibration_error`. They equal scikit-learn's,
    where it has them, but for three things. Of equal probabilities, the first class is the likelier in `top_5_accuracy`
    and `top_k`, as it is the one that is predicted, and for scikit-learn the last. Every one of `classes` counts in
    `macro_precision`, `macro_recall` and `macro_f1`: one that has no image and is never predicted counts as 0, and
    scikit-learn leaves it out unless `labels=range(K)` names it. And `roc_auc` and `average_precision` leave out a
    class that no image shows, or that all show, since there is nothing to tell apart: scikit-learn counts an average
    precision of 0, or of 1, and gives NaN for ROC AUC. Each figure has a 95 % interval in `intervals`. Where the
    largest class has more than three times the images of the smallest, the means over classes come first.

    With several labels an image, `accuracy` is the share of images with every label right, and a label counts as
    predicted from a probability of 0.5, or from its threshold. `reliability` and the calibration errors are of every
    label by itself: of its probability, and of how often it is there. With one label an image, what asks how sure an
    answer is (`reliability`, `select`, `risk_coverage`, `sets`) speaks of the likeliest class, whatever the threshold.

    Pickled or copied, an evaluation keeps its figures, and no images: what reads them, and the model, stays behind.

    Args:
        y_true: `int (N,)` codes into `classes`, or a `uint8 (N, K)` indicator.
        probabilities: `float32 (N, K)`.
        classes: K names.
        ids: N names of the images.
        read: A function from a position to the image there, `uint8 (H, W, C)`; needed to show images.
        quarantined: The ids of images that were left out because they could not be read, each with the reason. The
            figures do not speak of them.
        left_out: How many images these are, where some are listed twice; None for one of each id.
        explain: A function from positions to heat maps `float32 (H, W)` of these images, for the page.
        leaked: A function that returns the positions of images that the model has learnt from.
        shortcuts: A function that tells what beside the content gives classes away, as `Dataset.check` does.
        robust: A function that measures images that were made worse, as `ImageClassifier.robustness` does.
        about: What the page says of the model and its training: texts, numbers and mappings by name.
        thresholds: {class: probability} from which on it is said, in place of the likeliest class or of one half: with
            several labels an image of any classes, with one label of one of two.

    Raises:
        ConfigurationError: `thresholds` are of no class, or of one class too many.
        DataError: Lengths differ, labels are no codes, or probabilities are none: NaN, below 0, above 1, or those of
            one image do not add up to 1.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Evaluation
        >>> y_true = np.array([0, 0, 1, 1])
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> evaluation = Evaluation(y_true, probabilities, classes=["cat", "dog"])
        >>> evaluation["accuracy"]
        0.75
        >>> lower, upper, method = evaluation.intervals["accuracy"]
        >>> round(lower, 2), round(upper, 2), method
        (0.3, 0.95, 'Wilson')
        >>> evaluation.confusion.tolist()
        [[1, 1], [0, 2]]
        >>> round(evaluation.macro_precision, 3), round(evaluation.macro_recall, 3), round(evaluation.macro_f1, 3)
        (0.833, 0.75, 0.733)
        >>> round(evaluation.log_loss, 3)
        0.4
    """

    # --- questions -----------------------------------------------------------------------------------------------

    def reliability(self, *, adaptive: bool = False) -> _calibration.Reliability:
        """Return what was said and what was true, in 15 bins of like confidence.

        With several labels an image, each label of each image counts by itself, from a probability of 0 on.

        Args:
            adaptive: Bins with as many predictions in each, instead of bins of equal width.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> y_true = np.array([0] * 7 + [1] * 3)
            >>> evaluation = Evaluation(y_true, np.tile([0.9, 0.1], (10, 1)), classes=["cat", "dog"])
            >>> found = evaluation.reliability()
            >>> found.confidence.round(2).tolist(), found.accuracy.tolist()  # 90 % sure, and 70 % right
            ([0.9], [0.7])
            >>> round(found.error, 2)
            0.2
        """
        return _calibration.reliability(self._seen.confidence, self._seen.right, adaptive=adaptive)

    def curve(self, label: Any) -> _ranking.Curve:
        """Return precision, recall and false positive rate of one class at every threshold.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> sick = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.8, 0.9])
            >>> y_true = np.array([0, 0, 0, 0, 1, 1, 1])
            >>> evaluation = Evaluation(y_true, np.stack([1 - sick, sick], axis=1), classes=["well", "sick"])
            >>> found = evaluation.curve("sick")
            >>> float(found.thresholds[found.recall == 1].max())  # from where on no sick one is missed
            0.4
            >>> float(found.false_positive_rate[found.recall == 1].min())  # and how many well ones are called sick
            0.25
        """
        code = self._code(label)
        is_class = self.y_true[:, code] == 1 if self.multi_label else self.y_true == code
        return _ranking.curve(is_class, self.probabilities[:, code])

    def operating_point(
        self, label: Any, *, precision: float | None = None, recall: float | None = None
    ) -> _decisions.OperatingPoint | None:
        """Return the threshold of one class that reaches a precision, or a recall, and costs least of the other.

        Args:
            label: The class.
            precision: The least precision wanted: the point of highest recall is returned.
            recall: The least recall wanted: the point of highest precision is returned.

        Returns:
            An `OperatingPoint`, or None where no threshold reaches it.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> sick = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.8, 0.9])
            >>> y_true = np.array([0, 0, 0, 0, 1, 1, 1])
            >>> evaluation = Evaluation(y_true, np.stack([1 - sick, sick], axis=1), classes=["well", "sick"])
            >>> print(evaluation.operating_point("sick", precision=0.95))
            'sick' from a probability of 0.8: precision 1.000 [0.342, 1.000], recall 0.667 [0.208, 0.939]
        """
        return _decisions.operating_point(self.curve(label), label, precision=precision, recall=recall)

    def thresholds(self, *, precision: float | None = None) -> dict[Any, float]:
        """Return a threshold for each class: that of the highest F1, or of the highest recall at a precision.

        Measured on these images, they are optimistic for these images. Classes that cannot reach the precision, or
        have no images, are left out.
        """
        found: dict[Any, float] = {}
        for label in self.classes:
            curve = self.curve(label)
            if precision is not None:
                point = _decisions.operating_point(curve, label, precision=precision)
                found |= {} if point is None else {label: point.threshold}
            elif curve.positives:
                f1 = 2 * curve.hits / (curve.positives + curve.hits + curve.alarms)
                found[label] = float(curve.thresholds[f1.argmax()])
        return found

    def cost(self, costs: Any, *, cheapest: bool = True) -> float:
        """Return the mean cost of an image.

        Args:
            costs: `float (K, K)`: row i, column j is the cost of saying j where i is true.
            cheapest: Whether for each image the class with the lowest expected cost is said, instead of what is
                predicted: the likeliest, or what a threshold says.
        """
        self._refuse_several("cost")
        said = _decisions.cheapest(self.probabilities, costs)  # refuses a wrong shape in any case
        return float(np.asarray(costs, float)[self.y_true, said if cheapest else self.y_pred].mean())

    def select(self, most_error: float = 0.01) -> _decisions.Selection:
        """Find from which confidence on answers are right often enough, with 95 % confidence; print the result."""
        self._refuse_several("select")
        return _decisions.select(self._seen.confidence, self._seen.right, most_error=most_error)

    def risk_coverage(self) -> _decisions.RiskCoverage:
        """Return the error of the surest answers, for ever more of them.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
            >>> found = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["cat", "dog"]).risk_coverage()
            >>> for answered, wrong in zip(found.coverage, found.risk):
            ...     print(f"{answered:.0%} answered, {wrong:.0%} of them wrong")
            25% answered, 0% of them wrong
            50% answered, 0% of them wrong
            75% answered, 0% of them wrong
            100% answered, 25% of them wrong
        """
        self._refuse_several("risk_coverage")
        return _decisions.risk_coverage(self._seen.confidence, self._seen.right)

    def sets(self, coverage: float = 0.9, *, method: str = "lac", by_class: bool = False) -> _sets.SetCoverage:
        """Measure how often sets hold the truth that were promised to do so; print the result.

        Each half of the images is judged by sets that the other half has set.

        Args:
            coverage: What is promised.
            method: "lac" or "raps", as in `imgcls.metrics.prediction_sets`.
            by_class: Whether it is promised for each class by itself, as `predict` does where enough images of each
                class were held out: 100, or coverage / (1 - coverage) where that is more.
        """
        self._refuse_several("sets")
        return _sets.set_coverage(self.y_true, self.probabilities, coverage=coverage, method=method, by_class=by_class)

    def compare(self, other: "Evaluation") -> _comparison.Comparison:
        """Compare with another evaluation of the same images, in words: print the result.

        Raises:
            DataError: The images or their labels are others.
        """
        if not isinstance(other, Evaluation):
            message = f"compare takes another Evaluation, and got a {type(other).__name__}: give model.evaluate(data)."
            raise DataError(message)
        places = {name: place for place, name in enumerate(other.ids)}
        twice = len(places) < len(other.ids)  # then only the order tells which is which
        once = len(places) == len(self.ids) and places.keys() == set(self.ids)
        alike = self.ids == other.ids if twice else once
        if not alike or self.classes != other.classes:
            message = "the two evaluations are not of the same images and classes. Evaluate both on one dataset."
            raise DataError(message)
        order = np.arange(len(self.ids)) if twice else np.array([places[name] for name in self.ids])
        if not np.array_equal(self.y_true, other.y_true[order]):
            message = "the two evaluations disagree about the true labels. Evaluate both on one dataset."
            raise DataError(message)
        return _comparison.compare(self.right, other.right[order])

    def shortcuts(self) -> Sequence[Any] | None:
        """Say what beside the content tells the classes of these images apart: print the rows.

        See `imgcls.datasets.shortcuts`. None where the images are not at hand.

        Examples:
            >>> from functools import partial
            >>> import numpy as np
            >>> from imgcls import Dataset, Evaluation
            >>> from imgcls.datasets import shortcuts
            >>> y_true = np.arange(60) % 2
            >>> images = np.random.default_rng(0).integers(0, 256, (60, 16, 16)).astype(np.uint8)
            >>> images[y_true == 1, :2] = 0  # images of dogs have a black bar at the top
            >>> search = partial(shortcuts, Dataset.from_arrays(images, y_true))
            >>> evaluation = Evaluation(y_true, np.eye(2)[y_true], classes=["cat", "dog"], shortcuts=search)
            >>> [row.kind for row in evaluation.shortcuts() if row.found]
            ['border']
        """
        return None if self._shortcuts is None else self._shortcuts()

    def robustness(self) -> Sequence[Robustness] | None:
        """Say what is lost where images are blurred, noisy, compressed, dark or turned: print the rows.

        In a quick mode, on 100 images; see `ImageClassifier.robustness`. None where the model is not at hand.
        """
        return None if self._robust is None else self._robust()

    def leaks(self) -> _leaks.Leaks | None:
        """Search for images that the model has learnt from, and measure without them: print the result.

        Copies count too: resized, encoded again or mirrored. None where the images that were learnt from are not known:
        for an evaluation made by hand, or by a bundle that holds no traces of them.
        """
        return None if self._copies is None else _leaks.leaks(self.ids, self.right, self._copies)

    @cached_property
    def _copies(self) -> NDArray[np.int64] | None:
        """Positions of images that were learnt from: found once, for whoever prints them and for the page."""
        return None if self._leaked is None else self._leaked()

    def slices(self, by: Mapping[str, Sequence[Any]] | None = None) -> list[_slices.Slice]:
        """Measure parts of the images; the worst first.

        Args:
            by: N values for each name, such as {"camera": frame["camera"]}; numbers are divided into thirds, and those
                missing (None, NaN, NA) are a part of their own. None reads the images (at most 2,000) for their
                brightness, contrast and size.

        Raises:
            DataError: A column has another length or too many values, or there are no images to read.
        """
        if by is not None:
            return _slices.slices(self.right, by)
        read = self._reader()
        count = len(self.y_true)
        chosen = np.sort(np.random.default_rng(0).permutation(count)[:_LOOKED_AT])
        columns: dict[str, list[float]] = {"brightness": [], "contrast": [], "shorter side": []}
        for position in chosen.tolist():
            image = read(position)
            facts = (float(image.mean()), float(image.std()), float(min(image.shape[:2])))
            for values, fact in zip(columns.values(), facts, strict=True):
                values.append(fact)
        varied = {name: values for name, values in columns.items() if len(set(values)) > 1}
        return _slices.slices(self.right[chosen], varied)

    # --- tables --------------------------------------------------------------------------------------------------

    def report(self, *, digits: int = 3) -> str:
        """Return scikit-learn's `classification_report` as text."""
        from sklearn.metrics import classification_report

        alone = self.multi_label and len(self.classes) == 1  # one column says yes or no: the report is of the yes
        return str(
            classification_report(
                self.y_true.ravel() if alone else self.y_true,
                self.y_pred.ravel() if alone else self.y_pred,
                labels=[1] if alone else range(len(self.classes)),
                target_names=[str(name) for name in self.classes],
                digits=digits,
                zero_division=0,
            )
        )

    @property
    def table(self) -> "pd.DataFrame":
        """One row an image: id, true, predicted, probability of the predicted class, loss.

        With several labels an image, the probability is that of the likeliest of those predicted; where none is, that
        of the likeliest class.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
            >>> table = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["cat", "dog"]).table
            >>> table[table["true"] != table["predicted"]].round(2)
              id true predicted  probability  loss
            1  1  cat       dog          0.6  0.92
        """
        return self._rows(np.arange(len(self.y_true)))

    def to_frame(self, *, intervals: bool = False) -> "pd.DataFrame":
        """Return a pandas frame of `per_class`, one row a class.

        Args:
            intervals: Whether the ends of the 95 % intervals stand beside, as `recall_lower` and `recall_upper`.
        """
        import pandas as pd

        frame = pd.DataFrame(self.per_class).T
        if intervals:
            for figure in next(iter(self.per_class_intervals.values())):
                ends = np.array([one[figure] for one in self.per_class_intervals.values()])
                frame[f"{figure}_lower"], frame[f"{figure}_upper"] = ends.T
        return frame

    def to_json(self) -> str:
        """Return the figures with their intervals, those of each class, and the confusion matrix as JSON text.

        `images` counts those measured, `quarantined` those left out. What is not defined is null; so is the confusion
        matrix of more than 2,000 classes, which the rows of `save("table.csv")` tell in less room.
        """

        def plain(value: float) -> float | None:
            return value if np.isfinite(value) else None

        written = self.multi_label or len(self.classes) <= MOST_IN_MATRIX
        return json.dumps(
            {
                "images": len(self.y_true),
                "quarantined": self.left_out,
                **{name: plain(value) for name, value in self.items()},
                "intervals": {
                    name: [plain(one.lower), plain(one.upper), one.method] for name, one in self.intervals.items()
                },
                "per_class": {
                    str(name): {figure: plain(value) for figure, value in row.items()}
                    | {
                        f"{figure}_interval": [plain(end) for end in ends]
                        for figure, ends in self.per_class_intervals[name].items()
                    }
                    for name, row in self.per_class.items()
                },
                "confusion": self.confusion.tolist() if written else None,
            },
            allow_nan=False,
        )

    def to_html(self, *, quick: bool = False) -> str:
        """Return one page with pictures, which needs nothing from elsewhere.

        Args:
            quick: Whether to leave out what looks at images again: leaks, shortcuts, slices, robustness, heat maps. The
                page says so.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
            >>> evaluation = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["cat", "dog"])
            >>> page = evaluation.to_html(quick=True)
            >>> "<title>Evaluation: 4 images, 2 classes</title>" in page
            True
            >>> "robustness: a quick report was asked for" in page
            True
        """
        return report.evaluation_page(_page.facts(self, read=self._read, explain=self._explain, quick=quick))

    def to_card(self, *, quick: bool = False) -> str:
        """Return a model card in Markdown: what the model is, how good it is, and where it is not.

        Args:
            quick: As in `to_html`.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
            >>> about = {"architecture": "resnet50"}
            >>> evaluation = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["cat", "dog"], about=about)
            >>> card = evaluation.to_card()
            >>> card.splitlines()[0]
            '# Model card: resnet50'
            >>> "Commonest mistake: cat taken for dog (1)." in card
            True
        """
        return report.model_card(_page.facts(self, quick=quick))

    def save(self, path: str | Path, *, quick: bool = False) -> Path:
        """Write the evaluation whole or not at all; return the path.

        Args:
            path: Its ending decides: .html is a page with pictures, .md a model card, .json the figures, .csv a row
                for each image.
            quick: Of the page and the card: whether to leave out what looks at images again, as in `to_html`.

        Raises:
            ConfigurationError: The ending is another one, or the folder does not exist.
            DataError: The file cannot be written.
        """
        path = Path(path)
        _page.check_report_path(path)
        write: dict[str, Callable[[], str]] = {
            ".html": partial(self.to_html, quick=quick),
            ".md": partial(self.to_card, quick=quick),
            ".json": self.to_json,
            ".csv": partial(_page.to_csv, self),
        }
        report.write(path, write[path.suffix.lower()]())
        return path

    def most_confused(self, n: int = 5) -> list[tuple[Any, Any, int]]:
        """Return the `n` commonest mistakes as (true, predicted, number of images), the commonest first."""
        if self.multi_label:
            return []
        mistakes = _figures.Cells.of(self.y_true, self.y_pred, len(self.classes)).mistakes.most(n)
        cells = zip(*(column.tolist() for column in mistakes), strict=True)
        return [(self.classes[true], self.classes[predicted], images) for true, predicted, images in cells]

    def top_losses(self, n: int = 9) -> "pd.DataFrame":
        """Return the `n` rows of `table` with the highest loss: the images that the model finds hardest."""
        return self._rows(np.argsort(-self.losses, kind="stable")[:n])

    def label_errors(self, n: int | None = None) -> "pd.DataFrame":
        """Return the images whose label is probably wrong, the most suspect first: rows of `table` and `suggested`.

        The model must not have learnt from these images: an evaluation on test images, or `classifier.out_of_fold_`.
        See `imgcls.metrics.suspected_labels` for the method.

        Args:
            n: How many, at most; None for all.
        """
        self._refuse_several("label_errors")
        positions, suggested = _label_errors.suspected_labels(self.y_true, self.probabilities)
        frame = self._rows(positions[:n])
        frame["suggested"] = [self.classes[code] for code in suggested[:n]]
        return frame

    # --- pictures ------------------------------------------------------------------------------------------------

    def plot(
        self, kind: str = "confusion", *, normalize: bool = False, order: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw one of the figures.

        Args:
            kind: "confusion", "classes" (F1 of each with its interval), "reliability", "roc", "precision_recall", or
                "risk_coverage" (the error of the surest answers).
            normalize: Of the confusion matrix: shares of each row instead of counts.
            order: Of the confusion matrix: "clustered" puts classes together that are taken for each other.
            ax: Where to draw; None for a new figure.

        Raises:
            ConfigurationError: The figure is not known, or an argument is of the confusion matrix and this is another.
            DataError: Images have several labels, and the figure is of one label an image; or there are more than 2,000
                classes, and the figure is the confusion matrix.
        """
        _checks.refuse([_checks.unknown_name("kind", kind, PLOTS)])
        if kind != "confusion":
            _checks.refuse(
                f"{name}={value!r} is of kind='confusion', which is not asked for. Leave it out, or draw that."
                for name, value in (("normalize", normalize or None), ("order", order))
                if value is not None
            )
            return draw(self, kind, ax)
        if self.multi_label:
            message = "with several labels an image there is one 2 x 2 matrix for each class: see confusion (K, 2, 2)."
            raise DataError(message)
        if len(self.classes) > MOST_IN_MATRIX:
            message = (
                f"a confusion matrix of {len(self.classes):,} classes has more cells than a picture has pixels. "
                f"Accepted: up to {MOST_IN_MATRIX:,} classes. most_confused() names the commonest mistakes, and "
                "plot('classes') draws the worst classes."
            )
            raise DataError(message)
        return plotting.confusion_matrix(self.confusion, self.classes, normalize=normalize, order=order, ax=ax)

    def show_top_losses(self, n: int = 9) -> NDArray[Any]:
        """Draw the `n` images with the highest loss, titled "true → predicted", and return the Axes (n,)."""
        return self.show(np.argsort(-self.losses, kind="stable")[:n])

    def show(self, positions: Sequence[int] | NDArray[Any] | None = None) -> NDArray[Any]:
        """Draw images with their true and predicted labels, wrong ones in red, and return the Axes.

        Args:
            positions: Which images, or a mask `bool (N,)` such as `~evaluation.right`; None for the first 16.

        Raises:
            DataError: The evaluation was made without `read`, so it has no images.
        """
        read = self._reader()
        every = np.arange(len(self.y_true))
        chosen = (every[:16] if positions is None else every[list(positions)]).tolist()
        titles, wrong = [], []
        for index in chosen:
            true, predicted = (_page.words(self, codes[index]) or "none" for codes in (self.y_true, self.y_pred))
            wrong.append(not self.right[index])
            titles.append(f"{true} → {predicted}" if wrong[-1] else predicted)
        axes = plotting.image_grid([read(index) for index in chosen], titles, wrong=wrong)
        if len(axes):  # none where nothing is wrong
            axes[0].figure.suptitle("predicted label; wrong ones in red: ✗ true → predicted", fontsize=10)
        return axes

    def __str__(self) -> str:
        found, left_out = len(self.y_true), self.left_out
        lacking = f"{left_out:,} of {found + left_out:,} images cannot be read and are left out\n" * bool(left_out)
        width = max(map(len, self))
        lines = [
            f"{name.replace('_', ' '):<{width}}  {value:.3f}  [{interval.lower:.3f}, {interval.upper:.3f}]"
            for name, (value, interval) in self._measured.items()
        ]
        confused = ", ".join(f"{true} -> {predicted} ({count:,})" for true, predicted, count in self.most_confused(3))
        ending = f"\nmost confused: {confused}" * bool(confused)
        figures = "\n".join(lines)
        return (
            f"{found:,} images, {len(self.classes)} classes\n{lacking}{figures}\n[ ] 95 % intervals\n\n"
            f"{self.report()}{ending}"
        )

    def __repr__(self) -> str:
        f1 = self._counts.f1.mean()  # no intervals: shown at once
        return f"Evaluation({len(self.y_true):,} images, accuracy {self.right.mean():.3f}, macro F1 {f1:.3f})"

    # --- inside --------------------------------------------------------------------------------------------------

    def _names(self, code: Any) -> Any:
        return tuple(self.classes[one] for one in np.flatnonzero(code)) if self.multi_label else self.classes[code]

    def _rows(self, positions: NDArray[np.int64]) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(
            {
                "id": [self.ids[position] for position in positions],
                "true": [self._names(self.y_true[position]) for position in positions],
                "predicted": [self._names(self.y_pred[position]) for position in positions],
                "probability": _page.beside(self)[positions],
                "loss": self.losses[positions],
            },
            index=positions,
        )

    def _reader(self) -> Callable[[int], NDArray[np.uint8]]:
        if self._read is None:
            message = "this evaluation has no images to show. Make it by classifier.evaluate(data), or give read=."
            raise DataError(message)
        return self._read
