"""Architectures: a table of names, our own CNNs, and every backbone of `keras.applications`."""

from imgcls.architectures._build import POOLINGS, PRECISIONS, TEST_TIME_AUGMENTATIONS, build
from imgcls.architectures._choices import (
    SMALL_SIDE,
    choose_architecture,
    choose_fine_tune,
    choose_image_size,
    choose_weights,
)
from imgcls.architectures._cnn import small_cnn, small_resnet
from imgcls.architectures._measure import Measure, measure
from imgcls.architectures._misfed import Misfed, misfed, scaled_twice
from imgcls.architectures._own import gives_probabilities, untrained
from imgcls.architectures._parts import (
    BOTH_WAYS,
    Head,
    cut,
    head_of,
    last_feature_map,
    probabilities,
    temper,
    unfreeze,
    with_features,
)
from imgcls.architectures._portable import portable
from imgcls.architectures._speed import speed_cnn, whiten
from imgcls.architectures._table import Architecture, describe, names
from imgcls.architectures._weights import installed, set_weights, weights_at_hand

__all__ = [
    "BOTH_WAYS",
    "POOLINGS",
    "PRECISIONS",
    "SMALL_SIDE",
    "TEST_TIME_AUGMENTATIONS",
    "Architecture",
    "Head",
    "Measure",
    "Misfed",
    "build",
    "choose_architecture",
    "choose_fine_tune",
    "choose_image_size",
    "choose_weights",
    "cut",
    "describe",
    "gives_probabilities",
    "head_of",
    "installed",
    "last_feature_map",
    "measure",
    "misfed",
    "names",
    "portable",
    "probabilities",
    "scaled_twice",
    "set_weights",
    "small_cnn",
    "small_resnet",
    "speed_cnn",
    "temper",
    "unfreeze",
    "untrained",
    "weights_at_hand",
    "whiten",
    "with_features",
]
