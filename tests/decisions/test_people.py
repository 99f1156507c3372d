"""Human oversight: rules in force, holding and releasing, what measuring finds."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta

import pyarrow as pa
import pytest

from affidavit.areas.decisions.checks import oversight
from affidavit.client import recorder
from affidavit.core.errors import AffidavitError, Invalid, NotAllowed, NotFound, Refused
from affidavit.core.findings import Facts, Period
from affidavit.service.desk import ServiceDesk
from affidavit.streams.ids import id_bytes, id_text
from affidavit.streams.kinds import ACTIONS
from affidavit.streams.passport import Condition
from affidavit.streams.routing import meets
from affidavit.streams.writer import StreamWriter

MINUTE = timedelta(minutes=1)
UNSURE = Condition("confidence", "below", "0.6")
WHY = "the case file shows a steady income"


class Oversight:
    """A house with a routing rule (unsure decisions, half a minute of review) and a trained reviewer."""

    def __init__(self, house, *, rule=True):
        self.house, self.d, self.who = house, house.ws.decisions, house.who
        self.who["second"] = self.person("second", "reviewer")
        if rule:
            self.rule = self.d.propose_routing("employment", role="reviewer", conditions=[UNSURE], min_review_ms=30_000,
                                               reason="unsure cases go to people", by=self.who["engineer"]).facts[0].rule  # fmt: skip
            self.d.approve_routing(self.rule, by=self.who["approver"])
        for name in ("reviewer", "second"):
            self.train(name)
        house.clock.advance(MINUTE)

    def person(self, name, role):
        from affidavit.core.area import Who

        ws, admin = self.house.ws, self.house.admin
        who = Who(ws.access.register_principal("person", name, by=admin).facts[0].principal, "os-user")
        grant = ws.access.request_grant(who.principal, role, "*", "work", by=who).facts[0].grant
        ws.access.approve_grant(grant, by=admin)
        return who

    def train(self, name, days=365):
        until = self.house.clock.now() + timedelta(days=days)
        self.d.train_reviewer(self.who[name].principal, model="employment", until=until, evidence=b"slides and a test",
                              by=self.who["approver"])  # fmt: skip

    def hold(self, decision):
        return self.d.queue_decision(decision, by=self.who["sealer"])

    def open(self, decision, by="reviewer"):
        return self.d.open_review(decision, by=self.who[by])

    def release(self, decision, by="reviewer", verdict="agree", **more):
        return self.d.release(decision, verdict=verdict, outcome="granted", reason=WHY, by=self.who[by], **more)

    def reviewed(self, decision, *, after=MINUTE, effect=True, **more):
        """Held, opened, released after a time, and in effect afterwards."""
        self.hold(decision)
        self.open(decision)
        self.house.clock.advance(after)
        self.release(decision, **more)
        self.house.clock.advance(MINUTE)
        if effect:
            self.d.effect(decision, by=self.who["sealer"])

    def measure(self, start, **more):
        return self.d.measure_oversight(
            self.house.deployment, start=start, end=more.pop("end", self.house.clock.now()), by=self.who["engineer"]
        )


def test_a_rule_is_in_force_once_another_person_approved_it(house):
    """Proposed, refused to its proposer, approved; the rule of a moment is the one approved before it."""
    o = Oversight(house, rule=False)
    before, ask = house.clock.now(), house.ws.ask
    assert ask("decisions.routing_in_force", "employment") is None
    given = {"role": "reviewer", "conditions": [UNSURE], "reason": "unsure cases", "by": o.who["engineer"]}
    rule = o.d.propose_routing("employment", **given).facts[0].rule
    assert ask("decisions.routing_in_force", "employment") is None
    both = o.person("both", "approver")
    house.ws.access.approve_grant(
        house.ws.access.request_grant(both.principal, "engineer", "*", "work", by=both).facts[0].grant, by=house.admin
    )
    own = o.d.propose_routing("employment", **given | {"by": both}).facts[0].rule
    with pytest.raises(Refused) as refused:
        o.d.approve_routing(own, by=both)
    assert refused.value.code == "self_approval"
    house.clock.advance(MINUTE)
    o.d.approve_routing(rule, by=o.who["approver"])
    with pytest.raises(Refused, match="was approved"):
        o.d.approve_routing(rule, by=both)
    found = ask("decisions.routing_in_force", "employment")
    assert (found["rule"], found["role"], found["conditions"]) == (
        rule, "reviewer", [{"column": "confidence", "how": "below", "value": "0.6"}])  # fmt: skip
    assert ask("decisions.routing_at", "employment", before) is None
    assert ask("decisions.routing_at", "employment", house.clock.now())["rule"] == rule
    from affidavit.areas.decisions.people.queries import routing_of

    assert meets(routing_of(found), {"confidence": 0.5})
    shown = o.d.routing("employment", by=o.who["reviewer"])
    assert {r["rule"]: r["in_force"] for r in shown} == {rule: True, own: False}
    _bad_plans(o, given)


def _bad_plans(o, given):
    """Plans that mean nothing are told so."""
    for change, error, says in [
        ({"conditions": []}, Invalid, "0 conditions"),
        ({"conditions": [Condition("subject", "equals", "x")]}, Invalid, "no column"),
        ({"conditions": [Condition("confidence", "below", "low")]}, Invalid, "no number"),
        ({"role": "auditor"}, Invalid, "may not act"),
        ({"role": "everyone"}, Invalid, "may not act"),
        ({"role": "wizard"}, Invalid, "may not act"),
    ]:
        with pytest.raises(error, match=says):
            o.d.propose_routing("employment", **given | change)
    with pytest.raises(NotFound, match="no model other"):
        o.d.propose_routing("other", **given)
    with pytest.raises(NotFound, match="no routing rule"):
        o.d.approve_routing("00000000-0000-4000-8000-000000000001", by=o.who["approver"])
    with pytest.raises(NotAllowed):
        o.d.propose_routing("employment", **given | {"by": o.who["reviewer"]})


def refused(call, *args, **more):
    """The code of a refusal."""
    with pytest.raises(Refused) as e:
        call(*args, **more)
    assert e.value.next_step
    return e.value.code


def test_a_held_decision_waits_until_a_fit_reviewer_opens_and_releases_it(house):
    """Each way around the review is refused by its own code; a sealed and an unsealed decision are treated alike."""
    o = Oversight(house)
    ids = house.record(3)
    house.seal()
    fresh = house.record(2, close=False)
    for decision in (ids[0], fresh[0]):
        assert refused(o.release, decision) == "not-queued"
        assert refused(o.open, decision) == "not-queued"
        waits = o.hold(decision)
        assert (waits["role"], waits["env"]) == ("reviewer", "production")
        assert refused(o.hold, decision) == "waiting-already"
        assert refused(o.release, decision) == "not-opened"
        assert o.open(decision)["waits_for"][0]["action"] == "held"
        assert refused(o.release, decision, by="second") == "not-opened"
        house.clock.advance(MINUTE)
        done = o.release(decision, verdict="override")
        assert done["review_ms"] == pytest.approx(60_000, abs=5)
        assert refused(o.release, decision) == "released-already"
        house.seal()  # what is sealed counts as what waits in the spool does
        assert refused(o.release, decision, by="second") == "released-already"
    _unfit(o, ids[1])
    _unknown(o, ids[2])


def _unfit(o, decision):
    o.hold(decision)
    with pytest.raises(NotAllowed):
        o.open(decision, by="engineer")
    o.who["machine"] = o.who["sealer"]
    assert refused(o.open, decision, by="machine") == "not-authorised"
    o.who["new"] = o.person("new", "reviewer")
    assert refused(o.open, decision, by="new") == "not-trained"
    o.train("new", days=1)
    o.open(decision, by="new")
    o.house.clock.advance(timedelta(days=2))
    assert refused(o.release, decision, by="new") == "not-trained"
    with pytest.raises(Refused, match="their own training"):
        o.d.train_reviewer(o.who["approver"].principal, model="employment", until=o.house.clock.now() + MINUTE,
                           evidence=b"x", by=o.who["approver"])  # fmt: skip
    with pytest.raises(Invalid, match="is past"):
        o.train("second", days=-1)
    with pytest.raises(Invalid, match="reason is empty"):
        o.d.release(decision, verdict="agree", outcome="granted", reason=" ", by=o.who["reviewer"])


def _unknown(o, decision):
    """A contest is never answered by who brought it; ids that are no decisions are named."""
    o.d.contest(decision, reason="the income is wrong", by=o.who["reviewer"])
    o.open(decision)
    assert refused(o.release, decision) == "own-question"
    with pytest.raises(NotFound, match="no decision 0"):
        o.hold("00000000-0000-7000-8000-000000000001")
    with pytest.raises(Invalid):
        o.hold("seven")
    with pytest.raises(Invalid, match="lies ahead"):
        o.d.effect(decision, effect_at=o.house.clock.now() + MINUTE, by=o.who["sealer"])


def test_a_refused_release_stands_in_the_ledger(house):
    """The attempt to release without review is itself a fact: the control is shown to operate."""
    o = Oversight(house)
    decision = house.record(1)[0]
    o.hold(decision)
    assert refused(o.release, decision) == "not-opened"
    last = house.ws.executor.record(house.ws.stores.entries.size() - 1)
    assert (last.head.tag, last.fact.code, last.fact.controls) == ("service.refused", "not-opened", ("AI-08.4",))


def test_of_two_reviewers_who_release_at_once_exactly_one_wins(house):
    """The lock lets one read, decide and write before the other reads."""
    o = Oversight(house)
    ids = house.record(6)
    won: list[str] = []
    lost: list[str] = []

    def act(decision, by, gate):
        gate.wait()
        try:
            o.release(decision, by=by)
            won.append(decision)
        except AffidavitError as e:
            lost.append(e.code)

    for decision in ids:
        o.hold(decision)
        o.open(decision)
        o.open(decision, by="second")
        gate = threading.Barrier(4)
        threads = [threading.Thread(target=act, args=(decision, by, gate)) for by in ("reviewer", "second") * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(won) == sorted(ids)
    assert lost == ["released-already"] * 18


RACE = """
import sys
from affidavit.bootstrap import open_workspace
from affidavit.core.errors import Refused
ws = open_workspace(sys.argv[1])
try:
    ws.decisions.release(sys.argv[2], verdict="agree", outcome="granted", reason="the file is in order", by=ws.as_named("reviewer"))
    print("won")
