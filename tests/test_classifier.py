"""`ImageClassifier`: every kind of data in, labels out as they went in, and refusals word for word."""

import pickle
import shutil
import signal
import weakref
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import clone
from sklearn.metrics import accuracy_score

import imgcls
from imgcls import (
    BundleError,
    ConfigurationError,
    DataError,
    Dataset,
    DataWarning,
    EngineWarning,
    ExportedModel,
    ImageClassifier,
    NotFittedError,
    Prediction,
    Predictions,
    TrainingWarning,
    UnreadableImageError,
)
from imgcls.classifier import divide
from imgcls.trainer._loop import Loop

CLASSES = ("blue", "red")


def pictures(count=60, side=12, seed=0):
    """Return (count, side, side, 3) noisy squares, blue and red in turn, and their names."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = generator.integers(0, 90, (count, side, side, 3))
    images[labels == 1, ..., 0] += 140
    images[labels == 0, ..., 2] += 140
    return images.astype(np.uint8), np.array(CLASSES)[labels]


def small(**arguments):
    return ImageClassifier(
        **{"architecture": "small_cnn", "image_size": 12, "epochs": 4, "augmentation": None, **arguments}
    )


@pytest.fixture(scope="module")
def fitted():
    return small().fit(*pictures(), verbose=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of 40 PNG files in class folders, with things in it that are no images."""
    root = tmp_path_factory.mktemp("photos")
    for index, (image, label) in enumerate(zip(*pictures(40), strict=True)):
        (root / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / label / f"{index:02}.png")
    (root / ".hidden").mkdir()
    (root / "red" / "notes.txt").write_text("not an image")
    return root


# --- data in ---------------------------------------------------------------------------------------------------------


def test_learns_from_arrays(fitted):
    images, labels = pictures(seed=1)
    assert fitted.score(images, labels) > 0.9
    assert fitted.classes_.tolist() == ["blue", "red"]
    assert isinstance(fitted.model_, keras.Model)
    assert fitted.history_.epochs == 4


def test_a_score_is_weighted_and_wrong_weights_are_refused_in_words(fitted):
    images, labels = pictures(seed=1)
    labels = np.where(np.arange(60) < 7, "red", labels)  # some are wrong
    weights = np.random.default_rng(0).random(60)
    predicted = fitted.predict(images)
    expected = accuracy_score(labels, predicted, sample_weight=weights)
    assert fitted.score(images, labels, weights) == pytest.approx(expected)
    assert fitted.score(images, labels) == accuracy_score(labels, predicted) < 1
    for wrong in (weights[:3], np.append(weights[1:], -1)):
        with pytest.raises(ConfigurationError) as refusal:
            fitted.score(images, labels, wrong)
        assert str(refusal.value) == (
            f"sample_weight has shape {wrong.shape}. Accepted: 60 finite numbers of at least 0, one an image."
        )
    with pytest.raises(ConfigurationError) as refusal:
        fitted.score(images, labels, np.zeros(60))
    assert str(refusal.value) == (
        "sample_weight is 0 for every image. Accepted: at least one above 0. Leave it out to count all alike."
    )


def test_learns_from_a_folder_a_frame_a_csv_and_a_list_of_paths(folder, tmp_path):
    paths = sorted(str(path) for path in folder.glob("*/*.png"))
    labels = [path.split("/")[-2] for path in paths]
    frame = pd.DataFrame({"image": paths, "label": labels})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    sources = [(folder,), (str(folder),), (frame,), (tmp_path / "labels.csv",), (paths, labels)]
    expected = None
    for source in sources:
        classifier = small(epochs=1).fit(*source, verbose=0)
        probabilities = classifier.predict_proba(paths)
        expected = probabilities if expected is None else expected
        np.testing.assert_array_equal(probabilities, expected)  # one road: the source does not matter
        assert classifier.evaluate(*source).y_true.shape == (40,)


def test_a_divided_tree_is_respected(tmp_path):
    for part, seed in (("train", 0), ("val", 1), ("test", 2)):
        for index, (image, label) in enumerate(zip(*pictures(20, seed=seed), strict=True)):
            (tmp_path / part / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / part / label / f"{index}.png")
    classifier = small(epochs=2).fit(tmp_path, verbose=0)
    assert len(classifier.history_["val_loss"]) == 2
    evaluation = classifier.evaluate(tmp_path)
    assert {name.split("/")[0] for name in evaluation.ids} == {"test"}


def test_a_divided_source_that_is_split_anew_forgets_its_parts():
    images, labels = pictures(40)
    data = Dataset(images, labels, parts=["train"] * 20 + ["test"] * 20)
    train, test = data.split((0.75, 0.25))
    classifier = small(epochs=1).fit(train, verbose=0)
    assert len(classifier.evaluate(test).ids) == len(test)
    assert len(classifier.evaluate(data).ids) == 20


def test_a_divided_source_keeps_its_test_images_and_needs_images_to_learn_from(capsys):
    images, labels = pictures(40)
    ids = [f"{index}.png" for index in range(40)]
    for other, missing in (("test", "validation"), ("validation", "test")):
        data = Dataset(images, labels, ids=ids, parts=["train"] * 20 + [other] * 20)
        training, validation, test = divide(data, verbose=2)
        assert capsys.readouterr().err.splitlines()[0] == (
            f"there is no part {missing!r}: tested on {other!r}, and validated on 15 % of 'train'"
        )
        assert test.ids == tuple(ids[20:])
        assert sorted([*training.ids, *validation.ids]) == sorted(ids[:20])
    data = Dataset(images, labels, ids=ids, parts=["test"] * 20 + ["validation"] * 20)
    for learns in (imgcls.train, lambda data, classifier, **given: classifier.fit(data, **given)):
        with pytest.raises(ConfigurationError, match=r"^there is no part 'train'\. Accepted: test, validation\.$"):
            learns(data, small(epochs=1), verbose=0)


