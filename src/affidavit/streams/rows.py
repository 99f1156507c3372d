"""The encoding of one row, and its leaf. [bytes]

Row = schema digest (32 bytes), then per column a tag byte and the value, little-endian:

* fixed width: tag, value; null is tag 0 and as many zero bytes. A float is IEEE 754 binary64 with one NaN
  (``7ff8000000000000``); the sign of zero is kept. A time is milliseconds since 1970-01-01 UTC, signed.
* variable: tag, u32 length, bytes (``str`` in UTF-8); null is tag 0 and length 0.

Leaf entry = salt (32 bytes) then row; its leaf hash is that of RFC 6962. Independent of Parquet.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from affidavit.core.errors import Invalid
from affidavit.ledger.merkle import leaf_hash
from affidavit.streams.schema import TAG, WIDTH, Column, Schema

SALT_BYTES = 32
MAX_ROW = 16 << 20
"""Longest row, bytes."""
NAN = struct.pack("<Q", 0x7FF8000000000000)
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_U32 = struct.Struct("<I")

Value = Any
"""bool, int, float, int milliseconds, 16 bytes, 32 bytes, str or bytes, by column type; None is null."""


def leaf_of(salt: bytes, row: bytes) -> bytes:
    """The leaf hash of a row under its salt, 32 bytes. Raises ``Invalid`` for a salt of another length."""
    if len(salt) != SALT_BYTES:
        raise Invalid(f"a salt of {len(salt)} bytes.", next_step=f"a salt has {SALT_BYTES} bytes.")
    return leaf_hash(salt + row)


def encode_row(schema: Schema, values: Sequence[Value]) -> bytes:
    """The bytes of a row. ``values`` in the schema's order.

    Raises ``Invalid`` naming the column whose value is not of its type, or a row over 16 MiB.
    """
    if len(values) != len(schema.columns):
        raise Invalid(f"{len(values)} values for {len(schema.columns)} columns.", next_step="give one for each.")
    pieces = [schema.digest]
    pieces += [encode_value(c, v) for c, v in zip(schema.columns, values, strict=True)]
    row = b"".join(pieces)
    if len(row) > MAX_ROW:
        raise Invalid(f"a row of {len(row)} bytes; at most {MAX_ROW}.", next_step="record a digest of long texts.")
    return row


def encode_value(column: Column, value: Value) -> bytes:
    """Tag and bytes of one value. Raises ``Invalid`` naming the column."""
    width = WIDTH.get(column.type)
    if value is None:
        return bytes(5 if width is None else 1 + width)
    body = _ENCODE[column.type](column, value)
    head = bytes((TAG[column.type],))
    return head + body if width is not None else head + _U32.pack(len(body)) + body


def _wrong(column: Column, value: Value, wanted: str) -> Invalid:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:40] + "…"
    return Invalid(f"column {column.name!r}: {shown} ({type(value).__name__}) is not {wanted}.",
                   next_step=f"give {wanted}, or None for a missing value.")  # fmt: skip


def _bool(column: Column, value: Value) -> bytes:
    if type(value) is not bool and type(value).__name__ not in ("bool", "bool_"):
        raise _wrong(column, value, "true or false")
    return b"\x01" if value else b"\x00"


def _i64(column: Column, value: Value) -> bytes:
    if type(value) is bool:
        raise _wrong(column, value, "a whole number below 2**63")
    try:
        return _I64.pack(value.__index__())
    except (AttributeError, TypeError, struct.error):
        raise _wrong(column, value, "a whole number below 2**63") from None


def _f64(column: Column, value: Value) -> bytes:
    if type(value) is bool or isinstance(value, (str, bytes)):
        raise _wrong(column, value, "a number")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(column, value, "a number") from None
    if type(value) is int and int(number) != value:
        raise _wrong(column, value, "a number that binary64 holds exactly")
    return NAN if math.isnan(number) else _F64.pack(number)


def _exact(length: int, wanted: str) -> Callable[[Column, Value], bytes]:
    def encode(column: Column, value: Value) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise _wrong(column, value, wanted)
        return value

    return encode


def _str(column: Column, value: Value) -> bytes:
    if not isinstance(value, str):
        raise _wrong(column, value, "text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _wrong(column, value, "text that UTF-8 can hold") from None


def _bytes(column: Column, value: Value) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong(column, value, "bytes")
    return bytes(value)


_ENCODE: dict[str, Callable[[Column, Value], bytes]] = {
    "bool": _bool, "i64": _i64, "f64": _f64, "time": _i64, "id": _exact(16, "an id of 16 bytes"),
    "digest": _exact(32, "a digest of 32 bytes"), "str": _str, "bytes": _bytes,
}  # fmt: skip


def decode_row(schema: Schema, row: bytes) -> tuple[Value, ...]:
    """The values of a row, in the schema's order; one row has one encoding.

    Raises ``Invalid`` for another schema's row, a wrong tag, a null that is not zero, a second form of NaN,
    text that is not UTF-8, or bytes left over.
    """
    if row[:32] != schema.digest:
        raise Invalid("the row is of another schema.", next_step="use the schema its segment names.")
    at, values = 32, []
    for column in schema.columns:
        value, at = _decode_value(column, row, at)
        values.append(value)
    if at != len(row):
        raise Invalid(f"the row has {len(row) - at} bytes too many.", next_step="refuse it.")
    return tuple(values)


def _decode_value(column: Column, row: bytes, at: int) -> tuple[Value, int]:
    width = WIDTH.get(column.type)
    tag, start = row[at : at + 1], at + 1
    if width is None:
        size = row[start : start + 4]
        if len(size) != 4:
            raise _cut(column)
        start, width = start + 4, _U32.unpack(size)[0]
    body, end = row[start : start + width], start + width
    if len(body) != width or not tag:
        raise _cut(column)
    if tag == b"\0":
        if any(body) or (column.type not in WIDTH and body):
            raise Invalid(f"column {column.name!r}: a null with a value.", next_step="refuse it.")
        return None, end
    if tag[0] != TAG[column.type]:
        raise Invalid(f"column {column.name!r}: tag {tag[0]} is not {TAG[column.type]}.", next_step="refuse it.")
    return _DECODE[column.type](column, body), end


def _cut(column: Column) -> Invalid:
    return Invalid(f"the row ends within column {column.name!r}.", next_step="refuse it.")


def _to_bool(column: Column, body: bytes) -> bool:
    if body not in (b"\0", b"\1"):
        raise Invalid(f"column {column.name!r}: {body.hex()} is no truth value.", next_step="refuse it.")
    return body == b"\1"


def _to_f64(column: Column, body: bytes) -> float:
    number: float = _F64.unpack(body)[0]
    if math.isnan(number) and body != NAN:
        raise Invalid(f"column {column.name!r}: a second form of NaN.", next_step="refuse it.")
    return number


def _to_str(column: Column, body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Invalid(f"column {column.name!r}: not UTF-8.", next_step="refuse it.") from None


_DECODE: dict[str, Callable[[Column, bytes], Value]] = {
    "bool": _to_bool,
    "i64": lambda _, body: _I64.unpack(body)[0],
    "f64": _to_f64,
    "time": lambda _, body: _I64.unpack(body)[0],
    "id": lambda _, body: body,
    "digest": lambda _, body: body,
    "str": _to_str,
    "bytes": lambda _, body: body,
}


@cache
def fixed_struct(schema: Schema) -> struct.Struct:
    """Packs tag and value of every fixed column at once: for writers that have checked the types."""
    codes = {"bool": "?", "i64": "q", "f64": "d", "time": "q", "id": "16s", "digest": "32s"}
    return struct.Struct("<" + "".join("B" + codes[c.type] for c in schema.fixed))
