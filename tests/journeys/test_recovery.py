"""Start-up after losses and crashes: databases, bundles, vault, settings; init that leaves nothing; stamps that wait."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

import affidavit.bootstrap.making as making
from affidavit.bootstrap import (
    init,
    memory_entries,
    open_for_inspection,
    open_recovered,
    open_workspace,
    read_settings,
)
from affidavit.cli.main import main
from affidavit.core.envelope import Draft
from affidavit.core.errors import AffidavitError, Invalid, NotFound, StoreDown, Tampered
from affidavit.core.ledger_facts import VaultDisposed
from affidavit.evidence.targets import verify_log_dir
from affidavit.ledger.timestamps import MAX_RESPONSE_BYTES
from affidavit.service import inspection, upkeep
from affidavit.service.health import examine
from affidavit.service.inspection import inspect
from affidavit.service.publisher import publish
from affidavit.store.tsa import Timestamper, check_answer


def flaws(ws) -> list[str]:
    return [str(p) for p in inspect(ws, memory_entries()).problems]


def tags(ws) -> list[str]:
    return [ws.record(i).head.tag for i in range(ws.stores.entries.size())]


def names(ws, made, *given: str) -> None:
    for name in given:
        ws.access.register_principal("person", name, by=made.admin)


def fail_before_head(ws, monkeypatch) -> None:
    """Publish, and die between tiles and head."""

    def down(*_args):
        raise StoreDown("crash before head", next_step="")

    with monkeypatch.context() as patch:
        patch.setattr(ws.stores.head, "replace", down)
        with pytest.raises(StoreDown):
            ws.publish()
    ws.close()


# -- bundles and database ------------------------------------------------------------------------------------------------


def test_a_refused_start_leaves_the_checkpoint_alone(make, clock, tmp_path):
    """A rolled-back workspace is refused and nothing in it is changed."""
    made = make()
    made.workspace.close()
    root = tmp_path / "ws"
    shutil.copytree(root, tmp_path / "old")
    ws = open_workspace(root, clock=clock)
    names(ws, made, "Later")
    ws.publish()
    ws.close()
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "old", root)
    before = (root / "log" / "checkpoint").read_bytes()
    with pytest.raises(Tampered, match="bundles do not verify"):
        open_workspace(root, clock=clock)
    assert (root / "log" / "checkpoint").read_bytes() == before


@pytest.mark.parametrize("published", [0, 2])
def test_accepted_entries_come_back_from_unsigned_bundles(make, clock, tmp_path, monkeypatch, published):
    """Tiles ahead of the head, database restored to the head's size or before it: all accepted entries come back."""
    made = make()
    made.workspace.close()
    root = tmp_path / "ws"
    old = (root / "ledger.db").read_bytes()
    ws = open_workspace(root, clock=clock)
    names(ws, made, *("Signed" for _ in range(published)))
    ws.publish()
    names(ws, made, "Lost One", "Lost Two")
    bodies = list(ws.stores.entries.entries(0, 99))
    fail_before_head(ws, monkeypatch)
    (root / "ledger.db").write_bytes(old)
    ws, found = open_recovered(root, clock=clock)
    assert found.reingested == published + 2
    assert list(ws.stores.entries.entries(0, len(bodies))) == bodies
    assert tags(ws)[len(bodies)] == "audit.restored"
    names(ws, made, "After")
    ws.publish()
    assert flaws(ws) == []


def test_tiles_ahead_of_the_head_are_no_flaw(make, clock, tmp_path, monkeypatch):
    """A crash before the head was replaced, the database whole: nothing is taken back, all is published."""
    made = make()
    names(made.workspace, made, "One")
    fail_before_head(made.workspace, monkeypatch)
    ws, found = open_recovered(tmp_path / "ws", clock=clock)
    assert (found.reingested, found.published) == (0, 1)
    assert flaws(ws) == []


def forged(root: Path, ws, width: int) -> None:
    """A bundle beyond the head whose last entry belongs to no stream of this log."""
    from affidavit.ledger.tiles import encode_bundle

    bodies = list(ws.stores.entries.entries(0, width - 1))
    folder = root / "log" / "tile" / "entries" / "000.p"
    folder.mkdir(exist_ok=True)
    (folder / str(width)).write_bytes(encode_bundle([*bodies, bodies[-1]]))


