"""Rows of the stores and of the single door: append, one command, publication."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import bare
import corpus
import peer_env
from measure import NO_GOAL, Row, fill, take_turns, timed
from plan import Plan

from affidavit.areas.access.commands import RecordKey, RequestGrant
from affidavit.bootstrap import Created, init
from affidavit.core.fields import VaultText
from affidavit.ledger.tiles import ENTRIES, Tile
from affidavit.store.sqlite import SqliteEntryStore

BATCH = 256


def append(plan: Plan) -> list[Row]:
    """``EntryStore.append`` of encoded entries in batches of 256."""
    store = SqliteEntryStore(plan.work / "append.db")
    table = bare.Table(plan.work / "append-bare.db", store.journal)
    bodies = list(corpus.entries(BATCH))
    count = plan.batches * BATCH
    peer = peer_env.start("pymerkle", wanted=plan.peers)

    def ours() -> float:
        def work() -> None:
            for _ in range(plan.batches):
                with store.write() as tx:
                    tx.append(bodies)

        return timed(work, count)

    def floor() -> float:
        return timed(lambda: [table.commit(bodies) for _ in range(plan.batches)], count)

    contestants = {"ours": ours, "floor": floor}
    if isinstance(peer, peer_env.Peer):
        peer.ask("open", db=str(plan.work / "append-peer.db"))
        contestants["peer"] = lambda: peer.ask("append", batches=plan.batches, size=BATCH)["seconds"] / count
    times = take_turns(contestants, plan.rounds)
    if isinstance(peer, peer_env.Peer):
        peer.close()
    mode = f"journal_mode={store.journal}, synchronous={bare.synchronous(store.journal)}"
    row = Row(
        "entry store: append 256 encoded entries, one commit",
        "us per entry",
        "<= 2.0",
        f"Entries of {corpus.ENTRY_BYTES} bytes; one durable transaction per batch on both sides, same settings. Ours"
        " also takes the lock between processes, checks each body and lets triggers in the file refuse gaps and changes;"
        " the floor is one `executemany`. The peer hashes every entry as well and commits at a lower synchronous level"
        " (FULL), without a lock between processes.",
        floor_name=f"bare SQLite, {mode}",
        peer_name=_named(peer, "SqliteTree.append_entries"),
    )
    rows = [fill(row, times, over="ours/floor"), _append_cpu(plan, store, table, bodies)]
    store.close()
    return rows


def _append_cpu(plan: Plan, store: SqliteEntryStore, table: bare.Table, bodies: list[bytes]) -> Row:
    """The same with one commit for all batches, so that the disk does not hide the work."""
    batches = plan.batches * 4

    def ours() -> float:
        def work() -> None:
            with store.write() as tx:
                for _ in range(batches):
                    tx.append(bodies)

        return timed(work, batches * BATCH)

    def floor() -> float:
        return timed(lambda: table.commit(bodies * batches), batches * BATCH)

    row = Row(
        "entry store: append, batches of 256 in one commit",
        "us per entry",
        NO_GOAL,
        "The row above with the commit shared by all batches: it shows the processor's work, which the wait for the"
        " disk hides there. The floor hands all entries to one `executemany`.",
        floor_name="bare SQLite, one executemany",
    )
    return fill(row, take_turns({"ours": ours, "floor": floor}, plan.rounds), over="ours/floor")


def _named(peer: peer_env.Peer | str, what: str) -> str:
    version = peer_env.version("pymerkle")
    return f"pymerkle {version} {what}" if isinstance(peer, peer_env.Peer) else f"pymerkle {version}: {peer}"


class Bench:
    """A workspace with its administrator, and the commands that the rows send."""

    def __init__(self, made: Created) -> None:
        self.workspace, self.who = made.workspace, made.admin

    def with_private_text(self) -> None:
        """Ask for a grant: the reason goes into the vault before the command is decided."""
        text = VaultText("builds and validates the models of the credit team")
        self._send(RequestGrant(self.who.principal, "engineer", "*", text))

    def without_private_text(self) -> None:
        """Record an API key: ids, times and a digest only."""
        until = self.workspace.stores.clock.now() + timedelta(days=30)
        digest = "sha256:" + uuid.uuid4().hex * 2
        self._send(RecordKey(str(uuid.uuid4()), self.who.principal, "production", until, digest))

    def _send(self, command: Any) -> None:
        self.workspace.executor.execute(command, self.who)

    def last_entry(self) -> bytes:
        """The newest entry, whose size the bare insert takes."""
        size = self.workspace.stores.entries.size()
        return next(iter(self.workspace.stores.entries.entries(size - 1, size)))


def command(plan: Plan) -> list[Row]:
    """One command accepted, with and without private text, and the publication of one entry."""
    bench = Bench(init(plan.work / "command-ws", admin="Bench Administrator", origin="bench.example/command"))
    journal = bench.workspace.stores.entries.journal
    table = bare.Table(plan.work / "command-bare.db", journal)
    rows = [
        accepted(plan, bench.without_private_text, bench, table, "no private text", "An API key is recorded."),
        accepted(
            plan,
            bench.with_private_text,
            bench,
            table,
            "with private text",
            "A grant is requested with a reason. The reason and the key of its commitment are made durable in the"
            " vault, a second database, before the entry: at least two durable commits against one.",
        ),
        _publication(plan, bench, journal),
    ]
    bench.workspace.close()
    return rows


def accepted(plan: Plan, send: Callable[[], None], bench: Bench, table: bare.Table, which: str, says: str) -> Row:
    send()
    body = [bench.last_entry()]

    def ours() -> float:
        return timed(lambda: [send() for _ in range(plan.commands)], plan.commands)

    def floor() -> float:
        return timed(lambda: [table.commit(body) for _ in range(plan.commands)], plan.commands)

    row = Row(
        f"one command accepted, {which}",
        "ms per command",
        "<= 5.0",
        f"{says} Ours checks fields, permission and rules, decides, encodes, appends one entry of {len(body[0])} bytes"
        " and updates the read tables and their indexes in the same durable transaction; the floor inserts the same"
        " bytes in a transaction of its own and knows nothing else.",
        floor_name="bare durable SQLite insert",
    )
    return fill(row, take_turns({"ours": ours, "floor": floor}, plan.rounds), over="ours/floor")


def _publication(plan: Plan, bench: Bench, journal: str) -> Row:
    from affidavit.service.publisher import publish

    stores = bench.workspace.stores
    publish(stores)
    folder = plan.work / "publish-bare"
    folder.mkdir()
    head = bare.connect(folder / "head.db", journal)
    head.execute("CREATE TABLE head (origin TEXT PRIMARY KEY, note BLOB) WITHOUT ROWID")
    done = [0]

    def ours() -> float:
        seconds = []
        for _ in range(plan.commands):
            bench.without_private_text()
            seconds.append(timed(lambda: publish(stores)))
        return statistics.median(seconds)

    def floor() -> float:
        size = stores.entries.size()
        index, width = (size - 1) // 256, (size - 1) % 256 + 1
        bundle = stores.tiles.get(Tile(ENTRIES, index, width).path)
        tile = stores.tiles.get(Tile(0, index, width).path)
        note = stores.tiles.get("checkpoint")

        def work() -> None:
            done[0] += 1
            bare.write_durably(folder / f"bundle-{done[0]}", bundle)
            bare.write_durably(folder / f"tile-{done[0]}", tile)
            head.execute("INSERT OR REPLACE INTO head VALUES ('bench', ?)", (note,))
            bare.replace_durably(folder / "checkpoint", note)

        return statistics.median(timed(work) for _ in range(plan.commands))

    row = Row(
        "publication of one new entry",
        "ms per publication",
        NO_GOAL,
        "Publication is not part of accepting a command and is shared by all entries that wait for it. The floor makes"
        " the four things durable that must be: bundle, tile, head store, checkpoint. Ours also checks the old edge"
        " against the signed root, reads back and hashes what it wrote, signs, and verifies its own signature.",
        floor_name="the same four durable writes",
    )
    return fill(row, take_turns({"ours": ours, "floor": floor}, plan.rounds), over="ours/floor")
