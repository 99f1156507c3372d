"""AI-01.2 to AI-01.5 over a period: one line per attack or exception, and the twin in which all is right."""

from __future__ import annotations

import pytest
from registry_attacks import (
    CHECKS,
    DAY,
    ROWS,
    START,
    altered,
    approval_expired,
    approval_for_another_digest,
    approval_for_another_gate,
    approved_after,
    by_gate_alone,
    emergency,
    evaluated_after,
    exceptions,
    extract,
    failed,
    finding,
    never_loaded,
    not_evaluated,
    only_claimed,
    other_digest_deployed,
    plan_after,
    plan_self_approved,
    requester_approves,
    rogue,
    role_never_held,
    role_revoked,
    self_approved,
    shown,
    signer_without_role,
    story,
    unasked,
    verdict_forged,
)
from registry_attacks_data import (
    data_changed,
    loaded_after_the_period,
    loaded_in_a_notebook,
    loaded_within_a_day,
    measured_after_the_evaluation,
    no_training_input,
    other_cutoff,
    other_data_unregistered,
    other_label,
    other_rows_scored,
    overlap_unmeasured,
    part_never_measured,
    rows_shared,
    run_contradicts,
    same_bytes_by_another_name,
    stricter_plan_ignored,
    thresholds_lowered,
    trained_on_everything,
    trained_on_test,
    trainer_approves,
)

from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks.planted import HOUR, Story

# ---------------------------------------------------------------- nothing wrong


def test_the_governed_story_gives_no_exception_and_a_proven_population():
    s = story()
    first = s.approved(1)
    s.load(first)
    second = s.approved(2)
    s.load(second)
    extract(s, [shown(first), shown(second)])
    assert exceptions(s) == {}
    for control in ("AI-01.2", "AI-01.3", "AI-01.4"):
        f = finding(s, control)
        assert (f.operating, f.n, f.completeness.proven, f.untested) == ("pass", 2, True, {})
    assert finding(s, "AI-01.5").operating == "no population"


def test_an_empty_ledger_never_passes():
    for control in CHECKS:
        f = finding(Story(START), control)
        assert (f.operating, f.n) == ("not evaluated", 0)


def test_every_attribute_of_the_library_is_answered():
    s = story()
    s.load(s.approved())
    for control, check in CHECKS.items():
        item, facts, attribute = check.known_bad(START + 10 * DAY)
        assert set(check.test(item, facts)) == set(ROWS[control]["attributes"])
        assert check.test(item, facts)[attribute].state == "deviation"
    assert set(CHECKS) == set(ROWS)


def test_a_reason_stands_beside_every_outcome_but_a_plain_pass():
    s = story()
    s.load(s.approved())
    rogue(s)
    for control in CHECKS:
        for outcomes in finding(s, control).grid.values():
            assert all(o.reason for o in outcomes.values() if o.state != "pass")


# ---------------------------------------------------------------- one thing wrong

