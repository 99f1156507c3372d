"""Replay: recorded inputs through the recorded version in a confined child, and its output against the record.

Rows of one artifact go through one child. What cannot be run is a failed decision that says why, never left out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from affidavit import sandbox
from affidavit.areas.decisions.events_people import VersionReplayed
from affidavit.areas.decisions.replay import commands as c
from affidavit.areas.decisions.replay.choosing import Case, Chosen, chosen, parameter
from affidavit.areas.decisions.replay.comparing import Given, compare
from affidavit.areas.decisions.replay.drawing import ALGORITHM
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.errors import NotFound, Tampered
from affidavit.core.fields import dec6
from affidavit.streams.schema import Schema

_CODE = (
    ("affidavit.areas.decisions.replay", ("choosing", "comparing", "drawing", "measure")),
    ("affidavit.sandbox", ("child", "confine", "frames", "kernel", "running", "tasks")),
    ("affidavit.artifacts", ("artifact", "formats", "models")),
)
_NOT_INPUT = ("bytes", "digest", "id")


@dataclass(slots=True)
class Result:
    """The outcome of one decision: ``equal``, ``differs``, ``failed`` (``why``) or ``erased``."""

    outcome: str
    why: str | None = None
    output: str | None = None
    difference: float | None = None
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class Version:
    """The decisions of one artifact, what confinement their child obtained, or why it could not be run."""

    artifact: str
    number: int | None
    cutoff: str | None
    cases: list[Case] = field(default_factory=list)
    isolation: tuple[str, ...] = ()
    ms: int = 0
    why: str | None = None


def replay(request: c.Replay, desk: Desk) -> tuple[c.RecordReplay, Any]:
    """What was drawn, run by version, compared; every decision with its outcome."""
    found = chosen(request, desk)
    tolerance = request.tolerance or dec6(parameter(desk, "tolerance"))
    about = found.cases[0].decision if len(found.cases) == 1 else found.population
    desk.row("reads", at=int(desk.now.timestamp() * 1000), rows=len(found.cases), actor=desk.who.principal, verb="replay",
             about=about or found.population)  # fmt: skip
    results: dict[int, Result] = {}
    versions: dict[str, Version] = {}
    for case in found.cases:
        _sort(desk, found.model, case, results, versions)
    for version in versions.values():
        _run(desk, version, float(tolerance), request.require, results)
    rows = [_shown(case, results[id(case)]) for case in found.cases]
    body = _results(found, tolerance, versions, rows)
    counts = {o: sum(r["outcome"] == o for r in rows) for o in ("equal", "differs", "failed", "erased")}
    return _command(desk, found, tolerance, versions, results, counts, body), {**counts, "decisions": rows}


def _sort(desk: Desk, model: str, case: Case, results: dict[int, Result], versions: dict[str, Version]) -> None:
    """To the version that its row names, or to an outcome that needs no run."""
    if case.row is None:
        results[id(case)] = Result("failed", case.why)
        return
    if case.row.row is None:
        results[id(case)] = Result("erased")
        return
    digest = case.row.values.get("version")
    if digest is None:
        results[id(case)] = Result("failed", "no-version")
        return
    artifact = "sha256:" + digest.hex()
    if artifact not in versions:
        versions[artifact] = _version(desk, model, artifact)
    versions[artifact].cases.append(case)


def _version(desk: Desk, model: str, artifact: str) -> Version:
    """Number and cutoff of the artifact: the cutoff it was evaluated with, else that of the plan in force."""
    known = [v["number"] for v in desk.ask("registry.versions_with", artifact) if v["model"] == model]
    number = known[-1] if known else None
    judged = desk.ask("registry.evaluation", model, number) if number else None
    judged = judged or desk.ask("registry.plan_in_force", model)
    return Version(artifact, number, judged["cutoff"] if judged else None)


# ---------------------------------------------------------------- running


def _run(desk: Desk, version: Version, tolerance: float, require: Sequence[str], results: dict[int, Result]) -> None:
    parts: dict[str, list[Case]] = {}
    for case in version.cases:
        assert case.row is not None  # noqa: S101 - sorted by the row's own version
        parts.setdefault(case.row.schema.digest_text, []).append(case)
    payload = {"parts": [_part(cases) for cases in parts.values()]}
    try:
        ran = sandbox.run(desk, version.artifact, "predict", payload, require=require)
    except Tampered:
        version.why = "tampered"
    except NotFound:
        version.why = "artifact-gone"
    except sandbox.TaskFailed as e:
        version.why, version.isolation = e.code, e.isolation
    else:
        version.isolation, version.ms = ran.isolation, int(ran.seconds * 1000)
        cutoff = float(version.cutoff) if version.cutoff is not None else None
        for cases, answer in zip(parts.values(), _answers(ran.result, parts), strict=True):
            for n, case in enumerate(cases):
                results[id(case)] = _compared(case, n, answer, tolerance, cutoff)
    if version.why:
        for case in version.cases:
            results[id(case)] = Result("failed", version.why)


def _part(cases: Sequence[Case]) -> dict[str, Any]:
    rows = [case.row for case in cases if case.row is not None]
    columns = [x for x in rows[0].schema.inputs if x.type not in _NOT_INPUT]
    return {
        "rows": len(rows), "columns": {x.name.removeprefix("in."): [r.values[x.name] for r in rows] for x in columns}
    }  # fmt: skip


def _answers(result: Any, parts: dict[str, list[Case]]) -> list[dict[str, Any]]:
    """What the child answered, part by part; an answer of another shape is one that failed."""
    given = result.get("parts") if isinstance(result, dict) else None
    if not isinstance(given, list) or len(given) != len(parts):
        given = [None] * len(parts)
    return [
        answer if _well_formed(answer, len(cases)) else {"code": "output"}
        for answer, cases in zip(given, parts.values(), strict=True)
    ]


def _well_formed(answer: Any, rows: int) -> bool:
    if not isinstance(answer, dict):
        return False
    if "code" in answer:
        return isinstance(answer["code"], str)
    outputs, labels, failed = (answer.get(k) for k in ("outputs", "labels", "failed"))
    return (
        isinstance(outputs, dict)
        and all(getattr(x, "shape", None) == (rows,) for x in outputs.values())
        and (labels is None or (isinstance(labels, list) and len(labels) == rows))
        and isinstance(failed, dict)
    )


def _compared(case: Case, n: int, answer: dict[str, Any], tolerance: float, cutoff: float | None) -> Result:
    if "code" in answer:
        return Result("failed", answer["code"][:64] or "failed")
    if str(n) in answer["failed"]:
        return Result("failed", "input-refused")
    assert case.row is not None  # noqa: S101 - it was sent
    labels = answer["labels"]
    given = Given({k: float(x[n]) for k, x in answer["outputs"].items()}, labels[n] if labels else None)
    schema: Schema = case.row.schema
    found = compare({x.name: case.row.values[x.name] for x in schema.outputs}, given, tolerance, cutoff)
    why = "nothing-compared" if found.outcome == "failed" else None
    return Result(found.outcome, why, found.output, found.difference, found.left_out)


# ---------------------------------------------------------------- what is recorded


def _shown(case: Case, result: Result) -> dict[str, Any]:
    """A decision's line: its place, id and outcome, and by how much it differs; no value of the record."""
    row: dict[str, Any] = {"stream": case.stream, "seq": case.seq, "decision": case.decision, "outcome": result.outcome}
    if result.why:
        row["why"] = result.why
    if result.output:
        row["output"] = result.output
    if result.difference is not None:
        row["difference"] = repr(result.difference)
    if result.left_out:
        row["not_compared"] = list(result.left_out)
    return row


