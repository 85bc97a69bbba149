"""Nothing is shown that is not executed; nothing public is undocumented; no link leads nowhere.

Every Python block of README.md and docs/ runs, the blocks of one page in order and in one namespace. A block of text
titled "prints" is compared with what the block before it printed, where `...` stands for anything. There is no marker
that skips a block.
"""

import base64
import contextlib
import doctest
import functools
import importlib
import io
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import imgcls

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
DOCUMENTED = re.findall(r"^::: imgcls\.([\w.]+)$", REFERENCE, re.MULTILINE)
BESIDE = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "benchmarks/README.md")]
FOREIGN = {f'text title="{name}"' for name in ("fastai", "AutoKeras")}  # code of libraries that are not installed here
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(imgcls.__path__, "imgcls.")
    if name != "imgcls.__main__"  # running it is the command line
]


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    info: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, also those inside lists."""
    text = page.read_text(encoding="utf-8")
    fence = r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$"
    found = re.finditer(fence, text, re.DOTALL | re.MULTILINE)
    return [Block(text.count("\n", 0, match.start("text")), match["info"].strip(), match["text"]) for match in found]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def given_files(tmp_path_factory):
    """Make the few files that pages may rely on: tiny, and different enough to be told apart."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(0)
    colors = {"daisy": (235, 225, 120), "rose": (200, 40, 60), "tulip": (120, 60, 190)}

    def draw(name, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.array(colors[name]) + random.normal(0, 25, (24, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)

    rows = ["image,label"]
    for name in colors:
        for index in range(16):
            draw(name, folder / "flowers" / name / f"{index:02d}.png")
            rows.append(f"flowers/{name}/{index:02d}.png,{name}")
            part = "train" if index < 8 else "validation" if index < 12 else "test"
            draw(name, folder / "divided" / part / name / f"{index:02d}.png")
        draw(name, folder / "new" / f"{name}.jpg")
    draw("daisy", folder / "new.jpg")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def workplace(given_files, tmp_path, monkeypatch):
    """Work in a copy of the given files, draw without a window."""
    import shutil

    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    shutil.copytree(given_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


def write_weights(path):
    """Write random weights of `mobilenet_025`, as how-to/transfer-learning.md says."""
    import keras

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    network.save_weights(path)


# --- blocks --------------------------------------------------------------------------------------------------------


FIRST = {ROOT / "README.md", DOCS / "how-to" / "predict.md"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page in FIRST else pytest.mark.slow)  # all together take minutes
        for page in PAGES
        if page.parent != DOCS / "gallery"  # which examples/make_gallery.py made by running them
        and any(block.info == "python" for block in blocks(page))
    ],
    ids=page_id,
)
def test_blocks_run_and_print_what_the_page_says(page, workplace):
    found = blocks(page)
    if page.parent != DOCS / "tutorials" and any("mobilenet_025.weights.h5" in block.text for block in found):
        write_weights(workplace / "mobilenet_025.weights.h5")
    namespace = {"__name__": "__main__"}
    for block, following in pairwise([*found, Block(0, "", "")]):
        if block.info != "python":
            continue
        code = compile("\n" * block.line + block.text, str(page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)  # noqa: S102 - the point of this test
        if following.info == 'text title="prints"':
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            same = doctest.OutputChecker().check_output(following.text, printed.getvalue(), flags)
            assert same, f"{page.name}, line {block.line}: printed\n{printed.getvalue()}\nand not\n{following.text}"


ENVIRONMENT = ("python -m venv ", "source ", "python -m pip ", "pip install ")  # .ci/run types those of the README


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in sorted((DOCS / "tutorials").glob("*.md")) if any(block.info == "bash" for block in blocks(page))],
    ids=page_id,
)
def test_shell_blocks_of_tutorials_run(page, workplace):
    """In order, between the blocks of Python, which write what they read. A server runs until its page ends."""
    for name in ("photos", "your-folder"):
        (workplace / name).symlink_to("flowers")
    (workplace / "new-image.jpg").symlink_to("new.jpg")
    namespace = {"__name__": "__main__"}
    with contextlib.ExitStack() as servers:
        for block in blocks(page):
            if block.info == "python":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(block.text, str(page), "exec"), namespace)  # noqa: S102 - the point of this test
            for line in block.text.splitlines() if block.info == "bash" else ():
                if line.startswith("imgcls serve"):
                    servers.enter_context(serving(line))
                elif not line.startswith(ENVIRONMENT):
                    done = subprocess.run(line, shell=True, env=SHELL, capture_output=True, text=True, check=False)  # noqa: S602 - ours
                    assert done.returncode == 0, f"{page.name}: {line}\n{done.stdout}{done.stderr}"


