"""Rows of a segment as ranges, the targets of an order, and how an order knows a decision whose id is gone. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid
from affidavit.core.fields import Count, Id, Token
from affidavit.streams.schema import Kind

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """Rows of one segment that an order destroys. ``ids`` are fingerprints of the decisions, in row order.

    A whole segment that retention destroys has no fingerprints.
    """

    stream: Id
    first_seq: Count
    last_seq: Count
    kind: Kind
    rows: tuple[tuple[int, int], ...]
    ids: tuple[Token, ...] = ()

    @property
    def count(self) -> int:
        """Number of rows."""
        return count(self.rows)


def ranges_of(indexes: Iterable[int]) -> tuple[Range, ...]:
    """Ascending ranges that hold exactly these indexes."""
    found: list[list[int]] = []
    for index in sorted(set(indexes)):
        if found and found[-1][1] == index - 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return tuple((first, last) for first, last in found)


def count(ranges: Sequence[Range]) -> int:
    """Number of rows in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def rows_of(ranges: Sequence[Range]) -> set[int]:
    """Every index of the ranges."""
    return {i for first, last in ranges for i in range(first, last + 1)}


def fingerprint(decision: bytes) -> str:
    """What stands for an id once its row is gone: its holder can test it, nobody can read the id from it."""
    return hashlib.sha256(b"affidavit/erased/v1\0" + decision).hexdigest()[:40]


def encode_targets(targets: Sequence[Target]) -> bytes:
    """The canonical attachment of an order."""
    rows = [
        {"first_seq": t.first_seq, "ids": list(t.ids), "kind": t.kind, "last_seq": t.last_seq,
         "rows": [list(r) for r in t.rows], "stream": t.stream}
        for t in sorted(targets, key=lambda t: (t.stream, t.first_seq))
    ]  # fmt: skip
    return canonical.encode({"targets": rows})


def parse_targets(body: bytes) -> list[Target]:
    """The targets of an attachment. Raises ``Invalid``."""
    value: Any = canonical.decode(body)
    if not isinstance(value, dict) or set(value) != {"targets"} or not isinstance(value["targets"], list):
        raise Invalid("the attachment is no list of targets.", next_step="restore it from a backup.")
    return [_target(row) for row in value["targets"]]


def _target(row: Any) -> Target:
    rows = row.pop("rows", None) if isinstance(row, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(r, list) and len(r) == 2 and all(type(n) is int and n >= 0 for n in r) for r in rows
    ):
        raise Invalid("a target states no rows.", next_step="restore the attachment from a backup.")
    head: _Head = codec.load_object(_Head, row, "target")
    return Target(head.stream, head.first_seq, head.last_seq, head.kind, tuple((a, b) for a, b in rows), head.ids)


@dataclass(frozen=True, slots=True)
class _Head:
    stream: Id
    first_seq: Count
    last_seq: Count
    kind: Kind
    ids: tuple[Token, ...] = ()
