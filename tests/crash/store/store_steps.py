"""One step per persist point: how to take it, and how to see after reopening whether it is on disk.

Run as a program it takes one step with one fault in a process of its own:
``python store_steps.py ROOT POINT FAULT NTH``; it prints ``answered`` if the step returned.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from affidavit.core.errors import NotFound
from affidavit.store import hooks as faults
from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import SqliteHeadStore
from affidavit.store.hooks import Hooks, Point
from affidavit.store.rowstore import RowStore
from affidavit.store.sqlite import SqliteEntryStore
from affidavit.store.vault import SqliteVault

KEY = b"k" * 32
TEXT = "a private reason that must go"
BLOB = b"artifact " * 40_000


@dataclass(frozen=True)
class Step:
    """``prepare`` runs without faults, ``act`` with them; ``holds`` opens the store anew."""

    point: Point
    act: Callable[[Path, Hooks], None]
    holds: Callable[[Path], bool]
    prepare: Callable[[Path], None] = lambda _: None
    nth: int = 1


def append(root: Path, hooks: Hooks) -> None:
    store = SqliteEntryStore(root / "ledger.db", hooks=hooks)
    try:
        with store.write() as tx:
            first = tx.append([b"one", b"two"])
            tx.run("CREATE TABLE IF NOT EXISTS seen (idx INTEGER)")
            tx.run("INSERT INTO seen VALUES (?), (?)", [first, first + 1])
    finally:
        store.close()


def appended(root: Path) -> bool:
    store = SqliteEntryStore(root / "ledger.db")
    with store.read() as tx:
        tables = tx.rows("SELECT 1 FROM sqlite_master WHERE name = 'seen'")
        rows = tx.rows("SELECT idx FROM seen ORDER BY idx") if tables else []
        assert rows == [(i,) for i in range(tx.size())], "entries and read table are apart"
    bodies = list(store.entries(0, 99))
    store.close()
    assert bodies in ([], [b"one", b"two"]), "half a batch"
    return bool(bodies)


def put_tile(root: Path, hooks: Hooks) -> None:
    FileTileStore(root / "log", hooks=hooks).put("tile/0/000.p/2", b"t" * 64)


def tile_there(root: Path) -> bool:
    store = FileTileStore(root / "log")
    found = list(store.list(""))
    assert found in ([], ["tile/0/000.p/2"])
    assert not found or store.get(found[0]) == b"t" * 64, "half a tile"
    return bool(found)


def publish(root: Path, hooks: Hooks) -> None:
    FileTileStore(root / "log", hooks=hooks).publish(b"new checkpoint")


def published(root: Path) -> bool:
    found = FileTileStore(root / "log").get("checkpoint")
    assert found in (b"old checkpoint", b"new checkpoint")
    return found == b"new checkpoint"


def replace_head(root: Path, hooks: Hooks) -> None:
    store = SqliteHeadStore(root / "heads" / "head.db", hooks=hooks)
    try:
        store.replace("example.com/log", store.fetch("example.com/log"), b"new head")
    finally:
        store.close()


def old_head(root: Path) -> None:
    store = SqliteHeadStore(root / "heads" / "head.db")
    store.replace("example.com/log", None, b"old head")
    store.close()


def head_replaced(root: Path) -> bool:
    store = SqliteHeadStore(root / "heads" / "head.db")
    found = store.fetch("example.com/log")
    store.close()
    assert found in (b"old head", b"new head")
    return found == b"new head"


def put_object(root: Path, hooks: Hooks) -> None:
    FileObjectStore(root / "objects", hooks=hooks).put(io.BytesIO(BLOB))


def object_there(root: Path) -> bool:
    store = FileObjectStore(root / "objects")
    found = list(store.list())
    for digest in found:
        with store.open(digest) as source:
            assert source.read() == BLOB, "half an object"
    return bool(found)


def with_vault(use: Callable[[SqliteVault], None]) -> Callable[[Path, Hooks], None]:
    def act(root: Path, hooks: Hooks) -> None:
        vault = SqliteVault(root / "vault.db", hooks=hooks)
        try:
            use(vault)
        finally:
            vault.close()

    return act


def vault_state(root: Path) -> str:
    vault = SqliteVault(root / "vault.db")
    records = list(vault.all())
    state = "none"
    for vault_id, _, _, state in records:
        text = vault.get(vault_id)
        assert text == ((TEXT, KEY) if state == "present" else None), "half a record"
    vault.close()
    return state


def put_text(vault: SqliteVault) -> None:
    vault.put("command", "reason", TEXT, KEY)


def erase(vault: SqliteVault) -> None:
    for vault_id, *_ in list(vault.all()):
        vault.erase(vault_id)


def text_in_vault(root: Path) -> None:
    with_vault(put_text)(root, Hooks())


def count_use(root: Path, hooks: Hooks) -> None:
    rows = RowStore(root / "operational.db", KEY, hooks=hooks)
    try:
        rows.put("key_use", "a", {"count": 1})
    finally:
        rows.close()


def use_counted(root: Path) -> bool:
    rows = RowStore(root / "operational.db", KEY)
    try:
        assert rows.flaws() == []
        return rows.get("key_use", "a") is not None
    finally:
        rows.close()


def missing(root: Path) -> bool:
    vault = SqliteVault(root / "vault.db")
    try:
        vault.get("00000000-0000-4000-8000-000000000000")
    except NotFound:
        return True
    finally:
        vault.close()
    return False


STEPS: dict[str, Step] = {
    "entry.commit": Step("entry.commit", append, appended),
    "tile.put": Step("tile.put", put_tile, tile_there),
    "tile.publish": Step(
        "tile.publish", publish, published, lambda root: FileTileStore(root / "log").publish(b"old checkpoint")
    ),
    "head.replace": Step("head.replace", replace_head, head_replaced, old_head),
    "object.put": Step("object.put", put_object, object_there),
    "vault.put": Step("vault.put", with_vault(put_text), lambda root: vault_state(root) == "present"),
    "vault.erase": Step("vault.erase", with_vault(erase), lambda root: vault_state(root) == "erased", text_in_vault),
    "vault.erase, second step": Step(
        "vault.erase", with_vault(erase), lambda root: vault_state(root) == "erased", text_in_vault, nth=2
    ),
    "vault.discard": Step(
        "vault.discard",
        with_vault(lambda vault: vault.discard("command")),
        lambda root: vault_state(root) == "none" and missing(root),
        text_in_vault,
    ),
    "operational.put": Step("operational.put", count_use, use_counted),
}


if __name__ == "__main__":
    where, name, fault = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    step = STEPS[name]
    injected = getattr(faults, fault)
    step.act(where, Hooks() if injected is Hooks else injected(step.point, step.nth))
    print("answered", flush=True)
