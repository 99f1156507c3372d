"""The workspace: every request of every area, derived from one declaration, for the Python door."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, Literal

from affidavit.areas.catalog import Catalog
from affidavit.core import codec, envelope
from affidavit.core.area import Command, Ctx, Measure, Query, Request, Streamed, Who
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused, StoreDown
from affidavit.core.fields import Attachment, parse_time, time_text
from affidavit.core.findings import Finding, Period
from affidavit.ledger.checkpoint import Checkpoint
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.proofs import Accepted, make_receipt, sign_accepted
from affidavit.ledger.reader import TileReader
from affidavit.service import assessor
from affidavit.service.executor import Done, Executor
from affidavit.service.measuring import measure, stream
from affidavit.service.publisher import Published, open_head, publish
from affidavit.service.readings import Reading
from affidavit.service.refusals import counted_id
from affidavit.service.stores import Stores

Wait = Literal["accepted", "published", "anchored"]


class AreaDoor:
    """``ws.registry.promote(...)``: one method per verb of the area."""

    def __init__(self, workspace: Workspace, area: str) -> None:
        self._workspace, self._area = workspace, area

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        requests = self._workspace.catalog.requests(self._area)
        cls = requests.get(verb.replace("_", "-"))
        if cls is None:
            raise AttributeError(f"{self._area} has no {verb}; it has {', '.join(sorted(requests))}")

        def call(*args: Any, by: Who | str | None = None, **fields: Any) -> Any:
            names = [f.name for f in codec.plan(cls).fields]
            given = {**dict(zip(names, args, strict=False)), **fields}
            options = {k: given.pop(k) for k in ("command_id", "expect", "wait") if k in given and k not in names}
            return self._workspace.do(build(self._workspace, cls, given), by, **options)

        call.__name__, call.__doc__ = verb, cls.__doc__
        return call


def build(workspace: Workspace, cls: type[Request], given: dict[str, Any]) -> Request:
    """A request from Python values: times may be ``datetime``, attachments paths or bytes."""
    from affidavit.service.intake import request_of

    return request_of(workspace, cls, given)


class Workspace:
    """A ledger with everything around it. Use ``affidavit.open_workspace`` or ``affidavit.init``."""

    def __init__(self, stores: Stores, catalog: Catalog, who: Who | None = None) -> None:
        self.stores, self.catalog, self.who = stores, catalog, who
        self.executor = Executor(stores, catalog)

    def __getattr__(self, name: str) -> AreaDoor:
        if name.startswith("_") or name not in self.catalog.areas:
            raise AttributeError(name)
        return AreaDoor(self, name)

    def acting(self, who: Who) -> Workspace:
        """The same workspace, acting as another principal."""
        other = Workspace.__new__(Workspace)
        other.__dict__.update(self.__dict__)
        other.who = who
        return other

    def do(
        self,
        request: Request,
        by: Who | str | None = None,
        *,
        wait: Wait = "accepted",
        local: bool = True,
        **options: Any,
    ) -> Any:
        """Execute a command, run a measure or answer a query, as ``by`` (a ``Who`` or a principal's name).

        ``wait='published'`` returns once its entries stand under a signed checkpoint, ``'anchored'`` once an
        authority has stamped that checkpoint: ``Invalid`` beforehand without one, ``StoreDown`` if it fails
        (the command stands; the same command id may be sent again).
        """
        if wait == "anchored" and self.stores.timestamp is None:
            raise Invalid(
                "no timestamp authority is configured.", next_step="set timestamps.url, or wait for published."
            )
        who = self.known(by)
        if request.internal:
            raise Invalid(
                f"{type(request).__name__} records what a measure found.", next_step="run the measure instead."
            )
        if isinstance(request, Query):
            return self.answer(request, who)
        if isinstance(request, Streamed):
            return stream(self.executor, request, who, local=local)
        if isinstance(request, Measure):
            outcome = measure(self.executor, request, who, local=local, **options)
        elif isinstance(request, Command):
            outcome = self.executor.execute(request, who, **options)
        else:
            raise Invalid(f"{type(request).__name__} is no request.", next_step="use a command, query or measure.")
        if wait != "accepted":
            self.publish()
        if wait == "anchored" and (missed := getattr(self.stores.timestamp, "missed", None)):
            raise StoreDown(
                f"accepted and published, not anchored: {missed}", next_step="publish again once it answers."
            )
        return outcome

    def known(self, by: Who | str | None) -> Who:
        """The caller: given, named, or the one the workspace acts as. Raises ``NotAllowed`` or ``NotFound``."""
        if isinstance(by, Who):
            return by
        if isinstance(by, str):
            return self.as_named(by)
        if self.who is None:
            raise NotAllowed("nobody is signed in.", next_step="set AFFIDAVIT_KEY, or use --as NAME.")
        return self.who

    def as_named(self, name: str) -> Who:
        """The principal of a name or id, by the operating system's word alone (recorded as ``os-user``)."""
        if re.fullmatch(r"p-[0-9a-f]{32}", name) and self.ask("access.principal", name):
            return Who(name, "os-user")
        asked = (self.ask("access.principal_named", v) for v in self.stores.vault.find("name", name))
        found = [p for p in asked if p]
        if len(found) != 1:
            problem = f"{len(found)} principals are named {name!r}." if found else f"no principal is named {name!r}."
            raise NotFound(problem, next_step="`affidavit access register-principal`, or give the id p-….")
        return Who(found[0], "os-user")

    def answer(self, query: Query, who: Who) -> Any:
        """The answer to a query, after its permission was checked."""
        query = codec.checked(query)
        self.executor.authorise(query, who)
        now = self.stores.clock.now()
        with self.stores.entries.read() as tx:
            reading = Reading(tx, self.catalog, self.executor.book)
            rules = reading.rules()
            area = self.catalog.area_of(type(query)).name
            ask = reading.asker(type(query))
            ctx = Ctx(who, now, tx.size(), rules, (), ask, reading.rules_at, log=self.stores.origin, text=self.text)
            if hasattr(query, "candidate"):
                from dataclasses import replace

                from affidavit.service import gate

                model, number, to = query.candidate(reading.view(area))
                ctx = replace(ctx, gate=gate.outcomes(reading, self.stores.entries, rules, model, number, to, now))
            found = self.catalog.query_of(type(query))(query, reading.view(area), ctx)
        return codec.dump_object(found) if is_dataclass(found) and not isinstance(found, type) else found

    def ask(self, name: str, *args: Any) -> Any:
        """An answer by name, as another area would get it."""
        with self.stores.entries.read() as tx:
            return Reading(tx, self.catalog, self.executor.book).ask(name, *args)

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        """Store bytes as an attachment, before the command that names it."""
        digest, size = self.stores.objects.put(BytesIO(body))
        return Attachment(digest, size, type_, kind)

    def publish(self) -> Published:
        """Publish every accepted entry; counters of refusals whose hour is over are settled first."""
        with suppress(Refused):
            self.settle()
        return publish(self.stores)

    def settle(self) -> None:
        """Append the counts of repeated refusals of past hours, each once however often this is tried."""
        for key, draft in self.executor.refusals.due(self.stores.clock.now()):
            if draft is not None:
                with self.stores.entries.write() as tx:
                    self.executor.append_once(tx, draft, counted_id(key))
            self.executor.refusals.forget(key)

    def assess(
        self, start: datetime, end: datetime, as_of: int | None = None, only: tuple[str, ...] = ()
    ) -> list[Finding]:
        """Findings of the controls for a period (management's self-test)."""
        return assessor.assess_period(self.executor, Period(start, end), as_of, only)

    def drill(self, control: str, by: Who | str | None = None) -> Record:
        """Play a control's known-bad case; the entry says whether it was caught."""
        return assessor.drill(self.executor, control, self.known(by))

    def record(self, index: int) -> Record:
        """The entry of an index. Raises ``NotFound``."""
        bodies = list(self.stores.entries.entries(index, index + 1)) if index >= 0 else []
        if not bodies:
            raise NotFound(
                f"no entry {index}; the log has {self.stores.entries.size()}.", next_step="give a smaller index."
            )
        return envelope.decode(index, bodies[0])

    def accepted(self, outcome: Done) -> bytes:
        """The signed promise for the last entry of an outcome: a proof of omission if it is broken."""
        last = outcome.records[-1]
        body = next(iter(self.stores.entries.entries(last.index, last.index + 1)))
        promise = Accepted(self.stores.origin, last.index, leaf_hash(body), last.head.at)
        return sign_accepted(promise, self.stores.log_signer)

    def receipt(self, index: int) -> bytes:
        """The tlog-proof of a published entry. Raises ``NotFound`` before publication."""
        note = self.stores.head.fetch(self.stores.origin)
        head: Checkpoint | None = open_head(self.stores, note).checkpoint if note else None
        if note is None or head is None or not 0 <= index < head.size:
            raise NotFound(f"entry {index} is not published.", next_step="`affidavit log publish`, then ask again.")
        return make_receipt(TileReader(self.stores.tiles.get, head.size), index, note).encode()

    def text(self, vault_id: str) -> str | None:
        """The private text of a vault record, None when erased or unknown."""
        with suppress(NotFound):
            found = self.stores.vault.get(vault_id)
            return found[0] if found else None
        return None

    def principal_name(self, principal: str) -> str | None:
        """The name behind a principal id, None when erased or unknown."""
        row = self.ask("access.principal", principal)
        return self.text(row["name"]) if row else None

    def key_holder(self, secret: str) -> Who:
        """The caller an API key stands for. Raises ``NotAllowed`` for a key unknown, expired or revoked."""
        import hashlib

        try:
            mark, env, key_id, text = secret.split("_", 3)
        except ValueError:
            raise NotAllowed(
                "that is no API key.", next_step="use the key as it was shown: afk_ENV_ID_SECRET."
            ) from None
        found = self.ask("access.key", key_id) if mark == "afk" else None
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        now = self.stores.clock.now()
        if (
            found is None
            or found.secret != digest
            or found.env != env
            or found.revoked
            or parse_time(found.expires) <= now
        ):
            raise NotAllowed("the API key is unknown, expired or revoked.", next_step="have a new one issued.")
        used = self.stores.operational.get("key_use", key_id)
        if used is None or not timedelta(0) <= now - parse_time(used["last"]) < timedelta(minutes=1):
            self.stores.operational.put("key_use", key_id, {"last": time_text(now)})
        return Who(found.principal, "key", key_id, env)

    def append(self, drafts: list[Draft], who: Who, command_id: str | None = None) -> list[Record]:
        """Append facts of the ledger itself (period closed, version changed)."""
        with self.stores.entries.write() as tx:
            return self.executor.append_facts(tx, drafts, who, command_id=command_id)

    def close(self) -> None:
        """Release the stores; streams this process wrote end in order."""
        self.executor.streams.close()
        self.stores.entries.close()
