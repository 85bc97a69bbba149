"""Weights come from files of every kind, checked layer by layer; what is hostile or does not fit is refused."""

import os
import runpy
import shutil
import socket
import sys
import zipfile
from functools import cache

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers

from imgcls import ConfigurationError, DataError, architectures
from imgcls.architectures import _weights

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
NAME, SMALL = "mobilenet_025", "small_cnn"


@cache
def published(name, top=False, seed=1):
    """Return a network of `keras.applications`, or our smallest, with random numbers, as if trained."""
    row = architectures.describe(name)
    if name == SMALL:
        model = architectures.small_cnn((32, 32, 3))
    else:
        model = getattr(keras.applications, row.builder)(
            include_top=top, weights=None, input_shape=(32, 32, 3), **row.options, **({"classes": 7} if top else {})
        )
    generator = np.random.default_rng(seed)
    model.set_weights([abs(generator.normal(0.1, 0.02, array.shape)) for array in model.get_weights()])
    return model


def write_layers(file, model):
    """Write the layout that Keras 1 and 2 use."""
    file.attrs["layer_names"] = [layer.name for layer in model.layers]
    for layer in model.layers:
        group = file.create_group(layer.name)
        variables = layer.trainable_weights + layer.non_trainable_weights
        group.attrs["weight_names"] = [weight.path for weight in variables]
        for weight in variables:
            group[weight.path] = np.asarray(weight)


def transfer(base):
    """Build what a tutorial builds around a backbone."""
    stages = [layers.Rescaling(1 / 127.5, -1), base, layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return keras.Sequential([keras.Input((32, 32, 3)), *stages])


def save(model, path):
    """Save a model in the way that the path's ending means."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.suffix == ".keras":
        model.save(path)
    elif path.suffix == ".safetensors":
        safetensors.numpy.save_file({weight.path: np.asarray(weight) for weight in model.weights}, path)
    else:
        with h5py.File(path, "w") as file:
            write_layers(file, model)


def load(path, name=NAME, channels=3, side=32, **arguments):
    return architectures.build(name, input_shape=(side, side, channels), num_classes=3, weights=path, **arguments)


def assert_same_arrays(model, expected):
    arrays = model.get_layer("backbone").get_weights()
    for ours, theirs in zip(arrays, expected[: len(arrays)], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def cause(path, name=SMALL):
    """Return the whole message with which a file is refused, with its name for its path."""
    with pytest.raises(DataError) as refusal:
        load(path, name)
    return str(refusal.value).replace(repr(str(path)), path.name)


# --- files that fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "safetensors"])
@pytest.mark.parametrize("name", [NAME, "mobilenet_v3_small"])
def test_every_kind_of_file_gives_the_arrays_that_were_saved(ending, name, tmp_path):
    model = published(name)
    save(model, tmp_path / f"file.{ending}")
    assert_same_arrays(load(tmp_path / f"file.{ending}", name), model.get_weights())


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "safetensors"])
def test_what_a_file_holds_beyond_the_backbone_is_left_alone(ending, tmp_path):
    """Of a model with its own top, and of a backbone inside of another model."""
    whole = published(NAME, top=True)
    save(whole, tmp_path / f"top.{ending}")
    assert_same_arrays(load(tmp_path / f"top.{ending}"), whole.get_weights())
    inner = published(NAME, seed=2)
    save(transfer(inner), tmp_path / f"inner.{ending}")
    assert_same_arrays(load(tmp_path / f"inner.{ending}"), inner.get_weights())


@pytest.mark.parametrize("ending", ["weights.h5", "keras", "safetensors"])
@pytest.mark.parametrize("name", [NAME, "speed_cnn", pytest.param("convnext_tiny", marks=pytest.mark.slow)])
def test_a_classifier_of_ours_gives_its_backbone_to_another(ending, name, tmp_path):
    first = architectures.build(name, input_shape=(32, 32, 3), num_classes=3, seed=1)
    save(first, tmp_path / f"ours.{ending}")
    assert_same_arrays(load(tmp_path / f"ours.{ending}", name, seed=2), first.get_layer("backbone").get_weights())


def test_arrays_numbered_as_in_a_bundle(tmp_path):
    first = architectures.build(NAME, input_shape=(32, 32, 3), num_classes=5, seed=1)
    numbered = {f"{number:04d}": weight for number, weight in enumerate(first.get_weights())}
    others = {"golden/images": np.zeros((8, 32, 32, 3), np.uint8)}
    safetensors.numpy.save_file(numbered | others, tmp_path / "weights.safetensors")
    assert_same_arrays(load(tmp_path / "weights.safetensors"), first.get_weights())


def test_a_whole_compiled_model_with_its_optimizer(tmp_path):
    inner = published(NAME)
    model = transfer(inner)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "compiled.keras")
    assert_same_arrays(load(tmp_path / "compiled.keras"), inner.get_weights())


@pytest.mark.slow
def test_layers_that_nobody_named_are_found_by_their_order(tmp_path):
    """Inception's layers are called conv2d_94 in one process and conv2d in another."""
    layers.Conv2D(1, 1)  # takes a name from Keras' counter
    model = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
    assert model.layers[1].name != "conv2d"
    save(model, tmp_path / "inception.h5")
    assert_same_arrays(load(tmp_path / "inception.h5", "inception_v3", side=75), model.get_weights())


def test_names_in_parts_as_of_long_lists(tmp_path):
    """HDF5 holds at most 64 KB in an attribute, and Keras divides longer ones."""
    model = published(NAME)
    save(model, tmp_path / "parts.h5")
    with h5py.File(tmp_path / "parts.h5", "a") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:30], names[30:]
    assert_same_arrays(load(tmp_path / "parts.h5"), model.get_weights())


