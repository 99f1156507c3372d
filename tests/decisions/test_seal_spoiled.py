"""What the disk or a hand spoiled between two seals: a false length, a cut that is not what it says, a full disk."""

from __future__ import annotations

import errno
import shutil

import pytest
from dying import dying
from sealed_world import SealedWorld

from affidavit.areas.decisions.events import BatchSealed, StreamClosed, StreamLost
from affidavit.areas.decisions.record.commands import RecordBatch
from affidavit.areas.decisions.record.rules import record_batch
from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid, Refused, StoreDown
from affidavit.streams.sealed import Span
from affidavit.streams.segment import SegmentWriter


@pytest.fixture
def world(make):
    """A workspace with a sealer."""
    return SealedWorld(make())


def flip(path, at, bit=1):
    """Alter one bit."""
    body = bytearray(path.read_bytes())
    body[at] ^= bit
    path.write_bytes(body)


def kept_aside(world, r):
    """The stream's folder, in the quarantine."""
    return (world.spool / "quarantine" / r.folder.name).is_dir() and not r.folder.exists()


def single(r):
    return r.rows(5)


def batches(r):
    return r.batch(2).batch(3)


def gap(r):
    return r.rows(1).gap(2)


@pytest.mark.parametrize("more", [single, batches, gap])
@pytest.mark.parametrize("end", [False, True], ids=["killed", "closed"])
def test_a_false_length_is_damage_and_no_unfinished_frame(world, more, end):
    """A length beyond the file looks like a torn end; whole frames after it say that acknowledged rows are lost."""
    r = world.recording().rows(3)
    size = r.file.stat().st_size
    more(r)
    if end:
        r.close()
    flip(r.file, size + 2)
    world.seal()
    lost = world.facts(StreamLost)[0]
    assert (lost.rows, lost.torn) == (3, 0)
    assert lost.damaged == len((world.spool / "quarantine" / r.folder.name / "000001.wal").read_bytes()) - size
    assert kept_aside(world, r)
    assert world.ids() == r.ids[:3]


def test_a_last_frame_that_is_whole_and_wrong_is_damage(world):
    """All its bytes are there, so its writer had finished it: it may have been acknowledged."""
    r = world.recording().rows(3)
    flip(r.file, -20)
    world.seal()
    lost = world.facts(StreamLost)[0]
    assert (lost.rows, lost.torn) == (2, 0) and lost.damaged
    assert kept_aside(world, r)


@pytest.mark.parametrize("more", [single, batches])
def test_a_damaged_opening_with_rows_after_it_is_kept(world, more):
    """A process killed before its opening stood has written no row: this one has."""
    r = more(world.recording())
    flip(r.file, 2)
    assert "damaged" in world.seal().result["quarantined"][r.folder.name]
    assert kept_aside(world, r)


def test_a_manifest_cannot_name_what_the_sealer_destroys(world):
    """Who writes to the spool puts the header of a sealed segment there: the segment stands."""
    world.recording().rows(3).close()
    world.seal()
    header, _ = next(world.sealed())
    r = world.recording().rows(2).close()
    for name, seq in (("000000000000", 0), ("000000000007", 7)):
        out = r.folder / "out"
        out.mkdir(exist_ok=True)
        forged = codec.dump_object(header) | {"stream": r.folder.name, "first_seq": seq, "last_seq": seq + 2}
        (out / f"{name}.json").write_bytes(canonical.encode({"aggregates": {}, "header": forged}))
    assert world.seal().result["rows"] == 2
    assert {header.file, header.tree} <= set(world.ws.stores.segments.list())


def test_a_cut_of_another_stream_stops_nobody(world):
    """It is made again from the rows of its own stream; every row of both is sealed once."""
    one, other = world.recording().rows(3).close(), world.recording().rows(4).close()
    with dying("the command", after=False):
        world.seal()
    shutil.rmtree(other.folder / "out")
    shutil.copytree(one.folder / "out", other.folder / "out")
    world.seal_all()
    assert sorted(world.ids()) == sorted([*one.ids, *other.ids])


def test_a_cut_whose_manifest_says_another_root_is_made_again(world):
    """What the ledger commits to are the rows of the file, not what a manifest claims of them."""
    r = world.recording().rows(3).close()
    with dying("the command", after=False):
        world.seal()
    manifest = next((r.folder / "out").glob("*.json"))
    value = canonical.decode(manifest.read_bytes())
    value["header"]["root"] = "sha256:" + "00" * 32
    manifest.write_bytes(canonical.encode(value))
    world.seal()
    assert world.ids() == r.ids, "proven to the header's root"
    assert len(world.facts(BatchSealed)) == 1


@pytest.mark.parametrize("step", ["add", "close"])
def test_a_full_disk_is_said_and_the_next_seal_finds_all(world, step, monkeypatch):
    """The sealer says so in words of its own, so that one that watches goes on; nothing is sealed, nothing lost."""
    r = world.recording().rows(3).close()

    def full(*_args, **_given):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWriter, step, full)
        with pytest.raises(StoreDown, match="No space left"):
            world.seal()
    assert world.facts(BatchSealed) == []
    world.seal()
    assert world.ids() == r.ids


def test_a_batch_takes_no_row_backwards_and_none_of_an_ended_stream(world):
    """A span that ends before it begins would let rows in twice; a stream that ended takes none."""
    r = world.recording().rows(3).close()
    world.seal()
    other = "018f2f6e-8c4e-8a55-9d3e-0c1f5a2b3c4d"

    def decide(*spans, closed=()):
        kinds = ("decisions",) * len(spans)
        command = RecordBatch(other, "embedded", 1, None, None, None, None, spans, kinds, (), closed, (), ())
        with world.ws.stores.entries.read() as tx:
            return record_batch(command, world.ws.executor.catalog.view_tx(tx, "decisions"), None)

    with pytest.raises(Refused, match="is closed") as refused:
        decide(Span(r.folder.name, 3, 4))
    assert refused.value.code == "stream-ended"
    with pytest.raises(Invalid, match="rows 5 to 2"):
        decide(Span(other, 0, 4), Span(other, 5, 2), Span(other, 3, 4))
    with pytest.raises(Refused, match="is closed already"):
        decide(closed=tuple(world.facts(StreamClosed)))
