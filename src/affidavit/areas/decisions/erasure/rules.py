"""What erasure decides: orders, rows destroyed, scans by another identity, legal holds."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure import queries as q
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Busy, Invalid, NotFound, Refused

CONTROLS = ("AI-08.2",)
RANGES = 120
"""Most ranges of one ``RowsErased``: they fit an entry."""


def order_erasure(cmd: c.OrderErasure, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The order, unless another order or a hold came in between."""
    if q.erasure_counts(state) != (cmd.orders, cmd.holds):
        raise Busy("another erasure or a hold was recorded meanwhile.", next_step="send the request again.")
    fact = e.ErasureOrdered(ctx.ids[0], cmd.basis, cmd.decisions, cmd.rows, cmd.targets, cmd.reason)
    return [Draft(fact, (f"erasure:{ctx.ids[0]}",))]


def record_erased(cmd: c.RecordErased, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """One fact for each segment and so many ranges, unless the segment was rewritten, or a hold placed, meanwhile."""
    order = q.erasure(state, cmd.order)
    if q.erasure_counts(state)[1] != cmd.holds:
        raise Busy("a legal hold was placed meanwhile.", next_step="affidavit decisions carry-out.")
    drafts: list[Draft] = []
    rows = 0
    for s in cmd.segments:
        row = state.one("SELECT file FROM {span} WHERE stream = ? AND first_seq = ?", s.stream, s.first_seq)
        if row is None:
            raise NotFound(f"no segment {s.stream}/{s.first_seq}.", next_step="verify the workspace.")
        if row[0] not in (None, s.file_before):
            raise Busy(f"segment {s.stream}/{s.first_seq} was rewritten meanwhile.",
                       next_step="affidavit decisions carry-out.")  # fmt: skip
        rows += sum(r.last - r.first + 1 for r in s.rows)
        drafts += _facts(cmd.order, s)
    if order["erased"] + rows > order["row_count"]:
        raise Invalid(f"{rows} rows are more than order {cmd.order} has left.", next_step="carry it out again.")
    return drafts


def _facts(order: str, s: c.Rewritten) -> list[Draft]:
    chunks = [s.rows[n : n + RANGES] for n in range(0, len(s.rows), RANGES)]
    refs = (f"erasure:{order}", f"stream:{s.stream}")
    return [
        Draft(e.RowsErased(order, s.stream, s.first_seq, s.last_seq, s.kind, s.root, rows, s.file_before, s.file,
                           s.file_bytes, s.t_max), refs)
        for rows in chunks
    ]  # fmt: skip


def record_scan(cmd: c.RecordScan, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The proof, or what was found."""
    check_prover(q.erasure(state, cmd.order), ctx.who.principal)
    fact: e.ErasureProven | e.ErasureFailed
    if cmd.found and cmd.places is not None:
        fact = e.ErasureFailed(cmd.order, cmd.rows, cmd.found, cmd.places)
    else:
        fact = e.ErasureProven(cmd.order, cmd.segments, cmd.rows, cmd.spooled)
    return [Draft(fact, (f"erasure:{cmd.order}",))]


def check_prover(order: dict[str, Any], principal: str) -> None:
    """Raise ``Refused`` unless the order is carried out and somebody else scans than who gave it."""
    if order["erased"] < order["row_count"]:
        raise Refused(
            "not-carried-out", f"erasure {order['id']}: {order['erased']} of {order['row_count']} rows are destroyed.",
            next_step=f"affidavit decisions carry-out --order {order['id']}.", controls=CONTROLS,
        )  # fmt: skip
    if order["orderer"] == principal:
        raise Refused(
            "self-proof", f"erasure {order['id']} was ordered by {principal}; who orders does not prove.",
            next_step="let another holder of decisions.verify prove it.", controls=CONTROLS,
        )  # fmt: skip


def hold(cmd: c.Hold, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """A hold over its scope; a window ends after it starts."""
    if cmd.start and cmd.end and cmd.start >= cmd.end:
        raise Invalid(f"the hold ends {cmd.end} before it starts {cmd.start}.", next_step="swap start and end.")
    fact = e.HoldPlaced(ctx.ids[0], cmd.reason, cmd.deployment, cmd.decision, cmd.start, cmd.end)
    scope = (f"deployment:{cmd.deployment}",) if cmd.deployment else ()
    return [Draft(fact, (f"hold:{ctx.ids[0]}", *scope))]


def release_hold(cmd: c.ReleaseHold, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Once."""
    row = state.one("SELECT released FROM {hold} WHERE id = ?", cmd.hold)
    if row is None:
        raise NotFound(f"no hold {cmd.hold}.", next_step="`affidavit decisions holds` lists them.")
    if row[0] is not None:
        raise Refused("hold-released", f"hold {cmd.hold} was released {row[0]}.", next_step="nothing to do.")
    return [Draft(e.HoldReleased(cmd.hold, cmd.reason), (f"hold:{cmd.hold}",))]


def record_verification(cmd: c.RecordVerification, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """What was found, about the streams with flaws."""
    return [Draft(cmd.found, ("segments:verified", *(f"stream:{s}" for s in cmd.flawed[:16])))]
