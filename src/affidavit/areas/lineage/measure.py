"""Measuring for lineage: reading data sets, their splits, and extracts of storage logs. Writes nothing to the ledger."""

from __future__ import annotations

import csv
import io
import json
from importlib import resources
from typing import Any

from affidavit import __version__
from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import rowset, rules, splits, tabular
from affidavit.areas.lineage.events import Split
from affidavit.core import codec
from affidavit.core import digest as digests
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import VaultText, read_time, time_text

MOST_BYTES = 4 << 20
_MODULES = ("measure.py", "rowset.py", "splits.py", "tabular.py")


def register_dataset(request: c.RegisterDataset, desk: Desk) -> c.RecordDataset:
    """Digest, rows, schema and the digest of the row set, read in batches; the row key is drawn for this version."""
    rules.check_declaration(request)
    file = tabular.measured(desk, request.data)
    schema, batches = tabular.batches(file)
    layout, key = rowset.schema_bytes(schema), desk.key()
    hashes = [h for batch in batches for h in rowset.row_hashes(batch, layout, key)]
    tabular.unchanged(file)
    return c.RecordDataset(
        request.dataset, request.version, request.origin, request.source_version, request.licence, request.legal_basis,
        request.sensitivity, request.owner, request.collected_from, request.collected_to, request.retention,
        file.digest, file.size, len(hashes), rowset.set_digest(hashes), VaultText(key.hex()),
        desk.attach(layout, "application/json", "schema"), request.parents,
    )  # fmt: skip


def measure_splits(request: c.MeasureSplits, desk: Desk) -> c.RecordSplits:
    """The parts with their row sets, and how far each two overlap. Other bytes than the registered ones are not measured."""
    record = desk.ask("lineage.dataset", rules.dataset_name(request.dataset))
    if record is None:
        raise NotFound(f"no {request.dataset}.", next_step="`affidavit lineage datasets` lists them.")
    file = tabular.measured(desk, request.data)
    if file.digest != record["content"]:  # the rule refuses it, and the refusal is recorded
        return c.RecordSplits(request.dataset, file.digest, (), (), code_digest())
    table = tabular.table(file)
    parts = _parts(request, desk, table)
    key = _row_key(record, desk)
    hashes = rowset.row_hashes(table, rowset.schema_bytes(table.schema), key)
    found = tuple(_split(role, rows, hashes) for role, rows in parts.items())
    identity = splits.identities(table, request.identity, request.split_column)
    near = splits.near_keys(table, (*request.identity, request.split_column or ""))
    tabular.unchanged(file)
    overlaps = splits.overlaps(parts, identity, near)
    return c.RecordSplits(request.dataset, file.digest, found, overlaps, code_digest(), request.identity)


def _parts(request: c.MeasureSplits, desk: Desk, table: Any) -> dict[str, Any]:
    files = {role: path for role in splits.ROLES if (path := getattr(request, role)) is not None}
    if bool(files) == (request.split_column is not None):
        raise Invalid(
            "the parts are named twice or not at all.",
            next_step="give --split-column, or index files (--training FILE …).",
        )
    if request.split_column is not None:
        return splits.by_column(table, request.split_column)
    return {role: splits.of_index(_whole(desk, path), role, len(table)) for role, path in files.items()}


def _split(role: str, rows: Any, hashes: list[bytes]) -> Split:
    content = digests.of_bytes(splits.index_bytes(rows))
    return Split(role, len(rows), content, rowset.set_digest([hashes[i] for i in rows.tolist()]))  # type: ignore[arg-type]


def _row_key(record: dict[str, Any], desk: Desk) -> bytes:
    text = desk.vault_text(record["row_key"])
    if text is None:
        raise Refused(
            "row_key_erased", f"the row key of dataset:{record['dataset']}/{record['version']} was erased.",
            next_step="register a new version.", controls=rules.CONTROLS,
        )  # fmt: skip
    return bytes.fromhex(text)


def _whole(desk: Desk, path: str, limit: int = 256 << 20) -> bytes:
    with desk.source(path) as source:
        body = source.read(limit + 1)
    if len(body) > limit:
        raise Invalid(f"the file is larger than {limit >> 20} MiB.", next_step="split it into smaller ones.")
    if path.startswith("sha256:"):
        return digests.read_verified(io.BytesIO(body), path, "the stored object")
    return body


def observe_reads(request: c.ObserveReads, desk: Desk) -> c.RecordReads:
    """Every row of the extract, checked; the raw bytes are kept beside it. Columns: run, content, read_at."""
    raw = _whole(desk, request.extract, MOST_BYTES)
    rows, type_ = _rows(raw)
    if len(rows) > rules.MOST_READS:
        raise Invalid(
            f"the extract has {len(rows)} rows; at most {rules.MOST_READS}.", next_step="take shorter windows."
        )
    reads = tuple(_read(row, number) for number, row in enumerate(rows, 1))
    return c.RecordReads(
        request.source, request.account, request.query, request.start, request.end, desk.attach(raw, type_, "extract"),
        request.extractor or f"affidavit/{__version__}", reads,
    )  # fmt: skip


def _rows(raw: bytes) -> tuple[list[dict[str, Any]], str]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid(
            f"the extract is not UTF-8: {e.reason} at byte {e.start}.", next_step="export it as UTF-8."
        ) from None
    if text.lstrip().startswith("{"):
        return [
            _json_line(line, n) for n, line in enumerate(text.splitlines(), 1) if line.strip()
        ], "application/x-ndjson"
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        return list(reader), "text/csv"
    except csv.Error as e:
        raise Invalid(f"the extract is no CSV: line {reader.line_num}: {e}.", next_step="export it again.") from None


def _json_line(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid(f"line {number} is no JSON object.", next_step="write one object a line: run, content, read_at.")
    return found


def _read(row: dict[str, Any], number: int) -> c.Read:
    values = {name: row.get(name) for name in ("run", "content", "read_at")}
    if missing := [name for name, value in values.items() if not isinstance(value, str) or not value]:
        raise Invalid(f"row {number} has no {missing[0]}.", next_step="name the columns run, content, read_at.")
    try:
        found: c.Read = codec.load_object(c.Read, {**values, "read_at": time_text(read_time(str(values["read_at"])))})
    except Invalid as e:
        raise Invalid(f"row {number}: {e.problem}", next_step=e.next_step) from None
    return found


def code_digest() -> str:
    """The digest of the measuring code: SHA-256 over these modules, name by name."""
    folder = resources.files("affidavit.areas.lineage")
    return digests.of_bytes(b"".join(m.encode() + b"\0" + folder.joinpath(m).read_bytes() for m in _MODULES))
