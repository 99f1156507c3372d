"""AI-04.2, version 1: every production promotion of an in-scope system was tested by group, under its plan.

An item is a deployment: a promotion recorded here, or one that only the serving platform's log shows. Those of
systems out of scope stay in the population with every attribute ``not_applicable``. Frozen once released
(``checks.lock``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from affidavit.areas.access.events import GrantApproved, GrantRevoked
from affidavit.areas.fairness import events as e
from affidavit.areas.fairness.checks.trail import CONTROL, PRODUCTION, Change, change_of, population, tier_of, waived
from affidavit.areas.registry.events import (
    DeploymentObserved,
    DeploymentsExtracted,
    ModelRegistered,
    PromotionApproved,
    SystemRegistered,
    VersionPromoted,
    VersionRegistered,
    WaiverApproved,
    WaiverRequested,
)
from affidavit.core.envelope import Auth, Cmd, Head, Record, tag_of
from affidavit.core.fields import Attachment, VaultText, time_text
from affidavit.core.findings import Check, Completeness, Facts, Item, Outcome, Period, deviation, not_applicable, passed

ATTRIBUTES = ("A", "B", "C", "D", "E")
PROHIBITED = "prohibited"
SOURCES = tuple(f"affidavit.areas.fairness.checks.{m}" for m in ("trail", "v1"))
"""Modules whose bytes make the check digest."""

# ---------------------------------------------------------------- attributes


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A test on the digest, B under the plan in force, C sizes kept, D bounds kept or accepted, E by another hand.

    The scope is the system's risk tier (parameter ``tiers``); a model of no registered system counts as in scope, one
    of a prohibited system always is, and deviates in D whatever its test says.
    """
    change = change_of(item, facts)
    if change is None:
        return dict.fromkeys(ATTRIBUTES, deviation("the fact behind this item is not in the ledger"))
    tier, tiers = tier_of(change, facts), facts.parameter(CONTROL, "tiers")
    prohibited = tier is not None and tier[0] == PROHIBITED
    if tier is not None and not prohibited and tier[0] not in tiers:
        said = f"the system's tier {tier[0]} is outside the scope ({', '.join(map(str, tiers))})"
        return dict.fromkeys(ATTRIBUTES, not_applicable(said, tier[1]))
    found = _tested(change, facts)
    if tier is not None and prohibited:
        found["D"] = deviation(
            "the system's tier is prohibited: no test makes a release of it right", tier[1], *change.own
        )
    return found


def _tested(change: Change, facts: Facts) -> dict[str, Outcome]:
    assessed = _assessed(change, facts)
    if assessed is None:
        return _untested(change, facts)
    plan = next(iter(change.about(facts, f"plan:{assessed.fact.plan}", e.FairnessPlanProposed)), None)
    return {
        "A": passed(assessed, *change.own),
        "B": _plan(change, assessed, plan, facts),
        "C": _sizes(assessed, plan),
        "D": _bounds(change, assessed, facts),
        "E": _tester(change, assessed, facts),
    }


def _about(change: Change, facts: Facts) -> list[Record]:
    """Every assessment of the model before the change, in log order."""
    return [r for r in change.about(facts, f"model:{change.model}", e.FairnessAssessed) if change.before(r)]


def _assessed(change: Change, facts: Facts) -> Record | None:
    """The newest assessment of exactly this digest before the change."""
    found = [r for r in _about(change, facts) if r.fact.artifact == change.artifact]
    return found[-1] if found else None


def _untested(change: Change, facts: Facts) -> dict[str, Outcome]:
    if change.via == "break-glass":
        said = not_applicable("emergency path: evaluation afterwards is tested under AI-01.5", *change.own)
        return dict.fromkeys(ATTRIBUTES, said)
    others = [r for r in _about(change, facts) if r.fact.number == change.number]
    why = "no fairness test of this digest before it"
    if others:
        why = f"the fairness test was of another digest, {others[-1].fact.artifact}"
    rest = not_applicable("there is no fairness test of this digest to examine")
    return dict.fromkeys(ATTRIBUTES, rest) | {"A": deviation(why, *others[-1:], *change.own)}


