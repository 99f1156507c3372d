"""A small ledger in memory, with fixed keys and times, and everything a package is made from."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from affidavit.areas.access.events import GrantApproved, GrantRequested, PrincipalRegistered, RulesAdopted
from affidavit.areas.catalog import Control
from affidavit.core import envelope
from affidavit.core.assessment import Bench, assess
from affidavit.core.commitment import commit
from affidavit.core.digest import of_bytes
from affidavit.core.envelope import Auth, Cmd, Draft, Head
from affidavit.core.errors import NotFound
from affidavit.core.fields import Attachment, VaultText, sealed
from affidavit.core.findings import Check, Completeness, Facts, Item, Period, deviation, not_tested, passed
from affidavit.core.ledger_facts import DrillRun, KeyRecovered, KeyRotated, LedgerOpened
from affidavit.evidence import frozen
from affidavit.evidence.source import Source
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.growth import grow
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.merkle import EMPTY_ROOT
from affidavit.ledger.succession import Recovery, Rotation, sign_recovery, sign_rotation

ORIGIN = "example.org/risk"
START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = Period(START, datetime(2026, 4, 1, tzinfo=UTC))
RULES = b"""version: 1
environments: [production]
roles: {everyone: [access.read]}
parameters: {AI-99.1: {within: P2D}}
"""
NAME = "Zephyrine Quux"
REASON = '=needs to approve models, "quickly"'


def seeded(name: str) -> bytes:
    """32 bytes that are always the same for a name."""
    return hashlib.sha256(name.encode()).digest()


def uid(number: int) -> str:
    text = f"{number:012x}"
    return f"00000000-0000-7000-8000-{text}"


def person(number: int) -> str:
    return f"p-{number:032x}"


# One control of two attributes over grants, and one without occurrences.


def _grants(facts: Facts, period: Period) -> list[Item]:
    """Every grant approved in the period, by the approvals in the log."""
    return [
        Item(r.fact.grant, r.head.at, r.head.refs, (r.index,), bool(r.head.drill))
        for r in facts.all(GrantApproved)
        if period.holds(r.head.at)
    ]


def _test(item: Item, facts: Facts) -> dict[str, Any]:
    (approved,) = [r for r in facts.all(GrantApproved) if r.fact.grant == item.key]
    asked = [r for r in facts.all(GrantRequested) if r.fact.grant == item.key]
    if not asked:
        return {"A": deviation("no request, or = none on record", approved), "B": not_tested("no request to compare")}
    own = asked[0].head.actor == approved.head.actor
    other = deviation("approved by the one who asked", *asked, approved) if own else passed(*asked, approved)
    return {"A": passed(*asked), "B": other}


def _complete(facts: Facts, period: Period, items: list[Item]) -> Completeness:
    return Completeness(True, "stream numbers are gapless", ("ledger",))


def _none(facts: Facts, period: Period) -> list[Item]:
    """Nothing ever."""
    return []


GRANTS = Check("AI-99.1", (GrantApproved, GrantRequested), _grants, _test, _complete, None)  # type: ignore[arg-type]
NOTHING = Check("AI-99.2", (GrantApproved,), _none, _test, _complete, None)  # type: ignore[arg-type]
BODY = {
    "id": "AI-99.1", "title": "Grants are asked for & approved by <another> person", "version": "1",
    "statement": "A grant has a request and an approval by someone else.", "frequency": "per_event",
    "parameters": {"within": {"default": "P5D"}}, "maps": {"soc2": ["CC6.1"]},
}  # fmt: skip
CONTROLS = {
    "AI-99.1": Control("AI-99.1", "access", BODY, GRANTS, of_bytes(b"check one")),
    "AI-99.2": Control(
        "AI-99.2",
        "access",
        BODY | {"id": "AI-99.2", "title": "Nothing", "parameters": {}},
        NOTHING,
        of_bytes(b"check two"),
    ),
}


@dataclass
class PaperLedger:
    """Append commands, publish, and hand out a ``Source``."""

    origin: str = ORIGIN
    clock: str = "system"
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(ORIGIN, seeded("log")))
    recovery: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(ORIGIN + "/recovery", seeded("recovery")))
    bodies: list[bytes] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, tuple[str, bytes] | None] = field(default_factory=dict)
    tiles: dict[str, bytes] = field(default_factory=dict)
    notes: dict[int, bytes] = field(default_factory=dict)
    stamps: dict[int, bytes] = field(default_factory=dict)
    earlier: list[str] = field(default_factory=list)
    at: datetime = START
    commands: int = 0
    size: int = 0
    root: bytes = EMPTY_ROOT
    seqs: dict[str, int] = field(default_factory=dict)

    def opened(self) -> PaperLedger:
        """With entry 0, rules and a first principal."""
        rules = self.attach(RULES, "application/yaml", "rules")
        opened = LedgerOpened(self.clock, "0.1.0", self.signer.vkey, self.recovery.vkey, self.signer.vkey)  # type: ignore[arg-type]
        self.command(
            Draft(opened, ("ledger:log",)),
            Draft(RulesAdopted(rules, person(1), genesis=True), ("rules:workspace",)),
            Draft(PrincipalRegistered(person(1), "person", self.private("name", NAME)), (f"principal:{person(1)}",)),
        )
        return self

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        self.objects[of_bytes(body)] = body
        return Attachment(of_bytes(body), len(body), type_, kind)

    def private(self, name: str, text: str) -> VaultText:
        vault, key = uid(1_000_000 + len(self.texts)), seeded(f"key {len(self.texts)}")
        self.texts[vault] = (text, key)
        return sealed(VaultText(text), commit(key, name, text), vault)

    def command(
        self, *drafts: Draft, by: int = 1, cause: int | None = None, drill: bool = False, **overrides: Any
    ) -> int:
        """Append one command; the index of its first entry is returned. ``overrides`` replace head fields."""
        first = len(self.bodies)
        self.commands += 1
        self.at += timedelta(hours=1)
        for part, draft in enumerate(drafts):
            seq = self.seqs.get(draft.stream, 0)
            self.seqs[draft.stream] = seq + 1
            head = Head(
                log=self.origin, stream=draft.stream, seq=seq, tag=draft.fact.TAG, v=draft.fact.V, at=self.at,
                cmd=Cmd(uid(self.commands), of_bytes(b"%d" % self.commands), part + 1, len(drafts)), actor=person(by),
                auth=Auth("os-user"), refs=draft.refs, rules=of_bytes(RULES), cause=cause, drill=True if drill else None,
            )  # fmt: skip
            self.bodies.append(envelope.encode(replace(head, **overrides), draft.fact))
        return first

    def grant(self, number: int, *, asked: int | None = 2, approved: int = 1, drill: bool = False) -> None:
        """A grant, asked for by one person (None: by nobody) and approved by another."""
        refs = (f"principal:{person(number)}", f"grant:{uid(number)}")
        if asked is not None:
            reason = self.private("reason", REASON)
            self.command(
                Draft(GrantRequested(uid(number), person(number), "admin", "production", reason), refs),
                by=asked,
                drill=drill,
            )
        self.command(
            Draft(GrantApproved(uid(number), person(number), "admin", "production"), refs), by=approved, drill=drill
        )

    def drill(self, control: str, *, caught: bool = True) -> None:
        fact = DrillRun(control, caught, "planted:A", CONTROLS[control].digest)
        self.command(Draft(fact, (f"control:{control}",)), drill=True)

    def publish(self) -> PaperLedger:
        grown = grow(self.read, self.size, self.bodies[self.size :], root=self.root)
        self.tiles.update(grown.puts)
        self.size, self.root = grown.size, grown.root
        self.notes[self.size] = sign_checkpoint(Checkpoint(self.origin, self.size, self.root), self.signer)
        return self

    def read(self, path: str) -> bytes:
        if path not in self.tiles:
            raise NotFound(path)
        return self.tiles[path]

    def rotate(self, seed: str) -> None:
        """Give the log another key, by the word of both."""
        new = Ed25519Signer(self.origin, seeded(seed))
        note = sign_rotation(Rotation(self.origin, new.vkey, len(self.bodies) + 1), self.signer, new)
        fact = KeyRotated(self.signer.vkey, new.vkey, self.attach(note, "text/plain", "key-change"))
        self.command(Draft(fact, ("ledger:log",)))
        self.earlier.append(self.signer.vkey)
        self.signer = new

    def recover(self, seed: str) -> None:
        """Give the log another key, by the word of the recovery key."""
        new = Ed25519Signer(self.origin, seeded(seed))
        note = sign_recovery(Recovery(self.origin, new.vkey, len(self.bodies)), self.recovery)
        statement = self.attach(note, "text/plain", "key-change")
        fact = KeyRecovered(new.vkey, len(self.bodies), statement, self.private("reason", "the key file was lost"))
        self.command(Draft(fact, ("ledger:log",)))
        self.earlier.append(self.signer.vkey)
        self.signer = new

    def facts(self, as_of: int) -> Facts:
        entries = enumerate(self.bodies[:as_of])
        found = Facts(frozen.records(entries, CONTROLS.values(), lambda raw: None))
        found.parameters = {i: dict(p) for i, p in frozen.parameters(RULES, of_bytes(RULES), CONTROLS).items()}
        return found

    def findings(self, period: Period, as_of: int, only: Sequence[str]) -> list[Any]:
        facts = self.facts(as_of)
        benches = [
            Bench(c.body, c.check, c.digest, facts.parameters.get(c.id, {}))
            for i, c in sorted(CONTROLS.items())
            if i in only
        ]
        return [assess(b, facts, period, as_of) for b in benches]

    def object(self, digest: str) -> io.BytesIO:
        if digest not in self.objects:
            raise NotFound(digest)
        return io.BytesIO(self.objects[digest])

    def text(self, vault: str) -> tuple[str, bytes] | None:
        if vault not in self.texts:
            raise NotFound(vault)
        return self.texts[vault]

    def source(self, **changes: Any) -> Source:
        found = Source(
            origin=self.origin, head=self.notes[self.size], tiles=self.read, vkeys=[self.signer.vkey, *self.earlier],
            signer=self.signer, objects=self.object, vault=self.text, findings=self.findings, controls=CONTROLS,
            version="0.1.0", timestamps=lambda: sorted(self.stamps.items()),
        )  # fmt: skip
        return replace(found, **changes)


def small() -> PaperLedger:
    """Eight grants (one approved by the asker, one without request, one planted), a drill, a withheld attachment."""
    ledger = PaperLedger().opened()
    for number in range(10, 16):
        ledger.grant(number)
    ledger.grant(16, asked=1)
    ledger.grant(17, asked=None)
    ledger.grant(18, asked=None, drill=True)
    ledger.drill("AI-99.1")
    return ledger.publish()
