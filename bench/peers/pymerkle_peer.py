"""pymerkle (GPL) behind a pipe: a program and an environment of its own; one JSON line per order and answer."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from corpus import entries
from pymerkle import SqliteTree


class Peer:
    """One SQLite tree; ``run`` carries out an order."""

    def __init__(self) -> None:
        self.tree: Any = None

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``open``, ``build``, ``append``, ``prove`` or ``fill``."""
        return getattr(self, "do_" + order.pop("do"))(**order)

    def do_open(self, db: str) -> dict[str, Any]:
        """Open the tree anew: its cache is empty then."""
        if self.tree is not None:
            self.tree.close()
        self.tree = SqliteTree(db)
        return {"size": self.tree.get_size()}

    def do_build(self, db: str, count: int, limit: float) -> dict[str, Any]:
        """Append entries in bulk until ``count`` or until ``limit`` seconds are over."""
        self.do_open(db)
        start, held, source = time.perf_counter(), 0, entries(count)
        while held < count and time.perf_counter() - start < limit:
            step = min(50_000, count - held)
            self.tree.append_entries([next(source) for _ in range(step)])
            held += step
        return {"size": held, "root": self.tree.get_root().hex(), "seconds": time.perf_counter() - start}

    def do_append(self, batches: int, size: int) -> dict[str, Any]:
        """Seconds to append ``batches`` of ``size`` entries, each batch one transaction."""
        made = list(entries(size))
        start = time.perf_counter()
        for _ in range(batches):
            self.tree.append_entries(made)
        return {"seconds": time.perf_counter() - start}

    def do_prove(self, indexes: list[int]) -> dict[str, Any]:
        """Seconds of each proof."""
        found = []
        for index in indexes:
            start = time.perf_counter()
            self.tree.prove_inclusion(index + 1)
            found.append(time.perf_counter() - start)
        return {"seconds": found}

    def do_fill(self) -> dict[str, Any]:
        """Put every subtree that the library caches (128 leaves and more) into its cache."""
        for index in range(1, self.tree.get_size() + 1, 128):
            self.tree.prove_inclusion(index)
        return {}


def main() -> None:
    """Answer orders until the pipe closes."""
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(peer.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
