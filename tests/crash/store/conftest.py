"""Child processes and small disks for the crash tests of the stores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import affidavit.core

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
SOURCE = Path(affidavit.core.__file__).parents[2]


@pytest.fixture
def child():
    """Run a Python file or ``-c`` program in a process of its own, sources on its path."""

    def start(*args, wrapper=(), wait=True):
        command = [*wrapper, sys.executable, *map(str, args)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE)])}
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        if not wait:
            return process
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return start


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB; skipped where mounting is not allowed."""
    where = tmp_path / "disk"
    where.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where], capture_output=True, check=False
        )
    except OSError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


@pytest.fixture
def public_folder():
    """A folder whose parents everybody may enter, unlike those of ``tmp_path``."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        for where, _, _ in os.walk(folder):
            os.chmod(where, 0o755)


@pytest.fixture
def as_somebody(public_folder):
    """Drop the rights of the administrator, for whom no folder is read-only; restored afterwards."""
    if os.name != "posix":
        pytest.skip("modes are a POSIX matter")
    before = os.geteuid()

    def drop():
        if before == 0:
            os.seteuid(65534)

    yield drop
    os.seteuid(before)
