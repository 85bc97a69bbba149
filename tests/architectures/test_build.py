"""From a name, a model or a function to a classifier; preprocessing is what the authors feed."""

import random

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, architectures

PHOTO = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
LIGHT = (
    "mobilenet",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "resnet50",
    "resnet50_v2",
    "densenet121",
)


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet", "speed_cnn"])
@pytest.mark.parametrize("pooling", ["average", "max", "flatten"])
@pytest.mark.parametrize("channels", [1, 3])
def test_our_own_build_for_every_pooling_and_channel_count(name, pooling, channels):
    model = architectures.build(name, input_shape=(16, 24, channels), num_classes=4, pooling=pooling)
    assert model.output_shape == (None, 4)
    outputs = model(np.zeros((2, 16, 24, channels), "float32"))
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, rtol=1e-5)


def test_small_cnn_is_made_of_the_textbook_layers():
    backbone = architectures.build("small_cnn", input_shape=(16, 16, 3), num_classes=2).get_layer("backbone")
    kinds = {type(layer).__name__ for layer in backbone.layers}
    assert {"Conv2D", "BatchNormalization", "MaxPooling2D", "ReLU"} <= kinds


@pytest.mark.parametrize("name", LIGHT)
def test_backbones_of_keras_build_by_name(name):
    model = architectures.build(name, input_shape=(32, 32, 3), num_classes=3, fine_tune=False)
    assert model.output_shape == (None, 3)
    assert len(model.trainable_variables) == 2  # the head's kernel and bias
    np.testing.assert_allclose(np.sum(model(PHOTO), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "module"), [("resnet50", "resnet"), ("densenet121", "densenet"), ("resnet50_v2", "resnet_v2")]
)
def test_scaling_inside_the_model_is_that_of_keras(name, module):
    model = architectures.build(name, input_shape=(32, 32, 3), num_classes=3)
    front = keras.Model(model.input, model.layers[-5].output)
    expected = getattr(keras.applications, module).preprocess_input(PHOTO.copy())
    np.testing.assert_allclose(front(PHOTO), expected, rtol=1e-4, atol=1e-3)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("architecture", ["small_resnet", lambda shape, classes: architectures.small_cnn(shape)])
def test_channels_first_are_refused(channels_first, architecture):
    """As an old ~/.keras/keras.json may say: layers would take the height of an image for its channels."""
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(architecture, input_shape=(32, 32, 3), num_classes=3)
    assert str(refusal.value) == (
        "Keras is set to image_data_format 'channels_first', and images are (N, H, W, C) here. Accepted: 'channels_last'. "
        "Call keras.config.set_image_data_format('channels_last'), and take the setting out of ~/.keras/keras.json if it comes from there."
    )


def test_same_seed_same_weights_and_pythons_random_is_left_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first, second, other = (
        architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=2, seed=seed).get_weights()
        for seed in (1, 1, 2)
    )
    assert random.random() == expected
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_normalization_layers_see_new_weights():
    layer = keras.layers.Normalization()
    model = keras.Sequential([keras.Input((2, 2, 1)), layer])
    architectures.set_weights(model, [np.array([10.0]), np.array([4.0]), np.array(0)])
    assert float(model(np.full((1, 2, 2, 1), 14.0))[0, 0, 0, 0]) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["built", "not built", "nested"])
def test_a_normalization_of_the_user_keeps_its_statistics(kind):
    pixels = PHOTO[..., :1]
    scaling = keras.layers.Normalization(axis=None)
    scaling.adapt(pixels)
    stages = [keras.Sequential([scaling, keras.layers.ReLU()]) if kind == "nested" else scaling]
    mine = keras.Sequential([*([] if kind == "not built" else [keras.Input((32, 32, 1))]), *stages])
    model = architectures.build(mine, input_shape=(32, 32, 1), num_classes=3)
    expected = (pixels / 255 - pixels.mean()) / pixels.std()  # the preprocessing in front divides by 255
    expected = np.maximum(expected, 0) if kind == "nested" else expected
    np.testing.assert_allclose(model.get_layer("backbone")(pixels / 255), expected, rtol=1e-4, atol=1e-4)
    assert mine.built == (kind != "not built")


def test_numbers_of_numpy_are_numbers():
    sizes = {"input_shape": (16, 16, 1), "num_classes": 3, "dropout": 0.25, "seed": 7}
    own = architectures.build("small_cnn", **sizes)
    of_numpy = {"num_classes": np.int64(3), "dropout": np.float32(0.25), "seed": np.int64(7)}
    same = architectures.build("small_cnn", **{**sizes, **of_numpy})
    assert all((a == b).all() for a, b in zip(own.get_weights(), same.get_weights(), strict=True))


