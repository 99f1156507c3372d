"""Finding sealed rows: from an id to its segment, from a window to its segments. What the parts of this area share.

Everything read is checked: headers against the batch's root, a row against its leaf, a leaf against the header's root.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from affidavit.areas.decisions.erasure.standing import check_shown, erased_place
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.envelope import Record
from affidavit.core.errors import AffidavitError, NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.streams.ids import id_bytes
from affidavit.streams.schema import Schema
from affidavit.streams.sealed import SegmentSealed, batch_root, parse_headers

_RESTORE = "restore the workspace, or verify it: affidavit verify DIR."


@dataclass(frozen=True, slots=True)
class Placed:
    """A sealed segment: the entry of its batch, its place there, its header, the file that stands for it now."""

    record: Record
    position: int
    headers: tuple[SegmentSealed, ...]
    file: str

    @property
    def header(self) -> SegmentSealed:
        """The segment's own header."""
        return self.headers[self.position]


@dataclass(frozen=True, slots=True)
class Row:
    """A row found: its segment, index and leaf; salt, row bytes and values by column, None and empty when erased."""

    placed: Placed
    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    schema: Schema
    salt: bytes | None
    row: bytes | None
    values: dict[str, Any]

    @property
    def seq(self) -> int:
        """The row's number in its stream."""
        return self.placed.header.first_seq + self.index


def headers_of(desk: Desk, record: Record) -> tuple[SegmentSealed, ...]:
    """The headers of a batch, proven against its root. Raises ``Tampered`` or ``NotFound``."""
    fact = record.fact
    with desk.open(fact.headers.digest) as stream:
        headers = parse_headers(read_verified(stream, fact.headers.digest, "the headers of a batch"))
    if len(headers) != fact.segments or batch_root(headers) != fact.root:
        raise Tampered(f"entry {record.index}: the headers are not those of the batch.", next_step=_RESTORE)
    return tuple(headers)


def placed(desk: Desk, span: dict[str, Any]) -> Placed:
    """The segment of a span, as ``decisions.spans_with`` and ``decisions.spans_between`` give it."""
    record = desk.record(span["entry"])
    headers = headers_of(desk, record)
    return Placed(record, span["position"], headers, span["file"] or headers[span["position"]].file)


_KEPT: dict[tuple[str, str, int], tuple[SegmentSealed, ...]] = {}
_KEPT_BATCHES = 256
_LOCK = threading.Lock()
"""Headers proven in this process, by their digest and root: looking up many ids proves each batch once."""


def _placed_before(desk: Desk, span: dict[str, Any]) -> Placed:
    """As ``placed``; headers of the same bytes and root that were proven before are not read again."""
    record = desk.record(span["entry"])
    fact = record.fact
    key = (fact.headers.digest, fact.root, fact.segments)
    headers = _KEPT.get(key)
    if headers is None:
        headers = headers_of(desk, record)
        with _LOCK:
            while len(_KEPT) >= _KEPT_BATCHES:
                del _KEPT[next(iter(_KEPT))]
            _KEPT[key] = headers
    return Placed(record, span["position"], headers, span["file"] or headers[span["position"]].file)


def segments_between(
    desk: Desk, kind: str, start: datetime | None = None, end: datetime | None = None, deployment: str | None = None
) -> Iterator[Placed]:
    """Segments of a kind with rows in ``start <= at < end`` (None: open), oldest first, of a deployment or of all."""
    last: tuple[int, tuple[SegmentSealed, ...]] | None = None
    for span in desk.ask("decisions.spans_between", kind, start, end, deployment):
        record = desk.record(span["entry"])
        if last is None or last[0] != record.index:
            last = (record.index, headers_of(desk, record))
        header = last[1][span["position"]]
        inside = (end is None or header.t_min < end) and (start is None or header.t_max >= start)
        if inside and (deployment is None or header.deployment in (None, deployment)):
            yield Placed(record, span["position"], last[1], span["file"] or header.file)


def opened(desk: Desk, where: Placed) -> Any:
    """The stored segment, ready to be read in part (``streams.segment.Segment``). Raises ``NotFound`` if it is missing."""
    from affidavit.streams.segment import Segment

    try:
        found = Segment(desk.segment(where.file), desk.segment(where.header.tree))
    except NotFound:
        raise NotFound(
            f"segment {where.header.id} is sealed and its file {where.file} is missing.",
            next_step="restore it from a backup; `affidavit decisions verify-segments` lists what is missing.",
        ) from None
    if found.schema.digest_text != where.header.schema or found.rows != where.header.n:
        raise Tampered(f"segment {where.header.id}: the file is not the one that was sealed.", next_step=_RESTORE)
    return found


@contextmanager
def reading(where: Placed) -> Iterator[None]:
    """Whatever a damaged file makes its reader raise becomes ``Tampered`` that names the segment."""
    try:
        yield
    except Tampered as e:
        raise _damaged(where, e.problem) from None
    except AffidavitError:
        raise
    except (ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError) as e:
        raise _damaged(where, f"{type(e).__name__}: {e}") from None


def _damaged(where: Placed, problem: str) -> Tampered:
    told = problem if where.header.id in problem else f"segment {where.header.id}: {problem}"
    return Tampered(
        told, next_step=f"restore {where.file} from a backup; `affidavit decisions verify-segments` lists what differs."
    )


def find(desk: Desk, decision: str) -> Row:
    """The sealed row of a decision, verified up to its header; an erased one has no salt, row and values.

    Raises ``NotFound``, ``Invalid`` for a malformed id, ``Tampered``, ``Refused`` between an order to erase and its end.
    """
    wanted = id_bytes(decision)
    spans = desk.ask("decisions.spans_with", decision)
    for span in spans:
        where = _placed_before(desk, span)
        with reading(where):
            segment = opened(desk, where)
            index = segment.find(wanted)
            if index is not None:
                check_shown(desk, span["stream"], span["first_seq"], index)
                return row_at(where, segment, index)
    for span in spans:
        order, index = erased_place(desk, wanted, span) or (None, None)
        if index is not None:
            where = placed(desk, span)
            with reading(where):
                return row_at(where, opened(desk, where), index)
        if order is not None:
            raise NotFound(
                f"no decision {decision}; if it was in segment {span['stream']}/{span['first_seq']}, retention erased it.",
                next_step=f"affidavit decisions erasures --order {order['id']} shows that erasure.",
            )
    raise NotFound(
        f"no sealed decision {decision}.",
        next_step="check the id and the workspace; a fresh decision is found once `affidavit decisions seal` has run.",
    )


def row_at(where: Placed, segment: Any, index: int) -> Row:
    """A row of an opened segment by index, verified up to the header. Raises ``Tampered``."""
    from affidavit.streams.rows import decode_row

    found = segment.row(index)
    path = tuple(segment.path(index))
    root = bytes.fromhex(where.header.root.removeprefix("sha256:"))
    merkle.verify_inclusion(found.leaf, index, where.header.n, path, root)
    values: dict[str, Any] = {}
    if found.row is not None:
        values = dict(zip(segment.schema.names, decode_row(segment.schema, found.row), strict=True))
    return Row(where, index, found.leaf, path, segment.schema, found.salt, found.row, values)
