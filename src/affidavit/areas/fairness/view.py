"""Read tables of fairness: plans and assessments, and what other areas may ask of them."""

from __future__ import annotations

from typing import Any

from affidavit.areas.fairness import events as e
from affidavit.core import canonical, codec
from affidavit.core.area import View, ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text

_PLAN = (
    "id", "model", "dataset", "split", "thresholds", "reason", "group_basis", "proposer", "proposed", "approver",
    "approved", "review_by", "entry", "drill",
)  # fmt: skip
_ASSESSMENT = (
    "entry", "model", "number", "artifact", "plan", "dataset", "split", "content", "rows", "seed", "code", "verdicts",
    "table", "by", "actor", "at", "drill",
)  # fmt: skip
_PACKED = frozenset({"thresholds", "verdicts"})
TABLES = {
    "plan": "id TEXT PRIMARY KEY, model TEXT, dataset TEXT, split TEXT, thresholds TEXT, reason TEXT,"
    " group_basis TEXT, proposer TEXT, proposed TEXT, approver TEXT, approved TEXT, review_by TEXT, entry INTEGER, drill INTEGER",
    "assessment": "entry INTEGER PRIMARY KEY, model TEXT, number INTEGER, artifact TEXT, plan TEXT, dataset TEXT,"
    " split TEXT, content TEXT, row_count INTEGER, seed INTEGER, code TEXT, verdicts TEXT, sheet TEXT, via TEXT,"
    " actor TEXT, at TEXT, drill INTEGER",
}


def _named(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        n: canonical.decode(x.encode()) if n in _PACKED else bool(x) if n == "drill" else x
        for n, x in zip(names, row, strict=True)
    }


def plan(v: ViewTx, plan_id: str) -> dict[str, Any] | None:
    """The plan of this id, or None. ``reason`` and ``group_basis`` are vault ids."""
    row = v.one("SELECT * FROM {plan} WHERE id = ?", plan_id)
    return _named(_PLAN, row) if row else None


def plans(v: ViewTx, model: str) -> list[dict[str, Any]]:
    """Every plan of a model, oldest first."""
    return [_named(_PLAN, row) for row in v.rows("SELECT * FROM {plan} WHERE model = ? ORDER BY proposed, id", model)]


def plan_in_force(v: ViewTx, model: str) -> dict[str, Any] | None:
    """The plan of a model that was approved last, or None; planted ones are left out.

    Whether its review is overdue is the caller's question.
    """
    sql = "SELECT * FROM {plan} WHERE model = ? AND approved IS NOT NULL AND drill = 0 ORDER BY entry DESC LIMIT 1"
    row = v.one(sql, model)
    return _named(_PLAN, row) if row else None


def latest(v: ViewTx, model: str, number: int) -> dict[str, Any] | None:
    """The newest assessment of a version with its verdicts, or None; planted ones are left out."""
    sql = "SELECT * FROM {assessment} WHERE model = ? AND number = ? AND drill = 0 ORDER BY entry DESC LIMIT 1"
    row = v.one(sql, model, number)
    return _named(_ASSESSMENT, row) if row else None


def _packed(values: tuple[Any, ...]) -> str:
    return canonical.encode([codec.dump_object(x) for x in values]).decode()


def _proposed(v: ViewTx, r: Record) -> None:
    f: e.FairnessPlanProposed = r.fact
    sql = "INSERT INTO {plan} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, ?)"
    v.run(
        sql, f.plan, f.model, f.dataset, f.split, _packed(f.thresholds), f.reason.vault, f.group_basis.vault,
        r.head.actor, time_text(r.head.at), int(bool(r.head.drill)),
    )  # fmt: skip


def _approved(v: ViewTx, r: Record) -> None:
    f: e.FairnessPlanApproved = r.fact
    sql = "UPDATE {plan} SET approver = ?, approved = ?, review_by = ?, entry = ?, drill = MAX(drill, ?) WHERE id = ?"
    drill = int(bool(r.head.drill))
    v.run(sql, r.head.actor, time_text(r.head.at), time_text(f.review_by), r.index, drill, f.plan)


def _assessed(v: ViewTx, r: Record) -> None:
    f: e.FairnessAssessed = r.fact
    sql = f"INSERT INTO {{assessment}} VALUES ({', '.join('?' * len(_ASSESSMENT))})"
    v.run(
        sql, r.index, f.model, f.number, f.artifact, f.plan, f.dataset, f.split, f.content, f.rows, f.seed, f.code,
        _packed(f.verdicts), f.table.digest, f.by, r.head.actor, time_text(r.head.at), int(bool(r.head.drill)),
    )  # fmt: skip


VIEW = View(
    "fairness",
    TABLES,
    {e.FairnessPlanProposed: _proposed, e.FairnessPlanApproved: _approved, e.FairnessAssessed: _assessed},
)
