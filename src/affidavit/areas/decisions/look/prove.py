"""The proof of one decision, from what is stored: nothing in it is taken on trust from the stores."""

from __future__ import annotations

from functools import lru_cache

from affidavit.areas.decisions.look import commands as c
from affidavit.areas.decisions.look.finding import seen
from affidavit.areas.decisions.sealed_rows import Row
from affidavit.core.area import Desk, Document
from affidavit.core.errors import NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.ledger.checkpoint import parse_checkpoint
from affidavit.ledger.notes import parse_note
from affidavit.ledger.proofs import parse_receipt
from affidavit.streams.proofs import Anchored, DecisionProof
from affidavit.streams.sealed import SegmentSealed, batch_leaves


def prove(request: c.Prove, desk: Desk) -> Document:
    """The ``.proof`` file. Raises ``NotFound`` for an unknown id and before publication, ``Tampered``."""
    row = seen(desk, request.decision, "prove")
    proof = proof_of(desk, row)
    body = proof.encode()
    facts = {
        "decision": request.decision, "state": "verified" if row.row is not None else "erased",
        "segment": row.placed.header.id, "row": row.index, "entry": row.placed.record.index,
        "checkpoint": published_under(proof.sealed.receipt), "bytes": len(body),
    }  # fmt: skip
    return Document(body, "application/json", f"decision-{request.decision}.proof", facts)


def proof_of(desk: Desk, row: Row) -> DecisionProof:
    """The proof of a verified row, erased or not."""
    where = row.placed
    erasure = None
    if row.row is None:
        erasure = anchored(desk, erasing_entry(desk, row))
    batch_path = _batch_path(where.headers, where.position)
    return DecisionProof(
        row.schema, row.index, row.leaf, row.salt, row.row, where.header, row.path, where.position, batch_path,
        anchored(desk, where.record.index), erasure,
    )  # fmt: skip


@lru_cache(4096)
def _batch_path(headers: tuple[SegmentSealed, ...], position: int) -> tuple[bytes, ...]:
    return tuple(merkle.inclusion_proof(batch_leaves(headers), position))


def anchored(desk: Desk, index: int) -> Anchored:
    """An entry and its receipt, which fit each other: what does not verify is not handed out. Raises ``Tampered``."""
    part = Anchored(*desk.proof_of(index))
    receipt = parse_receipt(part.receipt)
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint).body)
    merkle.verify_inclusion(merkle.leaf_hash(part.entry), index, checkpoint.size, receipt.hashes, checkpoint.root)
    return part


def erasing_entry(desk: Desk, row: Row) -> int:
    """The entry that erased a row. Raises ``Tampered``: a payload that is gone without one is damage."""
    header = row.placed.header
    found: int | None = desk.ask("decisions.erasure_of", header.stream, header.first_seq, row.index)
    if found is None:
        raise Tampered(
            f"segment {header.id}: the payload of row {row.index} is gone and no entry erased it.",
            next_step="restore the segment from a backup.",
        )
    return found


def published_under(receipt: bytes) -> int:
    """The size of the checkpoint in a receipt."""
    return parse_checkpoint(parse_note(parse_receipt(receipt).checkpoint).body).size


def publication(desk: Desk, entry: int) -> str:
    """``published under size N``, or why there is no proof yet."""
    try:
        return f"published under size {published_under(desk.proof_of(entry)[1])}"
    except NotFound as e:
        return f"not published: {e.problem}"
