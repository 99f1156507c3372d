"""What access decides: who may be granted what, by whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from affidavit.areas.access import commands as c
from affidavit.areas.access import events as e
from affidavit.areas.access import view
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused
from affidavit.core.fields import Attachment, time_text
from affidavit.core.rules import Rules

MAX_KEY_LIFE = timedelta(days=366)


def register_principal(cmd: c.RegisterPrincipal, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """A fresh random id; two people of one name are two principals."""
    # the random halves of two drawn ids: nothing of the hour of hiring stays in the id
    principal = "p-" + "".join(i.replace("-", "")[-16:] for i in ctx.ids[:2])
    return [Draft(e.PrincipalRegistered(principal, cmd.kind, cmd.name), (f"principal:{principal}",))]


def request_grant(cmd: c.RequestGrant, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Any registered principal may ask; asking gives nothing."""
    _known(cmd.principal, state)
    _role(cmd.role, cmd.in_env, ctx.rules)
    if ctx.who.env is not None and cmd.in_env != ctx.who.env:
        raise NotAllowed(f"this key is bound to {ctx.who.env}.", next_step=f"ask for a role in {ctx.who.env}.")
    fact = e.GrantRequested(ctx.ids[0], cmd.principal, cmd.role, cmd.in_env, cmd.reason)
    return [Draft(fact, (f"principal:{cmd.principal}", f"grant:{ctx.ids[0]}"))]


