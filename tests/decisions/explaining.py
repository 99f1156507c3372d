"""Hands of the tests of explaining: a plan with plain words, explanations kept at capture, sealed rows read back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from affidavit.areas.decisions import sealed_rows
from affidavit.service.desk import ServiceDesk
from affidavit.streams.attributions import explainer_for
from affidavit.streams.ids import id_bytes
from affidavit.streams.kinds import EXPLANATIONS
from affidavit.streams.writer import StreamWriter

WORDS = {
    "subject": "your application for an appointment",
    "decision": {"adverse": "was not accepted", "favourable": "was accepted"},
    "adverse_when": "low",
    "features": {
        "a": "years of experience",
        "b": "hours available a week",
        "c": {"words": "the office you chose", "values": {"1": "north"}},
    },
    "contact": "Answer this letter in the portal, or write to the office that sent it.",
    "contest_days": 30,
    "sender": "Office for Appointments",
}


def approve_plan(
    house: Any, *, words: dict[str, Any] | None = None, deletion_gain: str = "0.050000", stability: str = "0.500000"
) -> str:
    """A plan for the house's model by its engineer, approved; its id."""
    given = {"words": house.folder / "words.json"} if words else {}
    if words:
        given["words"].write_text(json.dumps(words))
    plan = house.ws.decisions.propose_explainer(
        "employment", method="tree", deletion_gain=deletion_gain, stability=stability,
        reason="people affected can follow four reasons", by=house.who["engineer"], **given,
    ).facts[0].plan  # fmt: skip
    house.ws.decisions.approve_explainer(plan, by=house.who["approver"])
    return plan


def keep_explanations(house: Any, ids: list[str], spoil: str | None = None) -> None:
    """As a serving process does at capture: a row of explanations for each id; one may be altered by 0.25 in its first value."""
    explain = explainer_for(house.booster, "abc", "lightgbm")
    artifact = bytes.fromhex(house.live["artifact"][7:])
    writer = StreamWriter(house.ws.stores.spool, EXPLANATIONS, house.ws.stores.origin)
    for i, decision in enumerate(ids):
        columns = explain(dict(zip("abc", house.x[i].tolist(), strict=True)))
        if decision == spoil:
            values = np.frombuffer(columns["attributions"], "<f8") + np.array([0.25, 0, 0])
            columns["attributions"] = values.tobytes()
        row = {
            "decision": id_bytes(decision),
            "at": int(house.clock.now().timestamp() * 1000),
            "version": artifact,
            **columns,
        }
        writer.append([row[n] for n in EXPLANATIONS.names])
    writer.close()


def rows_of(house: Any, schema: Any) -> list[dict[str, Any]]:
    """Every sealed row of a kind, by column."""
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    found = []
    for where in sealed_rows.segments_between(desk, schema.kind):
        segment = sealed_rows.opened(desk, where)
        found += [sealed_rows.row_at(where, segment, i).values for i in range(segment.rows)]
    return found
