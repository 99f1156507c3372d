"""Reading the tables of erasure. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure.holds import Holding, covering
from affidavit.areas.decisions.erasure.view import dicts
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.errors import NotFound
from affidavit.streams.ids import id_bytes

ANSWERS = (
    "erasure", "erasures", "erasures_open", "erasure_of", "erasures_in", "erased_ranges", "replaced_files", "replacements",
    "holds_active", "held", "erasure_counts", "spans_sealed",
)  # fmt: skip
"""What others may ask by ``decisions.NAME``."""
_ERASURE = "id basis decisions row_count targets orderer at entry reason erased prover proven proven_entry found"
_HOLD = "id decision deployment start stop placer at entry reason released"


def _erasures(v: ViewTx, where: str = "1", *args: Any) -> list[dict[str, Any]]:
    columns = _ERASURE.replace(" ", ", ")
    return dicts(_ERASURE, v.rows(f"SELECT {columns} FROM {{erasure}} WHERE {where} ORDER BY entry", *args))


def erasures(v: ViewTx) -> list[dict[str, Any]]:
    """Every order, oldest first."""
    return _erasures(v)


def erasure(v: ViewTx, order: str) -> dict[str, Any]:
    """An order. Raises ``NotFound``."""
    found = _erasures(v, "id = ?", order)
    if not found:
        raise NotFound(f"no erasure {order}.", next_step="`affidavit decisions erasures` lists them.")
    return found[0]


def erasures_open(v: ViewTx) -> list[dict[str, Any]]:
    """Orders of which rows are not recorded as destroyed yet."""
    return _erasures(v, "erased < row_count")


def erasure_of(v: ViewTx, stream: str, first_seq: int, index: int) -> int | None:
    """The entry (``RowsErased``) that names a row of a segment as destroyed; None if there is none."""
    row = v.one(
        "SELECT entry FROM {erased} WHERE stream = ? AND first_seq = ? AND first_row <= ? AND last_row >= ?",
        stream, first_seq, index, index,
    )  # fmt: skip
    return row[0] if row else None


def erasures_in(v: ViewTx, stream: str, first_seq: int) -> list[dict[str, Any]]:
    """The orders that may have destroyed rows of a segment: those that did, and those not finished."""
    return _erasures(
        v, "erased < row_count OR id IN (SELECT order_id FROM {erased} WHERE stream = ? AND first_seq = ?)",
        stream, first_seq,
    )  # fmt: skip


def erased_ranges(v: ViewTx, stream: str, first_seq: int, order: str | None = None) -> list[tuple[int, int]]:
    """Rows of a segment recorded as destroyed, first and last by index; those of one order if given."""
    rows = v.rows(
        "SELECT first_row, last_row FROM {erased} WHERE stream = ? AND first_seq = ? AND order_id = IFNULL(?, order_id)"
        " ORDER BY first_row", stream, first_seq, order,
    )  # fmt: skip
    return [(first, last) for first, last in rows]


def replaced_files(v: ViewTx) -> list[str]:
    """Digests of files that erasures replaced: they must not be stored."""
    return [row[0] for row in v.rows("SELECT file FROM {replaced} ORDER BY entry")]


def replacements(v: ViewTx, order: str | None = None) -> list[dict[str, Any]]:
    """``file, stream, first_seq, order_id, entry`` of every replaced file (of an order), oldest first."""
    names = "file stream first_seq order_id entry"
    sql = f"SELECT {names.replace(' ', ', ')} FROM {{replaced}} WHERE order_id = IFNULL(?, order_id) ORDER BY entry"
    return dicts(names, v.rows(sql, order))


def holds_active(v: ViewTx) -> list[dict[str, Any]]:
    """Legal holds in force, oldest first."""
    return [h for h in _holds(v) if h["released"] is None]


def held(v: ViewTx, decision: str, deployment: str | None = None, at: datetime | None = None) -> Holding | None:
    """The legal hold that covers a decision, or None. Where deployment is not given it counts as covered."""
    return covering(holds_active(v), id_bytes(decision), deployment, at)


def erasure_counts(v: ViewTx) -> tuple[int, int]:
    """How many orders and how many holds were ever recorded."""
    return v.rows("SELECT COUNT(*) FROM {erasure}")[0][0], v.rows("SELECT COUNT(*) FROM {hold}")[0][0]


def spans_sealed(v: ViewTx) -> list[dict[str, Any]]:
    """The place of every segment, oldest first, as one moment knows them."""
    names = "stream first_seq last_seq kind entry position file"
    return dicts(names, v.rows(f"SELECT {names.replace(' ', ', ')} FROM {{span}} ORDER BY entry, position"))


def _holds(v: ViewTx) -> list[dict[str, Any]]:
    return dicts(_HOLD, v.rows(f"SELECT {_HOLD.replace(' ', ', ')} FROM {{hold}} ORDER BY entry"))


def list_holds(q: c.ListHolds, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a hold, oldest first; the reason while the vault has it."""
    return [
        {**h, "reason": ctx.text(h["reason"])} for h in _holds(v) if q.released or h["released"] is None
    ]  # fmt: skip


def list_erasures(q: c.ListErasures, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line an order, oldest first: ``state`` is ordered, erased, proven or found-again."""
    rows = [erasure(v, q.order)] if q.order else erasures(v)
    return [
        {
            "order": r["id"], "state": state_of(r), "basis": r["basis"], "decisions": r["decisions"], "rows": r["row_count"],
            "erased": r["erased"], "at": r["at"], "by": r["orderer"], "proven": r["proven"], "proven_by": r["prover"],
            "reason": ctx.text(r["reason"]) if r["reason"] else None,
        }
        for r in rows
    ]  # fmt: skip


def state_of(row: dict[str, Any]) -> str:
    """What an order has come to."""
    if row["erased"] < row["row_count"]:
        return "ordered"
    if row["found"]:
        return "found-again"
    return "proven" if row["proven"] else "erased"
