"""Attributions: what each input added to a model's raw margin. Pure numbers; model libraries are used as they come.

``base + sum of values = margin`` on each row. Three methods, told by the model: ``tree`` (exact and path-dependent:
LightGBM's and XGBoost's own, ``tree_shapley`` for scikit-learn), ``linear`` (exact: coefficient times distance from the
background's mean), ``sampled`` for the rest (Shapley values over permutations drawn by seed, each followed by its
reverse, against a background set). The margin is log-odds where the model has them, else its probability or number.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from affidavit.core import canonical
from affidavit.core.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["tree", "linear", "sampled"]
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
"""Largest gap of sum and margin; of float32 it is times ``max(1, |margin|)``."""
SAMPLES = 32
"""Permutations of the sampled method, their reverses included."""
MOST_BACKGROUND = 1_000
_SAMPLED = "affidavit:antithetic-permutations-{n}/1"
_LINEAR = "affidavit:linear/1"
_TREES = "affidavit:path-dependent-trees/1"


@dataclass(frozen=True, slots=True)
class Attributions:
    """Of n rows and f features: ``base`` (n,), ``values`` (n, f), ``margin`` (n,), all float64; ``gap`` the worst of sum and margin.

    ``spread`` (n, f) is the standard error of a sampled value, None where values are exact. ``dtype`` is the precision
    the model's library works in; ``additive`` says that no row's gap exceeds its tolerance.
    """

    base: NDArray[Any]
    values: NDArray[Any]
    margin: NDArray[Any]
    method: Method
    explainer: str
    dtype: str
    additive: bool
    gap: float
    spread: NDArray[Any] | None = None


Parts = tuple[Any, Any, Any, Any]
"""(base, values, margin, spread or None) of rows."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """A model made ready to be explained: its method and name, its margin, and what computes the parts of rows."""

    method: Method
    name: str
    dtype: str
    margin: Callable[[Any], Any]
    parts: Callable[[Any], Parts]

    def __call__(self, rows: NDArray[Any]) -> Attributions:
        """The attributions of rows (n, f), NaN where a value is missing. A row that is explained alone gives the same."""
        import numpy as np

        base, values, margin, spread = self.parts(rows)
        base, values = np.broadcast_to(np.asarray(base, float), margin.shape), np.asarray(values, float)
        margin = np.asarray(margin, float)
        gaps = np.abs(values.sum(axis=1) + base - margin)
        scale = np.maximum(1, np.abs(margin)) if self.dtype == "float32" else 1.0
        additive = bool((gaps <= TOLERANCE[self.dtype] * scale).all())
        gap = float(gaps.max(initial=0.0))
        return Attributions(base, values, margin, self.method, self.name, self.dtype, additive, gap, spread)


def attribute(
    declared: str | None, model: Any, features: Sequence[str], rows: Any, *, background: Any = None, seed: int = 0,
    samples: int = SAMPLES,
) -> Attributions:  # fmt: skip
    """Attributions of ``rows`` (n, features) by the model's method; see ``explainer``. Raises ``Invalid``."""
    import numpy as np

    return explainer(declared, model, features, background=background, seed=seed, samples=samples)(
        np.asarray(rows, float)
    )


def explainer(
    declared: str | None, model: Any, features: Sequence[str], *, background: Any = None, seed: int = 0, samples: int = SAMPLES
) -> Explainer:  # fmt: skip
    """The model ready to be explained. ``declared`` is the artifact's format, None to tell it from the object.

    ``background`` (m, features), at most 1,000 rows, is needed by all but trees. Raises ``Invalid`` for a model of several
    outputs, or one that no method fits.
    """
    import numpy as np

    kind = declared if declared in ("lightgbm", "xgboost", "onnx") else type(model).__module__.split(".")[0]
    model = getattr(model, "booster_", model) if kind == "lightgbm" else model
    if kind == "lightgbm":
        return _lightgbm(model)
    if kind == "xgboost":
        return _xgboost(model.get_booster() if hasattr(model, "get_booster") else model, features)
    from affidavit.streams import tree_shapley

    trees = tree_shapley.ensemble(model)
    if trees is not None:
        return _trees(model, trees)
    if background is None:
        raise Invalid(
            f"a {type(model).__name__} is explained against a background set, and none was given.",
            next_step="measure its explainer first: affidavit decisions measure-explainer VERSION --data FILE.",
        )
    ground = np.asarray(background, float)
    if ground.ndim != 2 or ground.shape[1] != len(features) or not 0 < len(ground) <= MOST_BACKGROUND:
        raise Invalid(
            f"background: {ground.shape}; 1 to {MOST_BACKGROUND} rows of {len(features)} features are needed.",
            next_step="give rows of the model's own features.",
        )
    margin = _onnx(model) if kind == "onnx" else margin_of(model)
    return _linear(model, margin, ground) or _sampled(margin, ground, seed, samples)


# ---------------------------------------------------------------- exact: trees and lines


