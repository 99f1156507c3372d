"""Protected attributes: sealed under a key, a thousand at least, not joinable; counted inside the service alone."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime

import pytest
from dying import dying
from sealed_world import SealedWorld
from spooled import DEPLOYMENT, values

from affidavit.areas.decisions.events import BatchSealed, JoinKeyUsed, StreamClosed
from affidavit.areas.decisions.record.groups import suppressed
from affidavit.core.area import Who
from affidavit.core.errors import NotAllowed
from affidavit.streams import kinds, wal
from affidavit.streams.ids import id_bytes
from affidavit.streams.rows import encode_row

WAITING = kinds.groups_waiting(["sex"])
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def world(make):
    return SealedWorld(make())


def grouped(world, ids, sexes):
    """A stream of protected attributes of decisions."""
    r = world.recording(schema=WAITING)
    for decision, sex in zip(ids, sexes, strict=True):
        body = encode_row(WAITING, values(WAITING, {"decision": decision, "g.sex": sex}))
        r.frame(wal.ROW, wal.row_body(r.seq, os.urandom(32), body))
        r.seq += 1
    return r


def test_fewer_than_a_thousand_wait(world):
    """Nothing of a small set leaves the spool, however often it is sealed or the same decision is repeated."""
    ids = [os.urandom(16) for _ in range(999)]
    r = grouped(world, [*ids, *ids], ["f"] * 1998).close()
    for _ in range(2):
        assert world.seal().result["groups_waiting"] == 1998
    assert world.facts(BatchSealed, StreamClosed) == []
    assert wal.files_of(r.folder)


def test_a_thousand_of_several_streams_are_sealed_by_key(world):
    """The segment is sorted by key, names its sources, and closes the streams it emptied."""
    ids = [os.urandom(16) for _ in range(1200)]
    for at in range(0, 1200, 400):
        grouped(world, ids[at : at + 400], ["fm"[n % 2] for n in range(400)]).close()
    assert world.seal().result["groups_waiting"] == 0
    header, table = next(world.sealed("groups"))
    keys = table.column("key").to_pylist()
    assert keys == sorted(world.desk.group_key(i) for i in ids)
    assert header.n == 1200
    assert sorted(s.last_seq for s in header.sources) == [399, 399, 399]
    assert len(world.facts(StreamClosed)) == 3
    assert world.facts(BatchSealed)[0].taken == header.sources


def test_segments_alone_join_by_neither_position_nor_time(world):
    """Who holds every segment file and no key: positions of groups say nothing of positions of decisions, no time is there."""
    decisions = world.recording().rows(1500).close()
    grouped(world, decisions.ids, ["f" if n < 750 else "m" for n in range(1500)]).close()
    world.seal_all()
    (_, rows), (header, groups) = next(world.sealed()), next(world.sealed("groups"))
    assert groups.column_names == ["salt", "leaf", "key", "g.sex"]
    assert header.t_min == header.t_max
    by_position = zip(rows.column("id").to_pylist(), groups.column("g.sex").to_pylist(), strict=True)
    truth = {i: "f" if n < 750 else "m" for n, i in enumerate(decisions.ids)}
    right = sum(truth[i] == sex for i, sex in by_position)
    assert 600 < right < 900, "a join by position does no better than chance"
    assert not set(groups.column("salt").to_pylist()) & set(rows.column("salt").to_pylist())
    assert not set(groups.column("key").to_pylist()) & {i.ljust(32, b"\0") for i in decisions.ids}


@pytest.mark.parametrize("step", ["fixing the cut", "uploading", "the command", "removing a cut"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_sealer_that_dies_takes_each_group_row_once(world, step, after):
    """Killed twice, then left alone: every row of every stream is in one segment."""
    ids = [os.urandom(16) for _ in range(1100)]
    for at in (0, 550):
        grouped(world, ids[at : at + 550], ["f"] * 550).close()
    for _ in range(2):
        with dying(step, after=after):
            world.seal()
    world.seal_all()
    keys = [k for _, table in world.sealed("groups") for k in table.column("key").to_pylist()]
    assert sorted(keys) == sorted(world.desk.group_key(i) for i in ids)
    assert len(world.facts(StreamClosed)) == 2


def test_counts_join_inside_the_service_and_are_recorded(world):
    """Cells are right, small ones are left out, and each use of the key is a fact with its result."""
    deployment = id_bytes(DEPLOYMENT)
    r = world.recording().rows(1300, deployment=deployment).close()
    sexes = ["f" if n % 4 else "m" for n in range(1295)] + ["x"] * 5
    grouped(world, r.ids, sexes).close()
    world.seal_all()
    reviewer = _holder(world, "decisions.join")
    done = world.ws.decisions.count_groups(DEPLOYMENT, start=START, end=END, by=reviewer)
    want = Counter((sex, "yes" if n % 3 == 0 else "no") for n, sex in enumerate(sexes))
    cells = {(c["group"], c["adverse"]): c["n"] for c in done.result["attributes"]["sex"]}
    assert cells["f", "yes"] == want["f", "yes"]
    assert cells["x", "yes"] is cells["x", "no"] is None
    assert cells["m", "yes"] is cells["m", "no"] is None, "one hidden cell alone could be computed from the sum"
    fact = world.facts(JoinKeyUsed)[0]
    assert (fact.rows, fact.joined, fact.k) == (1300, 1300, 10)
    with pytest.raises(NotAllowed):
        world.ws.decisions.count_groups(DEPLOYMENT, start=START, end=END, by=world.sealer)


def _holder(world, permission):
    rules = world.desk.rules
    role = next(r for r, held in rules.roles.items() if permission in held)
    person = world.ws.access.register_principal("person", name="joins", by=world.admin).facts[0].principal
    who = Who(person, "os-user")
    grant = world.ws.access.request_grant(person, role, "*", "counts", by=who).facts[0].grant
    world.ws.access.approve_grant(grant, by=world.admin)
    return who


@pytest.mark.parametrize(
    ("cells", "hidden"),
    [
        ({("f", "yes", "none"): 50, ("m", "yes", "none"): 60}, set()),
        ({("f", "yes", "none"): 9, ("m", "yes", "none"): 60, ("x", "yes", "none"): 70}, {"f", "m"}),
        ({("f", "yes", "none"): 9, ("m", "yes", "none"): 9, ("x", "yes", "none"): 70}, {"f", "m"}),
        ({("f", "yes", "none"): 9}, {"f"}),
        ({}, set()),
    ],
)
def test_small_cells_are_hidden_and_never_one_alone(cells, hidden):
    """A single hidden cell of a column would follow from the column's sum."""
    assert {c[0] for c in suppressed(cells, 10)} == hidden
