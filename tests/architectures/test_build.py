"""Every name builds; weights load from files, checked layer by layer; preprocessing is what the authors feed."""

import random
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, DataError, architectures

PHOTO = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
SMALLEST = {"xception": 71, "inception_v3": 75, "inception_resnet_v2": 75}
LIGHT = (
    "mobilenet",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "resnet50",
    "resnet50_v2",
    "densenet121",
)


def published_weights(name: str, path: Path) -> keras.Model:
    """Write the .h5 file that Keras would publish for `name`, with random numbers, and return its model."""
    row = architectures.describe(name)
    model = getattr(keras.applications, row.builder)(
        include_top=False, weights=None, input_shape=(32, 32, 3), **row.options
    )
    generator = np.random.default_rng(1)
    model.set_weights([abs(generator.normal(0.1, 0.02, array.shape)) for array in model.get_weights()])
    model.save_weights(path.with_suffix(".weights.h5"))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/array_{index}:0" for index in range(len(layer.weights))]
            group.attrs["weight_names"] = [one.encode() for one in names]
            for one, array in zip(names, layer.get_weights(), strict=True):
                group[one] = array
    return model


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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in architectures.names() if name not in LIGHT])
def test_every_row_of_the_table_builds(name):
    side = SMALLEST.get(name, 32)
    model = architectures.build(name, input_shape=(side, side, 3), num_classes=3)
    assert model.output_shape == (None, 3)
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("name", "module"), [("resnet50", "resnet"), ("densenet121", "densenet"), ("resnet50_v2", "resnet_v2")]
)
def test_scaling_inside_the_model_is_that_of_keras(name, module):
    model = architectures.build(name, input_shape=(32, 32, 3), num_classes=3)
    front = keras.Model(model.input, model.layers[-5].output)
    expected = getattr(keras.applications, module).preprocess_input(PHOTO.copy())
    np.testing.assert_allclose(front(PHOTO), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "resnet50"])
def test_weights_from_a_file_give_the_features_of_keras(name, tmp_path):
    published = published_weights(name, tmp_path / "published.h5")
    model = architectures.build(name, input_shape=(32, 32, 3), num_classes=3, weights=tmp_path / "published.h5")
    backbone = model.get_layer("backbone")
    for ours, theirs in zip(backbone.get_weights(), published.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_efficientnet_gives_the_features_of_keras_with_its_extra_scaling(tmp_path, monkeypatch):
    """Under weights="imagenet" Keras inserts a layer; ours folds it into the variance, so that a bundle can rebuild."""
    published_weights("efficientnet_b0", tmp_path / "published.h5")
    file = str(tmp_path / "published.weights.h5")
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", lambda *_, **__: file)
    theirs = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    model = architectures.build("efficientnet_b0", input_shape=(32, 32, 3), num_classes=3, weights="imagenet")
    ours = model.get_layer("backbone")
    assert any(isinstance(layer, keras.layers.Normalization) for layer in ours.layers)
    np.testing.assert_allclose(ours(PHOTO), theirs(PHOTO), rtol=1e-3, atol=1e-4)


def test_the_published_mobilenet_loads_to_the_last_number(shared_data):
    path = shared_data / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    model = architectures.build("mobilenet_v2_035", input_shape=(224, 224, 3), num_classes=2, weights=path)
    expected = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=str(path), input_shape=(224, 224, 3)
    )
    for ours, theirs in zip(model.get_layer("backbone").get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


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


def custom(input_shape, num_classes):
    """Build a network with logits, as people write them."""
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    return keras.Sequential(layers)


def test_a_function_of_the_user_gets_preprocessing_and_a_softmax():
    model = architectures.build(custom, input_shape=(4, 4, 1), num_classes=3)
    outputs = np.asarray(model(np.full((2, 4, 4, 1), 255.0)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


def test_a_model_of_the_user_is_copied_not_changed():
    mine = custom((4, 4, 1), 3)
    before = [array.copy() for array in mine.get_weights()]
    model = architectures.build(mine, input_shape=(4, 4, 1), num_classes=3)
    model.set_weights([array + 1 for array in model.get_weights()])
    assert all((a == b).all() for a, b in zip(before, mine.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"architecture": custom, "num_classes": 0},
            "num_classes=0 is not accepted. Accepted: a whole number of at least 1.",
        ),
        (
            {"architecture": lambda *_: "model"},
            "the architecture function returned a str. Accepted: a keras.Model.",
        ),
        (
            {"architecture": lambda shape, _: custom(shape, 7)},
            "the model takes (None, 8, 8, 3) and gives (None, 7). Accepted for these data: (None, 8, 8, 3) to (None, 2). image_size and color decide the first; classes and loss the second.",
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
            {"architecture": "mobilenet_v2"},
            (
                "images of 8 x 8 pixels are too small for 'mobilenet_v2'. Accepted: image_size of at least 32; "
                "it was made for 224."
            ),
        ),
        (
            {"architecture": "small_cnn", "weights": "imagenet"},
            "there are no 'imagenet' weights for 'small_cnn'. Accepted: weights=None, or the path of an .h5 file.",
        ),
        (
            {"architecture": "small_cnn", "weights": "model.keras"},
            "weights='model.keras' is not accepted. Accepted: 'imagenet', None, or an .h5 file as Keras publishes.",
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


def test_weights_files_that_do_not_fit_are_refused(tmp_path):
    published_weights("mobilenet_v2_035", tmp_path / "narrow.h5")
    with pytest.raises(DataError, match=r"does not fit 'mobilenet_v2': layer 'Conv1' needs arrays \[\(3, 3, 3, 32\)\]"):
        architectures.build("mobilenet_v2", input_shape=(32, 32, 3), num_classes=2, weights=tmp_path / "narrow.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(DataError, match="cannot be read"):
        architectures.build("mobilenet_v2", input_shape=(32, 32, 3), num_classes=2, weights=tmp_path / "text.h5")
    with pytest.raises(DataError, match=r"does not exist\. Check the path and the working directory\.$"):
        architectures.build("mobilenet_v2", input_shape=(32, 32, 3), num_classes=2, weights="missing.h5")


def test_imagenet_without_network_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        message = "URL fetch failure"
        raise Exception(message)  # noqa: TRY002 - what Keras raises

    monkeypatch.setattr(
        keras.applications, "MobileNetV2", lambda weights, **_: custom((32, 32, 3), 2) if weights is None else offline()
    )
    with pytest.raises(
        DataError, match=r"could not be had: URL fetch failure\. Without a network, get the 'no_top' \.h5 file"
    ):
        architectures.build("mobilenet_v2", input_shape=(32, 32, 3), num_classes=2, weights="imagenet")
