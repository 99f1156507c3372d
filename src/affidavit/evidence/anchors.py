"""Timestamps of a package: which checkpoints an authority saw, and whether entries claim times that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from affidavit.core.errors import AffidavitError, Invalid
from affidavit.core.fields import time_text
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.verdict import Notebook
from affidavit.ledger.checkpoint import Checkpoint

TOLERANCE = timedelta(minutes=5)
"""How far an entry's own time may lie on the wrong side of a timestamp: clocks differ, requests take time."""


def check_timestamps(
    book: Notebook,
    stamps: Mapping[int, bytes],
    roots: Sequence[bytes],
    origin: str,
    size: int,
    entries: EntryCheck,
    root_of: Callable[[int], bytes],
) -> bool:
    """Verify every timestamp against the log's own tree at its size; whether one covers the whole log.

    ``stamps`` are answers by log size. Without ``roots`` nothing is verified and a note says so.
    """
    if not roots:
        if stamps:
            book.notes.append(f"{len(stamps)} timestamps not verified: no root of an authority was given")
        return False
    from affidavit.ledger.timestamps import verify_timestamp

    reach = 0
    for stamped, answer in sorted(stamps.items()):
        path = f"timestamps/{stamped}.tsr"
        try:
            if not 0 < stamped <= size:
                raise Invalid(f"size {stamped} is not of this log.", next_step="ask for the package again.")
            at = verify_timestamp(Checkpoint(origin, stamped, root_of(stamped)).body(), answer, roots).at
        except AffidavitError as e:
            book.flaw("timestamp", path, None, e.problem)
            if "pip install" in e.next_step:
                break
            continue
        reach = stamped
        if entries.clock != "simulated":
            _check_times(book, path, stamped, at, entries)
    if reach < size:
        book.notes.append(f"timestamps cover {reach} of {size} entries: the rest is not anchored")
    return reach == size


def _check_times(book: Notebook, path: str, stamped: int, at: datetime, entries: EntryCheck) -> None:
    """The last entry below a stamped size is not later than the stamp, the first one above not earlier."""
    before, after = entries.times.get(stamped - 1), entries.times.get(stamped)
    if before is not None and before > at + TOLERANCE:
        detail = f"it says {time_text(before)}, but {path} shows that it existed at {time_text(at)}"
        book.flaw("time", path, stamped - 1, detail)
    if after is not None and after < at - TOLERANCE:
        detail = f"it says {time_text(after)}, but {path} of {time_text(at)} does not cover it: back-dated"
        book.flaw("time", path, stamped, detail)
