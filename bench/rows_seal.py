"""Rows of sealing: batches captured, sealed, hashed and fsynced, against bare Parquet writing and bare hashing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import bare
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Row, fill, take_turns, timed
from plan import Plan

from affidavit.bootstrap import init
from affidavit.core.area import Who
from affidavit.streams import kinds
from affidavit.streams.columnar import leaf_entries, pack_hashes
from affidavit.streams.ids import stream_id
from affidavit.streams.passport import Passport, Policy
from affidavit.streams.schema import Column

FLOATS, TEXTS, SEGMENTS = 20, 3, 4
SCHEMA = kinds.decisions(
    [*(Column(f"in.f{i}", "f64") for i in range(FLOATS)), *(Column(f"in.s{i}", "str") for i in range(TEXTS))],
    [Column("out", "f64")],
)
_FIELDS = ("confidence", "adverse", "subject", "tenant")


def features(rows: int) -> pa.Table:
    """What a serving process hands over: 20 floats, 3 texts, the score and four fields of a decision."""
    rng = np.random.default_rng(11)
    columns: dict[str, Any] = {f"f{i}": rng.normal(size=rows) for i in range(FLOATS)}
    for i in range(TEXTS):
        columns[f"s{i}"] = np.char.add("level-", rng.integers(0, 40, rows).astype(str))
    score = rng.random(rows)
    return pa.table({
        **columns, "out": score, "confidence": np.maximum(score, 1 - score), "adverse": score < 0.5,
        "subject": np.char.add("subject-", rng.integers(0, 100_000, rows).astype(str)),
        "tenant": np.char.add("tenant-", rng.integers(0, 5, rows).astype(str)),
    })  # fmt: skip


class Sealer:
    """A workspace whose spool another process fills, batch by batch, while this one seals."""

    def __init__(self, folder: Path, rows: int, segments: int) -> None:
        made = init(folder / "ws", admin="Bench Administrator", origin="bench.example/seal")
        self.ws, self.rows, self.segments = made.workspace, rows, segments
        person = self.ws.access.register_principal("service", name="sealer", by=made.admin).facts[0].principal
        self.who = Who(person, "os-user")
        grant = self.ws.access.request_grant(person, "service", "*", "seals", by=self.who).facts[0].grant
        self.ws.access.approve_grant(grant, by=made.admin)

    def round(self) -> float:
        """Seconds a row, from the first row handed over to the last command in the ledger; all is on the disk then."""
        stores = self.ws.stores
        given = [str(stores.spool), stores.origin, str(self.rows), str(self.segments)]
        child = subprocess.Popen(
            [sys.executable, __file__, *given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()  # everything is imported, the features are drawn

        def work() -> None:
            child.stdin.write("go\n")
            child.stdin.flush()
            while child.poll() is None:
                if not self.ws.decisions.seal(by=self.who, everything=False, interval_s=3600).result["segments"]:
                    time.sleep(0.1)
            while self.ws.decisions.seal(by=self.who).result["more"]:
                pass

        return timed(work, self.rows * self.segments)


def capture(spool: str, origin: str, rows: int, segments: int) -> None:
    """The serving process: hands over one batch of ``rows`` after another."""
    from affidavit.client.recorder import Recorder

    deployment = stream_id("bench", 0, bytes(16), "deployment")
    passport = Passport(
        origin,
        "employment",
        "production",
        1,
        deployment,
        "sha256:" + "5e" * 32,
        Policy(fsync_ms=1000, spool_bytes=1 << 33),
    )
    table = features(rows)
    print("ready", flush=True)
    sys.stdin.readline()
    with Recorder(passport, spool) as recorder:
        for _ in range(segments):
            recorder.record_batch(table, output_columns="out", fields={n: n for n in _FIELDS}, caller="portal")


class Bare:
    """The same rows by pyarrow and hashlib alone. ``tables`` hold what a segment holds, salts and leaves included."""

    def __init__(self, folder: Path, given: pa.Table) -> None:
        rows, self.path = given.num_rows, folder / "bare.parquet"
        ids = np.random.default_rng(5).integers(0, 256, (rows, 16), "u1")
        ids[:, :8] = (1_790_000_000_000 * 65536 + np.arange(rows)).astype(">u8").view("u1").reshape(rows, 8)
        constant = {"deployment": bytes(16), "version": bytes(32), "configuration": bytes(32)}
        columns: dict[str, Any] = {
            "id": pa.Array.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(ids.tobytes())]),
            "at": pa.array(np.full(rows, 1_790_000_000_000), pa.int64()).cast(pa.timestamp("ms", "UTC")),
            **{n: pa.array([v] * rows, pa.binary(len(v))) for n, v in constant.items()},
            "caller": pa.array(["portal"] * rows), "guard": pa.nulls(rows, pa.string()), "sources": pa.nulls(rows, pa.string()),
        }  # fmt: skip
        columns |= {c.name: given.column(c.name.removeprefix("in.")) for c in SCHEMA.columns if c.name not in columns}
        table = pa.table({n: columns[n] for n in SCHEMA.names})
        salts, leaves = os.urandom(32 * rows), os.urandom(32 * rows)
        self.table = table.add_column(0, "salt", pack_hashes(salts)).add_column(1, "leaf", pack_hashes(leaves))
        data, offsets = leaf_entries(SCHEMA, salts, table)
        ends = offsets.tolist()
        self.bodies = [data[a + 1 : b] for a, b in pairwise(ends)]
        self.texts = [c.name for c in SCHEMA.columns if c.type == "str"]

    def write(self) -> float:
        """Seconds to write the table and fsync it: zstd, dictionaries on texts, pyarrow's own row groups."""

        def work() -> None:
            with self.path.open("wb") as sink:
                pq.write_table(self.table, sink, compression="zstd", use_dictionary=self.texts)
                sink.flush()
                os.fsync(sink.fileno())

        return timed(work)

    def hash(self) -> float:
        """Seconds to hash every leaf and every node once."""
        return timed(lambda: bare.hash_log(self.bodies))


