"""Inference engines: a model as a function from pixels to numbers, run by the fastest library that agrees.

Which one is decided before the first image, by the work there is to do and never by a clock, and all images go through
the same: what is computed again, on the same machine, has the same bits. Libraries are imported when they are needed.
They write to a temporary folder alone and open no connection.
"""

import copy
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls import _checks, _runtimes
from imgcls._backend._inference import in_parts
from imgcls._backend._tensorflow import devices
from imgcls._runtimes import Run

ENGINES = ("auto", "tensorflow", "openvino", "onnxruntime")
# Of the largest output. MobileNetV2's sums of float32, taken in another order, were 5e-6 apart: room for deeper
# networks. bfloat16, which a processor may prefer unasked, rounds every number by up to 4e-3.
TOLERANCE = 1e-3
_SLOWER = 0.9  # of the speed before: below it, a conversion was in vain; above it, the difference may be chance
_HEAVY, _WEIGHT = 2**29, 2**16  # bytes of a graph, and of a constant in it
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})


class _Way(NamedTuple):
    """A way to run a frozen graph. `make` returns None where it would not help."""

    name: str
    title: str
    make: Callable[[Any], Run | None]
    modules: tuple[str, ...]
    extra: str
    least: float  # multiply-adds, of all images together, below which its conversion does not pay


