"""What a model file is, told from its bytes and never by running it.

A pickle runs code when it is loaded, so one that hides (in a zip, behind compression, as an object
array) counts as a pickle whatever the file is called.
"""

from __future__ import annotations

import bz2
import lzma
import pickletools
import re
import zipfile
import zlib
from io import BytesIO
from typing import BinaryIO

HEAD = 1 << 16
"""Bytes of a file that are looked at."""
MOST_MEMBERS = 10_000
_GLOBAL = re.compile(rb"\(?[ci][A-Za-z_][\w.]*\r?\n[A-Za-z_][\w.]*\r?\n")
_JOBLIB = (b"joblib", b"NumpyArrayWrapper")
_PICKLED_NAMES = (".pkl", ".pickle", ".p")
_JOBLIB_NAMES = (".joblib",)
_ZIP = b"PK\x03\x04"
MODELS = ("lightgbm", "xgboost", "onnx", "safetensors", "skops")


def sniff(name: str, source: BinaryIO, size: int) -> str:
    """The format of one file: ``pickle``, ``joblib``, one of ``MODELS``, or ``opaque``. ``source`` can seek."""
    source.seek(0)
    head = source.read(HEAD)
    risky = _risky(name, head)
    if risky:
        return risky
    if head.startswith(_ZIP) or name.lower().endswith((".zip", ".npz", ".pt", ".pth", ".skops")):
        source.seek(0)
        found = _zip(source)
        if found:
            return found
    return _model(head, size)


def _risky(name: str, head: bytes) -> str | None:
    """``pickle`` or ``joblib`` if the bytes, plain or compressed, are a pickle stream, or the name says so."""
    for body in (head, *_unpacked(head)):
        if is_pickle(body):
            lower = name.lower()
            return "joblib" if lower.endswith(_JOBLIB_NAMES) or any(m in body for m in _JOBLIB) else "pickle"
        if body.startswith(b"\x93NUMPY") and b"'|O'" in body[:256]:
            return "pickle"
    lower = name.lower()
    if lower.endswith(_JOBLIB_NAMES):
        return "joblib"
    return "pickle" if lower.endswith(_PICKLED_NAMES) else None


def is_pickle(body: bytes) -> bool:
    """Whether bytes begin a pickle stream of any protocol. Read as opcodes; nothing is executed."""
    if body[:1] == b"\x80" and body[1:2] and body[1] <= 5:  # PROTO 2 to 5
        return _opcodes(body) >= 3
    if _GLOBAL.match(body):  # protocols 0 and 1 that import at once
        return True
    return _whole_pickle(body)


def _opcodes(body: bytes) -> int:
    """How many opcodes can be read, at most 8."""
    count = 0
    try:
        for _ in pickletools.genops(body):
            count += 1
            if count == 8:
                break
    except Exception:  # noqa: BLE001 - pickletools raises many kinds on bytes that are no pickle
        return count
    return max(count, 3)


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)


def _whole_pickle(body: bytes) -> bool:
    """Whether a short text is a complete pickle of protocol 0 or 1 that imports or calls something."""
    if len(body) >= HEAD or not body.rstrip(b"\n").endswith(b"."):
        return False
    try:
        pickletools.dis(body, out=_Nowhere())  # type: ignore[arg-type]
        names = {op.name for op, _, _ in pickletools.genops(body)}
    except Exception:  # noqa: BLE001 - as above
        return False
    return bool(names & {"GLOBAL", "INST", "STACK_GLOBAL", "REDUCE", "BUILD", "OBJ", "NEWOBJ"})


def _unpacked(head: bytes) -> list[bytes]:
    """The first bytes behind zlib, gzip, bzip2 or xz, as joblib and others write them; none if it is none."""
    found = []
    if head[:1] == b"\x78" or head[:2] == b"\x1f\x8b":
        found.append(_try(lambda: zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, HEAD)))
    if head[:3] == b"BZh":
        found.append(_try(lambda: bz2.BZ2Decompressor().decompress(head, HEAD)))
    if head[:6] == b"\xfd7zXZ\x00" or head[:2] == b"\x5d\x00":
        found.append(_try(lambda: lzma.LZMADecompressor().decompress(head, HEAD)))
    return [b for b in found if b]


def _try(unpack: object) -> bytes:
    try:
        return bytes(unpack())  # type: ignore[operator]
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
        return b""


def _zip(source: BinaryIO) -> str | None:
    """``skops``, or ``pickle`` if any member is one; None for any other zip."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                return "pickle"  # not to be looked through: treated as the worst it may hold
            for member in members:
                if not member.is_dir() and _member_risky(archive, member):
                    return "pickle"
            return "skops" if "schema.json" in archive.namelist() else None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error, ValueError):
        return None


def _member_risky(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.flag_bits & 1:
        return True  # encrypted: cannot be looked into
    with archive.open(member) as inner:
        head = inner.read(HEAD)
    if _risky(member.filename, head):
        return True
    if head.startswith(_ZIP) and member.file_size <= HEAD:
        return _zip(BytesIO(head)) == "pickle"
    return False


def _model(head: bytes, size: int) -> str:
    text = head.lstrip()
    if head.startswith(b"tree\n") and b"\nversion=" in head[:200]:
        return "lightgbm"
    if text.startswith(b"{") and re.match(rb'\{\s*"learner"|.{0,4096}"learner"\s*:\s*\{', text, re.DOTALL):
        return "xgboost"
    if head.startswith(b"{L") and b"learner" in head[:64]:
        return "xgboost"
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    # ONNX ModelProto: field 1 (ir_version, varint), then one of its other fields
    if head[:1] == b"\x08" and head[1:2] and 1 <= head[1] <= 64 and head[2:3] and head[2] in _ONNX_TAGS:
        return "onnx"
    return "opaque"


_ONNX_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
