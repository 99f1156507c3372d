"""What ``write_package`` puts into a package, and that the same arguments give the same bytes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from paper_ledger import CONTROLS, NAME, PERIOD, REASON, PaperLedger, person, seeded, small, uid
from remake import files_of

from affidavit.areas.access.events import GrantApproved, RulesProposed
from affidavit.core import canonical
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.evidence.package import Options, write_package
from affidavit.evidence.verify import verify_package
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer


def check(package, **kw):
    return verify_package(io.BytesIO(package), **kw)


def test_the_same_arguments_give_the_same_bytes(pack):
    """Two ledgers made alike, and the same ledger twice."""
    one = small()
    assert pack(one, nonce="auditor-1") == pack(one, nonce="auditor-1") == pack(small(), nonce="auditor-1")
    assert pack(one, nonce="auditor-1") != pack(one, nonce="auditor-2")


def test_the_same_size_gives_the_same_bytes_after_the_ledger_grew(pack):
    """``as_of`` is the ledger's state: nothing later shows, also across the end of a bundle."""
    ledger = small()
    size, before = ledger.size, pack(ledger)
    for number in range(100, 240):
        ledger.grant(number)
    ledger.publish()
    assert ledger.size > 256
    assert pack(ledger, as_of=size) == before
    assert check(before).ok
    assert check(pack(ledger, as_of=255)).ok
    assert check(pack(ledger, as_of=256)).ok
    assert check(pack(ledger)).ok


def test_a_whole_package_verifies(pack, ledger):
    """Every control, sampled by nonce, pinned by the log key."""
    report = check(
        pack(ledger, nonce="auditor-1", disclose=("access.*",)), vkeys=[ledger.signer.vkey], require="pinned"
    )
    assert report.ok, report.lines()
    assert (report.level, report.size, report.origin, report.unauthenticated) == ("pinned", 20, ledger.origin, ())


def test_ordinary_tools_read_the_zip(pack, ledger):
    """Stored members with fixed times, in order, manifest last."""
    with zipfile.ZipFile(io.BytesIO(pack(ledger))) as z:
        assert z.testzip() is None
        assert {(i.compress_type, i.date_time, i.external_attr, i.extra, i.comment) for i in z.infolist()} == {
            (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0o100644 << 16, b"", b"")
        }
        assert z.namelist()[-2:] == ["manifest.json", "manifest.note"]


def test_names_of_principals_stay_out(pack, ledger):
    """By default no text about people is disclosed; asked for, it is, with its key."""
    assert NAME.encode() not in pack(ledger)
    assert REASON.encode() not in pack(ledger)
    shown = canonical.decode(files_of(pack(ledger, disclose=("access.reason",)))["disclosures.json"])
    assert {line["text"] for line in shown["opened"]} == {REASON}
    assert NAME.encode() not in pack(ledger, disclose=("access.reason",))
    assert NAME in str(canonical.decode(files_of(pack(ledger, disclose=("access.*",)))["disclosures.json"]))


def test_a_missing_attachment_is_packaged_as_a_gap_and_fails_verification(pack):
    """The package says what is missing; the verifier names it with its entry."""
    ledger = PaperLedger().opened()
    lost = ledger.attach(b"a draft", "application/yaml", "rules-draft")
    ledger.command(Draft(RulesProposed(lost, ledger.private("reason", "x")), ("rules:workspace",)))
    ledger.publish()
    del ledger.objects[lost.digest]
    package = pack(ledger)
    assert b"MISSING" in files_of(package)["report.html"]
    problems = check(package).problems
    assert [(p.kind, p.index) for p in problems] == [("missing", 3)]
    assert lost.digest[7:] in problems[0].path


