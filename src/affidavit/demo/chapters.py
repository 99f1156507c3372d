"""The chapters of the demonstration, in order. Each is what a team would do, through the Python door."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from affidavit.areas.fairness.events import FairThreshold
from affidavit.areas.lineage.events import Input, Split
from affidavit.areas.registry.events import Range, Threshold
from affidavit.core import canonical
from affidavit.demo import inputs, rules
from affidavit.demo import model as science
from affidavit.demo.stage import Stage
from affidavit.service.sealing import new_id

ORIGIN = "https://www.census.gov/programs-surveys/acs/microdata.html#pums-1-year-massachusetts"
CODE = inputs.code_revision()
ENVIRONMENT = inputs.environment_digest()
PERFORMANCE = (Threshold("auc", "at-least", "0.700000"), Threshold("accuracy", "at-least", "0.750000"))
FAIRNESS = (
    FairThreshold("tpr", ("DIS",), "difference", "at-most", "0.100000", 100),
    FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.050000", 100),
)


def adopt_rules(stage: Stage) -> None:
    """The rules in force: proposed by one administrator, adopted by another."""
    stage.chapter("2025-01-07", "The rules")
    done = stage.ws.access.propose_rules(rules.text(), "few changes a year", by=stage.who["administrator"])
    digest = done.facts[0].text.digest
    stage.refused(
        lambda: stage.ws.access.adopt_rules(digest, by=stage.who["administrator"]),
        "the proposer adopts their own rules",
    )
    stage.done(
        stage.ws.access.adopt_rules(digest, by=stage.who["second administrator"]),
        "rules adopted by another administrator",
    )


def register_datasets(stage: Stage) -> None:
    """A vague origin is refused; three survey years are registered and their splits measured."""
    stage.chapter("2025-01-08", "Datasets")
    engineer = stage.who["engineer"]
    for year in (2015, 2016, 2017):
        path = inputs.write_dataset(stage.inputs, stage.people, year)
        given = {
            "dataset": "acs", "version": str(year), "data": path, "origin": ORIGIN, "source_version": f"ACS-1-year-{year}",
            "licence": "US-public-domain", "legal_basis": "public-domain", "sensitivity": "special-category",
            "owner": engineer.principal, "collected_from": f"{year}-01-01T00:00:00.000Z",
            "collected_to": f"{year}-12-31T00:00:00.000Z", "retention": "P5Y",
        }  # fmt: skip
        if year == 2015:
            vague = given | {"origin": "publicly available data"}
            stage.refused(partial(stage.ws.lineage.register_dataset, **vague, by=engineer), "a dataset of vague origin")
        done = stage.ws.lineage.register_dataset(**given, by=engineer)
        fact = done.facts[-1]
        stage.done(done, f"dataset:acs/{year}: {fact.rows} people, content {fact.content[:19]}…")
        split = stage.ws.lineage.measure_splits(
            f"dataset:acs/{year}", data=path, split_column="split", identity=["row"], by=engineer
        )
        near = sum(o.near for o in split.facts[-1].overlaps)
        stage.done(split, f"its splits share no person; {near} near-duplicates (equal features) were counted")
        stage.ids[year] = (path, {s.name: s for s in split.facts[-1].splits})


def register_systems(stage: Stage) -> None:
    """Two systems: one that touches people's chances, one that chooses where leaflets go."""
    stage.chapter("2025-01-09", "Systems, models, and what they promise, before anything is trained")
    engineer = stage.who["engineer"]
    ws = stage.ws
    systems = {
        "job-centre": ("high", "ranks who is offered a counselling appointment first: access to a public service"),
        "leaflets": ("minimal", "chooses the districts in which leaflets are handed out: no effect on a person"),
    }
    for (system, (tier, reason)), model in zip(systems.items(), ("employment", "leaflets"), strict=True):
        done = ws.registry.register_system(
            system, purpose=f"estimate from survey answers whether an adult is employed, for {system}", owner=engineer.principal,
            tier=tier, tier_reason=reason, role="deployer", jurisdictions=["US-MA"],
            people_affected="residents of Massachusetts aged 18 to 64", by=engineer,
        )  # fmt: skip
        stage.done(done, f"system:{system}, tier {tier}")
        ws.registry.register_model(model, system=system, by=engineer)
        plan = ws.registry.propose_plan(
            model,
            dataset="dataset:acs/2015",
            split="test",
            label="employed",
            thresholds=PERFORMANCE,
            reason="bounds of the service promise",
            by=engineer,
        )
        stage.done(
            ws.registry.approve_plan(plan.facts[0].plan, by=stage.who["approver"]),
            f"evaluation plan of {model} approved: auc >= 0.70, accuracy >= 0.75",
        )
    ws.registry.make_commitment(
        "job-centre", promise="employed people with a disability are recognised as reliably as others", metric="tpr-difference-dis",
        direction="at-most", bound="0.100000", period="P1Y", criterion="PI1.3", by=engineer,
    )  # fmt: skip
    plan = ws.fairness.propose_plan(
        "employment", dataset="dataset:acs/2015", split="test", thresholds=FAIRNESS,
        reason="equal opportunity: an employed person is recognised as such whatever their disability or sex",
        group_basis="survey answers, used for assessment alone", by=engineer,
    )  # fmt: skip
    done = ws.fairness.approve_plan(
        plan.facts[0].plan, review_by=stage.clock.now() + timedelta(days=360), by=stage.who["approver"]
    )
    stage.done(done, "fairness plan approved: TPR difference <= 0.10 by disability, <= 0.05 by sex")


