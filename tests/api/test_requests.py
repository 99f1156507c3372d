"""Commands, queries and uploads over HTTP, and everything that must be turned away."""

from __future__ import annotations

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from affidavit.core.ledger_facts import RequestRefused
from affidavit.store.clock import SimulatedClock

REGISTER = "/v1/access/register-principal"
JANE = {"kind": "person", "name": "Jane Doe"}


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, after its form was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"https://affidavit.dev/problems/{kind}"
    assert body["status"] == status
    assert {"title", "detail", "next"} <= set(body)
    return body


def test_a_command_leaves_entries_and_a_promise(served):
    """201, the entries, the signed note over the last of them, and where the first is read."""
    answer = served.call.post(REGISTER, JANE)
    assert answer.status_code == 201
    row = answer.json()
    entry = row["entries"][0]
    assert entry["tag"] == "access.principal_registered"
    assert served.call.get(answer.headers["location"]).json() == entry
    assert "Jane" not in answer.text
    assert row["accepted"].startswith("affidavit.dev/accepted/v1\n")


def test_waiting_for_publication(served):
    """``wait=published`` answers once the entry's receipt can be had."""
    answer = served.call.post(REGISTER + "?wait=published", JANE)
    assert answer.json()["published"] is True
    index = answer.json()["entries"][0]["index"]
    assert served.call.get(f"/v1/log/receipts/{index}").text.startswith("c2sp.org/tlog-proof@v1")
    later = served.call.post(REGISTER, JANE).json()["entries"][0]["index"]
    problem(served.call.get(f"/v1/log/receipts/{later}"), 404, "not-found")


def test_a_store_that_fails_to_publish_does_not_deny_what_was_accepted(served, monkeypatch):
    """202: the command stands, its publication follows."""
    from affidavit.core.errors import StoreDown

    def down() -> Any:
        raise StoreDown("the disk is full.", next_step="free some space.")

    monkeypatch.setattr(served.ws, "publish", down)
    answer = served.call.post(REGISTER + "?wait=published", JANE)
    assert answer.status_code == 202
    assert answer.json()["published"] is False
    assert len(answer.json()["entries"]) == 1


def test_a_repeated_key_gives_the_same_entries(served):
    """The same command under the same Idempotency-Key is executed once; the case of the UUID does not matter."""
    key = str(uuid.uuid4())
    first = served.call.post(REGISTER, JANE, headers={"idempotency-key": key})
    again = served.call.post(REGISTER, JANE, headers={"idempotency-key": f'"{key.upper()}"'})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["repeated"] is True
    assert again.json()["entries"] == first.json()["entries"]
    assert again.json()["command"] == key


def test_a_key_used_again_for_another_body_is_refused(served):
    """400, and the first command keeps its private text."""
    key = {"idempotency-key": str(uuid.uuid4())}
    made = served.call.post(REGISTER, JANE, headers=key).json()
    problem(served.call.post(REGISTER, JANE | {"name": "John Roe"}, headers=key), 400, "invalid")
    problem(served.call.post("/v1/access/revoke-key", {"key": str(uuid.uuid4())}, headers=key), 400, "invalid")
    assert served.ws.principal_name(made["entries"][0]["data"]["principal"]) == "Jane Doe"


