"""How good a classifier that has learnt is, and why it answers so."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, explain, trainer
from imgcls._progress import PATIENCE, ProgressReport
from imgcls._thresholds import foremost
from imgcls._warnings import warn
from imgcls.classifier._answering import Answering, alone
from imgcls.classifier._bundle import copies
from imgcls.classifier._description import environment
from imgcls.classifier._robust import robust
from imgcls.classifier._trust import Seen
from imgcls.datasets import ON_ERROR, Dataset, as_dataset, shortcuts
from imgcls.errors import ConfigurationError, DataError, DataWarning
from imgcls.images import SEVERITIES
from imgcls.inference import outputs
from imgcls.metrics import Evaluation, Robustness
from imgcls.trainer._trainable import sample_weights

_QUICKLY = 100  # images that are made worse for a page


class Learnt(Answering):
    """A trained model that is measured and explained. `ImageClassifier` adds how it comes to be."""

    def evaluate(self, data: Any, y: Any = None, *, on_error: str = "skip", verbose: Any = "auto") -> Evaluation:
        """Measure on labelled images, in one pass.

        Args:
            data: What `fit` takes. Of a source that is divided already, `test` is used, or else `validation`.
            y: N labels, where `data` carries none.
            on_error: "skip" leaves out images that cannot be read, and a `DataWarning` says how many; the evaluation's
                `quarantined` has the reasons. "raise" refuses them.
            verbose: 0 for nothing, 1 for a live bar, "auto" for a bar where one can be drawn and it takes long.

        Raises:
            NotFittedError: There is nothing to evaluate yet.
            UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others; the message
                names all of them.
            DataError: A label is not one of the classes.
        """
        self._check_fitted()
        _checks.refuse([_checks.unknown_name("on_error", on_error, ON_ERROR)])
        dataset = self._measured(data, y)
        batches = self.predictor.batches(dataset, on_error="skip")  # to the end, so that all can be named
        with ProgressReport(verbose, after=PATIENCE) as report:
            report.begin("evaluating", len(dataset))
            probabilities, _ = outputs(self._ways.run_for(len(dataset)), batches, report.done)
        left_out = len(dataset) - len(batches.readable)
        if left_out:
            if on_error == "raise":
                raise batches.refusal()
            message = (
                f"{left_out:,} of {len(dataset):,} images cannot be read and are left out of the figures; the "
                "evaluation's `quarantined` names them. Repair or remove them; on_error='raise' refuses them."
            )
            warn(message, DataWarning)
            dataset = dataset[batches.readable]
        measured = self._as_now()
        return Evaluation(
            np.asarray(dataset.labels),
            probabilities,
            classes=self.classes_.tolist(),
            ids=dataset.ids,
            read=dataset.read,
            quarantined=batches.quarantined,
            left_out=left_out,
            explain=partial(measured._heat, dataset, self._explained(probabilities)),  # noqa: SLF001 - a copy of this object
            leaked=copies(self._learnt_from, self._kept, dataset),
            shortcuts=partial(shortcuts, dataset),
            robust=partial(measured.robustness, dataset, n=_QUICKLY, verbose=0),
            about=self._about(),
            thresholds=self.thresholds_,
        )

    def score(self, data: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on labelled images, from 0 to 1; `sample_weight` holds N weights.

        Images that cannot be read are refused: one number cannot say what it leaves out. Those of a class that was not
        learnt count as wrong, as in scikit-learn; a `DataWarning` says how many. In cross-validation there may be some.

        Raises:
            NotFittedError: There is nothing to measure yet.
            UnreadableImageError: Images cannot be read.
            ConfigurationError: There are not as many weights as images, one is below 0 or not finite, or all are 0.
            DataError: Labels are of another kind than the classes; or images have several, and one is not among these.
        """
        self._check_fitted()
        dataset = self._to_measure(data, y)
        sample_weights(sample_weight, len(dataset))  # refuses what are none, before the pass
        known, right = self._are_learnt(dataset), np.zeros(len(dataset), bool)
        if known.any():
            right[known] = self.evaluate(dataset[known], on_error="raise").right
        return float(np.average(right, weights=sample_weight))

    def robustness(
        self, data: Any, y: Any = None, *, n: int = 200, severities: Sequence[int] = (2,), verbose: Any = "auto"
    ) -> list[Robustness]:
        """Make labelled images worse in several ways, and measure what is lost; print the rows.

        An image for which the model gives no number counts as wrong.

        Args:
            data: What `evaluate` takes.
            y: N labels, where `data` carries none.
            n: How many images, drawn at random, at most.
            severities: Of 1 (hardly seen), 2 and 3 (ugly).
            verbose: As in `fit`.

        Returns:
            A `Robustness` for each way and severity, what loses most first. The ways are those of
            `imgcls.images.CORRUPTIONS`.

        Raises:
            NotFittedError: There is no model yet.
            UnreadableImageError: An image cannot be read.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> train, test = Dataset.builtin("digits").split((0.8, 0.2))
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(train, verbose=0)
            >>> rows = classifier.robustness(test, n=100, verbose=0)
            >>> rows[0].lost > 0.05
            True
        """
        self._check_fitted()
        _checks.refuse(
            [_checks.not_whole("n", n), *(_checks.unknown_name("severities", one, SEVERITIES) for one in severities)]
        )
        dataset = self._measured(data, y)
        chosen = dataset[np.sort(np.random.default_rng(self.seed).permutation(len(dataset))[:n])]
        with trainer.ProgressReport(verbose) as report:
            shape = self._blueprint_["input_shape"]
            return robust(self.predictor.outputs, chosen, shape, severities, report, said=self._thresholds.said)

    def explain(
        self, image: Any, label: Any = None, *, instead_of: Any = None, method: str = "grad_cam"
    ) -> explain.Explanation:
        """Show where in an image the classifier finds what speaks for a class.

        Args:
            image: One image, as for `predict`.
            label: The class to explain; None for the one that is said, as by `predict`; of several, the likeliest.
            instead_of: Explain why it is `label` and not this class.
            method: "grad_cam", or "occlusion", which takes longer and any model. See `imgcls.explain.heat_map`.

        Returns:
            An `Explanation`: `show()` lays its heat over the image.

        Raises:
            NotFittedError: There is no model yet.
            ConfigurationError: A class or the method is not known, or the model has no feature map for "grad_cam".
            UnreadableImageError: The image cannot be read, or the model gives no number for it.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(digits, verbose=0)
            >>> classifier.explain(digits.read(0), "0", instead_of="8").heat.shape
            (8, 8)
        """
        self._check_fitted()
        dataset = alone(image)
        pixels = self.predictor.read(image, f"image {dataset.ids[0]!r}")
        answer = self.predictor.as_predictions(self.predictor.run(pixels[None]), dataset.ids)  # refuses what is none
        if label is None:
            label = self.classes_[self._explained(answer.probabilities)[0]].item()
        return explain.explanation(
            self.model_,
            pixels,
            image=dataset.read(0),
            classes=self.classes_.tolist(),
            label=label,
            instead_of=instead_of,
            method=method,
            id=dataset.ids[0],
        )

    def card(self, data: Any = None) -> str:
        r"""Return a model card in Markdown: what the model is, how good it is and where it is not, how it was trained.

        Args:
            data: Labelled images to measure on; None for the figures on `held_out_`, with the thresholds that are set.

        Raises:
            NotFittedError: There is no model yet.
            DataError: Nothing was held out, and no images are given.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> train, test = Dataset.builtin("digits").split((0.8, 0.2))
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(train, verbose=0)
            >>> classifier.card(test).splitlines()[0]
            '# Model card: small\\_cnn'
        """
        self._check_fitted()
        if data is not None:
            return self.evaluate(data).to_card()
        if self.held_out_ is None:
            message = (
                "nothing was held out to measure on. Give labelled images: card(data), or in a shell imgcls card MODEL "
                "DATA."
            )
            raise DataError(message)
        return self._told(self.held_out_).to_card()

    # --- what is held out ----------------------------------------------------------------------------------------

    @property
    def held_out_(self) -> Evaluation | None:
        self._check_fitted()
        return self._trust.held_out

    @property
    def temperature_(self) -> float:
        self._check_fitted()
        return float(self.choices_["temperature"].value) if "temperature" in self.choices_ else 1.0

    def _seen(self, dataset: Dataset) -> Seen:
        """Send images through the model once, with its features, but for those that cannot be read."""
        return Seen.by(self._ways.look, self.predictor.batches(dataset, on_error="skip"))

    # --- inside --------------------------------------------------------------------------------------------------

    def _as_now(self) -> Self:
        """Return this classifier for later: what `fit` and `set_thresholds` change of the other stays here as it is."""
        now = copy.copy(self)
        vars(now)["_made"] = self._made  # compiled ways, which are not copied
        return now

    @property
    def _solved(self) -> bool:
        """Whether the head was solved, and nothing trained in steps: `trainer.transfer` has such a column then."""
        return "held_out_loss" in self.history_

    @property
    def _cross_fitted(self) -> bool:
        """Whether `held_out_` is of training images, each from a head that has not seen it."""
        return self._solved and "val_loss" not in self.history_  # nothing was validated on: see `held_out`

    def _told(self, held_out: Evaluation) -> Evaluation:
        """Return `held_out_` as the card and the bundle tell it: what is said now, and of which classifier."""
        found, about = f"{len(held_out.ids):,}", self._about()
        if self._cross_fitted:
            about["cross-fitted"] = True
            measured = (
                f"Measured on {found} training images, each judged by a head that has not seen it, and not by the one "
                "of this model, which has learnt from them all. They have also chosen the temperature: images that "
                "nobody has looked at may do worse."
            )
        else:
            measured = (
                f"Measured on {found} images held out in training, which have also chosen the temperature and what was "
                "kept: images that nobody has looked at may do worse."
            )
        return Evaluation(
            held_out.y_true,
            held_out.probabilities,
            classes=held_out.classes,
            about={"measured on": measured, **about},
            thresholds=self.thresholds_,
        )

    def _architecture_name(self) -> str | None:
        """Return the name that the model can be built from; None for an architecture of the user's own."""
        chosen = self._learnt_with["architecture"]
        if "architecture" in self.choices_:
            chosen = self.choices_["architecture"].value
        return chosen if isinstance(chosen, str) else None

    def _to_measure(self, data: Any, y: Any) -> Dataset:
        """Return labelled images to measure on."""
        several: dict[str, Any] = {"classes": self.classes_.tolist(), "multi_label": True} if self._multi_label else {}
        dataset = as_dataset(data, y, **several)
        if dataset.parts is not None and dataset.divided:
            dataset = dataset.subset("test" if "test" in dataset.parts else "validation")
        return dataset

    def _measured(self, data: Any, y: Any) -> Dataset:
        """Return labelled images to measure on, with the classes of this classifier."""
        dataset = self._to_measure(data, y).align(self.classes_.tolist())
        if dataset.multi_label != self._multi_label:
            message = "the classifier and these data disagree on whether an image may have several labels."
            raise DataError(message)
        return dataset

    def _are_learnt(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return which images are of a class that was learnt, `(N,)`, and warn of the others.

        On several labels, and on numbers beside names, `align` decides, and they are all let through.
        """
        if dataset.multi_label or self._multi_label:
            return np.ones(len(dataset), bool)
        classes = set(self.classes_.tolist())
        kinds = {type(name) for name in classes}
        known = [name in classes or type(name) not in kinds for name in dataset.classes]
        learnt = np.array(known)[dataset.labels]
        if not learnt.all():
            others = [dataset.classes[code] for code in np.unique(np.asarray(dataset.labels)[~learnt])]
            message = (
                f"{int((~learnt).sum()):,} of {len(dataset):,} images are of classes that were not learnt, "
                f"{_checks.some(others)}: the score counts them as wrong. Mend their labels where these are misspelt."
            )
            warn(message, DataWarning)
        return learnt

    def _explained(self, probabilities: NDArray[Any]) -> NDArray[np.int64]:
        """Return the code of what is said of each image, `int (N,)`; of several labels, the likeliest of them."""
        return foremost(probabilities, self._thresholds.said(probabilities))

    def _heat(
        self, dataset: Dataset, explained: NDArray[np.int64], positions: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Return heat maps of what was said of some images, by Grad-CAM, or else by occlusion.

        Args:
            dataset: The images.
            explained: `int (N,)`: the class of each whose heat is wanted.
            positions: Which of them.
        """
        pixels = np.stack([self.predictor.read(dataset.source(place)) for place in positions])
        target = explained[np.asarray(positions)] + (len(self.classes_) == 1)  # as in `explain.explanation`
        try:
            return list(explain.heat_map(self.model_, pixels, target=target))
        except ConfigurationError:  # no feature map
            return list(explain.heat_map(self.model_, pixels, target=target, method="occlusion"))

    def _about(self) -> dict[str, Any]:
        """Return what a page about the classifier should say of it."""
        return {
            "architecture": self._architecture_name() or "your own",
            "parameters": int(self.model_.count_params()),
            "input (height, width, channels)": list(self._blueprint_["input_shape"]),
            **({} if self._solved else {"epochs": len(self.history_.get("loss", ()))}),
            "seconds of training": round(self.history_.seconds, 1),
            **({"thresholds": self.thresholds_} if self.thresholds_ else {}),
            "choices": {name: (choice.value, choice.reason) for name, choice in self.choices_.items()},
            "history": {name: list(values) for name, values in self.history_.items()},
            "environment": environment(),
        }
