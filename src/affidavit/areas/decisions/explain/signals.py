"""What a recheck of explanations tells the rest of the house."""

from __future__ import annotations

from affidavit.areas.decisions import events_people as e
from affidavit.core.envelope import Record
from affidavit.core.signals import Breach


def disagreement(record: Record) -> Breach | None:
    """A stored explanation that is not computed again is a breach of integrity; none otherwise."""
    f: e.ExplanationMeasured = record.fact
    if f.agreeing >= f.compared:
        return None
    refs = (f"model:{f.model}/{f.number}", f"model:{f.model}")
    stats = {"compared": str(f.compared), "agreeing": str(f.agreeing), "explainer": f.explainer}
    return Breach("integrity", "warning", refs, stats)
