"""Start-up: bring database, bundles and signed head to one state, or refuse and say why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from affidavit.core.envelope import Draft, split
from affidavit.core.errors import AffidavitError, NotFound, Tampered
from affidavit.core.ledger_facts import LedgerRestored, VaultDisposed
from affidavit.ledger.checkpoint import Checkpoint
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.reader import TileReader
from affidavit.service import views
from affidavit.service.bundles import bundled, extent, first_difference, unsigned_entries
from affidavit.service.executor import Executor
from affidavit.service.publisher import collect_leftovers, open_head, publish
from affidavit.service.readings import Reading
from affidavit.service.revived import destroy_again
from affidavit.service.stores import Stores

_KEEP = "Keep everything as it is; restore the missing part from a mirror and start again."


class Reingests(Protocol):
    """An entry store that recovery can give missing entries back to."""

    def reingest(self, first: int, bodies: list[bytes]) -> None:
        """Append entries exactly at these indexes; a gap is refused."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What start-up found and did: entries taken back, entries published, tables built, texts erased again.

    ``waiting`` are accepted entries that could not be published because the log key is lost; ``destroyed`` are segment
    files that an erasure had replaced, brought back by a restored backup and destroyed again.
    """

    reingested: int
    published: int
    rebuilt: bool
    waiting: int = 0
    erased: int = 0
    destroyed: int = 0


def recover(executor: Executor) -> Recovered:
    """Run at every start. Raises ``Tampered`` when the signed head cannot be reached from what is stored."""
    stores = executor.stores
    _sweep(stores)
    head = _head(stores)
    signed = head.size if head else 0
    before = stores.entries.size()
    stop = before
    if head is not None and before < signed:
        stop = _reingest_signed(stores, before, head)
    elif head is not None and before:
        _check_join(stores, head)
    if head is not None:
        stop = _reingest_unsigned(stores, head, lost=before < signed) or stop
    first = min(before, stop)
    taken = stop - first
    rebuilt = (
        views.catch_up(stores.entries, executor.catalog)
        if not taken
        else bool(views.rebuild(stores.entries, executor.catalog))
    )
    if taken:
        _record(executor, first, stop)
    erased, destroyed = _erase_again(executor), destroy_again(executor)
    published, size = 0, stores.entries.size()
    if stores.key_lost and size > signed:
        return Recovered(taken, 0, rebuilt, size - signed, erased, destroyed)
    if size:
        published = publish(stores, restamp=False).grew
        collect_leftovers(stores, size)
    return Recovered(taken, published, rebuilt, 0, erased, destroyed)


def _sweep(stores: Stores) -> None:
    """Remove temp files of dead processes, where the stores leave any."""
    for store in (stores.tiles, stores.objects, stores.segments):
        sweep: Callable[[], int] | None = getattr(store, "sweep", None)
        if sweep is not None:
            sweep()


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


def _reingest_signed(stores: Stores, size: int, head: Checkpoint) -> int:
    """Take entries ``size`` to ``head.size`` back from the bundles, once those hash to the signed head; its size."""
    note = stores.head.fetch(stores.origin) or b""

    def read(path: str) -> bytes:
        return note if path == "checkpoint" else stores.tiles.get(path)

    report = verify_log(read, lambda: stores.tiles.list(""), stores.vkeys, origin=stores.origin, live=True)
    if report.problems:
        first = report.problems[0]
        raise Tampered(
            f"the database has {size} entries, the signed head {head.size}, and the bundles do not verify: {first}.",
            next_step=_KEEP,
        )
    different = first_difference(stores, size, head.size)
    if different is not None:
        raise Tampered(f"entry {different} of the database is not that of the bundles.", next_step=_KEEP)
    _give_back(stores, size, list(bundled(stores, size, head.size)))
    return head.size


def _reingest_unsigned(stores: Stores, head: Checkpoint, *, lost: bool) -> int:
    """Take back entries that were accepted and written into bundles, then lost by the database before they were signed.

    The size they reach is returned, 0 for none. A database that was restored (``lost``) leaves bundles alone
    that do not continue it; one that stops exactly where unsigned bundles go on is refused then.
    """
    stop = extent(stores)
    size = stores.entries.size()  # after the bundles: another process writes entries first
    if size == 0 or stop <= max(size, head.size):
        return 0
    try:
        bodies = unsigned_entries(stores, size, stop)
        different = first_difference(stores, size, stop)
        if different is not None:
            raise Tampered(f"entry {different} is another one there.", next_step=_KEEP)
    except AffidavitError as e:
        if lost:
            return 0
        raise Tampered(
            f"the database ends at {size}, bundles hold entries up to {stop} and do not continue it: {e.problem}",
            next_step=_KEEP,
        ) from None
    _give_back(stores, size, bodies)
    return stop


def _give_back(stores: Stores, first: int, bodies: list[bytes]) -> None:
    store: Reingests = stores.entries  # type: ignore[assignment]
    store.reingest(first, bodies)


def _erase_again(executor: Executor) -> int:
    """Erase texts that the log says were destroyed: a restored vault brings them back. How many."""
    stores = executor.stores
    with stores.entries.read() as tx:
        log = Reading(tx, executor.catalog, executor.book).view("log")
        rows = log.rows("SELECT idx FROM {meta} WHERE tag = ?", VaultDisposed.TAG)  # type: ignore[attr-defined]
    if not rows:
        return 0
    present = {vault_id for vault_id, _, _, state in stores.vault.all() if state == "present"}
    erased = 0
    for (index,) in rows:
        fact = executor.record(index).fact
        if fact.vault in present and fact.vault in _sealed_by(executor, fact.entry):
            with suppress(NotFound):
                stores.vault.erase(fact.vault)
                erased += 1
    return erased


def _sealed_by(executor: Executor, index: int) -> set[str]:
    """The vault ids that an entry names; none if there is no such entry."""
    for body in executor.stores.entries.entries(index, index + 1):
        return {sealed.vault for sealed in split(body, proven=True).private.values()}
    return set()


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
