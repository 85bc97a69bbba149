"""What is checked before a training: that the model, the data and their weights go together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures
from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError, DataError
from imgcls.trainer._objective import Objective


def checked_labels(data: Dataset, validation_data: Dataset | None = None) -> Dataset | None:
    """Return the validation images, coded by the classes of those that are learnt from.

    Raises:
        DataError: Images have no labels, or other classes, or several labels in one of both; or they are of a divided
            source, and of several of its parts.
    """
    if data.labels is None or (validation_data is not None and validation_data.labels is None):
        message = "data without labels cannot be trained on. Give labels."
        raise DataError(message)
    if validation_data is not None and validation_data.multi_label != data.multi_label:
        message = (
            "the images to learn from and those to validate on disagree on whether an image may have several labels. "
            "Give both alike, such as by Dataset.from_arrays(images, labels, multi_label=True)."
        )
        raise DataError(message)
    if data.divided or (validation_data is not None and validation_data.divided):
        message = (
            'the data are divided, and hold images of other parts too. Give data.subset("train"), and '
            'data.subset("validation") as validation_data.'
        )
        raise DataError(message)
    return None if validation_data is None else validation_data.align(data.classes)


def not_trainable(model: Any) -> str | None:
    """Check that a model says what it takes and gives, and leaves the training step to us."""
    name = type(model).__name__
    takes, gives = (getattr(model, shape, None) for shape in ("input_shape", "output_shape"))
    wanted = "Accepted: a functional or sequential keras.Model from (N, H, W, C) to (N, K)"
    if not (isinstance(takes, tuple) and isinstance(gives, tuple) and len(takes) == 4):
        return (
            f"model={name} is not accepted: Keras does not know its shapes, or it takes something else than one image. "
            f"{wanted}. Of a subclass, make one by inputs = keras.Input((H, W, C)); keras.Model(inputs, model(inputs))."
        )
    if None in takes[1:]:
        return f"model={name} takes {takes}, and images are resized to one size. {wanted}, with H, W and C as numbers."
    unheard = _backend.passed_over(model)
    if unheard is not None:
        return (
            f"{name}.{unheard} would never be called: train computes the step itself. Train with Keras' own fit, or "
            "give keras.Model(model.inputs, model.outputs), which has the same layers and weights."
        )
    return None


def check_outputs(model: Any, goal: Objective, data: Dataset) -> None:
    """Refuse a model that has not one output for each class, or gives scores, as the loss says."""
    if model.output_shape[1:] != (goal.outputs,):
        message = (
            f"the model has {model.output_shape[1:]} outputs and {len(data.classes)} classes need {(goal.outputs,)}."
        )
        raise ConfigurationError(message)
    if goal.of_scores and not architectures.gives_probabilities(model, goal.head):
        message = (
            f"loss={type(goal.loss).__name__}(from_logits=True) is for a model that gives scores, and one that is "
            "trained here gives probabilities. Give "
            f"keras.Sequential([model, keras.layers.Activation({goal.head!r})]), which has the same layers and weights."
        )
        raise ConfigurationError(message)


def sample_weights(weights: Any, count: int) -> NDArray[np.float32]:
    """Check the weights of `count` images, `(count,)`; None stands for ones."""
    if weights is None:
        return np.ones(count, np.float32)
    array = np.asarray(weights, np.float32)
    if array.shape != (count,) or not np.isfinite(array).all() or (array < 0).any():
        message = (
            f"sample_weight has shape {array.shape}. Accepted: {count:,} finite numbers of at least 0, one an image."
        )
        raise ConfigurationError(message)
    if not array.any():
        message = "sample_weight is 0 for every image. Accepted: at least one above 0. Leave it out to count all alike."
        raise ConfigurationError(message)
    return array
