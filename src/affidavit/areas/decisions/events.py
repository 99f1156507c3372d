"""Facts of decisions: streams and their seals, gaps, erasure, retention; the others stand in two files beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Digest, Id, Positive, Slug, Token, VaultText
from affidavit.streams.schema import Kind
from affidavit.streams.sealed import Source, Span

# ---------------------------------------------------------------- streams and seals


@fact("decisions.stream_opened")
@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A serving process opened a stream and attested what it runs. ``attested`` is its whole configuration.

    ``key`` is the public half (base64) of the key that signs receipts; ``host`` is a digest of the host's boot id.
    """

    stream: Id
    kind: Kind
    opened: datetime
    host: Digest
    pid: Count
    recorder: Token
    schema: Digest
    schema_body: Attachment
    deployment: Id | None = None
    model: Slug | None = None
    number: Positive | None = None
    env: Token | None = None
    artifact: Digest | None = None
    configuration: Digest | None = None
    attested: Attachment | None = None
    key: Token | None = None


@fact("decisions.batch_sealed")
@dataclass(frozen=True, slots=True)
class BatchSealed:
    """Segments were sealed: ``root`` is that of the tree over their headers, which are the attachment ``headers``.

    ``spans`` places each segment (stream, first, last, ids), ``kinds`` says of which stream kind each is. ``taken`` names
    rows of spool streams that went in under other numbers (protected attributes). ``aggregates`` holds what the
    kernels computed.
    """

    batch: Id
    sealer: Token
    segments: Positive
    rows: Positive
    t_min: datetime
    t_max: datetime
    root: Digest
    headers: Attachment
    spans: tuple[Span, ...]
    kinds: tuple[Token, ...]
    taken: tuple[Source, ...] = ()
    aggregates: Attachment | None = None


@fact("decisions.stream_closed")
@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream ended in order: rows it recorded, requests its process counted as served, and those it missed by policy."""

    stream: Id
    closed: datetime
    rows: Count
    served: Count
    missed: Count


@fact("decisions.stream_lost")
@dataclass(frozen=True, slots=True)
class StreamLost:
    """A stream's process ended without closing it: known up to ``rows`` rows (lost after seq ``rows - 1``).

    ``torn`` bytes at its end were never acknowledged; ``damaged`` bytes could not be read and may have been.
    """

    stream: Id
    last_seen: datetime
    rows: Count
    served: Count
    missed: Count
    torn: Count
    damaged: Count


@fact("decisions.gap_counted")
@dataclass(frozen=True, slots=True)
class GapCounted:
    """Requests were served and not recorded, as the policy allows: how many, between which times, why."""

    stream: Id
    start: datetime
    end: datetime
    missed: Positive
    why: Literal["disk-full", "spool-full", "write-failed"]


@fact("decisions.join_key_used")
@dataclass(frozen=True, slots=True)
class JoinKeyUsed:
    """Protected attributes were joined to decisions inside the service: for what, over which rows, with what result.

    Cells under ``k`` decisions are suppressed in ``result``.
    """

    deployment: Id
    start: datetime
    end: datetime
    purpose: Token
    rows: Count
    joined: Count
    k: Positive
    result: Attachment


# ---------------------------------------------------------------- erasure and retention


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows of a segment by index, both ends included."""

    first: Count
    last: Count


Basis = Literal["request", "retention", "court-order", "error"]


@fact("decisions.erasure_ordered")
@dataclass(frozen=True, slots=True)
class ErasureOrdered:
    """Rows are to be destroyed: how many decisions, on what basis. ``targets`` (attachment) names segments and rows.

    From this entry on the rows count as erased. ``reason`` is None where the retention rules are the reason.
    """

    order: Id
    basis: Basis
    decisions: Count
    rows: Positive
    targets: Attachment
    reason: VaultText | None = None


@fact("decisions.rows_erased")
@dataclass(frozen=True, slots=True)
class RowsErased:
    """Payload and salt of rows of a segment were destroyed, their leaves kept: same root, another file.

    ``t_max`` is the time of the segment's newest row.
    """

    order: Id
    stream: Id
    first_seq: Count
    last_seq: Count
    kind: Kind
    root: Digest
    rows: tuple[RowRange, ...]
    file_before: Digest
    file: Digest
    file_bytes: Count
    t_max: datetime | None = None


@fact("decisions.erasure_proven")
@dataclass(frozen=True, slots=True)
class ErasureProven:
    """Another identity scanned again: no stored file and no spool holds any row of the order.

    ``segments`` files were read, ``spooled`` rows of the spool; ``rows`` leaves of the order were looked for.
    """

    order: Id
    segments: Count
    rows: Count
    spooled: Count


@fact("decisions.erasure_failed")
@dataclass(frozen=True, slots=True)
class ErasureFailed:
    """Another identity scanned again and found rows of the order: how many, and where (attachment)."""

    order: Id
    rows: Count
    found: Positive
    places: Attachment


@fact("decisions.hold_placed")
@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """A legal hold: nothing of its scope is erased until it is released. No scope at all holds everything."""

    hold: Id
    reason: VaultText
    deployment: Id | None = None
    decision: Id | None = None
    start: datetime | None = None
    end: datetime | None = None


@fact("decisions.hold_released")
@dataclass(frozen=True, slots=True)
class HoldReleased:
    """A legal hold ended."""

    hold: Id
    reason: VaultText


@fact("decisions.segments_verified")
@dataclass(frozen=True, slots=True)
class SegmentsVerified:
    """Stored segments were read again and hashed: ``segments`` of the ``sealed`` ones, and how many are flawed.
    ``newest`` is the entry of the newest seal that was known when it began.

    ``missing`` and ``damaged`` count segments; ``unexplained`` rows whose payload is gone without an erasing entry;
    ``revived`` files that an erasure had destroyed. ``overdue`` counts segments kept beyond the retention of their
    class without a hold (``ruled`` says whether the rules state one), ``early`` those that retention erased before its
    minimum. ``oldest`` is the earliest time that a segment with payload reaches back to.
    """

    day: Token
    newest: Count
    sealed: Count
    segments: Count
    rows: Count
    damaged: Count
    missing: Count
    unexplained: Count
    revived: Count
    overdue: Count
    early: Count
    ruled: bool
    anchored: bool
    details: Attachment
    oldest: datetime | None = None
