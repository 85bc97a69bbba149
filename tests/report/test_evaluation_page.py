"""The page and the card of an evaluation: complete in themselves, escaped, and with the evaluation's own numbers."""

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls import ConfigurationError, UnreadableImageError
from imgcls.datasets import Shortcut
from imgcls.metrics import Evaluation, Robustness
from imgcls.report._chart import Line, chart

HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", '"quoted"', "$5 | `*x*` [y](z)")
VOID = {"meta", "img", "link"}


class Page(HTMLParser):
    """The elements of a page with their text, and the rows of its tables."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open, self.rows = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += f"{data.strip()} " if data.strip() else ""

    def all(self, tag, **attributes):
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]

    @property
    def sections(self):
        return [found["id"] for found in self.all("section")]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def picture(position):
    return np.full((40, 60, 3), 5 * position % 256, np.uint8)


def evaluation(names=("cat", "dog", "owl"), *, count=90, accuracy=2.0, **given):
    random = np.random.default_rng(0)
    y_true = np.arange(count) % len(names)
    scores = random.normal(size=(count, len(names)))
    scores[np.arange(count), y_true] += accuracy
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Evaluation(y_true, probabilities, classes=names, **given)


@pytest.fixture(scope="module")
def whole():
    """An evaluation with everything that a page can show."""
    shortcut = Shortcut("border", 0.91, 0.85, 0.95, 0.33, 1e-9, found=True, detail="<b>red</b> border in 'cat'")
    return evaluation(
        HOSTILE[:3],
        ids=[f"{HOSTILE[number % 4]}{number}" for number in range(90)],
        read=picture,
        quarantined={f"{HOSTILE[0]}.jpg": f"{HOSTILE[1]} is not an image"},
        explain=lambda positions: [np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4) for _ in positions],
        leaked=lambda: np.array([3, 4]),
        shortcuts=lambda: (shortcut,),
        robust=lambda: [Robustness("motion_blur", 2, 100, 0.61, 0.51, 0.7, 0.125, sure=True)],
        about={
            "architecture": HOSTILE[0],
            "parameters": 1_234_567,
            "choices": {"temperature": ("1.31", HOSTILE[1]), "optimizer": ("adam", "quick")},
            "history": {"loss": [0.9, 0.5, 0.4], "val_loss": [1.0, None, 0.6], "accuracy": [0.5, 0.6, 0.7]},
            "environment": {"python": HOSTILE[2]},
        },
    )


@pytest.fixture(scope="module")
def text(whole):
    return whole.to_html()


# --- safe --------------------------------------------------------------------------------------------------------


def test_names_are_text_and_never_elements(text):
    page = Page(text)
    assert all(name in page.text for name in HOSTILE)
    assert HOSTILE[0] not in text
    assert HOSTILE[1] not in text
    assert len(page.all("script")) == 1
    assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]
    assert {found["title"] for found in page.all("th", scope="row") if "title" in found} == set(HOSTILE[:3])


def test_one_script_may_run_and_nothing_may_be_fetched(text):
    page = Page(text)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert all(
        found["src"].startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for found in page.all("img")
    )
    assert [found["href"] for found in page.all("link")] == ["data:,"]
    assert all(found["href"].startswith("#") for found in page.all("a"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r'src="data:[^"]*"', "", text))


def test_the_card_shows_names_as_text(whole):
    card = whole.to_card()
    assert "<" not in card
    assert "&lt;img src=x onerror=alert(1)&gt;" in card
    assert '| "quoted" |' in card
    assert "data:" not in card


def test_the_card_of_very_many_classes_has_the_worst_of_them():
    """A row for each of ten thousand would be more than a bundle holds: its weights would be lost for its card."""
    truth = np.repeat(np.arange(120), 2)
    answers = np.where((truth % 10 == 3) & (np.arange(240) % 2 == 0), (truth + 1) % 120, truth)
    probabilities = np.full((240, 121), 0.001)  # of the last class there is no image
    probabilities[np.arange(240), answers] = 1 - 0.12
    card = Evaluation(truth, probabilities, classes=[f"kind {index}" for index in range(121)]).to_card(quick=True)
    rows = re.findall(r"^\| kind (\d+) \|", card, re.MULTILINE)
    assert "The 100 with the lowest F1 of 121." in card
    assert len(rows) == 100
    assert sorted(rows[:12], key=int) == [str(index) for index in range(3, 120, 10)]  # recall 1/2, precision 1
    assert "120" not in rows


def test_of_very_many_thresholds_a_hundred_are_named():
    """The card of 50,000 would not fit into a bundle."""
    classes = [f"kind {code}" for code in range(102)]
    given = {"classes": classes, "thresholds": dict.fromkeys(classes, 0.2)}
    card = Evaluation(np.eye(102, dtype=np.uint8)[:3], np.full((3, 102), 0.3), **given).to_card(quick=True)
    assert ", kind 99 0.2, 2 more from theirs." in card
    assert "kind 100 0.2" not in card


# --- true --------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_evaluation(whole, text):
    rows = {row[0]: row for row in Page(text).rows}
    for name, words in (("accuracy", "accuracy images predicted right "), ("log_loss", "log loss mean surprise")):
        row = next(row for start, row in rows.items() if start.startswith(words))
        lower, upper, method = whole.intervals[name]
        assert [cell.strip() for cell in row[1:]] == [
            f"{whole[name]:.3f}",
            f"{lower:.3f} – {upper:.3f} {method}",  # noqa: RUF001 - the page has the dash of a range
            "",
        ]


def test_cells_hold_the_counts_and_their_images(whole, text):
    page = Page(text)
    cells = {(int(one["data-row"]), int(one["data-column"])): one for one in page.all("button") if "data-row" in one}
    counts = {place: int(one["data-count"]) for place, one in cells.items()}
    assert counts == {(i, j): n for (i, j), n in np.ndenumerate(whole.confusion) if n}
    assert {one["data-cell"] for one in cells.values()} == {one["id"] for one in page.all("template")}
    for (true, predicted), count in counts.items():
        inside = text.split(f'<template id="cell-{true}-{predicted}">')[1].split("</template>")[0]
        assert inside.count("<img ") == min(count, 12 if true != predicted else 4)


def test_each_class_has_its_row(whole, text):
    rows = {row[0].strip(): row for row in Page(text).rows if len(row) == 7}
    for name, figures in whole.per_class.items():
        shown = [cell.split()[0] for cell in rows[name][1:]]
        assert shown[0] == f"{figures['support']:.0f}"
        assert shown[1:4] == [f"{figures[one]:.3f}" for one in ("precision", "recall", "f1")]


def test_sections_stand_in_order(text):
    expected = "figures confusion classes losses labels reliability abstaining slices leaks shortcuts robustness training settings"
    assert [one for one in Page(text).sections if one != "labels"] == expected.replace("labels ", "").split()


def test_summary_names_what_matters(whole, text):
    page = Page(text).text
    true, predicted, count = whole.most_confused(1)[0]
    assert f"Right on {100 * whole.accuracy:.1f} % of 90 images [" in page
    assert f"Commonest mistake: {true} taken for {predicted} ({count})." in page
    low, high, _ = whole.intervals["calibration_error"]
    off = f"{whole['calibration_error']:.2f} [{low:.2f}, {high:.2f}]"
    assert f"Probabilities: {off} off on average after the temperature 1.31." in page
    assert "2 images were learnt from before." in page
    assert "1 image cannot be read and is left out." in page


def test_means_over_classes_come_first_where_classes_differ_in_size():
    y_true = np.repeat([0, 1], [40, 10])
    probabilities = np.tile([0.8, 0.2], (50, 1))
    page = Page(Evaluation(y_true, probabilities, classes=["many", "few"]).to_html()).text
    assert page.index("Mean recall over classes 0.500") < page.index("Right on 80.0 % of 50 images")
    assert "classes differ 4.0 to 1 in size" in page


def test_the_summary_does_not_write_nearly_all_as_all():
    """4 of 10,000 images are wrong, of both classes, and no sentence says that all are right."""
    y_true = np.repeat([0, 1], [8_000, 2_000])
    probabilities = np.where(y_true[:, None] == [0, 1], 0.9, 0.1)
    probabilities[[0, 1, 2, 8_000]] = probabilities[[0, 1, 2, 8_000], ::-1]
    page = Page(Evaluation(y_true, probabilities, classes=["many", "few"]).to_html(quick=True)).text
    low, high = binomtest(9_996, 10_000).proportion_ci(method="wilson")
    assert f"Right on 99.96 % of 10,000 images [{100 * low:.2f}, {100 * high:.2f}]." in page
    assert "Mean recall over classes 0.9996 [" in page  # (7,997 / 8,000 + 1,999 / 2,000) / 2
    low, high = binomtest(1_999, 2_000).proportion_ci(method="wilson")
    assert f"Weakest class: few (recall 0.9995 [{low:.4f}, {high:.4f}] of 2,000 images)." in page
    perfect = Evaluation(y_true[-4_000:], np.eye(2)[y_true[-4_000:]], classes=["many", "few"])
    assert "Right on 100.0 % of 4,000 images [99.9, 100.0]." in Page(perfect.to_html(quick=True)).text


def test_hardest_images_have_heat_in_one_call():
    asked = []

    def explain(positions):
        asked.append(list(positions))
        return [np.ones((2, 2), np.float32)] * len(positions)

    one = evaluation(read=picture, explain=explain)
    text = one.to_html()
    assert asked == [np.argsort(-one.losses, kind="stable")[:12].tolist()]
    assert text.count('class="over"') == 12


def test_heat_lies_over_the_picture():
    from imgcls.metrics._thumbnails import Thumbnails

    thumbnails = Thumbnails(lambda _: np.full((8, 8, 1), 100, np.uint8))
    cold, hot = (decoded(thumbnails.with_heat(0, np.full((2, 2), heat, np.float32))) for heat in (0, 1))
    assert (cold == 100).all()
    yellow = np.array([253, 231, 37])  # the bright end of viridis
    assert np.abs(hot.astype(float) - (0.25 * 100 + 0.75 * yellow)).max() <= 1


def decoded(source):
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


def test_no_image_is_read_twice_for_a_picture():
    read = []

    def once(position):
        read.append(position)
        return picture(position)

    evaluation(read=once).to_html(quick=True)
    assert len(read) == len(set(read)) > 20


# --- what there is not -------------------------------------------------------------------------------------------


def test_a_bare_evaluation_has_no_pictures_and_says_what_was_not_looked_at():
    page = Page(evaluation().to_html())
    assert not page.all("img")
    assert not {"leaks", "slices", "shortcuts", "robustness", "training", "settings"} & set(page.sections)
    assert "leaks: the images that were learnt from are not at hand" in page.text
    assert "slices: this evaluation has no images to show." in page.text


def test_quick_looks_at_nothing_again():
    def refuse(*_):
        raise AssertionError

    one = evaluation(read=picture, explain=refuse, leaked=refuse, shortcuts=refuse, robust=refuse)
    page = Page(one.to_html(quick=True)).text
    for name in ("leaks", "slices", "shortcuts", "robustness", "heat maps"):
        assert f"{name}: a quick report was asked for" in page
    assert "leaks: a quick report was asked for" in " ".join(one.to_card(quick=True).split())


def test_images_that_are_gone_leave_a_gap():
    def gone(position):
        message = f"{position} was moved"
        raise UnreadableImageError(message)

    page = Page(evaluation(read=gone).to_html())
    assert not page.all("img")
    assert "no picture" in page.text
    assert "slices: 0 was moved" in page.text


def test_several_labels_have_a_table_of_counts():
    y_true = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 10, np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.4], [0.6, 0.9]] * 10)
    one = Evaluation(y_true, probabilities, classes=["cat", "dog"], read=picture)
    page = Page(one.to_html())
    rows = [[cell.strip() for cell in row] for row in page.rows]
    assert ["cat", "20", "0", "10", "10"] in rows  # hits, missed, alarms, rest: counted by hand
    assert ["dog", "10", "10", "0", "20"] in rows
    assert not page.all("template")
    assert "Every label right on 50.0 % of 40 images" in page.text
    assert "true: cat, dog" in page.text
    assert "cat" in one.to_card()
    for told in (page.text, one.to_card()):
        assert "Each label by itself, called from a probability of 0.5 on." in told


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"dog": 0.85}, "its own probability on: dog 0.85, all others 0.5."),
        ({"cat": 0.3, "dog": 0.85}, "its own probability on: cat 0.3, dog 0.85."),
        ({}, "a probability of 0.5 on."),
    ],
)
def test_of_several_labels_the_page_and_the_card_say_from_where_on_each_is_called(thresholds, words):
    y_true = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 10, np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.4], [0.6, 0.9]] * 10)
    one = Evaluation(y_true, probabilities, classes=["cat", "dog"], thresholds=thresholds)
    page = Page(one.to_html(quick=True))
    for told in (page.text, one.to_card(quick=True)):
        assert f"Each label by itself, called from {words}" in told
        assert told.count("probability of 0.5 on") == (not thresholds)
    least = {"cat": 0.5, "dog": 0.5} | thresholds
    for code, name in enumerate(("cat", "dog")):  # the table is of what the words say
        called, there = probabilities[:, code] >= least[name], y_true[:, code] == 1
        counts = [called & there, ~called & there, called & ~there, ~called & ~there]
        assert [name, *(str(one.sum()) for one in counts)] in [[cell.strip() for cell in row] for row in page.rows]


def test_of_two_classes_the_page_and_the_card_say_from_where_on_one_is_said():
    y_true = np.repeat([0, 1], 20)
    probabilities = np.stack([np.linspace(1, 0, 40), np.linspace(0, 1, 40)], axis=1)
    words = f"From a probability of 0.3 on, {HOSTILE[0]} is said, and *well* otherwise."
    names = ("*well*", HOSTILE[0])
    plain = Evaluation(y_true, probabilities, classes=names)
    assert "From a probability of" not in Page(plain.to_html(quick=True)).text + plain.to_card(quick=True)
    about = {"architecture": "small_cnn", "thresholds": {HOSTILE[0]: 0.3}}  # as a classifier tells of itself
    one = Evaluation(y_true, probabilities, classes=names, thresholds=about["thresholds"], about=about)
    page, card = Page(one.to_html(quick=True)), one.to_card(quick=True)
    assert words in page.text
    assert "From a probability of 0.3 on, &lt;img src=x onerror=alert(1)&gt; is said, and \\*well\\* otherwise." in card
    assert "thresholds" not in page.text + card  # told once, and in words


def test_where_a_threshold_decides_nothing_is_said_of_abstaining_by_the_likeliest_class():
    random = np.random.default_rng(0)
    sick = random.random(400) < 0.2
    score = 1 / (1 + np.exp(-(3 * sick - 2 + random.normal(size=400))))
    probabilities = np.stack([1 - score, score], axis=1)
    plain, decided = (
        Evaluation(sick.astype(int), probabilities, classes=["well", "sick"], thresholds=thresholds)
        for thresholds in (None, {"sick": 0.1})
    )
    assert decided.risk_coverage().risk[-1] < 0.15 < 1 - decided.accuracy  # two answers: no page can tell both
    words = (
        "whatever the threshold says.",
        "abstaining: it speaks of the likeliest class, and here a threshold decides",
    )
    page, card = Page(plain.to_html(quick=True)), plain.to_card(quick=True)
    assert "abstaining" in page.sections
    assert "## Abstaining" in card
    assert not any(one in told for one in words for told in (page.text, card))
    page, card = Page(decided.to_html(quick=True)), decided.to_card(quick=True)
    assert "abstaining" not in page.sections
    assert not page.all("a", href="#abstaining")
    assert "Sets that promise" not in page.text
    assert "## Abstaining" not in card
    assert all(one in told for one in words for told in (page.text, card))


@pytest.mark.parametrize(
    ("true", "said", "thresholds", "caption"),
    [
        ([0, 0], [0.45, 0.2], None, "none likeliest: cat 45.0 %"),
        ([1, 0], [0.45, 0.2], None, "none true: cat likeliest: cat 45.0 %"),
        ([0, 1], [0.3, 0.9], None, "dog 90.0 % sure"),
        ([1, 1], [0.6, 0.9], None, "cat, dog 90.0 % sure"),
        ([1, 0], [0.6, 0.9], {"dog": 0.95}, "cat likeliest: dog 90.0 %"),
    ],
)
def test_of_several_labels_a_probability_is_that_of_what_stands_beside_it(true, said, thresholds, caption):
    one = Evaluation(np.array([true]), np.array([said]), classes=["cat", "dog"], ids=["a.jpg"], thresholds=thresholds)
    assert f"no picture {caption} a.jpg" in Page(one.to_html(quick=True)).text


def test_the_reading_of_reliability_is_of_labels_where_there_are_several():
    """Of labels given 10 %, 30 % are there: above the line, where a model of one label would be too modest."""
    y_true = np.repeat([1, 0], [30, 70])[:, None].astype(np.uint8)
    modest = "Below it the model is too sure, above it too modest."
    there = "of the labels that are given 80 %, 80 % are there, and of those given 10 %, 10 %. Below it fewer are there"
    for columns in (1, 2):
        one = Evaluation(np.tile(y_true, columns), np.full((100, columns), 0.1), classes="ab"[:columns])
        (said,), (true,), _ = one.reliability()
        assert (round(said, 9), true) == (0.1, 0.3)
        page = Page(one.to_html(quick=True))
        assert there in page.text
        assert modest not in page.text
        assert page.all("svg", **{"aria-label": "Share that is there over probability said"})
        assert "10.0 % said, 30.0 % there" in page.words
    plain = Page(evaluation().to_html(quick=True))
    assert modest in plain.text
    assert there not in plain.text
    assert plain.all("svg", **{"aria-label": "Share right over probability said"})
    dots = [words for words in plain.words if " % said, " in words]
    assert dots
    assert all(words.endswith(" % right") for words in dots)


def test_a_threshold_near_1_is_not_rounded_to_it():
    """By hand: of 500 sure images none is wrong, and of the others half are; the surest begin at 0.99973."""
    sure = np.append(np.linspace(0.99973, 0.99999, 500), np.linspace(0.6, 0.9997, 100))
    y_true = np.append(np.zeros(500, int), np.arange(100) % 2)
    one = Evaluation(y_true, np.stack([sure, 1 - sure], axis=1), classes=["cat", "dog"])
    assert one.select(0.01).threshold == 0.99973
    for told in (Page(one.to_html(quick=True)).text, one.to_card(quick=True)):
        assert "from a probability of 0.99973 on" in told
    assert str(one.operating_point("cat", precision=1)).startswith("'cat' from a probability of 0.99973: precision 1.0")
    for several in (False, True):
        y = np.eye(2, dtype=np.uint8)[y_true] if several else y_true
        given = Evaluation(y, one.probabilities, classes=one.classes, thresholds={"cat": 0.99996})
        words = "cat 0.99996, all others 0.5" if several else "From a probability of 0.99996 on, cat is said"
        for told in (Page(given.to_html(quick=True)).text, given.to_card(quick=True)):
            assert words in told


def test_the_page_says_of_whom_its_sets_speak():
    one = evaluation()
    held = (
        f"Sets that promise 90 % for all classes together held the truth in {100 * one.sets(0.9).held:.1f} % of images"
    )
    assert held in Page(one.to_html(quick=True)).text


def test_a_suspected_label_stands_beside_the_probability_of_the_suggested_one():
    """By hand: of the last image cat is likeliest, and only dog passes its threshold, the mean 0.4 of dogs."""
    y_true = np.repeat([0, 1, 2], 10)
    sure, unsure, last = [0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.5, 0.42, 0.08]
    probabilities = np.array([sure] * 10 + [unsure] * 10 + [sure[::-1]] * 9 + [last])
    one = Evaluation(y_true, probabilities, classes=["cat", "dog", "bird"])
    assert one.label_errors()[["true", "predicted", "suggested"]].to_numpy().tolist() == [["bird", "cat", "dog"]]
    assert "rather dog labelled bird 42.0 % sure" in Page(one.to_html(quick=True)).text


def test_the_commonest_mistake_has_pictures_before_rare_ones():
    classes = 60
    rare = [(true, (true + step) % classes) for true in range(classes) for step in (1, 2) for _ in range(12)]
    true, said = np.array(rare + [(classes - 1, 30)] * 50).T
    probabilities = np.full((len(true), classes), 0.2 / (classes - 1))
    probabilities[np.arange(len(true)), said] = 0.8
    one = Evaluation(true, probabilities, classes=range(classes), read=picture)
    assert one.most_confused(1) == [(classes - 1, 30, 50)]
    text = one.to_html(quick=True)
    cells = {part.split('"')[0]: part.split("</template>")[0] for part in text.split('<template id="cell-')[1:]}
    assert len(cells) == 121
    assert cells["59-30"].count("<img ") == 12
    assert sum(cell.count("<img ") for cell in cells.values()) == 600


def test_the_risk_of_images_that_are_equally_sure_is_drawn_from_nothing_on():
    one = Evaluation(np.repeat([0, 1], 50), np.tile([0.9, 0.1], (100, 1)), classes=["a", "b"])
    section = one.to_html(quick=True).split('<section id="abstaining"')[1].split("</section>")[0]
    (points,) = re.findall(r'<polyline class="first" points="(.*?)"', section)
    (left, first), (right, last) = (point.split(",") for point in points.split())
    assert first == last
    assert (float(left), float(right)) == (62, 378)  # the ends of the axis


@pytest.mark.parametrize(("classes", "cells"), [(2, "matrix upright"), (12, "matrix upright"), (200, "grid-matrix")])
def test_many_classes_are_a_grid(classes, cells):
    one = evaluation([f"class {number}" for number in range(classes)], count=1_000)
    page = Page(one.to_html())
    small = "matrix" if classes < 8 else cells
    assert [found["class"] for _, found in page.elements if found.get("id") == "matrix"] == [small]
    order = [found["data-order"] for found in page.all("button", id="cluster")]
    assert [sorted(map(int, one.split())) for one in order] == ([list(range(200))] if classes == 200 else [])
    assert sum(int(found["data-count"]) for found in page.all("button") if "data-count" in found) == 1_000


@pytest.mark.parametrize("several", [False, True])
def test_of_thousands_of_classes_the_page_shows_the_commonest_mistakes_and_the_worst_classes(several):
    """A matrix of 2,100 classes has no room: a browser would lay out four million cells."""
    classes, random = 2_100, np.random.default_rng(0)
    true, said = random.integers(0, classes, (2, 60))
    true[:3], said[:3] = 7, 9
    probabilities = np.full((60, classes), 0.2 / (classes - 1))
    probabilities[np.arange(60), said] = 0.8
    labels = np.eye(classes, dtype=np.uint8)[true] if several else true
    one = Evaluation(labels, probabilities, classes=[f"kind {code}" for code in range(classes)], read=picture)
    text = one.to_html(quick=True)
    page = Page(text)
    assert not [found for _, found in page.elements if found.get("id") == "matrix"]
    assert sum(row[0].startswith("kind ") for row in page.rows) == 2_000 * (1 + several)
    assert "These are the 2,000 with the lowest F1 of 2,100; to_frame() has all." in page.text
    if not several:
        assert "A matrix of 2,100 classes has no room on a page: these are the commonest mistakes." in page.text
        pills = [found["data-cell"] for found in page.all("button") if "data-cell" in found]
        assert len(pills) == 8
        assert pills[0] == "cell-7-9"
        assert {found["id"] for found in page.all("template")} == set(pills)
        assert text.split('<template id="cell-7-9">')[1].split("</template>")[0].count("<img ") == 3


# --- files -------------------------------------------------------------------------------------------------------


def test_the_ending_decides(whole, tmp_path):
    for ending, start in ((".html", "<!doctype html>"), (".md", "# Model card: "), (".json", "{"), (".csv", "id,true")):
        path = whole.save(tmp_path / f"report{ending}", quick=True)
        assert path.read_text(encoding="utf-8").lstrip().startswith(start)
    assert json.loads((tmp_path / "report.json").read_text())["accuracy"] == whole.accuracy
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.csv", "report.html", "report.json", "report.md"]


def test_csv_has_the_rows_of_the_table(whole, tmp_path):
    with whole.save(tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = whole.table
    assert [row["id"] for row in rows] == table["id"].tolist()
    assert [row["true"] for row in rows] == table["true"].tolist()
    assert [row["predicted"] for row in rows] == table["predicted"].tolist()
    assert [float(row["probability"]) for row in rows] == table["probability"].tolist()
    assert [float(row["loss"]) for row in rows] == table["loss"].tolist()


def test_a_wrong_path_is_refused_before_work_is_done(tmp_path):
    with pytest.raises(ConfigurationError) as error:
        evaluation(read=picture).save(tmp_path / "report.htm")
    path = str(tmp_path / "report.htm")
    assert str(error.value) == (f"{path!r} ends with '.htm'. Did you mean '.html'? Accepted: .html, .md, .json, .csv.")
    with pytest.raises(ConfigurationError, match="does not exist"):
        evaluation().save(tmp_path / "nowhere" / "report.html")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = evaluation().save(tmp_path / "report.md", quick=True)
    before = path.read_text()

    def fails():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        evaluation(shortcuts=fails).save(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


# --- the card ----------------------------------------------------------------------------------------------------


def test_the_card_has_figures_classes_limits_and_settings(whole):
    card = whole.to_card()
    lower, upper, method = whole.intervals["accuracy"]
    assert f"| accuracy | {whole.accuracy:.3f} | {lower:.3f} – {upper:.3f} | {method} |" in card  # noqa: RUF001 - as above
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert headings == [
        "What it is",
        "Data",
        "Figures",
        "Classes",
        "Probabilities",
        "Abstaining",
        "Slices",
        "Shortcuts",
        "Robustness",
        "Limits",
        "Settings",
        "Environment",
    ]
    assert "| optimizer | adam | quick |" in card
    assert "Classes differ by something other than content: border tells 91% right" in card
    assert not re.search(r"\n{3,}", card)


# --- charts ------------------------------------------------------------------------------------------------------


def test_a_chart_puts_points_where_they_belong():
    one = chart([Line("a", "first", [(0, 0), (0.5, 1)])], title="t", x_label="x", y_label="y", x=(0, 1), y=(0, 1))
    left, top, right, bottom = one.box
    assert one.lines[0].points == f"{left:.1f},{bottom:.1f} {(left + right) / 2:.1f},{top:.1f}"
    assert [(place, name) for place, name in one.x_ticks][:2] == [(left, "0"), (left + 0.2 * (right - left), "0.2")]


def test_a_long_curve_is_thinned_and_what_is_not_a_number_is_left_out():
    points = [(number, float("nan") if number == 5_000 else number) for number in range(10_001)]
    one = chart([Line("a", "first", points)], title="t", x_label="x", y_label="y")
    drawn = one.lines[0].points.split()
    assert len(drawn) <= 300
    assert "nan" not in one.lines[0].points
    left, top, right, bottom = one.box
    assert (drawn[0], drawn[-1]) == (f"{left:.1f},{bottom:.1f}", f"{right:.1f},{top:.1f}")


def test_what_is_lost_where_images_are_worse_is_told(text):
    row = next(row for row in Page(text).rows if row[0].strip() == "motion blur")
    assert [cell.strip() for cell in row[1:]] == ["2", "0.610", "0.510 – 0.700", "12.5", "worse"]  # noqa: RUF001 - as above
