"""The write-ahead file: what ``record`` has returned is in it. Format of docs/spec/segments.md, "Spool".

A stream has a folder ``<spool>/<stream>/`` with files ``000001.wal``, ``000002.wal`` … Each begins with an opening and
holds frames: u32 length of the body, u32 CRC-32 of type and body, u8 type, body (all little-endian). One ``write`` call
carries one frame, so that a process killed at any instruction leaves whole frames and at most one torn at the end.

The writer holds a lock (``flock``) on the newest file: gone with the process, kept when the same process reads the file
(a record lock would not be). A child of a fork closes what it inherited.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid, StoreDown
from affidavit.core.fields import Count, Digest, Id, Positive, Slug, Token
from affidavit.streams.rows import SALT_BYTES
from affidavit.streams.schema import Schema, schema_of

OPEN, ROW, BATCH, GAP, CLOSE = 1, 2, 3, 4, 5
"""Frame types: opening (canonical JSON), one row (u64 seq, salt, row), many rows (u64 first seq, u32 n, Arrow IPC
stream with the column ``salt`` and the schema's columns), requests served but not recorded, orderly end."""

FRAME = struct.Struct("<IIB")
ROW_HEAD = struct.Struct("<Q")
BATCH_HEAD = struct.Struct("<QI")
MAX_FRAME = 1 << 30
FILE_BYTES = 64 << 20
"""A writer begins the next file once this many bytes stand in one."""
SUFFIX = ".wal"
FORMAT = "affidavit.dev/wal/v1"


@dataclass(frozen=True, slots=True)
class Opening:
    """The first frame of every file: whose stream it is, and what the process says it runs.

    ``attested`` is the canonical JSON text of the whole configuration; ``configuration`` its digest. ``key`` is the
    public half (base64) of the stream's receipt key, None if it signs none.
    """

    format: Token
    origin: Token
    stream: Id
    kind: Token
    boot: Token
    pid: Count
    nonce: Token
    recorder: Token
    opened_ms: Count
    file: Positive
    first_seq: Count
    deployment: Id | None = None
    model: Slug | None = None
    number: Positive | None = None
    env: Token | None = None
    artifact: Digest | None = None
    configuration: Digest | None = None
    key: Token | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An opening with the schema and the attested configuration that came with it."""

    opening: Opening
    schema: Schema
    attested: dict[str, Any]

    def encode(self) -> bytes:
        """The canonical body of the opening frame."""
        body = codec.dump_object(self.opening)
        return canonical.encode({"attested": self.attested, "opening": body, "schema": self.schema.value()})


def parse_opened(body: bytes) -> Opened:
    """The opening of a file. Raises ``Invalid``."""
    value = canonical.decode(body)
    if not isinstance(value, dict) or set(value) != {"attested", "opening", "schema"}:
        raise Invalid("the file does not begin with an opening.", next_step="it is no write-ahead file of a recorder.")
    opening: Opening = codec.load_object(Opening, value["opening"], "opening")
    if opening.format != FORMAT or not isinstance(value["attested"], dict):
        raise Invalid(f"a write-ahead file of {opening.format!r}.", next_step="use a release that knows it.")
    return Opened(opening, schema_of(value["schema"]), value["attested"])


def frame(kind: int, body: bytes) -> bytes:
    """A whole frame, to be written by one call."""
    return FRAME.pack(len(body), zlib.crc32(body, zlib.crc32(bytes((kind,)))), kind) + body


def row_body(seq: int, salt: bytes, row: bytes) -> bytes:
    """The body of a row frame."""
    return ROW_HEAD.pack(seq) + salt + row


def batch_parts(first: int, count: int, body: Any) -> tuple[bytes, Any]:
    """A whole batch frame in two parts that one call writes: ``body`` is the Arrow IPC stream, any buffer."""
    head = BATCH_HEAD.pack(first, count)
    crc = zlib.crc32(body, zlib.crc32(head, zlib.crc32(bytes((BATCH,)))))
    return FRAME.pack(len(head) + len(body), crc, BATCH) + head, body


def split_row(body: bytes) -> tuple[int, bytes, bytes]:
    """``(seq, salt, row)`` of a row frame. Raises ``Invalid`` for one too short."""
    if len(body) < 8 + SALT_BYTES + 32:
        raise Invalid("a row frame is too short.", next_step="the file is damaged.")
    return ROW_HEAD.unpack_from(body)[0], body[8 : 8 + SALT_BYTES], body[8 + SALT_BYTES :]


def split_batch(body: bytes) -> tuple[int, int, bytes]:
    """``(first seq, rows, Arrow IPC bytes)`` of a batch frame. Raises ``Invalid`` for one too short."""
    if len(body) < BATCH_HEAD.size:
        raise Invalid("a batch frame is too short.", next_step="the file is damaged.")
    first, count = BATCH_HEAD.unpack_from(body)
    return first, count, body[BATCH_HEAD.size :]


Stop = Literal["end", "torn", "damaged"]


@dataclass(slots=True)
class Reading:
    """Where reading a file stopped, and why: at its end, at a frame that was never finished, or at a bad one.

    ``offset`` is that of the first byte not understood. What follows a bad frame is not trusted. A bad length looks like
    an unfinished frame: ``resumes`` tells the two apart.
    """

    offset: int = 0
    stop: Stop = "end"


def read_frames(path: Path, state: Reading) -> Iterator[tuple[int, int, bytes]]:
    """``(offset, type, body)`` of each whole frame from ``state.offset`` on; ``state`` says where it stopped.

    Memory: one frame. Raises ``StoreDown`` if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(state.offset)
            while True:
                head = file.read(FRAME.size)
                if len(head) < FRAME.size:
                    state.stop = "torn" if head else "end"
                    return
                length, crc, kind = FRAME.unpack(head)
                left = size - state.offset - FRAME.size
                if length > MAX_FRAME or length > left:
                    state.stop = "damaged" if length > MAX_FRAME else "torn"
                    return
                body = file.read(length)
                if len(body) < length or zlib.crc32(body, zlib.crc32(head[8:9])) != crc:
                    state.stop = "damaged"
                    return
                at, state.offset = state.offset, state.offset + FRAME.size + length
                yield at, kind, body
    except OSError as e:
        raise StoreDown(f"{path} cannot be read: {e.strerror}.", next_step="check the disk and its rights.") from None


_STATED = re.compile(rb"[\x04\x05]\{\"|\x03.{12}\xff{4}", re.DOTALL)
"""The type byte of a gap, an end or a batch, and how its body begins."""


def resumes(path: Path, offset: int, schema: Schema | None, seq: int) -> int | None:
    """Where the first whole frame after ``offset`` begins, None without one. If there is one, that at ``offset`` was
    finished, and is damaged: a writer cuts off what it could not finish before it goes on.

    Rows are known by the digest of their schema, without
    an opening by the number ``seq`` of the next one. Raises ``StoreDown`` if the file cannot be read.
    """
    mark, before = (schema.digest, FRAME.size + ROW_HEAD.size + SALT_BYTES) if schema else (
        bytes((ROW,)) + ROW_HEAD.pack(seq), FRAME.size - 1)  # fmt: skip
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) <= offset + FRAME.size:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                starts = [m.start() - before for m in re.compile(re.escape(mark)).finditer(view, offset)]
                starts += [m.start() - FRAME.size + 1 for m in _STATED.finditer(view, offset)]
                return next((s for s in sorted(starts) if s > offset and _is_whole(view, s)), None)
    except OSError as e:
        raise StoreDown(f"{path} cannot be read: {e.strerror}.", next_step="check the disk and its rights.") from None


def _is_whole(view: Any, start: int) -> bool:
    length, crc, kind = FRAME.unpack_from(view, start)
    first, end = start + FRAME.size, start + FRAME.size + length
    return bool(end <= len(view) and zlib.crc32(view[first:end], zlib.crc32(bytes((kind,)))) == crc)


def files_of(folder: Path) -> list[Path]:
    """The write-ahead files of a stream, oldest first."""
    return sorted(folder.glob(f"[0-9]*{SUFFIX}"))


def alive(file: Path) -> bool:
    """Whether a process still holds the writer's lock on the newest file of a stream."""
    import fcntl
    import os

    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as e:
        raise StoreDown(f"{file} cannot be opened: {e.strerror}.", next_step="check its rights.") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
