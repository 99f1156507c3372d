"""``recorded(model)``: the same calls and results, and a row for each prediction."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.linear_model import LinearRegression, LogisticRegression
from spool_reader import stream, streams

import affidavit
from affidavit.core.errors import Invalid, StoreDown

RNG = np.random.default_rng(5)
X = RNG.normal(size=(80, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
NAMES = ["a", "b", "c"]
FRAME = pd.DataFrame(X, columns=NAMES)


def booster():
    return lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1}, lgb.Dataset(X, Y, feature_name=NAMES), 3
    )


def inputs(found, n):
    return [found.rows[n][f"in.{name}"] for name in NAMES]


def test_lightgbm_frames_arrays_and_single_rows(spool, open_recorder):
    """A booster's own feature names; one row is a record, many are a batch; results are the model's."""
    model, rec = booster(), open_recorder()
    wrapped = affidavit.recorded(model, rec, caller="portal")
    assert np.array_equal(wrapped.predict(X), model.predict(X))
    assert np.array_equal(wrapped.predict(FRAME), model.predict(FRAME))
    assert wrapped.predict(X[:1])[0] == model.predict(X[:1])[0]
    wrapped.predict(X[:1], pred_contrib=True)
    assert wrapped.num_trees() == model.num_trees()
    found = stream(spool)
    assert (len(found.rows), found.batches) == (161, 2)
    assert inputs(found, 5) == inputs(found, 85) == X[5].tolist()
    assert inputs(found, 160) == X[0].tolist()
    assert [found.rows[i]["out"] for i in range(80)] == model.predict(X).tolist()
    assert found.rows[160]["caller"] == "portal"


def test_scikit_learn_probabilities_are_one_output_for_each_class(spool, open_recorder):
    """``predict_proba`` of a frame and of a single row; attributes pass through."""
    model = LogisticRegression().fit(FRAME, Y)
    wrapped = affidavit.recorded(model, open_recorder(), methods=["predict_proba"])
    assert np.array_equal(wrapped.predict_proba(FRAME), model.predict_proba(FRAME))
    wrapped.predict_proba(FRAME.iloc[:1])
    assert np.array_equal(wrapped.predict(FRAME), model.predict(FRAME))  # not among the calls that decide
    found = stream(spool)
    assert len(found.rows) == 81
    assert [found.rows[3]["out.0"], found.rows[3]["out.1"]] == model.predict_proba(FRAME)[3].tolist()
    assert inputs(found, 80) == X[0].tolist()
    assert wrapped.coef_ is model.coef_


def test_an_array_without_names_is_named_by_place(spool, open_recorder):
    """Or by ``names``, of which there must be as many as columns."""
    model = LinearRegression().fit(X, Y)
    affidavit.recorded(model, open_recorder()).predict(X[:2])
    assert [n for n in stream(spool).opened.schema.names if n.startswith("in.")] == ["in.x0", "in.x1", "in.x2"]
    short = affidavit.recorded(model, open_recorder(), names=["a"])
    for rows in (1, 2):
        with pytest.raises(Invalid, match="name them"):
            short.predict(X[:rows])


def test_xgboost_matrices_and_arrays(spool, open_recorder):
    """``DMatrix`` (absent is NaN), ``inplace_predict``, and the scikit-learn interface."""
    holes = X.astype(np.float32).copy()
    holes[0, 1] = np.nan
    matrix = xgb.DMatrix(holes, feature_names=NAMES)
    model = xgb.train({"objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(X, Y, feature_names=NAMES), 3)
    wrapped = affidavit.recorded(model, open_recorder(), names=NAMES)
    assert np.array_equal(wrapped.predict(matrix), model.predict(matrix))
    assert np.array_equal(
        wrapped.inplace_predict(holes, validate_features=False), model.inplace_predict(holes, validate_features=False)
    )
    found = stream(spool)
    assert len(found.rows) == 160
    assert np.array_equal(np.array(inputs(found, 0), "f4"), holes[0], equal_nan=True)
    assert np.array_equal(np.array(inputs(found, 81), "f4"), holes[1])
    classifier = xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(FRAME, Y)
    again = affidavit.recorded(classifier, open_recorder(), methods=["predict"])
    assert np.array_equal(again.predict(FRAME), classifier.predict(FRAME))
    assert sorted(len(s.rows) for s in streams(spool)) == [80, 160]


def test_categories_texts_and_missing_values_of_a_frame(spool, open_recorder):
    """A frame's missing value is null, whatever its column."""

    class Model:
        def predict(self, data):
            return np.zeros(len(data))

    frame = pd.DataFrame({"s": pd.Categorical(["x", None]), "t": ["p", None], "f": [1.5, np.nan], "n": [1, 2]})
    affidavit.recorded(Model(), open_recorder()).predict(frame)
    affidavit.recorded(Model(), open_recorder()).predict(frame.iloc[1:])
    found = streams(spool)
    rows = max(found, key=lambda s: len(s.rows)).rows
    assert [tuple(rows[i][f"in.{c}"] for c in "stfn") for i in range(2)] == [("x", "p", 1.5, 1), (None, None, None, 2)]


def test_what_cannot_be_recorded_does_not_leave(open_recorder):
    """A refusal reaches the caller instead of the prediction; a model without such calls is refused at once."""
    wrapped = affidavit.recorded(booster(), open_recorder(policy={"spool_bytes": 3_000}))
    with pytest.raises(StoreDown, match="may wait"):
        wrapped.predict(X)
    with pytest.raises(Invalid, match="has none of predict"):
        affidavit.recorded(object(), open_recorder())
