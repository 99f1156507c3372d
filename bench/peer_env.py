"""Environments of the peers: made once under ``.cache/bench-peers``, pinned, telemetry off, reached through a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "bench-peers"
_SCRIPTS = Path(__file__).resolve().parent / "peers"
PINS = {
    "duckdb": ("duckdb==2.0.0",),
    "mlflow": tuple((_SCRIPTS / "mlflow_pins.txt").read_text("ascii").split()),
    "pymerkle": ("pymerkle==7.0.0", "cachetools==7.2.1"),
}
QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


class PeerUnavailable(Exception):
    """The peer cannot be installed here; its row says so."""


def version(name: str) -> str:
    """The pinned version of a peer."""
    return PINS[name][0].partition("==")[2]


def interpreter(name: str) -> Path:
    """The Python of a peer's environment, made if absent. Raises ``PeerUnavailable``."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / ".installed"
    wanted = "\n".join(PINS[name])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *PINS[name]]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, env=os.environ | QUIET)
    if done.returncode:
        says = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PeerUnavailable(f"{PINS[name][0]} could not be installed: {says}")
    stamp.write_text(wanted)
    return python


class Peer:
    """A peer's script as a running process; ``ask`` sends one order and waits for the answer."""

    def __init__(self, name: str) -> None:
        script = _SCRIPTS / f"{name}_peer.py"
        self._process = subprocess.Popen(
            [str(interpreter(name)), "-I", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | QUIET,
        )

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """The answer to an order. Raises ``RuntimeError`` when the process died."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the peer has no pipe")
        self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer died during {do}; its error is above")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait(timeout=60)


def start(name: str, *, wanted: bool) -> Peer | str:
    """A running peer, or the reason why there is none."""
    if not wanted:
        return "left out (--no-peers)"
    try:
        return Peer(name)
    except PeerUnavailable as e:
        print(f"peer {name}: {e}", file=sys.stderr)
        return str(e)
