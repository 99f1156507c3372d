"""``record_batch``: tables in frames, with the ids, salts and refusals of single records."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from spool_reader import stream, streams

from affidavit.core.errors import Invalid, StoreDown
from affidavit.streams import capturing
from affidavit.streams.columnar import leaf_entries
from affidavit.streams.ids import Minter, id_text
from affidavit.streams.rows import encode_row


def table(rows=10, **more):
    texts = pa.array([f"s{i % 3}" for i in range(rows)], pa.string())
    columns = {"a": np.arange(rows) / 4, "n": np.arange(rows), "s": texts, "score": np.linspace(0, 1, rows)}
    return pa.table(columns | more)


def test_a_batch_is_one_frame_of_the_same_rows(spool, open_recorder):
    """What a batch holds is what single records hold; numbers go on; ids are those returned and ascend."""
    with open_recorder(clock=lambda: 5000) as rec:
        single = rec.record({"a": 0.0, "n": 0, "s": "s0"}, 0.0, caller="portal")
        ids = rec.record_batch(table(), output_columns="score", caller="portal")
        after = rec.record({"a": 0.25, "n": 1, "s": "s1"}, 0.5)
    found = stream(spool)
    assert (found.batches, sorted(found.rows)) == (1, list(range(12)))
    assert found.ids == [single.id, *[id_text(i) for i in ids.to_pylist()], after.id] == sorted(found.ids)
    same = {k: v for k, v in found.rows[0].items() if k not in ("id", "at")}
    assert {k: v for k, v in found.rows[1].items() if k in same} == same
    assert found.rows[1]["at"] == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)


def test_long_tables_are_cut_into_frames(spool, open_recorder):
    """65,536 rows each; ids stay in order over the cut."""
    rec = open_recorder()
    ids = rec.record_batch(pa.table({"a": np.zeros(70_000), "out": np.zeros(70_000)})).to_pylist()
    assert ids == sorted(set(ids))
    assert len(ids) == 70_000
    found = stream(spool)
    assert (found.batches, len(found.rows)) == (2, 70_000)


def test_wide_rows_are_cut_by_bytes():
    """A frame has about 64 MiB at most."""
    big = pa.table({"s": ["x" * 1_000_000] * 200})
    parts = list(capturing.parts_of(big))
    assert sum(n for _, n in parts) == 200
    assert max(n for _, n in parts) <= 64
    assert [a for a, _ in parts] == list(np.cumsum([0, *[n for _, n in parts]])[:-1])


def test_everything_about_a_decision_may_come_in_columns(spool, open_recorder):
    """Fields, times, ids, several outputs, groups: each in its place."""
    mint = Minter()
    given = [id_text(mint.mint(7000 + i, bytes(8))) for i in range(3)]
    t = table(3, who=["p1", "p2", None], no=[True, None, False], label=[1, 0, 1], key=given, sex=["f", "m", None],
              at=pa.array([1, 2, 3], pa.timestamp("us", "Asia/Tokyo")).cast(pa.timestamp("us", "Asia/Tokyo")))  # fmt: skip
    with open_recorder() as rec:
        ids = rec.record_batch(t, output_columns={"out": "score", "label": "label"}, ids="key", at="at", groups=["sex"],
                               fields={"subject": "who", "adverse": "no"}, tenant="t1")  # fmt: skip
        with pytest.raises(Invalid, match="recorded before"):
            rec.record({"a": 0.0, "n": 0, "s": ""}, {"out": 0.5, "label": 1}, id=given[0])
    found, groups = stream(spool), stream(spool, "groups")
    assert [id_text(i) for i in ids.to_pylist()] == given == found.ids == groups.ids
    assert [found.rows[i]["subject"] for i in range(3)] == ["p1", "p2", None]
    assert [found.rows[i]["adverse"] for i in range(3)] == [True, None, False]
    assert [groups.rows[i]["g.sex"] for i in range(3)] == ["f", "m", None]
    assert (found.rows[0]["out.label"], found.rows[0]["tenant"]) == (1, "t1")
    assert "in.sex" not in found.opened.schema.names


def test_the_leaves_of_a_batch_are_those_of_its_rows(spool, open_recorder):
    """Sealed by the column or row by row, the bytes are the same: nulls, NaN and texts included."""
    rec = open_recorder()
    odd = pa.table({"a": pa.array([float("nan"), None, -0.0]), "s": pa.array([None, "ä", ""]), "out": [1.0, 2.0, 3.0]})
    rec.record_batch(odd)
    found = stream(spool)
    schema = found.opened.schema
    names = schema.names
    rows = [[_ms(found.rows[n][c]) if c == "at" else found.rows[n][c] for c in names] for n in range(3)]
    typed = pa.table({c: [found.rows[n][c] for n in range(3)] for c in names}, schema=capturing.arrow_schema(schema))
    data, _ = leaf_entries(schema, bytes(96), typed)
    assert data == b"".join(b"\0" + bytes(32) + encode_row(schema, r) for r in rows)


def _ms(moment):
    return round(moment.timestamp() * 1000)


REFUSED = {
    "truth values for numbers": ({"a": [True] * 10}, "in.a"),
    "texts for numbers": ({"a": ["1"] * 10}, "in.a"),
    "fractions for whole numbers": ({"n": np.arange(10) / 2}, "in.n"),
    "whole numbers that binary64 rounds": ({"a": np.full(10, 2**53 + 1)}, "in.a"),
    "whole numbers beyond 64 bits": ({"n": np.full(10, 2**63, np.uint64)}, "in.n"),
    "a list": ({"s": [[1]] * 10}, "in.s"),
    "a column nobody knows": ({"zip": ["1"] * 10}, "'in.zip' is no column"),
    "a row over 16 MiB": ({"s": ["x"] * 9 + ["y" * (17 << 20)]}, "at most 16777216"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_do_not_fit_are_refused_whole(name, spool, open_recorder):
    """The error names the column; no row is written."""
    rec = open_recorder()
    rec.record({"a": 0.0, "n": 0, "s": "s0"}, 0.0)
    more, says = REFUSED[name]
    with pytest.raises(Invalid, match="(?s).") as caught:
        rec.record_batch(table(**more), output_columns="score")
    assert says in str(caught.value), str(caught.value)
    with pytest.raises(Invalid, match="'in.n' is missing"):
        rec.record_batch(table().drop_columns(["n"]), output_columns="score")
    assert len(stream(spool).rows) == 1


def test_text_that_is_no_utf8_is_refused(open_recorder):
    """Arrow does not check it; the recorder does."""
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], "<i4")), pa.py_buffer(b"\xff")])
    with pytest.raises(Invalid, match="in.s"):
        open_recorder().record_batch(pa.table({"s": bad, "out": [0.5]}))


def test_other_faults_of_a_call_are_named(open_recorder):
    """Columns that are not there, unknown fields, times without a zone, ids twice or of another kind."""
    rec, t = (
        open_recorder(),
        table(2, key=["3f2504e0-4f89-41d3-9a0c-0305e82c3301"] * 2, when=pa.array([1, 2], pa.timestamp("ms"))),
    )
    for given, says in (
        ({"output_columns": "gone"}, "no column 'gone'"), ({"fields": {"colour": "s"}}, "no column 'colour'"),
        ({"ids": "key"}, "no UUIDv7"), ({"at": "when"}, "without a zone"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=says):
            rec.record_batch(t, **({"output_columns": "score"} | given))
    assert len(rec.record_batch(t.select(["a", "score"]), output_columns="score")) == 2  # no bad call fixed the columns


def test_a_full_spool_counts_the_rows_of_a_batch(spool, open_recorder):
    """The ids of what was not recorded are null; with ``refuse`` the call says so."""
    with open_recorder(policy={"spool_bytes": 40_000, "on_full": "count"}) as rec:
        first = rec.record_batch(table(100), output_columns="score")
        second = rec.record_batch(table(100), output_columns="score")
        assert (first.null_count, second.null_count, rec.missed) == (0, 100, 100)
    assert [(g["missed"], g["why"]) for g in stream(spool).gaps] == [(100, "spool-full")]
    with pytest.raises(StoreDown, match="may wait unsealed"):
        open_recorder(policy={"spool_bytes": 9_000}).record_batch(table(1000), output_columns="score")


def test_adverse_rows_of_a_batch_are_explained(spool, open_recorder):
    """The explainer gets inputs by name, for the rows the policy chooses."""
    seen = []

    def explainer(inputs):
        seen.append(inputs)
        return {"base": 0.0, "margin": 1.0}

    with open_recorder(tier="high", policy={"explain": "adverse"}, explainer=explainer) as rec:
        ids = rec.record_batch(table(4, no=[False, True, None, True]), output_columns="score", fields={"adverse": "no"})
    assert [s["n"] for s in seen] == [1, 3]
    assert set(seen[0]) == {"a", "n", "s"}
    assert stream(spool, "explanations").ids == [id_text(ids[i].as_py()) for i in (1, 3)]


def test_no_rows_are_no_frame(spool, open_recorder):
    """An empty table writes nothing."""
    assert len(open_recorder().record_batch(table(0), output_columns="score")) == 0
    assert [len(s.rows) for s in streams(spool)] == [0]
