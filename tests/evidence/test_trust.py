"""Levels: whose word a package is, what was enrolled, forks, key changes, timestamps."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from paper_ledger import ORIGIN, PaperLedger, seeded, small
from remake import remade

from affidavit.core.errors import Invalid, Refused, Tampered
from affidavit.evidence.verify import Trust, enrol, enrol_target, read_enrolled, read_trust, verify_package
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.succession import Recovery, sign_recovery

STRANGER = Ed25519Signer(ORIGIN, seeded("stranger"))


def check(body, **kw):
    return verify_package(io.BytesIO(body), **kw)


def kinds(report):
    return {p.kind for p in report.problems}


def fresh(seed: str, number: int = 10) -> PaperLedger:
    """A ledger of the same origin under another key."""
    signer = Ed25519Signer(ORIGIN, seeded(seed))
    ledger = PaperLedger(signer=signer, recovery=Ed25519Signer(ORIGIN + "/recovery", seeded(seed + "r"))).opened()
    ledger.grant(number)
    return ledger.publish()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keep" / "enrolled.json"


def test_without_a_key_a_package_is_self_consistent(pack, ledger):
    """The level that costs nothing, and is said first."""
    report = check(pack(ledger))
    assert report.ok
    assert report.lines()[0] == "self-consistent: verified"
    assert report.row()["level"] == "self-consistent"


def test_require_fails_below_the_level(pack, ledger):
    """A level is a demand, not a wish."""
    report = check(pack(ledger), require="pinned")
    assert (report.ok, report.level, kinds(report)) == (False, "self-consistent", {"level"})
    assert check(pack(ledger), vkeys=[ledger.signer.vkey], require="pinned").ok
    assert not check(pack(ledger), vkeys=[ledger.signer.vkey], require="anchored").ok


def test_a_package_remade_with_a_fresh_key_fails_after_enrolment(pack, ledger, file):
    """The forger's package agrees with itself; whoever enrolled the log is told."""
    enrol(ORIGIN, ledger.signer.vkey, ledger.notes[ledger.size], file)
    forged = pack(fresh("forger"))
    assert check(forged).level == "self-consistent"
    assert check(forged).ok
    report = check(forged, enrolled=read_enrolled(file), require="pinned")
    assert report.level == "self-consistent"
    assert {"key", "level"} <= kinds(report)


def test_the_same_log_signed_by_another_key_fails(pack, ledger):
    """Same entries, the manifest signed again by a stranger: the checkpoint is not theirs."""
    report = check(remade(pack(ledger), lambda files: None, STRANGER))
    assert report.level == "none"


def test_a_wrong_key_given_is_a_problem(pack, ledger):
    """Also without --require."""
    report = check(pack(ledger), vkeys=[STRANGER.vkey])
    assert (report.ok, report.level, kinds(report)) == (False, "self-consistent", {"key"})
    assert check(pack(ledger), vkeys=[STRANGER.vkey, ledger.signer.vkey]).ok


def test_enrolment_pins_and_grows(pack, ledger, file):
    """An enrolled log verifies pinned; the larger checkpoint is kept."""
    path = file.parent.parent / "one.zip"
    path.write_bytes(pack(ledger))
    kept = enrol_target(path, file, vkey=ledger.signer.vkey)
    assert kept.checkpoint.size == 20
    ledger.grant(50)
    ledger.publish()
    report = check(pack(ledger), enrolled=read_enrolled(file), require="pinned")
    assert report.ok
    path.write_bytes(pack(ledger))
    assert enrol_target(path, file).checkpoint.size == 22
    path.write_bytes(pack(ledger, as_of=20))
    assert enrol_target(path, file).checkpoint.size == 22


def test_enrolment_refuses_what_contradicts_it(ledger, file, pack):
    """Another key, another history, another signature, another origin."""
    note = ledger.notes[20]
    enrol(ORIGIN, ledger.signer.vkey, note, file)
    fork = sign_checkpoint(Checkpoint(ORIGIN, 20, bytes(32)), ledger.signer)
    theirs = sign_checkpoint(Checkpoint(ORIGIN, 20, bytes(32)), STRANGER)
    with pytest.raises(Refused, match="another key"):
        enrol(ORIGIN, STRANGER.vkey, theirs, file)
    with pytest.raises(Refused, match="another history"):
        enrol(ORIGIN, ledger.signer.vkey, fork, file)
    with pytest.raises(Tampered):
        enrol(ORIGIN, ledger.signer.vkey, theirs, file)
    with pytest.raises(Invalid):
        enrol("example.org/other", ledger.signer.vkey, note, file)
    path = file.parent / "forged.zip"
    path.write_bytes(pack(fresh("forger")))
    with pytest.raises(Invalid, match="not enrolled"):
        enrol_target(path, file)
    assert read_enrolled(file)[ORIGIN].note == note


