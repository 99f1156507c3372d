"""What the installed areas contribute, found by folder name and checked when loaded.

Loading is lazy: ``affidavit --help`` needs the names only. Discovery fails loudly.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from affidavit.areas import ORDER
from affidavit.core import canonical, envelope, ledger_facts
from affidavit.core.area import Area, Command, Decide, Measure, Query, Request, Streamed, View, ViewTx
from affidavit.core.codec import plan
from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import time_text
from affidavit.core.findings import Check
from affidavit.core.ports import Tx

LOG_TABLES = {
    "meta": "idx INTEGER PRIMARY KEY, stream TEXT, seq INTEGER, tag TEXT, cmd TEXT, part INTEGER, at TEXT,"
    " actor TEXT, UNIQUE (stream, seq), UNIQUE (cmd, part)",
    "ref": "ref TEXT, idx INTEGER, PRIMARY KEY (ref, idx)",
}


@dataclass(frozen=True, slots=True)
class Control:
    """A control of the library: its data, its check, and the area that tests it."""

    id: str
    area: str
    body: Mapping[str, Any]
    check: Check
    digest: str


def source_digest(*modules: str) -> str:
    """The digest of the source bytes of modules: what ``rules`` and view names bind to."""
    state = hashlib.sha256()
    for name in modules:
        path = sys.modules[name].__file__ or ""
        package, _, file = name.rpartition(".")
        state.update(
            name.encode() + b"\0" + resources.files(package).joinpath(f"{file}.py").read_bytes() if path else b""
        )
    return "sha256:" + state.hexdigest()


def folder_digest(package: str) -> str:
    """The digest of every Python file of an area's folder and its parts, by path; checks have digests of their own."""
    state = hashlib.sha256()
    for name, file in sorted(_sources(resources.files(package), "")):
        state.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return "sha256:" + state.hexdigest()


