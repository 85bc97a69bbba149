"""Classifiers in bundles: what is saved is what comes back, proved by golden images, and nothing is built on trust."""

import copy
import inspect
import json
import pickle
from pathlib import Path
from types import MappingProxyType

import forging
import keras
import numpy as np
import pytest
from sklearn.base import clone

from imgcls import (
    BundleError,
    ConfigurationError,
    DataError,
    Dataset,
    ImageClassifier,
    _backend,
    architectures,
    bundle,
    images,
)
from imgcls.architectures import build
from imgcls.bundle import Verification, _schema
from imgcls.classifier._bundle import _check_size
from imgcls.datasets import Traces

VERSIONS = sorted(path.name for path in forging.CORPUS.glob("*.imgcls"))


def pictures(count=60, side=12, seed=0):
    """Return noisy squares, blue and red in turn, and their names."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = random.integers(0, 90, (count, side, side, 3))
    pixels[labels == 1, ..., 0] += 140
    pixels[labels == 0, ..., 2] += 140
    return pixels.astype(np.uint8), np.array(["blue", "red"])[labels]


def small(architecture="small_cnn", **arguments):
    return ImageClassifier(architecture, **{"image_size": 12, "epochs": 4, "augmentation": None, **arguments})


@pytest.fixture(scope="module")
def fitted():
    validation = Dataset.from_arrays(*pictures(80, seed=1))
    return small().fit(*pictures(), validation_data=validation, verbose=0)


@pytest.fixture
def saved(fitted, tmp_path):
    return fitted.save(tmp_path / "a.imgcls")


CANNOT = "does not describe a classifier that this imgcls can build: "


def words_of(path, data=None, **options):
    """Return the words with which a bundle is refused; of one that cannot be built, the reason."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        ImageClassifier.load(path, **options)
    words = str(caught.value).removeprefix(f"{str(path)!r} ")
    advice = ". Get the file from where it was saved, or use the imgcls that wrote it."
    assert words.startswith(CANNOT) == words.endswith(advice)
    return words.removeprefix(CANNOT).removesuffix(advice)


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_what_another_program_reads(fitted, saved):
    description, weights, named = bundle.load(saved)
    held_out = fitted.held_out_
    assert description["evaluation"]["images"] == 80
    figures = {one["name"]: one for one in description["evaluation"]["figures"]}
    assert figures["accuracy"]["value"] == held_out.accuracy
    assert figures["accuracy"]["lower"] == held_out.intervals["accuracy"].lower
    rows = description["evaluation"]["per_class"]
    assert [row["support"] for row in rows] == [40, 40]
    assert rows[1]["recall"][0] == held_out.per_class["red"]["recall"]
    assert description["temperature"] == fitted.temperature_ == description["choices"]["temperature"][0]
    assert description["card"] == fitted.card()
    assert {"imgcls", "python", "keras", "numpy"} <= set(description["environment"])
    assert description["license"] is None
    assert sum(map(np.size, weights)) == fitted.model_.count_params()
    assert named["golden/images"].shape == (8, 12, 12, 3)


def test_the_schema_knows_every_argument():
    properties = _schema.description()._schema["properties"]
    assert set(properties["parameters"]["properties"]) == set(inspect.signature(ImageClassifier).parameters)
    assert tuple(properties["parameters"]["properties"]["engine"]["enum"]) == _backend.ENGINES
    not_of_a_file = {"architecture", "weights"}
    assert set(properties["blueprint"]["properties"]) == set(inspect.signature(build).parameters) - not_of_a_file


def test_a_loaded_classifier_saves_the_same_bytes(saved, tmp_path):
    again = ImageClassifier.load(saved).save(tmp_path / "b.imgcls")
    assert again.read_bytes() == saved.read_bytes()


def test_the_license_stays(fitted, tmp_path):
    licensed = copy.copy(fitted)
    path = licensed.save(tmp_path / "a.imgcls", license="CC-BY-4.0")
    again = ImageClassifier.load(path).save(tmp_path / "b.imgcls")
    assert bundle.load(again).description["license"] == "CC-BY-4.0"
    other = ImageClassifier.load(path).save(tmp_path / "b.imgcls", license="MIT")
    assert bundle.load(other).description["license"] == "MIT"
    assert bundle.load(licensed.save(path)).description["license"] == "CC-BY-4.0"
    assert bundle.load(fitted.save(path)).description["license"] is None