def test_a_damaged_enrolment_is_refused(file):
    """Not silently empty: that would unpin."""
    file.parent.mkdir(parents=True)
    for body in (b"", b"{}", b"[]", b'{"format":"affidavit.dev/enrolled/v1","logs":[1]}', b"\xff"):
        file.write_bytes(body)
        with pytest.raises(Invalid):
            read_enrolled(file)
    assert read_enrolled(file.with_name("none")) == {}


def test_a_rewritten_history_is_a_fork(pack, file):
    """The right key, another past: named, and no longer pinned."""
    honest, rewritten = small(), PaperLedger().opened()
    for number in range(30, 60):
        rewritten.grant(number)
    rewritten.publish()
    enrol(ORIGIN, honest.signer.vkey, honest.notes[20], file)
    report = check(pack(rewritten), vkeys=[honest.signer.vkey], enrolled=read_enrolled(file), require="pinned")
    assert (report.level, kinds(report)) == ("self-consistent", {"fork", "level"})


def test_an_older_package_says_that_it_was_not_tied_to_the_enrolled_size(pack, ledger, file):
    """No flaw: but a proof towards the newer checkpoint was not given."""
    ledger.grant(50)
    ledger.publish()
    enrol(ORIGIN, ledger.signer.vkey, ledger.notes[22], file)
    report = check(pack(ledger, as_of=20), enrolled=read_enrolled(file))
    assert report.ok
    assert any("ask for one written against it" in n for n in report.notes)
    tied = check(pack(ledger, as_of=20, against=ledger.notes[22]), enrolled=read_enrolled(file))
    assert tied.ok
    assert not any("ask for one" in n for n in tied.notes)


def test_an_older_package_tied_to_another_checkpoint_of_the_enrolled_size_is_a_fork(pack, file):
    """The proof leads to a history that the reader was not shown."""
    honest, other = small(), small()
    honest.grant(50)
    other.grant(51)
    enrol(ORIGIN, honest.signer.vkey, honest.publish().notes[22], file)
    other.publish()
    report = check(pack(other, as_of=20, against=other.notes[22]), enrolled=read_enrolled(file))
    assert "fork" in kinds(report)


def test_a_kept_checkpoint_is_met_or_a_fork(pack, ledger):
    """``--against``: earlier, equal, foreign, signed by a stranger, later."""
    package = pack(ledger)
    earlier = sign_checkpoint(Checkpoint(ORIGIN, 3, _root(ledger, 3)), ledger.signer)
    assert check(package, against=earlier).ok
    assert check(package, against=ledger.notes[20]).ok
    fork = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), ledger.signer)
    assert kinds(check(package, against=fork)) == {"fork"}
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 3, _root(ledger, 3)), STRANGER)
    assert kinds(check(package, against=stranger)) == {"fork"}
    assert kinds(check(package, against=b"x" * 10_000_000)) == {"fork"}
    later = sign_checkpoint(Checkpoint(ORIGIN, 21, bytes(32)), ledger.signer)
    assert any("later than this package" in n for n in check(package, against=later).notes)


def _root(ledger, size):
    from affidavit.ledger.merkle import leaf_hashes, root

    return root(leaf_hashes(ledger.bodies[:size]))


def test_a_rotation_is_followed_from_the_pinned_key(pack, ledger, file):
    """Old and new key signed: the old pin still holds, and enrolment moves on."""
    old = ledger.signer.vkey
    enrol(ORIGIN, old, ledger.notes[20], file)
    ledger.rotate("second")
    ledger.rotate("third")
    package = pack(ledger.publish())
    for keys in ([old], [ledger.earlier[1]], [ledger.signer.vkey]):
        assert check(package, vkeys=keys, require="pinned").ok
    assert check(package, enrolled=read_enrolled(file), require="pinned").ok
    path = file.parent / "new.zip"
    path.write_bytes(package)
    assert enrol_target(path, file).vkey == ledger.signer.vkey


