"""Choosing devices, where one process can say; several devices and workers: tests/integration/test_distribution.py."""

import json

import pytest

from imgcls import ConfigurationError, ImageClassifier, TrainingError, _backend, trainer
from imgcls._backend import _strategy
from imgcls.datasets import Dataset


def test_one_device_needs_no_strategy():
    for devices in ("auto", "cpu", ["CPU:0"], ["cpu:0"]):
        placement = _backend.placement(devices)
        assert placement.strategy is None
        assert placement.devices == ["CPU:0"]
        assert (placement.worker, placement.workers) == (0, 1)
    model = object()
    built = []
    assert placement.adopted(model, built.append) is model
    assert built == [model]
    assert placement.adopted(None, built.append) is None
    with placement.lent(model) as same:
        assert same is model
    assert placement.gather([0.1, True]).tolist() == [[0.1, 1.0]]
    assert placement.told(model) is model
    assert _backend.joined().workers == 1


@pytest.mark.parametrize(
    ("devices", "start"),
    [("gpu", "devices='gpu'"), ("CPU:0", "devices='CPU:0'"), ([], "devices=[]"), (["CPU:1"], "devices=['CPU:1']")],
)
def test_devices_that_are_not_there_are_refused(devices, start):
    classifier = ImageClassifier("small_cnn", devices=devices)
    with pytest.raises(ConfigurationError) as refusal:
        classifier.fit(Dataset.builtin("digits")[:40], verbose=0)
    assert str(refusal.value) == (
        f"{start} is not accepted. Accepted: 'auto', 'cpu', 'gpu', or a list of different ones of CPU:0, which are what "
        "TensorFlow sees."
    )


def test_a_chief_comes_before_workers():
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for task, index in ((("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)):
        config = {"cluster": cluster, "task": dict(zip(("type", "index"), task, strict=True))}
        assert _strategy._members(json.dumps(config)) == (("a:1", "b:1", "c:1"), index)


@pytest.mark.parametrize("config", ["{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'])
def test_a_worker_alone_trains_as_without_others(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    assert trainer.choose_devices() == (["CPU:0"], "there is no GPU")


@pytest.mark.parametrize(
    "config",
    [
        "worker 0",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_variable_that_says_nothing_is_refused(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ConfigurationError) as refusal:
        trainer.choose_devices()
    assert str(refusal.value) == (
        f"TF_CONFIG={config!r} is not understood. Accepted: "
        '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, with the index of this '
        "process. Correct it, or unset it to train alone."
    )


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("Collective ops is aborted by: /job:worker/replica:0/task:2 is down", "worker 2"),
        ("Error reported from /job:worker/task:1: unhealthy: /job:worker/replica:0/task:0", "worker 1"),
        ("Collective ops is aborted by: Socket closed", "another worker"),
    ],
)
def test_a_lost_worker_is_named(words, lost):
    import tensorflow as tf

    placement = _backend.Placement(strategy=tf.distribute.get_strategy(), worker=0, workers=3)
    trace = f"Graph execution error:\n\nDetected at node X\n\n{words}\nThe error could be from a previous operation."
    with pytest.raises(TrainingError) as stop, placement.watched():
        raise tf.errors.UnavailableError(None, None, trace)
    assert str(stop.value) == (
        f"{lost} of 3 is lost, and worker 0 cannot go on without it. Start all workers again; with checkpoint=, they go "
        f"on from the newest checkpoint. What TensorFlow noticed: {words}"
    )
