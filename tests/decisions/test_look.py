"""A decision is traced, proven and counted; what nobody recorded is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from look_house import OTHER, READINGS, LookHouse

from affidavit.areas.decisions.look.tree import lines
from affidavit.areas.decisions.look.windows import windows_of
from affidavit.core.area import Who
from affidavit.core.errors import NotAllowed, NotFound, Refused
from affidavit.evidence.verify import verify_target
from affidavit.service.sealing import new_id
from affidavit.store.clock import SimulatedClock
from affidavit.streams.ids import id_bytes, id_text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A house whose decision 7 has windows, a late row of every kind, and neighbours; sealed and published."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFIDAVIT_STATE", str(tmp_path_factory.mktemp("state")))
        house = LookHouse(tmp_path_factory.mktemp("house"), SimulatedClock(datetime(2026, 1, 5, 9, tzinfo=UTC)))
        stored = house.keep(READINGS)
        content = house.ws.ask("lineage.dataset", "rows/1")["content"]
        house.run = house.ws.ask("registry.version", "employment", 1)["run"]
        sources = house.windows(
            {"stream": "meter/7", "from": 0, "to": 400, "digest": stored, "run": house.run},
            {"stream": "survey", "dataset": "dataset:rows/1", "digest": content},
            {"stream": "survey", "dataset": "dataset:rows/1", "digest": OTHER},
            {"stream": "survey", "dataset": "dataset:nowhere/1", "digest": OTHER},
            {"stream": "meter/8", "file": OTHER, "run": new_id(house.ws.stores, house.clock.now())},
            {"stream": "meter/9", "digest": OTHER, "run": "nightly"},
            {"stream": "meter/10"},
        )
        writer = house.writer()
        house.ids = house.record(7, close=False, writer=writer)
        house.ids += house.record(1, close=False, writer=writer, sources=sources)
        house.ids += house.record(40, writer=writer, sources="[broken")
        house.late(house.ids[7])
        house.seal()
        yield house
        house.ws.close()


def test_a_trace_leads_from_the_raw_readings_to_the_datasets(made):
    """Input, output, caller, version, deployment, approval, gate, evaluation, training run, dataset, origin, proof."""
    found = made.do("trace", made.ids[7])
    assert (found["state"], found["caller"], found["tenant"], found["adverse"]) == (
        "verified",
        "portal",
        "t0",
        found["adverse"],
    )
    assert set(found["input"]) == {"a", "b", "c", "s"} and set(found["output"]) == {"out", "label"}
    version, deployment = found["version"], found["deployment"]
    assert (version["name"], version["agrees"], version["system"], version["named_by"]) == (
        "employment/1",
        True,
        "hr",
        "the deployment",
    )
    assert (deployment["env"], deployment["via"], deployment["deployer"]) == (
        "production",
        "approval",
        made.who["operator"].principal,
    )
    assert [(a["principal"], a["role"]) for a in found["approvals"]] == [(made.who["approver"].principal, "approver")]
    assert found["evaluation"]["results"]["auc"] and found["training"]["code"] == "git:abc"
    assert found["training"]["inputs"][0]["dataset"] == "dataset:rows/1"
    assert found["datasets"][0]["origin"] == "https://example.org/surveys/rows-2015.parquet"
    assert found["proof"]["seq"] == 7 and found["proof"]["status"].startswith("published under size ")
    json.dumps(found, allow_nan=False)


WINDOWS = [
    (0, "verified", "the stored object has these bytes"), (1, "verified", "registered with these bytes"),
    (2, "altered", "is registered as sha256:"), (3, "missing", "dataset:nowhere/1 is not registered"),
    (4, "missing", "is not stored"), (5, "not checked", "not at hand"), (6, "not checked", "states no digest"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "check", "why"), WINDOWS, ids=[w[2] for w in WINDOWS])
def test_each_window_of_raw_readings_is_judged(made, number, check, why):
    """A window at hand is verified, an altered or missing one is named, any other stays not checked."""
    window = made.do("trace", made.ids[7])["sources"][number]
    assert window["check"] == check and why in window["why"]


def test_feature_runs_are_followed(made):
    """A recorded run is shown with what it read; another is named missing."""
    runs = [w["feature_run"] for w in made.do("trace", made.ids[7])["sources"]]
    assert runs[0]["id"] == made.run and runs[0]["inputs"]
    assert runs[4].startswith("missing: run ") and runs[5].startswith("missing: run nightly")
    assert runs[6] == "unknown: the window names none"
    assert made.do("trace", made.ids[0])["sources"] == "unknown: none were recorded"
    assert made.do("trace", made.ids[20])["sources"].startswith("unknown: the recorded text is no")


ODD_SOURCES = [
    ("nested too deep", "[" * 60 + "]" * 60), ("not a list", '{"stream":"x"}'), ("a list of words", '["meter"]'), ("floats", '[{"from":1.5}]'),
]  # fmt: skip


@pytest.mark.parametrize("text", [o[1] for o in ODD_SOURCES], ids=[o[0] for o in ODD_SOURCES])
def test_windows_off_form_are_called_unknown(made, text):
    """Whatever stands in the column, the trace goes on."""
    assert windows_of(made.desk(), text).startswith("unknown: the recorded text is no")


def test_a_trace_looks_into_so_many_windows_of_such_a_size(made, monkeypatch):
    """What is left out is said."""
    stored = made.keep(READINGS)
    many = made.windows(*({"stream": f"m/{n}", "digest": stored} for n in range(103)))
    found = windows_of(made.desk(), many)
    assert len(found) == 101 and found[99]["check"] == "verified" and found[100]["why"] == "3 more windows"
    monkeypatch.setattr("affidavit.areas.decisions.look.windows.MOST_BYTES", 5)
    assert windows_of(made.desk(), made.windows({"digest": stored}))[0]["check"] == "not checked"


def test_late_facts_stand_with_the_decision_they_are_about(made):
    """Outcome, explanation and action by decision id; another decision has none."""
    later = made.do("trace", made.ids[7])["later"]
    assert [r["label"] for r in later["outcomes"]["rows"]] == ["hired"]
    assert later["explanations"]["rows"][0]["attributions"] == {"a": 0.5, "b": "NaN"}
    assert later["actions"]["rows"][0]["action"] == "overridden"
    other = made.do("trace", made.ids[8])["later"]
    assert (other["outcomes"]["rows"], other["erasure"]) == ("none sealed", "none")
    assert "not sealed yet" in other["outcomes"]["searched"]


def test_a_trace_is_a_tree_on_the_terminal(made):
    """One branch a part; text with control characters is escaped."""
    found = made.do("trace", made.ids[7])
    text = list(lines(found | {"caller": "\x1b[31mroot"}))
    assert text[0] == f"decision {made.ids[7]}" and text[-1].startswith("   └─ status: published")
    for part in ("sources", "input", "version", "approvals", "gate: ", "training", "datasets", "later"):
        assert any(line.startswith((f"├─ {part}", f"└─ {part}")) for line in text), part
    assert all(line.isprintable() for line in text)


def test_a_proof_verifies_with_the_key_alone(made, tmp_path):
    """What the workspace hands out is accepted offline; its facts say where the row is."""
    document = made.do("prove", made.ids[7])
    assert (document.name, document.type) == (f"decision-{made.ids[7]}.proof", "application/json")
    path = tmp_path / document.name
    path.write_bytes(document.body)
    report = verify_target(path, vkeys=[made.vkey], require="pinned")
    assert report.ok and report.facts["decision"] == made.ids[7] == document.facts["decision"]
    traced = made.do("trace", made.ids[7])
    assert (report.facts["inputs"], report.facts["outputs"]) == (traced["input"], traced["output"])
    assert len(document.body) < 12_000


def test_every_look_is_kept_before_it_is_answered(made):
    """Who, what, how many rows; a vain search too; the ledger does not grow."""
    size = made.ws.stores.entries.size()
    nobody = id_text(bytes(6) + b"\x70\x00\x80" + bytes(7))
    with pytest.raises(NotFound, match="no sealed decision"):
        made.do("trace", nobody, by="reviewer")
    made.do("prove", made.ids[3], by="auditor")
    made.do("query", where=["tenant=t1"], tenant="t1", by="privacy")
    assert made.ws.stores.entries.size() == size
    made.seal()
    rows = made.do("query", kind="reads", format="json")["found"]
    mine = {(r["verb"], r["about"], r["rows"]): r for r in rows}
    assert mine["trace", nobody, 0]["actor"] == made.who["reviewer"].principal
    assert mine["prove", made.ids[3], 1]["actor"] == made.who["auditor"].principal
    assert any(
        r["verb"] == "query" and r["actor"] == made.who["privacy"].principal and r["tenant"] == "t1" for r in rows
    )


def test_who_may_not_read_sees_nothing(made):
    """The permission decisions.read is asked for each look, and within the environment of the decision."""
    for verb, args in (
        ("prove", (made.ids[0],)),
        ("trace", (made.ids[0],)),
        ("query", ()),
        ("of_model", ("employment/1",)),
    ):
        with pytest.raises(NotAllowed, match=r"decisions\.read"):
            made.do(verb, *args, by="sealer")
    ws = made.ws
    person = ws.access.register_principal("person", "Stage Hand", by=made.admin).facts[0].principal
    who = Who(person, "os-user")
    grant = ws.access.request_grant(person, "reviewer", "staging", "work", by=who).facts[0].grant
    ws.access.approve_grant(grant, by=made.admin)
    with pytest.raises(NotFound):
        ws.decisions.trace(made.ids[0], by=who)
    assert ws.decisions.query(by=who).facts["rows"] == 0
    bound = Who(made.who["engineer"].principal, "key", None, "staging")
    with pytest.raises(NotFound):
        ws.decisions.prove(made.ids[0], by=bound)
    assert (
        ws.decisions.prove(made.ids[0], by=Who(bound.principal, "key", None, "production")).facts["state"] == "verified"
    )


def test_a_caller_bound_to_tenants_sees_those_alone(made):
    """Another tenant's decision is answered as absent through every look; counts over all tenants are refused."""
    ws = made.ws
    person = ws.access.register_principal("person", "Tenant Two", by=made.admin).facts[0].principal
    who = Who(person, "os-user")
    grant = ws.access.request_grant(person, "reviewer", "*", "work", by=who).facts[0].grant
    ws.access.approve_grant(grant, by=made.admin)
    ws.decisions.restrict_tenants(person, tenants=["t2"], by=made.admin)
    for verb in ("prove", "trace"):
        with pytest.raises(NotFound, match="no sealed decision"):
            getattr(ws.decisions, verb)(made.ids[0], by=who)
        getattr(ws.decisions, verb)(made.ids[2], by=who)
    rows = ws.decisions.query(format="json", by=who)["found"]
    assert rows and {r["tenant"] for r in rows} == {"t2"}
    assert ws.decisions.query(where=["tenant=t1"], format="json", by=who)["found"] == []
    with pytest.raises(NotAllowed, match="name no tenant"):
        ws.decisions.query(kind="outcomes", by=who)
    with pytest.raises(NotAllowed, match="every tenant"):
        ws.decisions.of_model("employment/1", by=who)


