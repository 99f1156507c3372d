"""Late facts about decisions wherever they are: rows of the spool that wait for a seal, and sealed rows.

The spool is read first: a row that is sealed meanwhile is then found twice, never missed; its place (stream, number)
tells. Sealed files are hashed against the digest that stands for them before they are parsed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.look.tenancy import tenants
from affidavit.areas.decisions.record.spool import stream_folders
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.errors import Invalid, NotFound, Refused, StoreDown
from affidavit.streams import wal
from affidavit.streams.ids import id_bytes, id_text
from affidavit.streams.rows import decode_row
from affidavit.streams.schema import WIDTH, Schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLACK = timedelta(days=1)
"""How far a late fact's clock may lie behind the decision's."""


@cache
def place_of(schema: Schema, column: str) -> slice:
    """Where the value of a column of fixed width stands in an encoded row: after schema digest, columns before it, tag."""
    index = [c.name for c in schema.fixed].index(column)
    start = 33 + sum(1 + WIDTH[c.type] for c in schema.fixed[:index])
    return slice(start, start + WIDTH[schema.fixed[index].type])


def ms_of(at: datetime) -> int:
    """Milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def moment(ms: int) -> datetime:
    """The time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded decision, sealed or not: its values by column, times in milliseconds."""

    id: str
    values: dict[str, Any]

    @property
    def at(self) -> datetime:
        """When it was made."""
        return moment(self.values["at"])

    @property
    def deployment(self) -> str | None:
        """The deployment that made it; None for a row that stands for none (a canary)."""
        found = self.values.get("deployment")
        return id_text(found) if found else None


# ---------------------------------------------------------------- the spool


def spooled(desk: Desk, kind: str) -> Iterator[tuple[wal.Opened, int, Any]]:
    """``(opening, number, row)`` of the spool's streams of a kind: row bytes, or an Arrow table of rows from that number on.

    Rows that are sealed already may be among them.
    """
    for folder in stream_folders(desk.spool):
        for file in wal.files_of(folder):
            opened: wal.Opened | None = None
            try:
                for _, type_, body in wal.read_frames(file, wal.Reading()):
                    if type_ == wal.OPEN:
                        opened = _opened(body)
                    if opened is None or (opened.opening.kind, opened.opening.origin) != (kind, desk.origin):
                        break
                    if type_ == wal.ROW:
                        seq, _, row = wal.split_row(body)
                        yield opened, seq, row
                    elif type_ == wal.BATCH:
                        first, _, arrow = wal.split_batch(body)
                        table = _table(opened.schema, arrow)
                        if table is not None:
                            yield opened, first, table
            except StoreDown:
                if file.exists():
                    raise  # one that is gone was sealed meanwhile


def _opened(body: bytes) -> wal.Opened | None:
    """The opening of a file; None for one off form, which the sealer sets aside."""
    try:
        return wal.parse_opened(body)
    except Invalid:
        return None


