"""A tlog-tiles directory of the corpus, made by the product's own functions but without fsync."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import corpus

from affidavit.core.errors import NotFound
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.growth import grow
from affidavit.ledger.keys import Ed25519Signer
from affidavit.store.files import FileTileStore

STEP = 65_536


@dataclass(frozen=True)
class Log:
    """A signed log on disk."""

    root: Path
    size: int
    tree_root: bytes
    vkey: str
    tiles: FileTileStore


def build(folder: Path, size: int) -> Log:
    """A log of the first ``size`` entries of the corpus in ``folder``; its key is written beside it."""

    def read(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            raise NotFound(path, next_step="build the log.") from None

    source, held, root = corpus.entries(size), 0, b""
    while batch := list(islice(source, STEP)):
        grown = grow(read, held, batch)
        for path, body in grown.puts:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        held, root = grown.size, grown.root
    for partial in [p for p in folder.rglob("*.p") if p.with_suffix("").exists()]:
        for file in partial.iterdir():
            file.unlink()
        partial.rmdir()
    signer = Ed25519Signer("bench.example/log", bytes(range(32)))
    (folder / "checkpoint").write_bytes(sign_checkpoint(Checkpoint(signer.name, held, root), signer))
    folder.with_suffix(".vkey").write_text(signer.vkey + "\n")
    return Log(folder, held, root, signer.vkey, FileTileStore(folder))
