"""The tree is the one that is drawn, and each error is also what the ecosystem expects."""

import inspect
import re

import pytest
import sklearn.exceptions

import imgcls
from imgcls import errors


def drawn():
    """Return {child: parent} as drawn at the head of the file."""
    tree, branch = {}, []
    for line in errors.__doc__.split("```")[1].strip().splitlines():
        name = re.search(r"\w+", line)
        depth = name.start() // 4
        branch[depth:] = [name.group()]
        if depth:
            tree[name.group()] = branch[depth - 1]
    return tree


def test_the_tree_is_as_drawn():
    found = {
        name: error.__bases__[0].__name__
        for name, error in {**vars(errors), "NotFittedError": imgcls.NotFittedError}.items()
        if inspect.isclass(error) and error is not errors.ImgclsError
    }
    assert found == drawn()
    assert len(found) == 13


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("ConfigurationError", ValueError),
        ("DataError", ValueError),
        ("EmptyDatasetError", ValueError),
        ("UnreadableImageError", ValueError),
        ("NotFittedError", sklearn.exceptions.NotFittedError),
    ],
)
def test_each_is_also_what_the_ecosystem_expects(name, parent):
    error = getattr(imgcls, name)
    assert issubclass(error, parent)
    with pytest.raises(imgcls.ImgclsError, match="words"):
        raise error("words")
