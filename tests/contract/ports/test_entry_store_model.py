"""Random histories of an entry store against a plain list: appends, undone steps, crashes of blocks, reopening."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from affidavit.core.errors import Invalid, Tampered
from affidavit.store.memory import MemoryEntryStore
from affidavit.store.sqlite import SqliteEntryStore

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


class Bang(Exception):
    pass


class EntryStoreModel(RuleBasedStateMachine):
    """The store holds what the list holds, after every step; the read table counts the same."""

    journal: str = "memory"

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.opened()
        self.model: list[bytes] = []
        with self.store.write() as tx:
            tx.run("CREATE TABLE counted (n INTEGER)")
            tx.run("INSERT INTO counted VALUES (0)")

    def opened(self):
        if self.journal == "memory":
            return MemoryEntryStore()
        version = (3, 51, 3) if self.journal == "wal" else (3, 40, 1)
        return SqliteEntryStore(Path(self.folder.name) / "ledger.db", version=version)

    @staticmethod
    def step(tx, bodies):
        first = tx.append(bodies)
        tx.run("UPDATE counted SET n = n + ?", [len(bodies)])
        return first

    @rule(kept=BODIES, undone=BODIES, after=BODIES)
    def append(self, kept, undone, after):
        with self.store.write() as tx:
            assert self.step(tx, kept) == len(self.model)
            with pytest.raises(Bang), tx.savepoint():
                self.step(tx, undone)
                raise Bang
            assert self.step(tx, after) == len(self.model) + len(kept)
        self.model += kept + after

    @rule(bodies=BODIES)
    def fail(self, bodies):
        with pytest.raises(Bang), self.store.write() as tx:
            self.step(tx, bodies)
            raise Bang

    @rule(back=st.integers(0, 5), more=BODIES)
    def reingest(self, back, more):
        first = max(0, len(self.model) - back)
        assert self.store.reingest(first, self.model[first:] + more) == len(self.model) + len(more)
        self.model += more
        with self.store.write() as tx:
            tx.run("UPDATE counted SET n = n + ?", [len(more)])

    @precondition(lambda self: self.model)
    @rule(more=BODIES)
    def reingest_something_else(self, more):
        with pytest.raises(Tampered):
            self.store.reingest(len(self.model) - 1, [self.model[-1] + b"!", *more])
        with pytest.raises(Invalid):
            self.store.reingest(len(self.model) + 1, more)

    @precondition(lambda self: self.journal != "memory")
    @rule()
    def reopen(self):
        self.store.close()
        self.store = self.opened()

    @rule(start=st.integers(0, 20), length=st.integers(0, 20))
    def look(self, start, length):
        assert list(self.store.entries(start, start + length)) == self.model[start : start + length]

    @invariant()
    def holds(self):
        assert self.store.size() == len(self.model)
        with self.store.read() as tx:
            assert tx.size() == len(self.model)
            assert tx.rows("SELECT n FROM counted") == [(len(self.model),)]

    def teardown(self):
        assert list(self.store.entries(0, 10**9)) == self.model
        self.store.close()
        self.folder.cleanup()


def machine(name):
    """The model for one adapter, as a test case with a small budget."""
    case = type(f"Model_{name}", (EntryStoreModel,), {"journal": name}).TestCase
    case.settings = settings(
        max_examples=12,
        stateful_step_count=15,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestMemory = machine("memory")
TestDeleteJournal = machine("delete")
TestWriteAheadLog = machine("wal")