def test_a_license_that_is_refused_does_not_stay(fitted, tmp_path):
    licensed, path = copy.copy(fitted), tmp_path / "a.imgcls"
    licensed.save(path, license="MIT")
    for refused in ("\x1b[2J", "a" * 100_001, 3):
        with pytest.raises(BundleError, match=r"^the classifier cannot be saved: license is "):
            licensed.save(path, license=refused)
    with pytest.raises(BundleError, match="does not exist"):
        licensed.save(tmp_path / "no" / "a.imgcls", license="Apache-2.0")
    assert bundle.load(licensed.save(path)).description["license"] == "MIT"


def test_a_whole_license_is_held(fitted, tmp_path):
    whole = (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8")
    assert len(whole) > 10_000
    path = copy.copy(fitted).save(tmp_path / "a.imgcls", license=whole)
    assert bundle.load(path).description["license"] == whole
    assert ImageClassifier.load(path).save(tmp_path / "b.imgcls").read_bytes() == path.read_bytes()


def test_folders_of_this_machine_stay_out(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(fitted._learnt_with, "weights", tmp_path / "secret" / "mine.h5")
    path = fitted.save(tmp_path / "a.imgcls")
    assert b"secret" not in path.read_bytes()
    assert ImageClassifier.load(path).weights == "mine.h5"
    monkeypatch.setitem(fitted._learnt_with, "weights", str(tmp_path / "secret" / "mine.h5"))
    assert b"secret" not in fitted.save(path).read_bytes()


def test_arguments_that_are_no_plain_data_come_back_as_their_defaults(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(fitted._learnt_with, "optimizer", keras.optimizers.SGD(0.1))
    monkeypatch.setitem(fitted._learnt_with, "devices", [object()])
    monkeypatch.setitem(fitted._learnt_with, "seed", np.int64(3))
    loaded = ImageClassifier.load(fitted.save(tmp_path / "a.imgcls"))
    assert (loaded.optimizer, loaded.devices, loaded.seed) == ("auto", "auto", 3)


def test_a_bundle_tells_of_the_fit_and_not_of_what_was_set_since(fitted, tmp_path):
    expected = bundle.load(fitted.save(tmp_path / "a.imgcls")).description
    for since in ({"architecture": "small_resnet", "image_size": 32, "learning_rate": 0.5}, {"architecture": mine}):
        changed = copy.copy(fitted).set_params(**since)
        with pytest.raises(DataError, match="of one class"):  # so that what was learnt before stays
            changed.fit(pictures()[0], ["red"] * 60, verbose=0)
        path = changed.save(tmp_path / "b.imgcls")
        assert bundle.load(path).description["parameters"] == expected["parameters"]
        assert bundle.load(path).description["card"] == expected["card"]
        loaded = ImageClassifier.load(path)
        assert loaded.get_params() == fitted.get_params()
        assert loaded.verify()
        again = loaded.set_params(**since).save(tmp_path / "c.imgcls")
        assert again.read_bytes() == path.read_bytes()
        assert pickle.loads(pickle.dumps(loaded)).save(again).read_bytes() == path.read_bytes()


def test_the_engine_of_a_bundle_is_the_one_that_answers(fitted, tmp_path):
    changed = copy.copy(fitted).set_params(engine="tensorflow")
    assert ImageClassifier.load(changed.save(tmp_path / "a.imgcls")).engine == "tensorflow"


@pytest.mark.parametrize(
    ("classes", "weights"),
    [
        ((4, 7), {4: 1.0, 7: 5.0}),
        ((4, 7), {np.int64(7): np.float32(5)}),
        ((0, 1), MappingProxyType({True: 5})),
        (("blue", "red"), {"red": 5.0}),
        (("4", "7"), {"7": 5.0}),
    ],
)
def test_weights_of_classes_come_back(classes, weights, tmp_path):
    pixels, names = pictures(40)
    labels = np.array(classes)[(names == "red").astype(int)]
    classifier = small(class_weight=weights, epochs=1).fit(pixels, labels, verbose=0)
    path = classifier.save(tmp_path / "a.imgcls")
    loaded = ImageClassifier.load(path)
    assert loaded.class_weight == dict(weights)
    assert {type(name) for name in loaded.class_weight} == {type(classes[0])}
    assert loaded.save(tmp_path / "b.imgcls").read_bytes() == path.read_bytes()
    np.testing.assert_array_equal(
        loaded.fit(pixels, labels, verbose=0).predict_proba(pixels), classifier.predict_proba(pixels)
    )


def test_a_model_that_has_not_learnt_is_not_saved(fitted, tmp_path, monkeypatch):
    model = keras.models.clone_model(fitted.model_)
    broken = [np.full_like(weight, np.nan) for weight in model.get_weights()]
    model.set_weights(broken)
    monkeypatch.setattr(fitted, "model_", model)
    with pytest.raises(BundleError) as caught:
        fitted.save(tmp_path / "a.imgcls")
    assert str(caught.value) == (
        "the weight 'block1_conv/kernel' holds NaN or infinity: the model has not learnt, and is not saved. "
        "Fit it again with a lower learning rate."
    )


@pytest.mark.parametrize("kind", ["one sigmoid for two classes", "several labels"])
def test_sigmoids_come_back_too(kind, tmp_path):
    pixels, labels = pictures(40)
    several = [[label, "square"] if index % 3 else [label] for index, label in enumerate(labels.tolist())]
    given, loss = (several, "auto") if kind == "several labels" else (labels, "binary_crossentropy")
    classifier = small(loss=loss, epochs=1).fit(pixels, given, validation_data=(pixels, given), verbose=0)
    path = classifier.save(tmp_path / "a.imgcls")
    assert bundle.load(path).description["blueprint"]["head"] == "sigmoid"
    loaded = ImageClassifier.load(path)
    assert loaded.verify()
    assert dict(loaded.held_out_) == dict(classifier.held_out_)
    assert loaded.save(tmp_path / "b.imgcls").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_bundles_of_every_version_are_loaded(version):
    loaded = ImageClassifier.load(forging.CORPUS / version)
    assert loaded.verify(), loaded.verify()
    digits = Dataset.builtin("digits")[500:900]
    assert loaded.evaluate(digits, verbose=0).accuracy > 0.7


# --- golden images ---------------------------------------------------------------------------------------------------


def test_golden_images_are_run_again(saved, fitted):
    verification = ImageClassifier.load(saved).verify()
    assert verification
    assert (verification.images, verification.agreeing, verification.resized_alike) == (8, 8, True)
    assert verification.difference < 1e-5
    with pytest.raises(DataError) as caught:
        fitted.verify()
    assert str(caught.value) == (
        "there are no golden images yet: they are made when a classifier is saved. Save and load it first."
    )


def flat(array):
    array[...] = array[::-1].copy()


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays["0001"].__imul__(1.2),
        lambda arrays: flat(arrays["0000"].transpose(2, 0, 1, 3)),
        lambda arrays: arrays["golden/images"].__imul__(2),
    ],
    ids=["another weight", "BGR for RGB", "another scale"],
)
def test_golden_images_show_what_is_wrong(saved, change):
    saved.write_bytes(forging.rearranged(saved.read_bytes(), change))
    verification = ImageClassifier.load(saved).verify()
    assert not verification
    assert verification.difference > verification.tolerance


def test_golden_images_show_another_resize(saved, monkeypatch):
    from imgcls.images import _decoder

    loaded = ImageClassifier.load(saved)
    real = _decoder.Image.Image.resize
    nearest = _decoder.Image.Resampling.NEAREST
    monkeypatch.setattr(_decoder.Image.Image, "resize", lambda self, size, _=None, **more: real(self, size, nearest))
    verification = loaded.verify()
    assert not verification
    assert verification.resized_alike is False
    assert str(verification).endswith("; images are resized otherwise than at saving")


def test_images_of_yours_stand_in_for_drawn_ones_where_you_say_so(fitted, tmp_path):
    mine, _ = pictures(20, side=30, seed=5)
    path = fitted.save(tmp_path / "a.imgcls", golden=Dataset.from_arrays(mine))
    description, _, named = bundle.load(path)
    assert description["golden"] == "given"
    np.testing.assert_array_equal(named["golden/images"], [images.resize(one, (12, 12)) for one in mine[:16]])
    np.testing.assert_allclose(named["golden/probabilities"], fitted.predict_proba(mine[:16]), atol=1e-6)
    loaded = ImageClassifier.load(path)
    assert loaded.verify()
    assert loaded.verify().resized_alike is None
    assert loaded.save(tmp_path / "b.imgcls").read_bytes() == path.read_bytes()  # they were in the file already
    assert bundle.load(fitted.save(path)).description["golden"] == "drawn"
    assert bundle.load(loaded.save(path, golden=mine[:1])).named["golden/images"].shape == (1, 12, 12, 3)


def test_golden_images_are_run_in_full_float32(tmp_path):
    """On newer GPUs TensorFlow computes in TensorFloat-32; a processor that verifies the file has no such thing."""
    import tensorflow as tf

    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    noted = set()

    class Noting(keras.layers.Layer):
        def call(self, pixels):
            def note(pixels):
                noted.add(enabled())
                return pixels

            return tf.ensure_shape(tf.numpy_function(note, [pixels], pixels.dtype), pixels.shape)

    def own(shape, classes):
        return keras.Sequential([keras.Input(shape), Noting(), keras.layers.Flatten(), keras.layers.Dense(classes)])

    def noted_by(compute):
        noted.clear()
        compute()
        return noted.copy()

    fitted = small(own, epochs=1).fit(*pictures(), verbose=0)
    path = tmp_path / "a.imgcls"
    assert noted_by(lambda: fitted.save(path)) == {False}
    loaded = ImageClassifier.load(path, architecture=own)
    assert noted_by(loaded.verify) == {False}
    assert noted_by(lambda: loaded.predict_proba(pictures()[0])) == {True}


def test_golden_images_are_run_anew_where_keras_has_trained_the_model_further(saved, tmp_path):
    loaded = ImageClassifier.load(saved)
    loaded.model_.set_weights([weight[::-1] for weight in loaded.model_.get_weights()])
    again = ImageClassifier.load(loaded.save(tmp_path / "b.imgcls"))
    now, before = again._kept.golden, loaded._kept.golden
    np.testing.assert_array_equal(now.images, before.images)
    np.testing.assert_allclose(now.probabilities, loaded.model_(now.images.astype(np.float32)), atol=1e-6)
    assert np.abs(now.probabilities - before.probabilities).max() > 0.01
    assert again.verify()


def test_differences_are_measured():
    expected = np.array([[0.6, 0.4], [0.2, 0.8]])
    nan = Verification.measured(expected, np.full((2, 2), np.nan))
    assert (bool(nan), nan.difference, nan.agreeing) == (False, 1.0, 1)
    assert Verification.measured(expected, expected + 0.01, tolerance=0.02)
    several = Verification.measured(expected, np.array([[0.6, 0.5], [0.2, 0.8]]), multi_label=True)
    assert (several.agreeing, round(several.difference, 6)) == (1, 0.1)
    found = np.array([[0.75, 0.25], [0.2, 0.8]])  # the likeliest are the same
    assert Verification.measured(expected, found).agreeing == 2
    assert Verification.measured(expected, found, thresholds=[None, 0.3]).agreeing == 1


# --- an architecture of your own -------------------------------------------------------------------------------------


def mine(input_shape, num_classes):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(keras.layers.Flatten()(x)))


