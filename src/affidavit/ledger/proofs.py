"""What a log hands out: ``Receipt``, an offline proof of inclusion, and ``Accepted``, a signed promise.

A promise that the log breaks is evidence against it: ``check_accepted``. Source of the receipt format:
C2SP tlog-proof; of the promise: docs/spec/log.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, parse_checkpoint
from affidavit.ledger.fields import (
    HASH_BYTES,
    base64_bytes,
    base64_text,
    check_count,
    check_hash,
    check_line,
    number,
    shown,
    text_lines,
)
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.merkle import verify_inclusion
from affidavit.ledger.notes import MAX_NOTE_BYTES, SignsNotes, parse_note, sign_note, verifier_keys, verify_note
from affidavit.ledger.reader import TileReader
from affidavit.ledger.tiles import Read

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
ACCEPTED_HEADER = "affidavit.dev/accepted/v1"
MAX_PROOF_HASHES = 63

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)
_AGAIN = "Fetch the file again; if it is the same, do not rely on it."


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is in a log, verifiable offline with the log's key.

    ``index`` is 0-based; ``hashes`` the inclusion proof, leaf to root, 0 to 63 of 32 bytes;
    ``checkpoint`` the note, verbatim; ``extra`` unauthenticated bytes, empty for none.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        check_count(self.index, "index")
        for value in self.hashes:
            check_hash(value, "hash of the proof")
        if len(self.hashes) > MAX_PROOF_HASHES:
            raise Invalid(f"A proof of {len(self.hashes)} hashes is too long.", next_step="At most 63 can occur.")
        parse_checkpoint(parse_note(self.checkpoint).body)

    def encode(self) -> bytes:
        """The receipt as text, file extension ``.tlog-proof`` (C2SP tlog-proof, "Format")."""
        lines = [PROOF_HEADER]
        if self.extra:
            lines.append(f"extra {base64_text(self.extra)}")
        lines += [f"index {self.index}", *map(base64_text, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    def verify(self, leaf: bytes, vkeys: Iterable[str | VerifierKey], *, origin: str | None = None) -> SignedCheckpoint:
        """The entry with leaf hash ``leaf`` (32 bytes) is at ``index`` of the log of the signed checkpoint.

        Size and root come from the verified checkpoint alone. ``vkeys`` and ``origin`` as in ``open_checkpoint``.

        Raises:
            Invalid: a malformed checkpoint or key, or an index beyond the checkpoint.
            Tampered: the checkpoint does not verify, or the entry is not proven to be in it.

        Source: C2SP tlog-proof, "Verifying a tlog proof".
        """
        signed = open_checkpoint(self.checkpoint, vkeys, origin=origin)
        verify_inclusion(leaf, self.index, signed.checkpoint.size, self.hashes, signed.checkpoint.root)
        return signed


def parse_receipt(data: bytes) -> Receipt:
    """A receipt from its text; nothing is verified yet.

    Args:
        data: the whole file, at most 1,000,000 bytes.

    Raises:
        Invalid: too large, another header, an empty ``extra``, a number or hash that is not canonical, more than
            63 hashes, or no checkpoint behind the blank line.

    Source: C2SP tlog-proof, "Format".
    """
    if not isinstance(data, bytes) or len(data) > MAX_NOTE_BYTES:
        raise Invalid(f"A proof is at most {MAX_NOTE_BYTES} bytes.", next_step="Refuse it.")
    head, blank, note = data.partition(b"\n\n")
    if not blank:
        raise Invalid("The proof has no blank line before a checkpoint.", next_step=_AGAIN)
    lines = text_lines(head + b"\n", "proof")
    if lines.pop(0) != PROOF_HEADER:
        raise Invalid(
            f"The proof does not begin with {PROOF_HEADER}.", next_step="Check that it is a .tlog-proof file."
        )
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = base64_bytes(lines.pop(0).removeprefix("extra "), "extra line of the proof")
        if not extra:
            raise Invalid("The extra line of the proof is empty.", next_step="Leave the line out.")
    if not lines or not lines[0].startswith("index "):
        raise Invalid("The proof has no index line.", next_step=_AGAIN)
    index = number(lines.pop(0).removeprefix("index "), "index of the proof")
    if len(lines) > MAX_PROOF_HASHES:
        raise Invalid(f"A proof of {len(lines)} hashes is too long.", next_step="Refuse it; at most 63 can occur.")
    hashes = tuple(base64_bytes(line, "hash of the proof", length=HASH_BYTES) for line in lines)
    return Receipt(index, hashes, note, extra)


def make_receipt(reader: TileReader, index: int, checkpoint: bytes, extra: bytes = b"") -> Receipt:
    """The receipt of entry ``index`` under a checkpoint whose size is the reader's.

    Raises:
        Invalid: the index is not below the size.
        NotFound, Tampered: a tile is missing or has the wrong length.
    """
    return Receipt(index, tuple(reader.inclusion_proof(index)), checkpoint, extra)


def format_time(at: datetime) -> str:
    """A UTC time as ``YYYY-MM-DDTHH:MM:SS.mmmZ``; each time has one spelling.

    Raises:
        Invalid: no time zone, another than UTC, or finer than a millisecond.
    """
    if not isinstance(at, datetime) or at.utcoffset() != timedelta(0) or at.microsecond % 1000:
        raise Invalid(f"{shown(at)} is not a UTC time in milliseconds.", next_step="Use a time from the clock port.")
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def parse_time(text: str) -> datetime:
    """The aware UTC time of ``YYYY-MM-DDTHH:MM:SS.mmmZ``.

    Raises:
        Invalid: another form, or a day or hour that does not exist (leap seconds included).
    """
    if _TIME.fullmatch(text) is None:
        raise Invalid(f"{shown(text)} is not a time YYYY-MM-DDTHH:MM:SS.mmmZ.", next_step=_AGAIN)
    try:
        return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid(f"{text} does not exist.", next_step=_AGAIN) from error


@dataclass(frozen=True, slots=True)
class Accepted:
    """A log's promise: entry ``index`` has leaf hash ``leaf_hash``, recorded at ``at``.

    ``index`` is 0-based, ``leaf_hash`` 32 bytes, ``at`` aware UTC in milliseconds. A later log of this
    origin without the entry proves that the promise was broken.
    """

    origin: str
    index: int
    leaf_hash: bytes
    at: datetime

    def __post_init__(self) -> None:
        check_line(self.origin, "origin")
        check_count(self.index, "index")
        check_hash(self.leaf_hash, "leaf hash")
        format_time(self.at)

    def body(self) -> bytes:
        """The five lines that are signed (docs/spec/log.md)."""
        lines = (ACCEPTED_HEADER, self.origin, str(self.index), base64_text(self.leaf_hash), format_time(self.at))
        return "".join(line + "\n" for line in lines).encode()


def sign_accepted(promise: Accepted, signer: SignsNotes) -> bytes:
    """The note of a promise, signed by the log's key."""
    return sign_note(promise.body(), signer)


