"""`train`: divide, fit and evaluate in one call."""

from pathlib import Path
from typing import Any

from imgcls import _checks, trainer
from imgcls._warnings import warn
from imgcls.classifier._classifier import ImageClassifier
from imgcls.classifier._parts import divide
from imgcls.datasets import ON_ERROR, as_dataset, check_readable, leave_out_unreadable
from imgcls.errors import TrainingWarning

_KEPT = "The classifier keeps what it has learnt. If it has no name: `import sys`, then `sys.last_value.classifier`."


def train(
    data: Any,
    classifier: ImageClassifier | None = None,
    *,
    checkpoint: str | Path | None = None,
    on_error: str = "skip",
    verbose: Any = "auto",
) -> ImageClassifier:
    """Divide, fit and evaluate in one call.

    What was learnt is not lost. Where something fails or is interrupted after that, a classifier that you gave has it,
    and so has the error, as its attribute `classifier`, for one that you gave no name. One made here comes back without
    `evaluation_`, and a `TrainingWarning` says why.

    Args:
        data: A Dataset, a folder, a frame or a `.csv` file. A source that is divided already keeps its parts. Where
            "train" has one other part beside it, "test" or "validation", that one is the test, and 15 % of "train" are
            held out to validate on; a line says so. Any other source is divided at random, 70 / 15 / 15: at least one
            image of each class in each part, as far as they go, and copies of one image together.
        classifier: What to fit; None for `ImageClassifier()`.
        checkpoint: As in `ImageClassifier.fit`.
        on_error: "skip" names images that cannot be read and leaves them out of all parts, also of the test;
            `history_.quarantined` has the reasons. "raise" refuses them. Either happens before training.
        verbose: As in `ImageClassifier.fit`.

    Returns:
        The fitted classifier, with `evaluation_`: its `Evaluation` on images it has never seen.

    Raises:
        KeyboardInterrupt: You pressed Ctrl-C; of a classifier made here, before anything was learnt.
        ImgclsError: As `ImageClassifier.fit` and `evaluate` do; the same.

    Examples:
        >>> import imgcls
        >>> digits = imgcls.Dataset.builtin("digits")
        >>> classifier = imgcls.train(digits, imgcls.ImageClassifier(image_size=16, epochs=3), verbose=0)
        >>> classifier.evaluation_.accuracy > 0.8
        True
    """
    made = ImageClassifier() if classifier is None else classifier
    before = vars(made).get("history_")
    try:
        _train(made, data, checkpoint=checkpoint, on_error=on_error, verbose=verbose)
    except (Exception, KeyboardInterrupt) as error:
        if vars(made).get("history_") is before:  # nothing was learnt
            raise
        if made is classifier:
            vars(error)["classifier"] = made
            error.add_note(_KEPT)
            raise
        warn(_not_evaluated(made, error), TrainingWarning)
    return made


def _train(
    classifier: ImageClassifier, data: Any, *, checkpoint: str | Path | None, on_error: str, verbose: Any
) -> None:
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


def _not_evaluated(classifier: ImageClassifier, error: BaseException) -> str:
    """Say why a classifier that has learnt has no `evaluation_`."""
    raised = f"{type(error).__name__} was raised{f': {error}' if str(error) else ''}".rstrip(".")
    why = "Ctrl-C was pressed" if isinstance(error, KeyboardInterrupt) else raised
    when = "in training" if classifier.history_.interrupted else "once training was over"
    return (
        f"{when}, {why}. The classifier keeps what it has learnt, and has no `evaluation_`. Use and save it, "
        "and measure it by evaluate(...) on images that it has not learnt from."
    )
