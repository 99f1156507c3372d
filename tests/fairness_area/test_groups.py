"""Group columns become labels: as they are, or in bands."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from affidavit.areas.fairness import groups
from affidavit.core.errors import Invalid

ROWS = np.array([2, 0, 1])


@pytest.mark.parametrize(
    ("column", "token", "labels"),
    [
        (pa.array([1, 2, None]), "x", ["missing", "1", "2"]),
        (pa.array(["a", "", "b"]), "x", ["b", "a", "missing"]),
        (pa.array([True, False, None]), "x", ["missing", "true", "false"]),
        (pa.array([24, 25, 40], pa.int8()), "x:25,40", ["40 and over", "under 25", "25 to under 40"]),
        (pa.array([24.9, None, float("nan")]), "x:25", ["missing", "under 25", "missing"]),
        (pa.array([-1.5, -1.0, 0.5]), "x:-1,0.5", ["0.5 and over", "under -1", "-1 to under 0.5"]),
    ],
)
def test_a_row_has_one_label(column, token, labels):
    """In the order of the rows asked for; an empty cell is a group of its own."""
    assert groups.labels(pa.table({"x": column}), token, ROWS) == labels


def test_many_distinct_values_need_bands():
    """More than 20 are refused with the form a plan would name."""
    table = pa.table({"AGEP": range(21), "job": ["a"] * 21})
    with pytest.raises(Invalid, match="21 distinct") as error:
        groups.labels(table, "AGEP", np.arange(21))
    assert "AGEP:25,40,60" in error.value.next_step
    assert len(set(groups.labels(table, "AGEP", np.arange(20)))) == 20
    with pytest.raises(Invalid, match="not numeric"):
        groups.labels(table, "job:1,2", np.arange(21))
    with pytest.raises(Invalid, match="no column 'nobody'"):
        groups.labels(table, "nobody", ROWS)


def test_labels_that_are_no_truth_are_marked():
    """Anything but 0 and 1 is −1."""
    assert groups.truth(pa.table({"y": [1, 0, None, 2]}), "y", np.arange(4)).tolist() == [1, 0, -1, -1]
    assert groups.members(pa.table({"s": ["test", "x", None, "test"]}), "s", "test").tolist() == [0, 3]


@pytest.mark.parametrize("body", [b"", b"PAR1junk", b"\xff\xfe\x00"])
def test_what_is_no_table_is_invalid(tmp_path, body):
    """One kind of error."""
    path = tmp_path / "data"
    path.write_bytes(body)
    with pytest.raises(Invalid):
        groups.read(path)
