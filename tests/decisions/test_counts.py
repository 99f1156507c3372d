"""Completeness of a day: what a gateway, callers and the processes themselves counted, against what is sealed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.runtime import counters as other
from affidavit.areas.decisions.runtime.counting import PLAIN, among, runs
from affidavit.areas.decisions.runtime.extracts import parse_counts
from affidavit.core.errors import Invalid, Refused
from affidavit.core.fields import read_time
from affidavit.service.desk import ServiceDesk
from affidavit.streams.ids import Minter, id_bytes, id_text
from affidavit.streams.receipts import Receipt, ReceiptKey

DAY = timedelta(days=1)
ID = "019b8d63-64e0-7533-aced-43d5adb0da0f"


def csv_of(path, head, *rows):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def gateway(house, tmp_path, *rows, source="gateway", start=None):
    """Take in counts of the day the clock was set to; rows are (hour of the day, count)."""
    start = start or house.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [(house.deployment, (start + timedelta(hours=h)).isoformat(), n) for h, n in rows]
    file = csv_of(tmp_path / f"{source}.csv", "deployment,hour,count", *lines)
    return lambda: house.ws.decisions.observe_counts(
        source,
        extract=file,
        account="project 7",
        query="requests by hour",
        start=start,
        end=start + DAY,
        by=house.who["engineer"],
    )


def midnight(house):
    return house.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def details_of(house, fact):
    with house.ws.stores.objects.open(fact.details.digest) as source:
        return json.loads(source.read())


# ---------------------------------------------------------------- extracts

BAD = {
    "hour-twice": (
        f"deployment,hour,count\n{ID},2026-01-05T09:00:00Z,1\n{ID},2026-01-05T10:00:00+01:00,1",
        "stands twice",
    ),
    "half-hour-zone": (f"deployment,hour,count\n{ID},2026-01-05T09:00:00+05:30,1", "does not begin an hour of UTC"),
    "no-zone": (f"deployment,hour,count\n{ID},2026-01-05T09:00:00,1", "has no zone"),
    "negative": (f"deployment,hour,count\n{ID},2026-01-05T09:00:00Z,-1", "no whole number of 0 or more"),
    "fraction": (f"deployment,hour,count\n{ID},2026-01-05T09:00:00Z,1.5", "no whole number of 0 or more"),
    "truth value": (
        f'{{"deployment":"{ID}","hour":"2026-01-05T09:00:00Z","count":true}}',
        "no whole number of 0 or more",
    ),
    "nobody": ("model,hour,count\nemployment,2026-01-05T09:00:00Z,1", "names no deployment, and no model with env"),
    "no such id": ("deployment,hour,count\nx,2026-01-05T09:00:00Z,1", "is not an id"),
    "no column": ("deployment,hour\nx,2026-01-05T09:00:00Z", "has no count"),
    "more fields": (f"deployment,hour,count\n{ID},2026-01-05T09:00:00Z,1,2", "more fields than the header"),
    "no rows": ("", "has no hour"),
    "no JSON": ('{"deployment":', "neither CSV nor JSON lines"),
    "not an object": ('{"hour":"2026-01-05T09:00:00Z","count":1,"model":"m","env":"e"}\n[]', "is no object"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_extract_of_counts_is_refused_whole(text, says):
    """The error names the row and what is wrong with it."""
    with pytest.raises(Invalid, match=says):
        parse_counts(text.encode())


def test_counts_are_read_from_csv_and_json_lines_in_any_zone():
    """A model with its environment stands for its deployments; hours are those of UTC."""
    hour = read_time("2026-01-05T08:00:00Z")
    csv = parse_counts(b"\xef\xbb\xbfmodel,env,hour,count\r\nemployment,production,2026-01-05T09:00:00+01:00,12\r\n")
    lines = parse_counts(b'{"model":"employment","env":"production","hour":"2026-01-05T08:00:00Z","count":12}\n')
    assert csv == lines == {"employment@production": {hour: 12}}
    assert parse_counts(b"deployment,hour,count\n") == {}


def test_an_extract_is_refused_whose_window_it_does_not_fit(house, tmp_path):
    """A window of part hours, one that has not passed, and an hour outside it."""
    with pytest.raises(Invalid, match="after now|has passed"):
        gateway(house, tmp_path, (9, 1))()
    house.clock.advance(DAY)
    day = midnight(house) - DAY
    with pytest.raises(Invalid, match="outside the window"):
        gateway(house, tmp_path, (25, 1), start=day)()
    with pytest.raises(Invalid, match="does not begin an hour"):
        gateway(house, tmp_path, (9, 1), start=day + timedelta(minutes=30))()
    told = gateway(house, tmp_path, (9, 0), start=day)
    assert told().result["strangers"] == []
    with pytest.raises(Refused, match="after now"):
        house.ws.decisions.reconcile(midnight(house), by=house.who["engineer"])
    with pytest.raises(Invalid, match="does not begin a day"):
        house.ws.decisions.reconcile(day + timedelta(hours=1), by=house.who["engineer"])


# ---------------------------------------------------------------- reconciling


def test_every_kind_of_flaw_of_a_day_is_counted_and_its_rows_are_named(house, tmp_path):
    """Planted: a doubled id, a stepped clock, rows unfilled, of another version and another workspace, a named person,
    a process that died, a full disk, a late seal; the gateway saw six requests that nobody recorded."""
    ms = lambda: int(house.clock.now().timestamp() * 1000)  # noqa: E731
    day = midnight(house)
    ids = house.record(100)
    twice = house.record(1, id=id_bytes(ids[7]))
    house.record(5, at=ms() - 5_000_000)
    house.record(3, caller=None)
    house.record(2, caller="")
    house.record(4, version=b"\x01" * 32)
    house.record(1, deployment=id_bytes(ID))
    house.record(6, subject="ann@example.org")
    writer = house.writer()
    house.record(9, writer=writer, close=False)
    writer.abandon()
    full = house.writer()
    full.miss(ms(), "disk-full", 4)
    house.record(1, writer=full)
    assert len(twice) == 1
    house.seal()
    house.record(2, at=ms())
    house.clock.advance(DAY + timedelta(hours=2))
    house.seal()
    gateway(house, tmp_path, (9, 135), (7, 2), start=day)()
    done = house.ws.decisions.reconcile(day, by=house.who["engineer"])
    (fact,) = done.facts
    got = {
        n: getattr(fact, n)
        for n in ("recorded", "missed", "duplicates", "unfilled", "unknown", "plain", "late", "lost", "uncovered")
    }
    assert got == {
        "recorded": 134,
        "missed": 4,
        "duplicates": 1,
        "unfilled": 5,
        "unknown": 10,
        "plain": 6,
        "late": 2,
        "lost": 1,
        "uncovered": 0,
    }
    # unknown: four of another version, one of another workspace, five from before the version was registered
    assert fact.steps == 6  # five that were set back, and the doubled id, whose own time is another
    assert [(g.hour.hour, g.observed, g.recorded) for g in fact.gaps] == [(7, 2, 5), (9, 135, 129)]
    body = details_of(house, fact)
    assert body["ranges"]["unknown"] and all(s in body["processes"] for s, _, _ in body["ranges"]["unknown"])
    assert [n for _, a, b in body["ranges"]["plain"] for n in (a, b)] == [0, 5]
    assert body["unknown_digests"]["sha256:" + "01" * 32] == 4
    assert {s.what for s in fact.spots} == {"duplicate", "late", "lost", "plain", "step", "unfilled", "unknown"}
    assert [(s.stream, s.first) for s in fact.spots if s.what == "lost"] == [(writer.stream, 9)]
    assert body["processes"][writer.stream]["pid"] == writer.pid


def test_without_a_counter_the_day_is_self_reported_and_late_rows_show_on_the_second_look(house, tmp_path):
    """Receipts and counters outrank the processes' own counts; a row sealed after a day was reconciled is late."""
    day = midnight(house)
    house.record(20)
    house.seal()
    house.clock.advance(timedelta(hours=10))
    house.record(5)
    house.clock.advance(timedelta(hours=5))
    by = house.who["engineer"]
    (first,) = house.ws.decisions.reconcile(day, by=by).facts
    assert (first.source, first.extract, first.observed, first.recorded, first.late) == (
        "self-reported",
        None,
        20,
        20,
        0,
    )
    house.seal()
    (again,) = house.ws.decisions.reconcile(day, deployment=house.deployment, by=by).facts
    assert (again.recorded, again.late) == (25, 5)
    gateway(house, tmp_path, (9, 20), (19, 5), start=day)()
    gateway(house, tmp_path, (9, 20), (19, 7), source="mesh", start=day)()
    (third,) = house.ws.decisions.reconcile(day, by=by).facts
    assert third.source == "observed"
    assert [(g.hour.hour, g.observed, g.recorded) for g in third.gaps] == [(19, 7, 5)], (
        "what one counter missed is not lost"
    )


