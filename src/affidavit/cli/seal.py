"""``affidavit seal``: the sealer, a process of its own. Seals the spool until nothing is left, or keeps watch."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from typing import Any

from affidavit.bootstrap import open_workspace
from affidavit.cli import show
from affidavit.cli.parsing import Parser, common
from affidavit.core.errors import AffidavitError, Busy, Invalid, StoreDown
from affidavit.service.workspace import Workspace

COUNTS = ("segments", "rows", "opened", "closed", "lost")
NAMED = ("quarantined", "held", "unreadable")


def _parser() -> Parser:
    parser = Parser(prog="affidavit seal", parents=[common()], description="Seal what recorders wrote into the spool.")
    parser.add_argument("--watch", action="store_true", help="go on until interrupted")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="pause of a watch (default: 5)")
    parser.add_argument(
        "--interval", type=int, default=60, metavar="SECONDS",
        help="a watch seals rows of running processes once the oldest is so old (default: 60)",
    )  # fmt: skip
    parser.add_argument("--sealer", default="affidavit-seal", metavar="NAME", help="name of this sealer in the entries")
    return parser


def run(_name: str, args: list[str]) -> int:
    """Seal once, or until SIGINT or SIGTERM; entries are published after each round."""
    given = _parser().parse_args(args)
    if given.every <= 0 or given.interval < 0:
        raise Invalid("--every and --interval are seconds above 0.", next_step="give larger ones.")
    stop = threading.Event()
    if given.watch:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    workspace = open_workspace(given.workspace, by=given.by)
    try:
        while True:
            try:
                done = seal_all(workspace, everything=not given.watch, interval_s=given.interval, sealer=given.sealer)
                _print(done, as_json=given.json, quiet=given.watch)
            except (Busy, StoreDown) as e:
                if not given.watch:
                    raise
                print(f"{type(e).__name__.lower()}: {e.problem}", file=sys.stderr, flush=True)
            if not given.watch or stop.wait(given.every):
                return 0
    finally:
        workspace.close()


def seal_all(workspace: Workspace, **options: Any) -> dict[str, Any]:
    """Seal until the spool holds nothing more to seal, then publish; the sum of what was done."""
    counts: Counter[str] = Counter()
    named: dict[str, dict[str, str]] = {name: {} for name in NAMED}
    while True:
        result = workspace.decisions.seal(**options).result
        counts.update({name: result[name] for name in COUNTS})
        for name in NAMED:
            named[name].update(result.get(name, {}))
        if not result["more"]:
            break
    if any(counts.values()):
        try:
            workspace.publish()
        except AffidavitError as e:  # sealed is sealed; what is not published yet is by the next round
            print(f"{type(e).__name__.lower()}: {e.problem}", file=sys.stderr, flush=True)
    found: dict[str, Any] = {name: counts[name] for name in COUNTS}
    return found | {"groups_waiting": result["groups_waiting"]} | {k: v for k, v in named.items() if v}


def _print(done: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    if quiet and not any(done[name] for name in COUNTS) and not any(name in done for name in NAMED):
        return
    if as_json:
        show.print_json(done)
    else:
        print(", ".join(f"{done[name]} {name}" for name in COUNTS) + f"; {done['groups_waiting']} group rows wait")
        for name in NAMED:
            for stream, why in done.get(name, {}).items():
                print(f"{name} {stream}: {why}")
    sys.stdout.flush()
