"""AI-08.5 over small ledgers: which quarters are items, what each replay shows, when the population is whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from affidavit.areas.decisions.checks import reperformed
from affidavit.areas.decisions.events import BatchSealed, StreamOpened
from affidavit.areas.decisions.events_people import MismatchInvestigated, ReplayMeasured, VersionReplayed
from affidavit.areas.decisions.events_runtime import CountsReconciled, HourGap
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.fields import Attachment, VaultText
from affidavit.core.findings import Facts, Period
from affidavit.streams.ids import Minter, id_text
from affidavit.streams.sealed import Span

DAY = timedelta(days=1)
ZERO = "sha256:" + "0" * 64
BODY = Attachment(ZERO, 1, "application/json", "x")
NOTE = VaultText(commit=ZERO, vault="00000000-0000-4000-8000-000000000000")
Q1, Q2, Q3 = (datetime(2026, m, 1, tzinfo=UTC) for m in (1, 4, 7))
HALF = Period(Q1, Q3)
PARAMETERS = {"AI-08.5": {"sample_size": "25", "tolerance": "0.000001", "replayed_within": "P30D"}}
RUNNER, OTHER = "p-" + "1" * 32, "p-" + "2" * 32


def ident(n):
    return f"00000000-0000-4000-8000-{n:012x}"


class Log:
    """Facts by hand, each at a time of its own."""

    def __init__(self):
        self.records, self.seq = [], 0

    def add(self, at, fact, *refs, actor=RUNNER, drill=None):
        cls, n = type(fact), len(self.records)
        head = Head(
            "x",
            refs[0],
            n,
            cls.TAG,
            cls.V,
            at,
            Cmd(ident(n), ZERO, 1, 1),
            actor,
            Auth("os-user"),
            refs,
            ZERO,
            drill=drill,
        )
        self.records.append(Record(n, head, fact))
        return self

    def stream(self, at):
        fact = StreamOpened(ident(1), "decisions", at, ZERO, 1, "x", ZERO, BODY, ident(2), "employment", 1)
        return self.add(at, fact, f"stream:{ident(1)}")

    def sealed(self, first, last, rows=100):
        """A batch of decisions made from ``first`` to ``last``."""
        ids = [id_text(Minter().mint(int(t.timestamp() * 1000), bytes(8))) for t in (first, last)]
        span = Span(ident(1), self.seq, self.seq + rows - 1, *ids)
        self.seq += rows
        return self.add(
            last, BatchSealed(ident(3), "x", 1, rows, first, last, ZERO, BODY, (span,), ("decisions",)), "sealer:x"
        )

    def replayed(self, at, start=Q1, end=Q2, actor=RUNNER, **changes):
        base = {
            "population_n": 100,
            "seed": "s",
            "seeded": "service",
            "sampled": 25,
            "equal": 25,
            "differing": 0,
            "failed": 0,
            "erased": 0,
            "tolerance": "0.000001",
            "worst": None,
            "versions": (VersionReplayed(1, ZERO, 25, 0),),
        } | changes
        fact = ReplayMeasured(
            replay=ident(1000 + len(self.records)),
            model="employment",
            start=start,
            end=end,
            population=ZERO,
            isolation=(),
            code=ZERO,
            results=BODY,
            **base,
        )
        return self.add(at, fact, f"replay:{fact.replay}", "model:employment", actor=actor)

    def looked(self, at, cause="environment", actor=OTHER):
        replay = next(r.fact.replay for r in reversed(self.records) if isinstance(r.fact, ReplayMeasured))
        return self.add(
            at, MismatchInvestigated(replay, cause, NOTE), f"replay:{replay}", "model:employment", actor=actor
        )

    def counted(self, day, source="observed", **changes):
        base = {
            "observed": 100,
            "recorded": 100,
            "served": 100,
            "missed": 0,
            "late": 0,
            "duplicates": 0,
            "unfilled": 0,
            "unknown": 0,
            "steps": 0,
            "gaps": (),
        } | changes
        fact = CountsReconciled(deployment=ident(2), day=day, source=source, extract=None, details=BODY, **base)
        return self.add(day + DAY, fact, f"deployment:{ident(2)}")

    def facts(self):
        return Facts(self.records, PARAMETERS)


def in_first_quarter():
    """A stream that decided from 10 January to 20 March."""
    return Log().stream(Q1 + 8 * DAY).sealed(Q1 + 9 * DAY, Q1 + 78 * DAY)


MISMATCH = {"equal": 24, "differing": 1, "worst": "0.250000"}
GONE = {"equal": 15, "failed": 10, "versions": (VersionReplayed(1, ZERO, 25, 10, "artifact-gone"),)}
LATER = Q2 + 5 * DAY
CASES = {
    "nothing replayed": (lambda log: log, {"A": "deviation"}),
    "all is well": (lambda log: log.replayed(LATER), {}),
    "a drill is no replay": (lambda log: log.add(LATER, in_first_quarter().replayed(LATER).records[-1].fact, "replay:x", "model:employment", drill=True), {"A": "deviation"}),
    "too late": (lambda log: log.replayed(Q2 + 31 * DAY), {"A": "deviation"}),
    "named decisions are no sample": (lambda log: log.replayed(LATER, seed=None, seeded=None), {"A": "deviation", "B": "deviation"}),
    "too few drawn": (lambda log: log.replayed(LATER, sampled=24, equal=24), {"B": "deviation"}),
    "all of a few": (lambda log: Log().stream(Q1).sealed(Q1 + DAY, Q1 + 2 * DAY, 9).replayed(LATER, population_n=9, sampled=9, equal=9), {}),
    "a window that leaves the beginning out": (lambda log: log.replayed(LATER, start=Q1 + 40 * DAY, population_n=60), {"B": "deviation"}),
    "a window that leaves the end out": (lambda log: log.replayed(LATER, end=Q1 + 60 * DAY, population_n=60), {"B": "deviation"}),
    "a population that is short": (lambda log: log.replayed(LATER, population_n=99), {"B": "deviation"}),
    "the artifact is gone": (lambda log: log.replayed(LATER, **GONE).looked(LATER, "artifact"), {"C": "deviation"}),
    "another output, looked into": (lambda log: log.replayed(LATER, **MISMATCH).looked(LATER + DAY), {"D": "deviation"}),
    "another output, nobody looked": (lambda log: log.replayed(LATER, **MISMATCH), {"D": "deviation", "E": "deviation"}),
    "another output, own look": (lambda log: log.replayed(LATER, **MISMATCH).looked(LATER, actor=RUNNER), {"D": "deviation", "E": "deviation"}),
    "another output, no cause": (lambda log: log.replayed(LATER, **MISMATCH).looked(LATER, "unknown"), {"D": "deviation", "E": "deviation"}),
    "a good replay after a bad one": (lambda log: log.replayed(LATER, **MISMATCH).replayed(LATER + DAY), {"D": "deviation", "E": "deviation"}),
    "a generous tolerance": (lambda log: log.replayed(LATER, tolerance="0.500000"), {"D": "deviation"}),
    "all drawn are erased": (lambda log: log.replayed(LATER, equal=0, erased=25), {"D": "not_tested"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_quarter_is_judged_by_every_replay_of_it(name):
    """One quarter, one ledger; attributes not named pass, or do not apply."""
    build, expected = CASES[name]
    facts = build(in_first_quarter()).facts()
    item = reperformed.population(facts, HALF)[0]
    assert item.key == "employment/2026-Q1"
    states = {a: o.state for a, o in reperformed.test(item, facts).items()}
    assert {a: s for a, s in states.items() if s not in ("pass", "not_applicable")} == expected
    if not expected:
        assert states == {"A": "pass", "B": "pass", "C": "pass", "D": "pass", "E": "not_applicable"}


def test_items_are_the_quarters_in_which_a_model_decided():
    """A batch over the turn of a quarter is of both; a quarter outside the period is of neither."""
    log = in_first_quarter().sealed(Q1 + 85 * DAY, Q2 + 3 * DAY)
    assert [i.key for i in reperformed.population(log.facts(), HALF)] == ["employment/2026-Q1", "employment/2026-Q2"]
    assert [i.key for i in reperformed.population(log.facts(), Period(Q1, Q2))] == ["employment/2026-Q1"]
    assert reperformed.population(log.facts(), Period(Q3, Q3 + DAY)) == []
    assert reperformed.population(Log().facts(), HALF) == []


def test_what_is_not_due_yet_is_not_tested():
    """A quarter whose replay may still be made in time is no deviation, and no pass."""
    facts = in_first_quarter().facts()
    item = reperformed.population(facts, Period(Q1, Q2 + 10 * DAY))[0]
    assert {o.state for o in reperformed.test(item, facts).values()} == {"not_tested"}
    running = in_first_quarter().replayed(Q1 + 50 * DAY, end=Q1 + 50 * DAY, population_n=60).facts()
    states = {a: o.state for a, o in reperformed.test(item, running).items()}
    assert (states["A"], states["B"], states["D"]) == ("not_tested", "not_tested", "pass")


def test_self_reported_counts_alone_prove_nothing():
    """Whole only where another system's counts agree on every day with decisions."""

    def proven(log):
        return reperformed.completeness(log.facts(), HALF, []).proven

    def log():
        return Log().stream(Q1).sealed(Q1 + DAY, Q1 + 2 * DAY)

    assert not proven(Log())
    assert not proven(log())
    assert not proven(log().counted(Q1 + DAY).counted(Q1 + 2 * DAY, "self-reported"))
    assert not proven(log().counted(Q1 + DAY))
    assert not proven(log().counted(Q1 + DAY).counted(Q1 + 2 * DAY, gaps=(HourGap(Q1 + 2 * DAY, 9, 8),)))
    assert proven(log().counted(Q1 + DAY).counted(Q1 + 2 * DAY, "receipts"))


@pytest.mark.parametrize("now", [Q1, Q2 + DAY, Q3 - DAY, datetime(2026, 5, 20, 12, tzinfo=UTC)])
def test_the_planted_mismatch_is_found_at_any_time_of_year(now):
    """Its attribute deviates; once a person looked into it, it does not."""
    item, facts, attribute = reperformed.CHECK.known_bad(now)
    assert reperformed.test(item, facts)[attribute].state == "deviation"
    replay = facts.all(ReplayMeasured)[0]
    look = MismatchInvestigated(replay.fact.replay, "input", NOTE)
    facts.add(Record(9, replace(replay.head, actor=OTHER, refs=(f"replay:{look.replay}",)), look))
    assert reperformed.test(item, facts)[attribute].state == "pass"
