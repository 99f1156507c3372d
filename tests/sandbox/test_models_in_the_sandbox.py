"""Each format is run by its library in the child and gives what it gives outside; what cannot be run says why."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from affidavit import sandbox
from affidavit.artifacts import artifact
from affidavit.core import digest as digests
from affidavit.core.errors import Invalid, NotFound
from affidavit.sandbox import frames

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 3))
Y = (X[:, 0] - X[:, 2] > 0).astype(int)
NAMES = ["a", "b c", "d"]


class Desk:
    """Objects in memory: all that restoring an artifact asks of a desk."""

    def __init__(self):
        self.objects = {}

    def open(self, digest):
        import io

        if digest not in self.objects:
            raise NotFound(f"no object {digest}.", next_step="check it.")
        return io.BytesIO(self.objects[digest])

    def add(self, declared, name, body):
        """Store an artifact of one file; its digest."""
        found = digests.of_bytes(body)
        manifest = artifact.manifest_bytes(declared, [artifact.File(name, len(body), found)])
        self.objects |= {found: body, digests.of_bytes(manifest): manifest}
        return digests.of_bytes(manifest)


def lightgbm(folder, y=Y, **parameters):
    """A trained booster's bytes, and its outputs."""
    import lightgbm as lgb

    given = {"objective": "binary", "verbosity": -1, "num_threads": 1} | parameters
    model = lgb.train(given, lgb.Dataset(X, y, feature_name=NAMES), 5)
    model.save_model(folder / "model.txt")
    return (folder / "model.txt").read_bytes(), model.predict(X)


