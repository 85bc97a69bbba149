"""Routes and refusals, without a network."""

import asyncio
import base64
import io
import json
import os
import threading
from urllib.parse import quote, urljoin

import numpy as np
import pytest
from asgi import Client, form
from lights import bright, hesitant, png, predictor
from PIL import Image

from imgcls import ConfigurationError, images
from imgcls.serving import create_app

ACCEPTED_TYPES = "an image type such as image/jpeg, application/octet-stream, or multipart/form-data with files"
CURL = "With curl: -H 'Content-Type: image/jpeg' --data-binary @photo.jpg, or -F image=@photo.jpg."
FORMATS = "JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM, AVIF"


@pytest.fixture
def client():
    with Client(create_app(predictor(), name="lights")) as one:
        yield one


def limited(run=bright, **limits):
    return Client(create_app(predictor(run), **limits))


def refusal(answer):
    error = answer.told["error"]
    assert answer.headers["content-type"] == "application/json"
    assert error["status"] == answer.status
    return error["what"], error["accepted"], error["do"]


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; x=y"])
def test_an_image_in_the_body_is_answered(client, kind):
    answer = client.predict(png(204), kind)
    assert answer.status == 200
    assert answer.told == {
        "id": "image",
        "label": "day",
        "probability": 0.8,
        "probabilities": {"day": 0.8, "night": pytest.approx(0.2)},
        "model": "lights",
    }
    assert list(answer.told["probabilities"]) == ["day", "night"]  # the likeliest first


def test_a_body_may_come_in_parts_and_without_a_type(client):
    data = png(0)
    assert client.ask("POST", "/predict", [data[:10], b"", data[10:]]).told["label"] == "night"


def test_a_class_is_said_from_its_threshold_on():
    with Client(create_app(predictor(thresholds={"day": 0.1}))) as one:
        answer = one.predict(png(51))
    assert (answer.told["label"], answer.told["probability"]) == ("day", 0.2)


def test_what_may_stand_in_place_of_a_class_is_answered():
    with Client(create_app(predictor(decide=hesitant))) as client:
        body, kind = form(("black.png", png(0)), ("gray.png", png(128)), ("white.png", png(255)))
        told = client.predict(body, kind).told["predictions"]
        alone = client.predict(png(0)).told
    assert [one["answer"] for one in told] == ["unknown", ["day", "night"], "day"]
    assert [one["label"] for one in told] == ["night", "day", "day"]
    assert (alone["answer"], alone["label"], alone["probability"]) == ("unknown", "night", 1.0)


def test_the_answer_is_the_predictors_own():
    random = np.random.default_rng(0)
    file = png(0)
    weights = random.normal(size=(192, 5)).astype(np.float32)

    def run(pixels):
        scores = pixels.reshape(len(pixels), -1) / 255 @ weights
        return (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)

    one = predictor(run, classes=list("abcde"))
    with Client(create_app(one)) as client:
        told = client.predict(file).told
    said = one.predict(file)
    assert told["label"] == said.label
    assert {label: np.float32(value) for label, value in told["probabilities"].items()} == said.probabilities


def test_a_form_of_one_file_is_answered_as_the_file_alone(client):
    body, kind = form(("new.png", png(51)))
    told = client.predict(body, kind).told
    assert (told["id"], told["label"], told["probability"]) == ("new.png", "night", 0.8)


def test_files_of_a_form_are_answered_in_their_order(client):
    body, kind = form(("dark.png", png(0)), ("light.png", png(255)), ("dark.png", png(0)))
    told = client.predict(body, kind).told
    assert told["model"] == "lights"
    assert [(one["id"], one["label"]) for one in told["predictions"]] == [
        ("dark.png", "night"),
        ("light.png", "day"),
        ("dark.png", "night"),
    ]


def bare_dicom(level):
    """Return a picture of one gray, from 0 to 255, as DICOM without preamble: nothing in its bytes says what it is."""
    pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'imgcls[dicom]'")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.ExplicitVRLittleEndian, "1.2.3"
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    scan = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    scan.Rows, scan.Columns, scan.SamplesPerPixel, scan.PixelRepresentation = 8, 8, 1, 0
    scan.BitsAllocated, scan.BitsStored, scan.HighBit, scan.PhotometricInterpretation = 8, 8, 7, "MONOCHROME2"
    scan.PixelData = bytes([level]) * 64
    file = io.BytesIO()
    pydicom.dcmwrite(file, scan, enforce_file_format=True)
    return file.getvalue()[132:]


