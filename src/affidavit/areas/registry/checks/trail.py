"""The trail of a production change through the facts: what was asked, measured, approved, loaded before it. Pure.

Part of check version 1: its source is in the digest of ``v1``. A record is *before* a change by its index
in the log; before an observed deployment by its time.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from affidavit.areas.access.events import GrantApproved, GrantRevoked
from affidavit.areas.lineage.events import RunRecorded
from affidavit.areas.registry import events as e
from affidavit.areas.registry.bounds import meets, ranges_left
from affidavit.core.envelope import Record
from affidavit.core.fields import parse_duration
from affidavit.core.findings import Completeness, Facts, Item, Period

PRODUCTION = "production"
MATCH = timedelta(hours=24)
"""How long after a promotion the platform's log may show it."""
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Change:
    """What an item stands for: a deployment of ours, one only observed, or a candidate."""

    item: Item
    model: str
    number: int | None
    artifact: str
    to: str
    promoted: Record | None = None
    observed: Record | None = None

    @property
    def ref(self) -> str:
        """The version if it is known, else the model."""
        return f"model:{self.model}/{self.number}" if self.number else f"model:{self.model}"

    @property
    def at(self) -> datetime:
        return self.item.at

    def before(self, record: Record) -> bool:
        """Whether a record stood in the log before the change happened."""
        if self.promoted is not None:
            return record.index < self.promoted.index
        return record.head.at <= self.item.at

    def about(self, facts: Facts, ref: str, cls: type) -> list[Record]:
        """Records of a class about ``ref``; a planted record is evidence for planted items alone."""
        return [r for r in facts.about(ref, cls) if self.item.drill or not r.head.drill]

    @property
    def emergency(self) -> bool:
        """Whether the emergency path was invoked."""
        return self.promoted is not None and self.promoted.fact.via == "break-glass"


# ---------------------------------------------------------------- populations


def own(facts: Facts) -> list[Record]:
    """Our promotions into production, in log order."""
    return [r for r in facts.all(e.VersionPromoted) if r.fact.to == PRODUCTION]


def observed(facts: Facts) -> list[Record]:
    """What the platform's log shows to have gone live in production, oldest first."""
    found = [r for r in facts.all(e.DeploymentObserved) if r.fact.env == PRODUCTION]
    return sorted(found, key=lambda r: (r.fact.deployed_at, r.index))


def explained(facts: Facts) -> dict[int, Record]:
    """Index of each observed deployment → the promotion that explains it.

    That is the one live in our books at the time, of the same digest, at most 24 hours old: a digest
    that comes back by hand after another version took its place is explained by none. The two clocks may differ
    by ``clock_skew``. A planted row explains nothing.
    """
    near = clock_skew(facts)
    mine: dict[str, list[Record]] = {}
    for r in own(facts):
        if not r.head.drill:
            mine.setdefault(r.fact.model, []).append(r)
    found = {}
    for o in observed(facts):
        live = mine.get(o.fact.model, [])
        place = bisect_right(live, o.fact.deployed_at + near, key=lambda r: r.head.at)
        for n in range(0 if o.head.drill else place - 1, -1, -1):
            if n + 1 < len(live) and live[n + 1].head.at + near < o.fact.deployed_at:
                break
            if live[n].fact.artifact == o.fact.artifact and o.fact.deployed_at - live[n].head.at <= MATCH:
                found[o.index] = live[n]
                break
    return found


def unexplained(facts: Facts, by: dict[int, Record]) -> list[list[Record]]:
    """Observed deployments that no promotion explains; one push that several sources saw stands together."""
    near, groups = clock_skew(facts), list[list[Record]]()
    for o in observed(facts):
        if o.index in by:
            continue
        for group in reversed(groups):
            if group[0].fact.deployed_at < o.fact.deployed_at - near:
                groups.append([o])
                break
            if _same_push(group, o):
                group.append(o)
                break
        else:
            groups.append([o])
    return groups


def _same_push(group: list[Record], o: Record) -> bool:
    first = group[0]
    same = all(getattr(first.fact, n) == getattr(o.fact, n) for n in ("model", "env", "artifact"))
    return same and first.head.drill == o.head.drill and o.fact.source not in {r.fact.source for r in group}


def clock_skew(facts: Facts) -> timedelta:
    """How far the platform's clock may differ from ours."""
    return parse_duration(str(facts.parameters.get("AI-01.2", {}).get("clock_skew", "PT2M")))


def item_of(record: Record, extra: tuple[int, ...] = ()) -> Item:
    """The item of a promotion, or of an unexplained observed row, with the (other) observed rows that show it."""
    f, drill = record.fact, bool(record.head.drill)
    if isinstance(f, e.VersionPromoted):
        return Item(f.deployment, record.head.at, record.head.refs, (record.index, *extra), drill)
    return Item(f"observed:{f.source}:{f.external}", f.deployed_at, record.head.refs, (record.index, *extra), drill)


