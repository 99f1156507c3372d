"""A routing rule: what it sends to a person, alone and by the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affidavit.core.errors import Invalid
from affidavit.streams.columnar import arrow_schema, table_of_rows
from affidavit.streams.passport import Condition, Routing
from affidavit.streams.routing import check_condition, meets, meets_table
from affidavit.streams.rows import encode_row
from affidavit.streams.schema import Column, Schema

RULE = "00000000-0000-4000-8000-000000000001"


def routing(*conditions: tuple[str, ...]) -> Routing:
    return Routing(RULE, "reviewer", tuple(Condition(*c) for c in conditions))


LOW = ("confidence", "below", "0.6")
SCENARIOS = [
    ("unsure", [LOW], {"confidence": 0.59}, True),
    ("at the bound", [LOW], {"confidence": 0.6}, False),
    ("sure", [LOW], {"confidence": 0.9}, False),
    ("no confidence recorded", [LOW], {"confidence": None}, True),
    ("the model has no confidence column", [LOW], {}, True),
    ("confidence is NaN", [LOW], {"confidence": math.nan}, True),
    ("confidence is -inf", [LOW], {"confidence": -math.inf}, True),
    ("a number against a text column", [("in.s", "below", "3")], {"in.s": "2"}, True),
    ("a numpy number", [LOW], {"confidence": np.float32(0.9)}, False),
    ("a numpy truth", [("adverse", "is-true")], {"adverse": np.bool_(False)}, False),
    ("at least", [("out", "at-least", "1e3")], {"out": 1000}, True),
    ("not at least", [("out", "at-least", "1e3")], {"out": 999.999}, False),
    ("adverse", [("adverse", "is-true")], {"adverse": True}, True),
    ("not adverse", [("adverse", "is-true")], {"adverse": False}, False),
    ("adverse unknown", [("adverse", "is-true")], {"adverse": None}, True),
    ("this text", [("in.s", "equals", "minor")], {"in.s": "minor"}, True),
    ("another text", [("in.s", "equals", "minor")], {"in.s": "adult"}, False),
    ("a digit as text is no number", [("in.s", "equals", "1")], {"in.s": "1.0"}, False),
    ("this class", [("out.label", "equals", "0")], {"out.label": 0}, True),
    ("another class", [("out.label", "equals", "0")], {"out.label": 1}, False),
    ("minus zero is zero", [("out", "equals", "0")], {"out": -0.0}, True),
    ("false named", [("in.ok", "equals", "false")], {"in.ok": False}, True),
    ("true where false is named", [("in.ok", "equals", "false")], {"in.ok": True}, False),
    ("a second condition", [LOW, ("adverse", "is-true")], {"confidence": 0.9, "adverse": True}, True),
    ("none of two", [LOW, ("adverse", "is-true")], {"confidence": 0.9, "adverse": False}, False),
    ("no condition", [], {"confidence": 0.1}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "conditions", "values", "held"), SCENARIOS, ids=[s[0] for s in SCENARIOS])
def test_a_rule_holds_what_it_says_and_what_it_cannot_judge(name, conditions, values, held):
    """One decision in words: held or not."""
    assert meets(routing(*conditions), values) is held


BAD = [
    ("a column no decision has", ("subject", "equals", "x"), "no column"),
    ("a bound that is no number", ("confidence", "below", "low"), "no number"),
    ("a bound that is no finite number", ("confidence", "at-least", "inf"), "no number"),
    ("a bound with underscores", ("confidence", "at-least", "1_0"), "no number"),
    ("is-true with a value", ("adverse", "is-true", "true"), "compares with nothing"),
]


@pytest.mark.parametrize(("name", "condition", "says"), BAD, ids=[b[0] for b in BAD])
def test_a_condition_that_means_nothing_is_refused(name, condition, says):
    """Each names what is wrong with it."""
    with pytest.raises(Invalid, match=says):
        check_condition(Condition(*condition))


SCHEMA = Schema.of("decisions", [
    Column("id", "id"), Column("at", "time"), Column("confidence", "f64"), Column("adverse", "bool"), Column("in.n", "i64"),
    Column("in.t", "time"), Column("in.s", "str"), Column("out", "f64"), Column("in.b", "bytes"), Column("in.d", "digest"),
])  # fmt: skip
FLOATS = st.sampled_from([0.0, -0.0, 0.5, 1.0, math.inf, -math.inf, math.nan]) | st.floats()
VALUES = {
    "bool": st.booleans(), "i64": st.integers(-2, 2) | st.integers(-(2**63), 2**63 - 1), "f64": FLOATS,
    "time": st.integers(-(2**53), 2**53), "str": st.sampled_from(["", "1", "true", "a"]), "id": st.binary(min_size=16, max_size=16),
    "bytes": st.sampled_from([b"", b"1"]), "digest": st.binary(min_size=32, max_size=32),
}  # fmt: skip
ROW = st.tuples(*(st.none() | VALUES[c.type] for c in SCHEMA.columns))
COLUMNS = st.sampled_from([*SCHEMA.names, "out.absent"])
CONDITION = st.builds(
    Condition, COLUMNS, st.sampled_from(["below", "at-least", "equals", "is-true"]),
    st.sampled_from(["0", "1", "-0.5", "9007199254740993", "true", "false", "a", "-", "1e300"]),
)  # fmt: skip


@given(st.lists(ROW, min_size=1, max_size=5), st.lists(CONDITION, max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_table_gives_what_each_row_gives(rows, conditions):
    """The vectorised form holds exactly the rows that the recorder held, whatever their types."""
    rule = Routing(RULE, "reviewer", tuple(conditions))
    table = table_of_rows(SCHEMA, [encode_row(SCHEMA, row) for row in rows])
    alone = [meets(rule, dict(zip(SCHEMA.names, row, strict=True))) for row in rows]
    assert meets_table(rule, table).to_pylist() == alone
    assert table.schema == arrow_schema(SCHEMA)
