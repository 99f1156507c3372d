"""AI-02.1: one line per way in which training data lacks provenance, and what is none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from area_world import HOUR, START, World, digest, ident
from lineage_world import (
    ACS,
    AREA,
    CONTENT,
    OUTPUT,
    RUN,
    TEST,
    TRAINING,
    dataset,
    measured_splits,
    reads,
    run,
    world,
)

from affidavit.areas.catalog import catalog
from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import events as e
from affidavit.areas.lineage.checks.v1 import CHECKS, CONTROL
from affidavit.core.assessment import Bench, assess
from affidavit.core.envelope import Draft
from affidavit.core.findings import Item, Period

CHECK = CHECKS[0]
YEAR = Period(START - timedelta(days=30), START + timedelta(days=335))
STRANGER = digest(0x5)


def extract(w: World, *rows: tuple[str, str], **changes) -> None:
    """An extract over everything so far, whatever the rules would say."""
    w.do(reads(w, *rows, **changes))


def finding(w: World, period: Period = YEAR):
    known = catalog().controls[CONTROL]
    return assess(Bench(known.body, CHECK, known.digest, {}), w.facts(), period, len(w.records))


def outcomes(w: World, content: str, run_id: str = RUN) -> dict[str, str]:
    items = {i.key: i for i in CHECK.population(w.facts(), YEAR)}
    return {a: o.state for a, o in CHECK.test(items[f"{run_id}+{content}"], w.facts()).items()}


GOOD = dict.fromkeys("ABCDE", "pass")
UNREGISTERED = {"A": "deviation", "B": "not_applicable", "C": "not_applicable", "D": "not_applicable", "E": "deviation"}


def test_a_registered_input_that_the_log_covers_passes():
    """All five attributes, on the evidence of record, manifest and extract."""
    w = world()
    w.do(run(w))
    extract(w, (RUN, TRAINING))
    assert outcomes(w, TRAINING) == GOOD
    assert finding(w).n == 1 and not finding(w).exceptions


def test_without_a_storage_log_undeclared_reads_are_not_tested():
    """Silence is not evidence: E says that no storage access log covers the run."""
    w = world()
    w.do(run(w))
    assert outcomes(w, TRAINING) == GOOD | {"E": "not_tested"}
    found = finding(w)
    assert found.operating == "not evaluated"
    assert found.untested == {f"{RUN}+{TRAINING} E": "no storage access log covers the run"}
    assert not found.completeness.proven and "single source" in found.completeness.how


@pytest.mark.parametrize("content", [CONTENT, TEST, OUTPUT])
def test_reading_a_declared_version_another_way_is_no_undeclared_read(content):
    """The whole file of a declared version, another of its splits, the run's own output."""
    w = world()
    w.do(run(w))
    extract(w, (RUN, TRAINING), (RUN, content))
    assert [i.key for i in CHECK.population(w.facts(), YEAR)] == [f"{RUN}+{TRAINING}"]
    assert outcomes(w, TRAINING) == GOOD


def test_an_unregistered_file_beside_the_declared_ones_is_one_exception():
    """It deviates in A and E; the run's declared input does not repeat it."""
    w = world()
    w.do(run(w))
    extract(w, (RUN, TRAINING), (RUN, STRANGER), (RUN, STRANGER))
    assert outcomes(w, STRANGER) == UNREGISTERED
    assert outcomes(w, TRAINING) == GOOD
    (exception,) = finding(w).exceptions
    assert set(exception.attributes) == {"A", "E"} and exception.item == f"{RUN}+{STRANGER}"


def test_a_registered_version_read_without_being_declared_deviates_in_e_alone():
    """The record exists; the manifest is wrong."""
    w = world()
    w.do(dataset(version="2014", content=digest(0x14)))
    w.now += HOUR
    w.do(run(w))
    extract(w, (RUN, TRAINING), (RUN, digest(0x14)))
    assert outcomes(w, digest(0x14)) == GOOD | {"E": "deviation"}


def test_a_read_by_a_run_that_nobody_recorded_falls_due():
    """Until the record is due it is no item; afterwards it is an exception, registered data or not."""
    w = world()
    extract(w, (ident(7), CONTENT), (ident(8), STRANGER))
    early = Period(YEAR.start, START + timedelta(days=5))
    assert CHECK.population(w.facts(), early) == []
    assert outcomes(w, CONTENT, ident(7)) == GOOD | {"E": "deviation"}
    assert outcomes(w, STRANGER, ident(8)) == UNREGISTERED
    sooner = w.facts(**{CONTROL: {"recorded_within": "P1D"}})
    assert len(CHECK.population(sooner, early)) == 2
    w.do(run(w, run=ident(7), started=START + HOUR / 2))
    extract(w)
    assert outcomes(w, TRAINING, ident(7)) == GOOD
    assert f"{ident(7)}+{CONTENT}" not in {i.key for i in CHECK.population(w.facts(), YEAR)}


