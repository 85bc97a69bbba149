"""A classifier that has learnt red and blue squares, and images that it has not seen."""

import numpy as np
import pytest
from drawn_squares import COLORS, SIDE, squares


@pytest.fixture(scope="session")
def learnt():
    """A classifier of red and blue squares, which decides by them."""
    from imgcls import ImageClassifier

    images, codes, _ = squares(240, seed=0)
    classifier = ImageClassifier("small_cnn", image_size=SIDE, epochs=8, augmentation=None, batch_size=16)
    return classifier.fit(images, np.array(list(COLORS))[codes], verbose=0)


@pytest.fixture(scope="session")
def unseen():
    return squares(24, seed=1)
