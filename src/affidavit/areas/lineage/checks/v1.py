"""AI-02.1, version 1: every training input had registered provenance before it was used.

An item is a pair of a run and the digest of something it read: declared in its manifest, or seen in a storage access
log and declared nowhere. Frozen once released (``checks.lock``).
"""

from __future__ import annotations

from datetime import datetime

from affidavit.areas.lineage.events import (
    DatasetRegistered,
    Input,
    ReadObserved,
    ReadsExtracted,
    RunRecorded,
    SplitMeasured,
)
from affidavit.core.envelope import Auth, Cmd, Head, Record, tag_of
from affidavit.core.fields import Attachment, VaultText, parse_duration, time_text
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

CONTROL = "AI-02.1"
_SAYS_NOTHING = frozenset({"unknown", "none", "n/a", "na", "tbd", "todo", "various", "other", "misc", "*"})


def population(facts: Facts, period: Period) -> list[Item]:
    """Each digest read by a run that ended, was recorded or read in the period, declared or not (by run, not by use).

    A version that is in production was trained by a run of an earlier period as well: that run is an item of the
    period in which it ended, was recorded or read. A read by a run that nobody recorded is an item from the day on
    which the record was due (``recorded_within``).
    """
    items: dict[str, Item] = {}
    recorded: set[str] = set()
    for run in facts.all(RunRecorded):
        if not run.head.drill:
            recorded.add(run.fact.run)
        if _concerns(run, facts, period):
            items.update({i.key: i for i in _items_of(run, facts)})
    within = parse_duration(str(facts.parameter(CONTROL, "recorded_within")))
    due: dict[str, Item] = {}
    for read in facts.all(ReadObserved):
        at, drill = read.fact.read_at + within, bool(read.head.drill)
        if read.fact.run not in recorded and period.holds(at):
            key = f"{read.fact.run}+{read.fact.content}"
            if key not in due or due[key].drill > drill:
                due[key] = Item(key, at, read.head.refs, (read.index,), drill)
    for key, item in due.items():
        if not item.drill or key not in items:
            items[key] = item
    return sorted(items.values(), key=lambda i: (i.at, i.key))


def _concerns(run: Record, facts: Facts, period: Period) -> bool:
    """Whether the run ended, was recorded, or was seen to read in the period."""
    if period.holds(run.fact.ended) or period.holds(run.head.at):
        return True
    return any(period.holds(r.fact.read_at) for r in _reads(run.fact.run, facts, drill=bool(run.head.drill)))


def candidates(item: Item, facts: Facts) -> list[Item]:
    """The items of the training runs that the candidate of a gate names; none if its run was never recorded."""
    runs = [r for ref in item.refs if ref.startswith("run:") for r in _real(facts.about(ref, RunRecorded), item.drill)]
    return [found for run in runs for found in _items_of(run, facts)]


def _items_of(run: Record, facts: Facts) -> list[Item]:
    """Its declared inputs, and what it was seen to read beside them; of a planted run, planted items."""
    f, drill = run.fact, bool(run.head.drill)
    items: dict[str, Item] = {}
    for given in f.inputs:
        key = f"{f.run}+{given.content}"
        earlier = items.get(key)
        refs = (*(earlier.refs if earlier else (f"run:{f.run}",)), given.dataset)
        items[key] = Item(key, f.ended, tuple(dict.fromkeys(refs)), (run.index,), drill)
    declared = _declared(f, facts, drill=drill) | {f.output}
    for read in _reads(f.run, facts, drill=drill):
        key = f"{f.run}+{read.fact.content}"
        if read.fact.content not in declared and key not in items:
            items[key] = Item(key, f.ended, read.head.refs, (run.index, read.index), drill)
    return list(items.values())


def _real(records: list[Record], drill: bool) -> list[Record]:  # noqa: FBT001
    """A planted record is evidence for planted items alone."""
    return [r for r in records if drill or not r.head.drill]


def _reads(run_id: str, facts: Facts, *, drill: bool) -> list[Record]:
    return _real(facts.about(f"run:{run_id}", ReadObserved), drill)


def _declared(run: RunRecorded, facts: Facts, *, drill: bool) -> set[str]:
    """Every digest under which a declared input may have been read: as declared, the whole version, its splits."""
    found = {i.content for i in run.inputs}
    return found.union(*(_digests(i.dataset, facts, drill=drill) for i in run.inputs))


def _digests(ref: str, facts: Facts, *, drill: bool) -> set[str]:
    """The whole version and its splits."""
    return {r.fact.content for r in _records(ref, facts, drill=drill)} | _parts(ref, facts, drill=drill)


def _records(ref: str, facts: Facts, *, drill: bool) -> list[Record]:
    """The registration of a version; facts about its children name it too and are left out."""
    name = ref.removeprefix("dataset:")
    found = _real(facts.about(ref, DatasetRegistered), drill)
    return [r for r in found if f"{r.fact.dataset}/{r.fact.version}" == name]


def _measured(ref: str, facts: Facts, *, drill: bool) -> list[Record]:
    name = ref.removeprefix("dataset:")
    found = _real(facts.about(ref, SplitMeasured), drill)
    return [r for r in found if f"{r.fact.dataset}/{r.fact.version}" == name]


