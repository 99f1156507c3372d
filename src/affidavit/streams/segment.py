"""A segment: one Parquet file of rows with ``salt`` and ``leaf``, and the tiles of its tree beside it. Needs pyarrow.

The file is a locator; the header commits to the tree. An erased row has nulls in every column but ``leaf``.
Tiles: the hashes of level 8, then those of level 16, each complete subtree 32 bytes; the leaves are the column.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.streams.columnar import arrow_schema, pack_hashes, row_values
from affidavit.streams.rows import encode_row, leaf_of
from affidavit.streams.schema import Schema, parse_schema
from affidavit.streams.sealed import SEGMENT_ROWS

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


def nodes_of(leaves: bytes) -> bytes:
    """The hashes of level 8 over leaves: one for each complete tile of 256."""
    row = leaves[: len(leaves) // (TILE * 32) * TILE * 32]
    for _ in range(8):
        row = merkle.parents(row)
    return row


def tiles_of(leaves: bytes) -> bytes:
    """The tiles above a segment's leaves: levels 8 and 16, complete subtrees only."""
    row = nodes_of(leaves)
    return row + nodes_of(row)


def root_of(leaves: bytes) -> bytes:
    """The Merkle root over concatenated leaf hashes."""
    row = leaves
    while len(row) > 32:
        odd = row[-32:] if (len(row) // 32) % 2 else b""
        row = merkle.parents(row) + odd
    return row


def file_schema(schema: Schema) -> Any:
    """The Arrow schema of a segment's file: ``salt``, ``leaf``, then the stream's columns."""
    before = [pa.field("salt", pa.binary(32)), pa.field("leaf", pa.binary(32))]
    return pa.schema([*before, *arrow_schema(schema)], metadata={META: schema.encode()})


class SegmentWriter:
    """Writes a segment group by group: one thread writes Parquet while the caller encodes and hashes the next group.

    Every ``add`` but the last takes ``GROUP_ROWS`` rows. Memory: three groups, and 32 bytes a row.
    """

    def __init__(self, schema: Schema, file: Path) -> None:
        # A native sink: a Python file would ask for the interpreter's lock at every page, against the hashing.
        self._arrow, self._sink = file_schema(schema), pa.OSFile(str(file), "wb")
        strings = [c.name for c in schema.columns if c.type == "str"]
        self._parquet = pq.ParquetWriter(
            self._sink, self._arrow, compression="zstd", compression_level=1, use_dictionary=strings,
            write_statistics=["id", "at"], write_page_checksum=True,
        )  # fmt: skip
        self._written, self._state = file.open("rb"), hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, "segment")
        self._waiting: list[Future[None]] = []
        self._nodes, self._tail, self.rows, self._size = bytearray(), b"", 0, 0

    def add(self, salts: Any, leaves: bytes, table: Any) -> None:
        """Write rows. ``salts`` is 32 bytes a row, or a column in which the salts of erased rows are null."""
        if len(self._tail) or self.rows + table.num_rows > SEGMENT_ROWS:
            raise Invalid(f"{self.rows + table.num_rows} rows in odd groups.", next_step="begin another segment.")
        column = pack_hashes(salts) if isinstance(salts, bytes) else salts
        full = pa.table([column, pack_hashes(leaves), *table.columns], schema=self._arrow)
        if len(self._waiting) > 1:
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(self._write, full))
        nodes = nodes_of(leaves)
        self._nodes += nodes
        self._tail = leaves[len(nodes) * TILE :]
        self.rows += table.num_rows

    def _write(self, full: Any) -> None:
        """In the writing thread: a row group, and the digest of what the file has grown by."""
        self._parquet.write_table(full, GROUP_ROWS)
        self._state.update(self._written.read())

    def close(self, tree: Path | None) -> Written:
        """End file and tiles, both fsynced. Without ``tree`` the tiles are hashed and not written."""
        try:
            for future in self._waiting:
                future.result()
            self._parquet.close()
            self._sink.close()
            self._state.update(self._written.read())
            self._size = self._written.tell()
            os.fsync(self._written.fileno())
        finally:
            self.discard()
        nodes = bytes(self._nodes)
        tiles = nodes + nodes_of(nodes)
        if tree is not None:
            _write(tree, tiles)
        root = root_of(nodes + root_of(self._tail))
        digest, tree_digest = self._state.hexdigest(), hashlib.sha256(tiles).hexdigest()
        return Written("sha256:" + root.hex(), f"sha256:{digest}", self._size, f"sha256:{tree_digest}")

    def discard(self) -> None:
        """Let go of the file; what is in it is no segment."""
        self._pool.shutdown(cancel_futures=True)
        self._sink.close()
        self._written.close()


