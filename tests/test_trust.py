"""What is learnt from images held out: the temperature, sets, unknown images; in use, and after loading."""

import csv
import hashlib
import pickle
from functools import partial

import numpy as np
import pytest
from keras import layers
from sklearn.metrics import log_loss

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    DataWarning,
    ImageClassifier,
    UnreadableImageError,
    architectures,
    bundle,
)
from imgcls.classifier import _trust
from imgcls.classifier._trust import HeldOut, Seen, Trust, promised
from imgcls.metrics import Evaluation, _figures, fit_temperature, prediction_sets, tempered
from imgcls.trainer._probe import solve


@pytest.fixture(scope="module")
def parts():
    return Dataset.builtin("digits").split((0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def fitted(parts):
    training, validation, _ = parts
    return ImageClassifier("small_cnn", image_size=8, epochs=4).fit(training, validation_data=validation, verbose=0)


def test_the_temperature_changes_no_answer_and_lowers_the_loss_where_it_was_fitted(parts, fitted):
    training, validation, test = parts
    plain = ImageClassifier("small_cnn", image_size=8, epochs=4).fit(training, verbose=0)  # validation is only measured
    assert plain.temperature_ == 1
    assert plain.choices_["temperature"].reason == "no images were held out to fit it by; give validation_data"
    assert fitted.temperature_ != 1
    for part in (validation, test):
        before, after = (one.predict_proba(part) for one in (plain, fitted))
        np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
        scores = np.log(before) / fitted.temperature_
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(after, expected, atol=1e-4)
    losses = [log_loss(validation.labels, one.predict_proba(validation), labels=range(10)) for one in (plain, fitted)]
    assert losses[1] < losses[0]


def test_what_was_held_out_is_kept_as_the_model_sees_it_now(parts, fitted):
    _, validation, _ = parts
    held_out = fitted.held_out_
    np.testing.assert_array_equal(held_out.y_true, validation.labels)
    np.testing.assert_allclose(held_out.probabilities, fitted.predict_proba(validation), atol=1e-5)
    assert f"and {held_out.log_loss:.3f} after" in fitted.choices_["temperature"].reason


def test_sets_hold_the_truth_and_answers_follow(parts, fitted):
    _, _, test = parts
    sets = fitted.predict(test, abstain="set", coverage=0.95)
    hit = sets.sets[np.arange(len(test)), np.asarray(test.labels)]
    assert hit.mean() == pytest.approx(0.95, abs=0.04)  # 450 held out, 450 new: three standard errors are 0.044
    assert sets.sets.any(axis=1).all()
    for one, row in zip(sets, sets.sets, strict=True):
        assert set(one.candidates) == {name for name, inside in zip(sets.classes, row, strict=True) if inside}
        single = len(one.candidates) == 1
        assert one.label in one.candidates
        assert one.answer == (one.candidates[0] if single else one.candidates)
        assert str(one) == (
            f"{one.label} {one.probability:.2f}" if single else " or ".join(one.candidates) or "unknown"
        )
    assert sets.answers == [one.answer for one in sets]
    assert sets[3:5].answers == sets.answers[3:5]
    frame = sets.to_frame()
    assert frame["answer"].tolist() == [one if isinstance(one, str) else "|".join(one) for one in sets.answers]
    assert "answer" not in fitted.predict(test[:3]).to_frame()


def test_sets_promise_for_each_class_where_enough_images_were_held_out():
    random = np.random.default_rng(0)
    y_true = np.repeat([0, 1], 200)
    sure = np.clip(random.normal(0.7, 0.2, 400), 0.01, 0.99) * np.where(y_true == 1, 0.6, 1)  # class 1 is undersold
    said = np.where(np.eye(2)[y_true] == 1, sure[:, None], 1 - sure[:, None])
    for each, by_class in ((200, True), (90, False)):
        known = np.r_[np.arange(200), 200 + np.arange(each)]
        trust = Trust(Evaluation(y_true[known], said[known], classes="ab"))
        promise = trust.promise("set", coverage=0.9, most_error=None, set_method="lac")
        found = promise.decide(said, None)["sets"]
        expected = prediction_sets(said, said[known], y_true[known], coverage=0.9, by_class=by_class)
        expected[np.arange(400), said.argmax(axis=1)] = True
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("counts", "coverage", "by_class"),
    [([150] * 10, 0.99, True), ([150] * 10, 0.995, False), ([199] * 10, 0.995, True), ([150, 300], 0.995, False)],
)
def test_sets_promise_for_each_class_only_what_as_many_images_can(counts, coverage, by_class):
    """A class of n has a limit where the rank ceil((n + 1) coverage) is at most n; else it would be in every set."""
    least = min(counts)
    assert (np.ceil((least + 1) * coverage) <= least) == by_class
    random, y_true = np.random.default_rng(0), np.repeat(np.arange(len(counts)), counts)
    scores = 4 * np.eye(len(counts))[y_true] + random.normal(size=(len(y_true), len(counts)))
    said = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    trust = Trust(Evaluation(y_true, said, classes=range(len(counts))))
    found = trust.promise("set", coverage=coverage, most_error=None, set_method=None).decide(said, None)["sets"]
    expected = prediction_sets(said, said, y_true, coverage=coverage, by_class=by_class, never_empty=True)
    np.testing.assert_array_equal(found, expected)
    assert not found.all(axis=0).any()  # no class is in every set


def test_a_weak_classifier_is_not_told_to_hold_out_more():
    trust = Trust(Evaluation(np.arange(400) % 2, np.full((400, 2), 0.5), classes="ab"))
    with pytest.warns(DataWarning) as told:
        promise = trust.promise("set", coverage=0.9, most_error=None, set_method=None)
    assert promise.decide(np.full((3, 2), 0.5), None)["sets"].all()
    assert [str(one.message) for one in told] == [
        (
            "every set holds every class: smaller ones would not keep coverage=0.9, since the probabilities hardly tell "
            "classes apart. Promise less, or train a better classifier: `held_out_` has the figures."
        )
    ]


def test_the_other_method_gives_the_sets_of_prediction_sets_and_streams_keep_them(parts, fitted):
    _, _, test = parts
    held_out, said = fitted.held_out_, fitted.predict_proba(test)
    for method in ("lac", "raps"):
        found = fitted.predict(test, abstain="set", coverage=0.99, set_method=method)
        given = (held_out.probabilities, held_out.y_true)
        expected = prediction_sets(said, *given, coverage=0.99, method=method, never_empty=True)
        np.testing.assert_array_equal(found.sets, expected)
        stream = fitted.predict(map(test.read, range(40)), abstain="set", coverage=0.99, set_method=method)
        assert [one.candidates for one in stream] == [one.candidates for one in found[:40]]
    assert (found.sets != fitted.predict(test, abstain="set", coverage=0.99).sets).any()
    with pytest.raises(ConfigurationError, match="set_method='aps'"):
        fitted.predict(test, abstain="set", set_method="aps")


@pytest.mark.slow
def test_with_a_budget_some_hundred_images_are_enough(parts):
    training, validation, _ = parts
    more = validation + validation + validation  # 1,353 images
    classifier = ImageClassifier("small_cnn", image_size=8, budget=4).fit(training, validation_data=more, verbose=0)
    assert len(classifier.held_out_.ids) == 500
    assert len(classifier._trust.familiarity.known) == 500
    apart = np.abs(classifier.predict_proba(more)[:, None] - classifier.held_out_.probabilities[:50]).max(axis=2)
    assert apart.min(axis=0).max() < 1e-5  # each is that of one of these images


def test_of_very_many_classes_fewer_images_held_out_are_kept_and_no_matrix_is_made(parts, tmp_path, monkeypatch):
    """Of 50,000 classes 25 million probabilities are 500 images; here 1,000 of ten are 100."""
    monkeypatch.setattr(_trust, "_NUMBERS", 1_000)
    monkeypatch.setattr(_figures, "confusion", lambda *_: pytest.fail("a matrix of K x K was made"))
    training, validation, test = parts
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
    classifier.fit(training, validation_data=validation, verbose=0)
    assert classifier.choices_["temperature"].reason.startswith("100 validation images: ")
    loaded = ImageClassifier.load(classifier.save(tmp_path / "a.imgcls"))
    assert loaded.held_out_.probabilities.shape == (100, 10)
    assert classifier.evaluate(test).accuracy == loaded.evaluate(test).accuracy
    assert "Measured on 100 images held out" in loaded.card()


def test_the_unsure_are_those_below_the_threshold_of_images_held_out(parts, fitted):
    _, _, test = parts
    found = fitted.predict(test, abstain="unsure", most_error=0.05)
    threshold = fitted.held_out_.select(0.05).threshold
    np.testing.assert_array_equal(found.unknown, fitted.predict_proba(test).max(axis=1) < threshold)
    answered = ~found.unknown
    assert (np.asarray(found)[answered] == np.array(test.classes)[np.asarray(test.labels)][answered]).mean() > 0.95
    assert {one.answer for one in found if one.unknown} <= {"unknown"}


def test_unknown_images_are_not_answered_and_familiar_ones_are(parts, fitted):
    _, _, test = parts
    # small pictures of other things: gratings, and blocks
    rows, columns = np.mgrid[:8, :8]
    gratings = [128 + 127 * np.sin(rows * step + columns * (step / 2)) for step in np.linspace(1, 3, 30)]
    others = np.stack(gratings).astype(np.uint8)[..., None]
    familiar = fitted.predict(test, abstain="unknown").unknown.mean()
    assert familiar < 0.1
    assert fitted.predict(others, abstain="unknown").unknown.mean() > 3 * familiar + 0.1
    together = fitted.predict(test[:20], abstain=["set", "unknown"])
    for place, expected in enumerate(together.answers):
        assert fitted.predict(test.read(place), abstain=["set", "unknown"]).answer == expected


def test_all_of_it_is_saved_and_loaded(parts, fitted, tmp_path):
    _, _, test = parts
    loaded = ImageClassifier.load(fitted.save(tmp_path / "a.imgcls"))
    assert loaded.temperature_ == fitted.temperature_
    assert dict(loaded.held_out_) == dict(fitted.held_out_)
    for abstain in ("set", "unsure", "unknown", ("set", "unknown")):
        assert loaded.predict(test, abstain=abstain).answers == fitted.predict(test, abstain=abstain).answers
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict(test, abstain="set").answers == fitted.predict(test, abstain="set").answers


def test_a_head_that_was_solved_holds_out_by_turns(parts, tmp_path):
    training, _, test = parts
    pretrained = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(test, verbose=0)
    weights = tmp_path / "backbone.weights.h5"
    pretrained.model_.get_layer("backbone").save_weights(weights)
    classifier = ImageClassifier("small_cnn", weights=weights, image_size=16).fit(training[:300], verbose=0)
    assert isinstance(classifier.out_of_fold_, Evaluation)
    assert dict(classifier.held_out_) == pytest.approx(dict(classifier.out_of_fold_), rel=1e-4, abs=1e-6)
    assert "each from a head that has not seen it" in classifier.choices_["temperature"].reason
    labels = [training.classes[code] for code in classifier.out_of_fold_.y_true]
    assert labels == [training.classes[code] for code in np.asarray(training.labels)[:300]]
    with pytest.raises(ConfigurationError, match="abstain='unknown' compares"):
        classifier.predict(test[:3], abstain="unknown")


@pytest.fixture(scope="module")
def weights(parts, tmp_path_factory):
    """Of a small backbone, pretrained on the images of the test."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    pretrained = ImageClassifier("small_cnn", image_size=16, epochs=3).fit(parts[2], verbose=0)
    pretrained.model_.get_layer("backbone").save_weights(path)
    return path


def test_the_card_of_a_solved_head_says_that_other_heads_were_measured(parts, weights, tmp_path):
    """Its images were all learnt from, by the head that is used; and it has made no epoch."""
    training, validation, _ = parts
    solved = ImageClassifier("small_cnn", weights=weights, image_size=16).fit(training[:300], verbose=0)
    path = solved.save(tmp_path / "solved.imgcls")
    copied = pickle.loads(pickle.dumps(solved))
    described = bundle.load(path).description["card"]
    for card in (solved.card(), copied.card(), ImageClassifier.load(path).card(), described):
        assert "Measured on 300 training images, each judged by a head that has not seen it, and not by the one" in card
        for words in ("held out in training", "Not checked: whether", "leaks: ", "- epochs: "):
            assert words not in card
    solved.fit(training[:300], validation_data=validation, verbose=0)
    card = solved.card()
    assert "Measured on 451 images held out in training, which have also chosen the temperature" in card
    assert "Not checked: whether any of these images was learnt from." in card
    assert "- epochs: " not in card
    stepped = ImageClassifier("small_cnn", image_size=8, epochs=2).fit(training, verbose=0)
    assert "- epochs: 2\n" in stepped.evaluate(validation, verbose=0).to_card(quick=True)


def test_images_that_weigh_nothing_are_not_held_out(parts, weights):
    """They count for nothing: no promise rests on them. What is said of their labels is known all the same."""
    training, own = parts[0][:300], np.ones(300)
    own[::3] = 0
    classifier = ImageClassifier("small_cnn", weights=weights, image_size=16)
    classifier.fit(training, sample_weight=own, verbose=0)
    held_out, every = classifier.held_out_, classifier.out_of_fold_
    assert every.ids == tuple(training.ids)
    np.testing.assert_array_equal(held_out.y_true, every.y_true[own > 0])
    np.testing.assert_allclose(held_out.probabilities, every.probabilities[own > 0], atol=1e-6)
    assert classifier.choices_["temperature"].reason.startswith("200 training images, each from a head ")
    of_one = {name: float(name != "3") for name in training.classes}
    classifier.set_params(class_weight=of_one).fit(training, verbose=0)
    assert set(np.unique(classifier.held_out_.y_true)) == set(range(10)) - {training.classes.index("3")}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"test_time_augmentation": "flip"},
        {"precision": "mixed_bfloat16"},
        {"test_time_augmentation": "flip", "fine_tune": True, "epochs": 1, "learning_rate": 1e-3},
    ],
    ids=["one way", "both ways", "bfloat16", "both ways, fine-tuned"],
)
def test_what_is_learnt_after_a_solved_head_is_of_the_model_that_is_used(parts, weights, options, tmp_path):
    training, validation, test = parts
    one = ImageClassifier("small_cnn", weights=weights, image_size=16, **options)
    one.fit(training[:300], validation_data=validation, verbose=0)
    for used in (one, ImageClassifier.load(one.save(tmp_path / "one.imgcls"))):
        found = used.evaluate(validation)
        np.testing.assert_allclose(used.held_out_.probabilities, found.probabilities, atol=1e-5)
        assert used.held_out_.accuracy == found.accuracy
        undone = tempered(found.probabilities, 1 / used.temperature_)
        assert fit_temperature(found.y_true, undone) == pytest.approx(used.temperature_, rel=1e-2)
        assert used.predict(validation, abstain="unknown").unknown.mean() <= 0.05
    assert used.predict(test, abstain="unknown").unknown.mean() < 0.1
    if not one.choices_["fine_tune"].value:
        assert one.history_["val_accuracy"][0] == pytest.approx(found.accuracy)
        return
    before = ImageClassifier("small_cnn", weights=weights, image_size=16, test_time_augmentation="flip")
    before.fit(training[:300], verbose=0)
    figures = f"{found.accuracy:.1%} right of 451 validation images, {before.score(validation):.1%} before"
    assert one.choices_["fine_tune"].reason.startswith(figures.replace("%", " %"))


def test_heads_that_have_not_seen_an_image_are_solved_on_what_the_model_that_is_used_sees(parts, weights):
    """The features of an image and of its mirror image, averaged."""
    images, labels = np.stack([sample.image for sample in parts[0][:300]]), np.asarray(parts[0].labels)[:300]
    plain, both = (
        ImageClassifier("small_cnn", weights=weights, image_size=16, test_time_augmentation=way)
        for way in (None, "flip")
    )
    plain.fit(images, labels, verbose=0)
    both.fit(images, labels, verbose=0)
    features = (plain.embed(images) + plain.embed(images[:, :, ::-1].copy())) / 2
    np.testing.assert_allclose(both.embed(images), features, atol=1e-4)
    expected = solve(features, labels, head="softmax", num_classes=10).outputs
    expected = tempered(expected, both.temperature_)
    for found in (both.held_out_, both.out_of_fold_):
        np.testing.assert_allclose(found.probabilities, expected, atol=2e-3)
    assert np.abs(plain.held_out_.probabilities - both.held_out_.probabilities).max() > 0.1


def test_several_labels_have_a_temperature_and_no_sets():
    random = np.random.default_rng(0)
    indicator = random.integers(0, 2, (160, 2)).astype(np.uint8)
    images = random.integers(0, 60, (160, 8, 8, 1)).astype(np.uint8)
    images[:, :, :4] += (120 * indicator[:, 0]).astype(np.uint8)[:, None, None, None]
    images[:, :, 4:] += (120 * indicator[:, 1]).astype(np.uint8)[:, None, None, None]
    labels = [[name for name, one in zip(("left", "right"), row, strict=True) if one] for row in indicator]
    training, validation = (
        Dataset.from_arrays(images[part], labels[part], classes=["left", "right"])
        for part in (slice(100), slice(100, 160))
    )
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=8).fit(
        training, validation_data=validation, verbose=0
    )
    assert classifier.held_out_.multi_label
    assert classifier.predict(validation[:5], abstain="unknown").unknown.shape == (5,)
    with pytest.raises(ConfigurationError) as caught:
        classifier.predict(validation[:5], abstain="set")
    assert str(caught.value) == "abstain='set' is for one label an image. Accepted with several: None, or 'unknown'."


def test_a_model_that_ends_otherwise_stays_as_it_is(parts):
    import keras

    def odd(input_shape, num_classes):
        stages = [layers.Conv2D(num_classes, 3, strides=2), layers.GlobalAveragePooling2D(), layers.Softmax()]
        return keras.Sequential([keras.Input(input_shape), *stages])

    training, validation, _ = parts
    classifier = ImageClassifier(odd, image_size=8, epochs=1).fit(training[:200], validation_data=validation, verbose=0)
    assert classifier.choices_["temperature"] == (
        1.0,
        "the model does not end with Dense scores that a temperature could divide",
    )
    assert classifier.predict(validation, abstain="set", coverage=0.5).sets.any()
    with pytest.raises(ConfigurationError) as caught:
        classifier.predict(validation[:2], abstain="unknown")
    assert str(caught.value) == (
        "abstain='unknown' compares features with those of images held out, and this model does not end with Dense and one softmax or sigmoid, or was fitted without validation_data."
    )


def test_a_model_of_your_own_that_is_validated_has_both(parts):
    import keras

    def mine(input_shape, num_classes):
        stages = [layers.Rescaling(1 / 255), layers.Conv2D(8, 3), layers.GlobalAveragePooling2D()]
        return keras.Sequential([keras.Input(input_shape), *stages, layers.Dense(num_classes, activation="softmax")])

    training, validation, test = parts
    classifier = ImageClassifier(mine, image_size=8, epochs=1).fit(training, validation_data=validation, verbose=0)
    np.testing.assert_allclose(classifier.held_out_.probabilities, classifier.predict_proba(validation), atol=1e-5)
    assert classifier.predict(test, abstain="unknown").unknown.mean() < 0.2


@pytest.mark.parametrize(
    ("endings", "divided"),
    [(["softmax"], True), (["softmax", "softmax"], False), (["relu", "softmax"], False)],
    ids=["softmax", "softmax twice", "relu"],
)
def test_what_is_held_out_is_of_the_model_that_answers_however_it_ends(parts, endings, divided):
    """By kernel and bias alone, the second and the third would be taken for the first, which answers otherwise."""
    import keras

    def mine(input_shape, num_classes):
        stages = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(num_classes)]
        return keras.Sequential([keras.Input(input_shape), *stages, *map(layers.Activation, endings)])

    training, validation, _ = parts
    classifier = ImageClassifier(mine, image_size=8, epochs=2).fit(training, validation_data=validation, verbose=0)
    found = classifier.evaluate(validation)
    np.testing.assert_allclose(classifier.held_out_.probabilities, found.probabilities, atol=1e-5)
    assert ("validation images" in classifier.choices_["temperature"].reason) == divided
    assert divided or classifier.temperature_ == 1


def test_validation_images_that_the_model_gives_no_number_for_are_left_out_and_named(parts):
    """A black image, and a model that divides by the deviation of the pixels: 0 / 0."""
    import keras

    def standardised(input_shape, num_classes):
        inputs = keras.Input(input_shape)
        found = layers.Lambda(lambda x: x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True))(inputs)
        found = layers.Lambda(lambda x: x / keras.ops.std(x, axis=(1, 2, 3), keepdims=True))(found)
        found = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(found))
        return keras.Model(inputs, layers.Dense(num_classes, activation="softmax")(found))

    training, validation, test = parts
    pixels = np.stack([validation.read(place) for place in range(60)])
    pixels[17] = 0
    labels = [validation.classes[code] for code in np.asarray(validation.labels)[:60]]
    given = Dataset.from_arrays(pixels, labels, classes=list(test.classes), ids=[f"{place}.png" for place in range(60)])
    classifier = ImageClassifier(standardised, image_size=8, normalization=None, augmentation=None, epochs=2)
    with pytest.warns(DataWarning) as told:
        classifier.fit(training[:200], validation_data=given, verbose=0)
    look = (
        "Look at them, and at what the model does with them, such as a division by the deviation of pixels that are "
        "all alike."
    )
    assert [str(one.message) for one in told] == [
        (
            "for 1 of 60 validation images the model gives NaN or infinity: '17.png'. val_loss and val_accuracy leave them "
            f"out. {look}"
        ),
        (
            "for 1 of 60 images held out the model gives NaN or infinity: '17.png'. `held_out_`, and what rests on it, "
            f"leaves them out. {look}"
        ),
    ]
    others = np.delete(np.arange(60), 17)
    assert np.isfinite(classifier.history_["val_loss"]).all()
    np.testing.assert_array_equal(classifier.held_out_.y_true, np.asarray(given.labels)[others])
    np.testing.assert_allclose(classifier.held_out_.probabilities, classifier.predict_proba(given[others]), atol=1e-5)
    assert classifier.choices_["temperature"].reason.startswith("59 validation images: ")
    assert len(classifier._trust.familiarity.distances) == 59
    assert classifier.predict(test, abstain="unknown").unknown.mean() < 0.2
    for label in (None, test.classes[0]):
        with pytest.raises(UnreadableImageError, match=r"^image 'image': what the model gives for it is NaN"):
            classifier.explain(pixels[17], label)


@pytest.mark.parametrize(
    ("ending", "kernel", "score", "classes", "several"),
    [
        ("softmax", [[-20.0, 20.0]], 40, 2, False),
        ("sigmoid", [[18.0]], 18, 2, False),
        ("sigmoid", [[18.0]], 18, 1, True),
    ],
    ids=["softmax", "sigmoid of two", "several labels"],
)
def test_the_temperature_is_of_scores_where_probabilities_are_rounded_to_1(ending, kernel, score, classes, several):
    """90 % of 1,000 images are of what is called sure in float32: the score should be ln(9), by hand."""
    import keras

    layer = layers.Dense(len(kernel[0]), activation=ending)
    model = keras.Sequential([keras.Input((1, 1, 1)), layers.Flatten(), layer])
    layer.set_weights([np.array(kernel, np.float32), np.zeros(len(kernel[0]), np.float32)])
    pixels, y_true = np.ones((1_000, 1, 1, 1), np.float32), np.repeat([1, 0], [900, 100])
    found = architectures.probabilities(np.asarray(model(pixels)), classes)
    assert (found[:, -1] == 1).all()
    seen = Seen(np.arange(1_000), found, pixels.reshape(-1, 1))
    held_out = HeldOut(y_true[:, None] if several else y_true, seen, None, "validation images")
    trust, choice = Trust.learn(model, held_out, classes=range(classes), seed=0)
    assert score / choice.value == pytest.approx(np.log(9), rel=0.01)
    np.testing.assert_allclose(trust.held_out.probabilities[:, -1], 0.9, atol=0.001)
    used = architectures.probabilities(np.asarray(model(pixels)), classes)
    np.testing.assert_allclose(trust.held_out.probabilities, used, atol=1e-5)


@pytest.mark.parametrize("count", [30])
def test_too_few_to_tell_a_strange_image_from_chance(parts, count):
    training, validation, test = parts
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
    classifier.fit(training[:64], validation_data=validation[:count], verbose=0)
    with pytest.raises(DataError) as caught:
        classifier.predict(test[:3], abstain="unknown")
    assert str(caught.value) == (
        "abstain='unknown' takes at least 40 images held out, and there are 30: fewer cannot tell a strange image from chance."
    )


@pytest.mark.parametrize("count", [0, 5])
def test_what_cannot_be_promised_is_refused_in_words(parts, count):
    training, validation, _ = parts
    held_out = {"validation_data": validation[:count]} if count else {}
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(training[:64], **held_out, verbose=0)
    assert classifier.held_out_ is None
    if count:
        reason = "only 5 validation images; from fewer than 20 nothing is learnt"
        assert classifier.choices_["temperature"] == (1.0, reason)
    with pytest.raises(DataError) as caught:
        classifier.predict(training[:3], abstain="set")
    assert str(caught.value) == (
        "abstain='set' rests on images held out, and this classifier has fewer than 20. Fit it with validation_data of some hundred images."
    )


def test_promises_that_cannot_be_kept_are_told(parts, fitted):
    _, _, test = parts
    with pytest.warns(DataWarning) as told:
        assert fitted.predict(test[:5], abstain="unsure", most_error=0.001).unknown.all()
    words = "no confidence promises most_error=0.001 from 451 images held out: every answer is 'unknown'. Accept more errors, or hold out more."
    assert [str(one.message) for one in told] == [words]
    with pytest.warns(DataWarning) as told:
        assert fitted.predict(test[:5], abstain="set", coverage=0.9999).sets.all()
    assert "are too few to promise coverage=0.9999: every set holds every class." in str(told[0].message)
    with pytest.raises(ConfigurationError) as caught:
        fitted.predict(test[:5], abstain=True)
    assert str(caught.value).startswith("abstain=True is not known.")


def test_wrong_arguments_are_refused_all_at_once(parts, fitted):
    with pytest.raises(ConfigurationError) as caught:
        fitted.predict(parts[2][:3], abstain=["sets"], coverage=90, most_error=0)
    assert str(caught.value) == (
        "3 arguments are wrong:\n"
        "- abstain='sets' is not known. Did you mean 'set'? Accepted: set, unsure, unknown.\n"
        "- coverage=90 is not accepted. Accepted: a number between 0 and 1.\n"
        "- most_error=0 is not accepted. Accepted: a number between 0 and 1."
    )


def test_what_is_of_an_answer_that_is_not_asked_for_is_refused(parts, fitted, tmp_path):
    images, table = parts[2][:3], tmp_path / "answers.csv"
    for ask in (fitted.predict, partial(fitted.predict_to, table)):
        with pytest.raises(ConfigurationError) as caught:
            ask(images, coverage=0.99, most_error=0.01, set_method="raps")
        assert str(caught.value) == (
            "3 arguments are wrong:\n"
            "- coverage=0.99 is of abstain='set', which is not asked for. Leave it out, or add abstain='set'.\n"
            "- most_error=0.01 is of abstain='unsure', which is not asked for. Leave it out, or add abstain='unsure'.\n"
            "- set_method='raps' is of abstain='set', which is not asked for. Leave it out, or add abstain='set'."
        )
        with pytest.raises(ConfigurationError, match=r"set_method='raps' is of abstain='set', which is not asked for"):
            ask(images, abstain=["unknown", "unsure"], most_error=0.01, set_method="raps")
    assert not table.exists()
    defaults = {"set": {"coverage": 0.9, "set_method": "lac"}, "unsure": {"most_error": 0.05}}
    for name, given in defaults.items():
        assert fitted.predict(images, abstain=name, **given).answers == fitted.predict(images, abstain=name).answers


def test_leaks_are_found_and_measured_without(parts, fitted):
    training, _, test = parts
    clean = fitted.evaluate(test[:60])
    assert str(clean.leaks()) == "none of the 60 images was learnt from"
    pixels = np.stack([*(test.read(place) for place in range(60)), *(training.read(place) for place in range(20))])
    labels = [
        data.classes[code] for data, count in ((test, 60), (training, 20)) for code in np.asarray(data.labels)[:count]
    ]
    mixed = fitted.evaluate(Dataset.from_arrays(pixels, labels, classes=list(test.classes)))
    found = mixed.leaks()
    assert found.ids == mixed.ids[60:]
    assert found.accuracy_without == pytest.approx(clean.accuracy)
    assert str(found) == (
        f"20 of 80 images are copies of images that were learnt from: accuracy {mixed.accuracy:.3f} with them, {clean.accuracy:.3f} without"
    )
    assert Evaluation(clean.y_true, clean.probabilities, classes=clean.classes).leaks() is None


def test_a_stream_abstains_as_many_at_once_do(parts, fitted):
    _, _, test = parts
    images = test[:70]
    for asked in ("set", "unknown", ["set", "unsure", "unknown"]):
        options = {"abstain": asked} | ({"coverage": 0.99} if "set" in asked else {})
        many = fitted.predict(images, **options)
        one_by_one = list(fitted.predict((images.read(index) for index in range(70)), **options))
        assert [one.answer for one in one_by_one] == many.answers
        np.testing.assert_allclose([one.probability for one in one_by_one], many.probabilities.max(axis=1), atol=1e-5)


def test_a_table_says_what_is_answered_and_is_of_one_model(parts, fitted, tmp_path):
    _, _, test = parts
    table = tmp_path / "answers.csv"
    written = fitted.predict_to(table, test[:40], abstain=["set", "unknown"])
    assert written.ids == set(test.ids[:40])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    answers = fitted.predict(test[:40], abstain=["set", "unknown"]).answers
    assert [row["answer"] for row in rows] == [one if isinstance(one, str) else "|".join(one) for one in answers]
    assert len({row["model"] for row in rows}) == 1
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict_to(table, test[:45], abstain=["set", "unknown"]).ids == set(test.ids[:45])
    with pytest.raises(DataError, match="its rows are of model"):  # whose sets promise something else
        again.predict_to(table, test[:50], abstain=["set", "unknown"], coverage=0.99)
    other = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(parts[0], validation_data=test, verbose=0)
    with pytest.raises(DataError, match="its rows are of model"):
        other.predict_to(table, test[:50], abstain=["set", "unknown"])
    with pytest.raises(DataError, match="its rows are of model"):
        fitted.predict_to(table, np.zeros((2, 8, 8, 3), np.uint8), abstain=["set", "unknown"], bgr=True)
    with pytest.raises(DataError, match="its columns are others"):
        fitted.predict_to(table, test[:50])


def test_a_promise_is_one_however_it_is_spelled(parts, fitted, tmp_path):
    images = parts[2][:20]
    alike = [
        [{"abstain": "set"}, {"abstain": ["set"]}, {"abstain": ("set", "set"), "coverage": np.float64(0.9)}],
        [{"abstain": "unsure"}, {"abstain": ["unsure"], "most_error": np.float64(0.05)}],
        [{"abstain": ["set", "unknown"]}, {"abstain": ("unknown", "set"), "set_method": "lac"}],
        [{}, {"abstain": []}, {"abstain": (), "coverage": None}],
    ]
    for number, spelled in enumerate(alike):
        for options in spelled:
            fitted.predict_to(tmp_path / f"{number}.csv", images, **options)
    others = [{"coverage": 0.8}, {"set_method": "raps"}, {"abstain": ["set", "unsure"]}, {"abstain": "unknown"}]
    for other in others:
        with pytest.raises(DataError, match="its rows are of model"):
            fitted.predict_to(tmp_path / "0.csv", images, **{"abstain": "set"} | other)


def test_a_table_of_before_is_gone_on_with(fitted):
    """The digits of the hash as they were made of `abstain` and its three numbers, spelled the way they mostly are."""
    for abstain, numbers in (("set", (0.8, 0.05, "lac")), (["set", "unknown"], (0.9, 0.05, "raps"))):
        digest = hashlib.sha256(repr([abstain, *numbers]).encode())
        for weight in fitted.model_.get_weights():
            digest.update(weight.tobytes())
        coverage, most_error, set_method = numbers
        asked = promised(abstain, coverage=coverage, most_error=most_error, set_method=set_method)
        assert fitted._fingerprint(asked) == digest.hexdigest()[:12]
