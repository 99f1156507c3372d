"""Erasing destroys a decision and everything said about it; every other proof holds; nothing goes without an order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from erasure_house import MARK, ErasureHouse

from affidavit.areas.decisions import sealed_rows
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused, Tampered
from affidavit.ledger.keys import parse_vkey
from affidavit.ledger.notes import verify_note
from affidavit.store.clock import SimulatedClock
from affidavit.streams import wal
from affidavit.streams.proofs import parse_proof, verify_proof

UNKNOWN = "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d"


@pytest.fixture
def house(tmp_path, clock):
    """A serving house with nothing recorded."""
    return ErasureHouse(tmp_path, clock)


def proof(house, decision):
    """The proof of a decision, verified against the log's key; the access it leaves is sealed."""
    body = house.do("prove", decision, by="auditor").body
    house.ws.executor.streams.close()
    house.seal()
    return body, verify_proof(parse_proof(body), [house.ws.stores.log_signer.vkey])


def test_an_erasure_takes_everything_about_a_person_and_nothing_else(house):
    """Rows of six streams go, leaves stay; proofs of neighbours verify, the old proof too, a new one says erased."""
    ids = house.decide(1100)
    house.attribute(*ids)
    house.speak(ids[7])
    house.speak(ids[9])
    house.ws.executor.streams.close()
    house.seal()
    before, shown = proof(house, ids[7])
    assert shown.state == "verified" and shown.values["caller"] == MARK
    leaves = house.leaves()
    done = house.erase(ids[7])
    order, rows = done.facts[0], done.facts[1:]
    assert (order.TAG, order.decisions, order.rows) == ("decisions.erasure_ordered", 1, 7)
    assert {f.kind for f in rows} == {"decisions", "groups", "outcomes", "explanations", "actions", "reads"}
    assert len(leaves) - len(house.leaves()) == 7
    assert leaves > house.leaves()
    house.ws.publish()
    assert proof(house, ids[7])[1].state == "erased"
    assert proof(house, ids[8])[1].values["caller"] == "portal"
    assert verify_proof(parse_proof(before), [house.ws.stores.log_signer.vkey]).state == "verified"
    assert MARK.encode() not in b"".join(f.read_bytes() for f in house.root.glob("spool/**/*.wal"))
    assert house.inspect().problems == []
    assert house.do("verify_segments", by="auditor").facts[0].unexplained == 0


def test_another_identity_proves_an_erasure_and_then_there_is_a_certificate(house):
    """Who ordered does not prove; a certificate is a signed note once proven; a copy left behind is found and named."""
    ids = house.decide(20)
    house.seal()
    stored = {d: f.read_bytes() for d, f in house.files().items()}
    order = house.erase(ids[3], ids[4]).facts[0].order
    with pytest.raises(NotAllowed):
        house.do("prove_erasure", order)
    with pytest.raises(Refused, match="is not proven"):
        house.do("certificate", order, by="auditor")
    gone = next(d for d in stored if d not in house.files())
    copy = house.files()[next(iter(house.files()))].parent / ("0" * 62)
    copy.write_bytes(stored[gone])  # the earlier file under another name
    with pytest.raises(Tampered, match="2 rows are still there, first in segments/"):
        house.do("prove_erasure", order, by="auditor")
    assert house.ws.ask("decisions.erasure", order)["found"] == 2
    assert [i["kind"] for i in house.ws.incidents.incidents(by=house.who["auditor"])] == ["privacy"]
    house.do("carry_out", order)
    assert not copy.exists()
    fact = house.do("prove_erasure", order, by="auditor").facts[0]
    assert (fact.TAG, fact.rows) == ("decisions.erasure_proven", 2)
    note = house.do("certificate", order, by="auditor").result
    vkey = parse_vkey(house.ws.stores.artifact_signer.vkey)
    assert f"order {order}\n" in verify_note(note.body, [vkey]).body.decode()


def test_who_orders_does_not_prove(house):
    """A person who holds both permissions is refused."""
    grant = house.ws.access.request_grant(
        house.who["privacy"].principal, "auditor", "*", "both", by=house.who["privacy"]
    )
    house.ws.access.approve_grant(grant.facts[0].grant, by=house.admin)
    ids = house.decide(10)
    house.seal()
    order = house.erase(ids[3]).facts[0].order
    with pytest.raises(Refused, match="who orders does not prove"):
        house.do("prove_erasure", order)


