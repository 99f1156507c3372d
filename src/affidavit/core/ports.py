"""The ports: what the product asks of a store, with durability, atomicity and retry written down.

Adapters live in ``affidavit.store`` and are named in ``affidavit.bootstrap`` alone. Every adapter,
the in-memory ones included, passes the same tests (``tests/contract/ports``). Foreign errors are
wrapped: adapters raise ``Busy``, ``StoreDown``, ``Tampered`` or ``NotFound`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

Row = tuple[Any, ...]
DisposalState = Literal["present", "erased", "absent"]


class Tx(Protocol):
    """A running transaction of the entry store: entries and read tables commit or vanish together."""

    def append(self, bodies: Sequence[bytes]) -> int:
        """Append encoded entries; the index of the first is returned. Indexes are dense from 0."""

    def size(self) -> int:
        """Number of entries, those appended in this transaction included."""

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Rows of a query on read tables; ``?`` placeholders."""

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run a statement on read tables; the number of rows it changed is returned."""

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement on read tables once for each row of values."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo everything done inside if the block raises; the exception goes on to the caller."""


class EntryStore(Protocol):
    """The sequence of entries and the disposable read tables beside it.

    Durable: when ``write`` exits without raising, its entries survive power loss.
    Atomic: one ``write`` block is one transaction; concurrent writers wait, then ``Busy``.
    """

    def write(self) -> AbstractContextManager[Tx]:
        """Take the sequencer lock first, then read and write; commits on normal exit."""

    def read(self) -> AbstractContextManager[Tx]:
        """A consistent snapshot for reading; ``append`` and ``run`` raise ``StoreDown``."""

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Encoded entries ``start <= index < stop``, in order, streamed."""

    def size(self) -> int:
        """Number of committed entries."""

    def close(self) -> None:
        """Release handles; idempotent."""


class TileStore(Protocol):
    """A tlog-tiles directory: immutable resources below ``tile/``, and the one mutable ``checkpoint``.

    Durable: when ``put`` returns, the bytes and their directory entry are on disk.
    Retry: identical bytes are success, different bytes are ``Tampered``: tiles are a pure function of the entries.
    """

    def put(self, path: str, body: bytes) -> None:
        """Store an immutable resource if absent. ``path`` is relative and computed, never user data."""

    def get(self, path: str) -> bytes:
        """The bytes, or ``NotFound``."""

    def delete(self, path: str) -> None:
        """Remove a partial tile that a full one replaced; absent is success."""

    def publish(self, checkpoint: bytes) -> None:
        """Atomically replace ``checkpoint`` (temp file, fsync, rename, fsync of the directory)."""

    def list(self, prefix: str) -> Iterator[str]:
        """Relative paths below ``prefix``, sorted."""


class HeadStore(Protocol):
    """The latest signed checkpoint per log origin, in a place that is not restored with the data.

    Linearizable: of two ``replace`` calls with the same ``old`` at most one succeeds.
    """

    def fetch(self, origin: str) -> bytes | None:
        """The signed checkpoint, or None for a log never published."""

    def replace(self, origin: str, old: bytes | None, new: bytes) -> None:
        """Replace ``old`` by ``new``; ``Busy`` if the present value is not ``old``."""


class ObjectStore(Protocol):
    """Content-addressed blobs (artifacts, attachments): the name is the SHA-256 of the bytes.

    Durable on return of ``put``. Streams: memory does not grow with the size of a blob.
    """

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Store a stream; ``("sha256:<hex>", bytes)``. Present already is success."""

    def open(self, digest: str) -> BinaryIO:
        """A stream of the stored bytes. The caller verifies while reading (``affidavit.core.digest``)."""

    def has(self, digest: str) -> bool:
        """Whether a blob of this name exists (its bytes are not re-hashed)."""

    def delete(self, digest: str) -> None:
        """Destroy a blob; absent is success. Only retention and erasure call this."""

    def list(self) -> Iterator[str]:
        """Every stored digest, sorted."""


class Vault(Protocol):
    """Deletable private texts with the key of their commitment (see ``core.commitment``).

    Durable on return of ``put``. Erasing destroys text and key and leaves the id marked erased.
    """

    def put(self, owner: str, field: str, text: str, key: bytes) -> tuple[str, bytes]:
        """Store under a fresh random id: ``(vault id, key)``.

        Idempotent per (owner, field): the same text gives the earlier id and *earlier key*;
        another text raises ``Invalid`` (a command id was used again for another command).
        """

    def get(self, vault_id: str) -> tuple[str, bytes] | None:
        """(text, key), or None when erased; ``NotFound`` for an id never given."""

    def erase(self, vault_id: str) -> None:
        """Overwrite and delete text and key; the id stays known as erased. Erasing twice is success."""

    def discard(self, owner: str, keep: Collection[str] = ()) -> None:
        """Forget every record of a command that was not accepted, but those whose id is in ``keep``."""

    def find(self, field: str, text: str) -> list[str]:
        """Ids of present records of ``field`` that hold exactly ``text``."""

    def all(self) -> Iterator[tuple[str, str, str, DisposalState]]:
        """(vault id, owner, field, state) of every record, sorted by id."""


class Clock(Protocol):
    """UTC time; ``kind`` is ``system`` or ``simulated`` and is written into entry 0."""

    kind: Literal["system", "simulated"]

    def now(self) -> datetime:
        """Aware UTC datetime, millisecond precision."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards; for durations and the clock-step check."""


class Signer(Protocol):
    """Signs note bodies under one key name."""

    vkey: str

    def sign(self, body: bytes) -> bytes:
        """The complete signature line (U+2014, name, base64) with its newline."""


class Notifier(Protocol):
    """Delivers a message out of the house; at least once."""

    def send(self, kind: str, body: dict[str, Any]) -> None:
        """Deliver, or ``StoreDown`` to be retried by the caller."""


class ObservedSource(Protocol):
    """A read-only extract of a system that acts (serving inventory, storage access log)."""

    name: str

    def extract(self, start: datetime, end: datetime) -> Iterable[dict[str, str]]:
        """Rows of the window, oldest first."""


Engine = Callable[[Callable[[Any], Any], Iterable[Path]], Iterator[Any]]
"""Maps a kernel over immutable segments, yielding one small aggregate per segment in order."""
