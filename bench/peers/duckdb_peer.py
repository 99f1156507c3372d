"""DuckDB behind a pipe: one row by id out of a folder of sorted Parquet files; one JSON line per order and answer."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import duckdb


class Peer:
    """One connection, its cache of Parquet footers on."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.files = ""

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``open`` or ``find``."""
        return getattr(self, "do_" + order.pop("do"))(**order)

    def do_open(self, files: str, threads: int) -> dict[str, Any]:
        """Connect; the footers of every file are read once."""
        self.connection, self.files = duckdb.connect(config={"threads": threads}), files
        self.connection.execute("SET parquet_metadata_cache = true")
        rows = self.connection.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()[0]
        return {"rows": rows, "version": duckdb.__version__}

    def do_find(self, ids: list[str]) -> dict[str, Any]:
        """Seconds to fetch each id's row, all columns."""
        seconds = []
        for wanted in ids:
            start = time.perf_counter()
            found = self.connection.execute(
                f"SELECT * FROM read_parquet('{self.files}') WHERE id = '{wanted}'::UUID"
            ).fetchall()
            seconds.append(time.perf_counter() - start)
            if len(found) != 1:
                raise RuntimeError(f"{len(found)} rows have the id {wanted}")
        return {"seconds": seconds}


def main() -> None:
    """Answer orders until the pipe closes."""
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(peer.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
