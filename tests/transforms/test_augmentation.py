"""Policies: range, both modes of execution, exact resumption. Statistics are tested layer by layer, in files of their own."""

import hashlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import transforms
from imgcls.errors import ConfigurationError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (8, 16, 16, 3)).astype("float32")
TARGETS = np.eye(8, dtype="float32")
WEIGHTS = np.arange(1, 9, dtype="float32")


def make(name):
    """Return a layer of this name and what to call it with."""
    if name in transforms.names():
        return transforms.augmentation(name, seed=5), (IMAGES,)
    return transforms.mixing(name, seed=5), (IMAGES, TARGETS, WEIGHTS)


def run(layer, given, *, compiled):
    """Return a function to the layer's outputs, one after another, as bytes can be compared."""
    step = (
        tf.function(lambda *given: layer(*given, training=True))
        if compiled
        else lambda *given: layer(*given, training=True)
    )
    tensors = [tf.constant(one) for one in given]
    return lambda: [np.asarray(one) for one in tf.nest.flatten(step(*tensors))]


# --- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("name", transforms.names())
def test_every_policy_keeps_shape_and_range_and_changes_images(name, channels):
    images = RANDOM.integers(0, 256, (16, 20, 33, channels)).astype("float32")
    layer = transforms.augmentation(name, seed=1)
    out = layer(images, training=True).numpy()
    assert out.shape == images.shape
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 255.001  # four weights of float32 add up to 1 but for their rounding
    changed = [np.abs(after - before).mean() > 1 for after, before in zip(out, images, strict=True)]
    assert sum(changed) >= 10 if name in {"shift", "flip_shift"} else all(changed)  # 1 in 15 or so moves by 0 pixels
    np.testing.assert_array_equal(layer(images, training=False), images)
    assert not layer.trainable_variables


@pytest.mark.parametrize("name", [*transforms.names(), *transforms.MIXINGS])
def test_eager_and_compiled_agree_and_seeds_differ(name):
    eager, compiled = (run(*make(name), compiled=mode) for mode in (False, True))
    first, second = eager(), eager()
    for mine in (first, second):
        for one, other in zip(mine, compiled(), strict=True):
            np.testing.assert_allclose(one, other, atol=0.01)
    assert np.abs(first[0] - second[0]).max() > 1
    layer, given = make(name)
    other = type(layer).from_config({**layer.get_config(), "seed": 6}) if name in transforms.MIXINGS else None
    other = other or transforms.augmentation(name, seed=6)
    assert np.abs(first[0] - run(other, given, compiled=False)()[0]).max() > 1


@pytest.mark.parametrize("name", [*transforms.names(), *transforms.MIXINGS])
def test_half_precision_reaches_the_model_only(name):
    expected = run(*make(name), compiled=False)()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = run(*make(name), compiled=False)()
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


def test_names_describe_and_what_is_used_as_it_is():
    assert transforms.names() == ("light", "standard", "strong", "overhead", "shift", "flip_shift")
    assert transforms.describe("standard") == (
        "flip, rotate ±10°, zoom ±15 %, move ±10 %, contrast and saturation ±20 %, brightness ±10 %: for photos"
    )
    layer = keras.layers.GaussianNoise(0.1)
    assert transforms.augmentation(layer) is layer
    assert transforms.augmentation(None) is None


@pytest.mark.parametrize("call", [transforms.augmentation, transforms.describe])
def test_an_unknown_policy_is_refused_in_words(call):
    with pytest.raises(ConfigurationError) as caught:
        call("standart")
    assert str(caught.value) == (
        "augmentation='standart' is not known. Did you mean 'standard'? Accepted: light, standard, strong, overhead, "
        "shift, flip_shift."
    )


def test_policies_for_photos_change_colours_and_the_others_do_not():
    gray = np.full((8, 4, 4, 3), 120, "float32")
    color = gray + np.array([60, 0, -60], "float32")
    for name in transforms.names():
        layer = transforms.augmentation(name, seed=2)
        spread = np.ptp(layer(color, training=True).numpy()[:, 0, 0], axis=-1)
        if name in {"standard", "strong", "overhead"}:
            assert np.ptp(spread) > 10, name
        else:
            np.testing.assert_allclose(spread, 120, atol=0.01)
        assert np.ptp(layer(gray, training=True).numpy(), axis=-1).max() < 0.01, name


# --- exact resumption ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", [*transforms.names(), *transforms.MIXINGS])
def test_variables_hold_all_random_state(name, compiled):
    layer, given = make(name)
    step = run(layer, given, compiled=compiled)
    step()
    saved = [np.asarray(variable) for variable in layer.variables]
    first = [step() for _ in range(3)]
    for variable, value in zip(layer.variables, saved, strict=True):
        variable.assign(value)
    again = [step() for _ in range(3)]
    for one, other in zip(tf.nest.flatten(first), tf.nest.flatten(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(first[0][0] - first[1][0]).max() > 0  # state moves on


ELSEWHERE = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_augmentation import continued, make
states = json.loads(sys.argv[2])
print(json.dumps({name: continued(name, state) for name, state in states.items()}))
"""


def continued(name, state):
    """Set a new layer's variables, and return the hash of its next three outputs."""
    layer, given = make(name)
    for variable, value in zip(layer.variables, state, strict=True):
        variable.assign(np.array(value))
    step = run(layer, given, compiled=True)
    return hashlib.sha256(b"".join(one.tobytes() for _ in range(3) for one in step())).hexdigest()


@pytest.mark.slow
def test_another_process_goes_on_bit_for_bit(request):
    states, expected = {}, {}
    for name in [*transforms.names(), *transforms.MIXINGS]:
        layer, given = make(name)
        step = run(layer, given, compiled=True)
        step()
        states[name] = [np.asarray(variable).tolist() for variable in layer.variables]
        expected[name] = hashlib.sha256(b"".join(one.tobytes() for _ in range(3) for one in step())).hexdigest()
    command = [sys.executable, "-c", ELSEWHERE, str(request.path.parent), json.dumps(states)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(found.splitlines()[-1]) == expected
    assert expected.pop("flip_shift") == expected["shift"]  # whoever reads the images flips them
    assert len(set(expected.values())) == len(expected)
