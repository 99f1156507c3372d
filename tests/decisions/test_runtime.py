"""Runtime truth: what inventories, counters and processes say that serves, against the register."""

from __future__ import annotations

from datetime import timedelta

import pytest

from affidavit.areas.decisions.runtime.compare import covers
from affidavit.areas.decisions.runtime.pulse import Beats, silences
from affidavit.core.errors import Invalid
from affidavit.core.fields import read_time, time_text
from affidavit.streams import kinds
from affidavit.streams.ids import id_bytes
from affidavit.streams.passport import digest_of
from affidavit.streams.writer import StreamWriter

DAY = timedelta(days=1)
STRAY = "sha256:" + "ab" * 32
HEAD = "endpoint,artifact,env,first_seen,last_seen,model"


@pytest.fixture(autouse=True)
def clock_of_the_house(monkeypatch, clock):
    """Streams are opened by the same clock as decisions are made."""
    monkeypatch.setattr("time.time", lambda: clock.now().timestamp())


def midnight(house):
    return house.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def inventory(house, tmp_path, day, *rows, source="cluster", **window):
    """Take in an inventory of a day; rows are (endpoint, artifact) and may go on with env, times and model."""
    file = tmp_path / "serving.csv"
    whole = [time_text(day + DAY / 2), time_text(day + DAY)]
    lines = [(*row, *["production", *whole, ""][len(row) - 2 :]) for row in rows]
    file.write_text("\n".join([HEAD, *(",".join(line) for line in lines)]) + "\n")
    given = {"start": day, "end": day + DAY} | window
    return house.ws.decisions.observe_serving(
        source, extract=file, account="account 7", query="list endpoints", by=house.who["engineer"], **given
    )


def compared(house, day):
    done = house.ws.decisions.reconcile_runtime(day, by=house.who["engineer"])
    return done.facts[0], sorted((d["endpoint"], d["what"]) for d in done.result["of"]), done


def tags(done):
    return [f.TAG.removeprefix("decisions.runtime_") for f in done.facts[1:]]


def test_a_process_that_serves_without_the_recorder_is_found_by_the_observed_source(house, tmp_path):
    """The endpoint runs the right digest and nobody records; once it records, the difference is settled."""
    day, artifact = midnight(house), house.live["artifact"]
    house.clock.advance(DAY)
    inventory(house, tmp_path, day, ("cluster/employment", artifact))
    fact, found, done = compared(house, day)
    assert found == [("cluster/employment", "unrecorded")]
    assert (fact.endpoints, fact.attested, fact.unrecorded, tags(done)) == (1, 0, 1, ["differed"])
    (incident,) = house.ws.incidents.incidents(by=house.admin)
    assert (incident["kind"], incident["severity"], incident["snapshot"]["what"]) == (
        "tampering",
        "critical",
        "unrecorded",
    )
    assert incident["about"][0] == "model:employment"
    assert tags(compared(house, day)[2]) == [], "a known difference is no new one"
    house.record(3)
    house.seal()
    next_day = midnight(house)
    house.clock.advance(DAY)
    inventory(house, tmp_path, next_day, ("cluster/employment", artifact))
    _, found, done = compared(house, next_day)
    assert (found, tags(done), done.facts[1].how) == ([], ["settled"], "recorded")
    assert house.ws.decisions.differences(by=house.admin) == []
    assert [d["how"] for d in house.ws.decisions.differences(settled=True, by=house.admin)] == ["recorded"]


