"""The latest signed checkpoint per origin in a SQLite file of its own, outside what a restore brings back."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from affidavit.core.errors import Busy, Invalid, StoreDown, Tampered
from affidavit.store.connect import Layout
from affidavit.store.database import Database
from affidavit.store.durable import make_folder, wrapping_os
from affidavit.store.hooks import Hooks

HEAD_LAYOUT = Layout(
    "head store",
    0x41666831,
    {"head": "CREATE TABLE head (origin TEXT PRIMARY KEY, note BLOB NOT NULL) WITHOUT ROWID"},
    private=True,
)
_FETCH = "SELECT note FROM head WHERE origin = ?"
_STORE = "INSERT INTO head (origin, note) VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note"


class SqliteHeadStore:
    """Compare-and-replace of signed checkpoints (``core.ports.HeadStore``); the folder is created when absent.

    Linearizable between threads and processes: the comparison runs under the write lock of the file.
    Durable on return of ``replace``.
    """

    def __init__(self, path: Path, *, hooks: Hooks | None = None, timeout_s: float = 10.0) -> None:
        path = Path(path)
        make_folder(path.parent, 0o700)
        self._database = Database(path, HEAD_LAYOUT, hooks=hooks, timeout_s=timeout_s)

    def fetch(self, origin: str) -> bytes | None:
        """The signed checkpoint, or None for a log never published. Raises ``StoreDown``, ``Busy``, ``Tampered``."""
        with self._database.read() as connection:
            return _note(connection.execute(_FETCH, (check_origin(origin),)).fetchone(), origin)

    def replace(self, origin: str, old: bytes | None, new: bytes) -> None:
        """Replace ``old`` (None: nothing there yet) by ``new``.

        Raises ``Busy`` when the present value is not ``old`` (fetch again: an earlier attempt whose answer
        was lost may have stored ``new``), ``StoreDown``, ``Tampered``, ``Invalid`` for an empty note.
        """
        check_head(origin, new)
        with self._database.write("head.replace") as connection:
            present = _note(connection.execute(_FETCH, (origin,)).fetchone(), origin)
            if present != old:
                raise moved(origin)
            connection.execute(_STORE, (origin, new))

    def forget(self, origin: str) -> None:
        """Drop the head of a log whose making failed. Absent is success."""
        with self._database.write("head.replace") as connection:
            connection.execute("DELETE FROM head WHERE origin = ?", (check_origin(origin),))

    def close(self) -> None:
        """Release handles; idempotent."""
        self._database.close()


def moved(origin: str) -> Busy:
    """The head is not what the caller thought it was."""
    return Busy(f"the head of {origin} was replaced by another writer.", next_step="fetch it and start again.")


def check_origin(origin: str) -> str:
    """``origin`` itself; raises ``Invalid`` when it is empty or not one printable line."""
    if not origin or not origin.isprintable():
        raise Invalid(f"{origin!r} is not the origin of a log.", next_step="give the first line of its checkpoints.")
    return origin


def check_head(origin: str, new: bytes) -> None:
    """Raises ``Invalid`` for a malformed origin or an empty note."""
    check_origin(origin)
    if not isinstance(new, bytes) or not new:
        raise Invalid("a head is a signed checkpoint, not nothing.", next_step="sign a checkpoint first.")


def _note(row: tuple[object] | None, origin: str) -> bytes | None:
    if row is None:
        return None
    if not isinstance(row[0], bytes) or not row[0]:
        raise Tampered(f"the stored head of {origin} is not bytes.", next_step="restore the head store.")
    return row[0]


def default_head_dir(origin: str, *, env: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """The folder for the head of ``origin`` in the user's state folder: ``…/affidavit/heads/<hash of origin>``.

    ``AFFIDAVIT_STATE`` replaces ``…/affidavit``. Otherwise ``XDG_STATE_HOME`` or ``~/.local/state`` (macOS
    ``~/Library/Application Support``, Windows ``LOCALAPPDATA``). Nothing is created. Raises ``StoreDown``
    when the user has no home folder.
    """
    env = os.environ if env is None else env
    name = hashlib.sha256(check_origin(origin).encode()).hexdigest()[:32]
    return _state_folder(env, platform) / "heads" / name


def _state_folder(env: Mapping[str, str], platform: str) -> Path:
    if env.get("AFFIDAVIT_STATE"):
        return Path(env["AFFIDAVIT_STATE"]).absolute()
    if platform == "win32":
        given = env.get("LOCALAPPDATA")
        return (Path(given) if given else _home() / "AppData" / "Local") / "affidavit"
    if platform == "darwin":
        return _home() / "Library" / "Application Support" / "affidavit"
    given = env.get("XDG_STATE_HOME", "")
    # the XDG base directory specification: relative paths are to be ignored
    return (Path(given) if given.startswith("/") else _home() / ".local" / "state") / "affidavit"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise StoreDown("this user has no home folder.", next_step="set AFFIDAVIT_STATE to a folder.") from error


class PublishedHead:
    """Stands in where the head store is not at hand: the published checkpoint is all there is. Read only."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint

    def fetch(self, origin: str) -> bytes | None:  # noqa: ARG002
        """The published checkpoint, or None."""
        if not self._checkpoint.is_file():
            return None
        with wrapping_os(self._checkpoint, "reading"):
            return self._checkpoint.read_bytes()

    def replace(self, origin: str, old: bytes | None, new: bytes) -> None:  # noqa: ARG002
        """Raises ``Busy``: nothing is replaced here."""
        raise moved(origin)
