"""Assessing a version by group: stored predictions joined to the plan's data by row number. Writes nothing itself."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness import groups, maths, rules
from affidavit.areas.fairness.events import FairThreshold, FairVerdict
from affidavit.core import canonical, codec
from affidavit.core import digest as digests
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 0
"""Nothing is drawn: the intervals are closed forms."""
_CODE = ("counting", "groups", "maths", "measure")
_WORDS = {"met": "met", "breached": "breached", "insufficient_data": "insufficient-data"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What an evaluation stored: row numbers of the data, labels, scores, decisions; all of shape (n,)."""

    row: NDArray[Any]
    label: NDArray[Any]
    score: NDArray[Any]
    decision: NDArray[Any]


def assess(request: c.Assess, desk: Desk) -> c.RecordAssessment:
    """Every threshold of the plan in force, judged on the predictions of the version's own evaluation."""
    model, _, number = request.version.partition("/")
    plan = rules.in_force(desk.ask("fairness.plan_in_force", model), model, desk.now)
    thresholds = [codec.load_object(FairThreshold, t) for t in plan["thresholds"]]
    evaluation = _evaluation(desk, model, int(number), plan)
    record = desk.ask("lineage.dataset", rules.dataset_name(plan["dataset"]))
    if record is None:
        raise NotFound(f"no {plan['dataset']}.", next_step="register it: affidavit lineage register-dataset.")
    with _registered(desk, request.data, record["content"], plan["dataset"]) as path, _refusing():
        table = groups.read(path)
        predictions = _predictions(desk, evaluation)
        _belong(predictions, table, request, evaluation, desk)
        tokens = sorted({token for t in thresholds for token in t.groups})
        by = {token: groups.labels(table, token, predictions.row) for token in tokens}
        verdicts, sheet = _judged(thresholds, predictions, by)
    body = canonical.encode(
        {"version": request.version, "plan": plan["id"], "evaluation": evaluation["entry"], "rows": sheet}
    )
    return c.RecordAssessment(
        request.version, evaluation["artifact"], plan["id"], plan["dataset"], plan["split"], record["content"],
        len(predictions.row), SEED, code_digest(), verdicts, desk.attach(body, "application/json", "fairness-table"),
    )  # fmt: skip


def _evaluation(desk: Desk, model: str, number: int, plan: dict[str, Any]) -> dict[str, Any]:
    """The newest evaluation of the version's artifact; it was made on the data that the fairness plan names."""
    found: dict[str, Any] | None = desk.ask("registry.evaluation", model, number)
    if found is None:
        raise Refused(
            "not_evaluated", f"{model}/{number} was never evaluated.",
            next_step="evaluate it first: affidavit registry evaluate.", controls=rules.CONTROLS,
        )  # fmt: skip
    if (found["dataset"], found["split"]) != (plan["dataset"], plan["split"]):
        raise Refused(
            "content_differs",
            f"{model}/{number} was evaluated on {found['dataset']} {found['split']}; the fairness plan names"
            f" {plan['dataset']} {plan['split']}.",
            next_step="evaluate it on that split, or propose a fairness plan on the evaluated one.",
            controls=rules.CONTROLS,
        )
    return found


@contextmanager
def _refusing() -> Iterator[None]:
    """What does not fit together, once the data is the registered one, is a refusal: it is recorded as one."""
    try:
        yield
    except Invalid as e:
        raise Refused("not_assessable", e.problem, next_step=e.next_step, controls=rules.CONTROLS) from None


@contextmanager
def _registered(desk: Desk, path: str, content: str, dataset: str) -> Iterator[Path]:
    """A private copy of the data, if it is the registered dataset version byte for byte."""
    with tempfile.TemporaryDirectory(prefix="affidavit-") as folder:
        target, state = Path(folder) / "data", hashlib.sha256()
        with desk.source(path) as source, target.open("xb") as out:
            while chunk := source.read(digests.CHUNK):
                state.update(chunk)
                out.write(chunk)
        if (found := "sha256:" + state.hexdigest()) != content:
            raise Refused(
                "content_differs", f"the data is {found}; {dataset} is {content}.",
                next_step="give the file that was registered.", controls=rules.CONTROLS,
            )  # fmt: skip
        yield target


def _predictions(desk: Desk, evaluation: Mapping[str, Any]) -> Predictions:
    """The stored predictions, verified before use; the decisions are those that the evaluation stored."""
    import numpy as np
    import pyarrow.parquet as pq

    with desk.open(evaluation["predictions"]) as source:
        body = digests.read_verified(source, evaluation["predictions"], "predictions")
    table = pq.read_table(BytesIO(body))
    column = {name: table[name].to_numpy() for name in table.column_names}
    row, label, score = column["row"].astype(np.int64), column["label"].astype(np.int64), column["score"]
    if (decision := column.get("decision")) is None:
        raise Refused(
            "no_decisions", f"evaluation {evaluation['entry']} stored no decisions.",
            next_step="evaluate the version again: affidavit registry evaluate.", controls=rules.CONTROLS,
        )  # fmt: skip
    return Predictions(row, label, score, decision.astype(np.int64))


