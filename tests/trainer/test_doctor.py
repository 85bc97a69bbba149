"""Each complaint is made where it is true, once, and not where training is sound."""

import keras
import numpy as np
import pytest

from imgcls import Dataset, ImageClassifier, _backend, architectures, trainer
from imgcls.trainer import _doctor
from imgcls.trainer._doctor import Vitals, complaints, guessing_loss

CLASSES = ("cat", "dog", "bird", "fish")
SOUND = {
    "classes": CLASSES,
    "losses": [1.1, 0.8, 0.6],
    "guessing": np.log(4),
    "evenly": np.log(4),
    "accuracy": 0.8,
    "commonest": 0.25,
    "predicted": np.array([10, 9, 11, 10]),
    "held": np.array([10, 10, 10, 10]),
    "modes": (0.9, 0.85),
    "waited": 2.0,
    "seconds": 60.0,
}


def test_nothing_is_said_of_a_sound_run():
    assert complaints(Vitals(**SOUND)) == {}


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (
            {"losses": [3.0, 5.0]},
            "rate",
            "the loss is 5, worse than that of guessing (1.39): the learning rate is too high. Divide it by 10, or let lr_find suggest one",
        ),
        (
            {"losses": [5.0], "accuracy": 0.3},
            "rate",
            "the loss is 5, worse than that of guessing (1.39): the learning rate is too high. Divide it by 10, or let lr_find suggest one",
        ),
        (
            {"losses": [1.4, 1.39]},
            "stuck",
            "after 2 epochs the loss is still 1.390, and guessing has ln(4) = 1.386: nothing is learnt. Look whether labels belong to their images; then try another learning_rate",
        ),
        (
            {"losses": [0.335, 0.33], "guessing": 0.33},
            "stuck",
            "after 2 epochs the loss is still 0.330, and guessing has 0.330: nothing is learnt. Look whether labels belong to their images; then try another learning_rate",
        ),
        (
            {"predicted": np.array([0, 40, 0, 0])},
            "one class",
            "100% of the validation images are called 'dog', and 25% are: the accuracy is that of a constant answer. Train longer, or with class_weight='balanced'",
        ),
        (
            {"modes": (0.9, 0.4)},
            "modes",
            "on one batch the model is right for 90% of the images in training mode and for 40% in use: the running statistics of BatchNormalization lag behind. Give it more steps, larger batches, or freeze it",
        ),
        (
            {"waited": 30.0},
            "waiting",
            "the model waited for images 50% of the time: reading them is slower than learning from them. Free memory or disk, so that decoded images can be kept, or make the files smaller",
        ),
        (
            {"scaled_twice": True},
            "scaled twice",
            "pixels are scaled twice: by normalization, and once more inside your own model. Give normalization=None, so that your model gets pixels 0-255",
        ),
        (
            {"misfed": architectures.Misfed(architectures.describe("resnet50"), (None,))},
            "misfed",
            "your model contains ResNet50 with weights that were trained on pixels in BGR, with the mean of ImageNet taken out, and it gets others. Give normalization=None, or architecture='resnet50', which brings its scaling along",
        ),
        (
            {"misfed": architectures.Misfed(architectures.describe("efficientnet_b0"), ())},
            "misfed",
            "your model contains EfficientNetB0 with weights that were trained on pixels from 0 to 255, and it gets others. Give architecture='efficientnet_b0', which brings its scaling along",
        ),
        (
            {"scaled_twice": True, "misfed": architectures.Misfed(architectures.describe("resnet50"), (None,))},
            "scaled twice",
            "pixels are scaled twice: by normalization, and once more inside your own model. Give normalization=None, so that your model gets pixels 0-255",
        ),
        (
            {"val_loss": np.nan},
            "validation",
            "val_loss is nan, and the loss is a number: such an epoch is never the best one. Look for a division by 0 or a logarithm of 0 in layers and in a loss of your own, and for numbers too large for float16",
        ),
    ],
)
def test_each_complaint_is_made_alone(change, name, words):
    assert complaints(Vitals(**{**SOUND, **change})) == {name: words}


