"""A registry in memory: real rules, real read tables, real checks as gate; only the other areas' answers are told."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import yaml

from affidavit.areas.access.events import GrantApproved
from affidavit.areas.lineage import events as lin
from affidavit.areas.registry import AREA, lookup
from affidavit.areas.registry import commands as c
from affidavit.areas.registry import events as e
from affidavit.areas.registry import records as rec
from affidavit.areas.registry.checks.planted import ATTACHED, CUTOFF, TEST, TEXT, TRAINING, VKEY, digest, ident, person
from affidavit.areas.registry.checks.v1 import CHECKS
from affidavit.areas.registry.view import TABLES
from affidavit.core import codec, envelope
from affidavit.core import digest as digests
from affidavit.core.area import Ctx, Query, ViewTx, Who
from affidavit.core.envelope import Auth, Cmd, Draft, Head, Record
from affidavit.core.errors import NotFound
from affidavit.core.fields import Attachment, VaultText
from affidavit.core.findings import Facts, Item
from affidavit.core.ledger_facts import LedgerOpened
from affidavit.core.rules import rules_of

RULES = """
version: 1
environments: [development, staging, production]
roles:
  engineer: [registry.*]
  approver: [registry.approve, registry.review, registry.approve_waiver, registry.approve_standing]
  lead: [registry.approve]
  oncall: [registry.break_glass]
transitions:
  staging:
    from: development
    checks: {AI-01.3: [A, B, C, D]}
    approvals: {n: 0, roles: [], expires: P14D}
  production:
    from: staging
    checks: {AI-01.3: [A, B, C, D], AI-01.4: [A, B, D]}
    approvals: {n: 1, roles: [approver, lead], expires: P14D}
separation: [[author, approver], [requester, approver], [trainer, approver], [approver, deployer]]
"""
PARAMETERS = {"AI-01.5": {"review_within": "P2D", "emergency_rate": "0.05"}}
ANNA, BEN, CARA, DAN, EVE, TRAINER = (person(n) for n in range(11, 17))
DATA = "dataset:acs/2015"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
GRANTS = {ANNA: "engineer", BEN: "approver", CARA: "engineer", DAN: "lead", EVE: "oncall"}


class MemoryTx:
    """The part of a transaction that views use."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")

    def rows(self, sql: str, args: Any = ()) -> list[Any]:
        return self.db.execute(sql, tuple(args)).fetchall()

    def run(self, sql: str, args: Any = ()) -> int:
        return self.db.execute(sql, tuple(args)).rowcount


def words(text: str) -> VaultText:
    """A private text, sealed."""
    return replace(TEXT, text=text)


