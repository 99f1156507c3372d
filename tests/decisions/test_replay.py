"""Decisions are run again by the recorded version, confined, and every one gets an outcome."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from affidavit.areas.decisions.events_people import MismatchInvestigated, ReplayMeasured
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused


def outcomes(done):
    """Outcome (and why, or which output) of each decision of a replay."""
    return [(d["outcome"], d.get("why") or d.get("output")) for d in done.result["decisions"]]


def object_file(house, digest):
    """The stored object of a digest."""
    return next(p for p in house.folder.rglob(digest.removeprefix("sha256:")[2:] + "*") if p.is_file())


@pytest.fixture
def served(house):
    """A house with 60 honest decisions of version 1, ten minutes ago."""
    house.start = house.clock.now()
    house.ids = house.record(60)
    house.seal()
    house.clock.advance(timedelta(minutes=10))
    house.replay = lambda **given: house.ws.decisions.replay(by=house.who["engineer"], **given)
    return house


def test_a_seeded_sample_gives_the_record_back_and_is_drawn_the_same_again(served):
    """All equal, confined by what this machine has; the same seed draws the same decisions, another seed others."""
    first = served.replay(model="employment", start=served.start, sample=20, seed="a-seed")
    fact = first.facts[0]
    assert (fact.population_n, fact.sampled, fact.equal, fact.differing + fact.failed + fact.erased) == (60, 20, 20, 0)
    assert (fact.seeded, fact.worst, fact.versions[0].number, fact.tolerance) == ("caller", "0.000000", 1, "0.000001")
    assert {"empty-env", "rlimits", "own-session"} <= set(fact.isolation)
    again = served.replay(model="employment", start=served.start, sample=20, seed="a-seed")
    assert again.facts[0].population == fact.population
    drawn, redrawn = ([d["decision"] for d in r.result["decisions"]] for r in (first, again))
    assert drawn == redrawn
    assert set(drawn) <= set(served.ids)
    other = served.replay(model="employment", start=served.start, sample=20)
    assert (other.facts[0].seeded, other.facts[0].population) == ("service", fact.population)
    assert [d["decision"] for d in other.result["decisions"]] != drawn
    listed = served.ws.decisions.replays(by=served.who["auditor"])
    assert [r["state"] for r in listed] == ["equal"] * 3
    assert served.ws.incidents.incidents(by=served.who["approver"]) == []


def test_results_hold_outcomes_and_no_recorded_value(served):
    """The attachment can be kept for good: inputs, outputs and ids are not in it, a row is named by its place."""
    done = served.replay(decisions=[served.ids[3]])
    body = json.loads(object_file(served, done.facts[0].results.digest).read_bytes())
    assert set(body["decisions"][0]) == {"difference", "outcome", "seq", "stream"}
    assert body["runs"][0]["cutoff"] == "0.500000"


def test_erased_decisions_stay_in_the_population_and_are_told_as_erased(served):
    """The same seed draws the same places before and after: what was erased is neither replaced nor counted as failed."""
    drawn = {"model": "employment", "start": served.start, "end": served.clock.now(), "sample": 20, "seed": "a-seed"}
    before = served.replay(**drawn)
    ids = [d["decision"] for d in before.result["decisions"]]
    served.seal()
    served.ws.decisions.erase(
        basis="request", reason="asked for by the person", decisions=ids[:3], by=served.who["privacy"]
    )
    after = served.replay(**drawn)
    assert after.facts[0].population == before.facts[0].population
    assert [d["outcome"] for d in after.result["decisions"]] == ["erased"] * 3 + ["equal"] * 17
    assert [d["decision"] for d in after.result["decisions"]] == [None] * 3 + ids[3:]
    assert outcomes(served.replay(decisions=ids[2:4])) == [("erased", None), ("equal", None)]


def test_a_period_bounds_the_population(served):
    """Only decisions whose ids begin in the period are drawn from, also within a segment."""
    step = timedelta(seconds=1)
    fact = served.replay(
        model="employment", start=served.start + 10 * step, end=served.start + 30 * step, sample=50, seed="x"
    ).facts[0]
    assert (fact.population_n, fact.sampled, fact.equal) == (20, 20, 20)
    with pytest.raises(NotFound, match="no decision of employment"):
        served.replay(model="employment", start=served.start + 200 * step, seed="x")


@pytest.fixture
def troubled(house):
    """Decisions of which some cannot be what the model gave, and what each must be told as."""
    writer = house.writer()
    house.expected = {}
    for told, values in {
        ("equal", None): {}, ("differs", "out"): {"out": 0.123456}, ("differs", "out.label"): {"out.label": 7},
        ("failed", "nothing-compared"): {"out": None, "out.label": None}, ("failed", "artifact-gone"): {"version": b"\x07" * 32},
        ("failed", "no-version"): {"version": None},
    }.items():  # fmt: skip
        house.expected[house.record(1, close=False, writer=writer, **values)[0]] = told
    for odd in (float("nan"), float("inf"), None):
        house.expected[house.record(1, close=False, writer=writer, **{"in.a": odd})[0]] = "scored"
    writer.close()
    house.seal()
    house.clock.advance(timedelta(minutes=1))
    return house


def test_every_kind_of_mismatch_is_named_and_looked_into_by_another(troubled):
    """What differs says which output, what fails says why; NaN, infinity and null are scored, not dropped."""
    house, ids = troubled, list(troubled.expected)
    done = house.ws.decisions.replay(decisions=ids, by=house.who["on-call"])
    got = dict(zip(ids, outcomes(done), strict=True))
    for decision, told in house.expected.items():
        if told == "scored":
            assert got[decision][0] in ("equal", "differs")
        else:
            assert got[decision] == told
    fact = done.facts[0]
    assert isinstance(fact, ReplayMeasured)
    assert fact.equal + fact.differing + fact.failed == len(ids)
    assert {v.why for v in fact.versions} == {None, "artifact-gone"}
    incident = house.ws.incidents.incidents(by=house.who["approver"])[0]
    assert (incident["kind"], incident["about"][0]) == ("tampering", "model:employment")
    text = "the probability was overwritten after scoring"
    asked = house.ws.access.request_grant(
        house.who["on-call"].principal, "approver", "*", "cover", by=house.who["on-call"]
    )
    house.ws.access.approve_grant(asked.facts[0].grant, by=house.admin)
    with pytest.raises(Refused, match="run by you"):
        house.ws.decisions.investigate(fact.replay, cause="input", note=text, by=house.who["on-call"])
    with pytest.raises(NotAllowed):
        house.ws.decisions.investigate(fact.replay, cause="input", note=text, by=house.who["reviewer"])
    found = house.ws.decisions.investigate(fact.replay, cause="input", note=text, by=house.who["approver"]).facts[0]
    assert isinstance(found, MismatchInvestigated)
    with pytest.raises(Refused, match="was investigated"):
        house.ws.decisions.investigate(fact.replay, cause="input", note=text, by=house.who["approver"])
    assert [r["cause"] for r in house.ws.decisions.replays(state="investigated", by=house.who["auditor"])] == ["input"]


def test_an_artifact_with_a_flipped_byte_is_not_run(served):
    """One altered byte: nothing is loaded, every decision of the version fails, the incident is critical."""
    artifact = served.passport().artifact
    manifest = json.loads(object_file(served, artifact).read_bytes())
    path = object_file(served, manifest["files"][0]["sha256"])
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    done = served.replay(decisions=served.ids[:3])
    assert outcomes(done) == [("failed", "tampered")] * 3
    assert done.facts[0].isolation == ()
    incident = served.ws.incidents.incidents(by=served.who["approver"])[0]
    assert (incident["kind"], incident["severity"]) == ("tampering", "critical")


def test_isolation_that_is_required_and_cannot_be_had_refuses_the_replay(served):
    """Nothing is recorded but the refusal."""
    with pytest.raises(Refused, match="no-gravity") as e:
        served.replay(decisions=served.ids[:1], require=["no-gravity"])
    assert e.value.code == "isolation-not-obtained"
    assert served.ws.decisions.replays(by=served.who["auditor"]) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "name decisions, or a model"),
        ({"decisions": ["018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d"], "sample": 3}, "not both"),
        ({"decisions": ["018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d"]}, "no model that is known"),
        ({"sample": 3, "model": "employment"}, "start of its period"),
        ({"sample": 20_000, "model": "employment"}, "at most 10000"),
    ],
)
def test_a_request_that_means_nothing_is_refused_with_the_reason(house, given, problem):
    """Named and drawn, neither, an unknown id, no period, too many."""
    with pytest.raises(Invalid, match=problem):
        house.ws.decisions.replay(by=house.who["engineer"], **given)
