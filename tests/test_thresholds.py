"""Thresholds: from probabilities to what is said, by hand; and one road from `set_thresholds` to every answer."""

import csv
import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    Evaluation,
    ExportedModel,
    ImageClassifier,
    Predictions,
    bundle,
    explain,
)
from imgcls._thresholds import Thresholds, in_digits
from imgcls.datasets import write_png

TWO = np.float32([[0.9, 0.1], [0.75, 0.25], [0.5, 0.5], [0.2, 0.8]])
SEVERAL = np.float32([[0.5, 0.2, 0.9], [0.49, 0.3, 0.1]])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, [0, 0, 0, 1]),  # of equals, the first
        ({"sick": 0.25}, [0, 1, 1, 1]),  # from there on, itself included
        ({"sick": 0.9}, [0, 0, 0, 0]),
        ({"well": 0.9}, [0, 1, 1, 1]),
        ({"sick": 0}, [1, 1, 1, 1]),
        ({"sick": np.float32(1)}, [0, 0, 0, 0]),
    ],
)
def test_of_two_classes_one_is_said_from_its_threshold_on(given, said):
    assert Thresholds(given, ["well", "sick"], multi_label=False).said(TWO).tolist() == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, [[1, 0, 1], [0, 0, 0]]),
        ({"b": 0.2}, [[1, 1, 1], [0, 1, 0]]),
        ({"a": 0.4, "c": 0.95}, [[1, 0, 0], [1, 0, 0]]),
        ({}, [[1, 0, 1], [0, 0, 0]]),
    ],
)
def test_of_several_labels_each_has_its_own(given, said):
    assert Thresholds(given, "abc", multi_label=True).said(SEVERAL).tolist() == said


@pytest.mark.parametrize(
    ("given", "classes", "several", "message"),
    [
        (0.3, "ab", False, "thresholds=0.3 is not accepted. Accepted: {class: probability from 0 to 1}, or None."),
        (
            {"dgo": 0.3},
            ["cat", "dog"],
            False,
            "thresholds: class='dgo' is not known. Did you mean 'dog'? Accepted: cat, dog.",
        ),
        ({"b": 1.5}, "ab", False, "thresholds['b']=1.5 is not accepted. Accepted: a number from 0 to 1."),
        ({"b": float("nan")}, "ab", True, "thresholds['b']=nan is not accepted. Accepted: a number from 0 to 1."),
        ({"b": True}, "ab", True, "thresholds['b']=True is not accepted. Accepted: a number from 0 to 1."),
        (
            {"a": 0.4, "b": 0.3},
            "ab",
            False,
            "of two classes one has the threshold, and the other is said below it: 2 are given. Accepted: such as {'b': 0.3}, or None.",
        ),
        (
            {"a": 0.4},
            "abc",
            False,
            "thresholds are for several labels an image, or for two classes, and these are 3 classes with one label an image: the likeliest is said. Accepted: None.",
        ),
    ],
)
def test_anything_else_is_refused_in_words(given, classes, several, message):
    with pytest.raises(ConfigurationError) as refusal:
        Thresholds(given, classes, multi_label=several)
    assert str(refusal.value) == message


def test_numbers_lead_back():
    for given, several in (({"b": 0.25}, False), ({"a": 0.1, "b": 0.7}, True), (None, True)):
        there = Thresholds(given, "ab", multi_label=several)
        back = Thresholds.of(there.numbers, "ab", multi_label=several)
        assert back.given == there.given == given
    with pytest.raises(ConfigurationError, match="3 numbers, and there are 2 classes"):
        Thresholds.of([0.1, 0.2, 0.3], "ab", multi_label=True)


