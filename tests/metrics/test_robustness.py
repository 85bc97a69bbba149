"""What is lost when images are made worse: rows by hand, and a classifier that only knows how bright images are."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls import ConfigurationError, Dataset, ImageClassifier, trainer
from imgcls.classifier._robust import robust
from imgcls.images import CORRUPTIONS
from imgcls.metrics import robustness


def test_rows_by_hand():
    clean = np.repeat([True, False], [90, 10])
    worse = {("blur", 1): np.arange(100) < 70, ("jpeg", 1): np.arange(100) < 89, ("noise", 3): clean}
    rows = robustness(clean, worse)
    assert [(row.kind, row.severity, row.accuracy, row.sure) for row in rows] == [
        ("blur", 1, 0.7, True),
        ("jpeg", 1, 0.89, False),
        ("noise", 3, 0.9, False),
    ]
    assert [row.lost for row in rows] == pytest.approx([0.2, 0.01, 0])
    assert binomtest(20, 20).pvalue < 0.05 / 3
    assert str(rows[2]) == "noise 3: 0.900 [0.826, 0.945], 0.0 points less, which may be chance"


def test_a_classifier_of_brightness_does_not_bear_darkness():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 240)
    images = (60 + 80 * labels[:, None, None] + random.integers(0, 20, (240, 16, 16))).astype(np.uint8)
    data = Dataset.from_arrays(images, labels)
    classifier = ImageClassifier("small_cnn", image_size=16, epochs=12, augmentation=None)
    classifier.fit(data[:160], validation_data=data[160:200], verbose=0)
    rows = {row.kind: row for row in classifier.robustness(data[200:], severities=[3], verbose=0)}
    assert rows["darker"].sure or rows["brighter"].sure
    assert abs(rows["blur"].lost) < 0.05
    assert {row.images for row in rows.values()} == {40}
    with pytest.raises(ConfigurationError) as caught:
        classifier.robustness(data, severities=[4])
    assert str(caught.value) == "severities=4 is not known. Accepted: 1, 2, 3."


def test_an_image_that_the_model_gives_no_number_for_is_wrong_and_not_of_the_first_class():
    images = np.repeat(np.array([0, 120], np.uint8), 4)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    data = Dataset.from_arrays(images, np.repeat([0, 1], 4))

    def run(given):
        """Say 1 of what is light, and nothing of what is dark."""
        light = np.array([given.read(place).mean() > 10 for place in range(len(given))])
        return np.where(light[:, None], np.float32([0.1, 0.9]), np.float32(np.nan))

    with trainer.ProgressReport(0) as report:
        rows = robust(run, data, (8, 8, 1), [1], report, said=lambda found: found.argmax(axis=1))
    assert {row.kind for row in rows} == set(CORRUPTIONS)
    for row in rows:
        assert row.accuracy + row.lost == pytest.approx(0.5)
        assert row.accuracy == 0.5
