"""The assessment: stored predictions joined to the registered data, every threshold judged, the table kept."""

from __future__ import annotations

import json
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_world import BEN, MemoryDesk, digest
from fairness_world import ARTIFACT, DATA, TPR, VERSION, planned, world

from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness import measure
from affidavit.areas.fairness.events import FairThreshold
from affidavit.core import digest as digests
from affidavit.core.errors import NotFound, Refused, Tampered
from affidavit.core.fields import dec6

N = 400
SEX = [1 + i % 2 for i in range(N)]
LABEL = [1 if i % 4 < 2 else 0 for i in range(N)]
SPLIT = ["test" if i >= 100 else "training" for i in range(N)]
AGE = [20 + i % 50 for i in range(N)]


def biased(i: int) -> int:
    """Of the positives every man is found, and half of the women."""
    return int(LABEL[i] and (SEX[i] == 1 or i % 8 == 1))


class Bench:
    """Data on disk, predictions in the store, a plan in force; scenarios change what they need."""

    def __init__(
        self, tmp_path, *thresholds: FairThreshold, decide=biased, cutoff: bool = False, split: str = "test", **columns
    ) -> None:
        self.w, self.path = world(), tmp_path / "people.parquet"
        table = {"SEX": SEX, "AGEP": AGE, "employed": LABEL, "part": SPLIT, **columns}
        pq.write_table(pa.table(table), self.path)
        self.content = digests.of_bytes(self.path.read_bytes())
        self.w.answers["lineage.dataset"] = lambda _name: {"content": self.content}
        planned(self.w, *thresholds)
        rows = [i for i in range(N) if SPLIT[i] == "test"]
        made = {"row": rows, "label": [LABEL[i] for i in rows], "score": [0.9 if decide(i) else 0.1 for i in rows]}
        if not cutoff:
            made["decision"] = [decide(i) for i in rows]
        index = digests.of_bytes("".join(f"{i}\n" for i in rows).encode())
        self.evaluation = {
            "entry": 7, "artifact": ARTIFACT, "dataset": DATA, "split": split, "results": {}, "label": "employed",
            "cutoff": "0.300000", "index": index,
        }  # fmt: skip
        self.measured = [{"splits": [{"name": "test", "content": index}]}]
        self.w.answers["lineage.measurements"] = lambda _name: {"measurements": self.measured}
        self.predict(made)
        self.w.answers["registry.evaluation"] = lambda _model, _number: self.evaluation

    def predict(self, columns) -> None:
        sink = BytesIO()
        pq.write_table(pa.table(columns), sink)
        self.evaluation["predictions"], _ = MemoryDesk(self.w).put(BytesIO(sink.getvalue()))
        self.columns = columns

    def assess(self, **changes):
        wish = c.Assess(**{"version": VERSION, "data": str(self.path), "split_column": "part"} | changes)
        return self.w.measure(measure.assess, wish, BEN)[0].fact


