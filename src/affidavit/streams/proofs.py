"""The proof of one decision: from its row to a signed checkpoint, revealing no other row. [bytes]

Row and salt (or the leaf, once erased) → path in the segment → header → path in the batch → entry → receipt of the
log. Verification needs core and ledger formats alone: no Parquet, no network, no code from the proof.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from affidavit.core import canonical, codec
from affidavit.core.envelope import Raw, split
from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.checkpoint import SignedCheckpoint
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.merkle import leaf_hash, verify_inclusion
from affidavit.ledger.proofs import parse_receipt
from affidavit.streams.rows import decode_row, leaf_of
from affidavit.streams.schema import Schema, schema_of
from affidavit.streams.sealed import SegmentSealed, check_header

FORMAT = "affidavit.dev/decision-proof/v1"
BATCH_TAG, ERASED_TAG = "decisions.batch_sealed", "decisions.rows_erased"
MAX_PROOF = 64 << 20
_REFUSE = "refuse the proof and ask for it again."


@dataclass(frozen=True, slots=True)
class Anchored:
    """An entry with its receipt: the bytes of the entry, the C2SP tlog-proof, RFC 3161 stamps of its checkpoint (DER)."""

    entry: bytes
    receipt: bytes
    timestamps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionProof:
    """What the file holds. ``salt`` and ``row`` are None when erased: then ``leaf`` stands and ``erasure`` proves why."""

    schema: Schema
    index: int
    leaf: bytes
    salt: bytes | None
    row: bytes | None
    segment: SegmentSealed
    segment_path: tuple[bytes, ...]
    batch_index: int
    batch_path: tuple[bytes, ...]
    sealed: Anchored
    erasure: Anchored | None = None

    def encode(self) -> bytes:
        """The file: one canonical JSON object and a newline."""
        value = {
            "batch": {"index": self.batch_index, "path": _texts(self.batch_path)},
            "erasure": _anchored(self.erasure) if self.erasure else None,
            "format": FORMAT,
            "leaf": {"hash": _b64(self.leaf), "index": self.index, "path": _texts(self.segment_path)},
            "row": _b64(self.row) if self.row is not None else None,
            "salt": _b64(self.salt) if self.salt is not None else None,
            "schema": self.schema.value(),
            "sealed": _anchored(self.sealed),
            "segment": codec.dump_object(self.segment),
        }
        return canonical.encode(value) + b"\n"


@dataclass(frozen=True, slots=True)
class Proven:
    """What a verified proof shows. ``values`` by column name, empty when erased. ``at`` is the entry's own time."""

    state: Literal["verified", "erased"]
    origin: str
    entry_index: int
    at: str
    checkpoint: SignedCheckpoint
    segment: SegmentSealed
    values: Mapping[str, Any] = field(default_factory=dict)


def is_decision_proof(body: bytes) -> bool:
    """Whether a file looks like one."""
    return body.startswith(b'{"batch":') and f'"format":"{FORMAT}"'.encode() in body


def parse_proof(body: bytes) -> DecisionProof:
    """The proof in a file; nothing is verified yet. Raises ``Invalid``."""
    if len(body) > MAX_PROOF:
        raise Invalid(f"a proof of {len(body)} bytes; at most {MAX_PROOF}.", next_step="refuse it.")
    value = canonical.decode(body.removesuffix(b"\n"))
    known = {"batch", "erasure", "format", "leaf", "row", "salt", "schema", "sealed", "segment"}
    if not isinstance(value, dict) or set(value) != known or value["format"] != FORMAT:
        raise Invalid(f"that is no {FORMAT}.", next_step="check that it is a .proof file of a decision.")
    leaf, batch = _part(value, "leaf", {"hash", "index", "path"}), _part(value, "batch", {"index", "path"})
    header: SegmentSealed = codec.load_object(SegmentSealed, value["segment"], "segment")
    check_header(header)
    row, salt = value["row"], value["salt"]
    if (row is None) != (salt is None) or (row is None) != (value["erasure"] is not None):
        raise Invalid("a proof has row and salt, or an erasure.", next_step=_REFUSE)
    return DecisionProof(
        schema_of(value["schema"]), _count(leaf["index"]), _bytes(leaf["hash"], 32),
        None if salt is None else _bytes(salt, 32), None if row is None else _bytes(row), header,
        _hashes(leaf["path"]), _count(batch["index"]), _hashes(batch["path"]), _read_anchored(value["sealed"]),
        _read_anchored(value["erasure"]) if value["erasure"] is not None else None,
    )  # fmt: skip


