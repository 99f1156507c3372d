"""Counting for fairness: arrays to outcome counts per group, and the metrics of one group with their intervals.

Pure; numpy is imported inside the functions. Sources of the intervals are in ``maths``, which re-exports these names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from affidavit.core.errors import Invalid
from affidavit.core.fields import dec6

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
BINS = 10
PROPORTIONS = ("selection_rate", "tpr", "fpr", "fnr", "precision", "accuracy", "base_rate")
METRICS = (*PROPORTIONS, "calibration_gap", "calibration_error")
Labels = tuple[str, ...]
_MOST_CELLS = 4096


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval over ``n`` rows of its own denominator. None where undefined: no rows, no score."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

    def to_row(self) -> dict[str, Any]:
        """JSON-ready: decimal strings of six places (rounded half to even), or None."""
        return {"value": text(self.value), "low": text(self.low), "high": text(self.high), "n": self.n}


@dataclass(frozen=True, slots=True)
class Group:
    """Outcome counts of one group: ``labels`` of ``attributes``, both empty for the whole population.

    ``bins``: rows, positives and summed score per tenth of [0, 1]; empty without scores.
    """

    attributes: tuple[str, ...]
    labels: Labels
    tp: int
    fp: int
    fn: int
    tn: int
    bins: tuple[tuple[int, int, float], ...] = ()

    @property
    def n(self) -> int:
        """Rows in the group."""
        return self.tp + self.fp + self.fn + self.tn

    def estimate(self, metric: str, alpha: float = ALPHA) -> Estimate:
        """The metric in this group, with its interval at level 1 - ``alpha``.

        selection_rate (tp+fp)/n, tpr tp/(tp+fn), fpr fp/(fp+tn), fnr fn/(tp+fn), precision tp/(tp+fp), accuracy
        (tp+tn)/n, base_rate (tp+fn)/n; calibration_gap = mean score - base rate; calibration_error = Σ over the bins
        of (rows in bin / n) |mean score - observed rate| (Naeini et al., AAAI 2015; biased upwards in small groups).
        Raises ``Invalid`` for a metric outside ``METRICS``.
        """
        expect(metric in METRICS, f"No metric is named {metric!r}", f"Use one of: {', '.join(METRICS)}.")
        z = -NormalDist().inv_cdf(alpha / 2)
        if metric in PROPORTIONS:
            part, n = self._counts()[metric]
            return Estimate(part / n, *wilson(part, n, z), n) if n else Estimate()
        if not self.bins or self.n == 0:
            return Estimate()
        if metric == "calibration_gap":
            return Estimate(*_gap(self.n, self.tp + self.fn, sum(b[2] for b in self.bins), z), self.n)
        return self._calibration_error(z)

    def _counts(self) -> dict[str, tuple[int, int]]:
        tp, fp, fn, tn, n = self.tp, self.fp, self.fn, self.tn, self.n
        rates = [(tp + fp, n), (tp, tp + fn), (fp, fp + tn), (fn, tp + fn), (tp, tp + fp), (tp + tn, n), (tp + fn, n)]
        return dict(zip(PROPORTIONS, rates, strict=True))

    def _calibration_error(self, z: float) -> Estimate:
        total = below = above = 0.0
        for n, positives, scores in self.bins:
            if n:
                gap, low, high = _gap(n, positives, scores, z)
                total += n / self.n * abs(gap)
                below += (n / self.n * (abs(gap) - max(0.0, low, -high))) ** 2
                above += (n / self.n * (max(high, -low) - abs(gap))) ** 2
        return Estimate(total, max(0.0, total - math.sqrt(below)), min(1.0, total + math.sqrt(above)), self.n)


def wilson(part: int, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of part / n, n > 0: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)."""
    p, spread = part / n, z * z / n
    half = math.sqrt(spread * p * (1 - p) + spread * spread / 4)
    low, high = (p + spread / 2 - half) / (1 + spread), (p + spread / 2 + half) / (1 + spread)
    return (max(0.0, low) if part else 0.0), (min(1.0, high) if part < n else 1.0)


