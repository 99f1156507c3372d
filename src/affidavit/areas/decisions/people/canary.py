"""Canaries: a sealed row of one tenant that stands for no decision, looked for as another tenant through the doors."""

from __future__ import annotations

import json
from contextlib import closing
from importlib import import_module
from typing import Any

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.look import PART as LOOK
from affidavit.areas.decisions.look import commands as look
from affidavit.areas.decisions.people import commands as c
from affidavit.areas.decisions.people.late import ms_of
from affidavit.core.area import Desk, Document, Streamed, Who
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused
from affidavit.streams import kinds
from affidavit.streams.ids import Minter, id_text
from affidavit.streams.writer import StreamWriter

DOORS = ("prove", "query", "trace")
MARK = "canary-"
"""What the subject of a canary begins with; 128 random bits follow."""


def plant(request: c.PlantCanary, desk: Desk) -> tuple[None, dict[str, str]]:
    """A row in a stream of its own, durable when this returns; the next seal makes it a sealed row like any other."""
    now, drawn = ms_of(desk.now), desk.key()
    canary, token = Minter().mint(now, drawn[:8]), MARK + drawn[8:24].hex()
    row = {"id": canary, "at": now, "caller": MARK + "probe", "subject": token, "tenant": request.tenant}
    schema = kinds.decisions((), ())
    with closing(StreamWriter(desk.spool, schema, desk.origin)) as writer:
        writer.append([row.get(name) for name in schema.names])
    return None, {"canary": id_text(canary), "tenant": request.tenant, "token": token}


class Standin:
    """The desk as somebody else sits at it. Rows it leaves bear who really looked."""

    def __init__(self, desk: Desk, who: Who) -> None:
        self._desk, self.who = desk, who

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    def row(self, kind: str, **values: Any) -> None:
        """As the desk's own, by the real caller."""
        self._desk.row(kind, **values | {"actor": self._desk.who.principal, "verb": "probe-tenant"})


def probe(request: c.ProbeTenant, desk: Desk) -> tuple[c.RecordProbe, dict[str, Any]]:
    """Which doors show the canary to the other principal, and whether the caller finds it.

    Raises ``NotFound`` for a canary that is not sealed, ``Invalid`` for a row that is none, ``Refused`` (``same-tenant``)
    if the principal may see its tenant.
    """
    row = sealed_rows.find(desk, request.canary)
    token = row.values.get("subject") or ""
    if row.values.get("deployment") is not None or not token.startswith(MARK):
        raise Invalid(
            f"{request.canary} is no canary.", next_step="plant one: affidavit decisions plant-canary TENANT."
        )
    owner, bound = row.values["tenant"], desk.ask("decisions.tenants_of", request.as_principal)
    if bound is None or owner in bound:
        raise Refused(
            "same-tenant", f"{request.as_principal} may see the decisions of {owner}.",
            next_step="name a principal restricted to another tenant: affidavit decisions restrict-tenants.",
        )  # fmt: skip
    leaks = _doors(Standin(desk, Who(request.as_principal, "os-user")), request.canary, token)
    seen = _doors(desk, request.canary, token)
    own = seen == set(DOORS)
    fact = e.TenantProbed(request.canary, owner, bound[0], own, bool(leaks), DOORS, tuple(sorted(leaks)))
    return c.RecordProbe(fact), {
        "own_sees": sorted(seen),
        "other_sees": sorted(leaks),
        "owner": owner,
        "probed_as": bound[0],
    }


def _doors(desk: Any, canary: str, token: str) -> set[str]:
    """The verbs whose answer shows the canary."""
    asked: tuple[Streamed, ...] = (
        look.Prove(canary), look.Trace(canary),
        look.QueryRows(where=(f"subject={token}",), format="json"), look.QueryRows(where=(f"caller={MARK}probe",), format="csv"),
    )  # fmt: skip
    return {request.verb for request in asked if _shows(request, desk, canary, token)}


def _shows(request: Streamed, desk: Any, canary: str, token: str) -> bool:
    """Whether an answer holds the canary's id or token; an absent or denied row shows nothing."""
    module, _, name = LOOK.streamed[type(request)].partition(":")
    try:
        found = getattr(import_module(module), name)(request, desk)
    except (NotFound, NotAllowed):
        return False
    body = found.body if isinstance(found, Document) else json.dumps(found, default=str).encode()
    return token.encode() in body or canary.encode() in body
