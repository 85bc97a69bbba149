"""Grad-CAM equals what is computed by hand from weights, in models of every make, and looks where the class is decided."""

import gc
import weakref

import keras
import numpy as np
import pytest
from drawn_squares import COLORS, SIDE, SQUARE, squares
from keras import layers
from PIL import Image
from scipy.signal import correlate

from imgcls import ConfigurationError, ImageClassifier, _backend, architectures
from imgcls.explain import METHODS, _heat_map, heat_map

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 12, 10, 3)).astype(np.uint8)
KERNEL, WEIGHTS = RANDOM.normal(size=(3, 3, 3, 5)), RANDOM.normal(size=(5, 4))


def convolution(input_shape, num_classes=None):
    """A backbone of one convolution, whose feature map has the size of the image."""
    return keras.Sequential([keras.Input(input_shape), layers.Conv2D(5, 3, padding="same", activation="relu")])


def with_known_weights(model):
    """Give the convolution `KERNEL`, and what is last `WEIGHTS`, without biases."""
    arrays = {(3, 3, 3, 5): KERNEL, (5,): np.zeros(5)}
    for weight in model.weights:
        width = weight.shape[-1]
        known = arrays.get(tuple(weight.shape))
        weight.assign(
            np.resize(WEIGHTS[:, :width] if len(weight.shape) > 1 else 0, weight.shape) if known is None else known
        )
    return model


def built(architecture=convolution, num_classes=4, **options):
    return with_known_weights(
        architectures.build(architecture, input_shape=(12, 10, 3), num_classes=num_classes, **options)
    )


def feature_map(images):
    """Compute the convolution by SciPy: `(N, H, W, 5)`."""
    padded = np.pad(images / 255, [(0, 0), (1, 1), (1, 1), (0, 0)])
    found = [[correlate(image, KERNEL[..., channel], mode="valid")[..., 0] for channel in range(5)] for image in padded]
    return np.maximum(np.moveaxis(found, 1, 3), 0)


def shares(raw):
    """Drop what is below 0, and divide each map by its maximum."""
    heat = np.maximum(raw, 0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def close(heat, expected):
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, expected, rtol=0, atol=2e-5)


# --- by hand ---------------------------------------------------------------------------------------------------------


def whole(*last):
    """Return a function that builds a whole classifier, with its own ending."""

    def build(input_shape, num_classes):
        base = convolution(input_shape)  # a model inside of the model
        ending = [layer(num_classes) for layer in last]
        return keras.Sequential([keras.Input(input_shape), base, layers.GlobalAveragePooling2D(), *ending])

    return build


def _dense(num_classes):
    return layers.Dense(num_classes)


@pytest.mark.parametrize(
    "model",
    [
        built(),
        built(head="sigmoid"),
        built(fine_tune=False),
        built(whole(_dense)),
        built(whole(_dense, lambda _: layers.Activation("softmax"))),
        built(whole(_dense, lambda _: layers.Softmax())),
        built(whole(lambda count: layers.Dense(count, activation="softmax"))),
    ],
    ids=["softmax", "sigmoid", "frozen", "own", "activation", "layer", "nested"],
)
def test_with_average_pooling_it_is_the_class_activation_map(model):
    """Zhou et al., arXiv 1512.04150: where a linear head follows the mean, Grad-CAM is the head's own sum of channels."""
    maps = feature_map(IMAGES) @ WEIGHTS
    for target in range(4):
        close(heat_map(model, IMAGES, target=target), shares(maps[..., target]))
        other = (target + 1) % 4
        expected = shares(maps[..., target] - maps[..., other])
        close(heat_map(model, IMAGES, target=target, instead_of=other), expected)
    assert np.ptp([maps[..., target].max() for target in range(4)]) > 0.1  # they are not one map


def test_one_map_for_each_class_of_each_image():
    model, maps = built(), feature_map(IMAGES) @ WEIGHTS
    targets, others = [2, 0, 3], np.array([1, 3, 0])
    rows = np.arange(3)
    expected = shares(np.moveaxis(maps, 3, 1)[rows, targets] - np.moveaxis(maps, 3, 1)[rows, others])
    close(heat_map(model, IMAGES, target=targets, instead_of=others), expected)
    likeliest = np.asarray(model(IMAGES)).argmax(axis=1)
    close(heat_map(model, IMAGES, target=None), shares(np.moveaxis(maps, 3, 1)[rows, likeliest]))


def test_a_model_is_traced_once_keeps_up_with_its_weights_and_is_not_kept_alive(monkeypatch):
    traced, trace = [], _backend.gradient_function

    def counted(model):
        traced.append(1)
        return trace(model)

    monkeypatch.setattr(_backend, "gradient_function", counted)
    model = built()
    before = heat_map(model, IMAGES, target=1)
    np.testing.assert_array_equal(heat_map(model, IMAGES, target=1), before)
    head = model.layers[-1]
    head.set_weights([np.roll(head.get_weights()[0], 1, axis=1), head.get_weights()[1]])  # class 1 is class 2 now
    np.testing.assert_allclose(heat_map(model, IMAGES, target=2), before, rtol=1e-5, atol=1e-6)
    assert len(traced) == 1
    gone = weakref.ref(model)
    del model, head
    gc.collect()
    assert gone() is None