LONG = f"{'a' * 300}.dicom"


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("scan.dcm", "scan.dcm"),
        ("O'Brien's.DCM", "O'Brien's.DCM"),
        (LONG, f"{'a' * 177}...{'a' * 14}.dicom"),
        (LONG[-200:], LONG[-200:]),
    ],
)
def test_dicom_in_a_form_is_known_by_the_name_of_its_file(client, name, id_):
    told = client.predict(*form((name, bare_dicom(204)))).told
    assert (told["id"], told["label"], told["probability"]) == (id_, "day", 0.8)
    assert len(id_) <= 200


def test_dicom_in_a_body_is_known_by_its_type(client):
    scan = bare_dicom(204)
    for kind in ("application/dicom", "Application/DICOM; transfer-syntax=1.2.840.10008.1.2.1"):
        told = client.predict(scan, kind).told
        assert (told["id"], told["label"], told["probability"]) == ("image", "day", 0.8)
    assert client.predict(scan, "application/octet-stream").status == 422
    assert refusal(client.predict(b"hello", "application/dicom"))[0] == (
        "image 'body.dcm' cannot be read as an image: it is DICOM without an image, or no DICOM at all."
    )
    with Client(create_app(Explains())) as one:
        assert one.ask("POST", "/explain", scan, {"content-type": "application/dicom"}).told["label"] == "day"


def test_a_bad_file_spoils_no_neighbour(client):
    body, kind = form(("a.png", png(0)), ("b.txt", b"no image"), ("c.png", png(255)[:60]), ("d.png", png(255)))
    answer = client.predict(body, kind)
    assert answer.status == 200
    first, second, third, fourth = answer.told["predictions"]
    assert (first["label"], fourth["label"]) == ("night", "day")
    assert second == {
        "id": "b.txt",
        "error": {
            "status": 422,
            "what": "image 'b.txt' cannot be read as an image: its bytes are of no known image format.",
            "accepted": FORMATS,
            "do": "Repair or remove it.",
        },
    }
    assert third["error"]["what"].startswith("image 'c.png' cannot be read as an image: it is truncated")


def test_an_image_that_the_model_gives_no_number_for_spoils_no_neighbour():
    def run(pixels):
        found = bright(pixels)
        found[~pixels.any(axis=(1, 2, 3))] = np.nan
        return found

    with limited(run) as client:
        found = client.predict(*form(("a.png", png(0)), ("b.png", png(255)))).told["predictions"]
        alone = client.predict(png(0))
    assert (found[0]["error"]["status"], found[1]["label"]) == (422, "day")
    assert found[0]["error"]["what"].startswith("image 'a.png': what the model gives for it is NaN or infinite")
    assert alone.status == 422


def test_a_form_of_bad_files_alone_is_refused_each_in_its_words(client):
    body, kind = form(("a", b"x"), ("b", b"y"))
    answer = client.predict(body, kind)
    assert answer.status == 422
    assert ["error" in one for one in answer.told["predictions"]] == [True, True]


def test_fields_beside_files_are_left_out(client):
    body, kind = form(("new.png", png(0)))
    field = b'--xyz\r\ncontent-disposition: form-data; name="note"\r\n\r\nhello\r\n'
    assert client.predict(field + body, kind).told["id"] == "new.png"


def test_a_form_may_come_byte_by_byte(client):
    body, kind = form(("new.png", png(255, (2, 2))))
    assert client.predict([body[index : index + 1] for index in range(len(body))], kind).told["label"] == "day"


def test_several_labels():
    def run(pixels):
        return np.tile(np.float32([0.9, 0.2, 0.7]), (len(pixels), 1))

    with Client(create_app(predictor(run, classes=["a", "b", "c"], multi_label=True))) as client:
        told = client.predict(png(0)).told
    assert (told["label"], told["probability"]) == (["a", "c"], 0.9)


def test_classes_that_are_no_text_and_names_in_any_alphabet():
    with Client(create_app(predictor(classes=[7, "Gänseblümchen 🌼"]), name="Blüten")) as client:
        answer = client.predict(png(0))
        assert client.ask("GET", "/").status == 200
    assert (answer.told["label"], answer.told["model"]) == (7, "Blüten")
    assert "Gänseblümchen 🌼" in answer.body.decode()