def test_what_is_refused_leaves_everything_as_it_is(house, tmp_path):
    """Each refusal names what stands in the way; no order, no byte changes; the refusal itself is recorded."""
    ids = house.decide(30)
    house.seal()
    waiting = house.record(3)
    now = house.clock.now()
    held = house.do("hold", "a court asked", decision=ids[20], by="privacy").facts[0].hold
    window = house.do("hold", "a court asked", start=now - timedelta(hours=9), end=now - timedelta(hours=8))
    first = house.erase(ids[7]).facts[0].order
    size, files = len(house.ws.ask("decisions.erasures")), set(house.files())
    cases = [
        ([ids[7]], {}, Refused, f"by erasure {first}"),
        ([ids[8], ids[7]], {}, Refused, "erased before"),
        ([UNKNOWN], {}, NotFound, "no decision"),
        ([ids[1], ids[20]], {}, Refused, f"legal hold {held}"),
        ([waiting[0]], {}, Refused, "is not sealed yet"),
        ([], {"subject": "nobody"}, NotFound, "no sealed decision fits"),
        ([], {"subject": "s1"}, Refused, "the spool holds a row of decisions"),
        ([], {"tenant": "t0"}, Refused, "legal hold|the spool holds"),
        ([ids[1]], {"subject": "s1"}, Invalid, "or select them"),
        ([], {}, Invalid, "name decisions by id"),
        ([], {"start": now, "end": now - timedelta(days=1)}, Invalid, "is not after start"),
    ]
    for decisions, fields, error, said in cases:
        with pytest.raises(error, match=said):
            house.erase(*decisions, **fields)
    assert (len(house.ws.ask("decisions.erasures")), set(house.files())) == (size, files)
    refused = [
        r for r in map(house.ws.record, range(house.ws.stores.entries.size())) if r.fact.TAG == "service.refused"
    ]
    assert {"legal-hold", "erased-before", "unsealed"} <= {r.fact.code for r in refused}
    house.do("release_hold", held, "the court is done")
    house.do("release_hold", window.facts[0].hold, "the court is done")
    with pytest.raises(Refused, match="was released"):
        house.do("release_hold", held, "again")
    assert house.erase(ids[20]).facts[0].rows == 1
    other = ErasureHouse(tmp_path / "other", SimulatedClock(datetime(2026, 1, 5, 9, tzinfo=UTC)))
    foreign = other.decide(9)
    other.seal()
    with pytest.raises(NotFound):
        house.erase(foreign[0])


def test_a_selection_takes_what_is_left_of_it(house):
    """By pseudonym and window, over segments; rows erased before are not ordered again."""
    start = house.clock.now()
    ids = [i for _ in range(3) for i in house.record(60)]
    house.seal()
    house.erase(ids[1])
    done = house.do("erase", "court-order", "judgment", subject="s1", start=start, end=start + timedelta(seconds=90))
    assert (done.facts[0].decisions, len(done.facts) - 1) == (2, 2)  # 51 of the first stream, 1 of the second
    assert house.do("erase", "error", "a bug", subject="s1").facts[0].decisions == 3
    with pytest.raises(NotFound):
        house.erase(subject="s1")
    house.record(600)
    house.seal()
    facts = house.erase(tenant="t0").facts
    assert (facts[0].decisions, [len(f.rows) for f in facts[1:] if len(f.rows) > 60]) == (257, [120, 80])
    house.ws.publish()
    last = sealed_rows.find(house.desk(), ids[0])
    assert last.row is None
    states = [o["state"] for o in house.do("erasures", by="auditor")]
    assert states == ["erased"] * 4
    assert house.inspect().problems == []


def test_a_process_that_still_writes_keeps_no_copy_and_writes_on(house):
    """Sealed rows are overwritten in the live file; attributes that wait become a row about nobody; the rest is sealed."""
    writer = house.writer()
    ids = house.decide(20, writer=writer, close=False)
    attributes = house.attribute(*ids, close=False)
    house.seal()
    assert MARK in "".join(f.read_bytes().decode("latin1") for f in wal.files_of(writer.folder))
    order = house.erase(ids[7]).facts[0].order
    held = b"".join(f.read_bytes() for f in wal.files_of(writer.folder))
    assert MARK.encode() not in held
    groups = b"".join(f.read_bytes() for f in wal.files_of(attributes.folder))
    assert groups.count(MARK.encode()) == 19
    assert house.do("prove_erasure", order, by="auditor").facts[0].spooled >= 38
    later = house.record(5, writer=writer)
    attributes.close()
    house.seal()
    assert sealed_rows.find(house.desk(), later[4]).index == 4
    assert sealed_rows.find(house.desk(), ids[7]).row is None
    assert house.inspect().problems == []


def test_between_order_and_end_a_row_counts_as_erased(house, monkeypatch):
    """Readers refuse the row from the order on; another erasure of it names the order."""
    ids = house.decide(10)
    house.seal()
    monkeypatch.setattr("affidavit.service.desk.ServiceDesk.keep_segment", _down)
    with pytest.raises(OSError, match="no space"):
        house.erase(ids[3])
    monkeypatch.undo()
    with pytest.raises(Refused, match="it counts as erased"):
        sealed_rows.find(house.desk(), ids[3])
    with pytest.raises(Refused, match="was erased before"):
        house.erase(ids[3])
    assert sealed_rows.find(house.desk(), ids[4]).row is not None
    assert house.erase(ids[4]).facts[-1].TAG == "decisions.rows_erased"
    assert [o["state"] for o in house.do("erasures", by="auditor")] == ["erased", "erased"]


def _down(self, file):
    raise OSError("no space")
