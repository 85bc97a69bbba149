"""One road from images of any kind to answers, with a model simple enough to compute by hand."""

import csv
import io
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    DataWarning,
    Prediction,
    Predictions,
    Sample,
    UnreadableImageError,
)
from imgcls.inference import Predictor

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (30, 40, 3), np.uint8)


def reddest(pixels):
    """Say "red" with the share of red in all light."""
    light = pixels.astype(np.float32).mean(axis=(1, 2))
    red = light[:, :1] / light.sum(axis=1, keepdims=True)
    return np.concatenate([red, 1 - red], axis=1)


def predictor(run=reddest, **options):
    return Predictor(run, input_shape=(8, 10, 3), classes=["red", "other"], **options)


def by_pillow(image):
    """What the model should be given, and say."""
    pixels = np.asarray(Image.fromarray(image).resize((10, 8), Image.Resampling.BILINEAR))
    return float(reddest(pixels[None])[0, 0])


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_one_image_of_every_kind_is_the_same_image(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTO))
    kinds = [path, str(path), png(PHOTO), bytearray(png(PHOTO)), memoryview(png(PHOTO)), Image.fromarray(PHOTO), PHOTO]
    answers = [predictor().predict(one) for one in kinds]
    assert all(isinstance(answer, Prediction) for answer in answers)
    assert {answer.probabilities["red"] for answer in answers} == {by_pillow(PHOTO)}
    assert [answer.id for answer in answers] == [str(path), str(path), *["image"] * 5]
    np.testing.assert_array_equal(answers[0]._read(), PHOTO)


NO_NUMBER = (
    "image 'black': what the model gives for it is NaN or infinite, so there is no answer. Look at the image, and at "
    "what the model does with it, such as a division by the deviation of pixels that are all alike."
)


def test_an_image_that_the_model_gives_no_number_for_is_refused_by_its_name(tmp_path):
    """`reddest` divides by all light, and a black image has none: nothing says that it is of the first class."""
    black = np.zeros_like(PHOTO)
    photos = Dataset.from_arrays(np.stack([PHOTO, black, PHOTO]), ids=["a", "black", "c"])
    with np.errstate(invalid="ignore"):
        for refused in (predictor().predict, predictor().predict_proba):
            with pytest.raises(UnreadableImageError) as refusal:
                refused(photos)
            assert (str(refusal.value), refusal.value.id) == (NO_NUMBER, "black")
        with pytest.raises(UnreadableImageError, match="image 'image': what the model gives for it is NaN"):
            predictor().predict(black)
        said = list(predictor().predict(iter([PHOTO, black, PHOTO])))
        assert [isinstance(one, UnreadableImageError) for one in said] == [False, True, False]
        assert said[0].probabilities["red"] == said[2].probabilities["red"] == by_pillow(PHOTO)
        assert [one.id for one in said] == ["0", "1", "2"]
        alone = list(predictor().predict(iter([black] * 3)))  # batches of which nothing is left
        assert [(type(one), one.id) for one in alone] == [(UnreadableImageError, name) for name in "012"]
        for name in ("table.csv", "table.jsonl"):
            table = predictor().predict_to(tmp_path / name, photos)
            assert (table.ids, table.unreadable) == ({"a", "black", "c"}, 1)
            assert NO_NUMBER in (tmp_path / name).read_text()


@pytest.mark.parametrize("side", [8, 9, 30])
def test_an_array_that_is_one_image_to_predict_is_one_row_everywhere(tmp_path, side):
    photo = RANDOM.integers(0, 256, (side, side, 3), np.uint8)
    gray = RANDOM.integers(0, 256, (side, side), np.uint8)
    for name, image in (("photo", photo), ("gray", gray), ("channel", gray[..., None])):
        found = predictor().predict_proba(image)
        np.testing.assert_array_equal(found, predictor().predict_proba([image]))
        assert found[0, 0] == predictor().predict(image).probabilities["red"]
        assert predictor().predict_to(tmp_path / f"{name}.csv", image).ids == {"0"}
    assert [row["id"] for row in rows(tmp_path / "photo.csv")] == ["0"]
    predictor().predict_to(tmp_path / "frame.csv", photo[..., ::-1], bgr=True)
    assert [float(row["red"]) for row in rows(tmp_path / "frame.csv")] == pytest.approx([by_pillow(photo)], abs=1e-6)


