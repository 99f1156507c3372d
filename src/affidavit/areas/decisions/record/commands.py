"""Requests of recording: seal the spool, list the streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.decisions.events import GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, Slug, Token
from affidavit.streams.sealed import Source, Span


@dataclass(frozen=True, slots=True)
class Seal(Measure):
    """Seal what the spool holds: segments, their trees, one entry; an ended stream is closed or lost.

    ``everything`` seals rows of streams still being written as well, instead of waiting for a full segment.
    """

    permission: ClassVar[str] = "decisions.seal"
    verb: ClassVar[str] = "seal"

    sealer: Token = "embedded"
    everything: bool = True


@dataclass(frozen=True, slots=True)
class RecordBatch(Command):
    """Record what a sealer sealed. A span must continue its stream: so each row is sealed exactly once."""

    permission: ClassVar[str] = "decisions.seal"
    verb: ClassVar[str] = "record-batch"
    internal: ClassVar[bool] = True

    batch: Id
    sealer: Token
    rows: Count
    t_min: datetime | None
    t_max: datetime | None
    root: Digest | None
    headers: Attachment | None
    spans: tuple[Span, ...]
    kinds: tuple[Token, ...]
    opened: tuple[StreamOpened, ...]
    closed: tuple[StreamClosed, ...]
    lost: tuple[StreamLost, ...]
    gaps: tuple[GapCounted, ...]
    taken: tuple[Source, ...] = ()
    aggregates: Attachment | None = None


@dataclass(frozen=True, slots=True)
class ListStreams(Query):
    """The streams of a model or of all: which process, how many rows are sealed, how they ended."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "streams"

    model: Slug | None = None
    state: Token | None = None