@pytest.mark.parametrize("options", [{"withhold": ("rules-draft",)}, {"max_attachment": 150}])
def test_what_is_withheld_is_listed_and_noted(pack, options):
    """By class or by size: no flaw, but said."""
    ledger = PaperLedger().opened()
    bulk = ledger.attach(b"x" * 200, "application/octet-stream", "rules-draft")
    ledger.command(Draft(RulesProposed(bulk, ledger.private("reason", "x")), ("rules:workspace",)))
    package = pack(ledger.publish(), **options)
    assert b"x" * 200 not in package
    report = check(package)
    assert report.ok
    assert any("withheld" in note for note in report.notes)


def test_an_erased_text_is_counted_and_not_disclosed(pack):
    """What the vault no longer has is listed as erased."""
    ledger = small()
    gone = next(v for v, t in ledger.texts.items() if t and t[0] == REASON)
    ledger.texts[gone] = None
    package = pack(ledger, disclose=("access.*",))
    assert [line["vault"] for line in canonical.decode(files_of(package)["disclosures.json"])["erased"]] == [gone]
    report = check(package)
    assert report.ok
    assert any("erased" in note for note in report.notes)


def test_a_lost_text_is_a_flaw(pack):
    """Neither text nor erasure: named with its entry."""
    ledger = small()
    gone = next(v for v, t in ledger.texts.items() if t and t[0] == REASON)
    ledger.texts[gone] = ("another text", seeded("x"))
    assert {p.kind for p in check(pack(ledger, disclose=("access.*",))).problems} == {"missing"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"as_of": 0}, Invalid, "not between"),
        ({"as_of": 21}, Invalid, "not between"),
        ({"as_of": 2}, Invalid, "cuts command"),
        ({"controls": ("AI-00.0",)}, NotFound, "AI-00.0"),
        ({"nonce": "short"}, Invalid, "nonce"),
        ({"nonce": "with\nnewline"}, Invalid, "nonce"),
        ({"picks": {"AI-99.1": ["nobody"]}}, NotFound, "nobody"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(pack, ledger, options, error, words):
    """Each error names the value."""
    with pytest.raises(error, match=words):
        pack(ledger, **options)


def test_nothing_is_signed_over_a_log_that_does_not_agree_with_its_head(ledger):
    """A flipped byte in an entry, a tile, or a foreign head: no package."""

    def bad(path: str):
        def read(wanted: str) -> bytes:
            body = bytearray(ledger.read(wanted))
            if wanted == path:
                body[40] ^= 1
            return bytes(body)

        return {"tiles": read}

    other = sign_checkpoint(Checkpoint(ledger.origin, 20, bytes(32)), ledger.signer)
    stranger = sign_checkpoint(
        Checkpoint(ledger.origin, 20, ledger.root), Ed25519Signer(ledger.origin, seeded("other"))
    )
    changes = [bad("tile/entries/000.p/20"), bad("tile/0/000.p/20"), {"head": other}, {"head": stranger}]
    for change in changes:
        out = io.BytesIO()
        with pytest.raises((Tampered, Invalid)):
            write_package(out, ledger.source(**change), Options(PERIOD))
        assert out.getvalue() == b""


def test_findings_that_are_not_those_asked_for_are_refused(ledger):
    """Neither other controls nor a population that does not hash to its finding."""
    whole = ledger.findings(PERIOD, ledger.size, list(CONTROLS))
    for findings in (
        whole[:1],
        [replace(whole[0], items=whole[0].items[1:]), whole[1]],
        [replace(f, as_of=3) for f in whole],
    ):
        with pytest.raises(Invalid):
            write_package(io.BytesIO(), ledger.source(findings=lambda *_: findings), Options(PERIOD))


def test_the_report_leads_with_gaps_and_exceptions(pack, ledger):
    """Gaps first, wording of a test table, everything escaped, no script and no network."""
    page = files_of(pack(ledger))["report.html"].decode()
    assert page.index("Gaps") < page.index("Exceptions") < page.index("<h2>Results") < page.index("<h2>Controls")
    assert f"Exception noted: 2 of 8 items ({uid(16)}, {uid(17)})." in page
    assert "The circumstances that warrant the control did not occur" in page
    assert "&lt;another&gt;" in page
    assert "<another>" not in page
    assert (
        "Management&#x27;s self-test - not the auditor&#x27;s test." in page
        or "Management's self-test - not the auditor's test." in page
    )
    assert "selectable by management" in page
    assert "single source" in page
    for word in ("<script", "http:", "https:", "src=", "url(", "compliant", "certified", "auditor-ready", "satisfies"):
        assert word not in page.lower()


def test_a_clean_control_says_no_exceptions_noted(pack):
    """The words of a result without deviation."""
    ledger = PaperLedger().opened()
    ledger.grant(10)
    ledger.drill("AI-99.1")
    page = files_of(pack(ledger.publish(), controls=("AI-99.1",)))["report.html"].decode()
    assert "No exceptions noted." in page
    assert "Exception noted" not in page


def test_a_simulated_clock_is_said_everywhere(pack):
    """Manifest, readme, report and verdict carry the label."""
    origin = "example.org/risk/simulated"
    ledger = (
        PaperLedger(origin=origin, clock="simulated", signer=Ed25519Signer(origin, seeded("log"))).opened().publish()
    )
    package = pack(ledger)
    files = files_of(package)
    assert canonical.decode(files["manifest.json"])["label"] == "simulated"
    assert b"SIMULATED" in files["README.txt"]
    assert b"Simulated clock" in files["report.html"]
    for text in (files["report.html"].lower(), files["README.txt"].lower()):
        assert b"evidence package" not in text
    report = check(package)
    assert report.ok
    assert report.facts["label"] == "simulated"


def test_a_key_change_goes_along(pack):
    """The notes that lead from the first key to the one that signs, also those after ``as_of``."""
    ledger = small()
    size = ledger.size
    ledger.rotate("second")
    ledger.publish()
    assert "keys/0001.note" in files_of(pack(ledger, as_of=size))
    assert check(pack(ledger, as_of=size)).ok
    assert check(pack(ledger)).ok


def test_a_package_against_a_later_checkpoint_carries_the_proof(pack):
    """The reader's newer checkpoint is met by a consistency proof."""
    ledger = small()
    size = ledger.size
    for number in range(100, 120):
        ledger.grant(number)
    ledger.publish()
    package = pack(ledger, as_of=size, against=ledger.notes[ledger.size])
    assert {"later/checkpoint", "later/consistency"} < set(files_of(package))
    report = check(package)
    assert report.ok
    assert any(f"size {ledger.size}" in note for note in report.notes)
    assert pack(ledger, against=ledger.notes[size]) == pack(ledger)


def test_a_package_against_a_foreign_checkpoint_is_refused(pack, ledger):
    """A fork is not papered over."""
    fork = sign_checkpoint(Checkpoint(ledger.origin, 20, bytes(32)), ledger.signer)
    ahead = sign_checkpoint(Checkpoint(ledger.origin, 21, bytes(32)), ledger.signer)
    for note, error in ((fork, Tampered), (ahead, Invalid)):
        with pytest.raises(error):
            pack(ledger, against=note)


def test_a_planted_item_is_shown_and_left_out_of_sample_and_rate(pack, ledger):
    """The drill is in the population file, marked, and in no sample."""
    files = files_of(pack(ledger, nonce="auditor-1", sizes={"AI-99.1": 99}))
    assert files["populations/AI-99.1.csv"].decode().count(",yes\n") == 1
    assert uid(18) in files["populations/AI-99.1.csv"].decode()
    assert uid(18) not in files["samples/AI-99.1.csv"].decode()


def test_an_entry_of_an_unknown_area_is_packaged(pack):
    """The verifier needs no area; the package of a release with more areas verifies here."""
    ledger = PaperLedger().opened()
    refs = ("thing:x",)
    ledger.command(Draft(GrantApproved(uid(5), person(5), "admin", "production"), refs), tag="future.thing_done", v=9)
    assert check(pack(ledger.publish())).ok
