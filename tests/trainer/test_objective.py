"""Smoothing, mixing and focal losses against scikit-learn, Keras' own smoothing and numbers computed by hand."""

import tracemalloc

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from imgcls import ConfigurationError, trainer
from imgcls.trainer import _metrics

GENERATOR = np.random.default_rng(0)
CODES = np.array([2, 0, 1, 1, 2])
PROBABILITIES = GENERATOR.dirichlet(np.ones(3), 5).astype(np.float32)
EVENLY = np.ones(5, np.float32)


def value(goal, labels, outputs, weights=EVENLY):
    return float(goal(goal.targets(labels), outputs, weights))


def smooth_truth(labels, outputs, smoothing):
    """Return the cross-entropy of smoothed targets as a mean of K log losses: of the label, and of each class."""
    classes = range(outputs.shape[1])
    own = log_loss(labels, outputs, labels=list(classes))
    each = [log_loss(np.full(len(labels), code), outputs, labels=list(classes)) for code in classes]
    return (1 - smoothing) * own + smoothing * np.mean(each)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(
    "loss",
    [
        "auto",
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        keras.losses.CategoricalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}},
    ],
)
def test_smoothed_cross_entropies_are_those_of_scikit_learn(loss, smoothing):
    goal = trainer.objective(loss, num_classes=3, multi_label=False, label_smoothing=smoothing)
    assert value(goal, CODES, PROBABILITIES) == pytest.approx(smooth_truth(CODES, PROBABILITIES, smoothing), rel=1e-5)
    assert value(goal.plain, CODES, PROBABILITIES) == pytest.approx(
        log_loss(CODES, PROBABILITIES, labels=[0, 1, 2]), rel=1e-5
    )


def test_smoothing_weighs_images_like_the_loss_without_it():
    weights = np.array([0, 1, 2, 0, 0.5], np.float32)
    goal = trainer.objective(num_classes=3, multi_label=False, label_smoothing=0.2)
    one_by_one = [
        weight * value(goal, CODES[[row]], PROBABILITIES[[row]], EVENLY[:1]) for row, weight in enumerate(weights)
    ]
    assert value(goal, CODES, PROBABILITIES, weights) == pytest.approx(np.mean(one_by_one), rel=1e-5)


@pytest.mark.parametrize("multi_label", [True, False])
def test_smoothed_sigmoids_are_those_of_keras(multi_label):
    outputs = GENERATOR.uniform(0.05, 0.95, (4, 2 if multi_label else 1)).astype(np.float32)
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]]) if multi_label else np.array([1, 0, 0, 1])
    goal = trainer.objective("binary_crossentropy", num_classes=2, multi_label=multi_label, label_smoothing=0.2)
    theirs = keras.losses.BinaryCrossentropy(label_smoothing=0.2)(labels.reshape(outputs.shape), outputs)
    assert value(goal, labels, outputs, EVENLY[:4]) == pytest.approx(float(theirs), rel=1e-6)
    assert value(goal.plain, labels, outputs, EVENLY[:4]) != pytest.approx(float(theirs), rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.CategoricalCrossentropy(label_smoothing=0.3),
        keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.3),
    ],
)
def test_smoothing_that_a_keras_loss_brings_along_counts_in_training_only(loss):
    goal = trainer.objective(loss, num_classes=3, multi_label=False)
    assert goal.label_smoothing == 0.3
    assert value(goal, CODES, PROBABILITIES) == pytest.approx(float(loss(np.eye(3)[CODES], PROBABILITIES)), rel=1e-6)
    plain = type(loss)()(np.eye(3)[CODES], PROBABILITIES)
    assert value(goal.plain, CODES, PROBABILITIES) == pytest.approx(float(plain), rel=1e-6)


def test_other_losses_are_smoothed_too():
    goal = trainer.objective("mean_squared_error", num_classes=2, multi_label=False, label_smoothing=0.2)
    outputs = np.array([[0.9, 0.1]], np.float32)
    assert value(goal, np.array([0]), outputs, EVENLY[:1]) == pytest.approx(0, abs=1e-12)  # [1, 0] became [0.9, 0.1]


def my_crossentropy(targets, outputs):
    return keras.losses.categorical_crossentropy(targets, outputs) + keras.ops.max(outputs, axis=-1)


