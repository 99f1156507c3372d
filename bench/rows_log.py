"""Rows of the log: inclusion proofs from tiles on disk, verification of a whole log."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import bare
import corpus
import logs
import peer_env
from measure import NO_GOAL, Row, fill, take_turns
from plan import Plan

from affidavit.ledger import merkle
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.reader import TileReader
from affidavit.ledger.tiles import Tile, hash_levels, width_at


def log_rows(plan: Plan) -> list[Row]:
    """Proofs and verification of one log, which is built once."""
    log = logs.build(plan.work / "log", plan.log_entries)
    return [*_proofs(plan, log), _verify(plan, log)]


class Draw:
    """Fresh indexes for every call, so that no answer is found in a cache of answers."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size, self._run = count, size, 0

    def __call__(self) -> list[int]:
        self._run += 1
        return corpus.indexes(self._count, self._size, self._run)


def _each(work: Callable[[int], object], indexes: list[int]) -> float:
    """The median seconds of ``work`` over indexes."""
    seconds = []
    for index in indexes:
        start = time.perf_counter()
        work(index)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _read_tiles(log: logs.Log, index: int) -> None:
    """Open and read the tile of each level above one entry."""
    for level in hash_levels(log.size):
        place = index >> 8 * (level + 1)
        width = width_at(level, place, log.size)
        if width:
            (log.root / Tile(level, place, width).path).read_bytes()


def _proofs(plan: Plan, log: logs.Log) -> list[Row]:
    peer = peer_env.start("pymerkle", wanted=plan.peers)
    db, size, said = str(plan.work / "proof-peer.db"), log.size, str(peer)
    if isinstance(peer, peer_env.Peer):
        built = peer.ask("build", db=db, count=log.size, limit=plan.peer_limit_s)
        size, said = built["size"], f"{built['size']:,} entries, built in {built['seconds']:.0f} s"
        if size == log.size and built["root"] != log.tree_root.hex():
            raise RuntimeError("the peer's root differs: the two do not hold the same log")
    draw, warm = Draw(plan.proofs, min(size, log.size)), TileReader(log.tiles.get, log.size)
    for index in corpus.indexes(plan.proofs * 20, log.size, -1):
        warm.inclusion_proof(index)
    _check(log, warm)

    def cold_ours() -> float:
        return _each(lambda i: TileReader(log.tiles.get, log.size).inclusion_proof(i), draw())

    def peer_once() -> float:
        assert isinstance(peer, peer_env.Peer)
        peer.ask("open", db=db)
        return statistics.median(peer.ask("prove", indexes=draw())["seconds"])

    contestants: dict[str, Callable[[], float]] = {
        "cold": cold_ours,
        "warm": lambda: _each(warm.inclusion_proof, draw()),
        "floor": lambda: _each(lambda i: _read_tiles(log, i), draw()),
    }
    if isinstance(peer, peer_env.Peer):
        contestants["peer"] = peer_once
    times = take_turns(contestants, max(2, plan.rounds * 5 // 9))
    rows = []
    for which, says in (
        ("cold", "A new reader for each proof: nothing kept, up to three tiles are read and their rows hashed."),
        ("warm", "One reader for all proofs, with its default cache of 512 tiles, after 600 other proofs."),
    ):
        row = Row(
            f"inclusion proof at {log.size:,} entries, {which} reader",
            "us per proof",
            ">= 20.0",
            f"{says} Indexes are drawn anew for every proof. The peer ({said}) keeps leaf hashes only and hashes"
            f" the rest for each proof, with a cache of subtrees that fills: its tree is opened anew for every round, and"
            f" the median of the next {plan.proofs} proofs counts. The row with all caches full shows what is left of the"
            " difference afterwards. Files and database lie in the page cache on both sides.",
            floor_name="open and read the same tiles, no hashing",
            peer_name=_named(peer, size),
        )
        rows.append(fill(row, {"ours": times[which], **times}, over="peer/ours"))
    rows.append(_all_cached(plan, log, peer, db, draw, size))
    if isinstance(peer, peer_env.Peer):
        peer.close()
    return rows


def _check(log: logs.Log, reader: TileReader) -> None:
    """The proofs that are timed are right."""
    for index in corpus.indexes(20, log.size, -2):
        merkle.verify_inclusion(reader.leaf(index), index, log.size, reader.inclusion_proof(index), log.tree_root)


def _named(peer: peer_env.Peer | str, size: int) -> str:
    version = peer_env.version("pymerkle")
    return (
        f"pymerkle {version} on SQLite, {size:,} entries"
        if isinstance(peer, peer_env.Peer)
        else f"pymerkle {version}: {peer}"
    )


def _all_cached(plan: Plan, log: logs.Log, peer: peer_env.Peer | str, db: str, draw: Draw, size: int) -> Row:
    reader = TileReader(log.tiles.get, log.size, cached=log.size // 256 + 64)
    for index in range(0, log.size, 256):
        reader.inclusion_proof(index)
    contestants: dict[str, Callable[[], float]] = {"ours": lambda: _each(reader.inclusion_proof, draw())}
    if isinstance(peer, peer_env.Peer):
        peer.ask("open", db=db)
        peer.ask("fill")
        contestants["peer"] = lambda: statistics.median(peer.ask("prove", indexes=draw())["seconds"])
    row = Row(
        f"inclusion proof at {log.size:,} entries, every cache full",
        "us per proof",
        NO_GOAL,
        "The limit that favours the peer most: one proof was asked for under every 128 leaves before, so that it holds"
        " every subtree it ever caches, and ours every tile. A service reaches this only after thousands of proofs at"
        " one size.",
        peer_name=_named(peer, size),
    )
    return fill(row, take_turns(contestants, plan.rounds), over="peer/ours")


def _verify(plan: Plan, log: logs.Log) -> Row:
    bodies = list(corpus.entries(log.size))

    def ours() -> float:
        start = time.perf_counter()
        report = verify_log(log.tiles.get, lambda: log.tiles.list(""), [log.vkey])
        seconds = time.perf_counter() - start
        if not report.ok or report.root != log.tree_root:
            raise RuntimeError(f"the log does not verify: {report.problems[:3]}")
        return seconds

    def floor() -> float:
        start = time.perf_counter()
        root = bare.hash_log(bodies)
        seconds = time.perf_counter() - start
        if root != log.tree_root:
            raise RuntimeError("the bare hashing gives another root")
        return seconds

    row = Row(
        f"verify a log of {log.size:,} entries",
        "s per log",
        "<= 2.5",
        "Ours reads every bundle and tile from disk, splits the bundles, compares each tile with what lies below it,"
        " checks names and signature. The floor hashes the same leaves and nodes once, from a list in memory, and"
        " compares one root. Both use one thread.",
        floor_name="bare hashlib, same leaves and nodes",
    )
    return fill(row, take_turns({"ours": ours, "floor": floor}, max(2, plan.rounds * 5 // 9)), over="ours/floor")
