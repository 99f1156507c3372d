"""Facts of decisions, continued: counts and inventories of other systems, and what comparing them showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Count, Digest, Id, Slug, Token, VaultText

What = Literal["unknown-digest", "different-version", "unregistered-endpoint", "unrecorded", "configuration", "silent"]
"""Kinds of difference between what serves and what the register says."""
How = Literal["registered", "replaced", "stopped", "resumed", "recorded"]


@fact("decisions.counts_extracted")
@dataclass(frozen=True, slots=True)
class CountsExtracted:
    """Request counts of a gateway, mesh or billing system were taken in whole: account, query, window, rows, raw bytes.

    ``strangers`` are deployments and models that it counts and the register does not know (the first of them).
    """

    source: Token
    account: VaultText
    query: VaultText
    start: datetime
    end: datetime
    rows: Count
    raw: Attachment
    extractor: Token
    strangers: tuple[Token, ...] = ()


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

    ``presented`` counts distinct receipts: ``sealed`` have their row; ``missing`` are signed and their stream ended without
    the row; ``different`` have another row in their place; ``pending`` wait for their open stream to be sealed; ``forged``
    have a bad signature; ``unknown`` name a stream that was never announced here. ``details`` names process and rows.
    """

    source: Token
    presented: Count
    sealed: Count
    missing: Count
    forged: Count
    details: Attachment
    different: Count = 0
    pending: Count = 0
    unknown: Count = 0


@dataclass(frozen=True, slots=True)
class HourGap:
    """An hour whose counts differ beyond the tolerance: observed by the other source, recorded by us."""

    hour: datetime
    observed: Count
    recorded: Count


@dataclass(frozen=True, slots=True)
class Spot:
    """Rows of a stream that an exception is about: the first ones found; the attachment lists all."""

    what: Literal[
        "missed",
        "lost",
        "late",
        "duplicate",
        "unfilled",
        "unknown",
        "step",
        "plain",
        "unreadable",
        "no-row",
        "other-row",
    ]
    stream: Id
    first: Count
    last: Count


@fact("decisions.counts_reconciled")
@dataclass(frozen=True, slots=True)
class CountsReconciled:
    """A day of a deployment: requests another source counted against decisions recorded, hour by hour.

    ``source`` ranks the other side: ``receipts`` held by callers, ``observed`` counter, or ``self-reported`` alone.
    ``extract`` is the entry of the newest counts or receipts used; ``uncovered`` hours in which it served were counted by
    none. ``late`` rows were sealed over a day after they happened, or after the day was reconciled before; ``duplicates``
    bear an id twice; ``unfilled`` lack a mandatory field; ``unknown`` bear a version digest not in force; ``steps`` are
    rows whose clock stepped. ``lost`` streams ended unclosed, ``unsealed`` receipts have no row, ``altered`` ones another;
    ``unreadable`` rows stand in a segment that is missing or damaged. ``plain`` subjects look like a name, an address
    or a number of a person; ``exposed`` columns hold what is kept apart as a protected attribute.
    """

    deployment: Id
    day: datetime
    source: Literal["receipts", "observed", "self-reported"]
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
    uncovered: Count = 0
    lost: Count = 0
    unsealed: Count = 0
    altered: Count = 0
    unreadable: Count = 0
    plain: Count = 0
    exposed: tuple[Token, ...] = ()
    spots: tuple[Spot, ...] = ()
    extract: Count | None = None


@fact("decisions.runtime_reconciled")
@dataclass(frozen=True, slots=True)
class RuntimeReconciled:
    """What serves against what the register says: endpoints looked at, those unknown or different, silent processes.

    ``extracts`` are the entries of the inventories used, one a source that covers the day; none: only attestations were
    compared (single source). ``unrecorded`` endpoints serve without a recorder; ``unowned`` systems have an owner who
    holds no role.
    """

    day: datetime
    extracts: tuple[Count, ...]
    endpoints: Count
    attested: Count
    unknown: Count
    different: Count
    silent: Count
    details: Attachment
    unrecorded: Count = 0
    unowned: Count = 0


@fact("decisions.runtime_differed")
@dataclass(frozen=True, slots=True)
class RuntimeDiffered:
    """An endpoint or process serves what the register does not say it should: expected and found digest.

    ``source`` is the inventory that shows it, ``stream`` the process that attests it. It is to be closed by ``due``.
    """

    difference: Id
    endpoint: Token
    env: Token
    what: What
    first_seen: datetime
    due: datetime
    found: Digest | None = None
    expected: Digest | None = None
    model: Slug | None = None
    stream: Id | None = None
    source: Token | None = None


@fact("decisions.runtime_settled")
@dataclass(frozen=True, slots=True)
class RuntimeSettled:
    """A difference is gone: the endpoint serves what the register says, or stopped; a process is heard or recorded again."""

    difference: Id
    how: How
