"""What may be sealed: a span that continues its stream, of a stream that was opened and has not ended."""

from __future__ import annotations

from affidavit.areas.decisions import events as e
from affidavit.areas.decisions.record import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, Refused
from affidavit.streams.sealed import Source, Span

CONTROLS = ("AI-08.1",)
ENDED = ("closed", "lost")
Ended = e.GapCounted | e.StreamClosed | e.StreamLost


def record_batch(cmd: c.RecordBatch, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Streams that opened, the batch, gaps, streams that ended: in this order, in one command.

    Refused: ``sealed-before`` for rows that a batch holds already, ``rows-skipped`` for a span that leaves rows out,
    ``stream-ended`` for rows, or another end, of a stream that was closed or lost.
    """
    drafts = [
        Draft(f, _stream_refs(f), f.env) for f in cmd.opened
        if state.one("SELECT 1 FROM {stream} WHERE stream = ? AND pid IS NOT NULL", f.stream) is None
    ]  # fmt: skip
    next_seq: dict[str, int] = {}
    offered: tuple[Span | Source, ...] = (*cmd.spans, *cmd.taken)
    for span in offered:
        expected = next_seq.get(span.stream)
        if expected is None:
            row = state.one("SELECT next_seq, state FROM {stream} WHERE stream = ?", span.stream)
            expected, standing = row or (0, "own")
            if standing in ENDED:
                raise Refused("stream-ended", f"stream {span.stream} is {standing}; rows from {span.first_seq} were offered.",
                              next_step="seal again from the spool.", controls=CONTROLS)  # fmt: skip
        if span.last_seq < span.first_seq:
            raise Invalid(
                f"stream {span.stream}: rows {span.first_seq} to {span.last_seq}.", next_step="refuse the batch."
            )
        if span.first_seq != expected:
            code = "sealed-before" if span.first_seq < expected else "rows-skipped"
            raise Refused(code, f"stream {span.stream}: rows from {span.first_seq} were offered, {expected} is next.",
                          next_step="seal again from the spool.", controls=CONTROLS)  # fmt: skip
        next_seq[span.stream] = span.last_seq + 1
    if cmd.spans:
        drafts.append(_sealed(cmd))
    _check_gaps(cmd, state)
    for ended in {f.stream for f in cmd.closed} | {f.stream for f in cmd.lost}:
        row = state.one("SELECT state FROM {stream} WHERE stream = ?", ended)
        if row and row[0] in ENDED:
            raise Refused("stream-ended", f"stream {ended} is {row[0]} already.",
                          next_step="seal again from the spool.", controls=CONTROLS)  # fmt: skip
    ends: tuple[Ended, ...] = (*cmd.gaps, *cmd.closed, *cmd.lost)
    drafts += [Draft(f, (f"stream:{f.stream}",)) for f in ends]
    return drafts


def _check_gaps(cmd: c.RecordBatch, state: ViewTx) -> None:
    """Each gap follows on those the ledger has counted. Refused: ``gap-counted-before``."""
    if len(cmd.counted) != len(cmd.gaps):
        raise Invalid(f"{len(cmd.gaps)} gaps and {len(cmd.counted)} counts.", next_step="seal again from the spool.")
    missed: dict[str, int] = {}
    for gap, before in zip(cmd.gaps, cmd.counted, strict=True):
        row = state.one("SELECT missed FROM {stream} WHERE stream = ? AND pid IS NOT NULL", gap.stream)
        found = missed.get(gap.stream, row[0] if row else 0)
        if found != before:
            raise Refused("gap-counted-before", f"stream {gap.stream}: {found} missed requests are counted, not {before}.",
                          next_step="seal again from the spool.", controls=CONTROLS)  # fmt: skip
        missed[gap.stream] = found + gap.missed


def record_join(cmd: c.RecordJoin, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The use of the join key, on the deployment it was used for."""
    fact = e.JoinKeyUsed(
        cmd.deployment, cmd.start, cmd.end, cmd.purpose, cmd.rows, cmd.joined, cmd.k, cmd.result,
    )  # fmt: skip
    return [Draft(fact, (f"deployment:{cmd.deployment}",))]


def _sealed(cmd: c.RecordBatch) -> Draft:
    assert cmd.t_min is not None and cmd.t_max is not None and cmd.root is not None and cmd.headers is not None  # noqa: S101, PT018
    fact = e.BatchSealed(
        cmd.batch, cmd.sealer, len(cmd.spans), cmd.rows, cmd.t_min, cmd.t_max, cmd.root, cmd.headers, cmd.spans,
        cmd.kinds, cmd.taken, cmd.aggregates,
    )  # fmt: skip
    streams = tuple(dict.fromkeys(f"stream:{s.stream}" for s in cmd.spans))
    return Draft(fact, (f"sealer:{cmd.sealer}", *streams))


def _stream_refs(f: e.StreamOpened) -> tuple[str, ...]:
    refs = [f"stream:{f.stream}"]
    if f.deployment:
        refs.append(f"deployment:{f.deployment}")
    if f.model and f.number:
        refs += [f"model:{f.model}/{f.number}", f"model:{f.model}"]
    return tuple(refs)
