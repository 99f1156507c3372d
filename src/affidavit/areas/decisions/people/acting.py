"""What is done about a decision, one row of the stream ``actions`` each: held, opened, released, contested, in effect.

Two people who act on one decision at once are told apart by a lock file of the spool: whoever holds it reads every
action so far, decides, and writes its row before it lets go. So exactly one release answers a question. The kernel
drops the lock of a process that dies. Times of one decision's actions ascend, whatever the clock does.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from affidavit.areas.decisions.look.finding import note_read
from affidavit.areas.decisions.look.tenancy import reaches
from affidavit.areas.decisions.people import cases
from affidavit.areas.decisions.people import commands as c
from affidavit.areas.decisions.people.cases import Case
from affidavit.areas.decisions.people.late import SLACK, Decision, late_rows, located, moment, ms_of
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused, StoreDown
from affidavit.core.fields import time_text
from affidavit.streams.ids import Minter, id_bytes, id_text

CONTROLS = ("AI-08.4",)
LOCKS = 256


@contextmanager
def held_lock(desk: Desk, name: bytes) -> Iterator[None]:
    """The lock of a decision (or of another name), across threads and processes of this spool."""
    folder = desk.spool / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(folder / f"{name[-1] % LOCKS:02x}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise StoreDown(f"{folder}: {e.strerror}.", next_step="free space, or check the spool's rights.") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def serving(desk: Desk, decision: Decision, permission: str) -> dict[str, Any]:
    """The deployment behind a decision: id, model, number, env, where the caller must hold the permission.

    Raises ``Refused`` for a row that stands for no deployment, ``NotAllowed``.
    """
    found = desk.ask("registry.deployment", decision.deployment) if decision.deployment else None
    if found is None:
        raise Refused("no-deployment", f"decision {decision.id} names no deployment of this workspace.",
                      next_step="give the id of a decision that a deployment made.", controls=CONTROLS)  # fmt: skip
    env, bound = found["env"], desk.who.env
    if bound is not None and env != bound:
        raise NotAllowed(
            f"this key is bound to {bound}, the decision was made in {env}.", next_step=f"use a key of {env}."
        )
    if not desk.rules.allows(desk.ask("access.roles_of", desk.who.principal, env), permission):
        raise NotAllowed(f"{desk.who.principal} does not hold {permission} in {env}.",
                         next_step="ask for a role: affidavit access request-grant.")  # fmt: skip
    return dict(found)


def case(desk: Desk, decision: Decision) -> Case:
    """The decision's actions so far, folded. To be read under its lock before it is acted on."""
    return cases.case_of(late_rows(desk, "actions", decision.at - SLACK, {id_bytes(decision.id)}))


def _act(desk: Desk, decision: Decision, so_far: Case, action: str, **values: Any) -> int:
    at = max(ms_of(desk.now), so_far.last + 1)
    desk.row(
        "actions", id=Minter().mint(at, desk.key()[:8]), decision=id_bytes(decision.id), at=at, action=action,
        actor=desk.who.principal, **values,
    )  # fmt: skip
    return at


def _ask(desk: Desk, request: c.QueueDecision | c.Contest | c.OptOut, action: str) -> dict[str, Any]:
    decision_id, reason = request.decision, None if isinstance(request, c.QueueDecision) else request.reason.words()
    decision = located(desk, decision_id)
    served = serving(desk, decision, request.permission)
    with held_lock(desk, id_bytes(decision_id)):
        so_far = case(desk, decision)
        if any(w["action"] == action for w in so_far.waits):
            since = time_text(moment(so_far.waits[0]["at"]))
            raise Refused("waiting-already", f"decision {decision_id} is {action} and waits since {since}.",
                          next_step="a reviewer opens and releases it.")  # fmt: skip
        at = _act(desk, decision, so_far, action, reason=reason)
    rule = desk.ask("decisions.routing_in_force", served["model"])
    return {"decision": decision_id, "action": action, "waits_since": time_text(moment(at)), "model": served["model"],
            "env": served["env"], "role": rule["role"] if rule else None}  # fmt: skip


def queue_decision(request: c.QueueDecision, desk: Desk) -> dict[str, Any]:
    """Held from now on. Raises ``Refused`` (``waiting-already``) if it is."""
    return _ask(desk, request, cases.HELD)


def contest(request: c.Contest, desk: Desk) -> dict[str, Any]:
    """It waits for a person's answer, whether it was released before or not."""
    return _ask(desk, request, cases.CONTESTED)


def opt_out(request: c.OptOut, desk: Desk) -> dict[str, Any]:
    """It waits for a person's own decision."""
    return _ask(desk, request, cases.OPTED_OUT)


# ---------------------------------------------------------------- reviewers


def authorised(desk: Desk, principal: str, model: str, env: str, at: Any = None) -> str | None:
    """The role by which a person may release a model's decisions in an environment (now, or at a time); None if none.

    It is the role of the routing rule in force then; without a rule, any role that may act on decisions.
    """
    known = desk.ask("access.principal", principal)
    if known is None or known["kind"] != "person":
        return None
    rule = desk.ask("decisions.routing_at", model, at) if at else desk.ask("decisions.routing_in_force", model)
    held = desk.ask("access.roles_of", principal, env, time_text(at) if at else None)
    fit = [r for r in held if (r == rule["role"] if rule else desk.rules.allows((r,), "decisions.act"))]
    return fit[0] if fit else None


