"""Records leave when their class's age is over, unless a hold keeps them; the daily verification and its control tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from erasure_house import ErasureHouse
from serving_house import rules

from affidavit.areas.catalog import catalog
from affidavit.areas.decisions.checks.integrity import CHECK, flipped_byte
from affidavit.areas.decisions.events import BatchSealed, ErasureOrdered, RowRange, RowsErased, SegmentsVerified
from affidavit.core import envelope
from affidavit.core.assessment import Bench, assess
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.errors import Invalid
from affidavit.core.fields import Attachment
from affidavit.core.findings import Facts, Period
from affidavit.core.ledger_facts import RequestRefused
from affidavit.service.readings import parse_rules
from affidavit.streams.sealed import Span

KEPT = {"decisions": {"keep": "P200D", "at_least": "P183D"}, "outcomes": {"keep": "P400D"}}
DAY = timedelta(days=1)
PARAMETERS = {"AI-08.2": {"verified_every": "P1D", "kept_at_least": "P183D"}}


def bench():
    """The control with its data."""
    return Bench(catalog_row(), CHECK, "sha256:" + "0" * 64, PARAMETERS["AI-08.2"])


def catalog_row():
    """The control's lines of controls.yaml."""
    from importlib import resources

    text = resources.files("affidavit.areas.decisions").joinpath("controls.yaml").read_text("utf-8")
    return next(c for c in yaml.safe_load(text)["controls"] if c["id"] == "AI-08.2")


def facts_of(house):
    """Every fact of the log that the check reads."""
    bodies = house.ws.stores.entries.entries(0, house.ws.stores.entries.size())
    return Facts(
        [r for i, b in enumerate(bodies) if type((r := envelope.decode(i, b)).fact) in CHECK.needs], PARAMETERS
    )


def test_segments_leave_at_their_age_and_the_control_reads_it(tmp_path, clock, monkeypatch):
    """Segments past their age go by one order, held ones are listed and stay; a late one is overdue until then."""
    house = ErasureHouse(tmp_path, clock, rule_changes={"retention": KEPT})
    old = house.decide(20)
    house.speak(old[3])
    house.ws.executor.streams.close()
    house.seal()
    house.past(60)
    held = house.decide(20)
    house.seal()
    assert house.do("expire").facts == ()
    house.past(150)
    late = house.do("verify_segments", by="auditor").facts[0]
    assert (late.overdue, late.early, late.ruled, late.anchored) == (1, 0, True, False)
    hold = house.do("hold", "a court asked", decision=held[5]).facts[0].hold
    done = house.do("expire")
    assert [f.TAG for f in done.facts] == ["decisions.erasure_ordered", "decisions.rows_erased"]
    assert (done.facts[0].basis, done.facts[0].decisions, done.facts[1].rows) == ("retention", 20, (RowRange(0, 19),))
    house.past(60)
    done = house.do("expire")
    assert (done.facts, done.result["held"][0]["hold"]) == ((), hold)
    assert house.do("verify_segments", by="auditor").facts[0].overdue == 0
    house.do("release_hold", hold, "done")
    assert house.do("verify_segments", by="auditor").facts[0].overdue == 1
    order = house.do("expire").facts[0].order
    assert house.do("prove_erasure", order, by="auditor").facts[0].rows == 20
    with pytest.raises(Exception, match="retention erased it"):
        house.do("prove", old[3], by="auditor")
    assert house.inspect().problems == []
    monkeypatch.setattr("affidavit.areas.decisions.erasure.verifying.least", lambda desk, kind: 250 * DAY)
    assert house.do("verify_segments", by="auditor").facts[0].early == 2  # both were 210 days old
    facts = facts_of(house)
    items = CHECK.population(facts, Period(house.clock.now() - DAY, house.clock.now() + DAY))
    ends = [CHECK.test(i, facts)["D"].state for i in items if i.key.startswith("segment:")]
    assert ends == ["pass"]


RULES = [
    ({"decisions": {"keep": "P2Y"}}, "is not a duration"),
    ({"decisions": {"at_least": "P1D"}}, r"no decisions\.keep"),
    ({"decisions": {"keep": "P1D", "at_least": "P2D"}}, "shorter than at_least"),
    ({"decisions": {"keep": "PT0S"}}, "shorter than"),
    ({"decisions": {"keep": "P1D", "forever": True}}, "unknown key 'forever'"),
    ({"people": {"keep": "P1D"}}, "no such record class"),
    ({"decisions": "P1D"}, "is not a map"),
    (["decisions"], "is not a map"),
]


@pytest.mark.parametrize(("section", "said"), RULES, ids=[s for _, s in RULES])
def test_rules_of_retention_are_checked_when_they_are_read(section, said):
    """Each mistake is named with its key."""
    with pytest.raises(Invalid, match=said):
        parse_rules(rules(retention=section), catalog())


def test_a_class_is_kept_as_long_as_the_control_asks(tmp_path, clock):
    """An age below the control's minimum needs a minimum of its own; rules without retention expire nothing."""
    house = ErasureHouse(tmp_path, clock, rule_changes={"retention": {"reads": {"keep": "P30D"}}})
    with pytest.raises(Invalid, match=r"retention\.reads: keep is shorter"):
        house.do("expire")


# ---------------------------------------------------------------- the control

START = datetime(2026, 3, 2, tzinfo=UTC)
STREAM, ORDER, ROOT = (
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "sha256:" + "1" * 64,
)
PAGE = Attachment(ROOT, 1, "application/json", "test")
SOUND = SegmentsVerified("2026-03-02", 0, 1, 1, 10, 0, 0, 0, 0, 0, 0, True, True, PAGE, START)


