"""Reading the table of replays."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions.replay import commands as c
from affidavit.core.area import Ctx, ViewTx

_SHOWN = (
    "replay", "model", "start", "until", "seed", "population_n", "sampled", "equal", "differing", "failed", "erased",
    "tolerance", "worst", "isolation", "actor", "at", "state", "cause",
)  # fmt: skip


def replays(query: c.Replays, v: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a replay; an empty list if there is none."""
    sql = f"SELECT {', '.join(_SHOWN)} FROM {{replay}} WHERE model = IFNULL(?, model) AND state = IFNULL(?, state)"
    rows = v.rows(f"{sql} ORDER BY entry DESC", query.model, query.state)
    return [dict(zip(_SHOWN, row, strict=True)) for row in rows]
