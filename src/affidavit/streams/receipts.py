"""Receipts of decisions: what a caller keeps, so that a missing decision can be shown (header ``X-Decision-Receipt``). [bytes]

One line of six fields: ``v1 <stream> <seq> <id> <leaf hash, base64> <signature, base64>``. The signature is Ed25519 of the
stream's own key over the line before it; the public half stands in the stream's opening. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.fields import base64_bytes, base64_text, number
from affidavit.streams.ids import id_bytes

VERSION = "v1"
_NEXT = "give the header as it was received."


@dataclass(frozen=True, slots=True)
class Receipt:
    """A promise of a stream: its row ``seq`` is decision ``id`` and has this leaf hash (32 bytes)."""

    stream: str
    seq: int
    id: str
    leaf: bytes


class ReceiptKey:
    """A signing key drawn for one stream; it dies with the process. ``public`` is its public half in base64."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.public = "+"
        while not self.public[0].isalnum():  # a token of an entry does not begin with a plus or a slash
            self._private = Ed25519PrivateKey.generate()
            self.public = base64_text(self._private.public_key().public_bytes_raw())

    def sign(self, receipt: Receipt) -> str:
        """The receipt as a line."""
        line = _signed_part(receipt)
        return f"{line} {base64_text(self._private.sign(line.encode()))}"


def _signed_part(receipt: Receipt) -> str:
    return f"{VERSION} {receipt.stream} {receipt.seq} {receipt.id} {base64_text(receipt.leaf)}"


def parse_receipt(text: str) -> tuple[Receipt, bytes]:
    """What a line says and its signature, unchecked. Raises ``Invalid`` for a line in another form."""
    parts: list[Any] = text.split(" ") if isinstance(text, str) and text.isascii() else []
    if len(parts) != 6 or parts[0] != VERSION:
        raise Invalid(f"{str(text)[:40]!r} is no receipt of version {VERSION}.", next_step=_NEXT)
    id_bytes(parts[1]), id_bytes(parts[3])
    leaf = base64_bytes(parts[4], "leaf hash", length=32)
    signature = base64_bytes(parts[5], "signature", length=64)
    return Receipt(parts[1], number(parts[2], "row number"), parts[3], leaf), signature


def check_receipt(text: str, public_key: str) -> Receipt:
    """What a receipt promises, proven against the stream's public key (base64).

    Raises ``Invalid`` for another form of either, ``Tampered`` when the signature is not that key's.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    receipt, signature = parse_receipt(text)
    key = Ed25519PublicKey.from_public_bytes(base64_bytes(public_key, "public key", length=32))
    try:
        key.verify(signature, _signed_part(receipt).encode())
    except InvalidSignature:
        raise Tampered(f"the receipt of {receipt.id} is not signed by its stream.",
                       next_step="ask the caller for the original header.") from None  # fmt: skip
    return receipt
