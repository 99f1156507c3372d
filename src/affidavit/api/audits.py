"""Assessments and drills over HTTP."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from affidavit.api import incoming
from affidavit.api.rows import entry_path, json_answer
from affidavit.core.area import Who
from affidavit.core.assessment import finding_row
from affidavit.core.fields import read_time
from affidavit.service.workspace import Workspace


def router(workspace: Workspace) -> APIRouter:
    """``GET /v1/audit/assess``, ``GET /v1/audit/controls``, ``POST /v1/audit/drill/{control}``."""
    made = APIRouter(prefix="/v1/audit", redirect_slashes=False)

    @made.get("/assess", include_in_schema=False)
    async def assess(request: Request) -> Response:
        request.scope["state"]["route"] = "/v1/audit/assess"
        who = await incoming.signed_in(request, workspace)
        given = incoming.only(request, "from", "to", "as_of", "control")
        start, end = (read_time(incoming.single(given[name], name)) for name in ("from", "to"))
        size = incoming.single(given["as_of"], "as_of", "")
        as_of = incoming.index_of(size, "as_of") if given["as_of"] else None
        return await run_in_threadpool(_assess, workspace, who, start, end, as_of, tuple(given["control"]))

    @made.get("/controls", include_in_schema=False)
    async def controls(request: Request) -> Response:
        request.scope["state"]["route"] = "/v1/audit/controls"
        who = await incoming.signed_in(request, workspace)
        incoming.only(request)
        return await run_in_threadpool(_controls, workspace, who)

    @made.post("/drill/{control}", include_in_schema=False)
    async def drill(request: Request, control: str) -> Response:
        request.scope["state"]["route"] = "/v1/audit/drill/{control}"
        who = await incoming.signed_in(request, workspace)
        incoming.only(request)
        return await run_in_threadpool(_drill, workspace, who, control)

    return made


def _assess(
    workspace: Workspace, who: Who, start: datetime, end: datetime, as_of: int | None, only: tuple[str, ...]
) -> Response:
    workspace.executor.permit(who, "audit.read")
    return json_answer([finding_row(f) for f in workspace.assess(start, end, as_of, only)])


def _controls(workspace: Workspace, who: Who) -> Response:
    workspace.executor.permit(who, "audit.read")
    rows = [
        {"id": c.id, "area": c.area, "title": c.body["title"], "frequency": c.body["frequency"], "check": c.digest}
        for c in workspace.catalog.controls.values()
    ]
    return json_answer(rows)


def _drill(workspace: Workspace, who: Who, control: str) -> Response:
    record = workspace.drill(control[:128], who)
    row = {"control": control, "caught": record.fact.caught, "how": record.fact.how, "entry": record.index}
    return json_answer(row, 201, {"location": entry_path(record.index)})
