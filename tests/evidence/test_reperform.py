"""Findings recomputed from the packaged entries by the installed checks."""

from __future__ import annotations

import io
from dataclasses import replace

from paper_ledger import CONTROLS
from remake import files_of, remade
from test_attacks import KEY, clean, finding

from affidavit.core import canonical
from affidavit.core.digest import of_bytes
from affidavit.evidence.reperform import differences, reperform
from affidavit.evidence.tables import results_csv
from affidavit.evidence.verify import verify_package


def run(package, controls=CONTROLS):
    return reperform(io.BytesIO(package), controls)


def test_the_findings_of_a_package_are_recomputed_the_same(pack, ledger):
    """Every value of every finding, from entries and rules in the package alone."""
    found = run(pack(ledger, nonce="auditor-1"))
    assert [(c.control, c.state, c.ok) for c in found] == [("AI-99.1", "same", True), ("AI-99.2", "same", True)]


def test_an_earlier_size_is_recomputed_as_it_stood(pack, ledger):
    """``as_of`` bounds the facts."""
    ledger.grant(70, asked=None)
    ledger.publish()
    assert all(c.ok for c in run(pack(ledger, as_of=20)))
    assert all(c.ok for c in run(pack(ledger)))


def test_an_unknown_check_is_not_reperformed_and_never_passes(pack, ledger):
    """Another version of the check, or none."""
    other = CONTROLS | {"AI-99.1": replace(CONTROLS["AI-99.1"], digest=of_bytes(b"later"))}
    first, second = run(pack(ledger), other)
    assert (first.state, first.ok, second.ok) == ("not re-performed", False, True)
    assert str(first) == f"AI-99.1: not re-performed (needs check {CONTROLS['AI-99.1'].digest})"
    assert [c.state for c in run(pack(ledger), {})] == ["not re-performed"] * 2


def test_findings_cleaned_by_the_key_holder_are_told(pack, ledger):
    """The lie is signed and agrees with itself; the entries say otherwise, place by place."""

    def edit(files):
        finding(clean)(files)
        files["results/AI-99.1.csv"] = results_csv(canonical.decode(files["findings.json"])["findings"][0]["grid"])

    lie = remade(pack(ledger), edit, KEY)
    assert verify_package(io.BytesIO(lie), vkeys=[KEY.vkey], require="pinned").ok
    first, second = run(lie)
    assert (first.state, second.state) == ("different", "same")
    places = {d.place for d in first.differences}
    assert {"operating", "headline", "exceptions"} <= places
    assert 'operating: packaged "pass", recomputed "exception"' in str(first)


def test_parameters_come_from_the_packaged_rules(pack, ledger):
    """The adopted text sets P2D where the library says P5D."""
    (stated,) = [
        c for c in canonical.decode(files_of(pack(ledger))["controls.json"])["controls"] if c["id"] == "AI-99.1"
    ]
    assert stated["parameters"] == {"within": "P2D"}
    assert all(c.ok for c in run(pack(ledger)))
    other = CONTROLS | {"AI-99.1": replace(CONTROLS["AI-99.1"], body=CONTROLS["AI-99.1"].body | {"title": "Other"})}
    assert [d.place for d in run(pack(ledger), other)[0].differences] == ["title"]


def test_a_check_that_raises_is_no_pass(pack, ledger):
    """An error of ours is said, not swallowed into a result."""
    from affidavit.core.errors import Invalid

    def broken(item, facts):
        raise Invalid("boom")

    control = CONTROLS["AI-99.1"]
    other = CONTROLS | {"AI-99.1": replace(control, check=replace(control.check, test=broken))}
    assert run(pack(ledger), other)[0].state == "not re-performed"


def test_differences_name_every_place():
    """Maps by key, lists by number when they are of one length, types told apart."""
    one, other = {"a": [1, {"b": True}], "c": "x", "d": [1]}, {"a": [1, {"b": 1}], "c": "y", "d": [1, 2], "e": 0}
    assert [d.place for d in differences(one, other)] == ["a[1].b", "c", "d", "e"]
    assert list(differences(one, one)) == []