SHELL = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@contextlib.contextmanager
def serving(line: str) -> Iterator[None]:
    """Start a server as a page says, wait until it is ready, and end it."""
    with subprocess.Popen(shlex.split(line), env=SHELL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while "http://" not in said:
            said = process.stderr.readline()
            assert said, "the server ended before it was ready"
        yield
        process.terminate()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_blocks_are_of_a_known_kind(page):
    """A misspelt fence would silently not run; a block that "prints" must follow one that runs."""
    kinds = ["", *(block.info for block in blocks(page))]
    assert set(kinds) <= {"", "python", "bash", "text", 'text title="prints"', *FOREIGN}
    assert "" not in kinds[1:]
    assert all(one == "python" for one, two in pairwise(kinds) if two == 'text title="prints"')
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist(page):
    """Those of tutorials are run too; of the others, verbs and flags are looked up."""
    import typer.main

    from imgcls.cli import app

    verbs = typer.main.get_command(app).commands
    for block in blocks(page):
        lines = block.text.splitlines() if block.info == "bash" else []
        for words in (line.split("#")[0].split() for line in lines):
            if "imgcls" in words and words[-1] != "imgcls" and "install" not in words and "which" not in words:
                verb = words[words.index("imgcls") + 1]
                flags = {name for option in verbs[verb].params for name in option.opts} | {"--help", "-h"}
                assert {word for word in words if word.startswith("-")} <= flags, f"{page.name}: {words}"


def run_with_stand_ins(script, folder, **commands):
    """Run a script of a page where some commands are ours; return its exit code, and how those were called."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "called").write_text("")
    for name, does in commands.items():
        (folder / "bin" / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "{folder}/called"\n{does}\n')
        (folder / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=os.environ | {"PATH": path}, timeout=60, check=False)  # noqa: S607 - as users do
    return done.returncode, (folder / "called").read_text().splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="the pages are written for the machines that one rents")
def test_the_script_for_spot_instances_ends_where_the_first_copy_fails(tmp_path):
    """Else training would begin anew, and the last line delete the checkpoints that an earlier machine has left."""
    script = next(one.text for one in blocks(DOCS / "how-to" / "aws.md") if one.text.startswith("#!/bin/bash"))
    others = {"imgcls": "exit 0", "curl": "exit 22", "sleep": "/bin/sleep 0.1"}
    first = "aws s3 sync s3://BUCKET/runs runs"
    assert run_with_stand_ins(script, tmp_path, aws="exit 1", **others) == (1, [first])
    code, called = run_with_stand_ins(script, tmp_path, aws="exit 0", **others)
    copies = [line for line in called if line.startswith("aws ")]
    last = ["aws s3 cp photos.imgcls s3://BUCKET/", "aws s3 sync --delete runs s3://BUCKET/runs"]
    assert (code, copies[0], copies[-2:]) == (0, first, last)
    assert any(line.startswith("imgcls train photos ") for line in called)


@pytest.mark.skipif(sys.platform != "linux", reason="base64 has another flag elsewhere")
def test_the_line_for_tensorflow_serving_sends_a_photo_of_any_size(tmp_path):
    page = DOCS / "how-to" / "tensorflow-serving.md"
    script = next(one.text for one in blocks(page) if one.info == "bash" and "curl" in one.text)
    photo = np.random.default_rng(0).bytes(1_000_000)
    (tmp_path / "new.jpg").write_bytes(photo)
    code, called = run_with_stand_ins(script, tmp_path, curl="cat > sent")
    assert (code, called) == (0, ["curl -d @- http://127.0.0.1:8501/v1/models/flowers:predict"])
    sent = json.loads((tmp_path / "sent").read_text())
    assert sent["signature_name"] == "bytes"
    assert [base64.b64decode(one["b64"]) for one in sent["instances"]] == [photo]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_names_of_classes_are_read_line_by_line(page):
    """Such as "sugar maple": at each blank, one class would become two."""
    assert not re.search(r"labels\.txt.*\.split\(\)", page.read_text(encoding="utf-8"))


def test_every_verb_and_flag_is_in_the_reference():
    import typer.main

    from imgcls.cli import app

    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    for name, verb in typer.main.get_command(app).commands.items():
        section = text.split(f"\n## {name}")[1].split("\n## ")[0]
        flags = {flag for option in verb.params for flag in option.opts if flag.startswith("-")}
        assert flags == set(re.findall(r"`(-[-a-z]+)`", section)), name


# --- docstrings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith("imgcls.classifier._") else ())  # they train
        for name in MODULES
    ],
)
def test_docstring_examples_run(name, tmp_path, monkeypatch):
    """Each in its own module only: what a package re-exports runs where it is defined."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.write)
    plt.close("all")
    assert not runner.failures, report.getvalue()


def resolved(name: str) -> Any:
    """Return what a name below `imgcls` stands for."""
    return functools.reduce(getattr, name.split("."), imgcls)


@pytest.fixture(scope="module")
def executed():
    """Return all that the tests above run: examples of docstrings, and blocks of pages."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for name in MODULES for test in finder.find(importlib.import_module(name), name)]
    docstrings = [example.source for test in tests for example in test.examples]
    return "\n".join([*docstrings, *(block.text for page in PAGES for block in blocks(page) if block.info == "python")])


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_has_an_example(name, executed):
    """In its own docstring; constants have none, and stand in a block of their page."""
    value = resolved(name)
    if isinstance(value, type | FunctionType):
        assert ">>> " in (value.__doc__ or "")
    else:
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", executed)


def test_every_public_member_is_used_in_an_example(executed):
    """What a class of Keras names, such as `call` of a layer, is for Keras to call."""
    unused = []
    for name in DOCUMENTED:
        bases = getattr(resolved(name), "__mro__", ())
        ours = [base for base in bases if base.__module__.startswith("imgcls")]
        foreign = [base for base in bases if base not in ours]
        for member, value in [pair for base in ours for pair in vars(base).items()]:
            is_member = isinstance(value, FunctionType | classmethod | staticmethod | property)
            if is_member and not member.startswith("_") and not any(hasattr(base, member) for base in foreign):
                unused += [] if re.search(rf"\.{member}\b", executed) else [f"{name}.{member}"]
    assert not unused


# --- completeness --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", imgcls.__all__)
def test_reference_lists_the_door(name):
    assert re.search(rf"\bimgcls\.{name}\b", (DOCS / "reference" / "index.md").read_text(encoding="utf-8"))


def test_reference_lists_nothing_that_is_not_behind_the_door():
    text = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[?`imgcls\.(\w+)`", text, re.MULTILINE)) == sorted(imgcls.__all__)


@pytest.mark.parametrize(
    "room",
    [
        "architectures",
        "bundle",
        "datasets",
        "errors",
        "explain",
        "export",
        "inference",
        "metrics",
        "plotting",
        "predictions",
        "serving",
        "trainer",
        "transforms",
    ],
)
def test_reference_documents_every_name_of_a_room(room):
    module = importlib.import_module(f"imgcls.{room}")
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    documented = re.findall(rf"^::: imgcls\.{room}\.(\w+)$", REFERENCE, re.MULTILINE)
    assert set(public) <= set(documented)
    assert len(documented) == len(set(documented))


def test_reference_has_a_row_for_every_architecture_and_augmentation():
    from imgcls import architectures, transforms

    for room, page in ((architectures, "architectures.md"), (transforms, "transforms.md")):
        text = (DOCS / "reference" / page).read_text(encoding="utf-8")
        assert tuple(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == room.names()


def test_floors_are_drawn_as_built():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    drawing = next(block for block in blocks(DOCS / "concepts" / "architecture.md") if block.info == "text")
    assert drawing.text.splitlines() == contracts["contracts"][0]["layers"]


def test_error_tree_is_the_one_in_the_code():
    from imgcls import errors

    drawing = blocks(DOCS / "reference" / "errors.md")[0].text
    assert drawing in errors.__doc__


# --- links ---------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings, and the names that the reference documents there."""
    text = prose(page)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}
    return slugs | set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=page_id)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target} does not exist"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target} has no such heading"