def verify_proof(proof: DecisionProof, vkeys: Iterable[str | VerifierKey], *, origin: str | None = None) -> Proven:
    """The row is in a sealed segment of the log of a signed checkpoint, or was erased by an entry of that log.

    Raises:
        Invalid: a part that is off form.
        Tampered: a hash, path, root or signature that does not fit.
    """
    keys = list(vkeys)
    header = proof.segment
    if proof.schema.digest_text != header.schema:
        raise Tampered("the schema is not the one the segment names.", next_step=_REFUSE)
    if proof.row is not None and proof.salt is not None and leaf_of(proof.salt, proof.row) != proof.leaf:
        raise Tampered("salt and row do not hash to the leaf.", next_step=_REFUSE)
    verify_inclusion(proof.leaf, proof.index, header.n, proof.segment_path, _root(header.root))
    signed, raw, index = _verify_entry(proof.sealed, keys, origin, BATCH_TAG)
    data = raw.data
    _check_batch(proof, data)
    values: dict[str, Any] = {}
    if proof.row is not None:
        values = dict(zip(proof.schema.names, decode_row(proof.schema, proof.row), strict=True))
    elif proof.erasure is not None:
        _check_erasure(proof, keys, signed.checkpoint.origin)
    state: Literal["verified", "erased"] = "verified" if proof.row is not None else "erased"
    at = codec.dump_object(raw.head)["at"]
    return Proven(state, signed.checkpoint.origin, index, at, signed, header, values)


def _verify_entry(
    part: Anchored, keys: Sequence[str | VerifierKey], origin: str | None, tag: str
) -> tuple[SignedCheckpoint, Raw, int]:
    receipt = parse_receipt(part.receipt)
    signed = receipt.verify(leaf_hash(part.entry), keys, origin=origin)
    raw = split(part.entry)
    if raw.head.tag != tag or raw.head.v != 1 or raw.head.log != signed.checkpoint.origin:
        raise Tampered(f"the entry is no {tag} of log {signed.checkpoint.origin}.", next_step=_REFUSE)
    return signed, raw, receipt.index


def _check_batch(proof: DecisionProof, data: Mapping[str, Any]) -> None:
    count, root = data.get("segments"), data.get("root")
    if type(count) is not int or not isinstance(root, str):
        raise Tampered("the entry states no batch.", next_step=_REFUSE)
    leaf = leaf_hash(proof.segment.leaf_entry())
    verify_inclusion(leaf, proof.batch_index, count, proof.batch_path, _root(root))


def _check_erasure(proof: DecisionProof, keys: Sequence[str | VerifierKey], origin: str) -> None:
    """The erasing entry names the segment, its unchanged root, and a range that holds the row."""
    assert proof.erasure is not None  # noqa: S101 - the caller's branch
    _, raw, _ = _verify_entry(proof.erasure, keys, origin, ERASED_TAG)
    data, header = raw.data, proof.segment
    same = all(data.get(k) == v for k, v in (("stream", header.stream), ("first_seq", header.first_seq),
                                            ("last_seq", header.last_seq), ("root", header.root)))  # fmt: skip
    ranges = data.get("rows")
    held = isinstance(ranges, list) and any(
        isinstance(r, dict) and type(r.get("first")) is int and type(r.get("last")) is int
        and r["first"] <= proof.index <= r["last"] for r in ranges
    )  # fmt: skip
    if not same or not held:
        raise Tampered("the erasing entry does not name this row.", next_step=_REFUSE)


def _root(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest.removeprefix("sha256:"))
    except ValueError:
        raise Invalid(f"{digest[:80]!r} is no digest.", next_step=_REFUSE) from None


def _b64(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _bytes(text: Any, length: int | None = None) -> bytes:
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Invalid("a part of the proof is no base64.", next_step=_REFUSE) from None
    if (length is not None and len(body) != length) or _b64(body) != text:
        raise Invalid("a part of the proof has the wrong length or spelling.", next_step=_REFUSE)
    return body


def _texts(hashes: Iterable[bytes]) -> list[str]:
    return [_b64(h) for h in hashes]


def _hashes(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > 63:
        raise Invalid("a path of the proof is no list of at most 63 hashes.", next_step=_REFUSE)
    return tuple(_bytes(v, 32) for v in value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Invalid("an index of the proof is no whole number.", next_step=_REFUSE)
    return value


def _part(value: Mapping[str, Any], name: str, known: set[str]) -> Mapping[str, Any]:
    part = value[name]
    if not isinstance(part, dict) or set(part) != known:
        raise Invalid(f"the part {name} of the proof is off form.", next_step=_REFUSE)
    return part


def _anchored(part: Anchored) -> dict[str, Any]:
    return {"entry": _b64(part.entry), "receipt": _b64(part.receipt), "timestamps": _texts(part.timestamps)}


def _read_anchored(value: Any) -> Anchored:
    part = _part({"entry": value}, "entry", {"entry", "receipt", "timestamps"})
    stamps = part["timestamps"]
    if not isinstance(stamps, list) or len(stamps) > 16:
        raise Invalid("the timestamps of the proof are no short list.", next_step=_REFUSE)
    return Anchored(_bytes(part["entry"]), _bytes(part["receipt"]), tuple(_bytes(s) for s in stamps))
