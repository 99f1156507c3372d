"""Evaluation metrics equal scikit-learn's; intervals and the golden-set comparison behave at the edges."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from affidavit.areas.registry.maths import METRICS, Metric, auc, compare_outputs, decimal6, evaluate, wilson
from affidavit.core.errors import Invalid


def draw(n: int, seed: int, places: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.uniform(0, 1, n), places)
    truth = (rng.uniform(0, 1, n) < 0.2 + 0.6 * score).astype(int)
    return truth, (score >= 0.5).astype(int), score


@pytest.mark.parametrize(("n", "places"), [(50, 16), (999, 16), (999, 1), (4000, 2), (4000, 0)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_metric_equals_scikit_learn(n: int, places: int, seed: int) -> None:
    """Also with many tied scores (0, 1 or 2 places)."""
    truth, guess, score = draw(n, seed, places)
    found = {metric.name: metric.value for metric in evaluate(truth, guess, score).metrics}
    assert found == pytest.approx(
        {
            "auc": oracle.roc_auc_score(truth, score),
            "accuracy": oracle.accuracy_score(truth, guess),
            "precision": oracle.precision_score(truth, guess),
            "recall": oracle.recall_score(truth, guess),
            "log_loss": oracle.log_loss(truth, score),
            "brier": oracle.brier_score_loss(truth, score),
            "base_rate": truth.mean(),
        },
        abs=1e-12,
    )
    assert tuple(found) == METRICS


def test_delong_variance_equals_its_definition() -> None:
    """S10 and S01 computed pair by pair, as the paper writes them."""
    truth, _, score = draw(120, 7, places=1)
    x, y = score[truth == 1], score[truth == 0]
    pairs = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    variance = pairs.mean(axis=1).var(ddof=1) / len(x) + pairs.mean(axis=0).var(ddof=1) / len(y)
    found = auc(truth, score)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.high - found.value == pytest.approx(1.959963984540054 * math.sqrt(variance))
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_auc_interval_covers_the_truth_about_95_times_in_100() -> None:
    """Two normals one standard deviation apart: the true value is Phi(1/sqrt 2)."""
    rng, target, hits = np.random.default_rng(5), 0.5 * (1 + math.erf(0.5)), 0
    for _ in range(600):
        found = auc(np.repeat([1, 0], 80), np.concatenate([rng.normal(1, 1, 80), rng.normal(0, 1, 80)]))
        assert found.low is not None and found.high is not None
        hits += found.low <= target <= found.high
    assert 0.92 <= hits / 600 <= 0.975


def test_auc_extremes() -> None:
    """Perfect, reversed and constant scores; one class only has no value; no variance has no interval."""
    assert auc([0, 0, 1, 1], [1, 2, 3, 4]) == Metric("auc", 1.0, None, None, 4)
    assert auc([1, 1, 0, 0], [1, 2, 3, 4]).value == 0.0
    assert auc([0, 1, 0, 1], [7, 7, 7, 7]).value == 0.5
    assert auc([1, 1], [0.1, 0.2]) == Metric("auc", None, None, None, 2)
    assert auc([0, 1], [0.1, 0.2]) == Metric("auc", 1.0, None, None, 2)
    assert auc([], []) == Metric("auc", None, None, None, 0)


def test_no_rows_and_no_scores_are_undefined_never_zero() -> None:
    """None, so that a gate cannot take it for a number."""
    assert all(m.value is None and m.n == 0 for m in evaluate([], [], []).metrics)
    unscored = evaluate([0, 1], [0, 1])
    assert [m.name for m in unscored.metrics if m.value is None] == ["auc", "log_loss", "brier"]
    assert evaluate([0, 1], [0, 0], [0.1, 0.2]).metric("precision") == Metric("precision", None, None, None, 0)
    assert evaluate([0, 0], [0, 1]).metric("recall").value is None
    assert evaluate([1], [1], [0.5]).metric("brier") == Metric("brier", 0.25, None, None, 1)


def test_certain_and_wrong_is_finite() -> None:
    """log_loss of a score of 0 for a positive is clipped, as in scikit-learn."""
    loss = evaluate([1, 0], [0, 1], [0.0, 1.0]).metric("log_loss").value
    assert loss == pytest.approx(oracle.log_loss([1, 0], [0.0, 1.0]))


def test_rows_are_decimal_strings() -> None:
    """No float leaves in a row; bools are accepted as labels."""
    rows = evaluate(np.array([True, False, True]), np.array([True, True, False]), [0.9, 0.8, 0.1]).to_rows()
    assert rows[1] == {"name": "accuracy", "value": "0.333333", "low": "0.061492", "high": "0.792340", "n": 3}
    assert not any(isinstance(value, float) for row in rows for value in row.values())


BAD = [
    ("label 2", [0, 2], [0, 1], [0.1, 0.2]),
    ("label -1", [-1, 1], [0, 1], None),
    ("float labels", [0.0, 1.0], [0, 1], None),
    ("text labels", ["0", "1"], [0, 1], None),
    ("matrix", [[0, 1]], [0, 1], None),
    ("short prediction", [0, 1], [0], None),
    ("short score", [0, 1], [0, 1], [0.5]),
    ("NaN score", [0, 1], [0, 1], [0.5, math.nan]),
    ("infinite score", [0, 1], [0, 1], [0.5, math.inf]),
    ("score over 1", [0, 1], [0, 1], [0.5, 1.5]),
    ("text score", [0, 1], [0, 1], ["a", "b"]),
    ("ragged score", [0, 1], [0, 1], [[0.5], [0.5, 0.1]]),
    ("score matrix", [0, 1], [0, 1], [[0.5], [0.5]]),
]


@pytest.mark.parametrize(("truth", "guess", "score"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_refused_with_a_next_step(truth: object, guess: object, score: object) -> None:
    """Never a leaked ValueError."""
    with pytest.raises(Invalid) as caught:
        evaluate(truth, guess, score)  # type: ignore[arg-type]
    assert caught.value.problem and caught.value.next_step


def test_unknown_metric_is_refused() -> None:
    """And the answer names those that exist."""
    with pytest.raises(Invalid, match="base_rate"):
        evaluate([0, 1], [0, 1]).metric("f1")


@given(st.integers(0, 400), st.data())
def test_wilson_holds_the_estimate_and_stays_in_range(n: int, data: st.DataObject) -> None:
    """Also symmetric: failures give the mirrored interval."""
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= (k / n if n else 0.5) <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_wilson_published_example() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I: 81/263, 15/148, 0/20, 1/29."""
    got = [tuple(round(x, 4) for x in wilson(k, n)) for k, n in ((81, 263), (15, 148), (0, 20), (1, 29))]
    assert got == [(0.2553, 0.3662), (0.0624, 0.1605), (0.0, 0.1611), (0.0061, 0.1718)]


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_wilson_refuses_impossible_counts(k: int, n: int) -> None:
    """More successes than trials, or fewer than none."""
    with pytest.raises(Invalid):
        wilson(k, n)


