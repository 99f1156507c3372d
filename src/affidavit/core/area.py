"""What an area contributes, and what its rules are given: the contract of ``interfaces.md``.

Commands change state, queries read it, measures compute outside any transaction and then record
what they found. All three are frozen dataclasses of closed field types, so the Python API, the
command line and the HTTP API derive from one declaration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol

from affidavit.core.envelope import Draft, How, Record
from affidavit.core.errors import Invalid
from affidavit.core.fields import Attachment
from affidavit.core.findings import Outcome
from affidavit.core.ports import Row, Tx
from affidavit.core.rules import Rules
from affidavit.core.signals import Signal


@dataclass(frozen=True, slots=True)
class Who:
    """An authenticated caller. ``env`` binds an API key to one environment; None is not bound."""

    principal: str
    how: How
    ref: str | None = None
    env: str | None = None


class Request:
    """Common face of commands, queries and measures. The first docstring line is the summary.

    ``everywhere`` requests act on all environments at once: only a role held for ``*`` carries them.
    ``internal`` requests record what a measure found and are offered by no door.
    """

    permission: ClassVar[str]
    verb: ClassVar[str]
    asks: ClassVar[tuple[str, ...]] = ()
    internal: ClassVar[bool] = False
    everywhere: ClassVar[bool] = False
    env_field: ClassVar[str | None] = None
    shows: ClassVar[str | None] = None
    """``module:function`` that turns the answer into lines for a terminal; None prints it as it is."""

    @classmethod
    def summary(cls) -> str:
        return (cls.__doc__ or "").strip().split("\n")[0]

    @property
    def env(self) -> str | None:
        """The environment it acts on: permission is looked up there; None asks for a grant anywhere."""
        return getattr(self, self.env_field) if self.env_field else None


class Command(Request):
    """A wish to change state, imperative. ``decide`` answers with facts or refuses.

    A ``gated`` command promotes: the service runs the control tests that the rules list for the
    transition on its candidate, and the rule finds the outcomes in ``ctx.gate``.
    """

    gated: ClassVar[bool] = False

    def candidate(self, state: ViewTx) -> tuple[str, int, str]:  # noqa: ARG002
        """(model, number, environment) of a gated command."""
        raise Invalid(f"{type(self).__name__} has no candidate.", next_step="declare `candidate` on the command.")


class Query(Request):
    """A question to the read tables; the answer is a JSON value or a dataclass of closed types."""


class Measure(Request):
    """Work outside any transaction (an evaluation, a drill) that ends in one command recording it.

    Its function returns the command, or ``(command, result)`` with a JSON value or object for the caller;
    a result that is one of our errors is raised once the command is in the log. ``(None, result)`` says that there
    was nothing to record.
    """

    def rest(self, facts: tuple[Any, ...]) -> Measure | None:  # noqa: ARG002
        """The measure that goes on where this one's record stands, None for the end: long work, one record a step."""
        return None


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is a file: its bytes, media type, and a name to keep it under. ``facts`` is what it says in short."""

    body: bytes = field(repr=False)
    type: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Streamed(Request):
    """A look at sealed rows, or a late fact about decisions: work outside any transaction, kept as a row of a stream.

    Its function writes at least one row through ``desk.row`` before it answers: an access to decisions, a person's
    action, a label. The ledger does not grow with them; the next seal makes them provable.
    """


class View:
    """The read tables of an area: schema, and how each fact changes them. Disposable.

    SQL names a table as ``{name}``; the service puts in the real name, which carries the digest of
    the view's code.
    """

    def __init__(
        self, area: str, tables: Mapping[str, str], apply: Mapping[type, Callable[[ViewTx, Record], None]]
    ) -> None:
        self.area, self.tables, self.apply = area, dict(tables), dict(apply)


_NAME = re.compile(r"\{(\w+)\}")
_NAMED: dict[tuple[str, ...], dict[str, str]] = {}
"""Statements with the real table names in them, by the names of a view."""


class ViewTx:
    """A transaction seen through one area's table names."""

    def __init__(self, tx: Tx, names: Mapping[str, str]) -> None:
        self._tx, self._names = tx, names
        self._cache = _NAMED.setdefault(tuple(names.values()), {})

    def _sql(self, sql: str) -> str:
        found = self._cache.get(sql)
        if found is None:
            found = self._cache[sql] = _NAME.sub(lambda m: self._names[m[1]], sql)
        return found

    def rows(self, sql: str, *args: Any) -> list[Row]:
        """Rows of a query."""
        return self._tx.rows(self._sql(sql), args)

    def one(self, sql: str, *args: Any) -> Row | None:
        """The first row, or None."""
        found = self._tx.rows(self._sql(sql), args)
        return found[0] if found else None

    def run(self, sql: str, *args: Any) -> int:
        """Change rows; only ``apply`` functions call this."""
        return self._tx.run(self._sql(sql), args)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Change rows, once for each row of values."""
        self._tx.run_many(self._sql(sql), rows)


def no_text(vault_id: str) -> str | None:
    """Rules read no private text; only queries do."""
    return None


@dataclass(frozen=True, slots=True)
class Ctx:
    """What a rule may know beside the command and its own area's tables. Nothing else: no clock, no IO.

    ``log`` is the origin of the log, for documents that must say so when it is simulated.
    ``text`` gives queries the words behind a vault id, None when erased; rules get none.
    """

    who: Who
    now: datetime
    size: int
    rules: Rules
    ids: tuple[str, ...]
    ask: Callable[..., Any]
    rules_at: Callable[[datetime], Rules]
    gate: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)
    gate_digest: str = ""
    drill: bool = False
    log: str = ""
    text: Callable[[str], str | None] = no_text


class Desk(Protocol):
    """What a measure may use: verified bytes in, attachments out, named answers. No writes to the ledger."""

    now: datetime
    who: Who
    rules: Rules
    local: bool
    """Whether the caller is on this machine: else no path is read and no model is brought to life."""

    def ask(self, name: str, *args: Any) -> Any:
        """An answer of any area by name (``lineage.dataset``), on the current state."""

    def source(self, path: str) -> BinaryIO:
        """The bytes of a ``LocalPath`` field: a local file, or a stored object when it is a digest."""

    def open(self, digest: str) -> BinaryIO:
        """The stored object; read it through ``core.digest``."""

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Store a stream durably by its digest: ``(digest, bytes)``."""

    def attach(self, body: bytes, type_: str, kind: str) -> Attachment:
        """Store canonical bytes durably, before the command that names them."""

    def sign(self, body: bytes) -> bytes:
        """A signed note over ``body`` by the workspace's artifact key."""

    def key(self) -> bytes:
        """32 random bytes."""

    def elapsed_ms(self, since: float | None = None) -> float:
        """Monotonic milliseconds, since an earlier reading if given."""

    def vault_text(self, vault_id: str) -> str | None:
        """A private text, None when erased."""

    def segment(self, digest: str) -> BinaryIO:
        """A stored segment or its tiles by digest, seekable. Raises ``NotFound``."""

    def keep_segment(self, file: Path) -> tuple[str, int]:
        """Store a segment's file durably, byte for byte: ``(digest, bytes)``."""

    def hold(self, context: AbstractContextManager[Any]) -> None:
        """Enter a context that is left once the measure's command was decided: with the error, if it was refused."""

    @property
    def kernels(self) -> tuple[Any, ...]:
        """The kernels of every area (``streams.kernels.Kernel``)."""

    def drop_segment(self, digest: str) -> None:
        """Destroy a stored segment's file; absent is success. Only erasure and retention call this."""

    def segments(self) -> Iterator[str]:
        """Digests of every stored segment file and tile file."""

    @property
    def spool(self) -> Path:
        """The folder of the write-ahead files."""

    def record(self, index: int) -> Record:
        """The entry of an index. Raises ``NotFound``."""

    def proof_of(self, index: int) -> tuple[bytes, bytes, tuple[bytes, ...]]:
        """``(entry, receipt, timestamps)`` of a published entry. Raises ``NotFound`` before publication."""

    def group_key(self, decision: bytes) -> bytes:
        """The keyed hash of a decision id that protected attributes are filed under; each use is to be recorded."""

    def row(self, kind: str, **values: Any) -> None:
        """Write a row of a service stream durably; columns not given are null."""

    @property
    def origin(self) -> str:
        """The origin of the log."""


