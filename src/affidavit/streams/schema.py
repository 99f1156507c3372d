"""The typed columns of a stream, and the digest that every row begins with. [bytes]

A schema lists columns of fixed width first, then those of variable length, each group in the order given.
So the fixed part of a row stands at a fixed place, and rows of a table encode column by column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from affidavit.core import canonical
from affidavit.core.errors import Invalid

Kind = Literal["decisions", "groups", "outcomes", "explanations", "actions", "reads", "heartbeats"]
ColumnType = Literal["bool", "i64", "f64", "time", "id", "digest", "str", "bytes"]

WIDTH: dict[str, int] = {"bool": 1, "i64": 8, "f64": 8, "time": 8, "id": 16, "digest": 32}
"""Bytes of a value of fixed width; ``str`` and ``bytes`` have a u32 length before them."""

TAG: dict[str, int] = {"bool": 1, "i64": 2, "f64": 3, "time": 4, "id": 5, "digest": 6, "str": 7, "bytes": 8}
"""The byte before a value that is there; null is 0."""

MAX_COLUMNS = 4096
MAX_NAME = 160


@dataclass(frozen=True, slots=True)
class Column:
    """A named column. Names of a model's inputs begin ``in.``, of its outputs ``out``."""

    name: str
    type: ColumnType

    def __post_init__(self) -> None:
        if self.type not in TAG:
            raise Invalid(f"column {self.name!r}: no type {self.type!r}.", next_step=f"types: {', '.join(TAG)}.")
        if not self.name or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise Invalid(
                f"{self.name[:40]!r} is no column name.", next_step=f"use 1 to {MAX_NAME} printable characters."
            )

    @property
    def fixed(self) -> bool:
        """Whether every value takes the same number of bytes."""
        return self.type in WIDTH


@dataclass(frozen=True)
class Schema:
    """The columns of a stream, in row order. Build one with ``Schema.of``; two orders never share a digest."""

    kind: Kind
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise Invalid(f"no stream kind {self.kind!r}.", next_step=f"kinds: {', '.join(get_args(Kind))}.")
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise Invalid(f"the column {twice!r} stands twice.", next_step="rename one of them.")
        if not 0 < len(names) <= MAX_COLUMNS:
            raise Invalid(f"{len(names)} columns; 1 to {MAX_COLUMNS} are allowed.", next_step="leave some out.")
        widths = [c.fixed for c in self.columns]
        if widths != sorted(widths, reverse=True):
            raise Invalid("columns of fixed width come first.", next_step="build it with Schema.of.")

    @classmethod
    def of(cls, kind: Kind, columns: Iterable[Column]) -> Schema:
        """A schema with the columns in row order: fixed width first, otherwise as given."""
        given = tuple(columns)
        return cls(kind, tuple(c for c in given if c.fixed) + tuple(c for c in given if not c.fixed))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: what each row begins with."""
        return hashlib.sha256(self.encode()).digest()

    @property
    def digest_text(self) -> str:
        """``sha256:`` and the digest in hexadecimal."""
        return "sha256:" + self.digest.hex()

    @cached_property
    def fixed(self) -> tuple[Column, ...]:
        """The columns of fixed width."""
        return tuple(c for c in self.columns if c.fixed)

    @cached_property
    def variable(self) -> tuple[Column, ...]:
        """The columns of variable length."""
        return tuple(c for c in self.columns if not c.fixed)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in row order."""
        return tuple(c.name for c in self.columns)

    @cached_property
    def inputs(self) -> tuple[Column, ...]:
        """A model's inputs, in row order."""
        return tuple(c for c in self.columns if c.name.startswith("in."))

    @cached_property
    def outputs(self) -> tuple[Column, ...]:
        """A model's outputs, in row order."""
        return tuple(c for c in self.columns if c.name == "out" or c.name.startswith("out."))

    def value(self) -> dict[str, Any]:
        """The schema as a canonical object."""
        return {"columns": [[c.name, c.type] for c in self.columns], "kind": self.kind, "v": 1}

    def encode(self) -> bytes:
        """The canonical bytes."""
        return canonical.encode(self.value())


def schema_of(value: Any) -> Schema:
    """The schema of a canonical object. Raises ``Invalid``."""
    if (
        not isinstance(value, Mapping)
        or set(value) != {"columns", "kind", "v"}
        or value["v"] != 1
        or value["v"] is True
    ):
        raise Invalid("that is no schema of version 1.", next_step="use a release that knows it.")
    columns = value["columns"]
    if not isinstance(columns, list) or not all(
        isinstance(c, list) and len(c) == 2 and all(isinstance(p, str) for p in c) for c in columns
    ):
        raise Invalid("the schema's columns are no list of [name, type].", next_step="see docs/spec/segments.md.")
    return Schema(value["kind"], tuple(Column(name, type_) for name, type_ in columns))


def parse_schema(body: bytes) -> Schema:
    """The schema of canonical bytes. Raises ``Invalid``."""
    return schema_of(canonical.decode(body))
