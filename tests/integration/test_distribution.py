"""Several devices and several machines: the weights of one device, no image lost or repeated, a lost worker named.

Logical devices and workers must be set up before TensorFlow computes anything, so all of it runs in fresh processes:
this file as a script.
"""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

IMAGES, BATCH = 310, 31  # ten steps an epoch, and no even halves


def plain_model(seed, *, normalised=False):
    """Build a network that computes the same for each image, whatever its batch; with BatchNormalization not so."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    middle = [layers.BatchNormalization(), layers.Dropout(0.2, seed=5)] if normalised else []
    stages = [layers.Rescaling(1 / 16), layers.Conv2D(8, 3), *middle, layers.ReLU(), layers.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 1)), *stages, layers.Dense(10, activation="softmax")])


def digits(count=IMAGES):
    from imgcls import Dataset

    return Dataset.builtin("digits")[:count]


def flat(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def twenty_steps(devices, seed=0, **arguments):
    """Train from the weights of a seed; return those afterwards and the history."""
    from imgcls import trainer

    model = plain_model(seed)
    arguments = {"optimizer": "adamw", "epochs": 2, "batch_size": BATCH, **arguments}
    history = trainer.train(model, digits(), validation_data=digits(50), devices=devices, verbose=0, **arguments)
    return flat(model), history


def assert_same_training(found, expected):
    # Sums in another order differ in the last bits, which a weight near zero shows at any relative tolerance.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def regularised(devices, **arguments):
    """Train with everything that draws random numbers or keeps statistics; return all variables."""
    from imgcls import trainer, transforms

    model = plain_model(0, normalised=True)
    layer = transforms.augmentation("light", seed=3)
    settings = {"epochs": 2, "batch_size": BATCH, "mixing": "mixup", "average": 0.9, "clip_norm": 1.0, "verbose": 0}
    trainer.train(model, digits(), augmentation=layer, devices=devices, **{**settings, **arguments})
    return flat(model)


# --- two logical devices of one machine ---------------------------------------------------------------------------


def divide_the_processor(parts):
    import tensorflow as tf

    logical = [tf.config.LogicalDeviceConfiguration()] * parts
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)


def check_two_devices():
    """Train two devices and one, and compare: the heart of what `check_logical_devices` checks at length."""
    divide_the_processor(2)
    expected, history = twenty_steps("auto", epochs=1)
    found, same = twenty_steps(["CPU:0", "CPU:1"], epochs=1)
    assert_same_training(found, expected)
    np.testing.assert_allclose(same["loss"], history["loss"], rtol=1e-5)
    assert same["accuracy"] == history["accuracy"]
    assert same["val_accuracy"] == history["val_accuracy"]
    two = ["CPU:0", "CPU:1"]
    check_replicas_scale_as_the_model_does(two)
    check_losses_are_those_of_one_device(two)
    check_a_layer_keeps_its_weights(two)
    check_models_with_losses_of_their_own_are_copied(two)
    check_other_precisions_train_as_on_one_device(two)
    check_what_is_fixed_within_a_layer_stays_so(two)


def check_losses_are_those_of_one_device(devices):
    """Keras divides what its loss objects give by the number of replicas, but not what layers add to it."""
    import keras

    from imgcls import trainer

    def trained(devices, loss, **arguments):
        keras.utils.set_random_seed(0)
        head = keras.layers.Dense(10, activation="softmax", kernel_regularizer=keras.regularizers.L2(0.1))
        layers = [keras.layers.Rescaling(1 / 16), keras.layers.Flatten(), head]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        settings = {"optimizer": "sgd", "learning_rate": 0.01, "epochs": 1, "batch_size": BATCH, "verbose": 0}
        settings["validation_data"] = digits(50)
        history = trainer.train(model, digits(), loss=loss, devices=devices, **settings, **arguments)
        return flat(model), history

    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    for loss, arguments in (("focal", {}), (smoothed, {"micro_batches": 2})):
        expected, history = trained("auto", loss)
        found, same = trained(devices, loss, **arguments)
        assert_same_training(found, expected)
        for name in ("loss", "val_loss"):
            np.testing.assert_allclose(same[name], history[name], rtol=1e-5)


def check_a_layer_keeps_its_weights(devices):
    """Those that it has learnt before, in itself or in a layer that it is made of."""
    import keras

    from imgcls import ConfigurationError, trainer

    class Darkened(keras.layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.scaling = keras.layers.Normalization(axis=None)

        def build(self, shape):
            self.light = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, images):
            return self.scaling(images) * self.light

    def learnt():
        layer = Darkened()
        layer.scaling.adapt(np.stack([np.full((8, 8, 1), 2.0), np.full((8, 8, 1), 6.0)]))
        layer.build((None, 8, 8, 1))
        layer.light.assign(3.0)
        return layer

    expected, found = (twenty_steps(one, augmentation=learnt(), epochs=1)[0] for one in ("auto", devices))
    assert_same_training(found, expected)
    fresh, _ = twenty_steps(devices, augmentation=Darkened(), epochs=1)
    assert abs(found - fresh).max() > 0.01

    class Forgetful(keras.layers.Layer):
        def __init__(self, count=1, **arguments):
            super().__init__(**arguments)
            self.gains = self.add_weight(shape=(count,), initializer="ones", trainable=False)

        def call(self, images):
            return images * self.gains[0]

        def get_config(self):
            return {}

    with pytest.raises(ConfigurationError) as refusal:
        trainer.train(plain_model(0), digits(31), augmentation=Forgetful(2), devices=devices, verbose=0)
    assert str(refusal.value) == (
        "Forgetful cannot be copied to several devices. Accepted: a layer that Keras can make again from its "
        "get_config, with the same variables. Or train on one device."
    )


def check_models_with_losses_of_their_own_are_copied(devices):
    """Keras cannot make again what a model, or one inside of it, was compiled with."""
    import keras

    from imgcls import trainer

    def own_loss(targets, outputs):
        return keras.losses.categorical_crossentropy(targets, outputs)

    inner = plain_model(0)
    middle = keras.Sequential([keras.Input((8, 8, 1)), inner])
    model = keras.Sequential([keras.Input((8, 8, 1)), middle])
    for one in (inner, model):
        one.compile("sgd", own_loss)
    before = flat(model)
    trainer.train(model, digits(31), loss=own_loss, epochs=1, devices=devices, verbose=0)
    assert abs(flat(model) - before).max() > 0
    assert [one.compiled for one in (inner, middle, model)] == [True, False, True]


def check_what_is_fixed_within_a_layer_stays_so(devices):
    """The copies of a model do not say of themselves what the user has fixed in it."""
    import keras

    from imgcls import trainer

    @keras.saving.register_keras_serializable("tests")
    class Block(keras.layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.fixed, self.free = (keras.layers.Conv2D(4, 3, name=name) for name in ("fixed", "free"))

        def build(self, shape):
            self.fixed.build(shape)
            self.free.build(self.fixed.compute_output_shape(shape))

        def call(self, images):
            return self.free(self.fixed(images))

    def trained(devices):
        keras.utils.set_random_seed(0)
        block, head = Block(), keras.layers.Dense(10, activation="softmax")
        stages = [keras.layers.Rescaling(1 / 16), block, keras.layers.Flatten(), head]
        model = keras.Sequential([keras.Input((8, 8, 1)), *stages])
        block.fixed.trainable = False
        before = [block.fixed.kernel.numpy(), block.free.kernel.numpy()]
        settings = {"optimizer": "sgd", "learning_rate": 0.01, "epochs": 1, "batch_size": BATCH, "verbose": 0}
        trainer.train(model, digits(), devices=devices, **settings)
        np.testing.assert_array_equal(block.fixed.kernel, before[0])
        assert abs(block.free.kernel.numpy() - before[1]).max() > 1e-5
        return flat(model)

    assert_same_training(trained(devices), trained("auto"))


def check_other_precisions_train_as_on_one_device(devices):
    """Weights, and what layers keep while they compute, in other types than float32."""
    import keras

    from imgcls import trainer

    class Watching(keras.layers.Layer):
        def build(self, shape):
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, images, training=False):
            if training:
                self.seen.assign(keras.ops.mean(images))
            return images

    def trained(devices, kind):
        keras.utils.set_random_seed(0)
        layers = [Watching(dtype=kind), keras.layers.Flatten(), keras.layers.Dense(10, "softmax", dtype=kind)]
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16), *layers])
        arguments = {"optimizer": "sgd", "epochs": 1, "batch_size": BATCH, "devices": devices, "verbose": 0}
        trainer.train(model, digits(BATCH), **arguments)
        return [np.asarray(weight, np.float64) for weight in model.get_weights()]

    for kind, rounding in (("bfloat16", 2**-7), ("float64", 1e-6)):
        for found, expected in zip(trained(devices, kind), trained("auto", kind), strict=True):
            np.testing.assert_allclose(found, expected, atol=rounding * abs(expected).max())


def check_replicas_scale_as_the_model_does(devices):
    """Keras' Normalization keeps a copy of its statistics, and is found in models inside of models."""
    import keras

    from imgcls import _backend, trainer

    pixels = np.stack([sample.image for sample in digits(31)]).astype("float32")
    expected = (pixels - pixels.mean()) / pixels.std()

    def scaled():
        keras.utils.set_random_seed(0)
        scaling = keras.layers.Normalization(axis=None)
        scaling.adapt(pixels)
        front = keras.Sequential([keras.Input((8, 8, 1)), scaling])
        head = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        return keras.Sequential([keras.Input((8, 8, 1)), front, *head])

    original = scaled()
    with _backend.placement(devices).lent(original) as copied:
        np.testing.assert_allclose(copied.layers[0](pixels), expected, rtol=1e-4, atol=1e-4)
        for variable, value in zip(copied.layers[0].weights, (4.0, 0.25, 1), strict=True):
            variable.assign(value)
    np.testing.assert_allclose(original.layers[0](pixels), (pixels - 4) / 0.5, rtol=1e-4, atol=1e-4)
    weights = []
    for one in ("auto", devices):
        model = scaled()
        trainer.train(model, digits(), optimizer="sgd", epochs=1, batch_size=BATCH, devices=one, verbose=0)
        weights.append(flat(model))
    assert_same_training(*weights)


