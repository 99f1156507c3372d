"""Read tables of lineage, and what other areas may ask: dataset versions, splits, runs, observed reads."""

from __future__ import annotations

from typing import Any

from affidavit.areas.lineage import events as e
from affidavit.core import canonical
from affidavit.core.area import View, ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text

_DATASET = (
    "dataset", "version", "origin", "source_version", "licence", "legal_basis", "sensitivity", "owner",
    "collected_from", "collected_to", "retention", "content", "bytes", "rows", "row_set", "row_key", "schema",
    "parents", "by", "at", "entry", "drill",
)  # fmt: skip
_RUN = (
    "id", "started", "ended", "code", "environment", "parameters", "output", "seed", "actor", "at", "entry", "drill",
)  # fmt: skip
_PACKED = frozenset({"parents", "parameters"})
TABLES = {
    "dataset": "dataset TEXT, version TEXT, origin TEXT, source_version TEXT, licence TEXT, legal_basis TEXT,"
    " sensitivity TEXT, owner TEXT, collected_from TEXT, collected_to TEXT, retention TEXT, content TEXT,"
    " size INTEGER, row_count INTEGER, row_set TEXT, row_key TEXT, layout TEXT, parents TEXT, actor TEXT, at TEXT,"
    " entry INTEGER, drill INTEGER, PRIMARY KEY (dataset, version, drill)",
    "measurement": "entry INTEGER PRIMARY KEY, dataset TEXT, content TEXT, identity TEXT, code TEXT, at TEXT,"
    " drill INTEGER",
    "split": "entry INTEGER, dataset TEXT, name TEXT, row_count INTEGER, content TEXT, row_set TEXT,"
    " PRIMARY KEY (entry, name)",
    "overlap": "entry INTEGER, dataset TEXT, one TEXT, other TEXT, equal INTEGER, near INTEGER,"
    " PRIMARY KEY (entry, one, other)",
    "run": "id TEXT PRIMARY KEY, started TEXT, ended TEXT, code TEXT, environment TEXT, parameters TEXT, output TEXT,"
    " seed INTEGER, actor TEXT, at TEXT, entry INTEGER, drill INTEGER",
    "input": "run TEXT, place INTEGER, dataset TEXT, role TEXT, content TEXT, row_count INTEGER,"
    " PRIMARY KEY (run, place)",
    "read": "entry INTEGER PRIMARY KEY, source TEXT, run TEXT, content TEXT, read_at TEXT",
    "extract": "entry INTEGER PRIMARY KEY, source TEXT, account TEXT, since TEXT, until TEXT, row_count INTEGER,"
    " raw TEXT, extractor TEXT, at TEXT",
}


def _named(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        n: canonical.decode(x.encode()) if n in _PACKED else bool(x) if n == "drill" else x
        for n, x in zip(names, row, strict=True)
    }


def dataset(v: ViewTx, name: str) -> dict[str, Any] | None:
    """The version ``acs/2015`` with every recorded field, or None. ``origin`` and ``row_key`` are vault ids.

    A planted one (``drill``) is answered only where there is no real one.
    """
    slug, _, version = name.partition("/")
    row = v.one("SELECT * FROM {dataset} WHERE dataset = ? AND version = ? ORDER BY drill", slug, version)
    return _named(_DATASET, row) if row else None


def splits(v: ViewTx, ref: str) -> list[dict[str, Any]]:
    """The splits of ``acs/2015`` as measured last: name, rows, content, row_set; empty if never measured."""
    found = measurements(v, ref)
    if found is None:
        return []
    return [{**s, "code": found["code"], "at": found["at"], "entry": found["entry"]} for s in found["splits"]]


