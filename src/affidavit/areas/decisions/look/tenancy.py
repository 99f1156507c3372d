"""Whose rows a caller may see: those of the environments where it may read, and of its tenants if it is bound to some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affidavit.core.area import Desk
from affidavit.streams.ids import id_text


def tenants(desk: Desk) -> tuple[str, ...] | None:
    """The tenants the caller is bound to; None: every tenant."""
    found = desk.ask("decisions.tenants_of", desk.who.principal)
    return None if found is None else tuple(found)


def reaches(desk: Desk, deployment: str | None) -> bool:
    """Whether the caller may read in the environment of a deployment; one that no register knows is open to every reader."""
    who = desk.who
    if deployment is None or who.how == "policy":
        return True
    known = desk.ask("registry.deployment", deployment)
    env = known["env"] if known else None
    if who.env is not None and env is not None and who.env != env:
        return False
    roles = desk.ask("access.roles_of", who.principal, env if env is not None else who.env)
    return desk.rules.allows(roles, "decisions.read")


def allowed(desk: Desk, values: Mapping[str, Any]) -> bool:
    """Whether the caller may see a decision with these values; one it may not see is answered as absent."""
    bound = tenants(desk)
    deployment = values.get("deployment")
    inside = bound is None or values.get("tenant") in bound
    return inside and reaches(desk, id_text(deployment) if deployment else None)