def test_a_frame_of_opencv_has_its_colours_turned_round(tmp_path):
    frame = PHOTO[..., ::-1]
    for frames in ([frame, frame], np.stack([frame, frame]), iter([frame, frame])):
        found = list(predictor().predict(frames, bgr=True))
        assert [one.probabilities["red"] for one in found] == [by_pillow(PHOTO)] * 2
    assert predictor().predict(frame, bgr=True).probabilities["red"] == by_pillow(PHOTO)
    (tmp_path / "photo.png").write_bytes(png(PHOTO))
    see_through = np.dstack([frame, PHOTO[..., 0]])  # blue, green, red and how opaque
    many = (np.stack([see_through] * 2), PHOTO[None, ..., :1])
    for image in (tmp_path / "photo.png", Image.fromarray(PHOTO), PHOTO[..., 0], [png(PHOTO)], see_through, *many):
        with pytest.raises(ConfigurationError, match=r"bgr=True is for arrays \(H, W, 3\)"):
            predictor().predict(image, bgr=True)


def test_many_of_every_kind(tmp_path):
    images = RANDOM.integers(0, 256, (40, 30, 40, 3), np.uint8)
    for number, image in enumerate(images):
        (tmp_path / f"{number:02}.png").write_bytes(png(image))
    wanted = [by_pillow(image) for image in images]
    paths = sorted(tmp_path.iterdir())
    for many in (images, list(images), paths, tmp_path, f"{tmp_path}/*.png", Dataset.from_files(paths)):
        found = predictor().predict(many)
        assert isinstance(found, Predictions)
        assert found.probabilities[:, 0].tolist() == wanted
    assert predictor().predict_proba(images)[:, 0].tolist() == wanted


def test_images_in_memory_of_the_right_size_go_straight_to_the_model():
    images = RANDOM.integers(0, 256, (70, 8, 10, 3), np.uint8)
    given = []
    found = predictor(lambda pixels: given.append(pixels) or reddest(pixels)).predict(images)
    np.testing.assert_array_equal(np.concatenate(given), images)
    np.testing.assert_array_equal(found.probabilities, reddest(images))
    chosen = Dataset.from_arrays(images)[[5, 3, 60]]
    np.testing.assert_array_equal(predictor().predict(chosen).probabilities, reddest(images[[5, 3, 60]]))


def test_gray_arrays_in_memory_keep_their_shape():
    gray = RANDOM.integers(0, 256, (5, 8, 10), np.uint8)
    seen = Predictor(
        lambda pixels: pixels.reshape(len(pixels), -1).astype(np.float32), input_shape=(8, 10, 1), classes=range(80)
    )
    np.testing.assert_array_equal(seen.predict(gray).probabilities, gray.reshape(5, -1))


def test_one_that_cannot_be_read_among_many_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "good.png").write_bytes(png(PHOTO))
    with pytest.raises(UnreadableImageError, match=r"bad\.png"):
        predictor().predict(tmp_path)
    with pytest.raises(UnreadableImageError, match=r"bad\.png"):
        predictor().predict(tmp_path / "bad.png")


def test_an_open_file_is_no_stream_of_images(tmp_path):
    (tmp_path / "photo.png").write_bytes(png(PHOTO))
    with (
        (tmp_path / "photo.png").open("rb") as file,
        pytest.raises(ConfigurationError, match=r"predict\(file\.read\(\)\)"),
    ):
        predictor().predict(file)


def test_what_is_said_of_images_can_be_pickled(tmp_path):
    """For another process, or for a cache on disk."""
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTO))
    for given in (path, PHOTO, Image.fromarray(PHOTO)):
        one = predictor().predict(given)
        assert pickle.loads(pickle.dumps(one)) == one
    for given in ([path, path], np.stack([PHOTO] * 3), Dataset.from_files([path])):
        many = predictor().predict(given)
        for part in (many, many[:1]):
            assert list(pickle.loads(pickle.dumps(part))) == list(part)
        assert pickle.loads(pickle.dumps(many[0])) == many[0]
    said = list(predictor().predict(iter([PHOTO, b"no image"])))
    assert pickle.loads(pickle.dumps(said[0])) == said[0]
    assert str(pickle.loads(pickle.dumps(said[1]))) == str(said[1])


def test_the_number_of_images_chooses_what_runs():
    asked = []

    def run_for(count):
        asked.append(count)
        return reddest

    one = predictor(run_for=run_for)
    one.predict(RANDOM.integers(0, 256, (70, 8, 10, 3), np.uint8))
    one.predict(PHOTO)
    assert asked == [70]


