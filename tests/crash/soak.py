"""Kill loops: writer processes are killed at random instants; nothing acknowledged may be lost.

    python tests/crash/soak.py --seconds 300

Each writer appends commands and publishes, and writes down what was acknowledged. After every round the
workspace is opened (recovery), inspected, and compared with the promises that the writers kept.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from affidavit.bootstrap import init, memory_entries, open_workspace
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.proofs import Kept, check_accepted, open_accepted
from affidavit.service.inspection import inspect

WRITER = """
import sys
from affidavit.bootstrap import open_workspace
root, admin, kept, who = sys.argv[1:5]
ws = open_workspace(root)
from affidavit.core.area import Who
by, n = Who(admin, "os-user"), 0
while True:
    n += 1
    done = ws.access.register_principal("service", f"writer {who} command {n}", by=by)
    with open(f"{kept}/{who}-{done.command_id}", "wb") as file:
        file.write(ws.accepted(done))
    if n % 3 == 0:
        ws.publish()
"""


def play(root: Path, admin: str, kept: Path, writers: int, rng: random.Random) -> None:
    """Start the writers, let them run for a moment, kill them all."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), admin, str(kept), f"{w}-{rng.random():.6f}"],
            stderr=subprocess.DEVNULL,
        )
        for w in range(writers)
    ]
    time.sleep(1.0 + rng.random() * 2)
    for process in started:
        process.send_signal(signal.SIGKILL)
    for process in started:
        process.wait()


def check(root: Path, kept: Path) -> tuple[int, list[str]]:
    """Open, inspect, compare every promise; (number of promises, what is wrong)."""
    ws = open_workspace(root)
    ws.publish()
    wrong = [str(p) for p in inspect(ws, memory_entries()).problems]
    head = open_checkpoint(ws.stores.tiles.get("checkpoint"), ws.stores.vkeys, origin=ws.stores.origin).checkpoint
    notes = [p.read_bytes() for p in kept.iterdir()]
    whole = [n for n in notes if n.endswith(b"\n") and n.count(b"\n") >= 7]
    for note in whole:
        judged = check_accepted(open_accepted(note, ws.stores.vkeys), ws.stores.tiles.get, head)
        if judged.verdict is not Kept.KEPT:
            wrong.append(f"a promise is {judged.verdict}: {judged.detail}")
    ws.close()
    return len(whole), wrong


def main() -> int:
    """Loop until the time is over; 1 at the first thing that is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    rng, rounds, promises = random.Random(given.seed), 0, 0
    print(f"seed {given.seed}, {given.writers} writers, {given.seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AFFIDAVIT_STATE"] = f"{folder}/state"
        root, kept = Path(folder) / "ws", Path(folder) / "kept"
        kept.mkdir()
        made = init(root)
        made.workspace.close()
        end = time.monotonic() + given.seconds
        while time.monotonic() < end:
            play(root, made.admin.principal, kept, given.writers, rng)
            promises, wrong = check(root, kept)
            rounds += 1
            if wrong:
                print(f"round {rounds}: " + "\n".join(wrong[:20]))
                return 1
    print(f"{rounds} rounds, {rounds * given.writers} kills, {promises} promises, all kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