def test_predictions_and_evaluations_say_the_same():
    classes, thresholds = ["well", "sick"], {"sick": 0.25}
    predictions = Predictions(TWO, classes=classes, ids="abcd", thresholds=thresholds)
    evaluation = Evaluation(np.array([0, 1, 0, 1]), TWO, classes=classes, thresholds=thresholds)
    assert predictions.labels.tolist() == ["well", "sick", "sick", "sick"]
    assert [classes[code] for code in evaluation.y_pred] == predictions.labels.tolist()
    assert [str(one) for one in predictions] == ["well 0.90", "sick 0.25", "sick 0.50", "sick 0.80"]
    assert predictions[1:].labels.tolist() == predictions.labels[1:].tolist()
    assert evaluation.confusion.tolist() == [[1, 1], [0, 2]]
    assert evaluation.accuracy == 0.75
    said = pytest.approx([0.9, 0.25, 0.5, 0.8])  # the probability of the label, and not the highest
    assert evaluation.table["probability"].tolist() == said
    assert predictions.to_frame()["probability"].tolist() == said
    assert [one.probability for one in predictions] == said
    plain = Evaluation(np.array([0, 1, 0, 1]), TWO, classes=classes)
    for name in ("roc_auc", "log_loss", "brier", "calibration_error"):  # of probabilities, not of what is said
        assert evaluation[name] == plain[name]


def test_of_several_labels_the_likeliest_of_those_said_stands_beside_them(tmp_path):
    random = np.random.default_rng(0)
    probabilities, classes = random.random((200, 3)).astype(np.float32), ["a", "b", "c"]
    thresholds = {"a": 0.9, "c": 0.2}
    expected = [  # one by one
        max([p for p, least in zip(row, (0.9, 0.5, 0.2), strict=True) if p >= np.float32(least)] or row)
        for row in probabilities.tolist()
    ]
    assert (probabilities.max(axis=1) != expected).sum() > 20
    given = {"classes": classes, "ids": list(map(str, range(200))), "thresholds": thresholds}
    evaluation = Evaluation(random.integers(0, 2, (200, 3)), probabilities, **given)
    assert evaluation.table["probability"].tolist() == expected
    with evaluation.save(tmp_path / "rows.csv").open(newline="") as file:
        assert [float(row["probability"]) for row in csv.DictReader(file)] == expected
    predictions = Predictions(probabilities, multi_label=True, **given)
    assert [one.label for one in predictions] == evaluation.table["predicted"].tolist()
    assert [one.probability for one in predictions] == expected


@pytest.mark.parametrize("threshold", [0.99973, 0.99949, 0.9999999, 0.95123, 0.8, 0.5, 0.228, 0.0004, 1.2e-7])
def test_a_threshold_is_told_from_0_and_from_1(threshold):
    """Typed in again, it says as much of the images: neither it nor what it lacks of 1 is off by more than 0.5 %."""
    text = in_digits(threshold)
    assert float(text) == pytest.approx(threshold, rel=0.005)
    assert 1 - float(text) == pytest.approx(1 - threshold, rel=0.005)
    assert len(text) <= 11
    assert [in_digits(one) for one in (0.0, 1.0, 0.3, 0.25)] == ["0", "1", "0.3", "0.25"]


@pytest.fixture(scope="module")
def screening(tmp_path_factory):
    """A classifier that doubts: two kinds of grey images that overlap."""
    random = np.random.default_rng(0)
    labels = np.repeat(["well", "sick"], 60)
    shades = np.where(labels == "sick", 140, 110)[:, None, None] + random.normal(0, 25, (120, 8, 8))
    images = shades.clip(0, 255).astype(np.uint8)
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=3, learning_rate=1e-3)
    return classifier.fit(images, labels, verbose=0), images, labels


def test_every_answer_keeps_to_what_was_set(screening, tmp_path):
    classifier, images, labels = screening
    sick = classifier.classes_.tolist().index("sick")
    probabilities = classifier.predict_proba(images)
    limit = float(np.sort(probabilities[:, sick])[30])  # three in four are said to be sick
    expected = np.where(probabilities[:, sick] >= limit, "sick", "well")
    assert classifier.thresholds_ is None
    before = classifier.predict(images).labels
    assert (before != expected).any()
    assert classifier.set_thresholds({"sick": limit}) is classifier
    loaded = ImageClassifier.load(classifier.save(tmp_path / "screening.imgcls"))
    assert loaded.thresholds_ == classifier.thresholds_ == {"sick": limit}
    for one in (classifier, loaded):
        assert (one.predict(images).labels == expected).all()
        assert [answer.label for answer in one.predict(iter(images[:5]))] == expected[:5].tolist()
        evaluation = one.evaluate(images, labels)
        assert evaluation.accuracy == one.score(images, labels) == (expected == labels).mean()
    with one.predict_to(tmp_path / "answers.csv", images).path.open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == expected.tolist()
    blurred = classifier.robustness(images, labels, n=120, verbose=0)[0]
    assert blurred.accuracy + blurred.lost == pytest.approx((expected == labels).mean())
    classifier.set_thresholds(None)
    assert (classifier.predict(images).labels == before).all()
    with pytest.raises(DataError, match="its rows are of model"):  # other thresholds, other answers
        classifier.predict_to(tmp_path / "answers.csv", images)


