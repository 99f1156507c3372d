"""One area in memory: real rules, real read tables, records that went through their bytes; other areas' answers are told."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from affidavit.areas.catalog import catalog
from affidavit.core import codec, envelope
from affidavit.core import digest as digests
from affidavit.core.area import Area, Ctx, ViewTx, Who
from affidavit.core.envelope import Auth, Cmd, Draft, Head, Record
from affidavit.core.errors import NotFound
from affidavit.core.fields import Attachment, VaultText
from affidavit.core.findings import Facts
from affidavit.core.rules import rules_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = {"environments": ["development", "staging", "production"], "roles": {"engineer": ["lineage.*"]}}


def digest(n: int) -> str:
    """A digest that is recognisably made up."""
    return f"sha256:{n:064x}"


def ident(n: int) -> str:
    """An id that is recognisably made up."""
    return f"00000000-0000-4000-8000-{n:012x}"


def person(n: int) -> str:
    """A principal that is recognisably made up."""
    return f"p-{n:032x}"


ANNA, BEN = person(1), person(2)


class MemoryTx:
    """The part of a transaction that views use."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")

    def rows(self, sql: str, args: Any = ()) -> list[Any]:
        return self.db.execute(sql, tuple(args)).fetchall()

    def run(self, sql: str, args: Any = ()) -> int:
        return self.db.execute(sql, tuple(args)).rowcount


class World:
    """One area of one workspace. ``do`` decides as the service would and applies the facts; an hour passes."""

    def __init__(self, area: Area, **answers: Any) -> None:
        self.area, self.now, self.records = area, START, list[Record]()
        self.answers: dict[str, Any] = {
            "access.principal": lambda p: {"id": p},
            **{k.replace("__", "."): v for k, v in answers.items()},
        }
        self.rules = rules_of(RULES, digest(77), catalog().parameter_defaults)
        self.vault: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self._ids = 1000
        tx = MemoryTx()
        names = {t: f"{area.name}_{t}" for t in area.view.tables}
        for table, columns in area.view.tables.items():
            tx.run(f'CREATE TABLE "{names[table]}" ({columns})')
        self.view = ViewTx(tx, names)

    def new(self) -> str:
        self._ids += 1
        return ident(self._ids)

    def answer(self, name: str, *args: Any) -> Any:
        own, _, question = name.partition(".")
        if own == self.area.name:
            return self.area.answers[question](self.view, *args)
        found = self.answers[name]
        return found(*args) if callable(found) else found

    def ctx(self, who: str, request: Any, *, drill: bool = False) -> Ctx:
        def ask(name: str, *args: Any) -> Any:
            assert name in request.asks, f"{type(request).__name__} asks {name} undeclared"
            return self.answer(name, *args)

        ids = tuple(self.new() for _ in range(8))
        return Ctx(
            Who(who, "os-user"), self.now, len(self.records), self.rules, ids, ask, lambda _at: self.rules, drill=drill
        )

    def sealed(self, command: Any) -> Any:
        """The command checked, its private texts in the vault."""
        command = codec.checked(command)
        texts = {}
        for field, text in codec.private_fields(command).items():
            vault = self.new()
            self.vault[vault] = text.words()
            texts[field] = replace(text, commit=digest(len(self.vault)), vault=vault)
        return replace(command, **texts) if texts else command

    def do(self, command: Any, who: str = ANNA, *, drill: bool = False) -> list[Record]:
        command = self.sealed(command)
        drafts = self.area.commands[type(command)](command, self.view, self.ctx(who, command, drill=drill))
        return self.append(drafts, who, drill=drill)

    def append(self, drafts: list[Draft], who: str = ANNA, *, drill: bool = False, apply: bool = True) -> list[Record]:
        made = []
        for part, d in enumerate(drafts, 1):
            cls = type(d.fact)
            head = Head(
                "test", d.stream, 0, cls.TAG, cls.V, self.now, Cmd(self.new(), digest(1), part, len(drafts)), who,
                Auth("os-user"), tuple(dict.fromkeys(d.refs)), digest(1), d.env, drill=drill or None,
            )  # fmt: skip
            record = envelope.decode(len(self.records), envelope.encode(head, d.fact))
            self.records.append(record)
            made.append(record)
            if apply and (fn := self.area.view.apply.get(cls)):
                fn(self.view, record)
        self.now += HOUR
        return made

    def measure(self, function: Any, request: Any, who: str = ANNA) -> list[Record]:
        """What a measure found, recorded."""
        found = function(codec.checked(request), MemoryDesk(self, who))
        return self.do(found[0] if isinstance(found, tuple) else found, who)

    def query(self, query: Any, who: str = ANNA) -> Any:
        return self.area.queries[type(query)](query, self.view, self.ctx(who, query))

    def react(self, signal: Any, *, drill: bool = False) -> list[Record]:
        """What the area does about a signal."""
        commands = self.area.reacts[type(signal)](
            signal, self.view, self.ctx("policy:" + "0" * 16, object(), drill=drill)
        )
        return [r for command in commands for r in self.do(command, "policy:" + "0" * 16, drill=drill)]

    def facts(self, **parameters: Any) -> Facts:
        return Facts(self.records, {**catalog().parameter_defaults, **parameters})


class MemoryDesk:
    """A desk over a world: files are files, objects are in memory, keys count up."""

    def __init__(self, world: World, who: str = ANNA) -> None:
        self.world, self.now, self.who, self.rules = world, world.now, Who(who, "os-user"), world.rules
        self._keys = 0

    def ask(self, name: str, *args: Any) -> Any:
        return self.world.answer(name, *args)

    def source(self, path: str) -> Any:
        if path.startswith("sha256:"):
            return self.open(path)
        try:
            return Path(path).open("rb")
        except FileNotFoundError:
            raise NotFound(f"no file {path}.", next_step="check the path.") from None

    def open(self, name: str) -> Any:
        return BytesIO(self.world.objects[name])

    def put(self, source: Any) -> tuple[str, int]:
        body = source.read()
        self.world.objects[digests.of_bytes(body)] = body
        return digests.of_bytes(body), len(body)

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        return Attachment(*self.put(BytesIO(body)), type_, kind)

    def key(self) -> bytes:
        self._keys += 1
        return self._keys.to_bytes(32, "big")

    def vault_text(self, vault_id: str) -> str | None:
        return self.world.vault.get(vault_id)


def words(text: str) -> VaultText:
    return VaultText(text)
