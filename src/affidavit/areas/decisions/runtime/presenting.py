"""Receipts that callers hold against the sealed rows: proof that a decision was promised, whether or not it was sealed.

Memory: the receipts of one presentation (at most a million), and the leaves of one segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.runtime import commands as c
from affidavit.areas.decisions.runtime.counters import ranges_of
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, Tampered
from affidavit.streams.receipts import Receipt, check_receipt, parse_receipt

MOST = 1_000_000
LONGEST = 1_000
SHOWN = 1_000
"""Lines of a kind that the details repeat whole."""
HEADER = "x-decision-receipt:"


@dataclass(slots=True)
class _Stream:
    """What was presented of one stream."""

    known: dict[str, Any]
    held: dict[int, tuple[Receipt, str]] = field(default_factory=dict)
    different: dict[int, str] = field(default_factory=dict)

    def take(self, receipt: Receipt, line: str) -> None:
        """A second receipt of a row counts once; one with another leaf is a contradiction."""
        first = self.held.setdefault(receipt.seq, (receipt, line))[0]
        if (first.leaf, first.id) != (receipt.leaf, receipt.id):
            self.different[receipt.seq] = line

    def beyond(self) -> list[int]:
        """Rows that no seal holds."""
        return sorted(s for s in self.held if s >= self.known["next_seq"] and s not in self.different)


def present(request: c.PresentReceipts, desk: Desk) -> tuple[c.RecordReceipts | None, Any]:
    """Sort the receipts: sealed, missing, different, pending, forged, of an unknown stream."""
    streams: dict[str, _Stream] = {}
    forged: dict[str, None] = {}
    unknown: dict[str, None] = {}
    with desk.source(request.receipts) as source:
        for line in _lines(source):
            stream = parse_receipt(line)[0].stream
            if stream not in streams:
                known = desk.ask("decisions.stream", stream)
                if known is None or known["entry"] is None:
                    unknown[line] = None
                    continue
                streams[stream] = _Stream(known)
            _take(streams[stream], line, forged)
    for one in streams.values():
        _compare(desk, one)
    return _told(request, desk, streams, list(forged), list(unknown))


def _lines(source: BinaryIO) -> Iterator[str]:
    """One receipt a line, with or without the header's name. Raises ``Invalid`` naming the line."""
    count = 0
    for n, raw in enumerate(source, 1):
        text = raw[:LONGEST].decode("ascii", "replace").strip()
        if text.lower().startswith(HEADER):
            text = text[len(HEADER) :].strip()
        if not text:
            continue
        count += 1
        if count > MOST:
            raise Invalid(f"more than {MOST} receipts.", next_step="present them in several files.")
        try:
            parse_receipt(text)
        except Invalid as e:
            raise Invalid(f"line {n}: {e.problem}", next_step="give one receipt a line, as it was received.") from None
        yield text


def _take(stream: _Stream, line: str, forged: dict[str, None]) -> None:
    key = stream.known["receipt_key"]
    try:
        receipt = check_receipt(line, key) if key is not None else None
    except Tampered:
        receipt = None
    if receipt is None:  # a stream without a key signs no receipts
        forged[line] = None
    else:
        stream.take(receipt, line)


def _compare(desk: Desk, stream: _Stream) -> None:
    """Each receipted row against the leaf that is sealed in its place; the leaves are proven against the header's root."""
    from affidavit.streams.segment import root_of

    for span in desk.ask("decisions.spans_of", stream.known["stream"]):
        mine = [s for s in stream.held if span["first_seq"] <= s <= span["last_seq"]]
        if not mine:
            continue
        where = sealed_rows.placed(desk, span)
        leaves = sealed_rows.opened(desk, where).leaves()
        if "sha256:" + root_of(leaves).hex() != where.header.root:
            raise Tampered(f"segment {where.header.id}: its leaves are not those that were sealed.",
                           next_step="restore it from a backup; `affidavit decisions verify-segments` lists what differs.")  # fmt: skip
        for seq in mine:
            receipt, line = stream.held[seq]
            at = (seq - span["first_seq"]) * 32
            if leaves[at : at + 32] != receipt.leaf:
                stream.different[seq] = line


def _told(
    request: c.PresentReceipts, desk: Desk, streams: dict[str, _Stream], forged: list[str], unknown: list[str]
) -> tuple[c.RecordReceipts | None, Any]:
    details: dict[str, Any] = {}
    missing = pending = different = sealed = 0
    for name, s in sorted(streams.items()):
        beyond, ended = s.beyond(), s.known["state"] != "open"
        missing, pending = missing + len(beyond) * ended, pending + len(beyond) * (not ended)
        different += len(s.different)
        sealed += len(s.held) - len(beyond) - len(s.different)
        details[name] = {
            "host": s.known["host"], "pid": s.known["pid"], "state": s.known["state"],
            "signed": ranges_of([x for x in s.held if x not in s.different]),
            "beyond": [[x, s.held[x][0].id] for x in beyond],
            "different": [[x, s.held[x][0].id] for x in sorted(s.different)],
            "missing": ranges_of(beyond) if ended else [],
            "lines": [s.held[x][1] for x in beyond[:SHOWN]] + [*s.different.values()][:SHOWN],
        }  # fmt: skip
    presented = sealed + missing + pending + different + len(forged) + len(unknown)
    if not presented:
        return None, {"presented": 0}
    body = {"streams": details, "forged": forged[:SHOWN], "unknown": unknown[:SHOWN]}
    kept = desk.attach(canonical.encode(body), "application/json", "receipts")
    command = c.RecordReceipts(
        request.source, presented, sealed, missing, len(forged), kept, different, pending, len(unknown)
    )
    lost = [
        {"stream": n, "pid": d["pid"], "host": d["host"], "rows": d["missing"]}
        for n, d in details.items()
        if d["missing"]
    ]
    return command, {
        "presented": presented, "sealed": sealed, "missing": missing, "different": different, "pending": pending,
        "forged": len(forged), "unknown": len(unknown), "without_row": lost,
    }  # fmt: skip
