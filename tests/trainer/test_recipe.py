"""Automatic choices, class weights against scikit-learn, objectives, history, progress."""

import io

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from imgcls import ConfigurationError, Dataset, DataWarning, History, ImageClassifier, _progress, trainer


def test_balanced_class_weights_are_those_of_scikit_learn():
    labels = np.random.default_rng(0).integers(0, 4, 200) ** 2 % 4
    expected = compute_sample_weight("balanced", labels)
    np.testing.assert_allclose(trainer.class_weights("balanced", labels, ("a", "b", "c", "d")), expected, rtol=1e-6)


def test_class_weights_by_name():
    weights = trainer.class_weights({"dog": 5}, np.array([0, 1, 1]), ("cat", "dog"))
    assert weights.tolist() == [1.0, 5.0, 5.0]


def test_a_weight_of_a_class_that_no_image_is_of_is_passed_over_as_in_scikit_learn():
    labels, given = np.array(["cat", "dog", "dog"]), {"cat": 2.0, "dog": 5.0, "dogs": 50.0}
    expected = compute_sample_weight(given, labels)
    with pytest.warns(DataWarning) as caught:
        weights = trainer.class_weights(given, np.array([0, 1, 1]), ("cat", "dog"))
    np.testing.assert_array_equal(weights, expected)
    assert [str(one.message) for one in caught] == [
        "class_weight names 'dogs', and no image here is of such a class: that is passed over. The classes are 'cat', 'dog'."
    ]
    alone = (
        ({"mouse": 50.0}, ("cat", "dog")),
        ({10: 50.0}, (0, 1)),
        ({"10": 50.0}, ("0", "1")),
        ({"grade_3": 50.0}, ("grade_1", "grade_2")),
    )
    for rare, classes in alone:
        with pytest.warns(DataWarning, match=f"^class_weight names {next(iter(rare))!r}, and no image here "):
            assert trainer.class_weights(rare, np.array([0, 1, 1]), classes).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "classes", "meant"),
    [
        ({"dgo": 5.0}, ("cat", "dog"), "dog"),
        ({"cat": 2.0, "Dog": 5.0}, ("cat", "dog"), "dog"),
        ({"1": 5.0}, (0, 1), "1"),
    ],
)
def test_a_name_that_is_like_that_of_a_class_without_a_weight_is_refused_as_misspelt(given, classes, meant):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.class_weights(given, np.array([0, 1, 1]), classes)
    assert str(refusal.value) == (
        f"class_weight={given!r} names an unknown class or a weight that is no number of at least 0. Did you mean "
        f"{meant!r}? Accepted: {{class: weight}} with classes among {', '.join(map(repr, classes))}."
    )


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "2", None, True])
def test_a_class_weight_is_a_finite_number_from_0(weight):
    with pytest.raises(ConfigurationError, match=r"a weight that is no number of at least 0\. Accepted: "):
        trainer.class_weights({"dog": weight}, np.array([0, 1, 1]), ("cat", "dog"))


def test_class_weights_need_one_label_an_image():
    with pytest.raises(ConfigurationError, match=r"^class_weight needs one label an image, .* Use sample_weight\.$"):
        trainer.class_weights("balanced", np.eye(2, dtype=np.uint8), ("cat", "dog"))


@pytest.mark.parametrize("images", [50, 5_000, 500_000])
@pytest.mark.parametrize("frozen", [True, False])
def test_every_automatic_choice_has_a_reason(images, frozen):
    chosen = trainer.recipe(images=images, image_size=(64, 64), frozen=frozen, validated=True)
    assert set(chosen) == {"batch_size", "epochs", "optimizer", "learning_rate", "patience"}
    assert all(choice.reason for choice in chosen.values())
    assert 5 <= chosen["epochs"].value <= 40


def test_patience_follows_the_epochs_that_are_given():
    chosen = trainer.recipe(images=100, image_size=(8, 8), frozen=False, validated=True, epochs=100)
    assert chosen["patience"].value == 25


@pytest.mark.parametrize(
    ("epochs", "plateau", "patience", "least"),
    [(15, 3, 6, 6), (5, 3, 6, 6), (40, 3, 10, 6), (40, 10, 20, 20), (5, 1, 3, 3)],
)
def test_patience_outlasts_the_epochs_after_which_a_plateau_lowers_the_rate(epochs, plateau, patience, least):
    given = {"images": 100, "image_size": (8, 8), "frozen": False, "validated": True, "epochs": epochs}
    reason = f"a quarter of the epochs, at least {least}, without a better val_loss: the rate falls after {plateau}"
    assert trainer.recipe(**given, plateau=plateau)["patience"] == (patience, reason)


