"""AI-08.3: people who ask are answered in time, faithfully and plainly; a model of a regulated tier has a measured explainer. Pure.

Items are (a) requests, by request id, and (b) rechecks of a version's stored explanations, which count its adverse
decisions over the whole decision log. A candidate for promotion is tested in C alone: no black box where it matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from affidavit.areas.decisions import events_people as e
from affidavit.areas.registry.events import ModelRegistered, SystemRegistered, VersionRegistered
from affidavit.core.envelope import Auth, Cmd, Head, Record, tag_of
from affidavit.core.fields import Attachment, VaultText, parse_duration, time_text
from affidavit.core.findings import (
    Check,
    Completeness,
    Facts,
    Item,
    Outcome,
    Period,
    deviation,
    not_applicable,
    passed,
)

CONTROL = "AI-08.3"
ATTRIBUTES = ("A", "B", "C", "D", "E")
CANDIDATE, PENDING = "candidate", "pending:answer"
Tests = dict[str, Outcome]

# ---------------------------------------------------------------- population


def population(facts: Facts, period: Period) -> list[Item]:
    """Requests received in the period, and rechecks made in it. One not due at its end is marked pending."""
    items = []
    for r in facts.all(e.ExplanationRequested):
        pending = (PENDING,) if r.fact.due > period.end else ()
        items.append(Item(r.fact.request, r.fact.received, (*r.head.refs, *pending), (r.index,), bool(r.head.drill)))
    for r in facts.all(e.ExplanationMeasured):
        f: e.ExplanationMeasured = r.fact
        key = f"adverse:{f.model}/{f.number}:{r.index}"
        items.append(Item(key, r.head.at, r.head.refs, (r.index,), bool(r.head.drill)))
    return sorted((i for i in items if period.holds(i.at)), key=lambda i: (i.at, i.entries))


def test(item: Item, facts: Facts) -> Tests:
    """A answered in time, B of that decision and version, C by a method whose fidelity passed, D plain and contestable, E refusals say why."""
    if item.key == CANDIDATE:
        return _candidate(item, facts)
    if item.key.startswith("adverse:"):
        return _one(item, facts, e.ExplanationMeasured, _rechecked)
    return _one(item, facts, e.ExplanationRequested, _request)


def _one(item: Item, facts: Facts, cls: type, judge: Callable[[Item, Record, Facts], Tests]) -> Tests:
    for ref in item.refs:
        for r in facts.about(ref, cls):
            if r.index == item.entries[0]:
                return judge(item, r, facts)
    return dict.fromkeys(ATTRIBUTES, deviation("the fact behind this item is not in the ledger"))


def _sound(item: Item, records: list[Record]) -> list[Record]:
    """Planted records are evidence for planted items alone."""
    return [r for r in records if item.drill or not r.head.drill]


# ---------------------------------------------------------------- (a) requests


def _request(item: Item, asked: Record, facts: Facts) -> Tests:
    found = _sound(item, facts.about(f"explanation:{asked.fact.request}", e.ExplanationAnswered))
    if not found:
        if PENDING in item.refs:
            said = not_applicable(f"open at the end of the period, due {time_text(asked.fact.due)}", asked)
            return dict.fromkeys(ATTRIBUTES, said)
        rest = dict.fromkeys(ATTRIBUTES, not_applicable("there is no answer to examine", asked))
        return rest | {"A": deviation(f"not answered, due {time_text(asked.fact.due)}", asked)}
    answer = found[0]
    if answer.fact.outcome != "letter":
        said = not_applicable(f"answered without a letter: {answer.fact.outcome}", answer)
        told = answer.fact.reason is not None
        why = passed(answer) if told else deviation(f"{answer.fact.outcome} without a reason", answer)
        return {"A": _in_time(asked, answer, facts), "B": said, "C": said, "D": said, "E": why}
    return {
        "A": _in_time(asked, answer, facts),
        "B": _belongs(item, asked, answer, facts),
        "C": _faithful(item, answer.fact.model, answer.fact.number, answer.fact.artifact, answer.index, facts),
        "D": _plain(answer),
        "E": not_applicable("nothing was refused", answer),
    }


def _in_time(asked: Record, answer: Record, facts: Facts) -> Outcome:
    within = parse_duration(str(facts.parameter(CONTROL, "answered_within")))
    due = min(asked.fact.due, asked.fact.received + within)
    if answer.head.at > due:
        return deviation(f"answered {time_text(answer.head.at)}, due {time_text(due)}", asked, answer)
    return passed(asked, answer)


def _belongs(item: Item, asked: Record, answer: Record, facts: Facts) -> Outcome:
    f: e.ExplanationAnswered = answer.fact
    if f.decision != asked.fact.decision:
        return deviation(f"the answer is about {f.decision}, the request about {asked.fact.decision}", asked, answer)
    if f.letter is None or f.explanation is None:
        return deviation("the answer names no letter, or no explanation that it rests on", answer)
    versions = _sound(item, facts.about(f"model:{f.model}/{f.number}", VersionRegistered))
    if not any(v.fact.artifact == f.artifact for v in versions):
        return deviation(f"{f.artifact} is not the registered artifact of {f.model}/{f.number}", answer, *versions)
    return passed(asked, answer, *versions[-1:])


def _plain(answer: Record) -> Outcome:
    lacks = [
        n
        for n, there in (("plain words for every detail", answer.fact.plain), ("a way to contest", answer.fact.contest))
        if not there
    ]
    return deviation(f"the letter lacks {' and '.join(lacks)}", answer) if lacks else passed(answer)


# ---------------------------------------------------------------- (b) adverse decisions


def _rechecked(item: Item, measured: Record, facts: Facts) -> Tests:
    f: e.ExplanationMeasured = measured.fact
    scope = _out_of_scope(item, f.model, facts)
    if scope is not None:
        return dict.fromkeys(ATTRIBUTES, scope)
    none = not_applicable("nobody asked: adverse decisions of the version as a whole", measured)
    return {
        "A": none, "B": _all_explained(measured), "D": none, "E": none,
        "C": _faithful(item, f.model, f.number, f.artifact, measured.index, facts),
    }  # fmt: skip


def _all_explained(measured: Record) -> Outcome:
    f: e.ExplanationMeasured = measured.fact
    if f.agreeing < f.compared:
        return deviation(
            f"{f.compared - f.agreeing} of {f.compared} stored explanations are not computed again", measured
        )
    if f.adverse is None or f.adverse_explained is None:
        return not_applicable("adverse decisions were not counted", measured)
    if f.adverse_explained < f.adverse:
        return deviation(
            f"{f.adverse - f.adverse_explained} of {f.adverse} adverse decisions have no explanation", measured
        )
    return passed(measured)


# ---------------------------------------------------------------- fidelity, and the gate


def _candidate(item: Item, facts: Facts) -> Tests:
    found = dict.fromkeys(ATTRIBUTES, not_applicable("a candidate has made no decision yet"))
    named = [r.fact for ref in item.refs if ref.startswith("model:") for r in facts.about(ref, VersionRegistered)]
    version = next((f for f in named if f"model:{f.model}/{f.number}" in item.refs), None)
    if version is None:
        return found | {"C": deviation("the version behind this candidate is not in the ledger")}
    scope = _out_of_scope(item, version.model, facts)
    if scope is not None:
        return found | {"C": scope}
    return found | {"C": _faithful(item, version.model, version.number, version.artifact, None, facts)}


def _out_of_scope(item: Item, model: str, facts: Facts) -> Outcome | None:
    """Why the model's tier asks for nothing; None if it does. A model of no registered system is in scope."""
    tiers = [*facts.parameter(CONTROL, "tiers"), "prohibited"]
    for m in _sound(item, facts.about(f"model:{model}", ModelRegistered)):
        for s in reversed(_sound(item, facts.about(f"system:{m.fact.system}", SystemRegistered))):
            if s.fact.tier in tiers:
                return None
            return not_applicable(f"the system's tier {s.fact.tier} is outside the scope ({', '.join(tiers)})", s)
    return None


