"""What is trained and what is delivered: mixed precision, and mirror images averaged."""

import signal

import keras
import numpy as np
import pytest
from scipy.special import softmax

from imgcls import ConfigurationError, Dataset, ImageClassifier, _backend, architectures, trainer


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:600]


def backbone_computes_in(model):
    return {layer.compute_dtype for layer in model.get_layer("backbone").layers}


def test_only_the_backbone_computes_in_bfloat16_and_weights_are_float32():
    model = architectures.build(
        "small_cnn", input_shape=(8, 8, 1), num_classes=10, precision="mixed_bfloat16", mean=[80.0], std=[70.0]
    )
    assert backbone_computes_in(model) == {"bfloat16"}
    assert {layer.compute_dtype for layer in model.layers if layer.name != "backbone"} == {"float32"}
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert model(np.zeros((2, 8, 8, 1))).dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"  # of the rest of the process


@pytest.mark.slow
def test_what_is_kept_computes_in_float32_and_is_what_is_loaded(digits, tmp_path):
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=6, precision="mixed_bfloat16")
    classifier.fit(digits, verbose=0)
    assert backbone_computes_in(classifier.model_) == {"float32"}
    assert classifier.score(digits) > 0.8
    loaded = ImageClassifier.load(classifier.save(tmp_path / "a.imgcls"))
    np.testing.assert_array_equal(loaded.predict_proba(digits), classifier.predict_proba(digits))


def test_an_image_and_its_mirror_image_are_averaged_in_use_and_not_in_training(digits, tmp_path):
    plain, both = (
        ImageClassifier("small_cnn", image_size=8, epochs=2, test_time_augmentation=kind).fit(digits, verbose=0)
        for kind in (None, "flip")
    )
    for one, other in zip(plain.model_.get_weights(), both.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images = np.stack([digits.read(index) for index in range(50)])
    one_way, mirrored = (np.log(plain.predict_proba(seen)) for seen in (images, images[:, :, ::-1].copy()))
    expected = softmax((one_way + mirrored) / 2, axis=1)  # the mean of features is that of scores
    np.testing.assert_allclose(both.predict_proba(images), expected, atol=1e-6)
    assert np.abs(expected - plain.predict_proba(images)).max() > 0.01
    loaded = ImageClassifier.load(both.save(tmp_path / "both.imgcls"))
    np.testing.assert_array_equal(loaded.predict_proba(images), both.predict_proba(images))
    with pytest.raises(ConfigurationError, match="test_time_augmentation='flop' is not known"):
        ImageClassifier(test_time_augmentation="flop").fit(digits, verbose=0)


def with_gpus(monkeypatch, *, bfloat16):
    """As where there are GPUs that are quicker with bfloat16, or are not."""
    found = _backend.devices() | {"GPUs": ["GPU:0", "GPU:1"]}
    monkeypatch.setattr(_backend, "devices", lambda: found)
    monkeypatch.setattr(_backend, "gpus_with_bfloat16", lambda: bfloat16)


@pytest.mark.parametrize(("prefers", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_the_gpu_decides(digits, monkeypatch, prefers, expected):
    with_gpus(monkeypatch, bfloat16=prefers)
    monkeypatch.setattr(_backend, "processor_with_bfloat16", lambda: not prefers)
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
    assert classifier.choices_["precision"].value == expected


@pytest.mark.parametrize(
    ("architecture", "has", "expected"),
    [("small_resnet", True, "mixed_bfloat16"), ("small_resnet", False, "float32"), ("small_cnn", True, "float32")],
)
def test_without_a_gpu_the_processor_and_the_network_decide(digits, monkeypatch, architecture, has, expected):
    monkeypatch.setattr(_backend, "processor_with_bfloat16", lambda: has)
    arguments = ImageClassifier(architecture, image_size=8).get_params()
    chosen = trainer.plan(arguments, digits, None).choices["precision"]
    assert chosen.value == expected
    assert chosen.reason == (
        "this processor is quicker with it; weights stay float32, and so does what is saved"
        if expected == "mixed_bfloat16"
        else "no device in use is known to train this network quicker in bfloat16"
    )


def test_a_processor_has_bfloat16_where_linux_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    told = tmp_path / "cpuinfo"
    assert not _backend.processor_with_bfloat16(told)  # another system, which has no such file
    told.write_text("model name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx512_vnni avx512_bf16x\n")
    assert not _backend.processor_with_bfloat16(told)
    told.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx512_bf16 sse4_2\n")
    assert _backend.processor_with_bfloat16(told)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not _backend.processor_with_bfloat16(told)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("auto", "mixed_bfloat16"),
        ("gpu", "mixed_bfloat16"),
        (["GPU:0", "GPU:1"], "mixed_bfloat16"),
        ("cpu", "float32"),
        (["cpu:0"], "float32"),
        (["CPU:0", "GPU:0"], "float32"),
    ],
)
def test_a_gpu_that_does_not_train_has_no_say(digits, monkeypatch, devices, expected):
    with_gpus(monkeypatch, bfloat16=True)
    arguments = ImageClassifier("small_cnn", image_size=8, devices=devices).get_params()
    chosen = trainer.plan(arguments, digits, None).choices["precision"]
    assert chosen.value == expected
    if expected == "float32":
        assert chosen.reason == "no device in use is known to train this network quicker in bfloat16"


def test_a_run_that_goes_on_on_another_device_computes_as_it_began(digits, tmp_path, monkeypatch):
    """As in a cloud, where the next session may get another machine: the same lines go on."""

    def stop(epoch, logs):
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    def run(**options):
        classifier = ImageClassifier("small_cnn", image_size=8, epochs=3)
        return classifier.fit(digits, checkpoint=tmp_path / "run", verbose=0, **options)

    with_gpus(monkeypatch, bfloat16=True)
    with pytest.raises(KeyboardInterrupt):
        run(callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=stop)])
    with_gpus(monkeypatch, bfloat16=False)
    resumed = run()
    assert resumed.choices_["precision"].value == "mixed_bfloat16"
    assert resumed.history_.epochs == 3


def test_without_a_gpu_none_has_bfloat16():
    assert not _backend.gpus_with_bfloat16()


def test_a_model_of_ones_own_says_itself_in_what_it_computes(digits):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    with pytest.raises(ConfigurationError) as refusal:
        ImageClassifier(model, epochs=1, precision="mixed_bfloat16").fit(digits, verbose=0)
    assert str(refusal.value) == (
        "precision='mixed_bfloat16' goes with a named architecture. Give your own model a dtype policy instead."
    )