except Refused as e:
    print(e.code)
"""


def test_of_three_processes_that_release_at_once_exactly_one_wins(house):
    """The lock holds across processes, and each reads what the others wrote."""
    o = Oversight(house)
    decision = house.record(1)[0]
    o.hold(decision)
    o.open(decision)
    args = [sys.executable, "-c", RACE, str(house.folder / "ws"), decision]
    racers = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(r.communicate()[0].strip() for r in racers) == ["released-already", "released-already", "won"]


def test_the_queue_says_what_waits_for_whom_since_when(house):
    """Held, contested and opted-out decisions wait, oldest first; released ones do not; the look is recorded."""
    o = Oversight(house)
    ids = house.record(4)
    for decision in ids[:2]:
        o.hold(decision)
        house.clock.advance(MINUTE)
    o.open(ids[0])
    o.release(ids[0])
    house.seal()
    house.clock.advance(MINUTE)
    o.d.contest(ids[0], reason="wrong income", by=o.who["sealer"])
    o.d.opt_out(ids[2], reason="no machines", by=o.who["sealer"])
    o.d.contest(ids[1], reason="wrong income", by=o.who["sealer"])
    lines = o.d.queue(by=o.who["reviewer"])
    assert [(line["decision"], line["why"], line["role"]) for line in lines] == [
        (ids[1], ["held", "contested"], "reviewer"), (ids[0], ["contested"], "reviewer"), (ids[2], ["opted-out"], "reviewer"),
    ]  # fmt: skip
    assert o.d.queue(model="other", by=o.who["reviewer"]) == []
    o.house.ws.decisions.restrict_tenants(o.who["second"].principal, tenants=["t1"], by=house.admin)
    assert [line["tenant"] for line in o.d.queue(by=o.who["second"])] == ["t1"]
    with pytest.raises(NotFound):
        o.open(ids[0], by="second")
    o.open(ids[1])
    answered = o.release(ids[1])["answers"]
    assert answered == ["held", "contested"]


def test_measuring_finds_what_went_past_people(house):
    """Over every sealed decision: bypassed, early, hasty, untrained, unrouted, unanswered are told apart; a breach opens an incident."""
    o = Oversight(house)
    start = house.clock.now()
    ids = house.record(9, confidence=0.5)
    sure = house.record(2, confidence=0.9)
    none = house.record(1, confidence=None)
    o.reviewed(ids[0])
    o.reviewed(ids[1], verdict="override")
    o.hold(ids[2])
    o.d.effect(ids[2], by=o.who["sealer"])  # before anybody looked
    o.reviewed(ids[3], after=timedelta(seconds=2))  # too quick
    o.reviewed(ids[4], effect=False)
    o.hold(ids[5])  # still waits
    o.reviewed(sure[0])  # held though the rule does not ask for it
    o.d.contest(sure[1], reason="wrong income", by=o.who["sealer"])
    house.clock.advance(MINUTE)
    with pytest.raises(Refused, match="12 decisions of the window wait for a seal"):
        o.measure(start)
    house.seal()
    found = o.measure(start).result
    assert found == {
        "decisions": 12, "routed": 10, "held": 7, "released": 5, "bypassed": 4, "early": 1, "unrouted": 1, "untrained": 0,
        "hasty": 1, "unreasoned": 0, "unanswered": 0, "overrides": 1, "agreements": 4, "median_review_ms": found["median_review_ms"],
        "waiting": 2, "pending": 1, "effect_unknown": 1, "erased": 0,
    }  # fmt: skip
    assert found["median_review_ms"] == pytest.approx(60_000, abs=5)
    named = _details(house)
    assert named["bypassed"] == sorted([*ids[6:], *none])
    assert (named["early"], named["hasty"], named["unrouted"]) == ([ids[2]], [ids[3]], [sure[0]])
    incident = house.ws.incidents.incidents(by=house.admin)[0]
    assert (incident["snapshot"]["breach"], incident["severity"]) == ("oversight", "critical")
    assert f"deployment:{house.deployment}" in incident["about"]
    (row,) = _checked(house, start)
    assert {a: outcome.state for a, outcome in row.items()} == {
        "A": "deviation", "B": "pass", "C": "deviation", "D": "not_tested", "E": "deviation", "F": "not_tested"}  # fmt: skip
    _later(o, start, sure[1])
    _bad_windows(o, start)


def _checked(house, start):
    """AI-08.4 on the facts of the ledger, since the rule came into force."""
    records = [house.ws.executor.record(i) for i in range(house.ws.stores.entries.size())]
    facts = Facts(records, {"AI-08.4": {"agreement_at_most": "0.99"}})
    items = oversight.routed_decisions(facts, Period(start, start + timedelta(days=1)))
    return [oversight.people_decide_first(item, facts) for item in items]


def _details(house):
    from affidavit.core import canonical

    fact = next(
        r.fact for i in reversed(range(house.ws.stores.entries.size()))
        if (r := house.ws.executor.record(i)).head.tag == "decisions.oversight_measured"
    )  # fmt: skip
    with house.ws.stores.objects.open(fact.details.digest) as body:
        return canonical.decode(body.read())["decisions"]


def _later(o, start, contested):
    """A contest not answered when due is counted, and stays counted once answered late; rights withdrawn later do not matter."""
    end = o.house.clock.now()
    o.house.clock.advance(timedelta(days=31))
    assert o.measure(start, end=end).result["unanswered"] == 1
    o.open(contested)
    o.release(contested)
    assert (o.measure(start, end=end).result["unanswered"], o.measure(start, end=end).result["pending"]) == (1, 0)
    o.house.clock.advance(MINUTE)
    grant = next(g for g in o.house.ws.access.grants(by=o.house.admin)
                 if g["principal"] == o.who["reviewer"].principal and g["role"] == "reviewer")  # fmt: skip
    o.house.ws.access.revoke_grant(grant["id"], reason="left", by=o.house.admin)
    assert o.measure(start, end=end).result["untrained"] == 0


def _bad_windows(o, start):
    now = o.house.clock.now()
    with pytest.raises(Invalid, match="no window of the past"):
        o.measure(now, end=start)
    with pytest.raises(Invalid, match="no window of the past"):
        o.measure(start, end=now + MINUTE)
    with pytest.raises(NotFound, match="no deployment"):
        o.d.measure_oversight("00000000-0000-4000-8000-000000000001", start=start, end=now, by=o.who["engineer"])
    with pytest.raises(NotFound, match="had no routing rule"):
        o.measure(start - timedelta(days=9), end=start - timedelta(days=8))
    with pytest.raises(Invalid, match="came into force"):
        o.measure(start - timedelta(days=9), end=now)


def by_another_way(house, decision, actor, *, process, ms=5):
    """A release written straight into the stream of actions: by the service's own writer, or by a serving process."""
    at = int(house.clock.now().timestamp() * 1000) + ms
    row = {
        "id": b"\1" * 16,
        "decision": id_bytes(decision),
        "at": at,
        "action": "released",
        "actor": actor,
        "reason": " ",
    }
    if not process:
        ServiceDesk(house.ws.executor, house.admin, local=True).row("actions", **row)
        return
    p = house.passport()
    with closing(StreamWriter(house.ws.stores.spool, ACTIONS, house.ws.stores.origin, deployment=p.deployment, model=p.model,
                              number=p.number, env=p.env, artifact=p.artifact)) as writer:  # fmt: skip
        writer.append([row.get(name) for name in ACTIONS.names])


