"""AI-04.2: one line per way in which a release lacks its fairness test, and what is none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from area_world import ANNA, BEN, HOUR, START, digest, ident, person
from fairness_world import ARTIFACT, BREACH, CHECK, MODEL, TPR, VERSION, YEAR, Story, governed, outcomes, verdict

from affidavit.areas.catalog import catalog
from affidavit.areas.fairness.checks.v1 import CONTROL
from affidavit.areas.registry import events as reg
from affidavit.core.assessment import Bench, assess
from affidavit.core.findings import Item, Period

GOOD = dict.fromkeys("ABCDE", "pass")
NOTHING = dict.fromkeys("BCDE", "not_applicable")
FEW = verdict(value=None, n=5, said="insufficient-data")


def finding(s: Story, period: Period = YEAR):
    known = catalog().controls[CONTROL]
    return assess(Bench(known.body, CHECK, known.digest, {}), s.w.facts(), period, len(s.w.records))


def test_a_release_that_was_tested_passes():
    """All five attributes on plan, approval, assessment and promotion."""
    s = governed()
    s.promote()
    assert outcomes(s) == GOOD and not finding(s).exceptions


def test_staging_is_not_in_the_population():
    """Only production promotions are items."""
    s = governed()
    s.promote(to="staging")
    assert CHECK.population(s.w.facts(), YEAR) == []


def test_a_prohibited_system_is_never_classed_out():
    """Whatever the scope says, tested or not, waived or not: its release deviates in D with the reason."""
    s = Story("prohibited")
    s.promote()
    assert outcomes(s) == {"A": "deviation", **NOTHING, "D": "deviation"}
    s.plan()
    s.register()
    s.assess()
    s.waive()
    s.promote(number=41)
    assert outcomes(s) == GOOD | {"D": "deviation"}
    assert "prohibited" in CHECK.test(CHECK.population(s.w.facts(), YEAR)[-1], s.w.facts())["D"].reason
    assert finding(s).n == 2 and len(finding(s).exceptions) == 2
    s = Story("prohibited")
    s.promote(via="break-glass")
    assert outcomes(s)["D"] == "deviation"


def test_a_system_out_of_scope_is_classed_out(tier="minimal"):
    """Its promotion stays in the population, with the reason."""
    s = Story(tier)
    s.promote()
    assert outcomes(s) == dict.fromkeys("ABCDE", "not_applicable")
    item = CHECK.population(s.w.facts(), YEAR)[0]
    assert tier in CHECK.test(item, s.w.facts())["A"].reason
    wide = s.w.facts(**{CONTROL: {"tiers": ["high", tier]}})
    assert CHECK.test(item, wide)["A"].state == "deviation"


def test_no_test_deviates_in_a_alone():
    """One root, one exception: the rest has nothing to examine."""
    s = Story()
    s.plan()
    s.promote()
    assert outcomes(s) == {"A": "deviation", **NOTHING}


def test_a_test_of_another_digest_or_after_the_fact_is_none():
    """The wrong artifact is named; an assessment after the promotion does not count."""
    s = governed(artifact=digest(1))
    s.promote()
    item = CHECK.population(s.w.facts(), YEAR)[0]
    assert "another digest" in CHECK.test(item, s.w.facts())["A"].reason
    late = Story()
    late.plan()
    late.promote()
    late.assess()
    assert outcomes(late) == {"A": "deviation", **NOTHING}


def test_the_emergency_path_is_tested_elsewhere():
    """A break-glass promotion without a test is AI-01.5's; with a breached test it deviates here."""
    s = Story()
    s.promote(via="break-glass")
    assert outcomes(s) == {"A": "not_applicable", **NOTHING}
    s = governed(BREACH)
    s.promote(via="break-glass")
    assert outcomes(s) == GOOD | {"D": "deviation"}


def test_a_deployment_that_only_the_platform_shows_is_an_item():
    """Not explained by a promotion of the same digest within a day: it is tested like one."""
    s = governed()
    s.promote()
    s.observe()
    assert len(CHECK.population(s.w.facts(), YEAR)) == 1
    s.observe(artifact=digest(1), external="d2")
    assert outcomes(s) == {"A": "deviation", **NOTHING}
    s.w.now += timedelta(days=3)
    s.observe(external="d3")
    assert outcomes(s) == GOOD
    s.observe(env="staging", external="d4")
    assert len(CHECK.population(s.w.facts(), YEAR)) == 3


