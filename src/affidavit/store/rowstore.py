"""Operational rows (last use of a key, refusal counters): neither facts nor derived, so each row carries a MAC."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from pathlib import Path
from typing import Any

from affidavit.core import canonical
from affidavit.core.errors import Invalid, Tampered
from affidavit.store.connect import Layout
from affidavit.store.database import Database
from affidavit.store.hooks import Hooks

_LAYOUT = Layout(
    "operational",
    0x41664F31,
    {
        "item": "CREATE TABLE item (name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, mac BLOB NOT NULL,"
        " PRIMARY KEY (name, key))"
    },
    private=True,
)


class RowStore:
    """Rows of canonical JSON by (table, key), each with HMAC-SHA-256 over all three under the workspace's key."""

    def __init__(self, path: Path, key: bytes, *, hooks: Hooks | None = None) -> None:
        self._database = Database(Path(path), _LAYOUT, hooks=hooks)
        self._key = key

    def _mac(self, table: str, key: str, value: bytes) -> bytes:
        body = canonical.encode([table, key]) + b"\0" + value
        return hmac.new(self._key, b"affidavit/operational/v1\0" + body, hashlib.sha256).digest()

    def _opened(self, table: str, key: str, value: Any, mac: Any) -> dict[str, Any]:
        found: Any = None
        with contextlib.suppress(Invalid, TypeError, ValueError):
            if hmac.compare_digest(self._mac(table, key, bytes(value)), bytes(mac)):
                found = canonical.decode(bytes(value))
        if not isinstance(found, dict):
            raise Tampered(
                f"the operational row {table} {key} does not carry its MAC.",
                next_step="`affidavit verify` lists all of them; delete the row to start its count again.",
            )
        return found

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """The row, or None; ``Tampered`` if its MAC does not fit."""
        with self._database.read() as connection:
            row = connection.execute("SELECT value, mac FROM item WHERE name = ? AND key = ?", (table, key)).fetchone()
        return self._opened(table, key, *row) if row else None

    def put(self, table: str, key: str, value: dict[str, Any]) -> None:
        """Write the row durably."""
        body = canonical.encode(value)
        with self._database.write("operational.put") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)", (table, key, body, self._mac(table, key, body))
            )

    def increment(self, table: str, key: str, field: str) -> int | None:
        """Add one to a number of a sound row, in one transaction; None if there is no such row."""
        with self._database.write("operational.put") as connection:
            row = connection.execute("SELECT value, mac FROM item WHERE name = ? AND key = ?", (table, key)).fetchone()
            if row is None:
                return None
            value = self._opened(table, key, *row)
            value[field] = int(value[field]) + 1
            body = canonical.encode(value)
            mac = self._mac(table, key, body)
            connection.execute("UPDATE item SET value = ?, mac = ? WHERE name = ? AND key = ?", (body, mac, table, key))
            return int(value[field])

    def delete(self, table: str, key: str) -> None:
        """Remove the row; absent is success."""
        with self._database.write("operational.put") as connection:
            connection.execute("DELETE FROM item WHERE name = ? AND key = ?", (table, key))

    def rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        """Every sound row of a table by key; ``flaws`` names the others, so that one cannot stop the rest."""
        found = []
        for name, key, value, mac in self._all():
            if name == table:
                with contextlib.suppress(Tampered):
                    found.append((key, self._opened(table, key, value, mac)))
        return found

    def flaws(self) -> list[str]:
        """``table key`` of every row whose MAC does not fit."""
        found = []
        for name, key, value, mac in self._all():
            try:
                self._opened(name, key, value, mac)
            except Tampered:
                found.append(f"{name} {key}")
        return found

    def _all(self) -> list[tuple[Any, ...]]:
        with self._database.read() as connection:
            return connection.execute("SELECT name, key, value, mac FROM item ORDER BY name, key").fetchall()

    def close(self) -> None:
        """Release handles; idempotent."""
        self._database.close()


class NoRows:
    """Stands in where the MAC key is not at hand: nothing is read, so nothing is claimed."""

    def get(self, table: str, key: str) -> dict[str, Any] | None:  # noqa: ARG002
        """None."""
        return None

    def put(self, table: str, key: str, value: dict[str, Any]) -> None:
        """Nothing is kept."""

    def increment(self, table: str, key: str, field: str) -> int | None:  # noqa: ARG002
        """None."""
        return None

    def delete(self, table: str, key: str) -> None:
        """Nothing is there."""

    def rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:  # noqa: ARG002
        """None."""
        return []

    def flaws(self) -> list[str]:
        """None."""
        return []