def test_a_record_made_after_the_run_started_deviates():
    """Registering what was used already is no provenance before use."""
    w = world()
    late = w.do(dataset(version="2016", content=digest(0x16)))[0]
    given = e.Input("dataset:acs/2016", "training", digest(0x16), 100)
    w.do(run(w, given, started=late.head.at - timedelta(minutes=1)))
    assert outcomes(w, digest(0x16))["A"] == "deviation"


def test_an_input_that_was_never_registered_deviates_in_a_alone():
    """As an imported manifest may have it: there is no record to test the rest on."""
    w = world()
    fact = run(w, e.Input("dataset:web/1", "training", STRANGER, 1))
    w.append(
        [
            Draft(
                e.RunRecorded(**{n: getattr(fact, n) for n in e.RunRecorded.__slots__}), (f"run:{RUN}", "dataset:web/1")
            )
        ]
    )
    extract(w, (RUN, STRANGER))
    assert outcomes(w, STRANGER) == {**UNREGISTERED, "E": "pass"}


def recorded(w: World, **changes) -> World:
    """A dataset fact as no rule would let it through, and a run on it."""
    fact = w.records[0].fact
    bad = replace(fact, version="x", content=digest(0x77), **changes)
    w.append([Draft(bad, ("dataset:acs", "dataset:acs/x", *bad.parents))], apply=True)
    w.now += HOUR
    given = e.Input("dataset:acs/x", "training", digest(0x77), 1)
    w.append([Draft(e.RunRecorded(RUN, w.now - HOUR / 2, w.now, "git:1", digest(4), {}, (given,), OUTPUT, 1),
                    (f"run:{RUN}", "dataset:acs/x"))])  # fmt: skip
    return w


@pytest.mark.parametrize(
    ("changes", "attribute", "says"),
    [
        ({"licence": "unknown"}, "B", "licence"),
        ({"source_version": "n/a"}, "B", "source_version"),
        ({"collected_to": START - 2000 * HOUR}, "B", "collected_from"),
        ({"rows": 0}, "B", "rows"),
        ({"parents": ("dataset:gone/1",)}, "D", "dataset:gone/1, a parent"),
    ],
)
def test_a_record_with_gaps_or_without_its_parents_deviates(changes, attribute, says):
    """Vague licence or release, no rows, an orphan: one attribute each."""
    w = recorded(world(), **changes)
    (exception,) = finding(w).exceptions
    assert set(exception.attributes) == {attribute} and says in exception.attributes[attribute]


def test_parents_that_were_registered_before_resolve():
    """A parent counts if its record stands before the child's; a child's record does not count as the parent's."""
    w = recorded(world(), parents=(ACS,))
    assert outcomes(w, digest(0x77))["D"] == "pass"


def test_other_bytes_than_the_registered_ones_deviate_in_c():
    """A manifest that names a version and read something else."""
    w = world()
    given = e.Input(ACS, "training", STRANGER, 1)
    w.append(
        [
            Draft(
                e.RunRecorded(RUN, w.now - HOUR / 2, w.now, "git:1", digest(4), {}, (given,), OUTPUT, 1),
                (f"run:{RUN}", ACS),
            )
        ]
    )
    assert outcomes(w, STRANGER)["C"] == "deviation"


def test_extracts_of_one_source_join_and_those_of_two_do_not():
    """Coverage has no gap and is of one log; a planted extract covers nothing real."""
    w = world()
    w.do(run(w))
    end = w.now + 40 * HOUR
    w.now = end
    middle = START + 1.6 * HOUR  # the run lasted from 1.5 to 1.75 hours after the start
    w.do(reads(w, start=YEAR.start, end=middle))
    w.append([Draft(e.ReadObserved("store", RUN, TRAINING, middle), (f"run:{RUN}", ACS))])
    w.do(reads(w, start=middle, end=end, source="other"))
    assert outcomes(w, TRAINING)["E"] == "not_tested"
    w.do(reads(w, start=middle, end=end), drill=True)
    assert outcomes(w, TRAINING)["E"] == "not_tested"
    w.do(reads(w, start=middle - HOUR, end=end))
    assert outcomes(w, TRAINING)["E"] == "pass"
    assert not finding(w).completeness.proven
    assert finding(w, Period(YEAR.start, end)).completeness.proven


def test_a_planted_run_is_counted_and_left_out_of_the_exceptions():
    """A drill is in the population, marked; it does not hide a real read under the same run id."""
    w = world()
    w.do(run(w), drill=True)
    w.do(reads(w, (RUN, STRANGER)), drill=True)
    items = CHECK.population(w.facts(), YEAR)
    assert [i.drill for i in items] == [True, True]
    assert not finding(w).exceptions and finding(w).n == 0
    extract(w, (RUN, STRANGER))
    assert [i.drill for i in CHECK.population(w.facts(), YEAR)] == [True, False]
    assert [e.item for e in finding(w).exceptions] == [f"{RUN}+{STRANGER}"]


