"""A segment cut short, flipped, swapped or missing is named, with what to do; nothing false is ever answered."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from look_house import LookHouse

from affidavit.areas.decisions import sealed_rows
from affidavit.core.errors import AffidavitError, NotFound, Tampered
from affidavit.service.desk import ServiceDesk
from affidavit.store.clock import SimulatedClock


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A house with one segment of decisions and one of outcomes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFIDAVIT_STATE", str(tmp_path_factory.mktemp("state")))
        house = LookHouse(tmp_path_factory.mktemp("house"), SimulatedClock(datetime(2026, 1, 5, 9, tzinfo=UTC)))
        house.ids = house.record(40)
        house.late(house.ids[7])
        house.seal()
        house.placed = {k: next(sealed_rows.segments_between(house.desk(), k)) for k in ("decisions", "outcomes")}
        house.right = (
            house.do("prove", house.ids[7]).body,
            house.do("trace", house.ids[7]),
            house.do("query", verify=True).body,
        )
        yield house
        house.ws.close()


@pytest.fixture
def damaged(made):
    """Replaces a stored file for a test, and puts it back."""
    kept = {}

    def damage(digest, change):
        path = made.segment_file(digest)
        if path not in kept:
            kept[path] = path.read_bytes()
            path.chmod(0o600)
        body = change(kept[path])
        if body is None:
            path.unlink()
        else:
            path.write_bytes(body)

    yield damage
    for path, body in kept.items():
        path.unlink(missing_ok=True)
        path.write_bytes(body)


def looks(made):
    return [
        lambda: made.do("prove", made.ids[7]).body,
        lambda: made.do("trace", made.ids[7]),
        lambda: made.do("query", verify=True).body,
    ]


DAMAGE = [
    ("cut in half", lambda b: b[: len(b) // 2], Tampered), ("cut by a byte", lambda b: b[:-1], Tampered),
    ("empty", lambda b: b"", Tampered), ("not Parquet", lambda b: b"x" * len(b), Tampered), ("missing", lambda b: None, NotFound),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "error"), DAMAGE, ids=[d[0] for d in DAMAGE])
def test_a_damaged_segment_is_named(made, damaged, name, change, error):
    """Each look says which segment it is, and to restore it."""
    where = made.placed["decisions"]
    damaged(where.file, change)
    for look in looks(made):
        with pytest.raises(error) as found:
            look()
        assert where.header.id in found.value.problem and "restore" in found.value.next_step


def test_a_segment_of_another_is_refused(made, damaged):
    """A whole, well-formed file in the wrong place."""
    other = made.segment_file(made.placed["outcomes"].file).read_bytes()
    damaged(made.placed["decisions"].file, lambda _: other)
    for look in looks(made):
        with pytest.raises(Tampered, match="not the one that was sealed"):
            look()


def test_a_damaged_segment_of_late_facts_stops_the_trace_by_name(made, damaged):
    """Nothing is said to be absent that could not be read; the proof of the decision still stands."""
    where = made.placed["outcomes"]
    damaged(where.file, lambda b: b[:-9])
    with pytest.raises(Tampered, match=where.header.id):
        made.do("trace", made.ids[7])
    assert made.do("prove", made.ids[7]).body == made.right[0]


def test_missing_tiles_or_headers_are_named(made, damaged):
    """Tiles beside the file; the batch's headers."""
    damaged(made.placed["decisions"].header.tree, lambda b: None)
    with pytest.raises(NotFound, match="missing"):
        made.do("prove", made.ids[7])


def test_no_flipped_bit_changes_an_answer(made, damaged):
    """Sampled bits of the file: refused by one of our errors, or the very same proof, trace and verified rows."""
    draw, refused = random.Random(7), 0
    where = made.placed["decisions"]
    size = len(made.segment_file(where.file).read_bytes())
    for at in sorted(draw.sample(range(size), 120)):
        bit = 1 << draw.randrange(8)
        damaged(where.file, lambda b, at=at, bit=bit: b[:at] + bytes((b[at] ^ bit,)) + b[at + 1 :])
        for look, right in zip(looks(made), made.right, strict=True):
            try:
                assert look() == right, at
            except AffidavitError as e:
                refused += 1
                assert e.next_step, at
    assert refused > 100


def test_an_entry_that_the_log_does_not_hold_is_not_handed_out(made, monkeypatch):
    """The entry in the database is another than the published one: no proof is made of it."""
    right = ServiceDesk.proof_of
    monkeypatch.setattr(
        ServiceDesk, "proof_of", lambda desk, index: (right(desk, index - 1)[0], *right(desk, index)[1:])
    )
    with pytest.raises(Tampered):
        made.do("prove", made.ids[7])


def test_altered_headers_are_refused(made, monkeypatch):
    """A batch whose attachment holds other headers than its root covers; those proven before in this process still stand."""
    where = made.placed["decisions"]
    digest = where.record.fact.headers.digest
    path = made.folder / "ws" / "objects" / "sha256" / digest[7:9] / digest[9:]
    body = path.read_bytes()
    path.chmod(0o600)
    try:
        path.write_bytes(body.replace(b'"writer":"', b'"writer":"x'))
        assert made.do("prove", made.ids[7]).body == made.right[0]
        monkeypatch.setattr(sealed_rows, "_KEPT", {})
        for look in looks(made):
            with pytest.raises(Tampered, match="headers"):
                look()
    finally:
        path.write_bytes(body)
