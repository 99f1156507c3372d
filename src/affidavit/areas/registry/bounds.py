"""Bounds as rules and checks read them: exact decimals, both ends included. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation


def meets(value: str, direction: str, bound: str) -> bool:
    """Whether a decimal string keeps a bound; equality keeps it."""
    return Decimal(value) >= Decimal(bound) if direction == "at-least" else Decimal(value) <= Decimal(bound)


def outside(value: str | None, bound: Mapping[str, str | None]) -> str | None:
    """How a hyperparameter leaves its range (``least``, ``most`` or ``equals``); None if it does not."""
    if value is None:
        return "is not stated"
    if bound.get("equals") is not None:
        return None if value == bound["equals"] else f"is {value}, must be {bound['equals']}"
    try:
        number = Decimal(value)
    except InvalidOperation:
        return f"is {value}, which is no number"
    if not number.is_finite():
        return f"is {value}, which is no finite number"
    least, most = bound.get("least"), bound.get("most")
    if least is not None and number < Decimal(least):
        return f"is {value}, below {least}"
    if most is not None and number > Decimal(most):
        return f"is {value}, above {most}"
    return None


def ranges_left(
    given: Mapping[str, str], ranges: Mapping[str, Mapping[str, str | None]], before: Mapping[str, str] | None
) -> list[str]:
    """Every hyperparameter that leaves its range, or without one differs from the last approved version's."""
    problems = []
    for name in sorted({*given, *(before or {}), *ranges}):
        value = given.get(name)
        if name in ranges:
            problem = outside(value, ranges[name])
        elif before is None:
            problem = "has no range, and no approved version serves as measure"
        elif value == before.get(name):
            problem = None
        else:
            problem = f"is {value}, the last approved version has {before.get(name)}"
        if problem:
            problems.append(f"{name} {problem}")
    return problems