def measurements(v: ViewTx, ref: str) -> dict[str, Any] | None:
    """The splits of ``acs/2015`` (or ``dataset:acs/2015``) as measured last, or None if they never were.

    Keys: content, splits (name, rows, content, row_set), overlaps (first, second, equal, near), identity, code, at,
    entry. ``measurements`` holds every measurement of the registered bytes in that form, oldest first. ``shared`` is
    the worst of them per pair of parts: most equal rows (and where: ``entry``), most near rows.
    """
    name = ref.removeprefix("dataset:")
    record = dataset(v, name)
    if record is None:
        return None
    sql = "SELECT entry, content, identity, code, at FROM {measurement} WHERE dataset = ? AND content = ? AND drill = ?"
    rows = v.rows(f"{sql} ORDER BY entry", name, record["content"], int(record["drill"]))
    made = [_measurement(v, row) for row in rows]
    return {**made[-1], "measurements": made, "shared": _shared(made)} if made else None


def _measurement(v: ViewTx, row: tuple[Any, ...]) -> dict[str, Any]:
    entry, content, identity, code, at = row
    found = v.rows("SELECT name, row_count, content, row_set FROM {split} WHERE entry = ? ORDER BY name", entry)
    pairs = v.rows("SELECT one, other, equal, near FROM {overlap} WHERE entry = ? ORDER BY one, other", entry)
    return {
        "content": content,
        "splits": [dict(zip(("name", "rows", "content", "row_set"), x, strict=True)) for x in found],
        "overlaps": [dict(zip(("first", "second", "equal", "near"), x, strict=True)) for x in pairs],
        "identity": canonical.decode(identity.encode()),
        "code": code,
        "at": at,
        "entry": entry,
    }