def _faithful(item: Item, model: str, number: int, artifact: str, before: int | None, facts: Facts) -> Outcome:
    """The newest measurement of exactly this artifact meets a plan that another person had approved before it was made."""
    mine = [
        r for r in _sound(item, facts.about(f"model:{model}/{number}", e.ExplainerMeasured))
        if r.fact.artifact == artifact and (before is None or r.index < before)
    ]  # fmt: skip
    if not mine:
        return deviation(f"no explainer of {model}/{number} ({artifact}) was measured before")
    last: Record = mine[-1]
    plans = _sound(item, facts.about(f"plan:{last.fact.plan}", e.ExplainerPlanned))
    approvals = [
        r for r in _sound(item, facts.about(f"plan:{last.fact.plan}", e.ExplainerApproved)) if r.index < last.index
    ]
    if not plans or not approvals:
        return deviation("the explainer was measured under no plan that was approved before", last)
    if plans[0].head.actor == approvals[0].head.actor:
        return deviation("the explainer plan was approved by who proposed it", plans[0], approvals[0])
    missed = [
        f"{name} is {value}, at least {bound} was planned"
        for name, value, bound in (
            ("deletion gain", last.fact.deletion_gain, plans[0].fact.deletion_gain),
            ("stability", last.fact.stability, plans[0].fact.stability),
        )
        if Decimal(value) < Decimal(bound)
    ]
    if missed or not last.fact.passed:
        return deviation("; ".join(missed) or "the attributions do not sum to the margin", last, plans[0])
    return passed(plans[0], approvals[0], last)


