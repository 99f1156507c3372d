"""What the registry decides about systems, versions, plans, evaluations, loads, drills and extracts.

Promotions are decided in ``rules_promotion.py``, waivers and standing authorisations in ``rules_standing.py``.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import lookup, maths
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.bounds import meets
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import VaultText, time_text

RISKY = ("pickle", "joblib")
TIERS = ("minimal", "limited", "high", "prohibited")
VAGUE = frozenset(
    {"n/a", "na", "none", "tbd", "todo", "unknown", "various", "not applicable", "to be decided", "see above"}
)
LEAST_WORDS = 12
CLOCK_SLACK = timedelta(minutes=5)


def register_system(cmd: c.RegisterSystem, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Vague words are refused with an example; a second registration is refused."""
    if lookup.system(state, cmd.system) is not None:
        raise Refused("already_registered", f"the system {cmd.system} is registered.", next_step="choose another name.")
    _clear("purpose", cmd.purpose, "screens job applications for interview; a person decides each case")
    _clear("tier_reason", cmd.tier_reason, "recruitment: EU AI Act, Annex III no. 4(a)")
    _clear("people_affected", cmd.people_affected, "applicants in Massachusetts, about 40,000 a year")
    _known_principal(cmd.owner, "owner", ctx)
    if not cmd.jurisdictions:
        raise Invalid("jurisdictions is empty.", next_step="name at least one, such as US-MA or EU.")
    fact = e.SystemRegistered(
        cmd.system, cmd.purpose, cmd.owner, cmd.tier, cmd.tier_reason, cmd.role, cmd.jurisdictions, cmd.people_affected
    )
    return [Draft(fact, (f"system:{cmd.system}",))]