@pytest.mark.parametrize(
    ("side", "count", "passes"),
    [
        (8, 200, [100, 100]),
        (224, 64, [32, 32]),
        (225, 64, [16, 16, 16, 16]),
        (448, 40, [7, 7, 6, 7, 7, 6]),
        (1300, 3, [1, 1, 1]),
    ],
)
def test_a_pass_has_no_more_pixels_than_a_batch_of_photos(tmp_path, side, count, passes):
    images = np.ones((count, side, side, 1), np.uint8) * np.arange(count, dtype=np.uint8)[:, None, None, None]
    together = []

    def run(pixels):
        together.append(len(pixels))
        light = pixels[:, 0, 0].astype(np.float32) / 255
        return np.concatenate([light, 1 - light], axis=1)

    one = Predictor(run, input_shape=(side, side, 1), classes=["light", "dark"])
    expected = np.arange(count, dtype=np.float32) / 255
    np.testing.assert_array_equal(one.predict_proba(images)[:, 0], expected)
    assert together == passes
    together.clear()
    assert [answer.probabilities["light"] for answer in one.predict(iter(images))] == expected.tolist()
    one.predict_to(tmp_path / "answers.csv", images)
    assert sum(together) == 2 * count
    assert max(together) <= max(1, 32 * 224 * 224 // side**2)


def test_threads_share_one():
    images = RANDOM.integers(0, 256, (200, 30, 40, 3), np.uint8)
    one, wanted = predictor(), [by_pillow(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        found = [answer.probabilities["red"] for answer in pool.map(one.predict, images)]
    assert found == wanted


# --- tables of answers ----------------------------------------------------------------------------------------------


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("stopped_after", [1, 33, 64])
def test_a_folder_that_was_stopped_goes_on(tmp_path, stopped_after):
    folder, table = tmp_path / "photos", tmp_path / "answers.csv"
    folder.mkdir()
    for number in range(70):
        (folder / f"{number:02}.png").write_bytes(png(RANDOM.integers(0, 256, (9, 9, 3), np.uint8)))
    (folder / "bad.png").write_bytes(b"no image")
    seen = []

    def stops(pixels):
        seen.extend(pixels)
        if len(seen) > stopped_after:
            raise KeyboardInterrupt
        return reddest(pixels)

    with pytest.raises(KeyboardInterrupt):
        predictor(stops).predict_to(table, folder, model="3f")
    before = rows(table)
    again = []
    answers = predictor(lambda pixels: again.extend(pixels) or reddest(pixels)).predict_to(table, folder, model="3f")
    assert rows(table)[: len(before)] == before
    assert len(again) == 70 - sum(not row["error"] for row in before)
    found = rows(table)
    assert sorted(row["id"] for row in found) == sorted(map(str, folder.iterdir())) == sorted(answers.ids)
    assert [row["id"] for row in found if row["error"]] == [str(folder / "bad.png")]
    for row in found[:20]:
        if not row["error"]:
            with Image.open(row["id"]) as image:
                assert float(row["red"]) == pytest.approx(by_pillow(np.asarray(image)), abs=1e-6)
    assert {row["model"] for row in found} == {"3f"}


def test_an_image_that_comes_twice_is_answered_once(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        path.write_bytes(png(PHOTO))
    (tmp_path / "images.csv").write_text("image\na.png\nb.png\na.png\n")
    named = [Sample(PHOTO, None, name) for name in "aba"]
    for many in ([*paths, paths[0]], tmp_path / "images.csv", iter(named)):
        table, ran = tmp_path / "answers.csv", []
        answers = predictor(lambda pixels, ran=ran: ran.extend(pixels) or reddest(pixels)).predict_to(table, many)
        assert len(rows(table)) == len(answers.ids) == len(ran) == 2
        table.unlink()


def test_images_of_a_stream_are_named_by_their_number(tmp_path):
    images = [PHOTO, b"no image", PHOTO[::-1]]
    answers = predictor().predict_to(tmp_path / "answers.jsonl", iter(images))
    assert answers.ids == {"0", "1", "2"}
    assert answers.refused == 1
    with pytest.warns(DataWarning, match=r"^images left out: 3\. .* by its number"):
        predictor().predict_to(tmp_path / "answers.jsonl", iter(images))
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("many", [list, np.stack, iter])
def test_new_frames_are_not_taken_for_those_of_yesterday_in_silence(tmp_path, many):
    table = tmp_path / "answers.csv"
    predictor().predict_to(table, many([PHOTO] * 5))
    with pytest.warns(DataWarning) as caught:
        predictor().predict_to(table, many([255 - PHOTO] * 7))
    assert [str(one.message) for one in caught] == [
        f"images left out: 5. '{table}' has rows of their numbers already, and an image without a name is known by its number. That is right where the same images come again. Write others to another file, or name them: Sample(image, None, name) in an iterator, and in memory Dataset.from_arrays(images, ids=names)."
    ]
    assert caught[0].filename == __file__
    found = [float(row["red"]) for row in rows(table)]
    assert found == pytest.approx([by_pillow(PHOTO)] * 5 + [by_pillow(255 - PHOTO)] * 2, abs=1e-6)


UNNAMED = {
    "whole": Dataset.from_arrays,
    "part": lambda images: Dataset.from_arrays([PHOTO, *images])[1:],
    "sum": lambda images: Dataset.from_arrays(images[:2]) + Dataset.from_arrays(images[2:]),
}


@pytest.mark.parametrize("many", UNNAMED.values(), ids=UNNAMED)
def test_images_of_a_dataset_without_names_are_no_others_in_silence_either(tmp_path, many):
    table = tmp_path / "answers.csv"
    predictor().predict_to(table, many([PHOTO] * 5))
    with pytest.warns(DataWarning, match=r"^images left out: 5\. .* is known by its number\."):
        predictor().predict_to(table, many([255 - PHOTO] * 5))


def test_paths_of_a_dataset_without_names_are_no_others_in_silence_either(tmp_path):
    paths = [tmp_path / name for name in ("monday.png", "tuesday.png")]
    for path in paths:
        path.write_bytes(png(PHOTO))
    predictor().predict_to(tmp_path / "answers.csv", Dataset(paths[:1]))
    with pytest.warns(DataWarning, match=r"^images left out: 1\. "):
        predictor().predict_to(tmp_path / "answers.csv", Dataset(paths[1:]))


@pytest.mark.parametrize("ids", [["007", "12"], ["a 0", "a 1"]])
def test_images_of_a_dataset_with_names_go_on_without_a_word(tmp_path, ids):
    for last in (1, 2):
        answers = predictor().predict_to(tmp_path / "answers.csv", Dataset.from_arrays([PHOTO] * last, ids=ids[:last]))
    assert answers.ids == set(ids)


def test_a_stream_without_an_end_says_at_once_what_is_left_out(tmp_path):
    predictor().predict_to(tmp_path / "answers.csv", iter([PHOTO] * 5))

    def frames():
        for _ in range(6):
            yield PHOTO
        time.sleep(0.5)
        raise KeyboardInterrupt

    with pytest.warns(DataWarning, match="images left out: 5"), pytest.raises(KeyboardInterrupt):
        predictor().predict_to(tmp_path / "answers.csv", frames())


def test_named_frames_of_two_days_stand_in_one_table(tmp_path):
    table = tmp_path / "answers.csv"
    predictor().predict_to(table, iter([Sample(PHOTO, None, f"monday {number}") for number in range(2)]))
    predictor().predict_to(table, iter([Sample(255 - PHOTO, None, f"tuesday {number}") for number in range(2)]))
    predictor().predict_to(table, Dataset.from_arrays([PHOTO] * 2, ids=["wednesday 0", "monday 0"]))
    assert [row["id"] for row in rows(table)] == ["monday 0", "monday 1", "tuesday 0", "tuesday 1", "wednesday 0"]


@pytest.mark.parametrize("many", [list, np.stack, iter])
def test_frames_of_opencv_are_answered_into_a_table(tmp_path, many):
    predictor().predict_to(tmp_path / "answers.csv", many([PHOTO[..., ::-1]] * 2), bgr=True)
    assert [float(row["red"]) for row in rows(tmp_path / "answers.csv")] == pytest.approx(
        [by_pillow(PHOTO)] * 2, abs=1e-6
    )


def test_a_table_is_refused_before_any_image_is_answered(tmp_path):
    ran = threading.Event()
    with pytest.raises(ConfigurationError, match=r"Accepted: \.csv"):
        predictor(lambda _: ran.set()).predict_to(tmp_path / "answers.txt", PHOTO[None])
    assert not ran.is_set()


def test_a_table_of_a_stream_shows_progress_without_an_end(tmp_path, capsys):
    predictor().predict_to(tmp_path / "answers.csv", iter([PHOTO] * 3), verbose=1)
    assert len(rows(tmp_path / "answers.csv")) == 3


def test_a_table_of_many_is_answered_by_what_runs_many(tmp_path):
    asked = []
    one = predictor(lambda _: pytest.fail("runs few"), run_for=lambda count: asked.append(count) or reddest)
    one.predict_to(tmp_path / "answers.csv", np.stack([PHOTO] * 3))
    assert asked == [3]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_images_that_do_not_exist_leave_no_table_behind(tmp_path, suffix):
    table = tmp_path / f"answers.{suffix}"
    with pytest.raises(DataError, match="does not exist"):
        predictor().predict_to(table, tmp_path / "nowhere")
    with (
        (tmp_path / "photo.png").open("w+b") as file,
        pytest.raises(ConfigurationError, match=r"predict\(file\.read\(\)\)"),
    ):
        predictor().predict_to(table, file)
    assert not table.exists()
    surely = predictor(decide=lambda found: {"probabilities": found, "unknown": found.max(axis=1) < 0.9})
    assert surely.predict_to(table, [PHOTO]).ids == {"0"}  # with a column more
