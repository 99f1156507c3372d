"""Writing a stream's write-ahead file: one frame a call, durable as the policy says, safe from any thread.

What ``append`` has returned survives the death of the process; it survives a power cut once it was fsynced (each row
if ``fsync_ms`` is 0, else when ``sync`` was called). A fork must not write through its parent's writer: see ``owned``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from affidavit import __version__
from affidavit.core import canonical
from affidavit.core.errors import Busy, Invalid, StoreDown
from affidavit.streams import wal
from affidavit.streams.ids import stream_id
from affidavit.streams.passport import Policy
from affidavit.streams.rows import SALT_BYTES, Value, encode_row
from affidavit.streams.schema import Schema

RECORDER = f"affidavit/{__version__}"
Why = Literal["disk-full", "spool-full", "write-failed"]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOOK = -1
"""A bound that every frame exceeds: look closer before the next one."""


def boot_id() -> str:
    """An id of this host's present boot, digested: it names the host without telling its name."""
    try:
        seed = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        seed = f"{socket.gethostname()}"
    return hashlib.sha256(f"boot\0{seed}".encode()).hexdigest()


class Unwritten(StoreDown):
    """A frame was not written, and nothing of it is left: ``why`` as a gap states it."""

    def __init__(self, why: Why, problem: str, next_step: str) -> None:
        super().__init__(problem, next_step=next_step)
        self.why = why


_OPEN: dict[int, weakref.ref[StreamWriter]] = {}


def _forget_parents() -> None:
    """In the child of a fork: close what was inherited, so that the parent's locks end with the parent."""
    for found in list(_OPEN.values()):
        if (writer := found()) is not None:
            writer.abandon()


os.register_at_fork(after_in_child=_forget_parents)


def now_ms() -> int:
    """Milliseconds since 1970 of this machine's clock."""
    return int(time.time() * 1000)


class Gap:
    """Requests that were served and not recorded: between which times, how many, why. One per reason in a row."""

    __slots__ = ("end", "missed", "start", "why")

    def __init__(self, at_ms: int, missed: int, why: Why) -> None:
        self.start = self.end = at_ms
        self.missed, self.why = missed, why

    def frame(self, now_ms: int) -> bytes:
        """The gap as a whole frame."""
        body = {"at": now_ms, "end": self.end, "missed": self.missed, "start": self.start, "why": self.why}
        return wal.frame(wal.GAP, canonical.encode(body))


