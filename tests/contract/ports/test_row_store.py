"""Operational rows: durable, told apart by table, and every altered one is named."""

from __future__ import annotations

import sqlite3

import pytest

from affidavit.core.errors import Tampered
from affidavit.store.rowstore import RowStore

KEY = b"k" * 32


@pytest.fixture
def rows(tmp_path):
    store = RowStore(tmp_path / "operational.db", KEY)
    yield store
    store.close()


def test_rows_are_kept_replaced_and_removed(rows, tmp_path):
    """A row is found again by a new process, the last value counts, removing twice is fine."""
    rows.put("use", "a", {"n": 1})
    rows.put("use", "a", {"n": 2})
    rows.put("other", "a", {"n": 9})
    again = RowStore(tmp_path / "operational.db", KEY)
    assert again.get("use", "a") == {"n": 2}
    assert again.rows("use") == [("a", {"n": 2})]
    again.delete("use", "a")
    again.delete("use", "a")
    assert again.get("use", "a") is None
    assert again.get("other", "a") == {"n": 9}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET value = '{\"n\":3}'",
        "UPDATE item SET key = 'b'",
        "UPDATE item SET name = 'other'",
        "UPDATE item SET mac = zeroblob(32)",
        "UPDATE item SET mac = 'text'",
        "UPDATE item SET value = x'ff'",
    ],
)
def test_an_altered_row_is_named(rows, tmp_path, change):
    """Value, key, table and MAC are bound together: changing any one of them is found."""
    rows.put("use", "a", {"n": 1})
    rows.close()
    with sqlite3.connect(tmp_path / "operational.db") as raw:
        raw.execute(change)
    raw.close()
    again = RowStore(tmp_path / "operational.db", KEY)
    assert len(again.flaws()) == 1
    name, key = again.flaws()[0].split()
    with pytest.raises(Tampered, match=key):
        again.get(name, key)


def test_another_key_opens_nothing(rows, tmp_path):
    """The MAC is keyed: a workspace's rows mean nothing elsewhere."""
    rows.put("use", "a", {"n": 1})
    rows.close()
    assert RowStore(tmp_path / "operational.db", b"x" * 32).flaws() == ["use a"]
