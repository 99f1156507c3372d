"""Fairness of a binary classifier by group and by intersection, and verdicts on pre-registered thresholds.

Pure: arrays in, frozen values out; numpy is imported inside the functions, so importing this module costs nothing.

Intervals are two-sided at 95 % (``ALPHA``). Proportions: Wilson, JASA 22 (1927) 209. Calibration gap: mean score
minus Wilson's limits of the observed rate, scores held fixed; calibration error: those of the bins, added by MOVER
(Zou & Donner, Statistics in Medicine 27 (2008) 1693). Differences: Newcombe's method 10 (ibid. 17 (1998) 873).
Ratios: MOVER-R (Donner & Zou, Statistical Methods in Medical Research 21 (2012) 347), as it holds at a rate of 0.

Multiple comparisons: a disparity compares the extreme two of k groups, so its interval is at level
1 - ALPHA / (k(k-1)/2) (Bonferroni over pairs); ``judge`` then adjusts the p-values of all its verdicts together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from affidavit.areas.fairness.counting import (
    ALPHA,
    BINS,
    METRICS,
    PROPORTIONS,
    Estimate,
    Group,
    Labels,
    codes,
    expect,
    tally,
    text,
    unit,
    wilson,
)
from affidavit.core.fields import dec6

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "ALPHA",
    "BINS",
    "METRICS",
    "PROPORTIONS",
    "Aggregate",
    "Assessment",
    "Disparity",
    "Estimate",
    "Group",
    "Labels",
    "Status",
    "Threshold",
    "Verdict",
    "assess",
    "judge",
    "wilson",
]
Aggregate = Literal["difference", "ratio", "by_group"]
Status = Literal["met", "breached", "insufficient_data"]
_STATUS: tuple[Status, Status] = ("met", "breached")


@dataclass(frozen=True, slots=True)
class Disparity:
    """Largest minus smallest (``difference``) or smallest over largest (``ratio``) of a metric across groups.

    Groups with a denominator under the minimum take no part and are listed in ``excluded``. The estimate is None
    with fewer than two groups left, and for a ratio whose largest rate is 0; its n is the smaller of the two.
    """

    attributes: tuple[str, ...]
    metric: str
    aggregate: Aggregate
    estimate: Estimate
    highest: Labels
    lowest: Labels
    groups: int
    excluded: tuple[Labels, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Counts of the population and its groups, from which every metric follows. Zero rows: every estimate is None."""

    population: Group
    groups: tuple[Group, ...]
    attributes: tuple[tuple[str, ...], ...]
    min_n: int

    def of(self, attributes: tuple[str, ...]) -> tuple[Group, ...]:
        """The groups of one attribute, ``("SEX",)``, or intersection. Raises ``Invalid`` if that was not assessed."""
        expect(attributes in self.attributes, f"{attributes!r} was not assessed", f"Use one of {self.attributes}.")
        return tuple(g for g in self.groups if g.attributes == attributes)

    def disparity(
        self, attributes: tuple[str, ...], metric: str, aggregate: Aggregate, min_n: int = 0, alpha: float = ALPHA
    ) -> Disparity:
        """The extreme difference or ratio: Fairlearn's ``between_groups``, but a rate of 0/0 is None here, not 0.

        ``min_n`` 0: the assessment's.

        Difference h-s of (l, u) each: h-s - √((h-l)²+(u'-s)²), h-s + √((u-h)²+(s-l')²), primes for the smaller.
        Raises ``Invalid`` for an attribute not assessed, an unknown metric, the ratio of a calibration metric.
        """
        sound = aggregate == "difference" or (aggregate == "ratio" and metric in PROPORTIONS)
        expect(sound, f"There is no {aggregate} of {metric} across groups", "Use a difference, or a ratio of rates.")
        found = [(g, g.estimate(metric)) for g in self.of(attributes)]
        kept = [(e.value, g) for g, e in found if e.value is not None and e.n >= (min_n or self.min_n)]
        excluded = tuple(g.labels for g, e in found if e.value is None or e.n < (min_n or self.min_n))
        shape = partial(Disparity, attributes, metric, aggregate, groups=len(kept), excluded=excluded)
        if len(kept) < 2:  # a comparison needs two groups
            return shape(estimate=Estimate(), highest=(), lowest=())
        high, low = max(kept, key=lambda pair: pair[0])[1], min(kept, key=lambda pair: pair[0])[1]
        level = alpha / (len(kept) * (len(kept) - 1) / 2)
        estimate = _compare(high.estimate(metric, level), low.estimate(metric, level), aggregate)
        return shape(estimate=estimate, highest=high.labels, lowest=low.labels)

    def to_rows(self) -> list[dict[str, Any]]:
        """Each metric of each group, then each disparity, JSON-ready.

        ``verdict`` is ``insufficient_data`` or None: without a threshold nothing is met.
        """
        rows: list[dict[str, Any]] = []
        for g, metric in product((self.population, *self.groups), METRICS):
            e = g.estimate(metric)
            short = e.value is None or e.n < self.min_n
            place = {"kind": "group", "attributes": [*g.attributes], "labels": [*g.labels], "metric": metric}
            rows.append(place | e.to_row() | {"verdict": "insufficient_data" if short else None})
        kinds: tuple[Aggregate, ...] = ("difference", "ratio")
        for attributes, metric, kind in product(self.attributes, METRICS, kinds):
            if kind == "difference" or metric in PROPORTIONS:
                d = self.disparity(attributes, metric, kind)
                place = {"kind": kind, "attributes": [*attributes], "metric": metric, **_extremes(d)}
                short = d.estimate.value is None
                rows.append(place | d.estimate.to_row() | {"verdict": "insufficient_data" if short else None})
        return rows


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound promised before the evaluation that it judges.

    ``attribute``: a name, or a tuple of names for an intersection. ``bound``: decimal string, at most six places.
    A difference has a maximum, a ratio (smallest over largest) a minimum. ``min_n``: rows in the metric's own
    denominator per group. ``small_groups``: under ``insufficient`` a group below ``min_n`` keeps a disparity from
    being met; under ``exclude`` it is left out and named. Raises ``Invalid`` if any of this does not hold.
    """

    metric: str
    attribute: str | tuple[str, ...]
    aggregate: Aggregate
    bound: str
    direction: Literal["max", "min"]
    min_n: int
    small_groups: Literal["insufficient", "exclude"] = "insufficient"

    def __post_init__(self) -> None:
        """Refuse what cannot be judged."""
        expect(self.metric in METRICS, f"No metric is named {self.metric!r}", f"Use one of: {', '.join(METRICS)}.")
        ways = {"difference": "max", "ratio": "min", "by_group": "max min"}.get(self.aggregate, "").split()
        mend = "Use a difference with max, a ratio with min, or by_group with either."
        expect(self.direction in ways, f"No {self.aggregate!r} has a {self.direction!r}", mend)
        expect(self.aggregate != "ratio" or self.metric in PROPORTIONS, f"{self.metric} has no ratio", "Use another.")
        whole, dot, places = self.bound.removeprefix("-").partition(".")
        shaped = self.bound.isascii() and whole.isdigit() and (not dot or places.isdigit()) and len(places) <= 6
        expect(shaped, f"{self.bound!r} is no bound", "Write it like '0.100000', with at most six places.")
        expect(bool(self.attributes) and all(self.attributes), "No attribute is named", "Name one, or a tuple.")
        expect(not isinstance(self.min_n, bool) and self.min_n >= 1, f"min_n is {self.min_n!r}", "Pass 1 or more.")
        known = self.small_groups in ("insufficient", "exclude")
        expect(known, f"small_groups is {self.small_groups!r}", "Use 'insufficient' or 'exclude'.")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attribute as a tuple."""
        return (self.attribute,) if isinstance(self.attribute, str) else self.attribute

    def breached_by(self, value: float) -> bool:
        """The value, rounded half to even at six places, lies beyond the bound; equal to it does not."""
        rounded, bound = Decimal(dec6(value)), Decimal(self.bound)
        return rounded > bound if self.direction == "max" else rounded < bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a threshold says of one group (``labels``), or of the extreme two groups (``disparity``).

    The point estimate decides ``status``. ``excludes_bound``: its 95 % interval lies on one side of the bound.
    ``p_value``: the smallest alpha at which it still does; ``p_adjusted``: corrected over all verdicts. No data: 1.0.
    """

    threshold: Threshold
    labels: Labels
    status: Status
    why: str
    estimate: Estimate
    excludes_bound: bool
    p_value: float
    p_adjusted: float = 1.0
    disparity: Disparity | None = None

    def to_row(self) -> dict[str, Any]:
        """The verdict with its threshold, JSON-ready."""
        t, kept = self.threshold, ("metric", "aggregate", "bound", "direction", "min_n", "small_groups")
        row: dict[str, Any] = {
            "kind": "verdict",
            "attributes": [*t.attributes],
            "labels": [*self.labels],
            "verdict": self.status,
        }
        row |= {"why": self.why, "excludes_bound": self.excludes_bound} | {name: getattr(t, name) for name in kept}
        row |= {"p_value": text(self.p_value), "p_adjusted": text(self.p_adjusted)} | self.estimate.to_row()
        return row | (_extremes(self.disparity) if self.disparity else {})


def assess(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    score: ArrayLike | None,
    groups: Mapping[str, ArrayLike],
    *,
    intersections: Sequence[tuple[str, ...]] = (),
    min_n: int = 30,
) -> Assessment:
    """Count the outcomes of ``n`` rows by each attribute of ``groups`` and each intersection of some of them.

    ``y_true``, ``y_pred``: 0/1 or bool, shape (n,). ``score``: probability of class 1 in [0, 1], shape (n,), or None,
    which leaves the calibration metrics None. ``groups``: attribute -> labels, bool, int or str, shape (n,); they come
    out as text. Groups and cells that no row is in do not appear. ``min_n``: rows a denominator needs.
    Raises ``Invalid`` for other values, NaN, missing labels, other shapes, more than 4096 cells, odd intersections.
    """
    truth = unit("y_true", y_true, "biu", "Code outcomes as integers 0 and 1.").astype("int8")
    guess = unit("y_pred", y_pred, "biu", "Code outcomes as integers 0 and 1.").astype("int8")
    points = None if score is None else unit("score", score, "iuf", "Pass the probability of class 1, without NaN.")
    coded = {name: codes(name, labels) for name, labels in groups.items()}
    sizes = {len(truth), len(guess), *([] if points is None else [len(points)]), *(len(c) for c, _ in coded.values())}
    expect(len(sizes) == 1, f"The arrays have {sorted(sizes)} rows", "Pass one value per row in each array.")
    expect(not isinstance(min_n, bool) and min_n >= 1, f"min_n is {min_n!r}", "Pass 1 or more rows.")
    sets = [(name,) for name in groups] + [tuple(names) for names in intersections]
    for names in sets:
        sound = len(set(names)) == len(names) > 0 and sets.count(names) == 1 and all(name in coded for name in names)
        expect(sound, f"{names!r} is no intersection", "Name attributes of `groups`, each once, each set once.")
    outcome = truth * 2 + guess
    if points is not None:
        outcome = outcome * BINS + (points * BINS).astype("int8").clip(max=BINS - 1)
    count = partial(tally, outcome, points)
    cells = [cell for names in sets for cell in count([coded[name] for name in names], names) if cell.n]
    return Assessment(count([], ())[0], tuple(cells), tuple(sets), min_n)


def judge(assessment: Assessment, thresholds: Sequence[Threshold]) -> list[Verdict]:
    """One verdict per threshold, or per group for ``by_group``, in the order of the thresholds.

    Point estimate beyond the bound: breached. Too few rows, no score, an undefined value: insufficient_data, never met;
    but a disparity among the groups that are left does breach, as more groups can only widen it. The p-values of all
    verdicts are adjusted together by Holm, which bounds the chance of one false claim (Scand. J. Statistics 6 (1979)
    65). No thresholds: an empty list, which is not a pass.
    Raises ``Invalid`` for an attribute that was not assessed, and for a repeated threshold.
    """
    expect(len(set(thresholds)) == len(thresholds), "A threshold is repeated", "Name each threshold once.")
    raw: list[Verdict] = []
    for t in thresholds:
        raw += (_judge_groups if t.aggregate == "by_group" else _judge_disparity)(assessment, t)
    return [replace(v, p_adjusted=p) for v, p in zip(raw, _holm([v.p_value for v in raw]), strict=True)]


def _compare(high: Estimate, low: Estimate, aggregate: Aggregate) -> Estimate:
    h, h_low, h_high = high.value or 0.0, high.low or 0.0, high.high or 0.0
    s, s_low, s_high = low.value or 0.0, low.low or 0.0, low.high or 0.0
    n, a = min(high.n, low.n), h * s
    if aggregate == "difference":
        return Estimate(h - s, h - s - math.hypot(h - h_low, s_high - s), h - s + math.hypot(h_high - h, s - s_low), n)
    if h == 0:
        return Estimate(n=n)
    # MOVER-R; the lower limit is multiplied out so that it also holds where 2h = h_high.
    root = math.sqrt(max(0.0, a * a - s_low * h_high * (2 * s - s_low) * (2 * h - h_high)))
    least = max(0.0, s_low * (2 * s - s_low) / (a + root)) if a else 0.0
    root = math.sqrt(max(0.0, a * a - s_high * h_low * (2 * s - s_high) * (2 * h - h_low)))
    return Estimate(s / h, least, (a + root) / (h_low * (2 * h - h_low)), n)


def _judge_groups(assessment: Assessment, t: Threshold) -> list[Verdict]:
    verdicts = []
    for g in assessment.of(t.attributes):
        e = g.estimate(t.metric)
        short = f"{e.n} rows in the denominator, {t.min_n} needed" if e.n < t.min_n else ""
        verdicts.append(_decide(t, g.labels, e, partial(g.estimate, t.metric), short))
    return verdicts or [_decide(t, (), Estimate(), lambda _: Estimate(), "no group has rows")]


def _judge_disparity(assessment: Assessment, t: Threshold) -> list[Verdict]:
    at = partial(assessment.disparity, t.attributes, t.metric, t.aggregate, t.min_n)
    d, short = at(), ""
    if d.groups < 2:
        short = f"{d.groups} groups with {t.min_n} rows in the denominator, 2 needed"
    elif d.estimate.value is None:
        short = "the largest rate is 0, so there is no ratio"
    elif d.excluded and t.small_groups == "insufficient" and not t.breached_by(d.estimate.value):
        short = f"{len(d.excluded)} groups have under {t.min_n} rows in the denominator"
    return [replace(_decide(t, (), d.estimate, lambda alpha: at(alpha=alpha).estimate, short), disparity=d)]


def _decide(t: Threshold, labels: Labels, e: Estimate, at: Callable[[float], Estimate], short: str) -> Verdict:
    if short or e.value is None:
        return Verdict(
            t,
            labels,
            "insufficient_data",
            f"insufficient data: {short or 'no value'}",
            e,
            excludes_bound=False,
            p_value=1.0,
        )
    bound, status = float(t.bound), _STATUS[t.breached_by(e.value)]
    excludes = _excludes(e, bound)
    why = f"{status}, interval {'excludes' if excludes else 'includes'} bound"
    return Verdict(t, labels, status, why, e, excludes, _p_value(at, bound))


def _excludes(e: Estimate, bound: float) -> bool:
    return e.low is not None and e.high is not None and (e.low > bound or e.high < bound)


def _p_value(at: Callable[[float], Estimate], bound: float) -> float:
    """The smallest alpha in [1e-12, 1] at which the interval excludes the bound: bisection of its logarithm."""
    inside, outside = math.log(1e-12), 0.0
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if _excludes(at(math.exp(middle)), bound) else (middle, outside)
    return math.exp(outside)


def _holm(p_values: list[float]) -> list[float]:
    m, adjusted, running = len(p_values), dict[int, float](), 0.0
    for rank, i in enumerate(sorted(range(m), key=p_values.__getitem__)):
        running = adjusted[i] = max(running, min(1.0, p_values[i] * (m - rank)))
    return [adjusted[i] for i in range(m)]


def _extremes(d: Disparity) -> dict[str, Any]:
    excluded = [[*labels] for labels in d.excluded]
    return {"highest": [*d.highest], "lowest": [*d.lowest], "groups": d.groups, "excluded": excluded}
