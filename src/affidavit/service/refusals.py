"""Refusals prove that a control operates: the first in an hour is an entry, its repeats are counted."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.envelope import Draft
from affidavit.core.errors import Tampered
from affidavit.core.fields import VaultText, parse_time, sealed, time_text
from affidavit.core.ledger_facts import RefusalsCounted
from affidavit.service.stores import Stores

TABLE = "refusals"


def _target(command: Any) -> str:
    """What a request is about: its first field if that is an id, never free text."""
    names = [f.name for f in fields(command)]
    value = getattr(command, names[0]) if names else ""
    return value if isinstance(value, str) else ""


def counter(principal: str, request: str, code: str, command: Any, at: datetime) -> str:
    """The counter of a refusal: by principal, request, rule, target and hour. A denial has no target: ids may be made up."""
    target = "*" if code == "denied" else _target(command)
    return "|".join((principal, request, code, target, time_text(_hour(at))))


def counted_id(key: str) -> str:
    """The command id of the fact that settles a counter: always the same, so that it is in the log once."""
    text = hashlib.sha256(key.encode()).hexdigest()
    return "-".join((text[:8], text[8:12], "8" + text[13:16], "8" + text[17:20], text[20:32]))


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


class Refusals:
    """Counts repeats of a refusal by (principal, request, rule, target, hour)."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def repeated(self, key: str) -> bool:
        """Count a repeat; False if this is the first of its kind in the hour. An altered counter starts again."""
        try:
            return self._stores.operational.increment(TABLE, key, "repeats") is not None
        except Tampered:
            self._stores.operational.delete(TABLE, key)
            return False

    def begin(self, key: str) -> None:
        """Start the count, once the first refusal is in the log."""
        self._stores.operational.put(TABLE, key, {"repeats": 0})

    def seal_digest(self, command_id: str, digest: str) -> VaultText:
        """A commitment to the digest of the refused request; the digest itself stays in the vault."""
        vault_id, key = self._stores.vault.put(f"refusal:{command_id}", "body", digest, self._stores.random(KEY_BYTES))
        return sealed(VaultText(digest), commit(key, "body", digest), vault_id)

    def due(self, now: datetime) -> list[tuple[str, Draft | None]]:
        """Counters of hours that are over: the fact for those with repeats, None for those without."""
        found: list[tuple[str, Draft | None]] = []
        for key, value in self._stores.operational.rows(TABLE):
            principal, request, code, _target, hour = key.split("|")
            if parse_time(hour) + timedelta(hours=1) > now:
                continue
            fact = RefusalsCounted(request, code, principal, parse_time(hour), value["repeats"])
            refs = (f"refusal:{request.split('.')[0]}", f"principal:{principal}")
            found.append((key, Draft(fact, refs) if value["repeats"] else None))
        return found

    def forget(self, key: str) -> None:
        """Drop a counter whose fact is in the log."""
        self._stores.operational.delete(TABLE, key)
