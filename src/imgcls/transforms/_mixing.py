"""Mixup and CutMix: two images become one, and their targets and weights with them."""

from typing import Any, final

import keras
import numpy as np

from imgcls import _checks
from imgcls.errors import ConfigurationError
from imgcls.transforms._state import put_back

_ALPHAS = {"mixup": {"mixup": 0.2}, "cutmix": {"cutmix": 1.0}, "both": {"mixup": 0.2, "cutmix": 1.0}}
MIXINGS = tuple(_ALPHAS)


def mixing(name: Any, *, seed: int = 0) -> Any:
    """Build the layer that mixes the images of a batch.

    Args:
        name: "mixup" (alpha 0.2), "cutmix" (alpha 1), "both" (one of them for each batch), a `keras.Layer` to use as it
            is, or None for no mixing.
        seed: Another seed, other random numbers.

    Returns:
        A `keras.Layer` that is called as `RandomMix` is; or None.

    Raises:
        ConfigurationError: The name is not known.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.mixing("both").cutmix
        1.0
    """
    if name is None or isinstance(name, keras.layers.Layer):
        return name
    _checks.refuse([_checks.unknown_name("mixing", name, MIXINGS)])
    return RandomMix(**_ALPHAS[name], seed=seed % 2**63, name=name)  # TensorFlow holds no larger one


def try_mixing(layer: Any, *, image_shape: tuple[int, ...], outputs: int) -> None:
    """Try a layer that mixes on two made-up images: once it is part of a step, nobody could say what is wrong with it.

    Args:
        layer: What `mixing` returned.
        image_shape: (H, W, C).
        outputs: K, the length of a target.

    Raises:
        ConfigurationError: It is not called as `RandomMix` is, or returns something else.

    Examples:
        >>> from imgcls.transforms._mixing import mixing, try_mixing
        >>> try_mixing(mixing("mixup"), image_shape=(8, 8, 3), outputs=10)
    """
    if layer is None:
        return
    images, targets = np.zeros((2, *image_shape), np.float32), np.eye(2, outputs, dtype=np.float32)
    given = [keras.ops.convert_to_tensor(one) for one in (images, targets, np.ones(2, np.float32))]
    try:
        with put_back([layer]):
            shapes = [tuple(one.shape) for one in layer(*given)]
    except Exception as error:
        raise ConfigurationError(_cannot_mix(layer, str(error))) from error
    if shapes != [tuple(one.shape) for one in given]:
        raise ConfigurationError(_cannot_mix(layer, f"it returns arrays of shapes {shapes}"))


