"""Carrying orders out: rewrite, record, destroy, one step a record. What a crash leaves, the next run finishes.

The order of things: the order is in the log before anything is touched; the rewritten file is durable before the
entry that names it; the file before it is destroyed after that entry. So at every moment either the row is whole and
an order names it, or it is gone and an entry says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure import spool
from affidavit.areas.decisions.erasure.finding import LATE, verified
from affidavit.areas.decisions.erasure.holds import Holding, covering, refused
from affidavit.areas.decisions.erasure.ranges import Range, Target, ranges_of, rows_of
from affidavit.areas.decisions.erasure.scanning import present, strays
from affidavit.areas.decisions.erasure.standing import targets_of
from affidavit.areas.decisions.events import RowRange
from affidavit.areas.decisions.record.spool import spool_lock
from affidavit.areas.decisions.sealed_rows import Placed
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, Busy, Tampered
from affidavit.streams.ids import id_bytes, id_text

WORK = "work"
SEGMENTS, RANGES = 8, 4000
"""Most segments, and most ranges of rows, of one step."""


def carry_out(request: c.CarryOut, desk: Desk) -> tuple[c.RecordErased | None, Any]:
    """The next step: rewritten segments of one order to record; nothing once all orders are carried out to the end.

    An order under a hold, or whose files cannot be read, is reported; if it is the one that was asked for, it raises.
    """
    report: dict[str, str] = {}
    folder = desk.spool / spool.WORKSHOP
    desk.hold(turn(folder))
    destroy_replaced(desk)
    for order in _due(request, desk):
        try:
            step = _step(desk, order, folder / WORK)
            if step is not None:
                return step, None
            report[order["id"]] = "erased"
        except AffidavitError as e:
            if request.order == order["id"]:
                raise
            report[order["id"]] = e.problem
    return None, {"orders": report}


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """A place to rewrite in, one erasure at a time; what a dead one left there is destroyed first.

    Raises ``Busy`` while another erasure runs.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy("another erasure is running.", next_step="wait for it, then send the request again.") from None
        work = folder / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(fd)


def destroy_replaced(desk: Desk) -> int:
    """Destroy every stored file that a recorded erasure replaced; how many there were."""
    replaced, here = set(desk.ask("decisions.replaced_files")), set(desk.segments())
    for digest in replaced & here:
        desk.drop_segment(digest)
    return len(replaced & here)


def _due(request: c.CarryOut, desk: Desk) -> list[dict[str, Any]]:
    """The order asked for first, then those with rows left; without one, every order that is not proven."""
    if request.order is None:
        return [o for o in desk.ask("decisions.erasures") if not o["proven"]]
    first = desk.ask("decisions.erasure", request.order)
    return [first, *(o for o in desk.ask("decisions.erasures_open") if o["id"] != request.order)]


def _step(desk: Desk, order: dict[str, Any], folder: Path) -> c.RecordErased | None:
    """Rewrite the next segments of an order; None once all are recorded and no remnant of them is left."""
    targets = targets_of(desk, order)
    holds = desk.ask("decisions.erasure_counts")[1]
    done: list[c.Rewritten] = []
    ranges = 0
    for target in targets:
        left = _left(desk, target)
        if left:
            where = place(desk, target)
            _check_holds(desk, order, where, left)
            done.append(_rewrite(desk, where, left, folder))
            ranges += len(left)
        if len(done) >= SEGMENTS or ranges >= RANGES:
            break
    if done:
        return c.RecordErased(order["id"], tuple(done), holds)
    destroy_remnants(desk, targets)
    return None


def _left(desk: Desk, target: Target) -> tuple[Range, ...]:
    """Rows of a target that no entry says are destroyed."""
    gone = rows_of(desk.ask("decisions.erased_ranges", target.stream, target.first_seq))
    return ranges_of(rows_of(target.rows) - gone)


def place(desk: Desk, target: Target) -> Placed:
    """The segment of a target. Raises ``Tampered`` for one that was never sealed."""
    span = desk.ask("decisions.span", target.stream, target.first_seq)
    if span is None:
        raise Tampered(f"an order names {target.stream}/{target.first_seq}, which was never sealed.",
                       next_step="verify the workspace: affidavit verify DIR.")  # fmt: skip
    return sealed_rows.placed(desk, span)


