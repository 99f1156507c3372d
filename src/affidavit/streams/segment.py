"""A segment: one Parquet file of rows with ``salt`` and ``leaf``, and the tiles of its tree beside it. Needs pyarrow.

The file is a locator; the header commits to the tree. An erased row has nulls in every column but ``leaf``.
Tiles: the hashes of level 8, then those of level 16, each complete subtree 32 bytes; the leaves are the column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.streams.columnar import arrow_schema, pack_hashes, row_values
from affidavit.streams.rows import encode_row, leaf_of
from affidavit.streams.schema import Schema, parse_schema

GROUP_ROWS = 4096
"""Rows of a row group: what finding one row reads. A multiple of 256."""
TILE = 256
META = b"affidavit.schema"
_RESTORE = "restore the segment from a backup, or declare its rows lost."


@dataclass(frozen=True, slots=True)
class Written:
    """A segment on disk: root over its leaves, digests and sizes of file and tiles."""

    root: str
    file: str
    file_bytes: int
    tree: str


@dataclass(frozen=True, slots=True)
class Found:
    """One row of a segment: its place, its leaf hash, and salt and row, None when erased."""

    index: int
    leaf: bytes
    salt: bytes | None
    row: bytes | None


def tiles_of(leaves: bytes) -> bytes:
    """The tiles above a segment's leaves: levels 8 and 16, complete subtrees only."""
    levels, row = [], leaves
    for _ in range(2):
        for _ in range(8):
            row = merkle.parents(row)
        levels.append(row)
    return b"".join(levels)


