"""A run that is stopped and goes on equals one that never stopped: weights, history, and what callbacks remember."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from imgcls import (
    CheckpointError,
    Dataset,
    TrainingError,
    TrainingWarning,
    _backend,
    architectures,
    trainer,
    transforms,
)
from imgcls.datasets import write_png
from imgcls.trainer import _keeper
from imgcls.trainer._notes import named
from imgcls.trainer._pace import Pace


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:160]


@pytest.fixture(autouse=True)
def save_at_every_step(monkeypatch):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(_keeper, "SAVE_SHARE", 0.0)


class Stopper(keras.callbacks.Callback):
    """Presses Ctrl-C after some steps, counted over the life of the object."""

    def __init__(self, after):
        super().__init__()
        self._left = iter([*[False] * (after - 1), True, *[False] * 10_000])

    def on_train_batch_end(self, batch, logs=None):
        if next(self._left):
            signal.raise_signal(signal.SIGINT)


def new_model(seed=0, name="plain"):
    side = 16 if name == "progressive resizing" else 8  # the half of which small_cnn takes
    return architectures.build("small_cnn", input_shape=(side, side, 1), num_classes=10, dropout=0.3, seed=seed)


def run(digits, *, model=None, callbacks=(), **options):
    """Train 3 epochs of 5 steps; return all weights and the history."""
    model = model or new_model()
    settings = {
        "validation_data": digits[:40],
        "epochs": 3,
        "batch_size": 32,
        "augmentation": transforms.augmentation("light", seed=5),
        "verbose": 0,
        **options,
    }
    history = trainer.train(model, digits, callbacks=callbacks, **settings)
    return model.get_weights(), history


def assert_equal(one, other):
    for first, second in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(first, second)
    assert dict(one[1]) == dict(other[1])
    assert one[1].best_epoch == other[1].best_epoch


RECIPES = {
    "plain": {},
    "everything": {
        "optimizer": "muon",
        "average": 0.9,
        "clip_norm": 1.0,
        "label_smoothing": 0.1,
        "micro_batches": 2,
        "class_weight": "balanced",
        "patience": 3,
        "mixing": "both",
        "alternating_flip": True,
    },
    "progressive resizing": {"progressive_resizing": True},
    "plateau": {"schedule": "plateau", "optimizer": "sgd", "patience": 4},
    "one cycle": {"schedule": "one_cycle", "optimizer": "adam"},
    "keras schedule": {"learning_rate": "decay"},
    "keras optimizer": {"optimizer": "nadam"},
}


def recipe(name):
    options = dict(RECIPES[name])
    if options.get("learning_rate") == "decay":
        options["learning_rate"] = keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.8)
    if options.get("optimizer") == "nadam":
        options["optimizer"] = keras.optimizers.Nadam(0.005)
    return options


@pytest.fixture(scope="module")
def uninterrupted(digits):
    """Runs by the names of their recipes, each made when it is first asked for."""

    class Runs(dict):
        def __missing__(self, name):
            return self.setdefault(name, run(digits, model=new_model(name=name), **recipe(name)))

    return Runs()


@pytest.mark.parametrize(
    "name", ["plain", *(pytest.param(name, marks=pytest.mark.slow) for name in RECIPES if name != "plain")]
)
def test_stopped_twice_and_resumed_equals_uninterrupted(digits, uninterrupted, tmp_path, name):
    folder = tmp_path / "run"

    def go_on(seed, *callbacks):
        return run(digits, model=new_model(seed, name), callbacks=callbacks, checkpoint=folder, **recipe(name))

    _, first = go_on(0, Stopper(4))
    assert first.interrupted
    assert first.epochs == 0
    _, second = go_on(9, Stopper(6))
    assert second.interrupted
    assert second.epochs in {1, 2}
    assert second.best_epoch is None  # it has the weights of the last step
    finished = go_on(8)
    assert not finished[1].interrupted
    assert_equal(finished, uninterrupted[name])


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in {1, 5, 15} else pytest.mark.slow) for step in range(1, 16)]
)
def test_from_any_step(digits, uninterrupted, tmp_path, step):
    _, stopped = run(digits, callbacks=[Stopper(step)], checkpoint=tmp_path / "run")
    assert stopped.interrupted
    assert_equal(run(digits, model=new_model(seed=7), checkpoint=tmp_path / "run"), uninterrupted["plain"])


def test_what_a_process_does_before_its_first_step_is_no_progress(digits, uninterrupted, tmp_path):
    """Reading and building take 250 s of the 300 in the second process, and no step or validation takes as long."""
    _, stopped = run(digits, callbacks=[Stopper(3)], checkpoint=tmp_path / "run", budget=300)
    assert stopped.epochs == 0
    resumed = run(digits, model=new_model(seed=7), checkpoint=tmp_path / "run", budget=300, spent=250)
    assert resumed[1].seconds > 250
    assert_equal(resumed, uninterrupted["plain"])


def test_what_is_kept_for_afterwards_is_taken_off_once(digits, uninterrupted, tmp_path):
    """Taken off again in each process, it would leave nothing to the third."""
    options = {"checkpoint": tmp_path / "run", "budget": 900, "after": 400}
    for step in (3, 4):
        _, stopped = run(digits, callbacks=[Stopper(step)], **options)
        assert stopped.seconds < 300
    assert_equal(run(digits, **options), uninterrupted["plain"])


def scaling_model(pixels):
    """Return a model that scales by the statistics of some pixels, of which Keras' layer keeps a copy."""
    scaling = keras.layers.Normalization(axis=None)
    scaling.adapt(pixels)
    head = keras.layers.Dense(10, "softmax", kernel_initializer="zeros")
    return keras.Sequential([keras.Input((8, 8, 1)), scaling, keras.layers.Flatten(), head])


def test_a_run_that_goes_on_scales_by_its_own_statistics(digits, tmp_path):
    pixels = np.stack([digits.read(index) for index in range(len(digits))]).astype(np.float32)
    model = scaling_model(pixels)
    truth = run(digits, model=model)
    run(digits, model=scaling_model(pixels), checkpoint=tmp_path / "run", callbacks=[Stopper(7)])
    for other in (0.5 * pixels + 20, 2 * pixels):  # goes on, and then takes over what has ended
        resumed = scaling_model(other)
        assert_equal(run(digits, model=resumed, checkpoint=tmp_path / "run"), truth)
        np.testing.assert_array_equal(resumed(pixels), model(pixels))


