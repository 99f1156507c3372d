"""What turned out: labels by decision id, one or a file of them, into the stream ``outcomes``.

A file is checked whole before the first row is written. Rows recorded already are passed over, so that a file whose
intake was cut off may be sent again; a lock keeps two intakes apart.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from affidavit.areas.decisions.look.finding import note_read
from affidavit.areas.decisions.people import commands as c
from affidavit.areas.decisions.people.acting import held_lock
from affidavit.areas.decisions.people.late import SLACK, known, late_rows, located, moment, ms_of
from affidavit.core.area import Desk
from affidavit.core.digest import of_bytes
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import read_time, time_text
from affidavit.streams.ids import id_bytes, id_ms, id_text
from affidavit.streams.kinds import OUTCOMES
from affidavit.streams.passport import Policy
from affidavit.streams.writer import StreamWriter

FIELDS = ("decision", "id", "value", "label", "observed_at", "source")
MOST_ROWS, MOST_BYTES = 1_000_000, 256 << 20
MOST_TEXT = 128
NAMED = 5
"""How many ids an error names."""
_LOCK = b"outcomes\0"


@dataclass(frozen=True, slots=True)
class Observed:
    """One label: of which decision, what, when it was observed, who says so. Times in milliseconds."""

    decision: bytes
    observed_at: int
    value: float | None
    label: str | None
    source: str


def record_outcome(request: c.RecordOutcome, desk: Desk) -> dict[str, Any]:
    """One label. Raises ``NotFound`` for an unknown decision, ``Invalid`` unless value or label is given."""
    if (request.value is None) == (request.label is None):
        raise Invalid("give a value or a label, and not both.", next_step="--value 1 or --label repaid.")
    decision = located(desk, request.decision)
    _in_time(request.observed_at, decision.at, desk.now, request.decision)
    value = None if request.value is None else float(request.value)
    row = Observed(id_bytes(request.decision), ms_of(request.observed_at), value, request.label, request.source)
    with held_lock(desk, _LOCK):
        fresh = _fresh(desk, [row])
        if not fresh:
            raise Refused(
                "recorded-already", f"this outcome of {request.decision} is recorded.", next_step="nothing to do."
            )
        desk.row("outcomes", **_values(row, ms_of(desk.now)))
    return {"decision": request.decision, "recorded": 1}


def record_outcomes(request: c.RecordOutcomes, desk: Desk) -> dict[str, Any]:
    """Every label of a file, or none: rows, how many were recorded now, how many stood already.

    Raises ``Invalid`` naming the line that is off form or the decision that stands twice, ``NotFound`` naming unknown ids.
    """
    with desk.source(request.data) as source:
        body = source.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Invalid(f"{request.data} is over {MOST_BYTES} bytes.", next_step="send it in parts.")
    rows = [_observed(line, values, request.source) for line, values in lines(body)]
    if not 0 < len(rows) <= MOST_ROWS:
        raise Invalid(f"{request.data} holds {len(rows)} outcomes.", next_step=f"give 1 to {MOST_ROWS:,}.")
    _checked(desk, rows)
    with held_lock(desk, _LOCK):
        fresh, now = _fresh(desk, rows), ms_of(desk.now)
        if fresh:
            with closing(StreamWriter(desk.spool, OUTCOMES, desk.origin, policy=Policy(fsync_ms=1000))) as writer:
                for row in fresh:
                    values = _values(row, now)
                    writer.append([values.get(name) for name in OUTCOMES.names])
    digest = of_bytes(body)
    note_read(desk, "record-outcomes", digest, len(fresh))
    return {"rows": len(rows), "recorded": len(fresh), "already": len(rows) - len(fresh), "file": digest}


def _values(row: Observed, at: int) -> dict[str, Any]:
    return {"decision": row.decision, "at": at, "observed_at": row.observed_at, "value": row.value, "label": row.label,
            "source": row.source}  # fmt: skip


def _fresh(desk: Desk, rows: list[Observed]) -> list[Observed]:
    """Those not recorded yet, word for word."""
    ids = {row.decision for row in rows}
    since = moment(min(row.observed_at for row in rows)) - SLACK
    there = {tuple(_values(row, 0)[n] for n in OUTCOMES.names if n != "at") for row in rows}
    held = {
        tuple(late[n] for n in OUTCOMES.names if n != "at") for late in late_rows(desk, "outcomes", since, ids)
    } & there
    return [row for row in rows if tuple(_values(row, 0)[n] for n in OUTCOMES.names if n != "at") not in held]


def _checked(desk: Desk, rows: list[Observed]) -> None:
    """No decision twice, none unknown, none observed before it was made or after now."""
    seen: set[bytes] = set()
    twice = {row.decision for row in rows if row.decision in seen or seen.add(row.decision)}  # type: ignore[func-returns-value]
    if twice:
        raise Invalid(f"{len(twice)} decisions stand twice: {_named(twice)}.", next_step="keep one outcome of each.")
    unknown = seen - known(desk, seen)
    if unknown:
        raise NotFound(
            f"{len(unknown)} of {len(seen)} ids are no decisions here: {_named(unknown)}.",
            next_step="nothing was recorded; take them out, or check which workspace they belong to.",
        )
    for row in rows:
        _in_time(moment(row.observed_at), moment(_made(row)), desk.now, id_text(row.decision))


def _made(row: Observed) -> int:
    """When the decision was made, as its id tells; ids of another kind tell nothing."""
    try:
        return id_ms(row.decision)
    except Invalid:
        return 0


def _in_time(observed: datetime, made: datetime, now: datetime, decision: str) -> None:
    if observed > now:
        raise Invalid(
            f"{decision}: observed {time_text(observed)}, after now.", next_step="correct the time or its zone."
        )
    if observed < made - SLACK:
        raise Invalid(
            f"{decision}: observed {time_text(observed)}, before it was decided ({time_text(made)}).",
            next_step="correct the time, or the id.",
        )


def _named(ids: set[bytes]) -> str:
    shown = ", ".join(id_text(i) for i in sorted(ids)[:NAMED])
    return shown + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")


# ---------------------------------------------------------------- the file


def lines(body: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """``(line number, fields)`` of a CSV file with a header, or of JSON lines. Raises ``Invalid`` naming the line."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Invalid(f"the file is not UTF-8 (byte {e.start}).", next_step="save it as UTF-8.") from None
    if text.lstrip()[:1] == "{":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, _object(line, number)
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _columns(reader.fieldnames or (), 1)
        for row in reader:
            if None in row or None in row.values():
                raise Invalid(
                    f"line {reader.line_num}: not as many fields as the header.", next_step="correct the line."
                )
            yield reader.line_num, {k: v for k, v in row.items() if v != ""}
    except csv.Error as e:
        raise Invalid(f"line {reader.line_num}: {e}.", next_step="correct the CSV file.") from None


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Invalid(f"line {number} is no JSON object.", next_step="write one object a line.")
    _columns(value, number)
    return {k: v for k, v in value.items() if v is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


def _columns(names: Any, line: int) -> None:
    given = list(names)
    unknown = [n for n in given if n not in FIELDS]
    if unknown:
        raise Invalid(f"line {line}: no field {unknown[0]!r} in outcomes.", next_step=f"fields: {', '.join(FIELDS)}.")
    if ("decision" in given) == ("id" in given) or len(set(given)) != len(given):
        raise Invalid(f"line {line}: the field decision must stand once.", next_step="name the decision's id in it.")


def _observed(line: int, fields: dict[str, Any], source: str | None) -> Observed:
    try:
        decision = id_bytes(fields.get("decision", fields.get("id", "")))
        at = read_time(str(fields.get("observed_at", "")))
    except Invalid as e:
        raise Invalid(f"line {line}: {e.problem}", next_step=e.next_step) from None
    if ("value" in fields) == ("label" in fields):
        raise Invalid(f"line {line}: give a value or a label, and not both.", next_step="leave the other empty.")
    said = fields.get("source", source)
    if said is None:
        raise Invalid(f"line {line}: no source.", next_step="add the field source, or --source NAME.")
    value = _number(line, fields["value"]) if "value" in fields else None
    label = _text(line, "label", fields["label"]) if "label" in fields else None
    return Observed(decision, ms_of(at), value, label, _text(line, "source", said))


def _number(line: int, given: Any) -> float:
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise Invalid(
            f"line {line}: value {str(given)[:40]!r} is no finite number.", next_step="give a number, or a label."
        )
    return value


def _text(line: int, name: str, given: Any) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= MOST_TEXT or not given.isprintable():
        raise Invalid(
            f"line {line}: {name} {str(given)[:40]!r} is no text of 1 to {MOST_TEXT} printable characters.",
            next_step="correct it.",
        )
    return given
