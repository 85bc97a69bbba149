"""The command line in this process: verbs, JSON, refusals."""

import csv
import json
import shutil
import signal
import tempfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from imgcls import BundleError, ConfigurationError, DataError, Dataset, ExportError, ImageClassifier, __version__, cli
from imgcls.datasets import write_png

RUN = CliRunner()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of 60 digits in class folders."""
    root = tmp_path_factory.mktemp("digits")
    for sample in Dataset.builtin("digits")[:60]:
        (root / sample.label).mkdir(exist_ok=True)
        write_png(sample.image, root / sample.label / f"{sample.id}.png")
    (root / "notes.txt").write_text("not an image")
    return root


@pytest.fixture(scope="module")
def model(photos, tmp_path_factory):
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=2).fit(photos, verbose=0)
    return classifier.save(tmp_path_factory.mktemp("models") / "digits.imgcls")


def run(*arguments):
    result = RUN.invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_version():
    assert run("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "verb",
    [
        "demo",
        "check",
        "plan",
        "train",
        "evaluate",
        "predict",
        "explain",
        "card",
        "export",
        "verify",
        "serve",
        "info",
        "doctor",
    ],
)
def test_every_verb_has_help(verb):
    assert "Usage:" in run(verb, "--help").stdout


def test_predict_takes_what_its_help_says(photos, model, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text(f"image\n{next(photos.glob('*/*.png'))}\n")
    said = " ".join(run("predict", "--help").stdout.replace("│", " ").split())
    assert "Image files, folders, globs, or .csv files." in said
    assert len(run("predict", model, table, "--format", "jsonl").stdout.splitlines()) == 1


def test_train_evaluate_predict_info(photos, tmp_path):
    path = tmp_path / "digits.imgcls"
    options = ("--architecture", "small_cnn", "--image-size", 8, "--epochs", 1, "--verbose", 0)
    trained = run("train", photos, "-o", path, *options, "--json")
    summary = json.loads(trained.stdout)
    assert summary["output"] == str(path)
    assert 0 <= summary["accuracy"] <= 1
    assert trained.stderr == "ignored notes.txt (not an image file)\n"

    evaluated = json.loads(run("evaluate", path, photos, "--json").stdout)
    assert evaluated["images"] == 60
    assert len(evaluated["leaks"]["images"]) > 30  # most of them were learnt from
    said = run("evaluate", path, photos).stdout
    assert "macro avg" in said
    assert (
        f"warning: {len(evaluated['leaks']['images'])} of 60 images are copies of images that were learnt from" in said
    )

    image = next(photos.glob("3/*.png"))
    answer = json.loads(run("predict", path, image, "--json").stdout)
    assert answer["id"] == str(image)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert len(run("predict", path, photos / "3", image).stdout.splitlines()) == len(list(photos.glob("3/*.png"))) + 1

    facts = json.loads(run("info", path, "--json").stdout)
    assert facts["architecture"] == "small_cnn"
    assert facts["input (height, width, channels)"] == [8, 8, 1]
    assert "small_cnn" in run("info", path).stdout
    assert set(facts["images"]) == {"training", "validation"}
    assert facts["held out"] == "nothing" or "accuracy" in facts["held out"]


@pytest.fixture
def pressed(monkeypatch):
    """Return what makes somebody press Ctrl-C in the step of training with a number, from 1."""
    from imgcls.trainer._loop import Loop

    alone = Loop._train_on

    def press_in(step):
        def train_on(self, batch):
            alone(self, batch)
            if self._done + 1 == step:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Loop, "_train_on", train_on)

    return press_in


def stopped(*arguments):
    result = RUN.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 130, result.output
    return result.stderr.splitlines()


def test_ctrl_c_in_the_first_epoch_saves_what_was_learnt_and_never_over_an_older_model(photos, tmp_path, pressed):
    path, options = tmp_path / "m.imgcls", ("--architecture", "small_cnn", "--image-size", 8, "--epochs", 2)
    train = ("train", photos, "-o", path, *options, "--verbose", 2)
    pressed(1)
    said = stopped(*train)
    assert said[-2].startswith("interrupted at epoch 1/2, step 1/")
    assert said[-1] == f"saved {path} as far as it was trained; not evaluated"
    loaded = ImageClassifier.load(path)
    assert (loaded.history_.epochs, loaded.history_.interrupted) == (0, True)
    assert loaded.predict(next(photos.glob("3/*.png"))).label in loaded.classes_
    assert json.loads(run("info", path, "--json").stdout)["epochs"] == 0

    before, beside = path.read_bytes(), tmp_path / "m.interrupted.imgcls"
    pressed(3)
    said = stopped(*train)
    assert said[-1] == f"saved {beside} as far as it was trained; not evaluated; {path} stays as it was before"
    assert path.read_bytes() == before
    assert ImageClassifier.load(beside).history_.interrupted

    kept = beside.read_bytes()
    for number in (2, 3):
        said = stopped(*train)
        again = tmp_path / f"m.interrupted-{number}.imgcls"
        assert said[-1] == f"saved {again} as far as it was trained; not evaluated; {path} stays as it was before"
        assert ImageClassifier.load(again).history_.interrupted
    assert (path.read_bytes(), beside.read_bytes()) == (before, kept)


def test_ctrl_c_before_anything_was_learnt_says_that_nothing_is_saved(photos, tmp_path, monkeypatch):
    def read(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("imgcls.classifier._train.divide", read)
    said = stopped("train", photos, "-o", tmp_path / "m.imgcls", "--verbose", 0)
    assert said[-1] == "nothing saved: nothing was learnt yet"
    assert list(tmp_path.iterdir()) == []


def test_an_error_once_training_is_over_saves_what_was_learnt_and_never_over_an_older_model(
    photos, tmp_path, monkeypatch
):
    def fails(*_, **__):
        raise MemoryError

    train = ["train", photos, "-o", tmp_path / "m.imgcls", "--architecture", "small_cnn", "--image-size", 8]
    train = [str(one) for one in [*train, "--epochs", 1, "--verbose", 0]]
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "fit", fails)  # before: there is nothing to save
        result = RUN.invoke(cli.app, train)
    assert (type(result.exception), list(tmp_path.iterdir())) == (MemoryError, [])
    assert "saved" not in result.stderr
    monkeypatch.setattr(ImageClassifier, "evaluate", fails)
    result = RUN.invoke(cli.app, train)
    path, beside = tmp_path / "m.imgcls", tmp_path / "m.interrupted.imgcls"
    assert (result.exit_code, type(result.exception)) == (1, MemoryError)
    assert result.stderr.splitlines()[-1] == f"saved {path} as far as it was trained; not evaluated"
    assert ImageClassifier.load(path).history_.epochs == 1
    before = path.read_bytes()
    assert RUN.invoke(cli.app, train).exit_code == 1
    assert path.read_bytes() == before
    assert ImageClassifier.load(beside).history_.epochs == 1


@pytest.fixture
def unsaved(photos, tmp_path, monkeypatch):
    """Return `imgcls train`, the folder of whose output goes away before the model is measured, as a share does."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    alone = ImageClassifier.evaluate

    def train(*more, error=None):
        def evaluate(self, *arguments, **options):
            (tmp_path / "share").rmdir()
            if error is not None:
                raise error
            return alone(self, *arguments, **options)

        monkeypatch.setattr(ImageClassifier, "evaluate", evaluate)
        (tmp_path / "share").mkdir()
        options = ("--architecture", "small_cnn", "--image-size", 8, "--epochs", 1, "--verbose", 0, *more)
        return RUN.invoke(cli.app, [str(one) for one in ("train", photos, "-o", tmp_path / "share/m.imgcls", *options)])

    return train


