"""What is erased, or ordered to be: for readers, before they show a row or say that there is none."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions.erasure.ranges import Target, fingerprint, parse_targets
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.errors import Refused


def targets_of(desk: Desk, order: dict[str, Any]) -> list[Target]:
    """The segments and rows of an order. Raises ``Tampered`` or ``NotFound``."""
    with desk.open(order["targets"]) as stream:
        return parse_targets(read_verified(stream, order["targets"], "the targets of an erasure"))


def erased_ids(desk: Desk) -> set[str]:
    """The fingerprints of every decision that was ever ordered to be erased by id or by a selection."""
    return {i for order in desk.ask("decisions.erasures") for t in targets_of(desk, order) for i in t.ids}


def erased_place(desk: Desk, decision: bytes, span: dict[str, Any]) -> tuple[dict[str, Any], int | None] | None:
    """``(order, index)`` of a decision that was erased from the segment of a span; None if none was.

    The index is None where retention destroyed the whole segment: nothing tells any more whether it was in there.
    """
    wanted = fingerprint(decision)
    for order in desk.ask("decisions.erasures_in", span["stream"], span["first_seq"]):
        for target in targets_of(desk, order):
            if (target.stream, target.first_seq) != (span["stream"], span["first_seq"]):
                continue
            if wanted in target.ids:
                indexes = [i for first, last in target.rows for i in range(first, last + 1)]
                return order, indexes[target.ids.index(wanted)]
            if not target.ids:
                return order, None
    return None


def check_shown(desk: Desk, stream: str, first_seq: int, index: int) -> None:
    """Raise ``Refused`` (``being-erased``) for a row that an order names and that is not destroyed yet."""
    for order in desk.ask("decisions.erasures_open"):
        for t in targets_of(desk, order):
            here = (t.stream, t.first_seq) == (stream, first_seq)
            if here and any(first <= index <= last for first, last in t.rows):
                raise being_erased(order)


def being_erased(order: dict[str, Any]) -> Refused:
    """What is said of a row between its order and its end."""
    return Refused(
        "being-erased", f"erasure {order['id']} of entry {order['entry']} names this row: it counts as erased.",
        next_step=f"affidavit decisions carry-out --order {order['id']} destroys what is left of it.",
    )  # fmt: skip


def erased_before(order: dict[str, Any], what: str) -> Refused:
    """What is said of a decision that an earlier order names."""
    return Refused(
        "erased-before", f"{what} was erased before, by erasure {order['id']} of {order['at'][:10]} (entry {order['entry']}).",
        next_step=f"affidavit decisions erasures --order {order['id']} shows it.", controls=("AI-08.2",),
    )  # fmt: skip
