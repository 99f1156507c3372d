"""The tasks of a confined child, by name: ``module:function`` of ``function(model, declared_format, payload) -> dict``.

``predict`` stands here. A model is loaded by the library of its declared format; nothing that runs code when it is
loaded (pickle, joblib) is, nor what no library is known for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affidavit.artifacts import models
from affidavit.artifacts.artifact import File
from affidavit.core.errors import Invalid

TASKS: dict[str, str] = {
    "predict": "affidavit.sandbox.tasks:predict",
    "explain": "affidavit.sandbox.tasks:explain",
}
LOADABLE = ("lightgbm", "xgboost", "skops", "onnx")
WHY_NOT = {
    "pickle": "a pickle runs code when it is loaded",
    "joblib": "joblib files are pickles, which run code when they are loaded",
    "opaque": "nothing says how to load an opaque artifact",
    "safetensors": "safetensors hold weights and no model to run them",
}


class Failed(Exception):
    """A task that cannot be done; ``code`` says at which step: ``unloadable``, ``features``, ``failed``."""

    def __init__(self, code: str, problem: str, next_step: str = "") -> None:
        super().__init__(problem)
        self.code, self.problem, self.next_step = code, problem, next_step


def perform(request: Mapping[str, Any], folder: Path) -> Any:
    """Load the model of a request and do its task."""
    module, _, name = TASKS[request["task"]].partition(":")
    declared = str(request["format"])
    files = [File(str(path), int(size), "") for path, size in request["files"]]
    function = getattr(importlib.import_module(module), name)
    return function(_loaded(declared, folder, files), declared, request["payload"])


def _loaded(declared: str, folder: Path, files: list[File]) -> Any:
    try:
        return models.load(declared, folder, files)
    except (Invalid, MemoryError):
        raise
    except Exception as e:  # noqa: BLE001 - each library has its own kinds of errors
        problem = f"{declared} does not load it: {type(e).__name__}: {e}"
        raise Failed("unloadable", problem, "restore the artifact, or the library version it was made with.") from None


def explain(model: Any, declared: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Attributions of rows: ``payload`` has ``rows`` and ``columns`` as a part of ``predict``, ``background`` and ``seed``.

    ``background`` is ``{"features": names, "rows": array}`` or None. The answer holds what ``attribute`` gives, by name.
    """
    attributions = importlib.import_module("affidavit.streams.attributions")
    features = attributions.features_of(model, tuple(payload["columns"]))
    matrix = _matrix(features, payload, getattr(model, "pandas_categorical", None) or [])
    ground = payload["background"]
    if ground is not None and tuple(ground["features"]) != features:
        raise Failed("features", "the background set has other features than the model takes.")
    rows = None if ground is None else ground["rows"]
    found = attributions.attribute(declared, model, features, matrix, background=rows, seed=payload["seed"])
    names = ("values", "base", "margin", "method", "explainer", "dtype", "additive", "gap")
    return {"features": list(features), **{n: getattr(found, n) for n in names}}


# ---------------------------------------------------------------- predict


