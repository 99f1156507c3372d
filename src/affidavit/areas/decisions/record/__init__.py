"""Part of decisions: streams, seals, gaps; protected attributes joined under a key."""

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions.record import commands as c
from affidavit.areas.decisions.record import queries as q
from affidavit.areas.decisions.record import rules as r
from affidavit.areas.decisions.record import view as v
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.record"
PART = Part(
    commands={c.RecordBatch: r.record_batch, c.RecordJoin: r.record_join},
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.ListStreams: q.streams},
    measures={
        c.Seal: f"{_HERE}.seal:seal",
        c.Equip: f"{_HERE}.equip:equip",
        c.CountGroups: f"{_HERE}.groups:count_groups",
    },
    facts=(e.JoinKeyUsed,),
    answers={n: getattr(q, n) for n in q.ANSWERS},
)
