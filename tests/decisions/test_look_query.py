"""Filters over sealed rows give what a plain list gives; what does not fit is named."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime, timedelta

import pytest
from serving_house import ServingHouse

from affidavit.areas.decisions.look import query as module
from affidavit.areas.decisions.look.frames import table_of
from affidavit.core.errors import Invalid, Refused
from affidavit.store.clock import SimulatedClock
from affidavit.streams.ids import id_bytes

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two deployments of a model, three segments, missing values and odd ones; every row as a plain dict beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFIDAVIT_STATE", str(tmp_path_factory.mktemp("state")))
        house = ServingHouse(tmp_path_factory.mktemp("house"), SimulatedClock(START))
        house.first = house.deployment
        house.ids = house.record(30)
        house.seal()
        house.ids += house.record(2, tenant=None, confidence=math.nan, caller="a b/c=d", **{"in.s": ""})
        house.seal()
        house.deployment = house.deploy(house.train(5))
        house.ids += house.record(30)
        house.seal()
        house.plain = house.ws.decisions.query(format="json", by=house.who["engineer"])["found"]
        yield house
        house.ws.close()


def ask(made, **fields):
    return made.ws.decisions.query(by=made.who["engineer"], **fields)


def test_everything_is_found_in_sealed_order(made):
    """No filter gives every row, by id, each column as recorded."""
    assert [r["id"] for r in made.plain] == made.ids
    assert made.plain[31]["confidence"] == "NaN" and made.plain[31]["tenant"] is None and made.plain[31]["in.s"] == ""
    assert {r["version"] for r in made.plain} == {
        made.ws.ask("registry.version", "employment", n)["artifact"] for n in (1, 2)
    }


FILTERS = [
    (["out>=0.5"], lambda r: r["out"] >= 0.5),
    (["out<0.5", "in.a>=-0.25"], lambda r: r["out"] < 0.5 and r["in.a"] >= -0.25),
    (["out.label=1"], lambda r: r["out.label"] == 1),
    (["out.label<>1"], lambda r: r["out.label"] != 1),
    (["adverse=true", "tenant=t1"], lambda r: r["adverse"] and r["tenant"] == "t1"),
    (["tenant<>t1"], lambda r: r["tenant"] not in (None, "t1")),
    (["tenant="], lambda r: r["tenant"] is None),
    (["tenant<>"], lambda r: r["tenant"] is not None),
    (["caller=a%20b%2Fc%3Dd"], lambda r: r["caller"] == "a b/c=d"),
    (["confidence>0"], lambda r: r["confidence"] != "NaN"),
    (["subject>=s3"], lambda r: r["subject"] >= "s3"),
    (["in.s=a"], lambda r: r["in.s"] == "a"),
    (["sources="], lambda r: True),
]


@pytest.mark.parametrize(("where", "keep"), FILTERS, ids=[" ".join(f[0]) for f in FILTERS])
def test_conditions_mean_what_they_say(made, where, keep):
    """Against the same filter over a plain list; verified rows are the same rows."""
    wanted = [r["id"] for r in made.plain if keep(r)]
    assert [r["id"] for r in ask(made, where=where, format="json")["found"]] == wanted
    found = ask(made, where=where, columns=["id"], format="json", verify=True)
    assert ([r["id"] for r in found["found"]], found["verified"]) == (wanted, "each row up to its segment's root")


def test_typed_columns_are_compared_by_their_own_form(made):
    """An id, a digest, a time."""
    row = made.plain[7]
    for where in (f"id={row['id']}", f"at={row['at']}"):
        assert [r["id"] for r in ask(made, where=[where], format="json")["found"]] == [row["id"]]
    assert ask(made, where=[f"version={row['version']}"]).facts["rows"] == 32
    assert ask(made, where=[f"deployment={made.first}"]).facts["rows"] == 32


def test_windows_and_deployments_choose_rows(made):
    """The end is exclusive; a deployment, a model in an environment; another environment has none."""
    times = [datetime.fromisoformat(r["at"]) for r in made.plain]
    found = ask(made, start=times[10], end=times[20], format="json")["found"]
    assert [r["id"] for r in found] == made.ids[10:20]
    assert ask(made, start=times[-1] + timedelta(seconds=1)).facts["rows"] == 0
    assert ask(made, deployment=made.first).facts["rows"] == 32
    assert ask(made, deployment=made.deployment).facts == ask(made, deployment=made.deployment).facts
    assert ask(made, model="employment").facts["rows"] == 62
    assert ask(made, model="employment", in_env="production").facts["rows"] == 62
    assert ask(made, model="employment", in_env="staging").facts["rows"] == 0


def test_columns_come_in_the_order_asked(made):
    """Arrow and CSV hold ids as text and times as times."""
    columns = ["out", "id", "at", "sources"]
    document = ask(made, columns=columns)
    table = table_of(document)
    assert table.column_names == columns and table.num_rows == 62
    assert table.column("id").to_pylist() == made.ids
    frame = table.to_pandas()
    assert str(frame["at"].dtype) == "datetime64[ms, UTC]"
    text = ask(made, columns=columns, format="csv")
    assert (text.type, text.name.endswith(".csv")) == ("text/csv", True)
    rows = list(csv.DictReader(io.StringIO(text.body.decode())))
    assert [r["id"] for r in rows] == made.ids and rows[3]["at"] == made.plain[3]["at"]
    assert [float(r["out"]) for r in rows] == [r["out"] for r in made.plain]
    with pytest.raises(Invalid, match="not Arrow"):
        table_of(text)


def test_an_empty_answer_has_its_columns(made):
    """Nothing found is a table without rows."""
    assert table_of(ask(made, where=["out>2"], columns=["id", "out"])).column_names == ["id", "out"]
    assert ask(made, where=["out>2"], format="csv").body.count(b"\n") == 1
    assert ask(made, kind="outcomes", format="json")["found"] == []


def test_a_limit_gives_the_first_rows_and_says_that_there_are_more(made, monkeypatch):
    """Without one, too many rows are refused, and nothing is cut in silence."""
    found = ask(made, limit=5, format="json")
    assert ([r["id"] for r in found["found"]], found["more"]) == (made.ids[:5], True)
    assert ask(made, limit=62).facts["more"] is False
    assert ask(made, limit=100).facts["more"] is False
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    with pytest.raises(Invalid, match=r"more than 50 rows.*narrow"):
        ask(made)
    with pytest.raises(Invalid, match="at most 50"):
        ask(made, limit=51)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(Invalid, match=r"more than 1,000 bytes"):
        ask(made, limit=40)
    assert ask(made, limit=40, columns=["out"]).facts["rows"] == 40


WRONG = [
    ({"where": ["nope=1"]}, "no column 'nope'"), ({"columns": ["id", "nope"]}, "no column 'nope'"),
    ({"kind": "reads", "columns": ["out"]}, "no column 'out'"), ({"kind": "outcomes", "where": ["out=1"]}, "no column 'out'"),
    ({"where": ["out"]}, "'out' is no condition"), ({"where": ["out==1"]}, "'out==1' is no condition"),
    ({"where": ["out=>1"]}, "'out=>1' is no condition"), ({"where": ["out>"]}, "compares with nothing"),
    ({"where": ["out>=high"]}, r"column 'out' \(f64\): 'high'"), ({"where": ["out>nan"]}, "no value of it"),
    ({"where": ["out.label=1.5"]}, r"column 'out.label' \(i64\)"), ({"where": ["out.label=99999999999999999999"]}, "no value of it"),
    ({"where": ["adverse=yes"]}, r"column 'adverse' \(bool\)"), ({"where": ["adverse<true"]}, "has no order"),
    ({"where": ["id<019b8d63-68c8-7000-b706-3657973da86f"]}, "has no order"), ({"where": ["id=7"]}, r"column 'id' \(id\)"),
    ({"where": ["at>yesterday"]}, r"column 'at' \(time\)"), ({"where": ["version=sha256:00"]}, r"column 'version' \(digest\)"),
    ({"columns": ["id", "id"]}, "named twice"), ({"in_env": "production"}, "without a model"),
    ({"model": "nobody"}, "no model nobody"), ({"start": START, "end": START}, "ends before it begins"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "says"), WRONG, ids=[str(w[0])[:50] for w in WRONG])
def test_what_does_not_fit_is_named(made, fields, says):
    """Unknown column, bad operator, wrong type: each named, with what fits."""
    with pytest.raises(Invalid, match=says):
        ask(made, **fields)


def test_protected_attributes_are_not_queried(made):
    """Groups stay apart."""
    with pytest.raises(Refused, match="protected attributes"):
        ask(made, kind="groups")


def test_versions_with_other_columns_are_asked_together(house):
    """A column that one version lacks is missing there; one name with two types is refused, by name."""
    from affidavit.streams import kinds
    from affidavit.streams.schema import Column
    from affidavit.streams.writer import StreamWriter

    def record(column, value):
        passport = house.passport()
        schema = kinds.decisions([column], [Column("out", "f64")])
        attested = passport.configuration()
        writer = StreamWriter(
            house.ws.stores.spool, schema, house.ws.stores.origin, attested=attested, deployment=passport.deployment,
            model="employment", number=passport.number, env="production", artifact=passport.artifact,
            configuration=house.ws.ask("registry.version", "employment", 1)["artifact"],
        )  # fmt: skip
        house.record(1, writer=writer, **{column.name: value})

    house.record(1)
    house.seal()
    record(Column("in.z", "i64"), 4)
    house.seal()

    def ask(**fields):
        return house.ws.decisions.query(by=house.who["engineer"], **fields)

    assert [r["in.z"] for r in ask(columns=["in.z"], format="json")["found"]] == [None, 4]
    assert ask(where=["in.z>=4"]).facts["rows"] == 1
    assert ask(where=["in.z="]).facts["rows"] == 1
    record(Column("in.a", "str"), "x")
    house.seal()
    with pytest.raises(Invalid, match=r"two types: .*in\.a"):
        ask(columns=["in.a"])
    assert ask(columns=["id", "out"]).facts["rows"] == 3
    with pytest.raises(Invalid, match=r"'in.a' \(str\)|in\.a"):
        ask(where=["in.a>=1.0"], columns=["in.a"])


def test_rows_of_other_kinds_are_asked_for_like_decisions(house):
    """Outcomes by decision id."""
    ids = house.record(3)
    from affidavit.service.desk import ServiceDesk

    desk = ServiceDesk(house.ws.executor, house.who["engineer"], local=True)
    for n, decision in enumerate(ids):
        desk.row("outcomes", decision=id_bytes(decision), at=1_767_600_000_000 + n, value=float(n), source="hr")
    house.seal()
    found = house.ws.decisions.query(
        kind="outcomes", where=[f"decision={ids[1]}"], format="json", by=house.who["engineer"]
    )
    assert [r["value"] for r in found["found"]] == [1.0]
