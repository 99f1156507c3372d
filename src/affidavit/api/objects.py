"""Uploads and downloads of content-addressed objects, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import anyio
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from affidavit.api import incoming
from affidavit.api.rows import json_answer
from affidavit.core import digest as digests
from affidavit.core.area import Who
from affidavit.core.errors import Invalid
from affidavit.core.fields import Digest
from affidavit.service.workspace import Workspace

PATH = "/v1/objects"
AT_ONCE = 8
"""Uploads in progress; more wait, so that slow senders leave threads for commands."""


def router(workspace: Workspace, limit: int) -> APIRouter:
    """``PUT /v1/objects`` for anybody signed in, ``GET /v1/objects/{digest}`` with ``audit.read``."""
    made = APIRouter(redirect_slashes=False)
    turns = anyio.CapacityLimiter(AT_ONCE)

    @made.put(PATH, include_in_schema=False)
    async def upload(request: Request) -> Response:
        request.scope["state"]["route"] = PATH
        await incoming.signed_in(request, workspace)
        incoming.only(request)
        incoming.check_length(request, limit)
        source = incoming.Upload(aiter(request.stream()), limit)
        digest, size = await anyio.to_thread.run_sync(workspace.stores.objects.put, source.stream(), limiter=turns)
        return json_answer({"digest": digest, "bytes": size}, 201, {"location": f"{PATH}/{digest}"})

    @made.get(PATH + "/{digest}", include_in_schema=False)
    async def download(request: Request) -> Response:
        request.scope["state"]["route"] = PATH + "/{digest}"
        who = await incoming.signed_in(request, workspace)
        return await run_in_threadpool(_download, workspace, request.path_params["digest"], who)

    return made


def _download(workspace: Workspace, digest: str, who: Who) -> Response:
    """The object, once all its bytes were read and found to be those of its name."""
    workspace.executor.permit(who, "audit.read")
    pattern = incoming.pattern_of(Digest)
    if pattern is None or pattern.problem(digest):
        raise Invalid(f"{digest[:80]!r} is no digest.", next_step="give sha256: and 64 hexadecimal digits.")
    size = 0
    with workspace.stores.objects.open(digest) as source:
        for chunk in digests.verified_chunks(source, digest, digest):
            size += len(chunk)
    headers = {
        "content-length": str(size),
        "content-disposition": f'attachment; filename="{digest.removeprefix("sha256:")}"',
        "cache-control": "private, no-store",
    }
    source = workspace.stores.objects.open(digest)
    return StreamingResponse(_chunks(source, digest), 200, headers, "application/octet-stream")


def _chunks(source: BinaryIO, digest: str) -> Iterator[bytes]:
    with source:
        yield from digests.verified_chunks(source, digest, digest)
