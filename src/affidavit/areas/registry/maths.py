"""Binary classification metrics for evaluation gates, and the comparison behind a golden-set replay.

Pure: arrays in, frozen values out; no file, clock or randomness. numpy is imported inside the functions, so
importing this module costs nothing. Every interval is two-sided at 95 % (``Z95``) and says whose it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from affidavit.core.errors import Invalid
from affidavit.core.fields import dec6

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
METRICS = ("auc", "accuracy", "precision", "recall", "log_loss", "brier", "base_rate")
_SCORED = ("auc", "log_loss", "brier")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its 95 % interval; ``n`` is its own denominator in rows.

    ``value`` is None where the metric is undefined (a denominator of 0, one class only, no score); ``low`` and
    ``high`` are None where no interval can be given. None is never a pass.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_row(self) -> dict[str, str | int | None]:
        """The metric as JSON-ready values: decimal strings of six places, or None."""
        return {
            "name": self.name,
            "value": _text(self.value),
            "low": _text(self.low),
            "high": _text(self.high),
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All metrics of one model on one split of ``n`` rows, in the order of ``METRICS``."""

    n: int
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises ``Invalid`` for a name outside ``METRICS``.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise Invalid(f"No metric is named {name!r}.", next_step=f"Use one of: {', '.join(METRICS)}.")

    def to_rows(self) -> list[dict[str, str | int | None]]:
        """One JSON-ready row per metric."""
        return [metric.to_row() for metric in self.metrics]


@dataclass(frozen=True, slots=True)
class Replay:
    """How far the outputs ``got`` are from those ``expected``, over ``n`` rows.

    ``over`` rows differ by more than the tolerance, the first at ``first_index`` (None if there is none).
    ``not_finite`` of them hold a NaN or an infinity and are left out of ``max_abs_diff``.
    """

    n: int
    max_abs_diff: float
    over: int
    not_finite: int
    first_index: int | None

    @property
    def within(self) -> bool:
        """Every row agrees within the tolerance."""
        return self.over == 0


def decimal6(x: float | Decimal) -> str:
    """The canonical decimal string of ``x`` with exactly six places, e.g. ``0.500000``; never ``-0.000000``.

    Rounds half to even, by the one rule of the ledger's decimals (``core.fields.dec6``). Compare metrics and bounds
    after this. Raises ``Invalid`` for NaN, an infinity, a magnitude of 10**12 or more, and what is not a number.
    """
    if isinstance(x, bool) or not isinstance(x, (int, float, Decimal)):
        raise Invalid(f"{x!r} is not a number.", next_step="Pass an int, a float or a Decimal.")
    return dec6(x)


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a proportion ``successes / n``; inside [0, 1], and not empty at 0 or n successes.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Source: Wilson, JASA 22 (1927) 209-212.
    ``n`` = 0 knows nothing: (0, 1). Raises ``Invalid`` unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise Invalid(f"{successes} successes of {n} cannot be.", next_step="Pass 0 <= successes <= n.")
    if n == 0:
        return 0.0, 1.0
    p, spread = successes / n, z * z / n
    centre = p + spread / 2
    half = math.sqrt(spread * p * (1 - p) + spread * spread / 4)
    low = 0.0 if successes == 0 else (centre - half) / (1 + spread)
    high = 1.0 if successes == n else (centre + half) / (1 + spread)
    return max(0.0, low), min(1.0, high)


def evaluate(y_true: ArrayLike, y_pred: ArrayLike, score: ArrayLike | None = None) -> Evaluation:
    """Metrics of a binary classifier on ``n`` rows.

    ``y_true``, ``y_pred``: 0/1 or bool, shape (n,). ``score``: probability of class 1 in [0, 1], shape (n,), or None,
    which leaves auc, log_loss and brier None. accuracy = (tp+tn)/n, precision = tp/(tp+fp), recall = tp/(tp+fn),
    base_rate = (tp+fn)/n: Wilson. auc: see ``auc``. brier = mean (s-y)² (Brier 1950) and log_loss = mean
    -ln P(y), probabilities clipped at the float64 epsilon as scikit-learn does: normal interval of a mean,
    m ± z sd/√n (n >= 2).

    Zero rows give None everywhere. Raises ``Invalid`` for other labels, NaN, a score outside [0, 1], other shapes.
    """
    truth, guess = _labels("y_true", y_true), _labels("y_pred", y_pred)
    _same_length(y_true=len(truth), y_pred=len(guess))
    n, tp = len(truth), int((truth & guess).sum())
    positives, selected = int(truth.sum()), int(guess.sum())
    found = {
        "accuracy": _proportion("accuracy", n - positives - selected + 2 * tp, n),
        "precision": _proportion("precision", tp, selected),
        "recall": _proportion("recall", tp, positives),
        "base_rate": _proportion("base_rate", positives, n),
    }
    found |= {name: Metric(name, None, None, None, n) for name in _SCORED} if score is None else _scored(truth, score)
    return Evaluation(n, tuple(found[name] for name in METRICS))


