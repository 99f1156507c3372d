"""Measuring a version's explainer: the exact artifact, on the split of its evaluation plan, by the plan in force."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain import fidelity
from affidavit.areas.decisions.explain.rules import CONTROLS, in_force
from affidavit.artifacts import artifact, models
from affidavit.core import canonical
from affidavit.core import digest as digests
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import dec6
from affidavit.streams import attributions as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_ROWS = 20
_CODE = (
    ("affidavit.areas.decisions.explain", ("fidelity", "measure")),
    ("affidavit.streams", ("attributions", "tree_shapley")),
    ("affidavit.artifacts", ("artifact", "formats", "models")),
)


def measure_explainer(request: c.MeasureExplainer, desk: Desk) -> tuple[c.RecordExplainer, Any]:
    """Background and judged rows are drawn by seed from the split, apart from one another; both are named by digest."""
    model, _, number = request.version.partition("/")
    version = desk.ask("registry.version", model, int(number))
    if version is None:
        raise NotFound(f"no version {request.version}.", next_step=f"`affidavit registry versions {model}` lists them.")
    plan = in_force(desk.ask("decisions.explainer_in_force", model), model)
    evaluated = desk.ask("registry.plan_in_force", model)
    if evaluated is None:
        raise NotFound(
            f"no evaluation plan is in force for {model}: it names the data.",
            next_step="affidavit registry propose-plan.",
        )
    with _folder() as folder:
        declared, files = artifact.restore(desk, version["artifact"], folder)
        found = models.load(declared, folder, files)
        if found is folder:
            raise Refused(
                "black_box", f"{request.version} is {declared}: nothing can load it to explain it.",
                next_step="register it in a format that is explained: lightgbm, xgboost, skops, onnx.", controls=CONTROLS,
            )  # fmt: skip
        features, rows, ground = _rows(request, desk, evaluated, found)
        measured = _measured(declared, found, features, rows, ground, request.seed)
    background = desk.attach(at.background_bytes(features, ground), "application/octet-stream", "background")
    results = desk.attach(canonical.encode(measured["results"]), "application/json", "fidelity")
    seeds = tuple(request.seed + i for i in range(fidelity.DRAWS + 1))
    command = c.RecordExplainer(
        request.version, plan["id"], version["artifact"], measured["method"], measured["explainer"], background.digest,
        evaluated["dataset"], evaluated["split"], len(rows), seeds, dec6(measured["gain"]), dec6(measured["stability"]),
        dec6(measured["gap"]), measured["additive"], code_digest(), results,
    )  # fmt: skip
    return command, {
        "deletion_gain": command.deletion_gain,
        "stability": command.stability,
        "background": background.digest,
    }


def _measured(
    declared: str, model: Any, features: tuple[str, ...], rows: NDArray[Any], ground: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Both numbers and what they came from. The draws begin with the explanation as it is given."""
    ready = at.explainer(declared, model, features, background=ground, seed=seed)
    found = ready(rows)
    gain, ours, chance = fidelity.deletion(ready.margin, rows, found, ground, seed)
    draws = [found.values]
    for i in range(1, fidelity.DRAWS + 1):
        if found.method == "tree":
            draws.append(ready(fidelity.nudged(rows, ground, seed + i)).values)
        else:
            other = fidelity.bootstrap(ground, seed + i)
            draws.append(at.attribute(declared, model, features, rows, background=other, seed=seed + i).values)
    least, pairs = fidelity.stability(draws)
    results = {
        "features": list(features), "rows": len(rows), "background_rows": len(ground), "orders": fidelity.ORDERS,
        "deletion_explained": [dec6(v) for v in ours.tolist()], "deletion_random": [dec6(v) for v in chance.tolist()],
        "rank_agreement": [dec6(v) for v in pairs],
    }  # fmt: skip
    return {"method": found.method, "explainer": found.explainer, "gain": gain, "stability": least, "gap": found.gap,
            "additive": found.additive, "results": results}  # fmt: skip


def _rows(
    request: c.MeasureExplainer, desk: Desk, plan: dict[str, Any], model: Any
) -> tuple[tuple[str, ...], Any, Any]:
    """(features, judged rows, background) from the registered bytes of the plan's dataset; the split is the measured one."""
    import numpy as np

    name = plan["dataset"].removeprefix("dataset:")
    record = desk.ask("lineage.dataset", name)
    if record is None:
        raise NotFound(f"no {plan['dataset']}.", next_step="register it: affidavit lineage register-dataset.")
    table = _table(desk, request.data, record["content"], plan["dataset"])
    named = _column(table, request.split_column).astype(str)
    split = np.flatnonzero(named == plan["split"])
    index = digests.of_bytes(("\n".join(map(str, split.tolist())) + "\n").encode())
    part = next((s for s in desk.ask("lineage.splits", name) if s["name"] == plan["split"]), None)
    if part is None or part["content"] != index:
        raise Refused(
            "rows_differ", f"column {request.split_column} does not give the split {plan['split']} as it was measured.",
            next_step="name the column by which the split was measured (affidavit lineage measure-splits).", controls=CONTROLS,
        )  # fmt: skip
    order = np.argsort(fidelity.uniform(f"rows\0{request.seed}", split.shape), kind="stable")
    ground, judged = split[order[: request.background]], split[order[request.background :][: request.rows]]
    if len(judged) < LEAST_ROWS:
        raise Invalid(
            f"{len(split)} rows of the split leave {len(judged)} to judge; at least {LEAST_ROWS}.",
            next_step="ask for a smaller background, or plan the evaluation on a larger split.",
        )
    features = at.features_of(model, [n for n in table.column_names if n != request.split_column])
    matrix = np.array([_numbers(table, f) for f in features]).T
    return features, matrix[judged], matrix[ground]


def _numbers(table: Any, name: str) -> Any:
    try:
        return _column(table, name).astype(float)
    except (TypeError, ValueError):
        raise Invalid(f"feature {name!r} is not numeric.", next_step="encode it as the model was trained.") from None


def _column(table: Any, name: str) -> Any:
    known = {n: n for n in table.column_names} | {n.replace(" ", "_"): n for n in table.column_names}
    if name not in known:
        raise Invalid(f"the data has no column {name!r}.", next_step=f"columns: {', '.join(table.column_names[:20])}.")
    return table.column(known[name]).to_numpy(zero_copy_only=False)


def _table(desk: Desk, path: str, content: str, dataset: str) -> Any:
    """The data as an Arrow table, if it is the registered dataset version byte for byte."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    with desk.source(path) as source:
        body = source.read()
    if digests.of_bytes(body) != content:
        raise Invalid(
            f"data: {path} is {digests.of_bytes(body)}; {dataset} is {content}.", next_step="give the registered file."
        )
    reader = pa.BufferReader(body)
    try:
        return pq.read_table(reader) if body[:4] == b"PAR1" else csv.read_csv(reader)
    except pa.ArrowException as e:
        raise Invalid(f"the data cannot be read: {e}.", next_step="give Parquet or CSV with a header line.") from None


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="affidavit-") as name:
        yield Path(name)


def code_digest() -> str:
    """SHA-256 over the bytes of the measuring modules of this release."""
    state = hashlib.sha256()
    for package, names in _CODE:
        for name in names:
            state.update(name.encode() + b"\0" + resources.files(package).joinpath(f"{name}.py").read_bytes())
    return "sha256:" + state.hexdigest()
