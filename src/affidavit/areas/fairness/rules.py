"""What fairness decides: plans fixed beforehand, approved by another person, and assessments under them."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness import events as e
from affidavit.areas.fairness import maths, view
from affidavit.core import codec
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import VaultText, parse_time, time_text

CONTROLS = ("AI-04.2",)
MOST_THRESHOLDS = 24
LEAST_WORDS = 12
_VAGUE = frozenset({"n/a", "na", "none", "tbd", "todo", "unknown", "standard", "default", "see above", "best practice"})
_EDGE = re.compile(r"-?(0|[1-9]\d{0,11})(\.\d{1,6})?", re.ASCII)
_AGGREGATE: dict[str, maths.Aggregate] = {"difference": "difference", "ratio": "ratio", "by-group": "by_group"}


def propose_plan(cmd: c.ProposePlan, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """At least one threshold that can be judged, each once, on a registered dataset version."""
    if ctx.ask("registry.model", cmd.model) is None:
        raise NotFound(f"no model {cmd.model}.", next_step="register it: affidavit registry register-model.")
    if ctx.ask("lineage.dataset", dataset_name(cmd.dataset)) is None:
        raise NotFound(f"no {cmd.dataset}.", next_step="register it: affidavit lineage register-dataset.")
    if not 1 <= len(cmd.thresholds) <= MOST_THRESHOLDS:
        raise Invalid(
            f"there are {len(cmd.thresholds)} thresholds; 1 to {MOST_THRESHOLDS}.",
            next_step='give one such as {"metric":"tpr","groups":["SEX"],"aggregate":"difference","direction":"at-most",'
            '"bound":"0.100000","min_n":100}.',
        )
    judged = [to_judge(t) for t in cmd.thresholds]
    if len(set(judged)) != len(judged):
        raise Invalid("a threshold is given twice.", next_step="give each threshold once.")
    _clear("reason", cmd.reason, "equal opportunity: qualified people of either sex are found equally often")
    _clear(
        "group_basis", cmd.group_basis, "self-declared in the survey; used under Art. 10(5) AI Act for this test alone"
    )
    fact = e.FairnessPlanProposed(
        ctx.ids[0], cmd.model, cmd.dataset, cmd.split, cmd.thresholds, cmd.reason, cmd.group_basis
    )
    return [Draft(fact, (f"model:{cmd.model}", f"plan:{ctx.ids[0]}", cmd.dataset))]


def approve_plan(cmd: c.ApprovePlan, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """By another person than its proposer, until a review that lies ahead. It replaces the model's plan in force."""
    found = view.plan(state, cmd.plan)
    if found is None:
        raise NotFound(f"no fairness plan {cmd.plan}.", next_step="propose one: affidavit fairness propose-plan.")
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
    if cmd.review_by <= ctx.now:
        raise Invalid(f"review_by: {time_text(cmd.review_by)} has passed.", next_step="give a day that lies ahead.")
    fact = e.FairnessPlanApproved(cmd.plan, found["model"], cmd.review_by)
    return [Draft(fact, (f"model:{found['model']}", f"plan:{cmd.plan}", found["dataset"]))]


