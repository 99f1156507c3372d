"""Part of decisions: completeness from receipts, counters and own counts; what serves against the register."""

from affidavit.areas.decisions.events_runtime import RuntimeDiffered
from affidavit.areas.decisions.runtime import commands as c
from affidavit.areas.decisions.runtime import queries as q
from affidavit.areas.decisions.runtime import rules as r
from affidavit.areas.decisions.runtime import view as v
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.runtime"
PART = Part(
    commands={
        c.RecordServing: r.record_serving, c.RecordRequestCounts: r.record_request_counts,
        c.RecordReceipts: r.record_receipts, c.RecordReconciled: r.record_reconciled, c.RecordRuntime: r.record_runtime,
    },
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.ListDifferences: q.differences},
    measures={
        c.ObserveServing: f"{_HERE}.extracts:observe_serving", c.ObserveCounts: f"{_HERE}.extracts:observe_counts",
        c.PresentReceipts: f"{_HERE}.presenting:present", c.Reconcile: f"{_HERE}.reconcile:reconcile",
        c.ReconcileRuntime: f"{_HERE}.compare:compare",
    },
    answers={n: getattr(q, n) for n in q.ANSWERS},
    signals={RuntimeDiffered: v.breach},
)  # fmt: skip
