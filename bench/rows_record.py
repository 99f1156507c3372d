"""Rows of recording: what one decision costs the serving process, and that memory does not grow with the number of them."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import peer_env
from measure import Row, fill, take_turns
from plan import Plan

from affidavit.client import Recorder
from affidavit.streams.passport import Passport, Policy

_PASSPORT = Passport(
    "bench.example/record", "employment", "production", 1, "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d", "sha256:" + "ab" * 32,
    Policy(spool_bytes=1 << 40),
)  # fmt: skip
_TRACES = 60


def rows(count: int) -> list[dict[str, Any]]:
    """Inputs of 20 floats and 3 texts."""
    draw = random.Random(3)
    texts = [f"level-{i}" for i in range(40)]
    return [
        {f"f{i}": draw.random() for i in range(20)} | {f"s{i}": draw.choice(texts) for i in range(3)}
        for _ in range(count)
    ]


def recording(plan: Plan) -> list[Row]:
    """One decision at a time, against MLflow tracing and against serialising and writing alone; memory over many."""
    given, spread = rows(1000), []
    recorder = Recorder(_PASSPORT, plan.work / "record-spool")
    floor = os.open(plan.work / "record-floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    calls = min(20_000, plan.log_entries)

    def each(call: Callable[[dict[str, Any]], object]) -> list[float]:
        seconds = []
        for n in range(calls):
            start = time.perf_counter()
            call(given[n % 1000])
            seconds.append(time.perf_counter() - start)
        return sorted(seconds)

    def ours() -> float:
        seconds = each(lambda row: recorder.record(row, 0.5, caller="portal"))
        spread.append((seconds[calls * 99 // 100], seconds[calls // 2]))
        return seconds[calls // 2]

    def bare() -> float:
        encode, line = orjson.dumps, orjson.OPT_APPEND_NEWLINE
        return each(lambda row: os.write(floor, encode({"in": row, "out": 0.5, "caller": "portal"}, option=line)))[
            calls // 2
        ]

    contestants: dict[str, Callable[[], float]] = {"ours": ours, "floor": bare}
    peer = peer_env.start("mlflow", wanted=plan.peers)
    said = str(peer)
    if isinstance(peer, peer_env.Peer):
        said = f"mlflow tracing {peer.ask('open', db=str(plan.work / 'mlflow.db'))['version']}"
        contestants["peer"] = lambda: statistics.median(peer.ask("record", row=given[0], count=_TRACES)["seconds"])  # type: ignore[union-attr]
    times = take_turns(contestants, plan.rounds)
    recorder.close()
    os.close(floor)
    if isinstance(peer, peer_env.Peer):
        arrived, wanted = peer.ask("count")["traces"], (plan.rounds + 1) * _TRACES
        peer.close()
        if arrived != wanted:
            raise RuntimeError(f"MLflow kept {arrived} of {wanted} traces: its figure means nothing")
    return [_one(times, said), _tail(spread[1:]), _memory(plan)]


def _one(times: dict[str, list[float]], said: str) -> Row:
    row = Row(
        "record one decision, caller's side", "us per decision, median", "<= 0.01",
        "Both return before anything is on the disk: ours is in the file by then and survives the death of the process, a"
        " trace waits in the memory of the process and is written by a thread of it (flushed between rounds, untimed, and"
        " counted back). MLflow keeps a span with its JSON, ours a typed row with salt and id. The floor keeps no types,"
        " no id and no salt.",
        peer_name=said, floor_name="orjson and os.write of the same values",
    )  # fmt: skip
    return fill(row, times, over="ours/peer")


def _tail(spread: list[tuple[float, float]]) -> Row:
    times = {"ours": [p99 for p99, _ in spread], "floor": [p50 for _, p50 in spread]}
    row = Row(
        "record one decision, 99th percentile", "us per decision, p99", "<= 20",
        "A thread of the same process syncs the file once a second meanwhile; other processes of the machine are in the figure.",
        floor_name="its own median",
    )  # fmt: skip
    return fill(row, times, over="ours/floor")


def _memory(plan: Plan) -> Row:
    """Resident memory after a million decisions over that after ten thousand, in a process of its own."""
    count = plan.log_entries
    command = [sys.executable, __file__, str(plan.work / "record-memory"), str(count)]
    before, after = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Row(
        f"memory of a recorder, {count:,} decisions", "MiB resident", "<= 1.05", "One process that records and does nothing else.",
        ours=after, floor=before, floor_name="the same process after a hundredth of them", ratio=after / before, rounds=1,
    )  # fmt: skip


def _resident() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell the resident memory")


def main() -> None:
    """The process whose memory is read: spool folder, number of decisions."""
    folder, count, given = Path(sys.argv[1]), int(sys.argv[2]), rows(1000)
    with Recorder(_PASSPORT, folder) as recorder:
        for n in range(count // 100):
            recorder.record(given[n % 1000], 0.5, subject=f"s{n}")
        before = _resident()
        for n in range(count - count // 100):
            recorder.record(given[n % 1000], 0.5, subject=f"s{n}")
        print(json.dumps([before, _resident()]))


if __name__ == "__main__":
    main()
