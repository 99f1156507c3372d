"""Keys of signed notes: verifier keys (vkeys), key ids, and the Ed25519 signer.

Source: C2SP signed-note, "Verifier keys" and "Signature types"; secret keys as in golang.org/x/mod/sumdb/note.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from affidavit.core.errors import Invalid
from affidavit.ledger.fields import base64_bytes, base64_text, check_line, shown

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_ML_DSA_44 = 0x06

_PUBLIC_BYTES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}
_COPY = "Copy the key again from its owner, as one line without spaces."


def check_name(name: str) -> str:
    """A key name is one line without Unicode spaces and without ``+``; the name is returned.

    Raises:
        Invalid: empty, or with a space, a plus or a control character.
    """
    check_line(name, "key name")
    if "+" in name or any(char.isspace() for char in name):
        raise Invalid(f"Key name {shown(name)} has a space or a plus.", next_step="Use a name such as example.com/log.")
    return name


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The 4-byte id of a key: SHA-256(name || 0x0A || type || public key)[:4]. An identifier, not a fingerprint."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that a caller trusts under a name.

    ``kind`` is the signature type: ``ED25519`` signs notes and is verified here. Keys of the two
    cosignature types are parsed and kept, and their signatures stay unverified: this is the place
    where cosignatures (C2SP tlog-cosignature) will attach.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.kind not in _PUBLIC_BYTES:
            raise Invalid(f"Key type {shown(self.kind)} is not known.", next_step="Use an Ed25519 key (type 1).")
        if not isinstance(self.public, bytes) or len(self.public) != _PUBLIC_BYTES[self.kind]:
            raise Invalid(
                f"A public key of type {self.kind} has {_PUBLIC_BYTES[self.kind]} bytes, not {len(self.public)}.",
                next_step=_COPY,
            )

    @property
    def id(self) -> bytes:
        """The key id, 4 bytes."""
        return key_id(self.name, self.kind, self.public)

    @property
    def signs_notes(self) -> bool:
        """Whether a signature of this key can be verified over the body of a note."""
        return self.kind == ED25519

    @property
    def vkey(self) -> str:
        """The key as text: ``name+hex(id)+base64(type || public key)``."""
        return f"{self.name}+{self.id.hex()}+{base64_text(bytes([self.kind]) + self.public)}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this Ed25519 key's over ``message``; False for other key types."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if not self.signs_notes or len(signature) != 64:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def _split_key(text: str, what: str) -> tuple[str, str, bytes]:
    """Name, hex id and raw key of ``name+id+base64``. Base64 may contain a plus, so two splits at most."""
    parts = text.split("+", 2) if isinstance(text, str) else []
    if len(parts) != 3:
        raise Invalid(f"{shown(text)} is not a {what}: name+id+key.", next_step=_COPY)
    raw = base64_bytes(parts[2], what)
    if not raw:
        raise Invalid(f"The {what} of {shown(parts[0])} is empty.", next_step=_COPY)
    return parts[0], parts[1], raw


def parse_vkey(text: str) -> VerifierKey:
    """A verifier key from its text; the id in it must be the id of the key.

    Raises:
        Invalid: another shape, an unknown key type, a key of wrong length, or an id that does not fit.

    Source: C2SP signed-note, "Verifier keys".
    """
    name, hex_id, raw = _split_key(text, "verifier key")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.id.hex() != hex_id:
        raise Invalid(f"Verifier key {shown(text)} has id {key.id.hex()}, not the one it states.", next_step=_COPY)
    return key


class Ed25519Signer:
    """Signs note bodies with an Ed25519 key under one name; fills the port ``Signer``.

    The seed never appears in ``repr``; ``secret_key`` gives it to a caller who asks.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        """Make the signer of a 32-byte secret seed.

        Raises:
            Invalid: a bad name, or a seed of another length.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        check_name(name)
        if not isinstance(seed, bytes) or len(seed) != 32:
            raise Invalid("An Ed25519 seed has 32 bytes.", next_step="Draw 32 random bytes.")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.key = VerifierKey(name, ED25519, self._private.public_key().public_bytes_raw())
        self.name = name
        self.vkey = self.key.vkey

    def __repr__(self) -> str:
        return f"Ed25519Signer({self.vkey})"

    def sign(self, body: bytes) -> bytes:
        """The signature line over a note body: em dash, space, name, space, base64(id || signature), newline."""
        blob = self.key.id + self._private.sign(body)
        return f"\u2014 {self.name} {base64_text(blob)}\n".encode()

    def secret_key(self) -> str:
        """The secret key as text, ``PRIVATE+KEY+name+hex(id)+base64(type || seed)``: keep it out of logs."""
        return f"PRIVATE+KEY+{self.name}+{self.key.id.hex()}+{base64_text(bytes([ED25519]) + self._seed)}"

    @classmethod
    def from_secret_key(cls, text: str) -> Ed25519Signer:
        """The signer of a secret key in text form; no message of an error repeats the key.

        Raises:
            Invalid: another shape, key type or length, or an id that does not fit the key.
        """
        bad = Invalid("The text is not an Ed25519 secret key (PRIVATE+KEY+name+id+key).", next_step=_COPY)
        prefix = "PRIVATE+KEY+"
        if not isinstance(text, str) or not text.startswith(prefix):
            raise bad
        try:
            name, hex_id, raw = _split_key(text.removeprefix(prefix), "secret key")
        except Invalid:
            raise bad from None
        if raw[0] != ED25519 or len(raw) != 33:
            raise bad
        signer = cls(name, raw[1:])
        if signer.key.id.hex() != hex_id:
            raise bad
        return signer