# ---------------------------------------------------------------- completeness, and the known-bad case


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Never proven: requests are those that people took in, and no extract of the intake channels is compared with them."""
    asked = sum(not i.key.startswith("adverse:") for i in items)
    how = (
        f"single source: {asked} requests as taken in, compared with no list of the intake channels; adverse decisions are"
        f" counted over the decision log by {len(items) - asked} rechecks (AI-08.1 says whether that log is whole)"
    )
    return Completeness(proven=False, how=how, sources=("ledger",))


def _planted(index: int, at: datetime, fact: object, actor: str, *refs: str) -> Record:
    zero = "sha256:" + "0" * 64
    cmd = Cmd(f"00000000-0000-7000-8000-{index:012x}", zero, 1, 1)
    stream = refs[0].split("/", maxsplit=1)[0]
    head = Head(
        "planted", stream, index, tag_of(type(fact)), 1, at, cmd, actor, Auth("os-user"), refs, zero, drill=True
    )
    return Record(index, head, fact)


def known_bad(now: datetime) -> tuple[Item, Facts, str]:
    """A person asked why, and the letter came 40 days later; all else about it is right."""
    zero, ident = "sha256:" + "0" * 64, "00000000-0000-7000-8000-00000000bad3"
    text, anna, ben = VaultText(commit=zero, vault=ident), "p-" + "1" * 32, "p-" + "2" * 32
    attached = Attachment(zero, 1, "application/json", "fidelity")
    model, version, plan, asked = "model:planted", "model:planted/1", f"plan:{ident}", now - timedelta(days=40)
    early = asked - timedelta(days=9)
    facts: list[tuple[datetime, object, str, tuple[str, ...]]] = [
        (early, SystemRegistered("planted", text, anna, "high", text, "deployer", ("EU",), text), anna, ("system:planted",)),
        (early, ModelRegistered("planted", "planted"), anna, (model, "system:planted")),
        (early, VersionRegistered("planted", 1, zero, 1, 1, "lightgbm", attached, ident, ("dataset:planted/1",), early, early, "0",
                                  zero, {"seed": "1"}, {"auc": "0.800000"}, "test", anna), anna, (model, version)),
        (early, e.ExplainerPlanned(ident, "planted", "tree", "0.100000", "0.800000", text, attached), anna, (model, plan)),
        (early, e.ExplainerApproved(ident, "planted"), ben, (model, plan)),
        (early, e.ExplainerMeasured(ident, "planted", 1, zero, "tree", "planted:tree/1", zero, "dataset:planted/1", 200, (0, 1, 2, 3),
                                    "0.400000", "0.950000", "0.000000", passed=True, code=zero, results=attached), anna,
         (model, version, plan)),
        (asked, e.ExplanationRequested(ident, ident, "portal", "explain", asked, asked + timedelta(days=30)), ben,
         (f"explanation:{ident}", f"decision:{ident}")),
        (now, e.ExplanationAnswered(ident, ident, "letter", "planted", 1, zero, recomputed=True, plain=True, contest=True, letter=zero,
                                    explanation=zero),
         ben, (f"explanation:{ident}", f"decision:{ident}")),
    ]  # fmt: skip
    records = [_planted(i, at, fact, who, *refs) for i, (at, fact, who, refs) in enumerate(facts)]
    item = Item(ident, asked, records[6].head.refs, (6,), drill=True)
    return item, Facts(records, {CONTROL: {"answered_within": "P30D", "tiers": ["high"]}}), "A"


CHECK = Check(
    CONTROL,
    (
        e.ExplanationRequested, e.ExplanationAnswered, e.ExplanationMeasured, e.ExplainerPlanned, e.ExplainerApproved,
        e.ExplainerMeasured, VersionRegistered, ModelRegistered, SystemRegistered,
    ),
    population,
    test,
    completeness,
    known_bad,
    candidates=lambda item, facts: [replace(item, key=CANDIDATE)],  # noqa: ARG005
)  # fmt: skip
