"""``affidavit``: dispatch by the first word, so that ``--help`` and ``verify`` load next to nothing."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence

from affidavit.core.errors import (
    AffidavitError,
    Busy,
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
    StoreDown,
    Tampered,
)

EXIT_CODES: dict[type[AffidavitError], int] = {
    Refused: 1, NotAllowed: 1, Invalid: 2, NotFound: 2, StoreDown: 3, Tampered: 3, Busy: 4,
}  # fmt: skip
"""0 done; 1 refused, denied or exceptions found; 2 bad input or not found; 3 store or integrity; 4 busy, retry."""

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("affidavit.cli.workspace", "make a workspace, its keys and its first administrator"),
    "doctor": ("affidavit.cli.workspace", "check a workspace's set-up and say what is weak"),
    "log": ("affidavit.cli.log", "publish, show entries and receipts, rotate keys, close periods"),
    "audit": ("affidavit.cli.audit", "assess controls over a period, run drills, write the evidence package"),
    "verify": ("affidavit.cli.verify", "verify a package, a log, a proof or a workspace, offline"),
    "seal": ("affidavit.cli.seal", "seal what recorders wrote, once or as a process that keeps watch"),
    "serve": ("affidavit.cli.serve", "serve the HTTP API"),
    "demo": ("affidavit.cli.demo", "take a real model to production and show the evidence"),
}
AREAS: dict[str, str] = {
    "access": "principals, grants, API keys, rules",
    "lineage": "datasets, splits, training runs",
    "registry": "systems, models, versions, promotions, rollbacks",
    "decisions": "record, prove, trace, replay, explain and erase decisions",
    "fairness": "fairness plans and assessments by group",
    "incidents": "open, link and close incidents",
}


def usage() -> str:
    """The text of ``affidavit --help``."""
    lines = ["usage: affidavit COMMAND … [--workspace DIR] [--as NAME] [--json]", "", "commands:"]
    lines += [f"  {name:<10} {says}" for name, (_, says) in COMMANDS.items()]
    lines += ["", "areas (affidavit AREA --help lists what each can do):"]
    lines += [f"  {name:<10} {says}" for name, says in AREAS.items()]
    lines += [
        "",
        "who you are: AFFIDAVIT_KEY, or --as NAME in a workspace on this machine.",
        "exit codes:  0 done, 1 refused or exceptions found, 2 bad input, 3 store or integrity, 4 busy.",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is returned."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(args)
    except AffidavitError as e:
        _report(e, as_json="--json" in args)
        return exit_code(e)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        _report(
            StoreDown(f"{where}{e.strerror or e}.", next_step="check the path, its permissions and the free space."),
            as_json="--json" in args,
        )
        return EXIT_CODES[StoreDown]
    except KeyboardInterrupt:
        return 130


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if args[0] == "--version":
        from affidavit import __version__

        print(f"affidavit {__version__}")
        return 0
    name, rest = args[0], args[1:]
    if name in COMMANDS:
        run: Callable[[str, list[str]], int] = importlib.import_module(COMMANDS[name][0]).run
        return run(name, rest)
    if name in AREAS:
        from affidavit.cli.area import run as run_area

        return run_area(name, rest)
    raise Invalid(f"no command {name!r}.", next_step="`affidavit --help` lists them.")


def exit_code(error: AffidavitError) -> int:
    """The exit code of an error, by its class."""
    return next(EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES)


def _report(e: AffidavitError, *, as_json: bool) -> None:
    if as_json:
        body = {"error": type(e).__name__, "problem": e.problem, "next": e.next_step}
        if isinstance(e, Refused):
            body |= {"code": e.code, "controls": ", ".join(e.controls)}
        print(json.dumps(body, sort_keys=True), file=sys.stderr)
        return
    kind = f"{type(e).__name__.lower()} ({e.code})" if isinstance(e, Refused) else type(e).__name__.lower()
    print(f"{kind}: {e.problem}", file=sys.stderr)
    if isinstance(e, Refused) and e.controls:
        print(f"controls: {', '.join(e.controls)}", file=sys.stderr)
    if e.next_step:
        print(f"next: {e.next_step}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
