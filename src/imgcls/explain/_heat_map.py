"""`heat_map`: arguments are checked, a method makes raw maps, and these become heat from 0 to 1.

A raw map is large where a place speaks for a class, and below zero where it speaks against it.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks, architectures
from imgcls.errors import ConfigurationError
from imgcls.explain._occlusion import occlusion
from imgcls.explain._probabilities import BATCH, probabilities

Classes = int | Sequence[int] | NDArray[np.integer[Any]]
Codes = NDArray[np.int32]
Images = NDArray[np.uint8]
Maps = NDArray[np.float32]
_GRADIENTS: WeakKeyDictionary[Any, _backend.Gradients] = WeakKeyDictionary()  # by model: to trace one takes a second


def heat_map(
    model: Any, images: Images, *, target: Classes | None, instead_of: Classes | None = None, method: str = "grad_cam"
) -> Maps:
    """Say where in images a classifier finds what speaks for a class.

    "grad_cam" asks the last feature map: its D channels, each weighted by the mean gradient of the class's score in
    it, are added up, and what is below 0 is dropped (Selvaraju et al., arXiv 1610.02391, section 3). The score is the
    one before softmax or sigmoid, so that a probability of 1 has a map too. It takes one pass forward and half a one
    back, and is as coarse as the feature map, which is enlarged bilinearly.

    "occlusion" hides one square after another under the mean colour of the image, a fifth of its sides, and measures
    how far the class falls (Zeiler & Fergus, arXiv 1311.2901, section 4.2): the logarithm of its odds (Zintgraf et al.,
    arXiv 1702.04595, section 3), computed from the scores before softmax or sigmoid, so that it still moves where the
    probability is 1. A pixel's heat is the mean over the squares that hide it. It takes up to 121 passes forward, and
    any model. Where a model of your own ends in something else than softmax or sigmoid, odds are those of its
    probabilities: if they do not add up to 1, nothing is seen to speak for a class whose probability is rounded to 1.

    Args:
        model: What `architectures.build` returned: from pixels 0-255 to probabilities.
        images: `uint8 (N, H, W, C)` of the model's input size.
        target: The position of the class to explain, N of them, or None for the likeliest of each image. Of one output,
            1 is its class, and 0 the other one, or that it is not there.
        instead_of: Explain why it is `target` and not this class: the difference of their scores. One or N.
        method: "grad_cam" or "occlusion".

    Returns:
        `float32 (N, H, W)` in [0, 1]. The hottest place of each image has 1; where nothing speaks for the class, all
        of its map is 0. So heat says where, and not how much.

    Raises:
        ConfigurationError: Arguments are not accepted, or the model has no feature map for "grad_cam".

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures, explain
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
        >>> explain.heat_map(model, images, target=3).shape
        (2, 32, 32)
    """
    _checks.refuse([_checks.unknown_name("method", method, METHODS), _wrong_images(model, images)])
    num_classes = max(2, model.output_shape[-1])
    _checks.refuse(
        [
            _wrong_classes("target", target, images, num_classes),
            _wrong_classes("instead_of", instead_of, images, num_classes),
        ]
    )
    targets = likeliest(model, images) if target is None else _codes(target, images)
    others = _codes(-1 if instead_of is None else instead_of, images)
    if (targets == others).any():
        same = int(targets[targets == others][0])
        message = f"instead_of={same} is the class that is explained. Give another one, or None."
        raise ConfigurationError(message)
    raw = _METHODS[method](model, images, targets, others)
    return stretched(np.maximum(raw, 0), images.shape[1], images.shape[2])


def likeliest(model: Any, images: Images) -> Codes:
    """Return the likeliest class of each image, `int32 (N,)`."""
    return np.asarray(probabilities(_backend.compiled(model), images).argmax(axis=1), np.int32)


def stretched(heat: Maps, height: int, width: int) -> Maps:
    """Return heat `(N, h, w)` from 0 on at another size, bilinearly or averaged, its hottest place at 1."""
    same = keras.ops.image.resize(heat[..., None], (height, width), antialias=True, data_format="channels_last")
    sized = np.asarray(same[..., 0], np.float32)
    hottest = sized.max(axis=(1, 2), keepdims=True, initial=0)
    shares: Maps = np.divide(sized, hottest, out=np.zeros_like(sized), where=hottest > 0)
    return shares


def _grad_cam(model: Any, images: Images, targets: Codes, others: Codes) -> Maps:
    """Return raw maps of the size of the model's last feature map."""
    run = _gradients_of(model)

    def weighted(images: Images) -> Maps:
        maps = []
        for first in range(0, len(images), BATCH):
            batch = slice(first, first + BATCH)
            feature_map, gradient = run(images[batch], targets[batch], others[batch])
            maps.append(np.einsum("nhwd,nd->nhw", feature_map, gradient.mean(axis=(1, 2))))
        return np.asarray(np.concatenate(maps), np.float32)

    found = weighted(images)
    if all(layer.name != architectures.BOTH_WAYS for layer in model.layers):
        return found
    return found + weighted(images[:, :, ::-1])[:, :, ::-1]  # the model decides on the mirror image too


def _gradients_of(model: Any) -> _backend.Gradients:
    """Return the gradients of a model's scores in its last feature map; as long as the model lives, the same."""
    if model not in _GRADIENTS:
        try:
            _GRADIENTS[model] = _backend.gradient_function(architectures.last_feature_map(model))
        except ConfigurationError as error:
            message = f"method='grad_cam': {error} Use method='occlusion', which needs none."
            raise ConfigurationError(message) from error
    return _GRADIENTS[model]


_METHODS: dict[str, Callable[[Any, Images, Codes, Codes], Maps]] = {"grad_cam": _grad_cam, "occlusion": occlusion}
METHODS = tuple(_METHODS)


def _codes(classes: Classes, images: Images) -> Codes:
    return np.broadcast_to(np.asarray(classes, np.int32), (len(images),))


def _wrong_images(model: Any, images: Any) -> str | None:
    wanted = tuple(model.input_shape[1:])
    given = images if isinstance(images, np.ndarray) else np.empty(0)
    if given.ndim == 4 and given.dtype == np.uint8 and given.shape[1:] == wanted and len(given):
        return None
    shape = f"{given.dtype} {given.shape}" if given is images else type(images).__name__
    return (
        f"images={shape} are not accepted. Accepted for this model: uint8 (N, {', '.join(map(str, wanted))}), N from 1."
    )


def _wrong_classes(name: str, classes: Any, images: Images, num_classes: int) -> str | None:
    codes = np.asarray(0 if classes is None else classes)
    whole = np.issubdtype(codes.dtype, np.integer) and codes.shape in {(), (len(images),)}
    if whole and ((codes >= 0) & (codes < num_classes)).all():
        return None
    accepted = f"a whole number from 0 to {num_classes - 1}, one for each image, or None"
    return f"{name}={classes!r} is not accepted. Accepted: {accepted}."
