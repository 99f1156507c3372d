"""Requests of lineage. The internal ones record what a measure found; no door offers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.lineage.events import Input, LegalBasis, Overlap, Sensitivity, Split
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, LocalPath, Principal, Ref, Slug, Token, VaultText


@dataclass(frozen=True, slots=True)
class RegisterDataset(Measure):
    """Register a dataset version: read its bytes, count and hash its rows, record where it came from."""

    verb: ClassVar[str] = "register-dataset"
    permission: ClassVar[str] = "lineage.register"
    dataset: Slug
    version: Token
    data: LocalPath
    origin: VaultText
    source_version: Token
    licence: Token
    legal_basis: LegalBasis
    sensitivity: Sensitivity
    owner: Principal
    collected_from: datetime
    collected_to: datetime
    retention: Token
    parents: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordDataset(Command):
    """Record a dataset version as it was read."""

    verb: ClassVar[str] = "record-dataset"
    permission: ClassVar[str] = "lineage.register"
    internal: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("access.principal",)
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
class MeasureSplits(Measure):
    """Measure the splits of a dataset version on its bytes: how far training, validation and test overlap.

    The parts are named by ``split_column`` or by index files of row numbers (one a line, from 0). ``identity`` names
    the columns that tell one individual from another, or ``_row`` for the row number; without it two rows that are
    equal in every column count as the same individual.
    """

    verb: ClassVar[str] = "measure-splits"
    permission: ClassVar[str] = "lineage.measure"
    dataset: Ref
    data: LocalPath
    split_column: Token | None = None
    training: LocalPath | None = None
    validation: LocalPath | None = None
    test: LocalPath | None = None
    grounding: LocalPath | None = None
    identity: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordSplits(Command):
    """Record measured splits."""

    verb: ClassVar[str] = "record-splits"
    permission: ClassVar[str] = "lineage.measure"
    internal: ClassVar[bool] = True
    dataset: Ref
    content: Digest
    splits: tuple[Split, ...]
    overlaps: tuple[Overlap, ...]
    code: Digest
    identity: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRun(Command):
    """Record a training run: code, environment, parameters, what it read and what it wrote (the manifest).

    Parameters name no people: one with an ``@`` is refused.
    """

    verb: ClassVar[str] = "record-run"
    permission: ClassVar[str] = "lineage.run"
    run: Id
    started: datetime
    ended: datetime
    code: Token
    environment: Digest
    inputs: tuple[Input, ...]
    output: Digest
    parameters: dict[Token, Token]
    seed: Count = 0


@dataclass(frozen=True, slots=True)
class ObserveReads(Measure):
    """Take in an extract of a storage access log: which run read which object (CSV or JSON lines)."""

    verb: ClassVar[str] = "observe-reads"
    permission: ClassVar[str] = "lineage.observe"
    source: Slug
    extract: LocalPath
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    extractor: Token | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """One row of a storage access log."""

    run: Id
    content: Digest
    read_at: datetime


@dataclass(frozen=True, slots=True)
class RecordReads(Command):
    """Record an extract of a storage access log, whole: its window, its raw bytes and every row."""

    verb: ClassVar[str] = "record-reads"
    permission: ClassVar[str] = "lineage.observe"
    internal: ClassVar[bool] = True
    source: Slug
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    raw: Attachment
    extractor: Token
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class ShowDataset(Query):
    """Everything recorded about one dataset version: provenance, content, splits, the runs that read it."""

    verb: ClassVar[str] = "dataset"
    permission: ClassVar[str] = "lineage.read"
    dataset: Ref


@dataclass(frozen=True, slots=True)
class ListDatasets(Query):
    """The registered dataset versions, oldest first."""

    verb: ClassVar[str] = "datasets"
    permission: ClassVar[str] = "lineage.read"
    dataset: Slug | None = None


@dataclass(frozen=True, slots=True)
class ShowRun(Query):
    """The manifest of one training run, and what the storage log says that it read."""

    verb: ClassVar[str] = "run"
    permission: ClassVar[str] = "lineage.read"
    run: Id


@dataclass(frozen=True, slots=True)
class Graph(Query):
    """Where a dataset version or a run came from and what came from it, walked both ways."""

    verb: ClassVar[str] = "graph"
    permission: ClassVar[str] = "lineage.read"
    of: Ref
