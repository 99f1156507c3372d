"""Facts of decisions, continued: replays, explanations, human oversight, tenants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Dec6, Digest, Id, Positive, Principal, Slug, Token, VaultText
from affidavit.streams.passport import Condition

Cause = Literal["artifact", "environment", "input", "nondeterminism", "unknown"]


@dataclass(frozen=True, slots=True)
class VersionReplayed:
    """The share of one version in a replay. ``why`` says why the version could not be run at all; None if it ran."""

    number: Positive | None
    artifact: Digest
    sampled: Count
    failed: Count
    why: Token | None = None


@fact("decisions.replay_measured")
@dataclass(frozen=True, slots=True)
class ReplayMeasured:
    """Decisions were run again by the recorded version, in a confined process: how many gave the recorded output.

    ``population`` is the digest of the sealed rows drawn from (as ranges of streams), ``seed`` draws the sample and
    ``seeded`` says who chose it (None: decisions were named). ``isolation`` is what confinement every child obtained,
    ``worst`` the largest difference of a number (None: none was compared, or it is not finite). ``results`` holds each
    decision's outcome and no recorded value.
    """

    replay: Id
    model: Slug
    versions: tuple[VersionReplayed, ...]
    start: datetime
    end: datetime
    population: Digest
    population_n: Count
    sampled: Positive
    equal: Count
    differing: Count
    failed: Count
    erased: Count
    tolerance: Dec6
    isolation: tuple[Token, ...]
    code: Digest
    results: Attachment
    worst: Dec6 | None = None
    seed: Token | None = None
    seeded: Literal["caller", "service"] | None = None


@fact("decisions.mismatch_investigated")
@dataclass(frozen=True, slots=True)
class MismatchInvestigated:
    """A replay that did not give the recorded output was looked into by a person."""

    replay: Id
    cause: Cause
    note: VaultText


@fact("decisions.explainer_planned")
@dataclass(frozen=True, slots=True)
class ExplainerPlanned:
    """How a model is to be explained, and the bounds its fidelity is judged by, fixed before it is measured.

    ``words`` (canonical or plain JSON) says features and outcomes in the words of a letter, and how to contest.
    """

    plan: Id
    model: Slug
    method: Literal["tree", "linear", "sampled"]
    deletion_gain: Dec6
    stability: Dec6
    reason: VaultText
    words: Attachment | None = None


@fact("decisions.explainer_approved")
@dataclass(frozen=True, slots=True)
class ExplainerApproved:
    """The explainer's plan is in force for the model."""

    plan: Id
    model: Slug


@fact("decisions.explainer_measured")
@dataclass(frozen=True, slots=True)
class ExplainerMeasured:
    """Fidelity of a version's explainer: the deletion test against random deletion, and stability over seeds.

    ``deletion_gain`` is how much faster the margin falls when the features named first are removed, against a random
    order; ``stability`` the least rank agreement of two seeds; ``additivity`` the worst gap of sum and margin.
    """

    plan: Id
    model: Slug
    number: Positive
    artifact: Digest
    method: Token
    explainer: Token
    background: Digest
    dataset: Token
    rows: Count
    seeds: tuple[Count, ...]
    deletion_gain: Dec6
    stability: Dec6
    additivity: Dec6
    passed: bool
    code: Digest
    results: Attachment
    split: Token | None = None


@fact("decisions.explanation_requested")
@dataclass(frozen=True, slots=True)
class ExplanationRequested:
    """A person asked why, or contested a decision: by which channel, until when an answer is due."""

    request: Id
    decision: Id
    channel: Token
    wish: Literal["explain", "contest"]
    received: datetime
    due: datetime


@fact("decisions.explanation_answered")
@dataclass(frozen=True, slots=True)
class ExplanationAnswered:
    """A request was answered: by a letter (its digest; the letter itself is personal and kept nowhere) or refused with a reason.

    ``recomputed`` says that the attributions were computed again and gave the stored ones.
    """

    request: Id
    decision: Id
    outcome: Literal["letter", "refused", "reversed"]
    model: Slug
    number: Positive
    artifact: Digest
    recomputed: bool
    plain: bool
    contest: bool
    letter: Digest | None = None
    explanation: Digest | None = None
    reason: VaultText | None = None


@fact("decisions.explanation_measured")
@dataclass(frozen=True, slots=True)
class ExplanationMeasured:
    """Stored attributions of a version were computed again: how many agree with what was stored.

    ``adverse`` counts the version's adverse decisions in the window, ``adverse_explained`` those with a stored explanation.
    """

    model: Slug
    number: Positive
    artifact: Digest
    explainer: Token
    seed: Count
    decisions: Count
    compared: Count
    agreeing: Count
    additivity: Dec6
    results: Attachment
    background: Digest | None = None
    adverse: Count | None = None
    adverse_explained: Count | None = None


@fact("decisions.routing_proposed")
@dataclass(frozen=True, slots=True)
class RoutingProposed:
    """Which decisions of a model are to be held for a person: those that meet any condition."""

    rule: Id
    model: Slug
    role: Token
    conditions: tuple[Condition, ...]
    min_review_ms: Count
    reason: VaultText


@fact("decisions.routing_approved")
@dataclass(frozen=True, slots=True)
class RoutingApproved:
    """The routing rule is in force for the model from here on."""

    rule: Id
    model: Slug


@fact("decisions.reviewer_trained")
@dataclass(frozen=True, slots=True)
class ReviewerTrained:
    """A reviewer was trained for a model's decisions: valid until when, on the evidence of which document."""

    principal: Principal
    model: Slug
    until: datetime
    evidence: Attachment


@fact("decisions.oversight_measured")
@dataclass(frozen=True, slots=True)
class OversightMeasured:
    """The routing rule recomputed over every decision of a window, against the queue and the actions.

    ``bypassed`` met the rule and were never held; ``unrouted`` were held and did not; ``early`` took effect before the
    release; ``untrained`` were released by somebody not authorised or trained then; ``hasty`` under the least review time;
    ``unanswered`` contests or opt-outs were not honoured. ``overrides`` and ``agreements`` count releases.
    Not known yet: held decisions still ``waiting``, contests ``pending`` that are not due, agreed decisions whose time of
    effect nobody recorded (``effect_unknown``), ``erased`` rows that no rule can be recomputed on.
    """

    deployment: Id
    rule: Id
    start: datetime
    end: datetime
    decisions: Count
    routed: Count
    held: Count
    released: Count
    bypassed: Count
    unrouted: Count
    early: Count
    untrained: Count
    hasty: Count
    unreasoned: Count
    unanswered: Count
    overrides: Count
    agreements: Count
    median_review_ms: Count
    details: Attachment
    waiting: Count = 0
    pending: Count = 0
    effect_unknown: Count = 0
    erased: Count = 0


@fact("decisions.tenants_restricted")
@dataclass(frozen=True, slots=True)
class TenantsRestricted:
    """A principal sees decisions of these tenants alone from here on; with ``everything`` of all again."""

    principal: Principal
    tenants: tuple[Token, ...]
    everything: bool = False


@fact("decisions.tenant_probed")
@dataclass(frozen=True, slots=True)
class TenantProbed:
    """A canary of one tenant was looked for as another: it must not be found, and its own tenant must find it.

    ``doors`` were tried; ``own_sees`` if each of them shows it to its own tenant; ``leaking`` show it to the other.
    """

    canary: Id
    owner: Token
    probed_as: Token
    own_sees: bool
    other_sees: bool
    doors: tuple[Token, ...]
    leaking: tuple[Token, ...] = ()
