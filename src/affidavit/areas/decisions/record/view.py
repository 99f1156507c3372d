"""Read tables of streams and their seals."""

from __future__ import annotations

from affidavit.areas.decisions import events as e
from affidavit.core.area import ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.streams.sealed import Source, Span

TABLES = {
    "stream": "stream TEXT PRIMARY KEY, kind TEXT, deployment TEXT, model TEXT, number INTEGER, env TEXT, artifact TEXT,"
    " configuration TEXT, host TEXT, pid INTEGER, receipt_key TEXT, opened TEXT, schema TEXT, next_seq INTEGER, state TEXT,"
    " served INTEGER, missed INTEGER, last_seen TEXT, entry INTEGER",
    "batch": "entry INTEGER PRIMARY KEY, batch TEXT, headers TEXT, bytes INTEGER, root TEXT, segments INTEGER,"
    " row_count INTEGER, t_min TEXT, t_max TEXT, aggregates TEXT",
    "span": "stream TEXT, first_seq INTEGER, last_seq INTEGER, kind TEXT, id_min TEXT, id_max TEXT, entry INTEGER,"
    " position INTEGER, file TEXT, PRIMARY KEY (stream, first_seq)",
    "gap": "entry INTEGER PRIMARY KEY, stream TEXT, start TEXT, until TEXT, missed INTEGER, why TEXT",
}
"""``span.file`` is null until erasure rewrote the segment: then it is the digest of the file that stands now."""


def _opened(v: ViewTx, r: Record) -> None:
    f: e.StreamOpened = r.fact
    v.run("DELETE FROM {stream} WHERE stream = ?", f.stream)
    v.run(
        "INSERT INTO {stream} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'open', 0, 0, ?, ?)",
        f.stream, f.kind, f.deployment, f.model, f.number, f.env, f.artifact, f.configuration, f.host, f.pid, f.key,
        time_text(f.opened), f.schema, time_text(f.opened), r.index,
    )  # fmt: skip


def _sealed(v: ViewTx, r: Record) -> None:
    f: e.BatchSealed = r.fact
    v.run(
        "INSERT INTO {batch} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        r.index, f.batch, f.headers.digest, f.headers.bytes, f.root, f.segments, f.rows, time_text(f.t_min),
        time_text(f.t_max), f.aggregates.digest if f.aggregates else None,
    )  # fmt: skip
    v.run_many(
        "INSERT INTO {span} VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [(s.stream, s.first_seq, s.last_seq, k, s.id_min, s.id_max, r.index, n)
         for n, (s, k) in enumerate(zip(f.spans, f.kinds, strict=True))],
    )  # fmt: skip
    placed: list[tuple[Span | Source, str]] = [*zip(f.spans, f.kinds, strict=True), *((t, "groups") for t in f.taken)]
    for span, kind in placed:
        changed = v.run("UPDATE {stream} SET next_seq = ? WHERE stream = ?", span.last_seq + 1, span.stream)
        if not changed:  # a stream of the service or of the sealer: nobody announced it
            v.run(
                "INSERT INTO {stream} (stream, kind, next_seq, state, served, missed) VALUES (?, ?, ?, 'own', 0, 0)",
                span.stream, kind, span.last_seq + 1,
            )  # fmt: skip


def _closed(v: ViewTx, r: Record) -> None:
    f: e.StreamClosed = r.fact
    v.run("UPDATE {stream} SET state = 'closed', served = ?, missed = ?, last_seen = ? WHERE stream = ?",
          f.served, f.missed, time_text(f.closed), f.stream)  # fmt: skip


def _lost(v: ViewTx, r: Record) -> None:
    f: e.StreamLost = r.fact
    v.run("UPDATE {stream} SET state = 'lost', served = ?, missed = ?, last_seen = ? WHERE stream = ?",
          f.served, f.missed, time_text(f.last_seen), f.stream)  # fmt: skip


def _gap(v: ViewTx, r: Record) -> None:
    f: e.GapCounted = r.fact
    row = (r.index, f.stream, time_text(f.start), time_text(f.end), f.missed, f.why)
    v.run("INSERT INTO {gap} VALUES (?, ?, ?, ?, ?, ?)", *row)
    v.run("UPDATE {stream} SET missed = missed + ? WHERE stream = ? AND state = 'open'", f.missed, f.stream)


APPLY = {
    e.StreamOpened: _opened, e.BatchSealed: _sealed, e.StreamClosed: _closed, e.StreamLost: _lost, e.GapCounted: _gap,
}  # fmt: skip
