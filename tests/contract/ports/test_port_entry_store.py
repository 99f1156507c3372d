"""Port ``EntryStore``: dense indexes, one transaction per block, whole states for readers."""

from __future__ import annotations

import threading

import pytest

from affidavit.core import ports
from affidavit.core.errors import Busy, Invalid, StoreDown, Tampered


class Bang(Exception):
    pass


def append(store, *bodies):
    with store.write() as tx:
        return tx.append(bodies)


def everything(store):
    return list(store.entries(0, 10**9))


def test_an_empty_store_has_size_zero_and_no_entries(entry_store):
    """Nothing appended is nothing read."""
    assert entry_store.size() == 0
    assert everything(entry_store) == []


def test_adapters_fit_the_port(entry_store):
    """Static typing is checked by mypy; here each method of the port exists."""
    for name in ("write", "read", "entries", "size", "close"):
        assert callable(getattr(entry_store, name)) and hasattr(ports.EntryStore, name)


def test_indexes_are_dense_from_zero(entry_store):
    """The index of the first entry of each append continues where the last one ended."""
    assert append(entry_store, b"a", b"b") == 0
    assert append(entry_store, b"c") == 2
    with entry_store.write() as tx:
        assert (tx.append([b"d"]), tx.append([b"e", b"f"]), tx.size()) == (3, 4, 6)
    assert everything(entry_store) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert entry_store.size() == 6


def test_appending_nothing_changes_nothing(entry_store):
    """An empty batch gives the size."""
    append(entry_store, b"a")
    assert append(entry_store) == 1
    assert entry_store.size() == 1


@pytest.mark.parametrize("body", [b"", b"x" * 65_536, "text", None, bytearray(b"x")])
def test_an_entry_of_wrong_size_or_type_is_invalid_and_nothing_is_appended(entry_store, body):
    """One bad entry refuses its whole batch; the transaction may go on."""
    with entry_store.write() as tx:
        with pytest.raises(Invalid):
            tx.append([b"good", body])
        assert tx.size() == 0
        tx.append([b"x" * 65_535])
    assert entry_store.size() == 1


@pytest.mark.parametrize(("start", "stop", "found"), [(0, 2, "ab"), (1, 3, "bc"), (2, 99, "c"), (3, 9, ""), (2, 1, "")])
def test_a_range_gives_the_entries_there_are(entry_store, start, stop, found):
    """The range is half open and ends with the log."""
    append(entry_store, b"a", b"b", b"c")
    assert b"".join(entry_store.entries(start, stop)).decode() == found


def test_a_negative_start_is_invalid(entry_store):
    """The error comes at once, not while streaming."""
    with pytest.raises(Invalid):
        entry_store.entries(-1, 2)


def test_long_ranges_are_streamed_across_batches(entry_store):
    """More entries than one internal batch come in order."""
    bodies = [b"%d" % i for i in range(1500)]
    append(entry_store, *bodies)
    assert everything(entry_store) == bodies


def test_a_suspended_stream_holds_no_lock(entry_store):
    """A consumer that stops halfway delays no writer, and sees later entries when it goes on."""
    append(entry_store, *[b"x"] * 300)
    stream = entry_store.entries(0, 400)
    next(stream)
    append(entry_store, b"late")
    assert list(stream)[-1] == b"late"


def test_entries_and_read_tables_commit_together(entry_store):
    """A block that raises leaves neither."""
    with entry_store.write() as tx:
        tx.run("CREATE TABLE seen (name TEXT)")
    with pytest.raises(Bang), entry_store.write() as tx:
        tx.append([b"a"])
        tx.run("INSERT INTO seen VALUES (?)", ["a"])
        raise Bang
    with entry_store.write() as tx:
        tx.append([b"b"])
        assert tx.run("INSERT INTO seen VALUES (?), (?)", ["b", "c"]) == 2
    with entry_store.read() as tx:
        assert tx.rows("SELECT name FROM seen ORDER BY name") == [("b",), ("c",)]
        assert tx.size() == 1
    assert everything(entry_store) == [b"b"]


def test_a_savepoint_undoes_its_block_alone(entry_store):
    """Appends, read tables and the size go back; what was before and after stays; the exception goes on."""
    with entry_store.write() as tx:
        tx.run("CREATE TABLE seen (name TEXT)")
        tx.append([b"a"])
        with pytest.raises(Bang), tx.savepoint():
            tx.append([b"b"])
            tx.run("INSERT INTO seen VALUES ('b')")
            raise Bang
        assert tx.size() == 1
        with tx.savepoint():
            tx.append([b"c"])
            with pytest.raises(Bang), tx.savepoint():
                tx.append([b"d"])
                raise Bang
            assert tx.append([b"e"]) == 2
    assert everything(entry_store) == [b"a", b"c", b"e"]
    with entry_store.read() as tx:
        assert tx.rows("SELECT * FROM seen") == []


