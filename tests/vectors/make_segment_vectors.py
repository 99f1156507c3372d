"""Write the vectors of rows, leaves, trees, headers and spool files: ``python tests/vectors/make_segment_vectors.py [FILE]``.

Deterministic: salts come from labels, times are constants. A test runs it again and compares every byte, and another
computes the same values with the standard library alone.
"""

from __future__ import annotations

import json
import math
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from affidavit.core.fields import read_time
from affidavit.streams import kinds, wal
from affidavit.streams.rows import encode_row, leaf_of
from affidavit.streams.schema import Column, Schema
from affidavit.streams.sealed import SegmentSealed, batch_leaves, batch_root, encode_headers
from affidavit.streams.segment import root_of, tiles_of

SCHEMA = Schema.of("decisions", [
    Column("id", "id"), Column("at", "time"), Column("version", "digest"), Column("adverse", "bool"), Column("in.n", "i64"),
    Column("in.s", "str"), Column("in.b", "bytes"), Column("out", "f64"),
])  # fmt: skip
STREAM = "4b1d2c3e-5f60-8a7b-8c9d-0e1f2a3b4c5d"
ORIGIN = "vectors.affidavit.dev/log/simulated"
_AT = 1_767_603_600_123


def _salt(n: int) -> bytes:
    return sha256(b"affidavit test salt %d" % n).digest()


def rows() -> list[list[Any]]:
    """Values in the schema's order: fixed columns first (id, at, version, adverse, in.n, out), then in.s and in.b."""
    ident = [bytes.fromhex(f"019b8d2f{n:04x}7000800000000000{n:04x}") for n in range(5)]
    digest = sha256(b"a model").digest()
    return [
        [ident[0], _AT, digest, True, 7, 0.5, "grün", b"\x00\xff"],
        [ident[1], _AT, digest, False, -1, -0.0, "", b""],
        [ident[2], _AT, digest, None, None, None, None, None],
        [ident[3], -1, digest, True, 2**63 - 1, math.nan, "a" * 40, b"x"],
        [ident[4], _AT, digest, False, -(2**63), -math.inf, "\u0000", b"y" * 3],
    ]


def _header(first: int, n: int, leaves: bytes) -> SegmentSealed:
    zero, at = "sha256:" + "00" * 32, read_time("2026-01-05T09:00:00.123Z")
    return SegmentSealed(
        STREAM, "decisions", first, first + n - 1, n, at, at, "sha256:" + root_of(leaves).hex(), SCHEMA.digest_text, zero,
        1234, zero, "affidavit/1.0", first + n + 2, first + n, "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d",
    )  # fmt: skip


def _opened() -> wal.Opened:
    boot, nonce = sha256(b"boot").hexdigest(), "00112233445566778899aabbccddeeff"
    return wal.Opened(
        wal.Opening(wal.FORMAT, ORIGIN, STREAM, "decisions", boot, 42, nonce, "affidavit/1.0", _AT, 1, 0),
        SCHEMA,
        {"prompt": "p"},
    )


def vectors() -> dict[str, Any]:
    """Everything, bytes in hexadecimal."""
    encoded = [encode_row(SCHEMA, r) for r in rows()]
    leaves = [leaf_of(_salt(n), row) for n, row in enumerate(encoded)]
    many = b"".join(sha256(b"leaf %d" % n).digest() for n in range(70_000))
    headers = [_header(0, 3, b"".join(leaves[:3])), _header(3, 2, b"".join(leaves[3:]))]
    waiting = kinds.groups_waiting(["sex", "age"])
    frames = [
        wal.frame(wal.OPEN, _opened().encode()), wal.frame(wal.ROW, wal.row_body(0, _salt(0), encoded[0])),
        wal.frame(wal.GAP, b'{"at":2,"end":1,"missed":3,"start":0,"why":"disk-full"}'),
        wal.frame(wal.CLOSE, b'{"at":3,"missed":3,"rows":1,"served":4}'),
    ]  # fmt: skip
    return {
        "batch": {
            "attachment": encode_headers(headers).decode(), "leaf_entries": [h.leaf_entry().decode() for h in headers],
            "leaves": [x.hex() for x in batch_leaves(headers)], "root": batch_root(headers),
        },
        "groups": {"sealed": kinds.groups(["sex", "age"]).encode().decode(), "waiting": waiting.encode().decode()},
        "rows": [
            {"leaf": leaf.hex(), "row": row.hex(), "salt": _salt(n).hex()}
            for n, (row, leaf) in enumerate(zip(encoded, leaves, strict=True))
        ],
        "schema": {"canonical": SCHEMA.encode().decode(), "digest": SCHEMA.digest_text},
        "spool": [f.hex() for f in frames],
        "trees": {str(n): root_of(many[: n * 32]).hex() for n in (1, 2, 3, 255, 256, 257, 4096, 65_536, 70_000)},
        "tiles": {str(n): sha256(tiles_of(many[: n * 32])).hexdigest() for n in (255, 256, 600, 65_536, 70_000)},
    }  # fmt: skip


def text() -> str:
    """The file as it is committed."""
    return json.dumps(vectors(), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("segments.json")
    target.write_text(text(), encoding="ascii")
