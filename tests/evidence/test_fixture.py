"""The package of format version 1 is verified for ever, whatever later releases write."""

from __future__ import annotations

import io
import random
from hashlib import sha256

from make_fixture import FIXTURE, ledger, write
from paper_ledger import CONTROLS, Ed25519Signer, seeded
from remake import files_of

from affidavit.evidence.reperform import reperform
from affidavit.evidence.verify import verify_package

LAST = Ed25519Signer("example.org/risk", seeded("third"))
SHA256 = "e8d6dee0e332673106501220d592fbc7a26246dcb4091907271aa20cacf04b7b"


def test_the_fixture_was_never_changed():
    """Its digest is written down here."""
    assert sha256(FIXTURE.read_bytes()).hexdigest() == SHA256


def test_the_fixture_verifies_pinned():
    """All that the format can hold, in one package."""
    report = verify_package(FIXTURE, vkeys=[LAST.vkey], require="pinned")
    assert report.ok, report.lines()
    assert report.size > 256
    names = files_of(FIXTURE.read_bytes())
    assert {"keys/0001.note", "keys/0002.note", "later/checkpoint", "later/consistency"} <= set(names)
    assert any("withheld" in note for note in report.notes)


def test_the_fixture_is_reperformed():
    """Its findings follow from its entries."""
    assert [c.state for c in reperform(FIXTURE, CONTROLS)] == ["same", "same"]


def test_this_release_writes_the_fixture_byte_for_byte():
    """Drop this test when a release writes version 2; keep the others."""
    out = io.BytesIO()
    write(ledger(), out)
    mine, kept = files_of(out.getvalue()), files_of(FIXTURE.read_bytes())
    assert mine.keys() == kept.keys()
    prose = {"report.html", "README.txt", "manifest.json", "manifest.note"}
    assert {n for n in mine if mine[n] != kept[n]} <= prose


def test_three_hundred_flips_in_the_fixture_are_found_and_named():
    """Anywhere in the file, any bit."""
    package = FIXTURE.read_bytes()
    draw = random.Random(300)
    for place in draw.sample(range(len(package)), 300):
        body = bytearray(package)
        body[place] ^= 1 << draw.randrange(8)
        report = verify_package(io.BytesIO(bytes(body)), vkeys=[LAST.vkey])
        assert report.level == "none", place
        assert report.problems[0].path or report.problems[0].kind == "archive"