def test_a_statement_error_in_a_savepoint_leaves_the_rest_usable(entry_store):
    """A bug in one reaction loses that reaction, not the command."""
    with entry_store.write() as tx:
        tx.append([b"a"])
        with pytest.raises(StoreDown), tx.savepoint():
            tx.append([b"b"])
            tx.run("INSERT INTO nowhere VALUES (1)")
        assert tx.append([b"failed"]) == 1
    assert everything(entry_store) == [b"a", b"failed"]


def test_a_snapshot_refuses_to_write(entry_store):
    """``append``, ``run``, savepoints and writing queries raise ``StoreDown``; reading goes on."""
    append(entry_store, b"a")
    with entry_store.read() as tx:
        for attempt in (
            lambda: tx.append([b"x"]),
            lambda: tx.run("CREATE TABLE t (a)"),
            lambda: tx.rows("CREATE TABLE t (a)"),
            lambda: tx.rows("WITH x AS (SELECT 1) INSERT INTO entry SELECT 1, x'00' FROM x RETURNING idx"),
            lambda: tx.savepoint().__enter__(),
        ):
            with pytest.raises(StoreDown):
                attempt()
        assert tx.size() == 1
    assert everything(entry_store) == [b"a"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entry SET body = x'00'",
        "DELETE FROM entry",
        "DELETE FROM entry WHERE idx = 1",
        "INSERT INTO entry VALUES (2, x'00')",
        "INSERT OR REPLACE INTO entry VALUES (0, x'00')",
        "REPLACE INTO \"entry\" VALUES (0, x'00')",
        "WITH x AS (SELECT 1) INSERT INTO entry SELECT 0, x'00' FROM x",
        "WITH x AS (SELECT 1) INSERT OR REPLACE INTO entry SELECT 0, x'00' FROM x",
        "DROP TABLE entry",
        "drop table if exists main.entry",
        "DROP TRIGGER entry_no_update",
        "ALTER TABLE entry RENAME TO other",
        "COMMIT",
        "  rollback;",
        "BEGIN",
        "SAVEPOINT a",
        "RELEASE a",
        "PRAGMA recursive_triggers = OFF",
        "VACUUM",
        "ATTACH 'x' AS y",
    ],
)
def test_no_statement_changes_entries_or_ends_the_transaction(entry_store, sql):
    """Append-only is enforced by the store and by triggers in the file."""
    append(entry_store, b"a", b"b")
    with entry_store.write() as tx:
        with pytest.raises(StoreDown):
            tx.run(sql)
        assert tx.append([b"c"]) == 2
    assert everything(entry_store) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("sql", "args"),
    [
        ("SELEC", []),
        ("", []),
        ("SELECT * FROM nowhere", []),
        ("SELECT ?", []),
        ("SELECT ?", [object()]),
        ("SELECT ?", [2**70]),
        ("SELECT ?", ["\ud800"]),
        ("SELECT 1; SELECT 2", []),
        ("SELECT \0", []),
    ],
)
def test_statement_errors_are_store_down(entry_store, sql, args):
    """No foreign error leaks, whatever is wrong with statement or arguments; the transaction goes on."""
    with entry_store.write() as tx:
        for call in (tx.rows, tx.run):
            with pytest.raises(StoreDown):
                call(sql, args)
        tx.append([b"a"])
    assert entry_store.size() == 1


def test_an_error_never_shows_arguments(entry_store):
    """Arguments may be private."""
    with entry_store.write() as tx:
        tx.run("CREATE TABLE t (a TEXT UNIQUE)")
        tx.run("INSERT INTO t VALUES (?)", ["canary"])
        with pytest.raises(StoreDown) as caught:
            tx.run("INSERT INTO t VALUES (?)", ["canary"])
    assert "canary" not in str(caught.value) and caught.value.next_step


def test_a_transaction_is_dead_after_its_block(entry_store):
    """A kept reference cannot write into someone else's transaction."""
    with entry_store.write() as tx:
        tx.append([b"a"])
    with entry_store.write(), pytest.raises(StoreDown):
        tx.append([b"b"])
    with entry_store.read() as snapshot:
        pass
    with pytest.raises(StoreDown):
        snapshot.size()
    assert everything(entry_store) == [b"a"]


