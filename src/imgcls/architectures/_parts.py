"""The parts of a built classifier: its features, and the last feature map. They share its layers."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from imgcls.architectures._graph import called_again, is_graph, leaves, made_by
from imgcls.architectures._speed import FIXED_LAYER
from imgcls.errors import ConfigurationError

BOTH_WAYS = "both_ways"  # the layer that averages an image and its mirror image
_ENDINGS = {"softmax": keras.activations.softmax, "sigmoid": keras.activations.sigmoid}
_SCALING = (  # layers with weights that give the picture that they take, each number of it scaled
    layers.Normalization,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.RMSNormalization,
    layers.PReLU,
)


def cut(model: Any) -> Any:
    """Return the part of a classifier that makes features of pixels, without dropout and head.

    Args:
        model: What `build` returned.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `float32 (N, D)` features. Its layers are those of `model`: what
        the one learns later, the other has learnt.

    Raises:
        ConfigurationError: It is a model of your own that has no last `Dense` layer to be cut off.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> architectures.cut(model).output.shape
        (None, 64)
    """
    return keras.Model(model.inputs[0], _before_head(_of_own(model)), name="features")


def with_features(model: Any) -> Any:
    """Return a model that gives features and probabilities in one pass, side by side: `float32 (N, D + O)`.

    Args:
        model: What `build` returned, with a head that `head_of` finds.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> architectures.with_features(model).output.shape  # 64 features, 10 probabilities
        (None, 74)
    """
    both = layers.Concatenate(dtype="float32")([_before_head(_of_own(model), beside="_features"), model.outputs[0]])
    return keras.Model(model.inputs[0], both, name="with_features")


def last_feature_map(model: Any) -> Any:
    """Return a model that also gives the feature map on which a classifier decides, as Grad-CAM needs it.

    It is the last tensor `(N, h, w, C)` of more than one pixel, found also in models inside of models. What stands
    before the first layer that makes features, such as a convolution, is the picture itself and does not count.

    Args:
        model: What `build` returned.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `[feature map (N, h, w, C), probabilities (N, K)]`, the second
        computed from the first, so that a gradient can be taken between them. Its layers are those of `model`.

    Raises:
        ConfigurationError: No layer gives a feature map, as in a network of `Dense` layers.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> [tuple(output.shape) for output in architectures.last_feature_map(model).outputs]
        [(None, 4, 4, 64), (None, 10)]
    """
    front = list(takewhile(lambda layer: layer.name != "backbone", model.layers))
    found = _with_feature_map(_one_way(model), front)
    if found is None:
        message = (
            "no layer of the model gives a feature map (N, h, w, C) of more than one pixel: there is none to explain."
        )
        raise ConfigurationError(message)
    return found


def unfreeze(model: Any, share: float = 1.0) -> None:
    """Let the upper layers of a frozen backbone learn, but for its batch normalisations.

    Those keep the statistics of the images that the backbone was pretrained on: from small batches of few images they
    would collapse (https://keras.io/guides/transfer_learning/).

    Args:
        model: What `build` returned with `fine_tune=False`.
        share: How many of the backbone's layers learn, from the last one downwards; above 0, up to 1.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10, fine_tune=False)
        >>> architectures.unfreeze(model, 0.5)
        >>> [variable.path for variable in model.trainable_variables]
        ['block3_conv/kernel', 'head/kernel', 'head/bias']
    """
    backbone = model.get_layer("backbone")
    backbone.trainable = True
    learnt = list(leaves(backbone))
    lowest = len(learnt) - max(1, round(share * len(learnt)))
    for index, layer in enumerate(learnt):
        if index < lowest or layer.name == FIXED_LAYER or isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def temper(model: Any, temperature: float) -> bool:
    """Divide a classifier's scores before softmax or sigmoid by a number: its last kernel and bias.

    So a temperature costs nothing in use, and is part of whatever is made of the model. The likeliest class stays so.

    Args:
        model: What `build` returned. It is changed in place.
        temperature: Above 0.

    Returns:
        Whether it was: a model of your own may end otherwise, and then stays as it is.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=2)
        >>> image = np.full((1, 16, 16, 1), 200.0)
        >>> before = np.asarray(model(image))
        >>> architectures.temper(model, 2.0)
        True
        >>> odds = [float(np.log(found[0, 0] / found[0, 1])) for found in (before, np.asarray(model(image)))]
        >>> round(odds[0] / odds[1], 3)
        2.0
    """
    found = _head(model)
    if found is None:
        return False
    layer, _ = found
    layer.set_weights([array / temperature for array in layer.get_weights()])
    return True


class Head(NamedTuple):
    """By what a classifier decides on features.

    Attributes:
        kernel: `float32 (D, O)`.
        bias: `float32 (O,)`.
        activation: "softmax" or "sigmoid".

    Examples:
        >>> import numpy as np
        >>> from imgcls.architectures import Head
        >>> head = Head(np.float32([[1.0, -1.0]]), np.float32([0.0, 0.0]), "softmax")
        >>> head.scores(np.float32([[0.5]])).tolist()
        [[0.5, -0.5]]
        >>> head(np.float32([[0.5]])).round(2).tolist()  # e to the 0.5 and e to the -0.5, of their sum
        [[0.7300000190734863, 0.27000001072883606]]
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what softmax or sigmoid is taken of, `(N, O)`, of features `(N, D)`."""
        return np.asarray(features @ self.kernel + self.bias, np.float32)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the classifier's outputs `(N, O)` of features `(N, D)`."""
        from scipy.special import expit, softmax

        scores = self.scores(features)
        return np.asarray(expit(scores) if self.activation == "sigmoid" else softmax(scores, axis=1), np.float32)