def change_of(item: Item, facts: Facts) -> Change | None:
    """The change behind an item; None if its fact is not among the facts."""
    if item.key == CANDIDATE:
        return _candidate(item, facts)
    if item.key.startswith("observed:"):
        for r in facts.about(item.refs[0], e.DeploymentObserved):
            if r.index == item.entries[0]:
                f = r.fact
                known = next((v for v in facts.about(f"model:{f.model}", e.VersionRegistered)
                              if v.fact.artifact == f.artifact and v.fact.model == f.model), None)  # fmt: skip
                number = known.fact.number if known else None
                return Change(item, f.model, number, f.artifact, f.env, observed=r)
        return None
    for r in facts.about(f"deployment:{item.key}", e.VersionPromoted):
        if r.fact.deployment == item.key:
            return Change(item, r.fact.model, r.fact.number, r.fact.artifact, r.fact.to, promoted=r)
    return None


def _candidate(item: Item, facts: Facts) -> Change | None:
    to = next((r.removeprefix("env:") for r in item.refs if r.startswith("env:")), "")
    for ref in item.refs:
        if ref.startswith("model:") and "/" in ref:
            for r in facts.about(ref, e.VersionRegistered):
                return Change(item, r.fact.model, r.fact.number, r.fact.artifact, to)
    return None


# ---------------------------------------------------------------- what stood before a change


def registered(change: Change, facts: Facts) -> Record | None:
    """The registration of exactly this digest."""
    found = [r for r in change.about(facts, change.ref, e.VersionRegistered) if r.fact.artifact == change.artifact]
    return found[-1] if found else None


def evaluated(change: Change, facts: Facts) -> Record | None:
    """The newest evaluation of exactly this digest before the change."""
    found = [r for r in change.about(facts, change.ref, e.EvaluationMeasured) if r.fact.artifact == change.artifact]
    found = [r for r in found if change.before(r)]
    return found[-1] if found else None


def requested(change: Change, facts: Facts) -> list[Record]:
    """Requests that name the digest and the environment, before the change."""
    found = change.about(facts, change.ref, e.PromotionRequested)
    return [r for r in found if _names(r, change) and change.before(r)]


def _names(r: Record, change: Change) -> bool:
    return bool(r.fact.artifact == change.artifact and r.fact.to == change.to)


def approvals(change: Change, facts: Facts) -> list[Record]:
    """Approvals that stood when the change happened; a rollback has those of the deployment it goes back to.

    Computed from the facts alone, whatever way the deployment says it took.
    """
    given = [r for r in change.about(facts, change.ref, e.PromotionApproved) if _names(r, change) and change.before(r)]
    if change.promoted is None:
        return [r for r in given if r.fact.expires > change.at]
    if change.promoted.fact.via == "rollback":
        return [r for d in _earlier(change, facts) for r in given if _stands(r, d)]
    return [r for r in given if _stands(r, change.promoted)]


def _stands(approval: Record, deployment: Record) -> bool:
    """Given before, not expired, and for the gate result that the deployment went through with."""
    f, d = approval.fact, deployment
    return bool(approval.index < d.index and f.expires > d.head.at and f.gate_digest == d.fact.gate_digest)


def _earlier(change: Change, facts: Facts) -> list[Record]:
    """The last deployment of the same digest before a rollback that was not itself a rollback or an emergency."""
    found = [
        r for r in change.about(facts, change.ref, e.VersionPromoted)
        if _names(r, change) and change.before(r) and r.fact.via in ("approval", "standing")
    ]  # fmt: skip
    return found[-1:]


def standing(change: Change, facts: Facts) -> tuple[Record, Record, Record] | None:
    """(proposal, approval, deployment) of the standing authorisation that the change rests on."""
    if change.promoted is None:
        return None
    rests = [change.promoted] if change.promoted.fact.via == "standing" else []
    if change.promoted.fact.via == "rollback":
        rests = [r for r in _earlier(change, facts) if r.fact.via == "standing"]
    for d in rests:
        ref = f"standing:{d.fact.standing}"
        proposed = change.about(facts, ref, e.StandingProposed)
        approved = change.about(facts, ref, e.StandingApproved)
        in_force = [a for a in approved if a.index < d.index]
        if proposed and in_force and proposed[0].fact.expires > d.head.at:
            return proposed[0], in_force[0], d
    return None


