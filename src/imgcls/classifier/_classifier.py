"""`ImageClassifier`: validation and wiring. The work is done by the rooms below."""

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from sklearn import base, exceptions

from imgcls import _checks, architectures, bundle, explain, trainer
from imgcls._warnings import warn
from imgcls.classifier._bundle import Kept, built, config_of, copies, of_trust, weights_of
from imgcls.classifier._description import describe, environment, history_and_choices
from imgcls.classifier._exported import exported
from imgcls.classifier._parts import learn_from
from imgcls.classifier._robust import robust
from imgcls.classifier._trust import Seen, Trust, held_out, out_of_fold
from imgcls.classifier._ways import Ways
from imgcls.datasets import ON_ERROR, Dataset, as_dataset, shortcuts
from imgcls.errors import BundleError, ConfigurationError, DataError, DataWarning, ImgclsError
from imgcls.export import Certificate
from imgcls.images import SEVERITIES
from imgcls.inference import Predictor, outputs
from imgcls.metrics import Evaluation, Robustness
from imgcls.predictions import Answers, Similar
from imgcls.trainer import Choice, Forecast, History, LearningRateCurve

_PATIENCE = 2.0  # seconds without a bar
_QUICKLY = 100  # images that are made worse for a page


class NotFittedError(ImgclsError, exceptions.NotFittedError):  # type: ignore[misc]  # scikit-learn publishes no types
    """The classifier has not learnt anything yet: call `fit` or `ImageClassifier.load` first."""