class MyCategoricalCrossentropy(keras.losses.CategoricalCrossentropy):
    """Has another idea of what a mistake costs."""

    def call(self, y_true, y_pred):
        return 3 * super().call(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "classes", "expected"),
    [
        ("auto", 3, True),
        ("categorical_crossentropy", 3, True),
        ("CategoricalCrossentropy", 3, True),
        ("sparse_categorical_crossentropy", 3, True),
        ("binary_crossentropy", 2, True),
        (keras.losses.categorical_crossentropy, 3, True),
        (keras.losses.CategoricalCrossentropy(name="mine", label_smoothing=0.1), 3, True),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, True),
        (keras.losses.BinaryCrossentropy(), 2, True),
        (my_crossentropy, 3, False),
        (MyCategoricalCrossentropy(), 3, False),
        (keras.losses.CategoricalGeneralizedCrossEntropy(), 3, False),
        (keras.losses.SparseCategoricalCrossentropy(ignore_class=0), 3, False),
        ("focal", 3, False),
        ("mean_squared_error", 3, False),
    ],
)
def test_a_cross_entropy_is_known_by_what_it_is_and_not_by_its_name(loss, classes, expected):
    assert trainer.objective(loss, num_classes=classes, multi_label=False).is_cross_entropy is expected


@pytest.mark.parametrize("loss", ["auto", "binary_crossentropy", keras.losses.BinaryCrossentropy(name="mine")])
def test_the_cross_entropy_of_several_labels_is_one(loss):
    assert trainer.objective(loss, num_classes=3, multi_label=True).is_cross_entropy


@pytest.mark.parametrize(
    "loss", ["bce", "BCE", "BinaryCrossentropy", keras.losses.binary_crossentropy, keras.losses.BinaryCrossentropy]
)
def test_a_binary_loss_by_any_name_is_one_sigmoid(loss):
    goal = trainer.objective(loss, num_classes=2, multi_label=False)
    assert (goal.head, goal.outputs, goal.reason) == ("sigmoid", 1, "a binary loss was asked for")
    labels, outputs = np.array([1, 0, 1]), np.array([[0.9], [0.4], [0.7]], np.float32)
    assert value(goal, labels, outputs, EVENLY[:3]) == pytest.approx(log_loss(labels, outputs[:, 0]), rel=1e-5)
    with pytest.raises(ConfigurationError, match="needs two classes or several labels an image, and the data have 3"):
        trainer.objective(loss, num_classes=3, multi_label=False)


def test_a_loss_of_codes_with_a_name_of_its_own_gets_codes():
    goal = trainer.objective(keras.losses.SparseCategoricalCrossentropy(name="mine"), num_classes=3, multi_label=False)
    assert goal.spec() == ((), "int64")
    truth = log_loss(CODES, PROBABILITIES, labels=[0, 1, 2])
    assert value(goal, CODES, PROBABILITIES) == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda targets, outputs: keras.ops.square(targets - outputs),
        lambda targets, outputs: keras.ops.square(targets - outputs)[:, None, :],
    ],
)
def test_a_loss_that_gives_several_numbers_an_image_counts_by_their_mean(loss):
    weights = np.array([0, 1, 2, 0, 0.5], np.float32)
    goal = trainer.objective(loss, num_classes=3, multi_label=False)
    by_hand = ((np.eye(3)[CODES] - PROBABILITIES) ** 2).mean(axis=1)
    assert value(goal, CODES, PROBABILITIES, weights) == pytest.approx((by_hand * weights).mean(), rel=1e-5)


def test_mixed_targets_are_smoothed_like_single_ones():
    goal = trainer.objective(num_classes=3, multi_label=False, label_smoothing=0.1)
    one, other = np.eye(3, dtype=np.float32)[CODES], np.eye(3, dtype=np.float32)[CODES[::-1]]
    mixed = float(goal(0.3 * one + 0.7 * other, PROBABILITIES, EVENLY))
    apart = [smooth_truth(codes, PROBABILITIES, 0.1) for codes in (CODES, CODES[::-1])]
    assert mixed == pytest.approx(0.3 * apart[0] + 0.7 * apart[1], rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "options", "shape", "dtype", "reason"),
    [
        ("auto", {}, (3,), "float32", "each image has one label"),
        ("sparse_categorical_crossentropy", {}, (), "int64", "this loss was asked for"),
        (
            "sparse_categorical_crossentropy",
            {"one_hot": True},
            (3,),
            "float32",
            "this loss was asked for, here of one-hot targets, which mixing and smoothing need",
        ),
        (
            keras.losses.SparseCategoricalCrossentropy(reduction="mean"),
            {"label_smoothing": 0.1},
            (3,),
            "float32",
            "this loss was asked for, here of one-hot targets, which mixing and smoothing need",
        ),
    ],
)
def test_mixing_and_smoothing_make_targets_one_hot(loss, options, shape, dtype, reason):
    goal = trainer.objective(loss, num_classes=3, multi_label=False, **options)
    assert goal.spec() == (shape, dtype)
    assert goal.targets(CODES).shape[1:] == shape
    assert goal.reason == reason
    assert getattr(goal.loss, "reduction", None) == getattr(loss, "reduction", None)


