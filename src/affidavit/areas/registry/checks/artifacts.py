"""AI-01.4: every artifact in production is signed, has its provenance, and was verified at load. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from affidavit.areas.lineage.events import RunRecorded
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.attributes import NOT_YET
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Outcome, Period, deviation, not_applicable, not_tested, passed
from affidavit.core.ledger_facts import LedgerOpened

UNTIL = "until:"
"""Reference of an item: until when a load verifies a deployment for the period (its entry, Unix milliseconds)."""


def production_artifacts(facts: Facts, period: Period) -> list[Item]:
    """Every artifact digest that served production at some time of the period, by our books or the platform's log."""
    by = trail.explained(facts)
    rows: dict[int, list[int]] = {}
    for index, promotion in by.items():
        rows.setdefault(promotion.index, []).append(index)
    events = [(r.head.at, r) for r in trail.own(facts)]
    for group in trail.unexplained(facts, by):
        events.append((group[0].fact.deployed_at, group[0]))
        rows[group[0].index] = [r.index for r in group[1:]]
    events.sort(key=lambda x: (x[0], x[1].index))
    found: dict[str, Item] = {}
    for n, (at, r) in enumerate(events):
        later = (t for t, o in events[n + 1 :] if o.fact.model == r.fact.model and not o.head.drill)
        replaced = next(later, None)
        until = at if r.head.drill else replaced or period.end
        if at >= period.end or (until <= period.start and at < period.start):
            continue
        new = replace(trail.item_of(r, tuple(rows.get(r.index, ()))), key=r.fact.artifact)
        if not r.head.drill:
            limit = max(period.end, at + trail.MATCH)  # deployed at the period's last minute: a day to be loaded
            limit = min(limit, replaced) if replaced else limit
            new = replace(new, refs=(*new.refs, f"{UNTIL}{r.index}/{_ms(limit)}"))
        old = found.get(new.key)
        found[new.key] = new if old is None else _joined(old, new)
    return list(found.values())


def _joined(old: Item, new: Item) -> Item:
    refs = tuple(dict.fromkeys((*old.refs, *new.refs)))
    return replace(old, refs=refs, entries=(*old.entries, *new.entries), drill=old.drill and new.drill)


def artifacts_verify(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to D of AI-01.4."""
    change = trail.change_of(item, facts) if item.key == trail.CANDIDATE else None
    digest = change.artifact if change else item.key
    about = {r for r in item.refs if r.startswith("model:")}
    found = [r for ref in sorted(about) for r in facts.about(ref, e.VersionRegistered) if r.fact.artifact == digest]
    if not found:
        told = deviation("no registration names this digest: unsigned, without provenance")
        return {"A": told, "B": told, "C": _loaded(item, digest, facts), "D": told}
    version = found[0]
    loaded = not_applicable(NOT_YET) if change else _loaded(item, digest, facts)
    return {"A": _signed(version, facts), "B": _provenance(version, facts), "C": loaded, "D": _signer(version, facts)}


def _signed(version: Record, facts: Facts) -> Outcome:
    opened = facts.all(LedgerOpened)
    if not opened:
        return not_tested("the entry that names the artifact key is not among the facts")
    note = version.fact.signature
    if note.kind != "signature":
        return deviation("the registration names no signature note", version)
    told = (
        f"signature note {note.digest}; `affidavit verify` checks its bytes against {opened[0].fact.artifact_key[:60]}"
    )
    return Outcome("pass", told, (opened[0].index, version.index))


def _provenance(version: Record, facts: Facts) -> Outcome:
    f = version.fact
    runs = [r for r in facts.about(f"run:{f.run}", RunRecorded) if r.index < version.index]
    if not runs:
        return deviation(f"run {f.run} was not recorded before the registration", version)
    run = runs[-1].fact
    if run.code != f.code or run.environment != f.environment:
        return deviation("code or environment differ from those of the run", version, runs[-1])
    if not run.inputs or not f.datasets:
        return deviation("no data is named", version, runs[-1])
    return passed(version, runs[-1])


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _loaded(item: Item, digest: str, facts: Facts) -> Outcome:
    """Every deployment was verified at load while it served in the period, and no altered byte is left open.

    A deployment of ours is verified by a load that names it; one that only the platform's log knows by any load
    of the digest after it.
    """
    models = sorted({r for r in item.refs if r.startswith("model:") and "/" not in r})
    loads = [r for ref in models for r in facts.about(ref, e.VersionLoaded) if r.fact.artifact == digest]
    loads = [r for r in loads if item.drill or not r.head.drill]
    altered = [r for ref in models for r in facts.about(ref, e.ArtifactTampered) if r.fact.artifact == digest]
    if altered and not any(r.index > altered[-1].index for r in loads):
        return deviation("a stored file was found altered and never verified again", altered[-1])
    mine = [r for r in facts.all(e.VersionPromoted) if r.fact.artifact == digest and r.index in item.entries]
    seen = [r for r in facts.all(e.DeploymentObserved) if r.fact.artifact == digest and r.index in item.entries]
    limits = dict(r.removeprefix(UNTIL).split("/") for r in item.refs if r.startswith(UNTIL))
    verified = []
    for d in [r for r in (*mine, *seen) if str(r.index) in limits] or [*mine, *seen]:
        until = limits.get(str(d.index))
        of = [r for r in loads if _verifies(r, d) and (until is None or _ms(r.head.at) <= int(until))]
        if not of:
            return deviation("no verified load of this deployment was recorded while it served", d)
        verified.append(of[0])
    return passed(*verified) if verified else deviation("no deployment of it is among the facts")


def _verifies(load: Record, deployment: Record) -> bool:
    if isinstance(deployment.fact, e.VersionPromoted):
        return bool(load.fact.deployment == deployment.fact.deployment)
    return bool(load.head.at >= deployment.fact.deployed_at)


def _signer(version: Record, facts: Facts) -> Outcome:
    grant = trail.held(facts, version.head.actor, None, None, version)
    if grant is None:
        return deviation(f"{version.head.actor}, for whom it was signed, held no role then", version)
    return passed(version, grant)
