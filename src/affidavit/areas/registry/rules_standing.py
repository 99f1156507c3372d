"""What the registry decides about accepted risks: waivers, and standing authorisations for retrains."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import lookup
from affidavit.areas.registry.bounds import meets, ranges_left
from affidavit.areas.registry.gate import measured_entry
from affidavit.areas.registry.rules import check_thresholds, known_dataset
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import time_text

LONGEST_WAIVER = timedelta(days=90)
LONGEST_STANDING = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Within:
    """The authorisation that covers a version; else which was tried and every bound that it leaves."""

    id: str | None = None
    approver: str | None = None
    tried: str | None = None
    problems: tuple[str, ...] = ()


def request_waiver(cmd: c.RequestWaiver, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """For an attribute that a gate lists, with an expiry in the future and at most 90 days away."""
    found = lookup.known_version(state, cmd.version)
    listed = {(x, a) for t in ctx.rules.transitions.values() for x, attributes in t.checks.items() for a in attributes}
    if (cmd.control, cmd.attribute) not in listed:
        known = ", ".join(f"{x} {a}" for x, a in sorted(listed)) or "none"
        raise Invalid(f"no gate asks for {cmd.control} {cmd.attribute}.", next_step=f"gates ask for: {known}.")
    if ctx.ask("access.principal", cmd.owner) is None:
        raise NotFound(f"owner: no principal {cmd.owner}.", next_step="name the person who owns the risk.")
    if not ctx.now < cmd.expires <= ctx.now + LONGEST_WAIVER:
        raise Invalid(
            f"expires: {time_text(cmd.expires)} is not within the next {LONGEST_WAIVER.days} days.",
            next_step="choose a day in that time.",
        )
    fact = e.WaiverRequested(
        ctx.ids[0], found.model, found.number, cmd.control, cmd.attribute, cmd.owner, cmd.reason, cmd.expires,
        measured_entry(state, ctx, found, cmd.control),
    )  # fmt: skip
    return [Draft(fact, (f"model:{found.model}", f"model:{found.name}", f"waiver:{ctx.ids[0]}"))]


def approve_waiver(cmd: c.ApproveWaiver, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Neither who asked for it nor who wrote the version; with the right in every environment it opens."""
    waiver = lookup.waiver_of(state, cmd.waiver)
    if waiver is None:
        raise NotFound(f"no waiver {cmd.waiver}.", next_step="request one: affidavit registry request-waiver.")
    if waiver.approved:
        raise Refused(
            "already_approved", f"waiver {waiver.id} was approved {waiver.approved}.", next_step="nothing to do."
        )
    found = lookup.known_version(state, f"{waiver.model}/{waiver.number}")
    if ctx.who.principal in (waiver.requester, found.author):
        raise Refused(
            "self_approval", f"{ctx.who.principal} asked for waiver {waiver.id} or wrote {found.name}.",
            next_step="another holder of registry.approve_waiver accepts the risk.", controls=("AI-01.3", "AI-03.2"),
        )  # fmt: skip
    if waiver.expires <= time_text(ctx.now):
        raise Refused("waiver_expired", f"waiver {waiver.id} expired {waiver.expires}.", next_step="request a new one.")
    asking = [x for x, t in ctx.rules.transitions.items() if waiver.attribute in t.checks.get(waiver.control, ())]
    _entitled(ctx, c.ApproveWaiver.permission, asking)
    fact = e.WaiverApproved(waiver.id, waiver.model, waiver.number)
    return [Draft(fact, (f"model:{found.model}", f"model:{found.name}", f"waiver:{waiver.id}"))]


