"""The entry store in one SQLite file: the sequence of entries, and the read tables beside it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from affidavit.core.errors import AffidavitError, Invalid, StoreDown, Tampered
from affidavit.core.ports import Row
from affidavit.store.connect import Layout, Version
from affidavit.store.database import Database, Transactions
from affidavit.store.hooks import Hooks
from affidavit.store.sqlite_errors import FOREIGN, breaks_the_transaction, translated, wrapping

ENTRY_BYTES = 65_535
"""Largest entry: its length stands in two bytes of a tlog-tiles entry bundle."""

_REFUSE = "BEGIN SELECT RAISE(ABORT, 'entries are appended at the next index and never changed'); END"
_SIZE = "SELECT coalesce(max(idx) + 1, 0) FROM entry"
ENTRY_LAYOUT = Layout(
    "ledger",
    0x41666C31,
    {
        "entry": "CREATE TABLE entry (idx INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        "entry_dense": f"CREATE TRIGGER entry_dense BEFORE INSERT ON entry WHEN NEW.idx IS NOT ({_SIZE}) {_REFUSE}",
        "entry_no_update": f"CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry {_REFUSE}",
        "entry_no_delete": f"CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry {_REFUSE}",
    },
)
_BATCH = 256
_READS = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN"})
_OURS = frozenset(
    {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "PRAGMA", "VACUUM"}
)
_ENTRY_TABLE = re.compile(
    r"\s*(?:(?:INSERT|REPLACE)\b.*?\bINTO|(?:DROP|ALTER)\s+(?:TABLE|TRIGGER)(?:\s+IF\s+EXISTS)?)"
    r"\s*(?:main\s*\.\s*)?[\"'`\[]?entry(?:_dense|_no_update|_no_delete)?\b",
    re.IGNORECASE | re.DOTALL,
)
_RANGE = "SELECT idx, body FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
_INSERT = "INSERT INTO entry (idx, body) VALUES (?, ?)"


@lru_cache(maxsize=1024)
def _problem(sql: str, writable: bool) -> str | None:  # noqa: FBT001
    """Why this statement may not run in a transaction of ours; None when it may."""
    words = sql.split(None, 1)
    first = words[0].upper().rstrip(";") if words else ""
    if not first:
        return "there is no statement"
    if first in _OURS:
        return f"{first} belongs to the store"
    if not writable and first not in _READS:
        return "a snapshot only reads"
    if _ENTRY_TABLE.match(sql):
        return "entries are only ever appended"
    return None


def _checked(bodies: Sequence[bytes]) -> None:
    for body in bodies:
        if not isinstance(body, bytes) or not 0 < len(body) <= ENTRY_BYTES:
            what = f"has {len(body)} bytes" if isinstance(body, bytes) else f"is {type(body).__name__}, not bytes"
            raise Invalid(
                f"an entry {what}; 1 to {ENTRY_BYTES} are possible.",
                next_step="move larger matter into an attachment.",
            )


class SqliteTx:
    """A running transaction on entries and read tables (``core.ports.Tx``).

    After an error of the disk the transaction cannot commit, even if the caller swallows it.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | str, *, writable: bool) -> None:
        self._connection = connection
        self._path = path
        self._writable = writable
        self._over = False
        self._broken: AffidavitError | None = None
        self._savepoints = 0
        self._size: int = self._fetch(_SIZE, ())[0][0]

    def append(self, bodies: Sequence[bytes]) -> int:
        """Append encoded entries of 1 to 65,535 bytes; the index of the first is returned.

        None of them: nothing happens and the size is returned. Raises ``Invalid`` for an entry that is
        empty or too large (nothing is appended), ``StoreDown`` on a snapshot or when the disk fails.
        """
        self._refuse_unless_running(writing=True)
        _checked(bodies)
        first = self._size
        with self._guarding():
            self._connection.executemany(_INSERT, enumerate(bodies, first))
        self._size = first + len(bodies)
        return first

    def size(self) -> int:
        """Number of entries, those appended in this transaction included."""
        self._refuse_unless_running()
        return self._size

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query; ``?`` placeholders. Raises ``StoreDown`` for a statement that cannot run."""
        self._refuse_unless_running()
        self._refuse_statement(sql)
        return self._fetch(sql, args)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run a statement on read tables; the number of rows changed (0 for definitions).

        Raises ``StoreDown`` for a statement that cannot run, one that ends the transaction, one that touches
        entries, and for every statement on a snapshot.
        """
        self._refuse_unless_running(writing=True)
        self._refuse_statement(sql)
        try:
            return max(0, self._connection.execute(sql, args).rowcount)
        except FOREIGN as error:
            raise self._translated(error) from error

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement on read tables once for each row of values. Raises as ``run``."""
        self._refuse_unless_running(writing=True)
        self._refuse_statement(sql)
        with self._guarding():
            self._connection.executemany(sql, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo everything done inside if the block raises; the exception goes on to the caller."""
        self._refuse_unless_running(writing=True)
        size, name = self._size, f"step_{self._savepoints}"
        self._savepoints += 1
        self._own(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._size = size
            if not self._over and self._broken is None and self._connection.in_transaction:
                self._own(f"ROLLBACK TO {name}")
                self._own(f"RELEASE {name}")
            raise
        else:
            self._refuse_unless_running(writing=True)
            self._own(f"RELEASE {name}")
        finally:
            self._savepoints -= 1

    def finish(self, *, committing: bool) -> None:
        """End the use of this object; raises what broke the transaction when it was to be committed."""
        self._over = True
        if committing and self._broken is not None:
            raise StoreDown(
                f"the transaction cannot commit after: {self._broken.problem}", next_step=self._broken.next_step
            ) from self._broken

    def _refuse_unless_running(self, *, writing: bool = False) -> None:
        if self._over:
            raise StoreDown("the transaction is over.", next_step="use it inside its `with` block only.")
        if self._broken is not None or not self._connection.in_transaction:
            raise StoreDown("the transaction failed before and cannot go on.", next_step="leave the block and retry.")
        if writing and not self._writable:
            raise StoreDown("a snapshot only reads.", next_step="open `write()` to append or to change read tables.")

    def _refuse_statement(self, sql: str) -> None:
        problem = _problem(sql, self._writable)
        if problem is not None:
            raise StoreDown(f"refused {sql[:60]!r}: {problem}.", next_step="report this as a bug of the product.")

    def _own(self, sql: str) -> None:
        with self._guarding():
            self._connection.execute(sql)

    def _fetch(self, sql: str, args: Sequence[Any]) -> list[Row]:
        try:
            return self._connection.execute(sql, args).fetchall()
        except FOREIGN as error:
            raise self._translated(error) from error

    @contextmanager
    def _guarding(self) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> AffidavitError:
        wrapped = translated(error, self._path, "running a statement")
        if breaks_the_transaction(error) or not self._connection.in_transaction:
            self._broken = wrapped
        return wrapped


class SqliteEntries:
    """The entry store on any ``Transactions`` (on disk, in memory)."""

    def __init__(self, database: Transactions, path: Path | str) -> None:
        self._database = database
        self._path = path
        self._committed = 0
        """Entries before the running write transaction."""

    @contextmanager
    def write(self) -> Iterator[SqliteTx]:
        """Take the sequencer lock, then read and write; on normal exit all of it is durable, else none.

        Raises ``Busy`` after the timeout, ``StoreDown`` (disk full, I/O error, a block inside another block
        of the same thread), ``Tampered`` for a damaged file; the block's own exceptions pass.
        """
        with self._database.write("entry.commit") as connection:
            tx = SqliteTx(connection, self._path, writable=True)
            self._committed = tx.size()
            committing = False
            try:
                yield tx
                committing = True
            finally:
                tx.finish(committing=committing)

    @contextmanager
    def read(self) -> Iterator[SqliteTx]:
        """A consistent snapshot; keep it short, since commits may have to wait for it. Raises as ``write``."""
        with self._database.read() as connection:
            tx = SqliteTx(connection, self._path, writable=False)
            try:
                yield tx
            finally:
                tx.finish(committing=False)

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Committed entries ``start <= index < stop`` in order, as many as there are.

        Streamed in small batches without holding a lock in between. Raises ``Invalid`` for a negative start
        and, while streaming, ``Tampered`` for a missing index or a body that is not bytes.
        """
        if start < 0:
            raise Invalid(f"entries start at index 0, not {start}.", next_step="ask from 0 or later.")
        return self._stream(start, stop)

    def size(self) -> int:
        """Number of committed entries; inside a write block of this thread, those before it."""
        with self._reading() as (connection, limit):
            return limit if limit is not None else self._size(connection)

    def reingest(self, first_index: int, bodies: Iterable[bytes]) -> int:
        """Append entries that the database lost, exactly at ``first_index`` and after; the new size is returned.

        For recovery alone, with bodies that hash to a signed head. All or nothing, durable on return,
        repeatable: entries that are present already must be the same bytes, else ``Tampered``. Raises
        ``Invalid`` for a gap between the last entry and ``first_index``.
        """
        with self.write() as tx:
            if not 0 <= first_index <= tx.size():
                raise Invalid(
                    f"entries {tx.size()} to {first_index - 1} would be missing before index {first_index}.",
                    next_step="re-ingest from the first missing entry.",
                )
            left = iter(bodies)
            present = self._stream(first_index, tx.size())
            for index, (stored, given) in enumerate(zip(present, left, strict=False), first_index):
                if stored != given:
                    raise Tampered(
                        f"entry {index} in the database differs from the entry to re-ingest.",
                        next_step="keep both as evidence and run `affidavit verify` to see which one was signed.",
                    )
            while batch := list(islice(left, _BATCH)):
                tx.append(batch)
            return tx.size()

    def close(self) -> None:
        """Release handles; idempotent."""
        self._database.close()

    def _size(self, connection: sqlite3.Connection) -> int:
        with wrapping(self._path, "reading the size"):
            return int(connection.execute(_SIZE).fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, int | None]]:
        """A connection to read committed entries, and how many there are if a write of this thread is running."""
        own = self._database.own_write()
        if own is not None:
            yield own, self._committed
        else:
            with self._database.read() as connection:
                yield connection, None

    def _stream(self, start: int, stop: int) -> Iterator[bytes]:
        index = start
        while index < stop:
            with self._reading() as (connection, limit), wrapping(self._path, "reading entries"):
                end = stop if limit is None else min(stop, limit)
                batch = connection.execute(_RANGE, (index, end, _BATCH)).fetchall()
            for found, body in batch:
                if found != index or not isinstance(body, bytes):
                    raise Tampered(
                        f"entry {index} is missing or is not bytes.",
                        next_step="restore the database from a backup and run `affidavit verify`.",
                    )
                yield body
                index += 1
            if len(batch) < _BATCH:
                return


class SqliteEntryStore(SqliteEntries):
    """Entries and read tables in one SQLite file, created when absent (``core.ports.EntryStore``).

    Durable: when ``write`` exits without raising, its entries survive power loss. One writer at a time
    between threads and processes (``<path>.lock``), waited for ``timeout_s`` seconds, then ``Busy``.
    Indexes are dense from 0; triggers in the file refuse every change of an entry. ``version`` is the
    SQLite release to choose the journal mode for (default: the one in use). ``must_exist`` refuses to create it.
    """

    def __init__(
        self, path: Path, *, hooks: Hooks | None = None, timeout_s: float = 10.0, version: Version | None = None,
        must_exist: bool = False,
    ) -> None:  # fmt: skip
        database = Database(
            Path(path), ENTRY_LAYOUT, hooks=hooks, timeout_s=timeout_s, version=version, must_exist=must_exist
        )
        super().__init__(database, database.path)
        self.journal = database.journal
