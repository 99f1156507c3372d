"""Read tables of explaining: plans, measurements, requests of people."""

from __future__ import annotations

from affidavit.areas.decisions import events_people as e
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text

TABLES = {
    "explainer_plan": "id TEXT PRIMARY KEY, model TEXT, method TEXT, deletion_gain TEXT, stability TEXT, reason TEXT,"
    " words TEXT, proposer TEXT, proposed TEXT, approver TEXT, approved TEXT, entry INTEGER, drill INTEGER",
    "explainer": "entry INTEGER PRIMARY KEY, plan TEXT, model TEXT, number INTEGER, artifact TEXT, method TEXT, explainer TEXT,"
    " background TEXT, seed INTEGER, deletion_gain TEXT, stability TEXT, passed INTEGER, at TEXT, drill INTEGER",
    "explanation_request": "request TEXT PRIMARY KEY, decision TEXT, channel TEXT, wish TEXT, received TEXT, due TEXT,"
    " entry INTEGER, outcome TEXT, answered TEXT, answer INTEGER",
}


def _drill(r: Record) -> int:
    return int(bool(r.head.drill))


def _planned(v: ViewTx, r: Record) -> None:
    f: e.ExplainerPlanned = r.fact
    v.run(
        "INSERT INTO {explainer_plan} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?)",
        f.plan, f.model, f.method, f.deletion_gain, f.stability, f.reason.vault, f.words.digest if f.words else None,
        r.head.actor, time_text(r.head.at), _drill(r),
    )  # fmt: skip


def _approved(v: ViewTx, r: Record) -> None:
    f: e.ExplainerApproved = r.fact
    v.run("UPDATE {explainer_plan} SET approver = ?, approved = ?, entry = ?, drill = MAX(drill, ?) WHERE id = ?",
          r.head.actor, time_text(r.head.at), r.index, _drill(r), f.plan)  # fmt: skip


def _measured(v: ViewTx, r: Record) -> None:
    f: e.ExplainerMeasured = r.fact
    v.run(
        "INSERT INTO {explainer} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        r.index, f.plan, f.model, f.number, f.artifact, f.method, f.explainer, f.background, f.seeds[0] if f.seeds else 0,
        f.deletion_gain, f.stability, int(f.passed), time_text(r.head.at), _drill(r),
    )  # fmt: skip


def _requested(v: ViewTx, r: Record) -> None:
    f: e.ExplanationRequested = r.fact
    v.run(
        "INSERT INTO {explanation_request} VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        f.request, f.decision, f.channel, f.wish, time_text(f.received), time_text(f.due), r.index,
    )  # fmt: skip


def _answered(v: ViewTx, r: Record) -> None:
    f: e.ExplanationAnswered = r.fact
    v.run("UPDATE {explanation_request} SET outcome = ?, answered = ?, answer = ? WHERE request = ?",
          f.outcome, time_text(r.head.at), r.index, f.request)  # fmt: skip


APPLY = {
    e.ExplainerPlanned: _planned, e.ExplainerApproved: _approved, e.ExplainerMeasured: _measured,
    e.ExplanationRequested: _requested, e.ExplanationAnswered: _answered,
}  # fmt: skip
