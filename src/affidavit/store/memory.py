"""Real adapters that keep everything in memory: for tests, demonstrations and what-if runs. Not durable."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from affidavit.core.errors import Busy, Invalid, NotFound, StoreDown, Tampered
from affidavit.store.connect import Layout, lay_out
from affidavit.store.files import CHECKPOINT, check_path, chunks, hex_of, is_partial
from affidavit.store.head import check_head, check_origin, moved
from affidavit.store.hooks import NO_HOOKS, Hooks, Point
from affidavit.store.sqlite import ENTRY_LAYOUT, SqliteEntries
from affidavit.store.sqlite_errors import translated, wrapping
from affidavit.store.vault import VAULT_LAYOUT, SqliteRecords

_NAME = ":memory:"


class MemoryDatabase:
    """SQLite in memory with the transactions of ``Database``: one thread at a time, readers wait as well."""

    def __init__(self, layout: Layout, *, hooks: Hooks | None = None, timeout_s: float = 10.0) -> None:
        self._hooks = hooks or NO_HOOKS
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._writer: int | None = None
        self._readers = 0
        self._closed = False
        self._connection = sqlite3.connect(_NAME, isolation_level=None, check_same_thread=False)
        with wrapping(_NAME, "creating its tables"):
            self._connection.execute("PRAGMA recursive_triggers = ON")
            lay_out(self._connection, layout)

    @contextmanager
    def write(self, point: Point) -> Iterator[sqlite3.Connection]:
        """A write transaction, alone between all threads; commits on normal exit."""
        with self._alone():
            if self._readers or self._writer is not None:
                raise _nested()
            self._connection.execute("BEGIN IMMEDIATE")
            self._writer = threading.get_ident()
            try:
                yield self._connection
                self._hooks.before(point)
                self._connection.execute("COMMIT")
                self._hooks.after(point)
            except sqlite3.Error as error:
                raise translated(error, _NAME, "writing") from error
            finally:
                self._writer = None
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot: no writer comes in before it ends."""
        with self._alone():
            if self._writer is not None:
                raise _nested()
            if not self._readers:
                self._connection.execute("PRAGMA query_only = ON")
                self._connection.execute("BEGIN")
            self._readers += 1
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise translated(error, _NAME, "reading") from error
            finally:
                self._readers -= 1
                if not self._readers:
                    self._connection.execute("ROLLBACK")
                    self._connection.execute("PRAGMA query_only = OFF")

    def own_write(self) -> sqlite3.Connection | None:
        """The connection, when this thread is inside a write block."""
        return self._connection if self._writer == threading.get_ident() else None

    def close(self) -> None:
        """Forget everything; idempotent."""
        with self._lock:
            self._closed = True
            self._connection.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._timeout_s):
            raise Busy(f"another thread has held the store for {self._timeout_s:g} s.", next_step="retry.")
        try:
            if self._closed:
                raise StoreDown("the store was closed.", next_step="open the workspace again.")
            yield
        finally:
            self._lock.release()


def _nested() -> StoreDown:
    return StoreDown(
        "a block was opened inside a write block, or a write block inside a read block, of the same thread.",
        next_step="use the transaction of the outer block, or close it first.",
    )


class MemoryEntryStore(SqliteEntries):
    """Entries and read tables in memory (``core.ports.EntryStore``)."""

    def __init__(self, *, hooks: Hooks | None = None, timeout_s: float = 10.0) -> None:
        super().__init__(MemoryDatabase(ENTRY_LAYOUT, hooks=hooks, timeout_s=timeout_s), _NAME)


class MemoryVault(SqliteRecords):
    """Private texts in memory (``core.ports.Vault``)."""

    def __init__(self, *, hooks: Hooks | None = None, timeout_s: float = 10.0) -> None:
        super().__init__(MemoryDatabase(VAULT_LAYOUT, hooks=hooks, timeout_s=timeout_s))