def _plan(change: Change, assessed: Record, plan: Record | None, facts: Facts) -> Outcome:
    """The plan was in force when the test was made, still is at the promotion (a rollback aside), and was judged whole.

    A plan that was approved after this digest had missed an earlier one needs a waiver.
    """
    plans = change.about(facts, f"model:{change.model}", e.FairnessPlanApproved)
    approved = [r for r in plans if r.index < assessed.index]
    if not approved or plan is None:
        return deviation("no fairness plan was in force before the test", assessed)
    current = approved[-1]
    if current.fact.plan != assessed.fact.plan:
        return deviation(
            f"the test used plan {assessed.fact.plan}; {current.fact.plan} was in force", assessed, current
        )
    if current.fact.review_by <= assessed.head.at:
        return deviation(f"the plan was due for review {time_text(current.fact.review_by)}", assessed, current)
    if current.head.actor == plan.head.actor:
        return deviation("the plan was approved by who proposed it", plan, current)
    f: e.FairnessAssessed = assessed.fact
    if (f.dataset, f.split) != (plan.fact.dataset, plan.fact.split):
        return deviation(f"the test was made on {f.dataset} {f.split}, which the plan does not name", assessed, plan)
    if [_key(v) for v in f.verdicts] != [_key(t) for t in plan.fact.thresholds]:
        return deviation("the test does not judge what the plan asks", assessed, plan)
    newer = [r for r in plans if r.index > assessed.index and change.before(r)]
    if newer and change.via != "rollback":
        return deviation(f"plan {newer[-1].fact.plan} came into force after the test", assessed, newer[-1])
    if current.fact.review_by <= change.item.at and change.via != "rollback":
        return deviation(f"the plan was due for review {time_text(current.fact.review_by)}", current, *change.own)
    return _not_loosened(change, assessed, current, facts) or passed(plan, current, assessed)


def _not_loosened(change: Change, assessed: Record, current: Record, facts: Facts) -> Outcome | None:
    """The outcome of B if this digest had missed an earlier plan and the plan of its test was approved after that."""
    earlier = [
        r for r in _about(change, facts)
        if r.fact.artifact == change.artifact and r.fact.plan != current.fact.plan and r.index < current.index
    ]  # fmt: skip
    missed = next((r for r in reversed(earlier) if _all_missed(r)), None)
    if missed is None:
        return None
    said = (
        f"entry {missed.index}: this digest missed plan {missed.fact.plan}; entry {current.index}: plan"
        f" {current.fact.plan} was approved after that"
    )
    accepted = waived(change, assessed, "B", facts)
    if accepted is not None:
        return Outcome("pass", f"accepted by a waiver: {said}", (missed.index, current.index, accepted.index))
    return deviation(said, missed, current, assessed)


def _all_missed(assessed: Record) -> list[str]:
    missed = [why for v in assessed.fact.verdicts if (why := _missed(v))]
    return missed if assessed.fact.verdicts else ["nothing was judged"]


def _key(t: e.FairThreshold | e.FairVerdict) -> tuple[Any, ...]:
    return t.metric, t.groups, t.aggregate, t.direction, t.bound


def _name(v: e.FairVerdict) -> str:
    return f"{v.metric} by {' x '.join(v.groups)} ({v.aggregate})"


def _sizes(assessed: Record, plan: Record | None) -> Outcome:
    """A group under the plan's minimum may be reported as insufficient, never as met."""
    least = {_key(t): t.min_n for t in plan.fact.thresholds} if plan else {}
    for v in assessed.fact.verdicts:
        if v.verdict == "met" and (v.value is None or v.smallest_n < least.get(_key(v), 1)):
            needed = least.get(_key(v), 1)
            return deviation(f"{_name(v)} is called met with {v.smallest_n} rows in a group; {needed} needed", assessed)
    return passed(assessed)


def _bounds(change: Change, assessed: Record, facts: Facts) -> Outcome:
    """Judged again from value and bound. For a candidate the gate applies waivers, so that they show."""
    missed = _all_missed(assessed)
    if not missed:
        return passed(assessed)
    accepted = waived(change, assessed, "D", facts)
    if accepted is not None:
        return Outcome("pass", f"accepted by a waiver: {'; '.join(missed)}", (assessed.index, accepted.index))
    return deviation("; ".join(missed), assessed, *change.own)


def _missed(v: e.FairVerdict) -> str | None:
    if v.verdict == "insufficient-data" or v.value is None:
        return f"{_name(v)}: insufficient data, {v.smallest_n} rows in the smallest group"
    value, bound = Decimal(v.value), Decimal(v.bound)
    beyond = value > bound if v.direction == "at-most" else value < bound
    return f"{_name(v)} is {v.value}, {v.direction.replace('-', ' ')} {v.bound}" if beyond else None