def _reviewer(desk: Desk, decision: Decision) -> str:
    """The role the caller reviews in. Raises ``Refused`` naming what is lacking."""
    served, me = serving(desk, decision, "decisions.act"), desk.who.principal
    role = authorised(desk, me, served["model"], served["env"])
    if role is None:
        rule = desk.ask("decisions.routing_in_force", served["model"])
        wanted = rule["role"] if rule else "a role that carries decisions.act"
        raise Refused(
            "not-authorised", f"{me} is no person who holds {wanted} in {served['env']}.",
            next_step="ask for the role: affidavit access request-grant.", controls=CONTROLS,
        )  # fmt: skip
    if not desk.ask("decisions.trained", me, served["model"], desk.now):
        raise Refused(
            "not-trained", f"{me} has no training for {served['model']} that holds now.",
            next_step="another person records it: affidavit decisions train-reviewer.", controls=CONTROLS,
        )  # fmt: skip
    return role


def _waiting(decision: str, so_far: Case) -> None:
    if so_far.waits:
        return
    if so_far.verdicts:
        last = so_far.verdicts[-1]
        raise Refused(
            "released-already", f"decision {decision} was {last['action']} {time_text(moment(last['at']))} by {last['actor']}.",
            next_step="nothing to do; `contest` reopens it.", controls=CONTROLS,
        )  # fmt: skip
    raise Refused("not-queued", f"decision {decision} waits for nobody.",
                  next_step="hold it first: affidavit decisions queue-decision.", controls=CONTROLS)  # fmt: skip


def open_review(request: c.OpenReview, desk: Desk) -> dict[str, Any]:
    """Open from now on; opening again starts the time anew. Raises ``Refused`` as ``release`` does."""
    decision = located(desk, request.decision)
    role = _reviewer(desk, decision)
    with held_lock(desk, id_bytes(request.decision)):
        so_far = case(desk, decision)
        _waiting(request.decision, so_far)
        at = _act(desk, decision, so_far, cases.OPENED, role=role)
    return {"decision": request.decision, "opened_at": time_text(moment(at)), "role": role,
            "waits_for": [{"action": w["action"], "since": time_text(moment(w["at"])), "reason": w["reason"]} for w in so_far.waits]}  # fmt: skip


def release(request: c.Release, desk: Desk) -> dict[str, Any]:
    """Released or overridden, with outcome and reason; the time of review is what the service saw pass since it was opened.

    Raises ``Refused``: ``not-authorised``, ``not-trained``, ``not-queued``, ``released-already``, ``own-question``,
    ``not-opened``.
    """
    decision = located(desk, request.decision)
    role, me = _reviewer(desk, decision), desk.who.principal
    with held_lock(desk, id_bytes(request.decision)):
        so_far = case(desk, decision)
        _waiting(request.decision, so_far)
        if any(w["actor"] == me for w in so_far.waits):
            raise Refused("own-question", f"{me} put decision {request.decision} into the queue.",
                          next_step="another reviewer releases it.", controls=CONTROLS)  # fmt: skip
        opened = so_far.opened.get(me)
        if opened is None:
            raise Refused("not-opened", f"{me} has not opened decision {request.decision} since it waits.",
                          next_step="affidavit decisions open-review, look, then release.", controls=CONTROLS)  # fmt: skip
        at = max(ms_of(desk.now), so_far.last + 1)
        action = cases.RELEASED if request.verdict == "agree" else cases.OVERRIDDEN
        effect = ms_of(request.effect_at) if request.effect_at else None
        _act(desk, decision, so_far, action, role=role, opened_at=opened, spent_ms=at - opened, effect_at=effect,
             outcome=request.outcome, reason=request.reason.words())  # fmt: skip
    return {"decision": request.decision, "action": action, "outcome": request.outcome, "released_at": time_text(moment(at)),
            "review_ms": at - opened, "answers": [w["action"] for w in so_far.waits]}  # fmt: skip


def effect(request: c.Effect, desk: Desk) -> dict[str, Any]:
    """Recorded as it happened, early or not; ``early`` says whether a person still had to answer."""
    decision = located(desk, request.decision)
    serving(desk, decision, request.permission)
    when = ms_of(request.effect_at or desk.now)
    if when > ms_of(desk.now):
        raise Invalid(f"effect_at: {time_text(moment(when))} lies ahead.", next_step="record it once it has happened.")
    with held_lock(desk, id_bytes(request.decision)):
        so_far = case(desk, decision)
        _act(desk, decision, so_far, cases.EFFECT, effect_at=when)
    so_far.effects.append(when)
    return {"decision": request.decision, "effect_at": time_text(moment(when)), "early": so_far.early}


def queue(request: c.Queue, desk: Desk) -> list[dict[str, Any]]:
    """One line a waiting decision, the longest waiting first; those the caller may not see are left out."""
    found = []
    for decision, so_far in cases.cases_of(late_rows(desk, "actions")).items():
        line = _line(desk, id_text(decision), so_far, request.model) if so_far.waits else None
        if line is not None:
            found.append(line)
    note_read(desk, "queue", request.model or "all", len(found))
    return sorted(found, key=lambda line: (line["since"], line["decision"]))


def _line(desk: Desk, decision_id: str, so_far: Case, model: str | None) -> dict[str, Any] | None:
    try:
        decision = located(desk, decision_id)
    except (NotFound, Refused):
        return None
    served = desk.ask("registry.deployment", decision.deployment) if decision.deployment else None
    if served is None or model not in (None, served["model"]) or not reaches(desk, decision.deployment):
        return None
    rule = desk.ask("decisions.routing_in_force", served["model"])
    since = so_far.waits[0]["at"]
    return {
        "decision": decision_id, "why": [w["action"] for w in so_far.waits], "since": time_text(moment(since)),
        "waited_s": max(0, ms_of(desk.now) - since) // 1000, "model": served["model"], "number": served["number"],
        "env": served["env"], "role": rule["role"] if rule else None, "tenant": decision.values.get("tenant"),
        "open_by": sorted(so_far.opened),
    }  # fmt: skip
