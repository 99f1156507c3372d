"""AI-01.1: every model that serves is in the register. An item is an endpoint with a digest, as others saw it. Pure.

Endpoints come from inventories of the serving platform and from request counters; what no inventory shows and a process
attests is an item of its own, and then the inventory is not whole.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from affidavit.areas.access.events import GrantApproved, GrantRevoked
from affidavit.areas.decisions.checks.records import (
    DAY,
    KEPT,
    TEXT,
    day_of,
    days_between,
    planted,
    stream_end,
)
from affidavit.areas.decisions.events import StreamClosed, StreamLost, StreamOpened
from affidavit.areas.decisions.events_runtime import (
    CountsExtracted,
    EndpointObserved,
    RuntimeDiffered,
    RuntimeReconciled,
    RuntimeSettled,
    ServingExtracted,
)
from affidavit.areas.registry.events import ModelRegistered, SystemRegistered, VersionRegistered
from affidavit.core.envelope import Record
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

CONTROL = "AI-01.1"
NONE = "none"
"""The digest of an endpoint of which only its traffic is known."""
SEEN = "seen:"
"""Reference of an item: a stretch of the period in which it was seen, Unix milliseconds."""
END = "end:"
NAMED = 5


# ---------------------------------------------------------------- population


def population(facts: Facts, period: Period) -> list[Item]:
    """Every endpoint and digest that an inventory or counter shows in the period, then what processes alone attest."""
    found: dict[str, Item] = {}

    def add(key: str, start: datetime, end: datetime, record: Record, *refs: str) -> None:
        start, end = max(start, period.start), min(end, period.end)
        if start > end or start >= period.end:
            return
        seen = f"{SEEN}{_ms(start)}/{_ms(end)}"
        new = Item(key, start, (*refs, seen, f"{END}{_ms(period.end)}"), (record.index,))
        old = found.get(key)
        if old is not None:
            joined = tuple(dict.fromkeys((*old.refs, *new.refs)))
            new = replace(new, at=min(old.at, start), refs=joined, entries=(*old.entries, *new.entries))
        found[key] = new

    for r in _real(facts.all(EndpointObserved)):
        f = r.fact
        add(f"{f.endpoint}+{f.artifact}", f.first_seen, f.last_seen, r, *r.head.refs)
    digests = {key.rpartition("+")[2] for key in found}
    for r in _real(facts.all(RuntimeDiffered)):
        key = f"{r.fact.endpoint}+{r.fact.found or NONE}"
        if r.fact.stream is None and key not in found:
            add(key, r.fact.first_seen, r.head.at, r, *r.head.refs)
    for r in _real(facts.all(StreamOpened)):
        f = r.fact
        if f.kind == "decisions" and f.deployment and f.artifact not in digests:
            end = stream_end(facts, f.stream) or period.end
            add(f"{f.model}@{f.env}+{f.artifact}", f.opened, max(end, f.opened), r, *r.head.refs, "attested:only")
    return sorted(found.values(), key=lambda i: (i.at, i.key))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _at(ms: str) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)


def _real(records: list[Record], *, drill: bool = False) -> list[Record]:
    return [r for r in records if bool(r.head.drill) == drill]


def _stretches(item: Item) -> list[tuple[datetime, datetime]]:
    pairs = (r.removeprefix(SEEN).split("/") for r in item.refs if r.startswith(SEEN))
    return [(_at(a), _at(b)) for a, b in pairs]


def _end(item: Item) -> datetime:
    return _at(next(r.removeprefix(END) for r in item.refs if r.startswith(END)))


# ---------------------------------------------------------------- attributes


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A compared on each day, B digest registered, C owned and tiered, D differences closed in time."""
    digest = item.key.rpartition("+")[2]
    versions = [v for v in _real(facts.all(VersionRegistered), drill=item.drill) if v.fact.artifact == digest]
    differences = _differences(item, digest, facts)
    return {
        "A": _compared(item, facts),
        "B": _registered(item, versions, differences),
        "C": _owned(item, versions[0], facts) if versions else not_applicable("unregistered: see B"),
        "D": _closed(item, differences, facts),
    }


