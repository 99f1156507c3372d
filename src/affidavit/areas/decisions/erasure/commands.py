"""Requests of erasure: erase, carry out, prove, hold, expire, verify what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from affidavit.areas.decisions.events import Basis, RowRange, SegmentsVerified
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, Positive, Token, VaultText
from affidavit.streams.schema import Kind


@dataclass(frozen=True, slots=True)
class CarryOut(Measure):
    """Destroy what was ordered and is not destroyed yet: one order, or all of them. Safe to run again.

    Each step records what it rewrote; the next one goes on from there, after a crash as well.
    """

    permission: ClassVar[str] = "decisions.erase"
    verb: ClassVar[str] = "carry-out"
    everywhere: ClassVar[bool] = True

    order: Id | None = None

    def rest(self, facts: tuple[Any, ...]) -> Measure | None:
        """The next step, until one records nothing."""
        return self if facts else None


@dataclass(frozen=True, slots=True)
class Erase(Measure):
    """Destroy decisions and everything recorded about them; leaves, roots and all other proofs stay.

    Name ``decisions`` by id, or select them by ``subject`` (pseudonym), ``deployment``, ``tenant`` and the time from
    ``start`` to before ``end``. The order stands in the log before the first byte goes.
    """

    permission: ClassVar[str] = "decisions.erase"
    verb: ClassVar[str] = "erase"
    everywhere: ClassVar[bool] = True

    basis: Literal["request", "court-order", "error"]
    reason: VaultText
    decisions: tuple[Id, ...] = ()
    subject: Token | None = None
    deployment: Id | None = None
    tenant: Token | None = None
    start: datetime | None = None
    end: datetime | None = None

    def rest(self, facts: tuple[Any, ...]) -> Measure | None:
        """Carrying the order out."""
        return CarryOut(facts[0].order) if facts else None


@dataclass(frozen=True, slots=True)
class Expire(Measure):
    """Destroy whole segments that are older than the retention of their record class, but those under legal hold.

    The classes and their ages are the section ``retention`` of the rules in force.
    """

    permission: ClassVar[str] = "decisions.erase"
    verb: ClassVar[str] = "expire"
    everywhere: ClassVar[bool] = True

    def rest(self, facts: tuple[Any, ...]) -> Measure | None:
        """Carrying the order out."""
        return CarryOut(facts[0].order) if facts else None


@dataclass(frozen=True, slots=True)
class OrderErasure(Command):
    """Record an order to destroy rows; ``orders`` and ``holds`` count those that stood when the rows were chosen."""

    permission: ClassVar[str] = "decisions.erase"
    verb: ClassVar[str] = "order-erasure"
    everywhere: ClassVar[bool] = True
    internal: ClassVar[bool] = True

    basis: Basis
    decisions: Count
    rows: Positive
    targets: Attachment
    orders: Count
    holds: Count
    reason: VaultText | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A segment that now stands without some of its rows."""

    stream: Id
    first_seq: Count
    last_seq: Count
    kind: Kind
    root: Digest
    rows: tuple[RowRange, ...]
    file_before: Digest
    file: Digest
    file_bytes: Count
    t_max: datetime


@dataclass(frozen=True, slots=True)
class RecordErased(Command):
    """Record which segments were rewritten for an order."""

    permission: ClassVar[str] = "decisions.erase"
    verb: ClassVar[str] = "record-erased"
    everywhere: ClassVar[bool] = True
    internal: ClassVar[bool] = True

    order: Id
    segments: tuple[Rewritten, ...]
    holds: Count


@dataclass(frozen=True, slots=True)
class ProveErasure(Measure):
    """Scan again, by another identity than the one that ordered, that no row of an order is left anywhere."""

    permission: ClassVar[str] = "decisions.verify"
    verb: ClassVar[str] = "prove-erasure"

    order: Id


@dataclass(frozen=True, slots=True)
class RecordScan(Command):
    """Record what the scan found; ``places`` is given if it found anything."""

    permission: ClassVar[str] = "decisions.verify"
    verb: ClassVar[str] = "record-scan"
    internal: ClassVar[bool] = True

    order: Id
    segments: Count
    rows: Count
    spooled: Count
    found: Count
    places: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Certify(Measure):
    """Write the signed certificate of an erasure that was proven."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "certificate"

    order: Id


@dataclass(frozen=True, slots=True)
class Hold(Command):
    """Place a legal hold: by decision, by deployment, by the time of the decisions, or on everything."""

    permission: ClassVar[str] = "decisions.hold"
    verb: ClassVar[str] = "hold"
    everywhere: ClassVar[bool] = True

    reason: VaultText
    deployment: Id | None = None
    decision: Id | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReleaseHold(Command):
    """End a legal hold."""

    permission: ClassVar[str] = "decisions.hold"
    verb: ClassVar[str] = "release-hold"
    everywhere: ClassVar[bool] = True

    hold: Id
    reason: VaultText


@dataclass(frozen=True, slots=True)
class ListHolds(Query):
    """The legal holds: those in force, or all."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "holds"

    released: bool = False


@dataclass(frozen=True, slots=True)
class ListErasures(Query):
    """The orders to erase: basis, rows ordered and destroyed, whether proven."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "erasures"

    order: Id | None = None


@dataclass(frozen=True, slots=True)
class VerifySegments(Measure):
    """Read every stored segment again, hash its rows, compare with what was sealed and erased.

    ``since`` reads only segments with rows from then on; such a run does not count as the verification of its day.
    """

    permission: ClassVar[str] = "decisions.verify"
    verb: ClassVar[str] = "verify-segments"

    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordVerification(Command):
    """Record what the verification found; ``flawed`` are the streams it found flaws in."""

    permission: ClassVar[str] = "decisions.verify"
    verb: ClassVar[str] = "record-verification"
    internal: ClassVar[bool] = True

    found: SegmentsVerified
    flawed: tuple[Id, ...]