def train_and_register(stage: Stage, model: str, recipe: science.Recipe, name: str, code: str = CODE) -> int:
    """A training run with its manifest, and the version that came out of it; the version number is returned."""
    engineer, ws = stage.who["engineer"], stage.ws
    trained = science.train(recipe, stage.people)
    path = inputs.write_model(stage.inputs, name, trained)
    started = stage.clock.now()
    stage.clock.advance(timedelta(hours=1))
    ended = stage.clock.now()
    used = [Input(f"dataset:acs/{y}", "training", part.content, part.rows) for y, part in _training(stage, recipe)]
    parameters = {**{k: str(v) for k, v in recipe.parameters.items()}, "features": "+".join(recipe.features)}
    run = ws.lineage.record_run(
        run=new_id(ws.stores, started),
        started=started, ended=ended, code=code, environment=ENVIRONMENT, parameters=parameters, inputs=used,
        output=inputs.file_digest(path), seed=science.SEED, by=engineer,
    )  # fmt: skip
    done = ws.registry.register(
        model, artifact=path, format="lightgbm", run=run.facts[0].run, datasets=[f"dataset:acs/{y}" for y in recipe.years],
        started=started, ended=ended, code=code, environment=ENVIRONMENT, hyperparameters=parameters,
        metrics=inputs.metrics_on(stage.people, trained), split="validation", author=engineer.principal, by=engineer,
    )  # fmt: skip
    fact = done.facts[-1]
    stage.done(done, f"model:{model}/{fact.number} registered, artifact {fact.artifact[:19]}…, run {fact.run}")
    for _year, part in _training(stage, recipe):
        stage.ids.setdefault("reads", []).append(
            inputs.read_row(fact.run, part.content, started + timedelta(minutes=5))
        )
    stage.ids[(model, fact.number)] = fact
    return int(fact.number)


def _training(stage: Stage, recipe: science.Recipe) -> list[tuple[int, Split]]:
    """The measured training split of each year the recipe reads."""
    return [(year, stage.ids[year][1]["training"]) for year in recipe.years]


def evaluate(stage: Stage, version: str, *, fairness: bool = True) -> Any:
    """The plan's evaluation on the exact artifact, and the assessment by group where the plan asks for it."""
    engineer, data = stage.who["engineer"], stage.ids[2015][0]
    done = stage.ws.registry.evaluate(version, data=data, split_column="split", by=engineer)
    results = done.facts[-1].results
    stage.done(
        done,
        f"{version} evaluated: auc {results['auc']}, accuracy {results['accuracy']}, precision {results['precision']}",
    )
    if not fairness:
        return done
    assessed = stage.ws.fairness.assess(version, data=data, split_column="split", by=engineer)
    for verdict in assessed.facts[-1].verdicts:
        groups = " x ".join(verdict.groups)
        stage.done(
            assessed,
            f"{version} TPR difference by {groups}: {verdict.value} [{verdict.low}, {verdict.high}], bound {verdict.bound}: {verdict.verdict}",
        )
    return assessed


def false_positives(stage: Stage, assessed: Any) -> str:
    """The false positive rate of people with a disability, from the table that the assessment left in the record."""
    with stage.ws.stores.objects.open(assessed.facts[-1].table.digest) as source:
        rows = canonical.parse(source.read())["rows"]
    wanted = {"kind": "group", "metric": "fpr", "attributes": ["DIS"], "labels": ["1"]}
    row = next(r for r in rows if all(r.get(k) == v for k, v in wanted.items()))
    return f"{Decimal(row['value']):.0%}"


def promote(stage: Stage, version: str, *, by: str = "operator") -> Any:
    """Staging, request, approval by another person, production, load."""
    ws, engineer = stage.ws, stage.who["engineer"]
    stage.done(
        ws.registry.promote(version, to="staging", by=stage.who[by]),
        f"{version} in staging: every gate attribute passed",
    )
    request = ws.registry.request(version, to="production", by=engineer).facts[0].request
    stage.done(
        ws.registry.approve(request, by=stage.who["approver"]), f"{version} approved for production by the approver"
    )
    return deploy(stage, version, by=by)


def deploy(stage: Stage, version: str, *, by: str = "operator") -> Any:
    """Into production on the word that was given, and the first load that verifies every byte."""
    done = stage.ws.registry.promote(version, to="production", by=stage.who[by])
    stage.done(done, f"{version} in production, deployment {done.facts[0].deployment}, via {done.facts[0].via}")
    observed(stage, version, done.facts[0].deployment)
    load(stage, version)
    return done


def load(stage: Stage, version: str, env: str | None = "production") -> None:
    """A serving process loads the version; every digest is verified before a byte is used."""
    stage.clock.advance(timedelta(minutes=5))
    done = stage.ws.registry.load(version, env=env, by=stage.who["on-call"])
    stage.done(done, f"{version} loaded: digests verified")


def observed(stage: Stage, version: str, external: str) -> None:
    """The serving platform writes its own log."""
    model, number = version.split("/")
    fact = stage.ids[(model, int(number))]
    row = inputs.deployment_row(external, model, fact.artifact, stage.clock.now(), "operator")
    stage.ids.setdefault("deployments", []).append(row)


def ranges() -> tuple[Range, ...]:
    """Hyperparameters a retrain may choose within the standing authorisation."""
    return (
        Range("num_leaves", least="15.000000", most="63.000000"),
        Range("learning_rate", least="0.050000", most="0.200000"),
        Range("num_iterations", least="50.000000", most="200.000000"),
        Range("features", equals="+".join(science.MENDED.features)),
    )


def extract(stage: Stage, name: str, rows: list[dict[str, str]]) -> Path:
    """An extract of an acting system's own log."""
    return inputs.write_lines(stage.inputs / f"{name}.jsonl", rows)
