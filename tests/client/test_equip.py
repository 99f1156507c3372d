"""The passport: a reading of the ledger that a serving process works by."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import affidavit
from affidavit.core.errors import Invalid, NotFound
from affidavit.streams.ids import id_text
from affidavit.streams.passport import Condition, Routing, passport_file, policy_of, read_passport

sys.path.insert(0, str(Path(__file__).parents[1] / "decisions"))

ROW = {"a": 0.1, "b": 0.2, "c": 0.3}


def house_with(tmp_path, clock, **rules):
    from serving_house import ServingHouse

    return ServingHouse(tmp_path, clock, rule_changes=rules)


def test_a_recorder_with_a_workspace_records_what_serves(tmp_path, clock):
    """The passport names what serves now, follows the next promotion, and the rows are sealed and found."""
    from affidavit.areas.decisions import sealed_rows
    from affidavit.service.desk import ServiceDesk

    house = house_with(tmp_path, clock, recorder={"on_full": "count", "fsync_ms": 0, "share": 0.25, "receipts": True})
    with affidavit.recorder("employment@production", workspace=house.ws) as rec:
        ids = [rec.record(ROW, 0.5, caller="portal").id for _ in range(3)]
        passport = rec.passport
        house.seal()  # in the process that records: its stream is not taken for lost
        ids.append(rec.record(ROW, 0.5).id)
    assert (passport.deployment, passport.artifact, passport.tier) == (house.live["id"], house.live["artifact"], "high")
    assert (passport.policy.on_full, passport.policy.fsync_ms, passport.policy.share) == ("count", 0, "0.250000")
    done = house.seal()
    assert not any(f.TAG == "decisions.stream_lost" for f in done.facts)
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    for id_ in ids:
        row = sealed_rows.find(desk, id_)
        assert id_text(row.values["deployment"]) == house.live["id"]
    again = house.ws.decisions.equip("employment", "production", by=house.who["engineer"]).result
    assert again == passport == read_passport(house.ws.stores.spool, "employment", "production")
    house.deploy(house.train(leaves=5))
    with affidavit.recorder("employment@production", workspace=house.folder / "ws") as rec:
        assert rec.passport.deployment == house.live["id"] != passport.deployment
    unsure = Condition("out", "below", "0.4")
    d = house.ws.decisions
    rule = (
        d.propose_routing("employment", role="reviewer", conditions=[unsure], reason="unsure", by=house.who["engineer"])
        .facts[0]
        .rule
    )
    d.approve_routing(rule, by=house.who["approver"])
    with affidavit.recorder("employment@production", workspace=house.ws) as rec:
        assert rec.passport.routing == Routing(rule, "reviewer", (unsure,))
        assert rec.record(ROW, 0.3).held
    with affidavit.recorder("employment@production", spool=house.ws.stores.spool) as rec:
        assert rec.passport.number == 2
        assert rec.passport.routing.rule == rule
    assert [p.name for p in passport_file(house.ws.stores.spool, "x", "y").parent.iterdir()] == [
        "employment@production.json"
    ]
    with pytest.raises(NotFound, match="affidavit registry promote employment/N --to qa"):
        affidavit.recorder("employment@qa", workspace=house.ws)


BAD = {
    "an unknown key": ({"fsync": 5}, "recorder.fsync is unknown"),
    "a word nobody knows": ({"on_full": "drop"}, "'drop'"),
    "a share above one": ({"share": 1.5}, "1.500000 is not from 0 to 1"),
    "a bound of nothing": ({"spool_bytes": 0}, "spool_bytes"),
    "no map": ([1], "is not a map"),
}


@pytest.mark.parametrize("name", BAD)
def test_rules_of_the_recorder_off_form_are_named(name):
    """The key and the value stand in the error."""
    section, says = BAD[name]
    with pytest.raises(Invalid, match=says):
        policy_of(section)


def test_rules_that_say_nothing_have_defaults():
    """Every key may be left out; what YAML gives is taken."""
    policy = policy_of(yaml.safe_load("{explain: sampled, share: 0.05, heartbeat_s: 30}"))
    assert (policy.explain, policy.share, policy.heartbeat_s, policy.on_full) == ("sampled", "0.050000", 30, "refuse")
