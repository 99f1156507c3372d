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
    """Every (run, digest) pair: the declared inputs of each run that ended in the period, and every undeclared read.

    A read by a run that nobody recorded is an item from the day on which the record was due (``recorded_within``).
    """
    items: dict[str, Item] = {}
    recorded: set[str] = set()
    for run in facts.all(RunRecorded):
        recorded.add(run.fact.run)
        if period.holds(run.fact.ended):
            items.update({i.key: i for i in _items_of(run, facts)})
    within = parse_duration(str(facts.parameter(CONTROL, "recorded_within")))
    for read in facts.all(ReadObserved):
        due = read.fact.read_at + within
        if read.fact.run not in recorded and period.holds(due):
            key = f"{read.fact.run}+{read.fact.content}"
            items.setdefault(key, Item(key, due, read.head.refs, (read.index,), bool(read.head.drill)))
    return sorted(items.values(), key=lambda i: (i.at, i.key))


def candidates(item: Item, facts: Facts) -> list[Item]:
    """The items of the training runs that the candidate of a gate names; none if its run was never recorded."""
    runs = [r for ref in item.refs if ref.startswith("run:") for r in facts.about(ref, RunRecorded)]
    return [found for run in runs for found in _items_of(run, facts)]


def _items_of(run: Record, facts: Facts) -> list[Item]:
    f: RunRecorded = run.fact
    items: dict[str, Item] = {}
    for given in f.inputs:
        key = f"{f.run}+{given.content}"
        earlier = items.get(key)
        refs = (*(earlier.refs if earlier else (f"run:{f.run}",)), given.dataset)
        items[key] = Item(key, f.ended, tuple(dict.fromkeys(refs)), (run.index,), bool(run.head.drill))
    declared = _declared(f, facts) | {f.output}
    for read in facts.about(f"run:{f.run}", ReadObserved):
        key = f"{f.run}+{read.fact.content}"
        if read.fact.content not in declared and key not in items:
            drill = bool(read.head.drill or run.head.drill)
            items[key] = Item(key, f.ended, read.head.refs, (run.index, read.index), drill)
    return list(items.values())


def _declared(run: RunRecorded, facts: Facts) -> set[str]:
    """Every digest under which a declared input may have been read: as declared, the whole version, its splits."""
    found = {i.content for i in run.inputs}
    for ref in {i.dataset for i in run.inputs}:
        found |= {r.fact.content for r in _records(ref, facts)} | _parts(ref, facts)
    return found


def _records(ref: str, facts: Facts) -> list[Record]:
    """The registration of a version; facts about its children name it too and are left out."""
    name = ref.removeprefix("dataset:")
    return [r for r in facts.about(ref, DatasetRegistered) if f"{r.fact.dataset}/{r.fact.version}" == name]


def _parts(ref: str, facts: Facts) -> set[str]:
    name = ref.removeprefix("dataset:")
    measured = [r.fact for r in facts.about(ref, SplitMeasured) if f"{r.fact.dataset}/{r.fact.version}" == name]
    return {s.content for m in measured for s in m.splits}


def test(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A record exists and predates the run, B it is whole, C the bytes agree, D parents resolve, E the read was declared."""
    run_id, _, content = item.key.partition("+")
    run = next(iter(facts.about(f"run:{run_id}", RunRecorded)), None)
    inputs = [i for i in run.fact.inputs if i.content == content] if run else []
    if run is None or not inputs:
        return _undeclared(run_id, content, run, facts)
    rows = [_provenance(i.dataset, i, run.fact.started, run, facts) for i in inputs]
    found = {a: next((r[a] for r in rows if r[a].state == "deviation"), rows[0][a]) for a in "ABCD"}
    return found | {"E": _logged(content, run, facts)}


def _provenance(ref: str, given: Input | None, used: datetime, run: Record | None, facts: Facts) -> dict[str, Outcome]:
    """A to D of one dataset version that was first used at ``used``."""
    records = _records(ref, facts)
    if not records:
        nothing = not_applicable("there is no record to examine")
        return {"A": deviation(f"{ref} is not registered", *_some(run)), "B": nothing, "C": nothing, "D": nothing}
    record = records[0]
    f: DatasetRegistered = record.fact
    late = record.head.at > used or (run is not None and record.index > run.index)
    gaps = _gaps(f)
    orphans = [p for p in f.parents if not any(r.index < record.index for r in _records(p, facts))]
    same = given is None or given.content == f.content or given.content in _parts(ref, facts)
    registered = f"{ref} was registered {time_text(record.head.at)}"
    return {
        "A": deviation(f"{registered}, the run started {time_text(used)}", record) if late else passed(record),
        "B": deviation(f"the record of {ref} lacks {', '.join(gaps)}", record) if gaps else passed(record),
        "C": passed(record, *_some(run)) if same else deviation(f"the run read other bytes than {ref}", record),
        "D": deviation(f"{orphans[0]}, a parent of {ref}, is not registered before it", record)
        if orphans
        else passed(record),
    }


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


def _logged(content: str, run: Record, facts: Facts) -> Outcome:
    """E of a declared input: a storage access log covers the run; the item's own read is a declared one."""
    covering = _covering(facts, run.fact.started, run.fact.ended, drill=bool(run.head.drill))
    if not covering:
        return not_tested("no storage access log covers the run")
    seen = [r for r in facts.about(f"run:{run.fact.run}", ReadObserved) if r.fact.content == content]
    return passed(run, *covering[1], *seen)


def _undeclared(run_id: str, content: str, run: Record | None, facts: Facts) -> dict[str, Outcome]:
    """A read that the storage log shows and the manifest does not: it deviates in E, unregistered in A as well."""
    reads = [r for r in facts.about(f"run:{run_id}", ReadObserved) if r.fact.content == content]
    used = run.fact.started if run else min((r.fact.read_at for r in reads), default=None)
    said = f"run {run_id} read {content}"
    who = "its manifest does not declare it" if run else "the run was never recorded"
    e = deviation(f"{said}; {who}", *reads)
    known = [
        f"dataset:{r.fact.dataset}/{r.fact.version}"
        for r in facts.all(DatasetRegistered)
        if content == r.fact.content or content in _parts(f"dataset:{r.fact.dataset}/{r.fact.version}", facts)
    ]
    if not known or used is None:
        nothing = not_applicable("nothing is registered with these bytes")
        return {
            "A": deviation(f"{said}, which is not registered", *reads),
            "B": nothing,
            "C": nothing,
            "D": nothing,
            "E": e,
        }
    return _provenance(known[0], None, used, None, facts) | {"E": e}


def _covering(facts: Facts, start: datetime, end: datetime, *, drill: bool = False) -> tuple[str, list[Record]] | None:
    """The source whose extracts together cover ``start`` to ``end``, with the extracts; None if none does."""
    by_source: dict[str, list[Record]] = {}
    for r in facts.all(ReadsExtracted):
        if drill or not r.head.drill:
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
    """Proven where extracts of one storage access log cover the period: reads are reconciled to declared inputs."""
    found = _covering(facts, period.start, period.end)
    if found is None:
        return Completeness(proven=False, how="single source: the runs' own manifests", sources=("ledger",))
    how = f"reads in the storage access log {found[0]} cover the period and are reconciled to {len(items)} items"
    return Completeness(proven=True, how=how, sources=("ledger", f"storage access log {found[0]}"))


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
