"""What is asked of oversight: the rule in force, who is trained, which tenants a principal sees, what was measured."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from affidavit.areas.decisions.people import commands as c
from affidavit.core import canonical, codec
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.fields import time_text
from affidavit.streams.passport import Routing

ANSWERS = ("routing_in_force", "routing_at", "routing_changes", "trained", "tenants_of")
"""What others may ask by ``decisions.NAME``."""
_RULE = (
    "rule", "model", "role", "conditions", "min_review_ms", "proposer", "proposed", "approver", "approved", "entry",
)  # fmt: skip


def _rule(row: Any) -> dict[str, Any]:
    found = dict(zip(_RULE, row, strict=True))
    return found | {"conditions": canonical.decode(found["conditions"].encode()), "since": found["approved"]}


def routing_in_force(v: ViewTx, model: str) -> dict[str, Any] | None:
    """The routing rule of a model approved last; None if there is none. ``routing_of`` makes it a ``passport.Routing``."""
    sql = (
        f"SELECT {', '.join(_RULE)} FROM {{routing}} WHERE model = ? AND entry IS NOT NULL ORDER BY entry DESC LIMIT 1"
    )
    row = v.one(sql, model)
    return _rule(row) if row else None


def routing_at(v: ViewTx, model: str, at: datetime) -> dict[str, Any] | None:
    """The routing rule of a model that was in force at a time; None if there was none."""
    sql = f"SELECT {', '.join(_RULE)} FROM {{routing}} WHERE model = ? AND approved <= ? ORDER BY entry DESC LIMIT 1"
    row = v.one(sql, model, time_text(at))
    return _rule(row) if row else None


def routing_changes(v: ViewTx, model: str, start: datetime, end: datetime) -> list[str]:
    """Times at which a rule of the model came into force, ``start < at < end``."""
    sql = "SELECT approved FROM {routing} WHERE model = ? AND approved > ? AND approved < ? ORDER BY entry"
    return [at for (at,) in v.rows(sql, model, time_text(start), time_text(end))]


def routing_of(found: dict[str, Any]) -> Routing:
    """The rule of an answer as a serving process evaluates it."""
    names = ("rule", "role", "conditions", "min_review_ms")
    made: Routing = codec.load_object(Routing, {n: found[n] for n in names}, "routing")
    return made


def trained(v: ViewTx, principal: str, model: str, at: datetime) -> bool:
    """Whether a principal's training for a model's decisions held at a time."""
    sql = "SELECT 1 FROM {training} WHERE principal = ? AND model = ? AND since <= ? AND until > ?"
    return v.one(sql, principal, model, time_text(at), time_text(at)) is not None


def tenants_of(v: ViewTx, principal: str) -> tuple[str, ...] | None:
    """The tenants whose decisions a principal may see; None is all of them."""
    row = v.one("SELECT tenants FROM {tenancy} WHERE principal = ?", principal)
    if row is None or row[0] is None:
        return None
    return tuple(canonical.decode(row[0].encode()))


def show_routing(q: c.ShowRouting, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """Every rule of the model, newest proposal first; the one in force says so."""
    sql = f"SELECT {', '.join(_RULE)} FROM {{routing}} WHERE model = ? ORDER BY proposed DESC, rule DESC"
    now = routing_in_force(v, q.model)
    rules = [_rule(row) for row in v.rows(sql, q.model)]
    return [r | {"in_force": now is not None and r["rule"] == now["rule"]} for r in rules]


def show_oversight(q: c.ShowOversight, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a measurement, newest first."""
    sql = "SELECT entry, at, body FROM {oversight} WHERE deployment = IFNULL(?, deployment) ORDER BY entry DESC"
    return [
        {"entry": entry, "at": at, **_object(canonical.decode(body.encode()))}
        for entry, at, body in v.rows(sql, q.deployment)
    ]


def _object(value: Any) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k != "details"}