def test_a_model_whose_output_cannot_be_written_is_kept_in_a_temporary_folder_and_its_figures_are_printed(
    unsaved, tmp_path
):
    results = [unsaved("--json"), unsaved()]
    places = sorted((tmp_path / "temporary").glob("imgcls-*/m.imgcls"))
    assert len(places) == 2  # each in a folder of its own
    output = tmp_path / "share" / "m.imgcls"
    for result in results:
        assert (result.exit_code, type(result.exception)) == (1, BundleError)
        assert str(result.exception).startswith(f"folder {str(output.parent)!r} does not exist.")
        place = next(one for one in places if str(one) in result.stderr)
        assert result.stderr.splitlines()[-1] == f"saved {place} in place of {output}"
        assert ImageClassifier.load(place).history_.epochs == 1
        places.remove(place)
    document = json.loads(results[0].stdout)
    assert document["output"] in results[0].stderr
    assert 0 <= document["accuracy"] <= 1
    assert "macro avg" in results[1].stdout
    assert "saved" not in results[1].stdout


def test_a_model_that_can_be_saved_nowhere_was_measured_all_the_same(unsaved, tmp_path):
    (tmp_path / "temporary").rmdir()
    result = unsaved("--json")
    assert (result.exit_code, type(result.exception)) == (1, BundleError)
    assert result.stderr.splitlines()[-1].startswith("nothing saved, nor in a temporary folder: ")
    document = json.loads(result.stdout)
    assert document["output"] is None
    assert 0 <= document["accuracy"] <= 1


