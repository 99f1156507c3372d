"""The desk that work outside a transaction sits at: verified bytes in, attachments, segments and stream rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from affidavit.core.area import Who
from affidavit.core.commitment import KEY_BYTES
from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import Attachment
from affidavit.core.rules import Rules
from affidavit.ledger.notes import sign_note
from affidavit.ledger.proofs import make_receipt
from affidavit.ledger.reader import TileReader
from affidavit.service.executor import Executor
from affidavit.service.publisher import open_head
from affidavit.service.readings import Reading
from affidavit.streams.kinds import FIXED


class ServiceDesk:
    """The ``Desk`` a measure or a streamed request works at. ``local`` says whether paths of this machine may be read."""

    def __init__(self, executor: Executor, who: Who, *, local: bool) -> None:
        self._executor, self.local = executor, local
        self._stores = executor.stores
        self.who = who
        self.now: datetime = self._stores.clock.now()
        with self._stores.entries.read() as tx:
            self.rules: Rules = Reading(tx, executor.catalog, executor.book).rules()
        self.rows_written = 0
        self.held = ExitStack()

    def ask(self, name: str, *args: Any) -> Any:
        with self._stores.entries.read() as tx:
            return Reading(tx, self._executor.catalog, self._executor.book).ask(name, *args)

    def path(self, path: str) -> Path:
        """The local file or folder of a ``LocalPath`` field. Raises ``Invalid`` over HTTP, ``NotFound``."""
        if not self.local:
            raise Invalid(f"{path!r} is a path; the server reads no paths.", next_step="upload it and give its digest.")
        found = Path(path)
        if not found.exists():
            raise NotFound(f"no file or folder {path}.", next_step="check the path.")
        return found

    def source(self, path: str) -> BinaryIO:
        if path.startswith("sha256:"):
            return self.open(path)
        try:
            return self.path(path).open("rb")
        except OSError as e:
            raise Invalid(
                f"{path} cannot be read: {e.strerror}.", next_step="check the path and its permissions."
            ) from None

    def open(self, digest: str) -> BinaryIO:
        return self._stores.objects.open(digest)

    def put(self, source: BinaryIO) -> tuple[str, int]:
        return self._stores.objects.put(source)

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        digest, size = self._stores.objects.put(BytesIO(body))
        return Attachment(digest, size, type_, kind)

    def sign(self, body: bytes) -> bytes:
        return sign_note(body, self._stores.artifact_signer)

    def key(self) -> bytes:
        return self._stores.random(KEY_BYTES)

    def elapsed_ms(self, since: float | None = None) -> float:
        reading = self._stores.clock.monotonic_s() * 1000
        return reading if since is None else reading - since

    def vault_text(self, vault_id: str) -> str | None:
        found = self._stores.vault.get(vault_id)
        return found[0] if found else None

    # ------------------------------------------------------------ segments and streams

    @property
    def origin(self) -> str:
        return self._stores.origin

    @property
    def spool(self) -> Path:
        return self._stores.spool

    def segment(self, digest: str) -> BinaryIO:
        return self._stores.segments.open(digest)

    def keep_segment(self, file: Path) -> tuple[str, int]:
        adopt = getattr(self._stores.segments, "adopt", None)
        if adopt is not None and (kept := adopt(file)) is not None:
            return kept  # type: ignore[no-any-return]
        with file.open("rb") as source:
            return self._stores.segments.put(source)

    def hold(self, context: AbstractContextManager[Any]) -> None:
        self.held.enter_context(context)

    @property
    def kernels(self) -> tuple[Any, ...]:
        return self._executor.catalog.kernels

    def drop_segment(self, digest: str) -> None:
        self._stores.segments.delete(digest)

    def segments(self) -> Iterator[str]:
        return self._stores.segments.list()

    def record(self, index: int) -> Record:
        if not 0 <= index < self._stores.entries.size():
            raise NotFound(f"no entry {index}.", next_step="give a smaller index.")
        return self._executor.record(index)

    def proof_of(self, index: int) -> tuple[bytes, bytes, tuple[bytes, ...]]:
        stores = self._stores
        note = stores.head.fetch(stores.origin)
        head = open_head(stores, note).checkpoint if note else None
        if note is None or head is None or not 0 <= index < head.size:
            raise NotFound(f"entry {index} is not published.", next_step="`affidavit log publish`, then ask again.")
        receipt = make_receipt(TileReader(stores.tiles.get, head.size), index, note).encode()
        return next(iter(stores.entries.entries(index, index + 1))), receipt, tuple(stores.stamps(head.size))

    def group_key(self, decision: bytes) -> bytes:
        return self._stores.join(decision)

    def row(self, kind: str, **values: Any) -> None:
        schema = FIXED[kind]
        if unknown := set(values) - set(schema.names):
            raise Invalid(f"{kind} has no column {min(unknown)}.", next_step=f"columns: {', '.join(schema.names)}.")
        self._executor.streams.append(kind, [values.get(name) for name in schema.names])
        self.rows_written += 1