def _shared(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for m in made:
        for o in m["overlaps"]:
            key = (min(o["first"], o["second"]), max(o["first"], o["second"]))
            known = worst.setdefault(key, {"first": key[0], "second": key[1], "equal": -1, "near": 0, "entry": 0})
            if o["equal"] > known["equal"]:
                known.update(equal=o["equal"], entry=m["entry"])
            known["near"] = max(known["near"], o["near"])
    return [worst[key] for key in sorted(worst)]


def parts(v: ViewTx, name: str) -> list[dict[str, Any]]:
    """Every split of ``acs/2015`` that was ever measured: a run may have read an earlier one.

    Planted measurements count for a planted version alone.
    """
    record = dataset(v, name)
    sql = (
        "SELECT s.name, s.row_count, s.content FROM {split} s JOIN {measurement} m ON m.entry = s.entry"
        " WHERE s.dataset = ? AND m.drill = ? ORDER BY s.entry, s.name"
    )
    rows = v.rows(sql, name, int(record["drill"])) if record else []
    return [dict(zip(("name", "rows", "content"), row, strict=True)) for row in rows]


def run(v: ViewTx, run_id: str) -> dict[str, Any] | None:
    """The training run of this id with its inputs and who recorded it (``actor``), or None."""
    row = v.one("SELECT * FROM {run} WHERE id = ?", run_id)
    if row is None:
        return None
    sql = "SELECT dataset, role, content, row_count FROM {input} WHERE run = ? ORDER BY place"
    inputs = [dict(zip(("dataset", "role", "content", "rows"), i, strict=True)) for i in v.rows(sql, run_id)]
    return {**_named(_RUN, row), "inputs": inputs}


def reads(v: ViewTx, run_id: str) -> list[dict[str, Any]]:
    """What storage access logs say that a run read, oldest first."""
    sql = "SELECT source, content, read_at, entry FROM {read} WHERE run = ? ORDER BY read_at, entry"
    return [dict(zip(("source", "content", "read_at", "entry"), row, strict=True)) for row in v.rows(sql, run_id)]


def datasets(v: ViewTx, name: str | None) -> list[dict[str, Any]]:
    """Registered versions (of one dataset), oldest first; planted ones are marked."""
    sql = (
        "SELECT dataset, version, licence, sensitivity, row_count, content, at, entry, drill FROM {dataset}"
        " WHERE dataset = IFNULL(?, dataset) ORDER BY entry"
    )
    names = ("dataset", "version", "licence", "sensitivity", "rows", "content", "at", "entry", "drill")
    return [_named(names, row) for row in v.rows(sql, name)]


def with_content(v: ViewTx, content: str) -> list[str]:
    """The dataset versions whose bytes, or one of whose splits, have this digest: ``dataset:acs/2015``."""
    sql = (
        "SELECT dataset || '/' || version FROM {dataset} WHERE content = ?"
        " UNION SELECT dataset FROM {split} WHERE content = ?"
    )
    return sorted(f"dataset:{row[0]}" for row in v.rows(sql, content, content))


def children(v: ViewTx, ref: str) -> list[str]:
    """The dataset versions that name ``ref`` as a parent."""
    sql = "SELECT dataset || '/' || version, parents FROM {dataset} WHERE INSTR(parents, ?) ORDER BY entry"
    found = v.rows(sql, canonical.encode(ref).decode())
    return list(dict.fromkeys(f"dataset:{name}" for name, _ in found))


def readers(v: ViewTx, ref: str) -> list[tuple[str, str]]:
    """(run, role) of every run that declared ``ref`` as an input, oldest first."""
    sql = (
        "SELECT i.run, i.role FROM {input} i JOIN {run} r ON r.id = i.run WHERE i.dataset = ? ORDER BY r.entry, i.place"
    )
    return [(row[0], row[1]) for row in v.rows(sql, ref)]


def writers(v: ViewTx, content: str) -> list[str]:
    """The runs whose output has this digest, oldest first."""
    return [row[0] for row in v.rows("SELECT id FROM {run} WHERE output = ? ORDER BY entry", content)]


def _at(r: Record) -> str:
    return time_text(r.head.at)


def _insert(v: ViewTx, table: str, *values: Any) -> None:
    v.run(f"INSERT INTO {{{table}}} VALUES ({', '.join('?' * len(values))})", *values)


def _packed(value: Any) -> str:
    return canonical.encode(value).decode()


def _dataset(v: ViewTx, r: Record) -> None:
    f: e.DatasetRegistered = r.fact
    _insert(
        v, "dataset", f.dataset, f.version, f.origin.vault, f.source_version, f.licence, f.legal_basis, f.sensitivity,
        f.owner, time_text(f.collected_from), time_text(f.collected_to), f.retention, f.content, f.bytes, f.rows,
        f.row_set, f.row_key.vault, f.schema.digest, _packed(list(f.parents)), r.head.actor, _at(r), r.index,
        int(bool(r.head.drill)),
    )  # fmt: skip


def _splits(v: ViewTx, r: Record) -> None:
    f: e.SplitMeasured = r.fact
    name = f"{f.dataset}/{f.version}"
    drill = int(bool(r.head.drill))
    _insert(v, "measurement", r.index, name, f.content, _packed(list(f.identity)), f.code, _at(r), drill)
    for s in f.splits:
        _insert(v, "split", r.index, name, s.name, s.rows, s.content, s.row_set)
    for o in f.overlaps:
        _insert(v, "overlap", r.index, name, o.first, o.second, o.equal, o.near)


def _run(v: ViewTx, r: Record) -> None:
    f: e.RunRecorded = r.fact
    _insert(
        v, "run", f.run, time_text(f.started), time_text(f.ended), f.code, f.environment, _packed(f.parameters),
        f.output, f.seed, r.head.actor, _at(r), r.index, int(bool(r.head.drill)),
    )  # fmt: skip
    for place, i in enumerate(f.inputs):
        _insert(v, "input", f.run, place, i.dataset, i.role, i.content, i.rows)


def _read(v: ViewTx, r: Record) -> None:
    f: e.ReadObserved = r.fact
    _insert(v, "read", r.index, f.source, f.run, f.content, time_text(f.read_at))


def _extract(v: ViewTx, r: Record) -> None:
    f: e.ReadsExtracted = r.fact
    window = (time_text(f.start), time_text(f.end))
    _insert(v, "extract", r.index, f.source, f.account.vault, *window, f.rows, f.raw.digest, f.extractor, _at(r))


VIEW = View(
    "lineage",
    TABLES,
    {
        e.DatasetRegistered: _dataset,
        e.SplitMeasured: _splits,
        e.RunRecorded: _run,
        e.ReadObserved: _read,
        e.ReadsExtracted: _extract,
    },
)
