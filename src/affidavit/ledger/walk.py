"""The walk over the resources of a log that compares each one with its neighbours, in memory that does not grow.

Every hash is stored or implied twice: an entry by its tile, a tile by its parent, the top by the signed
root. Where two disagree, the third tells which one is wrong, and the walk goes on with the right one,
so that one flaw is reported once and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from affidavit.core.errors import AffidavitError, NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.ledger.fields import HASH_BYTES
from affidavit.ledger.growth import edge_root
from affidavit.ledger.listing import Listing, Problem
from affidavit.ledger.tiles import ENTRIES, WIDTH, Read, Tile, decode_bundle, decode_tile, scan_bundle, width_at

MAX_GAPS = 256
"""Places without bundle and tile after which a walk gives up: a signed size may be any number."""

OnEntry = Callable[[int, bytes], None]
Row = list[bytes | None]


class Walk:
    """One pass over a log of ``size`` entries; ``problems`` fills while it runs.

    ``root`` is the signed root, or None when no checkpoint could be verified. ``watched`` maps entry
    indexes to leaf hashes that were promised there; ``snapshot_at`` is an older size whose root is wanted.
    """

    def __init__(
        self,
        read: Read,
        listing: Listing,
        size: int,
        root: bytes | None,
        *,
        on_entry: OnEntry | None = None,
        watched: dict[int, list[bytes]] | None = None,
        snapshot_at: int | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self.snapshot: bytes | None = None
        self.entries = 0
        self.tiles = 0
        self._read = read
        self._listing = listing
        self._size = size
        self._root = root
        self._on_entry = on_entry
        self._watched = watched or {}
        self._snapshot_at = snapshot_at
        self._pending: list[Row] = [[]]
        self._parents: dict[tuple[int, int], list[bytes] | None] = {}

    def run(self) -> bytes | None:
        """Walk all; the recomputed root is returned, or None when resources are missing."""
        gaps = 0
        for index in range(-(-self._size // WIDTH)):
            width = width_at(0, index, self._size)
            row = self._bundle_and_tile(index, width)
            gaps += row is None
            if gaps > MAX_GAPS:
                self._report("missing", Tile(0, index).path, index * WIDTH, "the walk stops here: too much is missing")
                return None
            self._take_snapshot(index, row)
            if width < WIDTH:
                self._pending[0] = [None] * width if row is None else [*_hashes(row)]
            else:
                self._push(1, None if row is None else merkle.perfect_root(row))
        self._take_snapshot(-(-self._size // WIDTH), None)
        return self._finish()

    def _report(self, kind: str, path: str, index: int | None, detail: str) -> None:
        self.problems.append(Problem(kind, path, index, detail))

    # Level 0: a bundle and its tile.

    def _bundle_and_tile(self, index: int, width: int) -> bytes | None:
        """The leaf hashes below one tile of level 0 as far as they can be relied on; None without any source."""
        first = index * WIDTH
        stored = self._load_tile(0, index, width)
        entries, leaves = self._load_bundle(index, width, stored)
        if leaves == stored and leaves is not None:
            row: bytes | None = b"".join(leaves)
        else:
            chosen = self._reconcile(0, index, width, leaves, stored)
            row = None if chosen is None else b"".join(chosen)
        self.entries += len(entries)
        if row is not None:
            self._check_older_bundles(index, width, row)
            self._check_older_tiles(0, index, width, row)
            self._check_watched(first, width, row)
        self._call(first, entries, leaves or [], row)
        return row

    def _load_bundle(
        self, index: int, width: int, stored: list[bytes] | None
    ) -> tuple[list[bytes], list[bytes] | None]:
        """The entries of a bundle and their leaf hashes; None for the hashes of one that cannot be read.

        Of a malformed bundle only the leading entries count: a wrong length makes all that follow unreadable.
        """
        opened = self._open(ENTRIES, index, width)
        if opened is None:
            return [], None
        source, body = opened
        entries, end = scan_bundle(body, source.width)
        whole = len(entries) == source.width and end == len(body)
        entries = entries[:width]
        leaves = merkle.leaf_hashes(entries)
        if not whole:
            good = next(iter(_differing(leaves, stored or [])), len(leaves))
            detail = f"{len(body)} bytes do not divide into {source.width} entries"
            self._report("malformed", source.path, index * WIDTH + min(good, width - 1), detail)
            del entries[good:], leaves[good:]
        return entries, leaves

    def _call(self, first: int, entries: list[bytes], leaves: list[bytes], row: bytes | None) -> None:
        """Hand the entries that the tiles vouch for to the caller; what it refuses becomes a problem."""
        if self._on_entry is None:
            return
        for place, entry in enumerate(entries):
            if row is not None and row[place * HASH_BYTES : (place + 1) * HASH_BYTES] != leaves[place]:
                continue
            try:
                self._on_entry(first + place, entry)
            except AffidavitError as error:
                path = Tile(ENTRIES, first // WIDTH, width_at(0, first // WIDTH, self._size)).path
                self._report("content", path, first + place, str(error))

    def _check_watched(self, first: int, width: int, row: bytes) -> None:
        if not self._watched:
            return
        for place in range(width):
            for leaf in self._watched.get(first + place, ()):
                if row[place * HASH_BYTES : (place + 1) * HASH_BYTES] != leaf:
                    detail = f"the log promised {leaf.hex()} here and holds another entry"
                    self._report("omission", Tile(0, first // WIDTH, width).path, first + place, detail)

    # Every level: tiles and their older partial forms.

    def _open(self, level: int, index: int, width: int) -> tuple[Tile, bytes] | None:
        """A resource that the log must have: from its partial form, else from the full one."""
        # Pruned logs: a resource below the minimum index may be absent. Until logs are pruned, each absence is a flaw.
        wanted = Tile(level, index, width)
        source = self._listing.source(level, index, width)
        for tile in dict.fromkeys((source, wanted.full) if source else ()):
            body = self._fetch(tile)
            if body is not None:
                return tile, body
        self._report("missing", wanted.path, wanted.first_entry, "it is part of the log and does not exist")
        return None

    def _fetch(self, tile: Tile) -> bytes | None:
        """The bytes, or None for a file that is gone: partial ones are collected while a log is verified."""
        try:
            body = self._read(tile.path)
        except NotFound:
            return None
        self.tiles += 1
        return body

    def _load_tile(self, level: int, index: int, width: int) -> list[bytes] | None:
        opened = self._open(level, index, width)
        if opened is None:
            return None
        source, body = opened
        try:
            return decode_tile(body, source.width)[:width]
        except Tampered as error:
            self._report("malformed", source.path, source.first_entry, error.problem)
            return None

    def _check_older_tiles(self, level: int, index: int, width: int, row: bytes) -> None:
        for tile in self._listing.older(level, index, width):
            body = self._fetch(tile)
            if body is not None and body != row[: tile.width * HASH_BYTES]:
                self._report("tile", tile.path, tile.first_entry, "it is not the beginning of the wider tile")

    def _check_older_bundles(self, index: int, width: int, row: bytes) -> None:
        for tile in self._listing.older(ENTRIES, index, width):
            body = self._fetch(tile)
            if body is None:
                continue
            try:
                leaves = merkle.leaf_hashes(decode_bundle(body, tile.width))
            except Tampered as error:
                self._report("malformed", tile.path, tile.first_entry, error.problem)
                continue
            wrong = _differing(leaves, _hashes(row[: tile.width * HASH_BYTES]))
            for place in wrong:
                detail = "this older partial bundle holds another entry"
                self._report("entry", tile.path, tile.first_entry + place, detail)

    def _push(self, level: int, value: bytes | None) -> None:
        """Add a hash to a level; a level that is full is compared with its tile and added to the next."""
        while len(self._pending) <= level:
            self._pending.append([])
        row = self._pending[level]
        row.append(value)
        if len(row) < WIDTH:
            return
        self._pending[level] = []
        chosen = self._close(level, self._closed(level), row)
        self._push(level + 1, None if chosen is None else merkle.perfect_root(b"".join(chosen)))

    def _closed(self, level: int) -> int:
        """How many full tiles of this level lie behind: the number that the levels above spell."""
        closed = 0
        for above in reversed(self._pending[level + 1 :]):
            closed = closed * WIDTH + len(above)
        return closed

    def _close(self, level: int, index: int, computed: Row) -> list[bytes] | None:
        width = len(computed)
        stored = self._load_tile(level, index, width)
        chosen = self._reconcile(level, index, width, computed, stored)
        if chosen is not None:
            self._check_older_tiles(level, index, width, b"".join(chosen))
        return chosen

    # Who is right when two sources differ.

    def _reconcile(
        self, level: int, index: int, width: int, computed: Sequence[bytes | None] | None, stored: list[bytes] | None
    ) -> list[bytes] | None:
        """The reliable hashes of a tile, from what lies below and what is stored; flaws are reported."""
        below: Row = [*(computed or ())]
        below += [None] * (width - len(below))
        if stored is None:
            return None if None in below else [value for value in below if value is not None]
        wrong = _differing(below, stored)
        if not wrong:
            return stored
        filled = [value if value is not None else stored[place] for place, value in enumerate(below)]
        verdict = self._arbitrate(level, index, filled, stored)
        if verdict != "below":
            detail = f"{len(wrong)} of its hashes, from place {wrong[0]} on, differ from what lies below"
            tile = Tile(level, index, width)
            self._report("tile", tile.path, tile.first_entry + wrong[0] * tile.span, detail)
        if verdict != "stored":
            self._blame_below(level, index, wrong)
        return stored if verdict == "below" else filled

    def _blame_below(self, level: int, index: int, wrong: list[int]) -> None:
        for place in wrong:
            number = index * WIDTH + place
            if level == 0:
                path = Tile(ENTRIES, index, width_at(0, index, self._size)).path
                self._report("entry", path, number, "the entry does not hash to its place in the tile of level 0")
            else:
                child = Tile(level - 1, number)
                self._report("tile", child.path, child.first_entry, f"it does not hash to its place at level {level}")

    def _arbitrate(self, level: int, index: int, below: list[bytes], stored: list[bytes]) -> str:
        """Which side is wrong: ``below``, ``stored``, or ``both`` when nothing above agrees with either."""
        if len(stored) < WIDTH:
            return self._arbitrate_edge(level, below, stored)
        parent = self._parent_hash(level, index)
        if parent == merkle.perfect_root(b"".join(stored)):
            return "below"
        return "stored" if parent == merkle.perfect_root(b"".join(below)) else "both"

    def _parent_hash(self, level: int, index: int) -> bytes | None:
        number, place = divmod(index, WIDTH)
        key = (level + 1, number)
        if key not in self._parents:
            self._parents.clear()
            self._parents[key] = self._quietly_load(level + 1, number)
        row = self._parents[key]
        return None if row is None else row[place]

    def _quietly_load(self, level: int, index: int) -> list[bytes] | None:
        """A tile to compare with; its flaws are reported when its own turn comes."""
        width = width_at(level, index, self._size)
        source = self._listing.source(level, index, width)
        if source is None:
            return None
        try:
            return decode_tile(self._read(source.path), source.width)[:width]
        except (NotFound, Tampered):
            return None

    def _arbitrate_edge(self, level: int, below: list[bytes], stored: list[bytes]) -> str:
        """At the right edge the signed root decides, whichever of the other edge tiles are wrong too."""
        choices: dict[int, list[bytes]] = {level: [b"".join(stored), b"".join(below)]}
        for other in range(len(self._pending)):
            width = (self._size >> 8 * other) % WIDTH
            if width and other != level:
                choices[other] = self._edge_choices(other, width)
        if self._root is None:
            return "both"
        levels = sorted(choices, key=lambda key: key != level)
        for combination in product(*(choices[key] for key in levels)):
            if edge_root(dict(zip(levels, combination, strict=True))) == self._root:
                return "below" if combination[0] == choices[level][0] else "stored"
        return "both"

    def _edge_choices(self, level: int, width: int) -> list[bytes]:
        rows = []
        stored = self._quietly_load(level, self._size >> 8 * (level + 1))
        if stored is not None:
            rows.append(b"".join(stored))
        known = [value for value in self._pending[level] if value is not None]
        if len(known) == width and b"".join(known) not in rows:
            rows.append(b"".join(known))
        return rows

    # Roots.

    def _take_snapshot(self, index: int, row: bytes | None) -> None:
        """The root at the older size, once the walk reaches the tile in which it ends."""
        if self._snapshot_at is None or self._snapshot_at // WIDTH != index:
            return
        edge: dict[int, Row] = {level: values for level, values in enumerate(self._pending) if level and values}
        rest = self._snapshot_at % WIDTH
        if rest:
            edge[0] = [None] if row is None else [*_hashes(row[: rest * HASH_BYTES])]
        self.snapshot = _root_of(edge)

    def _finish(self) -> bytes | None:
        """Compare the tiles of the right edge and return the root over them."""
        edge: dict[int, Row] = {0: self._pending[0]} if self._pending[0] else {}
        for level in range(1, len(self._pending)):
            row = self._pending[level]
            if row:
                chosen = self._close(level, self._size >> 8 * (level + 1), row)
                edge[level] = [None] if chosen is None else [*chosen]
        return _root_of(edge)


def _root_of(edge: dict[int, Row]) -> bytes | None:
    known: dict[int, bytes] = {}
    for level, row in edge.items():
        values = [value for value in row if value is not None]
        if len(values) != len(row):
            return None
        known[level] = b"".join(values)
    return edge_root(known)


def _hashes(row: bytes) -> list[bytes]:
    return [row[i : i + HASH_BYTES] for i in range(0, len(row), HASH_BYTES)]


def _differing(computed: Sequence[bytes | None], stored: Sequence[bytes]) -> list[int]:
    """The places at which a known hash differs."""
    return [
        place
        for place, (below, above) in enumerate(zip(computed, stored, strict=False))
        if below is not None and below != above
    ]
