"""Rollbacks, standing authorisations, waivers, emergencies and planted cases as the control tests see them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from registry_attacks import DAY, emergency, exceptions, extract, finding, story
from registry_attacks_data import waiver

from affidavit.areas.access.events import GrantApproved
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks.planted import MODEL, Story, ident

# ---------------------------------------------------------------- the other ways into production


def test_a_registered_retrain_pushed_past_approval_and_validation_gives_one_exception_each():
    """Registered, signed, verified at load; but nobody asked and nothing validated it."""
    s = story()
    version = s.register()
    at = s.now
    extract(s, [("x-1", version.fact.artifact, at)])
    refs = (f"model:{MODEL}", f"model:{MODEL}/1")
    s.add(e.VersionLoaded(MODEL, 1, version.fact.artifact), refs, p.person(6))
    assert exceptions(s) == {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"]}
    unapproved = finding(s, "AI-01.5")
    assert len(unapproved.items) == 1
    assert {o.state for o in unapproved.grid["observed:gateway:x-1"].values()} == {"not_applicable"}


def test_a_rollback_rests_on_the_approval_of_the_deployment_it_goes_back_to():
    s = story()
    first = s.approved(1)
    s.load(first)
    s.load(s.approved(2))
    s.now += 60 * DAY  # the approval itself has long expired
    s.plan(ident(4), "0.780000")  # and a later plan is in force: the way back stays open
    version = next(r for r in s.records if isinstance(r.fact, e.VersionRegistered))
    s.load(s.promote(version, "rollback", by=p.person(6), request=first.fact.request, reason=p.TEXT))
    assert exceptions(s) == {}


def test_a_rollback_to_what_was_never_approved_deviates():
    s = story()
    version = s.register()
    s.evaluate(version)
    s.load(s.promote(version, "rollback", reason=p.TEXT))
    assert exceptions(s) == {"AI-01.2": ["ACDEF"]}


def standing(
    s: Story, *, by: str = p.APPROVER, ranges=(e.Range("leaves", "15.000000", "63.000000"),), code=("abc",)
) -> str:
    bounds = (e.Threshold("auc", "at-least", "0.780000"),)
    ref = ident(60)
    refs = (f"model:{MODEL}", f"standing:{ref}")
    made = e.StandingProposed(ref, MODEL, (p.DATA,), code, ranges, bounds, s.now + 30 * DAY, p.TEXT)
    s.add(made, refs, p.PLANNER)
    s.add(e.StandingApproved(ref, MODEL), refs, by)
    return ref


@pytest.mark.parametrize(
    ("what", "given", "auc", "expected"),
    [
        ("within its bounds", {}, "0.800000", {}),
        ("metric below its bound", {}, "0.770000", {"AI-01.2": ["F"]}),
        ("code it does not name", {"code": ("xyz",)}, "0.800000", {"AI-01.2": ["F"]}),
        ("a value outside its range", {"ranges": (e.Range("leaves", "40.000000"),)}, "0.800000", {"AI-01.2": ["F"]}),
        ("approved by the author of the version", {"by": p.AUTHOR}, "0.800000", {"AI-01.2": ["D"]}),
        ("approved by its proposer", {"by": p.PLANNER}, "0.800000", {"AI-01.2": ["CD"]}),
    ],
)
def test_a_retrain_under_a_standing_authorisation(what, given, auc, expected):
    s = story()
    s.load(s.approved(1))
    ref = standing(s, **given)
    version = s.register(2)
    s.evaluate(version, auc)
    s.load(s.promote(version, "standing", standing=ref))
    assert exceptions(s) == expected


def test_a_waived_threshold_is_accepted_if_another_approved_the_waiver_before():
    def waived(by, when):
        s = story()
        for env in ("development", "staging"):
            s.add(GrantApproved(s.new(), p.person(48), "approver", env), (f"principal:{p.person(48)}",), p.person(0))
        version = s.register()
        measured = s.evaluate(version, "0.740000").index
        if when == "evaluated again":
            s.evaluate(version, "0.600000")
        ref = waiver(s, "D", measured, by, approve=when != "after")
        request = s.request(version)
        s.approve(request)
        s.load(s.promote(version, request=request.fact.request))
        if when == "after":
            s.add(e.WaiverApproved(ref, MODEL, 1), (f"model:{MODEL}", f"model:{MODEL}/1", f"waiver:{ref}"), by)
        return exceptions(s)

    assert waived(p.APPROVER, "before") == {}
    assert waived(p.APPROVER, "evaluated again") == {"AI-01.3": ["D"]}
    assert waived(p.person(48), "before") == {"AI-01.3": ["D"]}  # holds the role elsewhere alone
    assert waived(p.AUTHOR, "before") == {"AI-01.3": ["D"]}
    assert waived(p.APPROVER, "after") == {"AI-01.3": ["D"]}


def test_a_review_not_yet_due_at_the_end_of_the_period_is_not_tested():
    s = story()
    d = emergency(s, review=None, due=200 * DAY)
    f = finding(s, "AI-01.5")
    assert f.exceptions == ()
    assert f.grid[d.fact.deployment]["B"].state == "not_tested"
    assert f.operating == "not evaluated"


def test_a_planted_deployment_is_counted_but_no_exception():
    s = story()
    s.load(s.approved(1))
    version = s.register(2)
    s.promote(version, drill=True)
    f = finding(s, "AI-01.2")
    assert (f.n, len(f.items), f.exceptions) == (1, 2, ())
    assert exceptions(s) == {}


def test_a_planted_approval_or_evaluation_is_no_evidence_for_a_real_deployment():
    s = story()
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    for at in range(len(s.records) - 3, len(s.records)):
        s.records[at] = replace(s.records[at], head=replace(s.records[at].head, drill=True))
    s.load(s.promote(version, request=request.fact.request))
    assert exceptions(s) == {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"]}
