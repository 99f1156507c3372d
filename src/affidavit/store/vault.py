"""Private texts that can be forgotten, with the keys of their commitments, in a SQLite file of their own.

Erasing overwrites text and key in place, then removes them; pages freed by it are zeroed
(``secure_delete``), and the file never uses a write-ahead log. Blocks that the file system or a solid state
disk keeps elsewhere are beyond a program's reach: put the workspace on an encrypted disk.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from affidavit.core.commitment import KEY_BYTES
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.core.ports import DisposalState
from affidavit.store.connect import Layout
from affidavit.store.database import Database, Transactions
from affidavit.store.hooks import Hooks

VAULT_LAYOUT = Layout(
    "vault",
    0x41667631,
    {
        "record": "CREATE TABLE record (id TEXT PRIMARY KEY, owner TEXT NOT NULL, field TEXT NOT NULL,"
        " text BLOB, key BLOB, state TEXT NOT NULL CHECK (state IN ('present', 'erased')), UNIQUE (owner, field))",
    },
    deletable=True,
    private=True,
)
_BATCH = 512
_OVERWRITE = (
    "UPDATE record SET state = 'erased', text = zeroblob(length(text)), key = zeroblob(length(key)) WHERE id = ?"
)


class SqliteRecords:
    """The vault on any ``Transactions`` (on disk, in memory)."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    def put(self, owner: str, field: str, text: str, key: bytes) -> tuple[str, bytes]:
        """Store ``text`` and its 32-byte ``key`` under a fresh random id (a UUID): ``(id, key)``; durable on return.

        Again for the same (owner, field): the same text gives the earlier id and the earlier key; another
        text, or a record erased since, is ``Invalid``. Raises ``StoreDown``, ``Busy``, ``Tampered``.
        """
        body = _checked(owner, field, text, key)
        with self._database.read() as connection:
            earlier = _earlier(connection, owner, field, body)
        if earlier is not None:
            return earlier
        with self._database.write("vault.put") as connection:
            earlier = _earlier(connection, owner, field, body)
            if earlier is not None:
                return earlier
            vault_id = str(uuid.uuid4())
            connection.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, 'present')", (vault_id, owner, field, body, key)
            )
        return vault_id, key

    def get(self, vault_id: str) -> tuple[str, bytes] | None:
        """(text, key), or None when erased.

        Raises ``NotFound`` for an id never given, ``Tampered`` for values of the wrong kind (the caller checks
        the commitment), ``StoreDown``, ``Busy``.
        """
        with self._database.read() as connection:
            row = _record(connection, vault_id)
        return None if row[2] == "erased" else _opened(vault_id, row)

    def erase(self, vault_id: str) -> None:
        """Overwrite text and key, then remove them; the id stays known as erased. Erasing twice is success.

        Durable on return. After the first of its two steps the record is erased for every reader; a crash
        between the two is mended by erasing again. Raises ``NotFound``, ``StoreDown``, ``Busy``.
        """
        with self._database.write("vault.erase") as connection:
            text, _, state = _record(connection, vault_id)
            if state == "erased" and text is None:
                return
            connection.execute(_OVERWRITE, (vault_id,))
        with self._database.write("vault.erase") as connection:
            connection.execute("UPDATE record SET text = NULL, key = NULL WHERE id = ?", (vault_id,))

    def find(self, field: str, text: str) -> list[str]:
        """Ids of present records of ``field`` that hold exactly ``text``, sorted."""
        sql = "SELECT id FROM record WHERE field = ? AND text = ? AND state = 'present' ORDER BY id"
        with self._database.read() as connection:
            return [row[0] for row in connection.execute(sql, (field, text.encode()))]

    def discard(self, owner: str, keep: Collection[str] = ()) -> None:
        """Forget every record of a command that was not accepted; erased ones stay known as erased.

        None of them is success. Durable on return. Raises ``StoreDown``, ``Busy``.
        """
        with self._database.write("vault.discard") as connection:
            ids = connection.execute("SELECT id FROM record WHERE owner = ? AND state = 'present'", (owner,)).fetchall()
            ids = [row for row in ids if row[0] not in keep]
            connection.executemany(_OVERWRITE, ids)
            connection.executemany("DELETE FROM record WHERE id = ?", ids)

    def all(self) -> Iterator[tuple[str, str, str, DisposalState]]:
        """(id, owner, field, state) of every record, sorted by id; streamed without holding a lock in between."""
        last = ""
        while True:
            with self._database.read() as connection:
                batch = connection.execute(
                    "SELECT id, owner, field, state FROM record WHERE id > ? ORDER BY id LIMIT ?", (last, _BATCH)
                ).fetchall()
            for row in batch:
                if not all(isinstance(value, str) for value in row) or row[3] not in ("present", "erased"):
                    raise _damaged(str(row[0]))
                yield row
            if len(batch) < _BATCH:
                return
            last = batch[-1][0]

    def close(self) -> None:
        """Release handles; idempotent."""
        self._database.close()


class SqliteVault(SqliteRecords):
    """The vault in a SQLite file (0600), created when absent (``core.ports.Vault``).

    Durable on return of each call; safe between threads and processes. ``must_exist`` refuses to create it.
    """

    def __init__(
        self, path: Path, *, hooks: Hooks | None = None, timeout_s: float = 10.0, must_exist: bool = False
    ) -> None:
        super().__init__(Database(Path(path), VAULT_LAYOUT, hooks=hooks, timeout_s=timeout_s, must_exist=must_exist))


def _checked(owner: str, field: str, text: str, key: bytes) -> bytes:
    """The UTF-8 bytes of ``text``; raises ``Invalid`` (never showing the text)."""
    if not owner or not field:
        raise Invalid("a vault record needs an owner and a field.", next_step="give the command id and the field name.")
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise Invalid(f"a commitment key has {KEY_BYTES} bytes.", next_step="draw a key of 32 random bytes.")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{field} is not valid Unicode text.", next_step="send text without lone surrogates.") from error


def _record(connection: sqlite3.Connection, vault_id: str) -> tuple[Any, Any, Any]:
    row: tuple[Any, Any, Any] | None = connection.execute(
        "SELECT text, key, state FROM record WHERE id = ?", (vault_id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"vault record {vault_id} was never given.", next_step="check the id, or restore the vault.")
    return row


def _opened(vault_id: str, row: tuple[Any, Any, Any]) -> tuple[str, bytes]:
    text, key, state = row
    if state != "present" or not isinstance(text, bytes) or not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise _damaged(vault_id)
    try:
        return text.decode(), key
    except UnicodeDecodeError as error:
        raise _damaged(vault_id) from error


def _earlier(connection: sqlite3.Connection, owner: str, field: str, body: bytes) -> tuple[str, bytes] | None:
    """The record of (owner, field) if it holds the same text; raises ``Invalid`` if it holds another."""
    row = connection.execute(
        "SELECT id, text, key, state FROM record WHERE owner = ? AND field = ?", (owner, field)
    ).fetchone()
    if row is None:
        return None
    if row[3] == "present" and _opened(row[0], row[1:])[0].encode() == body:
        return row[0], row[2]
    what = "was erased" if row[3] == "erased" else "holds another text"
    raise Invalid(f"field {field} of {owner} {what}.", next_step="send the new command under a new command id.")


def _damaged(vault_id: str) -> Tampered:
    return Tampered(f"vault record {vault_id} holds values of a wrong kind.", next_step="restore the vault.")
