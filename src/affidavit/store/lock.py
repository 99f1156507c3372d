"""A lock between processes: an advisory lock on a file, waited for with a timeout."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from affidavit.core.errors import Busy, StoreDown

_FIRST_NAP_S = 0.0005
_LONGEST_NAP_S = 0.01


def _try_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_UN)


class FileLock:
    """Held by one process at a time; the operating system releases it when the process dies.

    The file is opened anew for each turn, so a forked child never shares a turn that it did not take.
    Not re-entrant and not a lock between threads: its owner keeps a thread lock around it.
    """

    def __init__(self, path: Path, mode: int = 0o666) -> None:
        self.path = path
        self._mode = mode
        self._fd: int | None = None

    def acquire(self, timeout_s: float) -> None:
        """Take the lock within ``timeout_s`` seconds (0 tries once).

        Raises ``Busy`` when another process keeps it, ``StoreDown`` when the lock file cannot be opened.
        """
        deadline, nap_s = time.monotonic() + timeout_s, _FIRST_NAP_S
        fd: int | None = None
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), self._mode)
            while not _try_lock(fd):
                if time.monotonic() >= deadline:
                    raise Busy(
                        f"another process has held {self.path.name} for {timeout_s:g} s.",
                        next_step="retry; if it stays, look for a stuck affidavit process.",
                    )
                time.sleep(nap_s)
                nap_s = min(nap_s * 2, _LONGEST_NAP_S)
            self._fd, fd = fd, None
        except OSError as error:
            raise StoreDown(
                f"the lock file {self.path} cannot be used ({error.strerror}).",
                next_step="make the folder writable for this user and free some space.",
            ) from error
        finally:
            if fd is not None:
                os.close(fd)

    def release(self) -> None:
        """Give the lock back; without a turn nothing happens."""
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                _unlock(fd)
            finally:
                os.close(fd)

    def abandon(self) -> None:
        """In a forked child: close the inherited handle without unlocking the parent's turn."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