def test_weights_in_bfloat16_go_on(digits, tmp_path, capsys):
    def model():
        keras.utils.set_random_seed(0)
        return own_model(policy="bfloat16")

    assert model().layers[2].kernel.dtype == "bfloat16"
    truth = run(digits, model=model())
    run(digits, model=model(), checkpoint=tmp_path / "run", callbacks=[Stopper(7)])
    assert_equal(run(digits, model=model(), checkpoint=tmp_path / "run", verbose=2), truth)
    assert f"resumed {tmp_path / 'run'}: epoch 2/3, step 2/5" in capsys.readouterr().err.splitlines()


def test_saving_changes_nothing(digits, uninterrupted, tmp_path):
    assert_equal(run(digits, checkpoint=tmp_path / "run"), uninterrupted["plain"])


def test_a_finished_run_is_taken_over_without_training(digits, uninterrupted, tmp_path, capsys):
    run(digits, checkpoint=tmp_path / "run")
    stopper = Stopper(1)  # would stop at once
    again = run(digits, model=new_model(seed=3), checkpoint=tmp_path / "run", callbacks=[stopper], verbose=2)
    assert_equal(again, uninterrupted["plain"])
    assert f"{tmp_path / 'run'} holds this run to its end: nothing is left to train" in capsys.readouterr().err


@pytest.mark.slow
def test_callbacks_go_on_where_they_were(digits, tmp_path):
    """Swapped labels let val_loss rise, so that patience runs out: across two processes as within one."""
    wrong = Dataset.from_arrays(
        np.stack([digits.read(index) for index in range(40)]), (digits.labels[:40] + 1) % 10, classes=digits.classes
    )
    options = {"validation_data": wrong, "patience": 4, "epochs": 12, "learning_rate": 0.003}
    truth = run(digits, **options)
    assert truth[1].epochs < 12
    run(digits, callbacks=[Stopper(12)], checkpoint=tmp_path / "run", **options)
    assert_equal(run(digits, model=new_model(seed=5), checkpoint=tmp_path / "run", **options), truth)


def test_a_signal_while_validating_is_seen_and_the_epoch_is_not_lost(digits, uninterrupted, tmp_path, monkeypatch):
    measure, calls = trainer._validation.Validation.measure, []

    def interrupted_once(self, between):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return measure(self, between)

    monkeypatch.setattr(trainer._validation.Validation, "measure", interrupted_once)
    _, first = run(digits, checkpoint=tmp_path / "run")
    assert first.interrupted
    assert first.epochs == 1
    assert_equal(run(digits, model=new_model(seed=5), checkpoint=tmp_path / "run"), uninterrupted["plain"])


