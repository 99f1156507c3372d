"""Chapters about decisions: explained before deployment, reconciled, overseen, proven, traced, replayed, answered, erased."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from affidavit.core.area import Document
from affidavit.core.fields import time_text
from affidavit.demo import inputs
from affidavit.demo.serving import FIRST, SHADOW, SURVEY, UNSURE, Serving
from affidavit.demo.stage import END, Stage
from affidavit.evidence.decision_proof import verify_decision_proof
from affidavit.streams.ids import id_text
from affidavit.streams.passport import Condition

DAY = timedelta(days=1)
REVIEW_MS = 60_000
WORDS = {
    "subject": "your request for a counselling appointment",
    "decision": {
        "adverse": "was placed behind others, because you were taken for employed", "favourable": "was placed first",
    },
    "adverse_when": "high",
    "features": {
        "SCHL": {"words": "the schooling you stated", "values": {
            "16": "high school diploma", "17": "equivalent of a diploma", "18": "some college, under a year",
            "19": "some college, a year or more", "20": "associate's degree", "21": "bachelor's degree",
            "22": "master's degree", "23": "professional degree", "24": "doctorate"}},
        "RELP": {"words": "your place in the household", "values": {
            "0": "the person asked", "1": "husband or wife", "2": "son or daughter"}},
        "ESP": {"words": "the employment of your parents, if you live with them", "values": {"0": "does not apply"}},
        "CIT": {"words": "your citizenship", "values": {
            "1": "born in the country", "4": "by naturalisation", "5": "not a citizen"}},
        "MIG": {"words": "whether you moved house within the year", "values": {
            "1": "same house", "2": "from abroad", "3": "within the country"}},
        "MIL": {"words": "your military service", "values": {
            "1": "on active duty", "2": "on active duty in the past", "3": "training only", "4": "never served"}},
        "ANC": {"words": "the ancestry you stated", "values": {
            "1": "one", "2": "several", "3": "not classified", "4": "not stated"}},
    },
    "contact": "Answer in the portal, or write to the job centre at the address on your last letter.",
    "contest_days": 30,
}  # fmt: skip


def plan_explanations(stage: Stage) -> None:
    """How the model is explained, and the bounds its explainer must keep, are fixed before any version is measured."""
    stage.chapter("2025-01-10", "Explanations and oversight, before anything serves")
    file = stage.inputs / "words.json"
    file.write_text(json.dumps(WORDS, indent=1), "utf-8")
    ws, engineer, approver = stage.ws, stage.who["engineer"], stage.who["approver"]
    plan = ws.decisions.propose_explainer(
        "employment", method="tree", deletion_gain="0.100000", stability="0.700000", words=file,
        reason="people who wait are told why, from the exact parts of the score", by=engineer,
    )  # fmt: skip
    stage.done(
        ws.decisions.approve_explainer(plan.facts[0].plan, by=approver),
        "explainer of employment planned and approved: exact tree attributions, fidelity bounds fixed",
    )
    rule = ws.decisions.propose_routing(
        "employment", role="reviewer", conditions=[Condition("confidence", "below", UNSURE)], min_review_ms=REVIEW_MS,
        reason="where the model cannot tell, a person does", by=engineer,
    )  # fmt: skip
    stage.done(
        ws.decisions.approve_routing(rule.facts[0].rule, by=approver),
        f"routing rule approved: confidence below {UNSURE} goes to a reviewer",
    )
    record = stage.inputs / "training-record.txt"
    record.write_text("Course on reviewing the model's decisions: two days, with examination.\n", "utf-8")
    done = ws.decisions.train_reviewer(
        stage.who["reviewer"].principal, model="employment", until=stage.clock.now() + timedelta(days=400), evidence=record,
        by=approver,
    )  # fmt: skip
    stage.done(done, "the reviewer was trained for the model")
    stage.ids["survey"] = stage.ids[SURVEY][1]["training"].content
    stage.serving = Serving(stage, stage.every)


def measure_explainer(stage: Stage, version: str) -> None:
    """Fidelity of the version's explainer: without it a high-tier system does not reach production."""
    done = stage.ws.decisions.measure_explainer(
        version, data=stage.ids[2015][0], split_column="split", by=stage.who["engineer"]
    )
    fact = done.facts[-1]
    stage.done(
        done,
        f"{version} explainer measured: deletion gain {fact.deletion_gain}, stability {fact.stability}, passed: {fact.passed}",
    )


