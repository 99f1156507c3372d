"""From frames to a segment: rows decoded by the column, hashed and written group by group. Needs numpy and pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affidavit.areas.decisions.record.cuts import Cut, stem_of
from affidavit.areas.decisions.record.spool import Item, Place, Spooled, time_of
from affidavit.core.errors import Invalid
from affidavit.streams import wal
from affidavit.streams.columnar import BadRow, arrow_schema, hash_leaves, leaf_entries, table_of_entries
from affidavit.streams.ids import id_text
from affidavit.streams.kernels import Kernel
from affidavit.streams.rows import SALT_BYTES
from affidavit.streams.schema import Schema
from affidavit.streams.sealed import SEGMENT_ROWS, SegmentSealed
from affidavit.streams.segment import GROUP_ROWS, SegmentWriter, fixed_bytes

CUT_BYTES = 256 << 20
"""A segment ends once its rows take this much, however few they are."""


class Before(NamedTuple):
    """What the ledger knows of a stream's ids: the highest that is sealed, and the id columns of its last segments."""

    highest: bytes = bytes(16)
    columns: Callable[[], list[Any]] = list


class Group(NamedTuple):
    """Rows of one row group: salts and leaves end to end, the columns; bytes of their encoding, gaps before the last row."""

    salts: bytes
    leaves: bytes
    table: Any
    size: int
    missed: int


def groups(spooled: Spooled, start: int, before: Before | None = None) -> Iterator[Group]:
    """The rows of a stream from ``start`` on, ``GROUP_ROWS`` at a time; the last group may be short. ``before`` knows ids sealed earlier.

    A row that cannot be read, or repeats an id, ends the stream (``spooled.fail``); the rows before it are given.
    """
    gather = _Gather(spooled, before or Before())
    for item in spooled.items():
        if item.seq + item.rows <= start:
            continue
        if item.kind == wal.ROW:
            gather.row(item)
        else:
            gather.batch(item, max(start - item.seq, 0))
        yield from gather.full()
        if spooled.bad is not None:
            break
    gather.flush()
    yield from gather.full(everything=True)


