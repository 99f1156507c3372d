"""Reading a stream's write-ahead files as a sealer does: rows in order, and how and why the reading ended."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from affidavit.areas.decisions.events import GapCounted
from affidavit.core import canonical
from affidavit.core.errors import AffidavitError, Busy, Invalid, StoreDown
from affidavit.streams import wal
from affidavit.streams.ids import id_bytes
from affidavit.streams.kinds import check_spooled

QUARANTINE = "quarantine"
BASE, LOCK = "base.json", "sealer.lock"
_HEADS = wal.FRAME.size + wal.BATCH_HEAD.size
_EPOCH, _LAST_MS = datetime(1970, 1, 1, tzinfo=UTC), 253_402_300_799_999


def time_of(ms: int) -> datetime:
    """Milliseconds since 1970 as a time; a clock that ran off is held at 1970 or the end of 9999."""
    return _EPOCH + timedelta(milliseconds=min(max(ms, 0), _LAST_MS))


class Place(NamedTuple):
    """Where a frame stands: number of the file among those read, offset in it."""

    file: int
    offset: int


class Item(NamedTuple):
    """Rows of one frame: type ``wal.ROW`` (body: salt and row) or ``wal.BATCH`` (body: Arrow IPC, ``rows`` rows)."""

    kind: int
    seq: int
    rows: int
    body: Any
    place: Place


class Gap(NamedTuple):
    """A gap frame: the number of the row after it, the stream's missed requests before it, the fact it becomes."""

    before_seq: int
    missed_before: int
    fact: GapCounted


@dataclass(frozen=True, slots=True)
class Base:
    """What was consumed and may be gone: files up to a number, and the requests missed in them."""

    file: int = 0
    missed: int = 0


def stream_folders(spool: Path) -> list[Path]:
    """The folders of streams in a spool, those of the quarantine and of passports left out; oldest name first."""
    if not spool.is_dir():
        return []
    return sorted(p for p in spool.iterdir() if p.is_dir() and _is_stream(p))


def _is_stream(folder: Path) -> bool:
    try:
        id_bytes(folder.name)
    except Invalid:
        return folder.name != QUARANTINE and bool(wal.files_of(folder))
    return True