@pytest.mark.parametrize(
    "change",
    [
        {"losses": [1.39]},  # one epoch says little
        {"losses": []},  # no cross-entropy
        {"losses": [90.0]},  # of pixels that nobody has scaled: answers are right
        {"losses": [90.0, 5.0]},
        {"losses": [1.5, 1.39]},  # it is falling
        # 180 images of one class and 9 of another, as the reviewer saw them: without weights, and "balanced"
        *(
            {"losses": [0.807, 0.281, 0.148, 0.122][:count], "guessing": 0.191, "evenly": 0.693}
            for count in (1, 2, 3, 4)
        ),
        *(
            {"losses": [0.754, 0.391, 0.284, 0.232][:count], "guessing": 0.693, "evenly": 0.693}
            for count in (1, 2, 3, 4)
        ),
        {"predicted": None, "held": None},
        {"predicted": np.array([0, 40, 0, 0]), "held": np.array([0, 40, 0, 0])},  # they are all dogs
        {"modes": None},
        {"modes": (0.4, 0.9)},  # dropout
        {"waited": 1.0, "seconds": 2.0},  # too short to say
    ],
)
def test_what_is_no_fault_is_not_said(change):
    assert complaints(Vitals(**{**SOUND, **change})) == {}


@pytest.mark.parametrize(
    ("commonest", "least"),  # by hand: 1.5 times as often right, or wrong two thirds as often, what comes first
    [(0.1, 0.15), (0.25, 0.375), (0.5, 2 / 3), (2 / 3, 7 / 9), (0.9, 14 / 15), (0.95, 29 / 30)],
)
def test_a_loss_above_guessing_is_no_fault_while_it_falls_and_a_constant_answer_is_beaten(commonest, least):
    """Also where one class has two thirds of the images and more, so that nobody can be right 1.5 times as often."""

    def said(losses, accuracy):
        return set(complaints(Vitals(**{**SOUND, "losses": losses, "commonest": commonest, "accuracy": accuracy})))

    for falling in ([90.0], [90.0, 5.0]):
        assert said(falling, least + 0.001) == set()
        assert said(falling, least - 0.001) == {"rate"}
    assert said([3.0, 5.0], least + 0.001) == {"rate"}  # it rises


def test_guessing_costs_the_entropy_of_the_classes():
    from scipy.stats import entropy

    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    assert guessing_loss(labels) == pytest.approx(entropy([0.7, 0.2, 0.1]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_guessing_costs_the_least_that_a_constant_answer_can(smoothing, weighted):
    """Found by descent, for weighted images and smoothed labels."""
    from scipy.optimize import minimize

    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    weights = np.random.default_rng(0).uniform(0, 3, 100) if weighted else np.ones(100)
    targets = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3

    def loss(logits):
        logarithms = logits - np.log(np.exp(logits).sum())
        return float(np.mean(weights * -(targets * logarithms).sum(axis=1)))

    found = guessing_loss(labels, weights, smoothing=smoothing, classes=3)
    assert found == pytest.approx(minimize(loss, np.zeros(3)).fun, rel=1e-5)


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:600]


def test_statistics_of_batch_normalization_that_lag_are_found_and_the_model_is_left_as_it_was(digits, monkeypatch):
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, mean=[80.0], std=[10.0])
    for layer in model.get_layer("backbone").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.99999  # they will not follow
    calls = []
    look = _doctor.Doctor._modes

    def watched(self):
        before = [np.array(one) for one in self._model.get_weights()]
        found = look(self)
        assert all((one == two).all() for one, two in zip(before, self._model.get_weights(), strict=True))
        calls.append(found)
        return found

    monkeypatch.setattr(_doctor.Doctor, "_modes", watched)
    history = trainer.train(model, digits, epochs=4, learning_rate=0.01, verbose=0)
    assert calls[-1][0] > calls[-1][1] + 0.2
    assert sum("BatchNormalization lag behind" in line for line in history.advice) == 1


