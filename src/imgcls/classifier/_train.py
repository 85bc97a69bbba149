"""`train`: divide, fit and evaluate in one call."""

from pathlib import Path
from typing import Any

from imgcls import _checks, trainer
from imgcls.classifier._classifier import ImageClassifier
from imgcls.classifier._parts import divide
from imgcls.datasets import ON_ERROR, as_dataset, check_readable, leave_out_unreadable


def train(
    data: Any,
    classifier: ImageClassifier | None = None,
    *,
    checkpoint: str | Path | None = None,
    on_error: str = "skip",
    verbose: Any = "auto",
) -> ImageClassifier:
    """Divide, fit and evaluate in one call.

    Args:
        data: A Dataset, a folder, a frame or a `.csv` file. A source that is divided already keeps its parts. Where
            "train" has one other part beside it, "test" or "validation", that one is the test, and 15 % of "train" are
            held out to validate on; a line says so. Any other source is split 70 / 15 / 15, stratified; copies of one
            image stay together.
        classifier: What to fit; None for `ImageClassifier()`.
        checkpoint: As in `ImageClassifier.fit`.
        on_error: "skip" names images that cannot be read and leaves them out of all parts, also of the test;
            `history_.quarantined` has the reasons. "raise" refuses them. Either happens before training.
        verbose: As in `ImageClassifier.fit`.

    Returns:
        The fitted classifier, with `evaluation_`: its `Evaluation` on images it has never seen.

    Examples:
        >>> import imgcls
        >>> digits = imgcls.Dataset.builtin("digits")
        >>> classifier = imgcls.train(digits, imgcls.ImageClassifier(image_size=16, epochs=3), verbose=0)
        >>> classifier.evaluation_.accuracy > 0.8
        True
    """
    classifier = ImageClassifier() if classifier is None else classifier
    trainer.check_arguments(classifier.get_params(deep=False), verbose)  # before every image is read
    _checks.refuse([_checks.unknown_name("on_error", on_error, ON_ERROR)])
    dataset, quarantined = as_dataset(data), dict[str, str]()
    if on_error == "raise":
        check_readable(dataset, verbose=verbose)  # now, and not when hours of training are lost for one bad test image
    else:
        dataset, quarantined = leave_out_unreadable(dataset, say=trainer.ProgressReport(verbose).say, verbose=verbose)
    training, validation, test = divide(dataset, seed=classifier.seed, verbose=verbose)
    classifier.fit(training, validation_data=validation, checkpoint=checkpoint, on_error=on_error, verbose=verbose)
    classifier.history_.quarantined |= quarantined
    classifier.evaluation_ = classifier.evaluate(test, verbose=verbose)
    return classifier
