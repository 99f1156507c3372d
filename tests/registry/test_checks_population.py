"""Populations, completeness, and the same tests as a gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib import resources

import pytest
from registry_attacks import CHECKS, DAY, START, extract, finding, shown, story

from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks import trail, v1
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
    ("what", "offset", "items"),
    [("a second behind ours", -1, 1), ("two minutes behind", -120, 1), ("three minutes behind", -180, 2)],
)
def test_the_platforms_clock_may_be_a_little_behind(what, offset, items):
    s = story()
    d = s.approved(1)
    s.load(d)
    extract(s, [("x-1", d.fact.artifact, d.head.at + timedelta(seconds=offset))])
    assert len(finding(s, "AI-01.2").items) == items


def test_the_skew_is_a_parameter():
    s = story()
    d = s.approved(1)
    s.load(d)
    extract(s, [("x-1", d.fact.artifact, d.head.at - timedelta(minutes=4))])
    assert len(trail.unexplained(s.facts(), trail.explained(s.facts()))) == 1
    wide = s.facts({"AI-01.2": {"clock_skew": "PT5M"}})
    assert trail.unexplained(wide, trail.explained(wide)) == []


def test_a_version_shown_just_after_it_was_rolled_back_is_explained():
    s = story()
    first = s.approved(1)
    s.load(first)
    second = s.approved(2)
    s.now = second.head.at + timedelta(minutes=2)
    version = next(r for r in s.records if isinstance(r.fact, e.VersionRegistered))
    back = s.promote(version, "rollback", by=p.person(6), request=first.fact.request, reason=p.TEXT)
    lag = timedelta(minutes=3)
    extract(s, [(str(n), d.fact.artifact, d.head.at + lag) for n, d in enumerate((first, second, back))])
    assert len(finding(s, "AI-01.2").items) == 3


def test_one_push_that_two_sources_saw_is_one_item():
    s = story()
    at = s.now
    extract(s, [("a-1", p.digest(66), at)], source="gateway")
    extract(s, [("b-1", p.digest(66), at + timedelta(seconds=90))], source="mesh")
    (item,) = finding(s, "AI-01.2").items
    assert len(item.entries) == 2
    assert len(finding(s, "AI-01.3").items) == len(finding(s, "AI-01.4").items) == 1
    extract(s, [("b-2", p.digest(66), at + timedelta(seconds=95))], source="mesh")  # the same source: a second push
    extract(s, [("c-1", p.digest(66), at + timedelta(hours=1))], source="third")
    assert len(finding(s, "AI-01.2").items) == 3


def test_a_planted_extract_proves_nothing():
    s = story()
    d = s.approved(1)
    s.load(d)
    before = len(s.records)
    extract(s, [shown(d)])
    for n in range(before, len(s.records)):
        s.records[n] = replace(s.records[n], head=replace(s.records[n].head, drill=True))
    assert "single source" in finding(s, "AI-01.2").completeness.how


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
    measured = s.records[-1].index
    asked = e.WaiverRequested(ref, MODEL, 1, "AI-01.3", "D", p.AUTHOR, p.TEXT, s.now + 30 * DAY, measured)
    s.add(asked, refs, p.AUTHOR)
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
