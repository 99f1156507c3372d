"""Stored explanations of a version computed again, drawn by seed; and adverse decisions that have none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain import explanation as ex
from affidavit.areas.decisions.sealed_rows import Placed, Row
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, NotFound
from affidavit.core.fields import dec6
from affidavit.streams.ids import id_text

MOST_GAP = 1e9
"""What a gap without bound (another explainer, NaN) is written as."""


def recheck(request: c.RecheckExplanations, desk: Desk) -> tuple[c.RecordRecheck | None, Any]:
    """One line per drawn explanation: agrees, or what disagrees. Draw: the least SHA-256 of seed and decision id.

    A sample from this ledger alone is selectable by management: give a seed that somebody else chose.
    """
    model, _, number = request.version.partition("/")
    version = desk.ask("registry.version", model, int(number))
    if version is None:
        raise NotFound(f"no version {request.version}.", next_step=f"`affidavit registry versions {model}` lists them.")
    wanted = bytes.fromhex(version["artifact"][7:])
    stored, adverse = _rows(request, desk, wanted)
    if not stored and not adverse:
        return None, {"explanations": 0, "adverse": 0}
    drawn = sorted(stored, key=lambda d: hashlib.sha256(f"{request.seed}\0{id_text(d)}".encode()).digest())[
        : request.sample
    ]
    lines = _again(desk, version["artifact"], [(d, *stored[d]) for d in drawn])
    told = [x for x in lines if x["agrees"] is not None]
    first: dict[str, Any] = lines[0] if lines else {"explainer": "none", "background": None, "seed": 0}
    body = canonical.encode(
        {"version": request.version, "seed": request.seed, "population": len(stored), "lines": lines}
    )
    explained = sum(d in stored for d in adverse)
    command = c.RecordRecheck(
        request.version, version["artifact"], first["explainer"], first["background"], first["seed"], len(stored), len(told),
        sum(bool(x["agrees"]) for x in told), max((x["gap"] for x in told), default=dec6(0), key=float), len(adverse), explained,
        desk.attach(body, "application/json", "explanations"),
    )  # fmt: skip
    worst = [x for x in lines if x["agrees"] is False]
    answer = {"explanations": len(stored), "compared": len(told), "agreeing": command.agreeing, "disagreeing": worst,
              "adverse": len(adverse), "adverse_explained": explained}  # fmt: skip
    return command, answer


def _rows(
    request: c.RecheckExplanations, desk: Desk, version: bytes
) -> tuple[dict[bytes, tuple[Placed, int]], set[bytes]]:
    """Where each explained decision's first explanation lies, and the adverse decisions: of the version, in the window."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mine = pa.scalar(version, pa.binary(32))
    low = int(request.start.timestamp() * 1000) if request.start else 0
    high = int(request.end.timestamp() * 1000) if request.end else 1 << 62
    stored: dict[bytes, tuple[Placed, int]] = {}
    for where in sealed_rows.segments_between(desk, "explanations", request.start):
        table = sealed_rows.opened(desk, where).table(["version", "decision"])
        for i in pc.indices_nonzero(pc.equal(table["version"], mine)).to_pylist():
            stored.setdefault(table["decision"][i].as_py(), (where, i))
    decided: set[bytes] = set()
    adverse: set[bytes] = set()
    for where in sealed_rows.segments_between(desk, "decisions", request.start, request.end):
        table = sealed_rows.opened(desk, where).table(["id", "at", "version", "adverse"])
        at = pc.cast(table["at"], pa.int64())
        keep = pc.and_(pc.equal(table["version"], mine), pc.and_(pc.greater_equal(at, low), pc.less(at, high)))
        table = table.filter(keep)
        decided |= set(table["id"].to_pylist())
        adverse |= set(table.filter(pc.fill_null(table["adverse"], False))["id"].to_pylist())
    return {d: place for d, place in stored.items() if d in decided}, adverse


@dataclass(slots=True)
class _Drawn:
    """A drawn explanation: its line of the result, and the rows of explanation and decision."""

    line: dict[str, Any]
    kept: Row
    row: Row

    @property
    def basis(self) -> tuple[str | None, int, tuple[str, ...]]:
        """Background, seed and names of the inputs: what rows computed together share."""
        return self.line["background"], self.line["seed"], tuple(ex.inputs_of(self.row))


def _again(desk: Desk, artifact: str, drawn: list[tuple[bytes, Placed, int]]) -> list[dict[str, Any]]:
    """The lines of explanations computed again, in one run of the sandbox for each background, seed and set of inputs."""
    found = [_found(desk, *one) for one in drawn]
    groups: dict[Any, list[_Drawn]] = {}
    for one in found:
        if one.row.row is None or one.kept.row is None:
            one.line |= {"agrees": None, "gap": dec6(0), "why": "erased"}
        else:
            groups.setdefault(one.basis, []).append(one)
    for (background, seed, names), members in groups.items():
        columns = {n: [m.row.values[f"in.{n}"] for m in members] for n in names}
        try:
            got = ex.compute(desk, artifact, columns, len(members), background, seed)
        except AffidavitError as e:
            for m in members:
                m.line |= {"agrees": False, "gap": dec6(0), "why": e.problem}
            continue
        for i, m in enumerate(members):
            m.line |= _judged(m.kept, got, i)
    return [one.line for one in found]


def _found(desk: Desk, decision: bytes, where: Placed, index: int) -> _Drawn:
    kept = sealed_rows.row_at(where, sealed_rows.opened(desk, where), index)
    background = kept.values.get("background")
    line = {
        "decision": id_text(decision), "explainer": kept.values.get("explainer") or "unknown",
        "background": "sha256:" + background.hex() if background else None, "seed": int(kept.values.get("seed") or 0),
    }  # fmt: skip
    return _Drawn(line, kept, sealed_rows.find(desk, id_text(decision)))


def _judged(kept: Row, got: dict[str, Any], i: int) -> dict[str, Any]:
    gap, why = ex.difference(kept, got["values"][i], float(got["base"][i]), float(got["margin"][i]), got["features"],
                             got["explainer"], got["dtype"])  # fmt: skip
    if not why and not (got["additive"] and kept.values["additive"]):
        why = "the attributions do not sum to the margin"
    return {"agrees": not why, "gap": dec6(min(gap, MOST_GAP)), "why": why}
