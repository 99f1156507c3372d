"""Reads what recorders left in a spool, as a sealer would: frames, rows, counts, and where a file is damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affidavit.core import canonical
from affidavit.streams import wal
from affidavit.streams.ids import id_text
from affidavit.streams.rows import decode_row


@dataclass
class Stream:
    """One stream: its opening, rows by number, gaps, end, and how its files stopped."""

    folder: Path
    opened: Any = None
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    raw: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    stops: list[str] = field(default_factory=list)
    batches: int = 0

    @property
    def kind(self) -> str:
        return self.opened.opening.kind

    @property
    def ids(self) -> list[str]:
        name = "id" if "id" in self.opened.schema.names else "decision"
        return [id_text(self.rows[n][name]) for n in sorted(self.rows)]

    def add(self, seq: int, values: dict[str, Any]) -> None:
        if seq in self.rows:
            self.twice.append(seq)
        self.rows[seq] = values


def _batch(stream: Stream, body: bytes) -> None:
    import pyarrow as pa

    first, count, data = wal.split_batch(body)
    table = pa.ipc.open_stream(data).read_all()
    assert table.num_rows == count
    assert table.schema.names == ["salt", *stream.opened.schema.names]
    stream.batches += 1
    salts = table.column("salt").to_pylist()
    assert len(set(salts)) == count
    for n, values in enumerate(table.drop_columns(["salt"]).to_pylist()):
        stream.add(first + n, values)


def read_stream(folder: Path) -> Stream:
    """A stream of a spool."""
    stream = Stream(folder)
    for file in wal.files_of(folder):
        state = wal.Reading()
        for _, kind, body in wal.read_frames(file, state):
            if kind == wal.OPEN:
                opened = wal.parse_opened(body)
                assert opened.opening.first_seq == len(stream.rows)
                stream.opened = stream.opened or opened
            elif kind == wal.ROW:
                seq, salt, row = wal.split_row(body)
                stream.raw[seq] = salt, row
                stream.add(
                    seq, dict(zip(stream.opened.schema.names, decode_row(stream.opened.schema, row), strict=True))
                )
            elif kind == wal.BATCH:
                _batch(stream, body)
            elif kind == wal.GAP:
                stream.gaps.append(canonical.decode(body))
            elif kind == wal.CLOSE:
                stream.end = canonical.decode(body)
        stream.stops.append(state.stop)
    return stream


def streams(spool: Path, kind: str = "decisions") -> list[Stream]:
    """The streams of a kind, in the order of their folders; folders without an opening are left out."""
    found = [read_stream(p) for p in sorted(spool.iterdir()) if p.is_dir() and wal.files_of(p)]
    return [s for s in found if s.opened is not None and s.kind == kind]


def stream(spool: Path, kind: str = "decisions") -> Stream:
    """The only stream of a kind."""
    (found,) = streams(spool, kind)
    return found