def seal(first=0):
    """Ten rows of the stream sealed."""
    return BatchSealed(ORDER, "s", 1, 10, START, START, ROOT, PAGE, (Span(STREAM, first, first + 9),), ("decisions",))


def log(*facts):
    """A log of (hours since the start, fact)."""
    zero, records = "sha256:" + "0" * 64, []
    for index, (hours, fact) in enumerate(facts):
        ref = f"stream:{STREAM}"
        head = Head("t", ref, index, type(fact).TAG, type(fact).V, START + timedelta(hours=hours),
                    Cmd(ORDER, zero, 1, 1), "p-" + "0" * 32, Auth("os-user"), (ref,), zero)  # fmt: skip
        records.append(Record(index, head, fact))
    return Facts(records, PARAMETERS)


def run(**changes):
    """A verification that found everything sound but for ``changes``."""
    return replace(SOUND, **changes)


def gone(days, basis="retention"):
    """An order and the end of a segment whose newest row is so many days old at hour 30."""
    newest = START + timedelta(hours=30) - timedelta(days=days)
    order = ErasureOrdered(ORDER, basis, 10, 10, PAGE)
    erased = RowsErased(ORDER, STREAM, 0, 9, "decisions", ROOT, (RowRange(0, 9),), ROOT, ROOT, 1, newest)
    return (29, order), (30, erased)


REFUSED = RequestRefused("decisions.erase", "legal-hold", ("AI-08.2",), None)
LATER = (72, run(newest=0))
DAYS = [
    ("all is well on each day", [(1, seal()), (5, run()), (29, run()), (53, run()), LATER], {}),
    ("the second day was missed", [(1, seal()), (5, run()), (53, run()), LATER], {"03-03": "A"}),
    ("a byte was flipped", [(1, seal()), (5, run()), (29, run(damaged=1)), (53, run()), LATER], {"03-03": "A"}),
    ("a file is gone", [(1, seal()), (5, run(missing=1)), (29, run()), (53, run()), LATER], {"03-02": "ACD"}),
    ("a row went without an order", [(1, seal()), (5, run(unexplained=1)), (29, run()), (53, run()), LATER], {"03-02": "AC"}),
    ("a backup brought rows back", [(1, seal()), (5, run(revived=1)), (29, run()), (53, run()), LATER], {"03-02": "A"}),
    ("a part was read", [(1, seal()), (5, run()), (29, run(segments=0)), (53, run()), LATER], {"03-03": "A"}),
    ("no anchor", [(1, seal()), (5, run(anchored=False)), (29, run()), (53, run()), LATER], {"03-02": "B"}),
    ("kept too long", [(1, seal()), (5, run(overdue=2)), (29, run()), (53, run()), LATER], {"03-02": "E"}),
    ("destroyed too early", [(1, seal()), (5, run(early=1)), (29, run()), (53, run()), LATER], {"03-02": "D"}),
    ("its end came at 100 days", [(1, seal()), (5, run()), (28, run()), *gone(100), (53, run()), LATER], {"segment": "D"}),
    ("its end came at 200 days", [(1, seal()), (5, run()), (28, run()), *gone(200), (53, run()), LATER], {}),
    ("a person asked at 100 days", [(1, seal()), (5, run()), (28, run()), *gone(100, "request"), (53, run()), LATER], {}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "facts", "expected"), DAYS, ids=[d[0] for d in DAYS])
def test_each_day_and_each_end_is_tested(said, facts, expected):
    """Exactly the attributes that the case is about deviate, on exactly its day."""
    finding = assess(bench(), log(*facts), Period(START, START + 3 * DAY), 99)
    found = {e.item: "".join(sorted(e.attributes)) for e in finding.exceptions}
    assert {k: v for k in found for part, v in expected.items() if part in k} == found
    assert len(found) == len(expected)
    assert finding.operating == ("exception" if expected else "pass")
    assert finding.completeness.proven and "single source" in finding.completeness.how


def test_what_is_not_known_is_not_passed():
    """Rules without retention, a day after the last fact, rows sealed with a gap, a run that did not know a seal, nothing at all."""
    period = Period(START, START + 2 * DAY)
    days = [(1, seal()), (5, run()), (29, run())]
    unruled = log((1, seal()), (5, run(ruled=False)), (29, run(ruled=False)), (49, run()))
    for facts in (unruled, log(*days), log((1, seal(5)), *days[1:], (49, run())), log()):
        assert assess(bench(), facts, period, 9).operating == "not evaluated"
    blind = log((1, seal()), (2, seal(10)), (5, run(newest=1, sealed=2, segments=2)), (29, run(newest=0)), (49, run()))
    assert not assess(bench(), blind, period, 9).completeness.proven
    assert assess(bench(), log(*days, (49, run())), period, 9).operating == "pass"


def test_a_refused_deletion_is_evidence_and_a_flipped_byte_is_caught(clock):
    """A denied attempt is met on its entry; the planted case deviates; an empty log passes nothing."""
    facts = log((1, seal()), (5, run()), (6, REFUSED), (29, run()), (49, run()))
    finding = assess(bench(), facts, Period(START, START + 2 * DAY), 9)
    outcomes = [finding.grid[i.key]["C"] for i in finding.items]
    assert [(o.state, o.entries) for o in outcomes] == [("pass", (2,)), ("not_applicable", ())]
    item, planted, attribute = flipped_byte(clock.now())
    planted.parameters = PARAMETERS
    assert CHECK.test(item, planted)[attribute].state == "deviation"
    assert assess(bench(), Facts((), PARAMETERS), Period(START, START + DAY), 0).headline == "not evaluated"
