"""Outcomes: labels by decision id, all of a file or none."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest

from affidavit.areas.decisions.people.late import late_rows
from affidavit.core.errors import AffidavitError, Invalid, NotFound, Refused
from affidavit.core.fields import time_text
from affidavit.service.desk import ServiceDesk
from affidavit.streams.ids import id_text


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_lines(rows):
    return "\n".join(json.dumps(row) for row in rows)


def send(house, body, **more):
    path = house.folder / "outcomes"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return house.ws.decisions.record_outcomes(path, by=house.who["sealer"], **more)


def recorded(house):
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    return [(id_text(r["decision"]), r["value"], r["label"], r["source"]) for r in late_rows(desk, "outcomes")]


def test_a_file_of_outcomes_is_taken_in_whole_and_once(house):
    """CSV and JSON lines, of sealed and unsealed decisions; sending a file again adds nothing, a changed label adds a row."""
    ids = house.record(5)
    house.seal()
    ids += house.record(3, close=False)
    house.clock.advance(timedelta(days=1))
    at = time_text(house.clock.now())
    labels = [{"id": i, "label": "repaid", "observed_at": at, "source": "bank"} for i in ids[:6]]
    done = send(house, as_csv(labels))
    assert (done["rows"], done["recorded"], done["already"]) == (6, 6, 0)
    assert send(house, as_csv(labels))["recorded"] == 0
    house.seal()
    house.clock.advance(timedelta(days=1))
    assert send(house, as_csv(labels))["already"] == 6
    values = [{"decision": i, "value": 0.5, "observed_at": at} for i in ids[6:]]
    assert send(house, as_lines([*values, {**labels[0], "label": "defaulted"}]), source="bank")["recorded"] == 3
    found = recorded(house)
    assert len(found) == 9
    assert {(ids[0], None, "repaid", "bank"), (ids[0], None, "defaulted", "bank"), (ids[7], 0.5, None, "bank")} <= set(
        found
    )
    one = house.ws.decisions.outcome(
        ids[1], source="court", observed_at=house.clock.now(), value="1.000000", by=house.who["sealer"]
    )
    assert one["recorded"] == 1
    with pytest.raises(Refused, match="is recorded"):
        house.ws.decisions.outcome(
            ids[1], source="court", observed_at=house.clock.now(), value="1.000000", by=house.who["sealer"]
        )
    _bad_single(house, ids[1])


def _bad_single(house, decision):
    given = {"source": "court", "observed_at": house.clock.now(), "by": house.who["sealer"]}
    for change, error, says in [
        ({}, Invalid, "value or a label"),
        ({"value": "1.000000", "label": "x"}, Invalid, "value or a label"),
        ({"label": "x", "observed_at": house.clock.now() + timedelta(days=1)}, Invalid, "after now"),
        ({"label": "x", "observed_at": house.clock.now() - timedelta(days=400)}, Invalid, "before it was decided"),
    ]:
        with pytest.raises(error, match=says):
            house.ws.decisions.outcome(decision, **{**given, **change})
    with pytest.raises(NotFound):
        house.ws.decisions.outcome("00000000-0000-7000-8000-000000000001", label="x", **given)


UNKNOWN = "019b8d64-7a38-7000-9cac-21473b163b16"
BAD = [
    ("an unknown id", lambda r, a: [{**r, "id": UNKNOWN}], NotFound, UNKNOWN),
    ("a duplicate", lambda r, a: [r, r], Invalid, "stand twice"),
    ("a malformed id", lambda r, a: [{**r, "id": "7"}], Invalid, "line 2: '7' is no id"),
    ("no value", lambda r, a: [{**r, "label": ""}], Invalid, "line 2: give a value or a label"),
    ("value and label", lambda r, a: [{**r, "value": "1"}], Invalid, "line 2: give a value or a label"),
    ("NaN", lambda r, a: [{"id": r["id"], "value": "nan", "observed_at": a, "source": "s"}], Invalid, "no finite number"),
    ("a word for a number", lambda r, a: [{"id": r["id"], "value": "one", "observed_at": a, "source": "s"}], Invalid, "no finite"),
    ("no source", lambda r, a: [{**r, "source": ""}], Invalid, "line 2: no source"),
    ("no time", lambda r, a: [{**r, "observed_at": ""}], Invalid, "line 2: '' is not a time"),
    ("a time without zone", lambda r, a: [{**r, "observed_at": "2026-01-05T10:00:00"}], Invalid, "has no zone"),
    ("tomorrow", lambda r, a: [{**r, "observed_at": "2030-01-01"}], Invalid, "after now"),
    ("last year", lambda r, a: [{**r, "observed_at": "2025-01-01"}], Invalid, "before it was decided"),
    ("an unknown field", lambda r, a: [{**r, "name": "x"}], Invalid, "no field 'name'"),
    ("no id", lambda r, a: [{"label": "x", "observed_at": a, "source": "s"}], Invalid, "field decision must stand once"),
    ("a control character", lambda r, a: [{**r, "label": "a\x07"}], Invalid, "no text of 1 to 128"),
    ("a long label", lambda r, a: [{**r, "label": "a" * 129}], Invalid, "no text of 1 to 128"),
]  # fmt: skip
RAW = [
    ("nothing", b"", "holds 0 outcomes|decision must stand once"),
    ("a header alone", b"id,label,observed_at,source\n", "holds 0 outcomes"),
    ("not UTF-8", b"id,label\n\xff", "not UTF-8"),
    ("a short line", b"id,label,observed_at,source\n7,x\n", "not as many fields"),
    ("a torn quote", b'id,label,observed_at,source\n"7', "unexpected end of data"),
    ("torn JSON", b'{"id": "7"', "line 1 is no JSON object"),
    ("a field twice", b'{"id": "7", "id": "8"}', "line 1 is no JSON object"),
    ("a list in the second line", b'{"id": "7", "label": "x"}\n[]', "line"),
    ("deep JSON", b'{"id":' + b"[" * 100_000, "line 1 is no JSON object"),
]


def test_a_file_with_anything_wrong_leaves_nothing(house):
    """Each wrong file is refused naming what is wrong, and no row of it is recorded."""
    ids = house.record(2)
    house.clock.advance(timedelta(days=1))
    at = time_text(house.clock.now())
    good = {"id": ids[0], "label": "repaid", "observed_at": at, "source": "bank"}
    for name, spoil, error, says in BAD:
        other = {k: v for k, v in {**good, "id": ids[1]}.items() if k in spoil(good, at)[0]}
        for body in (as_csv([*spoil(good, at), *([other] if len(other) == len(spoil(good, at)[0]) else [])]),):
            with pytest.raises(error, match=says.replace("'", ".")) as e:
                send(house, body)
            assert e.value.next_step, name
    for name, body, says in RAW:
        with pytest.raises(AffidavitError, match=says) as e:
            send(house, body)
        assert e.value.next_step, name
    with pytest.raises(NotFound, match="no file"):
        house.ws.decisions.record_outcomes(house.folder / "absent", by=house.who["sealer"])
    assert recorded(house) == []


def test_a_caller_of_one_tenant_labels_no_other_tenants_decisions(house):
    """Those are unknown to it, sealed or not: no answer tells that they exist."""
    ids = house.record(3)
    house.seal()
    ids += house.record(3, close=False)
    house.clock.advance(timedelta(days=1))
    at = time_text(house.clock.now())
    house.ws.decisions.restrict_tenants(house.who["sealer"].principal, tenants=["t0"], by=house.admin)
    lines = [{"id": i, "label": "repaid", "observed_at": at, "source": "bank"} for i in ids]
    with pytest.raises(NotFound, match="4 of 6 ids are no decisions here"):
        send(house, as_csv(lines))
    assert send(house, as_csv([lines[0], lines[3]]))["recorded"] == 2
    with pytest.raises(NotFound, match="no decision"):
        house.ws.decisions.outcome(
            ids[1], source="bank", observed_at=house.clock.now(), label="x", by=house.who["sealer"]
        )
