"""Decisions: streams and their seals, proofs, traces, erasure, completeness, runtime truth, replay, explanation, oversight."""

from affidavit.areas.decisions.erasure import PART as ERASURE
from affidavit.areas.decisions.explain import PART as EXPLAIN
from affidavit.areas.decisions.look import PART as LOOK
from affidavit.areas.decisions.people import PART as PEOPLE
from affidavit.areas.decisions.record import PART as RECORD
from affidavit.areas.decisions.replay import PART as REPLAY
from affidavit.areas.decisions.runtime import PART as RUNTIME
from affidavit.core.area import assembled

AREA = assembled(
    "decisions",
    "record, prove, trace, replay, explain and erase decisions",
    (RECORD, LOOK, ERASURE, RUNTIME, REPLAY, EXPLAIN, PEOPLE),
    checks="affidavit.areas.decisions.checks.v1",
)