def custom(input_shape, num_classes):
    """Build a network with logits, as people write them."""
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    return keras.Sequential(layers)


def test_a_function_of_the_user_gets_preprocessing_and_a_softmax():
    model = architectures.build(custom, input_shape=(4, 4, 1), num_classes=3)
    outputs = np.asarray(model(np.full((2, 4, 4, 1), 255.0)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("depth", [1, 2])
def test_logits_of_a_model_inside_a_model_get_a_softmax_too(depth):
    def nested(input_shape, num_classes):
        model = custom(input_shape, num_classes)
        for _ in range(depth):
            model = keras.Sequential([keras.Input(input_shape), keras.layers.Rescaling(4.0), model])
        return model

    model = architectures.build(nested, input_shape=(4, 4, 1), num_classes=3)
    outputs = np.asarray(model(np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 1))))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "end",
    [keras.layers.Dense(3, "gelu", name="own"), keras.layers.LayerNormalization(name="own")],
    ids=["activation", "layer"],
)
def test_an_end_that_gives_no_probabilities_is_refused(end):
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3), end]
    with pytest.raises(ConfigurationError, match=r"^the model ends with the layer 'own', whose outputs are no prob"):
        architectures.build(keras.Sequential(layers), input_shape=(4, 4, 1), num_classes=3)


def test_an_end_of_your_own_that_gives_probabilities_is_taken():
    inputs = keras.Input((4, 4, 1))
    scores = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    mine = keras.Model(inputs, keras.ops.softmax(scores))
    assert architectures.build(mine, input_shape=(4, 4, 1), num_classes=3).output_shape == (None, 3)


def test_a_model_of_the_user_is_copied_not_changed():
    mine = custom((4, 4, 1), 3)
    before = [array.copy() for array in mine.get_weights()]
    model = architectures.build(mine, input_shape=(4, 4, 1), num_classes=3)
    model.set_weights([array + 1 for array in model.get_weights()])
    assert all((a == b).all() for a, b in zip(before, mine.get_weights(), strict=True))


def test_a_model_that_cannot_be_copied_is_refused():
    class Forgetful(keras.layers.Layer):
        """Needs an argument that its configuration leaves out."""

        def __init__(self, factor, **options):
            super().__init__(**options)
            self.factor = factor

        def call(self, images):
            return images * self.factor

        def get_config(self):
            return super().get_config()

    mine = keras.Sequential([keras.Input((8, 8, 3)), Forgetful(2.0), keras.layers.Conv2D(2, 3)])
    with pytest.raises(
        ConfigurationError,
        match=r"(?s)^the model cannot be copied: .*factor.*\. Give a function that builds it instead\.$",
    ):
        architectures.build(mine, input_shape=(8, 8, 3), num_classes=2)
    model = architectures.build(lambda *_: mine, input_shape=(8, 8, 3), num_classes=2)
    assert model.output_shape == (None, 2)


class Net(keras.Model):
    """Written as a class: a whole classifier, or with `num_classes=None` its feature map."""

    def __init__(self, num_classes, ending="softmax", **options):
        super().__init__(**options)
        self.arguments = {"num_classes": num_classes, "ending": ending}
        self.activation = keras.activations.relu  # the class's own affair, and not its ending
        self.convolution = keras.layers.Conv2D(4, 3)
        self.normalise = keras.layers.BatchNormalization()
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(num_classes, ending) if num_classes else None

    def call(self, images, training=None):
        maps = self.activation(self.normalise(self.convolution(images), training=training))
        return maps if self.head is None else self.head(self.pool(maps))

    def get_config(self):
        return super().get_config() | self.arguments


@pytest.mark.parametrize("given", ["function", "model", "model that was called"])
def test_a_model_written_as_a_class_is_a_layer_of_the_classifier(given):
    mine = Net(3)
    if given == "model that was called":
        mine(PHOTO)
    model = architectures.build(
        (lambda _, num_classes: Net(num_classes)) if given == "function" else mine,
        input_shape=(32, 32, 3),
        num_classes=3,
    )
    assert model.output_shape == (None, 3)
    assert [weight.name for weight in model.trainable_variables] == [
        "kernel",
        "bias",
        "gamma",
        "beta",
        "kernel",
        "bias",
    ]
    outputs = np.asarray(model(PHOTO))
    if given == "model that was called":
        np.testing.assert_allclose(outputs, mine(PHOTO / 255), rtol=1e-5)
    before = model.get_weights()
    model(PHOTO, training=True)  # the class is told
    moved = [(one != other).any() for one, other in zip(before, model.get_weights(), strict=True)]
    assert [weight.name for weight, moves in zip(model.weights, moved, strict=True) if moves] == [
        "moving_mean",
        "moving_variance",
    ]
    assert mine.built == (given == "model that was called")  # the user's own stays as it was
    if mine.built:
        assert not np.any(mine.normalise.moving_mean)


