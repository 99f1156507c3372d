"""One SQLite file with a single writer between all threads and processes, and readers that see whole states.

Never open the file by other means (``open``, a copy) in a process that uses it: closing any handle drops
all POSIX locks of the process on the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from affidavit.core.errors import Busy, NotFound, StoreDown
from affidavit.store.connect import (
    Handle,
    Layout,
    Version,
    file_id,
    is_laid_out,
    journal_mode,
    lay_out,
    open_reader,
    open_writer,
)
from affidavit.store.durable import sync_folder, wrapping_os
from affidavit.store.hooks import NO_HOOKS, Hooks, Point
from affidavit.store.lock import FileLock
from affidavit.store.sqlite_errors import fsync_failed, needs_a_writer, translated, wrapping

_IDLE_READERS = 8
_ABANDONED: list[object] = []
"""Connections inherited by a fork: SQLite forbids using and closing them in the child."""


class Transactions(Protocol):
    """What the stores need of a database, on disk or in memory."""

    def write(self, point: Point) -> AbstractContextManager[sqlite3.Connection]:
        """A write transaction, alone between all writers; commits on normal exit, passing ``point``."""

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A snapshot for reading."""

    def own_write(self) -> sqlite3.Connection | None:
        """The connection of the write transaction that this thread is in, or None."""

    def close(self) -> None:
        """Release handles; idempotent."""


@dataclass(slots=True)
class _Handles:
    """The handles of one process. A forked child starts with new ones."""

    lock: FileLock
    pid: int = field(default_factory=os.getpid)
    turn: threading.Lock = field(default_factory=threading.Lock)
    owner: int | None = None
    writer: Handle | None = None
    idle: list[Handle] = field(default_factory=list)
    reading: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)


