"""Answers about explainers and requests, for people and for other parts."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions.explain import commands as c
from affidavit.core.area import Ctx, ViewTx

ANSWERS = ("explainer_plan", "explainer_in_force", "explainer_of", "explanation_request")
"""What others may ask by ``decisions.NAME``."""
_PLAN = (
    "id", "model", "method", "deletion_gain", "stability", "reason", "words", "proposer", "proposed", "approver",
    "approved", "entry", "drill",
)  # fmt: skip
_MEASURED = (
    "entry", "plan", "model", "number", "artifact", "method", "explainer", "background", "seed", "deletion_gain",
    "stability", "passed", "at", "drill",
)  # fmt: skip
_REQUEST = ("request", "decision", "channel", "wish", "received", "due", "entry", "outcome", "answered", "answer")


def _dict(names: tuple[str, ...], row: Any) -> dict[str, Any]:
    return {n: bool(x) if n in ("drill", "passed") else x for n, x in zip(names, row, strict=True)}


def _first(names: tuple[str, ...], row: Any) -> dict[str, Any] | None:
    return _dict(names, row) if row else None


def explainer_plan(v: ViewTx, plan: str) -> dict[str, Any] | None:
    """The explainer plan of an id; ``reason`` is a vault id, ``words`` the digest of the file of plain words."""
    return _first(_PLAN, v.one("SELECT * FROM {explainer_plan} WHERE id = ?", plan))


def explainer_in_force(v: ViewTx, model: str) -> dict[str, Any] | None:
    """The explainer plan of a model that was approved last, planted ones left out; None if there is none."""
    sql = "SELECT * FROM {explainer_plan} WHERE model = ? AND approved IS NOT NULL AND drill = 0 ORDER BY entry DESC LIMIT 1"
    return _first(_PLAN, v.one(sql, model))


def explainer_of(v: ViewTx, model: str, number: int) -> dict[str, Any] | None:
    """The newest measurement of a version's explainer (background digest, seed, passed); None if it was never measured."""
    sql = "SELECT * FROM {explainer} WHERE model = ? AND number = ? AND drill = 0 ORDER BY entry DESC LIMIT 1"
    return _first(_MEASURED, v.one(sql, model, number))


def explanation_request(v: ViewTx, request: str) -> dict[str, Any] | None:
    """A person's request, with its answer if there is one."""
    return _first(_REQUEST, v.one("SELECT * FROM {explanation_request} WHERE request = ?", request))


def explainers(query: c.ListExplainers, v: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """Plans, measurements, and the id of the plan in force."""
    current = explainer_in_force(v, query.model)
    plans = v.rows("SELECT * FROM {explainer_plan} WHERE model = ? ORDER BY proposed, id", query.model)
    found = v.rows("SELECT * FROM {explainer} WHERE model = ? ORDER BY entry", query.model)
    return {
        "model": query.model,
        "in_force": current["id"] if current else None,
        "plans": [_dict(_PLAN, row) for row in plans],
        "measured": [_dict(_MEASURED, row) for row in found],
    }


def requests(query: c.ListRequests, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a request, the one due first first."""
    rows = v.rows(
        "SELECT * FROM {explanation_request} WHERE outcome IS NULL OR ? ORDER BY due, entry", query.everything
    )
    return [_dict(_REQUEST, row) for row in rows]


def lines(answer: dict[str, Any]) -> list[str]:
    """An explanation on a terminal: a bar per input, its length the share of what all inputs moved."""
    total = sum(abs(float(f["attribution"])) for f in answer["features"]) or 1.0
    width = max((len(f["feature"]) for f in answer["features"]), default=0)
    found = [
        (
            f"{answer['decision']}: {answer['model']}/{answer['number']}, margin {float(answer['margin']):.4f}"
            f" = base {float(answer['base']):.4f} + the inputs:"
        )
    ]
    for f in answer["features"]:
        size = float(f["attribution"])
        bar = "█" * round(24 * abs(size) / total)
        found.append(f"  {f['feature']:<{width}}  {size:+.4f}  {bar:<24}  {f['value']}")
    stored = answer["stored"]
    said = (
        "computed now; none was stored"
        if stored is None
        else f"stored at capture, computed again: differs by {stored['difference']}"
    )
    return [*found, f"{answer['explainer']}, seed {answer['seed']}; {said}."]
