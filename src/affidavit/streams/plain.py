"""Values of a row as JSON can hold them: what proofs, traces and exports show. Needs the standard library alone."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from affidavit.core.fields import time_text
from affidavit.streams.ids import id_text
from affidavit.streams.schema import Column, Schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain_value(column: Column, value: Any) -> Any:
    """One value: ids, digests and times as text, bytes in base64; NaN and infinities by name; None stays None."""
    if value is None:
        return None
    if column.type == "f64":
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if column.type == "id":
        return id_text(value)
    if column.type == "digest":
        return "sha256:" + value.hex()
    if column.type == "bytes":
        return base64.b64encode(value).decode()
    return time_of(value) if column.type == "time" else value


def time_of(ms: int) -> str:
    """Milliseconds since 1970 as UTC text; a moment beyond the calendar as ``<ms> ms``."""
    try:
        return time_text(_EPOCH + timedelta(milliseconds=ms))
    except OverflowError:
        return f"{ms} ms"


def plain_row(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row by column name."""
    return {c.name: plain_value(c, values[c.name]) for c in schema.columns if c.name in values}


def bare_names(columns: Iterable[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs or outputs of a plain row without the ``in.`` or ``out.`` before their names; ``out`` keeps its own."""
    return {c.name.partition(".")[2] or c.name: row[c.name] for c in columns if c.name in row}


def in_words(value: Any) -> str:
    """A plain value for a terminal: a missing one as ``-``, control characters escaped."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if text.isprintable() else ascii(text)