def test_a_plateau_is_one_of_the_schedule_or_of_a_callback():
    digits = Dataset.builtin("digits")[:20]

    def patience(*callbacks, **options):
        classifier = ImageClassifier("small_cnn", image_size=8, epochs=15, **options)
        return trainer.plan(classifier.get_params(), digits, digits, callbacks=callbacks).choices["patience"].value

    watcher = keras.callbacks.ReduceLROnPlateau
    assert patience() == 3
    assert patience(schedule="plateau") == 6
    assert patience(watcher(), keras.callbacks.TerminateOnNaN(), learning_rate=0.01) == 20  # Keras waits for 10
    assert patience(watcher(monitor="loss"), learning_rate=0.01) == 3


def test_a_keras_optimizer_has_a_rate_of_its_own():
    digits = Dataset.builtin("digits")[:20]
    for optimizer, reason in (
        (keras.optimizers.SGD(1e-4), "your own optimizer brings its own"),
        ("sgd", "the usual peak of the optimizer: none to tune"),
    ):
        classifier = ImageClassifier("small_cnn", image_size=8, optimizer=optimizer)
        assert trainer.plan(classifier.get_params(), digits, None).choices["learning_rate"] == ("auto", reason)


@pytest.mark.parametrize(
    ("loss", "multi_label", "classes", "head", "outputs", "targets"),
    [
        ("auto", False, 3, "softmax", 3, [[0, 0, 1]]),
        ("sparse_categorical_crossentropy", False, 3, "softmax", 3, [2]),
        ("auto", True, 3, "sigmoid", 3, None),
        (keras.losses.BinaryFocalCrossentropy(), True, 3, "sigmoid", 3, None),
        (keras.losses.BinaryCrossentropy(), False, 2, "sigmoid", 1, None),
    ],
)
def test_head_and_targets_follow_loss_and_labels(loss, multi_label, classes, head, outputs, targets):
    goal = trainer.objective(loss, num_classes=classes, multi_label=multi_label)
    assert (goal.head, goal.outputs) == (head, outputs)
    if targets is not None:
        assert goal.targets(np.array([2])).tolist() == targets
    labels = np.array([[1, 0, 1]]) if multi_label else np.array([1])
    assert goal.targets(labels).shape[1:] == goal.spec()[0]
    assert goal.targets(labels).dtype == goal.spec()[1]


@pytest.mark.parametrize(
    ("loss", "multi_label", "message"),
    [
        (
            "binary_crossentropy",
            False,
            (
                "loss='binary_crossentropy' needs two classes or several labels an image, and the data have 3 classes with "
                "one label an image. Use loss='auto'."
            ),
        ),
        (
            "categorical_crossentropy",
            True,
            "loss='categorical_crossentropy' needs one label an image, and these images have several. Use loss='auto'.",
        ),
    ],
)
def test_losses_that_do_not_fit_are_refused(loss, multi_label, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.objective(loss, num_classes=3, multi_label=multi_label)
    assert str(refusal.value) == message


def test_history_is_a_mapping_a_frame_and_a_picture():
    history = History({"loss": [1.0, 0.5], "accuracy": [0.5, 0.75]}, seconds=3.4, best_epoch=2)
    history.append({"loss": 0.25, "accuracy": 1.0})
    assert dict(history) == {"loss": [1.0, 0.5, 0.25], "accuracy": [0.5, 0.75, 1.0]}
    assert history.to_frame().loc[3, "loss"] == 0.25
    assert repr(history) == "History(3 epochs in 3 s; last: loss 0.25  accuracy 1)"
    loss, accuracy = history.plot()
    assert loss.lines[0].get_ydata().tolist() == [1.0, 0.5, 0.25]
    assert accuracy.get_ylabel() == "accuracy"


@pytest.mark.parametrize(("verbose", "expected"), [(0, ""), (2, "epoch 1/1 [ok]\n"), ("auto", "epoch 1/1 [ok]\n")])
def test_progress_in_a_log_is_plain_lines(monkeypatch, verbose, expected):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with _progress.ProgressReport(verbose) as progress:
        progress.begin("reading", 3)
        progress.done(3)
        progress.say("epoch 1/1 [ok]")
    assert stream.getvalue() == expected


def test_a_bar_is_drawn_where_asked_for(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with _progress.ProgressReport(1) as progress:
        progress.begin("reading images", 3)
        progress.done(3)
        progress.begin("epoch 1/1", 2)
        progress.done(2)
    assert "epoch 1/1" in stream.getvalue()
