"""Promotions: the path, the gate, approvals, emergencies, rollbacks. One line per attack or exception."""

from __future__ import annotations

from datetime import timedelta

import pytest
from registry_world import ANNA, BEN, CARA, DAN, DATA, EVE, TRAINER, World, refused, retired, started, tampered, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import lookup
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.checks.planted import digest, ident
from affidavit.core.errors import Invalid, NotFound, Refused

DAY = timedelta(days=1)


def promote(w: World, version: str, by: str = CARA, to: str = "production"):
    return w.do(c.PromoteVersion(version, to), by)


def evaluated_again_worse(w, version):
    w.do(w.evaluation(version, "0.600000"))


def replanned(w, version):
    w.plan("0.900000")
    w.do(w.evaluation(version))


REFUSED = [
    # (what is tried, how the world comes there, who promotes, error, code)
    ("skips staging", lambda w: w.evaluated(), CARA, Refused, "path_skipped"),
    ("nobody asked", lambda w: w.staged(), CARA, Refused, "not_requested"),
    ("asked, not approved", lambda w: (v := w.staged(), w.request(v))[0], CARA, Refused, "not_approved"),
    ("approver deploys", lambda w: w.approved(), BEN, Refused, "duties_meet"),
    ("retired after approval", lambda w: retired(w, w.approved()), CARA, Refused, "retired"),
    ("altered after approval", lambda w: tampered(w, w.approved()), CARA, Refused, "tampered"),
    ("approval expired", lambda w: later(w, w.approved(), 15), CARA, Refused, "approval_expired"),
    ("evaluated again, worse", lambda w: then(w, w.approved(), evaluated_again_worse), CARA, Refused, "gate_failed"),
    ("plan raised since", lambda w: then(w, w.approved(), replanned), CARA, Refused, "gate_failed"),
    ("rejected", lambda w: rejected(w), CARA, Refused, "not_requested"),
    ("live already", lambda w: w.live(), CARA, Refused, "already_live"),
    ("unknown version", lambda w: "employment/9", CARA, NotFound, ""),
]


def later(w, v, days):
    w.now += days * DAY
    return v


def then(w, v, step):
    step(w, v)
    return v


def rejected(w):
    v = w.staged()
    w.do(c.RejectPromotion(w.request(v), words("not before the audit")), BEN)
    return v


@pytest.mark.parametrize(("what", "story", "by", "error", "code"), REFUSED, ids=[r[0] for r in REFUSED])
def test_promotion_is_refused(what, story, by, error, code):
    w = started()
    version = story(w)
    with refused(error, code):
        promote(w, version, by)


def test_environment_without_transition_is_named():
    w = started()
    v = w.evaluated()
    with refused(Invalid, says="no transition leads to 'moon'"):
        w.do(c.PromoteVersion(v, "moon"), CARA, gate={})


def test_gate_failure_names_control_attribute_reason_and_who_acts():
    w = started()
    v = w.version()
    with refused(Refused, "gate_failed", says="AI-01.3 A: no evaluation of this digest"):
        promote(w, v, to="staging")
    w.do(w.evaluation(v, "0.740000"))
    with pytest.raises(Refused) as e:
        promote(w, v, to="staging")
    assert "auc 0.740000, at least 0.750000" in str(e.value)
    assert "affidavit registry evaluate" in e.value.next_step
    assert "waiver" in e.value.next_step
    assert e.value.controls == ("AI-01.3",)


def test_a_gate_that_did_not_run_refuses():
    w = started()
    v = w.evaluated()
    with refused(Refused, "gate_failed", says="did not run"):
        w.do(c.PromoteVersion(v, "staging"), CARA, gate={})


def test_a_request_with_a_failing_gate_is_refused():
    w = started()
    v = w.staged()
    w.do(w.evaluation(v, "0.100000"))
    with refused(Refused, "gate_failed"):
        w.request(v)


APPROVALS = [
    ("author approves", ANNA, {}, "self_approval"),
    ("requester approves", CARA, {}, "self_approval"),
    ("trainer approves", TRAINER, {}, "self_approval"),
    ("no approving role", EVE, {}, "not_an_approver"),
    ("approver of staging only", TRAINER, {"separation": []}, "not_an_approver"),
]


