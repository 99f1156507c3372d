"""Reactions: areas answer the signals of new facts, live only, never on rebuild.

A reaction that raises is undone to its savepoint and leaves ``ReactionFailed``; the primary facts
commit whatever happens, and ``retry`` runs it again. A critical alert is never lost to a bug in the
code that answers it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from affidavit.core import canonical, codec
from affidavit.core import digest as digests
from affidavit.core.area import Command
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Invalid
from affidavit.core.fields import parse_time
from affidavit.core.ledger_facts import ReactionFailed, ReactionRetried
from affidavit.core.ports import Tx
from affidavit.core.rules import Rules
from affidavit.service.readings import Reading
from affidavit.service.sealing import SealedCommand, new_id

if TYPE_CHECKING:
    from affidavit.service.executor import Executor

MAX_DEPTH = 3


class Reactions:
    """Runs the areas' ``reacts`` on the facts that a command left."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def react(self, tx: Tx, reading: Reading, rules: Rules, records: list[Record], depth: int) -> None:
        """Let every area answer every signal, in the declared order."""
        catalog = self._executor.catalog
        for record in records:
            for signal in catalog.signals(record):
                for area in catalog.areas.values():
                    if type(signal) in area.reacts:
                        self._guarded(tx, reading, rules, record, signal, area.name, depth)

    def _guarded(
        self, tx: Tx, reading: Reading, rules: Rules, record: Record, signal: Any, area: str, depth: int
    ) -> None:
        try:
            with tx.savepoint():
                self._run(tx, reading, rules, record, signal, area, depth)
        except Exception as e:  # noqa: BLE001 - the primary facts must commit whatever a reaction does
            fact = ReactionFailed(area, type(signal).__name__, type(e).__name__)
            draft = Draft(fact, (f"reaction:{area}", *record.head.refs))
            self._executor.append_facts(tx, [draft], self._executor.policy(rules), cause=record.index)

    def _run(
        self,
        tx: Tx,
        reading: Reading,
        rules: Rules,
        record: Record,
        signal: Any,
        area: str,
        depth: int,
        at: datetime | None = None,
    ) -> None:
        from affidavit.service.executor import Job

        if depth > MAX_DEPTH:
            raise Invalid(f"reactions are {depth} deep.", next_step="break the circle between areas.")
        executor, at, drill = self._executor, at or record.head.at, record.head.drill or False
        who = executor.policy(rules)
        base = Job(area, SealedCommand(None, ""), "", who, drill, at, record.head.env)
        ctx = executor.ctx(reading, rules, base, Command(), {})
        for command in executor.catalog.areas[area].reacts[type(signal)](signal, reading.view(area), ctx):
            name = executor.catalog.name_of(type(command))
            body = canonical.encode({"request": name, "body": codec.dump_object(command), "private": {}})
            sealed = SealedCommand(command, digests.of_bytes(body))
            job = Job(name, sealed, new_id(executor.stores, at), who, drill, at, command.env)
            drafts = executor.decide(reading, rules, job, command)
            made = executor.append(tx, reading, job, drafts, executor.rules_digest(area, rules), record.index)
            self.react(tx, reading, rules, made, depth + 1)

    def retry(self) -> int:
        """Run failed reactions again; the number that went through. The others stay failed."""
        executor = self._executor
        with executor.stores.entries.read() as tx:
            log = Reading(tx, executor.catalog, executor.book).view("log")
            failed = [
                r[0] for r in log.rows("SELECT idx FROM {meta} WHERE tag = 'service.reaction_failed' ORDER BY idx")
            ]
            done = log.rows("SELECT idx FROM {meta} WHERE tag = 'service.reaction_retried'")
        retried = {executor.record(r[0]).fact.failed for r in done}
        return sum(self._retry(index) for index in failed if index not in retried)

    def _retry(self, index: int) -> bool:
        executor = self._executor
        failure = executor.record(index)
        primary = executor.record(failure.head.cause if failure.head.cause is not None else index)
        with executor.stores.entries.write() as tx:
            reading = Reading(tx, executor.catalog, executor.book)
            rules = reading.rules()
            now = max(executor.stores.clock.now(), parse_time(reading.last_at() or ""))
            signals = [s for s in executor.catalog.signals(primary) if type(s).__name__ == failure.fact.signal]
            try:
                with tx.savepoint():
                    for signal in signals:
                        self._run(tx, reading, rules, primary, signal, failure.fact.area, 1, now)
                    draft = Draft(ReactionRetried(index), (f"reaction:{failure.fact.area}",))
                    executor.append_facts(tx, [draft], executor.policy(rules), cause=index)
            except Exception:  # noqa: BLE001 - it stays failed and the board shows it
                return False
        return True