def _parts(ref: str, facts: Facts, *, drill: bool) -> set[str]:
    return {s.content for m in _measured(ref, facts, drill=drill) for s in m.fact.splits}


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A record predates the run, B it is whole, C the bytes agree, D parents resolve, E every read was declared."""
    run_id, _, content = item.key.partition("+")
    run = next(iter(_real(facts.about(f"run:{run_id}", RunRecorded), item.drill)), None)
    inputs = [i for i in run.fact.inputs if i.content == content] if run else []
    if run is None or not inputs:
        return _undeclared(item, run, facts)
    rows = [_provenance(i.dataset, i, run.fact.started, run, facts, drill=item.drill) for i in inputs]
    found = {a: next((r[a] for r in rows if r[a].state == "deviation"), rows[0][a]) for a in "ABCD"}
    return found | {"E": _logged(inputs, run, facts, drill=item.drill)}


def _provenance(
    ref: str, given: Input | None, used: datetime, run: Record | None, facts: Facts, *, drill: bool
) -> dict[str, Outcome]:
    """A to D of one dataset version that was first used at ``used``."""
    records = _records(ref, facts, drill=drill)
    if not records:
        nothing = not_applicable("there is no record to examine")
        return {"A": deviation(f"{ref} is not registered", *_some(run)), "B": nothing, "C": nothing, "D": nothing}
    record = records[0]
    f: DatasetRegistered = record.fact
    late = record.head.at > used or (run is not None and record.index > run.index)
    gaps = _gaps(f)
    orphans = [p for p in f.parents if not any(r.index < record.index for r in _records(p, facts, drill=drill))]
    same = given is None or given.content in {f.content} | _parts(ref, facts, drill=drill)
    registered = f"{ref} was registered {time_text(record.head.at)}"
    return {
        "A": deviation(f"{registered}, the run started {time_text(used)}", record) if late else passed(record),
        "B": deviation(f"the record of {ref} lacks {', '.join(gaps)}", record) if gaps else passed(record),
        "C": _same_bytes(ref, record, run, facts, drill=drill)
        if same
        else deviation(f"the run read other bytes than {ref}", record),
        "D": deviation(f"{orphans[0]}, a parent of {ref}, is not registered before it", record)
        if orphans
        else passed(record),
    }


def _same_bytes(ref: str, record: Record, run: Record | None, facts: Facts, *, drill: bool) -> Outcome:
    """C met. The reason shows how far the splits of these bytes share rows, the worst of every measurement."""
    measured = [r for r in _measured(ref, facts, drill=drill) if r.fact.content == record.fact.content]
    worst: dict[tuple[str, str], tuple[int, int]] = {}
    for o in (o for r in measured for o in r.fact.overlaps):
        pair = (min(o.first, o.second), max(o.first, o.second))
        equal, near = worst.get(pair, (0, 0))
        worst[pair] = max(equal, o.equal), max(near, o.near)
    said = "; ".join(f"{a} and {b} share {equal} equal, {near} near rows" for (a, b), (equal, near) in worst.items())
    entries = tuple(r.index for r in (record, *_some(run), *measured))
    return Outcome("pass", said, entries)


def _some(record: Record | None) -> tuple[Record, ...]:
    return () if record is None else (record,)


def _gaps(f: DatasetRegistered) -> list[str]:
    """The required fields that say nothing. Types demand the others."""
    found = {
        "origin": f.origin.commit is None,
        "source_version": f.source_version.lower() in _SAYS_NOTHING,
        "licence": f.licence.lower() in _SAYS_NOTHING,
        "collected_from": f.collected_from >= f.collected_to,
        "rows": f.rows == 0,
    }
    return [name for name, gap in found.items() if gap]


def _logged(inputs: list[Input], run: Record, facts: Facts, *, drill: bool) -> Outcome:
    """E of a declared input: a storage access log covers the run, shows its read, and no read of it at another time."""
    f: RunRecorded = run.fact
    mine = set().union(*(_digests(i.dataset, facts, drill=drill) for i in inputs)) | {i.content for i in inputs}
    reads = _reads(f.run, facts, drill=drill)
    stray = [r for r in reads if r.fact.content in mine and not f.started <= r.fact.read_at <= f.ended]
    if stray:
        return deviation(
            f"run {f.run} read {stray[0].fact.content} at {time_text(stray[0].fact.read_at)}; it says that it lasted"
            f" from {time_text(f.started)} to {time_text(f.ended)}", run, *stray,
        )  # fmt: skip
    covering = _covering(facts, f.started, f.ended, drill=drill)
    if not covering:
        return not_tested("no storage access log covers the run")
    seen = _seen(inputs, run, facts, drill=drill)
    if not seen:
        return not_tested(f"the storage access log {covering[0]} covers the run; the log shows no read of it")
    return passed(run, *covering[1], *seen)


def _seen(inputs: list[Input], run: Record, facts: Facts, *, drill: bool) -> list[Record]:
    """The observed reads of declared inputs: as declared, or the whole version of which that is a split."""
    found = {i.content for i in inputs}
    for i in inputs:
        found |= {r.fact.content for r in _records(i.dataset, facts, drill=drill)}
    return [r for r in _reads(run.fact.run, facts, drill=drill) if r.fact.content in found]


def _undeclared(item: Item, run: Record | None, facts: Facts) -> dict[str, Outcome]:
    """A read that the storage log shows and the manifest does not: it deviates in E, unregistered in A as well."""
    run_id, _, content = item.key.partition("+")
    reads = [r for r in _reads(run_id, facts, drill=item.drill) if r.fact.content == content]
    used = run.fact.started if run else min((r.fact.read_at for r in reads), default=None)
    said = f"run {run_id} read {content}"
    who = "its manifest does not declare it" if run else "the run was never recorded"
    e = deviation(f"{said}; {who}", *reads)
    known = [
        ref
        for r in _real(facts.all(DatasetRegistered), item.drill)
        if content in _digests(ref := f"dataset:{r.fact.dataset}/{r.fact.version}", facts, drill=item.drill)
    ]
    if not known or used is None:
        nothing = not_applicable("nothing is registered with these bytes")
        a = deviation(f"{said}, which is not registered", *reads)
        return {"A": a, "B": nothing, "C": nothing, "D": nothing, "E": e}
    return _provenance(known[0], None, used, None, facts, drill=item.drill) | {"E": e}


def _covering(facts: Facts, start: datetime, end: datetime, *, drill: bool = False) -> tuple[str, list[Record]] | None:
    """The source whose extracts together cover ``start`` to ``end``, with the extracts; None if none does."""
    by_source: dict[str, list[Record]] = {}
    for r in _real(facts.all(ReadsExtracted), drill):
        by_source.setdefault(r.fact.source, []).append(r)
    for source, extracts in sorted(by_source.items()):
        reached, used = start, []
        for r in sorted(extracts, key=lambda r: (r.fact.start, r.index)):
            if r.fact.start <= reached < r.fact.end:
                reached = r.fact.end
                used.append(r)
        if reached >= end:
            return source, used
    return None


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven where extracts of one storage access log cover the period and show a read of every declared input."""
    found = _covering(facts, period.start, period.end)
    if found is None:
        return Completeness(proven=False, how="single source: the runs' own manifests", sources=("ledger",))
    sources = ("ledger", f"storage access log {found[0]}")
    unseen = [i.key for i in items if not i.drill and _unseen(i, facts)]
    if unseen:
        how = f"no log shows a read of {len(unseen)} declared inputs, such as {unseen[0]}: the storage log is not whole"
        return Completeness(proven=False, how=how, sources=sources)
    how = f"reads in the storage access log {found[0]} cover the period and are reconciled to {len(items)} items"
    return Completeness(proven=True, how=how, sources=sources)