def _single(shape: tuple[int, ...], width: int) -> None:
    if len(shape) != 2 or shape[1] != width:
        raise Invalid(
            "the model has several outputs.", next_step="explain a model of one margin (binary, or a number)."
        )


def _lightgbm(model: Any) -> Explainer:
    width = model.num_feature() + 1

    def parts(rows: Any) -> Parts:
        found = model.predict(rows, pred_contrib=True)
        _single(found.shape, width)
        return found[:, -1], found[:, :-1], margin(rows), None

    def margin(rows: Any) -> Any:
        return model.predict(rows, raw_score=True)

    return Explainer(
        "tree", f"lightgbm-{importlib.import_module('lightgbm').__version__}:pred_contrib", "float64", margin, parts
    )


def _xgboost(model: Any, features: Sequence[str]) -> Explainer:
    lib = importlib.import_module("xgboost")
    names = list(features) if model.feature_names else None

    def predicted(rows: Any, **how: bool) -> Any:
        return model.predict(lib.DMatrix(rows, feature_names=names), **how)

    def parts(rows: Any) -> Parts:
        found = predicted(rows, pred_contribs=True)
        _single(found.shape, len(features) + 1)
        return found[:, -1], found[:, :-1], margin(rows), None

    def margin(rows: Any) -> Any:
        return predicted(rows, output_margin=True)

    return Explainer("tree", f"xgboost-{lib.__version__}:pred_contribs", "float32", margin, parts)


def _trees(model: Any, found: tuple[Any, float, bool]) -> Explainer:
    import numpy as np

    from affidavit.streams import tree_shapley

    leaves, start, single = found
    margin = margin_of(model)

    def parts(rows: Any) -> Parts:
        seen = rows.astype(np.float32).astype(np.float64) if single else rows
        base, values = tree_shapley.shapley(leaves, seen)
        return base + start, values, margin(rows), None

    return Explainer("tree", _TREES, "float64", margin, parts)


def _linear(model: Any, margin: Callable[[Any], Any], ground: Any) -> Explainer | None:
    """None unless the margin is the coefficients' own sum (a link function, a kernel or a pipeline makes it another)."""
    import numpy as np

    weights, offset = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    if weights is None or offset is None or np.size(weights) != ground.shape[1] or np.size(offset) != 1:
        return None
    line, start = np.asarray(weights, float).ravel(), float(np.ravel(offset)[0])
    if not np.allclose(margin(ground), ground @ line + start, rtol=1e-9, atol=1e-9):
        return None
    mean = ground.mean(axis=0)

    def parts(rows: Any) -> Parts:
        return mean @ line + start, (rows - mean) * line, margin(rows), None

    return Explainer("linear", _LINEAR, "float64", margin, parts)


# ---------------------------------------------------------------- any model


def margin_of(model: Any) -> Callable[[Any], Any]:
    """The number that is explained, per row: decision function, else probability of the second class, else prediction."""
    import numpy as np

    ask = next((a for a in ("decision_function", "predict_proba", "predict") if hasattr(model, a)), None)
    if ask is None and not callable(model):
        raise Invalid(
            f"a {type(model).__name__} cannot be asked for a number.", next_step="use a model with `predict`."
        )
    run = getattr(model, ask) if ask else model

    def margin(rows: Any) -> Any:
        with warnings.catch_warnings():
            # rows come without names, in the order the model names its features: the warning about that is expected
            warnings.filterwarnings("ignore", message=".*valid feature names.*")
            found = np.asarray(run(rows), float)
        if found.ndim == 2:
            _single((len(found), found.shape[1] - (found.shape[1] == 2)), 1)
            found = found[:, -1]
        return found

    return margin


def _onnx(session: Any) -> Callable[[Any], Any]:
    """One matrix as input, or a column a feature; the first output of floats is the number, or the probability."""
    import numpy as np

    given = [i.name for i in session.get_inputs()]
    wanted = [o.name for o in session.get_outputs() if "float" in o.type or "double" in o.type][:1]

    def run(rows: Any) -> Any:
        single = rows.astype(np.float32)
        feed = {n: single[:, i : i + 1] for i, n in enumerate(given)} if len(given) > 1 else {given[0]: single}
        return session.run(wanted, feed)[0]

    return margin_of(run)