BAD_BODIES = [
    ("not JSON", b"{", {}, 400, "invalid"),
    ("empty", b"", {}, 400, "invalid"),
    ("not UTF-8", b'{"kind": "person", "name": "\xff"}', {}, 400, "invalid"),
    ("a float", b'{"kind": "person", "name": 1.5}', {}, 400, "invalid"),
    ("NaN", b'{"kind": "person", "name": NaN}', {}, 400, "invalid"),
    ("a huge integer", b'{"kind": "person", "name": ' + b"9" * 6000 + b"}", {}, 400, "invalid"),
    ("a repeated key", b'{"kind": "person", "name": "x", "name": "y"}', {}, 400, "invalid"),
    ("a list", b"[]", {}, 400, "invalid"),
    ("null", b"null", {}, 400, "invalid"),
    ("deep nesting", b"[" * 50_000 + b"]" * 50_000, {}, 400, "invalid"),
    ("a lone surrogate", b'{"kind": "person", "name": "\\ud800"}', {}, 400, "invalid"),
    ("an unknown field", b'{"kind": "person", "name": "x", "admin": true}', {}, 400, "invalid"),
    ("an unknown field of 500 kB", b'{"' + b"a" * 500_000 + b'": 1}', {}, 400, "invalid"),
    ("a missing field", b'{"kind": "person"}', {}, 400, "invalid"),
    ("a wrong enum", b'{"kind": "robot", "name": "x"}', {}, 400, "invalid"),
    ("control characters", b'{"kind": "person", "name": "x\\u0000y"}', {}, 400, "invalid"),
    ("a note of 4,001 characters", b'{"kind": "person", "name": "' + b"x" * 4001 + b'"}', {}, 400, "invalid"),
    ("10 MB", b'{"kind": "person", "name": "' + b"x" * 10_000_000 + b'"}', {}, 413, "too-large"),
    ("text", b"{}", {"content-type": "text/plain"}, 415, "wrong-media-type"),
    ("a form", b"kind=person", {"content-type": "application/x-www-form-urlencoded"}, 415, "wrong-media-type"),
    ("Latin-1", b"{}", {"content-type": "application/json; charset=latin-1"}, 415, "wrong-media-type"),
    ("packed", b"{}", {"content-encoding": "gzip"}, 415, "wrong-media-type"),
    ("a key that is no UUID", b"{}", {"idempotency-key": "mine"}, 400, "invalid"),
    ("a length that is no number", b"{}", {"content-length": "ten"}, 400, "invalid"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"), [b[1:] for b in BAD_BODIES], ids=[b[0] for b in BAD_BODIES]
)
def test_a_bad_body_leaves_nothing(served, body, headers, status, kind):
    """Each is named, in a short answer, and no entry and no private text comes of it."""
    before, texts = served.ws.stores.entries.size(), len(list(served.ws.stores.vault.all()))
    answer = served.call("POST", REGISTER, content=body, headers={"content-type": "application/json"} | headers)
    problem(answer, status, kind)
    assert len(answer.content) < 6000
    assert served.ws.stores.entries.size() == before
    assert len(list(served.ws.stores.vault.all())) == texts


def test_a_body_without_a_length_is_cut_off(served):
    """A stream that does not end is read up to the limit and no further."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    problem(
        served.call("POST", REGISTER, content=endless(), headers={"content-type": "application/json"}), 413, "too-large"
    )
    assert sent <= 18


BAD_ROUTES = [
    ("GET", "/", 404, "not-found"),
    ("GET", "/docs", 404, "not-found"),
    ("GET", "/redoc", 404, "not-found"),
    ("GET", "/v1/access", 404, "not-found"),
    ("POST", "/v1/access/record-key", 404, "not-found"),
    ("POST", "/v1/nothing/at-all", 404, "not-found"),
    ("POST", REGISTER + "/", 404, "not-found"),
    ("GET", REGISTER, 405, "method-not-allowed"),
    ("DELETE", "/v1/access/grants", 405, "method-not-allowed"),
    ("POST", REGISTER + "?wait=anchored", 400, "invalid"),
    ("POST", REGISTER + "?wait=accepted&wait=published", 400, "invalid"),
    ("POST", REGISTER + "?dry=true", 400, "invalid"),
    ("GET", "/v1/access/who-can", 400, "invalid"),
    ("GET", "/v1/access/who-can?action=a&action=b", 400, "invalid"),
    ("GET", "/v1/access/who-can?action=a&at=yesterday", 400, "invalid"),
    ("GET", "/v1/access/who-can?action=a&who=me", 400, "invalid"),
    ("GET", "/v1/log/entries/-1", 400, "invalid"),
    ("GET", "/v1/log/entries/01", 400, "invalid"),
    ("GET", "/v1/log/entries/1e3", 400, "invalid"),
    ("GET", "/v1/log/entries/\u0661", 400, "invalid"),
    ("GET", "/v1/log/entries/999999999", 404, "not-found"),
    ("GET", "/v1/log/entries/999999999?form=bytes", 404, "not-found"),
    ("GET", "/v1/log/entries/0?form=xml", 400, "invalid"),
    ("GET", "/v1/log/receipts/999999999", 404, "not-found"),
    ("GET", "/v1/log/tile/0/000", 404, "not-found"),
    ("GET", "/v1/log/tile/%2e%2e/checkpoint", 400, "invalid"),
    ("GET", "/v1/log/tile/..%2f..%2fkeys%2flog.key", 400, "invalid"),
    ("GET", "/v1/log/tile/%2fetc%2fpasswd", 400, "invalid"),
    ("GET", "/v1/log/tile/0/x000/000", 400, "invalid"),
    ("GET", "/v1/log/tile/0/000.p/0", 400, "invalid"),
    ("GET", "/v1/log/tile/0/000%00", 400, "invalid"),
    ("GET", "/v1/log/checkpoint?x=1", 400, "invalid"),
    ("GET", "/v1/objects/sha256:abc", 400, "invalid"),
    ("GET", "/v1/objects/sha256:" + "0" * 64, 404, "not-found"),
    ("GET", "/v1/audit/assess", 400, "invalid"),
    ("GET", "/v1/audit/assess?from=2026-02-01&to=2026-01-01", 400, "invalid"),
    ("GET", "/v1/audit/assess?from=2026-01-01&to=2026-02-01&as_of=0", 400, "invalid"),
    ("GET", "/v1/audit/assess?from=2026-01-01&to=2026-02-01&control=AI-99.9", 404, "not-found"),
    ("POST", "/v1/audit/drill/AI-99.9", 404, "not-found"),
]


@pytest.mark.parametrize(("method", "url", "status", "kind"), BAD_ROUTES, ids=[f"{r[0]} {r[1]}" for r in BAD_ROUTES])
def test_a_bad_address_is_a_problem(served, method, url, status, kind):
    """Wrong routes, methods, parameters and paths are named; none reaches a file."""
    problem(served.call(method, url), status, kind)


BAD_KEYS = [
    None,
    "",
    "afk_production_x_y",
    "afk_",
    "token",
    "afk_production_019a0000-0000-4000-8000-000000000000_" + "a" * 43,
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_without_a_good_key_nothing_is_served_and_nothing_recorded(served, key, caplog):
    """401 with the scheme to use; the attempt is in the operational log, its key is not, and the ledger is silent."""
    before = served.ws.stores.entries.size()
    caplog.set_level(logging.INFO, "affidavit.api")
    for method, url in (("POST", REGISTER), ("GET", "/v1/access/grants"), ("PUT", "/v1/objects"), ("GET", "/v1/log/checkpoint"),
                        ("POST", "/v1/log/publish"), ("GET", "/v1/audit/controls"), ("POST", "/v1/audit/drill/AI-01.2")):  # fmt: skip
        answer = served.call.as_(key)(method, url)
        problem(answer, 401, "unsigned")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert served.ws.stores.entries.size() == before
    logged = [r.fields for r in caplog.records if r.name == "affidavit.api"]
    assert [row["problem"] for row in logged] == ["Unsigned"] * 7
    assert not key or len(key) < 6 or key not in str(logged)


def test_an_altered_expired_or_revoked_key_opens_nothing(served, clock: SimulatedClock):
    """One character more, another environment, the day after, the revocation: all 401."""
    _, engineer = served.person("Engineer", "engineer")
    assert engineer.get("/v1/access/grants").status_code == 200
    key = engineer.key or ""
    assert served.call.as_(key + "x").get("/v1/access/grants").status_code == 401
    assert served.call.as_(key.replace("production", "staging")).get("/v1/access/grants").status_code == 401
    assert served.call.post("/v1/access/revoke-key", {"key": key.split("_")[2]}).status_code == 201
    assert engineer.get("/v1/access/grants").status_code == 401
    _, other = served.person("Other", "engineer")
    clock.advance(timedelta(days=31))
    assert other.get("/v1/access/grants").status_code == 401


def refusals(served: Any) -> list[Any]:
    size = served.ws.stores.entries.size()
    records = [served.ws.record(i) for i in range(size)]
    return [r for r in records if isinstance(r.fact, RequestRefused)]


def test_a_denial_is_recorded_once_and_counted(served):
    """403 names what is missing; the first denial of the hour is an entry, its repeats are counted."""
    principal, engineer = served.person("Engineer", "engineer")
    for _ in range(3):
        body = problem(engineer.post(REGISTER, JANE), 403, "not-allowed")
        assert "access.register" in body["detail"]
    found = refusals(served)
    assert [(r.fact.request, r.fact.code, r.head.actor) for r in found] == [
        ("access.register-principal", "denied", principal)
    ]


def test_a_development_key_does_nothing_on_production(served):
    """A key is bound to its environment: the denial on another one is recorded."""
    principal, engineer = served.person("Engineer", "engineer", key_env="development")
    body = {"version": "employment/1", "to": "production", "reason": "back to the last good one"}
    answer = problem(engineer.post("/v1/registry/rollback", body), 403, "not-allowed")
    assert "bound to development" in answer["detail"]
    assert [(r.fact.code, r.head.actor, r.head.env) for r in refusals(served)] == [("denied", principal, "production")]


def test_a_grant_of_another_environment_gives_nothing(served):
    """A role held in staging is not held through a production key."""
    asks = {"principal": served.made.admin.principal, "role": "approver", "in_env": "staging", "reason": "work"}
    _, other = served.person("Second", "admin", env="staging", key_env="production")
    _, admin = served.person("Third", "admin", env="staging", key_env="staging")
    problem(admin.post(REGISTER, JANE), 403, "not-allowed")
    grant = admin.post("/v1/access/request-grant", asks).json()["entries"][0]["data"]["grant"]
    problem(other.post("/v1/access/approve-grant", {"grant": grant}), 403, "not-allowed")
    _, fourth = served.person("Fourth", "admin", env="staging", key_env="staging")
    assert fourth.post("/v1/access/approve-grant", {"grant": grant}).status_code == 201


def test_a_refusal_names_its_rule_and_controls(served):
    """409 with the code and the controls that stood in the way."""
    grant = served.call.post("/v1/access/request-grant", {
        "principal": served.made.admin.principal, "role": "approver", "in_env": "production", "reason": "for myself"}).json()  # fmt: skip
    answer = served.call.post("/v1/access/approve-grant", {"grant": grant["entries"][0]["data"]["grant"]})
    body = problem(answer, 409, "refused")
    assert (body["code"], body["controls"]) == ("self_approval", ["AI-03.1"])


def test_of_two_who_decide_at_once_one_does(served):
    """Two requests with one outcome race: one gets 201, the other learns that it is done."""
    principal, _ = served.person("Engineer", "engineer")
    grant = (
        served.ws.access.request_grant(
            principal=principal, role="approver", in_env="production", reason="r", by="Engineer"
        )
        .facts[0]
        .grant
    )
    gate = threading.Barrier(2)

    def approve(_: int) -> int:
        gate.wait()
        return served.call.post("/v1/access/approve-grant", {"grant": grant}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(approve, range(2))) == [201, 409]


def test_many_writers_at_once_lose_nothing(served):
    """Twenty commands from four threads give twenty entries with dense indexes."""
    before = served.ws.stores.entries.size()

    def register(number: int) -> int:
        return served.call.post(REGISTER, {"kind": "person", "name": f"Person {number}"}).json()["entries"][0]["index"]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(register, range(20))) == list(range(before, before + 20))


@pytest.mark.parametrize(
    "path",
    ["model.txt", "../model.txt", "/etc/passwd", "file:///etc/passwd", "sha256:abc", "sha256:" + "0" * 64 + "/.."],
)
def test_the_server_reads_no_paths(served, path):
    """A path field takes the digest of an uploaded object and nothing else."""
    _, engineer = served.person("Engineer", "engineer")
    body = served.call.app.openapi()["paths"]["/v1/registry/register"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    answer = engineer.post("/v1/registry/register", body["example"] | {"artifact": path})
    assert "no paths" in problem(answer, 400, "invalid")["detail"]


def test_attachments_are_uploaded_first(served):
    """A rules text is proposed by its digest; one that is absent, or of another length or kind, is refused."""
    text = served.ws.stores.objects.open(served.call.get("/v1/access/rules").json()["in_force"]).read() + b"# again\n"
    stored = served.call("PUT", "/v1/objects", content=text).json()
    good = stored | {"type": "application/yaml", "kind": "rules"}

    def propose(given: dict[str, Any]) -> Any:
        return served.call.post("/v1/access/propose-rules", {"text": given, "reason": "a comment"})

    problem(propose(good | {"bytes": 3}), 400, "invalid")
    problem(propose(good | {"kind": "model"}), 400, "invalid")
    problem(propose(good | {"digest": "sha256:" + "0" * 64}), 404, "not-found")
    problem(propose({"digest": stored["digest"]}), 400, "invalid")
    assert propose(good).status_code == 201


def test_the_secret_of_a_key_is_shown_once_and_logged_never(served, caplog):
    """The result of a measure is in the answer and nowhere else."""
    caplog.set_level(logging.DEBUG)
    expires = "2026-02-01T00:00:00.000Z"
    body = {"principal": served.made.admin.principal, "for_env": "production", "expires": expires}
    answer = served.call.post("/v1/access/issue-key", body)
    secret = answer.json()["result"]["key"]
    assert served.call.as_(secret).get("/v1/access/grants").status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert secret not in caplog.text + str([getattr(r, "fields", "") for r in caplog.records])
    index = answer.json()["entries"][0]["index"]
    assert secret.split("_", 3)[3] not in served.call.get(f"/v1/log/entries/{index}").text


def test_queries_answer_by_get_and_by_post(served):
    """Both spellings give the same answer; times of a query string may be days."""
    url, query = "/v1/access/who-can", {"action": "access.approve"}
    rows = served.call.get(url, params=query).json()
    assert rows == served.call.post(url, query).json()
    assert [r["principal"] for r in rows] == [served.made.admin.principal]
    assert served.call.get(url, params=query | {"at": "2026-01-06"}).json() == rows