def _belong(found: Predictions, table: Any, request: c.Assess, evaluation: Mapping[str, Any], desk: Desk) -> None:
    """The predictions are of these rows, of the whole measured split, with the labels that were evaluated.

    Raises ``Invalid``, or ``Refused`` if the split was never measured.
    """
    import numpy as np

    rows = np.sort(found.row)
    if not len(rows) or rows[0] < 0 or rows[-1] >= len(table) or (rows[1:] == rows[:-1]).any():
        raise Invalid("the predictions name rows that the data does not have once.", next_step="evaluate again.")
    _of_split(rows, evaluation, desk)
    if (groups.truth(table, evaluation["label"], found.row) != found.label).any():
        raise Invalid(
            f"column {evaluation['label']} differs from the labels that were predicted.",
            next_step="evaluate again: affidavit registry evaluate.",
        )
    if request.split_column is not None:
        whole = groups.members(table, request.split_column, evaluation["split"])
        if not np.array_equal(rows, whole):
            raise Invalid(
                f"the predictions cover {len(rows)} rows, the split {evaluation['split']} has {len(whole)}.",
                next_step="evaluate the version on the whole split.",
            )


def _of_split(rows: NDArray[Any], evaluation: Mapping[str, Any], desk: Desk) -> None:
    """The rows are those that the evaluation names, and a split of this name that was measured on these bytes."""
    index = digests.of_bytes(("\n".join(map(str, rows.tolist())) + "\n").encode())
    measured = desk.ask("lineage.measurements", rules.dataset_name(evaluation["dataset"]))
    named = [
        s
        for m in (measured["measurements"] if measured else ())
        for s in m["splits"]
        if s["name"] == evaluation["split"]
    ]
    if not named:
        raise Refused(
            "split_not_measured", f"the split {evaluation['split']} of {evaluation['dataset']} was never measured.",
            next_step="measure it (affidavit lineage measure-splits), then evaluate again.", controls=rules.CONTROLS,
        )  # fmt: skip
    if index != evaluation["index"] or index not in {s["content"] for s in named}:
        raise Invalid(
            f"the predictions cover {len(rows)} rows that are not the measured split {evaluation['split']}.",
            next_step="evaluate the version on the whole measured split.",
        )


def _judged(
    thresholds: list[FairThreshold], found: Predictions, by: Mapping[str, list[str]]
) -> tuple[tuple[FairVerdict, ...], list[dict[str, Any]]]:
    """One verdict per threshold, and the whole table: every group, every disparity, every verdict."""
    asked = [rules.to_judge(t) for t in thresholds]
    crossed = list(dict.fromkeys(t.groups for t in thresholds if len(t.groups) > 1))
    assessment = maths.assess(
        found.label, found.decision, found.score, by, intersections=crossed, min_n=min(t.min_n for t in thresholds)
    )
    verdicts = maths.judge(assessment, asked)
    summed = tuple(
        _verdict(t, [v for v in verdicts if v.threshold == a], assessment)
        for t, a in zip(thresholds, asked, strict=True)
    )
    return summed, [*assessment.to_rows(), *(v.to_row() for v in verdicts)]


def _verdict(t: FairThreshold, found: list[maths.Verdict], assessment: maths.Assessment) -> FairVerdict:
    """The verdict on a threshold; by group it is that of the worst group, ``insufficient-data`` before ``met``."""
    order = {"breached": 0, "insufficient_data": 1, "met": 2}
    sign = -1 if t.direction == "at-most" else 1
    worst = min(found, key=lambda v: (order[v.status], sign * (v.estimate.value or 0.0)))
    sizes = [g.estimate(t.metric).n for g in assessment.of(t.groups)]
    row = worst.estimate.to_row()
    return FairVerdict(
        t.metric, t.groups, t.aggregate, t.direction, t.bound, _WORDS[worst.status],  # type: ignore[arg-type]
        row["value"], row["low"], row["high"], min(sizes, default=0),
    )  # fmt: skip


def code_digest() -> str:
    """SHA-256 over the measuring modules of this release, name by name."""
    folder = resources.files("affidavit.areas.fairness")
    return digests.of_bytes(b"".join(f"{m}\0".encode() + folder.joinpath(f"{m}.py").read_bytes() for m in _CODE))
