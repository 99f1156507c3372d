"""What has become of a decision that people look at: a fold over its actions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HELD, OPENED, RELEASED, OVERRIDDEN, EFFECT = "held", "opened", "released", "overridden", "effect"
CONTESTED, OPTED_OUT = "contested", "opted-out"
ASKED = (HELD, CONTESTED, OPTED_OUT)
"""Actions after which a decision waits for a person."""
GIVEN = (RELEASED, OVERRIDDEN)
"""Actions by which a person answers."""


@dataclass(slots=True)
class Case:
    """A decision's case. Times are milliseconds; rows of actions stand as they were read.

    ``waits`` are the questions open now, oldest first; ``opened`` says since when each reviewer has it open; ``answered``
    pairs each question with the verdict that answered it. A release that a serving process reports of its own accord
    stands among the ``verdicts`` and answers nothing: no reviewer signed in for it.
    """

    held: Mapping[str, Any] | None = None
    waits: list[Mapping[str, Any]] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)
    verdicts: list[Mapping[str, Any]] = field(default_factory=list)
    answered: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    effects: list[int] = field(default_factory=list)
    last: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the next action."""
        action = row["action"]
        if not row.get("process"):  # another host's clock may be off
            self.last = max(self.last, row["at"])
        if row.get("effect_at") is not None:
            self.effects.append(row["effect_at"])
        if action in ASKED:
            if action == HELD and self.held is None:
                self.held = row
            if not self.waits:
                self.opened = {}
            self.waits.append(row)
        elif action in GIVEN and row.get("process"):
            self.verdicts.append(row)
        elif action == OPENED and row["actor"] and not row.get("process"):
            self.opened[row["actor"]] = row["at"]
        elif action in GIVEN:
            self.verdicts.append(row)
            self.answered += [(asked, row) for asked in self.waits]
            self.waits, self.opened = [], {}

    @property
    def released(self) -> int | None:
        """When the hold was answered; None while it waits or if it was never held."""
        return next((given["at"] for asked, given in self.answered if asked is self.held), None)

    @property
    def early(self) -> bool:
        """Whether it was held and took effect before a person had answered."""
        if self.held is None or not self.effects:
            return False
        return self.released is None or min(self.effects) < self.released


def case_of(rows: Iterable[Mapping[str, Any]]) -> Case:
    """The case of one decision, from its actions in order."""
    case = Case()
    for row in rows:
        case.add(row)
    return case


def cases_of(rows: Iterable[Mapping[str, Any]]) -> dict[bytes, Case]:
    """The cases of many decisions, from actions in order, by decision id."""
    found: dict[bytes, Case] = {}
    for row in rows:
        found.setdefault(row["decision"], Case()).add(row)
    return found
