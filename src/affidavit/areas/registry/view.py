"""Read tables of the registry: their columns, and what each fact changes. Reading them is ``lookup.py``'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from affidavit.areas.registry import events as e
from affidavit.core import canonical, codec
from affidavit.core.area import View, ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import VaultText, time_text
from affidavit.core.signals import Tamper

TABLES = {
    "system": "system TEXT PRIMARY KEY, owner TEXT, tier TEXT, role TEXT, jurisdictions TEXT, purpose TEXT,"
    " tier_reason TEXT, people TEXT, at TEXT, entry INTEGER",
    "commitment": "id TEXT PRIMARY KEY, system TEXT, promise TEXT, metric TEXT, direction TEXT, bound TEXT,"
    " period TEXT, criterion TEXT, at TEXT",
    "model": "model TEXT PRIMARY KEY, system TEXT, at TEXT",
    "version": "model TEXT, number INTEGER, artifact TEXT, files INTEGER, bytes INTEGER, format TEXT, signature TEXT,"
    " run TEXT, datasets TEXT, started TEXT, ended TEXT, code TEXT, environment TEXT, hyperparameters TEXT,"
    " metrics TEXT, split TEXT, author TEXT, registrar TEXT, accepted_risk TEXT, at TEXT, entry INTEGER,"
    " retired TEXT, tampered TEXT, drill INTEGER, PRIMARY KEY (model, number)",
    "plan": "id TEXT PRIMARY KEY, model TEXT, dataset TEXT, split TEXT, label TEXT, cutoff TEXT, thresholds TEXT,"
    " proposer TEXT, proposed TEXT, approver TEXT, approved TEXT, entry INTEGER",
    "evaluation": "entry INTEGER PRIMARY KEY, model TEXT, number INTEGER, artifact TEXT, plan TEXT, dataset TEXT,"
    " split TEXT, label TEXT, cutoff TEXT, content TEXT, index_digest TEXT, row_count INTEGER, seed INTEGER, code TEXT,"
    " results TEXT, verdicts TEXT, predictions TEXT, at TEXT",
    "request": "id TEXT PRIMARY KEY, model TEXT, number INTEGER, artifact TEXT, target TEXT, gate TEXT,"
    " gate_digest TEXT, requester TEXT, at TEXT, state TEXT, entry INTEGER",
    "approval": "entry INTEGER PRIMARY KEY, request TEXT, principal TEXT, role TEXT, artifact TEXT, gate_digest TEXT,"
    " at TEXT, expires TEXT",
    "waiver": "id TEXT PRIMARY KEY, model TEXT, number INTEGER, control TEXT, attribute TEXT, owner TEXT,"
    " requester TEXT, at TEXT, expires TEXT, measured INTEGER, approver TEXT, approved TEXT",
    "standing": "id TEXT PRIMARY KEY, model TEXT, datasets TEXT, code TEXT, ranges TEXT, bounds TEXT, expires TEXT,"
    " proposer TEXT, at TEXT, approver TEXT, approved TEXT, entry INTEGER",
    "deployment": "id TEXT PRIMARY KEY, model TEXT, number INTEGER, artifact TEXT, env TEXT, via TEXT, gate TEXT,"
    " gate_digest TEXT, request TEXT, standing TEXT, incident TEXT, review_due TEXT, deployer TEXT, at TEXT,"
    " until TEXT, replaces TEXT, reviewer TEXT, reviewed TEXT, verdict TEXT, drill INTEGER, entry INTEGER",
    "load": "entry INTEGER PRIMARY KEY, model TEXT, number INTEGER, artifact TEXT, deployment TEXT, principal TEXT,"
    " at TEXT",
    "drill": "entry INTEGER PRIMARY KEY, model TEXT, number INTEGER, env TEXT, passed INTEGER, took_ms INTEGER,"
    " objective_ms INTEGER, at TEXT",
    "observed": "source TEXT, external TEXT, model TEXT, env TEXT, artifact TEXT, deployed_at TEXT,"
    " entry INTEGER, PRIMARY KEY (source, external)",
}


def packed(value: Any) -> str:
    """A list or map as canonical JSON text: how a column holds it."""
    return canonical.encode(value).decode()


def _objects(values: tuple[Any, ...]) -> str:
    return packed([codec.dump_object(v) for v in values])


def _insert(v: ViewTx, table: str, *values: Any) -> None:
    v.run(f"INSERT INTO {{{table}}} VALUES ({', '.join('?' * len(values))})", *values)


def _at(r: Record) -> str:
    return time_text(r.head.at)


def _vault(text: VaultText | None) -> str | None:
    return text.vault if text else None


def _system(v: ViewTx, r: Record) -> None:
    f: e.SystemRegistered = r.fact
    texts = (f.purpose.vault, f.tier_reason.vault, f.people_affected.vault)
    row = (f.system, f.owner, f.tier, f.role, packed(list(f.jurisdictions)), *texts, _at(r), r.index)
    v.run("DELETE FROM {system} WHERE system = ?", f.system)
    _insert(v, "system", *row)


def _commitment(v: ViewTx, r: Record) -> None:
    f: e.CommitmentMade = r.fact
    row = (f.commitment, f.system, f.promise.vault, f.metric, f.direction, f.bound, f.period, f.criterion, _at(r))
    _insert(v, "commitment", *row)


def _model(v: ViewTx, r: Record) -> None:
    _insert(v, "model", r.fact.model, r.fact.system, _at(r))


def _version(v: ViewTx, r: Record) -> None:
    f: e.VersionRegistered = r.fact
    _insert(
        v, "version", f.model, f.number, f.artifact, f.files, f.bytes, f.format, f.signature.digest, f.run,
        packed(list(f.datasets)), time_text(f.started), time_text(f.ended), f.code, f.environment,
        packed(f.hyperparameters), packed(f.metrics), f.split, f.author, r.head.actor, f.accepted_risk, _at(r), r.index,
        None, None, int(bool(r.head.drill)),
    )  # fmt: skip


def _plan(v: ViewTx, r: Record) -> None:
    f: e.PlanProposed = r.fact
    judged = (f.dataset, f.split, f.label, f.cutoff, _objects(f.thresholds))
    _insert(v, "plan", f.plan, f.model, *judged, r.head.actor, _at(r), None, None, None)


def _plan_approved(v: ViewTx, r: Record) -> None:
    sql = "UPDATE {plan} SET approver = ?, approved = ?, entry = ? WHERE id = ?"
    v.run(sql, r.head.actor, _at(r), r.index, r.fact.plan)


def _evaluation(v: ViewTx, r: Record) -> None:
    f: e.EvaluationMeasured = r.fact
    _insert(
        v, "evaluation", r.index, f.model, f.number, f.artifact, f.plan, f.dataset, f.split, f.label, f.cutoff,
        f.content, f.index, f.rows, f.seed, f.code, packed(f.results), _objects(f.verdicts), f.predictions.digest,
        _at(r),
    )  # fmt: skip


def _request(v: ViewTx, r: Record) -> None:
    f: e.PromotionRequested = r.fact
    sql = "UPDATE {request} SET state = 'superseded' WHERE model = ? AND number = ? AND target = ? AND state = 'open'"
    v.run(sql, f.model, f.number, f.to)
    row = (f.request, f.model, f.number, f.artifact, f.to, _objects(f.gate), f.gate_digest, r.head.actor, _at(r))
    _insert(v, "request", *row, "open", r.index)


def _approval(v: ViewTx, r: Record) -> None:
    f: e.PromotionApproved = r.fact
    row = (r.index, f.request, r.head.actor, f.role, f.artifact, f.gate_digest, _at(r), time_text(f.expires))
    _insert(v, "approval", *row)


def _rejected(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {request} SET state = 'rejected' WHERE id = ?", r.fact.request)


def _promoted(v: ViewTx, r: Record) -> None:
    f: e.VersionPromoted = r.fact
    at, drill = _at(r), int(bool(r.head.drill))
    if not drill:
        sql = "UPDATE {deployment} SET until = ? WHERE model = ? AND env = ? AND until IS NULL"
        v.run(sql, at, f.model, f.to)
        if f.via == "approval":
            v.run("UPDATE {request} SET state = 'used' WHERE id = ?", f.request)
    due = time_text(f.review_due) if f.review_due else None
    _insert(
        v, "deployment", f.deployment, f.model, f.number, f.artifact, f.to, f.via, _objects(f.gate), f.gate_digest,
        f.request, f.standing, f.incident, due, r.head.actor, at, at if drill else None, f.replaces, None, None, None,
        drill, r.index,
    )  # fmt: skip


def _reviewed(v: ViewTx, r: Record) -> None:
    f: e.BreakGlassReviewed = r.fact
    sql = "UPDATE {deployment} SET reviewer = ?, reviewed = ?, verdict = ? WHERE id = ?"
    v.run(sql, r.head.actor, _at(r), f.verdict, f.deployment)


def _waiver(v: ViewTx, r: Record) -> None:
    f: e.WaiverRequested = r.fact
    row = (f.waiver, f.model, f.number, f.control, f.attribute, f.owner, r.head.actor, _at(r), time_text(f.expires))
    _insert(v, "waiver", *row, f.measured, None, None)


def _waiver_approved(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {waiver} SET approver = ?, approved = ? WHERE id = ?", r.head.actor, _at(r), r.fact.waiver)


def _standing(v: ViewTx, r: Record) -> None:
    f: e.StandingProposed = r.fact
    lists = (packed(list(f.datasets)), packed(list(f.code)), _objects(f.ranges), _objects(f.bounds))
    row = (f.standing, f.model, *lists, time_text(f.expires), r.head.actor, _at(r), None, None, r.index)
    _insert(v, "standing", *row)


def _standing_approved(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {standing} SET approver = ?, approved = ? WHERE id = ?", r.head.actor, _at(r), r.fact.standing)


def _drilled(v: ViewTx, r: Record) -> None:
    f: e.RollbackDrilled = r.fact
    _insert(v, "drill", r.index, f.model, f.number, f.env, int(f.passed), f.took_ms, f.objective_ms, _at(r))


def _loaded(v: ViewTx, r: Record) -> None:
    f: e.VersionLoaded = r.fact
    _insert(v, "load", r.index, f.model, f.number, f.artifact, f.deployment, r.head.actor, _at(r))
    v.run("UPDATE {version} SET tampered = NULL WHERE model = ? AND number = ?", f.model, f.number)


def _tampered(v: ViewTx, r: Record) -> None:
    sql = "UPDATE {version} SET tampered = ? WHERE model = ? AND number = ?"
    v.run(sql, _at(r), r.fact.model, r.fact.number)


def _retired(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {version} SET retired = ? WHERE model = ? AND number = ?", _at(r), r.fact.model, r.fact.number)


def _observed(v: ViewTx, r: Record) -> None:
    f: e.DeploymentObserved = r.fact
    row = (f.source, f.external, f.model, f.env, f.artifact, time_text(f.deployed_at), r.index)
    _insert(v, "observed", *row)


def _real(apply: Callable[[ViewTx, Record], None]) -> Callable[[ViewTx, Record], None]:
    """A planted fact changes nothing that people rely on."""

    def run(v: ViewTx, r: Record) -> None:
        if not r.head.drill:
            apply(v, r)

    return run


_PLANTED = {e.VersionRegistered: _version, e.VersionPromoted: _promoted}
"""Kept though planted, and marked: a number is used up, a deployment is shown apart."""
_REAL = {
    e.SystemRegistered: _system,
    e.CommitmentMade: _commitment,
    e.ModelRegistered: _model,
    e.PlanProposed: _plan,
    e.PlanApproved: _plan_approved,
    e.EvaluationMeasured: _evaluation,
    e.PromotionRequested: _request,
    e.PromotionApproved: _approval,
    e.PromotionRejected: _rejected,
    e.BreakGlassReviewed: _reviewed,
    e.WaiverRequested: _waiver,
    e.WaiverApproved: _waiver_approved,
    e.StandingProposed: _standing,
    e.StandingApproved: _standing_approved,
    e.RollbackDrilled: _drilled,
    e.VersionLoaded: _loaded,
    e.ArtifactTampered: _tampered,
    e.VersionRetired: _retired,
    e.DeploymentObserved: _observed,
}
VIEW = View("registry", TABLES, {**_PLANTED, **{cls: _real(fn) for cls, fn in _REAL.items()}})


def tampering(r: Record) -> Tamper:
    """The signal of an altered artifact: incidents answer it."""
    f: e.ArtifactTampered = r.fact
    return Tamper(r.head.refs, f.expected, f.found)
