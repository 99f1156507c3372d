"""The registry through the real door: stores, gate, reactions, permissions, rebuild."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from importlib import resources

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affidavit.areas.lineage.events import Input
from affidavit.areas.registry.events import Threshold
from affidavit.bootstrap import load_model, memory_entries
from affidavit.core import digest as digests
from affidavit.core.area import Who
from affidavit.core.errors import Busy, NotAllowed, Refused, Tampered
from affidavit.service.sealing import new_id
from affidavit.service.views import compare

ENVIRONMENT = "sha256:" + "5e" * 32
PEOPLE = {
    "engineer": "engineer",
    "approver": "approver",
    "operator": "engineer",
    "on-call": "oncall",
    "guest": "auditor",
}
MINUTE = timedelta(minutes=1)


def rules() -> bytes:
    """The default rules without the fairness gate, which another area's tests walk through."""
    text = resources.files("affidavit.service").joinpath("rules.yaml").read_text("utf-8")
    return text.replace("      AI-04.2: [A, B, C, D, E]\n", "").encode()


class House:
    """A workspace with people, a dataset, a plan; ``version`` trains and registers."""

    def __init__(self, made, clock, folder):
        self.ws, self.clock, self.folder, self.count = made.workspace, clock, folder, 0
        self.who = {}
        for name, role in PEOPLE.items():
            principal = self.ws.access.register_principal("person", name, by=made.admin).facts[0].principal
            self.who[name] = Who(principal, "os-user")
            if role:
                grant = self.ws.access.request_grant(principal, role, "*", "work", by=self.who[name]).facts[0].grant
                self.ws.access.approve_grant(grant, by=made.admin)
        self.data()
        engineer, r = self.who["engineer"], self.ws.registry
        r.register_system(
            "hr", purpose="screens job applications for interview", owner=engineer.principal, tier="minimal",
            tier_reason="no effect on a person in this test", role="deployer", jurisdictions=["US-MA"],
            people_affected="applicants in Massachusetts", by=engineer,
        )  # fmt: skip
        r.register_model("employment", system="hr", by=engineer)
        asked = [Threshold("auc", "at-least", "0.600000")]
        plan = r.propose_plan(
            "employment",
            dataset="dataset:rows/1",
            split="test",
            label="y",
            thresholds=asked,
            reason="what people reach",
            by=engineer,
        )
        r.approve_plan(plan.facts[0].plan, by=self.who["approver"])

    def data(self):
        rng = np.random.default_rng(3)
        x = rng.normal(size=(600, 2))
        y = (x[:, 0] + rng.normal(size=600) * 0.7 > 0).astype(int)
        split = np.where(np.arange(600) % 3 == 0, "test", "training")
        table = pa.table({"id": np.arange(600), "a": x[:, 0], "b": x[:, 1], "y": y, "split": split})
        self.path, self.x, self.y, self.train = self.folder / "rows.parquet", x, y, split == "training"
        pq.write_table(table, self.path)
        engineer, lineage = self.who["engineer"], self.ws.lineage
        at = self.clock.now()
        lineage.register_dataset(
            "rows", version="1", data=self.path, origin="https://example.org/surveys/rows-2015.parquet",
            source_version="2015", licence="CC0-1.0", legal_basis="public-domain", sensitivity="internal",
            owner=engineer.principal, collected_from=at - timedelta(days=90), collected_to=at - timedelta(days=60),
            retention="P1Y", by=engineer,
        )  # fmt: skip
        done = lineage.measure_splits(
            "dataset:rows/1", data=self.path, split_column="split", identity=["id"], by=engineer
        )
        self.part = next(s for s in done.facts[-1].splits if s.name == "training")

    def version(self, leaves: int = 7, *, evaluate: bool = True) -> str:
        self.clock.advance(MINUTE)
        data = lgb.Dataset(self.x[self.train], self.y[self.train], feature_name=["a", "b"])
        booster = lgb.train({"objective": "binary", "num_leaves": leaves, "verbosity": -1, "num_threads": 1}, data, 8)
        path = self.folder / f"model-{leaves}.txt"
        booster.save_model(path)
        engineer, at = self.who["engineer"], self.clock.now()
        given = {
            "started": at - MINUTE, "ended": at, "code": "git:abc", "environment": ENVIRONMENT, "by": engineer
        }  # fmt: skip
        run = self.ws.lineage.record_run(
            new_id(self.ws.stores, at), inputs=[Input("dataset:rows/1", "training", self.part.content, self.part.rows)],
            output=digests.of_bytes(path.read_bytes()), parameters={"leaves": str(leaves)}, **given,
        ).facts[0].run  # fmt: skip
        fact = self.ws.registry.register(
            "employment", artifact=path, format="lightgbm", run=run, datasets=["dataset:rows/1"],
            hyperparameters={"leaves": str(leaves)}, metrics={"auc": "0.800000"}, split="test", author=engineer.principal,
            **given,
        ).facts[0]  # fmt: skip
        name = f"{fact.model}/{fact.number}"
        if evaluate:
            self.ws.registry.evaluate(name, data=self.path, split_column="split", by=engineer)
        return name

    def live(self, leaves: int = 7) -> str:
        name, r = self.version(leaves), self.ws.registry
        r.promote(name, to="staging", by=self.who["operator"])
        request = r.request(name, to="production", by=self.who["engineer"]).facts[0].request
        r.approve(request, by=self.who["approver"])
        r.promote(name, to="production", by=self.who["operator"])
        return name

    def tags(self) -> list[str]:
        return [self.ws.record(i).head.tag for i in range(self.ws.stores.entries.size())]

    def flip(self, name: str) -> bytes:
        """Alter one byte of the first stored file of a version; what it was before."""
        artifact = self.ws.ask("registry.version", *name.split("/"))["artifact"]
        file = json.loads(self.ws.stores.objects.open(artifact).read())["files"][0]["sha256"]
        (path,) = [
            p
            for p in (self.ws.stores.objects.root).rglob("*")
            if p.is_file() and p.name in file and digests.of_bytes(p.read_bytes()) == file
        ]
        whole = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
        self.stored = path
        return whole


