"""Completeness of a day: requests that another source counted against decisions that are sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from affidavit.areas.decisions import events_runtime as e
from affidavit.areas.decisions.runtime import commands as c
from affidavit.areas.decisions.runtime import counters as other
from affidavit.areas.decisions.runtime.counting import DAY, Measure, Tally, Target, tally
from affidavit.areas.decisions.runtime.extracts import Hours
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import parse_duration, parse_time, time_text
from affidavit.streams.schema import parse_schema

CONTROL = "AI-08.1"
HOUR = timedelta(hours=1)
MOST_DAYS = 366
MOST_SPOTS = 16
MOST_EXPOSED = 16


def reconcile(request: c.Reconcile, desk: Desk) -> tuple[c.RecordReconciled | None, Any]:
    """One fact a deployment and day, with the rows behind every exception in its attachment."""
    _check(request, desk)
    parameters = desk.rules.parameters.get(CONTROL, {})
    tolerance = Decimal(str(parameters.get("count_tolerance", "0.001")))
    waits = [parse_duration(str(parameters[k])).total_seconds() * 1000 for k in ("clock_skew", "sealed_within")]
    held, parsed = other.receipts(desk), dict[str, Hours]()
    facts: list[e.CountsReconciled] = []
    for n in range(request.days):
        day = request.day + n * DAY
        found = _Day(desk, day, tolerance, (int(waits[0]), int(waits[1])), held, parsed)
        facts += [found.fact(t) for t in _targets(desk, request, day)]
    if not facts:
        return None, {"days": [], "told": f"nothing served or recorded in {request.env} then"}
    return c.RecordReconciled(tuple(facts)), {"days": [_line(f) for f in facts]}


def _line(f: e.CountsReconciled) -> dict[str, Any]:
    names = ("source", "observed", "recorded", "served", "missed", "late", "duplicates", "unfilled", "unknown", "steps",
             "uncovered", "lost", "unsealed", "altered", "unreadable", "plain")  # fmt: skip
    gaps = [f"{time_text(g.hour)}: {g.observed} observed, {g.recorded} recorded" for g in f.gaps]
    return {"deployment": f.deployment, "day": time_text(f.day)[:10], **{n: getattr(f, n) for n in names}, "gaps": gaps}


def _check(request: c.Reconcile, desk: Desk) -> None:
    day = request.day
    if (day.hour, day.minute, day.second, day.microsecond) != (0, 0, 0, 0):
        raise Invalid(f"{time_text(day)} does not begin a day of UTC.", next_step="give a day, such as 2026-11-24.")
    if request.days > MOST_DAYS:
        raise Invalid(f"{request.days} days; at most {MOST_DAYS} at once.", next_step="take a shorter window.")
    if day + request.days * DAY > desk.now:
        raise Refused("day_not_over", f"the window ends {time_text(day + request.days * DAY)}, after now.",
                      next_step="reconcile a day once it is over.", controls=(CONTROL,))  # fmt: skip


# ---------------------------------------------------------------- which deployments


def _targets(desk: Desk, request: c.Reconcile, day: datetime) -> list[Target]:
    if request.deployment is None:
        return targets_of_day(desk, request.env, day)
    found = target_of(desk, request.deployment)
    if found is None:
        raise NotFound(
            f"no deployment {request.deployment}.", next_step="`affidavit registry history MODEL` lists them."
        )
    return [found]


def targets_of_day(desk: Desk, env: str, day: datetime) -> list[Target]:
    """Deployments that served an environment that day, or whose decisions of that day are sealed; oldest first."""
    served = desk.ask("registry.serving_between", env, time_text(day), time_text(day + DAY))
    ids = dict.fromkeys(d["id"] for d in served)
    for s in desk.ask("decisions.streams_of"):
        mine = s["kind"] == "decisions" and s["env"] == env and s["deployment"] and s["deployment"] not in ids
        if mine and desk.ask("decisions.spans_between", "decisions", day, day + DAY, s["deployment"]):
            ids[s["deployment"]] = None
    found = [t for i in ids if (t := target_of(desk, i)) is not None]
    return sorted(found, key=lambda t: (t.since, t.deployment))


def target_of(desk: Desk, deployment: str) -> Target | None:
    """A deployment by the register, else by the streams that name it; None if neither knows it."""
    d = desk.ask("registry.deployment", deployment)
    if d is not None:
        version = desk.ask("registry.version", d["model"], d["number"])
        registered = int(parse_time(version["at"]).timestamp() * 1000)
        until = parse_time(d["until"]) if d["until"] else None
        return Target(deployment, d["model"], d["env"], d["artifact"], registered, parse_time(d["at"]), until)
    streams = desk.ask("decisions.streams_of", deployment)
    if not streams:
        return None
    s = streams[0]
    return Target(deployment, s["model"], s["env"], None, 0, parse_time(s["opened"]), None)


# ---------------------------------------------------------------- one day


@dataclass(slots=True)
class _Side:
    """The other side of a day: counts by hour, None where nothing counted."""

    source: Literal["receipts", "observed", "self-reported"]
    hours: list[int | None]
    entry: int | None
    name: str
    shared: bool = False
    conflicts: list[list[Any]] = field(default_factory=list)


class _Day:
    """A day of one environment after the other; tallies are made once."""

    def __init__(self, desk: Desk, day: datetime, tolerance: Decimal, waits_ms: tuple[int, int], held: other.Receipts,
                 parsed: dict[str, Hours]) -> None:  # fmt: skip
        self.desk, self.day, self.tolerance, self.waits_ms, self.held = desk, day, tolerance, waits_ms, held
        self.counters = other.counters(desk, day, parsed)
        self._tallies: dict[str, Tally] = {}
        self._of_env: dict[str, list[Target]] = {}

    def tally(self, target: Target) -> Tally:
        """The sealed rows of the day."""
        if target.deployment not in self._tallies:
            before = self.desk.ask("decisions.reconciled", target.deployment, self.day)
            by = Measure(*self.waits_ms, self.held.signed, before)
            self._tallies[target.deployment] = tally(self.desk, target, self.day, by)
        return self._tallies[target.deployment]

    def fact(self, target: Target) -> e.CountsReconciled:
        """The day of a deployment."""
        found = self.tally(target)
        streams = [s for s in self.desk.ask("decisions.streams_of", target.deployment) if s["kind"] == "decisions"]
        own = _own(self.desk, self.day, streams, found)
        no_row = [0] * 24
        for s in streams:
            hours, ranges = self.held.without_row(s, self.day)
            no_row = [a + b for a, b in zip(no_row, hours, strict=True)]
            found.ranges.setdefault("no-row", []).extend((s["stream"], a, b) for a, b in ranges)
            altered = self.held.altered(s["stream"], self.day)
            found.ranges.setdefault("other-row", []).extend((s["stream"], a, b) for a, b in altered)
        side = self._side(found, own, no_row)
        return self._fact(found, own, side, no_row)

    def _side(self, found: Tally, own: _Own, no_row: Sequence[int]) -> _Side:
        """Receipts where every row has one, else the counter that covers most; what a counter saw beyond stays in."""
        rows = [int(n) for n in found.recorded]
        counted = self._counted(found)
        held = [int(n) for n in found.receipted]
        if sum(held) and all(self._near(h, n) for h, n in zip(held, rows, strict=True)):
            base = [h + m for h, m in zip(held, no_row, strict=True)]
            seen = counted.hours if counted else [None] * 24
            hours: list[int | None] = [max(b, s or 0) for b, s in zip(base, seen, strict=True)]
            return _Side("receipts", hours, self.held.entry, "receipts" + (f"+{counted.name}" if counted else ""))
        if counted is not None:
            return counted
        reported: list[int | None] = [r + m + x for r, m, x in zip(rows, own.missed, own.unexplained, strict=True)]
        return _Side("self-reported", reported, None, "self-reported")

    def _counted(self, found: Tally) -> _Side | None:
        """The counter with the fewest hours left out; of equal ones that which counted most."""
        sides = []
        for counter in self.counters:
            target = found.target
            hours, shared = counter.of(target.deployment, f"{target.model}@{target.env}")
            if all(h is None for h in hours):
                continue
            if shared:
                hours = self._shared(target, hours)
            side = _Side("observed", hours, counter.entry, counter.source, shared, counter.conflicts)
            sides.append((sum(self._serves(found, h) and hours[h] is None for h in range(24)), -sum(filter(None, hours)), side))  # fmt: skip
        return min(sides, key=lambda s: s[:2])[2] if sides else None

    def _shared(self, target: Target, hours: list[int | None]) -> list[int | None]:
        env = target.env or ""
        if env not in self._of_env:
            self._of_env[env] = targets_of_day(self.desk, env, self.day)
        those = [t for t in self._of_env[env] if t.model == target.model]
        if target.deployment not in [t.deployment for t in those]:
            those.append(target)
        rows = {t.deployment: [int(n) for n in self.tally(t).recorded] for t in those}
        live = {
            t.deployment: [t.live(self.day + h * HOUR, self.day + (h + 1) * HOUR) for h in range(24)] for t in those
        }
        return other.share(hours, target.deployment, rows, live)

    def _serves(self, found: Tally, h: int) -> bool:
        start = self.day + h * HOUR
        return bool(found.recorded[h]) or found.target.live(start, start + HOUR)

    def _near(self, observed: int, recorded: int) -> bool:
        return abs(observed - recorded) <= self.tolerance * observed

    def _fact(self, found: Tally, own: _Own, side: _Side, no_row: Sequence[int]) -> e.CountsReconciled:
        rows = [int(n) for n in found.recorded]
        gaps = tuple(
            e.HourGap(self.day + h * HOUR, o, rows[h])
            for h, o in enumerate(side.hours) if o is not None and not self._near(o, rows[h])
        )  # fmt: skip
        uncovered = [h for h in range(24) if side.hours[h] is None and self._serves(found, h)]
        found.ranges.setdefault("lost", []).extend(own.lost)
        exposed = _exposed(self.desk, found)
        altered = sum(b - a + 1 for _, a, b in found.ranges.get("other-row", []))
        counts, recorded, missed = found.counts, sum(rows), sum(own.missed)
        return e.CountsReconciled(
            found.target.deployment, self.day, side.source, sum(filter(None, side.hours)), recorded,
            recorded + missed + sum(own.unexplained), missed, counts["late"], counts["duplicate"], counts["unfilled"],
            counts["unknown"], counts["step"], gaps, self._details(found, own, side, uncovered), len(uncovered),
            len(own.lost), sum(no_row), altered, counts["unreadable"], counts["plain"], exposed[:MOST_EXPOSED],
            _spots(found), side.entry,
        )  # fmt: skip

    def _details(self, found: Tally, own: _Own, side: _Side, uncovered: Sequence[int]) -> Any:
        """Every hour, and every range of rows behind an exception with host and process."""
        rows = [int(n) for n in found.recorded]
        named = {s for ranges in found.ranges.values() for s, _, _ in ranges} | found.streams
        known = {s: self.desk.ask("decisions.stream", s) for s in sorted(named)}
        body = {
            "conflicts": side.conflicts,
            "day": time_text(self.day),
            "deployment": found.target.deployment,
            "erased": found.erased,
            "gaps": own.gaps,
            "hours": [[h, side.hours[h], rows[h], int(found.receipted[h])] for h in range(24)],
            "processes": {s: {"host": k["host"], "pid": k["pid"]} for s, k in known.items() if k},
            "ranges": {what: [list(r) for r in ranges] for what, ranges in sorted(found.ranges.items()) if ranges},
            "shared": side.shared,
            "source": side.name,
            "uncovered": list(uncovered),
            "unknown_digests": dict(found.digests),
        }
        return self.desk.attach(canonical.encode(body), "application/json", "reconciliation")


def _spots(found: Tally) -> tuple[e.Spot, ...]:
    """The first range of each kind, then the next of each, as many as an entry holds."""
    lists = [[e.Spot(what, *r) for r in ranges] for what, ranges in sorted(found.ranges.items()) if what in _SPOTS]  # type: ignore[arg-type]
    depth = max(map(len, lists), default=0)
    return tuple(one[n] for n in range(min(depth, MOST_SPOTS)) for one in lists if n < len(one))[:MOST_SPOTS]


_SPOTS = ("lost", "late", "duplicate", "unfilled", "unknown", "step", "plain", "unreadable", "no-row", "other-row")


def _exposed(desk: Desk, found: Tally) -> tuple[str, ...]:
    """Columns of decisions that bear the name of an attribute which the same model keeps apart as protected."""
    names: set[str] = set()
    for s in desk.ask("decisions.streams_of"):
        if s["kind"] == "groups" and s["model"] == found.target.model:
            body = desk.record(s["entry"]).fact.schema_body
            with desk.open(body.digest) as source:
                schema = parse_schema(read_verified(source, body.digest, "the schema of a stream"))
            names |= {n.removeprefix("g.").lower() for n in schema.names if n.startswith("g.")}
    return tuple(sorted(n for n in found.columns if n.rpartition(".")[2].lower() in names and n.startswith("in.")))


# ---------------------------------------------------------------- what processes report themselves


@dataclass(slots=True)
class _Own:
    """By hour: requests missed by policy, and requests counted as served that are neither recorded nor missed."""

    missed: list[int] = field(default_factory=lambda: [0] * 24)
    unexplained: list[int] = field(default_factory=lambda: [0] * 24)
    lost: list[tuple[str, int, int]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)


def _own(desk: Desk, day: datetime, streams: Sequence[Mapping[str, Any]], found: Tally) -> _Own:
    own = _Own()
    for s in streams:
        for gap in desk.ask("decisions.gaps_of", s["stream"]):
            if (h := _hour_of(gap["start"], day)) is not None:
                own.missed[h] += gap["missed"]
                own.gaps.append({"stream": s["stream"], **gap})
        h = _hour_of(s["last_seen"], day)
        if s["state"] not in ("closed", "lost") or h is None:
            continue
        own.unexplained[h] += max(0, s["served"] - s["next_seq"] - s["missed"])
        if s["state"] == "lost":
            own.lost.append((s["stream"], s["next_seq"], s["next_seq"]))
            found.streams.add(s["stream"])
    return own


def _hour_of(at: str | None, day: datetime) -> int | None:
    if at is None or not day <= (when := parse_time(at)) < day + DAY:
        return None
    return (when - day) // HOUR
