"""The year's decisions: the 208,892 people of 2016 to 2018 are served week by week, through the recorder.

Who is taken for employed waits for an appointment: that outcome is the adverse one. Every adverse decision of the
high-tier system is explained when it is made; protected attributes go to a stream of their own.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from affidavit.client import Recorder, recorder
from affidavit.core.fields import parse_time, time_text
from affidavit.demo import model as science
from affidavit.streams.attributions import attribute, columns_of
from affidavit.streams.ids import Minter

if TYPE_CHECKING:
    from affidavit.demo.stage import Stage

WEEK = timedelta(days=7)
OPENS = timedelta(hours=3)
"""The office opens at noon on Monday: after whatever was deployed that morning."""
FIRST = datetime.fromisoformat("2025-01-20T09:00:00+00:00")
WEEKS = 49
GROUPS = ("SEX", "DIS", "RAC1P")
LEAFLETS = 150
"""Leaflet decisions a week, of the same people."""
ONE_BY_ONE = 20
"""Decisions a week that are recorded one by one, each naming the window of survey answers it was read from."""
SHADOW = datetime.fromisoformat("2025-09-16T10:00:00+00:00")
MISSED = 20
"""The first of two hours in which a second process served without the recorder, and its requests in each."""


@dataclass
class Office:
    """What serves one model: its recorder, the scores of every distinct person, explanations looked up."""

    recorder: Recorder
    deployment: str
    score: Callable[[Any], Any]
    features: tuple[str, ...]


@dataclass
class Serving:
    """Serves until the clock is moved past a week; keeps what the gateway counted."""

    stage: Stage
    every: int = 1
    """Serve every n-th person only: for a quick look."""
    offices: dict[str, Office] = field(default_factory=dict)
    counted: Counter[tuple[str, datetime]] = field(default_factory=Counter)
    ids: dict[str, Minter] = field(default_factory=lambda: {"employment": Minter(), "leaflets": Minter()})
    """The portal mints the ids, when it is asked."""
    weeks: int = 0
    served: int = 0
    first_ids: list[bytes] = field(default_factory=list)
    """Of each week the first adverse decision that was recorded alone."""
    unsure: list[tuple[bytes, datetime]] = field(default_factory=list)
    lives: dict[str, tuple[datetime, datetime | None]] = field(default_factory=dict)
    """Since when, and until when, each deployment of employment served."""
    overseen: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(science.DATA)
        later = [n for n, y in enumerate(table["year"].to_pylist()) if y >= 2016]
        self.people = table.take(later[:: self.every])

    # ------------------------------------------------------------ the weeks

    def until(self, at: datetime) -> None:
        """Serve every whole week that is over at ``at``."""
        while self.weeks < WEEKS and FIRST + (self.weeks + 1) * WEEK <= at and self._live("employment"):
            self._week(FIRST + self.weeks * WEEK)
            self.weeks += 1

    def close(self) -> None:
        """The offices close for the year; their streams end in order, and the rest is sealed."""
        for office in self.offices.values():
            office.recorder.close()
        self.offices.clear()
        self.seal()

    def seal(self) -> Any:
        """Seal until the spool holds nothing more."""
        while True:
            done = self.stage.ws.decisions.seal(by=self.stage.who["sealer"])
            if not (done.result or {}).get("more"):
                return done

    def _live(self, model: str) -> Any:
        return self.stage.ws.ask("registry.live", model, "production")

    def _week(self, start: datetime) -> None:
        first = self.weeks * len(self.people) // WEEKS
        people = self.people.slice(first, (self.weeks + 1) * len(self.people) // WEEKS - first)
        for model in ("employment", "leaflets"):
            if live := self._live(model):
                part = people if model == "employment" else people.slice(0, LEAFLETS)
                self._serve(self._office(model, live), model, part, start)
        self.stage.clock.set(start + WEEK)
        for office in self.offices.values():
            office.recorder.heartbeat()
        self.seal()
        if self.weeks % 4 == 3:
            self.stage.ws.decisions.verify_segments(by=self.stage.who["auditor"])

    def _office(self, model: str, live: Mapping[str, Any]) -> Office:
        """The recorder of what serves now: another deployment, another stream."""
        held = self.offices.get(model)
        if held is not None and held.deployment == live["id"]:
            return held
        since = parse_time(live["at"])
        if held is not None:
            held.recorder.close()
        if model == "employment":
            if held is not None:
                self.lives[held.deployment] = (self.lives[held.deployment][0], since)
            self.lives[live["id"]] = (since, None)
        booster, features = self._loaded(f"{model}/{live['number']}")
        explain = _explanations(booster, features, self.people) if model == "employment" else None
        made = recorder(
            f"{model}@production", workspace=self.stage.ws, explainer=explain, output={"out": float, "label": int},
            schema=dict.fromkeys(features, float), clock=lambda: int(self.stage.clock.now().timestamp() * 1000),
        )  # fmt: skip
        self.offices[model] = Office(made, live["id"], partial(booster.predict, num_threads=1), features)
        return self.offices[model]

    def _loaded(self, version: str) -> tuple[Any, tuple[str, ...]]:
        booster = self.stage.ws.registry.load(version, env="production", by=self.stage.who["on-call"]).result
        return booster, tuple(booster.feature_name())

    # ------------------------------------------------------------ one week of one model

    def _serve(self, office: Office, model: str, people: Any, start: datetime) -> None:
        import numpy as np
        import pyarrow as pa

        n = len(people)
        x = np.column_stack([people[f].to_numpy().astype(np.float64) for f in office.features])
        scores = office.score(x)
        open_s = (WEEK - OPENS - timedelta(minutes=1)).total_seconds()
        times = ((start + OPENS).timestamp() * 1000 + np.arange(n) * (open_s * 1000 / n)).astype("int64")
        minted = [self.ids[model].mint(ms, secrets.token_bytes(8)) for ms in times.tolist()]
        label = (scores >= 0.5).astype("int64")
        columns: dict[str, Any] = {f: x[:, j] for j, f in enumerate(office.features)}
        columns |= {
            "out": scores, "label": label,
            "confidence": np.maximum(scores, 1 - scores), "adverse": label == 1,
            "id": pa.array(minted, pa.binary(16)), "at": pa.array(times, pa.timestamp("ms", "UTC")),
            "subject": [f"s{self.served + i:07d}" for i in range(n)],
            "tenant": ["boston" if i % 2 else "springfield" for i in range(n)],
        }  # fmt: skip
        if model == "employment":
            columns |= {g: [str(v) for v in people[g].to_pylist()] for g in GROUPS}
        table = pa.table(columns)
        alone = ONE_BY_ONE if model == "employment" else 0
        for row in table.slice(0, alone).to_pylist():
            self._one(office, row)
        office.recorder.record_batch(
            table.slice(alone), output_columns=["out", "label"], ids="id", at="at", caller="portal",
            groups=GROUPS if model == "employment" else (),
            fields={k: k for k in ("confidence", "adverse", "subject", "tenant")},
        )  # fmt: skip
        self._note(office, model, minted, times, scores)

    def _one(self, office: Office, row: dict[str, Any]) -> None:
        """A single decision, as a serving process records it: one line."""
        window = {"dataset": f"dataset:acs/{SURVEY}", "digest": self.stage.ids["survey"], "first": 0, "last": 0}
        office.recorder.record(
            {f: row[f] for f in office.features}, {"out": row["out"], "label": row["label"]}, caller="portal",
            subject=row["subject"], tenant=row["tenant"], confidence=row["confidence"], adverse=row["adverse"],
            groups={g: row[g] for g in GROUPS}, sources=[window], at=row["at"], id=row["id"],
        )  # fmt: skip

    def _note(self, office: Office, model: str, ids: list[bytes], times: Any, scores: Any) -> None:
        """What the gateway counts, on its own; and the decisions the routing rule sends to a person."""
        for ms in times.tolist():
            at = datetime.fromtimestamp(ms / 1000, FIRST.tzinfo)
            self.counted[office.deployment, at.replace(minute=0, second=0, microsecond=0)] += 1
        if model == "employment":
            self.served += len(ids)
            self.first_ids += [i for i, s in zip(ids[:ONE_BY_ONE], scores.tolist(), strict=False) if s >= 0.5][:1]
            near = [i for i, s in enumerate(scores.tolist()) if max(s, 1 - s) < float(UNSURE)]
            self.unsure += [(ids[i], datetime.fromtimestamp(int(times[i]) / 1000, FIRST.tzinfo)) for i in near]

    def spans(self, until: datetime) -> list[tuple[datetime, datetime, str]]:
        """Windows of each deployment of employment that no oversight was measured for yet."""
        found = []
        for deployment, (since, ended) in self.lives.items():
            start, end = self.overseen.get(deployment, since), min(ended or until, until)
            if start < end:
                found.append((start, end, deployment))
                self.overseen[deployment] = end
        return found

    # ------------------------------------------------------------ what other systems saw

    def gateway_rows(self) -> list[dict[str, str]]:
        """Requests by deployment and hour, as the gateway counted them: 40 more than were recorded in two hours."""
        counted = Counter(self.counted)
        shadow = next(
            d for d, (since, until) in self.lives.items() if since <= SHADOW and (until is None or until > SHADOW)
        )
        for hour in (SHADOW, SHADOW + timedelta(hours=1)):
            counted[shadow, hour] += MISSED
        return [{"deployment": d, "hour": time_text(h), "count": str(n)} for (d, h), n in sorted(counted.items())]


SURVEY = 2016
UNSURE = "0.500500"
"""Confidence below which a person decides."""


def _explanations(
    booster: Any, features: tuple[str, ...], people: Any
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Explains a decision by looking it up: the attributions of every distinct person are computed once."""
    import numpy as np

    x = np.unique(np.column_stack([people[f].to_numpy().astype(np.float64) for f in features]), axis=0)
    found = attribute("lightgbm", booster, features, x)
    at = {tuple(row): i for i, row in enumerate(x.tolist())}

    def explain(given: Mapping[str, Any]) -> dict[str, Any]:
        return columns_of(found, at[tuple(float(given[f]) for f in features)], features, None, 0)

    return explain
