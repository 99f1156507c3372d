"""What runs in the child cannot reach out, outlast its bounds or harm its caller; what was obtained is what is said."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from affidavit.core.errors import Refused
from affidavit.sandbox.running import Limits, TaskFailed, confined

HERE = str(Path(__file__).parent)
CODE = f"""
import sys
sys.path.insert(0, {HERE!r})
import probes
from affidavit.sandbox import child, kernel, tasks
tasks.perform = probes.perform
child.main()
"""
COMMAND = (sys.executable, "-I", "-B", "-c", CODE)
LINUX = sys.platform.startswith("linux")


def ran(folder, what, limits=Limits(wall_s=20), require=(), without=(), **payload):
    """A probe in a confined child, on a machine whose kernel does not give the functions ``without``."""
    denied = "".join(f"kernel.{name} = lambda *given: False\n" for name in without)
    command = (*COMMAND[:-1], CODE.replace("child.main()", denied + "child.main()"))
    return confined(command, folder, {"payload": {"what": what, **payload}}, limits, require)


@pytest.fixture
def folder(tmp_path):
    """A private folder for the child."""
    private = tmp_path / "private"
    private.mkdir()
    return private


def attempt(folder, tmp_path, **given):
    """What a hostile task reached for, and what it got; nothing outside was made or removed."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    found = ran(folder, "attempts", outside=str(tmp_path / "outside"), secret=str(secret), port=9, **given)
    assert secret.exists()
    assert not (tmp_path / "outside").exists() or not READ_ONLY & set(found.isolation)
    return found


READ_ONLY = {"read-only:landlock", "read-only:mount"}
ENFORCED = {
    "connect": {"no-network:netns", "no-network:seccomp"}, "fork": {"no-processes:seccomp", "no-processes:rlimit"},
    "exec": {"no-processes:seccomp"}, "kill": {"no-processes:seccomp"}, "read": {"files:landlock"}, "write": READ_ONLY,
    "thread-signal": {"no-processes:seccomp"}, "queued-signal": {"no-processes:seccomp"},
    "signal-by-pipe": {"no-processes:seccomp"}, "caller-limits": {"no-processes:seccomp"},
}  # fmt: skip
"""What refuses each attempt of native code."""


@pytest.mark.parametrize(
    ("without", "absent"),
    [
        ((), ()),
        (("own_namespaces",), ("no-network:netns", "read-only:mount")),
        (("landlocked",), ("files:landlock", "read-only:landlock")),
        (("filtered",), ("no-network:seccomp", "no-processes:seccomp")),
        (("own_namespaces", "landlocked", "filtered"), ("no-network:netns", "files:landlock", "no-processes:seccomp")),
    ],
    ids=["everything", "no namespaces", "no landlock", "no seccomp", "none of them"],
)
def test_nothing_is_reached_by_python_or_past_it(folder, tmp_path, without, absent):
    """Refused to Python by its hook; to native code by what the kernel gave, and only that is stated."""
    found = attempt(folder, tmp_path, without=without)
    isolation = set(found.isolation)
    assert {k: v for k, v in found.result["python"].items() if not v.startswith("refused")} == {}
    reached = {k for k, v in found.result["raw"].items() if not v.startswith("refused")}
    assert {k for k in reached if ENFORCED[k] & isolation} == set()
    assert isolation & set(absent) == set()
    if LINUX:
        assert "no-new-privs" in isolation


@pytest.fixture
def attempted(folder, tmp_path, monkeypatch):
    """An attempt with a secret in the caller's environment."""
    monkeypatch.setenv("AFFIDAVIT_KEY", "s3cret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    return attempt(folder, tmp_path)


def test_no_secret_of_the_caller_is_seen(attempted):
    """The environment holds four settings of libraries, whatever the caller's holds; no file of the caller is open."""
    assert attempted.result["environment"] == {
        "LANG": "C.UTF-8", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    assert len(attempted.result["files"]) <= 2  # the pipe of answers, and what the listing itself opens
    assert "empty-env" in attempted.isolation


@pytest.mark.parametrize(
    ("what", "limits", "code"),
    [
        ("sleeps", Limits(wall_s=2), "timeout"),
        ("spins", Limits(wall_s=20, cpu_s=1), "cpu"),
        ("hogs", Limits(wall_s=20, memory_bytes=1 << 30), "memory"),
        ("floods-errors", Limits(wall_s=20), None),
        ("floods-answers", Limits(wall_s=20), "output"),
        ("answers-nonsense", Limits(wall_s=5), "output"),
        ("dies", Limits(wall_s=20), "crashed"),
        ("leaves", Limits(wall_s=20), "crashed"),
        ("prints", Limits(wall_s=20), None),
    ],
)
def test_a_child_that_misbehaves_is_stopped_and_named(folder, what, limits, code):
    """Time, memory, output, form, death: each has a code of its own, and the caller goes on."""
    started = time.monotonic()
    if code is None:
        assert ran(folder, what, limits).result == "survived"
    else:
        with pytest.raises(TaskFailed) as e:
            ran(folder, what, limits)
        assert e.value.code == code
        assert "empty-env" in e.value.isolation
    assert time.monotonic() - started < limits.wall_s + 8


def test_no_process_is_left_behind(folder):
    """A killed child is gone when the error arrives."""
    with pytest.raises(TaskFailed):
        ran(folder, "sleeps", Limits(wall_s=1))
    if LINUX:
        mine = [p for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == os.getpid()]
        assert mine == []


def _parent(path):
    try:
        return int(path.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return -1


def test_an_answer_beyond_its_bound_is_not_taken(folder):
    """The bound is on bytes of the answer, not on what the child holds."""
    assert len(ran(folder, "big", Limits(result_bytes=2 << 20), size=1 << 20).result) == 1 << 20
    with pytest.raises(TaskFailed, match="at most 1048576") as e:
        ran(folder, "big", Limits(result_bytes=1 << 20), size=1 << 21)
    assert e.value.code == "output"


@pytest.mark.parametrize("wanted", ["no-gravity", "no-network:wishes"])
def test_isolation_that_is_required_is_obtained_or_refused(folder, wanted):
    """Nothing of a task is taken from a child that has less than was required."""
    with pytest.raises(Refused, match=wanted) as e:
        ran(folder, "big", require=(wanted,), size=1)
    assert e.value.code == "isolation-not-obtained"
    assert ran(folder, "big", require=("empty-env",), size=1).result == "x"


def test_the_audit_hook_alone_is_no_isolation_by_name(folder):
    """``no-network`` without a colon asks for the kernel: the hook inside Python does not count."""
    isolation = ran(folder, "big", size=1).isolation
    kernel = {t for t in isolation if t.startswith("no-network:")} - {"no-network:audit-hook"}
    if kernel:
        assert ran(folder, "big", require=("no-network",), size=1).result == "x"
    else:
        with pytest.raises(Refused):
            ran(folder, "big", require=("no-network",), size=1)