def test_a_biased_model_breaches_its_bound(tmp_path):
    """Men 1.0, women 0.5: a difference of 0.5 with its interval, 75 women in the smaller denominator."""
    bench = Bench(tmp_path, FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.100000", 50))
    fact = bench.assess()
    (found,) = fact.verdicts
    assert (found.verdict, found.smallest_n, fact.rows, fact.by) == ("breached", 75, 300, "service")
    assert abs(float(found.value) - 0.5) < 0.01 and found.low < found.value < found.high
    assert (fact.content, fact.artifact, fact.code) == (bench.content, ARTIFACT, measure.code_digest())


def test_the_table_holds_every_group(tmp_path):
    """Each metric of each group, each disparity, each verdict, as decimal strings; it is stored before the fact."""
    bench = Bench(tmp_path)
    table = json.loads(bench.w.objects[bench.assess().table.digest])
    kinds = [row["kind"] for row in table["rows"]]
    assert table["evaluation"] == 7 and {"group", "difference", "ratio", "verdict"} == set(kinds)
    rates = {tuple(r["labels"]): r["value"] for r in table["rows"] if r["kind"] == "group" and r["metric"] == "tpr"}
    assert rates[("1",)] == "1.000000" and rates[("2",)] == dec6(float(rates[("2",)]))


@pytest.mark.parametrize(
    ("threshold", "says", "smallest"),
    [
        (FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.600000", 75), "met", 75),
        (FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.600000", 76), "insufficient-data", 75),
        (FairThreshold("tpr", ("SEX",), "ratio", "at-least", "0.800000", 50), "breached", 75),
        (FairThreshold("tpr", ("SEX",), "by-group", "at-least", "0.400000", 50), "met", 75),
        (FairThreshold("tpr", ("SEX",), "by-group", "at-least", "0.600000", 50), "breached", 75),
        (FairThreshold("tpr", ("SEX",), "by-group", "at-least", "0.400000", 76), "insufficient-data", 75),
        (FairThreshold("selection_rate", ("AGEP:40",), "difference", "at-most", "0.200000", 50), "met", 120),
        (FairThreshold("accuracy", ("SEX", "AGEP:40"), "by-group", "at-least", "0.500000", 30), "met", 60),
    ],
)
def test_each_way_to_bound_a_metric(tmp_path, threshold, says, smallest):
    """Difference, ratio, by group; bands and intersections; too few rows are insufficient."""
    (found,) = Bench(tmp_path, threshold).assess().verdicts
    assert (found.verdict, found.smallest_n) == (says, smallest)


def test_a_column_of_many_values_needs_bands(tmp_path):
    """Ages as they are make 50 groups: refused with the banded form."""
    bench = Bench(tmp_path, FairThreshold("tpr", ("AGEP",), "difference", "at-most", "0.600000", 5))
    with pytest.raises(Refused, match="50 distinct") as refusal:
        bench.assess()
    assert refusal.value.code == "not_assessable" and refusal.value.next_step


def test_the_decisions_are_those_that_the_evaluation_stored(tmp_path):
    """Scores alone are not turned into decisions: the cutoff is the plan's, and the evaluation applied it."""
    bench = Bench(tmp_path, cutoff=True)
    with pytest.raises(Refused) as refusal:
        bench.assess()
    assert refusal.value.code == "no_decisions" and "evaluate" in refusal.value.next_step
    bench = Bench(tmp_path, FairThreshold("selection_rate", ("SEX",), "by-group", "at-least", "0.900000", 50))
    bench.predict({**bench.columns, "decision": [1] * 300})
    assert bench.assess().verdicts[0].verdict == "met"


def test_predictions_belong_to_the_data(tmp_path):
    """Other labels, a part of the split, rows beyond it or twice: nothing is assessed."""
    bench = Bench(tmp_path)
    good = bench.columns
    for changes, says in (
        ({"label": [1 - y for y in good["label"]]}, "differs from the labels"),
        (
            {"row": [r - 1 for r in good["row"]], "label": [LABEL[r - 1] for r in good["row"]]},
            "not the measured split test",
        ),
        ({"row": [r + 100 for r in good["row"]]}, "does not have once"),
        ({"row": [good["row"][0]] * 300}, "does not have once"),
        ({"row": [-1, *good["row"][1:]]}, "does not have once"),
    ):
        bench.predict({**good, **changes})
        with pytest.raises(Refused, match=says):
            bench.assess()
    bench.predict({name: column[:200] for name, column in good.items()})
    with pytest.raises(Refused, match="cover 200 rows that are not the measured split"):
        bench.assess()
    bench.predict({name: column[:0] for name, column in good.items()})
    with pytest.raises(Refused, match="does not have once"):
        bench.assess()


@pytest.mark.parametrize("column", ["part", None])
def test_the_rows_are_those_of_the_measured_split(tmp_path, column):
    """Measured once is enough; never measured, measured otherwise, or another index in the evaluation is refused."""
    bench = Bench(tmp_path)
    other = [{"splits": [{"name": "test", "content": digest(1)}]}]
    bench.measured += other
    assert bench.assess(split_column=column).rows == 300
    bench.measured = other
    with pytest.raises(Refused, match="not the measured split"):
        bench.assess(split_column=column)
    bench.w.answers["lineage.measurements"] = lambda _name: None
    with pytest.raises(Refused, match="never measured") as refusal:
        bench.assess(split_column=column)
    assert refusal.value.code == "split_not_measured"
    bench = Bench(tmp_path)
    bench.evaluation["index"] = digest(1)
    with pytest.raises(Refused, match="not the measured split"):
        bench.assess(split_column=column)


def test_a_split_column_must_agree_if_it_is_named(tmp_path):
    """It is not needed, and it is not ignored."""
    bench = Bench(tmp_path, other=["test"] * N)
    with pytest.raises(Refused, match="the split test has 400"):
        bench.assess(split_column="other")


def test_only_the_registered_bytes_are_assessed(tmp_path):
    """Another file, an altered prediction file, an unknown column: each its own error."""
    bench = Bench(tmp_path)
    bench.path.write_bytes(bench.path.read_bytes() + b"x")
    with pytest.raises(Refused) as refusal:
        bench.assess()
    assert refusal.value.code == "content_differs"
    bench = Bench(tmp_path)
    bench.evaluation["label"] = "nobody"
    with pytest.raises(Refused, match="no column 'nobody'"):
        bench.assess()
    bench.evaluation["label"] = "SEX"
    with pytest.raises(Refused, match="SEX differs from the labels"):
        bench.assess()
    bench.evaluation["label"] = "employed"
    bench.w.objects[bench.evaluation["predictions"]] += b"x"
    with pytest.raises(Tampered):
        bench.assess()


def test_an_assessment_needs_plan_and_evaluation(tmp_path):
    """No evaluation, one on another split, no plan, an unknown dataset."""
    with pytest.raises(Refused, match="the fairness plan names"):
        Bench(tmp_path, split="validation").assess()
    bench = Bench(tmp_path)
    bench.evaluation = None
    with pytest.raises(Refused, match="never evaluated") as refusal:
        bench.assess()
    assert refusal.value.code == "not_evaluated"
    bench = Bench(tmp_path)
    bench.w.answers["lineage.dataset"] = lambda _name: None
    with pytest.raises(NotFound):
        bench.assess()
    with pytest.raises(Refused, match="no fairness plan"):
        bench.assess(version="other/1")
    assert TPR
