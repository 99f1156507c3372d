"""Facts of the registry: systems, models, versions, plans, promotions, loads, drills, observed deployments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Dec6, Digest, Id, Positive, Principal, Ref, Slug, Token, VaultText

Tier = Literal["minimal", "limited", "high", "prohibited"]
Format = Literal["skops", "onnx", "lightgbm", "xgboost", "safetensors", "opaque", "pickle", "joblib"]
Direction = Literal["at-least", "at-most"]
Via = Literal["gate", "approval", "standing", "break-glass", "rollback"]
By = Literal["service", "claimed"]


@fact("registry.system_registered")
@dataclass(frozen=True, slots=True)
class SystemRegistered:
    """An AI system: purpose, owner, risk tier with reason, our role, jurisdictions, people affected."""

    system: Slug
    purpose: VaultText
    owner: Principal
    tier: Tier
    tier_reason: VaultText
    role: Literal["provider", "deployer", "processor"]
    jurisdictions: tuple[Token, ...]
    people_affected: VaultText


@fact("registry.commitment_made")
@dataclass(frozen=True, slots=True)
class CommitmentMade:
    """A service commitment: the promise in words, its metric, bound, period and criterion."""

    commitment: Id
    system: Slug
    promise: VaultText
    metric: Token
    direction: Direction
    bound: Dec6
    period: Token
    criterion: Token


@fact("registry.model_registered")
@dataclass(frozen=True, slots=True)
class ModelRegistered:
    """A model of a system: the name that versions count under."""

    model: Slug
    system: Slug


@fact("registry.version_registered")
@dataclass(frozen=True, slots=True)
class VersionRegistered:
    """A version: the digest of its signed artifact manifest, and the provenance it was registered with."""

    model: Slug
    number: Positive
    artifact: Digest
    files: Positive
    bytes: Count
    format: Format
    signature: Attachment
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
class Threshold:
    """A bound on a metric, fixed before the evaluation it judges."""

    metric: Token
    direction: Direction
    bound: Dec6


@fact("registry.plan_proposed")
@dataclass(frozen=True, slots=True)
class PlanProposed:
    """An evaluation plan for a model: data, split, label and cutoff, and the thresholds judged on them."""

    plan: Id
    model: Slug
    dataset: Ref
    split: Token
    label: Token
    cutoff: Dec6
    thresholds: tuple[Threshold, ...]
    reason: VaultText


@fact("registry.plan_approved")
@dataclass(frozen=True, slots=True)
class PlanApproved:
    """The plan is in force for the model from here on."""

    plan: Id
    model: Slug


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold judged: the value, its 95 % interval where there is one, the bound, met or not."""

    metric: Token
    value: Dec6
    low: Dec6 | None
    high: Dec6 | None
    direction: Direction
    bound: Dec6
    met: bool


@fact("registry.evaluation_measured")
@dataclass(frozen=True, slots=True)
class EvaluationMeasured:
    """The exact artifact, evaluated on the plan's split; names plan, data, seed and measuring code.

    ``index`` is the digest of the row numbers scored: that of the measured split (``lineage.split_measured``).
    """

    model: Slug
    number: Positive
    artifact: Digest
    plan: Id
    dataset: Ref
    split: Token
    label: Token
    cutoff: Dec6
    content: Digest
    index: Digest
    rows: Count
    seed: Count
    code: Digest
    results: dict[Token, Dec6]
    verdicts: tuple[Verdict, ...]
    predictions: Attachment
    by: By


@dataclass(frozen=True, slots=True)
class GateLine:
    """One attribute of one control on the candidate."""

    control: Token
    attribute: Token
    outcome: Literal["pass", "deviation", "not_applicable", "not_tested", "waived"]


@fact("registry.promotion_requested")
@dataclass(frozen=True, slots=True)
class PromotionRequested:
    """A promotion was asked for, with the gate as it stood; bound to artifact and gate digest."""

    request: Id
    model: Slug
    number: Positive
    artifact: Digest
    to: Token
    gate: tuple[GateLine, ...]
    gate_digest: Digest


@fact("registry.promotion_approved")
@dataclass(frozen=True, slots=True)
class PromotionApproved:
    """One approval of a request, for exactly this artifact and gate result, until it expires."""

    request: Id
    model: Slug
    number: Positive
    artifact: Digest
    to: Token
    gate_digest: Digest
    role: Token
    expires: datetime