Measuring = Callable[[Any, Desk], Command | tuple[Command | None, Any]]
Decide = Callable[[Any, ViewTx, Ctx], list[Draft]]
Answer = Callable[..., Any]
React = Callable[[Any, ViewTx, Ctx], list[Command]]


@dataclass(frozen=True)
class Area:
    """One folder's contribution.

    ``answers`` are what other areas may ask by ``area.name``; ``measures``, ``streamed``, ``kernels`` and ``checks`` are module paths
    (``affidavit.areas.fairness.measure:assess``), imported when first used: an AREA loads no numpy.
    A checks module has ``CHECKS: tuple[Check, ...]``.
    """

    name: str
    summary: str
    facts: tuple[type, ...]
    commands: Mapping[type[Command], Decide]
    view: View
    queries: Mapping[type[Query], Callable[[Any, ViewTx, Ctx], Any]] = field(default_factory=dict)
    measures: Mapping[type[Measure], str] = field(default_factory=dict)
    streamed: Mapping[type[Streamed], str] = field(default_factory=dict)
    kernels: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    reacts: Mapping[type[Any], React] = field(default_factory=dict)
    signals: Mapping[type, Callable[[Record], Signal | None]] = field(default_factory=dict)
    checks: str | None = None

    def requests(self) -> dict[str, type[Request]]:
        """Every command, query and measure by verb. A verb used twice is refused."""
        found: dict[str, type[Request]] = {}
        for cls in (*self.commands, *self.queries, *self.measures, *self.streamed):
            if cls.verb in found:
                raise Invalid(f"{self.name} has two requests named {cls.verb}.", next_step="rename one of them.")
            found[cls.verb] = cls
        return found


