"""A sealer that dies at a chosen step, as a process that is killed there would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from affidavit.areas.decisions.record import cuts, seal, spool
from affidavit.service.desk import ServiceDesk
from affidavit.service.executor import Executor
from affidavit.streams.segment import SegmentWriter


class Killed(BaseException):
    """The process is gone."""


STEPS: dict[str, tuple[Any, str]] = {
    "writing rows": (SegmentWriter, "add"),
    "ending the file": (SegmentWriter, "close"),
    "fixing the cut": (cuts.Cut, "fix"),
    "uploading": (ServiceDesk, "keep_segment"),
    "attaching": (ServiceDesk, "attach"),
    "the command": (Executor, "execute"),
    "removing a cut": (cuts.Cut, "remove"),
    "consuming files": (spool, "consume"),
    "removing a stream": (spool, "remove"),
    "setting aside": (spool, "quarantine"),
    "finishing": (seal.Sealing, "finish"),
}


@contextmanager
def dying(step: str, *, after: bool, nth: int = 1) -> Iterator[list[int]]:
    """Within, the ``nth`` time of a step is the last: before it, or right after it is done; yields how often is left."""
    owner, name = STEPS[step]
    original: Callable[..., Any] = getattr(owner, name)
    left = [nth]

    def dies(*args: Any, **given: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Killed(step)
        done = original(*args, **given)
        if left[0] == 0:
            raise Killed(step)
        return done

    setattr(owner, name, dies)
    try:
        yield left
    except Killed:
        pass
    finally:
        setattr(owner, name, original)