def test_unknown_different_and_unregistered_endpoints_are_told_apart(house, tmp_path):
    """By digest and by what the register says of the day; a difference is settled only by a source that can see it."""
    old = house.live["artifact"]
    writer = house.writer()
    house.record(3, writer=writer, close=False)
    house.seal()
    house.deploy(house.train(15))
    new, day = house.live["artifact"], midnight(house) + DAY
    house.clock.advance(2 * DAY)
    rows = [("a/new", new), ("a/old", old), ("a/stray", STRAY), ("a/other", new, "staging"),
            ("a/named", new, "production", time_text(day), time_text(day + DAY), "credit")]  # fmt: skip
    inventory(house, tmp_path, day, *rows)
    fact, found, done = compared(house, day)
    process = next(d["endpoint"] for d in done.result["of"] if d["endpoint"].startswith("process/"))
    assert found == [
        ("a/named", "unregistered-endpoint"), ("a/new", "unrecorded"), ("a/old", "different-version"), ("a/other", "unrecorded"),
        ("a/stray", "unknown-digest"), (process, "different-version"), (process, "silent"),
    ]  # fmt: skip
    assert next(d["expected"] for d in done.result["of"] if d["endpoint"] == "a/old") == new
    assert (fact.endpoints, fact.attested, fact.unknown, fact.different, fact.silent, fact.unrecorded) == (
        5,
        1,
        1,
        3,
        1,
        2,
    )
    later = day + DAY
    house.clock.advance(DAY)
    inventory(house, tmp_path, later, ("a/stray", new), source="another")
    assert "settled" not in tags(compared(house, later)[2]), "another inventory does not see that cluster"
    inventory(house, tmp_path, later, ("a/stray", new), ("a/old", old))
    _, _, done = compared(house, later)
    ways = {f.difference: f.how for f in done.facts[1:] if f.TAG.endswith("settled")}
    known = {d["id"]: (d["endpoint"], d["what"]) for d in house.ws.decisions.differences(settled=True, by=house.admin)}
    assert {known[i]: how for i, how in ways.items()} == {
        ("a/stray", "unknown-digest"): "replaced", ("a/named", "unregistered-endpoint"): "stopped",
        ("a/new", "unrecorded"): "stopped", ("a/other", "unrecorded"): "stopped",
    }  # fmt: skip
    assert "settled" not in tags(compared(house, day)[2]), "an older day settles nothing"


def test_traffic_of_what_nobody_registered_or_records_is_found(house, tmp_path):
    """A counter names a model that the register does not know, and requests of a deployment without a recorder."""
    day = midnight(house)
    house.clock.advance(DAY)
    file = tmp_path / "counts.csv"
    hour = time_text(day + timedelta(hours=9))
    file.write_text(f"model,env,hour,count\nemployment,production,{hour},5\ncredit,production,{hour},7\n")
    told = house.ws.decisions.observe_counts(
        "gateway", extract=file, account="a", query="q", start=day, end=day + DAY, by=house.who["engineer"]
    )
    assert told.facts[0].strangers == ("credit@production",)
    fact, found, _ = compared(house, day)
    assert found == [
        ("gateway/credit@production", "unregistered-endpoint"),
        ("gateway/employment@production", "unrecorded"),
    ]
    assert fact.extracts == ()


def test_silent_processes_and_differing_configurations_are_found(house):
    """Two processes of a deployment attest different configurations; one stops its heartbeat for an hour."""
    day, now = midnight(house), house.clock.now()
    passport, live = house.passport(), house.live
    attested = passport.configuration(prompt="sha256:" + "11" * 32)
    first, second = house.writer(), house.writer()
    given = {
        "deployment": live["id"],
        "model": "employment",
        "number": 1,
        "env": "production",
        "artifact": live["artifact"],
    }
    third = StreamWriter(
        house.ws.stores.spool,
        first.schema,
        house.ws.stores.origin,
        attested=attested,
        configuration=digest_of(attested),
        **given,
    )
    beats = StreamWriter(house.ws.stores.spool, kinds.HEARTBEATS, house.ws.stores.origin, **given)
    own = {"deployment": id_bytes(live["id"]), "version": bytes.fromhex(live["artifact"][7:])}
    end = day + DAY
    for writer, configuration in (
        (first, passport.configuration()),
        (second, passport.configuration()),
        (third, attested),
    ):
        at = now
        while at < end:
            silent = writer is second and timedelta(hours=12) <= at - day < timedelta(hours=13)
            row = {**own, "at": int(at.timestamp() * 1000), "stream": id_bytes(writer.stream),
                   "configuration": bytes.fromhex(digest_of(configuration)[7:])}  # fmt: skip
            if not silent:
                beats.append([row.get(name) for name in kinds.HEARTBEATS.names])
            at += timedelta(minutes=10)
    house.record(1, writer=first, close=False)
    house.seal()
    house.clock.advance(DAY)
    fact, found, done = compared(house, day)
    (process,) = {d["endpoint"] for d in done.result["of"]}
    assert found == [(process, "configuration"), (process, "silent")]
    assert {d["stream"] for d in done.result["of"]} == {second.stream, third.stream}
    assert (fact.attested, fact.silent, fact.different) == (3, 1, 1)
    kinds_of = {i["kind"]: i["severity"] for i in house.ws.incidents.incidents(by=house.admin)}
    assert kinds_of == {"availability": "medium", "tampering": "medium"}
    beats.close()
    for writer in (first, second, third):
        writer.close()


