"""What the measures of lineage find in files, and what they refuse before reading one."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_world import ANNA, HOUR, START, World, digest, words
from lineage_world import CENSUS, RUN

from affidavit.areas.lineage import AREA, measure
from affidavit.areas.lineage import commands as c
from affidavit.core import digest as digests
from affidavit.core.errors import Invalid, NotFound, Refused

PEOPLE = {
    "person": [1, 2, 3, 4], "age": [20, 30, 40, 20], "split": ["training", "training", "test", "test"],
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "people.parquet"
    pq.write_table(pa.table(PEOPLE), path)
    return path


def wish(path, **changes) -> c.RegisterDataset:
    good = c.RegisterDataset(
        "people", "1", str(path), words(CENSUS), "2026", "CC0-1.0", "public-domain", "personal", ANNA, START - 99 * HOUR,
        START - 9 * HOUR, "P3Y",
    )  # fmt: skip
    return replace(good, **changes)


def test_a_dataset_is_registered_from_its_bytes(data):
    """Digest, size, rows and schema are those of the file; the row key is private and drawn for the version."""
    w = World(AREA)
    (made,) = w.measure(measure.register_dataset, wish(data))
    assert made.fact.content == digests.of_bytes(data.read_bytes()) and made.fact.bytes == data.stat().st_size
    assert made.fact.rows == 4 and made.fact.row_key.text is None
    schema = json.loads(w.objects[made.fact.schema.digest])
    assert schema["columns"][2] == {"name": "split", "type": "text"}
    assert w.vault[made.fact.row_key.vault] == f"{1:064x}"


def test_csv_is_registered_like_parquet(tmp_path, data):
    """The same cells give the same row set under the same key: the container does not count."""
    path = tmp_path / "people.csv"
    path.write_text("person,age,split\n1,20,training\n2,30,training\n3,40,test\n4,20,test\n")
    from_csv, from_parquet = (
        World(AREA).measure(measure.register_dataset, wish(path)),
        World(AREA).measure(measure.register_dataset, wish(data)),
    )
    assert from_csv[0].fact.row_set == from_parquet[0].fact.row_set
    assert from_csv[0].fact.content != from_parquet[0].fact.content


def test_a_vague_origin_is_refused_before_the_data_is_read():
    """The file need not even exist."""
    with pytest.raises(Invalid, match="origin is vague"):
        World(AREA).measure(measure.register_dataset, wish("nowhere.parquet", origin=words("publicly available data")))


@pytest.mark.parametrize("body", ["person,age\n", "person\n"])
def test_a_table_without_rows_is_invalid(tmp_path, body):
    """Zero rows are no dataset."""
    path = tmp_path / "empty.csv"
    path.write_text(body)
    with pytest.raises(Invalid, match="no rows"):
        World(AREA).measure(measure.register_dataset, wish(path))


def registered(data) -> World:
    w = World(AREA)
    w.measure(measure.register_dataset, wish(data))
    return w


def splitting(data, **changes) -> c.MeasureSplits:
    return replace(c.MeasureSplits("dataset:people/1", str(data), split_column="split"), **changes)


def test_splits_are_measured_on_the_registered_bytes(data):
    """Two parts with their row sets, the overlap of their individuals, the digest of the measuring code."""
    w = registered(data)
    (made,) = w.measure(measure.measure_splits, splitting(data, identity=("person",)))
    assert [(s.name, s.rows) for s in made.fact.splits] == [("training", 2), ("test", 2)]
    assert made.fact.splits[1].content == digests.of_bytes(b"2\n3\n")
    assert made.fact.splits[0].row_set != made.fact.splits[1].row_set
    (overlap,) = made.fact.overlaps
    assert (overlap.equal, overlap.near) == (0, 1)
    assert made.fact.code == measure.code_digest() and made.fact.identity == ("person",)


def test_the_row_set_of_all_splits_is_that_of_the_dataset(data, tmp_path):
    """One part that holds every row has the dataset's own digest: the row key is the same."""
    w = registered(data)
    index = tmp_path / "all.txt"
    index.write_text("0\n1\n2\n3\n")
    (made,) = w.measure(measure.measure_splits, splitting(data, split_column=None, training=str(index)))
    assert made.fact.splits[0].row_set == w.records[0].fact.row_set


