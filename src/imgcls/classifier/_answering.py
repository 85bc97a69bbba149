"""What a classifier that has learnt answers with: images in; predictions, features and similar images out."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import exceptions

from imgcls import _checks, architectures, trainer
from imgcls._thresholds import Thresholds
from imgcls._warnings import warn
from imgcls.classifier._bundle import Kept
from imgcls.classifier._trust import Trust, promised
from imgcls.classifier._ways import Ways
from imgcls.datasets import Dataset, as_dataset
from imgcls.errors import DataError, DataWarning, ImgclsError
from imgcls.inference import Predictor
from imgcls.inference._predictor import are_numbers, check_numbers
from imgcls.predictions import Answers, Similar
from imgcls.trainer import Choice, History
from imgcls.trainer._embed import Embedder


class NotFittedError(ImgclsError, exceptions.NotFittedError):  # type: ignore[misc]  # scikit-learn publishes no types
    """The classifier has not learnt anything yet: call `fit` or `ImageClassifier.load` first.

    Examples:
        >>> from imgcls import ImageClassifier, NotFittedError
        >>> try:
        ...     ImageClassifier().predict("photo.jpg")
        ... except NotFittedError as error:
        ...     print(error)
        this ImageClassifier is not fitted yet. Call fit(data) first, or ImageClassifier.load(path).
    """


class Answering:
    """A trained model with its classes. `Learnt` adds how good it is, and `ImageClassifier` how it comes to be."""

    engine: str
    seed: int

    model_: Any
    classes_: NDArray[Any]
    history_: History
    choices_: dict[str, Choice]
    _multi_label: bool
    _learnt_with: dict[str, Any]
    _blueprint_: dict[str, Any]
    _trust: Trust
    _thresholds: Thresholds
    _kept: Kept | None
    _made: Ways | None
    _searched: tuple[Dataset, trainer.Embedded, bytes] | None
    _learnt_from: Dataset | None
    _validated_on: Dataset | None

    if TYPE_CHECKING:  # of the class that learns

        def __init__(self, **parameters: Any) -> None: ...
        def get_params(self, *, deep: bool) -> dict[str, Any]: ...

    def predict(
        self,
        images: Any,
        *,
        abstain: Any = None,
        coverage: float | None = None,
        most_error: float | None = None,
        set_method: str | None = None,
        bgr: bool = False,
        verbose: Any = "auto",
    ) -> Any:
        """Say what is in one image, in many, or in a stream of them.

        Args:
            images: One: a path, the bytes of a file, a PIL image, an array `uint8 (H, W)` or `(H, W, C)`. Many: a
                list of these, a folder, a glob such as "new/*.jpg", an array `(N, H, W[, C])`, a Dataset. A stream: an
                iterator of such images, which may be endless.
            abstain: What may stand in place of a class as `answer`: "set" for several classes, of which one is true
                in the share `coverage` of images, and of each class where enough of each were held out: 100, or
                coverage / (1 - coverage) where that is more; "unsure" for "unknown" where the answer is not sure enough
                for at most `most_error` wrong answers; "unknown" for "unknown" where the image is unlike those that
                were learnt from (a familiar image is called so in at most 5 of 100 cases); or several of these in a
                list. All rest on `held_out_`. None answers always.
            coverage: Of "set": the share of images whose set shall hold the truth; None for 0.9.
            most_error: Of "unsure": the share of answers that may be wrong, with 95 % confidence; None for 0.05.
            set_method: Of "set": "lac" for the smallest sets on average, "raps" for larger ones where an image is hard:
                see `imgcls.metrics.prediction_sets`; None for "lac".
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
        """Return the probabilities `float32 (N, K)` of many images, in the order of `classes_`; of one image, a row."""
        return self.predictor.predict_proba(images, verbose=verbose)

    def predict_to(
        self,
        path: str | Path,
        images: Any,
        *,
        bgr: bool = False,
        abstain: Any = None,
        coverage: float | None = None,
        most_error: float | None = None,
        set_method: str | None = None,
        verbose: Any = "auto",
    ) -> Answers:
        """Write what is in many images into a table, a row for each. A run that was stopped goes on where it was.

        Args:
            path: A `.csv`, `.jsonl` or `.parquet` file. Where it holds answers of this classifier, they stay, and their
                images are not answered again. A `DataWarning` says how many of them have no name, and are known by
                their number alone.
            images: What `predict` takes for many, or an iterator, whose images are named by their number, but for a
                `Sample`, which has an id.
            bgr: As in `predict`.
            abstain: As in `predict`; the column "answer" then stands beside "label".
            coverage: As in `predict`.
            most_error: As in `predict`.
            set_method: As in `predict`.
            verbose: As in `predict`.

        Returns:
            The finished file: `path`, `ids`, and `refused`, how many images could not be read now. They have a row with
            the reason in the column "error", and so are left out of a later run: take it out of the table once the
            image is mended.

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
        asked = promised(abstain, coverage=coverage, most_error=most_error, set_method=set_method)
        asked += ["bgr"] if bgr else []
        return predictor.predict_to(path, images, bgr=bgr, model=self._fingerprint(asked), verbose=verbose)

    @property
    def thresholds_(self) -> dict[Any, float] | None:
        self._check_fitted()
        return self._thresholds.given

    def set_thresholds(self, thresholds: Mapping[Any, float] | None) -> Self:
        """Say a class from a probability of your own on, and no longer the likeliest, or each of at least one half.

        `evaluate`, `predict`, `predict_to`, the bundle, `ExportedModel` and the server keep to it. Choose thresholds on
        images that are not those of the final test. `fit` takes them away.

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
        """What answers: compiled once, for threads and servers to share. See `imgcls.inference.Predictor`.

        It is compiled at its first answer. Ask anew where Keras has trained `model_` further: OpenVINO and ONNX Runtime
        keep weights as they were.

        Examples:
            >>> from concurrent.futures import ThreadPoolExecutor
            >>> import numpy as np
            >>> from imgcls import ImageClassifier
            >>> images = np.repeat(np.arange(0, 250, 5, np.uint8), 64).reshape(50, 8, 8)
            >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
            >>> classifier = classifier.fit(images, ["dark"] * 25 + ["light"] * 25, verbose=0)
            >>> predictor = classifier.predictor
            >>> predictor.input_shape, predictor.classes
            ((8, 8, 1), ['dark', 'light'])
            >>> with ThreadPoolExecutor(2) as threads:
            ...     answers = list(threads.map(predictor.predict, images))
            >>> [one.label for one in answers] == classifier.predict(images).labels.tolist()
            True
        """
        self._check_fitted()
        ways = self._ways
        made = cache(lambda: ways.run)

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            return made()(pixels)  # not before: scikit-learn looks at every attribute to show a classifier

        return Predictor(run, run_for=ways.run_for, **self._answers_as())

    def embed(self, images: Any) -> NDArray[np.float32]:
        """Return the features of many images, `float32 (N, D)`: what the head of the model decides on. Of one, a row.

        Features are kept on disk, in the cache, so that asking again costs no time.

        Args:
            images: What `predict` takes for one or many.

        Raises:
            NotFittedError: There is no model yet.
            ConfigurationError: Your own model has no last `Dense` layer whose input could be taken.
            UnreadableImageError: An image cannot be read, or the model gives no number for it; the message names it.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=1).fit(digits, verbose=0)
            >>> classifier.embed(digits[:5]).shape
            (5, 64)
        """
        self._check_fitted()
        dataset = self.predictor.many(images)
        features: NDArray[np.float32] = self._embedded(dataset).features
        check_numbers(features, dataset.ids)
        return features

    def similar(self, image: Any, k: int = 5, *, among: Any = None) -> Similar:
        """Find the images that are most like one image, by the cosine of the angle between their features.

        Args:
            image: One image, as for `predict`.
            k: How many, at most.
            among: What to search in: a Dataset, a folder, a list; None for the images that were learnt from. A
                `DataWarning` names those for which the model gives NaN or infinity: they are like no image.

        Returns:
            `Similar`: `ids`, `labels`, `similarities` from 1 downwards, `show()`, `to_frame()`.

        Raises:
            NotFittedError: There is no model yet.
            DataError: The classifier was loaded, and a bundle holds no images: `among` says where they are.
            UnreadableImageError: The image cannot be read, or the model gives no number for it.

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
        check_numbers(wanted, alone(image).ids)
        weights = self._ways.weights()
        if self._searched is None or self._searched[0] is not searched or self._searched[2] != weights:
            found = _of_numbers(self._embedded(searched, on_error="skip"), searched)
            self._searched = (searched, found, weights)
        found = self._searched[1]
        return Similar.nearest(wanted[0], found.features, searched[found.positions], k)

    # --- inside --------------------------------------------------------------------------------------------------

    def _learn(
        self,
        model: Any,
        classes: tuple[Any, ...],
        multi_label: bool,
        history: History,
        choices: dict[str, Choice],
        blueprint: dict[str, Any],
        *,
        learnt_from: Dataset | None = None,
        validated_on: Dataset | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.model_, self.classes_, self.history_, self.choices_ = model, np.array(classes), history, choices
        self._multi_label, self._blueprint_ = multi_label, blueprint
        self._learnt_with = self.get_params(deep=False)  # which may be set anew before the next fit
        self._made = Ways(model, engine=self.engine, num_classes=len(classes), embedder=embedder)
        self._searched = None  # when it is first used
        self._trust, self._kept = Trust(), None
        self._thresholds = Thresholds(None, list(classes), multi_label=multi_label)
        for name in ("out_of_fold_", "evaluation_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        self._learnt_from, self._validated_on = learnt_from, validated_on

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            message = "this ImageClassifier is not fitted yet. Call fit(data) first, or ImageClassifier.load(path)."
            raise NotFittedError(message)

    def _embedded(self, dataset: Dataset, *, on_error: str = "raise") -> trainer.Embedded:
        return trainer.embed(architectures.cut(self.model_), dataset, engine=self.engine, on_error=on_error)

    @property
    def _ways(self) -> Ways:
        made = self._made
        if made is None or made.engine != self.engine:
            self._made = made = Ways(self.model_, engine=self.engine, num_classes=len(self.classes_))
        return made

    def _predictor_that(
        self, abstain: Any, *, coverage: float | None, most_error: float | None, set_method: str | None
    ) -> Predictor:
        """Return what answers, or abstains as asked."""
        self._check_fitted()
        ways = self._ways
        promise = self._trust.promise(
            abstain,
            coverage=coverage,
            most_error=most_error,
            set_method=set_method,
            likeliest=self.thresholds_ is None or self._multi_label,
        )
        found = self._answers_as()
        if not promise.asked:
            return Predictor(ways.run, run_for=ways.run_for, **found)
        if "unknown" not in promise.asked:
            return Predictor(ways.run, run_for=ways.run_for, decide=lambda given: promise.decide(given, None), **found)
        look = ways.look

        def decide_by_features(given: NDArray[np.float32]) -> dict[str, Any]:
            p_values = self._trust.p_values(self.model_, look.features(given))
            return promise.decide(look.probabilities(given), p_values)

        return Predictor(look.run, decide=decide_by_features, **found)

    def _answers_as(self) -> dict[str, Any]:
        """Return what `Predictor` is told of the images and of the classes."""
        return {
            "input_shape": self._blueprint_["input_shape"],
            "classes": self.classes_.tolist(),
            "multi_label": self._multi_label,
            "thresholds": self.thresholds_,
        }

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


def alone(image: Any) -> Dataset:
    """Return a dataset of one image, named by its path where it has one."""
    return Dataset([image], ids=[str(image) if isinstance(image, str | Path) else "image"])


def _of_numbers(found: trainer.Embedded, dataset: Dataset) -> trainer.Embedded:
    """Leave out images whose features are NaN or infinite; a warning names them."""
    there = are_numbers(found.features)
    if there.all():
        return found
    names = [dataset.ids[place] for place in found.positions[~there].tolist()]
    if not there.any():  # nothing is left to search in
        check_numbers(found.features, names)
    of = f"{len(there):,} images to search in"
    warn(_checks.without_numbers(names, of, "They are like no image, and left out"), DataWarning)
    return found._replace(features=found.features[there], positions=found.positions[there])
