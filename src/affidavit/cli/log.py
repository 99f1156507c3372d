"""``affidavit log``: the ledger itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from affidavit.bootstrap import adopt_moved_head, next_log_key, open_workspace, pending_log_key
from affidavit.cli import show
from affidavit.cli.parsing import Parser, common, subparsers
from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid, NotAllowed, StoreDown
from affidavit.core.fields import read_time
from affidavit.service import key_change, upkeep, views
from affidavit.service.key_line import change_to
from affidavit.service.publisher import publish
from affidavit.service.readings import Reading
from affidavit.service.workspace import Workspace

Action = Callable[[Workspace, argparse.Namespace], object]


def _parser() -> Parser:
    parser = Parser(prog="affidavit log", description="The ledger: entries, checkpoints, keys, periods.")
    verbs = subparsers(parser)

    def add(verb: str, action: Action, says: str, *arguments: tuple[str, dict[str, object]]) -> None:
        sub = verbs.add_parser(verb, help=says, description=says, parents=[common()])
        for name, options in arguments:
            sub.add_argument(name, **options)  # type: ignore[arg-type]
        sub.set_defaults(action=action)

    need: dict[str, object] = {"required": True}
    add("publish", _publish, "sign and publish every accepted entry")
    add("show", _show, "one entry by index", ("index", {"type": int}))
    add("list", _list, "entries about a reference, newest last", ("--about", {"metavar": "REF"}), ("--tag", {}),
        ("--last", {"type": int, "default": 20}))  # fmt: skip
    add("receipt", _receipt, "the proof that an entry is in the log", ("index", {"type": int}), ("--out", need))
    add("rebuild", _rebuild, "drop the read tables and replay the entries")
    add("retry-reactions", _retry, "run failed reactions again")
    add("rotate-key", _rotate, "replace the log key; old and new key sign")
    add("recover-key", _recover, "replace a lost log key by the recovery key",
        ("--recovery-key-file", need | {"help": "file with the recovery key"}), ("--reason", need))  # fmt: skip
    add("correct-clock", _clock, "record that the clock was wrong", ("--reason", need))
    add("close-period", _close, "record the closing balance of a period", ("--from", need | {"dest": "start"}),
        ("--to", need | {"dest": "end"}))  # fmt: skip
    add("adopt-head", _adopt, "take over a workspace that was moved to this machine")
    return parser


def run(_name: str, args: list[str]) -> int:
    """Run one verb."""
    given = _parser().parse_args(args)
    if given.action is _adopt:
        result: object = {"adopted size": adopt_moved_head(given.workspace, given.by)}
    else:
        pending = pending_log_key(given.workspace) if given.action in (_rotate, _recover) else None
        workspace = open_workspace(given.workspace, by=given.by)
        try:
            result = _finished(workspace, pending) or given.action(workspace, given)
        finally:
            workspace.close()
    (show.print_json if given.json else show.print_value)(result)
    return 0


def _publish(workspace: Workspace, _given: argparse.Namespace) -> object:
    done = workspace.publish()
    return {"size": done.size, "grew": done.grew, "checkpoint": done.checkpoint.decode()}


def _permit_reading(workspace: Workspace) -> None:
    """Entries and private texts are shown to signed-in principals with ``audit.read`` alone."""
    workspace.executor.permit(workspace.known(None), "audit.read")


def _show(workspace: Workspace, given: argparse.Namespace) -> object:
    _permit_reading(workspace)
    record = workspace.record(given.index)
    row = show.record_row(record)
    for name, vault_id in row.get("private", {}).items():
        found = workspace.stores.vault.get(vault_id)
        row["private"][name] = {"vault": vault_id, "text": found[0] if found else "erased"}
    return row


def _list(workspace: Workspace, given: argparse.Namespace) -> object:
    _permit_reading(workspace)
    sql, values = "SELECT idx FROM {meta} WHERE 1 = 1", []
    if given.tag:
        sql, values = sql + " AND tag = ?", [given.tag]
    if given.about:
        sql, values = sql + " AND idx IN (SELECT idx FROM {ref} WHERE ref = ?)", [*values, given.about]
    with workspace.stores.entries.read() as tx:
        log = Reading(tx, workspace.catalog, workspace.executor.book).view("log")
        found = [r[0] for r in log.rows(sql + " ORDER BY idx DESC LIMIT ?", *values, given.last)]
    return [_line(workspace.record(i)) for i in reversed(found)]


def _line(record: Record) -> dict[str, object]:
    row = show.record_row(record)
    return {k: row[k] for k in ("index", "at", "tag", "actor")} | {"refs": " ".join(row["refs"][:3])}


def _receipt(workspace: Workspace, given: argparse.Namespace) -> object:
    _permit_reading(workspace)
    proof = workspace.receipt(given.index)
    entry = next(iter(workspace.stores.entries.entries(given.index, given.index + 1)))
    try:
        Path(given.out).write_bytes(proof)
        Path(given.out + ".entry").write_bytes(entry)
    except (OSError, ValueError) as e:
        raise StoreDown(f"{given.out} cannot be written: {e}.", next_step="give the path of a new file.") from None
    return {"proof": given.out, "entry": given.out + ".entry", "check": f"affidavit verify {given.out} --vkey log.vkey"}


def _rebuild(workspace: Workspace, _given: argparse.Namespace) -> object:
    return {"replayed": views.rebuild(workspace.stores.entries, workspace.catalog)}


def _retry(workspace: Workspace, _given: argparse.Namespace) -> object:
    done = workspace.executor.reactions.retry()
    publish(workspace.stores)
    return {"went through": done}


def _finished(workspace: Workspace, pending: str | None) -> object:
    """The interrupted key change that opening the workspace ended just now, or None: it is not begun again."""
    if pending is None or workspace.stores.log_signer.vkey != pending:
        return None
    workspace.executor.permit(workspace.known(None), "log.admin")
    record = change_to(workspace.stores, workspace.catalog, pending)
    return {"entry": record.index if record else None, "log_key": pending, "finished": "a change that was interrupted"}


def _rotate(workspace: Workspace, given: argparse.Namespace) -> object:
    signer, install = next_log_key(given.workspace)
    record = key_change.rotate(workspace, signer, install, workspace.known(None))
    return {"entry": record.index, "log_key": signer.vkey}


def _recover(workspace: Workspace, given: argparse.Namespace) -> object:
    try:
        secret = Path(given.recovery_key_file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Invalid(
            f"{given.recovery_key_file} cannot be read: {e}.", next_step="give the file with the key."
        ) from None
    signer, install = next_log_key(given.workspace)
    record = key_change.recover_key(workspace, secret, signer, given.reason, install, workspace.known(None))
    return {"entry": record.index, "log_key": signer.vkey}


def _clock(workspace: Workspace, given: argparse.Namespace) -> object:
    record = upkeep.correct_clock(workspace, given.reason, workspace.known(None))
    return show.record_row(record)


def _close(workspace: Workspace, given: argparse.Namespace) -> object:
    who = workspace.known(None)
    record = upkeep.close_period(workspace, read_time(given.start), read_time(given.end), who)
    publish(workspace.stores)
    return show.record_row(record)


def _adopt(_workspace: Workspace, _given: argparse.Namespace) -> object:
    raise NotAllowed("adopt-head runs before a workspace opens.", next_step="report this.")