def test_a_look_in_training_mode_that_fails_leaves_the_model_as_it_was(digits):
    """As where memory runs out behind the first normalisation."""

    class Failing(keras.layers.Layer):
        def call(self, images):
            raise MemoryError

        def compute_output_shape(self, shape):
            return shape

    stages = [keras.layers.BatchNormalization(momentum=0.5), Failing(), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stages])
    before = [np.array(one) for one in model.get_weights()]
    with pytest.raises(MemoryError):
        _backend.in_both_modes(model, np.stack([digits.read(index) for index in range(8)]))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rate_that_is_far_too_high_is_found_and_said_once(digits, capsys):
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    history = trainer.train(model, digits, optimizer="sgd", learning_rate=3.0, epochs=3, verbose=2)
    assert sum("the learning rate is too high" in line for line in history.advice) == 1
    assert sum(line.startswith("doctor: the loss is") for line in capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(scope="module")
def rare(digits):
    """180 bright images and 9 dark ones, which are soon told apart."""
    random = np.random.default_rng(0)
    dark, bright = (random.integers(low, low + 100, (count, 8, 8, 1)) for low, count in ((0, 9), (150, 180)))
    return Dataset.from_arrays(np.concatenate([dark, bright]).astype(np.uint8), [0] * 9 + [1] * 180)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_weight": "balanced"},
        {"class_weight": {0: 40.0}},
        {"sample_weight": np.full(189, 20.0)},
        {"label_smoothing": 0.2},
    ],
)
def test_rare_classes_weights_and_smoothing_are_no_fault(rare, options):
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=2, mean=[128.0], std=[64.0])
    history = trainer.train(model, rare, epochs=4, batch_size=16, verbose=0, **options)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert history.advice == []


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}])
def test_a_rate_that_is_far_too_high_is_found_where_classes_are_rare(rare, options):
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=2)
    images = np.stack([rare.read(index) for index in range(189)])
    wrong = Dataset.from_arrays(images, np.random.default_rng(0).permutation(rare.labels))
    history = trainer.train(
        model, wrong, optimizer="sgd", learning_rate=10.0, epochs=2, batch_size=16, verbose=0, **options
    )
    assert any("the learning rate is too high" in line for line in history.advice)


def test_pixels_that_nobody_has_scaled_are_no_rate_that_is_too_high(digits):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(8.0),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(seed=0)),
        keras.layers.Dense(10, activation="softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
    ]
    history = trainer.train(keras.Sequential(layers), digits, optimizer="adam", learning_rate=1e-3, epochs=3, verbose=0)
    assert history["loss"][0] > 1.5 * np.log(10)
    assert history["accuracy"][-1] > 0.5
    assert history.advice == []


def test_a_validation_that_divides_by_0_is_told_once(digits):
    """By a loss of one's own, for a class that nothing is learnt from."""

    def undefined_of_nines(targets, outputs):
        others = 1 - targets[:, 9]
        return keras.losses.categorical_crossentropy(targets, outputs) * others / others

    nines = np.asarray(digits.labels) == 9
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    options = {"loss": undefined_of_nines, "epochs": 2, "verbose": 0}
    for held_out, said in ((np.flatnonzero(~nines)[:20], 0), (np.flatnonzero(nines)[:20], 1)):
        history = trainer.train(model, digits[np.flatnonzero(~nines)], validation_data=digits[held_out], **options)
        assert np.isfinite(history["loss"]).all()
        assert sum(line.startswith("val_loss is nan, ") for line in history.advice) == said


