"""Rows of the command line: whole processes, from start to exit."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from measure import Row, fill, take_turns, timed
from plan import Plan

from affidavit.bootstrap import init
from affidavit.bootstrap.packaging import write_package

_IMPORT = "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey"


def _environment(plan: Plan) -> dict[str, str]:
    """Compiled modules are kept, as an installer leaves them, whatever this environment says."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPYCACHEPREFIX": str(plan.work / "pycache")}


def _script() -> str:
    name = "affidavit.exe" if sys.platform == "win32" else "affidavit"
    return str(Path(sys.executable).with_name(name))


def _package(folder: Path) -> Path:
    """A small evidence package of a fresh workspace."""
    workspace = init(folder, admin="Bench Administrator", origin="bench.example/package").workspace
    midnight = workspace.stores.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    package = folder.with_suffix(".zip")
    write_package(workspace, package, midnight - timedelta(days=1), midnight + timedelta(days=1))
    workspace.close()
    return package


def processes(plan: Plan) -> list[Row]:
    """``affidavit --help`` and ``affidavit verify PACKAGE`` against importing Ed25519."""
    package, env = _package(plan.work / "package-ws"), _environment(plan)

    def run(*args: str) -> float:
        return timed(lambda: subprocess.run(args, check=True, stdout=subprocess.DEVNULL, env=env))

    times = take_turns(
        {
            "help": lambda: run(_script(), "--help"),
            "verify": lambda: run(_script(), "verify", str(package)),
            "floor": lambda: run(sys.executable, "-c", _IMPORT),
        },
        plan.processes,
    )
    size = package.stat().st_size / 1024
    rows = []
    for which, name, note in (
        ("help", "affidavit --help", "Loads no cryptography, which the yardstick does: a ratio below 1 is no feat."),
        (
            "verify",
            "affidavit verify, a small package",
            f"An evidence package of {size:.0f} KiB. It needs the same import and then does its work.",
        ),
    ):
        row = Row(
            f"{name}, whole process",
            "ms per process",
            "<= 3.0",
            f"{note} Both are processes of the same interpreter from start to exit, its own start-up"
            " included; modules are compiled before, as after an installation.",
            floor_name="importing Ed25519 from cryptography",
        )
        rows.append(fill(row, {"ours": times[which], "floor": times["floor"]}, over="ours/floor"))
    return rows