DECIMALS = [
    (0, "0.000000"),
    (-0.0, "0.000000"),
    (-1e-9, "0.000000"),
    (1e-9, "0.000000"),
    (0.5, "0.500000"),
    (-0.25, "-0.250000"),
    (1 / 3, "0.333333"),
    (2 / 3, "0.666667"),
    (0.0000005, "0.000000"),
    (Decimal("0.0000015"), "0.000002"),
    (Decimal("0.0000025"), "0.000002"),
    (12, "12.000000"),
    (np.float64(0.1), "0.100000"),
]


@pytest.mark.parametrize(("x", "text"), DECIMALS)
def test_decimal6(x: float, text: str) -> None:
    """Six places, half to even on the exact value, no negative zero."""
    assert decimal6(x) == text


@pytest.mark.parametrize(
    "x", [math.nan, math.inf, -math.inf, 2**53, -1e300, 10**400, "0.5", None, True, Decimal("NaN")]
)
def test_decimal6_refuses(x: object) -> None:
    """What has no canonical six-place form is not written down."""
    with pytest.raises(Invalid):
        decimal6(x)  # type: ignore[arg-type]


@given(st.floats(-1e9, 1e9))
def test_decimal6_is_idempotent_and_near(x: float) -> None:
    """Rounding what was rounded changes nothing; the error is at most half a unit of the last place."""
    text = decimal6(x)
    assert decimal6(Decimal(text)) == text and text != "-0.000000"
    assert abs(Decimal(text) - Decimal(str(x))) <= Decimal("0.0000005")


def test_replay_within_and_over_tolerance() -> None:
    """A difference equal to the tolerance is within; the first row over it is named."""
    assert compare_outputs([0.0, 0.5], [0.25, 0.5], "0.25").within
    found = compare_outputs([0.0, 0.5, 1.0], [0.0, 0.75, 0.0], "0.000001")
    assert (found.n, found.max_abs_diff, found.over, found.first_index, found.within) == (3, 1.0, 2, 1, False)
    assert compare_outputs([[0.1, 0.9], [0.2, 0.8]], [[0.1, 0.9], [0.2, 0.7]], 0.01).first_index == 1


def test_replay_counts_a_nan_as_over() -> None:
    """A model that now gives NaN fails the drill; the largest difference stays a number."""
    found = compare_outputs([0.1, 0.2], [math.nan, 0.2], "1")
    assert (found.over, found.not_finite, found.first_index, found.max_abs_diff) == (1, 1, 0, 0.0)
    assert compare_outputs([0.1], [math.inf], "1").over == 1


@pytest.mark.parametrize(
    ("expected", "got", "tolerance"),
    [
        ([], [], "0"),
        ([0.1], [0.1, 0.2], "0"),
        ([math.nan], [0.1], "0"),
        (["a"], [0.1], "0"),
        ([0.1], [0.1], "-1"),
        ([0.1], [0.1], "about"),
        ([0.1], [0.1], "NaN"),
        ([0.1], [0.1], True),
        (0.1, 0.1, "0"),
    ],
)
def test_replay_refuses(expected: object, got: object, tolerance: str) -> None:
    """An empty golden set proves nothing; shapes and tolerance must make sense."""
    with pytest.raises(Invalid):
        compare_outputs(expected, got, tolerance)  # type: ignore[arg-type]


def test_importing_the_module_does_not_import_numpy() -> None:
    """The command line starts without the scientific stack."""
    code = "import sys, affidavit.areas.registry.maths; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