def of_lambda(input_shape, num_classes):
    layers = [keras.layers.Lambda(lambda x: x / 2), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])


AGAIN = (
    "was made with an architecture of your own, and a bundle holds no code. Give it again: "
    "ImageClassifier.load(path, architecture=...). "
)


@pytest.mark.parametrize("whole", [True, False], ids=["classifier", "backbone"])
def test_a_model_of_your_own_comes_back_from_its_config_where_you_trust_it(whole, tmp_path):
    keras.utils.set_random_seed(0)
    pixels, labels = pictures(20)
    own = mine((12, 12, 3), 2)
    own = own if whole else keras.Model(own.inputs, own.layers[1].output)
    classifier = small(own, epochs=1).fit(pixels, labels, verbose=0)
    path = classifier.save(tmp_path / "mine.imgcls")
    config = bundle.load(path).description["keras"]
    assert config == json.loads(forging.members_of(path.read_bytes())["keras.json"])
    assert words_of(path) == (
        f"{AGAIN}If you trust whoever made the file, let Keras build what its config names: "
        "ImageClassifier.load(path, trust=True), or --trust in a shell. Such a config can name code to import and run, "
        "and Keras' loading has had 13 known holes."
    )
    for options in ({"trust": True}, {"architecture": own}, {"architecture": own, "trust": True}):
        loaded = ImageClassifier.load(path, **options)
        np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
        assert loaded.verify()
        assert isinstance(loaded.architecture, keras.Model)
    trusted = ImageClassifier.load(path, trust=True)
    again = trusted.save(tmp_path / "again.imgcls")
    assert bundle.load(again).description["architecture"] is None
    assert ImageClassifier.load(again, trust=True).verify()
    trusted.set_params(epochs=8).fit(pixels, labels, verbose=0)  # it can learn again
    assert trusted.score(pixels, labels) > 0.8


