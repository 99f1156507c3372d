"""What AI-04.2 tests: the promotions, the change behind each, its tier, and the waivers that stood at it. Pure.

Part of check version 1: its source is in the digest of ``v1``.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import timedelta

from affidavit.areas.access.events import GrantApproved, GrantRevoked
from affidavit.areas.registry.events import (
    DeploymentObserved,
    ModelRegistered,
    PromotionApproved,
    SystemRegistered,
    VersionPromoted,
    VersionRegistered,
    WaiverApproved,
    WaiverRequested,
)
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Period

CONTROL = "AI-04.2"
PRODUCTION, CANDIDATE = "production", "candidate"
MATCH = timedelta(hours=24)
"""How long after a promotion the platform's log may show it."""
APPROVER = "approver"
"""The role that accepts a risk where no promotion into production was ever approved in another one."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an item stands for: a promotion of ours, an observed deployment, or a candidate."""

    item: Item
    model: str
    number: int | None
    artifact: str
    promoted: Record | None = None
    observed: Record | None = None

    @property
    def own(self) -> tuple[Record, ...]:
        """The records of the change itself."""
        return tuple(r for r in (self.promoted, self.observed) if r is not None)

    @property
    def via(self) -> str:
        return self.promoted.fact.via if self.promoted else ""

    def about(self, facts: Facts, ref: str, cls: type) -> list[Record]:
        """Records of a class about ``ref``; a planted record is evidence for planted items alone."""
        return [r for r in facts.about(ref, cls) if self.item.drill or not r.head.drill]

    def before(self, record: Record) -> bool:
        """Whether a record stood in the log before the change happened."""
        if self.promoted is not None:
            return record.index < self.promoted.index
        return record.head.at <= self.item.at


# ---------------------------------------------------------------- population


def population(facts: Facts, period: Period) -> list[Item]:
    """Promotions into production in the period, and deployments of the platform's log that none of them explains."""
    mine = [r for r in facts.all(VersionPromoted) if r.fact.to == PRODUCTION]
    items = [Item(r.fact.deployment, r.head.at, r.head.refs, (r.index,), bool(r.head.drill)) for r in mine]
    live: dict[str, list[Record]] = {}
    for r in mine:
        if not r.head.drill:
            live.setdefault(r.fact.model, []).append(r)
    for r in facts.all(DeploymentObserved):
        if r.fact.env == PRODUCTION and not _explained(r, live.get(r.fact.model, [])):
            key = f"observed:{r.fact.source}:{r.fact.external}"
            items.append(Item(key, r.fact.deployed_at, r.head.refs, (r.index,), bool(r.head.drill)))
    return sorted((i for i in items if period.holds(i.at)), key=lambda i: (i.at, i.entries))


def _explained(observed: Record, live: list[Record]) -> bool:
    """Whether our last promotion of the model before it has the same digest and is at most 24 hours old."""
    f = observed.fact
    place = bisect_right(live, f.deployed_at, key=lambda r: r.head.at)
    last = live[place - 1] if place else None
    return last is not None and last.fact.artifact == f.artifact and f.deployed_at - last.head.at <= MATCH


def change_of(item: Item, facts: Facts) -> Change | None:
    """The change behind an item; None if its fact is not among the facts."""
    if item.key == CANDIDATE:
        versions = [r for ref in item.refs if ref.startswith("model:") for r in facts.about(ref, VersionRegistered)]
        named = [r.fact for r in versions if f"model:{r.fact.model}/{r.fact.number}" in item.refs]
        return Change(item, named[0].model, named[0].number, named[0].artifact) if named else None
    if item.key.startswith("observed:"):
        for r in facts.about(item.refs[0], DeploymentObserved):
            if r.index == item.entries[0]:
                versions = facts.about(f"model:{r.fact.model}", VersionRegistered)
                known = [v.fact for v in versions if item.drill or not v.head.drill]
                number = next((v.number for v in known if v.artifact == r.fact.artifact), None)
                return Change(item, r.fact.model, number, r.fact.artifact, observed=r)
        return None
    for r in facts.about(f"deployment:{item.key}", VersionPromoted):
        if r.fact.deployment == item.key:
            return Change(item, r.fact.model, r.fact.number, r.fact.artifact, promoted=r)
    return None


def tier_of(change: Change, facts: Facts) -> tuple[str, Record] | None:
    """(risk tier, the register's line) of the model's system when the change happened; None if it has none."""
    models = [r for r in change.about(facts, f"model:{change.model}", ModelRegistered) if r.fact.model == change.model]
    if not models:
        return None
    lines = change.about(facts, f"system:{models[-1].fact.system}", SystemRegistered)
    before = [r for r in lines if change.before(r)] or lines
    return (before[-1].fact.tier, before[-1]) if before else None


# ---------------------------------------------------------------- waivers


def waived(change: Change, assessed: Record, attribute: str, facts: Facts) -> Record | None:
    """The approval of a waiver of this attribute, for this very test, that stood at the change.

    By another than its requester, who held an approving role in production then. A candidate has none: the gate
    applies waivers itself, so that they show.
    """
    if change.item.key == CANDIDATE:
        return None
    for asked in change.about(facts, f"model:{change.model}", WaiverRequested):
        f = asked.fact
        if (f.number, f.control, f.attribute) != (change.number, CONTROL, attribute) or f.expires <= change.item.at:
            continue
        if f.measured != assessed.index and (f.measured is not None or asked.index < assessed.index):
            continue
        for r in change.about(facts, f"waiver:{f.waiver}", WaiverApproved):
            sound = r.fact.waiver == f.waiver and change.before(r) and r.head.actor != asked.head.actor
            if sound and held(change, r, facts):
                return r
    return None


def held(change: Change, approval: Record, facts: Facts) -> bool:
    """Whether who approved held, then and in production, a role in which promotions into it are approved."""
    given = [r.fact for r in facts.all(PromotionApproved) if change.item.drill or not r.head.drill]
    roles = {f.role for f in given if f.to == PRODUCTION} or {APPROVER}
    ref = f"principal:{approval.head.actor}"
    revoked = {r.fact.grant for r in change.about(facts, ref, GrantRevoked) if r.index < approval.index}
    return any(
        r.index < approval.index
        and r.fact.principal == approval.head.actor
        and r.fact.grant not in revoked
        and r.fact.role in roles
        and r.fact.env in ("*", PRODUCTION)
        for r in change.about(facts, ref, GrantApproved)
    )
