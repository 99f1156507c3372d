"""Lineage through the real service: recorded, refused, rebuilt, and nothing private in the log."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_world import digest

from affidavit.areas.lineage.events import Input
from affidavit.bootstrap import memory_entries
from affidavit.core.area import Who
from affidavit.core.errors import Invalid, NotAllowed, Refused
from affidavit.core.findings import Period
from affidavit.service.inspection import inspect

CANARY = "canary-origin"


@pytest.fixture
def ws(make):
    made = make()
    ws = made.workspace
    principal = ws.access.register_principal("person", "Engineer", by=made.admin).facts[0].principal
    who = Who(principal, "os-user")
    grant = ws.access.request_grant(principal, "engineer", "*", "work", by=who).facts[0].grant
    ws.access.approve_grant(grant, by=made.admin)
    ws.who = who
    ws.admin = made.admin
    return ws


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "people.parquet"
    parts = ["training"] * 6 + ["test"] * 4
    pq.write_table(pa.table({"person": range(10), "age": [20 + i % 3 for i in range(10)], "split": parts}), path)
    return path


def register(ws, data, **changes):
    given = {
        "dataset": "people", "version": "1", "data": data, "origin": f"https://example.org/{CANARY}/people.parquet",
        "source_version": "2025", "licence": "CC0-1.0", "legal_basis": "public-domain", "sensitivity": "personal",
        "owner": ws.who.principal, "collected_from": "2025-01-01T00:00:00.000Z", "collected_to": "2025-06-01T00:00:00.000Z",
        "retention": "P3Y",
    }  # fmt: skip
    return ws.lineage.register_dataset(**given | changes)


def test_from_file_to_finding(ws, data, clock, tmp_path):
    """Registered, split, trained on, observed, assessed; live tables equal rebuilt ones; the origin is nowhere."""
    made = register(ws, data).facts[0]
    parts = {
        s.name: s
        for s in ws.lineage.measure_splits("dataset:people/1", data, split_column="split", identity=["person"])
        .facts[0]
        .splits
    }
    run, start = "01890000-0000-7000-8000-000000000001", clock.now()
    clock.advance(timedelta(hours=1))
    used = [Input("dataset:people/1", "training", parts["training"].content, 6)]
    ws.lineage.record_run(
        run, started=start, ended=clock.now(), code="git:1", environment=digest(1), inputs=used, output=digest(2),
        parameters={"leaves": "31"},
    )  # fmt: skip
    clock.advance(timedelta(days=30))
    extract = tmp_path / "reads.csv"
    extract.write_text(f"run,content,read_at\n{run},{made.content},{(start + timedelta(minutes=1)).isoformat()}\n")
    window = {"start": start - timedelta(days=1), "end": clock.now()}
    ws.lineage.observe_reads("store", extract=extract, account="reader", query="all reads by trainers", **window)
    (finding,) = ws.assess(window["start"], window["end"], only=("AI-02.1",))
    assert (finding.operating, finding.n, finding.design) == ("pass", 1, "not evaluated")
    assert ws.drill("AI-02.1", by=ws.admin).fact.caught
    assert Period(window["start"], window["end"]).holds(start)
    bodies = b"".join(ws.stores.entries.entries(0, ws.stores.entries.size()))
    assert CANARY.encode() not in bodies and b"all reads by trainers" not in bodies
    ws.publish()
    assert [str(p) for p in inspect(ws, memory_entries()).problems] == []


def test_refusals_are_facts_and_bad_input_is_not(ws, data):
    """A second registration leaves a refusal in the log; a vague origin leaves nothing, not even in the vault."""
    register(ws, data)
    size = ws.stores.entries.size()
    with pytest.raises(Refused):
        register(ws, data)
    assert ws.record(size).fact.code == "already_registered"
    texts = len(list(ws.stores.vault.all()))
    with pytest.raises(Invalid):
        register(ws, data, version="2", origin="publicly available data")
    assert (ws.stores.entries.size(), len(list(ws.stores.vault.all()))) == (size + 1, texts)


def test_a_stranger_registers_nothing(ws, data):
    """Without a role the measure does not even begin."""
    nobody = Who(ws.access.register_principal("person", "No Role", by=ws.admin).facts[0].principal, "os-user")
    with pytest.raises(NotAllowed, match=r"lineage\.register"):
        register(ws, data, by=nobody)


def test_a_repeated_command_id_registers_once(ws, data):
    """A retry of a run gives the same entry."""
    register(ws, data)
    given = {
        "run": "01890000-0000-7000-8000-000000000002", "started": "2026-01-04T00:00:00.000Z", "ended": "2026-01-04T01:00:00.000Z",
        "code": "git:1", "environment": digest(1), "output": digest(2), "parameters": {},
        "inputs": [Input("dataset:people/1", "training", ws.ask("lineage.dataset", "people/1")["content"], 10)],
        "command_id": "01890000-0000-7000-8000-0000000000ff",
    }  # fmt: skip
    assert ws.lineage.record_run(**given).facts == ws.lineage.record_run(**given).facts