def test_the_name_of_a_file_that_is_no_text():
    with Client(create_app(predictor(), name="ros\udce9.onnx")) as client:
        assert client.predict(png(0)).told["model"] == "ros?.onnx"
        assert [client.ask("GET", path).status for path in ("/", "/metrics")] == [200, 200]


def test_what_knows_its_predictor_is_served_by_it():
    class Exported:
        predictor = predictor()

    with Client(create_app(Exported())) as client:
        assert client.predict(png(255)).told["label"] == "day"


# --- health, metrics, page -----------------------------------------------------------------------------------------


def test_it_is_ready_once_the_model_is_warm_in_every_size_of_batch():
    shapes, go = [], threading.Event()

    def run(pixels):
        go.wait(10)
        shapes.append(pixels.shape)
        return bright(pixels)

    with limited(run, batch_size=5) as client:
        answer = client.ask("GET", "/health")
        assert (answer.status, answer.told) == (503, {"status": "warming", "model": "model"})
        go.set()
        client.warm()
        assert client.ask("GET", "/health").told == {"status": "ready", "model": "model"}
    assert shapes == [(1, 8, 8, 3), (2, 8, 8, 3), (4, 8, 8, 3)]


def test_a_request_while_it_warms_is_answered():
    with limited() as client:
        assert client.predict(png(255)).told["label"] == "day"


def test_a_model_that_fails_is_never_ready(caplog):
    def run(pixels):
        raise RuntimeError("no such operation")

    with limited(run) as client:
        for _ in range(50):
            answer = client.ask("GET", "/health")
            client.run(asyncio.sleep(0.01))
        predicted = client.predict(png(0))
    assert (answer.status, answer.told["status"]) == (503, "failed")
    assert predicted.status == 500
    assert b"RuntimeError" not in predicted.body
    assert b"no such operation" not in predicted.body
    assert refusal(predicted)[0] == "the server failed to answer this request; its log says why."
    assert "no such operation" in caplog.text


def test_a_model_that_fails_on_large_batches_alone_is_ready_and_answers(caplog):
    def run(pixels):
        if len(pixels) > 2:
            raise MemoryError("no room for 4")
        return bright(pixels)

    with limited(run, batch_size=4) as client:
        client.warm()
        assert client.ask("GET", "/health").told["status"] == "ready"
        body, kind = form(*[(f"{level}.png", png(level)) for level in (0, 255, 0, 255)])
        told = client.predict(body, kind).told["predictions"]
    assert [one["label"] for one in told] == ["night", "day", "night", "day"]
    assert "failed on 4 empty images at once" in caplog.text
    assert "no room for 4" in caplog.text


def test_head_is_get_without_a_body(client):
    for path in ("/", "/health", "/metrics"):
        head, got = client.ask("HEAD", path), client.ask("GET", path)
        assert head.status == got.status
        assert head.body == b""
        if path == "/":
            assert head.headers == got.headers
            assert int(head.headers["content-length"]) == len(got.body)


