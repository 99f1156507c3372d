"""Signed notes: text with signature lines behind it, parsed strictly and verified against known keys.

Nothing of a note may be used before ``verify_note`` returned. Source: C2SP signed-note v1.0.0; where
that leaves a choice (a known key whose signature fails, repeated lines) this does as
golang.org/x/mod/sumdb/note does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.fields import base64_bytes, base64_text, shown
from affidavit.ledger.keys import VerifierKey, check_name, parse_vkey

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100

_AGAIN = "Fetch the note again; if it is the same, do not rely on it."
_DASH = "\u2014 "


class SignsNotes(Protocol):
    """What ``sign_note`` needs of a signer; the port ``Signer`` has it."""

    def sign(self, body: bytes) -> bytes:
        """The complete signature line over ``body``, with its newline."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, its 4-byte id, and the bytes behind the id (at least one)."""

    name: str
    key_id: bytes
    blob: bytes

    @property
    def line(self) -> str:
        """The line without its newline."""
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.blob)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note whose syntax is right. Until verified, ``body`` is only bytes from a stranger.

    ``body`` includes its final newline; ``verified`` is empty for a note that was only parsed.
    """

    body: bytes
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether a verified signature of this very key is on the note."""
        return any((line.name, line.key_id) == (key.name, key.id) for line in self.verified)


def parse_note(data: bytes) -> Note:
    """Split a note at its last blank line and read the signature lines; no signature is checked.

    Args:
        data: the whole note, at most 1,000,000 bytes; empty is malformed.

    Raises:
        Invalid: too large, not UTF-8, a control character other than newline, no blank line, no or
            more than 100 signatures, or a line that is not one. Limits are checked before parsing.

    Source: C2SP signed-note, "Format".
    """
    if not isinstance(data, bytes):
        raise Invalid(f"A note is bytes, not {type(data).__name__}.", next_step="Pass the bytes of the file.")
    if len(data) > MAX_NOTE_BYTES:
        raise Invalid(f"The note has {len(data)} bytes, more than {MAX_NOTE_BYTES}.", next_step="Refuse it.")
    _check_text(data)
    head, blank, tail = data.rpartition(b"\n\n")
    if not blank or not tail.endswith(b"\n"):
        raise Invalid("The note has no signature lines behind a last blank line.", next_step=_AGAIN)
    if tail.count(b"\n") > MAX_SIGNATURES:
        raise Invalid(f"The note has more than {MAX_SIGNATURES} signatures.", next_step="Refuse it.")
    lines = tail.decode()[:-1].split("\n")
    return Note(head + b"\n", (), tuple(_parse_signature(line) for line in lines))


def _check_text(data: bytes) -> None:
    if any(byte < 0x20 and byte != 0x0A for byte in set(data)):
        raise Invalid("The note contains a control character.", next_step=_AGAIN)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Invalid("The note is not UTF-8 text.", next_step=_AGAIN) from error


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise Invalid(f"{shown(line)} is not a signature line.", next_step=_AGAIN)
    name, _, blob64 = line.removeprefix(_DASH).partition(" ")
    check_name(name)
    raw = base64_bytes(blob64, f"signature of {shown(name)}")
    if len(raw) < 5:
        raise Invalid(f"The signature of {shown(name)} is too short.", next_step=_AGAIN)
    return Signature(name, raw[:4], raw[4:])


def verifier_keys(vkeys: Iterable[str | VerifierKey]) -> tuple[VerifierKey, ...]:
    """Keys from texts or keys, in order and without repeats.

    Raises:
        Invalid: a text that is no verifier key.
    """
    if isinstance(vkeys, str):
        raise Invalid("Verifier keys come as a list, not as one text.", next_step="Pass [vkey].")
    return tuple(dict.fromkeys(key if isinstance(key, VerifierKey) else parse_vkey(key) for key in vkeys))


def verify_note(data: bytes, vkeys: Iterable[str | VerifierKey]) -> Note:
    """The note carries a valid signature of at least one of the given keys, and no failing one of them.

    Args:
        data: the whole note, at most 1,000,000 bytes.
        vkeys: the keys that the caller trusts; with none, every note is refused.

    Returns:
        The note with its verified signatures (one per key) and the unverified ones of unknown keys.

    Raises:
        Invalid: a malformed note or key, or two given keys share the name and id of a signature.
        Tampered: a given key's signature fails, or none of the keys signed.

    Source: C2SP signed-note, "Signatures".
    """
    known = verifier_keys(vkeys)
    note = parse_note(data)
    verified: dict[tuple[str, bytes], Signature] = {}
    unverified: dict[Signature, None] = {}
    for line in note.unverified:
        key = _key_of(line, known)
        if key is None or not key.signs_notes:
            unverified[line] = None
        elif (line.name, line.key_id) not in verified:
            if not key.verifies(note.body, line.blob):
                raise Tampered(f"The signature of {key.vkey} on the note is wrong.", next_step=_AGAIN)
            verified[line.name, line.key_id] = line
    if not verified:
        raise Tampered(
            f"No known key signed the note; it names {_names(note.unverified)}.",
            next_step="Check that you hold the right verifier key; if so, do not rely on the note.",
        )
    return Note(note.body, tuple(verified.values()), tuple(unverified))


def _key_of(line: Signature, known: Sequence[VerifierKey]) -> VerifierKey | None:
    """The one key with the line's name and id, or None. The id is 4 bytes, so collisions are cheap to make."""
    found = [key for key in known if (key.name, key.id) == (line.name, line.key_id)]
    if len(found) > 1:
        raise Invalid(
            f"Two different trusted keys have the name and id {found[0].name}+{found[0].id.hex()}.",
            next_step="Find out which key is genuine and remove the other from the trusted keys.",
        )
    return found[0] if found else None


def _names(lines: Sequence[Signature]) -> str:
    return shown(", ".join(f"{line.name}+{line.key_id.hex()}" for line in lines))


def sign_note(body: bytes, *signers: SignsNotes) -> bytes:
    """A note: the body, a blank line, and the signature line of each signer, in order.

    Args:
        body: the text to sign, ending in a newline.
        signers: at least one.

    Raises:
        Invalid: the result would not be a note (no newline at the end, control characters, no signer).
    """
    if not isinstance(body, bytes) or not body.endswith(b"\n"):
        raise Invalid("The body of a note ends in a newline.", next_step="Add it before signing.")
    _check_text(body)
    note = body + b"\n" + b"".join(signer.sign(body) for signer in signers)
    parse_note(note)
    return note