@dataclass(frozen=True)
class Part:
    """A share of a large area: the same contributions, in a folder of its own, joined by ``assembled``."""

    commands: Mapping[type[Command], Decide] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    apply: Mapping[type, Callable[[ViewTx, Record], None]] = field(default_factory=dict)
    queries: Mapping[type[Query], Callable[[Any, ViewTx, Ctx], Any]] = field(default_factory=dict)
    measures: Mapping[type[Measure], str] = field(default_factory=dict)
    streamed: Mapping[type[Streamed], str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    signals: Mapping[type, Callable[[Record], Signal | None]] = field(default_factory=dict)
    facts: tuple[type, ...] = ()
    """Facts that no view applies; those of ``apply`` need not be listed."""


def assembled(name: str, summary: str, parts: Sequence[Part], **more: Any) -> Area:
    """An area of its parts. Raises ``Invalid`` for a table, request or answer that two parts declare."""
    joined: dict[str, Any] = {}
    for key in ("commands", "tables", "apply", "queries", "measures", "streamed", "answers", "signals"):
        joined[key] = {}
        for part in parts:
            given = getattr(part, key)
            if twice := set(joined[key]) & set(given):
                raise Invalid(f"{name}: two parts declare {twice}.", next_step="keep it in one of them.")
            joined[key] |= given
    tables, apply = joined.pop("tables"), joined.pop("apply")
    facts = tuple(dict.fromkeys((*apply, *(f for part in parts for f in part.facts))))
    return Area(name=name, summary=summary, facts=facts, view=View(name, tables, apply), **joined, **more)
