"""The physical limits: SQLite, files and hashlib with nothing around them, as durable as ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path


def synchronous(journal: str) -> str:
    """The synchronous level that makes a commit durable in this journal mode."""
    return "EXTRA" if journal == "DELETE" else "FULL"


def connect(path: Path, journal: str) -> sqlite3.Connection:
    """A connection with the journal mode, synchronous level and cache of the product's."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    for pragma in (
        f"journal_mode = {journal}",
        f"synchronous = {synchronous(journal)}",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "cache_size = -16000",
        "mmap_size = 0",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


class Table:
    """One table of indexed blobs."""

    def __init__(self, path: Path, journal: str) -> None:
        self.connection = connect(path, journal)
        self.connection.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        self.size = 0

    def insert(self, bodies: Sequence[bytes]) -> None:
        """Insert bodies at the next places (in the transaction that is open, if any)."""
        self.connection.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(bodies, self.size))
        self.size += len(bodies)

    def commit(self, bodies: Sequence[bytes]) -> None:
        """Insert bodies in one durable transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.insert(bodies)
        self.connection.execute("COMMIT")


def hash_log(bodies: Sequence[bytes]) -> bytes:
    """The RFC 6962 root of entries by hashlib alone: every leaf and every node once."""
    digest = sha256
    row = b"".join([digest(b"\x00" + body).digest() for body in bodies])
    while len(row) > 32:
        odd = row[-32:] if len(row) // 32 % 2 else b""
        row = b"".join([digest(b"\x01" + row[i : i + 64]).digest() for i in range(0, len(row) - 63, 64)]) + odd
    return row


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, body: bytes) -> None:
    """A new file, its bytes and its name durable."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_durably(path: Path, body: bytes) -> None:
    """Replace a file in one step: temporary file, fsync, rename, fsync of the folder."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)