def test_unsigned_bundles_that_do_not_continue_the_database_are_refused(make, clock, tmp_path):
    """An entry that does not follow in its stream is not taken; the refusal says what is where."""
    made = make()
    size = made.workspace.stores.entries.size()
    forged(tmp_path / "ws", made.workspace, size + 1)
    made.workspace.close()
    with pytest.raises(Tampered, match=f"the database ends at {size}, bundles hold entries up to {size + 1}"):
        open_workspace(tmp_path / "ws", clock=clock)


def test_a_restored_database_takes_what_is_signed_and_leaves_the_rest(make, clock, tmp_path):
    """Behind the head: signed entries come back, foreign bundles beyond it are left alone."""
    made = make()
    root = tmp_path / "ws"
    made.workspace.close()
    old = (root / "ledger.db").read_bytes()
    ws = open_workspace(root, clock=clock)
    names(ws, made, "Signed")
    ws.publish()
    size = ws.stores.entries.size()
    forged(root, ws, size + 3)
    ws.close()
    (root / "ledger.db").write_bytes(old)
    ws, found = open_recovered(root, clock=clock)
    assert found.reingested == 1
    assert ws.record(size).head.tag == "audit.restored"


@pytest.mark.parametrize("body", [b"", b"x" * 10_000_000, b"\xff"])
def test_a_damaged_checkpoint_is_integrity_not_bad_input(make, clock, tmp_path, body):
    """The head store has it: what lies in its place is damage (exit code 3)."""
    make().workspace.close()
    (tmp_path / "ws" / "log" / "checkpoint").write_bytes(body)
    with pytest.raises(Tampered):
        open_workspace(tmp_path / "ws", clock=clock)
    assert main(["doctor", "--workspace", str(tmp_path / "ws")]) == 3


# -- leftovers -----------------------------------------------------------------------------------------------------------


def test_temp_files_of_the_dead_are_swept_and_noted(make, clock, tmp_path):
    """Old temp files go at the next start; a verifier notes young ones and finds no flaw."""
    import os

    make().workspace.close()
    root = tmp_path / "ws"
    left = [
        root / "log" / ".tmp-1",
        root / "log" / "tile" / "entries" / ".tmp-2",
        root / "objects" / "sha256" / ".tmp-3",
    ]
    for path in left:
        path.write_bytes(b"part")
    report = verify_log_dir(root / "log")
    assert report.problems == ()
    assert [n for n in report.notes if ".tmp-1" in n]
    for path in left:
        os.utime(path, (1, 1))
    open_workspace(root, clock=clock)
    assert not any(path.exists() for path in left)


def test_partial_tiles_left_by_a_crash_are_collected(make, clock, tmp_path, monkeypatch):
    """A crash between head and collection: the next start, with nothing to publish, removes what full tiles replaced."""
    from affidavit.service import publisher

    made = make()
    ws = made.workspace
    names(ws, made, *(f"P {n}" for n in range(256)))
    with monkeypatch.context() as patch:
        patch.setattr(publisher, "_collect_partials", lambda *_: None)
        ws.publish()
    ws.close()
    left = tmp_path / "ws" / "log" / "tile" / "0" / "000.p"
    assert any(left.iterdir())
    ws = open_workspace(tmp_path / "ws", clock=clock)
    assert not left.exists()
    assert flaws(ws) == []


# -- vault ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ledger.db", "vault.db"])
def test_a_missing_or_emptied_database_is_refused_and_not_made(make, clock, tmp_path, name):
    """Opening never hides the loss behind an empty file."""
    make().workspace.close()
    file = tmp_path / "ws" / name
    kept = file.read_bytes()
    file.unlink()
    with pytest.raises(NotFound, match=name):
        open_workspace(tmp_path / "ws", clock=clock)
    with pytest.raises(NotFound, match=name):
        open_for_inspection(tmp_path / "ws")
    assert not file.exists()
    file.write_bytes(b"")
    with pytest.raises(StoreDown, match="empty"):
        open_workspace(tmp_path / "ws", clock=clock)
    file.write_bytes(kept)
    open_workspace(tmp_path / "ws", clock=clock)