def head_of(model: Any) -> Head | None:
    """Return by what a classifier decides on what `cut` returns.

    None where a model of your own ends otherwise than with Keras' `Dense` and one softmax or sigmoid.

    Args:
        model: What `build` returned.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=3)
        >>> image = np.full((1, 16, 16, 1), 200.0)
        >>> head = architectures.head_of(model)
        >>> head.kernel.shape, head.bias.shape, head.activation
        ((64, 3), (3,), 'softmax')
        >>> features = np.asarray(architectures.cut(model)(image))
        >>> bool(np.allclose(head(features), model(image), atol=1e-6))
        True
    """
    found = _head(model)
    if found is None:
        return None
    layer, activation = found
    kernel, *bias = layer.get_weights()
    return Head(kernel, bias[0] if bias else 0 * kernel[0], activation)


def probabilities(outputs: NDArray[np.float32], num_classes: int) -> NDArray[np.float32]:
    """Turn a model's outputs into probabilities `(N, K)`: one sigmoid for two classes becomes [1 - p, p].

    Args:
        outputs: `float32 (N, O)`.
        num_classes: K.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> architectures.probabilities(np.array([[0.25]], np.float32), 2).tolist()
        [[0.75, 0.25]]
    """
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] < num_classes else outputs


def _head(model: Any, after: Sequence[Any] = ()) -> tuple[Any, str] | None:
    """Return the last layer and "softmax" or "sigmoid", if it is Keras' `Dense` and that alone follows it, once.

    None else: by kernel and bias nobody could tell then what the model answers.

    Args:
        model: A classifier, or the model within it that is its last layer.
        after: The activations that follow it there.
    """
    node, activations = made_by(model.outputs[0]), list(after)
    while _computes_as(node.operation, layers.Activation, layers.Softmax):
        activations.append(getattr(node.operation, "activation", keras.activations.softmax))
        node = made_by(node.input_tensors[0])
    layer = node.operation
    if is_graph(layer):
        return _head(layer, activations)
    if not _computes_as(layer, layers.Dense) or len(node.input_tensors[0].shape) != 2:
        return None
    if len(layer.weights) != 1 + layer.use_bias:  # such as LoRA's, which are more than kernel and bias
        return None
    activations = [one for one in (layer.activation, *activations) if one not in {None, keras.activations.linear}]
    return next(((layer, name) for name, ending in _ENDINGS.items() if activations == [ending]), None)