def sealing(plan: Plan) -> list[Row]:
    """Batches of one segment, captured, sealed, hashed and fsynced, in the ledger; bare work on the same rows."""
    folder, count = plan.work / "seal", plan.segment_rows
    folder.mkdir()
    ours, floor = Sealer(folder, count, SEGMENTS), Bare(folder, features(count))
    written: list[float] = []

    def bare_write_and_hash() -> float:
        written.append(floor.write() / count)
        return written[-1] + floor.hash() / count

    contestants: dict[str, Callable[[], float]] = {"ours": ours.round, "floor": bare_write_and_hash}
    times = take_turns(contestants, plan.rounds)
    both = Row(
        "capture and seal batches, sustained", "us per row", "<= 1.3",
        f"{SEGMENTS} segments of {count:,} rows of 20 floats, 3 texts and the fixed columns. One process hands over batches"
        " (`record_batch`, write-ahead file, fsync within a second), another seals meanwhile: reading and checking, salted"
        " leaves, the tree, Parquet in groups of 4,096 rows with page checksums, fsync, the segment store, the command in"
        " the ledger. The floor writes one such table with salts and leaves by pyarrow (zstd, dictionaries on texts, its"
        " own row groups, fsync), then hashes the same leaves and nodes by hashlib, in one process.",
        floor_name="pyarrow.parquet.write_table + hashlib",
    )  # fmt: skip
    share = Row(
        "capture and seal batches, against bare writing alone", "us per row", "<= 2.86",
        "The same rounds of ours; the floor is the Parquet writing alone. 2.86 times its time is 35 % of its speed; 1.67 would be 60 %.",
        floor_name="pyarrow.parquet.write_table",
    )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    bare_only = {"ours": times["ours"], "floor": written[1:]}
    return [fill(both, times, over="ours/floor"), fill(share, bare_only, over="ours/floor")]


if __name__ == "__main__":
    capture(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
