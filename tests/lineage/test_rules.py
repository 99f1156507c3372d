"""What lineage records and what it refuses, one line per case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from area_world import ANNA, BEN, HOUR, START, World, digest, ident, words
from lineage_world import ACS, CONTENT, RUN, TEST, TRAINING, dataset, measured_splits, reads, run, world

from affidavit.areas.lineage import AREA
from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage.events import Input
from affidavit.core.errors import Invalid, NotFound, Refused


def test_a_dataset_version_is_recorded_under_its_references():
    """Its facts name the dataset first, then the version and its parents; the answer has every field."""
    w = world()
    (made,) = w.do(dataset(version="2016", content=digest(0xE), parents=(ACS,)))
    assert made.head.stream == "dataset:acs"
    assert made.head.refs == ("dataset:acs", "dataset:acs/2016", ACS)
    found = w.answer("lineage.dataset", "acs/2016")
    assert (found["rows"], found["content"], found["parents"], found["schema"]) == (100, digest(0xE), [ACS], digest(9))
    assert found["entry"] == made.index and found["at"].endswith("Z") and found["by"] == ANNA
    assert w.answer("lineage.dataset", "acs/2019") is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"origin": words("publicly available data")}, "origin is vague"),
        ({"version": "a/b"}, "cannot stand in a reference"),
        ({"version": "v:1"}, "cannot stand in a reference"),
        ({"licence": "unknown"}, "says nothing"),
        ({"source_version": "TBD"}, "says nothing"),
        ({"collected_from": START, "collected_to": START}, "not after its start"),
        ({"collected_from": START, "collected_to": START - HOUR}, "not after its start"),
        ({"collected_to": START + 900 * HOUR}, "lies in the future"),
        ({"retention": "3 years".replace(" ", "-")}, "no period"),
        ({"retention": "P0D"}, "no period"),
        ({"retention": "P"}, "no period"),
        ({"retention": "PT12H"}, "no period"),
        ({"rows": 0}, "no rows"),
        ({"parents": ("model:employment/3",)}, "names no dataset version"),
        ({"parents": ("dataset:acs",)}, "names no dataset version"),
        ({"parents": (ACS,)}, "names itself"),
    ],
)  # fmt: skip
def test_a_declaration_that_says_too_little_is_invalid(changes, says):
    """Nothing is recorded, and the error names the field and a good value."""
    w = World(AREA)
    with pytest.raises(Invalid, match=says) as error:
        w.do(dataset(**changes))
    assert error.value.next_step and not w.records


@pytest.mark.parametrize("retention", ["P3Y", "P18M", "P2W", "P90D", "P1Y6M"])
def test_retention_is_a_period(retention):
    """Years, months, weeks and days."""
    assert World(AREA).do(dataset(retention=retention))


@pytest.mark.parametrize(
    ("changes", "code", "controls", "next_step"),
    [
        ({}, "already_registered", (), "use dataset:acs/2015"),
        ({"content": digest(1)}, "content_differs", ("AI-02.1",), "register a new version"),
        ({"version": "2016", "parents": ("dataset:acs/1999",)}, "unknown_parent", ("AI-02.1",), "register it first"),
    ],
)
def test_registering_again_is_refused(changes, code, controls, next_step):
    """The same version once; other bytes are another version; no orphans."""
    with pytest.raises(Refused) as refusal:
        world().do(dataset(**changes))
    assert (refusal.value.code, refusal.value.controls) == (code, controls)
    assert next_step in refusal.value.next_step


def test_the_owner_exists():
    """An owner nobody registered is not found."""
    w = World(AREA, access__principal=lambda _p: None)
    with pytest.raises(NotFound, match="owner"):
        w.do(dataset(owner=BEN))


def test_a_planted_version_is_not_one_to_train_on():
    """What a drill registered exists for drills alone, and does not take the name."""
    w = World(AREA)
    w.do(dataset(), drill=True)
    with pytest.raises(Refused, match="not registered"):
        w.do(run(w, Input(ACS, "training", CONTENT, 100)))
    w.do(dataset())
    assert w.answer("lineage.dataset", "acs/2015")["drill"] is False


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"content": digest(1)}, Refused, "is registered as"),
        ({"dataset": "dataset:acs/1999"}, NotFound, "no dataset:acs/1999"),
        ({"dataset": "acs/2015".replace("/", ":")}, Invalid, "names no dataset version"),
        ({"splits": ()}, Invalid, "at least one"),
    ],
)  # fmt: skip
def test_splits_are_those_of_the_registered_bytes(changes, error, says):
    """Other bytes, another dataset or no split: nothing is recorded."""
    w = world(splits=False)
    with pytest.raises(error, match=says):
        w.do(measured_splits(**changes))


def test_splits_that_overlap_are_recorded_as_measured():
    """A measurement is no verdict: the count is there for the controls to judge."""
    w = world()
    overlap = replace(measured_splits().overlaps[0], equal=5)
    w.do(measured_splits(overlaps=(overlap,)))
    assert [s["name"] for s in w.answer("lineage.splits", "acs/2015")] == ["test", "training"]
    assert w.query(c.ShowDataset(ACS))["overlaps"] == [{"first": "training", "second": "test", "equal": 5, "near": 3}]


def test_every_measurement_of_the_bytes_is_answered_with_the_worst_of_them():
    """A later one by row number does not hide what one by person found; a planted one counts for nothing."""
    w = world(splits=False)
    assert w.answer("lineage.measurements", ACS) is None and w.answer("lineage.splits", ACS) == []
    first = measured_splits().overlaps[0]
    w.do(measured_splits(overlaps=(replace(first, equal=5),), identity=("person",)))
    w.do(measured_splits(identity=("_row",)))
    w.do(measured_splits(overlaps=(replace(first, equal=9),)), drill=True)
    found = w.answer("lineage.measurements", ACS)
    assert (found["entry"], found["content"], found["identity"]) == (2, CONTENT, ["_row"])
    assert found["overlaps"][0]["equal"] == 0 and {s["content"] for s in found["splits"]} == {TRAINING, TEST}
    assert [m["identity"] for m in found["measurements"]] == [["person"], ["_row"]]
    assert found["shared"] == [{"first": "test", "second": "training", "equal": 5, "near": 3, "entry": 1}]
    assert [s["entry"] for s in w.answer("lineage.splits", "acs/2015")] == [2, 2]
    assert w.query(c.ShowDataset(ACS))["shared"] == found["shared"]


@pytest.mark.parametrize("parameters", [{"trained_by": "anna@example.com"}, {"anna@example.com": "1"}])
def test_parameters_of_a_run_hold_no_addresses(parameters):
    """The log cannot be cleaned: what looks like an address is refused, and the refusal does not repeat it."""
    w = world()
    with pytest.raises(Refused) as refusal:
        w.do(run(w, parameters={"leaves": "31", **parameters}))
    assert refusal.value.code == "address_in_parameters" and refusal.value.next_step
    assert "anna" not in refusal.value.problem


def test_the_account_of_an_extract_stands_in_the_vault():
    """It may be a person's name."""
    w = world()
    extract = w.do(reads(w, account=words("anna.reader")))[0].fact
    assert extract.account.text is None and w.vault[extract.account.vault] == "anna.reader"