def write_segment(schema: Schema, salts: bytes | None, leaves: bytes, table: Any, file: Path, tree: Path, *,
                  salt_column: Any = None) -> Written:  # fmt: skip
    """Write Parquet file and tiles, both fsynced. ``salt_column`` stands for ``salts`` where some are erased (null)."""
    column = pack_hashes(salts) if salts is not None else salt_column
    writer = SegmentWriter(schema, file)
    try:
        for at in range(0, table.num_rows, GROUP_ROWS):
            rows = slice(at * 32, (at + GROUP_ROWS) * 32)
            writer.add(column.slice(at, GROUP_ROWS), leaves[rows], table.slice(at, GROUP_ROWS))
        return writer.close(tree)
    except BaseException:
        writer.discard()
        raise


def rewrite_without(segment: Segment, rows: set[int], file: Path) -> Written:
    """Write a segment again with salt and payload of ``rows`` (by index) destroyed: same leaves, root and tiles.

    The tiles stay valid and are not written. Rows erased before stay so. Memory: a few groups of rows.
    Raises ``NotFound`` for an index beyond the segment, ``Tampered`` for a damaged file.
    """
    if outside := [r for r in rows if not 0 <= r < segment.rows]:
        raise NotFound(f"no row {min(outside)}; the segment has {segment.rows}.", next_step="check the row numbers.")
    writer, at = SegmentWriter(segment.schema, file), 0
    try:
        for group in range(segment.groups):
            table = segment.table(groups=[group])
            gone = np.isin(np.arange(at, at + table.num_rows), list(rows))
            at += table.num_rows
            leaves = fixed_bytes(table.column("leaf"))
            kept = table.drop_columns(["leaf"])
            if gone.any():
                mask = pa.array(gone)
                columns = [pc.if_else(mask, pa.scalar(None, c.type), c) for c in kept.columns]
                kept = pa.table(columns, names=kept.column_names)
            writer.add(kept.column("salt").combine_chunks(), leaves, kept.drop_columns(["salt"]))
        return writer.close(None)
    except BaseException:
        writer.discard()
        raise


def _write(path: Path, body: bytes) -> None:
    with path.open("wb") as sink:
        sink.write(body)
        sink.flush()
        os.fsync(sink.fileno())


