"""Kill loops over recorders, for as long as asked: python tests/crash/soak_recorder.py --seconds 300."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from recorder_kills import Told, check, equip, play


def main() -> int:
    """Rounds of four writers until the time is over; exit 1 at the first problem, whose spool is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(1 << 30)
    rng, end, rounds, acknowledged, kept = random.Random(seed), time.monotonic() + given.seconds, 0, 0, 0
    while time.monotonic() < end:
        spool, told = Path(tempfile.mkdtemp(prefix="spool-")), Told()
        equip(spool)
        play(spool, rng, told, seconds=1.5)
        found = check(spool, told)
        rounds, acknowledged, kept = rounds + 1, acknowledged + len(told.ids), kept + sum(len(s.rows) for s in found)
        if told.problems:
            print(f"seed {seed}, round {rounds}, {spool}:", *told.problems, sep="\n  ")
            return 1
        shutil.rmtree(spool)
    print(f"seed {seed}: {rounds} rounds, {acknowledged} acknowledged decisions, {kept} found, none lost, none twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
