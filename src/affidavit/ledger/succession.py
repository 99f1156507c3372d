"""How the key of a log changes: rotation signed by the old and the new key, recovery by the offline recovery key.

The origin stays; only the key under it changes. Source of both formats: docs/spec/log.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.fields import check_count, check_line, number, shown, text_lines
from affidavit.ledger.keys import ED25519, VerifierKey, parse_vkey
from affidavit.ledger.notes import Note, SignsNotes, parse_note, sign_note, verifier_keys, verify_note

ROTATION_HEADER = "affidavit.dev/rotation/v1"
RECOVERY_HEADER = "affidavit.dev/recovery/v1"

_REFUSE = "Keep trusting the key that you hold, and ask the operator of the log over another channel."


@dataclass(frozen=True, slots=True)
class Rotation:
    """From ``size`` entries on, the log ``origin`` signs with ``new_vkey`` (an Ed25519 key named after it)."""

    origin: str
    new_vkey: str
    size: int

    def __post_init__(self) -> None:
        _check_successor(self.origin, self.new_vkey, self.size)

    def body(self) -> bytes:
        """The four lines that old and new key sign: header, origin, new verifier key, size."""
        return _body(ROTATION_HEADER, self.origin, self.new_vkey, self.size)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The key of ``origin`` is lost or stolen: what it signed counts up to ``size`` entries only (the cut)."""

    origin: str
    new_vkey: str
    size: int

    def __post_init__(self) -> None:
        _check_successor(self.origin, self.new_vkey, self.size)

    def body(self) -> bytes:
        """The four lines that the recovery key signs: header, origin, new verifier key, cut."""
        return _body(RECOVERY_HEADER, self.origin, self.new_vkey, self.size)


def _check_successor(origin: str, new_vkey: str, size: int) -> None:
    check_line(origin, "origin")
    check_count(size, "size")
    key = parse_vkey(new_vkey)
    if key.kind != ED25519 or key.name != origin:
        raise Invalid(
            f"The new key {shown(new_vkey)} is not an Ed25519 key named {shown(origin)}.",
            next_step="Make the new key under the origin of the log; the origin never changes.",
        )


def _body(header: str, origin: str, new_vkey: str, size: int) -> bytes:
    return f"{header}\n{origin}\n{new_vkey}\n{size}\n".encode()


def _fields(body: bytes, header: str) -> tuple[str, str, int]:
    lines = text_lines(body, "key change")
    if len(lines) != 4 or lines[0] != header:
        raise Invalid(f"The note is not one of four lines that begins {header}.", next_step="Check the file.")
    return lines[1], lines[2], number(lines[3], "size of the key change")


def sign_rotation(rotation: Rotation, old: SignsNotes, new: SignsNotes) -> bytes:
    """The note of a rotation with two signature lines, the old key's first."""
    return sign_note(rotation.body(), old, new)


def parse_rotation(body: bytes) -> Rotation:
    """A rotation from the body of a note.

    Raises:
        Invalid: not exactly four lines, another header, or a field that is not canonical.
    """
    return Rotation(*_fields(body, ROTATION_HEADER))


def open_rotation(data: bytes, vkeys: Iterable[str | VerifierKey]) -> Rotation:
    """The rotation is signed by a trusted key of the log and by the new key.

    Args:
        data: the note.
        vkeys: keys that the caller trusts for this log so far; one named after the origin must have signed.

    Raises:
        Invalid: a malformed note, key or body.
        Tampered: the old or the new key did not sign, a signature fails, or the new key is an old one.
    """
    rotation = parse_rotation(parse_note(data).body)
    new = parse_vkey(rotation.new_vkey)
    old = [key for key in verifier_keys(vkeys) if key.name == rotation.origin]
    if any(key.public == new.public for key in old):
        raise Tampered("The rotation leads to a key that is in use already.", next_step=_REFUSE)
    note = verify_note(data, [*old, new])
    _require(note, old, "a trusted key of the log")
    _require(note, [new], "the new key")
    return rotation


