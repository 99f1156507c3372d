"""Writing the zip of a package, and reading one from a stranger."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

from affidavit.core.errors import Invalid, NotFound, StoreDown, Tampered
from affidavit.evidence.zipform import (
    CENTRAL,
    CENTRAL_MARK,
    END,
    END_MARK,
    LOCAL,
    LOCAL_MARK,
    MAX_BYTES,
    MAX_MEMBERS,
    MAX_NAME,
    Member,
    central_record,
    end_record,
    local_header,
)
from affidavit.ledger.fields import shown
from affidavit.ledger.listing import Problem

CHUNK = 1 << 20
_SMALLER = "package fewer controls or withhold large attachments."


class ZipWriter:
    """Writes members one behind the other; the same members give the same bytes, always."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._members: list[Member] = []
        self._names: set[str] = set()
        self._position = 0

    def add(self, name: str, body: bytes) -> None:
        """Write one member. Raises ``Invalid`` for a name used twice or a package over the limits."""
        if name in self._names or not name.isascii() or not 0 < len(name) <= MAX_NAME:
            raise Invalid(f"the member {shown(name)} cannot be written.", next_step="report this.")
        member = Member(name, zlib.crc32(body), len(body), self._position)
        if member.end > MAX_BYTES or len(self._members) >= MAX_MEMBERS:
            raise Invalid(f"the package grows beyond {MAX_BYTES} bytes or {MAX_MEMBERS} files.", next_step=_SMALLER)
        self._names.add(name)
        self._members.append(member)
        self._write(local_header(member))
        self._write(body)

    def close(self) -> int:
        """Write the directory; the size of the zip is returned. The stream stays open."""
        start = self._position
        for member in self._members:
            self._write(central_record(member))
        self._write(end_record(self._members, start))
        return self._position

    def _write(self, body: bytes) -> None:
        try:
            self._out.write(body)
        except OSError as e:
            raise StoreDown(f"the package cannot be written: {e}.", next_step="check the disk, then again.") from None
        self._position += len(body)


