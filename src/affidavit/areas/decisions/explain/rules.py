"""What explaining decides: plans fixed beforehand by two people, measurements judged by them, answers to requests."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain import queries as q
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import parse_duration, time_text

CONTROL = "AI-08.3"
CONTROLS = (CONTROL,)
LEAST_WORDS = 12


def propose_explainer(cmd: c.ProposeExplainer, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Of a known model, with bounds that can be missed."""
    if ctx.ask("registry.model", cmd.model) is None:
        raise NotFound(f"no model {cmd.model}.", next_step="register it: affidavit registry register-model.")
    for name, value, most in (("deletion_gain", cmd.deletion_gain, 10), ("stability", cmd.stability, 1)):
        if not 0 <= Decimal(value) <= most:
            raise Invalid(
                f"{name}: {value} is not from 0 to {most}.",
                next_step="0 is no better than chance; 0.100000 is a start.",
            )
    if len(cmd.reason.words().strip()) < LEAST_WORDS:
        raise Invalid("reason says too little.", next_step="say why these bounds are right for the people affected.")
    fact = e.ExplainerPlanned(
        ctx.ids[0], cmd.model, cmd.method, cmd.deletion_gain, cmd.stability, cmd.reason, cmd.words
    )
    return [Draft(fact, (f"model:{cmd.model}", f"plan:{ctx.ids[0]}"))]


