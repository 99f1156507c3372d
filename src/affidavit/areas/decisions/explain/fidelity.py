"""Is an explanation faithful? Two numbers about a version's explainer: the deletion gain and the stability.

Deletion. Of a row x with margin m, base b and s = sign(m - b), features are replaced one after the other by those of
background rows, and the drop after k of F features is D(k) = s (m - mean margin with the first k replaced). The
explanation's order is that of s·attribution, largest first; random orders are drawn by seed, each with its reverse. Then

    gain = Σ_x Σ_k (D_explained(k) - mean D_random(k)) / (F · Σ_x |D(F)|)

0 is no better than chance, 1 would be all of the drop at once and none by chance; negative is worse than chance.

Stability is the least mean rank agreement (Spearman over features, per row) of two draws. ``linear`` and ``sampled``
explanations are drawn with another seed and another bootstrap of the background. A ``tree`` explanation has neither: it
is drawn on rows moved by at most 1 % of the background's interquartile range in each feature of more than 10 values, for
what it must not do is to tell people who are nearly alike different reasons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any

from affidavit.streams.attributions import Attributions, permutations

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDERS = 20
DRAWS = 3
GROUND = 16
"""Background rows that replace features in the deletion test: the first ones."""
NUDGE = 0.01
FEW = 10
"""Features of no more values than this are codes: they are not nudged."""


def uniform(label: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Numbers in [0, 1) by SHAKE-256 of a label: the same in every release of every library."""
    import numpy as np

    count = int(np.prod(shape))
    words = np.frombuffer(hashlib.shake_256(label.encode()).digest(8 * count), "<u8")
    return (words >> np.uint64(11)).reshape(shape) / float(1 << 53)


def deletion(
    margin: Callable[[Any], Any], rows: NDArray[Any], found: Attributions, ground: NDArray[Any], seed: int
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """(gain, mean drop of the explained order, mean drop of random orders), the curves of shape (F,), k = 1 … F."""
    import numpy as np

    n, width = rows.shape
    toward = np.where(found.margin >= found.base, 1.0, -1.0)
    explained = np.argsort(-toward[:, None] * found.values, axis=1, kind="stable")
    ground = ground[:GROUND]

    def drops(order: NDArray[Any]) -> NDArray[Any]:
        """(n, F): D(k) of each row in its order (n, F)."""
        held = np.repeat(rows[:, None, :], len(ground), axis=1)
        curve = np.empty((n, width))
        at = np.arange(n)
        for k in range(width):
            held[at[:, None], np.arange(len(ground)), order[:, k, None]] = ground[:, order[:, k]].T
            curve[:, k] = toward * (found.margin - margin(held.reshape(-1, width)).reshape(n, -1).mean(axis=1))
        return curve

    ours = drops(explained)
    chance = np.mean([drops(np.tile(order, (n, 1))) for order in permutations(width, ORDERS, seed)], axis=0)
    whole = width * np.abs(ours[:, -1]).sum()
    gain = float((ours - chance).sum() / whole) if whole > 0 else 0.0
    return gain, ours.mean(axis=0), chance.mean(axis=0)


def nudged(rows: NDArray[Any], ground: NDArray[Any], seed: int) -> NDArray[Any]:
    """Rows moved a little, each feature by its own draw; codes stay."""
    import numpy as np

    many = np.array([len(np.unique(ground[:, i])) > FEW for i in range(ground.shape[1])])
    spread = np.nanpercentile(ground, 75, axis=0) - np.nanpercentile(ground, 25, axis=0)
    moved: NDArray[Any] = rows + (2 * uniform(f"nudge\0{seed}", rows.shape) - 1) * NUDGE * np.where(many, spread, 0.0)
    return moved


def bootstrap(ground: NDArray[Any], seed: int) -> NDArray[Any]:
    """As many rows of the background, drawn with replacement."""
    drawn: NDArray[Any] = ground[(uniform(f"bootstrap\0{seed}", (len(ground),)) * len(ground)).astype(int)]
    return drawn


def stability(draws: list[NDArray[Any]]) -> tuple[float, list[float]]:
    """(the least, all) mean rank agreements of two draws of attributions (n, F). One feature alone always agrees."""
    pairs = [float(agreement(a, b).mean()) for a, b in combinations(draws, 2)]
    return min(pairs), pairs


def agreement(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Spearman's rank correlation of each row, ties at their mean rank; 1 where both rows rank nothing, 0 where one does not."""
    import numpy as np

    a, b = _ranks(one), _ranks(other)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    flat = ((a == 0).all(axis=1) & (b == 0).all(axis=1)).astype(float)
    found: NDArray[Any] = np.divide((a * b).sum(axis=1), size, out=flat, where=size > 0)
    return found


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    below = (values[:, :, None] > values[:, None, :]).sum(axis=2)
    same = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    found: NDArray[Any] = below + (same - 1) / 2
    return found