def make_commitment(cmd: c.MakeCommitment, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """A commitment belongs to a registered system."""
    _known_system(cmd.system, state)
    _clear("promise", cmd.promise, "at least 80 % of accepted applicants are rightly accepted, each quarter")
    fact = e.CommitmentMade(
        ctx.ids[0], cmd.system, cmd.promise, cmd.metric, cmd.direction, cmd.bound, cmd.period, cmd.criterion
    )
    return [Draft(fact, (f"system:{cmd.system}", f"commitment:{ctx.ids[0]}"))]


def register_model(cmd: c.RegisterModel, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """A name of its own, under a registered system."""
    _known_system(cmd.system, state)
    if lookup.model(state, cmd.model) is not None:
        raise Refused(
            "already_registered", f"the model {cmd.model} is registered.", next_step="register a version of it."
        )
    return [Draft(e.ModelRegistered(cmd.model, cmd.system), (f"model:{cmd.model}", f"system:{cmd.system}"))]


def record_version(cmd: rec.RecordVersion, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The next number, once provenance is whole and agrees with the training run."""
    model = lookup.model(state, cmd.model)
    if model is None:
        raise NotFound(f"no model {cmd.model}.", next_step="register it: affidavit registry register-model.")
    known = lookup.versions_of(state, cmd.model)
    for earlier in known:
        if earlier.artifact == cmd.artifact:
            raise Refused(
                "already_registered", f"this artifact is {earlier.name} already.", next_step=f"use {earlier.name}."
            )
    _dates(cmd, ctx)
    _provenance(cmd, ctx)
    _accepted(cmd, ctx)
    _same_tier(cmd, state)
    number = len(known) + 1
    fact = e.VersionRegistered(
        cmd.model, number, cmd.artifact, cmd.files, cmd.bytes, cmd.format, cmd.signature, cmd.run, cmd.datasets,
        cmd.started, cmd.ended, cmd.code, cmd.environment, cmd.hyperparameters, cmd.metrics, cmd.split, cmd.author,
        cmd.accepted_risk, cmd.risk_reason,
    )  # fmt: skip
    refs = (f"model:{cmd.model}", f"model:{cmd.model}/{number}", f"run:{cmd.run}", *cmd.datasets)
    return [Draft(fact, (*refs, f"system:{model['system']}"))]


def _dates(cmd: rec.RecordVersion, ctx: Ctx) -> None:
    if not cmd.started < cmd.ended:
        raise Invalid(
            f"training ended {time_text(cmd.ended)}, not after its start {time_text(cmd.started)}.",
            next_step="give started and ended of the training run.",
        )
    if cmd.ended > ctx.now + CLOCK_SLACK:
        raise Invalid(
            f"ended: {time_text(cmd.ended)} lies in the future.", next_step="give the end of the training run."
        )


def _provenance(cmd: rec.RecordVersion, ctx: Ctx) -> None:
    for field in ("datasets", "hyperparameters", "metrics"):
        if not getattr(cmd, field):
            raise Invalid(
                f"{field} is empty.", next_step=f"give the {field} the training run used; see `register --help`."
            )
    _no_accounts(cmd)
    for ref in cmd.datasets:
        known_dataset(ref, ctx)
    _known_principal(cmd.author, "author", ctx)
    run = ctx.ask("lineage.run", cmd.run)
    if run is None:
        raise NotFound(f"no training run {cmd.run}.", next_step="record it: affidavit lineage record-run.")
    for field in ("code", "environment"):
        if run[field] != getattr(cmd, field):
            raise Refused(
                "run_differs", f"{field}: the run {cmd.run} records {run[field]}, not {getattr(cmd, field)}.",
                next_step=f"give the {field} of the run.", controls=("AI-01.4",),
            )  # fmt: skip
    _same_parameters(cmd, run)
    undeclared = sorted({_dataset_ref(i) for i in run["inputs"]} - set(cmd.datasets))
    if undeclared:
        raise Refused(
            "undeclared_dataset", f"the run read {undeclared[0]}, which datasets does not name.",
            next_step="name every dataset version the run read.", controls=("AI-02.1",),
        )  # fmt: skip
    if cmd.contents and run["output"] not in (cmd.artifact, *cmd.contents):
        raise Refused(
            "run_differs", f"the run {cmd.run} wrote {run['output']}; no file of the artifact has that digest.",
            next_step="register the file the run wrote, or the run that wrote this file.", controls=("AI-01.4",),
        )  # fmt: skip


def _same_parameters(cmd: rec.RecordVersion, run: dict[str, Any]) -> None:
    """All of the run's parameters, no other, each with its value; none is an account's name."""
    for name in sorted({*cmd.hyperparameters, *run["parameters"]}):
        stated, recorded = cmd.hyperparameters.get(name), run["parameters"].get(name)
        if stated != recorded:
            raise Refused(
                "run_differs", f"hyperparameter {name}: the run records {recorded or 'none'}, not {stated or 'none'}.",
                next_step="give the hyperparameters of the run, all of them.", controls=("AI-01.4",),
            )  # fmt: skip


def _no_accounts(cmd: rec.RecordVersion) -> None:
    for name, value in cmd.hyperparameters.items():
        if "@" in name + value:
            raise Invalid(
                f"hyperparameter {name} holds an @, as accounts do.",
                next_step="name no person in the log: it is never erased.",
            )


def _same_tier(cmd: rec.RecordVersion, state: ViewTx) -> None:
    """The same bytes do not come again under a system of a lower risk tier, where less is asked of them."""
    sql = (
        "SELECT v.model, v.number, s.tier FROM {version} v JOIN {model} m ON m.model = v.model"
        " JOIN {system} s ON s.system = m.system WHERE v.artifact = ? AND v.drill = 0 ORDER BY v.entry"
    )
    mine = tier_of(state, cmd.model)
    for model, number, tier in state.rows(sql, cmd.artifact):
        if TIERS.index(tier) > TIERS.index(mine):
            raise Refused(
                "tier_shopping", f"this artifact is {model}/{number}, of tier {tier}; {cmd.model} is of tier {mine}.",
                next_step=f"use {model}/{number}, with the gates of its tier.", controls=("AI-01.4", "AI-04.2"),
            )  # fmt: skip


def tier_of(state: ViewTx, model: str) -> str:
    """The risk tier of a model's system; ``minimal`` for a model without one."""
    name = lookup.system_of_model(state, model)
    found = lookup.system(state, name) if name else None
    return str(found["tier"]) if found else "minimal"


def _dataset_ref(given: Any) -> str:
    return str(given["dataset"] if isinstance(given, dict) else given.dataset)


def _accepted(cmd: rec.RecordVersion, ctx: Ctx) -> None:
    """Formats that run code when loaded need a risk that the rules accept by name, and a reason."""
    if cmd.format not in RISKY:
        return
    section = ctx.rules.body.get("registry")
    accepted = section.get("accepted_formats", {}) if isinstance(section, dict) else {}
    named = accepted.get(cmd.format) if isinstance(accepted, dict) else None
    if not named or cmd.accepted_risk not in (named if isinstance(named, list) else [named]) or cmd.risk_reason is None:
        raise Refused(
            "format_refused", f"{cmd.format} runs code when it is loaded, and the rules accept no such risk by name.",
            next_step="save the model as skops, ONNX, safetensors or the library's own text format.",
            controls=("AI-01.4",),
        )  # fmt: skip
    _clear("risk_reason", cmd.risk_reason, "the vendor ships joblib only; loaded in a sandbox without network")


def propose_plan(cmd: c.ProposePlan, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """At least one threshold on a metric that is measured, on a dataset version that exists."""
    _known_model(cmd.model, state)
    check_thresholds(cmd.thresholds)
    known_dataset(cmd.dataset, ctx)
    _clear("reason", cmd.reason, "0.75 AUC is what the manual process reached in 2023")
    if not 0 <= Decimal(cmd.cutoff) <= 1:
        raise Invalid(f"cutoff: {cmd.cutoff} is no probability.", next_step="give one from 0.000000 to 1.000000.")
    fact = e.PlanProposed(
        ctx.ids[0], cmd.model, cmd.dataset, cmd.split, cmd.label, cmd.cutoff, cmd.thresholds, cmd.reason
    )
    return [Draft(fact, (f"model:{cmd.model}", f"plan:{ctx.ids[0]}", cmd.dataset))]


def approve_plan(cmd: c.ApprovePlan, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Not by its proposer. From here on it is the plan of the model."""
    plan = lookup.plan_of(state, cmd.plan)
    if plan is None:
        raise NotFound(f"no plan {cmd.plan}.", next_step="propose one: affidavit registry propose-plan.")
    if plan.approved:
        raise Refused("already_approved", f"plan {plan.id} was approved {plan.approved}.", next_step="nothing to do.")
    if ctx.who.principal == plan.proposer:
        raise Refused(
            "self_approval", f"{ctx.who.principal} proposed plan {plan.id}.", next_step="another person approves it.",
            controls=("AI-01.3", "AI-03.2"),
        )  # fmt: skip
    return [Draft(e.PlanApproved(plan.id, plan.model), (f"model:{plan.model}", f"plan:{plan.id}", plan.dataset))]


def record_evaluation(cmd: rec.RecordEvaluation, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Of exactly the registered artifact, under the plan in force, every threshold judged."""
    found = lookup.known_version(state, cmd.version)
    same_artifact(found, cmd.artifact)
    plan = lookup.current_plan(state, found.model)
    if plan is None or plan.id != cmd.plan:
        raise Refused(
            "plan_not_in_force", f"plan {cmd.plan} is not in force for {found.model}.",
            next_step="evaluate under the plan in force.", controls=("AI-01.3",),
        )  # fmt: skip
    judged = {(v.metric, v.direction, v.bound) for v in cmd.verdicts}
    asked = {(t["metric"], t["direction"], t["bound"]) for t in plan.thresholds}
    given = (cmd.dataset, cmd.split, cmd.label, cmd.cutoff)
    if given != (plan.dataset, plan.split, plan.label, plan.cutoff) or judged != asked:
        raise Invalid("the evaluation does not judge what the plan asks.", next_step="evaluate again under the plan.")
    if any(v.met != meets(v.value, v.direction, v.bound) for v in cmd.verdicts):
        raise Invalid("a verdict contradicts its value and bound.", next_step="evaluate again.")
    measured_split(
        ctx.ask("lineage.splits", plan.dataset.removeprefix("dataset:")), plan.dataset, plan.split, cmd.index
    )
    fact = e.EvaluationMeasured(
        found.model, found.number, cmd.artifact, cmd.plan, cmd.dataset, cmd.split, cmd.label, cmd.cutoff, cmd.content,
        cmd.index, cmd.rows, cmd.seed, cmd.code, cmd.results, cmd.verdicts, cmd.predictions, "service",
    )  # fmt: skip
    return [Draft(fact, (f"model:{found.model}", f"model:{found.name}", f"plan:{cmd.plan}", cmd.dataset))]


def record_load(cmd: rec.RecordLoad, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """A retired version is not loaded; with an environment, only what is live there."""
    found = lookup.known_version(state, cmd.version)
    same_artifact(found, cmd.artifact)
    not_retired(found)
    served = lookup.live_in(state, found.model, cmd.env) if cmd.env else None
    if cmd.env and (served is None or served.number != found.number):
        now = f"{served.model}/{served.number}" if served else "nothing"
        raise Refused(
            "not_live", f"{cmd.env} is served by {now}, not by {found.name}.",
            next_step=f"load models:/{found.model}@{cmd.env}, or promote {found.name}.", controls=("AI-01.4",),
        )  # fmt: skip
    fact = e.VersionLoaded(found.model, found.number, found.artifact, served.id if served else None)
    refs = (f"model:{found.model}", f"model:{found.name}")
    return [Draft(fact, (*refs, f"deployment:{served.id}") if served else refs, cmd.env)]


def record_tamper(cmd: rec.RecordTamper, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Found and expected digest, as they were."""
    found = lookup.known_version(state, cmd.version)
    if cmd.expected == cmd.found:
        raise Invalid("expected and found digest are the same.", next_step="record a load instead.")
    fact = e.ArtifactTampered(found.model, found.number, found.artifact, cmd.expected, cmd.found)
    refs = (f"model:{found.model}", f"model:{found.name}")
    served = lookup.live_in(state, found.model, cmd.env) if cmd.env else None
    return [Draft(fact, (*refs, f"deployment:{served.id}") if served else refs, cmd.env)]


def record_drill(cmd: rec.RecordDrill, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Only a version that served the environment can be rolled back to, so only that is rehearsed."""
    found = lookup.known_version(state, cmd.version)
    same_artifact(found, cmd.artifact)
    not_retired(found)
    if not any(d.number == found.number for d in lookup.deployments(state, found.model, cmd.to)):
        raise Refused(
            "never_live", f"{found.name} never served {cmd.to}.",
            next_step=f"`affidavit registry history {found.model}` shows what did.",
        )  # fmt: skip
    ok = cmd.differing == 0 and cmd.rows > 0 and cmd.took_ms <= cmd.objective_ms
    fact = e.RollbackDrilled(
        found.model, found.number, cmd.artifact, cmd.to, cmd.golden, cmd.rows, cmd.differing, cmd.worst, cmd.tolerance,
        cmd.took_ms, cmd.objective_ms, ok,
    )  # fmt: skip
    return [Draft(fact, (f"model:{found.model}", f"model:{found.name}", f"env:{cmd.to}"), cmd.to)]


def retire(cmd: c.Retire, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Not while it serves production."""
    found = lookup.known_version(state, cmd.version)
    not_retired(found)
    served = lookup.live_in(state, found.model, "production")
    if served is not None and served.number == found.number:
        raise Refused(
            "still_live", f"{found.name} serves production.", next_step="promote or roll back to another version first."
        )
    fact = e.VersionRetired(found.model, found.number, cmd.reason)
    return [Draft(fact, (f"model:{found.model}", f"model:{found.name}"))]


# ---------------------------------------------------------------- what several rules ask


def check_thresholds(thresholds: tuple[e.Threshold, ...]) -> None:
    """At least one, each metric known and named once per direction."""
    if not thresholds:
        raise Invalid(
            "thresholds is empty.",
            next_step='give one such as {"metric":"auc","direction":"at-least","bound":"0.750000"}.',
        )
    named = [(t.metric, t.direction) for t in thresholds]
    for metric, direction in named:
        if metric not in maths.METRICS:
            raise Invalid(f"no metric {metric!r} is measured.", next_step=f"one of {', '.join(maths.METRICS)}.")
        if named.count((metric, direction)) > 1:
            raise Invalid(f"{metric} {direction} is given twice.", next_step="give each bound once.")


def measured_split(splits: list[dict[str, Any]], dataset: str, split: str, index: str) -> None:
    """The scored rows are exactly those of the split as lineage measured it last."""
    part = next((s for s in splits if s["name"] == split), None)
    if part is None:
        raise Refused(
            "split_not_measured", f"the split {split} of {dataset} was never measured.",
            next_step="measure it: affidavit lineage measure-splits.", controls=("AI-01.3",),
        )  # fmt: skip
    if part["content"] != index:
        raise Refused(
            "rows_differ", f"the rows given are not those of the split {split} of {dataset}, measured in entry"
            f" {part['entry']}.",
            next_step="name the split column, or give the index file, by which the split was measured.",
            controls=("AI-01.3",),
        )  # fmt: skip


def same_artifact(found: lookup.Version, artifact: str) -> None:
    """The measured artifact is the registered one."""
    if found.artifact != artifact:
        raise Invalid(
            f"{found.name} is {found.artifact}, not {artifact}.", next_step="measure the registered artifact."
        )


def not_retired(found: lookup.Version) -> None:
    """A retired version is out of use."""
    if found.retired:
        raise Refused("retired", f"{found.name} was retired {found.retired}.", next_step="use another version.")


def known_dataset(ref: str, ctx: Ctx) -> dict[str, Any]:
    """The dataset version that a reference names, or an error that says how to register it."""
    if not ref.startswith("dataset:"):
        raise Invalid(f"{ref!r} names no dataset version.", next_step="write it as dataset:NAME/VERSION.")
    found: dict[str, Any] | None = ctx.ask("lineage.dataset", ref.removeprefix("dataset:"))
    if found is None:
        raise NotFound(f"no {ref} in lineage.", next_step="register it: affidavit lineage register-dataset.")
    return found


def _known_model(name: str, state: ViewTx) -> None:
    if lookup.model(state, name) is None:
        raise NotFound(f"no model {name}.", next_step="register it: affidavit registry register-model.")


def _known_system(name: str, state: ViewTx) -> None:
    if lookup.system(state, name) is None:
        raise NotFound(f"no system {name}.", next_step="register it: affidavit registry register-system.")


def _known_principal(principal: str, field: str, ctx: Ctx) -> None:
    if ctx.ask("access.principal", principal) is None:
        raise NotFound(
            f"{field}: no principal {principal}.", next_step="register it: affidavit access register-principal."
        )


def _clear(field: str, text: VaultText, example: str) -> None:
    words = text.words().strip()
    if len(words) < LEAST_WORDS or words.lower().strip(".!? ") in VAGUE:
        raise Invalid(f"{field} says too little.", next_step=f"say it like this: {example!r}.")
