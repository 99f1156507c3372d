"""Part of decisions: prove, trace and query sealed decisions."""

from affidavit.areas.decisions.look import commands as c
from affidavit.core.area import Part

_HERE = "affidavit.areas.decisions.look"
PART = Part(
    streamed={
        c.Prove: f"{_HERE}.prove:prove",
        c.Trace: f"{_HERE}.trace:trace",
        c.QueryRows: f"{_HERE}.query:query",
        c.OfDataset: f"{_HERE}.reach:of_dataset",
        c.OfModel: f"{_HERE}.reach:of_model",
    },
)