def test_what_was_learnt_before_an_error_is_kept_also_where_the_output_cannot_be_written(unsaved, tmp_path):
    result = unsaved(error=MemoryError())
    (place,) = (tmp_path / "temporary").glob("imgcls-*/m.imgcls")
    assert (result.exit_code, type(result.exception)) == (1, MemoryError)
    assert result.stderr.splitlines()[-1] == f"saved {place} as far as it was trained; not evaluated"
    assert ImageClassifier.load(place).history_.epochs == 1


def test_ctrl_c_while_the_model_is_saved_loses_nothing(photos, tmp_path, monkeypatch):
    path, beside = tmp_path / "m.imgcls", tmp_path / "m.interrupted.imgcls"
    alone = ImageClassifier.save

    def interrupted_once(*_, **__):
        monkeypatch.setattr(ImageClassifier, "save", alone)
        raise KeyboardInterrupt

    train = ["train", photos, "-o", path, "--architecture", "small_cnn", "--image-size", 8, "--epochs", 1]
    for saved, said in ((path, f"saved {path}"), (beside, f"saved {beside} in place of {path}")):
        assert not saved.exists()
        monkeypatch.setattr(ImageClassifier, "save", interrupted_once)
        result = RUN.invoke(cli.app, [str(one) for one in (*train, "--verbose", 0)])
        assert result.exit_code == 130
        assert result.stderr.splitlines()[-1] == said
        assert "macro avg" in result.stdout
        assert ImageClassifier.load(saved).history_.epochs == 1
    assert sorted(tmp_path.iterdir()) == [path, beside]


