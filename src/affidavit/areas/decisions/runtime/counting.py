"""Counting the sealed rows of a day: how many an hour, and which are late, doubled, unfilled or of another version.

Needs numpy and pyarrow. One segment is in memory at a time, and 24 bytes for each row of the day (its id and number):
ten million rows of a day take 240 MB. A segment's file is hashed before it is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affidavit.areas.decisions.sealed_rows import Placed, opened, segments_between
from affidavit.core.area import Desk
from affidavit.core.errors import NotFound, Tampered
from affidavit.streams.ids import id_bytes

HOUR_MS = 3_600_000
DAY = timedelta(days=1)
DAY_MS = 86_400_000
MOST_RANGES = 1_000
"""Ranges of rows that the details name for one kind of exception; all rows are counted."""
MANDATORY = ("id", "at", "deployment", "version", "configuration", "caller")
PLAIN = r"@|^\+\d[\d ().-]{6,}$|^\d{2,4}[ ./-]\d{2,4}[ ./-]\d{2,6}$|^\p{Lu}[\p{L}'-]+,? \p{Lu}[\p{L}' -]*$"
"""A subject that looks like an e-mail address, a telephone or national number, a date of birth, or a name."""
Ranges = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment as the register knows it; ``artifact`` is None for one that it does not know."""

    deployment: str
    model: str | None
    env: str | None
    artifact: str | None
    registered_ms: int
    since: datetime
    until: datetime | None

    def live(self, start: datetime, end: datetime) -> bool:
        """Whether it served at some moment of ``start <= t < end``, by the register."""
        return self.artifact is not None and self.since < end and (self.until is None or self.until > start)


@dataclass(slots=True)
class Tally:
    """What the sealed rows of a day of a deployment show. ``ranges``: rows by kind of exception, named by stream."""

    target: Target
    day: datetime
    recorded: Any = field(default_factory=lambda: np.zeros(24, "i8"))
    receipted: Any = field(default_factory=lambda: np.zeros(24, "i8"))
    erased: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    ranges: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    digests: Counter[str] = field(default_factory=Counter)
    streams: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    kept: list[tuple[str, Any, Any]] = field(default_factory=list)
    last_at: dict[str, int] = field(default_factory=dict)

    def mark(self, what: str, stream: str, seqs: Any) -> None:
        """Count rows under a kind of exception and name their ranges."""
        if not len(seqs):
            return
        self.counts[what] += len(seqs)
        named = self.ranges.setdefault(what, [])
        named += [(stream, a, b) for a, b in runs(seqs)][: max(0, MOST_RANGES - len(named))]

    def name(self, what: str, stream: str, first: int, last: int, n: int) -> None:
        """Count ``n`` rows that are one range."""
        self.counts[what] += n
        self.ranges.setdefault(what, []).append((stream, first, last))