def test_says_how_to_go_on_and_that_it_did(digits, tmp_path, capsys):
    run(digits, callbacks=[Stopper(7)], checkpoint=tmp_path / "run", verbose=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == (
        "interrupted at epoch 2/3, step 2/5; the model keeps what it has learnt. To go on, train again with "
        f"checkpoint={str(tmp_path / 'run')!r}"
    )
    run(digits, checkpoint=tmp_path / "run", verbose=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"resumed {tmp_path / 'run'}: epoch 2/3, step 2/5"


def test_another_run_is_refused_before_images_are_read(digits, tmp_path, monkeypatch):
    run(digits, callbacks=[Stopper(3)], checkpoint=tmp_path / "run")
    monkeypatch.setattr(trainer._train, "Batches", None)
    with pytest.raises(CheckpointError) as refusal:
        run(digits[:150], checkpoint=tmp_path / "run", seed=1, epochs=4)
    lines = str(refusal.value).splitlines()
    assert lines[0] == f"{str(tmp_path / 'run')!r} holds another run:"
    assert lines[1].startswith("- data: 160 images of 10 classes, ")
    assert lines[1].endswith(" now")
    assert "- epochs: 3 then, 4 now" in lines
    assert "- seed: 0 then, 1 now" in lines
    assert len(lines) == 5


def own_model(*, activation="relu", rate=0.5, offset=0.0, side=8, frozen=None, initial="zeros", policy="float32"):
    """Return a model that pools: its weights have one shape for images of any size."""
    inputs = keras.Input((side, side, 1))
    x = keras.layers.Rescaling(1 / 255, offset)(inputs)
    if frozen is not None:
        kernel = keras.initializers.Constant(frozen)
        fixed = keras.layers.Conv2D(2, 1, kernel_initializer=kernel, trainable=False)
        x = fixed(x)
        fixed.kernel_initializer = keras.initializers.Zeros()  # so that values alone differ
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation=activation, dtype=policy)(x))
    outputs = keras.layers.Dense(10, "softmax", kernel_initializer=initial)(keras.layers.Dropout(rate)(x))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        ({"side": 10}, ["- image_size: 8 x 8 x 1 then, 10 x 10 x 1 now"]),
        ({"activation": "tanh"}, ["- layer 3 Conv2D activation: relu then, tanh now"]),
        (
            {"rate": 0.25, "offset": -0.5},
            ["- layer 2 Rescaling offset: 0.0 then, -0.5 now", "- layer 5 Dropout rate: 0.5 then, 0.25 now"],
        ),
        ({"policy": "mixed_bfloat16"}, ["- layer 3 Conv2D dtype: float32 then, mixed_bfloat16 now"]),
    ],
)
def test_another_model_with_weights_of_the_same_shapes_is_refused(digits, tmp_path, other, lines):
    run(digits, model=own_model(), epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(digits, model=own_model(**other), epochs=1, checkpoint=tmp_path / "run")
    assert str(refusal.value).splitlines()[1:-1] == lines


def test_other_connections_of_the_same_layers_are_refused(digits, tmp_path):
    def model(*, swapped):
        inputs = keras.Input((8, 8, 1))
        flat = keras.layers.Flatten()(inputs)
        pair = [flat, keras.layers.Dense(64)(flat)]
        joined = keras.layers.Subtract()(pair[::-1] if swapped else pair)
        return keras.Model(inputs, keras.layers.Dense(10, "softmax")(joined))

    run(digits, model=model(swapped=False), epochs=1, checkpoint=tmp_path / "run")
    run(digits, model=model(swapped=False), epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError, match="- connections of layers: "):
        run(digits, model=model(swapped=True), epochs=1, checkpoint=tmp_path / "run")


def test_other_pixels_in_memory_are_refused(digits, tmp_path):
    pixels = np.stack([digits.read(index) for index in range(len(digits))])
    one, other = (Dataset.from_arrays(given, digits.labels, classes=digits.classes) for given in (pixels, 16 - pixels))
    run(one, epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(other, epochs=1, checkpoint=tmp_path / "run")
    lines = str(refusal.value).splitlines()
    for line in lines[1:3]:
        then, now = line.partition(": ")[2].removesuffix(" now").split(" then, ")
        assert then.split(", pixels ")[0] == now.split(", pixels ")[0]
        assert then != now
    assert [line.split(":")[0] for line in lines[1:-1]] == ["- data", "- validation_data"]


def test_a_shuffled_view_of_the_same_images_is_another_run(digits):
    seen = {trainer._identity.fingerprint(digits[index]) for index in ([0, 1, 2], [0, 1], [2, 1, 0])}
    assert len(seen) == 3
    assert trainer._identity.fingerprint(digits[[0, 1, 2]]) in seen


def test_pixels_count_of_whatever_is_in_memory_and_files_are_not_read(tmp_path):
    black, gray = (np.full((2, 6, 6, 3), tone, np.uint8) for tone in (0, 99))
    write_png(black[0], tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()

    def told(*images):
        return trainer._identity.fingerprint(Dataset(list(images), [0, 1]))

    memory = [
        told(*black),
        told(*gray),
        told(*black.reshape(2, 12, 3, 3)),
        told(*map(Image.fromarray, black)),
        told(*map(Image.fromarray, gray)),
        told(encoded, encoded),
        told(encoded, encoded + b" "),
        told(tmp_path / "a.png", encoded),
    ]
    assert len(set(memory)) == len(memory)
    assert all(", pixels " in words for words in memory)
    files = told(tmp_path / "a.png", tmp_path / "not there.png")
    assert files == memory[0].split(", pixels ")[0]
    with Image.open(tmp_path / "a.png") as opened:
        assert told(opened, tmp_path / "a.png") == files


def test_class_weights_are_the_same_in_any_order_and_type(digits, tmp_path):
    """A dictionary that is made from a set has another order in each process."""
    one, other = digits.classes[:2]

    def learnt(weights):
        return run(digits, epochs=1, checkpoint=tmp_path / "run", class_weight=weights)

    truth = learnt({one: 12, other: 0.5})
    assert_equal(learnt({other: np.float32(0.5), one: 12.0, digits.classes[2]: 1}), truth)
    with pytest.raises(CheckpointError) as refusal:
        learnt({one: 0.5, other: 12})
    (line,) = str(refusal.value).splitlines()[1:-1]
    assert line.startswith("- weights: ")


def test_the_smoothing_that_a_loss_brings_along_is_part_of_the_run(digits, tmp_path):
    """By whichever of the two arguments it is given."""

    def learnt(own, **options):
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=own)
        return run(digits, epochs=1, checkpoint=tmp_path / "run", loss=loss, **options)

    truth = learnt(0.1)
    assert_equal(learnt(0.0, label_smoothing=0.1), truth)
    with pytest.raises(CheckpointError) as refusal:
        learnt(0.5)
    (line,) = str(refusal.value).splitlines()[1:-1]
    assert line.startswith("- loss: ")
    assert ", 0.1] then, " in line
    assert line.endswith(", 0.5] now")


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_a_run_of_before_with_no_class_weights_by_name_goes_on(digits, tmp_path, monkeypatch, weights):
    """It was known by the text of the argument."""
    with monkeypatch.context() as before:
        before.setattr(trainer._train, "named_weights", lambda given, classes: str(given))
        truth = run(digits, epochs=1, checkpoint=tmp_path / "run", class_weight=weights)
    assert_equal(run(digits, epochs=1, checkpoint=tmp_path / "run", class_weight=weights), truth)


def test_other_frozen_weights_are_refused(digits, tmp_path):
    run(digits, model=own_model(frozen=1.0), epochs=1, checkpoint=tmp_path / "run")
    run(digits, model=own_model(frozen=1.0), epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(digits, model=own_model(frozen=2.0), epochs=1, checkpoint=tmp_path / "run")
    (line,) = str(refusal.value).splitlines()[1:-1]
    assert line.startswith("- frozen weights: 2 arrays, ")


def test_a_model_that_begins_with_other_weights_is_told_so_and_goes_on_with_those_of_the_run(digits, tmp_path, capsys):
    """What is drawn without a seed differs in each process: that must go on."""
    said = (
        f"{tmp_path / 'run'} holds a run that began with other weights than this model has now: it goes on with its "
        "own. To start from those of this model, give another folder"
    )

    def model(seed):
        random.seed(seed)  # Keras draws from it where there is no seed
        return own_model(initial="glorot_uniform", rate=0.0)

    truth = run(digits, model=model(0))
    for seed, callbacks in ((0, [Stopper(4)]), (1, [Stopper(4)]), (2, []), (3, [])):
        found = run(digits, model=model(seed), checkpoint=tmp_path / "run", callbacks=callbacks, verbose=2)
        assert (said in capsys.readouterr().err.splitlines()) == (seed > 0)
    assert_equal(found, truth)


ELSEWHERE = """
import json
import keras, numpy as np
from imgcls import architectures
from imgcls.trainer import _identity
keras.layers.Dense(1)  # so that Keras counts on from another number
models = []
for name in ("small_cnn", "speed_cnn"):
    model = architectures.build(name, input_shape=(16, 16, 1), num_classes=10, fine_tune=name == "small_cnn")
    if name == "speed_cnn":
        architectures.whiten(model, np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1), np.uint8))
    models.append(model)
own = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Lambda(lambda x: x * 2), keras.layers.RandomFlip()])
facts = [
    [_identity.layers_of(one), _identity.connections_of(one), _identity.frozen_weights(one)] for one in [*models, own]
]
print(json.dumps([facts, [_identity.hash_of_weights(one.weights) for one in models]]))
"""


@pytest.mark.slow
def test_a_run_is_known_again_in_another_process():
    told = set()
    for number in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": number, "TF_NUM_INTRAOP_THREADS": number}
        code = "import keras; keras.layers.Dense(1)\n" * int(number) + ELSEWHERE
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
        told.add(done.stdout)
    assert len(told) == 1


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """Cannot tell its settings: it has no get_config."""

    def __call__(self, step):
        return 0.01 / (1 + keras.ops.cast(step, "float32"))


class Doubled(keras.layers.Layer):
    """Cannot tell its settings: Keras cannot write down a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, images, *more):
        return (self.function(images), *more) if more else self.function(images)


@pytest.mark.parametrize("argument", ["optimizer", "augmentation", "mixing"])
def test_what_cannot_tell_its_settings_trains_and_is_refused_with_a_checkpoint(digits, tmp_path, argument):
    made = {"optimizer": lambda: keras.optimizers.Adam(Halving())}.get(argument, lambda: Doubled(lambda x: x * 1))
    assert run(digits, epochs=1, **{argument: made()})[1].epochs == 1
    name = "Adam" if argument == "optimizer" else "Doubled"
    with pytest.raises(CheckpointError) as refusal:
        run(digits, epochs=1, checkpoint=tmp_path / "run", **{argument: made()})
    assert str(refusal.value) == (
        f"{argument}={name} cannot tell its settings: get_config, of it or of what it holds, does not return them. With "
        "checkpoint=, a run must be known again. Write get_config, or leave checkpoint out."
    )
    assert not (tmp_path / "run").exists()


def test_a_layer_of_the_users_own_has_its_random_state_back_also_where_a_run_goes_on(digits, uninterrupted, tmp_path):
    layer = transforms.augmentation("light", seed=5)
    before = [np.array(one.numpy()) for one in layer.variables]
    run(digits, augmentation=layer, checkpoint=tmp_path / "run", callbacks=[Stopper(7)])
    assert_equal(run(digits, augmentation=layer, checkpoint=tmp_path / "run"), uninterrupted["plain"])
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def cropped(seed=None, container=keras.Sequential):
    """Keras' RandomCrop names the seed that it drew among its settings."""
    return container([keras.layers.ZeroPadding2D(2), keras.layers.RandomCrop(8, 8, seed=seed)])


@pytest.mark.slow
def test_a_crop_that_draws_its_seed_goes_on(digits, tmp_path):
    run(digits, augmentation=cropped(), checkpoint=tmp_path / "run", callbacks=[Stopper(7)])
    ends = []
    for number in range(2):
        folder = shutil.copytree(tmp_path / "run", tmp_path / str(number))
        ends.append(run(digits, model=new_model(number), augmentation=cropped(), checkpoint=folder))
    assert ends[0][1].epochs == 3
    assert_equal(*ends)  # its random state is that of the checkpoint, whatever was drawn


@pytest.mark.parametrize("container", [keras.Sequential, keras.layers.Pipeline, lambda layers: layers[-1]])
def test_a_seed_counts_where_it_was_given(container):
    drawn, again, one, same, other = (
        trainer._identity.settings_of(cropped(seed, container)) for seed in (None, None, 5, 5, 6)
    )
    assert drawn == again
    assert one == same
    assert len({drawn, one, other}) == 3


class Drawing(keras.layers.Layer):
    """Makes its random state when it is first called."""

    def build(self, shape):
        self.generator = keras.random.SeedGenerator(3)

    def call(self, images):
        return images * keras.random.uniform((), 0.5, 1.0, seed=self.generator)


@pytest.mark.slow
def test_a_layer_that_makes_its_variables_when_it_is_first_called_goes_on_and_goes_back(digits, tmp_path):
    truth = run(digits, augmentation=Drawing())
    run(digits, augmentation=Drawing(), checkpoint=tmp_path / "run", callbacks=[Stopper(7)])
    assert_equal(run(digits, model=new_model(7), augmentation=Drawing(), checkpoint=tmp_path / "run"), truth)
    with pytest.warns(TrainingWarning, match="back to epoch 1/3, step 0/5"):  # where it was not called yet
        _, history = run(digits, augmentation=Drawing(), callbacks=[Poison(1)])
    assert history.epochs == 3


def test_the_second_ctrl_c_does_not_wait(digits, tmp_path):
    class Impatient(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    _, history = run(digits, callbacks=[Impatient()], checkpoint=tmp_path / "run")
    assert history.interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_again_while_the_first_is_worked_off_gives_up_the_checkpoint_and_nothing_else(
    digits, uninterrupted, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 1e9)  # none is written before
    expected = run(digits, callbacks=[Stopper(7)])
    write = trainer._checkpoint.Disk.write

    def pressed(self, path, data):
        signal.raise_signal(signal.SIGINT)
        write(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(trainer._checkpoint.Disk, "write", pressed)
        found = run(digits, callbacks=[Stopper(7)], checkpoint=tmp_path / "run", verbose=2)
    assert found[1].interrupted
    assert_equal(found, expected)
    assert list((tmp_path / "run").glob("checkpoint-*")) == []
    assert capsys.readouterr().err.splitlines()[-1] == (
        "interrupted at epoch 2/3, step 2/5; the model keeps what it has learnt. Its last steps may be in no checkpoint. "
        f"To go on, train again with checkpoint={str(tmp_path / 'run')!r}"
    )
    assert_equal(run(digits, checkpoint=tmp_path / "run"), uninterrupted["plain"])


def test_ctrl_c_as_often_as_one_likes_while_the_state_is_noted_loses_nothing(digits, monkeypatch):
    expected = run(digits, callbacks=[Stopper(7)])
    stop, capture = trainer._loop.Loop._stop, _backend.TrainingStep.capture

    def pressed(self):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        return capture(self)

    def stopping(self, *, exact):
        monkeypatch.setattr(_backend.TrainingStep, "capture", pressed)
        stop(self, exact=exact)

    monkeypatch.setattr(trainer._loop.Loop, "_stop", stopping)
    before = signal.getsignal(signal.SIGINT)
    found = run(digits, callbacks=[Stopper(7)])
    assert found[1].interrupted
    assert_equal(found, expected)
    assert signal.getsignal(signal.SIGINT) is before


def full_after(monkeypatch, steps):
    """Let the disk be full after some steps; return the callback that counts them."""
    write, count = trainer._checkpoint.Disk.write, [0]

    def full(self, path, data):
        if count[0] in steps:
            raise OSError(28, "No space left on device")
        write(self, path, data)

    def counted(batch, logs):
        count[0] += 1

    monkeypatch.setattr(trainer._checkpoint.Disk, "write", full)
    return keras.callbacks.LambdaCallback(on_train_batch_end=counted)


def full_disk(folder):
    return (
        f"no checkpoint can be written to {folder} now: [Errno 28] No space left on device. Training goes on, and tries "
        "again whenever one is due, at a stop and at the end; the last good checkpoint is kept. Free or mend the disk "
        "meanwhile: a run that is stopped before then goes on from that checkpoint"
    )


def test_a_full_disk_is_said_once_and_training_goes_on(digits, uninterrupted, tmp_path, monkeypatch):
    count = full_after(monkeypatch, range(4, 99))
    with pytest.warns(TrainingWarning) as caught:
        finished = run(digits, callbacks=[count], checkpoint=tmp_path / "run")
    assert [str(one.message) for one in caught] == [f"{full_disk(tmp_path / 'run')}."]
    assert_equal(finished, uninterrupted["plain"])
    monkeypatch.undo()
    assert_equal(run(digits, model=new_model(seed=4), checkpoint=tmp_path / "run"), uninterrupted["plain"])


def test_who_is_stopped_by_a_full_disk_alone_is_not_told_that_training_goes_on(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 1e9)
    count = full_after(monkeypatch, range(1, 99))
    with pytest.warns(TrainingWarning) as caught:
        run(digits, callbacks=[count, Stopper(7)], checkpoint=tmp_path / "run", verbose=2)
    trouble = "[Errno 28] No space left on device. The last good one is kept."
    assert [str(one.message) for one in caught] == [f"no checkpoint can be written to {tmp_path / 'run'}: {trouble}"]
    assert "Its last steps may be in no checkpoint" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_whose_end_is_in_no_checkpoint_says_so(digits, tmp_path, monkeypatch, capsys):
    count = full_after(monkeypatch, range(4, 99))
    with pytest.warns(TrainingWarning):
        run(digits, callbacks=[count], checkpoint=tmp_path / "run", verbose=2)
    folder = str(tmp_path / "run")
    words = f"the end of this run is in no checkpoint: checkpoint={folder!r} has what came before"
    assert words in capsys.readouterr().err.splitlines()


def test_a_finished_run_that_is_taken_up_knows_which_epoch_an_early_stopping_has_put_back(digits, tmp_path):
    def again(seed):
        stopping = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
        return run(digits, model=new_model(seed), callbacks=[stopping], checkpoint=tmp_path / "run")

    first = again(0)
    assert first[1].best_epoch == 1
    assert_equal(again(4), first)


def test_once_the_disk_has_room_again_checkpoints_are_written_again(
    digits, uninterrupted, tmp_path, monkeypatch, capsys
):
    count = full_after(monkeypatch, range(4, 8))
    with pytest.warns(TrainingWarning) as caught:
        assert_equal(run(digits, callbacks=[count], checkpoint=tmp_path / "run", verbose=2), uninterrupted["plain"])
    assert len(caught) == 1
    said = capsys.readouterr().err.splitlines()
    again = f"checkpoints are written to {tmp_path / 'run'} again"
    assert said.count(full_disk(tmp_path / "run")) == said.count(again) == 1
    assert said.index(full_disk(tmp_path / "run")) < said.index(again)
    run(digits, checkpoint=tmp_path / "run", verbose=2)
    assert "holds this run to its end: nothing is left to train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("until", "words", "place"),
    [
        (7, "", "epoch 2/3, step 2/5"),
        (99, ". Its last steps may be in no checkpoint", "epoch 1/3, step 3/5"),
    ],
    ids=["room again", "still full"],
)
def test_a_stop_tries_once_more_and_says_what_it_could_not_write(
    digits, uninterrupted, tmp_path, monkeypatch, capsys, until, words, place
):
    count = full_after(monkeypatch, range(4, until))
    with pytest.warns(TrainingWarning):
        run(digits, callbacks=[count, Stopper(7)], checkpoint=tmp_path / "run", verbose=2)
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"interrupted at epoch 2/3, step 2/5; the model keeps what it has learnt{words}. To go on, train again with "
        f"checkpoint={str(tmp_path / 'run')!r}"
    )
    monkeypatch.undo()
    assert_equal(run(digits, model=new_model(seed=4), checkpoint=tmp_path / "run", verbose=2), uninterrupted["plain"])
    assert f"resumed {tmp_path / 'run'}: {place}" in capsys.readouterr().err


class HalvesAtTheBeginning(keras.callbacks.Callback):
    """Does something to the optimizer and to itself at the beginning of every epoch, as Keras' own example does."""

    def __init__(self):
        super().__init__()
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2


def test_an_epoch_that_was_interrupted_is_begun_once(digits, tmp_path):
    """Or the rate would be halved twice, and callbacks count one epoch more, than in a run that never stopped."""
    options = {"optimizer": "sgd", "learning_rate": 0.1}
    halving = HalvesAtTheBeginning()
    straight = run(digits, callbacks=[halving], **options)
    run(digits, callbacks=[HalvesAtTheBeginning(), Stopper(7)], checkpoint=tmp_path / "run", **options)
    resumed = HalvesAtTheBeginning()
    assert_equal(run(digits, callbacks=[resumed], checkpoint=tmp_path / "run", **options), straight)
    assert resumed.begun == halving.begun == [0, 1, 2]


class BegunAt(keras.callbacks.Callback):
    """Needs what it notes at the beginning of an epoch at its end, as one that takes the time does."""

    def __init__(self):
        super().__init__()
        self.start, self.begun, self.took = None, [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = epoch + 0.5
        self.begun.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.took.append(self.start - epoch)
        self.start = None


@pytest.mark.parametrize("poisoned", [(), (1,)], ids=["plain", "gone back at once"])
def test_a_callback_that_the_interrupted_run_did_not_have_begins_where_it_goes_on(
    digits, uninterrupted, tmp_path, poisoned
):
    run(digits, callbacks=[Stopper(7)], checkpoint=tmp_path / "run")
    added = BegunAt()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        resumed = run(digits, callbacks=[added, Poison(*poisoned)], checkpoint=tmp_path / "run")
    assert added.begun == [1, 2]
    assert added.took == [0.5, 0.5]
    if not poisoned:
        assert_equal(resumed, uninterrupted["plain"])


def test_what_a_new_callback_does_at_the_beginning_of_the_epoch_is_done_and_what_a_known_one_does_again_is_not(
    digits, tmp_path
):
    class Third(keras.callbacks.Callback):
        """Stops when it sees an epoch begin for the third time."""

        def __init__(self):
            super().__init__()
            self.seen = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.seen += 1
            self.model.stop_training = self.seen == 3

    class AtOnce(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.stop_training = True

    run(digits, callbacks=[Third(), Stopper(7)], checkpoint=tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    steps = []
    watcher = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    run(digits, callbacks=[Third(), watcher], checkpoint=tmp_path / "run")
    assert steps == [2, 3, 4]  # the third beginning is that of the third epoch
    steps.clear()
    run(digits, callbacks=[Third(), watcher, AtOnce()], checkpoint=tmp_path / "copy")
    assert steps == []


def test_a_plateau_is_one_in_a_run_that_goes_on_too(digits, tmp_path):
    """The loss falls by less than min_delta: the rate is halved after each epoch but the first."""
    options = {"optimizer": "sgd", "learning_rate": 0.001, "epochs": 4}

    def plateau():
        return keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)

    straight = run(digits, callbacks=[plateau()], **options)
    assert straight[1]["learning_rate"] == pytest.approx([0.001, 0.001, 0.0005, 0.00025])
    run(digits, callbacks=[plateau(), Stopper(7)], checkpoint=tmp_path / "run", **options)
    assert_equal(run(digits, callbacks=[plateau()], checkpoint=tmp_path / "run", **options), straight)


# --- not a number ------------------------------------------------------------------------------------------------


class Poison(keras.callbacks.Callback):
    """Makes a weight NaN before some steps, counted over the life of the object: an iterator does not roll back."""

    def __init__(self, *steps):
        super().__init__()
        self._poisoned = iter([step in steps for step in range(1, 10_000)])

    def on_train_batch_begin(self, batch, logs=None):
        if next(self._poisoned):
            weight = self.model.trainable_variables[0]
            weight.assign(weight.value * np.nan)


def test_nan_rolls_back_to_the_last_good_state_with_half_the_rate(digits, uninterrupted):
    with pytest.warns(TrainingWarning) as caught:
        weights, history = run(digits, callbacks=[Poison(8)])
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "the loss became NaN or infinite at epoch 2/3, step 3/5: back to epoch 2/3, step 2/5, with half the learning "
        "rate (1 of at most 3 times)."
    )
    assert history.epochs == 3
    assert all(np.isfinite(weight).all() for weight in weights)
    full = uninterrupted["plain"][1]["learning_rate"]
    assert history["learning_rate"] == pytest.approx([full[0], full[1] / 2, full[2] / 2])


def test_callbacks_go_back_too(digits):
    class Counter(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1

    counter = Counter()
    with pytest.warns(TrainingWarning):
        run(digits, callbacks=[counter, Poison(8)])
    assert counter.batches == 15  # not 16


@pytest.mark.parametrize("optimizer", ["adam", "object"])
def test_a_constant_rate_is_halved_too(digits, optimizer):
    chosen = {"optimizer": keras.optimizers.Adam(0.004)} if optimizer == "object" else {"learning_rate": 0.004}
    with pytest.warns(TrainingWarning):
        _, history = run(digits, callbacks=[Poison(8, 13)], **chosen)
    assert history["learning_rate"] == pytest.approx([0.004, 0.002, 0.001])


def test_the_fourth_nan_ends_training_with_what_was_learnt(digits):
    with pytest.warns(TrainingWarning) as caught:
        weights, history = run(digits, callbacks=[Poison(8, 9, 10, 11)])
    assert len(caught) == 4
    assert str(caught[-1].message) == (
        "the loss became NaN or infinite at epoch 2/3, step 3/5, and 3 lower rates did not help. Give a lower "
        "learning_rate. The model keeps what it had learnt until epoch 2/3, step 2/5."
    )
    assert all(np.isfinite(weight).all() for weight in weights)
    assert history.epochs == 1


def test_nan_from_the_start_is_an_error(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        with pytest.raises(TrainingError) as refusal:
            run(digits, callbacks=[Poison(1, 2, 3, 4)])
    assert str(refusal.value) == (
        "the loss became NaN or infinite at epoch 1/3, step 1/5, and 3 lower rates did not help. Give a lower "
        "learning_rate; look at the images, labels and weights, if that does not help."
    )


class Floor(keras.layers.Layer):
    """Lets no score be lower than a weight that is infinite by design, and learns nothing."""

    def build(self, shape):
        self.least = self.add_weight(shape=shape[1:], initializer=keras.initializers.Constant(-np.inf), trainable=False)

    def call(self, scores):
        return keras.ops.maximum(scores, self.least)


def test_a_weight_that_is_infinite_by_design_is_no_loss_that_became_so(digits, tmp_path):
    ends = [keras.layers.Dense(10), Floor(), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16), keras.layers.Flatten(), *ends])
    _, history = run(digits, model=model, callbacks=[Stopper(7)], checkpoint=tmp_path)
    assert (history.interrupted, history.epochs) == (True, 1)
    _, history = run(digits, model=model, checkpoint=tmp_path)
    assert history.epochs == 3
    assert history["loss"][-1] < history["loss"][0]


def test_a_schedule_of_your_own_is_not_lowered(digits):
    with pytest.warns(TrainingWarning, match="and the rate follows your own schedule"):
        _, history = run(digits, callbacks=[Poison(8)], **recipe("keras schedule"))
    assert history.epochs == 1


def test_a_rate_that_a_callback_schedules_is_not_said_to_be_lowered(digits):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1)
    with pytest.warns(TrainingWarning, match="and the rate follows your own schedule"):
        _, history = run(digits, callbacks=[scheduler, Poison(8)], optimizer="sgd", learning_rate=0.1)
    assert history.epochs == 1


def test_whole_epochs_are_kept_before_any_checkpoint_is_due(digits, monkeypatch):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 1e9)
    with pytest.warns(TrainingWarning, match=r"The model keeps what it had learnt until epoch 2/3, step 0/5"):
        _, history = run(digits, callbacks=[Poison(8)], **recipe("keras schedule"))
    assert history.epochs == 1


def test_epochs_that_are_done_anew_are_in_the_history_once(digits, monkeypatch):
    """Where the last good state is older than the last epoch."""
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 1e9)
    monkeypatch.setattr(_keeper, "SAVE_SHARE", 1e9)  # noted after the first epoch, and never again
    with pytest.warns(TrainingWarning, match="back to epoch 2/3, step 0/5"):
        _, history = run(digits, callbacks=[Poison(12)])
    assert history.epochs == 3


def test_nan_is_never_in_a_checkpoint(digits, tmp_path):
    with pytest.warns(TrainingWarning):
        run(digits, callbacks=[Poison(8), Stopper(11)], checkpoint=tmp_path / "run")
    for path in (tmp_path / "run").glob("checkpoint-*"):
        assert "NaN" not in (path / "state.json").read_text()
        assert json.loads((path / "state.json").read_bytes())["facts"]["rollbacks"] in {0, 1}
    weights, _ = run(digits, checkpoint=tmp_path / "run")
    assert all(np.isfinite(weight).all() for weight in weights)


def test_ctrl_c_before_anybody_has_looked_keeps_no_nan(digits, capsys, monkeypatch):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 1e9)  # nothing is looked at between two epochs
    weights, history = run(digits, callbacks=[Poison(8), Stopper(9)], verbose=2)
    assert history.interrupted
    assert history.epochs == 1
    assert all(np.isfinite(weight).all() for weight in weights)
    said = "interrupted at epoch 2/3, step 4/5; the model keeps what it has learnt until epoch 2/3, step 0/5, where its loss was still a number"
    assert said in capsys.readouterr().err


