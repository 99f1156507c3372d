"""Exact Shapley values of scikit-learn's tree models: path-dependent, as TreeSHAP defines them (Lundberg et al. 2020).

The game of a tree: features outside the coalition follow each branch by the share of training rows that took it. A
leaf of value v whose path meets d features, of which x satisfies o_j (0 or 1) and a share z_j of the training rows goes
its way, gives feature i the value ``(o_i - z_i) v ∫ Π_{j≠i} (o_j t + z_j (1 - t)) dt`` over t from 0 to 1, because the
Shapley weight |S|!(d-|S|-1)!/d! is the integral of t^|S| (1-t)^(d-1-|S|). The integrand is a polynomial of degree d - 1 and
Gauss-Legendre with ⌈d/2⌉ nodes is exact on it; every factor is in [0, 1], so nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CELLS = 4_000_000
"""Numbers held at once: rows are taken in chunks of this size."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A binary tree as arrays over its nodes: ``left`` is -1 at a leaf; ``x <= threshold`` goes left, NaN as ``missing_left``."""

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[Any]
    missing_left: NDArray[Any]
    value: NDArray[Any]
    cover: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaves of a tree: value (L,); per slot of the path the feature, its interval (low, high], NaN's way, the share z."""

    value: NDArray[Any]
    feature: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    missing: NDArray[Any]
    share: NDArray[Any]
    base: float


def leaves_of(tree: Tree) -> Leaves:
    """The paths of a tree; a slot that is not used has the whole line and share 1, which changes nothing."""
    import numpy as np

    inf = float("inf")
    found: list[tuple[float, dict[int, tuple[float, float, bool, float]]]] = []
    stack: list[tuple[int, dict[int, tuple[float, float, bool, float]]]] = [(0, {})]
    while stack:
        node, path = stack.pop()
        if tree.left[node] < 0:
            found.append((float(tree.value[node]), path))
            continue
        name, cut = int(tree.feature[node]), float(tree.threshold[node])
        low, high, missing, share = path.get(name, (-inf, inf, True, 1.0))
        down_left = bool(tree.missing_left[node])
        for child, interval, way in (
            (int(tree.left[node]), (low, min(high, cut)), down_left),
            (int(tree.right[node]), (max(low, cut), high), not down_left),
        ):
            part = float(tree.cover[child]) / float(tree.cover[node])
            stack.append((child, {**path, name: (*interval, missing and way, share * part)}))
    depth = max((len(path) for _, path in found), default=0) or 1
    rows = [
        [(f, *slot) for f, slot in path.items()] + [(0, -inf, inf, True, 1.0)] * (depth - len(path))
        for _, path in found
    ]
    columns = [np.array([[slot[i] for slot in row] for row in rows]) for i in range(5)]
    value = np.array([v for v, _ in found])
    base = float((value * columns[4].prod(axis=1)).sum())
    return Leaves(value, columns[0].astype(np.int64), columns[1], columns[2], columns[3].astype(bool), columns[4], base)


def shapley(trees: Sequence[Leaves], rows: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """(base, values of shape (n, features)) of the sum of trees, float64; rows (n, features) with NaN where missing."""
    import numpy as np

    n, width = rows.shape
    values = np.zeros(n * width)
    for tree in trees:
        leaf_count, depth = tree.feature.shape
        nodes, weights = np.polynomial.legendre.leggauss((depth + 1) // 2)
        nodes, weights = (nodes + 1) / 2, weights / 2
        step = max(1, CELLS // (leaf_count * depth * len(nodes)))
        for start in range(0, n, step):
            x = rows[start : start + step][:, tree.feature]
            holds = np.where(np.isnan(x), tree.missing, (x > tree.low) & (x <= tree.high)).astype(np.float64)
            given = _slots(holds, tree, nodes, weights)
            place = np.arange(start, start + len(x))[:, None, None] * width + tree.feature
            values += np.bincount(place.ravel(), given.ravel(), minlength=n * width)
    return sum(t.base for t in trees), values.reshape(n, width)


def _slots(holds: NDArray[Any], tree: Leaves, nodes: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Shapley values of every slot of every leaf, (rows, leaves, slots)."""
    import numpy as np

    factor = holds[..., None] * nodes + tree.share[..., None] * (1 - nodes)
    whole = factor.prod(axis=2, keepdims=True)
    # a factor of 0 needs z = 0 and o = 0: the slot's own value is 0 then, and its quotient is never used
    others = np.divide(whole, factor, out=np.zeros_like(factor), where=factor > 0)
    found: NDArray[Any] = (holds - tree.share) * tree.value[:, None] * (others @ weights)
    return found


# ---------------------------------------------------------------- scikit-learn's models as trees


def _plain(tree: Any, scale: float, column: int) -> Tree:
    import numpy as np

    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, missing,
                tree.value[:, 0, column] * scale, tree.weighted_n_node_samples)  # fmt: skip


def _hist(nodes: Any) -> Tree:
    import numpy as np

    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    return Tree(left, nodes["right"].astype(np.int64), nodes["feature_idx"], nodes["num_threshold"], nodes["missing_go_to_left"],
                nodes["value"], nodes["count"])  # fmt: skip


def ensemble(model: Any) -> tuple[list[Leaves], float, bool] | None:
    """(trees, what is added to their sum, whether rows are cut to float32 first) of a scikit-learn tree model, else None.

    None also for several outputs, categorical splits, and a start that is no constant: these are explained by sampling.
    """
    import math

    if hasattr(model, "_predictors") and hasattr(model, "_baseline_prediction"):
        rounds = model._predictors  # noqa: SLF001 - scikit-learn offers these arrays in no other way
        if any(len(r) != 1 or r[0].nodes["is_categorical"].any() for r in rounds):
            return None
        return [leaves_of(_hist(r[0].nodes)) for r in rounds], float(model._baseline_prediction.ravel()[0]), False  # noqa: SLF001
    module = type(model).__module__
    if module.startswith("sklearn.ensemble._gb") and model.estimators_.shape[1] == 1:
        start, init = 0.0, model.init_
        if hasattr(init, "class_prior_") and len(init.class_prior_) == 2:
            start = math.log(init.class_prior_[1] / init.class_prior_[0])
        elif hasattr(init, "constant_"):
            start = float(init.constant_.ravel()[0])
        elif init != "zero":
            return None
        return [leaves_of(_plain(e.tree_, model.learning_rate, 0)) for e in model.estimators_[:, 0]], start, True
    members = (
        list(model.estimators_) if module == "sklearn.ensemble._forest" else [model] if hasattr(model, "tree_") else []
    )
    classes = getattr(model, "n_classes_", 1)
    if not members or getattr(model, "n_outputs_", 1) != 1 or classes not in (1, 2):
        return None
    return [leaves_of(_plain(m.tree_, 1 / len(members), classes - 1)) for m in members], 0.0, True
