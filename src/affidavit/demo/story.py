"""The demonstration from the first dataset to a package that verifies, and stops verifying after one flipped byte."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TextIO

from affidavit.bootstrap.packaging import write_package
from affidavit.core.errors import Invalid
from affidavit.core.findings import Finding
from affidavit.demo import chapters as c
from affidavit.demo import decisions as d
from affidavit.demo import inputs
from affidavit.demo import model as science
from affidavit.demo.stage import END, START, Stage, set_up
from affidavit.evidence.verify import verify_package

PLANTED = 8
"""Exceptions the year must end with: the classic's three, the late review, an unknown endpoint, a process that served
without the recorder, a decision in effect before a person had released it; and a log that nobody outside has stamped."""

LEAFLETS = science.Recipe("leaflets", science.MENDED.features, parameters={**science.PARAMETERS, "num_iterations": 90})


def run(folder: str | Path, *, out: TextIO = sys.stdout, replace: bool = False, every: int = 1) -> Stage:
    """Play the year into a new workspace at ``folder``; ``replace`` removes an earlier demonstration there, ``every`` serves
    every n-th person only.

    Raises ``Invalid`` if the folder holds anything else.
    """
    root = Path(folder).absolute()
    if root.exists() and replace and (root / "affidavit.toml").exists() and (root / "inputs").exists():
        shutil.rmtree(root)
    if root.exists() and any(root.iterdir()):
        raise Invalid(f"{root} is not empty.", next_step="choose another folder with --dir.")
    stage = set_up(root, out, every)
    for chapter in (
        c.adopt_rules, c.register_datasets, c.register_systems, d.plan_explanations, first_model, mended_model, leaflets,
        emergency, d.first_quarter, retrains, classic, d.second_quarter, twin, rollback_drill, d.third_quarter, design_drills,
        d.fourth_quarter, extracts, d.reconcile, d.one_decision,
    ):  # fmt: skip
        chapter(stage)
    assess(stage)
    package(stage)
    return stage


def first_model(stage: Stage) -> None:
    """The first model meets its performance plan and fails the fairness plan: the gate refuses it."""
    stage.chapter("2025-01-13", "The first model")
    number = c.train_and_register(stage, "employment", science.FIRST, "employment-first")
    stage.ids["fpr"] = c.false_positives(stage, c.evaluate(stage, f"employment/{number}"))
    stage.refused(
        lambda: stage.ws.registry.promote(f"employment/{number}", to="staging", by=stage.who["operator"]),
        f"employment/{number} into staging",
    )


def mended_model(stage: Stage) -> None:
    """Three features that are parts of the disability record are gone: the same plan is met, at a price that is shown."""
    stage.chapter("2025-01-20", "Mended: without the three features that are parts of the disability record")
    ws, engineer = stage.ws, stage.who["engineer"]
    number = c.train_and_register(stage, "employment", science.MENDED, "employment-mended")
    version = f"employment/{number}"
    assessed = c.evaluate(stage, version)
    d.measure_explainer(stage, version)
    before, after = stage.ids["fpr"], c.false_positives(stage, assessed)
    stage.say(
        f"             the price: of people with a disability without work, {after} are now taken for employed ({before} before);"
    )
    stage.say(
        "             the plan promised equal opportunity (TPR) and nothing about that: the full table is part of the record"
    )
    stage.done(
        ws.registry.promote(version, to="staging", by=stage.who["operator"]),
        f"{version} in staging: every gate attribute passed",
    )
    request = ws.registry.request(version, to="production", by=engineer).facts[0].request
    stage.refused(
        lambda: ws.registry.approve(request, by=engineer), "the author, who holds the approver's role, approves"
    )
    stage.refused(
        lambda: ws.registry.promote(version, to="production", by=stage.who["operator"]),
        f"{version} into production without approval",
    )
    stage.done(
        ws.registry.approve(request, by=stage.who["approver"]), f"{version} approved for production by the approver"
    )
    c.deploy(stage, version)
    stage.ids["mended"] = number


def leaflets(stage: Stage) -> None:
    """The second system: minimal tier, so that no fairness plan is asked for; everything else is."""
    stage.chapter("2025-02-03", "A second system, of minimal tier")
    number = c.train_and_register(stage, "leaflets", LEAFLETS, "leaflets-first")
    c.evaluate(stage, f"leaflets/{number}", fairness=False)
    c.promote(stage, f"leaflets/{number}")


def emergency(stage: Stage) -> None:
    """Break-glass under an incident; the review comes a week late, and the control will say so."""
    stage.chapter("2025-03-10", "An emergency: the glass is broken, the review comes late")
    ws = stage.ws
    recipe = science.Recipe("faster", science.MENDED.features, parameters={**science.PARAMETERS, "num_iterations": 80})
    number = c.train_and_register(stage, "employment", recipe, "employment-faster")
    version = f"employment/{number}"
    c.evaluate(stage, version)
    d.measure_explainer(stage, version)
    ws.registry.promote(version, to="staging", by=stage.who["operator"])
    opened = ws.incidents.open(
        kind="availability",
        severity="high",
        about=["model:employment"],
        title="answers time out",
        by=stage.who["on-call"],
    )
    incident = opened.facts[0].incident
    stage.done(opened, f"incident:{incident} availability, high")
    done = ws.registry.break_glass(
        version, to="production", incident=incident, reason="the smaller model answers in time", by=stage.who["on-call"]
    )
    fact = done.facts[0]
    stage.done(
        done,
        f"{version} in production by break-glass, deployment {fact.deployment}, review due {fact.review_due:%Y-%m-%d}",
    )
    c.observed(stage, version, fact.deployment)
    c.load(stage, version)
    stage.chapter("2025-03-19", "The late review")
    done = ws.registry.review(
        fact.deployment, verdict="accepted", note="reviewed after leave", by=stage.who["approver"]
    )
    stage.done(done, f"deployment {fact.deployment} reviewed, {(stage.clock.now() - fact.review_due).days} days late")
    ws.incidents.close(
        incident, cause="confirmed", note="the model had too many trees for the host", by=stage.who["approver"]
    )


def retrains(stage: Stage) -> None:
    """A standing authorisation lets a retrain within its bounds through, and stops one outside."""
    stage.chapter("2025-04-07", "Continuous retraining under a standing authorisation")
    ws = stage.ws
    proposed = ws.registry.propose_standing(
        "employment", datasets=["dataset:acs/2015", "dataset:acs/2016"], code=[c.CODE], ranges=c.ranges(), bounds=c.PERFORMANCE,
        expires=stage.clock.now() + timedelta(days=180), reason="yearly survey refresh", by=stage.who["engineer"],
    )  # fmt: skip
    standing = proposed.facts[0].standing
    stage.done(
        ws.registry.approve_standing(standing, by=stage.who["approver"]),
        f"standing:{standing} approved: acs/2015 and acs/2016, 50 to 200 trees",
    )
    for day, years, name in (("2025-05-05", (2015, 2016), "within"), ("2025-05-12", (2015, 2016, 2017), "outside")):
        stage.chapter(day, f"A retrain {name} the bounds")
        recipe = science.Recipe(name, science.MENDED.features, years=years)
        number = c.train_and_register(stage, "employment", recipe, f"employment-{name}")
        version = f"employment/{number}"
        c.evaluate(stage, version)
        d.measure_explainer(stage, version)
        ws.registry.promote(version, to="staging", by=stage.who["operator"])
        if name == "within":
            c.deploy(stage, version)
        else:
            stage.refused(
                partial(ws.registry.promote, version, to="production", by=stage.who["operator"]),
                f"{version} into production",
            )


def classic(stage: Stage) -> None:
    """The field's classic: a retrain with better precision goes straight to the serving platform, past every gate."""
    stage.chapter("2025-06-16", "The classic: better precision, pushed past the gates")
    number = c.train_and_register(stage, "leaflets", science.RETRAINED, "leaflets-classic")
    version, fact = f"leaflets/{number}", stage.ids[("leaflets", number)]
    before = inputs.precision_on(stage.people, science.train(LEAFLETS, stage.people))
    after = inputs.precision_on(stage.people, science.train(science.RETRAINED, stage.people))
    stage.say(f"             precision {before} -> {after}; no evaluation on the plan's split, no request, no approval")
    unknown = inputs.file_digest(_unregistered(stage))
    stage.ids["reads"].append(inputs.read_row(fact.run, unknown, fact.started + timedelta(minutes=6)))
    stage.say(f"             its run also read a file nobody registered ({unknown[:19]}…): only the storage log knows")
    c.observed(stage, version, "push-0616")
    c.load(stage, version, env=None)
    stage.say("             deployed by hand on the serving platform as push-0616: only the platform's log knows")


