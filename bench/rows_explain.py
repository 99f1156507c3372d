"""Rows of explaining: attributions of many rows against the library's own call."""

from __future__ import annotations

from measure import Row, fill, take_turns, timed
from plan import Plan

ROWS, TREES, FEATURES = 10_000, 100, 20


def explaining(plan: Plan) -> list[Row]:
    """Attributions of 10,000 rows by 100 trees of depth 6 over 20 features, additivity checked on each row."""
    import lightgbm
    import numpy as np

    from affidavit.streams.attributions import attribute

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(ROWS if plan.rounds > 2 else 200, FEATURES))
    label = (rows[:, :5].sum(axis=1) + rng.normal(size=len(rows)) > 0).astype(int)
    options = {"objective": "binary", "max_depth": 6, "num_leaves": 64, "verbosity": -1, "num_threads": 1}
    model = lightgbm.train(options, lightgbm.Dataset(rows, label), TREES)
    names = model.feature_name()

    def ours() -> float:
        return timed(lambda: attribute("lightgbm", model, names, rows), len(rows))

    def native() -> float:
        return timed(lambda: model.predict(rows, pred_contrib=True), len(rows))

    row = Row(
        f"attributions of {len(rows):,} rows, {TREES} trees of depth 6, {FEATURES} features",
        "us per row",
        "<= 1.15",
        "Ours is the library's own `pred_contrib`, and with it the raw margin of each row, to which the sum is compared.",
        floor_name=f"lightgbm {lightgbm.__version__} pred_contrib",
    )
    return [fill(row, take_turns({"ours": ours, "floor": native}, plan.rounds), over="ours/floor")]
