"""The outermost layer: request ids, security headers, the Host check, the operational log, no leaked traces."""

from __future__ import annotations

import logging
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from affidavit.api import oplog
from affidavit.api.problems import Misdirected, answer, plain

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Wraps the application. ``hosts`` lists the host names it answers for; empty takes any."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = ()) -> None:
        self._app, self._hosts = app, {h.lower() for h in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan events pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = str(uuid.uuid4())
        began, status = time.monotonic(), 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                dress(MutableHeaders(scope=message), state["request_id"])
            await send(message)

        try:
            await self._serve(scope, receive, dressed)
        except ClientDisconnect:
            status = status or 499
        except Exception as e:  # noqa: BLE001 - no trace leaves the process, none brings it down
            oplog.note(logging.ERROR, "failed", request=state["request_id"], **oplog.failure(e))
            if not status:
                await plain(500, f"urn:uuid:{state['request_id']}")(scope, receive, dressed)
        finally:
            self._log(scope, status, time.monotonic() - began)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hosts and host_of(Headers(scope=scope).get("host", "")) not in self._hosts:
            scope["state"]["problem"] = error = Misdirected(
                "the Host header names another server.", next_step="add the name with --allowed-host."
            )
            await answer(error, f"urn:uuid:{scope['state']['request_id']}")(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @staticmethod
    def _log(scope: Scope, status: int, took_s: float) -> None:
        state = scope["state"]
        oplog.note(
            logging.INFO, "request", request=state["request_id"], method=scope["method"], route=state.get("route"),
            status=status, ms=round(took_s * 1000, 1), principal=state.get("principal"),
            **oplog.problem_fields(state.get("problem")),
        )  # fmt: skip


def dress(headers: MutableHeaders, request_id: str) -> None:
    """The headers every answer carries; an answer that says nothing of caching is not stored."""
    headers.setdefault("cache-control", "no-store")
    headers["x-request-id"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def host_of(header: str) -> str:
    """The host name of a Host header, without its port: ``[::1]:8765`` gives ``[::1]``."""
    if header.startswith("["):
        return header.partition("]")[0].lower() + "]"
    return header.partition(":")[0].lower().rstrip(".")