def _gap(n: int, positives: int, scores: float, z: float) -> tuple[float, float, float]:
    low, high = wilson(positives, n, z)
    return (scores - positives) / n, scores / n - high, scores / n - low


def tally(outcome: NDArray[Any], points: Any, coded: list[tuple[Any, Labels]], names: tuple[str, ...]) -> list[Group]:
    """``outcome``: 2 truth + guess, times BINS plus the score's tenth if there are ``points``."""
    import numpy as np

    cells, width = math.prod(len(labels) for _, labels in coded), 1 if points is None else BINS
    expect(cells <= _MOST_CELLS, f"{names!r} has {cells} cells", "Band an attribute, or intersect fewer.")
    where = coded[0][0] * (4 * width) if coded else outcome
    for codes, labels in coded[1:]:
        where = where * len(labels) + codes * (4 * width)
    where = where + outcome if coded else where
    count = np.bincount(where, minlength=cells * 4 * width).reshape(cells, 4, width)
    total = count if points is None else np.bincount(where, points, cells * 4 * width).reshape(cells, 4, width)
    found = []
    for labels, four, scores in zip(product(*(labels for _, labels in coded)), count, total, strict=True):
        tn, fp, fn, tp = four.sum(axis=1).tolist()
        bins = zip(*(part.sum(axis=0).tolist() for part in (four, four[2:], scores)), strict=True)
        found.append(Group(names, labels, tp, fp, fn, tn, () if points is None else tuple(bins)))
    return found


def codes(name: str, values: ArrayLike) -> tuple[NDArray[Any], Labels]:
    """A code per row, and the labels in order. Whole numbers of a narrow range are coded without a sort."""
    import numpy as np

    array, mend = _vector(name, values), "Use bool, int or str, not mixed; code missing as a label such as 'unknown'."
    if array.dtype.kind in "biu" and array.size and int(array.max()) - int(array.min()) < _MOST_CELLS:
        least = int(array.min())
        codes = array.astype(np.int64) - least
        present = np.flatnonzero(np.bincount(codes))
        if len(present) <= int(present[-1]):  # gaps
            codes = np.searchsorted(present, np.arange(int(present[-1]) + 1))[codes]
        distinct = [array.dtype.type(x + least).item() for x in present]
    else:
        rows = array.tolist()
        expect(set(map(type, rows)) in (set(), {str}, {int}, {bool}), f"`{name}` lacks or mixes labels", mend)
        distinct = sorted(set(rows))
        index = {label: code for code, label in enumerate(distinct)}
        codes = np.fromiter(map(index.__getitem__, rows), np.int64, len(rows))
    labels = tuple(str(x).lower() if isinstance(x, bool) else str(x) for x in distinct)
    expect(all(labels), f"`{name}` has an empty label", mend)
    expect(len(labels) <= _MOST_CELLS, f"`{name}` has {len(labels)} labels", "Band it, such as ages in decades.")
    return codes, labels


def unit(name: str, values: ArrayLike, kinds: str, mend: str) -> NDArray[Any]:
    """``values`` as an array of numbers from 0 to 1 of one of the numpy ``kinds``. Raises ``Invalid``."""
    array = _vector(name, values)
    sound = not array.size or (array.dtype.kind in kinds and bool(array.min() >= 0) and bool(array.max() <= 1))
    expect(sound, f"`{name}` holds another value", mend)
    return array


def _vector(name: str, values: ArrayLike) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.asarray(values)
    except ValueError:
        array = np.zeros((0, 0))  # ragged
    expect(array.ndim == 1, f"`{name}` has shape {array.shape}", "Pass one value per row, shape (n,).")
    return array


def text(x: float | None) -> str | None:
    """Six places, None stays None."""
    return None if x is None else dec6(x)


def expect(holds: bool, problem: str, next_step: str) -> None:  # noqa: FBT001
    """Raise ``Invalid`` unless ``holds``."""
    if not holds:
        raise Invalid(f"{problem}.", next_step=next_step)