def approve_grant(cmd: c.ApproveGrant, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Neither the requester nor the holder approves."""
    grant = _grant(cmd.grant, state)
    _within(grant.env, cmd.permission, ctx)
    if grant.approved:
        raise Refused(
            "already_approved", f"grant {grant.id} was approved {grant.approved}.", next_step="nothing to do."
        )
    if ctx.who.principal in (grant.principal, grant.requester):
        raise Refused(
            "self_approval",
            f"{ctx.who.principal} requested or would hold grant {grant.id}.",
            next_step="another holder of access.approve approves it.",
            controls=("AI-03.1",),
        )
    fact = e.GrantApproved(grant.id, grant.principal, grant.role, grant.env)
    return [Draft(fact, (f"principal:{grant.principal}", f"grant:{grant.id}"))]


def revoke_grant(cmd: c.RevokeGrant, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The last grant of the administrator's role stays."""
    grant = _grant(cmd.grant, state)
    _within(grant.env, cmd.permission, ctx)
    if grant.revoked:
        raise Refused("already_revoked", f"grant {grant.id} was revoked {grant.revoked}.", next_step="nothing to do.")
    admins = {g.id for g in view.live_grants(state, time_text(ctx.now)) if g.role == "admin"}
    if admins == {grant.id}:
        raise Refused(
            "last_administrator",
            f"grant {grant.id} is the last administrator's.",
            next_step="grant the role admin to another person first.",
        )
    return [Draft(e.GrantRevoked(grant.id, cmd.reason), (f"principal:{grant.principal}", f"grant:{grant.id}"))]


def record_key(cmd: c.RecordKey, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """One principal, one environment, at most 366 days; of a person only for oneself, since the issuer sees the secret."""
    holder = _known(cmd.principal, state)
    if cmd.principal != ctx.who.principal:
        _may_issue(holder, cmd, ctx)
    if cmd.for_env not in ctx.rules.environments:
        known = ", ".join(ctx.rules.environments)
        raise Invalid(f"for_env: {cmd.for_env!r} is no environment.", next_step=f"one of {known}.")
    if not ctx.now < cmd.expires <= ctx.now + MAX_KEY_LIFE:
        raise Invalid(f"expires: {time_text(cmd.expires)} is not within 366 days.", next_step="choose an earlier day.")
    fact = e.KeyIssued(cmd.key, cmd.principal, cmd.for_env, cmd.expires, cmd.secret)
    return [Draft(fact, (f"principal:{cmd.principal}", f"key:{cmd.key}"), cmd.for_env)]


def _may_issue(holder: dict[str, str], cmd: c.RecordKey, ctx: Ctx) -> None:
    """Whoever issues a key sees its secret: never a person's for another, a service's by who may."""
    if holder["kind"] == "person":
        raise Refused(
            "key_of_another_person", f"{cmd.principal} is a person: whoever issues a key sees its secret.",
            next_step="the person issues it: affidavit access issue-key.", controls=("AI-03.3",),
        )  # fmt: skip
    if not ctx.rules.allows(ctx.ask("access.roles_of", ctx.who.principal, cmd.for_env), "access.issue_key"):
        raise NotAllowed(
            f"{ctx.who.principal} may issue no keys of services in {cmd.for_env}.",
            next_step="ask for access.issue_key.",
        )


def revoke_key(cmd: c.RevokeKey, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Revoking is final."""
    key = view.key(state, cmd.key)
    if key is None:
        raise NotFound(
            f"no key {cmd.key}.", next_step="`affidavit access grants` lists grants; keys are shown when issued."
        )
    if key.principal != ctx.who.principal:
        _within(key.env, cmd.permission, ctx)
    if key.revoked:
        raise Refused("already_revoked", f"key {key.id} was revoked {key.revoked}.", next_step="nothing to do.")
    return [Draft(e.KeyRevoked(key.id), (f"principal:{key.principal}", f"key:{key.id}"), key.env)]


def propose_rules(cmd: c.ProposeRules, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The service has parsed the text before; a malformed one never gets here."""
    return [Draft(e.RulesProposed(cmd.text, cmd.reason), ("rules:workspace",))]


def adopt_rules(cmd: c.AdoptRules, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Only a proposed text, and not by its proposer."""
    row = state.one("SELECT proposer, bytes FROM {proposal} WHERE text = ?", cmd.text)
    if row is None:
        raise NotFound(
            f"no proposed rules have the digest {cmd.text}.", next_step="propose them: affidavit access propose-rules."
        )
    if row[0] == ctx.who.principal:
        raise Refused(
            "self_approval", "the proposer of rules cannot adopt them.", next_step="another administrator adopts them.",
            controls=("AI-03.2",),
        )  # fmt: skip
    text = Attachment(cmd.text, row[1], "application/yaml", "rules")
    return [Draft(e.RulesAdopted(text, row[0]), ("rules:workspace",))]


def who_can(q: c.WhoCan, state: ViewTx, ctx: Ctx) -> list[dict[str, str]]:
    """Every grant that carried the action at the moment, by the rules of that moment."""
    at = q.at or ctx.now
    return view.holders(state, ctx.rules_at(at), q.action, q.in_env, time_text(at))


def show_rules(q: c.ShowRules, state: ViewTx, ctx: Ctx) -> dict[str, object]:
    """The text in force as values, its digest, and the history of adoption."""
    rows = state.rows("SELECT entry, text, proposer, adopter, at FROM {adopted} ORDER BY entry")
    names = ("entry", "text", "proposer", "adopter", "at")
    return {
        "in_force": ctx.rules.digest,
        "rules": _plain(ctx.rules.body),
        "adopted": [dict(zip(names, row, strict=True)) for row in rows],
    }


def list_principals(q: c.ListPrincipals, state: ViewTx, ctx: Ctx) -> list[dict[str, object]]:
    """All principals, oldest first."""
    rows = state.rows("SELECT id, kind, name, at FROM {principal} ORDER BY at, id")
    return [dict(zip(("principal", "kind", "name", "since"), row, strict=True)) for row in rows]


def list_grants(q: c.ListGrants, state: ViewTx, ctx: Ctx) -> list[dict[str, object]]:
    """All grants, oldest first."""
    rows = state.rows("SELECT * FROM {grant} ORDER BY requested, id")
    names = view.Grant.__slots__
    return [dict(zip(names, row, strict=True)) for row in rows]


def _plain(value: object) -> object:
    """A value of the rules in JSON: days become text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)


def _known(principal: str, state: ViewTx) -> dict[str, str]:
    found = view.principal(state, principal)
    if found is None:
        raise NotFound(f"no principal {principal}.", next_step="register it: affidavit access register-principal.")
    return found


def _within(env: str, permission: str, ctx: Ctx) -> None:
    """Whoever changes a grant or key of an environment holds the permission there; one of ``*`` needs it for ``*``."""
    if ctx.who.env is not None and env != ctx.who.env:
        raise NotAllowed(
            f"this key is bound to {ctx.who.env}, the grant is for {env}.",
            next_step="sign in otherwise, or use a key of it.",
        )
    if not ctx.rules.allows(ctx.ask("access.roles_of", ctx.who.principal, env), permission):
        raise NotAllowed(
            f"{ctx.who.principal} does not hold {permission} in {env}.", next_step="ask somebody who does."
        )


def _role(role: str, env: str, rules: Rules) -> None:
    if role not in rules.roles or role == "everyone":
        raise Invalid(f"role: {role!r} is not in the rules.", next_step=f"one of {', '.join(rules.roles)}.")
    if env != "*" and env not in rules.environments:
        raise Invalid(f"in_env: {env!r} is no environment.", next_step=f"* or one of {', '.join(rules.environments)}.")


def _grant(grant_id: str, state: ViewTx) -> view.Grant:
    found = view.grant(state, grant_id)
    if found is None:
        raise NotFound(f"no grant {grant_id}.", next_step="`affidavit access grants` lists them.")
    return found
