"""Sets, selection, thresholds and costs: their promises by simulation, their choices by trying all."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls.errors import ConfigurationError, DataError
from imgcls.metrics import Evaluation, Selection, cheapest, prediction_sets, risk_coverage, select


def sampled(random, count, classes=6):
    scores = 2 * random.normal(size=(count, classes))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    y_true = (probabilities.cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    said = probabilities**1.7  # too sure: sets must not rest on honest probabilities
    return y_true, said / said.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("method", ["lac", "raps"])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_hold_the_truth_as_often_as_promised(method, coverage):
    """200 splits of 500 held out and 500 new images: within a point."""
    random, held, sizes = np.random.default_rng(0), [], []
    for _ in range(200):
        y_true, said = sampled(random, 1_000)
        sets = prediction_sets(said[500:], said[:500], y_true[:500], coverage=coverage, method=method)
        held.append(sets[np.arange(500), y_true[500:]].mean())
        sizes.append(sets.sum(axis=1))
    # raps without its random edge keeps a whole class too many where it could keep a part: it promises at least
    assert coverage - 0.01 <= np.mean(held) <= coverage + (0.01 if method == "lac" else 0.06)
    if method == "raps":
        assert np.min(sizes) >= 1


def test_by_class_each_class_is_covered():
    random = np.random.default_rng(0)
    y_true, said = sampled(random, 20_000)
    said[:, 0] *= 0.3  # class 0 is undersold, so that one limit for all would miss it
    said /= said.sum(axis=1, keepdims=True)
    new, known = slice(None, 10_000), slice(10_000, None)
    for by_class, least in ((False, 0.0), (True, 0.869)):
        sets = prediction_sets(said[new], said[known], y_true[known], coverage=0.9, by_class=by_class)
        hit = sets[np.arange(10_000), y_true[new]]
        # some 1,700 images of a class here and there: three standard errors of 0.9 are 0.031
        each = [hit[y_true[new] == code].mean() for code in range(6)]
        assert min(each) > least
        if not by_class:
            assert min(each) < 0.85


def test_labels_in_a_list_are_those_of_an_array():
    """By hand: of three images a class the second strangest, of four, is the limit: 0.2 and 0.5."""
    held_out = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.5, 0.5], [0.6, 0.4]])
    new = np.array([[0.75, 0.25], [0.85, 0.15], [0.5, 0.5]])
    for labels in ([0, 0, 0, 1, 1, 1], (0, 0, 0, 1, 1, 1), np.array([0, 0, 0, 1, 1, 1])):
        sets = prediction_sets(new, held_out, labels, coverage=0.5, by_class=True)
        assert sets.tolist() == [[False, False], [True, False], [False, True]]


def test_too_few_images_held_out_promise_only_sets_of_everything():
    y_true, said = sampled(np.random.default_rng(0), 8)
    assert prediction_sets(said, said, y_true, coverage=0.9).all()
    assert not prediction_sets(said, said, y_true, coverage=0.5).all()


def test_lac_by_hand():
    held_out = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    y_true = np.array([0, 0, 1, 0])  # strangeness 0.1, 0.2, 0.3, 0.6; the quantile of 0.6 is the third of four
    sets = prediction_sets(np.array([[0.71, 0.29], [0.5, 0.5]]), held_out, y_true, coverage=0.6)
    assert sets.tolist() == [[True, False], [False, False]]


def test_each_half_is_judged_by_the_other():
    y_true, said = sampled(np.random.default_rng(0), 6_000)
    found = Evaluation(y_true, said, classes=range(6)).sets(0.8)
    assert found.lower < 0.8 < found.upper
    order = np.random.default_rng(0).permutation(6_000)
    sets = np.zeros((6_000, 6), bool)
    for new, known in ((order[:3_000], order[3_000:]), (order[3_000:], order[:3_000])):
        own = np.sort(1 - said[known, y_true[known]])
        sets[new] = 1 - said[new] <= own[int(np.ceil(3_001 * 0.8)) - 1]  # the quantile, by hand
    assert found.held == sets[np.arange(6_000), y_true].mean()
    assert found.size == sets.sum(axis=1).mean()


def test_the_likeliest_class_may_be_kept_in_every_set():
    y_true, said = sampled(np.random.default_rng(0), 1_000)
    plain, kept = (
        prediction_sets(said, said, y_true, coverage=0.3, never_empty=never_empty) for never_empty in (False, True)
    )
    empty = plain.sum(axis=1) == 0
    assert empty.any()
    np.testing.assert_array_equal(kept[~empty], plain[~empty])  # what is in a set at all is the likeliest first
    np.testing.assert_array_equal(kept[empty], np.eye(6, dtype=bool)[said[empty].argmax(axis=1)])


@pytest.mark.parametrize("most_error", [0.02, 0.1])
def test_selection_keeps_its_promise(most_error):
    """In at most 5 % of the simulations more answers are wrong than promised; answered is as much as the bound lets."""
    random, broken, answered = np.random.default_rng(0), 0, []
    for _ in range(200):
        confidence = random.random(3_000)
        right = random.random(3_000) < 0.5 + 0.5 * confidence**0.1
        found = select(confidence, right, most_error=most_error)
        if found.coverage:
            grid = np.linspace(found.threshold, 1, 2_001)
            broken += (0.5 - 0.5 * grid**0.1).mean() > most_error
        answered.append(found.coverage)
    assert broken <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5
    assert np.mean(answered) > 0.1


def test_the_bound_is_clopper_and_pearsons():
    confidence = np.linspace(0, 1, 300)
    right = np.ones(300, bool)
    right[[40, 100]] = False
    found = select(confidence, right, most_error=0.2)
    assert found.coverage == 1
    assert found.error == 2 / 300
    expected = (
        binomtest(2, 300, alternative="less").proportion_ci(1 - 0.05 / 4, method="exact").high
    )  # of four searches
    assert found.bound == pytest.approx(expected)
    assert (
        str(found) == "answers 100 % of images, 0.67 % of them wrong here, and with 95 % confidence at most 2.7 % later"
    )


def test_nearly_all_answers_are_not_all_of_them():
    assert str(Selection(0.5, 499 / 500, 1 / 499, 0.012)) == (
        "answers 99.8 % of images, 0.2 % of them wrong here, and with 95 % confidence at most 1.2 % later"
    )
    assert str(Selection(0.5, 1 - 1e-4, 0.0, 0.012)).startswith("answers 99.99 % of images, 0 % of them wrong here, ")


def test_what_cannot_be_promised_is_not():
    found = select(np.linspace(0, 1, 20), np.ones(20, bool), most_error=0.01)
    assert found.coverage == 0
    assert found.threshold > 1
    assert str(found) == ("no confidence is high enough to promise so few errors: accept more, or hold out more images")


def test_equal_confidences_stand_or_fall_together():
    found = select(np.repeat([0.9, 0.5], [100, 50]), np.repeat([True, False], [100, 50]), most_error=0.05)
    assert found.threshold == 0.9
    assert found.coverage == 100 / 150


def evaluation():
    random = np.random.default_rng(0)
    y_true, said = sampled(random, 400, classes=3)
    return Evaluation(y_true, said, classes=["a", "b", "c"])


@pytest.mark.parametrize("seed", range(3))
def test_risk_is_of_all_images_that_are_as_sure_and_knows_no_order(seed):
    """By trying every threshold, with ties; then again in another order."""
    random = np.random.default_rng(seed)
    confidence = random.choice(np.linspace(0.5, 1, 12), 200).astype(np.float32)
    right = random.random(200) < confidence
    tried = np.unique(confidence)[::-1]
    expected = [[(confidence >= least).mean(), 1 - right[confidence >= least].mean()] for least in tried]
    for order in (np.arange(200), random.permutation(200)):
        found = risk_coverage(confidence[order], right[order])
        np.testing.assert_allclose(np.transpose([found.coverage, found.risk]), expected)
        assert found.lower.shape == found.upper.shape == (len(tried),)
    tied = risk_coverage(np.full(100, 0.9), np.repeat([True, False], 50))  # sorted by class, as files are
    assert (tied.coverage.tolist(), tied.risk.tolist()) == ([1], [0.5])


def test_operating_points_by_trying_all_thresholds():
    found = evaluation()
    own, of_class = found.probabilities[:, 1], found.y_true == 1
    tried = []
    for threshold in own:
        called = own >= threshold
        tried.append((of_class[called].mean(), called[of_class].mean(), threshold))
    point = found.operating_point("b", precision=0.9)
    assert (point.recall, point.precision) == max((r, p) for p, r, _ in tried if p >= 0.9)
    point = found.operating_point("b", recall=0.8)
    assert (point.precision, point.recall) == max((p, r) for p, r, _ in tried if r >= 0.8)
    perfect = found.operating_point("b", precision=1)
    assert perfect is None or perfect.precision == 1
    with pytest.raises(ConfigurationError) as caught:
        found.operating_point("b", precision=95)
    assert str(caught.value) == "precision=95 is not accepted. Accepted: a number between 0 and 1."
    called = int((own >= point.threshold).sum())
    expected = binomtest(round(point.precision * called), called).proportion_ci(method="wilson")
    assert point.precision_interval == pytest.approx((expected.low, expected.high))
    with pytest.raises(ConfigurationError) as caught:
        found.operating_point("b")
    assert str(caught.value) == "say what to reach, one of the two: precision=0.95, or recall=0.95."
    with pytest.raises(ConfigurationError) as caught:
        found.operating_point("bb", recall=0.5)
    assert str(caught.value) == "label='bb' is not known. Did you mean 'b'? Accepted: a, b, c."


def test_zeros_and_ones_say_what_is_right_too():
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, True])
    for kind in (np.int64, np.uint8, float):
        found = risk_coverage(confidence, right.astype(kind))
        np.testing.assert_array_equal(found, risk_coverage(confidence, right))
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 4])


def test_of_equally_precise_operating_points_the_one_that_finds_more_and_the_reverse():
    """By trying every threshold, on probabilities with ties; and by hand: nothing is lost from 0.7 down to 0.6."""
    sick = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95])
    y_true = np.array([0] * 4 + [1] * 5)
    found = Evaluation(y_true, np.stack([1 - sick, sick], axis=1), classes=["well", "sick"])
    point = found.operating_point("sick", recall=0.8)
    assert (point.threshold, point.precision, point.recall) == (0.6, 1, 1)
    random = np.random.default_rng(0)
    for _ in range(100):
        y_true = random.integers(0, 2, 12)
        own = random.choice(np.linspace(0.1, 0.9, 9), 12)
        given = Evaluation(y_true, np.stack([1 - own, own], axis=1), classes=["well", "sick"])
        called = own >= np.unique(own)[:, None]
        hits = (called & (y_true == 1)).sum(axis=1)
        precision, recall = hits / called.sum(axis=1), hits / max(y_true.sum(), 1)
        for asked in (0.3, 0.5, 0.8, 1):
            best = max(((p, r) for p, r in zip(precision, recall, strict=True) if r >= asked), default=None)
            point = given.operating_point("sick", recall=asked)
            assert best == (point and (point.precision, point.recall))
            best = max(((r, p) for p, r in zip(precision, recall, strict=True) if p >= asked), default=None)
            point = given.operating_point("sick", precision=asked)
            assert best == (point and (point.recall, point.precision))


def test_thresholds_of_the_highest_f1_by_trying_all():
    found = evaluation()
    for code, label in enumerate(found.classes):
        own, of_class = found.probabilities[:, code], found.y_true == code

        def f1(threshold, own=own, of_class=of_class):
            called = own >= threshold
            return 2 * (called & of_class).sum() / (called.sum() + of_class.sum())

        assert f1(found.thresholds()[label]) == max(map(f1, own))
    for label, threshold in found.thresholds(precision=0.9).items():
        called = found.probabilities[:, found.classes.index(label)] >= threshold
        assert (found.y_true[called] == found.classes.index(label)).mean() >= 0.9


def test_the_cheapest_answer_by_trying_all():
    found = evaluation()
    costs = np.array([[0, 1, 5], [2, 0, 1], [9, 4, 0.5]])
    said = cheapest(found.probabilities, costs)
    for row, code in zip(found.probabilities, said, strict=True):
        expected = [sum(row[true] * costs[true, answer] for true in range(3)) for answer in range(3)]
        assert code == int(np.argmin(expected))
    likeliest = np.mean([costs[true, answer] for true, answer in zip(found.y_true, found.y_pred, strict=True)])
    assert found.cost(costs, cheapest=False) == pytest.approx(likeliest)
    assert found.cost(costs) < likeliest
    with pytest.raises(DataError) as caught:
        found.cost([[0, 1], [1, 0]])
    assert str(caught.value) == (
        "costs have the shape (2, 2). Accepted: finite numbers (3, 3); row i, column j is the cost of saying j where i is true."
    )


def test_where_a_threshold_decides_the_cost_is_of_what_it_says():
    """By hand: sick from 0.3 on, so that the second image is a false alarm, and nobody sick is missed."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
    given = {"classes": ["well", "sick"], "thresholds": {"sick": 0.3}}
    costs = [[0, 1], [20, 0]]
    assert Evaluation(np.array([0, 0, 1, 1]), probabilities, **given).cost(costs, cheapest=False) == 1 / 4
    plain = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["well", "sick"])
    assert plain.cost(costs, cheapest=False) == 20 / 4