def test_train_takes_a_csv(photos, tmp_path):
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in photos.glob("*/*.png")]
    (tmp_path / "labels.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    shutil.copytree(photos, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "m.imgcls"
    run("train", tmp_path / "labels.csv", "-o", out, "--epochs", 1, "--image-size", 8, "--verbose", 0)
    assert out.is_file()


def test_columns_and_root_of_a_csv(photos, tmp_path):
    rows = [f"{path.name},{path.parent.name},{path.relative_to(photos)}" for path in photos.glob("*/*.png")]
    (tmp_path / "table.csv").write_text("name,digit,file\n" + "\n".join(rows) + "\n")
    columns = (tmp_path / "table.csv", "--image", "file", "--label", "digit", "--root", photos)
    out = tmp_path / "m.imgcls"
    run("train", *columns, "-o", out, "--epochs", 1, "--image-size", 8, "--verbose", 0)
    assert json.loads(run("evaluate", out, *columns, "--json").stdout)["images"] == 60
    assert "- images measured: 60\n" in run("card", out, *columns).stdout
    asked = (*columns[:3], "--root", photos, "--format", "csv")
    answered = list(csv.DictReader(run("predict", out, *asked).stdout.splitlines()))
    assert sorted(row["id"] for row in answered) == sorted(str(photos / row.rsplit(",", 1)[1]) for row in rows)
    image = next(photos.glob("3/*.png"))  # beside a table, what is none is read as ever
    assert len(run("predict", out, *asked, image).stdout.splitlines()) == 1 + 60 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["info", "missing.imgcls"],
            "bundle 'missing.imgcls' does not exist. Check the path and the working directory.",
        ),
        (
            ["train", ".", "-o", "."],
            "'.' is a folder. Accepted: the name of a file, such as 'model.imgcls'.",
        ),
        (
            ["predict", "missing.imgcls", "x.jpg"],
            "bundle 'missing.imgcls' does not exist. Check the path and the working directory.",
        ),
        (["info", "."], "'.' is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first."),
        (
            ["train", "missing"],
            "folder 'missing' does not exist. Check the path and the working directory.",
        ),
        (
            ["train", ".", "-o", "nowhere/m.imgcls"],
            "folder 'nowhere' does not exist. Make it, or name another output.",
        ),
        (["train", ".", "--epochs", "many"], "--epochs many is not accepted. Accepted: a whole number, or 'auto'."),
    ],
)
def test_refusals_are_one_message_on_stderr_and_exit_code_1(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["imgcls", *arguments])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 1
    captured = capsys.readouterr()
    assert captured.err == f"imgcls: {message}\n"
    assert captured.out == ""


