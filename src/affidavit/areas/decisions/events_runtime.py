"""Facts of decisions, continued: counts and inventories of other systems, and what comparing them showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Digest, Id, Slug, Token, VaultText


@fact("decisions.counts_extracted")
@dataclass(frozen=True, slots=True)
class CountsExtracted:
    """Request counts of a gateway, mesh or billing system were taken in whole: account, query, window, rows, raw bytes."""

    source: Token
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    rows: Count
    raw: Attachment
    extractor: Token


@fact("decisions.serving_extracted")
@dataclass(frozen=True, slots=True)
class ServingExtracted:
    """An inventory of what serves was taken in whole: account, query, window, rows, raw bytes."""

    source: Token
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    rows: Count
    raw: Attachment
    extractor: Token


@fact("decisions.endpoint_observed")
@dataclass(frozen=True, slots=True)
class EndpointObserved:
    """The serving platform says that this endpoint ran this digest, first and last seen when: one row of an extract."""

    source: Token
    endpoint: Token
    artifact: Digest
    env: Token
    first_seen: datetime
    last_seen: datetime
    model: Slug | None = None


@fact("decisions.receipts_presented")
@dataclass(frozen=True, slots=True)
class ReceiptsPresented:
    """Receipts that callers hold were checked against the sealed rows: how many stand, how many have no row.

    ``unknown`` lists (stream, seq) of signed receipts whose row is not sealed; ``forged`` counts bad signatures.
    """

    source: Token
    presented: Count
    sealed: Count
    missing: Count
    forged: Count
    details: Attachment


@dataclass(frozen=True, slots=True)
class HourGap:
    """An hour whose counts differ beyond the tolerance: observed by the other source, recorded by us."""

    hour: datetime
    observed: Count
    recorded: Count


@fact("decisions.counts_reconciled")
@dataclass(frozen=True, slots=True)
class CountsReconciled:
    """A day of a deployment: requests another source counted against decisions recorded, hour by hour.

    ``source`` ranks the other side: ``receipts`` held by callers, ``observed`` counter, or ``self-reported`` alone.
    ``late`` rows arrived after the day was sealed; ``duplicates`` bear an id twice; ``unfilled`` lack a mandatory field;
    ``unknown`` bear a version digest not in force; ``steps`` are clock steps beyond a second.
    """

    deployment: Id
    day: datetime
    source: Literal["receipts", "observed", "self-reported"]
    extract: Count | None
    observed: Count
    recorded: Count
    served: Count
    missed: Count
    late: Count
    duplicates: Count
    unfilled: Count
    unknown: Count
    steps: Count
    gaps: tuple[HourGap, ...]
    details: Attachment


@fact("decisions.runtime_reconciled")
@dataclass(frozen=True, slots=True)
class RuntimeReconciled:
    """What serves against what the register says: endpoints looked at, those unknown or different, silent processes.

    ``extract`` is the entry of the inventory used; None if only attestations were compared (single source).
    """

    day: datetime
    extract: Count | None
    endpoints: Count
    attested: Count
    unknown: Count
    different: Count
    silent: Count
    details: Attachment


@fact("decisions.runtime_differed")
@dataclass(frozen=True, slots=True)
class RuntimeDiffered:
    """An endpoint or process serves what the register does not say it should: expected and found digest."""

    difference: Id
    endpoint: Token
    env: Token
    what: Literal["unknown-digest", "different-version", "unregistered-endpoint", "configuration", "silent"]
    found: Digest | None
    expected: Digest | None
    first_seen: datetime
    model: Slug | None = None
    stream: Id | None = None


@fact("decisions.runtime_settled")
@dataclass(frozen=True, slots=True)
class RuntimeSettled:
    """A difference is gone: the endpoint serves what the register says, or stopped."""

    difference: Id
    how: Literal["registered", "replaced", "stopped"]
