"""From a request to the rows it destroys: those of the decisions, and those about them in every other stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure import spool
from affidavit.areas.decisions.erasure.holds import covering, refused
from affidavit.areas.decisions.erasure.ranges import Target, encode_targets, fingerprint, ranges_of, rows_of
from affidavit.areas.decisions.erasure.standing import erased_before, erased_place, targets_of
from affidavit.areas.decisions.record.spool import spool_lock
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.streams.ids import id_bytes, id_text

SEAL = "affidavit decisions seal, then erase again."
LATE = {"explanations": "decision", "outcomes": "decision", "actions": "decision", "groups": "key", "reads": "about"}
"""Streams that speak about decisions, and the column that names the decision."""


@dataclass(slots=True)
class Chosen:
    """Rows of one segment that are to go: index → decision id."""

    where: Placed
    rows: dict[int, bytes] = field(default_factory=dict)

    def target(self) -> Target:
        """The target as the order names it; other streams than decisions carry no fingerprints of their own."""
        h = self.where.header
        ids = tuple(fingerprint(self.rows[i]) for i in sorted(self.rows)) if h.kind == "decisions" else ()
        return Target(h.stream, h.first_seq, h.last_seq, h.kind, ranges_of(self.rows), ids)


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that is to go: its id, deployment and time, for the holds."""

    id: bytes
    deployment: str | None
    at: datetime | None


def erase(request: c.Erase, desk: Desk) -> tuple[c.OrderErasure, Any]:
    """Choose the rows and order their destruction; the measure goes on with carrying the order out.

    Raises ``NotFound`` for an unknown id or an empty selection, ``Refused``: ``erased-before``, ``unsealed``,
    ``legal-hold``. A decision that was erased before is named again to destroy what was recorded about it since.
    """
    orders, holds = desk.ask("decisions.erasure_counts")
    check_selection(request)
    desk.hold(spool_lock(desk.spool, spool.WAIT_S))  # a sealer moves rows from where they were looked for
    if not request.decisions:  # before the segments are read: what is sealed meanwhile is then seen there
        _check_spool(request, desk, set())
    open_rows = ordered_rows(desk)
    gone: dict[bytes, Refused] = {}
    if request.decisions:
        chosen, made = _by_ids(request, desk, open_rows, gone)
    else:
        chosen, made = _by_filter(request, desk, open_rows)
    active = desk.ask("decisions.holds_active")
    for decision in (*made, *(Made(i, None, None) for i in gone)):
        hold = covering(active, decision.id, decision.deployment, decision.at)
        if hold is not None:
            raise refused(hold, f"decision {id_text(decision.id)}")
    ids = {d.id for d in made}
    _check_spool(request, desk, ids | set(gone))
    about = [x for x in _about(desk, ids | set(gone)) if _left(x, open_rows)]
    _check_late(gone, about)
    chosen += about
    targets = [x.target() for x in chosen if x.rows]
    body = desk.attach(encode_targets(targets), "application/json", "erasure-targets")
    command = c.OrderErasure(
        request.basis, len(ids), sum(t.count for t in targets), body, orders, holds, request.reason
    )  # fmt: skip
    return command, None


def check_selection(request: c.Erase) -> None:
    """Raise ``Invalid`` unless ids are given, or something that selects, and not both."""
    picks = (request.subject, request.deployment, request.tenant, request.start, request.end)
    if bool(request.decisions) == any(p is not None for p in picks):
        raise Invalid(
            "name decisions by id, or select them by subject, deployment, tenant or time.",
            next_step="give --decisions ID, or --subject PSEUDONYM.",
        )
    if request.start and request.end and request.start >= request.end:
        raise Invalid(f"end {request.end} is not after start {request.start}.", next_step="swap them.")


def ordered_rows(desk: Desk) -> dict[tuple[str, int], tuple[dict[str, Any], set[int]]]:
    """Rows that an order names and that are not destroyed yet, by segment."""
    found: dict[tuple[str, int], tuple[dict[str, Any], set[int]]] = {}
    for order in desk.ask("decisions.erasures_open"):
        for t in targets_of(desk, order):
            _, rows = found.setdefault((t.stream, t.first_seq), (order, set()))
            rows |= rows_of(t.rows)
    return found


def _left(chosen: Chosen, open_rows: dict[tuple[str, int], tuple[dict[str, Any], set[int]]]) -> bool:
    """Take out what another order names already; whether anything is left."""
    header = chosen.where.header
    _, rows = open_rows.get((header.stream, header.first_seq), ({}, set()))
    for index in rows & set(chosen.rows):
        del chosen.rows[index]
    return bool(chosen.rows)


def _check_late(gone: dict[bytes, Refused], about: list[Chosen]) -> None:
    """Raise the refusal of a decision that was erased before and about which nothing was recorded since."""
    late = {i for x in about for i in x.rows.values()}
    for decision, refusal in gone.items():
        if decision not in late:
            raise refusal


