"""Reading the tables of completeness and runtime truth."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from affidavit.areas.decisions.runtime import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.fields import time_text

ANSWERS = ("extracts", "endpoints_of", "presented", "reconciled", "open_differences", "spans_of", "gaps_of")
"""What others may ask by ``decisions.NAME``."""
_DIFFERENCE = (
    "id", "endpoint", "env", "what", "found", "expected", "first_seen", "due", "model", "stream", "source", "at", "entry",
    "settled", "how",
)  # fmt: skip


def _dicts(names: tuple[str, ...], rows: Any) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def extracts(v: ViewTx, kind: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Extracts of a kind (``counts``, ``serving``) whose window meets ``start <= t < end``, oldest entry first."""
    sql = "SELECT entry, source, start, until, row_count, raw FROM {extract} WHERE kind = ? AND start < ? AND until > ?"
    names = ("entry", "source", "start", "until", "rows", "raw")
    return _dicts(names, v.rows(f"{sql} ORDER BY entry", kind, time_text(end), time_text(start)))


def endpoints_of(v: ViewTx, entry: int, rows: int) -> list[dict[str, Any]]:
    """The rows of an inventory: they stand directly before its entry."""
    names = ("entry", "source", "endpoint", "artifact", "env", "first_seen", "last_seen", "model")
    sql = f"SELECT {', '.join(names)} FROM {{endpoint}} WHERE entry >= ? AND entry < ? ORDER BY entry"
    return _dicts(names, v.rows(sql, entry - rows, entry))


def presented(v: ViewTx) -> list[dict[str, Any]]:
    """Presentations of receipts, oldest first: entry, source, digest of the details."""
    return _dicts(
        ("entry", "source", "details"), v.rows("SELECT entry, source, details FROM {presented} ORDER BY entry")
    )


def reconciled(v: ViewTx, deployment: str, day: datetime) -> int | None:
    """The entry that reconciled a day of a deployment first; None if none did."""
    row = v.one("SELECT MIN(entry) FROM {reconciled} WHERE deployment = ? AND day = ?", deployment, time_text(day))
    return row[0] if row else None


def open_differences(v: ViewTx) -> list[dict[str, Any]]:
    """Differences that are not settled, oldest first."""
    sql = f"SELECT {', '.join(_DIFFERENCE)} FROM {{difference}} WHERE settled IS NULL ORDER BY entry"
    return _dicts(_DIFFERENCE, v.rows(sql))


def spans_of(v: ViewTx, stream_id: str) -> list[dict[str, Any]]:
    """The segments of a stream in row order."""
    names = ("stream", "first_seq", "last_seq", "entry", "position", "file")
    return _dicts(
        names, v.rows(f"SELECT {', '.join(names)} FROM {{span}} WHERE stream = ? ORDER BY first_seq", stream_id)
    )


def gaps_of(v: ViewTx, stream_id: str) -> list[dict[str, Any]]:
    """The gaps that a stream's process counted, oldest first."""
    names = ("start", "until", "missed", "why")
    return _dicts(names, v.rows(f"SELECT {', '.join(names)} FROM {{gap}} WHERE stream = ? ORDER BY entry", stream_id))


def differences(query: c.ListDifferences, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a difference, oldest first; ``overdue`` ones are open beyond their deadline."""
    sql = f"SELECT {', '.join(_DIFFERENCE)} FROM {{difference}} WHERE (? OR settled IS NULL) AND env = IFNULL(?, env) ORDER BY entry"
    now = time_text(ctx.now)
    found = _dicts(_DIFFERENCE, v.rows(sql, int(query.settled), query.env))
    return [{**row, "overdue": row["settled"] is None and row["due"] < now} for row in found]
