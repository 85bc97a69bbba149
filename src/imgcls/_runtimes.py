"""OpenVINO and ONNX Runtime, kept quiet: a model of either becomes a function from pixels to numbers.

Needs neither Keras nor TensorFlow. Both libraries write an id into the home folder and report to their makers unless
they are told not to, before they are imported: here, and nowhere else, they are.
"""

import math
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# Pixels in a pass, and no fewer than an image: what four images of 224 x 224 become between two layers stays in the
# cache. Passes of 32 ran at 0.8 of the speed (MobileNetV2; ResNet50 at the same), with the same bits.
_PIXELS_AT_ONCE = 200_000


def openvino() -> Any:
    """Import OpenVINO without what reports to Google Analytics: that module is for this alone."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None is how Python marks a module as absent
    import openvino as library

    return library


@cache
def openvino_core() -> Any:
    """Return the one `openvino.Core` of this process.

    Each lends the process a stack on which it takes signals, and takes it back when it ends. Of two, the one made first
    may end first; then Ctrl-C ended the process with a segmentation fault (OpenVINO 2026.4).
    """
    core = openvino().Core()
    # Unasked, it maps files into memory: Windows then neither renames nor replaces them, and weights that are written
    # over become those of a model in use.
    core.set_property({"ENABLE_MMAP": False})
    return core


def run_openvino(model: Any) -> Run:
    """Compile an `openvino.Model` for the processor: `uint8 (n, H, W, C)` to its first output.

    Args:
        model: What `openvino_core().read_model` returned.
    """
    # Unasked, it computes in bfloat16 or float16 where the processor has them, and ties its threads to cores on which
    # others decode images.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
    compiled = openvino_core().compile_model(model, "CPU", settings)
    idle = [compiled.create_infer_request()]

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:  # one request serves one thread at a time
            request = idle.pop()
        except IndexError:
            request = compiled.create_infer_request()
        count = max(1, _PIXELS_AT_ONCE // math.prod(images.shape[1:3]))
        parts = [np.ascontiguousarray(images[start : start + count]) for start in range(0, len(images), count)]
        outputs = [np.asarray(request.infer([part], share_inputs=True)[0]) for part in parts]
        idle.append(request)
        return np.concatenate(outputs)

    return run


def onnxruntime() -> Any:
    """Import ONNX Runtime, told not to report to Microsoft."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as library

    library.disable_telemetry_events()  # where it was imported before
    return library


def onnx_session(model: bytes) -> Any:
    """Open an ONNX model for the processor, and no other file: one that it names, such as weights, is refused."""
    library = onnxruntime()
    options = library.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others decode images meanwhile
    # ONNX Runtime looks for them in one folder alone: unasked, that is the model's own, and of bytes the working
    # directory. A model of strangers gave the bytes of files there as its answers. Below a file there is nothing, and
    # unlike an empty folder that need not be made: a container may let nothing be written.
    nowhere = str(Path(__file__) / "nowhere")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", nowhere)
    return library.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_onnx(session: Any) -> Run:
    """Return what runs an `onnxruntime.InferenceSession`: `uint8 (n, H, W, C)` to its first output."""
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])