def root_of(leaves: bytes) -> bytes:
    """The Merkle root over concatenated leaf hashes."""
    row = leaves
    while len(row) > 32:
        odd = row[-32:] if (len(row) // 32) % 2 else b""
        row = merkle.parents(row) + odd
    return row


def write_segment(schema: Schema, salts: bytes | None, leaves: bytes, table: Any, file: Path, tree: Path, *,
                  salt_column: Any = None) -> Written:  # fmt: skip
    """Write Parquet file and tiles, both fsynced. ``salt_column`` stands for ``salts`` where some are erased (null)."""
    salt = pack_hashes(salts) if salts is not None else salt_column
    full = pa.table(
        [salt, pack_hashes(leaves), *table.columns],
        schema=pa.schema([pa.field("salt", pa.binary(32)), pa.field("leaf", pa.binary(32)), *arrow_schema(schema)],
                         metadata={META: schema.encode()}),
    )  # fmt: skip
    strings = [c.name for c in schema.columns if c.type == "str"]
    with file.open("wb") as sink:
        pq.write_table(full, sink, row_group_size=GROUP_ROWS, compression="zstd", use_dictionary=strings,
                       write_statistics=["id", "at"], store_schema=True)  # fmt: skip
        _sync(sink)
    with tree.open("wb") as sink:
        sink.write(tiles_of(leaves))
        _sync(sink)
    return Written("sha256:" + root_of(leaves).hex(), *_digest(file), _digest(tree)[0])


def _sync(sink: BinaryIO) -> None:
    import os

    sink.flush()
    os.fsync(sink.fileno())


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as source:
        state = hashlib.file_digest(source, "sha256")
        return "sha256:" + state.hexdigest(), source.tell()


class Segment:
    """A stored segment, read in part. ``tree`` may be None where no path is asked for.

    Raises ``Tampered`` where a file is no segment or its leaves do not fit its rows; nothing is trusted before the
    path from a leaf to the header's root was checked.
    """

    def __init__(self, file: BinaryIO, tree: BinaryIO | None = None) -> None:
        try:
            self._parquet = pq.ParquetFile(file)
            meta = self._parquet.schema_arrow.metadata or {}
            self.schema = parse_schema(meta[META])
        except (pa.ArrowException, OSError, KeyError, Invalid) as e:
            raise Tampered(f"a segment's file is no segment: {e}.", next_step=_RESTORE) from None
        self._tree = tree
        self.rows: int = self._parquet.metadata.num_rows

    def find(self, decision: bytes, column: str = "id") -> int | None:
        """The index of the row whose id column holds ``decision``, or None. Reads the id column of candidate groups."""
        start = 0
        position = self._position(column)
        for group in range(self._parquet.num_row_groups):
            meta = self._parquet.metadata.row_group(group)
            stats = meta.column(position).statistics
            if stats is None or not stats.has_min_max or stats.min <= decision <= stats.max:
                hit = pc.index(self._group(group, [column]).column(0), pa.scalar(decision, pa.binary(16))).as_py()
                if hit >= 0:
                    return start + int(hit)
            start += meta.num_rows
        return None

    def row(self, index: int) -> Found:
        """One row with its leaf. Raises ``Tampered`` if salt and row do not hash to the leaf."""
        group, within = self._group_of(index)
        table = self._group(group, None)
        leaf = table.column("leaf")[within].as_py()
        salt = table.column("salt")[within].as_py()
        if leaf is None:
            raise Tampered(f"row {index} of a segment has no leaf.", next_step=_RESTORE)
        if salt is None:
            return Found(index, leaf, None, None)
        row = encode_row(self.schema, row_values(self.schema, table, within))
        if leaf_of(salt, row) != leaf:
            raise Tampered(f"row {index} of a segment does not hash to its leaf.", next_step=_RESTORE)
        return Found(index, leaf, salt, row)

    def path(self, index: int) -> list[bytes]:
        """The inclusion path of a row in the segment's tree, leaf to root (RFC 6962 2.1.1)."""
        if self._tree is None:
            raise NotFound("the segment's tiles are not at hand.", next_step="restore them from a backup.")
        spans = merkle.inclusion_spans(index, self.rows)
        return [merkle.span_root(span, self._node) for span in spans]

    def leaves(self) -> bytes:
        """Every leaf hash, end to end."""
        groups = range(self._parquet.num_row_groups)
        return b"".join(b"".join(self._group(g, ["leaf"]).column(0).to_pylist()) for g in groups)

    def table(self, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None) -> Any:
        """Columns of the rows as an Arrow table; every column, ``salt`` and ``leaf`` included, if none are named."""
        wanted = range(self._parquet.num_row_groups) if groups is None else groups
        return pa.concat_tables([self._group(g, list(columns) if columns is not None else None) for g in wanted])

    def _position(self, column: str) -> int:
        return int(self._parquet.schema_arrow.get_field_index(column))

    def _group(self, group: int, columns: list[str] | None) -> Any:
        try:
            return self._parquet.read_row_group(group, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as e:
            raise Tampered(f"a segment's file is damaged: {e}.", next_step=_RESTORE) from None

    def _group_of(self, index: int) -> tuple[int, int]:
        start = 0
        for group in range(self._parquet.num_row_groups):
            count = self._parquet.metadata.row_group(group).num_rows
            if index < start + count:
                return group, index - start
            start += count
        raise NotFound(f"no row {index}; the segment has {self.rows}.", next_step="give a smaller index.")

    def _node(self, height: int, index: int) -> bytes:
        """The root of leaves ``[index * 2^height, (index + 1) * 2^height)``."""
        if height < 8:
            first = index << height
            tile = self._tile_leaves(first // TILE)
            row = tile[(first % TILE) * 32 : (first % TILE + (1 << height)) * 32]
        else:
            level = 8 if height < 16 else 16
            row = self._tile(level, index << (height - level), 1 << (height - level))
        return merkle.perfect_root(row)

    def _tile(self, level: int, first: int, count: int) -> bytes:
        start = first if level == 8 else (self.rows >> 8) + first
        assert self._tree is not None  # noqa: S101 - path() asked before
        self._tree.seek(start * 32)
        return self._tree.read(count * 32)

    def _tile_leaves(self, tile: int) -> bytes:
        group, within = self._group_of(tile * TILE)
        column = self._group(group, ["leaf"]).column(0).slice(within, TILE)
        return b"".join(column.to_pylist())