def permutations(width: int, samples: int, seed: int) -> list[list[int]]:
    """``samples`` orders of the features, each second one the reverse of that before it. By SHA-256 of seed and place, so that
    no library's generator can change them.
    """  # fmt: skip
    found: list[list[int]] = []
    for n in range(max(1, samples // 2)):
        key = [hashlib.sha256(f"permutation\0{seed}\0{n}\0{i}".encode()).digest() for i in range(width)]
        order = sorted(range(width), key=key.__getitem__)
        found += [order, order[::-1]]
    return found


def _sampled(margin: Callable[[Any], Any], ground: Any, seed: int, samples: int) -> Explainer:
    import numpy as np

    width = ground.shape[1]
    orders = permutations(width, samples, seed)
    base = float(margin(ground).mean())

    def row(x: Any) -> tuple[Any, Any]:
        """Mean and standard error over pairs of orders: from the background to x, one feature after the other."""
        seen = np.zeros((len(orders), width))
        for place, order in enumerate(orders):
            steps = np.repeat(ground[None], width + 1, axis=0)
            for k, feature in enumerate(order):
                steps[k + 1 :, :, feature] = x[feature]
            means = margin(steps.reshape(-1, width)).reshape(width + 1, -1).mean(axis=1)
            seen[place, order] = np.diff(means)
        pairs = (seen[0::2] + seen[1::2]) / 2
        error = pairs.std(axis=0, ddof=1) / math.sqrt(len(pairs)) if len(pairs) > 1 else np.full(width, np.nan)
        return pairs.mean(axis=0), error

    def parts(rows: Any) -> Parts:
        found = [row(x) for x in rows]
        values = np.array([v for v, _ in found]).reshape(len(rows), width)
        return base, values, margin(rows), np.array([e for _, e in found]).reshape(len(rows), width)

    return Explainer("sampled", _SAMPLED.format(n=len(orders)), "float64", margin, parts)


# ---------------------------------------------------------------- features, backgrounds, rows of the stream


def features_of(model: Any, offered: Sequence[str]) -> tuple[str, ...]:
    """The features of a model in its own order; ``offered`` (the recorded inputs) where it names none. Raises ``Invalid``."""
    names, known = _names(model), {o.replace(" ", "_") for o in offered} | set(offered)  # LightGBM writes blanks as _
    if absent := [n for n in names if n not in known]:
        raise Invalid(
            f"the model takes {absent[0]!r}, which the record does not hold.",
            next_step="record every input under the name the model knows it by.",
        )
    return names or tuple(offered)


def _names(model: Any) -> tuple[str, ...]:
    for attribute in ("feature_name", "feature_names", "feature_name_", "feature_names_in_"):
        found = getattr(model, attribute, None)
        found = found() if callable(found) else found
        if found is not None and len(found):
            return tuple(map(str, found))
    inputs = model.get_inputs() if hasattr(model, "get_inputs") else ()
    return tuple(i.name for i in inputs) if len(inputs) > 1 else ()


def row_of(features: Sequence[str], inputs: Mapping[str, Any]) -> list[float]:
    """Inputs by name as numbers in the order of the features; None is NaN. Raises ``Invalid`` for text and absent ones."""
    found = []
    for name in features:
        value = inputs.get(name, inputs.get(f"in.{name}", ""))
        if value is not None and not isinstance(value, (bool, int, float)) and not hasattr(value, "__float__"):
            raise Invalid(f"{name}: {str(value)[:40]!r} is no number.", next_step="record it as the model takes it.")
        found.append(math.nan if value is None else float(value))
    return found


def background_bytes(features: Sequence[str], rows: Any) -> bytes:
    """A background set as bytes: a canonical line with features and row count, then the rows in binary64, little-endian."""
    import numpy as np

    head = canonical.encode({"features": list(features), "rows": len(rows), "v": 1})
    return head + b"\n" + np.ascontiguousarray(rows, dtype="<f8").tobytes()


def read_background(body: bytes) -> tuple[tuple[str, ...], Any]:
    """(features, rows) of ``background_bytes``. Raises ``Invalid``."""
    import numpy as np

    head, _, rest = body.partition(b"\n")
    value = canonical.decode(head)
    if not isinstance(value, dict) or set(value) != {"features", "rows", "v"} or value["v"] != 1:
        raise Invalid("that is no background set.", next_step="measure the explainer again.")
    shape = (value["rows"], len(value["features"]))
    if len(rest) != 8 * shape[0] * shape[1]:
        raise Invalid("the background set is cut short.", next_step="restore it, or measure the explainer again.")
    return tuple(value["features"]), np.frombuffer(rest, "<f8").reshape(shape)


def columns_of(
    found: Attributions, index: int, features: Sequence[str], background: bytes | None, seed: int
) -> dict[str, Any]:
    """What one row of ``found`` leaves in a row of the explanations stream; decision, time and version are the caller's."""
    import numpy as np

    return {
        "background": hashlib.sha256(background).digest() if background is not None else None, "seed": seed,
        "base": float(found.base[index]), "margin": float(found.margin[index]), "additive": found.additive,
        "method": found.method, "explainer": found.explainer, "features": canonical.encode(list(features)).decode(),
        "attributions": np.ascontiguousarray(found.values[index], dtype="<f8").tobytes(),
    }  # fmt: skip


def explainer_for(
    model: Any,
    features: Sequence[str],
    declared_format: str | None = None,
    background: bytes | None = None,
    seed: int = 0,
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A callable for a serving process: inputs by name in, the columns of a row of the explanations stream out.

    ``background`` are the bytes that ``background_bytes`` made. What can be prepared is prepared once, here.
    """
    import numpy as np

    ground = read_background(background)[1] if background is not None else None
    run = explainer(declared_format, model, features, background=ground, seed=seed)

    def explain(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return columns_of(run(np.array([row_of(features, inputs)])), 0, features, background, seed)

    return explain