def test_a_model_of_no_system_counts_as_in_scope():
    """What the register does not class is tested, and completeness is not proven."""
    s = Story(None)
    s.observe(artifact=digest(1))
    s.extract(YEAR.start, YEAR.end)
    assert outcomes(s) == {"A": "deviation", **NOTHING}
    assert "no registered system" in finding(s).completeness.how


@pytest.mark.parametrize("via", ["approval", "standing", "gate"])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"approver": ANNA}, "approved by who proposed it"),
        ({"days": 0}, "due for review"),
        ({"split": "validation"}, "which the plan does not name"),
    ],
)
def test_the_plan_was_in_force_and_followed(via, changes, why):
    """Self-approved, overdue, or another split: B."""
    s = Story()
    s.plan(1, **changes)
    s.register()
    s.assess()
    s.promote(via=via)
    assert outcomes(s) == GOOD | {"B": "deviation"}
    item = CHECK.population(s.w.facts(), YEAR)[0]
    assert why in CHECK.test(item, s.w.facts())["B"].reason


def test_a_plan_that_leaves_out_a_threshold_or_comes_later_deviates():
    """Every threshold is judged; no plan before the test is no plan."""
    s = Story()
    s.plan(1, TPR, replace(TPR, metric="fpr"))
    s.assess()
    s.promote()
    assert outcomes(s)["B"] == "deviation"
    s = Story()
    s.assess()
    s.plan(1)
    s.promote()
    assert outcomes(s)["B"] == "deviation"


def test_a_newer_plan_needs_a_new_test_but_for_a_rollback():
    """What was tested under the old plan is not promoted under the new one; going back is."""
    for via, state in (("approval", "deviation"), ("rollback", "pass")):
        s = governed()
        s.plan(2)
        s.promote(via=via)
        assert outcomes(s)["B"] == state
    s = governed()
    s.plan(2)
    s.assess(plan=1)
    s.promote()
    assert outcomes(s)["B"] == "deviation"


def test_an_overdue_plan_carries_no_later_promotion_but_a_rollback():
    """The review day counts when the version goes live."""
    for via, state in (("approval", "deviation"), ("rollback", "pass")):
        s = Story()
        s.plan(days=1)
        s.register()
        s.assess()
        s.w.now += timedelta(days=2)
        s.promote(via=via)
        assert outcomes(s)["B"] == state


def test_insufficient_data_reported_as_met_deviates_in_c():
    """Fewer rows than the plan asks may be reported, not passed."""
    for given, c, d in (
        (verdict(n=99), "deviation", "pass"),
        (verdict(value=None, n=0), "deviation", "deviation"),
        (FEW, "pass", "deviation"),
        (verdict(n=100), "pass", "pass"),
    ):
        s = governed(given)
        s.promote()
        assert outcomes(s) == GOOD | {"C": c, "D": d}


@pytest.mark.parametrize("given", [BREACH, verdict(value="0.300000", said="met"), FEW])
def test_a_breach_is_released_only_with_a_prior_acceptance(given):
    """Judged again from value and bound; a waiver of D before the promotion carries it, any other does not."""
    s = governed(given)
    s.promote()
    assert outcomes(s)["D"] == "deviation"
    for waiver, state in (
        ({}, "pass"),
        ({"attribute": "A"}, "deviation"),
        ({"approver": ANNA}, "deviation"),
        ({"hours": 1}, "deviation"),
    ):
        s = governed(given)
        s.waive(**waiver)
        s.promote()
        assert outcomes(s)["D"] == state
    s = governed(given)
    s.promote()
    s.waive()
    assert outcomes(s)["D"] == "deviation"


def test_a_plan_approved_after_a_breach_of_the_same_digest_needs_a_waiver():
    """Loosening the bounds until the version passes is no fairness test; the reason names both entries."""
    loose = replace(TPR, bound="0.900000")

    def story(*waived: str) -> Story:
        s = governed(BREACH)
        s.plan(2, loose)
        s.assess(verdict(loose, "0.300000"), plan=2)
        for attribute in waived:
            s.waive(attribute)
        return s

    s = story()
    breach, approval = (
        next(r.index for r in s.w.records if r.head.tag == "fairness.assessed"),
        next(r.index for r in reversed(s.w.records) if r.head.tag == "fairness.plan_approved"),
    )
    assert candidate(s) == GOOD | {"B": "deviation"}
    s.promote()
    assert outcomes(s) == GOOD | {"B": "deviation"}
    reason = CHECK.test(CHECK.population(s.w.facts(), YEAR)[0], s.w.facts())["B"].reason
    assert f"entry {breach}" in reason and f"entry {approval}" in reason
    for waived, state in (("B", "pass"), ("D", "deviation")):
        s = story(waived)
        s.promote()
        assert outcomes(s)["B"] == state
    s = governed(BREACH, artifact=digest(1))
    s.plan(2, loose)
    s.assess(verdict(loose, "0.300000"), plan=2)
    s.promote()
    assert outcomes(s) == GOOD