def test_the_card_and_the_bundle_measure_what_is_said(screening, tmp_path):
    _, images, labels = screening
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=3, learning_rate=1e-3)
    classifier.fit(images[::2], labels[::2], validation_data=(images[1::2], labels[1::2]), verbose=0)
    held_out, sick = classifier.held_out_, classifier.classes_.tolist().index("sick")
    limit = float(np.sort(held_out.probabilities[:, sick])[10])  # most are said to be sick
    said = np.where(held_out.probabilities[:, sick] >= limit, sick, 1 - sick)
    accuracy = accuracy_score(held_out.y_true, said)
    assert accuracy != held_out.accuracy
    path = classifier.set_thresholds({"sick": limit}).save(tmp_path / "screening.imgcls")
    description = bundle.load(path).description
    figures = {one["name"]: one["value"] for one in description["evaluation"]["figures"]}
    assert figures["accuracy"] == accuracy
    assert figures["log_loss"] == held_out.log_loss  # of probabilities, not of what is said
    recall = recall_score(held_out.y_true, said, average=None)[sick]
    assert description["evaluation"]["per_class"][sick]["recall"][0] == recall
    for card in (classifier.card(), description["card"], ImageClassifier.load(path).card()):
        assert f"| accuracy | {accuracy:.3f} |" in card
    assert f"| accuracy | {held_out.accuracy:.3f} |" in classifier.set_thresholds(None).card()


def test_heat_is_of_the_class_that_is_said(screening):
    classifier, images, labels = screening
    sick = classifier.classes_.tolist().index("sick")
    plain = classifier.evaluate(images, labels)
    limit = float(np.sort(plain.probabilities[:, sick])[30])
    evaluation = classifier.set_thresholds({"sick": limit}).evaluate(images, labels)
    classifier.set_thresholds(None)  # the evaluation stays as it was made
    chosen = np.flatnonzero(evaluation.y_pred != plain.y_pred)[:3].tolist()
    pixels = np.stack([classifier.predictor.read(images[place]) for place in chosen])
    said = evaluation.y_pred[chosen]
    expected, other = (
        explain.heat_map(classifier.model_, pixels, target=codes, method="occlusion") for codes in (said, 1 - said)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain, "heat_map", partial(explain.heat_map, method="occlusion"))
        np.testing.assert_array_equal(evaluation._explain(chosen), expected)
    assert np.abs(expected - other).max() > 0.1


def test_an_explanation_and_the_server_are_of_the_class_that_is_said(screening):
    from imgcls.serving import _heat

    classifier, images, _ = screening
    sick = classifier.classes_.tolist().index("sick")
    probabilities = classifier.predict_proba(images)[:, sick]
    image = images[np.argmin(np.abs(probabilities - 0.4))]  # the likeliest is another
    limit = float(classifier.predict_proba(image[None])[0, sick]) - 1e-6  # passes may differ in the last bits
    assert 0 < limit < 0.5
    file = io.BytesIO()
    write_png(image[..., None], file)
    for thresholds, label in ((None, "well"), ({"sick": limit}, "sick"), ({"sick": 1.0}, "well")):
        classifier.set_thresholds(thresholds)
        found = classifier.explain(image, method="occlusion")
        pixels = classifier.predictor.read(file.getvalue())
        assert found.label == label
        assert _heat.heat(classifier.explain, pixels)[0] == label
        assert classifier.predict(image).label == label
        np.testing.assert_array_equal(found.heat, classifier.explain(image, label, method="occlusion").heat)
    classifier.set_thresholds(None)


