"""Splits: stratified, decided by names, and groups never straddle."""

import numpy as np
import pytest

from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

PIXEL = np.zeros((1, 1, 1), np.uint8)


def dataset(labels, **options):
    return Dataset.from_arrays(np.broadcast_to(PIXEL, (len(labels), 1, 1, 1)), labels, **options)


def assignment(parts):
    return {name: number for number, part in enumerate(parts) for name in part.ids}


@pytest.fixture
def uneven():
    """600 images of a, 300 of b, 97 of c, 3 of d, in an order that mixes them."""
    labels = np.random.default_rng(0).permutation(list("a" * 600 + "b" * 300 + "c" * 97 + "d" * 3))
    return dataset(labels, ids=[f"image{index}.jpg" for index in range(1000)])


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.7, 0.15, 0.15), (0.5, 0.3, 0.2), (0.25, 0.25, 0.25, 0.25)])
def test_every_part_has_its_share_of_every_class(uneven, fractions):
    parts = uneven.split(fractions)
    names = [name for part in parts for name in part.ids]
    assert sorted(names) == sorted(uneven.ids)
    for part, fraction in zip(parts, fractions, strict=True):
        for name, count in part.counts().items():
            if name != "d" or len(fractions) < 4:
                assert count >= 1
                assert abs(count - fraction * uneven.counts()[name]) <= 1.5


@pytest.mark.parametrize("grouped", [False, True])
def test_names_decide_and_not_their_order(uneven, grouped):
    groups = np.array([f"g{index // 3}" for index in range(len(uneven))]) if grouped else None
    shuffled = np.random.default_rng(1).permutation(len(uneven))
    first = uneven.split((0.7, 0.2, 0.1), seed=3, groups=groups)
    again = uneven.split((0.7, 0.2, 0.1), seed=3, groups=groups)
    other = uneven[shuffled].split((0.7, 0.2, 0.1), seed=3, groups=groups[shuffled] if grouped else None)
    assert assignment(first) == assignment(again) == assignment(other)
    assert assignment(uneven.split((0.7, 0.2, 0.1), seed=4, groups=groups)) != assignment(first)


def test_groups_never_straddle():
    random = np.random.default_rng(0)
    groups = random.integers(0, 40, 400)
    data = dataset(random.integers(0, 3, 400), groups=groups)
    parts = data.split((0.6, 0.2, 0.2))
    members = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, members)) == len(set.union(*members)) == len(set(groups.tolist()))
    assert all(abs(len(part) - share * 400) < 40 for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True))


def test_several_labels_and_no_labels_split_too():
    rows = np.random.default_rng(0).integers(0, 2, (200, 2))
    parts = dataset(rows, multi_label=True).split((0.5, 0.5))
    for combination in ([0, 0], [0, 1], [1, 0], [1, 1]):
        left, right = ((part.labels == combination).all(axis=1).sum() for part in parts)
        assert abs(left - right) <= 1
    assert [len(part) for part in Dataset.from_arrays(np.zeros((10, 4, 4), np.uint8)).split((0.7, 0.3))] == [7, 3]


@pytest.mark.parametrize("fractions", [(0.8, 0.3), (1.0,), (1.2, -0.2), (0.5, 0.5, 0.0), 0.8, ("a", "b"), ()])
def test_wrong_fractions_are_refused_in_words(fractions):
    with pytest.raises(ConfigurationError) as caught:
        dataset([0, 1]).split(fractions)
    assert str(caught.value) == (
        f"fractions={fractions!r} is not accepted. Accepted: two or more numbers above 0 that sum to 1, "
        "such as (0.8, 0.2) or (0.7, 0.15, 0.15)."
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, DataError, "the source is not divided into train/ and test/. Give fractions, such as (0.8, 0.2)."),
        (
            {"fractions": (0.4, 0.3, 0.3)},
            EmptyDatasetError,
            "2 images do not fill 3 parts. Give fewer parts or more images.",
        ),
        (
            {"fractions": (0.5, 0.5), "groups": ["a", "a"]},
            EmptyDatasetError,
            "2 images do not fill 2 parts. Give fewer parts or more groups.",
        ),
        (
            {"fractions": (0.5, 0.5), "groups": ["a"]},
            DataError,
            "there are 2 images and 1 groups. Give one for each image.",
        ),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_words(options, kind, words):
    with pytest.raises(kind) as caught:
        dataset(["a", "a"]).split(**options)
    assert str(caught.value) == words
