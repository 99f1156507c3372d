"""Sealing: from write-ahead files to segments and one command. A crash at any point leaves each row sealed once.

A segment's rows are chosen for good on the sealer's disk (``cuts``), uploaded byte for byte, and named by a command
that the ledger admits only if it continues the stream. Files go once that command stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.record import commands as c
from affidavit.areas.decisions.record import spool
from affidavit.areas.decisions.record.cuts import OUT, Cut, cuts_of
from affidavit.areas.decisions.record.spool import Place, Spooled, time_of
from affidavit.core import canonical, codec
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, StoreDown
from affidavit.streams.ids import Minter, id_bytes, id_text
from affidavit.streams.sealed import BATCH_SEGMENTS, SEGMENT_ROWS, Source, batch_root, encode_headers, span_of

ENDS = 64
"""Streams that one command opens, and that it ends."""
LOOKED_BACK = 8
"""Segments of a stream in which an id that does not ascend is looked for."""
SPAN_BYTES = 6800
"""What the spans of a batch, their kinds, sources and references may take of an entry of 8 KiB."""


@dataclass(slots=True)
class Work:
    """A stream at hand: its files, what the ledger knows of it, the next row to be sealed."""

    spooled: Spooled
    known: dict[str, Any] | None
    next_seq: int

    @property
    def name(self) -> str:
        """The stream's id."""
        return self.spooled.folder.name

    @property
    def deployment(self) -> str | None:
        """The deployment it serves; None for the service's own streams."""
        first = self.spooled.first
        found: str | None = first.opening.deployment if first else (self.known or {}).get("deployment")
        return found


