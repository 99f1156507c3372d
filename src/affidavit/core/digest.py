"""SHA-256 digests in the form ``sha256:<hex>``, computed while streaming."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from affidavit.core.errors import Tampered

CHUNK = 1 << 20


def of_bytes(body: bytes) -> str:
    """The digest of ``body``; the empty string has one too."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def verified_chunks(source: BinaryIO, digest: str, name: str) -> Iterator[bytes]:
    """Chunks of ``source``; raises ``Tampered`` after the last one if they are not the bytes of ``digest``.

    Use nothing of a chunk (but write it to a private place) before the iterator ends.
    """
    state = hashlib.sha256()
    while chunk := source.read(CHUNK):
        state.update(chunk)
        yield chunk
    found = "sha256:" + state.hexdigest()
    if found != digest:
        raise Tampered(
            f"{name}: stored bytes hash to {found}, recorded is {digest}.",
            next_step="serve nothing of it; restore the object from a good copy and run `affidavit verify`.",
        )


def read_verified(source: BinaryIO, digest: str, name: str) -> bytes:
    """All bytes of ``source``, or ``Tampered``."""
    return b"".join(verified_chunks(source, digest, name))
