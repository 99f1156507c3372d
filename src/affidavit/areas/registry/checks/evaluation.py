"""AI-01.3: the exact artifact was evaluated beforehand, on data apart, against thresholds fixed before. Pure."""

from __future__ import annotations

from affidavit.areas.lineage.events import DatasetRegistered, RunRecorded, SplitMeasured
from affidavit.areas.registry import events as e
from affidavit.areas.registry.bounds import meets
from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.attributes import own, tested
from affidavit.areas.registry.checks.trail import Change
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Outcome, deviation, not_applicable, passed

LEARNED_FROM = ("training", "validation", "grounding")
"""Roles of a run's inputs that shape the model; what it is judged on must lie apart from them."""


def _no_evaluation(change: Change) -> Outcome:
    if change.emergency:
        return not_applicable("emergency path: evaluation afterwards is tested under AI-01.5", *own(change))
    return deviation("no evaluation of this digest before it", *own(change))


def _evaluated(change: Change, facts: Facts) -> Outcome:
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    return passed(found) if found.fact.by == "service" else deviation("the evaluation is only claimed", found)


def _data_apart(change: Change, facts: Facts) -> Outcome:
    """The data was frozen before, and shares no row with what the run learned from."""
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    f = found.fact
    data = [r for r in change.about(facts, f.dataset, DatasetRegistered) if r.index < found.index]
    data = [r for r in data if f"dataset:{r.fact.dataset}/{r.fact.version}" == f.dataset]
    if not data or data[-1].fact.content != f.content:
        return deviation(f"{f.dataset} with these bytes was not registered before the evaluation", found)
    version = trail.registered(change, facts)
    runs = change.about(facts, f"run:{version.fact.run}", RunRecorded) if version else []
    if not runs:
        return deviation("the training run is not recorded, so nothing shows what it learned from", found)
    learned = [i for i in runs[-1].fact.inputs if i.role in LEARNED_FROM]
    if any(i.role == f.split and i.dataset == f.dataset for i in learned):
        return deviation(f"the run learned from {f.dataset} {f.split}, on which it was evaluated", found, runs[-1])
    other = next((i for i in learned if i.dataset != f.dataset and i.content == f.content), None)
    if other is not None:
        return deviation(f"the run learned from {other.dataset}, the very bytes it was evaluated on", found, runs[-1])
    parts = sorted({i.role for i in learned if i.dataset == f.dataset})
    return _overlap(change, found, runs[-1], parts, facts) if parts else passed(found, data[-1], runs[-1])


def _overlap(change: Change, found: Record, run: Record, parts: list[str], facts: Facts) -> Outcome:
    f = found.fact
    measured = [r for r in change.about(facts, f.dataset, SplitMeasured) if change.before(r)]
    measured = [r for r in measured if f"dataset:{r.fact.dataset}/{r.fact.version}" == f.dataset]
    if not measured:
        return deviation(
            f"the overlap of {f.split} with {', '.join(parts)} of {f.dataset} was not measured", found, run
        )
    last = measured[-1]
    for part in parts:
        equal = next((o.equal for o in last.fact.overlaps if {o.first, o.second} == {part, f.split}), None)
        if equal is None:
            return deviation(f"the overlap of {f.split} with {part} was not measured", found, last)
        if equal:
            return deviation(f"{f.split} shares {equal} rows with {part}", found, last)
    return passed(found, run, last)


def _thresholds_first(change: Change, facts: Facts) -> Outcome:
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    ref = f"plan:{found.fact.plan}"
    proposed, approved = change.about(facts, ref, e.PlanProposed), change.about(facts, ref, e.PlanApproved)
    if not proposed or not approved:
        return deviation("the plan of the evaluation is not in the ledger", found)
    if approved[0].index > found.index:
        return deviation("the thresholds were approved after the evaluation", found, approved[0])
    if approved[0].head.actor == proposed[0].head.actor:
        return deviation("the thresholds were approved by who proposed them", proposed[0], approved[0])
    return passed(proposed[0], approved[0], found)


def _thresholds_met(change: Change, facts: Facts) -> Outcome:
    """Judged again from value and bound. For a candidate the gate applies waivers, so that they show."""
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    plan = next(iter(change.about(facts, f"plan:{found.fact.plan}", e.PlanProposed)), None)
    asked = plan.fact.thresholds if plan else ()
    values = {(v.metric, v.direction, v.bound): v.value for v in found.fact.verdicts}
    missed = [
        f"{t.metric} {value or 'not judged'}, {t.direction.replace('-', ' ')} {t.bound}"
        for t in asked
        if (value := values.get((t.metric, t.direction, t.bound))) is None or not meets(value, t.direction, t.bound)
    ]
    if not asked:
        missed = ["no thresholds are known"]
    if not missed:
        return passed(found)
    accepted = None if change.item.key == trail.CANDIDATE else trail.waived(change, facts, "AI-01.3", "D")
    if accepted is not None:
        return Outcome("pass", f"accepted by a waiver: {'; '.join(missed)}", (found.index, accepted.index))
    return deviation("; ".join(missed), found)


def _results_kept(change: Change, facts: Facts) -> Outcome:
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    digest = found.fact.predictions.digest
    return Outcome("pass", f"predictions {digest}; `affidavit verify` checks that the bytes are there", (found.index,))


def evaluation_precedes(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to E of AI-01.3."""
    tests = {"A": _evaluated, "B": _data_apart, "C": _thresholds_first, "D": _thresholds_met, "E": _results_kept}
    return tested(item, facts, tests)