@final
class ImageClassifier(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]  # the same
    """A scikit-learn estimator that owns a `keras.Model`.

    The constructor stores its arguments; `fit` validates them. "auto" is a value: what was chosen and why is printed
    once and kept in `choices_`.

    Args:
        architecture: A name from `imgcls.architectures.names()`; a `keras.Model`; a function
            `(input_shape, num_classes)` that returns one; or "auto".
        image_size: The side in pixels, (height, width), or "auto".
        color: "rgb", "grayscale" (converted inside the model), or "auto" for what the images are.
        normalization: "standard", "unit", "symmetric", None for pixels as they are, or "auto". Backbones of
            `keras.applications` bring their own.
        augmentation: A name from `imgcls.transforms.names()`, a `keras.Layer`, None, or "auto".
        weights: "imagenet", the path of an `.h5` file, None for random numbers, or "auto": "imagenet" where it exists.
        fine_tune: Whether a pretrained backbone is trained too. First its head is solved on features that are computed
            once, and never again. False leaves it at that; True trains all afterwards; "auto" does so in what is left
            of a budget, and keeps it where it is better on the validation images by more than chance explains.
        pooling: From feature map to features: "average", "max" or "flatten".
        dropout: The share of features dropped in training, from 0 to below 1.
        mixing: "mixup", "cutmix", "both", a `keras.Layer`, or None: images are mixed with each other, and their labels
            too, during the first 85 % of training.
        test_time_augmentation: "flip" for the mean of the features of an image and its mirror image, at twice the cost
            of a prediction and none of training; None for those of the image alone.
        optimizer: "adam", "adamw", "sgd", "rmsprop", "muon", a Keras optimizer, or "auto".
        learning_rate: A number, which stays constant; a Keras schedule; or "auto" for the optimizer's usual peak.
        schedule: How the rate moves: "cosine", "one_cycle", "linear", "constant", "plateau", or "auto" for warm-up and
            cosine, and for "constant" where `learning_rate` is a number.
        weight_decay: Of kernels; biases and normalisation never decay. A number from 0, or "auto".
        clip_norm: The most that the norm of all gradients together may be; None for no limit.
        average: The momentum of a moving average of the weights, such as 0.999, which is kept in place of the last
            weights; None for none.
        loss: Any Keras loss or its name; "focal"; "binary_crossentropy" makes a sigmoid of two classes; "auto" decides
            from the labels.
        label_smoothing: The share of a label that is spread over all classes, from 0 to below 1.
        epochs: How often every image is seen, at most, or "auto".
        budget: Seconds, or words such as "10min": `fit` ends in time, with a schedule that has reached its end. None
            for no limit.
        batch_size: Images in a training step, at most, or "auto".
        micro_batches: In how many parts a batch goes through the model, their gradients accumulated, where memory is
            short. Where it runs out, this is doubled by itself.
        engine: What computes features of a fixed backbone, and predictions: "tensorflow", "openvino", "onnxruntime", or
            "auto" for the quickest that is installed, agrees with TensorFlow and pays for its conversion.
        precision: In what the backbone computes while it trains: "float32", "mixed_bfloat16", or "auto" for the latter
            where a GPU is quicker with it. What is kept and saved computes in float32.
        devices: What shares each batch: "auto" for the workers that the variable TF_CONFIG names, or else all GPUs, or
            else the CPU; "cpu" or "gpu" of this machine alone; or names, such as ["GPU:0", "GPU:1"].
        patience: Epochs without a lower `val_loss` before training stops and the best weights are restored; None
            never stops early; "auto".
        class_weight: None, "balanced", or {class: weight}.
        seed: Reaches initial weights, order, augmentation and dropout.
        deterministic: Whether a GPU must give the same bits every time. It is slower then, for the rest of the process.
            A CPU does so anyway.

    Attributes:
        classes_: K classes, in the order of probabilities.
        held_out_: The `Evaluation` on images that were not learnt from, by which temperature, sets and thresholds were
            set: the validation images, or the training images from heads that have not seen them. None without them.
        temperature_: What the scores of the model were divided by, so that probabilities mean what they say; 1 where
            nothing was held out.
        out_of_fold_: Where the head was solved: the `Evaluation` on the training images, each from a head that has not
            seen it: `label_errors()` finds labels that are probably wrong. Not saved.
        model_: A plain `keras.Model` from pixels 0-255 to probabilities.
        history_: The `History` of training.
        choices_: Each "auto" with its value and reason.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier
        >>> train, test = Dataset.builtin("digits").split((0.8, 0.2))
        >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(train, verbose=0)
        >>> classifier.evaluate(test).accuracy > 0.8
        True
        >>> classifier.predict(test[:5])
        Predictions(5 images, 10 classes)
    """

    _trust: Trust
    _kept: Kept | None
    _made: Ways | None
    _searched: tuple[Dataset, trainer.Embedded] | None

    def __init__(
        self,
        architecture: Any = "auto",
        *,
        image_size: Any = "auto",
        color: str = "auto",
        normalization: str | None = "auto",
        augmentation: Any = "auto",
        mixing: Any = None,
        test_time_augmentation: str | None = None,
        weights: Any = "auto",
        fine_tune: Any = "auto",
        pooling: str = "average",
        dropout: float = 0.2,
        optimizer: Any = "auto",
        learning_rate: Any = "auto",
        schedule: str = "auto",
        weight_decay: Any = "auto",
        clip_norm: float | None = None,
        average: float | None = None,
        loss: Any = "auto",
        label_smoothing: float = 0.0,
        epochs: Any = "auto",
        budget: Any = None,
        batch_size: Any = "auto",
        micro_batches: int = 1,
        engine: str = "auto",
        precision: str = "auto",
        devices: Any = "auto",
        patience: Any = "auto",
        class_weight: Any = None,
        seed: int = 0,
        deterministic: bool = False,
    ) -> None:
        self.architecture = architecture
        self.image_size = image_size
        self.color = color
        self.normalization = normalization
        self.augmentation = augmentation
        self.mixing = mixing
        self.test_time_augmentation = test_time_augmentation
        self.weights = weights
        self.fine_tune = fine_tune
        self.pooling = pooling
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.average = average
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.epochs = epochs
        self.budget = budget
        self.batch_size = batch_size
        self.micro_batches = micro_batches
        self.engine = engine
        self.precision = precision
        self.devices = devices
        self.patience = patience
        self.class_weight = class_weight
        self.seed = seed
        self.deterministic = deterministic

    # --- learning ------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        sample_weight: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Any] = (),
        on_error: str = "skip",
        verbose: Any = "auto",
    ) -> Self:
        """Learn from labelled images.

        Args:
            data: A Dataset, a folder, a frame, a `.csv` file; or, with `y`, a list of paths or an array
                `uint8 (N, H, W[, C])`. Of a source that is divided already, `train` is learnt from and `validation`
                is validated on.
            y: N labels, where `data` carries none.
            validation_data: The same kinds, or a pair (images, labels). Measured every epoch, never learnt from.
            sample_weight: N weights.
            checkpoint: A folder where the state of training is kept. Where it holds a state of this same run, training
                goes on from there, exactly as if it had not stopped.
            callbacks: Keras callbacks.
            on_error: "skip" leaves out images that cannot be read, names them and goes on with the rest;
                `history_.quarantined` has the reasons. "raise" refuses them.
            verbose: 0 for nothing, 1 for a live bar, 2 for one line an epoch, "auto" for what the place can show.

        Returns:
            The classifier itself.

        Raises:
            ConfigurationError: Arguments are not accepted; the message lists all of them.
            UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others.
            DataError: Labels are missing, or there is one class only.
            CheckpointError: The folder holds another run, or cannot be written to.
            TrainingError: The loss is not a number from the start, one image alone does not fit into memory, or another
                worker is lost.
            KeyboardInterrupt: You pressed Ctrl-C. The classifier keeps what it has learnt and can be used.
        """
        began, arguments = time.monotonic(), self.get_params(deep=False)
        trainer.check_arguments(arguments, verbose)
        _checks.refuse([_checks.unknown_name("on_error", on_error, ON_ERROR)])
        training, validation, sample_weight = learn_from(as_dataset(data, y), validation_data, sample_weight)
        with trainer.ProgressReport(verbose) as report:
            plan = trainer.plan(arguments, training, validation, callbacks=bool(callbacks), report=report)
        for name, choice in plan.choices.items():
            report.say(f"{name} = {choice.value}: {choice.reason}")
        model = plan.build()
        run: dict[str, Any] = {
            "validation_data": validation,
            "sample_weight": sample_weight,
            "checkpoint": checkpoint,
            "callbacks": callbacks,
            "on_error": on_error,
            "verbose": verbose,
            "spent": time.monotonic() - began,
        }
        if plan.solved:
            learnt = trainer.transfer(model, training, **run, **plan.settings)
            history, choices = learnt.history, plan.choices | learnt.choices
        else:
            learnt, choices = None, plan.choices
            history = trainer.train(model, training, **run, **plan.settings)
        delivered = plan.delivered(model)
        self._learn(
            delivered,
            training.classes,
            training.multi_label,
            history,
            choices,
            plan.blueprint,
            learnt_from=training,
            validated_on=validation,
        )
        if not history.interrupted:
            self._learn_trust(training, validation, learnt)
            choice = self.choices_["temperature"]
            report.say(f"temperature = {choice.value}: {choice.reason}")
        if learnt is not None:
            self.out_of_fold_ = out_of_fold(training, learnt, self.classes_.tolist(), self.temperature_)
        if history.interrupted:
            raise KeyboardInterrupt
        return self

    def lr_find(self, data: Any, y: Any = None, *, steps: int = 100, verbose: Any = "auto") -> LearningRateCurve:
        """Try ever higher learning rates for a few steps each, and suggest one. Nothing is learnt or kept.

        The recipe of this classifier is tested: its architecture, optimizer, batch size, augmentation and loss. Give
        the suggestion as `learning_rate`, with `schedule="cosine"`.

        Args:
            data: What `fit` takes.
            y: N labels, where `data` carries none.
            steps: How many rates, at most.
            verbose: As in `fit`.

        Returns:
            A `LearningRateCurve`: `suggestion`, `plot()`, `to_frame()`.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> curve = ImageClassifier("small_cnn", image_size=8).lr_find(Dataset.builtin("digits"), verbose=0)
            >>> 1e-4 < curve.suggestion < 0.1
            True
        """
        arguments = self.get_params(deep=False)
        trainer.check_arguments(arguments, verbose)
        training, _, _ = learn_from(as_dataset(data, y), None, None)
        plan = trainer.plan(arguments, training, None)
        settings = ("optimizer", "loss", "label_smoothing", "batch_size", "augmentation", "mixing", "seed")
        return trainer.lr_find(
            plan.build(),
            training,
            **{name: plan.settings[name] for name in settings},
            steps=steps,
            verbose=verbose,
        )

    def forecast(
        self,
        data: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        seconds: float = 20.0,
        verbose: Any = "auto",
    ) -> Forecast:
        """Say what `fit` would do, how long it would take and what to expect. Nothing is learnt or kept.

        Args:
            data: What `fit` takes.
            y: N labels, where `data` carries none.
            validation_data: What `fit` would be given.
            seconds: How long it may measure, beside what starting costs.
            verbose: As in `fit`.

        Returns:
            A `Forecast`: print it. With pretrained weights it has a learning curve, the accuracy to expect, and which
            classes should have more images.
        """
        arguments = self.get_params(deep=False)
        trainer.check_arguments(arguments, verbose)
        training, validation, _ = learn_from(as_dataset(data, y), validation_data, None)
        with trainer.ProgressReport(verbose) as report:
            return trainer.forecast(arguments, training, validation_data=validation, seconds=seconds, report=report)

    # --- using ---------------------------------------------------------------------------------------------------

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
        with trainer.ProgressReport(verbose, after=_PATIENCE) as report:
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
        )

    def predict(
        self,
        images: Any,
        *,
        abstain: Any = None,
        coverage: float = 0.9,
        most_error: float = 0.05,
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
        predictor = self._predictor_that(abstain, coverage=coverage, most_error=most_error)
        return predictor.predict(images, bgr=bgr, verbose=verbose)

    def predict_proba(self, images: Any) -> NDArray[np.float32]:
        """Return the probabilities `float32 (N, K)` of many images, in the order of `classes_`."""
        return self.predictor.predict_proba(images)

    def predict_to(
        self,
        path: str | Path,
        images: Any,
        *,
        abstain: Any = None,
        coverage: float = 0.9,
        most_error: float = 0.05,
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
        predictor = self._predictor_that(abstain, coverage=coverage, most_error=most_error)
        return predictor.predict_to(path, images, model=self._fingerprint(), verbose=verbose)

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
            return robust(self.predictor.outputs, chosen, self._blueprint_["input_shape"], severities, report)

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

    # --- keeping -------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, license: str | None = None, golden: Any = None) -> Path:  # noqa: A002 - the word users know
        """Write the classifier into one sealed file of data: all that predicting needs, and no image of yours.

        Args:
            path: The file, such as "flowers.imgcls"; an existing one is replaced.
            license: What others may do with it, such as "Apache-2.0" or any other text; None for what was loaded.
            golden: Images of yours, at most 16, that are saved with what the classifier gives for them, for `verify`
                to run again. Whoever has the file can see them. None for drawn pictures, or for what was loaded.

        Returns:
            The path.

        Raises:
            NotFittedError: There is nothing to save yet.
            BundleError: The folder does not exist, or a weight is not finite.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
            >>> path = classifier.save("digits.imgcls")
            >>> same = ImageClassifier.load(path)
            >>> bool((same.predict_proba(digits[:9]) == classifier.predict_proba(digits[:9])).all())
            True
        """
        self._check_fitted()
        classes, weights = self.classes_.tolist(), weights_of(self.model_)
        if self._kept is None:
            self._kept = Kept.of_data(self._learnt_from, self._validated_on)
        kept = self._kept.saved_as(self.model_, len(classes), license=license, golden=golden)
        name = self._architecture_name()
        description = describe(
            parameters=self.get_params(deep=False),
            classes=classes,
            multi_label=self._multi_label,
            architecture=name,
            blueprint=self._blueprint_,
            temperature=self.temperature_,
            choices=self.choices_,
            history=self.history_,
            evaluation=self.held_out_,
        )
        description |= kept.told() | {
            "card": None if self.held_out_ is None else self.card(),
            "keras": config_of(self.model_) if name is None else None,
        }
        return bundle.save(path, description, weights, self._trust.arrays() | kept.arrays())

    @classmethod
    def load(cls, path: str | Path, *, architecture: Any = None, trust: bool = False) -> Self:
        """Read a classifier that `save` wrote. Nothing in the file is executed, and no other file is opened for it.

        Arguments of the constructor that are no plain data (a Keras optimizer, loss or layer) come back as their
        defaults; they matter only if you call `fit` again.

        Args:
            path: The file.
            architecture: The `keras.Model` or function that the classifier was made with, where that was your own:
                a bundle holds data and never code.
            trust: Whether Keras may build such a model from the config in the file instead. A config can name code to
                import and run: say so only of a file whose maker you trust. It changes nothing where the architecture
                is one of `imgcls.architectures.names()`.

        Raises:
            BundleError: It is not a bundle, of another version, does not agree with itself, or needs `architecture` or
                `trust`.
            TamperedBundleError: It is truncated, damaged or altered.
        """
        contents = bundle.load(path)
        description = contents.description
        try:
            model = built(contents, path=str(path), architecture=architecture, trust=trust)
            own = model.get_layer("backbone") if architecture is None else architecture
            ours = architecture is None and description["architecture"] is not None
            classifier = cls(**description["parameters"] | ({} if ours else {"architecture": own}))
            classifier._learn(
                model,
                tuple(description["classes"]),
                description["multi_label"],
                *history_and_choices(description),
                description["blueprint"],
            )
            classifier._trust = Trust.of(of_trust(contents.named), description["classes"])
            classifier._kept = Kept.of(contents)
        except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            message = (
                f"{str(path)!r} does not describe a classifier that this imgcls can build: {str(error).rstrip('.')}. "
                "Get the file from where it was saved, or use the imgcls that wrote it."
            )
            raise BundleError(message) from error
        return classifier

    def verify(self) -> bundle.Verification:
        """Run the golden images of the bundle again, and compare with what they gave when it was saved.

        Returns:
            A `Verification`: true where no probability differs by more than 0.001; print it for the figures.

        Raises:
            NotFittedError: There is no model yet.
            DataError: The classifier was not loaded from a bundle.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> digits = Dataset.builtin("digits")
            >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
            >>> loaded = ImageClassifier.load(classifier.save("digits.imgcls"))
            >>> bool(loaded.verify())
            True
        """
        self._check_fitted()
        golden = None if self._kept is None else self._kept.golden
        if golden is None:
            message = (
                "there are no golden images yet: they are made when a classifier is saved. Save and load it first."
            )
            raise DataError(message)
        return golden.verified(self.predictor.run(golden.images), multi_label=self._multi_label)

    def export(
        self,
        path: str | Path,
        format: str | None = None,  # noqa: A002 - the word that everybody uses
        *,
        data: Any = None,
        y: Any = None,
        quantize: str | None = None,
        any_size: bool = False,
        force: bool = False,
    ) -> Certificate:
        """Write the classifier as a file for other programs, prove that it answers the same, and certify it.

        Scaling is inside, class names travel with it, probabilities are calibrated. What is written is opened by its own
        runtime and run beside the original on drawn pictures and on your images; unless it agrees, it is refused, and
        nothing is left behind. The certificate lies beside it.

        Args:
            path: Where to. The ending says the format: `.onnx`, `.tflite`, `.xml` (OpenVINO), `.keras`; a name without
                one is a folder, a SavedModel.
            format: "saved_model", "onnx", "litert", "openvino" or "keras", where the ending shall not decide.
            data: Labelled images to compare on, as for `evaluate`, at most 1,000 of them. None for the validation images
                of `fit`, where there were any.
            y: N labels, where `data` carries none.
            quantize: Of LiteRT: None for float32; "float16" halves the file; "int8" makes it a quarter, by images of all
                classes: those that were learnt from, or else `data`.
            any_size: Whether the file takes images of any size, and resizes them itself.
            force: Keep a quantised file that is less accurate than is accepted, or slower. The certificate says so.

        Returns:
            The `Certificate`: print it.

        Raises:
            NotFittedError: There is nothing to export yet.
            ConfigurationError: Arguments are not accepted.
            ExportError: It cannot be exported, does not agree, or a library is not installed.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> train, test = Dataset.builtin("digits").split((0.8, 0.2))
            >>> classifier = ImageClassifier("small_cnn", image_size=16, epochs=2).fit(train, verbose=0)
            >>> certificate = classifier.export("digits.tflite", data=test)
            >>> certificate.verdict, certificate.agreement, certificate.images
            ('passed', 1.0, 397)
        """
        self._check_fitted()
        dataset = self._validated_on if data is None else self._measured(data, y)
        return exported(
            self.model_,
            path,
            format,
            predictor=self.predictor,
            architecture=self._architecture_name(),
            license=None if self._kept is None else self._kept.license,
            measured=dataset,
            learnt_from=self._learnt_from,
            seed=self.seed,
            quantize=quantize,
            any_size=any_size,
            force=force,
        )

    # --- inside --------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        tags.classifier_tags.multi_label = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        made = ("_made", "_searched", "_learnt_from", "_validated_on")
        unmade = dict.fromkeys(made) if hasattr(self, "model_") else {}
        return {**super().__getstate__(), **unmade}

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            message = "this ImageClassifier is not fitted yet. Call fit(data) first, or ImageClassifier.load(path)."
            raise NotFittedError(message)

    def _architecture_name(self) -> str | None:
        """Return the name that the model can be built from; None for an architecture of the user's own."""
        chosen = self.choices_["architecture"].value if "architecture" in self.choices_ else self.architecture
        return chosen if isinstance(chosen, str) else None

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
        self.__dict__.pop("out_of_fold_", None)  # of an earlier fit
        self._learnt_from, self._validated_on = learnt_from, validated_on

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
        if self._made is None:
            self._made = Ways(self.model_, engine=self.engine, num_classes=len(self.classes_))
        return self._made

    def _predictor_that(self, abstain: Any, *, coverage: float = 0.9, most_error: float = 0.05) -> Predictor:
        """Return what answers, or abstains as asked."""
        self._check_fitted()
        asked, ways = self._trust.check(abstain, coverage=coverage, most_error=most_error), self._ways
        found: dict[str, Any] = {
            "input_shape": self._blueprint_["input_shape"],
            "classes": self.classes_.tolist(),
            "multi_label": self._multi_label,
        }
        if not asked:
            return Predictor(ways.run, run_for=ways.run_for, **found)
        decide = partial(self._trust.decide, asked, coverage=coverage, most_error=most_error)
        if "unknown" not in asked:
            return Predictor(ways.run, run_for=ways.run_for, decide=lambda given: decide(given, None), **found)
        look = ways.look

        def decide_by_features(given: NDArray[np.float32]) -> dict[str, Any]:
            return decide(look.probabilities(given), self._trust.p_values(self.model_, look.features(given)))

        return Predictor(look.run, decide=decide_by_features, **found)

    def _fingerprint(self) -> str:
        """Return what names this model in a table of answers: the beginning of a hash of its weights."""
        digest = hashlib.sha256()
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
            "choices": {name: (choice.value, choice.reason) for name, choice in self.choices_.items()},
            "history": {name: list(values) for name, values in self.history_.items()},
            "environment": environment(),
        }

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

    def _learn_trust(self, training: Dataset, validation: Dataset | None, learnt: trainer.Transfer | None) -> None:
        in_haste = self.budget is not None
        found = held_out(training, validation, learnt, self._seen, in_haste=in_haste, seed=self.seed)
        if found is None:
            self.choices_["temperature"] = Choice(1.0, "no images were held out to fit it by; give validation_data")
            return
        classes = self.classes_.tolist()
        self._trust, self.choices_["temperature"] = Trust.learn(self.model_, found, classes=classes, seed=self.seed)


def _alone(image: Any) -> Dataset:
    """Return a dataset of one image, named by its path where it has one."""
    return Dataset([image], ids=[str(image) if isinstance(image, str | Path) else "image"])