def _rewrite(desk: Desk, where: Placed, rows: tuple[Range, ...], folder: Path) -> c.Rewritten:
    from affidavit.streams.segment import rewrite_without

    header, file = where.header, folder / f"{where.header.stream}-{where.header.first_seq}.parquet"
    written = rewrite_without(verified(desk, where), rows_of(rows), file)
    if written.root != header.root or written.tree != header.tree:
        raise Tampered(f"segment {header.id}: its leaves are not those that were sealed.",
                       next_step="restore the segment from a backup.")  # fmt: skip
    digest, size = desk.keep_segment(file)
    file.unlink()
    return c.Rewritten(
        header.stream, header.first_seq, header.last_seq, header.kind, header.root,
        tuple(RowRange(first, last) for first, last in rows), where.file, digest, size, header.t_max,
    )  # fmt: skip


def _check_holds(desk: Desk, order: dict[str, Any], where: Placed, rows: tuple[Range, ...]) -> None:
    """Raise ``Refused`` if a hold that was placed after the order covers one of its rows."""
    active = [h for h in desk.ask("decisions.holds_active") if h["entry"] > order["entry"]]
    hold = held_in(desk, where, active, rows) if active else None
    if hold is not None:
        raise refused(hold, f"erasure {order['id']}: segment {where.header.id}")


def held_in(desk: Desk, where: Placed, holds: list[Holding], rows: tuple[Range, ...] | None = None) -> Holding | None:
    """The first hold that covers a row of a segment (of ``rows``, all if None); None if none does."""
    header = where.header
    column = "id" if header.kind == "decisions" else LATE.get(header.kind)
    if not holds or column is None:
        return covering(holds, None, header.deployment)
    named = ["at", "deployment"] if header.kind == "decisions" else []
    table = sealed_rows.opened(desk, where).table([column, *named])
    wanted = range(table.num_rows) if rows is None else rows_of(rows)
    for index, row in enumerate(table.to_pylist()):
        if row[column] is None or index not in wanted:
            continue
        hold = _covering(desk, holds, header.kind, row[column], header.deployment or _text(row.get("deployment")), row)
        if hold is not None:
            return hold
    return None


def _covering(
    desk: Desk, holds: list[Holding], kind: str, name: Any, deployment: str | None, row: Any
) -> Holding | None:
    if kind == "groups":  # the key tells no id and no time; a hold on one decision is compared by its key
        keyed = [h for h in holds if h["decision"] is None or desk.group_key(id_bytes(h["decision"])) == name]
        return covering(keyed, None, deployment)
    if kind == "reads":
        keyed = [h for h in holds if h["decision"] in (None, name)]
        return covering(keyed, None, deployment)
    return covering(holds, name, deployment, row.get("at") if kind == "decisions" else None)


def _text(value: bytes | None) -> str | None:
    return id_text(value) if value is not None else None


def destroy_remnants(desk: Desk, targets: list[Target]) -> int:
    """Destroy what is left of destroyed rows outside their segments: in the spool, in files that no entry names.

    A stray file that holds a destroyed row was written for an entry that can no longer be accepted: it may go.
    """
    ids = {i for t in targets for i in t.ids}
    with spool_lock(desk.spool, spool.WAIT_S):
        wiped = spool.wipe(desk, spooled_ranges(targets), ids)
    found = strays(desk)
    leaves = leaves_of(desk, targets) if found else set()
    for digest in found:
        with desk.segment(digest) as source:
            try:
                held = any(leaf in leaves for leaf in present(source))
            except Tampered:
                continue  # tiles of a batch being sealed, or no segment at all
        if held:
            desk.drop_segment(digest)
            wiped += 1
    return wiped


def spooled_ranges(targets: list[Target]) -> dict[str, list[Range]]:
    """The rows of targets by their numbers in the spool."""
    found: dict[str, list[Range]] = {}
    for t in targets:
        found.setdefault(t.stream, []).extend((t.first_seq + first, t.first_seq + last) for first, last in t.rows)
    return found


def leaves_of(desk: Desk, targets: list[Target]) -> set[bytes]:
    """The leaves of the rows of targets, from the files that stand now."""
    found: set[bytes] = set()
    for target in targets:
        leaves = verified(desk, place(desk, target)).leaves()
        for first, last in target.rows:
            found |= {leaves[32 * i : 32 * i + 32] for i in range(first, last + 1)}
    return found
