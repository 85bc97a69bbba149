"""scikit-learn's rules: its tools run on arrays and on lists of paths, and its estimator checks pass."""

import pickle

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import estimator_checks

from imgcls import ConfigurationError, DataError, Dataset, DataWarning, Evaluation, ImageClassifier

# scikit-learn's battery stops at the tag "takes no two-dimensional arrays". These are its checks of the estimator
# interface, called one by one. Those that fit must fail, because they fit a table of floats.
_TABLE = "fits a table (N, features) of floats; images are uint8 (N, H, W[, C]), and anything else is refused in words"
CHECKS = {
    "check_estimator_cloneable": None,
    "check_estimator_tags_renamed": None,
    "check_valid_tag_types": None,
    "check_estimator_repr": None,
    "check_no_attributes_set_in_init": None,
    "check_do_not_raise_errors_in_init_or_set_params": None,
    "check_estimators_unfitted": None,
    "check_mixin_order": None,
    "check_parameters_default_constructible": None,
    "check_get_params_invariance": None,
    "check_set_params": None,
    "check_n_features_in_after_fitting": None,
    "check_positive_only_tag_during_fit": _TABLE,
    "check_fit_score_takes_y": _TABLE,
    "check_estimators_overwrite_params": _TABLE,
    "check_dont_overwrite_parameters": _TABLE,
    "check_estimators_fit_returns_self": _TABLE,
    "check_readonly_memmap_input": _TABLE,
}


@pytest.fixture(scope="module")
def digits():
    data = Dataset.builtin("digits")[:160]
    images = np.stack([sample.image[..., 0] for sample in data])
    return images, np.array([int(sample.label) for sample in data])


def quick(**arguments):
    return ImageClassifier(
        **{"architecture": "small_cnn", "image_size": 8, "epochs": 2, "augmentation": None, **arguments}
    )


def test_cross_val_score_on_arrays(digits):
    scores = cross_val_score(quick(epochs=8), *digits, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.5


@pytest.mark.slow
def test_grid_search_on_a_list_of_paths(digits, tmp_path):
    paths = []
    for index, image in enumerate(digits[0][:60]):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(image).save(paths[-1])
    names = [f"digit {label}" for label in digits[1][:60]]
    search = GridSearchCV(quick(), {"learning_rate": [1e-7, 1e-2]}, cv=2, error_score="raise")
    search.fit(paths, names, verbose=0)
    assert search.best_params_ == {"learning_rate": 1e-2}
    assert search.predict(paths[:3]).labels.tolist()[0].startswith("digit ")


def test_cross_val_predict_gives_probabilities(digits):
    images, labels = digits[0][:60], digits[1][:60]
    probabilities = cross_val_predict(quick(), images, labels, cv=2, method="predict_proba")
    assert probabilities.shape == (60, 10)


def test_clone_copies_the_recipe_and_nothing_learnt(digits):
    classifier = quick(seed=4).fit(*digits, verbose=0)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert not hasattr(copy, "model_")
    assert is_classifier(copy)
    changed = repr(copy).replace("\n" + " " * 16, " ")
    assert changed == "ImageClassifier(architecture='small_cnn', augmentation=None, epochs=2, image_size=8, seed=4)"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=reason, raises=(DataError, AssertionError)))
        if reason
        else name
        for name, reason in CHECKS.items()
    ],
)
def test_estimator_checks(name):
    getattr(estimator_checks, name)("ImageClassifier", quick(epochs=1))


# --- classes that a training fold lacks ------------------------------------------------------------------------------