def xgboost(folder, names=NAMES):
    """As above."""
    import xgboost as xgb

    model = xgb.train({"objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(X, Y, feature_names=names), 5)
    model.save_model(folder / "model.json")
    return (folder / "model.json").read_bytes(), model.predict(xgb.DMatrix(X, feature_names=names))


def skops(folder):
    """As above, of a linear classifier that has labels of its own and no names."""
    from sklearn.linear_model import LogisticRegression
    from skops.io import dump

    model = LogisticRegression().fit(X, np.where(Y == 1, "yes", "no"))
    dump(model, folder / "model.skops")
    return (folder / "model.skops").read_bytes(), model


def part(rows=X, names=NAMES, **more):
    """A part of a payload."""
    return {"rows": len(rows), "columns": {n: rows[:, i].tolist() for i, n in enumerate(names)} | more}


@pytest.mark.parametrize(
    ("declared", "file", "make"),
    [
        ("lightgbm", "model.txt", lightgbm),
        ("xgboost", "model.json", xgboost),
        ("xgboost", "model.json", lambda f: xgboost(f, None)),
    ],
    ids=["lightgbm", "xgboost", "xgboost without names"],
)
def test_a_model_gives_in_the_child_what_it_gives_outside(tmp_path, declared, file, make):
    """Bit for bit, names with blanks and models without names included; the caller does not import the library for it."""
    desk = Desk()
    body, expected = make(tmp_path)
    ran = sandbox.run(desk, desk.add(declared, file, body), "predict", {"parts": [part()]})
    np.testing.assert_array_equal(ran.result["parts"][0]["outputs"]["score"], expected)
    assert ran.seconds < 60


def test_a_classifier_with_labels_gives_them_and_refuses_a_row_alone(tmp_path):
    """Columns by their order where it has no names; the row it refuses (NaN) does not take the others with it."""
    desk, rows = Desk(), X[:4].copy()
    rows[2, 1] = np.nan
    body, model = skops(tmp_path)
    answer = sandbox.run(desk, desk.add("skops", "m.skops", body), "predict", {"parts": [part(rows)]}).result["parts"][
        0
    ]
    kept = [0, 1, 3]
    assert list(answer["failed"]) == ["2"]
    assert [answer["labels"][n] for n in kept] == model.predict(X[kept]).tolist()
    assert set(answer["outputs"]) == {"no", "yes", "score"}
    for name in ("yes", "score"):
        np.testing.assert_allclose(
            answer["outputs"][name][kept], model.predict_proba(X[kept])[:, 1], rtol=0, atol=1e-15
        )


def test_a_model_of_several_classes_gives_each(tmp_path):
    """One output per class, by number."""
    desk = Desk()
    body, expected = lightgbm(tmp_path, y=np.arange(300) % 3, objective="multiclass", num_class=3)
    outputs = sandbox.run(desk, desk.add("lightgbm", "m.txt", body), "predict", {"parts": [part()]}).result["parts"][0][
        "outputs"
    ]
    np.testing.assert_array_equal(np.column_stack([outputs[k] for k in "012"]), expected)


def test_parts_fail_apart_and_missing_values_are_scored(tmp_path):
    """A part without a column, one with text, one with None: one child, three answers."""
    desk = Desk()
    body, expected = lightgbm(tmp_path)
    parts = [
        part(X[:2], names=["a", "b c", "other"]), {"rows": 1, "columns": {"a": ["x"], "b c": [1.0], "d": [1.0]}},
        {"rows": 2, "columns": {"a": [None, float("inf")], "b c": [float("nan"), 1.0], "d": [True, 2]}}, part(X[:2], extra=["s", "t"]),
    ]  # fmt: skip
    answers = sandbox.run(desk, desk.add("lightgbm", "m.txt", body), "predict", {"parts": parts}).result["parts"]
    assert [a.get("code") for a in answers] == ["column-missing", "type", None, None]
    assert np.isfinite(answers[2]["outputs"]["score"]).all()
    np.testing.assert_array_equal(answers[3]["outputs"]["score"], expected[:2])


BOMB = b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=2147483647\n"


@pytest.mark.parametrize(
    ("declared", "name", "body", "code"),
    [
        ("pickle", "m.pkl", b"\x80\x04K\x01.", "not-loadable"),
        ("joblib", "m.joblib", b"\x80\x04K\x01.", "not-loadable"),
        ("opaque", "m.bin", b"weights", "not-loadable"),
        ("xgboost", "model.txt", BOMB, "unloadable"),
        ("lightgbm", "m.txt", b"tree\nversion=v4\nnonsense\n", None),
        ("lightgbm", "m.txt", BOMB + b"feature_names=a\nfeature_infos=none\ntree_sizes=99999999999\n\n", None),
        ("skops", "m.skops", b"PK\x03\x04 no zip", "unloadable"),
    ],
    ids=["pickle", "joblib", "opaque", "another format", "nonsense", "huge counts", "a broken archive"],
)
def test_an_artifact_that_cannot_be_run_says_why(declared, name, body, code):
    """Never loaded where loading runs code; refused, crashed or out of memory where the bytes are hostile: always a code."""
    desk = Desk()
    with pytest.raises(sandbox.TaskFailed) as e:
        sandbox.run(
            desk,
            desk.add(declared, name, body),
            "predict",
            {"parts": [part(X[:1])]},
            limits=sandbox.Limits(20, 30, 2 << 30),
        )
    assert e.value.code in ({code} if code else {"unloadable", "crashed", "memory", "cpu", "timeout"})


def test_altered_bytes_and_absent_ones_are_told_apart(tmp_path):
    """Nothing runs of an artifact whose bytes are not those registered."""
    desk = Desk()
    body, _ = lightgbm(tmp_path)
    digest = desk.add("lightgbm", "m.txt", body)
    desk.objects[digests.of_bytes(body)] = body[:-1] + b"\0"
    with pytest.raises(artifact.ArtifactTampered):
        sandbox.run(desk, digest, "predict", {"parts": []})
    with pytest.raises(NotFound):
        sandbox.run(desk, digests.of_bytes(b"gone"), "predict", {"parts": []})
    with pytest.raises(Invalid, match="no confined task"):
        sandbox.run(desk, digest, "delete", {})


def test_importing_the_sandbox_loads_no_heavy_library():
    """An area may import it."""
    import subprocess

    code = "import sys, affidavit.sandbox; print(sorted({'numpy', 'pyarrow', 'lightgbm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5, float("inf"), "é", None, True]},
        {"x": np.arange(6, dtype="i4").reshape(2, 3)},
        [np.zeros((0, 2))],
    ],
)
def test_messages_come_back_as_they_were_sent(value):
    """Text, numbers, None and arrays of any shape."""
    body = frames.encode(value)
    found = frames.read(iter_read(body), len(body))
    np.testing.assert_equal(found, value)


@pytest.mark.parametrize(
    "body",
    [
        b"\0" * 7,
        b"\0" * 7 + b"\x09" + b"\0\0\0\x02[]",
        b"\0" * 7 + b"\x02[]",
        frames.encode({"$array": ["O", [1]]}),
        frames.encode({"$array": ["<f8", [1 << 40]]}),
    ],
    ids=["cut length", "cut body", "no json length", "objects", "more than there is"],
)
def test_a_message_off_form_is_refused(body):
    """Cut, short, of objects, or claiming what is not there."""
    with pytest.raises(Invalid):
        frames.read(iter_read(body), 1 << 20)


def iter_read(body):
    """A pipe's read."""
    import io

    return io.BytesIO(body).read
