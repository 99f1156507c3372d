"""The spool as erasure sees it: rows not sealed yet, remnants of sealed rows, and how these are destroyed in place.

A writer only appends, so the body of an earlier frame can be overwritten under it: same length, a fitting check sum.
Frames whose rows are all sealed get zeros instead of salt and row; a sealer passes those over. A row of protected
attributes may have to wait for a thousand others: it becomes a row about nobody (another id, blanks) and keeps its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affidavit.areas.decisions.erasure.ranges import Range, fingerprint
from affidavit.areas.decisions.record.spool import QUARANTINE
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError
from affidavit.streams import wal
from affidavit.streams.rows import decode_row, encode_row, leaf_of
from affidavit.streams.schema import Schema

PARQUET = b"PAR1"
DAMAGED = 0
_UUID7 = re.compile(rb"(?=(.{6}[\x70-\x7f].[\x80-\xbf].{7}))", re.DOTALL)
"""What looks like the id of a decision."""
WORKSHOP = "erasing"
"""The folder of the spool that segments are rewritten in."""
WAIT_S = 20.0
"""How long an erasure waits for the sealer to let go of the spool."""
ABOUT = frozenset({"groups", "outcomes", "explanations", "actions"})
"""Kinds whose rows are about the decision in their column ``decision``."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with rows: whose, where, its first row and how many, and how far its stream is sealed.

    ``parked``: it lies in the quarantine and is never sealed; of kind ``DAMAGED`` it is what stands between two frames
    there and cannot be read.
    """

    stream: str
    schema: Schema | None
    file: Path
    offset: int
    kind: int
    body: bytes
    first: int
    count: int
    next_seq: int
    parked: bool

    @property
    def sealed(self) -> bool:
        """Whether every row of it is in a segment."""
        return self.first + self.count <= self.next_seq

    @property
    def payload(self) -> bytes:
        """What is destroyed: salt and row, or the whole batch."""
        if self.kind == DAMAGED:
            return self.body
        return self.body[(wal.ROW_HEAD if self.kind == wal.ROW else wal.BATCH_HEAD).size :]

    @property
    def wiped(self) -> bool:
        """Whether it was overwritten before."""
        return not any(self.payload)

    def rows(self) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
        """``(number, leaf, values)`` of each row that is still there."""
        if self.wiped:
            return
        if self.kind == DAMAGED:
            yield from ((0, b"", {"id": m.group(1)}) for m in _UUID7.finditer(self.body))
            return
        assert self.schema is not None  # noqa: S101 - only what is damaged has none
        if self.kind == wal.ROW:
            seq, salt, row = wal.split_row(self.body)
            yield seq, leaf_of(salt, row), dict(zip(self.schema.names, decode_row(self.schema, row), strict=True))
            return
        yield from _batch_rows(self)


def _batch_rows(frame: Frame) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    import pyarrow as pa

    from affidavit.streams.columnar import hash_leaves, leaf_entries
    from affidavit.streams.segment import fixed_bytes

    assert frame.schema is not None  # noqa: S101 - as above
    table = pa.ipc.open_stream(frame.payload).read_all()
    plain = table.select(list(frame.schema.names))
    leaves = hash_leaves(*leaf_entries(frame.schema, fixed_bytes(table.column("salt")), plain))
    for n, values in enumerate(plain.to_pylist()):
        yield frame.first + n, leaves[32 * n : 32 * n + 32], values


def frames(desk: Desk) -> Iterator[Frame]:
    """Every frame with rows that lies in the spool or its quarantine, sealed or not."""
    for home in (desk.spool, desk.spool / QUARANTINE):
        for folder in sorted(p for p in home.iterdir() if p.is_dir()) if home.is_dir() else []:
            files = wal.files_of(folder)
            stream = folder.name.partition(".")[0]
            known = desk.ask("decisions.stream", stream) if files else None
            for file in files:
                yield from _frames(stream, file, known["next_seq"] if known else 0, parked=home != desk.spool)


def _frames(stream: str, file: Path, next_seq: int, *, parked: bool) -> Iterator[Frame]:
    schema: Schema | None = None
    state: wal.Reading | None = wal.Reading()
    try:
        while state is not None:
            for offset, kind, body in wal.read_frames(file, state):
                if kind == wal.OPEN:
                    schema = wal.parse_opened(body).schema
                elif kind == wal.ROW and schema is not None:
                    yield Frame(stream, schema, file, offset, kind, body, wal.split_row(body)[0], 1, next_seq, parked)
                elif kind == wal.BATCH and schema is not None:
                    first, count, _ = wal.split_batch(body)
                    yield Frame(stream, schema, file, offset, kind, body, first, count, next_seq, parked)
            at = state.offset
            state = None
            if parked and at < file.stat().st_size:
                after = wal.resumes(file, at, schema, 0) if schema is not None else None
                state = wal.Reading(after) if after is not None else None
                yield Frame(stream, schema, file, at, DAMAGED, _between(file, at, after), 0, 0, next_seq, parked)
    except FileNotFoundError:
        return  # the sealer took it meanwhile: its rows are in a segment


def _between(file: Path, start: int, end: int | None) -> bytes:
    with file.open("rb") as source:
        source.seek(start)
        return source.read() if end is None else source.read(end - start)


def unsealed(desk: Desk) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(kind, values)`` of every row that must be sealed before it can be erased.

    Single rows of protected attributes, and what lies in the quarantine, are erased where they are.
    """
    for frame in frames(desk):
        if frame.sealed or frame.parked or frame.schema is None:
            continue
        if (frame.schema.kind, frame.kind) != ("groups", wal.ROW):
            for seq, _, values in frame.rows():
                if seq >= frame.next_seq:
                    yield frame.schema.kind, values


