"""The evidence package of a workspace: what ``evidence`` needs, taken from the stores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from affidavit import __version__
from affidavit.core.errors import Invalid, NotFound, StoreDown
from affidavit.core.findings import Finding, Period
from affidavit.evidence import package
from affidavit.evidence.source import Source
from affidavit.service.assessor import assess_period
from affidavit.service.workspace import Workspace


def source_of(workspace: Workspace, timestamps: Path | None = None) -> Source:
    """The published log of a workspace and what lies beside it. Raises ``NotFound`` before publication."""
    stores = workspace.stores
    head = stores.head.fetch(stores.origin)
    if head is None:
        raise NotFound("nothing is published.", next_step="affidavit log publish.")

    def findings(period: Period, as_of: int, controls: Sequence[str]) -> list[Finding]:
        return assess_period(workspace.executor, period, as_of, controls)

    def stamps() -> Iterable[tuple[int, bytes]]:
        for path in sorted(timestamps.glob("*.tsr")) if timestamps else ():
            yield int(path.stem), path.read_bytes()

    return Source(
        origin=stores.origin,
        head=head,
        tiles=stores.tiles.get,
        vkeys=stores.vkeys,
        signer=stores.log_signer,
        objects=stores.objects.open,
        vault=stores.vault.get,
        findings=findings,
        controls=workspace.catalog.controls,
        version=__version__,
        timestamps=stamps,
    )


def write_package(
    workspace: Workspace,
    out: str | Path,
    start: datetime,
    end: datetime,
    *,
    as_of: int | None = None,
    only: tuple[str, ...] = (),
    nonce: str | None = None,
    timestamps: Path | None = None,
    force: bool = False,
    against: Path | None = None,
    disclose: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Publish, then write the package to ``out``: a file beside it is renamed at the end, so no half package is left."""
    workspace.publish()
    target = Path(out)
    if target.is_dir():
        raise Invalid(f"{target} is a folder.", next_step="give the path of the zip to write.")
    if target.exists() and not force:
        raise Invalid(f"{target} exists.", next_step="choose another name, or say --force to replace it.")
    building = target.with_name(f".{target.name}.part")
    try:
        held = against.read_bytes() if against else None
        options = package.Options(
            Period(start, end),
            as_of=as_of,
            controls=only,
            nonce=nonce,
            against=held,
            disclose=disclose or package.DISCLOSED,
        )
        with building.open("wb") as file:
            written = package.write_package(file, source_of(workspace, timestamps), options)
            file.flush()
            os.fsync(file.fileno())
        building.replace(target)
    except OSError as e:
        raise StoreDown(
            f"{target} cannot be written: {e.strerror}.", next_step="check the folder and the free space."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            building.unlink(missing_ok=True)
    return {
        "package": str(out), "bytes": written.bytes, "files": written.files, "as_of": written.as_of,
        "missing": list(written.missing),
    }  # fmt: skip