def test_a_run_is_recorded_with_its_manifest():
    """The answer has inputs, output, parameters and who recorded it."""
    w = world()
    (made,) = w.do(run(w), BEN)
    assert made.head.refs == (f"run:{RUN}", ACS)
    found = w.answer("lineage.run", RUN)
    assert found["actor"] == BEN and found["parameters"] == {"leaves": "31"}
    assert found["inputs"] == [{"dataset": ACS, "role": "training", "content": TRAINING, "rows": 60}]
    assert w.answer("lineage.run", ident(99)) is None


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (Input("dataset:acs/1999", "training", TRAINING, 60), Refused, "not registered"),
        (Input(ACS, "training", digest(1), 60), Refused, "no split of it so"),
        (Input(ACS, "training", TEST, 40), Refused, "used the split test .* for training"),
        (Input(ACS, "training", TRAINING, 61), Invalid, "60 were recorded"),
        (Input(ACS, "training", TRAINING, 0), Invalid, "60 were recorded"),
        (Input(ACS, "training", CONTENT, 101), Invalid, "100 were recorded"),
        (Input("model:employment/3", "training", CONTENT, 1), Invalid, "names no dataset version"),
    ],
)
def test_an_input_is_what_was_registered(given, error, says):
    """An unknown version, other bytes, a test split for training, more rows than there are: the run is not recorded."""
    w = world()
    with pytest.raises(error, match=says) as caught:
        w.do(run(w, given))
    if error is Refused:
        assert "AI-02.1" in caught.value.controls and caught.value.next_step


@pytest.mark.parametrize(
    "content, role, rows", [(CONTENT, "training", 100), (TRAINING, "training", 60), (TEST, "test", 40)]
)
def test_the_version_or_one_of_its_splits_is_an_input(content, role, rows):
    """Whole, or by the digest of a measured split in its own role."""
    w = world()
    assert w.do(run(w, Input(ACS, role, content, rows)))


