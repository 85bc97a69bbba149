import pytest
from by_hand import lively


@pytest.fixture(scope="session")
def made():
    return lively()


@pytest.fixture(scope="session")
def kept(made, tmp_path_factory):
    """One export in each format that is data, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("kept")
    for name in ("model.onnx", "model.tflite", "model.xml"):
        made.to(folder / name)
    return folder