def test_one_class_and_another_are_opposites():
    one, two = np.array([1, 0, 2], np.int32), np.array([3, 1, 0], np.int32)
    raw = _heat_map._grad_cam(built(), IMAGES, one, two)
    assert raw.any()
    np.testing.assert_allclose(_heat_map._grad_cam(built(), IMAGES, two, one), -raw, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_a_probability_of_one_has_a_map(head):
    """And the same one: a score a million times as large has a gradient a million times as large."""
    model, maps = built(head=head), feature_map(IMAGES) @ WEIGHTS
    model.get_layer("head").set_weights([WEIGHTS * 1e6, np.zeros(4)])
    outputs = np.asarray(model(IMAGES))
    assert set(np.unique(outputs)) <= {0.0, 1.0}
    assert outputs.max(axis=1).tolist() == [1, 1, 1]
    targets = outputs.argmax(axis=1)
    close(heat_map(model, IMAGES, target=targets), shares(np.moveaxis(maps, 3, 1)[np.arange(3), targets]))


def test_two_classes_of_one_output():
    model, map_of_one = built(num_classes=1, head="sigmoid"), feature_map(IMAGES) @ WEIGHTS[:, 0]
    close(heat_map(model, IMAGES, target=1), shares(map_of_one))
    close(heat_map(model, IMAGES, target=0), shares(-map_of_one))
    close(heat_map(model, IMAGES, target=1, instead_of=0), shares(map_of_one))
    likeliest = np.where(np.asarray(model(IMAGES)) >= 0.5, 1, -1)[..., None]
    close(heat_map(model, IMAGES, target=None), shares(likeliest * map_of_one))


@pytest.mark.parametrize("architecture", [convolution, whole(_dense)], ids=["features", "probabilities"])
def test_a_mirror_image_counts_as_much(architecture):
    """Whichever of its features or its probabilities the model averages."""
    model = built(architecture, test_time_augmentation="flip")
    one, other = ((feature_map(images) @ WEIGHTS)[..., 2] for images in (IMAGES, IMAGES[:, :, ::-1]))
    assert not np.allclose(one, other[:, :, ::-1], atol=0.01)
    close(heat_map(model, IMAGES, target=2), shares(one + other[:, :, ::-1]))


def test_where_the_score_is_not_found_the_logarithm_of_the_probability_is_explained():
    def convolutional_to_the_end(input_shape, num_classes):
        pooled = layers.GlobalAveragePooling2D(keepdims=True)
        stages = [convolution(input_shape), pooled, layers.Conv2D(num_classes, 1, activation="softmax")]
        return keras.Sequential([keras.Input(input_shape), *stages, layers.Flatten()])

    model, maps = built(convolutional_to_the_end), feature_map(IMAGES) @ WEIGHTS
    scores = maps.mean(axis=(1, 2))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    mean = np.einsum("nhwk,nk->nhw", maps, probabilities)
    np.testing.assert_allclose(model(IMAGES), probabilities, rtol=1e-5)
    close(heat_map(model, IMAGES, target=1), shares(maps[..., 1] - mean))


def test_a_coarse_map_is_enlarged_as_pillow_does():
    model = architectures.build("small_cnn", input_shape=(40, 33, 3), num_classes=3)
    images = RANDOM.integers(0, 256, (2, 40, 33, 3)).astype(np.uint8)
    raw = _heat_map._grad_cam(model, images, np.array([1, 1], np.int32), np.array([0, 0], np.int32))
    assert raw.shape == (2, 5, 4)
    coarse = [Image.fromarray(np.maximum(one, 0)) for one in raw]
    expected = shares(np.stack([one.resize((33, 40), Image.Resampling.BILINEAR) for one in coarse]))
    close(heat_map(model, images, target=1, instead_of=0), expected)


def test_many_images_are_explained_in_batches():
    model = built()
    images = np.concatenate([IMAGES] * 12)[:35]
    targets = np.arange(35) % 4
    expected = np.concatenate([heat_map(model, images[[i]], target=int(targets[i])) for i in (0, 31, 32, 34)])
    close(heat_map(model, images, target=targets)[[0, 31, 32, 34]], expected)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_see_is_zero_everywhere(method):
    model = built()
    model.get_layer("head").set_weights([np.zeros((5, 4)), np.zeros(4)])
    assert not heat_map(model, IMAGES, target=1, method=method).any()


# --- networks that others designed -----------------------------------------------------------------------------------


def nested(input_shape, num_classes):
    """Build what tutorials build: a backbone as one layer of the model, and a head."""
    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=input_shape, alpha=0.35)
    base.trainable = False
    ending = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(num_classes, activation="softmax")]
    return keras.Sequential([keras.Input(input_shape), layers.Rescaling(1 / 127.5, -1), base, *ending])


