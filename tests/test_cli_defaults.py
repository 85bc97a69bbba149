"""`imgcls.toml`: what it sets, what the command line overrides, and what is refused."""

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from imgcls import ConfigurationError, cli
from imgcls.cli._defaults import take_defaults

RUN = CliRunner()
COLUMNS = "Accepted: architecture, weights, image_size, budget, seconds, image, label, root, json, verbose."


@pytest.fixture
def wrote(tmp_path, monkeypatch):
    """Work in a folder of its own; return what writes a file there."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="imgcls.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def refusal(*arguments):
    error = RUN.invoke(cli.app, [*arguments]).exception
    assert isinstance(error, ConfigurationError), error
    return str(error)


def small_app():
    """Return an app with a verb that prints what it was given: defaults without a minute of training."""
    app = typer.Typer()

    @app.callback()
    def begin(context: typer.Context):
        take_defaults(context, None)

    @app.command()
    def show(
        name: str,
        *,
        image_size: str = "auto",
        seed: int = 0,
        rate: float = 1.0,
        loud: Annotated[bool, typer.Option("--loud")] = False,
        form: Annotated[str, typer.Option("--format")] = "text",
        tag: list[str] | None = None,
    ):
        typer.echo(json.dumps([name, image_size, seed, rate, loud, form, tag or []]))

    @app.command()
    def other(): ...

    return app


FULL = '[show]\nimage_size = 64\nseed = 3\nrate = 2\nloud = true\nformat = "csv"\ntag = ["a", "b"]\n[other]\n'


def test_defaults_hold_and_the_command_line_wins(wrote):
    wrote(FULL)
    told = RUN.invoke(small_app(), ["show", "x"], catch_exceptions=False)
    assert json.loads(told.stdout) == ["x", "64", 3, 2.0, True, "csv", ["a", "b"]]
    assert told.stderr == (
        'defaults from imgcls.toml: image_size = 64, seed = 3, rate = 2, loud = true, format = "csv", tag = ["a", "b"]\n'
    )
    typed = RUN.invoke(
        small_app(), ["show", "x", "--seed", "9", "--format", "xml", "--tag", "c"], catch_exceptions=False
    )
    assert json.loads(typed.stdout) == ["x", "64", 9, 2.0, True, "xml", ["c"]]


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("coverage = 0.8", []),
        ('set_method = "raps"', ["--abstain", "unknown"]),
        ('format = "jsonl"', ["-o", "a.csv"]),
        ('format = "csv"', ["--json"]),
    ],
)
def test_a_default_may_lie_idle_and_what_is_typed_may_not(wrote, line, typed):
    key, _, value = line.partition(" = ")
    flag = [f"--{key.replace('_', '-')}", value.strip('"')]
    refused = refusal("predict", "m.imgcls", "x.png", *typed, *flag)
    assert refused.startswith(flag[0])
    wrote(f"[predict]\n{line}\n")
    error = RUN.invoke(cli.app, ["predict", "m.imgcls", "x.png", *typed]).exception
    assert str(error).startswith("bundle 'm.imgcls' does not exist")


@pytest.mark.parametrize(
    ("words", "key", "goes_on"),
    [
        *(("train photos", key, "folder 'photos' does not exist.") for key in ("image", "label", "root")),
        ("check photos", "label", "folder 'photos' does not exist."),
        ("check photos", "root", "folder 'photos' does not exist."),
        ("plan photos", "label", "folder 'photos' does not exist."),
        ("evaluate MODEL photos", "label", "folder 'photos' does not exist."),
        ("predict MODEL photos", "image", "file or folder 'photos' does not exist."),
        ("card MODEL photos", "label", "folder 'photos' does not exist."),
        ("card MODEL", "label", "opened"),
        ("export MODEL -o a.onnx", "image", "opened"),
    ],
)
def test_a_default_of_how_tables_are_read_lies_idle_where_none_is_read(words, key, goes_on, wrote, monkeypatch):
    def opened(*_, **__):
        raise LookupError("opened")

    for room in ("_use", "_ship"):
        monkeypatch.setattr(f"imgcls.cli.{room}.opened", opened)
    model = str(next((Path(__file__).parent / "bundles").glob("*.imgcls")))
    given = [model if word == "MODEL" else word for word in words.split()]
    assert refusal(*given, f"--{key}", "x").startswith(f"--{key}: these say how a .csv file is read, and ")
    wrote(f"[{given[0]}]\n{key} = 'x'\n")
    assert str(RUN.invoke(cli.app, given).exception).startswith(goes_on)


def test_a_default_of_how_tables_are_read_holds_where_one_is_read(wrote):
    wrote("[train]\nlabel = 'kind'\n")
    wrote("image,species\n1.png,cat\n", "photos.csv")
    assert refusal("train", "photos.csv").startswith("there is no column 'kind'. The columns are image, species.")


def test_a_verb_without_a_table_keeps_its_own_defaults(wrote):
    wrote("[other]\n")
    told = RUN.invoke(small_app(), ["show", "x"], catch_exceptions=False)
    assert json.loads(told.stdout) == ["x", "auto", 0, 1.0, False, "text", []]
    assert told.stderr == ""


def test_a_file_of_windows_with_its_mark_is_read(wrote):
    wrote("\ufeff[show]\nseed = 5\n")
    assert json.loads(RUN.invoke(small_app(), ["show", "x"], catch_exceptions=False).stdout)[2] == 5


def test_help_shows_the_default_in_force(wrote):
    assert "[default: 12]" not in RUN.invoke(cli.app, ["train", "--help"]).stdout
    wrote("[train]\nepochs = 12\n")
    assert "[default: 12]" in RUN.invoke(cli.app, ["train", "--help"]).stdout


def test_only_the_working_folder_is_looked_into(wrote, tmp_path, monkeypatch):
    wrote("[trian]\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert RUN.invoke(cli.app, ["train", "--help"]).exit_code == 0


def test_config_names_a_file_and_replaces_the_one_in_the_working_folder(wrote):
    wrote("[train]\nepochs = 12\n")
    wrote("[train]\nepochs = 34\n", "mine.toml")
    shown = RUN.invoke(cli.app, ["--config", "mine.toml", "train", "--help"]).stdout
    assert "[default: 34]" in shown
    assert "[default: 12]" not in shown


def test_version_and_the_list_of_verbs_need_no_sound_file(wrote):
    wrote("[trian]\n")
    assert RUN.invoke(cli.app, ["--version"]).exit_code == 0
    assert "Commands" in RUN.invoke(cli.app, ["--help"]).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[trian]\n",
            (
                "[trian] is no verb. Did you mean 'train'? Accepted: card, check, demo, doctor, evaluate, explain, export, info, "
                "plan, predict, serve, train, verify."
            ),
        ),
        ("[plan]\nbugdet = '1min'\n", f"[plan] bugdet is no flag of it. Did you mean 'budget'? {COLUMNS}"),
        ("[plan]\nimage-size = 9\n", f"[plan] image-size is no flag of it. Did you mean 'image_size'? {COLUMNS}"),
        ("[plan]\ndata = 'x'\n", f"[plan] data is no flag of it. {COLUMNS}"),
        ("[plan]\njson = 'yes'\n", '[plan] json = "yes" is not accepted. Accepted: true or false.'),
        ("[plan]\nbudget = true\n", "[plan] budget = true is not accepted. Accepted: a text in quotes, or a number."),
        (
            "[plan]\nbudget = ['1min']\n",
            '[plan] budget = ["1min"] is not accepted. Accepted: a text in quotes, or a number.',
        ),
        (
            "[plan]\nbudget = 2020-01-01\n",
            '[plan] budget = "2020-01-01" is not accepted. Accepted: a text in quotes, or a number.',
        ),
        (
            "[predict]\nabstain = 'set'\n",
            '[predict] abstain = "set" is not accepted. Accepted: a list, such as ["set"].',
        ),
        (
            "[predict]\nabstain = [true]\n",
            '[predict] abstain = [true] is not accepted. Accepted: a list of texts, such as ["set"].',
        ),
        ("plan = 3\n", "plan = 3 is no table. Write [plan] in a line of its own, and its flags below."),
        (
            "[predict]\ntrust = true\n",
            (
                "[predict] trust is not taken from a file: it lets a model file run code. A file that lies in a folder must not "
                "say whom you trust. Type --trust where you mean it."
            ),
        ),
        (
            "[serve]\nhost = '0.0.0.0'\n",
            "[serve] host is not taken from a file: it can open the server to other machines. Type --host where you mean it.",
        ),
    ],
)
def test_what_is_refused(text, message, wrote):
    wrote(text)
    assert refusal("info", "x") == f"imgcls.toml: {message}"


@pytest.mark.parametrize(("line", "shown"), [("seed = 'many'", '"many"'), ("seed = 1.5", "1.5")])
def test_the_type_of_a_value_is_that_of_the_flag(line, shown, wrote):
    wrote(f"[train]\n{line}\n")
    assert refusal("train", "x").startswith(
        f"imgcls.toml: [train] seed = {shown} is not accepted. Accepted: what `--seed` takes ("
    )


def test_every_problem_is_named_at_once(wrote):
    wrote("[plan]\nbugdet = 1\nseconds = 'x'\n[trian]\n")
    assert [line.split("]")[0] for line in refusal("plan", "x").splitlines()] == ["imgcls.toml: [plan"] * 2 + [
        "imgcls.toml: [trian"
    ]


@pytest.mark.parametrize(
    ("content", "begin"),
    [
        (
            b"[train\n",
            "imgcls.toml cannot be read: Expected ']' at the end of a table declaration (at line 1, column 7)",
        ),
        (b"epochs 10\n", "imgcls.toml cannot be read: "),
        (b"\xff\xfe\x00", "imgcls.toml cannot be read: 'utf-8' codec can't decode"),
        (b"a = " + b"[" * 100_000, "imgcls.toml cannot be read: "),
    ],
    ids=["open table", "no equals", "no text", "a hundred thousand brackets"],
)
def test_a_file_that_cannot_be_read(content, begin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgcls.toml").write_bytes(content)
    said = refusal("info", "x")
    assert said.startswith(begin)
    assert said.endswith(
        "Accepted: a TOML file with a table for each verb, such as [train], and in it lines such as epochs = 10."
    )


def test_a_file_that_is_not_there(wrote, tmp_path):
    assert refusal("--config", "gone.toml", "info", "x").startswith("'gone.toml' does not exist. Accepted: a TOML file")
    assert refusal("--config", str(tmp_path), "info", "x").startswith(f"{str(tmp_path)!r} is not a file. Accepted: ")
    (tmp_path / "imgcls.toml").mkdir()
    assert refusal("info", "x").startswith("'imgcls.toml' is not a file.")


@pytest.mark.parametrize("name", ["imgcls.toml", "gone.toml"])
def test_a_file_without_a_verb_gives_the_help_and_exit_code_2_as_nothing_does(name, wrote):
    wrote("[train]\nepochs = 12\n")
    alone, with_file = RUN.invoke(cli.app, []), RUN.invoke(cli.app, ["--config", name])
    assert with_file.exit_code == alone.exit_code == 2
    assert "Usage:" in with_file.stdout
    assert with_file.stdout.strip() == alone.stdout.strip()


def test_a_path_in_a_file_is_a_path_and_nothing_more(wrote):
    wrote("[plan]\nroot = '$(touch pwned)/{0}/%s'\n")
    wrote("image,label\n1.png,cat\n", "photos.csv")
    said = str(RUN.invoke(cli.app, ["plan", "photos.csv"]).exception)
    assert said.startswith("1 of 1 files do not exist in '$(touch pwned)/{0}/%s': '$(touch pwned)/{0}/%s/1.png'.")
    assert not [path for path in (wrote("x = 1", "other.toml").parent).iterdir() if "pwned" in path.name]


def test_a_flag_that_a_file_turns_on_is_turned_off_by_hand(wrote):
    import typer.main

    from imgcls.cli._app import flags_of
    from imgcls.cli._defaults import _TYPED_ONLY

    for verb in typer.main.get_command(cli.app).commands.values():
        for key, flag in flags_of(verb).items():
            if flag.is_flag and key not in _TYPED_ONLY:
                assert flag.secondary_opts == [f"--no-{key.replace('_', '-')}"], (verb.name, key)
    model = str(next((Path(__file__).parent / "bundles").glob("*.imgcls")))
    wrote("[info]\njson = true\n")
    assert RUN.invoke(cli.app, ["info", model]).stdout.startswith("{")
    assert RUN.invoke(cli.app, ["info", model, "--no-json"]).stdout.startswith("written by imgcls")


def test_a_typed_format_wins_over_json_of_a_file(wrote):
    model = str(next((Path(__file__).parent / "bundles").glob("*.imgcls")))
    wrote("[predict]\njson = true\n")
    Image.new("L", (8, 8)).save("x.png")

    def printed(*flags):
        return RUN.invoke(cli.app, ["predict", model, "x.png", *flags], catch_exceptions=False).stdout

    assert printed().startswith("{")
    assert printed("--format", "csv").startswith("id,label")
    assert printed("--format", "text").startswith("x.png: ")
    assert printed("--no-json").startswith("x.png: ")
    assert json.loads(printed("--format", "csv", "-o", "a.csv"))["output"] == "a.csv"  # --format is not of that
    assert refusal("predict", model, "x.png", "--format", "csv", "--json").startswith("--format csv and --json differ")


def test_no_verb_has_a_flag_that_runs_code_and_is_taken_from_a_file():
    """Whoever adds a flag named trust to a verb finds it refused; under another name, it has to be added there."""
    import typer.main

    from imgcls.cli._app import flags_of
    from imgcls.cli._defaults import _TYPED_ONLY

    verbs = typer.main.get_command(cli.app).commands
    risky = {key for verb in verbs.values() for key, flag in flags_of(verb).items() if "run code" in (flag.help or "")}
    assert risky == {"trust"}
    assert risky <= set(_TYPED_ONLY)
