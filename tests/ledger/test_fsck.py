"""Verification of whole logs: every flaw is found and named, and nothing else is."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affidavit.core.errors import Invalid, NotFound, StoreDown, Tampered
from affidavit.ledger import growth, merkle
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.proofs import Accepted, sign_accepted
from affidavit.ledger.tiles import encode_bundle, tiles_of

AT = datetime(2026, 3, 1, tzinfo=UTC)


def check(log, **kw):
    return verify_log(log.read, log.paths, [log.signer.vkey], **kw)


def found(report):
    """Kind, path and index of each problem."""
    return [(problem.kind, problem.path, problem.index) for problem in report.problems]


@pytest.mark.parametrize("sizes", [(0,), (1,), (255,), (256,), (257,), (3, 10, 256, 300), (100, 600, 1000), (65_600,)])
def test_a_sound_log_has_no_problem(make_log, sizes):
    """Logs of every shape verify, partial tiles of published sizes included."""
    log = make_log(*sizes)
    if not log:
        log.publish()
    report = check(log)
    assert report.problems == ()
    assert report.ok
    assert (report.size, report.entries, report.root) == (sizes[-1], sizes[-1], log.root)


def test_every_flipped_byte_is_reported(make_log):
    """Flip each byte of each file of a small log in turn: the very file is named every time, and no other."""
    log = make_log(2, 9, 20)
    for path in [*log]:
        body = log[path]
        for place in range(len(body)):
            log.flip(path, place)
            report = check(log)
            assert {problem.path for problem in report.problems} == {path}, (path, place)
            log[path] = body
    assert check(log).ok


def test_flipped_bytes_in_a_log_of_several_levels(make_log):
    """Flip a byte of each hash and entry of a larger log: the file and, below it, the entry are named."""
    log = make_log(3, 200, 258, 600)
    for path in [*log]:
        body = log[path]
        for place in range(0, len(body), 29):
            log.flip(path, place, 0x80)
            report = check(log)
            assert {problem.path for problem in report.problems} == {path}, (path, place)
            log[path] = body


@pytest.mark.parametrize("index", [0, 9, 255, 256, 599])
def test_an_edited_entry_is_named_by_index(make_log, index):
    """An entry of the same length, edited in its bundle, is reported once with its index."""
    log = make_log(600)
    number, place = divmod(index, 256)
    path = f"tile/entries/{number:03}" + (".p/88" if number == 2 else "")
    entries = log.entries[number * 256 : number * 256 + 256]
    entries[place] = b"X" * len(entries[place])
    log[path] = encode_bundle(entries)
    assert found(check(log)) == [("entry", path, index)]


def test_swapped_entries_are_both_named(make_log):
    """Entries are bound to their place."""
    log = make_log(20)
    entries = [*log.entries]
    entries[3], entries[4] = entries[4], entries[3]
    log["tile/entries/000.p/20"] = encode_bundle(entries)
    assert [index for _, _, index in found(check(log))] == [3, 4]


def test_several_flaws_are_all_reported(make_log):
    """One run returns every problem, not the first."""
    log = make_log(10, 600)
    log.flip("tile/entries/000", 2)
    log.flip("tile/0/001", 0)
    log.flip("tile/1/000.p/2", 33)
    log.flip("tile/0/000.p/10", 0)
    log.flip("tile/entries/002.p/88", 5)
    del log["tile/0/002.p/88"]
    paths = {problem.path for problem in check(log).problems}
    assert {"tile/entries/000", "tile/0/001", "tile/1/000.p/2", "tile/0/000.p/10", "tile/0/002.p/88"} <= paths
    assert ("root", "checkpoint") in {(problem.kind, problem.path) for problem in check(log).problems}


def test_an_edited_entry_with_its_tile_is_found_by_the_parent(make_log):
    """An entry rewritten together with its level-0 tile contradicts the tile above."""
    log = make_log(600)
    forged = [*log.entries[:256]]
    forged[5] = b"forged"
    log["tile/entries/000"] = encode_bundle(forged)
    log["tile/0/000"] = b"".join(merkle.leaf_hashes(forged))
    assert ("tile", "tile/0/000", 0) in found(check(log))


def test_a_log_rewritten_up_to_the_root_contradicts_its_signature(make_log):
    """All tiles recomputed, but the key not at hand: the root is wrong."""
    log, forged = make_log(600), make_log(600, entry=lambda i: b"entry %d" % i if i != 5 else b"forged")
    forged["checkpoint"] = log["checkpoint"]
    assert [kind for kind, _, _ in found(check(forged))] == ["root"]


def test_a_log_rewritten_and_signed_again_is_a_fork(make_log):
    """With the real key the log verifies in itself; only an older checkpoint that somebody kept convicts it."""
    log, forged = make_log(300, 600), make_log(600, entry=lambda i: b"entry %d" % i if i != 5 else b"forged")
    assert check(forged).ok
    assert [kind for kind, _, _ in found(check(forged, against=log.checkpoints[300]))] == ["fork"]
    assert [kind for kind, _, _ in found(check(forged, against=log.checkpoints[600]))] == ["fork"]


@pytest.mark.parametrize("old", [1, 3, 255, 256, 257, 300, 512, 599, 600])
def test_a_log_extends_each_of_its_own_checkpoints(make_log, old):
    """Against any checkpoint that it really published, a log is consistent."""
    log = make_log(*sorted({old, 600}))
    assert check(log, against=log.checkpoints[old]).ok


def test_the_empty_checkpoint_is_extended_by_all(make_log):
    """A checkpoint of size 0 binds nothing."""
    log = make_log(0)
    empty = log.publish()
    log.append([b"a"])
    assert check(log, against=empty).ok


def test_a_truncated_tail(make_log):
    """A log cut back to a checkpoint that it once signed is found by a later checkpoint or promise."""
    log = make_log(10, 20)
    later = log["checkpoint"]
    promise = sign_accepted(Accepted(log.origin, 15, merkle.leaf_hash(log.entries[15]), AT), log.signer)
    log["checkpoint"] = log.checkpoints[10]
    report = check(log)
    assert {kind for kind, _, _ in found(report)} == {"ahead"}
    assert report.ahead == ("tile/entries/000.p/20", "tile/0/000.p/20")
    for path in report.ahead:
        del log[path]
    assert check(log).ok
    assert [kind for kind, _, _ in found(check(log, against=later))] == ["fork"]
    assert found(check(log, accepted=[promise])) == [("omission", "", 15)]


def test_a_live_log_may_be_ahead_of_its_checkpoint(make_log):
    """Between writing tiles and publishing, resources beyond the signed size are listed, not faulted."""
    log = make_log(10)
    log.update(growth.grow(log.read, 10, [b"x"] * 300).puts)
    del log["tile/entries/000.p/10"], log["tile/0/000.p/10"]
    report = check(log, live=True)
    assert report.ok
    assert "tile/0/000" in report.ahead
    assert not check(log).ok


def test_a_broken_promise(make_log, other):
    """A promise for which the log holds another entry is an omission; a kept one is silent."""
    log = make_log(300)
    kept = Accepted(log.origin, 7, merkle.leaf_hash(log.entries[7]), AT)
    broken = Accepted(log.origin, 7, merkle.leaf_hash(b"another"), AT)
    foreign = Ed25519Signer("example.net/other", bytes(32))
    alien = Accepted("example.net/other", 7, kept.leaf_hash, AT)
    assert check(log, accepted=[sign_accepted(kept, log.signer)]).ok
    assert found(check(log, accepted=[sign_accepted(broken, log.signer)])) == [("omission", "tile/0/000", 7)]
    assert [p.kind for p in check(log, accepted=[sign_accepted(kept, other), b"junk"]).problems] == ["omission"] * 2
    report = verify_log(log.read, log.paths, [log.signer.vkey, foreign.vkey], accepted=[sign_accepted(alien, foreign)])
    assert [p.kind for p in report.problems] == ["omission"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("checkpoint", "missing"),
        ("tile/entries/000", "missing"),
        ("tile/0/001", "missing"),
        ("tile/1/000.p/2", "missing"),
        ("tile/entries/002.p/88", "missing"),
    ],
)
def test_a_missing_file(make_log, path, kind):
    """Each resource of the log has to be there; one gap does not hide the root."""
    log = make_log(600)
    del log[path]
    report = check(log)
    assert [(problem.kind, problem.path) for problem in report.problems] == [(kind, path)]
    assert report.root == log.root


def test_an_entry_bundle_and_its_tile_missing(make_log):
    """Both gone: both named, and the root still follows from the tile above."""
    log = make_log(600)
    del log["tile/entries/001"], log["tile/0/001"]
    assert found(check(log)) == [("missing", "tile/0/001", 256), ("missing", "tile/entries/001", 256)]
    del log["tile/1/000.p/2"]
    report = check(log)
    assert report.root is None
    assert ("root", "checkpoint", None) in found(report)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000.p/0", "tile/00/000", "tile/0/x000/000", "tile/entries/000.tmp", "tile/entries/.000.swp", "notes.txt",
        "checkpoint.bak", "tile/0/000~", "tile/data/000", ".DS_Store", "tile/64/000",
    ],
)  # fmt: skip
def test_unexpected_files_are_named(make_log, path):
    """No file may hide in a log directory."""
    log = make_log(20)
    log[path] = b"x"
    assert found(check(log)) == [("unexpected", path, None)]


@pytest.mark.parametrize(
    "path", ["tile/0/001", "tile/0/000.p/21", "tile/2/000.p/1", "tile/entries/001.p/1", "tile/0/000"]
)
def test_resources_beyond_the_size_are_named(make_log, path):
    """A tile that the signed size does not have is reported, whatever it holds."""
    log = make_log(20)
    log[path] = bytes(32)
    assert found(check(log)) == [("ahead", path, None)]


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", lambda b: b[:-32], lambda b: b * 2]
)
@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/1/000.p/2", "tile/entries/001", "tile/0/000.p/10", "tile/entries/000.p/10"]
)
def test_truncated_and_padded_files(make_log, path, change):
    """A file of the wrong length is named, and is the only problem."""
    log = make_log(10, 600)
    log[path] = change(log[path])
    assert {problem.path for problem in check(log).problems} == {path}


def test_a_stale_partial_tile_of_another_history(make_log):
    """Partial tiles must be the beginning of the full tile."""
    log, forged = make_log(10, 300), make_log(10, entry=lambda i: b"forged %d" % i)
    for path in ("tile/0/000.p/10", "tile/entries/000.p/10"):
        log[path] = forged[path]
    problems = check(log).problems
    assert {problem.path for problem in problems} == {"tile/0/000.p/10", "tile/entries/000.p/10"}
    assert len([problem for problem in problems if problem.kind == "entry"]) == 10


def test_the_wrong_key_and_no_key(make_log, other):
    """Without a verified checkpoint the log is still checked within itself, and never sound."""
    log = make_log(300)
    log.flip("tile/entries/000", 3)
    for keys in ([other.vkey], []):
        report = verify_log(log.read, log.paths, keys)
        assert report.checkpoint is None
        assert {problem.kind for problem in report.problems} == {"checkpoint", "entry"}
        assert report.size == 300
    with pytest.raises(Invalid):
        verify_log(log.read, log.paths, ["no key"])


def test_another_log_under_a_trusted_key(make_log):
    """A log is refused when it is not the one that the caller expects."""
    report = check(make_log(5), origin="example.net/other")
    assert [problem.kind for problem in report.problems] == ["checkpoint"]
    foreign = make_log(5, origin="example.net/other")
    assert [problem.kind for problem in check(foreign).problems] == ["checkpoint"]
    assert check(foreign, origin="example.net/other").ok


def test_an_older_checkpoint_that_does_not_verify(make_log, other):
    """A forged or foreign older checkpoint is a problem of its own, never silently dropped."""
    log = make_log(5)
    forged = sign_checkpoint(Checkpoint(log.origin, 3, bytes(32)), other)
    assert [problem.kind for problem in check(log, against=forged).problems] == ["checkpoint"]
    assert [problem.kind for problem in check(log, against=b"").problems] == ["checkpoint"]


def test_a_signed_size_far_beyond_the_files(make_log):
    """The key's owner may sign any size: the walk gives up instead of counting to 2^62."""
    log = make_log(300)
    log["checkpoint"] = sign_checkpoint(Checkpoint(log.origin, 1 << 62, bytes(32)), log.signer)
    start = time.monotonic()
    report = check(log)
    assert time.monotonic() - start < 5
    assert not report.ok
    assert report.root is None


