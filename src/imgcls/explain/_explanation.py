"""`Explanation`: the heat map of one image, at the image's own size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, plotting
from imgcls.explain._heat_map import METHODS, heat_map, stretched

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@final
@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Where in an image a classifier finds what speaks for a class. Prints as "daisy", or "daisy, and not rose".

    Attributes:
        heat: `float32 (H, W)` in [0, 1], of the image's own size. The hottest place has 1; where nothing speaks for
            the class, all is 0.
        image: `uint8 (H, W, C)`.
        label: The class that is explained.
        instead_of: The class it is compared with, or None.
        method: "grad_cam" or "occlusion".
        id: The name of the image.

    Examples:
        >>> import numpy as np
        >>> from imgcls.explain import Explanation
        >>> heat = np.float32([[0.0, 0.2, 0.1], [0.3, 1.0, 0.4]])
        >>> found = Explanation(heat, np.zeros((2, 3, 3), np.uint8), "daisy", instead_of="rose")
        >>> print(found)
        daisy, and not rose
        >>> row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
        >>> int(row), int(column)  # what speaks most for a daisy
        (1, 1)
    """

    heat: NDArray[np.float32] = field(repr=False)
    image: NDArray[np.uint8] = field(repr=False)
    label: Any
    instead_of: Any = None
    method: str = "grad_cam"
    id: str = ""

    def show(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the image with the heat laid over it, and return the Axes."""
        drawn: Axes = plotting.image_grid([self.image], [str(self)], heat=[self.heat], ax=ax)[0]
        return drawn

    def __str__(self) -> str:
        return str(self.label) if self.instead_of is None else f"{self.label}, and not {self.instead_of}"


def explanation(
    model: Any,
    pixels: NDArray[np.uint8],
    *,
    image: NDArray[np.uint8],
    classes: Sequence[Any],
    label: Any,
    instead_of: Any = None,
    method: str = "grad_cam",
    id: str = "",  # noqa: A002 - the word for it, also in `Prediction` and `Dataset`
) -> Explanation:
    """Explain one image by the names of classes.

    Args:
        model: What `architectures.build` returned.
        pixels: The image as the model sees it, `uint8 (h, w, c)`.
        image: The image as it is, `uint8 (H, W, C)`.
        classes: K names; a single one is the class whose probability the model's one output is.
        label: The one to explain.
        instead_of: The one to compare it with, or None.
        method: See `heat_map`.
        id: The name of the image.

    Raises:
        ConfigurationError: A class or the method is not known, both classes are one, or the model has no feature map
            for "grad_cam".

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures, explain
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=2)
        >>> pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
        >>> image = pixels.repeat(2, axis=0).repeat(3, axis=1)
        >>> found = explain.explanation(model, pixels, image=image, classes=["cat", "dog"], label="dog")
        >>> found
        Explanation(label='dog', instead_of=None, method='grad_cam', id='')
        >>> found.heat.shape
        (32, 48)
    """
    names = list(classes)
    _checks.refuse(
        [
            _checks.unknown_name("label", label, names),
            None if instead_of is None else _checks.unknown_name("instead_of", instead_of, names),
            _checks.unknown_name("method", method, METHODS),
            f"instead_of={instead_of!r} is the class that is explained. Give another one, or None."
            if instead_of is not None and instead_of == label
            else None,
        ]
    )
    target = names.index(label) + (len(names) == 1)  # of one output, position 0 is that there is none of its class
    other = None if instead_of is None else names.index(instead_of)
    heat = heat_map(model, pixels[None], target=target, instead_of=other, method=method)
    own_size = stretched(heat, image.shape[0], image.shape[1])[0]
    return Explanation(own_size, image, label, instead_of, method, id)