def test_of_a_divided_source_its_validation_images_are_validated_on():
    """And not those that are learnt from, or tested on."""
    images, labels = pictures(80)
    codes = np.unique(labels, return_inverse=True)[1]
    data = Dataset(images, labels, parts=["train"] * 20 + ["validation"] * 40 + ["test"] * 20)
    for learnt_from in (data, data.subset("train")):
        classifier = small(epochs=1).fit(learnt_from, validation_data=data, verbose=0)
        np.testing.assert_array_equal(classifier.held_out_.y_true, codes[20:60])
    one_part = Dataset(images, labels, parts=["test"] * 80)  # not divided: whoever gives it means all of it
    assert len(small(epochs=1).fit(data, validation_data=one_part, verbose=0).held_out_.ids) == 80
    without = Dataset(images, labels, parts=["train"] * 20 + ["test"] * 60)
    with pytest.raises(
        ConfigurationError, match=r"^validation_data is divided .* has no part 'validation'\. Accepted: "
    ):
        small(epochs=1).fit(data, validation_data=without, verbose=0)


def test_a_class_without_an_image_to_learn_from_is_named():
    """As of a folder whose name is misspelt in the test: else there is one output more, and nothing says so."""
    images, labels = pictures(40)
    named = np.where((np.arange(40) < 20) | (labels == "blue"), labels, "reds")
    words = "there is no image to learn 'reds' from. Did you mean 'red'? The model gets an output for each of the 3 classes all the same, and what it says of these is worth nothing. Mend misspelt names, add images, or leave these classes out."
    several = [[name] for name in named.tolist()]
    for given, multi_label in ((named, None), (several, True)):
        data = Dataset(images, given, parts=["train"] * 20 + ["test"] * 20, multi_label=multi_label)
        for learnt_from in (data, data.subset("train")):
            with pytest.warns(DataWarning) as caught:
                classifier = small(epochs=1).fit(learnt_from, verbose=0)
            assert [str(one.message) for one in caught] == [words]
            assert classifier.classes_.tolist() == ["blue", "red", "reds"]


def test_weights_of_a_divided_source_are_those_of_all_its_parts():
    images, labels = pictures(40)
    parts = np.array(["train", "train", "test", "test"] * 10)
    weights = np.linspace(0.1, 2, 40)
    divided = small(epochs=1).fit(Dataset(images, labels, parts=parts), sample_weight=weights, verbose=0)
    alone = parts == "train"
    same = small(epochs=1).fit(images[alone], labels[alone], sample_weight=weights[alone], verbose=0)
    np.testing.assert_array_equal(divided.predict_proba(images), same.predict_proba(images))


@pytest.mark.parametrize("shape", [(20,), (41,), (40, 1), ()])
def test_weights_of_a_part_alone_are_refused(shape):
    images, labels = pictures(40)
    data = Dataset(images, labels, parts=["train"] * 20 + ["test"] * 20)
    with pytest.raises(ConfigurationError) as refusal:
        small().fit(data, sample_weight=np.ones(shape), verbose=0)
    assert str(refusal.value) == (
        f"sample_weight has shape {shape}. Accepted: 40 finite numbers of at least 0, one an image of all parts, in the order of the source; training takes those of 'train'."
    )


@pytest.mark.parametrize("labels", [[3, 7], ["b", "a"], [0, 1]])
def test_labels_come_back_as_they_went_in(labels):
    images, names = pictures(30)
    y = np.array(labels)[(names == "red").astype(int)]
    classifier = small().fit(images, y, verbose=0)
    predicted = classifier.predict(images)
    assert np.asarray(predicted).dtype.kind == y.dtype.kind
    assert classifier.classes_.tolist() == sorted(labels)
    assert accuracy_score(y, predicted) == classifier.score(images, y)


def test_two_classes_by_one_sigmoid():
    images, labels = pictures()
    classifier = small(loss="binary_crossentropy").fit(images, labels, verbose=0)
    assert classifier.model_.output_shape == (None, 1)
    probabilities = classifier.predict_proba(images)
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert classifier.score(images, labels) > 0.9


def test_several_labels_an_image():
    images, names = pictures(80)
    y = np.stack([names == "red", np.arange(80) % 4 < 2], axis=1).astype(int)
    images[y[:, 1] == 1, :6] = 255
    data = Dataset.from_arrays(images, y, classes=["red", "white"])
    classifier = small(epochs=12).fit(data, verbose=0)
    assert classifier.evaluate(data).accuracy > 0.9
    one = classifier.predict(images[1])
    assert one.label == ("red", "white")
    assert classifier.predict(images).labels.shape == (80, 2)
    single = np.flatnonzero(y.sum(axis=1) == 1)[
        :10
    ]  # one label each: nobody takes them for one-hot labels of one class
    truth = [["red", "white"][row.argmax()] for row in y[single]]
    assert set(truth) == {"red", "white"}
    alone = classifier.evaluate(images[single], [[name] for name in truth])
    assert alone.accuracy == classifier.evaluate(data[single]).accuracy
    again = small(epochs=1).fit(images, y, validation_data=(images[single], y[single]), verbose=0)
    assert again.evaluate(images[single], y[single]).y_true.shape == (10, 2)


def test_classes_that_are_numbers_in_text_are_found_by_name():
    """Folders and CSV files sort them as text: 1, 10, 2. A number is the class that is called so, and no position."""
    images, labels = pictures()
    text = np.where(labels == "red", "2", "10")
    classifier = small().fit(images, text, verbose=0)
    assert classifier.classes_.tolist() == ["10", "2"]
    assert classifier.score(images, text) > 0.9
    assert classifier.score(images, text.astype(int)) == classifier.score(images, text)
    validated = small(epochs=1).fit(images, text, validation_data=(images, text.astype(int)), verbose=0)
    same = small(epochs=1).fit(images, text, validation_data=(images, text), verbose=0)
    assert validated.history_["val_loss"] == same.history_["val_loss"]
    with pytest.raises(
        DataError, match=r"^label 2 is ambiguous: there is a class '2', and at position 2 there is none\."
    ):
        classifier.score(images[:2], [0, 2])


