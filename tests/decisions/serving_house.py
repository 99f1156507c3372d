"""A workspace in which a real LightGBM version serves production, and a hand that records its decisions."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from affidavit.areas.lineage.events import Input
from affidavit.areas.registry.events import Threshold
from affidavit.bootstrap import init
from affidavit.core import digest as digests
from affidavit.core.area import Who
from affidavit.service.sealing import new_id
from affidavit.streams import kinds
from affidavit.streams.ids import Minter, id_bytes, id_text
from affidavit.streams.passport import Passport, Policy, digest_of
from affidavit.streams.schema import Column
from affidavit.streams.writer import StreamWriter

ENVIRONMENT = "sha256:" + "5e" * 32
MINUTE = timedelta(minutes=1)
FEATURES = ("a", "b", "c")
PEOPLE = {
    "engineer": "engineer", "approver": "approver", "operator": "engineer", "on-call": "oncall", "reviewer": "reviewer",
    "privacy": "privacy", "auditor": "auditor", "sealer": "service",
}  # fmt: skip


def rules(**changes: Any) -> bytes:
    """The default rules without gates, which other tests walk through; ``changes`` replace whole sections."""
    body = yaml.safe_load(resources.files("affidavit.service").joinpath("rules.yaml").read_text("utf-8"))
    for transition in body["transitions"].values():
        transition["checks"], transition["approvals"] = {}, {"n": 0, "roles": [], "expires": "P14D"}
    return yaml.safe_dump(body | changes).encode()


class ServingHouse:
    """People, a dataset, a model ``employment`` of a system of ``tier``; version 1 serves production.

    ``record(n)`` writes n decisions through a plain stream writer and closes it; ``seal()`` seals and publishes.
    """

    def __init__(
        self, folder: Path, clock: Any, *, tier: str = "high", rule_changes: dict[str, Any] | None = None
    ) -> None:
        made = init(folder / "ws", clock=clock, rules=rules(**(rule_changes or {})))
        self.folder, self.clock, self.made, self.ws, self.admin = folder, clock, made, made.workspace, made.admin
        self.who: dict[str, Who] = {"administrator": made.admin}
        for name, role in PEOPLE.items():
            principal = self.ws.access.register_principal("person", name, by=made.admin).facts[0].principal
            self.who[name] = Who(principal, "os-user")
            grant = self.ws.access.request_grant(principal, role, "*", "work", by=self.who[name]).facts[0].grant
            self.ws.access.approve_grant(grant, by=made.admin)
        self._data()
        self._system(tier)
        self.version = self.train()
        self.deployment = self.deploy(self.version)

    def _data(self) -> None:
        rng = np.random.default_rng(3)
        self.x = rng.normal(size=(600, 3))
        self.y = (self.x[:, 0] + 0.5 * self.x[:, 1] + rng.normal(size=600) * 0.5 > 0).astype(int)
        self.training = np.arange(600) % 3 != 0
        split = np.where(self.training, "training", "test")
        columns = {f: self.x[:, i] for i, f in enumerate(FEATURES)}
        self.data = self.folder / "rows.parquet"
        pq.write_table(pa.table({"id": np.arange(600), **columns, "y": self.y, "split": split}), self.data)
        engineer, at = self.who["engineer"], self.clock.now()
        self.ws.lineage.register_dataset(
            "rows", version="1", data=self.data, origin="https://example.org/surveys/rows-2015.parquet", source_version="2015",
            licence="CC0-1.0", legal_basis="public-domain", sensitivity="internal", owner=engineer.principal,
            collected_from=at - timedelta(days=90), collected_to=at - timedelta(days=60), retention="P1Y", by=engineer,
        )  # fmt: skip
        done = self.ws.lineage.measure_splits(
            "dataset:rows/1", data=self.data, split_column="split", identity=["id"], by=engineer
        )
        self.part = next(s for s in done.facts[-1].splits if s.name == "training")

    def _system(self, tier: str) -> None:
        engineer, r = self.who["engineer"], self.ws.registry
        r.register_system(
            "hr", purpose="ranks applications for an appointment", owner=engineer.principal, tier=tier,
            tier_reason="access to a service", role="deployer", jurisdictions=["US-MA"], people_affected="applicants in Massachusetts", by=engineer,
        )  # fmt: skip
        r.register_model("employment", system="hr", by=engineer)
        plan = r.propose_plan("employment", dataset="dataset:rows/1", split="test", label="y",
                              thresholds=[Threshold("auc", "at-least", "0.600000")], reason="what people reach", by=engineer)  # fmt: skip
        r.approve_plan(plan.facts[0].plan, by=self.who["approver"])

    def train(self, leaves: int = 7) -> str:
        """Train, register and evaluate a version; its name."""
        self.clock.advance(MINUTE)
        rows = lgb.Dataset(self.x[self.training], self.y[self.training], feature_name=list(FEATURES))
        self.booster = lgb.train(
            {"objective": "binary", "num_leaves": leaves, "verbosity": -1, "num_threads": 1}, rows, 8
        )
        path = self.folder / f"model-{leaves}.txt"
        self.booster.save_model(path)
        engineer, at = self.who["engineer"], self.clock.now()
        given = {"started": at - MINUTE, "ended": at, "code": "git:abc", "environment": ENVIRONMENT, "by": engineer}
        run = self.ws.lineage.record_run(
            new_id(self.ws.stores, at), inputs=[Input("dataset:rows/1", "training", self.part.content, self.part.rows)],
            output=digests.of_bytes(path.read_bytes()), parameters={"leaves": str(leaves)}, **given,
        ).facts[0].run  # fmt: skip
        fact = self.ws.registry.register(
            "employment", artifact=path, format="lightgbm", run=run, datasets=["dataset:rows/1"],
            hyperparameters={"leaves": str(leaves)}, metrics={"auc": "0.800000"}, split="test", author=engineer.principal, **given,
        ).facts[0]  # fmt: skip
        name = f"{fact.model}/{fact.number}"
        self.ws.registry.evaluate(name, data=self.data, split_column="split", by=engineer)
        return name

    def deploy(self, version: str) -> str:
        """Promote a version into production; the deployment's id."""
        r = self.ws.registry
        r.promote(version, to="staging", by=self.who["operator"])
        return r.promote(version, to="production", by=self.who["operator"]).facts[0].deployment

    @property
    def live(self) -> dict[str, Any]:
        """What serves production now (``registry.live``)."""
        return self.ws.ask("registry.live", "employment", "production")

    def passport(self, **policy: Any) -> Passport:
        """What a serving process would be told."""
        live = self.live
        return Passport(
            self.ws.stores.origin,
            "employment",
            "production",
            live["number"],
            live["id"],
            live["artifact"],
            Policy(**policy),
        )

    def writer(self) -> StreamWriter:
        """A stream of decisions of the live deployment: inputs a, b, c and text s, output ``out`` and ``out.label``."""
        passport = self.passport()
        attested = passport.configuration()
        schema = kinds.decisions(
            [*(Column(f"in.{f}", "f64") for f in FEATURES), Column("in.s", "str")],
            [Column("out", "f64"), Column("out.label", "i64")],
        )
        return StreamWriter(
            self.ws.stores.spool, schema, self.ws.stores.origin, attested=attested, deployment=passport.deployment,
            model="employment", number=passport.number, env="production", artifact=passport.artifact,
            configuration=digest_of(attested), clock=self.now_ms,
        )  # fmt: skip

    def now_ms(self) -> int:
        """The house's clock, as a writer reads it."""
        return int(self.clock.now().timestamp() * 1000)

    def record(self, n: int, *, step: timedelta = timedelta(seconds=1), close: bool = True, writer: StreamWriter | None = None,
               **values: Any) -> list[str]:  # fmt: skip
        """Write n decisions of the real model, a second apart by the house's clock; their ids. ``values`` fill columns."""
        writer, minter, ids = writer or self.writer(), Minter(), []
        passport = self.passport()
        scores = self.booster.predict(self.x[:n] if n <= 600 else np.resize(self.x, (n, 3)), num_threads=1)
        for i in range(n):
            ms = int(self.clock.now().timestamp() * 1000)
            body = minter.mint(ms, os.urandom(8))
            row = {
                "id": body, "at": ms, "deployment": id_bytes(passport.deployment), "version": bytes.fromhex(passport.artifact[7:]),
                "configuration": bytes.fromhex(digest_of(passport.configuration())[7:]), "adverse": bool(scores[i] < 0.5),
                "confidence": float(max(scores[i], 1 - scores[i])), "out": float(scores[i]), "out.label": int(scores[i] >= 0.5),
                "in.s": "ab"[i % 2], "caller": "portal", "subject": f"s{i % 50}", "tenant": f"t{i % 3}",
                **{f"in.{f}": float(self.x[i % 600, j]) for j, f in enumerate(FEATURES)}, **values,
            }  # fmt: skip
            writer.append([row.get(name) for name in writer.schema.names])
            ids.append(id_text(body))
            self.clock.advance(step)
        if close:
            writer.close()
        return ids

    def seal(self) -> Any:
        """Seal the spool and publish; the outcome."""
        done = self.ws.decisions.seal(by=self.who["sealer"])
        self.ws.publish()
        return done
