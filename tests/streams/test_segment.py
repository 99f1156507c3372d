"""Segments: columns say what rows say, one row is found with few reads, and no damage goes unseen or runs."""

from __future__ import annotations

import random
from itertools import pairwise

import pyarrow as pa
import pytest
from stored_segment import GROUP_ROWS, SCHEMA, Stored, rows

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger import merkle
from affidavit.streams.columnar import leaf_entries, row_values, table_of_entries, table_of_rows
from affidavit.streams.rows import decode_row, encode_row, leaf_of
from affidavit.streams.segment import Segment, rewrite_without

COUNT = 2 * GROUP_ROWS + 300


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return Stored(tmp_path_factory.mktemp("segment"), COUNT)


def test_columns_encode_to_the_bytes_of_rows():
    """By the column or one by one: the same bytes for every type, null, NaN, zero sign and length."""
    given, salts = rows(500), random.Random(3).randbytes(32 * 500)
    table = table_of_rows(SCHEMA, given)
    data, offsets = leaf_entries(SCHEMA, salts, table)
    found = [data[a:b] for a, b in pairwise(offsets.tolist())]
    assert found == [b"\0" + salts[n * 32 : n * 32 + 32] + row for n, row in enumerate(given)]
    for n, row in enumerate(given):
        assert encode_row(SCHEMA, row_values(SCHEMA, table, n)) == row
    part = leaf_entries(SCHEMA, salts[320:640], table.slice(10, 10))[0]
    assert part == b"".join(found[10:20])


def _spoil(row: bytes, draw: random.Random) -> bytes:
    choice = draw.randrange(4)
    if choice == 0:
        return row[: draw.randrange(len(row))]
    if choice == 1:
        return row + draw.randbytes(draw.randrange(1, 9))
    at = draw.randrange(len(row))
    return row[:at] + bytes([row[at] ^ 1 << draw.randrange(8)]) + row[at + 1 :]