def test_an_owner_who_left_is_told(house, tmp_path):
    """A system whose owner holds no role any more is named in the comparison."""
    house.record(1)
    house.seal()
    day = midnight(house)
    owner = house.who["engineer"].principal
    for grant in house.ws.access.grants(by=house.admin):
        if grant["principal"] == owner:
            house.ws.access.revoke_grant(grant["id"], "left", by=house.admin)
    house.clock.advance(DAY)
    done = house.ws.decisions.reconcile_runtime(day, by=house.who["operator"])
    assert (done.facts[0].unowned, done.result["unowned"][0]["owner"]) == (1, owner)


BAD = {
    "no digest": (("a/b", "sha256:12"), "is not a digest"),
    "another environment": (("a/b", STRAY, "prod"), "no environment 'prod'"),
    "seen before it began": (
        ("a/b", STRAY, "production", "2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z"),
        "does not hold",
    ),
    "last seen outside": (
        ("a/b", STRAY, "production", "2026-01-03T10:00:00Z", "2026-01-04T09:00:00Z"),
        "does not hold",
    ),
    "no zone": (("a/b", STRAY, "production", "2026-01-05T10:00:00", "2026-01-05T11:00:00"), "has no zone"),
    "a space": (("a b", STRAY), "is not a token"),
}


def test_an_inventory_is_taken_whole_or_not_at_all(house, tmp_path):
    """Each bad row is named and nothing is recorded; equal rows count once; times of other zones become UTC."""
    day = midnight(house)
    house.clock.advance(DAY)
    for row, says in BAD.values():
        with pytest.raises(Invalid, match=says):
            inventory(house, tmp_path, day, ("a/good", STRAY), row)
    with pytest.raises(Invalid, match="has passed"):
        inventory(house, tmp_path, day, ("a/good", STRAY), end=day + 3 * DAY)
    zone = ("a/b", STRAY, "production", "2026-01-05T10:00:00+02:00", "2026-01-05T11:00:00+02:00")
    done = inventory(house, tmp_path, day, zone, zone)
    assert [f.TAG for f in done.facts] == ["decisions.endpoint_observed", "decisions.serving_extracted"]
    assert (done.facts[0].first_seen, done.facts[1].rows) == (read_time("2026-01-05T08:00:00Z"), 1)
    with pytest.raises(Invalid, match="does not begin a day"):
        house.ws.decisions.reconcile_runtime(day + timedelta(hours=1), by=house.who["engineer"])
    inventory(house, tmp_path, day, zone, source="half", end=day + DAY / 2)
    assert len(compared(house, day)[0].extracts) == 1, "half a day's inventory does not cover the day"


def test_silences_and_windows():
    """A stretch longer than the bound is silent, at either end too; windows must meet."""
    day, minute = read_time("2026-01-05"), timedelta(minutes=1)
    at = [int((day + m * minute).timestamp() * 1000) for m in (5, 10, 40)]
    quiet = silences(Beats(at), day, day + 60 * minute, 15 * minute)
    assert [(a[11:16], b[11:16]) for a, b in quiet] == [("00:10", "00:40"), ("00:40", "01:00")]
    assert silences(Beats(), day, day + 10 * minute, 15 * minute) == []
    assert covers([(day, day + minute), (day + minute, day + DAY)], day, day + DAY)
    assert not covers([(day, day + minute), (day + 2 * minute, day + DAY)], day, day + DAY)
