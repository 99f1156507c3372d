"""The key files of a workspace: which log key is in force, and the end of a change that a crash interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from affidavit.areas.catalog import Catalog
from affidavit.core.errors import Busy, Invalid, NotFound, StoreDown, Tampered
from affidavit.core.ports import Signer
from affidavit.ledger.keys import parse_vkey
from affidavit.service.key_change import conclude
from affidavit.service.key_line import KeyLine, key_line
from affidavit.service.stores import Stores
from affidavit.store.durable import durable_write, sync_folder, wrapping_os
from affidavit.store.lock import FileLock
from affidavit.store.signer import FileSigner, LostSigner

VKEY = "log.vkey"
PRESENT, NEXT = "log.key", "log-next.key"


def lock_of(path: Path) -> Callable[[float], contextlib.AbstractContextManager[None]]:
    """A lock between processes and threads: each turn opens the file anew."""

    @contextlib.contextmanager
    def turn(timeout_s: float) -> Iterator[None]:
        lock = FileLock(path)
        lock.acquire(timeout_s)
        try:
            yield
        finally:
            lock.release()

    return turn


def read_log_vkey(root: Path) -> str:
    """The verifier key in ``log.vkey``. Raises ``NotFound``, ``StoreDown``, or ``Tampered`` for a file that holds none."""
    file = root / VKEY
    try:
        text = file.read_bytes()[:4096].decode("ascii").strip()
    except FileNotFoundError:
        raise NotFound(f"{file} is missing.", next_step="restore it, or give the log key with --vkey.") from None
    except OSError as e:
        raise StoreDown(f"{file} cannot be read: {e.strerror}.", next_step="check its rights.") from None
    except UnicodeDecodeError:
        raise Tampered(f"{file} holds no verifier key.", next_step="restore it from a backup.") from None
    with contextlib.suppress(Invalid):
        return parse_vkey(text).vkey
    raise Tampered(f"{file} holds no verifier key.", next_step="restore it from a backup.")


def file_signer(root: Path, origin: str, name: str) -> FileSigner | None:
    """The signer of a key file, None if there is none."""
    try:
        return FileSigner(origin, root / "keys" / name)
    except NotFound:
        return None


def installer(root: Path, signer: Signer, origin: str) -> Callable[[], None]:
    """The step that puts the next log key into the place of the present one; it can be repeated.

    The old key is not kept, its public half is.
    """
    keys = root / "keys"

    def install() -> None:
        fresh = file_signer(root, origin, NEXT)
        present = file_signer(root, origin, PRESENT)
        if fresh is not None and fresh.vkey == signer.vkey:
            _keep_public_half(root, signer.vkey)
            with wrapping_os(keys / PRESENT, "installing"):
                (keys / NEXT).replace(keys / PRESENT)
            sync_folder(keys)
        elif present is None or present.vkey != signer.vkey:
            raise Busy(
                "the new log key is in nobody's place: another process changed the key.", next_step="open again, retry."
            )
        durable_write(root / VKEY, (signer.vkey + "\n").encode())

    return install


def _keep_public_half(root: Path, new: str) -> None:
    keys = root / "keys"
    with contextlib.suppress(NotFound, Tampered):
        old = read_log_vkey(root)
        kept = sorted(keys.glob("log-old-*.vkey"))
        if old != new and not any(k.read_bytes().strip() == old.encode() for k in kept):
            durable_write(keys / f"log-old-{len(kept) + 1}.vkey", (old + "\n").encode())


def with_log_key(root: Path, stores: Stores, known: Catalog) -> Stores:
    """The stores with the signer in force: what the entries say is brought together with the key files.

    A change that an entry names is finished, a missing or older ``log.vkey`` is written. Raises ``Tampered``
    if a key file or ``log.vkey`` holds a key that the entries do not lead to.
    """
    mended = _settled(root, stores, known, mend=False)
    if mended is None:
        with stores.key_lock(10.0):
            mended = _settled(root, stores, known, mend=True)
    assert mended is not None  # noqa: S101 - with mend it always settles or raises
    return mended


def _settled(root: Path, stores: Stores, known: Catalog, *, mend: bool) -> Stores | None:
    """The settled stores; None if something has to be mended first and ``mend`` does not allow it."""
    line = key_line(stores, known)
    shown = ""
    with contextlib.suppress(NotFound):
        shown = read_log_vkey(root)
    present = file_signer(root, stores.origin, PRESENT)
    fresh = file_signer(root, stores.origin, NEXT)
    pending = fresh is not None and fresh.vkey == line.last
    if pending and stores.head.fetch(stores.origin) is None:  # moved here: the change ends once the head is adopted
        return replace(stores, log_signer=LostSigner(line.last), earlier_vkeys=line.vkeys[:-1])
    strange = present is not None and present.vkey not in line.vkeys
    if (pending or strange or shown != line.last) and not mend:
        return None  # perhaps another process changes the key right now: look again under the lock
    _refuse_foreign(root, line, shown, present)
    if pending and fresh is not None:
        trusting = replace(stores, log_signer=fresh, earlier_vkeys=line.vkeys[:-1], present_vkey=None)
        others = [present] if present is not None and line.rotated_from(present.vkey) else []
        conclude(trusting, fresh, installer(root, fresh, stores.origin), *others)
        present = fresh
    elif shown != line.last:
        durable_write(root / VKEY, (line.last + "\n").encode())
    in_force = present is not None and present.vkey == line.last
    signer: Signer = present if in_force and present is not None else LostSigner(line.last)
    return replace(stores, log_signer=signer, earlier_vkeys=line.vkeys[:-1])


def _refuse_foreign(root: Path, line: KeyLine, shown: str, present: Signer | None) -> None:
    if shown and shown not in line.vkeys:
        raise Tampered(
            f"{root / VKEY} names {shown}; the entries of the log lead to {line.last}.",
            next_step="keep everything as it is, find out who changed it, and restore the file.",
        )
    if present is not None and present.vkey not in line.vkeys:
        raise Tampered(
            f"{root / 'keys' / PRESENT} holds {present.vkey}; the entries of the log lead to {line.last}.",
            next_step="restore the key file, or remove it and `affidavit log recover-key`.",
        )