def parse_accepted(body: bytes) -> Accepted:
    """A promise from the body of a note.

    Raises:
        Invalid: not exactly five lines, another header, or a field that is not canonical.

    Source: docs/spec/log.md, "Accepted".
    """
    lines = text_lines(body, "promise")
    if len(lines) != 5 or lines[0] != ACCEPTED_HEADER:
        raise Invalid(f"The note is not a promise of five lines that begins {ACCEPTED_HEADER}.", next_step=_AGAIN)
    return Accepted(
        origin=lines[1],
        index=number(lines[2], "index of the promise"),
        leaf_hash=base64_bytes(lines[3], "leaf hash of the promise", length=HASH_BYTES),
        at=parse_time(lines[4]),
    )


def open_accepted(data: bytes, vkeys: Iterable[str | VerifierKey]) -> Accepted:
    """The promise is signed by a given key of the log that it names.

    Raises:
        Invalid: a malformed note, promise or key.
        Tampered: no given key signed, a signature fails, or the signing key is of another log.
    """
    note = verify_note(data, verifier_keys(vkeys))
    promise = parse_accepted(note.body)
    if all(line.name != promise.origin for line in note.verified):
        raise Tampered(
            f"The promise of log {shown(promise.origin)} is not signed by a key of that log.",
            next_step="Verify it with the key of the log that it names.",
        )
    return promise


class Kept(Enum):
    """How a log stands to a promise."""

    KEPT = "kept"
    PENDING = "pending"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a promise. ``held`` is the leaf hash that the log has at the index, if it reaches so far."""

    verdict: Kept
    detail: str
    held: bytes | None = None


def check_accepted(promise: Accepted, read: Read, checkpoint: Checkpoint, *, later: bool = False) -> Judgement:
    """The log of a verified checkpoint keeps the promise, has not reached its index, or breaks it.

    Args:
        promise: from ``open_accepted``.
        read: reads the log.
        checkpoint: verified, of the same origin.
        later: the caller knows that the checkpoint was published after the promise fell due (a timestamp,
            or a closed log): an index that it does not reach is then a broken promise, not a pending one.

    Returns:
        ``BROKEN`` with the proven leaf hash is proof of omission, together with promise and checkpoint.

    Raises:
        Invalid: the checkpoint is of another log.
        NotFound: a tile is missing, so that nothing can be judged.
        Tampered: the tiles do not hash to the checkpoint, so that nothing can be judged.
    """
    if promise.origin != checkpoint.origin:
        raise Invalid(
            f"A promise of {shown(promise.origin)} cannot be judged by log {shown(checkpoint.origin)}.",
            next_step="Fetch the checkpoint of the log that made the promise.",
        )
    if promise.index >= checkpoint.size:
        detail = f"The log has {checkpoint.size} entries and does not reach index {promise.index}."
        return Judgement(Kept.BROKEN if later else Kept.PENDING, detail)
    reader = TileReader(read, checkpoint.size)
    held = reader.leaf(promise.index)
    proof = reader.inclusion_proof(promise.index)
    verify_inclusion(held, promise.index, checkpoint.size, proof, checkpoint.root)
    if held == promise.leaf_hash:
        return Judgement(Kept.KEPT, f"Entry {promise.index} is in the log as promised.", held)
    return Judgement(Kept.BROKEN, f"Entry {promise.index} is proven to be another one than promised.", held)
