"""What is decided about extracts, receipts and comparisons: windows that fit, and which differences are new or gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from affidavit.areas.decisions import events_runtime as e
from affidavit.areas.decisions.runtime import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid
from affidavit.core.fields import parse_duration, time_text

CLOCK_SLACK = timedelta(minutes=5)
CONTROL = "AI-01.1"
MOST_ROWS = 5_000


def record_serving(cmd: c.RecordServing, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Every row, then the extract, in one command: all or nothing."""
    _window(cmd, ctx)
    if len(cmd.rows) > MOST_ROWS:
        raise Invalid(f"the inventory has {len(cmd.rows)} rows; at most {MOST_ROWS}.", next_step="split it by env.")
    for row in cmd.rows:
        _fits(row, cmd, ctx)
    drafts = [
        Draft(e.EndpointObserved(cmd.source, r.endpoint, r.artifact, r.env, r.first_seen, r.last_seen, r.model),
              _refs(f"source:{cmd.source}", f"env:{r.env}", r.model), r.env)
        for r in cmd.rows
    ]  # fmt: skip
    extract = e.ServingExtracted(
        cmd.source, cmd.account, cmd.query, cmd.start, cmd.end, len(cmd.rows), cmd.raw, cmd.extractor
    )
    return [*drafts, Draft(extract, (f"source:{cmd.source}",))]


def record_request_counts(cmd: c.RecordRequestCounts, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The extract; its hours stay in the kept bytes and are read again by each reconciliation."""
    _window(cmd, ctx)
    extract = e.CountsExtracted(
        cmd.source, cmd.account, cmd.query, cmd.start, cmd.end, cmd.rows, cmd.raw, cmd.extractor, cmd.strangers
    )
    return [Draft(extract, (f"source:{cmd.source}",))]


def _window(cmd: c.RecordServing | c.RecordRequestCounts, ctx: Ctx) -> None:
    if not cmd.start < cmd.end <= ctx.now + CLOCK_SLACK:
        raise Invalid(
            f"the window is {time_text(cmd.start)} to {time_text(cmd.end)}.",
            next_step="give a window that has passed: start < end.",
        )


def _fits(row: c.Serving, cmd: c.RecordServing, ctx: Ctx) -> None:
    if row.env not in ctx.rules.environments:
        known = ", ".join(ctx.rules.environments)
        raise Invalid(f"{row.endpoint}: no environment {row.env!r}.", next_step=f"map the names to {known}.")
    if row.first_seen > row.last_seen or not cmd.start <= row.last_seen <= cmd.end:
        raise Invalid(
            f"{row.endpoint}: seen {time_text(row.first_seen)} to {time_text(row.last_seen)}, which the window"
            f" {time_text(cmd.start)} to {time_text(cmd.end)} does not hold.",
            next_step="give the window it has; last_seen lies in it.",
        )  # fmt: skip


def record_receipts(cmd: c.RecordReceipts, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """How the presented receipts stand."""
    fact = e.ReceiptsPresented(
        cmd.source, cmd.presented, cmd.sealed, cmd.missing, cmd.forged, cmd.details, cmd.different, cmd.pending,
        cmd.unknown,
    )  # fmt: skip
    return [Draft(fact, (f"source:{cmd.source}",))]


def record_reconciled(cmd: c.RecordReconciled, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """One fact a deployment and day."""
    return [Draft(f, (f"deployment:{f.deployment}",)) for f in cmd.days]


def record_runtime(cmd: c.RecordRuntime, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The comparison; a difference that is new, once; a known one that is gone, with how.

    A day before the newest compared one settles nothing: what was so then may be so again.
    """
    counted = {w: sum(d.what == w for d in cmd.differences) for w in ("unknown-digest", "silent", "unrecorded")}
    fact = e.RuntimeReconciled(
        cmd.day, cmd.extracts, cmd.endpoints, cmd.attested, counted["unknown-digest"],
        len(cmd.differences) - sum(counted.values()), counted["silent"], cmd.details, counted["unrecorded"], cmd.unowned,
    )  # fmt: skip
    drafts = [Draft(fact, ("estate:serving",))]
    found = {_key(d): d for d in cmd.differences}
    known = {_key_of(row): row for row in _open(state)}
    due = ctx.rules.calendar.due(
        ctx.now, parse_duration(ctx.rules.parameters.get(CONTROL, {}).get("difference_within", "P5D")), business=True
    )
    for key, d in found.items():
        if key not in known:
            drafts.append(_differed(d, due))
    newest = state.one("SELECT MAX(day) FROM {compared}")
    if newest is None or newest[0] is None or time_text(cmd.day) >= newest[0]:
        drafts += _settled(cmd, [row for key, row in known.items() if key not in found])
    return drafts


Row = tuple[str, str, str, str, str | None, str | None]
"""Of an open difference: id, endpoint, env, what, found, source."""


def _open(state: ViewTx) -> list[Row]:
    sql = "SELECT id, endpoint, env, what, found, source FROM {difference} WHERE settled IS NULL ORDER BY entry"
    return [(r[0], r[1], r[2], r[3], r[4], r[5]) for r in state.rows(sql)]


def _key(d: c.Difference) -> tuple[str, str, str, str | None]:
    return d.endpoint, d.env, d.what, d.found


def _key_of(row: Row) -> tuple[str, str, str, str | None]:
    return row[1], row[2], row[3], row[4]


def _differed(d: c.Difference, due: datetime) -> Draft:
    fact = e.RuntimeDiffered(
        d.difference, d.endpoint, d.env, d.what, d.first_seen, due, d.found, d.expected, d.model, d.stream, d.source
    )
    refs = _refs(f"difference:{d.difference}", f"env:{d.env}", d.model)
    return Draft(fact, (*refs, f"stream:{d.stream}") if d.stream else refs, d.env)


def _settled(cmd: c.RecordRuntime, gone: Iterable[Row]) -> list[Draft]:
    """Known differences that the day no longer shows; one that only an uncovering inventory knew stays open."""
    serves = {(s.endpoint, s.env): s.found for s in cmd.serves}
    drafts = []
    for difference, endpoint, env, what, found, source in gone:
        if source is not None and source not in cmd.sources:
            continue
        fact = e.RuntimeSettled(difference, _how(what, found, serves.get((endpoint, env))))
        drafts.append(Draft(fact, (f"difference:{difference}", f"env:{env}"), env))
    return drafts


def _how(what: str, found: str | None, now: str | None) -> e.How:
    if now is None:
        return "stopped"
    if what in ("silent", "unrecorded"):
        return "resumed" if what == "silent" else "recorded"
    return "registered" if now == found else "replaced"


def _refs(first: str, second: str, model: str | None) -> tuple[str, ...]:
    return (first, second, f"model:{model}") if model else (first, second)
