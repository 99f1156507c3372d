"""What the registry decides about promotions: requests, approvals, deployments, emergencies, rollbacks."""

from __future__ import annotations

from typing import Any

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import lookup
from affidavit.areas.registry.gate import Gate, gate_of, vouching
from affidavit.areas.registry.rules import not_retired, tier_of
from affidavit.areas.registry.rules_standing import Within, within_standing
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import parse_duration, time_text

APPROVED_WAYS = ("approval", "gate", "standing")


def request(cmd: c.RequestPromotion, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The path is kept and the gate passes; the request freezes what it said."""
    found = lookup.known_version(state, cmd.version)
    _may_serve(state, found, cmd.to, ctx)
    _on_path(state, found, cmd.to, ctx)
    gate = gate_of(state, ctx, found, cmd.to)
    gate.demand()
    earlier = lookup.open_wish(state, found, cmd.to)
    if earlier is not None and earlier.gate_digest == gate.digest:
        raise Refused(
            "already_requested",
            f"request {earlier.id} asks for this.",
            next_step=f"have it approved: registry approve {earlier.id}.",
        )
    fact = e.PromotionRequested(ctx.ids[0], found.model, found.number, found.artifact, cmd.to, gate.lines, gate.digest)
    return [Draft(fact, (*lookup.refs_of(state, found), f"request:{ctx.ids[0]}", f"env:{cmd.to}"), cmd.to)]


def approve(cmd: c.ApprovePromotion, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """One person, one approval; never the author, the requester, or (if the rules part them) the trainer."""
    wish = _open(state, cmd.request)
    found = lookup.known_version(state, f"{wish.model}/{wish.number}")
    not_retired(found)
    _not_own(found, wish, ctx)
    rule = ctx.rules.transition(wish.target).approvals
    now = time_text(ctx.now)
    held = ctx.ask("access.roles_of", ctx.who.principal, wish.target, now)
    role = next((r for r in rule.roles if r in held), None)
    if role is None:
        raise Refused(
            "not_an_approver", f"{ctx.who.principal} holds no approving role in {wish.target}.",
            next_step=f"a holder of {', '.join(rule.roles) or 'no role: the rules ask for no approval'} approves.",
            controls=("AI-01.2",),
        )  # fmt: skip
    mine = [a for a in lookup.approvals_of(state, wish.id) if a.principal == ctx.who.principal and a.expires > now]
    if mine:
        raise Refused(
            "already_approved", f"{ctx.who.principal} approved request {wish.id} at {mine[0].at}.",
            next_step="another person approves.",
        )  # fmt: skip
    fact = e.PromotionApproved(
        wish.id, wish.model, wish.number, wish.artifact, wish.target, wish.gate_digest, role, ctx.now + rule.expires
    )
    return [Draft(fact, _wish_refs(wish), wish.target)]


def reject(cmd: c.RejectPromotion, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The request is closed; a new one is needed."""
    wish = _open(state, cmd.request)
    fact = e.PromotionRejected(wish.id, wish.model, wish.number, cmd.reason)
    return [Draft(fact, _wish_refs(wish), wish.target)]


def promote(cmd: c.PromoteVersion, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Gate passed now, and: no approval asked, or enough of them, or a standing authorisation that covers it."""
    found = lookup.known_version(state, cmd.version)
    _may_serve(state, found, cmd.to, ctx)
    _on_path(state, found, cmd.to, ctx)
    gate = gate_of(state, ctx, found, cmd.to)
    gate.demand()
    _deployer_apart(found, ctx)
    if ctx.rules.transition(cmd.to).approvals.n == 0:
        return [_promoted(state, ctx, found, gate, "gate")]
    wish = lookup.open_wish(state, found, cmd.to)
    lacking = _approvals_lacking(state, wish, gate, ctx)
    if wish is not None and lacking is None:
        return [_promoted(state, ctx, found, gate, "approval", request=wish.id)]
    standing = within_standing(state, ctx, found, cmd.to)
    if standing.id is not None:
        _apart("approver", standing.approver, "deployer", ctx)
        return [_promoted(state, ctx, found, gate, "standing", standing=standing.id)]
    raise _not_approved(found, cmd.to, lacking, standing, ctx)


def _not_approved(found: lookup.Version, to: str, lacking: Refused | None, standing: Within, ctx: Ctx) -> Refused:
    if not standing.problems:
        return lacking or Refused("not_approved", f"{found.name} is not approved.", next_step="request it.")
    told = f"outside the standing authorisation {standing.tried}: {'; '.join(standing.problems)}"
    if lacking is not None and lacking.code != "not_requested":
        told = f"{lacking.problem.rstrip('.')}; {told}"
    roles = ", ".join(ctx.rules.transition(to).approvals.roles)
    return Refused(
        "outside_standing", f"{found.name} is {told}.",
        next_step=f"request it (affidavit registry request) and have a holder of {roles} approve.",
        controls=("AI-01.2",),
    )  # fmt: skip


def _approvals_lacking(state: ViewTx, wish: lookup.Wish | None, gate: Gate, ctx: Ctx) -> Refused | None:
    """What the approvals of a request lack; None if they suffice."""
    rule, now = ctx.rules.transition(gate.to).approvals, time_text(ctx.now)
    if wish is None:
        return Refused(
            "not_requested", f"nobody asked for the promotion into {gate.to}.",
            next_step="request it: affidavit registry request.", controls=("AI-01.2",),
        )  # fmt: skip
    if wish.gate_digest != gate.digest:
        return Refused(
            "gate_changed", f"the gate says something else than request {wish.id} froze.",
            next_step="request it again; the approval binds to the new result.", controls=("AI-01.2", "AI-01.3"),
        )  # fmt: skip
    given = [
        a for a in lookup.approvals_of(state, wish.id) if a.gate_digest == gate.digest and a.artifact == wish.artifact
    ]
    valid = vouching(state, ctx, wish.id, gate) & {a.principal for a in given}
    if len(valid) >= rule.n:
        for principal in sorted(valid):
            _apart("approver", principal, "deployer", ctx)
        _apart("requester", wish.requester, "deployer", ctx)
        return None
    if len({a.principal for a in given}) >= rule.n and all(a.expires <= now for a in given):
        last = max(a.expires for a in given)
        return Refused(
            "approval_expired", f"the approvals of request {wish.id} expired, the last at {last}.",
            next_step=f"have it approved again: affidavit registry approve {wish.id}.", controls=("AI-01.2",),
        )  # fmt: skip
    return Refused(
        "not_approved", f"request {wish.id} has {len(valid)} of {rule.n} approvals.",
        next_step=f"a holder of {', '.join(rule.roles)} approves: affidavit registry approve {wish.id}.",
        controls=("AI-01.2",),
    )  # fmt: skip


def break_glass(cmd: c.BreakGlass, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """An open incident opened before, and a review that falls due; the gate is recorded as it stands."""
    found = lookup.known_version(state, cmd.version)
    _may_serve(state, found, cmd.to, ctx)
    incident = ctx.ask("incidents.incident", cmd.incident)
    if incident is None:
        raise NotFound(f"no incident {cmd.incident}.", next_step="open it first: affidavit incidents open.")
    concerned = (f"model:{found.model}", f"model:{found.name}", f"system:{lookup.system_of_model(state, found.model)}")
    if incident.get("drill") or not set(concerned) & set(incident["about"]):
        raise Refused(
            "incident_elsewhere", f"incident {cmd.incident} is a drill, or concerns neither {found.model} nor its system.",
            next_step=f"open one about model:{found.model} for this emergency.", controls=("AI-01.5",),
        )  # fmt: skip
    if incident["state"] == "closed":
        raise Refused(
            "incident_closed", f"incident {cmd.incident} is closed.", next_step="open one for this emergency.",
            controls=("AI-01.5",),
        )  # fmt: skip
    within = parse_duration(str(ctx.rules.parameters.get("AI-01.5", {}).get("review_within", "P2D")))
    due = ctx.rules.calendar.due(ctx.now, within, business=True)
    ref = f"incident:{cmd.incident}"
    gate = gate_of(state, ctx, found, cmd.to)
    extra = {"incident": ref, "incident_entry": int(incident["entry"]), "review_due": due, "reason": cmd.reason}
    return [_promoted(state, ctx, found, gate, "break-glass", **extra)]


def review(cmd: c.ReviewBreakGlass, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """By another person who may review there; a late review is recorded, and the control reports it."""
    found = lookup.deployment_of(state, cmd.deployment)
    if found is None:
        raise NotFound(f"no deployment {cmd.deployment}.", next_step="`affidavit registry history MODEL` lists them.")
    if found.via != "break-glass":
        raise Invalid(
            f"deployment {found.id} came by {found.via}.", next_step="only an emergency is reviewed afterwards."
        )
    if found.reviewed:
        raise Refused("already_reviewed", f"it was reviewed {found.reviewed}.", next_step="nothing to do.")
    version = lookup.known_version(state, f"{found.model}/{found.number}")
    if ctx.who.principal in (found.deployer, version.author):
        raise Refused(
            "self_review", f"{ctx.who.principal} deployed it or wrote the version.",
            next_step="another holder of registry.review reviews it.", controls=("AI-01.5", "AI-03.2"),
        )  # fmt: skip
    held = ctx.ask("access.roles_of", ctx.who.principal, found.env, time_text(ctx.now))
    if not ctx.rules.allows(held, "registry.review"):
        raise Refused(
            "not_a_reviewer", f"{ctx.who.principal} may not review in {found.env}.",
            next_step=f"a holder of registry.review in {found.env} reviews it.", controls=("AI-01.5",),
        )  # fmt: skip
    fact = e.BreakGlassReviewed(found.id, found.model, cmd.verdict, cmd.note)
    return [Draft(fact, (f"model:{found.model}", f"model:{version.name}", f"deployment:{found.id}"), found.env)]


def roll_back(cmd: c.RollBack, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Back to what was approved for the environment before; that approval stands."""
    found = lookup.known_version(state, cmd.version)
    _may_serve(state, found, cmd.to, ctx)
    ctx.rules.transition(cmd.to)
    before = [
        d for d in lookup.deployments(state, found.model, cmd.to)
        if d.number == found.number and d.artifact == found.artifact and d.via in APPROVED_WAYS
    ]  # fmt: skip
    if not before:
        raise Refused(
            "never_approved", f"{found.name} was never approved for {cmd.to}.",
            next_step=f"`affidavit registry history {found.model}` shows what was; else request a promotion.",
            controls=("AI-01.2",),
        )  # fmt: skip
    last = before[-1]
    lines = tuple(e.GateLine(g["control"], g["attribute"], g["outcome"]) for g in last.gate)  # type: ignore[arg-type]
    gate = Gate(cmd.to, lines, {}, last.gate_digest)
    extra = {"request": last.request, "standing": last.standing, "reason": cmd.reason}
    return [_promoted(state, ctx, found, gate, "rollback", **extra)]


def _promoted(state: ViewTx, ctx: Ctx, found: lookup.Version, gate: Gate, via: e.Via, **extra: Any) -> Draft:
    """The fact of a deployment, with everything it rests on among its references."""
    served = lookup.live_in(state, found.model, gate.to)
    deployment = ctx.ids[0]
    fact = e.VersionPromoted(
        deployment, found.model, found.number, found.artifact, gate.to, via, gate.lines, gate.digest,
        replaces=served.id if served else None, **extra,
    )  # fmt: skip
    rests = [f"{k}:{extra[k]}" for k in ("request", "standing") if extra.get(k)]
    rests += [extra["incident"]] if extra.get("incident") else []
    refs = (*lookup.refs_of(state, found), f"deployment:{deployment}", f"env:{gate.to}", *rests)
    return Draft(fact, refs, gate.to)


def _may_serve(state: ViewTx, found: lookup.Version, to: str, ctx: Ctx) -> None:
    """Not of a prohibited system, not planted, not retired, not tampered with, not there already."""
    not_retired(found)
    if tier_of(state, found.model) == "prohibited":
        raise Refused(
            "prohibited_tier", f"the system of {found.model} is registered as prohibited: nothing of it is promoted.",
            next_step="end the use; a system of another purpose is registered anew.", controls=("AI-01.2",),
        )  # fmt: skip
    if found.drill and not ctx.drill:
        raise Refused("planted", f"{found.name} was planted for a drill.", next_step="use a real version.")
    if found.tampered:
        raise Refused(
            "tampered", f"a stored file of {found.name} was found altered at {found.tampered}.",
            next_step="restore it from a good copy and load it once to show that it verifies.", controls=("AI-01.4",),
        )  # fmt: skip
    served = lookup.live_in(state, found.model, to)
    if served is not None and served.number == found.number:
        raise Refused("already_live", f"{found.name} serves {to} since {served.at}.", next_step="nothing to do.")


def _on_path(state: ViewTx, found: lookup.Version, to: str, ctx: Ctx) -> None:
    """The version serves, or served, the environment before this one. The first environment needs no promotion."""
    source = ctx.rules.transition(to).source
    if source not in ctx.rules.transitions:
        return
    if not any(d.number == found.number for d in lookup.deployments(state, found.model, source)):
        raise Refused(
            "path_skipped", f"{found.name} was never in {source}, from where {to} is reached.",
            next_step=f"promote it into {source} first.", controls=("AI-01.2",),
        )  # fmt: skip


def _open(state: ViewTx, request_id: str) -> lookup.Wish:
    wish = lookup.wish_of(state, request_id)
    if wish is None:
        raise NotFound(f"no request {request_id}.", next_step="request a promotion: affidavit registry request.")
    if wish.state != "open":
        raise Refused("request_closed", f"request {wish.id} is {wish.state}.", next_step="request the promotion again.")
    return wish


def _wish_refs(wish: lookup.Wish) -> tuple[str, ...]:
    return (f"model:{wish.model}", f"model:{wish.model}/{wish.number}", f"request:{wish.id}", f"env:{wish.target}")


def _trainer(found: lookup.Version, ctx: Ctx) -> str | None:
    run = ctx.ask("lineage.run", found.run)
    return None if run is None else run.get("actor")


def _not_own(found: lookup.Version, wish: lookup.Wish, ctx: Ctx) -> None:
    """An approver is nobody whose work is approved."""
    duties = {"author": found.author, "registrar": found.registrar, "requester": wish.requester}
    if ctx.rules.separated("trainer", "approver"):
        duties["trainer"] = _trainer(found, ctx) or ""
    own = [duty for duty, person in duties.items() if person == ctx.who.principal]
    if own:
        raise Refused(
            "self_approval", f"{ctx.who.principal} is {' and '.join(own)} of {found.name} or of request {wish.id}.",
            next_step="another holder of an approving role approves.", controls=("AI-01.2", "AI-03.2"),
        )  # fmt: skip


def _deployer_apart(found: lookup.Version, ctx: Ctx) -> None:
    """Whoever deploys is not the author, the requester or the trainer, where the rules part them."""
    _apart("author", found.author, "deployer", ctx)
    if ctx.rules.separated("trainer", "deployer"):
        _apart("trainer", _trainer(found, ctx), "deployer", ctx)


def _apart(duty: str, person: str | None, other: str, ctx: Ctx) -> None:
    if person == ctx.who.principal and ctx.rules.separated(duty, other):
        raise Refused(
            "duties_meet", f"{ctx.who.principal} is the {duty}; the rules part {duty} and {other}.",
            next_step=f"another person acts as {other}.", controls=("AI-03.2",),
        )  # fmt: skip