def included(page: Path) -> list[Path]:
    """Return the files that a page takes text from."""
    return [ROOT / name for name in re.findall(r'^--8<-- "([^":]+)', page.read_text(encoding="utf-8"), re.MULTILINE)]


def test_included_files_hide_nothing_from_these_tests():
    """What is included is not read above: it may hold no blocks, and on the page a relative link would lead elsewhere."""
    found = {path: page for page in PAGES for path in included(page)}
    assert {path.name for path in found} == {"CHANGELOG.md", "README.md"}
    for path, page in found.items():
        assert not blocks(path), path
        section = re.search(r'^--8<-- "[^":]+:(\w+)"$', page.read_text(encoding="utf-8"), re.MULTILINE)
        text = prose(path)
        if section:
            text = text.split(f"[start:{section[1]}]")[1].split(f"[end:{section[1]}]")[0]
        relative = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith("https://")]
        assert not relative, f"{path}: {relative}"


def test_the_classifier_page_lists_every_member_of_the_class():
    """They stand in an order of their own, what one does first at the top; none may be forgotten."""
    page = (DOCS / "reference" / "classifier.md").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- (\w+)$", page, re.MULTILINE)
    public = [
        name
        for kind in imgcls.ImageClassifier.__mro__
        if kind.__module__.startswith("imgcls")
        for name, value in vars(kind).items()
        if not name.startswith("_") and isinstance(value, FunctionType | classmethod | property) and value.__doc__
    ]
    assert sorted(listed) == sorted(public)


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"[\w/-]+\.md$", text, re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES[1:])


