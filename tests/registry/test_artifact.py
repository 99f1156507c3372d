"""Artifacts on their way in and out: what is refused, what is told apart, what a flipped byte does."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from registry_world import Desk, World, refused

from affidavit.artifacts import artifact, formats
from affidavit.core import canonical
from affidavit.core import digest as digests
from affidavit.core.errors import Invalid

TREE = b"tree\nversion=v4\nnum_class=1\n"


class Evil:
    def __reduce__(self):
        return (os.getcwd, ())


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, body in members.items():
            z.writestr(name.replace("__", "/").replace("_dot_", "."), body)
    return out.getvalue()


def npy(array, **options) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


PICKLE = [pickle.dumps(Evil(), protocol=n) for n in range(6)]
SAFE = (2).to_bytes(8, "little") + b"{}"
SNIFFED = [
    ("LightGBM text", "m.txt", TREE, "lightgbm"),
    ("XGBoost JSON", "m.json", b'{"learner":{"attributes":{}},"version":[3,0,0]}', "xgboost"),
    ("XGBoost JSON, other order", "m.json", b'{"version":[3,0,0], "learner" : {"attributes":{}}}', "xgboost"),
    ("XGBoost UBJ", "m.ubj", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "xgboost"),
    ("ONNX", "m.onnx", b"\x08\x09\x12\x07skl2onnx", "onnx"),
    ("safetensors", "m.safetensors", SAFE, "safetensors"),
    ("safetensors whose length looks like a pickle", "m", (640).to_bytes(8, "little") + b"{" + b" " * 700, "safetensors"),
    ("skops", "m.skops", zipped(schema_dot_json=b"{}", a_dot_npy=npy(np.zeros(2))), "skops"),
    ("plain JSON", "c.json", b'{"a":1}', "opaque"),
    ("text", "readme.txt", b"call me\nIshmael.\n", "opaque"),
    ("text that ends like a pickle", "x.txt", b"N.", "opaque"),
    ("bytes", "w.bin", b"\x80\x02\x00\x00\x00", "opaque"),
    ("nothing", "empty", b"", "opaque"),
    ("a zip of text", "a.zip", zipped(a=b"b"), "opaque"),
    *((f"pickle protocol {n}", "model.bin", body, "pickle") for n, body in enumerate(PICKLE)),
    ("pickle named as text", "model.txt", PICKLE[4], "pickle"),
    ("name says pickle", "model.pkl", b"?", "pickle"),
    ("name says joblib", "model.joblib", b"?", "joblib"),
    ("joblib", "model.bin", pickle.dumps({"joblib.numpy_pickle": Evil()}, protocol=4), "joblib"),
    ("zlib around a pickle", "m", zlib.compress(PICKLE[4]), "pickle"),
    ("gzip around a pickle", "m", gzip.compress(PICKLE[4]), "pickle"),
    ("bzip2 around a pickle", "m", bz2.compress(PICKLE[4]), "pickle"),
    ("xz around a pickle", "m", lzma.compress(PICKLE[4]), "pickle"),
    ("object array", "a.npy", npy(np.array([Evil()], dtype=object), allow_pickle=True), "pickle"),
    ("torch zip", "m.pt", zipped(archive__data_dot_pkl=PICKLE[2]), "pickle"),
    ("pickle in a zip under an honest name", "m.zip", zipped(weights_dot_bin=PICKLE[4]), "pickle"),
    ("object array in an npz", "m.npz", zipped(a_dot_npy=npy(np.array([Evil()], dtype=object), allow_pickle=True)), "pickle"),
    ("zip in a zip", "m.zip", zipped(inner_dot_zip=zipped(data_dot_pkl=PICKLE[2])), "pickle"),
    ("skops with a pickle inside", "m.skops", zipped(schema_dot_json=b"{}", x_dot_bin=PICKLE[4]), "pickle"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "name", "body", "expected"), SNIFFED, ids=[s[0] for s in SNIFFED])
def test_formats_are_told_from_bytes(what, name, body, expected):
    assert formats.sniff(name, io.BytesIO(body), len(body)) == expected


@pytest.mark.parametrize("cut", range(0, 80, 7))
def test_no_prefix_of_a_zip_or_pickle_breaks_the_sniffer(cut):
    for body in (zipped(a=b"b"), *PICKLE, gzip.compress(PICKLE[4])):
        assert formats.sniff("x", io.BytesIO(body[:cut]), len(body[:cut])) in {
            *formats.MODELS,
            "opaque",
            "pickle",
            "joblib",
        }


DECLARED = [
    ("right", "lightgbm", {"m.txt": TREE}, None),
    ("with a readme beside it", "lightgbm", {"m.txt": TREE, "README": b"words"}, None),
    ("another than declared", "onnx", {"m.txt": TREE}, "onnx was declared, the bytes are lightgbm"),
    ("opaque though known", "opaque", {"m.txt": TREE}, "opaque was declared, the bytes are lightgbm"),
    ("a model though unknown", "skops", {"m.bin": b"?"}, "skops was declared, the bytes are none"),
    ("a pickle beside the model", "lightgbm", {"m.txt": TREE, "pre.bin": PICKLE[4]}, "pre.bin is or holds a pickle"),
    ("a pickle called opaque", "opaque", {"m.bin": PICKLE[0]}, "m.bin is or holds a pickle"),
    ("opaque", "opaque", {"m.bin": b"?"}, None),
    ("pickle declared as such", "pickle", {"m.pkl": PICKLE[4]}, None),
    ("pickle declared, none there", "pickle", {"m.txt": TREE}, "pickle was declared"),
]


@pytest.mark.parametrize(("what", "declared", "files", "says"), DECLARED, ids=[d[0] for d in DECLARED])
def test_the_declared_format_is_what_the_bytes_are(tmp_path, what, declared, files, says):
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    if says is None:
        assert artifact.store(Desk(World()), str(tmp_path), declared).format == declared
    else:
        with refused(Invalid, says=says):
            artifact.store(Desk(World()), str(tmp_path), declared)


def link(folder):
    (folder / "link").symlink_to("/etc/hostname")


def linked_folder(folder):
    (folder / "sub").symlink_to("/etc")


def pipe(folder):
    os.mkfifo(folder / "pipe")


def control_character(folder):
    (folder / "a\nb").write_bytes(b"x")


def backslash(folder):
    (folder / "a\\..\\b").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(link, "symbolic link"), (linked_folder, "symbolic link"), (pipe, "neither file nor folder"),
     (control_character, "control character"), (backslash, "not portable")],
)  # fmt: skip
def test_a_folder_is_refused_whole(tmp_path, spoil, says):
    (tmp_path / "m.txt").write_bytes(TREE)
    spoil(tmp_path)
    desk = Desk(World())
    with refused(Invalid, says=says):
        artifact.store(desk, str(tmp_path), "lightgbm")


def test_nothing_and_too_much_are_refused(tmp_path, monkeypatch):
    with refused(Invalid, says="holds no file"):
        artifact.store(Desk(World()), str(tmp_path), "opaque")
    with refused(Invalid, says="cannot be read"):
        artifact.store(Desk(World()), str(tmp_path / "missing"), "opaque")
    monkeypatch.setattr(artifact, "MOST_FILES", 3)
    for n in range(4):
        (tmp_path / f"f{n}").write_bytes(b"x")
    with refused(Invalid, says="more than 3 files"):
        artifact.store(Desk(World()), str(tmp_path), "opaque")


def test_the_artifact_itself_may_not_be_a_link(tmp_path):
    (tmp_path / "real").write_bytes(TREE)
    (tmp_path / "m").symlink_to(tmp_path / "real")
    with refused(Invalid, says="symbolic link"):
        artifact.store(Desk(World()), str(tmp_path / "m"), "lightgbm")


def stored(tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "m.txt").write_bytes(TREE)
    (source / "sub" / "vocab.json").write_bytes(b"{}")
    desk = Desk(World())
    return desk, artifact.store(desk, str(source), "lightgbm")


def test_the_manifest_is_canonical_sorted_and_signed(tmp_path):
    desk, found = stored(tmp_path)
    body = desk.world.objects[found.manifest]
    assert canonical.decode(body)["v"] == 1
    assert [f["path"] for f in canonical.decode(body)["files"]] == ["m.txt", "sub/vocab.json"]
    assert digests.of_bytes(body) == found.manifest
    note = desk.world.objects[found.signature.digest]
    assert note.startswith(f"affidavit.dev/artifact/v1\n{found.manifest}\n".encode())
    assert (found.bytes, found.signature.kind) == (len(TREE) + 2, "signature")


def test_what_comes_out_is_what_went_in(tmp_path):
    desk, found = stored(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    declared, files = artifact.restore(desk, found.manifest, out)
    assert (declared, len(files)) == ("lightgbm", 2)
    assert (out / "m.txt").read_bytes() == TREE


def test_every_flipped_byte_is_found_and_nothing_is_left(tmp_path):
    desk, found = stored(tmp_path)
    for name in (found.manifest, *(f.sha256 for f in found.files)):
        whole = desk.world.objects[name]
        for place in range(0, len(whole), 5):
            desk.world.objects[name] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            out = tmp_path / f"out-{name[-6:]}-{place}"
            out.mkdir()
            with pytest.raises(artifact.ArtifactTampered) as e:
                artifact.restore(desk, found.manifest, out)
            assert e.value.expected == name
            assert e.value.found == digests.of_bytes(desk.world.objects[name])
            assert not [p for p in out.rglob("*") if p.is_file()]
        desk.world.objects[name] = whole


def test_a_shortened_and_a_lengthened_file_are_found(tmp_path):
    desk, found = stored(tmp_path)
    name = found.files[0].sha256
    for body in (TREE[:-1], TREE + b"\n", b""):
        desk.world.objects[name] = body
        with pytest.raises(artifact.ArtifactTampered):
            out = tmp_path / f"out{len(body)}"
            out.mkdir()
            artifact.restore(desk, found.manifest, out)


D = "sha256:" + "0" * 64
BAD_PATHS = ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\\b", "c:x", "a\nb", "", "a/"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_manifest_that_leaves_the_folder_is_refused(path):
    with refused(Invalid):
        artifact.parse_manifest(
            canonical.encode({"v": 1, "format": "opaque", "files": [{"path": path, "bytes": 1, "sha256": D}]})
        )


@pytest.mark.parametrize(
    "value",
    [
        [], {}, {"v": 2, "format": "opaque", "files": []}, {"v": 1, "format": "opaque", "files": []},
        {"v": 1, "format": 3, "files": [{"path": "a", "bytes": 1, "sha256": D}]},
        {"v": 1, "format": "opaque", "files": [{"path": "a", "bytes": 1, "sha256": "x"}]},
        {"v": 1, "format": "opaque", "files": [{"path": "a", "bytes": True, "sha256": D}]},
        {"v": 1, "format": "opaque", "files": [{"path": n, "bytes": 1, "sha256": D} for n in ("b", "a")]},
        {"v": 1, "format": "opaque", "files": [{"path": n, "bytes": 1, "sha256": D} for n in ("a", "a")]},
        {"v": 1, "format": "opaque", "files": [{"path": n, "bytes": 1, "sha256": D} for n in ("a", "a/b")]},
    ],
)  # fmt: skip
def test_a_malformed_manifest_is_refused(value):
    with refused(Invalid):
        artifact.parse_manifest(canonical.encode(value))


def test_an_uploaded_object_is_taken_by_its_digest(tmp_path):
    desk, found = stored(tmp_path)
    single = desk.put(io.BytesIO(TREE))[0]
    assert artifact.store(desk, single, "lightgbm").files[0].path == "model.lightgbm"
    assert artifact.store(desk, found.manifest, "lightgbm").manifest == found.manifest
    desk.world.objects[found.files[1].sha256] = b"[]"
    with pytest.raises(artifact.ArtifactTampered):
        artifact.store(desk, found.manifest, "lightgbm")


class Sink(Desk):
    """Swallows what is put, as a store that streams does."""

    def put(self, source):
        import hashlib

        state, size = hashlib.sha256(), 0
        while chunk := source.read(1 << 20):
            state.update(chunk)
            size += len(chunk)
        return "sha256:" + state.hexdigest(), size


def test_memory_stays_flat_over_a_large_file(tmp_path):
    big = tmp_path / "m.bin"
    with big.open("wb") as out:
        out.truncate(256 << 20)  # sparse: read as zeros
    tracemalloc.start()
    found = artifact.store(Sink(World()), str(big), "opaque")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.bytes == 256 << 20
    assert peak < 8 << 20