def test_a_recovery_counts_only_with_entry_0_under_an_enrolled_checkpoint(pack, ledger, file):
    """The recovery key stands in entry 0; whoever holds a bare key cannot tell whose entry 0 it is."""
    old = ledger.signer.vkey
    enrol(ORIGIN, old, ledger.notes[20], file)
    ledger.recover("second")
    package = pack(ledger.publish())
    assert check(package, vkeys=[ledger.signer.vkey], require="pinned").ok
    assert kinds(check(package, vkeys=[old])) == {"key"}
    assert check(package, enrolled=read_enrolled(file), require="pinned").ok


def test_a_stranger_cannot_recover_his_way_to_a_pinned_key(pack, ledger, file):
    """A made-up log whose entry 0 names the victim's key and the thief's recovery key."""
    victim = ledger.signer
    thief = PaperLedger(recovery=Ed25519Signer(ORIGIN + "/recovery", seeded("thief"))).opened()
    thief.recover("thief key")
    package = pack(thief.publish())
    assert check(package).ok
    assert kinds(check(package, vkeys=[victim.vkey], require="pinned")) == {"key", "level"}
    enrol(ORIGIN, victim.vkey, ledger.notes[20], file)
    report = check(package, enrolled=read_enrolled(file), require="pinned")
    assert report.level == "self-consistent"
    assert "key" in kinds(report)


def test_a_log_that_began_with_another_key_is_no_line(pack):
    """A key that signs without a change leading to it."""
    ledger = small()
    ledger.earlier, ledger.signer = [ledger.signer.vkey], STRANGER
    report = check(pack(ledger))
    assert "succession" in kinds(report)
    assert report.level == "none"


def test_a_forged_change_note_is_no_line(pack, ledger):
    """A recovery signed by somebody else."""
    ledger.rotate("second")
    package = pack(ledger.publish())
    note = sign_recovery(Recovery(ORIGIN, ledger.signer.vkey, 20), STRANGER)
    forged = remade(package, lambda files: files.__setitem__("keys/0001.note", note), ledger.signer)
    assert "succession" in kinds(check(forged))
    dropped = remade(package, lambda files: files.pop("keys/0001.note"), ledger.signer)
    assert "succession" in kinds(check(dropped))


def test_a_policy_names_keys_and_a_quorum_is_not_met(pack, ledger):
    """Log keys of a policy pin; witnesses that it asks for are not verified yet, which is said."""
    plain = read_trust(f"log {ledger.signer.vkey}\nquorum none\n".encode())
    assert check(pack(ledger), trust=plain, require="pinned").ok
    other = read_trust(f"log {STRANGER.vkey}\nquorum none\n".encode())
    assert kinds(check(pack(ledger), trust=other)) == {"key"}
    from affidavit.ledger.keys import COSIGNATURE_ED25519, VerifierKey

    witness = VerifierKey("w.example", COSIGNATURE_ED25519, ledger.signer.key.public).vkey
    strict = read_trust(f"log {ledger.signer.vkey}\nwitness w {witness}\nquorum w\n".encode())
    assert kinds(check(pack(ledger), trust=strict)) == {"witness"}


# Timestamps, with the authority replaced: the real one is tested with the ledger.


@pytest.fixture
def authority(monkeypatch):
    """Answers are ``body digest`` texts that a fake authority vouches for at a fixed time."""
    from affidavit.ledger import timestamps
    from affidavit.ledger.timestamps import Timestamp

    at = {"at": datetime(2026, 1, 1, 21, tzinfo=UTC)}

    def verify(body, answer, roots):
        if answer != b"stamp of " + body or roots != (b"root",):
            raise Tampered("The timestamp is of another checkpoint.", next_step="x")
        return Timestamp(at["at"], "tsa", 1, "1.2")

    monkeypatch.setattr(timestamps, "verify_timestamp", verify)
    return at


def stamp(ledger: PaperLedger) -> None:
    ledger.stamps[ledger.size] = b"stamp of " + Checkpoint(ledger.origin, ledger.size, ledger.root).body()