def test_a_release_that_nobody_fit_signed_in_for_is_found(house):
    """One who was not fit then is counted; what a serving process reports of its own accord answers nothing."""
    o = Oversight(house)
    start = house.clock.now()
    ids = house.record(2, confidence=0.5)
    house.seal()
    for decision in ids:
        o.hold(decision)
    by_another_way(house, ids[0], o.who["engineer"].principal, process=False)
    by_another_way(house, ids[1], o.who["reviewer"].principal, process=True)
    house.clock.advance(MINUTE)
    for _ in ("in the spool", "sealed"):
        found = o.measure(start).result
        assert {k: found[k] for k in ("untrained", "hasty", "unreasoned", "bypassed", "waiting")} == {
            "untrained": 2, "hasty": 2, "unreasoned": 2, "bypassed": 0, "waiting": 1,
        }  # fmt: skip
        house.seal()
    assert refused(o.release, ids[1]) == "not-opened"
    o.open(ids[1])
    assert o.release(ids[1])["answers"] == ["held"]


def test_the_recorder_holds_what_measuring_finds_routed(house):
    """A serving process with the passport holds, row by row, what the rule recomputed over sealed rows holds."""
    o = Oversight(house)
    start = house.clock.now()
    house.ws.decisions.equip("employment", env="production", by=o.who["engineer"])
    given = [0.59, 0.6, None, math.nan, 0.61, 0.1]
    with recorder(
        "employment@production", spool=house.ws.stores.spool, clock=lambda: int(house.clock.now().timestamp() * 1000)
    ) as rec:
        found = [rec.record({"a": 1.0}, 0.5, confidence=confidence) for confidence in given]
        assert [f.held for f in found] == [True, False, True, True, False, True]
        table = pa.table({"a": [1.0] * 3, "out": [0.5] * 3, "sure": [0.2, 0.7, None]})
        batch = rec.record_batch(table, fields={"confidence": "sure"}).to_pylist()
        for decision in [f.id for f in found if f.held] + [id_text(batch[0])]:  # the last of the batch is forgotten
            o.hold(decision)
    house.clock.advance(MINUTE)
    house.seal()
    measured = o.measure(start).result
    assert [measured[k] for k in ("decisions", "routed", "held", "bypassed", "unrouted")] == [9, 6, 5, 1, 0]
    assert _details(house)["bypassed"] == [id_text(batch[2])]
