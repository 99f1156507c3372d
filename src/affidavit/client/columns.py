"""The columns of a model's decisions: their types from words, Python types or first values, and how a value becomes one.

Values of numpy are known by their type's name: nothing of numpy is imported.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from affidavit.core.errors import Invalid
from affidavit.streams.schema import Column, ColumnType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_WORDS: dict[Any, ColumnType] = {
    bool: "bool", int: "i64", float: "f64", datetime: "time", str: "str", bytes: "bytes",
    "bool": "bool", "i64": "i64", "f64": "f64", "time": "time", "str": "str", "bytes": "bytes",
}  # fmt: skip
NATIVE: dict[ColumnType, type] = {"bool": bool, "i64": int, "f64": float, "time": int, "str": str, "bytes": bytes}
WANTED: dict[str, str] = {
    "bool": "true or false", "i64": "a whole number below 2**63", "f64": "a number that binary64 holds exactly",
    "time": "a time with its zone, or milliseconds since 1970", "str": "text that UTF-8 can hold", "bytes": "bytes",
}  # fmt: skip
Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _nothing(_: Any) -> None:
    return None


KEEP: Final[Convert] = _same
NULL: Final[Convert] = _nothing


def wrong(column: Column, value: Any) -> Invalid:
    """The error for a value that its column cannot hold."""
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:40] + "…"
    wanted = WANTED[column.type]
    return Invalid(f"column {column.name!r}: {shown} ({type(value).__name__}) is not {wanted}.",
                   next_step=f"give {wanted}, or None for a missing value.")  # fmt: skip


def input_name(name: str) -> str:
    """The column of an input."""
    return f"in.{name}"


def output_name(name: str) -> str:
    """The column of an output: ``out`` is the main one, others are ``out.NAME``."""
    return "out" if name == "out" else f"out.{name}"


def stated(types: Mapping[str, Any], named: Callable[[str], str]) -> tuple[Column, ...]:
    """Columns of names and types (a word of ``docs/spec/segments.md``, or a Python type). Raises ``Invalid``."""
    return tuple(Column(named(_text(n)), _word(n, t)) for n, t in types.items())


def inferred(values: Mapping[str, Any], named: Callable[[str], str]) -> tuple[Column, ...]:
    """Columns of the names and values of a first record. Raises ``Invalid`` for a value that shows no type."""
    return tuple(Column(named(_text(n)), _type_of(n, v)) for n, v in values.items())


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise Invalid(f"the column {name!r} has no name.", next_step="name inputs and outputs by text.")
    return name


def _word(name: str, word: Any) -> ColumnType:
    found = _WORDS.get(word)
    if found is None:
        raise Invalid(f"column {name!r}: no type {word!r}.", next_step="types: bool, i64, f64, time, str, bytes.")
    return found


def _type_of(name: str, value: Any) -> ColumnType:
    kind = type(value)
    if kind in NATIVE.values():
        return _WORDS[kind]
    for word in ("bool", "f64", "i64", "time", "str"):
        column = Column(name, word)
        if value is not None and _convert(column, kind) not in (None, _exact_float):
            return column.type
    raise Invalid(f"column {name!r}: {value!r} ({kind.__name__}) shows no type.",
                  next_step="give the recorder schema={name: type}, such as float or str.")  # fmt: skip


def convert(column: Column, kind: type, value: Any) -> Convert:
    """How values of a Python type go into a column: ``KEEP``, ``NULL``, or a function. Raises ``Invalid`` if they do not."""
    found = _convert(column, kind)
    if found is None:
        raise wrong(column, value)
    return found


def _convert(column: Column, kind: type) -> Convert | None:
    type_ = column.type
    if kind is type(None):
        return NULL
    if kind is NATIVE[type_]:
        return KEEP
    numpy = kind.__name__.rstrip("_") if kind.__module__ == "numpy" else ""
    truth = kind is bool or numpy == "bool"
    whole = not truth and (kind is int or issubclass(kind, int) or numpy.startswith(("int", "uint")))
    if type_ == "bool":
        return bool if truth else None
    if type_ == "f64":
        if issubclass(kind, float) or numpy in ("float16", "float32", "float64"):
            return float
        return _exact_float if whole else None
    if type_ == "time" and issubclass(kind, datetime):
        return utc_ms
    if type_ in ("i64", "time"):
        return operator.index if whole else None
    if type_ == "str":
        return _plain_text if issubclass(kind, str) else None
    return bytes if issubclass(kind, (bytes, bytearray, memoryview)) else None


def _plain_text(value: str) -> str:
    return str.__str__(value)


def _exact_float(value: Any) -> float:
    """Raises ``ValueError`` for a whole number that binary64 rounds."""
    number = float(operator.index(value))
    if int(number) != value:
        raise ValueError(value)
    return number


def utc_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a time with its zone, rounded down. Raises ``Invalid`` for one without."""
    if moment.utcoffset() is None:
        raise Invalid(f"{moment} has no time zone.", next_step="give one: datetime.now(UTC).")
    return (moment - _EPOCH) // _MS


def names_of(columns: Iterable[Column]) -> tuple[str, ...]:
    """Column names as a caller knows them: without ``in.`` or ``out.``."""
    return tuple(c.name.partition(".")[2] or c.name for c in columns)
