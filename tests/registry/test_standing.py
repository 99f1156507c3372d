"""Waivers and standing authorisations: what lies inside goes through, everything else needs a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from registry_world import ANNA, BEN, CARA, DATA, World, refused, started, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks.planted import digest, ident, person
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.findings import Outcome

DAY = timedelta(days=1)


FRAN = person(17)


def authorisation(w):
    bounds = (e.Threshold("auc", "at-least", "0.780000"),)
    return c.ProposeStanding("employment", (DATA,), ("abc",), (), bounds, w.now + DAY, words("weekly"))


def promote(w, version, by=CARA):
    return w.do(c.PromoteVersion(version, "production"), by)


def waiver(w, version, control="AI-01.3", attribute="D", owner=ANNA, days=30, by=ANNA):
    return w.do(c.RequestWaiver(version, control, attribute, owner, words("pilot"), w.now + days * DAY), by).waiver


@pytest.mark.parametrize(
    ("what", "given", "error"),
    [
        ("expired on arrival", {"days": 0}, Invalid),
        ("a year long", {"days": 365}, Invalid),
        ("of an attribute no gate asks for", {"attribute": "Z"}, Invalid),
        ("owned by nobody", {"owner": person(99)}, NotFound),
    ],
)
def test_a_waiver_is_refused(what, given, error):
    w = started()
    v = w.version()
    with refused(error):
        waiver(w, v, **given)


def test_a_waiver_lets_a_failed_threshold_through_and_shows():
    w = started()
    v = w.evaluated("0.740000")
    asked = waiver(w, v)
    with refused(Refused, "gate_failed"):
        w.do(c.PromoteVersion(v, "staging"), CARA)
    for who in (ANNA, w.records[-1].head.actor):
        with refused(Refused, "self_approval"):
            w.do(c.ApproveWaiver(asked), who)
    w.do(c.ApproveWaiver(asked), BEN)
    with refused(Refused, "already_approved"):
        w.do(c.ApproveWaiver(asked), BEN)
    fact = w.do(c.PromoteVersion(v, "staging"), CARA)
    assert [x.outcome for x in fact.gate] == ["pass", "pass", "pass", "waived"]
    w.now += 31 * DAY
    with refused(Refused, "gate_failed"):
        w.request(v)


def test_the_author_does_not_approve_a_waiver_that_another_asked_for():
    w = started()
    asked = waiver(w, w.evaluated("0.740000"), by=CARA)
    with refused(Refused, "self_approval"):
        w.do(c.ApproveWaiver(asked), ANNA)


def test_a_waiver_covers_only_what_was_measured_when_it_was_asked_for():
    w = started()
    v = w.evaluated("0.740000")
    w.do(c.ApproveWaiver(waiver(w, v)), BEN)
    w.do(w.evaluation(v, "0.500000"))
    with refused(Refused, "gate_failed"):
        w.do(c.PromoteVersion(v, "staging"), CARA)
    early = w.version()
    w.do(c.ApproveWaiver(waiver(w, early)), BEN)  # asked for before anything was measured
    w.do(w.evaluation(early, "0.740000"))
    with refused(Refused, "gate_failed"):
        w.do(c.PromoteVersion(early, "staging"), CARA)


def test_a_waiver_of_fairness_covers_one_assessment():
    w = World(transitions={"staging": {"from": "development", "checks": {"AI-04.2": ["D"]}}})
    w.system()
    v = w.version()
    w.assessments[v] = {"entry": 7}
    fact = w.do(c.RequestWaiver(v, "AI-04.2", "D", ANNA, words("pilot"), w.now + DAY))
    assert fact.measured == 7
    w.do(c.ApproveWaiver(fact.waiver), BEN)
    biased = {"AI-04.2": {"D": Outcome("deviation", "biased", (7,))}}
    w.assessments[v] = {"entry": 8}
    with refused(Refused, "gate_failed"):
        w.do(c.PromoteVersion(v, "staging"), CARA, gate=biased)
    w.assessments[v] = {"entry": 7}
    assert w.do(c.PromoteVersion(v, "staging"), CARA, gate=biased).gate[0].outcome == "waived"


def test_who_may_accept_in_one_environment_alone_accepts_for_no_other():
    w = started()
    w.live()
    for env in ("development", "staging"):
        w.grant(FRAN, "approver", env)
    asked = waiver(w, w.evaluated("0.740000"))
    with refused(Refused, "not_an_approver", says="in production"):
        w.do(c.ApproveWaiver(asked), FRAN)
    found = w.do(authorisation(w)).standing
    with refused(Refused, "not_an_approver", says="in production"):
        w.do(c.ApproveStanding(found), FRAN)
    w.grant(FRAN, "approver", "production")
    w.do(c.ApproveWaiver(asked), FRAN)
    w.do(c.ApproveStanding(found), FRAN)


@pytest.mark.parametrize(
    ("what", "version"),
    [
        ("author", {"author": BEN, "registrar": ANNA}),
        ("registrar", {"registrar": BEN}),
        ("trainer", {"by": BEN}),
    ],
)
def test_nobody_authorises_their_own_retrain(what, version):
    w = started()
    w.live()
    w.standing()
    v = w.staged(**version)
    with refused(Refused, "outside_standing", says=f"its approver is the {what}"):
        promote(w, v)


def test_an_expired_waiver_is_not_approved():
    w = started()
    asked = waiver(w, w.evaluated("0.740000"), days=1)
    w.now += 2 * DAY
    with refused(Refused, "waiver_expired"):
        w.do(c.ApproveWaiver(asked), BEN)
    with refused(NotFound):
        w.do(c.ApproveWaiver(ident(1)), BEN)


def test_a_retrain_within_bounds_goes_through_with_its_trail():
    w = started()
    w.live()
    found = w.standing()
    v = w.staged(hyperparameters={"leaves": "63"})
    fact = promote(w, v)
    assert (fact.via, fact.standing, fact.request) == ("standing", found, None)
    served = w.query(c.Served("employment"))["served"]
    assert (served["number"], served["standing_approved_by"]) == (2, BEN)


OUTSIDE = [
    ("another dataset", {"data": "dataset:acs/2016"}, {}, "dataset:acs/2016 is not among its datasets"),
    ("another code revision", {"code": "def"}, {}, "code def is not among its code revisions"),
    ("a value above its range", {"hyperparameters": {"leaves": "64"}}, {}, "leaves is 64, above 63.000000"),
    ("a value below its range", {"hyperparameters": {"leaves": "14"}}, {}, "leaves is 14, below 15.000000"),
    ("a value that is no number", {"hyperparameters": {"leaves": "many"}}, {}, "leaves is many, which is no number"),
    (
        "a value that is infinite",
        {"hyperparameters": {"leaves": "Infinity"}},
        {},
        "leaves is Infinity, which is no finite",
    ),
    ("a parameter left out", {"hyperparameters": {"depth": "3"}}, {}, "leaves is not stated"),
    (
        "a new parameter without range",
        {"hyperparameters": {"leaves": "31", "depth": "3"}},
        {},
        "depth is 3, the last approved",
    ),
    ("a metric below its bound", {}, {"auc": "0.770000"}, "auc is 0.770000, must be at least 0.780000"),
]


@pytest.mark.parametrize(("what", "version", "measured", "says"), OUTSIDE, ids=[o[0] for o in OUTSIDE])
def test_outside_the_bounds_is_refused_with_the_exact_bound(what, version, measured, says):
    w = started()
    w.live()
    w.standing()
    w.dataset("dataset:acs/2016", digest(30))
    v = w.staged(**measured, **version)
    with refused(Refused, "outside_standing", says=says):
        promote(w, v)
    assert says in " ".join(w.query(c.Why(v, "production"))["outside_standing"])
    w.do(c.ApprovePromotion(w.request(v)), BEN)
    assert promote(w, v).via == "approval"


def test_a_range_that_names_one_value():
    w = started()
    w.live()
    w.standing(ranges=(e.Range("leaves", equals="31"),))
    assert promote(w, w.staged()).via == "standing"
    v = w.staged(hyperparameters={"leaves": "32"})
    with refused(Refused, "outside_standing", says="must be 31"):
        promote(w, v)


def test_before_any_approved_version_unranged_parameters_have_no_measure():
    w = started()
    w.standing(ranges=())
    v = w.staged()
    with refused(Refused, "outside_standing", says="no approved version serves as measure"):
        promote(w, v)


def test_an_expired_or_unapproved_authorisation_covers_nothing():
    w = started()
    w.live()
    w.standing()
    v = w.staged()
    w.now += 91 * DAY
    with refused(Refused, "not_requested"):
        promote(w, v)


def test_the_gate_still_stands_before_an_authorisation():
    w = started()
    w.live()
    w.standing(bounds=(e.Threshold("auc", "at-least", "0.100000"),))
    v = w.staged()
    w.do(w.evaluation(v, "0.600000"))
    with refused(Refused, "gate_failed"):
        promote(w, v)


def test_the_approver_does_not_deploy_under_it_where_the_rules_part_the_two():
    w = started()
    w.live()
    w.standing()
    v = w.staged()
    with refused(Refused, "duties_meet"):
        promote(w, v, BEN)


@pytest.mark.parametrize(
    ("what", "given", "error"),
    [
        ("no datasets", {"datasets": ()}, Invalid),
        ("no code", {"code": ()}, Invalid),
        ("no metric bounds", {"bounds": ()}, Invalid),
        ("unknown dataset", {"datasets": ("dataset:acs/1999",)}, NotFound),
        ("unknown model", {"model": "other"}, NotFound),
        ("a range without bounds", {"ranges": (e.Range("leaves"),)}, Invalid),
        ("bounds and a value at once", {"ranges": (e.Range("leaves", "1.000000", None, "3"),)}, Invalid),
        ("upside down", {"ranges": (e.Range("leaves", "2.000000", "1.000000"),)}, Invalid),
        ("the same range twice", {"ranges": (e.Range("leaves", "2.000000"),) * 2}, Invalid),
    ],
)
def test_a_standing_authorisation_is_refused(what, given, error):
    w = started()
    with refused(error):
        w.standing(**given)


def test_it_is_approved_once_by_another_before_it_expires():
    w = started()
    found = w.do(authorisation(w)).standing
    with refused(Refused, "self_approval"):
        w.do(c.ApproveStanding(found), ANNA)
    w.now += 2 * DAY
    with refused(Refused, "standing_expired"):
        w.do(c.ApproveStanding(found), BEN)
    with refused(NotFound):
        w.do(c.ApproveStanding(ident(1)), BEN)
    done = w.standing()
    with refused(Refused, "already_approved"):
        w.do(c.ApproveStanding(done), BEN)
