"""Bad files, from the folder to the figures: named, counted, left out; never in the way of the others."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import imgcls
from imgcls import ConfigurationError, Dataset, DataWarning, ImageClassifier, UnreadableImageError
from imgcls.datasets import write_png

BAD = ("0/bad.png", "1/half.png", "1/none.png")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    for sample in Dataset.builtin("digits")[:200]:
        if sample.label in "01":
            (folder / sample.label).mkdir(exist_ok=True)
            write_png(sample.image, folder / sample.label / f"{sample.id}.png")
    return folder


@pytest.fixture
def mixed(good, tmp_path):
    """Return the good folder with three bad files in it."""
    shutil.copytree(good, tmp_path / "mixed")
    content = next((good / "1").iterdir()).read_bytes()
    for name, bad in zip(BAD, (b"not an image", content[:70], b""), strict=True):
        (tmp_path / "mixed" / name).write_bytes(bad)
    return tmp_path / "mixed"


@pytest.fixture(scope="module")
def fitted(good):
    return imgcls.train(good, small(), verbose=0)


def small():
    return ImageClassifier("small_cnn", image_size=8, epochs=2, batch_size=16, augmentation=None)


def test_train_leaves_bad_files_out_of_all_parts_as_if_they_were_not_there(mixed, good, fitted, capsys):
    with pytest.warns(DataWarning) as caught:
        classifier = imgcls.train(mixed, small(), verbose=2)
    assert len(caught) == 1  # once, not again for each part
    assert list(classifier.history_.quarantined) == list(BAD)
    assert classifier.evaluation_.ids == fitted.evaluation_.ids
    for one, other in zip(classifier.model_.get_weights(), fitted.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == 3
    assert all(name in line for name, line in zip(BAD, lines, strict=True))


def test_fit_leaves_bad_files_out_of_training_and_validation(mixed, good):
    with pytest.warns(DataWarning):
        classifier = small().fit(good, validation_data=mixed, verbose=0)
    assert set(classifier.history_.quarantined) == set(BAD)
    assert np.isfinite(classifier.history_["val_loss"]).all()


def test_evaluate_leaves_bad_files_out_counts_and_names_them(mixed, good, fitted):
    with pytest.warns(DataWarning) as caught:
        evaluation = fitted.evaluate(mixed)
    count = len(Dataset.from_folder(mixed))
    assert [(one.filename, str(one.message)) for one in caught] == [
        (
            __file__,
            f"3 of {count} images cannot be read and are left out of the figures; the evaluation's `quarantined` names them. Repair or remove them; on_error='raise' refuses them.",
        )
    ]
    assert list(evaluation.quarantined) == list(BAD)
    assert all(str(mixed / name) in evaluation.quarantined[name] for name in BAD)
    whole = fitted.evaluate(good)
    assert whole.quarantined == {}
    assert evaluation.ids == whole.ids
    np.testing.assert_allclose(evaluation.probabilities, whole.probabilities, atol=1e-6)  # batches differ in length
    assert evaluation.y_true.tolist() == whole.y_true.tolist()
    np.testing.assert_array_equal(evaluation._read(5), whole._read(5))
    assert f"{count - 3} images, 2 classes\n3 of {count} images cannot be read and are left out\n" in str(evaluation)
    assert "left out" not in str(whole)


def test_a_bad_file_that_is_listed_twice_is_two_images(mixed, fitted):
    bad, good = str(mixed / BAD[0]), str(next(mixed.glob("1/[0-9]*.png")))
    with pytest.warns(DataWarning, match=r"^2 of 3 images cannot be read"):
        evaluation = fitted.evaluate([bad, good, bad], ["0", "1", "0"])
    assert (evaluation.left_out, list(evaluation.quarantined)) == (2, [bad])
    assert "\n2 of 3 images cannot be read and are left out\n" in str(evaluation)


@pytest.mark.parametrize("measure", [lambda one, data: one.evaluate(data, on_error="raise"), ImageClassifier.score])
def test_one_number_or_on_request_evaluation_refuses_and_names_all(mixed, fitted, measure):
    with pytest.raises(UnreadableImageError) as refusal:
        measure(fitted, mixed)
    count = len(Dataset.from_folder(mixed))
    assert str(refusal.value).startswith(f"3 of {count} images cannot be read:\n- ")
    assert all(str(mixed / name) in str(refusal.value) for name in BAD)


def test_without_one_readable_image_there_is_nothing_to_evaluate(fitted, tmp_path):
    for name in ("0/a.png", "1/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"^2 of 2 images cannot be read:\n- .*a\.png"):
        fitted.evaluate(tmp_path)


def test_an_unknown_on_error_is_refused(mixed, fitted):
    with pytest.raises(ConfigurationError) as refusal:
        fitted.evaluate(mixed, on_error="skipp")
    assert str(refusal.value) == "on_error='skipp' is not known. Did you mean 'skip'? Accepted: skip, raise."


@pytest.mark.parametrize("learn", [imgcls.train, lambda data, classifier, **options: classifier.fit(data, **options)])
def test_raise_refuses_before_training(mixed, learn, capsys):
    with pytest.raises(UnreadableImageError, match=r"^3 of \d+ images cannot be read:\n- .*bad\.png'"):
        learn(mixed, small(), on_error="raise", verbose=2)
    assert "epoch" not in capsys.readouterr().err


def test_reasons_hold_paths_and_stay_out_of_the_bundle(mixed, tmp_path):
    with pytest.warns(DataWarning):
        classifier = small().fit(mixed, verbose=0)
    path = classifier.save(tmp_path / "model.imgcls")
    assert b"bad.png" not in path.read_bytes()
    assert ImageClassifier.load(path).history_.quarantined == {}


@pytest.mark.slow  # two fresh processes; what they call is tested above
@pytest.mark.parametrize(("on_error", "code"), [("skip", 0), ("raise", 1)])
def test_the_command_line_does_the_same(mixed, tmp_path, on_error, code):
    command = [sys.executable, "-m", "imgcls", "train", mixed, "-o", tmp_path / "model.imgcls", "--epochs", "1"]
    done = subprocess.run([*command, "--on-error", on_error], check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert all(name in done.stderr for name in BAD)
    assert ("\nimgcls: 3 of " in done.stderr) == (on_error == "skip")
    assert (tmp_path / "model.imgcls").exists() == (on_error == "skip")


@pytest.mark.slow  # two fresh processes; what they call is tested above
@pytest.mark.parametrize(("on_error", "code"), [("skip", 0), ("raise", 1)])
def test_the_command_line_evaluates_and_names_what_it_leaves_out(mixed, fitted, tmp_path, on_error, code):
    path = fitted.save(tmp_path / "model.imgcls")
    command = [sys.executable, "-m", "imgcls", "evaluate", path, mixed, "--json", "--on-error", on_error]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert all(str(mixed / name) in done.stderr for name in BAD)
    assert done.stderr.startswith("imgcls: 3 of ")
    if on_error == "raise":
        assert done.stdout == ""
        return
    assert json.loads(done.stdout)["quarantined"] == 3
    assert done.stderr.count("\nleft out: ") == 3
