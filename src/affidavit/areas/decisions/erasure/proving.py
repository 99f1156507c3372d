"""Proving an erasure by scanning again, and the certificate that may be written then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from affidavit.areas.decisions.erasure import commands as c
from affidavit.areas.decisions.erasure import spool
from affidavit.areas.decisions.erasure.carrying import leaves_of
from affidavit.areas.decisions.erasure.finding import verified
from affidavit.areas.decisions.erasure.ranges import Target, fingerprint
from affidavit.areas.decisions.erasure.rules import check_prover
from affidavit.areas.decisions.erasure.scanning import every_segment, present
from affidavit.areas.decisions.erasure.standing import targets_of
from affidavit.core import canonical
from affidavit.core.area import Desk, Document
from affidavit.core.errors import AffidavitError, Refused, Tampered


def prove_erasure(request: c.ProveErasure, desk: Desk) -> tuple[c.RecordScan, Any]:
    """Look for every row of the order, by its leaf, in each file of the touched streams, in each file that stands for
    no other stream's segment, and in the spool; and for rows about its decisions that came later. Raises ``Tampered``
    naming where, once that is recorded.

    Raises ``Refused``: ``not-carried-out``, ``self-proof``.
    """
    order = desk.ask("decisions.erasure", request.order)
    check_prover(order, desk.who.principal)
    targets = targets_of(desk, order)
    leaves = leaves_of(desk, targets)
    files, places = _scan(desk, targets, leaves)
    spooled, there = spool.found(desk, leaves, {i for t in targets for i in t.ids})
    places += [*there, *_late(desk, {i for t in targets for i in t.ids})]
    if not places:
        return c.RecordScan(request.order, files, len(leaves), spooled, 0), {
            "segments": files,
            "rows": len(leaves),
            "found": 0,
        }
    body = desk.attach(canonical.encode({"places": places[:1000]}), "application/json", "erasure-found")
    command = c.RecordScan(request.order, files, len(leaves), spooled, len(places), body)
    return command, Tampered(
        f"erasure {request.order}: {len(places)} rows are still there, first in {places[0]}.",
        next_step=f"affidavit decisions carry-out --order {request.order}; what was recorded later: erase the decision "
        "again; then prove it again.",
    )  # fmt: skip


def _late(desk: Desk, ids: set[str]) -> Iterator[str]:
    """Where sealed rows about decisions so fingerprinted stand that were recorded once the order was given."""
    for where in every_segment(desk) if ids else ():
        if where.header.kind in spool.ABOUT - {"groups"}:
            values = verified(desk, where).table(["decision"]).column(0).to_pylist()
            yield from (
                f"segments/{where.file} row {n}"
                for n, v in enumerate(values)
                if v is not None and fingerprint(v) in ids
            )


def _scan(desk: Desk, targets: list[Target], leaves: set[bytes]) -> tuple[int, list[str]]:
    """``(files read, places)``. A file that is another stream's segment by its digest holds no row of these."""
    touched, others = {t.stream for t in targets}, set()
    for where in every_segment(desk):
        others.add(where.header.tree)
        if where.header.stream not in touched:
            others.add(where.file)
    read, places = 0, []
    for digest in desk.segments():
        if digest in others:
            continue
        read += 1
        with desk.segment(digest) as source:
            try:
                places += [f"segments/{digest}" for leaf in present(source) if leaf in leaves]
            except AffidavitError as e:
                if _segmentlike(desk, digest):
                    places.append(f"segments/{digest} (not readable: {e.problem[:120]})")
    return read, places


def _segmentlike(desk: Desk, digest: str) -> bool:
    with desk.segment(digest) as source:
        return source.read(4) == spool.PARQUET


def certificate(request: c.Certify, desk: Desk) -> tuple[None, Document]:
    """A signed note that says what was erased and who proved it. Raises ``Refused`` before it is proven."""
    order = desk.ask("decisions.erasure", request.order)
    if not order["proven"]:
        raise Refused(
            "not-proven", f"erasure {request.order} is not proven.",
            next_step=f"let another identity run: affidavit decisions prove-erasure {request.order}.", controls=("AI-08.2",),
        )  # fmt: skip
    targets = targets_of(desk, order)
    lines = [
        "affidavit erasure certificate", f"log {desk.origin}", f"order {request.order}", f"basis {order['basis']}",
        f"decisions {order['decisions']}", f"rows {order['row_count']}", f"ordered {order['at']} by {order['orderer']} in entry {order['entry']}",
        f"proven {order['proven']} by {order['prover']} in entry {order['proven_entry']}", f"targets {order['targets']}",
        *(f"segment {t.stream}/{t.first_seq}-{t.last_seq} {t.kind} rows {t.count}" for t in targets),
        *(f"erased in entry {entry}" for entry in sorted({r["entry"] for r in desk.ask("decisions.replacements", request.order)})),
    ]  # fmt: skip
    body = desk.sign(("\n".join(lines) + "\n").encode())
    facts = {"order": request.order, "rows": order["row_count"], "proven": order["proven"]}
    return None, Document(body, "text/plain", f"erasure-{request.order}.txt", facts)
