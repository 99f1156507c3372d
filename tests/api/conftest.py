"""A workspace behind the application, called in process: no socket is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx
import pytest

from affidavit.api import Options, create_app
from affidavit.bootstrap import Created

sys.path.insert(0, str(Path(__file__).parent))


class Client:
    """Synchronous calls of an ASGI application; ``key`` signs every one of them."""

    def __init__(self, app: Any, portal: Any, key: str | None = None) -> None:
        self.app, self.portal, self.key = app, portal, key

    def as_(self, key: str | None) -> Client:
        return Client(self.app, self.portal, key)

    def __call__(self, method: str, url: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= options.pop("headers", {})

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, url, headers=headers, **options)

        return self.portal.call(send)

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self("GET", url, **options)

    def post(self, url: str, body: Any = None, **options: Any) -> httpx.Response:
        return self("POST", url, **({"json": body} if body is not None else {}), **options)


@dataclass
class Served:
    """A workspace, its first administrator's client, and the names of things."""

    made: Created
    call: Client

    @property
    def ws(self) -> Any:
        return self.made.workspace

    def person(self, name: str, role: str, env: str = "*", key_env: str = "production") -> tuple[str, Client]:
        """A principal with a granted role and a key: (id, client)."""
        ws, admin = self.ws, self.made.admin
        principal = ws.access.register_principal(kind="person", name=name).facts[0].principal
        grant = ws.access.request_grant(principal=principal, role=role, in_env=env, reason="by the test", by=name)
        ws.access.approve_grant(grant.facts[0].grant, by=admin)
        expires = ws.stores.clock.now() + timedelta(days=30)
        key = ws.access.issue_key(principal=principal, for_env=key_env, expires=expires, by=name).result["key"]
        return principal, self.call.as_(key)


@pytest.fixture(scope="session")
def portal() -> Iterator[Any]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def serve(make: Callable[..., Created], portal: Any) -> Iterator[Callable[..., Served]]:
    """Serves workspaces with options; no publisher runs, so tests decide when to publish."""
    with ExitStack() as stack:

        def served(**options: Any) -> Served:
            made = make()
            stack.callback(made.workspace.close)
            return Served(made, Client(create_app(made.workspace, Options(**options)), portal, made.api_key))

        yield served


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
