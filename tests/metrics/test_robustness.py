"""What is lost when images are made worse: rows by hand, and a classifier that only knows how bright images are."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls import ConfigurationError, Dataset, ImageClassifier
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
