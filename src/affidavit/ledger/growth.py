"""How a log grows: the resources to write between two sizes are a pure function of the old right edge and the entries.

So a second worker, or the same one after a crash, derives the same bytes, and put-if-absent is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affidavit.core.errors import NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.ledger.fields import HASH_BYTES, check_count
from affidavit.ledger.tiles import ENTRIES, WIDTH, Read, Tile, decode_bundle, edge_of, encode_bundle, scan_bundle

_RESTORE = "Restore the log directory from a mirror, or derive it again from the entries, and run the verifier."


@dataclass(frozen=True, slots=True)
class Growth:
    """What to write so that a log has ``size`` entries and root ``root``.

    ``puts`` are ``(path, body)``, bundles first, then tiles from level 0 up; empty when nothing was added.
    Write all of them durably, then sign the checkpoint, then publish it.
    """

    size: int
    root: bytes
    puts: list[tuple[str, bytes]]


def read_tile(read: Read, tile: Tile) -> bytes:
    """The body of a tile or bundle, from its partial resource or else from the full one, cut to its width.

    Raises:
        NotFound: neither exists.
        Tampered: it has another length than its width requires.

    Source: C2SP tlog-tiles, "Partial Tiles": partials may be gone once the full tile exists.
    """
    try:
        body = read(tile.path)
        found = tile
    except NotFound:
        if tile.width == WIDTH:
            raise
        found = tile.full
        body = read(found.path)
    if tile.level == ENTRIES:
        decode_bundle(body, found.width)
        return body[: scan_bundle(body, tile.width)[1]]
    if len(body) != found.width * HASH_BYTES:
        raise Tampered(f"{found.path} has {len(body)} bytes, not {found.width * HASH_BYTES}.", next_step=_RESTORE)
    return body[: tile.width * HASH_BYTES]


def read_edge(read: Read, size: int) -> dict[int, bytes]:
    """The hashes of the partial tile at each level of the right edge: {level: concatenated hashes}.

    Raises:
        NotFound: a tile of the edge is missing.
        Tampered: one has the wrong length.
    """
    return {tile.level: read_tile(read, tile) for tile in edge_of(size)}


def edge_root(edge: dict[int, bytes]) -> bytes:
    """The root of a log from its right edge (as ``read_edge`` gives it); an empty edge is the empty log."""
    pieces: list[bytes] = []
    for level in sorted(edge, reverse=True):
        row = edge[level]
        for start, stop in merkle.perfect_spans(0, len(row) // HASH_BYTES):
            pieces.append(merkle.perfect_root(row[start * HASH_BYTES : stop * HASH_BYTES]))
    return merkle.fold_edge(pieces)


def grow(read: Read, size: int, entries: Sequence[bytes], *, root: bytes | None = None) -> Growth:
    """The resources that turn a log of ``size`` entries into one with ``entries`` behind them.

    Args:
        read: reads the present log; only its right edge and the last partial bundle are read.
        size: number of entries of the present log, 0 for a new one.
        entries: bodies to append, each at most 65,535 bytes; none give no puts and the present root.
        root: root of the present log from its signed checkpoint, if any; the edge is checked against it.

    Raises:
        Invalid: an entry too long, or a size out of range.
        NotFound: a resource of the right edge is missing.
        Tampered: the edge does not hash to ``root``, or the last bundle not to its tile.
    """
    check_count(size, "size")
    edge = read_edge(read, size)
    if root is not None and edge_root(edge) != root:
        raise Tampered(f"The right edge at size {size} does not hash to {root.hex()}.", next_step=_RESTORE)
    bundle = _last_bundle(read, size, edge)
    puts = _bundles(bundle, size, entries) if entries else []
    row = b"".join(merkle.leaf_hashes(entries))
    level = 0
    while row:
        row = _fill_level(level, size >> (8 * level), edge, row, puts)
        level += 1
    return Growth(size + len(entries), edge_root(edge), puts)


def _last_bundle(read: Read, size: int, edge: dict[int, bytes]) -> list[bytes]:
    """The entries of the partial bundle at the end, checked against the partial tile of level 0."""
    index, width = divmod(size, WIDTH)
    if width == 0:
        return []
    tile = Tile(ENTRIES, index, width)
    entries = decode_bundle(read_tile(read, tile), width)
    if b"".join(merkle.leaf_hashes(entries)) != edge[0]:
        raise Tampered(f"{tile.path} does not hash to the tile of level 0.", next_step=_RESTORE)
    return entries


def _bundles(last: list[bytes], size: int, entries: Sequence[bytes]) -> list[tuple[str, bytes]]:
    first = size // WIDTH
    held = [*last, *entries]
    puts = []
    for start in range(0, len(held), WIDTH):
        part = held[start : start + WIDTH]
        puts.append((Tile(ENTRIES, first + start // WIDTH, len(part)).path, encode_bundle(part)))
    return puts


def _fill_level(level: int, count: int, edge: dict[int, bytes], row: bytes, puts: list[tuple[str, bytes]]) -> bytes:
    """Put the tiles of one level, leave its new edge in ``edge``; the roots of tiles now full are returned.

    ``count`` is the number of hashes that the level had before; ``row`` the concatenated new ones.
    """
    held = edge.pop(level, b"") + row
    index = count // WIDTH
    roots = []
    for start in range(0, len(held), WIDTH * HASH_BYTES):
        body = held[start : start + WIDTH * HASH_BYTES]
        puts.append((Tile(level, index, len(body) // HASH_BYTES).path, body))
        if len(body) == WIDTH * HASH_BYTES:
            roots.append(merkle.perfect_root(body))
        else:
            edge[level] = body
        index += 1
    return b"".join(roots)
