"""The committed vectors of our own formats: the generator still writes them, and they still verify."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from affidavit.core.errors import NotFound
from affidavit.ledger import merkle
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.proofs import Kept, check_accepted, open_accepted, parse_receipt
from affidavit.ledger.succession import follow, open_recovery, open_rotation

VECTORS = Path(__file__).parent.parent / "vectors"
FORMATS = VECTORS / "formats"
LOG = VECTORS / "smalllog"
KEYS = json.loads((FORMATS / "keys.json").read_text())
ORIGIN = "vectors.affidavit.dev/log/simulated"


def read(path: str) -> bytes:
    try:
        return (LOG / path).read_bytes()
    except FileNotFoundError:
        raise NotFound(path) from None


def paths() -> list[str]:
    return [path.relative_to(LOG).as_posix() for path in LOG.rglob("*") if path.is_file()]


def head(size: int = 300):
    return open_checkpoint((FORMATS / f"checkpoint.{size}").read_bytes(), [KEYS["log_vkey"]]).checkpoint


def test_the_generator_writes_the_same_bytes():
    """Formats are frozen: running the generator again changes no byte and adds no file."""
    spec = importlib.util.spec_from_file_location("make_log_vectors", VECTORS / "make_log_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = {
        path.relative_to(VECTORS).as_posix(): path.read_bytes()
        for folder in (FORMATS, LOG)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert module.vectors() == committed


@pytest.mark.parametrize("size", [1, 3, 200, 256, 300])
def test_the_small_log_verifies(size):
    """The log is sound and extends each checkpoint that it published."""
    report = verify_log(read, paths, [KEYS["log_vkey"]], against=(FORMATS / f"checkpoint.{size}").read_bytes())
    assert report.problems == ()
    assert report.root == head().root


def test_the_roots():
    """The roots of the first 0 to 17 entries, from the bundles."""
    found = []
    verify_log(read, paths, [KEYS["log_vkey"]], on_entry=lambda index, body: found.append(body))
    assert KEYS["roots"] == {str(n): merkle.root(merkle.leaf_hashes(found[:n])).hex() for n in range(18)}


def test_the_receipts():
    """Entry 270 is proven, and entry 0 with unauthenticated extra bytes."""
    leaf = merkle.leaf_hash(bytes.fromhex(KEYS["entry_270_hex"]))
    body = (FORMATS / "receipt.tlog-proof").read_bytes()
    receipt = parse_receipt(body)
    assert receipt.encode() == body
    assert receipt.index == 270
    assert receipt.verify(leaf, [KEYS["log_vkey"]]).checkpoint == head()
    extra = parse_receipt((FORMATS / "receipt-extra.tlog-proof").read_bytes())
    assert (extra.index, extra.extra) == (0, b"unauthenticated")


def test_the_promise():
    """The promise verifies and is kept."""
    promise = open_accepted((FORMATS / "accepted.txt").read_bytes(), [KEYS["log_vkey"]])
    assert check_accepted(promise, read, head()).verdict is Kept.KEPT


def test_the_key_changes():
    """Rotation and recovery verify, and each leads from the first key to the new one."""
    rotation, recovery = (FORMATS / "rotation.txt").read_bytes(), (FORMATS / "recovery.txt").read_bytes()
    assert open_rotation(rotation, [KEYS["log_vkey"]]).size == 300
    assert open_recovery(recovery, KEYS["recovery_vkey"]).size == 280
    for change, size in ((rotation, 300), (recovery, 280)):
        terms = follow(ORIGIN, KEYS["log_vkey"], [change], recovery_vkey=KEYS["recovery_vkey"])
        assert (terms[-1].vkey, terms[-1].start) == (KEYS["new_vkey"], size)
