"""Sealing: every whole row once, whatever the files hold and wherever the sealer dies."""

from __future__ import annotations

import fcntl
import os
import struct

import pyarrow as pa
import pytest
from sealed_world import SealedWorld
from spooled import SCHEMA, START_MS

from affidavit.areas.decisions.events import BatchSealed, GapCounted, StreamClosed, StreamLost, StreamOpened
from affidavit.core.errors import Busy
from affidavit.streams import kinds, wal
from affidavit.streams.schema import Column
from affidavit.streams.segment import GROUP_ROWS


@pytest.fixture
def world(make):
    return SealedWorld(make())


def test_rows_and_batches_of_one_stream_are_sealed_in_order(world):
    """Row frames and batch frames mix; the segment holds the rows in the order of the stream, each once."""
    r = world.recording().rows(5).batch(GROUP_ROWS + 3).rows(2).batch(7).close()
    done = world.seal()
    assert [f.TAG.split(".")[1] for f in done.facts] == ["stream_opened", "batch_sealed", "stream_closed"]
    assert world.ids() == r.ids
    header, _ = next(world.sealed())
    assert (header.n, header.served, header.recorded) == (len(r.ids), len(r.ids), len(r.ids))
    assert not r.folder.exists()


def test_an_empty_spool_records_nothing(world):
    """Nothing to seal leaves no entry."""
    before = world.ws.stores.entries.size()
    assert world.seal().result["segments"] == 0
    assert world.ws.stores.entries.size() == before


def test_a_second_sealer_is_told_to_wait(world):
    """One sealer a spool: the second is Busy and records nothing."""
    world.recording().rows(1).close()
    with (world.spool / "sealer.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another sealer"):
            world.seal()
    assert world.seal().result["rows"] == 1


def test_gaps_count_once_and_served_runs_with_them(world):
    """A gap's requests are served and not recorded; each gap becomes one fact, over restarts and deleted files."""
    r = world.recording().rows(3).gap(4).rows(2).gap(1)
    world.seal()
    r = _alive_again(r).next_file().gap(2).rows(1).close()
    world.seal()
    world.seal()
    assert [f.missed for f in world.facts(GapCounted)] == [4, 1, 2]
    assert [(h.recorded, h.served) for h, _ in world.sealed()] == [(5, 9), (6, 13)]
    assert world.facts(StreamClosed)[0].missed == 7


def _alive_again(recording):
    """The same recording; the seal before took it for a stream that still runs."""
    return recording


@pytest.fixture(autouse=True)
def gap_stream_lives(request, monkeypatch):
    """Streams written by hand have no process; the tests that go on writing say that theirs lives."""
    if "gaps_count_once" in request.node.name or "consumed" in request.node.name or "ripe" in request.node.name:
        monkeypatch.setattr(wal, "alive", lambda file: True)


def test_consumed_files_go_and_the_stream_goes_on(world):
    """A file whose rows and gaps are in the ledger leaves the spool; what comes later is sealed from the next."""
    r = world.recording().rows(3).gap(1).next_file().rows(2)
    world.seal()
    assert [f.name for f in wal.files_of(r.folder)] == ["000002.wal"]
    r.next_file().rows(4).gap(2).close()
    world.seal()
    assert world.ids() == r.ids
    assert [f.missed for f in world.facts(GapCounted)] == [1, 2]


def test_a_running_stream_waits_until_it_is_ripe(world, clock):
    """Rows of a running process wait for a full segment or for their age; ``everything`` takes them at once."""
    r = world.recording().rows(2)
    clock.advance_to = None
    assert world.seal(everything=False, interval_s=10**9).result["rows"] == 0
    assert not list((r.folder / "out").glob("*.json"))
    assert world.seal(everything=False, interval_s=0).result["rows"] == 2
    r.rows(1)
    assert world.seal().result["rows"] == 1
    assert world.facts(StreamLost, StreamClosed) == []


