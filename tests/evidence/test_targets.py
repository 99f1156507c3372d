"""Dispatch, log folders and receipts; and that the verifier stays light."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paper_ledger import ORIGIN, seeded

from affidavit.core.errors import Invalid, NotFound
from affidavit.evidence.verify import (
    Report,
    enrol,
    enrol_target,
    read_enrolled,
    read_vkey,
    verify_log_dir,
    verify_proof,
    verify_target,
)
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.proofs import Receipt
from affidavit.ledger.reader import TileReader


@pytest.fixture
def home(tmp_path, ledger):
    """``log/`` with ``log.vkey`` beside it, a receipt with its entry."""
    for path, body in {**ledger.tiles, "checkpoint": ledger.notes[ledger.size]}.items():
        file = tmp_path / "log" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    (tmp_path / "log.vkey").write_text(ledger.signer.vkey + "\n")
    proof = Receipt(5, tuple(TileReader(ledger.read, 20).inclusion_proof(5)), ledger.notes[20]).encode()
    (tmp_path / "five.proof").write_bytes(proof)
    (tmp_path / "five.proof.entry").write_bytes(ledger.bodies[5])
    return tmp_path


def kinds(report):
    return {p.kind for p in report.problems}


def test_a_log_folder_is_verified_at_its_level(home, ledger):
    """By the key beside it, by a given one, by an enrolled one."""
    assert verify_target(home / "log").level == "self-consistent"
    given = verify_target(home / "log", vkeys=[ledger.signer.vkey], require="pinned")
    assert (given.ok, given.level, given.size, given.origin) == (True, "pinned", 20, ORIGIN)
    file = home / "enrolled.json"
    enrol_target(home / "log", file)
    assert verify_target(home / "log", enrolled=read_enrolled(file), require="pinned").ok


def test_a_log_whose_entries_are_not_ours_is_verified(tmp_path):
    """Any tlog-tiles log, under a key of another name when the origin is given."""
    from affidavit.ledger.growth import grow

    key = Ed25519Signer("keys.example", seeded("k"))
    grown = grow(lambda path: b"", 0, [b"\x00\xff", b"", b"not JSON"])
    note = sign_checkpoint(Checkpoint("their log", 3, grown.root), key)
    for path, body in [*grown.puts, ("checkpoint", note)]:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    assert verify_log_dir(tmp_path, [key.vkey], origin="their log").ok
    assert kinds(verify_log_dir(tmp_path, [key.vkey])) == {"checkpoint"}


LOG_ATTACKS = [
    ("a byte of an entry", lambda d: flip(d / "tile/entries/000.p/20", 100), "entry"),
    ("a byte of a tile", lambda d: flip(d / "tile/0/000.p/20", 100), "tile"),
    ("a byte of the checkpoint", lambda d: flip(d / "checkpoint", 30), "checkpoint"),
    ("a missing bundle", lambda d: (d / "tile/entries/000.p/20").unlink(), "missing"),
    ("no checkpoint", lambda d: (d / "checkpoint").unlink(), "missing"),
    ("a stray file", lambda d: (d / "notes.txt").write_text("x"), "unexpected"),
    ("a link", lambda d: os.symlink("/etc/hostname", d / "tile/1"), "unexpected"),
    ("a checkpoint of 10 MB", lambda d: (d / "checkpoint").write_bytes(b"x" * 10_000_000), "checkpoint"),
    ("a file beyond the size", lambda d: (d / "tile/0/001.p").mkdir() or (d / "tile/0/001.p/1").write_bytes(bytes(32)), "ahead"),
]  # fmt: skip


def flip(path: Path, place: int) -> None:
    body = bytearray(path.read_bytes())
    body[place] ^= 1
    path.write_bytes(bytes(body))


@pytest.mark.parametrize(("attack", "kind"), [a[1:] for a in LOG_ATTACKS], ids=[a[0] for a in LOG_ATTACKS])
def test_a_flawed_log_folder_is_named(home, ledger, attack, kind):
    """No traceback, no level."""
    attack(home / "log")
    report = verify_target(home / "log", vkeys=[ledger.signer.vkey])
    assert kind in kinds(report), report.lines()
    assert report.level == "none"


def test_an_older_checkpoint_tells_a_fork(home, ledger):
    """``--against`` and enrolment alike."""
    fork = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), ledger.signer)
    report = verify_target(home / "log", vkeys=[ledger.signer.vkey], against=fork)
    assert (kinds(report), report.level) == ({"fork"}, "self-consistent")
    file = home / "enrolled.json"
    enrol(ORIGIN, ledger.signer.vkey, fork, file)
    assert kinds(verify_target(home / "log", enrolled=read_enrolled(file))) == {"fork"}


def test_a_signature_line_of_a_stranger_is_listed_as_not_authenticated(home, ledger):
    """A cosignature nobody asked for changes nothing, and is said."""
    stranger = Ed25519Signer("witness.example", seeded("w"))
    note = sign_checkpoint(Checkpoint(ORIGIN, 20, ledger.root), ledger.signer, stranger)
    (home / "log" / "checkpoint").write_bytes(note)
    report = verify_target(home / "log", vkeys=[ledger.signer.vkey])
    assert report.ok
    assert any("witness.example" in place for place in report.unauthenticated)


def test_a_receipt_is_verified_with_its_entry(home, ledger):
    """Pinned with a key; nothing at all without."""
    report = verify_target(home / "five.proof", vkeys=[ledger.signer.vkey], require="pinned")
    assert (report.ok, report.kind, report.facts["entry"], report.size) == (True, "proof", 5, 20)
    assert kinds(verify_target(home / "five.proof")) == {"key"}
    enrol(ORIGIN, ledger.signer.vkey, ledger.notes[20], home / "e.json")
    assert verify_target(home / "five.proof", enrolled=read_enrolled(home / "e.json")).ok


def test_a_receipt_of_another_entry_fails(home, ledger):
    """Entry, proof, key: each must fit."""
    (home / "five.proof.entry").write_bytes(ledger.bodies[6])
    assert kinds(verify_proof(home / "five.proof", [ledger.signer.vkey])) == {"proof"}
    (home / "five.proof.entry").unlink()
    assert kinds(verify_proof(home / "five.proof", [ledger.signer.vkey])) == {"proof"}
    other = Ed25519Signer(ORIGIN, seeded("stranger"))
    (home / "e").write_bytes(ledger.bodies[5])
    assert kinds(verify_proof(home / "five.proof", [other.vkey], entry=home / "e")) == {"proof"}
    (home / "five.proof").write_bytes(b"c2sp.org/tlog-proof@v1\nindex x\n\n")
    assert kinds(verify_target(home / "five.proof", vkeys=[other.vkey])) == {"proof"}
    assert leaf_hash(ledger.bodies[5]) != leaf_hash(ledger.bodies[6])


def test_dispatch_names_what_it_cannot_verify(home, tmp_path):
    """A folder of something else, nothing at all, a workspace without its verifier."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="neither"):
        verify_target(tmp_path / "empty")
    with pytest.raises(NotFound):
        verify_target(tmp_path / "nothing")
    (home / "affidavit.toml").write_text("")
    with pytest.raises(Invalid):
        verify_target(home)
    seen = []

    def workspace(path):
        seen.append(path)
        return Report("workspace", str(path), "pinned", ORIGIN, 20)

    assert verify_target(home, workspace=workspace).ok
    assert not verify_target(home, workspace=workspace, require="anchored").ok
    assert seen == [home, home]