def check_logical_devices():
    """Run every check that needs several devices in one process; a failure ends it."""
    import keras

    divide_the_processor(3)
    from imgcls import ConfigurationError, ImageClassifier, trainer

    two, three = ["CPU:0", "CPU:1"], ["cpu:0", "cpu:1", "cpu:2"]
    clipped = {"clip_norm": 0.1, "average": 0.9, "class_weight": "balanced"}
    adam = {"optimizer": keras.optimizers.Adam(), "micro_batches": 4}
    xla = {"jit_compile": True}
    for arguments, devices in (({}, three), (clipped, two), ({"optimizer": "muon"}, two), (adam, two), (xla, two)):
        expected, history = twenty_steps("auto", **arguments)
        found, same = twenty_steps(devices, **arguments)
        assert_same_training(found, expected)
        np.testing.assert_allclose(same["loss"], history["loss"], rtol=1e-5)
        assert same["accuracy"] == history["accuracy"]
        np.testing.assert_allclose(same["val_loss"], history["val_loss"], rtol=1e-5)
    check_a_run_goes_on_with_other_devices(two)
    # fewer images than replicas
    tiny = {"epochs": 1, "batch_size": 2}
    (found, same), (expected, history) = twenty_steps(three, **tiny), twenty_steps("auto", **tiny)
    assert_same_training(found, expected)
    assert same["accuracy"] == history["accuracy"]
    check_an_interrupted_run_goes_on_exactly(two)
    check_replicas_draw_their_own_numbers(two)
    check_statistics_are_those_of_the_whole_batch(two)
    check_a_layer_makes_its_variables_on_every_replica(two)
    # the classifier
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1, devices=two).fit(digits(), verbose=0)
    assert classifier.choices_.get("devices") is None
    assert not hasattr(classifier.model_.weights[0].value, "values")  # a plain variable again
    assert classifier.get_params()["devices"] == two
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits(), verbose=0)
    assert tuple(classifier.choices_["devices"]) == (["CPU:0"], "there is no GPU")
    # refusals
    with pytest.raises(ConfigurationError) as refusal:
        trainer.choose_devices(["CPU:0", "GPU:7"])
    assert str(refusal.value) == (
        "devices=['CPU:0', 'GPU:7'] is not accepted. Accepted: 'auto', 'cpu', 'gpu', or a list of different ones of "
        "CPU:0, CPU:1, CPU:2, which are what TensorFlow sees."
    )
    for wrong in ("gpu", "tpu", [], ["CPU:0", "cpu:0"]):
        with pytest.raises(ConfigurationError, match="is not accepted"):
            trainer.choose_devices(wrong)

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = plain_model(0)

        def call(self, images):
            return self.inner(images)

    own = Own()
    own.build((None, 8, 8, 1))
    own.input_shape, own.output_shape = (None, 8, 8, 1), (None, 10)
    with pytest.raises(ConfigurationError) as refusal:
        trainer.train(own, digits(), devices=two, verbose=0)
    assert str(refusal.value) == (
        "Own cannot be copied to several devices. Accepted: a functional or sequential model, or one that Keras can make "
        "again from its get_config. Or train on one device."
    )

    class Untold(keras.layers.Layer):
        def __init__(self, gain):
            super().__init__()
            self.gain = gain

        def call(self, images):
            return self.gain * images

    with pytest.raises(ConfigurationError) as refusal:
        trainer.train(plain_model(0), digits(), augmentation=Untold(0.9), devices=two, verbose=0)
    assert str(refusal.value) == (
        "Untold cannot be copied to several devices. Accepted: a layer that Keras can make again from its get_config, "
        "with the same variables. Or train on one device."
    )
    os.environ["TF_CONFIG"] = json.dumps(config([1, 2], 0))
    with pytest.raises(ConfigurationError, match=r"^TF_CONFIG names workers, and TensorFlow has computed something"):
        trainer.choose_devices()


