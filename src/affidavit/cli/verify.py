"""``affidavit verify``: packages, logs, proofs and workspaces, offline. Loads areas for a workspace alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from affidavit.cli.parsing import Parser
from affidavit.core.errors import NotFound, StoreDown
from affidavit.evidence.targets import read_limited, read_vkey
from affidavit.evidence.trust import Trust, read_enrolled, read_trust
from affidavit.evidence.verdict import LEVELS, Level, Report
from affidavit.evidence.verify import enrol_target, verify_target
from affidavit.ledger.listing import Problem
from affidavit.ledger.notes import MAX_NOTE_BYTES

MAX_TRUST_BYTES = 1 << 20
UNAUTHENTICATED = (
    "affidavit.toml (settings; nothing in it decides what is true)",
    "keys/ (secrets; a wrong one shows when it signs)",
    "free space and page headers of the SQLite files (no stored value)",
    "*.lock, spool/ (rows that wait to be sealed)",
    "files beside those of a workspace",
)


def run(_name: str, args: list[str]) -> int:
    """Verify a target; 3 if anything is wrong. ``verify enrol TARGET`` keeps its key for later."""
    if args and args[0] == "enrol":
        return _enrol(args[1:])
    given = _parser().parse_args(args)
    vkeys = [read_vkey(v) for v in given.vkey]
    against = read_limited(Path(given.against), MAX_NOTE_BYTES) if given.against else None
    report = verify_target(
        given.target,
        vkeys=vkeys,
        against=against,
        trust=_trust(given),
        require=given.require,
        enrolled=read_enrolled(_enrolled_file()),
        workspace=lambda path: _workspace(path, vkeys, against),
    )
    if given.json:
        print(json.dumps(report.row(), indent=2, sort_keys=True))
    else:
        print("\n".join(report.lines()))
    if given.reperform and report.ok:
        return _reperform(given)
    return 0 if report.ok else 3


def _parser() -> Parser:
    parser = Parser(prog="affidavit verify", description="Verify a package, a log, a proof or a workspace, offline.")
    parser.add_argument(
        "target", help="FILE.zip, FILE.proof (a decision's, or a receipt), a log folder, or a workspace"
    )
    parser.add_argument(
        "--vkey", action="append", default=[], metavar="FILE-OR-KEY", help="log key you trust; repeatable"
    )
    parser.add_argument("--against", metavar="CHECKPOINT", help="an older checkpoint you kept; the log must extend it")
    parser.add_argument("--trust", metavar="FILE", help="C2SP tlog-policy: log keys, witnesses, quorum")
    parser.add_argument(
        "--tsa-root", action="append", default=[], metavar="PEM", help="root of a timestamp authority you trust"
    )
    parser.add_argument("--require", choices=LEVELS[1:], help="fail below this level")
    parser.add_argument(
        "--reperform", action="store_true", help="also recompute a package's findings (needs the full install)"
    )
    parser.add_argument("--json", action="store_true")
    return parser


def _trust(given: argparse.Namespace) -> Trust | None:
    if not given.trust and not given.tsa_root:
        return None
    text = read_limited(Path(given.trust), MAX_TRUST_BYTES) if given.trust else None
    return read_trust(text, [read_limited(Path(p), MAX_TRUST_BYTES) for p in given.tsa_root])


def _enrolled_file() -> Path:
    state = (
        os.environ.get("AFFIDAVIT_STATE")
        or os.environ.get("XDG_STATE_HOME", str(Path.home() / ".local" / "state")) + "/affidavit"
    )
    return Path(state) / "enrolled.json"


def _enrol(args: list[str]) -> int:
    parser = Parser(
        prog="affidavit verify enrol", description="Keep a log's key and checkpoint for later verifications."
    )
    parser.add_argument("target", help="a package or log that verifies")
    parser.add_argument("--vkey", metavar="FILE-OR-KEY", help="the key you got from the log's owner")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(args)
    file = _enrolled_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StoreDown(f"{file.parent} cannot be made: {e.strerror}.", next_step="set AFFIDAVIT_STATE.") from None
    kept = enrol_target(given.target, file, vkey=read_vkey(given.vkey) if given.vkey else None)
    row = {"origin": kept.origin, "vkey": kept.vkey, "kept in": str(file)}
    print(json.dumps(row, sort_keys=True) if given.json else "\n".join(f"{k}: {v}" for k, v in row.items()))
    return 0


def _reperform(given: argparse.Namespace) -> int:
    from affidavit.evidence.reperform import reperform

    compared = reperform(given.target)
    for comparison in compared:
        print(comparison, file=sys.stderr if given.json else sys.stdout)
    return 0 if all(c.ok for c in compared) else 3


def _workspace(path: Path, vkeys: list[str], against: bytes | None) -> Report:
    """Everything a workspace stores against its entries, the entries against the signed log."""
    from affidavit.bootstrap import memory_entries, open_for_inspection
    from affidavit.core.errors import AffidavitError
    from affidavit.service.inspection import inspect

    try:
        workspace = open_for_inspection(path, vkeys[0] if vkeys else None)
        found = inspect(workspace, memory_entries(), against)
    except NotFound:
        raise
    except AffidavitError as e:
        problem = Problem("unreadable", str(path), None, e.problem)
        return Report("workspace", str(path), "none", problems=(problem,), unauthenticated=UNAUTHENTICATED)
    level: Level = "none" if found.problems else "pinned" if vkeys else "self-consistent"
    return Report(
        "workspace", str(path), level, workspace.stores.origin, found.counts.get("entries", 0), tuple(found.problems),
        tuple(found.notes), UNAUTHENTICATED, dict(found.counts),
    )  # fmt: skip