def test_pictures_are_small_and_used():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (DOCS / "images").iterdir():
        assert picture.stat().st_size < 120_000, picture.name
        assert picture.name in text, f"{picture.name} is on no page"


# --- README --------------------------------------------------------------------------------------------------------


def tree_paths(text: str) -> list[str]:
    """Return the paths that a drawn tree names, below its first line."""
    folders: list[str] = []
    paths = []
    for line in text.splitlines()[1:]:
        match = re.fullmatch(r"(?P<indent>(?:[│ ] {3})*)[├└]── (?P<name>\S+)(?: .*)?", line)
        assert match, f"this line is no branch of the tree: {line!r}"
        folders = [*folders[: len(match["indent"]) // 4], match["name"].rstrip("/")]
        paths.append("/".join(folders))
    return paths


def test_tree_paths():
    tree = "imgcls/\n├── src/imgcls/   the package\n│   └── cli.py     verbs\n└── README.md     this\n"
    assert tree_paths(tree) == ["src/imgcls", "src/imgcls/cli.py", "README.md"]


def test_tree_in_readme_names_only_what_exists():
    trees = [block.text for block in blocks(ROOT / "README.md") if block.text.startswith("imgcls/")]
    assert len(trees) == 1
    missing = [path for path in tree_paths(trees[0]) if not (ROOT / path).exists()]
    assert not missing


def test_tree_in_readme_names_every_room():
    tree = next(block.text for block in blocks(ROOT / "README.md") if block.text.startswith("imgcls/"))
    hidden = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
    rooms = {f"src/imgcls/{path.name}" for path in (ROOT / "src" / "imgcls").iterdir() if path.name not in hidden}
    assert rooms == {path for path in tree_paths(tree) if path.startswith("src/imgcls/")}
