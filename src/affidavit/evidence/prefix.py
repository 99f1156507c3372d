"""A log as it stood at an earlier size, read from the tiles of a later one."""

from __future__ import annotations

from affidavit.core.errors import NotFound, Tampered
from affidavit.ledger.fields import HASH_BYTES
from affidavit.ledger.reader import TileReader
from affidavit.ledger.tiles import ENTRIES, Read, Tile, parse_path, scan_bundle, width_at


def prefix_of(read: Read, size: int) -> Read:
    """Reads any tile or bundle narrower than what a log of ``size`` entries holds, cut from what it holds.

    Partial tiles of earlier sizes may be gone; they are always the beginning of the wider ones.
    """

    def cut(path: str) -> bytes:
        tile = parse_path(path)
        held = width_at(tile.level, tile.index, size)
        if held < tile.width:
            raise NotFound(f"{path} reaches beyond size {size}.", next_step="read a later checkpoint.")
        body = read(Tile(tile.level, tile.index, held).path)
        if held == tile.width:
            return body
        end = scan_bundle(body, tile.width)[1] if tile.level == ENTRIES else tile.width * HASH_BYTES
        if len(body) < end:
            raise Tampered(f"{path} is cut short.", next_step="restore it from a mirror.")
        return body[:end]

    return cut


def root_at(read: Read, size: int, held: int) -> bytes:
    """The root at ``size`` of a log whose tiles are those of ``held`` entries."""
    return TileReader(prefix_of(read, held), size).root()
