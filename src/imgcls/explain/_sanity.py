"""Checks of heat maps: a map that passes neither is a picture and no explanation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks, architectures
from imgcls.errors import ConfigurationError
from imgcls.explain._heat_map import Classes, heat_map, likeliest
from imgcls.explain._occlusion import mean_color
from imgcls.explain._probabilities import probabilities


def deletion_score(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    image: NDArray[np.uint8],
    heat: NDArray[np.float32],
    target: int,
    steps: int = 20,
) -> float:
    """Measure how soon a class is lost when the hottest pixels are replaced first, by the image's mean colour.

    It is the area under the probability of the class over the share of pixels replaced (Petsiuk et al., arXiv
    1806.07421, section 4.2). Compare it with that of other maps of the same image, such as a random one.

    Args:
        run: From `uint8 (n, H, W, C)` to probabilities `(n, K)`, such as `classifier.predict_proba`.
        image: `uint8 (H, W, C)`.
        heat: `(H, W)`. Of equally hot pixels, those further up and to the left go first.
        target: The position of the class. Of one column, as in `heat_map`, 1 is its class, and 0 that it is not there.
        steps: In how many steps pixels are replaced.

    Returns:
        A number in [0, 1]; lower is better.

    Raises:
        ConfigurationError: The heat has another height or width than the image, `steps` is no whole number, or there
            is no class `target`.

    Examples:
        >>> import numpy as np
        >>> from imgcls import explain
        >>> image = np.zeros((4, 4, 1), np.uint8)
        >>> image[0, 0] = 160
        >>> def bright(images):
        ...     found = (images.max(axis=(1, 2)) > 100).astype(np.float32)
        ...     return np.concatenate([1 - found, found], axis=1)
        >>> heat = image[..., 0] / 160
        >>> [explain.deletion_score(bright, image, one, 1, steps=16) for one in (heat, -heat)]
        [0.03125, 0.96875]
    """
    heat = np.asarray(heat)
    _checks.refuse(
        [
            _checks.not_whole("steps", steps),
            None
            if heat.shape == image.shape[:2]
            else f"the heat has the shape {heat.shape}, and the image {image.shape[:2]}. Both must be (H, W).",
        ]
    )
    rank = np.empty(heat.size, int)
    rank[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size)
    shares = np.linspace(0, 1, steps + 1)
    gone = rank.reshape(heat.shape) < np.round(shares * heat.size)[:, None, None]
    images = np.where(gone[..., None], mean_color(image), image)
    found = probabilities(run, images)
    if target not in range(found.shape[1]):
        message = f"target={target!r} is not accepted. Accepted: a whole number from 0 to {found.shape[1] - 1}."
        raise ConfigurationError(message)
    return float(np.trapezoid(found[:, target], shares))


def randomised_correlation(
    model: Any,
    images: NDArray[np.uint8],
    target: Classes | None = None,
    *,
    method: str = "grad_cam",
    draws: int = 5,
    seed: int = 0,
) -> float:
    """Compare the maps of a model with those of copies whose last two layers are shuffled.

    A map that does not change with what the model has learnt shows the image and not the model (Adebayo et al., arXiv
    1810.03292). In each copy the numbers of the last two kernels, the head's among them, change places.

    Args:
        model: What `architectures.build` returned. It stays as it is.
        images: `uint8 (N, H, W, C)` of the model's input size.
        target: As in `heat_map`: a class, N of them, or None for what the model itself finds likeliest.
        method: See `heat_map`.
        draws: How many copies.
        seed: Another seed, other copies.

    Returns:
        The mean rank correlation (Spearman) between both maps, over images and copies: near 0 is good, near 1 says that
        the maps are none of the model's. Where one of two maps is the same everywhere, their correlation counts as 0.

    Raises:
        ConfigurationError: Arguments are not accepted, or the model cannot be copied.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures, explain
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=3)
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1)).astype(np.uint8)
        >>> -1 <= explain.randomised_correlation(model, images, draws=2) <= 1
        True
    """
    _checks.refuse([_checks.not_whole("draws", draws), _checks.not_whole("seed", seed, least=0)])
    own = heat_map(model, images, target=target, method=method)
    targets = likeliest(model, images) if target is None else target
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        others = heat_map(_shuffled(model, random), images, target=targets, method=method)
        found += [_rank_correlation(one, other) for one, other in zip(own, others, strict=True)]
    return float(np.mean(found))


def _shuffled(model: Any, random: np.random.Generator) -> Any:
    """Return a copy of a model in which the numbers of the last two kernels have changed places."""
    try:
        copy = _backend.copied(model)
    except (TypeError, ValueError, NotImplementedError) as error:  # a layer that does not come back from its config
        message = f"the model cannot be copied: {error}. Nothing can be said of its maps with other weights."
        raise ConfigurationError(message) from error
    architectures.set_weights(copy, model.get_weights())
    for kernel in [weight for weight in copy.weights if len(weight.shape) > 1][-2:]:
        kernel.assign(random.permutation(np.ravel(kernel)).reshape(kernel.shape))
    return copy


def _rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    from scipy import stats

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other, axis=None).statistic)
