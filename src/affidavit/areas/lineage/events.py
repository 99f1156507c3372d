"""Facts of lineage: dataset versions, splits, training runs, observed reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Digest, Id, Principal, Ref, Slug, Token, VaultText

LegalBasis = Literal[
    "public-domain", "licence", "contract", "consent", "legitimate-interest", "legal-obligation", "public-task"
]
Sensitivity = Literal["public", "internal", "confidential", "personal", "special-category"]
Role = Literal["training", "validation", "test", "grounding"]


@fact("lineage.dataset_registered")
@dataclass(frozen=True, slots=True)
class DatasetRegistered:
    """A dataset version with where it came from, what it holds, and the digest of its bytes and of its row set."""

    dataset: Slug
    version: Token
    origin: VaultText
    source_version: Token
    licence: Token
    legal_basis: LegalBasis
    sensitivity: Sensitivity
    owner: Principal
    collected_from: datetime
    collected_to: datetime
    retention: Token
    content: Digest
    bytes: Count
    rows: Count
    row_set: Digest
    row_key: VaultText
    schema: Attachment
    parents: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a dataset version: its rows, the digest of their index file, the root of its row set."""

    name: Role
    rows: Count
    content: Digest
    row_set: Digest


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows that two splits share: exactly equal, and equal after rounding (near-duplicates)."""

    first: Role
    second: Role
    equal: Count
    near: Count


@fact("lineage.split_measured")
@dataclass(frozen=True, slots=True)
class SplitMeasured:
    """The splits of a dataset version and how far they overlap, measured on the bytes.

    ``identity`` names the columns by which two rows are the same; none: all columns.
    """

    dataset: Slug
    version: Token
    content: Digest
    splits: tuple[Split, ...]
    overlaps: tuple[Overlap, ...]
    identity: tuple[Token, ...]
    code: Digest


@dataclass(frozen=True, slots=True)
class Input:
    """What a run declares it read: the dataset version, the part, the digest of the bytes it read."""

    dataset: Ref
    role: Role
    content: Digest
    rows: Count


@fact("lineage.run_recorded")
@dataclass(frozen=True, slots=True)
class RunRecorded:
    """A training run: code, environment, parameters, what it read, what it wrote (the training manifest)."""

    run: Id
    started: datetime
    ended: datetime
    code: Token
    environment: Digest
    parameters: dict[Token, Token]
    inputs: tuple[Input, ...]
    output: Digest
    seed: Count


@fact("lineage.read_observed")
@dataclass(frozen=True, slots=True)
class ReadObserved:
    """A storage access log says that a run read this object: one row of an extract."""

    source: Token
    run: Id
    content: Digest
    read_at: datetime


@fact("lineage.reads_extracted")
@dataclass(frozen=True, slots=True)
class ReadsExtracted:
    """An extract of a storage access log was taken in whole: account, query, window, rows, raw bytes."""

    source: Token
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    rows: Count
    raw: Attachment
    extractor: Token
