"""The OpenAPI 3.1 document, generated from the declarations of the areas."""

from __future__ import annotations

from typing import Any

from affidavit import __version__
from affidavit.api.derived import WAITS, offered
from affidavit.api.problems import BASE, MEDIA_TYPE, STATUS
from affidavit.api.rows import DOCUMENT
from affidavit.api.schemas import Schema, Schemas, example_of
from affidavit.core.area import Query, Request, Streamed
from affidavit.core.fields import Attachment, Digest, Id
from affidavit.service.workspace import Workspace

_DESCRIPTION = (
    "Commands and measures are POST, queries GET or POST. Every command takes an Idempotency-Key: sending the same"
    " command again under the same key gives the same entries. Errors are application/problem+json (RFC 9457)."
)
_JSON_BODY = (400, 401, 403, 404, 409, 413, 415, 421, 500, 503)
_READ = (400, 401, 403, 404, 421, 500, 503)
_ENTRIES: Schema = {"type": "array", "items": {"type": "object"}}
OUTCOME: Schema = {
    "type": "object",
    "required": ["command", "repeated", "entries"],
    "properties": {
        "command": {"type": "string", "description": "the id of the command: send it again to repeat it safely"},
        "repeated": {"type": "boolean", "description": "true if the command was accepted before under this id"},
        "entries": _ENTRIES,
        "accepted": {
            "type": "string",
            "description": "signed note over the last entry: the promise to publish it; absent without entries",
        },
        "published": {"type": "boolean", "description": "with wait=published: whether it is published by now"},
        "result": {"description": "what a measure gives back; stored nowhere; a document as name, type, facts, body"},
    },
}
DOCUMENT_SCHEMA: Schema = {
    "type": "object",
    "required": ["name", "type", "facts", "body"],
    "properties": {
        "name": {"type": "string"},
        "type": {"type": "string", "description": "the media type of the bytes"},
        "facts": {"type": "object"},
        "body": {"type": "string", "contentEncoding": "base64"},
    },
}
PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "next"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": [BASE + "refused"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was wrong, with which value"},
        "next": {"type": "string", "description": "what to do next"},
        "code": {"type": "string", "description": "the rule that refused"},
        "controls": {"type": "array", "items": {"type": "string"}},
        "instance": {"type": "string", "description": "how the server's log names the request"},
    },
}


