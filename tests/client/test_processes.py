"""Threads, forks, many processes, and what a serving process has to load."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from issued import passport
from spool_reader import stream, streams

from affidavit.core.errors import Invalid
from affidavit.streams import wal
from affidavit.streams.passport import write_passport
from affidavit.streams.rows import SALT_BYTES

ROW = {"a": 1.0, "s": "x"}


def in_child(work):
    """Run ``work`` in a fork; it must end well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_share_a_recorder(spool, open_recorder):
    """Eight threads, one stream: no number twice or left out, ids ascend in the order of the rows."""
    rec, ids = open_recorder(policy={"fsync_ms": 1}), [[] for _ in range(8)]

    def work(mine):
        for _ in range(500):
            mine.append(rec.record(ROW, 0.5).id)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in ids]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rec.close()
    found = stream(spool)
    assert (sorted(found.rows), found.twice) == (list(range(4000)), [])
    assert found.ids == sorted(i for mine in ids for i in mine)
    assert len({salt for salt, _ in found.raw.values()}) == 4000


def test_the_child_of_a_fork_opens_a_stream_of_its_own(spool, open_recorder):
    """Parent's file, number and lock are untouched; the child counts from 0 under another id, salts and ids differ."""
    rec = open_recorder()
    first = [rec.record(ROW, 0.5) for _ in range(3)]
    parent = stream(spool).folder
    size = (parent / "000001.wal").stat().st_size

    def child():
        assert [rec.record(ROW, 0.5).seq for _ in range(5)] == list(range(5))
        assert (parent / "000001.wal").stat().st_size == size
        assert wal.alive(parent / "000001.wal")
        rec.close()

    in_child(child)
    assert wal.alive(parent / "000001.wal")
    assert rec.record(ROW, 0.5).seq == 3
    rec.close()
    found = streams(spool)
    assert sorted((len(s.rows), s.end["rows"]) for s in found) == [(4, 4), (5, 5)]
    assert len({s.opened.opening.pid for s in found}) == 2
    ids = [i for s in found for i in s.ids]
    salts = {salt for s in found for salt, _ in s.raw.values()}
    assert len(set(ids)) == len(ids) == len(salts) == 9
    assert all(len(s) == SALT_BYTES for s in salts)
    assert first[0].id in ids
    assert not any(wal.alive(wal.files_of(s.folder)[-1]) for s in found)


def test_a_fork_of_a_fork_before_the_first_record(spool, open_recorder):
    """A recorder opened before any worker exists serves each of them; the parent that records nothing has no stream."""
    rec = open_recorder(schema={"a": float, "s": str})

    def grandchild():
        rec.record(ROW, 0.5)
        rec.close()

    def child():
        rec.record(ROW, 0.5)
        in_child(grandchild)
        rec.close()

    in_child(child)
    assert [len(s.rows) for s in streams(spool)] == [1, 1]


def test_a_fork_while_another_thread_records(spool, open_recorder):
    """The lock may be held at the fork; the child does not wait for it."""
    rec, stop = open_recorder(), threading.Event()

    def work():
        while not stop.is_set():
            rec.record(ROW, 0.5)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            in_child(lambda: rec.record(ROW, 0.5))
    finally:
        stop.set()
        thread.join()
    rec.close()
    found = streams(spool)
    assert sorted(len(s.rows) for s in found)[:5] == [1] * 5
    assert all(s.stops == ["end"] and not s.twice for s in found)


def _serve(rec, n):
    for _ in range(n):
        rec.record(ROW, 0.5)


def test_processes_of_multiprocessing_end_their_streams(spool, open_recorder):
    """They leave by a way of their own; their streams are closed, not lost."""
    rec = open_recorder()
    rec.record(ROW, 0.5)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_serve, args=(rec, n)) for n in (10, 20)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    rec.close()
    found = streams(spool)
    assert sorted((len(s.rows), s.end["rows"]) for s in found) == [(1, 1), (10, 10), (20, 20)]


def test_reading_the_spool_in_the_same_process_keeps_the_lock(spool, open_recorder):
    """A sealer in the writer's own process sees it alive, before and after reading its file."""
    rec = open_recorder()
    rec.record(ROW, 0.5)
    file = stream(spool).folder / "000001.wal"
    assert wal.alive(file)
    stream(spool)
    program = f"from pathlib import Path\nfrom affidavit.streams.wal import alive\nprint(alive(Path({str(file)!r})))"
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "True"
    rec.close()
    assert not wal.alive(file)


def test_a_recorder_that_is_dropped_lets_go_of_its_stream(spool):
    """Nothing keeps it alive in the background: the stream has no end and no writer, so it is lost and not open for ever."""
    from affidavit.client import Recorder

    rec = Recorder(passport(), spool)
    rec.record(ROW, 0.5)
    file = stream(spool).folder / "000001.wal"
    del rec
    gc.collect()
    assert not wal.alive(file)
    assert stream(spool).end is None


PROGRAM = """
import sys
import affidavit
with affidavit.recorder("employment@production", spool=sys.argv[1]) as rec:
    rec.record({"a": 1.0, "s": "x"}, 0.5, groups={"sex": "f"})
heavy = {"numpy", "pyarrow", "pandas", "scipy", "yaml", "sqlite3", "sklearn", "lightgbm", "xgboost", "fastapi", "uvicorn",
         "cryptography", "affidavit.bootstrap", "affidavit.service", "affidavit.store", "affidavit.areas"}
print(sorted(heavy & set(sys.modules)))
rest = affidavit.recorder("employment@production", spool=sys.argv[1])
rest.record({"a": 1.0, "s": "x"}, 0.5)
"""


def test_a_serving_process_loads_next_to_nothing(spool):
    """With a spool alone: no server, store, numpy, pyarrow or yaml. A recorder left open is closed at exit."""
    write_passport(spool, passport())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(spool)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert [s.end["rows"] for s in streams(spool)] == [1, 1]


def test_without_a_passport_the_way_to_one_is_named(spool):
    """So for a name that is none."""
    import affidavit

    with pytest.raises(affidavit.core.errors.NotFound, match="affidavit decisions equip employment --env production"):
        affidavit.recorder("employment@production", spool=spool)
    with pytest.raises(Invalid, match="MODEL@ENVIRONMENT"):
        affidavit.recorder("employment", spool=spool)
    with pytest.raises(Invalid, match="both given"):
        affidavit.recorder("employment@production", spool=spool, workspace=spool)