@pytest.mark.parametrize("name", ["weights.H5", "weights.Safetensors"])
def test_an_ending_in_capitals_is_one(name, tmp_path):
    model = published(NAME)
    save(model, tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert_same_arrays(load(tmp_path / name), model.get_weights())


def test_float16_is_enough_for_a_file(tmp_path):
    model = published(NAME)
    arrays = {weight.path: np.asarray(weight).astype("float16") for weight in model.weights}
    safetensors.numpy.save_file(arrays, tmp_path / "half.safetensors")
    loaded = load(tmp_path / "half.safetensors").get_layer("backbone").get_weights()
    for ours, theirs in zip(loaded, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_the_published_mobilenet_loads_to_the_last_number(shared_data):
    path = shared_data / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    model = load(path, "mobilenet_v2_035", side=224)
    expected = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=str(path), input_shape=(224, 224, 3)
    )
    assert_same_arrays(model, expected.get_weights())


# --- EfficientNet --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_efficientnet_gives_the_features_of_keras_with_its_extra_scaling(tmp_path, monkeypatch):
    """Under weights="imagenet" Keras inserts a layer; ours folds it into the variance, so that a bundle can rebuild."""
    model = published("efficientnet_b0", seed=4)
    arrays = model.get_weights()
    arrays[:2] = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # as in the file that Keras has
    model.set_weights(arrays)
    (tmp_path / "models").mkdir()
    save(model, tmp_path / "models" / "efficientnetb0_notop.h5")
    model.save_weights(tmp_path / "published.weights.h5")
    monkeypatch.setattr(
        "keras.src.applications.efficientnet.file_utils.get_file",
        lambda *_, **__: str(tmp_path / "published.weights.h5"),
    )
    theirs = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    first = load("imagenet", "efficientnet_b0")
    ours = first.get_layer("backbone")
    np.testing.assert_allclose(ours(IMAGES), theirs(IMAGES), rtol=1e-3, atol=1e-4)
    save(first, tmp_path / "ours.safetensors")  # and is not folded a second time
    again = load(tmp_path / "ours.safetensors", "efficientnet_b0")
    np.testing.assert_array_equal(again.get_layer("backbone")(IMAGES), ours(IMAGES))


# --- files that do not fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "safetensors"])
def test_a_file_of_another_width_is_refused_by_layer_and_shape(ending, tmp_path):
    path = tmp_path / f"wide.{ending}"
    save(published("mobilenet"), path)
    layer = "conv1/kernel" if ending == "safetensors" else "conv1"
    assert cause(path, NAME) == (
        f"weights file wide.{ending} does not fit 'mobilenet_025': layer '{layer}' needs arrays [(3, 3, 3, 8)] and the file has [(3, 3, 3, 32)]. File and architecture must be of one family and width."
    )


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "safetensors"])
def test_a_file_of_another_family_leaves_no_trace(ending, tmp_path):
    path = tmp_path / f"other.{ending}"
    save(published(NAME), path)
    assert " does not fit 'small_cnn': layer " in cause(path)