def test_the_fourth_nan_leaves_the_average_where_one_was_asked_for(digits):
    class Averages(keras.callbacks.Callback):
        kept = None

        def on_train_batch_end(self, batch, logs=None):
            if np.isfinite(logs["loss"]):
                Averages.kept = [np.array(one.numpy()) for one in self.model.optimizer._model_variables_moving_average]

    model = new_model()
    with pytest.warns(TrainingWarning):
        run(digits, model=model, average=0.9, callbacks=[Averages(), Poison(8, 9, 10, 11)])
    for variable, average in zip(model.trainable_variables, Averages.kept, strict=True):
        np.testing.assert_allclose(variable.numpy(), average, rtol=1e-6)


def test_what_a_callback_notes_may_be_nan(digits, tmp_path):
    """The recall of a class that has no images, say: it is no loss that became NaN."""

    class Recalls(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.recalls = [np.ones(3)]

        def on_epoch_end(self, epoch, logs=None):
            self.recalls.append(np.array([0.5, np.nan, 1.0]))

    recalls = Recalls()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        _, history = run(digits, callbacks=[recalls], checkpoint=tmp_path / "run")
    assert history.epochs == 3
    assert len(recalls.recalls) == 4


def test_a_callback_that_stops_at_nan_is_heard(digits):
    with pytest.warns(TrainingWarning) as caught:
        weights, history = run(digits, callbacks=[Poison(8), keras.callbacks.TerminateOnNaN()])
    assert str(caught[-1].message) == (
        "the loss became NaN or infinite at epoch 2/3, step 3/5, and a callback has stopped training. Give a lower "
        "learning_rate. The model keeps what it had learnt until epoch 2/3, step 2/5."
    )
    assert len(caught) == 1
    assert history.epochs == 1
    assert all(np.isfinite(weight).all() for weight in weights)


# --- where training ends ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a process at once, as kill -9 does: nothing that is caught, and nothing is written any more."""


class StopsAt(keras.callbacks.Callback):
    """Stops training at the beginning of an epoch, or after a batch of it."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self._epoch, self._batch, self.now = epoch, batch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch
        if self._batch is None and epoch == self._epoch:
            self.model.stop_training = True

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self._epoch, self._batch):
            self.model.stop_training = True


class KilledAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        raise Killed


AVERAGED = {"optimizer": "sgd", "learning_rate": 0.05, "average": 0.9}


def test_the_average_stays_where_a_callback_stops_at_the_beginning_of_an_epoch(digits, tmp_path):
    """After two epochs at a constant rate all is as in a run of two."""
    two = run(digits, epochs=2, **AVERAGED)
    model = new_model()
    stopped = run(digits, model=model, epochs=5, callbacks=[StopsAt(2)], **AVERAGED)
    assert_equal(stopped, two)
    images = np.stack([digits.read(index) for index in range(40)])
    losses = keras.losses.sparse_categorical_crossentropy(digits.labels[:40], model(images, training=False))
    assert stopped[1]["val_loss"][-1] == pytest.approx(float(np.mean(losses)), abs=1e-5)

    options = {"epochs": 5, "checkpoint": tmp_path / "run", **AVERAGED}
    with pytest.raises(Killed):
        run(digits, callbacks=[StopsAt(2), KilledAtTheEnd()], **options)
    assert_equal(run(digits, model=new_model(seed=4), callbacks=[StopsAt(2)], **options), two)


def test_the_average_stays_where_the_clock_ends_training_between_two_epochs(digits, tmp_path, monkeypatch):
    """A process is killed between two epochs, and when the next one has got ready, the time is over."""

    class KilledAtEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    one = run(digits, epochs=1, **AVERAGED)
    options = {"checkpoint": tmp_path / "run", "budget": 1000, **AVERAGED}
    with pytest.raises(Killed):
        run(digits, callbacks=[KilledAtEpoch()], **options)
    monkeypatch.setattr(Pace, "progress", lambda self, done, seconds, reserve: 1.0)
    assert_equal(run(digits, model=new_model(seed=4), **options), one)


@pytest.mark.parametrize("options", [{}, AVERAGED], ids=["plain", "averaged"])
@pytest.mark.parametrize("batch", [2, 4], ids=["within", "after its last step"])
@pytest.mark.parametrize("how", ["Ctrl-C", "killed while validating", "killed at the end"])
def test_an_epoch_that_a_callback_has_stopped_is_measured_by_the_process_that_goes_on(
    digits, tmp_path, monkeypatch, how, batch, options
):
    truth = run(digits, callbacks=[StopsAt(1, batch)], **options)
    assert truth[1].epochs == 2
    measure, calls = trainer._validation.Validation.measure, []

    def ended_in_the_second(self, between):
        calls.append(1)
        if len(calls) == 2 and how == "Ctrl-C":
            signal.raise_signal(signal.SIGINT)
        elif len(calls) == 2:
            raise Killed
        return measure(self, between)

    callbacks = [StopsAt(1, batch)]
    if how == "killed at the end":
        callbacks.append(KilledAtTheEnd())
    else:
        monkeypatch.setattr(trainer._validation.Validation, "measure", ended_in_the_second)
    options = {"checkpoint": tmp_path / "run", **options}
    if how == "Ctrl-C":
        assert run(digits, callbacks=callbacks, **options)[1].interrupted
    else:
        with pytest.raises(Killed):
            run(digits, callbacks=callbacks, **options)
    assert_equal(run(digits, model=new_model(seed=4), callbacks=[StopsAt(1, batch)], **options), truth)


def test_weights_that_are_nan_where_a_callback_stops_at_the_beginning_of_an_epoch_are_not_kept(digits):
    """As where the last step of an epoch has ruined them, and its loss was still a number."""

    class Ruins(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * np.nan)
                self.model.stop_training = True

    one = run(digits, epochs=1, **AVERAGED)
    with pytest.warns(TrainingWarning, match="at epoch 2/3, step 0/5, and a callback has stopped training"):
        assert_equal(run(digits, callbacks=[Ruins()], **AVERAGED), one)


def test_the_best_checkpoint_is_that_of_the_epoch_that_was_measured(digits, tmp_path):
    """Swapped labels let val_loss rise, and every step is saved: many states come after the epoch that was the best."""
    wrong = Dataset.from_arrays(
        np.stack([digits.read(index) for index in range(40)]), (digits.labels[:40] + 1) % 10, classes=digits.classes
    )
    weights = []
    watcher = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append([np.array(one.numpy()) for one in watcher.model.variables])
    )
    _, history = run(digits, validation_data=wrong, callbacks=[watcher], checkpoint=tmp_path, learning_rate=0.003)
    best = int(np.argmin(history["val_loss"]))
    assert best < 2
    paths = sorted(tmp_path.glob("checkpoint-*"))
    assert len(paths) == 3
    states = [json.loads((path / "state.json").read_bytes()) for path in paths]
    assert [state["score"] for state in states] == [history["val_loss"][best], history["val_loss"][-1], None]
    assert [(state["facts"]["epoch"], state["facts"]["place"]) for state in states] == [(best + 1, 0), (3, 0), (3, 0)]
    kept = load_file(paths[0] / "arrays.safetensors")
    for index, value in enumerate(weights[best]):
        np.testing.assert_array_equal(kept[f"{_keeper.VARIABLE}{index:05d}"], value)


@pytest.mark.parametrize("before", [False, True], ids=["now", "begun before"])
def test_an_early_stopping_that_is_added_is_not_taken_for_that_of_patience(digits, tmp_path, monkeypatch, before):
    """Ours goes on with its best, and the user's begins; also where the state was written before they had two names."""
    wrong = Dataset.from_arrays(
        np.stack([digits.read(index) for index in range(40)]), (digits.labels[:40] + 1) % 10, classes=digits.classes
    )
    options = {"validation_data": wrong, "patience": 2, "epochs": 6, "learning_rate": 0.003}
    truth = run(digits, **options)
    assert truth[1].best_epoch == 1
    with monkeypatch.context() as patch:
        if before:
            patch.setattr(trainer._train, "named", lambda callbacks, ours: named([*callbacks, *ours]))
        run(digits, callbacks=[Stopper(7)], checkpoint=tmp_path, **options)
    added = keras.callbacks.EarlyStopping("val_accuracy", patience=50)
    assert_equal(run(digits, callbacks=[added], checkpoint=tmp_path, **options), truth)
    assert added.best == max(truth[1]["val_accuracy"][1:])


# --- what is asked for anew when a run goes on --------------------------------------------------------------------


def test_more_micro_batches_than_before_are_taken(digits, tmp_path, monkeypatch):
    """It is what the error of a lack of memory advises, where a run cannot help itself."""
    seen = []
    accumulate = _backend.TrainingStep._accumulate
    monkeypatch.setattr(
        _backend.TrainingStep,
        "_accumulate",
        lambda step, batch: seen.append(step.micro_batches) or accumulate(step, batch),
    )
    run(digits, checkpoint=tmp_path / "run", callbacks=[Stopper(4)])
    assert seen == []
    _, history = run(digits, checkpoint=tmp_path / "run", micro_batches=4)
    assert history.epochs == 3
    assert set(seen) == {4}


def test_a_complaint_is_made_once_also_by_a_run_that_goes_on(digits, tmp_path, capsys):
    settings = {"checkpoint": tmp_path / "run", "optimizer": "sgd", "learning_rate": 3.0, "verbose": 2}
    interrupted = run(digits, callbacks=[Stopper(7)], **settings)[1]
    assert [line[:11] for line in interrupted.advice] == ["the loss is"]
    capsys.readouterr()
    resumed = run(digits, **settings)[1]
    assert resumed.advice[0] == interrupted.advice[0]
    assert sum(line.startswith("the loss is") for line in resumed.advice) == 1
    assert "doctor: the loss is" not in capsys.readouterr().err


def test_a_log_goes_on_below_one_heading(digits, tmp_path):
    """CSVLogger writes anew unless it is told to append, here as in Keras."""

    logs = [keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True) for _ in range(2)]
    run(digits, checkpoint=tmp_path / "run", callbacks=[logs[0], Stopper(8)])
    logs[0].csv_file.close()  # Ctrl-C leaves it open, here as in Keras
    with pytest.warns(TrainingWarning):
        _, history = run(digits, checkpoint=tmp_path / "run", callbacks=[logs[1], Poison(4)])
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"]
    assert history.epochs == 3


def test_before_it_is_measured_a_validation_is_reserved_a_third_of_as_many_steps(digits, monkeypatch):
    """Else a budget shorter than an epoch would end when its steps do, and validate after its time."""
    reserves, progress = [], Pace.progress

    def noted(self, done, seconds, *, reserve=0.0):
        reserves.append((done, seconds - self.overhead, reserve))
        return progress(self, done, seconds, reserve=reserve)

    monkeypatch.setattr(Pace, "progress", noted)
    run(digits, validation_data=digits[:96], epochs=2, budget=600)  # three batches
    before = [(done, seconds, reserve) for done, seconds, reserve in reserves if 2 <= done <= 4]
    assert len(before) == 3
    for done, seconds, reserve in before:
        assert reserve == pytest.approx(3 * seconds / (done - 1) / 3, rel=0.2)  # clocks of two moments
    after = [reserve for done, _, reserve in reserves if 6 <= done <= 9]
    assert len(set(after)) == 1  # as the first validation took
    assert after[0] > 0
