"""Answers to the registry's queries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import docs, dossier, lookup
from affidavit.areas.registry.gate import WAIVE, act, gate_of, vouching
from affidavit.areas.registry.rules_standing import within_standing
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.errors import NotFound
from affidavit.core.fields import time_text

_SERVED = """
SELECT d.id, d.model, d.number, d.artifact, d.via, d.deployer, d.at, d.until, v.author, d.request, d.standing,
  d.incident,
  (SELECT GROUP_CONCAT(a.principal, ' ') FROM {approval} a WHERE a.request = d.request AND a.at <= d.at),
  (SELECT s.approver FROM {standing} s WHERE s.id = d.standing), d.reviewer
FROM {deployment} d JOIN {version} v ON v.model = d.model AND v.number = d.number
WHERE d.model = ? AND d.env = ? AND d.drill = 0 AND d.at <= ? AND (d.until IS NULL OR d.until > ?)
ORDER BY d.entry DESC LIMIT 1
"""
_SERVED_NAMES = (
    "deployment", "model", "number", "artifact", "via", "deployed_by", "since", "until", "author", "request",
    "standing", "incident", "approved_by", "standing_approved_by", "reviewed_by",
)  # fmt: skip


def served_at(v: ViewTx, model: str, env: str, at: str) -> dict[str, Any] | None:
    """What served an environment at a moment (time text), put there and approved by whom; None if nothing."""
    row = v.one(_SERVED, model, env, at, at)
    if row is None:
        return None
    found = dict(zip(_SERVED_NAMES, row, strict=True))
    found["approved_by"] = sorted(set((found["approved_by"] or "").split()))
    return found


def served(q: c.Served, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """One line, or an answer that says that nothing served."""
    _known(state, q.model)
    at = time_text(q.at or ctx.now)
    found = served_at(state, q.model, q.in_env, at)
    return {"at": at, "env": q.in_env, "served": found}


def why(q: c.Why, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The gate line by line, the path, the approvals; ``missing`` lists what stands in the way and who acts."""
    found = lookup.known_version(state, q.version)
    rule = ctx.rules.transition(q.to)
    gate = gate_of(state, ctx, found, q.to)
    missing = [{"what": gate.told(x), "who": f"{act(x.control)}; or {WAIVE}"} for x in gate.failing]
    missing += _standing_in_the_way(state, found, q.to, rule.source, path=rule.source in ctx.rules.transitions)
    wish = lookup.open_wish(state, found, q.to)
    valid = sorted(vouching(state, ctx, wish.id, gate)) if wish and wish.gate_digest == gate.digest else []
    standing = within_standing(state, ctx, found, q.to) if rule.approvals.n else None
    if len(valid) < rule.approvals.n and (standing is None or standing.id is None):
        lack = f"{len(valid)} of {rule.approvals.n} approvals" if wish else "no request"
        missing.append(
            {"what": lack, "who": f"an engineer requests it; a holder of {', '.join(rule.approvals.roles)} approves"}
        )
    return {
        "version": found.name,
        "to": q.to,
        "ready": not missing,
        "missing": missing,
        "gate": [{**asdict(x), "reason": gate.reasons.get((x.control, x.attribute), "")} for x in gate.lines],
        "gate_digest": gate.digest,
        "request": wish.id if wish else None,
        "approved_by": valid,
        "standing": standing.id if standing else None,
        "outside_standing": list(standing.problems) if standing else [],
    }


def _standing_in_the_way(
    state: ViewTx, found: lookup.Version, to: str, source: str, *, path: bool
) -> list[dict[str, str]]:
    """Reasons beside the gate: retired, altered, already there, path not walked."""
    missing = []
    if found.retired:
        missing.append({"what": f"retired {found.retired}", "who": "register another version"})
    if found.tampered:
        missing.append({"what": f"found altered {found.tampered}", "who": "on-call restores the artifact and loads it"})
    live = lookup.live_in(state, found.model, to)
    if live is not None and live.number == found.number:
        missing.append({"what": f"serves {to} already", "who": "nobody"})
    if path and not any(d.number == found.number for d in lookup.deployments(state, found.model, source)):
        missing.append({"what": f"never was in {source}", "who": f"an engineer promotes it into {source} first"})
    return missing


def history(q: c.History, state: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """Every deployment, with how it came and how long it served."""
    _known(state, q.model)
    names = ("id", "number", "env", "via", "at", "until", "deployer", "request", "standing", "incident", "review_due",
             "reviewer", "reviewed", "entry")  # fmt: skip
    return [{n: getattr(d, n) for n in names} for d in lookup.deployments(state, q.model)]


def versions(q: c.Versions, state: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """Each version in a line; ``serves`` names the environments it is live in."""
    _known(state, q.model)
    live: dict[int, list[str]] = {}
    for d in lookup.deployments(state, q.model):
        if d.until is None:
            live.setdefault(d.number, []).append(d.env)
    names = ("number", "artifact", "format", "run", "author", "at", "retired", "tampered")
    return [
        {**{n: getattr(x, n) for n in names}, "serves": " ".join(live.get(x.number, []))}
        for x in lookup.versions_of(state, q.model)
    ]


def systems(q: c.Systems, state: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """The register, by name, with its private texts in words; an erased one is None."""
    found = []
    for (name,) in state.rows("SELECT system FROM {system} ORDER BY system"):
        row = lookup.system(state, name) or {}
        models = [m for (m,) in state.rows("SELECT model FROM {model} WHERE system = ? ORDER BY model", name)]
        words = {k: ctx.text(row[k]) for k in ("purpose", "tier_reason", "people") if row.get(k)}
        found.append({**row, **words, "models": models, "commitments": dossier.commitments(state, name)})
    return found


def show(q: c.Show, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """Version, system, plan, evaluation, approvals, deployments, datasets, fairness: unknown is None."""
    found = lookup.known_version(state, q.version)
    datasets = {r: ctx.ask("lineage.dataset", r.removeprefix("dataset:")) for r in found.datasets}
    return dossier.dossier(state, found, datasets, ctx.ask("lineage.run", found.run), _fairness(ctx, found))


def _fairness(ctx: Ctx, found: lookup.Version) -> Any:
    try:
        return ctx.ask("fairness.latest", found.model, found.number)
    except NotFound:
        return None


def card(q: c.Card, state: ViewTx, ctx: Ctx) -> str:
    """The model card as text."""
    facts = show(c.Show(q.version), state, ctx)
    system = facts.get("system") or {}
    texts = {v: ctx.text(v) or "erased" for k in ("purpose", "tier_reason", "people") if (v := system.get(k))}
    shown = docs.card_html if q.form == "html" else docs.card_markdown
    return shown(facts, texts, simulated=ctx.log.endswith("/simulated"))


def bom(q: c.Bom, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The bill of materials as a CycloneDX document."""
    return docs.bom(show(c.Show(q.version), state, ctx))


def _known(state: ViewTx, model: str) -> None:
    if lookup.model(state, model) is None:
        raise NotFound(f"no model {model}.", next_step="`affidavit registry systems` lists systems and models.")
