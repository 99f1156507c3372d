"""The canonical bytes of a row are pinned here: they are part of what a dataset's registration commits to."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import random
import struct
from decimal import Decimal

import pyarrow as pa
import pytest

from affidavit.areas.lineage import rowset
from affidavit.core.errors import Invalid
from affidavit.ledger.merkle import leaf_hash, root

KEY = bytes(range(32))


def whole(n: int) -> bytes:
    return b"\x02" + struct.pack("<q", n)


def floating(x: float) -> bytes:
    return b"\x04" + struct.pack("<d", x)


def text(s: str) -> bytes:
    return b"\x05" + struct.pack("<I", len(s.encode())) + s.encode()


DAY = dt.date(2026, 3, 2)
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
CELLS = [
    (pa.array([1, None], pa.int8()), whole(1), b"\x00"),
    (pa.array([-(2**63), 2**63 - 1], pa.int64()), whole(-(2**63)), whole(2**63 - 1)),
    (pa.array([2**64 - 1, 0], pa.uint64()), b"\x03" + b"\xff" * 8, b"\x03" + bytes(8)),
    (pa.array([True, False]), b"\x01\x01", b"\x01\x00"),
    (pa.array([None, True]), b"\x00", b"\x01\x01"),
    (pa.array([float("nan"), -0.0]), b"\x04" + struct.pack("<Q", 0x7FF8000000000000), floating(-0.0)),
    (pa.array([0.1, None], pa.float32()), floating(struct.unpack("<f", struct.pack("<f", 0.1))[0]), b"\x00"),
    (pa.array(["é", ""]), text("é"), text("")),
    (pa.array(["a", None]).dictionary_encode(), text("a"), b"\x00"),
    (pa.array([b"\x00\xff", None], pa.large_binary()), b"\x06\x02\x00\x00\x00\x00\xff", b"\x00"),
    (pa.array([DAY, None], pa.date32()), whole((DAY - dt.date(1970, 1, 1)).days), b"\x00"),
    (pa.array([NOON, None], pa.timestamp("us", "UTC")), whole(int(NOON.timestamp()) * 10**6), b"\x00"),
    (pa.array([dt.time(0, 1), None], pa.time32("s")), whole(60), b"\x00"),
    (pa.array([dt.timedelta(seconds=2), None], pa.duration("ms")), whole(2000), b"\x00"),
    (pa.array([Decimal("1.50"), None], pa.decimal128(6, 2)), text("1.50"), b"\x00"),
    (pa.array([None, None], pa.null()), b"\x00", b"\x00"),
]


@pytest.mark.parametrize(
    ("array", "first", "second"), CELLS, ids=lambda x: str(x.type) if isinstance(x, pa.Array) else ""
)
def test_a_cell_has_one_form(array, first, second):
    """Tag and value of every column type, spelled out."""
    assert rowset.encoded_rows(pa.table({"x": array})) == [first, second]


def test_a_row_is_its_cells_in_order():
    """Fixed and varying columns, with and without nulls, in one row."""
    table = pa.table({f"c{i}": array for i, (array, _, _) in enumerate(CELLS)})
    assert rowset.encoded_rows(table) == [b"".join(c[1] for c in CELLS), b"".join(c[2] for c in CELLS)]
    assert rowset.encoded_rows(table.to_batches()[0]) == rowset.encoded_rows(table)


def test_the_digest_of_a_set_is_pinned():
    """HMAC-SHA-256 over schema digest and row, sorted, RFC 6962 root: written out by hand once."""
    table = pa.table({"n": [2, 1, 2], "s": ["b", "a", "b"]})
    schema = b'{"columns":[{"name":"n","type":"int64"},{"name":"s","type":"text"}]}'
    assert rowset.schema_bytes(table.schema) == schema
    prefix = hashlib.sha256(schema).digest()
    rows = [whole(2) + text("b"), whole(1) + text("a"), whole(2) + text("b")]
    hashes = [hmac.new(KEY, prefix + row, "sha256").digest() for row in rows]
    assert rowset.row_hashes(table, schema, KEY) == hashes
    by_hand = "sha256:" + root([leaf_hash(h) for h in sorted(hashes)]).hex()
    assert rowset.set_digest(hashes) == by_hand
    assert by_hand == PINNED


PINNED = "sha256:942293de63c41f57c946de144de3461cd1e2334d8a7a5dc09685b53cb03d3e90"


def digest_of(table: pa.Table, key: bytes = KEY) -> str:
    return rowset.set_digest(rowset.row_hashes(table, rowset.schema_bytes(table.schema), key))


def test_a_set_has_no_order_and_counts_its_duplicates():
    """Any order of rows gives the digest; a row more, less or changed does not; another key does not."""
    rows = [{"n": i % 7, "s": str(i % 3)} for i in range(50)]
    given = digest_of(pa.Table.from_pylist(rows))
    mixed = random.Random(1).sample(rows, len(rows))
    assert digest_of(pa.Table.from_pylist(mixed)) == given
    assert digest_of(pa.Table.from_pylist([*rows, rows[0]])) != given
    assert digest_of(pa.Table.from_pylist(rows[1:])) != given
    assert digest_of(pa.Table.from_pylist([{**rows[0], "n": 8}, *rows[1:]])) != given
    assert digest_of(pa.Table.from_pylist(rows), bytes(32)) != given


def test_cells_do_not_run_into_one_another():
    """Lengths are part of the bytes: ("ab", "c") is not ("a", "bc"), null is not empty text, 1 is not 1.0."""
    pairs = [
        (pa.table({"x": ["ab"], "y": ["c"]}), pa.table({"x": ["a"], "y": ["bc"]})),
        (pa.table({"x": pa.array([None], pa.string())}), pa.table({"x": [""]})),
        (pa.table({"x": [1]}), pa.table({"x": [1.0]})),
        (pa.table({"x": [1]}), pa.table({"y": [1]})),
    ]
    for one, other in pairs:
        assert digest_of(one) != digest_of(other)


def test_the_layout_of_arrow_does_not_count():
    """Chunks, dictionaries and large strings give the digest of the plain column."""
    plain = pa.table({"s": ["a", "b", "a"]})
    chunked = pa.table({"s": pa.chunked_array([["a"], ["b", "a"]])})
    encoded = pa.table({"s": plain["s"].combine_chunks().dictionary_encode()})
    large = plain.cast(pa.schema([("s", pa.large_string())]))
    assert {digest_of(t) for t in (plain, chunked, encoded, large)} == {digest_of(plain)}


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"x": [[1, 2]]}),
        pa.table({"x": [{"a": 1}]}),
        pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]),
        pa.table([pa.array([1])], names=[" "]),
        pa.table({}),
    ],
)
def test_a_table_that_has_no_canonical_rows_is_refused(table):
    """Nested cells, repeated or missing names, no columns."""
    with pytest.raises(Invalid):
        rowset.schema_bytes(table.schema)
