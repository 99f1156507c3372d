"""AI-01.2: production changes are requested, tested and approved by another person. Pure."""

from __future__ import annotations

from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.attributes import EMERGENCY, deployed, own, tested, words
from affidavit.areas.registry.checks.trail import Change
from affidavit.core.findings import Facts, Item, Outcome, Period, deviation, not_applicable, passed


def production_changes(facts: Facts, period: Period) -> list[Item]:
    """Promotions into production in the period, and deployments that the platform's log shows and none explains."""
    by = trail.explained(facts)
    rows: dict[int, list[int]] = {}
    for index, promotion in by.items():
        rows.setdefault(promotion.index, []).append(index)
    mine = [trail.item_of(r, tuple(rows.get(r.index, ()))) for r in trail.own(facts)]
    theirs = [trail.item_of(g[0], tuple(r.index for r in g[1:])) for g in trail.unexplained(facts, by)]
    return sorted((i for i in (*mine, *theirs) if period.holds(i.at)), key=lambda i: (i.at, i.entries))


def _change_recorded(change: Change, facts: Facts) -> Outcome:
    if change.observed is not None:
        return deviation("the platform's log shows it; no promotion recorded here explains it", change.observed)
    if change.emergency and change.promoted:
        return passed(change.promoted)
    if found := trail.requested(change, facts):
        return passed(found[-1])
    if rests := trail.standing(change, facts):
        version = trail.registered(change, facts)
        return passed(rests[0], *([version] if version else []))
    return deviation("no request names this digest before the deployment", *own(change))


def _evaluation_linked(change: Change, facts: Facts) -> Outcome:
    found = trail.evaluated(change, facts)
    if found is not None:
        return passed(found)
    if change.emergency:
        return not_applicable(EMERGENCY, *own(change))
    return deviation("no evaluation of this digest before it", *own(change))


def _approver_authorised(change: Change, facts: Facts) -> Outcome:
    said = words(change, facts)
    if not said:
        return _unapproved(change)
    for r, role in said:
        if trail.held(facts, r.head.actor, role, change.to, r) is None:
            return deviation(f"{r.head.actor} held no {role or 'role'} in {change.to} when approving", r)
    return passed(*(r for r, _ in said))


def _approver_differs(change: Change, facts: Facts) -> Outcome:
    said = words(change, facts)
    if not said:
        return _unapproved(change)
    version = trail.registered(change, facts)
    asked = trail.requested(change, facts) if trail.approvals(change, facts) else []
    rests = trail.standing(change, facts)
    people = {r.head.actor: "requester" for r in asked}
    if rests and not asked:
        people[rests[0].head.actor] = "proposer"
    if version is not None:
        run = trail.trained(change, facts, version)
        people |= {run.head.actor: "trainer"} if run else {}
        people |= {version.head.actor: "committer", version.fact.author: "author"}
    for r, _ in said:
        if r.head.actor in people:
            return deviation(f"the approver {r.head.actor} is also the {people[r.head.actor]}", r, *own(change))
    return passed(*(r for r, _ in said))


def _approved_before(change: Change, facts: Facts) -> Outcome:
    said = words(change, facts)
    return passed(*(r for r, _ in said)) if said else _unapproved(change)


def _digest_approved(change: Change, facts: Facts) -> Outcome:
    version = trail.registered(change, facts)
    if version is None:
        return deviation(f"no version of {change.model} has the deployed digest", *own(change))
    given = trail.approvals(change, facts)
    if given:
        return passed(version, *given)
    if rests := trail.standing(change, facts):
        problems = trail.leaves_standing(change, facts, rests[0], rests[2])
        if problems:
            return deviation(f"outside the standing authorisation: {'; '.join(problems)}", rests[1], *own(change))
        return passed(version, rests[1])
    if change.emergency:
        return passed(version, *own(change))
    return deviation("no approval names the deployed digest", *own(change))


def _unapproved(change: Change) -> Outcome:
    if change.emergency:
        return not_applicable(EMERGENCY, *own(change))
    return deviation("no approval stood before the deployment", *own(change))


def changes_are_approved(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to F of AI-01.2."""
    tests = {
        "A": deployed(_change_recorded),
        "B": _evaluation_linked,
        "C": deployed(_approver_authorised),
        "D": deployed(_approver_differs),
        "E": deployed(_approved_before),
        "F": deployed(_digest_approved),
    }
    return tested(item, facts, tests)