def test_a_model_of_your_own_is_trained_anew_where_its_config_is_trusted(tmp_path):
    """Else the images of a cross-validation would have been seen before it begins."""
    pixels, labels = pictures(20)
    classifier = small(mine, epochs=2).fit(pixels, labels, verbose=0)
    path = classifier.save(tmp_path / "mine.imgcls")
    loaded = ImageClassifier.load(path, trust=True)
    again = clone(loaded).fit(pixels, labels, verbose=0)
    assert again.history_["loss"] == classifier.history_["loss"]
    np.testing.assert_array_equal(again.predict_proba(pixels), classifier.predict_proba(pixels))
    other = ImageClassifier.load(path, trust=True).fit(pixels, np.roll(labels, 1), verbose=0)
    assert other.history_["loss"] != classifier.history_["loss"]
    np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))  # what was learnt


def test_layers_that_learn_nothing_keep_their_weights_where_a_config_is_trusted(tmp_path):
    keras.utils.set_random_seed(5)
    pixels, labels = pictures(20)
    adapted, fixed = keras.layers.Normalization(), keras.layers.Conv2D(4, 3, trainable=False)
    resting = keras.layers.BatchNormalization(trainable=False)
    moving, head = keras.layers.BatchNormalization(scale=False, center=False), keras.layers.Dense(2)
    adapted.adapt(pixels / np.float32(99))
    own = keras.Sequential([keras.Input((12, 12, 3)), adapted, fixed, resting, moving, keras.layers.Flatten(), head])
    resting.set_weights([np.full(4, value, np.float32) for value in (2, 1, 0.5, 3)])
    classifier = small(own, epochs=2).fit(pixels, labels, verbose=0)
    trained = classifier.model_.get_layer("backbone")
    anew = ImageClassifier.load(classifier.save(tmp_path / "mine.imgcls"), trust=True).architecture
    for index in (0, 1, 2):
        assert own.layers[index].weights
        for found, given in zip(anew.layers[index].get_weights(), own.layers[index].get_weights(), strict=True):
            np.testing.assert_array_equal(found, given)
    for found, given in zip(anew.layers[3].get_weights(), (np.zeros(4), np.ones(4)), strict=True):
        np.testing.assert_array_equal(found, given)
    assert np.abs(trained.layers[3].get_weights()[0]).min() > 0
    kernels = [one.layers[5].get_weights()[0] for one in (anew, trained, own)]
    assert all(np.abs(kernels[0] - other).max() > 0.01 for other in kernels[1:])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("small_cnm", "architecture='small_cnm' is not known. Did you mean 'small_cnn'? Accepted: "),
        ("small_resnet", "its weights hold 24,050 numbers, and 'small_resnet' for these images and classes takes "),
        (mine, "the model has "),
        (5, "architecture=5 is not accepted. Accepted: a name from "),
    ],
    ids=["misspelt", "another", "of your own", "none"],
)
def test_an_architecture_that_does_not_fit_is_blamed_and_not_the_file(saved, given, why):
    found = words_of(saved, architecture=given)
    assert found.startswith(f"the architecture that is given does not fit {str(saved)!r}: {why}")
    assert found.endswith(". Give the one that the classifier was made with, as it was then.")


