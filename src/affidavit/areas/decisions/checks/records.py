"""AI-08.1: every decision leaves a complete record. An item is a day of a deployment that served or recorded. Pure.

The day is judged by its newest reconciliation, and by the gaps and lost streams that stand in the log beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from affidavit.areas.decisions.events import GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.areas.decisions.events_runtime import (
    CountsExtracted,
    CountsReconciled,
    HourGap,
    ReceiptsPresented,
    Spot,
)
from affidavit.areas.registry.events import VersionPromoted, VersionRegistered
from affidavit.core.envelope import Auth, Cmd, Head, Record, tag_of
from affidavit.core.fields import Attachment, VaultText
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

CONTROL, PRODUCTION, PENDING = "AI-08.1", "production", "pending:reconcile"
DAY = timedelta(days=1)
NAMED = 5
"""How many rows or hours a reason names; the attachment of the reconciliation names all."""


def day_of(at: datetime) -> datetime:
    """The beginning of the day of UTC."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def days_between(start: datetime, end: datetime) -> list[datetime]:
    """Every day that ``start <= t < end`` touches."""
    first = day_of(start)
    return [first + n * DAY for n in range(max(0, -(-(end - first) // DAY)))]


# ---------------------------------------------------------------- population


def population(facts: Facts, period: Period) -> list[Item]:
    """Each day that ends in the period on which a deployment served production, recorded, or was reconciled with rows."""
    found: dict[str, Item] = {}

    def add(deployment: str, start: datetime, end: datetime, record: Record) -> None:
        first = max(start, day_of(period.start))
        for day in days_between(first, min(end, period.end)) if first < end else ():
            if not period.start < day + DAY <= period.end:
                continue
            key = f"{deployment}+{day:%Y-%m-%d}"
            refs = (f"deployment:{deployment}", *((PENDING,) if period.end - (day + DAY) < DAY else ()))
            old = found.get(key)
            found[key] = Item(key, max(day, period.start), refs, (*(old.entries if old else ()), record.index))

    for record, until in live_in_production(facts, period.end):
        add(record.fact.deployment, record.head.at, until, record)
    for record in _real(facts.all(StreamOpened)):
        if record.fact.kind == "decisions" and record.fact.deployment:
            end = stream_end(facts, record.fact.stream) or period.end
            add(record.fact.deployment, record.fact.opened, max(end, record.fact.opened + timedelta(seconds=1)), record)
    for record in _real(facts.all(CountsReconciled)):
        if record.fact.recorded:
            add(record.fact.deployment, record.fact.day, record.fact.day + DAY, record)
    return sorted(found.values(), key=lambda i: (i.at, i.key))


def live_in_production(facts: Facts, end: datetime) -> list[tuple[Record, datetime]]:
    """Promotions into production, each with the time at which the next of its model took over."""
    found, until = [], dict[str, datetime]()
    for r in reversed([r for r in _real(facts.all(VersionPromoted)) if r.fact.to == PRODUCTION]):
        found.append((r, until.get(r.fact.model, end)))
        until[r.fact.model] = r.head.at
    return found[::-1]


def stream_end(facts: Facts, stream: str) -> datetime | None:
    """When a stream was closed or last seen; None while it is open."""
    for r in facts.about(f"stream:{stream}", StreamClosed, StreamLost):
        end: datetime = r.fact.closed if isinstance(r.fact, StreamClosed) else r.fact.last_seen
        return end
    return None


def _real(records: Iterable[Record]) -> list[Record]:
    return [r for r in records if not r.head.drill]


# ---------------------------------------------------------------- attributes


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A counts reconcile by the hour, B fields filled, C digest known, D clock steady, E personal data kept apart."""
    deployment, _, name = item.key.partition("+")
    day = datetime.fromisoformat(name).replace(tzinfo=UTC)
    done = [
        r for r in facts.about(f"deployment:{deployment}", CountsReconciled)
        if r.fact.day == day and bool(r.head.drill) == item.drill
    ]  # fmt: skip
    if not done:
        nothing = not_applicable("there is no reconciliation to examine")
        if PENDING in item.refs:
            return dict.fromkeys("ABCDE", not_tested("the day ended less than a day before the period: not due yet"))
        return {"A": deviation("the day was not reconciled"), **dict.fromkeys("BCDE", nothing)}
    r = done[-1]
    if not r.fact.recorded:
        return {
            "A": _counts(item, day, r, facts),
            **dict.fromkeys("BCDE", not_applicable("no decision was recorded", r)),
        }
    return {
        "A": _counts(item, day, r, facts),
        "B": _none(r, facts, r.fact.unfilled, "unfilled", "lack a mandatory field"),
        "C": _known(item, r, facts),
        "D": _none(r, facts, r.fact.steps, "step", "bear a time that stepped, or that differs from their id's"),
        "E": _minimised(r, facts),
    }


def _counts(item: Item, day: datetime, r: Record, facts: Facts) -> Outcome:
    """Every hour within the tolerance, judged again on the whole day; nothing missed, lost, doubled, late or unreadable."""
    f: CountsReconciled = r.fact
    beside, said = _in_log(item.key.partition("+")[0], day, facts, drill=item.drill)
    said += [f"{g.hour:%H:%M} UTC: {g.observed} observed, {g.recorded} recorded" for g in f.gaps[:NAMED]]
    said += [f"{len(f.gaps) - NAMED} more hours differ"] if len(f.gaps) > NAMED else []
    limit = Decimal(str(facts.parameters.get(CONTROL, {}).get("count_tolerance", "0.001")))
    if not f.gaps and not f.uncovered and abs(f.observed - f.recorded) > limit * f.observed:
        said.append(f"{f.observed} observed, {f.recorded} recorded, and no hour is named")
    for n, what, words in (
        (f.unsealed, "no-row", "receipts have no row"), (f.altered, "other-row", "receipts have another row in their place"),
        (f.unreadable, "unreadable", "rows stand in a segment that is missing or damaged"),
        (f.duplicates, "duplicate", "rows bear an id twice"), (f.late, "late", "rows were sealed late"),
    ):  # fmt: skip
        if n:
            said.append(_words(n, words, what, f, facts))
    if said:
        return deviation("; ".join(said), r, *beside)
    if f.source == "self-reported":
        return not_tested("the processes' own counts alone: self-reported")
    source = _source(r, facts)
    if source is None:
        return deviation(f"the entry {f.extract} that it counts by is no extract and no presentation of receipts", r)
    if f.uncovered:
        return not_tested(f"{source.fact.source} does not count {f.uncovered} hours in which it served")
    return passed(r, source)


def _in_log(deployment: str, day: datetime, facts: Facts, *, drill: bool) -> tuple[list[Record], list[str]]:
    """Lost streams and counted gaps of the day, straight from the log."""
    records, said = [], []
    for opened in facts.about(f"deployment:{deployment}", StreamOpened):
        if opened.fact.kind != "decisions" or bool(opened.head.drill) != drill:
            continue
        process = _process(opened)
        for r in facts.about(f"stream:{opened.fact.stream}", StreamLost):
            if day <= r.fact.last_seen < day + DAY:
                records.append(r)
                after = f"after row {r.fact.rows - 1}" if r.fact.rows else "before its first row"
                torn = f", {r.fact.damaged} bytes damaged" if r.fact.damaged else ""
                said.append(f"{process}: lost {after}{torn}")
        for r in facts.about(f"stream:{opened.fact.stream}", GapCounted):
            if day <= r.fact.start < day + DAY:
                records.append(r)
                said.append(
                    f"{process}: {r.fact.missed} served and not recorded from {r.fact.start:%H:%M} UTC, {r.fact.why}"
                )
    return records, said


def _process(opened: Record) -> str:
    return f"process {opened.fact.pid} on host {opened.fact.host[7:19]}, stream {opened.fact.stream}"


def _none(r: Record, facts: Facts, n: int, what: str, words: str) -> Outcome:
    return deviation(_words(n, f"rows {words}", what, r.fact, facts), r) if n else passed(r)


def _words(n: int, words: str, what: str, f: CountsReconciled, facts: Facts) -> str:
    places = [_place(s, facts) for s in f.spots if s.what == what][:NAMED]
    return f"{n} {words}" + (f" ({'; '.join(places)})" if places else "")


def _place(s: Spot, facts: Facts) -> str:
    opened = facts.about(f"stream:{s.stream}", StreamOpened)
    rows = f"rows {s.first} to {s.last}" if s.last > s.first else f"row {s.first}"
    return f"{_process(opened[0])}, {rows}" if opened else f"stream {s.stream}, {rows}"


def _known(item: Item, r: Record, facts: Facts) -> Outcome:
    """Every row names the deployment's digest, and what its processes attested was registered before they opened."""
    if r.fact.unknown:
        return _none(r, facts, r.fact.unknown, "unknown", "bear a version digest that is not in force")
    registered = {
        v.fact.artifact: v for v in reversed(facts.all(VersionRegistered)) if bool(v.head.drill) == item.drill
    }
    for o in facts.about(item.refs[0], StreamOpened):
        if bool(o.head.drill) != item.drill or o.fact.kind != "decisions":
            continue
        version = registered.get(o.fact.artifact)
        if version is None or version.index > o.index:
            return deviation(f"{_process(o)} attests {o.fact.artifact}, which was not registered then", o, r)
    return passed(r)


def _minimised(r: Record, facts: Facts) -> Outcome:
    f: CountsReconciled = r.fact
    if f.plain:
        return _none(
            r, facts, f.plain, "plain", "name their subject by what looks like a person's name, address or number"
        )
    if f.exposed:
        return deviation(f"rows hold {', '.join(f.exposed)}, kept apart as a protected attribute elsewhere", r)
    return Outcome("pass", f"no subject of {f.recorded} rows looks like a name, an address or a number", (r.index,))


def _source(r: Record, facts: Facts) -> Record | None:
    """The extract or presentation that a reconciliation counted by."""
    cls = ReceiptsPresented if r.fact.source == "receipts" else CountsExtracted
    return next((x for x in facts.all(cls) if x.index == r.fact.extract and x.index < r.index), None)


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven where a counter or receipts cover every item, and no counter sees what the register does not know."""
    sources: set[str] = set()
    uncovered = []
    for item in (i for i in items if not i.drill):
        deployment, _, name = item.key.partition("+")
        done = [
            r
            for r in _real(facts.about(f"deployment:{deployment}", CountsReconciled))
            if f"{r.fact.day:%Y-%m-%d}" == name
        ]
        source = _source(done[-1], facts) if done else None
        if source is None or done[-1].fact.uncovered:
            uncovered.append(item.key)
        else:
            sources.add(f"{'receipts of' if done[-1].fact.source == 'receipts' else 'counts of'} {source.fact.source}")
    named = ("ledger", *sorted(sources))
    if uncovered:
        how = f"no independent count covers {len(uncovered)} of {len(items)} days, such as {uncovered[0]}"
        return Completeness(proven=False, how=how if sources else f"single source: {how}", sources=named)
    for x in _real(facts.all(CountsExtracted)):
        if x.fact.strangers and x.fact.start < period.end and x.fact.end > period.start:
            how = f"{x.fact.source} counts {x.fact.strangers[0]}, which the register does not know"
            return Completeness(proven=False, how=how, sources=named)
    if not items:
        return Completeness(proven=False, how="nothing served or recorded in the period", sources=named)
    return Completeness(True, f"{', '.join(sorted(sources))} cover each of {len(items)} days", named)


# ---------------------------------------------------------------- the known-bad case

ZERO = "sha256:" + "0" * 64
IDENT = "00000000-0000-7000-8000-00000000bad0"
TEXT = VaultText(commit=ZERO, vault=IDENT)
KEPT = Attachment(ZERO, 1, "application/json", "planted")


def planted(index: int, at: datetime, fact: Any, *refs: str) -> Record:
    """A record of a ledger that exists in memory only."""
    cmd = Cmd(f"00000000-0000-7000-8000-{index:012x}", ZERO, 1, 1)
    stream = refs[0].split("/", maxsplit=1)[0]
    head = Head(
        "planted",
        stream,
        index,
        tag_of(type(fact)),
        1,
        at,
        cmd,
        "p-" + "0" * 32,
        Auth("os-user"),
        refs,
        ZERO,
        drill=True,
    )
    return Record(index, head, fact)


def known_bad(now: datetime) -> tuple[Item, Facts, str]:
    """A day on which the gateway counted 1,000 requests in an hour of which 990 were recorded."""
    day = day_of(now) - DAY
    gap = HourGap(day + DAY / 2, 1000, 990)
    extract = CountsExtracted("planted", TEXT, TEXT, day, day + DAY, 24, KEPT, "planted")
    told = CountsReconciled(
        IDENT, day, "observed", 24_000, 23_990, 23_990, 0, 0, 0, 0, 0, 0, (gap,), KEPT, extract=0,
    )  # fmt: skip
    records = [planted(0, now, extract, "source:planted"), planted(1, now, told, f"deployment:{IDENT}")]
    item = Item(f"{IDENT}+{day:%Y-%m-%d}", day, (f"deployment:{IDENT}",), (1,), drill=True)
    return item, Facts(records), "A"


NEEDS = (
    VersionPromoted, VersionRegistered, StreamOpened, StreamClosed, StreamLost, GapCounted, CountsReconciled,
    CountsExtracted, ReceiptsPresented,
)  # fmt: skip
CHECK = Check(CONTROL, NEEDS, population, test, completeness, known_bad, lambda item, facts: [])  # noqa: ARG005
