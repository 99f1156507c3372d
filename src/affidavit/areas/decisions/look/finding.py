"""Finding a decision for somebody: the access is kept, what the caller may not see is absent, damage names its segment."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure.ranges import rows_of
from affidavit.areas.decisions.erasure.standing import targets_of
from affidavit.areas.decisions.look.tenancy import allowed, tenants
from affidavit.areas.decisions.sealed_rows import Row
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, NotFound, Refused
from affidavit.streams.ids import id_bytes


def note_read(desk: Desk, verb: str, about: str, rows: int, tenant: str | None = None) -> None:
    """Keep the access as a row of the stream ``reads``, durably."""
    at = int(desk.now.timestamp() * 1000)
    desk.row("reads", at=at, rows=rows, actor=desk.who.principal, verb=verb, about=about, tenant=tenant)


def seen(desk: Desk, decision: str, verb: str) -> Row:
    """The row of a decision, verified up to its header; the access is kept, a vain one too. An erased row has no payload.

    Raises ``NotFound``, also for a row of another tenant or environment, ``Tampered`` for one that does not verify,
    ``Refused`` for one that is being erased.
    """
    try:
        row = sealed_rows.find(desk, decision)
        if not allowed(desk, row.values or _left(row)):
            raise absent(decision)
    except AffidavitError as e:
        note_read(desk, verb, decision, 0)
        if isinstance(e, (NotFound, Refused)) and tenants(desk) is not None:
            raise absent(decision) from None  # whose it was is not known: nothing is told of it
        raise
    note_read(desk, verb, decision, 1, row.values.get("tenant"))
    return row


Pending = dict[tuple[str, int], set[int]]
"""Rows that count as erased though their payload is not destroyed yet: their indexes by (stream, first_seq)."""


def pending(desk: Desk) -> Pending:
    """The rows of every order that is not carried out."""
    found: Pending = {}
    for order in desk.ask("decisions.erasures_open"):
        for target in targets_of(desk, order):
            found.setdefault((target.stream, target.first_seq), set()).update(rows_of(target.rows))
    return found


def _left(row: Row) -> dict[str, Any]:
    """What an erased row still tells for a permission: its segment's deployment; its tenant is gone."""
    deployment = row.placed.header.deployment
    return {"deployment": id_bytes(deployment) if deployment else None}


def absent(decision: str) -> NotFound:
    """What is said of a decision that is not there, and of one that the caller may not see."""
    return NotFound(
        f"no sealed decision {decision}.",
        next_step="check the id and the workspace; a fresh decision is found once `affidavit decisions seal` has run.",
    )


def cells(value: Any) -> Any:
    """Answers of other areas as plain values: what is not JSON becomes text."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return {str(k): cells(v) for k, v in value.items()}
    return [cells(v) for v in value] if isinstance(value, (list, tuple)) else str(value)
