"""Decisions are explained by the version that made them, and explanations that were kept are computed again."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from explaining import approve_plan, keep_explanations, rows_of

from affidavit.core.errors import NotAllowed, Refused, Tampered
from affidavit.streams.kinds import EXPLANATIONS


def test_a_decision_is_explained_by_its_own_version(house):
    """The sum is the recorded margin, the largest first; the access and the explanation are kept; a second asking is checked."""
    ids = house.record(20)
    house.seal()
    found = house.ws.decisions.explain(ids[3], by=house.who["engineer"])
    margin = house.booster.predict(house.x[3:4], raw_score=True)[0]
    assert found["base"] + sum(f["attribution"] for f in found["features"]) == pytest.approx(margin, abs=1e-9)
    sizes = [abs(f["attribution"]) for f in found["features"]]
    assert sizes == sorted(sizes, reverse=True) and found["additive"] and found["explainer"].startswith("lightgbm-")
    assert {f["feature"]: f["value"] for f in found["features"]} == dict(zip("abc", house.x[3].tolist(), strict=True))
    assert all((f["attribution"] > 0) == (f["direction"] == "raises") for f in found["features"])
    assert found["stored"] is None
    house.ws.executor.streams.close()
    house.seal()
    again = house.ws.decisions.explain(ids[3], by=house.who["engineer"])
    assert again["stored"]["difference"] == 0.0 and again["digest"] == found["digest"]
    (kept,) = rows_of(house, EXPLANATIONS)
    assert np.frombuffer(kept["attributions"], "<f8").tolist() == [
        next(f["attribution"] for f in found["features"] if f["feature"] == n) for n in "abc"
    ]
    with pytest.raises(NotAllowed):
        house.ws.decisions.explain(ids[3], by=house.who["auditor"])


def test_a_stored_explanation_that_is_not_computed_again_is_told(house):
    """Of four kept at capture one was altered before it was sealed: explaining names it, the recheck counts and signals it."""
    ids = house.record(40)
    keep_explanations(house, ids[:4], spoil=ids[2])
    house.seal()
    engineer, start = house.who["engineer"], house.clock.now() - timedelta(days=1)
    assert house.ws.decisions.explain(ids[1], by=engineer)["stored"]["difference"] == 0.0
    with pytest.raises(Tampered, match="a differs by 0.25"):
        house.ws.decisions.explain(ids[2], by=engineer)
    done = house.ws.decisions.recheck_explanations(house.version, start=start, by=engineer)
    fact = done.facts[0]
    adverse = sum(s < 0.5 for s in house.booster.predict(house.x[:40]))
    assert (fact.decisions, fact.compared, fact.agreeing, fact.adverse) == (4, 4, 3, adverse)
    assert fact.adverse_explained == sum(s < 0.5 for s in house.booster.predict(house.x[:4]))
    (worst,) = done.result["disagreeing"]
    assert worst["decision"] == ids[2] and "a differs" in worst["why"]
    assert any(i["kind"] == "tampering" for i in house.ws.incidents.incidents(by=house.admin))


def test_bounds_come_before_the_measurement(house):
    """No plan, no measurement; who proposed does not approve; a plan of another method is refused; passed follows from the bounds."""
    ws, engineer = house.ws, house.who["engineer"]
    measure = {"version": house.version, "data": house.data, "rows": 60, "by": engineer}
    with pytest.raises(Refused, match="no explainer plan"):
        ws.decisions.measure_explainer(**measure)
    wrong = ws.decisions.propose_explainer(
        "employment",
        method="linear",
        deletion_gain="0.000000",
        stability="0.000000",
        reason="a line is easy to read",
        by=engineer,
    )
    grant = (
        ws.access.request_grant(engineer.principal, "approver", "*", "stands in for a day", by=engineer).facts[0].grant
    )
    ws.access.approve_grant(grant, by=house.admin)
    with pytest.raises(Refused, match="proposed plan"):
        ws.decisions.approve_explainer(wrong.facts[0].plan, by=engineer)
    ws.decisions.approve_explainer(wrong.facts[0].plan, by=house.who["approver"])
    with pytest.raises(Refused, match="explained by tree"):
        ws.decisions.measure_explainer(**measure)
    approve_plan(house, deletion_gain="9.000000")
    assert not ws.decisions.measure_explainer(**measure).facts[0].passed
    approve_plan(house, deletion_gain="0.050000", stability="0.500000")
    fact = ws.decisions.measure_explainer(**measure).facts[0]
    assert fact.passed and float(fact.deletion_gain) > 0.05 and fact.rows == 60 and fact.additivity == "0.000000"
    again = ws.decisions.measure_explainer(**measure).facts[0]
    assert (again.deletion_gain, again.background, again.results) == (fact.deletion_gain, fact.background, fact.results)
    assert ws.ask("decisions.explainer_of", "employment", 1)["passed"]
    shown = ws.decisions.explainers("employment", by=engineer)
    assert len(shown["measured"]) == 3 and shown["in_force"] == fact.plan
