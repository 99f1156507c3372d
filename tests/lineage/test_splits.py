"""Overlap of splits: the same individual is equal, another with the same features is near."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from affidavit.areas.lineage import splits
from affidavit.core.errors import Invalid

TABLE = pa.table({
    "person": [1, 2, 3, 4, 5, 1],
    "age": [20, 30, 40, 20, 99, 20],
    "pay": [100.01, 200.0, 300.0, 100.02, 5.0, 100.01],
    "job": ["Nurse Senior", "cook", "judge", "senior nurse", None, "Nurse Senior"],
    "split": ["training", "training", "training", "test", "test", "test"],
})  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "equal", "near"),
    [
        (("person",), 1, 1),  # person 1 is in both; person 4 only has the features of person 1
        ((splits.ROW_NUMBER,), 0, 1),  # six rows, six individuals; the last looks like the first in every column
        ((), 1, 0),  # no identity: the row that repeats whole is the same individual
        (("age", "job"), 1, 0),
    ],
)
def test_equal_is_identity_and_near_is_features(identity, equal, near):
    """The counts over the same table, by what tells one individual from another."""
    parts = splits.by_column(TABLE, "split")
    keys = splits.identities(TABLE, identity, "split")
    (found,) = splits.overlaps(parts, keys, splits.near_keys(TABLE, (*identity, "split")))
    assert (found.first, found.second, found.equal, found.near) == ("training", "test", equal, near)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (1234.0, 1233.9, True), (1234.0, 1246.0, False), (0.0, 0.0, True), (0.0, 1e-9, False), (999.6, 1000.0, True),
        (-5.0, 5.0, False), (-1234.0, -1233.9, True), (float("inf"), float("inf"), True), (float("inf"), 1e300, False),
        (1e300, 1.001e300, True), (None, None, True), (None, 0.0, False),
    ],
)  # fmt: skip
def test_numbers_are_near_at_three_significant_digits(one, other, near):
    """Zero, infinities, signs, carries and empty cells included."""
    keys = splits.near_keys(pa.table({"x": pa.array([one, other], pa.float64())}), ())
    assert (keys[0] == keys[1]) is near


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [("Nurse Senior", "senior  nurse", True), ("a b", "ab", False), ("x", None, False), (None, None, True)],
)
def test_text_is_near_by_its_words(one, other, near):
    """Case, order and spacing of words do not count."""
    keys = splits.near_keys(pa.table({"x": pa.array([one, other], pa.string())}), ())
    assert (keys[0] == keys[1]) is near


def test_dates_and_large_numbers_are_told_apart():
    """A date is near only to itself; integers beyond 2**53 do not stop the count."""
    days = pa.table({"d": pa.array([1, 2], pa.int32()).cast(pa.date32())})
    assert len(set(splits.near_keys(days, ()))) == 2
    assert len(splits.near_keys(pa.table({"n": pa.array([2**63 - 1, 2**60], pa.int64())}), ())) == 2


def test_three_parts_are_compared_in_pairs():
    """Training with validation, training with test, validation with test."""
    table = pa.table(
        {"id": [1, 2, 2, 3, 1, 3], "split": ["training", "training", "validation", "validation", "test", "test"]}
    )
    found = splits.overlaps(
        splits.by_column(table, "split"),
        splits.identities(table, ("id",), "split"),
        splits.near_keys(table, ("id", "split")),
    )
    assert [(o.first, o.second, o.equal) for o in found] == [
        ("training", "validation", 1), ("training", "test", 1), ("validation", "test", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [["training", "train"], ["training", None], ["0", "1"], [1, 2]])
def test_a_split_column_names_parts_and_nothing_else(values):
    """A foreign or empty name is refused."""
    with pytest.raises(Invalid, match="split column"):
        splits.by_column(pa.table({"split": values}), "split")


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"", "no list"), (b"1\nx\n", "no list"), (b"-1\n", "no list"), (b"1\n1\n", "twice"), (b"0\n6\n", "the data has 6"),
     (b"9" * 20, "no list")],
)  # fmt: skip
def test_an_index_file_names_rows_that_exist_once(body, says):
    """Empty, not numbers, twice, beyond the data."""
    with pytest.raises(Invalid, match=says):
        splits.of_index(body, "test", 6)


def test_a_split_has_one_content_whichever_way_it_was_named():
    """The canonical index file of a column is that of an index file of the same rows, in any order."""
    by_column = splits.by_column(TABLE, "split")["test"]
    by_file = splits.of_index(b"5\n3\r\n4", "test", 6)
    assert np.array_equal(by_column, by_file)
    assert splits.index_bytes(by_column) == b"3\n4\n5\n"
    assert hashlib.sha256(splits.index_bytes(by_file)).hexdigest() == hashlib.sha256(b"3\n4\n5\n").hexdigest()


def test_an_unknown_column_is_named():
    """The error lists the columns there are."""
    with pytest.raises(Invalid, match="no column nobody"):
        splits.identities(TABLE, ("nobody",), "split")
    with pytest.raises(Invalid, match="no column parts"):
        splits.by_column(TABLE, "parts")