class Database:
    """A SQLite file of one ``Layout``, created when absent.

    Durable: when a ``write`` block exits without raising, its changes survive power loss.
    Atomic: readers see the state before or after a block. Safe with threads, processes and forks.
    Raises ``Busy`` after ``timeout_s``, ``StoreDown``, or ``Tampered`` for a damaged or foreign file.
    """

    def __init__(
        self, path: Path, layout: Layout, *, hooks: Hooks | None = None, timeout_s: float = 10.0,
        version: Version | None = None, must_exist: bool = False,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.layout = layout
        self.hooks = hooks or NO_HOOKS
        self.timeout_s = timeout_s
        self.journal = "DELETE" if layout.deletable else journal_mode(version or sqlite3.sqlite_version_info[:3])
        self._mode = 0o600 if layout.private else 0o644
        self._handles = _Handles(self._new_lock())
        self._here = threading.local()
        self._unusable = ""
        self._closed = False
        if must_exist:
            self._refuse_absent()
        self._prepare()

    def _new_lock(self) -> FileLock:
        return FileLock(self.path.with_name(self.path.name + ".lock"), self._mode | 0o200)

    # -- the two doors -------------------------------------------------------------------------------------------

    @contextmanager
    def write(self, point: Point) -> Iterator[sqlite3.Connection]:
        """Take the file's turn, ``BEGIN IMMEDIATE``, then commit on normal exit and roll back on any exception."""
        handles = self._mine()
        self._refuse_nesting(handles)
        with self._turn(handles):
            connection = self._begin(handles)
            try:
                yield connection
                self._commit(handles, connection, point)
            except BaseException as error:
                self._note_fsync(error)
                if isinstance(error, sqlite3.Error):
                    raise translated(error, self.path, "writing") from error
                raise
            finally:
                self._settle(handles, connection)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot as of now; writers go on, but their commits wait for it to end (keep it short)."""
        handles = self._mine()
        if handles.owner == threading.get_ident():
            raise StoreDown(
                f"a snapshot of {self.path.name} was asked for inside a write block of the same thread.",
                next_step="read through the transaction of the write block.",
            )
        connection = self._snapshot(handles)
        self._here.reads = self._reads_here() + 1
        try:
            yield connection
        except sqlite3.Error as error:
            raise translated(error, self.path, "reading") from error
        finally:
            self._here.reads -= 1
            self._give_back(handles, connection)

    def own_write(self) -> sqlite3.Connection | None:
        """The connection of the write block that this thread is in, or None."""
        handles = self._handles
        return handles.writer if handles.pid == os.getpid() and handles.owner == threading.get_ident() else None

    def close(self) -> None:
        """Close idle connections; those in use close when their block ends. Idempotent."""
        self._closed = True
        handles = self._handles
        if handles.pid == os.getpid():
            self._drop_idle(handles)
            if handles.turn.acquire(blocking=False):
                self._drop_writer(handles)
                handles.turn.release()

    # -- turns ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, handles: _Handles) -> Iterator[None]:
        """One thread alone between the threads of all processes."""
        deadline = time.monotonic() + self.timeout_s
        if not handles.turn.acquire(timeout=self.timeout_s):
            raise Busy(f"another thread has held {self.path.name} for {self.timeout_s:g} s.", next_step="retry.")
        try:
            handles.lock.acquire(max(0.0, deadline - time.monotonic()))
            handles.owner = threading.get_ident()
            yield
        finally:
            if handles.pid == os.getpid():  # a child forked inside the block leaves all of it to its parent
                handles.owner = None
                if self._closed:
                    self._drop_writer(handles)
                handles.lock.release()
                handles.turn.release()

    def _refuse_nesting(self, handles: _Handles) -> None:
        if handles.owner == threading.get_ident() or self._reads_here():
            raise StoreDown(
                f"a write block on {self.path.name} was opened inside a read or write block of the same thread.",
                next_step="close the outer block first; it would wait for itself.",
            )

    def _reads_here(self) -> int:
        return int(getattr(self._here, "reads", 0))

    def _mine(self) -> _Handles:
        """The handles of this process; after a fork, new ones."""
        if self._closed:
            raise StoreDown(f"{self.path.name} was closed.", next_step="open the workspace again.")
        old = self._handles
        if old.pid != os.getpid():
            _ABANDONED.append(old)
            if old.owner is not None or old.reading:
                self._unusable = "this process was forked while a transaction was open"
            old.lock.abandon()
            self._handles = _Handles(self._new_lock())
        if self._unusable:
            raise StoreDown(
                f"{self.path.name} cannot be used any more: {self._unusable}.",
                next_step="start the process again (spawn, not fork) and run `affidavit verify`.",
            )
        return self._handles

    # -- transactions --------------------------------------------------------------------------------------------

    def _begin(self, handles: _Handles) -> Handle:
        self._same_file(handles)
        with wrapping(self.path, "starting a transaction"):
            try:
                if handles.writer is None:
                    self._drop_idle(handles)  # the journal mode can change only while nobody else is connected
                    handles.writer = open_writer(self.path, self.timeout_s, self.layout, self.journal)
                connection = handles.writer
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:
                self._drop_writer(handles)
                raise
        return connection

    def _commit(self, handles: _Handles, connection: sqlite3.Connection, point: Point) -> None:
        self.hooks.before(point)
        if handles.pid != os.getpid() or not connection.in_transaction:
            raise StoreDown(
                f"the transaction on {self.path.name} had ended before its commit.",
                next_step="retry; nothing was recorded.",
            )
        connection.execute("COMMIT")
        self.hooks.after(point)

    def _settle(self, handles: _Handles, connection: Handle) -> None:
        """Roll back what was not committed; a connection that cannot is closed (closing rolls back)."""
        if handles.pid == os.getpid() and connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._drop_writer(handles)

    def _note_fsync(self, error: BaseException | None) -> None:
        while error is not None:
            if fsync_failed(error):
                self._unusable = "an fsync failed"
            error = error.__cause__

    def _snapshot(self, handles: _Handles) -> Handle:
        self._same_file(handles)
        with wrapping(self.path, "starting to read"):
            try:
                return self._start_reading(handles)
            except sqlite3.Error as error:
                if not needs_a_writer(error):
                    raise
            with self._turn(handles):  # a process died inside its commit: a writer rolls its journal back
                self._begin(handles).execute("ROLLBACK")
            return self._start_reading(handles)

    def _start_reading(self, handles: _Handles) -> Handle:
        with handles.guard:
            handles.reading += 1
            connection = handles.idle.pop() if handles.idle else None
        try:
            connection = connection or open_reader(self.path, self.timeout_s)
            connection.execute("BEGIN")
            connection.execute("SELECT rootpage FROM sqlite_master LIMIT 1").fetchone()  # pins the snapshot
        except BaseException:
            with handles.guard:
                handles.reading -= 1
            if connection is not None:
                connection.close()
            raise
        return connection

    def _give_back(self, handles: _Handles, connection: Handle) -> None:
        if handles.pid != os.getpid():
            return
        usable = True
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            usable = False
        with handles.guard:
            handles.reading -= 1
            keep = usable and not self._closed and len(handles.idle) < _IDLE_READERS
            if keep:
                handles.idle.append(connection)
        if not keep:
            connection.close()

    # -- connections ---------------------------------------------------------------------------------------------

    def _same_file(self, handles: _Handles) -> None:
        """Drop connections to a file that was replaced (a restore); refuse when there is none."""
        present = file_id(self.path)
        if handles.owner == threading.get_ident() and handles.writer and handles.writer.file_id != present:
            self._drop_writer(handles)
        with handles.guard:
            stale = [c for c in handles.idle if c.file_id != present]
            handles.idle[:] = [c for c in handles.idle if c.file_id == present]
        for connection in stale:
            connection.close()

    def _drop_idle(self, handles: _Handles) -> None:
        with handles.guard:
            idle, handles.idle[:] = list(handles.idle), []
        for connection in idle:
            connection.close()

    def _drop_writer(self, handles: _Handles) -> None:
        writer, handles.writer = handles.writer, None
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()

    # -- layout --------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Check an existing file without writing to it; create an absent one."""
        if self.path.exists():
            with self.read() as connection:
                if is_laid_out(connection, self.layout, self.path.name):
                    return
        handles = self._mine()
        with self._turn(handles):
            self._create(handles)

    def _refuse_absent(self) -> None:
        """A file that was lost is not replaced by an empty one. Raises ``NotFound`` or ``StoreDown``."""
        step = "restore it from a backup; an empty one would hide the loss."
        if not self.path.is_file():
            raise NotFound(f"{self.path} is missing.", next_step=step)
        with wrapping_os(self.path, "finding"):
            size = self.path.stat().st_size
        if size == 0:
            raise StoreDown(f"{self.path} is empty.", next_step=step)

    def _create(self, handles: _Handles) -> None:
        with wrapping_os(self.path, "creating"), contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, self._mode))
        connection = self._begin(handles)
        try:
            with wrapping(self.path, "creating its tables"):
                if not is_laid_out(connection, self.layout, self.path.name):
                    lay_out(connection, self.layout)
                    connection.execute("COMMIT")
        finally:
            self._settle(handles, connection)
        sync_folder(self.path.parent)
