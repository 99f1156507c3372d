"""AI-01.2 to AI-01.5 over a period: one line per attack or exception, and the twin in which all is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
import yaml

from affidavit.areas.access.events import GrantRevoked
from affidavit.areas.lineage import events as lin
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks import v1
from affidavit.areas.registry.checks.planted import HOUR, MODEL, Story, digest, ident
from affidavit.core.assessment import Bench, assess
from affidavit.core.findings import Facts, Item, Period

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = Period(START, START + timedelta(days=90))
DAY = timedelta(days=1)
CHECKS = {c.control: c for c in v1.CHECKS}
ROWS = {r["id"]: r for r in yaml.safe_load(resources.files("affidavit.areas.registry").joinpath("controls.yaml").read_text())["controls"]}


def story() -> Story:
    s = Story(START + DAY)
    s.open()
    return s


def finding(s: Story, control: str, period: Period = PERIOD):
    bench = Bench(ROWS[control], CHECKS[control], digest(1), {"emergency_rate": "0.05"})
    return assess(bench, s.facts(), period, len(s.records))


def exceptions(s: Story, period: Period = PERIOD) -> dict[str, list[str]]:
    """Control → for each exception the letters that failed."""
    found = {c: [x.attributes for x in finding(s, c, period).exceptions] for c in CHECKS}
    return {c: ["".join(sorted(a)) for a in x] for c, x in found.items() if x}


def extract(s: Story, rows: list[tuple[str, str, datetime]], start=PERIOD.start, end=PERIOD.end, source="gateway", n=None) -> None:
    fact = e.DeploymentsExtracted(source, "reader", p.TEXT, start, end, len(rows) if n is None else n, p.ATTACHED, "x-1")
    s.add(fact, (f"source:{source}",), p.person(7))
    for external, artifact, at in rows:
        seen = e.DeploymentObserved(source, external, MODEL, "production", artifact, at, "robot")
        s.add(seen, (f"model:{MODEL}", "env:production", f"source:{source}"), p.person(7))


def shown(promoted) -> tuple[str, str, datetime]:
    """The row by which the platform's log shows a promotion, five minutes after it."""
    return (promoted.fact.deployment, promoted.fact.artifact, promoted.head.at + timedelta(minutes=5))


# ---------------------------------------------------------------- nothing wrong


def test_the_governed_story_gives_no_exception_and_a_proven_population():
    s = story()
    first, second = s.approved(1), s.approved(2)
    for d in (first, second):
        s.load(d)
    extract(s, [shown(first), shown(second)])
    assert exceptions(s) == {}
    for control in ("AI-01.2", "AI-01.3", "AI-01.4"):
        f = finding(s, control)
        assert (f.operating, f.n, f.completeness.proven, f.untested) == ("pass", 2, True, {})
    assert finding(s, "AI-01.5").operating == "no population"


def test_an_empty_ledger_never_passes():
    for control in CHECKS:
        f = finding(Story(START), control)
        assert (f.operating, f.n) == ("not evaluated", 0)


def test_every_attribute_of_the_library_is_answered():
    s = story()
    s.load(s.approved())
    for control, check in CHECKS.items():
        item, facts, attribute = check.known_bad(START + 10 * DAY)
        assert set(check.test(item, facts)) == set(ROWS[control]["attributes"])
        assert check.test(item, facts)[attribute].state == "deviation"
    assert set(CHECKS) == set(ROWS)


def test_a_reason_stands_beside_every_outcome_but_a_plain_pass():
    s = story()
    s.load(s.approved())
    rogue(s)
    for control in CHECKS:
        for outcomes in finding(s, control).grid.values():
            assert all(o.reason for o in outcomes.values() if o.state != "pass")


# ---------------------------------------------------------------- one thing wrong


def steps(s: Story, *, auc="0.800000", approve=True, number=1, **promoted):
    version = s.register(number)
    s.evaluate(version, auc)
    request = s.request(version)
    if approve:
        s.approve(request)
    return s.promote(version, request=request.fact.request, **promoted)


