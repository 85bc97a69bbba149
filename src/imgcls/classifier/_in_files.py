"""A classifier in files: the bundle, and exports for other programs."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from imgcls import _backend, architectures, bundle
from imgcls._thresholds import Thresholds
from imgcls._warnings import warn
from imgcls.classifier._bundle import Kept, built, config_of, of_trust, weights_of
from imgcls.classifier._description import arguments, describe, history_and_choices
from imgcls.classifier._exported import exported
from imgcls.classifier._learnt import Learnt
from imgcls.classifier._trust import Trust
from imgcls.errors import BundleError, ConfigurationError, DataError, EngineWarning
from imgcls.export import Certificate

_WARMED = 2**20  # numbers in an image: a model of larger ones is compiled when it is first asked


class InFiles(Learnt):
    """A classifier that can be saved, loaded and exported."""

    def save(self, path: str | Path, *, license: str | None = None, golden: Any = None) -> Path:  # noqa: A002 - the word users know
        """Write the classifier into one sealed file of data: all that predicting needs, and no image of yours.

        The arguments in it are those it has learnt with: what `set_params` has changed since is for the next `fit`.

        Args:
            path: The file, such as "flowers.imgcls"; an existing one is replaced.
            license: What others may do with it, such as "Apache-2.0" or any other text, of up to 100,000 characters;
                None for what was said before.
            golden: Images of yours, at most 16, that are saved with what the classifier gives for them, for `verify`
                to run again. Whoever has the file can see them. None for drawn pictures, or for what was loaded.

        Returns:
            The path.

        Raises:
            NotFittedError: There is nothing to save yet.
            BundleError: The folder does not exist, a weight is not finite, or the license is no such text.

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
        licensed = self._kept if license is None else replace(self._kept, license=license)
        kept = licensed.saved_as(self.model_, len(classes), golden=golden)
        name = self._architecture_name()
        told = None if self.held_out_ is None else self._told(self.held_out_)
        description = describe(
            parameters={**self._learnt_with, "engine": self.engine},  # answers are by the engine of now
            classes=classes,
            multi_label=self._multi_label,
            architecture=name,
            blueprint=self._blueprint_,
            temperature=self.temperature_,
            thresholds=self._thresholds.numbers,
            choices=self.choices_,
            history=self.history_,
            evaluation=told,
        )
        description |= kept.told() | {
            "card": None if told is None else told.to_card(),
            "keras": config_of(self.model_) if name is None else None,
        }
        path = bundle.save(path, description, weights, self._trust.arrays() | kept.arrays())
        self._kept = licensed  # now that it is accepted: exports and later bundles say the license too
        return path

    @classmethod
    def load(cls, path: str | Path, *, architecture: Any = None, trust: bool = False) -> Self:
        """Read a classifier that `save` wrote, ready to answer. Nothing in it is executed, and no other file opened.

        Arguments of the constructor that are no plain data (a Keras optimizer, loss or layer) come back as their
        defaults; they matter only if you call `fit` again. Where its `engine` is not installed here, TensorFlow
        answers, and a warning says so.

        Args:
            path: The file.
            architecture: The `keras.Model` or function that the classifier was made with, where that was your own:
                a bundle holds data and never code.
            trust: Whether Keras may build such a model from the config in the file instead. A config can name code to
                import and run: say so only of a file whose maker you trust. `fit` then begins with new random weights,
                but for layers that are fixed; give `architecture` to begin with others. It changes nothing where the
                architecture is one of `imgcls.architectures.names()`.

        Raises:
            ConfigurationError: Keras is set to channels first.
            BundleError: It is not a bundle, of another version, does not agree with itself, needs `architecture` or
                `trust`, or the `architecture` that is given does not fit it.
            TamperedBundleError: It is truncated, damaged or altered.
        """
        _backend.refuse_channels_first()
        contents = bundle.load(path)
        description = contents.description
        model: Any = None
        try:
            model = built(contents, path=str(path), architecture=architecture, trust=trust)
            given = arguments(description)
            if architecture is not None:
                given["architecture"] = architecture
            elif description["architecture"] is None:  # `fit` begins with weights that have seen no image
                given["architecture"] = architectures.untrained(model.get_layer("backbone"), seed=given.get("seed", 0))
            classifier = cls(**given)
            classifier._learn(
                model,
                tuple(description["classes"]),
                description["multi_label"],
                *history_and_choices(description),
                description["blueprint"],
            )
            classifier._trust = Trust.of(of_trust(contents.named), description["classes"])
            classifier._kept = Kept.of(contents)
            classifier._thresholds = Thresholds.of(
                description["thresholds"], description["classes"], multi_label=description["multi_label"]
            )
            warmed = math.prod(model.input_shape[1:]) <= _WARMED
            if warmed or classifier.engine not in {"auto", "tensorflow"}:
                classifier._use_what_is_here(path)
            if warmed:
                classifier._ways.run(np.zeros((1, *model.input_shape[1:]), np.uint8))
        except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            misfit = architecture is not None and model is None
            raise BundleError(_cannot(path, str(error).rstrip("."), misfit=misfit)) from error
        return classifier

    def _use_what_is_here(self, path: str | Path) -> None:
        """Let TensorFlow answer, and warn, where the engine that a bundle was saved with is not installed."""
        try:
            _ = self._ways.run
        except ConfigurationError as error:
            self.engine = "tensorflow"
            needed, _, _ = str(error).partition(" Or give ")  # there is nothing more to give
            warn(
                f"TensorFlow answers in place of the engine that {str(path)!r} was saved with: {needed}", EngineWarning
            )

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
        with _backend.in_full_float32():  # as when it was saved
            found = self.predictor.run(golden.images)
        return golden.verified(found, multi_label=self._multi_label, thresholds=self._thresholds.numbers)

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

        Scaling is inside, class names travel with it, probabilities are calibrated. What is written is opened by its
        own runtime and run beside the original on drawn pictures and on your images; unless it agrees, it is refused,
        and nothing is left behind. The certificate lies beside it.

        Args:
            path: Where to. The ending says the format: `.onnx`, `.tflite`, `.xml` (OpenVINO), `.keras`; a name without
                one is a folder, a SavedModel.
            format: "saved_model", "onnx", "litert", "openvino" or "keras", where the ending shall not decide.
            data: Labelled images to compare on, as for `evaluate`: at most 1,000, and only such as can be read and for
                which the classifier gives numbers; a `DataWarning` names those without. None for the validation images
                of `fit`, where there were any.
            y: N labels, where `data` carries none.
            quantize: Of LiteRT: None for float32; "float16" halves the file; "int8" makes it a quarter, by images of
                all classes: those that were learnt from, or else `data`.
            any_size: Whether the file takes images of any size, and resizes them itself.
            force: Keep a quantised file that is less accurate than is accepted, or slower, or one whose resize is
                further off. The certificate says so.

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
        if data is None and y is not None:
            message = "y is given, and no data that the labels are of. Give both, or leave y out."
            raise ConfigurationError(message)
        dataset = self._validated_on if data is None else self._measured(data, y)
        return exported(
            self.model_,
            path,
            format,
            predictor=self.predictor,
            architecture=self._architecture_name(),
            license=None if self._kept is None else self._kept.license,
            thresholds=self._thresholds.numbers,
            measured=dataset,
            learnt_from=self._learnt_from,
            seed=self.seed,
            quantize=quantize,
            any_size=any_size,
            force=force,
        )


def _cannot(path: str | Path, why: str, *, misfit: bool) -> str:
    """Word why no classifier could be built: by the `architecture` that was given for it, or by the file itself."""
    if misfit:
        return (
            f"the architecture that is given does not fit {str(path)!r}: {why}. Give the one that the classifier was "
            "made with, as it was then."
        )
    return (
        f"{str(path)!r} does not describe a classifier that this imgcls can build: {why}. "
        "Get the file from where it was saved, or use the imgcls that wrote it."
    )