def wipe(desk: Desk, rows: Mapping[str, list[Range]], ids: set[str]) -> int:
    """Overwrite what the spool holds of rows of these streams, and about decisions so fingerprinted; how many frames.

    A batch is overwritten as a whole: all its rows are in segments, or it lies in the quarantine. So is what is damaged
    there and holds an id of these.
    """
    wiped = 0
    for frame in frames(desk):
        if frame.wiped or not _concerned(frame, rows, ids):
            continue
        if frame.sealed or frame.parked:
            _overwrite(frame, bytes(len(frame.payload)))
        elif frame.schema is not None and (frame.schema.kind, frame.kind) == ("groups", wal.ROW):
            _overwrite(frame, _nobody(frame, frame.schema, desk))
        else:
            continue
        wiped += 1
    return wiped


def _concerned(frame: Frame, rows: Mapping[str, list[Range]], ids: set[str]) -> bool:
    last = frame.first + frame.count - 1
    if any(first <= last and frame.first <= end for first, end in rows.get(frame.stream, ())):
        return True
    by_id = frame.parked or (frame.schema is not None and frame.schema.kind == "groups")
    return by_id and any(_print(v) in ids for _, _, v in _readable(frame))


def _readable(frame: Frame) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """The rows of a frame; none of one that is off form, as those of the quarantine may be."""
    try:
        yield from frame.rows()
    except (AffidavitError, ValueError, OSError, LookupError):
        if not frame.parked:
            raise


def _print(values: Mapping[str, Any]) -> str | None:
    """The fingerprint of the decision that a row is or is about."""
    decision = values.get("decision", values.get("id"))
    return fingerprint(decision) if isinstance(decision, bytes) else None


def _nobody(frame: Frame, schema: Schema, desk: Desk) -> bytes:
    """Salt and row of the same length about no decision: a drawn id, blanks for every attribute."""
    _, _, values = next(frame.rows())
    blank = [v and "-" * len(v.encode()) if isinstance(v, str) else v for v in values.values()]
    blank[schema.names.index("decision")] = desk.key()[:16]
    return desk.key() + encode_row(schema, blank)


def _overwrite(frame: Frame, payload: bytes) -> None:
    body = frame.body[: len(frame.body) - len(frame.payload)] + payload
    fd = os.open(frame.file, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(fd, body if frame.kind == DAMAGED else wal.frame(frame.kind, body), frame.offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def found(desk: Desk, leaves: set[bytes], ids: set[str]) -> tuple[int, list[str]]:
    """``(rows read, places)``: where the spool holds a row of these leaves, or one about decisions so fingerprinted."""
    read, places = 0, []
    for frame in frames(desk):
        for seq, leaf, values in _readable(frame):
            read += 1
            by_id = frame.parked or (frame.schema is not None and frame.schema.kind in ABOUT)
            if leaf in leaves or (by_id and _print(values) in ids):
                places.append(f"spool/{frame.stream}/{frame.file.name} row {seq}")
    for file in stray_segments(desk.spool):
        from affidavit.areas.decisions.erasure.scanning import present

        try:
            with file.open("rb") as source:
                held = [leaf for leaf in present(source) if leaf in leaves]
        except (AffidavitError, OSError):
            continue
        places += [f"spool/{file.relative_to(desk.spool)}"] * len(held)
        read += len(held)
    return read, places


def waiting_cut(spool: Path) -> Path | None:
    """A segment that a sealer cut and the ledger does not have yet: it holds rows that are not sealed."""
    aside = (QUARANTINE, WORKSHOP)
    return next((f for f in stray_segments(spool) if f.relative_to(spool).parts[0] not in aside), None)


def stray_segments(spool: Path) -> Iterator[Path]:
    """Parquet files that a sealer or an erasure left in the spool."""
    for file in sorted(p for p in spool.rglob("*") if p.is_file()) if spool.is_dir() else []:
        with file.open("rb") as source:
            if source.read(4) == PARQUET:
                yield file
