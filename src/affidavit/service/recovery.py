"""Start-up: bring database, bundles and signed head to one state, or refuse and say why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from affidavit.core.envelope import Draft
from affidavit.core.errors import NotFound, Tampered
from affidavit.core.ledger_facts import LedgerRestored
from affidavit.ledger.checkpoint import Checkpoint
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.growth import read_tile
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.reader import TileReader
from affidavit.ledger.tiles import ENTRIES, WIDTH, Tile, decode_bundle
from affidavit.service import views
from affidavit.service.executor import Executor
from affidavit.service.publisher import open_head, publish
from affidavit.service.readings import Reading
from affidavit.service.stores import Stores

_KEEP = "Keep everything as it is; restore the missing part from a mirror and start again."


class Reingests(Protocol):
    """An entry store that recovery can give missing entries back to."""

    def reingest(self, first: int, bodies: list[bytes]) -> None:
        """Append entries exactly at these indexes; a gap is refused."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What start-up found and did: entries taken back, entries published, tables built."""

    reingested: int
    published: int
    rebuilt: bool


def recover(executor: Executor) -> Recovered:
    """Run at every start. Raises ``Tampered`` when the signed head cannot be reached from what is stored."""
    stores = executor.stores
    head = _head(stores)
    taken = 0
    if head is not None:
        size = stores.entries.size()
        if size < head.size:
            taken = _reingest(stores, size, head)
        elif size:
            _check_join(stores, head)
    rebuilt = (
        views.catch_up(stores.entries, executor.catalog)
        if not taken
        else bool(views.rebuild(stores.entries, executor.catalog))
    )
    if taken:
        _record(executor, head.size - taken if head else 0, head.size if head else 0)
    published = 0
    if stores.entries.size():
        published = publish(stores).grew
    return Recovered(taken, published, rebuilt)


def _head(stores: Stores) -> Checkpoint | None:
    """The signed head; the published checkpoint may be behind it, never ahead."""
    note = stores.head.fetch(stores.origin)
    try:
        shown = open_head(stores, stores.tiles.get("checkpoint")).checkpoint
    except NotFound:
        shown = None
    if note is None:
        if shown is not None:
            raise Tampered(
                f"the head store knows nothing of {stores.origin}, whose checkpoint has size {shown.size}.",
                next_step="if the workspace was moved here: `affidavit log adopt-head`; else restore the head store.",
            )
        return None
    head = open_head(stores, note).checkpoint
    if shown is not None and shown.size > head.size:
        raise Tampered(f"the published checkpoint has size {shown.size}, the head store {head.size}.", next_step=_KEEP)
    if shown is not None and shown.size == head.size and shown.root != head.root:
        raise Tampered(f"two checkpoints of size {head.size} differ in their roots.", next_step=_KEEP)
    return head


def _reingest(stores: Stores, size: int, head: Checkpoint) -> int:
    """Take entries ``size`` to ``head.size`` back from the bundles, once those hash to the signed head."""
    note = stores.head.fetch(stores.origin)
    stores.tiles.publish(note or b"")
    report = verify_log(stores.tiles.get, lambda: stores.tiles.list(""), stores.vkeys)
    if report.problems:
        first = report.problems[0]
        raise Tampered(
            f"the database has {size} entries, the signed head {head.size}, and the bundles do not verify: {first}.",
            next_step=_KEEP,
        )
    for index, (mine, theirs) in enumerate(
        zip(stores.entries.entries(0, size), _bundled(stores, 0, head.size), strict=False)
    ):
        if mine != theirs:
            raise Tampered(f"entry {index} of the database is not that of the bundles.", next_step=_KEEP)
    store: Reingests = stores.entries  # type: ignore[assignment]
    store.reingest(size, list(_bundled(stores, size, head.size)))
    return head.size - size


def _bundled(stores: Stores, start: int, stop: int) -> Iterator[bytes]:
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        width = min(WIDTH, stop - number * WIDTH)
        entries = decode_bundle(read_tile(stores.tiles.get, Tile(ENTRIES, number, width)), width)
        yield from entries[max(0, start - number * WIDTH) :]


def _check_join(stores: Stores, head: Checkpoint) -> None:
    """The last published entry of the database is the one under the signed head."""
    if head.size == 0:
        return
    reader = TileReader(stores.tiles.get, head.size)
    if reader.root() != head.root:
        raise Tampered(f"the tiles do not hash to the signed head of size {head.size}.", next_step=_KEEP)
    last = next(iter(stores.entries.entries(head.size - 1, head.size)))
    if leaf_hash(last) != reader.leaf(head.size - 1):
        raise Tampered(f"entry {head.size - 1} of the database is not the one that was signed.", next_step=_KEEP)


def _record(executor: Executor, first: int, stop: int) -> None:
    with executor.stores.entries.write() as tx:
        reading = Reading(tx, executor.catalog, executor.book)
        rules = reading.rules()
        draft = Draft(LedgerRestored(first, stop), ("ledger:log",))
        executor.append_facts(tx, [draft], executor.policy(rules))
