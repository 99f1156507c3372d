"""Upkeep that touches files: the next log key, a workspace that moved."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from affidavit.areas.catalog import catalog
from affidavit.bootstrap.keyring import NEXT, file_signer, installer, with_log_key
from affidavit.bootstrap.opening import clock_of, read_settings, stores_of
from affidavit.core.errors import Busy, Invalid
from affidavit.service.workspace import Workspace
from affidavit.store.signer import FileSigner, create_key


def next_log_key(path: str | Path) -> tuple[FileSigner, Any]:
    """A fresh log key beside the present one, and the step that puts it into its place.

    A key left by an interrupted change is used again. Raises ``Busy`` if another process takes the key away
    at this moment.
    """
    root = Path(path).absolute()
    settings = read_settings(root)
    with contextlib.suppress(Invalid):  # another process may just have made it
        if not (root / "keys" / NEXT).exists():
            create_key(root / "keys" / NEXT)
    signer = file_signer(root, settings.origin, NEXT)
    if signer is None:
        raise Busy("another process is changing the log key.", next_step="open the workspace again, then retry.")
    return signer, installer(root, signer, settings.origin)


def pending_log_key(path: str | Path) -> str | None:
    """The verifier key of a next log key that lies ready, perhaps from a change that was interrupted; or None."""
    root = Path(path).absolute()
    signer = file_signer(root, read_settings(root).origin, NEXT)
    return signer.vkey if signer else None


def adopt_moved_head(path: str | Path, by: str | None) -> int:
    """Take the published checkpoint of a moved workspace as head; the size adopted."""
    from affidavit.service.upkeep import adopt_head

    root = Path(path).absolute()
    settings = read_settings(root)
    known = catalog()
    stores = stores_of(root, settings, clock_of(root, settings), None)
    workspace = Workspace(with_log_key(root, stores, known), known)
    try:
        who = workspace.as_named(by) if by else workspace.key_holder(os.environ.get("AFFIDAVIT_KEY", ""))
        return adopt_head(workspace, who)
    finally:
        workspace.close()
