"""Requests of completeness and runtime truth: extracts of systems that act, receipts, and their reconciliation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.decisions.events_runtime import CountsReconciled, What
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, LocalPath, Positive, Slug, Token, VaultText


@dataclass(frozen=True, slots=True)
class ObserveServing(Measure):
    """Take in an inventory of what serves (CSV or JSON lines: endpoint, artifact, env, first_seen, last_seen, model).

    ``model`` may be left out. ``account`` and ``query`` say how the platform was asked, for ``start`` to ``end``.
    """

    permission: ClassVar[str] = "decisions.observe"
    verb: ClassVar[str] = "observe-serving"

    source: Slug
    extract: LocalPath
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ObserveCounts(Measure):
    """Take in hourly request counts (CSV or JSON lines: hour, count, and deployment or model and env).

    A gateway, mesh or billing system counts, not the recorder. An hour without a line is 0 for what the extract names
    at all: name what had no request with a 0. Window and hours begin at a full hour of UTC.
    """

    permission: ClassVar[str] = "decisions.observe"
    verb: ClassVar[str] = "observe-counts"

    source: Slug
    extract: LocalPath
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PresentReceipts(Measure):
    """Check receipts that callers hold (one a line) against the sealed rows: each has its row, or its process is named."""

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "present-receipts"

    source: Slug
    receipts: LocalPath


@dataclass(frozen=True, slots=True)
class Reconcile(Measure):
    """Compare the decisions recorded in a day, hour by hour, with the best other count: receipts, counter, or our own.

    ``deployment``: one; else all that served or recorded in ``env``. ``day`` is a day of UTC that is over, ``days`` how
    many from there. Rows are named by process and range where they are late, doubled, unfilled or of another version.
    """

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "reconcile"

    day: datetime
    days: Positive = 1
    deployment: Id | None = None
    env: Token = "production"


@dataclass(frozen=True, slots=True)
class ReconcileRuntime(Measure):
    """Compare what serves on a day (inventories, attesting processes) with the register; a new difference is a breach.

    ``day`` is a day of UTC, today included; seal first, so that the newest heartbeats are read.
    """

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "reconcile-runtime"

    day: datetime


@dataclass(frozen=True, slots=True)
class ListDifferences(Query):
    """Differences between what serves and the register: open ones, or all; each with its deadline."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "differences"

    settled: bool = False
    env: Token | None = None


# ---------------------------------------------------------------- what measures record


@dataclass(frozen=True, slots=True)
class Serving:
    """One row of an inventory."""

    endpoint: Token
    artifact: Digest
    env: Token
    first_seen: datetime
    last_seen: datetime
    model: Slug | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One row of request counts: of a deployment, or of a model in an environment."""

    hour: datetime
    count: Count
    deployment: Id | None = None
    model: Slug | None = None
    env: Token | None = None


@dataclass(frozen=True, slots=True)
class RecordServing(Command):
    """Record an inventory of what serves, whole: every row, then its window and its raw bytes."""

    permission: ClassVar[str] = "decisions.observe"
    verb: ClassVar[str] = "record-serving"
    internal: ClassVar[bool] = True

    source: Slug
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    raw: Attachment
    extractor: Token
    rows: tuple[Serving, ...]


@dataclass(frozen=True, slots=True)
class RecordRequestCounts(Command):
    """Record an extract of request counts, whole: its window and its raw bytes."""

    permission: ClassVar[str] = "decisions.observe"
    verb: ClassVar[str] = "record-request-counts"
    internal: ClassVar[bool] = True

    source: Slug
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    raw: Attachment
    extractor: Token
    rows: Count
    strangers: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class RecordReceipts(Command):
    """Record how presented receipts stand against the sealed rows."""

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "record-receipts"
    internal: ClassVar[bool] = True

    source: Slug
    presented: Count
    sealed: Count
    missing: Count
    forged: Count
    details: Attachment
    different: Count
    pending: Count
    unknown: Count


@dataclass(frozen=True, slots=True)
class RecordReconciled(Command):
    """Record reconciled days."""

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "record-reconciled"
    internal: ClassVar[bool] = True

    days: tuple[CountsReconciled, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference as a comparison found it, with an id in case it is new."""

    difference: Id
    endpoint: Token
    env: Token
    what: What
    found: Digest | None
    expected: Digest | None
    first_seen: datetime
    model: Slug | None = None
    stream: Id | None = None
    source: Token | None = None


@dataclass(frozen=True, slots=True)
class Serves:
    """What an endpoint or process served on the day, by which a difference that is gone is told."""

    endpoint: Token
    env: Token
    found: Digest


@dataclass(frozen=True, slots=True)
class RecordRuntime(Command):
    """Record a comparison of what serves with the register: new differences, and which known ones are gone.

    ``sources`` are the inventories that cover the day: what they no longer show is gone.
    """

    permission: ClassVar[str] = "decisions.reconcile"
    verb: ClassVar[str] = "record-runtime"
    internal: ClassVar[bool] = True

    day: datetime
    extracts: tuple[Count, ...]
    sources: tuple[Token, ...]
    endpoints: Count
    attested: Count
    unowned: Count
    details: Attachment
    differences: tuple[Difference, ...]
    serves: tuple[Serves, ...]
