"""Requests of oversight: routing rules, reviewers, their actions, outcomes, tenants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from affidavit.areas.decisions.events_people import OversightMeasured, TenantProbed
from affidavit.core.area import Command, Measure, Query, Streamed
from affidavit.core.fields import Attachment, Count, Dec6, Id, LocalPath, Principal, Slug, Token, Upload, VaultText
from affidavit.streams.passport import Condition

# ---------------------------------------------------------------- routing and reviewers


@dataclass(frozen=True, slots=True)
class ProposeRouting(Command):
    """Propose which decisions of a model are held for a person: those that meet any condition.

    ``conditions`` compare ``out``, ``out.NAME``, ``in.NAME``, ``confidence`` or ``adverse``; holders of ``role`` release.
    """

    permission: ClassVar[str] = "decisions.plan"
    verb: ClassVar[str] = "propose-routing"
    asks: ClassVar[tuple[str, ...]] = ("registry.model",)

    model: Slug
    role: Token
    conditions: tuple[Condition, ...]
    reason: VaultText
    min_review_ms: Count = 0


@dataclass(frozen=True, slots=True)
class ApproveRouting(Command):
    """Put a proposed routing rule in force; another person than its proposer does."""

    permission: ClassVar[str] = "decisions.approve_plan"
    verb: ClassVar[str] = "approve-routing"

    rule: Id


@dataclass(frozen=True, slots=True)
class ShowRouting(Query):
    """The routing rules of a model, newest first: proposed, approved by whom, in force since when."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "routing"

    model: Slug


@dataclass(frozen=True, slots=True)
class TrainReviewer(Command):
    """Record that a reviewer was trained for a model's decisions, until when, on which evidence; never by oneself."""

    permission: ClassVar[str] = "decisions.train"
    verb: ClassVar[str] = "train-reviewer"
    asks: ClassVar[tuple[str, ...]] = ("registry.model", "access.principal")

    principal: Principal
    model: Slug
    until: datetime
    evidence: Annotated[Attachment, Upload("application/octet-stream", "training-record")]


# ---------------------------------------------------------------- what people do about decisions


@dataclass(frozen=True, slots=True)
class QueueDecision(Streamed):
    """Hold a recorded decision for a person: it waits until a reviewer releases it."""

    permission: ClassVar[str] = "decisions.record"
    verb: ClassVar[str] = "queue-decision"

    decision: Id


@dataclass(frozen=True, slots=True)
class Queue(Streamed):
    """What waits for whom, and since when, oldest first. The look is recorded."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "queue"

    model: Slug | None = None


@dataclass(frozen=True, slots=True)
class OpenReview(Streamed):
    """Open a waiting decision for review: the time of review counts from here."""

    permission: ClassVar[str] = "decisions.act"
    verb: ClassVar[str] = "open-review"

    decision: Id


@dataclass(frozen=True, slots=True)
class Release(Streamed):
    """Release a decision that waits: agree with the model or override it, with the outcome and the reason."""

    permission: ClassVar[str] = "decisions.act"
    verb: ClassVar[str] = "release"

    decision: Id
    verdict: Literal["agree", "override"]
    outcome: Token
    reason: VaultText
    effect_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contest(Streamed):
    """Record that the person concerned contests a decision: it waits for a person's answer again."""

    permission: ClassVar[str] = "decisions.act"
    verb: ClassVar[str] = "contest"

    decision: Id
    reason: VaultText


@dataclass(frozen=True, slots=True)
class OptOut(Streamed):
    """Record that the person concerned wants no automated decision: it waits for a person's answer."""

    permission: ClassVar[str] = "decisions.act"
    verb: ClassVar[str] = "opt-out"

    decision: Id
    reason: VaultText


@dataclass(frozen=True, slots=True)
class Effect(Streamed):
    """Record when a decision took effect (now, unless said), so that review before effect can be tested."""

    permission: ClassVar[str] = "decisions.record"
    verb: ClassVar[str] = "effect"

    decision: Id
    effect_at: datetime | None = None


# ---------------------------------------------------------------- oversight measured


@dataclass(frozen=True, slots=True)
class MeasureOversight(Measure):
    """Recompute the routing rule over every sealed decision of a window, against the queue and people's actions.

    ``start <= at < end``. Bypassed or early decisions raise a breach; the attachment names them.
    """

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "measure-oversight"

    deployment: Id
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class RecordOversight(Command):
    """Record what measuring oversight found."""

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "record-oversight"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("registry.deployment",)

    measured: OversightMeasured


@dataclass(frozen=True, slots=True)
class ShowOversight(Query):
    """What measuring oversight found, newest first: bypassed, early, overrides, agreements, review time."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "oversight"

    deployment: Id | None = None


# ---------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True)
class RecordOutcomes(Streamed):
    """Take in what turned out, from a CSV or JSON-lines file: decision, value or label, observed_at, source. All or nothing.

    A row that is recorded already is counted, not written again: so a file may be sent twice.
    """

    permission: ClassVar[str] = "decisions.record"
    verb: ClassVar[str] = "record-outcomes"

    data: LocalPath
    source: Token | None = None


@dataclass(frozen=True, slots=True)
class RecordOutcome(Streamed):
    """Record what turned out for one decision: a value or a label, when it was observed, who says so."""

    permission: ClassVar[str] = "decisions.record"
    verb: ClassVar[str] = "outcome"

    decision: Id
    source: Token
    observed_at: datetime
    value: Dec6 | None = None
    label: Token | None = None


# ---------------------------------------------------------------- tenants


@dataclass(frozen=True, slots=True)
class RestrictTenants(Command):
    """Let a principal see decisions of the named tenants alone; ``everything`` lifts that. Never one's own."""

    permission: ClassVar[str] = "decisions.tenants"
    verb: ClassVar[str] = "restrict-tenants"
    everywhere: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("access.principal",)

    principal: Principal
    tenants: tuple[Token, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class PlantCanary(Measure):
    """Record a canary: a row of a tenant that stands for no decision, to be looked for as another tenant."""

    permission: ClassVar[str] = "decisions.probe"
    verb: ClassVar[str] = "plant-canary"

    tenant: Token


@dataclass(frozen=True, slots=True)
class ProbeTenant(Measure):
    """Look for a sealed canary as a principal of another tenant, through the doors to decisions: it must not be found.

    The caller's own view must find it, else the probe proves nothing.
    """

    permission: ClassVar[str] = "decisions.probe"
    verb: ClassVar[str] = "probe-tenant"

    canary: Id
    as_principal: Principal


@dataclass(frozen=True, slots=True)
class RecordProbe(Command):
    """Record what looking for a canary showed."""

    permission: ClassVar[str] = "decisions.probe"
    verb: ClassVar[str] = "record-probe"
    internal: ClassVar[bool] = True

    probed: TenantProbed
