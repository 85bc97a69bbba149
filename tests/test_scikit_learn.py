"""scikit-learn's rules: its tools run on arrays and on lists of paths, and its estimator checks pass."""

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.utils import estimator_checks

from imgcls import DataError, Dataset, ImageClassifier

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
