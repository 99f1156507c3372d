"""Read tables of completeness and runtime truth."""

from __future__ import annotations

from affidavit.areas.decisions import events_runtime as e
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.core.signals import Breach, Severity

TABLES = {
    "extract": "entry INTEGER PRIMARY KEY, kind TEXT, source TEXT, start TEXT, until TEXT, row_count INTEGER, raw TEXT",
    "endpoint": "entry INTEGER PRIMARY KEY, source TEXT, endpoint TEXT, artifact TEXT, env TEXT, first_seen TEXT,"
    " last_seen TEXT, model TEXT",
    "presented": "entry INTEGER PRIMARY KEY, source TEXT, details TEXT",
    "reconciled": "entry INTEGER PRIMARY KEY, deployment TEXT, day TEXT",
    "compared": "entry INTEGER PRIMARY KEY, day TEXT",
    "difference": "id TEXT PRIMARY KEY, endpoint TEXT, env TEXT, what TEXT, found TEXT, expected TEXT, first_seen TEXT,"
    " due TEXT, model TEXT, stream TEXT, source TEXT, at TEXT, entry INTEGER, settled TEXT, how TEXT",
}
"""The rows of an inventory stand directly before their extract: entries ``entry - row_count`` to ``entry - 1``."""


def _extract(v: ViewTx, r: Record) -> None:
    f = r.fact
    kind = "counts" if isinstance(f, e.CountsExtracted) else "serving"
    row = (r.index, kind, f.source, time_text(f.start), time_text(f.end), f.rows, f.raw.digest)
    v.run("INSERT INTO {extract} VALUES (?, ?, ?, ?, ?, ?, ?)", *row)


def _endpoint(v: ViewTx, r: Record) -> None:
    f: e.EndpointObserved = r.fact
    seen = (time_text(f.first_seen), time_text(f.last_seen))
    row = (r.index, f.source, f.endpoint, f.artifact, f.env, *seen, f.model)
    v.run("INSERT INTO {endpoint} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row)


def _presented(v: ViewTx, r: Record) -> None:
    v.run("INSERT INTO {presented} VALUES (?, ?, ?)", r.index, r.fact.source, r.fact.details.digest)


def _reconciled(v: ViewTx, r: Record) -> None:
    v.run("INSERT INTO {reconciled} VALUES (?, ?, ?)", r.index, r.fact.deployment, time_text(r.fact.day))


def _compared(v: ViewTx, r: Record) -> None:
    v.run("INSERT INTO {compared} VALUES (?, ?)", r.index, time_text(r.fact.day))


def _differed(v: ViewTx, r: Record) -> None:
    f: e.RuntimeDiffered = r.fact
    v.run(
        "INSERT INTO {difference} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        f.difference, f.endpoint, f.env, f.what, f.found, f.expected, time_text(f.first_seen), time_text(f.due),
        f.model, f.stream, f.source, time_text(r.head.at), r.index,
    )  # fmt: skip


def _settled(v: ViewTx, r: Record) -> None:
    f: e.RuntimeSettled = r.fact
    v.run("UPDATE {difference} SET settled = ?, how = ? WHERE id = ?", time_text(r.head.at), f.how, f.difference)


APPLY = {
    e.CountsExtracted: _extract, e.ServingExtracted: _extract, e.EndpointObserved: _endpoint,
    e.ReceiptsPresented: _presented, e.CountsReconciled: _reconciled, e.RuntimeReconciled: _compared,
    e.RuntimeDiffered: _differed, e.RuntimeSettled: _settled,
}  # fmt: skip


def breach(r: Record) -> Breach:
    """The signal of a new difference. A silent process is a missing heartbeat; all else touches integrity."""
    f: e.RuntimeDiffered = r.fact
    severity: Severity = "warning" if f.what in ("silent", "configuration") else "critical"
    stats = {"what": f.what, "endpoint": f.endpoint, "found": f.found or "none", "expected": f.expected or "none"}
    about = (f"model:{f.model}",) if f.model else (f"env:{f.env}",)
    kind = "heartbeat" if f.what == "silent" else "integrity"
    return Breach(kind, severity, (*about, f"difference:{f.difference}"), stats)