def test_the_page_names_the_model_and_asks_no_other_host():
    with Client(create_app(predictor(), name="<script>alert(1)</script>")) as client:
        page = client.ask("GET", "/")
    text = page.body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("<script>") == 1
    assert "http://" not in text
    assert "https://" not in text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_answers_may_not_be_taken_for_something_else(client):
    for answer in (client.ask("GET", "/"), client.predict(png(0)), client.ask("GET", "/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"


# --- refusals ------------------------------------------------------------------------------------------------------


def test_below_the_prefix_of_another_application(client):
    client.warm()
    for path in ("/flowers/health", "/flowers/"):
        assert client.ask("GET", path, root_path="/flowers").status == 200
    assert client.ask("GET", "/flowers/nothing", root_path="/flowers").status == 404
    assert client.ask("GET", "/flowers/health").status == 404


@pytest.mark.parametrize("prefix", ["/flowers", "/all/flowers", "/my: flowers", "/fl%C3%BCge/ü?"])
def test_the_prefix_itself_leads_to_the_page_below_it(client, prefix):
    """Of "/flowers", a browser would ask "/predict"; of "/flowers/", what the page says."""
    for method in ("GET", "HEAD"):
        answer = client.ask(method, prefix, root_path=prefix)
        assert (answer.status, answer.body) == (307, b"")
        for outer in ("http://a.b", "http://a.b/taken/off"):  # by a proxy
            found = urljoin(outer + quote(prefix), answer.headers["location"])
            assert found == f"{outer}{quote(prefix)}/"
            assert urljoin(found, "predict") == f"{outer}{quote(prefix)}/predict"
    assert client.ask("POST", prefix, root_path=prefix).status == 405
    assert client.ask("GET", f"{prefix}/", root_path=f"{prefix}/").status == 200
    assert client.ask("GET", "/", root_path="/").status == 200


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "//predict", "/../etc/passwd", "/\0", "", "/Predict", "é"])
def test_an_unknown_path_is_404(client, path):
    answer = client.ask("GET", path)
    assert answer.status == 404
    assert refusal(answer) == (
        f"there is nothing at {path!r}.",
        "/, /health, /metrics, /predict, /explain",
        "See GET / for a page, or the documentation of imgcls serve.",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW" * 100])
@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/predict", "/explain"])
def test_a_wrong_method_is_405_and_says_which_is_right(client, method, path):
    if (method, path) in {("POST", "/predict"), ("POST", "/explain")}:
        return
    answer = client.ask(method, path)
    assert answer.status == 405
    right = "POST" if path in {"/predict", "/explain"} else "GET, HEAD"
    assert answer.headers["allow"] == right
    assert refusal(answer)[:2] == (f"{path} is not asked by {method[:20]}.", right)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/mixed", "image", "\xff"]
)
def test_a_wrong_type_is_415(client, kind):
    answer = client.predict(png(0), kind)
    assert answer.status == 415
    assert refusal(answer) == (f"the content type is {kind!r}.", ACCEPTED_TYPES, f"Set it. {CURL}")


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"", "multipart/form-data", "the form's content type names no boundary."),
        (b"--x--\r\n", "multipart/form-data; boundary=" + "x" * 5000, None),
        (b"", "multipart/form-data; boundary=xyz", "the form ends before its last boundary."),
        (b"garbage", "multipart/form-data; boundary=xyz", None),
        (form(("a.png", b"x"))[0][:-4], "multipart/form-data; boundary=xyz", "the form ends before its last boundary."),
        (b"--xyz--\r\n", "multipart/form-data; boundary=xyz", "the form holds no file."),
        (
            b'--xyz\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--xyz--\r\n',
            form()[1],
            "the form holds no file.",
        ),
        (b"--xyz\r\n" + b"a: b\r\n" * 1000, "multipart/form-data; boundary=xyz", None),
        (b"--xyz\r\na: " + b"b" * 100_000, "multipart/form-data; boundary=xyz", None),
    ],
)
def test_a_malformed_form_is_400(client, body, kind, what):
    answer = client.predict(body, kind)
    assert answer.status == 400
    found, accepted, do = refusal(answer)
    assert found == what or (what is None and found.startswith("the form cannot be read: "))
    assert (accepted, do) == (ACCEPTED_TYPES, f"Let a library write the request. {CURL}")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it is empty"),
        (b"no image", "its bytes are of no known image format"),
        (png(0)[:50], "it is truncated"),
        (b"\xff\xd8\xff\xe0" + bytes(500), "it is truncated"),
    ],
)
def test_what_is_no_image_is_422_in_the_decoders_words(client, data, cause):
    answer = client.predict(data)
    assert answer.status == 422
    what, accepted, do = refusal(answer)
    assert what.startswith(f"image in the body cannot be read as an image: {cause}")
    assert (accepted, do) == (FORMATS, "Repair or remove it.")


def test_too_many_pixels_are_422_and_the_variable_is_named(client, monkeypatch):
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "599")
    answer = client.predict(png(0, (20, 30)))
    assert answer.status == 422
    assert refusal(answer)[0] == (
        "image in the body cannot be read as an image: 30 x 20 pixels are more than 599; "
        "the environment variable IMGCLS_MAX_PIXELS allows more."
    )


def test_too_many_bytes_are_413_before_they_are_read():
    with limited(max_bytes=1000) as client:
        told = client.predict([b"x", 60.0, b"y"], **{"content-length": "1001"})  # would wait for a minute
        streamed = client.predict([b"x" * 400] * 3 + [60.0, b"y"])
        fits = client.predict(b"x" * 1000, **{"content-length": "1000"})
    assert (told.status, streamed.status, fits.status) == (413, 413, 422)
    assert (
        refusal(told)
        == refusal(streamed)
        == (
            "the request is larger than 1,000 bytes.",
            "at most 1,000 bytes",
            "Send a smaller image, or let the server accept more: imgcls serve --max-bytes.",
        )
    )


