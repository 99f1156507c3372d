"""Streams beside the decisions of a process: groups, outcomes, explanations, actions, heartbeats. Opened when first written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from affidavit.client.columns import NULL, convert
from affidavit.core.errors import Invalid
from affidavit.streams.ids import id_bytes
from affidavit.streams.kinds import FIXED
from affidavit.streams.rows import encode_row
from affidavit.streams.schema import Column, Schema
from affidavit.streams.writer import StreamWriter, Why

Open = Callable[[Schema], StreamWriter]


class LateStreams:
    """One writer a kind, in one process; ``open_writer`` makes one."""

    def __init__(self, open_writer: Open) -> None:
        self._open = open_writer
        self._lock = threading.Lock()
        self._early: dict[str, list[tuple[int, Why, int]]] = {}
        self.writers: dict[str, StreamWriter] = {}

    def append(self, kind: str, values: Mapping[str, Any]) -> int:
        """Write a row of a kind; columns not given are null. Raises ``Invalid`` for an unknown column, ``StoreDown``."""
        return self.append_as(FIXED[kind], values)

    def append_as(self, schema: Schema, values: Mapping[str, Any]) -> int:
        """Write a row of a schema. Raises ``Invalid`` when the stream has other columns."""
        row = encoded(schema, values)
        return self.writer(schema).append_row(row)

    def writer(self, schema: Schema) -> StreamWriter:
        """The writer of the schema's kind, opened if it is the first."""
        with self._lock:
            writer = self.writers.get(schema.kind)
            if writer is None:
                writer = self.writers[schema.kind] = self._open(schema)
                for gap in self._early.pop(schema.kind, ()):
                    writer.miss(*gap)
        if writer.schema != schema:
            raise Invalid(f"the {schema.kind} of this recorder are {', '.join(writer.schema.names)}.",
                          next_step="give the same names in each record; None where one is unknown.")  # fmt: skip
        return writer

    def miss(self, kind: str, at_ms: int, why: Why, count: int) -> None:
        """Count a row of a kind that could not be written: stated in its stream once there is room."""
        with self._lock:
            writer = self.writers.get(kind)
            if writer is not None:
                writer.miss(at_ms, why, count)
            else:
                held = self._early.setdefault(kind, [])
                if held and held[-1][1] == why:
                    at_ms, count = held[-1][0], count + held.pop()[2]
                held.append((at_ms, why, count))


def encoded(schema: Schema, values: Mapping[str, Any]) -> bytes:
    """The row of values by column name. Raises ``Invalid`` naming the column."""
    if unknown := sorted(set(values) - set(schema.names)):
        raise Invalid(f"{schema.kind} have no column {unknown[0]!r}.", next_step=f"columns: {', '.join(schema.names)}.")
    return encode_row(schema, [_value(c, values.get(c.name)) for c in schema.columns])


def _value(column: Column, value: Any) -> Any:
    if column.type == "id" and isinstance(value, str):
        return id_bytes(value)
    if column.type == "digest" and isinstance(value, str):
        return digest_bytes(value)
    if column.type in ("id", "digest"):
        return value
    step = convert(column, type(value), value)
    return None if step is NULL else step(value)


def digest_bytes(text: str) -> bytes:
    """The 32 bytes of ``sha256:`` and hexadecimal. Raises ``Invalid``."""
    body = text.removeprefix("sha256:")
    try:
        found = bytes.fromhex(body)
    except ValueError:
        found = b""
    if len(found) != 32 or body == text:
        raise Invalid(f"{text[:80]!r} is no digest.", next_step="write sha256: and 64 hexadecimal digits.")
    return found
