"""Fairness numbers equal Fairlearn's; thin data is never met; intervals cover; bad input is refused with a next step."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import fairlearn.metrics as oracle
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score

from affidavit.areas.fairness import maths
from affidavit.areas.fairness.maths import METRICS, PROPORTIONS, Estimate, Threshold, assess, judge, wilson
from affidavit.core.errors import Invalid

CENSUS = Path(maths.__file__).parents[2] / "demo" / "data" / "acs_employment_ma.parquet"
ORACLES = {
    "selection_rate": oracle.selection_rate,
    "tpr": oracle.true_positive_rate,
    "fpr": oracle.false_positive_rate,
    "fnr": oracle.false_negative_rate,
    "precision": lambda y_true, y_pred: precision_score(y_true, y_pred, zero_division=np.nan),
    "accuracy": accuracy_score,
    "base_rate": lambda y_true, y_pred: np.mean(y_true),
}
Z = 1.959963984540054


def census() -> dict[str, np.ndarray]:
    """Adults of 2015; the prediction is a rule of thumb on schooling, the score its share by schooling level."""
    table = pq.read_table(CENSUS, filters=[("year", "==", 2015), ("AGEP", ">=", 18)])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    share = np.bincount(columns["SCHL"], columns["employed"]) / np.maximum(1, np.bincount(columns["SCHL"]))
    score = share[columns["SCHL"]]
    return columns | {"score": score, "guess": (score >= 0.6).astype(int), "truth": columns["employed"].astype(int)}


def invented(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 1, n)
    return {
        "truth": (rng.uniform(0, 1, n) < score).astype(int),
        "guess": (score >= 0.5).astype(int),
        "score": score,
        "SEX": rng.integers(1, 3, n),
        "RAC1P": rng.choice([1, 2, 3, 6, 8, 9], n),
        "DIS": rng.choice(["with", "without"], n),
    }


def two_groups(a: tuple[int, int], b: tuple[int, int]) -> maths.Assessment:
    """All positives: group a is selected a[0] times of a[1], group b likewise."""
    guess = [1] * a[0] + [0] * (a[1] - a[0]) + [1] * b[0] + [0] * (b[1] - b[0])
    return assess([1] * (a[1] + b[1]), guess, None, {"g": ["a"] * a[1] + ["b"] * b[1]}, min_n=1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("data", [census(), invented(500, 1), invented(20_000, 2)], ids=["census", "small", "large"])
@pytest.mark.parametrize("names", [("SEX",), ("RAC1P",), ("DIS",), ("SEX", "DIS"), ("SEX", "RAC1P")])
def test_every_metric_difference_and_ratio_equals_fairlearn(data: dict, names: tuple[str, ...]) -> None:
    """On the real census data and on invented data, by attribute and by intersection.

    But for 0/0, where Fairlearn writes 0 or NaN and we write None.
    """
    features = {name: data[name] for name in names}
    pairs = [names] if len(names) > 1 else []
    found = assess(data["truth"], data["guess"], data["score"], features, intersections=pairs, min_n=1)
    frame = oracle.MetricFrame(metrics=ORACLES, y_true=data["truth"], y_pred=data["guess"], sensitive_features=features)
    for metric in PROPORTIONS:
        theirs = {k if isinstance(k, tuple) else (k,): v for k, v in frame.by_group[metric].items()}
        theirs = {tuple(str(x) for x in k): v for k, v in theirs.items()}
        ours = {g.labels: g.estimate(metric) for g in found.of(names)}
        undefined = {k for k, e in ours.items() if e.value is None}
        assert all(ours[k].n == 0 and theirs[k] in (0, pytest.approx(np.nan, nan_ok=True)) for k in undefined)
        theirs = {k: v for k, v in theirs.items() if k not in undefined and not np.isnan(v)}
        assert {k: e.value for k, e in ours.items() if k not in undefined} == pytest.approx(theirs, abs=1e-12)
        assert found.population.estimate(metric).value == pytest.approx(frame.overall[metric], abs=1e-12)
        gap, share = found.disparity(names, metric, "difference"), found.disparity(names, metric, "ratio")
        if not undefined:
            assert gap.estimate.value == pytest.approx(frame.difference()[metric], abs=1e-12)
            assert share.estimate.value == pytest.approx(frame.ratio()[metric], abs=1e-12)


def test_calibration_equals_its_definition() -> None:
    """Gap and expected error by group, computed row by row."""
    data = invented(5000, 3)
    found = assess(data["truth"], data["guess"], data["score"], {"SEX": data["SEX"]})
    for group in found.of(("SEX",)):
        rows = data["SEX"] == int(group.labels[0])
        truth, score = data["truth"][rows], data["score"][rows]
        tenth = np.minimum((score * 10).astype(int), 9)
        parts = [abs(np.sum(score[tenth == k] - truth[tenth == k])) for k in range(10)]
        gap, error = group.estimate("calibration_gap"), group.estimate("calibration_error")
        assert gap.value == pytest.approx(score.mean() - truth.mean(), abs=1e-12)
        assert error.value == pytest.approx(sum(parts) / rows.sum(), abs=1e-12)
        assert gap.low < gap.value < gap.high and error.low <= error.value <= error.high


def test_a_score_of_one_falls_in_the_last_bin() -> None:
    """Not in an eleventh."""
    assert assess([1, 0], [1, 0], [1.0, 0.0], {}).population.bins[9] == (1, 1, 1.0)


def test_newcombe_difference_published_example() -> None:
    """Statistics in Medicine 17 (1998) 873, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10, 10/10 - 0/20."""
    expected = {
        ((56, 70), (48, 80)): (0.0524, 0.3339),
        ((9, 10), (3, 10)): (0.1705, 0.8090),
        ((10, 10), (0, 20)): (0.6791, 1.0),
    }
    for (a, b), limits in expected.items():
        e = two_groups(a, b).disparity(("g",), "tpr", "difference").estimate
        assert (round(e.low, 4), round(e.high, 4)) == limits


@pytest.mark.parametrize(("a", "b"), [((60, 100), (45, 90)), ((800, 1000), (700, 1000)), ((30, 3000), (20, 3000))])
def test_mover_ratio_is_near_katz_with_many_rows(a: tuple[int, int], b: tuple[int, int]) -> None:
    """Katz et al., Biometrics 34 (1978) 469: exp(ln r ± z √(1/x - 1/n + 1/y - 1/m))."""
    e = two_groups(a, b).disparity(("g",), "tpr", "ratio").estimate
    spread = Z * math.sqrt(1 / a[0] - 1 / a[1] + 1 / b[0] - 1 / b[1])
    assert math.log(e.low) == pytest.approx(math.log(e.value) - spread, abs=0.03)
    assert math.log(e.high) == pytest.approx(math.log(e.value) + spread, abs=0.03)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_every_interval_holds_its_estimate(n: int, m: int, data: st.DataObject) -> None:
    """Wilson, Newcombe and MOVER-R, also at 0 and at all successes."""
    a, b = (data.draw(st.integers(0, n)), n), (data.draw(st.integers(0, m)), m)
    found = two_groups(a, b)
    gap = found.disparity(("g",), "tpr", "difference").estimate
    ratio = found.disparity(("g",), "tpr", "ratio").estimate
    assert -1 - 1e-9 <= gap.low <= gap.value + 1e-12 and gap.value <= gap.high + 1e-12 <= 1 + 2e-9
    assert (ratio.value is None) == (a[0] == b[0] == 0)
    if ratio.value is not None:
        assert 0 <= ratio.low <= ratio.value + 1e-9 and ratio.value <= ratio.high + 1e-9


@settings(max_examples=40)
@given(st.integers(10, 150), st.floats(0.05, 0.95))
def test_wilson_covers_the_true_rate(n: int, p: float) -> None:
    """Exact coverage over all outcomes stays near 95 %: between 0.88 and 0.995 for 0.05 <= p <= 0.95, n >= 10."""
    covered = 0.0
    for k in range(n + 1):
        low, high = wilson(k, n, Z)
        if low <= p <= high:
            covered += math.comb(n, k) * p**k * (1 - p) ** (n - k)
    assert 0.88 <= covered <= 0.995


def test_more_groups_widen_the_interval_of_a_disparity() -> None:
    """Bonferroni over pairs: a middle group leaves the extremes but not the level."""
    two = two_groups((80, 100), (40, 100)).disparity(("g",), "tpr", "difference").estimate
    guess = ([1] * 80 + [0] * 20) + ([1] * 60 + [0] * 40) + ([1] * 40 + [0] * 60)
    three = assess([1] * 300, guess, None, {"g": np.repeat(["a", "m", "b"], 100)})
    e = three.disparity(("g",), "tpr", "difference").estimate
    assert e.value == two.value and e.low < two.low and e.high > two.high


# value by group a, b (selected, rows) · threshold · status · words
JUDGED = [
    ("far over", (90, 100), (40, 100), ("difference", "0.100000", "max", 30), "breached", "interval excludes bound"),
    ("just over", (80, 100), (69, 100), ("difference", "0.100000", "max", 30), "breached", "interval includes bound"),
    ("equal", (80, 100), (70, 100), ("difference", "0.1", "max", 30), "met", "interval includes bound"),
    ("far under", (800, 1000), (800, 1000), ("difference", "0.1", "max", 30), "met", "interval excludes bound"),
    ("ratio under", (90, 100), (40, 100), ("ratio", "0.8", "min", 30), "breached", "interval excludes bound"),
    ("ratio equal", (50, 100), (40, 100), ("ratio", "0.8", "min", 30), "met", "interval includes bound"),
    ("too few", (90, 100), (4, 10), ("difference", "0.1", "max", 30), "insufficient_data", "1 groups with 30 rows"),
    ("all zero", (0, 100), (0, 100), ("ratio", "0.8", "min", 30), "insufficient_data", "largest rate is 0"),
]


@pytest.mark.parametrize(("a", "b", "bound", "status", "words"), [j[1:] for j in JUDGED], ids=[j[0] for j in JUDGED])
def test_verdicts(a: tuple, b: tuple, bound: tuple, status: str, words: str) -> None:
    """The point estimate decides, the interval is said, thin data is never met."""
    (verdict,) = judge(two_groups(a, b), [Threshold("tpr", "g", *bound)])
    assert verdict.status == status and words in verdict.why
    assert verdict.excludes_bound == ("excludes" in verdict.why)
    if verdict.status != "insufficient_data":  # the p-value inverts the interval
        assert verdict.excludes_bound == (verdict.p_value < 0.05)


def three_groups(small: int) -> maths.Assessment:
    guess = [1] * 50 + [0] * 50 + [1] * 45 + [0] * 55 + [0] * small
    return assess([1] * (200 + small), guess, None, {"g": ["a"] * 100 + ["b"] * 100 + ["c"] * small})


def test_a_small_group_keeps_a_disparity_from_being_met_unless_excluded_beforehand() -> None:
    """And its name is told; a breach among the others stays a breach."""
    kept = Threshold("tpr", "g", "difference", "0.1", "max", 30)
    left_out = Threshold("tpr", "g", "difference", "0.1", "max", 30, "exclude")
    narrow = Threshold("tpr", "g", "difference", "0.01", "max", 30)
    found = judge(three_groups(5), [kept, left_out, narrow])
    assert [v.status for v in found] == ["insufficient_data", "met", "breached"]
    assert all(v.disparity is not None and v.disparity.excluded == (("c",),) for v in found)
    assert judge(three_groups(30), [kept])[0].status == "breached"


def test_by_group_gives_one_verdict_each() -> None:
    """With its own denominator: precision needs selected rows, not rows."""
    found = judge(three_groups(40), [Threshold("precision", "g", "by_group", "0.5", "min", 46)])
    assert [(v.labels, v.status) for v in found] == [
        (("a",), "met"), (("b",), "insufficient_data"), (("c",), "insufficient_data"),
    ]  # fmt: skip
    assert found[2].estimate == Estimate(None, None, None, 0)


def test_no_rows_is_insufficient_for_every_check() -> None:
    """n = 0: nothing is met, and a per-group check still yields a verdict."""
    found = assess([], [], [], {"g": []}, min_n=1)
    checks = [Threshold(m, "g", "by_group", "1", "max", 1) for m in METRICS]
    checks += [Threshold(m, "g", "difference", "1", "max", 1) for m in METRICS]
    assert {v.status for v in judge(found, checks)} == {"insufficient_data"}
    assert {row["verdict"] for row in found.to_rows()} == {"insufficient_data"}


def test_one_group_one_class_and_no_score_are_insufficient() -> None:
    """One group has nothing to be compared with; without negatives there is no fpr; without scores no calibration."""
    data = assess([1] * 50, [1] * 50, None, {"g": ["a"] * 50, "h": [True] * 25 + [False] * 25})
    checks = [
        Threshold("tpr", "g", "difference", "0.1", "max", 1),
        Threshold("fpr", "h", "difference", "0.1", "max", 1),
        Threshold("calibration_gap", "h", "by_group", "0.1", "max", 1),
    ]
    assert {v.status for v in judge(data, checks)} == {"insufficient_data"}
    assert judge(data, []) == []


def test_labels_of_each_kind_come_out_as_text_in_order() -> None:
    """bool, int (small, negative, far apart), numpy text and lists."""
    labels = {
        "bool": [True, False, True], "int": np.array([9, 10, 1], dtype=np.int8), "far": [10**12, -5, 0],
        "text": np.array(["b", "a", "b"]), "object": np.array(["y", "x", "y"], dtype=object),
    }  # fmt: skip
    found = assess([1, 1, 1], [1, 0, 1], None, labels, min_n=1)
    got = {name: [g.labels[0] for g in found.of((name,))] for name in labels}
    assert got == {
        "bool": ["false", "true"], "int": ["1", "9", "10"], "far": ["-5", "0", str(10**12)],
        "text": ["a", "b"], "object": ["x", "y"],
    }  # fmt: skip
    assert [g.tp for g in found.of(("bool",))] == [0, 2]


def test_intersection_of_three_counts_the_right_rows() -> None:
    """And cells without rows do not appear."""
    data = invented(2000, 9)
    names = ("SEX", "RAC1P", "DIS")
    found = assess(data["truth"], data["guess"], None, {n: data[n] for n in names}, intersections=[names])
    for group in found.of(names):
        rows = np.logical_and.reduce([data[n].astype(str) == x for n, x in zip(names, group.labels, strict=True)])
        assert group.n == rows.sum() and group.tp == (data["truth"] & data["guess"])[rows].sum()
    assert sum(g.n for g in found.of(names)) == 2000
    sparse = assess([1, 1], [1, 1], None, {"a": [1, 2], "b": [1, 2]}, intersections=[("a", "b")])
    assert [g.labels for g in sparse.of(("a", "b"))] == [("1", "1"), ("2", "2")]


def test_holm_published_example() -> None:
    """Four p-values: 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02; more verdicts, larger values."""
    assert maths._holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = two_groups((90, 100), (40, 100))
    one = judge(found, [Threshold("tpr", "g", "difference", "0.1", "max", 30)])
    two = judge(found, [one[0].threshold, Threshold("accuracy", "g", "difference", "0.1", "max", 30)])
    assert two[0].p_value == one[0].p_value == one[0].p_adjusted < two[0].p_adjusted


def test_rows_are_json_without_floats() -> None:
    """Decimal strings, so that canonical JSON takes them as they are."""
    data = invented(300, 4)
    found = assess(data["truth"], data["guess"], data["score"], {"SEX": data["SEX"]})
    rows = found.to_rows() + [v.to_row() for v in judge(found, [Threshold("tpr", "SEX", "ratio", "0.8", "min", 30)])]
    json.loads(json.dumps(rows), parse_float=lambda x: pytest.fail(f"a float: {x}"))
    assert len(rows) == 3 * 9 + 9 + 7 + 1


ONE = {"g": ["a", "b"]}
BAD = [
    ("label 2", ([0, 2], [0, 1], None, ONE), {}),
    ("float label", ([0.0, 1.0], [0, 1], None, ONE), {}),
    ("prediction -1", ([0, 1], [0, -1], None, ONE), {}),
    ("NaN score", ([0, 1], [0, 1], [0.5, math.nan], ONE), {}),
    ("infinite score", ([0, 1], [0, 1], [0.5, math.inf], ONE), {}),
    ("score over 1", ([0, 1], [0, 1], [0.5, 1.1], ONE), {}),
    ("text score", ([0, 1], [0, 1], ["a", "b"], ONE), {}),
    ("short prediction", ([0, 1], [0], None, ONE), {}),
    ("short score", ([0, 1], [0, 1], [0.5], ONE), {}),
    ("short attribute", ([0, 1], [0, 1], None, {"g": ["a"]}), {}),
    ("matrix", ([[0, 1]], [0, 1], None, ONE), {}),
    ("ragged", ([[0], [0, 1]], [0, 1], None, ONE), {}),
    ("missing label", ([0, 1], [0, 1], None, {"g": ["a", None]}), {}),
    ("NaN label", ([0, 1], [0, 1], None, {"g": [1.0, math.nan]}), {}),
    ("empty label", ([0, 1], [0, 1], None, {"g": ["a", ""]}), {}),
    ("mixed labels", ([0, 1], [0, 1], None, {"g": np.array(["1", 1], dtype=object)}), {}),
    ("5000 labels", ([0] * 5000, [0] * 5000, None, {"g": [str(i) for i in range(5000)]}), {}),
    ("unknown attribute", ([0, 1], [0, 1], None, ONE), {"intersections": [("g", "h")]}),
    ("repeated attribute", ([0, 1], [0, 1], None, ONE), {"intersections": [("g", "g")]}),
    ("empty intersection", ([0, 1], [0, 1], None, ONE), {"intersections": [()]}),
    ("min_n of 0", ([0, 1], [0, 1], None, ONE), {"min_n": 0}),
]


@pytest.mark.parametrize(("args", "options"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_refused_with_a_next_step(args: tuple, options: dict) -> None:
    """Never a leaked ValueError, never a silently dropped row."""
    with pytest.raises(Invalid) as caught:
        assess(*args, **options)
    assert caught.value.problem and caught.value.next_step


THRESHOLDS = [
    ("f1", "g", "difference", "0.1", "max", 1),
    ("tpr", "g", "difference", "0.1", "min", 1),
    ("tpr", "g", "ratio", "0.8", "max", 1),
    ("tpr", "g", "mean", "0.8", "max", 1),
    ("calibration_gap", "g", "ratio", "0.8", "min", 1),
    ("tpr", "g", "difference", "NaN", "max", 1),
    ("tpr", "g", "difference", "0.1234567", "max", 1),
    ("tpr", "g", "difference", "1e-1", "max", 1),
    ("tpr", "g", "difference", "", "max", 1),
    ("tpr", (), "difference", "0.1", "max", 1),
    ("tpr", "", "difference", "0.1", "max", 1),
    ("tpr", "g", "difference", "0.1", "max", 0),
    ("tpr", "g", "difference", "0.1", "max", 1, "ignore"),
]


@pytest.mark.parametrize("parts", THRESHOLDS, ids=str)
def test_a_threshold_that_cannot_be_judged_is_refused(parts: tuple) -> None:
    """When it is promised, not when it is judged."""
    with pytest.raises(Invalid) as caught:
        Threshold(*parts)
    assert caught.value.next_step


def test_judging_what_was_not_assessed_is_refused() -> None:
    """A misspelt attribute must not pass for one without disparity; a repeated threshold would distort Holm."""
    found, known = two_groups((5, 10), (5, 10)), Threshold("tpr", "g", "difference", "0.1", "max", 1)
    for wrong in ([Threshold("tpr", "G", "difference", "0.1", "max", 1)], [known, known]):
        with pytest.raises(Invalid):
            judge(found, wrong)
    with pytest.raises(Invalid):
        found.population.estimate("f1")
    with pytest.raises(Invalid):
        found.disparity(("g",), "tpr", "by_group")


def test_importing_the_module_does_not_import_numpy() -> None:
    """The command line starts without the scientific stack."""
    code = "import sys, affidavit.areas.fairness.maths; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