@dataclass(slots=True)
class Sealing:
    """One batch being put together."""

    desk: Desk
    everything: bool
    interval: timedelta
    cuts: list[Cut] = field(default_factory=list)
    taken: list[Source] = field(default_factory=list)
    opened: list[e.StreamOpened] = field(default_factory=list)
    closed: list[e.StreamClosed] = field(default_factory=list)
    lost: list[e.StreamLost] = field(default_factory=list)
    gaps: list[e.GapCounted] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    more: bool = False
    _bytes: int = 0
    _streams: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether no further stream is begun in this command."""
        return len(self.cuts) >= BATCH_SEGMENTS or max(len(self.opened), len(self.closed) + len(self.lost)) >= ENDS

    def admit(self, cut: Cut, sources: tuple[Source, ...] = ()) -> bool:
        """Upload a cut and take it into the batch; False if the entry would grow too large: the next one takes it."""
        h = cut.header
        size = len(canonical.encode(codec.dump_object(span_of(h)))) + len(h.kind) + 4
        size += sum(len(canonical.encode(codec.dump_object(s))) + 1 for s in sources)
        size += 0 if h.stream in self._streams else len(h.stream) + 12
        if len(self.cuts) >= BATCH_SEGMENTS or (self.cuts and self._bytes + size > SPAN_BYTES):
            self.more = True
            return False
        cut.keep(self.desk)
        self._bytes += size
        self._streams.add(h.stream)
        self.cuts.append(cut)
        self.taken += sources
        self.after.append(cut.remove)
        return True

    def conclude(self, work: Work, through: int, *, whole: bool) -> None:
        """Say what the ledger is told of a stream beside its rows: that it opened, its gaps below ``through``, its end.

        ``whole``: every row that can be read is in the ledger with this command.
        """
        spooled = work.spooled
        first = spooled.first
        if first is not None and first.opening.deployment and (work.known is None or work.known["pid"] is None):
            self.opened.append(_opening(spooled, self.desk))
        if work.deployment:
            counted = work.known["missed"] if work.known and work.known["pid"] is not None else 0
            for gap in spooled.gaps:
                if gap.before_seq <= through and gap.missed_before >= counted:
                    self.gaps.append(gap.fact)
                    self.counted.append(gap.missed_before)
        if whole and spooled.closing is not None:
            value = spooled.closing
            if work.deployment:
                closed = e.StreamClosed(
                    work.name, time_of(value["at"]), value["rows"], max(value["served"], 0), max(value["missed"], 0)
                )
                self.closed.append(closed)
            self.after.append(lambda: spool.remove(spooled.folder))
        elif whole and not spooled.live:
            self._lose(work, through)
        else:
            if spooled.bad is not None:
                self.held[work.name] = spooled.bad
            base = spooled.consumed(through)
            self.after.append(lambda: spool.consume(spooled, base))

    def _lose(self, work: Work, through: int) -> None:
        spooled, bad = work.spooled, work.spooled.bad
        if work.deployment or spooled.damaged:
            seen = max((f.stat().st_mtime for f in spooled.files), default=0.0)
            seen_at = min(time_of(int(seen * 1000)), self.desk.now)
            self.lost.append(e.StreamLost(
                work.name, seen_at, through, through + spooled.missed, spooled.missed, spooled.torn, spooled.damaged,
            ))  # fmt: skip
        if bad is None:
            self.after.append(lambda: spool.remove(spooled.folder))
        else:
            self.quarantined[work.name] = bad
            self.after.append(lambda: spool.quarantine(spooled.folder, bad))

    def set_aside(self, work: Work, reason: str) -> None:
        """A stream of which nothing belongs into the ledger is moved away, once no process writes to it."""
        if work.spooled.live:
            self.held[work.name] = reason
        else:
            spool.quarantine(work.spooled.folder, reason)
            self.quarantined[work.name] = reason

    def finish(self) -> None:
        """What the ledger now holds leaves the spool. A fault here is mended by the next seal."""
        for step in self.after:
            try:
                step()
            except OSError as e_:
                self.unreadable["after sealing"] = str(e_)

    def command(self, sealer: str) -> c.RecordBatch | None:
        """The command that records the batch; None if there is nothing to record."""
        if not (self.cuts or self.opened or self.closed or self.lost or self.gaps):
            return None
        headers = [cut.header for cut in self.cuts]
        aggregates = {h.id: dict(cut.aggregates) for h, cut in zip(headers, self.cuts, strict=True) if cut.aggregates}
        batch = id_text(Minter().mint(int(self.desk.now.timestamp() * 1000), self.desk.key()[:8]))
        attach = self.desk.attach
        return c.RecordBatch(
            batch, sealer, sum(h.n for h in headers), min((h.t_min for h in headers), default=None),
            max((h.t_max for h in headers), default=None), batch_root(headers) if headers else None,
            attach(encode_headers(headers), "application/json", "segments") if headers else None,
            tuple(span_of(h) for h in headers), tuple(h.kind for h in headers), tuple(self.opened), tuple(self.closed),
            tuple(self.lost), tuple(self.gaps), tuple(self.taken),
            attach(canonical.encode(aggregates), "application/json", "aggregates") if aggregates else None,
            tuple(self.counted),
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        """What was done, for the caller. ``more``: seal again, there is work left."""
        found: dict[str, Any] = {
            "segments": len(self.cuts), "rows": sum(cut.header.n for cut in self.cuts), "opened": len(self.opened),
            "closed": len(self.closed), "lost": len(self.lost), "groups_waiting": self.waiting, "more": self.more,
        }  # fmt: skip
        for name in ("quarantined", "held", "unreadable"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        return found


def seal(request: c.Seal, desk: Desk) -> tuple[c.RecordBatch | None, Any]:
    """Up to 32 segments of the spool, and what its streams say of themselves; the result says whether there is more."""
    from affidavit.areas.decisions.record.grouping import seal_groups

    desk.hold(spool.spool_lock(desk.spool))
    sealing = Sealing(desk, request.everything, timedelta(seconds=request.interval_s))
    groups: list[Work] = []
    for folder in spool.stream_folders(desk.spool):
        if sealing.full:
            sealing.more = True
            break
        try:
            work = _begin(folder, sealing)
            if work is None:
                continue
            if work.spooled.first is not None and work.spooled.first.opening.kind == "groups":
                groups.append(work)
            else:
                _stream(work, sealing)
        except AffidavitError as error:
            sealing.unreadable[folder.name] = error.problem
        except OSError as error:
            raise _down(folder, error) from None
    try:
        seal_groups(groups, sealing)
    except OSError as error:
        raise _down(desk.spool, error) from None
    command = sealing.command(request.sealer)
    if command is None:
        sealing.finish()
        return None, sealing.result()
    desk.hold(_finished(sealing))
    return command, sealing.result()


def _down(folder: Path, error: OSError) -> StoreDown:
    """A disk that takes nothing more: the batch is given up, the next seal finds all as it was."""
    return StoreDown(f"{folder}: {error.strerror}.", next_step="free space, then seal again.")


@contextmanager
def _finished(sealing: Sealing) -> Iterator[None]:
    yield  # an error of the command leaves everything where it is
    sealing.finish()


def _begin(folder: Path, sealing: Sealing) -> Work | None:
    """A stream with something to seal or to say; None if it was dealt with, or says nothing yet."""
    desk = sealing.desk
    known = desk.ask("decisions.stream", folder.name)
    next_seq = known["next_seq"] if known else 0
    spooled = Spooled(folder, desk.origin, next_seq)
    work = Work(spooled, known, next_seq)
    if known is not None and known["state"] in ("closed", "lost"):
        _after_end(work, sealing)
        return None
    if spooled.foreign or (spooled.first is None and spooled.bad is not None):
        sealing.set_aside(work, spooled.bad or "it cannot be read.")
        return None
    if spooled.first is None:
        if not (spooled.files or spooled.used) or spooled.live:
            return None
        if known is None:  # killed before its opening stood: nothing was acknowledged
            spool.remove(folder)
            return None
    elif spooled.first.opening.first_seq > work.next_seq:
        missing = f"rows {work.next_seq} to {spooled.first.opening.first_seq - 1} are missing from the spool."
        spooled.fail(Place(0, 0), missing)
    return work


def _after_end(work: Work, sealing: Sealing) -> None:
    """Files of a stream that the ledger says has ended: a crash left them, or rows came after the end."""
    spooled = work.spooled
    beyond = any(item.seq + item.rows > work.next_seq for item in spooled.items())
    if spooled.bad or beyond:
        sealing.set_aside(work, spooled.bad or f"there are rows after the end of the stream, from {work.next_seq} on.")
    elif not spooled.live:
        spool.remove(spooled.folder)


def _stream(work: Work, sealing: Sealing) -> None:
    """Cuts that wait, then new ones, until the stream or the batch is full."""
    from affidavit.areas.decisions.record.cutting import cut_stream, groups

    spooled, desk = work.spooled, sealing.desk
    waiting = cuts_of(spooled.folder, work.next_seq, desk)
    through = work.next_seq
    for cut in waiting:
        if not sealing.admit(cut):
            break
        through = cut.header.last_seq + 1

    start = waiting[-1].header.last_seq + 1 if waiting else through
    source = groups(spooled, start, _before(work, desk)) if spooled.first is not None else iter(())
    whole = through == start
    while whole and not sealing.full:
        if not _ripe(work, through, sealing):
            whole = False
            break
        made = cut_stream(spooled, source, through, desk.now, desk.kernels)
        if made is None:
            break
        whole = sealing.admit(made)
        through = made.header.last_seq + 1 if whole else through
    if sealing.full and next(source, None) is not None:
        whole, sealing.more = False, True
    sealing.conclude(work, through, whole=whole)


def _ripe(work: Work, through: int, sealing: Sealing) -> bool:
    """Whether a running stream has a full segment, or its rows wait for as long as they may."""
    spooled = work.spooled
    if sealing.everything or not spooled.live or spooled.closing is not None or spooled.bad is not None:
        return True
    home, first = spooled.folder / OUT, spooled.first
    opened_s = first.opening.opened_ms / 1000 if first else 0.0
    waited_s = time.time() - (home.stat().st_mtime if home.exists() else opened_s)
    rows = work.next_seq + spooled.waiting() - through
    return rows >= SEGMENT_ROWS or (rows > 0 and waited_s >= sealing.interval.total_seconds())


def _before(work: Work, desk: Desk) -> Any:
    """The ids of the stream that were sealed last: one that comes again is a fault of its writer."""
    from affidavit.areas.decisions.record.cutting import Before

    highest = desk.ask("decisions.last_id", work.name)
    if highest is None:
        return None

    @cache
    def columns() -> list[Any]:
        spans = desk.ask("decisions.last_spans", work.name, LOOKED_BACK)
        segments = (sealed_rows.opened(desk, sealed_rows.placed(desk, span)) for span in spans)
        return [segment.table(["id"]).column(0).combine_chunks() for segment in segments]

    return Before(id_bytes(highest), columns)


def _opening(spooled: Spooled, desk: Desk) -> e.StreamOpened:
    first = spooled.first
    assert first is not None  # noqa: S101 - the caller's branch
    o, attach = first.opening, desk.attach
    return e.StreamOpened(
        o.stream, first.schema.kind, time_of(o.opened_ms), f"sha256:{o.boot}", o.pid, o.recorder, first.schema.digest_text,
        attach(first.schema.encode(), "application/json", "schema"), o.deployment, o.model, o.number, o.env, o.artifact,
        o.configuration, attach(canonical.encode(first.attested), "application/json", "configuration"), o.key,
    )  # fmt: skip