def test_one_unreadable_image_does_not_hide_the_others(model, photos, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG broken")
    image = next(photos.glob("3/*.png"))
    monkeypatch.setattr("sys.argv", ["imgcls", "predict", str(model), str(broken), str(image)])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 1
    captured = capsys.readouterr()
    assert str(broken) in captured.err
    assert captured.out.startswith(f"{image}: ")


def test_plan_says_what_would_be_done_and_trains_nothing(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("plan", photos, "--image-size", 16, "--budget", 600, "--verbose", 0)
    facts = json.loads(run(*options, "--json").stdout)
    assert 30 <= facts["images"] <= 50  # 70 % of 60, by chance to the image
    assert facts["expected"] is None
    assert facts["choices"]["architecture"][0] == "speed_cnn"
    assert "what accuracy it reaches, only training can tell" in run(*options).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--architecture", "smal_cnn"), "architecture='smal_cnn' is not known. Did you mean 'small_cnn'?"),
        (("--seconds", -1), "seconds=-1.0 is not accepted. Accepted: a number above 0."),
        (("--seconds", "inf"), "seconds=inf is not accepted. Accepted: a finite number above 0."),
    ],
)
def test_plan_refuses_arguments_before_it_reads_an_image(photos, monkeypatch, option, words):
    monkeypatch.setattr("imgcls.classifier.divide", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(ConfigurationError) as refusal:
        run("plan", photos, "--verbose", 0, *option)
    assert str(refusal.value).startswith(words)


@pytest.mark.parametrize("name", ["l\u0007ud", "x" * 501])
def test_train_refuses_classes_that_could_not_be_saved_before_it_trains(photos, tmp_path, monkeypatch, name):
    dataset = Dataset.from_files(photos, lambda path: name if path.parent.name == "3" else "other")
    monkeypatch.setattr("imgcls.cli._learn.read_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr("imgcls.classifier.train", lambda *_, **__: pytest.fail("it has begun"))
    with pytest.raises(BundleError, match=r"^no bundle can hold the classes: .*\. Rename that folder or label\.$"):
        run("train", photos, "-o", tmp_path / "a.imgcls")


@pytest.fixture(scope="module")
def judged(photos, tmp_path_factory):
    """Return a model that knows images held out."""
    digits = Dataset.builtin("digits")
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=3)
    classifier.fit(digits[60:500], validation_data=digits[500:900], verbose=0)
    return classifier.save(tmp_path_factory.mktemp("models") / "judged.imgcls")


def test_predict_abstains(judged, photos):
    image = next(photos.glob("3/*.png"))
    answer = ImageClassifier.load(judged).predict(image, abstain=["set", "unknown"], coverage=0.99, set_method="raps")
    asked = ("--abstain", "set", "--abstain", "unknown", "--coverage", 0.99, "--set-method", "raps")
    assert run("predict", judged, image, *asked).stdout == f"{image}: {answer}\n"
    told = json.loads(run("predict", judged, image, *asked, "--json").stdout)
    assert told["answer"] == (list(answer.answer) if isinstance(answer.answer, tuple) else answer.answer)
    assert "answer" not in json.loads(run("predict", judged, image, "--json").stdout)


def test_predict_writes_a_table_that_a_rerun_continues(judged, photos, tmp_path):
    table, first, second = tmp_path / "answers.csv", photos / "3", photos / "5"
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert run("predict", judged, first, first, "-o", table).stdout == ""  # an image named twice has one row
    before = table.read_text()
    result = RUN.invoke(cli.app, ["predict", str(judged), str(first), str(second), str(tmp_path), "-o", str(table)])
    assert result.exit_code == 1
    assert "1 cannot be read; the column 'error' says why" in result.stderr
    assert table.read_text().startswith(before)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    named = [*map(str, first.iterdir()), *map(str, second.iterdir()), str(tmp_path / "broken.png")]
    assert sorted(row["id"] for row in rows) == sorted(named)
    assert [row["id"] for row in rows if row["error"]] == [str(tmp_path / "broken.png")]
    written = table.read_text()
    for images in ([first, second, tmp_path], [first]):  # nothing new, and the table holds the error as before
        again = RUN.invoke(cli.app, ["predict", str(judged), *map(str, images), "-o", str(table), "--json"])
        assert again.exit_code == 1
        assert json.loads(again.stdout)["refused"] == 1
        assert "1 cannot be read; the column 'error' says why" in again.stderr
        assert "take out the rows of images that you have mended" in again.stderr
        assert table.read_text() == written
    shutil.copy(next(first.iterdir()), tmp_path / "broken.png")
    table.write_text("".join(line for line in written.splitlines(keepends=True) if "broken.png" not in line))
    assert "cannot be read" not in run("predict", judged, first, second, tmp_path, "-o", table).stderr
    with table.open(newline="") as file:
        assert sorted(row["id"] for row in csv.DictReader(file) if not row["error"]) == sorted(named)


def test_predict_says_as_json_what_it_wrote(judged, photos, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    table = tmp_path / "answers.jsonl"
    result = RUN.invoke(cli.app, ["predict", str(judged), str(photos / "3"), str(tmp_path), "-o", str(table), "--json"])
    assert result.exit_code == 1
    images = len(list((photos / "3").iterdir())) + 1
    assert json.loads(result.stdout) == {"output": str(table), "images": images, "refused": 1}
    assert len(table.read_text().splitlines()) == images


def test_predict_prints_text_csv_or_lines(judged, photos):
    images = sorted((photos / "3").glob("*.png"))[:3]
    told = [json.loads(line) for line in run("predict", judged, *images, "--format", "jsonl").stdout.splitlines()]
    rows = list(csv.DictReader(run("predict", judged, *images, "--format", "csv").stdout.splitlines()))
    assert [one["id"] for one in told] == [row["id"] for row in rows] == list(map(str, images))
    # In a stream, time decides how many go through the model together, and with it the last bits of sums in float32.
    assert [one["probabilities"]["3"] for one in told] == pytest.approx([float(row["3"]) for row in rows], rel=1e-6)
    refused = RUN.invoke(cli.app, ["predict", str(judged), str(images[0]), "--format", "xml"]).exception
    assert isinstance(refused, ConfigurationError)
    assert "Accepted: text, csv, jsonl" in str(refused)


def test_export_verify_and_predict_without_the_bundle(judged, photos, tmp_path):
    made, image = tmp_path / "digits.onnx", next(photos.glob("3/*.png"))
    told = run("export", judged, "-o", made, "--data", photos)
    assert told.stdout.startswith("onnx: passed")
    assert f"wrote {made}" in told.stderr
    assert json.loads(run("verify", made, "--json").stdout)["same"] is True
    assert "8 of 8 golden images give the same answer" in run("verify", judged).stdout
    exported, bundled = (json.loads(run("predict", model, image, "--json").stdout) for model in (made, judged))
    assert exported["label"] == bundled["label"]
    assert exported["probabilities"] == pytest.approx(bundled["probabilities"], abs=1e-4)
    refused = RUN.invoke(cli.app, ["predict", str(made), str(image), "--abstain", "set"]).exception
    assert isinstance(refused, ConfigurationError)
    assert "Give the bundle." in str(refused)
    made.write_bytes(made.read_bytes()[:-1])
    damaged = RUN.invoke(cli.app, ["verify", str(made)]).exception
    assert isinstance(damaged, ExportError)
    assert "is not the file that its certificate is for" in str(damaged)


def test_verify_ends_with_1_where_the_answers_are_others(judged, tmp_path, monkeypatch):
    from imgcls import bundle

    contents = bundle.load(judged)
    named = dict(contents.named)
    named["golden/probabilities"] = np.roll(named["golden/probabilities"], 1, axis=1)
    moved = bundle.save(tmp_path / "moved.imgcls", contents.description, contents.weights, named)
    result = RUN.invoke(cli.app, ["verify", str(moved)])
    assert result.exit_code == 1
    assert "probabilities differ by at most" in result.stdout


def test_abstain_without_images_held_out_is_refused_in_words(model, photos):
    refused = RUN.invoke(cli.app, ["predict", str(model), str(photos), "--abstain", "set"]).exception
    assert isinstance(refused, DataError)
    assert "Fit it with validation_data of some hundred images." in str(refused)


def test_explain_json_of_a_model_whose_classes_are_integers(photos, tmp_path):
    digits = Dataset.builtin("digits")[:100]
    labels = [int(sample.label) for sample in digits]
    images = np.stack([sample.image for sample in digits])
    bundle = (
        ImageClassifier("small_cnn", image_size=8, epochs=1).fit(images, labels, verbose=0).save(tmp_path / "m.imgcls")
    )
    told = json.loads(run("explain", bundle, next(photos.glob("3/*.png")), "-o", tmp_path / "why.png", "--json").stdout)
    assert told["label"] in range(10)


def test_explain_writes_a_picture(judged, photos, tmp_path):
    image, picture = next(photos.glob("3/*.png")), tmp_path / "why.png"
    said = run("explain", judged, image, "-o", picture, "--label", "3", "--instead-of", "8")
    assert said.stdout == f"{image}: 3, and not 8\n"
    assert said.stderr == f"wrote {picture}\n"
    told = json.loads(run("explain", judged, image, "-o", picture, "--label", "3", "--json").stdout)
    assert told == {
        "image": str(image),
        "label": "3",
        "instead_of": None,
        "method": "grad_cam",
        "output": str(picture),
    }
    refused = RUN.invoke(cli.app, ["explain", str(judged), str(image), "-o", str(tmp_path / "why.txt")]).exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused).endswith("ends with '.txt'. Accepted: .png, .jpg, .pdf, .svg.")
    with Image.open(picture) as drawn:
        assert np.asarray(drawn.convert("RGB")).std() > 10


def test_card(judged, model, photos, tmp_path):
    card = run("card", judged).stdout
    assert card.startswith("# Model card: small\\_cnn\n")
    assert "of 400 images" in card
    assert "Measured on 400 images held out in training, which have also chosen the temperature" in card
    said = run("card", judged, photos, "-o", tmp_path / "card.md")
    assert said.stderr.endswith(f"wrote {tmp_path / 'card.md'}\n")
    assert "of 60 images" in (tmp_path / "card.md").read_text(encoding="utf-8")
    assert json.loads(run("card", judged, "--json").stdout) == {"card": card.removesuffix("\n"), "output": None}
    told = json.loads(run("card", judged, "-o", tmp_path / "card.md", "--json").stdout)
    assert told["output"] == str(tmp_path / "card.md")
    assert told["card"].startswith("# Model card")
    refused = RUN.invoke(cli.app, ["card", str(judged), "-o", str(tmp_path / "card.html")]).exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused).endswith("ends with '.html'. Accepted: .md.")
    refused = RUN.invoke(cli.app, ["card", str(model)]).exception
    assert isinstance(refused, DataError)
    assert (
        str(refused)
        == "nothing was held out to measure on. Give labelled images: card(data), or in a shell imgcls card MODEL DATA."
    )