def oversee(stage: Stage) -> None:
    """A person decides what the rule sent; one decision took effect before."""
    ws, serving = stage.ws, _serving(stage)
    waiting, serving.unsure = serving.unsure, []
    for n, (body, _) in enumerate(waiting):
        decision = id_text(body)
        ws.decisions.queue_decision(decision, by=stage.who["sealer"])
        early = n == 0 and not stage.ids.get("bypassed")
        if early:
            ws.decisions.effect(decision, by=stage.who["sealer"])
        stage.clock.advance(timedelta(minutes=4))
        ws.decisions.open_review(decision, by=stage.who["reviewer"])
        stage.clock.advance(timedelta(minutes=2))
        ws.decisions.release(
            decision, verdict="override" if n % 5 == 0 else "agree", outcome=str(n % 5 and 1), by=stage.who["reviewer"],
            reason="read the whole file of the person",
        )  # fmt: skip
        if early:
            stage.ids["bypassed"] = decision
        else:
            ws.decisions.effect(decision, by=stage.who["sealer"])
    stage.say(f"             {len(waiting)} decisions were held for a person and released")
    serving.seal()
    measure_oversight(stage)


def measure_oversight(stage: Stage) -> None:
    """The rule recomputed over every decision since the last time, against the queue and what people did."""
    for start, end, deployment in _serving(stage).spans(min(stage.clock.now(), END)):
        done = stage.ws.decisions.measure_oversight(deployment, start=start, end=end, by=stage.who["engineer"])
        fact = done.facts[-1]
        stage.done(
            done,
            f"oversight of {deployment}: rule met by {fact.routed}, held {fact.held}, bypassed {fact.bypassed}, before release {fact.early}",
        )


def _serving(stage: Stage) -> Serving:
    serving: Serving = stage.serving  # plan_explanations opened it
    return serving


def reconcile(stage: Stage) -> None:
    """What the gateway and the platform's inventory saw, against what was recorded and registered."""
    serving, ws, engineer = _serving(stage), stage.ws, stage.who["engineer"]
    serving.close()
    measure_oversight(stage)
    counts = inputs.write_lines(stage.inputs / "gateway.jsonl", serving.gateway_rows())
    window: dict[str, Any] = {"start": FIRST.replace(hour=0), "end": END}
    done = ws.decisions.observe_counts(
        "gateway",
        extract=counts,
        account="reader/audit",
        query="requests by deployment and hour",
        **window,
        by=engineer,
    )
    stage.done(done, f"{done.facts[-1].rows} hours counted by the gateway")
    inventory = inputs.write_lines(stage.inputs / "inventory.jsonl", _inventory(stage))
    done = ws.decisions.observe_serving(
        "serving-platform", extract=inventory, account="reader/audit", query="all endpoints and what they run", **window,
        by=engineer,
    )  # fmt: skip
    stage.done(done, f"{len(done.facts) - 1} endpoints in the platform's inventory")
    days = (END - FIRST).days + 1
    done = ws.decisions.reconcile(FIRST.replace(hour=0), days=days, by=engineer)
    gaps = [f for f in done.facts if f.gaps]
    stage.done(done, f"{len(done.facts)} days of deployments reconciled by the hour")
    for fact in gaps:
        hours = ", ".join(f"{g.hour:%H:%M} {g.observed} observed, {g.recorded} recorded" for g in fact.gaps)
        stage.say(f"             {fact.day:%Y-%m-%d}: {hours}: a process served without the recorder")
    for n in range(days):
        ws.decisions.reconcile_runtime(FIRST.replace(hour=0) + n * DAY, by=engineer)
    for row in ws.decisions.differences(settled=True, by=engineer):
        stage.say(f"             {row['endpoint']}: {row['what']}, first seen {row['first_seen'][:10]}")


def _inventory(stage: Stage) -> list[dict[str, str]]:
    """What ran where: the endpoints of both models, the classic's push, and the process nobody equipped."""
    rows = []
    deployments = stage.ids["deployments"]
    for model in ("employment", "leaflets"):
        mine = [d for d in deployments if d["model"] == model]
        for n, row in enumerate(mine):
            last = mine[n + 1]["deployed_at"] if n + 1 < len(mine) else time_text(END - timedelta(minutes=1))
            rows.append({"endpoint": f"{model}-api", "artifact": row["artifact"], "env": "production", "model": model,
                         "first_seen": row["deployed_at"], "last_seen": last})  # fmt: skip
    unknown = inputs.file_digest(stage.inputs / "words.json")
    rows.append({"endpoint": "employment-batch", "artifact": unknown, "env": "production",
                 "first_seen": time_text(SHADOW - 4 * DAY), "last_seen": time_text(SHADOW + 10 * DAY)})  # fmt: skip
    return rows


