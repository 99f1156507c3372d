"""Checkpoints: the size and root of a log, signed by its key.

Source: C2SP tlog-checkpoint v1.0.0. Cosignatures of witnesses (signature types 0x04 and 0x06) are
further signature lines on the same note; they are kept in ``SignedCheckpoint.note.unverified``, and
that is where their verification will attach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from affidavit.core.errors import Invalid, Tampered
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
from affidavit.ledger.merkle import EMPTY_ROOT
from affidavit.ledger.notes import Note, SignsNotes, sign_note, verifier_keys, verify_note

_AGAIN = "Fetch the checkpoint again; if it is the same, do not rely on it."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of a log at one size.

    ``origin`` names the log, ``size`` counts its entries (0 for the empty log, whose root is SHA-256 of
    nothing), ``root`` has 32 bytes. ``extensions`` are opaque lines of other logs; ours write none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_line(self.origin, "origin")
        check_count(self.size, "size")
        check_hash(self.root, "root")
        for line in self.extensions:
            check_line(line, "extension line")
        if (self.size == 0) != (self.root == EMPTY_ROOT):
            raise Invalid(
                f"Size {self.size} and root {self.root.hex()} do not belong together.",
                next_step="The root of the empty log, and only that, is SHA-256 of nothing.",
            )

    def body(self) -> bytes:
        """The bytes that are signed and timestamped: origin, size, root, one line each, then extensions."""
        lines = (self.origin, str(self.size), base64_text(self.root), *self.extensions)
        return "".join(line + "\n" for line in lines).encode()


def parse_checkpoint(body: bytes) -> Checkpoint:
    """A checkpoint from the body of a note; each checkpoint has exactly one spelling.

    Raises:
        Invalid: fewer than three lines, an empty line, a size or root in any but the canonical form.

    Source: C2SP tlog-checkpoint, "Note text".
    """
    lines = text_lines(body, "checkpoint")
    if len(lines) < 3:
        raise Invalid(f"A checkpoint has at least 3 lines, not {len(lines)}.", next_step=_AGAIN)
    return Checkpoint(
        origin=lines[0],
        size=number(lines[1], "size of the checkpoint"),
        root=base64_bytes(lines[2], "root of the checkpoint", length=HASH_BYTES),
        extensions=tuple(lines[3:]),
    )


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A verified checkpoint with the note that carries it (``note.body`` is what a timestamp covers)."""

    checkpoint: Checkpoint
    note: Note


def sign_checkpoint(checkpoint: Checkpoint, *signers: SignsNotes) -> bytes:
    """The note of a checkpoint, signed by each signer (the log's key first).

    Raises:
        Invalid: no signer, or a result that is not a note.
    """
    return sign_note(checkpoint.body(), *signers)


def open_checkpoint(data: bytes, vkeys: Iterable[str | VerifierKey], *, origin: str | None = None) -> SignedCheckpoint:
    """The checkpoint is signed by a given key of the log that it names.

    Args:
        data: the note.
        vkeys: trusted keys of logs.
        origin: the log that the caller expects, whatever its keys are called. None: a key that signed
            must bear the origin as its name, as C2SP recommends and our logs do.

    Raises:
        Invalid: a malformed note, key or checkpoint.
        Tampered: no given key signed, a signature fails, or the checkpoint is of another log.
    """
    keys = verifier_keys(vkeys)
    note = verify_note(data, keys)
    checkpoint = parse_checkpoint(note.body)
    names = [line.name for line in note.verified] if origin is None else [origin]
    if checkpoint.origin not in names:
        raise Tampered(
            f"The checkpoint is of log {shown(checkpoint.origin)}, not of {shown(', '.join(names))}.",
            next_step="Verify each log with its own key; pass the expected origin if its key has another name.",
        )
    return SignedCheckpoint(checkpoint, note)