def test_a_vault_without_records_is_refused(make, clock, tmp_path):
    """A fresh vault in the place of the real one: the administrator's name cannot be missing."""
    from affidavit.store.vault import SqliteVault

    make().workspace.close()
    (tmp_path / "ws" / "vault.db").unlink()
    SqliteVault(tmp_path / "ws" / "vault.db").close()
    with pytest.raises(StoreDown, match="private texts"):
        open_workspace(tmp_path / "ws", clock=clock)


def test_doctor_compares_the_vault_with_the_entries(make, clock, tmp_path):
    """Yesterday's vault lacks today's texts."""
    made = make()
    made.workspace.close()
    root = tmp_path / "ws"
    old = (root / "vault.db").read_bytes()
    ws, found = open_recovered(root, clock=clock)
    assert ("vault", "ok") in [r[:2] for r in examine(ws, root, read_settings, found)]
    names(ws, made, "After")
    ws.close()
    (root / "vault.db").write_bytes(old)
    ws, found = open_recovered(root, clock=clock)
    assert ("vault", "bad") in [r[:2] for r in examine(ws, root, read_settings, found)]


def dispose(ws, made, vault: str, entry: int) -> None:
    command = upkeep.fresh_id(ws)
    fact = VaultDisposed(vault, entry, "erasure", upkeep.private(ws, command, "reason", "asked for"))
    ws.append([Draft(fact, ("ledger:log",))], made.admin, command)


def test_a_destroyed_text_that_is_back_is_found_and_erased_again(make, clock, tmp_path):
    """An old vault brings an erased text back: verify names it, the next start erases it, doctor says so."""
    made = make()
    ws, root = made.workspace, tmp_path / "ws"
    done = ws.access.register_principal("person", "Forget Me", by=made.admin)
    vault = done.facts[0].name.vault
    dispose(ws, made, vault, done.records[0].index)
    assert any(f.startswith("revived") and vault in f for f in flaws(ws))
    ws.close()
    ws, found = open_recovered(root, clock=clock)
    assert found.erased == 1
    assert ws.text(vault) is None
    assert flaws(ws) == []
    assert any(
        what == "recovery" and "erased again" in says for what, _, says in examine(ws, root, read_settings, found)
    )
    assert open_recovered(root, clock=clock)[1].erased == 0


def test_a_disposal_that_names_another_entry_covers_nothing(make, clock, tmp_path):
    """It is a flaw, hides no missing text, and erases nothing at start-up."""
    made = make()
    ws = made.workspace
    done = ws.access.register_principal("person", "Gone", by=made.admin)
    dispose(ws, made, done.facts[0].name.vault, 0)
    assert any(f.startswith("disposal") for f in flaws(ws))
    ws.close()
    ws = open_workspace(tmp_path / "ws", clock=clock)
    assert ws.text(done.facts[0].name.vault) == "Gone"
    ws.stores.vault.erase(done.facts[0].name.vault)
    assert any("no entry says so" in f for f in flaws(ws))


# -- init ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["_lay_out", "_open_ledger", "open_workspace", "sync_folder", "publish"])
def test_a_failed_init_leaves_nothing(tmp_path, clock, own_state, monkeypatch, step):
    """Folder, folders made above it and the head of the origin: gone; the same call then succeeds."""

    def down(*_args, **_kwargs):
        raise StoreDown("disk full", next_step="")

    where = tmp_path / "new" / "deep" / "ws"
    with monkeypatch.context() as patch:
        patch.setattr(making.Workspace if step == "publish" else making, step, down)
        with pytest.raises(StoreDown, match="disk full"):
            init(where, clock=clock, origin="example.org/once")
    assert list(tmp_path.iterdir()) == []
    assert [p for p in own_state.rglob("*") if p.is_file()] == []
    made = init(where, clock=clock, origin="example.org/once")
    assert flaws(made.workspace) == []
    assert sorted(p.name for p in where.parent.iterdir()) == ["ws"]


