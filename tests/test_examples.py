"""Every example runs; every notebook is what its script says."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Work in an empty folder, draw without a window, and count the figures that were shown."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    shown = []

    def show():
        shown.extend(plt.get_fignums())
        plt.close("all")

    mpl.use("Agg")
    plt.close("all")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", show)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield shown
    assert not plt.get_fignums(), "a figure is drawn and never shown"


def test_the_seven_steps_come_first():
    assert [script.name[:3] for script in SCRIPTS] == [f"{step:02d}_" for step in range(1, len(SCRIPTS) + 1)]


STEPS = 7  # the stories after them take longer


@pytest.mark.parametrize(
    "script",
    [*SCRIPTS[:STEPS], *(pytest.param(script, marks=pytest.mark.slow) for script in SCRIPTS[STEPS:])],
    ids=lambda script: script.stem,
)
def test_script_runs(script, drawn, capsys):
    runpy.run_path(str(script), run_name="__main__")
    assert drawn or capsys.readouterr().out
    assert bool(drawn) == ("plt.show()" in script.read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_readme_names_the_script(script):
    assert f"]({script.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_notebooks_are_what_their_scripts_say():
    command = [sys.executable, str(EXAMPLES / "make_notebooks.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(NOTEBOOKS) == len(SCRIPTS)


def test_check_finds_a_stale_notebook(tmp_path):
    """The check can fail: in a copy, one script says something else."""
    for path in (EXAMPLES / "make_notebooks.py", SCRIPTS[0]):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, str(tmp_path / "make_notebooks.py")]
    subprocess.run(command, check=True)
    with (tmp_path / SCRIPTS[0].name).open("a", encoding="utf-8") as file:
        file.write("\n# %%\nprint(1)\n")
    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (stale.returncode, f"notebooks/{SCRIPTS[0].stem}.ipynb is not" in stale.stdout) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    """In a process of its own, because Jupyter's libraries warn about each other."""
    code = (
        "import nbformat, nbclient, sys\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3',"
        " resources={'metadata': {'path': sys.argv[2]}}).execute()\n"
        "pictures = [1 for cell in notebook.cells for output in cell.get('outputs', [])"
        " if 'image/png' in output.get('data', {})]\n"
        "print(len(pictures))\n"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # Jupyter has its own
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert bool(int(done.stdout)) == ("plt.show()" in path.read_text(encoding="utf-8"))