def test_inside_a_write_block_committed_entries_are_readable(entry_store):
    """``size`` and ``entries`` of the store show what was committed before the block."""
    append(entry_store, b"a")
    with entry_store.write() as tx:
        tx.append([b"b"])
        assert entry_store.size() == 1
        assert everything(entry_store) == [b"a"]
        assert tx.size() == 2


def test_nested_blocks_of_one_thread_are_refused_at_once(entry_store):
    """They would wait for each other; the error says so instead of a timeout. Reads inside reads are fine."""
    with entry_store.write() as tx:
        for door in (entry_store.write, entry_store.read):
            with pytest.raises(StoreDown), door():
                pass
        tx.append([b"a"])
    with entry_store.read() as outer, entry_store.read() as inner:
        assert outer.size() == inner.size() == 1
        with pytest.raises(StoreDown), entry_store.write():
            pass
    assert append(entry_store, b"b") == 1


def test_a_snapshot_stays_as_it_was(entry_store):
    """A writer that commits during a snapshot does not change it."""
    append(entry_store, b"a")
    with entry_store.read() as tx:
        writer = threading.Thread(target=append, args=(entry_store, b"b"))
        writer.start()
        assert [tx.rows("SELECT count(*) FROM entry") for _ in range(50)] == [[(1,)]] * 50
    writer.join()
    assert entry_store.size() == 2


def test_readers_never_see_half_a_transaction(entry_store):
    """Each commit appends two entries and counts them: no reader finds the two apart."""
    with entry_store.write() as tx:
        tx.run("CREATE TABLE counted (n INTEGER)")
        tx.run("INSERT INTO counted VALUES (0)")
    done, seen = threading.Event(), []

    def look():
        while not done.is_set():
            with entry_store.read() as tx:
                seen.append(tx.rows("SELECT (SELECT count(*) FROM entry) - 2 * n FROM counted")[0][0])

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(40):
        with entry_store.write() as tx:
            tx.append([b"x"])
            tx.run("UPDATE counted SET n = n + 1")
            tx.append([b"y"])
    done.set()
    reader.join()
    assert seen and set(seen) == {0}


def test_writers_wait_for_each_other_and_lose_nothing(entry_store):
    """Eight threads append: every answer is the index where its entry is."""
    answers = {}

    def work(name):
        for i in range(15):
            body = f"{name}/{i}".encode()
            answers[body] = append(entry_store, body)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stored = everything(entry_store)
    assert len(stored) == len(answers) == 120
    assert all(stored[index] == body for body, index in answers.items())


def test_a_writer_that_waits_too_long_is_busy(entry_store):
    """The timeout gives ``Busy`` and the store works afterwards."""
    database = entry_store._database
    holding, free = threading.Event(), threading.Event()

    def hold():
        with entry_store.write() as tx:
            tx.append([b"slow"])
            holding.set()
            free.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(5)
    for name in ("timeout_s", "_timeout_s"):
        if hasattr(database, name):
            setattr(database, name, 0.05)
    with pytest.raises(Busy), entry_store.write():
        pass
    free.set()
    holder.join()
    assert everything(entry_store) == [b"slow"]


def test_reingest_appends_exactly_at_the_given_index(entry_store):
    """Recovery may repeat itself: entries that are there are compared, the rest is appended."""
    append(entry_store, b"a", b"b")
    assert entry_store.reingest(2, [b"c", b"d"]) == 4
    assert entry_store.reingest(1, iter([b"b", b"c", b"d", b"e"])) == 5
    assert entry_store.reingest(3, [b"d"]) == 5
    assert entry_store.reingest(5, []) == 5
    assert everything(entry_store) == [b"a", b"b", b"c", b"d", b"e"]


@pytest.mark.parametrize("first_index", [3, 99, -1])
def test_reingest_refuses_a_gap(entry_store, first_index):
    """Entries between the last one and the first given would be missing."""
    append(entry_store, b"a", b"b")
    with pytest.raises(Invalid):
        entry_store.reingest(first_index, [b"x"])
    assert entry_store.size() == 2


def test_reingest_refuses_other_bytes_and_keeps_nothing(entry_store):
    """An entry that differs from the signed one is ``Tampered``."""
    append(entry_store, b"a", b"b")
    with pytest.raises(Tampered):
        entry_store.reingest(1, [b"B", b"c"])
    assert everything(entry_store) == [b"a", b"b"]


def test_a_closed_store_is_down(entry_store):
    """Closing twice is fine; every use afterwards says so."""
    append(entry_store, b"a")
    entry_store.close()
    entry_store.close()
    for use in (entry_store.size, lambda: append(entry_store, b"b"), lambda: everything(entry_store)):
        with pytest.raises(StoreDown):
            use()
