"""Write the vectors of our own log formats: ``python tests/vectors/make_log_vectors.py [DIRECTORY]``.

Deterministic: keys come from fixed labels, times are constants, Ed25519 signatures have no randomness.
A test runs it again and compares every byte, so a change of format shows as a change of these files.
The keys are public by construction; nothing outside of the tests may trust them.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from affidavit.core.errors import NotFound
from affidavit.ledger import growth, merkle
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.proofs import Accepted, make_receipt, sign_accepted
from affidavit.ledger.reader import TileReader
from affidavit.ledger.succession import Recovery, Rotation, sign_recovery, sign_rotation

ORIGIN = "vectors.affidavit.dev/log/simulated"
SIZES = (1, 3, 200, 256, 300)
RECEIPT_INDEX = 270


def test_signer(label: str, name: str = ORIGIN) -> Ed25519Signer:
    """The signer whose seed is the SHA-256 of a label."""
    return Ed25519Signer(name, sha256(b"affidavit test key: " + label.encode()).digest())


def entry(index: int) -> bytes:
    """The body of a test entry: lengths vary, and entry 7 is empty."""
    return b"" if index == 7 else b'{"n":%d,"pad":"%s"}' % (index, b"x" * (index % 13))


def write_log(signer: Ed25519Signer) -> dict[str, bytes]:
    """Every file of a log that was published at each of ``SIZES``; older checkpoints as ``checkpoint.<size>``."""
    files: dict[str, bytes] = {}

    def read(path: str) -> bytes:
        if path not in files:
            raise NotFound(path)
        return files[path]

    size, root = 0, merkle.EMPTY_ROOT
    for target in SIZES:
        grown = growth.grow(read, size, [entry(index) for index in range(size, target)], root=root)
        size, root = grown.size, grown.root
        files.update(grown.puts)
        files["checkpoint"] = sign_checkpoint(Checkpoint(ORIGIN, size, root), signer)
        files[f"checkpoint.{size}"] = files["checkpoint"]
    return files


def write_notes(log: dict[str, bytes], signer: Ed25519Signer) -> dict[str, bytes]:
    """One file per format of docs/spec/log.md."""
    new, recovery = test_signer("new log"), test_signer("recovery", "vectors.affidavit.dev/recovery")
    at = datetime(2026, 3, 1, 12, 30, 45, 678000, tzinfo=UTC)
    promise = Accepted(ORIGIN, RECEIPT_INDEX, merkle.leaf_hash(entry(RECEIPT_INDEX)), at)
    reader = TileReader(log.__getitem__, SIZES[-1])
    keys = {
        "entry_270_hex": entry(RECEIPT_INDEX).hex(),
        "log_vkey": signer.vkey,
        "new_vkey": new.vkey,
        "recovery_vkey": recovery.vkey,
        "roots": {size: merkle.root(merkle.leaf_hashes(entry(i) for i in range(size))).hex() for size in range(18)},
    }
    return {
        "accepted.txt": sign_accepted(promise, signer),
        "keys.json": json.dumps(keys, indent=1, sort_keys=False).encode() + b"\n",
        "receipt.tlog-proof": make_receipt(reader, RECEIPT_INDEX, log["checkpoint"]).encode(),
        "receipt-extra.tlog-proof": make_receipt(reader, 0, log["checkpoint"], b"unauthenticated").encode(),
        "recovery.txt": sign_recovery(Recovery(ORIGIN, new.vkey, 280), recovery),
        "rotation.txt": sign_rotation(Rotation(ORIGIN, new.vkey, 300), signer, new),
    }


def vectors() -> dict[str, bytes]:
    """Every file by its path below the directory of the vectors."""
    signer = test_signer("log")
    log = write_log(signer)
    older = {path: body for path, body in log.items() if path.startswith("checkpoint.")}
    files = {f"smalllog/{path}": body for path, body in log.items() if path not in older}
    files |= {f"formats/{path}": body for path, body in older.items()}
    return files | {f"formats/{path}": body for path, body in write_notes(log, signer).items()}


def main(directory: Path) -> None:
    """Write all vectors below ``directory``."""
    for path, body in vectors().items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
