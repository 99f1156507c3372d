"""Erased rows that a restored backup brought back: destroyed again before anything is served."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from affidavit.core.digest import verified_chunks
from affidavit.core.errors import AffidavitError
from affidavit.service.executor import Executor
from affidavit.service.readings import Reading


def destroy_again(executor: Executor) -> int:
    """Destroy every stored segment file that an erasure replaced; how many there were.

    If the backup lacks the file that stands now, it is written from the older one first, without the erased rows:
    the same bytes, so the same digest. Where that fails the older file goes all the same, and ``verify`` says missing.
    """
    if "decisions" not in executor.catalog.areas:
        return 0
    segments = executor.stores.segments
    replaced = [row for row in _ask(executor, "decisions.replacements") if segments.has(row["file"])]
    for row in replaced:
        span = _ask(executor, "decisions.span", row["stream"], row["first_seq"])
        if not segments.has(span["file"]):
            with suppress(AffidavitError, ImportError):
                _rewrite(executor, row, span["file"])
        segments.delete(row["file"])
    return len(replaced)


def _ask(executor: Executor, name: str, *args: Any) -> Any:
    with executor.stores.entries.read() as tx:
        return Reading(tx, executor.catalog, executor.book).ask(name, *args)


def _rewrite(executor: Executor, row: dict[str, Any], wanted: str) -> None:
    from affidavit.streams.segment import Segment, rewrite_without

    stores = executor.stores
    ranges = _ask(executor, "decisions.erased_ranges", row["stream"], row["first_seq"])
    gone = {i for first, last in ranges for i in range(first, last + 1)}
    stores.spool.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="restoring-", dir=stores.spool) as folder,
        stores.segments.open(row["file"]) as source,
    ):
        for _ in verified_chunks(source, row["file"], "a segment of a backup"):
            pass
        source.seek(0)
        file = Path(folder) / "segment.parquet"
        if rewrite_without(Segment(source), gone, file).file == wanted:
            with file.open("rb") as written:
                stores.segments.put(written)
