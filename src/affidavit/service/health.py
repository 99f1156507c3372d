"""``doctor``: what is weak in a workspace's set-up, in one line each."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from affidavit.core import envelope
from affidavit.core.fields import time_text
from affidavit.service.publisher import open_head
from affidavit.service.readings import Reading
from affidavit.service.recovery import Recovered
from affidavit.service.workspace import Workspace

State = Literal["ok", "weak", "bad"]
Row = tuple[str, State, str]
LOW_DISK_BYTES = 512 * 1024 * 1024


def examine(
    workspace: Workspace, folder: str | Path, read_settings: Callable[[Path], Any], found: Recovered
) -> list[Row]:
    """One row per check: (what, state, sentence). ``weak`` is a risk to know, ``bad`` needs mending."""
    root = Path(folder).absolute()
    settings = read_settings(root)
    return [
        *_ledger(workspace, found),
        _log_key(workspace, found),
        _anchor(root, settings, workspace),
        _head(root, settings.head),
        *_keys(root),
        _vault(workspace),
        _erasures(workspace, found),
        _disk(root),
        _sqlite(),
        _reactions(workspace),
        _administrators(workspace),
    ]


def _ledger(workspace: Workspace, found: Recovered) -> list[Row]:
    stores = workspace.stores
    note = stores.head.fetch(stores.origin)
    size = open_head(stores, note).checkpoint.size if note else 0
    rows: list[Row] = [("ledger", "ok", f"{stores.origin}, {size} entries published, clock {stores.clock.kind}")]
    if found.reingested:
        rows.append(
            ("recovery", "weak", f"{found.reingested} entries were taken back from the bundles: was a backup restored?")
        )
    if found.erased:
        rows.append(
            ("recovery", "weak", f"{found.erased} destroyed texts were back and were erased again: an old vault?")
        )
    if stores.clock.kind == "simulated":
        rows.append(("clock", "weak", "simulated: nothing of this log is evidence of real operation"))
    return rows


def _log_key(workspace: Workspace, found: Recovered) -> Row:
    if workspace.stores.key_lost:
        return (
            "log key",
            "bad",
            f"lost: {found.waiting} accepted entries are not published; affidavit log recover-key --recovery-key-file FILE",
        )
    return ("log key", "ok", workspace.stores.log_signer.vkey)


def _anchor(root: Path, settings: Any, workspace: Workspace) -> Row:
    if settings.timestamp_url:
        head = workspace.stores.head.fetch(workspace.stores.origin)
        size = open_head(workspace.stores, head).checkpoint.size if head else 0
        if not (root / "timestamps" / f"{size}.tsr").is_file():
            return (
                "anchor",
                "weak",
                f"the checkpoint of size {size} has no stamp of {settings.timestamp_url}: publish again",
            )
        return ("anchor", "ok", f"checkpoints are stamped by {settings.timestamp_url}")
    return (
        "anchor",
        "weak",
        "unanchored: no timestamp authority or witness; whoever holds log key and stores can rewrite",
    )


def _head(root: Path, head: Path) -> Row:
    if root in head.parents:
        return ("head store", "weak", "inside the workspace: a rollback of the whole folder goes unseen")
    return ("head store", "ok", "outside the workspace")


def _keys(root: Path) -> list[Row]:
    rows: list[Row] = []
    for path in sorted((root / "keys").glob("*.key")):
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            rows.append(("keys", "bad", f"{path.name} has mode {mode:04o}: chmod 600 it"))
    return rows or [("keys", "ok", "readable by their owner alone")]


def _vault(workspace: Workspace) -> Row:
    """Every text that an entry names is known to the vault, if only as erased."""
    stores = workspace.stores
    known = {vault_id for vault_id, *_ in stores.vault.all()}
    named = [
        (index, sealed.vault)
        for index, body in enumerate(stores.entries.entries(0, stores.entries.size()))
        for sealed in envelope.split(body, proven=True).private.values()
    ]
    lost = [index for index, vault_id in named if vault_id not in known]
    if lost:
        return (
            "vault",
            "bad",
            f"{len(lost)} of {len(named)} texts are missing, first of entry {lost[0]}: restore vault.db",
        )
    return ("vault", "ok", f"all {len(named)} texts of entries are known")


def _erasures(workspace: Workspace, found: Recovered) -> Row:
    """Orders to erase that are not carried out or not proven; what a restored backup brought back."""
    if found.destroyed:
        told = f"a restored backup held {found.destroyed} segment files with erased rows; they were destroyed again"
        return ("erasures", "weak", told)
    orders = workspace.ask("decisions.erasures")
    waiting = [o["id"] for o in orders if o["erased"] < o["row_count"]]
    if waiting:
        return ("erasures", "bad", f"{len(waiting)} ordered and not carried out: affidavit decisions carry-out")
    unproven = [o["id"] for o in orders if not o["proven"]]
    if unproven:
        told = f"{len(unproven)} not proven by another identity: affidavit decisions prove-erasure {unproven[0]}"
        return ("erasures", "weak", told)
    return ("erasures", "ok", f"{len(orders)} proven; backups of segments/ must not outlive what they promise")


def _disk(root: Path) -> Row:
    free = shutil.disk_usage(root).free
    state: State = "ok" if free > LOW_DISK_BYTES else "bad"
    return ("disk", state, f"{free // 2**20} MiB free")


def _sqlite() -> Row:
    version = sqlite3.sqlite_version
    return ("sqlite", "ok", f"{version}; affected by the WAL-reset bug before 3.51.3, hence journal mode DELETE there")


def _reactions(workspace: Workspace) -> Row:
    with workspace.stores.entries.read() as tx:
        log = Reading(tx, workspace.catalog, workspace.executor.book).view("log")
        count = log.rows("SELECT COUNT(*) FROM {meta} WHERE tag = 'service.reaction_failed'")[0][0]
        retried = log.rows("SELECT COUNT(*) FROM {meta} WHERE tag = 'service.reaction_retried'")[0][0]
    if count > retried:
        return ("reactions", "bad", f"{count - retried} failed and were not repeated: affidavit log retry-reactions")
    return ("reactions", "ok", "none waiting")


def _administrators(workspace: Workspace) -> Row:
    rows = {g["principal"] for g in _holders(workspace)}
    if len(rows) < 2:
        return ("administrators", "weak", f"{len(rows)}: a second one is needed to adopt rules or replace the first")
    return ("administrators", "ok", f"{len(rows)}")


def _holders(workspace: Workspace) -> list[dict[str, str]]:
    now = workspace.stores.clock.now()
    with workspace.stores.entries.read() as tx:
        reading = Reading(tx, workspace.catalog, workspace.executor.book)
        found: list[dict[str, str]] = reading.ask(
            "access.holders", reading.rules(), "access.adopt_rules", None, time_text(now)
        )
    return found
