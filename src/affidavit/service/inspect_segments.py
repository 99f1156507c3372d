"""``verify`` of a workspace's segments: each sealed one is stored as it was sealed, or as an entry says it was erased.

Read from the entries alone, not from the read tables: headers from the attachments of the batches, the file that
stands now and the rows destroyed from the erasing entries, in log order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from affidavit.areas.decisions.events import BatchSealed, ErasureOrdered, RowsErased
from affidavit.core import canonical, envelope
from affidavit.core import digest as digests
from affidavit.core.errors import AffidavitError
from affidavit.service.workspace import Workspace
from affidavit.streams.sealed import SegmentSealed, batch_root, parse_headers

if TYPE_CHECKING:
    from affidavit.service.inspection import Inspection

Place = tuple[str, int]
TAGS = {envelope.tag_of(cls) for cls in (BatchSealed, ErasureOrdered, RowsErased)}


@dataclass(slots=True)
class Standing:
    """A sealed segment as the log has it now: its header, the file that stands, the rows destroyed, its last entry."""

    header: SegmentSealed
    file: str
    entry: int
    erased: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """What the entries tell: segments by place, files replaced, rows ordered by order and place."""

    segments: dict[Place, Standing] = field(default_factory=dict)
    replaced: dict[str, int] = field(default_factory=dict)
    ordered: dict[str, dict[Place, list[list[int]]]] = field(default_factory=dict)


def inspect_segments(workspace: Workspace, found: Inspection) -> None:
    """Add every flaw of the stored segments: ``missing``, ``damaged``, ``revived``, and entries that do not fit."""
    told = _told(workspace, found)
    stored = set(workspace.stores.segments.list())
    named = {f for s in told.segments.values() for f in (s.file, s.header.tree)} | set(told.replaced)
    for digest in sorted(stored & set(told.replaced)):
        said = f"entry {told.replaced[digest]} replaced it when it erased rows, and it is there"
        found.flaw("revived", f"segments/{digest}", told.replaced[digest], said)
    if extra := sorted(stored - named):
        found.notes.append(f"{len(extra)} stored segment files are named by no entry, first {extra[0]}")
    if told.segments:
        _examine(workspace, found, told)
    found.counts["segments"] = len(told.segments)


def _examine(workspace: Workspace, found: Inspection, told: Told) -> None:
    try:
        from affidavit.streams.stored import examine
    except ImportError:
        found.notes.append("segments were not read: that needs pyarrow (pip install 'affidavit[analytics]')")
        return
    for standing in told.segments.values():
        header = standing.header
        for flaw in examine(header, standing.file, workspace.stores.segments.open, standing.erased):
            kind = "missing" if flaw.kind == "unexplained" else flaw.kind
            found.flaw(kind, f"segments/{header.id}", standing.entry, flaw.detail)


def _told(workspace: Workspace, found: Inspection) -> Told:
    told, entries = Told(), workspace.stores.entries
    take: dict[type, Callable[[Workspace, Inspection, Told, int, Any], None]] = {
        BatchSealed: _batch, ErasureOrdered: _order, RowsErased: _erased
    }  # fmt: skip
    for index, body in enumerate(entries.entries(0, entries.size())):
        try:
            if canonical.parse_plain(body)["tag"] not in TAGS:
                continue
            fact = envelope.decode(index, body).fact
            take[type(fact)](workspace, found, told, index, fact)
        except (AffidavitError, KeyError, TypeError) as e:
            problem = e.problem if isinstance(e, AffidavitError) else f"the entry is off form: {e}"
            found.flaw("unreadable", "ledger.db", index, problem)
    return told


def _read(workspace: Workspace, digest: str, name: str) -> bytes:
    with workspace.stores.objects.open(digest) as source:
        return digests.read_verified(source, digest, name)


def _batch(workspace: Workspace, found: Inspection, told: Told, index: int, fact: BatchSealed) -> None:
    headers = parse_headers(_read(workspace, fact.headers.digest, "the headers of a batch"))
    if len(headers) != fact.segments or batch_root(headers) != fact.root:
        found.flaw("batch", f"objects/{fact.headers.digest}", index, "the headers do not hash to the batch's root")
        return
    for header in headers:
        place = (header.stream, header.first_seq)
        if place in told.segments:
            found.flaw("batch", f"segments/{header.id}", index, f"entry {told.segments[place].entry} sealed it before")
            continue
        told.segments[place] = Standing(header, header.file, index)


def _order(workspace: Workspace, found: Inspection, told: Told, index: int, fact: ErasureOrdered) -> None:
    value: Any = canonical.decode(_read(workspace, fact.targets.digest, "the targets of an erasure"))
    told.ordered[fact.order] = {(t["stream"], t["first_seq"]): t["rows"] for t in value["targets"]}


def _erased(workspace: Workspace, found: Inspection, told: Told, index: int, fact: RowsErased) -> None:
    """It continues the file that stood, keeps the root, and destroys no row that its order does not name."""
    place, path = (fact.stream, fact.first_seq), f"segments/{fact.stream}/{fact.first_seq}-{fact.last_seq}"
    standing = told.segments.get(place)
    if standing is None or (standing.header.last_seq, standing.header.root) != (fact.last_seq, fact.root):
        found.flaw("erasure", path, index, "it names no segment that was sealed")
        return
    if standing.file not in (fact.file_before, fact.file):
        found.flaw("erasure", path, index, f"it replaces {fact.file_before}, and {standing.file} stood there")
    named = told.ordered.get(fact.order, {}).get(place, [])
    if not all(any(first <= r.first and r.last <= last for first, last in named) for r in fact.rows):
        found.flaw("erasure", path, index, f"order {fact.order} does not name these rows")
    standing.file, standing.entry = fact.file, index
    standing.erased += [(r.first, r.last) for r in fact.rows]
    told.replaced[fact.file_before] = index
