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
def _block(schema: Schema, *, prefixed: bool) -> Any:
    """The structured type of the leaf prefix (if ``prefixed``), salt, schema digest and fixed columns."""
    names = [("zero", "u1")] if prefixed else []
    names += [("salt", f"V{SALT_BYTES}"), ("digest", "V32")]
    for n, column in enumerate(schema.fixed):
        names += [(f"t{n}", "u1"), (f"v{n}", _NUMPY[column.type])]
    return np.dtype(names)


@cache
def _empty_row(schema: Schema) -> Any:
    """One block with the schema's digest and every tag in place."""
    row = np.zeros(1, _block(schema, prefixed=True))
    row["digest"] = np.frombuffer(schema.digest, "V32")
    for n, column in enumerate(schema.fixed):
        row[f"t{n}"] = TAG[column.type]
    return row


def _one_chunk(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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
    block = np.repeat(_empty_row(schema), count)
    block["salt"] = np.frombuffer(salts, f"V{SALT_BYTES}")
    for n, column in enumerate(schema.fixed):
        values, present = _fixed_values(column, _one_chunk(table.column(column.name)))
        if present is not None:
            block[f"t{n}"] = np.where(present, TAG[column.type], 0)
        block[f"v{n}"] = values
    width = block.dtype.itemsize
    if not schema.variable:
        return block.tobytes(), np.arange(0, (count + 1) * width, width)
    pieces = [_even(block)]
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
    return _even(heads)


def _even(block: Any) -> Any:
    """The items of a structured array as binary values."""
    offsets = np.arange(0, (len(block) + 1) * block.itemsize, block.itemsize)
    return pa.Array.from_buffers(pa.large_binary(), len(block), [None, pa.py_buffer(offsets), pa.py_buffer(block)])


def hash_leaves(data: bytes, offsets: Any) -> bytes:
    """The leaf hashes of ``leaf_entries``, end to end."""
    view, digest, ends = memoryview(data), sha256, offsets.tolist()
    return b"".join([digest(view[a:b]).digest() for a, b in pairwise(ends)])


def table_of_rows(schema: Schema, rows: Sequence[bytes]) -> Any:
    """The Arrow table of encoded rows. Raises ``Invalid`` as ``decode_row`` for a row off form."""
    salt = bytes(SALT_BYTES)
    return table_of_entries(schema, [salt + row for row in rows])[0]


def table_of_entries(schema: Schema, entries: Sequence[bytes]) -> tuple[Any, bytes, Any]:
    """The Arrow table of leaf entries (salt, row), and the bytes and offsets that are hashed, as ``leaf_entries``.

    The table is encoded again and compared byte by byte: what it says is what was recorded. Raises ``BadRow``, an
    ``Invalid``, for a row that is not in its one form.
    """
    offsets = np.zeros(len(entries) + 1, "<i8")
    np.cumsum(np.fromiter((len(e) + 1 for e in entries), "<i8", len(entries)), out=offsets[1:])
    data = b"\0" + b"\0".join(entries) if entries else b""
    try:
        salts = b"".join([e[:SALT_BYTES] for e in entries])
        table = _decoded(schema, entries, data, offsets)
        same = leaf_entries(schema, salts, table)[0] == data
    except (pa.ArrowException, Invalid, ValueError, IndexError):
        same = False
    if not same:
        raise _first_bad(schema, entries)
    return table, data, offsets


class BadRow(Invalid):
    """A row that cannot be read; ``index`` is its place among those given."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem, next_step="keep the file as evidence; the rows before it are good.")
        self.index = index


def _first_bad(schema: Schema, entries: Sequence[bytes]) -> BadRow:
    """Why a row cannot be read, found row by row."""
    for n, entry in enumerate(entries):
        try:
            decode_row(schema, entry[SALT_BYTES:])
        except Invalid as e:
            return BadRow(n, f"row {n}: {e.problem}")
    return BadRow(0, "the rows do not encode to what was recorded.")


def _decoded(schema: Schema, entries: Sequence[bytes], data: bytes, offsets: Any) -> Any:
    """The table that leaf entries state; its values are right only if it encodes to the same bytes again."""
    kind = _block(schema, prefixed=False)
    width = kind.itemsize
    block = np.frombuffer(b"".join([e[:width] for e in entries]), kind)
    count = len(block)
    if count != len(entries):
        raise Invalid("a row is too short.", next_step="refuse it.")
    arrays = [
        _fixed_array(column, block[f"t{n}"], np.ascontiguousarray(block[f"v{n}"]))
        for n, column in enumerate(schema.fixed)
    ]
    raw, at = np.frombuffer(data, "u1"), offsets[:-1] + 1 + width
    for column in schema.variable:
        heads = raw[at[:, None] + np.arange(5)]
        length = np.ascontiguousarray(heads[:, 1:]).view("<u4").ravel().astype("<i8")
        first, at = at + 5, at + 5 + length
        if (at > offsets[1:]).any():
            raise Invalid("a row ends within a column.", next_step="refuse it.")
        arrays.append(_texts(column, data, first, at, heads[:, 0] == 0))
    return pa.table(arrays, schema=arrow_schema(schema))


def _fixed_array(column: Column, tags: Any, values: Any) -> Any:
    """The Arrow array of a column's tags and values; tag 0 is null."""
    missing, count = tags == 0, len(values)
    if column.type == "bool":
        return pa.array(values != 0, pa.bool_(), mask=missing if missing.any() else None)
    validity = None
    if missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(arrow_type(column), count, [validity, pa.py_buffer(values)])


def _texts(column: Column, data: bytes, starts: Any, ends: Any, missing: Any) -> Any:
    """The values ``data[start:end]`` of a column. A view over ``data`` whose every second value is one of them."""
    bounds = np.empty(2 * len(starts) + 1, "<i8")
    bounds[0:-1:2], bounds[1::2] = starts, ends
    bounds[-1] = len(data)
    view = pa.Array.from_buffers(pa.large_binary(), 2 * len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    found = view.take(pa.array(np.arange(0, 2 * len(starts), 2)))
    if missing.any():
        found = pc.if_else(pa.array(missing), pa.scalar(None, pa.large_binary()), found)
    return found.cast(arrow_type(column))


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