def _computes_as(layer: Any, *kinds: Any) -> bool:
    """Say whether a layer computes what one of Keras' layers does: a subclass with a `call` of its own may not."""
    return any(isinstance(layer, kind) and type(layer).call is kind.call for kind in kinds)


def _one_way(model: Any) -> Any:
    """Return a classifier without its second look at the mirror image."""
    node = made_by(model.outputs[0])
    if node.operation.name == BOTH_WAYS:  # of your own: probabilities are averaged
        return keras.Model(model.inputs[0], node.input_tensors[0])
    before = made_by(node.input_tensors[0]) if isinstance(node.operation, layers.Dense) else node
    if before.operation.name != BOTH_WAYS:
        return model
    return keras.Model(model.inputs[0], node.operation(before.input_tensors[0]))


def _of_own(model: Any) -> Any:
    """Return one way of a classifier that averages probabilities; one that averages features has features of both."""
    node = made_by(model.outputs[0])
    return _one_way(model) if node.operation.name == BOTH_WAYS else model


def _before_head(model: Any, *, beside: str = "") -> Any:
    """Return the tensor of a model that its last `Dense` layer takes, before dropout.

    Args:
        model: A classifier.
        beside: Where the tensor stands in one graph with the outputs: what tells inner models from their namesakes.
    """
    node = made_by(model.outputs[0])
    while isinstance(node.operation, layers.Activation | layers.Softmax):
        node = made_by(node.input_tensors[0])
    if is_graph(node.operation):
        within, name = _before_head(node.operation, beside=beside), f"{node.operation.name}{beside}"
        inside = keras.Model(node.operation.inputs[0], within, name=name)
        return inside(node.input_tensors[0])
    if not isinstance(node.operation, layers.Dense) or len(node.input_tensors[0].shape) != 2:
        message = (
            f"the model ends with the layer {node.operation.name!r}, and features are what its last Dense layer takes. "
            "Let it end with Dense, or give a model without a head: it gets one."
        )
        raise ConfigurationError(message)
    features = node.input_tensors[0]
    while isinstance(made_by(features).operation, layers.Dropout):
        features = made_by(features).input_tensors[0]
    return features


def _with_feature_map(model: Any, front: Sequence[Any] = ()) -> Any:
    """Return a model like this one that gives its last feature map too, or None where it has none."""
    waiting = [made_by(model.outputs[0])]
    for node in waiting:  # breadth first: what is nearest to the output is found first
        if node.is_input or node.operation in front:
            continue
        if _is_map(node) and _has_features(node):
            return keras.Model(model.inputs[0], [node.output_tensors[0], model.outputs[0]], name="last_feature_map")
        inside = _with_feature_map(node.operation) if is_graph(node.operation) else None
        if inside is not None:
            return _with_inside(model, node.operation, inside)
        waiting += [one for one in node.parent_nodes if one not in waiting]
    return None


def _is_map(node: Any) -> bool:
    """Say whether a node gives a map of more than one pixel."""
    shape = node.output_tensors[0].shape
    return len(shape) == 4 and tuple(shape[1:3]) != (1, 1)


def _has_features(node: Any) -> bool:
    """Say whether something with weights has made a map on the way to a node: before that, a map is the picture.

    What scales each number by itself, such as a normalisation, makes no features.
    """
    waiting = [node]
    for one in waiting:
        if one.is_input:
            continue
        if is_graph(one.operation):
            if _has_features(made_by(one.operation.outputs[0])):
                return True
        elif _is_map(one) and getattr(one.operation, "weights", False) and not isinstance(one.operation, _SCALING):
            return True
        waiting += [parent for parent in one.parent_nodes if parent not in waiting]
    return False


def _with_inside(model: Any, layer: Any, inside: Any) -> Any:
    """Return a model that gives the feature map found `inside` one of its layers, which is a model too."""
    maps = []

    def call(called: Any, *arguments: Any, **options: Any) -> Any:
        if called is not layer:
            return called(*arguments, **options)
        feature_map, outputs = inside(*arguments)
        maps.append(feature_map)
        return outputs

    same = called_again(model, call)
    return keras.Model(same.inputs[0], [maps[-1], same.outputs[0]], name="last_feature_map")
