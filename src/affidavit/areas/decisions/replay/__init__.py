"""Part of decisions: decisions run again by the recorded version."""

from affidavit.areas.decisions.replay import commands as c
from affidavit.areas.decisions.replay import rules as r
from affidavit.areas.decisions.replay import view as v
from affidavit.areas.decisions.replay.queries import replays
from affidavit.core.area import Part

PART = Part(
    commands={c.RecordReplay: r.record_replay, c.Investigate: r.investigate},
    tables=v.TABLES,
    apply=v.APPLY,
    queries={c.Replays: replays},
    measures={c.Replay: "affidavit.areas.decisions.replay.measure:replay"},
    signals=v.SIGNALS,
)
