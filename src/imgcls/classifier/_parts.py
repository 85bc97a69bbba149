"""Which images are learnt from, validated on and tested on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, bundle
from imgcls._progress import ProgressReport
from imgcls._warnings import warn
from imgcls.datasets import Dataset, as_dataset
from imgcls.errors import ConfigurationError, DataError, DataWarning
from imgcls.trainer._trainable import checked_labels


def divide(dataset: Dataset, *, seed: int = 0, verbose: Any = 0) -> tuple[Dataset, Dataset, Dataset]:
    """Return images to learn from, to validate on and to test on; parts that the source has already are kept.

    Where there is one part beside "train", that is the test, whatever it is called. A line says so.

    Raises:
        ConfigurationError: The source is divided, and has no part "train".
    """
    parts = set() if dataset.parts is None else set(dataset.parts.tolist())
    if not dataset.divided:
        training, validation, test = dataset.split((0.7, 0.15, 0.15), seed=seed, verbose=verbose)
    elif len(parts) == 3:
        training, validation, test = dataset.split()
    else:
        learnt_from = dataset.subset("train")  # refused where there are only images to validate and to test on
        (tested,) = parts - {"train"}
        missing = "validation" if tested == "test" else "test"
        words = f"there is no part {missing!r}: tested on {tested!r}, and validated on 15 % of 'train'"
        ProgressReport(verbose).say(words)
        test = dataset.subset(tested)
        training, validation = learnt_from.split((0.85, 0.15), seed=seed, verbose=verbose)
    return training, validation, test


def learn_from(
    dataset: Dataset, validation_data: Any, sample_weight: Any
) -> tuple[Dataset, Dataset | None, NDArray[Any] | None]:
    """Return what to learn from, what to validate on, and the weights of the former.

    Raises:
        BundleError: A class has a name that no bundle can hold.
        ConfigurationError: The source is divided, and has no part "train", or the images to validate on are, and have
            no part "validation"; or there are not as many weights as images.
        DataError: There is one class alone, or the images to validate on have other labels.
    """
    validation = None
    if validation_data is not None:
        pair = isinstance(validation_data, tuple) and len(validation_data) == 2
        several: dict[str, Any] = {"classes": dataset.classes, "multi_label": True} if dataset.multi_label else {}
        given = validation_data if pair else (validation_data,)
        validation = as_dataset(*given, **several)  # of one label an image, as the rows are
        if validation.divided:
            validation = _validation_part(validation)
    if dataset.parts is not None and dataset.divided:
        if validation is None and "validation" in dataset.parts:
            validation = dataset.subset("validation")
        if sample_weight is not None:
            sample_weight = _of_training(np.asarray(sample_weight), dataset.parts)
        dataset = dataset.subset("train")
    if len(dataset.classes) < 2 and not dataset.multi_label:
        message = (
            f"all {len(dataset):,} images are of one class, {dataset.classes[0]!r}. Give at least two classes."
            f"{_checks.folders_within(dataset.ids)}"
        )
        raise DataError(message)
    bundle.check_classes(dataset.classes)
    validation = checked_labels(dataset, validation)
    _warn_of_untrained(dataset)
    return dataset, validation, sample_weight


def _validation_part(dataset: Dataset) -> Dataset:
    """Return the images that a divided source puts aside to validate on, and none that it learns from or tests on."""
    if dataset.parts is None or "validation" not in dataset.parts:
        message = (
            "validation_data is divided into 'train' and 'test', and has no part 'validation'. Accepted: a source with "
            "that part, or one that is not divided. Leave validation_data out; or hold images out, such as by "
            'train, validation = data.subset("train").split((0.85, 0.15)).'
        )
        raise ConfigurationError(message)
    return dataset.subset("validation")


def _warn_of_untrained(dataset: Dataset) -> None:
    """Say which classes have no image to learn from: with a misspelt folder of tests there is one class more."""
    counts = dataset.counts()
    missing = [name for name, count in counts.items() if not count]
    if missing:
        hint = _checks.did_you_mean(str(missing[0]), [str(name) for name, count in counts.items() if count])
        message = (
            f"there is no image to learn {_checks.some(missing)} from.{hint} The model gets an output for each of the "
            f"{len(counts):,} classes all the same, and what it says of these is worth nothing. Mend misspelt names, "
            "add images, or leave these classes out."
        )
        warn(message, DataWarning)


def _of_training(weights: NDArray[Any], parts: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of the training images, of those of all images."""
    if weights.shape != parts.shape:
        message = (
            f"sample_weight has shape {weights.shape}. Accepted: {len(parts):,} finite numbers of at least 0, one an "
            "image of all parts, in the order of the source; training takes those of 'train'."
        )
        raise ConfigurationError(message)
    kept: NDArray[Any] = weights[parts == "train"]
    return kept
