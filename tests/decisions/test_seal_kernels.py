"""Kernels run at sealing: one aggregate a segment, committed with its batch, merging to what the whole would give."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest
from sealed_world import SealedWorld

from affidavit.areas.decisions.record import cutting
from affidavit.core.errors import Invalid
from affidavit.streams.kernels import Kernel, merge
from affidavit.streams.segment import GROUP_ROWS


def by_letter(table, schema):
    """Rows and adverse outcomes by the text input."""
    assert table.column_names == list(schema.names)
    counts = {v["values"]: v["counts"] for v in pc.value_counts(table.column("in.s")).to_pylist()}
    return {"adverse": pc.sum(table.column("adverse")).as_py(), "by": counts, "rows": table.num_rows}


def broken(table, schema):
    """Fails on every table."""
    raise ZeroDivisionError


PLANTED = (
    Kernel("letters", ("decisions",), by_letter, "sha256:" + "a" * 64),
    Kernel("broken", ("decisions",), broken, "sha256:" + "b" * 64),
    Kernel("others", ("outcomes",), broken, "sha256:" + "c" * 64),
)


@pytest.fixture
def world(make):
    world = SealedWorld(make())
    world.ws.catalog.__dict__["kernels"] = PLANTED
    return world


def test_each_segment_has_its_aggregate_and_they_merge(world, monkeypatch):
    """Two segments of one stream: the sum of their aggregates is the aggregate of all rows; a broken kernel says so."""
    monkeypatch.setattr(cutting, "CUT_BYTES", 1)
    world.recording().batch(GROUP_ROWS + 10).close()
    world.seal_all()
    found = world.aggregates()
    assert len(found) == 1
    headers = [h for h, _ in world.sealed()]
    assert set(found[0]) == {h.id for h in headers}
    assert len(headers) == 2
    name = "letters@sha256:" + "a" * 64
    one, other = (found[0][h.id][name] for h in headers)
    total = merge(one, other)
    rows = GROUP_ROWS + 10
    assert total == {"adverse": (rows + 2) // 3, "by": {"a": rows // 2, "b": rows // 2}, "rows": rows}
    assert found[0][headers[0].id]["broken@sha256:" + "b" * 64] == {"failed": "ZeroDivisionError"}
    assert not any("others" in key for key in found[0][headers[0].id])


def test_a_stream_without_kernels_has_no_aggregates(make):
    """No kernel, no attachment."""
    world = SealedWorld(make())
    world.ws.catalog.__dict__["kernels"] = ()
    world.recording().rows(2).close()
    world.seal()
    assert world.aggregates() == []


@pytest.mark.parametrize(
    ("one", "other", "want"),
    [
        ({"n": 1}, {"n": 2}, {"n": 3}),
        ({"m": {"a": 1}}, {"m": {"b": 2}}, {"m": {"a": 1, "b": 2}}),
        ({}, {"n": 2}, {"n": 2}),
    ],
)
def test_aggregates_merge_exactly(one, other, want):
    """Integers add, maps merge key by key, in either order."""
    assert merge(one, other) == merge(other, one) == want


@pytest.mark.parametrize("other", [{"n": 1.5}, {"n": "x"}, {"n": {"a": 1}}, {"n": True}])
def test_what_does_not_add_up_is_refused(other):
    """A float, a text or a map does not merge with a count."""
    with pytest.raises(Invalid, match="do not merge"):
        merge({"n": 1}, other)
