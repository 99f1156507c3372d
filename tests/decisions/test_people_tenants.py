"""Tenants: who sees whose decisions, and canaries that would show a leak."""

from __future__ import annotations

from datetime import timedelta

import pytest

from affidavit.areas.decisions.look import finding, query
from affidavit.core.area import Who
from affidavit.core.errors import Invalid, NotAllowed, NotFound, Refused


@pytest.fixture
def clerk(house):
    """A reader of decisions, restricted to tenant t1."""
    ws = house.ws
    who = Who(ws.access.register_principal("person", "clerk", by=house.admin).facts[0].principal, "os-user")
    grant = ws.access.request_grant(who.principal, "auditor", "*", "work", by=who).facts[0].grant
    ws.access.approve_grant(grant, by=house.admin)
    ws.decisions.restrict_tenants(who.principal, tenants=["t1"], by=house.admin)
    return who


def test_a_restriction_is_set_by_another_and_can_be_lifted(house, clerk):
    """The answer names the tenants, None once everything is seen again; wrong wishes are told so."""
    d, ask = house.ws.decisions, house.ws.ask
    assert ask("decisions.tenants_of", clerk.principal) == ("t1",)
    assert ask("decisions.tenants_of", house.admin.principal) is None
    for given, error, says in [
        ({"principal": clerk.principal}, Invalid, "name tenants"),
        ({"principal": clerk.principal, "tenants": ["a"], "everything": True}, Invalid, "name tenants"),
        ({"principal": clerk.principal, "tenants": [f"t{i}" for i in range(65)]}, Invalid, "65 tenants"),
        ({"principal": house.admin.principal, "tenants": ["a"]}, Refused, "cannot set"),
        ({"principal": "p-" + "0" * 32, "tenants": ["a"]}, NotFound, "no principal"),
    ]:
        with pytest.raises(error, match=says):
            d.restrict_tenants(**given, by=house.admin)
    with pytest.raises(NotAllowed):
        d.restrict_tenants(clerk.principal, tenants=["t2"], by=house.who["engineer"])
    d.restrict_tenants(clerk.principal, everything=True, by=house.admin)
    assert ask("decisions.tenants_of", clerk.principal) is None


def test_a_canary_is_found_by_its_own_tenant_and_by_no_other(house, clerk):
    """Every door shows it to its own; a planted leak in one door is noticed, a breach, and an incident."""
    d, engineer = house.ws.decisions, house.who["engineer"]
    planted = d.plant_canary("t2", by=engineer)
    canary = planted.result["canary"]
    assert planted.facts == ()
    with pytest.raises(NotFound, match="no sealed decision"):
        d.probe_tenant(canary, as_principal=clerk.principal, by=engineer)
    ordinary = house.record(1)[0]
    house.seal()
    house.clock.advance(timedelta(minutes=1))
    sound = d.probe_tenant(canary, as_principal=clerk.principal, by=engineer).facts[0]
    assert (sound.owner, sound.probed_as, sound.own_sees, sound.other_sees) == ("t2", "t1", True, False)
    assert sound.doors == ("prove", "query", "trace")
    assert house.ws.incidents.incidents(by=house.admin) == []
    with pytest.raises(Invalid, match="is no canary"):
        d.probe_tenant(ordinary, as_principal=clerk.principal, by=engineer)
    with pytest.raises(Refused, match="may see the decisions of t2"):
        d.probe_tenant(canary, as_principal=house.who["auditor"].principal, by=engineer)


@pytest.mark.parametrize(
    ("module", "doors"), [(finding, ("prove", "trace")), (query, ("query",))], ids=["rows by id", "rows by filter"]
)
def test_a_planted_leak_is_noticed(house, clerk, monkeypatch, module, doors):
    """A door that forgets the tenant shows the canary: critical, and an incident about it is open."""
    d, engineer = house.ws.decisions, house.who["engineer"]
    canary = d.plant_canary("t2", by=engineer).result["canary"]
    house.seal()
    if module is finding:
        monkeypatch.setattr(finding, "allowed", lambda desk, values: True)
    else:
        monkeypatch.setattr(query, "_tenants", lambda desk, schema: None)
    found = d.probe_tenant(canary, as_principal=clerk.principal, by=engineer).facts[0]
    assert (found.other_sees, found.leaking) == (True, doors)
    incident = house.ws.incidents.incidents(by=house.admin)[0]
    assert (incident["kind"], incident["severity"], incident["about"][0]) == ("privacy", "critical", f"canary:{canary}")