@pytest.mark.parametrize("method", ["train_step", "compute_loss"])
@pytest.mark.parametrize("given", ["model", "function"])
def test_a_model_with_a_training_of_its_own_is_refused(method, given):
    """It would never be called, and what was learnt would be something else than the class says."""

    def never(self, *arguments, **options):
        raise AssertionError

    kind = type("Contrastive", (keras.Model,), {method: never})
    inputs = keras.Input((8, 8, 3))
    model = kind(inputs, keras.layers.Conv2D(4, 3)(inputs))
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(model if given == "model" else lambda *_: model, input_shape=(8, 8, 3), num_classes=2)
    assert str(refusal.value) == (
        f"Contrastive.{method} would never be called: imgcls computes the training step itself. Give a model without "
        "it, and what it does as loss=, augmentation= or mixing=; or train with Keras' own fit."
    )


def test_a_class_that_does_not_say_its_arguments_is_refused_and_a_function_is_the_way_out():
    """Keras makes it again with the defaults of its arguments: another model."""

    class Forgetful(keras.Model):
        def __init__(self, width=2):
            super().__init__()
            self.convolution = keras.layers.Conv2D(width, 3)

        def call(self, images):
            return self.convolution(images)

    with pytest.raises(
        ConfigurationError,
        match=r"^the model cannot be copied: Forgetful is a class without get_config\. Give a function that builds it instead\.$",
    ):
        architectures.build(Forgetful(5), input_shape=(8, 8, 3), num_classes=2)
    model = architectures.build(lambda *_: Forgetful(5), input_shape=(8, 8, 3), num_classes=2)
    assert model.get_layer("backbone").output_shape == (None, 6, 6, 5)


def test_a_class_that_gives_a_feature_map_is_a_backbone_like_any_other():
    model = architectures.build(lambda *_: Net(None), input_shape=(32, 32, 3), num_classes=2)
    assert [layer.name for layer in model.layers[-4:]] == ["backbone", "pooling", "dropout", "head"]
    assert architectures.cut(model).output_shape == (None, 4)
    assert architectures.last_feature_map(model).output_shape == [(None, 30, 30, 4), (None, 2)]


@pytest.mark.parametrize("ending", [None, "sigmoid", "tanh"])
def test_a_class_that_gives_no_probabilities_is_refused(ending):
    with pytest.raises(
        ConfigurationError,
        match=r"^the model ends with the layer 'own', whose outputs are no probabilities: for one image they are [-\d., ]+\. End it with 'softmax'\.$",
    ):
        architectures.build(lambda *_: Net(3, ending, name="own"), input_shape=(32, 32, 3), num_classes=3)


