"""Record, crash, seal, die while sealing, retry, prove, erase in any order: the ledger agrees with a plain list."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from dying import STEPS, dying
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from sealed_world import SealedWorld
from spooled import Recording

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.events import GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.bootstrap import init
from affidavit.core.area import Who
from affidavit.core.fields import read_time
from affidavit.store.clock import SimulatedClock
from affidavit.streams import wal
from affidavit.streams.ids import id_text


class Model(RuleBasedStateMachine):
    """``recorded`` is the plain list: every id that a recorder was told is kept."""

    running = Bundle("running")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = SimulatedClock(read_time("2026-01-05T09:00:00Z"))
        self.world = SealedWorld(init(Path(self.folder.name) / "ws", clock=self.clock))
        self.privacy = self._privacy()
        self.live: set[str] = set()
        self.streams: list[Recording] = []
        self.recorded: list[bytes] = []
        self.erased: set[bytes] = set()
        self.ends = {"closed": 0, "lost": 0}
        self._alive, wal.alive = wal.alive, lambda file: file.parent.name in self.live

    def _privacy(self) -> Who:
        access, admin = self.world.ws.access, self.world.admin
        who = Who(access.register_principal("person", name="privacy", by=admin).facts[0].principal, "os-user")
        access.approve_grant(
            access.request_grant(who.principal, "privacy", "*", "erases", by=who).facts[0].grant, by=admin
        )
        return who

    @rule(target=running)
    def open(self) -> Recording:
        made = self.world.recording()
        self.live.add(made.folder.name)
        self.streams.append(made)
        return made

    @rule(stream=running, count=st.integers(1, 5), batch=st.booleans())
    def record(self, stream: Recording, count: int, batch: bool) -> None:
        known = len(stream.ids)
        _ = stream.batch(count) if batch else stream.rows(count)
        self.recorded += stream.ids[known:]

    @rule(stream=running, missed=st.integers(1, 9))
    def miss(self, stream: Recording, missed: int) -> None:
        stream.gap(missed)

    @rule(stream=running)
    def rotate(self, stream: Recording) -> None:
        stream.next_file()

    @rule(stream=consumes(running))
    def close(self, stream: Recording) -> None:
        stream.close()
        self._end(stream, "closed")

    @rule(stream=consumes(running), torn=st.integers(0, 60))
    def crash(self, stream: Recording, torn: int) -> None:
        stream.raw(wal.frame(wal.ROW, bytes(80))[:torn])
        self._end(stream, "lost")

    def _end(self, stream: Recording, how: str) -> None:
        self.live.discard(stream.folder.name)
        self.ends[how] += 1

    @rule()
    def seal(self) -> None:
        self.world.seal()

    @rule(step=st.sampled_from(sorted(STEPS)), after=st.booleans(), nth=st.integers(1, 3))
    def seal_and_die(self, step: str, after: bool, nth: int) -> None:
        with dying(step, after=after, nth=nth):
            self.world.seal()

    @precondition(lambda self: self._sealed())
    @rule(data=st.data())
    def prove(self, data: Any) -> None:
        wanted = data.draw(st.sampled_from(self._sealed()))
        self._prove(wanted)

    def _prove(self, wanted: bytes) -> None:
        row = sealed_rows.find(self.world.desk, id_text(wanted))  # row to leaf, leaf to root, root to batch
        assert (row.salt is None) == (wanted in self.erased)
        assert wanted in self.erased or row.values["id"] == wanted

    @precondition(lambda self: [i for i in self._sealed() if i not in self.erased])
    @rule(data=st.data())
    def erase(self, data: Any) -> None:
        wanted = data.draw(st.sampled_from([i for i in self._sealed() if i not in self.erased]))
        self.world.ws.decisions.erase("request", reason="asked", decisions=[id_text(wanted)], by=self.privacy)
        self.erased.add(wanted)

    def _sealed(self) -> list[bytes]:
        if not hasattr(self, "world"):
            return []
        ask = self.world.desk.ask
        known = {s.folder.name: ask("decisions.stream", s.folder.name) for s in self.streams}
        return [i for s in self.streams for i in s.ids[: (known[s.folder.name] or {"next_seq": 0})["next_seq"]]]

    @invariant()
    def nothing_is_sealed_that_was_not_recorded(self) -> None:
        if hasattr(self, "clock"):
            self.clock.advance(timedelta(seconds=1))
            assert set(self._sealed()) <= set(self.recorded)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            for stream in [s for s in self.streams if s.folder.name in self.live]:
                self._end(stream.close(), "closed")
            self.world.seal_all()
            self._compare()
        finally:
            wal.alive = self._alive
            self.world.ws.close()
            self.folder.cleanup()

    def _compare(self) -> None:
        """Each recorded row stands once; an erased one as a leaf alone; gaps, openings and ends once."""
        found = self.world.ids()
        assert found.count(None) == len(self.erased)
        assert sorted(i for i in found if i) == sorted(set(self.recorded) - self.erased)
        assert len(found) == len(self.recorded)
        for wanted in self.recorded[::7]:
            self._prove(wanted)
        counted: dict[str, int] = {}
        for fact in self.world.facts(GapCounted):
            counted[fact.stream] = counted.get(fact.stream, 0) + fact.missed
        assert counted == {s.folder.name: s.missed for s in self.streams if s.missed}
        ended = {"closed": len(self.world.facts(StreamClosed)), "lost": len(self.world.facts(StreamLost))}
        assert ended == self.ends
        assert len(self.world.facts(StreamOpened)) == len(self.streams)
        assert not [s for s in self.streams if s.folder.exists()]


Model.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
TestModel = Model.TestCase
