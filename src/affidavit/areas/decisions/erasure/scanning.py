"""What the stored files hold: their leaves computed anew, and which files no header names. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError
from affidavit.streams.sealed import SegmentSealed


def present(source: BinaryIO) -> Iterator[bytes]:
    """The leaf of every row that is there with salt and payload, computed from them. Raises ``Tampered``."""
    from affidavit.streams.segment import Segment
    from affidavit.streams.stored import groups_of, leaves_of

    segment = Segment(source)
    for group in groups_of(segment):
        fresh = leaves_of(segment, group.table)
        yield from (fresh[n : n + 32] for n in range(0, len(fresh), 32))


def every_segment(
    desk: Desk, unread: Callable[[dict[str, Any], AffidavitError], None] | None = None
) -> Iterator[Placed]:
    """Every segment that is sealed at this moment, oldest first.

    ``unread`` is told of each whose header cannot be read, and it is passed over. Raises ``Tampered`` or ``NotFound``
    where nobody is to be told.
    """
    last: tuple[int, tuple[SegmentSealed, ...]] | None = None
    for span in desk.ask("decisions.spans_sealed"):
        try:
            record = desk.record(span["entry"])
            if last is None or last[0] != record.index:
                last = (record.index, sealed_rows.headers_of(desk, record))
        except AffidavitError as e:
            if unread is None:
                raise
            unread(span, e)
            continue
        yield Placed(record, span["position"], last[1], span["file"] or last[1][span["position"]].file)


def strays(desk: Desk) -> list[str]:
    """Stored files that are neither a segment's present file nor its tiles, nor one that an erasure replaced."""
    named: set[str] = set(desk.ask("decisions.replaced_files"))
    for where in every_segment(desk):
        named |= {where.file, where.header.tree}
    return [digest for digest in desk.segments() if digest not in named]
