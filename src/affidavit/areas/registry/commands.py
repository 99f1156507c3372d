"""Requests of the registry that callers make; what measures record is in ``records.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from affidavit.areas.registry.events import Direction, Format, Range, Threshold, Tier
from affidavit.areas.registry.lookup import candidate_of
from affidavit.core.area import Command, Measure, Query, ViewTx

# isort: off
from affidavit.core.fields import (
    Dec6, Digest, Id, LocalPath, Positive, Principal, Ref, Slug, Token, VaultText, VersionRef,
)  # fmt: skip
# isort: on


@dataclass(frozen=True, slots=True)
class RegisterSystem(Command):
    """Put an AI system into the register: purpose, owner, risk tier with its reason, our role."""

    verb: ClassVar[str] = "register-system"
    permission: ClassVar[str] = "registry.register"
    asks: ClassVar[tuple[str, ...]] = ("access.principal",)
    system: Slug
    purpose: VaultText
    owner: Principal
    tier: Tier
    tier_reason: VaultText
    role: Literal["provider", "deployer", "processor"]
    jurisdictions: tuple[Token, ...]
    people_affected: VaultText


@dataclass(frozen=True, slots=True)
class MakeCommitment(Command):
    """Record a service commitment of a system: the promise, its metric, bound, period and criterion."""

    verb: ClassVar[str] = "make-commitment"
    permission: ClassVar[str] = "registry.register"
    system: Slug
    promise: VaultText
    metric: Token
    direction: Direction
    bound: Dec6
    period: Token
    criterion: Token


@dataclass(frozen=True, slots=True)
class RegisterModel(Command):
    """Name a model of a registered system; its versions count under this name."""

    verb: ClassVar[str] = "register-model"
    permission: ClassVar[str] = "registry.register"
    model: Slug
    system: Slug


@dataclass(frozen=True, slots=True)
class Register(Measure):
    """Register the next version of a model: stream its artifact into the store, sign it, record its provenance."""

    verb: ClassVar[str] = "register"
    permission: ClassVar[str] = "registry.register"
    model: Slug
    artifact: LocalPath
    format: Format
    run: Id
    datasets: tuple[Ref, ...]
    started: datetime
    ended: datetime
    code: Token
    environment: Digest
    hyperparameters: dict[Token, Token]
    metrics: dict[Token, Dec6]
    split: Token
    author: Principal
    accepted_risk: Token | None = None
    risk_reason: VaultText | None = None


@dataclass(frozen=True, slots=True)
class ProposePlan(Command):
    """Put up an evaluation plan: data, split, label and cutoff, and the thresholds judged on them."""

    verb: ClassVar[str] = "propose-plan"
    permission: ClassVar[str] = "registry.plan"
    asks: ClassVar[tuple[str, ...]] = ("lineage.dataset",)
    model: Slug
    dataset: Ref
    split: Token
    label: Token
    thresholds: tuple[Threshold, ...]
    reason: VaultText
    cutoff: Dec6 = "0.500000"


@dataclass(frozen=True, slots=True)
class ApprovePlan(Command):
    """Put a proposed plan into force; its proposer may not."""

    verb: ClassVar[str] = "approve-plan"
    permission: ClassVar[str] = "registry.approve_plan"
    plan: Id


@dataclass(frozen=True, slots=True)
class Evaluate(Measure):
    """Evaluate the exact artifact on the plan's split as it was measured, and judge it against the plan."""

    verb: ClassVar[str] = "evaluate"
    permission: ClassVar[str] = "registry.evaluate"
    asks: ClassVar[tuple[str, ...]] = ("lineage.dataset", "lineage.splits")
    version: VersionRef
    data: LocalPath
    split_column: Token | None = None
    index: LocalPath | None = None
    seed: Positive = 1


@dataclass(frozen=True, slots=True)
class RequestPromotion(Command):
    """Ask for a promotion; the gate must pass, and its result is what approvers approve."""

    verb: ClassVar[str] = "request"
    permission: ClassVar[str] = "registry.request"
    asks: ClassVar[tuple[str, ...]] = ("fairness.latest", "decisions.explainer_of")
    gated: ClassVar[bool] = True
    version: VersionRef
    to: Token

    def candidate(self, state: ViewTx) -> tuple[str, int, str]:
        return candidate_of(state, self.version, self.to)


