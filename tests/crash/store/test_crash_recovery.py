"""Processes that die or compete: half-written journals, two writers, forks, fsync errors."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import sys
import threading

import pytest

from affidavit.core.errors import Busy, StoreDown
from affidavit.store import durable
from affidavit.store.files import FileObjectStore, FileTileStore, durable_write
from affidavit.store.sqlite import SqliteEntryStore

posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX matter")
OLD_RELEASE = (3, 40, 1)

DIES_IN_A_HUGE_COMMIT = """
import sys
from pathlib import Path
from affidavit.store.hooks import KilledBeforePersist
from affidavit.store.sqlite import SqliteEntryStore
store = SqliteEntryStore(Path(sys.argv[1]), hooks=KilledBeforePersist("entry.commit"), version=(3, 40, 1))
with store.write() as tx:
    tx.run("UPDATE filler SET body = zeroblob(60000)")
    tx.append([b"x" * 60_000] * 10)
"""

WRITER = """
import json, sys
from pathlib import Path
from affidavit.store.hooks import Hooks, KilledAfterPersist, KilledBeforePersist
from affidavit.store.sqlite import SqliteEntryStore
path, name, rounds, fault = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
kill = {"before": KilledBeforePersist, "after": KilledAfterPersist}.get(fault)
store = SqliteEntryStore(path, hooks=kill("entry.commit", rounds) if kill else Hooks())
print("ready", flush=True)
sys.stdin.readline()
for i in range(rounds):
    bodies = [f"{name}/{i}/{j}" for j in range(1 + i % 4)]
    with store.write() as tx:
        first = tx.append([body.encode() for body in bodies])
    print(json.dumps([first, bodies]), flush=True)
store.close()
"""

APPENDS_ONCE = """
import sys
from pathlib import Path
from affidavit.core.errors import StoreDown
from affidavit.store.sqlite import SqliteEntryStore
store = SqliteEntryStore(Path(sys.argv[1]))
try:
    with store.write() as tx:
        tx.append([b"new"])
    print("acknowledged", flush=True)
except StoreDown as error:
    print("down", error, flush=True)
    try:
        store.size()
        print("still usable", flush=True)
    except StoreDown:
        print("refuses", flush=True)
"""


def entries(path):
    store = SqliteEntryStore(path)
    try:
        return [body.decode() for body in store.entries(0, 10**9)]
    finally:
        store.close()


def append(path, *bodies):
    store = SqliteEntryStore(path)
    try:
        with store.write() as tx:
            return tx.append(bodies)
    finally:
        store.close()


@posix
def test_readers_recover_from_a_commit_that_died_halfway(tmp_path, child):
    """A transaction larger than the cache has changed the file already: an open reader has it rolled back."""
    path = tmp_path / "ledger.db"
    store = SqliteEntryStore(path, version=OLD_RELEASE)
    with store.write() as tx:
        tx.append([b"kept"])
        tx.run("CREATE TABLE filler (body BLOB)")
        for _ in range(400):
            tx.run("INSERT INTO filler VALUES (randomblob(60000))")
    zeroed = "SELECT count(*) FROM filler WHERE body = zeroblob(60000)"
    done = child("-c", DIES_IN_A_HUGE_COMMIT, path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "ledger.db-journal").stat().st_size > 1 << 20
    assert list(store.entries(0, 99)) == [b"kept"]
    with store.read() as tx:
        assert tx.rows(zeroed) == [(0,)]
        assert tx.rows("SELECT * FROM pragma_integrity_check") == [("ok",)]
    assert not (tmp_path / "ledger.db-journal").exists()
    store.close()


@posix
@pytest.mark.parametrize("fault", ["none", "before", "after"])
def test_two_writer_processes_lose_no_acknowledged_entry(tmp_path, child, fault):
    """Dense indexes, each acknowledged entry where its writer was told, even if one writer is killed."""
    path = tmp_path / "ledger.db"
    SqliteEntryStore(path).close()
    writers = [child("-c", WRITER, path, *args, wait=False) for args in (("a", 40, "none"), ("b", 20, fault))]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n", "ready\n"]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    told = []
    for writer in writers:
        out, err = writer.communicate(timeout=30)
        assert not err
        told += [json.loads(line) for line in out.splitlines()]
    assert [w.returncode for w in writers] == [0, 0 if fault == "none" else -signal.SIGKILL]
    stored = entries(path)
    assert all(stored[first : first + len(bodies)] == bodies for first, bodies in told)
    unheard = [f"b/19/{j}" for j in range(4)] if fault == "after" else []  # committed, then killed
    assert sorted(stored) == sorted([body for _, bodies in told for body in bodies] + unheard)
    assert len(told) == (60 if fault == "none" else 59)


def test_another_process_s_turn_is_busy_after_the_timeout(tmp_path):
    """Two store objects on one file compete as two processes do."""
    path = tmp_path / "ledger.db"
    one, two = SqliteEntryStore(path), SqliteEntryStore(path, timeout_s=0.05)
    with one.write() as tx:
        tx.append([b"a"])
        with pytest.raises(Busy) as caught, two.write():
            pass
        assert caught.value.next_step
        assert two.size() == 0
    with two.write() as tx:
        assert tx.append([b"b"]) == 1
    one.close()
    two.close()


def in_fork(work):
    """The exit code of a forked child that runs ``work``: 0 if it returned true."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@posix
