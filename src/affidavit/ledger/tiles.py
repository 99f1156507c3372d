"""The resources of a tlog-tiles log: paths, widths and bodies. Growing and reading are in ``growth`` and ``reader``.

Source: C2SP tlog-tiles. A tile holds up to 256 hashes; level 0 holds leaf hashes, each hash of level
L + 1 is the root of a full tile of level L. A bundle holds the 256 entries below one tile of level 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.fields import HASH_BYTES, check_count, shown

WIDTH = 256
ENTRIES = -1
"""The level that stands for entry bundles."""
MAX_ENTRY_BYTES = 65_535
MAX_LEVEL = 63

Read = Callable[[str], bytes]
"""Bytes of a resource by its path below the log directory; raises ``NotFound`` when it does not exist."""

_PATH = re.compile(
    r"tile/(?:(?P<entries>entries)|(?P<level>0|[1-9][0-9]?))"
    r"/(?P<groups>(?:x[0-9]{3}/)*)(?P<last>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One immutable resource: a tile of hashes, or a bundle of entries when ``level`` is ``ENTRIES``.

    ``index`` counts within the level from 0; ``width`` is 1 to 256, and below 256 the tile is partial.
    """

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        check_count(self.index, "tile index")
        if not (ENTRIES <= self.level <= MAX_LEVEL and 1 <= self.width <= WIDTH):
            raise Invalid(
                f"There is no tile of level {self.level} and width {self.width}.",
                next_step="Levels are 0 to 63 (-1 for entries), widths 1 to 256.",
            )

    @property
    def path(self) -> str:
        """The path below the log directory: ``tile/0/x001/x234/067``, ``tile/entries/000.p/12``."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        suffix = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{index_path(self.index)}{suffix}"

    @property
    def full(self) -> Tile:
        """The full tile at the same place."""
        return Tile(self.level, self.index)

    @property
    def span(self) -> int:
        """Number of entries below one hash (or in one place of a bundle): 256^level."""
        return 1 << 8 * max(self.level, 0)

    @property
    def first_entry(self) -> int:
        """Index of the first entry below this tile."""
        return self.index * WIDTH * self.span


def index_path(index: int) -> str:
    """A tile index in groups of three digits, all but the last with an ``x``: 1234067 -> ``x001/x234/067``."""
    digits = str(check_count(index, "tile index"))
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*("x" + group for group in groups[:-1]), groups[-1]])


def parse_path(path: str) -> Tile:
    """The tile that a path names; each tile has exactly one path.

    Raises:
        Invalid: any other string: other levels, widths or digits, needless zero groups, ``..``.
    """
    match = _PATH.fullmatch(path) if isinstance(path, str) else None
    if match is not None:
        digits = match["groups"].replace("x", "").replace("/", "") + match["last"]
        level = ENTRIES if match["entries"] else int(match["level"])
        width = int(match["width"] or WIDTH)
        partial_is_narrow = match["width"] is None or width < WIDTH
        if len(digits) < 20 and level <= MAX_LEVEL and width <= WIDTH and partial_is_narrow:
            tile = Tile(level, int(digits), width)
            if tile.path == path:
                return tile
    raise Invalid(f"{shown(path)} is not the path of a tile.", next_step="Remove the file from the log directory.")


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes (or entries) tile ``index`` of a level has in a log of ``size`` entries; 0 if none."""
    return max(0, min(WIDTH, (size >> 8 * max(level, 0)) - index * WIDTH))


def level_tiles(level: int, size: int) -> Iterator[Tile]:
    """Every tile of one level in a log of ``size`` entries: full ones, then the partial one if it is not empty."""
    full, rest = divmod(size >> 8 * max(level, 0), WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if rest:
        yield Tile(level, full, rest)


def hash_levels(size: int) -> range:
    """The levels that have a tile in a log of ``size`` entries; none for the empty log."""
    levels = 0
    while size >> (8 * levels):
        levels += 1
    return range(levels)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every resource of a log of ``size`` entries: bundles, then tiles level by level; none when it is empty.

    Partial tiles of earlier sizes are not among them.
    """
    check_count(size, "size")
    yield from level_tiles(ENTRIES, size)
    for level in hash_levels(size):
        yield from level_tiles(level, size)


def edge_of(size: int) -> list[Tile]:
    """The partial tiles at the right edge of a log of ``size`` entries, lowest level first, without the bundle."""
    tiles = []
    for level in hash_levels(size):
        full, rest = divmod(size >> (8 * level), WIDTH)
        if rest:
            tiles.append(Tile(level, full, rest))
    return tiles


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries, each behind its length as a big-endian 16-bit number; at most 256 of them.

    Raises:
        Invalid: more than 256 entries, or one longer than 65,535 bytes (keep large matter outside of the log).
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise Invalid(
                f"An entry of {len(entry)} bytes is longer than {MAX_ENTRY_BYTES}.",
                next_step="Store it as an attachment and put its digest into the entry.",
            )
        parts += (len(entry).to_bytes(2, "big"), entry)
    if len(parts) > 2 * WIDTH:
        raise Invalid(f"A bundle of {len(parts) // 2} entries is larger than 256.", next_step="Split it at 256.")
    return b"".join(parts)


def decode_bundle(body: bytes, width: int) -> list[bytes]:
    """The entries of a bundle that has exactly ``width`` (1 to 256) of them and nothing else.

    Raises:
        Invalid: ``width`` out of range.
        Tampered: a length runs past the end, entries are missing, or bytes follow the last one.
    """
    entries, end = scan_bundle(body, width)
    if len(entries) != width or end != len(body):
        raise Tampered(
            f"A bundle of {len(body)} bytes holds {len(entries)} whole entries up to byte {end}, not {width} entries.",
            next_step="Restore the bundle from a mirror or from the database and verify again.",
        )
    return entries


def scan_bundle(body: bytes, width: int) -> tuple[list[bytes], int]:
    """The leading whole entries of a bundle, at most ``width``, and the offset behind the last of them.

    Raises:
        Invalid: ``width`` is not 1 to 256.
    """
    if not 1 <= width <= WIDTH:
        raise Invalid(f"A bundle cannot have {width} entries.", next_step="Use a width from 1 to 256.")
    entries: list[bytes] = []
    position, total = 0, len(body)
    for _ in range(width):
        start = position + 2
        if start > total:
            break
        stop = start + (body[position] << 8 | body[position + 1])
        if stop > total:
            break
        entries.append(body[start:stop])
        position = stop
    return entries, position


def decode_tile(body: bytes, width: int) -> list[bytes]:
    """The hashes of a tile that has exactly ``width`` of them.

    Raises:
        Tampered: another number of bytes than 32 times ``width``.
    """
    if len(body) != width * HASH_BYTES:
        raise Tampered(
            f"A tile of width {width} has {len(body)} bytes, not {width * HASH_BYTES}.",
            next_step="Restore the tile from a mirror, or derive it again from the entries.",
        )
    return [body[i : i + HASH_BYTES] for i in range(0, len(body), HASH_BYTES)]
