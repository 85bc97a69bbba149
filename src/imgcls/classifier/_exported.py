"""What a classifier gives an export beside its model: facts, golden images, images to compare on."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, bundle, export
from imgcls._warnings import warn
from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError, DataWarning
from imgcls.export._formats import by_name
from imgcls.inference import Predictor, in_passes

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
        some = min(_REPRESENTATIVE, room)
        representative = _some(predictor, source, some, seed, left_out="The ranges of int8 leave them out")[0]
    compared = None
    if measured is not None:
        compared = _some(predictor, measured, min(_MOST, room), seed, left_out="The comparison leaves them out")
    return export.export(
        model,
        path,
        kind,
        facts=facts,
        golden=(golden, predictor.run(golden)),
        measured=compared,
        representative=representative,
        quantize=quantize,
        **wanted,
    )


def _some(
    predictor: Predictor, dataset: Dataset, count: int, seed: int, *, left_out: str
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return images of all classes as the model takes them, and their labels, but for those that cannot be read.

    Nor are those returned for which the model gives no number; a warning names them. Where it gives none for any, the
    model is wrong and no image, and all stay.

    Args:
        predictor: What answers for the classifier.
        dataset: The images.
        count: How many are wanted, at most.
        seed: Of which are taken.
        left_out: What leaves those without a number out, for the warning.
    """
    chosen = dataset[export.stratified(np.asarray(dataset.labels), count, seed=seed)]
    parts, places = zip(*predictor.batches(chosen, on_error="skip").in_order(), strict=True)
    images, positions = np.concatenate(parts), np.concatenate(places)
    there = np.asarray(np.isfinite(in_passes(predictor.run, images)).all(axis=1))
    if there.any() and not there.all():
        names = [chosen.ids[place] for place in positions[~there].tolist()]
        warn(_checks.without_numbers(names, f"{len(there):,} images", left_out), DataWarning)
        images, positions = images[there], positions[there]
    return images, np.asarray(chosen.labels)[positions]