@dataclass(frozen=True, slots=True)
class ApprovePromotion(Command):
    """Approve a request, for exactly its artifact and gate result; author and requester may not."""

    verb: ClassVar[str] = "approve"
    permission: ClassVar[str] = "registry.approve"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of", "lineage.run")
    request: Id


@dataclass(frozen=True, slots=True)
class RejectPromotion(Command):
    """Turn a request down, with the reason."""

    verb: ClassVar[str] = "reject"
    permission: ClassVar[str] = "registry.approve"
    request: Id
    reason: VaultText


@dataclass(frozen=True, slots=True)
class PromoteVersion(Command):
    """Deploy a version into an environment: gate passed and approved, or within a standing authorisation."""

    verb: ClassVar[str] = "promote"
    permission: ClassVar[str] = "registry.promote"
    env_field: ClassVar[str | None] = "to"
    gated: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("lineage.run", "fairness.latest", "decisions.explainer_of", "access.roles_of")
    version: VersionRef
    to: Token

    def candidate(self, state: ViewTx) -> tuple[str, int, str]:
        return candidate_of(state, self.version, self.to)


@dataclass(frozen=True, slots=True)
class BreakGlass(Command):
    """Deploy without approval in an emergency: an open incident, a reason, and a review that falls due."""

    verb: ClassVar[str] = "break-glass"
    permission: ClassVar[str] = "registry.break_glass"
    env_field: ClassVar[str | None] = "to"
    gated: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("incidents.incident", "fairness.latest", "decisions.explainer_of")
    version: VersionRef
    to: Token
    incident: Id
    reason: VaultText

    def candidate(self, state: ViewTx) -> tuple[str, int, str]:
        return candidate_of(state, self.version, self.to)


@dataclass(frozen=True, slots=True)
class ReviewBreakGlass(Command):
    """Review an emergency deployment afterwards; neither its deployer nor the version's author may."""

    verb: ClassVar[str] = "review"
    permission: ClassVar[str] = "registry.review"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    deployment: Id
    verdict: Literal["accepted", "revert"]
    note: VaultText


@dataclass(frozen=True, slots=True)
class RequestWaiver(Command):
    """Put a failed attribute of one version up for acceptance: owner, reason, expiry within 90 days."""

    verb: ClassVar[str] = "request-waiver"
    permission: ClassVar[str] = "registry.waive"
    asks: ClassVar[tuple[str, ...]] = ("access.principal", "fairness.latest", "decisions.explainer_of")
    version: VersionRef
    control: Token
    attribute: Token
    owner: Principal
    reason: VaultText
    expires: datetime


@dataclass(frozen=True, slots=True)
class ApproveWaiver(Command):
    """Accept the risk of a waiver until it expires; its requester and the version's author may not."""

    verb: ClassVar[str] = "approve-waiver"
    permission: ClassVar[str] = "registry.approve_waiver"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    waiver: Id


@dataclass(frozen=True, slots=True)
class ProposeStanding(Command):
    """Put up a standing authorisation for retrains: datasets, code, ranges, metric bounds, expiry."""

    verb: ClassVar[str] = "propose-standing"
    permission: ClassVar[str] = "registry.standing"
    asks: ClassVar[tuple[str, ...]] = ("lineage.dataset",)
    model: Slug
    datasets: tuple[Ref, ...]
    code: tuple[Token, ...]
    ranges: tuple[Range, ...]
    bounds: tuple[Threshold, ...]
    expires: datetime
    reason: VaultText


@dataclass(frozen=True, slots=True)
class ApproveStanding(Command):
    """Let retrains within the bounds go through until the authorisation expires; its proposer may not."""

    verb: ClassVar[str] = "approve-standing"
    permission: ClassVar[str] = "registry.approve_standing"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    standing: Id


@dataclass(frozen=True, slots=True)
class RollBack(Command):
    """Go back to a version that was approved for the environment; no new approval is needed."""

    verb: ClassVar[str] = "rollback"
    permission: ClassVar[str] = "registry.rollback"
    env_field: ClassVar[str | None] = "to"
    version: VersionRef
    to: Token
    reason: VaultText


