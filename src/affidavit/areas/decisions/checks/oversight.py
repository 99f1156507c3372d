"""AI-08.4: human oversight happens before effect. Pure.

A measurement holds every decision of a window that meets the routing rule; its counts stand in the fact, its decisions
by id in the attachment. So an item is a measured window of a deployment, or a time in which a rule was in force and
nothing was measured. A model without a rule sends nothing to a person: its deployments are classed out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from affidavit.areas.decisions.events_people import OversightMeasured, RoutingApproved
from affidavit.areas.decisions.events_runtime import CountsReconciled
from affidavit.areas.registry.events import VersionPromoted
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.fields import Attachment, parse_time, time_text
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

CONTROL, PRODUCTION = "AI-08.4", "production"
GRACE = timedelta(days=1)
"""A measurement may come this long after the time it covers: until then a gap is not held against anybody."""
DAY = timedelta(days=1)
UNMEASURED, UNRULED = "/unmeasured/", "/no-rule"
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Live:
    """A deployment in production: from its promotion to the next of its model; from when on a rule sends to people."""

    promoted: Record
    end: datetime | None
    ruled: Record | None

    @property
    def ref(self) -> str:
        return f"deployment:{self.promoted.fact.deployment}"

    def within(self, period: Period) -> Span | None:
        """The part of the period in which it was live, None if none."""
        start = max(self.promoted.head.at, period.start)
        end = min(self.end or period.end, period.end)
        return (start, end) if start < end else None


def lives(facts: Facts) -> list[Live]:
    """Deployments in production, in log order; planted ones left out."""
    promoted = [r for r in facts.all(VersionPromoted) if r.fact.to == PRODUCTION and not r.head.drill]
    found = []
    for n, r in enumerate(promoted):
        after = next((x.head.at for x in promoted[n + 1 :] if x.fact.model == r.fact.model), None)
        rules = [a for a in facts.about(f"model:{r.fact.model}", RoutingApproved) if not a.head.drill]
        found.append(Live(r, after, rules[0] if rules else None))
    return found


# ---------------------------------------------------------------- population


def routed_decisions(facts: Facts, period: Period) -> list[Item]:
    """Measured windows that begin in the period, and times in which a routing rule was in force and none was measured."""
    windows: dict[tuple[str, datetime, datetime, bool], list[Record]] = {}
    for r in facts.all(OversightMeasured):
        if period.holds(r.fact.start):
            windows.setdefault((r.fact.deployment, r.fact.start, r.fact.end, bool(r.head.drill)), []).append(r)
    agreed = _agreement(windows)
    items = [_window_item(key, records, agreed.get(key)) for key, records in windows.items()]
    for live in lives(facts):
        items += _unmeasured(live, facts, period)
    return sorted(items, key=lambda i: (i.at, i.key))


def _window_item(key: tuple[str, datetime, datetime, bool], records: list[Record], agreed: str | None) -> Item:
    deployment, start, end, drill = key
    refs = (*records[-1].head.refs, *((agreed,) if agreed else ()))
    name = f"{deployment}/{time_text(start)}/{time_text(end)}" + ("/drill" if drill else "")
    return Item(name, start, refs, tuple(r.index for r in records), drill)


def _agreement(
    windows: dict[tuple[str, datetime, datetime, bool], list[Record]],
) -> dict[tuple[str, datetime, datetime, bool], str]:
    """Agreements of all releases of a deployment in the period, stated on its last window; overlaps count once."""
    totals: dict[str, tuple[int, int, datetime]] = {}
    last: dict[str, tuple[str, datetime, datetime, bool]] = {}
    for key in sorted(windows):
        deployment, start, end, drill = key
        agreed, all_, reached = totals.get(deployment, (0, 0, start))
        if drill or start < reached:
            continue
        f = windows[key][-1].fact
        totals[deployment] = (agreed + f.agreements, all_ + f.agreements + f.overrides, end)
        last[deployment] = key
    return {last[d]: f"agreement:{agreed}/{all_}" for d, (agreed, all_, _) in totals.items()}


def _unmeasured(live: Live, facts: Facts, period: Period) -> Iterator[Item]:
    span = live.within(period)
    if span is None:
        return
    f, refs = live.promoted.fact, (live.ref, f"model:{live.promoted.fact.model}")
    if live.ruled is None or live.ruled.head.at >= span[1]:
        yield Item(f"{f.deployment}{UNRULED}", span[0], refs, (live.promoted.index,))
        return
    start, end = max(span[0], live.ruled.head.at), min(span[1], _newest(facts) - GRACE)
    for gap in gaps(live.ref, facts, start, end):
        key = f"{f.deployment}{UNMEASURED}{time_text(gap[0])}"
        yield Item(key, gap[0], (*refs, f"until:{time_text(gap[1])}"), (live.promoted.index, live.ruled.index))


def _newest(facts: Facts) -> datetime:
    """The time of the newest fact at hand: how far the log is known to reach."""
    kinds = (OversightMeasured, RoutingApproved, CountsReconciled, VersionPromoted)
    return max(r.head.at for kind in kinds for r in facts.all(kind)[-1:])


def gaps(ref: str, facts: Facts, start: datetime, end: datetime) -> list[Span]:
    """The parts of ``start`` to ``end`` that no measurement of the deployment covers."""
    spans = sorted((r.fact.start, r.fact.end) for r in facts.about(ref, OversightMeasured) if not r.head.drill)
    found, reached = [], start
    for first, last in spans:
        if first > reached and reached < end:
            found.append((reached, min(first, end)))
        reached = max(reached, last)
    return [*found, (reached, end)] if reached < end else found


# ---------------------------------------------------------------- test


def people_decide_first(item: Item, facts: Facts) -> dict[str, Outcome]:
    """A to F of AI-08.4."""
    if item.key.endswith(UNRULED):
        return dict.fromkeys("ABCDEF", not_applicable("no routing rule sends decisions of this model to a person"))
    if UNMEASURED in item.key:
        until = next((r.removeprefix("until:") for r in item.refs if r.startswith("until:")), "now")
        gone = not_applicable("nothing was measured")
        told = deviation(f"a routing rule was in force and no measurement covers {time_text(item.at)} to {until}")
        return dict.fromkeys("BCDEF", gone) | {"A": told}
    deployment = item.key.partition("/")[0]
    wanted = set(item.entries)
    records = [r for r in facts.about(f"deployment:{deployment}", OversightMeasured) if r.index in wanted]
    if not records:
        return dict.fromkeys("ABCDEF", deviation("the fact behind this item is not in the ledger"))
    return {
        "A": _routed(records), "B": _reviewers(records), "C": _before_effect(records), "D": _reasoned(records),
        "E": _looked(item, facts, records), "F": _answered(records),
    }  # fmt: skip


def _bad(records: list[Record], name: str, told: str) -> Outcome | None:
    """A deviation if any measurement of the window counted one: measuring again takes nothing back."""
    found = [r for r in records if getattr(r.fact, name)]
    return deviation(f"{getattr(found[-1].fact, name)} {told}", *found) if found else None


def _routed(records: list[Record]) -> Outcome:
    if bad := _bad(records, "bypassed", "decisions met the rule and were never held for a person"):
        return bad
    least = min(r.fact.erased for r in records)
    if least:
        return not_tested(f"{least} decisions were erased before oversight was measured")
    return passed(*records)


def _releases(records: list[Record]) -> Outcome | None:
    """Not applicable where no person had released anything."""
    if records[-1].fact.released:
        return None
    return not_applicable("no decision of the window was released by a person", *records)


def _reviewers(records: list[Record]) -> Outcome:
    bad = _bad(records, "untrained", "decisions were released by somebody not authorised or trained then")
    return bad or _releases(records) or passed(*records)


def _before_effect(records: list[Record]) -> Outcome:
    if bad := _bad(records, "early", "decisions took effect before a person had released them"):
        return bad
    f = records[-1].fact
    if f.waiting:
        return not_tested(f"{f.waiting} held decisions wait for a person; measure the window again")
    if f.effect_unknown:
        return not_tested(f"{f.effect_unknown} released decisions have no recorded time of effect")
    return passed(*records) if f.held else not_applicable("no decision of the window was held", *records)


def _reasoned(records: list[Record]) -> Outcome:
    if bad := _bad(records, "unreasoned", "releases bear no outcome or no reason"):
        return bad
    if records[-1].fact.waiting:
        return not_tested(f"{records[-1].fact.waiting} held decisions wait for a person; measure the window again")
    return _releases(records) or passed(*records)


def _looked(item: Item, facts: Facts, records: list[Record]) -> Outcome:
    if bad := _bad(records, "hasty", "decisions were released under the least time of review"):
        return bad
    stated = next((r.removeprefix("agreement:") for r in item.refs if r.startswith("agreement:")), None)
    if stated is not None:
        agreed, all_ = (Decimal(n) for n in stated.split("/"))
        limit = Decimal(str(facts.parameter(CONTROL, "agreement_at_most")))
        told = f"people agreed in {agreed} of {all_} releases of the period; at most {limit} is plausible"
        # with fewer releases a single override would already be more than the limit asks for
        if all_ * (1 - limit) >= 1 and agreed > limit * all_:
            return deviation(told, *records)
    return _releases(records) or passed(*records)


def _answered(records: list[Record]) -> Outcome:
    if bad := _bad(records, "unanswered", "contests or opt-outs were not answered by a person in time"):
        return bad
    pending = records[-1].fact.pending
    if pending:
        return not_tested(f"{pending} contests or opt-outs are open and not yet due; measure the window again")
    return passed(*records)


# ---------------------------------------------------------------- completeness


def completeness(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    """Proven if measurements cover the period, over as many decisions as another system counted (AI-08.1)."""
    ruled = [x for x in lives(facts) if x.ruled is not None]
    spans = [(x, s) for x in ruled if (s := x.within(period)) is not None and x.ruled and x.ruled.head.at < s[1]]
    if not spans:
        return Completeness(False, "no routing rule was in force for a deployment in production", ("ledger",))
    for live, (start, end) in spans:
        assert live.ruled is not None  # noqa: S101 - chosen above
        begin = max(start, live.ruled.head.at)
        if open_ := gaps(live.ref, facts, begin, end):
            return Completeness(False, f"{live.ref}: not measured from {time_text(open_[0][0])}", ("ledger",))
        problem = _uncounted(live, facts, begin, end)
        if problem:
            told = f"single source: the decisions are those that the serving processes recorded; {live.ref}: {problem}"
            return Completeness(False, told, ("ledger", "streams"))
    how = "the rule was recomputed over every sealed decision, and another system counted as many requests (AI-08.1)"
    return Completeness(True, how, ("ledger", "streams", "reconciled counts"))


def _uncounted(live: Live, facts: Facts, start: datetime, end: datetime) -> str | None:
    """Why the recorded decisions are not known to be all of them, None if each day was reconciled without a gap."""
    days = {r.fact.day: r.fact for r in facts.about(live.ref, CountsReconciled) if not r.head.drill}
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    recorded = 0
    while day < end:
        f, told = days.get(day), f"{day:%Y-%m-%d}"
        if f is None:
            return f"{told} was not reconciled with another count"
        if f.source == "self-reported":
            return f"{told} has only the processes' own count"
        if f.gaps or f.uncovered or f.unreadable:
            return f"{told} has hours whose counts differ or are missing"
        recorded += f.recorded
        day += DAY
    windows = {(r.fact.start, r.fact.end): r.fact for r in facts.about(live.ref, OversightMeasured) if not r.head.drill}
    inside = sum(f.decisions + f.erased for (a, b), f in windows.items() if a >= start and b <= end)
    whole = start == start.replace(hour=0, minute=0, second=0, microsecond=0) and end == day
    if inside > recorded or (whole and inside < recorded):
        return f"{inside} decisions were measured, {recorded} were reconciled"
    return None


# ---------------------------------------------------------------- planted case


def bypassed(now: datetime) -> tuple[Item, Facts, str]:
    """One decision met the rule, was never held, and took effect."""
    deployment, rule, zero = (
        "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-000000000002",
        "sha256:" + "0" * 64,
    )
    start = parse_time(time_text(now - 2 * DAY))
    fact = OversightMeasured(
        deployment, rule, start, start + DAY, 1000, 20, 19, 19, 1, 0, 0, 0, 0, 0, 0, 3, 16, 60_000,
        Attachment(zero, 1, "application/json", "oversight"),
    )  # fmt: skip
    refs = (f"deployment:{deployment}", "model:planted", f"routing:{rule}")
    head = Head(
        "planted", refs[0], 0, "decisions.oversight_measured", 1, now, Cmd(rule, zero, 1, 1), "p-" + "0" * 32, Auth("os-user"),
        refs, zero,
    )  # fmt: skip
    record = Record(0, head, fact)
    item = _window_item((deployment, fact.start, fact.end, False), [record], None)
    return item, Facts([record], {CONTROL: {"agreement_at_most": "0.99"}}), "A"


CHECK = Check(
    CONTROL, (OversightMeasured, RoutingApproved, VersionPromoted, CountsReconciled), routed_decisions, people_decide_first,
    completeness, bypassed,
)  # fmt: skip
