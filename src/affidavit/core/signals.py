"""The closed set of signals that reactions answer. An area signals; another area reacts; neither knows the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Breach:
    """A measured value crossed its bound."""

    kind: str
    severity: Severity
    refs: tuple[str, ...]
    stats: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tamper:
    """Stored bytes differ from what was committed to."""

    refs: tuple[str, ...]
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Missed:
    """An expected run or step did not happen by its deadline."""

    control: str
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """The ledger was brought back from its bundles."""

    size: int
    refs: tuple[str, ...]


Signal = Breach | Tamper | Missed | Restored