class World:
    """One workspace. ``do`` decides as the service would and applies the facts; an hour passes."""

    def __init__(self, rules: str = RULES, **changes: Any) -> None:
        body = yaml.safe_load(rules)
        body.update(changes)
        self.rules = rules_of(body, digest(77), PARAMETERS)
        self.now, self.records, self._ids = START, list[Record](), 1000
        self.tx = MemoryTx()
        names = {t: f"registry_{t}" for t in TABLES}
        for t, columns in TABLES.items():
            self.tx.run(f'CREATE TABLE "{names[t]}" ({columns})')
        self.view = ViewTx(self.tx, names)
        self.principals = {*GRANTS, TRAINER}
        self.incidents: dict[str, dict[str, Any]] = {}
        self.assessments: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.append([Draft(LedgerOpened("simulated", "1", VKEY, VKEY, VKEY), ("ledger:log",))], ANNA)
        for who, role in GRANTS.items():
            self.grant(who, role)

    # ------------------------------------------------------------ the ledger

    def new(self) -> str:
        self._ids += 1
        return ident(self._ids)

    def append(self, drafts: list[Draft], actor: str, *, drill: bool = False) -> list[Record]:
        made = []
        for part, d in enumerate(drafts, 1):
            cls = type(d.fact)
            head = Head(
                "test", d.stream, 0, cls.TAG, cls.V, self.now, Cmd(self.new(), digest(1), part, len(drafts)), actor,
                Auth("os-user"), tuple(dict.fromkeys(d.refs)), digest(1), d.env, drill=drill or None,
            )  # fmt: skip
            body = envelope.encode(head, d.fact)
            record = envelope.decode(len(self.records), body)
            self.records.append(record)
            made.append(record)
            fn = AREA.view.apply.get(cls)
            if fn:
                fn(self.view, record)
        self.now += timedelta(hours=1)
        return made

    def facts(self) -> Facts:
        return Facts(self.records, PARAMETERS)

    def ctx(self, who: str, request: Any, **extra: Any) -> Ctx:
        def ask(name: str, *args: Any) -> Any:
            assert name in request.asks, f"{type(request).__name__} asks {name} undeclared"
            return self.answer(name, *args)

        ids = tuple(self.new() for _ in range(8))
        return Ctx(
            Who(who, "os-user"), self.now, len(self.records), self.rules, ids, ask, lambda _at: self.rules, **extra
        )

    def do(self, command: Any, who: str = ANNA, **extra: Any) -> Any:
        """The first fact of the command, or the error it meets."""
        return self.records_of(command, who, **extra)[0].fact

    def records_of(self, command: Any, who: str = ANNA, *, drill: bool = False, **extra: Any) -> list[Record]:
        command = codec.checked(command)
        if command.gated:
            extra.setdefault("gate", self.gate(*command.candidate(self.view)))
        ctx = self.ctx(who, command, **extra)
        return self.append(AREA.commands[type(command)](command, self.view, ctx), who, drill=drill)

    def query(self, query: Query, who: str = ANNA) -> Any:
        extra = {"gate": self.gate(*query.candidate(self.view))} if hasattr(query, "candidate") else {}
        return AREA.queries[type(query)](query, self.view, self.ctx(who, query, **extra))

    def gate(self, model: str, number: int, to: str) -> dict[str, Any]:
        refs = lookup.refs(self.view, model, number)
        item = Item("candidate", self.now, (*refs, f"env:{to}"), ())
        known = {x.control: x for x in CHECKS}
        return {x: known[x].test(item, self.facts()) for x in self.rules.transition(to).checks if x in known}

    # ------------------------------------------------------------ answers of other areas

    def answer(self, name: str, *args: Any) -> Any:
        area, _, question = name.partition(".")
        if area == "registry":
            return AREA.answers[question](self.view, *args)
        if name == "access.principal":
            return {"id": args[0]} if args[0] in self.principals else None
        if name == "access.roles_of":
            found = [r.fact.role for r in self.facts().about(f"principal:{args[0]}", GrantApproved)
                     if args[1] is None or r.fact.env in ("*", args[1])]  # fmt: skip
            return ("everyone", *found)
        if name == "lineage.dataset":
            for r in self.facts().all(lin.DatasetRegistered):
                if f"{r.fact.dataset}/{r.fact.version}" == args[0]:
                    return {"content": r.fact.content, "rows": r.fact.rows, "licence": r.fact.licence,
                            "sensitivity": r.fact.sensitivity}  # fmt: skip
            return None
        if name == "lineage.run":
            for r in self.facts().about(f"run:{args[0]}", lin.RunRecorded):
                return {**codec.dump_object(r.fact), "actor": r.head.actor}
            return None
        if name == "lineage.splits":
            return self.splits(args[0])
        if name == "fairness.latest":
            return self.assessments.get(f"{args[0]}/{args[1]}")
        if name == "incidents.incident":
            return self.incidents.get(args[0])
        raise NotFound(f"no area answers {name!r}.", next_step="")

    def splits(self, dataset: str) -> list[dict[str, Any]]:
        """The splits of a dataset version as measured last."""
        found = [r for r in self.facts().all(lin.SplitMeasured) if f"{r.fact.dataset}/{r.fact.version}" == dataset]
        return [{"name": s.name, "content": s.content, "rows": s.rows, "entry": r.index}
                for r in found[-1:] for s in r.fact.splits]  # fmt: skip

    # ------------------------------------------------------------ ready-made steps

    def grant(self, who: str, role: str, env: str = "*") -> None:
        self.append([Draft(GrantApproved(self.new(), who, role, env), (f"principal:{who}",))], ANNA)

    def dataset(self, ref: str = DATA, content: str = digest(2), test: str = TEST, splits: bool = True) -> None:
        name, _, version = ref.removeprefix("dataset:").partition("/")
        fact = lin.DatasetRegistered(
            name, version, TEXT, "2015", "CC0-1.0", "public-domain", "public", ANNA, START, START, "P1Y", content, 1, 1,
            digest(2), TEXT, ATTACHED,
        )  # fmt: skip
        self.append([Draft(fact, (ref,))], ANNA)
        if splits:
            self.measure_splits(ref, content, test)

    def measure_splits(self, ref: str = DATA, content: str = digest(2), test: str = TEST, equal: int = 0) -> None:
        name, _, version = ref.removeprefix("dataset:").partition("/")
        parts = (lin.Split("training", 6, TRAINING, digest(2)), lin.Split("test", 4, test, digest(2)))
        overlap = (lin.Overlap("training", "test", equal, 0),)
        fact = lin.SplitMeasured(name, version, content, parts, overlap, ("row",), digest(3))
        self.append([Draft(fact, (ref,))], ANNA)

    def system(self, model: str = "employment", tier: str = "high") -> None:
        self.do(
            c.RegisterSystem(
                "hr-screen", words("screens job applications for interview"), ANNA, tier,
                words("recruitment, Annex III no. 4(a)"), "deployer", ("US-MA",), words("applicants in Massachusetts"),
            )
        )  # fmt: skip
        self.do(c.RegisterModel(model, "hr-screen"))
        self.dataset()

    def run(self, output: str, *, code: str = "abc", leaves: str = "31", by: str = TRAINER, **changes: Any) -> str:
        run = self.new()
        data = changes.pop("data", DATA)
        fact = lin.RunRecorded(
            run, START, START + timedelta(minutes=5), code, digest(4), {"leaves": leaves},
            (lin.Input(data, "training", TRAINING if data == DATA else digest(30), 1),), output, 1,
        )  # fmt: skip
        self.append([Draft(replace(fact, **changes), (f"run:{run}", data))], by)
        return run

    def registration(self, artifact: str, **changes: Any) -> rec.RecordVersion:
        """A registration with a run to it; ``changes`` spoil it."""
        runs = {k: changes[k] for k in ("code", "data") if k in changes}
        by = changes.pop("by", TRAINER)
        parameters = changes.get("hyperparameters", {"leaves": "31"})
        run = changes.pop("run", None) or self.run(artifact, parameters=parameters, by=by, **runs)
        datasets = (changes.pop("data"),) if "data" in changes else (DATA,)
        made = rec.RecordVersion(
            "employment", artifact, 1, 10, (digest(8),), "lightgbm", ATTACHED, run, datasets, START,
            START + timedelta(minutes=5), "abc", digest(4), {"leaves": "31"}, {"auc": "0.800000"}, "test", ANNA,
        )  # fmt: skip
        return replace(made, **changes)

    def version(self, **changes: Any) -> str:
        """A registered version; its name."""
        self._ids += 1
        registrar = changes.pop("registrar", changes.get("author", ANNA))
        fact = self.do(self.registration(digest(self._ids), **changes), registrar)
        return f"{fact.model}/{fact.number}"

    def plan(self, bound: str = "0.750000") -> str:
        asked = (e.Threshold("auc", "at-least", bound),)
        reason = words("what the manual process reached")
        plan = self.do(c.ProposePlan("employment", DATA, "test", "employed", asked, reason)).plan
        self.do(c.ApprovePlan(plan), BEN)
        return plan

    def evaluation(self, version: str, auc: str = "0.800000", **changes: Any) -> rec.RecordEvaluation:
        found = lookup.known_version(self.view, version)
        plan = lookup.current_plan(self.view, found.model)
        assert plan is not None
        bound = plan.thresholds[0]["bound"]
        verdict = e.Verdict("auc", auc, None, None, "at-least", bound, float(auc) >= float(bound))
        made = rec.RecordEvaluation(
            version,
            found.artifact,
            plan.id,
            DATA,
            "test",
            "employed",
            CUTOFF,
            digest(2),
            TEST,
            100,
            1,
            digest(3),
            {"auc": auc},
            (verdict,),
            ATTACHED,
        )
        return replace(made, **changes)

    def evaluated(self, auc: str = "0.800000", **changes: Any) -> str:
        """A version with an evaluation."""
        version = self.version(**changes)
        self.do(self.evaluation(version, auc))
        return version

    def staged(self, auc: str = "0.800000", **changes: Any) -> str:
        version = self.evaluated(auc, **changes)
        self.do(c.PromoteVersion(version, "staging"), CARA)
        return version

    def request(self, version: str, by: str = CARA) -> str:
        return self.do(c.RequestPromotion(version, "production"), by).request

    def approved(self, **changes: Any) -> str:
        """A version in staging with an approved request for production."""
        version = self.staged(**changes)
        self.do(c.ApprovePromotion(self.request(version)), BEN)
        return version

    def live(self, **changes: Any) -> str:
        """A version that serves production, approved."""
        version = self.approved(**changes)
        self.do(c.PromoteVersion(version, "production"), CARA)
        return version

    def incident(self, state: str = "open", about: tuple[str, ...] = ("model:employment",), drill: bool = False) -> str:
        found = self.new()
        self.incidents[found] = {
            "id": found,
            "state": state,
            "entry": len(self.records) - 1,
            "at": "2026-03-02T09:00:00.000Z",
            "about": about,
            "drill": drill,
        }
        return found

    def standing(self, **changes: Any) -> str:
        made = c.ProposeStanding(
            "employment", (DATA,), ("abc",), (e.Range("leaves", "15.000000", "63.000000"),),
            (e.Threshold("auc", "at-least", "0.780000"),), self.now + timedelta(days=90), words("weekly retrain"),
        )  # fmt: skip
        found = self.do(replace(made, **changes)).standing
        self.do(c.ApproveStanding(found), BEN)
        return found