ATTACKS = [
    ("pushed past every gate, digest unknown", unasked, {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"], "AI-01.4": ["ABCD"]}),
    ("approved by the author", self_approved, {"AI-01.2": ["D"]}),
    ("approved by the requester", requester_approves, {"AI-01.2": ["D"]}),
    ("approved after the deployment", approved_after, {"AI-01.2": ["CDEF"]}),
    ("approval expired", approval_expired, {"AI-01.2": ["CDEF"]}),
    ("approval of another gate result", approval_for_another_gate, {"AI-01.2": ["CDEF"]}),
    ("approval of another digest", approval_for_another_digest, {"AI-01.2": ["CDEF"]}),
    ("approver's role revoked before", role_revoked, {"AI-01.2": ["C"]}),
    ("approver never held the role", role_never_held, {"AI-01.2": ["C"]}),
    ("rules that ask for no approval", by_gate_alone, {"AI-01.2": ["ACDEF"]}),
    ("another digest than approved", other_digest_deployed, {"AI-01.2": ["ABCDEF"], "AI-01.3": ["ABCDE"], "AI-01.4": ["ABD"]}),
    ("never evaluated", not_evaluated, {"AI-01.2": ["B"], "AI-01.3": ["ABCDE"]}),
    ("evaluated afterwards", evaluated_after, {"AI-01.2": ["B"], "AI-01.3": ["ABCDE"]}),
    ("evaluation only claimed", only_claimed, {"AI-01.3": ["A"]}),
    ("threshold missed", failed, {"AI-01.3": ["D"]}),
    ("verdict says met, value says no", verdict_forged, {"AI-01.3": ["D"]}),
    ("thresholds fixed after the run", plan_after, {"AI-01.3": ["C"]}),
    ("thresholds approved by their proposer", plan_self_approved, {"AI-01.3": ["C"]}),
    ("evaluated on what it learned from", trained_on_test, {"AI-01.3": ["B"]}),
    ("same bytes under another name", same_bytes_by_another_name, {"AI-01.3": ["B"]}),
    ("splits share rows", rows_shared, {"AI-01.3": ["B"]}),
    ("overlap never measured", overlap_unmeasured, {"AI-01.3": ["B"]}),
    ("evaluation data not the registered bytes", data_changed, {"AI-01.3": ["B"]}),
    ("the whole file declared as training", trained_on_everything, {"AI-01.3": ["B"]}),
    ("no training input declared", no_training_input, {"AI-01.3": ["B"]}),
    ("read a part measured in no split", part_never_measured, {"AI-01.3": ["B"]}),
    ("read a dataset nobody registered", other_data_unregistered, {"AI-01.3": ["B"]}),
    ("other rows scored than the split", other_rows_scored, {"AI-01.3": ["B"]}),
    ("split measured after the evaluation", measured_after_the_evaluation, {"AI-01.3": ["B"]}),
    ("another cutoff than the plan's", other_cutoff, {"AI-01.3": ["C"]}),
    ("another label than the plan's", other_label, {"AI-01.3": ["C"]}),
    ("a stricter plan was in force", stricter_plan_ignored, {"AI-01.3": ["C"]}),
    ("thresholds lowered after a run that missed", thresholds_lowered, {"AI-01.3": ["C"]}),
    ("thresholds lowered, accepted by a waiver", lambda s: thresholds_lowered(s, p.APPROVER), {}),
    ("thresholds lowered, waived by who asked", lambda s: thresholds_lowered(s, p.AUTHOR), {"AI-01.3": ["C"]}),
    ("approved by the trainer", trainer_approves, {"AI-01.2": ["D"]}),
    ("loaded by no serving process", loaded_in_a_notebook, {"AI-01.4": ["C"]}),
    ("deployed in the period's last hour, loaded in the next", loaded_within_a_day, {}),
    ("loaded when the period was over", loaded_after_the_period, {"AI-01.4": ["C"]}),
    ("emergency to be reverted, left to serve", lambda s: emergency(s, verdict="revert"), {"AI-01.5": ["B"]}),
    ("emergency to be reverted, and it was", lambda s: emergency(s, verdict="revert", gone=2 * HOUR), {}),
    ("emergency to be reverted, days later", lambda s: emergency(s, verdict="revert", gone=50 * HOUR), {"AI-01.5": ["B"]}),
    ("run contradicts the registration", run_contradicts, {"AI-01.4": ["B"]}),
    ("registered by somebody without a role", signer_without_role, {"AI-01.4": ["D"]}),
    ("served without a verified load", never_loaded, {"AI-01.4": ["C"]}),
    ("a byte altered, never verified again", altered, {"AI-01.4": ["C"]}),
    ("emergency, all as it should be", lambda s: emergency(s), {}),
    ("emergency reviewed late", lambda s: emergency(s, review=11 * HOUR), {"AI-01.5": ["B"]}),
    ("emergency never reviewed", lambda s: emergency(s, review=None), {"AI-01.5": ["B"]}),
    ("emergency reviewed by who deployed", lambda s: emergency(s, by=p.DEPLOYER), {"AI-01.5": ["B"]}),
    ("emergency reviewed by the author", lambda s: emergency(s, by=p.AUTHOR), {"AI-01.5": ["B"]}),
    ("emergency reviewed without a role", lambda s: emergency(s, by=p.person(46)), {"AI-01.5": ["B"]}),
    ("emergency without incident", lambda s: emergency(s, incident=None), {"AI-01.5": ["A"]}),
    ("incident opened afterwards", lambda s: emergency(s, incident=9999), {"AI-01.5": ["A"]}),
    ("emergency never evaluated", lambda s: emergency(s, evaluate=False), {"AI-01.5": ["C"]}),
    ("one emergency in eight changes", lambda s: emergency(s, quiet=7), {"AI-01.5": ["D"]}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "attack", "expected"), ATTACKS, ids=[a[0] for a in ATTACKS])
def test_each_attack_gives_exactly_its_exceptions(what, attack, expected):
    s = story()
    attack(s)
    assert exceptions(s) == expected
