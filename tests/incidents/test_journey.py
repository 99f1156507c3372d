"""Incidents through the real service: private words stay private, the tables are those of a rebuild."""

from __future__ import annotations

import pytest

from affidavit.bootstrap import memory_entries
from affidavit.core.area import Who
from affidavit.core.errors import NotAllowed
from affidavit.service.inspection import inspect


def person(ws, admin, name: str, role: str | None) -> Who:
    who = Who(ws.access.register_principal("person", name, by=admin).facts[0].principal, "os-user")
    if role:
        ws.access.approve_grant(
            ws.access.request_grant(who.principal, role, "*", "work", by=who).facts[0].grant, by=admin
        )
    return who


def test_anyone_opens_and_an_authorised_person_closes(make):
    """Opening needs no role; linking, reading and closing do. Title and note are nowhere in the log."""
    made = make()
    ws = made.workspace
    anyone, approver = person(ws, made.admin, "Anyone", None), person(ws, made.admin, "Approver", "approver")
    given = {"kind": "bias", "severity": "high", "about": ["model:employment"], "title": "canary title", "by": anyone}
    incident = ws.incidents.open(**given).facts[0].incident
    with pytest.raises(NotAllowed):
        ws.incidents.link(incident, "dataset:acs/2015", by=anyone)
    ws.incidents.link(incident, "dataset:acs/2015", by=approver)
    closing = {"cause": "confirmed", "note": "canary note: a column was swapped"}
    with pytest.raises(NotAllowed):
        ws.incidents.close(incident, **closing, by=anyone)
    ws.incidents.close(incident, **closing, by=approver)
    assert [i["state"] for i in ws.incidents.incidents(by=approver)] == ["closed"]
    found = ws.incidents.show(incident, by=approver)
    assert ws.stores.vault.get(found["note"])[0] == closing["note"]
    assert not any(b"canary" in body for body in ws.stores.entries.entries(0, ws.stores.entries.size()))
    ws.publish()
    assert [str(p) for p in inspect(ws, memory_entries()).problems] == []


def test_no_door_offers_what_signals_open():
    """The internal command is not on the command line."""
    from affidavit.cli.area import parser_of

    text = parser_of("incidents").format_help()
    assert "open" in text and "open-from-signal" not in text