@pytest.mark.parametrize(("architecture", "side"), [("mobilenet_v2_035", 64), (nested, 32)], ids=["named", "own"])
def test_nested_backbones_are_explained(architecture, side):
    images = RANDOM.integers(0, 256, (1, side, side, 3)).astype(np.uint8).repeat(2, axis=0)
    model = architectures.build(architecture, input_shape=(side, side, 3), num_classes=2)
    one, other = heat_map(model, images, target=[0, 1], instead_of=[1, 0])
    assert one.shape == (side, side)
    assert np.isfinite([one, other]).all()
    assert max(one.max(), other.max()) == 1  # what speaks against one speaks for the other
    keras.backend.clear_session()


def test_a_network_without_feature_map_is_pointed_to_occlusion():
    def dense_only(input_shape, num_classes):
        return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    model = architectures.build(dense_only, input_shape=(12, 10, 3), num_classes=3)
    with pytest.raises(ConfigurationError) as refusal:
        heat_map(model, IMAGES, target=0)
    assert str(refusal.value) == (
        "method='grad_cam': no layer of the model gives a feature map (N, h, w, C) of more than one pixel: there is none to explain. Use method='occlusion', which needs none."
    )
    heat = heat_map(model, IMAGES, target=0, method="occlusion")
    assert heat.max(axis=(1, 2)).tolist() == [1, 1, 1]


# --- where it looks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_hottest_place_is_where_the_class_is_decided(learnt, unseen, method):
    images, codes, places = unseen
    assert learnt.score(images, np.array(list(COLORS))[codes]) == 1
    heat = heat_map(learnt.model_, images, target=codes, method=method)
    cell = 8 // 2  # half a pixel of the feature map: more than that nobody can say
    for one, (top, left) in zip(heat, places, strict=True):
        y, x = np.unravel_index(one.argmax(), one.shape)
        assert top - cell <= y < top + SQUARE + cell
        assert left - cell <= x < left + SQUARE + cell


def test_of_two_squares_the_one_of_the_class_is_hot(learnt):
    """In an image with both, "why red" and "why blue" have two answers."""
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[6:18, 6:18], image[30:42, 30:42] = COLORS["red"], COLORS["blue"]
    red, blue = learnt.classes_.tolist().index("red"), learnt.classes_.tolist().index("blue")
    for method in METHODS:
        heat = heat_map(learnt.model_, image[None], target=red, instead_of=blue, method=method)[0]
        assert heat[6:18, 6:18].mean() > 5 * heat[30:42, 30:42].mean(), method
        heat = heat_map(learnt.model_, image[None], target=blue, instead_of=red, method=method)[0]
        assert heat[30:42, 30:42].mean() > 5 * heat[6:18, 6:18].mean(), method


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"loss": "binary_crossentropy"}, {"test_time_augmentation": "flip"}])
def test_classifiers_of_other_kinds_look_there_too(options):
    images, codes, _ = squares(160, seed=0)
    classifier = ImageClassifier("small_cnn", image_size=48, epochs=6, augmentation=None, batch_size=16, **options)
    classifier.fit(images, np.array(list(COLORS))[codes], verbose=0)
    images, codes, places = squares(8, seed=3)
    for method in METHODS:
        heat = heat_map(classifier.model_, images, target=codes, method=method)
        inside = [
            one[top : top + SQUARE, left : left + SQUARE].mean() for one, (top, left) in zip(heat, places, strict=True)
        ]
        assert np.mean(inside) > 3 * heat.mean(), method


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"method": "gradcam"},
            "method='gradcam' is not known. Did you mean 'grad_cam'? Accepted: grad_cam, occlusion.",
        ),
        ({"target": 4}, "target=4 is not accepted. Accepted: a whole number from 0 to 3, one for each image, or None."),
        (
            {"target": [0, 1], "instead_of": -1},
            "2 arguments are wrong:\n- target=[0, 1] is not accepted. Accepted: a whole number from 0 to 3, one for each image, or None.\n- instead_of=-1 is not accepted. Accepted: a whole number from 0 to 3, one for each image, or None.",
        ),
        (
            {"target": 0.5},
            "target=0.5 is not accepted. Accepted: a whole number from 0 to 3, one for each image, or None.",
        ),
        (
            {"target": [0, 1, 2], "instead_of": 1},
            "instead_of=1 is the class that is explained. Give another one, or None.",
        ),
        (
            {"images": IMAGES / 255},
            "images=float64 (3, 12, 10, 3) are not accepted. Accepted for this model: uint8 (N, 12, 10, 3), N from 1.",
        ),
        (
            {"images": IMAGES[0]},
            "images=uint8 (12, 10, 3) are not accepted. Accepted for this model: uint8 (N, 12, 10, 3), N from 1.",
        ),
        ({"images": "a.jpg"}, "images=str are not accepted. Accepted for this model: uint8 (N, 12, 10, 3), N from 1."),
        (
            {"images": IMAGES[:0]},
            "images=uint8 (0, 12, 10, 3) are not accepted. Accepted for this model: uint8 (N, 12, 10, 3), N from 1.",
        ),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ConfigurationError) as refusal:
        heat_map(**{"model": built(), "images": IMAGES, "target": 0, **arguments})
    assert str(refusal.value) == words
