"""Heartbeats of a day, as sealed: when each process was heard, and what it said it runs. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from affidavit.areas.decisions.sealed_rows import opened, segments_between
from affidavit.core.area import Desk
from affidavit.core.fields import time_text
from affidavit.streams.ids import id_text


@dataclass(slots=True)
class Beats:
    """Of one stream: times in ms, digests of version and configuration in the order first heard."""

    at_ms: list[int] = field(default_factory=list)
    versions: dict[str, None] = field(default_factory=dict)
    configurations: dict[str, None] = field(default_factory=dict)


def beats_of(desk: Desk, start: datetime, end: datetime) -> dict[str, Beats]:
    """Heartbeats of ``start <= at < end`` by the stream they are about, else by their own: a process that served nothing yet.

    Memory: the times of a window, one segment at a time.
    """
    low, high = (int(t.timestamp() * 1000) for t in (start, end))
    found: dict[str, Beats] = {}
    for where in segments_between(desk, "heartbeats", start, end):
        for row in _rows(opened(desk, where)):
            at = int(row["at"].timestamp() * 1000) if row["at"] else -1
            if low <= at < high:
                beats = found.setdefault(id_text(row["stream"]) if row["stream"] else where.header.stream, Beats())
                beats.at_ms.append(at)
                for name, into in (("version", beats.versions), ("configuration", beats.configurations)):
                    if row[name] is not None:
                        into["sha256:" + row[name].hex()] = None
    return found


def joined(parts: Iterable[Beats]) -> Beats:
    """Beats of several streams as one."""
    found = Beats()
    for part in parts:
        found.at_ms += part.at_ms
        found.versions |= part.versions
        found.configurations |= part.configurations
    return found


def _rows(segment: Any) -> Iterator[dict[str, Any]]:
    table = segment.table(["at", "stream", "version", "configuration"])
    for batch in table.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def silences(beats: Beats, start: datetime, end: datetime, within: timedelta) -> list[list[str]]:
    """Stretches without a heartbeat longer than ``within``, between ``start`` and ``end``."""
    marks = [start, *(datetime.fromtimestamp(ms / 1000, UTC) for ms in sorted(beats.at_ms)), end]
    return [[time_text(a), time_text(b)] for a, b in pairwise(marks) if b - a > within]
