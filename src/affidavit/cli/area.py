"""``affidavit AREA VERB``: every request of an area as a command, derived from its declaration."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from affidavit.areas.catalog import catalog
from affidavit.bootstrap import open_workspace
from affidavit.cli import show
from affidavit.cli.parsing import Parser, common, subparsers
from affidavit.core.area import Document, Measure, Query, Request, Streamed
from affidavit.core.codec import Field, plan
from affidavit.core.errors import Invalid
from affidavit.core.fields import check_text
from affidavit.service.executor import Done
from affidavit.service.intake import request_of, sample, text_value, upload_of
from affidavit.service.workspace import Workspace

RESERVED = {"by", "json", "workspace", "verb", "area_verb", "command_id", "out"}


def parser_of(area: str) -> Parser:
    """The parser of an area: one sub-command per request that doors offer."""
    known = catalog()
    parser = Parser(prog=f"affidavit {area}", description=known.areas[area].summary)
    verbs = subparsers(parser)
    for verb, cls in known.requests(area).items():
        if not cls.internal:
            sub = verbs.add_parser(verb, help=cls.summary(), description=cls.__doc__, parents=[common()])
            _add_fields(sub, cls)
            sub.set_defaults(request=cls)
    return parser


def _add_fields(parser: argparse.ArgumentParser, cls: type[Request]) -> None:
    first = True
    for field in plan(cls).fields:
        name, says = f"field_{field.name}", _says(cls, field)
        if first and field.required and not field.schema.startswith(("[", "{")):
            parser.add_argument(name, metavar=field.name.upper(), nargs=1, help=says)
        else:
            flag = "--" + field.name.replace("_", "-")
            parser.add_argument(
                flag, dest=name, metavar=_metavar(field), action="append", required=field.required, help=says
            )
        first = False
    if not issubclass(cls, (Query, Streamed)):
        parser.add_argument("--command-id", help="id of an earlier try, to repeat it safely")
    if issubclass(cls, (Measure, Streamed)):
        parser.add_argument("--out", metavar="FILE", help="where to write an answer that is a file; never over another")


def _metavar(field: Field) -> str:
    if field.schema.startswith("{") and "regex" not in field.schema and field.schema.count(": ") == 1:
        return "KEY=VALUE"
    return {"time": "TIME", "vault": "TEXT", "bool": "true|false"}.get(field.schema, "VALUE")


def _says(cls: type[Request], field: Field) -> str:
    kind = field.says or field.schema.split("<")[0]
    if upload_of(cls, field.name) is not None:
        kind = "path of a file"
    elif field.schema.startswith("enum"):
        kind = field.schema[5:-1].replace("|", ", ")
    elif kind == "vault":
        kind = "private text, kept in the vault"
    elif field.schema.startswith("["):
        kind = f"{sample(field.schema[1:-1])}; repeatable"
    elif field.schema.startswith("{"):
        kind = f"{sample(field.schema)}; repeatable" if field.schema.count(": ") == 1 else sample(field.schema)
    return (kind + ("" if field.required else "; optional")).replace("%", "%%")


def run(area: str, args: list[str]) -> int:
    """Parse, execute or answer, print. The command line waits until its entries are published."""
    given = parser_of(area).parse_args(args)
    cls: type[Request] = given.request
    values: dict[str, Any] = {}
    for field in plan(cls).fields:
        texts = getattr(given, f"field_{field.name}")
        if texts is not None:
            values[field.name] = texts[0] if upload_of(cls, field.name) else text_value(field, texts)
    for field in plan(cls).fields:
        if field.private and isinstance(values.get(field.name), str):
            check_text(field.name, values[field.name])
    out = getattr(given, "out", None)
    if out is not None:
        show.check_free(Path(out))  # before the work: an access or a command is not done for nothing
    workspace = open_workspace(given.workspace, by=given.by)
    try:
        options: dict[str, Any] = {"wait": "published"}
        if getattr(given, "command_id", None):
            options["command_id"] = given.command_id
        for field in plan(cls).fields:
            value = values.get(field.name)
            if (
                field.says.startswith("a principal id")
                and isinstance(value, str)
                and not value.startswith(("p-", "policy:"))
            ):
                values[field.name] = workspace.as_named(value).principal
        found = _kept(workspace.do(request_of(workspace, cls, values), **options), out)
        _print(cls, found, workspace, as_json=given.json or getattr(cls, "document", False))
    finally:
        workspace.close()
    return 0


def _kept(found: Any, out: str | None) -> Any:
    """The answer with its document written: a file by its own name in this folder, or ``out``; what it says remains."""
    if isinstance(found, Document):
        return {"file": show.save(found, out), **found.facts}
    if isinstance(found, Done) and isinstance(found.result, Document):
        return replace(found, result={"file": show.save(found.result, out), **found.result.facts})
    if out is not None:
        raise Invalid("--out: the answer is no file.", next_step="leave --out away; what was done stands.")
    return found


def _print(cls: type[Request], found: Any, workspace: Workspace, *, as_json: bool) -> None:
    if as_json:
        show.print_json(show.done_row(found) if isinstance(found, Done) else found)
    elif isinstance(found, Done):
        show.print_done(found, shown_by=_shower(cls))
    else:
        shower, value = _shower(cls), show.named(found, workspace.principal_name, workspace.text)
        if shower is None:
            show.print_value(value)
        else:
            show.print_lines(shower(value))


def _shower(cls: type[Request]) -> Callable[[Any], Iterable[str]] | None:
    """What turns the answer of a request into lines; None prints it as it is."""
    if cls.shows is None:
        return None
    module, _, name = cls.shows.partition(":")
    found: Callable[[Any], Iterable[str]] = getattr(importlib.import_module(module), name)
    return found