def stopper():
    import keras

    def stop(batch, logs):
        if batch == 4:
            signal.raise_signal(signal.SIGINT)

    return keras.callbacks.LambdaCallback(on_train_batch_end=stop)


def check_an_interrupted_run_goes_on_exactly(devices):
    """Also where one replica has images for all micro-batches and the other has not."""
    for arguments in ({}, {"micro_batches": 16}):
        with TemporaryDirectory() as folder:
            interrupted = regularised(devices, checkpoint=folder, callbacks=[stopper()], **arguments)
            resumed = regularised(devices, checkpoint=folder, **arguments)
        truth = regularised(devices, **arguments)
        assert (interrupted != truth).any()
        np.testing.assert_array_equal(resumed, truth)


def check_a_run_goes_on_with_other_devices(devices):
    with TemporaryDirectory() as folder:
        _, history = twenty_steps(devices, checkpoint=folder, callbacks=[stopper()])
        assert history.interrupted
        found, same = twenty_steps("auto", checkpoint=folder)
        expected, history = twenty_steps("auto")
    assert_same_training(found, expected)
    np.testing.assert_allclose(same["loss"], history["loss"], rtol=1e-5)


def check_replicas_draw_their_own_numbers(devices):
    import keras
    import tensorflow as tf

    from imgcls import trainer

    seen = []

    class Noise(keras.layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.generator = keras.random.SeedGenerator(0)

        def call(self, images, training=False):
            drawn = keras.random.uniform((), seed=self.generator)
            tf.py_function(lambda value: seen.append(float(value)), [drawn], [])
            return images

    trainer.train(plain_model(0), digits(62), epochs=1, batch_size=31, augmentation=Noise(), devices=devices, verbose=0)
    assert len(seen) == 4
    assert len(set(seen)) == 4  # two steps of two replicas


def check_statistics_are_those_of_the_whole_batch(devices):
    """BatchNormalization keeps the mean of what replicas saw, by their shares: the mean of the whole batch."""
    from imgcls import trainer

    model = plain_model(0, normalised=True)
    normalisation = model.layers[2]
    kernel, bias = model.layers[1].get_weights()
    trainer.train(model, digits(31), optimizer="sgd", epochs=1, batch_size=31, devices=devices, verbose=0)
    pixels = np.stack([sample.image for sample in digits(31)])
    windows = np.lib.stride_tricks.sliding_window_view(pixels[..., 0] / 16.0, (3, 3), axis=(1, 2))
    features = np.einsum("nxyij,ijf->nxyf", windows, kernel[:, :, 0]) + bias
    momentum = normalisation.momentum
    np.testing.assert_allclose(
        normalisation.moving_mean, (1 - momentum) * features.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-7
    )


def check_a_layer_makes_its_variables_on_every_replica(devices):
    """Also where it makes them when it is first called."""
    import keras

    class Fading(keras.layers.Layer):
        def build(self, shape):
            self.light = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, images):
            self.light.assign(self.light * 0.9)
            return images * self.light

    expected, found = (twenty_steps(one, augmentation=Fading())[0] for one in ("auto", devices))
    assert_same_training(found, expected)


