"""Two bundles: with as little as there may be in one, and with all that there may be."""

import forging
import pytest

from imgcls import bundle


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(here):
    return bundle.save("a.imgcls", forging.description(), forging.weights(), forging.GOLDEN).read_bytes()


@pytest.fixture
def full(here):
    return bundle.save("a.imgcls", forging.description(card="# Card"), forging.weights(), forging.named()).read_bytes()
