"""Oversight measured: the routing rule recomputed over every sealed decision of a window, against what people did.

The rule comes from the ledger, the decisions from sealed rows: whether the serving process held one is not asked.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.people import cases
from affidavit.areas.decisions.people import commands as c
from affidavit.areas.decisions.people.acting import authorised
from affidavit.areas.decisions.people.cases import Case
from affidavit.areas.decisions.people.late import (
    SLACK,
    late_rows,
    located,
    moment,
    ms_of,
    place_of,
    sealed_table,
    spooled,
)
from affidavit.areas.decisions.people.queries import routing_of
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import parse_duration, time_text
from affidavit.streams.ids import id_text
from affidavit.streams.passport import Routing
from affidavit.streams.routing import meets_table

ANSWERED_WITHIN = "P30D"
"""Where management set no other: the month of GDPR art. 12(3)."""
Verdict = Mapping[str, Any]


def measure(request: c.MeasureOversight, desk: Desk) -> tuple[c.RecordOversight, dict[str, Any]]:
    """Counts for the ledger, decision ids in the attachment.

    Raises ``NotFound`` for an unknown deployment or one whose model had no rule, ``Invalid`` for a window that is not
    past or in which the rule changed, ``Refused`` (``unsealed``) while decisions of the window wait for a seal.
    """
    served = desk.ask("registry.deployment", request.deployment)
    if served is None:
        raise NotFound(
            f"no deployment {request.deployment}.", next_step="`affidavit registry history MODEL` lists them."
        )
    rule = _rule(request, desk, served["model"])
    _all_sealed(request, desk)
    window = _window(request, desk, routing_of(rule))
    rows = late_rows(desk, "actions", request.start - SLACK)
    found = Found(desk, served, rule, cases.cases_of(rows))
    for decision in window.decisions:
        found.judge(decision, met=decision in window.met)
    _contests(request, desk, found, window)
    fact = _fact(request, desk, rule, window, found)
    told = {n: getattr(fact, n) for n in (
        "decisions", "routed", "held", "released", "bypassed", "early", "unrouted", "untrained", "hasty", "unreasoned", "unanswered",
        "overrides", "agreements", "median_review_ms", "waiting", "pending", "effect_unknown", "erased")}  # fmt: skip
    return c.RecordOversight(fact), told


def _rule(request: c.MeasureOversight, desk: Desk, model: str) -> dict[str, Any]:
    start, end = request.start, request.end
    if not start < end <= desk.now:
        raise Invalid(
            f"{time_text(start)} to {time_text(end)} is no window of the past.",
            next_step="start before end, end by now.",
        )
    changes = desk.ask("decisions.routing_changes", model, start, end)
    if changes:
        raise Invalid(
            f"a routing rule of {model} came into force {changes[0]}, within the window.",
            next_step=f"measure up to {changes[0]} and from there.",
        )
    rule: dict[str, Any] | None = desk.ask("decisions.routing_at", model, start)
    if rule is None:
        raise NotFound(
            f"{model} had no routing rule at {time_text(start)}.",
            next_step="nothing to measure before one is approved.",
        )
    return rule


def _all_sealed(request: c.MeasureOversight, desk: Desk) -> None:
    waiting, low, high = 0, ms_of(request.start), ms_of(request.end)
    for opened, first, row in spooled(desk, "decisions"):
        o = opened.opening
        if o.deployment != request.deployment:
            continue
        known = desk.ask("decisions.stream", o.stream)
        after = known["next_seq"] if known else 0
        if isinstance(row, bytes):
            times = [int.from_bytes(row[place_of(opened.schema, "at")], "little", signed=True)]
        else:
            times = [ms_of(at) for at in row.column("at").to_pylist()]
        waiting += sum(first + n >= after and low <= at < high for n, at in enumerate(times))
    if waiting:
        raise Refused("unsealed", f"{waiting} decisions of the window wait for a seal.",
                      next_step="affidavit decisions seal, then measure.", controls=("AI-08.4",))  # fmt: skip


@dataclass(slots=True)
class Window:
    """The sealed decisions of a window, those that meet the rule, and how many rows are erased."""

    decisions: list[bytes] = field(default_factory=list)
    met: set[bytes] = field(default_factory=set)
    erased: int = 0


def _window(request: c.MeasureOversight, desk: Desk, routing: Routing) -> Window:
    import pyarrow.compute as pc

    found, columns = Window(), ["id", "at", *dict.fromkeys(c.column for c in routing.conditions)]
    for where in sealed_rows.segments_between(desk, "decisions", request.start, request.end, request.deployment):
        if where.header.deployment != request.deployment:
            continue
        table = sealed_table(desk, where, columns)
        found.erased += table.column("id").null_count
        at = table.column("at")
        inside = pc.and_(pc.greater_equal(at, _scalar(request.start)), pc.less(at, _scalar(request.end)))
        table = table.filter(pc.fill_null(inside, False))
        ids = table.column("id")
        found.decisions += ids.to_pylist()
        found.met.update(ids.filter(meets_table(routing, table)).to_pylist())
    found.decisions = list(dict.fromkeys(found.decisions))
    return found


def _scalar(at: datetime) -> Any:
    import pyarrow as pa

    return pa.scalar(at, pa.timestamp("ms", "UTC"))


# ---------------------------------------------------------------- judging


LISTS = (
    "bypassed",
    "unrouted",
    "early",
    "untrained",
    "hasty",
    "unreasoned",
    "unanswered",
    "pending",
    "waiting",
    "effect_unknown",
)


@dataclass(slots=True)
class Found:
    """What was found: ids by problem, and the verdicts."""

    desk: Desk
    served: dict[str, Any]
    rule: dict[str, Any]
    cases: dict[bytes, Case]
    ids: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in LISTS})
    verdicts: list[Verdict] = field(default_factory=list)
    held: int = 0
    released: int = 0
    fit: dict[tuple[str, int], bool] = field(default_factory=dict)

    def judge(self, decision: bytes, *, met: bool) -> None:
        """One decision of the window: whether it was held as the rule says, and by whom it was released."""
        case, name = self.cases.get(decision), id_text(decision)
        if case is None or case.held is None:
            if met:
                self.ids["bypassed"].append(name)
            if case is None:
                return
        else:
            self.held += 1
            self._held(case, name, met=met)
        if not case.verdicts:
            return
        self.released += 1
        self.verdicts += case.verdicts
        for given in case.verdicts:
            self._verdict(given, name)

    def _held(self, case: Case, name: str, *, met: bool) -> None:
        lists = self.ids
        if not met:
            lists["unrouted"].append(name)
        if case.early:
            lists["early"].append(name)
        if case.released is None:
            lists["waiting"].append(name)
        elif not case.effects and case.verdicts[-1]["action"] == cases.RELEASED:
            lists["effect_unknown"].append(name)

    def _verdict(self, given: Verdict, name: str) -> None:
        if given["process"] or not self._fit(given["actor"], given["at"]):
            self._once("untrained", name)
        if (given["spent_ms"] or 0) < self.rule["min_review_ms"]:
            self._once("hasty", name)
        if not given["outcome"] or not (given["reason"] or "").strip():
            self._once("unreasoned", name)

    def _once(self, problem: str, name: str) -> None:
        if name not in self.ids[problem][-1:]:
            self.ids[problem].append(name)

    def _fit(self, actor: str | None, at_ms: int) -> bool:
        """Whether the reviewer was authorised and trained then."""
        if actor is None:
            return False
        if (actor, at_ms) not in self.fit:
            at, model = moment(at_ms), self.served["model"]
            role = authorised(self.desk, actor, model, self.served["env"], at)
            self.fit[actor, at_ms] = role is not None and self.desk.ask("decisions.trained", actor, model, at)
        return self.fit[actor, at_ms]


def _contests(request: c.MeasureOversight, desk: Desk, found: Found, window: Window) -> None:
    """Contests and opt-outs that came in the window, whenever the decision was made: answered in time, or not yet due."""
    within, inside = answer_within(desk), set(window.decisions)
    for decision, asked, answered in _asked(request, found.cases):
        if decision not in inside and not _ours(request, desk, decision):
            continue
        due = moment(asked["at"]) + within
        if answered is None and due > desk.now:
            found.ids["pending"].append(id_text(decision))
        elif answered is None or moment(answered["at"]) > due:
            found.ids["unanswered"].append(id_text(decision))


def _asked(request: c.MeasureOversight, known: dict[bytes, Case]) -> Iterator[tuple[bytes, Verdict, Verdict | None]]:
    low, high = ms_of(request.start), ms_of(request.end)
    for decision, case in known.items():
        pairs: list[tuple[Verdict, Verdict | None]] = [*case.answered, *((asked, None) for asked in case.waits)]
        for asked, answered in pairs:
            if asked["action"] in (cases.CONTESTED, cases.OPTED_OUT) and low <= asked["at"] < high:
                yield decision, asked, answered


def _ours(request: c.MeasureOversight, desk: Desk, decision: bytes) -> bool:
    try:
        return located(desk, id_text(decision)).deployment == request.deployment
    except (NotFound, Refused):
        return False


def answer_within(desk: Desk) -> timedelta:
    """How long a contest may wait: what AI-08.3 grants a request for an explanation."""
    return parse_duration(str(desk.rules.parameters.get("AI-08.3", {}).get("answered_within", ANSWERED_WITHIN)))


def _fact(
    request: c.MeasureOversight, desk: Desk, rule: dict[str, Any], window: Window, found: Found
) -> e.OversightMeasured:
    n = {name: len(ids) for name, ids in found.ids.items()}
    agreed = sum(v["action"] == cases.RELEASED for v in found.verdicts)
    spent = [v["spent_ms"] for v in found.verdicts if v["spent_ms"] is not None]
    body = {
        "decisions": {k: sorted(ids) for k, ids in found.ids.items()},
        "met": len(window.met),
        "reviewers": _reviewers(found.verdicts),
        "rule": rule["rule"],
    }
    return e.OversightMeasured(
        request.deployment, rule["rule"], request.start, request.end, len(window.decisions), len(window.met), found.held,
        found.released, n["bypassed"], n["unrouted"], n["early"], n["untrained"], n["hasty"], n["unreasoned"], n["unanswered"],
        len(found.verdicts) - agreed, agreed, int(statistics.median(spent)) if spent else 0,
        desk.attach(canonical.encode(body), "application/json", "oversight"), n["waiting"], n["pending"], n["effect_unknown"],
        window.erased,
    )  # fmt: skip


def _reviewers(verdicts: list[Verdict]) -> dict[str, dict[str, int]]:
    """Per reviewer: agreements, overrides, median time of review in milliseconds."""
    by: dict[str, list[Verdict]] = {}
    for given in verdicts:
        by.setdefault(given["actor"] or "none", []).append(given)
    return {
        who: {
            "agreements": sum(v["action"] == cases.RELEASED for v in given),
            "overrides": sum(v["action"] == cases.OVERRIDDEN for v in given),
            "median_review_ms": int(statistics.median([v["spent_ms"] or 0 for v in given])),
        }
        for who, given in by.items()
    }