def test_an_index_that_shares_a_row_shows_in_the_overlap(data, tmp_path):
    """By row number one row in both parts is one individual in both."""
    w = registered(data)
    for name, rows in (("train", "0\n1\n2\n"), ("test", "2\n3\n")):
        (tmp_path / name).write_text(rows)
    wish = splitting(
        data, split_column=None, training=str(tmp_path / "train"), test=str(tmp_path / "test"), identity=("_row",)
    )
    (made,) = w.measure(measure.measure_splits, wish)
    assert made.fact.overlaps[0].equal == 1


def test_other_bytes_are_refused_as_a_fact_and_not_measured(data, tmp_path):
    """A file that is not the registered one meets the rule, so the refusal is recorded."""
    w = registered(data)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({**PEOPLE, "age": [1, 2, 3, 4]}), other)
    with pytest.raises(Refused) as refusal:
        w.measure(measure.measure_splits, splitting(other))
    assert refusal.value.code == "content_differs"


def test_the_parts_are_named_one_way(data):
    """By a column or by index files: not by both, not by neither; an unknown dataset is not found."""
    w = registered(data)
    for changes in ({"split_column": None}, {"training": str(data)}):
        with pytest.raises(Invalid, match="twice or not at all"):
            w.measure(measure.measure_splits, splitting(data, **changes))
    with pytest.raises(NotFound):
        w.measure(measure.measure_splits, splitting(data, dataset="dataset:people/9"))
    w.vault.clear()
    with pytest.raises(Refused, match="erased") as refusal:
        w.measure(measure.measure_splits, splitting(data))
    assert refusal.value.code == "row_key_erased"


def observing(path, **changes) -> c.ObserveReads:
    good = c.ObserveReads("store", str(path), words("reader"), words("all reads"), START - 24 * HOUR, START)
    return replace(good, **changes)


ROW = {"run": RUN, "content": digest(1), "read_at": "2026-03-02T08:00:00Z"}
CSV = f"run,content,read_at,bucket\n{RUN},{digest(1)},2026-03-02T08:00:00Z,claims\n"


@pytest.mark.parametrize(
    "body",
    [CSV, CSV.replace("\n", "\r\n"), "\ufeff" + CSV, json.dumps(ROW) + "\n", "\n" + json.dumps(ROW | {"bucket": "x"})],
)
def test_an_extract_is_csv_or_json_lines(tmp_path, body):
    """Other columns are kept in the raw bytes, which are stored beside the facts."""
    path = tmp_path / "reads"
    path.write_bytes(body.encode())
    w = World(AREA)
    extract, read = w.measure(measure.observe_reads, observing(path))
    assert (read.fact.run, read.fact.content) == (RUN, digest(1))
    assert w.objects[extract.fact.raw.digest] == body.encode()
    assert extract.fact.extractor.startswith("affidavit/")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"run,content\n", None),
        (b"run,content\nx,y\n", "has no read_at"),
        (json.dumps(ROW | {"content": "sha256:1"}).encode(), "row 1: content"),
        (json.dumps(ROW | {"run": 3}).encode(), "has no run"),
        (json.dumps(ROW | {"read_at": "2026-03-02 08:00"}).encode(), "row 1: the time"),
        (json.dumps(ROW | {"read_at": "yesterday"}).encode(), "row 1"),
        (b'{"run": \n', "no JSON object"),
        (b'{"a":1}\n[1]\n', "line 2 is no JSON object"),
        (b"run,content,read_at\n\xff\xfe\n", "not UTF-8"),
        (b'run,content,read_at\n"unclosed', "no CSV"),
        ((json.dumps(ROW) + "\n").encode() * 501, "at most 500"),
        (b"x" * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_a_bad_extract_is_refused_with_its_row(tmp_path, body, says):
    """Missing or wrong cells, broken lines, too much: nothing is recorded. No rows at all are an extract."""
    path = tmp_path / "reads"
    path.write_bytes(body)
    w = World(AREA)
    if says is None:
        assert w.measure(measure.observe_reads, observing(path))[0].fact.rows == 0
        return
    with pytest.raises(Invalid, match=says):
        w.measure(measure.observe_reads, observing(path))
    assert not w.records and not w.objects


def test_a_stored_extract_is_verified_before_it_is_read(tmp_path):
    """An extract given by digest is the object of that digest."""
    from affidavit.core.errors import Tampered

    w = World(AREA)
    w.objects[digest(1)] = CSV.encode()
    with pytest.raises(Tampered):
        w.measure(measure.observe_reads, observing(digest(1)))
    w.objects[digests.of_bytes(CSV.encode())] = CSV.encode()
    assert len(w.measure(measure.observe_reads, observing(digests.of_bytes(CSV.encode()), extractor="nightly/2"))) == 2
