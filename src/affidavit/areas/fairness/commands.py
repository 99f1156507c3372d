"""Requests of fairness. The internal one records what the assessment found; no door offers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.fairness.events import FairThreshold, FairVerdict
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, LocalPath, Ref, Slug, Token, VaultText, VersionRef


@dataclass(frozen=True, slots=True)
class ProposePlan(Command):
    """Put up a fairness plan of a model: groups, metrics, bounds with reasons, the data they are judged on.

    A group is a column of the data (`SEX`), or a banded one with its edges (`AGEP:25,40,60`); several in one
    threshold are an intersection.
    """

    verb: ClassVar[str] = "propose-plan"
    permission: ClassVar[str] = "fairness.plan"
    asks: ClassVar[tuple[str, ...]] = ("registry.model", "lineage.dataset")
    model: Slug
    dataset: Ref
    split: Token
    thresholds: tuple[FairThreshold, ...]
    reason: VaultText
    group_basis: VaultText


@dataclass(frozen=True, slots=True)
class ApprovePlan(Command):
    """Put a proposed fairness plan into force until its review; its proposer may not."""

    verb: ClassVar[str] = "approve-plan"
    permission: ClassVar[str] = "fairness.approve_plan"
    plan: Id
    review_by: datetime


@dataclass(frozen=True, slots=True)
class Assess(Measure):
    """Assess a version by group under the plan in force, on the predictions of its recorded evaluation.

    Labels are those of the evaluation, its rows those of the measured split; ``split_column`` is checked if given.
    """

    verb: ClassVar[str] = "assess"
    permission: ClassVar[str] = "fairness.assess"
    version: VersionRef
    data: LocalPath
    split_column: Token | None = None


@dataclass(frozen=True, slots=True)
class RecordAssessment(Command):
    """Record an assessment that the service measured."""

    verb: ClassVar[str] = "record-assessment"
    permission: ClassVar[str] = "fairness.assess"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("registry.version", "lineage.dataset")
    version: VersionRef
    artifact: Digest
    plan: Id
    dataset: Ref
    split: Token
    content: Digest
    rows: Count
    seed: Count
    code: Digest
    verdicts: tuple[FairVerdict, ...]
    table: Attachment


@dataclass(frozen=True, slots=True)
class ListPlans(Query):
    """The fairness plans of a model, oldest first, and the one in force."""

    verb: ClassVar[str] = "plans"
    permission: ClassVar[str] = "fairness.read"
    model: Slug


@dataclass(frozen=True, slots=True)
class ShowAssessment(Query):
    """The newest fairness assessment of a version: every verdict with its value, interval and smallest group."""

    verb: ClassVar[str] = "assessment"
    permission: ClassVar[str] = "fairness.read"
    version: VersionRef
