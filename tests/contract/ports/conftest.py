"""Every adapter of each port, as a parametrised fixture: one suite per port runs against all of them."""

from __future__ import annotations

import pytest

from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import SqliteHeadStore
from affidavit.store.memory import (
    MemoryEntryStore,
    MemoryHeadStore,
    MemoryObjectStore,
    MemoryTileStore,
    MemoryVault,
)
from affidavit.store.sqlite import SqliteEntryStore
from affidavit.store.vault import SqliteVault

SAFE_RELEASE = (3, 51, 3)
OLD_RELEASE = (3, 40, 1)


@pytest.fixture(params=["delete journal", "write-ahead log", "memory"])
def entry_store(request, tmp_path):
    match request.param:
        case "memory":
            store = MemoryEntryStore(timeout_s=5)
        case "write-ahead log":
            store = SqliteEntryStore(tmp_path / "ledger.db", timeout_s=5, version=SAFE_RELEASE)
        case _:
            store = SqliteEntryStore(tmp_path / "ledger.db", timeout_s=5, version=OLD_RELEASE)
    yield store
    store.close()


@pytest.fixture(params=["files", "memory"])
def tile_store(request, tmp_path):
    return MemoryTileStore() if request.param == "memory" else FileTileStore(tmp_path / "log")


@pytest.fixture(params=["files", "memory"])
def object_store(request, tmp_path):
    return MemoryObjectStore() if request.param == "memory" else FileObjectStore(tmp_path / "objects")


@pytest.fixture(params=["sqlite", "memory"])
def head_store(request, tmp_path):
    store = MemoryHeadStore() if request.param == "memory" else SqliteHeadStore(tmp_path / "heads" / "head.db")
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "memory"])
def vault(request, tmp_path):
    store = MemoryVault() if request.param == "memory" else SqliteVault(tmp_path / "vault.db")
    yield store
    store.close()