def record_assessment(cmd: c.RecordAssessment, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Of the registered artifact, on the plan's own bytes, under the plan in force; every threshold judged, soundly."""
    model, _, number = cmd.version.partition("/")
    version = ctx.ask("registry.version", model, int(number))
    if version is None:
        raise NotFound(f"no version {cmd.version}.", next_step=f"`affidavit registry versions {model}` lists them.")
    if version["artifact"] != cmd.artifact:
        raise Invalid(
            f"{cmd.version} is {version['artifact']}, not {cmd.artifact}.", next_step="assess the registered artifact."
        )
    plan = in_force(view.plan_in_force(state, model), model, ctx.now)
    if plan["id"] != cmd.plan:
        raise Refused(
            "plan_not_in_force", f"plan {cmd.plan} is not in force for {model}; {plan['id']} is.",
            next_step="assess under the plan in force.", controls=CONTROLS,
        )  # fmt: skip
    record = ctx.ask("lineage.dataset", dataset_name(plan["dataset"]))
    if (
        (cmd.dataset, cmd.split) != (plan["dataset"], plan["split"])
        or record is None
        or record["content"] != cmd.content
    ):
        raise Refused(
            "content_differs", f"the plan names {plan['dataset']}, split {plan['split']}; other data was assessed.",
            next_step="give the registered file of that dataset version.", controls=CONTROLS,
        )  # fmt: skip
    _sound(cmd.verdicts, plan["thresholds"])
    fact = e.FairnessAssessed(
        model, int(number), cmd.artifact, cmd.plan, cmd.dataset, cmd.split, cmd.content, cmd.rows, cmd.seed, cmd.code,
        cmd.verdicts, cmd.table, "service",
    )  # fmt: skip
    return [Draft(fact, (f"model:{model}", f"model:{cmd.version}", f"plan:{cmd.plan}", cmd.dataset))]


def in_force(plan: dict[str, Any] | None, model: str, now: datetime) -> dict[str, Any]:
    """The plan, or ``Refused``: there must be one, and its review must not be overdue."""
    if plan is None:
        raise Refused(
            "no_plan", f"no fairness plan is in force for {model}.",
            next_step="propose one (affidavit fairness propose-plan); another person approves it.", controls=CONTROLS,
        )  # fmt: skip
    if parse_time(plan["review_by"]) <= now:
        raise Refused(
            "plan_overdue", f"plan {plan['id']} was due for review {plan['review_by']}.",
            next_step="propose the plan again, as reviewed; another person approves it.", controls=CONTROLS,
        )  # fmt: skip
    return plan


def _sound(verdicts: tuple[e.FairVerdict, ...], thresholds: list[dict[str, Any]]) -> None:
    """Each threshold once and in order; what a verdict says follows from its value, its bound and its smallest group."""
    asked = [codec.load_object(e.FairThreshold, t) for t in thresholds]
    if [_key(v) for v in verdicts] != [_key(t) for t in asked]:
        raise Invalid("the assessment does not judge what the plan asks.", next_step="assess again under the plan.")
    for verdict, threshold in zip(verdicts, asked, strict=True):
        if verdict.verdict == "insufficient-data":
            continue
        if verdict.value is None or verdict.verdict != ("breached" if breaches(verdict) else "met"):
            raise Invalid(f"the verdict on {verdict.metric} contradicts its value.", next_step="assess again.")
        if verdict.verdict == "met" and verdict.smallest_n < threshold.min_n:
            raise Invalid(
                f"{verdict.metric} is called met with {verdict.smallest_n} rows in a group; {threshold.min_n} are needed.",
                next_step="assess again: too few rows are insufficient-data.",
            )


def _key(t: e.FairThreshold | e.FairVerdict) -> tuple[Any, ...]:
    return t.metric, t.groups, t.aggregate, t.direction, t.bound


def breaches(verdict: e.FairVerdict) -> bool:
    """Whether the value lies beyond the bound; equal to it does not, no value does not."""
    if verdict.value is None:
        return False
    value, bound = Decimal(verdict.value), Decimal(verdict.bound)
    return value > bound if verdict.direction == "at-most" else value < bound


def to_judge(t: e.FairThreshold) -> maths.Threshold:
    """The threshold as the maths judges it. Raises ``Invalid`` for one that cannot be judged, or for bad edges."""
    if not t.groups or len(set(t.groups)) != len(t.groups):
        raise Invalid(f"groups: {list(t.groups)!r}.", next_step="name a column, such as SEX, or several, each once.")
    for token in t.groups:
        column_of(token)
    return maths.Threshold(
        t.metric, t.groups, _AGGREGATE[t.aggregate], t.bound, "max" if t.direction == "at-most" else "min", t.min_n
    )


def column_of(token: str) -> tuple[str, tuple[str, ...]]:
    """(column, edges) of a group token: ``SEX`` has none, ``AGEP:25,40,60`` three that ascend. Raises ``Invalid``."""
    column, colon, rest = token.partition(":")
    edges = tuple(rest.split(",")) if colon else ()
    ascending = all(Decimal(a) < Decimal(b) for a, b in pairwise(edges)) if _edges(edges) else False
    if not column or (colon and not ascending):
        raise Invalid(f"{token!r} names no group.", next_step="write a column, or bands such as AGEP:25,40,60.")
    return column, edges


def _edges(edges: tuple[str, ...]) -> bool:
    return all(_EDGE.fullmatch(edge) for edge in edges)


def dataset_name(ref: str) -> str:
    """``acs/2015`` of ``dataset:acs/2015``. Raises ``Invalid``."""
    kind, _, name = ref.partition(":")
    if kind != "dataset" or name.count("/") != 1:
        raise Invalid(f"{ref!r} names no dataset version.", next_step="write it as dataset:NAME/VERSION.")
    return name


def _clear(field: str, text: VaultText, example: str) -> None:
    words = text.words().strip()
    if len(words) < LEAST_WORDS or words.lower().strip(".!? ") in _VAGUE:
        raise Invalid(f"{field} says too little.", next_step=f"say it like this: {example!r}.")


def list_plans(q: c.ListPlans, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The plans, and the id of the one in force (None: none, or its review is overdue)."""
    current = view.plan_in_force(state, q.model)
    live = current is not None and parse_time(current["review_by"]) > ctx.now
    return {
        "model": q.model,
        "in_force": current["id"] if current and live else None,
        "plans": view.plans(state, q.model),
    }


def show_assessment(q: c.ShowAssessment, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The newest assessment, or ``NotFound``."""
    model, _, number = q.version.partition("/")
    found = view.latest(state, model, int(number))
    if found is None:
        raise NotFound(f"no fairness assessment of {q.version}.", next_step="make one: affidavit fairness assess.")
    return found