def _table(schema: Schema, arrow: bytes) -> Any:
    """The rows of a batch frame without their salts; None for one off form, which the sealer sets aside."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(arrow).read_all().select(list(schema.names))
    except (pa.ArrowException, OSError, KeyError):
        return None


def spooled_decision(desk: Desk, decision: str) -> Decision | None:
    """A decision that waits for its seal, or None."""
    wanted = id_bytes(decision)
    for opened, _, row in spooled(desk, "decisions"):
        schema = opened.schema
        if isinstance(row, bytes):
            if row[place_of(schema, "id")] == wanted:
                return Decision(decision, dict(zip(schema.names, decode_row(schema, row), strict=True)))
        else:
            import pyarrow as pa
            import pyarrow.compute as pc

            index = pc.index(row.column("id"), pa.scalar(wanted, pa.binary(16))).as_py()
            if index >= 0:
                return Decision(decision, _plain(row.slice(index, 1))[0])
    return None


def _plain(table: Any) -> list[dict[str, Any]]:
    """Rows of a table by column, times as milliseconds."""
    import pyarrow as pa

    plain = table.cast(
        pa.schema([pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in table.schema])
    )
    found: list[dict[str, Any]] = plain.to_pylist()
    return found


# ---------------------------------------------------------------- decisions


def located(desk: Desk, decision: str) -> Decision:
    """A decision by id, sealed or waiting for its seal.

    Raises ``NotFound`` (also for one of a tenant that the caller does not see), ``Refused`` if it was
    erased, ``Invalid`` for a malformed id.
    """
    found = _sealed(desk, decision) or spooled_decision(desk, decision) or _sealed(desk, decision)
    bound = tenants(desk)
    if found is None or (bound is not None and found.values.get("tenant") not in bound):
        raise NotFound(f"no decision {decision}.", next_step="give the id that recording the decision returned.")
    return found


def _sealed(desk: Desk, decision: str) -> Decision | None:
    try:
        row = sealed_rows.find(desk, decision)
    except NotFound as e:
        if not e.problem.startswith("no sealed decision"):
            raise  # sealed, and its file is missing
        return None
    if row.row is None:
        raise Refused("erased", f"decision {decision} was erased.", next_step="nothing can be done about it any more.")
    return Decision(decision, row.values)


def known(desk: Desk, wanted: Iterable[bytes]) -> set[bytes]:
    """Those of the ids that are decisions the caller may see, sealed or in the spool.

    Reads the columns id and tenant of the segments that may hold one.
    """
    asked, bound = set(wanted), tenants(desk)
    left = set(asked)
    _drop_sealed(desk, left, bound)
    if left:
        for opened, _, row in spooled(desk, "decisions"):
            if not isinstance(row, bytes):
                left -= _visible(row, bound)
            elif (found := row[place_of(opened.schema, "id")]) in left:
                values = dict(zip(opened.schema.names, decode_row(opened.schema, row), strict=True))
                left -= {found} if bound is None or values["tenant"] in bound else set()
    if left:  # sealed between the two looks
        _drop_sealed(desk, left, bound)
    return asked - left


def _drop_sealed(desk: Desk, left: set[bytes], bound: tuple[str, ...] | None) -> None:
    least, most = id_text(min(left)), id_text(max(left))
    for where in sealed_rows.segments_between(desk, "decisions"):
        low, high = where.header.id_min, where.header.id_max
        if left and low is not None and high is not None and high >= least and low <= most:
            left -= _visible(sealed_table(desk, where, ["id", "tenant"]), bound)


def _visible(table: Any, bound: tuple[str, ...] | None) -> set[bytes]:
    """The ids of a table's rows; of some tenants alone if the caller is bound to them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if bound is not None:
        table = table.filter(pc.is_in(table.column("tenant"), pa.array(bound, pa.string())))
    return set(table.column("id").to_pylist())


# ---------------------------------------------------------------- late rows


def sealed_table(desk: Desk, where: Placed, columns: list[str] | None = None) -> Any:
    """Columns of a sealed segment, its file hashed against its digest first; named columns that it lacks are left out.

    Raises ``Tampered``, ``NotFound`` for a missing file.
    """
    from affidavit.streams.segment import Segment

    try:
        stored = desk.segment(where.file)
    except NotFound:
        raise NotFound(
            f"segment {where.header.id} is sealed and its file {where.file} is missing.",
            next_step="restore it from a backup; `affidavit decisions verify-segments` lists what is missing.",
        ) from None
    with stored as source:
        segment = Segment(io.BytesIO(read_verified(source, where.file, f"segment {where.header.id}")))
    names = segment.schema.names
    return segment.table([c for c in columns if c in names] if columns is not None else list(names))


def late_rows(
    desk: Desk, kind: str, since: datetime | None = None, about: set[bytes] | None = None
) -> list[dict[str, Any]]:
    """Rows of a late kind (actions, outcomes) about some decisions or all, by time, then place: ``(stream, number)``.

    ``since`` leaves out segments whose rows are all older; times are milliseconds. ``process`` is the deployment whose
    serving process wrote the row of its own accord, None where this service did.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for opened, seq, row in spooled(desk, kind):
        names, o = opened.schema.names, opened.opening
        try:
            rows = (
                [dict(zip(names, decode_row(opened.schema, row), strict=True))]
                if isinstance(row, bytes)
                else _plain(row)
            )
        except Invalid:
            continue  # no row of this kind: the sealer sets its stream aside
        for n, values in enumerate(rows):
            if about is None or values["decision"] in about:
                found[(o.stream, seq + n)] = {**{c: values.get(c) for c in names}, "process": o.deployment}
    for where in sealed_rows.segments_between(desk, kind, since):
        _add_sealed(desk, where, about, found)
    whole = {place: row | {"at": row["at"] or 0} for place, row in found.items() if row["decision"] is not None}
    return [whole[place] for place in sorted(whole, key=lambda p: (whole[p]["at"], p))]


def _add_sealed(
    desk: Desk, where: Placed, about: set[bytes] | None, found: dict[tuple[str, int], dict[str, Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    table, header = sealed_table(desk, where), where.header
    column = table.column("decision")
    wanted = pc.is_valid(column)
    if about is not None:
        wanted = pc.is_in(column, pa.array(sorted(about), pa.binary(16)))
    places = pc.indices_nonzero(wanted).to_pylist()
    for index, values in zip(places, _plain(table.filter(wanted)), strict=True):
        found[(header.stream, header.first_seq + index)] = values | {"process": header.deployment}