def test_color_and_channels_follow_the_images():
    gray = np.random.default_rng(0).integers(0, 256, (20, 12, 12), dtype=np.uint8)
    y = np.arange(20) % 2
    assert small(epochs=1).fit(gray, y, verbose=0).model_.input_shape == (None, 12, 12, 1)
    assert small(epochs=1, color="rgb").fit(gray, y, verbose=0).model_.input_shape == (None, 12, 12, 3)
    colored = small(epochs=1, color="grayscale").fit(*pictures(20), verbose=0)
    assert colored.model_.input_shape == (None, 12, 12, 3)
    assert colored.model_.get_layer("grayscale").output.shape == (None, 12, 12, 1)


def test_a_fourth_channel_is_kept_where_it_is_asked_for():
    """Only it tells the classes apart."""
    images, codes = np.zeros((60, 12, 12, 4), np.uint8), np.arange(60) % 2
    images[..., :3] = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3))
    images[codes == 1, ..., 3] = 255
    fitted = small(color=4, epochs=6).fit(images, codes, verbose=0)
    assert fitted.model_.input_shape == (None, 12, 12, 4)
    assert fitted.score(images, codes) == 1
    assert fitted.predict(Image.fromarray(images[1], "RGBA")).label == 1  # a picture with transparency
    with pytest.raises(UnreadableImageError, match="it has 3 channels where 4 were asked for"):
        fitted.predict(Image.fromarray(images[1, ..., :3], "RGB"))
    with pytest.warns(DataWarning, match="fourth channel of these arrays is taken for transparency.*color=4 keeps it"):
        white = small(epochs=1).fit(images, codes, verbose=0)
    assert white.model_.input_shape == (None, 12, 12, 3)
    small(color="rgb", epochs=1).fit(images, codes, verbose=0)  # said, and no warning, which would be an error


def test_an_image_of_other_bands_is_left_out_like_any_that_cannot_be_read():
    images, labels = pictures(40)
    odd = [*images, np.zeros((12, 12, 2), np.uint8)]
    with pytest.warns(DataWarning, match="1 of 41 training images"):
        fitted = small(epochs=1).fit(Dataset.from_arrays(odd, [*labels, "red"]), verbose=0)
    assert list(fitted.history_.quarantined) == ["40"]


def test_gray_is_refused_where_there_is_no_colour():
    bands = np.zeros((20, 12, 12, 5), np.uint8)
    with pytest.raises(ConfigurationError, match="color='grayscale' goes with gray and RGB images, and these have 5"):
        small(color="grayscale").fit(bands, np.arange(20) % 2)


def test_large_images_are_looked_at_one_by_one(monkeypatch):
    """256 photos of a phone would be nine gigabytes."""
    alive, most, read = [], [], Dataset.read

    def noted(self, index, **how):
        pixels = read(self, index, **how).copy()
        alive.append(weakref.ref(pixels))
        most.append(sum(one() is not None for one in alive))
        return pixels

    monkeypatch.setattr(Dataset, "read", noted)
    images, labels = pictures(30)
    data = Dataset.from_arrays(list(images), labels)
    for normalization, passes in (("auto", 2), ("unit", 1), (None, 1)):  # one of them for the size of images
        most.clear()
        imgcls.trainer.plan(small(augmentation="auto", normalization=normalization).get_params(), data, None)
        assert len(most) == passes * 30
        assert max(most) <= 2  # the one that is read, and the one before


def test_a_keras_model_of_the_user_and_keras_callbacks(tmp_path):
    layers = keras.layers
    mine = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax"),
        ]
    )
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    classifier = small(
        architecture=mine, optimizer=keras.optimizers.Adam(0.003), loss=keras.losses.CategoricalCrossentropy()
    )
    classifier.fit(*pictures(), callbacks=[log], verbose=0)
    assert classifier.score(*pictures(seed=3)) > 0.9
    assert len(pd.read_csv(tmp_path / "log.csv")) == 4


def test_a_model_that_scales_by_its_own_statistics_is_saved_as_it_was_trained(tmp_path):
    scaling = keras.layers.Normalization()
    scaling.adapt(pictures()[0].astype("float32"))
    layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    mine = keras.Sequential([keras.Input((12, 12, 3)), scaling, *layers, keras.layers.Dense(2, "softmax")])
    classifier = small(architecture=mine, normalization=None).fit(*pictures(), verbose=0)
    loaded = ImageClassifier.load(classifier.save(tmp_path / "own.imgcls"), architecture=mine)
    assert loaded.verify()
    images = pictures(seed=1)[0]
    np.testing.assert_array_equal(loaded.predict_proba(images), classifier.predict_proba(images))
    scaled = classifier.model_.get_layer("backbone").layers[0](images)
    expected = (images - pictures()[0].mean(axis=(0, 1, 2))) / pictures()[0].std(axis=(0, 1, 2))
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-4)


