"""Runtime truth of a day: what inventories and processes say that serves, against what the register says should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from affidavit.areas.decisions.events_runtime import What
from affidavit.areas.decisions.runtime import commands as c
from affidavit.areas.decisions.runtime.counters import counters
from affidavit.areas.decisions.runtime.pulse import Beats, beats_of, joined, silences
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import parse_duration, parse_time, time_text
from affidavit.streams.ids import Minter, id_text
from affidavit.streams.passport import make_passport

CONTROL = "AI-01.1"
DAY = timedelta(days=1)
RECENT = timedelta(days=2)
"""How far back the rules of today are held against what processes attested."""


def compare(request: c.ReconcileRuntime, desk: Desk) -> tuple[c.RecordRuntime, Any]:
    """Endpoints of every inventory that covers the day, and every process that attested or recorded in it."""
    day = request.day
    if (day.hour, day.minute, day.second, day.microsecond) != (0, 0, 0, 0) or day > desk.now:
        raise Invalid(
            f"{time_text(day)} does not begin a day of UTC that has come.", next_step="give a day: 2026-11-24."
        )
    found = _Comparison(desk, day)
    used, rows = _inventory(desk, day, found.end)
    for row in rows:
        found.endpoint(row)
    sources = tuple(sorted({*used, *found.counted()}))
    found.processes()
    unowned = found.unowned()
    body = {
        "day": time_text(day), "extracts": sorted(used.values()), "endpoints": [r.told() for r in rows],
        "processes": [found.told(s) for s in found.streams], "unowned": unowned, "notes": found.notes,
        "differences": [_told(d) for d in found.differences],
    }  # fmt: skip
    details = desk.attach(canonical.encode(body), "application/json", "comparison")
    command = c.RecordRuntime(
        day, tuple(sorted(used.values())), sources, len(rows), len(found.streams), len(unowned), details,
        tuple(found.differences), tuple(found.serves.values()),
    )  # fmt: skip
    kinds = Counter(d.what for d in found.differences)
    return command, {
        "day": time_text(day)[:10], "endpoints": len(rows), "processes": len(found.streams), "sources": sorted(used),
        "unowned": unowned, "differences": dict(sorted(kinds.items())), "of": [_told(d) for d in found.differences],
    }  # fmt: skip


def _told(d: c.Difference) -> dict[str, Any]:
    return {"endpoint": d.endpoint, "env": d.env, "what": d.what, "found": d.found, "expected": d.expected,
            "model": d.model, "stream": d.stream}  # fmt: skip


# ---------------------------------------------------------------- inventories


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint with a digest, as the inventories of a source show it over the day."""

    source: str
    endpoint: str
    artifact: str
    env: str
    first: datetime
    last: datetime
    model: str | None

    def told(self) -> list[str | None]:
        """For the details."""
        return [
            self.source,
            self.endpoint,
            self.env,
            self.artifact,
            time_text(self.first),
            time_text(self.last),
            self.model,
        ]


def _inventory(desk: Desk, day: datetime, end: datetime) -> tuple[dict[str, int], list[Row]]:
    """``(newest entry by source, rows)`` of the sources whose extracts together cover the day, as far as it has come."""
    by_source: dict[str, list[dict[str, Any]]] = {}
    for x in desk.ask("decisions.extracts", "serving", day, day + DAY):
        by_source.setdefault(x["source"], []).append(x)
    over = day + DAY <= desk.now
    used: dict[str, int] = {}
    rows: dict[tuple[str, str, str, str], Row] = {}
    for source, extracts in by_source.items():
        if over and not covers([(parse_time(x["start"]), parse_time(x["until"])) for x in extracts], day, end):
            continue
        used[source] = max(x["entry"] for x in extracts)
        for x in extracts:
            for r in desk.ask("decisions.endpoints_of", x["entry"], x["rows"]):
                new = Row(source, r["endpoint"], r["artifact"], r["env"], parse_time(r["first_seen"]),
                          parse_time(r["last_seen"]), r["model"])  # fmt: skip
                if new.last < day or new.first >= end:
                    continue
                key = (source, new.endpoint, new.env, new.artifact)
                old = rows.get(key, new)
                rows[key] = replace(new, first=min(old.first, new.first), last=max(old.last, new.last))
    return used, sorted(rows.values(), key=lambda r: (r.source, r.endpoint, r.env, r.last))


def covers(windows: Iterable[tuple[datetime, datetime]], start: datetime, end: datetime) -> bool:
    """Whether windows together leave nothing out between ``start`` and ``end``."""
    reached = start
    for a, b in sorted(windows):
        if a > reached:
            break
        reached = max(reached, b)
    return reached >= end


# ---------------------------------------------------------------- the comparison


