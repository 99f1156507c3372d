"""``recorded(model, recorder)``: a model whose every prediction is recorded, with the same calls and results.

scikit-learn estimators, LightGBM and XGBoost are known by what they look like; none of them is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from affidavit.client.recorder import Recorder
from affidavit.core.errors import Invalid

METHODS = ("predict", "predict_proba", "inplace_predict")
_NO_DECISION = ("pred_contrib", "pred_contribs", "pred_leaf", "pred_interactions")
"""Arguments of a call that asks for something else than a decision."""


def recorded(model: Any, recorder: Recorder, *, methods: Sequence[str] = METHODS, names: Sequence[str] | None = None,
             **given: Any) -> Any:  # fmt: skip
    """A model that records each row it predicts, and is otherwise the model.

    ``methods`` are the calls that decide; one recorder has one form of output, so a classifier whose ``predict`` and
    ``predict_proba`` both decide needs two. ``names`` are those of the features where data bring none and the model
    knows none. ``given`` goes with each record: ``caller``, ``tenant``. Raises ``Invalid`` for a model without such calls.
    """
    if not any(callable(getattr(model, m, None)) for m in methods):
        raise Invalid(
            f"{type(model).__name__} has none of {', '.join(methods)}.", next_step="name the calls that decide."
        )
    return _RecordedModel(model, recorder, tuple(methods), tuple(names) if names else None, given)


class _RecordedModel:
    def __init__(self, model: Any, recorder: Recorder, methods: tuple[str, ...], names: tuple[str, ...] | None,
                 given: dict[str, Any]) -> None:  # fmt: skip
        self._model, self._recorder, self._methods, self._names, self._given = model, recorder, methods, names, given

    def __repr__(self) -> str:
        return f"recorded({self._model!r})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._model, name)
        return self._recording(name, found) if name in self._methods and callable(found) else found

    def _recording(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def predict(data: Any, *args: Any, **options: Any) -> Any:
            result = call(data, *args, **options)
            if not any(options.get(name) for name in _NO_DECISION):
                self._record(data, result, method)
            return result

        predict.__doc__ = getattr(call, "__doc__", None)
        return predict

    def _record(self, data: Any, result: Any, method: str) -> None:
        outputs = self._outputs(result, method)
        rows = len(next(iter(outputs.values())))
        if rows == 1 and not any(hasattr(data, name) for name in ("columns", "column_names", "get_data")):
            output = {k: v[0] for k, v in outputs.items()}
            row = _list(data)[0]
            names = self._features(data) or tuple(f"x{i}" for i in range(len(row)))
            if len(names) != len(row):
                raise Invalid(
                    f"{len(row)} values for {len(names)} features.", next_step="name them: recorded(…, names=[…])."
                )
            inputs = dict(zip(names, row, strict=True))
            self._recorder.record(inputs, output["out"] if list(output) == ["out"] else output, **self._given)
        elif rows:
            from affidavit.streams import capturing

            named = hasattr(data, "columns") or hasattr(data, "column_names")
            features = capturing.table_of(data, None if named else self._features(data))
            table = capturing.with_columns(features, {_OUT + n: v for n, v in outputs.items()})
            columns = {n: _OUT + n for n in outputs}
            chosen = columns["out"] if list(columns) == ["out"] else columns
            self._recorder.record_batch(table, output_columns=chosen, **self._given)

    def _outputs(self, result: Any, method: str) -> dict[str, Any]:
        """A prediction by output name: ``out``, or one for each class or column."""
        values = result.to_numpy() if hasattr(result, "to_numpy") else result
        if not hasattr(values, "ndim") or values.ndim not in (1, 2):
            raise Invalid(f"a prediction of type {type(result).__name__} cannot be recorded.",
                          next_step="record it yourself: recorder.record(inputs, output).")  # fmt: skip
        if values.ndim == 1:
            return {"out": values}
        classes = getattr(self._model, "classes_", None) if method == "predict_proba" else None
        names = range(values.shape[1]) if classes is None else classes
        return {str(n): values[:, i] for i, n in enumerate(names)}

    def _features(self, data: Any) -> tuple[str, ...] | None:
        """Names of the features: those the caller gave, those of the data, those of the model; None where nobody names them."""
        if self._names is not None:
            return self._names
        for owner, name in (
            (data, "feature_names"),
            (self._model, "feature_names_in_"),
            (self._model, "feature_names"),
        ):
            found = getattr(owner, name, None)
            if found is not None and len(found):
                return tuple(map(str, found))
        ask = getattr(self._model, "feature_name", None)  # LightGBM
        if callable(ask):
            return tuple(ask())
        return None


_OUT = "out\0"


def _list(data: Any) -> Any:
    return data.tolist() if hasattr(data, "tolist") else data