class _Gather:
    """Collects rows until a group is full."""

    def __init__(self, spooled: Spooled, before: Before) -> None:
        assert spooled.first is not None  # noqa: S101 - a stream with rows has an opening
        self._spooled, self._schema = spooled, spooled.first.schema
        self._run: list[Item] = []
        self._missed = spooled.missed
        self._parts: list[Group] = []
        self._rows = 0
        self._ids = _Ids(self._schema, before)

    def row(self, item: Item) -> None:
        self._run.append(item)
        self._missed = self._spooled.missed
        if self._rows + len(self._run) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Decode the rows that came one by one."""
        run, self._run = self._run, []
        if not run:
            return
        entries = [item.body for item in run]
        try:
            table, data, offsets = table_of_entries(self._schema, entries)
        except BadRow as e:
            self._spooled.fail(run[e.index].place, e.problem)
            self._run = run[: e.index]
            self.flush()
            return
        salts = b"".join([e[:SALT_BYTES] for e in entries])
        self._take(salts, table, data, offsets, [item.place for item in run])

    def batch(self, item: Item, skip: int) -> None:
        """Take a batch frame, without its first ``skip`` rows."""
        self.flush()
        if self._spooled.bad is not None:
            return
        self._missed = self._spooled.missed
        try:
            salts, table = _read_batch(self._schema, item)
        except (Invalid, pa.ArrowException, OSError, ValueError, MemoryError) as e:
            self._spooled.fail(item.place, f"a batch that cannot be read: {e}")
            return
        at = skip
        while at < item.rows and self._spooled.bad is None:
            count = GROUP_ROWS - self._rows % GROUP_ROWS
            part, salt = table.slice(at, count), salts[at * SALT_BYTES : (at + count) * SALT_BYTES]
            self._take(salt, part, *leaf_entries(self._schema, salt, part), [item.place] * part.num_rows)
            at += count

    def _take(self, salts: bytes, table: Any, data: bytes, offsets: Any, places: list[Place]) -> None:
        fault = self._ids.fault(table)
        if fault is not None:
            index, reason = fault
            self._spooled.fail(places[index], reason)
            table, offsets, salts = table.slice(0, index), offsets[: index + 1], salts[: index * SALT_BYTES]
        if table.num_rows:
            self._parts.append(Group(salts, hash_leaves(data, offsets), table, int(offsets[-1]), self._missed))
            self._rows += table.num_rows

    def full(self, *, everything: bool = False) -> Iterator[Group]:
        """The groups that are full, or all there is."""
        while self._rows >= GROUP_ROWS or (everything and self._rows):
            parts, count = [], 0
            while self._parts and count < GROUP_ROWS:  # parts never cross the border of a group
                parts.append(self._parts.pop(0))
                count += parts[-1].table.num_rows
            self._rows -= count
            yield parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Group]) -> Group:
    table = pa.concat_tables([p.table for p in parts]).combine_chunks()
    salts, leaves = b"".join(p.salts for p in parts), b"".join(p.leaves for p in parts)
    return Group(salts, leaves, table, sum(p.size for p in parts), parts[-1].missed)


def _read_batch(schema: Schema, item: Item) -> tuple[bytes, Any]:
    """``(salts, table)`` of a batch frame; columns, types, count and every offset and text are checked."""
    with pa.ipc.open_stream(pa.py_buffer(item.body)) as reader:
        table = reader.read_all()
    wanted = pa.schema([pa.field("salt", pa.binary(SALT_BYTES)), *arrow_schema(schema)])
    if set(table.column_names) != set(wanted.names) or len(table.column_names) != len(wanted):
        raise Invalid("its columns are not those of the stream.")
    table = table.select(wanted.names)
    if not table.schema.remove_metadata().equals(wanted) or table.num_rows != item.rows:
        raise Invalid(f"{table.num_rows} rows of other types, {item.rows} of the stream's schema were announced.")
    table.validate(full=True)
    if table.column("salt").null_count:
        raise Invalid("a row without a salt.")
    table = table.combine_chunks()
    return fixed_bytes(table.column("salt")), table.drop_columns(["salt"])


class _Ids:
    """Which ids stood in a stream lately: ids ascend by construction, so one that does not is looked up."""

    def __init__(self, schema: Schema, before: Before) -> None:
        self._before = before
        self._column = "id" if "id" in schema.names else "decision" if schema.kind == "groups" else None
        self._unique = self._column == "id"
        self._last = _pair(before.highest)
        self._seen: list[bytes] = []

    def fault(self, table: Any) -> tuple[int, str] | None:
        """The first row whose id is missing or stood before, and why."""
        if self._column is None or not table.num_rows:
            return None
        column = table.column(self._column)
        if column.null_count:
            return int(pc.index(column.is_null(), True).as_py()), f"a row without {self._column}."
        if not self._unique:
            return None
        body = fixed_bytes(column)
        pairs = np.frombuffer(body, ">u8").reshape(-1, 2)
        high, low = pairs[:, 0], pairs[:, 1]
        ascends = bool(((high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))).all())
        fresh = ascends and (int(high[0]), int(low[0])) > self._last
        self._seen = [*self._seen[-(2 * SEGMENT_ROWS // GROUP_ROWS) :], body]
        self._last = max(self._last, (int(high[-1]), int(low[-1])))
        return None if fresh else self._repeated(table.num_rows)

    def _repeated(self, rows: int) -> tuple[int, str] | None:
        every = [body[at : at + 16] for body in self._seen for at in range(0, len(body), 16)]
        known, new = set(every[:-rows]), every[-rows:]
        sealed = self._sealed(new)
        for n, value in enumerate(new):
            if value in known or value in sealed:
                return n, f"the id {id_text(value)} stands twice."
            known.add(value)
        self._last = max(self._last, *map(_pair, new))
        return None

    def _sealed(self, ids: list[bytes]) -> set[bytes]:
        """Those of the ids that the stream's last sealed segments hold; asked for ids that could be there alone."""
        old = pa.array([v for v in ids if v <= self._before.highest], pa.binary(16))
        if not len(old):
            return set()
        return {v for column in self._before.columns() for v in old.filter(pc.is_in(old, value_set=column)).to_pylist()}