TSA = Trust(tsa_roots=(b"root",))


def test_a_timestamp_over_the_whole_log_anchors(pack, ledger, authority):
    """Pinned and stamped at the package's size."""
    stamp(ledger)
    package = pack(ledger)
    assert check(package, vkeys=[ledger.signer.vkey], trust=TSA, require="anchored").ok
    assert check(package, trust=TSA).level == "self-consistent"
    assert any("not verified" in n for n in check(package, vkeys=[ledger.signer.vkey]).notes)


def test_an_earlier_timestamp_covers_only_what_lies_below(pack, ledger, authority):
    """Not anchored; the reach is said, and the checkpoint is rebuilt from the tiles."""
    stamp(ledger)
    ledger.at += timedelta(days=1)
    for number in range(100, 240):
        ledger.grant(number)
    report = check(pack(ledger.publish()), vkeys=[ledger.signer.vkey], trust=TSA)
    assert (report.level, report.problems) == ("pinned", ())
    assert any("cover 20 of 300" in n for n in report.notes)


def test_a_timestamp_of_something_else_is_a_flaw(pack, ledger, authority):
    """Under the given roots."""
    ledger.stamps[20] = b"stamp of another log"
    report = check(pack(ledger), vkeys=[ledger.signer.vkey], trust=TSA)
    assert (report.level, kinds(report)) == ("pinned", {"timestamp"})
    assert not report.ok


def test_times_that_a_timestamp_contradicts_are_named(pack, ledger, authority):
    """Post-dated below the stamp, back-dated above it."""
    stamp(ledger)
    authority["at"] = datetime(2026, 1, 1, 1, tzinfo=UTC)
    late = check(pack(ledger), trust=TSA)
    assert [(p.kind, p.index) for p in late.problems] == [("time", 19)]
    ledger.grant(60)
    authority["at"] = datetime(2026, 2, 1, tzinfo=UTC)
    early = check(pack(ledger.publish()), trust=TSA)
    assert [(p.kind, p.index) for p in early.problems] == [("time", 20)]


def test_many_timestamps_are_thinned(pack, authority):
    """At most 400, first and last among them."""
    ledger = PaperLedger().opened()
    ledger.publish()
    for number in range(100, 320):
        ledger.grant(number)
        stamp(ledger.publish())
        ledger.stamps[ledger.size - 1] = b"old"
    from remake import files_of

    names = [n for n in files_of(pack(ledger)) if n.startswith("timestamps/")]
    assert len(names) == 400
    assert f"timestamps/{ledger.size}.tsr" in names


def test_a_missing_client_is_said_once(pack, ledger, monkeypatch):
    """The extra is not installed: one problem with the command."""
    from affidavit.ledger import timestamps

    def verify(*_):
        raise Invalid("needs rfc3161-client", next_step="pip install affidavit[timestamps]")

    monkeypatch.setattr(timestamps, "verify_timestamp", verify)
    stamp(ledger)
    ledger.stamps[10] = ledger.stamps[20]
    report = check(pack(ledger), vkeys=[ledger.signer.vkey], trust=TSA)
    assert [p.kind for p in report.problems] == ["timestamp"]


def test_a_real_authority_anchors(pack, ledger, tmp_path):
    """``openssl ts`` as the authority, verified by the real client."""
    import importlib.util
    import shutil
    from pathlib import Path

    pytest.importorskip("rfc3161_client")
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the test authority")
    spec = importlib.util.spec_from_file_location(
        "authority", Path(__file__).parents[1] / "ledger" / "test_timestamps.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "house").mkdir()
    (tmp_path / "rival").mkdir()
    house, rival = module.Authority(tmp_path / "house", "House"), module.Authority(tmp_path / "rival", "Rival")
    body = Checkpoint(ledger.origin, ledger.size, ledger.root).body()
    ledger.stamps[ledger.size] = house.stamp(module.make_request(body, 7))
    package = pack(ledger)
    anchored = check(package, vkeys=[ledger.signer.vkey], trust=Trust(tsa_roots=(house.root,)), require="anchored")
    assert anchored.ok, anchored.lines()
    other = check(package, vkeys=[ledger.signer.vkey], trust=Trust(tsa_roots=(rival.root,)), require="anchored")
    assert kinds(other) == {"timestamp", "level"}
