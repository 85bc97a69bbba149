"""Keras metrics of the user's own, against scikit-learn on what the trained model answers."""

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score, top_k_accuracy_score

from imgcls import ConfigurationError, Dataset, ImageClassifier, architectures, trainer


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:240]


def new_model():
    return architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)


def test_metrics_are_those_of_scikit_learn_and_callbacks_find_them(digits):
    held_out, model, seen = digits[160:], new_model(), []
    metrics = [
        keras.metrics.F1Score(average="macro", name="f1"),
        keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3"),
        keras.metrics.AUC(num_thresholds=20_000, name="auc"),
        "accuracy",  # is measured anyway
    ]
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_f1"]))
    history = trainer.train(
        model, digits[:160], validation_data=held_out, epochs=2, metrics=metrics, callbacks=[watch], verbose=0
    )
    assert [name for name in history if name.startswith("val_")] == [
        "val_loss",
        "val_accuracy",
        "val_f1",
        "val_top_3",
        "val_auc",
    ]
    outputs = np.asarray(model(np.stack([sample.image for sample in held_out]), training=False))
    labels = np.asarray(held_out.labels)
    f1 = f1_score(labels, outputs.argmax(axis=1), average="macro")
    assert history["val_f1"][-1] == pytest.approx(f1, rel=1e-5)
    assert seen == history["val_f1"]
    assert history["val_top_3"][-1] == pytest.approx(top_k_accuracy_score(labels, outputs, k=3), rel=1e-6)
    pooled = roc_auc_score(np.eye(10)[labels].ravel(), outputs.ravel())  # Keras' AUC of all classes together
    assert history["val_auc"][-1] == pytest.approx(pooled, abs=1e-3)


@pytest.mark.parametrize("metric", ["AUC", keras.metrics.AUC(name="auc")])
def test_one_alone_is_a_list_of_one(digits, metric):
    history = trainer.train(
        new_model(), digits[:160], validation_data=digits[160:], epochs=1, metrics=metric, verbose=0
    )
    assert len(history["val_auc"]) == 1


def test_a_solved_head_is_measured_too(digits):
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, fine_tune=False)
    learnt = trainer.transfer(
        model,
        digits[:160],
        validation_data=digits[160:],
        fine_tune=False,
        engine="tensorflow",
        metrics=["AUC"],
        verbose=0,
    )
    pooled = roc_auc_score(np.eye(10)[np.asarray(digits.labels[160:])].ravel(), learnt.validated.ravel())
    assert learnt.history["val_auc"][0] == pytest.approx(pooled, abs=0.01)  # of 200 thresholds


def test_several_labels_an_image(digits):
    labels = np.stack([digits.labels % 2 == 0, digits.labels > 4], axis=1)
    images = np.stack([sample.image for sample in digits])
    data = Dataset.from_arrays(images, labels, classes=["even", "large"])
    metric = keras.metrics.BinaryAccuracy(threshold=0.5, name="binary")
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
    classifier.fit(data[:160], validation_data=data[160:], metrics=[metric], verbose=0)
    assert classifier.history_["val_binary"] == pytest.approx(classifier.history_["val_accuracy"], rel=1e-6)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (
            ["AUK"],
            r"^metric 'AUK' is not known\. Did you mean 'AUC'\? Accepted: Keras metrics, such as keras\.metrics\.AUC\(\)",
        ),
        ([3], r"^metric 3 is not known\. Accepted: Keras metrics"),
        (
            [keras.metrics.F1Score(average=None, name="f1")],
            r"^metric 'f1' does not go with these labels: .*one number, such as F1Score\(average='macro'\)\.$",
        ),
        (
            [keras.metrics.AUC(name="a"), keras.metrics.Precision(name="a")],
            r"^two metrics are called 'a'\. Give one of them another name=; loss and accuracy are taken\.$",
        ),
        ([keras.metrics.Mean(name="loss")], r"^two metrics are called 'loss'"),
    ],
)
def test_refusals_come_before_training(digits, metrics, words):
    with pytest.raises(ConfigurationError, match=words):
        trainer.train(new_model(), digits, validation_data=digits[:40], metrics=metrics, verbose=0)


def test_metrics_need_images_to_measure_on(digits):
    with pytest.raises(
        ConfigurationError, match=r"^metrics are measured on validation_data\. Give it, or no metrics\.$"
    ):
        trainer.train(new_model(), digits, metrics=["AUC"], verbose=0)
