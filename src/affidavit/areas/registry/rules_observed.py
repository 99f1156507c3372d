"""What the registry decides about extracts of the serving platform's own deployment log."""

from __future__ import annotations

from affidavit.areas.registry import events as e
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.rules import CLOCK_SLACK
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, Refused
from affidavit.core.fields import time_text

MOST_ROWS = 5_000


def record_deployments(cmd: rec.RecordDeployments, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The extract and its new rows. A row taken in before must read the same again."""
    if not cmd.start < cmd.end <= ctx.now + CLOCK_SLACK:
        raise Invalid(f"the window ends {time_text(cmd.end)}.", next_step="give a window that has passed: start < end.")
    if len(cmd.rows) > MOST_ROWS:
        raise Invalid(f"the extract has {len(cmd.rows)} rows; at most {MOST_ROWS}.", next_step="take shorter windows.")
    extract = e.DeploymentsExtracted(
        cmd.source, cmd.account, cmd.query, cmd.start, cmd.end, len(cmd.rows), cmd.raw, cmd.extractor
    )
    _whole(cmd, state)
    drafts = [Draft(extract, (f"source:{cmd.source}",))]
    for row in cmd.rows:
        _fits(row, cmd, ctx)
        if not _taken(row, cmd.source, state):
            fact = e.DeploymentObserved(cmd.source, row.external, row.model, row.env, row.artifact, row.deployed_at)
            drafts.append(Draft(fact, (f"model:{row.model}", f"env:{row.env}", f"source:{cmd.source}"), row.env))
    return drafts


def _whole(cmd: rec.RecordDeployments, state: ViewTx) -> None:
    """Every row that the source gave before for this window is in the extract again: a log forgets nothing."""
    sql = "SELECT external FROM {observed} WHERE source = ? AND deployed_at >= ? AND deployed_at < ? ORDER BY entry"
    known = [x for (x,) in state.rows(sql, cmd.source, time_text(cmd.start), time_text(cmd.end))]
    missing = sorted(set(known) - {row.external for row in cmd.rows})
    if missing:
        raise Refused(
            "rows_missing", f"{cmd.source} gave row {missing[0]} before; this extract of its time lacks it"
            f" ({len(missing)} such rows).",
            next_step="extract the whole window again; find out why the platform's log lost rows.",
            controls=("AI-01.2",),
        )  # fmt: skip


def _fits(row: rec.Observed, cmd: rec.RecordDeployments, ctx: Ctx) -> None:
    if not cmd.start <= row.deployed_at < cmd.end:
        raise Invalid(
            f"row {row.external}: {time_text(row.deployed_at)} lies outside the window.",
            next_step="give the window it has.",
        )
    if row.env not in ctx.rules.environments:
        known = ", ".join(ctx.rules.environments)
        raise Invalid(f"row {row.external}: no environment {row.env!r}.", next_step=f"map the names to {known}.")


def _taken(row: rec.Observed, source: str, state: ViewTx) -> bool:
    sql = "SELECT model, env, artifact, deployed_at FROM {observed} WHERE source = ? AND external = ?"
    earlier = state.one(sql, source, row.external)
    again = (row.model, row.env, row.artifact, time_text(row.deployed_at))
    if earlier is not None and tuple(earlier) != again:
        raise Refused(
            "extract_differs", f"{source} gave row {row.external} differently before.",
            next_step="find out why the log of the platform changed; keep both extracts.", controls=("AI-01.2",),
        )  # fmt: skip
    return earlier is not None