def test_with_channels_first_nothing_is_loaded_and_the_file_is_not_blamed(saved):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ConfigurationError, match=r"^Keras is set to image_data_format 'channels_first', "):
            ImageClassifier.load(saved)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert ImageClassifier.load(saved).verify()


def of_bfloat16(input_shape, num_classes):
    kinds = {"dtype": "bfloat16"}
    layers = [keras.layers.Flatten(**kinds), keras.layers.Dense(3, **kinds), keras.layers.BatchNormalization(**kinds)]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_classes, **kinds)])


def test_a_model_of_bfloat16_comes_back(tmp_path):
    """The upper half of a float32 is a bfloat16: what is stored has the same bits, and 0 behind them."""
    pixels, labels = pictures(20)
    classifier = small(of_bfloat16, epochs=2).fit(pixels, labels, verbose=0)
    path = classifier.save(tmp_path / "mine.imgcls")
    weights = bundle.load(path).weights
    assert {variable.dtype for variable in classifier.model_.weights} == {"bfloat16"}
    for stored, variable in zip(weights, classifier.model_.weights, strict=True):
        assert stored.dtype == np.float32
        bits = np.asarray(variable).view(np.uint16)
        np.testing.assert_array_equal(stored.view(np.uint32), bits.astype(np.uint32) << 16)
    for options in ({"trust": True}, {"architecture": of_bfloat16}):
        loaded = ImageClassifier.load(path, **options)
        assert {variable.dtype for variable in loaded.model_.weights} == {"bfloat16"}
        np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
        assert loaded.verify()
        again = bundle.load(loaded.save(tmp_path / "again.imgcls")).weights
        assert all(map(np.array_equal, again, weights))


