"""Commitments to private text: HMAC-SHA-256 under a 32-byte random key per record. [bytes]

The key lives in the vault with the text. Destroying it leaves a commitment that says nothing, even
of a field with two possible values (``docs/spec/entries.md``).
"""

from __future__ import annotations

import hashlib
import hmac

from affidavit.core.errors import Invalid

KEY_BYTES = 32
_PREFIX = b"affidavit/commit/v1\0"


def commit(key: bytes, field: str, text: str) -> str:
    """``sha256:<hex>`` of HMAC(key, prefix ‖ field ‖ NUL ‖ UTF-8 text).

    ``key`` is exactly 32 bytes: HMAC pads keys with zeros, so a free length would not bind.
    Raises ``Invalid`` for another length or a field name with NUL.
    """
    if len(key) != KEY_BYTES or "\0" in field:
        raise Invalid(f"a commitment key has 32 bytes, not {len(key)}.", next_step="draw a key of 32 random bytes.")
    mac = hmac.new(key, _PREFIX + field.encode() + b"\0" + text.encode(), hashlib.sha256)
    return "sha256:" + mac.hexdigest()


def opens(commitment: str, key: bytes, field: str, text: str) -> bool:
    """Whether ``text`` and ``key`` are what ``commitment`` was made from."""
    return len(key) == KEY_BYTES and hmac.compare_digest(commit(key, field, text), commitment)