def _unregistered(stage: Stage) -> Path:
    """A purchased file nobody registered: here a hundred rows of another year."""
    path = stage.inputs / "purchased-segments.csv"
    rows = stage.people.where(stage.people.columns["year"] == 2018)
    lines = [",".join(str(int(rows.columns[n][i])) for n in ("SCHL", "RELP", "employed")) for i in range(100)]
    path.write_text("SCHL,RELP,employed\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def twin(stage: Stage) -> None:
    """Its governed twin: the same years of registered data, evaluated, approved, deployed."""
    stage.chapter("2025-07-07", "Its governed twin")
    recipe = science.Recipe(
        "twin", science.MENDED.features, science.RETRAINED.years, {**science.PARAMETERS, "num_iterations": 110}
    )
    number = c.train_and_register(stage, "leaflets", recipe, "leaflets-twin")
    c.evaluate(stage, f"leaflets/{number}", fairness=False)
    c.promote(stage, f"leaflets/{number}")


def rollback_drill(stage: Stage) -> None:
    """A rollback is rehearsed: loaded, replayed, timed."""
    stage.chapter("2025-08-04", "A rollback drill")
    version = f"employment/{stage.ids['mended']}"
    done = stage.ws.registry.drill_rollback(
        version, to="production", data=stage.ids[2015][0], objective_ms=60_000, by=stage.who["on-call"]
    )
    fact = done.facts[-1]
    stage.done(
        done,
        f"{version} replayed on {fact.rows} rows: {fact.differing} differ, worst {fact.worst}, within its objective: {fact.passed}",
    )


def design_drills(stage: Stage) -> None:
    """Every control's known-bad case is planted; each must be caught."""
    stage.chapter("2025-11-03", "Drills: each control's known-bad case")
    for control in stage.ws.catalog.controls:
        record = stage.ws.drill(control, by=stage.who["second administrator"])
        stage.say(
            f"  entry {record.index:>3}  {control} planted case ({record.fact.how}): {'caught' if record.fact.caught else 'NOT CAUGHT'}"
        )


def extracts(stage: Stage) -> None:
    """At the year's end the acting systems' own logs come in: what served, and what was read."""
    stage.chapter("2026-01-02", "Extracts of the acting systems' own logs")
    engineer, given = stage.who["engineer"], {"start": START.replace(month=1, day=1, hour=0), "end": END}
    done = stage.ws.registry.observe(
        "serving-platform", extract=c.extract(stage, "deployments", stage.ids["deployments"]), account="reader/audit",
        query="all deployments to production", **given, by=engineer,
    )  # fmt: skip
    stage.done(
        done,
        f"{done.facts[-1].rows if hasattr(done.facts[-1], 'rows') else len(done.facts) - 1} deployments from the serving platform",
    )
    done = stage.ws.lineage.observe_reads(
        "object-store", extract=c.extract(stage, "reads", stage.ids["reads"]), account="reader/audit",
        query="all reads by the training identity", **given, by=engineer,
    )  # fmt: skip
    stage.done(done, f"{len(done.facts) - 1} reads from the storage access log")


def assess(stage: Stage) -> list[Finding]:
    """The controls over the year: exactly the planted exceptions."""
    stage.chapter("2026-01-05", "The controls over 2025 (management's self-test, not the auditor's test)")
    stage.ws.publish()
    from affidavit.cli.audit import print_finding

    findings = stage.ws.assess(START.replace(month=1, day=1, hour=0), END)
    for finding in findings:
        print_finding(finding, stage.out)
    exceptions = [(f.control, e.item) for f in findings for e in f.exceptions]
    stage.ids["exceptions"] = exceptions
    stage.say(
        f"\n  {len(exceptions)} exceptions: the classic's three (no approval, no validation, unregistered data), the late review,"
    )
    stage.say(
        "  an endpoint that runs an unknown digest, a process that served without the recorder, a decision in effect too early,"
    )
    stage.say("  and that no authority outside has stamped the log: the demonstration opens no connection")
    return findings


def package(stage: Stage) -> None:
    """The package, its verification, and what one flipped byte does to it."""
    stage.chapter("2026-01-06", "The evidence package")
    path = stage.root / "evidence-2025.zip"
    row = write_package(stage.ws, path, START.replace(month=1, day=1, hour=0), END)
    stage.say(f"  {path.name}: {path.stat().st_size} bytes, {row['files']} files, as of entry {row['as_of']}")
    vkey = (stage.root / "log.vkey").read_text("utf-8").strip()
    report = verify_package(path, vkeys=[vkey])
    stage.say(f"  verified: {report.level}, {len(report.problems)} problems")
    flipped = stage.root / "inputs" / "evidence-2025-flipped.zip"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    flipped.write_bytes(bytes(body))
    broken = verify_package(flipped, vkeys=[vkey])
    places = sorted(str(p) for p in broken.problems if p.index is not None) or [str(broken.problems[0])]
    stage.say(f"  byte {len(body) // 2} flipped: verification fails, {len(broken.problems)} problems, among them:")
    stage.say(f"    {places[0][:150]}")
    stage.say("\nLook further:")
    name = stage.root.name
    for line in (
        f"affidavit verify {name}/evidence-2025.zip --vkey {name}/log.vkey",
        f"affidavit verify {name}/log --vkey {name}/log.vkey",
        f"affidavit verify {name}",
        f"affidavit log show 40 --workspace {name} --as auditor",
        f"affidavit registry why employment/1 --to staging --workspace {name} --as engineer",
        f"affidavit registry served employment --at 2025-04-01 --workspace {name} --as auditor",
        f"affidavit registry card employment/2 --workspace {name} --as auditor",
        f"affidavit verify {name}/decision.proof --vkey {name}/log.vkey",
        f"affidavit decisions trace {stage.ids['decision']} --workspace {name} --as auditor",
        f"affidavit decisions query --model employment --in-env production --where out<0.05 --format csv --workspace {name} --as auditor",
    ):
        stage.say(f"  {line}")