def test_files_that_are_none(tmp_path):
    for ending in ("h5", "weights.h5", "keras", "safetensors"):
        path = tmp_path / f"text.{ending}"
        path.write_text("not a file of weights" * 100)
        assert cause(path).startswith(f"weights file text.{ending} cannot be read: ")
        assert cause(path).endswith(". Get it again, or use another file.")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert cause(tmp_path / "empty.h5") == (
        "weights file empty.h5 cannot be read: it holds no layers as Keras writes them. Get it again, or use another file."
    )
    with pytest.raises(DataError, match=r"does not exist\. Check the path and the working directory\.$"):
        load(tmp_path / "missing.h5", SMALL)
    with pytest.raises(ConfigurationError, match="is not accepted"):
        load(tmp_path / "weights.npz", SMALL)


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "safetensors"])
def test_a_truncated_file(ending, tmp_path):
    path = tmp_path / f"cut.{ending}"
    save(published(SMALL), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert cause(path).startswith(f"weights file cut.{ending} cannot be read: ")


def test_numbers_that_are_none(tmp_path):
    model = published(SMALL, seed=3)
    model.layers[1].set_weights([np.full(model.layers[1].weights[0].shape, np.nan)])
    save(model, tmp_path / "nan.h5")
    assert cause(tmp_path / "nan.h5") == (
        "weights file nan.h5 holds numbers that are not finite. Get it again, or use another file."
    )


# --- hostile files -------------------------------------------------------------------------------------------------


def put(path, make):
    """Replace the first kernel in a file that Keras wrote."""
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars/0"]
        make(file)


def link_to(link):
    return lambda file: file["layers/conv2d/vars"].__setitem__("0", link)


def outside(file):
    """Let the array lie in another file, as HDF5 can."""
    file["layers/conv2d/vars"].create_dataset("0", (3, 3, 3, 16), "f4", external=[("/etc/passwd", 0, 1728)])


def virtual(file):
    layout = h5py.VirtualLayout((3, 3, 3, 16), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "data", (3, 3, 3, 16))
    file["layers/conv2d/vars"].create_virtual_dataset("0", layout)


def objects(file):
    file["layers/conv2d/vars"].create_dataset("0", (3, 3, 3, 16), h5py.string_dtype())


def unfolding(file):
    """Declare one small array in a chunk of 800 MB, which HDF5 would unfold as a whole."""
    file["layers/conv2d/vars"].create_dataset(
        "0", (3, 3, 3, 16), "f4", chunks=(3, 3, 3, 8_000_000), maxshape=(3, 3, 3, None), compression="gzip"
    )


def enormous(file):
    """Declare 4 TB in a few bytes."""
    file["layers/conv2d/vars"].create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link_to(h5py.SoftLink("/layers/dense/vars/0")), "'0' is a link in it"),
        (link_to(h5py.ExternalLink("/etc/passwd", "/")), "'0' is a link in it"),
        (outside, "'/layers/conv2d/vars/0' lies in another file, or needs a filter that HDF5 does not bring along"),
        (virtual, "'/layers/conv2d/vars/0' lies in another file, or needs a filter that HDF5 does not bring along"),
        (objects, "'/layers/conv2d/vars/0' is no array of numbers"),
        (unfolding, "'/layers/conv2d/vars/0' would unfold to more than its shape (3, 3, 3, 16) holds"),
        (lambda file: file.create_group("layers/conv2d/vars/0"), "'/layers/conv2d/vars/0' is no array of numbers"),
    ],
)
def test_arrays_that_are_not_in_the_file_are_not_read(make, reason, tmp_path):
    path = tmp_path / "hostile.weights.h5"
    published(SMALL).save_weights(path)
    put(path, make)
    assert (
        cause(path) == f"weights file hostile.weights.h5 cannot be read: {reason}. Get it again, or use another file."
    )


