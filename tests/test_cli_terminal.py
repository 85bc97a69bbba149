"""The command line as a shell meets it: pipes, terminals, completion, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgcls import bundle, cli
from imgcls.cli._print import Row, Section, print_lines, print_sections, print_text

ESCAPE = "\x1b["
DRAW = "from imgcls.cli import _print as p; p.print_sections([p.Section('TensorFlow', [p.Row('GPU:0', 'computes', 'good'), p.Row('x', '[bold]', 'bad')])]); p.print_text('accuracy 0.943 [0.921, 0.960]\\nerror  IMG001'); p.print_lines([('pip install \"imgcls[gpu]\" ' + 'x' * 90, 'poor')])"


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    return kept | {"TERM": "xterm-256color"} | more


def piped(*command, **more):
    return subprocess.run([*command], capture_output=True, text=True, check=False, timeout=120, env=environment(**more))


def in_terminal(*command, stream="stdout", **more):
    """Run a command with a terminal as stdout, or as stderr, and return what it wrote there."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")
    ours, theirs = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: theirs}
    with subprocess.Popen([*command], **streams, env=environment(**more)) as process:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so where the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(ours)
    assert process.returncode == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


# --- pipes and terminals -------------------------------------------------------------------------------------------


def test_in_a_pipe_there_is_plain_text():
    told = piped(sys.executable, "-c", DRAW)
    assert told.stderr == ""
    assert told.stdout == (
        "TensorFlow\n  GPU:0  computes\n  x      [bold]\n\naccuracy 0.943 [0.921, 0.960]\nerror  IMG001\n"
        'pip install "imgcls[gpu]" ' + "x" * 90 + "\n"
    )


def test_in_a_terminal_there_are_tables_and_colors():
    told = in_terminal(sys.executable, "-c", DRAW)
    assert ESCAPE in told
    assert "╭" in told
    plain = re.sub(r"\x1b\[[\d;]*m", "", told)
    assert "│ GPU:0 │ computes │" in plain
    assert "[bold]" in plain  # words are words, not markup
    assert f'pip install "imgcls[gpu]" {"x" * 90}\n' in plain  # not broken, so that it can be copied


