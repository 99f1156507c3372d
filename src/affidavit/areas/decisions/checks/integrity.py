"""AI-08.2: what is stored was verified each day, against an anchored head, and is kept neither too short nor too long. Pure.

One item for each interval of verification from the first seal on, a missed one included; one for each segment that
retention destroyed. A run counts for its interval only if it read every segment that was sealed before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from affidavit.areas.decisions.events import (
    BatchSealed,
    ErasureOrdered,
    HoldPlaced,
    HoldReleased,
    RowsErased,
    SegmentsVerified,
)
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.fields import Attachment, parse_duration
from affidavit.core.findings import (
    Check,
    Completeness,
    Facts,
    Item,
    Outcome,
    Period,
    deviation,
    not_applicable,
    not_tested,
    passed,
)
from affidavit.core.ledger_facts import RequestRefused
from affidavit.streams.sealed import Span

CONTROL = "AI-08.2"
NEEDS = (BatchSealed, ErasureOrdered, HoldPlaced, HoldReleased, RequestRefused, RowsErased, SegmentsVerified)
UNKNOWN = "state:unknown"
"""The reference of an interval that ends after the last fact that is known: nothing can be said of it yet."""
DELETING = ("decisions.carry-out", "decisions.erase", "decisions.expire")
DENIALS = ("denied", "legal-hold")
_LEAST = timedelta(minutes=1)

# ---------------------------------------------------------------- population


def intervals_and_ends(facts: Facts, period: Period) -> list[Item]:
    """Every interval of verification that ends in the period, from the first seal on; every segment that retention destroyed in it."""
    return [*_intervals(facts, period), *_destroyed(facts, period)]


def _intervals(facts: Facts, period: Period) -> list[Item]:
    seals = _real(facts, BatchSealed)
    if not seals:
        return []
    first = seals[0].head.at
    every = max(parse_duration(str(facts.parameter(CONTROL, "verified_every"))), _LEAST)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    start += max((period.start - start) // every, 0) * every
    known = max(r.head.at for cls in NEEDS for r in facts.all(cls)[-1:])
    found = []
    while start + every <= period.end:
        if start + every > period.start:
            refs = (f"until:{start + every:%Y-%m-%dT%H-%M-%S}", *((UNKNOWN,) if start + every > known else ()))
            found.append(Item(f"verification:{start:%Y-%m-%dT%H:%MZ}", start, refs, ()))
        start += every
    return found


def _destroyed(facts: Facts, period: Period) -> list[Item]:
    retention = {r.fact.order for r in _real(facts, ErasureOrdered) if r.fact.basis == "retention"}
    found: dict[str, Item] = {}
    for r in _real(facts, RowsErased):
        f = r.fact
        if f.order in retention and period.holds(r.head.at):
            key = f"segment:{f.stream}/{f.first_seq}-{f.last_seq}"
            found.setdefault(key, Item(key, r.head.at, (f"stream:{f.stream}", f"erasure:{f.order}"), (r.index,)))
    return list(found.values())


def _real(facts: Facts, cls: type) -> list[Record]:
    return [r for r in facts.all(cls) if not r.head.drill]


# ---------------------------------------------------------------- test


def stored_records_stand(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to E of AI-08.2."""
    if item.key.startswith("segment:"):
        return _end_of(item, facts)
    if UNKNOWN in item.refs:
        return dict.fromkeys("ABCDE", not_tested("no fact is known from after this interval"))
    until = datetime.strptime(item.refs[0], "until:%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    runs = [r for r in _within(facts.all(SegmentsVerified), item.at, until) if r.head.drill is None or item.drill]
    refused = [
        r for r in _within(facts.all(RequestRefused), item.at, until)
        if r.fact.request in DELETING and r.fact.code in DENIALS
    ]  # fmt: skip
    return {
        "A": _verified(item, runs), "B": _anchored(item, runs, facts), "C": _denied(runs, refused), "D": _not_early(runs), "E": _not_late(runs)
    }  # fmt: skip


def _within(records: Sequence[Record], start: datetime, end: datetime) -> list[Record]:
    """Records of ``start <= at < end``: entries of a log ascend in time."""
    times = [r.head.at for r in records]
    return list(records[bisect_left(times, start) : bisect_left(times, end)])


def _verified(item: Item, runs: Sequence[Record]) -> Outcome:
    if not runs:
        return deviation("no verification ran")
    bad = [r for r in runs if r.fact.damaged or r.fact.missing or r.fact.unexplained or r.fact.revived]
    if bad:
        f = bad[0].fact
        told = {"damaged": f.damaged, "missing": f.missing, "unexplained": f.unexplained, "revived": f.revived}
        return deviation("verification found " + ", ".join(f"{n} {k}" for k, n in told.items() if n), *bad)
    whole = [r for r in runs if r.fact.segments == r.fact.sealed]
    if not whole:
        f = runs[-1].fact
        return deviation(f"only {f.segments} of {f.sealed} segments were read", *runs)
    return passed(*whole)


def _anchored(item: Item, runs: Sequence[Record], facts: Facts) -> Outcome:
    """A stretch without an anchor is one exception, at the interval in which it begins: it has one cause."""
    if not runs:
        return not_tested("no verification looked for an anchor")
    anchored = [r for r in runs if r.fact.anchored]
    if anchored:
        return passed(*anchored)
    before = [r for r in facts.all(SegmentsVerified) if r.head.at < item.at and (r.head.drill is None or item.drill)]
    if before and not before[-1].fact.anchored:
        return not_applicable("the log was unanchored before: reported where that began", before[-1])
    return deviation("no time stamp from outside covers the newest seal: the log is unanchored", *runs)


def _denied(runs: Sequence[Record], refused: Sequence[Record]) -> Outcome:
    """A deletion that no order explains was not denied; one that was is in the log as a refusal."""
    gone = [r for r in runs if r.fact.unexplained or r.fact.missing]
    if gone:
        return deviation("payload went without an order in the log", *gone)
    if refused:
        return passed(*refused)
    return not_applicable("no deletion was attempted against a hold or without the right")


def _not_early(runs: Sequence[Record]) -> Outcome:
    if not runs:
        return not_tested("no verification looked at the age of what is stored")
    bad = [r for r in runs if r.fact.early or r.fact.missing]
    if bad:
        f = bad[0].fact
        return deviation(f"{f.early} segments were destroyed before their minimum age, {f.missing} are missing", *bad)
    return passed(*runs)


def _not_late(runs: Sequence[Record]) -> Outcome:
    if not runs:
        return not_tested("no verification looked at the age of what is stored")
    bad = [r for r in runs if r.fact.overdue]
    if bad:
        return deviation(f"{bad[0].fact.overdue} segments are kept beyond their age without a hold", *bad)
    if not all(r.fact.ruled for r in runs):
        return not_tested("the rules state no retention: no record has an age to be destroyed at")
    return passed(*runs)


def _end_of(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A segment that retention destroyed: not before the minimum."""
    minimum = str(facts.parameter(CONTROL, "kept_at_least"))
    none = not_applicable("tested on the intervals of verification")
    records = [r for r in facts.about(item.refs[0], RowsErased) if r.index in item.entries]
    newest = records[0].fact.t_max if records else None
    if newest is None:
        kept = not_tested("the entry states no age")
    elif records[0].head.at - newest < parse_duration(minimum):
        age = (records[0].head.at - newest).days
        kept = deviation(f"destroyed {age} days after its newest row; the minimum is {minimum}", *records)
    else:
        kept = passed(*records)
    return {"A": none, "B": none, "C": none, "D": kept, "E": none}


# ---------------------------------------------------------------- completeness


def spans_are_gapless(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Row numbers of each stream run from 0 without a gap over all batches, and each run knew every segment sealed before its day."""
    how = "single source (our own log): rows of each stream sealed from 0 without a gap; each run counted against the seals it says it knew"
    sources = ("decisions.batch_sealed", "decisions.segments_verified")
    seals = _real(facts, BatchSealed)
    if not seals:
        return Completeness(False, "no segment was ever sealed", sources)
    following: dict[str, int] = {}
    for record in seals:
        for span in record.fact.spans:
            if span.first_seq != following.get(span.stream, 0):
                return Completeness(False, f"stream {span.stream} jumps to row {span.first_seq}", sources)
            following[span.stream] = span.last_seq + 1
    indexes, sums = [r.index for r in seals], [0]
    for record in seals:
        sums.append(sums[-1] + record.fact.segments)
    for run in _real(facts, SegmentsVerified):
        f, day = run.fact, run.head.at.replace(hour=0, minute=0, second=0, microsecond=0)
        before = sums[bisect_left(indexes, f.newest + 1)]
        if period.holds(run.head.at) and f.sealed != before:
            return Completeness(False, f"entry {run.index} knew {f.sealed} of {before} segments", sources)
        if period.holds(run.head.at) and any(r.index > f.newest for r in _within(seals, period.start, day)):
            return Completeness(False, f"entry {run.index} knew no seal after entry {f.newest}", sources)
    return Completeness(True, how, sources)


# ---------------------------------------------------------------- the planted case


def flipped_byte(at: datetime) -> tuple[Item, Facts, str]:
    """A segment was sealed; the verification of that day read it and found a flipped byte."""
    day = datetime(at.year, at.month, at.day, tzinfo=UTC)
    digest, stream = "sha256:" + "0" * 63 + "1", "00000000-0000-4000-8000-000000000001"
    kept = Attachment(digest, 1, "application/json", "planted")
    seal = BatchSealed(stream, "planted", 1, 1, day, day, digest, kept, (Span(stream, 0, 0),), ("decisions",))
    run = SegmentsVerified(f"{day:%Y-%m-%d}", 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, True, True, kept, day)
    facts = Facts([_planted(0, day, seal, f"stream:{stream}"), _planted(1, day + _LEAST, run, "segments:verified")])
    end = day + timedelta(days=1)
    return Item(f"verification:{day:%Y-%m-%dT%H:%MZ}", day, (f"until:{end:%Y-%m-%dT%H-%M-%S}",), (), True), facts, "A"


def _planted(index: int, at: datetime, fact: Any, ref: str) -> Record:
    zero, cls = "sha256:" + "0" * 64, type(fact)
    cmd = Cmd("00000000-0000-4000-8000-000000000000", zero, 1, 1)
    head = Head("planted", ref, index, cls.TAG, cls.V, at, cmd, "p-" + "0" * 32, Auth("os-user"), (ref,), zero)
    return Record(index, head, fact)


CHECK = Check(CONTROL, NEEDS, intervals_and_ends, stored_records_stand, spans_are_gapless, flipped_byte)