def test_a_forked_child_uses_connections_of_its_own(tmp_path):
    """Parent and children append through the same object; nothing is lost and the parent goes on."""
    store = SqliteEntryStore(tmp_path / "ledger.db")

    def work():
        with store.write() as tx:
            tx.append([b"child"])
        return store.size() >= 2

    with store.write() as tx:
        tx.append([b"parent"])
    assert store.size() == 1
    assert [in_fork(work) for _ in range(2)] == [0, 0]
    with store.write() as tx:
        assert tx.append([b"parent"]) == 3
    store.close()


@posix
def test_a_child_forked_inside_a_transaction_is_refused(tmp_path):
    """SQLite cannot be used there; the parent's turn and transaction stay whole."""
    store = SqliteEntryStore(tmp_path / "ledger.db")

    def work():
        try:
            store.size()
        except StoreDown:
            return True
        return False

    with store.write() as tx:
        tx.append([b"a"])
        assert in_fork(work) == 0
        tx.append([b"b"])
    with store.read() as tx:
        assert in_fork(work) == 0
        assert tx.size() == 2
    store.close()


@posix
def test_a_child_that_leaves_its_parent_s_block_commits_nothing(tmp_path):
    """The child's copy of the block refuses to commit and does not free the parent's lock."""
    store = SqliteEntryStore(tmp_path / "ledger.db")
    block = store.write()
    tx = block.__enter__()
    tx.append([b"a"])

    def leave():
        try:
            block.__exit__(None, None, None)
        except StoreDown:
            return True
        return False

    assert in_fork(leave) == 0
    other = SqliteEntryStore(tmp_path / "ledger.db", timeout_s=0.05)
    with pytest.raises(Busy), other.write():
        pass
    block.__exit__(None, None, None)
    assert entries(tmp_path / "ledger.db") == ["a"]
    other.close()
    store.close()


