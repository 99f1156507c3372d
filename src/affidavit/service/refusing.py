"""Recording refusals: a fact for the first of its kind in an hour, a count for the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from affidavit.core.envelope import Draft
from affidavit.core.errors import NotAllowed, Refused
from affidavit.core.ledger_facts import RequestRefused
from affidavit.core.ports import Tx
from affidavit.service.readings import Reading
from affidavit.service.refusals import counter
from affidavit.service.sealing import new_id

if TYPE_CHECKING:
    from affidavit.service.executor import Executor, Job


class Refusing:
    """Leaves the trace of a request that was turned down."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def refuse(self, job: Job, e: Refused | NotAllowed) -> None:
        """Record a refusal once per (principal, rule, target, hour); repeats are counted.

        While the clock is wrong nothing can be recorded: the refusal stands all the same.
        """
        executor, stores = self._executor, self._executor.stores
        code = e.code if isinstance(e, Refused) else "denied"
        controls = e.controls if isinstance(e, Refused) else ("AI-03.1",)
        key = counter(job.who.principal, job.name, code, job.sealed.command, job.now)
        if code in ("clock_ahead", "clock_behind") or executor.refusals.repeated(key):
            return
        # A denial leaves the id free for whoever may use it; a rule's refusal answers the id for good.
        job = replace(job, command_id=new_id(stores, job.now)) if code == "denied" else job
        body = executor.refusals.seal_digest(job.command_id, job.sealed.digest)
        fact = RequestRefused(job.name, code, controls, body)
        refs = (f"refusal:{job.name.split('.')[0]}", f"principal:{job.who.principal}")
        try:
            with stores.entries.write() as tx:
                self._append(tx, job, Draft(fact, refs))
        except Refused:
            stores.vault.discard(f"refusal:{job.command_id}")
            return
        executor.refusals.begin(key)

    def _append(self, tx: Tx, job: Job, draft: Draft) -> None:
        executor = self._executor
        reading = Reading(tx, executor.catalog, executor.book)
        if not executor.has(reading, job.command_id):
            job.now = executor.timekeeper.time_for(reading.last_at())
            digest = executor.rules_digest(job.name.split(".")[0], reading.rules())
            executor.append(tx, reading, job, [draft], digest)
