"""The gate: the control tests of a period, run on one candidate. One check, two callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from affidavit.core import envelope
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid
from affidavit.core.findings import Facts, Item, Outcome, not_tested
from affidavit.core.ports import EntryStore
from affidavit.core.rules import Rules
from affidavit.service.readings import Reading

HOPS = 3
SKIPPED = ("rules:", "principal:", "env:", "refusal:", "source:")


def facts_about(reading: Reading, entries: EntryStore, start: Iterable[str], rules: Rules) -> Facts:
    """The facts that a candidate's references lead to, within three steps, in log order.

    Grants of the people who acted are included; the references of rules, environments and people
    are not followed further.
    """
    log = reading.view("log")
    seen: set[str] = set()
    found: dict[int, Record] = {}
    frontier = set(start)
    for _ in range(HOPS):
        wanted = sorted(r for r in frontier - seen if not r.startswith(SKIPPED))
        seen |= frontier
        frontier = set()
        for index in sorted({i for ref in wanted for i in _about(log, ref)} - set(found)):
            found[index] = _record(entries, index)
            frontier |= set(found[index].head.refs)
    of_access = " AND idx IN (SELECT idx FROM {meta} WHERE tag >= 'access.' AND tag < 'access/')"
    for actor in sorted({r.head.actor for r in found.values()}):
        for (index,) in log.rows("SELECT idx FROM {ref} WHERE ref = ?" + of_access, f"principal:{actor}"):
            if index not in found:
                found[index] = _record(entries, index)
    opened = _record(entries, 0)
    found[0] = opened
    return Facts((found[i] for i in sorted(found)), rules.parameters)


def _about(log: ViewTx, ref: str) -> list[int]:
    """Entries that say something of ``ref`` for a candidate.

    Of a model: those that concern no single version (plans, standing authorisations). Of a dataset: its
    own, not those of every run and version that used it. Of anything else: all that name it.
    """
    sql = "SELECT idx FROM {ref} WHERE ref = ?"
    if ref.startswith("model:") and "/" not in ref:
        rows = log.rows(
            sql + " AND idx NOT IN (SELECT idx FROM {ref} WHERE ref >= ? AND ref < ?)", ref, ref + "/", ref + "0"
        )
    elif ref.startswith("dataset:"):
        rows = log.rows(
            sql + " AND idx IN (SELECT idx FROM {meta} WHERE stream = ?)", ref, ref.split("/", maxsplit=1)[0]
        )
    elif ref.startswith("system:"):
        of_no_model = " AND idx NOT IN (SELECT idx FROM {ref} WHERE ref >= 'model:' AND ref < 'model;')"
        rows = log.rows(sql + of_no_model, ref)
    else:
        rows = log.rows(sql, ref)
    return [index for (index,) in rows]


def _record(entries: EntryStore, index: int) -> Record:
    return envelope.decode(index, next(iter(entries.entries(index, index + 1))))


def outcomes(
    reading: Reading, entries: EntryStore, rules: Rules, model: str, number: int, to: str, now: datetime
) -> Mapping[str, Mapping[str, Outcome]]:
    """Per control and attribute that the rules list for the transition into ``to``: the candidate's outcome.

    A control with several items behind the candidate (AI-02.1: one per input) gives the worst of them.
    """
    version = reading.ask("registry.refs", model, number)
    item = Item("candidate", now, (*version, f"env:{to}"), ())
    facts = facts_about(reading, entries, version, rules)
    found: dict[str, dict[str, Outcome]] = {}
    for control, attributes in rules.transition(to).checks.items():
        known = reading.catalog.controls.get(control)
        if known is None:
            raise Invalid(
                f"transitions.{to}.checks names {control}, which no area tests.", next_step="correct rules.yaml."
            )
        results = [known.check.test(i, facts) for i in known.check.candidates(item, facts)]
        found[control] = {a: worst([r[a] for r in results if a in r]) for a in attributes}
    return found


_RANK = {"deviation": 0, "not_tested": 1, "pass": 2, "not_applicable": 3}


def worst(results: list[Outcome]) -> Outcome:
    """The outcome that decides; none at all is ``not_tested``."""
    if not results:
        return not_tested("no item of the control lies behind the candidate")
    return min(results, key=lambda o: _RANK[o.state])