def started() -> World:
    """A world with a system, a model, a dataset and a plan in force."""
    world = World()
    world.system()
    world.plan()
    return world


def retired(w, v):
    w.do(c.Retire(v, words("superseded")))
    return v


def tampered(w, v):
    found = lookup.known_version(w.view, v)
    w.do(rec.RecordTamper(v, found.artifact, digest(1), digest(2)))
    return v


class Desk:
    """A desk on a world: objects in memory, a clock that does not move by itself."""

    def __init__(self, world: World, who: str = ANNA) -> None:
        self.world, self.now, self.who, self.rules = world, world.now, Who(who, "os-user"), world.rules
        self.biggest = 0
        self.local = True

    def ask(self, name: str, *args: Any) -> Any:
        return self.world.answer(name, *args)

    def source(self, path: str) -> Any:
        return self.open(path) if path.startswith("sha256:") else open(path, "rb")

    def open(self, name: str) -> Any:
        return BytesIO(self.world.objects[name])

    def put(self, source: Any) -> tuple[str, int]:
        body = b""
        while chunk := source.read(1 << 20):
            self.biggest = max(self.biggest, len(chunk))
            body += chunk
        name = digests.of_bytes(body)
        self.world.objects[name] = body
        return name, len(body)

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        name, size = self.put(BytesIO(body))
        return Attachment(name, size, type_, kind)

    def sign(self, body: bytes) -> bytes:
        return body + b"\n\xe2\x80\x94 test AAAA\n"

    def elapsed_ms(self, since: float | None = None) -> float:
        return 0.0 if since is None else 40.0


@contextmanager
def refused(kind: type[Exception], code: str = "", *, says: str = ""):
    """The block raises ``kind`` with this code, and says what to do next."""
    try:
        yield
    except kind as error:
        assert not code or getattr(error, "code", "") == code, f"{getattr(error, 'code', '')}: {error}"
        assert says in str(error), f"{says!r} not in {error}"
        assert getattr(error, "next_step", ""), f"no next step: {error}"
        return
    raise AssertionError(f"nothing was raised; expected {kind.__name__} {code}")