def _pair(value: bytes) -> tuple[int, int]:
    return int.from_bytes(value[:8]), int.from_bytes(value[8:])


@dataclass(slots=True)
class Measured:
    """What a header says of its rows, gathered while they pass."""

    rows: int = 0
    size: int = 0
    missed: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    id_min: bytes | None = None
    id_max: bytes | None = None

    def see(self, group: Group) -> None:
        """Take in a group."""
        self.rows += group.table.num_rows
        self.size, self.missed = self.size + group.size, group.missed
        if "at" in group.table.column_names:
            low, high = _bounds(group.table.column("at").cast(pa.int64()))
            self.first_ms, self.last_ms = _least(self.first_ms, low), _most(self.last_ms, high)
        if "id" in group.table.column_names:
            low, high = _bounds(group.table.column("id").cast(pa.binary()))
            self.id_min, self.id_max = _least(self.id_min, low), _most(self.id_max, high)


def _bounds(column: Any) -> tuple[Any, Any]:
    found = pc.min_max(column).as_py()
    return found["min"], found["max"]


def _least(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else min(one, other)


def _most(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else max(one, other)


def cut_stream(
    spooled: Spooled, source: Iterator[Group], first_seq: int, now: datetime, kernels: tuple[Kernel, ...],
) -> Cut | None:  # fmt: skip
    """Write the next segment of a stream and fix it as a cut; None if there are no rows."""
    assert spooled.first is not None  # noqa: S101 - a stream with rows has an opening
    o, schema, measured = spooled.first.opening, spooled.first.schema, Measured()
    group = next(source, None)
    if group is None:
        return None
    stem = stem_of(spooled.folder, first_seq)
    stem.parent.mkdir(exist_ok=True, mode=0o700)
    wanted = tuple(k for k in kernels if schema.kind in k.kinds)
    writer, tables = SegmentWriter(schema, stem.with_suffix(".parquet")), []
    try:
        while group is not None:
            writer.add(group.salts, group.leaves, group.table)
            measured.see(group)
            tables += [group.table] if wanted else []
            full = measured.rows >= SEGMENT_ROWS or measured.size >= CUT_BYTES
            group = None if full else next(source, None)
        written = writer.close(stem.with_suffix(".tree"))
    except BaseException:
        writer.discard()
        raise
    recorded = first_seq + measured.rows
    decisions = schema.kind == "decisions"
    header = SegmentSealed(
        o.stream, schema.kind, first_seq, recorded - 1, measured.rows,
        now if measured.first_ms is None else time_of(measured.first_ms),
        now if measured.last_ms is None else time_of(measured.last_ms),
        written.root, schema.digest_text, written.file, written.file_bytes, written.tree, o.recorder,
        recorded + measured.missed, recorded, o.deployment,
        id_text(measured.id_min) if decisions and measured.id_min else None,
        id_text(measured.id_max) if decisions and measured.id_max else None,
    )  # fmt: skip
    cut = Cut(header, stem, aggregates(wanted, tables, schema))
    cut.fix()
    return cut


def aggregates(kernels: tuple[Kernel, ...], tables: list[Any], schema: Schema) -> dict[str, Any]:
    """What the kernels make of a segment's table, by ``name@digest``; a kernel that fails says so and stops nothing."""
    if not kernels:
        return {}
    table, found = pa.concat_tables(tables), dict[str, Any]()
    for kernel in kernels:
        try:
            found[f"{kernel.name}@{kernel.digest}"] = dict(kernel.run(table, schema))
        except Exception as e:  # noqa: BLE001 - a kernel's fault must not keep rows out of the ledger
            found[f"{kernel.name}@{kernel.digest}"] = {"failed": type(e).__name__}
    return found
