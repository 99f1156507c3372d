"""Full disks, full spools, failing writes: refused or counted as the policy says, never silent."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from spool_reader import read_stream, stream, streams

from affidavit.core.errors import StoreDown
from affidavit.streams import writer as writing

ROW = {"text": "x" * 1000}


def fill(folder):
    """Leave no byte free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="space"):
        while True:
            out.write(b"f" * 4096)
    return filler


def test_a_full_spool_refuses_until_it_was_sealed_away(spool, open_recorder):
    """With ``refuse`` nothing is written or counted; once files are taken away it goes on under the next number."""
    rec = open_recorder(policy={"spool_bytes": 20_000})
    done = 0
    with pytest.raises(StoreDown, match="may wait unsealed") as caught:
        while True:
            rec.record(ROW, 0.5)
            done += 1
    assert "seal" in caught.value.next_step
    assert rec.missed == 0
    found = stream(spool)
    assert len(found.rows) == done < 20
    assert sum(f.stat().st_size for f in found.folder.iterdir()) <= 20_000
    rec.writer._broken = True
    (found.folder / "000001.wal").rename(spool.parent / "sealed.wal")
    assert rec.record(ROW, 0.5).seq == done
    assert len(list(found.folder.iterdir())) == 1


def test_a_full_spool_counts_what_it_serves(spool, open_recorder):
    """With ``count`` the request is served and missed; gap and end say how many, when and why."""
    with open_recorder(policy={"spool_bytes": 20_000, "on_full": "count"}) as rec:
        results = [rec.record(ROW, 0.5) for _ in range(50)]
        lost = [r for r in results if r.seq is None]
        assert rec.missed == len(lost) > 20
        assert lost[0].id is None
        assert lost[0].receipt() is None
    found = stream(spool)
    assert [(g["missed"], g["why"]) for g in found.gaps] == [(len(lost), "spool-full")]
    assert found.gaps[0]["start"] <= found.gaps[0]["end"]
    assert found.end == {**found.end, "rows": 50 - len(lost), "served": 50, "missed": len(lost)}
    last = stream(spool, "heartbeats").rows[max(stream(spool, "heartbeats").rows)]
    assert (last["served"], last["recorded"], last["missed"]) == (50, 50 - len(lost), len(lost))


def test_gaps_of_two_reasons_stay_apart(spool, open_recorder):
    """One gap for each reason in a row."""
    with open_recorder(policy={"on_full": "count"}) as rec:
        rec.record(ROW, 0.5)
        for count, why in ((2, "disk-full"), (1, "disk-full"), (4, "write-failed")):
            rec.count_missed(count, why)
        rec.heartbeat()
        rec.count_missed(1, "disk-full")
        rec.record(ROW, 0.5)
    assert [(g["missed"], g["why"]) for g in stream(spool).gaps] == [
        (3, "disk-full"),
        (4, "write-failed"),
        (1, "disk-full"),
    ]


@pytest.mark.parametrize("on_full", ["refuse", "count"])
def test_a_full_disk_loses_nothing_that_was_acknowledged(on_full, small_disk, open_recorder):
    """The part of a frame is cut off again; space brings recording back, and the count is stated."""
    rec = open_recorder(where=small_disk, policy={"on_full": on_full, "fsync_ms": 0})
    kept = [rec.record(ROW, 0.5).id for _ in range(5)]
    filler, refused = fill(small_disk), 0
    for _ in range(8):  # what is left of the last block is used first
        try:
            done = rec.record(ROW, 0.5)
        except StoreDown as e:
            assert "No space" in str(e)
            refused += 1
        else:
            kept += [done.id] if done.id else []
    assert refused + rec.missed == 13 - len(kept) > 0
    assert (rec.missed == 0) == (on_full == "refuse")
    found = stream(small_disk)
    assert (found.ids, found.stops) == (kept, ["end"])
    filler.unlink()
    kept.append(rec.record(ROW, 0.5).id)
    missed = rec.missed
    rec.close()
    found = stream(small_disk)
    assert (found.ids, found.stops) == (kept, ["end"])
    assert [(g["missed"], g["why"]) for g in found.gaps] == ([(missed, "disk-full")] if missed else [])
    assert found.end["missed"] == missed


