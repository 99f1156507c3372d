"""Part of decisions: routing to people, their actions, outcomes, tenants."""

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.people import commands as c
from affidavit.areas.decisions.people import queries as q
from affidavit.areas.decisions.people import rules as r
from affidavit.areas.decisions.people import view as v
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.people"
PART = Part(
    commands={
        c.ProposeRouting: r.propose_routing, c.ApproveRouting: r.approve_routing, c.TrainReviewer: r.train_reviewer,
        c.RecordOversight: r.record_oversight, c.RestrictTenants: r.restrict_tenants, c.RecordProbe: r.record_probe,
    },
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.ShowRouting: q.show_routing, c.ShowOversight: q.show_oversight},
    measures={
        c.MeasureOversight: f"{_HERE}.oversight:measure", c.PlantCanary: f"{_HERE}.canary:plant",
        c.ProbeTenant: f"{_HERE}.canary:probe",
    },
    streamed={
        c.QueueDecision: f"{_HERE}.acting:queue_decision", c.Queue: f"{_HERE}.acting:queue",
        c.OpenReview: f"{_HERE}.acting:open_review", c.Release: f"{_HERE}.acting:release",
        c.Contest: f"{_HERE}.acting:contest", c.OptOut: f"{_HERE}.acting:opt_out", c.Effect: f"{_HERE}.acting:effect",
        c.RecordOutcomes: f"{_HERE}.outcomes:record_outcomes", c.RecordOutcome: f"{_HERE}.outcomes:record_outcome",
    },
    answers={n: getattr(q, n) for n in q.ANSWERS},
    signals=v.SIGNALS,
    facts=(e.TenantProbed,),
)  # fmt: skip
