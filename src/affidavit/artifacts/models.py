"""Models brought to life from a verified folder, each by its own library, imported when first needed.

No pickle is ever loaded here: ``pickle``, ``joblib`` and ``opaque`` artifacts give their folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affidavit.artifacts.artifact import File
from affidavit.artifacts.formats import sniff
from affidavit.core.errors import Invalid

INSTALL = {
    "lightgbm": ("lightgbm", "lightgbm"), "xgboost": ("xgboost", "xgboost"), "skops": ("skops.io", "skops"),
    "onnx": ("onnxruntime", "onnxruntime"), "safetensors": ("safetensors.numpy", "safetensors"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scorer:
    """A binary classifier seen from outside: the columns it takes, and a score in [0, 1] per row."""

    features: tuple[str, ...]
    score: Callable[[Any], Any]


def library(name: str) -> Any:
    """The library of a format, or ``Invalid`` with what to install."""
    module, package = INSTALL[name]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Invalid(
            f"{name} models need {package}, which is not installed.", next_step=f"pip install {package}"
        ) from None


def load(declared: str, folder: Path, files: Sequence[File]) -> Any:
    """The model object of a verified folder; the folder itself where there is no safe loader."""
    if declared not in INSTALL:
        return folder
    path = _main(declared, folder, files)
    lib = library(declared)
    if declared == "lightgbm":
        return lib.Booster(model_file=str(path))
    if declared == "xgboost":
        booster = lib.Booster()
        booster.load_model(str(path))
        return booster
    if declared == "skops":
        return lib.load(str(path), trusted=[])
    if declared == "onnx":
        return lib.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lib.load_file(str(path))


def _main(declared: str, folder: Path, files: Sequence[File]) -> Path:
    """The file of the declared format."""
    for f in files:
        path = folder / f.path
        with path.open("rb") as source:
            if sniff(f.path, source, f.bytes) == declared:
                return path
    raise Invalid(f"no file of the artifact is a {declared} model.", next_step="register it with its true format.")


def scorer(declared: str, model: Any) -> Scorer:
    """How to score rows with a loaded model. Raises ``Invalid`` for formats without named features."""
    if declared == "lightgbm":
        return Scorer(tuple(model.feature_name()), model.predict)
    if declared == "xgboost":
        lib = library("xgboost")
        names = tuple(model.feature_names or ())
        if names:
            return Scorer(names, lambda rows: model.predict(lib.DMatrix(rows, feature_names=list(names))))
    if declared == "skops":
        names = tuple(str(n) for n in getattr(model, "feature_names_in_", ()))
        if names and hasattr(model, "predict_proba"):
            return Scorer(names, lambda rows: model.predict_proba(rows)[:, 1])
    raise Invalid(
        f"a {declared} model that names its features is needed to be evaluated here.",
        next_step="use lightgbm, xgboost with feature names, or a scikit-learn classifier saved by skops.",
    )
