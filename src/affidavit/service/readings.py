"""Reading the state: area tables in one transaction, answers of other areas, rules at a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import yaml

from affidavit.areas.catalog import Catalog
from affidavit.core import digest as digests
from affidavit.core.area import Request, ViewTx
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import time_text
from affidavit.core.ports import ObjectStore, Tx
from affidavit.core.rules import Rules, rules_of


def parse_rules(text: bytes, catalog: Catalog) -> Rules:
    """The rules of a YAML text. Raises ``Invalid`` with the line or the key that is wrong."""
    try:
        body = yaml.safe_load(text.decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
        raise Invalid(f"rules.yaml is not YAML: {e}.", next_step="correct it.") from None
    return rules_of(body, "sha256:" + hashlib.sha256(text).hexdigest(), catalog.parameter_defaults)


class RulesBook:
    """Rules by digest, parsed once: the text is an attachment that never changes."""

    def __init__(self, objects: ObjectStore, catalog: Catalog) -> None:
        self._objects, self._catalog = objects, catalog
        self._parsed: dict[str, Rules] = {}

    def of(self, digest: str) -> Rules:
        """The rules of this text digest, verified when read."""
        if digest not in self._parsed:
            with self._objects.open(digest) as source:
                text = digests.read_verified(source, digest, "rules.yaml")
            self._parsed[digest] = parse_rules(text, self._catalog)
        return self._parsed[digest]


class Reading:
    """One transaction, read by every area. Other areas are asked by name, never by import."""

    def __init__(self, tx: Tx, catalog: Catalog, book: RulesBook) -> None:
        self.tx, self.catalog, self.book = tx, catalog, book

    def view(self, area: str) -> ViewTx:
        """The read tables of ``area``."""
        return self.catalog.view_tx(self.tx, area)

    def ask(self, name: str, *args: Any) -> Any:
        """The answer of an area to a named question. Raises ``NotFound`` for a question nobody answers."""
        found = self.catalog.answers.get(name)
        if found is None:
            raise NotFound(f"no area answers {name!r}.", next_step=f"known: {', '.join(sorted(self.catalog.answers))}.")
        area, fn = found
        return fn(self.view(area), *args)

    def asker(self, request: type[Request]) -> Callable[..., Any]:
        """``ask`` limited to what the request declares."""
        return partial(self._asked, request)

    def _asked(self, request: type[Request], name: str, *args: Any) -> Any:
        if name not in request.asks:
            raise Invalid(f"{request.__name__} asks {name} without declaring it.", next_step="add it to asks.")
        return self.ask(name, *args)

    def rules_at(self, at: datetime) -> Rules:
        """The rules in force at ``at``. Raises ``NotFound`` for a moment before the first adoption."""
        digest = self.ask("access.rules_in_force", time_text(at))
        if digest is None:
            raise NotFound(f"no rules were in force at {time_text(at)}.", next_step="choose a later moment.")
        return self.book.of(digest)

    def rules(self) -> Rules:
        """The rules adopted last. Raises ``NotFound`` in a log that has none."""
        digest = self.ask("access.rules_in_force")
        if digest is None:
            raise NotFound("no rules are in force.", next_step="make the workspace with `affidavit init`.")
        return self.book.of(digest)

    def next_seq(self, stream: str) -> int:
        """The gapless number of the next entry of a stream."""
        row = self.view("log").one("SELECT MAX(seq) FROM {meta} WHERE stream = ?", stream)
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def last_at(self) -> str | None:
        """The time of the newest entry."""
        row = self.view("log").one("SELECT at FROM {meta} ORDER BY idx DESC LIMIT 1")
        return row[0] if row else None
