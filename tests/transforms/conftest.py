"""Random numbers that a test can set."""

import keras
import numpy as np
import pytest


@pytest.fixture
def drawn(monkeypatch):
    """Make the amounts that a layer draws from [-1, 1), in the order of its code, the given ones for every image."""

    def fix(*amounts):
        def uniform(shape, low, high, seed):
            assert (low, high, shape[0]) == (-1.0, 1.0, len(amounts))
            first = np.array(amounts, "float32").reshape(-1, *[1] * (len(shape) - 1))
            return keras.ops.broadcast_to(first, shape)

        monkeypatch.setattr(keras.random, "uniform", uniform)

    return fix
