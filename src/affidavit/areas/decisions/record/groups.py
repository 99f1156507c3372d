"""Counting decisions by protected group, joined under the key inside the service; small cells are left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.record import commands as c
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid
from affidavit.core.fields import time_text
from affidavit.streams.ids import id_bytes

Cell = tuple[str, str, str]
"""Group, adverse (``yes``, ``no``, ``unknown``), label (``none`` where no outcome came in)."""


def count_groups(request: c.CountGroups, desk: Desk) -> tuple[c.RecordJoin, Any]:
    """Counts by group, adverse outcome and label over the sealed decisions of a window.

    Memory grows with the decisions of the window. Raises ``Invalid`` for a window that ends before it begins.
    """
    if request.start >= request.end:
        raise Invalid("the window ends before it begins.", next_step="give --start before --end.")
    decisions = _decisions(desk, request)
    labels = _labels(desk, request.deployment, decisions)
    found = _members(desk, request.deployment, decisions)
    joined = {decision for members in found.values() for decision in members}
    tables = {name: _cells(members, decisions, labels) for name, members in sorted(found.items())}
    body = {
        "attributes": {name: _shown(cells, request.k) for name, cells in tables.items()},
        "deployment": request.deployment, "end": time_text(request.end), "joined": len(joined), "k": request.k,
        "purpose": request.purpose, "rows": len(decisions), "start": time_text(request.start),
    }  # fmt: skip
    attachment = desk.attach(canonical.encode(body), "application/json", "group-counts")
    command = c.RecordJoin(
        request.deployment,
        request.start,
        request.end,
        request.purpose,
        len(decisions),
        len(joined),
        request.k,
        attachment,
    )
    return command, {**body, "result": attachment.digest}


def _segment(desk: Desk, where: sealed_rows.Placed) -> Any:
    """A segment whose every byte is what the ledger names: read whole before anything of it is counted."""
    from affidavit.streams.segment import Segment
    from affidavit.streams.stored import checked

    return Segment(checked(desk.segment(where.file), where.file, f"segment {where.header.id}"))


def _decisions(desk: Desk, request: c.CountGroups) -> dict[bytes, str]:
    """Adverse by id, for the decisions of the window; erased ones are gone."""
    found: dict[bytes, str] = {}
    wanted, says = id_bytes(request.deployment), {True: "yes", False: "no", None: "unknown"}
    for where in sealed_rows.segments_between(desk, "decisions", request.start, request.end, request.deployment):
        table = _segment(desk, where).table(["id", "at", "deployment", "adverse"])
        columns = (table.column(n).to_pylist() for n in ("id", "at", "deployment", "adverse"))
        for decision, at, deployment, adverse in zip(*columns, strict=True):
            if decision is not None and at is not None and request.start <= at < request.end and deployment == wanted:
                found[decision] = says[adverse]
    return found


def _labels(desk: Desk, deployment: str, decisions: Mapping[bytes, str]) -> dict[bytes, str]:
    """The last label of each decision that has one."""
    found: dict[bytes, str] = {}
    for where in sealed_rows.segments_between(desk, "outcomes", None, None, deployment):
        table = _segment(desk, where).table(["decision", "label"])
        pairs = zip(table.column("decision").to_pylist(), table.column("label").to_pylist(), strict=True)
        found |= {decision: label for decision, label in pairs if decision in decisions and label is not None}
    return found


def _members(desk: Desk, deployment: str, decisions: Mapping[bytes, str]) -> dict[str, dict[bytes, str]]:
    """By attribute: the group of each decision of the window that has one."""
    keys = {desk.group_key(decision): decision for decision in decisions}
    found: dict[str, dict[bytes, str]] = defaultdict(dict)
    for where in sealed_rows.segments_between(desk, "groups", None, None, deployment):
        table = _segment(desk, where).table()
        names = [n for n in table.column_names if n.startswith("g.")]
        columns = [table.column(n).to_pylist() for n in names]
        for row, key in enumerate(table.column("key").to_pylist()):
            decision = keys.get(key)
            if decision is not None:
                for name, values in zip(names, columns, strict=True):
                    found[name.removeprefix("g.")][decision] = values[row] if values[row] is not None else "unknown"
    return found


def _cells(members: Mapping[bytes, str], decisions: Mapping[bytes, str], labels: Mapping[bytes, str]) -> Counter[Cell]:
    return Counter((group, decisions[d], labels.get(d, "none")) for d, group in members.items())


def suppressed(cells: Mapping[Cell, int], k: int) -> set[Cell]:
    """Cells not to be shown: those below ``k``, and where one alone of a column is hidden, the smallest beside it.

    A column is one adverse outcome and label; its sum over groups is known from the other attributes.
    """
    hidden = {cell for cell, n in cells.items() if n < k}
    for column in {cell[1:] for cell in cells}:
        inside = [cell for cell in cells if cell[1:] == column]
        shown = [cell for cell in inside if cell not in hidden]
        if len(inside) - len(shown) == 1 and shown:
            hidden.add(min(shown, key=lambda cell: (cells[cell], cell)))
    return hidden


def _shown(cells: Mapping[Cell, int], k: int) -> list[dict[str, Any]]:
    """The cells in order; ``n`` is null where it is suppressed."""
    hidden = suppressed(cells, k)
    return [
        {"adverse": adverse, "group": group, "label": label, "n": None if (group, adverse, label) in hidden else n}
        for (group, adverse, label), n in sorted(cells.items())
    ]
