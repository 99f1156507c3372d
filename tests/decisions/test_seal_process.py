"""The sealer as a process: what it prints, how it watches, what memory a million rows take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sealed_world import SealedWorld
from spooled import SCHEMA, START_MS, ipc

from affidavit.cli.main import main
from affidavit.streams import wal
from affidavit.streams.columnar import arrow_schema
from affidavit.streams.sealed import SEGMENT_ROWS


def table_of(first: int, count: int) -> pa.Table:
    """Rows whose ids ascend from ``first`` on."""
    ids = np.zeros((count, 2), ">u8")
    ids[:, 0] = (START_MS << 16) | 0x7000
    ids[:, 1] = np.uint64(0x80 << 56) + np.arange(first, first + count, dtype="u8")
    columns = {c.name: pa.nulls(count, t.type) for c, t in zip(SCHEMA.columns, arrow_schema(SCHEMA), strict=True)}
    columns["id"] = pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(ids.tobytes())])
    columns["at"] = pa.array(np.full(count, START_MS), pa.int64()).cast(pa.timestamp("ms", "UTC"))
    columns["in.a"] = pa.array(np.random.default_rng(first).normal(size=count))
    columns["in.s"] = pa.array(np.where(np.arange(count) % 2, "a", "b"))
    return pa.table(columns, schema=arrow_schema(SCHEMA))


def record(world: SealedWorld, batches: int, size: int = 32_768):
    """A closed stream of batches, a new file after every fourth."""
    r = world.recording()
    for n in range(batches):
        salts = pa.Array.from_buffers(pa.binary(32), size, [None, pa.py_buffer(os.urandom(32 * size))])
        table = table_of(r.seq, size).add_column(0, "salt", salts)
        r.frame(wal.BATCH, wal.BATCH_HEAD.pack(r.seq, size) + ipc(table))
        r.seq += size
        if n % 4 == 3:
            r.next_file()
    return r.close()


@pytest.fixture
def system(make):
    """A workspace on the system's clock, and the arguments that open it."""

    def made(name):
        world = SealedWorld(make(name, clock="system"))
        return world, ["--workspace", str(world.spool.parent), "--as", world.sealer.principal]

    return made


def test_the_sealer_says_what_it_sealed(system, capsys):
    """One call seals everything and says so; what was set aside is named with its reason."""
    world, opening = system("ws")
    world.recording().rows(3).close()
    other = world.recording(origin="elsewhere.example/log")
    world.ws.close()
    assert main(["seal", *opening, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["segments"], said["rows"], said["closed"]) == (1, 3, 1)
    assert "another workspace" in said["quarantined"][other.folder.name]
    assert main(["seal", *opening]) == 0
    assert capsys.readouterr().out.startswith("0 segments, 0 rows")


def test_bad_pauses_are_refused(system, capsys):
    """A pause of nothing would spin."""
    _, opening = system("ws")
    assert main(["seal", *opening, "--watch", "--every", "0"]) == 2
    assert "--every" in capsys.readouterr().err


def test_a_watch_seals_what_comes_and_ends_when_told(system):
    """Rows that are recorded while it watches are sealed; SIGTERM ends it in order."""
    world, opening = system("ws")
    world.ws.close()
    command = [
        sys.executable,
        "-m",
        "affidavit.cli.main",
        "seal",
        *opening,
        "--watch",
        "--every",
        "0.1",
        "--interval",
        "0",
    ]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        world.recording().rows(5).close()
        assert watch.stdout is not None
        assert "1 segments, 5 rows" in watch.stdout.readline()
    finally:
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(20) == 0


SEAL = """
import sys
from affidavit.cli.main import main
assert main(["seal", *sys.argv[1:]]) == 0
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_memory_is_flat_in_the_number_of_rows(system):
    """A million rows take the memory of half a million: one segment at a time."""
    peaks = []
    for batches in (16, 32):
        world, opening = system(f"ws-{batches}")
        record(world, batches)
        said = subprocess.run([sys.executable, "-c", SEAL, *opening], capture_output=True, text=True, check=True).stdout
        peaks.append(int(said.splitlines()[-1]))
        headers = [h for h, _ in world.sealed()]
        assert sum(h.n for h in headers) == batches * 32_768
        assert max(h.n for h in headers) == SEGMENT_ROWS
    assert peaks[1] < peaks[0] * 1.1, peaks
