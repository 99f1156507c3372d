"""AI-08.4 on ledgers in memory: what deviates, what is not tested, what is classed out, when the population is whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from affidavit.areas.decisions.checks import oversight
from affidavit.areas.decisions.events_people import OversightMeasured, RoutingApproved
from affidavit.areas.decisions.events_runtime import CountsReconciled, HourGap
from affidavit.areas.registry.events import VersionPromoted
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.fields import Attachment
from affidavit.core.findings import Facts, Period

ZERO, DAY = "sha256:" + "0" * 64, timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = Period(START, START + 3 * DAY)
DEPLOYMENT, RULE, OTHER = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
ATTACHED = Attachment(ZERO, 1, "application/json", "oversight")
GOOD = OversightMeasured(
    DEPLOYMENT, RULE, START, START + DAY, 100, 5, 5, 5, 0, 0, 0, 0, 0, 0, 0, 1, 4, 60_000, ATTACHED
)


class Ledger:
    """Facts in memory: a deployment of ``m`` live since before the period, a rule in force since then."""

    def __init__(self, *, rule=START - 9 * DAY, promoted=START - 9 * DAY):
        self.records = []
        self.promote(DEPLOYMENT, promoted)
        if rule:
            self.add(RoutingApproved(RULE, "m"), ("model:m", f"routing:{RULE}"), rule)

    def add(self, fact, refs, at, *, drill=False):
        cls, n = type(fact), len(self.records)
        head = Head("x", refs[0], n, cls.TAG, cls.V, at, Cmd(RULE, ZERO, 1, 1), "p-" + "0" * 32, Auth("os-user"), refs, ZERO,
                    drill=drill or None)  # fmt: skip
        self.records.append(Record(n, head, fact))

    def promote(self, deployment, at):
        fact = VersionPromoted(deployment, "m", 1, ZERO, "production", "approval", (), ZERO)
        self.add(fact, ("model:m", f"deployment:{deployment}"), at)

    def measured(self, day, *, drill=False, days=1, **changes):
        at = START + day * DAY
        fact = replace(GOOD, start=at, end=at + days * DAY, **changes)
        self.add(fact, (f"deployment:{DEPLOYMENT}", "model:m"), fact.end, drill=drill)

    def counted(self, day, source="observed", recorded=100, **more):
        fact = CountsReconciled(DEPLOYMENT, START + day * DAY, source, recorded, recorded, recorded, 0, 0, 0, 0, 0, 0,
                                more.pop("gaps", ()), ATTACHED, **more)  # fmt: skip
        self.add(fact, (f"deployment:{DEPLOYMENT}",), START + (day + 1) * DAY)

    @property
    def facts(self):
        return Facts(self.records, {"AI-08.4": {"agreement_at_most": "0.99"}})

    def grid(self):
        facts = self.facts
        items = oversight.routed_decisions(facts, PERIOD)
        return {i.key: {a: o.state for a, o in oversight.people_decide_first(i, facts).items()} for i in items}

    def complete(self):
        return oversight.completeness(self.facts, PERIOD, oversight.routed_decisions(self.facts, PERIOD))


SCENARIOS = [
    ("all as it should be", {}, {}),
    ("bypassed", {"bypassed": 1}, {"A": "deviation"}),
    ("erased before it was measured", {"erased": 2}, {"A": "not_tested"}),
    ("untrained reviewer", {"untrained": 1}, {"B": "deviation"}),
    ("effect before release", {"early": 1}, {"C": "deviation"}),
    ("time of effect unknown", {"effect_unknown": 1}, {"C": "not_tested"}),
    ("still waiting", {"waiting": 1}, {"C": "not_tested", "D": "not_tested"}),
    ("no reason", {"unreasoned": 1}, {"D": "deviation"}),
    ("too quick", {"hasty": 1}, {"E": "deviation"}),
    ("rubber-stamping", {"agreements": 200, "overrides": 0}, {"E": "deviation"}),
    ("rubber-stamping, with a fig leaf", {"agreements": 198, "overrides": 2}, {}),
    ("too few releases to tell", {"agreements": 99, "overrides": 0}, {}),
    ("contest unanswered", {"unanswered": 1}, {"F": "deviation"}),
    ("contest not yet due", {"pending": 1}, {"F": "not_tested"}),
    ("nothing met the rule", {"routed": 0, "held": 0, "released": 0, "agreements": 0, "overrides": 0},
     dict.fromkeys("BCDE", "not_applicable")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "expected"), SCENARIOS, ids=[s[0] for s in SCENARIOS])
def test_each_count_speaks_on_its_own_attribute(name, changes, expected):
    """One measured window, one thing different."""
    ledger = Ledger()
    ledger.measured(0, **changes)
    (row,) = ledger.grid().values()
    assert row == dict.fromkeys("ABCDEF", "pass") | expected


def test_measuring_again_takes_nothing_back():
    """A second measurement of the same window is the same item; a deviation of the first stays, what was open is settled."""
    ledger = Ledger()
    ledger.measured(0, bypassed=1, waiting=2, erased=0)
    ledger.measured(0, erased=7)
    (row,) = ledger.grid().values()
    assert row == dict.fromkeys("ABCDEF", "pass") | {"A": "deviation"}


def test_agreement_is_judged_over_the_whole_period():
    """Three small windows make one large one; the deviation stands once, on the last."""
    ledger = Ledger()
    for day in range(3):
        ledger.measured(day, agreements=40, overrides=0)
    assert [row["E"] for row in ledger.grid().values()] == ["pass", "pass", "deviation"]


def test_time_without_a_measurement_deviates_once_its_day_is_over():
    """Between windows, before the first and after the last; not yet for the newest day; not for what came after a replacement."""
    ledger = Ledger()
    ledger.measured(1)
    found = ledger.grid()
    assert [k.partition("/")[2] for k, row in found.items() if row["A"] == "deviation"] == [
        "unmeasured/2026-03-01T00:00:00.000Z"
    ]
    ledger.counted(5)
    assert [k.partition("/")[2] for k, row in ledger.grid().items() if row["A"] == "deviation"] == [
        "unmeasured/2026-03-01T00:00:00.000Z", "unmeasured/2026-03-03T00:00:00.000Z"]  # fmt: skip
    ledger.measured(0, drill=True)  # a planted measurement covers nothing
    assert sum(row["A"] == "deviation" for row in ledger.grid().values()) == 2
    ledger.measured(0)
    ledger.promote(OTHER, START + 2 * DAY)
    kept = {k.partition("/")[0] for k, row in ledger.grid().items() if row["A"] == "deviation"}
    assert kept == {OTHER}


def test_a_model_without_a_rule_is_classed_out():
    """Nothing is sent to a person by policy: every attribute is not applicable, and completeness is not claimed."""
    ledger = Ledger(rule=None)
    ledger.counted(5)
    (row,) = ledger.grid().values()
    assert set(row.values()) == {"not_applicable"}
    assert not ledger.complete().proven
    later = Ledger(rule=START + 9 * DAY)
    assert [set(r.values()) for r in later.grid().values()] == [{"not_applicable"}]


COUNTS = [
    ("every day counted by another system", [{}, {}, {}], True, "AI-08.1"),
    ("a day without a count", [{}, {}], False, "single source"),
    ("the processes' own count", [{}, {}, {"source": "self-reported"}], False, "only the processes' own"),
    ("an hour that differs", [{}, {}, {"gaps": (HourGap(START, 5, 4),)}], False, "differ"),
    ("an hour that nobody counted", [{}, {}, {"uncovered": 1}], False, "missing"),
    ("more reconciled than measured", [{}, {}, {"recorded": 101}], False, "300 decisions were measured, 301"),
    ("fewer reconciled than measured", [{}, {}, {"recorded": 99}], False, "300 decisions were measured, 299"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "days", "proven", "says"), COUNTS, ids=[c[0] for c in COUNTS])
def test_the_population_is_whole_only_if_another_system_counted_as_many(name, days, proven, says):
    """Recomputing the rule over our own log is one source; AI-08.1's counts are the other."""
    ledger = Ledger()
    for day in range(3):
        ledger.measured(day)
    for day, more in enumerate(days):
        ledger.counted(day, **more)
    found = ledger.complete()
    assert (found.proven, says in found.how) == (proven, True)


def test_a_period_not_measured_to_its_end_is_not_whole():
    """The gap is named."""
    ledger = Ledger()
    ledger.measured(0, days=2)
    found = ledger.complete()
    assert not found.proven
    assert "not measured from 2026-03-03" in found.how


def test_the_known_bad_case_deviates_and_an_empty_ledger_says_nothing():
    """The planted bypass is caught on A."""
    item, facts, attribute = oversight.CHECK.known_bad(START)
    assert oversight.CHECK.test(item, facts)[attribute].state == "deviation"
    assert oversight.routed_decisions(Facts(), PERIOD) == []
    assert not oversight.completeness(Facts(), PERIOD, []).proven
