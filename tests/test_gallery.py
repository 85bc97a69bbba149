"""Every page of the gallery is what its script says, and a picture has words."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIRST = "01_load"


def check(root):
    """Ask the generator of this tree; return its exit code and what it says."""
    command = [sys.executable, str(root / "examples" / "make_gallery.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def small_tree(tmp_path):
    """Copy the generator, one script, its page and its pictures; the index is that of one page."""
    for name in ("make_gallery.py", "make_notebooks.py", f"{FIRST}.py"):
        (tmp_path / "examples").mkdir(exist_ok=True)
        (tmp_path / "examples" / name).write_bytes((ROOT / "examples" / name).read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    gallery = ROOT / "docs" / "gallery"
    (tmp_path / "docs" / "gallery" / "images").mkdir(parents=True)
    for path in (gallery / f"{FIRST}.md", *(gallery / "images").glob(f"{FIRST}*.png")):
        (tmp_path / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    code = "import make_gallery as m; (m.GALLERY / 'index.md').write_text(m.index(m.examples()), encoding='utf-8')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "examples", check=True)
    return tmp_path


def test_pages_are_what_their_scripts_say():
    assert check(ROOT) == (0, "")


def test_check_accepts_the_small_tree(small_tree):
    assert check(small_tree) == (0, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("examples/01_load.py", "digits.show(16)", "digits.show(9)"),
            "docs/gallery/01_load.md is not what its script",
        ),
        (
            ("examples/01_load.py", "Sixteen handwritten", "Many"),
            "docs/gallery/01_load.md is not what its script says.",
        ),
        (("examples/01_load.py", "# # 1. Load images", "# # 1. Read images"), "docs/gallery/index.md is not what its"),
        (("examples/01_load.py", "# figure: ", "# "), "needs a line `# figure: ...` for each figure"),
        (("docs/gallery/01_load.md", "## Divide", "## Split"), "docs/gallery/01_load.md is not what its script says."),
        (("docs/gallery/images/01_load_1.png", None, None), "docs/gallery/images/01_load_1.png is missing"),
    ],
    ids=["code", "alternative text", "title", "figure without words", "page by hand", "picture"],
)
def test_check_finds_what_is_stale(small_tree, change, said):
    path, old, new = small_tree / change[0], *change[1:]
    if old is None:
        path.unlink()
    else:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    code, printed = check(small_tree)
    assert code == 1
    assert said in printed


def test_check_finds_a_page_without_a_script(small_tree):
    (small_tree / "docs" / "gallery" / "99_gone.md").write_text("# Gone\n", encoding="utf-8")
    assert check(small_tree)[0] == 1


def test_a_public_address_gives_links(small_tree):
    """Without one, pages name the files; with one, each links to its script, its notebook and Colab."""
    page = small_tree / "docs" / "gallery" / f"{FIRST}.md"
    assert "colab" not in page.read_text(encoding="utf-8").lower() or "[project.urls]" in (
        ROOT / "pyproject.toml"
    ).read_text(encoding="utf-8")
    settings = small_tree / "pyproject.toml"
    settings.write_text(
        '[project]\nname = "imgcls"\n[project.urls]\nRepository = "https://github.com/someone/imgcls/"\n',
        encoding="utf-8",
    )
    code = f"import make_gallery as m; print(m.origin({FIRST!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=small_tree / "examples", capture_output=True, text=True, check=True)
    notebook = "blob/main/examples/notebooks/01_load.ipynb"
    assert f"(https://github.com/someone/imgcls/{notebook})" in done.stdout
    assert f"(https://colab.research.google.com/github/someone/imgcls/{notebook})" in done.stdout
    assert check(small_tree)[0] == 1  # the page says otherwise now


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("read in 0.31 s  \n", "read in ... s"),
        ("3 epochs in 12.5 s; loss 0.12", "3 epochs in ... s; loss 0.12"),
        ("'{scratch}/imgcls-fruit-ab12cd34/apple/0.jpg' is empty", "'fruit/apple/0.jpg' is empty"),
        ("accuracy 0.943 [0.921, 0.960]", "accuracy 0.943 [0.921, 0.960]"),
    ],
)
def test_what_differs_from_run_to_run_is_not_shown(text, shown):
    assert printable(text) == (0, shown)


@pytest.mark.parametrize("text", ["{scratch}/other/0.jpg", "/home/ann/0.jpg", "<object at 0x7f00aa11bb22>", "```"])
def test_a_machines_path_is_refused(text):
    code, printed = printable(text)
    assert code == 1
    assert "01_load prints" in printed
    assert "Change the script, so that a page can show it." in printed


def printable(text):
    """Ask the generator how a page would show a text."""
    code = (
        "import sys, tempfile, make_gallery as m\n"
        "try: print(m.printable('01_load', sys.argv[1].replace('{scratch}', tempfile.gettempdir())))\n"
        "except m.GalleryError as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", code, text]
    done = subprocess.run(command, cwd=ROOT / "examples", capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).removesuffix("\n")