@dataclass(eq=False, repr=False)
class Archive:
    """A zip as far as it could be read; ``problems`` tells every byte that is not as it must be."""

    file: BinaryIO
    size: int
    members: dict[str, Member] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    crc: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def flaw(self, path: str, detail: str) -> None:
        """Note one flaw of the zip itself."""
        self.problems.append(Problem("archive", path, None, detail))

    def at(self, start: int, count: int) -> bytes:
        """``count`` bytes from ``start``; fewer at the end of the file."""
        self.file.seek(start)
        return self.file.read(max(0, count))

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member. Raises ``NotFound``, or ``Invalid`` beyond ``limit`` bytes."""
        member = self.members.get(name)
        if member is None:
            raise NotFound(f"the package has no {name}.", next_step="ask for a whole package.")
        if member.size > limit:
            raise Invalid(f"{name} has {member.size} bytes, more than {limit}.", next_step="refuse the package.")
        return self.at(member.data, member.size)

    def hash_all(self) -> None:
        """CRC and SHA-256 of every member, in one pass."""
        for member in self.members.values():
            state, crc = sha256(), 0
            for chunk in self._chunks(member):
                state.update(chunk)
                crc = zlib.crc32(chunk, crc)
            self.crc[member.name] = crc
            self.digests[member.name] = "sha256:" + state.hexdigest()

    def _chunks(self, member: Member) -> Iterator[bytes]:
        for start in range(member.data, member.end, CHUNK):
            yield self.at(start, min(CHUNK, member.end - start))


def open_archive(file: BinaryIO) -> Archive:
    """Read a zip that may be hostile: its members, their digests, and every byte out of place.

    Nothing is extracted. Raises ``Tampered`` when neither the members nor the directory can be followed,
    ``StoreDown`` when the file cannot be read.
    """
    try:
        archive = Archive(file, file.seek(0, 2))
        _check_size(archive)
        walked, stop = _walk_members(archive)
        listed = _walk_directory(archive)
        whole = archive.at(stop, 4) in (CENTRAL_MARK, END_MARK)
        members = walked if whole else listed or walked
        if sum(m.size for m in members) > archive.size:
            raise Tampered("the members overlap.", next_step="refuse the package.")
        if not members:
            raise Tampered("the file is no package: no zip member can be followed.", next_step="ask for it again.")
        _register(archive, members)
        archive.hash_all()
        _compare(archive, members)
    except OSError as e:
        raise StoreDown(f"the package cannot be read: {e}.", next_step="check the disk, then again.") from None
    return archive


def _check_size(archive: Archive) -> None:
    if archive.size > MAX_BYTES + CENTRAL.size * MAX_MEMBERS:
        raise Invalid(f"the file has {archive.size} bytes; no package is so large.", next_step="refuse it.")
    if archive.size < END.size:
        raise Tampered(f"the file has {archive.size} bytes; no package is so small.", next_step="ask for it again.")


def _name(raw: bytes) -> str:
    """A name as text; bytes that no name has stay visible and never match a wanted file."""
    return raw.decode("ascii", "backslashreplace")


def _walk_members(archive: Archive) -> tuple[list[Member], int]:
    """The members by their local headers, and where the chain of them ends."""
    found: list[Member] = []
    position = 0
    while len(found) <= MAX_MEMBERS:
        raw = archive.at(position, LOCAL.size)
        if len(raw) < LOCAL.size or raw[:4] != LOCAL_MARK:
            break
        _, _, _, _, _, _, crc, _, size, length, extra = LOCAL.unpack(raw)
        start = position + LOCAL.size
        if extra or not 0 < length <= MAX_NAME or start + length + size > archive.size:
            break
        member = Member(_name(archive.at(start, length)), crc, size, position)
        if len(member.name) != length:
            break
        found.append(member)
        position = member.end
    return found, position


def _walk_directory(archive: Archive) -> list[Member]:
    """The members by the central directory, if the end record leads to one; else none."""
    mark, _, _, _, count, size, start, _ = END.unpack(archive.at(archive.size - END.size, END.size))
    if mark != END_MARK or count > MAX_MEMBERS or start + size > archive.size:
        return []
    body, position, found = archive.at(start, size), 0, []
    while position + CENTRAL.size <= len(body) and body[position : position + 4] == CENTRAL_MARK:
        fields = CENTRAL.unpack_from(body, position)
        crc, plain, length, extra, comment, offset = fields[7], fields[9], *fields[10:13], fields[16]
        position += CENTRAL.size
        name = _name(body[position : position + length])
        if len(name) != length or offset + plain > archive.size:
            return []
        found.append(Member(name, crc, plain, offset))
        position += length + extra + comment
    return found


def _register(archive: Archive, members: Sequence[Member]) -> None:
    """Take members by name; a second one of a name is a flaw and never read."""
    for member in members:
        archive.order.append(member.name)
        if member.name in archive.members:
            archive.flaw(member.name, "two members have this name; the second is not read")
        else:
            archive.members[member.name] = member


def _compare(archive: Archive, members: Sequence[Member]) -> None:
    """Every header against the only form it may have, and nothing between or behind the members."""
    position = 0
    for member in members:
        if member.offset != position:
            archive.flaw(member.name, f"it starts at byte {member.offset}; the member before it ends at {position}")
        _compare_region(archive, member.name, "its local header", member.offset, local_header(member))
        if archive.crc[member.name] != member.crc and archive.members[member.name] is member:
            archive.problems.append(Problem("crc", member.name, None, "its bytes do not have the CRC-32 stated"))
        position = member.end
    start = position
    for member in members:
        record = central_record(member)
        _compare_region(archive, member.name, "its record in the directory", position, record)
        position += len(record)
    _compare_region(archive, "", "the end record", position, end_record(members, start))
    position += END.size
    if archive.size != position:
        archive.flaw("", f"the file has {archive.size} bytes; the package ends at byte {position}")


def _compare_region(archive: Archive, name: str, what: str, start: int, expected: bytes) -> None:
    found = archive.at(start, len(expected))
    if found != expected:
        differing = [i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b]
        first = start + (differing[0] if differing else len(found))
        archive.flaw(name, f"{what} differs from byte {first} on: not the form of a package")