def test_byte_code_stays_out(tmp_path):
    classifier = small(of_lambda, epochs=1).fit(*pictures(20), verbose=0)
    path = classifier.save(tmp_path / "mine.imgcls")
    assert "keras" not in bundle.load(path).description
    assert words_of(path, trust=True) == f"{AGAIN}It has no config that Keras could build it from either."
    loaded = ImageClassifier.load(path, architecture=of_lambda)
    np.testing.assert_array_equal(loaded.predict_proba(pictures()[0]), classifier.predict_proba(pictures()[0]))


def test_a_config_that_keras_cannot_build_or_that_is_another_model_is_refused_in_words(tmp_path):
    path = small(mine, epochs=1).fit(*pictures(20), verbose=0).save(tmp_path / "mine.imgcls")
    data = path.read_bytes()
    nothing = words_of(path, forging.changed(data, keras_json=b'{"class_name": "Nothing"}'), trust=True)
    assert nothing.startswith(f"Keras cannot build the model of {str(path)!r} from its config: ")
    assert nothing.endswith("or give the model itself: ImageClassifier.load(path, architecture=...).")
    other = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]).to_json().encode()
    assert words_of(path, forging.changed(data, keras_json=other), trust=True) == (
        "the model takes (None, 4, 4, 3) and gives (None, 2), and its description says otherwise"
    )


# --- the size of what is built ---------------------------------------------------------------------------------------


def rename(description, name):
    description["architecture"] = description["parameters"]["architecture"] = name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: rename(value, "convnext_xlarge"), "its weights hold 24,050 numbers, and 'convnext_xlarge' for these images and classes takes 348,152,066"),
        (lambda value: rename(value, "os"), "architecture='os' is not known."),
    ],
    ids=["a large network", "a module"],
)  # a row a case # fmt: skip
def test_what_is_not_of_its_size_is_refused_before_it_is_built(saved, change, words, monkeypatch):
    if "numbers" in words:
        monkeypatch.setattr(architectures, "build", None)
    found = words_of(saved, forging.described(saved.read_bytes(), change))
    assert found.startswith(words)


def test_flattened_maps_are_measured_before_the_head_is_built(tmp_path):
    """Weights for images of 16 pixels in a file that says 256: the head would be 256 times as large."""
    pixels, labels = pictures(20, side=16)
    path = small(image_size=16, pooling="flatten", epochs=1).fit(pixels, labels, verbose=0).save(tmp_path / "a.imgcls")
    assert ImageClassifier.load(path).verify()

    def enlarge(value):
        value["blueprint"]["input_shape"] = [256, 256, 3]

    data = forging.rearranged(
        forging.described(path.read_bytes(), enlarge),
        lambda arrays: arrays.update(
            {
                "golden/images": np.zeros((1, 256, 256, 3), np.uint8),
                "golden/probabilities": np.full((1, 2), 0.5, np.float32),
            }
        ),
    )
    assert words_of(path, data) == (
        "its weights hold 24,434 numbers, and 'small_cnn' for these images and classes takes 154,994"
    )


