"""Fairness through the real service: a biased version is held at the gate, its mended successor passes."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_world import digest

from affidavit.areas.fairness.events import FairThreshold
from affidavit.areas.lineage.events import Input
from affidavit.areas.registry.events import Threshold
from affidavit.bootstrap import memory_entries
from affidavit.core import digest as digests
from affidavit.core.area import Who
from affidavit.core.errors import Refused
from affidavit.service.inspection import inspect

DATA = "dataset:people/1"
TPR = FairThreshold("tpr", ("sex",), "difference", "at-most", "0.100000", 30)


@pytest.fixture
def ws(make):
    made = make()
    ws = made.workspace
    ws.people = {}
    for name, role in (("engineer", "engineer"), ("approver", "approver"), ("operator", "engineer")):
        principal = ws.access.register_principal("person", name, by=made.admin).facts[0].principal
        who = Who(principal, "os-user")
        grant = ws.access.request_grant(principal, role, "*", "work", by=who).facts[0].grant
        ws.access.approve_grant(grant, by=made.admin)
        ws.people[name] = who
    ws.who = ws.people["engineer"]
    return ws


@pytest.fixture
def data(ws, tmp_path):
    """People whose label is ``skill``; ``proxy`` shows the skill of men alone. A plan of each kind is in force."""
    rng = np.random.default_rng(7)
    skill, sex = rng.integers(0, 2, 1200), rng.integers(1, 3, 1200)
    proxy = np.where(sex == 1, skill, 0)
    path = tmp_path / "people.parquet"
    split = np.where(np.arange(1200) % 3 == 0, "test", "training")
    columns = {"id": np.arange(1200), "skill": skill, "proxy": proxy, "sex": sex, "hired": skill}
    pq.write_table(pa.table({**columns, "split": pa.array(split.tolist())}), path)
    ws.lineage.register_dataset(
        "people", version="1", data=path, origin="https://example.org/people/2025.parquet", source_version="2025",
        licence="CC0-1.0", legal_basis="public-domain", sensitivity="personal", owner=ws.who.principal,
        collected_from="2025-01-01T00:00:00.000Z", collected_to="2025-06-01T00:00:00.000Z", retention="P3Y",
    )  # fmt: skip
    ws.splits = {
        s.name: s for s in ws.lineage.measure_splits(DATA, path, split_column="split", identity=["id"]).facts[0].splits
    }
    ws.registry.register_system(
        "hiring", purpose="suggests whom to invite for interview", owner=ws.who.principal, tier="high",
        tier_reason="recruitment, Annex III no. 4(a)", role="deployer", jurisdictions=["EU"],
        people_affected="applicants for jobs in the union",
    )  # fmt: skip
    ws.registry.register_model("hire", "hiring")
    plan = ws.registry.propose_plan(
        "hire",
        dataset=DATA,
        split="test",
        label="hired",
        cutoff="0.500000",
        thresholds=[Threshold("accuracy", "at-least", "0.600000")],
        reason="bounds of the service",
    )
    ws.registry.approve_plan(plan.facts[0].plan, by=ws.people["approver"])
    fair = ws.fairness.propose_plan(
        "hire", dataset=DATA, split="test", thresholds=[TPR], reason="equal opportunity for men and women",
        group_basis="self-declared, for this test alone",
    )  # fmt: skip
    ws.fairness.approve_plan(
        fair.facts[0].plan, review_by=ws.stores.clock.now() + timedelta(days=90), by=ws.people["approver"]
    )
    return path


def version(ws, data, tmp_path, feature: str, run: str) -> str:
    """A version trained on one feature, evaluated and assessed."""
    lightgbm = pytest.importorskip("lightgbm")
    table = pq.read_table(data)
    x, y = table[feature].to_numpy().reshape(-1, 1), table["hired"].to_numpy()
    options = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    made = lightgbm.train(options, lightgbm.Dataset(x, y, feature_name=[feature]), 20)
    path = tmp_path / f"{feature}.txt"
    path.write_text(made.model_to_string())
    clock, start = ws.stores.clock, ws.stores.clock.now()
    clock.advance(timedelta(hours=1))
    common = {"started": start, "ended": clock.now(), "code": "git:1", "environment": digest(1)}
    training = ws.splits["training"]
    ws.lineage.record_run(
        run, inputs=[Input(DATA, "training", training.content, training.rows)], output=digests.of_bytes(path.read_bytes()),
        parameters={"feature": feature}, **common,
    )  # fmt: skip
    done = ws.registry.register(
        "hire", artifact=path, format="lightgbm", run=run, datasets=[DATA], hyperparameters={"feature": feature},
        metrics={"accuracy": "0.700000"}, split="test", author=ws.who.principal, **common,
    )  # fmt: skip
    name = f"hire/{done.facts[0].number}"
    ws.registry.evaluate(name, data=data, split_column="split")
    ws.fairness.assess(name, data=data)
    return name


def explained(ws, name: str, data) -> None:
    """Its explainer planned by one, approved by another, measured: a model of a high tier is no black box."""
    plan = ws.decisions.propose_explainer(
        "hire", method="tree", deletion_gain="0.000000", stability="0.900000", reason="one feature is its whole reason"
    )
    ws.decisions.approve_explainer(plan.facts[0].plan, by=ws.people["approver"])
    assert ws.decisions.measure_explainer(name, data=data).facts[0].passed


def test_the_gate_holds_a_biased_version_and_passes_a_mended_one(ws, data, tmp_path):
    """Refused with the control that stands in the way; what passes is tested over the period."""
    start = ws.stores.clock.now()
    biased = version(ws, data, tmp_path, "proxy", "01890000-0000-7000-8000-000000000001")
    assert ws.fairness.assessment(biased)["verdicts"][0]["verdict"] == "breached"
    with pytest.raises(Refused) as refusal:
        ws.registry.promote(biased, to="staging", by=ws.people["operator"])
    assert refusal.value.controls == ("AI-04.2",)
    mended = version(ws, data, tmp_path, "skill", "01890000-0000-7000-8000-000000000002")
    ws.registry.promote(mended, to="staging", by=ws.people["operator"])
    with pytest.raises(Refused) as refusal:
        ws.registry.promote(mended, to="production", by=ws.people["operator"])
    assert "AI-08.3" in refusal.value.controls
    explained(ws, mended, data)
    request = ws.registry.request(mended, to="production").facts[0].request
    ws.registry.approve(request, by=ws.people["approver"])
    ws.registry.promote(mended, to="production", by=ws.people["operator"])
    ws.stores.clock.advance(timedelta(days=1))
    (found,) = ws.assess(start, ws.stores.clock.now(), only=("AI-04.2",))
    assert (found.n, found.exceptions, found.untested) == (1, (), {})
    assert ws.ask("fairness.latest", "hire", 2)["verdicts"][0]["groups"] == ["sex"]
    bodies = b"".join(ws.stores.entries.entries(0, ws.stores.entries.size()))
    assert b"equal opportunity" not in bodies and b"self-declared" not in bodies
    ws.publish()
    assert [str(p) for p in inspect(ws, memory_entries()).problems] == []
