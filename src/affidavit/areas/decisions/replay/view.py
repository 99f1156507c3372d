"""The read table of replays, and the breach that a mismatch is."""

from __future__ import annotations

from collections.abc import Callable

from affidavit.areas.decisions import events_people as e
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.core.signals import Breach, Signal

TABLES = {
    "replay": "replay TEXT PRIMARY KEY, model TEXT, start TEXT, until TEXT, seed TEXT, population_n INTEGER, sampled INTEGER,"
    " equal INTEGER, differing INTEGER, failed INTEGER, erased INTEGER, tolerance TEXT, worst TEXT, isolation TEXT,"
    " actor TEXT, at TEXT, state TEXT, cause TEXT, entry INTEGER",
}


def _measured(v: ViewTx, r: Record) -> None:
    f: e.ReplayMeasured = r.fact
    v.run(
        "INSERT INTO {replay} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        f.replay, f.model, time_text(f.start), time_text(f.end), f.seed, f.population_n, f.sampled, f.equal, f.differing,
        f.failed, f.erased, f.tolerance, f.worst, " ".join(f.isolation), r.head.actor, time_text(r.head.at),
        "mismatch" if f.differing or f.failed else "equal", r.index,
    )  # fmt: skip


def _investigated(v: ViewTx, r: Record) -> None:
    f: e.MismatchInvestigated = r.fact
    v.run("UPDATE {replay} SET state = 'investigated', cause = ? WHERE replay = ?", f.cause, f.replay)


APPLY = {e.ReplayMeasured: _measured, e.MismatchInvestigated: _investigated}


def mismatch(r: Record) -> Breach | None:
    """A replay that did not give the record back: critical where an artifact's bytes were altered."""
    f: e.ReplayMeasured = r.fact
    if not f.differing and not f.failed:
        return None
    altered = any(v.why == "tampered" for v in f.versions)
    stats = {"replay": f.replay, "differing": str(f.differing), "failed": str(f.failed), "sampled": str(f.sampled),
             "tolerance": f.tolerance, "worst": f.worst or "none"}  # fmt: skip
    refs = (f"model:{f.model}", *(x for x in r.head.refs if x != f"model:{f.model}"))
    return Breach("integrity", "critical" if altered else "warning", refs, stats)


SIGNALS: dict[type, Callable[[Record], Signal | None]] = {e.ReplayMeasured: mismatch}
