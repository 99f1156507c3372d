"""What a serving process imports: the recorder. Loads no server, no numpy, no pyarrow before a batch needs them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from affidavit.client.recorder import Recorder
from affidavit.client.returned import Recorded
from affidavit.client.wrapping import recorded
from affidavit.core.errors import Invalid
from affidavit.streams.passport import read_passport

__all__ = ["Recorded", "Recorder", "recorded", "recorder"]


def recorder(deployment: str, *, workspace: Any = None, spool: str | Path | None = None, **options: Any) -> Recorder:
    """The recorder of ``"employment@production"``, open and attested.

    With ``spool`` the passport that lies there is read, and nothing of a workspace is loaded. Otherwise the
    ``workspace`` (a path or an open one; ``AFFIDAVIT_WORKSPACE``, or the present folder) issues it afresh. ``options`` are
    those of ``Recorder``. Raises ``NotFound`` if nothing serves there or no passport was issued, ``Invalid``, ``StoreDown``.
    """
    model, sign, env = deployment.partition("@")
    if not (model and sign and env):
        raise Invalid(f"{deployment!r} names no deployment.", next_step="write MODEL@ENVIRONMENT.")
    if spool is not None:
        if workspace is not None:
            raise Invalid("workspace and spool are both given.", next_step="give one of them.")
        return Recorder(read_passport(Path(spool), model, env), spool, **options)
    # Named, not imported: a process that has a spool alone never loads the workspace.
    passport, folder = import_module("affidavit.bootstrap.serving").equipped(workspace, model, env)
    return Recorder(passport, folder, **options)
