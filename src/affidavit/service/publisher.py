"""Publication: derive tiles from committed entries, read back, re-hash, sign, swap the head, publish.

Every step may be repeated: tiles are a pure function of the entries, so a crash at any point is
mended by running the same code again (``recover`` does).
"""

from __future__ import annotations

from dataclasses import dataclass

from affidavit.core.errors import Busy, Invalid, NotFound, Tampered
from affidavit.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, sign_checkpoint
from affidavit.ledger.growth import edge_root, grow, read_edge
from affidavit.ledger.tiles import ENTRIES, WIDTH, Tile, parse_path, width_at
from affidavit.service.stores import Stores

STEP = WIDTH * WIDTH
"""Entries derived at a time: whole tiles of two levels, so that no partial tile is left between steps."""


@dataclass(frozen=True, slots=True)
class Published:
    """The signed head after publishing; ``grew`` entries were added to it."""

    checkpoint: bytes
    size: int
    grew: int


def open_head(stores: Stores, note: bytes) -> SignedCheckpoint:
    """The verified checkpoint of a head note of this log. Raises ``Tampered``, for one that is no note too."""
    try:
        return open_checkpoint(note, stores.vkeys, origin=stores.origin)
    except Invalid as e:
        raise Tampered(f"a stored checkpoint is damaged: {e.problem}", next_step="restore it from a mirror.") from None


def refuse_stale_key(stores: Stores) -> None:
    """Raise ``Busy`` if another process replaced the log key that this one holds."""
    if stores.present_vkey is not None and stores.present_vkey() != stores.log_signer.vkey:
        raise Busy("the log key changed.", next_step="open the workspace again, then retry; nothing was signed.")


def publish(stores: Stores, *, restamp: bool = True) -> Published:
    """Publish every committed entry. Nothing new: the present head is returned, and put up again if missing.

    The timestamp is asked for after the lock was released; ``restamp`` asks for it even if nothing is new,
    in case an earlier one was missed. Raises ``Tampered`` if the tiles on disk are not those of the signed
    head, ``Busy`` if another process publishes or the log key was replaced, ``StoreDown`` if a store fails;
    then nothing was signed that is not stored.
    """
    done = _publish(stores)
    if stores.timestamp is not None and done.size and (done.grew or restamp):
        stores.timestamp(open_head(stores, done.checkpoint).note.body, done.size)
    return done


def _publish(stores: Stores) -> Published:
    with stores.publish_lock():
        refuse_stale_key(stores)
        old = stores.head.fetch(stores.origin)
        head = open_head(stores, old).checkpoint if old is not None else None
        size = stores.entries.size()
        start = head.size if head else 0
        if size < start:
            raise Tampered(
                f"the database has {size} entries, the signed head {start}.",
                next_step="restart: start-up takes the missing entries back from the bundles.",
            )
        if old is not None and size == start:
            _put_up(stores, old)
            return Published(old, size, 0)
        root = _derive(stores, start, size, head.root if head else None)
        note = sign_checkpoint(Checkpoint(stores.origin, size, root), stores.log_signer)
        open_head(stores, note)
        stores.head.replace(stores.origin, old, note)
        stores.tiles.publish(note)
        _collect_partials(stores, start, size)
        return Published(note, size, size - start)


def _derive(stores: Stores, start: int, stop: int, root: bytes | None) -> bytes:
    """Write the tiles of entries ``start`` to ``stop``, read them back; the new root."""
    while start < stop:
        step = min(stop, (start // STEP + 1) * STEP)
        grown = grow(stores.tiles.get, start, list(stores.entries.entries(start, step)), root=root)
        for path, body in grown.puts:
            stores.tiles.put(path, body)
        for path, body in grown.puts:
            if stores.tiles.get(path) != body:
                raise Tampered(
                    f"{path} reads back other bytes than were written.", next_step="check the disk; nothing was signed."
                )
        found = edge_root(read_edge(stores.tiles.get, step))
        if found != grown.root:
            raise Tampered(
                "the tiles read back do not give the root derived.", next_step="check the disk; nothing was signed."
            )
        start, root = step, grown.root
    if root is None:
        return edge_root({})
    return root


def _put_up(stores: Stores, note: bytes) -> None:
    """Make the published checkpoint equal the head: a crash may have come between the two."""
    try:
        present = stores.tiles.get("checkpoint")
    except NotFound:
        present = b""
    if present != note:
        stores.tiles.publish(note)


def _collect_partials(stores: Stores, old: int, new: int) -> None:
    """Remove partial tiles whose full tile now exists."""
    level, width = 0, 1
    while (old // width) // WIDTH < (new // width) // WIDTH or level == 0:
        tile = (old // width) // WIDTH
        if tile < (new // width) // WIDTH:
            for kind in (level, ENTRIES) if level == 0 else (level,):
                _remove(stores, Tile(kind, tile, WIDTH))
        level, width = level + 1, width * WIDTH


def _remove(stores: Stores, full: Tile) -> None:
    for path in list(stores.tiles.list(full.path + ".p/")):
        if parse_path(path).full == full:
            stores.tiles.delete(path)


def collect_leftovers(stores: Stores, size: int) -> int:
    """Remove partial tiles that a full one replaced in a log of ``size``, wherever a crash left them; how many."""
    paths = list(stores.tiles.list("tile"))
    present, removed = set(paths), 0
    for path in paths:
        try:
            tile = parse_path(path)
        except Invalid:
            continue
        replaced = tile.full != tile and tile.full.path in present
        if replaced and width_at(tile.level, tile.index, size) == WIDTH:
            stores.tiles.delete(path)
            removed += 1
    return removed