def test_the_times_of_a_run_have_passed_in_order():
    """Started before it ended, ended before now."""
    w = world()
    for changes, says in (
        ({"started": w.now - HOUR, "ended": w.now - HOUR}, "not after its start"),
        ({"started": w.now - HOUR, "ended": w.now + HOUR}, "lies in the future"),
        ({"inputs": ()}, "inputs is empty"),
    ):
        with pytest.raises(Invalid, match=says):
            w.do(run(w, **changes))


def test_a_run_is_recorded_once():
    """Its id names one run."""
    w = world()
    w.do(run(w))
    with pytest.raises(Refused) as refusal:
        w.do(run(w, seed=8))
    assert refusal.value.code == "already_recorded"


def test_an_extract_is_recorded_whole():
    """The extract names the runs it saw; each read names its run and the version with these bytes."""
    w = world()
    made = w.do(reads(w, (RUN, TRAINING), (RUN, digest(1)), (ident(2), CONTENT)))
    assert [r.head.refs for r in made] == [
        ("source:store", f"run:{RUN}", f"run:{ident(2)}"), (f"run:{RUN}", ACS), (f"run:{RUN}",), (f"run:{ident(2)}", ACS),
    ]  # fmt: skip
    assert made[0].fact.rows == 3 and {r.head.cmd.of for r in made} == {4}


def test_an_extract_without_rows_is_a_fact_too():
    """That nothing was read is evidence as well."""
    w = world()
    assert [r.fact.rows for r in w.do(reads(w))] == [0]


def test_a_window_has_passed_and_holds_its_rows():
    """A window in the future, a row outside it, too many rows: nothing is recorded."""
    w = world()
    size = len(w.records)
    for command, says in (
        (reads(w, end=w.now + HOUR), "has not passed"),
        (reads(w, start=w.now, end=w.now), "has not passed"),
        (reads(w, (RUN, CONTENT), end=w.now - 1.5 * HOUR), "outside the window"),
        (reads(w, *[(RUN, CONTENT)] * 501), "501 rows; at most 500"),
    ):
        with pytest.raises(Invalid, match=says):
            w.do(command)
    assert len(w.records) == size


def test_the_graph_is_walked_both_ways():
    """Parents and runs upstream; children, runs and what they wrote downstream; a written dataset joins the two."""
    w = world()
    w.do(run(w))
    w.do(dataset(dataset="scores", version="1", content=digest(0xD), parents=(ACS,)))
    w.do(run(w, Input("dataset:scores/1", "training", digest(0xD), 100), run=ident(2), output=digest(0xF)))
    down = w.query(c.Graph(ACS))
    assert {(x["from"], x["to"], x["how"]) for x in down["downstream"]} == {
        (ACS, "dataset:scores/1", "parent"),
        (ACS, f"run:{RUN}", "training"),
        (f"run:{RUN}", "dataset:scores/1", "output"),
        ("dataset:scores/1", f"run:{ident(2)}", "training"),
        (f"run:{ident(2)}", digest(0xF), "output"),
    }
    up = w.query(c.Graph(f"run:{ident(2)}"))
    assert {x["from"] for x in up["upstream"]} == {ACS, f"run:{RUN}", "dataset:scores/1"}
    assert down["whole"] and up["whole"]


@pytest.mark.parametrize(
    ("of", "error"), [("dataset:acs/1999", NotFound), (f"run:{ident(9)}", NotFound), ("model:employment/3", Invalid)]
)
def test_the_graph_of_nothing_is_an_error(of, error):
    """An unknown node is not found; what lineage does not know is invalid."""
    with pytest.raises(error):
        world().query(c.Graph(of))


def test_queries_answer_from_the_tables():
    """Versions in order, one dataset or all; a run with what the storage log adds."""
    w = world()
    w.do(dataset(dataset="claims", version="1", content=digest(2)))
    assert [d["version"] for d in w.query(c.ListDatasets("acs"))] == ["2015"]
    assert [d["dataset"] for d in w.query(c.ListDatasets())] == ["acs", "claims"]
    w.do(run(w))
    w.do(reads(w, (RUN, TRAINING), (RUN, CONTENT), (RUN, digest(1)), (ident(5), digest(1))))
    found = w.query(c.ShowRun(RUN))
    assert len(found["reads"]) == 3 and found["undeclared"] == [digest(1)]
    assert w.query(c.ShowRun(ident(5)))["run"] is None
    for query in (c.ShowRun(ident(6)), c.ShowDataset("dataset:acs/1999")):
        with pytest.raises(NotFound):
            w.query(query)
    assert w.query(c.ShowDataset(ACS))["runs"] == [RUN]