def fixed_bytes(column: Any) -> bytes:
    """The values of a fixed-size column, end to end. Raises ``Tampered`` if one is null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        raise Tampered("a row of a segment has no leaf.", next_step=_RESTORE)
    width, start = array.type.byte_width, array.offset
    return bytes(memoryview(array.buffers()[1])[start * width : (start + len(array)) * width]) if len(array) else b""


class Segment:
    """A stored segment, read in part. ``tree`` may be None where no path is asked for.

    Raises ``Tampered`` where a file is no segment or its leaves do not fit its rows; nothing is trusted before the
    path from a leaf to the header's root was checked. Reading runs nothing of the file: columns and types must be
    those of its schema.
    """

    def __init__(self, file: BinaryIO, tree: BinaryIO | None = None) -> None:
        try:
            self._parquet = pq.ParquetFile(file, page_checksum_verification=True)
            arrow = self._parquet.schema_arrow
            self.schema = parse_schema((arrow.metadata or {})[META])
            self.rows: int = self._parquet.metadata.num_rows
        except (pa.ArrowException, OSError, KeyError, ValueError, Invalid) as e:
            raise Tampered(f"a segment's file is no segment: {e}.", next_step=_RESTORE) from None
        if not arrow.equals(file_schema(self.schema)) or not 0 < self.rows <= SEGMENT_ROWS:
            raise Tampered("a segment's columns are not those of its schema.", next_step=_RESTORE)
        self._tree = tree
        self.groups: int = self._parquet.num_row_groups
        counts = [self._parquet.metadata.row_group(g).num_rows for g in range(self.groups)]
        if any(n != GROUP_ROWS for n in counts[:-1]) or sum(counts) != self.rows or not 0 < counts[-1] <= GROUP_ROWS:
            raise Tampered("a segment's row groups do not fit its rows.", next_step=_RESTORE)
        self._leaf_group: tuple[int, bytes] = (-1, b"")

    def find(self, decision: bytes, column: str = "id") -> int | None:
        """The index of the row whose id column holds ``decision``, or None. Reads the id column of candidate groups."""
        position = self.schema.names.index(column) + 2
        for group in range(self.groups):
            stats = self._parquet.metadata.row_group(group).column(position).statistics
            if stats is None or not stats.has_min_max or stats.min <= decision <= stats.max:
                values = self._group(group, [column]).column(0)
                hit = pc.index(values, pa.scalar(decision, values.type)).as_py()
                if hit >= 0:
                    return group * GROUP_ROWS + int(hit)
        return None

    def row(self, index: int) -> Found:
        """One row with its leaf. Raises ``Tampered`` if salt and row do not hash to the leaf."""
        group, within = self._place(index)
        table = self._group(group, None)
        self._leaf_group = (group, fixed_bytes(table.column("leaf")))  # its path is asked for next
        leaf = table.column("leaf")[within].as_py()
        salt = table.column("salt")[within].as_py()
        if leaf is None:
            raise Tampered(f"row {index} of a segment has no leaf.", next_step=_RESTORE)
        if salt is None:
            return Found(index, leaf, None, None)
        try:
            row = encode_row(self.schema, row_values(self.schema, table, within))
        except (Invalid, ValueError) as e:
            raise Tampered(f"row {index} of a segment is off form: {e}", next_step=_RESTORE) from None
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
        return b"".join(fixed_bytes(self._group(g, ["leaf"]).column(0)) for g in range(self.groups))

    def table(self, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None) -> Any:
        """Columns of the rows as an Arrow table; every column, ``salt`` and ``leaf`` included, if none are named.

        ``groups`` are row groups by number, None for all. Raises ``Invalid`` for a column that is not there.
        """
        names = self._parquet.schema_arrow.names
        if columns is not None and (unknown := set(columns) - set(names)):
            raise Invalid(f"the segment has no column {min(unknown)!r}.", next_step=f"columns: {', '.join(names)}.")
        wanted = range(self.groups) if groups is None else groups
        chosen = list(columns) if columns is not None else None
        tables = [self._group(g, chosen) for g in wanted]
        return pa.concat_tables(tables) if tables else file_schema(self.schema).empty_table().select(chosen or names)

    def _group(self, group: int, columns: list[str] | None) -> Any:
        try:
            found = self._parquet.read_row_group(group, columns=columns, use_threads=False)
            if found.num_rows == min(GROUP_ROWS, self.rows - group * GROUP_ROWS):
                return found
            problem: object = "rows are missing"
        except (pa.ArrowException, OSError, ValueError, MemoryError) as e:
            problem = e
        raise Tampered(f"a segment's file is damaged: {problem}.", next_step=_RESTORE)

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < self.rows:
            raise NotFound(f"no row {index}; the segment has {self.rows}.", next_step="give a smaller index.")
        return divmod(index, GROUP_ROWS)

    def _node(self, height: int, index: int) -> bytes:
        """The root of leaves ``[index * 2^height, (index + 1) * 2^height)``."""
        if height < 8:
            group, within = divmod(index << height, GROUP_ROWS)
            row = self._leaves_of(group)[within * 32 : (within + (1 << height)) * 32]
        else:
            level = 8 if height < 16 else 16
            row = self._tile(level, index << (height - level), 1 << (height - level))
        try:
            return merkle.perfect_root(row)
        except Invalid:
            raise Tampered("a segment's tiles are cut short.", next_step=_RESTORE) from None

    def _tile(self, level: int, first: int, count: int) -> bytes:
        start = first if level == 8 else (self.rows >> 8) + first
        assert self._tree is not None  # noqa: S101 - path() asked before
        self._tree.seek(start * 32)
        body = self._tree.read(count * 32)
        return body if len(body) == count * 32 else b""

    def _leaves_of(self, group: int) -> bytes:
        if self._leaf_group[0] != group:
            self._leaf_group = (group, fixed_bytes(self._group(group, ["leaf"]).column(0)))
        return self._leaf_group[1]
