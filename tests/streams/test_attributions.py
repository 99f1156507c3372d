"""Attributions sum to the margin and are the Shapley values of the game they claim."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from affidavit.core.errors import Invalid
from affidavit.streams import attributions as at
from affidavit.streams import tree_shapley
from affidavit.streams.kinds import EXPLANATIONS
from affidavit.streams.rows import decode_row, encode_row

NAMES = tuple("abcde")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(400, 5))
    y = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] + rng.normal(size=400) * 0.3 > 0).astype(int)
    return x, y


def enumerated(tree: tree_shapley.Tree, x) -> tuple[float, np.ndarray]:
    """Shapley values of one tree by all coalitions, from the definition of the path-dependent game."""

    def worth(node: int, known: set[int]) -> float:
        if tree.left[node] < 0:
            return float(tree.value[node])
        left, right, f = int(tree.left[node]), int(tree.right[node]), int(tree.feature[node])
        if f in known:
            goes_left = bool(tree.missing_left[node]) if math.isnan(x[f]) else x[f] <= tree.threshold[node]
            return worth(left if goes_left else right, known)
        total = float(tree.cover[node])
        return (tree.cover[left] * worth(left, known) + tree.cover[right] * worth(right, known)) / total

    width = len(x)
    values = np.zeros(width)
    for i in range(width):
        rest = [j for j in range(width) if j != i]
        for size in range(width):
            weight = math.factorial(size) * math.factorial(width - size - 1) / math.factorial(width)
            for coalition in itertools.combinations(rest, size):
                values[i] += weight * (worth(0, {*coalition, i}) - worth(0, set(coalition)))
    return worth(0, set()), values


def models(x, y):
    from sklearn import ensemble as en
    from sklearn import tree

    holes = x.copy()
    holes[::7, 0] = np.nan
    return {
        "decision tree": (tree.DecisionTreeClassifier(max_depth=6, random_state=0).fit(x, y), x),
        "regression tree": (tree.DecisionTreeRegressor(max_depth=9, random_state=0).fit(x, y + x[:, 3]), x),
        "random forest": (en.RandomForestClassifier(7, max_depth=8, random_state=0).fit(x, y), x),
        "extra trees": (en.ExtraTreesRegressor(7, max_depth=8, random_state=0).fit(x, y), x),
        "gradient boosting": (en.GradientBoostingClassifier(n_estimators=9, random_state=0).fit(x, y), x),
        "boosted regression": (en.GradientBoostingRegressor(n_estimators=9, random_state=0).fit(x, y), x),
        "histogram boosting with holes": (en.HistGradientBoostingClassifier(max_iter=6).fit(holes, y), holes),
        "forest with holes": (en.RandomForestClassifier(5, max_depth=5, random_state=0).fit(holes, y), holes),
    }


@pytest.mark.parametrize("name", models(np.eye(40, 5) + np.arange(40)[:, None], np.arange(40) % 2))
def test_scikit_learns_trees_are_exact(data, name):
    """Values equal those of enumerating every coalition, to 1e-9, and sum to the model's own margin."""
    model, rows = models(*data)[name]
    some = rows[:6]
    found = at.attribute(None, model, NAMES, some)
    assert found.method == "tree" and found.additive and found.gap <= 1e-9
    leaves, start, single = tree_shapley.ensemble(model)
    trees = _trees_of(model)
    assert len(trees) == len(leaves)
    for row, base, values in zip(some, found.base, found.values, strict=True):
        seen = row.astype(np.float32).astype(float) if single else row
        parts = [enumerated(t, seen) for t in trees]
        assert base == pytest.approx(start + sum(b for b, _ in parts), abs=1e-9)
        np.testing.assert_allclose(values, sum(v for _, v in parts), atol=1e-9)


def _trees_of(model) -> list[tree_shapley.Tree]:
    if hasattr(model, "_predictors"):
        return [tree_shapley._hist(r[0].nodes) for r in model._predictors]
    if hasattr(model, "init_"):
        return [tree_shapley._plain(e.tree_, model.learning_rate, 0) for e in model.estimators_[:, 0]]
    members = getattr(model, "estimators_", [model])
    return [tree_shapley._plain(m.tree_, 1 / len(members), getattr(model, "n_classes_", 1) - 1) for m in members]


def test_rows_in_chunks_are_the_rows_alone(data, monkeypatch):
    """The chunking by memory changes nothing."""
    from sklearn.ensemble import RandomForestClassifier

    x, y = data
    model = RandomForestClassifier(3, random_state=0).fit(x, y)
    whole = at.attribute(None, model, NAMES, x[:30]).values
    monkeypatch.setattr(tree_shapley, "CELLS", 1)
    np.testing.assert_allclose(at.attribute(None, model, NAMES, x[:30]).values, whole, atol=1e-12)


