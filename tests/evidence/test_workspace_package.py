"""Packages of a real workspace: written through bootstrap, verified and re-performed by the installed release."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from affidavit.bootstrap.packaging import source_of, write_package
from affidavit.core.errors import AffidavitError
from affidavit.core.findings import Period
from affidavit.evidence import package
from affidavit.evidence.reperform import reperform
from affidavit.evidence.verify import enrol_target, read_enrolled, verify_package

FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def workspace(make, clock):
    """A workspace with a few commands, a refusal and a drill of every control."""
    made = make()
    ws = made.workspace.acting(made.admin)
    ws.access.register_principal(name="Zephyrine Quux", kind="person")
    clock.advance(timedelta(hours=1))
    for control in ws.catalog.controls:
        ws.drill(control)
    with pytest.raises(AffidavitError):
        ws.registry.register_model(model="employment", system="nowhere")
    ws.publish()
    return ws


def test_a_workspace_is_packaged_verified_and_reperformed(workspace, tmp_path):
    """Every control of the library, from the entries alone."""
    out = tmp_path / "evidence.zip"
    row = write_package(workspace, out, FROM, TO, nonce="auditor-nonce-1")
    assert row["missing"] == []
    report = verify_package(out, vkeys=[workspace.stores.log_signer.vkey], require="pinned")
    assert report.ok, report.lines()
    compared = reperform(out)
    assert [c.control for c in compared] == sorted(workspace.catalog.controls)
    assert all(c.ok for c in compared), [str(c) for c in compared]
    assert b"Zephyrine" not in out.read_bytes()


def test_a_package_is_the_same_when_the_workspace_has_grown(workspace, tmp_path):
    """``--as-of SIZE`` makes it a function of the ledger."""
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    size = write_package(workspace, one, FROM, TO)["as_of"]
    workspace.access.register_principal(name="Another Person", kind="person")
    write_package(workspace, two, FROM, TO, as_of=size)
    assert one.read_bytes() == two.read_bytes()


def test_a_later_package_continues_the_enrolled_log(workspace, tmp_path):
    """Enrol, grow, package again: pinned, and no fork."""
    out, file = tmp_path / "evidence.zip", tmp_path / "enrolled.json"
    write_package(workspace, out, FROM, TO)
    enrol_target(out, file, vkey=workspace.stores.log_signer.vkey)
    workspace.access.register_principal(name="Another Person", kind="person")
    write_package(workspace, out, FROM, TO, force=True)
    assert verify_package(out, enrolled=read_enrolled(file), require="pinned").ok


def test_a_lost_rules_text_is_found(workspace):
    """The object store lost the attachment of an entry: no package is made to look whole."""
    for digest in list(workspace.stores.objects.list()):
        workspace.stores.objects.delete(digest)
    with pytest.raises(AffidavitError):
        package.write_package(io.BytesIO(), source_of(workspace), package.Options(Period(FROM, TO)))