def _tester(change: Change, assessed: Record, facts: Facts) -> Outcome:
    """The service computed it from stored predictions, or a person who did not write the version did."""
    if assessed.fact.by == "service":
        return passed(assessed)
    versions = [
        r for r in change.about(facts, f"model:{change.model}", VersionRegistered) if r.fact.artifact == change.artifact
    ]
    people = {p for r in versions for p in (r.fact.author, r.head.actor)}
    if not versions or assessed.head.actor in people:
        return deviation(f"the test is claimed by {assessed.head.actor}, who wrote or registered the version", assessed)
    return passed(assessed, versions[-1])


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven where a deployment log covers the period and the register classes every promotion in or out of scope."""
    changes = [c for i in items if not i.drill and (c := change_of(i, facts)) is not None]
    unclassed = sorted({c.model for c in changes if tier_of(c, facts) is None})
    extracts = [r.fact for r in facts.all(DeploymentsExtracted) if not r.head.drill]
    covering = [
        s for s in sorted({x.source for x in extracts}) if _covers([x for x in extracts if x.source == s], period)
    ]
    if not covering:
        how = "single source: no deployment log of the serving platform covers the period"
        return Completeness(proven=False, how=how, sources=("ledger",))
    sources = ("ledger", *covering)
    if unclassed:
        return Completeness(proven=False, how=f"{unclassed[0]} belongs to no registered system", sources=sources)
    how = f"the deployment log of {covering[0]} covers the period; each of {len(items)} promotions is classed by tier"
    return Completeness(proven=True, how=how, sources=sources)


def _covers(extracts: list[DeploymentsExtracted], period: Period) -> bool:
    reached = period.start
    for x in sorted(extracts, key=lambda x: x.start):
        if x.start > reached:
            break
        reached = max(reached, x.end)
    return reached >= period.end


# ---------------------------------------------------------------- the known-bad case


def _planted(index: int, at: datetime, fact: object, actor: str, *refs: str) -> Record:
    zero = "sha256:" + "0" * 64
    cmd = Cmd(f"00000000-0000-7000-8000-{index:012x}", zero, 1, 1)
    stream = refs[0].split("/", maxsplit=1)[0]
    tag = tag_of(type(fact))
    return Record(
        index, Head("planted", stream, index, tag, 1, at, cmd, actor, Auth("os-user"), refs, zero, drill=True), fact
    )


def known_bad(now: datetime) -> tuple[Item, Facts, str]:
    """A biased model of a high-risk system, promoted although its true positive rate differs by 0.3 where 0.1 is the bound."""
    zero, ident = "sha256:" + "0" * 64, "00000000-0000-7000-8000-00000000bad0"
    text, hour = VaultText(commit=zero, vault=ident), timedelta(hours=1)
    anna, ben = "p-" + "1" * 32, "p-" + "2" * 32
    model, version, plan, data = "model:planted", "model:planted/1", f"plan:{ident}", "dataset:planted/1"
    attached = Attachment(zero, 1, "application/json", "table")
    bound = e.FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.100000", 30)
    verdict = e.FairVerdict(
        "tpr", ("SEX",), "difference", "at-most", "0.100000", "breached", "0.300000", "0.250000", "0.350000", 400
    )
    facts: list[tuple[object, str, tuple[str, ...]]] = [
        (SystemRegistered("planted", text, anna, "high", text, "deployer", ("EU",), text), anna, ("system:planted",)),
        (ModelRegistered("planted", "planted"), anna, (model, "system:planted")),
        (e.FairnessPlanProposed(ident, "planted", data, "test", (bound,), text, text), anna, (model, plan, data)),
        (e.FairnessPlanApproved(ident, "planted", now + hour), ben, (model, plan, data)),
        (VersionRegistered("planted", 1, zero, 1, 1, "lightgbm", attached, ident, (data,), now - hour, now, "0", zero,
                           {"seed": "1"}, {"auc": "0.800000"}, "test", anna), anna, (model, version)),
        (e.FairnessAssessed("planted", 1, zero, ident, data, "test", zero, 800, 0, zero, (verdict,), attached, "service"),
         anna, (model, version, plan, data)),
        (VersionPromoted(ident, "planted", 1, zero, PRODUCTION, "approval", (), zero), ben,
         (model, version, f"deployment:{ident}", "env:production")),
    ]  # fmt: skip
    start = now - hour * len(facts)
    records = [_planted(i, start + hour * i, fact, who, *refs) for i, (fact, who, refs) in enumerate(facts)]
    last = records[-1]
    return Item(ident, last.head.at, last.head.refs, (last.index,), drill=True), Facts(records), "D"


CHECKS = (
    Check(
        CONTROL,
        (
            VersionPromoted, DeploymentObserved, DeploymentsExtracted, VersionRegistered, ModelRegistered,
            SystemRegistered, WaiverRequested, WaiverApproved, PromotionApproved, GrantApproved, GrantRevoked,
            e.FairnessPlanProposed, e.FairnessPlanApproved, e.FairnessAssessed,
        ),
        population,
        test,
        completeness,
        known_bad,
    ),
)  # fmt: skip
