"""What a seal commits to: the header of a segment, the tree over the headers of a batch. [bytes]

``SegmentSealed`` is a leaf of its batch: the canonical bytes of the header are the leaf entry. The batch's root stands
in the ledger (``decisions.batch_sealed``); the headers themselves are its attachment, one canonical object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid
from affidavit.core.fields import Count, Digest, Id, Positive, Token
from affidavit.ledger import merkle
from affidavit.streams.schema import Kind

SEGMENT_ROWS = 131_072
"""Most rows of a segment."""
BATCH_SEGMENTS = 32
"""Most segments of a batch: their spans fit an entry."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a spool stream that went into a segment under other row numbers (protected attributes)."""

    stream: Id
    first_seq: Count
    last_seq: Count


@dataclass(frozen=True, slots=True)
class SegmentSealed:
    """The header of a segment: its place (stream, first and last row), its tree, its file, who wrote it.

    ``root`` is the Merkle root over the leaves of all ``n`` rows; ``file`` and ``tree`` are locators: the digests of
    the Parquet file and of the tiles beside it. ``served`` and ``recorded`` are the writer's own running counts at the
    last row. ``id_min`` and ``id_max`` bound the decision ids of a decisions segment.
    """

    stream: Id
    kind: Kind
    first_seq: Count
    last_seq: Count
    n: Positive
    t_min: datetime
    t_max: datetime
    root: Digest
    schema: Digest
    file: Digest
    file_bytes: Count
    tree: Digest
    writer: Token
    served: Count
    recorded: Count
    deployment: Id | None = None
    id_min: Id | None = None
    id_max: Id | None = None
    sources: tuple[Source, ...] = ()

    @property
    def id(self) -> str:
        """``stream/first-last``: a row is sealed exactly once because two segments of a stream never overlap."""
        return f"{self.stream}/{self.first_seq}-{self.last_seq}"

    def leaf_entry(self) -> bytes:
        """The canonical bytes: the header's leaf in its batch."""
        return canonical.encode(codec.dump_object(self))


@dataclass(frozen=True, slots=True)
class Span:
    """A segment's place as the entry of its batch states it: enough to find a row by id, and to admit each row once."""

    stream: Id
    first_seq: Count
    last_seq: Count
    id_min: Id | None = None
    id_max: Id | None = None


def span_of(header: SegmentSealed) -> Span:
    """The span of a header."""
    return Span(header.stream, header.first_seq, header.last_seq, header.id_min, header.id_max)


def check_header(header: SegmentSealed) -> None:
    """Raise ``Invalid`` unless numbers, times and ids of a header agree with each other."""
    if header.last_seq - header.first_seq + 1 != header.n or header.n > SEGMENT_ROWS:
        raise Invalid(f"segment {header.id} states {header.n} rows.", next_step="refuse it.")
    if header.t_min > header.t_max or (header.id_min or "") > (header.id_max or ""):
        raise Invalid(f"segment {header.id} ends before it begins.", next_step="refuse it.")


def encode_headers(headers: Sequence[SegmentSealed]) -> bytes:
    """The canonical attachment of a batch: its headers in order."""
    return canonical.encode({"segments": [codec.dump_object(h) for h in headers]})


def parse_headers(body: bytes) -> list[SegmentSealed]:
    """The headers of an attachment, each checked. Raises ``Invalid``."""
    value: Any = canonical.decode(body)
    if not isinstance(value, dict) or set(value) != {"segments"} or not isinstance(value["segments"], list):
        raise Invalid("the attachment is no list of segment headers.", next_step="restore it from a backup.")
    headers = [codec.load_object(SegmentSealed, row, f"segments[{n}]") for n, row in enumerate(value["segments"])]
    for header in headers:
        check_header(header)
    return headers


def batch_leaves(headers: Sequence[SegmentSealed]) -> list[bytes]:
    """The leaf hashes of a batch, in order."""
    return [merkle.leaf_hash(h.leaf_entry()) for h in headers]


def batch_root(headers: Sequence[SegmentSealed]) -> str:
    """The root over the headers of a batch, as a digest text."""
    return "sha256:" + merkle.root(batch_leaves(headers)).hex()
