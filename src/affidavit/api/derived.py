"""The derived routes: every request of every area that is offered, from its declaration alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from affidavit.api import incoming, oplog
from affidavit.api.rows import document_answer, done_row, entry_path, json_answer
from affidavit.core.area import Document, Query, Request, Streamed, Who
from affidavit.core.errors import AffidavitError, Invalid
from affidavit.service.executor import Done
from affidavit.service.workspace import Workspace

Endpoint = Callable[[HttpRequest], Awaitable[Response]]
WAITS = ("accepted", "published")


def offered(workspace: Workspace) -> list[tuple[str, str, type[Request]]]:
    """(area, verb, class) of every request that doors offer, in order."""
    catalog = workspace.catalog
    return [(a, v, c) for a in catalog.areas for v, c in catalog.requests(a).items() if not c.internal]


def router(workspace: Workspace, json_limit: int) -> APIRouter:
    """One route per request: POST for all, GET as well for queries."""
    made = APIRouter(redirect_slashes=False)
    for area, verb, cls in offered(workspace):
        path, query = f"/v1/{area}/{verb}", issubclass(cls, (Query, Streamed))
        endpoint = (_query if query else _command)(workspace, cls, path, json_limit)
        made.add_api_route(
            path, endpoint, methods=["GET", "POST"] if issubclass(cls, Query) else ["POST"], include_in_schema=False
        )
    return made


def _query(workspace: Workspace, cls: type[Request], path: str, limit: int) -> Endpoint:
    async def answer(request: HttpRequest) -> Response:
        request.scope["state"]["route"] = path
        who = await incoming.signed_in(request, workspace)
        if request.method == "GET":
            asked = incoming.request_from_query(cls, request.query_params.multi_items())
        else:
            incoming.only(request)
            asked = incoming.request_from_json(cls, await incoming.json_of(request, limit))
        return await run_in_threadpool(_answer, workspace, asked, who, request.headers.get("accept", ""))

    return answer


def _answer(workspace: Workspace, asked: Request, who: Who, accept: str) -> Response:
    found = workspace.do(asked, who, local=False)
    return document_answer(found, accept) if isinstance(found, Document) else json_answer(found)


def _command(workspace: Workspace, cls: type[Request], path: str, limit: int) -> Endpoint:
    async def execute(request: HttpRequest) -> Response:
        request.scope["state"]["route"] = path
        who = await incoming.signed_in(request, workspace)
        wait = incoming.single(incoming.only(request, "wait")["wait"], "wait", WAITS[0])
        if wait not in WAITS:
            raise Invalid(f"wait: {wait[:40]!r} is none of {', '.join(WAITS)}.", next_step="correct wait.")
        command_id = incoming.command_id_of(request)
        wanted = incoming.request_from_json(cls, await incoming.json_of(request, limit))
        return await run_in_threadpool(_execute, workspace, wanted, who, command_id, wait == "published")

    return execute


def _execute(workspace: Workspace, wanted: Request, who: Who, command_id: str | None, publish: bool) -> Response:  # noqa: FBT001
    if incoming.attachments(wanted):
        workspace.executor.authorise(wanted, who)  # a denial comes before a word on what is stored
        incoming.check_attachments(workspace, wanted)
    options: dict[str, Any] = {"command_id": command_id} if command_id else {}
    done: Done = workspace.do(wanted, who, local=False, **options)
    if not done.records:  # a measure that found nothing to record
        return json_answer(done_row(done))
    row: dict[str, Any] = done_row(done) | {"accepted": workspace.accepted(done).decode()}
    status = 200 if done.repeated else 201
    if publish:
        row["published"] = _published(workspace)
        status = status if row["published"] else 202
    return json_answer(row, status, {"location": entry_path(done.records[0].index)})


def _published(workspace: Workspace) -> bool:
    """Publish; False if that failed: the command stays accepted, and the publisher tries again."""
    try:
        workspace.publish()
    except AffidavitError as e:
        oplog.note(logging.ERROR, "publish failed", **oplog.problem_fields(e))
        return False
    return True
