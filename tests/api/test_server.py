"""What surrounds the routes: problems, headers, uploads, the published log, the publisher, the log of operation."""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import json
import logging
import pkgutil
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import affidavit
import affidavit.api
from affidavit.api import Options, create_app, derived, oplog, problems
from affidavit.api import rows as api_rows
from affidavit.api.background import Publisher
from affidavit.api.incoming import Upload
from affidavit.cli import show
from affidavit.core import errors
from affidavit.core.errors import AffidavitError, Invalid, StoreDown
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.tiles import decode_bundle

REGISTER = "/v1/access/register-principal"
JANE = {"kind": "person", "name": "Jane Doe"}


def every_error() -> set[type[AffidavitError]]:
    for found in pkgutil.walk_packages(affidavit.__path__, "affidavit."):
        if not found.name.startswith(("affidavit.areas.", "affidavit.demo", "affidavit.evidence")):
            importlib.import_module(found.name)
    found, left = set(), [AffidavitError]
    while left:
        cls = left.pop()
        found.add(cls)
        left += cls.__subclasses__()
    return found


def test_each_error_class_has_a_status():
    """Every class of the tree is named in the table, its subclasses take the nearest; types are unique and titled."""
    tree = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, AffidavitError)}
    assert tree <= set(problems.STATUS)
    made = {
        c: (c("code", "p", next_step="n") if issubclass(c, errors.Refused) else c("p", next_step="n")) for c in tree
    }
    for cls, error in made.items():
        body = problems.body_of(error)
        assert (body["status"], body["type"]) == (problems.STATUS[cls][0], problems.BASE + problems.STATUS[cls][1])
    for cls in every_error():
        assert any(c in problems.STATUS and c is not AffidavitError for c in cls.__mro__) or cls is AffidavitError
    kinds = [kind for _, kind, _ in problems.STATUS.values()]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (errors.Busy("another thread writes.", next_step="retry."), 503, "1"),
        (StoreDown("/srv/ledger.db: disk full.", next_step="free some space."), 503, "30"),
        (errors.Tampered("sha256:… was changed.", next_step="restore it."), 500, None),
        (ValueError("the secret is plugh-xyzzy"), 500, None),
        (RecursionError(), 500, None),
    ],
)
def test_failures_say_what_to_do_and_nothing_of_the_inside(served, monkeypatch, caplog, error, status, retry):
    """A busy store asks for patience, a broken one hides its paths, an unforeseen exception shows neither trace nor text."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(type(served.ws), "do", fail)
    caplog.set_level(logging.INFO, "affidavit.api")
    answer = served.call.post(REGISTER, JANE)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert not [w for w in ("/srv", "plugh-xyzzy", "Traceback", ".py") if w in answer.text]
    instance = answer.json()["instance"].removeprefix("urn:uuid:")
    assert instance == answer.headers["x-request-id"]
    logged = [r.fields for r in caplog.records]
    assert all(row["request"] == instance for row in logged)
    assert "plugh-xyzzy" not in str(logged)
    assert served.call.get("/health").status_code == 200


def test_the_outcome_is_that_of_the_command_line(served):
    """One shape for both doors."""
    done = served.ws.access.register_principal(kind="person", name="Jane")
    assert api_rows.done_row(done) == show.done_row(done)
    assert api_rows.record_row(served.ws.record(0)) == show.record_row(served.ws.record(0))


def test_every_answer_carries_the_security_headers(served):
    """Answers are not sniffed, not framed, not stored, and name no server; no other origin is let in."""
    for method, url in (("GET", "/health"), ("GET", "/nothing"), ("GET", "/v1/access/grants"), ("OPTIONS", REGISTER)):
        headers = served.call(method, url, headers={"origin": "https://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert not {"server", "x-powered-by", "access-control-allow-origin", "set-cookie"} & set(headers)


def test_only_the_named_hosts_are_answered(serve):
    """A page that lets its own name point here gets 421."""
    call = serve(hosts=("localhost", "[::1]")).call
    assert call.get("/health").status_code == 200
    assert call.get("/health", headers={"host": "LOCALHOST:8765"}).status_code == 200
    assert call.get("/health", headers={"host": "[::1]:8765"}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "", "127.0.0.1"):
        answer = call.get("/v1/access/grants", headers={"host": host})
        assert (answer.status_code, answer.headers["content-type"]) == (421, problems.MEDIA_TYPE)


def test_no_module_of_the_server_knows_telemetry_or_another_origin():
    """The API loads nothing from elsewhere and reports to nobody."""
    for path in Path(affidavit.api.__file__).parent.glob("*.py"):
        words = [
            n.value
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        assert all(w == problems.BASE for w in words if w.startswith(("http:", "https:"))), path


# -- uploads --------------------------------------------------------------------------------------------------------


def test_a_large_upload_is_streamed(served):
    """200 MB pass through with a few megabytes of memory, and come back under their digest."""
    piece, count = bytes(1 << 20), 200

    async def stream() -> Any:
        for _ in range(count):
            yield piece

    tracemalloc.start()
    answer = served.call("PUT", "/v1/objects", content=stream(), timeout=120)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    state = hashlib.sha256()
    for _ in range(count):
        state.update(piece)
    assert answer.json() == {"digest": "sha256:" + state.hexdigest(), "bytes": count << 20}
    assert answer.status_code == 201
    assert peak < 20 << 20, f"{peak >> 20} MiB"


def test_an_upload_beyond_the_limit_leaves_nothing(serve):
    """Declared or found out on the way: 413, and no object."""
    served = serve(object_limit=1000)

    async def stream() -> Any:
        for _ in range(3):
            yield bytes(400)

    assert served.call("PUT", "/v1/objects", content=bytes(1000)).status_code == 201
    stored = list(served.ws.stores.objects.list())
    assert served.call("PUT", "/v1/objects", content=bytes(1001)).status_code == 413
    assert served.call("PUT", "/v1/objects", content=stream()).status_code == 413
    assert served.call("PUT", "/v1/objects", content=b"x", headers={"content-encoding": "gzip"}).status_code == 415
    assert list(served.ws.stores.objects.list()) == stored


def test_an_upload_that_breaks_off_leaves_nothing(served, portal):
    """The client goes away in the middle: no object, no answer, and the server serves on."""
    stored, sent = list(served.ws.stores.objects.list()), []
    key = (served.call.key or "").encode()
    scope = {"type": "http", "method": "PUT", "path": "/v1/objects", "raw_path": b"/v1/objects", "query_string": b"",
             "headers": [(b"authorization", b"Bearer " + key)], "http_version": "1.1", "scheme": "http"}  # fmt: skip
    messages = iter([{"type": "http.request", "body": bytes(1000), "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    portal.call(served.call.app, scope, receive, send)
    assert sent == []
    assert list(served.ws.stores.objects.list()) == stored
    assert served.call("PUT", "/v1/objects", content=b"").json()["bytes"] == 0


def test_an_upload_that_stalls_loses_its_turn(served, monkeypatch):
    """Slow senders do not keep others from uploading: 400, and no object."""
    import anyio

    monkeypatch.setattr(Upload, "stall_s", 0.05)
    stored = list(served.ws.stores.objects.list())

    async def stream() -> Any:
        yield bytes(1000)
        await anyio.sleep(5)
        yield bytes(1000)

    answer = served.call("PUT", "/v1/objects", content=stream())
    assert (answer.status_code, answer.json()["type"]) == (400, problems.BASE + "invalid")
    assert list(served.ws.stores.objects.list()) == stored


def test_an_object_comes_back_verified(served, tmp_path):
    """The bytes of a digest, or nothing: a changed object is 500 before its first byte is sent."""
    digest = served.call("PUT", "/v1/objects", content=b"a model").json()["digest"]
    answer = served.call.get(f"/v1/objects/{digest}")
    assert (answer.content, answer.headers["content-type"]) == (b"a model", "application/octet-stream")
    assert answer.headers["content-disposition"].startswith("attachment")
    (path,) = [p for p in (tmp_path / "ws" / "objects").rglob("*") if p.is_file() and p.name in digest]
    path.chmod(0o600)
    path.write_bytes(b"a m0del")
    answer = served.call.get(f"/v1/objects/{digest}")
    assert (answer.status_code, answer.json()["type"]) == (500, problems.BASE + "tampered")


def test_an_upload_is_read_in_the_sizes_asked_for(portal):
    """The adapter is a file: short reads, the rest of a chunk, empty chunks, the end, again the end."""

    async def chunks() -> Any:
        for chunk in (b"abc", b"", b"de"):
            yield chunk

    async def read() -> list[bytes]:
        import anyio

        upload = Upload(aiter(chunks()), 10)
        assert upload.readable()
        return await anyio.to_thread.run_sync(
            lambda: [upload.read(2), upload.read(), upload.read(9), upload.read(), upload.read(1)]
        )

    assert portal.call(read) == [b"ab", b"c", b"de", b"", b""]


# -- the published log and assessments ------------------------------------------------------------------------------


def test_the_log_is_served_as_tiles(served):
    """Checkpoint, tiles, bundles, entries and receipts fit together as they do on disk."""
    served.call.post(REGISTER, JANE)
    head = served.call.post("/v1/log/publish").json()
    checkpoint = served.call.get("/v1/log/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.text == head["checkpoint"]
    opened = open_checkpoint(checkpoint.content, served.ws.stores.vkeys, origin=served.ws.stores.origin).checkpoint
    assert opened.size == head["size"] == served.ws.stores.entries.size()
    bundle = served.call.get(f"/v1/log/tile/entries/000.p/{opened.size}")
    hashes = served.call.get(f"/v1/log/tile/0/000.p/{opened.size}")
    assert bundle.headers["content-type"] == hashes.headers["content-type"] == "application/octet-stream"
    assert "immutable" in hashes.headers["cache-control"]
    bodies = decode_bundle(bundle.content, opened.size)
    assert b"".join(map(leaf_hash, bodies)) == hashes.content
    assert bodies[-1] == served.call.get(f"/v1/log/entries/{opened.size - 1}?form=bytes").content
    assert f"index {opened.size - 1}\n" in served.call.get(f"/v1/log/receipts/{opened.size - 1}").text


def test_reading_the_log_needs_a_permission(served):
    """Whoever holds no role at all, not even that of everybody, reads nothing; the denial is recorded."""
    from affidavit.core.area import Who

    stranger = Who("p-" + "9" * 32, "key", None, None)
    before = served.ws.stores.entries.size()
    for url in ("/v1/log/checkpoint", "/v1/log/entries/0", "/v1/objects/sha256:" + "0" * 64, "/v1/audit/controls"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(served.ws), "key_holder", lambda *_: stranger)
            assert served.call.get(url).status_code == 403
    assert served.ws.stores.entries.size() == before + 1


def test_controls_are_assessed_and_drilled(served):
    """An empty year is not evaluated and never passes; a drill is an entry and says whether it was caught."""
    controls = served.call.get("/v1/audit/controls").json()
    assert {"AI-01.2", "AI-01.3"} <= {c["id"] for c in controls}
    params = {"from": "2026-01-01", "to": "2027-01-01", "control": ["AI-01.2", "AI-01.3"]}
    findings = served.call.get("/v1/audit/assess", params=params).json()
    assert [f["control"] for f in findings] == ["AI-01.2", "AI-01.3"]
    assert all(f["headline"] == "not evaluated" for f in findings)
    drill = served.call.post("/v1/audit/drill/AI-01.3")
    assert drill.status_code == 201
    assert drill.json()["caught"] is True
    assert served.call.get(drill.headers["location"]).json()["data"]["control"] == "AI-01.3"
    _, engineer = served.person("Engineer", "engineer")
    assert engineer.post("/v1/audit/drill/AI-01.3").status_code == 403


# -- the publisher --------------------------------------------------------------------------------------------------


def until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def published_size(ws: Any) -> int:
    note = ws.stores.head.fetch(ws.stores.origin)
    return open_checkpoint(note, ws.stores.vkeys, origin=ws.stores.origin).checkpoint.size


def test_the_publisher_publishes_by_itself_and_a_last_time(served, portal):
    """Within its interval while it runs; what was accepted after its last round is published when it stops."""
    app = create_app(served.ws, Options(publish_every_s=0.05))

    async def live() -> None:
        import anyio

        async with app.router.lifespan_context(app):
            await anyio.to_thread.run_sync(lambda: served.ws.access.register_principal(kind="person", name="One"))
            size = served.ws.stores.entries.size()
            await anyio.to_thread.run_sync(lambda: until(lambda: published_size(served.ws) == size))
            app.state.publisher._stop.set()
            await anyio.to_thread.run_sync(app.state.publisher._thread.join)
            await anyio.to_thread.run_sync(lambda: served.ws.access.register_principal(kind="person", name="Two"))

    portal.call(live)
    assert published_size(served.ws) == served.ws.stores.entries.size()
    assert not [t for t in threading.enumerate() if t.name == "affidavit-publisher"]


def test_the_publisher_outlives_failures(served, monkeypatch, caplog):
    """It logs, slows down, shows in /health, and goes on once the store is back."""
    caplog.set_level(logging.INFO, "affidavit.api")
    publish, broken = type(served.ws).publish, threading.Event()
    broken.set()

    def sometimes(ws: Any) -> Any:
        if broken.is_set():
            raise StoreDown("the disk is full.", next_step="free some space.")
        return publish(ws)

    monkeypatch.setattr(type(served.ws), "publish", sometimes)
    publisher = Publisher(served.ws, 0.01, 60.0)
    served.call.app.state.publisher = publisher
    publisher.start()
    until(lambda: publisher.failures >= 2)
    assert served.call.get("/health").status_code == 503
    broken.clear()
    until(lambda: publisher.failures == 0)
    assert served.call.get("/health").json() == {"status": "ok"}
    publisher.stop()
    assert {"publish failed", "publishing again"} <= {r.getMessage() for r in caplog.records}
    assert served.call.get("/health").status_code == 503, "a dead publisher is not well"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_what_was_accepted_is_published_within_a_second(seconds):
    """No other interval is taken."""
    with pytest.raises(Invalid):
        Options(publish_every_s=seconds)


# -- the operational log --------------------------------------------------------------------------------------------


def test_the_operational_log_is_lines_of_json_without_secrets(served):
    """One object a line per request: who, what, how it ended; no key, no body, no query string."""
    out = io.StringIO()
    before = {
        n: (logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in ("affidavit.api", "uvicorn.error")
    }
    try:
        oplog.set_up(out)
        served.call.post(REGISTER, JANE)
        served.call.post(REGISTER, {"kind": "person", "name": "x\u0000Canary"})
        served.call.get("/v1/access/who-can?action=Canary&at=Canary")
        served.call.get("/v1/Canary%0a")
        served.call.as_("afk_production_Canary_Canary").get("/v1/access/grants")
        logging.getLogger("uvicorn.error").error("a line\nanother")
        try:
            raise ValueError("Canary")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("failed")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [r.get("status") for r in rows] == [201, 400, 400, 404, 401, None, None]
    assert rows[0]["principal"] == served.made.admin.principal
    assert rows[0]["route"] == REGISTER
    assert rows[6]["error"] == "ValueError"
    secret = (served.call.key or "").split("_", 3)[3]
    assert not [w for w in ("Canary", "Jane", secret) if w in out.getvalue()]


def test_derived_routes_need_no_list():
    """The application names no area and no verb."""
    source = Path(derived.__file__).read_text()
    assert not [a for a in ("access", "lineage", "registry", "fairness", "incidents") if f'"{a}' in source]
