"""Measures of the registry: register, evaluate, load, rehearse a rollback. Slow work, outside any transaction.

Each ends in one command of ``records.py``. What was measured is named by digest: artifact, data, code.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import maths, tables
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.bounds import meets
from affidavit.areas.registry.events import Verdict
from affidavit.areas.registry.lookup import split_version
from affidavit.areas.registry.rules import measured_split
from affidavit.artifacts import artifact, models
from affidavit.core import digest as digests
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.core.fields import parse_duration

MOST_CONTENTS = 50
_CODE = (
    ("affidavit.areas.registry", ("bounds", "maths", "measure", "tables")),
    ("affidavit.artifacts", ("artifact", "formats", "models")),
)


def register(request: c.Register, desk: Desk) -> rec.RecordVersion:
    """Stream the artifact into the store, sign its manifest; the rules then judge its provenance."""
    if desk.ask("registry.model", request.model) is None:
        raise NotFound(f"no model {request.model}.", next_step="register it: affidavit registry register-model.")
    stored = artifact.store(desk, request.artifact, request.format)
    contents = tuple(f.sha256 for f in stored.files) if len(stored.files) <= MOST_CONTENTS else ()
    return rec.RecordVersion(
        request.model, stored.manifest, len(stored.files), stored.bytes, contents, request.format, stored.signature,
        request.run, request.datasets, request.started, request.ended, request.code, request.environment,
        request.hyperparameters, request.metrics, request.split, request.author, request.accepted_risk,
        request.risk_reason,
    )  # fmt: skip


def load(request: c.Load, desk: Desk) -> tuple[rec.RecordLoad | rec.RecordTamper, Any]:
    """The model, after every byte was verified; an altered byte is recorded, and raised as the result."""
    version = _version(desk, request.version)
    folder = Path(tempfile.mkdtemp(prefix="affidavit-"))
    try:
        declared, files = artifact.restore(desk, version["artifact"], folder)
    except artifact.ArtifactTampered as e:
        shutil.rmtree(folder, ignore_errors=True)
        return rec.RecordTamper(request.version, version["artifact"], e.expected, e.found, request.env), _told(e)
    model = models.load(declared, folder, files) if desk.local else None
    if model is not folder:
        shutil.rmtree(folder, ignore_errors=True)
    return rec.RecordLoad(request.version, version["artifact"], request.env), model


def _told(e: artifact.ArtifactTampered) -> Tampered:
    """The error that callers know, without what only the record needs."""
    return Tampered(e.problem, next_step=e.next_step)


def evaluate(request: c.Evaluate, desk: Desk) -> Any:
    """Score the plan's split with the exact artifact; judge every threshold of the plan."""
    return _or_tampered(_evaluated, request, desk, None)


def _or_tampered(measured: Any, request: Any, desk: Desk, env: str | None) -> Any:
    """What was measured, or the record of an altered byte with the error that follows it."""
    version = _version(desk, request.version)
    try:
        return measured(request, desk, version)
    except artifact.ArtifactTampered as e:
        return rec.RecordTamper(request.version, version["artifact"], e.expected, e.found, env), _told(e)


def _evaluated(request: c.Evaluate, desk: Desk, version: dict[str, Any]) -> rec.RecordEvaluation:
    plan = desk.ask("registry.plan_in_force", version["model"])
    if plan is None:
        raise NotFound(
            f"no evaluation plan is in force for {version['model']}.",
            next_step="propose and approve one first: thresholds come before the evaluation.",
        )
    content = _content(desk, plan["dataset"])
    if (request.split_column is None) == (request.index is None):
        raise Invalid(
            "the rows of the split are named twice or not at all.",
            next_step="give --split-column, or --index with the file of its row numbers.",
        )
    splits = desk.ask("lineage.splits", plan["dataset"].removeprefix("dataset:"))
    with _data(desk, request.data, content, plan["dataset"]) as path, _restored(desk, version) as (declared, model):
        table = tables.read(path)
        rows = _rows(request, desk, table, plan["split"])
        index = digests.of_bytes(tables.index_bytes(rows))
        measured_split(splits, plan["dataset"], plan["split"], index)
        scorer = models.scorer(declared, model)
        labels = tables.labels(table, plan["label"], rows)
        scores = scorer.score(tables.matrix(table, scorer.features, rows))
    decided = (scores >= float(plan["cutoff"])).astype("int8")
    found = maths.evaluate(labels, decided, scores)
    results = {m.name: maths.decimal6(m.value) for m in found.metrics if m.value is not None}
    body = tables.predictions(rows, labels, scores, decided)
    predictions = desk.attach(body, "application/vnd.apache.parquet", "predictions")
    return rec.RecordEvaluation(
        request.version, version["artifact"], plan["id"], plan["dataset"], plan["split"], plan["label"], plan["cutoff"],
        content, index, found.n, request.seed, code_digest(), results, _verdicts(found, plan["thresholds"]), predictions,
    )  # fmt: skip


def _rows(request: c.Evaluate, desk: Desk, table: Any, split: str) -> Any:
    """Row numbers of the split, by its column or by its index file."""
    if request.split_column is not None:
        return tables.rows_of(table, request.split_column, split)
    with _private() as folder:
        _copied(desk, str(request.index), folder / "index")
        return tables.rows_listed((folder / "index").read_bytes(), table.num_rows)


