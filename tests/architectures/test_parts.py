"""`cut` and `last_feature_map`: parts of a classifier that share its layers, in models of every make."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import expit, logit, softmax

from imgcls import ConfigurationError, architectures

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")


def nested(input_shape, num_classes):
    """Build what tutorials build: a backbone as one layer of the model, and a head."""
    base = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(5, 3, strides=2), layers.ReLU(), layers.Conv2D(7, 3)]
    )
    middle = keras.Sequential([keras.Input(input_shape), layers.Rescaling(1 / 255), base, layers.MaxPooling2D()])
    tail = [layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(input_shape), middle, *tail])


def dense_only(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(6), layers.Dense(num_classes)])


def convolutional_to_the_end(input_shape, num_classes):
    stages = [layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(keepdims=True), layers.Conv2D(num_classes, 1)]
    return keras.Sequential([keras.Input(input_shape), *stages, layers.Flatten(), layers.Softmax()])


@pytest.mark.parametrize("pooling", ["average", "max", "flatten"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_head_on_features_gives_the_probabilities(pooling, head):
    model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=4, pooling=pooling, head=head)
    kernel, bias = model.get_layer("head").get_weights()
    logits = np.asarray(architectures.cut(model)(IMAGES)) @ kernel + bias
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = {"softmax": exponents / exponents.sum(axis=1, keepdims=True), "sigmoid": 1 / (1 + np.exp(-logits))}
    np.testing.assert_allclose(model(IMAGES), expected[head], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", [nested, nested((32, 32, 3), 4)], ids=["function", "model"])
def test_own_models_are_cut_before_their_last_dense_layer(architecture):
    model = architectures.build(architecture, input_shape=(32, 32, 3), num_classes=4)
    kernel, bias = model.get_layer("backbone").layers[-1].get_weights()
    features = architectures.cut(model)
    assert features.output.shape == (None, 7)
    exponents = np.exp(np.asarray(features(IMAGES)) @ kernel + bias)
    np.testing.assert_allclose(model(IMAGES), exponents / exponents.sum(axis=1, keepdims=True), rtol=1e-5)


def test_a_cut_shares_its_weights():
    model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=4)
    features = architectures.cut(model)
    before = np.asarray(features(IMAGES))
    model.set_weights([array * 0 for array in model.get_weights()])
    assert before.any()
    assert not np.asarray(features(IMAGES)).any()


def test_what_ends_without_dense_cannot_be_cut():
    model = architectures.build(convolutional_to_the_end, input_shape=(32, 32, 3), num_classes=4)
    with pytest.raises(ConfigurationError) as refusal:
        architectures.cut(model)
    name = model.get_layer("backbone").layers[-2].name
    assert str(refusal.value) == (
        f"the model ends with the layer {name!r}, and features are what its last Dense layer takes. Let it end with Dense, or give a model without a head: it gets one."
    )


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("small_cnn", (4, 4, 64)), (nested, (6, 6, 7)), (convolutional_to_the_end, (30, 30, 4))],
)
def test_the_gradient_of_a_class_reaches_the_last_feature_map(architecture, shape):
    import tensorflow as tf

    model = architectures.build(architecture, input_shape=(32, 32, 3), num_classes=4)
    model.trainable = False  # as a frozen backbone: the gradient must not hang on variables
    explained = architectures.last_feature_map(model)
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        feature_map, probabilities = explained(images)
        chosen = probabilities[:, 1]
    gradient = np.asarray(tape.gradient(chosen, feature_map))
    assert feature_map.shape == (2, *shape)
    assert gradient.any()
    np.testing.assert_allclose(probabilities, model(IMAGES), rtol=1e-5, atol=1e-7)


def test_a_network_of_dense_layers_has_no_feature_map():
    model = architectures.build(dense_only, input_shape=(32, 32, 3), num_classes=4)
    with pytest.raises(ConfigurationError) as refusal:
        architectures.last_feature_map(model)
    assert str(refusal.value) == (
        "no layer of the model gives a feature map (N, h, w, C) of more than one pixel: there is none to explain."
    )


def stacked(*stages):
    return lambda shape, classes: keras.Sequential(
        [keras.Input(shape), *stages, layers.Flatten(), layers.Dense(classes)]
    )


def beside_the_picture(input_shape, num_classes):
    """Build a model that sees features, and nearer to its end the scaled picture too."""
    inputs = keras.Input(input_shape)
    scaled = layers.Rescaling(1 / 255)(inputs)
    features = layers.GlobalMaxPooling2D()(layers.ReLU()(layers.Conv2D(5, 3, padding="same")(scaled)))
    together = layers.Concatenate()([layers.Flatten()(scaled), features])
    return keras.Model(inputs, layers.Dense(num_classes)(together))


def in_an_inner_model(*stages):
    return keras.Sequential([keras.Input((32, 32, 3)), *stages])


@pytest.mark.parametrize(
    "stages",
    [
        [layers.Rescaling(1 / 255)],
        [layers.RandomFlip(), layers.RandomRotation(0.1)],
        [layers.Normalization()],
        [layers.Normalization(axis=(1, 2, 3)), layers.BatchNormalization(), layers.PReLU()],
        [layers.Reshape((16, 64, 3))],
        [in_an_inner_model(layers.RandomFlip(), layers.Rescaling(1 / 255))],
        [in_an_inner_model(layers.BatchNormalization()), layers.AveragePooling2D(2)],
        [layers.Flatten(), layers.Dense(32), layers.Reshape((4, 4, 2))],  # the places are none of the image
    ],
    ids=["scaled", "augmented", "normalised", "normalised twice", "reshaped", "inner", "inner, pooled", "decoded"],
)
def test_the_picture_itself_is_no_feature_map(stages):
    model = architectures.build(stacked(*stages), input_shape=(32, 32, 3), num_classes=4)
    with pytest.raises(ConfigurationError, match=r"^no layer of the model gives a feature map"):
        architectures.last_feature_map(model)


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        (stacked(layers.Rescaling(1 / 255), layers.DepthwiseConv2D(3, strides=2)), (15, 15, 3)),
        (stacked(layers.Conv2D(6, 8, strides=8), layers.Reshape((16, 6)), layers.Dense(5)), (4, 4, 6)),  # patches
        (stacked(layers.Conv2D(6, 3), layers.Reshape((15, 60, 6)), layers.ReLU()), (15, 60, 6)),
        (stacked(layers.Dense(7), layers.AveragePooling2D(4)), (8, 8, 7)),  # of the channels of each pixel
        (stacked(in_an_inner_model(layers.Conv2D(5, 3), layers.BatchNormalization()), layers.ReLU()), (30, 30, 5)),
        (stacked(layers.Conv2D(5, 3), layers.BatchNormalization(), layers.PReLU(), layers.MaxPooling2D()), (15, 15, 5)),
        (beside_the_picture, (32, 32, 5)),
    ],
    ids=["depthwise", "patches", "reshaped", "pixel by pixel", "inner", "normalised", "beside the picture"],
)
def test_what_has_learnt_from_the_picture_is_a_feature_map(architecture, shape):
    model = architectures.build(architecture, input_shape=(32, 32, 3), num_classes=4)
    for trainable in (True, False):  # a frozen layer has learnt before
        model.trainable = trainable
        feature_map, probabilities = architectures.last_feature_map(model)(IMAGES)
        assert feature_map.shape == (2, *shape)
        np.testing.assert_allclose(probabilities, model(IMAGES), rtol=1e-5, atol=1e-6)


def ending_in_softmax(input_shape, num_classes):
    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(num_classes, use_bias=False), layers.Softmax()]
    )


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("small_cnn", {}),
        ("small_cnn", {"test_time_augmentation": "flip"}),
        ("small_cnn", {"head": "sigmoid"}),
        (nested, {}),
        (dense_only, {}),
        (ending_in_softmax, {}),
    ],
    ids=["named", "both ways", "sigmoid", "nested", "dense", "softmax layer"],
)
def test_a_temperature_divides_the_scores(architecture, options):
    model = architectures.build(architecture, input_shape=(32, 32, 3), num_classes=4, **options)
    before = np.asarray(model(IMAGES), np.float64)
    features = np.asarray(architectures.cut(model)(IMAGES))
    head = architectures.head_of(model)
    together = np.asarray(architectures.with_features(model)(IMAGES))
    np.testing.assert_allclose(together, np.concatenate([features, before], axis=1), rtol=1e-5, atol=1e-6)
    sigmoid = options.get("head") == "sigmoid"
    activation = expit if sigmoid else partial(softmax, axis=1)
    np.testing.assert_allclose(activation(features @ head.kernel + head.bias), before, atol=1e-5)
    np.testing.assert_allclose(head(features), before, atol=1e-5)
    assert architectures.temper(model, 2.5)
    expected = expit(logit(before) / 2.5) if sigmoid else softmax(np.log(before) / 2.5, axis=1)
    np.testing.assert_allclose(model(IMAGES), expected, atol=1e-5)


def twice_softmax(input_shape, num_classes):
    """Build what beginners build: softmax in the last layer, and once more after it."""
    last = layers.Dense(num_classes, activation="softmax")
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), last, layers.Softmax()])


def relu_before_softmax(input_shape, num_classes):
    ending = [layers.Dense(num_classes), layers.Activation("relu"), layers.Activation("softmax")]
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *ending])


def softmax_within_and_after(input_shape, num_classes):
    inner = keras.Sequential([keras.Input((12,)), layers.Dense(num_classes), layers.Softmax()])
    stages = [layers.GlobalAveragePooling2D(), layers.Dense(12), inner, layers.Activation("softmax")]
    return keras.Sequential([keras.Input(input_shape), *stages])


class Cosine(layers.Dense):
    """What of features and kernels is alike in direction, as for faces: no product of both."""

    def call(self, inputs, training=None):
        towards = keras.ops.normalize(inputs, axis=-1) @ keras.ops.normalize(self.kernel, axis=0)
        return self.activation(8 * towards)


def by_direction(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), Cosine(num_classes, activation="softmax")])


def low_rank(input_shape, num_classes):
    last = layers.Dense(num_classes, activation="softmax", lora_rank=2)
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), last])


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        (convolutional_to_the_end, {}),
        (convolutional_to_the_end, {"test_time_augmentation": "flip"}),
        (twice_softmax, {}),
        (relu_before_softmax, {}),
        (softmax_within_and_after, {}),
        (by_direction, {}),
        (low_rank, {}),
    ],
    ids=["convolution", "both ways", "softmax twice", "relu", "softmax twice, inside", "a Dense of one's own", "LoRA"],
)
def test_a_model_that_ends_otherwise_has_no_head_and_stays_as_it_is(architecture, options):
    model = architectures.build(architecture, input_shape=(32, 32, 3), num_classes=4, **options)
    before = np.asarray(model(IMAGES))
    assert architectures.head_of(model) is None
    assert not architectures.temper(model, 2.0)
    np.testing.assert_array_equal(model(IMAGES), before)


def test_one_sigmoid_becomes_two_probabilities():
    outputs = np.array([[0.25], [1.0]], np.float32)
    assert architectures.probabilities(outputs, 2).tolist() == [[0.75, 0.25], [0.0, 1.0]]