def test_one_hot_targets_of_very_many_classes_take_no_row_for_each_class():
    """A matrix with a row for each of 20,000 classes has 3 GB, and was made for every batch."""
    goal = trainer.objective(num_classes=20_000, multi_label=False)
    labels = np.array([3, 19_999])
    outputs = np.full((2, 20_000), 1 / 20_000, np.float32)
    tracemalloc.start()
    targets = goal.targets(labels)
    measured = _metrics.measured([keras.metrics.TopKCategoricalAccuracy(4, name="top")], goal, targets, outputs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
    assert (targets.dtype, targets.shape) == (np.float32, (2, 20_000))
    assert list(zip(*np.nonzero(targets), strict=True)) == [(0, 3), (1, 19_999)]
    assert set(measured) == {"val_top"}


def test_focal_loss_of_one_label_is_the_formula_of_its_authors():
    goal = trainer.objective("focal", num_classes=3, multi_label=False)
    right = PROBABILITIES[np.arange(5), CODES].astype(float)
    assert value(goal, CODES, PROBABILITIES) == pytest.approx(np.mean(-((1 - right) ** 2) * np.log(right)), rel=1e-5)
    assert (goal.head, goal.outputs, goal.sparse) == ("softmax", 3, False)


def test_focal_loss_of_several_labels_is_the_formula_of_its_authors():
    labels = np.array([[1, 0, 1], [0, 0, 1]])
    outputs = np.array([[0.9, 0.2, 0.4], [0.5, 0.1, 0.8]], np.float32)
    right = np.where(labels == 1, outputs, 1 - outputs)
    goal = trainer.objective("focal", num_classes=3, multi_label=True)
    assert value(goal, labels, outputs, EVENLY[:2]) == pytest.approx(
        np.mean(-((1 - right) ** 2) * np.log(right)), rel=1e-5
    )
    assert (goal.head, goal.outputs) == ("sigmoid", 3)


def test_a_loss_of_codes_that_is_not_called_sparse_gets_codes():
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
    goal = trainer.objective(loss, num_classes=3, multi_label=False)
    right = PROBABILITIES[np.arange(5), CODES]
    assert value(goal, CODES, PROBABILITIES) == pytest.approx(np.mean((1 - right**0.5) / 0.5), rel=1e-5)


ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=1)


def sparse_loss(targets, outputs):
    return keras.losses.sparse_categorical_crossentropy(targets, outputs)


class Costs(keras.losses.Loss):
    """Knows what it is only with an argument."""

    def __init__(self, table):
        super().__init__()
        self.table = table


def test_a_class_that_asks_for_arguments_is_refused_in_words():
    with pytest.raises(ConfigurationError) as refusal:
        trainer.objective(Costs, num_classes=3, multi_label=False)
    assert str(refusal.value) == (
        f"loss={Costs!r} cannot be made: Costs.__init__() missing 1 required positional argument: 'table'. Accepted: a "
        "Keras loss that is made already, or the name of one, such as 'categorical_crossentropy'."
    )
    settings = {"class_name": "CategoricalCrossentropy", "config": {"smoothing": 0.1}}
    with pytest.raises(ConfigurationError, match=r"^loss=\{.*\} cannot be made: .* argument 'smoothing'\. Accepted: "):
        trainer.objective(settings, num_classes=3, multi_label=False)
    with pytest.raises(ConfigurationError, match=r"^loss=\{'class_name': 'Nowhere'\} is not known\. Accepted: "):
        trainer.objective({"class_name": "Nowhere"}, num_classes=3, multi_label=False)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (
            sparse_loss,
            {"one_hot": True},
            f"loss={sparse_loss!r} takes integer codes, and mixing and smoothing need one-hot targets. Use loss='auto'.",
        ),
        (
            ignoring,
            {"label_smoothing": 0.1},
            f"loss={ignoring!r} takes integer codes, and mixing and smoothing need one-hot targets. Use loss='auto'.",
        ),
        (
            keras.losses.CategoricalCrossentropy(label_smoothing=0.2),
            {"label_smoothing": 0.1},
            "label_smoothing=0.1 and the 0.2 of your loss are two. Leave one out.",
        ),
        (
            "auto",
            {"label_smoothing": 1},
            "label_smoothing=1 is not accepted. Accepted: a number from 0 to below 1.",
        ),
        (
            "fokal",
            {},
            "loss='fokal' is not known. Did you mean 'focal'? Accepted: auto, categorical_crossentropy, sparse_categorical_crossentropy, binary_crossentropy, focal, or any Keras loss or its name.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(loss, options, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.objective(loss, num_classes=3, multi_label=False, **options)
    assert str(refusal.value) == message
