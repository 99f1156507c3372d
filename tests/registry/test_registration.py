"""Systems, models, versions, plans, evaluations, loads, retirement: what is refused and what is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from registry_world import ANNA, BEN, CARA, DATA, START, World, refused, started, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import lookup
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.checks.planted import digest, ident, person
from affidavit.core.errors import Invalid, NotFound, Refused

SYSTEM = c.RegisterSystem(
    "hr-screen", words("screens job applications for interview"), ANNA, "high", words("recruitment, Annex III no. 4(a)"),
    "deployer", ("US-MA",), words("applicants in Massachusetts"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("what", "change", "error"),
    [
        ("purpose n/a", {"purpose": words("n/a")}, Invalid),
        ("purpose too short", {"purpose": words("scoring")}, Invalid),
        ("reason to be decided", {"tier_reason": words("To be decided.")}, Invalid),
        ("people unknown", {"people_affected": words("unknown")}, Invalid),
        ("no jurisdiction", {"jurisdictions": ()}, Invalid),
        ("owner nobody knows", {"owner": person(99)}, NotFound),
    ],
)
def test_a_vague_system_is_refused_with_an_example(what, change, error):
    with refused(error):
        World().do(replace(SYSTEM, **change))


def test_a_system_is_registered_once_and_read_back():
    w = World()
    w.do(SYSTEM)
    with refused(Refused, "already_registered"):
        w.do(SYSTEM)
    w.do(
        c.MakeCommitment(
            "hr-screen",
            words("at least 80 % are rightly accepted"),
            "precision",
            "at-least",
            "0.800000",
            "P90D",
            "PI1.3",
        )
    )
    (found,) = w.query(c.Systems())
    assert (found["tier"], found["jurisdictions"], found["commitments"][0]["criterion"]) == ("high", ["US-MA"], "PI1.3")
    with refused(NotFound):
        w.do(c.RegisterModel("employment", "no-system"))
    w.do(c.RegisterModel("employment", "hr-screen"))
    with refused(Refused, "already_registered"):
        w.do(c.RegisterModel("employment", "hr-screen"))


SPOILED = [
    ("ends before it starts", {"started": START + timedelta(hours=1)}, Invalid, ""),
    ("ends in the future", {"ended": START + timedelta(days=400)}, Invalid, ""),
    ("no hyperparameters", {"hyperparameters": {}}, Invalid, ""),
    ("no datasets", {"datasets": ()}, Invalid, ""),
    ("no metrics", {"metrics": {}}, Invalid, ""),
    ("unknown model", {"model": "other"}, NotFound, ""),
    ("dataset not in lineage", {"datasets": ("dataset:acs/1999",)}, NotFound, ""),
    ("reference that is no dataset", {"datasets": ("run:acs/1999",)}, Invalid, ""),
    ("author nobody knows", {"author": person(99)}, NotFound, ""),
    ("run never recorded", {"run": ident(5)}, NotFound, ""),
    ("another code revision", {"code_stated": "def"}, Refused, "run_differs"),
    ("another environment", {"environment": digest(6)}, Refused, "run_differs"),
    ("hyperparameters the run did not use", {"hyperparameters_stated": {"leaves": "63"}}, Refused, "run_differs"),
    ("a hyperparameter of the run left out", {"hyperparameters_stated": {"depth": "3"}}, Refused, "run_differs"),
    ("a hyperparameter the run does not record", {"hyperparameters_stated": {"leaves": "31", "depth": "3"}}, Refused, "run_differs"),
    ("an account in a hyperparameter", {"hyperparameters_stated": {"leaves": "31", "by": "zoe@example.org"}}, Invalid, ""),
    ("run wrote another file", {"artifact_stated": digest(41)}, Refused, "run_differs"),
    ("pickle without an accepted risk", {"format": "pickle"}, Refused, "format_refused"),
    ("joblib with a risk nobody accepted", {"format": "joblib", "accepted_risk": "vendor", "risk_reason": words("vendor ships it")},
     Refused, "format_refused"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "change", "error", "code"), SPOILED, ids=[s[0] for s in SPOILED])
def test_registration_is_refused(what, change, error, code):
    w = started()
    made = w.registration(digest(40))
    stated = {k.removesuffix("_stated"): v for k, v in change.items()}
    with refused(error, code):
        w.do(replace(made, **stated))


def test_a_dataset_the_run_read_must_be_named():
    w = started()
    w.dataset("dataset:acs/2016", digest(3))
    made = w.registration(digest(40), data="dataset:acs/2016")
    with refused(Refused, "undeclared_dataset"):
        w.do(replace(made, datasets=(DATA,)))


def test_the_same_artifact_twice_names_the_version():
    w = started()
    made = w.registration(digest(40))
    assert w.do(made).number == 1
    with refused(Refused, "already_registered", says="employment/1"):
        w.do(made)
    assert w.do(w.registration(digest(42))).number == 2


def test_the_same_bytes_do_not_come_again_under_a_lower_tier():
    w = started()  # tier high
    made = w.registration(digest(40))
    w.do(made)
    for name, tier in (("leaflets", "minimal"), ("ranking", "high")):
        w.do(replace(SYSTEM, system=name, tier=tier))
        w.do(c.RegisterModel(name, name))
    with refused(Refused, "tier_shopping", says="employment/1"):
        w.do(replace(made, model="leaflets"))
    assert w.do(replace(made, model="ranking")).number == 1


def test_an_evaluation_of_other_rows_than_the_measured_split_is_refused():
    w = started()
    v = w.version()
    with refused(Refused, "rows_differ"):
        w.do(w.evaluation(v, index=digest(99)))
    with refused(Invalid, says="what the plan asks"):
        w.do(w.evaluation(v, cutoff="0.900000"))
    with refused(Invalid, says="what the plan asks"):
        w.do(w.evaluation(v, label="easy"))
    w.measure_splits(test=digest(98))
    with refused(Refused, "rows_differ"):
        w.do(w.evaluation(v))


def test_pickle_passes_only_by_a_risk_that_the_rules_name():
    w = started()
    body = {**w.rules.body, "registry": {"accepted_formats": {"pickle": "sandboxed-vendor"}}}
    w.rules = replace(w.rules, body=body)
    made = replace(w.registration(digest(40)), format="pickle", accepted_risk="sandboxed-vendor")
    with refused(Refused, "format_refused"):
        w.do(made)
    with refused(Invalid):
        w.do(replace(made, risk_reason=words("because")))
    assert (
        w.do(replace(made, risk_reason=words("loaded in a sandbox without network"))).accepted_risk
        == "sandboxed-vendor"
    )


PLAN = c.ProposePlan(
    "employment",
    DATA,
    "test",
    "employed",
    (e.Threshold("auc", "at-least", "0.750000"),),
    words("what people reach today"),
)


@pytest.mark.parametrize(
    ("what", "change", "error"),
    [
        ("no thresholds", {"thresholds": ()}, Invalid),
        ("metric nobody measures", {"thresholds": (e.Threshold("beauty", "at-least", "0.750000"),)}, Invalid),
        ("the same bound twice", {"thresholds": PLAN.thresholds * 2}, Invalid),
        ("unknown dataset", {"dataset": "dataset:acs/1999"}, NotFound),
        ("unknown model", {"model": "other"}, NotFound),
        ("no reason", {"reason": words("tbd")}, Invalid),
        ("a cutoff that is no probability", {"cutoff": "1.500000"}, Invalid),
    ],
)
def test_a_plan_is_refused(what, change, error):
    w = started()
    with refused(error):
        w.do(replace(PLAN, **change))


def test_a_plan_is_approved_once_by_another():
    w = started()
    plan = w.do(PLAN).plan
    with refused(Refused, "self_approval"):
        w.do(c.ApprovePlan(plan), ANNA)
    w.do(c.ApprovePlan(plan), BEN)
    with refused(Refused, "already_approved"):
        w.do(c.ApprovePlan(plan), BEN)
    with refused(NotFound):
        w.do(c.ApprovePlan(ident(1)), BEN)


def test_evaluations_use_the_plan_in_force():
    w = started()
    v = w.version()
    old = w.evaluation(v)
    w.plan("0.900000")
    with refused(Refused, "plan_not_in_force"):
        w.do(old)
    assert not w.do(w.evaluation(v)).verdicts[0].met


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("another artifact", {"artifact": digest(5)}),
        ("another split", {"split": "training"}),
        ("a threshold left out", {"verdicts": ()}),
        ("a verdict that contradicts its value", {"verdicts": (e.Verdict("auc", "0.100000", None, None, "at-least", "0.750000", True),)}),
    ],
)  # fmt: skip
def test_an_evaluation_is_refused(what, change):
    w = started()
    v = w.version()
    with refused(Invalid):
        w.do(w.evaluation(v, **change))


def test_loads_name_the_deployment_and_refuse_what_does_not_serve():
    w = started()
    v = w.live()
    artifact = lookup.known_version(w.view, v).artifact
    assert w.do(rec.RecordLoad(v, artifact)).deployment is None
    fact = w.do(rec.RecordLoad(v, artifact, "production"))
    assert fact.deployment == lookup.live_in(w.view, "employment", "production").id
    w.live()
    with refused(Refused, "not_live", says="employment/2"):
        w.do(rec.RecordLoad(v, artifact, "production"))
    w.do(c.Retire(v, words("superseded by 2")))
    with refused(Refused, "retired"):
        w.do(rec.RecordLoad(v, artifact))


def test_an_altered_artifact_stays_barred_until_it_verifies_again():
    w = started()
    v = w.staged()
    artifact = lookup.known_version(w.view, v).artifact
    fact = w.do(rec.RecordTamper(v, artifact, digest(1), digest(2)))
    assert (fact.expected, fact.found) == (digest(1), digest(2))
    with refused(Refused, "tampered"):
        w.request(v)
    w.do(rec.RecordLoad(v, artifact))
    assert w.request(v)
    with refused(Invalid):
        w.do(rec.RecordTamper(v, artifact, digest(1), digest(1)))


@pytest.mark.parametrize(
    ("what", "change", "passed"),
    [("within", {}, True), ("too slow", {"took_ms": 6000}, False), ("one row differs", {"differing": 1}, False), ("no row", {"rows": 0}, False)],
)  # fmt: skip
def test_a_drill_says_whether_it_passed(what, change, passed):
    w = started()
    v = w.live()
    artifact = lookup.known_version(w.view, v).artifact
    made = rec.RecordDrill(v, artifact, "production", digest(1), 100, 0, "0.000000", "0.000001", 40, 5000)
    assert w.do(replace(made, **change)).passed is passed


def test_a_version_that_never_served_is_not_drilled():
    w = started()
    v = w.staged()
    artifact = lookup.known_version(w.view, v).artifact
    with refused(Refused, "never_live"):
        w.do(rec.RecordDrill(v, artifact, "production", digest(1), 100, 0, "0.000000", "0.000001", 40, 5000), CARA)
