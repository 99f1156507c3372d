"""AI-01.3: the exact artifact was evaluated beforehand, on data apart, against thresholds fixed before. Pure."""

from __future__ import annotations

from affidavit.areas.lineage.events import DatasetRegistered, SplitMeasured
from affidavit.areas.registry import events as e
from affidavit.areas.registry.bounds import meets
from affidavit.areas.registry.checks import trail
from affidavit.areas.registry.checks.attributes import own, tested
from affidavit.areas.registry.checks.trail import Change
from affidavit.core.envelope import Record
from affidavit.core.findings import Facts, Item, Outcome, deviation, not_applicable, passed


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
    """The data was frozen before, the rows scored are the measured split, and the run read none of them."""
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    f = found.fact
    data = [r for r in change.about(facts, f.dataset, DatasetRegistered) if r.index < found.index]
    data = [r for r in data if f"dataset:{r.fact.dataset}/{r.fact.version}" == f.dataset]
    if not data or data[-1].fact.content != f.content:
        return deviation(f"{f.dataset} with these bytes was not registered before the evaluation", found)
    split = _measured(change, found, facts)
    if split is None:
        return deviation(f"the rows scored are not those of {f.split} of {f.dataset} as measured before", found)
    version = trail.registered(change, facts)
    run = trail.trained(change, facts, version) if version else None
    if run is None:
        return deviation("the training run is not recorded, so nothing shows what it learned from", found)
    return _inputs_apart(change, found, run, split, facts)


def _measured(change: Change, found: Record, facts: Facts) -> Record | None:
    """The newest measurement in which the split has exactly the rows scored; one stood before the evaluation."""
    f = found.fact
    all_ = [
        r for r in change.about(facts, f.dataset, SplitMeasured)
        if change.before(r) and f"dataset:{r.fact.dataset}/{r.fact.version}" == f.dataset and r.fact.content == f.content
        and any(s.name == f.split and s.content == f.index for s in r.fact.splits)
    ]  # fmt: skip
    return all_[-1] if all_ and all_[0].index < found.index else None


def _inputs_apart(change: Change, found: Record, run: Record, split: Record, facts: Facts) -> Outcome:
    """Whatever role an input claims, its bytes decide; a part is known by its content, not by its name."""
    f, inputs, others = found.fact, run.fact.inputs, list[str]()
    if not any(i.role == "training" for i in inputs):
        return deviation("the run declares no training input, so nothing shows what it learned from", found, run)
    for i in inputs:
        if i.content in (f.content, f.index):
            what = "the whole data" if i.content == f.content else "the very rows"
            told = f"the run read {what} it was evaluated on, from {i.dataset} as {i.role}"
            return deviation(told, found, run)
        if i.dataset == f.dataset:
            problem = _shared(i.content, f.split, split)
            if problem:
                return deviation(f"{problem} (the run read it as {i.role})", found, run, split)
        elif not _known(change, i.dataset, facts):
            return deviation(f"the run read {i.dataset}, which is not registered", found, run)
        else:
            others.append(i.dataset)
    reason = (
        f"the run also read {', '.join(sorted(set(others)))}: other bytes than {f.dataset}; rows that two dataset"
        " versions share, re-encoded ones too, are not measured"
    )
    return Outcome("pass", reason if others else "", (found.index, run.index, split.index))


def _shared(content: str, evaluated: str, split: Record) -> str | None:
    """What stands against a part of the evaluated dataset; None if it was measured to share no row."""
    part = next((s.name for s in split.fact.splits if s.content == content), None)
    if part is None:
        return f"a part that was not measured together with {evaluated}"
    equal = next((o.equal for o in split.fact.overlaps if {o.first, o.second} == {part, evaluated}), None)
    if equal is None:
        return f"the overlap of {evaluated} with {part} was not measured"
    return f"{evaluated} shares {equal} rows with {part}" if equal else None


def _known(change: Change, ref: str, facts: Facts) -> bool:
    return any(
        f"dataset:{r.fact.dataset}/{r.fact.version}" == ref
        for r in change.about(facts, ref, DatasetRegistered)
        if change.before(r)
    )


def _thresholds_first(change: Change, facts: Facts) -> Outcome:
    """The plan in force, by two people, before the evaluation; and not one made after an earlier run missed its own."""
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    f, ref = found.fact, f"plan:{found.fact.plan}"
    proposed, approved = change.about(facts, ref, e.PlanProposed), change.about(facts, ref, e.PlanApproved)
    if not proposed or not approved:
        return deviation("the plan of the evaluation is not in the ledger", found)
    if approved[0].index > found.index:
        return deviation("the thresholds were approved after the evaluation", found, approved[0])
    if approved[0].head.actor == proposed[0].head.actor:
        return deviation("the thresholds were approved by who proposed them", proposed[0], approved[0])
    p = proposed[0].fact
    if (f.dataset, f.split, f.label, f.cutoff) != (p.dataset, p.split, p.label, p.cutoff):
        return deviation("the evaluation has another split, label or cutoff than its plan", found, proposed[0])
    newest = [r for r in change.about(facts, f"model:{change.model}", e.PlanApproved) if change.before(r)][-1:]
    back = change.promoted is not None and change.promoted.fact.via == "rollback"
    if newest and newest[0].fact.plan != f.plan and not back:
        return deviation(
            f"the plan of entry {newest[0].index} was in force, not that of the evaluation", *newest, found
        )
    return _not_lowered(change, found, approved[0], facts) or passed(proposed[0], approved[0], found)


def _not_lowered(change: Change, found: Record, approved: Record, facts: Facts) -> Outcome | None:
    """An earlier evaluation of this digest that missed its plan, if the plan now used was approved after it."""
    for r in change.about(facts, change.ref, e.EvaluationMeasured):
        earlier = r.fact.artifact == change.artifact and r.index < approved.index and r.fact.plan != found.fact.plan
        missed = _missed(change, r, facts) if earlier else []
        if not missed:
            continue
        told = (
            f"the evaluation of entry {r.index} missed its plan ({'; '.join(missed)}); the plan now used was approved"
            f" after it, in entry {approved.index}"
        )
        accepted = _accepted(change, facts, "C", found)
        if accepted is None:
            return deviation(told, r, approved, found)
        return Outcome("pass", f"accepted by a waiver: {told}", (r.index, approved.index, found.index, accepted.index))
    return None


def _accepted(change: Change, facts: Facts, attribute: str, found: Record) -> Record | None:
    """The waiver of a deployed change. For a candidate the gate applies waivers, so that they show."""
    return None if change.item.key == trail.CANDIDATE else trail.waived(change, facts, "AI-01.3", attribute, found)


def _missed(change: Change, found: Record, facts: Facts) -> list[str]:
    """Every threshold of its plan that an evaluation misses, judged again from value and bound."""
    plan = next(iter(change.about(facts, f"plan:{found.fact.plan}", e.PlanProposed)), None)
    values = {(v.metric, v.direction, v.bound): v.value for v in found.fact.verdicts}
    missed = [
        f"{t.metric} {value or 'not judged'}, {t.direction.replace('-', ' ')} {t.bound}"
        for t in (plan.fact.thresholds if plan else ())
        if (value := values.get((t.metric, t.direction, t.bound))) is None or not meets(value, t.direction, t.bound)
    ]
    return missed if plan else ["no thresholds are known"]


def _thresholds_met(change: Change, facts: Facts) -> Outcome:
    found = trail.evaluated(change, facts)
    if found is None:
        return _no_evaluation(change)
    missed = _missed(change, found, facts)
    if not missed:
        return passed(found)
    accepted = _accepted(change, facts, "D", found)
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