def leaves_standing(change: Change, facts: Facts, proposed: Record, deployed: Record) -> list[str]:
    """Every bound of the authorisation that the version leaves, computed again from the facts."""
    version, bounds = registered(change, facts), proposed.fact
    if version is None:
        return ["the version is not registered"]
    problems = [f"{ref} is not among its datasets" for ref in version.fact.datasets if ref not in bounds.datasets]
    if version.fact.code not in bounds.code:
        problems.append(f"code {version.fact.code} is not among its code revisions")
    ranges = {r.name: {"least": r.least, "most": r.most, "equals": r.equals} for r in bounds.ranges}
    problems += ranges_left(version.fact.hyperparameters, ranges, _measure(change, facts, deployed))
    newest = evaluated(change, facts)
    for b in bounds.bounds:
        value = newest.fact.results.get(b.metric) if newest else None
        if value is None or not meets(value, b.direction, b.bound):
            problems.append(f"{b.metric} is {value}, must be {b.direction.replace('-', ' ')} {b.bound}")
    return problems


def _measure(change: Change, facts: Facts, deployed: Record) -> dict[str, str] | None:
    """Hyperparameters of the version that was approved last, before the deployment."""
    model, to = deployed.fact.model, deployed.fact.to
    found = [
        r for r in change.about(facts, f"model:{model}", e.VersionPromoted)
        if r.fact.to == to and r.fact.via == "approval" and r.index < deployed.index and not r.head.drill
    ]  # fmt: skip
    if not found:
        return None
    versions = change.about(facts, f"model:{model}/{found[-1].fact.number}", e.VersionRegistered)
    return dict(versions[-1].fact.hyperparameters) if versions else None


def trained(change: Change, facts: Facts, version: Record) -> Record | None:
    """The training run behind a registration."""
    found = change.about(facts, f"run:{version.fact.run}", RunRecorded)
    return found[-1] if found else None


def waived(change: Change, facts: Facts, control: str, attribute: str, measured: Record) -> Record | None:
    """The approval, by another than its requester, of a waiver of this attribute that stood at the change.

    It accepts exactly what was measured then, and its approver held a role where the change happened.
    """
    for asked in change.about(facts, change.ref, e.WaiverRequested):
        f = asked.fact
        if (f.control, f.attribute, f.measured) != (control, attribute, measured.index) or f.expires <= change.at:
            continue
        for r in change.about(facts, f"waiver:{f.waiver}", e.WaiverApproved):
            other = r.head.actor != asked.head.actor
            if change.before(r) and other and held(facts, r.head.actor, None, change.to, r):
                return r
    return None


def held(facts: Facts, principal: str, role: str | None, env: str | None, when: Record) -> Record | None:
    """The grant by which a principal held a role (None: any) in an environment (None: any) at a record."""
    revoked = {r.fact.grant for r in facts.about(f"principal:{principal}", GrantRevoked) if r.index < when.index}
    for r in facts.about(f"principal:{principal}", GrantApproved):
        f = r.fact
        if f.principal != principal or r.index > when.index or f.grant in revoked:
            continue
        if role in (None, f.role) and (env is None or f.env in ("*", env)):
            return r
    return None


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven only if one deployment log covers the whole period and agrees with our promotions in it."""
    extracts = [r for r in facts.all(e.DeploymentsExtracted) if not r.head.drill]
    sources = sorted({r.fact.source for r in extracts})
    reasons = []
    for source in sources:
        windows = sorted((r.fact.start, r.fact.end) for r in extracts if r.fact.source == source)
        gap = _gap(windows, period)
        problem = gap or _unreconciled(facts, source, windows, period)
        if problem is None:
            how = f"the deployment log of {source} covers the period and shows every promotion recorded here"
            return Completeness(True, how, ("ledger", source))
        reasons.append(f"{source}: {problem}")
    how = "; ".join(reasons) or "single source: no deployment log of the serving platform was taken in"
    return Completeness(False, how, ("ledger", *sources))


def _gap(windows: list[tuple[datetime, datetime]], period: Period) -> str | None:
    reached = period.start
    for start, end in windows:
        if start > reached:
            break
        reached = max(reached, end)
    return None if reached >= period.end else f"the log is not covered from {reached:%Y-%m-%d %H:%M} on"


def _unreconciled(facts: Facts, source: str, windows: list[tuple[datetime, datetime]], period: Period) -> str | None:
    rows = [r for r in facts.all(e.DeploymentObserved) if r.fact.source == source and not r.head.drill]
    for x in (r.fact for r in facts.all(e.DeploymentsExtracted) if r.fact.source == source and not r.head.drill):
        if sum(x.start <= r.fact.deployed_at < x.end for r in rows) < x.rows:
            return f"an extract of {x.rows} rows has fewer in the ledger"
    by = explained(facts)
    shown = {by[r.index].index for r in rows if r.index in by}
    last = max(end for _, end in windows)
    unseen = [
        r.fact.deployment for r in own(facts)
        if period.holds(r.head.at) and not r.head.drill and r.index not in shown and r.head.at + MATCH <= last
    ]  # fmt: skip
    return f"the log does not show {len(unseen)} promotions recorded here, such as {unseen[0]}" if unseen else None
