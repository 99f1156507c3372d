"""Whose waiver of AI-04.2 counts, and for which test."""

from __future__ import annotations

from area_world import HOUR, digest, ident, person
from fairness_world import ARTIFACT, BREACH, MODEL, TEXT, VERSION, governed, outcomes

from affidavit.areas.access import events as access
from affidavit.areas.registry import events as reg


def test_a_waiver_is_of_the_measured_test_alone():
    """It names the entry of the assessment; an old one names none and was asked for afterwards."""
    for entry, state in (("this", "pass"), ("other", "deviation"), (None, "pass")):
        s = governed(BREACH)
        last = s.w.records[-1].index
        s.waive(measured={"this": last, "other": last - 1, None: None}[entry])
        s.promote()
        assert outcomes(s)["D"] == state
    s = governed(BREACH)
    s.waive()
    s.assess(BREACH)
    s.promote()
    assert outcomes(s)["D"] == "deviation"


def test_a_waiver_is_approved_by_a_holder_of_the_approving_role_in_production():
    """Held then and there: not elsewhere, not before or after, not another role, not by a planted grant."""
    other = person(5)
    for env, role, drill, state in (
        ("production", "approver", False, "pass"), ("*", "approver", False, "pass"),
        ("staging", "approver", False, "deviation"), ("*", "engineer", False, "deviation"),
        ("production", "approver", True, "deviation"),
    ):  # fmt: skip
        s = governed(BREACH)
        s.grant(other, env, role, drill=drill)
        s.waive(approver=other)
        s.promote()
        assert outcomes(s)["D"] == state
    s = governed(BREACH)
    grant = s.grant(other, "production")
    s.add(access.GrantRevoked(grant, TEXT), f"principal:{other}", f"grant:{grant}")
    s.waive(approver=other)
    s.promote()
    assert outcomes(s)["D"] == "deviation"
    s = governed(BREACH)
    s.waive(approver=other)
    s.grant(other, "production")
    s.promote()
    assert outcomes(s)["D"] == "deviation"


def test_the_approving_role_is_the_one_in_which_promotions_are_approved():
    """Where the rules call it something else, the approvals of promotions show what."""
    s = governed(BREACH)
    s.add(reg.PromotionApproved(ident(50), MODEL, 3, ARTIFACT, "production", digest(6), "owner", s.w.now + 90 * HOUR),
          f"model:{MODEL}", f"model:{VERSION}")  # fmt: skip
    s.grant(person(5), "*", "owner")
    s.waive(approver=person(5))
    s.promote()
    assert outcomes(s)["D"] == "pass"
