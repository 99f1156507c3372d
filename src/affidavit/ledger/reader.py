"""Proofs and entries from the tiles of a log, with few reads: at most one tile per level and proof step."""

from __future__ import annotations

from collections import OrderedDict

from affidavit.core.errors import Invalid
from affidavit.ledger import merkle
from affidavit.ledger.fields import HASH_BYTES, check_count
from affidavit.ledger.growth import read_tile
from affidavit.ledger.tiles import ENTRIES, WIDTH, Read, Tile, decode_bundle, width_at

CACHED_TILES = 512


class TileReader:
    """Reads one size of a log: nodes, proofs and entries.

    Nothing that it returns is verified: check proofs against a verified checkpoint (``merkle.verify_*``).
    Up to ``cached`` tiles (16 KiB each) are kept, so a series of proofs reads each tile about once.
    """

    def __init__(self, read: Read, size: int, *, cached: int = CACHED_TILES) -> None:
        self.size = check_count(size, "size")
        self._read = read
        self._cached = max(1, cached)
        self._rows: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()
        self._bundle: tuple[int, list[bytes]] | None = None

    def node(self, height: int, index: int) -> bytes:
        """The root over leaves ``[index * 2^height, (index + 1) * 2^height)``, all within the size.

        Raises:
            Invalid: a leaf of it lies beyond the size.
            NotFound, Tampered: the tile is missing or has the wrong length.
        """
        if height < 0 or index < 0 or (index + 1) << height > self.size:
            raise Invalid(f"No node {index} at height {height} in {self.size} leaves.", next_step="Check the caller.")
        level, rise = divmod(height, 8)
        place = index << rise
        rows = self._tile_rows(level, place // WIDTH)
        start = (place % WIDTH >> rise) * HASH_BYTES
        return rows[rise][start : start + HASH_BYTES]

    def _tile_rows(self, level: int, index: int) -> list[bytes]:
        """The hashes of a tile and the seven rows above them, each concatenated."""
        key = (level, index)
        rows = self._rows.get(key)
        if rows is not None:
            self._rows.move_to_end(key)
            return rows
        rows = [read_tile(self._read, Tile(level, index, width_at(level, index, self.size)))]
        while len(rows) < 8:
            rows.append(merkle.parents(rows[-1]))
        self._rows[key] = rows
        if len(self._rows) > self._cached:
            self._rows.popitem(last=False)
        return rows

    def root(self) -> bytes:
        """The root that the tiles give for this size; SHA-256 of nothing for size 0."""
        return merkle.span_root((0, self.size), self.node) if self.size else merkle.EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The leaf hash of an entry, from its tile of level 0.

        Raises:
            Invalid: ``index`` is not below the size.
        """
        return self.node(0, index)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The proof that entry ``index`` is in the tree of this size (RFC 6962 2.1.1).

        Raises:
            Invalid: ``index`` is not below the size.
            NotFound, Tampered: a tile is missing or has the wrong length.
        """
        return [merkle.span_root(span, self.node) for span in merkle.inclusion_spans(index, self.size)]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """The proof that the tree of this size extends the one of ``old_size`` (RFC 6962 2.1.2).

        Raises:
            Invalid: ``old_size`` is 0 or beyond the size.
            NotFound, Tampered: a tile is missing or has the wrong length.
        """
        return [merkle.span_root(span, self.node) for span in merkle.consistency_spans(old_size, self.size)]

    def entry(self, index: int) -> bytes:
        """The stored body of an entry; hash it and compare with ``leaf`` before use.

        Raises:
            Invalid: ``index`` is not below the size.
            NotFound, Tampered: the bundle is missing or malformed.
        """
        check_count(index, "index")
        if index >= self.size:
            raise Invalid(f"Index {index} is not below the size {self.size}.", next_step="Fetch a newer checkpoint.")
        number, place = divmod(index, WIDTH)
        if self._bundle is None or self._bundle[0] != number:
            tile = Tile(ENTRIES, number, width_at(ENTRIES, number, self.size))
            self._bundle = (number, decode_bundle(read_tile(self._read, tile), tile.width))
        return self._bundle[1][place]
