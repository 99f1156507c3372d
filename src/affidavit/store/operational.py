"""Operational tables: what is neither derived from the ledger nor committed to in it.

Last use of API keys, refusal counters, webhook cursors. They live in ``operational.db``, apart from the
ledger, and each row carries a MAC.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from affidavit.core.errors import Tampered
from affidavit.store.connect import Layout
from affidavit.store.database import Database, Transactions
from affidavit.store.hooks import Hooks
from affidavit.store.mac import RowMac, Value, canonical

OPERATIONAL_LAYOUT = Layout(
    "operational",
    0x41666F31,
    {
        "item": "CREATE TABLE item (tbl TEXT NOT NULL, key TEXT NOT NULL, val TEXT NOT NULL, mac BLOB NOT NULL,"
        " PRIMARY KEY (tbl, key)) WITHOUT ROWID"
    },
    private=True,
)
_BATCH = 512
_STORE = (
    "INSERT INTO item VALUES (?, ?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE SET val = excluded.val, mac = excluded.mac"
)
Values = dict[str, Value]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row whose MAC does not hold: ``key`` as stored (a JSON list of the key columns)."""

    table: str
    key: str
    problem: str


def open_operational(path: Path, *, hooks: Hooks | None = None, timeout_s: float = 10.0) -> Database:
    """The file of all operational tables (0600), created when absent. Close it when done."""
    return Database(Path(path), OPERATIONAL_LAYOUT, hooks=hooks, timeout_s=timeout_s)


class OperationalTable:
    """One table: ``keys`` name a row, ``values`` are what it holds; text, integers or None.

    Durable on return of ``put`` and ``change``; both are atomic between threads and processes. Reading a row
    that was altered in the file is ``Tampered``.
    """

    def __init__(
        self, database: Transactions, mac: RowMac, name: str, keys: tuple[str, ...], values: tuple[str, ...]
    ) -> None:
        self._database = database
        self._mac = mac
        self._columns = ",".join((*keys, "|", *values))
        self.name = name
        self.keys = keys
        self.values = values

    def put(self, key: Mapping[str, Value], values: Mapping[str, Value]) -> None:
        """Store a row, replacing the one of the same key. Raises ``Invalid``, ``Busy``, ``StoreDown``."""
        text, val = canonical(self.keys, key), canonical(self.values, values)
        with self._database.write("operational.put") as connection:
            self._store(connection, text, val)

    def get(self, key: Mapping[str, Value]) -> Values | None:
        """The values of a row, or None. Raises ``Tampered`` if its MAC does not hold, ``Invalid``."""
        text = canonical(self.keys, key)
        with self._database.read() as connection:
            return self._fetch(connection, text)

    def change(self, key: Mapping[str, Value], to: Callable[[Values | None], Mapping[str, Value]]) -> Values:
        """Replace the values of a row by ``to`` of the present ones (None if absent); the new values.

        No other writer comes between. Raises ``Tampered`` if the present MAC does not hold, ``Invalid``.
        """
        text = canonical(self.keys, key)
        with self._database.write("operational.put") as connection:
            new = dict(to(self._fetch(connection, text)))
            self._store(connection, text, canonical(self.values, new))
        return new

    def all(self) -> Iterator[tuple[Values, Values]]:
        """(key, values) of every row, sorted by stored key. Raises ``Tampered`` at the first bad one."""
        for key, val, mac in self._rows():
            self._check(key, val, mac)
            yield _named(self.keys, key), _named(self.values, val)

    def verify(self) -> list[BadRow]:
        """Every row whose MAC does not hold; an empty list when all do. Never stops at the first."""
        return [
            BadRow(self.name, str(key), "its MAC does not hold: it was written by something else")
            for key, val, mac in self._rows()
            if not self._holds(key, val, mac)
        ]

    def _rows(self) -> Iterator[tuple[object, object, object]]:
        last = ""
        while True:
            with self._database.read() as connection:
                batch = connection.execute(
                    "SELECT key, val, mac FROM item WHERE tbl = ? AND key > ? ORDER BY key LIMIT ?",
                    (self.name, last, _BATCH),
                ).fetchall()
            yield from batch
            if len(batch) < _BATCH:
                return
            last = batch[-1][0]

    def _fetch(self, connection: sqlite3.Connection, key: str) -> Values | None:
        row = connection.execute("SELECT val, mac FROM item WHERE tbl = ? AND key = ?", (self.name, key)).fetchone()
        if row is None:
            return None
        self._check(key, *row)
        return _named(self.values, row[0])

    def _store(self, connection: sqlite3.Connection, key: str, val: str) -> None:
        connection.execute(_STORE, (self.name, key, val, self._mac.mac(self.name, self._columns, key, val)))

    def _holds(self, key: object, val: object, mac: object) -> bool:
        texts = isinstance(key, str) and isinstance(val, str)
        return texts and self._mac.holds(mac, self.name, self._columns, str(key), str(val))

    def _check(self, key: object, val: object, mac: object) -> None:
        if not self._holds(key, val, mac):
            raise Tampered(
                f"row {key} of {self.name} was changed outside the product.",
                next_step="run `affidavit doctor`; restore operational.db or remove the row knowingly.",
            )


def _named(columns: tuple[str, ...], text: object) -> Values:
    return dict(zip(columns, json.loads(str(text)), strict=True))
