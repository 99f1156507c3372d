"""Tests of AI-01.2 to AI-01.5, version 1: per item, every attribute of ``controls.yaml``. Frozen once released.

One root cause gives one exception: a deployment that nobody asked for deviates under AI-01.2, not under AI-01.5.
"""

from __future__ import annotations

from affidavit.areas.access.events import GrantApproved, GrantRevoked
from affidavit.areas.lineage.events import DatasetRegistered, RunRecorded, SplitMeasured
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import planted, trail
from affidavit.areas.registry.checks.artifacts import artifacts_verify, production_artifacts
from affidavit.areas.registry.checks.changes import changes_are_approved, production_changes
from affidavit.areas.registry.checks.emergencies import emergencies_are_reviewed, unapproved_changes
from affidavit.areas.registry.checks.evaluation import evaluation_precedes
from affidavit.core.findings import Check
from affidavit.core.ledger_facts import LedgerOpened

SOURCES = (
    "affidavit.areas.registry.bounds",
    *(f"affidavit.areas.registry.checks.{m}" for m in (
        "artifacts", "attributes", "changes", "emergencies", "evaluation", "trail", "v1")),
)  # fmt: skip
"""Modules whose bytes make the check digest."""

_CHANGE = (
    e.VersionPromoted, e.DeploymentObserved, e.DeploymentsExtracted, e.VersionRegistered, e.EvaluationMeasured,
    e.PromotionRequested, e.PromotionApproved, e.StandingProposed, e.StandingApproved, GrantApproved, GrantRevoked,
    RunRecorded,
)  # fmt: skip
_EVALUATION = (
    *_CHANGE, e.PlanProposed, e.PlanApproved, e.WaiverRequested, e.WaiverApproved, DatasetRegistered, SplitMeasured,
)  # fmt: skip
_ARTIFACT = (
    e.VersionPromoted, e.DeploymentObserved, e.DeploymentsExtracted, e.VersionRegistered, e.VersionLoaded,
    e.ArtifactTampered, RunRecorded, GrantApproved, GrantRevoked, LedgerOpened,
)  # fmt: skip
_DONE = trail.completeness
CHECKS = (
    Check("AI-01.2", _CHANGE, production_changes, changes_are_approved, _DONE, planted.self_approval),
    Check("AI-01.3", _EVALUATION, production_changes, evaluation_precedes, _DONE, planted.failed_threshold),
    Check("AI-01.4", _ARTIFACT, production_artifacts, artifacts_verify, _DONE, planted.flipped_byte),
    Check(
        "AI-01.5",
        (*_CHANGE, e.BreakGlassReviewed),
        unapproved_changes,
        emergencies_are_reviewed,
        _DONE,
        planted.late_review,
    ),
)
