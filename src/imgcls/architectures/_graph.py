"""Keras' graph of layers, walked and called again. What is made here shares the layers of what it is made from."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras


def is_graph(layer: Any) -> bool:
    """Return whether a layer is itself a model made of layers, and not one written as a class."""
    return isinstance(layer, keras.Model) and bool(getattr(layer, "inputs", None))


def leaves(model: Any) -> Iterator[Any]:
    """Give the layers of a model that have weights, in order; of a layer that is a model, its layers."""
    for layer in model.layers:
        if is_graph(layer):
            yield from leaves(layer)
        elif layer.weights:
            yield layer


def made_by(tensor: Any) -> Any:
    """Return the node of Keras' graph that a symbolic tensor comes from."""
    operation, index, _ = tensor._keras_history  # noqa: SLF001 - Keras has no public way back from a tensor
    return operation._inbound_nodes[index]  # noqa: SLF001 - the same


def called_again(model: Any, call: Callable[..., Any], shape: Any = None) -> Any:
    """Return a model of the same layers, each of them called through `call(layer, *arguments, **options)`.

    Args:
        model: A Functional or Sequential model with one input.
        call: What returns the outputs of a layer.
        shape: Another shape of the input, with the axis of images.
    """
    inputs = None if shape is None else keras.Input(batch_shape=shape)
    graph = keras.Model(
        model.inputs[0], model.outputs[0]
    )  # of a Sequential too, whose layers cannot be called otherwise
    return keras.models.clone_model(graph, inputs, clone_function=lambda layer: layer, call_function=call)


@contextmanager
def named_afresh() -> Iterator[None]:
    """Let layers that nobody names count from the beginning, so that the same builder gives the same names."""
    from keras.src.backend.common import global_state  # Keras can reset its counters, but not put them back

    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Let unseeded initialisers follow from `seed`: Keras draws their seeds from Python's `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
