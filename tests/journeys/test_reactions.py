"""Reactions: an altered artifact opens an incident; a reaction that raises loses nothing and is repeated."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from affidavit.areas.catalog import catalog
from affidavit.bootstrap import SimulatedClock, load_model, memory_entries, open_workspace
from affidavit.core.errors import Tampered
from affidavit.service.inspection import inspect


def break_artifact(copy, ws) -> None:
    """Flip one byte of the model file that serves production."""
    artifact = ws.ask("registry.live", "employment", "production")["artifact"]
    manifest = json.loads(ws.stores.objects.open(artifact).read())
    name = manifest["files"][0]["sha256"].removeprefix("sha256:")
    path = copy / "objects" / "sha256" / name[:2] / name[2:]
    kept = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])


def opened(copy):
    ws = open_workspace(copy)
    assert isinstance(ws.stores.clock, SimulatedClock)
    return ws, ws.acting(ws.as_named("on-call"))


def test_a_flipped_byte_serves_nothing_and_opens_an_incident(copy):
    """``load_model`` raises ``Tampered``; the tampering and the incident are in the log, one caused by the other."""
    ws, oncall = opened(copy)
    break_artifact(copy, ws)
    size = ws.stores.entries.size()
    with pytest.raises(Tampered):
        load_model("models:/employment@production", workspace=oncall)
    records = [ws.record(i) for i in range(size, ws.stores.entries.size())]
    assert [r.head.tag for r in records] == ["registry.artifact_tampered", "incidents.opened"]
    assert records[1].head.cause == records[0].index
    assert records[1].head.actor.startswith("policy:")
    assert records[1].fact.kind == "tampering"


def test_a_reaction_that_raises_leaves_the_fact_and_is_repeated(copy):
    """The primary fact commits with ``ReactionFailed``; a later retry opens the incident once."""
    ws, oncall = opened(copy)
    break_artifact(copy, ws)
    area = catalog().areas["incidents"]
    kept = dict(area.reacts)

    def broken(signal, state, ctx):
        raise RuntimeError("a bug in incident code")

    object.__setattr__(area, "reacts", dict.fromkeys(kept, broken))
    try:
        with pytest.raises(Tampered):
            load_model("models:/employment@production", workspace=oncall)
        assert ws.executor.reactions.retry() == 0
    finally:
        object.__setattr__(area, "reacts", kept)
    tags = [ws.record(i).head.tag for i in range(ws.stores.entries.size())]
    assert tags[-2:] == ["registry.artifact_tampered", "service.reaction_failed"]
    ws.stores.clock.advance(timedelta(hours=3))
    assert ws.executor.reactions.retry() == 1
    assert ws.executor.reactions.retry() == 0
    tags = [ws.record(i).head.tag for i in range(ws.stores.entries.size())]
    assert tags[-2:] == ["incidents.opened", "service.reaction_retried"]
    ws.publish()
    assert [p for p in inspect(ws, memory_entries()).problems if p.kind not in ("object",)] == []


def test_the_model_that_serves_is_the_one_approved(copy):
    """``models:/employment@production`` gives a usable model of the live version, and the load is recorded."""
    ws, oncall = opened(copy)
    model = load_model("models:/employment@production", workspace=oncall)
    assert model.num_feature() == 7
    fact = ws.record(ws.stores.entries.size() - 1).fact
    assert (fact.model, fact.number) == ("employment", 4)
