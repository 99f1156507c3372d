"""Streams as a recorder leaves them, written frame by frame so that a test can spoil any of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from affidavit.core import canonical
from affidavit.streams import kinds, wal
from affidavit.streams.columnar import arrow_schema
from affidavit.streams.ids import Minter
from affidavit.streams.rows import encode_row
from affidavit.streams.schema import Column, Schema
from affidavit.streams.writer import StreamWriter, boot_id

SCHEMA = kinds.decisions([Column("in.a", "f64"), Column("in.s", "str")], [Column("out", "f64")])
DEPLOYMENT = "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d"
START_MS = 1_767_603_600_000


def row(minter: Minter, n: int, **changes: Any) -> dict[str, Any]:
    """A decision of the tests' schema; ``changes`` by column name."""
    return {
        "id": minter.mint(START_MS + n, os.urandom(8)), "at": START_MS + n, "deployment": bytes(16), "version": bytes(32),
        "configuration": bytes(32), "adverse": n % 3 == 0, "in.a": float(n), "in.s": "ab"[n % 2], "out": n / 7,
        "caller": "portal", **changes,
    }  # fmt: skip


def values(schema: Schema, given: dict[str, Any]) -> list[Any]:
    """The row in the schema's order."""
    return [given.get(name) for name in schema.names]


class Recording:
    """A stream written by hand: each method appends one frame, in order unless told otherwise."""

    def __init__(self, spool: Path, origin: str, *, schema: Schema = SCHEMA, deployment: str | None = DEPLOYMENT,
                 name: str | None = None, **opening: Any) -> None:  # fmt: skip
        given = {"model": "employment", "number": 1, "env": "production"} if deployment else {}
        writer = StreamWriter(spool, schema, origin, deployment=deployment, **given)
        writer.abandon()
        self.schema, self.folder, self.minter = schema, writer.folder, Minter()
        self.file, self.seq, self.missed = wal.files_of(self.folder)[0], 0, 0
        self.ids: list[bytes] = []
        if name or opening:
            self._reopen(name, opening)

    def _reopen(self, name: str | None, opening: dict[str, Any]) -> None:
        from dataclasses import replace

        found = wal.parse_opened(next(wal.read_frames(self.file, wal.Reading()))[2])
        changed = replace(found, opening=replace(found.opening, **opening))
        self.file.write_bytes(wal.frame(wal.OPEN, changed.encode()))
        if name:
            self.folder = self.folder.rename(self.folder.with_name(name))
            self.file = self.folder / self.file.name

    def frame(self, kind: int, body: bytes) -> Recording:
        """Append a frame."""
        with self.file.open("ab") as sink:
            sink.write(wal.frame(kind, body))
        return self

    def raw(self, body: bytes) -> Recording:
        """Append bytes that are no frame."""
        with self.file.open("ab") as sink:
            sink.write(body)
        return self

    def rows(self, count: int, **changes: Any) -> Recording:
        """Append rows one by one."""
        for _ in range(count):
            given = row(self.minter, self.seq, **changes)
            self.ids.append(given.get("id", b""))
            body = wal.row_body(self.seq, os.urandom(32), encode_row(self.schema, values(self.schema, given)))
            self.frame(wal.ROW, body)
            self.seq += 1
        return self

    def batch(self, count: int, *, table: Any = None, salts: Any = None, announce: int | None = None) -> Recording:
        """Append rows in one batch frame."""
        given = [row(self.minter, self.seq + n) for n in range(count)]
        self.ids += [g["id"] for g in given]
        if table is None:
            columns = {c.name: [g.get(c.name) for g in given] for c in self.schema.columns}
            table = pa.table(columns, schema=arrow_schema(self.schema))
        salt = pa.array([os.urandom(32) for _ in range(count)], pa.binary(32)) if salts is None else salts
        self.frame(wal.BATCH, wal.BATCH_HEAD.pack(self.seq, announce or count) + ipc(table.add_column(0, "salt", salt)))
        self.seq += count
        return self

    def gap(self, missed: int) -> Recording:
        """Append a gap."""
        self.missed += missed
        at = START_MS + self.seq
        return self.frame(
            wal.GAP, canonical.encode({"at": at, "end": at, "missed": missed, "start": at, "why": "disk-full"})
        )

    def close(self, rows: int | None = None) -> Recording:
        """Append the orderly end."""
        count = self.seq if rows is None else rows
        body = {"at": START_MS + self.seq, "missed": self.missed, "rows": count, "served": count + self.missed}
        return self.frame(wal.CLOSE, canonical.encode(body))

    def next_file(self) -> Recording:
        """Begin the next file of the stream."""
        from dataclasses import replace

        found = wal.parse_opened(next(wal.read_frames(wal.files_of(self.folder)[0], wal.Reading()))[2])
        number = int(self.file.stem) + 1
        self.file = self.folder / f"{number:06d}{wal.SUFFIX}"
        opening = replace(found.opening, file=number, first_seq=self.seq)
        return self.frame(wal.OPEN, replace(found, opening=opening).encode())


def ipc(table: Any) -> bytes:
    """An Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


__all__ = ["DEPLOYMENT", "SCHEMA", "START_MS", "Recording", "boot_id", "ipc", "row", "values"]
