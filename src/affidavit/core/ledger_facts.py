"""Facts of the ledger itself and of the service: opening, closing, keys, refusals, drills. [bytes]"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Digest, Id, Principal, Ref, Slug, Token, VaultText, VKey


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The log before this one: its origin, size and root."""

    log: Token
    size: Count
    root: Digest


@fact("ledger.opened")
@dataclass(frozen=True, slots=True)
class LedgerOpened:
    """Entry 0: what kind of clock, which product version, who may recover the log's key."""

    clock: Literal["system", "simulated"]
    version: Token
    log_key: VKey
    recovery_key: VKey
    artifact_key: VKey
    predecessor: Predecessor | None = None
    opening: dict[Token, Digest] | None = None


@fact("ledger.version_changed")
@dataclass(frozen=True, slots=True)
class VersionChanged:
    """From here on another release of the product decides."""

    version: Token
    before: Token


@fact("ledger.key_rotated")
@dataclass(frozen=True, slots=True)
class KeyRotated:
    """The log key changes; ``statement`` is the note signed by old and new key."""

    old: VKey
    new: VKey
    statement: Attachment


@fact("ledger.key_recovered")
@dataclass(frozen=True, slots=True)
class KeyRecovered:
    """The log key was lost; the recovery key vouches for the new one from ``cut`` on."""

    new: VKey
    cut: Count
    statement: Attachment
    reason: VaultText


@fact("ledger.period_closed")
@dataclass(frozen=True, slots=True)
class PeriodClosed:
    """Closing balance: the size and a digest of each read table at the end of a period."""

    start: datetime
    end: datetime
    size: Count
    tables: dict[Token, Digest]


@fact("ledger.closed")
@dataclass(frozen=True, slots=True)
class LogClosed:
    """Nothing follows in this log; the next log is ``successor``."""

    successor: Token


@fact("ledger.clock_corrected")
@dataclass(frozen=True, slots=True)
class ClockCorrected:
    """The clock ran wrong and was set right: by how much, and why."""

    offset_ms: int
    reason: VaultText


@fact("service.refused")
@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request was refused: which, by which rule, a commitment to its digest, never its body."""

    request: Token
    code: Token
    controls: tuple[Token, ...]
    body: VaultText


@fact("service.refusals_counted")
@dataclass(frozen=True, slots=True)
class RefusalsCounted:
    """How often the same principal met the same rule on the same target again within an hour."""

    request: Token
    code: Token
    principal: Principal
    hour: datetime
    repeats: Count


@fact("service.reaction_failed")
@dataclass(frozen=True, slots=True)
class ReactionFailed:
    """A reaction raised; the primary facts stand, the scheduler retries."""

    area: Slug
    signal: Token
    error: Token


@fact("service.reaction_retried")
@dataclass(frozen=True, slots=True)
class ReactionRetried:
    """A failed reaction was run again and went through."""

    failed: Count


@fact("audit.drill_run")
@dataclass(frozen=True, slots=True)
class DrillRun:
    """A control's known-bad case was played: was it caught, and by which door and test."""

    control: Token
    caught: bool
    how: Token
    check: Digest
    subject: Ref | None = None


@fact("audit.restored")
@dataclass(frozen=True, slots=True)
class LedgerRestored:
    """Missing entries were taken back from the bundles under the signed head."""

    first: Count
    stop: Count


@fact("service.vault_disposed")
@dataclass(frozen=True, slots=True)
class VaultDisposed:
    """A private text was destroyed: which record of which entry, on which basis."""

    vault: Id
    entry: Count
    basis: Literal["erasure", "retention"]
    reason: VaultText
