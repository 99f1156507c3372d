"""A stored segment against its header. Needs numpy and pyarrow.

It is checked whole: the file's digest first (a file that is not the recorded one is not parsed), then every present
row against its leaf, the leaves against the root, the tiles against the leaves, absent rows against what the log says
was erased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from affidavit.core import digest as digests
from affidavit.core.errors import AffidavitError, NotFound, Tampered
from affidavit.streams.columnar import hash_leaves, leaf_entries
from affidavit.streams.sealed import SegmentSealed
from affidavit.streams.segment import GROUP_ROWS, Segment, fixed_bytes, root_of, tiles_of

Range = tuple[int, int]
"""First and last row of a segment by index, both included."""
FlawKind = Literal["missing", "damaged", "unexplained"]
MOST_ROWS = 100
"""Most rows that are named one by one in a segment."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a stored segment: its file or tiles, or a row whose payload is gone without an entry, or there in spite of one."""

    kind: FlawKind
    detail: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its first row, its leaves end to end, which rows are present, the table of those alone."""

    start: int
    leaves: bytes
    present: list[bool]
    table: Any


def examine(
    header: SegmentSealed, file: str, open_file: Callable[[str], BinaryIO], erased: Sequence[Range] = ()
) -> list[Flaw]:
    """Every flaw of a segment whose file is ``file`` now; ``erased`` are the rows that entries say were destroyed.

    Memory: one row group and the leaves. Errors of the store become flaws, so that one does not hide another.
    """
    flaws: list[Flaw] = []
    try:
        with open_file(file) as source:
            leaves = _rows(header, file, source, erased, flaws)
    except NotFound:
        return [Flaw("missing", f"its file {file} is not stored")]
    except AffidavitError as e:
        return [Flaw("damaged", e.problem)]
    if "sha256:" + root_of(leaves).hex() != header.root:
        flaws.append(Flaw("damaged", "its leaves do not hash to the sealed root"))
    return flaws + _tree(header, leaves, open_file)


def checked(source: BinaryIO, expected: str, name: str) -> BinaryIO:
    """The stream, at its beginning, once all its bytes were those of the digest. Raises ``Tampered``."""
    for _ in digests.verified_chunks(source, expected, name):
        pass
    source.seek(0)
    return source


def _rows(header: SegmentSealed, file: str, source: BinaryIO, erased: Sequence[Range], flaws: list[Flaw]) -> bytes:
    segment = Segment(checked(source, file, f"segment {header.id}"))
    if segment.rows != header.n or segment.schema.digest_text != header.schema:
        raise Tampered(f"segment {header.id}: the file has other rows or columns.", next_step="restore it.")
    leaves: list[bytes] = []
    explained = {row for first, last in erased for row in range(first, min(last, header.n - 1) + 1)}
    for group in groups_of(segment):
        leaves.append(group.leaves)
        fresh, kept = leaves_of(segment, group.table), 0
        for i, there in enumerate(group.present):
            row = group.start + i
            if there:
                if row in explained:
                    _note(flaws, Flaw("damaged", f"row {row} is there, and an entry says that it was destroyed", row))
                if fresh[32 * kept : 32 * kept + 32] != group.leaves[32 * i : 32 * i + 32]:
                    _note(flaws, Flaw("damaged", f"row {row} does not hash to its leaf", row))
                kept += 1
            elif row not in explained:
                _note(flaws, Flaw("unexplained", f"the payload of row {row} is gone and no entry says so", row))
    return b"".join(leaves)


def _note(flaws: list[Flaw], flaw: Flaw) -> None:
    if len(flaws) < MOST_ROWS:
        flaws.append(flaw)


def groups_of(segment: Segment) -> Iterator[Group]:
    """The row groups in order. Raises ``Tampered`` for a row that lost its leaf, or its salt and not its payload."""
    for number in range(segment.groups):
        table = segment.table(groups=[number])
        salt = table.column("salt").combine_chunks()
        gone = table.filter(salt.is_null())
        if any(gone.column(name).null_count != gone.num_rows for name in gone.column_names if name != "leaf"):
            raise Tampered("a row without salt still has its payload.", next_step="restore the segment from a backup.")
        present = salt.is_valid()
        leaves = fixed_bytes(table.column("leaf"))
        yield Group(number * GROUP_ROWS, leaves, present.to_pylist(), table.filter(present))


def leaves_of(segment: Segment, table: Any) -> bytes:
    """The leaf hashes of present rows, computed anew from salt and values."""
    if not table.num_rows:
        return b""
    salts = fixed_bytes(table.column("salt"))
    return hash_leaves(*leaf_entries(segment.schema, salts, table.drop_columns(["salt", "leaf"])))


def _tree(header: SegmentSealed, leaves: bytes, open_file: Callable[[str], BinaryIO]) -> list[Flaw]:
    try:
        with open_file(header.tree) as source:
            body = digests.read_verified(source, header.tree, f"the tiles of segment {header.id}")
    except NotFound:
        return [Flaw("missing", f"its tiles {header.tree} are not stored")]
    except AffidavitError as e:
        return [Flaw("damaged", e.problem)]
    return [] if body == tiles_of(leaves) else [Flaw("damaged", "its tiles are not those of its leaves")]