def test_evaluate_writes_a_report(judged, photos, tmp_path):
    for name, words in (("report.html", "<!doctype html>"), ("card.md", "# "), ("figures.json", "{")):
        said = run("evaluate", judged, photos, "-o", tmp_path / name)
        assert said.stderr.endswith(f"wrote {tmp_path / name}\n")
        assert (tmp_path / name).read_text().startswith(words)
    refused = RUN.invoke(cli.app, ["evaluate", str(judged), str(photos), "-o", str(tmp_path / "report.pdf")]).exception
    assert isinstance(refused, ConfigurationError)
    assert ".html" in str(refused)


def test_info_tells_figures_that_are_not_defined(judged, tmp_path):
    from imgcls import bundle

    description, weights, named = bundle.load(judged)
    first, second, *others = description["evaluation"]["figures"]
    figures = [first | {"value": None, "lower": None, "upper": None}, second | {"upper": None}, *others]
    evaluation = description["evaluation"] | {"figures": figures}
    path = bundle.save(tmp_path / "null.imgcls", description | {"evaluation": evaluation}, weights, named)
    told = json.loads(run("info", path, "--json").stdout)["held out"]
    assert told[first["name"]] == "- [-, -] on 400 images"
    assert told[second["name"]] == f"{second['value']:.3f} [{second['lower']:.3f}, -] on 400 images"


