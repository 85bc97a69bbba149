"""Embed once: one backbone pass for each image in its life, and another one only where something changed."""

import os
import shutil
import sqlite3
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from imgcls import ConfigurationError, Dataset, DataWarning, UnreadableImageError, _backend, architectures
from imgcls.datasets import Batches
from imgcls.trainer import _backbone, _embed
from imgcls.trainer._backbone import UnknownCodeError, hash_of_backbone
from imgcls.trainer._embed import embed


def build(size=24, seed=0):
    """Return a small backbone with its features, of the same weights for the same seed, at any size."""
    model = architectures.cut(architectures.build("small_cnn", input_shape=(size, size, 3), num_classes=2))
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.1, 0.3, array.shape) for array in model.get_weights()])
    return model


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(photos):
    return Dataset.from_folder(photos)


@pytest.fixture
def passes(monkeypatch):
    """Return a list that grows by the number of images of each batch that goes through a backbone."""
    sizes, make = [], _backend.engine

    def counted(model, name, **options):
        run = make(model, name, **options)

        class Counted:
            name, reason = run.name, run.reason

            def __call__(self, images):
                sizes.append(len(images))
                return run(images)

        return Counted()

    monkeypatch.setattr(_backend, "engine", counted)
    return sizes


def truth(model, data):
    """Compute features by Keras itself, image by image."""
    size = model.input_shape[1:3]
    pixels = np.stack([data.read(index, size=size, channels=3) for index in range(len(data))])
    return np.asarray(model(pixels.astype(np.float32), training=False))


def close(features, expected):
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def the_file(cache):
    (path,) = cache.glob("features-*.sqlite")
    return path


def test_features_are_the_models_own_and_computed_once(data, cache, passes):
    model = build()
    first = embed(model, data)
    close(first.features, truth(model, data))
    assert first.positions.tolist() == list(range(16))
    assert (first.computed, sum(passes), first.engine, first.quarantined) == (16, 16, "tensorflow", {})
    second = embed(model, data)
    assert (second.computed, sum(passes), second.engine) == (0, 16, "cache")
    assert second.reason == "all features were computed before"
    np.testing.assert_array_equal(second.features, first.features)  # to the last bit
    assert the_file(cache).name == f"features-{hash_of_backbone(model)}.sqlite"


