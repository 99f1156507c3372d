"""Commands that record what a measure found. No door offers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.registry.events import Format, Verdict
from affidavit.core.area import Command
from affidavit.core.fields import (
    Attachment,
    Count,
    Dec6,
    Digest,
    Id,
    Positive,
    Principal,
    Ref,
    Slug,
    Token,
    VaultText,
    VersionRef,
)


@dataclass(frozen=True, slots=True)
class RecordVersion(Command):
    """Record a stored, signed artifact as the next version. ``contents``: digests of its files, at most 50."""

    verb: ClassVar[str] = "record-version"
    permission: ClassVar[str] = "registry.register"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("lineage.dataset", "lineage.run", "access.principal")
    model: Slug
    artifact: Digest
    files: Positive
    bytes: Count
    contents: tuple[Digest, ...]
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
class RecordEvaluation(Command):
    """Record an evaluation that the service measured."""

    verb: ClassVar[str] = "record-evaluation"
    permission: ClassVar[str] = "registry.evaluate"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("lineage.splits",)
    version: VersionRef
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


@dataclass(frozen=True, slots=True)
class RecordDrill(Command):
    """Record a rehearsed rollback."""

    verb: ClassVar[str] = "record-drill"
    permission: ClassVar[str] = "registry.drill"
    internal: ClassVar[bool] = True
    env_field: ClassVar[str | None] = "to"
    version: VersionRef
    artifact: Digest
    to: Token
    golden: Digest
    rows: Count
    differing: Count
    worst: Dec6
    tolerance: Dec6
    took_ms: Count
    objective_ms: Count


@dataclass(frozen=True, slots=True)
class RecordLoad(Command):
    """Record that every byte of a version was verified and loaded."""

    verb: ClassVar[str] = "record-load"
    permission: ClassVar[str] = "registry.load"
    internal: ClassVar[bool] = True
    version: VersionRef
    artifact: Digest
    env: Token | None = None


@dataclass(frozen=True, slots=True)
class RecordTamper(Command):
    """Record that a stored file of a version is not the one that was registered."""

    verb: ClassVar[str] = "record-tamper"
    permission: ClassVar[str] = "registry.load"
    internal: ClassVar[bool] = True
    version: VersionRef
    artifact: Digest
    expected: Digest
    found: Digest
    env: Token | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One row of a deployment log."""

    external: Token
    model: Slug
    env: Token
    artifact: Digest
    deployed_at: datetime


@dataclass(frozen=True, slots=True)
class RecordDeployments(Command):
    """Record an extract of a deployment log, whole: its window, its raw bytes and every row."""

    verb: ClassVar[str] = "record-deployments"
    permission: ClassVar[str] = "registry.observe"
    internal: ClassVar[bool] = True
    source: Slug
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    raw: Attachment
    extractor: Token
    rows: tuple[Observed, ...]
