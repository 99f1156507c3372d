"""Facts of incidents, first form: open, link, close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Id, Ref, Token, VaultText

Kind = Literal[
    "data-quality", "data-drift", "concept-drift", "performance", "bias", "hallucination", "adversarial", "privacy",
    "tampering", "availability",
]  # fmt: skip
Level = Literal["low", "medium", "high", "critical"]
Grade = Literal["confirmed", "likely", "inconclusive"]


@fact("incidents.opened")
@dataclass(frozen=True, slots=True)
class IncidentOpened:
    """An incident: kind by the AI taxonomy, severity, what it concerns, frozen statistics of a breach."""

    incident: Id
    kind: Kind
    severity: Level
    about: tuple[Ref, ...]
    origin: Literal["hand", "signal"]
    snapshot: dict[Token, Token]
    title: VaultText | None = None


@fact("incidents.linked")
@dataclass(frozen=True, slots=True)
class IncidentLinked:
    """The incident was tied to another thing in the ledger."""

    incident: Id
    to: Ref


@fact("incidents.closed")
@dataclass(frozen=True, slots=True)
class IncidentClosed:
    """The incident was closed with a graded root cause."""

    incident: Id
    cause: Grade
    note: VaultText
