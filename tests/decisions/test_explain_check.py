"""AI-08.3 tells each way in which an answer can be late, foreign, unfaithful or unreadable, and holds a black box at the gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.checks.explained import ATTRIBUTES, CANDIDATE, CHECK
from affidavit.areas.registry.events import SystemRegistered, VersionRegistered
from affidavit.core.fields import VaultText
from affidavit.core.findings import Facts, Item, Period

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = Period(NOW - timedelta(days=60), NOW + timedelta(days=1))
PARAMETERS = {"AI-08.3": {"answered_within": "P30D", "tiers": ["high"]}}
OTHER = "sha256:" + "9" * 64
RECHECK = e.ExplanationMeasured(
    "planted", 1, "sha256:" + "0" * 64, "planted:tree/1", 0, 90, 50, 50, "0.000000",
    e.Attachment("sha256:" + "0" * 64, 1, "application/json", "explanations"), None, 90, 90,
)  # fmt: skip


def story(
    changes: dict[type, dict[str, Any]] | None = None,
    *,
    answered: int = 5,
    drop: tuple[type, ...] = (),
    more: Any = None,
    actors: Any = None,
) -> Facts:
    """The planted case made right: the answer came after ``answered`` days; then with changed, missing or added facts."""
    _, planted, _ = CHECK.known_bad(NOW)
    records = sorted((r for cls in CHECK.needs for r in planted.all(cls)), key=lambda r: r.index)
    found = []
    for r in records:
        if type(r.fact) in drop:
            continue
        fact = replace(r.fact, **(changes or {}).get(type(r.fact), {}))
        at = NOW - timedelta(days=40 - answered) if isinstance(fact, e.ExplanationAnswered) else r.head.at
        actor = (actors or {}).get(type(fact), r.head.actor)
        found.append(replace(r, fact=fact, head=replace(r.head, at=at, actor=actor, drill=None)))
    if more is not None:
        last = found[-1]
        head = replace(last.head, at=NOW - timedelta(days=1), refs=("model:planted", "model:planted/1"))
        found.append(replace(last, index=last.index + 1, head=head, fact=more))
    return Facts(found, PARAMETERS)


def deviating(facts: Facts) -> dict[str, str]:
    """The attributes that deviate, over every item of the period."""
    items = CHECK.population(facts, PERIOD)
    assert items
    return {a: o.reason for i in items for a, o in CHECK.test(i, facts).items() if o.state == "deviation"}


def test_a_right_answer_passes():
    """A to D pass, E does not apply."""
    facts = story()
    (item,) = CHECK.population(facts, PERIOD)
    assert {a: o.state for a, o in CHECK.test(item, facts).items()} == dict.fromkeys("ABCD", "pass") | {
        "E": "not_applicable"
    }


A = e.ExplanationAnswered
FLAWS: dict[str, tuple[Facts, str, str]] = {
    "late": (story(answered=31), "A", "answered"),
    "due date set too late": (
        story({e.ExplanationRequested: {"due": NOW + timedelta(days=90)}}, answered=35),
        "A",
        "due",
    ),
    "never answered": (story(drop=(A,)), "A", "not answered"),
    "about another decision": (story({A: {"decision": "00000000-0000-7000-8000-00000000bad4"}}), "B", "is about"),
    "no letter": (story({A: {"letter": None}}), "B", "names no letter"),
    "another artifact": (story({VersionRegistered: {"artifact": OTHER}}), "B", "not the registered artifact"),
    "explainer of another artifact": (story({e.ExplainerMeasured: {"artifact": OTHER}}), "C", "no explainer"),
    "never measured": (story(drop=(e.ExplainerMeasured,)), "C", "no explainer"),
    "gain under its bound": (
        story({e.ExplainerMeasured: {"deletion_gain": "0.050000"}}),
        "C",
        "deletion gain is 0.050000",
    ),
    "unstable": (story({e.ExplainerMeasured: {"stability": "0.100000"}}), "C", "stability"),
    "does not sum": (story({e.ExplainerMeasured: {"passed": False}}), "C", "do not sum"),
    "plan never approved": (story(drop=(e.ExplainerApproved,)), "C", "no plan"),
    "plan approved by its proposer": (story(actors={e.ExplainerApproved: "p-" + "1" * 32}), "C", "who proposed"),
    "codes for words": (story({A: {"plain": False}}), "D", "plain words"),
    "no way to contest": (story({A: {"contest": False}}), "D", "way to contest"),
    "refused without a reason": (story({A: {"outcome": "refused", "letter": None}}), "E", "without a reason"),
    "stored ones not computed again": (story(more=replace(RECHECK, agreeing=48)), "B", "2 of 50"),
    "adverse ones unexplained": (story(more=replace(RECHECK, adverse_explained=80)), "B", "10 of 90 adverse"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_is_found(flaw):
    """The flaw's attribute deviates, no other, and the reason names it."""
    facts, attribute, says = FLAWS[flaw]
    found = deviating(facts)
    assert set(found) == {attribute} and says in found[attribute]


def test_what_is_not_due_is_pending():
    """A request that is open and not due at the end of the period deviates in nothing and passes nothing."""
    facts = story(
        {e.ExplanationRequested: {"received": NOW - timedelta(days=2), "due": NOW + timedelta(days=28)}}, drop=(A,)
    )
    (item,) = CHECK.population(facts, PERIOD)
    assert {o.state for o in CHECK.test(item, facts).values()} == {"not_applicable"}


def test_a_refusal_with_a_reason_passes():
    """Nothing but time and reason is judged."""
    facts = story(
        {
            A: {
                "outcome": "refused",
                "letter": None,
                "reason": VaultText(commit=OTHER, vault="00000000-0000-7000-8000-00000000bad5"),
            }
        }
    )
    (item,) = CHECK.population(facts, PERIOD)
    states = {a: o.state for a, o in CHECK.test(item, facts).items()}
    assert states == {"A": "pass", "B": "not_applicable", "C": "not_applicable", "D": "not_applicable", "E": "pass"}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (story(), "pass"),
        (story(drop=(e.ExplainerMeasured,)), "deviation"),
        (story({SystemRegistered: {"tier": "limited"}}, drop=(e.ExplainerMeasured,)), "not_applicable"),
        (story({SystemRegistered: {"tier": "prohibited"}}, drop=(e.ExplainerMeasured,)), "deviation"),
        (Facts((), PARAMETERS), "deviation"),
    ],
    ids=["measured", "black box", "limited tier", "prohibited tier", "empty ledger"],
)
def test_the_gate_asks_for_a_measured_explainer(facts, state):
    """C of a candidate: a model of a high tier needs one, of this very artifact; other tiers do not; nothing else is asked."""
    candidate = Item("candidate", NOW, ("model:planted", "model:planted/1", "env:production"), ())
    (item,) = CHECK.candidates(candidate, facts)
    found = CHECK.test(item, facts)
    assert item.key == CANDIDATE and found["C"].state == state
    assert {found[a].state for a in ATTRIBUTES if a != "C"} == {"not_applicable"}


def test_known_bad_completeness_and_the_empty_ledger():
    """The planted late answer is found; completeness is never proven; planted facts are no evidence for real items."""
    item, facts, attribute = CHECK.known_bad(NOW)
    found = CHECK.test(item, facts)
    assert {a for a, o in found.items() if o.state == "deviation"} == {attribute}
    assert CHECK.population(Facts((), PARAMETERS), PERIOD) == []
    assert not CHECK.completeness(facts, PERIOD, [item]).proven
    real = CHECK.test(replace(item, drill=False), facts)
    assert real["A"].state == "deviation" and "not answered" in real["A"].reason
