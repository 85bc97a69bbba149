"""Classes that take turns, against a hand that deals."""

import numpy as np
import pytest

from imgcls.datasets import _turns, by_turns


def dealt(codes, order):
    """Take the first of each class that is left, in rounds."""
    piles, taken = {}, []
    for place in order:
        piles.setdefault(codes[place], []).append(place)
    while any(piles.values()):
        taken.append({pile.pop(0) for pile in piles.values() if pile})
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_each_round_has_one_of_every_class_that_is_left(seed):
    random = np.random.default_rng(seed)
    codes = random.choice(4, 60, p=[0.6, 0.25, 0.1, 0.05])
    order = random.permutation(60)[:50]
    found = by_turns(codes, order).tolist()
    for one in dealt(codes, order.tolist()):
        assert set(found[: len(one)]) == one
        found = found[len(one) :]
    assert not found


def test_an_image_of_several_labels_stands_for_its_rarest():
    labels = np.array(
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1], [1, 1, 0]], np.uint8
    )  # 5, 3 and 2 of each
    assert _turns.rarest_class(labels).tolist() == [0, 1, 2, 3, 2, 1]
    assert _turns.rarest_class(labels.astype(bool)).tolist() == [0, 1, 2, 3, 2, 1]
    assert by_turns(labels, np.arange(6)).tolist() == [0, 1, 2, 3, 4, 5]
    assert by_turns(labels, np.array([5, 4, 2, 1])).tolist() == [5, 4, 2, 1]
    assert by_turns(labels, np.array([5, 1, 2, 4])).tolist() == [5, 2, 1, 4]
    assert _turns.place_in_class(np.array([7, 3, 7, 7, 3])).tolist() == [0, 0, 1, 2, 1]
