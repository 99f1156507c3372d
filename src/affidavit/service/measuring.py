"""Measures: slow work outside any transaction, ending in one command that records what was found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from affidavit.core.area import Measure, Who
from affidavit.core.commitment import KEY_BYTES
from affidavit.core.errors import AffidavitError, Invalid, NotFound, Refused
from affidavit.core.fields import Attachment
from affidavit.core.rules import Rules
from affidavit.ledger.notes import sign_note
from affidavit.service.executor import Executor
from affidavit.service.readings import Reading
from affidavit.service.sealing import check_command_id, new_id, seal


class ServiceDesk:
    """The ``Desk`` a measure works at. ``local`` says whether paths of this machine may be read."""

    def __init__(self, executor: Executor, who: Who, *, local: bool) -> None:
        self._executor, self.local = executor, local
        self._stores = executor.stores
        self.who = who
        self.now: datetime = self._stores.clock.now()
        with self._stores.entries.read() as tx:
            self.rules: Rules = Reading(tx, executor.catalog, executor.book).rules()

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


def measure(
    executor: Executor, request: Measure, who: Who, *, local: bool = True, command_id: str | None = None, **options: Any
) -> Any:
    """Check the permission, do the work, execute the command it ends in.

    The permission is looked up before the work, and again by ``execute``. A command id that was
    accepted before gives the earlier record without doing the work again.
    """
    executor.authorise(request, who)
    stores, name = executor.stores, executor.catalog.name_of(type(request))
    command_id = check_command_id(command_id or new_id(stores, stores.clock.now()))
    sealed = seal(stores, name, request, command_id)
    earlier = executor.find(name, sealed, command_id, who)
    if earlier is not None:
        return earlier
    try:
        found = executor.catalog.measure_of(type(request))(sealed.command, ServiceDesk(executor, who, local=local))
    except BaseException as e:
        with suppress(AffidavitError):
            executor.discard(command_id)
        if isinstance(e, Refused):
            executor.refuse(name, sealed, command_id, who, e)
        raise
    command, result = found if isinstance(found, tuple) else (found, None)
    done = executor.execute(command, who, command_id=command_id, digest=sealed.digest, **options)
    if isinstance(result, AffidavitError):
        raise result
    return done if result is None else replace(done, result=result)
