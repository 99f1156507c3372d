"""What may be in force: a routing rule that means something and that two people stand for, trained reviewers, tenants."""

from __future__ import annotations

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.people import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import time_text
from affidavit.streams.routing import check_condition

CONTROLS = ("AI-08.4",)
MOST_CONDITIONS, MOST_TENANTS = 32, 64


def propose_routing(cmd: c.ProposeRouting, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Conditions that can be judged, and a role that may act on decisions."""
    _model(cmd.model, ctx)
    if not 1 <= len(cmd.conditions) <= MOST_CONDITIONS:
        raise Invalid(
            f"{len(cmd.conditions)} conditions.",
            next_step=f"give 1 to {MOST_CONDITIONS}, such as confidence below 0.6.",
        )
    for condition in cmd.conditions:
        check_condition(condition)
    if cmd.role == "everyone" or not ctx.rules.allows((cmd.role,), "decisions.act"):
        able = ", ".join(r for r in ctx.rules.roles if ctx.rules.allows((r,), "decisions.act")) or "none"
        raise Invalid(f"role: {cmd.role!r} may not act on decisions.", next_step=f"roles that may: {able}.")
    rule = ctx.ids[0]
    fact = e.RoutingProposed(rule, cmd.model, cmd.role, cmd.conditions, cmd.min_review_ms, cmd.reason)
    return [Draft(fact, (f"model:{cmd.model}", f"routing:{rule}"))]


def approve_routing(cmd: c.ApproveRouting, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """By another person than its proposer, once."""
    row = state.one("SELECT model, proposer, approved FROM {routing} WHERE rule = ?", cmd.rule)
    if row is None:
        raise NotFound(f"no routing rule {cmd.rule}.", next_step="`affidavit decisions routing MODEL` lists them.")
    model, proposer, approved = row
    if approved:
        raise Refused("already_approved", f"rule {cmd.rule} was approved {approved}.", next_step="nothing to do.")
    if proposer == ctx.who.principal:
        raise Refused(
            "self_approval", "the proposer of a routing rule cannot approve it.",
            next_step="another holder of decisions.approve_plan approves it.", controls=CONTROLS,
        )  # fmt: skip
    return [Draft(e.RoutingApproved(cmd.rule, model), (f"model:{model}", f"routing:{cmd.rule}"))]


def train_reviewer(cmd: c.TrainReviewer, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Somebody else vouches for the training, for a time that lies ahead."""
    _principal(cmd.principal, ctx)
    _model(cmd.model, ctx)
    if cmd.principal == ctx.who.principal:
        raise Refused(
            "self_training", f"{cmd.principal} cannot vouch for their own training.",
            next_step="another holder of decisions.train records it.", controls=CONTROLS,
        )  # fmt: skip
    if cmd.until <= ctx.now:
        raise Invalid(f"until: {time_text(cmd.until)} is past.", next_step="give the day the training expires.")
    fact = e.ReviewerTrained(cmd.principal, cmd.model, cmd.until, cmd.evidence)
    return [Draft(fact, (f"principal:{cmd.principal}", f"model:{cmd.model}"))]


def record_oversight(cmd: c.RecordOversight, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """As measured; about the deployment and its model."""
    f = cmd.measured
    found = ctx.ask("registry.deployment", f.deployment)
    if found is None:
        raise NotFound(f"no deployment {f.deployment}.", next_step="`affidavit registry history MODEL` lists them.")
    model, number = found["model"], found["number"]
    refs = (f"deployment:{f.deployment}", f"model:{model}/{number}", f"model:{model}", f"routing:{f.rule}")
    return [Draft(f, refs)]


def restrict_tenants(cmd: c.RestrictTenants, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Another than the principal concerned says which tenants."""
    _principal(cmd.principal, ctx)
    if cmd.principal == ctx.who.principal:
        raise Refused(
            "own_tenants", f"{cmd.principal} cannot set the tenants they see themselves.",
            next_step="another administrator does it.", controls=("AI-03.1",),
        )  # fmt: skip
    if bool(cmd.tenants) == cmd.everything:
        raise Invalid("name tenants, or everything, and not both.", next_step="--tenants NAME, or --everything true.")
    if len(cmd.tenants) > MOST_TENANTS:
        raise Invalid(f"{len(cmd.tenants)} tenants; at most {MOST_TENANTS}.", next_step="name fewer.")
    fact = e.TenantsRestricted(cmd.principal, tuple(dict.fromkeys(cmd.tenants)), cmd.everything)
    return [Draft(fact, (f"principal:{cmd.principal}", "tenants:workspace"))]


def record_probe(cmd: c.RecordProbe, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """As found."""
    return [Draft(cmd.probed, (f"canary:{cmd.probed.canary}", "tenants:workspace"))]


def _model(name: str, ctx: Ctx) -> None:
    if ctx.ask("registry.model", name) is None:
        raise NotFound(f"no model {name}.", next_step="`affidavit registry systems` lists systems and models.")


def _principal(principal: str, ctx: Ctx) -> None:
    if ctx.ask("access.principal", principal) is None:
        raise NotFound(f"no principal {principal}.", next_step="register it: affidavit access register-principal.")
