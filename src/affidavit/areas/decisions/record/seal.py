"""Sealing: from write-ahead files to segments, their trees, one command."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions.record import commands as c
from affidavit.core.area import Desk
from affidavit.core.fields import Attachment
from affidavit.streams import wal
from affidavit.streams.columnar import hash_leaves, leaf_entries, table_of_rows
from affidavit.streams.ids import Minter, id_text
from affidavit.streams.schema import Schema
from affidavit.streams.sealed import SegmentSealed, batch_root, encode_headers, span_of
from affidavit.streams.segment import write_segment


def seal(request: c.Seal, desk: Desk) -> tuple[c.RecordBatch | None, Any]:
    """First form: every whole row of every stream, one segment a stream."""
    headers: list[SegmentSealed] = []
    opened: list[e.StreamOpened] = []
    closed: list[e.StreamClosed] = []
    lost: list[e.StreamLost] = []
    for folder in sorted(p for p in desk.spool.iterdir() if wal.files_of(p)) if desk.spool.is_dir() else []:
        _stream(folder, desk, headers, opened, closed, lost)
    if not (headers or opened or closed or lost):
        return None, {"segments": 0, "rows": 0}
    attachment: Attachment | None = None
    if headers:
        attachment = desk.attach(encode_headers(headers), "application/json", "segments")
    batch = id_text(Minter().mint(int(desk.now.timestamp() * 1000), desk.key()[:8]))
    rows = sum(h.n for h in headers)
    command = c.RecordBatch(
        batch, request.sealer, rows, min((h.t_min for h in headers), default=None), max((h.t_max for h in headers), default=None),
        batch_root(headers) if headers else None, attachment, tuple(span_of(h) for h in headers), tuple(h.kind for h in headers),
        tuple(opened), tuple(closed), tuple(lost), (),
    )  # fmt: skip
    return command, {"segments": len(headers), "rows": rows}


def _stream(
    folder: Path, desk: Desk, headers: list[Any], opened: list[Any], closed: list[Any], lost: list[Any]
) -> None:
    known = desk.ask("decisions.stream", folder.name)
    next_seq = known["next_seq"] if known else 0
    if known and known["state"] in ("closed", "lost"):
        shutil.rmtree(folder)
        return
    rows, salts, first, end = [], [], None, None
    for file in wal.files_of(folder):
        state = wal.Reading()
        for _, kind, body in wal.read_frames(file, state):
            if kind == wal.OPEN and first is None:
                first = wal.parse_opened(body)
            elif kind == wal.ROW:
                seq, salt, row = wal.split_row(body)
                if seq >= next_seq:
                    rows.append(row)
                    salts.append(salt)
            elif kind == wal.CLOSE:
                end = body
    if first is None:
        return
    o = first.opening
    if known is None and o.deployment:
        opened.append(_opening(first, desk))
    total = next_seq + len(rows)
    if rows:
        headers.append(_segment(folder, first.schema, next_seq, salts, rows, desk, o, total))
    if o.deployment and end is not None:
        from affidavit.core import canonical

        value = canonical.decode(end)
        closed.append(e.StreamClosed(o.stream, _ms(value["at"]), value["rows"], value["served"], value["missed"]))
    elif o.deployment and not wal.alive(wal.files_of(folder)[-1]):
        lost.append(e.StreamLost(o.stream, desk.now, total, total, 0, 0, 0))


def _ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _opening(first: wal.Opened, desk: Desk) -> e.StreamOpened:
    from affidavit.core import canonical

    o = first.opening
    return e.StreamOpened(
        o.stream, o.kind, _ms(o.opened_ms), f"sha256:{o.boot}", o.pid, o.recorder, first.schema.digest_text,  # type: ignore[arg-type]
        desk.attach(first.schema.encode(), "application/json", "schema"), o.deployment, o.model, o.number, o.env,
        o.artifact, o.configuration, desk.attach(canonical.encode(first.attested), "application/json", "configuration"), o.key,
    )  # fmt: skip


def _segment(folder: Path, schema: Schema, first_seq: int, salts: list[bytes], rows: list[bytes], desk: Desk,
             o: wal.Opening, total: int) -> SegmentSealed:  # fmt: skip
    table = table_of_rows(schema, rows)
    salt = b"".join(salts)
    leaves = hash_leaves(*leaf_entries(schema, salt, table))
    file, tree = folder / "segment.parquet", folder / "segment.tree"
    written = write_segment(schema, salt, leaves, table, file, tree)
    desk.keep_segment(file)
    desk.keep_segment(tree)
    file.unlink()
    tree.unlink()
    ids = table.column("id").to_pylist() if schema.kind == "decisions" else []
    times = [t for t in (table.column("at").to_pylist() if "at" in schema.names else []) if t]
    return SegmentSealed(
        o.stream, schema.kind, first_seq, first_seq + len(rows) - 1, len(rows), min(times, default=desk.now), max(times, default=desk.now),
        written.root, schema.digest_text, written.file, written.file_bytes, written.tree, o.recorder, total, total, o.deployment,
        id_text(min(ids)) if ids else None, id_text(max(ids)) if ids else None,
    )  # fmt: skip