def test_images_of_a_class_that_was_not_learnt_count_as_wrong(digits):
    images, labels = (one[digits[1] < 3] for one in digits)
    fitted = quick(epochs=8).fit(images[labels < 2], labels[labels < 2], verbose=0)
    others, weights = int((labels == 2).sum()), np.random.default_rng(0).random(len(labels))
    words = (
        f"^{others} of {len(labels)} images are of classes that were not learnt, 2: the score counts them as wrong\\."
    )
    said = np.asarray(fitted.predict(images))
    for given in (None, weights):
        with pytest.warns(DataWarning, match=words):
            found = fitted.score(images, labels, given)
        assert found == pytest.approx(accuracy_score(labels, said, sample_weight=given))
    assert 0.5 < found < 1
    with pytest.raises(DataError, match=r"^label 2 is not one of the classes 0, 1"):
        fitted.evaluate(images, labels)
    with pytest.raises(DataError, match=r"^label 'one' is not one of the 2 classes"):  # of another kind
        fitted.score(images[:2], ["two", "one"])


def test_folds_of_classes_that_training_lacks_have_a_score_as_in_scikit_learn():
    data = Dataset.builtin("digits")
    few = np.flatnonzero(data.labels < 3)[:300]
    images, labels = np.stack([data.read(index)[..., 0] for index in few]), data.labels[few]
    groups = np.where(labels == 2, 0, np.arange(len(labels)) % 3)  # all images of one class lie in one fold
    assert {2} == set(labels[groups == 0]) - set(labels[groups != 0])
    folds = {"groups": groups, "cv": LeaveOneGroupOut(), "error_score": "raise"}
    with pytest.warns(DataWarning, match="of classes that were not learnt, 2: "):
        scores = cross_val_score(quick(epochs=8), images, labels, params={"verbose": 0}, **folds)
    theirs = cross_val_score(KNeighborsClassifier(), images.reshape(len(images), -1), labels, **folds)
    np.testing.assert_allclose(scores, theirs, atol=0.1)
    assert scores[0] <= np.mean(labels[groups == 0] != 2) < 0.5


def test_class_weights_may_name_a_class_that_a_fold_lacks(digits):
    images, labels = (one[digits[1] < 2] for one in digits)
    plain = quick(epochs=1, class_weight={0: 1.0, 1: 3.0}).fit(images, labels, verbose=0)
    with pytest.warns(DataWarning, match="^class_weight names 2, and no image here is of such a class: "):
        found = quick(epochs=1, class_weight={0: 1.0, 1: 3.0, 2: 9.0}).fit(images, labels, verbose=0)
    np.testing.assert_array_equal(found.predict_proba(images), plain.predict_proba(images))


# --- on the screen of a notebook -------------------------------------------------------------------------------------


def test_showing_a_classifier_compiles_and_measures_nothing(digits, monkeypatch):
    images, labels = digits
    classifier = quick().fit(images[:100], labels[:100], validation_data=(images[100:], labels[100:]), verbose=0)
    loaded = pickle.loads(pickle.dumps(classifier)).set_params(engine="openvino")
    monkeypatch.setattr("imgcls._backend.engine", lambda *_, **__: pytest.fail("a model was compiled"))
    monkeypatch.setattr(Evaluation, "_measured", property(lambda _: pytest.fail("every interval was computed")))
    for one in (classifier, loaded):
        assert "predictor" in dir(one)
        shown = one._repr_mimebundle_()
        assert shown["text/plain"].startswith("ImageClassifier(")
        assert "ImageClassifier" in shown["text/html"]
        assert one.predictor.input_shape == (8, 8, 1)


def test_a_classifier_whose_engine_is_not_here_can_be_shown(digits, monkeypatch):
    images, labels = digits
    classifier = quick(epochs=1).fit(images, labels, verbose=0).set_params(engine="onnxruntime")
    monkeypatch.setattr("imgcls._backend._engines._is_installed", lambda way: way.name == "tensorflow")
    assert "ImageClassifier" in classifier._repr_mimebundle_()["text/html"]
    for asks in (
        classifier.predict,
        classifier.predict_proba,
        lambda given: classifier.predictor.run(given[..., None]),
    ):
        with pytest.raises(ConfigurationError, match=r"^engine='onnxruntime' needs"):
            asks(images[:2])
