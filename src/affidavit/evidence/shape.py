"""What can be read off an entry without knowing its area: attachments, disposals, key changes."""

from __future__ import annotations

from typing import Any

from affidavit.core import codec
from affidavit.core.envelope import Raw
from affidavit.core.errors import Invalid
from affidavit.core.fields import Attachment

OPENED, CLOCK_CORRECTED = "ledger.opened", "ledger.clock_corrected"
ROTATED, RECOVERED = "ledger.key_rotated", "ledger.key_recovered"
DISPOSED = "service.vault_disposed"
_KEYS = frozenset({"digest", "bytes", "type", "kind"})


def attachments(data: Any) -> list[Attachment]:
    """Every attachment that the data of an entry names: objects of exactly digest, bytes, type and kind."""
    if isinstance(data, dict):
        if data.keys() == _KEYS:
            try:
                return [codec.load_object(Attachment, data, "attachment")]
            except Invalid:
                return []
        return [a for value in data.values() for a in attachments(value)]
    return [a for value in data for a in attachments(value)] if isinstance(data, list) else []


def disposed_texts(raw: Raw) -> list[str]:
    """The vault ids whose text this entry says was destroyed."""
    return [str(raw.data.get("vault"))] if raw.head.tag == DISPOSED else []


def disposed_objects(raw: Raw) -> list[str]:
    """The attachments this entry says were destroyed: references ``object:<hex>`` of a disposal."""
    if raw.head.tag != DISPOSED:
        return []
    return ["sha256:" + ref.removeprefix("object:") for ref in raw.head.refs if ref.startswith("object:")]


def statement(raw: Raw) -> Attachment | None:
    """The signed statement of a key change, if the entry is one."""
    if raw.head.tag not in (ROTATED, RECOVERED):
        return None
    found = attachments(raw.data.get("statement"))
    return found[0] if found else None