@pytest.mark.parametrize(("what", "who", "rules", "code"), APPROVALS, ids=[a[0] for a in APPROVALS])
def test_approval_is_refused(what, who, rules, code):
    w = World(**rules)
    w.system()
    w.plan()
    for person in (ANNA, CARA, TRAINER):
        w.grant(person, "approver", "staging" if what == "approver of staging only" else "*")
    request = w.request(w.staged())
    with refused(Refused, code):
        w.do(c.ApprovePromotion(request), who)


def test_author_and_requester_may_not_approve_even_if_the_rules_part_nobody():
    w = World(separation=[])
    w.system()
    w.plan()
    for person in (ANNA, CARA):
        w.grant(person, "approver")
    request = w.request(w.staged())
    for person in (ANNA, CARA):
        with refused(Refused, "self_approval"):
            w.do(c.ApprovePromotion(request), person)


def test_a_person_with_two_roles_counts_once():
    two = {
        "production": {
            "from": "staging",
            "checks": {},
            "approvals": {"n": 2, "roles": ["approver", "lead"], "expires": "P1D"},
        }
    }
    w = World(transitions={"staging": {"from": "development"}, **two})
    w.system()
    w.plan()
    w.grant(BEN, "lead")
    v = w.staged()
    request = w.request(v)
    w.do(c.ApprovePromotion(request), BEN)
    with refused(Refused, "already_approved"):
        w.do(c.ApprovePromotion(request), BEN)
    with refused(Refused, "not_approved", says="1 of 2"):
        promote(w, v)
    w.do(c.ApprovePromotion(request), DAN)
    assert promote(w, v).via == "approval"


def test_an_expired_approval_may_be_given_again():
    w = started()
    v = w.approved()
    w.now += 15 * DAY
    wish = lookup.open_wish(w.view, lookup.known_version(w.view, v), "production")
    w.do(c.ApprovePromotion(wish.id), BEN)
    assert promote(w, v).via == "approval"


def test_approval_binds_to_the_gate_result():
    w = started()
    v = w.approved()
    w.do(w.evaluation(v, "0.700000"))
    waiver = w.do(c.RequestWaiver(v, "AI-01.3", "D", ANNA, words("pilot"), w.now + 10 * DAY)).waiver
    w.do(c.ApproveWaiver(waiver), BEN)
    with refused(Refused, "gate_changed"):
        promote(w, v)
    again = w.request(v)
    w.do(c.ApprovePromotion(again), BEN)
    fact = promote(w, v)
    assert fact.request == again
    assert [x.outcome for x in fact.gate if x.attribute == "D" and x.control == "AI-01.3"] == ["waived"]


def evaluated_again(w, v):
    w.do(w.evaluation(v))


def planned_and_evaluated_again(w, v):
    w.plan("0.010000")
    w.do(w.evaluation(v, "0.500000"))


def measured_again(w, v):
    w.measure_splits()


@pytest.mark.parametrize("step", [evaluated_again, planned_and_evaluated_again, measured_again])
def test_a_new_evaluation_plan_or_split_needs_a_new_approval_though_every_line_passes(step):
    w = started()
    v = w.approved()
    step(w, v)
    with refused(Refused, "gate_changed"):
        promote(w, v)
    w.do(c.ApprovePromotion(w.request(v)), BEN)
    assert promote(w, v).via == "approval"


def test_another_waiver_of_the_same_line_needs_a_new_approval():
    w = started()
    v = w.evaluated("0.740000")

    def waive(days):
        asked = w.do(c.RequestWaiver(v, "AI-01.3", "D", ANNA, words("pilot"), w.now + days * DAY)).waiver
        w.do(c.ApproveWaiver(asked), BEN)

    waive(1)
    w.do(c.PromoteVersion(v, "staging"), CARA)
    w.do(c.ApprovePromotion(w.request(v)), BEN)
    w.now += DAY
    waive(30)
    with refused(Refused, "gate_changed"):
        promote(w, v)


def test_an_evaluation_under_an_earlier_plan_does_not_pass():
    w = started()
    v = w.evaluated()
    w.plan("0.500000")
    with refused(Refused, "gate_failed", says="AI-01.3 C: the plan of entry"):
        promote(w, v, to="staging")
    w.do(w.evaluation(v))
    assert promote(w, v, to="staging").via == "gate"


