"""Taking in extracts of systems that act: what serves, and how many requests were served in an hour.

One CSV or JSON-lines contract, row by row, nothing dropped; the raw bytes are kept. Times bear a zone.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from affidavit import __version__
from affidavit.areas.decisions.runtime import commands as c
from affidavit.core import codec
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid
from affidavit.core.fields import read_time, time_text

EXTRACTOR = f"affidavit/{__version__}"
LARGEST = 16 << 20
SERVING = ("endpoint", "artifact", "env", "first_seen", "last_seen")
COUNTS = ("hour", "count")
MOST_STRANGERS = 20
Hours = dict[str, dict[datetime, int]]
"""Requests by deployment id or ``model@env``, by hour."""


def observe_serving(request: c.ObserveServing, desk: Desk) -> tuple[c.RecordServing, Any]:
    """Every distinct row of the inventory, checked."""
    raw = _whole(desk, request.extract)
    rows = tuple(dict.fromkeys(_serving(n, row) for n, row in enumerate(parse(raw, SERVING), 1)))
    ordered = tuple(sorted(rows, key=lambda r: (r.endpoint, r.env, r.first_seen, r.artifact)))
    command = c.RecordServing(
        request.source, request.account, request.query, request.start, request.end,
        desk.attach(raw, _type(raw), "extract"), EXTRACTOR, ordered,
    )  # fmt: skip
    return command, {"source": request.source, "rows": len(ordered)}


def observe_counts(request: c.ObserveCounts, desk: Desk) -> tuple[c.RecordRequestCounts, Any]:
    """The hours of the extract, checked against its window; what the register does not know is named."""
    for at in (request.start, request.end):
        _full_hour(at, "the window")
    raw = _whole(desk, request.extract)
    hours = parse_counts(raw)
    for key, by_hour in hours.items():
        for hour in by_hour:
            if not request.start <= hour < request.end:
                raise Invalid(
                    f"{key}: the hour {time_text(hour)} lies outside the window {time_text(request.start)} to"
                    f" {time_text(request.end)}.", next_step="give the window that the extract covers.",
                )  # fmt: skip
    strangers = [key for key in hours if not _known(desk, key)]
    command = c.RecordRequestCounts(
        request.source, request.account, request.query, request.start, request.end,
        desk.attach(raw, _type(raw), "extract"), EXTRACTOR, sum(map(len, hours.values())),
        tuple(strangers[:MOST_STRANGERS]),
    )  # fmt: skip
    total = sum(n for by_hour in hours.values() for n in by_hour.values())
    return command, {"source": request.source, "requests": total, "of": sorted(hours), "strangers": strangers}


def _known(desk: Desk, key: str) -> bool:
    model, at, _ = key.partition("@")
    return desk.ask("registry.model", model) is not None if at else desk.ask("registry.deployment", key) is not None


def parse_counts(raw: bytes) -> Hours:
    """Requests by what they were counted for, by hour.

    Raises ``Invalid`` naming the row: an hour that stands twice or is no full hour of UTC, a count below 0.
    """
    found: Hours = {}
    for n, row in enumerate(parse(raw, COUNTS), 1):
        key, hour, count = _counted(n, row)
        if hour in found.setdefault(key, {}):
            raise Invalid(f"row {n}: {time_text(hour)} of {key} stands twice.", next_step="sum its parts, or mend it.")
        found[key][hour] = count
    return found


def _counted(n: int, row: Mapping[str, Any]) -> tuple[str, datetime, int]:
    given, text = row["count"], str(row["count"]).strip()
    if isinstance(given, bool) or not text.isascii() or not text.isdigit():
        raise Invalid(
            f"row {n}: the count {text[:40]!r} is no whole number of 0 or more.", next_step="correct the row."
        )
    deployment = row.get("deployment") or None
    if deployment is None and not (row.get("model") and row.get("env")):
        raise Invalid(f"row {n} names no deployment, and no model with env.", next_step="name one of the two.")
    made = _object(c.Counted, {"count": int(text), "hour": _time(n, row, "hour"), "deployment": deployment,
                               "model": row.get("model") or None, "env": row.get("env") or None}, n)  # fmt: skip
    _full_hour(made.hour, f"row {n}")
    return made.deployment or f"{made.model}@{made.env}", made.hour, made.count


def _serving(n: int, row: Mapping[str, Any]) -> c.Serving:
    given = {k: row[k] for k in SERVING} | {k: _time(n, row, k) for k in ("first_seen", "last_seen")}
    found: c.Serving = _object(c.Serving, given | {"model": row.get("model") or None}, n)
    return found


def _object(cls: type, given: dict[str, Any], n: int) -> Any:
    return codec.load_object(cls, {k: v for k, v in given.items() if v is not None}, f"row {n}")


def _time(n: int, row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise Invalid(f"row {n}: {name} {value!r} is no time.", next_step="write 2026-11-24T16:00:00Z.")
    try:
        return time_text(read_time(value.strip()))
    except Invalid as e:
        raise Invalid(f"row {n}, {name}: {e.problem}", next_step=e.next_step or "give a UTC time.") from None


def _full_hour(at: datetime, where: str) -> None:
    if at.minute or at.second or at.microsecond:
        raise Invalid(
            f"{where}: {time_text(at)} does not begin an hour of UTC.", next_step="count by full hours of UTC."
        )


def _whole(desk: Desk, path: str) -> bytes:
    with desk.source(path) as source:
        raw = source.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise Invalid(f"the extract is over {LARGEST} bytes.", next_step="take shorter windows.")
    return raw


def _type(raw: bytes) -> str:
    return "application/x-ndjson" if raw.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{") else "text/csv"


def parse(raw: bytes, columns: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of CSV with a header, or of JSON lines, with at least these columns. Zero rows is a result. Raises ``Invalid``."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid(
            f"the extract is not UTF-8: {e.reason} at byte {e.start}.", next_step="export it as UTF-8."
        ) from None
    try:
        if text.lstrip().startswith("{"):
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            reader = csv.DictReader(io.StringIO(text), strict=True)
            rows = list(reader)
            _has(columns, reader.fieldnames or (), "the extract")
    except (csv.Error, ValueError, RecursionError) as e:
        raise Invalid(
            f"the extract is neither CSV nor JSON lines: {e}.", next_step="see --help for its columns."
        ) from None
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Invalid(f"row {n} is no object.", next_step="write one JSON object a line.")
        _has(columns, [k for k, value in row.items() if value is not None], f"row {n}")
        if None in row:
            raise Invalid(f"row {n} has more fields than the header.", next_step="quote fields that hold a comma.")
    return rows


def _has(columns: Iterable[str], given: Iterable[Any], where: str) -> None:
    there = set(given)
    if missing := [name for name in columns if name not in there]:
        raise Invalid(f"{where} has no {missing[0]}.", next_step=f"columns: {', '.join(columns)}.")
