"""The door: light, silent, complete."""

import json
import subprocess
import sys

import pytest

import imgcls

PROBE = """
import json, os, sys
before = dict(os.environ)
heavy = ("tensorflow", "keras", "sklearn", "matplotlib", "seaborn", "pandas", "PIL")
def loaded():
    return [name for name in heavy if name in sys.modules]
import imgcls
report = {"import": loaded(), "environment": dict(os.environ) == before}
import contextlib, io
out = io.StringIO()
with contextlib.redirect_stdout(out):
    from imgcls.cli import main
    try:
        sys.argv = ["imgcls", "--help"]
        report["code"] = main()
    except SystemExit as stop:
        report["code"] = stop.code
report |= {"help": loaded(), "text": out.getvalue(), "environment after help": dict(os.environ) == before}
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def fresh():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_import_loads_nothing_heavy_and_changes_nothing(fresh):
    assert fresh["import"] == []
    assert fresh["environment"] is True


def test_help_loads_nothing_heavy_and_changes_nothing(fresh):
    assert fresh["help"] == []
    assert fresh["environment after help"] is True
    assert fresh["code"] in {0, None}
    assert "predict" in fresh["text"]


def test_names_are_sorted_and_each_is_once():
    assert imgcls.__all__ == sorted(set(imgcls.__all__))
    assert dir(imgcls) == imgcls.__all__


@pytest.mark.parametrize("name", imgcls.__all__)
def test_every_public_name_resolves_and_has_a_docstring(name):
    value = getattr(imgcls, name)
    if name == "__version__":
        assert value[0].isdigit()
        return
    assert value.__doc__.strip()
    assert value.__doc__ not in {base.__doc__ for base in getattr(value, "__mro__", ())[1:]}
    for inner in getattr(value, "__all__", ()):
        assert getattr(value, inner).__doc__, inner


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'imgcls' has no attribute 'Classifier'$"):
        imgcls.Classifier  # noqa: B018 - looking is the test