def test_a_disk_that_is_full_from_the_start_is_counted_too(small_disk, open_recorder):
    """No stream can be opened: requests count, and the stream that opens later states them; no folder is left behind."""
    filler = fill(small_disk)
    rec = open_recorder(where=small_disk, policy={"on_full": "count"})
    assert [rec.record(ROW, 0.5).seq for _ in range(3)] == [None] * 3
    assert rec.missed == 3
    assert [p.name for p in small_disk.iterdir()] == ["filler"]
    filler.unlink()
    assert rec.record(ROW, 0.5).seq == 0
    rec.close()
    assert [(g["missed"], g["why"]) for g in stream(small_disk).gaps] == [(3, "disk-full")]


def test_an_end_that_cannot_be_written_is_an_error(small_disk, open_recorder):
    """Close says that gaps and end are missing; the file ends whole, without an end: lost, as the audit will say."""
    rec = open_recorder(where=small_disk, policy={"on_full": "count"})
    rec.record({"text": ""}, 0.5)
    file = stream(small_disk).folder / "000001.wal"
    before = file.stat().st_size
    rec.record({"text": ""}, 0.5)
    row = file.stat().st_size - before
    fill(small_disk)
    rec.record({"text": "x" * (4096 - file.stat().st_size % 4096 - row - 20)}, 0.5)  # the last block has 20 bytes left
    for _ in range(3):
        assert rec.record(ROW, 0.5).seq is None
    with pytest.raises(StoreDown, match="3 requests were missed and the end"):
        rec.close()
    found = stream(small_disk)
    assert (len(found.rows), found.stops, found.end, found.gaps) == (3, ["end"], None, [])


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_row_that_could_not_be_synced_is_not_acknowledged(error, spool, open_recorder, monkeypatch):
    """With ``fsync_ms: 0`` the row is cut off again, and the next file goes on under the same number."""
    rec = open_recorder(policy={"fsync_ms": 0})
    rec.record(ROW, 0.5)

    def fails(_fd):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(writing.os, "fdatasync", fails)
        with pytest.raises(StoreDown):
            rec.record(ROW, 0.5)
    done = rec.record(ROW, 0.6)
    found = stream(spool)
    assert (done.seq, sorted(found.rows), found.twice, found.rows[1]["out"]) == (1, [0, 1], [], 0.6)
    assert [f.name for f in sorted(found.folder.iterdir())] == ["000001.wal", "000002.wal"]


@pytest.mark.parametrize("after", [False, True])
def test_an_exception_out_of_a_signal_handler_leaves_no_half_row(after, spool, open_recorder, monkeypatch):
    """Interrupted before or after the write, the next record is the next row, once."""
    rec = open_recorder()
    rec.record(ROW, 0.5)
    plain = os.write

    class TimeUp(Exception):
        pass

    def interrupted(fd, body):
        if after:
            plain(fd, body)
        raise TimeUp

    with monkeypatch.context() as patched:
        patched.setattr(writing.os, "write", interrupted)
        with pytest.raises(TimeUp):
            rec.record(ROW, 0.5)
    rec.record(ROW, 0.6)
    rec.close()
    found = stream(spool)
    assert (sorted(found.rows), found.twice, found.rows[1]["out"], found.stops) == ([0, 1], [], 0.6, ["end"])


def test_a_torn_end_was_never_acknowledged(spool, open_recorder):
    """Any cut of the file gives whole rows up to the cut."""
    rec = open_recorder()
    ids = [rec.record(ROW, 0.5).id for _ in range(4)]
    file = stream(spool).folder / "000001.wal"
    body = file.read_bytes()
    seen = set()
    for size in range(len(body) - 3400, len(body)):
        copy = spool.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        (copy / "000001.wal").write_bytes(body[:size])
        found = read_stream(copy)
        assert found.ids == ids[: len(found.ids)]
        assert found.stops[0] in ("torn", "end")
        seen.add(len(found.ids))
    assert seen >= {1, 2, 3}


def test_files_follow_each_other(spool, open_recorder, monkeypatch):
    """Past the size of a file the next begins with the next number; the old one is synced and let go."""
    monkeypatch.setattr(writing.wal, "FILE_BYTES", 8000)
    rec = open_recorder(policy={"fsync_ms": 3_600_000})
    ids = [rec.record(ROW, 0.5).id for _ in range(30)]
    rec.sync()
    assert rec.writer._retired == ()
    rec.record({"text": "y" * 20_000}, 0.5)
    rec.close()
    found = stream(spool)
    assert found.ids[:30] == ids
    assert len(found.stops) >= 5
    assert len(streams(spool)) == 1
