"""Retention: whole segments past the age of their record class are destroyed, but those under a legal hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure.carrying import held_in
from affidavit.areas.decisions.erasure.finding import ordered_rows
from affidavit.areas.decisions.erasure.ranges import Target, count, encode_targets, ranges_of, rows_of
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid
from affidavit.core.fields import parse_duration

MINIMUM = "P183D"
"""Six months: what Regulation (EU) 2024/1689, article 19(1), asks of automatic logs at least."""


def expire(request: c.Expire, desk: Desk) -> tuple[c.OrderErasure | None, Any]:
    """Order the destruction of every segment whose newest row is older than its class is kept; the held are listed.

    Raises ``Invalid`` if the rules state no retention, or one below a class's minimum.
    """
    if not desk.rules.retention:
        raise Invalid("the rules state no retention.", next_step="propose rules with a section retention.")
    for kind, kept in desk.rules.retention.items():
        if kept.keep < least(desk, kind):
            raise Invalid(
                f"retention.{kind}: keep is shorter than the minimum of AI-08.2.",
                next_step=f"state retention.{kind}.at_least.",
            )
    orders, holds = desk.ask("decisions.erasure_counts")
    targets: list[Target] = []
    held: list[dict[str, str]] = []
    due: dict[str, int] = {}
    active = desk.ask("decisions.holds_active")
    for where, target in overdue(desk):
        hold = held_in(desk, where, active, target.rows)
        if hold is not None:
            held.append({"segment": where.header.id, "kind": target.kind, "hold": hold["id"]})
        else:
            targets.append(target)
            due[target.kind] = due.get(target.kind, 0) + 1
    told = {"segments": due, "held": held}
    if not targets:
        return None, told
    decisions = sum(t.count for t in targets if t.kind == "decisions")
    body = desk.attach(encode_targets(targets), "application/json", "erasure-targets")
    return c.OrderErasure("retention", decisions, sum(t.count for t in targets), body, orders, holds), told


def overdue(desk: Desk) -> list[tuple[Placed, Target]]:
    """Segments past the age of their class with rows that nobody destroyed or ordered to be."""
    found, open_rows = [], ordered_rows(desk)
    for kind, kept in desk.rules.retention.items():
        for where in sealed_rows.segments_between(desk, kind, None, desk.now - kept.keep):
            h = where.header
            if h.t_max >= desk.now - kept.keep:
                continue
            gone = rows_of(desk.ask("decisions.erased_ranges", h.stream, h.first_seq))
            _, ordered = open_rows.get((h.stream, h.first_seq), ({}, set()))
            left = ranges_of(set(range(h.n)) - gone - ordered)
            if count(left):
                found.append((where, Target(h.stream, h.first_seq, h.last_seq, h.kind, left)))
    return found


def least(desk: Desk, kind: str) -> timedelta:
    """The minimum age of a record class: as the rules say, else the parameter of AI-08.2."""
    ruled = desk.rules.retention.get(kind)
    if ruled is not None and ruled.at_least is not None:
        return ruled.at_least
    return parse_duration(desk.rules.parameters.get("AI-08.2", {}).get("kept_at_least", MINIMUM))