def auc(y_true: ArrayLike, score: ArrayLike) -> Metric:
    """Probability that a random positive outscores a random negative, a tie counting one half.

    Mann-Whitney U / (m n) over m positives and n negatives, shape (m+n,) each; scores are any finite numbers.
    Interval: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, auc ± z √(S10/m + S01/n), cut to [0, 1].
    One class only: value None. Fewer than two of a class, or a variance of 0 (perfect separation): interval None.
    Raises ``Invalid`` for labels other than 0/1, NaN or infinite scores, unequal lengths.
    """
    import numpy as np

    truth, points = _labels("y_true", y_true), _finite("score", score)
    _same_length(y_true=len(truth), score=len(points))
    m, n = int(truth.sum()), len(truth) - int(truth.sum())
    if m == 0 or n == 0:
        return Metric("auc", None, None, None, m + n)
    distinct, place = np.unique(points, return_inverse=True)
    positives = np.bincount(place[truth], minlength=len(distinct))
    negatives = np.bincount(place[~truth], minlength=len(distinct))
    # Structural components, one per distinct score: the share of the other class that the score beats.
    beats = (np.cumsum(negatives) - negatives / 2) / n
    beaten = (m - np.cumsum(positives) + positives / 2) / m
    value = float(positives @ beats) / m
    variance = 0.0
    if m > 1 and n > 1:
        spread_m = float(positives @ (beats - value) ** 2) / (m - 1) / m
        variance = spread_m + float(negatives @ (beaten - value) ** 2) / (n - 1) / n
    if variance <= 1e-18:
        return Metric("auc", value, None, None, m + n)
    half = Z95 * math.sqrt(variance)
    return Metric("auc", value, max(0.0, value - half), min(1.0, value + half), m + n)


def compare_outputs(expected: ArrayLike, got: ArrayLike, tolerance: str | float) -> Replay:
    """Whether a replayed golden set gives the recorded outputs: |got - expected| <= tolerance in every row.

    ``expected``, ``got``: shape (n,) or (n, k); a row differs by its largest column. ``tolerance``: decimal string
    or number >= 0, in the units of the outputs. A NaN or infinity in ``got`` is over any tolerance.
    Raises ``Invalid`` for n = 0 (nothing would be proven), unequal shapes, a NaN in ``expected``, a bad tolerance.
    """
    import numpy as np

    limit = _tolerance(tolerance)
    want, have = _floats("expected", expected), _floats("got", got)
    if want.shape != have.shape or want.ndim not in (1, 2):
        raise Invalid(f"Shapes differ: expected {want.shape}, got {have.shape}.", next_step="Replay the same rows.")
    if want.size == 0:
        raise Invalid("The golden set is empty.", next_step="Record at least one row with its output.")
    if not np.isfinite(want).all():
        raise Invalid("`expected` holds a NaN or an infinity.", next_step="Record the golden set again.")
    finite = np.isfinite(have).reshape(len(have), -1).all(axis=1)
    apart = np.abs(np.where(np.isfinite(have), have, want) - want).reshape(len(have), -1).max(axis=1)
    over = ~finite | (apart > limit)
    first = int(over.argmax()) if over.any() else None
    largest = float(apart[finite].max()) if finite.any() else 0.0
    return Replay(len(want), largest, int(over.sum()), int((~finite).sum()), first)


def _scored(truth: NDArray[Any], score: ArrayLike) -> dict[str, Metric]:
    import numpy as np

    points = _finite("score", score)
    _same_length(y_true=len(truth), score=len(points))
    if len(points) and (points.min() < 0 or points.max() > 1):
        raise Invalid("`score` leaves [0, 1].", next_step="Pass the probability of class 1, not a margin.")
    tiny = float(np.finfo(np.float64).eps)
    likelihood = np.clip(np.where(truth, points, 1 - points), tiny, 1 - tiny)
    return {
        "auc": auc(truth, points),
        "log_loss": _mean("log_loss", -np.log(likelihood)),
        "brier": _mean("brier", (points - truth) ** 2),
    }


def _proportion(name: str, part: int, n: int) -> Metric:
    if n == 0:
        return Metric(name, None, None, None, 0)
    low, high = wilson(part, n)
    return Metric(name, part / n, low, high, n)


def _mean(name: str, losses: NDArray[Any]) -> Metric:
    n = len(losses)
    if n == 0:
        return Metric(name, None, None, None, 0)
    value = float(losses.mean())
    if n == 1:
        return Metric(name, value, None, None, 1)
    half = Z95 * float(losses.std(ddof=1)) / math.sqrt(n)
    return Metric(name, value, max(0.0, value - half), value + half, n)


def _labels(name: str, values: ArrayLike) -> NDArray[Any]:
    import numpy as np

    array = np.asarray(values)
    if array.ndim != 1:
        raise Invalid(f"`{name}` has shape {array.shape}.", next_step="Pass one label per row, shape (n,).")
    if array.size == 0 or array.dtype.kind == "b":
        return array.astype(bool)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 1:
        raise Invalid(f"`{name}` holds something other than 0 and 1.", next_step="Code the labels as integers 0 and 1.")
    return array.astype(bool)


def _floats(name: str, values: ArrayLike) -> NDArray[Any]:
    import numpy as np

    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(f"`{name}` is not an array of numbers.", next_step="Pass floats of one shape.") from error


def _finite(name: str, values: ArrayLike) -> NDArray[Any]:
    import numpy as np

    array = _floats(name, values)
    if array.ndim != 1:
        raise Invalid(f"`{name}` has shape {array.shape}.", next_step="Pass one number per row, shape (n,).")
    if not np.isfinite(array).all():
        raise Invalid(f"`{name}` holds a NaN or an infinity.", next_step="Drop or mend those rows and say so.")
    return array


def _same_length(**lengths: int) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"`{name}` has {n}" for name, n in lengths.items())
        raise Invalid(f"Lengths differ: {told}.", next_step="Pass one value per row in each array.")


def _tolerance(tolerance: str | float) -> float:
    try:
        limit = float(Decimal(str(tolerance)))
    except InvalidOperation:
        limit = math.nan
    if isinstance(tolerance, bool) or not math.isfinite(limit) or limit < 0:
        raise Invalid(f"{tolerance!r} is no tolerance.", next_step="Pass a number of 0 or more, such as '0.000001'.")
    return limit


def _text(value: float | None) -> str | None:
    return None if value is None else decimal6(value)
