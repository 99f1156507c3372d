"""Decisions sealed by hand in the paper ledger, and the proof of any of them: no Parquet, no workspace."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from paper_ledger import ORIGIN, PaperLedger, uid

from affidavit.areas.decisions.events import BatchSealed, RowRange, RowsErased
from affidavit.core.envelope import Draft
from affidavit.ledger import merkle
from affidavit.ledger.proofs import make_receipt
from affidavit.ledger.reader import TileReader
from affidavit.streams import kinds
from affidavit.streams.proofs import Anchored, DecisionProof
from affidavit.streams.rows import encode_row, leaf_of
from affidavit.streams.schema import Column, Schema
from affidavit.streams.sealed import SegmentSealed, batch_leaves, batch_root, encode_headers, span_of

AT_MS = 1_767_600_000_000
MODEL = hashlib.sha256(b"the model").digest()
SCHEMA = kinds.decisions(
    [Column("in.age", "f64"), Column("in.job", "str")], [Column("out", "f64"), Column("out.label", "i64")]
)
ZERO = "sha256:" + "0" * 64


def seal(ledger: PaperLedger, count: int = 5, schema: Schema = SCHEMA, **values: Any) -> Sealed:
    """``count`` rows in the middle one of three segments of a batch, published."""
    rows, salts = [], []
    for n in range(count):
        given = {
            "id": bytes.fromhex(uid(n + 1).replace("-", "")), "at": AT_MS + n, "deployment": bytes.fromhex(uid(9).replace("-", "")),
            "version": MODEL, "in.age": 30.5 + n, "in.job": "nurse", "out": 0.25, "out.label": 0, "caller": "portal",
            "adverse": True, "subject": "s1", **values,
        }  # fmt: skip
        rows.append(encode_row(schema, [given.get(name) for name in schema.names]))
        salts.append(hashlib.sha256(b"salt %d" % n).digest())
    leaves = [leaf_of(s, r) for s, r in zip(salts, rows, strict=True)]
    header = _header(schema, 1, count, "sha256:" + merkle.root(leaves).hex())
    headers = (_header(schema, 0, 1, ZERO), header, _header(schema, 2, 1, ZERO))
    body = encode_headers(headers)
    fact = BatchSealed(
        uid(77), "embedded", 3, count + 2, header.t_min, header.t_max, batch_root(headers), ledger.attach(body, "application/json", "segments"),
        tuple(span_of(h) for h in headers), (schema.kind,) * 3,
    )  # fmt: skip
    entry = ledger.command(Draft(fact, ("sealer:embedded",)))
    ledger.publish()
    return Sealed(ledger, schema, rows, salts, leaves, headers, entry)


def _header(schema: Schema, number: int, count: int, root: str) -> SegmentSealed:
    first, last = datetime.fromtimestamp(AT_MS / 1000, UTC), datetime.fromtimestamp(AT_MS / 1000 + count, UTC)
    return SegmentSealed(
        uid(50 + number),
        schema.kind,
        0,
        count - 1,
        count,
        first,
        last,
        root,
        schema.digest_text,
        ZERO,
        1,
        ZERO,
        "test",
        count,
        count,
        uid(9),
    )


class Sealed:
    """What was sealed; ``proof(index)`` proves a row, ``erased(index)`` the same row after an entry erased it."""

    def __init__(self, ledger, schema, rows, salts, leaves, headers, entry) -> None:
        self.ledger, self.schema, self.rows, self.salts, self.leaves = ledger, schema, rows, salts, leaves
        self.headers, self.entry = headers, entry

    def anchored(self, index: int, *stamps: bytes) -> Anchored:
        """An entry under the newest checkpoint."""
        reader = TileReader(self.ledger.read, self.ledger.size)
        receipt = make_receipt(reader, index, self.ledger.notes[self.ledger.size])
        return Anchored(self.ledger.bodies[index], receipt.encode(), stamps)

    def proof(self, index: int, *stamps: bytes) -> DecisionProof:
        """The proof of a row."""
        return DecisionProof(
            self.schema, index, self.leaves[index], self.salts[index], self.rows[index], self.headers[1],
            tuple(merkle.inclusion_proof(self.leaves, index)), 1, tuple(merkle.inclusion_proof(batch_leaves(self.headers), 1)),
            self.anchored(self.entry, *stamps),
        )  # fmt: skip

    def erase(self, first: int, last: int) -> int:
        """An entry that erases rows of the segment, published."""
        h = self.headers[1]
        fact = RowsErased(
            uid(88),
            h.stream,
            h.first_seq,
            h.last_seq,
            h.kind,
            h.root,
            (RowRange(first, last),),
            ZERO,
            "sha256:" + "1" * 64,
            1,
        )
        entry = self.ledger.command(Draft(fact, (f"stream:{h.stream}",)))
        self.ledger.publish()
        return entry

    def erased(self, index: int, entry: int) -> DecisionProof:
        """The proof of an erased row."""
        return replace(self.proof(index), salt=None, row=None, erasure=self.anchored(entry))


__all__ = ["MODEL", "ORIGIN", "SCHEMA", "Sealed", "seal"]