def test_a_package_is_dispatched(home, pack, ledger):
    """Whatever its name ends in."""
    (home / "pack.bin").write_bytes(pack(ledger))
    assert verify_target(home / "pack.bin", vkeys=[ledger.signer.vkey], require="pinned").kind == "package"
    (home / "pack.bin").write_bytes(b"garbage")
    assert verify_target(home / "pack.bin").level == "none"


def test_a_key_comes_as_text_or_file(home, ledger):
    """``--vkey FILE-OR-KEY``."""
    assert read_vkey(ledger.signer.vkey) == read_vkey(str(home / "log.vkey")) == ledger.signer.vkey
    with pytest.raises(NotFound):
        read_vkey("no-such-file")
    (home / "bad").write_text("no key")
    with pytest.raises(Invalid):
        read_vkey(str(home / "bad"))


def test_the_verifier_needs_the_core_install_alone():
    """No area, no YAML, no numpy, no SQLite, no network module is loaded."""
    code = (
        "import sys; import affidavit.evidence.verify;"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('yaml', 'numpy', 'sqlite3', 'socket', 'http')"
        " or m.startswith(('affidavit.areas', 'affidavit.service', 'affidavit.store'))];"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_report_reads_from_its_level_down(pack, ledger, tmp_path):
    """Level, verdict, problems; the same as data."""
    path = tmp_path / "p.zip"
    path.write_bytes(pack(ledger)[:-1])
    report = verify_target(path)
    assert report.lines()[0].startswith("none: NOT VERIFIED")
    row = report.row()
    assert row["verified"] is False
    assert row["problems"][0]["kind"] == "archive"


def test_a_wrong_key_given_is_not_saved_by_an_enrolled_one(tmp_path):
    """After enrolment, a log or receipt checked with another key fails as it did before."""
    import subprocess
    import sys

    from affidavit.bootstrap import init

    made = init(tmp_path / "ws")
    other = init(tmp_path / "other").workspace.stores.log_signer.vkey
    log, proof = tmp_path / "ws" / "log", tmp_path / "r.proof"
    proof.write_bytes(made.workspace.receipt(1))
    (tmp_path / "r.proof.entry").write_bytes(next(iter(made.workspace.stores.entries.entries(1, 2))))
    made.workspace.close()

    def verify(*args: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "affidavit.cli.main", "verify", *args], capture_output=True, check=False
        ).returncode

    assert verify("enrol", str(log), "--vkey", str(tmp_path / "ws" / "log.vkey")) == 0
    assert (verify(str(log)), verify(str(proof))) == (0, 0)
    assert (verify(str(log), "--vkey", other), verify(str(proof), "--vkey", other)) == (3, 3)