def test_a_killed_process_is_lost_after_its_last_whole_row(world):
    """The torn end was never acknowledged: its bytes are counted, the rows before it are sealed."""
    r = world.recording().rows(4)
    r.raw(wal.frame(wal.ROW, b"x" * 90)[:40])
    world.seal()
    lost = world.facts(StreamLost)[0]
    assert (lost.rows, lost.torn, lost.damaged) == (4, 40, 0)
    assert world.ids() == r.ids
    assert not r.folder.exists()


def test_a_process_killed_before_its_opening_stood_leaves_nothing(world):
    """No opening, no acknowledged row: the folder goes without a fact."""
    r = world.recording()
    r.file.write_bytes(r.file.read_bytes()[:30])
    assert world.seal().facts == ()
    assert not r.folder.exists()


def _flip(path, at):
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)


def _damaged(r):
    size = r.rows(3).file.stat().st_size
    r.rows(2)
    _flip(r.file, size + 50)
    return r.close()


def _twice(r):
    r.rows(3)
    r.seq = 2
    return r.rows(1).close(4)


def _skipped(r):
    r.rows(3)
    r.seq = 5
    return r.rows(1).close()


def _same_id(r):
    r.rows(3)
    return r.rows(1, id=r.ids[1]).close()


def _same_id_in_batch(r):
    r.rows(3)
    table = pa.table({"id": pa.array([r.ids[0]], pa.binary(16))})
    full = {c.name: table["id"] if c.name == "id" else pa.nulls(1, kinds_type(c)) for c in SCHEMA.columns}
    return r.batch(1, table=pa.table(full)).close()


def kinds_type(column):
    from affidavit.streams.columnar import arrow_type

    return arrow_type(column)


def _second_nan(r):
    r.rows(3)
    r.rows(1, **{"in.a": 1.25})
    body = bytearray(r.file.read_bytes())
    at = body.rindex(struct.pack("<d", 1.25))
    good = r.file.read_bytes()
    last = good.rindex(wal.ROW_HEAD.pack(3))
    frame = body[last:]
    frame[at - last : at - last + 8] = struct.pack("<Q", 0x7FF8000000000001)
    r.file.write_bytes(good[: last - wal.FRAME.size] + wal.frame(wal.ROW, bytes(frame)))
    return r.rows(1).close()


def _other_columns(r):
    r.rows(3)
    return r.batch(1, table=pa.table({"id": pa.array([os.urandom(16)], pa.binary(16))})).close()


def _null_salt(r):
    return r.rows(3).batch(1, salts=pa.nulls(1, pa.binary(32))).close()


def _fewer_than_said(r):
    return r.rows(3).batch(2, announce=3).close()


def _no_arrow(r):
    r.rows(3).frame(wal.BATCH, wal.BATCH_HEAD.pack(3, 1) + b"not arrow at all")
    return r


def _unknown_frame(r):
    return r.rows(3).frame(9, b"{}").close()


def _false_end(r):
    return r.rows(3).close(2)


def _after_the_end(r):
    return r.rows(3).close().rows(1)


def _no_id(r):
    return r.rows(3).rows(1, id=None).close()


BAD_ENDS = {
    "a damaged frame": (_damaged, "damaged at byte"),
    "a repeated number": (_twice, "row 2 stands where row 3"),
    "a skipped number": (_skipped, "row 5 stands where row 3"),
    "an id twice": (_same_id, "stands twice"),
    "an id twice, in a batch": (_same_id_in_batch, "stands twice"),
    "a second form of NaN": (_second_nan, "second form of NaN"),
    "a batch of other columns": (_other_columns, "columns"),
    "a batch without a salt": (_null_salt, "without a salt"),
    "a batch shorter than it says": (_fewer_than_said, "2 rows"),
    "a batch that is no Arrow": (_no_arrow, "cannot be read"),
    "a frame of no known type": (_unknown_frame, "type 9"),
    "an end that miscounts": (_false_end, "states 2 rows"),
    "rows after the end": (_after_the_end, "after the end"),
    "a row without an id": (_no_id, "without id"),
}