def _by_ids(
    request: c.Erase, desk: Desk, open_rows: Any, gone: dict[bytes, Refused]
) -> tuple[list[Chosen], list[Made]]:
    """The rows of the decisions named; those erased before go into ``gone`` with what is said of them."""
    found: dict[tuple[str, int], Chosen] = {}
    made = []
    for text in dict.fromkeys(request.decisions):
        try:
            where, segment, index = _locate(desk, text)
        except Refused as e:
            if e.code != "erased-before":
                raise
            gone[id_bytes(text)] = e
            continue
        header = where.header
        order, rows = open_rows.get((header.stream, header.first_seq), (None, set()))
        if order is not None and index in rows:
            raise erased_before(order, f"decision {text}")
        row = sealed_rows.row_at(where, segment, index)
        made.append(Made(id_bytes(text), header.deployment or _text(row.values["deployment"]), _at(row.values["at"])))
        found.setdefault((header.stream, header.first_seq), Chosen(where)).rows[index] = id_bytes(text)
    return list(found.values()), made


def _locate(desk: Desk, text: str) -> tuple[Placed, Any, int]:
    """The sealed row of an id. Raises ``Refused`` (``erased-before``, ``unsealed``) or ``NotFound``."""
    wanted = id_bytes(text)
    spans = desk.ask("decisions.spans_with", text)
    for span in spans:
        where = sealed_rows.placed(desk, span)
        segment = sealed_rows.opened(desk, where)
        index = segment.find(wanted)
        if index is not None:
            return where, segment, index
    for span in spans:
        erased = erased_place(desk, wanted, span)
        if erased is not None and erased[1] is not None:
            raise erased_before(erased[0], f"decision {text}")
    if any(kind == "decisions" and values["id"] == wanted for kind, values in spool.unsealed(desk)):
        raise Refused("unsealed", f"decision {text} is not sealed yet.", next_step=SEAL)
    raise NotFound(f"no decision {text}.", next_step="check the id and the workspace.")


def _by_filter(request: c.Erase, desk: Desk, open_rows: Any) -> tuple[list[Chosen], list[Made]]:
    found, made, open_order = [], [], None
    wanted = id_bytes(request.deployment) if request.deployment else None
    for where in sealed_rows.segments_between(desk, "decisions", request.start, request.end, request.deployment):
        table = verified(desk, where).table(["id", "at", "deployment", "subject", "tenant"])
        chosen = Chosen(where)
        for index, row in enumerate(table.to_pylist()):
            if row["id"] is not None and _matches(request, row, wanted):
                chosen.rows[index] = row["id"]
                made.append(Made(row["id"], _text(row["deployment"]), _at(row["at"])))
        if chosen.rows and not _left(chosen, open_rows):
            open_order = open_rows[(where.header.stream, where.header.first_seq)][0]
        found.append(chosen)
    kept = {i for x in found for i in x.rows.values()}
    if not kept and open_order is not None:
        raise erased_before(open_order, "every decision of the selection")
    if not kept:
        raise NotFound(
            "no sealed decision fits the selection.", next_step="check subject, deployment, tenant and times."
        )
    return [x for x in found if x.rows], [m for m in made if m.id in kept]


def _matches(request: c.Erase, row: dict[str, Any], deployment: bytes | None) -> bool:
    at = _at(row["at"])
    return (
        (request.subject is None or row["subject"] == request.subject)
        and (request.tenant is None or row["tenant"] == request.tenant)
        and (deployment is None or row["deployment"] == deployment)
        and (request.start is None or (at is not None and at >= request.start))
        and (request.end is None or (at is not None and at < request.end))
    )


def verified(desk: Desk, where: Placed) -> Any:
    """The segment of a file whose bytes are those recorded: what is chosen by content is chosen from true content."""
    from affidavit.streams.stored import checked

    with desk.segment(where.file) as source:
        checked(source, where.file, f"segment {where.header.id}")
    return sealed_rows.opened(desk, where)


def _about(desk: Desk, ids: set[bytes]) -> Iterable[Chosen]:
    """Rows of every other stream that speak about the decisions. Attributes are found by the keyed hash of the id."""
    names: dict[str, Callable[[bytes], Any]] = {"groups": desk.group_key, "reads": id_text}
    for kind, column in LATE.items():
        wanted = {names[kind](i) if kind in names else i: i for i in ids}
        for where in sealed_rows.segments_between(desk, kind):
            values = verified(desk, where).table([column]).column(0)
            rows = {i: wanted[v] for i, v in _hits(values, list(wanted))}
            if rows:
                yield Chosen(where, rows)


def _hits(values: Any, wanted: list[Any]) -> Iterable[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pc.is_in(values, value_set=pa.array(wanted, values.type), skip_nulls=True)
    indexes = pc.indices_nonzero(mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask)
    return [(i, values[i].as_py()) for i in indexes.to_pylist()]


def _check_spool(request: c.Erase, desk: Desk, ids: set[bytes]) -> None:
    """Raise ``Refused`` (``unsealed``) while the spool holds a row that the request would have to destroy."""
    if spool.waiting_cut(desk.spool):
        raise Refused("unsealed", "a seal was interrupted: a cut segment waits in the spool.", next_step=SEAL)
    deployment = id_bytes(request.deployment) if request.deployment else None
    texts = {id_text(i) for i in ids}
    for kind, values in spool.unsealed(desk):
        late = values.get("decision") in ids or values.get("about") in texts
        if late or (kind == "decisions" and not request.decisions and _matches(request, values, deployment)):
            raise Refused("unsealed", f"the spool holds a row of {kind} that belongs to the selection.", next_step=SEAL)


def _at(value: Any) -> datetime | None:
    """The time of a row: milliseconds from a row's bytes, a ``datetime`` from a table; None if it has none."""
    return datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else value


def _text(value: bytes | None) -> str | None:
    return id_text(value) if value is not None else None
