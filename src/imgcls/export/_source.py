"""What a writer gets: the model as a graph with all numbers in it, and what was asked for."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.errors import ExportError
from imgcls.export._facts import Facts

if TYPE_CHECKING:
    from imgcls._backend import Definition


class Wanted(NamedTuple):
    """How it shall be written.

    Attributes:
        any_size: Whether the file shall resize images itself.
        quantize: None, "float16" or "int8".
        representative: `uint8 (n, H, W, C)` images by which ranges are set; needed for "int8" alone.
    """

    any_size: bool = False
    quantize: str | None = None
    representative: NDArray[np.uint8] | None = None


@final
@dataclass(frozen=True)
class Source:
    """A model on its way into a file.

    Attributes:
        model: A `keras.Model` from pixels 0-255 to probabilities `(N, K)`.
        facts: What the file shall say of itself.
    """

    model: Any
    facts: Facts

    @classmethod
    def of(cls, model: Any, facts: Facts) -> "Source":
        """Check that a classifier fits its facts, and complete its probabilities.

        Raises:
            ExportError: It takes other images or gives another number of probabilities.
        """
        takes, gives, count = tuple(model.input_shape[1:]), tuple(model.output_shape[1:]), len(facts.classes)
        if takes != facts.input_shape or gives not in {(count,), (1,)} or (gives == (1,) and count > 2):
            message = (
                f"the model takes {takes} and gives {gives}, and {facts.input_shape} to ({count},) was said. Its facts "
                "are of another model."
            )
            raise ExportError(message)
        return cls(_both(model) if gives == (1,) and count == 2 else model, facts)

    @cached_property
    def graph(self) -> Any:
        """The model in use as one TensorFlow graph: `uint8 (N, H, W, C)` to `float32 (N, K)`."""
        from imgcls import _backend

        return _backend.traced(self.model)

    @cached_property
    def definition(self) -> "Definition":
        """The same with its weights as constants, as data."""
        from imgcls import _backend

        return _backend.defined(self.graph)

    @cached_property
    def run(self) -> Run:
        """What runs the original."""
        from imgcls import _backend

        return _backend.by_tensorflow(self.graph)

    def function(self, *, batch: int | None = None, constants: bool = False) -> Any:
        """Return a `tf.function` of the graph that names what it takes and gives.

        Args:
            batch: How many images it takes; None for any number.
            constants: Whether its weights are constants; else they are the variables of `module`.
        """
        import tensorflow as tf

        run = self._constant() if constants else self.graph
        signature = [tf.TensorSpec((batch, *self.facts.input_shape), tf.uint8, name="images")]

        def serve(images: Any) -> dict[str, Any]:
            return {"probabilities": run(images)}

        return tf.function(serve, input_signature=signature, autograph=False)

    def module(self) -> Any:
        """Return a `tf.Module` that owns the model's variables."""
        import tensorflow as tf

        module = tf.Module()
        module.weights = list(self.graph.variables)
        return module

    def _constant(self) -> Any:
        import tensorflow as tf

        graph, inside, outside = copy.deepcopy(self.definition)
        for node in graph.node:  # whoever loads it would be warned that it cannot be trained
            node.attr.pop("_gradient_op_type", None)
        whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
        return whole.prune(inside, outside)


def _both(model: Any) -> Any:
    """Return a model that gives both probabilities where the classifier gives one: [1 - p, p]."""
    import keras

    one = model.outputs[0]
    other = keras.layers.Rescaling(-1.0, 1.0, name="other", dtype="float32")(one)  # whatever the global policy is
    both = keras.layers.Concatenate(name="probabilities", dtype="float32")([other, one])
    return keras.Model(model.inputs[0], both, name="classifier")
