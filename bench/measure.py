"""How a row is measured: contestants take turns, medians of rounds, ratios round by round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

NO_GOAL = "none"
Contestant = Callable[[], float]
"""One round of work; returns the seconds per unit that it took, set-up left out."""


@dataclass
class Row:
    """One comparison. ``ratio`` is ours against the yardstick of the goal; ``note`` says what is not the same work."""

    name: str
    unit: str
    goal: str
    note: str
    ours: float | None = None
    peer: float | None = None
    peer_name: str | None = None
    floor: float | None = None
    floor_name: str | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    rounds: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the ratio keeps the goal; a row without a goal asks for nothing, one without a ratio misses."""
        if self.goal == NO_GOAL:
            return True
        if self.ratio is None:
            return False
        sign, bound = self.goal.split()
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)

    def record(self) -> dict[str, Any]:
        """The row as it stands in ``results.json``."""
        return {
            "name": self.name,
            "ours": _rounded(self.ours),
            "peer": _rounded(self.peer),
            "peer_name": self.peer_name,
            "floor": _rounded(self.floor),
            "floor_name": self.floor_name,
            "unit": self.unit,
            "ratio": _rounded(self.ratio),
            "goal": self.goal,
            "met": self.met,
            "versions": dict(self.versions),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


SCALE = {"s": 1.0, "ms": 1e3, "us": 1e6}


def fill(row: Row, times: Mapping[str, list[float]], *, over: str) -> Row:
    """Fill a row from the rounds of ``ours``, ``floor`` and ``peer``; ``over`` is the ratio, such as ``ours/floor``."""
    scale = SCALE[row.unit.split()[0]]
    for name in ("ours", "floor", "peer"):
        if times.get(name):
            setattr(row, name, statistics.median(times[name]) * scale)
    above, below = over.split("/")
    ratios = [a / b for a, b in zip(times.get(above, ()), times.get(below, ()), strict=False)]
    if ratios:
        row.ratio, row.spread, row.rounds = statistics.median(ratios), (min(ratios), max(ratios)), len(ratios)
    return row


def take_turns(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """A B C A B C …: each contestant once per round, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            seconds = run()
            if number:
                times[name].append(seconds)
    return times


def timed(work: Callable[[], object], count: int = 1) -> float:
    """Seconds per unit of ``work``, which does ``count`` of them."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count