def one_decision(stage: Stage) -> None:
    """One decision: proven, traced, run again, explained, answered, erased."""
    stage.chapter("2026-01-03", "One decision of February")
    ws, decision = stage.ws, id_text(_serving(stage).first_ids[3])
    stage.ids["decision"] = decision
    ws.publish()
    proof: Document = ws.decisions.prove(decision, by=stage.who["auditor"])
    file = stage.root / "decision.proof"
    file.write_bytes(proof.body)
    report = verify_decision_proof(file, [(stage.root / "log.vkey").read_text("utf-8").strip()])
    stage.say(
        f"  proven     {decision}: {len(proof.body)} bytes that reveal no other row; verified offline: {report.level}"
    )
    told = ws.decisions.trace(decision, by=stage.who["auditor"])
    stage.say(
        f"  traced     to {told['version']['name']}, {len(told['approvals'])} approval, training run {told['version']['run']},"
        f" {', '.join(told['version']['datasets'])}; its window of answers is {told['sources'][0]['check']}"
    )
    done = ws.decisions.replay(decisions=[decision], by=stage.who["engineer"])
    fact = done.facts[-1]
    stage.done(
        done,
        f"run again by the exact version: {fact.equal} of {fact.sampled} equal; confined by {', '.join(fact.isolation)}",
    )
    _answer(stage, decision)
    _erase(stage, decision)


def _answer(stage: Stage, decision: str) -> None:
    """The person asks why; a letter in plain words goes out."""
    ws = stage.ws
    found = ws.decisions.explain(decision, by=stage.who["engineer"])
    top = ", ".join(f"{f['feature']} {f['attribution']:+.3f}" for f in found["features"][:3])
    stage.say(
        f"  explained  margin {found['margin']:+.3f} from base {found['base']:+.3f}: {top}, …; the stored one was recomputed"
    )
    asked = ws.decisions.request_explanation(decision, channel="portal", by=stage.who["privacy"])
    for form in ("html", "pdf"):
        letter: Document = ws.decisions.letter(decision, format=form, by=stage.who["privacy"])
        (stage.root / f"letter.{form}").write_bytes(letter.body)
    done = ws.decisions.answer_explanation(asked.facts[0].request, by=stage.who["privacy"])
    stage.done(done, "asked why by the person: answered by a letter, letter.pdf and letter.html")


def _erase(stage: Stage, decision: str) -> None:
    """The person asks to be forgotten: the row goes, its leaf stays, every other proof holds."""
    ws = stage.ws
    _serving(stage).seal()
    done = ws.decisions.erase(decisions=[decision], basis="request", reason="the person asked", by=stage.who["privacy"])
    order = done.facts[0].order
    stage.done(done, f"erased on request, order {order}: payload and salt destroyed, leaf kept")
    stage.done(
        ws.decisions.prove_erasure(order, by=stage.who["auditor"]), "another identity scanned again: nothing is left"
    )
    ws.publish()
    proof: Document = ws.decisions.prove(decision, by=stage.who["auditor"])
    file = stage.root / "erased.proof"
    file.write_bytes(proof.body)
    report = verify_decision_proof(file, [(stage.root / "log.vkey").read_text("utf-8").strip()])
    stage.say(f"  proven     {decision} again: {report.facts.get('state', 'erased')}, never missing")


def quarter(stage: Stage, day: str, name: str) -> None:
    """A person decides what waits; oversight is measured; a seeded sample is run again."""
    stage.chapter(day, f"The {name} quarter: people's decisions, and a sample run again")
    begins = datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(days=84)
    oversee(stage)
    for model in ("employment", "leaflets"):
        done = stage.ws.decisions.replay(model, sample=25, seed=day[:7], start=begins, by=stage.who["engineer"])
        fact = done.facts[-1]
        stage.done(
            done,
            f"{model}: {fact.sampled} drawn by seed from {fact.population_n}, {fact.equal} gave the recorded output",
        )


first_quarter = partial(quarter, day="2025-03-24", name="first")
second_quarter = partial(quarter, day="2025-06-23", name="second")
third_quarter = partial(quarter, day="2025-09-22", name="third")
fourth_quarter = partial(quarter, day="2025-12-29", name="fourth")
