"""The stream of a recorder's decisions: numbers, salts and ids are drawn and the row is written under one lock."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns
from typing import Any
from zlib import crc32

from affidavit.client.encoding import Encoder, Values, too_long
from affidavit.core.errors import Invalid
from affidavit.streams import wal
from affidavit.streams.ids import PER_MS, id_text
from affidavit.streams.passport import Policy
from affidavit.streams.rows import MAX_ROW, SALT_BYTES
from affidavit.streams.writer import LOOK, StreamWriter, now_ms

_DRAW = SALT_BYTES + 8
_DRAWS = 256
_TAIL = slice(SALT_BYTES, None, _DRAW)
_VARIANT = bytes(b & 0x3F | 0x80 for b in range(256))
_CRC = crc32(bytes((wal.ROW,)))
_FRAME = wal.FRAME.pack
_REMEMBERED = 65_536


def draw() -> bytes:
    """Salts and tails of ids for 256 rows."""
    block = bytearray(os.urandom(_DRAW * _DRAWS))
    block[_TAIL] = block[_TAIL].translate(_VARIANT)
    return bytes(block)


class DecisionWriter(StreamWriter):
    """Writes rows that an ``Encoder`` has read. Ids ascend, whatever the clock does (``ids.Minter`` says how)."""

    def __init__(self, spool: Path, encoder: Encoder, origin: str, *, policy: Policy, clock: Callable[[], int] = now_ms,
                 attested: dict[str, Any], **given: Any) -> None:  # fmt: skip
        self.encoder = encoder
        self._place = 0  # of the newest id: milliseconds times 4,096, plus its number within the millisecond
        self._pool, self._used = b"", 0
        self._given_ids: dict[bytes, None] = {}
        self._buffer = bytearray(encoder.struct.size)
        self._head, self._pack, self._tags = encoder.schema.digest + b"\5", encoder.struct.pack_into, encoder.tags
        super().__init__(spool, encoder.schema, origin, policy=policy, attested=attested, clock=clock, **given)

    def put(self, fixed: Values, nulls: tuple[int, ...], tail: bytes, middle: bytes, at: int | None,
            given: bytes | None) -> tuple[int, bytes, bytes]:  # fmt: skip
        """Write one decision: ``(row number, id, frame)``. Raises ``Invalid``, ``StoreDown``; then nothing was written."""
        buffer = self._buffer
        with self._lock:
            if self._used == len(self._pool):
                self._pool, self._used = draw(), 0
            used = self._used
            tails = self._used = used + _DRAW
            split = used + SALT_BYTES
            pool = self._pool
            now = time_ns() // 1_000_000 if self._clock is now_ms else self._clock()
            if given is None:
                place = now * PER_MS
                if place <= self._place:
                    place = self._place + 1
                self._place = place
                body = (place >> 12 << 16 | 0x7000 | place & 0xFFF).to_bytes(8, "big") + pool[split:tails]
            else:
                body = given
                if given in self._given_ids:
                    raise _twice(given)
            size, seq = self._mark
            try:
                self._pack(
                    buffer, 0, seq, pool[used:split], self._head, body, 4, now if at is None else at, middle, *fixed
                )
            except struct.error:
                raise self.encoder.out_of_range(fixed) from None
            for where, tags in self._tags:
                buffer[where] = tags
            for place in nulls:
                buffer[place] = 0
            length = len(buffer) + len(tail)
            if length > MAX_ROW:
                raise too_long(length)
            frame = b"".join((_FRAME(length, crc32(tail, crc32(buffer, _CRC)), wal.ROW), buffer, tail))
            total = size + len(frame)
            if total > self._bound or self._durable:
                self._write(1, frame, len(frame))
            else:  # what _write does, without a call
                bound, self._bound = self._bound, LOOK
                try:
                    done = os.write(self._fd, frame)
                except OSError as e:
                    raise self._down(e) from None
                if done < len(frame):
                    raise self._cut_off()
                self._mark = (total, seq + 1)
                self._bound = bound
            if given is not None:
                self._remember(given)
        return seq, body, frame

    def _remember(self, given: bytes) -> None:
        """Ids that callers gave, so that the same one is refused: the newest 65,536."""
        self._given_ids[given] = None
        if len(self._given_ids) > _REMEMBERED:
            del self._given_ids[next(iter(self._given_ids))]

    def put_many(self, count: int, body_of: Callable[[int, int], Any], given: Sequence[bytes] = ()) -> int:
        """Write ``count`` rows as one batch frame; the number of the first. ``body_of(ms, first place)`` gives its Arrow bytes.

        Row ``n`` has the ``first place + n``-th id from ``ms`` on, 4,096 a millisecond, unless ids are ``given``. Raises as
        ``put``.
        """
        with self._lock:
            self._check_open()
            if twice := next((g for g in given if g in self._given_ids), None):
                raise _twice(twice)
            place = max(self._clock() * PER_MS, self._place + 1)
            body = body_of(*divmod(place, PER_MS))
            if not given:
                self._place = place + count - 1
            seq = self._write_batch(count, body)
            for one in given:
                self._remember(one)
            return seq


def _twice(given: bytes) -> Invalid:
    return Invalid(f"the id {id_text(given)} was recorded before.", next_step="record a decision once.")
