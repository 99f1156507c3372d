"""Clocks: the system's, and one that tests and demonstrations set (``core.ports.Clock``)."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from affidavit.core.errors import Invalid


def _to_ms(at: datetime) -> datetime:
    """``at`` in UTC, cut to milliseconds; raises ``Invalid`` without a time zone."""
    if at.tzinfo is None:
        raise Invalid(f"{at.isoformat()} has no time zone.", next_step="give an aware time, such as UTC.")
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class SystemClock:
    """The clock of the operating system, UTC, cut to milliseconds."""

    kind: Literal["system", "simulated"] = "system"

    def now(self) -> datetime:
        """Aware UTC datetime, millisecond precision."""
        return _to_ms(datetime.now(UTC))

    def monotonic_s(self) -> float:
        """Seconds that never run backwards; on Linux they go on while the machine sleeps."""
        boot = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boot is None else time.clock_gettime(boot)


class SimulatedClock:
    """A clock that stands still until it is moved; logs made with it say ``/simulated``. Safe with threads."""

    kind: Literal["system", "simulated"] = "simulated"

    def __init__(self, start: datetime) -> None:
        self._at = _to_ms(start)
        self._monotonic_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Aware UTC datetime, millisecond precision."""
        with self._lock:
            return self._at

    def monotonic_s(self) -> float:
        """Seconds that passed since the start; a clock step does not count."""
        with self._lock:
            return self._monotonic_s

    def advance(self, by: timedelta) -> None:
        """Let time pass: wall clock and monotonic clock move together. Raises ``Invalid`` for a negative ``by``."""
        if by < timedelta(0):
            raise Invalid(f"time does not pass by {by}.", next_step="use step() for a clock that is set back.")
        with self._lock:
            self._at = _to_ms(self._at + by)
            self._monotonic_s += by.total_seconds()

    def set(self, at: datetime) -> None:
        """Go to ``at``: later is time passing, as ``advance``; earlier is a clock set back, as ``step``."""
        at = _to_ms(at)
        with self._lock:
            self._monotonic_s += max(0.0, (at - self._at).total_seconds())
            self._at = at

    def step(self, by: timedelta) -> None:
        """Someone changes the wall clock by ``by`` (either way); no time passes."""
        with self._lock:
            self._at = _to_ms(self._at + by)
