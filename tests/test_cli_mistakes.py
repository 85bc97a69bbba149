"""What a newcomer types wrong: each answer says in a few lines what is wrong, what is accepted, and what to do.

In one process, so that TensorFlow starts once; and only for what cannot be refused without it.
"""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from imgcls import bundle, cli
from imgcls.cli._app import in_flags

PUT = "Put images into one sub-folder for each class: folder/cat/1.jpg, folder/dog/2.jpg."
CHECK = "Check the path and the working directory."
NO_BUNDLE = "is no bundle. Accepted: what `imgcls train` or ImageClassifier.save wrote."
NO_MODEL = "is no model. Accepted: a bundle, or a file that `imgcls export` wrote. The model comes first."

REFUSED = {
    "check nowhere": f"folder 'nowhere' does not exist. {CHECK}",
    "check flat": f"the 1 images of 'flat' lie outside class sub-folders. {PUT}",
    "check empty": f"folder 'empty' is empty. {PUT}",
    "check empty.csv": "'empty.csv' cannot be read as CSV: No columns to parse from file. Accepted: UTF-8 text with a header line.",
    "check head.csv": "the table has no rows. Give at least one image.",
    "check columns.csv": "there is no column 'image'. The columns are file, species. Say which with image= and label=, or --image and --label in a shell.",
    "check columns.csv --image file --label specie": "there is no column 'specie'. Did you mean 'species'? The columns are file, species. Say which with image= and label=, or --image and --label in a shell.",
    "check excel.csv": "'excel.csv' has ';' between its columns. Accepted: commas. Save it with those, or give Dataset.from_frame what pandas.read_csv('excel.csv', sep=';', dtype=str) reads.",
    "check text.jpg": "'text.jpg' is a file. Accepted: a folder with a sub-folder for each class, or a .csv file with the columns image and label.",
    "check gone.csv": "2 of 2 files do not exist in '.': 'cat/99.png', 'dog/99.png'. Check the paths.",
    "check photos -o data.xyz": "'data.xyz' ends with '.xyz'. Accepted: .html, .json, .csv.",
    "check photos -o nowhere/data.html": "folder 'nowhere' does not exist. Make it, or name another output.",
    "check photos -o text.jpg/data.html": "'text.jpg' is a file, not a folder to write into. Name another output.",
    "check photos --against nowhere": f"file or folder 'nowhere' does not exist. {CHECK}",
    "check photos --verbose loud": "--verbose loud is not known. Accepted: auto, 0, 1, 2.",
    "train nowhere": f"folder 'nowhere' does not exist. {CHECK}",
    "train flat": f"the 1 images of 'flat' lie outside class sub-folders. {PUT}",
    "train photos -o empty": "'empty' is a folder. Accepted: the name of a file, such as 'empty/model.imgcls'.",
    "train photos --image-size big": "--image-size big is not accepted. Accepted: a whole number, or 'auto'.",
    "train photos -o model.onnx": "'model.onnx' ends with '.onnx'. Accepted: .imgcls.",
    "train photos --learning-rate high": "--learning-rate high is not accepted. Accepted: a number, or 'auto'.",
    "train photos --epochs -1": "--epochs -1 is not accepted. Accepted: a whole number, or 'auto'.",
    "train photos --class-weight balance": "--class-weight balance is not known. Did you mean 'balanced'? Accepted: balanced, none.",
    "train photos --mixing blend": "--mixing blend is not known. Accepted: mixup, cutmix, both, none.",
    "train photos --label species": "--label: these say how a .csv file is read, and 'photos' is none. Leave them out, or give a .csv file.",
    "evaluate photos model.imgcls": "'photos' is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first.",
    "evaluate text.jpg photos": f"'text.jpg' {NO_BUNDLE} The model comes first.",
    "evaluate model.onnx photos": f"'model.onnx' {NO_BUNDLE} This verb needs the bundle itself, not what was exported from it.",
    "evaluate fake.imgcls photos": "'fake.imgcls' is no bundle. Accepted: a bundle written by ImageClassifier.save. imgcls opens no file that can run code.",
    "evaluate model.imgcls nowhere": f"folder 'nowhere' does not exist. {CHECK}",
    "evaluate model.imgcls photos -o out.pdf": "'out.pdf' ends with '.pdf'. Accepted: .html, .md, .json, .csv.",
    "predict photos/cat/0.jpg model.imgcls": f"'photos/cat/0.jpg' {NO_MODEL}",
    "predict model.h5 photos": f"'model.h5' {NO_MODEL}",
    "predict model.imgcls nowhere.jpg": f"file or folder 'nowhere.jpg' does not exist. {CHECK}",
    "predict model.imgcls nothing-*.jpg": "no file matches 'nothing-*.jpg'. Check the pattern and the working directory.",
    "predict model.imgcls photos --format xml": "--format xml is not known. Accepted: text, csv, jsonl.",
    "predict model.imgcls photos --coverage 7 --abstain unknown": "--coverage is of --abstain set, which is not asked for. Leave it out, or add --abstain set.",
    "predict model.imgcls photos --most-error -3": "--most-error is of --abstain unsure, which is not asked for. Leave it out, or add --abstain unsure.",
    "predict model.imgcls photos --set-method rapz": "--set-method is of --abstain set, which is not asked for. Leave it out, or add --abstain set.",
    "predict model.imgcls photos -o out.csv --format jsonl": "--format jsonl is for stdout, and the ending of 'out.csv' decides. Leave it out, or name a file that ends with .jsonl.",
    "predict model.imgcls photos -o out.csv --format text": "--format text is for stdout, and the ending of 'out.csv' decides. Leave it out.",
    "predict model.imgcls photos --json --format csv": "--format csv and --json differ. Leave one of them out.",
    "predict model.imgcls photos --image file": "--image: these say how a .csv file is read, and 'photos' is none. Leave them out, or give a .csv file.",
    "predict model.imgcls columns.csv": "there is no column 'image'. The columns are file, species. Say which with image= and label=, or --image and --label in a shell.",
    "predict model.imgcls columns.csv --image fil": "there is no column 'fil'. Did you mean 'file'? The columns are file, species. Say which with image= and label=, or --image and --label in a shell.",
    "check columns.csv --image file --label species --against head.csv": "there is no column 'file'. The columns are image, label. Say which with image= and label=, or --image and --label in a shell.",
    "card model.imgcls columns.csv": "there is no column 'image'. The columns are file, species. Say which with image= and label=, or --image and --label in a shell.",
    "card model.imgcls --label species": "--label: these say how a .csv file is read, and none is given. Leave them out, or give a .csv file.",
    "export model.imgcls -o out.onnx --image file": "--image: these say how a .csv file is read, and none is given. Leave them out, or give a .csv file.",
    "predict photos photos": "'photos' is a folder, and no SavedModel. Accepted: what ImageClassifier.export wrote.",
    "explain photos/cat/0.jpg model.imgcls": f"'photos/cat/0.jpg' {NO_BUNDLE} The model comes first.",
    "explain model.imgcls photos/cat/0.jpg -o why.xyz": "'why.xyz' ends with '.xyz'. Accepted: .png, .jpg, .pdf, .svg.",
    "card model.imgcls -o card.html": "'card.html' ends with '.html'. Accepted: .md.",
    "export nowhere.imgcls -o out.onnx": f"bundle 'nowhere.imgcls' does not exist. {CHECK}",
    "verify text.jpg": f"'text.jpg' {NO_MODEL}",
    "serve text.jpg": f"'text.jpg' {NO_MODEL}",
    "serve nowhere.imgcls": f"bundle 'nowhere.imgcls' does not exist. {CHECK}",
    "serve model.imgcls --port 99999": "--port 99999 is not accepted. Accepted: a whole number from 0, for a free one, to 65535.",
    "info photos": "'photos' is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first.",
    "info text.jpg": f"'text.jpg' {NO_BUNDLE} The model comes first.",
    "demo --epochs 0": "--epochs 0 is not accepted. Accepted: a whole number of at least 1.",
    "demo -o text.jpg": "'text.jpg': File exists. Check the path, its permissions and the free disk, and try again.",
}
WITH_TENSORFLOW = {
    "train single": "images are of one class, 'cat'. Give at least two classes.",
    "train nested": "images are of one class, 'all'. Give at least two classes. Or are the folders in 'all' the classes, 'cat', 'dog'? Then give that folder.",
    "train photos --learning-rate -1": "--learning-rate -1.0 is not accepted. Accepted: a number above 0",
    "train photos --architecture mobilnet_v2": "--architecture mobilnet_v2 is not known. Did you mean 'mobilenet_v2'? Accepted: auto, ",
    "train photos --augmentation lots": "--augmentation lots is not known. Accepted: auto, light, standard, ",
    "train photos --budget soon": "--budget soon is not accepted. Accepted: seconds above 0, or words such as '90s', '10min', '1h30min'.",
    "train photos --on-error ignore": "--on-error ignore is not known. Accepted: skip, raise.",
    "evaluate model.imgcls photos": "label 'cat' is not one of the 10 classes. The classes are '0', '1', '2' and 7 more.",
    "predict model.imgcls text.jpg": "'text.jpg' cannot be read as an image: its bytes are of no known image format. Accepted: JPEG, ",
    "predict model.imgcls photos -o out.xyz": "'out.xyz' has no ending of a table. Accepted: .csv, .jsonl, .parquet.",
    "predict model.imgcls photos -o nowhere/out.csv": "folder 'nowhere' does not exist. Make it, or write somewhere else.",
    "predict model.imgcls photos --abstain set --set-method rapz": "--set-method rapz is not known. Did you mean 'raps'? Accepted: lac, raps.",
    "predict model.imgcls photos --abstain never": "--abstain never is not known. Accepted: set, unsure, unknown.",
    "explain model.imgcls photos/cat/0.jpg --label zebra": "--label zebra is not known. Accepted: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
    "export model.imgcls -o out.xyz": "what 'out.xyz' ends with is of no format that imgcls exports. Accepted: .onnx (onnx), ",
    "export model.imgcls -o nowhere/out.onnx": "folder 'nowhere' does not exist. Make it, or export somewhere else.",
    "export model.imgcls -o model.onnx": "'model.onnx' exists, and no certificate says that it is an earlier export as ONNX. Move it away, or export under another name.",
    "export model.imgcls -o out.tflite --quantize int8": "--quantize int8 sets its ranges by images, and a loaded classifier holds none. Give some hundred labelled ones, of all classes: export(..., data=...), or in a shell --data.",
}
WRONG_USAGE = {
    "trian photos": "No such command 'trian'. Did you mean 'train'?",
    "check photos photos": "Got unexpected extra argument(s) (photos)",
    "check": "Missing argument",
    "check photos --agianst photos": "No such option: --agianst",
    "evaluate model.imgcls": "Missing argument",
    "export model.imgcls": "Missing option '--output'",
    "train photos --seed x": "Invalid value for '--seed'",
    "plan photos --seconds soon": "Invalid value for '--seconds'",
    "doctor now": "Got unexpected extra argument(s) (now)",
}