def propose_standing(cmd: c.ProposeStanding, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Bounded in every direction: data, code, hyperparameters, metrics, time."""
    if lookup.model(state, cmd.model) is None:
        raise NotFound(f"no model {cmd.model}.", next_step="register it: affidavit registry register-model.")
    for field in ("datasets", "code"):
        if not getattr(cmd, field):
            raise Invalid(f"{field} is empty.", next_step=f"name the {field} a retrain may use.")
    for ref in cmd.datasets:
        known_dataset(ref, ctx)
    check_thresholds(cmd.bounds)
    _check_ranges(cmd.ranges)
    if not ctx.now < cmd.expires <= ctx.now + LONGEST_STANDING:
        raise Invalid(
            f"expires: {time_text(cmd.expires)} is not within the next {LONGEST_STANDING.days} days.",
            next_step="choose a day in that time.",
        )
    fact = e.StandingProposed(
        ctx.ids[0], cmd.model, cmd.datasets, cmd.code, cmd.ranges, cmd.bounds, cmd.expires, cmd.reason
    )
    return [Draft(fact, (f"model:{cmd.model}", f"standing:{ctx.ids[0]}", *cmd.datasets))]


def _check_ranges(ranges: tuple[e.Range, ...]) -> None:
    names = [r.name for r in ranges]
    for r in ranges:
        bounded = r.least is not None or r.most is not None
        if bounded == (r.equals is not None):
            raise Invalid(f"range {r.name}: give least or most, or equals, not both.", next_step="correct the range.")
        if r.least is not None and r.most is not None and Decimal(r.least) > Decimal(r.most):
            raise Invalid(f"range {r.name}: least is above most.", next_step="swap them.")
        if names.count(r.name) > 1:
            raise Invalid(f"range {r.name} is given twice.", next_step="give it once.")


def approve_standing(cmd: c.ApproveStanding, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Not by its proposer, before it expires, and with the right in every environment that asks for approval."""
    standing = lookup.standing_of(state, cmd.standing)
    if standing is None:
        raise NotFound(
            f"no standing authorisation {cmd.standing}.", next_step="propose one: registry propose-standing."
        )
    if standing.approved:
        raise Refused(
            "already_approved", f"{standing.id} was approved {standing.approved}.", next_step="nothing to do."
        )
    if ctx.who.principal == standing.proposer:
        raise Refused(
            "self_approval", f"{ctx.who.principal} proposed {standing.id}.",
            next_step="another holder of registry.approve_standing approves it.", controls=("AI-01.2", "AI-03.2"),
        )  # fmt: skip
    if standing.expires <= time_text(ctx.now):
        raise Refused("standing_expired", f"{standing.id} expired {standing.expires}.", next_step="propose a new one.")
    asking = [x for x, t in ctx.rules.transitions.items() if t.approvals.n]
    _entitled(ctx, c.ApproveStanding.permission, asking)
    fact = e.StandingApproved(standing.id, standing.model)
    return [Draft(fact, (f"model:{standing.model}", f"standing:{standing.id}"))]


def _entitled(ctx: Ctx, permission: str, environments: list[str]) -> None:
    """The approver holds the right in each of these environments: one of development opens no production."""
    for env in environments:
        held = ctx.ask("access.roles_of", ctx.who.principal, env, time_text(ctx.now))
        bound = ctx.who.env not in (None, env)
        if bound or not ctx.rules.allows(held, permission):
            raise Refused(
                "not_an_approver", f"{ctx.who.principal} does not hold {permission} in {env}.",
                next_step=f"a holder of {permission} in {', '.join(environments)} approves.",
                controls=("AI-01.2", "AI-01.3"),
            )  # fmt: skip


# ---------------------------------------------------------------- does a retrain lie within the bounds


def within_standing(state: ViewTx, ctx: Ctx, found: lookup.Version, to: str) -> Within:
    """The newest authorisation in force that covers the version, or what the newest one refuses, bound by bound."""
    refused: Within | None = None
    for standing in lookup.standings_in_force(state, found.model, time_text(ctx.now)):
        problems = _leaves(state, ctx, found, standing, to)
        if not problems:
            return Within(standing.id, standing.approver)
        refused = refused or Within(tried=standing.id, problems=tuple(problems))
    return refused or Within()


def _leaves(state: ViewTx, ctx: Ctx, found: lookup.Version, standing: lookup.Standing, to: str) -> list[str]:
    problems = [f"{ref} is not among its datasets" for ref in found.datasets if ref not in standing.datasets]
    if found.code not in standing.code_list:
        problems.append(f"code {found.code} is not among its code revisions")
    run = ctx.ask("lineage.run", found.run) or {}
    duties = {"author": found.author, "registrar": found.registrar, "trainer": run.get("actor")}
    own = [duty for duty, person in duties.items() if person == standing.approver]
    if own:
        problems.append(f"its approver is the {' and '.join(own)} of the version")
    problems += _outside_ranges(state, found, standing, to)
    return problems + _misses_bounds(state, found, standing)


def _outside_ranges(state: ViewTx, found: lookup.Version, standing: lookup.Standing, to: str) -> list[str]:
    ranges: dict[str, dict[str, str | None]] = {str(r["name"]): {**r} for r in standing.ranges}
    last = _last_approved(state, found.model, to)
    return ranges_left(found.hyperparameters, ranges, last.hyperparameters if last else None)


def _last_approved(state: ViewTx, model: str, to: str) -> lookup.Version | None:
    approved = [d for d in lookup.deployments(state, model, to) if d.via == "approval"]
    return lookup.find_version(state, model, approved[-1].number) if approved else None


def _misses_bounds(state: ViewTx, found: lookup.Version, standing: lookup.Standing) -> list[str]:
    plan = lookup.current_plan(state, found.model)
    newest = lookup.latest_evaluation(state, found, plan.id if plan else None)
    if newest is None:
        return ["it was not evaluated under the plan in force"]
    problems = []
    for bound in standing.bounds:
        value = newest.results.get(bound["metric"])
        if value is None:
            problems.append(f"{bound['metric']} was not measured")
        elif not meets(value, bound["direction"], bound["bound"]):
            problems.append(
                f"{bound['metric']} is {value}, must be {bound['direction'].replace('-', ' ')} {bound['bound']}"
            )
    return problems
