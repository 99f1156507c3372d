"""Requests of recording: seal the spool, list the streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from affidavit.areas.decisions.events import GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Digest, Id, Positive, Slug, Token
from affidavit.streams.sealed import Source, Span


@dataclass(frozen=True, slots=True)
class Seal(Measure):
    """Seal what the spool holds: segments, their trees, one entry; an ended stream is closed or lost.

    Up to 32 segments a call; ``more`` in the result asks for the next. ``everything`` seals rows of streams still being
    written as well; else they wait for a full segment, or until the oldest is ``interval_s`` old.
    """

    permission: ClassVar[str] = "decisions.seal"
    verb: ClassVar[str] = "seal"

    sealer: Token = "embedded"
    everything: bool = True
    interval_s: Count = 60


@dataclass(frozen=True, slots=True)
class RecordBatch(Command):
    """Record what a sealer sealed. A span must continue its stream: so each row is sealed exactly once.

    ``counted`` holds for each gap how many requests the stream had missed before it: so each gap is counted once.
    """

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
    counted: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class CountGroups(Measure):
    """Count decisions of a window by protected group and adverse outcome; small cells are left out of the result.

    Joined inside the service under its key, by label as well where outcomes came in. Each use is recorded.
    """

    permission: ClassVar[str] = "decisions.join"
    verb: ClassVar[str] = "count-groups"

    deployment: Id
    start: datetime
    end: datetime
    purpose: Token = "fairness"
    k: Positive = 10


@dataclass(frozen=True, slots=True)
class RecordJoin(Command):
    """Record that the join key was used, and what came of it."""

    permission: ClassVar[str] = "decisions.join"
    verb: ClassVar[str] = "record-join"
    internal: ClassVar[bool] = True

    deployment: Id
    start: datetime
    end: datetime
    purpose: Token
    rows: Count
    joined: Count
    k: Positive
    result: Attachment


@dataclass(frozen=True, slots=True)
class ListStreams(Query):
    """The streams of a model or of all: which process, how many rows are sealed, how they ended."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "streams"

    model: Slug | None = None
    state: Token | None = None


@dataclass(frozen=True, slots=True)
class Equip(Measure):
    """Write the passport of what serves an environment into the spool, for recorders that see no workspace."""

    permission: ClassVar[str] = "decisions.equip"
    verb: ClassVar[str] = "equip"

    model: Slug
    env: Token