class Spooled:
    """The files of one stream. ``items`` gives its rows once, in order; the attributes then say how it ended.

    ``live``: its process still writes. ``closing``: it ended in order. ``bad``: why what follows cannot be sealed;
    ``foreign``: nothing of it belongs here. ``torn`` bytes at the end were never acknowledged, ``damaged`` ones may be.
    """

    def __init__(self, folder: Path, origin: str, start: int = 0) -> None:
        self.folder, self.base, self._start = folder, read_base(folder), start
        files, self.live = _present(folder)
        self.files = [f for f in files if int(f.stem) > self.base.file]
        self.used = [f for f in files if int(f.stem) <= self.base.file]
        self.first: wal.Opened | None = None
        self.closing: dict[str, int] | None = None
        self.bad: str | None = None
        self.foreign = False
        self.torn = self.damaged = 0
        self.missed, self.gaps = self.base.missed, list[Gap]()
        self.next_seq = 0
        self.starts: list[tuple[Path, int, int]] = []
        self._items = self._read(origin)
        self._ahead: Item | None = None
        self._ahead = next(self._items, None)

    def items(self) -> Iterator[Item]:
        """The rows of every whole frame, in order, until the end or the first frame that is bad."""
        if self._ahead is not None:
            yield self._ahead
            self._ahead = None
            yield from self._items

    def fail(self, place: Place, reason: str) -> None:
        """What stands at ``place`` and after it cannot be sealed."""
        self._items.close()
        self._ahead = None
        self._stop(place, reason)

    def consumed(self, through: int) -> Base:
        """The files no longer needed once every row below ``through`` is sealed."""
        done = self.base
        for (file, _, _), (_, start, missed) in zip(self.starts, self.starts[1:], strict=False):
            if start <= through:
                done = Base(int(file.stem), missed)
        return done

    def _read(self, origin: str) -> Generator[Item, None, None]:
        for n, file in enumerate(self.files):
            state, at = wal.Reading(), 0
            frames = wal.read_frames(file, state)
            try:
                if not self._open(n, frames, state, origin):
                    return
                offset, self.next_seq = skipped(file, state.offset, self.next_seq, self._start)
                if offset != state.offset:
                    state.offset = offset
                    frames = wal.read_frames(file, state)
                for at, kind, body in frames:
                    found = self._frame(kind, body, Place(n, at))
                    if found is not None:
                        yield found
            except StoreDown:
                raise
            except AffidavitError as e:
                self._stop(Place(n, at), e.problem)
                return
            if state.stop == "damaged" or (state.stop == "torn" and not self._unfinished(n, state.offset)):
                self._stop(Place(n, state.offset), f"{file.name} is damaged at byte {state.offset}.")
                return
            if state.stop == "torn" and not (self.live and n == len(self.files) - 1):
                self.torn += file.stat().st_size - state.offset

    def _unfinished(self, n: int, offset: int) -> bool:
        """Whether a torn end loses nothing: no frame follows it, and it is the newest file's, or the next file begins
        with the very next row.
        """
        if wal.resumes(self.files[n], offset, self.first.schema if self.first else None, self.next_seq) is not None:
            return False
        if n == len(self.files) - 1:
            return True
        return _first_seq(self.files[n + 1]) == self.next_seq

    def _stop(self, place: Place, reason: str) -> None:
        self.bad, self.torn, self.closing = reason, 0, None
        self.damaged = sum(f.stat().st_size for f in self.files[place.file :]) - place.offset

    def waiting(self) -> int:
        """Rows from ``start`` on that seem to stand in the files, by the heads of their frames alone."""
        seq = max((f[1] for f in self.starts), default=0)
        for file in self.files[max(len(self.starts) - 1, 0) :]:
            seq = skipped(file, 0, seq, 1 << 62)[1]
        return max(seq - self._start, 0)

    def _open(self, n: int, frames: Iterator[tuple[int, int, bytes]], state: wal.Reading, origin: str) -> bool:
        """Read the opening of a file; False if a process was killed before it had written it."""
        found = next(frames, None)
        if found is None:
            if state.stop == "damaged" or wal.resumes(self.files[n], 0, None, self.next_seq) is not None:
                raise Invalid("its opening is damaged.")
            if n < len(self.files) - 1:
                raise Invalid(f"{self.files[n].name} has no opening.")
            self.torn += 0 if self.live else self.files[n].stat().st_size
            return False
        _, kind, body = found
        if kind != wal.OPEN:
            raise Invalid("it does not begin with an opening.")
        opened = wal.parse_opened(body)
        if self.first is None:
            self._admit(opened, origin)
        elif not _same_stream(self.first, opened) or opened.opening.first_seq != self.next_seq:
            raise Invalid(f"{self.files[n].name} does not continue the stream at row {self.next_seq}.")
        self.starts.append((self.files[n], opened.opening.first_seq, self.missed))
        return True

    def _admit(self, opened: wal.Opened, origin: str) -> None:
        o = opened.opening
        if o.origin != origin:
            self.foreign = True
            raise Invalid(f"ids from another workspace: it was recorded for {o.origin}, this is {origin}.")
        if o.stream != self.folder.name or o.kind != opened.schema.kind:
            raise Invalid(f"the folder {self.folder.name} holds stream {o.stream} of kind {o.kind}.")
        check_spooled(opened.schema)
        serves = o.kind in ("groups", "heartbeats") or (o.kind == "decisions" and bool(opened.schema.outputs))
        if o.deployment is None and serves:  # a decision without an output is a canary of a tenant
            raise Invalid(f"a stream of {o.kind} that names no deployment.")
        self.first, self.next_seq = opened, o.first_seq

    def _frame(self, kind: int, body: bytes, place: Place) -> Item | None:
        if self.closing is not None:
            raise Invalid("there are frames after the end of the stream.")
        rest: bytes | memoryview
        if kind == wal.ROW:
            seq, count, rest = wal.ROW_HEAD.unpack_from(body)[0] if len(body) >= 72 else -1, 1, body[8:]
        elif kind == wal.BATCH:
            if len(body) < wal.BATCH_HEAD.size:
                raise Invalid("a batch frame is too short.")
            (seq, count), rest = wal.BATCH_HEAD.unpack_from(body), memoryview(body)[wal.BATCH_HEAD.size :]
        else:
            self._note(kind, body)
            return None
        if seq != self.next_seq or not count:
            raise Invalid(f"row {seq} stands where row {self.next_seq} belongs.")
        self.next_seq += count
        return Item(kind, seq, count, rest, place)

    def _note(self, kind: int, body: bytes) -> None:
        value = canonical.decode(body) if kind in (wal.GAP, wal.CLOSE) else None
        if not isinstance(value, dict):
            raise Invalid(f"a frame of type {kind} that nobody knows.")
        if kind == wal.CLOSE:
            names = ("at", "missed", "rows", "served")
            if any(type(value.get(n)) is not int for n in names) or value["rows"] != self.next_seq:
                raise Invalid(f"it states {value.get('rows')!r} rows at its end and holds {self.next_seq}.")
            self.closing = value
            return
        start, end, missed, why = (value.get(n) for n in ("start", "end", "missed", "why"))
        if type(start) is not int or type(end) is not int or type(missed) is not int or missed < 1:
            raise Invalid("a gap that is off form.")
        if why not in ("disk-full", "spool-full", "write-failed"):
            raise Invalid(f"a gap because of {why!r}.")
        fact = GapCounted(self.folder.name, time_of(start), time_of(max(start, end)), missed, why)
        self.gaps.append(Gap(self.next_seq, self.missed, fact))
        self.missed += missed


