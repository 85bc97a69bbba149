"""Inference engines: a model as a function from pixels to numbers, run by the fastest library that agrees.

Every engine begins as TensorFlow's graph, compiled. A converted one takes its place when that pays, and only after it
gave the same numbers on real images. Libraries are imported when they are needed. They write to a temporary folder
alone and open no connection.
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._backend._tensorflow import devices

ENGINES = ("auto", "tensorflow", "openvino", "onnxruntime")
# Of the largest output. MobileNetV2's sums of float32, taken in another order, were 5e-6 apart: room for deeper
# networks. bfloat16, which a processor may prefer unasked, rounds every number by up to 4e-3.
TOLERANCE = 1e-3
_FEW, _REPEATS = 4, 3  # images, and how often they are run, to measure speed
_SLOWER = 0.9  # of the speed before: below it, a conversion was in vain; above it, the difference may be chance
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class _Way(NamedTuple):
    """A way to run a frozen graph.

    `make` returns None where it would not help. `cost` is what the conversion takes, in units of the time that tracing
    the model took, because that knows the machine; `saves` is the share of TensorFlow's time that is saved. Measured on
    two cores: MobileNetV2 cost 1.4, 2.8 and 8 (frozen, OpenVINO, ONNX Runtime), ResNet50 5, 8 and 37, but an image of
    it takes five times as long, so that it pays as soon.
    """

    name: str
    title: str
    make: Callable[[Any], Run | None]
    modules: tuple[str, ...]
    extra: str
    cost: float
    saves: float


@final
class Engine:
    """A model from `uint8 (n, H, W, C)` images 0-255 to `float32 (n, ...)`, for any n. Threads may call it at once.

    Made by `engine`. It keeps the weights that the model had then.

    Attributes:
        name: What runs: "tensorflow", "openvino" or "onnxruntime".
        reason: Why; both are final after the first call where the number of images is known.
    """

    def __init__(
        self,
        model: Any,
        ways: Sequence[_Way],
        *,
        asked: bool,
        reason: str,
        expected_images: int | None,
        say: Callable[[str], None] | None,
    ) -> None:
        self.name, self.reason = "tensorflow", reason
        self._ways, self._asked, self._expected, self._say = list(ways), asked, expected_images, say
        self._shape = model.output_shape[1:]
        start = time.perf_counter()
        self._graph = _traced(model)
        self._tracing = time.perf_counter() - start
        self._run = _by_tensorflow(self._graph)
        self._seen, self._seconds = 0, 0.0  # images so far, and TensorFlow's time for one
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the model's outputs."""
        if not len(images):  # folded convolutions refuse an empty batch
            return np.empty((0, *self._shape), np.float32)
        outputs = self._run(images)
        if self._ways and self._lock.acquire(blocking=False):
            try:  # other threads go on as before meanwhile
                self._consider(images, outputs)
            finally:
                self._lock.release()
        return outputs

    def _consider(self, images: NDArray[np.uint8], outputs: NDArray[np.float32]) -> None:
        """Convert, where that pays. `outputs` are what `images` give so far."""
        self._seen += len(images)
        if not self._asked:
            self._seconds = self._seconds or _seconds_each([self._run], images)[0]
        while (index := next((index for index, way in enumerate(self._ways) if self._pays(way)), None)) is not None:
            way = self._ways.pop(index)
            try:
                run, why = self._converted(way, images, outputs)
            except Exception as error:  # noqa: BLE001 - converters raise anything; TensorFlow can do without them
                run, why = None, f"{way.title} cannot run this model ({_first_line(error)})"
            if run is not None:
                self._run, self.name, self._ways = run, way.name, self._ways[:index]  # the quicker ones may still pay
                if way.name != "tensorflow":
                    self.reason = why
                break
            if way.name != "tensorflow":
                self.reason = why
                if self._say is not None:
                    self._say(f"{why}: TensorFlow computes")
        if not self._ways:
            self._graph = None

    def _pays(self, way: _Way) -> bool:
        # Of an unknown number of images, as many are expected as there were: that costs twice the optimum at most.
        left = self._seen if self._expected is None else self._expected - self._seen
        return self._asked or left * self._seconds * way.saves > way.cost * self._tracing

    def _converted(self, way: _Way, images: NDArray[np.uint8], outputs: NDArray[np.float32]) -> tuple[Run | None, str]:
        """Return the converted model and why it is used; or None and why it is not."""
        run = way.make(self._graph)
        if run is None:
            return None, ""
        largest = float(np.abs(outputs).max(initial=0))
        apart = float(np.abs(run(images) - outputs).max(initial=0))
        if not apart <= TOLERANCE * largest:  # also where it is not a number
            share = f"{apart / largest if largest else apart:.1g} of the largest output"
            return None, f"{way.title} differs from TensorFlow by {share}; {TOLERANCE:g} is accepted"
        if self._asked:
            return run, f"{way.title} was asked for, and agrees with TensorFlow"
        before, after = _seconds_each([self._run, run], images)
        speed = f"{before / after:.2g} times as fast"
        if before / after < _SLOWER:
            return None, f"{way.title} is {speed} as TensorFlow here"
        self._seconds = after
        return run, f"{way.title} agrees with TensorFlow and is {speed} here"