def test_a_failed_init_keeps_the_other_heads(tmp_path, clock, monkeypatch):
    """In a head folder that others share only the new row goes."""
    shared = tmp_path / "heads"
    first = init(tmp_path / "one", clock=clock, head=str(shared), origin="example.org/one")
    with monkeypatch.context() as patch:
        patch.setattr(making, "open_workspace", lambda *_a, **_k: (_ for _ in ()).throw(StoreDown("no", next_step="")))
        with pytest.raises(StoreDown):
            init(tmp_path / "two", clock=clock, head=str(shared), origin="example.org/two")
    assert first.workspace.stores.head.fetch(first.workspace.stores.origin) is not None
    init(tmp_path / "two", clock=clock, head=str(shared), origin="example.org/two")


@pytest.mark.parametrize("path", ["file/ws", "/proc/ws", "n" * 300, "nul\0byte"])
def test_init_where_no_folder_can_be_is_told(tmp_path, clock, path):
    """Below a file, in /proc, with an impossible name: an error of our tree."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AffidavitError):
        init(path if path.startswith("/") else f"{tmp_path}/{path}", clock=clock, origin="example.org/x")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_is_shown_once_is_not_in_the_repr(make):
    """A log line with the result of init holds no secret."""
    made = make()
    assert made.api_key not in repr(made)
    assert made.recovery_secret not in repr(made)


@pytest.mark.parametrize(
    "text", ["head = 3\n", "[head]\nfolder = 3\n", "timestamps = []\n", "[timestamps]\nurl = 3\n", "[head]\nx = ''\n"]
)
def test_settings_of_a_wrong_kind_are_told(make, clock, tmp_path, text):
    """Tables and texts are checked."""
    make().workspace.close()
    file = tmp_path / "ws" / "affidavit.toml"
    file.write_text(file.read_text() + text)
    with pytest.raises(Invalid, match="affidavit.toml"):
        open_workspace(tmp_path / "ws", clock=clock)


# -- reading the log -----------------------------------------------------------------------------------------------------


def test_the_log_is_shown_to_signed_in_readers_alone(make, tmp_path, capsys):
    """Entries with their private texts, lists and receipts need a principal with audit.read."""
    make(admin="Root").workspace.close()
    where = ["--workspace", str(tmp_path / "ws")]
    for verb in (["show", "2"], ["list"], ["receipt", "1", "--out", str(tmp_path / "r.proof")]):
        assert main(["log", *verb, *where]) == 1
        assert "nobody is signed in" in capsys.readouterr().err
        assert main(["log", *verb, *where, "--as", "Root"]) == 0
    assert (tmp_path / "r.proof").exists()
    assert main(["log", "receipt", "1", "--out", str(tmp_path / "no" / "r"), *where, "--as", "Root"]) == 3


def test_tables_of_a_workspace_in_use_are_no_difference(make, monkeypatch):
    """Entries that arrive while verify compares are no flaw: it tries again, then says so."""
    made = make()
    ws = made.workspace
    real, often = inspection.views.compare, [1]

    def racing(*args):
        found = real(*args)
        if often[0]:
            often[0] -= 1
            names(ws, made, f"Meanwhile {often[0]}")
            return [inspection.views.Difference("access_grant", "x", "live only")]
        return found

    monkeypatch.setattr(inspection.views, "compare", racing)
    assert flaws(ws) == []
    often[0] = 99
    found = inspect(ws, memory_entries())
    assert found.problems == []
    assert any("being written to" in n for n in found.notes)


# -- timestamps ----------------------------------------------------------------------------------------------------------


def serve(answer) -> str:
    """An authority on the loopback address that answers each connection by ``answer``."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(20)

    def loop() -> None:
        while True:
            connection, _ = door.accept()
            threading.Thread(target=answered, args=(connection,), daemon=True).start()

    def answered(connection) -> None:
        try:
            answer(connection)
        except OSError:
            pass
        finally:
            connection.close()

    threading.Thread(target=loop, daemon=True).start()
    return f"http://127.0.0.1:{door.getsockname()[1]}/"


def drip(connection) -> None:
    connection.recv(9999)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"a")
        time.sleep(0.05)