@dataclass(frozen=True, slots=True)
class DrillRollback(Measure):
    """Rehearse a rollback: load the version, replay a golden set within a tolerance, time it."""

    verb: ClassVar[str] = "drill-rollback"
    permission: ClassVar[str] = "registry.drill"
    env_field: ClassVar[str | None] = "to"
    version: VersionRef
    to: Token
    data: LocalPath
    golden: LocalPath | None = None
    tolerance: Dec6 = "0.000001"
    objective_ms: Positive | None = None


@dataclass(frozen=True, slots=True)
class Load(Measure):
    """Load a version: every byte is verified against its signed manifest first, and the load is recorded."""

    verb: ClassVar[str] = "load"
    permission: ClassVar[str] = "registry.load"
    version: VersionRef
    env: Token | None = None


@dataclass(frozen=True, slots=True)
class Retire(Command):
    """Take a version out of use for good; not while it serves production."""

    verb: ClassVar[str] = "retire"
    permission: ClassVar[str] = "registry.retire"
    version: VersionRef
    reason: VaultText


@dataclass(frozen=True, slots=True)
class Observe(Measure):
    """Take in an extract of the serving platform's own deployment log (CSV or JSON lines)."""

    verb: ClassVar[str] = "observe"
    permission: ClassVar[str] = "registry.observe"
    source: Slug
    extract: LocalPath
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Why(Query):
    """Dry run of the gate: what a promotion lacks, and who must act."""

    verb: ClassVar[str] = "why"
    permission: ClassVar[str] = "registry.read"
    asks: ClassVar[tuple[str, ...]] = ("lineage.run", "fairness.latest", "decisions.explainer_of", "access.roles_of")
    version: VersionRef
    to: Token

    def candidate(self, state: ViewTx) -> tuple[str, int, str]:
        """(model, number, environment): the service fills ``ctx.gate`` for it."""
        return candidate_of(state, self.version, self.to)


@dataclass(frozen=True, slots=True)
class Served(Query):
    """Which version served an environment at a moment, put there by whom, approved by whom."""

    verb: ClassVar[str] = "served"
    permission: ClassVar[str] = "registry.read"
    model: Slug
    in_env: Token = "production"
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class History(Query):
    """Every deployment of a model, oldest first: the full history of its aliases."""

    verb: ClassVar[str] = "history"
    permission: ClassVar[str] = "registry.read"
    model: Slug


@dataclass(frozen=True, slots=True)
class Versions(Query):
    """The versions of a model and where each serves."""

    verb: ClassVar[str] = "versions"
    permission: ClassVar[str] = "registry.read"
    model: Slug


@dataclass(frozen=True, slots=True)
class Show(Query):
    """Everything recorded about one version."""

    verb: ClassVar[str] = "show"
    permission: ClassVar[str] = "registry.read"
    asks: ClassVar[tuple[str, ...]] = ("lineage.dataset", "lineage.run", "fairness.latest", "decisions.explainer_of")
    version: VersionRef


@dataclass(frozen=True, slots=True)
class Systems(Query):
    """The system register: owner, risk tier, role, models and commitments of each system."""

    verb: ClassVar[str] = "systems"
    permission: ClassVar[str] = "registry.read"


@dataclass(frozen=True, slots=True)
class Card(Query):
    """The model card of a version, generated from the ledger: Markdown with front matter, or HTML."""

    verb: ClassVar[str] = "card"
    permission: ClassVar[str] = "registry.read"
    asks: ClassVar[tuple[str, ...]] = Show.asks
    version: VersionRef
    form: Literal["markdown", "html"] = "markdown"


@dataclass(frozen=True, slots=True)
class Bom(Query):
    """The bill of materials of a version: CycloneDX 1.6 JSON with model card and datasets."""

    verb: ClassVar[str] = "bom"
    document: ClassVar[bool] = True
    permission: ClassVar[str] = "registry.read"
    asks: ClassVar[tuple[str, ...]] = Show.asks
    version: VersionRef