def test_regularisation_is_no_fault(digits):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(0.05)),
        keras.layers.Dense(10, activation="softmax"),
    ]
    history = trainer.train(keras.Sequential(layers), digits, epochs=3, verbose=0)
    assert history["accuracy"][-1] > 0.6
    assert history["loss"][0] > 1.5 * np.log(10)  # of which a part is no mistake
    assert history.advice == []


def test_a_model_that_brings_its_own_rescaling_is_told(digits):
    def own(input_shape, num_classes):
        layers = [
            keras.Input(input_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes, activation="softmax"),
        ]
        return keras.Sequential(layers)

    twice = ImageClassifier(own, image_size=8, epochs=1).fit(digits, verbose=0)
    assert [line[:23] for line in twice.history_.advice] == ["pixels are scaled twice"]
    once = ImageClassifier(own, image_size=8, epochs=1, normalization=None).fit(digits, verbose=0)
    assert once.history_.advice == []


@pytest.mark.parametrize("nested", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_pretrained_network_that_gets_other_pixels_is_told(digits, nested):
    """Of `keras.applications`, in the user's own model: MobileNet wants pixels from -1 to 1."""
    backbone = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    rgb = Dataset.from_arrays(
        np.repeat(
            np.kron(np.stack([digits.read(index) for index in range(20)]), np.ones((1, 4, 4, 1), np.uint8)), 3, axis=3
        ),
        digits.labels[:20],
    )

    def advice(**options):
        model = backbone
        if nested:
            ends = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(rgb.classes), activation="softmax")]
            model = keras.Sequential([keras.Input((32, 32, 3)), backbone, *ends])
        classifier = ImageClassifier(model, epochs=1, **options)
        return [line for line in classifier.fit(rgb, verbose=0).history_.advice if "MobileNet" in line]

    assert advice() == []  # random weights expect nothing
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(layer.moving_mean.value + 0.01)
    (words,) = advice()
    assert words == (
        "your model contains MobileNet with weights that were trained on pixels from -1 to 1, and it gets others. Give "
        "normalization='symmetric', or architecture='mobilenet', which brings its scaling along"
    )
    assert advice(normalization="symmetric") == []


@pytest.mark.parametrize("normalization", ["auto", pytest.param(None, marks=pytest.mark.slow)])
def test_the_form_of_the_tutorials_is_told_once_to_leave_scaling_to_itself(normalization):
    """Of https://keras.io/guides/transfer_learning/: preprocessing by operations, which are no layers."""
    backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    backbone.get_layer("bn_Conv1").moving_mean.assign(np.full(32, 0.01))
    inputs = keras.Input((32, 32, 3))
    x = backbone(keras.applications.mobilenet_v2.preprocess_input(inputs), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    data = Dataset.from_arrays(images, [0, 1] * 10)
    classifier = ImageClassifier(model, epochs=1, normalization=normalization).fit(data, verbose=0)
    about = [line[:23] for line in classifier.history_.advice if "pixels" in line]
    assert about == ([] if normalization is None else ["pixels are scaled twice"])


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "mobilenet_v2", "efficientnet_b0"])
def test_a_named_network_is_fed_as_its_authors_did(name):
    model = architectures.build(name, input_shape=(32, 32, 3), num_classes=2)
    for weight in model.weights:
        if weight.name == "moving_mean":
            weight.assign(weight.value + 0.01)
    assert architectures.misfed(model) is None


def test_a_layer_of_keras_of_the_name_that_ours_has_is_none_of_ours(digits):
    scaling = keras.layers.Normalization(axis=None, name="normalization")  # as Keras calls the first one
    scaling.adapt(np.arange(17.0))
    head = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), scaling, *head])
    assert trainer.train(model, digits, epochs=1, verbose=0).epochs == 1


def test_advice_is_kept_in_the_bundle(digits, tmp_path):
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
    classifier.history_.advice[:] = ["rest more"]
    assert ImageClassifier.load(classifier.save(tmp_path / "a.imgcls")).history_.advice == ["rest more"]
