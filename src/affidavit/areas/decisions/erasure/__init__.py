"""Part of decisions: erasure, retention, legal hold, verification of what is stored."""

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure import queries as q
from affidavit.areas.decisions.erasure import rules as r
from affidavit.areas.decisions.erasure import view as v
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.erasure"
PART = Part(
    commands={
        c.OrderErasure: r.order_erasure, c.RecordErased: r.record_erased, c.RecordScan: r.record_scan, c.Hold: r.hold,
        c.ReleaseHold: r.release_hold, c.RecordVerification: r.record_verification,
    },
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.ListHolds: q.list_holds, c.ListErasures: q.list_erasures},
    measures={
        c.Erase: f"{_HERE}.finding:erase", c.CarryOut: f"{_HERE}.carrying:carry_out",
        c.Expire: f"{_HERE}.expiring:expire", c.ProveErasure: f"{_HERE}.proving:prove_erasure",
        c.Certify: f"{_HERE}.proving:certificate", c.VerifySegments: f"{_HERE}.verifying:verify_segments",
    },
    answers={n: getattr(q, n) for n in q.ANSWERS},
    signals={e.SegmentsVerified: v.tampering, e.ErasureFailed: v.leak},
    facts=(e.SegmentsVerified,),
)  # fmt: skip
