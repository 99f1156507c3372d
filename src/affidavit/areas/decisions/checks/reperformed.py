"""AI-08.5: in each quarter a seeded sample of a model's decisions was run again and gave the record back. Pure.

An item is a model and a quarter in which it decided, told from the sealed rows alone. Every replay whose window meets
the quarter counts for what it found: one that went well does not make up for one that did not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from affidavit.areas.decisions.events import BatchSealed, StreamOpened
from affidavit.areas.decisions.events_people import MismatchInvestigated, ReplayMeasured, VersionReplayed
from affidavit.areas.decisions.events_runtime import CountsReconciled
from affidavit.areas.registry.events import ModelRegistered
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
from affidavit.streams.ids import id_bytes
from affidavit.streams.sealed import Span

CONTROL = "AI-08.5"
DAY = timedelta(days=1)
PENDING = "state:pending"
"""The reference of an item whose replay may still be made in time when the period ends."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# ---------------------------------------------------------------- population


def quarter_start(at: datetime) -> datetime:
    """The first moment of the quarter, UTC."""
    return datetime(at.year, (at.month - 1) // 3 * 3 + 1, 1, tzinfo=UTC)


def quarter_end(start: datetime) -> datetime:
    """The first moment after the quarter that begins at ``start``."""
    return quarter_start(start + timedelta(days=95))


def key_of(model: str, start: datetime) -> str:
    """``employment/2026-Q3``."""
    return f"{model}/{start.year}-Q{start.month // 3 + 1}"


def sealed(facts: Facts) -> list[tuple[Record, StreamOpened, Span]]:
    """Every sealed range of decisions: the entry that sealed it, its stream, its place."""
    streams = {r.fact.stream: r.fact for r in facts.all(StreamOpened) if not r.head.drill}
    return [
        (r, streams[span.stream], span)
        for r in facts.all(BatchSealed) if not r.head.drill
        for span, kind in zip(r.fact.spans, r.fact.kinds, strict=True)
        if kind == "decisions" and span.id_min and span.id_max and span.stream in streams and streams[span.stream].model
    ]  # fmt: skip


def _time(decision: str | None) -> datetime:
    """The time that an id begins with."""
    return _EPOCH + timedelta(milliseconds=int.from_bytes(id_bytes(decision or "")[:6], "big"))


def population(facts: Facts, period: Period) -> list[Item]:
    """Each model with each quarter of the period in which it decided, from the sealed ranges of its streams."""
    within = parse_duration(facts.parameter(CONTROL, "replayed_within"))
    systems = {r.fact.model: r.fact.system for r in facts.all(ModelRegistered)}
    found: dict[tuple[str, datetime], list[int]] = {}
    for record, stream, span in sealed(facts):
        start, last = quarter_start(_time(span.id_min)), _time(span.id_max)
        while start <= last:
            if start < period.end and quarter_end(start) > period.start:
                found.setdefault((str(stream.model), start), []).append(record.index)
            start = quarter_end(start)
    items = []
    for (model, start), entries in sorted(found.items(), key=lambda x: (x[0][1], x[0][0])):
        system = (f"system:{systems[model]}",) if model in systems else ()
        due = quarter_end(start) + within
        state = (PENDING,) if due > period.end else ()
        items.append(
            Item(key_of(model, start), start, (f"model:{model}", *system, *state), tuple(sorted(set(entries))))
        )
    return items


# ---------------------------------------------------------------- attributes


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A on time, B drawn by seed from all of the quarter, C every version ran, D within tolerance, E mismatch looked into."""
    model, end = item.refs[0], quarter_end(item.at)
    replays = [
        r for r in facts.about(model, ReplayMeasured)
        if not r.head.drill and r.fact.start < end and r.fact.end > item.at and model == f"model:{r.fact.model}"
    ]  # fmt: skip
    whole = {r.index: _flaw(r, item, facts) for r in replays if r.fact.seed is not None}
    good = [r for r in replays if whole.get(r.index, "named") is None]
    if not replays:
        return _none(item)
    drawn = {
        "A": _on_time(item, good or [r for r in replays if r.fact.seed is not None], facts),
        "B": passed(*good) if good else deviation(next(iter(whole.values()), None) or "no sample was drawn", *replays),
    }
    if not good and PENDING in item.refs:
        drawn = dict.fromkeys("AB", not_tested("no sample of the whole quarter yet; it is not due in the period"))
    return drawn | {"C": _retrievable(replays), "D": _tolerance(replays, facts), "E": _investigated(replays, facts)}


def _none(item: Item) -> dict[str, Outcome]:
    if PENDING in item.refs:
        return dict.fromkeys(
            "ABCDE", not_tested("not replayed yet; the replay of the quarter is not due in the period")
        )
    rest = not_applicable("there is no replay of the quarter to examine")
    return dict.fromkeys("BCDE", rest) | {"A": deviation("no decision of the quarter was replayed")}


def _on_time(item: Item, replays: list[Record], facts: Facts) -> Outcome:
    due = quarter_end(item.at) + parse_duration(facts.parameter(CONTROL, "replayed_within"))
    if not replays:
        return deviation("no seeded sample of the quarter was replayed")
    if replays[0].head.at > due:
        return deviation(f"replayed {replays[0].head.at:%Y-%m-%d}, due {due:%Y-%m-%d}", replays[0])
    return passed(replays[0])


def _flaw(replay: Record, item: Item, facts: Facts) -> str | None:
    """What keeps a sample from being one of all the quarter's decisions, as sealed when it was drawn; None if nothing."""
    f: ReplayMeasured = replay.fact
    first, last = item.at, quarter_end(item.at)
    spans = [
        (_time(span.id_min), _time(span.id_max), span)
        for r, stream, span in sealed(facts)
        if stream.model == f.model and r.index < replay.index
    ]
    mine = [(a, b, s) for a, b, s in spans if a < last and b >= first]
    if mine and f.start > max(first, min(a for a, _, _ in mine)):
        return f"it was drawn from {f.start:%Y-%m-%d %H:%M} on; the quarter's decisions begin before"
    if mine and f.end <= min(last - timedelta(milliseconds=1), max(b for _, b, _ in mine)):
        return f"it was drawn up to {f.end:%Y-%m-%d %H:%M}; decisions of the quarter sealed by then are later"
    inside = sum(s.last_seq - s.first_seq + 1 for a, b, s in spans if f.start <= a and b < f.end)
    if f.population_n < inside:
        return f"it was drawn from {f.population_n} decisions; {inside} were sealed in its window"
    wanted = min(int(facts.parameter(CONTROL, "sample_size")), f.population_n)
    return f"{f.sampled} decisions were drawn; {wanted} are needed" if f.sampled < wanted else None


def _retrievable(replays: list[Record]) -> Outcome:
    bad = [r for r in replays if r.fact.failed]
    if not bad:
        return passed(*replays)
    why = sorted({v.why for r in bad for v in r.fact.versions if v.why})
    said = f"{sum(r.fact.failed for r in bad)} decisions could not be run again"
    return deviation(f"{said}: {', '.join(why)}" if why else said, *bad)


def _tolerance(replays: list[Record], facts: Facts) -> Outcome:
    bound = Decimal(facts.parameter(CONTROL, "tolerance"))
    wide = [r for r in replays if Decimal(r.fact.tolerance) > bound]
    if wide:
        return deviation(f"the tolerance was {wide[0].fact.tolerance}; {bound} is set", *wide)
    bad = [r for r in replays if r.fact.differing]
    if bad:
        return deviation(f"{sum(r.fact.differing for r in bad)} outputs differ from the record beyond tolerance", *bad)
    compared = [r for r in replays if r.fact.equal]
    return (
        passed(*compared)
        if compared
        else not_tested("no output could be compared: every decision drawn is erased or failed")
    )


def _investigated(replays: list[Record], facts: Facts) -> Outcome:
    """Each mismatch has a cause, found by another than who ran the replay."""
    bad = [r for r in replays if r.fact.differing or r.fact.failed]
    if not bad:
        return not_applicable("every decision gave the recorded output", *replays)
    found = []
    for r in bad:
        looks = [x for x in facts.about(f"replay:{r.fact.replay}", MismatchInvestigated) if not x.head.drill]
        others = [x for x in looks if x.head.actor != r.head.actor]
        if not others:
            who = "only by who ran it" if looks else "by nobody"
            return deviation(f"the mismatch of replay {r.fact.replay} was looked into {who}", r, *looks)
        if all(x.fact.cause == "unknown" for x in others):
            return deviation(f"the mismatch of replay {r.fact.replay} is left without a cause", r, *others)
        found += [r, *others]
    return passed(*found)


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven if on every day with decisions another source counted a deployment's requests, and none was missing here."""
    days: dict[tuple[str, datetime], None] = {}
    for _, stream, span in sealed(facts):
        day = max(_time(span.id_min), period.start).replace(hour=0, minute=0, second=0, microsecond=0)
        while stream.deployment and day <= _time(span.id_max) and day < period.end:
            days[stream.deployment, day] = None
            day += DAY
    if not days:
        return Completeness(False, "no decision is sealed in the period", ("ledger",))
    counted: dict[tuple[str, datetime], CountsReconciled] = {}
    for r in facts.all(CountsReconciled):
        if r.fact.source != "self-reported" and not r.head.drill:
            counted[r.fact.deployment, r.fact.day.replace(hour=0, minute=0, second=0, microsecond=0)] = r.fact
    sources = ("ledger", *sorted({f.source for f in counted.values()}))
    open_ = [day for day in days if day not in counted]
    if open_:
        how = f"single source on {len(open_)} of {len(days)} days: no other system's counts were reconciled (AI-08.1)"
        return Completeness(False, how, sources)
    gaps = [day for day in days if counted[day].gaps or counted[day].missed]
    if gaps:
        return Completeness(False, f"on {len(gaps)} days more requests were counted than decisions recorded", sources)
    return Completeness(True, f"counts of another system agree on all {len(days)} days with decisions", sources)


# ---------------------------------------------------------------- the planted case

_ZERO = "sha256:" + "0" * 64
_RUNNER = "p-" + "1" * 32


def _ident(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012x}"


def planted(now: datetime) -> tuple[Item, Facts, str]:
    """A replay gave another output than the record, and nobody looked into it."""
    at = now - 2 * DAY
    ms = (at - _EPOCH) // timedelta(milliseconds=1)
    ids = [f"{(ms + n) >> 16:08x}-{(ms + n) & 0xFFFF:04x}-7000-8000-{n:012x}" for n in range(2)]
    attached = Attachment(_ZERO, 1, "application/json", "planted")
    stream, version = _ident(1), VersionReplayed(1, _ZERO, 2, 0)
    story: list[tuple[Any, tuple[str, ...]]] = [
        (StreamOpened(stream, "decisions", at, _ZERO, 1, "planted", _ZERO, attached, _ident(2), "planted", 1), (f"stream:{stream}",)),
        (BatchSealed(_ident(3), "planted", 1, 2, at, at, _ZERO, attached, (Span(stream, 0, 1, *ids),), ("decisions",)),
         ("sealer:planted",)),
        (ReplayMeasured(_ident(4), "planted", (version,), at - DAY, at + DAY, _ZERO, 2, 2, 1, 1, 0, 0, "0.000001", (), _ZERO,
                        attached, "0.250000", "planted-seed", "service"), (f"replay:{_ident(4)}", "model:planted")),
    ]  # fmt: skip
    facts = Facts((), {CONTROL: {"sample_size": "25", "tolerance": "0.000001", "replayed_within": "P30D"}})
    for n, (fact, refs) in enumerate(story):
        cls = type(fact)
        head = Head("planted", refs[0], n, cls.TAG, cls.V, at + (n + 1) * DAY / 2, Cmd(_ident(10 + n), _ZERO, 1, 1),
                    _RUNNER, Auth("os-user"), refs, _ZERO)  # fmt: skip
        facts.add(Record(n, head, fact))
    start = quarter_start(at)
    return Item(key_of("planted", start), start, ("model:planted", PENDING), (1,)), facts, "E"


CHECK = Check(
    CONTROL, (StreamOpened, BatchSealed, ReplayMeasured, MismatchInvestigated, CountsReconciled, ModelRegistered),
    population, test, completeness, planted,
)  # fmt: skip
