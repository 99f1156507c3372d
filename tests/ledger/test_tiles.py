"""Paths, bundles, growth and proofs from tiles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger import growth, merkle, tiles
from affidavit.ledger.reader import TileReader
from affidavit.ledger.tiles import ENTRIES, Tile

PATHS = [
    (Tile(0, 0), "tile/0/000"),
    (Tile(0, 1234067), "tile/0/x001/x234/067"),
    (Tile(0, 1234067, 8), "tile/0/x001/x234/067.p/8"),
    (Tile(15, 455_667), "tile/15/x455/667"),
    (Tile(63, 999_999_999_999_999_999, 255), "tile/63/x999/x999/x999/x999/x999/999.p/255"),
    (Tile(1, 0, 1), "tile/1/000.p/1"),
    (Tile(ENTRIES, 1, 255), "tile/entries/001.p/255"),
    (Tile(ENTRIES, 123_456_789), "tile/entries/x123/x456/789"),
]


@pytest.mark.parametrize(("tile", "path"), PATHS)
def test_paths_go_both_ways(tile, path):
    """A tile has one path, and the path names that tile."""
    assert tile.path == path
    assert tiles.parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/", "checkpoint", "/tile/0/000", "tile/0/000/", "tile//000", "Tile/0/000",
        "tile/00/000", "tile/64/000", "tile/-1/000", "tile/+1/000", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000",
        "tile/0/x000/000", "tile/0/x000/x001/002", "tile/0/001/002", "tile/0/x1/002", "tile/0/001.p", "tile/0/001.p/",
        "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/01", "tile/0/001.p/999", "tile/0/001.p/1/2", "tile/0/001.p/-1",
        "tile/0/../000", "tile/0/..", "tile/0/000\n", "tile/0/\u0660\u0661\u0662", "tile/\u0661/000", "tile/0/000.p/\u0661",
        "tile/entries", "tile/entries/0", "tile/data/000", "tile/0/" + "x999/" * 6 + "999", "tile/0/" + "x999/" * 60 + "999",
        "tile\\0\\000", "tile/0/000.P/1", "tile/0/ 00",
    ],
)  # fmt: skip
def test_other_paths_are_invalid(path):
    """Any other spelling is refused, so that no file hides under a second name."""
    with pytest.raises(Invalid):
        tiles.parse_path(path)


def test_a_path_that_is_no_text_is_invalid():
    """Bytes and None raise Invalid, not TypeError."""
    for value in (None, b"tile/0/000", 7):
        with pytest.raises(Invalid):
            tiles.parse_path(value)


def test_tiles_of_a_size():
    """The examples of C2SP tlog-tiles: sizes 256 and 70,000."""
    assert [t.path for t in tiles.tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    found = list(tiles.tiles_of(70_000))
    by_level = {level: [t for t in found if t.level == level] for level in (-1, 0, 1, 2, 3)}
    assert len(by_level[0]) == len(by_level[-1]) == 274
    assert by_level[0][-1] == Tile(0, 273, 112)
    assert by_level[1] == [Tile(1, 0), Tile(1, 1, 17)]
    assert by_level[2] == [Tile(2, 0, 1)]
    assert not by_level[3]
    assert list(tiles.tiles_of(0)) == []
    assert [t.path for t in tiles.tiles_of(1)] == ["tile/entries/000.p/1", "tile/0/000.p/1"]


@given(st.integers(0, 1 << 40))
def test_the_edge_spells_the_size(size):
    """The widths at the right edge are the digits of the size in base 256."""
    assert sum(t.width * t.span for t in tiles.edge_of(size)) == size
    for tile in tiles.edge_of(size):
        assert tiles.width_at(tile.level, tile.index, size) == tile.width


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_go_both_ways(entries):
    """Encoding and decoding a bundle loses nothing."""
    assert tiles.decode_bundle(tiles.encode_bundle(entries), len(entries)) == entries


def test_bundle_limits():
    """An entry of 65,535 bytes fits, a longer one or a 257th does not."""
    body = tiles.encode_bundle([b"x" * 65_535])
    assert body[:2] == b"\xff\xff"
    assert tiles.decode_bundle(body, 1) == [b"x" * 65_535]
    with pytest.raises(Invalid, match="65536"):
        tiles.encode_bundle([b"x" * 65_536])
    with pytest.raises(Invalid, match="257"):
        tiles.encode_bundle([b""] * 257)


@pytest.mark.parametrize(
    ("body", "width"),
    [
        (b"", 1),
        (b"\x00", 1),
        (b"\x00\x01", 1),
        (b"\x00\x01a", 2),
        (b"\x00\x01ab", 1),
        (b"\x00\x00\x00\x00", 1),
        (b"\x00\x02a", 1),
        (b"\xff\xff" + b"a" * 65_534, 1),
    ],
)
def test_malformed_bundles_are_tampered(body, width):
    """Missing entries, cut lengths and trailing bytes are all refused."""
    with pytest.raises(Tampered):
        tiles.decode_bundle(body, width)


@pytest.mark.parametrize("width", [0, -1, 257])
def test_impossible_widths_are_invalid(width):
    """A bundle has 1 to 256 entries."""
    with pytest.raises(Invalid):
        tiles.decode_bundle(b"", width)
    with pytest.raises(Invalid):
        Tile(0, 0, width)


@pytest.mark.parametrize("body", [b"", b"x" * 31, b"x" * 33, b"x" * 96])
def test_tiles_of_wrong_length_are_tampered(body):
    """A tile of width 2 has 64 bytes."""
    with pytest.raises(Tampered):
        tiles.decode_tile(body, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_growth_in_steps_equals_growth_at_once(make_steps):
    """However entries are batched, root and present tiles are the same, and all tiles that must exist do."""
    files: dict[str, bytes] = {}

    def read(path):
        if path not in files:
            raise NotFound(path)
        return files[path]

    size, root = 0, merkle.EMPTY_ROOT
    for step in make_steps:
        grown = growth.grow(read, size, [b"%d" % i for i in range(size, size + step)], root=root)
        files.update(grown.puts)
        size, root = grown.size, grown.root
    hashes = merkle.leaf_hashes(b"%d" % i for i in range(size))
    assert root == merkle.root(hashes)
    once = growth.grow(lambda path: read("none"), 0, [b"%d" % i for i in range(size)])
    assert once.root == root
    assert dict(once.puts) == {tile.path: files[tile.path] for tile in tiles.tiles_of(size)}


def test_growth_without_entries_writes_nothing(make_log):
    """No entries: no puts, the same root; and a partial tile that did not change is not written again."""
    log = make_log(300)
    grown = growth.grow(log.read, 300, [], root=log.root)
    assert (grown.puts, grown.size, grown.root) == ([], 300, log.root)
    assert [path for path, _ in growth.grow(log.read, 300, [b"x"], root=log.root).puts] == [
        "tile/entries/001.p/45",
        "tile/0/001.p/45",
    ]


def test_growth_across_levels(make_log):
    """Growing over 65,536 entries fills level 1 and opens level 2."""
    log = make_log(65_535, 65_537)
    assert {"tile/1/000", "tile/2/000.p/1", "tile/0/256.p/1", "tile/entries/256.p/1"} <= set(log)
    assert "tile/1/001.p/1" not in log
    assert TileReader(log.read, 65_537).root() == log.root


def test_growth_from_a_full_tile_when_partials_were_collected(make_log):
    """The right edge may be read from wider tiles: partials may be gone once the full tile exists."""
    log = make_log(200, 256)
    del log["tile/0/000.p/200"], log["tile/entries/000.p/200"]
    again = growth.grow(log.read, 200, log.entries[200:])
    assert again.root == log.root
    assert all(log[path] == body for path, body in again.puts)


@pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
def test_growth_on_a_damaged_edge_is_refused(make_log, path):
    """Nothing is derived from an edge that does not hash to the signed root."""
    log = make_log(300)
    log.flip(path, 5)
    with pytest.raises(Tampered):
        growth.grow(log.read, 300, [b"x"], root=log.root)
    del log[path]
    with pytest.raises(NotFound):
        growth.grow(log.read, 300, [b"x"], root=log.root)


def test_growth_refuses_a_long_entry(make_log):
    """An entry over 65,535 bytes is refused before anything is written."""
    with pytest.raises(Invalid):
        growth.grow(make_log(1).read, 1, [b"x" * 65_536])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_proofs_from_tiles(data):
    """Proofs from tiles equal those from all leaves, for any index and sizes."""
    size = data.draw(st.sampled_from([1, 2, 255, 256, 257, 511, 700, 1025]))
    entries = [b"%d" % i for i in range(size)]
    files = dict(growth.grow(lambda path: b"", 0, entries).puts)
    hashes = merkle.leaf_hashes(entries)
    reader = TileReader(files.__getitem__, size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert reader.inclusion_proof(index) == merkle.inclusion_proof(hashes, index)
    assert reader.consistency_proof(old) == merkle.consistency_proof(hashes, old)
    assert reader.root() == merkle.root(hashes)
    assert reader.entry(index) == entries[index]
    assert reader.leaf(index) == hashes[index]


def test_proofs_of_an_older_size(make_log):
    """A reader of an older size uses the partial tiles, or the full ones when those are gone."""
    log = make_log(200, 700)
    hashes = merkle.leaf_hashes(log.entries)
    for _ in range(2):
        reader = TileReader(log.read, 200)
        assert reader.root() == merkle.root(hashes[:200])
        assert reader.inclusion_proof(7) == merkle.inclusion_proof(hashes[:200], 7)
        assert reader.entry(199) == log.entries[199]
        log.pop("tile/0/000.p/200", None)
        log.pop("tile/entries/000.p/200", None)


def test_a_proof_reads_few_tiles(make_log):
    """An inclusion proof in a log of three levels reads at most two tiles per level."""
    log = make_log(66_000)
    log.reads.clear()
    TileReader(log.read, 66_000).inclusion_proof(12_345)
    assert len([path for path in log.reads if path in log]) <= 6


def test_reading_beyond_the_size_is_invalid(make_log):
    """There is no entry, node or proof at the size or beyond."""
    reader = TileReader(make_log(5).read, 5)
    for call in (reader.entry, reader.inclusion_proof, reader.leaf):
        with pytest.raises(Invalid):
            call(5)
    with pytest.raises(Invalid):
        reader.node(3, 0)
    assert TileReader(lambda path: b"", 0).root() == merkle.EMPTY_ROOT


def test_a_short_tile_is_tampered(make_log):
    """A truncated tile gives an error, never a wrong proof of the right length."""
    log = make_log(300)
    log["tile/0/001.p/44"] = log["tile/0/001.p/44"][:-32]
    with pytest.raises(Tampered):
        TileReader(log.read, 300).inclusion_proof(299)
