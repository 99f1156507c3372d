"""Disks that are full or read-only, files that were damaged or swapped: the error, and the way back."""

from __future__ import annotations

import io
import os
import sqlite3
import sys

import pytest

from affidavit.core.digest import read_verified
from affidavit.core.errors import StoreDown, Tampered
from affidavit.store.connect import journal_mode
from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import SqliteHeadStore
from affidavit.store.sqlite import SqliteEntryStore
from affidavit.store.vault import SqliteVault

posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX matter")
KEY = b"k" * 32
BIG = b"x" * 60_000


class Everything:
    """One of each store below a folder, and one large step for each."""

    def __init__(self, root):
        self.entries = SqliteEntryStore(root / "ledger.db")
        self.tiles = FileTileStore(root / "log")
        self.objects = FileObjectStore(root / "objects")
        self.heads = SqliteHeadStore(root / "heads" / "head.db")
        self.vault = SqliteVault(root / "vault.db")

    def append(self):
        with self.entries.write() as tx:
            tx.append([BIG] * 4)

    def steps(self):
        return {
            "entries": self.append,
            "tile": lambda: self.tiles.put("tile/entries/000", BIG * 4),
            "checkpoint": lambda: self.tiles.publish(BIG * 4),
            "object": lambda: self.objects.put(io.BytesIO(BIG * 4)),
            "head": lambda: self.heads.replace("example.com/log", None, BIG * 4),
            "vault": lambda: self.vault.put("command", "reason", (BIG * 4).decode(), KEY),
        }

    def is_empty(self):
        return (
            self.entries.size() == 0
            and list(self.tiles.list("")) == list(self.objects.list()) == list(self.vault.all()) == []
            and self.heads.fetch("example.com/log") is None
        )

    def close(self):
        for store in (self.entries, self.heads, self.vault):
            store.close()


def leftovers(root):
    return [p.name for p in root.rglob("*") if p.is_file() and (p.name.startswith(".") or p.name.endswith("-journal"))]


def test_a_full_disk_is_store_down_and_space_brings_everything_back(small_disk):
    """Nothing is half-written, nothing is left over, the same objects go on when there is space."""
    stores = Everything(small_disk)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as out, pytest.raises(OSError):
        while True:
            out.write(b"f" * 4096)
    for name, step in stores.steps().items():
        with pytest.raises(StoreDown) as caught:
            step()
        assert caught.value.next_step, name
        assert leftovers(small_disk) == [], name
    assert stores.is_empty()
    filler.unlink()
    for step in list(stores.steps().values())[:3]:
        step()
    assert stores.entries.size() == 4 and len(stores.tiles.get("tile/entries/000")) == 240_000
    stores.close()


def test_a_transaction_that_met_a_full_disk_cannot_commit(small_disk):
    """Even if the caller swallows the error and goes on."""
    store = SqliteEntryStore(small_disk / "ledger.db")
    with store.write() as tx:
        tx.run("CREATE TABLE filler (body BLOB)")
    with pytest.raises(StoreDown), store.write() as tx:
        tx.append([b"first"])
        for _ in range(800):  # past the cache, so that pages must go to the disk inside the transaction
            try:
                tx.run("INSERT INTO filler VALUES (randomblob(60000))")
            except StoreDown:
                break
        else:
            pytest.fail("the disk never filled")
    assert store.size() == 0
    with store.write() as tx:
        assert tx.append([b"first"]) == 0
    store.close()