def _cannot_mix(layer: Any, why: str) -> str:
    return (
        f"mixing={type(layer).__name__} cannot mix: {why.rstrip('.')}. Accepted: 'mixup', 'cutmix', 'both', or a layer "
        "that is called with images (N, H, W, C), targets (N, K) and weights (N,), and returns the three as RandomMix "
        "does."
    )


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RandomMix(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Mix each image with another one of its batch, by mixup or by CutMix; where both are on, a batch draws one.

    Mixup blends two images: a share s of the first and 1 - s of the second. CutMix pastes a box of the second into the
    first; s is the share of pixels that stay. Weights w and targets y follow, so that a loss that is linear in the
    targets, as cross-entropies are, is the same mixture: the weight is W = s w1 + (1 - s) w2, and the target
    (s w1 y1 + (1 - s) w2 y2) / W. A batch shares one s and one box, so each image counts as much as without mixing.

    Sources: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, section 2; Yun et al., CutMix:
    Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019, section 3.1.

    Args:
        mixup: alpha; s is drawn from Beta(alpha, alpha). 0 leaves mixup out.
        cutmix: alpha; the box has the aspect ratio of the image and, before it is cut off at the border, a share of the
            area drawn from Beta(alpha, alpha). 0 leaves CutMix out.
        seed: Another seed, other random numbers.

    Raises:
        ConfigurationError: An argument is not accepted; or, when it is called, targets are not float (N, K).

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RandomMix
        >>> mix = RandomMix(cutmix=1.0, seed=3)
        >>> images = np.arange(4, dtype="float32").reshape(4, 1, 1, 1) * np.ones((4, 8, 8, 1), "float32")
        >>> images, targets, weights = mix(images, np.eye(4, dtype="float32"), np.ones(4, "float32"), training=True)
        >>> bool(np.allclose(images.numpy().mean(axis=(1, 2, 3)), targets.numpy() @ np.arange(4)))
        True
        >>> mix.compute_output_shape((None, 8, 8, 1), (None, 4), (None,))
        ((None, 8, 8, 1), (None, 4), (None,))
        >>> same = RandomMix.from_config(mix.get_config())
        >>> same.mixup, same.cutmix, same.seed
        (0.0, 1.0, 3)
    """

    def __init__(self, *, mixup: float = 0.0, cutmix: float = 0.0, seed: int = 0, **keras_arguments: Any) -> None:
        super().__init__(**{"dtype": "float32", **keras_arguments})  # half precision cannot tell 254 from 255
        alphas = {"mixup": mixup, "cutmix": cutmix}
        problems = [_checks.not_positive(name, alpha) for name, alpha in alphas.items() if alpha != 0]
        nothing = "mixup and cutmix are both 0, which mixes nothing. Give one of them, such as mixup=0.2."
        _checks.refuse([*problems, nothing if mixup == cutmix == 0 else None])
        self.mixup, self.cutmix, self.seed = mixup, cutmix, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def __call__(self, images: Any, targets: Any, weights: Any, **arguments: Any) -> Any:
        """Check the targets, then mix; out here because Keras adds its own words to what `call` raises."""
        if len(targets.shape) != 2 or not keras.backend.is_float_dtype(targets.dtype):
            message = (
                f"targets of dtype {keras.backend.standardize_dtype(targets.dtype)} and shape {tuple(targets.shape)} "
                "cannot be mixed. Accepted: float (N, K), a row for each image, such as one-hot rows."
            )
            raise ConfigurationError(message)
        return super().__call__(images, targets, weights, **arguments)

    def call(self, images: Any, targets: Any, weights: Any, training: bool = True) -> tuple[Any, Any, Any]:
        """Return mixed images `(N, H, W, C)`, targets `(N, K)` and weights `(N,)`; the same ones outside training."""
        if not training:
            return images, targets, weights
        ops = keras.ops
        partner = keras.random.shuffle(ops.arange(ops.shape(images)[0]), seed=self.seed_generator)
        stays = self._stays(*images.shape[1:3])
        share = ops.mean(stays)
        own, other = share * weights, (1 - share) * ops.take(weights, partner, axis=0)
        total = own + other
        taken = ops.expand_dims(other / ops.where(total > 0, total, 1.0), axis=1)  # of the partner's target
        return (
            stays * images + (1 - stays) * ops.take(images, partner, axis=0),
            (1 - taken) * targets + taken * ops.take(targets, partner, axis=0),
            total,
        )

    def _stays(self, height: int, width: int) -> Any:
        """Return which share of a pixel stays: `(1, 1, 1, 1)` for mixup, 0 or 1 `(1, H, W, 1)` for CutMix."""
        if not self.cutmix:
            return self._share(self.mixup)
        if not self.mixup:
            return self._outside_of_box(height, width)
        heads = keras.random.uniform((), seed=self.seed_generator) < 0.5
        return keras.ops.where(heads, self._share(self.mixup), self._outside_of_box(height, width))

    def _share(self, alpha: float) -> Any:
        return keras.random.beta((1, 1, 1, 1), alpha, alpha, seed=self.seed_generator)

    def _outside_of_box(self, height: int, width: int) -> Any:
        ops = keras.ops
        side = ops.sqrt(1 - self._share(self.cutmix))  # of the box, as a share of the image's
        center_y, center_x = ops.unstack(keras.random.uniform((2,), seed=self.seed_generator), 2)
        # A pixel is in the box if its middle is; so the box ends where the image does.
        middles_y = (np.arange(height, dtype=np.float32).reshape(1, height, 1, 1) + 0.5) / height
        middles_x = (np.arange(width, dtype=np.float32).reshape(1, 1, width, 1) + 0.5) / width
        inside = ops.logical_and(ops.abs(middles_y - center_y) < side / 2, ops.abs(middles_x - center_x) < side / 2)
        return 1 - ops.cast(inside, "float32")

    def compute_output_shape(self, images_shape: Any, targets_shape: Any, weights_shape: Any) -> tuple[Any, Any, Any]:
        """Return the three shapes."""
        return images_shape, targets_shape, weights_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = ("mixup", "cutmix", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}