def _unseen(item: Item, facts: Facts) -> bool:
    """Whether it is a declared input of which no read was observed."""
    run_id, _, content = item.key.partition("+")
    run = next(iter(_real(facts.about(f"run:{run_id}", RunRecorded), drill=False)), None)
    inputs = [i for i in run.fact.inputs if i.content == content] if run else []
    return run is not None and bool(inputs) and not _seen(inputs, run, facts, drill=False)


def _planted(index: int, at: datetime, fact: object, *refs: str) -> Record:
    zero = "sha256:" + "0" * 64
    cmd = Cmd(f"00000000-0000-7000-8000-{index:012x}", zero, 1, 1)
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
        zero,
        drill=True,
    )
    return Record(index, head, fact)


def known_bad(now: datetime) -> tuple[Item, Facts, str]:
    """A run that read a registered version and, beside it, a file that nobody registered."""
    good, bad, zero = ("sha256:" + c * 64 for c in "ab0")
    run, ref = "00000000-0000-7000-8000-00000000bad0", "dataset:planted/1"
    text = VaultText(commit=zero, vault=run)
    early, start = parse_duration("P9D"), parse_duration("P1D")
    dataset = DatasetRegistered(
        "planted", "1", text, "2026", "CC0-1.0", "licence", "public", "p-" + "0" * 32, now - early - early, now - early,
        "P1Y", good, 1, 1, zero, text, Attachment(zero, 1, "application/json", "schema"),
    )  # fmt: skip
    manifest = RunRecorded(run, now - start, now, "0", zero, {}, (Input(ref, "training", good, 1),), zero, 0)
    records = [
        _planted(0, now - early, dataset, "dataset:planted", ref),
        _planted(1, now, manifest, f"run:{run}", ref),
        _planted(2, now, ReadObserved("planted", run, good, now - start), f"run:{run}", ref),
        _planted(3, now, ReadObserved("planted", run, bad, now - start), f"run:{run}"),
    ]
    key = f"{run}+{bad}"
    return Item(key, now, (f"run:{run}",), (1, 3), drill=True), Facts(records), "A"


CHECKS = (
    Check(
        CONTROL,
        (DatasetRegistered, SplitMeasured, RunRecorded, ReadObserved, ReadsExtracted),
        population,
        test,
        completeness,
        known_bad,
        candidates,
    ),
)