def predict(model: Any, declared: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of rows. ``payload`` is ``{"parts": [{"rows": n, "columns": {feature: [value or None]}}]}``.

    Per part: ``{"outputs": {name: array}, "labels": list or None, "failed": {row: why}}`` or ``{"code", "problem"}`` where
    the part cannot be scored at all. Outputs are ``score``, or one of several by number or class; of two classes also
    ``score``, that of the second. None is a missing value (NaN) to the model.
    """
    scorer = _scorer(declared, model, payload["parts"])
    return {"features": list(scorer.features), "parts": [_part(scorer, model, declared, p) for p in payload["parts"]]}


def _scorer(declared: str, model: Any, parts: list[Any]) -> models.Scorer:
    """As evaluation scores, and every output of a classifier.

    A model without names of features takes the recorded columns in their order, if they are as many.
    """
    offered = tuple(parts[0]["columns"]) if parts else ()
    if declared == "onnx":
        return _onnx(model, offered)
    if declared == "skops" and hasattr(model, "predict"):
        names = tuple(str(n) for n in getattr(model, "feature_names_in_", ()))
        if names or len(offered) == getattr(model, "n_features_in_", -1):
            return models.Scorer(names or offered, getattr(model, "predict_proba", model.predict))
    if declared == "xgboost" and not model.feature_names and len(offered) == model.num_features():
        lib = models.library("xgboost")
        return models.Scorer(offered, lambda rows: model.predict(lib.DMatrix(rows)))
    try:
        return models.scorer(declared, model)
    except Invalid:
        problem = f"the {declared} model does not name its features."
        raise Failed("features", problem, "save it with feature names.") from None


def _onnx(session: Any, offered: tuple[str, ...]) -> models.Scorer:
    """An input for each feature, or one of all in the order recorded; the first output of floats, which is no label."""
    import numpy as np

    inputs = tuple(str(i.name) for i in session.get_inputs())
    wanted = [o.name for o in session.get_outputs() if "float" in o.type or "double" in o.type][:1]

    def score(rows: Any) -> Any:
        whole = rows.astype(np.float32)
        feed = {n: whole[:, i : i + 1] for i, n in enumerate(inputs)} if len(inputs) > 1 else {inputs[0]: whole}
        return session.run(wanted, feed)[0]

    return models.Scorer(inputs if len(inputs) > 1 else offered, score)


def _part(scorer: models.Scorer, model: Any, declared: str, part: Mapping[str, Any]) -> dict[str, Any]:
    try:
        matrix = _matrix(scorer.features, part, getattr(model, "pandas_categorical", None) or [])
    except Failed as e:
        return {"code": e.code, "problem": e.problem}
    classifier = model if declared == "skops" and hasattr(model, "predict_proba") else None
    try:
        return _outputs(scorer, classifier, matrix)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - one row may have spoilt all: each is scored alone below
        return _one_by_one(scorer, classifier, matrix)


def _outputs(scorer: models.Scorer, classifier: Any, matrix: Any) -> dict[str, Any]:
    """Outputs of rows by name; ``classifier`` names its classes and gives labels of its own."""
    import numpy as np

    scores = np.asarray(scorer.score(matrix), "f8")
    if scores.ndim > 1 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim == 1:
        return {"outputs": {"score": scores}, "labels": None, "failed": {}}
    classes = range(scores.shape[1]) if classifier is None else classifier.classes_
    named = {str(k): np.ascontiguousarray(scores[:, i]) for i, k in enumerate(classes)}
    if len(named) == 2:
        named["score"] = np.ascontiguousarray(scores[:, 1])
    said = None if classifier is None else np.asarray(classifier.predict(matrix)).tolist()
    return {"outputs": named, "labels": said, "failed": {}}


def _one_by_one(scorer: models.Scorer, classifier: Any, matrix: Any) -> dict[str, Any]:
    """Row by row, so that a row the model refuses does not take the others with it."""
    import numpy as np

    done: dict[int, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for n in range(len(matrix)):
        try:
            done[n] = _outputs(scorer, classifier, matrix[n : n + 1])
        except Exception as e:  # noqa: BLE001 - as above
            failed[str(n)] = f"{type(e).__name__}: {e}"[:200]
    names = next((list(d["outputs"]) for d in done.values()), [])
    outputs = {k: np.full(len(matrix), np.nan) for k in names}
    for n, one in done.items():
        for k in names:
            outputs[k][n] = one["outputs"][k][0]
    said = None if classifier is None else [done[n]["labels"][0] if n in done else None for n in range(len(matrix))]
    return {"outputs": outputs, "labels": said, "failed": failed}


def _matrix(features: tuple[str, ...], part: Mapping[str, Any], categories: list[list[Any]]) -> Any:
    """Columns by the model's names, as float64. Raises ``Failed`` for one that is missing or cannot be a number.

    LightGBM writes blanks in names as ``_`` and keeps the categories of text columns in their order.
    """
    import numpy as np

    given = dict(part["columns"])
    given |= {name.replace(" ", "_"): values for name, values in given.items() if " " in name}
    missing = [f for f in features if f not in given]
    if missing:
        raise Failed("column-missing", f"the record has no input {missing[0]!r}, which the model takes.")
    texts = [f for f in features if any(isinstance(v, str) for v in given[f])]
    if texts and len(texts) != len(categories):
        raise Failed("type", f"the recorded input {texts[0]!r} is text; the model takes numbers.")
    codes = {f: {v: float(n) for n, v in enumerate(known)} for f, known in zip(texts, categories, strict=False)}
    columns = [[codes[f].get(v, np.nan) for v in given[f]] if f in codes else given[f] for f in features]
    return np.array([[np.nan if v is None else v for v in c] for c in columns], "f8").T.reshape(part["rows"], -1)