@pytest.mark.parametrize("job", ["two devices", pytest.param("devices", marks=pytest.mark.slow)])
def test_logical_devices_train_as_one(job):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    done = subprocess.run(
        [sys.executable, __file__, job],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING:tensorflow" not in done.stderr


# --- two workers on loopback --------------------------------------------------------------------------------------


def config(ports, index):
    return {"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}, "task": {"type": "worker", "index": index}}


def start_workers(job, *arguments):
    """Start two processes that know of each other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return [
        subprocess.Popen(
            [sys.executable, __file__, job, *map(str, arguments)],
            env={**os.environ, "TF_CONFIG": json.dumps(config(ports, index))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def finish(workers, timeout=300):
    """Wait for the workers and return what they wrote to stdout; none is left behind."""
    try:
        ended = [worker.communicate(timeout=timeout) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, (_, err) in zip(workers, ended, strict=True):
        assert worker.returncode == 0, err[-3000:]
    return [out for out, _ in ended]


def work(folder):
    """Run in each of two workers: all that is compared."""
    from imgcls import ConfigurationError, _backend, trainer
    from imgcls.datasets import Batches

    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    choice = trainer.choose_devices()
    assert choice == (["worker 0", "worker 1"], f"TF_CONFIG names 2 workers, and this is worker {index}")
    said = {"worker": 0, "reason": "wörds " * 99}
    assert _backend.joined().told(said if index == 0 else None) == said
    seen, passes = {}, {name: getattr(Batches, name) for name in ("shuffled", "in_order")}

    def spy(name, self, **arguments):
        for batch in passes[name](self, **arguments):
            seen.setdefault(name, []).append(batch.positions)
            yield batch

    for name in passes:
        setattr(Batches, name, lambda self, name=name, **arguments: spy(name, self, **arguments))
    weights, history = twenty_steps("auto", seed=index)  # initial weights differ: those of worker 0 count
    for name, original in passes.items():
        setattr(Batches, name, original)
        np.savez(folder / f"{name}-{index}.npz", *seen[name])
    tiny, _ = twenty_steps("auto", epochs=1, batch_size=1, class_weight="balanced")  # worker 1 has no image at all
    found = {"weights": weights, "tiny": tiny, "regularised": regularised("auto")}
    figures = {name: history[name] for name in ("loss", "val_loss", "val_accuracy")}
    np.savez(folder / f"found-{index}.npz", **found, **figures)
    with pytest.raises(ConfigurationError) as refusal:
        twenty_steps("auto", epochs=1 + index)
    assert str(refusal.value) == (
        "worker 1 differs from worker 0 in: epochs. Start every worker with the same script, arguments and files; the "
        "folder of checkpoint must be one that all of them see."
    )


@pytest.mark.slow
def test_two_workers_with_half_batches_equal_one_process(tmp_path):
    finish(start_workers("work", tmp_path))
    first, second = (dict(np.load(tmp_path / f"found-{index}.npz")) for index in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)
    weights, history = twenty_steps("cpu")
    assert_same_training(first["weights"], weights)
    np.testing.assert_allclose(first["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(first["val_loss"], history["val_loss"], rtol=1e-5)
    assert first["val_accuracy"].tolist() == history["val_accuracy"]
    assert_same_training(first["tiny"], twenty_steps("cpu", epochs=1, batch_size=1, class_weight="balanced")[0])
    for name, steps, sizes, images in (("shuffled", 10, (16, 15), IMAGES), ("in_order", 2, (13, 12), 50)):
        parts = [list(np.load(tmp_path / f"{name}-{index}.npz").values()) for index in range(2)]
        assert [len(part) for part in parts] == [2 * steps, 2 * steps]
        assert {(len(one), len(other)) for one, other in zip(*parts, strict=True)} == {sizes}
        for epoch in (slice(0, steps), slice(steps, 2 * steps)):
            seen = np.concatenate([*parts[0][epoch], *parts[1][epoch]])
            np.testing.assert_array_equal(np.sort(seen), np.arange(images))


# --- a worker is lost ---------------------------------------------------------------------------------------------


def run(folder):
    """Train slowly with checkpoints; say when a step is done, and print the hash of what was learnt."""
    import keras

    from imgcls import TrainingError, trainer
    from imgcls.trainer import _keeper

    trainer.choose_devices()
    _keeper.SAVE_SECONDS, _keeper.SAVE_SHARE = 0.0, 0

    def done(batch, logs):
        time.sleep(0.05)
        sys.stdout.write("step\n")
        sys.stdout.flush()

    try:
        learnt = regularised(
            "auto",
            checkpoint=folder,
            validation_data=digits(50),
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=done)],
        )
    except TrainingError as error:
        sys.stdout.write(f"lost: {error}\n")
        return
    sys.stdout.write(f"hash: {hashlib.sha256(learnt.tobytes()).hexdigest()}\n")


def hashes(outputs):
    return {line for out in outputs for line in out.splitlines() if line.startswith("hash: ")}


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_when_a_worker_is_killed_the_other_says_so_and_the_pair_goes_on_exactly(tmp_path, killed):
    truth = hashes(finish(start_workers("run", tmp_path / "truth")))
    assert len(truth) == 1
    workers = start_workers("run", tmp_path / "runs")
    for _ in range(7):
        assert workers[killed].stdout.readline() == "step\n"
    workers[killed].kill()
    begin = time.monotonic()
    out = finish([workers[1 - killed]], timeout=100)[0]
    assert time.monotonic() - begin < 60
    words = out.splitlines()[-1]
    assert words.startswith(
        f"lost: worker {killed} of 2 is lost, and worker {1 - killed} cannot go on without it. Start"
    )
    workers[killed].communicate()
    assert hashes(finish(start_workers("run", tmp_path / "runs"))) == truth


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM to one process")
def test_a_signal_to_one_worker_stops_both_between_the_same_steps(tmp_path):
    truth = hashes(finish(start_workers("run", tmp_path / "truth")))
    workers = start_workers("run", tmp_path / "runs")
    for _ in range(7):
        assert workers[1].stdout.readline() == "step\n"
    workers[1].send_signal(signal.SIGTERM)
    stopped = finish([workers[0]], timeout=100)
    assert len(hashes(stopped)) == 1
    assert hashes(stopped) != truth
    workers[1].communicate(timeout=100)
    assert workers[1].returncode == -signal.SIGTERM
    assert hashes(finish(start_workers("run", tmp_path / "runs"))) == truth


def spoil(folder):
    """Let the loss become NaN where one worker has noted its state lately and the other would not have."""
    import keras

    from imgcls import trainer
    from imgcls.trainer import _keeper

    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    trainer.choose_devices()
    note = _keeper.Keeper.note

    def slowly(self, capture):
        state = note(self, capture)
        self._noting = 1e6 * index
        return state

    _keeper.Keeper.note = slowly

    class Poison(keras.callbacks.Callback):
        begun = iter(range(1000))  # an iterator does not roll back

        def on_train_batch_begin(self, batch, logs=None):
            if next(self.begun) == 25:  # in the third of four epochs
                weight = self.model.trainable_variables[-1]
                weight.assign(weight.value * np.nan)

    weights, history = twenty_steps("auto", epochs=4, callbacks=[Poison()])
    assert np.isfinite(weights).all()
    np.savez(folder / f"spoilt-{index}.npz", weights=weights, **history)


@pytest.mark.slow
def test_workers_go_back_to_the_same_state_when_the_loss_is_nan(tmp_path):
    finish(start_workers("nan", tmp_path))
    first, second = (dict(np.load(tmp_path / f"spoilt-{index}.npz")) for index in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)
    assert len(first["loss"]) == 4


def stop():
    """Let a callback of one worker stop training beside the steps: when an epoch has ended, and when one begins."""
    import keras

    from imgcls import trainer

    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    trainer.choose_devices()

    class Stop(keras.callbacks.Callback):
        def __init__(self, hook):
            super().__init__()
            self.hook, self.steps = hook, 0

        def on_epoch_begin(self, epoch, logs=None):
            self._ask("begin", epoch)

        def on_epoch_end(self, epoch, logs=None):
            self._ask("end", epoch)

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1

        def _ask(self, hook, epoch):
            if index == 1 and (hook, epoch) == (self.hook, 1):
                self.model.stop_training = True

    for hook in ("end", "begin"):
        stopping = Stop(hook)
        twenty_steps("auto", epochs=4, callbacks=[stopping])
        sys.stdout.write(f"{hook}: {stopping.steps}\n")


@pytest.mark.slow
def test_a_callback_that_stops_one_worker_between_two_epochs_stops_both():
    assert finish(start_workers("stop"), timeout=120) == ["end: 20\nbegin: 10\n"] * 2


# --- the how-tos --------------------------------------------------------------------------------------------------

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def block(page, start):
    """Return the fenced block of a page whose text begins with `start`."""
    found = [text.partition("\n")[2] for text in (HOW_TO / page).read_text(encoding="utf-8").split("```")[1::2]]
    return next(text for text in found if text.startswith(start))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
def test_the_commands_for_two_workers_run_as_they_are_printed(tmp_path):
    (tmp_path / "train_together.py").write_text(block("several-machines.md", "from imgcls import Dataset"))
    commands = block("several-machines.md", "export PYTHONUNBUFFERED")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", commands],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=environment,
    )
    for index in range(2):  # unbuffered, what two processes write may stand before the end of the other's line
        assert done.stdout.count(f"TF_CONFIG names 2 workers, and this is worker {index}") == 1
    accuracies = re.findall(r"accuracy 0\.9\d+", done.stdout)
    assert len(accuracies) == 2
    assert len(set(accuracies)) == 1


@pytest.mark.slow
def test_the_script_for_two_logical_devices_runs_as_it_is_printed(tmp_path):
    script = tmp_path / "try_two.py"
    script.write_text(block("several-gpus.md", "import tensorflow"))
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert any(line.split()[:1] == ["2/2"] for line in done.stderr.splitlines())


if __name__ == "__main__":
    jobs = {"two devices": check_two_devices, "devices": check_logical_devices, "work": work, "run": run}
    jobs |= {"nan": spoil, "stop": stop}
    jobs[sys.argv[1]](*map(Path, sys.argv[2:]))