def test_an_enormous_shape_is_refused_before_it_is_allocated(tmp_path):
    path = tmp_path / "enormous.weights.h5"
    published(SMALL).save_weights(path)
    put(path, enormous)
    assert "layer 'block1_conv' needs arrays [(3, 3, 3, 16)] and the file has [(1000000, 1000000)]" in cause(path)


@pytest.mark.parametrize("name", ["/block1_conv", "../block1_conv", "block1_conv/", "a//b"])
def test_names_that_lead_elsewhere(name, tmp_path):
    path = tmp_path / "names.h5"
    save(published(SMALL), path)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [name]
    assert f"{name!r} is missing in it" in cause(path)


def test_a_zip_bomb_and_a_zip_without_weights(tmp_path):
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(50_000_000))
    assert "its weights unfold to 50,000,000 bytes, and no more than 2," in cause(bomb)
    none = tmp_path / "none.keras"
    with zipfile.ZipFile(none, "w") as archive:
        archive.writestr("../model.weights.h5", b"")
    assert "There is no item named 'model.weights.h5' in the archive" in cause(none)


def test_the_configuration_in_a_keras_file_is_never_opened(tmp_path):
    """What Keras would build from it is of no interest: a file with nonsense in it loads."""
    model = published(SMALL)
    model.save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "odd.keras", "w") as odd:
        odd.writestr("config.json", b"\xff not JSON")
        odd.writestr("model.weights.h5", whole.read("model.weights.h5"))
    assert_same_arrays(load(tmp_path / "odd.keras", SMALL), model.get_weights())


def test_safetensors_of_other_kinds(tmp_path):
    model = published(SMALL)
    arrays = {weight.path: np.asarray(weight) for weight in model.weights}
    safetensors.numpy.save_file(
        {**arrays, "block1_conv/kernel": np.zeros((3, 3, 3, 16), bool)}, tmp_path / "bool.safetensors"
    )
    assert cause(tmp_path / "bool.safetensors") == (
        "weights file bool.safetensors cannot be read: 'block1_conv/kernel' holds BOOL, and accepted are whole numbers and float16, 32 or 64. Get it again, or use another file."
    )
    safetensors.numpy.save_file({"conv1.weight": np.zeros((16, 3, 3, 3), "f4")}, tmp_path / "torch.safetensors")
    assert "layer 'block1_conv/kernel' needs arrays [(3, 3, 3, 16)] and the file has none" in cause(
        tmp_path / "torch.safetensors"
    )


# --- "imagenet" ----------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Let no connection through, and keep Keras' folder in a temporary one."""

    def refused(*_, **__):
        message = "the network is unreachable"
        raise OSError(message)

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # read once, when Keras is imported
    return tmp_path


def test_imagenet_from_the_folder_of_keras(offline, shared_data):
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    (offline / "models").mkdir()
    shutil.copy(shared_data / "weights" / name, offline / "models")
    expected = load(shared_data / "weights" / name, "mobilenet_v2_035", side=210)
    assert_same_arrays(load("imagenet", "mobilenet_v2_035", side=210), expected.get_layer("backbone").get_weights())


