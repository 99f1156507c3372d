"""Ids of decisions and streams. Pure: time and random bytes are handed in.

A decision id is a UUIDv7 (RFC 9562 section 5.7), minted so that ids of one stream ascend: the order of ids is the
order of rows, and a range of times is a range of ids.
"""

from __future__ import annotations

import hashlib
import re

from affidavit.core.errors import Invalid

PER_MS = 4096
"""Ids of one millisecond."""
_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


class Minter:
    """Mints ascending UUIDv7 of one stream; a clock that steps back does not take the ids with it."""

    __slots__ = ("_count", "_ms")

    def __init__(self) -> None:
        self._ms, self._count = 0, 0

    def mint(self, ms: int, tail: bytes) -> bytes:
        """The next id, 16 bytes. ``ms`` since 1970, ``tail`` 8 random bytes; 4,096 ids a millisecond, then the next."""
        if ms > self._ms:
            self._ms, self._count = ms, 0
        else:
            self._count += 1
            if self._count == PER_MS:
                self._ms, self._count = self._ms + 1, 0
        head = (self._ms << 16 | 0x7000 | self._count).to_bytes(8, "big")
        return head + bytes((tail[0] & 0x3F | 0x80,)) + tail[1:]


def id_text(body: bytes) -> str:
    """``018f…-…``: the id as people and entries write it."""
    h = body.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def id_bytes(text: str) -> bytes:
    """The 16 bytes of an id. Raises ``Invalid``."""
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise Invalid(
            f"{str(text)[:60]!r} is no id.", next_step="give an id such as 018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d."
        )
    return bytes.fromhex(text.replace("-", ""))


def id_ms(body: bytes) -> int:
    """Milliseconds since 1970 that a UUIDv7 begins with. Raises ``Invalid`` for another kind of id."""
    if len(body) != 16 or body[6] >> 4 != 7 or body[8] >> 6 != 2:
        raise Invalid(f"{body.hex()} is no UUIDv7.", next_step="give the id that recording the decision returned.")
    return int.from_bytes(body[:6], "big")


def stream_id(boot: str, pid: int, nonce: bytes, kind: str) -> str:
    """The id of a stream: of host boot, process, start nonce (16 random bytes) and kind. A custom UUID (version 8)."""
    body = bytearray(hashlib.sha256(f"stream\0{boot}\0{pid}\0{nonce.hex()}\0{kind}".encode()).digest()[:16])
    body[6], body[8] = body[6] & 0x0F | 0x80, body[8] & 0x3F | 0x80
    return id_text(bytes(body))
