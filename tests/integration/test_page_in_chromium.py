"""The page of an evaluation in a real browser: it works, asks for nothing, and shows hostile names as text."""

import chromium
import numpy as np
import pytest

from imgcls.metrics import Evaluation

pytestmark = [
    pytest.mark.slow,  # a browser takes a second to start
    pytest.mark.skipif(chromium.found() is None, reason=f"none of {', '.join(chromium.NAMES)} is installed"),
]
NAMES = ("<img src=x onerror=\"document.title='hacked'\">", "</script><script>document.title='hacked'</script>", "$5")
ENTER, TAB = 13, 9


def evaluation(names, count):
    random = np.random.default_rng(0)
    y_true = np.arange(count) % len(names)
    scores = random.normal(size=(count, len(names)))
    scores[np.arange(count), y_true] += 1.5
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Evaluation(
        y_true,
        probabilities,
        classes=names,
        ids=[f"{names[number % len(names)]}/{number}.jpg" for number in range(count)],
        read=lambda position: np.full((40, 40, 3), position % 256, np.uint8),
        explain=lambda positions: [np.ones((4, 4), np.float32) for _ in positions],
        about={"history": {"loss": [2.0, 1.0]}, "choices": {"temperature": (1.2, "measured")}},
    )


@pytest.fixture(scope="module")
def browser():
    with chromium.Chromium() as one:
        yield one


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    one = evaluation(NAMES, 120)
    return one, one.save(tmp_path_factory.mktemp("page") / "report <b>.html").as_uri()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    one = evaluation([f"class {number}" for number in range(60)], 600)
    return one, one.save(tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(browser):
    """Whatever a test does: no error, and no request but for the file and what it holds."""
    yield
    browser.ask("new Promise(done => setTimeout(done, 50))")
    assert not browser.told("Runtime.exceptionThrown")
    assert not browser.told("Runtime.consoleAPICalled")
    assert not browser.told("Log.entryAdded")
    urls = {request["request"]["url"] for request in browser.told("Network.requestWillBeSent")}
    assert {url.partition(":")[0] for url in urls} <= {"file", "data"}
    assert len([url for url in urls if url.startswith("file:")]) == 1


def panel(browser):
    return browser.ask("document.getElementById('cell').innerText")


def test_a_cell_shows_its_images(browser, small):
    one, url = small
    browser.open(url)
    browser.click('button.cell[data-row="0"][data-column="2"]')
    count = int(one.confusion[0, 2])
    assert count > 0
    assert f"{NAMES[0]} taken for {NAMES[2]}: {count}" in panel(browser)
    assert browser.ask("document.querySelectorAll('#cell img').length") == min(count, 12)
    assert browser.ask("[...document.querySelectorAll('#cell img')].every(one => one.naturalWidth === 40)")
    pressed = browser.ask("[...document.querySelectorAll('.cell[aria-pressed=true]')].map(one => one.dataset.cell)")
    assert pressed == ["cell-0-2"]


def test_enter_opens_a_cell_and_arrows_move_on(browser, small):
    one, url = small
    browser.open(url)
    assert (one.confusion > 0).all()
    browser.ask("document.querySelector('.cell').focus()")
    for key in ("ArrowRight", "ArrowDown"):
        browser.press(key)
    browser.press("Enter", code=ENTER, text="\r")
    assert panel(browser).startswith(f"{NAMES[1]}, rightly: {one.confusion[1, 1]}")
    assert browser.ask("document.activeElement.dataset.cell") == "cell-1-1"


def test_tab_reaches_links_buttons_and_one_cell_of_the_matrix(browser, small):
    browser.open(small[1])
    reached = []
    while "BODY" not in reached:  # behind the last one
        browser.press("Tab", code=TAB)
        reached.append(browser.ask("document.activeElement.className || document.activeElement.tagName"))
    assert reached[0] == "skip"
    assert sum(name.startswith("cell") for name in reached) == 1
    assert {"A", "pill", "BUTTON"} <= set(reached)


def test_what_has_the_focus_is_outlined(browser, small):
    browser.open(small[1])
    browser.press("Tab", code=TAB)
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_headings_sort(browser, large):
    one, url = large
    browser.open(url)
    column = "[...document.querySelectorAll('#per-class tbody tr')].map(row => row.cells[0].textContent)"
    names = list(one.classes)
    assert browser.ask(column) == names
    recall = [row["recall"] for row in one.per_class.values()]
    falling = [names[code] for code in np.argsort(-np.array(recall), kind="stable")]
    browser.click("#per-class thead th:nth-child(4) button")
    assert browser.ask(column) == falling
    assert browser.ask("document.querySelector('#per-class th:nth-child(4)').ariaSort") == "descending"
    browser.press("Enter", code=ENTER, text="\r")  # the heading has the focus
    rising = browser.ask(column)
    assert [one.per_class[name]["recall"] for name in rising] == sorted(recall)
    browser.click("#per-class thead th:nth-child(1) button")
    assert browser.ask(column) == names  # class 2 before class 10


def test_confused_classes_are_put_together_and_back(browser, large):
    one, url = large
    browser.open(url)
    places = (
        "Object.fromEntries([...document.querySelectorAll('.cell')].map(one => [one.dataset.cell, "
        "[one.style.gridRowStart, one.style.gridColumnStart].map(Number)]))"
    )
    before = browser.ask(places)
    assert before == {f"cell-{i}-{j}": [i + 2, j + 2] for i, j in zip(*np.nonzero(one.confusion), strict=True)}
    order = [int(code) for code in browser.ask("document.getElementById('cluster').dataset.order").split()]
    browser.click("#cluster")
    at = {code: place for place, code in enumerate(order)}
    moved = {name: [at[row - 2] + 2, at[column - 2] + 2] for name, (row, column) in before.items()}
    assert browser.ask(places) == moved != before
    browser.click("#cluster")
    assert browser.ask(places) == before


def test_heat_can_be_taken_away(browser, small):
    browser.open(small[1])
    seen = "getComputedStyle(document.querySelector('#hardest .over')).visibility"
    assert browser.ask(seen) == "visible"
    browser.click("#heat")
    assert browser.ask(seen) == "hidden"
    assert browser.ask("document.getElementById('heat').ariaPressed") == "false"


def test_hostile_names_are_text(browser, small):
    browser.open(small[1])
    for row in range(3):
        browser.click(f'button.cell[data-row="{row}"][data-column="{(row + 1) % 3}"]')
        assert f"{NAMES[row]} taken for {NAMES[(row + 1) % 3]}" in panel(browser)
    assert browser.ask("document.title") == "Evaluation: 120 images, 3 classes"
    assert browser.ask("document.querySelectorAll('img:not([src^=\"data:image/\"])').length") == 0
    assert browser.ask("document.scripts.length") == 1


def test_a_script_that_slipped_in_would_not_run(browser, small, tmp_path):
    path = tmp_path / "report.html"
    slipped = "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
    path.write_text(small[0].to_html(quick=True).replace("<main>", f"<main>{slipped}"), encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.ask("document.title") == "Evaluation: 120 images, 3 classes"
    told = " ".join(entry["entry"]["text"] for entry in browser.told("Log.entryAdded"))
    assert "Content Security Policy" in told
    browser.open(small[1])  # the refusals are in the log, which must be empty in the end


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(browser, small, large, width, dark):
    for _, url in (small, large):
        browser.open(url, width=width, dark=dark)
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
        background = browser.ask("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(20, 23, 28)" if dark else "rgb(247, 248, 250)")


def test_it_prints_in_ink_on_white(browser, small):
    browser.open(small[1], dark=True)
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.ask("getComputedStyle(document.body).color") == "rgb(27, 31, 39)"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
    assert browser.print().startswith(b"%PDF")
