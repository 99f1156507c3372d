"""Stories in which one thing is wrong, and what a control test sees of a story."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources

import yaml

from affidavit.areas.access.events import GrantRevoked
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted as p
from affidavit.areas.registry.checks import v1
from affidavit.areas.registry.checks.planted import HOUR, MODEL, Story, digest, ident
from affidavit.core.assessment import Bench, assess
from affidavit.core.findings import Period

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = Period(START, START + timedelta(days=90))
DAY = timedelta(days=1)
CHECKS = {c.control: c for c in v1.CHECKS}
ROWS = {
    r["id"]: r
    for r in yaml.safe_load(resources.files("affidavit.areas.registry").joinpath("controls.yaml").read_text())[
        "controls"
    ]
}


def story() -> Story:
    s = Story(START + DAY)
    s.open()
    return s


def finding(s: Story, control: str, period: Period = PERIOD):
    bench = Bench(ROWS[control], CHECKS[control], digest(1), {"emergency_rate": "0.05"})
    return assess(bench, s.facts(), period, len(s.records))


def exceptions(s: Story, period: Period = PERIOD) -> dict[str, list[str]]:
    """Control → for each exception the letters that failed."""
    found = {c: [x.attributes for x in finding(s, c, period).exceptions] for c in CHECKS}
    return {c: ["".join(sorted(a)) for a in x] for c, x in found.items() if x}


def extract(
    s: Story, rows: list[tuple[str, str, datetime]], start=PERIOD.start, end=PERIOD.end, source="gateway", n=None
) -> None:
    fact = e.DeploymentsExtracted(source, p.TEXT, p.TEXT, start, end, len(rows) if n is None else n, p.ATTACHED, "x-1")
    s.add(fact, (f"source:{source}",), p.person(7))
    for external, artifact, at in rows:
        seen = e.DeploymentObserved(source, external, MODEL, "production", artifact, at)
        s.add(seen, (f"model:{MODEL}", "env:production", f"source:{source}"), p.person(7))


def shown(promoted) -> tuple[str, str, datetime]:
    """The row by which the platform's log shows a promotion, five minutes after it."""
    return (promoted.fact.deployment, promoted.fact.artifact, promoted.head.at + timedelta(minutes=5))


def steps(s: Story, *, auc="0.800000", approve=True, number=1, **promoted):
    version = s.register(number)
    s.evaluate(version, auc)
    request = s.request(version)
    if approve:
        s.approve(request)
    return s.promote(version, request=request.fact.request, **promoted)


def rogue(s: Story, artifact: str = digest(66)):
    extract(s, [("x-77", artifact, s.now)])


def unasked(s):
    rogue(s)


def self_approved(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, by=p.AUTHOR, role="engineer")
    s.load(s.promote(version, request=request.fact.request))


def requester_approves(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version, by=p.APPROVER)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def approved_after(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.load(s.promote(version, request=request.fact.request))
    s.approve(request)


def approval_expired(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, lasts=HOUR / 2)
    s.load(s.promote(version, request=request.fact.request))


def approval_for_another_gate(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    old = s.records[-1]
    s.records[-1] = replace(old, fact=replace(old.fact, gate_digest=digest(55)))
    s.load(s.promote(version, request=request.fact.request))


def approval_for_another_digest(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    old = s.records[-1]
    s.records[-1] = replace(old, fact=replace(old.fact, artifact=digest(55)))
    s.load(s.promote(version, request=request.fact.request))


def role_revoked(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    grant = next(r.fact.grant for r in s.records if getattr(r.fact, "principal", "") == p.APPROVER)
    s.add(GrantRevoked(grant, p.TEXT), (f"principal:{p.APPROVER}",), p.person(0))
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def role_never_held(s):
    version = s.register()
    s.evaluate(version)
    request = s.request(version)
    s.approve(request, by=p.person(44))
    s.load(s.promote(version, request=request.fact.request))


def by_gate_alone(s):
    version = s.register()
    s.evaluate(version)
    s.load(s.promote(version, "gate"))


def other_digest_deployed(s):
    s.load(steps(s, artifact=digest(88)))


def not_evaluated(s):
    version = s.register()
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def evaluated_after(s):
    version = s.register()
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))
    s.evaluate(version)


def only_claimed(s):
    version = s.register()
    s.evaluate(version, by="claimed")
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def failed(s):
    s.load(steps(s, auc="0.740000"))


def verdict_forged(s):
    version = s.register()
    s.evaluate(version, auc="0.740000")
    old = s.records[-1]
    lie = replace(old.fact.verdicts[0], met=True)
    s.records[-1] = replace(old, fact=replace(old.fact, verdicts=(lie,)))
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def plan_after(s):
    version = s.register()
    late = ident(2)
    s.evaluate(version, plan=late)
    s.plan(late, "0.750000")
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def plan_self_approved(s):
    asked = (e.Threshold("auc", "at-least", "0.750000"),)
    refs = (f"model:{MODEL}", f"plan:{ident(3)}", p.DATA)
    s.add(e.PlanProposed(ident(3), MODEL, p.DATA, "test", "y", p.CUTOFF, asked, p.TEXT), refs, p.AUTHOR)
    s.add(e.PlanApproved(ident(3), MODEL), refs, p.AUTHOR)
    version = s.register()
    s.evaluate(version, plan=ident(3))
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def signer_without_role(s):
    version = s.register(author=p.person(45))
    s.evaluate(version)
    request = s.request(version)
    s.approve(request)
    s.load(s.promote(version, request=request.fact.request))


def never_loaded(s):
    s.approved()


def altered(s):
    d = s.approved()
    s.load(d)
    refs = (f"model:{MODEL}", f"model:{MODEL}/1")
    s.add(e.ArtifactTampered(MODEL, 1, d.fact.artifact, d.fact.artifact, digest(7)), refs, p.person(6))


def emergency(
    s, *, review=2 * HOUR, by=p.REVIEWER, incident=0, number=1, evaluate=True, quiet=20, due=10 * HOUR,
    verdict="accepted", gone=None,
):  # fmt: skip
    """An emergency among ``quiet`` ordinary changes; rolled back ``gone`` after the review."""
    for n in range(quiet):
        s.load(s.approved(10 + n))
    version = s.register(number)
    if evaluate:
        s.evaluate(version)
    extra = {} if incident is None else {"incident": f"incident:{ident(50)}", "incident_entry": incident}
    d = s.promote(version, "break-glass", review_due=s.now + due, reason=p.TEXT, **extra)
    s.load(d)
    if review is not None:
        s.now = d.head.at + review
        refs = (f"model:{MODEL}", f"model:{MODEL}/{number}", f"deployment:{d.fact.deployment}")
        s.add(e.BreakGlassReviewed(d.fact.deployment, MODEL, verdict, p.TEXT), refs, by)
    if gone is not None:
        s.now += gone - HOUR
        back = next(r for r in s.records if isinstance(r.fact, e.VersionRegistered) and r.fact.number == 9 + quiet)
        s.load(s.promote(back, "rollback", by=p.person(6), reason=p.TEXT))
    return d