def test_a_model_written_as_a_class_learns_explains_and_is_loaded(tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = keras.layers.Conv2D(8, 3, activation="relu")

        def call(self, images):
            return self.convolution(images)

    def own(input_shape, num_classes):
        return Net()

    images, labels = pictures(seed=1)
    classifier = small(architecture=own, learning_rate=0.01, epochs=8).fit(*pictures(), verbose=0)
    assert classifier.score(images, labels) > 0.9
    assert classifier.explain(images[0]).heat.shape == (12, 12)
    loaded = ImageClassifier.load(classifier.save(tmp_path / "own.imgcls"), architecture=own)
    np.testing.assert_array_equal(loaded.predict_proba(images), classifier.predict_proba(images))


@pytest.mark.slow
def test_numbers_of_numpy_are_numbers():
    given = {
        "seed": np.int64(3),
        "micro_batches": np.int64(2),
        "clip_norm": np.float64(1.0),
        "mixing": np.str_("mixup"),
    }
    given |= {"epochs": np.int32(2), "dropout": np.float32(0.25), "average": np.float64(0.9)}
    classifier = small(**given, augmentation="light")
    same = small(**{name: value.item() for name, value in given.items()}, augmentation="light")
    images, labels = pictures()
    expected = same.fit(images, labels, verbose=0).predict_proba(images)
    np.testing.assert_array_equal(classifier.fit(images, labels, verbose=0).predict_proba(images), expected)
    assert clone(classifier).get_params() == classifier.get_params()
    assert all(classifier.get_params()[name] is value for name, value in given.items())  # as scikit-learn asks
    assert len(classifier.lr_find(images, labels, steps=3, verbose=0).rates) == 3
    assert classifier.forecast(images, labels, seconds=0.1, verbose=0).images == 60


@pytest.mark.slow
def test_backbones_take_gray_images():
    gray = np.random.default_rng(0).integers(0, 256, (8, 20, 20), dtype=np.uint8)
    classifier = ImageClassifier("mobilenet_025", weights=None, image_size=32, epochs=1).fit(
        gray, np.arange(8) % 2, verbose=0
    )
    assert classifier.model_.input_shape == (None, 32, 32, 1)


# --- automatic choices -----------------------------------------------------------------------------------------------


def test_every_auto_is_noted_with_its_reason_and_printed_once(capsys):
    classifier = ImageClassifier(epochs=1).fit(*pictures(20, side=20), verbose=2)
    printed = capsys.readouterr().err
    assert classifier.choices_["architecture"].value == "speed_cnn"
    assert classifier.choices_["image_size"].value == 20
    assert "epochs" not in classifier.choices_
    for name, (value, reason) in classifier.choices_.items():
        assert printed.count(f"{name} = {value}: {reason}\n") == 1


def test_silent_with_verbose_0(capsys):
    small(epochs=1).fit(*pictures(20), verbose=0)
    assert capsys.readouterr() == ("", "")


def test_same_seed_same_probabilities():
    images, labels = pictures()
    first, second = (small(epochs=2, augmentation="standard").fit(images, labels, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(images), second.predict_proba(images))


# --- predictions -----------------------------------------------------------------------------------------------------


def test_one_image_of_every_kind_gives_the_same_prediction(fitted, folder):
    path = folder / "red" / "01.png"
    image = Image.open(path)
    kinds = [path, str(path), path.read_bytes(), image, np.asarray(image)]
    answers = [fitted.predict(kind) for kind in kinds]
    assert all(isinstance(answer, Prediction) and answer.label == "red" for answer in answers)
    assert len({answer.probability for answer in answers}) == 1


def test_an_array_that_is_one_image_is_one_row_of_probabilities_and_of_features(fitted, folder):
    path = folder / "red" / "01.png"
    image = np.asarray(Image.open(path))
    for many in (fitted.predict_proba, fitted.embed):
        np.testing.assert_array_equal(many(image), many([path]))
        np.testing.assert_array_equal(many(image[..., 0]), many([Image.fromarray(image[..., 0])]))


def test_many_images_of_every_kind(fitted, folder):
    paths = sorted(folder.glob("red/*.png"))
    kinds = [paths, folder / "red", str(folder / "red" / "*.png"), [path.read_bytes() for path in paths]]
    kinds.append(np.stack([np.asarray(Image.open(path)) for path in paths]))
    kinds.append(Dataset.from_files(paths))
    for kind in kinds:
        answers = fitted.predict(kind)
        assert isinstance(answers, Predictions)
        np.testing.assert_array_equal(answers.probabilities, fitted.predict_proba(paths))


def test_shuffled_data_cannot_misalign_the_confusion_matrix(fitted):
    images, labels = pictures(seed=5)
    order = np.random.default_rng(0).permutation(len(images))
    straight, shuffled = fitted.evaluate(images, labels), fitted.evaluate(images[order], labels[order])
    np.testing.assert_array_equal(straight.confusion, shuffled.confusion)


def test_evaluation_on_some_of_the_classes_aligns_by_name(fitted):
    images, labels = pictures(seed=5)
    red = labels == "red"
    evaluation = fitted.evaluate(images[red], labels[red])
    assert evaluation.confusion[0].sum() == 0
    assert evaluation.confusion[1].sum() == red.sum()


def test_lists_of_names_are_coded_by_the_classes_that_were_learnt(tmp_path):
    images, colors = pictures(seed=5)
    names = [["round", color] if index % 3 else [color] for index, color in enumerate(colors)]
    classifier = small(epochs=1).fit(
        images, names, validation_data=(images[colors == "red"], [["red"]] * 30), verbose=0
    )
    truth = np.array([[name in row for name in ("blue", "red", "round")] for row in names])
    for some in (colors == "red", np.arange(60) % 3 == 0, np.arange(60) < 1):  # not all labels occur in them
        given = [row for row, taken in zip(names, some, strict=True) if taken]
        evaluation = classifier.evaluate(images[some], given)
        np.testing.assert_array_equal(evaluation.y_true, truth[some])
        assert classifier.score(images[some], given) == evaluation.accuracy
    none = classifier.evaluate(images[:2], [[], []])
    np.testing.assert_array_equal(none.y_true, np.zeros((2, 3)))
    with pytest.raises(DataError) as caught:
        classifier.evaluate(images[:2], [["red"], ["ruond", "red"]])
    assert str(caught.value) == (
        "label 'ruond' is not one of the 3 classes. Did you mean 'round'? The classes are 'blue', 'red', 'round'."
    )
    for columns in (np.eye(3, dtype=int)[:2], Dataset.from_arrays(images[:2], [["red"], ["red", "blue"]])):
        with pytest.raises(DataError, match=r"Give the same: a column for each, or, where labels are lists of names, "):
            classifier.evaluate(columns) if isinstance(columns, Dataset) else classifier.evaluate(images[:2], columns)


def test_pictures_are_drawn(fitted):
    images, labels = pictures(9)
    (ax,) = fitted.predict(images[0]).show()
    assert ax.get_title().startswith("blue ")
    assert len(fitted.predict(images).show()) == 9
    assert len(fitted.evaluate(images, labels).show_top_losses(4)) == 4


def test_train_in_one_call_holds_out_a_test(folder):
    classifier = imgcls.train(folder, small(), verbose=0)
    _, _, test = Dataset.from_folder(folder).split((0.7, 0.15, 0.15))
    assert classifier.evaluation_.ids == test.ids
    assert classifier.evaluation_.accuracy > 0.9
    assert not hasattr(classifier.fit(folder, verbose=0), "evaluation_")  # it was of the model before


def stopping_in(monkeypatch, step):
    """Press Ctrl-C in a step of training, from 1."""
    alone = Loop._train_on

    def train_on(self, batch):
        alone(self, batch)
        if self._done + 1 == step:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Loop, "_train_on", train_on)


def raising(error):
    def raises(*_, **__):
        raise error

    return raises


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        (None, "in training, Ctrl-C was pressed"),
        (("imgcls.classifier._trust.Trust.learn", MemoryError()), "once training was over, MemoryError was raised"),
        (
            ("imgcls.classifier.ImageClassifier.evaluate", ValueError("No.")),
            "once training was over, ValueError was raised: No",
        ),
        (
            ("imgcls.classifier.ImageClassifier.evaluate", KeyboardInterrupt()),
            "once training was over, Ctrl-C was pressed",
        ),
    ],
    ids=["in training", "after it", "in the evaluation", "Ctrl-C in the evaluation"],
)
def test_train_in_one_call_loses_nothing_that_was_learnt(folder, tmp_path, monkeypatch, fails, why):
    given = small(epochs=2, batch_size=8)
    with monkeypatch.context() as stopped:
        stopping_in(stopped, 2) if fails is None else stopped.setattr(fails[0], raising(fails[1]))
        with pytest.raises(KeyboardInterrupt if fails is None else type(fails[1])) as stop:
            imgcls.train(folder, given, verbose=0)
    assert hasattr(given, "model_")
    assert stop.value.classifier is given  # for who gave it no name
    assert "`sys.last_value.classifier`" in "".join(stop.value.__notes__)
    monkeypatch.setattr("imgcls.classifier._train.ImageClassifier", partial(small, epochs=2, batch_size=8))
    stopping_in(monkeypatch, 2) if fails is None else monkeypatch.setattr(fails[0], raising(fails[1]))
    with pytest.warns(TrainingWarning) as caught:
        classifier = imgcls.train(folder, verbose=0)
    assert [str(one.message) for one in caught] == [
        f"{why}. The classifier keeps what it has learnt, and has no `evaluation_`. Use and save it, and measure it by evaluate(...) on images that it has not learnt from."
    ]
    assert not hasattr(classifier, "evaluation_")
    assert classifier.history_.interrupted == (fails is None)
    monkeypatch.undo()
    images, labels = pictures(seed=1)
    loaded = ImageClassifier.load(classifier.save(tmp_path / "m.imgcls"))
    np.testing.assert_array_equal(loaded.predict_proba(images), classifier.predict_proba(images))
    assert len(classifier.evaluate(images, labels).ids) == 60


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_train_in_one_call_raises_what_comes_before_anything_was_learnt(folder, monkeypatch, error):
    classifier = small(epochs=1).fit(folder, verbose=0)
    model = classifier.model_
    monkeypatch.setattr("imgcls.trainer.train", raising(error))
    monkeypatch.setattr("imgcls.classifier._train.ImageClassifier", small)
    for given in (None, small(), classifier):
        with pytest.raises(type(error)) as stop:
            imgcls.train(folder, given, verbose=0)
        assert not hasattr(stop.value, "classifier")
    assert classifier.model_ is model


