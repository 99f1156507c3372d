"""Whatever ``sqlite3`` raises, in the words of the one error tree, with what to do next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affidavit.core.errors import AffidavitError, Busy, StoreDown, Tampered

FOREIGN = (sqlite3.Error, sqlite3.Warning, OverflowError, TypeError, ValueError)
"""What the ``sqlite3`` module raises: its own tree, and three builtins for values it cannot bind."""

_BUSY, _LOCKED = 5, 6
_NOMEM, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 7, 8, 10, 11, 13, 14, 26
_FSYNC_FAILED = frozenset({1034, 1290})
"""SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC."""

_NEEDS_A_WRITER = frozenset({_READONLY, _CANTOPEN})
_BREAKS_THE_TRANSACTION = frozenset({_NOMEM, _IOERR, _CORRUPT, _FULL, _NOTADB})

_STEPS = {
    _READONLY: ("is read-only", "make the file and its folder writable for this user."),
    _IOERR: (
        "met an I/O error",
        "check the disk, then start the process again; `affidavit verify` tells what is whole.",
    ),
    _FULL: ("has no space left on its disk", "free some space and retry; nothing of the transaction was kept."),
    _CANTOPEN: ("cannot be opened", "check that the folder exists and that this user may read and write it."),
    _NOMEM: ("ran out of memory", "give the process more memory and retry."),
}


def _code(error: BaseException) -> int:
    """The extended result code, 0 when there is none."""
    found = getattr(error, "sqlite_errorcode", 0)
    return found if isinstance(found, int) else 0


def fsync_failed(error: BaseException) -> bool:
    """Whether the kernel refused to make written pages durable: they may be lost although they read back."""
    return _code(error) in _FSYNC_FAILED


def needs_a_writer(error: BaseException) -> bool:
    """Whether a read-only connection met a crashed transaction that only a writing one may roll back."""
    return _code(error) & 0xFF in _NEEDS_A_WRITER


def breaks_the_transaction(error: BaseException) -> bool:
    """Whether nothing of the running transaction may be committed after this error."""
    return _code(error) & 0xFF in _BREAKS_THE_TRANSACTION


def translated(error: BaseException, path: Path | str, doing: str) -> AffidavitError:
    """``Busy`` for locks, ``Tampered`` for a damaged file, ``StoreDown`` for all else.

    ``doing`` completes "… while <doing>". The text never holds statement arguments: they may be private.
    """
    code = _code(error) & 0xFF
    name = Path(path).name
    if code in (_BUSY, _LOCKED):
        return Busy(f"{name} stayed locked while {doing}.", next_step="retry; the same command id is safe.")
    if code in (_CORRUPT, _NOTADB):
        return Tampered(
            f"{name} is damaged ({error}), found while {doing}.",
            next_step="keep the file as evidence, restore it from a backup and run `affidavit verify`.",
        )
    if code in _STEPS:
        what, step = _STEPS[code]
        return StoreDown(f"{name} {what} ({error}), found while {doing}.", next_step=step)
    return StoreDown(
        f"{name} refused a statement ({type(error).__name__}: {error}) while {doing}.",
        next_step="report this as a bug of the product; nothing was recorded.",
    )


@contextmanager
def wrapping(path: Path | str, doing: str) -> Iterator[None]:
    """Turn every foreign error of the block into the error tree; our own errors pass."""
    try:
        yield
    except FOREIGN as error:
        raise translated(error, path, doing) from error
