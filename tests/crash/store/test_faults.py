"""A fault at every persist point, before and after: what must hold when the store is opened again."""

from __future__ import annotations

import signal
import sys

import pytest
from store_steps import STEPS, Hooks

from affidavit.core.errors import StoreDown
from affidavit.store import hooks as faults
from affidavit.store.hooks import POINTS, PointsSeen

EVERY_STEP = pytest.mark.parametrize("name", STEPS)


def expected(step, fault):
    """On disk after a fault behind the point, and after the second step of an erasure in any case."""
    return "After" in fault or step.nth == 2


def test_every_persist_point_has_a_step():
    """No point goes untested."""
    assert {step.point for step in STEPS.values()} == set(POINTS)


@EVERY_STEP
def test_a_step_passes_its_point_and_stays(name, tmp_path):
    """Without faults: before, after, on disk."""
    step, seen = STEPS[name], PointsSeen()
    step.prepare(tmp_path)
    step.act(tmp_path, seen)
    assert seen.seen[:2] == [f"before:{step.point}", f"after:{step.point}"]
    assert step.holds(tmp_path)


@EVERY_STEP
@pytest.mark.parametrize("fault", ["StoreDownBeforePersist", "StoreDownAfterPersist"])
def test_an_injected_error_leaves_all_or_nothing_and_the_retry_succeeds(name, fault, tmp_path):
    """Before the point: nothing. After it: everything, although the caller heard an error."""
    step = STEPS[name]
    step.prepare(tmp_path)
    with pytest.raises(StoreDown, match="injected"):
        step.act(tmp_path, getattr(faults, fault)(step.point, step.nth))
    assert step.holds(tmp_path) is expected(step, fault)
    if not (name == "entry.commit" and "After" in fault):  # appending again is the service's business (command ids)
        step.act(tmp_path, Hooks())
    assert step.holds(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
@EVERY_STEP
@pytest.mark.parametrize("fault", ["KilledBeforePersist", "KilledAfterPersist"])
def test_a_killed_process_leaves_all_or_nothing_and_the_retry_succeeds(name, fault, tmp_path, child):
    """``kill -9`` at the point, in a process of its own; no lock stays behind."""
    step = STEPS[name]
    step.prepare(tmp_path)
    done = child("-m", "store_steps", tmp_path, name, fault)
    assert done.returncode == -signal.SIGKILL and "answered" not in done.stdout, done.stderr
    assert step.holds(tmp_path) is expected(step, fault)
    if not (name == "entry.commit" and "After" in fault):
        step.act(tmp_path, Hooks())
    assert step.holds(tmp_path)