def test_info_tells_epochs_of_what_was_trained_by_steps_alone(judged, tmp_path):
    from imgcls import bundle

    assert json.loads(run("info", judged, "--json").stdout)["epochs"] >= 1
    description, weights, named = bundle.load(judged)
    history = description["history"] | {"columns": {"loss": [0.4], "held_out_loss": [0.5]}}  # as of a solved head
    path = bundle.save(tmp_path / "solved.imgcls", description | {"history": history}, weights, named)
    assert "epochs" not in json.loads(run("info", path, "--json").stdout)


@pytest.mark.parametrize("name", ["cat/1.png", "3/0003.png", "damaged", "notes.txt", "link"])
def test_the_demo_writes_over_nothing_of_yours(tmp_path, photos, name):
    """0003 is a three of the demo's: of that name, and another picture."""
    images = tmp_path / "out" / "images"
    path = images / ("3/0003.png" if name == "damaged" else name)
    path.parent.mkdir(parents=True)
    if name == "link":
        path.symlink_to(photos, target_is_directory=True)
    elif name == "damaged":
        path.write_bytes(b"\x89PNG broken")
    else:
        write_png(np.full((8, 8, 1), 9, np.uint8), path)
    before = sorted(tmp_path.rglob("*"))
    refused = RUN.invoke(cli.app, ["demo", "-o", str(tmp_path / "out")]).exception
    assert isinstance(refused, ConfigurationError)
    assert str(refused) == (
        f"{str(images)!r} holds {str(path.relative_to(images))!r}, which is none of the digits that the demo writes "
        "there: it would be learnt from, or written over. Name another folder with --output."
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_the_demo_runs_again_where_it_ran(tmp_path, monkeypatch):
    """Not to the end: training is left out."""
    from imgcls import classifier

    class TrainedError(Exception):
        pass

    def train(*_, **__):
        raise TrainedError

    monkeypatch.setattr(classifier, "train", train)
    for _ in range(2):
        assert isinstance(RUN.invoke(cli.app, ["demo", "-o", str(tmp_path)]).exception, TrainedError)
        (tmp_path / "images" / ".DS_Store").write_text("")
        assert len(list(tmp_path.glob("images/*/*.png"))) == 1797
