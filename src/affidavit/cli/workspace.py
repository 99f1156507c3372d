"""``affidavit init`` and ``affidavit doctor``."""

from __future__ import annotations

from affidavit.cli import show
from affidavit.cli.parsing import Parser, common


def run(name: str, args: list[str]) -> int:
    """Run one of the two."""
    return _init(args) if name == "init" else _doctor(args)


def _init(args: list[str]) -> int:
    from affidavit.bootstrap import init
    from affidavit.core.fields import read_time

    parser = Parser(prog="affidavit init", description="Make a workspace. The keys shown are shown once.")
    parser.add_argument("path", metavar="DIR")
    parser.add_argument(
        "--admin", default="administrator", metavar="NAME", help="name of the first administrator (vault)"
    )
    parser.add_argument("--origin", help="name of the log, such as example.org/risk (default: drawn)")
    parser.add_argument(
        "--simulated-from", metavar="TIME", help="use a simulated clock that starts here; the log says so"
    )
    parser.add_argument("--head", metavar="DIR", help="folder of the head store (default: the user's state folder)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(args)
    start = read_time(given.simulated_from) if given.simulated_from else None
    made = init(
        given.path, admin=given.admin, origin=given.origin, clock="simulated" if start else "system", start=start,
        head=given.head,
    )  # fmt: skip
    row = {
        "workspace": given.path,
        "origin": made.workspace.stores.origin,
        "log_key": made.workspace.stores.log_signer.vkey,
        "administrator": made.admin.principal,
        "api_key": made.api_key,
        "recovery_key": made.recovery_secret,
    }
    made.workspace.close()
    if given.json:
        show.print_json(row)
        return 0
    show.print_value(row)
    print(
        "\napi_key and recovery_key are shown this once. Keep the recovery key offline: it alone replaces a lost log key."
    )
    print(f"next: affidavit access register-principal person --name NAME --workspace {given.path} --as {given.admin!r}")
    return 0


def _doctor(args: list[str]) -> int:
    from affidavit.bootstrap import open_recovered, read_settings
    from affidavit.service.health import examine

    parser = Parser(prog="affidavit doctor", parents=[common(acting=False)], description="Check a workspace's set-up.")
    given = parser.parse_args(args)
    workspace, found = open_recovered(given.workspace)
    rows = examine(workspace, given.workspace, read_settings, found)
    workspace.close()
    if given.json:
        show.print_json([{"check": c, "state": s, "says": t} for c, s, t in rows])
    else:
        for check, state, says in rows:
            print(f"{state:<5} {check}: {says}")
    return 3 if any(state == "bad" for _, state, _ in rows) else 0