def _sources(folder: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for file in folder.iterdir():
        if file.name.endswith(".py"):
            yield prefix + file.name, file
        elif file.is_dir() and file.name not in ("checks", "__pycache__"):
            yield from _sources(file, f"{prefix}{file.name}/")


class Catalog:
    """Every area in order, with its requests, facts, views and controls by name."""

    def __init__(self, names: tuple[str, ...] = ORDER) -> None:
        self.areas: dict[str, Area] = {}
        for name in names:
            area = getattr(importlib.import_module(f"affidavit.areas.{name}"), "AREA", None)
            if not isinstance(area, Area) or area.name != name:
                raise Invalid(f"affidavit/areas/{name} has no AREA named {name}.", next_step="see areas/access.")
            self.areas[name] = area
        self._check_facts()

    def _check_facts(self) -> None:
        for area in self.areas.values():
            for cls in area.facts:
                plan(cls)
                if not envelope.tag_of(cls).startswith(area.name + "."):
                    raise Invalid(f"the tag {envelope.tag_of(cls)} is not of {area.name}.", next_step="rename the tag.")
            if unknown := set(area.view.apply) - set(area.facts):
                raise Invalid(
                    f"{area.name}'s view applies {unknown}, which it does not declare.", next_step="list it in facts."
                )

    def requests(self, area: str) -> dict[str, type[Request]]:
        """The requests of an area by verb. Raises ``NotFound``."""
        if area not in self.areas:
            raise NotFound(f"no area {area!r}.", next_step=f"areas: {', '.join(self.areas)}.")
        return self.areas[area].requests()

    def area_of(self, request: type[Request]) -> Area:
        """The area that declares a request. Raises ``Invalid``."""
        found = self._owners.get(request)
        if found is None:
            raise Invalid(f"{request.__name__} belongs to no area.", next_step="list it in the area's AREA.")
        return found

    def decide_of(self, command: type[Command]) -> tuple[Area, Decide]:
        """The rule that decides a command."""
        area = self.area_of(command)
        return area, area.commands[command]

    @cached_property
    def _owners(self) -> dict[type[Request], Area]:
        return {c: a for a in self.areas.values() for c in (*a.commands, *a.queries, *a.measures, *a.streamed)}

    def name_of(self, request: type[Request]) -> str:
        """``registry.promote``: how an entry names the request."""
        return f"{self.area_of(request).name}.{request.verb}"

    @cached_property
    def code_digests(self) -> dict[str, str]:
        """Digest of the deciding code of each area: every module of its folder."""
        return {name: folder_digest(f"affidavit.areas.{name}") for name in self.areas}

    @cached_property
    def views(self) -> dict[str, tuple[View, dict[str, str], str]]:
        """(view, real table names, digest) by area; ``log`` is the index of the entries themselves."""
        found = {"log": self._named(View("log", LOG_TABLES, {}), source_digest(__name__))}
        for area in self.areas.values():
            modules = {fn.__module__ for fn in area.view.apply.values()}
            found[area.name] = self._named(area.view, source_digest(*sorted(modules)))
        return found

    @staticmethod
    def _named(view: View, code: str) -> tuple[View, dict[str, str], str]:
        body = canonical.encode({"code": code, "tables": view.tables})
        digest = hashlib.sha256(body).hexdigest()
        return view, {t: f"{view.area}_{t}_{digest[:8]}" for t in view.tables}, digest

    def view_tx(self, tx: Tx, area: str) -> ViewTx:
        """A transaction seen through the tables of ``area``."""
        return ViewTx(tx, self.views[area][1])

    def apply(self, tx: Tx, record: Record) -> None:
        """Bring every read table up to date with one record."""
        index_records(self.view_tx(tx, "log"), (record,))
        self.apply_fact(tx, record)

    def apply_fact(self, tx: Tx, record: Record) -> None:
        """Bring the read tables of the fact's own area up to date; the index of entries is left alone."""
        area = record.head.tag.split(".")[0]
        if area in self.areas:
            fn = self.areas[area].view.apply.get(type(record.fact))
            if fn is not None:
                fn(self.view_tx(tx, area), record)

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        """The control library by id: data of ``controls.yaml``, check of the area's checks module."""
        found: dict[str, Control] = {}
        for area in self.areas.values():
            found.update({c.id: c for c in _controls(area)})
        return MappingProxyType(dict(sorted(found.items())))

    @cached_property
    def parameter_defaults(self) -> dict[str, dict[str, Any]]:
        """Default parameters by control id."""
        rows = self.control_rows
        return {i: {k: v["default"] for k, v in row.get("parameters", {}).items()} for i, row in rows.items()}

    @cached_property
    def control_rows(self) -> dict[str, Mapping[str, Any]]:
        """The data of every control, without loading its check."""
        return {row["id"]: row for area in self.areas.values() for row in _rows(area.name) if area.checks}

    @cached_property
    def answers(self) -> dict[str, tuple[str, Any]]:
        """What areas may ask of one another: ``lineage.dataset`` → (area, function)."""
        return {f"{a.name}.{n}": (a.name, fn) for a in self.areas.values() for n, fn in a.answers.items()}

    def measure_of(self, measure: type[Measure]) -> Any:
        """The measuring function, imported now."""
        return _named(self.area_of(measure).measures[measure])

    def streamed_of(self, request: type[Streamed]) -> Any:
        """The function behind a request that is kept as a row of a stream, imported now."""
        return _named(self.area_of(request).streamed[request])

    @cached_property
    def kernels(self) -> tuple[Any, ...]:
        """The kernels of every area, in area order, imported now."""
        return tuple(_named(path) for area in self.areas.values() for path in area.kernels)

    def query_of(self, query: type[Query]) -> Any:
        """The function that answers a query."""
        return self.area_of(query).queries[query]

    def signals(self, record: Record) -> Iterator[Any]:
        """The signals a fact gives, in area order."""
        for area in self.areas.values():
            fn = area.signals.get(type(record.fact))
            signal = fn(record) if fn else None
            if signal is not None:
                yield signal


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def index_records(v: ViewTx, records: Sequence[Record]) -> None:
    """The entries' own lines in the index tables."""
    meta, refs = [], []
    for record in records:
        h = record.head
        meta.append((record.index, h.stream, h.seq, h.tag, h.cmd.id, h.cmd.part, time_text(h.at), h.actor))
        refs += [(ref, record.index) for ref in dict.fromkeys((*h.refs, h.stream, f"principal:{h.actor}"))]
    v.run_many("INSERT INTO {meta} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
    v.run_many("INSERT INTO {ref} VALUES (?, ?)", refs)


@cache
def _rows(area: str) -> tuple[Mapping[str, Any], ...]:
    file = resources.files(f"affidavit.areas.{area}").joinpath("controls.yaml")
    if not file.is_file():
        return ()
    body = yaml.safe_load(file.read_text("utf-8"))
    return tuple(body["controls"])


def _controls(area: Area) -> list[Control]:
    if area.checks is None:
        return []
    module = importlib.import_module(area.checks)
    checks = {c.control: c for c in module.CHECKS}
    rows = {r["id"]: r for r in _rows(area.name)}
    if set(checks) != set(rows):
        raise Invalid(
            f"{area.name}: controls without a check or checks without a control: {sorted(set(checks) ^ set(rows))}.",
            next_step="every line of controls.yaml has a check, every check a line.",
        )
    digest = source_digest(*getattr(module, "SOURCES", (area.checks,)))
    return [Control(i, area.name, rows[i], checks[i], digest) for i in sorted(checks)]


@cache
def frameworks() -> Mapping[str, Mapping[str, Any]]:
    """The frameworks that evidence can be relevant to: short name, full name, requirement ids with our own titles."""
    text = resources.files("affidavit.areas").joinpath("frameworks.yaml").read_bytes()
    body = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader, in C if possible
    found: Mapping[str, Mapping[str, Any]] = body["frameworks"]
    return found


@cache
def catalog() -> Catalog:
    """The catalog of the installed release, loaded once per process."""
    return Catalog()


SYSTEM_FACTS = tuple(c for c in vars(ledger_facts).values() if isinstance(c, type) and hasattr(c, "TAG"))
