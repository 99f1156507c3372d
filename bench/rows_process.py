"""Rows of the command line: whole processes, from start to exit."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import logs
from measure import Row, fill, take_turns, timed
from plan import Plan

from affidavit.bootstrap import init

_IMPORT = "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey"
_FSCK = """
import sys
from pathlib import Path
from affidavit.ledger.fsck import verify_log
root = Path(sys.argv[1])
paths = lambda: [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
report = verify_log(lambda path: (root / path).read_bytes(), paths, [Path(sys.argv[2]).read_text().strip()])
sys.exit(0 if report.ok else 3)
"""


def _run(args: list[str]) -> None:
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def _script() -> str:
    name = "affidavit.exe" if sys.platform == "win32" else "affidavit"
    return str(Path(sys.executable).with_name(name))


def _package(folder: Path) -> Path | None:
    """A small evidence package of a fresh workspace; None while the product cannot write one."""
    if (
        importlib.util.find_spec("affidavit.evidence") is None
        or importlib.util.find_spec("affidavit.cli.verify") is None
    ):
        return None
    made = init(folder, admin="Bench Administrator", origin="bench.example/package")
    now = made.workspace.stores.clock.now()
    made.workspace.close()
    package = folder.with_suffix(".zip")
    days = [f"{now - timedelta(days=1):%Y-%m-%d}", f"{now + timedelta(days=1):%Y-%m-%d}"]
    period = ["--from", days[0], "--to", days[1]]
    write = [_script(), "audit", "package", *period, "--out", str(package), "--workspace", str(folder)]
    _run([*write, "--as", "Bench Administrator"])
    return package


def _verifying(plan: Plan) -> tuple[list[str], str, str]:
    """(arguments, name of the row, what is verified)."""
    package = _package(plan.work / "package-ws")
    if package is not None:
        size = package.stat().st_size / 1024
        return [_script(), "verify", str(package)], "a small package", f"An evidence package of {size:.0f} KiB."
    log = logs.build(plan.work / "small-log", 300)
    key = log.root.with_suffix(".vkey")
    said = "A log of 300 entries"
    if importlib.util.find_spec("affidavit.cli.verify") is not None:
        return [_script(), "verify", str(log.root), "--vkey", str(key)], "a small log", f"{said}."
    return [sys.executable, "-c", _FSCK, str(log.root), str(key)], "a small log", f"{said}, through `ledger.fsck`."


def processes(plan: Plan) -> list[Row]:
    """``affidavit --help`` and ``affidavit verify`` against importing Ed25519."""
    args, what, says = _verifying(plan)
    yardstick = [sys.executable, "-c", _IMPORT]
    times = take_turns(
        {
            "help": lambda: timed(lambda: _run([_script(), "--help"])),
            "verify": lambda: timed(lambda: _run(args)),
            "floor": lambda: timed(lambda: _run(yardstick)),
        },
        plan.processes,
    )
    rows = []
    for which, name, note in (
        ("help", "affidavit --help", "Loads no cryptography, which the yardstick does: a ratio below 1 is no feat."),
        ("verify", f"affidavit verify, {what}", f"{says} It needs the same import and then does its work."),
    ):
        row = Row(
            f"{name}, whole process",
            "ms per process",
            "<= 3.0",
            f"{note} Both are processes of the same interpreter from start to exit, its own start-up included.",
            floor_name="python -c 'import Ed25519' from cryptography",
        )
        rows.append(fill(row, {"ours": times[which], "floor": times["floor"]}, over="ours/floor"))
    return rows
