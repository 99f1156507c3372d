"""Kill loops over recorders: writer processes that fork and batch are killed at any instant; what they got back must be there."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "client"))

from spool_reader import Stream, streams

from affidavit.streams.passport import Passport, Policy, write_passport

HERE = Path(__file__).resolve().parent

WRITER = """
import os, sys
import affidavit
spool, pipe, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rec = affidavit.recorder("employment@production", spool=spool)
def told(text):
    os.write(pipe, (text + "\\n").encode())
def serve():
    n = 0
    while True:
        n += 1
        told(rec.record({"x": n / 7, "who": f"{os.getpid()}", "pad": "p" * (n * seed % 3000)}, 0.5, caller="c").id)
        if seed % 2 and n % 40 == 0:
            import pyarrow as pa
            from affidavit.streams.ids import id_text
            ids = rec.record_batch(pa.table({"x": [0.1] * 9, "who": ["b"] * 9, "pad": [""] * 9, "out": [0.5] * 9}))
            told(" ".join(map(id_text, ids.to_pylist())))
if seed % 2 == 0:
    told(rec.record({"x": 0.0, "who": "before", "pad": ""}, 0.5).id)
    for _ in range(2):
        if os.fork() == 0:
            break
serve()
"""


@dataclass
class Told:
    """Ids that writers got back, and problems found in what they left."""

    ids: set[str] = field(default_factory=set)
    twice: int = 0
    problems: list[str] = field(default_factory=list)


def play(spool: Path, rng: random.Random, told: Told, *, writers: int = 4, seconds: float = 1.0) -> None:
    """Start writers, each with its forks in a group of its own; kill every group at an instant of its own."""
    started = []
    for w in range(writers):
        reader, pipe = os.pipe()
        command = [sys.executable, "-c", WRITER, str(spool), str(pipe), str(rng.randrange(1000) * 2 + w % 2)]
        process = subprocess.Popen(command, pass_fds=[pipe], start_new_session=True, stderr=subprocess.PIPE)
        os.close(pipe)
        started.append((time.monotonic() + seconds * (0.5 + rng.random()), reader, process))
    bodies = {reader: bytearray() for _, reader, _ in started}
    waiting = {process.pid: at for at, _, process in started}
    open_pipes = set(bodies)
    while open_pipes:
        for pid in [p for p, at in waiting.items() if time.monotonic() >= at]:
            os.killpg(pid, signal.SIGKILL)
            del waiting[pid]
        for reader in select.select(list(open_pipes), [], [], 0.002)[0]:
            if body := os.read(reader, 1 << 16):
                bodies[reader] += body
            else:
                open_pipes.discard(reader)
                os.close(reader)
    for _, _, process in started:
        _, errors = process.communicate()
        if process.returncode != -signal.SIGKILL:
            told.problems.append(f"a writer ended by itself: {errors.decode()[-400:]}")
    for body in bodies.values():
        for line in body[: body.rfind(b"\n") + 1].decode().splitlines():
            for id_ in line.split():
                told.twice += id_ in told.ids
                told.ids.add(id_)


def check(spool: Path, told: Told) -> list[Stream]:
    """Every stream read; what is lost, doubled, out of order or damaged becomes a problem."""
    found = streams(spool)
    count = Counter(i for s in found for i in s.ids)
    if lost := told.ids - set(count):
        told.problems.append(f"{len(lost)} acknowledged decisions are lost, such as {min(lost)}")
    if doubled := [i for i, n in count.items() if n > 1] or told.twice:
        told.problems.append(f"ids stand twice: {doubled}")
    salts = Counter(salt for s in found for salt, _ in s.raw.values())
    if any(n > 1 for n in salts.values()):
        told.problems.append("two rows share a salt")
    for s in found:
        if s.twice or sorted(s.rows) != list(range(len(s.rows))):
            told.problems.append(f"{s.folder.name}: row numbers are not 0 to n")
        if s.ids != sorted(s.ids):
            told.problems.append(f"{s.folder.name}: ids do not ascend")
        if "damaged" in s.stops or "torn" in s.stops[:-1]:
            told.problems.append(f"{s.folder.name}: {s.stops}")
    return found


def equip(spool: Path) -> None:
    """A passport for the writers."""
    policy = Policy(fsync_ms=50)
    write_passport(
        spool,
        Passport(
            "org.example/log",
            "employment",
            "production",
            1,
            "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d",
            "sha256:" + "ab" * 32,
            policy,
        ),
    )
