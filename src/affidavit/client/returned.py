"""What recording a decision gives back, and what a caller may hand in for its id and time."""

from __future__ import annotations

from datetime import datetime

from affidavit.client.columns import utc_ms
from affidavit.core.errors import Invalid
from affidavit.streams.ids import id_bytes, id_ms, id_text
from affidavit.streams.receipts import Receipt, ReceiptKey
from affidavit.streams.rows import SALT_BYTES, leaf_of
from affidavit.streams.wal import FRAME, ROW_HEAD

_SALT = FRAME.size + ROW_HEAD.size
_ROW = _SALT + SALT_BYTES


class Recorded:
    """What ``record`` returns. ``seq`` is None when the request was served and not recorded, as the policy allows.

    ``held``: the routing rule is met, and a person decides.
    """

    __slots__ = ("_body", "_signed", "held", "seq")

    def __init__(
        self, body: bytes, seq: int | None, held: bool, signed: tuple[ReceiptKey, str, bytes] | None = None,  # noqa: FBT001
    ) -> None:  # fmt: skip
        self._body, self.seq, self.held, self._signed = body, seq, held, signed

    @property
    def id(self) -> str | None:
        """The id of the decision, None if it was not recorded."""
        return None if self.seq is None else id_text(self._body)

    def receipt(self) -> str | None:
        """The signed receipt for the header ``X-Decision-Receipt``; None where the policy asks for none."""
        if self._signed is None or self.seq is None:
            return None
        key, stream, frame = self._signed
        leaf = leaf_of(frame[_SALT:_ROW], frame[_ROW:])
        return key.sign(Receipt(stream, self.seq, id_text(self._body), leaf))


def moment_ms(at: datetime | int) -> int:
    """Milliseconds since 1970 of a time with its zone, or as given. Raises ``Invalid``."""
    if isinstance(at, datetime):
        return utc_ms(at)
    if type(at) is not int or not 0 <= at < 2**53:
        raise Invalid(f"at: {at!r} is no time.", next_step="give a datetime with its zone, or milliseconds since 1970.")
    return at


def given_id(given: str | bytes) -> bytes:
    """The 16 bytes of an id that a caller minted. Raises ``Invalid`` for one that is no UUIDv7."""
    body = given if isinstance(given, bytes) else id_bytes(given)
    id_ms(body)
    return body
