"""Fairness: plans fixed beforehand, assessments by group, and the test that a release had one."""

from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness import events as e
from affidavit.areas.fairness import rules as r
from affidavit.areas.fairness import view as v
from affidavit.core.area import Area

AREA = Area(
    name="fairness",
    summary="fairness plans and assessments by group",
    facts=(e.FairnessPlanProposed, e.FairnessPlanApproved, e.FairnessAssessed),
    commands={
        c.ProposePlan: r.propose_plan,
        c.ApprovePlan: r.approve_plan,
        c.RecordAssessment: r.record_assessment,
    },
    queries={c.ListPlans: r.list_plans, c.ShowAssessment: r.show_assessment},
    measures={c.Assess: "affidavit.areas.fairness.measure:assess"},
    answers={"latest": v.latest, "plan_in_force": v.plan_in_force},
    checks="affidavit.areas.fairness.checks.v1",
    view=v.VIEW,
)
