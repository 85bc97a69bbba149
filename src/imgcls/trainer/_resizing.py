"""Progressive resizing: smaller images first, for what is learnt early needs little detail.

Source: Tan and Le, EfficientNetV2, arXiv 2104.00298, section 4; before them Howard, in fast.ai's entry to DAWNBench,
2018. The shares are near those of MosaicML's Composer: half of the side at first, the full one for the last part.
"""

import math
from itertools import pairwise
from typing import Any, final

from imgcls import _backend
from imgcls.errors import ConfigurationError

_STAGES = ((0.4, 0.5), (0.7, 0.75))  # up to this progress, this share of the side
_LARGEST_UNIT = 32  # pixels: what most backbones shrink an image by, so that their borders fall as in full size


@final
class Resizing:
    """The size of images at each point of training.

    Args:
        size: (height, width) of the model.

    Examples:
        >>> from imgcls.trainer._resizing import Resizing
        >>> resizing = Resizing((224, 224))
        >>> [resizing.at(progress) for progress in (0.0, 0.4, 0.7)]
        [(128, 128), (192, 192), None]
        >>> round(resizing.work, 3)  # 0.4 * (128 / 224)**2 + 0.3 * (192 / 224)**2 + 0.3
        0.651
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._stages = [(until, (_part(size[0], share), _part(size[1], share))) for until, share in _STAGES]

    def at(self, progress: float) -> tuple[int, int] | None:
        """Return (height, width) at a progress from 0 to 1; None for those of the model."""
        size = next((size for until, size in self._stages if progress < until), self._size)
        return None if size == self._size else size

    @property
    def work(self) -> float:
        """The pixels of a training as a share of those in full size, which is about that of its time."""
        ends = [(0.0, self._size), *self._stages, (1.0, self._size)]
        parts = [(end - begin, size) for (begin, _), (end, size) in pairwise(ends)]
        return sum(length * math.prod(size) for length, size in parts) / math.prod(self._size)

    def full_from(self, epochs: int) -> int:
        """Return how many of the epochs begin before images have the size of the model."""
        return math.ceil(epochs * self._stages[-1][0])

    def check(self, model: Any) -> None:
        """Refuse a model whose layers fit one size only.

        Raises:
            ConfigurationError: It is one, or images of half the size are too small for it.
        """
        for _, size in self._stages:
            if size != self._size and not _backend.takes(model, size):
                message = (
                    f"progressive_resizing starts with smaller images, and the model takes no {size[0]} x {size[1]} "
                    "pixels: too few, or a layer fits one size only, such as Dense after Flatten. Give "
                    "progressive_resizing=False, a larger image_size, or a model that pools its feature map."
                )
                raise ConfigurationError(message)


def _part(side: int, share: float) -> int:
    """Return a share of a side, rounded up to what leaves the same rest as the side does when a backbone halves it."""
    unit = _LARGEST_UNIT
    while unit > 1 and 4 * unit > side:
        unit //= 2
    rest = side % unit
    return min(side, rest + unit * math.ceil((side * share - rest) / unit))
