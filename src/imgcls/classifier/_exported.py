"""What a classifier gives an export beside its model: facts, golden images, images to compare on."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import bundle, export
from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError
from imgcls.export._formats import by_name
from imgcls.inference import Predictor

_MOST = 1_000  # images that both are compared on
_REPRESENTATIVE = 200  # images by which int8 sets its ranges
_MOST_NUMBERS = 2**28  # of all these images, in memory
_MOST_GOLDEN = 2**23  # of the golden images, which travel with the certificate


def exported(
    model: Any,
    path: str | Path,
    kind: str | None,
    *,
    predictor: Predictor,
    architecture: str | None,
    license: str | None,  # noqa: A002 - the word users know
    thresholds: Sequence[float | None] | None,
    measured: Dataset | None,
    learnt_from: Dataset | None,
    seed: int,
    quantize: str | None,
    **wanted: Any,
) -> export.Certificate:
    """Export a classifier.

    Args:
        model: The classifier's.
        path: Where to.
        kind: The format; None to go by the ending.
        predictor: What answers for the classifier.
        architecture: Its name; None for one of the user's own.
        license: What others may do with it.
        thresholds: For each class, from which probability on it is said; None for the likeliest.
        measured: Labelled images to compare on; None for drawn ones alone.
        learnt_from: What was learnt from; None where that is not at hand.
        seed: Of which images are taken, where there are more than enough.
        quantize: As in `imgcls.export.export`.
        wanted: The same.

    Raises:
        ConfigurationError: "int8" has no images to set its ranges by.
    """
    facts = export.Facts(
        architecture or "your own",
        tuple(predictor.classes),
        predictor.input_shape,
        model.count_params(),
        multi_label=predictor.multi_label,
        license=license,
        thresholds=None if thresholds is None else tuple(thresholds),
    )
    size = math.prod(predictor.input_shape)
    room = max(1, _MOST_NUMBERS // size)
    golden = bundle.golden_images(predictor.input_shape)[: max(1, _MOST_GOLDEN // size)]
    source, representative = learnt_from if learnt_from is not None else measured, None
    if source is None and quantize == "int8" in by_name(kind, Path(path)).quantizations:
        message = (
            "quantize='int8' sets its ranges by images, and a loaded classifier holds none. Give some hundred labelled "
            "ones, of all classes: export(..., data=...), or in a shell --data."
        )
        raise ConfigurationError(message)
    if quantize == "int8" and source is not None:
        representative = _some(predictor, source, min(_REPRESENTATIVE, room), seed)[0]
    return export.export(
        model,
        path,
        kind,
        facts=facts,
        golden=(golden, predictor.run(golden)),
        measured=None if measured is None else _some(predictor, measured, min(_MOST, room), seed),
        representative=representative,
        quantize=quantize,
        **wanted,
    )


def _some(predictor: Predictor, dataset: Dataset, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return images of all classes as the model takes them, and their labels, but for those that cannot be read."""
    chosen = dataset[export.stratified(np.asarray(dataset.labels), count, seed=seed)]
    images, positions = zip(*predictor.batches(chosen, on_error="skip").in_order(), strict=True)
    return np.concatenate(images), np.asarray(chosen.labels)[np.concatenate(positions)]