@pytest.mark.parametrize("verbose", [0, 2])
def test_train_shows_as_much_of_the_test_as_of_the_rest(folder, monkeypatch, verbose):
    asked, evaluate = [], ImageClassifier.evaluate

    def evaluates(self, data, **options):
        asked.append(options["verbose"])
        return evaluate(self, data, **options)

    monkeypatch.setattr(ImageClassifier, "evaluate", evaluates)
    imgcls.train(folder, small(epochs=1), verbose=verbose)
    assert asked == [verbose]


# --- bundles ---------------------------------------------------------------------------------------------------------


def test_saved_and_loaded_is_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.imgcls")
    loaded = ImageClassifier.load(tmp_path / "model.imgcls")
    images, _ = pictures(seed=9)
    np.testing.assert_array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert dict(loaded.history_) == dict(fitted.history_)
    assert loaded.choices_ == fitted.choices_
    assert loaded.get_params() == fitted.get_params()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["evaluate", "predict", "predict_proba", "score"])
def test_predict_before_fit(use):
    with pytest.raises(NotFittedError) as refusal:
        getattr(ImageClassifier(), use)(pictures(4)[0])
    assert str(refusal.value) == (
        "this ImageClassifier is not fitted yet. Call fit(data) first, or ImageClassifier.load(path)."
    )


def test_save_before_fit(tmp_path):
    with pytest.raises(NotFittedError):
        ImageClassifier().save(tmp_path / "model.imgcls")


def test_one_class_only():
    with pytest.raises(DataError) as refusal:
        small().fit(pictures(6)[0], ["cat"] * 6)
    assert str(refusal.value) == "all 6 images are of one class, 'cat'. Give at least two classes."


@pytest.mark.parametrize("name", ["red\r", "x" * 501])
def test_classes_that_no_bundle_can_hold_are_refused_before_training(monkeypatch, name):
    """Such as those of a file with the line ends of Windows."""
    monkeypatch.setattr(imgcls.trainer, "plan", lambda *_, **__: pytest.fail("training has begun"))
    images, labels = pictures(20)
    data = Dataset.from_arrays(images, np.where(labels == "red", name, "blue"))
    for learns in (lambda: small().fit(data, verbose=0), lambda: imgcls.train(data, small(), verbose=0)):
        with pytest.raises(BundleError, match=r"^no bundle can hold the classes: .*\. Rename that folder or label\.$"):
            learns()