def _results(found: Chosen, tolerance: str, versions: dict[str, Version], rows: list[dict[str, Any]]) -> bytes:
    """What is kept for good. A row is named by its place, which stays when it is erased; by its id only if it has none."""
    kept = [{k: v for k, v in row.items() if k != "decision" or row["stream"] is None} for row in rows]
    runs = [
        {"artifact": x.artifact, "number": x.number, "cutoff": x.cutoff, "decisions": len(x.cases), "why": x.why,
         "isolation": list(x.isolation), "ms": x.ms}
        for x in versions.values()
    ]  # fmt: skip
    method = ALGORITHM if found.seed else "named"
    return canonical.encode({
        "v": 1, "method": method, "seed": found.seed, "population": found.population, "population_n": found.population_n,
        "tolerance": tolerance, "runs": runs, "decisions": kept,
    })  # fmt: skip


def _command(
    desk: Desk, found: Chosen, tolerance: str, versions: dict[str, Version], results: dict[int, Result],
    counts: dict[str, int], body: bytes,
) -> c.RecordReplay:  # fmt: skip
    shares = tuple(
        VersionReplayed(
            x.number, x.artifact, len(x.cases), sum(results[id(k)].outcome == "failed" for k in x.cases), x.why
        )
        for x in versions.values()
    )
    return c.RecordReplay(
        found.model, shares, found.start, found.end, found.population, found.population_n, found.seed, found.seeded,
        len(found.cases), counts["equal"], counts["differs"], counts["failed"], counts["erased"], tolerance,
        _worst(results.values()), _everywhere(versions), code_digest(), desk.attach(body, "application/json", "replay"),
    )  # fmt: skip


def _worst(results: Any) -> str | None:
    numbers = [r.difference for r in results if r.difference is not None]
    worst = max(numbers, default=None)
    return dec6(worst) if worst is not None and math.isfinite(worst) and worst < 10**12 else None


def _everywhere(versions: dict[str, Version]) -> tuple[str, ...]:
    """What every child that ran obtained."""
    all_ = [x.isolation for x in versions.values() if x.isolation]
    return tuple(t for t in all_[0] if all(t in one for one in all_)) if all_ else ()


def code_digest() -> str:
    """SHA-256 over the bytes of the replaying modules of this release."""
    state = hashlib.sha256()
    for package, names in _CODE:
        for name in names:
            state.update(name.encode() + b"\0" + resources.files(package).joinpath(f"{name}.py").read_bytes())
    return "sha256:" + state.hexdigest()
