"""``record``: what it writes, what it refuses, and that its bytes are those of the row encoding."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issued import ARTIFACT, DEPLOYMENT, passport
from spool_reader import stream

from affidavit.client import Recorder
from affidavit.core.errors import Invalid
from affidavit.streams.ids import Minter, id_ms, id_text
from affidavit.streams.rows import encode_row

ROW = {"age": 41.0, "hours": 38, "sector": "trade", "married": True}


def values(spool, n=0):
    return stream(spool).rows[n]


def test_a_recorded_decision_is_in_the_file_with_everything_it_was_given(spool, open_recorder):
    """Inputs, output, deployment, digests, who asked and why stand in the row; the end counts it."""
    with open_recorder() as rec:
        done = rec.record(ROW, 0.7, caller="portal", subject="s1", sources=[{"stream": "pulse", "from": 1}], confidence=0.9,
                          adverse=False, guard="passed", tenant="t1", at=datetime(2026, 3, 1, 12, tzinfo=UTC))  # fmt: skip
    found, row = stream(spool), values(spool)
    assert (done.seq, found.ids) == (0, [done.id])
    assert {k: row[k] for k in ("in.age", "in.hours", "in.sector", "in.married", "out")} == {
        "in.age": 41.0, "in.hours": 38, "in.sector": "trade", "in.married": True, "out": 0.7}  # fmt: skip
    assert (row["caller"], row["subject"], row["tenant"], row["guard"]) == ("portal", "s1", "t1", "passed")
    assert row["sources"] == '[{"from":1,"stream":"pulse"}]'
    assert (row["confidence"], row["adverse"], row["at"]) == (0.9, False, 1772366400000)
    assert row["deployment"].hex() == DEPLOYMENT.replace("-", "")
    assert "sha256:" + row["version"].hex() == ARTIFACT == found.opened.opening.artifact
    assert "sha256:" + row["configuration"].hex() == found.opened.opening.configuration
    assert found.end["rows"] == found.end["served"] == 1


def test_several_outputs_have_names_of_which_out_is_the_main_one(spool, open_recorder):
    """A mapping of outputs fills ``out`` and ``out.NAME``."""
    open_recorder().record(ROW, {"out": 0.7, "label": 1, "word": "yes"})
    row = values(spool)
    assert (row["out"], row["out.label"], row["out.word"]) == (0.7, 1, "yes")


REFUSED = {
    "an input is missing": ({"age": 1.0}, 0.5, "'hours' is missing"),
    "an input nobody knows": (ROW | {"zip": "1"}, 0.5, "'zip' = '1'"),
    "a truth value for a number": (ROW | {"age": True}, 0.5, "'in.age': True"),
    "numpy's truth value for a number": (ROW | {"age": np.True_}, 0.5, "in.age"),
    "text for a number": (ROW | {"age": "41"}, 0.5, "'in.age': '41'"),
    "a number for text": (ROW | {"sector": 7}, 0.5, "'in.sector': 7"),
    "a float for a whole number": (ROW | {"hours": 38.0}, 0.5, "'in.hours': 38.0"),
    "a whole number that binary64 rounds": (ROW | {"age": 2**53 + 1}, 0.5, "in.age"),
    "a whole number beyond 64 bits": (ROW | {"hours": 2**63}, 0.5, "in.hours"),
    "one far beyond": (ROW | {"hours": 10**400}, 0.5, "in.hours"),
    "a lone surrogate": (ROW | {"sector": "a\ud800"}, 0.5, "in.sector"),
    "a text over 16 MiB": (ROW | {"sector": "x" * (17 << 20)}, 0.5, "16777216"),
    "another kind of output": (ROW, "yes", "'out': 'yes'"),
    "outputs by name where there is one": (ROW, {"out": 0.5}, "'out'"),
    "inputs that are no mapping": ([1.0, 2.0], 0.5, "no mapping"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_written(name, spool, open_recorder):
    """The error names column and value; number, file and count stay as they were."""
    rec = open_recorder()
    rec.record(ROW, 0.5)
    inputs, output, says = REFUSED[name]
    with pytest.raises(Invalid, match="(?s).") as caught:
        rec.record(inputs, output)
    assert says in str(caught.value), str(caught.value)
    assert rec.record(ROW, 0.5).seq == 1
    assert sorted(stream(spool).rows) == [0, 1]


ARGUMENTS = {
    "a caller that is no text": ({"caller": 7}, "caller"),
    "a confidence that is no number": ({"confidence": "high"}, "confidence"),
    "an adverse flag that is a number": ({"adverse": 1}, "adverse"),
    "a time without a zone": ({"at": datetime(2026, 1, 1)}, "no time zone"),
    "a time that is a fraction": ({"at": 1.5}, "at: 1.5"),
    "an id of another kind": ({"id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"}, "no UUIDv7"),
    "an id that is none": ({"id": "me"}, "is no id"),
    "a group that is no text": ({"groups": {"sex": 1}}, "g.sex"),
    "a source with a float": ({"sources": [0.5]}, "0.5"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_do_not_fit_are_refused(name, spool, open_recorder):
    """Nothing is written for them, in no stream."""
    rec = open_recorder()
    given, says = ARGUMENTS[name]
    with pytest.raises(Invalid, match="(?s).") as caught:
        rec.record(ROW, 0.5, **given)
    assert says in str(caught.value)
    assert rec.record(ROW, 0.5).seq == 0


def test_odd_numbers_are_kept_as_the_encoding_says(spool, open_recorder):
    """NaN becomes canonical, infinities and the sign of zero stay, exact whole numbers and numpy's numbers are taken."""
    rec = open_recorder(schema={"x": "f64", "n": "i64", "b": bool, "s": str}, output=float)
    odd = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]
    given = [
        (odd, 1),
        (math.inf, 2),
        (-math.inf, np.int8(3)),
        (-0.0, 4),
        (7, np.uint16(5)),
        (np.float32(0.5), 6),
        (None, None),
    ]
    for x, n in given:
        rec.record({"x": x, "n": n, "b": None, "s": None}, 0.5)
    rec.record({"x": math.inf, "n": 1, "b": np.True_, "s": np.str_("a")}, -math.inf)
    found = stream(spool)
    assert math.isnan(found.rows[0]["in.x"])  # decode_row refuses any other NaN
    assert [found.rows[i]["in.x"] for i in (1, 2, 4, 5, 6)] == [math.inf, -math.inf, 7.0, 0.5, None]
    assert math.copysign(1, found.rows[3]["in.x"]) == -1
    assert [found.rows[i]["in.n"] for i in range(7)] == [1, 2, 3, 4, 5, 6, None]
    assert (found.rows[7]["in.b"], found.rows[7]["in.s"], found.rows[7]["out"]) == (True, "a", -math.inf)