@pytest.mark.slow
def test_another_process_finds_them_whatever_keras_calls_its_layers(data, cache, photos):
    embed(build(), data)
    script = f"""
import sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from test_embed import Dataset, build, embed
build(), build(8)  # Keras counts its names up
embedded = embed(build(), Dataset.from_folder({str(photos)!r}))
print(embedded.computed, embedded.engine)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout == "0 cache\n", done.stderr


def test_only_new_files_are_computed(data, cache, passes, photos):
    embed(build(), data)
    for index, name in enumerate(("cat/new.png", "cat/other.png", "dog/new.png")):
        Image.fromarray(np.full((30, 30, 3), 60 * index, np.uint8)).save(photos / name)
    embedded = embed(build(), Dataset.from_folder(photos))
    assert (embedded.computed, sum(passes), len(embedded.features)) == (3, 19, 19)
    close(embedded.features, truth(build(), Dataset.from_folder(photos)))


def test_a_changed_pixel_computes_its_image_anew(data, cache, photos):
    embed(build(20), data)
    with Image.open(photos / "dog" / "0.png") as image:
        pixels = np.array(image)
    pixels[5, 5, 0] ^= 128
    Image.fromarray(pixels).save(photos / "dog" / "0.png")
    changed = Dataset.from_folder(photos)
    embedded = embed(build(20), changed)
    assert embedded.computed == 1
    close(embedded.features, truth(build(20), changed))


def test_a_changed_weight_computes_all_anew(data, cache):
    model = build()
    embed(model, data)
    weights = model.get_weights()
    weights[-1].flat[-1] += 0.25
    model.set_weights(weights)
    embedded = embed(model, data)
    assert embedded.computed == 16
    close(embedded.features, truth(model, data))


def test_another_size_or_preprocessing_computes_all_anew(data, cache):
    embed(build(24), data)
    assert embed(build(20), data).computed == 16
    inner = build(24)
    inputs = keras.Input((24, 24, 3))
    for scale in (0.5, 0.25):
        assert embed(keras.Model(inputs, inner(layers.Rescaling(scale)(inputs))), data).computed == 16


def test_training_settings_change_nothing(data, cache):
    model = build()
    embed(model, data)
    model.trainable = False
    model.compile("sgd", "mse")
    assert embed(model, data).computed == 0


def test_copies_are_computed_once(data, cache, passes, photos):
    shutil.copy(photos / "cat" / "0.jpg", photos / "cat" / "copy.jpg")
    shutil.copy(photos / "cat" / "0.jpg", photos / "dog" / "copy.jpg")
    copied = Dataset.from_folder(photos)
    for cached in (False, True):
        passes.clear()
        embedded = embed(build(), copied, cache=cached)
        assert (embedded.computed, sum(passes), len(embedded.features)) == (16, 16, 18)
        close(embedded.features, truth(build(), copied))


def test_more_images_than_a_batch_are_gathered_over_batches(cache, passes, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 24, 24, 3), dtype=np.uint8)
    monkeypatch.setattr(_embed, "_BATCH", 8)
    odd = Dataset.from_arrays(pixels[1::2])
    assert embed(build(), odd).computed == 25
    passes.clear()
    every = Dataset.from_arrays(pixels)
    embedded = embed(build(), every)
    assert passes == [8, 8, 8, 1]  # the 25 others, a few of them in each batch that was read
    close(embedded.features, truth(build(), every))


# --- the cache -----------------------------------------------------------------------------------------------------


def test_interrupted_work_is_kept(data, cache, passes, monkeypatch):
    monkeypatch.setattr(_embed, "_BATCH", 4)
    take = _embed._Pending.take

    def interrupted(self, images, positions):
        take(self, images, positions)
        if self.taken >= 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_embed._Pending, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embed(build(), data)
    embedded = embed(build(), data)
    assert (embedded.computed, sum(passes)) == (8, 16)
    close(embedded.features, truth(build(), data))


def test_without_a_cache_nothing_is_written_or_read(data, cache, monkeypatch):
    assert embed(build(), data, cache=False).computed == 16
    assert not cache.exists()
    embed(build(), data)
    assert embed(build(), data, cache=False).computed == 16
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    assert embed(build(), data).computed == 16


def altered(path):
    with sqlite3.connect(path) as connection:
        size = connection.execute("SELECT length(pixels) FROM images").fetchone()[0]
        connection.execute(f"UPDATE images SET pixels = zeroblob({size}) WHERE rowid = 3")
    connection.close()


def garbled(path):
    path.write_bytes(b"not a database at all" * 1000)


@pytest.mark.parametrize(("damage", "lost"), [(altered, 1), (garbled, 16)])
def test_damaged_features_are_computed_anew(data, cache, damage, lost):
    model = build()
    embed(model, data)
    damage(the_file(cache))
    embedded = embed(model, data)
    assert embedded.computed == lost
    close(embedded.features, truth(model, data))
    assert embed(model, data).computed == 0


def test_features_of_backbones_not_used_for_long_make_room(data, cache, monkeypatch):
    monkeypatch.setattr(_embed, "_FILES", 2)
    for age, seed in ((30, 0), (20, 1)):
        embed(build(seed=seed), data)
        path = cache / f"features-{hash_of_backbone(build(seed=seed))}.sqlite"
        os.utime(path, (path.stat().st_atime - age,) * 2)
    embed(build(seed=0), data)  # used again
    embed(build(seed=2), data)
    assert [embed(build(seed=seed), data).computed for seed in (0, 2, 1)] == [0, 0, 16]


class Doubled(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_what_has_code_of_its_own_is_not_kept(data, cache, capsys):
    inner = build()
    inputs = keras.Input((24, 24, 3))
    for layer, name in ((Doubled(), f"{Doubled.__module__}.Doubled"), (layers.ReLU(), None)):
        model = keras.Model(inputs, inner(layer(inputs)))
        with _embed.ProgressReport(2) as report:
            embed(model, data, report=report)
            assert embed(model, data, report=report).computed == (0 if name is None else 16)
        line = f"features are not kept: the model has code of its own, {name}, whose changes cannot be seen\n"
        assert capsys.readouterr().err.count(line) == (0 if name is None else 2)


# --- which backbone ------------------------------------------------------------------------------------------------


def chain(*stages):
    x = inputs = keras.Input((8, 8, 3))
    for stage in stages:
        x = stage(x)
    return keras.Model(inputs, x)


def test_what_is_named_as_it_computes_is_told_apart():
    """A name stands for its layer alone, and not for a setting that is spelled alike."""
    models = [chain(layers.Activation(kind, name=kind), layers.Flatten()) for kind in ("relu", "tanh", "relu")]
    first, second, third = map(hash_of_backbone, models)
    assert first == third != second


def test_connections_count():
    def crossed(swap):
        inputs = keras.Input((8, 8, 3))
        one, two = layers.ReLU()(inputs), layers.Activation("tanh")(inputs)
        pair = (two, one) if swap else (one, two)
        return keras.Model(inputs, layers.Flatten()(layers.Subtract()(pair)))

    first, second, third = (hash_of_backbone(crossed(swap)) for swap in (False, True, False))
    assert first == third != second


def test_versions_count(monkeypatch):
    before = hash_of_backbone(chain(layers.Flatten()))
    monkeypatch.setattr(keras, "__version__", "99.0")
    assert hash_of_backbone(chain(layers.Flatten())) != before


@pytest.mark.slow
@pytest.mark.parametrize("name", [row for row in architectures.names() if "small" in row or "speed" in row])
def test_our_own_architectures_have_a_hash(name):
    def hashed():
        keras.utils.set_random_seed(0)
        return hash_of_backbone(architectures.build(name, input_shape=(64, 64, 3), num_classes=2))

    assert hashed() == hashed()


def relu(x):
    return 3 * x


def test_functions_of_somebody_are_refused():
    """Also one that Keras writes down as its own of that name."""
    for layer in (layers.Activation(relu), layers.Lambda(relu), layers.Conv2D(2, 3, activation=relu)):
        with pytest.raises(UnknownCodeError) as refusal:
            hash_of_backbone(chain(layer, layers.Flatten()))
        assert str(refusal.value) == f"{__name__}.relu"
    hash_of_backbone(chain(layers.Activation(keras.ops.relu), layers.Flatten()))


def test_code_of_an_installed_package_counts_by_its_version(monkeypatch):
    monkeypatch.setattr(Doubled, "__module__", "numpy.somewhere")
    before = hash_of_backbone(chain(Doubled(), layers.Flatten()))
    monkeypatch.setattr(_backbone.metadata, "version", lambda name: "99.0")
    assert hash_of_backbone(chain(Doubled(), layers.Flatten())) != before


# --- arguments and images ------------------------------------------------------------------------------------------


def test_images_that_cannot_be_read_are_quarantined(data, cache, photos):
    (photos / "dog" / "0.png").write_bytes(b"not an image")
    broken = Dataset.from_folder(photos)
    for cached in (True, True, False):
        with pytest.warns(DataWarning, match="^1 of 16 images"):
            embedded = embed(build(), broken, cache=cached)
        assert list(embedded.quarantined) == ["dog/0.png"]
        assert embedded.positions.tolist() == [*range(8), *range(9, 16)]
        rest = broken[embedded.positions]
        close(embedded.features, truth(build(), rest))
    with pytest.raises(UnreadableImageError):
        embed(build(), broken, on_error="raise")


def test_batches_that_are_there_are_used(data, cache, passes):
    batches = Batches(data, image_size=(24, 24), channels=3, batch_size=5, keep="memory")
    embedded = embed(build(), batches)
    assert (embedded.computed, passes) == (16, [16])
    close(embedded.features, truth(build(), data))
    with pytest.raises(ConfigurationError) as refusal:
        embed(build(20), batches)
    assert str(refusal.value) == (
        "the batches have images of (24, 24, 3) and the model takes (20, 20, 3). Make batches of the model's size, or give the dataset itself."
    )


def test_an_unknown_engine_is_refused_though_nothing_is_to_compute(data, cache):
    embed(build(), data)
    with pytest.raises(ConfigurationError) as refusal:
        embed(build(), data, engine="openvivo")
    assert str(refusal.value).startswith("engine='openvivo' is not known. Did you mean 'openvino'?")


def test_progress_counts_images(data, cache):
    class Noted:
        begun, last, said = [], 0, []

        def begin(self, what, total):
            self.begun.append((what, total))

        def done(self, count):
            self.last = count

        def say(self, line):
            self.said.append(line)

    report = Noted()
    embed(build(), data, report=report)
    assert report.begun == [("reading 16 images", 16), ("embedding 16 images", 16)]
    assert report.last == 16


def test_embedding_that_takes_longer_than_there_is_time_for_is_foreseen_and_goes_on(monkeypatch):
    """32 images take 2 s and the first ones 60 more, to compile: after the fifth of 13 batches 256 are left."""
    pixels = np.random.default_rng(0).integers(0, 256, (416, 8, 8, 1), dtype=np.uint8)
    noise = Dataset.from_arrays(pixels, np.arange(416) % 2)
    clock, said = [100.0], []

    class Slow:
        name, reason = "slow", ""

        def __call__(self, images):
            clock[0] += 62.0 if clock[0] == 100 else 2.0
            return np.zeros((len(images), 64), np.float32)

    monkeypatch.setattr(_backend, "engine", lambda *_, **__: Slow())
    monkeypatch.setattr(_embed, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    model = architectures.cut(architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10))
    report = SimpleNamespace(begin=lambda *_: None, done=lambda _: None, say=said.append)
    for ends in (None, 190.0, 180.0):
        clock[0] = 100.0
        found = _embed.embed_until(ends, model, noise, cache=False, report=report)
        assert found.positions.tolist() == list(range(416))
    assert said == [
        "embedding takes some 16 s more, and 10 s of the budget are left: the head needs the features of all images, so none is left out"
    ]
    assert (_embed._in_words(119.4), _embed._in_words(900.0)) == ("119 s", "15 min")
