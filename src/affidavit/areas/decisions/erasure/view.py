"""Read tables of erasure: orders, rows destroyed, files replaced, scans, legal holds."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions import events as e
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.core.signals import Breach, Tamper

TABLES = {
    "erasure": "id TEXT PRIMARY KEY, basis TEXT, decisions INTEGER, row_count INTEGER, targets TEXT, orderer TEXT,"
    " at TEXT, entry INTEGER, reason TEXT, erased INTEGER, prover TEXT, proven TEXT, proven_entry INTEGER, found INTEGER",
    "erased": "stream TEXT, first_seq INTEGER, first_row INTEGER, last_row INTEGER, order_id TEXT, entry INTEGER,"
    " PRIMARY KEY (stream, first_seq, first_row)",
    "replaced": "file TEXT PRIMARY KEY, stream TEXT, first_seq INTEGER, order_id TEXT, entry INTEGER",
    "hold": "id TEXT PRIMARY KEY, decision TEXT, deployment TEXT, start TEXT, stop TEXT, placer TEXT, at TEXT,"
    " entry INTEGER, reason TEXT, released TEXT",
}
"""``replaced.file`` is the file that stood before an erasure rewrote its segment: it must not be stored again."""


def _ordered(v: ViewTx, r: Record) -> None:
    f: e.ErasureOrdered = r.fact
    v.run(
        "INSERT INTO {erasure} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL, NULL, NULL, 0)",
        f.order, f.basis, f.decisions, f.rows, f.targets.digest, r.head.actor, time_text(r.head.at), r.index,
        f.reason.vault if f.reason else None,
    )  # fmt: skip


def _erased(v: ViewTx, r: Record) -> None:
    f: e.RowsErased = r.fact
    v.run_many(
        "INSERT INTO {erased} VALUES (?, ?, ?, ?, ?, ?)",
        [(f.stream, f.first_seq, x.first, x.last, f.order, r.index) for x in f.rows],
    )
    rows = sum(x.last - x.first + 1 for x in f.rows)
    v.run("UPDATE {erasure} SET erased = erased + ? WHERE id = ?", rows, f.order)
    v.run("UPDATE {span} SET file = ? WHERE stream = ? AND first_seq = ?", f.file, f.stream, f.first_seq)
    v.run("DELETE FROM {replaced} WHERE file = ?", f.file_before)
    v.run(
        "INSERT INTO {replaced} VALUES (?, ?, ?, ?, ?)", f.file_before, f.stream, f.first_seq, f.order, r.index
    )  # fmt: skip


def _proven(v: ViewTx, r: Record) -> None:
    f: e.ErasureProven = r.fact
    v.run("UPDATE {erasure} SET prover = ?, proven = ?, proven_entry = ?, found = 0 WHERE id = ?",
          r.head.actor, time_text(r.head.at), r.index, f.order)  # fmt: skip


def _failed(v: ViewTx, r: Record) -> None:
    f: e.ErasureFailed = r.fact
    v.run(
        "UPDATE {erasure} SET prover = NULL, proven = NULL, proven_entry = NULL, found = ? WHERE id = ?",
        f.found,
        f.order,
    )


def _held(v: ViewTx, r: Record) -> None:
    f: e.HoldPlaced = r.fact
    v.run(
        "INSERT INTO {hold} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        f.hold, f.decision, f.deployment, time_text(f.start) if f.start else None, time_text(f.end) if f.end else None,
        r.head.actor, time_text(r.head.at), r.index, f.reason.vault,
    )  # fmt: skip


def _released(v: ViewTx, r: Record) -> None:
    f: e.HoldReleased = r.fact
    v.run("UPDATE {hold} SET released = ? WHERE id = ?", time_text(r.head.at), f.hold)


APPLY = {
    e.ErasureOrdered: _ordered, e.RowsErased: _erased, e.ErasureProven: _proven, e.ErasureFailed: _failed,
    e.HoldPlaced: _held, e.HoldReleased: _released,
}  # fmt: skip


def tampering(r: Record) -> Tamper | None:
    """The signal of a verification that found stored segments other than they were sealed or erased."""
    f: e.SegmentsVerified = r.fact
    flaws = {"damaged": f.damaged, "missing": f.missing, "unexplained": f.unexplained, "revived": f.revived}
    if not any(flaws.values()):
        return None
    refs = tuple(ref for ref in r.head.refs if ref.startswith("stream:")) or r.head.refs
    return Tamper(refs, f"{f.segments} segments as sealed", ", ".join(f"{n} {k}" for k, n in flaws.items() if n))


def leak(r: Record) -> Breach:
    """The signal of an erasure that left rows behind."""
    f: e.ErasureFailed = r.fact
    return Breach("personal-data", "critical", r.head.refs, {"found": str(f.found), "rows": str(f.rows)})


def dicts(names: str, rows: Any) -> list[dict[str, Any]]:
    """Rows as maps by the names of their columns."""
    return [dict(zip(names.split(), row, strict=True)) for row in rows]
