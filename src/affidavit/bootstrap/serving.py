"""The workspace's side of a serving process: the passport that its recorder works by."""

from __future__ import annotations

import os
from pathlib import Path

from affidavit.bootstrap.opening import open_workspace
from affidavit.service.readings import Reading
from affidavit.service.workspace import Workspace
from affidavit.streams.passport import Passport, make_passport, write_passport


def equipped(workspace: str | Path | Workspace | None, model: str, env: str) -> tuple[Passport, Path]:
    """The passport of what serves ``env`` now, written into the spool, and the spool's folder.

    The workspace is the one given, or ``AFFIDAVIT_WORKSPACE``, or the present folder. Raises as ``issue_passport``.
    """
    if isinstance(workspace, Workspace):
        return issue_passport(workspace, model, env), workspace.stores.spool
    opened = open_workspace(workspace or os.environ.get("AFFIDAVIT_WORKSPACE", "."))
    try:
        return issue_passport(opened, model, env), opened.stores.spool
    finally:
        opened.close()


def issue_passport(workspace: Workspace, model: str, env: str) -> Passport:
    """The passport of what serves ``env`` now, written into the spool: a reading of the ledger, no fact of its own.

    Raises ``NotFound`` if nothing serves there, ``Invalid`` for rules of the recorder off form, ``StoreDown``.
    """
    executor = workspace.executor
    with workspace.stores.entries.read() as tx:
        section = Reading(tx, executor.catalog, executor.book).rules().body.get("recorder", {})
    passport = make_passport(model, env, workspace.stores.origin, section, workspace.ask)
    write_passport(workspace.stores.spool, passport)
    return passport
