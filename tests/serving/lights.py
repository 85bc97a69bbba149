"""A model that needs no training: how bright an image is. Its answer to any image is known beforehand."""

import io

import numpy as np
from PIL import Image

from imgcls.inference import Predictor

CLASSES = ["night", "day"]


def bright(pixels):
    """Return the probabilities of night and day, `float32 (n, 2)`."""
    light = pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None] / 255
    return np.concatenate([1 - light, light], axis=1)


def predictor(run=bright, **options):
    return Predictor(run, **{"input_shape": (8, 8, 3), "classes": CLASSES, **options})


def png(level, size=(20, 30)):
    """Return a picture of one gray, from 0 to 255, as the bytes of a PNG."""
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(file, format="PNG")
    return file.getvalue()


def hesitant(found):
    """Decide: of black nothing is said, and of what is neither dark nor bright that it may be either."""
    return {"probabilities": found, "sets": found > 0.3, "unknown": found[:, 0] == 1}