def rogue(s: Story, artifact: str = digest(66)):
    extract(s, [("x-77", artifact, s.now)])


def unasked(s):
    rogue(s)


def self_approved(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, by=p.AUTHOR, role="engineer")
    s.load(s.promote(version, request=request.fact.request))


def requester_approves(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version, by=p.APPROVER)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def approved_after(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.load(s.promote(version, request=request.fact.request))
    s.approve(request)


def approval_expired(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, lasts=HOUR / 2)
    s.load(s.promote(version, request=request.fact.request))


def approval_for_another_gate(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    old = s.records[-1]
    s.records[-1] = replace(old, fact=replace(old.fact, gate_digest=digest(55)))
    s.load(s.promote(version, request=request.fact.request))


def approval_for_another_digest(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    old = s.records[-1]
    s.records[-1] = replace(old, fact=replace(old.fact, artifact=digest(55)))
    s.load(s.promote(version, request=request.fact.request))


def role_revoked(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    grant = next(r.fact.grant for r in s.records if getattr(r.fact, "principal", "") == p.APPROVER)
    s.add(GrantRevoked(grant, p.TEXT), (f"principal:{p.APPROVER}",), p.person(0))
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def role_never_held(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, by=p.person(44))
    s.load(s.promote(version, request=request.fact.request))


def by_gate_alone(s):
    version = s.register()
    s.evaluate(version)
    s.load(s.promote(version, "gate"))


def other_digest_deployed(s):
    s.load(steps(s, artifact=digest(88)))


def not_evaluated(s):
    version = s.register()
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def evaluated_after(s):
    version = s.register()
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))
    s.evaluate(version)


def only_claimed(s):
    version = s.register()
    s.evaluate(version, by="claimed")
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def failed(s):
    s.load(steps(s, auc="0.740000"))


def verdict_forged(s):
    version = s.register()
    s.evaluate(version, auc="0.740000")
    old = s.records[-1]
    lie = replace(old.fact.verdicts[0], met=True)
    s.records[-1] = replace(old, fact=replace(old.fact, verdicts=(lie,)))
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def plan_after(s):
    version = s.register()
    late = ident(2)
    s.evaluate(version, plan=late)
    s.plan(late, "0.750000")
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def plan_self_approved(s):
    asked = (e.Threshold("auc", "at-least", "0.750000"),)
    refs = (f"model:{MODEL}", f"plan:{ident(3)}", p.DATA)
    s.add(e.PlanProposed(ident(3), MODEL, p.DATA, "test", asked, p.TEXT), refs, p.AUTHOR)
    s.add(e.PlanApproved(ident(3), MODEL), refs, p.AUTHOR)
    version = s.register()
    s.evaluate(version, plan=ident(3))
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


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
    _after_run(s, lambda f: replace(f, inputs=(replace(f.inputs[0], role="training"), lin.Input(p.DATA, "validation", digest(2), 1))))
    at = next(i for i, r in enumerate(s.records) if isinstance(r.fact, e.EvaluationMeasured))
    s.records[at] = replace(s.records[at], fact=replace(s.records[at].fact, split="validation"))


def same_bytes_by_another_name(s):
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


def signer_without_role(s):
    version = s.register(author=p.person(45))
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def never_loaded(s):
    s.approved()


def altered(s):
    d = s.approved()
    s.load(d)
    refs = (f"model:{MODEL}", f"model:{MODEL}/1")
    s.add(e.ArtifactTampered(MODEL, 1, d.fact.artifact, d.fact.artifact, digest(7)), refs, p.person(6))


def emergency(s, *, review=2 * HOUR, by=p.REVIEWER, incident=0, number=1, evaluate=True, quiet=20, due=10 * HOUR):
    """An emergency among ``quiet`` ordinary changes."""
    for n in range(quiet):
        s.load(s.approved(10 + n))
    version = s.register(number)
    if evaluate:
        s.evaluate(version)
    extra = {} if incident is None else {"incident": f"incident:{ident(50)}", "incident_entry": incident}
    d = s.promote(version, "break-glass", review_due=s.now + due, reason=p.TEXT, **extra)
    s.load(d)
    if review is not None:
        s.now = d.head.at + review
        refs = (f"model:{MODEL}", f"model:{MODEL}/{number}", f"deployment:{d.fact.deployment}")
        s.add(e.BreakGlassReviewed(d.fact.deployment, MODEL, "accepted", p.TEXT), refs, by)
    return d


ATTACKS = [
    ("pushed past every gate, digest unknown", unasked, {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"], "AI-01.4": ["ABCD"]}),
    ("approved by the author", self_approved, {"AI-01.2": ["D"]}),
    ("approved by the requester", requester_approves, {"AI-01.2": ["D"]}),
    ("approved after the deployment", approved_after, {"AI-01.2": ["CDEF"]}),
    ("approval expired", approval_expired, {"AI-01.2": ["CDEF"]}),
    ("approval of another gate result", approval_for_another_gate, {"AI-01.2": ["CDEF"]}),
    ("approval of another digest", approval_for_another_digest, {"AI-01.2": ["CDEF"]}),
    ("approver's role revoked before", role_revoked, {"AI-01.2": ["C"]}),
    ("approver never held the role", role_never_held, {"AI-01.2": ["C"]}),
    ("rules that ask for no approval", by_gate_alone, {"AI-01.2": ["ACDEF"]}),
    ("another digest than approved", other_digest_deployed, {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"], "AI-01.4": ["ABD"]}),
    ("never evaluated", not_evaluated, {"AI-01.2": ["B"], "AI-01.3": ["ABCDE"]}),
    ("evaluated afterwards", evaluated_after, {"AI-01.2": ["B"], "AI-01.3": ["ABCDE"]}),
    ("evaluation only claimed", only_claimed, {"AI-01.3": ["A"]}),
    ("threshold missed", failed, {"AI-01.3": ["D"]}),
    ("verdict says met, value says no", verdict_forged, {"AI-01.3": ["D"]}),
    ("thresholds fixed after the run", plan_after, {"AI-01.3": ["C"]}),
    ("thresholds approved by their proposer", plan_self_approved, {"AI-01.3": ["C"]}),
    ("evaluated on what it learned from", trained_on_test, {"AI-01.3": ["B"]}),
    ("same bytes under another name", same_bytes_by_another_name, {"AI-01.3": ["B"]}),
    ("splits share rows", rows_shared, {"AI-01.3": ["B"]}),
    ("overlap never measured", overlap_unmeasured, {"AI-01.3": ["B"]}),
    ("evaluation data not the registered bytes", data_changed, {"AI-01.3": ["B"]}),
    ("run contradicts the registration", run_contradicts, {"AI-01.4": ["B"]}),
    ("registered by somebody without a role", signer_without_role, {"AI-01.4": ["D"]}),
    ("served without a verified load", never_loaded, {"AI-01.4": ["C"]}),
    ("a byte altered, never verified again", altered, {"AI-01.4": ["C"]}),
    ("emergency, all as it should be", lambda s: emergency(s), {}),
    ("emergency reviewed late", lambda s: emergency(s, review=11 * HOUR), {"AI-01.5": ["B"]}),
    ("emergency never reviewed", lambda s: emergency(s, review=None), {"AI-01.5": ["B"]}),
    ("emergency reviewed by who deployed", lambda s: emergency(s, by=p.DEPLOYER), {"AI-01.5": ["B"]}),
    ("emergency reviewed by the author", lambda s: emergency(s, by=p.AUTHOR), {"AI-01.5": ["B"]}),
    ("emergency reviewed without a role", lambda s: emergency(s, by=p.person(46)), {"AI-01.5": ["B"]}),
    ("emergency without incident", lambda s: emergency(s, incident=None), {"AI-01.5": ["A"]}),
    ("incident opened afterwards", lambda s: emergency(s, incident=9999), {"AI-01.5": ["A"]}),
    ("emergency never evaluated", lambda s: emergency(s, evaluate=False), {"AI-01.5": ["C"]}),
    ("one emergency in eight changes", lambda s: emergency(s, quiet=7), {"AI-01.5": ["D"]}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "attack", "expected"), ATTACKS, ids=[a[0] for a in ATTACKS])
def test_each_attack_gives_exactly_its_exceptions(what, attack, expected):
    s = story()
    attack(s)
    assert exceptions(s) == expected


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
    assert unapproved.n == 1
    assert {o.state for o in unapproved.grid["observed:gateway:x-1"].values()} == {"not_applicable"}


def test_a_rollback_rests_on_the_approval_of_the_deployment_it_goes_back_to():
    s = story()
    first = s.approved(1)
    s.load(first)
    s.load(s.approved(2))
    s.now += 60 * DAY  # the approval itself has long expired
    version = next(r for r in s.records if isinstance(r.fact, e.VersionRegistered))
    s.load(s.promote(version, "rollback", by=p.person(6), request=first.fact.request, reason=p.TEXT))
    assert exceptions(s) == {}


def test_a_rollback_to_what_was_never_approved_deviates():
    s = story()
    version = s.register()
    s.evaluate(version)
    s.load(s.promote(version, "rollback", reason=p.TEXT))
    assert exceptions(s) == {"AI-01.2": ["ACDEF"]}


def standing(s: Story, *, by: str = p.APPROVER, ranges=(e.Range("leaves", "15.000000", "63.000000"),), code=("abc",)) -> str:
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
        version = s.register()
        s.evaluate(version, "0.740000")
        ref = ident(70)
        refs = (f"model:{MODEL}", f"model:{MODEL}/1", f"waiver:{ref}")
        s.add(e.WaiverRequested(ref, MODEL, 1, "AI-01.3", "D", p.AUTHOR, p.TEXT, s.now + 30 * DAY), refs, p.AUTHOR)
        if when == "before":
            s.add(e.WaiverApproved(ref, MODEL, 1), refs, by)
        request = s.request(version)
        s.approve(request)
        s.load(s.promote(version, request=request.fact.request))
        if when == "after":
            s.add(e.WaiverApproved(ref, MODEL, 1), refs, by)
        return exceptions(s)

    assert waived(p.APPROVER, "before") == {}
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


# ---------------------------------------------------------------- populations and completeness


def test_a_digest_that_comes_back_by_hand_is_explained_by_no_promotion():
    s = story()
    first, second = s.approved(1), s.approved(2)
    s.load(first), s.load(second)
    extract(s, [shown(first), shown(second), ("by-hand", first.fact.artifact, s.now)])
    refs = (f"model:{MODEL}", f"model:{MODEL}/1")
    s.add(e.VersionLoaded(MODEL, 1, first.fact.artifact), refs, p.person(6))
    (found,) = finding(s, "AI-01.2").exceptions
    assert (found.item, set(found.attributes)) == ("observed:gateway:by-hand", {"A"})


def test_a_row_more_than_a_day_after_the_promotion_is_not_explained_by_it():
    s = story()
    d = s.approved(1)
    extract(s, [("late", d.fact.artifact, d.head.at + timedelta(hours=25))])
    assert len(finding(s, "AI-01.2").items) == 2


@pytest.mark.parametrize(
    ("what", "windows", "proven"),
    [
        ("one whole window", [(0, 90)], True),
        ("two that touch", [(0, 45), (45, 90)], True),
        ("two that overlap, in any order", [(40, 90), (0, 45)], True),
        ("a gap of a day", [(0, 45), (46, 90)], False),
        ("starts late", [(1, 90)], False),
        ("ends early", [(0, 89)], False),
        ("none", [], False),
    ],
)
def test_the_population_is_whole_only_if_the_log_covers_the_period(what, windows, proven):
    s = story()
    for first, last in windows:
        extract(s, [], START + first * DAY, START + last * DAY)
    found = finding(s, "AI-01.2")
    assert found.completeness.proven is proven
    assert found.operating == ("no population" if proven else "not evaluated")
    assert ("single source" in found.completeness.how) is (not windows)


def test_two_sources_that_cover_half_each_prove_nothing():
    s = story()
    extract(s, [], START, START + 45 * DAY, "gateway")
    extract(s, [], START + 45 * DAY, START + 90 * DAY, "mesh")
    assert not finding(s, "AI-01.2").completeness.proven


def test_a_promotion_that_the_log_does_not_show_and_rows_that_the_ledger_lacks_are_told():
    s = story()
    s.load(s.approved(1))
    extract(s, [])
    assert "does not show 1 promotions" in finding(s, "AI-01.2").completeness.how
    s = story()
    extract(s, [], n=3)
    assert "fewer in the ledger" in finding(s, "AI-01.2").completeness.how


def test_an_artifact_deployed_before_the_period_and_still_serving_is_in_its_population():
    s = story()
    first = s.approved(1)
    s.load(first)
    later = Period(START + 30 * DAY, START + 60 * DAY)
    assert [i.key for i in finding(s, "AI-01.4", later).items] == [first.fact.artifact]
    assert finding(s, "AI-01.2", later).items == ()
    s.load(s.approved(2))
    assert len(finding(s, "AI-01.4", later).items) == 1  # the first was replaced before the period


# ---------------------------------------------------------------- as a gate


def candidate(s: Story, version) -> Item:
    return Item("candidate", s.now, (*p.refs_of(version.fact), "env:production"), ())


def test_a_candidate_is_tested_on_what_it_has_and_not_on_a_deployment():
    s = story()
    version = s.register()
    states = {c: {a: o.state for a, o in k.test(candidate(s, version), s.facts()).items()} for c, k in CHECKS.items()}
    assert states["AI-01.3"] == dict.fromkeys("ABCDE", "deviation")
    assert states["AI-01.4"] == {"A": "pass", "B": "pass", "C": "not_applicable", "D": "pass"}
    assert set(states["AI-01.5"].values()) == {"not_applicable"}
    assert states["AI-01.2"] == {**dict.fromkeys("ACDEF", "not_applicable"), "B": "deviation"}
    s.evaluate(version)
    again = CHECKS["AI-01.3"].test(candidate(s, version), s.facts())
    assert {o.state for o in again.values()} == {"pass"}


def test_a_waiver_does_not_hide_a_candidates_failure():
    s = story()
    version = s.register()
    s.evaluate(version, "0.740000")
    ref = ident(70)
    refs = (f"model:{MODEL}", f"model:{MODEL}/1", f"waiver:{ref}")
    s.add(e.WaiverRequested(ref, MODEL, 1, "AI-01.3", "D", p.AUTHOR, p.TEXT, s.now + 30 * DAY), refs, p.AUTHOR)
    s.add(e.WaiverApproved(ref, MODEL, 1), refs, p.APPROVER)
    assert CHECKS["AI-01.3"].test(candidate(s, version), s.facts())["D"].state == "deviation"


def test_a_candidate_nobody_registered_deviates_everywhere():
    item = Item("candidate", START, ("model:ghost/1", "env:production"), ())
    for control in ("AI-01.3", "AI-01.4"):
        outcomes = CHECKS[control].test(item, Facts())
        assert outcomes["A"].state == "deviation"


def test_the_sources_of_the_check_digest_are_every_module_that_decides():
    package = resources.files("affidavit.areas.registry.checks")
    files = {f"affidavit.areas.registry.checks.{f.name[:-3]}" for f in package.iterdir() if f.name.endswith(".py")}
    assert files - set(v1.SOURCES) == {"affidavit.areas.registry.checks.__init__", "affidavit.areas.registry.checks.planted"}
