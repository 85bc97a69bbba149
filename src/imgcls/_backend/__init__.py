"""The one place that imports TensorFlow for computing: compiled training step, compiled inference, devices.

Another Keras backend is one more file with the same names. Importing this package starts TensorFlow.
"""

import keras

from imgcls.errors import ConfigurationError

if keras.backend.backend() != "tensorflow":
    message = (
        f"Keras runs on {keras.backend.backend()!r}. imgcls trains on TensorFlow: set KERAS_BACKEND=tensorflow before "
        "Keras is first imported."
    )
    raise ConfigurationError(message)

from imgcls._backend._copies import copied
from imgcls._backend._engines import (
    ENGINES,
    Definition,
    Engine,
    as_onnx,
    by_tensorflow,
    defined,
    engine,
    pays,
    quiet,
    traced,
)
from imgcls._backend._gradients import Gradients, Scores, gradient_function, score_function
from imgcls._backend._inference import compiled, in_both_modes, in_full_float32
from imgcls._backend._strategy import Placement, joined, of_one_replica, placement, refresh_normalizations
from imgcls._backend._tensorflow import (
    OutOfMemory,
    TrainingStep,
    devices,
    gpus_with_bfloat16,
    make_deterministic,
    passed_over,
    processor_with_bfloat16,
    streamed,
    takes,
)
from imgcls._backend._weights import weights_digest

__all__ = [
    "ENGINES",
    "Definition",
    "Engine",
    "Gradients",
    "OutOfMemory",
    "Placement",
    "Scores",
    "TrainingStep",
    "as_onnx",
    "by_tensorflow",
    "compiled",
    "copied",
    "defined",
    "devices",
    "engine",
    "gpus_with_bfloat16",
    "gradient_function",
    "in_both_modes",
    "in_full_float32",
    "joined",
    "make_deterministic",
    "of_one_replica",
    "passed_over",
    "pays",
    "placement",
    "processor_with_bfloat16",
    "quiet",
    "refresh_normalizations",
    "refuse_channels_first",
    "score_function",
    "streamed",
    "takes",
    "traced",
    "weights_digest",
]


def refuse_channels_first() -> None:
    """Refuse to build a model while new layers of Keras take `(N, C, H, W)`: over `(N, H, W, C)` they learn nonsense.

    Raises:
        ConfigurationError: The setting is "channels_first".
    """
    found = keras.config.image_data_format()
    if found != "channels_last":
        message = (
            f"Keras is set to image_data_format {found!r}, and images are (N, H, W, C) here. Accepted: "
            "'channels_last'. Call keras.config.set_image_data_format('channels_last'), and take the setting out of "
            "~/.keras/keras.json if it comes from there."
        )
        raise ConfigurationError(message)
