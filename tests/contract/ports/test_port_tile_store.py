"""Port ``TileStore``: put-if-absent, one mutable checkpoint, computed paths only."""

from __future__ import annotations

import os
import stat

import pytest

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.store.durable import TEMP_PREFIX
from affidavit.store.files import FileTileStore


def test_what_was_put_is_read_back(tile_store):
    """Including a resource without bytes."""
    tile_store.put("tile/0/x001/234", b"\x00" * 64)
    tile_store.put("tile/0/000", b"")
    assert tile_store.get("tile/0/x001/234") == b"\x00" * 64
    assert tile_store.get("tile/0/000") == b""


def test_identical_bytes_again_are_success_and_other_bytes_are_tampered(tile_store):
    """A re-run writes the same; anything else is never overwritten."""
    tile_store.put("tile/0/000", b"a")
    tile_store.put("tile/0/000", b"a")
    with pytest.raises(Tampered):
        tile_store.put("tile/0/000", b"b")
    assert tile_store.get("tile/0/000") == b"a"


@pytest.mark.parametrize("path", ["tile/0/000", "tile", "checkpoint"])
def test_an_absent_resource_is_not_found(tile_store, path):
    """So is a folder and the checkpoint of an unpublished log."""
    tile_store.put("tile/1/000", b"a")
    with pytest.raises(NotFound):
        tile_store.get(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "tile/../../x",
        "tile//0",
        "tile/./0",
        "C:/x",
        "tile\\0",
        ".hidden",
        "tile/a\0b",
        "a/",
        "x.",
        TEMP_PREFIX + "1",
        "tile/\u00e9",
        "tile/" + "a" * 200,
    ],
)
def test_paths_that_are_not_computed_are_invalid(tile_store, path):
    """Nothing leaves the folder: no absolute path, drive, parent, hidden name or control character."""
    for use in (lambda: tile_store.put(path, b"x"), lambda: tile_store.get(path), lambda: tile_store.delete(path)):
        with pytest.raises(Invalid):
            use()


def test_the_checkpoint_is_replaced_by_publish_alone(tile_store):
    """``put`` never writes it."""
    tile_store.publish(b"one")
    tile_store.publish(b"two")
    assert tile_store.get("checkpoint") == b"two"
    with pytest.raises(Invalid):
        tile_store.put("checkpoint", b"three")


def test_delete_removes_partial_tiles_alone(tile_store):
    """Absent is success; full tiles and the checkpoint are refused; a partial can come back."""
    tile_store.put("tile/0/000.p/5", b"a")
    tile_store.put("tile/entries/000.p/5", b"e")
    tile_store.put("tile/0/000", b"b")
    for _ in range(2):
        tile_store.delete("tile/0/000.p/5")
    for path in ("tile/0/000", "checkpoint"):
        with pytest.raises(Invalid):
            tile_store.delete(path)
    assert list(tile_store.list("")) == ["tile/0/000", "tile/entries/000.p/5"]
    tile_store.put("tile/0/000.p/5", b"a")
    assert tile_store.get("tile/0/000.p/5") == b"a"


def test_listing_is_sorted_and_below_the_prefix(tile_store):
    """A prefix is a folder, not the start of a name; an absent one lists nothing."""
    for path in ("tile/1/000", "tile/0/x001/000", "tile/0/000.p/9", "tile/0/000", "tile/entries/000"):
        tile_store.put(path, b"x")
    tile_store.publish(b"c")
    assert list(tile_store.list("tile/0")) == ["tile/0/000", "tile/0/000.p/9", "tile/0/x001/000"]
    assert list(tile_store.list("tile/0/")) == list(tile_store.list("tile/0"))
    assert list(tile_store.list("tile/")) == list(tile_store.list(""))[1:]
    assert list(tile_store.list("tile/e")) == list(tile_store.list("tile/9")) == []
    with pytest.raises(Invalid):
        tile_store.list("../")


def test_an_empty_log_lists_nothing(tile_store):
    """Before the first put there is not even a folder."""
    assert list(tile_store.list("")) == []


def test_files_are_write_protected_and_leave_no_temp(tmp_path):
    """Immutable resources have no write bit; the checkpoint has."""
    store = FileTileStore(tmp_path / "log")
    store.put("tile/0/000", b"x")
    store.publish(b"c")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "log/tile/0/000").stat().st_mode) & 0o222 == 0
    assert sorted(p.name for p in (tmp_path / "log").rglob("*")) == ["0", "000", "checkpoint", "tile"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights on Windows")
def test_a_symbolic_link_in_place_of_a_tile_is_tampered(tmp_path):
    """Nobody redirects a tile."""
    store = FileTileStore(tmp_path / "log")
    store.put("tile/0/000", b"x")
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "log/tile/0/001").symlink_to(tmp_path / "secret")
    for use in (lambda: store.get("tile/0/001"), lambda: store.put("tile/0/001", b"s")):
        with pytest.raises(Tampered):
            use()


def test_two_stores_on_one_folder_agree(tmp_path):
    """Put-if-absent holds between objects: the second finds what the first stored."""
    one, two = FileTileStore(tmp_path / "log"), FileTileStore(tmp_path / "log")
    one.put("tile/0/000", b"x")
    two.put("tile/0/000", b"x")
    with pytest.raises(Tampered):
        two.put("tile/0/000", b"y")
