"""What another source counted in the hours of a day: gateway, mesh, billing; and what receipts say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from affidavit.areas.decisions.runtime.extracts import Hours, parse_counts
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.fields import parse_time, time_text
from affidavit.streams.ids import id_bytes, id_ms

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(slots=True)
class Counter:
    """One source's hours of a day; of an hour that two extracts cover the newer one stands, and a difference is kept."""

    source: str
    values: list[dict[str, int] | None] = field(default_factory=lambda: [None] * 24)
    entry: int = 0
    conflicts: list[list[Any]] = field(default_factory=list)

    def take(self, entry: int, window: tuple[datetime, datetime], hours: Hours, day: datetime) -> None:
        """Take in an extract; call oldest entry first."""
        for h in range(24):
            at = day + h * HOUR
            if not window[0] <= at < window[1]:
                continue
            now, before = {key: by_hour.get(at, 0) for key, by_hour in hours.items()}, self.values[h] or {}
            self.conflicts += [[time_text(at), k, before[k], n] for k, n in now.items() if before.get(k, n) != n]
            self.values[h], self.entry = before | now, entry

    def of(self, deployment: str, group: str) -> tuple[list[int | None], bool]:
        """Counts by hour, None where it did not count; and whether they are those of the model, not of the deployment."""
        named = any(v is not None and deployment in v for v in self.values)
        key = deployment if named else group
        return [None if v is None else v.get(key) for v in self.values], not named


MOST_PARSED = 4


def counters(desk: Desk, day: datetime, parsed: dict[str, Hours]) -> list[Counter]:
    """Every source that counted in the day. ``parsed`` keeps the extracts of the day for the next one."""
    found: dict[str, Counter] = {}
    used: dict[str, Hours] = {}
    for x in desk.ask("decisions.extracts", "counts", day, day + DAY):
        digest = x["raw"]
        if digest not in used:
            used[digest] = parsed.get(digest) or _read(desk, digest)
        window = (parse_time(x["start"]), parse_time(x["until"]))
        found.setdefault(x["source"], Counter(x["source"])).take(x["entry"], window, used[digest], day)
    parsed.clear()
    parsed.update(used)
    return [found[s] for s in sorted(found)]


_PARSED: dict[str, Hours] = {}
"""The extracts read last, by digest: days are compared one after the other over the same few."""


def _read(desk: Desk, digest: str) -> Hours:
    found = _PARSED.get(digest)
    if found is None:
        with desk.open(digest) as source:
            found = parse_counts(read_verified(source, digest, "an extract of request counts"))
        while len(_PARSED) >= MOST_PARSED:
            _PARSED.pop(next(iter(_PARSED)))
        _PARSED[digest] = found
    return found


def share(
    counted: Sequence[int | None], mine: str, rows: Mapping[str, Sequence[int]], live: Mapping[str, Sequence[bool]]
) -> list[int | None]:
    """A deployment's share of hours counted for its model: where several served, all but the last get what they recorded.

    ``rows`` and ``live`` by deployment, oldest first. So what is missing shows at the one that took over.
    """
    found: list[int | None] = []
    for h, total in enumerate(counted):
        those = [d for d in rows if live[d][h] or rows[d][h]] or [*rows][-1:]
        if total is None or mine not in those:
            found.append(total if total is None else 0)
            continue
        left = total
        for d in those:
            part = left if d == those[-1] else min(left, rows[d][h])
            if d == mine:
                found.append(part)
            left -= part
    return found


# ---------------------------------------------------------------- receipts


@dataclass(slots=True)
class Receipts:
    """Every genuine receipt presented so far. ``signed``: row numbers by stream; ``beyond``: not sealed when presented."""

    signed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    beyond: dict[str, dict[int, str]] = field(default_factory=dict)
    different: dict[str, dict[int, str]] = field(default_factory=dict)
    entry: int | None = None

    def without_row(self, stream: Mapping[str, Any], day: datetime) -> tuple[list[int], list[tuple[int, int]]]:
        """Receipts of a day whose stream ended without their row: per hour, and their ranges.

        A row number below ``next_seq`` was sealed since they were presented.
        """
        hours, seqs = [0] * 24, []
        if stream["state"] != "open":
            for seq, decision in self.beyond.get(stream["stream"], {}).items():
                h = _hour(decision, day)
                if seq >= stream["next_seq"] and h is not None:
                    hours[h] += 1
                    seqs.append(seq)
        return hours, _joined([(s, s) for s in seqs])

    def altered(self, stream: str, day: datetime) -> list[tuple[int, int]]:
        """Rows of a day that are not what was receipted, as ranges."""
        those = self.different.get(stream, {})
        return _joined([(s, s) for s, decision in those.items() if _hour(decision, day) is not None])


def _hour(decision: str, day: datetime) -> int | None:
    since = id_ms(id_bytes(decision)) - int(day.timestamp() * 1000)
    return since // 3_600_000 if 0 <= since < 86_400_000 else None


def receipts(desk: Desk) -> Receipts:
    """All presentations as one; a receipt presented twice counts once."""
    found = Receipts()
    for p in desk.ask("decisions.presented"):
        with desk.open(p["details"]) as source:
            body = canonical.decode(read_verified(source, p["details"], "the details of presented receipts"))
        found.entry = p["entry"]
        for stream, one in body["streams"].items():
            found.signed[stream] = _joined([*found.signed.get(stream, []), *((a, b) for a, b in one["signed"])])
            for name, into in (("beyond", found.beyond), ("different", found.different)):
                into.setdefault(stream, {}).update(dict(one[name]))
    return found


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, disjoint ranges of the same numbers."""
    found: list[tuple[int, int]] = []
    for a, b in sorted(ranges):
        if found and a <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(b, found[-1][1]))
        else:
            found.append((a, b))
    return found


def ranges_of(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers as ranges."""
    return _joined([(s, s) for s in seqs])
