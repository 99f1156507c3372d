"""Which decisions are held for a person: a routing rule evaluated on one decision, or on a table of them.

A rule is met when any of its conditions is. A value that the condition cannot judge (missing, null, NaN, of another
type) meets it: in doubt a person decides. Numbers are compared as binary64. The two forms agree on every row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from affidavit.core.errors import Invalid
from affidavit.streams.passport import Condition, Routing

_COLUMN = re.compile(r"out|confidence|adverse|(?:out|in)\.[!-~]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_TRUTH = {"true": True, "false": False}


def check_condition(condition: Condition) -> None:
    """Raise ``Invalid`` unless the condition names a column of a decision and a value that it can compare with."""
    named = f"{condition.column} {condition.how} {condition.value}"
    if not _COLUMN.fullmatch(condition.column):
        raise Invalid(
            f"{condition.column!r} is no column of a decision.",
            next_step="name out, out.NAME, in.NAME, confidence or adverse.",
        )
    if condition.how in ("below", "at-least") and _number(condition.value) is None:
        raise Invalid(f"{named}: {condition.value!r} is no number.", next_step="give a decimal number such as 0.6.")
    if condition.how == "is-true" and condition.value != "-":
        raise Invalid(f"{named}: is-true compares with nothing.", next_step="leave the value out.")


@cache
def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def meets(routing: Routing, values: Mapping[str, Any]) -> bool:
    """Whether a decision is to be held for a person. ``values`` are those of its row by column name.

    An absent column is a null; a rule without conditions is met by nothing.
    """
    return any(_met(c, values.get(c.column)) for c in routing.conditions)


def _met(condition: Condition, value: Any) -> bool:
    kind = type(value)
    if kind is bool:
        if condition.how == "is-true":
            return bool(value)
        truth = _TRUTH.get(condition.value)
        return value is truth if condition.how == "equals" and truth is not None else True
    if kind is str:
        return bool(value == condition.value) if condition.how == "equals" else True
    if kind is int or kind is float:
        return _number_met(condition, float(value))
    item = getattr(value, "item", None)  # a numpy scalar
    return _met(condition, item()) if item is not None else True


def _number_met(condition: Condition, value: float) -> bool:
    bound = _number(condition.value)
    if math.isnan(value) or condition.how == "is-true" or bound is None:
        return True
    if condition.how == "below":
        return value < bound
    return value >= bound if condition.how == "at-least" else value == bound


def meets_table(routing: Routing, table: Any) -> Any:
    """``meets`` for each row of an Arrow table with a decision's columns: a boolean array without nulls. Needs pyarrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([False] * table.num_rows, pa.bool_())
    for condition in routing.conditions:
        if condition.column not in table.schema.names:
            return pa.array([True] * table.num_rows, pa.bool_())
        column = table.column(condition.column).combine_chunks()
        found = pc.or_(found, _column_met(condition, column))
    return found


def _column_met(condition: Condition, column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    doubt = pa.array([True] * len(column), pa.bool_())
    if pa.types.is_boolean(column.type):
        truth = _TRUTH.get(condition.value)
        if condition.how == "is-true":
            met = column
        elif condition.how == "equals" and truth is not None:
            met = pc.equal(column, truth)
        else:
            return doubt
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if condition.how != "equals":
            return doubt
        met = pc.equal(column, condition.value)
    else:
        bound = _number(condition.value)
        if condition.how == "is-true" or bound is None or not _numeric(column.type):
            return doubt
        plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        number = plain.cast(pa.float64(), safe=False)
        compare = {"below": pc.less, "at-least": pc.greater_equal, "equals": pc.equal}[condition.how]
        met = pc.or_kleene(compare(number, bound), pc.is_nan(number))
    return pc.fill_null(met, True)


def _numeric(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind))
