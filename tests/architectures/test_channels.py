"""Images of one, four or six channels: against `keras.applications` with its own preprocessing, and by hand."""

import keras
import numpy as np
import pytest
import safetensors.numpy

from imgcls import Dataset, ImageClassifier, architectures, trainer
from imgcls.architectures._channels import adapted, front

RGB = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
GRAY = RGB[..., :1]
FAMILIES = {  # one for each way of scaling, and where it is done
    "mobilenet_v2_035": "mobilenet_v2",
    "resnet50": "resnet",
    "efficientnet_b0": "efficientnet",
    "efficientnet_v2_b0": "efficientnet_v2",
}


def build(name, channels, **arguments):
    return architectures.build(name, input_shape=(32, 32, channels), num_classes=2, **arguments)


def theirs(name, model):
    """Return Keras' own features of RGB images, by the weights of a model of ours."""
    row = architectures.describe(name)
    options = {key: value for key, value in row.options.items() if key != "include_preprocessing"}
    network = getattr(keras.applications, row.builder)(
        include_top=False, weights=None, input_shape=(32, 32, 3), **options
    )
    network.set_weights(model.get_layer("backbone").get_weights())
    scale = getattr(keras.applications, FAMILIES[name]).preprocess_input
    return lambda images: np.asarray(network(scale(images.copy())))


def feature_map(model, images):
    return np.asarray(keras.Model(model.input, model.get_layer("pooling").input)(images))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if "mobilenet" in name else pytest.mark.slow) for name in FAMILIES]
)
def test_one_channel_gives_the_features_of_the_same_image_in_rgb(name):
    model = build(name, 1)
    expected = theirs(name, model)
    np.testing.assert_allclose(feature_map(model, GRAY), expected(np.repeat(GRAY, 3, axis=-1)), atol=1e-4)
    luma = RGB @ np.array([[0.299], [0.587], [0.114]], "float32")  # ITU-R BT.601
    converted = build(name, 3, grayscale=True)
    architectures.set_weights(converted, model.get_weights())
    np.testing.assert_allclose(feature_map(converted, RGB), expected(np.repeat(luma, 3, axis=-1)), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_rgb_twice_gives_the_features_of_rgb_once(name, tmp_path):
    """Six channels, each colour twice: by half of a kernel each, the sum is that of RGB."""
    model = build(name, 3, seed=1)
    safetensors.numpy.save_file(
        {weight.path: np.asarray(weight) for weight in model.weights}, tmp_path / "rgb.safetensors"
    )
    wide = build(name, 6, weights=tmp_path / "rgb.safetensors", seed=2)
    expected = theirs(name, model)(RGB)
    np.testing.assert_allclose(feature_map(wide, np.concatenate([RGB, RGB], axis=-1)), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "trained_on"), [("mobilenet_v2", "rgb"), ("vgg16", "bgr")])
def test_kernels_of_four_channels_by_hand(name, trained_on):
    """Networks of scaling "caffe" were trained on blue, green, red, and channel 0 is red here as everywhere."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 5))
    wide = adapted(kernel, (3, 3, 4, 5), architectures.describe(name))
    for channel, color in enumerate("rgbr"):
        np.testing.assert_allclose(wide[:, :, channel], kernel[:, :, trained_on.index(color)] * 0.75)


@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_each_channel_is_scaled_as_its_colour(name):
    """The mean colour of ImageNet becomes zero, in any number of channels."""
    mean = {"resnet50": (123.68, 116.779, 103.939), "densenet121": (123.675, 116.28, 103.53)}[name]
    x = np.array([mean[channel % 3] for channel in range(5)], "float32").reshape(1, 1, 1, 5)
    for layer in front(architectures.describe(name), 5):
        x = layer(x)
    np.testing.assert_allclose(x, 0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("mobilenet", "mobilenet_v3_large", "efficientnet_v2_s", "resnet50_v2", "densenet121", "convnext_tiny"),
        *("xception", "inception_v3", "inception_resnet_v2", "nasnet_mobile", "vgg16"),
    ],
)
def test_every_family_takes_four_channels(name):
    side = architectures.describe(name).least_size
    model = architectures.build(name, input_shape=(side, side, 4), num_classes=2)
    assert model.get_layer("backbone").input_shape == (None, side, side, 4)
    keras.backend.clear_session()


@pytest.mark.slow
def test_a_classifier_of_grayscale_photos_on_a_backbone():
    """One channel stays one from the file to the model; three become one in it where that is asked for."""
    levels = np.repeat([60, 200], 6)
    images = np.repeat(levels, 32 * 32).reshape(12, 32, 32).astype(np.uint8)
    labels = np.where(levels > 100, "light", "dark")
    classifier = ImageClassifier("mobilenet_025", weights=None, image_size=32, color="grayscale", epochs=1)
    classifier.fit(Dataset.from_arrays(np.stack([images] * 3, -1), labels), verbose=0)
    assert [layer.name for layer in classifier.model_.layers[:4]] == ["images", "grayscale", "rgb", "normalization"]
    single = trainer.plan(classifier.get_params(), Dataset.from_arrays(images, labels), None)
    assert single.blueprint["input_shape"] == (32, 32, 1)
    assert not single.blueprint["grayscale"]
    assert [layer.name for layer in single.build().layers[:3]] == ["images", "rgb", "normalization"]
