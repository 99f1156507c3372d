"""Everything the ledger knows about one version, as one plain value. Unknown is None, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from affidavit.areas.registry import lookup
from affidavit.core.area import ViewTx
from affidavit.core.codec import dump_object


def dossier(
    state: ViewTx, found: lookup.Version, datasets: Mapping[str, Any], run: Any, fairness: Any
) -> dict[str, Any]:
    """Version, system, plan, evaluation, approvals, waivers, deployments; what other areas answered beside it."""
    name = lookup.system_of_model(state, found.model)
    newest = lookup.latest_evaluation(state, found)
    plan = lookup.plan_of(state, newest.plan) if newest else None
    return {
        "version": {**asdict(found), "name": found.name},
        "system": lookup.system(state, name) if name else None,
        "commitments": commitments(state, name) if name else [],
        "datasets": {ref: plain(given) for ref, given in datasets.items()},
        "run": plain(run),
        "plan": asdict(plan) if plan else None,
        "evaluation": asdict(newest) if newest else None,
        "fairness": plain(fairness),
        "approvals": _approvals(state, found),
        "waivers": _waivers(state, found),
        "deployments": [asdict(d) for d in lookup.deployments(state, found.model) if d.number == found.number],
        "loads": _count(state, "SELECT COUNT(*) FROM {load} WHERE model = ? AND number = ?", found),
        "drills": _drills(state, found),
    }


def plain(value: Any) -> Any:
    """Answers of other areas may be dataclasses; documents are made of plain values."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(x) for k, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    return dump_object(value) if hasattr(value, "__dataclass_fields__") else str(value)


def commitments(state: ViewTx, system: str) -> list[dict[str, Any]]:
    """The service commitments of a system; the promise is a vault id."""
    rows = state.rows("SELECT * FROM {commitment} WHERE system = ? ORDER BY id", system)
    names = ("id", "system", "promise", "metric", "direction", "bound", "period", "criterion", "at")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _approvals(state: ViewTx, found: lookup.Version) -> list[dict[str, Any]]:
    sql = (
        "SELECT r.target, r.requester, r.at, r.state, a.principal, a.role, a.at, a.expires FROM {request} r"
        " LEFT JOIN {approval} a ON a.request = r.id WHERE r.model = ? AND r.number = ? ORDER BY r.entry, a.entry"
    )
    names = ("to", "requester", "requested", "state", "approver", "role", "approved", "expires")
    return [dict(zip(names, row, strict=True)) for row in state.rows(sql, found.model, found.number)]


def _waivers(state: ViewTx, found: lookup.Version) -> list[dict[str, Any]]:
    sql = "SELECT control, attribute, owner, approver, approved, expires FROM {waiver} WHERE model = ? AND number = ?"
    names = ("control", "attribute", "owner", "approver", "approved", "expires")
    return [
        dict(zip(names, row, strict=True)) for row in state.rows(f"{sql} ORDER BY at, id", found.model, found.number)
    ]


def _drills(state: ViewTx, found: lookup.Version) -> list[dict[str, Any]]:
    sql = "SELECT env, passed, took_ms, objective_ms, at FROM {drill} WHERE model = ? AND number = ? ORDER BY entry"
    names = ("env", "passed", "took_ms", "objective_ms", "at")
    return [dict(zip(names, row, strict=True)) for row in state.rows(sql, found.model, found.number)]


def _count(state: ViewTx, sql: str, found: lookup.Version) -> int:
    row = state.one(sql, found.model, found.number)
    return int(row[0]) if row else 0