def runs(seqs: Any) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers; ``seqs`` ascend."""
    if len(seqs):
        cuts = np.flatnonzero(np.diff(seqs) != 1)
        starts, ends = np.r_[0, cuts + 1], np.r_[cuts, len(seqs) - 1]
        yield from ((int(seqs[a]), int(seqs[b])) for a, b in zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Measure:
    """By what rows are judged: the tolerated skew, how long a row may wait for its seal, rows with receipts by stream,
    the entry that reconciled the day before.
    """

    skew_ms: int
    sealed_ms: int
    receipts: Mapping[str, Ranges]
    before: int | None


def tally(desk: Desk, target: Target, day: datetime, by: Measure) -> Tally:
    """The sealed rows of a day of a deployment, segment by segment."""
    found = Tally(target, day)
    for where in segments_between(desk, "decisions", day, day + DAY, target.deployment):
        h = where.header
        if h.deployment != target.deployment:  # a canary of the service's own names no deployment
            continue
        read = _read(desk, where)
        if read is None:
            found.name("unreadable", h.stream, h.first_seq, h.last_seq, h.n)
            continue
        _count(found, where, *read, by)
    _duplicates(found)
    return found


def _read(desk: Desk, where: Placed) -> tuple[Any, Any, Any] | None:
    """``(schema, table, which rows are erased)``; None for a segment that is missing or not the one recorded."""
    try:
        with desk.segment(where.file) as source:
            if "sha256:" + hashlib.file_digest(source, "sha256").hexdigest() != where.file:  # type: ignore[arg-type]
                return None
        segment = opened(desk, where)
        outputs = [c.name for c in segment.schema.outputs]
        wanted = [n for n in (*MANDATORY, "subject", *outputs) if n in segment.schema.names]
        table = segment.table(wanted)
        gone = np.zeros(table.num_rows, bool)
        if table.column("id").null_count:
            gone = _true(pc.is_null(segment.table(["salt"]).column(0)))
    except (NotFound, Tampered):
        return None
    return segment.schema, table, gone


def _true(mask: Any) -> Any:
    """A boolean Arrow column as numpy; null is false."""
    return np.asarray(pc.fill_null(mask, False)).astype(bool)


def _count(found: Tally, where: Placed, schema: Any, table: Any, gone: Any, by: Measure) -> None:
    stream, first = where.header.stream, where.header.first_seq
    start = int(found.day.timestamp() * 1000)
    at = _times(table, int(where.header.t_min.timestamp() * 1000))
    seqs = np.arange(first, first + table.num_rows)
    inside = (at >= start) & (at < start + DAY_MS)
    found.columns |= set(schema.names)
    if not inside.any():
        found.last_at[stream] = int(at[-1])
        return
    found.streams.add(stream)
    hours = (at[inside] - start) // HOUR_MS
    found.recorded += np.bincount(hours, minlength=24)
    found.receipted += np.bincount(hours[among(by.receipts.get(stream, []), seqs[inside])], minlength=24)
    found.erased += int((inside & gone).sum())
    there = inside & ~gone
    high, low = _ids(table)
    version7 = ((high >> np.uint64(12)) & np.uint64(15) == 7) & (low >> np.uint64(62) == 2)
    unfilled = _unfilled(table, schema) | ~version7
    step = np.abs(at - (high >> np.uint64(16)).astype("i8")) > by.skew_ms
    step |= np.diff(at, prepend=found.last_at.get(stream, int(at[0]))) < -by.skew_ms
    sealed = int(where.record.head.at.timestamp() * 1000)
    late = sealed - at > by.sealed_ms
    if by.before is not None and where.record.index > by.before:
        late[:] = True
    unknown = _unknown(found, table, at, there)
    marks = {"late": late, "unfilled": unfilled, "unknown": unknown, "step": step & version7, "plain": _plain(table)}
    for what, mask in marks.items():
        found.mark(what, stream, seqs[mask & there])
    found.last_at[stream] = int(at[-1])
    kept = there & version7
    found.kept.append((stream, seqs[kept], np.stack([high[kept], low[kept]], axis=1)))


def _times(table: Any, t_min: int) -> Any:
    """Times in ms; an absent one is taken from the row before it, else after it, else from the header."""
    column = table.column("at").cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(pc.fill_null_backward(pc.fill_null_forward(column)), t_min)
    return np.asarray(column)


def _ids(table: Any) -> tuple[Any, Any]:
    """Both halves of each id as numbers."""
    column = pc.fill_null(table.column("id"), bytes(16)).combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    halves = np.frombuffer(column.buffers()[1], ">u8").reshape(-1, 2)[column.offset : column.offset + len(column)]
    return halves[:, 0].astype("u8"), halves[:, 1].astype("u8")


def _unfilled(table: Any, schema: Any) -> Any:
    missing = np.zeros(table.num_rows, bool)
    for name in MANDATORY:
        missing |= _true(pc.is_null(table.column(name))) if name in schema.names else True
    if "caller" in schema.names:
        missing |= _true(pc.equal(table.column("caller"), ""))
    outputs = [_true(pc.is_null(table.column(c.name))) for c in schema.outputs]
    return missing | (np.logical_and.reduce(outputs) if outputs else True)


def _unknown(found: Tally, table: Any, at: Any, there: Any) -> Any:
    """Rows of another version than the deployment's, of another deployment, or from before its registration."""
    target, count = found.target, table.num_rows
    if target.artifact is None:
        other = np.ones(count, bool)
    else:
        want = pa.scalar(bytes.fromhex(target.artifact.removeprefix("sha256:")), pa.binary(32))
        other = _true(pc.not_equal(table.column("version"), want)) | (at < target.registered_ms)
    foreign = pc.not_equal(table.column("deployment"), pa.scalar(id_bytes(target.deployment), pa.binary(16)))
    other |= _true(foreign)
    seen = pc.value_counts(table.column("version").filter(pa.array(other & there)))
    for value in seen.to_pylist():
        if value["values"] is not None:
            found.digests["sha256:" + value["values"].hex()] += value["counts"]
    return other


def _plain(table: Any) -> Any:
    if "subject" not in table.column_names:
        return np.zeros(table.num_rows, bool)
    subjects = table.column("subject").combine_chunks()
    subjects = subjects.chunk(0) if isinstance(subjects, pa.ChunkedArray) else subjects
    coded = subjects.dictionary_encode()
    return _true(pc.match_substring_regex(coded.dictionary, PLAIN).take(coded.indices))


def among(ranges: Iterable[tuple[int, int]], seqs: Any) -> Any:
    """Which numbers lie in one of the ranges (both ends included; sorted, disjoint)."""
    pairs = list(ranges)
    if not pairs:
        return np.zeros(len(seqs), bool)
    starts, ends = (np.array(side) for side in zip(*pairs, strict=True))
    place = np.searchsorted(starts, seqs, "right") - 1
    return (place >= 0) & (seqs <= ends[place])


def _duplicates(found: Tally) -> None:
    """Rows beyond the first that bear an id. Equal low halves are candidates; whole ids decide."""
    if not found.kept:
        return
    low = np.concatenate([ids[:, 1] for _, _, ids in found.kept])
    low.sort()
    twice = np.unique(low[1:][low[1:] == low[:-1]])
    seen: set[bytes] = set()
    for stream, seqs, ids in found.kept if len(twice) else ():
        doubled = []
        for n in np.flatnonzero(np.isin(ids[:, 1], twice)):
            body = ids[n].tobytes()
            if body in seen:
                doubled.append(int(seqs[n]))
            seen.add(body)
        found.mark("duplicate", stream, np.array(doubled, "i8"))
    found.kept.clear()
