"""Verification of what is stored: every segment read again, its rows hashed, compared with what was sealed and erased."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure.carrying import held_in
from affidavit.areas.decisions.erasure.expiring import least, overdue
from affidavit.areas.decisions.erasure.ranges import count
from affidavit.areas.decisions.erasure.scanning import every_segment, strays
from affidavit.areas.decisions.events import SegmentsVerified
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, NotFound
from affidavit.core.fields import time_text


@dataclass(slots=True)
class Tally:
    """What a run has seen so far."""

    sealed: int = 0
    segments: int = 0
    rows: int = 0
    oldest: datetime | None = None
    last_entry: int = -1
    early: int = 0
    flawed: dict[str, set[str]] = field(default_factory=dict)
    streams: set[str] = field(default_factory=set)
    unexplained: int = 0
    headers: bool = True
    flaws: list[dict[str, Any]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Segments with a flaw of a kind."""
        return len(self.flawed.get(kind, ()))

    def unread(self, span: dict[str, Any], error: AffidavitError) -> None:
        """Count a segment whose header cannot be read: nothing of it can be compared."""
        name = f"{span['stream']}/{span['first_seq']}-{span['last_seq']}"
        self.sealed, self.segments, self.headers = self.sealed + 1, self.segments + 1, False
        self.last_entry = max(self.last_entry, span["entry"])
        kind = "missing" if isinstance(error, NotFound) else "damaged"
        self.flaws.append({"detail": error.problem, "kind": kind, "row": None, "segment": name})
        self.flawed.setdefault(kind, set()).add(name)
        self.streams.add(span["stream"])


def verify_segments(request: c.VerifySegments, desk: Desk) -> tuple[c.RecordVerification | None, Any]:
    """Read, hash, compare; flaws are in the attachment of the fact, by segment and row. Nothing sealed, nothing recorded.

    While a header cannot be read, ages and strays are not compared (``compared`` in the details): the rest is.
    """
    tally = Tally()
    for where in every_segment(desk, tally.unread):
        tally.sealed += 1
        tally.last_entry = max(tally.last_entry, where.record.index)
        if request.since is None or where.header.t_max >= request.since:
            _look(desk, where, tally)
    if not tally.sealed:
        return None, {"sealed": 0, "segments": 0}
    revived = sorted(set(desk.ask("decisions.replaced_files")) & set(desk.segments()))
    tally.streams |= {r["stream"] for r in desk.ask("decisions.replacements") if r["file"] in revived}
    early, late, stray = (_early(desk), _overdue(desk), strays(desk)) if tally.headers else ([], [], [])
    details = {
        "compared": tally.headers, "early": early, "flaws": tally.flaws[:1000], "overdue": late, "revived": revived, "strays": stray,
        "since": time_text(request.since) if request.since else None,
    }  # fmt: skip
    attachment = desk.attach(canonical.encode(details), "application/json", "segment-verification")
    fact = SegmentsVerified(
        f"{desk.now:%Y-%m-%d}", tally.last_entry, tally.sealed, tally.segments, tally.rows, tally.count("damaged"), tally.count("missing"),
        tally.unexplained, len(revived), len(late), len(early), bool(desk.rules.retention), _anchored(desk, tally.last_entry),
        attachment, tally.oldest,
    )  # fmt: skip
    told = {"sealed": fact.sealed, "segments": fact.segments, "rows": fact.rows, "damaged": fact.damaged,
            "missing": fact.missing, "unexplained": fact.unexplained, **details}  # fmt: skip
    return c.RecordVerification(fact, tuple(sorted(tally.streams))), told


def _look(desk: Desk, where: Placed, tally: Tally) -> None:
    from affidavit.streams.stored import examine

    header = where.header
    erased = desk.ask("decisions.erased_ranges", header.stream, header.first_seq)
    tally.segments += 1
    tally.rows += header.n
    if count(erased) < header.n and (tally.oldest is None or header.t_min < tally.oldest):
        tally.oldest = header.t_min
    for flaw in examine(header, where.file, desk.segment, erased):
        tally.flaws.append({"detail": flaw.detail, "kind": flaw.kind, "row": flaw.row, "segment": header.id})
        tally.flawed.setdefault(flaw.kind, set()).add(header.id)
        tally.streams.add(header.stream)
        tally.unexplained += flaw.kind == "unexplained"


def _overdue(desk: Desk) -> list[str]:
    """Segments kept beyond the age of their class that no hold covers."""
    active = desk.ask("decisions.holds_active")
    return [w.header.id for w, target in overdue(desk) if not held_in(desk, w, active, target.rows)]


def _early(desk: Desk) -> list[str]:
    """Segments that retention destroyed before the minimum age of their class."""
    retention = {o["id"] for o in desk.ask("decisions.erasures") if o["basis"] == "retention"}
    found = []
    for row in desk.ask("decisions.replacements"):
        if row["order_id"] not in retention:
            continue
        where = _place(desk, row["stream"], row["first_seq"])
        if desk.record(row["entry"]).head.at < where.header.t_max + least(desk, where.header.kind):
            found.append(where.header.id)
    return found


def _place(desk: Desk, stream: str, first_seq: int) -> Placed:
    return sealed_rows.placed(desk, desk.ask("decisions.span", stream, first_seq))


def _anchored(desk: Desk, entry: int) -> bool:
    """Whether a time stamp from outside stands over a checkpoint that covers the newest seal."""
    try:
        return bool(desk.proof_of(entry)[2])
    except NotFound:
        return False
