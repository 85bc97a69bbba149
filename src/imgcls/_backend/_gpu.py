"""TensorFlow asked about this machine: what it was built for, which devices it sees, whether they compute.

For `imgcls doctor`, which asks in a process of its own: TensorFlow may end that process.
"""

import re
from pathlib import Path
from typing import Any

import tensorflow as tf

# What TensorFlow opens before it takes a GPU (its dlopen_checker.cc), by the name of the version in its cuda_config.h.
_NEEDED = {
    "cudart": "CUDART",
    "cublas": "CUBLAS",
    "cublasLt": "CUBLAS",
    "cufft": "CUFFT",
    "cusolver": "CUSOLVER",
    "cusparse": "CUSPARSE",
    "cudnn": "CUDNN",
}


def checkup() -> dict[str, Any]:
    """Say what TensorFlow is and does here, as what JSON can hold.

    Returns:
        version: TensorFlow's.
        cuda, cudnn: The versions it was built for; None without CUDA.
        capabilities: The compute capabilities it was built for, such as "sm_80".
        libraries: The file names of the CUDA libraries it needs, such as "libcudnn.so.9".
        devices: For each device, "GPU:0", why it does not compute; None where it does.
    """
    build = tf.sysconfig.get_build_info()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # others may be training there
    names = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    return {
        "version": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "capabilities": build.get("cuda_compute_capabilities", []),
        "libraries": needed_libraries(Path(tf.sysconfig.get_include())) if build.get("is_cuda_build") else [],
        "devices": {name: _trouble(name) for name in names if name.startswith(("CPU", "GPU"))},
    }


def needed_libraries(include: Path) -> list[str]:
    """Name the CUDA libraries that TensorFlow opens, with the versions in the header it was built with."""
    try:
        header = (include / "third_party" / "gpus" / "cuda" / "cuda_config.h").read_text(encoding="utf-8")
    except OSError:
        return []
    versions = dict(re.findall(r'#define TF_(\w+)_VERSION "([^"]+)"', header))
    return [f"lib{name}.so.{versions[key]}" for name, key in _NEEDED.items() if key in versions]


def _trouble(device: str) -> str | None:
    """Compute a convolution and its gradient, which needs a driver, a compiler and cuDNN that fit each other."""
    try:
        with tf.device(device), tf.GradientTape() as tape:
            kernel = tf.Variable(tf.ones((3, 3, 1, 4)))
            outputs = tf.nn.conv2d(tf.ones((2, 8, 8, 1)), kernel, strides=1, padding="SAME")
        place = outputs.device.rpartition("/device:")[2]
        float(tf.reduce_sum(tape.gradient(outputs, kernel)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user has to know
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return None if place == device else f"TensorFlow computes on {place} instead"
