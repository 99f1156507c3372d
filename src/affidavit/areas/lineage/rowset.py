"""Rows of a table as canonical bytes, and the digest of a set of rows. [bytes]

A row is the SHA-256 of the schema (canonical JSON, as attached), then per column a tag byte and its value:
0 null · 1 truth value, one byte · 2 whole number (dates and times: count of the schema's unit), 8 bytes
little-endian · 3 unsigned 64-bit number · 4 float64, one NaN, −0.0 kept · 5 text, u32 length and UTF-8 (decimals as
written) · 6 bytes, u32 length. A row's hash is HMAC-SHA-256 under the dataset's random key, so that nobody can try
rows against it. The digest of a set is the RFC 6962 root over the sorted row hashes: order does not count, and each
of two equal rows does.

numpy and pyarrow are imported inside the functions.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from affidavit.core import canonical
from affidavit.core.errors import Invalid
from affidavit.ledger.merkle import leaf_hashes, root

if TYPE_CHECKING:
    from numpy.typing import NDArray

NULL, TRUTH, WHOLE, UNSIGNED, FLOAT, TEXT, BYTES = range(7)
_NAN = 0x7FF8000000000000


def type_name(kind: Any) -> str:
    """The name of a column type in the schema; it does not depend on how Arrow lays the values out.

    Raises ``Invalid`` for nested types.
    """
    from pyarrow import types as t

    if t.is_dictionary(kind):
        return type_name(kind.value_type)
    if t.is_boolean(kind) or t.is_integer(kind) or t.is_date(kind) or t.is_null(kind):
        return str(kind).partition("[")[0]
    if t.is_floating(kind):
        return f"float{kind.bit_width}"
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "text"
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind):
        return "bytes"
    if t.is_timestamp(kind):
        return f"timestamp[{kind.unit}{',' + kind.tz if kind.tz else ''}]"
    if t.is_time(kind) or t.is_duration(kind):
        return f"{'time' if t.is_time(kind) else 'duration'}[{kind.unit}]"
    if t.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    raise Invalid(f"a column has the type {kind}.", next_step="flatten nested columns before registering.")


def schema_bytes(schema: Any) -> bytes:
    """The schema as canonical JSON: ``{"columns": [{"name": …, "type": …}, …]}`` in order.

    Raises ``Invalid`` for a column without a name, a repeated name, or a nested type.
    """
    names = list(schema.names)
    if not names or not all(n.strip() for n in names) or len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise Invalid(
            f"column names are missing or repeated: {twice or names!r}.",
            next_step="give each column a name of its own.",
        )
    columns = [{"name": f.name, "type": _named_type(f)} for f in schema]
    return canonical.encode({"columns": columns})


def _named_type(field: Any) -> str:
    try:
        return type_name(field.type)
    except Invalid as e:
        raise Invalid(f"{field.name}: {e.problem}", next_step=e.next_step) from None


def encoded_rows(batch: Any, prefix: bytes = b"") -> list[bytes]:
    """Every row of an Arrow record batch or table as canonical bytes after ``prefix``.

    Adjacent columns of fixed width without nulls are laid out as one block.
    """
    import numpy as np

    blocks: list[list[bytes]] = []
    pending: list[NDArray[Any]] = []

    def flush() -> None:
        if pending:
            blocks.append(_sliced(np.hstack(pending)))
            pending.clear()

    for column in batch.columns:
        found = _cells(column.combine_chunks() if hasattr(column, "combine_chunks") else column)
        if isinstance(found, list):
            flush()
            blocks.append(found)
        else:
            pending.append(found)
    flush()
    return [prefix + b"".join(parts) for parts in zip(*blocks, strict=True)]


def _sliced(matrix: NDArray[Any]) -> list[bytes]:
    raw, width = matrix.tobytes(), matrix.shape[1]
    return [raw[i : i + width] for i in range(0, len(raw), width)]


def _cells(array: Any) -> NDArray[Any] | list[bytes]:
    """The cells of one column: a matrix of bytes, or a list where widths differ."""
    from pyarrow import types as t

    if hasattr(array, "chunks"):
        array = array.combine_chunks()
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if t.is_null(kind):
        return [b"\0"] * len(array)
    if t.is_decimal(kind):
        return _long(TEXT, [None if v is None else str(v).encode() for v in array.to_pylist()])
    if type_name(kind) == "text":
        return _long(TEXT, [None if v is None else v.encode() for v in array.to_pylist()])
    if type_name(kind) == "bytes":
        return _long(BYTES, array.to_pylist())
    matrix = _fixed(array)
    if not array.null_count:
        return matrix
    valid = array.is_valid().to_pylist()
    return [cell if ok else b"\0" for cell, ok in zip(_sliced(matrix), valid, strict=True)]


def _long(tag: int, values: Sequence[bytes | None]) -> list[bytes]:
    lead = bytes((tag,))
    return [b"\0" if v is None else lead + len(v).to_bytes(4, "little") + v for v in values]


def _fixed(array: Any) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa
    from pyarrow import types as t

    kind = array.type
    if t.is_boolean(kind):
        values = array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8)
        return _tagged(TRUTH, values.reshape(-1, 1))
    if t.is_floating(kind):
        numbers = array.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        bits = np.where(np.isnan(numbers), np.uint64(_NAN), numbers.view(np.uint64)).astype("<u8")
        return _tagged(FLOAT, bits.view(np.uint8).reshape(-1, 8))
    if t.is_uint64(kind):
        return _tagged(
            UNSIGNED, array.fill_null(0).to_numpy(zero_copy_only=False).astype("<u8").view(np.uint8).reshape(-1, 8)
        )
    if t.is_date32(kind) or t.is_time32(kind):
        array = array.cast(pa.int32())
    whole = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype("<i8")
    return _tagged(WHOLE, whole.view(np.uint8).reshape(-1, 8))


def _tagged(tag: int, cells: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.hstack([np.full((len(cells), 1), tag, dtype=np.uint8), cells])


def row_hashes(batch: Any, schema: bytes, key: bytes) -> list[bytes]:
    """The keyed hash of every row, in the order of the file; ``schema`` as from ``schema_bytes``."""
    prefix = hashlib.sha256(schema).digest()
    mac = hmac.digest
    return [mac(key, row, "sha256") for row in encoded_rows(batch, prefix)]


def set_digest(hashes: Sequence[bytes]) -> str:
    """The digest of a set of rows from their keyed hashes, in any order; no rows give that of the empty tree."""
    return "sha256:" + root(leaf_hashes(sorted(hashes))).hex()
