"""Facts of fairness: plans and assessments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Dec6, Digest, Id, Positive, Ref, Slug, Token, VaultText

Aggregate = Literal["difference", "ratio", "by-group"]
Direction = Literal["at-least", "at-most"]


@dataclass(frozen=True, slots=True)
class FairThreshold:
    """A bound on a group metric, fixed beforehand. ``groups`` names one attribute, or several for intersections."""

    metric: Token
    groups: tuple[Token, ...]
    aggregate: Aggregate
    direction: Direction
    bound: Dec6
    min_n: Positive


@fact("fairness.plan_proposed")
@dataclass(frozen=True, slots=True)
class FairnessPlanProposed:
    """A fairness plan for a model: groups, metrics, bounds with reasons, data and split they are judged on."""

    plan: Id
    model: Slug
    dataset: Ref
    split: Token
    thresholds: tuple[FairThreshold, ...]
    reason: VaultText
    group_basis: VaultText


@fact("fairness.plan_approved")
@dataclass(frozen=True, slots=True)
class FairnessPlanApproved:
    """The plan is in force for the model until ``review_by``."""

    plan: Id
    model: Slug
    review_by: datetime


@dataclass(frozen=True, slots=True)
class FairVerdict:
    """One threshold judged. ``insufficient-data`` is never met."""

    metric: Token
    groups: tuple[Token, ...]
    aggregate: Aggregate
    direction: Direction
    bound: Dec6
    verdict: Literal["met", "breached", "insufficient-data"]
    value: Dec6 | None = None
    low: Dec6 | None = None
    high: Dec6 | None = None
    smallest_n: Count = 0


@fact("fairness.assessed")
@dataclass(frozen=True, slots=True)
class FairnessAssessed:
    """The exact artifact assessed by group on the plan's split; ``table`` holds every group with intervals."""

    model: Slug
    number: Positive
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
    by: Literal["service", "claimed"]
