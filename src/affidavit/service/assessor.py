"""``assess``: one streaming pass over the facts, then every control's test. Drills of the design."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from affidavit.areas.catalog import Catalog, Control
from affidavit.core import canonical, envelope
from affidavit.core.area import Who
from affidavit.core.assessment import Bench, assess
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.findings import Facts, Finding, Period
from affidavit.core.ledger_facts import DrillRun, LedgerOpened
from affidavit.core.ports import EntryStore
from affidavit.service.executor import Executor
from affidavit.service.readings import Reading


def needed(controls: Iterable[Control]) -> dict[tuple[str, int], type]:
    """(tag, version) → class of the facts that these controls read."""
    classes = {DrillRun, LedgerOpened} | {c for control in controls for c in control.check.needs}
    return {key: cls for key, cls in envelope.known_facts().items() if cls in classes}


def stream(entries: EntryStore, as_of: int, wanted: dict[tuple[str, int], type]) -> Iterator[Record]:
    """The wanted records below ``as_of``; others are parsed and passed over."""
    for index, body in enumerate(entries.entries(0, as_of)):
        value = canonical.parse_plain(body)
        if (value["tag"], value["v"]) in wanted:
            yield envelope.decode(index, body, proven=True)


def assess_period(
    executor: Executor, period: Period, as_of: int | None = None, only: Sequence[str] = ()
) -> list[Finding]:
    """Findings of the chosen controls (all by default) for ``period``, as the ledger stood at ``as_of`` entries.

    ``as_of`` lies on a command boundary. Same ``as_of``, same answer. Raises ``Invalid`` or ``NotFound``.
    """
    catalog, entries = executor.catalog, executor.stores.entries
    size = entries.size()
    as_of = size if as_of is None else as_of
    _check_as_of(entries, as_of, size)
    controls = chosen(catalog, only)
    with entries.read() as tx:
        reading = Reading(tx, catalog, executor.book)
        last = envelope.split(next(iter(entries.entries(as_of - 1, as_of)))).head.at
        rules = reading.rules_at(min(last, period.end) if period.start <= last else last)
    facts = Facts(stream(entries, as_of, needed(controls)), rules.parameters)
    benches = (Bench(c.body, c.check, c.digest, rules.parameters.get(c.id, {})) for c in controls)
    return [assess(bench, facts, period, as_of) for bench in benches]


def chosen(catalog: Catalog, only: Sequence[str]) -> list[Control]:
    """The controls by id, or all. Raises ``NotFound`` naming the unknown one."""
    for name in only:
        if name not in catalog.controls:
            raise NotFound(f"no control {name!r}.", next_step=f"controls: {', '.join(catalog.controls)}.")
    return [c for c in catalog.controls.values() if not only or c.id in only]


def _check_as_of(entries: EntryStore, as_of: int, size: int) -> None:
    if not 1 <= as_of <= size:
        raise Invalid(f"as-of {as_of} is not between 1 and {size}.", next_step="give a ledger size.")
    if as_of < size:
        before, after = (envelope.split(b).head.cmd for b in entries.entries(as_of - 1, as_of + 1))
        if before.id == after.id:
            raise Invalid(f"as-of {as_of} cuts command {before.id} in two.", next_step=f"use {as_of - before.part}.")


def drill(executor: Executor, control_id: str, who: Who) -> Record:
    """Play a control's known-bad case through its own test and record whether it was caught.

    The planted facts exist in memory only; the entry is marked as a drill.
    """
    (control,) = chosen(executor.catalog, [control_id])
    executor.permit(who, "audit.drill")
    now = executor.stores.clock.now()
    item, planted, attribute = control.check.known_bad(now)
    with executor.stores.entries.read() as tx:
        reading = Reading(tx, executor.catalog, executor.book)
        rules = reading.rules()
    facts = Facts((), rules.parameters)
    for cls in {*control.check.needs, DrillRun, LedgerOpened}:
        for record in planted.all(cls):
            facts.add(record)
    outcome = control.check.test(item, facts).get(attribute)
    caught = outcome is not None and outcome.state == "deviation"
    fact = DrillRun(control_id, caught, f"planted:{attribute}", control.digest)
    with executor.stores.entries.write() as tx:
        return executor.append_facts(tx, [Draft(fact, (f"control:{control_id}",))], who, area=control.area, drill=True)[
            0
        ]
