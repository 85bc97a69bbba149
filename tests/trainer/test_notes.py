"""What a checkpoint keeps of callbacks."""

import json

import keras
import numpy as np
import pytest

from imgcls.trainer._notes import Notes


class Noting(keras.callbacks.Callback):
    def __init__(self, folder="a"):
        super().__init__()
        self.folder, self.best, self.seen, self.function = folder, np.float32(np.inf), [], print
        self.best_weights = None


def through_json(facts):
    return json.loads(json.dumps(facts))


def test_what_changed_is_kept_what_changed_and_gives_it_to_callbacks_of_the_same_kind():
    one = Noting("logs of Monday")
    notes = Notes([keras.callbacks.LambdaCallback(), one])
    one.best, one.best_weights = np.float32(0.5), [np.ones(3), np.zeros((2, 2))]
    one.seen.append(7)  # in place
    facts, arrays = notes.capture()
    other = Noting("logs of Tuesday")
    again = Notes([other])  # the other callback is not given any more
    again.restore(through_json(facts), arrays)
    assert (other.best, other.seen, other.folder) == (0.5, [7], "logs of Tuesday")
    assert [one.tolist() for one in other.best_weights] == [[1, 1, 1], [[0, 0], [0, 0]]]
    assert other.function is print


def test_notes_tells_two_callbacks_of_one_kind_apart():
    first, second = Noting(), Noting()
    notes = Notes([first, second])
    first.best, second.best = 1.0, 2.0
    facts, arrays = notes.capture()
    others = [Noting(), Noting()]
    Notes(others).restore(through_json(facts), arrays)
    assert [one.best for one in others] == [1.0, 2.0]


@pytest.mark.parametrize(
    "value",
    [
        np.eye(3, dtype=np.int64),
        {0: 0.5, 1: 0.25, "last": [np.float32(0.5), None, True]},
        {1, 2, 3},
        frozenset({"a"}),
        (1, (2.5, "x"), [np.zeros((2, 0), np.float16)]),
        {(0, 1): {"of": {2: np.arange(3)}}},
        np.array(2.5),
        [],
        {},
    ],
    ids=str,
)
def test_values_of_any_shape_come_back_as_they_were(value):
    one, other = Noting(), Noting()
    notes, again = Notes([one]), Notes([other])
    one.best = one.added = value
    facts, arrays = notes.capture()
    again.restore(through_json(facts), {name: array.copy() for name, array in arrays.items()})
    for found in (other.best, other.added):
        assert type(found) is type(value)
        np.testing.assert_equal(found, value)


def test_an_array_that_has_changed_in_place_goes_back():
    one = Noting()
    one.counts, one.images = np.zeros(3), np.zeros(2**24 + 1, np.float32)
    one.images[0] = 1
    notes = Notes([one])
    before = notes.capture()
    assert before == ({"Noting 0": {}}, {})
    one.counts += 1
    one.images[1] = 1  # data that the callback was given are no note, and are not copied
    facts, arrays = notes.capture()
    assert [array.tolist() for array in arrays.values()] == [[1, 1, 1]]
    one.counts += 1
    notes.restore(through_json(facts), arrays)
    assert one.counts.tolist() == [1, 1, 1]
    notes.restore(*before)
    assert one.counts.tolist() == [0, 0, 0]
    assert one.images[:2].tolist() == [1, 1]