@final
class Engine:
    """A model from `uint8 (n, H, W, C)` images 0-255 to `float32 (n, ...)`, for any n. Threads may call it at once.

    Made by `engine`. It keeps the weights that the model had then.

    Attributes:
        name: What runs: "tensorflow", "openvino" or "onnxruntime".
        reason: Why; both are final after the first call.
    """

    def __init__(self, model: Any, ways: Sequence[_Way], *, reason: str, say: Callable[[str], None] | None) -> None:
        self.name, self.reason = "tensorflow", reason
        self._ways, self._say = ways, say
        self._shape = model.output_shape[1:]
        self._graph = traced(model)
        self._run = by_tensorflow(self._graph)
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the model's outputs."""
        if not len(images):  # folded convolutions refuse an empty batch
            return np.empty((0, *self._shape), np.float32)
        if self._ways:
            with self._lock:  # who comes second waits, and goes the same way
                if self._ways:
                    return self._settled(images)
        return self._run(images)

    def _settled(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Convert the model by the first way that agrees with TensorFlow on these images, and return its outputs."""
        outputs = self._run(images)
        for way in self._ways:
            run: Run | None = None
            try:
                run, found, words = self._converted(way, images, outputs)
            except Exception as error:  # noqa: BLE001 - converters raise anything; TensorFlow can do without them
                words = f"{way.title} cannot run this model ({_first_line(error)})"
            self.reason = words or self.reason
            if run is not None:
                self._run, self.name, outputs = run, way.name, found
                break
            if words and self._say is not None:
                self._say(f"{words}: another computes")
        self._ways = []
        return outputs

    def _converted(
        self, way: _Way, images: NDArray[np.uint8], outputs: NDArray[np.float32]
    ) -> tuple[Run | None, NDArray[np.float32], str]:
        """Return the converted model, or None; what it gives for the images; and why."""
        run = way.make(self._graph)
        if run is None:
            return None, outputs, ""
        largest, found = float(np.abs(outputs).max(initial=0)), run(images)
        apart = float(np.abs(found - outputs).max(initial=0))
        if not apart <= TOLERANCE * largest:  # also where it is not a number
            share = f"{apart / largest if largest else apart:.1g} of the largest output"
            return None, found, f"{way.title} differs from TensorFlow by {share}; {TOLERANCE:g} is accepted"
        return (
            run,
            found,
            "" if way.name == "tensorflow" else f"{way.title} agrees with TensorFlow and is quicker on processors",
        )


def engine(model: Any, name: str = "auto", *, work: float = 0, say: Callable[[str], None] | None = None) -> Engine:
    """Return what runs a model, without training, on `uint8` images.

    Args:
        model: A `keras.Model` from pixels 0-255 to one output: features or probabilities.
        name: "tensorflow", "openvino", "onnxruntime"; "auto" for OpenVINO, else ONNX Runtime, where it is installed,
            agrees with TensorFlow on the first images and there is work enough to pay for its conversion; on a GPU,
            TensorFlow.
        work: The multiply-adds of all images that will come, together; 0 where that is not known.
        say: Called with a line where a library is not used after all; None for silence.

    Raises:
        ConfigurationError: The name is not known, or its library is not installed.
    """
    _checks.refuse([_checks.unknown_name("engine", name, ENGINES) or _missing(name)])
    ways = [way for way in _WAYS if name in {"auto", way.name} and _is_installed(way)]
    if name in {"openvino", "onnxruntime"}:
        return Engine(model, ways, reason=f"{ways[0].title} has to agree with TensorFlow first", say=say)
    if name == "tensorflow":
        reason = "TensorFlow was asked for"
    elif ways[0].name == "tensorflow":
        reason = 'neither OpenVINO nor ONNX Runtime is installed: pip install "imgcls[fast]"'
    else:
        reason = f"so little work does not pay for the conversion to {ways[0].title}"
    ways = [way for way in ways if work >= way.least]
    if devices()["GPUs"]:
        ways, reason = [], "TensorFlow has a GPU"
    return Engine(model, ways, reason=reason, say=say)


def pays(name: str, work: float) -> bool:
    """Say whether `engine` would take another way for that many multiply-adds than for few."""
    return name == "auto" and not devices()["GPUs"] and any(_is_installed(way) and work >= way.least for way in _WAYS)


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


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


# --- TensorFlow ----------------------------------------------------------------------------------------------------


def traced(model: Any) -> Any:
    """Return a model in use as one graph, from `uint8 (n, H, W, C)` to its output in float32."""

    def infer(images: Any) -> Any:
        return tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")]
    return tf.function(infer, input_signature=signature, autograph=False, jit_compile=False).get_concrete_function()


def by_tensorflow(graph: Any) -> Run:
    """Return what runs a graph that `traced` returned."""
    return in_parts(lambda images: np.asarray(graph(tf.constant(images))))


def frozen(graph: Any) -> Any:
    """Return the graph with weights as constants in it."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(graph)


class Definition(NamedTuple):
    """A graph with weights as constants in it, as data."""

    graph: Any  # a GraphDef
    input: str  # the name of a tensor
    output: str


def defined(graph: Any) -> Definition:
    """Return the graph with weights as constants in it, once: in a function there are ten copies of them."""
    from tensorflow.python.framework import convert_to_constants

    try:
        data = convert_to_constants._FunctionConverterDataInEager(  # noqa: SLF001 - half of what `frozen` calls
            func=graph, lower_control_flow=True, aggressive_inlining=False
        )
        replace = convert_to_constants._replace_variables_by_constants  # noqa: SLF001 - the rest makes the function
        found, _ = replace(converter_data=data)
    except (AttributeError, TypeError):  # another TensorFlow
        found = frozen(graph).graph.as_graph_def()
    return Definition(found, graph.inputs[0].name, graph.outputs[0].name)


def _by_frozen_tensorflow(graph: Any) -> Run | None:
    """Let TensorFlow fold normalisations into convolutions, which it does with constants alone.

    MobileNets ran 1.2 to 1.6 times as fast for it, ResNet50 1.1 times. Where no normalisation follows a convolution,
    constants were slower than variables: `small_cnn` at 0.7 times the speed.
    """
    graph = frozen(graph)
    kinds = {node.name: node.op for node in graph.graph.as_graph_def().node}
    products = [node for node in graph.graph.as_graph_def().node if node.op == "Mul"]
    if not any(kinds.get(name) in _CONVOLUTIONS for node in products for name in node.input):
        return None
    return in_parts(lambda images: np.asarray(graph(tf.constant(images))[0]))


# --- OpenVINO ------------------------------------------------------------------------------------------------------


def _by_openvino(graph: Any) -> Run:
    core = _runtimes.openvino_core()
    with TemporaryDirectory(prefix="imgcls-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.pb"
        path.write_bytes(defined(graph).graph.SerializeToString())
        return _runtimes.run_openvino(core.read_model(path))


# --- ONNX Runtime --------------------------------------------------------------------------------------------------


def _by_onnxruntime(graph: Any) -> Run:
    _runtimes.onnxruntime()  # first of all: the converter may import it too
    return _runtimes.run_onnx(_runtimes.onnx_session(as_onnx(defined(graph)).SerializeToString()))


def as_onnx(definition: Definition, output: str = "outputs") -> Any:
    """Return a graph as an `onnx.ModelProto`, with the input "images".

    Its one real input is named: `tf2onnx.convert.from_function`, and with it `keras.Model.export(format="onnx")`, takes
    all that a graph captures for inputs too. In EfficientNet these are the mean and variance of Keras' `Normalization`,
    which are no variables; their values are lost, and ONNX Runtime refuses to run without them.

    Args:
        definition: What `defined` returned.
        output: What to call the output.
    """
    with quiet(), tf.device("/cpu:0"):
        from tf2onnx import optimizer, tf_loader, tfonnx

        whole, inside, outside = definition

        def imported() -> Any:  # a function, so that its graphs are gone where others are made
            light, weights = _apart(whole)
            with tf.Graph().as_default():
                optimized = tf_loader.tf_optimize([inside], [outside], _inlinable(light))
            with tf.Graph().as_default() as graph:
                tf.import_graph_def(_without_erfc(_together(optimized, weights)), name="")
            return graph

        def converted() -> Any:
            return tfonnx.process_tf_graph(
                imported(),
                input_names=[inside],
                output_names=[outside],
                tensors_to_rename={inside: "images", outside: output},
                opset=18,  # in every ONNX Runtime since 1.14
            )

        graph = converted()
        # After each of its 24 passes the converter would write all weights down again, where nobody has looked yet, and
        # protobuf frees none of it: 14 GB for ResNet101, whose weights are 0.16 GB.
        graph.update_proto = lambda *_: None
        try:
            graph = optimizer.optimize_graph(graph, catch_errors=False)
        except Exception:  # noqa: BLE001 - passes raise anything, and can be done without
            graph = converted()
        vars(graph).pop("update_proto", None)
        return graph.make_model("imgcls")


def _apart(definition: Any) -> tuple[Any, dict[str, Any]]:
    """Return a copy of a graph, and the weights that are missing in it: placeholders of their names stand for them.

    What optimises a graph makes a dozen copies of all that is in it. Of small graphs nothing is taken out: with weights
    in sight, multiplications after a convolution become part of its kernel.
    """
    if definition.ByteSize() < _HEAVY:
        return copy.deepcopy(definition), {}
    light, weights = type(definition)(versions=definition.versions, library=definition.library), {}
    for node in definition.node:
        if node.op != "Const" or node.ByteSize() < _WEIGHT:
            light.node.add().CopyFrom(node)
            continue
        weights[node.name] = node
        shape = tf.compat.v1.AttrValue(shape=node.attr["value"].tensor.tensor_shape)
        light.node.add(op="Placeholder", name=node.name, attr={"dtype": node.attr["dtype"], "shape": shape})
    return light, weights


def _together(definition: Any, weights: Mapping[str, Any]) -> Any:
    """Put weights back, into the graph itself."""
    for node in definition.node:
        if node.name in weights:
            node.CopyFrom(weights[node.name])
    return definition


def _inlinable(definition: Any) -> Any:
    """Let TensorFlow inline all functions of a graph, which is changed.

    Keras compiles grouped convolutions, of which ConvNeXt is made, by XLA, for TensorFlow has none on processors. Such
    a function stays one where others are inlined, and the converter knows none.
    """
    functions = definition.library.function
    for one in (*definition.node, *functions):
        for name in ("_XlaMustCompile", "_noinline"):
            one.attr.pop(name, None)
    for function in functions:  # TensorFlow knows its name already, with other attributes
        function.signature.name += "_inlinable"
    for node in (*definition.node, *(node for function in functions for node in function.node_def)):
        if "f" in node.attr:
            node.attr["f"].func.name += "_inlinable"
    return definition


def _without_erfc(definition: Any) -> Any:
    """Write erfc(x) as 1 - erf(x): TensorFlow makes GELU of the first, and ONNX has the second alone."""
    for node in [node for node in definition.node if node.op == "Erfc"]:
        erf, one = definition.node.add(), definition.node.add(op="Const", name=f"{node.name}/one")
        erf.CopyFrom(node)
        erf.op, erf.name = "Erf", f"{node.name}/erf"
        one.attr["dtype"].type = tf.float32.as_datatype_enum
        one.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0))
        node.op = "Sub"
        node.input[:] = [one.name, erf.name]
    return definition


@contextmanager
def quiet() -> Iterator[None]:
    """Keep converters from warning of their own use of old parts of TensorFlow."""
    loggers = [tf.get_logger(), logging.getLogger("tf2onnx"), logging.getLogger("absl")]
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


# For MobileNetV2 at 224 pixels, of 0.3 G multiply-adds, conversions took 3, 8 and 1.5 s, and saved a third of the 8 ms
# that an image takes on two cores, or a fifth by constants alone.
_WAYS = (  # the quickest first
    _Way("openvino", "OpenVINO", _by_openvino, ("openvino",), "fast", least=300e9),
    _Way("onnxruntime", "ONNX Runtime", _by_onnxruntime, ("onnxruntime", "onnx", "tf2onnx"), "onnx", least=900e9),
    _Way("tensorflow", "TensorFlow", _by_frozen_tensorflow, (), "", least=300e9),
)
