"""The CSV files of a package: populations, samples, results. One spelling per content. [bytes]

RFC 4180 with a header line, LF line ends and quotes only where needed. A cell that a spreadsheet would
take for a formula (or that begins with an apostrophe) gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from affidavit.core import canonical
from affidavit.core.digest import of_bytes
from affidavit.core.errors import Invalid
from affidavit.core.fields import parse_time, time_text

Row = Mapping[str, Any]
"""An item of a population as ``core.assessment.item_row`` gives it."""

POPULATION = ("key", "at", "refs", "entries", "drill")
SAMPLE = ("rank", "order", *POPULATION)
RESULTS = ("key", "attribute", "outcome", "reason", "entries")
_QUOTED = re.compile(r'[",\r\n]')
_RISKY = ("=", "+", "-", "@", "\t", "\r", "'")


def encode(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """The only bytes of a table."""
    lines = [",".join(header), *(",".join(map(_cell, row)) for row in rows)]
    return "".join(line + "\n" for line in lines).encode()


def _cell(cell: str) -> str:
    # Not csv.writer: which cells it quotes differs between versions of Python.
    guarded = "'" + cell if cell.startswith(_RISKY) else cell
    return '"' + guarded.replace('"', '""') + '"' if _QUOTED.search(guarded) else guarded


def decode(body: bytes, header: Sequence[str], name: str) -> list[list[str]]:
    """The rows of a table. Raises ``Invalid`` unless encoding them gives the same bytes."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as e:
        raise Invalid(f"{name} is no table: {e}.", next_step="ask for the package again.") from None
    rows = [[cell.removeprefix("'") for cell in line] for line in lines[1:]]
    if not lines or tuple(lines[0]) != tuple(header) or encode(header, rows) != body:
        raise Invalid(f"{name} is not a table of {', '.join(header)} in its only form.", next_step="ask for it again.")
    return rows


def cells(row: Row) -> list[str]:
    """An item of a population as cells."""
    entries = " ".join(map(str, row["entries"]))
    return [row["key"], row["at"], " ".join(row["refs"]), entries, "yes" if row["drill"] else "no"]


def row_of(line: Sequence[str], name: str) -> Row:
    """An item from its cells. Raises ``Invalid``."""
    if len(line) != len(POPULATION):
        raise Invalid(f"{name}: a line has {len(line)} cells.", next_step="ask for the package again.")
    key, at, refs, entries, drill = line
    try:
        indexes = [int(e) for e in entries.split(" ")] if entries else []
    except ValueError:
        raise Invalid(f"{name}: entries {entries[:60]!r} are no indexes.", next_step="ask for it again.") from None
    at = time_text(parse_time(at))
    row = {"key": key, "at": at, "refs": refs.split(" ") if refs else [], "entries": indexes, "drill": drill == "yes"}
    if cells(row) != list(line):
        raise Invalid(f"{name}: the line of {key[:60]!r} is not in its only form.", next_step="ask for it again.")
    return row


def population_csv(rows: Sequence[Row]) -> bytes:
    """``populations/<control>.csv``."""
    return encode(POPULATION, map(cells, rows))


def population_rows(body: bytes, name: str) -> list[Row]:
    """The items of ``populations/<control>.csv``. Raises ``Invalid``."""
    return [row_of(line, name) for line in decode(body, POPULATION, name)]


def population_digest(rows: Sequence[Row]) -> str:
    """SHA-256 over one canonical line per item: the digest of ``core.assessment``, from the rows of a file."""
    return of_bytes(b"".join(canonical.encode(dict(row)) + b"\n" for row in rows))


def results_csv(grid: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> bytes:
    """``results/<control>.csv`` from the grid of a finding's row: one line per item and attribute, sorted."""
    lines = [
        [key, attribute, o["outcome"], o["reason"], " ".join(map(str, o["entries"]))]
        for key, outcomes in sorted(grid.items())
        for attribute, o in sorted(outcomes.items())
    ]
    return encode(RESULTS, lines)


def sidecar(row: Mapping[str, Any], rows: Sequence[Row], body: bytes, origin: str, version: str) -> dict[str, Any]:
    """``populations/<control>.json``: where the population of a finding's row comes from, to the last count."""
    population = row["population"]
    return {
        "as_of": row["as_of"],
        "columns": list(POPULATION),
        "completeness": population["completeness"],
        "control": row["control"],
        "classed_out": len(rows) - population["n"] - sum(bool(r["drill"]) for r in rows),
        "count": len(rows),
        "drills": sum(bool(r["drill"]) for r in rows),
        "extractor": {"check_digest": row["check_digest"], "name": "affidavit", "version": version},
        "period": row["period"],
        "population_sha256": population["sha256"],
        "query": population["query"],
        "sha256": of_bytes(body),
        "source": origin,
        "sources": population["sources"],
    }
