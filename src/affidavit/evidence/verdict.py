"""What a verification says: its level first, then every problem with its place, then what it does not cover."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from affidavit.core.errors import Invalid
from affidavit.ledger.listing import Problem

Kind = Literal["package", "log", "proof", "workspace"]
Level = Literal["none", "self-consistent", "pinned", "anchored"]
LEVELS: tuple[Level, ...] = ("none", "self-consistent", "pinned", "anchored")
TRUST_KINDS = frozenset({"key", "level", "fork", "timestamp", "witness"})
"""Problems about whose word a target is, not about its own bytes: they leave ``self-consistent`` standing."""


class Report(NamedTuple):
    """The verdict on one target.

    ``level`` is what was reached: ``none`` when the target does not agree with itself. ``notes`` are no
    flaws but must be read; ``unauthenticated`` names bytes that no signature covers (none in a package).
    ``facts`` are counts and names for display.
    """

    kind: Kind
    target: str
    level: Level
    origin: str = ""
    size: int = 0
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    unauthenticated: tuple[str, ...] = ()
    facts: Mapping[str, Any] = MappingProxyType({})

    @property
    def ok(self) -> bool:
        """Whether no problem was found and some level was reached."""
        return not self.problems and self.level != "none"

    def required(self, level: str | None) -> Report:
        """The report with a problem of kind ``level`` if less than ``level`` was reached. Raises ``Invalid``."""
        if level is None:
            return self
        if level not in LEVELS[1:]:
            raise Invalid(f"{level!r} is no level.", next_step=f"levels: {', '.join(LEVELS[1:])}.")
        if LEVELS.index(self.level) >= LEVELS.index(level):
            return self
        detail = f"{level} is required, {self.level} was reached"
        return self._replace(problems=(*self.problems, Problem("level", "", None, detail)))

    def row(self) -> dict[str, Any]:
        """The report for ``--json``."""
        return {
            "target": self.target,
            "kind": self.kind,
            "level": self.level,
            "verified": self.ok,
            "origin": self.origin,
            "size": self.size,
            "problems": [
                {"kind": p.kind, "place": p.path, "entry": p.index, "detail": p.detail} for p in self.problems
            ],
            "notes": list(self.notes),
            "unauthenticated": list(self.unauthenticated),
            "facts": self.facts,
        }

    def lines(self) -> list[str]:
        """The report for people: level, verdict, problems, notes, what is not authenticated."""
        verdict = "verified" if self.ok else f"NOT VERIFIED: {len(self.problems)} problems"
        found = [f"{self.level}: {verdict}", f"{self.kind} {self.target}"]
        if self.origin:
            found.append(f"log {self.origin}, {self.size} entries")
        for name, value in self.facts.items():
            found += _told(name, value)
        found += [f"problem: {problem}" for problem in self.problems]
        found += [f"note: {note}" for note in self.notes]
        found += [f"not authenticated: {place}" for place in self.unauthenticated]
        return found


def _told(name: str, value: Any) -> list[str]:
    """A fact as lines; a map has a line for each of its values. Text that a terminal would obey is escaped."""
    if isinstance(value, Mapping):
        return [f"{name}:", *(f"  {line}" for k, v in value.items() for line in _told(k, v))]
    text = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    line = f"{name}: {text}"
    return [line if line.isprintable() else ascii(line)[1:-1]]


class Notebook:
    """Where the checks of one target write down what they find."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def flaw(self, kind: str, path: str, index: int | None, detail: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, path, index, detail))

    @property
    def consistent(self) -> bool:
        """Whether nothing speaks against the target's own bytes."""
        return all(p.kind in TRUST_KINDS for p in self.problems)
