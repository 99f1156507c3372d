"""Emergencies and rollbacks: the glass, the review, the way back. One line per attack or exception."""

from __future__ import annotations

from datetime import timedelta

import pytest
from registry_world import ANNA, BEN, DAN, EVE, refused, retired, started, tampered, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry.checks.planted import ident
from affidavit.core.errors import Invalid, NotFound, Refused

DAY = timedelta(days=1)


def glass(w, v, by=EVE, incident=None):
    incident = incident or w.incident()
    return w.do(c.BreakGlass(v, "production", incident, words("scores are wrong")), by)


def test_break_glass_records_incident_gate_and_a_review_that_falls_due_in_business_days():
    w = started()
    v = w.version()
    w.now = w.now.replace(day=6, hour=15)  # a Friday
    fact = glass(w, v)
    assert fact.via == "break-glass"
    assert fact.review_due.isoweekday() == 2  # two business days on: Tuesday
    assert fact.incident_entry is not None
    assert any(x.outcome == "deviation" for x in fact.gate)


@pytest.mark.parametrize(
    ("what", "spoil", "error", "code"),
    [
        ("no such incident", lambda w, v: (v, ident(3)), NotFound, ""),
        ("incident closed", lambda w, v: (v, w.incident("closed")), Refused, "incident_closed"),
        (
            "incident of another model",
            lambda w, v: (v, w.incident(about=("model:other",))),
            Refused,
            "incident_elsewhere",
        ),
        ("incident of a drill", lambda w, v: (v, w.incident(drill=True)), Refused, "incident_elsewhere"),
        ("retired", lambda w, v: (retired(w, v), None), Refused, "retired"),
        ("altered", lambda w, v: (tampered(w, v), None), Refused, "tampered"),
    ],
)
def test_break_glass_is_refused(what, spoil, error, code):
    w = started()
    v, incident = spoil(w, w.version())
    with refused(error, code):
        glass(w, v, incident=incident)


@pytest.mark.parametrize("about", ["model:employment", "model:employment/1", "system:hr-screen"])
def test_an_incident_about_the_model_the_version_or_the_system_opens_the_glass(about):
    w = started()
    v = w.version()
    assert glass(w, v, incident=w.incident(about=("dataset:acs/2015", about))).via == "break-glass"


@pytest.mark.parametrize(
    ("what", "who", "error", "code"),
    [
        ("deployer reviews", EVE, Refused, "self_review"),
        ("author reviews", ANNA, Refused, "self_review"),
        ("no right to review", DAN, Refused, "not_a_reviewer"),
    ],
)
def test_review_is_refused(what, who, error, code):
    w = started()
    d = glass(w, w.version()).deployment
    with refused(error, code):
        w.do(c.ReviewBreakGlass(d, "accepted", words("was right")), who)


def test_a_late_review_is_recorded_and_a_second_refused():
    w = started()
    d = glass(w, w.version()).deployment
    w.now += 30 * DAY
    assert w.do(c.ReviewBreakGlass(d, "accepted", words("was right")), BEN).verdict == "accepted"
    with refused(Refused, "already_reviewed"):
        w.do(c.ReviewBreakGlass(d, "accepted", words("was right")), BEN)


def test_only_emergencies_are_reviewed():
    w = started()
    w.live()
    d = w.records[-1].fact.deployment
    with refused(Invalid):
        w.do(c.ReviewBreakGlass(d, "accepted", words("was right")), BEN)


# ---------------------------------------------------------------- rollback


def test_rollback_goes_back_to_what_was_approved_without_a_new_approval():
    w = started()
    first, second = w.live(), w.live()
    fact = w.do(c.RollBack(first, "production", words("precision fell")), EVE)
    assert (fact.via, fact.number) == ("rollback", 1)
    served = w.query(c.Served("employment"))["served"]
    assert (served["number"], served["approved_by"]) == (1, [BEN])
    assert second == "employment/2"


@pytest.mark.parametrize(
    ("what", "story", "code"),
    [
        ("never approved", lambda w: w.staged(), "never_approved"),
        ("only by emergency", lambda w: (v := w.version(), glass(w, v), w.live())[0], "never_approved"),
        ("retired", lambda w: (v := w.live(), w.live(), retired(w, v))[0], "retired"),
        ("live now", lambda w: w.live(), "already_live"),
    ],
)
def test_rollback_is_refused(what, story, code):
    w = started()
    v = story(w)
    with refused(Refused, code):
        w.do(c.RollBack(v, "production", words("back")), EVE)


def test_a_version_in_production_is_not_retired():
    w = started()
    v = w.live()
    with refused(Refused, "still_live"):
        w.do(c.Retire(v, words("old")))