def test_thresholds_lowered_after_a_failed_run_do_not_pass_without_a_waiver():
    w = started()
    v = w.evaluated("0.740000")
    w.plan("0.500000")
    w.do(w.evaluation(v, "0.740000"))
    with refused(Refused, "gate_failed", says="missed its plan (auc 0.740000, at least 0.750000)"):
        promote(w, v, to="staging")
    asked = w.do(c.RequestWaiver(v, "AI-01.3", "C", ANNA, words("pilot"), w.now + 10 * DAY)).waiver
    w.do(c.ApproveWaiver(asked), BEN)
    assert [x.outcome for x in promote(w, v, to="staging").gate] == ["pass", "pass", "waived", "pass"]


def test_nothing_of_a_prohibited_system_is_promoted():
    w = World()
    w.system(tier="prohibited")
    w.plan()
    v = w.evaluated()
    for act in (
        c.PromoteVersion(v, "staging"),
        c.RequestPromotion(v, "production"),
        c.BreakGlass(v, "production", w.incident(), words("scores are wrong")),
    ):
        with refused(Refused, "prohibited_tier"):
            w.do(act, CARA)


def test_the_same_request_twice_names_the_first():
    w = started()
    v = w.staged()
    first = w.request(v)
    with refused(Refused, "already_requested", says=first):
        w.request(v)


def test_a_closed_request_is_not_approved():
    w = started()
    v = w.live()
    wish = w.records[-3].fact.request
    with refused(Refused, "request_closed"):
        w.do(c.ApprovePromotion(wish), DAN)
    with refused(NotFound):
        w.do(c.ApprovePromotion(ident(9)), DAN)
    assert v


# ---------------------------------------------------------------- reading


def test_served_answers_for_any_past_moment():
    w = started()
    before = w.now
    w.live()
    between = w.now
    w.live()
    at = lambda t: (w.query(c.Served("employment", "production", t))["served"] or {}).get("number")  # noqa: E731
    assert (at(before), at(between), at(w.now)) == (None, 1, 2)
    assert [(d["number"], d["env"]) for d in w.query(c.History("employment"))] == [
        (1, "staging"), (1, "production"), (2, "staging"), (2, "production"),
    ]  # fmt: skip
    assert [(v["number"], v["serves"]) for v in w.query(c.Versions("employment"))] == [
        (1, ""),
        (2, "staging production"),
    ]
    with refused(NotFound):
        w.query(c.Served("nothing"))


def test_why_lists_what_is_missing_and_who_acts():
    w = started()
    v = w.version()
    found = w.query(c.Why(v, "production"))
    told = [m["what"] for m in found["missing"]]
    assert not found["ready"]
    assert any("AI-01.3 A" in t for t in told)
    assert "never was in staging" in told
    assert "no request" in told
    assert all(m["who"] for m in found["missing"])
    w.do(w.evaluation(v))
    promote(w, v, to="staging")
    w.do(c.ApprovePromotion(w.request(v)), BEN)
    found = w.query(c.Why(v, "production"))
    assert (found["ready"], found["missing"], found["approved_by"]) == (True, [], [BEN])
    assert promote(w, v).via == "approval"


def test_a_planted_deployment_changes_nothing_that_is_served():
    w = started()
    w.live()
    v = w.approved()
    w.records_of(c.PromoteVersion(v, "production"), CARA, drill=True)
    assert w.query(c.Served("employment"))["served"]["number"] == 1


def test_every_fact_about_a_version_names_it():
    w = started()
    v = w.live()
    w.do(rec.RecordLoad(v, lookup.known_version(w.view, v).artifact, "production"))
    for r in w.records:
        if hasattr(r.fact, "number"):
            assert {f"model:{r.fact.model}", f"model:{r.fact.model}/{r.fact.number}"} <= set(r.head.refs)
    registered = next(r for r in w.records if r.head.tag == "registry.version_registered")
    assert {f"run:{registered.fact.run}", DATA, "system:hr-screen"} <= set(registered.head.refs)


def test_a_planted_approval_lets_nothing_through_and_a_planted_version_does_not_serve():
    w = started()
    v = w.staged()
    request = w.request(v)
    w.records_of(c.ApprovePromotion(request), BEN, drill=True)
    with refused(Refused, "not_approved", says="0 of 1"):
        promote(w, v)
    planted = w.records_of(w.registration(digest(55)), drill=True)[0].fact
    name = f"{planted.model}/{planted.number}"
    w.do(w.evaluation(name))
    with refused(Refused, "planted"):
        promote(w, name, to="staging")
