"""The ports a workspace runs on, handed in by ``bootstrap``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from affidavit.core.errors import NotAllowed
from affidavit.core.ports import Clock, EntryStore, HeadStore, ObjectStore, Signer, TileStore, Vault


def _no_stamps(_size: int) -> Iterable[bytes]:
    return ()


def _no_join(_decision: bytes) -> bytes:
    raise NotAllowed("this process holds no join key.", next_step="do it where the workspace was opened.")


def _unlocked(_timeout_s: float) -> AbstractContextManager[None]:
    return nullcontext()


class Operational(Protocol):
    """Small tables that are neither facts nor derived (last use, counters): each row carries a MAC."""

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """The row, or None; ``Tampered`` if its MAC does not fit."""

    def put(self, table: str, key: str, value: dict[str, Any]) -> None:
        """Write the row durably."""

    def increment(self, table: str, key: str, field: str) -> int | None:
        """Add one to a number of the row in one step; None if there is no such row."""

    def delete(self, table: str, key: str) -> None:
        """Remove the row; absent is success."""

    def rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        """Every row of a table by key."""


@dataclass(frozen=True)
class Stores:
    """Everything a workspace writes to, and the draws it may make."""

    origin: str
    entries: EntryStore
    tiles: TileStore
    head: HeadStore
    objects: ObjectStore
    segments: ObjectStore
    """Segment files and their tiles: payload, deletable; no object lock, no versioning."""
    spool: Path
    """Folder of the write-ahead files and of the passports."""
    vault: Vault
    operational: Operational
    clock: Clock
    log_signer: Signer
    artifact_signer: Signer
    publish_lock: Callable[[], AbstractContextManager[None]]
    random: Callable[[int], bytes]
    timestamp: Callable[[bytes, int], None] | None = None
    stamps: Callable[[int], Iterable[bytes]] = _no_stamps
    """RFC 3161 answers over the checkpoint of a size."""
    join: Callable[[bytes], bytes] = _no_join
    """The keyed hash of a decision id that its protected attributes are filed under."""
    earlier_vkeys: tuple[str, ...] = ()
    present_vkey: Callable[[], str] | None = None
    """Reads the log key in force from its place: another process may have replaced it."""
    key_lock: Callable[[float], AbstractContextManager[None]] = _unlocked
    """Held while the log key changes; waits as many seconds, then ``Busy``."""

    @property
    def vkeys(self) -> list[str]:
        """Keys that may have signed the present head: the log's key and those it replaced."""
        return [self.log_signer.vkey, *self.earlier_vkeys]

    @property
    def key_lost(self) -> bool:
        """Whether nothing can be signed until the log key is recovered."""
        return bool(getattr(self.log_signer, "lost", False))

    def sign_with(self, signer: Signer) -> None:
        """From here on this process signs with another log key; the one before stays known."""
        object.__setattr__(self, "earlier_vkeys", tuple(v for v in self.vkeys if v != signer.vkey))
        object.__setattr__(self, "log_signer", signer)
