"""What a classifier gives an export beside its model: facts, golden images, images to compare on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import bundle, export
from imgcls.datasets import Dataset
from imgcls.inference import Predictor

_MOST = 1_000  # images that both are compared on
_REPRESENTATIVE = 200  # images by which int8 sets its ranges


def exported(
    model: Any,
    path: str | Path,
    kind: str | None,
    *,
    predictor: Predictor,
    architecture: str | None,
    license: str | None,  # noqa: A002 - the word users know
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
        measured: Labelled images to compare on; None for drawn ones alone.
        learnt_from: What was learnt from; None where that is not at hand.
        seed: Of which images are taken, where there are more than enough.
        quantize: As in `imgcls.export.export`.
        wanted: The same.
    """
    facts = export.Facts(
        architecture or "your own",
        tuple(predictor.classes),
        predictor.input_shape,
        model.count_params(),
        multi_label=predictor.multi_label,
        license=license,
    )
    golden = bundle.golden_images(predictor.input_shape)
    some = None if measured is None else _of_all_classes(measured, _MOST, seed)
    source, representative = learnt_from if learnt_from is not None else measured, None
    if quantize == "int8" and source is not None:
        representative = np.concatenate(list(_pixels(predictor, _of_all_classes(source, _REPRESENTATIVE, seed))))
    return export.export(
        model,
        path,
        kind,
        facts=facts,
        golden=(golden, predictor.run(golden)),
        measured=None if some is None else (_pixels(predictor, some), np.asarray(some.labels)),
        representative=representative,
        quantize=quantize,
        **wanted,
    )


def _of_all_classes(dataset: Dataset, count: int, seed: int) -> Dataset:
    chosen: Dataset = dataset[export.stratified(np.asarray(dataset.labels), count, seed=seed)]
    return chosen


def _pixels(predictor: Predictor, dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    return (images for images, _ in predictor.batches(dataset).in_order())
