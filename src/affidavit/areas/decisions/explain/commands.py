"""Requests of explaining: attributions of a decision, the explainer's plan and its fidelity, letters and answers to people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from affidavit.core.area import Command, Measure, Query, Streamed
from affidavit.core.fields import (
    Attachment,
    Count,
    Dec6,
    Digest,
    Id,
    LocalPath,
    Positive,
    Slug,
    Token,
    Upload,
    VaultText,
    VersionRef,
)

Outcome = Literal["letter", "refused", "reversed"]
Form = Literal["html", "pdf"]


@dataclass(frozen=True, slots=True)
class ProposeExplainer(Command):
    """Put up how a model is to be explained, with the bounds that its fidelity must reach.

    ``words`` is a JSON file that says features and outcomes in plain words and how to contest; letters need it.
    """

    permission: ClassVar[str] = "decisions.plan"
    verb: ClassVar[str] = "propose-explainer"
    asks: ClassVar[tuple[str, ...]] = ("registry.model",)

    model: Slug
    method: Literal["tree", "linear", "sampled"]
    deletion_gain: Dec6
    stability: Dec6
    reason: VaultText
    words: Annotated[Attachment, Upload("application/json", "words")] | None = None


@dataclass(frozen=True, slots=True)
class ApproveExplainer(Command):
    """Put a proposed explainer plan into force; its proposer may not."""

    permission: ClassVar[str] = "decisions.approve_plan"
    verb: ClassVar[str] = "approve-explainer"

    plan: Id


@dataclass(frozen=True, slots=True)
class MeasureExplainer(Measure):
    """Measure how faithful a version's explainer is, on the split of the model's evaluation plan.

    Deletion test against random orders, and stability over draws; both judged by the bounds of the plan in force.
    """

    permission: ClassVar[str] = "decisions.explain"
    verb: ClassVar[str] = "measure-explainer"

    version: VersionRef
    data: LocalPath
    split_column: Token = "split"
    rows: Positive = 200
    background: Positive = 64
    seed: Count = 0


@dataclass(frozen=True, slots=True)
class RecordExplainer(Command):
    """Record what the service measured; whether it passes is judged here, by the plan in force."""

    permission: ClassVar[str] = "decisions.explain"
    verb: ClassVar[str] = "record-explainer"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("registry.version",)

    version: VersionRef
    plan: Id
    artifact: Digest
    method: Token
    explainer: Token
    background: Digest
    dataset: Token
    split: Token
    rows: Count
    seeds: tuple[Count, ...]
    deletion_gain: Dec6
    stability: Dec6
    additivity: Dec6
    additive: bool
    code: Digest
    results: Attachment


@dataclass(frozen=True, slots=True)
class Explain(Streamed):
    """Explain one decision: every input with what it added to the margin, largest first.

    Computed by the recorded version in the sandbox; a stored explanation is computed again and must agree.
    """

    permission: ClassVar[str] = "decisions.explain"
    verb: ClassVar[str] = "explain"
    shows: ClassVar[str | None] = "affidavit.areas.decisions.explain.queries:lines"

    decision: Id


@dataclass(frozen=True, slots=True)
class RecheckExplanations(Measure):
    """Compute a seeded sample of a version's stored explanations again, and count adverse decisions without one."""

    permission: ClassVar[str] = "decisions.explain"
    verb: ClassVar[str] = "recheck-explanations"

    version: VersionRef
    start: datetime | None = None
    end: datetime | None = None
    sample: Positive = 50
    seed: Token = "0"


@dataclass(frozen=True, slots=True)
class RecordRecheck(Command):
    """Record a recheck of stored explanations."""

    permission: ClassVar[str] = "decisions.explain"
    verb: ClassVar[str] = "record-recheck"
    internal: ClassVar[bool] = True

    version: VersionRef
    artifact: Digest
    explainer: Token
    background: Digest | None
    seed: Count
    decisions: Count
    compared: Count
    agreeing: Count
    additivity: Dec6
    adverse: Count
    adverse_explained: Count
    results: Attachment


@dataclass(frozen=True, slots=True)
class RequestExplanation(Command):
    """Take in a person's request: why a decision was made, or that they contest it; an answer is due in time."""

    permission: ClassVar[str] = "decisions.letter"
    verb: ClassVar[str] = "request-explanation"

    decision: Id
    channel: Token
    wish: Literal["explain", "contest"] = "explain"
    received: datetime | None = None


@dataclass(frozen=True, slots=True)
class WriteLetter(Streamed):
    """Write the letter about a decision to the person: reasons, data used, version, human role, how to contest."""

    permission: ClassVar[str] = "decisions.letter"
    verb: ClassVar[str] = "letter"

    decision: Id
    format: Form = "html"


@dataclass(frozen=True, slots=True)
class AnswerExplanation(Measure):
    """Answer a request: the letter is written and its digest recorded, or the refusal or reversal with its reason.

    The letter itself is the result; it is kept nowhere.
    """

    permission: ClassVar[str] = "decisions.letter"
    verb: ClassVar[str] = "answer-explanation"

    request: Id
    outcome: Outcome = "letter"
    format: Form = "pdf"
    reason: VaultText | None = None


@dataclass(frozen=True, slots=True)
class RecordAnswer(Command):
    """Record the answer to a request."""

    permission: ClassVar[str] = "decisions.letter"
    verb: ClassVar[str] = "record-answer"
    internal: ClassVar[bool] = True

    request: Id
    decision: Id
    outcome: Outcome
    version: VersionRef
    artifact: Digest
    letter: Digest | None
    explanation: Digest | None
    recomputed: bool
    plain: bool
    contest: bool
    reason: VaultText | None = None


@dataclass(frozen=True, slots=True)
class ListExplainers(Query):
    """The explainer plans of a model, oldest first, the one in force, and what was measured under them."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "explainers"

    model: Slug


@dataclass(frozen=True, slots=True)
class ListRequests(Query):
    """Requests of people for an explanation, by due date; the open ones, or all."""

    permission: ClassVar[str] = "decisions.letter"
    verb: ClassVar[str] = "explanation-requests"

    everything: bool = False
