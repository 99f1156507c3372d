"""Refusals prove that a control operates: the first in an hour is an entry, its repeats are counted."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.envelope import Draft
from affidavit.core.fields import VaultText, parse_time, sealed, time_text
from affidavit.core.ledger_facts import RefusalsCounted
from affidavit.service.stores import Stores

TABLE = "refusals"


def _target(command: Any) -> str:
    """What a request is about: its first field if that is an id, never free text."""
    names = [f.name for f in fields(command)]
    value = getattr(command, names[0]) if names else ""
    return value if isinstance(value, str) else ""


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


class Refusals:
    """Counts repeats of a refusal by (principal, request, rule, target, hour)."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def first(self, principal: str, request: str, code: str, command: Any, at: datetime) -> bool:
        """Whether this is the first of its kind in the hour; a repeat is counted instead."""
        key = "|".join((principal, request, code, _target(command), time_text(_hour(at))))
        row = self._stores.operational.get(TABLE, key)
        self._stores.operational.put(TABLE, key, {"repeats": 0 if row is None else row["repeats"] + 1})
        return row is None

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

    def settled(self, keys: list[str]) -> None:
        """Forget counters whose fact is in the log."""
        for key in keys:
            self._stores.operational.delete(TABLE, key)