def test_planted_plans_tests_and_waivers_count_for_nothing():
    """A planted plan does not stand in the way of a real release, a planted waiver does not carry one."""
    s = governed()
    s.plan(2, drill=True)
    s.promote()
    assert outcomes(s) == GOOD
    s = governed(BREACH)
    s.waive(drill=True)
    s.promote()
    assert outcomes(s) == GOOD | {"D": "deviation"}


def test_the_tester_is_the_service_or_another_person():
    """A claimed test by the author, or of a version nobody registered, is not independent."""
    for who, state in ((ANNA, "deviation"), (BEN, "pass")):
        s = governed(by="claimed", who=who)
        s.promote()
        assert outcomes(s) == GOOD | {"E": state}
    s = Story()
    s.plan()
    s.assess(by="claimed", who=person(7))
    s.promote()
    assert outcomes(s)["E"] == "deviation"


def candidate(s: Story) -> dict[str, str]:
    item = Item("candidate", s.w.now, (f"model:{MODEL}", f"model:{VERSION}", "system:jobs", "env:staging"), ())
    (found,) = CHECK.candidates(item, s.w.facts())
    return {a: o.state for a, o in CHECK.test(found, s.w.facts()).items()}


def test_a_gate_runs_the_same_test_on_the_candidate():
    """Untested, breached, tested; a waiver is the gate's to apply, so the deviation shows."""
    s = Story()
    assert candidate(s) == dict.fromkeys("ABCDE", "deviation")  # no such version
    s.plan()
    s.register()
    assert candidate(s) == {"A": "deviation", **NOTHING}
    s.assess(BREACH)
    assert candidate(s) == GOOD | {"D": "deviation"}
    s.waive()
    assert candidate(s) == GOOD | {"D": "deviation"}
    s.assess()
    assert candidate(s) == GOOD


def test_completeness_needs_the_platforms_own_log():
    """Over the whole period, without a gap; planted extracts do not count."""
    s = governed()
    s.promote()
    assert not finding(s).completeness.proven
    middle = START + timedelta(days=100)
    s.extract(YEAR.start, middle)
    assert finding(s).operating == "not evaluated"
    s.extract(middle + HOUR, YEAR.end)
    assert not finding(s).completeness.proven
    s.extract(middle, middle + 2 * HOUR)
    assert finding(s).completeness.proven and finding(s).operating == "pass"


def test_a_planted_promotion_is_counted_apart():
    """A drill is marked, and no exception."""
    s = Story()
    s.promote(drill=True)
    assert finding(s).n == 0 and not finding(s).exceptions and finding(s).items[0].drill


def test_the_known_bad_case_is_caught_in_d_alone():
    """The planted model is biased; all else about it is right."""
    item, facts, attribute = CHECK.known_bad(START)
    facts.parameters = catalog().parameter_defaults
    assert {a: o.state for a, o in CHECK.test(item, facts).items()} == GOOD | {attribute: "deviation"}


def test_an_item_without_its_fact_deviates():
    """A key that names nothing in the ledger."""
    s = Story()
    for key in (ident(9), "observed:platform:x"):
        item = Item(key, START, (f"model:{MODEL}",), (0,))
        assert {o.state for o in CHECK.test(item, s.w.facts()).values()} == {"deviation"}


def test_the_tier_that_counts_is_the_one_at_the_time():
    """A system that was reclassified later is judged by what it was."""
    s = Story("minimal")
    s.promote()
    line = s.w.records[0].fact
    s.add(replace(line, tier="high"), "system:jobs")
    assert outcomes(s)["A"] == "not_applicable"
    s.promote(number=41)
    assert outcomes(s)["A"] == "deviation"
    assert isinstance(line, reg.SystemRegistered) and ARTIFACT