def once(reply: bytes):
    def answer(connection) -> None:
        connection.recv(9999)
        connection.sendall(reply)

    return answer


BAD = {
    "no HTTP": once(b"hello world\r\n\r\n"),
    "cut short": once(b"HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\nabc"),
    "empty": once(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "no timestamp": once(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n<htm>"),
    "endless": once(b"HTTP/1.0 200 OK\r\n\r\n" + b"0" * (MAX_RESPONSE_BYTES + 10)),
    "dripping": drip,
}


@pytest.mark.net
@pytest.mark.enable_socket
@pytest.mark.parametrize("how", BAD)
def test_a_bad_authority_leaves_no_file_and_stops_nothing(tmp_path, how):
    """Whatever it answers, however slowly: nothing is raised, nothing is stored, what was missed is said."""
    stamper = Timestamper(serve(BAD[how]), None, tmp_path, timeout_s=0.5)
    before = time.monotonic()
    stamper(b"origin\n1\nroot\n", 1)
    assert time.monotonic() - before < 2
    assert "size 1" in stamper.missed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://[", "ftp://x", "x"])
def test_an_address_that_is_none_is_told(tmp_path, url):
    """Only http and https are asked."""
    with pytest.raises(Invalid):
        Timestamper(url, None, tmp_path)


def der(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def answer_to(body: bytes, nonce: int, status: int = 0) -> bytes:
    """What an authority says that signs nothing: status, and a token with imprint and nonce."""
    import hashlib

    token = der(
        0x30, b"\x04\x20" + hashlib.sha256(body).digest() + der(0x02, nonce.to_bytes(nonce.bit_length() // 8 + 1))
    )
    return der(0x30, der(0x30, der(0x02, bytes([status]))) + token)


def test_an_answer_without_roots_is_still_read():
    """Granted, of this body, to this request; else it is not kept."""
    body, good = b"body", answer_to(b"body", 77)
    check_answer(body, good, 77)
    with pytest.raises(Tampered):
        check_answer(b"other", good, 77)
    with pytest.raises(Tampered):
        check_answer(body, good, 78)
    for bad in (answer_to(body, 77, 2), good + b"x", good[:-1], b"", b"\x30", good[1:]):
        with pytest.raises(Invalid):
            check_answer(body, bad, 77)


def test_a_missed_stamp_is_asked_for_again(make, monkeypatch):
    """Publishing without growth asks for the stamp of the newest size, outside the lock; one that is there stays."""
    ws = make().workspace
    asked = []

    def stamp(_body: bytes, size: int) -> None:
        with ws.stores.publish_lock():  # would wait for itself inside the lock
            asked.append(size)

    object.__setattr__(ws.stores, "timestamp", stamp)
    size = ws.publish().size
    publish(ws.stores, restamp=False)
    assert asked == [size]


def test_a_stamp_that_is_there_is_not_asked_for_again(tmp_path, monkeypatch):
    """An empty file of an earlier release does not count."""
    stamper = Timestamper("http://127.0.0.1:9/", None, tmp_path)
    asked = []
    monkeypatch.setattr(stamper, "_ask", lambda request: asked.append(request) or b"")
    (tmp_path / "1.tsr").write_bytes(b"x")
    stamper(b"body", 1)
    assert asked == []
    (tmp_path / "2.tsr").write_bytes(b"")
    stamper(b"body", 2)
    assert len(asked) == 1


def test_doctor_says_that_a_stamp_is_missing(make, clock, tmp_path, monkeypatch):
    """Configured and not there."""
    make().workspace.close()
    root = tmp_path / "ws"
    with (root / "affidavit.toml").open("a") as file:
        file.write('\n[timestamps]\nurl = "http://127.0.0.1:9/"\n')
    ws, found = open_recovered(root, clock=clock)
    assert [s for what, s, _ in examine(ws, root, read_settings, found) if what == "anchor"] == ["weak"]


def test_a_new_workspace_acts_as_its_administrator(make):
    """A workspace made whole in its building folder opens like any other."""
    made = make()
    assert made.workspace.who == made.admin
    assert made.workspace.key_holder(made.api_key).principal == made.admin.principal
