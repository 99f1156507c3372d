"""Stories in which the data, the run or the plan behind an evaluation is wrong."""

from __future__ import annotations

from dataclasses import replace

from registry_attacks import DAY, PERIOD

from affidavit.areas.lineage import events as lin
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks.planted import HOUR, MODEL, digest, ident


def _after_run(s, change):
    s.register()
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.RunRecorded))
    s.records[at] = replace(s.records[at], fact=change(s.records[at].fact))
    version = s.records[-1]
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def trained_on_test(s):
    _after_run(
        s,
        lambda f: replace(f, inputs=(*f.inputs, lin.Input(p.DATA, "validation", p.TEST, 4))),
    )


def trained_on_everything(s):
    _after_run(s, lambda f: replace(f, inputs=(lin.Input(p.DATA, "training", digest(2), 10),)))


def no_training_input(s):
    _after_run(s, lambda f: replace(f, inputs=(lin.Input(p.DATA, "validation", p.TRAINING, 6),)))


def part_never_measured(s):
    _after_run(s, lambda f: replace(f, inputs=(lin.Input(p.DATA, "training", digest(25), 6),)))


def other_data_unregistered(s):
    _after_run(s, lambda f: replace(f, inputs=(*f.inputs, lin.Input("dataset:other/1", "grounding", digest(26), 1))))


def _after_evaluation(s, **change):
    version = s.register()
    s.evaluate(version)
    s.records[-1] = replace(s.records[-1], fact=replace(s.records[-1].fact, **change))
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def other_rows_scored(s):
    _after_evaluation(s, index=digest(27))


def other_cutoff(s):
    _after_evaluation(s, cutoff="0.900000")


def other_label(s):
    _after_evaluation(s, label="easy")


def measured_after_the_evaluation(s):
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.SplitMeasured))
    old = s.records[at]
    s.records[at] = replace(old, fact=replace(old.fact, splits=()))
    version = s.register()
    s.evaluate(version)
    s.add(old.fact, (p.DATA,), p.AUTHOR)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def stricter_plan_ignored(s):
    version = s.register()
    s.evaluate(version)
    s.plan(ident(4), "0.900000")
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def thresholds_lowered(s, waived=None):
    """Missed, then a lower bound approved, then met."""
    version = s.register()
    s.evaluate(version, "0.740000")
    s.plan(ident(4), "0.700000")
    again = s.evaluate(version, "0.740000", plan=ident(4), bound="0.700000")
    if waived:
        waiver(s, "C", again.index, by=waived)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def waiver(s, attribute, measured, by=p.APPROVER, approve=True):
    """A waiver of an attribute of AI-01.3 on version 1."""
    ref = s.new()
    refs = (f"model:{MODEL}", f"model:{MODEL}/1", f"waiver:{ref}")
    fact = e.WaiverRequested(ref, MODEL, 1, "AI-01.3", attribute, p.AUTHOR, p.TEXT, s.now + 30 * DAY, measured)
    s.add(fact, refs, p.AUTHOR)
    if approve:
        s.add(e.WaiverApproved(ref, MODEL, 1), refs, by)
    return ref


def trainer_approves(s):
    version = s.register()
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.RunRecorded))
    s.records[at] = replace(s.records[at], head=replace(s.records[at].head, actor=p.APPROVER))
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def loaded_in_a_notebook(s):
    """Verified, but by no process that serves the deployment."""
    d = s.approved()
    s.add(e.VersionLoaded(MODEL, 1, d.fact.artifact), (f"model:{MODEL}", f"model:{MODEL}/1"), p.person(6))


def loaded_within_a_day(s):
    s.now = PERIOD.end - 9 * HOUR
    d = s.approved()
    s.now = max(s.now, PERIOD.end + HOUR)
    assert PERIOD.holds(d.head.at)
    s.load(d)


def loaded_after_the_period(s):
    d = s.approved()
    s.now = PERIOD.end + DAY
    s.load(d)


def same_bytes_by_another_name(s):
    at = next(r for r in s.records if isinstance(r.fact, lin.DatasetRegistered))
    s.add(replace(at.fact, dataset="other"), ("dataset:other/1",), p.AUTHOR)
    _after_run(s, lambda f: replace(f, inputs=(lin.Input("dataset:other/1", "training", digest(2), 1),)))


def rows_shared(s):
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.SplitMeasured))
    shared = (lin.Overlap("test", "training", 3, 5),)
    s.records[at] = replace(s.records[at], fact=replace(s.records[at].fact, overlaps=shared))
    s.load(s.approved())


def overlap_unmeasured(s):
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.SplitMeasured))
    s.records[at] = replace(s.records[at], fact=replace(s.records[at].fact, overlaps=()))
    s.load(s.approved())


def data_changed(s):
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, lin.DatasetRegistered))
    s.records[at] = replace(s.records[at], fact=replace(s.records[at].fact, content=digest(31)))
    s.load(s.approved())


def run_contradicts(s):
    _after_run(s, lambda f: replace(f, code="zzz"))
