"""Populations, completeness, and the same tests as a gate."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources

import pytest
from registry_attacks import CHECKS, DAY, START, extract, finding, shown, story

from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks import v1
from affidavit.areas.registry.checks.planted import MODEL, Story, ident
from affidavit.core.findings import Facts, Item, Period

# ---------------------------------------------------------------- populations and completeness


def test_a_digest_that_comes_back_by_hand_is_explained_by_no_promotion():
    s = story()
    first, second = s.approved(1), s.approved(2)
    s.load(first), s.load(second)
    extract(s, [shown(first), shown(second), ("by-hand", first.fact.artifact, s.now)])
    refs = (f"model:{MODEL}", f"model:{MODEL}/1")
    s.add(e.VersionLoaded(MODEL, 1, first.fact.artifact), refs, p.person(6))
    (found,) = finding(s, "AI-01.2").exceptions
    assert (found.item, set(found.attributes)) == ("observed:gateway:by-hand", {"A"})


def test_a_row_more_than_a_day_after_the_promotion_is_not_explained_by_it():
    s = story()
    d = s.approved(1)
    extract(s, [("late", d.fact.artifact, d.head.at + timedelta(hours=25))])
    assert len(finding(s, "AI-01.2").items) == 2


@pytest.mark.parametrize(
    ("what", "windows", "proven"),
    [
        ("one whole window", [(0, 90)], True),
        ("two that touch", [(0, 45), (45, 90)], True),
        ("two that overlap, in any order", [(40, 90), (0, 45)], True),
        ("a gap of a day", [(0, 45), (46, 90)], False),
        ("starts late", [(1, 90)], False),
        ("ends early", [(0, 89)], False),
        ("none", [], False),
    ],
)
def test_the_population_is_whole_only_if_the_log_covers_the_period(what, windows, proven):
    s = story()
    for first, last in windows:
        extract(s, [], START + first * DAY, START + last * DAY)
    found = finding(s, "AI-01.2")
    assert found.completeness.proven is proven
    assert found.operating == ("no population" if proven else "not evaluated")
    assert ("single source" in found.completeness.how) is (not windows)


def test_two_sources_that_cover_half_each_prove_nothing():
    s = story()
    extract(s, [], START, START + 45 * DAY, "gateway")
    extract(s, [], START + 45 * DAY, START + 90 * DAY, "mesh")
    assert not finding(s, "AI-01.2").completeness.proven


def test_a_promotion_that_the_log_does_not_show_and_rows_that_the_ledger_lacks_are_told():
    s = story()
    s.load(s.approved(1))
    extract(s, [])
    assert "does not show 1 promotions" in finding(s, "AI-01.2").completeness.how
    s = story()
    extract(s, [], n=3)
    assert "fewer in the ledger" in finding(s, "AI-01.2").completeness.how


def test_an_artifact_deployed_before_the_period_and_still_serving_is_in_its_population():
    s = story()
    first = s.approved(1)
    s.load(first)
    later = Period(START + 30 * DAY, START + 60 * DAY)
    assert [i.key for i in finding(s, "AI-01.4", later).items] == [first.fact.artifact]
    assert finding(s, "AI-01.2", later).items == ()
    s.load(s.approved(2))
    assert len(finding(s, "AI-01.4", later).items) == 1  # the first was replaced before the period


# ---------------------------------------------------------------- as a gate


def candidate(s: Story, version) -> Item:
    return Item("candidate", s.now, (*p.refs_of(version.fact), "env:production"), ())


def test_a_candidate_is_tested_on_what_it_has_and_not_on_a_deployment():
    s = story()
    version = s.register()
    states = {c: {a: o.state for a, o in k.test(candidate(s, version), s.facts()).items()} for c, k in CHECKS.items()}
    assert states["AI-01.3"] == dict.fromkeys("ABCDE", "deviation")
    assert states["AI-01.4"] == {"A": "pass", "B": "pass", "C": "not_applicable", "D": "pass"}
    assert set(states["AI-01.5"].values()) == {"not_applicable"}
    assert states["AI-01.2"] == {**dict.fromkeys("ACDEF", "not_applicable"), "B": "deviation"}
    s.evaluate(version)
    again = CHECKS["AI-01.3"].test(candidate(s, version), s.facts())
    assert {o.state for o in again.values()} == {"pass"}


def test_a_waiver_does_not_hide_a_candidates_failure():
    s = story()
    version = s.register()
    s.evaluate(version, "0.740000")
    ref = ident(70)
    refs = (f"model:{MODEL}", f"model:{MODEL}/1", f"waiver:{ref}")
    s.add(e.WaiverRequested(ref, MODEL, 1, "AI-01.3", "D", p.AUTHOR, p.TEXT, s.now + 30 * DAY), refs, p.AUTHOR)
    s.add(e.WaiverApproved(ref, MODEL, 1), refs, p.APPROVER)
    assert CHECKS["AI-01.3"].test(candidate(s, version), s.facts())["D"].state == "deviation"


def test_a_candidate_nobody_registered_deviates_everywhere():
    item = Item("candidate", START, ("model:ghost/1", "env:production"), ())
    for control in ("AI-01.3", "AI-01.4"):
        outcomes = CHECKS[control].test(item, Facts())
        assert outcomes["A"].state == "deviation"


def test_the_sources_of_the_check_digest_are_every_module_that_decides():
    package = resources.files("affidavit.areas.registry.checks")
    files = {f"affidavit.areas.registry.checks.{f.name[:-3]}" for f in package.iterdir() if f.name.endswith(".py")}
    assert files - set(v1.SOURCES) == {
        "affidavit.areas.registry.checks.__init__",
        "affidavit.areas.registry.checks.planted",
    }
