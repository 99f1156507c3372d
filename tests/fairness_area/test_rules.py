"""Plans are fixed beforehand and approved by another person; assessments follow them to the letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from area_world import ANNA, BEN, digest, ident, words
from fairness_world import CONTENT, DATA, MODEL, RATIO, TPR, VERSION, assessed, planned, verdict, wish, world

from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness.rules import column_of, to_judge
from affidavit.core.errors import Invalid, NotFound, Refused


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"model": "nobody"}, NotFound, "no model nobody"),
        ({"dataset": "dataset:acs/1999"}, NotFound, "no dataset:acs/1999"),
        ({"dataset": "model:employment"}, Invalid, "names no dataset version"),
        ({"thresholds": ()}, Invalid, "0 thresholds"),
        ({"thresholds": (TPR, TPR)}, Invalid, "given twice"),
        ({"thresholds": (replace(TPR, metric="charm"),)}, Invalid, "charm"),
        ({"thresholds": (replace(TPR, direction="at-least"),)}, Invalid, "difference"),
        ({"thresholds": (replace(RATIO, direction="at-most"),)}, Invalid, "ratio"),
        ({"thresholds": (replace(RATIO, metric="calibration_gap"),)}, Invalid, "no ratio"),
        ({"thresholds": (replace(TPR, groups=()),)}, Invalid, "groups"),
        ({"thresholds": (replace(TPR, groups=("SEX", "SEX")),)}, Invalid, "groups"),
        ({"thresholds": (replace(TPR, groups=("AGEP:40,25",)),)}, Invalid, "names no group"),
        ({"thresholds": (replace(TPR, groups=("AGEP:x",)),)}, Invalid, "names no group"),
        ({"reason": words("tbd")}, Invalid, "reason says too little"),
        ({"group_basis": words("n/a")}, Invalid, "group_basis says too little"),
    ],
)
def test_a_plan_that_cannot_be_judged_is_not_proposed(changes, error, says):
    """Unknown model or data, no or bad thresholds, empty words: each with what to do next."""
    with pytest.raises(error, match=says) as caught:
        world().do(wish(**changes))
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("token", "column", "edges"),
    [("SEX", "SEX", ()), ("AGEP:25", "AGEP", ("25",)), ("AGEP:-1,0.5,60", "AGEP", ("-1", "0.5", "60"))],
)
def test_a_group_is_a_column_or_a_banded_one(token, column, edges):
    """The edges ascend."""
    assert column_of(token) == (column, edges)


@pytest.mark.parametrize("token", ["AGEP:", "AGEP:25,", "AGEP:25,25", "AGEP:060", "AGEP:1e3", ":25"])
def test_a_bad_group_token_is_refused(token):
    """Empty, repeated or oddly written edges."""
    with pytest.raises(Invalid):
        column_of(token)


def test_thresholds_keep_their_sense_on_the_way_to_the_maths():
    """At most is a maximum, at least a minimum, several groups an intersection."""
    assert (to_judge(TPR).direction, to_judge(TPR).attributes) == ("max", ("SEX",))
    assert (to_judge(RATIO).direction, to_judge(RATIO).attributes) == ("min", ("SEX", "AGEP:25,40"))


def test_a_plan_is_approved_by_another_person_and_until_a_day_ahead():
    """Its proposer may not; a review in the past is none; once is enough."""
    w = world()
    plan = w.do(wish())[0].fact.plan
    with pytest.raises(Refused) as refusal:
        w.do(c.ApprovePlan(plan, w.now + timedelta(days=1)), ANNA)
    assert refusal.value.code == "self_approval" and "AI-04.2" in refusal.value.controls
    with pytest.raises(Invalid, match="has passed"):
        w.do(c.ApprovePlan(plan, w.now), BEN)
    with pytest.raises(NotFound):
        w.do(c.ApprovePlan(ident(99), w.now + timedelta(days=1)), BEN)
    w.do(c.ApprovePlan(plan, w.now + timedelta(days=1)), BEN)
    with pytest.raises(Refused, match="was approved"):
        w.do(c.ApprovePlan(plan, w.now + timedelta(days=1)), BEN)


def test_the_plan_in_force_is_the_one_approved_last():
    """A later one replaces it; one whose review is overdue is in force no more; a planted one never is."""
    w = world()
    first = planned(w)
    assert w.query(c.ListPlans(MODEL))["in_force"] == first
    second = w.do(wish(), drill=True)[0].fact.plan
    with pytest.raises(Refused) as refusal:
        w.do(c.ApprovePlan(second, w.now + timedelta(days=900)), BEN)
    assert refusal.value.code == "planted"
    w.do(c.ApprovePlan(second, w.now + timedelta(days=900)), BEN, drill=True)
    assert w.answer("fairness.plan_in_force", MODEL)["id"] == first
    third = planned(w)
    assert w.query(c.ListPlans(MODEL))["in_force"] == third
    assert len(w.query(c.ListPlans(MODEL))["plans"]) == 3
    w.now += timedelta(days=301)
    assert w.query(c.ListPlans(MODEL))["in_force"] is None
    with pytest.raises(Refused) as refusal:
        w.do(assessed(third))
    assert refusal.value.code == "plan_overdue"


def test_an_assessment_is_recorded_and_answered():
    """Its verdicts come back as other areas read them; a planted one does not."""
    w = world()
    plan = planned(w, TPR, RATIO)
    (made,) = w.do(assessed(plan, verdict(), verdict(RATIO, "0.900000", 40)), BEN)
    assert made.head.refs == (f"model:{MODEL}", f"model:{VERSION}", f"plan:{plan}", DATA)
    w.do(
        assessed(plan, verdict(said="breached", value="0.200000"), verdict(RATIO, None, 3, "insufficient-data")),
        drill=True,
    )
    found = w.answer("fairness.latest", MODEL, 3)
    assert [(v["metric"], v["verdict"], v["value"]) for v in found["verdicts"]] == [
        ("tpr", "met", "0.050000"), ("selection_rate", "met", "0.900000"),
    ]  # fmt: skip
    assert (found["by"], found["actor"], found["rows"], found["drill"]) == ("service", BEN, 1000, False)
    assert w.query(c.ShowAssessment(VERSION))["plan"] == plan
    assert w.answer("fairness.latest", MODEL, 4) is None
    with pytest.raises(NotFound):
        w.query(c.ShowAssessment("employment/4"))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"version": "employment/9"}, NotFound, "no version"),
        ({"artifact": digest(1)}, Invalid, "is sha256"),
        ({"plan": ident(99)}, Refused, "not in force"),
        ({"content": digest(1)}, Refused, "other data was assessed"),
        ({"split": "training"}, Refused, "other data was assessed"),
        ({"dataset": "dataset:acs/2016"}, Refused, "other data was assessed"),
        ({"verdicts": ()}, Invalid, "does not judge what the plan asks"),
        ({"verdicts": (verdict(), verdict())}, Invalid, "does not judge what the plan asks"),
        ({"verdicts": (replace(verdict(), bound="0.900000"),)}, Invalid, "does not judge what the plan asks"),
        ({"verdicts": (verdict(value="0.100001"),)}, Invalid, "contradicts its value"),
        ({"verdicts": (verdict(said="breached"),)}, Invalid, "contradicts its value"),
        ({"verdicts": (verdict(value=None),)}, Invalid, "contradicts its value"),
        ({"verdicts": (verdict(n=99),)}, Invalid, "100 are needed"),
    ],
)
def test_an_assessment_that_does_not_follow_the_plan_is_not_recorded(changes, error, says):
    """Another digest, plan, data or bound; a verdict that its own value denies; too few rows called met."""
    w = world()
    with pytest.raises(error, match=says) as caught:
        w.do(replace(assessed(planned(w)), **changes))
    assert caught.value.next_step


@pytest.mark.parametrize(
    "given",
    [
        verdict(value="0.100000"),
        verdict(value="0.100001", said="breached"),
        verdict(value="0.300000", n=5, said="breached"),
        verdict(value=None, n=0, said="insufficient-data"),
        verdict(value="0.010000", n=99, said="insufficient-data"),
    ],
)
def test_a_sound_verdict_is_recorded_whatever_it_says(given):
    """Equal to the bound is met; a breach among few rows is a breach; insufficient data is said."""
    w = world()
    assert w.do(assessed(planned(w), given))[0].fact.verdicts == (given,)


def test_without_a_plan_nothing_is_assessed():
    """The refusal says how to get one."""
    with pytest.raises(Refused) as refusal:
        world().do(assessed(ident(1)))
    assert refusal.value.code == "no_plan" and "propose" in refusal.value.next_step
    assert CONTENT
