"""Every example runs; every notebook is what its script says."""

import os
import re
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


QUICK = {"01", "02", "03", "07"}  # the others take longer


# --- what each story says, asked of what it leaves behind -----------------------------------------------------------


def own_folder(told):
    wrong = {"apple/00.jpg", "lemon/01.jpg", "lemon/05.jpg", "pear/02.jpg", "pear/05.jpg", "pear/06.jpg"}
    assert set(told["wrong"]) == wrong
    assert told["clean"].counts() == told["data"].counts() == {"apple": 80, "lemon": 79, "pear": 77}
    assert not told["evaluation"].leaks().ids
    assert told["evaluation"].intervals["accuracy"].lower > 1 / 3  # better than guessing


def rare_class(told):
    rarest = {words: told[words].per_class["banded"]["recall"] for words in ("as_it_is", "balanced")}
    assert told["as_it_is"].accuracy > max(0.9, told["common"])  # looks good,
    assert rarest["as_it_is"] < 0.8 < rarest["balanced"]  # and hides how often the rare class is missed
    assert told["balanced"].balanced_accuracy > told["as_it_is"].balanced_accuracy


def satellite_tiles(told):
    assert told["tiles"][0].image.shape[2] == 5
    scenes = {words: set(train.groups) & set(test.groups) for words, (train, test) in told["ways"].items()}
    assert scenes["by chance"]
    assert not scenes["by scene"]
    flattered, honest = (told["evaluations"][words] for words in ("by chance", "by scene"))
    assert honest.accuracy < flattered.accuracy
    assert told["truth"].accuracy < flattered.intervals["accuracy"].lower  # the flattery is found out


def leaf_disease(told):
    chance, copies, whole = (told["evaluations"][words].accuracy for words in told["ways"])
    assert whole < copies < chance
    assert told["truth"].accuracy < told["evaluations"]["by chance"].intervals["accuracy"].lower


def faces(told):
    assert told["evaluation"].accuracy > 0.8
    assert told["familiar"].unknown.mean() < 0.15  # 5 % are promised, of infinitely many
    assert told["unfamiliar"].unknown.mean() > 0.5


def product_search(told):
    assert told["by_features"] > told["by_pixels"] + 0.2
    assert told["new_by_features"] > told["new_by_pixels"]
    assert told["evaluation"].accuracy > 0.8


def several_labels(told):
    assert told["rarest"] == "platelets"
    assert told["chosen"]["platelets"] > told["at_half"]["platelets"]


def cross_validation(told):
    assert told["scores"].shape == told["cropped"].shape == (3,)
    assert told["search"].best_params_["learning_rate"] > 0.0003
    assert told["evaluation"].accuracy > told["means"][0]


def several_workers(told):
    assert [worker.returncode for worker in told["workers"]] == [0, 0]  # ended, both of them
    assert [answer["who"] for answer in told["told"]] == [
        f"TF_CONFIG names 2 workers, and this is worker {index}" for index in range(2)
    ]
    assert told["told"][0]["weights"] == told["told"][1]["weights"]
    assert told["told"][0]["accuracy"] == told["told"][1]["accuracy"]


CLAIMS = {
    "12_own_folder": own_folder,
    "13_rare_class": rare_class,
    "14_satellite_tiles": satellite_tiles,
    "15_leaf_disease": leaf_disease,
    "16_faces": faces,
    "17_product_search": product_search,
    "18_several_labels": several_labels,
    "19_cross_validation": cross_validation,
    "20_several_workers": several_workers,
}


def test_claims_are_those_of_scripts():
    assert CLAIMS.keys() <= {script.stem for script in SCRIPTS}


@pytest.mark.parametrize(
    "script",
    [pytest.param(one, marks=() if one.name[:2] in QUICK else pytest.mark.slow) for one in SCRIPTS],
    ids=lambda script: script.stem,
)
def test_script_runs(script, drawn, capsys):
    told = runpy.run_path(str(script), run_name="__main__")
    text = script.read_text(encoding="utf-8")
    assert drawn or capsys.readouterr().out
    assert len(drawn) == text.count("# figure: ")
    if script.stem in CLAIMS:
        CLAIMS[script.stem](told)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_readme_names_the_script(script):
    assert f"]({script.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*SCRIPTS, *NOTEBOOKS], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name}: {target} does not exist"


# --- your own images ------------------------------------------------------------------------------------------------


def with_own(name, given, scratch):
    """Write an example whose one line `folder = None` or `table = None` names these images instead."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    changed = re.sub(r"^(folder|table) = None", lambda line: f"{line[1]} = {str(given)!r}", text, flags=re.MULTILINE)
    assert changed != text
    (scratch / f"{name}.py").write_text(changed, encoding="utf-8")
    return scratch / f"{name}.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["12_own_folder", "13_rare_class", "14_satellite_tiles", "15_leaf_disease", "16_faces", "17_product_search"]
)
def test_stories_take_your_own_folder(name, drawn, tmp_path):
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(270):
        shade = (40, 120, 200)[index % 3]
        place = tmp_path / "own" / f"class {index % 3}" / f"scene-{index // 9}_leaf {index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(shade + random.normal(0, 30, (32, 32, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(place)
    told = runpy.run_path(str(with_own(name, tmp_path / "own", tmp_path)), run_name="__main__")
    assert not {"truth", "later"} & told.keys()  # nobody can draw more of yours
    assert drawn


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
