"""The stage of the demonstration: a simulated year, its people by role, and the account that is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from affidavit.bootstrap import Created, SimulatedClock, init
from affidavit.core.area import Who
from affidavit.core.errors import AffidavitError, Refused
from affidavit.demo import model as science
from affidavit.service.executor import Done
from affidavit.service.workspace import Workspace

START = datetime(2025, 1, 6, 9, tzinfo=UTC)
END = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = {
    "engineer": ("engineer", "approver"),
    "approver": ("approver",),
    "operator": ("engineer",),
    "on-call": ("oncall",),
    "second administrator": ("admin",),
    "auditor": ("auditor",),
    "reviewer": ("reviewer",),
    "privacy": ("privacy",),
    "sealer": ("service",),
}
"""Who acts, by function. The engineer holds the approver's role as well: only the rule keeps self-approval out."""


@dataclass
class Stage:
    """Workspace, clock and people; what later chapters need of earlier ones."""

    root: Path
    out: TextIO
    clock: SimulatedClock
    made: Created
    people: science.Rows
    who: dict[str, Who] = field(default_factory=dict)
    ids: dict[Any, Any] = field(default_factory=dict)
    every: int = 1
    serving: Any = None
    """What serves the weeks between two chapters (``demo.serving.Serving``), once there is a model to serve."""

    @property
    def ws(self) -> Workspace:
        """The workspace of the demonstration."""
        return self.made.workspace

    @property
    def inputs(self) -> Path:
        """Folder of the files that are handed in: datasets, models, extracts."""
        return self.root.parent / f"{self.root.name}" / "inputs"

    def say(self, text: str = "") -> None:
        """One line of the account."""
        print(text, file=self.out)

    def chapter(self, day: str, title: str) -> None:
        """Serve until that day, move the clock to it, and say what it brings."""
        at = datetime.fromisoformat(f"{day}T09:00:00+00:00")
        if self.serving is not None:
            self.serving.until(at)
        if at > self.clock.now():
            self.clock.set(at)
        self.say(f"\n{day}  {title}")

    def done(self, outcome: Done, text: str) -> Done:
        """Say what an accepted command left, with the entry to look it up."""
        last = outcome.records[-1]
        self.say(f"  entry {last.index:>3}  {text}")
        return outcome

    def refused(self, act: Callable[[], Any], text: str) -> AffidavitError:
        """Say how a request was turned down; one that goes through fails the demonstration."""
        try:
            act()
        except AffidavitError as e:
            kind = f"refused ({e.code})" if isinstance(e, Refused) else type(e).__name__.lower()
            self.say(f"  refused    {text}")
            self.say(f"             {kind}: {e.problem}")
            self.say(f"             next: {e.next_step}")
            return e
        raise AssertionError(f"{text} went through; it had to be refused")


def set_up(root: Path, out: TextIO, every: int = 1) -> Stage:
    """A new workspace on a simulated clock, with everybody's roles requested and approved."""
    clock = SimulatedClock(START)
    made = init(root, admin="administrator", clock=clock)
    (root / "inputs").mkdir()
    stage = Stage(root, out, clock, made, science.load(), every=every)
    stage.say("Affidavit demonstration: US Census ACS employment, Massachusetts 2015 to 2018, a LightGBM model.")
    stage.say("The data and the model are real. The year 2025 is simulated, and the log says so in its name:")
    stage.say(f"  log {stage.ws.stores.origin}")
    stage.who["administrator"] = made.admin
    for name, roles in ROLES.items():
        principal = stage.ws.access.register_principal("person", name, by=made.admin).facts[0].principal
        stage.who[name] = Who(principal, "os-user")
        for role in roles:
            request = stage.ws.access.request_grant(
                principal, role, "*", "named in the operating plan", by=stage.who[name]
            )
            stage.ws.access.approve_grant(request.facts[0].grant, by=made.admin)
    stage.say(
        f"  people by function: {', '.join(stage.who)}; each role was requested by its holder and approved by another"
    )
    return stage
