"""What a classifier that has learnt can do with images."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import exceptions

from imgcls import _checks, architectures, explain, trainer
from imgcls._progress import PATIENCE, ProgressReport
from imgcls._thresholds import Thresholds
from imgcls._warnings import warn
from imgcls.classifier._bundle import Kept, copies
from imgcls.classifier._description import environment
from imgcls.classifier._robust import robust
from imgcls.classifier._trust import Seen, Trust
from imgcls.classifier._ways import Ways
from imgcls.datasets import ON_ERROR, Dataset, as_dataset, shortcuts
from imgcls.errors import ConfigurationError, DataError, DataWarning, ImgclsError
from imgcls.images import SEVERITIES
from imgcls.inference import Predictor, outputs
from imgcls.metrics import Evaluation, Robustness
from imgcls.predictions import Answers, Similar
from imgcls.trainer import Choice, History

_QUICKLY = 100  # images that are made worse for a page


class NotFittedError(ImgclsError, exceptions.NotFittedError):  # type: ignore[misc]  # scikit-learn publishes no types
    """The classifier has not learnt anything yet: call `fit` or `ImageClassifier.load` first."""


class Learnt:
    """A trained model with its classes, and what is known of it. `ImageClassifier` adds how it comes to be."""

    architecture: Any
    engine: str
    seed: int

    model_: Any
    classes_: NDArray[Any]
    history_: History
    choices_: dict[str, Choice]
    _multi_label: bool
    _blueprint_: dict[str, Any]
    _trust: Trust
    _thresholds: Thresholds
    _kept: Kept | None
    _made: Ways | None
    _searched: tuple[Dataset, trainer.Embedded] | None
    _learnt_from: Dataset | None
    _validated_on: Dataset | None

    if TYPE_CHECKING:  # of the class that learns

        def __init__(self, **parameters: Any) -> None: ...
        def get_params(self, *, deep: bool) -> dict[str, Any]: ...

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
        if batches.quarantined:
            if on_error == "raise":
                raise batches.refusal()
            message = (
                f"{len(dataset) - len(batches.readable):,} of {len(dataset):,} images cannot be read and are left out "
                "of the figures; the evaluation's `quarantined` names them. Repair or remove them; on_error='raise' "
                "refuses them."
            )
            warn(message, DataWarning)
            dataset = dataset[batches.readable]
        return Evaluation(
            np.asarray(dataset.labels),
            probabilities,
            classes=self.classes_.tolist(),
            ids=dataset.ids,
            read=dataset.read,
            quarantined=batches.quarantined,
            explain=partial(self._heat, dataset),
            leaked=copies(self._learnt_from, self._kept, dataset),
            shortcuts=partial(shortcuts, dataset),
            robust=partial(self.robustness, dataset, n=_QUICKLY, verbose=0),
            about=self._about(),
            thresholds=self.thresholds_,
        )

    def predict(
        self,
        images: Any,
        *,
        abstain: Any = None,
        coverage: float = 0.9,
        most_error: float = 0.05,
        set_method: str = "lac",
        bgr: bool = False,
        verbose: Any = "auto",
    ) -> Any:
        """Say what is in one image, in many, or in a stream of them.

        Args:
            images: One: a path, the bytes of a file, a PIL image, an array `uint8 (H, W)` or `(H, W, C)`. Many: a
                list of these, a folder, a glob such as "new/*.jpg", an array `(N, H, W[, C])`, a Dataset. A stream: an
                iterator of such images, which may be endless.
            abstain: What may stand in place of a class as `answer`: "set" for several classes, of which one is true
                in the share `coverage` of images, and of each class where at least 100 of each were held out; "unsure"
                for "unknown" where the answer is not sure enough for at most `most_error` wrong answers; "unknown" for
                "unknown" where the image is unlike those that were learnt from (a familiar image is called so in at
                most 5 of 100 cases); or several of these in a list. All rest on `held_out_`. None answers always.
            coverage: The share of images whose set shall hold the truth.
            most_error: The share of answers that may be wrong, with 95 % confidence.
            set_method: "lac" for the smallest sets on average, "raps" for larger ones where an image is hard: see
                `imgcls.metrics.prediction_sets`.
            bgr: Whether colours of arrays are in the order of OpenCV: blue, green, red.
            verbose: 0 for nothing, 1 for a live bar, "auto" for a bar where one can be drawn and it takes long.

        Returns:
            A `Prediction` for one image, `Predictions` for many. For a stream, an iterator of predictions in its
            order: each comes as soon as it can, few images are held at a time, and in place of one that cannot be read
            stands its `UnreadableImageError`.

        Raises:
            NotFittedError: There is nothing to predict with yet.
            DataError: An image cannot be read; the message names it. Or `abstain` is given and nothing was held out.
            ConfigurationError: Arguments are not accepted.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(digits, verbose=0)
            >>> frames = (digits.read(index) for index in range(3))  # such as a camera gives
            >>> [answer.label for answer in classifier.predict(frames)]
            ['0', '1', '2']
        """
        predictor = self._predictor_that(abstain, coverage=coverage, most_error=most_error, set_method=set_method)
        return predictor.predict(images, bgr=bgr, verbose=verbose)

    def predict_proba(self, images: Any, *, verbose: Any = "auto") -> NDArray[np.float32]:
        """Return the probabilities `float32 (N, K)` of many images, in the order of `classes_`."""
        return self.predictor.predict_proba(images, verbose=verbose)

    def predict_to(
        self,
        path: str | Path,
        images: Any,
        *,
        abstain: Any = None,
        coverage: float = 0.9,
        most_error: float = 0.05,
        set_method: str = "lac",
        verbose: Any = "auto",
    ) -> Answers:
        """Write what is in many images into a table, a row for each. A run that was stopped goes on where it was.

        Args:
            path: A `.csv`, `.jsonl` or `.parquet` file. Where it holds answers of this classifier, they stay, and their
                images are not answered again.
            images: What `predict` takes for many, or an iterator, whose images are named by their number.
            abstain: As in `predict`; the column "answer" then stands beside "label".
            coverage: As in `predict`.
            most_error: As in `predict`.
            set_method: As in `predict`.
            verbose: As in `predict`.

        Returns:
            The finished file: `path`, `ids`, and `refused`, how many images could not be read now. They have a row with
            the reason in the column "error".

        Raises:
            NotFittedError: There is nothing to predict with yet.
            DataError: The file holds something else, or answers of another classifier.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=1).fit(digits, verbose=0)
            >>> len(classifier.predict_to("digits.csv", digits[:100]).ids)  # as if it had been stopped here
            100
            >>> len(classifier.predict_to("digits.csv", digits).ids)
            1797
        """
        predictor = self._predictor_that(abstain, coverage=coverage, most_error=most_error, set_method=set_method)
        asked = (abstain, coverage, most_error, set_method) if abstain else ()
        return predictor.predict_to(path, images, model=self._fingerprint(asked), verbose=verbose)

    @property
    def thresholds_(self) -> dict[Any, float] | None:
        """From which probability on classes are said, as `set_thresholds` took them; None for the likeliest."""
        return self._thresholds.given

    def set_thresholds(self, thresholds: Mapping[Any, float] | None) -> Self:
        """Say a class from a probability of your own on, and no longer the likeliest, or each of at least one half.

        `evaluate`, `predict`, `predict_to`, the bundle, exports and the server keep to it. Choose thresholds on images
        that are not those of the final test. `fit` takes them away.

        Args:
            thresholds: {class: probability from 0 to 1}, such as `evaluation.thresholds()` or an operating point gives.
                With several labels an image, of any classes. With one label, of one of two classes: it is said from
                there on, and the other one otherwise. None takes them away.

        Raises:
            NotFittedError: There are no classes yet.
            ConfigurationError: The message lists what is not accepted.

        Examples:
            >>> import numpy as np
            >>> from imgcls import ImageClassifier
            >>> images = np.repeat(np.arange(0, 250, 5, np.uint8), 64).reshape(50, 8, 8)
            >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
            >>> classifier = classifier.fit(images, ["dark"] * 25 + ["light"] * 25, verbose=0)
            >>> surely = classifier.set_thresholds({"light": 1.0}).predict(images)
            >>> [str(label) for label in np.unique(surely.labels)]
            ['dark']
        """
        self._check_fitted()
        self._thresholds = Thresholds(thresholds, self.classes_.tolist(), multi_label=self._multi_label)
        return self

    @property
    def predictor(self) -> Predictor:
        """What answers: compiled once, for threads and servers to share. See `imgcls.inference.Predictor`."""
        return self._predictor_that(None)

    def score(self, data: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on labelled images, from 0 to 1; `sample_weight` holds N weights.

        Images that cannot be read are refused: one number cannot say what it leaves out.
        """
        evaluation = self.evaluate(data, y, on_error="raise")
        right = (evaluation.y_true == evaluation.y_pred).reshape(len(evaluation.y_true), -1).all(axis=1)
        return float(np.average(right, weights=sample_weight))

    def embed(self, images: Any) -> NDArray[np.float32]:
        """Return the features of many images, `float32 (N, D)`: what the head of the model decides on.

        Features are kept on disk, in the cache, so that asking again costs no time.

        Args:
            images: What `predict` takes for many.

        Raises:
            NotFittedError: There is no model yet.
            ConfigurationError: Your own model has no last `Dense` layer whose input could be taken.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=1).fit(digits, verbose=0)
            >>> classifier.embed(digits[:5]).shape
            (5, 64)
        """
        self._check_fitted()
        features: NDArray[np.float32] = self._embedded(as_dataset(images, labelled=False)).features
        return features

    def similar(self, image: Any, k: int = 5, *, among: Any = None) -> Similar:
        """Find the images that are most like one image, by the cosine of the angle between their features.

        Args:
            image: One image, as for `predict`.
            k: How many, at most.
            among: What to search in: a Dataset, a folder, a list; None for the images that were learnt from.

        Returns:
            `Similar`: `ids`, `labels`, `similarities` from 1 downwards, `show()`, `to_frame()`.

        Raises:
            NotFittedError: There is no model yet.
            DataError: The classifier was loaded, and a bundle holds no images: `among` says where they are.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(digits, verbose=0)
            >>> found = classifier.similar(digits.read(0), 3)
            >>> found.labels[0], round(found.similarities[0], 4)
            ('0', 1.0)
        """
        self._check_fitted()
        _checks.refuse([_checks.not_whole("k", k)])
        searched = self._learnt_from if among is None else as_dataset(among, labelled=False)
        if searched is None:
            message = "a loaded classifier holds no images. Say where to search: similar(image, among=...)."
            raise DataError(message)
        wanted = self._ways.features(self.predictor.read(image)[None])
        if self._searched is None or self._searched[0] is not searched:
            self._searched = (searched, self._embedded(searched, on_error="skip"))
        found = self._searched[1]
        return Similar.nearest(wanted[0], found.features, searched[found.positions], k)

    def robustness(
        self, data: Any, y: Any = None, *, n: int = 200, severities: Sequence[int] = (2,), verbose: Any = "auto"
    ) -> list[Robustness]:
        """Make labelled images worse in several ways, and measure what is lost; print the rows.

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
            label: The class to explain; None for the likeliest.
            instead_of: Explain why it is `label` and not this class.
            method: "grad_cam", or "occlusion", which takes longer and any model. See `imgcls.explain.heat_map`.

        Returns:
            An `Explanation`: `show()` lays its heat over the image.

        Raises:
            NotFittedError: There is no model yet.
            ConfigurationError: A class or the method is not known, or the model has no feature map for "grad_cam".

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(digits, verbose=0)
            >>> classifier.explain(digits.read(0), "0", instead_of="8").heat.shape
            (8, 8)
        """
        self._check_fitted()
        dataset = _alone(image)
        pixels = self.predictor.read(image, f"image {dataset.ids[0]!r}")
        if label is None:
            label = self.classes_[self.predictor.run(pixels[None])[0].argmax()].item()
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
            data: Labelled images to measure on; None for the figures on `held_out_`.

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
            message = "nothing was held out to measure on. Give labelled images: card(data)."
            raise DataError(message)
        measured = (
            f"Measured on {len(self.held_out_.ids):,} images held out in training, which have also chosen the "
            "temperature and what was kept: images that nobody has looked at may do worse."
        )
        held_out, about = self.held_out_, {"measured on": measured, **self._about()}
        return Evaluation(held_out.y_true, held_out.probabilities, classes=held_out.classes, about=about).to_card()

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

    def _learn(
        self,
        model: Any,
        classes: tuple[Any, ...],
        multi_label: bool,
        history: History,
        choices: dict[str, Choice],
        blueprint: dict[str, Any],
        learnt_from: Dataset | None = None,
        validated_on: Dataset | None = None,
    ) -> None:
        self.model_, self.classes_, self.history_, self.choices_ = model, np.array(classes), history, choices
        self._multi_label, self._blueprint_ = multi_label, blueprint
        self._made = self._searched = None  # when they are first used
        self._trust, self._kept = Trust(), None
        self._thresholds = Thresholds(None, list(classes), multi_label=multi_label)
        self.__dict__.pop("out_of_fold_", None)  # of an earlier fit
        self._learnt_from, self._validated_on = learnt_from, validated_on

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            message = "this ImageClassifier is not fitted yet. Call fit(data) first, or ImageClassifier.load(path)."
            raise NotFittedError(message)

    def _architecture_name(self) -> str | None:
        """Return the name that the model can be built from; None for an architecture of the user's own."""
        chosen = self.choices_["architecture"].value if "architecture" in self.choices_ else self.architecture
        return chosen if isinstance(chosen, str) else None

    def _embedded(self, dataset: Dataset, *, on_error: str = "raise") -> trainer.Embedded:
        return trainer.embed(architectures.cut(self.model_), dataset, engine=self.engine, on_error=on_error)

    def _measured(self, data: Any, y: Any) -> Dataset:
        """Return labelled images to measure on, with the classes of this classifier."""
        dataset = as_dataset(data, y)
        if dataset.parts is not None and dataset.divided:
            dataset = dataset.subset("test" if "test" in dataset.parts else "validation")
        dataset = dataset.align(self.classes_.tolist())
        if dataset.multi_label != self._multi_label:
            message = "the classifier and these data disagree on whether an image may have several labels."
            raise DataError(message)
        return dataset

    @property
    def _ways(self) -> Ways:
        made = self._made
        if made is None or made.engine != self.engine:
            self._made = made = Ways(self.model_, engine=self.engine, num_classes=len(self.classes_))
        return made

    def _predictor_that(
        self, abstain: Any, *, coverage: float = 0.9, most_error: float = 0.05, set_method: str = "lac"
    ) -> Predictor:
        """Return what answers, or abstains as asked."""
        self._check_fitted()
        ways = self._ways
        asked = {abstain} if isinstance(abstain, str) else {*(abstain or ())}
        if self.thresholds_ is not None and not self._multi_label and asked - {"unknown"}:
            message = (
                f"abstain={abstain!r} speaks of the likeliest class, and thresholds are set. Take them away with "
                "set_thresholds(None), or ask for 'unknown' alone."
            )
            raise ConfigurationError(message)
        promise = self._trust.promise(abstain, coverage=coverage, most_error=most_error, set_method=set_method)
        found: dict[str, Any] = {
            "input_shape": self._blueprint_["input_shape"],
            "classes": self.classes_.tolist(),
            "multi_label": self._multi_label,
            "thresholds": self.thresholds_,
        }
        if not promise.asked:
            return Predictor(ways.run, run_for=ways.run_for, **found)
        if "unknown" not in promise.asked:
            return Predictor(ways.run, run_for=ways.run_for, decide=lambda given: promise.decide(given, None), **found)
        look = ways.look

        def decide_by_features(given: NDArray[np.float32]) -> dict[str, Any]:
            p_values = self._trust.p_values(self.model_, look.features(given))
            return promise.decide(look.probabilities(given), p_values)

        return Predictor(look.run, decide=decide_by_features, **found)

    def _fingerprint(self, asked: Sequence[Any]) -> str:
        """Return what names this model in a table of answers: the beginning of a hash of its weights.

        Args:
            asked: What else decides on answers.
        """
        decided = [*asked, *(self._thresholds.numbers or ())]
        digest = hashlib.sha256(repr(decided).encode() if decided else b"")
        for weight in self.model_.weights:
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()[:12]

    def _heat(self, dataset: Dataset, positions: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return heat maps of what was predicted for some images, by Grad-CAM, or else by occlusion."""
        pixels = np.stack([self.predictor.read(dataset.source(place)) for place in positions])
        try:
            return list(explain.heat_map(self.model_, pixels, target=None))
        except ConfigurationError:  # no feature map
            return list(explain.heat_map(self.model_, pixels, target=None, method="occlusion"))

    def _about(self) -> dict[str, Any]:
        """Return what a page about the classifier should say of it."""
        return {
            "architecture": self._architecture_name() or "your own",
            "parameters": int(self.model_.count_params()),
            "input (height, width, channels)": list(self._blueprint_["input_shape"]),
            "epochs": len(self.history_.get("loss", ())),
            "seconds of training": round(self.history_.seconds, 1),
            **({"thresholds": self.thresholds_} if self.thresholds_ else {}),
            "choices": {name: (choice.value, choice.reason) for name, choice in self.choices_.items()},
            "history": {name: list(values) for name, values in self.history_.items()},
            "environment": environment(),
        }


def _alone(image: Any) -> Dataset:
    """Return a dataset of one image, named by its path where it has one."""
    return Dataset([image], ids=[str(image) if isinstance(image, str | Path) else "image"])
