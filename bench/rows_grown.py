"""Rows of a ledger that has grown: one more command, and the read tables rebuilt from the entries."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bare
from measure import Row, fill, take_turns, timed
from plan import Plan
from rows_store import Bench, accepted

from affidavit.areas.access import events as e
from affidavit.bootstrap import Created, init
from affidavit.core.envelope import Draft
from affidavit.core.fields import VaultText
from affidavit.service import views
from affidavit.store.sqlite import SqliteEntryStore

_DIGEST = "sha256:" + "5e" * 32


def _text() -> VaultText:
    return VaultText(commit=_DIGEST, vault=str(uuid.uuid4()))


def _command() -> list[Draft]:
    """A person, a grant asked for and approved, a key issued and revoked."""
    person, grant, key = f"p-{uuid.uuid4().hex}", str(uuid.uuid4()), str(uuid.uuid4())
    about = f"principal:{person}"
    return [
        Draft(e.PrincipalRegistered(person, "person", _text()), (about,)),
        Draft(e.GrantRequested(grant, person, "engineer", "*", _text()), (about, f"grant:{grant}")),
        Draft(e.GrantApproved(grant, person, "engineer", "*"), (about, f"grant:{grant}")),
        Draft(e.KeyIssued(key, person, "production", datetime(2027, 1, 1, tzinfo=UTC), _DIGEST), (about, f"key:{key}")),
        Draft(e.KeyRevoked(key), (about, f"key:{key}")),
    ]


def _grown(folder: Path, entries: int) -> Created:
    """A workspace whose ledger holds at least ``entries`` entries, written by the product in one transaction."""
    made = init(folder, admin="Bench Administrator", origin="bench.example/rebuild")
    with made.workspace.stores.entries.write() as tx:
        while tx.size() < entries:
            made.workspace.executor.append_facts(tx, _command(), made.admin, area="access")
    return made


class Floor:
    """Read, parse and insert on a copy of the same file, with nothing in between."""

    def __init__(self, path: Path, journal: str, tables: dict[str, str]) -> None:
        self.connection = bare.connect(path, journal)
        self.tables = tables
        self.rows: dict[str, list[tuple[Any, ...]]] = {
            name: self.connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables
        }

    def run(self) -> None:
        """Drop and make the tables, read and parse every entry, insert the rows, commit."""
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        for name, columns in self.tables.items():
            run(f'DROP TABLE "{name}"')
            run(f'CREATE TABLE "{name}" ({columns})')
        for _ in self._parsed():
            pass
        for name, rows in self.rows.items():
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                self.connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)
        run("COMMIT")

    def _parsed(self) -> Iterator[Any]:
        for _, body in self.connection.execute("SELECT idx, body FROM entry ORDER BY idx"):
            yield json.loads(body)


def grown(plan: Plan) -> list[Row]:
    """One more command on a ledger that has grown, then a rebuild of its read tables."""
    made = _grown(plan.work / "rebuild-ws", plan.ledger_entries)
    bench, entries = Bench(made), made.workspace.stores.entries
    table = bare.Table(plan.work / "grown-bare.db", entries.journal)
    which = f"no private text, after {entries.size():,} entries"
    people = entries.size() // len(_command())
    says = f"An API key is recorded where {people:,} people hold grants: what must not grow with the ledger shows here."
    command = accepted(plan, bench.without_private_text, bench, table, which, says)
    return [command, _rebuild(plan, made)]


def _rebuild(plan: Plan, made: Created) -> Row:
    """Drop every read table and replay the entries."""
    stores, catalog = made.workspace.stores, made.workspace.catalog
    count, journal = stores.entries.size(), stores.entries.journal
    stores.entries.close()
    copy = plan.work / "rebuild-bare.db"
    shutil.copyfile(plan.work / "rebuild-ws" / "ledger.db", copy)
    floor = Floor(copy, journal, views.tables(catalog))
    entries = SqliteEntryStore(plan.work / "rebuild-ws" / "ledger.db")

    def ours() -> float:
        return timed(lambda: views.rebuild(entries, catalog), count)

    times = take_turns({"ours": ours, "floor": lambda: timed(floor.run, count)}, max(2, plan.rounds * 5 // 9))
    entries.close()
    total = sum(len(rows) for rows in floor.rows.values())
    row = Row(
        f"rebuild the read tables of {count:,} entries",
        "us per entry",
        "<= 3.0",
        f"{total:,} rows come of it, with their keys and indexes, in one durable transaction on both sides. Ours proves"
        " that each entry is in canonical form, checks every field against its type and lets the areas apply the fact."
        " The floor reads with one statement, parses with the standard library's `json` and throws the result away; its"
        " rows lie ready in memory and go in by one `executemany` for each table.",
        floor_name="read + json.loads + executemany of the same rows",
    )
    return fill(row, times, over="ours/floor")
