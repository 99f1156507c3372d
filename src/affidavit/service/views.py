"""Read tables: made, dropped, replayed, compared. They are disposable; the ledger is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from affidavit.areas.catalog import Catalog, index_records
from affidavit.core import canonical, envelope
from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid
from affidavit.core.ports import EntryStore, Tx

BATCH = 2_000


def tables(catalog: Catalog) -> dict[str, str]:
    """Real table name → columns, of every view of this release."""
    return {names[t]: view.tables[t] for view, names, _ in catalog.views.values() for t in view.tables}


def _present(tx: Tx) -> set[str]:
    return {r[0] for r in tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


def missing(tx: Tx, catalog: Catalog) -> list[str]:
    """Tables of this release that the store lacks: a new view, or an old database."""
    have = _present(tx)
    return [name for name in tables(catalog) if name not in have]


def make(tx: Tx, catalog: Catalog) -> None:
    """Create the tables of this release, empty."""
    for name, columns in tables(catalog).items():
        tx.run(f'CREATE TABLE IF NOT EXISTS "{name}" ({columns})')


def drop(tx: Tx, names: list[str]) -> None:
    """Drop tables by name."""
    for name in names:
        tx.run(f'DROP TABLE IF EXISTS "{name}"')


def stale(tx: Tx, catalog: Catalog) -> list[str]:
    """Tables that earlier view versions left behind."""
    mine = tables(catalog)
    areas = tuple(f"{a}_" for a in catalog.views)
    return sorted(n for n in _present(tx) if n.startswith(areas) and n not in mine)


def rebuild(entries: EntryStore, catalog: Catalog, into: EntryStore | None = None) -> int:
    """Drop every read table and replay the entries; the number replayed is returned.

    With ``into`` the replay goes into another store (for comparing). Raises ``Invalid`` at the first
    entry whose tag this release does not know: nothing is dropped then, the transaction rolls back.
    """
    target = into or entries
    with target.write() as tx:
        drop(tx, [*tables(catalog), *stale(tx, catalog)])
        make(tx, catalog)
        count = entries.size()
        waiting: list[Record] = []
        for index, body in enumerate(entries.entries(0, count)):
            waiting.append(envelope.decode(index, body, proven=True))
            catalog.apply_fact(tx, waiting[-1])
            if len(waiting) == BATCH:
                index_records(catalog.view_tx(tx, "log"), waiting)
                waiting.clear()
        index_records(catalog.view_tx(tx, "log"), waiting)
        return count


def catch_up(entries: EntryStore, catalog: Catalog) -> bool:
    """Build the tables of this release if any is missing; True if something was built."""
    with entries.read() as tx:
        if not missing(tx, catalog):
            return False
    rebuild(entries, catalog)
    return True


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that live and rebuilt tables do not share."""

    table: str
    row: str
    side: str


def _rows(tx: Tx, name: str) -> Iterator[bytes]:
    for row in tx.rows(f'SELECT * FROM "{name}"'):
        yield canonical.encode(
            [v.hex() if isinstance(v, bytes) else v if not isinstance(v, float) else repr(v) for v in row]
        )


def digests(tx: Tx, catalog: Catalog) -> dict[str, str]:
    """SHA-256 over the sorted rows of each table, by area and plain name (closing balance)."""
    found = {}
    for area, (view, names, _) in catalog.views.items():
        for table in view.tables:
            state = hashlib.sha256(b"\n".join(sorted(_rows(tx, names[table]))))
            found[f"{area}.{table}"] = "sha256:" + state.hexdigest()
    return found


def compare(live: EntryStore, fresh: EntryStore, catalog: Catalog) -> list[Difference]:
    """Every row on which the live tables and a replay into ``fresh`` disagree."""
    try:
        rebuild(live, catalog, into=fresh)
    except Invalid as e:
        return [Difference("entry", e.problem, "ledger")]
    found: list[Difference] = []
    with live.read() as a, fresh.read() as b:
        have = _present(a)
        for name in tables(catalog):
            if name not in have:
                found.append(Difference(name, "the table is missing", "live"))
                continue
            mine, theirs = set(_rows(a, name)), set(_rows(b, name))
            found += [Difference(name, r.decode(), "live only") for r in sorted(mine - theirs)]
            found += [Difference(name, r.decode(), "ledger only") for r in sorted(theirs - mine)]
    return found
