"""Filters over sealed segments: row group by row group, only the columns that are needed, at most so many rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.look import commands as c
from affidavit.areas.decisions.look import filters, frames, tenancy
from affidavit.areas.decisions.look.finding import Pending, note_read, pending
from affidavit.areas.decisions.sealed_rows import Placed, reading
from affidavit.core import canonical, codec
from affidavit.core.area import Desk, Document
from affidavit.core.errors import Invalid, NotAllowed, Refused, Tampered
from affidavit.streams.columnar import hash_leaves, leaf_entries
from affidavit.streams.kinds import FIXED
from affidavit.streams.schema import Column, Schema
from affidavit.streams.segment import root_of

MOST_ROWS = 100_000
"""Rows of one answer: what bounds the memory of a query, with the next."""
MOST_BYTES = 512 << 20
"""Bytes of the columns asked for, in memory."""


@dataclass
class Found:
    """What a query has gathered: pieces of the outward table, how many rows, the columns that segments knew."""

    pieces: list[Any] = field(default_factory=list)
    rows: int = 0
    segments: int = 0
    bytes: int = 0
    more: bool = False
    pending: Pending = field(default_factory=dict)
    known: dict[str, Column] = field(default_factory=dict)


def query(request: c.QueryRows, desk: Desk) -> Any:
    """A document, or rows for ``format=json``; the access is kept first.

    Raises ``Invalid`` for a condition or column that does not fit and for more than 100,000 rows, ``Refused`` for
    protected attributes, ``Tampered`` or ``NotFound`` naming a segment that is damaged or missing.
    """
    conditions = _checked(request)
    limit = request.limit or MOST_ROWS
    found = Found(pending=pending(desk))
    for where in _segments(request, desk):
        with reading(where):
            _scan(request, desk, where, conditions, limit, found)
        if found.more:
            break
    if found.more and request.limit is None:
        raise Invalid(
            f"more than {MOST_ROWS:,} rows meet the conditions.",
            next_step="narrow the window or the conditions, or give limit.",
        )
    _check_names(request, conditions, found)
    wanted = canonical.encode(codec.dump_object(request))
    digest = hashlib.sha256(wanted).hexdigest()
    note_read(desk, "query", f"sha256:{digest}", found.rows, request.tenant)
    columns = [found.known[n] for n in request.columns or found.known if n in found.known]
    return _answer(request, found, frames.joined(found.pieces, columns), digest)


def _answer(request: c.QueryRows, found: Found, table: Any, digest: str) -> Any:
    facts = {"rows": found.rows, "more": found.more, "segments": found.segments, "kind": request.kind,
             "verified": "each row up to its segment's root" if request.verify else "segment headers",
             "filter": f"sha256:{digest}"}  # fmt: skip
    name = f"{request.kind}-{digest[:12]}"
    if request.format == "arrow":
        return Document(frames.arrow_bytes(table), frames.ARROW, f"{name}.arrow", facts)
    if request.format == "csv":
        return Document(frames.csv_bytes(table), frames.CSV, f"{name}.csv", facts)
    return {**facts, "found": frames.json_rows(table)}


def _checked(request: c.QueryRows) -> list[filters.Condition]:
    if request.kind == "groups":
        raise Refused("groups-apart", "protected attributes are not queried.",
                      next_step="assessments join them inside the service, and each use is recorded.", controls=("AI-08.1",))  # fmt: skip
    if request.limit is not None and request.limit > MOST_ROWS:
        raise Invalid(f"limit {request.limit}; at most {MOST_ROWS:,} rows at once.", next_step="ask window by window.")
    if request.start and request.end and request.start >= request.end:
        raise Invalid("the window ends before it begins.", next_step="give start before end; end is exclusive.")
    if len(set(request.columns)) != len(request.columns):
        raise Invalid("a column is named twice.", next_step="name each column once.")
    conditions = [filters.parsed(text) for text in request.where]
    if request.tenant is not None:
        conditions.append(filters.Condition("tenant", "=", request.tenant))
    return conditions


def _segments(request: c.QueryRows, desk: Desk) -> Iterator[Placed]:
    """Segments of the kind, window and deployments that the caller may read."""
    wanted = _deployments(request, desk)
    open_to: dict[str | None, bool] = {}
    for where in sealed_rows.segments_between(desk, request.kind, request.start, request.end, request.deployment):
        deployment = where.header.deployment
        if wanted is not None and deployment not in wanted:
            continue
        if deployment not in open_to:
            open_to[deployment] = tenancy.reaches(desk, deployment)
        if open_to[deployment]:
            yield where


def _deployments(request: c.QueryRows, desk: Desk) -> set[str] | None:
    if request.model is None:
        if request.in_env is not None:
            raise Invalid("an environment without a model.", next_step="give model as well.")
        return None
    if desk.ask("registry.model", request.model) is None:
        raise Invalid(f"no model {request.model}.", next_step="`affidavit registry systems` lists the models.")
    return {d["id"] for d in desk.ask("registry.deployments_of", request.model, None, request.in_env)}


def _scan(
    request: c.QueryRows, desk: Desk, where: Placed, conditions: Sequence[filters.Condition], limit: int, found: Found
) -> None:
    segment = sealed_rows.opened(desk, where)
    schema: Schema = segment.schema
    found.segments += 1
    for column in schema.columns:
        found.known.setdefault(column.name, column)
    names = list(request.columns or schema.names)
    first = [
        n
        for n in dict.fromkeys((schema.names[0], "at", "tenant", *(x.column for x in conditions)))
        if n in schema.names
    ]
    rest = [n for n in names if n in schema.names]
    tenants = _tenants(desk, schema)
    gone = found.pending.get((where.header.stream, where.header.first_seq), set())
    checked, start = False, 0
    for group in range(segment.groups):
        probe = segment.table(first, [group])
        hits = _hits(request, schema, probe, conditions, tenants)
        hits = [i for i in hits if start + i not in gone]
        start += probe.num_rows
        if not hits:
            continue
        room = limit - found.rows
        found.more, hits = found.more or len(hits) > room, hits[:room]
        if request.verify and hits:
            checked = checked or _check_root(segment, where)
            _check_leaves(segment.table(None, [group]).take(hits), schema)
        kept = segment.table(rest, [group]).take(hits) if rest else probe.take(hits)
        found.pieces.append(frames.outward(schema, kept, names))
        found.rows += len(hits)
        found.bytes += kept.nbytes
        if found.bytes > MOST_BYTES:
            raise Invalid(
                f"the rows found have more than {MOST_BYTES:,} bytes.", next_step="name fewer columns, or a limit."
            )
        if found.more:
            return


def _tenants(desk: Desk, schema: Schema) -> tuple[str, ...] | None:
    bound = tenancy.tenants(desk)
    if bound is not None and "tenant" not in schema.names:
        raise NotAllowed(f"rows of {schema.kind} name no tenant.", next_step="trace a decision of your tenant instead.")
    return bound


def _hits(
    request: c.QueryRows,
    schema: Schema,
    probe: Any,
    conditions: Sequence[filters.Condition],
    tenants: tuple[str, ...] | None,
) -> list[int]:
    """Row numbers within a group: rows that stand, are inside the window, and meet every condition."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = pc.and_(filters.mask(conditions, schema, probe), pc.is_valid(probe.column(schema.names[0])))
    if "at" in schema.names:
        at, utc = probe.column("at"), pa.timestamp("ms", "UTC")
        bounds: list[tuple[datetime | None, Any]] = [(request.start, pc.greater_equal), (request.end, pc.less)]
        for bound, compare in bounds:
            if bound is not None:
                kept = pc.and_(kept, pc.fill_null(compare(at, pa.scalar(bound, utc)), False))
    if tenants is not None:
        kept = pc.and_(kept, pc.is_in(probe.column("tenant"), pa.array(tenants, pa.string())))
    found: list[int] = pc.indices_nonzero(kept).to_pylist()
    return found


def _check_root(segment: Any, where: Placed) -> bool:
    if "sha256:" + root_of(segment.leaves()).hex() != where.header.root:
        raise Tampered("the leaves do not hash to the sealed root.", next_step="restore it from a backup.")
    return True


def _check_leaves(table: Any, schema: Schema) -> None:
    salts, leaves = b"".join(table.column("salt").to_pylist()), b"".join(table.column("leaf").to_pylist())
    if hash_leaves(*leaf_entries(schema, salts, table.select(schema.names))) != leaves:
        raise Tampered("a row does not hash to its leaf.", next_step="restore it from a backup.")


def _check_names(request: c.QueryRows, conditions: Sequence[filters.Condition], found: Found) -> None:
    """Raise ``Invalid`` for a name that no segment looked at has; without segments only fixed kinds can tell."""
    if not found.known and request.kind in FIXED:
        found.known.update({col.name: col for col in FIXED[request.kind].columns})
    for name in (*request.columns, *(x.column for x in conditions)) if found.known else ():
        if name not in found.known:
            raise Invalid(f"no column {name!r} among the rows of {request.kind}.", next_step=f"columns: {', '.join(found.known)}.")  # fmt: skip
