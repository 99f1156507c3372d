"""Reading tables: what a file is taken for, and what is refused while it is read."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_world import MemoryDesk, World, digest
from lineage_world import AREA

from affidavit.areas.lineage import tabular
from affidavit.core.errors import Invalid, NotFound, Refused, Tampered


def file_of(body: bytes) -> tabular.Bytes:
    return tabular.Bytes("sha256:" + hashlib.sha256(body).hexdigest(), len(body), lambda: BytesIO(body))


def parquet(table: pa.Table) -> bytes:
    sink = BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "20", "-3"], pa.int64()),
        (["1", "", "3"], pa.int64()),
        (["007", "1", "2"], pa.string()),
        (["1.5", "2", "-3e2"], pa.float64()),
        (["01.5", "2", "3"], pa.string()),
        (["12345678901234567890", "1", "2"], pa.string()),
        (["123456789012345678", "1", "2"], pa.int64()),
        (["-0", "1", "2"], pa.float64()),
        (["yes", "1", "2"], pa.string()),
        (["", "", ""], pa.string()),
        (["nan", "1", "2"], pa.string()),
        ([" 1", "2", "3"], pa.string()),
    ],
)
def test_a_csv_column_is_a_number_only_if_every_cell_is_one(cells, kind):
    """Postcodes and long ids stay text; an empty cell is null and decides nothing."""
    body = ("x,y\n" + "".join(f'"{c}",k\n' for c in cells)).encode()
    table = tabular.table(file_of(body))
    assert table.schema.field("x").type == kind
    assert table["x"].null_count == cells.count("")


def test_parquet_is_read_in_batches_of_its_own_schema():
    """More rows than a batch holds; the schema is known before the first batch."""
    table = pa.table({"n": pa.array(range(tabular.BATCH + 5), pa.int32())})
    schema, batches = tabular.batches(file_of(parquet(table)))
    assert schema.field("n").type == pa.int32()
    assert [len(b) for b in batches] == [tabular.BATCH, 5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PAR1",
        b"PAR1" + b"\0" * 64,
        b"\xff\xfe\x00",
        b"a,a\n1,2\n",
        b"a,b\n1\n",
        parquet(pa.table({"a": [1]}))[:-9],
    ],
)
def test_what_is_no_table_is_invalid(body):
    """Empty, cut short, not UTF-8, repeated names, ragged: one kind of error, and no foreign one."""
    with pytest.raises(Invalid) as error:
        tabular.table(file_of(body))
    assert error.value.next_step


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    """The bytes that were hashed are the bytes that were measured, or nothing is recorded."""
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n")
    file = tabular.measured(MemoryDesk(World(AREA)), str(path))
    tabular.unchanged(file)
    path.write_text("a\n2\n")
    with pytest.raises(Refused, match="changed while"):
        tabular.unchanged(file)


def test_a_stored_object_is_its_own_digest():
    """An altered object is not measured; a path that is not there is not found."""
    world = World(AREA)
    desk = MemoryDesk(world)
    name, _ = desk.put(BytesIO(b"a\n1\n"))
    assert tabular.measured(desk, name).digest == name
    world.objects[digest(1)] = b"a\n1\n"
    with pytest.raises(Tampered):
        tabular.measured(desk, digest(1))
    with pytest.raises(NotFound):
        tabular.measured(desk, "nowhere.csv")
