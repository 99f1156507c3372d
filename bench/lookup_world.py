"""Many sealed segments made cheaply: a few are real, the others have real ids and headers and share one stored file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from affidavit.areas.decisions.events import BatchSealed, StreamOpened
from affidavit.areas.lineage import events as lin
from affidavit.areas.registry import events as reg
from affidavit.bootstrap import Created, init
from affidavit.core.envelope import Draft
from affidavit.core.fields import Attachment, VaultText
from affidavit.streams import kinds
from affidavit.streams.columnar import arrow_schema, hash_leaves, leaf_entries
from affidavit.streams.ids import id_bytes, id_text
from affidavit.streams.schema import Column
from affidavit.streams.sealed import BATCH_SEGMENTS, SegmentSealed, batch_root, encode_headers, span_of
from affidavit.streams.segment import Written, write_segment

FLOATS, TEXTS = 20, 3
SCHEMA = kinds.decisions(
    [*(Column(f"in.f{i}", "f64") for i in range(FLOATS)), *(Column(f"in.s{i}", "str") for i in range(TEXTS))],
    [Column("out", "f64")],
)
START_MS = 1_760_000_000_000
PER_MS = 100
_ARTIFACT, _OTHER = "sha256:" + "5e" * 32, "sha256:" + "6f" * 32
_START = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A workspace with ``count`` segments of ``rows`` decisions each; ``real`` of them can be looked into.

    ``ids`` are those of the real segments. ``files`` is the folder of the peer's sorted files: the same ids in every
    file, the same rows where the segment is real, constant features elsewhere.
    """

    def __init__(self, folder: Path, count: int, rows: int, real: int, *, peer_files: bool) -> None:
        self.folder, self.rows, self.files = folder, rows, folder / "peer"
        self.made: Created = init(folder / "ws", admin="Bench Administrator", origin="bench.example/lookup")
        self.deployment, self.stream = str(uuid.uuid4()), str(uuid.uuid4())
        self.rng, self.ids = np.random.default_rng(7), list[bytes]()
        self.files.mkdir()
        _facts(self.made, self.deployment)
        self._open()
        chosen = set(np.linspace(0, count - 1, real).astype(int).tolist())
        written, headers = None, list[SegmentSealed]()
        for number in sorted(
            range(count), key=lambda n: n not in chosen
        ):  # a real one first: the others borrow its file
            body = self._ids(number)
            table = self._table(body, number, real=number in chosen)
            if number in chosen:
                written = self._write(table)
                self.ids += [body[i * 16 : i * 16 + 16] for i in self.rng.integers(0, rows, 400).tolist()]
            assert written is not None
            headers.append(self._header(number, body, written))
            if peer_files:
                self._peer_file(number, body, table)
        self._seal(sorted(headers, key=lambda h: h.first_seq))

    def draw(self, count: int) -> list[str]:
        """Ids to look for, each drawn afresh."""
        return [id_text(self.ids[i]) for i in self.rng.integers(0, len(self.ids), count).tolist()]

    def _ids(self, number: int) -> bytes:
        """Ascending UUIDv7: so many a millisecond, random tails."""
        body = np.zeros((self.rows, 16), "u1")
        order = number * self.rows + np.arange(self.rows)
        body[:, :6] = (START_MS + order // PER_MS).astype(">u8").view("u1").reshape(-1, 8)[:, 2:]
        body[:, 6], body[:, 7] = 0x70, order % PER_MS
        body[:, 8:] = self.rng.integers(0, 256, (self.rows, 8), dtype="u1")
        body[:, 8] = body[:, 8] & 0x3F | 0x80
        return body.tobytes()

    def _table(self, ids: bytes, number: int, *, real: bool) -> Any:
        """The rows of a segment; without random features unless it is real."""
        n = self.rows
        at = START_MS + (number * n + np.arange(n)) // PER_MS
        given: dict[str, Any] = {
            "id": _fixed(ids, 16), "at": pa.array(at).cast(pa.timestamp("ms", "UTC")), "adverse": pa.array(at % 2 == 0),
            "deployment": _fixed(id_bytes(self.deployment) * n, 16), "version": _fixed(bytes.fromhex(_ARTIFACT[7:]) * n, 32),
            "configuration": _fixed(bytes(32) * n, 32),
        }  # fmt: skip
        for name in ("out", "confidence", *(f"in.f{i}" for i in range(FLOATS))):
            given[name] = pa.array(self.rng.normal(size=n) if real else np.ones(n))
        for name in (f"in.s{i}" for i in range(TEXTS)):
            given[name] = pa.array(self.rng.integers(0, 50, n).astype(str) if real else ["x"] * n)
        columns = [
            given.get(c.name, pa.nulls(n, f.type)) for c, f in zip(SCHEMA.columns, arrow_schema(SCHEMA), strict=True)
        ]
        return pa.table(columns, schema=arrow_schema(SCHEMA))

    def _write(self, table: Any) -> Written:
        salts = os.urandom(32 * self.rows)
        leaves = hash_leaves(*leaf_entries(SCHEMA, salts, table))
        file, tree = self.folder / "segment.parquet", self.folder / "segment.tree"
        written = write_segment(SCHEMA, salts, leaves, table, file, tree)
        for path in (file, tree):
            with path.open("rb") as source:
                self.made.workspace.stores.segments.put(source)
            path.unlink()
        return written

    def _header(self, number: int, ids: bytes, w: Written) -> SegmentSealed:
        first, n = number * self.rows, self.rows
        low, high = (datetime.fromtimestamp((START_MS + i // PER_MS) / 1000, UTC) for i in (first, first + n - 1))
        return SegmentSealed(
            self.stream, "decisions", first, first + n - 1, n, low, high, w.root, SCHEMA.digest_text, w.file, w.file_bytes, w.tree,
            "bench", first + n, first + n, self.deployment, id_text(ids[:16]), id_text(ids[-16:]),
        )  # fmt: skip

    def _peer_file(self, number: int, ids: bytes, table: Any) -> None:
        identified = pa.ExtensionArray.from_storage(pa.uuid(), _fixed(ids, 16))
        full = table.set_column(table.schema.get_field_index("id"), "id", identified)
        full = full.set_column(full.schema.get_field_index("at"), "at", full.column("at").cast(pa.timestamp("ms")))
        pq.write_table(full, self.files / f"{number:05d}.parquet", row_group_size=self.rows, compression="zstd",
                       use_dictionary=[c.name for c in SCHEMA.columns if c.type == "str"])  # fmt: skip

    def _open(self) -> None:
        body = SCHEMA.encode()
        fact = StreamOpened(
            self.stream, "decisions", _START, _ARTIFACT, 1, "bench", SCHEMA.digest_text,
            self.made.workspace.attach(body, "application/json", "schema"), self.deployment, "employment", 1, "production", _ARTIFACT,
        )  # fmt: skip
        _append(self.made, "decisions", [Draft(fact, (f"stream:{self.stream}",))])

    def _seal(self, headers: list[SegmentSealed]) -> None:
        ws = self.made.workspace
        for part in _batches(headers):
            attached = ws.attach(encode_headers(part), "application/json", "segments")
            fact = BatchSealed(
                str(uuid.uuid4()), "embedded", len(part), sum(h.n for h in part), part[0].t_min, part[-1].t_max, batch_root(part),
                attached, tuple(span_of(h) for h in part), ("decisions",) * len(part),
            )  # fmt: skip
            _append(self.made, "decisions", [Draft(fact, ("sealer:embedded",))])
        ws.publish()


def _batches(headers: list[SegmentSealed]) -> Iterator[list[SegmentSealed]]:
    for start in range(0, len(headers), BATCH_SEGMENTS):
        yield headers[start : start + BATCH_SEGMENTS]


def _fixed(body: bytes, width: int) -> Any:
    return pa.Array.from_buffers(pa.binary(width), len(body) // width, [None, pa.py_buffer(body)])


def _append(made: Created, area: str, drafts: list[Draft]) -> None:
    with made.workspace.stores.entries.write() as tx:
        made.workspace.executor.append_facts(tx, drafts, made.admin, area=area)


def _text() -> VaultText:
    return VaultText(commit=_OTHER, vault=str(uuid.uuid4()))


def _facts(made: Created, deployment: str) -> None:
    """What a trace finds: a dataset, its run, a version, its evaluation, a request, an approval, a promotion."""
    who, run, plan, request = made.admin.principal, str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())
    paper = Attachment(_OTHER, 1, "application/json", "bench")
    gate = (reg.GateLine("AI-01.3", "A", "pass"), reg.GateLine("AI-02.1", "B", "pass"))
    data, day = "dataset:acs/2015", timedelta(days=1)
    _append(made, "lineage", [
        Draft(lin.DatasetRegistered("acs", "2015", _text(), "2015", "CC0-1.0", "public-domain", "internal", who, _START - 9 * day, _START - day,
                                    "P1Y", _OTHER, 1, 600, _OTHER, _text(), paper), (data,)),
        Draft(lin.RunRecorded(run, _START - day, _START, "git:abc", _OTHER, {"leaves": "31"}, (lin.Input(data, "training", _OTHER, 400),),
                              _ARTIFACT, 1), (f"run:{run}",)),
    ])  # fmt: skip
    model = ("employment", 1, _ARTIFACT)
    _append(made, "registry", [
        Draft(reg.SystemRegistered("hr", _text(), who, "high", _text(), "deployer", ("US-MA",), _text()), ("system:hr",)),
        Draft(reg.ModelRegistered("employment", "hr"), ("model:employment",)),
        Draft(reg.VersionRegistered(*model, 1, 1, "lightgbm", paper, run, (data,), _START - day, _START, "git:abc", _OTHER, {}, {}, "test", who),
              ("model:employment/1",)),
        Draft(reg.EvaluationMeasured(*model, plan, data, "test", "y", "0.500000", _OTHER, _OTHER, 200, 1, _OTHER, {"auc": "0.900000"}, (), paper,
                                     "service"), ("model:employment/1",)),
        Draft(reg.PromotionRequested(request, *model, "production", gate, _OTHER), ("model:employment/1",)),
        Draft(reg.PromotionApproved(request, *model, "production", _OTHER, "approver", _START + 14 * day), ("model:employment/1",)),
        Draft(reg.VersionPromoted(deployment, *model, "production", "approval", gate, _OTHER, request), (f"deployment:{deployment}",)),
    ])  # fmt: skip