def test_careless_questions_are_refused_in_words():
    found = evaluation()
    refusals = [
        (found.compare, "a model", "compare takes another Evaluation, and got a str: give model.evaluate(data)."),
        (found.slices, ["a"] * 400, "columns are a list. Accepted: values by name, such as {'camera': [...]}."),
        (
            found.cost,
            {"a": 1},
            "costs are a dict that is no matrix of numbers. Accepted: finite numbers (3, 3); row i, column j is the cost of saying j where i is true.",
        ),
    ]
    for ask, given, words in refusals:
        with pytest.raises(DataError) as caught:
            ask(given)
        assert str(caught.value) == words
    with pytest.raises(KeyError) as missing:
        found["accurracy"]
    assert missing.value.args[0].startswith(
        "figure 'accurracy' is not known. Did you mean 'accuracy'? Known: accuracy, "
    )
    with pytest.raises(DataError) as caught:
        Evaluation(found.y_true, 5 * found.probabilities, classes=found.classes)
    assert "Of scores, take the softmax first." in str(caught.value)


@pytest.mark.parametrize("value", [0, 1, 1.5, "much"])
def test_a_promise_is_between_0_and_1(value):
    with pytest.raises(ConfigurationError) as caught:
        prediction_sets(np.eye(2), np.eye(2), np.array([0, 1]), coverage=value)
    assert str(caught.value) == f"coverage={value!r} is not accepted. Accepted: a number between 0 and 1."
