"""Drawn pictures: the same everywhere, unlike each other, and unlike themselves when something is done wrong."""

import hashlib
from itertools import combinations

import numpy as np
import pytest

from imgcls.errors import ConfigurationError
from imgcls.images import drawn, resize


def test_every_machine_draws_the_same():
    """The hash was taken once: other numbers would make every golden image of every bundle another one."""
    pictures = drawn(24, (50, 70, 5))
    assert (pictures.dtype, pictures.shape) == (np.uint8, (24, 50, 70, 5))
    assert hashlib.sha256(pictures.tobytes()).hexdigest() == (
        "1d98cd0c09fd7c6c6655dd7b25e55179c70e289431a194b3e0aab01066420f93"
    )


def test_the_first_pictures_do_not_depend_on_how_many_there_are():
    np.testing.assert_array_equal(drawn(3, (9, 8, 1)), drawn(20, (9, 8, 1))[:3])


def test_a_larger_picture_is_the_same_picture():
    for small, large in zip(drawn(8, (60, 80, 3)), drawn(8, (120, 160, 3)), strict=True):
        np.testing.assert_array_equal(small, large[::2, ::2])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
def test_no_two_are_alike(channels):
    for one, other in combinations(drawn(16, (32, 32, channels)).astype(int), 2):
        assert np.abs(one - other).mean() > 5


WRONG = {
    "BGR": lambda picture: picture[..., ::-1],
    "mirrored": lambda picture: picture[:, ::-1],
    "upside down": lambda picture: picture[::-1],
    "turned": lambda picture: picture.transpose(1, 0, 2),
    "darker by one": lambda picture: np.maximum(picture, 1) - 1,
    "nearest pixels": lambda picture: resize(picture[::2, ::2], (64, 64)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_done_wrong_shows_in_most_of_them(wrong):
    changed = [not np.array_equal(WRONG[wrong](picture), picture) for picture in drawn(8, (64, 64, 3))]
    assert sum(changed) >= 7


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3, -1), (2.5, 3, 3)])
def test_shapes_that_are_none_are_refused(shape):
    with pytest.raises(
        ConfigurationError, match=r"^shape\[\d\]=.* is not accepted\. Accepted: a whole number of at least 1\.$"
    ):
        drawn(1, shape)
