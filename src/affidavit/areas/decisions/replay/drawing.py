"""The population of a replay and the draw from it: both can be had again from the ledger. Pure.

A decision is known by its place (stream, row number), which erasure leaves; a population is ranges of places.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, count
from typing import NamedTuple

from affidavit.streams.ids import id_bytes

ALGORITHM = (
    "k = 0, 1, …: SHA-256(seed LF population LF k) mod population_n, repeats skipped; affidavit/replay-sample/v1"
)


class Range(NamedTuple):
    """Rows of a stream by number, both ends included."""

    stream: str
    first: int
    last: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.last - self.first + 1


def ms_of(decision: str) -> int:
    """The milliseconds since 1970 that an id begins with: the time a decision is placed by."""
    return int.from_bytes(id_bytes(decision)[:6], "big")


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Ranges in order of stream and row, adjacent ones as one: the same rows always give the same ranges."""
    found: list[Range] = []
    for r in sorted(ranges):
        if found and found[-1].stream == r.stream and found[-1].last + 1 == r.first:
            found[-1] = Range(r.stream, found[-1].first, r.last)
        else:
            found.append(r)
    return tuple(found)


def population_digest(ranges: Sequence[Range]) -> str:
    """SHA-256 over a line ``stream first last`` per range, in order."""
    lines = "".join(f"{r.stream} {r.first} {r.last}\n" for r in ranges)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def drawn(seed: str, ranges: Sequence[Range], size: int) -> list[tuple[str, int]]:
    """``size`` places in the order they were drawn; every place in order if there are no more than that."""
    ends = list(accumulate(r.rows for r in ranges))
    total, digest = ends[-1] if ends else 0, population_digest(ranges)
    if size >= total:
        return [_place(ranges, ends, n) for n in range(total)]
    chosen: dict[int, None] = {}
    for k in count():
        value = hashlib.sha256(f"{seed}\n{digest}\n{k}".encode()).digest()
        chosen[int.from_bytes(value, "big") % total] = None
        if len(chosen) == size:
            break
    return [_place(ranges, ends, n) for n in chosen]


def _place(ranges: Sequence[Range], ends: Sequence[int], index: int) -> tuple[str, int]:
    at = bisect_right(ends, index)
    r = ranges[at]
    return r.stream, r.last - (ends[at] - 1 - index)


def within(first: int, times: Sequence[int | None], start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Rows, as (first, last) by number from ``first``, with ``start_ms <= time < end_ms``.

    An erased row has no time: it has that of the row before it, at the head of a segment that of the next.
    """
    known = next((t for t in times if t is not None), None)
    found: list[tuple[int, int]] = []
    for seq, at in enumerate(times, first):
        known = at if at is not None else known
        if known is None or not start_ms <= known < end_ms:
            continue
        if found and found[-1][1] + 1 == seq:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
