"""Rows by the column: the encoding of ``rows`` for whole Arrow tables, and back. Needs numpy and pyarrow.

The bytes are those of ``rows.encode_row``; a test compares the two on every column type.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affidavit.core.errors import Invalid
from affidavit.streams.rows import SALT_BYTES, decode_row
from affidavit.streams.schema import TAG, WIDTH, Column, Schema

_NUMPY = {"bool": "u1", "i64": "<i8", "f64": "<f8", "time": "<i8", "id": "V16", "digest": "V32"}


def arrow_type(column: Column) -> Any:
    """The Arrow type of a column."""
    return {
        "bool": pa.bool_(), "i64": pa.int64(), "f64": pa.float64(), "time": pa.timestamp("ms", "UTC"),
        "id": pa.binary(16), "digest": pa.binary(32), "str": pa.string(), "bytes": pa.binary(),
    }[column.type]  # fmt: skip


@cache
def arrow_schema(schema: Schema) -> Any:
    """The Arrow schema of a stream's rows."""
    return pa.schema([pa.field(c.name, arrow_type(c)) for c in schema.columns])


@cache
def _block(schema: Schema, before: int) -> Any:
    """The structured type of ``before`` bytes (leaf prefix, salt), the schema digest and the fixed columns."""
    names: list[tuple[str, str]] = [("before", f"V{before}")] if before else []
    names.append(("digest", "V32"))
    for n, column in enumerate(schema.fixed):
        names += [(f"t{n}", "u1"), (f"v{n}", _NUMPY[column.type])]
    return np.dtype(names)


def _one_chunk(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _fixed_values(column: Column, array: Any) -> tuple[Any, Any]:
    """``(values, present)`` of a fixed column; null values are zero, NaN is canonical."""
    present = None if array.null_count == 0 else np.asarray(array.is_valid())
    if column.type in ("id", "digest"):
        width = WIDTH[column.type]
        if present is not None:
            array = pc.fill_null(array, bytes(width))
        values = np.frombuffer(array.buffers()[1], f"V{width}")[array.offset : array.offset + len(array)]
        return values, present
    if column.type == "bool":
        values = np.asarray(pc.fill_null(array, False)).astype("u1")
        return values, present
    plain = array.cast(pa.int64()) if column.type == "time" else array
    values = np.asarray(pc.fill_null(plain, 0) if present is not None else plain)
    if column.type == "f64":
        bad = np.isnan(values)
        if bad.any():
            values = np.where(bad, np.nan, values)
    return values, present


def leaf_entries(schema: Schema, salts: bytes, table: Any) -> tuple[bytes, Any]:
    """The bytes that are hashed for each row: 0x00, salt, row; end to end, with ``n + 1`` offsets.

    ``salts`` is ``n`` times 32 bytes; ``table`` has the schema's columns in row order.
    """
    count = table.num_rows
    if len(salts) != count * SALT_BYTES:
        raise Invalid(f"{len(salts)} bytes of salt for {count} rows.", next_step="draw 32 bytes for each row.")
    block = np.zeros(count, _block(schema, 1 + SALT_BYTES))
    prefixed = np.zeros((count, 1 + SALT_BYTES), "u1")
    prefixed[:, 1:] = np.frombuffer(salts, "u1").reshape(count, SALT_BYTES)
    block["before"] = prefixed.view(f"V{1 + SALT_BYTES}").ravel()
    block["digest"] = np.frombuffer(schema.digest, "V32")[0]
    for n, column in enumerate(schema.fixed):
        values, present = _fixed_values(column, _one_chunk(table.column(column.name)))
        block[f"t{n}"] = TAG[column.type] if present is None else np.where(present, TAG[column.type], 0)
        block[f"v{n}"] = values
    width = block.dtype.itemsize
    fixed = pa.Array.from_buffers(pa.binary(width), count, [None, pa.py_buffer(block)])
    if not schema.variable:
        return block.tobytes(), np.arange(0, (count + 1) * width, width)
    pieces: list[Any] = [fixed.cast(pa.large_binary())]
    for column in schema.variable:
        array = _one_chunk(table.column(column.name)).cast(pa.large_binary())
        pieces += [_heads(column, array), pc.fill_null(array, b"") if array.null_count else array]
    joined = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    _, offsets, data = joined.buffers()
    return data.to_pybytes(), np.frombuffer(offsets, "<i8")[: count + 1]


def _heads(column: Column, array: Any) -> Any:
    """Tag and u32 length of each value."""
    heads = np.zeros(len(array), np.dtype([("t", "u1"), ("n", "<u4")]))
    lengths = np.asarray(pc.fill_null(pc.binary_length(array), 0))
    heads["t"] = (
        TAG[column.type] if array.null_count == 0 else np.where(np.asarray(array.is_valid()), TAG[column.type], 0)
    )
    heads["n"] = lengths
    return pa.Array.from_buffers(pa.binary(5), len(array), [None, pa.py_buffer(heads)]).cast(pa.large_binary())


def hash_leaves(data: bytes, offsets: Any) -> bytes:
    """The leaf hashes of ``leaf_entries``, end to end."""
    view, digest, ends = memoryview(data), sha256, offsets.tolist()
    return b"".join([digest(view[a:b]).digest() for a, b in pairwise(ends)])


def table_of_rows(schema: Schema, rows: Sequence[bytes]) -> Any:
    """The Arrow table of encoded rows. Raises ``Invalid`` as ``decode_row`` for a row off form."""
    values = [decode_row(schema, row) for row in rows]
    columns = list(zip(*values, strict=True)) if values else [()] * len(schema.columns)
    arrays = [pa.array(list(c), arrow_type(k)) for k, c in zip(schema.columns, columns, strict=True)]
    return pa.table(arrays, schema=arrow_schema(schema))


def row_values(schema: Schema, table: Any, index: int) -> tuple[Any, ...]:
    """The values of one row of a table, as ``rows.encode_row`` takes them."""
    found: list[Any] = []
    for column in schema.columns:
        scalar = table.column(column.name)[index]
        if column.type == "time":
            scalar = scalar.cast(pa.int64())
        found.append(scalar.as_py())
    return tuple(found)


def pack_hashes(values: bytes) -> Any:
    """Concatenated 32-byte values as an Arrow array."""
    return pa.Array.from_buffers(pa.binary(32), len(values) // 32, [None, pa.py_buffer(values)])


def float_bytes(values: Sequence[float]) -> bytes:
    """Binary64, little-endian, end to end: the attributions of an explanation."""
    return struct.pack(f"<{len(values)}d", *values)