def test_a_missing_segment_and_erased_rows_are_told_apart_from_rows_never_recorded(house, tmp_path):
    """The header counts the rows of a segment whose file is gone; the day says that they cannot be read."""
    day = midnight(house)
    house.record(30)
    house.seal()
    ids = house.record(12)
    house.seal()
    house.ws.decisions.erase("request", reason="asked for it", decisions=ids[3:5], by=house.who["privacy"])
    house.ws.decisions.carry_out(by=house.who["privacy"])
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    where = next(sealed_rows.segments_between(desk, "decisions"))
    desk.drop_segment(where.file)
    house.clock.advance(DAY)
    gateway(house, tmp_path, (9, 42), start=day)()
    (fact,) = house.ws.decisions.reconcile(day, by=house.who["engineer"]).facts
    assert (fact.recorded, fact.unreadable, fact.unfilled) == (12, 30, 0)
    assert details_of(house, fact)["erased"] == 2
    assert [(s.what, s.first, s.last) for s in fact.spots] == [("unreadable", 0, 29)]


def test_counts_of_a_model_are_shared_out_when_a_version_took_over_within_the_hour():
    """All but the last get what they recorded: what is missing shows at the one that took over."""
    rows = {"old": [10, 4], "new": [0, 5]}
    live = {"old": [True, True], "new": [False, True]}
    assert other.share([10, 12], "old", rows, live) == [10, 4]
    assert other.share([10, 12], "new", rows, live) == [0, 8]
    assert other.share([None, 3], "old", rows, live) == [None, 3]


