"""Planted cases: a small ledger in memory in which all is right but one thing, which the check must find. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from affidavit.areas.access.events import GrantApproved
from affidavit.areas.lineage import events as lin
from affidavit.areas.registry import events as e
from affidavit.areas.registry.checks import trail
from affidavit.core.envelope import Auth, Cmd, Head, Record
from affidavit.core.fields import Attachment, VaultText
from affidavit.core.findings import Facts, Item
from affidavit.core.ledger_facts import LedgerOpened

Planted = tuple[Item, Facts, str]
MODEL, SYSTEM, DATA = "planted", "planted", "dataset:planted/1"
HOUR = timedelta(hours=1)
TEXT = VaultText(commit="sha256:" + "0" * 64, vault="00000000-0000-4000-8000-000000000000")
VKEY = "planted+00000000+AQAA"


def digest(n: int) -> str:
    """A digest that is recognisably made up."""
    return f"sha256:{n:064x}"


def ident(n: int) -> str:
    """An id that is recognisably made up."""
    return f"00000000-0000-4000-8000-{n:012x}"


def person(n: int) -> str:
    """A principal that is recognisably made up."""
    return f"p-{n:032x}"


AUTHOR, APPROVER, DEPLOYER, REVIEWER, PLANNER = (person(n) for n in range(1, 6))
TRAINING, TEST, CUTOFF = digest(20), digest(21), "0.500000"
ATTACHED = Attachment(digest(9), 1, "application/octet-stream", "signature")


class Story:
    """A ledger in memory, one fact per hour; ``now`` is the time of the next."""

    def __init__(self, now: datetime) -> None:
        self.now, self.records, self._ids = now, list[Record](), 100

    def new(self) -> str:
        """A fresh made-up id."""
        self._ids += 1
        return ident(self._ids)

    def add(self, fact: Any, refs: tuple[str, ...], actor: str, *, drill: bool = False) -> Record:
        """Append a fact; an hour passes."""
        cls = type(fact)
        head = Head(
            "planted", refs[0].split("/")[0], len(self.records), cls.TAG, cls.V, self.now,
            Cmd(self.new(), digest(1), 1, 1), actor, Auth("os-user"), refs, digest(1), drill=drill or None,
        )  # fmt: skip
        record = Record(len(self.records), head, fact)
        self.records.append(record)
        self.now += HOUR
        return record

    def facts(self, parameters: dict[str, dict[str, Any]] | None = None) -> Facts:
        """Everything so far, with the parameters' defaults."""
        return Facts(self.records, parameters or {"AI-01.5": {"review_within": "P2D", "emergency_rate": "0.05"}})

    def open(self) -> None:
        """Entry 0, the people's roles, a frozen dataset with measured splits, an approved plan."""
        self.add(LedgerOpened("simulated", "1", VKEY, VKEY, VKEY), ("ledger:log",), person(0))
        roles = {AUTHOR: "engineer", APPROVER: "approver", DEPLOYER: "engineer", REVIEWER: "approver"}
        for who, role in roles.items():
            self.add(GrantApproved(self.new(), who, role, "*"), (f"principal:{who}",), person(0))
        data = lin.DatasetRegistered(
            MODEL, "1", TEXT, "1", "CC0-1.0", "public-domain", "public", AUTHOR, self.now, self.now + HOUR, "P1Y",
            digest(2), 1, 1, digest(2), TEXT, ATTACHED,
        )  # fmt: skip
        self.add(data, (DATA,), AUTHOR)
        parts = (lin.Split("training", 6, TRAINING, digest(2)), lin.Split("test", 4, TEST, digest(2)))
        overlap = (lin.Overlap("training", "test", 0, 0),)
        self.add(lin.SplitMeasured(MODEL, "1", digest(2), parts, overlap, ("row",), digest(3)), (DATA,), AUTHOR)
        self.plan(ident(1), "0.750000")

    def plan(self, plan: str, bound: str) -> None:
        """A plan proposed and approved by two people."""
        asked = (e.Threshold("auc", "at-least", bound),)
        refs = (f"model:{MODEL}", f"plan:{plan}", DATA)
        self.add(e.PlanProposed(plan, MODEL, DATA, "test", "y", CUTOFF, asked, TEXT), refs, AUTHOR)
        self.add(e.PlanApproved(plan, MODEL), refs, PLANNER)

    def register(self, number: int = 1, author: str = AUTHOR) -> Record:
        """A run and the version registered from it."""
        run, artifact = ident(10 + number), digest(100 + number)
        read = (lin.Input(DATA, "training", TRAINING, 6),)
        made = lin.RunRecorded(run, self.now, self.now + HOUR, "abc", digest(4), {"leaves": "31"}, read, artifact, 1)
        self.add(made, (f"run:{run}", DATA), author)
        fact = e.VersionRegistered(
            MODEL, number, artifact, 1, 1, "lightgbm", ATTACHED, run, (DATA,), self.now, self.now + HOUR, "abc",
            digest(4), {"leaves": "31"}, {"auc": "0.800000"}, "test", author,
        )  # fmt: skip
        return self.add(fact, refs_of(fact), author)

    def evaluate(
        self, version: Record, auc: str = "0.800000", plan: str = "", by: e.By = "service", bound: str = "0.750000"
    ) -> Record:
        """The version measured on the test split, judged against a bound on its AUC."""
        v = version.fact
        verdict = e.Verdict("auc", auc, None, None, "at-least", bound, auc >= bound)
        fact = e.EvaluationMeasured(
            MODEL, v.number, v.artifact, plan or ident(1), DATA, "test", "y", CUTOFF, digest(2), TEST, 4, 1, digest(3),
            {"auc": auc}, (verdict,), ATTACHED, by,
        )  # fmt: skip
        return self.add(fact, (f"model:{MODEL}", f"model:{MODEL}/{v.number}", f"plan:{fact.plan}", DATA), AUTHOR)

    def request(self, version: Record, by: str = DEPLOYER) -> Record:
        """A request for production."""
        v = version.fact
        fact = e.PromotionRequested(self.new(), MODEL, v.number, v.artifact, "production", (), digest(5))
        return self.add(fact, (*refs_of(v), f"request:{fact.request}"), by)

    def approve(
        self, request: Record, by: str = APPROVER, role: str = "approver", lasts: timedelta = 300 * HOUR
    ) -> Record:
        """An approval of it."""
        f = request.fact
        fact = e.PromotionApproved(
            f.request, MODEL, f.number, f.artifact, f.to, f.gate_digest, role, self.now + lasts
        )  # fmt: skip
        return self.add(fact, (f"model:{MODEL}", f"model:{MODEL}/{f.number}", f"request:{f.request}"), by)

    def promote(self, version: Record, via: e.Via = "approval", by: str = DEPLOYER, **extra: Any) -> Record:
        """The version into production."""
        v, drill = version.fact, bool(extra.pop("drill", False))
        artifact = extra.pop("artifact", v.artifact)
        fact = e.VersionPromoted(self.new(), MODEL, v.number, artifact, "production", via, (), digest(5), **extra)
        return self.add(fact, (*refs_of(v), f"deployment:{fact.deployment}", "env:production"), by, drill=drill)

    def approved(self, number: int = 1) -> Record:
        """A version that goes the whole way as it should; its promotion."""
        version = self.register(number)
        self.evaluate(version)
        request = self.request(version)
        self.approve(request)
        return self.promote(version, request=request.fact.request)

    def load(self, promoted: Record) -> Record:
        """A verified load of what was promoted."""
        f = promoted.fact
        refs = (f"model:{MODEL}", f"model:{MODEL}/{f.number}", f"deployment:{f.deployment}")
        return self.add(e.VersionLoaded(MODEL, f.number, f.artifact, f.deployment), refs, person(6))


