"""Read tables of oversight: routing rules, trained reviewers, measurements, tenants; and the signals they give."""

from __future__ import annotations

from affidavit.areas.decisions import events_people as e
from affidavit.core import canonical, codec
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.core.signals import Breach

TABLES = {
    "routing": "rule TEXT PRIMARY KEY, model TEXT, role TEXT, conditions TEXT, min_review_ms INTEGER, proposer TEXT,"
    " proposed TEXT, approver TEXT, approved TEXT, entry INTEGER",
    "training": "entry INTEGER PRIMARY KEY, principal TEXT, model TEXT, since TEXT, until TEXT",
    "oversight": "entry INTEGER PRIMARY KEY, deployment TEXT, at TEXT, body TEXT",
    "tenancy": "principal TEXT PRIMARY KEY, tenants TEXT",
}
"""``routing.entry`` is the approval's; ``oversight.body`` the fact; ``tenancy.tenants`` a list, null where it was lifted."""


def _proposed(v: ViewTx, r: Record) -> None:
    f: e.RoutingProposed = r.fact
    conditions = canonical.encode([codec.dump_object(c) for c in f.conditions]).decode()
    sql = "INSERT INTO {routing} VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)"
    v.run(sql, f.rule, f.model, f.role, conditions, f.min_review_ms, r.head.actor, time_text(r.head.at))


def _approved(v: ViewTx, r: Record) -> None:
    sql = "UPDATE {routing} SET approver = ?, approved = ?, entry = ? WHERE rule = ?"
    v.run(sql, r.head.actor, time_text(r.head.at), r.index, r.fact.rule)


def _trained(v: ViewTx, r: Record) -> None:
    f: e.ReviewerTrained = r.fact
    v.run("INSERT INTO {training} VALUES (?, ?, ?, ?, ?)",
          r.index, f.principal, f.model, time_text(r.head.at), time_text(f.until))  # fmt: skip


def _measured(v: ViewTx, r: Record) -> None:
    f: e.OversightMeasured = r.fact
    body = canonical.encode(codec.dump_object(f)).decode()
    v.run("INSERT INTO {oversight} VALUES (?, ?, ?, ?)", r.index, f.deployment, time_text(r.head.at), body)


def _restricted(v: ViewTx, r: Record) -> None:
    f: e.TenantsRestricted = r.fact
    tenants = None if f.everything else canonical.encode(list(f.tenants)).decode()
    v.run("INSERT OR REPLACE INTO {tenancy} VALUES (?, ?)", f.principal, tenants)


APPLY = {
    e.RoutingProposed: _proposed, e.RoutingApproved: _approved, e.ReviewerTrained: _trained,
    e.OversightMeasured: _measured, e.TenantsRestricted: _restricted,
}  # fmt: skip


def passed_people_by(record: Record) -> Breach | None:
    """Decisions that took effect without the person the rule sends them to are a breach."""
    f: e.OversightMeasured = record.fact
    if not (f.bypassed or f.early):
        return None
    stats = {"bypassed": str(f.bypassed), "early": str(f.early), "routed": str(f.routed), "rule": f.rule}
    return Breach("oversight", "critical", record.head.refs, stats)


def crossed_tenants(record: Record) -> Breach | None:
    """A canary seen by another tenant is a leak."""
    f: e.TenantProbed = record.fact
    if not f.other_sees:
        return None
    stats = {"owner": f.owner, "probed_as": f.probed_as, "doors": ",".join(f.leaking)}
    return Breach("leak", "critical", record.head.refs, stats)


SIGNALS = {e.OversightMeasured: passed_people_by, e.TenantProbed: crossed_tenants}