@fact("registry.promotion_rejected")
@dataclass(frozen=True, slots=True)
class PromotionRejected:
    """The request was turned down; a new one is needed."""

    request: Id
    model: Slug
    number: Positive
    reason: VaultText


@fact("registry.version_promoted")
@dataclass(frozen=True, slots=True)
class VersionPromoted:
    """The version serves the environment from here on: a deployment, by which way and on whose word."""

    deployment: Id
    model: Slug
    number: Positive
    artifact: Digest
    to: Token
    via: Via
    gate: tuple[GateLine, ...]
    gate_digest: Digest
    request: Id | None = None
    standing: Id | None = None
    incident: Ref | None = None
    incident_entry: Count | None = None
    review_due: datetime | None = None
    reason: VaultText | None = None
    replaces: Id | None = None


@fact("registry.break_glass_reviewed")
@dataclass(frozen=True, slots=True)
class BreakGlassReviewed:
    """An emergency deployment was reviewed afterwards by another person."""

    deployment: Id
    model: Slug
    verdict: Literal["accepted", "revert"]
    note: VaultText


@fact("registry.waiver_requested")
@dataclass(frozen=True, slots=True)
class WaiverRequested:
    """A failed attribute of one version was put up for acceptance: owner, reason, expiry.

    ``measured`` is the entry of the evaluation or assessment it accepts; a later one is not covered.
    """

    waiver: Id
    model: Slug
    number: Positive
    control: Token
    attribute: Token
    owner: Principal
    reason: VaultText
    expires: datetime
    measured: Count | None = None


@fact("registry.waiver_approved")
@dataclass(frozen=True, slots=True)
class WaiverApproved:
    """The risk was accepted by an authorised person, until the waiver expires."""

    waiver: Id
    model: Slug
    number: Positive


@dataclass(frozen=True, slots=True)
class Range:
    """A hyperparameter's allowed range, both ends included; ``equals`` for one that is no number."""

    name: Token
    least: Dec6 | None = None
    most: Dec6 | None = None
    equals: Token | None = None


@fact("registry.standing_proposed")
@dataclass(frozen=True, slots=True)
class StandingProposed:
    """A standing authorisation for retrains: datasets, code, ranges, metric bounds, expiry."""

    standing: Id
    model: Slug
    datasets: tuple[Ref, ...]
    code: tuple[Token, ...]
    ranges: tuple[Range, ...]
    bounds: tuple[Threshold, ...]
    expires: datetime
    reason: VaultText


@fact("registry.standing_approved")
@dataclass(frozen=True, slots=True)
class StandingApproved:
    """Retrains within the bounds go through from here on, each with its full trail."""

    standing: Id
    model: Slug


@fact("registry.rollback_drilled")
@dataclass(frozen=True, slots=True)
class RollbackDrilled:
    """A rollback was rehearsed: the version loaded, a golden set replayed, the time taken."""

    model: Slug
    number: Positive
    artifact: Digest
    env: Token
    golden: Digest
    rows: Count
    differing: Count
    worst: Dec6
    tolerance: Dec6
    took_ms: Count
    objective_ms: Count
    passed: bool


@fact("registry.version_loaded")
@dataclass(frozen=True, slots=True)
class VersionLoaded:
    """A process loaded the version after every digest of it was verified."""

    model: Slug
    number: Positive
    artifact: Digest
    deployment: Id | None = None


@fact("registry.artifact_tampered")
@dataclass(frozen=True, slots=True)
class ArtifactTampered:
    """A stored file of the version does not hash to its manifest: nothing of it was served."""

    model: Slug
    number: Positive
    artifact: Digest
    expected: Digest
    found: Digest


@fact("registry.version_retired")
@dataclass(frozen=True, slots=True)
class VersionRetired:
    """The version may not be promoted or loaded for serving any more."""

    model: Slug
    number: Positive
    reason: VaultText


@fact("registry.deployment_observed")
@dataclass(frozen=True, slots=True)
class DeploymentObserved:
    """The serving platform's own log says that this digest went live: one row of an extract."""

    source: Token
    external: Token
    model: Slug
    env: Token
    artifact: Digest
    deployed_at: datetime


@fact("registry.deployments_extracted")
@dataclass(frozen=True, slots=True)
class DeploymentsExtracted:
    """An extract of a deployment log was taken in whole: account, query, window, rows, raw bytes."""

    source: Token
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    rows: Count
    raw: Attachment
    extractor: Token
