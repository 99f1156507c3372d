"""The time an entry may bear: never behind the newest entry, never running away from the monotonic clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from affidavit.core.errors import Refused
from affidavit.core.fields import parse_time, time_text
from affidavit.core.ports import Clock

TOLERANCE_S = 60.0
JITTER = timedelta(seconds=1)
"""A clock behind by no more than this is taken for the newest entry's time: two hosts are never quite equal."""


class Timekeeper:
    """Judges the clock before each append, against the newest entry and its own anchor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.anchor()

    def anchor(self) -> None:
        """Take the present readings as right: at start and after each accepted command."""
        self._wall, self._mono = self._clock.now(), self._clock.monotonic_s()

    def time_for(self, newest: str | None) -> datetime:
        """The time of the next entry. Raises ``Refused`` (clock_ahead, clock_behind)."""
        now = self._clock.now()
        if self._clock.kind == "system":
            gained = (now - self._wall).total_seconds() - (self._clock.monotonic_s() - self._mono)
            if gained > TOLERANCE_S:
                raise Refused(
                    "clock_ahead", f"the wall clock gained {gained:.0f} s on the monotonic clock since the last entry.",
                    next_step="check the clock, then `affidavit log correct-clock --reason …` or restart the process.",
                )  # fmt: skip
        if newest is None or now >= (last := parse_time(newest)):
            return now
        if last - now > JITTER:
            raise Refused(
                "clock_behind", f"the clock says {time_text(now)}, the newest entry is of {newest}.",
                next_step="set the clock right; if the log ran ahead: `affidavit log correct-clock --reason …`.",
            )  # fmt: skip
        return last