def sign_recovery(recovery: Recovery, recovery_key: SignsNotes) -> bytes:
    """The note of a recovery, signed by the recovery key."""
    return sign_note(recovery.body(), recovery_key)


def parse_recovery(body: bytes) -> Recovery:
    """A recovery from the body of a note.

    Raises:
        Invalid: not exactly four lines, another header, or a field that is not canonical.
    """
    return Recovery(*_fields(body, RECOVERY_HEADER))


def open_recovery(data: bytes, recovery_vkey: str | VerifierKey) -> Recovery:
    """The recovery is signed by the recovery key that entry 0 of the log names.

    Raises:
        Invalid: a malformed note, key or body.
        Tampered: the recovery key did not sign, its signature fails, or the new key is the recovery key itself.
    """
    recovery = parse_recovery(parse_note(data).body)
    (key,) = verifier_keys([recovery_vkey])
    if parse_vkey(recovery.new_vkey).public == key.public:
        raise Tampered("The recovery leads to the recovery key itself.", next_step=_REFUSE)
    verify_note(data, [key])
    return recovery


def _require(note: Note, keys: Sequence[VerifierKey], who: str) -> None:
    if not any(note.signed_by(key) for key in keys):
        raise Tampered(f"The rotation is not signed by {who}.", next_step=_REFUSE)


@dataclass(frozen=True, slots=True)
class KeyTerm:
    """``vkey`` signs checkpoints of sizes from ``start`` on; ``stop`` is the size of its successor's start, or None."""

    vkey: str
    start: int
    stop: int | None


def follow(origin: str, vkey: str, changes: Sequence[bytes], *, recovery_vkey: str | None = None) -> list[KeyTerm]:
    """The keys of a log in order, from one that the caller pinned through rotations and recoveries.

    Args:
        origin: the log.
        vkey: the key that the caller trusts at size 0.
        changes: notes of rotations and recoveries, oldest first; none give one term.
        recovery_vkey: from entry 0; without it, recoveries are refused.

    Raises:
        Invalid: a malformed note or key, or a recovery without ``recovery_vkey``.
        Tampered: a change is not signed as required, is of another log, goes backwards in size,
            or returns to an earlier key. The last change said once more is none of these: an interrupted
            change was finished, and gives another term of the same key.
    """
    terms = [KeyTerm(vkey, 0, None)]
    trusted = vkey
    for data in changes:
        again = len(terms) > 1 and _leads_to(data) == terms[-1].vkey
        if not again:
            trusted = terms[-1].vkey
        change = _open_change(data, trusted, recovery_vkey)
        if change.origin != origin:
            raise Tampered(f"The key change is of log {shown(change.origin)}.", next_step=_REFUSE)
        if change.size < terms[-1].start or (not again and change.new_vkey in [term.vkey for term in terms]):
            raise Tampered("The key change goes back to an earlier size or key.", next_step=_REFUSE)
        terms[-1] = KeyTerm(terms[-1].vkey, terms[-1].start, change.size)
        terms.append(KeyTerm(change.new_vkey, change.size, None))
    return terms


def _leads_to(data: bytes) -> str:
    """The new key that a change names, before any signature is checked."""
    body = parse_note(data).body
    recovery = body.startswith(f"{RECOVERY_HEADER}\n".encode())
    return parse_recovery(body).new_vkey if recovery else parse_rotation(body).new_vkey


def _open_change(data: bytes, vkey: str, recovery_vkey: str | None) -> Rotation | Recovery:
    if not parse_note(data).body.startswith(f"{RECOVERY_HEADER}\n".encode()):
        return open_rotation(data, [vkey])
    if recovery_vkey is None:
        raise Invalid("A recovery needs the recovery key of the log.", next_step="Take it from entry 0 of the log.")
    return open_recovery(data, recovery_vkey)
