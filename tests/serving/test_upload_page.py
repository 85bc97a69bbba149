"""The page in a real browser: a photo goes in, a label comes out, nothing else is asked, nothing goes wrong."""

import base64
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from explaining import NAMES
from lights import png
from PIL import Image
from process import Server, lights

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
import chromium

pytestmark = [
    pytest.mark.slow,  # a browser takes a second to start
    pytest.mark.skipif(chromium.found() is None, reason=f"none of {', '.join(chromium.NAMES)} is installed"),
]
ENTER, TAB = 13, 9


@pytest.fixture(scope="module")
def server():
    with Server(Path(__file__).parent / "explaining.py") as one:
        yield one


@pytest.fixture(scope="module")
def browser():
    with chromium.Chromium() as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_goes_wrong(browser):
    """Whatever a test does: no error, and no request but to this server and for what the page holds."""
    yield
    browser.ask("new Promise(done => setTimeout(done, 50))")
    assert not browser.told("Runtime.exceptionThrown")
    assert not browser.told("Runtime.consoleAPICalled")
    assert not browser.told("Log.entryAdded")
    urls = [one["request"]["url"] for one in browser.told("Network.requestWillBeSent")]
    assert {url.partition(":")[0] for url in urls} <= {"http", "data", "blob"}
    assert {url.split("/")[2].partition(":")[0] for url in urls if url.startswith("http:")} == {"127.0.0.1"}


@pytest.fixture
def photos(tmp_path):
    paths = {}
    for name, level in (("dark", 0), ("bright", 255)):
        paths[name] = tmp_path / f"{name}.png"
        paths[name].write_bytes(png(level, (60, 80)))
    return paths


def choose(browser, path):
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


