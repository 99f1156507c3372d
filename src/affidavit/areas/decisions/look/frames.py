"""Rows found, as tables people use: ids and digests as text, times as times; Arrow, CSV, JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from affidavit.core.area import Document
from affidavit.core.errors import Invalid
from affidavit.streams.columnar import arrow_type
from affidavit.streams.ids import id_text
from affidavit.streams.plain import plain_value, time_of
from affidavit.streams.schema import Column, Schema

ARROW = "application/vnd.apache.arrow.stream"
CSV = "text/csv"


def table_of(document: Document) -> Any:
    """The Arrow table of a query's answer; ``.to_pandas()`` makes a frame of it. Raises ``Invalid`` for another document."""
    if document.type != ARROW:
        raise Invalid(f"{document.name} is {document.type}, not Arrow.", next_step="ask for format=arrow.")
    return pa.ipc.open_stream(document.body).read_all()


def outward(schema: Schema, table: Any, names: Sequence[str]) -> Any:
    """The named columns for readers: ids and digests as text; a column the schema lacks is null."""
    known = {c.name: c for c in schema.columns}
    arrays = [_shown(known[n], table.column(n)) if n in known else pa.nulls(table.num_rows) for n in names]
    return pa.table(arrays, names=list(names))


def _shown(column: Column, values: Any) -> Any:
    if column.type == "id":
        return pa.array([None if v is None else id_text(v) for v in values.to_pylist()], pa.string())
    if column.type == "digest":
        return pa.array([None if v is None else "sha256:" + v.hex() for v in values.to_pylist()], pa.string())
    return values


def joined(tables: Sequence[Any], columns: Sequence[Column]) -> Any:
    """One table of all pieces. Raises ``Invalid`` naming a column that two schemas give different types."""
    if not tables:
        return pa.table([pa.array([], _outward_type(c)) for c in columns], names=[c.name for c in columns])
    try:
        return pa.concat_tables(tables, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as e:
        raise Invalid(
            f"the rows found have columns of one name and two types: {e}.",
            next_step="name a deployment, or the columns that agree.",
        ) from None


def _outward_type(column: Column) -> Any:
    return pa.string() if column.type in ("id", "digest") else arrow_type(column)


def arrow_bytes(table: Any) -> bytes:
    """An Arrow IPC stream."""
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def csv_bytes(table: Any) -> bytes:
    """CSV with a header line: times in ISO 8601, bytes in base64, a missing value empty, an empty text quoted."""
    arrays = []
    for field, values in zip(table.schema, table.columns, strict=True):
        if pa.types.is_timestamp(field.type):
            times = values.cast(pa.int64()).to_pylist()
            arrays.append(pa.array([None if t is None else time_of(t) for t in times], pa.string()))
        elif pa.types.is_binary(field.type):
            bodies = values.to_pylist()
            arrays.append(pa.array([None if b is None else base64.b64encode(b).decode() for b in bodies], pa.string()))
        else:
            arrays.append(values)
    sink = BytesIO()
    pa_csv.write_csv(pa.table(arrays, names=table.column_names), sink)
    return sink.getvalue()


def json_rows(table: Any) -> list[dict[str, Any]]:
    """Rows as JSON values: times as text, NaN and infinities by name."""
    columns = {}
    for field, values in zip(table.schema, table.columns, strict=True):
        kind = _json_kind(field.type)
        plain = values.cast(pa.int64()) if kind == "time" else values
        column = Column(field.name, kind)
        columns[field.name] = [plain_value(column, v) for v in plain.to_pylist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json_kind(type_: Any) -> Any:
    if pa.types.is_timestamp(type_):
        return "time"
    if pa.types.is_floating(type_):
        return "f64"
    return "bytes" if pa.types.is_binary(type_) else "str"
