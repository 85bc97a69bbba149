"""Fixtures for every room. Nothing heavy is imported here, so that a test of one room loads that room alone."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests press Ctrl-C


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Tests keep what can be computed again in a folder of their own, and so do the processes they start."""
    os.environ["IMGCLS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data, which CI has")
    return folder


@pytest.fixture
def photos(tmp_path):
    """Eight photos a class: dark JPEG cats and light PNG dogs, no two of one size."""
    random = np.random.default_rng(0)
    for index in range(8):
        for name, low, high, ending in (("cat", 0, 120, "jpg"), ("dog", 130, 256, "png")):
            pixels = random.integers(low, high, (20 + index, 24 + 2 * index, 3), dtype=np.uint8)
            path = tmp_path / "photos" / name / f"{index}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "photos"