@pytest.mark.parametrize("case", BAD_ENDS)
def test_a_bad_frame_ends_the_stream_and_is_named(world, case):
    """Rows before it are sealed, the stream is lost with the bytes that may have been rows, its files are kept aside."""
    spoil, words = BAD_ENDS[case]
    r = spoil(world.recording())
    good = world.recording().rows(2).close()
    result = world.seal().result
    assert words in result["quarantined"][r.folder.name]
    lost = world.facts(StreamLost)[0]
    assert lost.rows == 3
    assert lost.damaged > 0
    assert set(world.ids()) == {*r.ids[:3], *good.ids}
    kept = world.spool / "quarantine" / r.folder.name
    assert words in kept.with_name(kept.name + ".reason").read_text()
    assert wal.files_of(kept)
    assert world.seal().facts == ()


def test_an_id_that_an_earlier_seal_took_is_found_again(world, monkeypatch):
    """The sealed part of a stream is looked through for ids that do not ascend; those that only came late are sealed."""
    monkeypatch.setattr(wal, "alive", lambda file: True)
    r = world.recording().rows(3)
    world.seal()
    late = (START_MS << 80 | 7).to_bytes(16)
    r.rows(1, id=late).rows(1, id=r.ids[1]).rows(1)
    monkeypatch.setattr(wal, "alive", lambda file: False)
    assert "stands twice" in world.seal().result["quarantined"][r.folder.name]
    assert world.ids() == [*r.ids[:3], late]


REFUSED = {
    "another workspace": ({"origin": "elsewhere.example/log"}, "another workspace"),
    "a folder of another name": ({"name": "018f2f6e-8c4e-8a55-9d3e-0c1f5a2b3c4e"}, "holds stream"),
    "a schema that is not its kind's": (
        {"schema": kinds.Schema.of("outcomes", [Column("decision", "id")])}, "columns are not those of outcomes",
    ),
    "decisions of no deployment": ({"deployment": None}, "names no deployment"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_stream_that_does_not_belong_here_is_set_aside(world, case):
    """Nothing of it enters the ledger, nothing of it is dropped, and the other streams are sealed."""
    given, words = REFUSED[case]
    r = world.recording(**given)
    good = world.recording().rows(2).close()
    result = world.seal().result
    assert words in result["quarantined"][r.folder.name]
    assert world.ids() == good.ids
    assert [f.stream for f in world.facts(StreamOpened)] == [good.folder.name]


def test_rows_that_were_taken_from_the_spool_are_missed(world):
    """A spool whose first file was removed by hand: nothing is skipped in silence."""
    r = world.recording().rows(3)
    first = r.file
    r.next_file().rows(2).close()
    first.unlink()
    assert "rows 0 to 2 are missing" in world.seal().result["quarantined"][r.folder.name]
    assert world.facts(StreamLost)[0].rows == 0


def test_rows_after_an_end_that_the_ledger_knows_are_set_aside(world):
    """A stream that ended, in the ledger, and shows up again with more rows."""
    r = world.recording().rows(2)
    copy = r.file.read_bytes()
    world.seal()
    r.folder.mkdir()
    r.file.write_bytes(copy)
    r.rows(1)
    assert "after the end" in world.seal().result["quarantined"][r.folder.name]
    assert len(world.ids()) == 2


def test_entries_stay_small_and_a_large_spool_takes_several(world):
    """Forty streams: each entry at most 8 KiB, each call at most 32 segments, and ``more`` until all is sealed."""
    made = [world.recording().rows(1).close() for _ in range(40)]
    first = world.seal().result
    assert first["more"]
    assert first["segments"] <= 32
    world.seal_all()
    assert sorted(world.ids()) == sorted(i for r in made for i in r.ids)
    entries = world.ws.stores.entries
    sizes = [len(b) for b in entries.entries(0, entries.size())]
    assert max(sizes) <= 8192
    assert max(f.segments for f in world.facts(BatchSealed)) > 20


def test_a_clock_that_ran_off_is_sealed_all_the_same(world):
    """Times before 1970 or after 9999 stand in the row as recorded; the header holds them at the edge."""
    world.recording().rows(1, at=-5).rows(1, at=2**62).rows(1, at=START_MS).close()
    world.seal()
    header, table = next(world.sealed())
    assert (header.t_min.year, header.t_max.year) == (1970, 9999)
    assert table.column("at").cast(pa.int64()).to_pylist() == [-5, 2**62, START_MS]
