"""Running a task in a confined child: from an artifact's digest to its result. The caller never loads the model.

Every byte of the artifact is verified while it is copied into a private folder; then a fresh interpreter (never a
fork of this process) confines itself and works. It is given so much time, memory and output, then killed with all it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affidavit.artifacts import artifact
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, Refused
from affidavit.sandbox import frames
from affidavit.sandbox.confine import environment
from affidavit.sandbox.tasks import LOADABLE, TASKS, WHY_NOT

COMMAND = (sys.executable, "-I", "-B", "-m", "affidavit.sandbox.child")
STDERR_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: CPU and wall seconds, bytes of address space and of its answer, open files."""

    cpu_s: int = 60
    wall_s: int = 120
    memory_bytes: int = 4 << 30
    result_bytes: int = 64 << 20
    open_files: int = 64


@dataclass(frozen=True, slots=True)
class Ran:
    """What a child gave: the task's result, the confinement it obtained, how long it took from start to answer."""

    result: Any
    isolation: tuple[str, ...]
    seconds: float


class TaskFailed(Invalid):
    """A confined task gave no result. ``code`` is a stable token, ``isolation`` what was obtained before it failed.

    Codes: ``not-loadable`` (a format that is never loaded), ``unloadable`` (the library refuses the bytes), ``features``,
    ``failed``, ``timeout``, ``cpu``, ``memory``, ``output`` (off form or too large), ``crashed``.
    """

    def __init__(self, code: str, problem: str, isolation: tuple[str, ...] = (), next_step: str = "") -> None:
        super().__init__(problem, next_step=next_step or "look at the artifact; nothing of its result was used.")
        self.code, self.isolation = code, isolation


def run(
    desk: Desk, artifact_digest: str, task: str, payload: Any, *, limits: Limits | None = None, require: Sequence[str] = ()
) -> Ran:  # fmt: skip
    """Do a task of ``tasks.TASKS`` with an artifact in a confined child.

    ``require`` names isolation that must be obtained: a token, or its part before the colon for any that the
    kernel enforces. Raises ``Refused`` if it is not, ``TaskFailed``, ``Tampered`` or ``NotFound`` for an
    artifact that is not what was registered, or is gone.
    """
    if task not in TASKS:
        raise Invalid(f"no confined task {task!r}.", next_step=f"tasks: {', '.join(TASKS)}.")
    with tempfile.TemporaryDirectory(prefix="affidavit-") as name:
        folder = Path(name).resolve()
        declared, files = artifact.restore(desk, artifact_digest, folder)
        if declared not in LOADABLE:
            why = WHY_NOT.get(declared, f"no safe loader of {declared} is known")
            raise TaskFailed(
                "not-loadable", f"the artifact is not loaded: {why}.", next_step="register it in a safe format."
            )
        _read_only(folder)
        request = {"task": task, "format": declared, "files": [[f.path, f.bytes] for f in files], "payload": payload}
        return confined(COMMAND, folder, request, limits or Limits(), require)


def _read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    folder.chmod(0o500)


def confined(
    command: Sequence[str], folder: Path, request: dict[str, Any], limits: Limits, require: Sequence[str] = ()
) -> Ran:  # fmt: skip
    """Start ``command`` in ``folder``, send it the request, take its answer, leave no process behind."""
    body = frames.encode(request | {"limits": asdict(limits)})
    started = time.monotonic()
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=environment(),
        close_fds=True, start_new_session=os.name == "posix",
    )  # fmt: skip
    talk = _Talk(child, limits, tuple(require))
    threads = [threading.Thread(target=t, daemon=True) for t in (lambda: talk.send(body), talk.listen, talk.drain)]
    try:
        for thread in threads:
            thread.start()
        threads[1].join(limits.wall_s)
        late = threads[1].is_alive()
        if talk.answer is None and not late and not talk.problem:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
        seconds = time.monotonic() - started
    finally:
        _kill(child)
        for thread in threads:
            thread.join(5)
        for pipe in (child.stdin, child.stdout, child.stderr):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
    return talk.outcome(late, seconds)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The child and its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


@dataclass
class _Talk:
    """The three pipes of a child, each served by a thread; bounded whatever it sends."""

    child: subprocess.Popen[bytes]
    limits: Limits
    require: tuple[str, ...]
    isolation: tuple[str, ...] = ()
    answer: dict[str, Any] | None = None
    problem: str = ""
    stderr: bytes = b""

    def send(self, body: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # a child that died reads no more
            self.child.stdin.write(body)  # type: ignore[union-attr]
            self.child.stdin.close()  # type: ignore[union-attr]

    def listen(self) -> None:
        source = self.child.stdout.read  # type: ignore[union-attr]
        try:
            first = frames.read(source, 1 << 16)
            if first is None:
                return
            self.isolation = tuple(str(t) for t in first["isolation"])[:64]
            if not self.missing():
                answer = frames.read(source, self.limits.result_bytes)
                self.answer = answer if isinstance(answer, dict) else None
        except Invalid as e:
            self.problem = e.problem
        except (KeyError, TypeError):
            self.problem = "its first message names no isolation"
        except (OSError, ValueError):
            return  # the pipe was closed under us: killed

    def drain(self) -> None:
        source = self.child.stderr.read1  # type: ignore[union-attr]
        with contextlib.suppress(OSError, ValueError):
            while part := source(1 << 16):
                self.stderr = (self.stderr + part)[-STDERR_KEPT:]

    def missing(self) -> list[str]:
        """Required isolation that was not obtained; the audit hook alone enforces nothing on native code."""
        obtained = set(self.isolation) | {t.partition(":")[0] for t in self.isolation if not t.endswith(":audit-hook")}
        return [t for t in self.require if t not in obtained]

    def outcome(self, late: bool, seconds: float) -> Ran:  # noqa: FBT001
        """The result, or why there is none."""
        if self.isolation and (missing := self.missing()):
            raise Refused("isolation-not-obtained", f"the child obtained no {missing[0]}; it has {', '.join(self.isolation)}.",
                          next_step="run it where the kernel allows it, or require less.")  # fmt: skip
        if self.answer is None:
            raise TaskFailed(*self._death(late), self.isolation)
        if "result" in self.answer:
            return Ran(self.answer["result"], self.isolation, seconds)
        code, problem, step = (str(self.answer.get(k, "")) for k in ("code", "problem", "next_step"))
        raise TaskFailed(code or "failed", problem, self.isolation, step)

    def _death(self, late: bool) -> tuple[str, str]:  # noqa: FBT001
        limits, status = self.limits, self.child.returncode
        if self.problem:
            return "output", f"the child's answer was not taken: {self.problem}"
        if late:
            return "timeout", f"the child gave no answer within {limits.wall_s} s and was killed."
        if status == -getattr(signal, "SIGXCPU", 24):
            return "cpu", f"the child used its {limits.cpu_s} s of CPU time and was killed."
        said = self.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return "crashed", f"the child ended with status {status}: {ascii(said[0])[:200]}"