# ---------------------------------------------------------------- receipts


def test_receipts_prove_rows_and_name_the_process_of_those_that_have_none(house, tmp_path):
    """One sealed, one altered, two missing, one forged, one of an unknown stream; the same file again changes nothing."""
    day, key = midnight(house), ReceiptKey()
    from affidavit.streams.writer import StreamWriter

    plain = house.writer()
    plain.close()
    passport = house.passport()
    writer = StreamWriter(
        house.ws.stores.spool, plain.schema, house.ws.stores.origin, attested=passport.configuration(), model="employment",
        deployment=passport.deployment, number=passport.number, env="production", artifact=passport.artifact, key=key.public,
    )  # fmt: skip
    ids = house.record(10, writer=writer)
    house.seal()
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    rows = [sealed_rows.find(desk, i) for i in ids]
    good = [key.sign(Receipt(writer.stream, r.seq, i, r.leaf)) for i, r in zip(ids, rows, strict=True)]
    ms = int(house.clock.now().timestamp() * 1000)
    lost_ids = [id_text(Minter().mint(ms, bytes([n] * 8))) for n in (1, 2)]
    lost = [key.sign(Receipt(writer.stream, 10 + n, i, b"\x07" * 32)) for n, i in enumerate(lost_ids)]
    altered = key.sign(Receipt(writer.stream, 3, ids[3], b"\x08" * 32))
    forged = ReceiptKey().sign(Receipt(writer.stream, 4, ids[4], rows[4].leaf))
    stranger = key.sign(Receipt(ID, 0, ids[0], rows[0].leaf))
    lines = [*good[:3], *good[4:], f"X-Decision-Receipt: {good[0]}", altered, *lost, forged, stranger, ""]
    file = tmp_path / "receipts.txt"
    file.write_text("\n".join(lines))
    present = lambda: house.ws.decisions.present_receipts("portal", receipts=file, by=house.who["engineer"])  # noqa: E731
    (fact,) = present().facts
    got = {n: getattr(fact, n) for n in ("presented", "sealed", "missing", "different", "pending", "forged", "unknown")}
    assert got == {"presented": 14, "sealed": 9, "missing": 2, "different": 1, "pending": 0, "forged": 1, "unknown": 1}
    told = present().result["without_row"]
    assert [(t["pid"], t["rows"]) for t in told] == [(plain.pid, [(10, 11)])]
    house.clock.advance(DAY)
    (found,) = house.ws.decisions.reconcile(day, by=house.who["engineer"]).facts
    assert (found.source, found.recorded, found.unsealed, found.altered) == ("self-reported", 10, 2, 1)
    assert ("no-row", 10, 11) in [(s.what, s.first, s.last) for s in found.spots]
    file.write_text("\n".join([*good, *lost]))
    present()
    (whole,) = house.ws.decisions.reconcile(day, by=house.who["engineer"]).facts
    assert (whole.source, whole.observed, whole.recorded) == ("receipts", 12, 10)
    file.write_text("v1 nothing")
    with pytest.raises(Invalid, match="line 1"):
        present()


def test_a_receipt_of_a_stream_that_is_still_open_waits(house, tmp_path):
    """Rows beyond the last seal of a live process are pending, not missing."""
    key, plain = ReceiptKey(), house.writer()
    plain.close()
    from affidavit.streams.writer import StreamWriter

    writer = StreamWriter(
        house.ws.stores.spool, plain.schema, house.ws.stores.origin, attested={}, deployment=house.deployment,
        model="employment", number=1, env="production", artifact=house.live["artifact"], key=key.public,
    )  # fmt: skip
    ids = house.record(2, writer=writer, close=False)
    house.seal()
    receipts = tmp_path / "one.txt"
    receipts.write_text(key.sign(Receipt(writer.stream, 2, ids[1], b"\x01" * 32)))
    (fact,) = house.ws.decisions.present_receipts("portal", receipts=receipts, by=house.who["engineer"]).facts
    assert (fact.pending, fact.missing) == (1, 0)


# ---------------------------------------------------------------- parts


def test_ranges_and_plain_subjects():
    """Runs of numbers, membership in ranges, and what looks like a person."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    assert list(runs(np.array([1, 2, 3, 7, 9, 10]))) == [(1, 3), (7, 7), (9, 10)]
    assert list(runs(np.array([], "i8"))) == []
    assert among([(2, 3), (7, 7)], np.array([1, 2, 3, 4, 7, 8])).tolist() == [False, True, True, False, True, False]
    people = ["ann@example.org", "+49 170 1234567", "123-45-6789", "Ann Example", "Example, Ann", "1980-02-03"]
    pseudonyms = ["s12", "a81f", "12345678", "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d", "person_17", ""]
    hits = pc.match_substring_regex(pa.array(people + pseudonyms), PLAIN).to_pylist()
    assert hits == [True] * len(people) + [False] * len(pseudonyms)
