"""Entries as the bundles of the log folder hold them, also those beyond the signed head."""

from __future__ import annotations

from collections.abc import Iterator

from affidavit.core import envelope
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger.growth import read_tile
from affidavit.ledger.merkle import leaf_hashes
from affidavit.ledger.tiles import ENTRIES, WIDTH, Tile, decode_bundle, parse_path
from affidavit.service.stores import Stores

_KEEP = "keep everything as it is and restore the missing part from a mirror."


def extent(stores: Stores) -> int:
    """Up to which size entry bundles are there, signed or not."""
    reach = 0
    for path in stores.tiles.list("tile/entries"):
        try:
            tile = parse_path(path)
        except Invalid:
            continue
        reach = max(reach, tile.index * WIDTH + tile.width)
    return reach


def bundled(stores: Stores, start: int, stop: int) -> Iterator[bytes]:
    """The entries ``start`` to ``stop`` of the bundles. Raises ``NotFound`` or ``Tampered``."""
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        width = min(WIDTH, stop - number * WIDTH)
        entries = decode_bundle(read_tile(stores.tiles.get, Tile(ENTRIES, number, width)), width)
        yield from entries[max(0, start - number * WIDTH) :]


def unsigned_entries(stores: Stores, size: int, stop: int) -> list[bytes]:
    """The entries from ``size`` on that bundles hold beyond the signed head: accepted once, by their form.

    Raises ``Tampered`` unless their leaf tiles agree, each is an entry of this log that follows the ones
    before it in its stream, and the last command is whole.
    """
    bodies = list(bundled(stores, size, stop))
    for number in range(size // WIDTH, -(-stop // WIDTH)):
        width = min(WIDTH, stop - number * WIDTH)
        try:
            hashes = read_tile(stores.tiles.get, Tile(0, number, width))
        except NotFound:  # the crash came between bundle and hashes
            continue
        if b"".join(leaf_hashes(list(bundled(stores, number * WIDTH, number * WIDTH + width)))) != hashes:
            raise Tampered(f"bundle {number} does not hash to its tile.", next_step=_KEEP)
    _check_follow(stores, size, bodies)
    return bodies


def _check_follow(stores: Stores, size: int, bodies: list[bytes]) -> None:
    """Each body is an entry of this log, next in its stream; the last one ends its command."""
    seqs: dict[str, int] = {}
    for body in stores.entries.entries(0, size):
        head = envelope.split(body, proven=True).head
        seqs[head.stream] = head.seq + 1
    for index, body in enumerate(bodies, size):
        head = envelope.decode(index, body).head
        if head.log != stores.origin or head.seq != seqs.get(head.stream, 0):
            raise Tampered(f"entry {index} there does not follow the entries before it.", next_step=_KEEP)
        seqs[head.stream] = head.seq + 1
        if index + 1 == size + len(bodies) and head.cmd.part != head.cmd.of:
            raise Tampered(f"they end within command {head.cmd.id}.", next_step=_KEEP)


def first_difference(stores: Stores, size: int, stop: int) -> int | None:
    """The first entry below ``size`` that the database and bundles of ``stop`` entries do not share, or None."""
    pairs = zip(stores.entries.entries(0, size), bundled(stores, 0, stop), strict=False)
    return next((index for index, (mine, theirs) in enumerate(pairs) if mine != theirs), None)
