"""``execute``: the only writer. Check, lock, read, decide, append, apply, react, commit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from affidavit.areas.catalog import Catalog
from affidavit.core import canonical, codec, envelope
from affidavit.core import digest as digests
from affidavit.core.area import Command, Ctx, Request, Who
from affidavit.core.envelope import Auth, Cmd, Draft, Head, Record
from affidavit.core.errors import Busy, Invalid, NotAllowed, NotFound, Refused, StoreDown
from affidavit.core.fields import Token, VaultText
from affidavit.core.findings import Outcome
from affidavit.core.ledger_facts import ClockCorrected, RequestRefused
from affidavit.core.ports import Tx
from affidavit.core.rules import Rules
from affidavit.service import gate
from affidavit.service.own_streams import OwnStreams
from affidavit.service.reactions import Reactions
from affidavit.service.readings import Reading, RulesBook
from affidavit.service.refusals import Refusals
from affidavit.service.refusing import Refusing
from affidavit.service.sealing import SealedCommand, check_command_id, new_id, seal, seal_request
from affidavit.service.stores import Stores
from affidavit.service.timekeeping import Timekeeper

DRAWN_IDS = 8


@dataclass(frozen=True, slots=True)
class Done:
    """What an accepted command left in the log.

    ``repeated``: the command id was accepted before. ``result`` is what a measure gives back beside its
    record (a loaded model, a key shown once); it is stored nowhere.
    """

    command_id: str
    records: tuple[Record, ...]
    repeated: bool = False
    size: int = 0
    result: Any = field(default=None, repr=False)

    @property
    def facts(self) -> tuple[Any, ...]:
        return tuple(r.fact for r in self.records)


@dataclass(slots=True)
class Job:
    """One command on its way through ``execute``."""

    name: str
    sealed: SealedCommand
    command_id: str
    who: Who
    drill: bool
    now: datetime
    env: str | None
    expect: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _LedgerRequest(Request):
    """Stands for an action on the ledger itself, which no area declares."""

    everywhere: ClassVar[bool] = True
    permission: Token  # type: ignore[misc]


class Executor:
    """Executes commands on a set of stores."""

    def __init__(self, stores: Stores, catalog: Catalog) -> None:
        self.stores, self.catalog = stores, catalog
        self.book = RulesBook(stores.objects, catalog)
        self.refusals = Refusals(stores)
        self.refusing = Refusing(self)
        self.reactions = Reactions(self)
        self.timekeeper = Timekeeper(stores.clock)
        self.streams = OwnStreams(stores)

    def execute(
        self,
        command: Command,
        who: Who,
        *,
        command_id: str | None = None,
        expect: Mapping[str, int] | None = None,
        digest: str | None = None,
    ) -> Done:
        """Decide a command and append its facts, all or none.

        ``digest`` stands for the command's own when it records a measure: that of the measure's request.
        ``expect`` maps streams to the number of entries the caller saw in them (optimistic check).
        Raises ``Invalid``, ``NotFound``, ``NotAllowed``, ``Refused``, ``Busy`` or ``StoreDown``; the
        same ``command_id`` may be sent again after any of them.
        """
        now = self._now()
        command_id = check_command_id(command_id or new_id(self.stores, now))
        name = self.catalog.name_of(type(command))
        job: Job | None = None
        try:
            self._check_attachments(command)
            sealed = seal(self.stores, name, command, command_id)
            if digest is not None:
                sealed = replace(sealed, digest=digest)
            job = Job(name, sealed, command_id, who, False, now, sealed.command.env, expect or {})
            return self._locked(job)
        except (Invalid, NotFound, NotAllowed, Refused, Busy) as e:
            # Not after StoreDown: the commit may have reached the disk, and its texts must outlive it.
            with suppress(StoreDown, Busy):
                self.discard(command_id)
            if job is not None and isinstance(e, (Refused, NotAllowed)):
                self.refusing.refuse(job, e)
            raise

    def _check_attachments(self, command: Command) -> None:
        """What the command names is stored already; a text of rules is one that could be in force."""
        for attachment in envelope.attachments(command):
            if not self.stores.objects.has(attachment.digest):
                raise NotFound(
                    f"no stored object {attachment.digest}.", next_step="upload it before the command that names it."
                )
            if attachment.kind == "rules":
                self.book.of(attachment.digest)

    def rehearse(self, command: Command, who: Who) -> list[Draft]:
        """Decide without appending: what the command would record, or the refusal it would meet."""
        now = self._now()
        checked = _plain(command)
        with self.stores.entries.read() as tx:
            reading = Reading(tx, self.catalog, self.book)
            rules = reading.rules()
            job = Job(self.catalog.name_of(type(command)), SealedCommand(checked, ""), "", who, False, now, command.env)
            self._authorise(reading, rules, job, command)
            return self.decide(reading, rules, job, checked)

    def _locked(self, job: Job) -> Done:
        with self.stores.entries.write() as tx:
            reading = Reading(tx, self.catalog, self.book)
            earlier = self._earlier(reading, job)
            if earlier is not None:
                return earlier
            job.now = self.timekeeper.time_for(reading.last_at())
            self._check_expected(reading, job)
            rules = reading.rules()
            command = job.sealed.command
            self._authorise(reading, rules, job, command)
            drafts = self.decide(reading, rules, job, command)
            self._check_key(job, drafts)
            self._check_texts(command)
            if not drafts:
                raise Invalid(f"{job.name} decided nothing.", next_step="report this: a command leaves a fact.")
            area = self.catalog.area_of(type(command)).name
            records = self.append(tx, reading, job, drafts, self.rules_digest(area, rules))
            self.reactions.react(tx, reading, rules, records, 1)
            size = tx.size()
        self.timekeeper.anchor()
        return Done(job.command_id, tuple(records), size=size)

    def decide(self, reading: Reading, rules: Rules, job: Job, command: Command) -> list[Draft]:
        area, decide = self.catalog.decide_of(type(command))
        outcomes: Mapping[str, Mapping[str, Outcome]] = {}
        if command.gated:
            model, number, to = command.candidate(reading.view(area.name))
            outcomes = gate.outcomes(reading, self.stores.entries, rules, model, number, to, job.now)
        ctx = self.ctx(reading, rules, job, command, outcomes)
        return decide(command, reading.view(area.name), ctx)

    def _check_texts(self, command: Command) -> None:
        """The texts are still in the vault: a twin under the same id may have been turned down meanwhile."""
        for name, text in codec.private_fields(command).items():
            try:
                held = text.vault is None or self.stores.vault.get(text.vault) is not None
            except NotFound:
                held = False
            if not held:
                raise Busy(f"the text of {name} was discarded with a twin of this command.", next_step="send it again.")

    @staticmethod
    def _check_key(job: Job, drafts: list[Draft]) -> None:
        """A key bound to one environment leaves no fact in another, whatever the request named."""
        bound = job.who.env
        other = next((d.env for d in drafts if bound is not None and d.env is not None and d.env != bound), None)
        if other is not None:
            raise NotAllowed(
                f"this key is bound to {bound}, the request acts on {other}.", next_step=f"use a key of {other}."
            )

    def ctx(self, reading: Reading, rules: Rules, job: Job, command: Command, outcomes: Any) -> Ctx:
        ids = tuple(new_id(self.stores, job.now) for _ in range(DRAWN_IDS))
        ask = reading.asker(type(command))
        return Ctx(
            job.who, job.now, reading.tx.size(), rules, ids, ask, reading.rules_at, outcomes, rules.digest, job.drill
        )

    def authorise(self, request: Request, who: Who) -> None:
        """Raise ``NotAllowed`` (and record the denial) unless ``who`` may make the request."""
        name = self.catalog.name_of(type(request))
        self._permit(name, request, who)

    def permit(self, who: Who, permission: str) -> None:
        """Raise ``NotAllowed`` (and record the denial) unless ``who`` holds a permission of the ledger itself."""
        self._permit(permission, _LedgerRequest(permission), who)

    def _permit(self, name: str, request: Request, who: Who) -> None:
        now = self._now()
        sealed = seal_request(name, request)
        job = Job(name, sealed, new_id(self.stores, now), who, False, now, request.env)
        try:
            with self.stores.entries.read() as tx:
                reading = Reading(tx, self.catalog, self.book)
                self._authorise(reading, reading.rules(), job, request)
        except NotAllowed as e:
            self.refusing.refuse(job, e)
            raise

    def _authorise(self, reading: Reading, rules: Rules, job: Job, command: Request) -> None:
        who = job.who
        if who.how == "policy":
            return
        if who.env is not None and job.env is not None and who.env != job.env:
            raise NotAllowed(
                f"this key is bound to {who.env}, the request is for {job.env}.",
                next_step=f"use a key of {job.env}.",
            )
        env = "*" if command.everywhere else job.env if job.env is not None else who.env
        roles = reading.ask("access.roles_of", who.principal, env)
        if not rules.allows(roles, command.permission):
            held = ", ".join(r for r in roles if r != "everyone") or "no role"
            carriers = (
                ", ".join(r for r, p in rules.roles.items() if rules.allows((r,), command.permission)) or "no role"
            )
            raise NotAllowed(
                f"{who.principal} holds {held} in {env or 'any environment'}; {command.permission} is carried by {carriers}.",
                next_step="ask for a role: affidavit access request-grant.",
            )

    def _earlier(self, reading: Reading, job: Job) -> Done | None:
        """The outcome of the same command id, if it was decided before. Refusals are raised again."""
        rows = reading.view("log").rows("SELECT idx FROM {meta} WHERE cmd = ? ORDER BY part", job.command_id)
        if not rows:
            return None
        first, last = rows[0][0], rows[-1][0]
        bodies = self.stores.entries.entries(first, last + 1)
        records = tuple(envelope.decode(first + i, b) for i, b in enumerate(bodies))
        if records[0].head.actor != job.who.principal:
            raise Invalid(f"the command id {job.command_id} is another principal's.", next_step="draw a fresh id.")
        refusal = records[0].fact
        if isinstance(refusal, RequestRefused):
            raise Refused(refusal.code, f"{job.name} was refused before: {refusal.code}.",
                          next_step="change what was wrong and send it under a fresh id.", controls=refusal.controls)  # fmt: skip
        if records[0].head.cmd.digest != job.sealed.digest:
            raise Invalid(
                f"the command id {job.command_id} was used for another command.",
                next_step="draw a fresh id for a new command.",
            )
        return Done(job.command_id, records, repeated=True, size=reading.tx.size())

    def _check_expected(self, reading: Reading, job: Job) -> None:
        for stream, seen in job.expect.items():
            found = reading.next_seq(stream)
            if found != seen:
                raise Busy(f"{stream} has {found} entries, you saw {seen}.", next_step="read again, then decide again.")

    def _now(self) -> datetime:
        return self.stores.clock.now()

    def rules_digest(self, area: str, rules: Rules | None) -> str:
        code = self.catalog.code_digests.get(area, "sha256:" + "0" * 64)
        return digests.of_bytes(canonical.encode({"code": code, "rules": rules.digest if rules else "none"}))

    def append(
        self, tx: Tx, reading: Reading, job: Job, drafts: list[Draft], rules: str, cause: int | None = None
    ) -> list[Record]:
        index, bodies, records = tx.size(), [], []
        seqs: dict[str, int] = {}
        for part, draft in enumerate(drafts):
            seq = seqs.get(draft.stream)
            seq = reading.next_seq(draft.stream) if seq is None else seq + 1
            seqs[draft.stream] = seq
            cls = type(draft.fact)
            head = Head(
                log=self.stores.origin, stream=draft.stream, seq=seq, tag=cls.TAG, v=cls.V, at=job.now,
                cmd=Cmd(job.command_id, job.sealed.digest, part + 1, len(drafts)), actor=job.who.principal,
                auth=Auth(job.who.how, job.who.ref), refs=tuple(dict.fromkeys(draft.refs)), rules=rules,
                env=draft.env or job.env, cause=cause, drill=True if job.drill else None,
            )  # fmt: skip
            body = envelope.encode(head, draft.fact)
            bodies.append(body)
            records.append(envelope.decode(index + part, body))
        tx.append(bodies)
        for record in records:
            self.catalog.apply(tx, record)
        return records

    def append_facts(
        self,
        tx: Tx,
        drafts: list[Draft],
        who: Who,
        *,
        cause: int | None = None,
        area: str = "",
        drill: bool = False,
        command_id: str | None = None,
    ) -> list[Record]:
        """Append facts of the service itself (opening, refusals, drills) as one command."""
        reading = Reading(tx, self.catalog, self.book)
        if any(isinstance(d.fact, ClockCorrected) for d in drafts):
            self.timekeeper.anchor()
            now = self._now()
        else:
            now = self.timekeeper.time_for(reading.last_at())
        body = canonical.encode(
            [canonical.decode(envelope.encode(_blank(self.stores.origin, now, d), d.fact)) for d in drafts]
        )
        job = Job(
            "service",
            SealedCommand(None, digests.of_bytes(body)),
            command_id or new_id(self.stores, now),
            who,
            drill,
            now,
            None,
        )
        digest = reading.ask("access.rules_in_force") if "access" in self.catalog.areas else None
        return self.append(
            tx, reading, job, drafts, self.rules_digest(area, self.book.of(digest) if digest else None), cause
        )

    def append_once(self, tx: Tx, draft: Draft, command_id: str) -> None:
        """Append a fact of the service unless the log holds the command id already."""
        reading = Reading(tx, self.catalog, self.book)
        if not self.has(reading, command_id):
            self.append_facts(tx, [draft], self.policy(reading.rules()), command_id=command_id)

    @staticmethod
    def policy(rules: Rules) -> Who:
        """The principal a reaction acts as: the rules in force themselves."""
        return Who(f"policy:{rules.digest.removeprefix('sha256:')[:16]}", "policy")

    def record(self, index: int) -> Record:
        """The committed entry of an index."""
        return envelope.decode(index, next(iter(self.stores.entries.entries(index, index + 1))))

    def find(self, name: str, sealed: SealedCommand, command_id: str, who: Who) -> Done | None:
        """The outcome of a command id decided before, for a measure that need not be done again. Raises as ``execute``."""
        job = Job(name, sealed, command_id, who, False, self._now(), None)
        with self.stores.entries.read() as tx:
            return self._earlier(Reading(tx, self.catalog, self.book), job)

    def refuse(self, name: str, sealed: SealedCommand, command_id: str, who: Who, e: Refused) -> None:
        """Record that a measure was refused before it came to a command."""
        self.refusing.refuse(Job(name, sealed, command_id, who, False, self._now(), sealed.command.env), e)

    def discard(self, command_id: str) -> None:
        """Forget the texts of a command that left nothing; under the lock, since a twin may just be accepted."""
        with self.stores.entries.write() as tx:
            log = self.catalog.view_tx(tx, "log")
            rows = log.rows("SELECT idx FROM {meta} WHERE cmd = ? AND tag != 'service.refused'", command_id)
            facts = [self.record(index).fact for (index,) in rows]
            kept = {t.vault for fact in facts for t in codec.private_fields(fact).values() if t.vault}
            self.stores.vault.discard(command_id, kept)

    @staticmethod
    def has(reading: Reading, command_id: str) -> bool:
        """Whether the log holds an entry of this command id."""
        return reading.view("log").one("SELECT 1 FROM {meta} WHERE cmd = ?", command_id) is not None


def _plain(command: Command) -> Any:
    """A checked command with stand-in commitments: rehearsals write nothing, not even to the vault."""
    checked = codec.checked(command)
    zero = {f: VaultText(t.text, "sha256:" + "0" * 64, "0" * 8 + "-0000-0000-0000-" + "0" * 12)
            for f, t in codec.private_fields(checked).items()}  # fmt: skip
    return replace(checked, **zero) if zero else checked


def _blank(origin: str, at: datetime, draft: Draft) -> Head:
    zero = "sha256:" + "0" * 64
    cls = type(draft.fact)
    cmd = Cmd("0" * 8 + "-0000-0000-0000-" + "0" * 12, zero, 1, 1)
    return Head(origin, draft.stream, 0, cls.TAG, cls.V, at, cmd, "p-" + "0" * 32, Auth("policy"), draft.refs, zero)
