"""A recorder killed at any instruction: nothing acknowledged is lost, nothing stands twice."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from recorder_kills import Told, check, equip, play


def test_four_writers_killed_at_random_lose_nothing(tmp_path):
    """Each with forks or batches; a few rounds, thousands of acknowledged decisions."""
    rng, told, opened = random.Random(8), Told(), 0
    for n in range(4):
        spool = tmp_path / f"spool-{n}"
        equip(spool)
        play(spool, rng, told, seconds=0.8)
        found = check(spool, told)
        opened += len(found)
        told.ids.clear()
    assert told.problems == []
    assert opened >= 4 * 6


def test_the_check_finds_what_is_lost(tmp_path):
    """A byte changed, a file taken away, a row copied: each is a problem."""
    rng, told, spool = random.Random(9), Told(), tmp_path / "spool"
    equip(spool)
    play(spool, rng, told, writers=1, seconds=0.4)
    found = max(check(spool, told), key=lambda s: len(s.rows))
    assert told.problems == []
    assert told.ids
    file = found.folder / "000001.wal"
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    check(spool, told)
    assert any("lost" in p for p in told.problems)
    assert any("damaged" in p for p in told.problems)
    shutil.rmtree(found.folder)
    told.problems.clear()
    check(spool, told)
    assert any("lost" in p for p in told.problems)