@pytest.mark.parametrize("given", ["function", "model"])
@pytest.mark.parametrize("pooled", [False, True])
def test_models_without_a_head_become_backbones(given, pooled):
    """A feature map gets pooling, features of another width than K do not; both get dropout and a head."""

    def features(input_shape, num_classes=None):
        tail = [keras.layers.GlobalMaxPooling2D()] if pooled else []
        return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(5, 3, activation="relu"), *tail])

    mine = features((8, 8, 3))
    model = architectures.build(
        mine if given == "model" else features,
        input_shape=(8, 8, 3),
        num_classes=2,
        pooling="average" if pooled else "max",
        fine_tune=False,
    )
    assert [layer.name for layer in model.layers[-4:]] == (
        ["normalization", "backbone", "dropout", "head"] if pooled else ["backbone", "pooling", "dropout", "head"]
    )
    assert [weight.name for weight in model.trainable_variables] == ["kernel", "bias"]
    images = PHOTO[:, :8, :8]
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    maps = np.asarray(backbone(images / 255)).reshape(2, -1, 5).max(axis=1)
    kernel, bias = head.get_weights()
    exponents = np.exp(maps @ kernel + bias)
    np.testing.assert_allclose(model(images), exponents / exponents.sum(axis=1, keepdims=True), rtol=1e-4)
    if given == "model":
        for ours, theirs in zip(backbone.get_weights(), mine.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"architecture": custom, "num_classes": 0},
            "num_classes=0 is not accepted. Accepted: a whole number of at least 1.",
        ),
        (
            {"architecture": None, "weights": "imagenet"},
            "architecture=None is not accepted. Accepted: a name from imgcls.architectures.names(), a keras.Model, or a function (input_shape, num_classes) that returns one.",
        ),
        (
            {"architecture": lambda *_: "model"},
            "the architecture function returned a str. Accepted: a keras.Model.",
        ),
        (
            {"architecture": lambda shape, count: custom((9, *shape[1:]), count)},
            "the model takes (None, 9, 8, 3) and gives (None, 2). Accepted for these data: (None, 8, 8, 3) to (None, 2), or to features (None, D) or (None, h, w, D). image_size and color decide the first; classes and loss the second.",
        ),
        (
            {
                "architecture": lambda shape, _: keras.Sequential(
                    [keras.Input(shape), keras.layers.Reshape((-1, 3)), keras.layers.Dense(4)]
                )
            },
            "the model takes (None, 8, 8, 3) and gives (None, 64, 4). Accepted for these data: (None, 8, 8, 3) to (None, 2), or to features (None, D) or (None, h, w, D). image_size and color decide the first; classes and loss the second.",
        ),
        (
            {
                "architecture": lambda shape, _: keras.Model(
                    [image := keras.Input(shape), keras.Input(shape)], keras.layers.Flatten()(image)
                )
            },
            "the model takes [(None, 8, 8, 3), (None, 8, 8, 3)] and gives (None, 192). Accepted for these data: (None, 8, 8, 3) to (None, 2), or to features (None, D) or (None, h, w, D). image_size and color decide the first; classes and loss the second.",
        ),
        (
            {
                "architecture": lambda shape, _: keras.Sequential(
                    [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(7, "softmax")]
                )
            },
            "the model ends with 'softmax' over 7 outputs, and these data need 2. End it with 2 outputs, or with features: before its last layer.",
        ),
        (
            {
                "architecture": lambda shape, count: keras.Sequential(
                    [*custom(shape, 9).layers, keras.layers.Dense(count, "sigmoid")]
                )
            },
            "the model ends with 'sigmoid', and these labels and this loss need 'softmax'. End it with 'softmax', or without activation.",
        ),
        (
            {
                "architecture": lambda shape, _: keras.Sequential(
                    [keras.Input(shape), keras.layers.Conv2D(5, 3), keras.layers.GlobalAveragePooling2D()]
                ),
                "pooling": "max",
            },
            "pooling='max' goes with a feature map (None, h, w, D), and your model gives features (None, 5), which are pooled already. Leave it out; or give the model without its last layers.",
        ),
        *(
            (
                {
                    "architecture": lambda shape, count: keras.Sequential(
                        [keras.Input(shape, dtype="uint8"), *custom(shape, count).layers]
                    ),
                    **scaling,
                },
                "the model takes uint8, which would round pixels that are scaled. Accepted: normalization=None, or here std=(1.0,), so that it gets 0-255 as they are and scales them itself; or an Input of float32.",
            )
            for scaling in ({}, {"mean": [127.5], "std": [1.0]}, {"std": [1.0, 1.0, 2.0], "mean": [0.0, 0.0, 0.0]})
        ),
        (
            {"architecture": "mobilenet_v2"},
            (
                "images of 8 x 8 pixels are too small for 'mobilenet_v2'. Accepted: image_size of at least 32; "
                "it was made for 224."
            ),
        ),
        (
            {"architecture": "small_cnn", "weights": "imagenet"},
            "there are no 'imagenet' weights for 'small_cnn'. Accepted: weights=None, or the path of a weights file.",
        ),
        (
            {"architecture": "small_cnn", "weights": "model.pt"},
            "weights='model.pt' is not accepted. Accepted: 'imagenet', None, or the path of a file that ends with .h5, .weights.h5, .keras or .safetensors.",
        ),
        (
            {"architecture": custom, "weights": "model.h5"},
            "weights='model.h5' goes with a named architecture. Load weights into your own model beforehand.",
        ),
        (
            {"architecture": "small_cnn", "head": "tanh", "dropout": 1.5},
            (
                "2 arguments are wrong:\n- head='tanh' is not known. Accepted: softmax, sigmoid.\n"
                "- dropout=1.5 is not accepted. Accepted: a number from 0 to below 1."
            ),
        ),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(**{"input_shape": (8, 8, 3), "num_classes": 2, **arguments})
    assert str(refusal.value) == message


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(
        ConfigurationError, match=r"^architecture='mobilnet_v2' is not known\. Did you mean 'mobilenet_v2'\? "
    ):
        architectures.describe("mobilnet_v2")