def test_entries_are_handed_over_in_order(make_log):
    """The callback sees each entry that the tiles vouch for, once, with its index."""
    log, seen = make_log(3, 300), []
    assert check(log, on_entry=lambda index, body: seen.append((index, body))).ok
    assert seen == list(enumerate(log.entries))
    seen.clear()
    log.flip("tile/entries/000", 2)
    check(log, on_entry=lambda index, body: seen.append((index, body)))
    assert seen == list(enumerate(log.entries))[1:]


def test_what_the_callback_refuses_becomes_a_problem(make_log):
    """Errors of our tree are collected with the index; others are bugs and pass through."""
    log = make_log(20)

    def refuse(index, body):
        if index in (4, 9):
            raise Tampered("It is not canonical.", next_step="Look.")

    assert found(check(log, on_entry=refuse)) == [
        ("content", "tile/entries/000.p/20", 4),
        ("content", "tile/entries/000.p/20", 9),
    ]
    with pytest.raises(ZeroDivisionError):
        check(log, on_entry=lambda index, body: 1 // 0)


def test_any_content_verifies(make_log):
    """Entries are opaque: empty, binary and the longest possible ones."""
    log = make_log(300, entry=lambda i: [b"", b"\x00\xff", b"\n" * 7, b"x" * 65_535][i % 4 if i < 8 else 0])
    assert check(log).ok


def test_a_store_that_fails_is_not_a_flaw(make_log):
    """StoreDown says nothing about the log and is raised; a file that vanishes after listing is a flaw."""
    log = make_log(20)

    def down(path):
        raise StoreDown("disk")

    with pytest.raises(StoreDown):
        verify_log(down, log.paths, [log.signer.vkey])

    def vanishing(path):
        if path == "tile/0/000.p/20":
            raise NotFound(path)
        return log.read(path)

    assert [p.kind for p in verify_log(vanishing, log.paths, [log.signer.vkey]).problems] == ["missing"]


def test_partial_files_may_be_collected_during_the_run(make_log):
    """A partial tile that vanishes between listing and reading is no flaw when the full tile exists."""
    log = make_log(10, 20, 256)
    listed = log.paths()
    log["checkpoint"] = log.checkpoints[20]
    for path in [path for path in log if path.startswith(("tile/0/000.p/", "tile/entries/000.p/"))]:
        del log[path]
    report = verify_log(log.read, lambda: listed, [log.signer.vkey], live=True)
    assert report.problems == ()
    assert report.root == merkle.root(merkle.leaf_hashes(log.entries[:20]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_in_many_places_never_breaks_the_verifier(make_log, data):
    """Any number of damaged, dropped and strange files gives a report, never another error than ours."""
    log = make_log(3, 258, 600)
    for path in data.draw(st.lists(st.sampled_from(sorted(log)), min_size=1, unique=True)):
        match data.draw(st.integers(0, 2)):
            case 0:
                del log[path]
            case 1:
                log[path] = log[path][: data.draw(st.integers(0, len(log[path]) - 1))]
            case 2:
                log.flip(path, data.draw(st.integers(0, len(log[path]) - 1)))
    needed = {"checkpoint", *(tile.path for tile in tiles_of(600))}
    sound = all(log.get(path, b"" if path in needed else body) == body for path, body in make_log(3, 258, 600).items())
    assert check(log, against=log.checkpoints[258]).ok == sound


def test_problems_read_as_sentences(make_log):
    """A problem prints its kind, place and detail."""
    log = make_log(20)
    log.flip("tile/entries/000.p/20", 3)
    text = str(check(log).problems[0])
    assert text.startswith("entry: tile/entries/000.p/20 entry 0: ")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_random_damage_goes_unnoticed(make_log, data):
    """Overwrite, cut or drop any file with anything: either the bytes are the same, or a problem is found."""
    log = make_log(3, 258, 300)
    path = data.draw(st.sampled_from(sorted(log)))
    old = log[path]
    start = data.draw(st.integers(0, len(old)))
    log[path] = old[:start] + data.draw(st.binary(max_size=40)) + old[data.draw(st.integers(start, len(old))) :]
    assert check(log).ok == (log[path] == old)


@pytest.mark.slow
def test_verifying_costs_little_more_than_hashing(make_log):
    """Verification of a large log takes at most 2.5 times the bare hashing of its leaves and nodes."""
    log = make_log(200_000, entry=lambda i: b"%0300d" % i)
    start = time.perf_counter()
    row = [hashlib.sha256(b"\x00" + entry).digest() for entry in log.entries]
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [hashlib.sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    bare = time.perf_counter() - start
    assert row[0] == log.root
    start = time.perf_counter()
    assert check(log).ok
    assert time.perf_counter() - start < 2.5 * bare
