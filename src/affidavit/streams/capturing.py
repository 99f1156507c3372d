"""From a caller's Arrow table (or matrix) to the columns of a stream, and the Arrow bytes of a batch frame. Needs numpy and pyarrow.

Nothing is rounded: a value that its column cannot hold exactly is refused (times alone are cut to milliseconds).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affidavit.core.errors import Invalid
from affidavit.streams.columnar import arrow_schema, arrow_type
from affidavit.streams.ids import PER_MS, id_bytes, id_ms
from affidavit.streams.rows import MAX_ROW, SALT_BYTES
from affidavit.streams.schema import Column, ColumnType, Schema

FRAME_ROWS = 65_536
FRAME_BYTES = 64 << 20


def columns_of(table: Any, source: Mapping[str, str]) -> tuple[Column, ...]:
    """Columns of a schema as the types of a table show them; ``source`` is the table's column of each.

    Raises ``Invalid`` for a type that no column has.
    """
    return tuple(Column(name, _word(name, table.schema.field(n).type)) for name, n in source.items())


def _word(name: str, kind: Any) -> ColumnType:
    t = pa.types
    kind = kind.value_type if t.is_dictionary(kind) else kind
    words: list[tuple[ColumnType, Any]] = [
        ("bool", t.is_boolean), ("i64", t.is_integer), ("f64", t.is_floating), ("time", t.is_timestamp), ("str", t.is_string),
        ("str", t.is_large_string), ("bytes", t.is_binary), ("bytes", t.is_large_binary),
    ]  # fmt: skip
    for word, fits in words:
        if fits(kind):
            return word
    raise Invalid(
        f"column {name!r}: no column holds {kind}.", next_step="cast it to a number, truth value, time or text."
    )


def parts_of(table: Any, start: int = 0) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each frame: at most 65,536 rows, and 64 MiB unless a single row has more."""
    rows: int = table.num_rows
    if rows > FRAME_ROWS:
        for first in range(0, rows, FRAME_ROWS):
            yield from parts_of(table.slice(first, FRAME_ROWS), start + first)
    elif rows > 1 and table.nbytes > FRAME_BYTES:
        yield from parts_of(table.slice(0, rows // 2), start)
        yield from parts_of(table.slice(rows // 2), start + rows // 2)
    elif rows:
        yield start, rows


def typed(schema: Schema, table: Any, source: Mapping[str, str]) -> Any:
    """The columns of ``source`` with the types of the stream. Raises ``Invalid`` naming the column, or a row over 16 MiB."""
    made = {c.name: _cast(c, table.column(source[c.name])) for c in schema.columns if c.name in source}
    if "at" in made and made["at"].null_count:
        raise Invalid(f"{source['at']!r} has nulls.", next_step="give a time for each row, or leave the column out.")
    texts = [made[c.name] for c in schema.variable if c.name in made]
    if sum(t.nbytes for t in texts) > MAX_ROW // 2:
        lengths = sum(np.asarray(pc.fill_null(pc.binary_length(t), 0), "<i8") for t in texts)
        if (longest := int(np.max(lengths)) + 16 * len(schema.columns)) > MAX_ROW:
            raise Invalid(f"a row of {longest} bytes; at most {MAX_ROW}.", next_step="record a digest of long texts.")
    return pa.table(made)


def _cast(column: Column, array: Any) -> Any:
    kind, target = array.type, arrow_type(column)
    if column.type == "id":
        return _given_ids(array)
    if pa.types.is_timestamp(kind) and kind.tz is None:
        raise Invalid(
            f"column {column.name!r}: times without a zone.", next_step="give a zone: timestamp('ms', tz='UTC')."
        )
    word = column.type if pa.types.is_null(kind) else _word(column.name, kind)
    if word != column.type and (word, column.type) not in (("i64", "f64"), ("i64", "time")):
        raise Invalid(f"column {column.name!r}: {kind} is no {column.type}.", next_step=f"cast it to {target}.")
    try:
        found = array.cast(target, safe=not pa.types.is_timestamp(kind))
        if column.type == "str":
            found.validate(full=True)
    except pa.ArrowException as e:
        raise Invalid(f"column {column.name!r}: {e}.", next_step=f"give what {target} can hold exactly.") from None
    return found


def _given_ids(array: Any) -> Any:
    """Ids that came with the table: 16 bytes or text. Raises ``Invalid`` for one that is no UUIDv7, or stands twice."""
    given = [v if isinstance(v, bytes) else id_bytes(v) for v in array.to_pylist()]
    for body in given:
        id_ms(body)
    if len(set(given)) != len(given):
        raise Invalid("an id stands twice in the table.", next_step="record a decision once.")
    return pa.chunked_array([pa.array(given, pa.binary(16))])


def minted(count: int, ms: int, first: int) -> Any:
    """Ids of ``count`` rows as ``ids.Minter`` mints them: from the ``first`` place of a millisecond on, 4,096 each."""
    place = np.arange(first, first + count, dtype=np.int64)
    head = ((ms + place // PER_MS) << 16) | 0x7000 | (place % PER_MS)
    block = np.empty((count, 16), "u1")
    block[:, :8] = head.astype(">i8").view("u1").reshape(count, 8)
    block[:, 8:] = np.frombuffer(os.urandom(8 * count), "u1").reshape(count, 8)
    block[:, 8] = block[:, 8] & 0x3F | 0x80
    return pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(block)])


def no_ids(count: int) -> Any:
    """The ids of rows that were not recorded: nulls."""
    return pa.nulls(count, pa.binary(16))


def ids_of(table: Any) -> Any:
    """The given ids of a typed table as one array."""
    return _one(table.column("id"))


def joined(arrays: Sequence[Any]) -> Any:
    """Ids of all parts as one array."""
    return pa.concat_arrays(arrays) if arrays else no_ids(0)


def frame_body(schema: Schema, table: Any, identity: Any, constants: Mapping[str, Any]) -> memoryview:
    """The Arrow IPC stream of a batch frame: fresh salts, then the schema's columns.

    ``identity`` is the array of ids (column ``id`` or ``decision``); ``constants`` are values of columns that are alike
    in every row: bytes, text or milliseconds. Other columns that the table lacks are null.
    """
    n = len(identity)
    arrays = [pa.Array.from_buffers(pa.binary(SALT_BYTES), n, [None, pa.py_buffer(os.urandom(SALT_BYTES * n))])]
    for column in schema.columns:
        if column.name in ("id", "decision"):
            arrays.append(identity)
        elif column.name in table.column_names:
            arrays.append(_one(table.column(column.name)))
        elif column.name in constants:
            arrays.append(_repeated(column, constants[column.name], n))
        else:
            arrays.append(pa.nulls(n, arrow_type(column)))
    sent = pa.schema([pa.field("salt", pa.binary(SALT_BYTES)), *arrow_schema(schema)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, sent) as stream:
        stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=sent))
    return memoryview(sink.getvalue())


def _repeated(column: Column, value: Any, count: int) -> Any:
    if isinstance(value, bytes):
        return pa.Array.from_buffers(arrow_type(column), count, [None, pa.py_buffer(value * count)])
    if column.type == "time":
        return pa.array(np.full(count, value, "<i8")).view(arrow_type(column))
    return pa.repeat(pa.scalar(value, arrow_type(column)), count)


def _one(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


# ---------------------------------------------------------------- what models are given


def table_of(data: Any, names: Sequence[str] | None) -> Any:
    """Features as a table: an Arrow table, a pandas frame, an XGBoost ``DMatrix`` (absent is NaN), or rows of numbers.

    ``names`` are those of the features where the data bring none. Raises ``Invalid`` for another number of columns.
    """
    if hasattr(data, "column_names"):
        return pa.table(data)
    if hasattr(data, "columns"):
        return pa.Table.from_pandas(data, preserve_index=False)
    values = _dense(data) if hasattr(data, "get_data") else np.asarray(data)
    names = [f"x{i}" for i in range(values.shape[1])] if names is None else names
    if len(names) != values.shape[1]:
        raise Invalid(
            f"{values.shape[1]} columns for {len(names)} features.", next_step="name them: recorded(…, names=[…])."
        )
    return pa.table({n: np.ascontiguousarray(values[:, i]) for i, n in enumerate(names)})


def _dense(matrix: Any) -> Any:
    found = matrix.get_data().tocoo()
    values = np.full(found.shape, np.nan)
    values[found.row, found.col] = found.data
    return values


def with_columns(table: Any, columns: Mapping[str, Any]) -> Any:
    """The table and further columns of numpy values."""
    for name, values in columns.items():
        table = table.append_column(name, pa.chunked_array([np.ascontiguousarray(values)]))
    return table