def _verdicts(found: maths.Evaluation, thresholds: list[dict[str, str]]) -> tuple[Verdict, ...]:
    made = []
    for t in thresholds:
        m = found.metric(t["metric"])
        if m.value is None:
            raise Invalid(
                f"{m.name} is undefined on these {m.n} rows.",
                next_step="evaluate on a split with rows of both classes.",
            )
        value = maths.decimal6(m.value)
        low, high = (maths.decimal6(x) if x is not None else None for x in (m.low, m.high))
        met = meets(value, t["direction"], t["bound"])
        made.append(Verdict(m.name, value, low, high, t["direction"], t["bound"], met))  # type: ignore[arg-type]
    return tuple(made)


def drill_rollback(request: c.DrillRollback, desk: Desk) -> Any:
    """Load the version as a rollback would, replay the golden set, stop the clock.

    The golden set is the predictions of the version's own evaluation, or a file with columns ``row`` (of the
    evaluated data) and ``score``.
    """
    return _or_tampered(_drilled, request, desk, request.to)


def _drilled(request: c.DrillRollback, desk: Desk, version: dict[str, Any]) -> rec.RecordDrill:
    objective = request.objective_ms or int(_objective(desk).total_seconds() * 1000)
    newest = desk.ask("registry.evaluation", version["model"], version["number"])
    if newest is None:
        raise NotFound(f"{request.version} was never evaluated.", next_step="evaluate it: affidavit registry evaluate.")
    with _data(desk, request.data, newest["content"], newest["dataset"]) as path:
        digest, rows, expected = _golden(desk, request.golden, newest["predictions"])
        table = tables.read(path)
        begun = desk.elapsed_ms()
        with _restored(desk, version) as (declared, model):
            scorer = models.scorer(declared, model)
            got = scorer.score(tables.matrix(table, scorer.features, rows))
        took = int(desk.elapsed_ms(begun))
    replay = maths.compare_outputs(expected, got, request.tolerance)
    return rec.RecordDrill(
        request.version, version["artifact"], request.to, digest, replay.n, replay.over,
        maths.decimal6(replay.max_abs_diff), request.tolerance, took, objective,
    )  # fmt: skip


def _golden(desk: Desk, given: str | None, recorded: str) -> tuple[str, Any, Any]:
    """(digest, row numbers, expected scores); the recorded set is used only if its bytes are those recorded."""
    with _private() as folder:
        digest = _copied(desk, given or recorded, folder / "golden")
        if given is None and digest != recorded:
            raise artifact.ArtifactTampered("predictions", recorded, digest)
        return digest, *tables.golden(tables.read(folder / "golden"))


def _objective(desk: Desk) -> Any:
    section = desk.rules.body.get("break_glass")
    stated = section.get("rollback_within") if isinstance(section, dict) else None
    if stated is None:
        raise Invalid(
            "no recovery-time objective is stated.",
            next_step="give --objective-ms, or set break_glass.rollback_within in the rules (PT5M).",
        )
    return parse_duration(stated)


# ---------------------------------------------------------------- what measures share


def code_digest() -> str:
    """SHA-256 over the bytes of the measuring modules of this release."""
    state = hashlib.sha256()
    for package, names in _CODE:
        for name in names:
            state.update(name.encode() + b"\0" + resources.files(package).joinpath(f"{name}.py").read_bytes())
    return "sha256:" + state.hexdigest()


def _version(desk: Desk, ref: str) -> dict[str, Any]:
    model, number = split_version(ref)
    found: dict[str, Any] | None = desk.ask("registry.version", model, number)
    if found is None:
        raise NotFound(f"no version {ref}.", next_step=f"`affidavit registry versions {model}` lists them.")
    return found


def _content(desk: Desk, ref: str) -> str:
    found = desk.ask("lineage.dataset", ref.removeprefix("dataset:"))
    if found is None:
        raise NotFound(f"no {ref} in lineage.", next_step="register it: affidavit lineage register-dataset.")
    return str(found["content"])


@contextmanager
def _private() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="affidavit-") as name:
        yield Path(name)


def _copied(desk: Desk, path: str, target: Path) -> str:
    """Copy a source into a private file; the digest of what was copied."""
    state = hashlib.sha256()
    with desk.source(path) as source, target.open("xb") as out:
        while chunk := source.read(1 << 20):
            state.update(chunk)
            out.write(chunk)
    return "sha256:" + state.hexdigest()


@contextmanager
def _data(desk: Desk, path: str, content: str, dataset: str) -> Iterator[Path]:
    """A private copy of the data, if it is the registered dataset version byte for byte."""
    with _private() as folder:
        digest = _copied(desk, path, folder / "data")
        if digest != content:
            raise Invalid(
                f"data: {path} is {digest}; {dataset} is {content}.", next_step="give the file that was registered."
            )
        yield folder / "data"


@contextmanager
def _restored(desk: Desk, version: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(format, model) from verified bytes."""
    with _private() as folder:
        declared, files = artifact.restore(desk, version["artifact"], folder)
        yield declared, models.load(declared, folder, files)
