"""Heat over a picture, as pages and the server show it."""

import numpy as np
from numpy.typing import NDArray

from imgcls.images._decoder import resize


def with_heat(image: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay heat `float (h, w)` in [0, 1] over an image `uint8 (H, W, C)`, the less transparent the hotter.

    Returns:
        `uint8 (H, W, 3)`: of more than three bands the first three are shown, of fewer the first.
    """
    from matplotlib import colormaps

    from imgcls.plotting._images import MOST_OPAQUE
    from imgcls.plotting._style import HEAT

    gray = np.round(np.clip(heat, 0, 1)[..., None] * 255).astype(np.uint8)
    share = resize(gray, image.shape[:2])[..., :1] / 255
    colour = 255 * np.asarray(colormaps[HEAT](share[..., 0]))[..., :3]
    picture = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2)
    mixed = picture * (1 - MOST_OPAQUE * share) + colour * MOST_OPAQUE * share
    return np.asarray(mixed.round(), np.uint8)
