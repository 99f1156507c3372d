"""Upkeep of the ledger itself: clock, head, periods. Key changes are in ``key_change``."""

from __future__ import annotations

from datetime import datetime

from affidavit.core.area import Who
from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Invalid, Refused
from affidavit.core.fields import VaultText, check_text, parse_time, sealed
from affidavit.core.findings import Period
from affidavit.core.ledger_facts import ClockCorrected, PeriodClosed
from affidavit.ledger.fsck import verify_log
from affidavit.service import views
from affidavit.service.publisher import open_head
from affidavit.service.readings import Reading
from affidavit.service.sealing import new_id
from affidavit.service.workspace import Workspace


def fresh_id(workspace: Workspace) -> str:
    """A command id for facts of the service; it owns their private texts."""
    return new_id(workspace.stores, workspace.stores.clock.now())


def private(workspace: Workspace, owner: str, field: str, text: str) -> VaultText:
    """A private text of a fact of the service, in the vault under its command id."""
    check_text(field, text)
    vault_id, key = workspace.stores.vault.put(owner, field, text, workspace.stores.random(KEY_BYTES))
    return sealed(VaultText(text), commit(key, field, text), vault_id)


def correct_clock(workspace: Workspace, reason: str, who: Who) -> Record:
    """Record that the clock was wrong and is right now: entries may follow again from the present time.

    Raises ``Refused`` if the clock is not behind the newest entry: then a restart is enough.
    """
    workspace.executor.permit(who, "log.admin")
    now = workspace.stores.clock.now()
    with workspace.stores.entries.read() as tx:
        newest = parse_time(Reading(tx, workspace.catalog, workspace.executor.book).last_at() or "")
    if now >= newest:
        raise Refused(
            "clock_not_behind",
            "the clock is not behind the newest entry.",
            next_step="restart the process; nothing to record.",
        )
    owner = fresh_id(workspace)
    fact = ClockCorrected(round((now - newest).total_seconds() * 1000), private(workspace, owner, "reason", reason))
    return workspace.append([Draft(fact, ("ledger:log",))], who, owner)[0]


def close_period(workspace: Workspace, start: datetime, end: datetime, who: Who) -> Record:
    """Record the closing balance of a period: the size and a digest of every read table."""
    workspace.executor.permit(who, "log.admin")
    period = Period(start, end)
    if period.end > workspace.stores.clock.now():
        raise Invalid(f"the period ends {period.end}, which is not over.", next_step="close it after its end.")
    with workspace.stores.entries.write() as tx:
        digests = views.digests(tx, workspace.catalog)
        fact = PeriodClosed(period.start, period.end, tx.size(), digests)
        return workspace.executor.append_facts(tx, [Draft(fact, ("ledger:log",))], who)[0]


def adopt_head(workspace: Workspace, who: Who) -> int:
    """Take the published checkpoint as head after a move to another machine, once the whole log verifies.

    Raises ``Refused`` if the head store knows the log, or if the log does not verify.
    """
    stores = workspace.stores
    workspace.executor.permit(who, "log.admin")
    if stores.head.fetch(stores.origin) is not None:
        raise Refused("head_known", "the head store knows this log.", next_step="nothing to adopt.")
    report = verify_log(stores.tiles.get, lambda: stores.tiles.list(""), stores.vkeys)
    if report.problems:
        raise Refused(
            "log_flawed", f"the log does not verify: {report.problems[0]}.", next_step="restore the log folder."
        )
    note = stores.tiles.get("checkpoint")
    stores.head.replace(stores.origin, None, note)
    return open_head(stores, note).checkpoint.size