@pytest.mark.parametrize(
    ("name", "side", "file"),
    [
        ("mobilenet_v2", 224, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("mobilenet_v2", 100, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"),
        ("mobilenet_025", 32, "mobilenet_2_5_128_tf_no_top.h5"),
        ("vgg16", 32, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_imagenet_without_network_says_what_to_do(name, side, file, offline, capsys):
    with pytest.raises(DataError) as refusal:
        load("imagenet", name, side=side)
    origin = str(refusal.value).split(" could not be had: URL fetch failure on ")[1].split(": None -- ")[0]
    assert origin.endswith("/" + file)
    assert str(refusal.value).endswith(
        f"the network is unreachable. Without a network, put the file {file!r} into the folder {str(offline / 'models')!r}, or give weights='path/of/a/file', or train from scratch with weights=None."
    )
    assert not list((offline / "models").iterdir())


def test_of_several_sizes_at_hand_the_nearest_is_found(offline):
    row = architectures.describe("mobilenet_v2")
    (offline / "models").mkdir()
    assert architectures.weights_at_hand("mobilenet_v2", 160) is None
    for size in (224, 96):
        (offline / "models" / row.weights_file.format(size=size)).touch()
    for side, size in ((32, 96), (150, 96), (170, 224), (500, 224)):
        assert architectures.weights_at_hand("mobilenet_v2", side).name == row.weights_file.format(size=size)
    assert architectures.weights_at_hand("mobilenet", 96) is None


@pytest.mark.skipif(sys.platform == "win32", reason="other variables say where its home folder is")
@pytest.mark.parametrize(
    ("home", "given"),
    [
        ("home", None),
        ("none", None),
        (None, None),
        ("home", "~/mine"),
        ("home", "~/none"),
        ("none", "{folder}/home/mine"),
        ("home", "{folder}/none"),
    ],
)
def test_weights_are_sought_where_keras_keeps_them(home, given, tmp_path, monkeypatch):
    """Keras takes another folder where it cannot write; it has no public word for that, and is watched here."""
    for name in (".keras", "mine"):
        (tmp_path / "home" / name).mkdir(parents=True)
    for variable in ("HOME", "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    if home is None:  # as in a container whose user is a number alone
        monkeypatch.setattr("pwd.getpwuid", lambda _: {}["nobody"])
    else:
        monkeypatch.setenv("HOME", str(tmp_path / home))
    if given is not None:
        monkeypatch.setenv("KERAS_HOME", given.format(folder=tmp_path))
    made = []

    def noted(path, **_):
        made.append(path)
        raise PermissionError

    monkeypatch.setattr(os, "makedirs", noted)
    told = runpy.run_path(sys.modules["keras.src.backend.config"].__file__)["_KERAS_DIR"]  # as when it is imported
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", told)
    with pytest.raises(PermissionError):
        keras.utils.get_file("a.h5", "https://none.invalid/a.h5", cache_subdir="models")
    assert str(_weights._place("a.h5")) == f"{made[-1]}/a.h5"


def test_weights_in_a_folder_that_cannot_be_written_to_are_found(offline, monkeypatch):
    """As in one that an administrator fills for all, and that Keras itself would pass over."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    path = offline / "models" / architectures.describe(NAME).weights_file.format(size=128)
    path.parent.mkdir()
    path.touch()
    assert architectures.weights_at_hand(NAME, 128) == path


def test_the_run_that_downloads_weights_starts_from_the_head_of_later_runs(offline, monkeypatch):
    """Keras builds a network of its own around a download, which draws random numbers too."""
    build, downloads = keras.applications.MobileNet, []

    def stand_in(*, weights, **given):
        model = build(weights=None, **given)
        if weights == "imagenet":
            downloads.append(offline / "models" / architectures.describe(NAME).weights_file.format(size=128))
            downloads[0].parent.mkdir()
            save(model, downloads[0])
        return model

    monkeypatch.setattr(keras.applications, "MobileNet", stand_in)
    first, later = load("imagenet"), load("imagenet")
    assert len(downloads) == 1
    for one, other in zip(first.get_weights(), later.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_file_in_the_folder_of_keras_is_named_and_kept(offline):
    """Keras itself would remove it, for another download."""
    path = offline / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir()
    path.write_bytes(b"half of a download")
    with pytest.raises(DataError, match=r"kernels_notop\.h5' cannot be read: "):
        load("imagenet", "vgg16")
    assert path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"),
    [
        *(("mobilenet", 192), ("mobilenet_025", 128), ("mobilenet_v2", 224), ("mobilenet_v2_035", 96)),
        *(
            (name, None)
            for name in ("mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2_b0", "efficientnet_v2_s")
        ),
        *((name, None) for name in ("resnet50", "resnet101_v2", "densenet121", "convnext_tiny", "xception", "vgg19")),
        *((name, None) for name in ("inception_v3", "inception_resnet_v2", "nasnet_mobile")),
    ],
)
def test_the_table_has_the_file_names_of_keras(name, side, monkeypatch):
    """Of every family; Keras asks for the file when it has built the whole network."""
    row = architectures.describe(name)
    asked = []

    def get_file(fname, *_, **__):
        asked.append(fname)
        message = "no download"
        raise RuntimeError(message)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    side = side or row.image_size
    with pytest.raises(RuntimeError, match="no download"):
        getattr(keras.applications, row.builder)(
            include_top=False, weights="imagenet", input_shape=(side, side, 3), **row.options
        )
    assert asked == [row.weights_file.format(size=side)]
    keras.backend.clear_session()
