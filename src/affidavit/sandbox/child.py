"""The confined child: ``python -I -B -m affidavit.sandbox.child``. Confines itself, says so, then does one task.

In: one message (task, declared format, files, limits, payload). Out: the isolation obtained, sent before any byte of
the artifact is read, then ``{"result": …}`` or ``{"code", "problem", "next_step"}``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from affidavit.core.errors import AffidavitError, Invalid
from affidavit.sandbox import confine, frames, tasks

MOST_WORDS = 300


def main() -> None:
    """Read the task, confine, answer, and end without running anybody's exit handlers."""
    answers = _private_stdout()
    request = frames.read(sys.stdin.buffer.read, sys.maxsize)
    folder = os.getcwd()  # noqa: PTH109
    isolation = confine.confined(folder, request["limits"])
    _send(answers, {"isolation": list(isolation)})
    _send(answers, _answer(request, Path(folder)))
    os._exit(0)


def _private_stdout() -> BinaryIO:
    """The pipe of answers, away from file 1: what a library prints goes to the error pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _send(answers: BinaryIO, value: Any) -> None:
    answers.write(frames.encode(value))
    answers.flush()


def _answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    try:
        return {"result": tasks.perform(request, folder)}
    except tasks.Failed as e:
        return {"code": e.code, "problem": _words(e.problem), "next_step": e.next_step}
    except MemoryError:
        return {"code": "memory", "problem": "the task needs more memory than it may use.", "next_step": ""}
    except AffidavitError as e:
        code = "unloadable" if isinstance(e, Invalid) else "failed"
        return {"code": code, "problem": _words(e.problem), "next_step": e.next_step}
    except BaseException as e:  # noqa: BLE001 - whatever a library raises on a hostile file is a failed task
        return {"code": "failed", "problem": _words(f"{type(e).__name__}: {e}"), "next_step": ""}


def _words(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:MOST_WORDS])


if __name__ == "__main__":
    main()
