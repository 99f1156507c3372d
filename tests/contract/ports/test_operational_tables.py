"""Operational tables: every stored value is under a MAC, and ``verify`` names each row that is not."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from affidavit.core.errors import Invalid, Tampered
from affidavit.store.mac import RowMac
from affidavit.store.operational import OperationalTable, open_operational

ALICE, BOB = {"key_id": "alice"}, {"key_id": "bob"}


def row(n):
    return {"at": f"2030-01-0{n}", "count": n}


def test_rows_are_stored_replaced_and_listed(operational):
    """An absent row is None; the order of columns does not matter."""
    assert operational.get(ALICE) is None and list(operational.all()) == []
    operational.put(BOB, row(2))
    operational.put(ALICE, {"count": 1, "at": None})
    operational.put(ALICE, row(3))
    assert operational.get(ALICE) == row(3)
    assert list(operational.all()) == [(ALICE, row(3)), (BOB, row(2))]
    assert operational.verify() == []


def test_a_change_is_atomic_between_threads(operational):
    """Forty increments from eight threads are forty."""

    def count():
        for _ in range(5):
            operational.change(ALICE, lambda old: {"at": "x", "count": (old["count"] if old else 0) + 1})

    threads = [threading.Thread(target=count) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert operational.get(ALICE) == {"at": "x", "count": 40}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ({}, row(1)),
        ({"key_id": "a", "x": 1}, row(1)),
        (ALICE, {"at": "x"}),
        (ALICE, {"at": 1.5, "count": 1}),
        (ALICE, {"at": True, "count": 1}),
    ],
)
def test_rows_of_another_shape_are_invalid(operational, key, values):
    """Columns are declared; values are text, integers or None."""
    with pytest.raises(Invalid):
        operational.put(key, values)


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE item SET val = '[\"2030-01-01\",9]' WHERE key = '[\"alice\"]'",
        "UPDATE item SET key = '[\"carol\"]' WHERE key = '[\"alice\"]'",
        "UPDATE item SET mac = (SELECT mac FROM item WHERE key = '[\"bob\"]') WHERE key = '[\"alice\"]'",
        "UPDATE item SET mac = zeroblob(32) WHERE key = '[\"alice\"]'",
        "UPDATE item SET mac = 'text' WHERE key = '[\"alice\"]'",
        "UPDATE item SET val = x'00' WHERE key = '[\"alice\"]'",
        "INSERT INTO item SELECT tbl, '[\"carol\"]', val, mac FROM item WHERE key = '[\"alice\"]'",
        "INSERT INTO item SELECT 'key_use', key || ' ', val, mac FROM item WHERE tbl = 'other'",
    ],
)
def test_a_row_written_by_something_else_is_found(tmp_path, attack):
    """Changed values, a moved key, a borrowed MAC, a row of another table: one bad row each, the good one stays."""
    database = open_operational(tmp_path / "operational.db")
    table, other = (
        OperationalTable(database, RowMac(b"k" * 32), name, ("key_id",), ("at", "count"))
        for name in ("key_use", "other")
    )
    for key in (ALICE, BOB):
        table.put(key, row(1))
    other.put(ALICE, row(2))
    database.close()
    with sqlite3.connect(tmp_path / "operational.db") as raw:
        raw.execute(attack)
    raw.close()
    database = open_operational(tmp_path / "operational.db")
    table._database = database
    bad = table.verify()
    assert len(bad) == 1 and bad[0].table == "key_use" and bad[0].key != '["bob"]'
    assert table.get(BOB) == row(1)
    with pytest.raises(Tampered):
        list(table.all())
    database.close()


def test_another_key_verifies_nothing():
    """The MAC depends on its key, which has 32 bytes."""
    assert RowMac(b"a" * 32).mac("t", "x") != RowMac(b"b" * 32).mac("t", "x")
    assert RowMac(b"a" * 32).mac("t", "x", "y") != RowMac(b"a" * 32).mac("t", "xy")
    with pytest.raises(Invalid):
        RowMac(b"short")
