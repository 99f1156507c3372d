"""A model version over HTTP alone: data and artifact uploaded, registered, promoted by two at once."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import pytest
import yaml

from affidavit.api import Options, create_app

ENVIRONMENT = "sha256:" + "e" * 64
CODE = "git:0123456789abcdef"


def open_rules() -> bytes:
    """The default rules, with a staging environment that asks for no checks and no approvals."""
    body = yaml.safe_load(resources.files("affidavit.service").joinpath("rules.yaml").read_bytes())
    body["transitions"]["staging"]["checks"] = {}
    return yaml.safe_dump(body).encode()


@pytest.fixture
def engineer(make, portal):
    """An engineer's client on a workspace with these rules: (client, principal)."""
    from api_door import Client, Served

    made = make(rules=open_rules())
    served = Served(made, Client(create_app(made.workspace, Options()), portal, made.api_key))
    principal, call = served.person("Engineer", "engineer", key_env="staging")
    yield call, principal
    made.workspace.close()


def done(answer: Any) -> Any:
    assert answer.status_code == 201, answer.text
    return answer.json()["entries"][0]["data"]


def register(call: Any, principal: str, name: bytes) -> int:
    """One version from one run on one dataset; its number."""
    csv = b"age,employed\n" + b"".join(b"%d,%d\n" % (20 + n, n % 2) for n in range(50)) + name + b",1\n"
    data = call("PUT", "/v1/objects", content=csv).json()["digest"]
    version = name.decode()
    dataset = done(call.post("/v1/lineage/register-dataset", {
        "dataset": "acs", "version": version, "data": data, "origin": "https://www2.census.gov/programs/acs/csv_pma.zip",
        "source_version": version, "licence": "CC0-1.0", "legal_basis": "public-domain", "sensitivity": "public", "owner": principal,
        "collected_from": "2015-01-01T00:00:00.000Z", "collected_to": "2015-12-31T00:00:00.000Z", "retention": "P5Y"}))  # fmt: skip
    head = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    artifact = call("PUT", "/v1/objects", content=len(head).to_bytes(8, "little") + head + name[:4].ljust(4)).json()[
        "digest"
    ]
    times = {"started": "2026-01-05T07:00:00.000Z", "ended": "2026-01-05T08:00:00.000Z"}
    run = done(call.post("/v1/lineage/record-run", times | {
        "run": str(uuid.uuid4()), "code": CODE, "environment": ENVIRONMENT, "output": artifact, "parameters": {"rate": "0.1"},
        "inputs": [{"dataset": f"dataset:acs/{version}", "role": "training", "content": dataset["content"], "rows": 51}]}))["run"]  # fmt: skip
    return done(call.post("/v1/registry/register", times | {
        "model": "employment", "artifact": artifact, "format": "safetensors", "run": run, "datasets": [f"dataset:acs/{version}"],
        "code": CODE, "environment": ENVIRONMENT, "hyperparameters": {"rate": "0.1"}, "metrics": {"auc": "0.812500"},
        "split": "test", "author": principal}))["number"]  # fmt: skip


def test_two_promote_at_once(engineer):
    """Of two versions promoted at once both are decided, one after the other: the later one serves, nothing is half done."""
    call, principal = engineer
    done(call.post("/v1/registry/register-system", {
        "system": "hr-screen", "purpose": "screens job applications for interview; a person decides each case", "owner": principal, "tier": "high", "tier_reason": "it decides about access to employment of people",
        "role": "deployer", "jurisdictions": ["US-MA"], "people_affected": "people who apply for a job in Massachusetts"}))  # fmt: skip
    done(call.post("/v1/registry/register-model", {"model": "employment", "system": "hr-screen"}))
    versions = [f"employment/{register(call, principal, name)}" for name in (b"2015", b"2016")]
    gate = threading.Barrier(4)

    def promote(version: str) -> Any:
        gate.wait()
        return call.post("/v1/registry/promote", {"version": version, "to": "staging"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(promote, versions * 2))
    accepted = [a.json()["entries"][0] for a in answers if a.status_code == 201]
    refused = [a.json() for a in answers if a.status_code != 201]
    assert {a.status_code for a in answers} <= {201, 409}, [a.text for a in answers]
    assert all(r["code"] for r in refused)
    history = call.get("/v1/registry/history", params={"model": "employment"}).json()
    assert len(history) == len(accepted) >= 2
    served = call.get("/v1/registry/served", params={"model": "employment", "in_env": "staging"}).json()["served"]
    assert served["deployment"] == max(accepted, key=lambda e: e["index"])["data"]["deployment"]
