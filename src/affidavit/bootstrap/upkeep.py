"""Upkeep that touches files: the next log key, a workspace that moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from affidavit.areas.catalog import catalog
from affidavit.bootstrap.opening import clock_of, read_settings, stores_of
from affidavit.service.workspace import Workspace
from affidavit.store.durable import durable_write
from affidavit.store.signer import FileSigner, create_key


def next_log_key(path: str | Path) -> tuple[FileSigner, Any]:
    """A fresh log key beside the present one, and the step that puts it into its place.

    A key left by an interrupted change is used again. The old key is not kept, its public half is.
    """
    root = Path(path).absolute()
    settings = read_settings(root)
    present, fresh = root / "keys" / "log.key", root / "keys" / "log-next.key"
    if not fresh.exists():
        create_key(fresh)
    signer = FileSigner(settings.origin, fresh)

    def install() -> None:
        number = len(list((root / "keys").glob("log-old-*.vkey"))) + 1
        old = (root / "log.vkey").read_bytes()
        durable_write(root / "keys" / f"log-old-{number}.vkey", old)
        fresh.replace(present)
        durable_write(root / "log.vkey", (signer.vkey + "\n").encode())

    return signer, install


def adopt_moved_head(path: str | Path, by: str | None) -> int:
    """Take the published checkpoint of a moved workspace as head; the size adopted."""
    from affidavit.service.upkeep import adopt_head

    root = Path(path).absolute()
    settings = read_settings(root)
    workspace = Workspace(stores_of(root, settings, clock_of(root, settings), None), catalog())
    try:
        who = workspace.as_named(by) if by else workspace.key_holder(os.environ.get("AFFIDAVIT_KEY", ""))
        return adopt_head(workspace, who)
    finally:
        workspace.close()
