"""Changes of the log key: interrupted anywhere, raced, lost, forged; and what verifiers make of them."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from affidavit.bootstrap import (
    adopt_moved_head,
    keyring,
    memory_entries,
    next_log_key,
    open_for_inspection,
    open_recovered,
    open_workspace,
)
from affidavit.bootstrap.packaging import write_package
from affidavit.cli.main import main
from affidavit.core.area import Who
from affidavit.core.errors import Busy, NotAllowed, StoreDown, Tampered
from affidavit.evidence.targets import verify_log_dir
from affidavit.evidence.verify import verify_package
from affidavit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.succession import KeyTerm, Recovery, Rotation, follow, sign_recovery, sign_rotation
from affidavit.service import key_change
from affidavit.service.health import examine
from affidavit.service.inspection import inspect
from affidavit.store.lock import FileLock
from affidavit.store.signer import create_key


class Crash(BaseException):
    """Stands for the death of the process."""


def crash(*_args, **_kwargs):
    raise Crash


def tags(ws) -> list[str]:
    return [ws.record(i).head.tag for i in range(ws.stores.entries.size())]


def flaws(ws) -> list[str]:
    return [str(p) for p in inspect(ws, memory_entries()).problems]


def rotate(ws, root: Path, who: Who) -> str:
    signer, install = next_log_key(root)
    key_change.rotate(ws, signer, install, who)
    return signer.vkey


def signers(note: bytes, *vkeys: str) -> list[bool]:
    found = []
    for vkey in vkeys:
        try:
            open_checkpoint(note, [vkey])
            found.append(True)
        except Tampered:
            found.append(False)
    return found


STEPS = {
    "after the entry": ("affidavit.service.key_change.publish", 2),
    "before the head is signed by both": ("affidavit.service.key_change.conclude", 1),
    "before the file is moved": ("affidavit.bootstrap.keyring._keep_public_half", 1),
    "between key file and log.vkey": ("affidavit.bootstrap.keyring.sync_folder", 1),
}


def plant(monkeypatch, where: str, nth: int) -> None:
    """The ``nth`` call of a function does not return."""
    module, name = where.rsplit(".", 1)
    import importlib

    holder, calls = importlib.import_module(module), []
    real = getattr(holder, name)

    def planted(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            raise Crash
        return real(*args, **kwargs)

    monkeypatch.setattr(holder, name, planted)


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_rotation_is_finished_at_the_next_start(make, clock, tmp_path, monkeypatch, step):
    """Wherever the process dies after the entry, the next start ends the change; one entry, both keys on the head."""
    made = make()
    old, root = made.workspace.stores.log_signer.vkey, tmp_path / "ws"
    signer, install = next_log_key(root)
    with monkeypatch.context() as patch:
        plant(patch, *STEPS[step])
        with pytest.raises(Crash):
            key_change.rotate(made.workspace, signer, install, made.admin)
    made.workspace.close()
    ws = open_workspace(root, clock=clock)
    assert ws.stores.log_signer.vkey == signer.vkey
    assert (root / "log.vkey").read_text().strip() == signer.vkey
    assert not (root / "keys" / "log-next.key").exists()
    assert tags(ws).count("ledger.key_rotated") == 1
    assert (root / "keys" / "log-old-1.vkey").read_text().strip() == old
    ws.access.register_principal("person", "After", by=made.admin)
    ws.publish()
    assert flaws(ws) == []
    write_package(ws, tmp_path / "p.zip", clock.now() - timedelta(days=1), clock.now() + timedelta(days=1))
    assert verify_package(tmp_path / "p.zip", vkeys=[old]).ok


@pytest.mark.parametrize("step", STEPS)
def test_a_repeated_rotation_goes_on_where_it_stopped(make, tmp_path, monkeypatch, step):
    """The same command again in the same process leaves one entry and one new key."""
    made = make()
    signer, install = next_log_key(tmp_path / "ws")
    with monkeypatch.context() as patch:
        plant(patch, *STEPS[step])
        with pytest.raises(Crash):
            key_change.rotate(made.workspace, signer, install, made.admin)
    record = key_change.rotate(made.workspace, signer, install, made.admin)
    assert record.fact.new == signer.vkey
    assert key_change.rotate(made.workspace, signer, install, made.admin) == record
    assert tags(made.workspace).count("ledger.key_rotated") == 1
    assert made.workspace.stores.log_signer.vkey == signer.vkey
    assert flaws(made.workspace) == []


def test_the_head_is_signed_by_both_keys(make, tmp_path):
    """Holders of the old key can check the head at which the log turned to the new one."""
    made = make()
    old = made.workspace.stores.log_signer.vkey
    new = rotate(made.workspace, tmp_path / "ws", made.admin)
    stores = made.workspace.stores
    assert signers(stores.head.fetch(stores.origin), old, new) == [True, True]


def test_two_rotations_at_once(make, clock, tmp_path):
    """The second is told to retry: while the first runs, and after it with what it had read before."""
    made = make()
    root = tmp_path / "ws"
    other = open_workspace(root, clock=clock)
    mine, theirs = next_log_key(root), next_log_key(root)
    held = FileLock(root / "keys.lock")
    held.acquire(0)
    with pytest.raises(Busy):
        key_change.rotate(other, *theirs, made.admin)
    held.release()
    key_change.rotate(made.workspace, *mine, made.admin)
    with pytest.raises(Busy, match="log key changed"):
        key_change.rotate(other, *theirs, made.admin)
    with pytest.raises(Busy, match="another process"):
        keyring.installer(root, Ed25519Signer("x", b"z" * 32), made.workspace.stores.origin)()
    assert tags(made.workspace).count("ledger.key_rotated") == 1


def test_a_key_taken_away_while_it_is_read_is_busy(make, tmp_path, monkeypatch):
    """Between making the next key and reading it, another process may install it."""
    from affidavit.bootstrap import upkeep

    make()
    real = upkeep.create_key

    def taken(path):
        real(path)
        path.unlink()

    monkeypatch.setattr(upkeep, "create_key", taken)
    with pytest.raises(Busy):
        next_log_key(tmp_path / "ws")


def test_a_process_with_the_old_key_does_not_publish(make, clock, tmp_path):
    """After a rotation elsewhere a stale process is busy until it opens again; its entries are not lost."""
    made = make()
    stale = open_workspace(tmp_path / "ws", clock=clock)
    new = rotate(made.workspace, tmp_path / "ws", made.admin)
    stale.access.register_principal("person", "Stale", by=made.admin)
    with pytest.raises(Busy, match="open the workspace again"):
        stale.publish()
    made.workspace.access.register_principal("person", "Here", by=made.admin)
    head = made.workspace.publish()
    assert signers(head.checkpoint, new) == [True]
    assert head.size == stale.stores.entries.size()
    assert flaws(made.workspace) == []


def lose_key(root: Path) -> None:
    (root / "keys" / "log.key").unlink()


def test_entries_that_wait_for_a_lost_key_do_not_lock_the_workspace(make, clock, tmp_path):
    """With unpublished entries and no key the workspace opens, doctor says so, recovery publishes them."""
    from affidavit.bootstrap import read_settings

    made = make()
    root = tmp_path / "ws"
    made.workspace.access.register_principal("person", "Unpublished", by=made.admin)
    made.workspace.close()
    lose_key(root)
    ws, found = open_recovered(root, clock=clock)
    assert (found.published, found.waiting) == (0, 1)
    rows = examine(ws, root, read_settings, found)
    assert [state for what, state, says in rows if what == "log key" and "1 accepted" in says] == ["bad"]
    nobody = Who(ws.access.register_principal("person", "No Role", by=made.admin).facts[0].principal, "os-user")
    signer, install = next_log_key(root)
    with pytest.raises(NotAllowed):
        key_change.recover_key(ws, made.recovery_secret, signer, "lost", install, nobody)
    with pytest.raises(StoreDown, match="log key is lost"):
        ws.publish()
    ws = open_workspace(root, clock=clock)
    key_change.recover_key(ws, made.recovery_secret, signer, "lost", install, made.admin)
    assert ws.publish().size == ws.stores.entries.size()
    assert flaws(ws) == []
    assert open_recovered(root, clock=clock)[1].waiting == 0


RECOVERY_STEPS = {
    "after the entry": ("affidavit.service.key_change.publish", 1),
    "before the end": ("affidavit.service.key_change.conclude", 1),
    "before the file is moved": ("affidavit.bootstrap.keyring._keep_public_half", 1),
    "between key file and log.vkey": ("affidavit.bootstrap.keyring.sync_folder", 1),
}


@pytest.mark.parametrize("again", ["the next start", "the same command"])
@pytest.mark.parametrize("step", RECOVERY_STEPS)
def test_an_interrupted_recovery_is_finished(make, clock, tmp_path, monkeypatch, step, again):
    """Wherever a recovery of the key dies, the next start or the same command ends it."""
    made = make()
    made.workspace.close()
    root = tmp_path / "ws"
    lose_key(root)
    ws = open_workspace(root, clock=clock)
    signer, install = next_log_key(root)
    with monkeypatch.context() as patch:
        plant(patch, *RECOVERY_STEPS[step])
        with pytest.raises(Crash):
            key_change.recover_key(ws, made.recovery_secret, signer, "lost", install, made.admin)
    if again == "the same command":
        key_change.recover_key(ws, made.recovery_secret, signer, "lost", install, made.admin)
    ws.close()
    ws = open_workspace(root, clock=clock)
    assert ws.stores.log_signer.vkey == signer.vkey
    assert tags(ws).count("ledger.key_recovered") == 1
    ws.access.register_principal("person", "After", by=made.admin)
    assert ws.publish().size == ws.stores.entries.size()
    assert flaws(ws) == []


def test_a_log_vkey_that_the_entries_do_not_lead_to_is_refused(make, clock, tmp_path):
    """Head, checkpoint and log.vkey swapped for those of a foreign key: opening names the file."""
    made = make(head="head")
    stores, root = made.workspace.stores, tmp_path / "ws"
    evil = Ed25519Signer(stores.origin, b"e" * 32)
    head = stores.head.fetch(stores.origin)
    forged = sign_checkpoint(open_checkpoint(head, stores.vkeys).checkpoint, evil)
    stores.head.replace(stores.origin, head, forged)
    stores.tiles.publish(forged)
    made.workspace.close()
    (root / "log.vkey").write_text(evil.vkey + "\n")
    with pytest.raises(Tampered, match="log.vkey names"):
        open_workspace(root, clock=clock)
    assert any("succession" in f for f in flaws(open_for_inspection(root)))


def test_a_lost_log_vkey_is_written_again(make, clock, tmp_path):
    """The entries know the key; an older or missing log.vkey is mended."""
    made = make()
    root = tmp_path / "ws"
    old = (root / "log.vkey").read_bytes()
    new = rotate(made.workspace, root, made.admin)
    for damage in (lambda: (root / "log.vkey").unlink(), lambda: (root / "log.vkey").write_bytes(old)):
        damage()
        assert open_workspace(root, clock=clock).stores.log_signer.vkey == new
        assert (root / "log.vkey").read_text().strip() == new


def test_a_foreign_statement_breaks_the_line(make, clock, tmp_path):
    """A key change whose statement the old key did not sign is named by verify and refused at the next start."""
    from affidavit.core.envelope import Draft
    from affidavit.core.ledger_facts import KeyRotated

    made = make()
    ws, root = made.workspace, tmp_path / "ws"
    evil, thief = (Ed25519Signer(ws.stores.origin, bytes([n]) * 32) for n in (7, 8))
    note = sign_rotation(Rotation(ws.stores.origin, evil.vkey, 6), thief, evil)
    fact = KeyRotated(ws.stores.log_signer.vkey, evil.vkey, ws.attach(note, "text/plain", "key-change"))
    ws.append([Draft(fact, ("ledger:log",))], made.admin)
    ws.publish()
    assert any("succession" in f for f in flaws(ws))
    ws.close()
    with pytest.raises(Tampered, match="line of log keys"):
        open_workspace(root, clock=clock)


def test_the_last_change_may_be_said_twice():
    """A repeated rotation or recovery to the present key gives another term of it, and stays aligned."""
    origin = "example.com/log"
    old, new, safe = (Ed25519Signer(n, bytes([i]) * 32) for i, n in enumerate((origin, origin, "example.com/safe"), 1))
    once, twice = (sign_rotation(Rotation(origin, new.vkey, n), old, new) for n in (5, 7))
    terms = follow(origin, old.vkey, [once, twice])
    assert terms == [KeyTerm(old.vkey, 0, 5), KeyTerm(new.vkey, 5, 7), KeyTerm(new.vkey, 7, None)]
    rescue = sign_recovery(Recovery(origin, new.vkey, 5), safe)
    assert follow(origin, old.vkey, [rescue, rescue], recovery_vkey=safe.vkey)[-1].vkey == new.vkey
    thief = Ed25519Signer(origin, b"t" * 32)
    with pytest.raises(Tampered):
        follow(origin, old.vkey, [once, sign_rotation(Rotation(origin, new.vkey, 7), thief, new)])


def test_a_reader_with_the_old_key_follows_a_rotated_log(make, tmp_path):
    """With the statements beside the log the old key leads on; without them the reader is told what to ask for."""
    made = make()
    ws, root = made.workspace, tmp_path / "ws"
    old = ws.stores.log_signer.vkey
    rotate(ws, root, made.admin)
    ws.access.register_principal("person", "After", by=made.admin)
    ws.publish()
    report = verify_log_dir(root / "log", [old])
    assert report.ok and report.level == "pinned"
    assert any("rotated" in n for n in report.notes)
    assert inspect(open_for_inspection(root, old), memory_entries()).problems == []
    shutil.copytree(root / "log", tmp_path / "alone" / "log")
    report = verify_log_dir(tmp_path / "alone" / "log", [old])
    index = tags(ws).index("ledger.key_rotated")
    assert any(f"rotated to another key at entry {index}" in p.detail for p in report.problems)
    stranger = Ed25519Signer(ws.stores.origin, b"s" * 32).vkey
    assert not verify_log_dir(root / "log", [stranger]).ok


def test_doctor_looks_at_key_files_alone(make, clock, tmp_path):
    """Public halves in keys/ may be read by all."""
    from affidavit.bootstrap import read_settings

    made = make()
    root = tmp_path / "ws"
    rotate(made.workspace, root, made.admin)
    ws, found = open_recovered(root, clock=clock)
    assert [s for what, s, _ in examine(ws, root, read_settings, found) if what == "keys"] == ["ok"]


@pytest.mark.parametrize("body", [b"\xff\xfe\n", b"", b"rubbish\n"])
def test_a_damaged_log_vkey_is_told(make, clock, tmp_path, body, capsys):
    """Not UTF-8, empty, no key: integrity, in our own words, for open and verify."""
    make().workspace.close()
    (tmp_path / "ws" / "log.vkey").write_bytes(body)
    with pytest.raises(Tampered, match="log.vkey"):
        open_workspace(tmp_path / "ws", clock=clock)
    assert main(["verify", str(tmp_path / "ws")]) == 3
    (tmp_path / "ws" / "log.vkey").unlink()
    assert main(["verify", str(tmp_path / "ws")]) == 2
    assert "--vkey" in capsys.readouterr().err


def test_a_restored_database_behind_a_rotation_finds_its_key_in_the_bundles(make, clock, tmp_path):
    """ledger.db of before the rotation: the key change is read from the bundles, then taken back."""
    made = make()
    root = tmp_path / "ws"
    made.workspace.close()
    before = (root / "ledger.db").read_bytes()
    ws = open_workspace(root, clock=clock)
    new = rotate(ws, root, made.admin)
    ws.close()
    (root / "ledger.db").write_bytes(before)
    ws = open_workspace(root, clock=clock)
    assert ws.stores.log_signer.vkey == new
    assert flaws(ws) == []


def test_a_moved_workspace_with_a_pending_change(make, clock, tmp_path, monkeypatch):
    """A change interrupted before the move is finished once the head is adopted."""
    made = make(admin="Root")
    signer, install = next_log_key(tmp_path / "ws")
    with monkeypatch.context() as patch:
        plant(patch, "affidavit.service.key_change.conclude", 1)
        with pytest.raises(Crash):
            key_change.rotate(made.workspace, signer, install, made.admin)
    made.workspace.close()
    monkeypatch.setenv("AFFIDAVIT_STATE", str(tmp_path / "other-machine"))
    assert adopt_moved_head(tmp_path / "ws", "Root") > 0
    ws = open_workspace(tmp_path / "ws", clock=clock)
    assert ws.stores.log_signer.vkey == signer.vkey
    assert signers(ws.stores.head.fetch(ws.stores.origin), signer.vkey) == [True]
    ws.access.register_principal("person", "After", by=made.admin)
    ws.publish()
    assert flaws(ws) == []


def test_a_foreign_key_file_is_refused(make, clock, tmp_path):
    """A key file that no entry names is not used, whatever log.vkey says."""
    make().workspace.close()
    lose_key(tmp_path / "ws")
    create_key(tmp_path / "ws" / "keys" / "log.key")
    with pytest.raises(Tampered, match="log.key"):
        open_workspace(tmp_path / "ws", clock=clock)


def test_the_command_repeated_after_a_crash_ends_the_change_and_begins_no_other(make, tmp_path, monkeypatch, capsys):
    """`log rotate-key` after a crash finishes what was begun; only the next one rotates again."""
    import json

    made = make(admin="Root")
    signer, install = next_log_key(tmp_path / "ws")
    with monkeypatch.context() as patch:
        plant(patch, "affidavit.service.key_change.conclude", 1)
        with pytest.raises(Crash):
            key_change.rotate(made.workspace, signer, install, made.admin)
    made.workspace.close()
    command = ["log", "rotate-key", "--workspace", str(tmp_path / "ws"), "--as", "Root", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["log_key"], "finished" in first) == (signer.vkey, True)
    assert main(command) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["log_key"] != signer.vkey
    assert "finished" not in second
    assert main(["verify", str(tmp_path / "ws")]) == 0