def skipped(file: Path, offset: int, seq: int, start: int) -> tuple[int, int]:
    """``(offset, row)`` of the first frame that holds row ``start`` or a later one, or states no row.

    The frames before it were checked when they were sealed: their heads alone are looked at. With ``offset`` 0 frames
    of any other type are passed over.
    """
    counting = offset == 0
    with file.open("rb") as source:
        size = source.seek(0, 2)
        if not size:
            return offset, seq
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as view:
            while offset + _HEADS <= size:
                length, _, kind = wal.FRAME.unpack_from(view, offset)
                after = offset + wal.FRAME.size + length
                first, count = wal.BATCH_HEAD.unpack_from(view, offset + wal.FRAME.size)
                rows = {wal.ROW: 1, wal.BATCH: count}.get(kind, 0)
                stated = not rows and not counting
                if stated or after > size or (rows and (first != seq or first + rows > start)):
                    break
                offset, seq = after, seq + rows
    return offset, seq


def _same_stream(one: wal.Opened, other: wal.Opened) -> bool:
    a, b = one.opening, other.opening
    return (a.origin, a.stream, a.kind, one.schema) == (b.origin, b.stream, b.kind, other.schema)


def _first_seq(file: Path) -> int | None:
    found = next(wal.read_frames(file, wal.Reading()), None)
    return wal.parse_opened(found[2]).opening.first_seq if found and found[1] == wal.OPEN else None


def _present(folder: Path) -> tuple[list[Path], bool]:
    """The files of a stream, and whether its process lives. A writer locks the next file before it lets go of one."""
    while True:
        files = wal.files_of(folder)
        if not files or wal.alive(files[-1]):
            return files, bool(files)
        if wal.files_of(folder)[-1:] == files[-1:]:
            return files, False


def read_base(folder: Path) -> Base:
    """What of a stream was consumed."""
    try:
        value = json.loads((folder / BASE).read_bytes())
        return Base(int(value["file"]), int(value["missed"]))
    except FileNotFoundError:
        return Base()
    except (ValueError, KeyError, TypeError):
        raise Invalid(f"{folder / BASE} is damaged.", next_step="restore it, or move the stream away.") from None


def consume(spooled: Spooled, base: Base) -> None:
    """Remove files whose rows and gaps are in the ledger; the sum of their gaps is kept first."""
    if base.file > spooled.base.file:
        write_durably(spooled.folder / BASE, canonical.encode({"file": base.file, "missed": base.missed}))
    for file in (*spooled.used, *spooled.files):
        if int(file.stem) <= base.file:
            file.unlink(missing_ok=True)


def quarantine(folder: Path, reason: str) -> Path:
    """Move a stream out of the way, with the reason beside it; nothing of it is dropped."""
    home = folder.parent / QUARANTINE
    home.mkdir(mode=0o700, exist_ok=True)
    target, n = home / folder.name, 1
    while target.exists():
        target, n = home / f"{folder.name}.{n}", n + 1
    write_durably(home / f"{target.name}.reason", reason.encode() + b"\n")
    folder.rename(target)
    sync_folder(folder.parent)
    return target


def remove(folder: Path) -> None:
    """Remove the folder of a stream that is sealed to its end."""
    shutil.rmtree(folder, ignore_errors=True)


def write_durably(path: Path, body: bytes) -> None:
    """Write a small file whole or not at all, on the disk on return."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as sink:
        sink.write(body)
        sink.flush()
        os.fsync(sink.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def spool_lock(spool: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Held by the one sealer of a spool, and by an erasure. Raises ``Busy`` for a second, after ``wait_s`` seconds."""
    spool.mkdir(parents=True, exist_ok=True)
    fd = os.open(spool / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait_s
        while not _locked(fd):
            if time.monotonic() >= until:
                raise Busy(f"another sealer works on {spool}.", next_step="let it finish, then send the request again.")
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