def test_the_way_back_counts_decisions_by_deployment_and_month(made):
    """From a dataset version and from a model version; counted from headers."""
    found = made.do("of_dataset", "dataset:rows/1")
    assert found["decisions"] == 48 and found["versions"][0]["trained_on"] == "dataset:rows/1"
    lines_ = {d["env"]: d for d in found["versions"][0]["deployments"]}
    assert (lines_["production"]["decisions"], lines_["production"]["months"]) == (48, {"2026-01": 48})
    assert lines_["staging"]["decisions"] == 0
    assert made.do("of_model", "employment/1")["decisions"] == 48
    engineer, at = made.who["engineer"], made.clock.now()
    made.ws.lineage.register_dataset(
        "survey", version="1", data=made.data, origin="https://example.org/surveys/2015.csv", source_version="1", licence="CC0-1.0",
        legal_basis="public-domain", sensitivity="internal", owner=engineer.principal, collected_from=at - timedelta(days=90),
        collected_to=at - timedelta(days=60), retention="P1Y", by=engineer,
    )  # fmt: skip
    made.ws.lineage.register_dataset(
        "rows", version="2", data=made.data, origin="https://example.org/surveys/rows-2.parquet", source_version="1", licence="CC0-1.0", legal_basis="public-domain",
        sensitivity="internal", owner=engineer.principal, collected_from=at - timedelta(days=90), collected_to=at - timedelta(days=60),
        retention="P1Y", parents=["dataset:survey/1"], by=engineer,
    )  # fmt: skip
    derived = made.do("of_dataset", "dataset:survey/1")
    assert (derived["datasets"], derived["whole"], derived["decisions"]) == (
        ["dataset:survey/1", "dataset:rows/2"],
        True,
        0,
    )
    for verb, name in (("of_dataset", "dataset:rows/9"), ("of_model", "employment/9")):
        with pytest.raises(NotFound, match="no "):
            made.do(verb, name)


