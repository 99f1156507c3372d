"""Recorders that know a passport and a spool, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from issued import passport

from affidavit.client import Recorder


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def open_recorder(spool):
    """Opens recorders; those left open are closed after the test."""
    opened = []

    def open_one(*, tier="limited", routing=None, policy=None, where=None, **options):
        recorder = Recorder(passport(tier, routing, **(policy or {})), where or spool, **options)
        opened.append(recorder)
        return recorder

    yield open_one
    for recorder in opened:
        recorder.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB; skipped where mounting is not allowed."""
    where = tmp_path / "disk"
    where.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)