def test_memory_for_uploads_is_bounded_together_and_given_back():
    with limited(max_bytes=1000) as client:

        async def many():
            slow = [client.asked("POST", "/predict", [b"x" * 900, 0.3, b"y"]) for _ in range(18)]
            return await asyncio.gather(*slow)

        found = [answer.status for answer in client.run(many())]
        assert sorted(set(found)) == [422, 503]
        assert found.count(422) == 17  # 17 x 901 bytes are at most 16,000
        assert {answer.status for answer in client.run(many())} == {422, 503}


def test_too_many_files_are_413():
    with limited(queue_size=2) as client:
        body, kind = form(*[(f"{number}.png", png(0)) for number in range(3)])
        answer = client.predict(body, kind)
        assert answer.status == 413
        assert refusal(answer)[1:] == ("at most 2 files", "Send them in several requests.")
        body, kind = form(("a.png", png(0)), ("b.png", png(0)))
        assert client.predict(body, kind).status == 200


@pytest.mark.parametrize("count", [1, 2])
def test_fields_after_the_last_file_that_is_accepted_are_left_out(count):
    field = b'--xyz\r\ncontent-disposition: form-data; name="note"\r\n\r\nhello\r\n'
    with limited(queue_size=2) as client:
        body, kind = form(*[(f"{number}.png", png(0)) for number in range(count)])
        end = b"--xyz--\r\n"
        assert client.predict(field + body.removesuffix(end) + field + field + end, kind).status == 200


def test_a_slow_client_is_408():
    with limited(timeout=0.1) as client:
        answer = client.predict([b"x", 5.0, b"y"])
        assert answer.status == 408
        assert answer.headers["connection"] == "close"
        assert refusal(answer) == (
            "the request was not complete after 0.1 seconds.",
            "requests that arrive within 0.1 seconds",
            "Send a smaller image, or let the server wait longer: imgcls serve --timeout.",
        )


def test_a_client_that_leaves_is_not_answered(client):
    assert client.predict([]) is None
    assert client.predict(png(0)).status == 200


def test_slow_work_is_503_and_the_next_is_answered():
    go = threading.Event()

    def run(pixels):
        if pixels.any():
            go.wait(20)
        return bright(pixels)

    with limited(run, timeout=0.2) as client:
        client.warm()
        answer = client.predict(png(255))
        go.set()
        assert client.predict(png(0)).status == 200
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert refusal(answer)[0] == "the model did not answer within 0.2 seconds."


def test_a_full_queue_is_503_at_once_and_every_accepted_image_is_answered():
    go = threading.Event()

    def run(pixels):
        if pixels.any():
            go.wait(20)
        return bright(pixels)

    with limited(run, queue_size=3) as client:
        client.warm()

        async def storm():
            accepted = [asyncio.create_task(client.asked("POST", "/predict", png(255))) for _ in range(3)]
            await asyncio.sleep(0.2)
            refused = await client.asked("POST", "/predict", [b"x", 60.0])  # not even read
            body, kind = form(("a.png", png(0)))
            also = await client.asked("POST", "/predict", body, {"content-type": kind})
            metrics = await client.asked("GET", "/metrics")
            go.set()
            return refused, also, metrics, await asyncio.gather(*accepted)

        refused, also, metrics, accepted = client.run(storm())
        assert client.predict(png(0)).status == 200
    assert [answer.status for answer in accepted] == [200, 200, 200]
    assert (refused.status, also.status) == (503, 503)
    assert refused.headers["retry-after"] == "1"
    assert refusal(refused) == (
        "3 images are waiting already.",
        "images, as fast as the model answers them",
        "Try again in 1 s, and wait longer after each refusal.",
    )
    assert "\nimgcls_queue_images 3\n" in metrics.body.decode()


def test_explain_is_not_there_for_an_exported_file(client):
    answer = client.ask("POST", "/explain", png(0), {"content-type": "image/png"})
    assert answer.status == 404
    assert refusal(answer) == (
        "this server runs an exported file, which can predict and not explain.",
        "/explain where a bundle is served",
        "Serve the bundle: imgcls serve model.imgcls.",
    )


