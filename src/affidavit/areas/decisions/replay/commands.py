"""Requests of replay: run decisions again, look into a mismatch, list the replays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from affidavit.areas.decisions.events_people import Cause, VersionReplayed
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Count, Dec6, Digest, Id, Positive, Slug, Token, VaultText


@dataclass(frozen=True, slots=True)
class Replay(Measure):
    """Run decisions again with the recorded version, confined, and compare with the recorded output.

    Name ``decisions`` by id, or draw ``sample`` of a ``model``'s from ``start`` to before ``end`` (now) by ``seed``; the
    workspace draws a seed if none is given. ``require`` names isolation without which nothing is run, such as
    ``no-network``. Tolerance and sample size are those of AI-08.5 unless given.
    """

    permission: ClassVar[str] = "decisions.replay"
    verb: ClassVar[str] = "replay"

    model: Slug | None = None
    decisions: tuple[Id, ...] = ()
    sample: Positive | None = None
    seed: Token | None = None
    start: datetime | None = None
    end: datetime | None = None
    tolerance: Dec6 | None = None
    require: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordReplay(Command):
    """Record what a replay showed."""

    permission: ClassVar[str] = "decisions.replay"
    verb: ClassVar[str] = "record-replay"
    internal: ClassVar[bool] = True

    model: Slug
    versions: tuple[VersionReplayed, ...]
    start: datetime
    end: datetime
    population: Digest
    population_n: Count
    seed: Token | None
    seeded: Literal["caller", "service"] | None
    sampled: Positive
    equal: Count
    differing: Count
    failed: Count
    erased: Count
    tolerance: Dec6
    worst: Dec6 | None
    isolation: tuple[Token, ...]
    code: Digest
    results: Attachment


@dataclass(frozen=True, slots=True)
class Investigate(Command):
    """Say why a replay did not give the recorded output; another person than the one who ran it does."""

    permission: ClassVar[str] = "decisions.investigate"
    verb: ClassVar[str] = "investigate"

    replay: Id
    cause: Cause
    note: VaultText


@dataclass(frozen=True, slots=True)
class Replays(Query):
    """Replays, newest first: how many decisions gave the recorded output, and whether a mismatch was looked into."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "replays"

    model: Slug | None = None
    state: Literal["equal", "mismatch", "investigated"] | None = None