def approve_explainer(cmd: c.ApproveExplainer, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """By another person than its proposer; it replaces the model's plan in force."""
    found = q.explainer_plan(state, cmd.plan)
    if found is None:
        raise NotFound(
            f"no explainer plan {cmd.plan}.", next_step="propose one: affidavit decisions propose-explainer."
        )
    if found["approved"]:
        raise Refused(
            "already_approved", f"plan {cmd.plan} was approved {found['approved']}.", next_step="nothing to do."
        )
    if found["drill"] != ctx.drill:
        raise Refused(
            "planted", f"plan {cmd.plan} is {'a planted' if found['drill'] else 'no planted'} one.",
            next_step="a drill approves what a drill proposed, and nothing else does.", controls=CONTROLS,
        )  # fmt: skip
    if ctx.who.principal == found["proposer"]:
        raise Refused(
            "self_approval", f"{ctx.who.principal} proposed plan {cmd.plan}.", next_step="another person approves it.",
            controls=(*CONTROLS, "AI-03.2"),
        )  # fmt: skip
    return [Draft(e.ExplainerApproved(cmd.plan, found["model"]), (f"model:{found['model']}", f"plan:{cmd.plan}"))]


def in_force(plan: dict[str, Any] | None, model: str) -> dict[str, Any]:
    """The plan, or ``Refused``: bounds come before the measurement."""
    if plan is None:
        raise Refused(
            "no_plan", f"no explainer plan is in force for {model}.",
            next_step="propose one (affidavit decisions propose-explainer); another person approves it.", controls=CONTROLS,
        )  # fmt: skip
    return plan


def record_explainer(cmd: c.RecordExplainer, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Of the registered artifact, by the plan in force and its method; passed is judged here."""
    model, _, number = cmd.version.partition("/")
    version = ctx.ask("registry.version", model, int(number))
    if version is None or version["artifact"] != cmd.artifact:
        raise Invalid(f"{cmd.artifact} is not the artifact of {cmd.version}.", next_step="measure the registered one.")
    plan = in_force(q.explainer_in_force(state, model), model)
    if plan["id"] != cmd.plan:
        raise Refused(
            "plan_not_in_force", f"plan {cmd.plan} is not in force for {model}; {plan['id']} is.",
            next_step="measure again, under the plan in force.", controls=CONTROLS,
        )  # fmt: skip
    if plan["method"] != cmd.method:
        raise Refused(
            "other_method", f"the plan says {plan['method']}; {cmd.version} is explained by {cmd.method}.",
            next_step=f"propose a plan of the method {cmd.method}; another person approves it.", controls=CONTROLS,
        )  # fmt: skip
    met = Decimal(cmd.deletion_gain) >= Decimal(plan["deletion_gain"]) and Decimal(cmd.stability) >= Decimal(
        plan["stability"]
    )
    fact = e.ExplainerMeasured(
        cmd.plan, model, int(number), cmd.artifact, cmd.method, cmd.explainer, cmd.background, cmd.dataset, cmd.rows, cmd.seeds,
        cmd.deletion_gain, cmd.stability, cmd.additivity, met and cmd.additive, cmd.code, cmd.results, cmd.split,
    )  # fmt: skip
    return [Draft(fact, (f"model:{model}", f"model:{cmd.version}", f"plan:{cmd.plan}"))]


def record_recheck(cmd: c.RecordRecheck, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """As counted; more cannot agree than were compared."""
    if cmd.agreeing > cmd.compared or cmd.compared > cmd.decisions or cmd.adverse_explained > cmd.adverse:
        raise Invalid("the counts of the recheck contradict each other.", next_step="recheck again.")
    model, _, number = cmd.version.partition("/")
    fact = e.ExplanationMeasured(
        model, int(number), cmd.artifact, cmd.explainer, cmd.seed, cmd.decisions, cmd.compared, cmd.agreeing, cmd.additivity,
        cmd.results, cmd.background, cmd.adverse, cmd.adverse_explained,
    )  # fmt: skip
    return [Draft(fact, (f"model:{model}", f"model:{cmd.version}"))]


def request_explanation(cmd: c.RequestExplanation, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Taken in whatever the decision turns out to be; due so long after it was received as the control says."""
    received = cmd.received or ctx.now
    if received > ctx.now:
        raise Invalid(f"received: {time_text(received)} lies ahead.", next_step="give the moment it came in.")
    due = received + answered_within(ctx)
    fact = e.ExplanationRequested(ctx.ids[0], cmd.decision, cmd.channel, cmd.wish, received, due)
    return [Draft(fact, (f"explanation:{ctx.ids[0]}", f"decision:{cmd.decision}"))]


def answered_within(ctx: Ctx) -> timedelta:
    """How long an answer may take: the control's parameter."""
    return parse_duration(str(ctx.rules.parameters.get(CONTROL, {}).get("answered_within", "P30D")))


def open_request(found: dict[str, Any] | None, request: str) -> dict[str, Any]:
    """The request, if it is there and not answered yet."""
    if found is None:
        raise NotFound(f"no request {request}.", next_step="`affidavit decisions explanation-requests` lists them.")
    if found["outcome"]:
        raise Refused(
            "answered_before", f"request {request} was answered {found['answered']}: {found['outcome']}.",
            next_step="take in a new request if the person asks again.", controls=CONTROLS,
        )  # fmt: skip
    return found


def record_answer(cmd: c.RecordAnswer, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Once a request; a refusal or reversal says why, a letter has its digest."""
    found = open_request(q.explanation_request(state, cmd.request), cmd.request)
    if found["decision"] != cmd.decision:
        raise Invalid(f"request {cmd.request} is about {found['decision']}.", next_step="answer about that decision.")
    needs_reason(cmd.outcome, cmd.reason)
    if (cmd.outcome == "letter") != (cmd.letter is not None):
        raise Invalid("a letter, and nothing else, has a letter's digest.", next_step="answer again.")
    model, _, number = cmd.version.partition("/")
    fact = e.ExplanationAnswered(
        cmd.request, cmd.decision, cmd.outcome, model, int(number), cmd.artifact, cmd.recomputed, cmd.plain, cmd.contest,
        cmd.letter, cmd.explanation, cmd.reason,
    )  # fmt: skip
    return [Draft(fact, (f"explanation:{cmd.request}", f"decision:{cmd.decision}"))]


def needs_reason(outcome: str, reason: Any) -> None:
    """A refusal or reversal without a reason is no answer."""
    if outcome != "letter" and reason is None:
        raise Refused(
            "no_reason",
            f"the outcome {outcome} needs a reason.",
            next_step="give --reason in words.",
            controls=CONTROLS,
        )
