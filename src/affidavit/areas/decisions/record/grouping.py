"""Sealing protected attributes: under a keyed hash, sorted by it, a thousand decisions at least. Needs numpy and pyarrow.

The sealer owns one stream for each deployment and set of columns, whose rows come from several streams of the spool. So
neither position nor time leads from a group back to its decision; only the join key does, inside the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from affidavit.areas.decisions.record import spool
from affidavit.areas.decisions.record.cuts import Cut, cuts_of, drop_unnamed, stem_of
from affidavit.areas.decisions.record.cutting import Group, aggregates, groups
from affidavit.core.area import Desk
from affidavit.streams import kinds
from affidavit.streams.columnar import arrow_schema, hash_leaves, leaf_entries
from affidavit.streams.ids import stream_id
from affidavit.streams.rows import SALT_BYTES
from affidavit.streams.schema import Schema
from affidavit.streams.sealed import SEGMENT_ROWS, SegmentSealed, Source
from affidavit.streams.segment import GROUP_ROWS, write_segment

if TYPE_CHECKING:
    from affidavit.areas.decisions.record.seal import Sealing, Work

LEAST = 1000
"""Fewest decisions that a segment of protected attributes covers."""
MOST_SOURCES = 40
"""Spool streams that go into one segment: they must fit the entry."""
NAME = "spool.id"


@dataclass(slots=True)
class Taken:
    """Rows taken of a spool stream: from which row on, how many, and whether that is all it holds."""

    work: Work
    parts: list[Group]
    rows: int
    whole: bool

    @property
    def source(self) -> Source:
        """The rows as the header names them."""
        return Source(self.work.name, self.work.next_seq, self.work.next_seq + self.rows - 1)


def seal_groups(works: list[Work], sealing: Sealing) -> None:
    """One segment for each deployment and set of columns that covers enough decisions; the others wait in the spool."""
    sets: dict[tuple[str, tuple[str, ...]], list[Work]] = {}
    for work in works:
        assert work.spooled.first is not None  # noqa: S101 - the caller chose streams with an opening
        sets.setdefault((work.deployment or "", work.spooled.first.schema.names[1:]), []).append(work)
    for (deployment, columns), members in sorted(sets.items()):
        if sealing.full:
            sealing.more = True
            return
        _seal_set(deployment, kinds.groups(n.removeprefix("g.") for n in columns), members, sealing)


def _seal_set(deployment: str, schema: Schema, members: list[Work], sealing: Sealing) -> None:
    desk = sealing.desk
    stream = stream_id(_spool_name(sealing), 0, schema.digest[:16], f"groups\0{deployment}")
    folder = desk.spool / stream
    known = desk.ask("decisions.stream", stream)
    next_seq = known["next_seq"] if known else 0
    cuts = [c for c in cuts_of(folder, next_seq, desk)[:1] if _fits(c, members, desk)]
    if cuts:
        taken = {s.stream: s.last_seq + 1 for s in cuts[0].header.sources}
        if sealing.admit(cuts[0], cuts[0].header.sources):
            sealing.more = True  # what came since is looked at by the next call
            for work in members:
                through = taken.get(work.name, work.next_seq)
                sealing.conclude(work, through, whole=_is_end(work, through))
        return
    chosen = _choose(members)
    decisions = {d for t in chosen for p in t.parts for d in p.table.column("decision").to_pylist()}
    if len(decisions) >= LEAST:
        cut = _cut(deployment, stream, next_seq, schema, [t for t in chosen if t.rows], sealing)
        if not sealing.admit(cut, cut.header.sources):
            return
        sealing.more = sealing.more or any(not t.whole for t in chosen)
    else:
        sealing.waiting += sum(t.rows for t in chosen)
        for t in chosen:
            t.whole, t.rows = t.whole and not t.rows, 0
    for t in chosen:
        sealing.conclude(t.work, t.work.next_seq + t.rows, whole=t.whole)


def _fits(cut: Cut, members: list[Work], desk: Desk) -> bool:
    """Whether a cut made earlier still takes up its streams where the ledger stands; if not, it is made again."""
    at = {work.name: work.next_seq for work in members}
    good = all(at.get(s.stream) == s.first_seq for s in cut.header.sources)
    if not good:
        drop_unnamed(desk, cut.header.file)
        cut.remove()
    return good


def _is_end(work: Work, through: int) -> bool:
    return next(groups(work.spooled, through), None) is None


def _choose(members: list[Work]) -> list[Taken]:
    """Rows of the streams, those that wait longest by size first, until a segment is full."""
    members = sorted(members, key=lambda w: (-sum(f.stat().st_size for f in w.spooled.files), w.name))
    chosen, total = list[Taken](), 0
    for n, work in enumerate(members):
        source, parts, rows, whole = groups(work.spooled, work.next_seq), list[Group](), 0, n < MOST_SOURCES
        while whole and (group := next(source, None)) is not None:
            if total + rows + group.table.num_rows > SEGMENT_ROWS:
                whole = False
                break
            parts.append(group)
            rows += group.table.num_rows
        chosen.append(Taken(work, parts, rows, whole))
        total += rows
    return chosen


def _cut(deployment: str, stream: str, first_seq: int, schema: Schema, chosen: list[Taken], sealing: Sealing) -> Cut:
    """Key the rows, sort them by key, write the segment and fix it as a cut."""
    desk, groups_ = sealing.desk, [p for t in chosen for p in t.parts]
    rows = pa.concat_tables([g.table for g in groups_]).combine_chunks()
    rows, drawn = _without_erased(rows, b"".join(g.salts for g in groups_), desk)
    keys = [desk.group_key(d) for d in rows.column("decision").to_pylist()]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    salts = np.frombuffer(drawn, f"V{SALT_BYTES}")[order].tobytes()
    key = pa.array([keys[n] for n in order], pa.binary(32))
    table = pa.table([key, *rows.take(order).columns[1:]], schema=arrow_schema(schema))
    leaves = b"".join(_leaves(schema, salts, table))
    folder = desk.spool / stream
    stem = stem_of(folder, first_seq)
    stem.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = write_segment(schema, salts, leaves, table, stem.with_suffix(".parquet"), stem.with_suffix(".tree"))
    opening = chosen[0].work.spooled.first
    assert opening is not None  # noqa: S101 - streams with rows have an opening
    end, count = first_seq + len(keys), len(keys)
    header = SegmentSealed(
        stream, "groups", first_seq, end - 1, count, desk.now, desk.now, written.root, schema.digest_text, written.file,
        written.file_bytes, written.tree, opening.opening.recorder, end, end, deployment or None,
        sources=tuple(t.source for t in chosen),
    )  # fmt: skip
    wanted = tuple(k for k in desk.kernels if "groups" in k.kinds)
    cut = Cut(header, stem, aggregates(wanted, [table], schema))
    cut.fix()
    return cut


def _without_erased(rows: Any, salts: bytes, desk: Desk) -> tuple[Any, bytes]:
    """Rows and salts; a row about a decision that an order names becomes one about nobody and keeps its place.

    An erasure cannot find a row in a sealed segment once the id is gone: the key does not lead back to it.
    """
    from affidavit.areas.decisions.erasure.ranges import fingerprint
    from affidavit.areas.decisions.erasure.standing import erased_ids

    erased = erased_ids(desk)
    if not erased:
        return rows, salts
    drawn, table = bytearray(salts), rows.to_pylist()
    for n, row in enumerate(table):
        if fingerprint(row["decision"]) in erased:
            drawn[n * SALT_BYTES : (n + 1) * SALT_BYTES] = desk.key()
            table[n] = dict.fromkeys(row) | {"decision": desk.key()[:16]}
    return pa.Table.from_pylist(table, schema=rows.schema), bytes(drawn)


def _leaves(schema: Schema, salts: bytes, table: Any) -> Iterator[bytes]:
    for at in range(0, table.num_rows, GROUP_ROWS):
        part = salts[at * SALT_BYTES : (at + GROUP_ROWS) * SALT_BYTES]
        yield hash_leaves(*leaf_entries(schema, part, table.slice(at, GROUP_ROWS)))


def _spool_name(sealing: Sealing) -> str:
    """A name drawn once for the spool: two hosts never seal one stream of protected attributes."""
    path: Path = sealing.desk.spool / NAME
    if not path.exists():
        spool.write_durably(path, sealing.desk.key().hex().encode())
    return path.read_text("ascii")
