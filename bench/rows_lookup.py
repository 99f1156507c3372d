"""Rows of looking: one decision among a hundred million, proven and traced, against DuckDB on sorted files."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import peer_env
from lookup_world import World
from measure import Row, fill, take_turns
from plan import Plan

from affidavit.evidence.decision_proof import verify_decision_proof

MOST_MB = 3.0


def lookups(plan: Plan) -> list[Row]:
    """Prove and trace one id; how much that reads."""
    peer = peer_env.start("duckdb", wanted=plan.peers)
    asked = isinstance(peer, peer_env.Peer)
    world = World(plan.work / "lookup", plan.segments, plan.segment_rows, plan.real_segments, peer_files=asked)
    ask, who = world.made.workspace.decisions, world.made.admin
    _check(world, plan.work)
    said = str(peer)
    if isinstance(peer, peer_env.Peer):
        found = peer.ask("open", files=f"{world.files}/*.parquet", threads=os.cpu_count())
        said = f"duckdb {found['version']}, {found['rows']:,} rows"

    def both(wanted: str) -> None:
        ask.prove(wanted, by=who)
        ask.trace(wanted, by=who)

    def ours() -> float:
        return _median(both, world.draw(plan.lookups))

    contestants: dict[str, Callable[[], float]] = {"ours": ours}
    if isinstance(peer, peer_env.Peer):
        contestants["peer"] = _finding(peer, world, plan.lookups)
    times = take_turns(contestants, plan.rounds)
    read = [_read(both, wanted) for wanted in world.draw(plan.lookups)]
    if isinstance(peer, peer_env.Peer):
        peer.close()
    world.made.workspace.close()
    total = plan.segments * plan.segment_rows
    return [_speed(plan, total, times, said), _volume(total, [b for b in read if b is not None])]


def _check(world: World, folder: Path) -> None:
    """What is timed is right: the proof verifies offline, and the trace is whole."""
    wanted = world.draw(1)[0]
    ws, who = world.made.workspace, world.made.admin
    file = folder / "lookup.proof"
    file.write_bytes(ws.decisions.prove(wanted, by=who).body)
    report = verify_decision_proof(file, [ws.stores.log_signer.vkey])
    found = ws.decisions.trace(wanted, by=who)
    if (
        not report.ok
        or report.facts["decision"] != wanted
        or not found["approvals"]
        or found["version"]["agrees"] is not True
    ):
        raise RuntimeError(f"the lookup is wrong: {report.lines()}")


def _median(work: Callable[[str], object], ids: list[str]) -> float:
    seconds = []
    for wanted in ids:
        start = time.perf_counter()
        work(wanted)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _finding(peer: peer_env.Peer, world: World, count: int) -> Callable[[], float]:
    return lambda: statistics.median(peer.ask("find", ids=world.draw(count))["seconds"])


def _read(work: Callable[[str], object], wanted: str) -> int | None:
    """Bytes that the process asked the system for during ``work``, SQLite's included; None where it does not tell."""
    before = _rchar()
    work(wanted)
    after = _rchar()
    return None if before is None or after is None else after - before


def _rchar() -> int | None:
    try:
        lines = Path("/proc/self/io").read_text("ascii").splitlines()
    except OSError:
        return None
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("rchar"))


def _speed(plan: Plan, total: int, times: dict[str, list[float]], said: str) -> Row:
    real, other = plan.real_segments, plan.segments - plan.real_segments
    row = Row(
        f"prove and trace one decision of {total:,}",
        "ms per id",
        ">= 3.0",
        f"Ours proves the decision and traces it: two requests, each of which finds the row, hashes it to the sealed root and"
        f" keeps the access durably. The peer fetches the row's columns by id and nothing else, from {plan.segments:,} files"
        " sorted by id with one row group each (its fastest form here), a warm connection, footers cached. The ids asked for"
        f" lie in {real} segments that are real on both sides; the other {other:,} have real ids and headers: ours share the"
        " stored file of a real one, which no lookup opens; the peer's are files of their own with constant features, which"
        " are smaller than real ones.",
        peer_name=said,
    )
    return fill(row, times, over="peer/ours")


def _volume(total: int, read: list[int]) -> Row:
    row = Row(
        f"bytes read to prove and trace one decision of {total:,}",
        "MB per id",
        f"<= {MOST_MB}",
        "The median over ids of what the process read by system calls (/proc/self/io), SQLite pages included. The ratio is"
        " the megabytes themselves.",
    )
    if read:
        sizes = [b / 1e6 for b in read]
        row.ours = row.ratio = statistics.median(sizes)
        row.spread, row.rounds = (min(sizes), max(sizes)), len(sizes)
    return row