@posix
def test_a_file_size_limit_is_store_down_and_lifting_it_brings_everything_back(tmp_path):
    """The same through RLIMIT_FSIZE, which needs no rights."""
    import resource
    import signal

    stores = Everything(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        for name, step in stores.steps().items():
            with pytest.raises(StoreDown) as caught:
                step()
            assert caught.value.next_step, name
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert stores.is_empty() and leftovers(tmp_path) == []
    for step in stores.steps().values():
        step()
    assert stores.entries.size() == 4 and not stores.is_empty()
    stores.close()


def test_a_read_only_folder_can_be_read_and_refuses_writes(public_folder, as_somebody):
    """An auditor's copy on read-only storage opens; every write says what to do."""
    stores = Everything(public_folder)
    for step in (stores.append, *list(stores.steps().values())[1:4]):
        step()
    digest = next(stores.objects.list())
    stores.close()
    for folder, _, files in os.walk(public_folder):
        os.chmod(folder, 0o555)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
    as_somebody()
    entries, tiles, objects = (
        SqliteEntryStore(public_folder / "ledger.db"),
        FileTileStore(public_folder / "log"),
        FileObjectStore(public_folder / "objects"),
    )
    assert entries.size() == 4 and list(entries.entries(0, 1)) == [BIG]
    assert len(tiles.get("checkpoint")) == 240_000 and objects.has(digest)
    tiles.put("tile/entries/000", BIG * 4)  # identical: success without writing
    for use in (
        lambda: entries.write().__enter__(),
        lambda: tiles.put("tile/0/000", b"x"),
        lambda: tiles.publish(b"x"),
        lambda: objects.put(io.BytesIO(b"new")),
        lambda: SqliteEntryStore(public_folder / "other.db"),
        lambda: SqliteHeadStore(public_folder / "new" / "head.db"),
    ):
        with pytest.raises(StoreDown) as caught:
            use()
        assert caught.value.next_step
    assert entries.size() == 4
    entries.close()


def test_a_missing_folder_is_store_down(tmp_path):
    """A workspace that is not there is not created by accident."""
    with pytest.raises(StoreDown):
        SqliteEntryStore(tmp_path / "nowhere" / "ledger.db")
    with pytest.raises(StoreDown):
        SqliteEntryStore(tmp_path)


def filled(path, n=300):
    store = SqliteEntryStore(path)
    with store.write() as tx:
        tx.append([b"%06d" % i + b"." * 500 for i in range(n)])
    store.close()


def overwrite(path, at, body):
    with path.open("r+b") as out:
        out.seek(at)
        out.write(body)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 0, b"not a database header"),
        lambda path: overwrite(path, 4096 * 2, os.urandom(4096 * 20)),
        lambda path: os.truncate(path, 4096 * 5),
        lambda path: path.write_bytes(os.urandom(9000)),
    ],
    ids=["header", "pages", "truncated", "noise"],
)
def test_a_damaged_database_is_tampered(tmp_path, damage):
    """On opening or on reading, never a foreign error and never wrong entries."""
    path = tmp_path / "ledger.db"
    filled(path)
    damage(path)
    with pytest.raises(Tampered) as caught:
        store = SqliteEntryStore(path)
        try:
            assert [body[:6] for body in store.entries(0, 300)] == [b"%06d" % i for i in range(300)]
        finally:
            store.close()
    assert caught.value.next_step


@pytest.mark.parametrize(
    "attack",
    [
        ["DROP TRIGGER entry_no_update"],
        ["DROP TRIGGER entry_no_delete", "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT 1; END"],
        ["DROP TABLE entry"],
        ["PRAGMA application_id = 7"],
        ["PRAGMA application_id = 0"],
    ],
)
def test_a_changed_layout_is_tampered(tmp_path, attack):
    """A guard that was removed or weakened is seen on opening."""
    path = tmp_path / "ledger.db"
    filled(path, 3)
    with sqlite3.connect(path) as raw:
        for statement in attack:
            raw.execute(statement)
    raw.close()
    with pytest.raises(Tampered):
        SqliteEntryStore(path)


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM entry WHERE idx = 1",
        "UPDATE entry SET body = 'text' WHERE idx = 1",
        "UPDATE entry SET idx = -1 WHERE idx = 1",
    ],
)
def test_entries_that_were_removed_or_retyped_are_tampered(tmp_path, attack):
    """Guards taken away, rows changed, guards put back: the stream still notices."""
    path = tmp_path / "ledger.db"
    filled(path, 3)
    with sqlite3.connect(path) as raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(attack)
        for _, sql in triggers:
            raw.execute(sql)
    raw.close()
    store = SqliteEntryStore(path)
    with pytest.raises(Tampered):
        list(store.entries(0, 3))
    store.close()


