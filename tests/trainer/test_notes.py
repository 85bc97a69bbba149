"""What a checkpoint keeps of callbacks."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from imgcls.trainer._notes import Notes, named


class Noting(keras.callbacks.Callback):
    def __init__(self, folder="a"):
        super().__init__()
        self.folder, self.best, self.seen, self.function = folder, np.float32(np.inf), [], print
        self.best_weights = None


def through_json(facts):
    return json.loads(json.dumps(facts))


def test_what_changed_is_kept_what_changed_and_gives_it_to_callbacks_of_the_same_kind():
    one = Noting("logs of Monday")
    notes = Notes(named([keras.callbacks.LambdaCallback(), one]))
    one.best, one.best_weights = np.float32(0.5), [np.ones(3), np.zeros((2, 2))]
    one.seen.append(7)  # in place
    facts, arrays = notes.capture()
    other = Noting("logs of Tuesday")
    again = Notes(named([other]))  # the other callback is not given any more
    again.restore(through_json(facts), arrays)
    assert (other.best, other.seen, other.folder) == (0.5, [7], "logs of Tuesday")
    assert [one.tolist() for one in other.best_weights] == [[1, 1, 1], [[0, 0], [0, 0]]]
    assert other.function is print


def test_notes_tells_two_callbacks_of_one_kind_apart():
    first, second = Noting(), Noting()
    notes = Notes(named([first, second]))
    first.best, second.best = 1.0, 2.0
    facts, arrays = notes.capture()
    others = [Noting(), Noting()]
    Notes(named(others)).restore(through_json(facts), arrays)
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
        np.array([1.5, -2.0], np.dtype("bfloat16")),
        [],
        {},
    ],
    ids=str,
)
def test_values_of_any_shape_come_back_as_they_were(value):
    one, other = Noting(), Noting()
    notes, again = Notes(named([one])), Notes(named([other]))
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
    notes = Notes(named([one]))
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


def monitors():
    return [
        keras.callbacks.EarlyStopping("val_loss", min_delta=0.1, patience=5, mode="min"),
        keras.callbacks.ReduceLROnPlateau("val_accuracy", min_delta=0.1, patience=5, mode="max"),
        keras.callbacks.ReduceLROnPlateau("val_loss", min_delta=1, patience=5, mode="min"),
    ]


def told_of_an_epoch(callbacks, epoch, figure):
    """Let callbacks see one figure, by any name, as they do after an epoch."""
    rate = keras.Variable(0.5)
    for one in callbacks:
        one.set_model(SimpleNamespace(stop_training=False, optimizer=SimpleNamespace(learning_rate=rate)))
        one.on_epoch_end(epoch, {"val_loss": figure, "val_accuracy": figure})


def begun(callbacks):
    for one in callbacks:
        one.on_train_begin()
    return Notes(named(callbacks))


def test_min_delta_is_taken_off_in_the_right_direction_after_a_resume_and_after_going_back():
    """Keras turns its sign once, with a function that is no note; 1.05 is no less than 1.0 by 0.1, nor more."""
    first = monitors()
    notes = begun(first)
    before = notes.capture()
    told_of_an_epoch(first, 0, 1.0)
    after = notes.capture()
    second = monitors()
    begun(second).restore(through_json(after[0]), after[1])
    for callbacks in (first, second):
        told_of_an_epoch(callbacks, 1, 1.05)
        assert [one.best for one in callbacks] == [1.0, 1.0, 1.0]
        assert [one.wait for one in callbacks] == [1, 1, 1]
        assert [one.min_delta for one in callbacks] == [-0.1, 0.1, -1]
    notes.restore(through_json(before[0]), before[1])  # the function stays set
    told_of_an_epoch(first, 0, 1.0)
    told_of_an_epoch(first, 1, 1.05)
    assert [one.best for one in first] == [1.0, 1.0, 1.0]
    assert [one.min_delta for one in first] == [-0.1, 0.1, -1]


def test_a_min_delta_that_a_callback_of_ones_own_has_changed_is_a_note():
    one, other = monitors()[0], monitors()[0]
    notes = begun([one])
    told_of_an_epoch([one], 0, 1.0)
    one.min_delta /= 2
    facts, arrays = notes.capture()
    begun([other]).restore(through_json(facts), arrays)
    told_of_an_epoch([other], 1, 0.9)
    assert (one.min_delta, other.min_delta, other.best) == (-0.05, -0.05, 0.9)


def test_a_callback_of_which_a_state_knows_nothing_is_new():
    first, second = Noting(), Noting()
    facts, _ = Notes(named([first])).capture()
    assert Notes(named([first, second])).missing_in(facts) == [second]
    assert Notes(named([keras.callbacks.LambdaCallback(), first])).missing_in(facts)[0] is not first


@pytest.mark.parametrize("before", [False, True], ids=["now", "in a state of before"])
@pytest.mark.parametrize("users", [0, 1, 2])
def test_what_arguments_stand_for_is_told_apart_from_callbacks_of_the_same_kind(before, users):
    """In a state of before, ours was the last of its kind."""
    given, ours = [Noting() for _ in range(users)], Noting()
    notes = Notes(named([*given, ours]) if before else named(given, [ours]))
    for best, one in enumerate([*given, ours]):
        one.best = best
    facts, arrays = notes.capture()
    now, ours_now = [Noting(), Noting()], Noting()
    again = Notes(named(now, [ours_now]))
    assert again.missing_in(through_json(facts)) == now[users:]
    again.restore(through_json(facts), arrays)
    assert ours_now.best == users
    assert [one.best for one in now] == [*range(users), *[np.inf] * (2 - users)]
