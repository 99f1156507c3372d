"""Registry: systems, models, versions, gates, promotions, loads, and what was observed to serve."""

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import lookup as look
from affidavit.areas.registry import queries as q
from affidavit.areas.registry import records as rec
from affidavit.areas.registry import rules as r
from affidavit.areas.registry import rules_observed as o
from affidavit.areas.registry import rules_promotion as p
from affidavit.areas.registry import rules_standing as s
from affidavit.areas.registry import serving
from affidavit.areas.registry import view as v
from affidavit.core.area import Area

_MEASURE = "affidavit.areas.registry"
AREA = Area(
    name="registry",
    summary="systems, models, versions, gates, promotions, loads",
    facts=(*v.VIEW.apply, e.DeploymentsExtracted),
    commands={
        c.RegisterSystem: r.register_system, c.MakeCommitment: r.make_commitment, c.RegisterModel: r.register_model,
        rec.RecordVersion: r.record_version, c.ProposePlan: r.propose_plan, c.ApprovePlan: r.approve_plan,
        rec.RecordEvaluation: r.record_evaluation, c.RequestPromotion: p.request, c.ApprovePromotion: p.approve,
        c.RejectPromotion: p.reject, c.PromoteVersion: p.promote, c.BreakGlass: p.break_glass,
        c.ReviewBreakGlass: p.review, c.RequestWaiver: s.request_waiver, c.ApproveWaiver: s.approve_waiver,
        c.ProposeStanding: s.propose_standing, c.ApproveStanding: s.approve_standing, c.RollBack: p.roll_back,
        rec.RecordDrill: r.record_drill, rec.RecordLoad: r.record_load, rec.RecordTamper: r.record_tamper,
        c.Retire: r.retire, rec.RecordDeployments: o.record_deployments,
    },
    queries={c.Why: q.why, c.Served: q.served, c.History: q.history, c.Versions: q.versions, c.Show: q.show,
             c.Systems: q.systems, c.Card: q.card, c.Bom: q.bom},
    measures={c.Register: f"{_MEASURE}.measure:register", c.Evaluate: f"{_MEASURE}.measure:evaluate",
              c.DrillRollback: f"{_MEASURE}.measure:drill_rollback", c.Load: f"{_MEASURE}.measure:load",
              c.Observe: f"{_MEASURE}.observe:observe"},
    answers={n: getattr(m, n) for m in (look, serving) for n in m.ANSWERS},
    signals={e.ArtifactTampered: v.tampering},
    checks=f"{_MEASURE}.checks.v1",
    view=v.VIEW,
)  # fmt: skip
