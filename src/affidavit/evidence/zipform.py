"""The one byte form of a package's zip: stored members, fixed headers, nothing else. [bytes]

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16, of which every free field is fixed here
(docs/spec/package.md). Since each header follows from name, size, CRC and offset, a reader computes all
of them and compares: no byte of the file is left unexplained.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

MAX_BYTES = (1 << 32) - 2
"""Largest package, bytes: beyond it zip64 would be needed, which is refused."""
MAX_MEMBERS = (1 << 16) - 2
MAX_NAME = 200

LOCAL = struct.Struct("<4sHHHHHLLLHH")
CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
END = struct.Struct("<4sHHHHLLH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_VERSION = 20
_MADE_BY = 3 << 8 | _VERSION
_DATE_1980 = 0x21
_MODE_0644 = 0o100644 << 16


class Member(NamedTuple):
    """One file of the zip: its name, the CRC-32 of its bytes, their number, and where its header starts."""

    name: str
    crc: int
    size: int
    offset: int

    @property
    def data(self) -> int:
        """Where its bytes start."""
        return self.offset + LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        """Where the next member starts."""
        return self.data + self.size


def local_header(member: Member) -> bytes:
    """The only local header that a member may have."""
    fixed = LOCAL.pack(
        LOCAL_MARK, _VERSION, 0, 0, 0, _DATE_1980, member.crc, member.size, member.size, len(member.name), 0
    )
    return fixed + member.name.encode("ascii")


def central_record(member: Member) -> bytes:
    """The only record in the central directory that a member may have."""
    fixed = CENTRAL.pack(
        CENTRAL_MARK, _MADE_BY, _VERSION, 0, 0, 0, _DATE_1980, member.crc, member.size, member.size,
        len(member.name), 0, 0, 0, 0, _MODE_0644, member.offset,
    )  # fmt: skip
    return fixed + member.name.encode("ascii")


def end_record(members: Sequence[Member], start: int) -> bytes:
    """The only end record that a zip of these members, whose directory is at ``start``, may have."""
    size = sum(CENTRAL.size + len(m.name) for m in members)
    return END.pack(END_MARK, 0, 0, len(members), len(members), size, start, 0)
