"""`imgcls check` in this process and in a fresh one."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from imgcls import cli
from imgcls.errors import ConfigurationError, DataError


def run(*arguments):
    return CliRunner().invoke(cli.app, ["check", *map(str, arguments)])


@pytest.fixture
def errors(photos):
    (photos / "cat" / "text.jpg").write_text("hello")
    return photos


def test_text_on_stdout_and_exit_code_0(photos):
    result = run(photos)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "16 images in 2 classes: 1 warning\n\ncat  8\ndog  8\n\nwarning  IMG020  tiny classes"
    )


def test_errors_give_exit_code_3_and_json(errors):
    result = run(errors, "--json", "--verbose", 0)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["findings"][0]["ids"] == ["cat/text.jpg"]


@pytest.mark.parametrize("ending", ["html", "json", "csv"])
def test_output_is_written_beside_the_text(errors, tmp_path, ending):
    path = tmp_path / f"data.{ending}"
    result = run(errors, "-o", path)
    assert result.exit_code == 3
    assert "IMG001" in path.read_text(encoding="utf-8")
    assert "IMG001" in result.stdout
    assert result.stderr.endswith(f"wrote {path}\n")


def test_against_a_test_set_elsewhere(photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "copy.png").write_bytes((photos / "dog" / "3.png").read_bytes())
    result = run(photos, "--against", other, "--json", "--verbose", 0)
    assert result.exit_code == 3
    (leak,) = [one for one in json.loads(result.stdout)["findings"] if one["code"] == "IMG013"]
    assert leak["ids"] == ["dog/3.png"]


def test_csv_as_source(photos):
    table = photos / "labels.csv"
    table.write_text(
        "image,label\n"
        + "".join(f"{kind}/{i}.{end},{kind}\n" for kind, end in (("cat", "jpg"), ("dog", "png")) for i in range(8))
    )
    assert run(table).stdout.startswith("16 images in 2 classes")


def test_csv_with_columns_of_other_names(photos, tmp_path):
    table = tmp_path / "table.CSV"
    table.write_text("file,species\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(8)))
    result = run(table, "--image", "file", "--label", "species", "--root", photos / "dog", "--verbose", 0)
    assert result.stdout.startswith("8 images in 2 classes: 1 warning\n\na  4\nb  4\n"), result.output
    refused = run(table, "--image", "file", "--label", "specie", "--root", photos / "dog").exception
    assert isinstance(refused, ConfigurationError)
    assert "Did you mean 'species'?" in str(refused)


def test_other_images_in_a_table_are_read_with_the_same_columns(photos, tmp_path):
    """The second table needs no labels; a folder beside a table with columns of its own is read as a folder."""
    (tmp_path / "a.csv").write_text("file,kind\n" + "".join(f"dog/{i}.png,{'ab'[i % 2]}\n" for i in range(4)))
    (tmp_path / "b.csv").write_text("file\ndog/3.png\ndog/5.png\n")
    columns = ("--image", "file", "--label", "kind", "--root", photos, "--json", "--verbose", 0)
    for other, ids in ((tmp_path / "b.csv", ["dog/3.png"]), (photos / "dog", [f"dog/{i}.png" for i in range(4)])):
        result = run(tmp_path / "a.csv", *columns, "--against", other)
        assert result.exit_code == 3, result.output
        (leak,) = [one for one in json.loads(result.stdout)["findings"] if one["code"] == "IMG013"]
        assert leak["ids"] == ids


def test_a_folder_is_checked_against_a_table_with_columns_of_its_own(photos, tmp_path):
    table = tmp_path / "test.csv"
    table.write_text("file\ndog/3.png\ndog/5.png\n")
    columns = ("--image", "file", "--root", photos)
    result = run(photos, "--against", table, *columns, "--json", "--verbose", 0)
    assert result.exit_code == 3, result.output
    (leak,) = [one for one in json.loads(result.stdout)["findings"] if one["code"] == "IMG013"]
    assert leak["ids"] == ["dog/3.png", "dog/5.png"]
    idle = {"--label": (table, "--label", "kind"), "--image, --root": (photos / "dog",)}
    for named, (other, *more) in idle.items():
        refused = run(photos, "--against", other, *columns, *more).exception
        assert isinstance(refused, ConfigurationError)
        assert str(refused) == (
            f"{named}: these say how a .csv file is read, and {str(photos)!r} is none. "
            "Leave them out, or give a .csv file."
        )


@pytest.mark.parametrize("verb", ["check", "train", "evaluate"])
def test_columns_of_what_has_none_are_refused(verb, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("imgcls.cli._use.check_model", lambda path: None)
    before = ["model.imgcls"] if verb == "evaluate" else []
    given = [verb, *before, str(photos), "--label", "species", "--root", str(tmp_path)]
    refused = CliRunner().invoke(cli.app, given).exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused) == (
        f"--label, --root: these say how a .csv file is read, and {str(photos)!r} is none. Leave them out, or give a .csv file."
    )


def test_refusals(photos, tmp_path):
    assert isinstance(run(tmp_path / "nowhere").exception, DataError)
    refused = run(photos, "--output", tmp_path / "data.pdf").exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused) == f"'{tmp_path}/data.pdf' ends with '.pdf'. Accepted: .html, .json, .csv."


def test_fresh_process_without_tensorflow(errors):
    code = (
        "import sys; from imgcls import cli; sys.argv = ['imgcls', 'check', sys.argv[1]]\n"
        "try: cli.main()\n"
        "finally: print([name for name in ('tensorflow', 'keras') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, errors], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.stdout.startswith("17 images in 2 classes: 1 error, 1 warning")