class MemoryTileStore:
    """A tlog-tiles folder in memory (``core.ports.TileStore``); safe with threads."""

    def __init__(self, *, hooks: Hooks | None = None) -> None:
        self._hooks = hooks or NO_HOOKS
        self._lock = threading.Lock()
        self._bodies: dict[str, bytes] = {}

    def put(self, path: str, body: bytes) -> None:
        """Store if absent; other bytes under the name are ``Tampered``."""
        if check_path(path) == CHECKPOINT:
            raise Invalid("the checkpoint is not immutable.", next_step="use publish().")
        with self._lock:
            found = self._bodies.get(path)
            if found is not None and found != body:
                raise Tampered(f"{path} holds other bytes.", next_step="stop the writer and run `affidavit verify`.")
            if found is None:
                self._hooks.before("tile.put")
                self._bodies[path] = bytes(body)
                self._hooks.after("tile.put")

    def get(self, path: str) -> bytes:
        """The bytes, or ``NotFound``."""
        body = self._bodies.get(check_path(path))
        if body is None:
            raise NotFound(f"{path} is not in the log.", next_step="publish the log up to that size first.")
        return body

    def delete(self, path: str) -> None:
        """Remove a partial tile; absent is success."""
        if not is_partial(check_path(path)):
            raise Invalid(f"{path} is not a partial tile.", next_step="delete partial tiles (…/NNN.p/W) only.")
        self._bodies.pop(path, None)

    def publish(self, checkpoint: bytes) -> None:
        """Replace ``checkpoint``."""
        self._hooks.before("tile.publish")
        self._bodies[CHECKPOINT] = bytes(checkpoint)
        self._hooks.after("tile.publish")

    def list(self, prefix: str) -> Iterator[str]:
        """Relative paths below ``prefix``, sorted."""
        prefix = prefix.rstrip("/")
        start = check_path(prefix) + "/" if prefix else ""
        return iter(sorted(path for path in list(self._bodies) if path.startswith(start)))


class MemoryHeadStore:
    """Heads in memory (``core.ports.HeadStore``); linearizable between threads."""

    def __init__(self, *, hooks: Hooks | None = None) -> None:
        self._hooks = hooks or NO_HOOKS
        self._lock = threading.Lock()
        self._notes: dict[str, bytes] = {}

    def fetch(self, origin: str) -> bytes | None:
        """The signed checkpoint, or None."""
        return self._notes.get(check_origin(origin))

    def replace(self, origin: str, old: bytes | None, new: bytes) -> None:
        """Replace ``old`` by ``new``; ``Busy`` if the present value is not ``old``."""
        check_head(origin, new)
        with self._lock:
            if self._notes.get(origin) != old:
                raise moved(origin)
            self._hooks.before("head.replace")
            self._notes[origin] = new
            self._hooks.after("head.replace")

    def close(self) -> None:
        """Nothing to release."""


class MemoryObjectStore:
    """Content-addressed blobs in memory (``core.ports.ObjectStore``)."""

    def __init__(self, *, hooks: Hooks | None = None) -> None:
        self._hooks = hooks or NO_HOOKS
        self._blobs: dict[str, bytes] = {}

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Store a stream: ``("sha256:<hex>", bytes)``; present already is success."""
        body = b"".join(chunks(source))
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if digest not in self._blobs:
            self._hooks.before("object.put")
            self._blobs[digest] = body
            self._hooks.after("object.put")
        return digest, len(body)

    def open(self, digest: str) -> BinaryIO:
        """A stream of the bytes, or ``NotFound``."""
        hex_of(digest)
        body = self._blobs.get(digest)
        if body is None:
            raise NotFound(f"{digest} is not stored.", next_step="upload the object, or restore it.")
        return io.BytesIO(body)

    def has(self, digest: str) -> bool:
        """Whether a blob of this name exists."""
        hex_of(digest)
        return digest in self._blobs

    def delete(self, digest: str) -> None:
        """Destroy a blob; absent is success."""
        hex_of(digest)
        self._blobs.pop(digest, None)

    def list(self) -> Iterator[str]:
        """Every stored digest, sorted."""
        return iter(sorted(self._blobs))