IN_FLAGS = {
    "- image_size='big' is wrong": "- --image-size big is wrong",
    "or keep it with force=True.": "or keep it with --force.",
    "checkpoint='my runs' is": "--checkpoint 'my runs' is",
    "epochs=0: it": "--epochs 0: it",
    "dropout=0.5 is": "dropout=0.5 is",  # no verb has it
    "host='::1', port=80 cannot": "--host ::1, --port 80 cannot",
    "open(path, trust=True), or": "open(path, trust=True), or",
    "predict(x, bgr=True, verbose=0) and trust=True": "predict(x, bgr=True, verbose=0) and --trust",
    "'a seed=3 b.jpg' is a user's, 'seed=3'": "'a seed=3 b.jpg' is a user's, 'seed=3'",
    "with image= and label=": "with image= and label=",
}


@pytest.mark.parametrize(("given", "typed"), IN_FLAGS.items(), ids=IN_FLAGS)
def test_arguments_are_written_as_they_are_typed(given, typed):
    assert in_flags(given, None) == typed


def test_only_flags_of_the_verb_are_spoken_of():
    said = "Repair them; on_error='raise' refuses them. trust=True runs code."
    assert in_flags(said, "evaluate") == "Repair them; --on-error raise refuses them. --trust runs code."
    assert in_flags(said, "card") == "Repair them; on_error='raise' refuses them. --trust runs code."
    assert in_flags(said, "info") == said