@pytest.fixture
def house(make, clock, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    return House(make(rules=rules()), clock, folder)


def test_the_whole_way_and_every_table_equal_to_a_replay(house):
    name = house.live()
    served = house.ws.registry.served("employment", by=house.who["guest"])["served"]
    assert (served["number"], served["approved_by"]) == (1, [house.who["approver"].principal])
    model = load_model(f"models:/{name}", workspace=house.ws.acting(house.who["on-call"]))
    assert model.feature_name() == ["a", "b"]
    load_model("models:/employment@production", workspace=house.ws.acting(house.who["on-call"]))
    loaded = [house.ws.record(i).fact for i, t in enumerate(house.tags()) if t == "registry.version_loaded"]
    assert [x.deployment for x in loaded] == [None, served["deployment"]]
    assert compare(house.ws.stores.entries, memory_entries(), house.ws.catalog) == []


def test_a_version_that_was_not_evaluated_is_refused_and_the_refusal_recorded(house):
    name = house.version(evaluate=False)
    why = house.ws.registry.why(name, to="staging", by=house.who["guest"])
    assert not why["ready"]
    with pytest.raises(Refused) as e:
        house.ws.registry.promote(name, to="staging", by=house.who["operator"])
    assert (e.value.code, "AI-01.3" in e.value.controls) == ("gate_failed", True)
    assert house.tags()[-1] == "service.refused"


def test_what_the_gate_saw_is_what_was_approved(house):
    """A second evaluation, or a run that read the whole file, does not slip through the real gate."""
    name, r = house.version(), house.ws.registry
    r.promote(name, to="staging", by=house.who["operator"])
    r.approve(r.request(name, to="production", by=house.who["engineer"]).facts[0].request, by=house.who["approver"])
    r.evaluate(name, data=house.path, split_column="split", by=house.who["engineer"])
    with pytest.raises(Refused) as e:
        r.promote(name, to="production", by=house.who["operator"])
    assert e.value.code == "gate_changed"
    whole = house.ws.ask("lineage.dataset", "rows/1")
    house.part = replace(house.part, content=whole["content"], rows=whole["rows"])
    with pytest.raises(Refused, match="the run read the whole data it was evaluated on"):
        r.promote(house.version(15), to="staging", by=house.who["operator"])


def test_nobody_does_what_no_role_of_theirs_carries(house):
    name = house.version()
    for act in (
        lambda who: house.ws.registry.promote(name, to="staging", by=who),
        lambda who: house.ws.registry.load(name, by=who),
        lambda who: house.ws.registry.retire(name, reason="no reason", by=who),
    ):
        with pytest.raises(NotAllowed):
            act(house.who["guest"])


def test_a_flipped_byte_raises_opens_an_incident_and_bars_the_version_until_it_is_restored(house):
    house.live(7)
    second = house.live(15)
    whole = house.flip(second)
    on_call = house.who["on-call"]
    with pytest.raises(Tampered, match="Nothing of it was used"):
        load_model("models:/employment@production", workspace=house.ws.acting(on_call))
    assert house.tags()[-2:] == ["registry.artifact_tampered", "incidents.opened"]
    house.ws.registry.rollback("employment/1", to="production", reason="altered artifact", by=on_call)
    with pytest.raises(Refused, match="found altered"):
        house.ws.registry.rollback(second, to="production", reason="back", by=on_call)
    house.stored.write_bytes(whole)
    house.ws.registry.load(second, by=on_call)
    assert house.ws.registry.rollback(second, to="production", reason="restored", by=on_call).facts[0].via == "rollback"


def test_a_repeated_command_id_promotes_once(house):
    name = house.version()
    command_id = new_id(house.ws.stores, house.clock.now())
    given = {"to": "staging", "by": house.who["operator"], "command_id": command_id}
    first = house.ws.registry.promote(name, **given)
    again = house.ws.registry.promote(name, **given)
    assert (again.repeated, again.facts) == (True, first.facts)
    assert house.tags().count("registry.version_promoted") == 1


def test_of_two_that_promote_at_once_one_is_refused(house):
    name = house.version()
    outcomes = []

    def promote():
        try:
            outcomes.append(house.ws.registry.promote(name, to="staging", by=house.who["operator"]).facts[0].via)
        except (Refused, Busy) as e:
            outcomes.append(getattr(e, "code", "busy"))

    threads = [threading.Thread(target=promote) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) in (["already_live", "gate"], ["busy", "gate"])
    assert house.tags().count("registry.version_promoted") == 1


def test_the_controls_over_the_period_find_the_governed_way_without_exception(house):
    name = house.live()
    house.ws.registry.load(name, env="production", by=house.who["on-call"])
    start = house.clock.now() - timedelta(days=1)
    findings = house.ws.assess(
        start, house.clock.now() + timedelta(days=1), only=("AI-01.2", "AI-01.3", "AI-01.4", "AI-01.5")
    )
    assert [(f.control, len(f.exceptions), len(f.untested)) for f in findings] == [(c.control, 0, 0) for c in findings]
    assert [f.n for f in findings] == [1, 1, 1, 0]
    assert {f.headline for f in findings} == {"not evaluated"}  # single source, and no drill was run
    assert replace(findings[0]) == findings[0]


def test_an_approver_who_lost_the_role_no_longer_vouches(house):
    """An approval counts while its giver holds an approving role; ``why`` says that it is missing."""
    name, r = house.version(), house.ws.registry
    r.promote(name, to="staging", by=house.who["operator"])
    request = r.request(name, to="production", by=house.who["engineer"]).facts[0].request
    r.approve(request, by=house.who["approver"])
    assert r.why(name, to="production", by=house.who["guest"])["ready"]
    admin = next(g["principal"] for g in house.ws.access.grants(by=house.who["guest"]) if g["role"] == "admin")
    (grant,) = [
        g["id"]
        for g in house.ws.access.grants(by=house.who["guest"])
        if g["principal"] == house.who["approver"].principal
    ]
    house.ws.access.revoke_grant(grant, "left the team", by=Who(admin, "os-user"))
    assert not r.why(name, to="production", by=house.who["guest"])["ready"]
    with pytest.raises(Refused) as e:
        r.promote(name, to="production", by=house.who["operator"])
    assert e.value.code == "not_approved"
