"""Reading the tables of streams and seals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from affidavit.areas.decisions.record import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.fields import time_text

ANSWERS = ("stream", "streams_of", "spans_with", "spans_between", "span", "last_id", "last_spans")
"""What others may ask by ``decisions.NAME``."""
_STREAM = (
    "stream", "kind", "deployment", "model", "number", "env", "artifact", "configuration", "host", "pid", "receipt_key",
    "opened", "schema", "next_seq", "state", "served", "missed", "last_seen", "entry",
)  # fmt: skip
_SPAN = ("stream", "first_seq", "last_seq", "kind", "id_min", "id_max", "entry", "position", "file")


def _dict(names: tuple[str, ...], row: Any) -> dict[str, Any]:
    return dict(zip(names, row, strict=True))


def stream(v: ViewTx, stream_id: str) -> dict[str, Any] | None:
    """A stream: its process, what it attested, the next row to be sealed, how it ended; None if unknown."""
    row = v.one(f"SELECT {', '.join(_STREAM)} FROM {{stream}} WHERE stream = ?", stream_id)
    return _dict(_STREAM, row) if row else None


def streams_of(v: ViewTx, deployment: str | None = None) -> list[dict[str, Any]]:
    """Announced streams (of a deployment), in the order they were announced."""
    sql = f"SELECT {', '.join(_STREAM)} FROM {{stream}} WHERE entry IS NOT NULL AND deployment IS IFNULL(?, deployment) ORDER BY entry"
    return [_dict(_STREAM, row) for row in v.rows(sql, deployment)]


def spans_with(v: ViewTx, decision: str) -> list[dict[str, Any]]:
    """Spans whose ids may include a decision's, oldest first."""
    sql = f"SELECT {', '.join(_SPAN)} FROM {{span}} WHERE id_min <= ? AND id_max >= ? ORDER BY entry, position"
    return [_dict(_SPAN, row) for row in v.rows(sql, decision, decision)]


def spans_between(
    v: ViewTx, kind: str, start: datetime | None = None, end: datetime | None = None, deployment: str | None = None
) -> list[dict[str, Any]]:
    """Spans of a kind whose batch has rows in ``start <= at < end`` (None: open), oldest first; of one deployment's streams."""
    sql = (
        f"SELECT {', '.join('s.' + n for n in _SPAN)} FROM {{span}} s JOIN {{batch}} b ON b.entry = s.entry"
        " LEFT JOIN {stream} w ON w.stream = s.stream"
        " WHERE s.kind = ? AND b.t_max >= IFNULL(?, b.t_max) AND b.t_min < IFNULL(?, '9')"
        " AND (? IS NULL OR w.deployment = ? OR w.deployment IS NULL) ORDER BY s.entry, s.position"
    )
    rows = v.rows(
        sql, kind, time_text(start) if start else None, time_text(end) if end else None, deployment, deployment
    )
    return [_dict(_SPAN, row) for row in rows]


def span(v: ViewTx, stream_id: str, first_seq: int) -> dict[str, Any] | None:
    """The span of a segment, None if it was never sealed."""
    row = v.one(f"SELECT {', '.join(_SPAN)} FROM {{span}} WHERE stream = ? AND first_seq = ?", stream_id, first_seq)
    return _dict(_SPAN, row) if row else None


def last_id(v: ViewTx, stream_id: str) -> str | None:
    """The highest decision id of a stream that is sealed; None if none is."""
    row = v.one("SELECT MAX(id_max) FROM {span} WHERE stream = ?", stream_id)
    return row[0] if row else None


def last_spans(v: ViewTx, stream_id: str, count: int) -> list[dict[str, Any]]:
    """The newest spans of a stream, newest first."""
    sql = f"SELECT {', '.join(_SPAN)} FROM {{span}} WHERE stream = ? ORDER BY first_seq DESC LIMIT ?"
    return [_dict(_SPAN, row) for row in v.rows(sql, stream_id, count)]


def streams(query: c.ListStreams, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a stream, oldest first."""
    return [
        {
            k: s[k]
            for k in (
                "stream",
                "kind",
                "model",
                "number",
                "env",
                "pid",
                "opened",
                "next_seq",
                "state",
                "served",
                "missed",
            )
        }
        for s in streams_of(v)
        if (query.model is None or s["model"] == query.model) and (query.state is None or s["state"] == query.state)
    ]