def test_times_of_other_zones_become_utc(spool, open_recorder):
    """The same moment in another zone is the same number; so for inputs that are times."""
    east = timezone(timedelta(hours=5, minutes=30))
    rec = open_recorder(schema={"asked": datetime}, output=float)
    rec.record({"asked": datetime(2026, 1, 1, 5, 30, tzinfo=east)}, 0.5, at=datetime(2026, 1, 1, 5, 30, tzinfo=east))
    row = values(spool)
    assert row["at"] == row["in.asked"] == 1767225600000
    with pytest.raises(Invalid, match="no time zone"):
        rec.record({"asked": datetime(2026, 1, 1)}, 0.5)


def test_a_first_record_that_shows_no_type_asks_for_a_schema(open_recorder):
    """None has no type; nothing is opened for it."""
    with pytest.raises(Invalid, match="schema="):
        open_recorder().record({"a": None}, 0.5)
    with pytest.raises(Invalid, match="no type 'number'"):
        open_recorder(schema={"a": "number"})


def test_ids_ascend_whatever_the_clock_does(spool, open_recorder):
    """A clock that steps back or stands still does not take the ids with it; 4,096 in a millisecond, then the next."""
    clock = iter([5000] * 5000 + [4000] * 10 + [6000])
    rec = open_recorder(schema={"a": float}, output=float, clock=lambda: next(clock, 7000))
    ids = [rec.record({"a": 0.0}, 0.0).id for _ in range(5005)]
    assert ids == sorted(set(ids))
    assert stream(spool).ids == ids
    assert id_ms(bytes.fromhex(ids[-1].replace("-", ""))) <= 7000


def test_an_id_may_be_given_and_counts_once(spool, open_recorder):
    """A caller's UUIDv7 is the row's id; the same one again is refused."""
    rec, mine = open_recorder(), id_text(Minter().mint(1_700_000_000_000, b"12345678"))
    assert rec.record(ROW, 0.5, id=mine).id == mine
    with pytest.raises(Invalid, match="was recorded before"):
        rec.record(ROW, 0.5, id=mine)
    assert stream(spool).ids == [mine]


def test_salts_are_drawn_for_each_row(spool, open_recorder):
    """No two rows share a salt, over several draws."""
    rec = open_recorder()
    for _ in range(600):
        rec.record(ROW, 0.5)
    assert len({salt for salt, _ in stream(spool).raw.values()}) == 600


NUMBERS = {
    "f64": st.one_of(st.floats(), st.integers(-(2**53), 2**53), st.none()),
    "i64": st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()),
    "bool": st.one_of(st.booleans(), st.none()),
    "time": st.one_of(st.integers(0, 2**45), st.none()),
    "str": st.one_of(st.text(max_size=90), st.none()),
    "bytes": st.one_of(st.binary(max_size=20), st.none()),
}
TYPES = st.lists(st.sampled_from(sorted(NUMBERS)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), inputs=TYPES, outputs=TYPES, scalar=st.booleans())
def test_the_bytes_are_those_of_the_row_encoding(tmp_path_factory, data, inputs, outputs, scalar):
    """For every mix of types, nulls and texts, the row in the file is ``encode_row`` of its values."""
    spool = tmp_path_factory.mktemp("spool")
    outputs = outputs[:1] if scalar else outputs
    schema = {f"i{n}": t for n, t in enumerate(inputs)}
    named = {("out" if n == 0 else f"o{n}"): t for n, t in enumerate(outputs)}
    about = {k: data.draw(st.one_of(st.text(max_size=70), st.none())) for k in ("caller", "subject", "tenant", "guard")}
    about |= {
        "confidence": data.draw(st.one_of(st.none(), st.floats())),
        "adverse": data.draw(st.sampled_from([None, True, False])),
    }
    with Recorder(passport(), spool, schema=schema, output=outputs[0] if scalar else named) as rec:
        for _ in range(2):
            row = {k: data.draw(NUMBERS[t]) for k, t in schema.items()}
            out = {k: data.draw(NUMBERS[t]) for k, t in named.items()}
            rec.record(row, out["out"] if scalar else out, at=data.draw(st.sampled_from([None, 5])), **about)
            found = stream(spool)
            seq = max(found.raw)
            kept = found.rows[seq]
            given_ = (
                {f"in.{k}": v for k, v in row.items()}
                | {("out" if k == "out" else f"out.{k}"): v for k, v in out.items()}
                | about
            )
            wanted = [given_.get(n, kept[n]) if n in given_ else kept[n] for n in found.opened.schema.names]
            assert found.raw[seq][1] == encode_row(found.opened.schema, wanted)
