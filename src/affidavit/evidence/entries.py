"""What must hold of the entries of one of our logs, whatever their areas: checked in one pass, in log order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from affidavit.core import envelope
from affidavit.core.envelope import Cmd, Raw, Sealed
from affidavit.core.errors import AffidavitError
from affidavit.core.fields import Attachment, time_text
from affidavit.evidence import shape
from affidavit.evidence.manifest import SIMULATED
from affidavit.evidence.verdict import Notebook


@dataclass(eq=False, repr=False)
class EntryCheck:
    """Takes entries one by one; flaws go to the notebook, what later checks need stays here.

    ``watched`` are sizes whose neighbouring times are wanted: ``times[s - 1]`` and ``times[s]``.
    """

    origin: str
    book: Notebook
    watched: Collection[int] = ()
    count: int = 0
    clock: str = ""
    log_key: str = ""
    recovery_key: str = ""
    attachments: dict[str, tuple[Attachment, int]] = field(default_factory=dict)
    private: dict[int, dict[str, Sealed]] = field(default_factory=dict)
    disposed: set[str] = field(default_factory=set)
    changes: list[tuple[int, Attachment]] = field(default_factory=list)
    times: dict[int, datetime] = field(default_factory=dict)
    _seqs: dict[str, int] = field(default_factory=dict)
    _commands: set[str] = field(default_factory=set)
    _open: Cmd | None = None
    _at: datetime | None = None

    def take(self, index: int, body: bytes) -> None:
        """Check the next entry."""
        self.count = index + 1
        try:
            raw = envelope.split(body)
        except AffidavitError as e:
            self.book.flaw("entry", "", index, e.problem)
            return
        if raw.head.log != self.origin:
            self.book.flaw("entry", "", index, f"it belongs to log {raw.head.log!r}, not to {self.origin!r}")
        self._opening(index, raw)
        self._sequence(index, raw)
        self._command(index, raw.head.cmd)
        self._time(index, raw)
        if raw.head.cause is not None and not 0 <= raw.head.cause < index:
            self.book.flaw("cause", "", index, f"it names entry {raw.head.cause} as its cause, which is not earlier")
        self._keep(index, raw)

    def _opening(self, index: int, raw: Raw) -> None:
        if (index == 0) != (raw.head.tag == shape.OPENED):
            self.book.flaw("entry", "", index, f"a log opens with {shape.OPENED}, once; found {raw.head.tag}")
        if index == 0:
            self.clock = str(raw.data.get("clock"))
            self.log_key = str(raw.data.get("log_key"))
            self.recovery_key = str(raw.data.get("recovery_key"))
            if (self.clock == "simulated") != self.origin.endswith(SIMULATED):
                self.book.flaw("entry", "", 0, f"the clock is {self.clock}; the origin says otherwise")

    def _sequence(self, index: int, raw: Raw) -> None:
        stream, expected = raw.head.stream, self._seqs.get(raw.head.stream, 0)
        if raw.head.seq != expected:
            self.book.flaw("sequence", "", index, f"stream {stream} has number {raw.head.seq}, {expected} is due")
        self._seqs[stream] = raw.head.seq + 1

    def _command(self, index: int, cmd: Cmd) -> None:
        """Parts of a command follow one another, 1 to m, under one id and digest; an id is used once."""
        if self._open is not None:
            wanted = Cmd(self._open.id, self._open.digest, self._open.part + 1, self._open.of)
            if cmd != wanted:
                detail = f"command {wanted.id} ends before part {wanted.part} of {wanted.of}"
                self.book.flaw("command", "", index, detail)
        if self._open is None or cmd.id != self._open.id:
            if cmd.part != 1 or cmd.of < 1:
                self.book.flaw("command", "", index, f"command {cmd.id} begins with part {cmd.part} of {cmd.of}")
            if cmd.id in self._commands:
                self.book.flaw("command", "", index, f"command {cmd.id} occurs a second time")
            self._commands.add(cmd.id)
        self._open = cmd if cmd.part < cmd.of else None

    def _time(self, index: int, raw: Raw) -> None:
        at = raw.head.at
        if self._at is not None and at < self._at and raw.head.tag != shape.CLOCK_CORRECTED:
            detail = f"its time {time_text(at)} is before that of the entry before it, and no clock was corrected"
            self.book.flaw("time", "", index, detail)
        self._at = at
        if index in self.watched or index + 1 in self.watched:
            self.times[index] = at

    def _keep(self, index: int, raw: Raw) -> None:
        for attachment in shape.attachments(raw.data):
            known = self.attachments.setdefault(attachment.digest, (attachment, index))[0]
            if known.bytes != attachment.bytes:
                self.book.flaw("entry", "", index, f"{attachment.digest} is said to have two sizes")
        if raw.private:
            self.private[index] = raw.private
        self.disposed.update(shape.disposed_texts(raw), shape.disposed_objects(raw))
        statement = shape.statement(raw)
        if statement is not None:
            self.changes.append((index, statement))
        elif raw.head.tag in (shape.ROTATED, shape.RECOVERED):
            self.book.flaw("entry", "", index, "a key change without its signed statement")

    def finish(self) -> None:
        """What can only be said at the end: no command is left open."""
        if self._open is not None:
            left = self._open
            self.book.flaw("command", "", self.count - 1, f"command {left.id} ends at part {left.part} of {left.of}")
