"""Errors over HTTP: each class of the tree has a status, each answer is RFC 9457 ``application/problem+json``."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from affidavit.core.errors import (
    AffidavitError,
    Busy,
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
    StoreDown,
    Tampered,
)

BASE = "https://affidavit.dev/problems/"
MEDIA_TYPE = "application/problem+json"
_LONGEST = 1000


class Unsigned(NotAllowed):
    """Nobody known is signed in: no API key, or one that opens nothing."""


class TooLarge(Invalid):
    """The body is longer than the server takes."""


class WrongMediaType(Invalid):
    """The body is not of the media type that the route reads."""


class Misdirected(Invalid):
    """The Host header names a server that this one is not."""


STATUS: dict[type[AffidavitError], tuple[int, str, str]] = {
    Unsigned: (401, "unsigned", "Nobody is signed in"),
    TooLarge: (413, "too-large", "The body is too large"),
    WrongMediaType: (415, "wrong-media-type", "The media type is not read here"),
    Misdirected: (421, "misdirected", "The request is for another host"),
    Invalid: (400, "invalid", "The input cannot mean anything"),
    NotAllowed: (403, "not-allowed", "The permission is missing"),
    NotFound: (404, "not-found", "Nothing has this name"),
    Refused: (409, "refused", "A rule refused it"),
    Busy: (503, "busy", "Another writer is at work"),
    StoreDown: (503, "store-down", "A store failed"),
    Tampered: (500, "tampered", "Stored bytes are not those committed to"),
    AffidavitError: (500, "internal", "The server failed"),
}
"""Status, last part of the problem type, title; an error takes the entry of its nearest class."""

RETRY_AFTER_S = {Busy: "1", StoreDown: "30"}


def status_of(error: AffidavitError) -> tuple[int, str, str]:
    """Status, problem type and title of an error, by its class."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def body_of(error: AffidavitError, instance: str | None = None) -> dict[str, Any]:
    """The problem document of an error. What a failed store said stays in the operational log."""
    status, kind, title = status_of(error)
    hidden = isinstance(error, StoreDown) or type(error) is AffidavitError
    body: dict[str, Any] = {
        "type": BASE + kind,
        "title": title,
        "status": status,
        "detail": "nothing was acknowledged; the server's log says more." if hidden else _short(error.problem),
        "next": "send the same Idempotency-Key again later." if hidden else _short(error.next_step),
    }
    if isinstance(error, Refused):
        body |= {"code": error.code, "controls": list(error.controls)}
    return body | ({"instance": instance} if instance else {})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def respond(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem document as an answer."""
    return Response(json.dumps(body, sort_keys=True), body["status"], headers, MEDIA_TYPE)


def answer(error: AffidavitError, instance: str | None = None) -> Response:
    """The answer to an error, with the headers its class asks for."""
    headers = next(({"retry-after": s} for cls, s in RETRY_AFTER_S.items() if isinstance(error, cls)), {})
    if isinstance(error, Unsigned):
        headers["www-authenticate"] = "Bearer"
    return respond(body_of(error, instance), headers)


def plain(status: int, instance: str | None = None, headers: dict[str, str] | None = None) -> Response:
    """The problem of a bare HTTP status (a route that is not there, a method it does not take)."""
    phrase = HTTPStatus(status).phrase
    body = {
        "type": BASE + phrase.lower().replace(" ", "-"),
        "title": phrase,
        "status": status,
        "detail": _DETAILS.get(status, phrase + "."),
        "next": _NEXT.get(status, "see /openapi.json."),
    }
    return respond(body | ({"instance": instance} if instance else {}), headers)


_DETAILS = {
    404: "there is no such route.",
    405: "the route does not take this method.",
    500: "the server failed; nothing was acknowledged.",
}
_NEXT = {
    404: "/openapi.json lists the routes.",
    405: "the Allow header lists what it takes.",
    500: "report it with the value of `instance`.",
}


def instance_of(request: Request) -> str | None:
    """How the operational log names this request."""
    found = request.scope.get("state", {}).get("request_id")
    return f"urn:uuid:{found}" if found else None


async def on_error(request: Request, error: Exception) -> Response:
    """Handler of the error tree."""
    known = error if isinstance(error, AffidavitError) else AffidavitError("the server failed.")
    request.scope.setdefault("state", {})["problem"] = known
    return answer(known, instance_of(request))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of the framework's own errors."""
    if not isinstance(error, HTTPException):
        return plain(422, instance_of(request))
    return plain(error.status_code, instance_of(request), dict(error.headers or {}))