def blueprint_of(channels, grayscale, pooling="average"):
    return {
        "input_shape": [96, 96, channels],
        "num_classes": 4,
        "head": "softmax",
        "pooling": pooling,
        "dropout": 0.2,
        "grayscale": grayscale,
    }


@pytest.mark.parametrize(
    "name",
    [
        "small_cnn",
        "speed_cnn",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("small_resnet", "speed_cnn_wide", "mobilenet_v2_035", "efficientnet_b0", "resnet50", "densenet121"),
                *("convnext_tiny", "nasnet_mobile", "xception"),
            )
        ),
    ],
)
@pytest.mark.parametrize(("channels", "grayscale"), [(3, False), (3, True), (1, False), (2, False), (13, False)])
def test_the_table_knows_the_size_of_what_is_built(name, channels, grayscale):
    blueprint = blueprint_of(channels, grayscale)
    numbers = build(name, **blueprint).count_params()
    _check_size(name, blueprint, numbers)
    for wrong in (numbers + 200_000, *([numbers - 200_000] if numbers > 200_000 else [])):
        with pytest.raises(ValueError, match=rf"^its weights hold {wrong:,} numbers, and '{name}' for these images"):
            _check_size(name, blueprint, wrong)


def test_features_of_another_model_are_refused(saved):
    data = forging.rearranged(
        saved.read_bytes(), lambda arrays: arrays.update({"familiarity/known": np.zeros((5, 3), np.float16)})
    )
    assert words_of(saved, data) == ("the array 'familiarity/known' has 3 features, and the model 64")


def test_weights_of_another_dtype_are_refused(saved):
    data = forging.rearranged(
        saved.read_bytes(), lambda arrays: arrays.update({"0001": arrays["0001"].astype(np.int32)})
    )
    assert words_of(saved, data) == ("its weight 'block1_norm/gamma' is int32, and float32 is needed")


# --- leaks -----------------------------------------------------------------------------------------------------------


def test_a_loaded_classifier_finds_what_it_has_learnt_from(fitted, saved):
    loaded = ImageClassifier.load(saved)
    old, new = pictures(), pictures(30, seed=7)
    mixed = [np.concatenate(pair) for pair in zip(new, (old[0][:10], old[1][:10]), strict=True)]
    for classifier in (fitted, loaded):
        leaks = classifier.evaluate(*mixed, verbose=0).leaks()
        assert leaks.ids == tuple(map(str, range(30, 40)))
    assert loaded.evaluate(*new, verbose=0).leaks().ids == ()
    validation = Traces.of(Dataset.from_arrays(*pictures(80, seed=1)))
    assert bundle.load(saved).description["data"] == {
        "training": {"images": 60, "sha256": Traces.of(Dataset.from_arrays(*old)).sha256},
        "validation": {"images": 80, "sha256": validation.sha256},
    }


def test_where_too_much_would_have_to_be_read_leaks_are_not_looked_for(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("imgcls.datasets._traces.MOST", 59)
    monkeypatch.setattr(fitted, "_kept", None)
    path = fitted.save(tmp_path / "a.imgcls")
    description, _, named = bundle.load(path)
    assert description["data"]["training"] == {"images": 60, "sha256": None}
    assert "training/contents" not in named
    assert ImageClassifier.load(path).evaluate(*pictures(), verbose=0).leaks() is None


def test_what_is_fitted_again_forgets_what_was_loaded(saved, tmp_path):
    loaded = ImageClassifier.load(saved)
    loaded.set_params(epochs=1).fit(*pictures(16, seed=11), verbose=0)
    with pytest.raises(DataError, match="no golden images yet"):
        loaded.verify()
    path = loaded.save(tmp_path / "b.imgcls")
    assert bundle.load(path).description["data"]["training"]["images"] == 16
    assert Path(path).stat().st_size > 0
