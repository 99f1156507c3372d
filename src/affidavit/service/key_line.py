"""The keys of a log in order, from the one entry 0 names through its key changes: what start-up and ``verify`` trust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from affidavit.areas.catalog import Catalog
from affidavit.core import digest as digests
from affidavit.core import envelope
from affidavit.core.envelope import Record
from affidavit.core.errors import AffidavitError, Tampered
from affidavit.core.ledger_facts import KeyRecovered, KeyRotated, LedgerOpened
from affidavit.ledger.succession import follow
from affidavit.service.bundles import bundled, extent
from affidavit.service.stores import Stores

_MARK = b'"tag":"ledger.key_r'
_CHANGES = "SELECT idx FROM {meta} WHERE tag IN ('ledger.key_rotated', 'ledger.key_recovered') ORDER BY idx"


class KeyLine(NamedTuple):
    """``vkeys`` in order, the present one last; ``changes`` are the entries that led from each to the next."""

    vkeys: tuple[str, ...]
    changes: tuple[Record, ...]

    @property
    def last(self) -> str:
        """The key that signs now."""
        return self.vkeys[-1]

    def rotated_from(self, vkey: str) -> bool:
        """Whether the present key follows from ``vkey`` by rotations alone: its holder vouches for each."""
        if vkey not in self.vkeys:
            return False
        since = self.vkeys.index(vkey)
        later = [r for r in self.changes if r.fact.new in self.vkeys[since + 1 :]]
        return all(isinstance(r.fact, KeyRotated) for r in later)


def change_to(stores: Stores, catalog: Catalog, vkey: str) -> Record | None:
    """The entry by which the log turned to ``vkey``, or None."""
    return next((r for r in _changes(stores, catalog) if r.fact.new == vkey), None)


def key_line(stores: Stores, catalog: Catalog | None = None) -> KeyLine:
    """Follow the key changes of the entries, each by its signed statement.

    With ``catalog`` the read tables say where they are, without it every entry is looked at. Entries that
    the database lost are read from the bundles. Raises ``Tampered`` where the line breaks.
    """
    first = next(_bodies(stores, 0, 1), None)
    opened = envelope.decode(0, first).fact if first is not None else None
    if not isinstance(opened, LedgerOpened):
        raise Tampered("the log is not opened by ledger.opened.", next_step="restore the workspace.")
    changes = _changes(stores, catalog)
    notes = [_statement(stores, r) for r in changes]
    try:
        terms = follow(stores.origin, opened.log_key, notes, recovery_vkey=opened.recovery_key)
    except AffidavitError as e:
        raise Tampered(f"the line of log keys is broken: {e.problem}", next_step=e.next_step) from None
    for record, term in zip(changes, terms[1:], strict=True):
        if record.fact.new != term.vkey:
            raise Tampered(
                f"entry {record.index} names another key than its statement.", next_step="restore the workspace."
            )
    return KeyLine(tuple(dict.fromkeys(t.vkey for t in terms)), tuple(changes))


def _changes(stores: Stores, catalog: Catalog | None) -> list[Record]:
    size = stores.entries.size()
    found: list[Record] = []
    for index in _where(stores, catalog, size):
        found += [envelope.decode(index, body) for body in stores.entries.entries(index, index + 1)]
    with suppress(AffidavitError):  # damaged bundles are reported by recovery
        for index, body in enumerate(_bodies(stores, size, extent(stores)), size):
            if _MARK in body:
                found.append(envelope.decode(index, body))
    return [r for r in found if isinstance(r.fact, KeyRotated | KeyRecovered)]


def _where(stores: Stores, catalog: Catalog | None, size: int) -> list[int]:
    if catalog is not None:
        with suppress(AffidavitError), stores.entries.read() as tx:  # tables of this release may still have to be built
            return [row[0] for row in catalog.view_tx(tx, "log").rows(_CHANGES)]
    return [index for index, body in enumerate(stores.entries.entries(0, size)) if _MARK in body]


def _bodies(stores: Stores, start: int, stop: int) -> Iterator[bytes]:
    """Entries of the database, and of the bundles where it ends early."""
    size = stores.entries.size()
    yield from stores.entries.entries(start, min(stop, size))
    if max(start, size) < stop:
        yield from bundled(stores, max(start, size), stop)


def _statement(stores: Stores, record: Record) -> bytes:
    digest = record.fact.statement.digest
    with stores.objects.open(digest) as source:
        return digests.read_verified(source, digest, "key change")
