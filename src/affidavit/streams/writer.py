"""Writing a stream's write-ahead file: one frame a call, durable as the policy says, safe from any thread.

What ``append`` has returned survives the death of the process; it survives a power cut once it was fsynced (each row
if ``fsync_ms`` is 0). A fork must not write through its parent's writer: see ``owned``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from affidavit import __version__
from affidavit.core import canonical
from affidavit.core.errors import Busy, Invalid, StoreDown
from affidavit.streams import wal
from affidavit.streams.ids import stream_id
from affidavit.streams.passport import Policy
from affidavit.streams.rows import SALT_BYTES, Value, encode_row
from affidavit.streams.schema import Schema

RECORDER = f"affidavit/{__version__}"


def boot_id() -> str:
    """An id of this host's present boot, digested: it names the host without telling its name."""
    try:
        seed = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        seed = f"{socket.gethostname()}"
    return hashlib.sha256(f"boot\0{seed}".encode()).hexdigest()


class StreamWriter:
    """The one writer of a stream. ``given`` are further fields of the opening (deployment, configuration, key)."""

    def __init__(
        self, spool: Path, schema: Schema, origin: str, *, policy: Policy | None = None,
        attested: dict[str, Any] | None = None, **given: Any,
    ) -> None:  # fmt: skip
        self.spool, self.schema, self.policy = Path(spool), schema, policy or Policy(fsync_ms=0)
        self.pid, nonce, boot = os.getpid(), secrets.token_bytes(16), boot_id()
        self.stream = stream_id(boot, self.pid, nonce, schema.kind)
        opening = wal.Opening(
            wal.FORMAT, origin, self.stream, schema.kind, boot, self.pid, nonce.hex(), RECORDER,
            int(time.time() * 1000), 1, 0, **given,
        )  # fmt: skip
        self._opened = wal.Opened(opening, schema, attested or {})
        self.seq = self.served = self.missed = 0
        self._fd = -1
        self._size = self._file = 0
        self._dirty = False
        self._lock = threading.Lock()
        self.folder = self.spool / self.stream
        self._next_file()

    @property
    def owned(self) -> bool:
        """Whether this process opened it; a child of a fork opens a stream of its own."""
        return self.pid == os.getpid()

    def append(self, values: Sequence[Value]) -> int:
        """Write one row; its number in the stream is returned. Raises ``Invalid``, or ``StoreDown`` when disk or spool is full."""
        row = encode_row(self.schema, values)
        with self._lock:
            self._check_open()
            self.write(wal.frame(wal.ROW, wal.row_body(self.seq, secrets.token_bytes(SALT_BYTES), row)))
            self.seq += 1
            self.served += 1
            return self.seq - 1

    def write(self, frame: bytes) -> None:
        """Write one whole frame, or nothing: a part is cut off again. The caller holds the lock."""
        if self._size + len(frame) > wal.FILE_BYTES and self._size > wal.FRAME.size:
            self._next_file()
        try:
            done = os.write(self._fd, frame)
        except OSError as e:
            raise StoreDown(f"{self.folder}: {e.strerror}.", next_step="free space, or seal the spool.") from None
        if done < len(frame):
            os.ftruncate(self._fd, self._size)
            raise StoreDown(f"{self.folder}: {os.strerror(errno.ENOSPC)}.", next_step="free space, or seal the spool.")
        self._size += done
        if self.policy.fsync_ms == 0:
            os.fdatasync(self._fd)
        else:
            self._dirty = True

    def sync(self) -> None:
        """Bring everything written so far to the disk."""
        if self._dirty and self._fd >= 0:
            self._dirty = False
            os.fdatasync(self._fd)

    def close(self) -> None:
        """End the stream in order. Idempotent; a child of a fork only lets go of the file."""
        with self._lock:
            if self._fd < 0:
                return
            if self.owned:
                body = {"at": int(time.time() * 1000), "missed": self.missed, "rows": self.seq, "served": self.served}
                self.write(wal.frame(wal.CLOSE, canonical.encode(body)))
                os.fdatasync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _check_open(self) -> None:
        if self._fd < 0:
            raise Invalid("the stream is closed.", next_step="open a new recorder.")
        if not self.owned:
            raise Invalid("this stream belongs to the parent process.", next_step="open a recorder after the fork.")

    def _next_file(self) -> None:
        """Begin the next file. The lock on the new one is taken before that on the old one is let go."""
        number = self._file + 1
        opened = replace(self._opened, opening=replace(self._opened.opening, file=number, first_seq=self.seq))
        path = self.folder / f"{number:06d}{wal.SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            body = wal.frame(wal.OPEN, opened.encode())
            if os.write(fd, body) != len(body):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(fd)
            _sync_folder(self.folder)
            _sync_folder(self.spool)
        except FileExistsError:
            raise Busy(f"{path} is there already.", next_step="open a new recorder.") from None
        except OSError as e:
            raise StoreDown(f"{path}: {e.strerror}.", next_step="free space, or check the spool's rights.") from None
        if self._fd >= 0:
            os.fdatasync(self._fd)
            os.close(self._fd)
        self._fd, self._file, self._size = fd, number, len(body)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
