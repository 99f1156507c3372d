"""``create_app``: the ASGI application of a workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from affidavit import __version__
from affidavit.api import audits, derived, objects, problems, published
from affidavit.api.background import Publisher
from affidavit.api.guard import Guard
from affidavit.api.openapi import document
from affidavit.api.rows import json_answer
from affidavit.core.errors import AffidavitError, Invalid, StoreDown
from affidavit.service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the server. ``hosts`` lists the Host names it answers for; empty takes any.

    ``publish_every_s`` is at most 1: what was accepted is published within a second.
    """

    publish_every_s: float = 1.0
    retry_every_s: float = 60.0
    json_limit: int = 1 << 20
    object_limit: int = 5 << 30
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.01 <= self.publish_every_s <= 1.0:
            raise Invalid(f"{self.publish_every_s} s between publications.", next_step="choose 0.01 to 1.0 seconds.")


def create_app(workspace: Workspace, options: Options | None = None) -> FastAPI:
    """The HTTP door of a workspace. Its lifespan runs the publisher; it does not close the workspace."""
    chosen = options or Options()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.publisher = publisher = Publisher(workspace, chosen.publish_every_s, chosen.retry_every_s)
        publisher.start()
        try:
            yield
        finally:
            await run_in_threadpool(publisher.stop)

    app = FastAPI(
        title="Affidavit", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan,
        redirect_slashes=False,
    )  # fmt: skip
    app.add_middleware(Guard, hosts=chosen.hosts)
    app.add_exception_handler(AffidavitError, problems.on_error)
    app.add_exception_handler(HTTPException, problems.on_http_error)
    app.add_exception_handler(RequestValidationError, problems.on_http_error)
    _own_routes(app, workspace)
    for router in (
        derived.router(workspace, chosen.json_limit), objects.router(workspace, chosen.object_limit),
        published.router(workspace), audits.router(workspace),
    ):  # fmt: skip
        app.include_router(router)
    return app


def _own_routes(app: FastAPI, workspace: Workspace) -> None:
    described = document(workspace)
    app.openapi = lambda: described  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        request.scope["state"]["route"] = "/openapi.json"
        return json_answer(described)

    @app.get("/health", include_in_schema=False)
    async def health(request: Request) -> Response:
        request.scope["state"]["route"] = "/health"
        publisher: Publisher | None = getattr(app.state, "publisher", None)
        await run_in_threadpool(workspace.stores.entries.size)
        if publisher is not None and (publisher.failures or not publisher.alive):
            raise StoreDown("the publisher is failing.", next_step="see the operational log.")
        return json_answer({"status": "ok"})
