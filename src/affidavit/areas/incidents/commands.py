"""Requests of incidents. What a signal opens goes through an internal command; no door offers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from affidavit.areas.incidents.events import Grade, Kind, Level
from affidavit.core.area import Command, Query
from affidavit.core.fields import Id, Ref, Token, VaultText


@dataclass(frozen=True, slots=True)
class OpenIncident(Command):
    """Open an incident by hand: its kind, how severe, what it concerns."""

    verb: ClassVar[str] = "open"
    permission: ClassVar[str] = "incidents.open"
    kind: Kind
    severity: Level
    about: tuple[Ref, ...]
    title: VaultText | None = None


@dataclass(frozen=True, slots=True)
class OpenFromSignal(Command):
    """Open an incident that a signal calls for, with the figures as they stood."""

    verb: ClassVar[str] = "open-from-signal"
    permission: ClassVar[str] = "incidents.open"
    internal: ClassVar[bool] = True
    kind: Kind
    severity: Level
    about: tuple[Ref, ...]
    snapshot: dict[Token, Token]


@dataclass(frozen=True, slots=True)
class LinkIncident(Command):
    """Tie an open incident to another thing in the ledger."""

    verb: ClassVar[str] = "link"
    permission: ClassVar[str] = "incidents.link"
    incident: Id
    to: Ref


@dataclass(frozen=True, slots=True)
class CloseIncident(Command):
    """Close an incident: how sure the root cause is, and what it was."""

    verb: ClassVar[str] = "close"
    permission: ClassVar[str] = "incidents.close"
    incident: Id
    cause: Grade
    note: VaultText


@dataclass(frozen=True, slots=True)
class ListIncidents(Query):
    """The incidents, newest first: all, the open or the closed ones, or those about one thing."""

    verb: ClassVar[str] = "incidents"
    permission: ClassVar[str] = "incidents.read"
    state: Literal["all", "open", "closed"] = "all"
    about: Ref | None = None


@dataclass(frozen=True, slots=True)
class ShowIncident(Query):
    """One incident: what it concerns, its figures, its links, how it ended."""

    verb: ClassVar[str] = "show"
    permission: ClassVar[str] = "incidents.read"
    incident: Id