def wait(browser, expression):
    deadline = time.monotonic() + 15
    while not browser.ask(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def look(browser, path):
    choose(browser, path)
    wait(browser, "!document.querySelector('.busy') && !document.getElementById('result').hidden")


def text(browser, name):
    return browser.ask(f"document.getElementById('{name}').innerText")


def bars(browser):
    return browser.ask(
        "[...document.querySelectorAll('#bars li')].filter(one => !one.hidden).map(one => [one.querySelector('span')"
        ".textContent, one.querySelector('b').textContent, one.querySelector('i').getBoundingClientRect().width / "
        "one.querySelector('.track').getBoundingClientRect().width])"
    )


def test_a_photo_is_answered_with_a_label_and_bars(browser, server, photos):
    browser.open(server.url)
    assert browser.ask("document.title") == "<b>lights</b>.imgcls"
    assert browser.ask("document.getElementById('result').hidden")
    look(browser, photos["dark"])
    told = server.ask("POST", "/predict", photos["dark"].read_bytes(), content_type="image/png").told
    assert text(browser, "label") == told["label"] == "night"
    assert text(browser, "sure") == f"{100 * told['probability']:.1f} % sure"
    assert text(browser, "id") == "dark.png"
    shown = bars(browser)
    assert [name for name, _, _ in shown] == list(told["probabilities"])[:6]
    for (_, percent, width), share in zip(shown, told["probabilities"].values(), strict=False):
        assert percent == f"{100 * share:.1f} %"
        assert width == pytest.approx(share, abs=0.02)
    assert text(browser, "status") == f"night, {text(browser, 'sure')}"  # read out
    assert browser.ask("document.getElementById('photo').naturalWidth") == 80


def test_all_classes_can_be_seen_and_names_are_text(browser, server, photos):
    browser.open(server.url)
    look(browser, photos["dark"])
    assert text(browser, "more") == "All 12 classes"
    browser.click("#more")
    assert {name for name, _, _ in bars(browser)} == set(NAMES)
    assert browser.ask("document.getElementById('more').ariaExpanded") == "true"
    browser.click("#more")
    assert len(bars(browser)) == 6
    assert browser.ask("document.title") == "<b>lights</b>.imgcls"
    assert browser.ask("document.querySelectorAll('ol img, h1 b').length") == 0


def test_the_heat_map_can_be_laid_over_and_taken_away(browser, server, photos):
    browser.open(server.url)
    look(browser, photos["bright"])
    wait(browser, "!document.getElementById('toggle').hidden")
    assert browser.ask("document.getElementById('heat').hidden")
    browser.click("#toggle")
    assert browser.ask("document.getElementById('toggle').ariaPressed") == "true"
    wait(browser, "document.getElementById('heat').naturalWidth === 80")
    source = browser.ask("document.getElementById('heat').src")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as drawn:
        pixels = np.asarray(drawn.convert("RGB")).astype(int)
    colourful = (pixels.max(axis=2) - pixels.min(axis=2)).mean(axis=1)
    assert colourful[:25].min() > 2 * colourful[35:].max()  # the upper half is hot
    browser.click("#toggle")
    assert browser.ask("document.getElementById('heat').hidden")


def test_an_exported_file_has_no_heat_map(browser, photos):
    with lights() as server:
        browser.open(server.url)
        look(browser, photos["bright"])
        assert text(browser, "label") == "day"
        assert browser.ask("document.getElementById('toggle').hidden")
        assert not [one for one in browser.told("Network.requestWillBeSent") if "explain" in one["request"]["url"]]


def test_a_model_that_abstains_is_not_called_sure(browser, photos, tmp_path):
    (tmp_path / "gray.png").write_bytes(png(128))
    with lights(abstain="yes") as server:
        browser.open(server.url)
        for photo, label, sure in (
            (photos["dark"], "unknown", "likeliest: night, 100.0 %"),
            (tmp_path / "gray.png", "day or night", "one of these"),
            (photos["bright"], "day", "100.0 % sure"),
        ):
            look(browser, photo)
            assert (text(browser, "label"), text(browser, "sure")) == (label, sure)
            said = browser.ask("[...document.querySelectorAll('#bars .said span')].map(one => one.textContent)")
            assert {name for name in said if name} == {name for name in ("day", "night") if name in label}


def test_the_same_photo_and_another_can_follow(browser, server, photos):
    browser.open(server.url)
    for name in ("dark", "dark", "bright", "dark"):
        look(browser, photos[name])
        assert text(browser, "id") == f"{name}.png"
        assert browser.ask("document.getElementById('refusal').hidden")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_photo_may_be_dropped_or_pasted(browser, server, photos, event):
    browser.open(server.url)
    data = base64.b64encode(photos["bright"].read_bytes()).decode()
    made = {"drop": "new DragEvent('drop', {dataTransfer: held})", "paste": "new ClipboardEvent('paste', given)"}
    browser.ask(
        "(() => { const held = new DataTransfer(); const given = {clipboardData: held, bubbles: true};"
        f"const bytes = Uint8Array.from(atob({json.dumps(data)}), one => one.charCodeAt(0));"
        "held.items.add(new File([bytes], 'brought.png', {type: 'image/png'}));"
        f"document.dispatchEvent({made[event]}); }})()"
    )
    wait(browser, "!document.getElementById('result').hidden")
    assert text(browser, "id") == "brought.png"


def test_what_is_no_photo_is_refused_in_words(browser, server, photos, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    browser.open(server.url)
    choose(browser, tmp_path / "notes.txt")
    wait(browser, "!document.getElementById('refusal').hidden")
    assert " ".join(text(browser, "refusal").split()) == (
        "Image 'notes.txt' cannot be read as an image: its bytes are of no known image format. "
        "Accepted: JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM, AVIF. Repair or remove it."
    )
    assert browser.ask("document.getElementById('refusal').role") == "alert"
    assert browser.ask("document.getElementById('result').hidden")
    look(browser, photos["dark"])
    assert browser.ask("document.getElementById('refusal').hidden")
    browser.open(server.url)  # a browser notes each refusal itself, and its notes must be empty in the end


def test_a_file_that_is_too_large_is_not_even_sent(browser, server, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(200_001))
    browser.open(server.url)
    choose(browser, tmp_path / "large.png")
    wait(browser, "!document.getElementById('refusal').hidden")
    assert text(browser, "refusal").startswith("The file has 200,001 bytes.")
    assert not [one for one in browser.told("Network.requestWillBeSent") if "predict" in one["request"]["url"]]


def test_a_server_that_has_gone_is_said(browser, server, photos):
    with lights() as leaving:
        browser.open(leaving.url)
    choose(browser, photos["dark"])
    wait(browser, "!document.getElementById('refusal').hidden")
    assert text(browser, "refusal").startswith("The server does not answer.")
    browser.open(server.url)


def test_a_photo_that_the_browser_cannot_show_is_answered_all_the_same(browser, server, tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "scan.tif")
    browser.open(server.url)
    look(browser, tmp_path / "scan.tif")
    assert text(browser, "label") == "night"
    wait(browser, "!document.getElementById('unshown').hidden")


def test_keys_reach_everything_in_order(browser, server, photos):
    browser.open(server.url)
    look(browser, photos["dark"])
    wait(browser, "!document.getElementById('toggle').hidden")
    browser.ask("document.activeElement.blur()")
    reached = []
    while "BODY" not in reached:
        browser.press("Tab", code=TAB)
        reached.append(browser.ask("document.activeElement.id || document.activeElement.tagName"))
        outlined = "(one => getComputedStyle(one.id === 'file' ? one.parentElement : one).outlineStyle)"
        assert reached[-1] == "BODY" or browser.ask(f"{outlined}(document.activeElement)") == "solid"
    assert reached == ["file", "toggle", "more", "A", "A", "BODY"]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(browser, server, photos, width, dark):
    browser.open(server.url, width=width, dark=dark)
    for _ in range(2):
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
        look(browser, photos["bright"])
    background = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 28)" if dark else "rgb(247, 248, 250)")


def test_a_script_that_slipped_in_would_not_run_and_no_other_host_be_asked(browser, server):
    browser.open(server.url)
    browser.ask(
        "(() => { const one = document.createElement('script'); one.textContent = \"document.title = 'hacked'\"; "
        "document.body.append(one); })()"
    )
    assert browser.ask("fetch('http://127.0.0.2:9/').then(() => 'asked', () => 'refused')") == "refused"
    assert browser.ask("document.title") == "<b>lights</b>.imgcls"
    told = " ".join(entry["entry"]["text"] for entry in browser.told("Log.entryAdded"))
    assert told.count("Content Security Policy") >= 2
    browser.open(server.url)