def _compared(item: Item, facts: Facts) -> Outcome:
    """Each day on which it was seen was compared; the last day of the period has a day's grace."""
    done = {r.fact.day: r for r in _real(facts.all(RuntimeReconciled), drill=item.drill)}
    days = sorted({d for a, b in _stretches(item) for d in days_between(a, b + timedelta(milliseconds=1))})
    missing = [d for d in days if d not in done]
    overdue = [d for d in missing if d + 2 * DAY <= _end(item)]
    if overdue:
        named = ", ".join(f"{d:%Y-%m-%d}" for d in overdue[:NAMED])
        return deviation(
            f"{len(overdue)} of {len(days)} days were not compared: {named}", *(done[d] for d in days if d in done)
        )
    if len(missing) == len(days):
        return not_tested("the day it was seen is not due to be compared yet")
    return passed(*(done[d] for d in days if d in done))


def _registered(item: Item, versions: list[Record], differences: list[Record]) -> Outcome:
    if not versions:
        return deviation("no version in the register has this digest", *differences[:1])
    first = min(a for a, _ in _stretches(item))
    late = versions[0].head.at > first
    if late and not differences:
        return deviation(
            f"seen {first:%Y-%m-%d %H:%M}, registered {versions[0].head.at:%Y-%m-%d %H:%M} UTC", versions[0]
        )
    return passed(versions[0], *differences[:1])


def _owned(item: Item, version: Record, facts: Facts) -> Outcome:
    """The newest registration of its system names a tier, and an owner who held a role when it was last seen."""
    models = _real(facts.about(f"model:{version.fact.model}", ModelRegistered), drill=item.drill)
    systems = [
        s for m in models[:1] for s in _real(facts.about(f"system:{m.fact.system}", SystemRegistered), drill=item.drill)
    ]  # fmt: skip
    if not systems:
        return deviation(f"{version.fact.model} belongs to no registered system: no owner, no risk tier", version)
    owner, last = systems[-1].fact.owner, max(b for _, b in _stretches(item))
    about = f"principal:{owner}"
    gone = {r.fact.grant for r in _real(facts.about(about, GrantRevoked), drill=item.drill) if r.head.at <= last}
    held = [
        r for r in _real(facts.about(about, GrantApproved), drill=item.drill)
        if r.fact.principal == owner and r.head.at <= last and r.fact.grant not in gone
    ]  # fmt: skip
    if not held:
        return deviation(f"the owner {owner} held no role on {last:%Y-%m-%d}", systems[-1])
    return passed(systems[-1], held[0])


def _differences(item: Item, digest: str, facts: Facts) -> list[Record]:
    """Differences about the endpoint, the digest, or a process that attests the digest, found before the period's end."""
    endpoint, found = item.key.rpartition("+")[0], []
    for r in _real(facts.all(RuntimeDiffered), drill=item.drill):
        opened = facts.about(f"stream:{r.fact.stream}", StreamOpened) if r.fact.stream else []
        attests = any(o.fact.artifact == digest for o in opened)
        mine = r.fact.found == digest or (r.fact.endpoint == endpoint and (r.fact.found or NONE) == digest)
        if (mine or attests) and r.head.at < _end(item):
            found.append(r)
    return found


