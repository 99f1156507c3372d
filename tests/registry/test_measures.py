"""Register, evaluate, load, drill and observe on a real LightGBM model and a real file of rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from registry_world import ANNA, CARA, DATA, START, Desk, refused, started, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import lookup, maths, measure, observe, tables
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.checks.planted import TEXT, digest
from affidavit.core import digest as digests
from affidavit.core import envelope
from affidavit.core.errors import Invalid, NotFound, Refused, Tampered

N = 400


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(model file, data file): rows with a split, and a booster of its training part."""
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(7)
    x = rng.normal(size=(N, 3))
    y = (x[:, 0] + rng.normal(size=N) * 0.7 > 0).astype(int)
    split = np.where(np.arange(N) % 4 == 0, "test", "training")
    table = pa.table({"age": x[:, 0], "hours": x[:, 1], "weeks": x[:, 2], "employed": y, "part": split})
    pq.write_table(table, folder / "rows.parquet")
    pc.write_csv(table, folder / "rows.csv")
    part = split == "training"
    data = lgb.Dataset(x[part], y[part], feature_name=["age", "hours", "weeks"])
    booster = lgb.train({"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1}, data, 10)
    booster.save_model(folder / "model.txt")
    return folder


INDEX = digests.of_bytes(tables.index_bytes(np.arange(0, N, 4)))
"""The test split as lineage measured it."""


def world(trained, data="rows.parquet", label="employed", **dataset):
    """A world in which the model of ``trained`` is registered from its file."""
    w = started()
    w.dataset("dataset:rows/1", digests.of_bytes((trained / data).read_bytes()), **{"test": INDEX, **dataset})
    asked = c.ProposePlan("employment", "dataset:rows/1", "test", label, PLAN, words("what people reach today"))
    plan = w.do(asked).plan
    w.do(c.ApprovePlan(plan), CARA)
    desk = Desk(w)
    body = (trained / "model.txt").read_bytes()
    run = w.run(digests.of_bytes(body), data="dataset:rows/1")
    request = c.Register(
        "employment", str(trained / "model.txt"), "lightgbm", run, ("dataset:rows/1",), START, START + timedelta(minutes=5),
        "abc", digest(4), {"leaves": "31"}, {"auc": "0.800000"}, "test", ANNA,
    )  # fmt: skip
    fact = w.do(measure.register(request, desk))
    return w, desk, f"{fact.model}/{fact.number}"


PLAN = tuple(c.Threshold(m, d, b) for m, d, b in [("auc", "at-least", "0.700000"), ("log_loss", "at-most", "0.100000")])


def ask(version, trained, **change):
    made = c.Evaluate(version, str(trained / "rows.parquet"), "part")
    return replace(made, **change)


def test_register_streams_signs_and_names_the_run(trained):
    w, desk, version = world(trained)
    found = lookup.known_version(w.view, version)
    assert found.files == 1
    assert found.signature in w.objects
    assert w.query(c.Versions("employment"))[0]["format"] == "lightgbm"
    with refused(NotFound):
        measure.register(
            c.Register("other", "x", "opaque", "0", (), START, START, "a", digest(1), {}, {}, "test", ANNA), desk
        )


@pytest.mark.parametrize("file", ["rows.parquet", "rows.csv"])
def test_evaluate_scores_the_split_and_judges_each_threshold(trained, file):
    w, desk, version = world(trained, file)
    fact = w.do(measure.evaluate(ask(version, trained, data=str(trained / file)), desk))
    table = pq.read_table(trained / "rows.parquet")
    rows = tables.rows_of(table, "part", "test")
    booster = lgb.Booster(model_file=str(trained / "model.txt"))
    scores = booster.predict(tables.matrix(table, ("age", "hours", "weeks"), rows))
    expected = maths.evaluate(tables.labels(table, "employed", rows), (scores >= 0.5).astype(int), scores)
    assert fact.rows == N // 4
    assert fact.results["auc"] == maths.decimal6(expected.metric("auc").value)
    auc, loss = fact.verdicts
    assert (auc.met, loss.met) == (True, False)
    assert auc.low < auc.value < auc.high
    assert fact.code == measure.code_digest()
    kept = w.objects[fact.predictions.digest]
    assert digests.of_bytes(kept) == fact.predictions.digest
    assert pq.read_table(pa.BufferReader(kept)).column_names == ["row", "label", "score", "decision"]


@pytest.mark.parametrize(
    ("what", "change", "says"),
    [
        ("a file that is not the dataset", {"data": "model.txt"}, "dataset:rows/1 is"),
        ("neither column nor index", {"split_column": None}, "twice or not at all"),
        ("column and index", {"index": "rows.csv"}, "twice or not at all"),
        ("an index that is none", {"split_column": None, "index": "rows.csv"}, "no list of row numbers"),
        ("no such split column", {"split_column": "fold"}, "no column 'fold'"),
        ("a split nobody is in", {"split_column": "employed"}, "no row belongs to the split"),
    ],
)
def test_evaluation_is_refused(trained, what, change, says):
    _w, desk, version = world(trained)
    change = {k: str(trained / v) if k in ("data", "index") else v for k, v in change.items()}
    with refused(Invalid, says=says):
        measure.evaluate(ask(version, trained, **change), desk)


@pytest.mark.parametrize(
    ("label", "says"),
    [("salary", "no column 'salary'"), ("age", "other than 0 and 1"), ("part", "not numeric")],
)
def test_a_plan_whose_label_is_no_class_is_not_evaluated(trained, label, says):
    _w, desk, version = world(trained, label=label)
    with refused(Invalid, says=says):
        measure.evaluate(ask(version, trained), desk)


def test_rows_other_than_the_measured_split_are_refused(trained, tmp_path):
    _w, desk, version = world(trained, splits=False)
    with refused(Refused, "split_not_measured"):
        measure.evaluate(ask(version, trained), desk)
    w, desk, version = world(trained)
    easy = tmp_path / "easy"
    easy.write_text("\n".join(map(str, range(0, N, 8))))
    with refused(Refused, "rows_differ"):
        measure.evaluate(ask(version, trained, split_column=None, index=str(easy)), desk)
    whole = tmp_path / "test"
    whole.write_text("\n".join(map(str, range(0, N, 4))))
    by_index = w.do(measure.evaluate(ask(version, trained, split_column=None, index=str(whole)), desk))
    by_column = w.do(measure.evaluate(ask(version, trained), desk))
    assert (by_index.index, by_index.results) == (INDEX, by_column.results)


def test_the_cutoff_is_that_of_the_plan(trained):
    w, desk, version = world(trained)
    asked = c.ProposePlan(
        "employment", "dataset:rows/1", "test", "employed", PLAN, words("what people reach"), "0.900000"
    )
    w.do(c.ApprovePlan(w.do(asked).plan), CARA)
    strict = w.do(measure.evaluate(ask(version, trained), desk))
    assert strict.cutoff == "0.900000"
    assert float(strict.results["recall"]) < 0.5
    with pytest.raises(TypeError):
        ask(version, trained, cutoff="0.100000")


def test_nothing_is_evaluated_before_a_plan(trained):
    w, desk, version = world(trained)
    w.tx.run("DELETE FROM registry_plan")
    with refused(NotFound, says="no evaluation plan is in force"):
        measure.evaluate(ask(version, trained), desk)


def test_load_gives_the_model_and_records_it(trained):
    w, desk, version = world(trained)
    command, model = measure.load(c.Load(version), desk)
    assert model.feature_name() == ["age", "hours", "weeks"]
    assert w.do(command).artifact == lookup.known_version(w.view, version).artifact


def test_a_flipped_byte_loads_nothing_and_is_recorded(trained):
    w, desk, version = world(trained)
    name = digests.of_bytes((trained / "model.txt").read_bytes())
    body = bytearray(w.objects[name])
    body[1000] ^= 1
    w.objects[name] = bytes(body)
    for measured in (
        measure.load(c.Load(version), desk),
        measure.evaluate(ask(version, trained), desk),
    ):
        command, error = measured
        assert isinstance(error, Tampered)
        fact = w.do(command)
        assert (fact.expected, fact.found) == (name, digests.of_bytes(bytes(body)))


def test_a_format_without_its_library_says_what_to_install(trained, monkeypatch):
    from affidavit.artifacts import models

    monkeypatch.setitem(models.INSTALL, "lightgbm", ("no_such_library", "lightgbm"))
    _w, desk, version = world(trained)
    with refused(Invalid, says="pip install lightgbm"):
        measure.load(c.Load(version), desk)


def served(trained):
    w, desk, version = world(trained)
    w.do(measure.evaluate(ask(version, trained), desk))
    found = w.incident()
    w.do(c.BreakGlass(version, "production", found, words("first release")), CARA)
    return w, desk, version


def drill(version, trained, **change):
    made = c.DrillRollback(version, "production", str(trained / "rows.parquet"), objective_ms=5000)
    return replace(made, **change)


def test_a_drill_replays_the_golden_set_of_the_evaluation(trained):
    w, desk, version = served(trained)
    fact = w.do(measure.drill_rollback(drill(version, trained), desk))
    assert (fact.passed, fact.rows, fact.differing, fact.worst, fact.took_ms) == (True, N // 4, 0, "0.000000", 40)
    slow = w.do(measure.drill_rollback(drill(version, trained, objective_ms=39), desk))
    assert not slow.passed


def test_a_drill_with_a_given_golden_set_sees_the_row_that_differs(trained, tmp_path):
    w, desk, version = served(trained)
    name = w.query(c.Show(version))["evaluation"]["predictions"]
    table = pq.read_table(pa.BufferReader(w.objects[name]))
    scores = table.column("score").to_numpy().copy()
    scores[3] += 0.25
    pq.write_table(table.set_column(2, "score", pa.array(scores)), tmp_path / "golden.parquet")
    fact = w.do(measure.drill_rollback(drill(version, trained, golden=str(tmp_path / "golden.parquet")), desk))
    assert (fact.passed, fact.differing, fact.worst) == (False, 1, "0.250000")


def test_a_drill_is_refused_without_objective_or_with_an_altered_golden_set(trained):
    w, desk, version = served(trained)
    with refused(Invalid, says="no recovery-time objective"):
        measure.drill_rollback(drill(version, trained, objective_ms=None), desk)
    desk.rules = replace(w.rules, body={**w.rules.body, "break_glass": {"rollback_within": "PT5M"}})
    assert measure.drill_rollback(drill(version, trained, objective_ms=None), desk).objective_ms == 300_000
    name = w.query(c.Show(version))["evaluation"]["predictions"]
    w.objects[name] += b"\0"
    command, error = measure.drill_rollback(drill(version, trained), desk)
    assert isinstance(error, Tampered)
    assert command.expected == name


# ---------------------------------------------------------------- deployment logs

ROW = {
    "external": "d-1", "model": "employment", "env": "production", "artifact": digest(66),
    "deployed_at": "2026-03-02T10:00:00Z", "deployer": "robot",
}  # fmt: skip


def as_csv(*rows):
    head = ",".join(ROW)
    return "\n".join([head, *(",".join(r.values()) for r in rows)]).encode()


def as_lines(*rows):
    return "\n".join(json.dumps(r) for r in rows).encode()


def taken(w, tmp_path, body, start=START, end=None):
    file = tmp_path / "log"
    file.write_bytes(body)
    w.now = max(w.now, START + timedelta(days=2))
    request = c.Observe(
        "gateway", str(file), words("reader"), words("all deployments"), start, end or START + timedelta(days=1)
    )
    made = observe.observe(request, Desk(w))
    sealed = replace(made, account=TEXT, query=TEXT)  # as the service does
    return w.records_of(sealed)


@pytest.mark.parametrize("form", [as_csv, as_lines])
def test_an_extract_is_recorded_whole(tmp_path, form):
    w = started()
    second = {**ROW, "external": "d-0", "deployed_at": "2026-03-02T09:30:00+00:00", "artifact": digest(67)}
    records = taken(w, tmp_path, form(ROW, second))
    assert [r.fact.external for r in records[1:]] == ["d-0", "d-1"]
    extract = records[0].fact
    assert (extract.rows, extract.source) == (2, "gateway")
    assert digests.of_bytes(w.objects[extract.raw.digest]) == extract.raw.digest
    assert {"model:employment", "env:production", "source:gateway"} == set(records[1].head.refs)


def test_an_empty_extract_is_a_result(tmp_path):
    w = started()
    for body in (b"", ",".join(ROW).encode()):
        assert [r.fact.rows for r in taken(w, tmp_path, body)] == [0]


def test_a_row_taken_in_before_is_not_recorded_twice_and_may_not_change(tmp_path):
    w = started()
    taken(w, tmp_path, as_csv(ROW))
    again = taken(w, tmp_path, as_csv(ROW, {**ROW, "external": "d-2"}))
    assert [getattr(r.fact, "external", None) for r in again] == [None, "d-2"]
    with refused(Refused, "extract_differs", says="d-1"):
        taken(w, tmp_path, as_csv({**ROW, "artifact": digest(68)}, {**ROW, "external": "d-2"}))


def test_an_extract_that_lost_a_row_is_refused(tmp_path):
    w = started()
    taken(w, tmp_path, as_csv(ROW))
    with refused(Refused, "rows_missing", says="d-1"):
        taken(w, tmp_path, as_csv())
    assert len(taken(w, tmp_path, as_csv(), START, START + timedelta(minutes=30))) == 1  # another window


def test_no_account_of_the_platform_goes_into_the_log(tmp_path):
    w = started()
    for body in (
        as_csv({**ROW, "deployer": "zoe@example.org"}),
        as_lines({k: v for k, v in ROW.items() if k != "deployer"}),
    ):
        records = taken(w, tmp_path, body)
        assert all(b"zoe" not in envelope.encode(r.head, r.fact) for r in records)


@pytest.mark.parametrize(
    ("what", "body", "says"),
    [
        ("a column lacks", b"external,model\nd,m", "no column artifact"),
        ("a row lacks a field", b'{"external":"d-1"}', "row 1 lacks a column"),
        ("broken JSON", b'{"external":', "neither CSV nor JSON lines"),
        ("not text", b"\xff\xfe\x00", "not UTF-8"),
        ("a time without zone", as_csv({**ROW, "deployed_at": "2026-03-02T10:00:00"}), "has no zone"),
        ("a time that is a number", as_lines({**ROW, "deployed_at": 5}), "no time"),
        ("a digest that is none", as_csv({**ROW, "artifact": "latest"}), "artifact"),
        ("an environment the rules do not know", as_csv({**ROW, "env": "prod"}), "no environment 'prod'"),
        ("a row outside the window", as_csv({**ROW, "deployed_at": "2026-01-01T10:00:00Z"}), "outside the window"),
        ("the same row twice", as_csv(ROW, ROW), "stands twice"),
    ],
)
def test_an_extract_is_refused(tmp_path, what, body, says):
    with refused(Invalid, says=says):
        taken(started(), tmp_path, body)


def test_a_window_in_the_future_or_upside_down_is_refused(tmp_path):
    w = started()
    with refused(Invalid):
        taken(w, tmp_path, as_csv(), end=START + timedelta(days=9))
    with refused(Invalid):
        taken(w, tmp_path, as_csv(), end=START)


def test_the_record_carries_no_path(trained):
    w, desk, version = world(trained)
    assert all(str(trained) not in repr(r.fact) for r in w.records)
    assert isinstance(measure.load(c.Load(version), desk)[0], rec.RecordLoad)
    assert DATA