def test_by_the_column_accepts_what_row_by_row_accepts():
    """Spoiled rows: both readers refuse the same ones, and name the first."""
    draw, refused = random.Random(4), 0
    good = rows(3)
    for _ in range(600):
        spoiled = _spoil(good[1], draw)
        try:
            decode_row(SCHEMA, spoiled)
        except Invalid:
            refused += 1
            with pytest.raises(Invalid) as error:
                table_of_entries(SCHEMA, [bytes(32) + r for r in (good[0], spoiled, good[2])])
            assert error.value.index == 1
        else:
            table = table_of_entries(SCHEMA, [bytes(32) + r for r in (good[0], spoiled, good[2])])[0]
            assert encode_row(SCHEMA, row_values(SCHEMA, table, 1)) == spoiled
    assert 200 < refused < 600


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 511, GROUP_ROWS, GROUP_ROWS + 1])
def test_every_row_is_proven_by_its_path(tmp_path, count):
    """Found by id, hashed to its leaf, led to the root: for odd sizes and the edges of tiles and groups."""
    stored = Stored(tmp_path, count)
    segment = stored.open()
    for index in {0, count // 2, count - 1, min(255, count - 1)}:
        found = segment.row(index)
        assert segment.find(stored.rows[index][33:49]) == index
        assert (found.row, found.leaf) == (stored.rows[index], leaf_of(found.salt, stored.rows[index]))
        merkle.verify_inclusion(found.leaf, index, count, segment.path(index), stored.root)


class Counting:
    """A file that counts what is read of it."""

    def __init__(self, file):
        self.file, self.read_bytes, self.closed = file, 0, False

    def read(self, size=-1):
        body = self.file.read(size)
        self.read_bytes += len(body)
        return body

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_one_row_is_found_with_few_reads(stored):
    """The footer, one id column, one row group, its leaves: not the file."""
    with stored.file.open("rb") as file, stored.tree.open("rb") as tree:
        counting = Counting(file)
        segment = Segment(counting, tree)
        index = segment.find(stored.rows[GROUP_ROWS + 5][33:49])
        assert segment.row(index).row == stored.rows[GROUP_ROWS + 5]
        segment.path(index)
        assert counting.read_bytes < 0.75 * stored.file.stat().st_size
        assert counting.read_bytes < 3 << 20


def test_a_table_of_chosen_columns_and_groups(stored):
    """Columns and groups by name and number; none, unknown ones and all."""
    segment = stored.open()
    assert segment.table(["at"], [2]).num_rows == 300
    assert segment.table([], []).num_rows == segment.table(groups=[]).num_rows == 0
    read = segment.table().select(SCHEMA.names)
    assert leaf_entries(SCHEMA, stored.salts, read)[0] == leaf_entries(SCHEMA, stored.salts, stored.table)[0]
    assert segment.leaves() == stored.leaves
    with pytest.raises(Invalid, match="no column 'nope'"):
        segment.table(["nope"])
    with pytest.raises(NotFound):
        segment.row(COUNT)
    with pytest.raises(NotFound):
        Segment(stored.file.open("rb")).path(0)


def test_erased_rows_keep_leaf_root_and_tiles(stored, tmp_path):
    """Salt and payload are gone, twice over; the others are found, and every path still leads to the root."""
    once, twice = tmp_path / "once", tmp_path / "twice"
    first = rewrite_without(stored.open(), {0, 7, COUNT - 1}, once)
    again = Segment(once.open("rb"), stored.tree.open("rb"))
    second = rewrite_without(again, {8}, twice)
    segment = Segment(twice.open("rb"), stored.tree.open("rb"))
    assert first.root == second.root == stored.written.root
    assert first.tree == second.tree == stored.written.tree
    assert len({first.file, second.file, stored.written.file}) == 3
    for index in (0, 7, 8, COUNT - 1):
        found = segment.row(index)
        assert (found.salt, found.row) == (None, None)
        merkle.verify_inclusion(found.leaf, index, COUNT, segment.path(index), stored.root)
        assert stored.rows[index][33:49] not in twice.read_bytes()
    assert segment.find(stored.rows[7][33:49]) is None
    assert segment.row(9).row == stored.rows[9]
    with pytest.raises(NotFound):
        rewrite_without(stored.open(), {COUNT}, tmp_path / "none")


def _look(stored, file, tree):
    """What a reader is told of a row, or ``None`` where damage was named; wrong values never pass."""
    index = 5
    try:
        segment = stored.open(file, tree)
        place = segment.find(stored.rows[index][33:49])
        if place is None:
            return None
        found = segment.row(place)
        merkle.verify_inclusion(found.leaf, place, COUNT, segment.path(place), stored.root)
    except (Tampered, NotFound):
        return None
    return found.row


def test_no_flipped_bit_gives_a_wrong_row(stored):
    """Bits of pages, footer and tiles flipped: the row is right, or the damage is named; nothing else is raised."""
    draw, body, tiles = random.Random(6), stored.file.read_bytes(), stored.tree.read_bytes()
    footer = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    places = [draw.randrange(len(body)) for _ in range(150)] + [draw.randrange(footer, len(body)) for _ in range(250)]
    named = 0
    for at in places:
        row = _look(stored, body[:at] + bytes([body[at] ^ 1 << draw.randrange(8)]) + body[at + 1 :], tiles)
        assert row in (None, stored.rows[5])
        named += row is None
    assert named > 20
    for at in range(0, len(tiles), 40):
        assert _look(stored, body, tiles[:at] + bytes([tiles[at] ^ 1]) + tiles[at + 1 :]) in (None, stored.rows[5])


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1, -9])
def test_a_truncated_file_is_named(stored, keep):
    """Cut anywhere, it is no segment."""
    with pytest.raises(Tampered):
        stored.open(stored.file.read_bytes()[:keep] or b"\0")


def test_other_files_are_no_segments(stored, tmp_path):
    """Truncated tiles, foreign Parquet, columns beside the schema, a swapped segment: each is named."""
    import pyarrow.parquet as pq

    with pytest.raises(Tampered, match="cut short"):
        stored.open(tree=b"").path(5)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    with pytest.raises(Tampered, match="no segment"):
        Segment((tmp_path / "other").open("rb"))
    odd = stored.open().table().append_column("more", pa.nulls(COUNT, pa.int64()))
    pq.write_table(odd, tmp_path / "odd")
    with pytest.raises(Tampered, match="not those of its schema"):
        Segment((tmp_path / "odd").open("rb"))
    (tmp_path / "b").mkdir()
    other = Stored(tmp_path / "b", COUNT - 1)
    segment = other.open()
    with pytest.raises(Tampered):
        merkle.verify_inclusion(segment.row(5).leaf, 5, COUNT - 1, segment.path(5), stored.root)
