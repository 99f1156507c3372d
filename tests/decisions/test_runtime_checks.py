"""AI-08.1 and AI-01.1 over a real ledger: clean, planted, and with their sources missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from affidavit.areas.decisions.checks import inventory, records
from affidavit.core.assessment import Bench, assess
from affidavit.core.fields import time_text
from affidavit.core.findings import Facts, Period

DAY = timedelta(days=1)
STRAY = "sha256:" + "ab" * 32
CHECKS = {"AI-08.1": records.CHECK, "AI-01.1": inventory.CHECK}


@pytest.fixture(autouse=True)
def clock_of_the_house(monkeypatch, clock):
    """Streams are opened by the same clock as decisions are made."""
    monkeypatch.setattr("time.time", lambda: clock.now().timestamp())


def finding(house, control, start, end):
    """The finding of a control over whole days."""
    executor = house.ws.executor
    facts = Facts([executor.record(i) for i in range(house.ws.stores.entries.size())])
    return assess(Bench({"id": control, "title": control, "attributes": dict.fromkeys("ABCDE", "")}, CHECKS[control], "d", {}),
                  facts, Period(start, end), house.ws.stores.entries.size())  # fmt: skip


def states(found):
    return {key: {a: o.state for a, o in row.items()} for key, row in found.grid.items()}


class Days:
    """Simulated days of the house: so many decisions, what the gateway counts, what the cluster shows."""

    def __init__(self, house, tmp_path):
        self.house, self.folder, self.by = house, tmp_path, house.who["engineer"]
        self.start = house.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)

    def run(self, rows, counted, *, endpoints=(), reconcile=True, **values):
        """One day from its start to the next midnight plus a minute."""
        house, start = self.house, self.house.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        if rows:
            house.record(rows, **values)
        house.seal()
        at = house.clock.now().replace(minute=0, second=0, microsecond=0)
        house.clock.advance(start + DAY + timedelta(minutes=1) - house.clock.now())
        given = {"account": "a", "query": "q", "start": start, "end": start + DAY, "by": self.by}
        if counted is not None:
            file = self.folder / "counts.csv"
            file.write_text(f"model,env,hour,count\nemployment,production,{time_text(at)},{counted}\n")
            house.ws.decisions.observe_counts("gateway", extract=file, **given)
        file = self.folder / "serving.csv"
        seen = (time_text(max(start + DAY / 2, start)), time_text(start + DAY))
        lines = [",".join((name, digest, "production", *seen)) for name, digest in endpoints]
        file.write_text("\n".join(["endpoint,artifact,env,first_seen,last_seen", *lines]) + "\n")
        house.ws.decisions.observe_serving("cluster", extract=file, **given)
        if reconcile:
            house.ws.decisions.reconcile(start, by=self.by)
            house.ws.decisions.reconcile_runtime(start, by=self.by)
        return start


def test_both_controls_pass_on_days_that_another_source_counted_and_showed(house, tmp_path):
    """Two clean days, then one of each: unreconciled, uncounted, short, stray; each shows as its own exception."""
    days, artifact = Days(house, tmp_path), house.live["artifact"]
    own = [("cluster/employment", artifact)]
    for _ in range(2):
        days.run(10, 10, endpoints=own)
    end = days.start + 2 * DAY
    clean = finding(house, "AI-08.1", days.start, end)
    assert states(clean) == {f"{house.deployment}+2026-01-0{n}": dict.fromkeys("ABCDE", "pass") for n in (5, 6)}
    assert (clean.operating, clean.completeness.proven) == ("pass", True)
    assert clean.completeness.sources == ("ledger", "counts of gateway")
    found = finding(house, "AI-01.1", days.start, end)
    assert states(found) == {f"cluster/employment+{artifact}": dict.fromkeys("ABCD", "pass")}
    assert (found.operating, found.completeness.proven, found.completeness.sources) == (
        "pass",
        True,
        ("ledger", "inventory cluster"),
    )

    days.run(10, 10, endpoints=own, reconcile=False)
    days.run(10, None, endpoints=own)
    days.run(10, 12, endpoints=[*own, ("cluster/stray", STRAY)], subject="Ann Example")
    days.run(0, 0, endpoints=own)
    house.clock.advance(10 * DAY)
    end += 4 * DAY
    after = states(finding(house, "AI-08.1", days.start, end))
    said = {key[-2:]: "".join(row[a].state[0] if row[a].state != "not_tested" else "t" for a in "ABCDE")
            for key, row in finding(house, "AI-08.1", days.start, end).grid.items()}  # fmt: skip
    assert said == {"05": "ppppp", "06": "ppppp", "07": "dnnnn", "08": "tpppp", "09": "dpppd", "10": "pnnnn"}, after
    whole = finding(house, "AI-08.1", days.start, end)
    reasons = {x.item[-2:]: x.attributes for x in whole.exceptions}
    assert reasons["07"] == {"A": "the day was not reconciled"}
    assert "12 observed, 10 recorded" in reasons["09"]["A"]
    assert "process" in reasons["09"]["E"] and "rows 0 to 9" in reasons["09"]["E"]
    assert not whole.completeness.proven
    late = finding(house, "AI-01.1", days.start, end + 8 * DAY)
    exceptions = {x.item: sorted(x.attributes) for x in late.exceptions}
    assert exceptions == {f"cluster/employment+{artifact}": ["A", "D"], f"cluster/stray+{STRAY}": ["B"]}
    assert "unrecorded" in late.exceptions[0].attributes["D"], "on the last day it served and no process recorded"
    assert not late.completeness.proven, "the inventory does not cover the last days"


def test_a_lost_process_and_a_full_disk_are_deviations_that_name_process_and_row(house, tmp_path):
    """Facts of the seal count even where the counter agrees."""
    days = Days(house, tmp_path)
    lost, full = house.writer(), house.writer()
    house.record(4, writer=lost, close=False)
    full.miss(int(house.clock.now().timestamp() * 1000), "disk-full", 3)
    house.record(2, writer=full)
    lost.abandon()
    days.run(0, 6)
    (found,) = finding(house, "AI-08.1", days.start, days.start + DAY).exceptions
    said = found.attributes["A"]
    assert f"process {lost.pid} on host " in said
    assert "3 served and not recorded from 09:" in said and "disk-full" in said
    assert "lost" in said


def test_an_empty_ledger_and_a_single_source_never_pass(house, tmp_path):
    """No inventory: attested processes are items, and nothing is proven; no fact at all: no population."""
    for check in CHECKS.values():
        period = Period(house.clock.now() - DAY, house.clock.now())
        assert check.population(Facts(), period) == []
        assert not check.completeness(Facts(), period, []).proven
    days = Days(house, tmp_path)
    house.record(5)
    house.seal()
    house.clock.advance(2 * DAY)
    house.ws.decisions.reconcile(days.start, by=days.by)
    house.ws.decisions.reconcile_runtime(days.start, by=days.by)
    found = finding(house, "AI-01.1", days.start, days.start + DAY)
    assert states(found) == {f"employment@production+{house.live['artifact']}": dict.fromkeys("ABCD", "pass")}
    assert (found.operating, found.completeness.how[:13]) == ("not evaluated", "single source")
    own = finding(house, "AI-08.1", days.start, days.start + DAY)
    assert [row["A"] for row in states(own).values()] == ["not_tested"]
    assert (own.operating, own.completeness.proven) == ("not evaluated", False)


def test_an_owner_who_left_deviates(house, tmp_path):
    """AI-01.1 C is judged when the endpoint was last seen."""
    days, owner = Days(house, tmp_path), house.who["engineer"].principal
    house.ws.decisions.seal(by=house.who["sealer"])
    house.record(1)
    for grant in house.ws.access.grants(by=house.admin):
        if grant["principal"] == owner:
            house.ws.access.revoke_grant(grant["id"], "left", by=house.admin)
    days.by = house.who["operator"]
    days.run(1, 2, endpoints=[("cluster/employment", house.live["artifact"])])
    (found,) = finding(house, "AI-01.1", days.start, days.start + DAY).exceptions
    assert owner in found.attributes["C"] and set(found.attributes) == {"C"}


@pytest.mark.parametrize("control", CHECKS)
def test_the_planted_case_deviates(control, clock):
    """The design test of each control catches its planted item."""
    item, facts, attribute = CHECKS[control].known_bad(clock.now())
    outcomes = CHECKS[control].test(item, facts)
    assert outcomes[attribute].state == "deviation"
    assert set(outcomes) == set("ABCDE" if control == "AI-08.1" else "ABCD")
