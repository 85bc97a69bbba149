"""Images made worse on purpose, to see how a model bears it: blur, noise, compression, light, contrast, rotation.

The contract: `uint8 (H, W, C)` in and out, any C, and the same picture for the same seed. Kinds and amounts are a
table. They follow Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations (ICLR 2019, arXiv 1903.12261), with three severities in place of five, and differ where ours meet images
of every size and number of channels:

- what is bound to pixels grows with the picture, so that 28 pixels suffer about as much as 500: the blur is a share of
  the shorter side (theirs: 1 to 6 of 224 pixels, 0.4 to 1 of 32), the noise grows with its square root (theirs: 0.08
  to 0.38 and 0.04 to 0.1), and the quality of JPEG falls with it (theirs: 25 to 7 and 80 to 40);
- brightness is added to every channel alike (theirs to the value of HSV), and `darker` is new: less light multiplies;
- rotation is new (theirs moves in videos of small changes); corners are filled by reflection, which draws no edge.

Corrupt what the model sees, after resizing: a photo of 4000 pixels that is made small afterwards has lost its noise.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import not_whole, refuse, unknown_name
from imgcls.errors import ConfigurationError
from imgcls.images import _decoder

SEVERITIES = (1, 2, 3)
_SIDE = 224  # pixels, for which noise and JPEG are set

UInt8 = NDArray[np.uint8]


class Corruption(NamedTuple):
    """A row of the table: `worsen(image, amount, random)`, and the amount at each of the three severities."""

    worsen: Callable[[UInt8, float, np.random.Generator], UInt8]
    amounts: tuple[float, float, float]
    summary: str


def corrupt(image: UInt8, kind: str, severity: int, *, seed: int) -> UInt8:
    """Return a worse picture of the same shape.

    Args:
        image: `uint8 (H, W, C)`, 0-255, any C; each channel is worsened alike.
        kind: A name in `CORRUPTIONS`: "blur", "noise", "jpeg", "darker", "brighter", "contrast" or "rotation".
        severity: 1, 2 or 3.
        seed: Of the noise, and of the side to which the image is turned. Give each image its own.

    Raises:
        ConfigurationError: The kind, the severity or the seed is not accepted, or the image is not `uint8 (H, W, C)`.

    Examples:
        >>> import numpy as np
        >>> gray = np.full((8, 8, 3), 100, np.uint8)
        >>> corrupt(gray, "darker", 2, seed=0)[0, 0].tolist()
        [50, 50, 50]
        >>> noisy = corrupt(np.full((224, 224, 1), 128, np.uint8), "noise", 1, seed=0)
        >>> round(float(noisy.std() / 255), 3)
        0.08
    """
    problems = [unknown_name("kind", kind, tuple(CORRUPTIONS)), unknown_name("severity", severity, SEVERITIES)]
    refuse([*problems, not_whole("seed", seed, least=0)])
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
        message = f"the image is {given}. Accepted: uint8 (H, W, C), as imgcls.datasets.read returns it."
        raise ConfigurationError(message)
    row = CORRUPTIONS[kind]
    return row.worsen(image, row.amounts[severity - 1], np.random.default_rng(seed))


def _blur(image: UInt8, share: float, _: np.random.Generator) -> UInt8:
    from scipy.ndimage import gaussian_filter

    sigma = share * min(image.shape[:2])
    return _rounded(gaussian_filter(image.astype(np.float32), sigma, axes=(0, 1)))


def _noise(image: UInt8, share: float, random: np.random.Generator) -> UInt8:
    return _rounded(image + random.standard_normal(image.shape, np.float32) * np.float32(255 * share * _grain(image)))


def _jpeg(image: UInt8, amount: float, _: np.random.Generator) -> UInt8:
    quality = min(95, max(1, round(amount / _grain(image))))  # above 95, Pillow advises, a file grows for nothing
    if image.shape[2] in {1, 3}:
        return _decoder.through_jpeg(image, quality)
    bands = [_decoder.through_jpeg(image[..., band, None], quality) for band in range(image.shape[2])]
    return np.concatenate(bands, axis=2)


def _darken(image: UInt8, share: float, _: np.random.Generator) -> UInt8:
    return _rounded(image * np.float32(share))


def _brighten(image: UInt8, share: float, _: np.random.Generator) -> UInt8:
    return _rounded(image + np.float32(255 * share))


def _flatten(image: UInt8, share: float, _: np.random.Generator) -> UInt8:
    mean = image.mean(axis=(0, 1), dtype=np.float32)
    return _rounded((image - mean) * np.float32(share) + mean)


def _turn(image: UInt8, degrees: float, random: np.random.Generator) -> UInt8:
    from scipy.ndimage import rotate

    angle = degrees * random.choice((-1, 1))
    return _rounded(rotate(image.astype(np.float32), angle, reshape=False, order=1, mode="reflect"))


def _grain(image: UInt8) -> float:
    """Return how much finer pixels and blocks of 8 x 8 are in this picture than in one of 224 pixels."""
    return float(np.sqrt(min(image.shape[:2]) / _SIDE))


def _rounded(pixels: NDArray[Any]) -> UInt8:
    rounded: UInt8 = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return rounded


# Shares are of the shorter side (blur: its sigma), of 255 (noise: its deviation; brighter), or of what there was. A
# sigma below 0.0125 of 28 pixels changes none of them.
CORRUPTIONS: MappingProxyType[str, Corruption] = MappingProxyType(
    {
        "blur": Corruption(_blur, (0.0125, 0.018, 0.027), "out of focus: Gaussian blur"),
        "noise": Corruption(_noise, (0.08, 0.18, 0.26), "a dark room: Gaussian noise"),
        "jpeg": Corruption(_jpeg, (40, 20, 10), "compressed: JPEG of low quality"),
        "darker": Corruption(_darken, (0.7, 0.5, 0.3), "less light"),
        "brighter": Corruption(_brighten, (0.1, 0.3, 0.5), "more light"),
        "contrast": Corruption(_flatten, (0.5, 0.3, 0.15), "fog: less contrast"),
        "rotation": Corruption(_turn, (5, 15, 30), "held askew, to either side"),
    }
)