def test_of_several_labels_heat_is_of_the_likeliest_that_is_said(monkeypatch):
    random = np.random.default_rng(0)
    indicator = random.integers(0, 2, (40, 2)).astype(np.uint8)
    labels = [[name for name, one in zip("ab", row, strict=True) if one] for row in indicator]
    data = Dataset.from_arrays(random.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8), labels, classes=["a", "b"])
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(data, verbose=0)
    probabilities = classifier.predict_proba(data)
    less = int(probabilities.mean(axis=0).argmin())  # said of every second image, and the likelier one never
    limits = {"ab"[less]: float(np.median(probabilities[:, less])), "ab"[1 - less]: 1.0}
    evaluation = classifier.set_thresholds(limits).evaluate(data)
    said, likeliest = evaluation.y_pred[:, less] == 1, evaluation.probabilities.argmax(axis=1)
    assert not evaluation.y_pred[:, 1 - less].any()
    assert (likeliest[said] != less).any()
    assert not said.all()
    asked = []
    for place, code in ((int((said & (likeliest != less)).argmax()), less), (int(said.argmin()), None)):
        explained = likeliest[place] if code is None else code
        assert classifier.explain(data.read(place), method="occlusion").label == "ab"[explained]
    monkeypatch.setattr(explain, "heat_map", lambda model, pixels, *, target: asked.extend(target) or pixels)
    evaluation._explain(range(40))
    assert asked == np.where(said, less, likeliest).tolist()


def test_an_exported_file_keeps_to_it_too(screening, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx: pip install 'imgcls[onnx]'")
    classifier, images, _ = screening
    sick = classifier.classes_.tolist().index("sick")
    limit = float(np.sort(classifier.predict_proba(images)[:, sick])[30]) - 1e-4
    classifier.set_thresholds({"sick": limit})
    classifier.export(tmp_path / "screening.onnx")
    model = ExportedModel.open(tmp_path / "screening.onnx")
    assert model.facts.thresholds == tuple(limit if name == "sick" else None for name in classifier.classes_)
    said = np.where(model.predict_proba(images)[:, sick] >= limit, "sick", "well")
    assert (model.predict(images).labels == said).all()
    assert len(set(said)) == 2
    classifier.set_thresholds(None)


def test_certificates_and_verifications_are_of_what_is_said(screening, tmp_path):
    classifier, images, labels = screening
    sick = classifier.classes_.tolist().index("sick")
    limit = float(np.sort(classifier.predict_proba(images)[:, sick])[30]) - 1e-4
    plain = classifier.evaluate(images, labels).accuracy
    accuracy = classifier.set_thresholds({"sick": limit}).evaluate(images, labels).accuracy
    assert accuracy != plain
    certificate = classifier.export(tmp_path / "screening", data=images, y=labels)
    assert certificate.accuracy_before == certificate.accuracy_after == pytest.approx(accuracy)
    golden = classifier.predictor.run(bundle.golden_images((8, 8, 1)))[:, sick]
    limit = float(golden[0]) - 5e-5
    crossing = ((golden >= limit) & (golden - 1e-4 < limit)).sum()
    assert crossing >= 1
    classifier.set_thresholds({"sick": limit}).export(tmp_path / "screening")
    exported = ExportedModel.open(tmp_path / "screening", trust=True)
    loaded = ImageClassifier.load(classifier.save(tmp_path / "screening.imgcls"))
    classifier.set_thresholds(None)
    assert exported.verify().agreeing == loaded.verify().agreeing == 8
    less = np.float32([1e-4, 1e-4])
    less[sick] = -1e-4
    exported.predictor.run = lambda pixels, run=exported.predictor.run: run(pixels) + less
    kept = loaded._kept
    loaded._kept = replace(kept, golden=replace(kept.golden, probabilities=kept.golden.probabilities + less))
    assert exported.verify().agreeing == loaded.verify().agreeing == 8 - crossing
    assert exported.verify()  # by how much is accepted


def test_thresholds_and_promises_of_the_likeliest_class_exclude_each_other(screening):
    _, images, labels = screening
    other = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(
        images[::2], labels[::2], validation_data=(images[1::2], labels[1::2]), verbose=0
    )
    other.set_thresholds({"sick": 0.3})
    with pytest.raises(ConfigurationError, match="abstain='unsure' speaks of the likeliest class, and thresholds are"):
        other.predict(images, abstain="unsure")
    assert len(other.predict(images, abstain="unknown")) == 120
    assert other.fit(images, labels, verbose=0).thresholds_ is None