def test_another_database_in_its_place_is_tampered(tmp_path):
    """A vault is no ledger, and neither is a stranger's file."""
    SqliteVault(tmp_path / "vault.db").close()
    with sqlite3.connect(tmp_path / "other.db") as raw:
        raw.execute("CREATE TABLE t (a)")
    raw.close()
    for name in ("vault.db", "other.db"):
        with pytest.raises(Tampered):
            SqliteEntryStore(tmp_path / name)


def test_a_newer_layout_is_not_touched(tmp_path):
    """The step is to install a newer release."""
    filled(tmp_path / "ledger.db", 1)
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    with pytest.raises(StoreDown, match="newer"):
        SqliteEntryStore(tmp_path / "ledger.db")


@pytest.mark.parametrize(
    "attack", ["text = 'text'", "key = x'00'", "key = 'text'", "text = NULL", "text = x'ff'", "key = NULL"]
)
def test_vault_values_of_a_wrong_kind_are_tampered(tmp_path, attack):
    """The commitment finds a changed text; types are checked here."""
    vault = SqliteVault(tmp_path / "vault.db")
    vault_id, _ = vault.put("command", "reason", "text", KEY)
    vault.close()
    with sqlite3.connect(tmp_path / "vault.db") as raw:
        raw.execute(f"UPDATE record SET {attack}")
    raw.close()
    vault = SqliteVault(tmp_path / "vault.db")
    for use in (lambda: vault.get(vault_id), lambda: vault.put("command", "reason", "text", KEY)):
        with pytest.raises(Tampered):
            use()
    vault.close()


def test_a_head_of_a_wrong_kind_is_tampered(tmp_path):
    """A head is bytes."""
    store = SqliteHeadStore(tmp_path / "head.db")
    store.replace("example.com/log", None, b"one")
    with sqlite3.connect(tmp_path / "head.db") as raw:
        raw.execute("UPDATE head SET note = 7")
    raw.close()
    with pytest.raises(Tampered):
        store.fetch("example.com/log")
    store.close()


@pytest.mark.parametrize("at", [0, 150_000, 299_999])
def test_flipped_bytes_of_an_object_are_noticed(tmp_path, at):
    """By a verifying reader, and by whoever stores the true bytes again."""
    store, body = FileObjectStore(tmp_path / "objects"), os.urandom(300_000)
    digest, _ = store.put(io.BytesIO(body))
    path = tmp_path / "objects/sha256" / digest[7:9] / digest[9:]
    path.chmod(0o600)
    overwrite(path, at, bytes([body[at] ^ 1]))
    with store.open(digest) as source, pytest.raises(Tampered):
        read_verified(source, digest, "object")
    with pytest.raises(Tampered):
        store.put(io.BytesIO(body))


def test_flipped_bytes_of_a_tile_are_noticed_when_it_is_derived_again(tmp_path):
    """Recovery re-derives tiles: a difference stops it."""
    store = FileTileStore(tmp_path / "log")
    store.put("tile/0/000", b"\x00" * 8192)
    path = tmp_path / "log/tile/0/000"
    path.chmod(0o600)
    overwrite(path, 4000, b"\x01")
    with pytest.raises(Tampered):
        store.put("tile/0/000", b"\x00" * 8192)


@pytest.mark.parametrize(
    ("release", "mode"),
    [
        ((3, 37, 0), "DELETE"),
        ((3, 40, 1), "DELETE"),
        ((3, 44, 5), "DELETE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "DELETE"),
        ((3, 50, 6), "DELETE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 0), "DELETE"),
        ((3, 51, 2), "DELETE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
    ],
)
def test_releases_with_the_wal_reset_bug_use_a_rollback_journal(release, mode):
    """Fixed in 3.51.3; backported to 3.44.6 and 3.50.7."""
    assert journal_mode(release) == mode


@pytest.mark.parametrize(("first", "then"), [((3, 51, 3), (3, 40, 1)), ((3, 40, 1), (3, 51, 3))])
def test_the_journal_mode_follows_the_release_in_use(tmp_path, first, then):
    """A workspace moved between machines is converted by its next writer, with nothing lost."""
    for n, version in enumerate((first, then, first)):
        store = SqliteEntryStore(tmp_path / "ledger.db", version=version)
        with store.write() as tx:
            assert tx.append([b"x"]) == n
        assert store.size() == n + 1
        store.close()
