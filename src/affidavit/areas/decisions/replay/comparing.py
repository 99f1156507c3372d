"""One decision's recorded output against what its version gives now. Pure.

Outputs are known by name: ``out`` of type f64, ``out.score`` and ``out.probability`` are the score; ``out.0``, ``out.1``, …
the outputs of a model of several, or their classes (of a binary one: 1 - score and score); ``out`` of another type, ``out.label`` and
``out.class`` the label. What the model does not give is named as not compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SCORES = frozenset({"out.score", "out.probability"})
LABELS = frozenset({"out.label", "out.class"})


@dataclass(frozen=True, slots=True)
class Given:
    """What the version gives for a row: numbers by name (``score``, or ``0``, ``1``, …), and its own label if it has one."""

    numbers: Mapping[str, float]
    label: Any = None


@dataclass(frozen=True, slots=True)
class Compared:
    """``output`` is the first that differs (None: none), ``difference`` the largest of a number (None: no number compared)."""

    outcome: Literal["equal", "differs", "failed"]
    output: str | None
    difference: float | None
    left_out: tuple[str, ...]


def compare(recorded: Mapping[str, Any], given: Given, tolerance: float, cutoff: float | None) -> Compared:
    """Numbers within ``tolerance``, labels exactly; a score within it of ``cutoff`` may have either label.

    ``failed`` if not a single recorded output can be compared.
    """
    differing, left_out, worst, compared = None, list[str](), None, 0
    for name, value in recorded.items():
        if value is None:
            continue
        now = _number(name, value, given)
        if now is not None:
            difference = _difference(float(value), now)
            worst = difference if worst is None else max(worst, difference)
            equal: bool | None = difference <= tolerance
        else:
            equal = _same_label(name, value, given, tolerance, cutoff)
        if equal is None:
            left_out.append(name)
            continue
        compared += 1
        differing = differing or (None if equal else name)
    outcome: Literal["equal", "differs", "failed"] = "differs" if differing else "equal" if compared else "failed"
    return Compared(outcome, differing, worst, tuple(left_out))


def _number(name: str, value: Any, given: Given) -> float | None:
    """The number that an output is now; None if it is a label, or the model gives no such number."""
    if type(value) is not float:
        return None
    numbers = given.numbers
    if name == "out" or name in SCORES:
        return numbers.get("score")
    short = name.removeprefix("out.")
    if short not in numbers and "score" in numbers and short in ("0", "1"):
        return numbers["score"] if short == "1" else 1 - numbers["score"]
    return numbers.get(short)


def _difference(recorded: float, now: float) -> float:
    """0 for the same value, NaN and infinities included; infinite where only one of them is a number."""
    if recorded == now or (math.isnan(recorded) and math.isnan(now)):
        return 0.0
    difference = abs(recorded - now)
    return math.inf if math.isnan(difference) else difference


def _same_label(name: str, value: Any, given: Given, tolerance: float, cutoff: float | None) -> bool | None:
    """Whether a label is the same; None if the name is none of a label's, or nothing gives a label."""
    if name not in LABELS and (name != "out" or type(value) is float):
        return None
    if given.label is not None:
        return str(given.label) == str(value) or (_numeric(value) and _numeric(given.label) and value == given.label)
    if not _numeric(value):
        return None
    score = given.numbers.get("score")
    if score is not None:
        if cutoff is None:
            return None
        return abs(score - cutoff) <= tolerance or int(score >= cutoff) == value
    chosen = given.numbers.get(str(int(value)))
    return chosen == max(given.numbers.values()) if given.numbers else None


def _numeric(value: Any) -> bool:
    return isinstance(value, (bool, int, float))