@pytest.fixture
def place(photos, tmp_path, monkeypatch):
    """Work in a folder with what newcomers give instead of what is wanted."""
    monkeypatch.chdir(tmp_path)
    for name in ("flat", "empty"):
        (tmp_path / name).mkdir()
    shutil.copy(photos / "cat" / "0.jpg", tmp_path / "flat" / "0.jpg")
    (tmp_path / "single" / "cat").mkdir(parents=True)
    for index in range(5):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(tmp_path / "single" / "cat" / f"{index}.png")
    for name in ("cat", "dog"):
        shutil.copytree(tmp_path / "single" / "cat", tmp_path / "nested" / "all" / name)
    files = {
        "empty.csv": "",
        "head.csv": "image,label\n",
        "excel.csv": "image;label\nphotos/cat/0.jpg;cat\n",
        "columns.csv": "file,species\nphotos/cat/0.jpg,cat\nphotos/dog/0.png,dog\n",
        "gone.csv": "image,label\ncat/99.png,cat\ndog/99.png,dog\n",
        "text.jpg": "hello",
        "fake.imgcls": "hello",
        "model.onnx": "hello",
        "model.h5": "hello",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(next((Path(__file__).parent / "bundles").glob("*.imgcls")), tmp_path / "model.imgcls")


@pytest.fixture
def typed(place, monkeypatch, capsys):
    """Return what runs a line as a shell would, and gives the exit code and what stands on stderr."""

    def run(line):
        monkeypatch.setattr("sys.argv", ["imgcls", *line.split()])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        return leaving.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(("line", "message"), REFUSED.items(), ids=REFUSED)
def test_refused_in_one_line_with_exit_code_1(line, message, typed):
    code, said = typed(line)
    assert said == f"imgcls: {message}\n"
    assert code == 1


@pytest.mark.parametrize(("line", "message"), WITH_TENSORFLOW.items(), ids=WITH_TENSORFLOW)
def test_refused_in_the_last_line_with_exit_code_1(line, message, typed):
    code, said = typed(line)
    last = said.splitlines()[-1]
    assert last.startswith("imgcls: ")
    assert message in last
    assert "Traceback" not in said
    assert code == 1


@pytest.fixture
def one_damaged(place, tmp_path):
    """Make `digits`, a folder of three images of which one cannot be read."""
    for name in "01":
        (tmp_path / "digits" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "digits" / name / "good.png")
    (tmp_path / "digits" / "0" / "bad.png").write_bytes(b"no image")


@pytest.mark.filterwarnings("default::imgcls.DataWarning")
def test_a_warning_speaks_of_the_flags_of_the_verb_that_runs(typed, one_damaged):
    for line, flag in (("card model.imgcls digits -o a.md", False), ("evaluate model.imgcls digits", True)):
        code, said = typed(line)
        assert code == 0
        assert "1 of 3 images cannot be read" in said
        assert ("--on-error raise refuses them" in said) is flag


@pytest.mark.filterwarnings("error::imgcls.DataWarning")
def test_card_names_what_it_leaves_out_and_speaks_of_no_python(typed, one_damaged):
    code, said = typed("card model.imgcls digits -o a.md")
    assert code == 0
    words, reason, wrote = said.splitlines()[-3:]
    assert words == ("imgcls: 1 of 3 images cannot be read and are left out of the figures. Repair or remove them.")
    assert reason.startswith("left out: ")
    assert "bad.png" in reason
    assert wrote == "wrote a.md"
    assert "on_error" not in said
    assert "quarantined" not in said


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_bundle_of_an_engine_that_is_not_here_is_used_with_a_word(typed, monkeypatch):
    description, weights, named = bundle.load("model.imgcls")
    description["parameters"]["engine"] = "openvino"
    bundle.save("fast.imgcls", description, weights, named)
    monkeypatch.setattr("imgcls._backend._engines.find_spec", lambda name: None)
    code, said = typed("verify fast.imgcls")
    assert code == 0
    assert said.splitlines()[-1] == (
        "imgcls: TensorFlow answers in place of the engine that 'fast.imgcls' was saved with: engine='openvino' needs openvino. Install it: pip install \"imgcls[fast]\"."
    )


@pytest.mark.parametrize(("line", "message"), WRONG_USAGE.items(), ids=WRONG_USAGE)
def test_wrong_usage_gives_exit_code_2_and_the_way_to_the_help(line, message, typed):
    code, said = typed(line)
    assert message in said
    assert " -h' for help." in said
    assert code == 2
