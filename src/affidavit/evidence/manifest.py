"""The manifest of a package: what it is about, and every file in it by digest; signed by the log key. [bytes]

``manifest.json`` is canonical JSON. ``manifest.note`` is a signed note of four lines that names its digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from affidavit.core import canonical, codec
from affidavit.core.digest import of_bytes
from affidavit.core.errors import Invalid, Tampered
from affidavit.core.fields import Count, Digest, Positive, Token, VKey
from affidavit.ledger.fields import number, shown, text_lines
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.notes import SignsNotes, sign_note, verify_note
from affidavit.ledger.tiles import MAX_ENTRY_BYTES, WIDTH, parse_path

FORMAT = "affidavit.dev/package/v1"
FAMILY = "affidavit.dev/package/"
SIMULATED = "/simulated"
SELF_TEST = "management's self-test - not the auditor's test"
MANIFEST, NOTE, VKEY = "manifest.json", "manifest.note", "log.vkey"
CHECKPOINT = "log/checkpoint"
LATER_CHECKPOINT, LATER_PROOF = "later/checkpoint", "later/consistency"
JSON_LIMIT = 256 << 20
"""Largest JSON or CSV file that is read whole, bytes."""
NOTE_LIMIT = 1_000_000
LOG_LIMIT = WIDTH * (MAX_ENTRY_BYTES + 2)
"""Largest file of a log, bytes: a full bundle of the longest entries."""
LEVELS: dict[str, str] = {
    "self-consistent": "the key came with the package: it agrees with itself, nothing more",
    "pinned": "the log key was given by the reader or enrolled earlier",
    "anchored": "pinned, and a timestamp of an authority that the reader trusts covers the whole log of the package",
}

_CONTROL = r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}"
_FIXED = {
    "README.txt", "controls.json", "disclosures.json", "findings.json", "report.html", VKEY,
    MANIFEST, NOTE, LATER_CHECKPOINT, LATER_PROOF,
}  # fmt: skip
_NAMED = re.compile(
    rf"attachments/sha256/[0-9a-f]{{64}}|keys/[0-9]{{4}}\.note|(populations|samples)/{_CONTROL}\.(csv|json)"
    rf"|results/{_CONTROL}\.csv|timestamps/(0|[1-9][0-9]{{0,14}})\.tsr",
    re.ASCII,
)
_AGAIN = "ask for the package again; if it is the same, do not rely on it."


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package: its path in the zip, its size and the SHA-256 of its bytes."""

    path: Token
    bytes: Count
    sha256: Digest


@dataclass(frozen=True, slots=True)
class Withheld:
    """An attachment that entries name and the package leaves out, and why."""

    digest: Digest
    bytes: Count
    type: Token
    kind: Token
    entry: Count
    why: Literal["class", "size", "missing"]


@dataclass(frozen=True, slots=True)
class Span:
    """The period the findings are about: ``start <= at < end``."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Product:
    """What wrote the package."""

    name: Token
    version: Token


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole content of ``manifest.json`` beside its format line and the explanation of the levels."""

    origin: Token
    clock: Literal["system", "simulated"]
    as_of: Positive
    period: Span
    product: Product
    log_key: VKey
    controls: tuple[Token, ...]
    disclosed: tuple[Token, ...]
    files: tuple[File, ...]
    withheld: tuple[Withheld, ...]
    label: Literal["simulated"] | None = None


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of ``manifest.json``."""
    body = codec.dump_object(manifest) | {"format": FORMAT, "levels": LEVELS}
    return canonical.encode(body)


def parse_manifest(body: bytes) -> Manifest:
    """The manifest from its bytes.

    Raises ``UnknownVersion`` for another format version, ``Invalid`` for anything off form.
    """
    value: Any = canonical.decode(body)
    found = value.pop("format", None) if isinstance(value, dict) else None
    if isinstance(found, str) and found.startswith(FAMILY) and found != FORMAT:
        raise UnknownVersion(f"the package has format {shown(found)}; this release reads {FORMAT}.",
                             next_step="use a release that knows the format.")  # fmt: skip
    if found != FORMAT:
        raise Invalid(f"the format {shown(found)} is not {FORMAT}.", next_step="check that the file is a package.")
    if value.pop("levels", None) != LEVELS:
        raise Invalid("the levels are not described in the words of the format.", next_step=_AGAIN)
    manifest: Manifest = codec.load_object(Manifest, value, "manifest")
    return manifest


class UnknownVersion(Invalid):
    """The package is of a format version that this release does not know."""


def allowed(path: str) -> bool:
    """Whether the format has a file of this path; no other is ever read."""
    if path in _FIXED or path == CHECKPOINT or _NAMED.fullmatch(path):
        return True
    try:
        parse_path(path.removeprefix("log/"))
    except Invalid:
        return False
    return path.startswith("log/")


def order(paths: Sequence[str]) -> list[str]:
    """The order of members in the zip: sorted, the manifest and its note last."""
    return sorted(paths, key=lambda p: ((p == MANIFEST) + 2 * (p == NOTE), p))


def sign_manifest(manifest: Manifest, body: bytes, signer: SignsNotes) -> bytes:
    """``manifest.note``: format, origin, ledger size and digest of ``manifest.json``, one line each, signed."""
    return sign_note(_lines(manifest.origin, manifest.as_of, of_bytes(body)), signer)


def _lines(origin: str, as_of: int, digest: str) -> bytes:
    return f"{FORMAT}\n{origin}\n{as_of}\n{digest}\n".encode()


def open_note(data: bytes, key: VerifierKey) -> tuple[str, int, str]:
    """(origin, ledger size, digest of the manifest) of a note signed by ``key`` and by nobody else.

    Raises ``Invalid`` or ``Tampered``.
    """
    note = verify_note(data, [key])
    lines = text_lines(note.body, NOTE)
    if len(lines) != 4 or lines[0] != FORMAT:
        raise Invalid(f"{NOTE} is not a note of four lines that begins {FORMAT}.", next_step=_AGAIN)
    if data != note.body + b"\n" + note.verified[0].line.encode() + b"\n":
        raise Tampered(f"{NOTE} has further signature lines, which nothing vouches for.", next_step=_AGAIN)
    origin, digest = lines[1], lines[3]
    if key.name != origin:
        raise Tampered(f"{NOTE} is of log {shown(origin)}, the key of {shown(key.name)}.", next_step=_AGAIN)
    return origin, number(lines[2], "ledger size"), digest
