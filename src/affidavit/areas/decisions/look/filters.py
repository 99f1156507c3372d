"""Conditions on rows: ``column op value`` in one token, checked against the column's type, evaluated by the column."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from affidavit.core.errors import Invalid
from affidavit.core.fields import read_time
from affidavit.streams.ids import id_bytes
from affidavit.streams.schema import Column, Schema

_FORM = re.compile(r"([^=<>]+)(<=|>=|<>|=|<|>)([^=<>]*)")
_EQUAL = {"=": "equal", "<>": "not_equal"}
_ORDERED = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
_FUNCTION = _EQUAL | _ORDERED
_NEXT = "write column, operator (= <> < <= > >=) and value, such as out>=0.5."


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. An empty ``text`` asks for a missing value (``=``) or one that is there (``<>``)."""

    column: str
    how: str
    text: str


def parsed(text: str) -> Condition:
    """The condition of a token. Raises ``Invalid`` showing the token."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Invalid(f"{text!r} is no condition.", next_step=_NEXT)
    made = Condition(unquote(found[1]), found[2], unquote(found[3]))
    if not made.text and made.how not in _EQUAL:
        raise Invalid(f"{text!r} compares with nothing.", next_step=_NEXT)
    return made


def column_of(schema: Schema, name: str) -> Column | None:
    """The column of a schema by name."""
    return next((c for c in schema.columns if c.name == name), None)


def mask(conditions: Sequence[Condition], schema: Schema, table: Any) -> Any:
    """Which rows of an Arrow table meet every condition, never null. A column the schema lacks is missing in every row.

    Raises ``Invalid`` naming the column whose type takes no such operator or value.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = pa.array([True] * table.num_rows, pa.bool_()) if table.num_rows else pa.array([], pa.bool_())
    for condition in conditions:
        column = column_of(schema, condition.column)
        if column is None:
            met = pa.scalar(condition.how == "=" and not condition.text)
        elif not condition.text:
            valid = pc.is_valid(table.column(column.name))
            met = pc.invert(valid) if condition.how == "=" else valid
        else:
            compare = getattr(pc, _FUNCTION[condition.how])
            met = pc.fill_null(compare(table.column(column.name), scalar(column, condition)), False)
        kept = pc.and_(kept, met)
    return kept


def scalar(column: Column, condition: Condition) -> Any:
    """The value a column is compared with. Raises ``Invalid`` naming column, operator or value."""
    import pyarrow as pa

    from affidavit.streams.columnar import arrow_type

    if condition.how in _ORDERED and column.type not in ("i64", "f64", "time", "str"):
        raise Invalid(
            f"column {column.name!r} ({column.type}) has no order: {condition.how} does not fit.",
            next_step="compare it by = or <>.",
        )
    try:
        value = _READ[column.type](condition.text)
        return pa.scalar(value, arrow_type(column))
    except (ValueError, OverflowError, pa.ArrowException, Invalid):
        raise Invalid(
            f"column {column.name!r} ({column.type}): {condition.text[:60]!r} is no value of it.",
            next_step=f"give {_WORDS[column.type]}.",
        ) from None


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _digest(text: str) -> bytes:
    body = bytes.fromhex(text.removeprefix("sha256:"))
    if len(body) != 32:
        raise ValueError(text)
    return body


_READ: dict[str, Any] = {
    "bool": _truth, "i64": int, "f64": _finite, "time": read_time, "id": id_bytes, "digest": _digest, "str": str,
    "bytes": bytes.fromhex,
}  # fmt: skip
_WORDS = {
    "bool": "true or false", "i64": "a whole number", "f64": "a finite number", "time": "a UTC time such as 2026-11-24T16:00:00Z",
    "id": "an id", "digest": "a digest", "str": "text", "bytes": "hexadecimal digits",
}  # fmt: skip
