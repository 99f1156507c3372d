"""From facts to findings: the same arithmetic for the live assessment and for re-performance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affidavit.core import canonical
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.core.findings import (
    Check,
    Completeness,
    Facts,
    Finding,
    Item,
    ItemException,
    Outcome,
    Period,
    Status,
    operating_status,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a control is tested with: its check and data, and the digests that name them."""

    row: Mapping[str, Any]
    check: Check
    check_digest: str
    parameters: Mapping[str, Any]

    @property
    def parameter_digest(self) -> str:
        """SHA-256 of the canonical parameters."""
        plain = {k: str(v) for k, v in self.parameters.items()}
        return "sha256:" + hashlib.sha256(canonical.encode(plain)).hexdigest()


def assess(bench: Bench, facts: Facts, period: Period, as_of: int) -> Finding:
    """The finding of one control: every item tested, exceptions shown whatever the rest.

    An item with several failed attributes is one exception. Planted items (drills) and items classed out
    (every attribute not applicable) stay in the population file and are left out of ``n`` and the exceptions.
    """
    from affidavit.core.ledger_facts import DrillRun

    items = bench.check.population(facts, period)
    grid = {i.key: bench.check.test(i, facts) for i in items}
    real = [i for i in items if not i.drill and any(o.state != "not_applicable" for o in grid[i.key].values())]
    exceptions = tuple(e for i in real if (e := _exception(i, grid[i.key])) is not None)
    untested = {f"{i.key} {a}": o.reason for i in real for a, o in grid[i.key].items() if o.state == "not_tested"}
    completeness = bench.check.completeness(facts, period, items)
    drills = [r for r in facts.all(DrillRun) if r.fact.control == bench.check.control and period.holds(r.head.at)]
    return Finding(
        control=bench.check.control,
        title=str(bench.row["title"]),
        version=str(bench.row.get("version", "1")),
        period=period,
        as_of=as_of,
        operating=operating_status(len(real), len(exceptions), 0, len(untested), complete=completeness.proven),
        design=design_status(drills, bench.check_digest),
        n=len(real),
        population_sha256=population_digest(items),
        query=(bench.check.population.__doc__ or "").strip().split("\n")[0],
        completeness=completeness,
        exceptions=exceptions,
        missed=(),
        untested=untested,
        drills=tuple(r.index for r in drills),
        check_digest=bench.check_digest,
        parameter_digest=bench.parameter_digest,
        grid=grid,
        items=tuple(items),
    )


def _exception(item: Item, outcomes: Mapping[str, Outcome]) -> ItemException | None:
    failed = {a: o.reason for a, o in outcomes.items() if o.state == "deviation"}
    if not failed:
        return None
    entries = sorted({i for a in failed for i in outcomes[a].entries} | set(item.entries))
    return ItemException(item.key, item.at, item.refs, failed, tuple(entries))


def design_status(drills: Sequence[Record], check_digest: str) -> Status:
    """``not evaluated`` without a drill of this very check in the period; one not caught is an exception."""
    mine = [r for r in drills if r.fact.check == check_digest]
    if any(not r.fact.caught for r in mine):
        return "exception"
    return "pass" if mine else "not evaluated"


def population_digest(items: Sequence[Item]) -> str:
    """SHA-256 of the population file: one canonical line per item, in order."""
    lines = b"".join(canonical.encode(item_row(i)) + b"\n" for i in items)
    return "sha256:" + hashlib.sha256(lines).hexdigest()


def item_row(item: Item) -> dict[str, Any]:
    """An item as a canonical object."""
    return {
        "key": item.key, "at": time_text(item.at), "refs": list(item.refs), "entries": list(item.entries), "drill": item.drill
    }  # fmt: skip


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    return {"outcome": outcome.state, "reason": outcome.reason, "entries": list(outcome.entries)}


def finding_row(finding: Finding) -> dict[str, Any]:
    """A finding as a canonical object: the shape of ``--json``, of the package, and of re-performance."""
    return {
        "control": finding.control,
        "title": finding.title,
        "version": finding.version,
        "period": {"from": time_text(finding.period.start), "to": time_text(finding.period.end)},
        "as_of": finding.as_of,
        "headline": finding.headline,
        "operating": finding.operating,
        "design": finding.design,
        "population": {
            "n": finding.n,
            "sha256": finding.population_sha256,
            "query": finding.query,
            "completeness": _completeness_row(finding.completeness),
            "sources": list(finding.completeness.sources),
        },
        "exceptions": [
            {
                "item": e.item,
                "at": time_text(e.at),
                "refs": list(e.refs),
                "attributes": e.attributes,
                "entries": list(e.entries),
            }
            for e in finding.exceptions
        ],
        "missed": list(finding.missed),
        "untested": finding.untested,
        "drills": list(finding.drills),
        "check_digest": finding.check_digest,
        "parameter_digest": finding.parameter_digest,
        "grid": {key: {a: _outcome_row(o) for a, o in row.items()} for key, row in finding.grid.items()},
    }


def _completeness_row(completeness: Completeness) -> dict[str, Any]:
    return {"proven": completeness.proven, "how": completeness.how}
