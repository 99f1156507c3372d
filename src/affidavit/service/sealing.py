"""Ids, and the way of private text into the vault before a command is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

from affidavit.core import canonical, codec
from affidavit.core import digest as digests
from affidavit.core.area import Request
from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.errors import Invalid
from affidavit.core.fields import Id, Pattern, VaultText, sealed
from affidavit.service.stores import Stores


def new_id(stores: Stores, at: datetime) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits."""
    random = int.from_bytes(stores.random(10), "big")
    ms = int(at.timestamp() * 1000)
    value = ms << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_ID: Pattern = get_args(Id)[1]


def check_command_id(text: str) -> str:
    """The command id itself; it owns private texts, so no other form is let in. Raises ``Invalid``."""
    if not isinstance(text, str) or _ID.problem(text):
        raise Invalid(
            f"the command id {str(text)[:80]!r} is no UUID in lower case.", next_step="draw one, or leave it out."
        )
    return text


@dataclass(frozen=True, slots=True)
class SealedCommand:
    """A checked command whose private texts are in the vault; ``digest`` binds the commitments, not the texts."""

    command: Any
    digest: str


def seal(stores: Stores, name: str, command: Request, command_id: str) -> SealedCommand:
    """Check every field, put private texts into the vault, compute the command's digest.

    The same command id finds the same vault records again, so a retry has the same digest. Raises
    ``Invalid`` for a bad field, or for another text under a command id used before.
    """
    checked = codec.checked(command)
    private: dict[str, VaultText] = {}
    for field, text in codec.private_fields(checked).items():
        if text.text is not None:
            vault_id, key = stores.vault.put(command_id, field, text.text, stores.random(KEY_BYTES))
            private[field] = sealed(text, commit(key, field, text.text), vault_id)
    body = {
        "request": name,
        "body": codec.dump_object(checked),
        "private": {f: t.commit for f, t in private.items()},
    }
    return SealedCommand(replace(checked, **private) if private else checked, digests.of_bytes(canonical.encode(body)))


def seal_request(name: str, request: Any) -> SealedCommand:
    """The digest of a request that leaves nothing in the vault (a denied query or measure)."""
    body = {"request": name, "body": codec.dump_object(request), "private": {}}
    return SealedCommand(request, digests.of_bytes(canonical.encode(body)))
