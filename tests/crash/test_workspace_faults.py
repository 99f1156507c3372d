"""A fault at every persist point of the whole write path, both ways: nothing acknowledged is lost, nothing is half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from affidavit.bootstrap import memory_entries, open_workspace
from affidavit.core.area import Who
from affidavit.core.errors import AffidavitError, StoreDown
from affidavit.service import views
from affidavit.service.inspection import inspect
from affidavit.store.hooks import StoreDownAfterPersist, StoreDownBeforePersist

POINTS = ["entry.commit", "vault.put", "tile.put", "head.replace", "tile.publish", "object.put"]
RULES = b"version: 1\nenvironments: [development]\nroles: {admin: ['access.*'], everyone: []}\n"


def act(workspace, admin: Who, command_id: str):
    """One command with private text and an attachment, then publication."""
    done = workspace.access.propose_rules(text=RULES, reason="try it", by=admin, command_id=command_id)
    workspace.publish()
    return done


def flaws(workspace) -> list[str]:
    return [str(p) for p in inspect(workspace, memory_entries()).problems]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", [StoreDownBeforePersist, StoreDownAfterPersist])
def test_a_store_that_fails_at_any_point_loses_nothing(make, clock, tmp_path, point, fault, nth):
    """After the fault the workspace opens, verifies, and the same command id leads to exactly one entry."""
    made = make()
    made.workspace.close()
    command_id = str(uuid.uuid4())
    broken = open_workspace(tmp_path / "ws", clock=clock)
    for store in (
        broken.stores.entries,
        broken.stores.tiles,
        broken.stores.head,
        broken.stores.objects,
        broken.stores.vault,
    ):
        plant(store, fault(point, nth))
    failed = False
    try:
        act(broken, made.admin, command_id)
    except StoreDown:
        failed = True
    broken.close()

    again = open_workspace(tmp_path / "ws", clock=clock)
    assert flaws(again) == []
    act(again, made.admin, command_id)
    proposed = [r for r in all_records(again) if r.head.tag == "access.rules_proposed"]
    assert len(proposed) == 1
    assert flaws(again) == []
    assert failed or nth == 2


def plant(store, fault) -> None:
    """Put a fault into an adapter that is already open."""
    if hasattr(store, "hooks"):
        store.hooks = fault
    database = getattr(store, "_database", None)
    if database is not None:
        name = "hooks" if hasattr(database, "hooks") else "_hooks"
        assert hasattr(database, name), "the adapter has no hooks to plant a fault in"
        setattr(database, name, fault)


def all_records(workspace):
    return [workspace.record(i) for i in range(workspace.stores.entries.size())]


KILLED = """
import os, sys
from datetime import datetime
from affidavit.bootstrap import open_workspace
from affidavit.store import hooks
sys.path.insert(0, {tests!r})
from test_workspace_faults import act, plant
workspace = open_workspace({path!r}, by="administrator")
fault = getattr(hooks, {fault!r})({point!r}, {nth})
for store in (workspace.stores.entries, workspace.stores.tiles, workspace.stores.head, workspace.stores.objects, workspace.stores.vault):
    plant(store, fault)
act(workspace, workspace.who, {command_id!r})
print("acknowledged", flush=True)
"""


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", ["KilledBeforePersist", "KilledAfterPersist"])
def test_kill_at_every_persist_point(make, clock, tmp_path, point, fault):
    """kill -9 of the writing process: the next start mends everything and the retry is idempotent."""
    make().workspace.close()
    command_id = str(uuid.uuid4())
    code = KILLED.format(
        tests=str(Path(__file__).parent),
        path=str(tmp_path / "ws"),
        fault=fault,
        point=point,
        nth=1,
        command_id=command_id,
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    again = open_workspace(tmp_path / "ws", by="administrator", clock=clock)
    assert flaws(again) == []
    act(again, again.who, command_id)
    assert len([r for r in all_records(again) if r.head.tag == "access.rules_proposed"]) == 1
    assert flaws(again) == []


def test_a_restored_old_database_is_taken_back_from_the_bundles(make, clock, tmp_path):
    """Yesterday's ledger.db under today's head: the missing entries come back, and the log says so."""
    made = make()
    ws = made.workspace
    ws.close()
    old = (tmp_path / "ws" / "ledger.db").read_bytes()
    ws = open_workspace(tmp_path / "ws", clock=clock)
    ws.access.register_principal("service", "batch", by=made.admin)
    ws.publish()
    size = ws.stores.entries.size()
    ws.close()
    (tmp_path / "ws" / "ledger.db").write_bytes(old)
    again = open_workspace(tmp_path / "ws", clock=clock)
    assert again.stores.entries.size() == size + 1
    assert again.record(size).head.tag == "audit.restored"
    assert flaws(again) == []


def test_a_restored_old_database_without_bundles_is_refused(make, clock, tmp_path):
    """Missing entries that no bundle holds: start-up refuses and says what to do."""
    made = make()
    made.workspace.close()
    old = (tmp_path / "ws" / "ledger.db").read_bytes()
    ws = open_workspace(tmp_path / "ws", clock=clock)
    ws.access.register_principal("service", "batch", by=made.admin)
    ws.publish()
    ws.close()
    (tmp_path / "ws" / "ledger.db").write_bytes(old)
    for bundle in (tmp_path / "ws" / "log" / "tile" / "entries").rglob("*"):
        if bundle.is_file():
            bundle.chmod(0o644)
            bundle.unlink()
    with pytest.raises(AffidavitError, match="bundles do not verify"):
        open_workspace(tmp_path / "ws", clock=clock)


def test_a_restored_whole_workspace_is_refused_by_the_head_outside(make, clock, tmp_path):
    """Rolling back database and log folder together: the head store outside remembers the larger size."""
    import shutil

    made = make()
    made.workspace.close()
    shutil.copytree(tmp_path / "ws", tmp_path / "old")
    ws = open_workspace(tmp_path / "ws", clock=clock)
    ws.access.register_principal("service", "batch", by=made.admin)
    ws.publish()
    ws.close()
    shutil.rmtree(tmp_path / "ws")
    shutil.copytree(tmp_path / "old", tmp_path / "ws")
    with pytest.raises(AffidavitError, match="bundles do not verify"):
        open_workspace(tmp_path / "ws", clock=clock)


def test_rebuild_equals_live(make):
    """Dropping every read table and replaying the ledger gives the same rows."""
    made = make()
    made.workspace.access.register_principal("person", "A B", by=made.admin)
    assert views.compare(made.workspace.stores.entries, memory_entries(), made.workspace.catalog) == []
