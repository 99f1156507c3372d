"""Which decisions a replay is of: those named, or a seeded sample of all that a model's streams sealed in a period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.replay import commands as c
from affidavit.areas.decisions.replay.drawing import Range, drawn, joined, ms_of, population_digest, within
from affidavit.areas.decisions.sealed_rows import Row
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, Invalid, NotFound, Tampered
from affidavit.streams.ids import id_bytes, id_text

MOST = 10_000
"""Most decisions of one replay."""
DEFAULTS = {"sample_size": "25", "tolerance": "0.000001"}
"""What stands where the rules in force know no parameters of AI-08.5."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Case:
    """A decision to be replayed: its place and row, or ``why`` there is none; ``decision`` is its id, None if erased."""

    stream: str | None
    seq: int | None
    decision: str | None
    row: Row | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The decisions, and what they were drawn from."""

    model: str
    start: datetime
    end: datetime
    population: str
    population_n: int
    seed: str | None
    seeded: Literal["caller", "service"] | None
    cases: list[Case]


def parameter(desk: Desk, name: str) -> str:
    """A parameter of AI-08.5 as management confirmed it."""
    return str(desk.rules.parameters.get("AI-08.5", DEFAULTS)[name])


def chosen(request: c.Replay, desk: Desk) -> Chosen:
    """The decisions of a request, each row verified up to its header. Raises ``Invalid``, ``NotFound``."""
    if bool(request.decisions) == bool(request.start or request.sample or request.seed):
        raise Invalid(
            "name decisions, or a model and the start of a period to draw from; not both.",
            next_step="give --decisions ID, or MODEL --start 2026-07-01 with --sample and --seed as you like.",
        )
    if len(request.decisions) > MOST or (request.sample or 0) > MOST:
        raise Invalid(f"a replay is of at most {MOST} decisions.", next_step="replay fewer at a time.")
    return _named(request, desk) if request.decisions else _sampled(request, desk)


# ---------------------------------------------------------------- named


def _named(request: c.Replay, desk: Desk) -> Chosen:
    cases = [_case(desk, decision) for decision in dict.fromkeys(request.decisions)]
    models = {_model_of(desk, case) for case in cases if case.stream} | ({request.model} if request.model else set())
    models.discard(None)
    if len(models) != 1:
        told = ", ".join(sorted(str(m) for m in models)) or "no model that is known"
        raise Invalid(f"the decisions are of {told}.", next_step="name sealed decisions of one model at a time.")
    times = [_at(ms_of(case.decision)) for case in cases if case.decision]
    ranges = joined(Range(x.stream, x.seq, x.seq) for x in cases if x.stream and x.seq is not None)
    return Chosen(str(models.pop()), min(times), max(times), population_digest(ranges), len(cases), None, None, cases)


def _case(desk: Desk, decision: str) -> Case:
    id_bytes(decision)
    try:
        row = sealed_rows.find(desk, decision)
    except Tampered:
        return Case(None, None, decision, why="record-damaged")
    except NotFound as e:
        why = "record-missing" if "missing" in e.problem else "not-found"
        return Case(None, None, decision, why=why)
    return Case(row.placed.header.stream, row.seq, decision, row)


def _model_of(desk: Desk, case: Case) -> str | None:
    found = desk.ask("decisions.stream", case.stream)
    return found["model"] if found else None


# ---------------------------------------------------------------- drawn


def _sampled(request: c.Replay, desk: Desk) -> Chosen:
    if request.model is None or request.start is None:
        raise Invalid("a sample needs a model and the start of its period.", next_step="give MODEL and --start.")
    end = min(request.end or desk.now, desk.now)
    if request.start >= end:
        raise Invalid(f"the period ends {end} before it starts {request.start}.", next_step="give an earlier --start.")
    spans = list(_spans(desk, request.model, request.start, end))
    ranges = joined(r for r, _ in spans)
    total = sum(r.rows for r in ranges)
    if not total:
        raise NotFound(
            f"no decision of {request.model} was sealed from {request.start} to {end}.",
            next_step="check model and period; `affidavit decisions seal` seals what is waiting.",
        )
    size = request.sample or int(parameter(desk, "sample_size"))
    seed = request.seed or desk.key().hex()
    cases = _rows(desk, drawn(seed, ranges, size), spans)
    seeded: Literal["caller", "service"] = "caller" if request.seed else "service"
    return Chosen(request.model, request.start, end, population_digest(ranges), total, seed, seeded, cases)


def _spans(desk: Desk, model: str, start: datetime, end: datetime) -> Iterator[tuple[Range, dict[str, Any]]]:
    """The sealed rows of a model's streams whose ids begin in the period; only segments on its edges are read."""
    streams = {
        s["stream"] for s in desk.ask("decisions.streams_of") if s["model"] == model and s["kind"] == "decisions"
    }
    start_ms, end_ms = _ms(start), _ms(end)
    for span in desk.ask("decisions.spans_between", "decisions"):
        if span["stream"] not in streams:
            continue
        least, most = ms_of(span["id_min"]), ms_of(span["id_max"])
        if start_ms <= least and most < end_ms:
            yield Range(span["stream"], span["first_seq"], span["last_seq"]), span
        elif least < end_ms and most >= start_ms:
            for first, last in within(span["first_seq"], _times(desk, span), start_ms, end_ms):
                yield Range(span["stream"], first, last), span


def _times(desk: Desk, span: dict[str, Any]) -> list[int | None]:
    segment = sealed_rows.opened(desk, sealed_rows.placed(desk, span))
    ids = segment.table(["id"]).column(0).to_pylist()
    return [None if x is None else int.from_bytes(x[:6], "big") for x in ids]


def _rows(desk: Desk, places: list[tuple[str, int]], spans: list[tuple[Range, dict[str, Any]]]) -> list[Case]:
    """The rows at places, in order; each segment is opened once."""
    starts = {
        (r.stream, seq): span for r, span in spans for s, seq in places if s == r.stream and r.first <= seq <= r.last
    }
    opened: dict[tuple[str, int], Any] = {}
    cases = []
    for stream, seq in places:
        span = starts[stream, seq]
        case = Case(stream, seq, None)
        cases.append(case)
        try:
            key = (stream, span["first_seq"])
            if key not in opened:
                placed = sealed_rows.placed(desk, span)
                opened[key] = (placed, sealed_rows.opened(desk, placed))
            where, segment = opened[key]
            case.row = sealed_rows.row_at(where, segment, seq - span["first_seq"])
        except NotFound:
            case.why = "record-missing"
        except AffidavitError:
            case.why = "record-damaged"
        else:
            body = case.row.values.get("id")
            case.decision = id_text(body) if body is not None else None
    return cases


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
