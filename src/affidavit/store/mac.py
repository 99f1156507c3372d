"""A MAC per row of operational tables, so that a value changed behind the product's back is noticed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence

from affidavit.core.errors import Invalid

Value = str | int | None
_PREFIX = b"affidavit/row/v1\0"
_KEY_BYTES = 32


def canonical(columns: Sequence[str], values: Mapping[str, Value]) -> str:
    """The values in column order as a JSON list in ASCII: one text per row, whatever order the caller had.

    Raises ``Invalid`` for missing or extra columns and for values that are not text, integer or None.
    """
    if set(columns) != set(values) or len(columns) != len(values):
        raise Invalid(
            f"columns {sorted(values)} given, {sorted(columns)} needed.", next_step="give each declared column once."
        )
    row = [values[column] for column in columns]
    for column, value in zip(columns, row, strict=True):
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise Invalid(f"{column} is {type(value).__name__}.", next_step="give text, an integer or None.")
    return json.dumps(row, ensure_ascii=True, separators=(",", ":"))


class RowMac:
    """HMAC-SHA-256 under a 32-byte key over table, columns and values of one row.

    It shows a changed or forged row; not a row that was deleted or put back to an earlier state.
    """

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
            raise Invalid(f"a row MAC key has {_KEY_BYTES} bytes.", next_step="draw a key of 32 random bytes.")
        self._key = key

    def mac(self, table: str, *parts: str) -> bytes:
        """The 32 bytes for ``parts`` of a row of ``table``; each part is preceded by its length in 8 bytes."""
        state = hmac.new(self._key, _PREFIX, hashlib.sha256)
        for part in (table, *parts):
            body = part.encode()
            state.update(len(body).to_bytes(8, "big") + body)
        return state.digest()

    def holds(self, mac: object, table: str, *parts: str) -> bool:
        """Whether ``mac`` is the one of these parts."""
        return isinstance(mac, bytes) and hmac.compare_digest(mac, self.mac(table, *parts))