def document(workspace: Workspace) -> dict[str, Any]:
    """The whole document; a new command appears by itself."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for area, verb, cls in offered(workspace):
        paths[f"/v1/{area}/{verb}"] = _derived(schemas, area, verb, cls)
    schemas.of(Attachment)
    paths |= _fixed(schemas)
    tags = [{"name": a.name, "description": a.summary} for a in workspace.catalog.areas.values()]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Affidavit", "version": __version__, "description": _DESCRIPTION},
        "tags": [*tags, {"name": "objects"}, {"name": "log"}, {"name": "audit"}, {"name": "server"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "afk_ENV_ID_SECRET"}},
            "schemas": {**schemas.parts, "Outcome": OUTCOME, "Problem": PROBLEM},
        },
    }


def _derived(schemas: Schemas, area: str, verb: str, cls: type[Request]) -> Schema:
    body = schemas.of_class(cls)
    name = f"{area}_{verb.replace('-', '_')}"
    shared: Schema = {
        "tags": [area],
        "summary": cls.summary(),
        "description": f"Needs the permission `{cls.permission}`.",
    }
    content = {"application/json": {"schema": body, "example": example_of(body, schemas.parts)}}
    post = shared | {"operationId": name, "requestBody": {"required": True, "content": content}}
    if issubclass(cls, Streamed):
        return {"post": post | {"responses": {"200": _streamed(), **problems(*_JSON_BODY)}}}
    if issubclass(cls, Query):
        answers = {"200": _json("The answer", {}), **problems(*_JSON_BODY)}
        get = shared | {"operationId": name, "parameters": _parameters(body), "responses": answers}
        return {"get": get, "post": post | {"operationId": name + "_post", "responses": answers}}
    answers = {
        "201": _outcome("Accepted: new entries"), "200": _outcome("Accepted before under this Idempotency-Key, or nothing to record"),
        "202": _outcome("Accepted, and not published yet"), **problems(*_JSON_BODY),
    }  # fmt: skip
    key = _parameter("Idempotency-Key", "header", schemas.of(Id), "the id of the command: one UUID, kept for retries")
    wait = _parameter("wait", "query", {"type": "string", "enum": list(WAITS)}, "answer now, or once it is published")
    return {"post": post | {"parameters": [key, wait], "responses": answers}}


def _parameters(body: Schema) -> list[Schema]:
    return [
        _parameter(n, "query", s, s.get("description", n), required=n in body.get("required", []))
        for n, s in body["properties"].items()
    ]


def _parameter(name: str, place: str, schema: Schema, says: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": place, "required": required, "schema": schema, "description": says}


def _json(says: str, schema: Schema) -> Schema:
    return {"description": says, "content": {"application/json": {"schema": schema}}}


def _streamed() -> Schema:
    """A JSON answer, or a document: its bytes under their own media type, what it says in ``Document-Facts``."""
    content = {"application/json": {"schema": {}}, DOCUMENT: {"schema": DOCUMENT_SCHEMA}, "*/*": {"schema": {}}}
    text: Schema = {"schema": {"type": "string"}}
    headers = {
        "Content-Disposition": text | {"description": "the name of a document"},
        "Document-Facts": text | {"description": "what a document says in short, as JSON"},
    }
    return {"description": "The answer, or a document", "content": content, "headers": headers}


def _outcome(says: str) -> Schema:
    location = {"description": "the first entry", "schema": {"type": "string"}}
    return _json(says, {"$ref": "#/components/schemas/Outcome"}) | {"headers": {"Location": location}}


def problems(*statuses: int) -> dict[str, Schema]:
    """The responses for error statuses."""
    titles = {status: title for status, _, title in STATUS.values()}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(s): {"description": titles[s], "content": content} for s in statuses}


def _fixed(schemas: Schemas) -> dict[str, Any]:
    """The hand-written routes: streams, the published log, assessments, the server itself."""
    digest, index = schemas.of(Digest), {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_999_999}
    stored = {"type": "object", "properties": {"digest": digest, "bytes": {"type": "integer"}}}
    upload = _route("objects", "Store a stream of bytes under its digest", {"201": _json("Stored", stored)}, 413, 415)
    raw = {"application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}}
    at = _parameter("index", "path", index, "index of the entry", required=True)
    path = _parameter("path", "path", {"type": "string"}, "`0/000`, `entries/000.p/12`", required=True)
    form = _parameter("form", "query", {"type": "string", "enum": ["record", "bytes"]}, "a record, or its exact bytes")
    day = {"type": "string", "examples": ["2026-01-01"]}
    period = [
        _parameter("from", "query", day, "first day or time of the period", required=True),
        _parameter("to", "query", day, "end of the period, exclusive", required=True),
        _parameter("as_of", "query", index, "the ledger as it stood at this size"),
        _parameter("control", "query", {"type": "array", "items": {"type": "string"}}, "only these controls"),
    ]
    control = _parameter("control", "path", {"type": "string", "examples": ["AI-01.2"]}, "its id", required=True)
    get = _parameter("digest", "path", digest, "of an object", required=True)
    return {
        "/v1/objects": {"put": upload | {"requestBody": {"required": True, "content": raw}}},
        "/v1/objects/{digest}": {"get": _route("objects", "A stored object, verified", {"200": _bytes()}, of=[get])},
        "/v1/log/checkpoint": {"get": _route("log", "The signed checkpoint", {"200": _text()})},
        "/v1/log/tile/{path}": {
            "get": _route("log", "A tile or entry bundle (C2SP tlog-tiles)", {"200": _bytes()}, of=[path])
        },
        "/v1/log/entries/{index}": {
            "get": _route("log", "An entry", {"200": _json("The entry", {"type": "object"})}, of=[at, form])
        },
        "/v1/log/receipts/{index}": {
            "get": _route("log", "The proof that an entry is in the log", {"200": _text()}, of=[at])
        },
        "/v1/log/publish": {"post": _route("log", "Publish what was accepted, now", {"200": _json("The head", {})})},
        "/v1/audit/assess": {
            "get": _route("audit", "Test the controls over a period", {"200": _json("Findings", {})}, of=period)
        },
        "/v1/audit/controls": {"get": _route("audit", "The control library", {"200": _json("Controls", {})})},
        "/v1/audit/drill/{control}": {
            "post": _route(
                "audit",
                "Play a control's known-bad case",
                {"201": _json("Whether it was caught", {})},
                409,
                of=[control],
            )
        },
        "/health": {
            "get": _route("server", "Whether it serves and publishes", {"200": _json("Well", {})}) | {"security": []}
        },
        "/openapi.json": {
            "get": _route("server", "This document", {"200": _json("The document", {})}) | {"security": []}
        },
    }


def _route(tag: str, summary: str, answers: dict[str, Schema], *more: int, of: list[Schema] | None = None) -> Schema:
    name = "_".join(w for w in "".join(c if c.isalnum() else " " for c in summary.lower()).split())
    row: Schema = {"tags": [tag], "summary": summary, "operationId": f"{tag}_{name}"}
    return row | {"responses": answers | problems(*sorted({*_READ, *more}))} | ({"parameters": of} if of else {})


def _text() -> Schema:
    return {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}


def _bytes() -> Schema:
    return {"description": "Bytes", "content": {"application/octet-stream": {"schema": {}}}}
