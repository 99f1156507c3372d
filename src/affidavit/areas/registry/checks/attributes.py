"""What the tests of production changes share: an attribute is a function of a change and the facts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.trail import Change
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Outcome, deviation, not_applicable

NOT_YET = "the candidate is not deployed: the promotion rule decides this"
EMERGENCY = "emergency path: tested under AI-01.5"
Test = Callable[[Change, Facts], Outcome]


def tested(item: Item, facts: Facts, tests: Mapping[str, Test]) -> dict[str, Outcome]:
    """Every attribute of an item; one whose fact is missing deviates throughout."""
    change = trail.change_of(item, facts)
    if change is None:
        return {a: deviation("the fact behind this item is not in the ledger") for a in tests}
    return {a: test(change, facts) for a, test in tests.items()}


def deployed(test: Test) -> Test:
    """An attribute of a deployment: a candidate has none yet."""
    return lambda change, facts: not_applicable(NOT_YET) if change.item.key == trail.CANDIDATE else test(change, facts)


def own(change: Change) -> tuple[Record, ...]:
    """The records of the change itself."""
    return tuple(r for r in (change.promoted, change.observed) if r is not None)


def words(change: Change, facts: Facts) -> list[tuple[Record, str | None]]:
    """Who said yes beforehand, with the role they said it in: approvals, else the standing authorisation's."""
    given: list[tuple[Record, str | None]] = [(r, r.fact.role) for r in trail.approvals(change, facts)]
    rests = trail.standing(change, facts)
    return given or ([(rests[1], None)] if rests else [])
