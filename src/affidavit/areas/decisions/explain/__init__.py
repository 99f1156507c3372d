"""Part of decisions: attributions, their fidelity, letters to the person."""

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain import queries as q
from affidavit.areas.decisions.explain import rules as r
from affidavit.areas.decisions.explain import signals as s
from affidavit.areas.decisions.explain import view as v
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.explain"
PART = Part(
    commands={
        c.ProposeExplainer: r.propose_explainer,
        c.ApproveExplainer: r.approve_explainer,
        c.RecordExplainer: r.record_explainer,
        c.RecordRecheck: r.record_recheck,
        c.RequestExplanation: r.request_explanation,
        c.RecordAnswer: r.record_answer,
    },
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.ListExplainers: q.explainers, c.ListRequests: q.requests},
    measures={
        c.MeasureExplainer: f"{_HERE}.measure:measure_explainer",
        c.RecheckExplanations: f"{_HERE}.recheck:recheck",
        c.AnswerExplanation: f"{_HERE}.answer:answer",
    },
    streamed={c.Explain: f"{_HERE}.explanation:explain", c.WriteLetter: f"{_HERE}.answer:letter"},
    answers={n: getattr(q, n) for n in q.ANSWERS},
    signals={e.ExplanationMeasured: s.disagreement},
    facts=(e.ExplanationMeasured,),
)
