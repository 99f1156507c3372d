"""What a legal hold covers. Where a row does not tell, it counts as covered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from affidavit.core.errors import Invalid, Refused
from affidavit.core.fields import parse_time
from affidavit.streams.ids import id_ms, id_text

Holding = Mapping[str, Any]


def covers(hold: Holding, decision: bytes | None, deployment: str | None, at: datetime | None = None) -> bool:
    """Whether a hold covers a row about ``decision`` (None: not known) of ``deployment`` (None: not known).

    ``at`` is when the decision was made; without it the id's own time stands for it.
    """
    if hold["decision"] is not None and decision is not None and id_text(decision) != hold["decision"]:
        return False
    if hold["deployment"] is not None and deployment is not None and deployment != hold["deployment"]:
        return False
    made = at or (_made(decision) if decision is not None else None)
    if made is None:
        return True
    start, stop = hold["start"], hold["stop"]
    return (start is None or made >= parse_time(start)) and (stop is None or made < parse_time(stop))


def covering(
    holds: Iterable[Holding], decision: bytes | None, deployment: str | None, at: datetime | None = None
) -> Holding | None:
    """The first hold that covers a row, or None."""
    return next((h for h in holds if covers(h, decision, deployment, at)), None)


def _made(decision: bytes) -> datetime | None:
    try:
        return datetime.fromtimestamp(id_ms(decision) / 1000, UTC)
    except (Invalid, OverflowError, ValueError):
        return None


def refused(hold: Holding, what: str) -> Refused:
    """The refusal that names a hold."""
    return Refused(
        "legal-hold", f"{what} is under the legal hold {hold['id']} of {hold['at'][:10]}; nothing was changed.",
        next_step="whoever placed it may end it: affidavit decisions release-hold.", controls=("AI-08.2",),
    )  # fmt: skip