def test_before_publication_there_is_no_proof(house):
    """The next step is named; the trace says that it is not published."""
    ids = house.record(3)
    house.ws.decisions.seal(by=house.who["sealer"])
    with pytest.raises(NotFound, match=r"not published.*log publish"):
        house.ws.decisions.prove(ids[0], by=house.who["engineer"])
    assert house.ws.decisions.trace(ids[0], by=house.who["engineer"])["proof"]["status"].startswith("not published")


def test_what_the_registry_does_not_know_is_named(house):
    """A row of an unknown deployment is traced by what its process attested; a digest that differs is shown."""
    ids = house.record(1, deployment=bytes(16), version=bytes(32))
    house.seal()
    found = house.ws.decisions.trace(ids[0], by=house.who["engineer"])
    assert found["deployment"] == "unknown: no registry entry of this id"
    assert (found["version"]["named_by"], found["version"]["agrees"]) == ("the serving process itself", False)
    assert found["approvals"] == found["gate"] == "unknown: no deployment"


def test_an_erased_decision_is_proven_and_traced_as_erased(house, tmp_path):
    """Its proof names the erasing entry and verifies; what was recorded is gone, what led to it is not."""
    ids = house.record(12)
    house.seal()
    ask = house.ws.decisions
    kept = ask.prove(ids[4], by=house.who["engineer"])
    ask.erase(basis="request", reason="the person asked", decisions=[ids[5]], by=house.who["privacy"])
    house.ws.publish()
    document = ask.prove(ids[5], by=house.who["engineer"])
    assert document.facts["state"] == "erased"
    (tmp_path / "e.proof").write_bytes(document.body)
    vkey = (house.folder / "ws" / "log.vkey").read_text().strip()
    report = verify_target(tmp_path / "e.proof", vkeys=[vkey])
    assert report.ok and report.facts["state"] == "erased", report.lines()
    found = ask.trace(ids[5], by=house.who["engineer"])
    assert (found["state"], found["input"], found["sources"]) == ("erased", "erased", "erased")
    assert found["later"]["erasure"]["entry"] == report.facts["erasing entry"]
    assert found["version"]["name"] == "employment/1" and found["version"]["agrees"] is None
    assert ask.query(format="json", by=house.who["engineer"])["rows"] == 11
    again = ask.prove(ids[4], by=house.who["engineer"])
    for body in (kept.body, again.body):
        (tmp_path / "k.proof").write_bytes(body)
        assert verify_target(Path(tmp_path / "k.proof"), vkeys=[vkey]).facts["decision"] == ids[4]
    with pytest.raises((NotFound, Refused)):
        ask.prove(id_text(id_bytes(ids[5])[:8] + bytes(8)), by=house.who["engineer"])
