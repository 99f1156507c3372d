"""Port ``ObjectStore``: the name is the SHA-256 of the bytes; streams; nothing half-written."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc

import pytest

from affidavit.core.digest import read_verified
from affidavit.core.errors import Invalid, NotFound, StoreDown
from affidavit.store.durable import TEMP_PREFIX
from affidavit.store.files import FileObjectStore

ABSENT = "sha256:" + "0" * 64


class Zeros(io.RawIOBase):
    """A stream of ``size`` zero bytes that exist only while they are read."""

    def __init__(self, size):
        self.left = size

    def read(self, n=-1):
        n = min(n if n >= 0 else self.left, self.left)
        self.left -= n
        return bytes(n)


class Broken(io.RawIOBase):
    """A source that fails after its first chunk."""

    def __init__(self, error):
        self.parts = [b"x" * 1000]
        self.error = error

    def read(self, n=-1):
        if self.parts:
            return self.parts.pop()
        raise self.error


@pytest.mark.parametrize("body", [b"", b"abc", os.urandom(3 << 20)], ids=["empty", "small", "several chunks"])
def test_an_object_is_named_by_its_bytes(object_store, body):
    """Put gives name and length; open gives the bytes back; again is success."""
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    for _ in range(2):
        assert object_store.put(io.BytesIO(body)) == (digest, len(body))
    assert object_store.has(digest)
    with object_store.open(digest) as source:
        assert read_verified(source, digest, "object") == body
    assert list(object_store.list()) == [digest]


def test_a_stream_is_stored_from_where_it_stands(object_store):
    """The caller decides what was read before."""
    source = io.BytesIO(b"header+body")
    source.seek(7)
    assert object_store.put(source)[1] == 4


def test_an_absent_object_is_not_found(object_store):
    """Has says no, open raises, delete succeeds."""
    assert not object_store.has(ABSENT)
    object_store.delete(ABSENT)
    with pytest.raises(NotFound):
        object_store.open(ABSENT)
    assert list(object_store.list()) == []


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "0" * 64, "sha256:" + "A" * 64, "sha256:../../x", "sha512:" + "0" * 64]
)
def test_a_malformed_digest_is_invalid(object_store, digest):
    """It never becomes a path."""
    for use in (object_store.open, object_store.has, object_store.delete):
        with pytest.raises(Invalid):
            use(digest)


def test_delete_destroys_one_object(object_store):
    """The others stay; deleting twice is success; it can be stored again."""
    one, two = (object_store.put(io.BytesIO(body))[0] for body in (b"one", b"two"))
    object_store.delete(one)
    object_store.delete(one)
    assert not object_store.has(one) and list(object_store.list()) == [two]
    assert object_store.put(io.BytesIO(b"one"))[0] == one
    assert list(object_store.list()) == sorted([one, two])


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (lambda: Broken(OSError(5, "I/O error")), StoreDown),
        (lambda: Broken(ValueError("closed")), Invalid),
        (lambda: io.StringIO("text"), Invalid),
    ],
)
def test_a_failing_source_stores_nothing(object_store, source, error):
    """Its error is ours, and no part of it appears."""
    with pytest.raises(error):
        object_store.put(source())
    assert list(object_store.list()) == []


def test_a_failed_put_leaves_no_file(tmp_path):
    """Not even a temp."""
    store = FileObjectStore(tmp_path / "objects")
    with pytest.raises(StoreDown):
        store.put(Broken(OSError(5, "I/O error")))
    assert [p for p in (tmp_path / "objects").rglob("*") if p.is_file()] == []


def test_memory_does_not_grow_with_the_object(tmp_path):
    """A blob of 96 MiB passes in less than 6 MiB."""
    store = FileObjectStore(tmp_path / "objects")
    tracemalloc.start()
    try:
        assert store.put(Zeros(96 << 20))[1] == 96 << 20
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


def test_old_temp_files_are_swept_and_young_ones_stay(tmp_path):
    """A killed put leaves a temp file that no list shows."""
    store = FileObjectStore(tmp_path / "objects")
    assert store.sweep() == 0
    digest, _ = store.put(io.BytesIO(b"x"))
    for name, age_s in (("old", 7200), ("young", 0)):
        path = tmp_path / "objects/sha256" / (TEMP_PREFIX + name)
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    assert store.sweep() == 1
    assert list(store.list()) == [digest]
    assert (tmp_path / "objects/sha256" / (TEMP_PREFIX + "young")).exists()


@pytest.mark.skipif(os.name != "posix", reason="hard links of temp files are a POSIX matter")
def test_delete_reaches_a_copy_under_a_temp_name(tmp_path):
    """A put killed between link and unlink leaves a second name: erasing empties that one too."""
    store = FileObjectStore(tmp_path / "objects")
    digest, _ = store.put(io.BytesIO(b"personal"))
    left = tmp_path / "objects/sha256" / (TEMP_PREFIX + "left")
    os.link(tmp_path / "objects/sha256" / digest[7:9] / digest[9:], left)
    store.delete(digest)
    assert left.read_bytes() == b""
