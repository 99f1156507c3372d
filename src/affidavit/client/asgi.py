"""ASGI middleware: each JSON decision of an application is recorded before it leaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from affidavit.client.recorder import Recorder
from affidavit.core.errors import Invalid, StoreDown

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Read = Callable[[Any, Any], dict[str, Any] | None]
LIMIT = 16 << 20
"""Longest body, bytes, that is read for a decision; a longer answer is refused."""


class RecorderMiddleware:
    """Records what ``read(request_json, response_json)`` makes of a call: arguments of ``record``, or None for no decision.

    The answer gets ``X-Decision-Id`` and, with receipts, ``X-Decision-Receipt``. What cannot be recorded does not leave:
    503 when disk or spool is full and the policy refuses, 500 for a value that does not fit. A decision that the routing
    rule holds is answered 202 without its output. Other answers than successful JSON pass through.
    """

    def __init__(self, app: Callable[[Any, Receive, Send], Awaitable[None]], recorder: Recorder, read: Read) -> None:
        self._app, self._recorder, self._read = app, recorder, read

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = bytearray()

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(asked) <= LIMIT:
                asked.extend(message.get("body", b""))
            return message

        await self._app(scope, listen, _Answer(self, send, asked).send)

    def decide(self, asked: bytes, body: bytes) -> tuple[int | None, list[tuple[bytes, bytes]], bytes]:
        """``(status or None to keep it, headers to add, body)`` of an answer."""
        try:
            arguments = self._read(_json(asked), _json(body))
            if arguments is None:
                return None, [], body
            found = self._recorder.record(**arguments)
        except StoreDown as e:
            return _problem(503, "the decision cannot be recorded", e)
        except Invalid as e:
            return _problem(500, "the decision does not fit its record", e)
        headers = []
        if found.id is not None:
            headers.append((b"x-decision-id", found.id.encode()))
            if (receipt := found.receipt()) is not None:
                headers.append((b"x-decision-receipt", receipt.encode()))
        if found.held:
            return 202, headers, json.dumps({"decision": found.id, "held": True}).encode()
        return None, headers, body


class _Answer:
    """Keeps a JSON answer back until its decision is recorded."""

    def __init__(self, owner: RecorderMiddleware, send: Send, asked: bytearray) -> None:
        self._owner, self._send, self._asked = owner, send, asked
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _decides(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body.extend(message.get("body", b""))
            if len(self._body) > LIMIT or len(self._asked) > LIMIT:
                says = Invalid(f"a body over {LIMIT} bytes.", next_step="record it in the application.")
                await self._leave(*_problem(500, "the decision is too long to be recorded", says))
            elif not message.get("more_body", False):
                await self._leave(*self._owner.decide(bytes(self._asked), bytes(self._body)))

    async def _leave(self, status: int | None, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        start = self._start
        if start is None or start.get("status") is None:
            return
        kept = [(k, v) for k, v in start.get("headers", ()) if k.lower() != b"content-length"]
        if status is not None:
            kept = [(k, v) for k, v in kept if k.lower() != b"content-type"]
            kind = b"application/problem+json" if status >= 500 else b"application/json"
            kept.append((b"content-type", kind))
        length = (b"content-length", str(len(body)).encode())
        self._start = {"type": "http.response.start", "status": None}
        await self._send({**start, "status": status or start["status"], "headers": [*kept, *headers, length]})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _decides(start: Message) -> bool:
    kind = next((v for k, v in start.get("headers", ()) if k.lower() == b"content-type"), b"")
    media = kind.split(b";")[0].strip().lower()
    return 200 <= start["status"] < 300 and (media == b"application/json" or media.endswith(b"+json"))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise Invalid("a body is no JSON.", next_step="answer application/json with JSON alone.") from None


def _problem(status: int, title: str, error: StoreDown | Invalid) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Problem details (RFC 9457) instead of the answer."""
    body = {
        "type": "about:blank",
        "status": status,
        "title": title,
        "detail": error.problem,
        "next_step": error.next_step,
    }
    return status, [], json.dumps(body).encode()
