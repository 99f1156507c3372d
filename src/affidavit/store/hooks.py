"""Fault hooks: every adapter announces each persist point before and after it makes bytes durable.

In production the hooks do nothing. Tests inject one fault at one point, either before (nothing of the
step is on disk) or after (the step is durable, but the caller never hears of it), then open the store
again and check what must hold.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Literal, get_args

from affidavit.core.errors import StoreDown

Point = Literal[
    "entry.commit",
    "tile.put",
    "tile.publish",
    "head.replace",
    "object.put",
    "vault.put",
    "vault.erase",
    "vault.discard",
    "operational.put",
]
POINTS: tuple[Point, ...] = get_args(Point)
"""Every persist point of the package."""


class Hooks:
    """No faults: both calls return at once. A fault is a subclass."""

    def before(self, point: Point) -> None:
        """Called when the next step would make the bytes of ``point`` durable."""

    def after(self, point: Point) -> None:
        """Called when the bytes of ``point`` are durable, before the caller is told."""


NO_HOOKS = Hooks()


class PointsSeen(Hooks):
    """Records ``before:<point>`` and ``after:<point>`` in the order they happen; no faults."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def before(self, point: Point) -> None:
        """Note the passing."""
        self.seen.append(f"before:{point}")

    def after(self, point: Point) -> None:
        """Note the passing."""
        self.seen.append(f"after:{point}")


class _FaultAt(Hooks):
    """One fault at the ``nth`` passing of ``point`` (1 is the first); earlier and later passings are untouched."""

    def __init__(self, point: Point, nth: int = 1) -> None:
        self.point = point
        self.left = nth

    def due(self, point: Point) -> bool:
        """Whether this passing is the one; counts it."""
        if point != self.point:
            return False
        self.left -= 1
        return self.left == 0


def _store_down(point: Point, when: str) -> StoreDown:
    return StoreDown(f"injected fault {when} {point}.", next_step="this is a test; open the store again.")


def kill_this_process() -> None:
    """End the process as ``kill -9`` does: no cleanup, no flush."""
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


class StoreDownBeforePersist(_FaultAt):
    """``StoreDown`` is raised and nothing of the step is on disk."""

    def before(self, point: Point) -> None:
        """Raise when due."""
        if self.due(point):
            raise _store_down(point, "before")


class StoreDownAfterPersist(_FaultAt):
    """``StoreDown`` is raised although the step is durable: the answer was lost."""

    def after(self, point: Point) -> None:
        """Raise when due."""
        if self.due(point):
            raise _store_down(point, "after")


class KilledBeforePersist(_FaultAt):
    """The process dies by SIGKILL before the step is durable."""

    def before(self, point: Point) -> None:
        """Die when due."""
        if self.due(point):
            kill_this_process()


class KilledAfterPersist(_FaultAt):
    """The process dies by SIGKILL when the step is durable and nobody was told."""

    def after(self, point: Point) -> None:
        """Die when due."""
        if self.due(point):
            kill_this_process()
