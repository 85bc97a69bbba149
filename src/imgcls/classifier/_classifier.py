"""`ImageClassifier`: validation and wiring. The work is done by the rooms below."""

import time
from pathlib import Path
from typing import Any, Self, final

from sklearn import base

from imgcls import _checks, architectures, trainer
from imgcls.classifier._in_files import InFiles
from imgcls.classifier._parts import learn_from
from imgcls.classifier._trust import Trust, held_out, out_of_fold
from imgcls.datasets import ON_ERROR, Dataset, as_dataset
from imgcls.trainer import Choice, Forecast, LearningRateCurve

_GIVEN_A_RATE = {"learning_rate": 1.0, "schedule": "cosine"}  # any number is planned for alike


@final
class ImageClassifier(InFiles, base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A scikit-learn estimator that owns a `keras.Model`.

    The constructor stores its arguments; `fit` validates them. "auto" is a value: what was chosen and why is printed
    once and kept in `choices_`.

    Args:
        architecture: A name from `imgcls.architectures.names()`; a `keras.Model`; a function
            `(input_shape, num_classes)` that returns one; or "auto".
        image_size: The side in pixels, (height, width), or "auto".
        color: "rgb", "grayscale" (converted inside the model), "auto" for what the images are, or a number of
            channels: 4 keeps a fourth one as it is, such as depth, that would be taken for transparency.
        normalization: "standard", "unit", "symmetric", None for pixels as they are, or "auto": "standard", or None for
            a `keras.Model` that takes whole numbers. Backbones of `keras.applications` bring their own.
        augmentation: A name from `imgcls.transforms.names()`, a `keras.Layer`, None, or "auto".
        weights: "imagenet", the path of an `.h5` file, None for random numbers, or "auto": "imagenet" where it exists.
        fine_tune: Whether a pretrained backbone is trained too. First its head is solved on features that are computed
            once, and never again. False leaves it at that; True trains all afterwards; "auto" does so in what is left
            of a budget, and keeps it where it is better on the validation images by more than chance explains.
        pooling: From feature map to features: "average", "max" or "flatten". Not for a model that ends in features.
        dropout: The share of features dropped in training, from 0 to below 1.
        mixing: "mixup", "cutmix", "both", a `keras.Layer`, or None: images are mixed with each other, and their labels
            too, during the first 85 % of training.
        progressive_resizing: Train on images of about half the side at first, then of three quarters, and in full size
            during the last 30 %: six to seven tenths of the pixels. For photos, and networks that are trained as a
            whole.
        test_time_augmentation: "flip" for the mean of the features of an image and its mirror image, at twice the cost
            of a prediction and of features that are computed once, and none of training steps; None for those of the
            image alone.
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
        budget: Seconds, or words such as "10min": training ends in time, with a schedule that has reached its end. All
            images are read, and all features of a fixed backbone computed, however long that takes. None for no limit.
        batch_size: Images in a training step, at most, or "auto".
        micro_batches: In how many parts a batch goes through the model, their gradients accumulated, where memory is
            short. Where it runs out, this is doubled by itself.
        engine: What computes features of a fixed backbone, and predictions: "tensorflow", "openvino", "onnxruntime", or
            "auto" for the quickest that is installed, agrees with TensorFlow and pays for its conversion.
        precision: In what the backbone computes while it trains: "float32", "mixed_bfloat16", or "auto" for the latter
            where the device is quicker with it: GPUs, and for some networks processors that have bfloat16. What is kept
            and saved computes in float32, and so do fixed features.
        devices: What shares each batch: "auto" for the workers that the variable TF_CONFIG names, or else all GPUs, or
            else the CPU; "cpu" or "gpu" of this machine alone; or names, such as ["GPU:0", "GPU:1"].
        patience: Epochs without a lower `val_loss` before training stops and the best weights are restored; None
            never stops early; "auto".
        class_weight: None, "balanced", or {class: weight}.
        seed: Reaches initial weights, order, augmentation and dropout.
        deterministic: Whether a GPU must give the same bits every time. It is slower then, for the rest of the process.
            A CPU does so anyway.
        jit_compile: Whether XLA compiles training steps: for GPUs. On CPUs it makes convolutions several times slower.

    Attributes:
        classes_: K classes, in the order of probabilities.
        held_out_: The `Evaluation` on images that were not learnt from, by which temperature, sets and thresholds were
            set: the validation images, or the training images from heads that have not seen them. None without them.
        thresholds_: {class: probability} from which on it is said, as `set_thresholds` took them; None for the
            likeliest.
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

    def __init__(
        self,
        architecture: Any = "auto",
        *,
        image_size: Any = "auto",
        color: str = "auto",
        normalization: str | None = "auto",
        augmentation: Any = "auto",
        mixing: Any = None,
        progressive_resizing: bool = False,
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
        jit_compile: bool = False,
    ) -> None:
        self.architecture = architecture
        self.image_size = image_size
        self.color = color
        self.normalization = normalization
        self.augmentation = augmentation
        self.mixing = mixing
        self.progressive_resizing = progressive_resizing
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
        self.jit_compile = jit_compile

    # --- learning ------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        sample_weight: Any = None,
        checkpoint: str | Path | None = None,
        metrics: Any = (),
        callbacks: Any = (),
        on_error: str = "skip",
        verbose: Any = "auto",
    ) -> Self:
        """Learn from labelled images.

        Where something fails once training is over, such as a look at the images held out, the classifier keeps what it
        has learnt, and can be used and saved.

        Args:
            data: A Dataset, a folder, a frame, a `.csv` file; or, with `y`, a list of paths or an array
                `uint8 (N, H, W[, C])`. Of a source that is divided already, `train` is learnt from and `validation`
                is validated on. A `DataWarning` names classes without an image to learn from.
            y: N labels, where `data` carries none.
            validation_data: The same kinds, or a pair (images, labels); of a divided source, its `validation`. Measured
                every epoch, never learnt from. A `DataWarning` names images for which the model gives NaN or infinity:
                they are left out.
            sample_weight: N weights; of a divided source, of all its parts.
            checkpoint: A folder where the state of training is kept. Where it holds a state of this same run, training
                goes on from there, exactly as if it had not stopped. A head that is only solved takes no steps and has
                no state, and a line says so: features that are in the cache are not computed again.
            metrics: Keras metrics or their names, such as "AUC": measured on the validation images after each epoch,
                in `history_` as `val_auc`. A list, or one alone. `evaluate` measures much more, with intervals, once
                training is over.
            callbacks: Keras callbacks. A list, or one alone.
            on_error: "skip" leaves out images that cannot be read, names them and goes on with the rest;
                `history_.quarantined` has the reasons. "raise" refuses them.
            verbose: 0 for nothing, 1 for a live bar, 2 for one line an epoch, "auto" for what the place can show.

        Returns:
            The classifier itself.

        Raises:
            ConfigurationError: Arguments are not accepted; the message lists all of them.
            UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others.
            DataError: Labels are missing, there is one class only, or the images to validate on have labels of another
                kind.
            BundleError: A class has a name that no bundle can hold.
            CheckpointError: The folder holds another run, or cannot be read or written.
            TrainingError: The loss is not a number from the start, one image alone does not fit into memory, or another
                worker is lost.
            KeyboardInterrupt: You pressed Ctrl-C. The classifier keeps what it has learnt and can be used.
        """
        began, arguments = time.monotonic(), self._plain_arguments()
        trainer.check_arguments(arguments, verbose)
        _checks.refuse([_checks.unknown_name("on_error", on_error, ON_ERROR)])
        training, validation, sample_weight = learn_from(as_dataset(data, y), validation_data, sample_weight)
        with trainer.ProgressReport(verbose) as report:
            plan = trainer.plan(
                arguments, training, validation, callbacks=callbacks, checkpoint=checkpoint, report=report
            )
        for name, choice in plan.choices.items():
            report.say(f"{name} = {choice.value}: {choice.reason}")
        model = plan.build()
        delivered = plan.delivered(model) if plan.solved else model  # a head is solved for the model that is used
        run: dict[str, Any] = {
            "validation_data": validation,
            "sample_weight": sample_weight,
            "checkpoint": checkpoint,
            "metrics": metrics,
            "callbacks": callbacks,
            "on_error": on_error,
            "verbose": verbose,
            "spent": time.monotonic() - began,
        }
        if plan.solved:
            learnt = trainer.transfer(delivered, training, trained=model, **run, **plan.settings)
            history, choices = learnt.history, plan.choices | learnt.choices
        else:
            learnt, choices = None, plan.choices
            history = trainer.train(model, training, **run, **plan.settings)
            delivered = plan.delivered(model)
        embedder = None if learnt is None or learnt.tuned else learnt.embedded.by
        self._learn(
            delivered,
            training.classes,
            training.multi_label,
            history,
            choices,
            plan.blueprint,
            learnt_from=training,
            validated_on=validation,
            embedder=embedder,
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

        The recipe of this classifier is tested: its architecture, optimizer, weight decay, clipping, batch size,
        augmentation, loss and class weights; on one device, the first GPU or else the CPU, whatever `devices` says.
        Give the suggestion as `learning_rate`, with `schedule="cosine"`; of a Keras optimizer a copy is tested, and you
        make it anew with the suggestion. With `fine_tune=True` the test begins where that training does: the head of
        the pretrained backbone is solved, and all learns, early layers less. The loss is low there already. Where it
        falls no further, there is no suggestion, and "auto" is the rate to keep. A head that `fit` would only solve has
        no rate to find: the curve is then of training it step by step, as `fit` does where `learning_rate` is given.

        Args:
            data: What `fit` takes.
            y: N labels, where `data` carries none.
            steps: How many rates, at most.
            verbose: As in `fit`.

        Returns:
            A `LearningRateCurve`: `suggestion`, which may be None, `plot()`, `to_frame()`.

        Examples:
            >>> from imgcls import Dataset, ImageClassifier
            >>> curve = ImageClassifier("small_cnn", image_size=8).lr_find(Dataset.builtin("digits"), verbose=0)
            >>> 1e-4 < curve.suggestion < 0.1
            True
        """
        arguments = self._plain_arguments()
        trainer.check_arguments(arguments, verbose)
        training, _, _ = learn_from(as_dataset(data, y), None, None)
        plan = trainer.plan(arguments | _GIVEN_A_RATE, training, None)
        given = plan.settings
        model = plan.build()
        if plan.solved:  # and all is trained afterwards, since a rate is given
            trainer.optimizer(given["optimizer"])  # what is refused is refused before all images are embedded
            solving = {name: given[name] for name in ("loss", "class_weight", "engine", "seed")}
            used = plan.delivered(model)
            trainer.transfer(used, training, trained=model, fine_tune=False, **solving, verbose=verbose)
            architectures.unfreeze(model)
        tested = (
            *("optimizer", "weight_decay", "clip_norm", "loss", "label_smoothing", "batch_size"),
            *("micro_batches", "augmentation", "mixing", "class_weight", "seed"),
        )
        return trainer.lr_find(
            model,
            training,
            **{name: given[name] for name in tested},
            first_layer_rate=given.get("first_layer_rate", 1.0),
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
        arguments = self._plain_arguments()
        trainer.check_arguments(arguments, verbose)
        _checks.refuse([_checks.not_positive("seconds", seconds)])
        training, validation, _ = learn_from(as_dataset(data, y), validation_data, None)
        with trainer.ProgressReport(verbose) as report:
            return trainer.forecast(arguments, training, validation_data=validation, seconds=seconds, report=report)

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

    def _plain_arguments(self) -> dict[str, Any]:
        """Return the arguments with Python's own numbers; those of the classifier stay as they were given."""
        return {name: _checks.plain(value) for name, value in self.get_params(deep=False).items()}

    def _learn_trust(self, training: Dataset, validation: Dataset | None, learnt: trainer.Transfer | None) -> None:
        in_haste = self.budget is not None
        found = held_out(training, validation, learnt, self._seen, in_haste=in_haste, seed=self.seed)
        if found is None:
            self.choices_["temperature"] = Choice(1.0, "no images were held out to fit it by; give validation_data")
            return
        classes = self.classes_.tolist()
        self._trust, self.choices_["temperature"] = Trust.learn(self.model_, found, classes=classes, seed=self.seed)
