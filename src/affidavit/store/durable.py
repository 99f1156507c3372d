"""Writing files so that they survive power loss: temp file, fsync, rename or link, fsync of the folder.

Sources: the write rules of SQLite (``docs/atomiccommit``) and of C2SP log implementations. After a failed
fsync the kernel may have dropped the pages and still show them to readers, so nothing here is retried.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from affidavit.core.errors import AffidavitError, StoreDown

TEMP_PREFIX = ".tmp-"
POSIX = os.name == "posix"
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})


class FsyncFailed(StoreDown):
    """Written bytes could not be made durable; the store that met this writes nothing more in this process."""


def from_os(error: OSError, path: Path, doing: str) -> StoreDown:
    """The ``StoreDown`` of an operating system error, with a next step by kind."""
    if error.errno in _NO_SPACE:
        step = "free some space and retry; nothing was stored under the final name."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        step = "make the folder writable for this user."
    elif error.errno in (errno.EIO, errno.ESTALE):
        step = "check the disk, then start the process again and run `affidavit verify`."
    else:
        step = "check that the folder exists on a local file system with hard links."
    return StoreDown(f"{doing} {path} failed ({error.strerror or error}).", next_step=step)


@contextmanager
def wrapping_os(path: Path, doing: str) -> Iterator[None]:
    """Turn ``OSError`` of the block into ``StoreDown``."""
    try:
        yield
    except OSError as error:
        raise from_os(error, path, doing) from error


def _fsync(fd: int, path: Path) -> None:
    try:
        _full_sync(fd)
    except OSError as error:
        raise FsyncFailed(
            f"fsync of {path} failed ({error.strerror}): its bytes may be lost although they read back.",
            next_step="check the disk, then start the process again and run `affidavit verify`.",
        ) from error


def _full_sync(fd: int) -> None:
    """``fsync``, and on macOS ``F_FULLFSYNC``, since fsync alone leaves bytes in the drive's cache there."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # not every file system knows it
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


class Folder:
    """An open folder: its handle is held from before the write until after its own fsync, so no error is missed.

    Windows has no folder fsync: there only the file itself is flushed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with wrapping_os(path, "opening the folder"):
            self.fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _FLAGS) if POSIX else -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if POSIX:
            os.close(self.fd)

    def sync(self) -> None:
        """Make the folder's entries durable. Raises ``FsyncFailed``."""
        if POSIX:
            _fsync(self.fd, self.path)


def sync_folder(path: Path) -> None:
    """Make the entries of one folder durable."""
    with Folder(path) as folder:
        folder.sync()


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Create a folder and its missing parents; their entries are durable on return. Present is success."""
    missing = []
    step = path
    while not step.is_dir():
        missing.append(step)
        step = step.parent
    with wrapping_os(path, "creating the folder"):
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)
            sync_folder(folder.parent)


class TempFile:
    """An unnamed-to-others file in the folder it will live in: ``write``, then ``replace`` or ``link``.

    Leaving the block without either removes it. A killed process leaves a ``.tmp-…`` file, which no
    reader lists (``sweep_temps`` removes old ones).
    """

    def __init__(self, folder: Path, mode: int) -> None:
        self.folder = Folder(folder)
        self.path = folder / (TEMP_PREFIX + secrets.token_hex(12))
        self._named = True
        try:
            with wrapping_os(self.path, "creating"):
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
        except AffidavitError:
            self.folder.__exit__()
            raise
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._named:
            with contextlib.suppress(OSError):
                remove(self.path)
        self.folder.__exit__()

    def _close(self) -> None:
        if self._open:
            self._open = False
            with wrapping_os(self.path, "closing"):
                os.close(self._fd)

    def write(self, body: bytes) -> None:
        """Append all of ``body``; a short write goes on."""
        view = memoryview(body)
        with wrapping_os(self.path, "writing"):
            while view:
                view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """Make the bytes durable (not yet the name). Raises ``FsyncFailed``."""
        _fsync(self._fd, self.path)
        self._close()

    def replace(self, target: Path) -> None:
        """Atomically become ``target``, whatever was there; durable on return."""
        with wrapping_os(target, "replacing"):
            self.path.replace(target)
        self._named = False
        self.folder.sync()

    def link(self, target: Path) -> bool:
        """Become ``target`` only if nothing has that name, else False. Durable once the folder is synced."""
        with wrapping_os(target, "placing"):
            try:
                if POSIX:
                    os.link(self.path, target)
                else:
                    self.path.rename(target)  # refuses an existing target on Windows
                    self._named = False
            except FileExistsError:
                return False
            if self._named:
                self.path.unlink()
                self._named = False
        return True


def remove(path: Path) -> bool:
    """Unlink a file, a write-protected one too; False if it was absent."""
    try:
        if not POSIX:
            path.chmod(0o600)
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def durable_write(path: Path, body: bytes, *, mode: int = 0o644) -> None:
    """Replace the file ``path`` by ``body`` atomically; bytes and name survive power loss on return.

    Readers see the old bytes or the new ones, never a part. Raises ``StoreDown`` (disk full, I/O error,
    not writable: the old file is untouched); after a failed fsync ``FsyncFailed``, never retried.
    """
    with TempFile(path.parent, mode) as temp:
        temp.write(body)
        temp.sync()
        temp.replace(path)


def write_once(path: Path, body: bytes, *, mode: int = 0o444) -> bool:
    """Create the file ``path`` with ``body``; False if the name is taken. Durable on return either way.

    Raises ``StoreDown``.
    """
    with TempFile(path.parent, mode) as temp:
        temp.write(body)
        temp.sync()
        placed = temp.link(path)
        temp.folder.sync()
    return placed


def sweep_temps(folder: Path, *, before: float) -> int:
    """Remove temp files that killed processes left below ``folder``; the number removed is returned.

    ``before`` is a POSIX time in seconds: younger files may belong to a running writer and stay.
    """
    removed = 0
    with wrapping_os(folder, "sweeping"):
        for path in sorted(folder.rglob(TEMP_PREFIX + "*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < before:
                    removed += remove(path)
    return removed