class StreamWriter:
    """The one writer of a stream. ``given`` are further fields of the opening (deployment, configuration, key); ``clock``
    gives milliseconds since 1970 (simulations have their own).

    Raises ``StoreDown`` (as ``Unwritten``) if the spool cannot be written.
    """

    _fd = -1
    _retired: tuple[int, ...] = ()

    def __init__(
        self, spool: Path, schema: Schema, origin: str, *, policy: Policy | None = None,
        attested: dict[str, Any] | None = None, clock: Callable[[], int] = now_ms, **given: Any,
    ) -> None:  # fmt: skip
        self._clock = clock
        self.spool, self.schema, self.policy = Path(spool), schema, policy or Policy(fsync_ms=0)
        self.pid, nonce, boot = os.getpid(), secrets.token_bytes(16), boot_id()
        self.stream = stream_id(boot, self.pid, nonce, schema.kind)
        opening = wal.Opening(
            wal.FORMAT, origin, self.stream, schema.kind, boot, self.pid, nonce.hex(), RECORDER,
            self._clock(), 1, 0, **given,
        )  # fmt: skip
        self._opened = wal.Opened(opening, schema, attested or {})
        self._durable = self.policy.fsync_ms == 0
        # Bytes and rows in one value: an exception thrown by a signal handler finds both changed, or neither.
        self._mark = (0, 0)
        self._bound = LOOK
        self._broken = False
        self._gaps: list[Gap] = []
        self.missed = 0
        self._file, self._synced, self._first_seq = 0, 0, 0
        self._lock, self._sync_lock = threading.Lock(), threading.Lock()
        self.folder = self.spool / self.stream
        _OPEN[id(self)] = weakref.ref(self)
        self._next_file()

    @property
    def owned(self) -> bool:
        """Whether this process opened it; a child of a fork opens a stream of its own."""
        return self.pid == os.getpid()

    @property
    def seq(self) -> int:
        """Rows written: the number of the next one."""
        return self._mark[1]

    @property
    def served(self) -> int:
        """Requests the process answered: those recorded and those missed by policy."""
        return self._mark[1] + self.missed

    def append(self, values: Sequence[Value]) -> int:
        """Write one row; its number in the stream is returned. Raises ``Invalid``, or ``StoreDown`` when disk or spool is full."""
        return self.append_row(encode_row(self.schema, values))

    def append_row(self, row: bytes) -> int:
        """Write one encoded row; its number in the stream. Raises as ``append``."""
        with self._lock:
            self._check_open()
            seq = self._mark[1]
            frame = wal.frame(wal.ROW, wal.row_body(seq, secrets.token_bytes(SALT_BYTES), row))
            self._write(1, frame, len(frame))
            return seq

    def append_batch(self, count: int, body: Any) -> int:
        """Write ``count`` rows as one frame (Arrow IPC stream with salts); the number of the first. Raises as ``append``."""
        with self._lock:
            self._check_open()
            return self._write_batch(count, body)

    def _write_batch(self, count: int, body: Any) -> int:
        seq = self._mark[1]
        parts = wal.batch_parts(seq, count, body)
        self._write(count, parts, sum(map(len, parts)))
        return seq

    def _write(self, rows: int, frame: bytes | tuple[Any, ...], length: int) -> None:
        """Write one whole frame that carries so many rows, or nothing: a part is cut off again. The caller holds the lock."""
        if self._mark[0] + length > self._bound:
            self._make_room(length)
            if self._gaps:
                self._write_after_gaps(rows, frame, length)
                return
        bound, self._bound = self._bound, LOOK  # an interrupt from here on is settled by the next call
        size, seq = self._mark
        try:
            done = os.write(self._fd, frame) if isinstance(frame, bytes) else os.writev(self._fd, frame)
        except OSError as e:
            raise self._down(e) from None
        if done < length:
            raise self._cut_off()
        if self._durable:
            self._sync_row()
        self._mark = (size + length, seq + rows)
        self._bound = bound

    def _cut_off(self) -> Unwritten:
        """The error of a frame of which a part was written: the part is taken back."""
        self._settle()
        return self._down(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _write_after_gaps(self, rows: int, frame: bytes | tuple[Any, ...], length: int) -> None:
        """Write what was missed and the frame in one call: on a full disk gaps alone would eat up what is left."""
        gaps, self._gaps = self._gaps, []
        stated = [g.frame(self._clock()) for g in gaps]
        try:
            parts = frame if isinstance(frame, tuple) else (frame,)
            self._write(rows, (*stated, *parts), length + sum(map(len, stated)))
        except BaseException:
            self._gaps = gaps
            raise

    def _sync_row(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as e:
            self._settle()
            self._broken = True  # what the kernel could not write it forgets: nothing more goes into this file
            raise self._down(e) from None

    def _settle(self) -> None:
        """Cut off what a write left behind that was never acknowledged."""
        try:
            if os.fstat(self._fd).st_size > self._mark[0]:
                os.ftruncate(self._fd, self._mark[0])
        except OSError:
            self._broken = True

    def _make_room(self, length: int) -> None:
        """Admit a frame of so many bytes: end an interrupted write, state gaps, begin the next file, keep the bound."""
        if self._fd < 0:
            self._check_open()
        self._settle()
        left = self.policy.spool_bytes - self._spooled()
        if left < length:
            says = f"{self.folder} holds the {self.policy.spool_bytes} bytes that may wait unsealed."
            raise Unwritten("spool-full", says, "seal the spool: affidavit decisions seal.")
        if self._broken or (self._mark[0] + length > wal.FILE_BYTES and self._mark[1] > self._first_seq):
            self._next_file()
        # Below the file bound a frame that is longer than a file still fits an empty one.
        self._bound = min(max(wal.FILE_BYTES, self._mark[0] + length), self._mark[0] + left)

    def _spooled(self) -> int:
        """Bytes of this stream that wait to be sealed: files that the sealer took away no longer count."""
        total = 0
        with os.scandir(self.folder) as found:
            for entry in found:
                try:
                    total += entry.stat().st_size if entry.name.endswith(wal.SUFFIX) else 0
                except FileNotFoundError:
                    continue
        return total

    def miss(self, at_ms: int, why: Why, count: int = 1) -> None:
        """Count requests that are served and not recorded; stated in the file as soon as there is room."""
        with self._lock:
            self.missed += count
            self._bound = LOOK
            if self._gaps and self._gaps[-1].why == why:
                gap = self._gaps[-1]
                gap.start, gap.end, gap.missed = min(gap.start, at_ms), max(gap.end, at_ms), gap.missed + count
            else:
                self._gaps.append(Gap(at_ms, count, why))

    def state_gaps(self) -> None:
        """Write what was missed so far, whatever the bound says. Raises ``StoreDown`` when there is no room yet."""
        with self._lock:
            if self._gaps and self._fd >= 0:
                self._settle()
                if self._broken:
                    self._next_file()
                self._write_gaps()

    def _write_gaps(self) -> None:
        while self._gaps:
            frame, (size, seq) = self._gaps[0].frame(self._clock()), self._mark
            try:
                _write_all(self._fd, frame)
            except OSError as e:
                self._settle()
                raise self._down(e) from None
            self._mark = (size + len(frame), seq)
            del self._gaps[0]

    def _down(self, error: OSError) -> Unwritten:
        why: Why = "disk-full" if error.errno in _FULL else "write-failed"
        return Unwritten(why, f"{self.folder}: {error.strerror}.", "free space, or seal the spool.")

    def sync(self) -> None:
        """Bring everything written so far to the disk; callers of ``append`` are not held up. Raises ``StoreDown``."""
        with self._sync_lock:
            size = self._mark[0]
            try:
                while self._retired:
                    fd = self._retired[0]
                    os.fdatasync(fd)
                    with self._lock:
                        self._retired = self._retired[1:]
                    os.close(fd)
                if size != self._synced and self._fd >= 0:
                    os.fdatasync(self._fd)
                    self._synced = size
            except OSError as e:
                with self._lock:
                    self._broken, self._bound = True, LOOK
                raise self._down(e) from None

    def close(self) -> None:
        """End the stream in order. Idempotent; a child of a fork only lets go of the file.

        Raises ``StoreDown`` when gaps and end cannot be written; the stream is then lost from its last row on.
        """
        if not self.owned:
            return self.abandon()
        with self._sync_lock, self._lock:
            if self._fd < 0:
                return None
            try:
                self._settle()
                if self._broken:
                    self._next_file()
                self._write_gaps()
                body = {"at": self._clock(), "missed": self.missed, "rows": self.seq, "served": self.served}
                frame = wal.frame(wal.CLOSE, canonical.encode(body))
                _write_all(self._fd, frame)
                for fd in (*self._retired, self._fd):
                    os.fdatasync(fd)
            except OSError as e:
                self._settle()
                raise self._down(e) from None
            finally:
                self._let_go()
        return None

    def abandon(self) -> None:
        """Let go of the file without a word: what a child does with its parent's. Takes no lock a fork may have frozen."""
        self._let_go()

    def _let_go(self) -> None:
        _OPEN.pop(id(self), None)
        fds, self._fd, self._retired = (*self._retired, self._fd), -1, ()
        self._bound = LOOK
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def __del__(self) -> None:
        self._let_go()

    def _check_open(self) -> None:
        if self._fd < 0:
            raise Invalid("the stream is closed.", next_step="open a new recorder.")
        if not self.owned:
            raise Invalid("this stream belongs to the parent process.", next_step="open a recorder after the fork.")

    def _next_file(self) -> None:
        """Begin the next file. The lock on the new one is taken before that on the old one is let go."""
        number, seq = self._file + 1, self._mark[1]
        opened = replace(self._opened, opening=replace(self._opened.opening, file=number, first_seq=seq))
        path = self.folder / f"{number:06d}{wal.SUFFIX}"
        body = wal.frame(wal.OPEN, opened.encode())
        fd = -1
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(fd, body)
            if self._durable or number == 1:
                os.fdatasync(fd)
            _sync_folder(self.folder)
            _sync_folder(self.spool)
        except FileExistsError:
            raise Busy(f"{path} is there already.", next_step="open a new recorder.") from None
        except OSError as e:
            _drop(fd, path)
            if number == 1:
                with contextlib.suppress(OSError):
                    self.folder.rmdir()
            raise self._down(e) from None
        if self._fd >= 0 and (self._durable or self._broken):
            os.close(self._fd)
        elif self._fd >= 0:
            self._retired = (*self._retired, self._fd)
        self._broken, self._synced, self._first_seq = False, 0, seq
        self._fd, self._file, self._mark = fd, number, (len(body), seq)


def _write_all(fd: int, frame: bytes) -> None:
    """Write a frame by one call; a part of it is a full disk."""
    if os.write(fd, frame) < len(frame):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _drop(fd: int, path: Path) -> None:
    """Take a file back that could not be begun."""
    if fd >= 0:
        os.close(fd)
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
