"""What is recorded while an erasure is under way, or after it: found by who proves, destroyed when asked again."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest
from erasure_house import MARK, ErasureHouse

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.erasure import carrying, spool
from affidavit.areas.decisions.erasure.scanning import every_segment
from affidavit.areas.decisions.events import ErasureOrdered
from affidavit.areas.decisions.record.spool import spool_lock
from affidavit.core.errors import Busy, Refused, Tampered
from affidavit.streams import wal
from affidavit.streams.ids import id_bytes, id_text


@pytest.fixture
def house(tmp_path, clock):
    """A serving house with twelve sealed decisions, the eighth of which bears the mark."""
    house = ErasureHouse(tmp_path, clock)
    house.ids = house.decide(12)
    house.seal()
    return house


@contextmanager
def stopped(monkeypatch):
    """Orders are given and not carried out."""

    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(carrying, "_step", stop)
        try:
            yield
        except Stop:
            pass


def test_attributes_that_are_sealed_after_an_order_are_about_nobody(house, monkeypatch):
    """They waited in the spool when the order was given, and are sealed before it is carried out: no key leads to them."""
    person = house.ids[7]
    house.attribute(person)
    with stopped(monkeypatch):
        house.erase(person)
    house.attribute(*[id_text(os.urandom(16)) for _ in range(1100)])
    assert house.seal().result["rows"] == 1101
    house.do("carry_out")
    key, seen = house.desk().group_key(id_bytes(person)), 0
    for where in sealed_rows.segments_between(house.desk(), "groups"):
        table = sealed_rows.opened(house.desk(), where).table()
        assert key not in table.column("key").to_pylist()
        assert table.column("g.sex").to_pylist().count(None) == 1
        seen += table.num_rows
    assert seen == 1101
    assert house.inspect().problems == []


def test_an_order_and_a_seal_do_not_run_into_each_other(house, monkeypatch):
    """While a sealer moves rows an order waits for it, and says so after a while."""
    monkeypatch.setattr(spool, "WAIT_S", 0.1)
    with spool_lock(house.ws.stores.spool), pytest.raises(Busy, match="another sealer"):
        house.erase(house.ids[7])
    assert house.erase(house.ids[7]).facts


def test_what_came_after_an_erasure_fails_its_proof_and_is_erased_when_asked_again(house):
    """Outcome, explanation and action of an erased decision: in the spool or sealed, the proof names them."""
    person, order = house.ids[7], house.erase(house.ids[7]).facts[0].order
    house.speak(person)
    for _ in range(2):  # first as they wait in the spool, then sealed
        with pytest.raises(Tampered, match="erase the decision again"):
            house.do("prove_erasure", order, by="auditor")
        house.seal()
    again = house.erase(person).facts[0]
    assert isinstance(again, ErasureOrdered) and (again.decisions, again.rows) == (0, 4)
    for one in (order, again.order):
        assert house.do("prove_erasure", one, by="auditor").result["found"] == 0
    assert not any(MARK.encode() in f.read_bytes() for f in house.root.rglob("*") if f.is_file())
    with pytest.raises(Refused, match="erased before"):
        house.erase(person)
    assert house.inspect().problems == []


def test_a_hold_covers_what_came_after_an_erasure(house):
    """Asking again is an erasure like any other."""
    house.erase(house.ids[7])
    house.speak(house.ids[7])
    house.seal()
    house.do("hold", "a court asked", decision=house.ids[7])
    with pytest.raises(Refused, match="legal hold"):
        house.erase(house.ids[7])


def test_headers_that_were_altered_do_not_silence_a_verification(house):
    """The batch is named, the rest is compared, the fact is recorded."""
    house.decide(3, marked=1)
    house.seal()
    where = next(every_segment(house.desk()))
    digest = where.record.fact.headers.digest
    path = house.root / "objects" / "sha256" / digest[7:9] / digest[9:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"n":12', b'"n":13'))
    done = house.do("verify_segments", by="auditor")
    fact = done.facts[0]
    assert (fact.sealed, fact.segments, fact.rows, fact.damaged) == (2, 2, 3, 1)
    assert done.result["flaws"][0]["segment"] == where.header.id and done.result["compared"] is False


@pytest.mark.parametrize("spoiled", [3, 7, 0], ids=["before the person", "the person", "the opening"])
def test_a_damaged_copy_in_the_quarantine_keeps_nothing_of_a_person(tmp_path, clock, spoiled):
    """A frame behind a damaged one is read all the same; what cannot be read and names the person is overwritten."""
    house = ErasureHouse(tmp_path, clock)
    writer = house.writer()
    ids = house.decide(12, writer=writer, close=False)
    copy = house.ws.stores.spool / "copy"
    shutil.copytree(writer.folder, copy)
    writer.close()
    file = copy / "000001.wal"
    offset = [at for at, _, _ in wal.read_frames(file, wal.Reading())][spoiled and spoiled + 1]
    body = bytearray(file.read_bytes())
    body[offset + 30] ^= 1  # in a row's salt
    file.write_bytes(body)
    assert "copy" in house.seal().result["quarantined"]
    order = house.erase(ids[7]).facts[0].order
    assert house.do("prove_erasure", order, by="auditor").result["found"] == 0
    left = (house.ws.stores.spool / "quarantine" / "copy" / "000001.wal").read_bytes()
    assert len(left) == len(body) and id_bytes(ids[7]) not in left and MARK.encode() not in left
    assert (id_bytes(ids[9]) in left) == bool(spoiled), "of others it keeps what can be told apart"
