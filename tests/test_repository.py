"""The repository says one thing: README, CI and the package agree."""

import re
import tomllib
from pathlib import Path

import imgcls

ROOT = Path(__file__).parents[1]


def test_readme_and_ci_run_the_same_two_commands_to_the_letter():
    blocks = re.findall(r"```bash\n(python -m pip install .*)\n```", (ROOT / "README.md").read_text())
    assert len(blocks) == 2
    script = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert all(block in script for block in blocks)


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == imgcls.__version__
    assert f"version: {imgcls.__version__}" in (ROOT / "CITATION.cff").read_text()