@dataclass(slots=True)
class _Comparison:
    desk: Desk
    day: datetime
    differences: list[c.Difference] = field(default_factory=list)
    serves: dict[tuple[str, str], c.Serves] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    beats: dict[str, Beats] = field(default_factory=dict)
    end: datetime = field(init=False)
    grace: timedelta = field(init=False)
    _minter: Minter = field(default_factory=Minter)
    _live: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.end = min(self.day + DAY, self.desk.now)
        within = self.desk.rules.parameters.get(CONTROL, {}).get("heartbeat_within", "PT15M")
        self.grace = parse_duration(str(within))
        recording = {s["stream"] for s in self.desk.ask("decisions.spans_between", "decisions", self.day, self.end)}
        attesting = [s for s in self.desk.ask("decisions.streams_of") if s["deployment"]]
        self.streams = [
            s for s in attesting if s["kind"] == "decisions" and (s["stream"] in recording or self._alive(s))
        ]
        beating = [s for s in attesting if s["kind"] == "heartbeats"]
        heard = beats_of(self.desk, self.day, self.end)
        serving = {_process_key(s) for s in self.streams}
        self.streams += [s for s in beating if _process_key(s) not in serving and self._alive(s)]
        for s in self.streams:
            own = (h["stream"] for h in beating if _process_key(h) == _process_key(s))
            self.beats[s["stream"]] = joined(heard.get(x, Beats()) for x in dict.fromkeys((s["stream"], *own)))

    def _alive(self, s: Mapping[str, Any]) -> bool:
        return parse_time(s["opened"]) < self.end and (s["state"] == "open" or parse_time(s["last_seen"]) >= self.day)

    def _add(self, what: What, endpoint: str, env: str, found: str | None, expected: str | None, first: datetime,
             model: str | None, stream: str | None = None, source: str | None = None) -> None:  # fmt: skip
        at = int(self.desk.now.timestamp() * 1000)
        new = id_text(self._minter.mint(at, self.desk.key()[:8]))
        self.differences.append(c.Difference(new, endpoint, env, what, found, expected, first, model, stream, source))

    def deployed(self, env: str) -> list[dict[str, Any]]:
        """What the register says that served an environment on the day."""
        if env not in self._live:
            self._live[env] = self.desk.ask("registry.serving_between", env, time_text(self.day), time_text(self.end))
        return self._live[env]

    def _judged(
        self, artifact: str, env: str, model: str | None, first: datetime, last: datetime
    ) -> tuple[What | None, str | None, str | None]:
        """``(what differs, digest expected, model)`` of a digest that served from ``first`` to ``last``."""
        versions = self.desk.ask("registry.versions_with", artifact)
        named = next((v["model"] for v in versions if v["model"] == model), versions[0]["model"] if versions else model)
        mine = [d for d in self.deployed(env) if d["model"] == named]
        expected = mine[-1]["artifact"] if mine else None
        if not versions:
            return "unknown-digest", expected, named
        if model is not None and named != model:
            return "unregistered-endpoint", None, model
        for d in (d for d in mine if d["artifact"] == artifact):
            early = max(first, self.day) + self.grace < parse_time(d["at"])
            late = d["until"] is not None and min(last, self.end) > parse_time(d["until"]) + self.grace
            if not early and not late:
                return None, artifact, named
        return ("different-version" if mine else "unregistered-endpoint"), expected, named

    def endpoint(self, row: Row) -> None:
        """An observed endpoint: its digest is the one that serves, and somebody records its decisions."""
        what, expected, model = self._judged(row.artifact, row.env, row.model, row.first, row.last)
        self.serves[(row.endpoint, row.env)] = c.Serves(row.endpoint, row.env, row.artifact)
        if model:
            self.models.add(model)
        if what is None and not any(s["artifact"] == row.artifact and s["env"] == row.env for s in self.streams):
            what = "unrecorded"
        if what is not None:
            self._add(what, row.endpoint, row.env, row.artifact, expected, row.first, model, source=row.source)

    def counted(self) -> list[str]:
        """Traffic that a counter saw of what the register does not know, or of what nobody records; the counters' names."""
        found = counters(self.desk, self.day, {})
        for counter in found:
            total: Counter[str] = Counter()
            for hour in counter.values:
                total.update(hour or {})
            for key in sorted(k for k, n in total.items() if n):
                self._traffic(counter.source, key)
        return [counter.source for counter in found]

    def _traffic(self, source: str, key: str) -> None:
        endpoint = f"{source}/{key}"
        model, at, env = key.partition("@")
        deployment = None if at else self.desk.ask("registry.deployment", key)
        if deployment is not None:
            model, env = deployment["model"], deployment["env"]
        elif not at or self.desk.ask("registry.model", model) is None:
            self._add("unregistered-endpoint", endpoint, env or "*", None, None, self.day, None, source=source)
            return
        live = [d["artifact"] for d in self.deployed(env) if d["model"] == model]
        if live:
            self.serves[(endpoint, env)] = c.Serves(endpoint, env, live[-1])
        told = any(d.what == "unrecorded" and (d.model, d.env) == (model, env) for d in self.differences)
        recorded = any(key == s["deployment"] or (at and (s["model"], s["env"]) == (model, env)) for s in self.streams)
        if not recorded and not told:
            digest = live[-1] if live else None
            self._add("unrecorded", endpoint, env, digest, digest, self.day, model, source=source)

    def processes(self) -> None:
        """Every attesting process: version, configuration, heartbeat."""
        for s in self.streams:
            self._process(s, self.beats[s["stream"]])
        self._configurations()

    def _process(self, s: dict[str, Any], beats: Beats) -> None:
        name, opened = process_of(s), parse_time(s["opened"])
        last = self.end if s["state"] == "open" else min(self.end, parse_time(s["last_seen"]))
        self.models.add(s["model"] or "")
        for artifact in dict.fromkeys((s["artifact"], *beats.versions)):
            if artifact is None:
                continue
            what, expected, model = self._judged(artifact, s["env"], s["model"], opened, last)
            self.serves[(name, s["env"])] = c.Serves(name, s["env"], artifact)
            if what is not None:
                self._add(what, name, s["env"], artifact, expected, opened, model, s["stream"])
        if self._alive(s):
            quiet = silences(beats, max(opened, self.day), last, self.grace)
            if quiet:
                self.notes.append({"process": name, "stream": s["stream"], "silent": quiet})
                self._add("silent", name, s["env"], s["artifact"], s["artifact"], parse_time(quiet[0][0]), s["model"], s["stream"])  # fmt: skip

    def _configurations(self) -> None:
        """Processes of a deployment attest one configuration: that of the rules where the day is recent, else the most common."""
        by: dict[str, list[dict[str, Any]]] = {}
        for s in self.streams:
            by.setdefault(s["deployment"], []).append(s)
        for those in by.values():
            ranked = Counter(s["configuration"] for s in those if s["configuration"]).most_common()
            common, wanted = (ranked[0][0] if ranked else None), self._wanted(those[0])
            for s in those:
                differing = self._unlike(s, wanted)
                others = {s["configuration"], *self.beats[s["stream"]].configurations} - {None}
                for found in sorted(others if differing else others - {common}):
                    self.notes.append({"process": process_of(s), "configuration": found, "keys": differing})
                    self._add("configuration", process_of(s), s["env"], found, None if differing else common,
                              parse_time(s["opened"]), s["model"], s["stream"])  # fmt: skip

    def _wanted(self, s: Mapping[str, Any]) -> dict[str, Any] | None:
        """The configuration that a process of what serves now is to attest; None where today's rules do not tell."""
        if self.day + DAY + RECENT < self.desk.now:
            return None
        section = self.desk.rules.body.get("recorder", {})
        try:
            passport = make_passport(s["model"], s["env"], self.desk.origin, section, self.desk.ask)
        except NotFound:
            return None
        return passport.configuration() if passport.deployment == s["deployment"] else None

    def _unlike(self, s: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> list[str]:
        if wanted is None:
            return []
        body = self.desk.record(s["entry"]).fact.attested
        if body is None:
            return sorted(wanted)
        with self.desk.open(body.digest) as source:
            attested = canonical.decode(read_verified(source, body.digest, "an attested configuration"))
        return sorted(k for k, v in wanted.items() if attested.get(k) != v)

    def unowned(self) -> list[dict[str, str]]:
        """Systems of what serves whose owner holds no role any more, and models of no system."""
        found = []
        for model in sorted(self.models - {""}):
            name = self.desk.ask("registry.system_of_model", model)
            system = self.desk.ask("registry.system", name) if name else None
            if system is None:
                found.append({"model": model, "why": "no system"})
            elif not set(self.desk.ask("access.roles_of", system["owner"], None)) - {"everyone"}:
                found.append(
                    {"model": model, "system": name, "owner": system["owner"], "why": "the owner holds no role"}
                )
        return found

    def told(self, s: Mapping[str, Any]) -> dict[str, Any]:
        """A process for the details."""
        return {k: s[k] for k in ("stream", "deployment", "model", "number", "env", "artifact", "configuration", "host",
                                  "pid", "opened", "state", "last_seen")}  # fmt: skip


def _process_key(s: Mapping[str, Any]) -> tuple[Any, ...]:
    return s["host"], s["pid"], s["deployment"]


def process_of(s: Mapping[str, Any]) -> str:
    """A process as an endpoint is named: its number, and the first digits of the digest of its host's boot."""
    return f"process/{s['pid']}@{(s['host'] or 'sha256:')[7:19]}"