def test_validation_images_of_another_kind_are_refused_before_training(monkeypatch):
    monkeypatch.setattr(imgcls.trainer, "plan", lambda *_, **__: pytest.fail("training has begun"))
    images, names = pictures(20)
    one = Dataset.from_arrays(images, names)
    for rows in ([[name, "square"] for name in names], [[name] for name in names]):
        several = Dataset.from_arrays(images, rows, multi_label=True)
        for data, other in ((one, several), (several, one)):
            with pytest.raises(DataError, match="validate on disagree on whether an image may have several labels"):
                small().fit(data, validation_data=other, verbose=0)


def test_labels_and_images_of_different_length():
    with pytest.raises(DataError) as refusal:
        small().fit(pictures(6)[0], ["cat"] * 5)
    assert str(refusal.value) == "there are 6 images and 5 labels. Give one label for each image."


def test_no_labels():
    with pytest.raises(DataError) as refusal:
        small().fit(pictures(6)[0])
    assert str(refusal.value) == (
        "there are no labels. Give y, or data that carries labels: a Dataset, class folders, a frame."
    )


def test_all_wrong_arguments_at_once():
    classifier = ImageClassifier("small_cn", epochs=0, dropout=2, color="blue", augmentation="lite")
    with pytest.raises(ConfigurationError) as refusal:
        classifier.fit(*pictures(6))
    lines = str(refusal.value).splitlines()
    assert lines[0] == "5 arguments are wrong:"
    assert lines[1].startswith(
        "- architecture='small_cn' is not known. Did you mean 'small_cnn'? Accepted: auto, small_cnn, "
    )
    assert lines[2] == "- color='blue' is not known. Accepted: auto, rgb, grayscale."
    assert lines[3] == (
        "- augmentation='lite' is not known. Did you mean 'light'? Accepted: auto, light, standard, strong, overhead, shift, flip_shift, None."
    )
    assert lines[4] == "- dropout=2 is not accepted. Accepted: a number from 0 to below 1."
    assert lines[5] == "- epochs=0 is not accepted. Accepted: a whole number of at least 1, or 'auto'."


@pytest.mark.parametrize("value", [None, 5, ["small_cnn"]])
def test_what_is_no_architecture_is_refused(value):
    with pytest.raises(ConfigurationError) as refusal:
        small(architecture=value).fit(*pictures(6), verbose=0)
    assert str(refusal.value) == (
        f"architecture={value!r} is not accepted. Accepted: 'auto', a name from imgcls.architectures.names(), a keras.Model, or a function (input_shape, num_classes) that returns one."
    )


@pytest.mark.parametrize("value", [("auto", 224), [12, "auto"], (16, 16, 3), (12,), (0, 12), 12.0, None, "big"])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(ConfigurationError) as refusal:
        small(image_size=value).fit(*pictures(6), verbose=0)
    assert str(refusal.value) == (
        f"image_size={value!r} is not accepted. Accepted: a whole number of at least 1, (height, width), or 'auto'."
    )


@pytest.mark.parametrize("value", [(10, 14), [10, 14]])
def test_a_size_may_be_height_and_width(value):
    classifier = small(image_size=value, epochs=1).fit(*pictures(6), verbose=0)
    assert classifier.model_.input_shape == (None, 10, 14, 3)


def test_train_checks_arguments_before_it_reads_an_image(tmp_path):
    for name in ("blue", "red"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bad.png").write_text("not an image")
    with pytest.raises(ConfigurationError) as refusal:
        imgcls.train(tmp_path, small(epochs=0), on_error="raise", verbose=0)
    assert str(refusal.value) == "epochs=0 is not accepted. Accepted: a whole number of at least 1, or 'auto'."


def test_normalization_beside_a_backbone():
    with pytest.raises(ConfigurationError) as refusal:
        ImageClassifier("mobilenet_v2", weights=None, normalization="unit").fit(*pictures(6))
    assert str(refusal.value) == (
        "normalization='unit' does not go with 'mobilenet_v2', which brings its own. Leave it out."
    )


def test_unknown_class_in_evaluation(fitted):
    with pytest.raises(DataError) as refusal:
        fitted.evaluate(pictures(2)[0], ["red", "rad"])
    assert str(refusal.value) == (
        "label 'rad' is not one of the 2 classes. Did you mean 'red'? The classes are 'blue', 'red'."
    )


def test_unreadable_files_stop_fit_before_training_and_are_all_named(folder, tmp_path):
    broken = []
    for name in ("a", "b"):
        broken.append(tmp_path / f"{name}.png")
        broken[-1].write_bytes((folder / "red" / "01.png").read_bytes()[:60])
    paths = [*sorted(folder.glob("*/*.png")), *broken]
    labels = [path.parent.name for path in paths[:-2]] + ["red", "blue"]
    with pytest.raises(UnreadableImageError) as refusal:
        small().fit(paths, labels, on_error="raise", verbose=0)
    assert all(str(path) in str(refusal.value) for path in broken)
    assert str(refusal.value).startswith("2 of 42 images cannot be read:\n- ")


def test_a_bad_test_image_stops_train_before_training(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*/0*.png"):
        path.write_text("not an image")
    with pytest.raises(UnreadableImageError) as refusal:
        imgcls.train(tmp_path, small(), on_error="raise")
    assert str(refusal.value).count("cannot be read as an image: its bytes are of no known image format.") == 10
    assert "epoch" not in capsys.readouterr().err


def test_datasets_and_classifiers_can_be_pickled(fitted, folder):
    data, classifier = pickle.loads(pickle.dumps((Dataset.from_folder(folder), fitted)))
    np.testing.assert_array_equal(classifier.predict_proba(data), fitted.predict_proba(Dataset.from_folder(folder)))


def test_a_pickled_classifier_holds_no_images_and_knows_its_figures():
    images, labels = pictures()
    classifier = imgcls.train(Dataset.from_arrays(images, labels), small(epochs=1), verbose=0)
    data = pickle.dumps(classifier)
    assert not any(image.tobytes() in data for image in images)
    again = pickle.loads(data)
    assert dict(again.evaluation_) == dict(classifier.evaluation_)
    assert again.evaluation_.leaks() is None
    with pytest.raises(DataError, match="this evaluation has no images to show"):
        again.evaluation_.show()
    assert len(classifier.evaluation_.show()) > 0


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            keras.callbacks.EarlyStopping,
            "callbacks holds <class 'keras.src.callbacks.early_stopping.EarlyStopping'>. Accepted: a list of Keras callbacks, such as [EarlyStopping()].",
        ),
        (
            keras.callbacks.ReduceLROnPlateau(),
            "ReduceLROnPlateau changes a constant rate, and learning_rate follows a schedule. Give a number, such as 0.001.",
        ),
    ],
)
def test_callbacks_that_cannot_work_are_refused_before_training(callback, message):
    with pytest.raises(ConfigurationError) as refusal:
        small().fit(*pictures(), callbacks=[callback], verbose=0)
    assert str(refusal.value) == message


