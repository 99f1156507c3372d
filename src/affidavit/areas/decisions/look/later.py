"""What came after a decision: outcomes, explanations, actions of people, erasure. Sealed rows only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.look.finding import Pending, pending
from affidavit.areas.decisions.look.prove import erasing_entry
from affidavit.areas.decisions.sealed_rows import Placed, Row, reading
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid
from affidavit.core.fields import time_text
from affidavit.streams.ids import id_bytes
from affidavit.streams.plain import plain_row, plain_value
from affidavit.streams.schema import Column

KINDS = ("outcomes", "explanations", "actions")
MOST_SEGMENTS = 64
"""Segments of late facts that one trace looks through, per kind; beyond it the answer says how many were left."""
SLACK = timedelta(days=1)
"""How far a late fact's clock may lie behind the decision's."""


def about(desk: Desk, row: Row, decision: str) -> dict[str, Any]:
    """Late facts by kind, and the erasing entry; each kind says how many segments were looked through."""
    at = row.values.get("at")
    start = datetime.fromtimestamp(at / 1000, UTC) - SLACK if at is not None else row.placed.header.t_min - SLACK
    gone = pending(desk)
    found: dict[str, Any] = {kind: _kind(desk, kind, start, decision, gone) for kind in KINDS}
    return {**found, "erasure": _erasure(desk, row)}


def _kind(desk: Desk, kind: str, start: datetime, decision: str, gone: Pending) -> dict[str, Any]:
    segments = list(sealed_rows.segments_between(desk, kind, start))
    rows = []
    for where in segments[:MOST_SEGMENTS]:
        hidden = gone.get((where.header.stream, where.header.first_seq), set())
        rows += [_shown(late) for late in late_rows(desk, where, decision) if late.index not in hidden]
    left = max(0, len(segments) - MOST_SEGMENTS)
    told = (
        f"{len(segments)} sealed segments"
        if not left
        else f"{MOST_SEGMENTS} of {len(segments)} sealed segments: {left} were not searched"
    )
    return {"rows": rows or "none sealed", "searched": f"{told}; what is not sealed yet is not seen"}


def late_rows(desk: Desk, where: Placed, decision: str) -> Iterator[Row]:
    """The rows of a late segment about one decision, verified up to its header."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.scalar(id_bytes(decision), pa.binary(16))
    with reading(where):
        segment = sealed_rows.opened(desk, where)
        column = segment.table(["decision"]).column(0)
        hits = pc.indices_nonzero(pc.fill_null(pc.equal(column, wanted), False)).to_pylist()
        found = [sealed_rows.row_at(where, segment, index) for index in hits]
    yield from found


def _shown(row: Row) -> dict[str, Any]:
    plain = plain_row(row.schema, row.values)
    plain.pop("decision", None)
    if row.schema.kind == "explanations":
        plain["attributions"] = attributions(row.values.get("features"), row.values.get("attributions"))
        plain.pop("features", None)
    return {**plain, "segment": row.placed.header.id, "row": row.index, "entry": row.placed.record.index}


def attributions(features: str | None, body: bytes | None) -> Any:
    """The attribution of each feature by name; what is off form is said."""
    try:
        names = canonical.parse((features or "").encode())
    except Invalid:
        names = None
    if body is None or not isinstance(names, list) or len(body) != 8 * len(names):
        return "unknown: features and attributions do not fit each other"
    number = Column("attribution", "f64")
    values = struct.unpack(f"<{len(names)}d", body)
    return {str(n): plain_value(number, v) for n, v in zip(names, values, strict=True)}


def _erasure(desk: Desk, row: Row) -> Any:
    if row.row is not None:
        return "none"
    entry = erasing_entry(desk, row)
    record = desk.record(entry)
    return {"entry": entry, "at": time_text(record.head.at), "by": record.head.actor, "order": record.fact.order}
