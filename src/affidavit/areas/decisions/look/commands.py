"""Requests of looking: prove, trace and query sealed decisions, and the way back from data and models to them.

Each look is kept as a row of the stream ``reads`` before it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from affidavit.core.area import Streamed
from affidavit.core.fields import Id, Positive, Ref, Slug, Token, VersionRef
from affidavit.streams.schema import Kind

_HERE = "affidavit.areas.decisions.look"


@dataclass(frozen=True, slots=True)
class Prove(Streamed):
    """Prove one decision: a file that verifies offline with the log's key and reveals no other row.

    An erased decision is proven erased: its leaf, and the entry that erased it.
    """

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "prove"

    decision: Id


@dataclass(frozen=True, slots=True)
class Trace(Streamed):
    """Trace one decision: raw readings, input, output, version, deployment, approvals, gate, training, datasets.

    Every part is there: what nobody recorded is named unknown.
    """

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "trace"
    shows: ClassVar[str | None] = f"{_HERE}.tree:lines"

    decision: Id


@dataclass(frozen=True, slots=True)
class QueryRows(Streamed):
    """Filter sealed rows: an Arrow or CSV file, or rows as JSON; at most 100,000 at once.

    ``where`` holds conditions that all must hold: ``out>=0.5``, ``in.age<30``, ``tenant=t1``, ``caller<>portal``; operators
    ``= <> < <= > >=``; ``tenant=`` finds rows without one, ``tenant<>`` those with one; other characters percent-encoded.
    A missing value meets no other condition. With ``limit`` the first rows in sealed order are given and ``more`` says
    whether there are others; ``verify`` also hashes each row given up to its segment's root.
    """

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "query"
    env_field: ClassVar[str | None] = "in_env"

    where: tuple[Token, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    kind: Kind = "decisions"
    deployment: Id | None = None
    model: Slug | None = None
    in_env: Token | None = None
    tenant: Token | None = None
    columns: tuple[Token, ...] = ()
    limit: Positive | None = None
    format: Literal["arrow", "csv", "json"] = "arrow"
    verify: bool = False


@dataclass(frozen=True, slots=True)
class OfDataset(Streamed):
    """Count the decisions made by versions trained on a dataset version, or on one made from it: by deployment and month."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "of-dataset"

    dataset: Ref


@dataclass(frozen=True, slots=True)
class OfModel(Streamed):
    """Count the decisions a model version made: by deployment and month."""

    permission: ClassVar[str] = "decisions.read"
    verb: ClassVar[str] = "of-model"

    version: VersionRef
