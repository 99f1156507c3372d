"""A document through the three doors: bytes in Python, a file on the command line, a body over HTTP."""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from pathlib import Path

import anyio.from_thread
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "api"))
from api_door import Client

from affidavit.api import Options, create_app
from affidavit.api.rows import DOCUMENT
from affidavit.cli.main import main
from affidavit.core.area import Document
from affidavit.service.executor import Done


@pytest.fixture
def served(house, tmp_path, monkeypatch):
    """A house with sealed decisions, its command line in an empty folder, its HTTP door with an engineer's key."""
    house.ids = house.record(5)
    house.seal()
    ws, engineer = house.ws, house.who["engineer"].principal
    expires = ws.stores.clock.now() + timedelta(days=30)
    house.key = ws.access.issue_key(
        principal=engineer, for_env="production", expires=expires, by=house.who["engineer"]
    ).result["key"]
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(ws, "close", lambda: None)
    monkeypatch.setattr("affidavit.cli.area.open_workspace", lambda _dir, by: ws.acting(house.who[by]))
    with anyio.from_thread.start_blocking_portal() as portal:
        house.call = Client(create_app(ws, Options()), portal, house.key)
        yield house


def run(*args):
    return main(["decisions", *args, "--as", "engineer"])


def test_a_proof_is_written_once_and_its_facts_are_printed(served, capsys):
    """Under its own name in this folder; never over another file; ``--out`` chooses the place before anything is done."""
    decision = served.ids[2]
    assert run("prove", decision) == 0
    name = f"decision-{decision}.proof"
    said = capsys.readouterr().out
    assert f"file: {name}" in said and "state: verified" in said
    key = served.folder / "ws" / "log.vkey"
    assert main(["verify", name, "--vkey", str(key)]) == 0
    assert main(["verify", name]) == 3
    kept = Path(name).read_bytes()
    assert run("prove", decision) == 2
    assert Path(name).read_bytes() == kept
    assert run("prove", decision, "--out", name) == 2
    assert "exists already" in capsys.readouterr().err
    assert run("prove", decision, "--out", "a.proof", "--json") == 0
    assert json.loads(capsys.readouterr().out)["file"] == "a.proof"
    assert Path("a.proof").read_bytes() == kept
    assert run("prove", decision, "--out", "no/such/folder.proof") == 3


def test_a_trace_is_a_tree_of_names_or_json(served, capsys):
    """People see names instead of ids; ``--json`` is the answer as it is; ``--out`` is for documents."""
    assert run("trace", served.ids[2]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"decision {served.ids[2]}\n├─ state: verified") and "(operator)" in text
    assert run("trace", served.ids[2], "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"]["name"] == "employment/1"
    assert run("trace", served.ids[2], "--out", "x") == 2
    assert not Path("x").exists()


def test_a_query_is_a_file_or_rows(served, capsys):
    """Conditions repeat; JSON rows are printed."""
    assert run("query", "--where", "out>=0", "--where", "tenant=t1", "--format", "csv", "--out", "rows.csv") == 0
    assert "rows: 2" in capsys.readouterr().out
    assert len(Path("rows.csv").read_text().splitlines()) == 3
    assert run("query", "--columns", "id", "--format", "json", "--json") == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)["found"]] == served.ids
    assert run("query", "--where", "nope=1") == 2


def test_over_http_a_document_is_the_body(served):
    """Its media type, its name, its facts in a header; or one JSON object if that is accepted. One POST, no GET."""
    decision = served.ids[2]
    answer = served.call.post("/v1/decisions/prove", {"decision": decision})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''decision-{decision}.proof"
    assert json.loads(answer.headers["document-facts"])["state"] == "verified"
    Path("h.proof").write_bytes(answer.content)
    assert main(["verify", "h.proof", "--vkey", str(served.folder / "ws" / "log.vkey")]) == 0
    as_json = served.call.post("/v1/decisions/prove", {"decision": decision}, headers={"accept": DOCUMENT})
    assert as_json.headers["content-type"] == DOCUMENT
    row = as_json.json()
    assert (row["name"], row["type"]) == (f"decision-{decision}.proof", "application/json")
    assert base64.b64decode(row["body"]) == answer.content
    arrow = served.call.post("/v1/decisions/query", {})
    assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert served.call.post("/v1/decisions/trace", {"decision": decision}).json()["decision"] == decision
    assert served.call.get("/v1/decisions/trace", params={"decision": decision}).status_code in (404, 405)
    missing = served.call.post("/v1/decisions/prove", {"decision": served.ids[0][:-4] + "ffff"})
    assert (missing.status_code, missing.json()["code"] if "code" in missing.json() else "") == (404, "")


def test_a_measure_that_found_nothing_is_answered(served, capsys):
    """No entries: the result alone, through the command line and HTTP."""
    served.seal()
    served.seal()
    assert run_as(served, "seal") == 0
    assert "rows: 0" in capsys.readouterr().out
    answer = served.call.post("/v1/decisions/seal", {})
    assert answer.status_code == 200, answer.text
    assert answer.json()["entries"] == [] and "accepted" not in answer.json()


def run_as(served, *args):
    return main(["decisions", *args, "--as", "sealer"])


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "nothing recorded"])
def test_a_measure_may_end_in_a_document(served, capsys, monkeypatch, recorded):
    """A file on the command line; over HTTP its name, type and bytes stand in the outcome's result."""
    records = served.ws.decisions.hold(reason="a claim", by=served.who["privacy"]).records if recorded else ()
    document = Document(b"%PDF", "application/pdf", "../letter.pdf", {"pages": 1})
    done = Done("019b8d63-64e0-762a-923d-190f6cc6167a", records, result=document)
    monkeypatch.setattr(type(served.ws), "do", lambda *_a, **_o: done)
    assert run("seal") == 0
    assert Path("letter.pdf").read_bytes() == b"%PDF"
    said = capsys.readouterr().out
    assert "file: letter.pdf" in said and "pages: 1" in said and ("entry" in said) == recorded
    assert run("seal", "--json", "--out", "again.pdf") == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"file": "again.pdf", "pages": 1}
    answer = served.call.post("/v1/decisions/seal", {})
    assert answer.status_code == (201 if recorded else 200)
    assert answer.json()["result"] == {
        "name": "../letter.pdf", "type": "application/pdf", "facts": {"pages": 1}, "body": base64.b64encode(b"%PDF").decode()
    }  # fmt: skip
