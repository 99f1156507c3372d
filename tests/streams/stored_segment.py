"""Segments of a small schema with every column type, nulls and odd numbers, for the tests of this folder."""

from __future__ import annotations

import math
import random
from io import BytesIO
from pathlib import Path
from typing import Any

from affidavit.streams.columnar import hash_leaves, leaf_entries, table_of_rows
from affidavit.streams.rows import encode_row
from affidavit.streams.schema import TAG, Column, Schema
from affidavit.streams.segment import GROUP_ROWS, Segment, Written, write_segment

SCHEMA = Schema.of("decisions", [Column("id", "id"), Column("at", "time"), *(Column(f"in.{t}", t) for t in TAG)])  # type: ignore[arg-type]
FLOATS = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.5]


def values(n: int, draw: random.Random) -> list[Any]:
    """A row; a third of its optional values are missing."""
    made = {
        "id": (n << 64 | draw.getrandbits(64)).to_bytes(16), "at": draw.randrange(-(2**40), 2**41), "in.bool": draw.random() < 0.5,
        "in.i64": draw.randrange(-(2**63), 2**63), "in.f64": draw.choice(FLOATS), "in.time": draw.randrange(2**40),
        "in.id": draw.randbytes(16), "in.digest": draw.randbytes(32), "in.str": draw.choice(["", "grün", "x" * 70]),
        "in.bytes": draw.randbytes(draw.randrange(5)),
    }  # fmt: skip
    return [None if name.startswith("in.") and draw.random() < 0.3 else made[name] for name in SCHEMA.names]


def rows(count: int, seed: int = 1) -> list[bytes]:
    """Encoded rows."""
    draw = random.Random(seed)
    return [encode_row(SCHEMA, values(n, draw)) for n in range(count)]


class Stored:
    """A segment of ``count`` rows on the disk."""

    def __init__(self, folder: Path, count: int) -> None:
        self.rows, self.salts = rows(count), random.Random(2).randbytes(32 * count)
        self.table = table_of_rows(SCHEMA, self.rows)
        self.leaves = hash_leaves(*leaf_entries(SCHEMA, self.salts, self.table))
        self.file, self.tree = folder / "s.parquet", folder / "s.tree"
        self.written: Written = write_segment(SCHEMA, self.salts, self.leaves, self.table, self.file, self.tree)

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return bytes.fromhex(self.written.root[7:])

    def open(self, file: bytes | None = None, tree: bytes | None = None) -> Segment:
        """The segment, or one of other bytes."""
        return Segment(
            BytesIO(file or self.file.read_bytes()), BytesIO(self.tree.read_bytes() if tree is None else tree)
        )


__all__ = ["GROUP_ROWS", "SCHEMA", "Stored", "rows", "values"]
