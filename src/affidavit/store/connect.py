"""Opening SQLite connections: pragmas, journal mode by release, and the layout that a file must have.

Rules for SQLite: releases before 3.51.3 (but for the patched 3.44.6 and 3.50.7) can corrupt a database in
WAL mode when two connections write and checkpoint at once (the WAL-reset bug, sqlite.org/wal.html), so they
run ``journal_mode=DELETE``. There ``synchronous=EXTRA`` also syncs the folder after the journal is removed:
without it a power cut could bring the journal back and undo an acknowledged commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affidavit.core.errors import Busy, StoreDown, Tampered
from affidavit.store.durable import wrapping_os

Version = tuple[int, int, int]
_LAYOUT_VERSION = 1


def journal_mode(version: Version) -> str:
    """``WAL`` for SQLite releases without the WAL-reset bug, ``DELETE`` for all others."""
    patched = (3, 44, 6) <= version < (3, 45, 0) or (3, 50, 7) <= version < (3, 51, 0)
    return "WAL" if patched or version >= (3, 51, 3) else "DELETE"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a database of one kind holds: its application id, and each table and trigger by name with its SQL.

    ``deletable``: freed pages are overwritten, and the journal mode is DELETE whatever the release, since
    a write-ahead log keeps old pages. ``private``: the file is created 0600.
    """

    kind: str
    application_id: int
    objects: Mapping[str, str]
    deletable: bool = False
    private: bool = False


class Handle(sqlite3.Connection):
    """A connection that knows which file it opened, so that a replaced file is noticed."""

    file_id: tuple[int, int] = (0, 0)


def file_id(path: Path) -> tuple[int, int]:
    """Device and inode; raises ``StoreDown`` when the file is not there."""
    with wrapping_os(path, "finding"):
        found = path.stat()
    return found.st_dev, found.st_ino


def _open(path: Path, mode: str, timeout_s: float, pragmas: tuple[str, ...]) -> Handle:
    opened = file_id(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Handle,
    )
    connection.file_id = opened
    try:
        for pragma in ("PRAGMA trusted_schema = OFF", "PRAGMA mmap_size = 0", "PRAGMA cache_size = -16000", *pragmas):
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, timeout_s: float) -> Handle:
    """A connection that cannot write. Raises ``StoreDown`` or ``sqlite3.Error``."""
    return _open(path, "ro", timeout_s, ("PRAGMA query_only = ON",))


def open_writer(path: Path, timeout_s: float, layout: Layout, journal: str) -> Handle:
    """A writing connection in journal mode ``journal``.

    Raises ``Busy`` when other connections keep the file in another mode, ``StoreDown`` or ``sqlite3.Error``.
    """
    pragmas = (
        f"PRAGMA synchronous = {'EXTRA' if journal == 'DELETE' else 'FULL'}",
        "PRAGMA fullfsync = ON",
        "PRAGMA checkpoint_fullfsync = ON",
        "PRAGMA recursive_triggers = ON",
        f"PRAGMA secure_delete = {'ON' if layout.deletable else 'OFF'}",
    )
    connection = _open(path, "rw", timeout_s, pragmas)
    try:
        found = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0]
    except BaseException:
        connection.close()
        raise
    if str(found).upper() != journal:
        connection.close()
        raise Busy(
            f"{path.name} is in journal mode {found} and this SQLite needs {journal}.",
            next_step="stop the other processes that use this workspace, then retry.",
        )
    return connection


def is_laid_out(connection: sqlite3.Connection, layout: Layout, name: str) -> bool:
    """False for an empty file, True for one of this layout.

    Raises ``Tampered`` for a file of another kind, or one whose tables or triggers are missing or changed,
    and ``StoreDown`` for one of a newer layout.
    """
    found: dict[str, Any] = dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if not found and application_id == 0:
        return False
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = application_id == layout.application_id
    if ours and version > _LAYOUT_VERSION:
        raise StoreDown(f"{name} has layout {version}.", next_step="install a newer affidavit.")
    wrong = [item for item, sql in layout.objects.items() if found.get(item) != sql]
    if not ours or wrong:
        what = f"{wrong[0]} is missing or was changed" if ours else f"it is not a {layout.kind} file"
        raise Tampered(
            f"{name}: {what}.",
            next_step="keep the file as evidence, restore it from a backup and run `affidavit verify`.",
        )
    return True


def lay_out(connection: sqlite3.Connection, layout: Layout) -> None:
    """Create the tables and triggers of ``layout`` within the running transaction."""
    connection.execute(f"PRAGMA application_id = {layout.application_id}")
    connection.execute(f"PRAGMA user_version = {_LAYOUT_VERSION}")
    for statement in layout.objects.values():
        connection.execute(statement)