def engine(
    model: Any,
    name: str = "auto",
    *,
    expected_images: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Engine:
    """Return what runs a model, without training, on `uint8` images.

    Args:
        model: A `keras.Model` from pixels 0-255 to one output: features or probabilities.
        name: "tensorflow", "openvino", "onnxruntime"; "auto" for OpenVINO, else ONNX Runtime, where it is installed,
            agrees with TensorFlow on the first images and saves more time than its conversion takes; on a GPU,
            TensorFlow.
        expected_images: How many images will come; None where that is not known.
        say: Called with a line where a library is not used after all; None for silence.

    Raises:
        ConfigurationError: The name is not known, or its library is not installed.
    """
    _checks.refuse([_checks.unknown_name("engine", name, ENGINES) or _missing(name)])
    asked = name in {"openvino", "onnxruntime"}
    ways = [way for way in _WAYS if name in {"auto", way.name} and _is_installed(way)]
    if name == "tensorflow":
        reason = "TensorFlow was asked for"
    elif asked:
        reason = f"{ways[0].title} has to agree with TensorFlow first"
    elif ways[0].name == "tensorflow":
        reason = 'neither OpenVINO nor ONNX Runtime is installed: pip install "imgcls[fast]"'
    else:
        reason = f"so few images do not pay for the conversion to {ways[0].title}"
    if not asked and devices()["GPUs"]:
        ways, reason = [], "TensorFlow has a GPU"
    return Engine(model, ways, asked=asked, reason=reason, expected_images=expected_images, say=say)


def _is_installed(way: _Way) -> bool:
    return all(find_spec(module) is not None for module in way.modules)


def _missing(name: str) -> str | None:
    """Word what to install for an engine."""
    way = next((way for way in _WAYS if way.name == name and not _is_installed(way)), None)
    if way is None:
        return None
    lacking = " and ".join(module for module in way.modules if find_spec(module) is None)
    return (
        f'engine={name!r} needs {lacking}. Install it: pip install "imgcls[{way.extra}]". '
        "Or give engine='auto', which takes what is installed."
    )


def _seconds_each(runs: Sequence[Run], images: NDArray[np.uint8]) -> list[float]:
    """Return the seconds for an image, of each: measured in turn, and the least, because other work can only add."""
    few = images[:_FEW]
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(_REPEATS + 1):
        for run, seconds in zip(runs, taken, strict=True):
            start = time.perf_counter()
            run(few)
            seconds.append(time.perf_counter() - start)
    return [max(min(seconds[1:]) / len(few), 1e-9) for seconds in taken]  # the first makes what a new size needs


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


# --- TensorFlow ----------------------------------------------------------------------------------------------------


def _traced(model: Any) -> Any:
    def infer(images: Any) -> Any:
        return tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")]
    return tf.function(infer, input_signature=signature, jit_compile=False).get_concrete_function()


def _by_tensorflow(graph: Any) -> Run:
    return lambda images: np.asarray(graph(tf.constant(images)))


def _frozen(graph: Any) -> Any:
    """Return the graph with weights as constants in it."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(graph)


def _by_frozen_tensorflow(graph: Any) -> Run | None:
    """Let TensorFlow fold normalisations into convolutions, which it does with constants alone.

    MobileNets ran 1.2 to 1.6 times as fast for it, ResNet50 1.1 times. Where no normalisation follows a convolution,
    constants were slower than variables: `small_cnn` at 0.7 times the speed.
    """
    frozen = _frozen(graph)
    kinds = {node.name: node.op for node in frozen.graph.as_graph_def().node}
    products = [node for node in frozen.graph.as_graph_def().node if node.op == "Mul"]
    if not any(kinds.get(name) in _CONVOLUTIONS for node in products for name in node.input):
        return None
    return lambda images: np.asarray(frozen(tf.constant(images))[0])


# --- OpenVINO ------------------------------------------------------------------------------------------------------


def _by_openvino(graph: Any) -> Run:
    # Importing OpenVINO, and its own convert_model, report to Google Analytics unasked and write an id into the home
    # folder. Without this module, which is for that alone, they do neither.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None is how Python marks a module as absent
    import openvino

    with TemporaryDirectory(prefix="imgcls-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.pb"
        path.write_bytes(_frozen(graph).graph.as_graph_def().SerializeToString())
        core = openvino.Core()
        # Unasked, it computes in bfloat16 or float16 where the processor has them, and ties its threads to cores on
        # which others decode images.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
        model = core.compile_model(core.read_model(path), "CPU", settings)
    idle = [model.create_infer_request()]

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:  # one request serves one thread at a time
            request = idle.pop()
        except IndexError:
            request = model.create_infer_request()
        outputs = np.asarray(request.infer([np.ascontiguousarray(images)], share_inputs=True)[0])
        idle.append(request)
        return outputs

    return run


# --- ONNX Runtime --------------------------------------------------------------------------------------------------


def _by_onnxruntime(graph: Any) -> Run:
    # Unasked, it writes an id into the home folder and reports to Microsoft: from its import on, unless this says no.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # where it was imported before
    frozen = _frozen(graph)
    with _quiet():
        import tf2onnx

        # Opset 18 is in every ONNX Runtime since 1.14.
        names = {"input_names": [frozen.inputs[0].name], "output_names": [frozen.outputs[0].name]}
        model, _ = tf2onnx.convert.from_graph_def(frozen.graph.as_graph_def(), **names, opset=18)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others decode images meanwhile
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter from warning of its own use of old parts of TensorFlow."""
    loggers = [tf.get_logger(), logging.getLogger("tf2onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_WAYS = (  # the quickest first
    _Way("openvino", "OpenVINO", _by_openvino, ("openvino",), "fast", cost=4, saves=0.4),
    _Way(
        "onnxruntime", "ONNX Runtime", _by_onnxruntime, ("onnxruntime", "onnx", "tf2onnx"), "onnx", cost=12, saves=0.3
    ),
    _Way("tensorflow", "TensorFlow", _by_frozen_tensorflow, (), "", cost=2, saves=0.2),
)
