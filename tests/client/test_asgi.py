"""The middleware: what it records, what it adds, and what it does not let out."""

from __future__ import annotations

import asyncio
import json

import pytest
from spool_reader import stream, streams

from affidavit.client.asgi import RecorderMiddleware
from affidavit.streams.passport import Condition, Routing
from affidavit.streams.receipts import check_receipt

RULE = Routing("018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d", "reviewer", (Condition("out", "below", "0.4"),))


def read(asked, answered):
    if "score" not in answered:
        return None
    return {"inputs": asked["inputs"], "output": answered["score"], "caller": asked.get("caller")}


def app(answer, *, status=200, kind=b"application/json", chunks=1):
    async def run(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        found = answer(json.loads(body)) if callable(answer) else answer
        sent = found if isinstance(found, bytes) else json.dumps(found).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(sent))],
            }
        )
        step = -(-len(sent) // chunks)
        for n in range(chunks):
            part = sent[n * step : (n + 1) * step]
            await send({"type": "http.response.body", "body": part, "more_body": n + 1 < chunks})

    return run


def call(middleware, asked, *, split=1):
    """Status, headers, body of a POST."""
    body, sent = json.dumps(asked).encode(), []
    step = -(-len(body) // split)
    parts = [
        {"type": "http.request", "body": body[n * step : (n + 1) * step], "more_body": n + 1 < split}
        for n in range(split)
    ]

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(middleware({"type": "http"}, receive, send))
    assert next(m["type"] for m in sent) == "http.response.start"
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m["body"] for m in sent[1:])


ASKED = {"inputs": {"a": 1.0}, "caller": "portal"}


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_json_decision_is_recorded_and_named(chunks, spool, open_recorder):
    """The header names the row; the receipt is the stream's; body and status are the application's."""
    middleware = RecorderMiddleware(app({"score": 0.7}, chunks=chunks), open_recorder(receipts=True), read)
    status, headers, body = call(middleware, ASKED, split=chunks)
    found = stream(spool)
    assert (status, json.loads(body), int(headers["content-length"])) == (200, {"score": 0.7}, len(body))
    assert found.ids == [headers["x-decision-id"]]
    assert check_receipt(headers["x-decision-receipt"], found.opened.opening.key).id == headers["x-decision-id"]
    assert (found.rows[0]["out"], found.rows[0]["caller"]) == (0.7, "portal")


OTHERS = {
    "an error": app({"score": 0.7}, status=404), "a page": app(b"<p>", kind=b"text/html"), "no decision": app({"ok": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_answers_pass_unchanged(name, spool, open_recorder):
    """Nothing is recorded or added."""
    _, headers, body = call(RecorderMiddleware(OTHERS[name], open_recorder(), read), ASKED)
    assert set(headers) == {"content-type", "content-length"}
    assert len(body) == int(headers["content-length"])
    assert streams(spool) == []


def test_what_cannot_be_recorded_does_not_leave(spool, open_recorder):
    """503 with the way out, and not a word of the model's output; the next one goes through once there is room."""
    rec = open_recorder(policy={"spool_bytes": 2_000})
    middleware = RecorderMiddleware(app({"score": 0.7, "secret": "s"}), rec, read)
    answers = [call(middleware, ASKED) for _ in range(6)]
    status, headers, body = answers[-1]
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert b"secret" not in body
    assert "seal" in json.loads(body)["next_step"]
    assert len(stream(spool).rows) == sum(s == 200 for s, _, _ in answers)


def test_a_policy_that_counts_lets_it_leave_without_a_name(open_recorder):
    """Served, missed and counted: no id in the header."""
    rec = open_recorder(policy={"spool_bytes": 2_000, "on_full": "count"})
    answers = [call(RecorderMiddleware(app({"score": 0.7}), rec, read), ASKED) for _ in range(6)]
    assert {s for s, _, _ in answers} == {200}
    assert sum("x-decision-id" not in h for _, h, _ in answers) == rec.missed > 0


@pytest.mark.parametrize("answer", [{"score": "high"}, b"{not json"])
def test_a_decision_that_does_not_fit_is_no_answer(answer, open_recorder):
    """500: a fault of the wiring, and nothing leaves."""
    rec = open_recorder(schema={"a": float}, output=float)
    status, _, body = call(RecorderMiddleware(app(answer), rec, read), ASKED)
    assert (status, json.loads(body)["status"]) == (500, 500)
    assert b"high" not in body or b"is not a number" in body


def test_a_held_decision_waits_for_a_person(spool, open_recorder):
    """202 with the id, without the output."""
    middleware = RecorderMiddleware(
        app(lambda asked: {"score": asked["inputs"]["a"]}), open_recorder(routing=RULE), read
    )
    assert call(middleware, {"inputs": {"a": 0.5}})[0] == 200
    status, headers, body = call(middleware, {"inputs": {"a": 0.3}})
    assert (status, json.loads(body)) == (202, {"decision": headers["x-decision-id"], "held": True})
    assert len(stream(spool).rows) == 2


def test_other_protocols_pass(open_recorder):
    """Lifespan and websockets are handed on."""
    seen = []

    async def other(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(RecorderMiddleware(other, open_recorder(), read)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
