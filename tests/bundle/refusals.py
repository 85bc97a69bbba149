"""How a bundle is refused, in words."""

import re

import pytest

from imgcls import bundle
from imgcls.errors import BundleError


def refusal(data, kind=BundleError):
    """Return the words with which these bytes are refused."""
    with open("a.imgcls", "wb") as file:  # noqa: PTH123 - thousands of times
        file.write(data)
    with pytest.raises(kind) as caught:
        bundle.load("a.imgcls")
    return str(caught.value)


def cause(data):
    """Return why a sealed file is no bundle."""
    words = re.fullmatch(
        r"'a\.imgcls' is sealed but not a bundle: (.*)\. (Get the file|It says that) .*\.", refusal(data)
    )
    return words[1]