def test_a_keras_model_decides_the_image_size():
    layers = [keras.Input((20, 20, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    classifier = ImageClassifier(keras.Sequential(layers), learning_rate=np.float32(0.01), epochs=1).fit(
        *pictures(), verbose=0
    )
    assert classifier.choices_["image_size"] == ((20, 20), "your model was built for it")


def test_ctrl_c_keeps_the_classifier_usable():
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    classifier = small(epochs=9)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*pictures(), callbacks=[Interrupt()], verbose=0)
    assert classifier.history_.interrupted
    assert classifier.score(*pictures(seed=1)) > 0.5


def test_what_fails_after_training_leaves_a_classifier_that_can_be_used_and_saved(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr("imgcls.classifier._trust.Trust.learn", fails)
    classifier = small()
    with pytest.raises(MemoryError):
        classifier.fit(*pictures(), validation_data=pictures(seed=1), verbose=0)
    assert (classifier.held_out_, classifier.temperature_) == (None, 1.0)
    assert classifier.score(*pictures(seed=2)) > 0.5
    loaded = ImageClassifier.load(classifier.save(tmp_path / "m.imgcls"))
    np.testing.assert_array_equal(loaded.predict_proba(pictures()[0]), classifier.predict_proba(pictures()[0]))


def test_five_channels_train_save_and_predict(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 120, (60, 16, 16, 5), dtype=np.uint8)
    labels = np.arange(60) % 2
    images[labels == 1, :, :, 4] += 100  # only the fifth channel tells
    classifier = ImageClassifier("small_cnn", epochs=8, seed=0).fit(images, labels, verbose=0)
    assert classifier.model_.input_shape == (None, 16, 16, 5)
    assert classifier.score(images, labels) > 0.9
    again = ImageClassifier.load(classifier.save(tmp_path / "five.imgcls"))
    assert again.predict(images[1]).label == 1
    drawn = again.predict(list(images[:2])).show()[1].get_images()[0].get_array()
    np.testing.assert_array_equal(drawn, images[1, ..., :3])
    assert len(again.evaluate(images, labels).show()) == 16


# --- exports -------------------------------------------------------------------------------------------------------


def test_export_compares_on_the_validation_images_of_fit(tmp_path):
    images, labels = pictures(150)
    validation, test = (images[60:120], labels[60:120]), (images[120:], labels[120:])
    classifier = small().fit(images[:60], labels[:60], validation_data=validation, verbose=0)
    made = classifier.export(tmp_path / "squares.onnx")
    assert made.images == 8 + 60
    assert made.accuracy_before == classifier.score(*validation)
    assert classifier.export(tmp_path / "squares.onnx", data=test[0], y=test[1]).images == 8 + 30
    assert pickle.loads(pickle.dumps(classifier)).export(tmp_path / "squares.onnx").accuracy_before is None
    found = ExportedModel.open(tmp_path / "squares.onnx")
    np.testing.assert_allclose(found.predict_proba(test[0]), classifier.predict_proba(test[0]), atol=1e-5)
    assert found.classes == classifier.classes_.tolist()


def test_export_refuses_labels_of_no_images(fitted, tmp_path):
    with pytest.raises(ConfigurationError) as refusal:
        fitted.export(tmp_path / "a.onnx", y=pictures()[1])
    assert str(refusal.value) == "y is given, and no data that the labels are of. Give both, or leave y out."
    assert list(tmp_path.iterdir()) == []


def test_the_license_of_a_bundle_is_that_of_later_exports(fitted, tmp_path):
    fitted.save(tmp_path / "a.imgcls", license="CC-BY-4.0")
    fitted.export(tmp_path / "a.onnx")
    assert ExportedModel.open(tmp_path / "a.onnx").facts.license == "CC-BY-4.0"


def test_export_leaves_out_what_fit_left_out(folder, tmp_path):
    bad = tmp_path / "photos"
    shutil.copytree(folder, bad)
    (bad / "red" / "bad.png").write_bytes(b"no image")
    with pytest.warns(DataWarning, match="cannot be read"):
        classifier = small(epochs=1).fit(folder, validation_data=bad, verbose=0)
    assert classifier.export(tmp_path / "a.onnx").images == 8 + 40


@pytest.mark.parametrize("is_small", [True, False])
def test_a_bundle_of_an_engine_that_is_not_here_is_answered_by_tensorflow(fitted, tmp_path, monkeypatch, is_small):
    path = clone(fitted).set_params(engine="onnxruntime").fit(*pictures(), verbose=0).save(tmp_path / "a.imgcls")
    wanted = ImageClassifier.load(path).set_params(engine="tensorflow").predict_proba(pictures()[0])
    monkeypatch.setattr("imgcls._backend._engines.find_spec", lambda name: None)
    if not is_small:
        monkeypatch.setattr("imgcls.classifier._in_files._WARMED", 1)
    with pytest.warns(EngineWarning) as caught:
        loaded = ImageClassifier.load(path)
    assert [str(one.message) for one in caught] == [
        f"TensorFlow answers in place of the engine that '{path}' was saved with: engine='onnxruntime' needs onnxruntime and onnx and tf2onnx. Install it: pip install \"imgcls[onnx]\"."
    ]
    assert caught[0].filename == __file__
    assert loaded.engine == "tensorflow"
    np.testing.assert_array_equal(loaded.predict_proba(pictures()[0]), wanted)
    assert loaded.verify()
    with pytest.raises(ConfigurationError, match="engine='onnxruntime' needs"):  # asked for here, it is refused
        loaded.set_params(engine="onnxruntime").predict(pictures()[0])


def test_a_loaded_classifier_is_compiled_before_it_is_asked(fitted, tmp_path, monkeypatch):
    loaded = ImageClassifier.load(fitted.save(tmp_path / "a.imgcls"))
    monkeypatch.setattr("imgcls._backend.engine", lambda *_, **__: pytest.fail("compiled when it was asked"))
    assert loaded.predict(pictures()[0][0]).label in CLASSES


def test_int8_takes_its_ranges_from_what_was_learnt_from_or_is_given(fitted, tmp_path, monkeypatch):
    from imgcls import export

    others, labels = pictures(40, seed=1)
    given = []
    monkeypatch.setattr(export, "export", lambda *_, **wanted: given.append(wanted["representative"]))
    fitted.export(tmp_path / "a.tflite", quantize="int8")
    again = pickle.loads(pickle.dumps(fitted))
    again.export(tmp_path / "a.tflite", quantize="int8", data=others, y=labels)
    np.testing.assert_array_equal(given[0], pictures()[0])
    np.testing.assert_array_equal(given[1], others)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.tflite",
            "quantize='int8' sets its ranges by images, and a loaded classifier holds none. Give some hundred labelled ones, of all classes: export(..., data=...), or in a shell --data.",
        ),
        ("a.onnx", "quantize='int8' is for format='litert' alone. Leave it out, or name the file .tflite."),
    ],
)
def test_int8_without_images_asks_for_data(fitted, tmp_path, name, message):
    with pytest.raises(ConfigurationError) as refusal:
        pickle.loads(pickle.dumps(fitted)).export(tmp_path / name, quantize="int8")
    assert str(refusal.value) == message
    assert list(tmp_path.iterdir()) == []