def _closed(item: Item, differences: list[Record], facts: Facts) -> Outcome:
    """Each was settled by its deadline, which was fixed by the business calendar when it was found."""
    used: list[Record] = []
    waiting = 0
    for r in differences:
        settled = facts.about(f"difference:{r.fact.difference}", RuntimeSettled)
        if not settled and r.fact.due >= _end(item):
            waiting += 1
        elif not settled or settled[0].head.at > r.fact.due:
            state = f"settled {settled[0].head.at:%Y-%m-%d %H:%M}" if settled else "still open"
            said = f"{r.fact.endpoint}: {r.fact.what}, due {r.fact.due:%Y-%m-%d %H:%M} UTC, {state}"
            return deviation(said, r, *settled[:1])
        used += [r, *settled[:1]]
    if waiting:
        return not_tested(f"{waiting} differences are open and not due before the end of the period")
    return passed(*used) if used else Outcome("pass", "no difference was found")


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven where inventories of one source cover the period whole and show every digest that processes attest."""
    extracts = _real(facts.all(ServingExtracted))
    covering = [
        s
        for s in sorted({x.fact.source for x in extracts})
        if _covers([x for x in extracts if x.fact.source == s], period)
    ]
    sources = ("ledger", *(f"inventory {s}" for s in covering))
    if not covering:
        how = "single source: no inventory of the serving platform covers the period"
        return Completeness(proven=False, how=how, sources=sources)
    rows = {r.index for r in facts.all(EndpointObserved)}
    short = next((x for x in extracts if not rows.issuperset(range(x.index - x.fact.rows, x.index))), None)
    if short is not None:
        how = f"the inventory of entry {short.index} states {short.fact.rows} rows, the ledger holds fewer"
        return Completeness(proven=False, how=how, sources=sources)
    unseen = [i.key for i in items if "attested:only" in i.refs]
    if unseen:
        how = f"processes attest {unseen[0]}, which no inventory shows"
        return Completeness(proven=False, how=how, sources=sources)
    for x in _real(facts.all(CountsExtracted)):
        if x.fact.strangers and x.fact.start < period.end and x.fact.end > period.start:
            how = f"{x.fact.source} counts {x.fact.strangers[0]}, which the register does not know"
            return Completeness(proven=False, how=how, sources=sources)
    how = f"the inventory {covering[0]} covers the period and shows every digest that processes attest"
    return Completeness(proven=True, how=how, sources=sources)


def _covers(extracts: list[Record], period: Period) -> bool:
    reached = period.start
    for x in sorted(extracts, key=lambda x: x.fact.start):
        if x.fact.start > reached:
            break
        reached = max(reached, x.fact.end)
    return reached >= period.end


# ---------------------------------------------------------------- the known-bad case


def known_bad(now: datetime) -> tuple[Item, Facts, str]:
    """An endpoint that serves a digest which nobody registered: seen and compared for a day."""
    day = day_of(now) - 3 * DAY
    digest = "sha256:" + "b" * 64
    row = EndpointObserved("planted", "planted/stray", digest, "production", day, day + DAY / 2)
    extract = ServingExtracted("planted", TEXT, TEXT, day, day + DAY, 1, KEPT, "planted")
    told = RuntimeReconciled(day, (1,), 1, 0, 1, 0, 0, KEPT)
    differed = RuntimeDiffered(
        "00000000-0000-7000-8000-00000000bad1", "planted/stray", "production", "unknown-digest", day,
        now + 5 * DAY, digest, source="planted",
    )  # fmt: skip
    at = day + DAY
    records = [
        planted(0, at, row, "source:planted", "env:production"), planted(1, at, extract, "source:planted"),
        planted(2, at, told, "estate:serving"), planted(3, at, differed, f"difference:{differed.difference}"),
    ]  # fmt: skip
    refs = ("source:planted", f"{SEEN}{_ms(day)}/{_ms(day + DAY / 2)}", f"{END}{_ms(now)}")
    return Item(f"planted/stray+{digest}", day, refs, (0,), drill=True), Facts(records), "B"


NEEDS = (
    EndpointObserved, ServingExtracted, RuntimeReconciled, RuntimeDiffered, RuntimeSettled, CountsExtracted, StreamOpened,
    StreamClosed, StreamLost, VersionRegistered, ModelRegistered, SystemRegistered, GrantApproved, GrantRevoked,
)  # fmt: skip
CHECK = Check(CONTROL, NEEDS, population, test, completeness, known_bad, lambda item, facts: [])  # noqa: ARG005