def test_a_restored_file_is_noticed_and_a_vanished_one_refused(tmp_path):
    """A store object never writes into a file that no longer has its name."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    append(path, b"a")
    shutil.copy(path, backup)
    store = SqliteEntryStore(path)
    with store.write() as tx:
        tx.append([b"lost by the restore"])
    assert store.size() == 2
    backup.replace(path)
    assert store.size() == 1
    with store.write() as tx:
        assert tx.append([b"b"]) == 1
    assert entries(path) == ["a", "b"]
    path.unlink()
    for use in (store.size, lambda: store.write().__enter__()):
        with pytest.raises(StoreDown):
            use()
    assert not path.exists()
    store.close()


@posix
@pytest.mark.parametrize(
    "use",
    [
        lambda root: FileTileStore(root / "log").put("tile/0/000", b"x"),
        lambda root: FileTileStore(root / "log").publish(b"new"),
        lambda root: FileObjectStore(root / "objects").put(io.BytesIO(b"x")),
        lambda root: durable_write(root / "settings", b"new"),
    ],
    ids=["tile", "checkpoint", "object", "durable_write"],
)
def test_every_fsync_error_is_store_down_and_never_retried(tmp_path, monkeypatch, use):
    """The k-th fsync fails, for every k: the error is told, no fsync follows it, no temp file stays."""
    durable_write(tmp_path / "settings", b"old")
    FileTileStore(tmp_path / "log").publish(b"old")
    real, calls = os.fsync, []
    for k in range(1, 12):
        calls.clear()

        def failing(fd, k=k):
            calls.append(fd)
            if len(calls) == k:
                raise OSError(errno.EIO, "Input/output error")
            real(fd)

        monkeypatch.setattr(durable.os, "fsync", failing)
        try:
            use(tmp_path)
        except StoreDown as error:
            assert "fsync" in error.problem and len(calls) == k
        else:
            assert k > 2, "fewer fsyncs than file and folder"
            break
        finally:
            monkeypatch.setattr(durable.os, "fsync", real)
        assert [p.name for p in tmp_path.rglob(durable.TEMP_PREFIX + "*")] == []
    else:
        pytest.fail("it never ended without an error")


@posix
def test_a_store_takes_nothing_more_after_an_fsync_error(tmp_path, monkeypatch):
    """Until the process starts again; a new object on a sound disk works."""
    store = FileTileStore(tmp_path / "log")
    store.put("tile/0/000", b"x")

    def failing(_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", failing)
        with pytest.raises(StoreDown):
            store.put("tile/0/001", b"x")
    for use in (lambda: store.put("tile/0/002", b"x"), lambda: store.publish(b"c")):
        with pytest.raises(StoreDown, match="fsync"):
            use()
    assert store.get("tile/0/000") == b"x"
    FileTileStore(tmp_path / "log").put("tile/0/001", b"x")


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@posix
@needs_strace
@pytest.mark.parametrize("inject", ["error=EIO", "signal=KILL"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_failing_or_fatal_sync_of_the_database_loses_nothing_acknowledged(tmp_path, child, inject, k):
    """The k-th fsync or fdatasync of one append fails or kills: acknowledged is durable, anything else all or none."""
    path = tmp_path / "ledger.db"
    append(path, b"old")
    rule = f"inject=fsync,fdatasync:{inject}:when={k}"
    done = child("-c", APPENDS_ONCE, path, wrapper=("strace", "-f", "-qq", "-o", "/dev/null", "-e", rule))
    if "ptrace" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    if k == 1:  # the injection itself works
        assert "acknowledged" not in done.stdout
    stored = entries(path)
    assert stored in (["old"], ["old", "new"])
    if "acknowledged" in done.stdout:
        assert stored == ["old", "new"]
    elif inject.startswith("error"):
        assert "down" in done.stdout and "refuses" in done.stdout, done.stdout + done.stderr
    assert append(path, b"next") == len(stored)


def test_threads_of_one_process_share_a_store_object_with_readers(tmp_path):
    """Writers, streams and snapshots at once: no error, no gap, nothing lost."""
    store = SqliteEntryStore(tmp_path / "ledger.db", version=OLD_RELEASE)
    failures, done = [], threading.Event()

    def guarded(work):
        try:
            work()
        except Exception as error:
            failures.append(error)

    def write():
        for _ in range(25):
            with store.write() as tx:
                tx.append([b"x"] * 3)

    def look():
        while not done.is_set():
            before = store.size()
            assert len(list(store.entries(0, before))) == before
            with store.read() as tx:
                assert tx.rows("SELECT count(*) FROM entry")[0][0] == tx.size() >= before

    readers = [threading.Thread(target=guarded, args=(look,)) for _ in range(3)]
    writers = [threading.Thread(target=guarded, args=(write,)) for _ in range(4)]
    for t in readers + writers:
        t.start()
    for t in writers:
        t.join()
    done.set()
    for t in readers:
        t.join()
    assert failures == [] and store.size() == 300
    store.close()
