"""Fairness in domain words: a plan, an assessment, a promotion, each with what a scenario changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from area_world import ANNA, BEN, HOUR, START, World, digest, ident, person, words

from affidavit.areas.access import events as access
from affidavit.areas.fairness import AREA
from affidavit.areas.fairness import commands as c
from affidavit.areas.fairness import events as e
from affidavit.areas.fairness.checks.v1 import CHECKS
from affidavit.areas.registry import events as reg
from affidavit.core.envelope import Draft, Record
from affidavit.core.fields import Attachment, VaultText
from affidavit.core.findings import Period

DATA, MODEL, VERSION = "dataset:acs/2015", "employment", "employment/3"
CONTENT, ARTIFACT = digest(0xA), digest(0xB)
TABLE = Attachment(digest(9), 10, "application/json", "fairness-table")
TEXT = VaultText(commit=digest(1), vault=ident(1))
TPR = e.FairThreshold("tpr", ("SEX",), "difference", "at-most", "0.100000", 100)
RATIO = e.FairThreshold("selection_rate", ("SEX", "AGEP:25,40"), "ratio", "at-least", "0.800000", 30)
REASON, BASIS = words("equal opportunity for men and women"), words("survey answers, used for this test alone")


def world() -> World:
    """A registered model, version and dataset; no plan yet."""
    known = {"artifact": ARTIFACT, "model": MODEL, "number": 3}
    return World(
        AREA,
        registry__model=lambda m: {"model": m} if m == MODEL else None,
        registry__version=lambda m, n: known if (m, n) == (MODEL, 3) else None,
        registry__evaluation=lambda m, n: None,
        lineage__dataset=lambda name: {"content": CONTENT} if name == "acs/2015" else None,
        lineage__measurements=lambda name: None,
    )


def wish(*thresholds: e.FairThreshold, **changes: Any) -> c.ProposePlan:
    """A plan proposal as it should be, with changes."""
    return replace(c.ProposePlan(MODEL, DATA, "test", thresholds or (TPR,), REASON, BASIS), **changes)


def planned(w: World, *thresholds: e.FairThreshold, **changes: Any) -> str:
    """A plan in force: proposed by one, approved by the other; its id."""
    plan = w.do(wish(*thresholds, **changes), ANNA)[0].fact.plan
    w.do(c.ApprovePlan(plan, w.now + timedelta(days=300)), BEN)
    return str(plan)


def verdict(t: e.FairThreshold = TPR, value: str | None = "0.050000", n: int = 400, said: str = "met") -> e.FairVerdict:
    """The verdict on a threshold."""
    return e.FairVerdict(t.metric, t.groups, t.aggregate, t.direction, t.bound, said, value, value, value, n)  # type: ignore[arg-type]


def assessed(plan: str, *verdicts: e.FairVerdict, **changes: Any) -> c.RecordAssessment:
    """An assessment as it should be, with changes."""
    good = c.RecordAssessment(
        VERSION, ARTIFACT, plan, DATA, "test", CONTENT, 1000, 0, digest(5), verdicts or (verdict(),), TABLE
    )
    return replace(good, **changes)


class Story:
    """Facts around a production promotion, whatever the rules would say; an hour passes with each."""

    def __init__(self, tier: str | None = "high") -> None:
        self.w = world()
        if tier:
            system = reg.SystemRegistered("jobs", TEXT, ANNA, tier, TEXT, "deployer", ("EU",), TEXT)  # type: ignore[arg-type]
            self.add(system, "system:jobs")
            self.add(reg.ModelRegistered(MODEL, "jobs"), f"model:{MODEL}", "system:jobs")
        for who, env in ((ANNA, "*"), (BEN, "production")):
            self.grant(who, env)

    def add(self, fact: Any, *refs: str, who: str = ANNA, drill: bool = False) -> Record:
        return self.w.append([Draft(fact, refs)], who, drill=drill, apply=False)[0]

    def plan(
        self, number: int = 1, *thresholds: e.FairThreshold, approver: str = BEN, days: int = 300, split: str = "test",
        drill: bool = False,
    ) -> str:  # fmt: skip
        """A plan, proposed and approved."""
        refs = (f"model:{MODEL}", f"plan:{ident(number)}", DATA)
        self.add(
            e.FairnessPlanProposed(ident(number), MODEL, DATA, split, thresholds or (TPR,), TEXT, TEXT),
            *refs,
            drill=drill,
        )
        self.add(
            e.FairnessPlanApproved(ident(number), MODEL, self.w.now + timedelta(days=days)),
            *refs,
            who=approver,
            drill=drill,
        )
        return ident(number)

    def register(self, author: str = ANNA) -> Record:
        """Version 3."""
        fact = reg.VersionRegistered(
            MODEL, 3, ARTIFACT, 1, 1, "lightgbm", TABLE, ident(20), (DATA,), START, START + HOUR, "git:1", digest(4),
            {"leaves": "31"}, {"auc": "0.800000"}, "test", author,
        )  # fmt: skip
        return self.add(fact, f"model:{MODEL}", f"model:{VERSION}", f"run:{ident(20)}", who=author)

    def assess(
        self, *verdicts: e.FairVerdict, plan: int = 1, artifact: str = ARTIFACT, by: str = "service", who: str = ANNA
    ) -> Record:
        """Version 3 assessed."""
        fact = e.FairnessAssessed(
            MODEL,
            3,
            artifact,
            ident(plan),
            DATA,
            "test",
            CONTENT,
            1000,
            0,
            digest(5),
            verdicts or (verdict(),),
            TABLE,
            by,  # type: ignore[arg-type]
        )
        return self.add(fact, f"model:{MODEL}", f"model:{VERSION}", f"plan:{ident(plan)}", DATA, who=who)

    def grant(self, who: str, env: str, role: str = "approver", drill: bool = False) -> str:
        """A role held from here on; the grant's id."""
        grant = self.w.new()
        self.add(access.GrantApproved(grant, who, role, env), f"principal:{who}", f"grant:{grant}", drill=drill)
        return grant

    def waive(
        self, attribute: str = "D", approver: str = BEN, hours: int = 500, measured: int | None = None,
        drill: bool = False,
    ) -> None:  # fmt: skip
        """A waiver, asked for and approved."""
        refs = (f"model:{MODEL}", f"model:{VERSION}", f"waiver:{ident(30)}")
        fact = reg.WaiverRequested(
            ident(30), MODEL, 3, "AI-04.2", attribute, ANNA, TEXT, self.w.now + hours * HOUR, measured
        )
        self.add(fact, *refs, drill=drill)
        self.add(reg.WaiverApproved(ident(30), MODEL, 3), *refs, who=approver, drill=drill)

    def promote(self, via: str = "approval", to: str = "production", drill: bool = False, number: int = 40) -> Record:
        """Version 3 promoted."""
        fact = reg.VersionPromoted(ident(number), MODEL, 3, ARTIFACT, to, via, (), digest(6))  # type: ignore[arg-type]
        refs = (f"model:{MODEL}", f"model:{VERSION}", f"deployment:{ident(number)}", f"env:{to}")
        return self.add(fact, *refs, who=person(9), drill=drill)

    def observe(self, artifact: str = ARTIFACT, env: str = "production", external: str = "d1") -> Record:
        """The platform's log shows a deployment an hour ago."""
        fact = reg.DeploymentObserved("platform", external, MODEL, env, artifact, self.w.now - HOUR)
        return self.add(fact, f"model:{MODEL}", f"env:{env}", "source:platform")

    def extract(self, start: Any, end: Any) -> Record:
        """The platform's log was taken in over a window."""
        fact = reg.DeploymentsExtracted("platform", TEXT, TEXT, start, end, 0, TABLE, "affidavit/test")
        return self.add(fact, "source:platform")


CHECK = CHECKS[0]
YEAR = Period(START - timedelta(days=30), START + timedelta(days=335))
BREACH = verdict(value="0.300000", said="breached")


def outcomes(s: Story, which: int = -1) -> dict[str, str]:
    """The states of one item of the year, the last if none is named."""
    item = CHECK.population(s.w.facts(), YEAR)[which]
    return {a: o.state for a, o in CHECK.test(item, s.w.facts()).items()}


def governed(*verdicts: e.FairVerdict, **changes: Any) -> Story:
    """A version assessed under its plan, not yet promoted."""
    s = Story()
    s.plan()
    s.register()
    s.assess(*verdicts, **changes)
    return s
