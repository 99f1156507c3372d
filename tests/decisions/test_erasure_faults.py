"""Damage is named, a crash at any step is finished by the next run, a restored backup revives nobody."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest
from erasure_house import MARK, ErasureHouse

from affidavit.areas.decisions.erasure import carrying, spool
from affidavit.areas.decisions.erasure.commands import RecordErased
from affidavit.areas.decisions.erasure.scanning import every_segment
from affidavit.bootstrap.opening import open_recovered, read_settings
from affidavit.core.errors import Busy, NotFound, Tampered
from affidavit.service.desk import ServiceDesk
from affidavit.service.executor import Executor
from affidavit.service.health import examine
from affidavit.service.sealing import new_id
from affidavit.streams.segment import Segment, rewrite_without
from affidavit.streams.stored import examine as examine_segment


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def house(tmp_path, clock):
    """A serving house with thirty sealed decisions, the eighth of which bears the mark."""
    house = ErasureHouse(tmp_path, clock)
    house.ids = house.decide(30)
    house.seal()
    return house


def stored(house):
    """The stored Parquet files."""
    return [f for f in house.files().values() if f.read_bytes()[:4] == b"PAR1"]


def erased_state(house, index=7):
    """Whether the row is whole, or gone with an entry that says so; never one without the other."""
    desk = house.desk()
    where = next(every_segment(desk))
    entry = desk.ask("decisions.erasure_of", where.header.stream, where.header.first_seq, index)
    with desk.segment(where.file) as source:
        whole = Segment(source).row(index).salt is not None
    assert whole == (entry is None)
    return "whole" if whole else "erased"


@contextmanager
def dying(monkeypatch, owner, name, when="before", match=lambda *a: True):
    """The next call of a function that matches ends the process: before it did its work, or after."""
    real = getattr(owner, name)

    def dies(*args, **kwargs):
        if not match(*args):
            return real(*args, **kwargs)
        if when == "after":
            real(*args, **kwargs)
        raise Crash(name)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        yield


CRASHES = [
    ("before the rewritten file is stored", ServiceDesk, "keep_segment", "before", "whole"),
    ("after it is stored", ServiceDesk, "keep_segment", "after", "whole"),
    ("before the entry", Executor, "execute", "before", "whole"),
    ("after the entry", Executor, "execute", "after", "erased"),
    ("before the earlier file is destroyed", ServiceDesk, "drop_segment", "before", "erased"),
    ("after it is destroyed", ServiceDesk, "drop_segment", "after", "erased"),
    ("before the spool is wiped", spool, "wipe", "before", "erased"),
    ("after the spool is wiped", spool, "wipe", "after", "erased"),
]


def test_a_crash_at_any_step_is_finished_by_the_next_run(house, monkeypatch):
    """Whatever the step, the order is in the log, the row is whole or an entry says it is gone, and a retry completes it."""
    for n, (said, owner, name, when, state) in enumerate(CRASHES):
        command_id = new_id(house.ws.stores, house.clock.now())
        match = (lambda _, c, *a: isinstance(c, RecordErased)) if name == "execute" else lambda *a: True
        with dying(monkeypatch, owner, name, when, match), pytest.raises(Crash):
            house.erase(house.ids[n], command_id=command_id)
        assert erased_state(house, n) == state, said
        assert len(house.ws.ask("decisions.erasures")) == n + 1, said
        again = house.erase(house.ids[n], command_id=command_id) if n % 2 else house.do("carry_out")
        assert list(again.result["orders"].values()) == ["erased"], said
        assert erased_state(house, n) == "erased", said
        order = house.ws.ask("decisions.erasures")[n]["id"]
        assert house.do("prove_erasure", order, by="auditor").facts[0].TAG == "decisions.erasure_proven", said
        assert [f for f in house.inspect().problems] == [], said
    assert house.do("carry_out").facts == ()


def test_one_erasure_at_a_time_and_none_on_a_stale_file(house, monkeypatch):
    """While one runs another is told to wait; one that lost the race leaves no row behind."""
    fresh = carrying.turn(house.ws.stores.spool / spool.WORKSHOP)
    with fresh, pytest.raises(Busy, match="another erasure is running"):
        house.erase(house.ids[3])
    real = carrying._rewrite

    def overtaken(desk, where, rows, folder):
        """Rewrite, while another host carries out its own order on the same file."""
        found = real(desk, where, rows, folder)
        monkeypatch.setattr(carrying, "_rewrite", real)
        monkeypatch.setattr(carrying, "turn", lambda folder: _open(folder))
        house.erase(house.ids[7])
        return found

    monkeypatch.setattr(carrying, "_rewrite", overtaken)
    with pytest.raises(Busy, match="was rewritten meanwhile"):
        house.erase(house.ids[4])
    monkeypatch.undo()
    assert len(stored(house)) == 1  # the stale file, which held the mark, is gone already
    report = house.do("carry_out").result["orders"]
    assert set(report.values()) == {"erased"} and len(report) == 3
    assert len(stored(house)) == 1
    for order in report:
        house.do("prove_erasure", order, by="auditor")
    assert house.inspect().problems == []


@contextmanager
def _open(folder):
    (folder / carrying.WORK).mkdir(parents=True, exist_ok=True)
    yield


def test_a_hold_stops_an_order_that_is_not_carried_out(house, monkeypatch):
    """A hold that comes after the order keeps the row whole; released, the order is carried out."""
    with dying(monkeypatch, ServiceDesk, "keep_segment"), pytest.raises(Crash):
        house.erase(house.ids[7])
    hold = house.do("hold", "a court asked", decision=house.ids[7]).facts[0].hold
    assert f"legal hold {hold}" in next(iter(house.do("carry_out").result["orders"].values()))
    assert erased_state(house) == "whole"
    house.do("release_hold", hold, "done")
    house.do("carry_out")
    assert erased_state(house) == "erased"


def test_a_restored_backup_revives_nobody(house):
    """The file before an erasure is destroyed again at the start; what only the backup has is written anew without the rows."""
    backup = house.folder / "backup"
    shutil.copytree(house.root / "segments", backup)
    house.erase(house.ids[7])
    house.erase(house.ids[8])
    house.ws.publish()
    wanted = set(house.files())
    house.ws.close()
    for keep in (True, False):
        if not keep:
            shutil.rmtree(house.root / "segments")
        shutil.copytree(backup, house.root / "segments", dirs_exist_ok=True)
        house.ws, found = open_recovered(house.root, clock=house.clock)
        assert found.destroyed == 1
        assert set(house.files()) == wanted
        assert [r[1] for r in examine(house.ws, house.root, read_settings, found) if r[0] == "erasures"] == ["weak"]
        assert house.inspect().problems == []
    earlier = next(f for f in backup.glob("sha256/*/*") if f.read_bytes()[:4] == b"PAR1")
    house.ws.stores.segments.put(earlier.open("rb"))  # while it serves
    assert house.do("verify_segments", by="auditor").facts[0].revived == 1
    assert {p.kind for p in house.inspect().problems} == {"revived"}
    house.do("carry_out")
    assert house.inspect().problems == []


DAMAGE = [
    ("a flipped byte", lambda f: f.write_bytes(f.read_bytes()[:700] + bytes((f.read_bytes()[700] ^ 1,)) + f.read_bytes()[701:]), "damaged"),
    ("cut short", lambda f: f.write_bytes(f.read_bytes()[:-100]), "damaged"),
    ("empty", lambda f: f.write_bytes(b""), "damaged"),
    ("gone", lambda f: f.unlink(), "missing"),
    ("another segment's", lambda f: f.write_bytes(b"PAR1" + b"\0" * 400 + b"PAR1"), "damaged"),
]  # fmt: skip


def test_damage_is_named_and_opens_an_incident(house):
    """Verification names the segment, `verify` does, an incident opens; a damaged segment is not rewritten."""
    file = stored(house)[0]
    file.chmod(0o600)
    sound = file.read_bytes()
    for said, harm, kind in DAMAGE:
        harm(file)
        done = house.do("verify_segments", by="auditor")
        fact = done.facts[0]
        assert {"damaged": fact.damaged, "missing": fact.missing}[kind] == 1, said
        assert done.result["flaws"][0]["segment"].endswith("/0-29"), said
        assert [p.kind for p in house.inspect().problems] == [kind], said
        with pytest.raises((Tampered, NotFound)):
            house.erase(house.ids[7])
        file.write_bytes(sound)
    incidents = house.ws.incidents.incidents(by=house.who["auditor"])
    assert [i["kind"] for i in incidents] == ["tampering"]
    assert house.inspect().problems == []
    tree = next(f for f in house.files().values() if f != file)
    tree.unlink()
    assert house.do("verify_segments", by="auditor").facts[0].missing == 1


def test_a_payload_that_went_without_an_entry_is_unexplained(house, tmp_path):
    """A file rewritten behind the log's back, even under a digest that fits, gives an unexplained row."""
    desk = house.desk()
    where = next(every_segment(desk))
    written = rewrite_without(Segment(desk.segment(where.file)), {5, 6}, tmp_path / "forged")
    digest, _ = desk.keep_segment(tmp_path / "forged")
    assert digest == written.file
    flaws = examine_segment(where.header, digest, desk.segment, [(6, 6)])
    assert [(f.kind, f.row) for f in flaws] == [("unexplained", 5)]
    flaws = examine_segment(where.header, digest, desk.segment, [(4, 10**12)])
    assert [(f.kind, f.row) for f in flaws] == [("damaged", n) for n in (4, *range(7, 30))], "erased, and still there"
    assert len(house.do("verify_segments", by="auditor").result["strays"]) == 1
    assert "named by no entry" in house.inspect().notes[0]


def test_the_mark_is_found_before_and_not_after(house):
    """The test's own eye: the mark is in the stored file before the erasure."""

    def held():
        return any(
            MARK in str(Segment(f.open("rb")).table().to_pylist())
            for f in house.files().values()
            if f.stat().st_size > 99
        )

    assert held()
    house.erase(house.ids[7])
    assert not held()