def refs_of(v: e.VersionRegistered) -> tuple[str, ...]:
    """The references of a version as the registry writes them."""
    return (f"model:{v.model}", f"model:{v.model}/{v.number}", f"run:{v.run}", *v.datasets, f"system:{SYSTEM}")


def _opened(now: datetime) -> Story:
    story = Story(now - 60 * HOUR)
    story.open()
    return story


def self_approval(now: datetime) -> Planted:
    """Approved by the author of the version."""
    story = _opened(now)
    version = story.register()
    story.evaluate(version)
    request = story.request(version)
    story.approve(request, by=AUTHOR, role="engineer")
    promoted = story.promote(version, request=request.fact.request)
    return trail.item_of(promoted), story.facts(), "D"


def failed_threshold(now: datetime) -> Planted:
    """Promoted though AUC missed its bound, without a waiver."""
    story = _opened(now)
    version = story.register()
    story.evaluate(version, auc="0.740000")
    request = story.request(version)
    story.approve(request)
    promoted = story.promote(version, request=request.fact.request)
    return trail.item_of(promoted), story.facts(), "D"


def flipped_byte(now: datetime) -> Planted:
    """A byte of the served artifact was altered, and nothing verified since."""
    story = _opened(now)
    promoted = story.approved()
    story.load(promoted)
    f = promoted.fact
    altered = e.ArtifactTampered(MODEL, f.number, f.artifact, f.artifact, digest(7))
    story.add(altered, (f"model:{MODEL}", f"model:{MODEL}/{f.number}"), person(6))
    return replace(trail.item_of(promoted), key=f.artifact), story.facts(), "C"


def late_review(now: datetime) -> Planted:
    """An emergency reviewed a day after its review was due."""
    story = _opened(now)
    version = story.register()
    story.evaluate(version)
    due = story.now + 2 * HOUR
    promoted = story.promote(
        version, "break-glass", incident=f"incident:{ident(50)}", incident_entry=0, review_due=due, reason=TEXT
    )
    story.now = due + 24 * HOUR
    review = e.BreakGlassReviewed(promoted.fact.deployment, MODEL, "accepted", TEXT)
    story.add(review, (f"model:{MODEL}", f"model:{MODEL}/1", f"deployment:{promoted.fact.deployment}"), REVIEWER)
    return trail.item_of(promoted), story.facts(), "B"
