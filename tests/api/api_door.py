"""A client that calls the application in process, and a served workspace with its people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from affidavit.bootstrap import Created


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