# --- images without a number ---------------------------------------------------------------------------------------

LOOK = "Look at them, and at what the model does with them, such as a division by the deviation of pixels that are all alike."


@pytest.fixture(scope="module")
def dividing():
    """Return a classifier that divides by the deviation of the pixels: it gives NaN for black images."""

    def standardised(input_shape, num_classes):
        inputs = keras.Input(input_shape)
        found = keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True))(inputs)
        found = keras.layers.Lambda(lambda x: x / keras.ops.std(x, axis=(1, 2, 3), keepdims=True))(found)
        found = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(found))
        return keras.Model(inputs, keras.layers.Dense(num_classes, activation="softmax")(found))

    return small(architecture=standardised, normalization=None, epochs=2).fit(*pictures(), verbose=0)


def one_black(count):
    """Return pictures and their names, the eighth black, and which are the others."""
    images, labels = pictures(count, seed=1)
    images[7] = 0
    return images, labels, np.delete(np.arange(count), 7)


def test_export_compares_on_images_for_which_the_classifier_gives_numbers(dividing, tmp_path):
    images, labels, others = one_black(40)
    with pytest.warns(DataWarning) as told:
        made = dividing.export(tmp_path / "a.onnx", data=images, y=labels)
    assert [str(one.message) for one in told] == [
        f"for 1 of 40 images the model gives NaN or infinity: '7'. The comparison leaves them out. {LOOK}"
    ]
    assert (made.verdict, made.agreement, made.images) == ("passed", 1.0, 8 + 39)
    assert made.accuracy_before == made.accuracy_after == dividing.score(images[others], labels[others])


def test_int8_takes_its_ranges_from_images_for_which_the_classifier_gives_numbers(dividing, tmp_path, monkeypatch):
    from imgcls import export

    images, labels, others = one_black(40)
    given = []
    monkeypatch.setattr(export, "export", lambda *_, **wanted: given.append(wanted["representative"]))
    monkeypatch.setattr(dividing, "_learnt_from", None)  # as where it was loaded
    with pytest.warns(DataWarning) as told:
        dividing.export(tmp_path / "a.tflite", quantize="int8", data=images, y=labels)
    assert [str(one.message).partition(" Look")[0] for one in told] == [
        "for 1 of 40 images the model gives NaN or infinity: '7'. The ranges of int8 leave them out.",
        "for 1 of 40 images the model gives NaN or infinity: '7'. The comparison leaves them out.",
    ]
    np.testing.assert_array_equal(given[0], images[others])


def test_an_image_without_a_number_is_like_no_other(dividing):
    images, _, others = one_black(20)
    with pytest.raises(UnreadableImageError) as refusal:
        dividing.similar(images[7])
    assert str(refusal.value) == (
        "image 'image': what the model gives for it is NaN or infinite, so there is no answer. Look at the image, and at what the model does with it, such as a division by the deviation of pixels that are all alike."
    )
    with pytest.warns(DataWarning) as told:
        found = dividing.similar(images[3], 20, among=images)
    assert [str(one.message) for one in told] == [
        f"for 1 of 20 images to search in the model gives NaN or infinity: '7'. They are like no image, and left out. {LOOK}"
    ]
    assert found[0] == "3"
    assert sorted(map(int, found)) == others.tolist()
    black = Dataset.from_arrays(np.zeros((3, *images[3].shape), np.uint8))
    for _ in range(2):
        with pytest.raises(UnreadableImageError, match=r"^image '0': what the model gives for it is NaN"):
            dividing.similar(images[3], among=black)
    assert np.isfinite(found.similarities).all()
    with pytest.raises(UnreadableImageError, match=r"^image '7': what the model gives for it is NaN") as refusal:
        dividing.embed(images)
    assert refusal.value.id == "7"
    assert np.isfinite(dividing.embed(images[others])).all()
