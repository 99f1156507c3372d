"""The published log as static tlog-tiles, its entries and receipts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from affidavit.api import incoming
from affidavit.api.rows import json_answer, record_row
from affidavit.core.area import Who
from affidavit.core.errors import Invalid, NotFound
from affidavit.ledger.tiles import parse_path
from affidavit.service.workspace import Workspace

Part = Literal["checkpoint", "tile", "entry", "bytes", "receipt"]
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}


def router(workspace: Workspace) -> APIRouter:
    """Everything below ``/v1/log``. Reading needs ``audit.read``; publishing early needs a sign-in only."""
    made = APIRouter(prefix="/v1/log", redirect_slashes=False)

    async def read(request: Request, part: Part, text: str, route: str) -> Response:
        request.scope["state"]["route"] = f"/v1/log/{route}"
        who = await incoming.signed_in(request, workspace)
        incoming.only(request, *(("form",) if route == "entries/{index}" else ()))
        return await run_in_threadpool(_read, workspace, part, text, who)

    @made.get("/checkpoint", include_in_schema=False)
    async def checkpoint(request: Request) -> Response:
        return await read(request, "checkpoint", "", "checkpoint")

    @made.get("/tile/{path:path}", include_in_schema=False)
    async def tile(request: Request, path: str) -> Response:
        return await read(request, "tile", path, "tile/{path}")

    @made.get("/entries/{index}", include_in_schema=False)
    async def entry(request: Request, index: str) -> Response:
        form = incoming.single(request.query_params.getlist("form"), "form", "record")
        if form not in ("record", "bytes"):
            raise Invalid(f"form: {form[:40]!r} is none of record, bytes.", next_step="correct form.")
        return await read(request, "bytes" if form == "bytes" else "entry", index, "entries/{index}")

    @made.get("/receipts/{index}", include_in_schema=False)
    async def receipt(request: Request, index: str) -> Response:
        return await read(request, "receipt", index, "receipts/{index}")

    @made.post("/publish", include_in_schema=False)
    async def publish(request: Request) -> Response:
        request.scope["state"]["route"] = "/v1/log/publish"
        await incoming.signed_in(request, workspace)
        incoming.only(request)
        done = await run_in_threadpool(workspace.publish)
        return json_answer({"size": done.size, "grew": done.grew, "checkpoint": done.checkpoint.decode()})

    return made


def _read(workspace: Workspace, part: Part, text: str, who: Who) -> Response:
    workspace.executor.permit(who, "audit.read")
    if part == "checkpoint":
        return Response(workspace.stores.tiles.get("checkpoint"), media_type=TEXT)
    if part == "tile":
        return Response(workspace.stores.tiles.get(tile_path(text)), 200, FOREVER, BYTES)
    index = incoming.index_of(text)
    if part == "receipt":
        return Response(workspace.receipt(index), media_type=TEXT)
    if part == "entry":
        return json_answer(record_row(workspace.record(index)))
    return Response(entry_bytes(workspace, index), media_type=BYTES)


def tile_path(text: str) -> str:
    """The path of a tile below the log: only the one spelling of a computed path reaches the store."""
    try:
        return parse_path(f"tile/{text}").path
    except Invalid:
        raise Invalid(f"{text[:80]!r} is not the path of a tile.", next_step="compute it by C2SP tlog-tiles.") from None


def entry_bytes(workspace: Workspace, index: int) -> bytes:
    """The canonical bytes of an entry: what its leaf hash covers. Raises ``NotFound``."""
    for body in workspace.stores.entries.entries(index, index + 1):
        return body
    raise NotFound(f"no entry {index}.", next_step="give a smaller index.")
