"""A sealer that dies at any step, and the one after it: each row stands in the ledger once."""

from __future__ import annotations

import pytest
from dying import STEPS, dying
from sealed_world import SealedWorld
from test_seal import _damaged

from affidavit.areas.decisions.events import BatchSealed, GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.streams import wal


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_sealer_that_dies_at_any_step_loses_and_repeats_nothing(make, step, after, monkeypatch):
    """Killed at the step, then again at the same step, then left alone: rows, gaps, openings and ends stand once."""
    world = SealedWorld(make())
    live = world.recording().rows(3).gap(2).rows(2).next_file().rows(2)
    ended = world.recording().rows(4).gap(1).close()
    bad = _damaged(world.recording())
    monkeypatch.setattr(wal, "alive", lambda file: file.parent.name == live.folder.name)
    for nth in (1, 2):
        with dying(step, after=after, nth=nth) as left:
            world.seal()
        assert nth == 2 or left[0] == 0, "the sealer died"
    world.seal_all()
    assert sorted(world.ids()) == sorted([*live.ids, *ended.ids, *bad.ids[:3]])
    assert sorted(f.missed for f in world.facts(GapCounted)) == [1, 2]
    assert len(world.facts(StreamOpened)) == 3
    assert len(world.facts(StreamClosed)) == len(world.facts(StreamLost)) == 1
    assert [p.name for p in live.folder.glob("*.wal")] == ["000002.wal"]
    assert not list((live.folder / "out").glob("*"))
    assert not ended.folder.exists()
    assert (world.spool / "quarantine" / bad.folder.name).is_dir()
    named = {d for h, _ in world.sealed() for d in (h.file, h.tree)}
    assert named <= set(world.ws.stores.segments.list())


def test_a_cut_is_sealed_as_it_was_made(make, monkeypatch):
    """Rows that came after the cut wait for the next segment; the file that goes up is the one that was cut."""
    world = SealedWorld(make())
    r = world.recording().rows(3)
    monkeypatch.setattr(wal, "alive", lambda file: True)
    with dying("uploading", after=False):
        world.seal()
    cut = (r.folder / "out").glob("*.parquet").__next__().read_bytes()
    r.rows(4)
    world.seal()
    headers = [h for h, _ in world.sealed()]
    assert [(h.first_seq, h.last_seq) for h in headers] == [(0, 2), (3, 6)]
    assert world.ws.stores.segments.open(headers[0].file).read() == cut


def test_a_cut_that_the_disk_spoiled_is_made_again(make):
    """What was uploaded of the first is destroyed: no header names it, and the rows are in the spool still."""
    world = SealedWorld(make())
    r = world.recording().rows(3).close()
    with dying("the command", after=False):
        world.seal()
    file = next((r.folder / "out").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    world.seal()
    assert world.ids() == r.ids
    header, _ = next(world.sealed())
    assert set(world.ws.stores.segments.list()) == {header.file, header.tree}
    assert len(world.facts(BatchSealed)) == 1