class Explains:
    """A classifier that looks at the brightest place, and knows what it was asked and where."""

    def __init__(self):
        self.predictor, self.asked = predictor(), []

    def explain(self, pixels, method="grad_cam"):
        self.asked.append((pixels.shape, threading.current_thread().name.rpartition("_")[0]))
        heat = (pixels[..., 0] == pixels.max()).astype(np.float32)
        return type("", (), {"label": self.predictor.predict(pixels).label, "heat": heat})


def test_a_large_image_is_explained_at_the_size_of_the_model():
    """A file of 100 KiB may have 88 million pixels: whoever waits for the model is not to wait for their decoding."""
    pixels = np.zeros((2_000, 3_000, 3), np.uint8)
    pixels[1_000:, 1_500:] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    read, said = [], Explains()

    def noted(function):
        def call(data, *others, **more):
            if isinstance(data, bytes):
                read.append(threading.current_thread().name.rpartition("_")[0])
            return function(data, *others, **more)

        return call

    with pytest.MonkeyPatch.context() as patch, Client(create_app(said)) as one:
        for name in ("read", "glance"):
            patch.setattr(images, name, noted(getattr(images, name)))
        told = one.ask("POST", "/explain", file.getvalue()).told
    assert said.asked == [((8, 8, 3), "imgcls-run")]
    assert read == ["imgcls-read"] * 2
    assert told["label"] == said.predictor.predict(file.getvalue()).label == "night"
    with Image.open(io.BytesIO(base64.b64decode(told["picture"].partition(",")[2]))) as drawn:
        assert drawn.size == (640, 427)
        shown = np.asarray(drawn.convert("RGB")).astype(int)
    colourful = shown.max(axis=2) - shown.min(axis=2)
    assert colourful[240:, 350:].mean() > 50
    assert colourful[:180, :290].mean() < 5


def test_others_are_answered_while_a_large_image_is_decoded_to_be_explained(monkeypatch):
    go, glance = threading.Event(), images.glance
    monkeypatch.setattr(images, "glance", lambda *all_: (go.wait(20), glance(*all_))[1])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # threads that decode
    with Client(create_app(Explains(), timeout=20)) as client:

        async def both():
            explained = asyncio.create_task(client.asked("POST", "/explain", png(255)))
            await asyncio.sleep(0.2)
            answer = await client.asked("POST", "/predict", png(0))
            waited = explained.done()
            go.set()
            return answer, waited, await explained

        answer, waited, explained = client.run(both())
    assert (answer.told["label"], waited, explained.told["label"]) == ("night", False, "day")


def test_what_cannot_be_read_is_refused_by_explain_in_the_words_of_predict():
    with Client(create_app(Explains())) as client:
        explained = client.ask("POST", "/explain", b"no image")
        assert explained.status == 422
        assert refusal(explained) == refusal(client.ask("POST", "/predict", b"no image"))


def test_other_protocols_are_refused(client):
    sent = []

    async def refuse():
        async def send(message):
            sent.append(message["type"])

        await client._app({"type": "websocket", "path": "/"}, None, send)

    client.run(refuse())
    assert sent == ["websocket.close"]


def test_arguments_are_refused_all_at_once():
    with pytest.raises(ConfigurationError) as refused:
        create_app(predictor(), batch_size=0, queue_size="many", max_bytes=1.5, timeout=0)
    assert str(refused.value) == (
        "4 arguments are wrong:\n"
        "- batch_size=0 is not accepted. Accepted: a whole number of at least 1, or 'auto'.\n"
        "- queue_size='many' is not accepted. Accepted: a whole number of at least 1.\n"
        "- max_bytes=1.5 is not accepted. Accepted: a whole number of at least 1.\n"
        "- timeout=0 is not accepted. Accepted: a number above 0."
    )


def test_random_bytes_get_a_refusal_in_json_and_harm_nothing(client):
    random = np.random.default_rng(0)
    heads = (b"", b"\xff\xd8\xff\xe0", png(0)[:33], b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b"II*\0", b"--xyz\r\n")
    kinds = ("image/png", "application/octet-stream", "multipart/form-data; boundary=xyz")
    for number in range(300):
        body = heads[number % len(heads)] + random.bytes(int(random.integers(0, 2000)))
        answer = client.predict(body, kinds[number % len(kinds)])
        assert answer.status in {400, 422}
        assert {"what", "accepted", "do"} <= set(json.loads(answer.body)["error"])
    assert client.ask("GET", "/health").status == 200
    assert client.predict(png(255)).told["label"] == "day"