def test_lightgbm_and_xgboost_are_their_librarys_own(data):
    """LightGBM sums to 1e-9 in float64, XGBoost to 1e-5 in float32; names say library, version and method."""
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    x, y = data
    options = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    one = lightgbm.train(options, lightgbm.Dataset(x, y, feature_name=list(NAMES)), 30)
    found = at.attribute("lightgbm", one, NAMES, x)
    assert (found.dtype, found.additive, found.explainer) == (
        "float64",
        True,
        f"lightgbm-{lightgbm.__version__}:pred_contrib",
    )
    np.testing.assert_array_equal(found.values, one.predict(x, pred_contrib=True)[:, :-1])
    other = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, y, feature_names=list(NAMES)), 30
    )
    found = at.attribute("xgboost", other, NAMES, x)
    assert (found.dtype, found.additive) == ("float32", True)
    assert at.features_of(other, ["z", *NAMES]) == NAMES == at.features_of(one, NAMES)


def test_a_linear_model_is_exact(data):
    """Coefficient times distance from the background's mean; logistic, ridge and SGD alike."""
    from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

    x, y = data
    for model in (LogisticRegression(), Ridge(), SGDClassifier(random_state=0)):
        model.fit(x, y)
        found = at.attribute(None, model, NAMES, x[:9], background=x[100:150])
        assert found.method == "linear" and found.additive
        np.testing.assert_allclose(found.values, (x[:9] - x[100:150].mean(axis=0)) * np.ravel(model.coef_))


def test_any_other_model_is_sampled(data):
    """Sums are exact for every seed; all permutations of three features give the enumerated Shapley values."""
    x = data[0][:, :3]

    def product(rows):
        return rows[:, 0] * rows[:, 1] + np.abs(rows[:, 2])

    found = at.attribute(None, product, NAMES[:3], x[:4], background=x[50:60], seed=5, samples=16)
    again = at.attribute(None, product, NAMES[:3], x[2:3], background=x[50:60], seed=5, samples=16)
    assert found.additive and found.method == "sampled" and (found.spread >= 0).all()
    np.testing.assert_allclose(again.values[0], found.values[2], atol=1e-12)
    many = at.attribute(None, product, NAMES[:3], x[:1], background=x[50:60], samples=4000)
    exact = np.zeros(3)
    for order in itertools.permutations(range(3)):
        rows = x[50:60].copy()
        for f in order:
            before = product(rows).mean()
            rows[:, f] = x[0, f]
            exact[f] += (product(rows).mean() - before) / 6
    assert (np.abs(many.values[0] - exact) <= 4 * many.spread[0] + 1e-12).all()


def test_a_link_function_is_no_line(data):
    """A Poisson regression has coefficients and no linear margin: it is sampled, so that it sums."""
    from sklearn.linear_model import PoissonRegressor

    x, y = data
    found = at.attribute(None, PoissonRegressor().fit(x, y), NAMES, x[:3], background=x[:20])
    assert (found.method, found.additive) == ("sampled", True)


def test_a_gap_is_told():
    """A model whose parts do not sum to its margin is not called additive."""
    broken = at.Explainer("tree", "t", "float64", len, lambda rows: (0.0, rows, rows.sum(axis=1) + 1e-6, None))
    found = broken(np.ones((2, 3)))
    assert not found.additive and found.gap == pytest.approx(1e-6)


def _several(x, y):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(3, random_state=0).fit(x, y + (x[:, 0] > 1))


REFUSED = {
    "no background": (lambda x, y: at.attribute(None, len, NAMES, x), "background set"),
    "background of other width": (
        lambda x, y: at.attribute(None, len, NAMES, x, background=x[:, :2]),
        "features are needed",
    ),
    "several outputs": (lambda x, y: at.attribute(None, _several(x, y), NAMES, x, background=x[:9]), "several outputs"),
    "no model": (lambda x, y: at.attribute(None, object(), NAMES, x, background=x), "cannot be asked"),
    "text": (lambda x, y: at.row_of(["a"], {"a": "blue"}), "no number"),
    "absent": (lambda x, y: at.row_of(["a"], {}), "no number"),
    "cut background": (lambda x, y: at.read_background(at.background_bytes(NAMES, x)[:-1]), "cut short"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_explained_is_named(data, case):
    """Each gives ``Invalid`` with what was wrong."""
    act, says = REFUSED[case]
    with pytest.raises(Invalid, match=says):
        act(*data)


def test_an_explanation_at_capture_is_a_row_of_the_stream(data):
    """The columns fit the explanations schema; values, base and margin are read back bit for bit."""
    from sklearn.linear_model import LogisticRegression

    x, y = data
    model = LogisticRegression().fit(x, y)
    ground = at.background_bytes(NAMES, x[:50])
    columns = at.explainer_for(model, NAMES, background=ground, seed=3)(dict(zip(NAMES, x[7].tolist(), strict=True)))
    row = {"decision": bytes(16), "at": 1, "version": bytes(32), **columns}
    body = encode_row(EXPLANATIONS, [row[n] for n in EXPLANATIONS.names])
    back = dict(zip(EXPLANATIONS.names, decode_row(EXPLANATIONS, body), strict=True))
    values = np.frombuffer(back["attributions"], "<f8")
    assert values.sum() + back["base"] == pytest.approx(back["margin"], abs=1e-12)
    assert json.loads(back["features"]) == list(NAMES) and back["seed"] == 3
    names, rows = at.read_background(ground)
    assert names == NAMES and (rows == x[:50]).all()