def test_a_log_that_shows_no_read_of_a_declared_input_proves_nothing():
    """An empty extract over the year, or one without this run: E is not tested, completeness not proven."""
    w = world()
    w.do(run(w))
    w.now = YEAR.end
    whole = {"start": YEAR.start, "end": YEAR.end}
    w.do(reads(w, **whole))
    found = finding(w)
    assert outcomes(w, TRAINING) == GOOD | {"E": "not_tested"} and found.operating == "not evaluated"
    assert "the log shows no read of it" in found.untested[f"{RUN}+{TRAINING} E"]
    assert not found.completeness.proven and "1 declared inputs" in found.completeness.how
    moment = w.records[2].fact.started
    row = c.Read(RUN, CONTENT, moment)
    w.do(replace(reads(w, **whole), reads=(row,)))
    assert outcomes(w, TRAINING) == GOOD and finding(w).completeness.proven and finding(w).operating == "pass"


def test_a_read_of_another_split_is_no_read_of_the_declared_one():
    """Training was declared; the log shows the test rows alone."""
    w = world()
    w.do(run(w))
    extract(w, (RUN, TEST))
    assert outcomes(w, TRAINING)["E"] == "not_tested"


def test_a_read_before_or_after_its_run_deviates():
    """The manifest says when the run lasted; the log says otherwise."""
    for hours in (-1, 30):
        w = world()
        made = w.do(run(w))[0].fact
        w.now += 100 * HOUR
        rows = tuple(c.Read(RUN, TRAINING, at) for at in (made.started, made.ended + hours * HOUR))
        w.do(replace(reads(w), reads=rows))
        assert outcomes(w, TRAINING) == GOOD | {"E": "deviation"}
        assert "says that it lasted" in finding(w).exceptions[0].attributes["E"]


def test_a_run_is_an_item_where_it_ended_was_recorded_or_read():
    """A claimed end before the period takes nothing out of it; a run wholly before it is out."""
    w = world()
    made = w.do(run(w))[0]
    w.now += 100 * HOUR
    w.do(replace(reads(w), reads=(c.Read(RUN, TRAINING, made.head.at + 50 * HOUR),)))
    key = [f"{RUN}+{TRAINING}"]
    for start, end, expected in ((-2, 0, key), (0, 1, key), (1, 49, []), (49, 51, key), (51, 90, [])):
        period = Period(made.head.at + start * HOUR, made.head.at + end * HOUR)
        assert [i.key for i in CHECK.population(w.facts(), period)] == expected
    assert made.fact.ended < made.head.at


def test_planted_records_are_no_evidence_for_real_runs():
    """A planted registration, a planted read, a planted measurement."""
    w = World(AREA)
    w.do(dataset(), drill=True)
    w.do(measured_splits(), drill=True)
    w.now += HOUR
    fact = w.sealed(run(w))
    w.append([Draft(e.RunRecorded(**{n: getattr(fact, n) for n in e.RunRecorded.__slots__}), (f"run:{RUN}", ACS))])
    extract(w)
    w.do(reads(w, (RUN, TRAINING)), drill=True)
    assert outcomes(w, TRAINING) == UNREGISTERED | {"E": "not_tested"}


def test_how_far_the_splits_share_rows_shows_in_the_reason_of_c():
    """Near rows do not deviate; whoever reads the finding sees them. The worst measurement counts."""
    w = world()
    w.do(measured_splits(overlaps=(e.Overlap("test", "training", 2, 1),)))
    w.now += HOUR
    w.do(run(w))
    (item,) = CHECK.population(w.facts(), YEAR)
    assert CHECK.test(item, w.facts())["C"].reason == "test and training share 2 equal, 3 near rows"


def test_a_gate_tests_the_items_of_the_candidates_own_run():
    """One item per input, and the undeclared reads; none if the run is unknown."""
    w = world()
    w.do(run(w))
    candidate = Item("candidate", w.now, ("model:m", "model:m/1", f"run:{RUN}", ACS, "env:staging"), ())
    (item,) = CHECK.candidates(candidate, w.facts())
    assert {a: o.state for a, o in CHECK.test(item, w.facts()).items()} == GOOD | {"E": "not_tested"}
    extract(w, (RUN, STRANGER))
    assert len(CHECK.candidates(candidate, w.facts())) == 2
    assert CHECK.candidates(replace(candidate, refs=("model:m", "model:m/1", f"run:{ident(9)}")), w.facts()) == []


def test_an_input_named_twice_is_one_item():
    """The same bytes as training and validation: one key, every declaration tested."""
    w = world()
    w.do(run(w, e.Input(ACS, "training", CONTENT, 100), e.Input(ACS, "validation", CONTENT, 100)))
    (item,) = CHECK.population(w.facts(), YEAR)
    assert item.refs == (f"run:{RUN}", ACS) and outcomes(w, CONTENT)["A"] == "pass"


def test_the_known_bad_case_is_caught_and_nothing_else():
    """The planted stranger deviates; the planted good input beside it has no deviation."""
    item, facts, attribute = CHECK.known_bad(START)
    assert CHECK.test(item, facts)[attribute].state == "deviation"
    (declared,) = [i for i in CHECK.candidates(item, facts) if i.key != item.key]
    assert "deviation" not in {o.state for o in CHECK.test(declared, facts).values()}


def test_an_empty_ledger_is_not_evaluated():
    """No facts prove nothing."""
    w = World(AREA)
    assert finding(w).operating == "not evaluated" and finding(w).n == 0