def test_no_color_is_honored():
    told = in_terminal(sys.executable, "-c", DRAW, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*3\dm", told)
    assert "computes" in told


def test_no_color_is_honored_by_errors_and_warnings():
    code = (
        "import contextlib, sys, warnings; from imgcls import cli, errors; from imgcls.cli import _learn\n"
        "def read(*arguments, **options): warnings.warn('odd', errors.DataWarning); raise errors.DataError('wrong')\n"
        "_learn.read_dataset = read; sys.argv = ['imgcls', 'check', 'x']\n"
        "with contextlib.suppress(SystemExit): cli.main()"
    )
    command = [sys.executable, "-c", code]
    assert in_terminal(*command, stream="stderr") == "\x1b[33mimgcls: odd\x1b[0m\n\x1b[31mimgcls: wrong\x1b[0m\n"
    assert in_terminal(*command, stream="stderr", NO_COLOR="1") == "imgcls: odd\nimgcls: wrong\n"


def test_info_in_a_pipe_and_in_a_terminal(made):
    command = [sys.executable, "-m", "imgcls", "info", str(made)]
    plain = piped(*command)
    assert plain.returncode == 0
    assert ESCAPE not in plain.stdout
    drawn = in_terminal(*command)
    assert ESCAPE in drawn
    assert re.sub(r"\x1b\[[\d;]*m", "", drawn) == plain.stdout


@pytest.fixture(scope="session")
def made():
    return next((Path(__file__).parent / "bundles").glob("*.imgcls"))


def test_a_reader_that_stops_early_ends_it_without_a_traceback(made):
    command = f"{sys.executable} -m imgcls info {made} | head -c 1"
    told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert len(told.stdout) == 1
    assert told.stderr == ""


def test_classes_in_any_alphabet_come_out_of_a_pipe(made, tmp_path):
    """Windows gives a pipe the alphabet of one country."""
    description, weights, named = bundle.load(made)
    names = ["日本", "Gänseblümchen 🌼", *map(str, description["classes"][2:])]
    path = bundle.save(tmp_path / "a.imgcls", description | {"classes": names}, weights, named)
    command = [sys.executable, "-m", "imgcls", "info", str(path)]
    for more in ([], ["--json"]):
        told = subprocess.run(
            [*command, *more], capture_output=True, check=False, timeout=120, env=environment(PYTHONIOENCODING="cp1252")
        )
        assert told.returncode == 0
        assert all(name in told.stdout.decode() for name in names)


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names are text there")
def test_a_file_whose_name_is_no_text_spoils_no_result(photos):
    name = b"ros\xe9.png"
    (photos / "cat" / os.fsdecode(name)).write_bytes(b"no image")
    command = [sys.executable, "-m", "imgcls", "check", str(photos), "--json"]
    strict = environment(PYTHONIOENCODING="utf-8:strict")
    told = subprocess.run(command, capture_output=True, check=False, timeout=120, env=strict)
    assert told.returncode == 3
    ids = [one for finding in json.loads(told.stdout.decode())["findings"] for one in finding["ids"]]
    assert f"cat/{os.fsdecode(name)}" in ids
    show = "import sys; from imgcls.cli import main; import typer; from imgcls.cli import _learn\n"
    show += (
        "_learn.read_dataset = lambda path, **_: [typer.echo(one.name) for one in path.glob('*/ros*')] and sys.exit()\n"
    )
    show += "sys.argv = ['imgcls', 'check', sys.argv[1]]; main()"
    told = subprocess.run(
        [sys.executable, "-c", show, str(photos)], capture_output=True, check=False, timeout=120, env=strict
    )
    assert told.stdout == name + b"\n"


def test_printing_in_this_process(capsys):
    print_sections([Section("nothing", [])])
    print_text("x")
    print_lines([("y", "good")])
    assert capsys.readouterr().out == "nothing\n\nx\ny\n"
    assert Row("a", "b").state == ""


# --- exit codes ----------------------------------------------------------------------------------------------------


def left_with(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["imgcls", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    return leaving.value.code


def test_exit_codes(photos, made, monkeypatch, capsys):
    assert left_with(monkeypatch, "info", made) == 0
    assert left_with(monkeypatch, "info", "nowhere.imgcls") == 1
    assert left_with(monkeypatch, "chekc", photos) == 2
    assert left_with(monkeypatch, "check", photos, "--agianst", photos) == 2
    assert left_with(monkeypatch, "check") == 2
    assert left_with(monkeypatch, "train", photos, "--seed", "x") == 2
    (photos / "cat" / "text.jpg").write_text("hello")
    assert left_with(monkeypatch, "check", photos) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_what_the_system_refuses_is_told_in_words(photos, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("imgcls.cli._learn.read_dataset", full)
    assert left_with(monkeypatch, "check", photos) == 1
    assert capsys.readouterr().err == (
        "imgcls: 'report.html': No space left on device. Check the path, its permissions and the free disk, and try again.\n"
    )


def test_where_nothing_can_be_written_tensorflow_starts_with_its_noise(tmp_path):
    """As in a container that is read-only: there is no file to hold it back in, and none that Matplotlib may write."""
    nowhere = tmp_path / "file" / "none"
    nowhere.parent.touch()
    started = (
        f"import os, tempfile; tempfile.tempdir = {str(nowhere)!r}; from imgcls.cli._open import tensorflow_started as s\n"
        "with s(): os.write(2, b'noise')\n"
        "with s(): raise PermissionError('of what runs')"
    )
    told = piped(sys.executable, "-c", started, HOME=str(nowhere), MPLCONFIGDIR=str(nowhere))
    assert told.stderr.startswith("noise")
    assert told.stderr.endswith("\nPermissionError: of what runs\n")
    assert "During handling" not in told.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_ctrl_c_gives_130(photos):
    code = (
        "import sys, time; from imgcls.cli import _learn, main\n"
        "def wait(*arguments, **options): print('at work', flush=True); time.sleep(60)\n"
        "_learn.read_dataset = wait; sys.argv = ['imgcls', 'check', sys.argv[1]]; main()"
    )
    command = [sys.executable, "-c", code, str(photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert not said.strip()


def test_the_reference_lists_every_exit_code():
    text = (Path(__file__).parents[1] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    table = text.split("## Exit codes")[1].split("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "3", "130"]


# --- help and completion -------------------------------------------------------------------------------------------


def verbs():
    import typer.main

    return typer.main.get_command(cli.app).commands


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_help_has_an_example_that_parses(verb):
    """Each line that begins with "Example" names this verb, and flags that it has."""
    import inspect

    text = inspect.cleandoc(verbs()[verb].help)
    examples = re.search(r"^Examples?: (.*)", text, re.MULTILINE | re.DOTALL)
    assert examples, "no example"
    flags = {flag for option in verbs()[verb].params for flag in option.opts}
    for line in examples[1].replace("\n", " ").split(";"):
        words = line.split()
        assert words[:2] == ["imgcls", verb]
        assert {word for word in words if word.startswith("-")} <= flags


def test_verbs_that_leave_otherwise_say_so_in_their_help():
    assert {verb for verb, one in verbs().items() if "xit code" in one.help} == {"check", "doctor", "predict", "verify"}


@pytest.mark.parametrize("verb", sorted(set(verbs()) - {"serve"}))
def test_every_verb_with_a_result_takes_json(verb):
    assert "--json" in {flag for option in verbs()[verb].params for flag in option.opts}


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o default -F _imgcls_completion imgcls"),
        ("zsh", "#compdef imgcls"),
        ("fish", "complete --command imgcls"),
    ],
)
def test_completion_can_be_shown_for_each_shell(shell, words):
    # Typer finds out in which shell it runs; for its own tests the name can be given.
    told = piped("imgcls", "--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert told.returncode == 0
    assert words in told.stdout


def test_completion_completes_verbs_and_flags():
    asked = {"_IMGCLS_COMPLETE": "complete_bash", "COMP_WORDS": "imgcls ev", "COMP_CWORD": "1"}
    assert piped("imgcls", **asked).stdout.split() == ["evaluate"]
    asked |= {"COMP_WORDS": "imgcls train --ima", "COMP_CWORD": "2"}
    assert piped("imgcls", **asked).stdout.split() == ["--image-size", "--image"]


def test_json_is_one_document(photos):
    told = CliRunner().invoke(cli.app, ["check", str(photos), "--json"])
    assert isinstance(json.loads(told.stdout), dict)
