"""Lineage: where training data came from, how it was split, which run read what."""

from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import events as e
from affidavit.areas.lineage import queries as q
from affidavit.areas.lineage import rules as r
from affidavit.areas.lineage import view as v
from affidavit.core.area import Area

_MEASURE = "affidavit.areas.lineage.measure"
AREA = Area(
    name="lineage",
    summary="dataset versions, splits, training runs, observed reads",
    facts=(e.DatasetRegistered, e.SplitMeasured, e.RunRecorded, e.ReadObserved, e.ReadsExtracted),
    commands={
        c.RecordDataset: r.record_dataset,
        c.RecordSplits: r.record_splits,
        c.RecordRun: r.record_run,
        c.RecordReads: r.record_reads,
    },
    queries={
        c.ShowDataset: q.show_dataset,
        c.ListDatasets: q.list_datasets,
        c.ShowRun: q.show_run,
        c.Graph: q.graph,
    },
    measures={
        c.RegisterDataset: f"{_MEASURE}:register_dataset",
        c.MeasureSplits: f"{_MEASURE}:measure_splits",
        c.ObserveReads: f"{_MEASURE}:observe_reads",
    },
    answers={
        "dataset": v.dataset,
        "run": v.run,
        "splits": v.splits,
        "measurements": v.measurements,
        "children": v.children,
    },
    checks="affidavit.areas.lineage.checks.v1",
    view=v.VIEW,
)
