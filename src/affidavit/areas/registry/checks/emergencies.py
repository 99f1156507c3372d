"""AI-01.5: emergency changes have an incident before, a review in time after, an evaluation, and are rare. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.attributes import NOT_YET, Test, own, tested, words
from affidavit.areas.registry.checks.changes import production_changes
from affidavit.areas.registry.checks.trail import Change
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Outcome, Period, deviation, not_applicable, not_tested, passed


def unapproved_changes(facts: Facts, period: Period) -> list[Item]:
    """Every item of AI-01.2 without an approval before it, computed anew; with the emergencies among all items."""
    items = production_changes(facts, period)
    changes = [(i, c) for i in items if (c := trail.change_of(i, facts)) is not None]
    real = [c for i, c in changes if not i.drill]
    rate = f"emergencies:{sum(c.emergency for c in real)}/{len(real)}"
    found = []
    for item, change in changes:
        if not words(change, facts):
            due = change.promoted.fact.review_due if change.promoted else None
            pending = ("pending:review",) if due is not None and due > period.end else ()
            found.append(replace(item, refs=(*item.refs, rate, *pending)))
    return found


def emergencies_are_reviewed(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to D of AI-01.5."""
    tests = {"A": _incident_first, "B": _reviewed, "C": _evaluated_after, "D": _rate_below}
    return tested(item, facts, {a: _emergency(t) for a, t in tests.items()})


def _emergency(test: Test) -> Test:
    def run(change: Change, facts: Facts) -> Outcome:
        if change.item.key == trail.CANDIDATE:
            return not_applicable(NOT_YET)
        if not change.emergency:
            return not_applicable(
                "no emergency path was invoked; the deviation is reported under AI-01.2", *own(change)
            )
        return test(change, facts)

    return run


def _incident_first(change: Change, facts: Facts) -> Outcome:
    promoted = change.promoted
    if promoted is None or promoted.fact.incident is None or promoted.fact.incident_entry is None:
        return deviation("no incident is linked", *own(change))
    if promoted.fact.incident_entry >= promoted.index:
        return deviation("the incident was opened after the deployment", promoted)
    return Outcome("pass", "", (promoted.fact.incident_entry, promoted.index))


def _reviewed(change: Change, facts: Facts) -> Outcome:
    promoted = change.promoted
    done = change.about(facts, f"deployment:{change.item.key}", e.BreakGlassReviewed)
    due = promoted.fact.review_due if promoted else None
    if promoted is None or due is None:
        return deviation("no review deadline was recorded", *own(change))
    if not done:
        return _still_open(change, f"no review by {due:%Y-%m-%d %H:%M} UTC")
    review, version = done[0], trail.registered(change, facts)
    if review.head.at > due:
        return deviation(f"reviewed {review.head.at:%Y-%m-%d %H:%M}, due {due:%Y-%m-%d %H:%M} UTC", promoted, review)
    if review.head.actor in (promoted.head.actor, version.fact.author if version else None):
        return deviation("reviewed by who deployed or wrote it", promoted, review)
    if trail.held(facts, review.head.actor, None, change.to, review) is None:
        return deviation(f"{review.head.actor} held no role in {change.to} when reviewing", promoted, review)
    if review.fact.verdict == "revert":
        return _reverted(change, facts, promoted, review)
    return passed(promoted, review)


def _reverted(change: Change, facts: Facts, promoted: Record, review: Record) -> Outcome:
    """A verdict of ``revert`` is met once the version left: by the review, or by the day the review was due."""
    limit = max(review.head.at, promoted.fact.review_due)
    left = [
        r for r in change.about(facts, f"model:{change.model}", e.VersionPromoted)
        if r.fact.to == change.to and r.index > promoted.index and r.head.at <= limit
    ]  # fmt: skip
    if left:
        return passed(promoted, review, left[0])
    return _still_open(change, "the review asked to revert it, and it stayed")


def _still_open(change: Change, told: str) -> Outcome:
    if "pending:review" in change.item.refs:
        return not_tested("the review is not due before the end of the period")
    return deviation(told, *own(change))


def _evaluated_after(change: Change, facts: Facts) -> Outcome:
    found = [r for r in change.about(facts, change.ref, e.EvaluationMeasured) if r.fact.artifact == change.artifact]
    return passed(found[-1]) if found else _still_open(change, "this digest was never evaluated, before or after")


def _rate_below(change: Change, facts: Facts) -> Outcome:
    limit = str(facts.parameter("AI-01.5", "emergency_rate"))
    stated = next((r.removeprefix("emergencies:") for r in change.item.refs if r.startswith("emergencies:")), "1/1")
    part, _, whole = stated.partition("/")
    rate = Decimal(part) / max(Decimal(whole), Decimal(1))
    told = f"{part} of {whole} production changes in the period took the emergency path; the limit is below {limit}"
    if rate >= Decimal(limit):
        return deviation(told, *own(change))
    return Outcome("pass", told, tuple(r.index for r in own(change)))
