"""Taking in a deployment log of the serving platform: one CSV or JSON-lines contract, row by row, nothing dropped.

Columns: ``external`` (the platform's own id), ``model``, ``env``, ``artifact`` (manifest digest),
``deployed_at`` (ISO 8601 with zone). More columns, such as the deployer's account, stay in the kept bytes alone:
no name of a person goes into the log.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import records as rec
from affidavit.core.area import Desk
from affidavit.core.codec import load_object
from affidavit.core.errors import Invalid
from affidavit.core.fields import read_time, time_text

EXTRACTOR = "affidavit-deployments-1"
COLUMNS = ("external", "model", "env", "artifact", "deployed_at")
LARGEST = 16 << 20


def observe(request: c.Observe, desk: Desk) -> rec.RecordDeployments:
    """Every row of the extract, checked; the raw bytes are kept beside it."""
    with desk.source(request.extract) as source:
        raw = source.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise Invalid(f"the extract is over {LARGEST} bytes.", next_step="take shorter windows.")
    rows = tuple(_row(n, value) for n, value in enumerate(parse(raw), 1))
    seen: set[str] = set()
    for row in rows:
        if row.external in seen:
            raise Invalid(f"row {row.external} stands twice in the extract.", next_step="extract it again.")
        seen.add(row.external)
    kept = desk.attach(raw, "text/csv" if not raw.lstrip().startswith(b"{") else "application/x-ndjson", "extract")
    ordered = tuple(sorted(rows, key=lambda r: (r.deployed_at, r.external)))
    return rec.RecordDeployments(
        request.source, request.account, request.query, request.start, request.end, kept, EXTRACTOR, ordered
    )


def parse(raw: bytes) -> list[dict[str, Any]]:
    """Rows of CSV with a header, or of JSON lines. Zero rows is a result. Raises ``Invalid``."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid(f"the extract is not UTF-8: {e.reason}.", next_step="export it as UTF-8.") from None
    try:
        if text.lstrip().startswith("{"):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        reader = csv.DictReader(io.StringIO(text), strict=True)
        if text.strip() and set(COLUMNS) - set(reader.fieldnames or ()):
            missing = sorted(set(COLUMNS) - set(reader.fieldnames or ()))
            raise Invalid(f"the extract has no column {missing[0]}.", next_step=f"columns: {', '.join(COLUMNS)}.")
        return list(reader)
    except (csv.Error, ValueError, RecursionError) as e:
        raise Invalid(f"the extract is neither CSV nor JSON lines: {e}.", next_step="see `observe --help`.") from None


def _row(n: int, value: Any) -> rec.Observed:
    if not isinstance(value, dict) or set(COLUMNS) - set(value):
        raise Invalid(f"row {n} lacks a column.", next_step=f"columns: {', '.join(COLUMNS)}.")
    given = {k: value[k] for k in COLUMNS}
    if not isinstance(given["deployed_at"], str):
        raise Invalid(f"row {n}: deployed_at is no time.", next_step="write 2026-11-24T16:00:00Z.")
    given["deployed_at"] = time_text(read_time(given["deployed_at"]))
    made = load_object(rec.Observed, given, f"row {n}")
    if not isinstance(made, rec.Observed):
        raise Invalid(f"row {n} is no row.", next_step="extract it again.")
    return made
