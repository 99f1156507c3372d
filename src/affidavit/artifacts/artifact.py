"""Artifacts: a file or folder streamed into the object store, its signed manifest, and the way back out.

The way back copies every file into a private folder while hashing it; nothing is used before the last
byte of the last file agreed. Measure side: reads files, writes objects, decides nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from affidavit.artifacts.formats import MODELS, sniff
from affidavit.core import canonical
from affidavit.core import digest as digests
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, Invalid, Tampered
from affidavit.core.fields import Attachment

MOST_FILES = 10_000
NOTE_TITLE = "affidavit.dev/artifact/v1"
MANIFEST_LIMIT = 16 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PART = re.compile(r"[^/\\:\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class ArtifactTampered(Tampered):
    """A stored byte of an artifact is not the registered one: expected and found digest say which."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(
            f"{name}: stored bytes hash to {found}, registered is {expected}. Nothing of it was used.",
            next_step="restore the object from a good copy, then load again; the incident stays open until then.",
        )
        self.expected, self.found = expected, found


@dataclass(frozen=True, slots=True)
class File:
    """One file of an artifact."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored artifact: its manifest digest is its name."""

    manifest: str
    format: str
    files: tuple[File, ...]
    signature: Attachment

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in self.files)


def store(desk: Desk, path: str, declared: str) -> Stored:
    """Stream a file or folder (or an uploaded object, by digest) into the store; sign its manifest.

    Raises ``Invalid`` for links, special files, names with control characters, more than 10,000 files,
    an empty artifact, or a declared format that the bytes contradict.
    """
    files, kinds = [], {}
    for name, source, size, expected in _sources(desk, path, declared):
        with source:
            kinds[name] = sniff(name, source, size)
            source.seek(0)
            digest, read = desk.put(source)
            if read != size:
                raise Invalid(f"{name} changed while it was read.", next_step="register it when nothing writes to it.")
            if expected not in (None, digest):
                raise ArtifactTampered(name, str(expected), digest)
            files.append(File(name, read, digest))
    if not files:
        raise Invalid(f"{path} holds no file.", next_step="give the file or folder of the model.")
    check_format(declared, kinds)
    body = manifest_bytes(declared, files)
    manifest = desk.attach(body, "application/json", "manifest").digest
    note = desk.sign(f"{NOTE_TITLE}\n{manifest}\n".encode())
    signature = desk.attach(note, "text/plain", "signature")
    return Stored(manifest, declared, tuple(files), signature)


def check_format(declared: str, kinds: dict[str, str]) -> None:
    """Raise ``Invalid`` unless the declared format is what the bytes are; a pickle anywhere makes it a pickle."""
    for risky in ("pickle", "joblib"):
        hidden = sorted(n for n, k in kinds.items() if k == risky)
        if hidden and declared not in ("pickle", "joblib"):
            raise Invalid(
                f"format: {declared} was declared, and {hidden[0]} is or holds a {risky}, which runs code when loaded.",
                next_step=f"save the model in another format, or declare {risky} and name the accepted risk.",
            )
    found = {k for k in kinds.values() if k in MODELS}
    if declared in ("pickle", "joblib"):
        found = {"pickle", "joblib"} & set(kinds.values())
        found = {"pickle", "joblib"} if found else found
    if declared == "opaque" and found:
        raise Invalid(
            f"format: opaque was declared, the bytes are {', '.join(sorted(found))}.", next_step="declare that."
        )
    if declared != "opaque" and declared not in found:
        told = ", ".join(sorted(found)) or "none that is known (opaque)"
        raise Invalid(f"format: {declared} was declared, the bytes are {told}.", next_step="declare what they are.")


def manifest_bytes(declared: str, files: list[File]) -> bytes:
    """The canonical manifest: files sorted by path. Its SHA-256 names the artifact. [bytes]"""
    rows = [{"path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in sorted(files, key=lambda f: f.path)]
    return canonical.encode({"v": 1, "format": declared, "files": rows})


# ---------------------------------------------------------------- the way in


def _sources(desk: Desk, path: str, declared: str) -> Iterator[tuple[str, BinaryIO, int, str | None]]:
    """(name, stream, size, expected digest) of every file."""
    if _DIGEST.fullmatch(path):
        yield from _uploaded(desk, path, declared)
        return
    root = cast("Any", desk).path(path) if hasattr(desk, "path") else Path(path)
    for name, file in _walk(root):
        source = _open(file, name)
        yield name, source, os.fstat(source.fileno()).st_size, None


def _uploaded(desk: Desk, digest: str, declared: str) -> Iterator[tuple[str, BinaryIO, int, str | None]]:
    """An uploaded object: a manifest that names other uploads, or the only file of the artifact."""
    with desk.open(digest) as source:
        body = source.read(MANIFEST_LIMIT)
    try:
        files = parse_manifest(body)[1] if body.startswith(b'{"files":') else None
    except Invalid:
        files = None
    if files is None:
        source = desk.open(digest)
        yield f"model.{declared}", source, _size(source), digest
        return
    for f in files:
        source = desk.open(f.sha256)
        yield f.path, source, _size(source), f.sha256


def _size(source: BinaryIO) -> int:
    source.seek(0, os.SEEK_END)
    size = source.tell()
    source.seek(0)
    return size


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """(relative name, path) of every file below ``root``, sorted; links and special files are refused."""
    kind = _kind(root, root.name)
    if stat.S_ISREG(kind):
        yield _named(root.name), root
        return
    count, pending, found = 0, [(root, "")], []
    while pending:
        folder, lead = pending.pop()
        for entry in _entries(folder):
            name = lead + entry
            _named(name)
            if stat.S_ISDIR(_kind(folder / entry, name)):
                pending.append((folder / entry, name + "/"))
                continue
            count += 1
            if count > MOST_FILES:
                raise Invalid(f"the artifact has more than {MOST_FILES} files.", next_step="pack them into one file.")
            found.append((name, folder / entry))
    yield from sorted(found)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError as e:
        raise Invalid(f"{folder} cannot be read: {e.strerror}.", next_step="check its permissions.") from None


def _kind(path: Path, name: str) -> int:
    """The mode of a file or folder; anything else is refused, links first."""
    try:
        mode = path.lstat().st_mode
    except OSError as e:
        raise Invalid(f"{name!r} cannot be read: {e.strerror}.", next_step="check the path.") from None
    if stat.S_ISLNK(mode):
        raise Invalid(
            f"{name!r} is a symbolic link.", next_step="put the file itself there: a link may point anywhere."
        )
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise Invalid(f"{name!r} is neither file nor folder.", next_step="remove it from the artifact.")
    return mode


def _named(name: str) -> str:
    if _CONTROL.search(name):
        raise Invalid(f"the file name {name!r} holds a control character.", next_step="rename the file.")
    if not _good_path(name):
        raise Invalid(f"the file name {name!r} is not portable.", next_step="use names without \\ and :.")
    return name


def _good_path(name: str) -> bool:
    parts = name.split("/")
    return len(name) <= 1024 and all(_PART.fullmatch(p) and p not in (".", "..") for p in parts)


def _open(path: Path, name: str) -> BinaryIO:
    """Open without following a link that took the file's place after it was looked at."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError as e:
        raise Invalid(f"{name!r} cannot be read: {e.strerror}.", next_step="check its permissions.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Invalid(f"{name!r} is no plain file.", next_step="remove it from the artifact.")
    return os.fdopen(handle, "rb")


# ---------------------------------------------------------------- the way out


def parse_manifest(body: bytes) -> tuple[str, tuple[File, ...]]:
    """(format, files) of a manifest. Raises ``Invalid`` for a path that leaves the artifact, or any other flaw."""
    value = canonical.decode(body)
    flaw = Invalid("that is no artifact manifest.", next_step="register the artifact again.")
    if not isinstance(value, dict) or set(value) != {"v", "format", "files"} or value["v"] != 1:
        raise flaw
    rows = value["files"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_FILES or not isinstance(value["format"], str):
        raise flaw
    files = []
    for row in rows:
        if not isinstance(row, dict) or set(row) != {"path", "bytes", "sha256"}:
            raise flaw
        path, size, digest = row["path"], row["bytes"], row["sha256"]
        if type(path) is not str or type(size) is not int or type(digest) is not str or not _DIGEST.fullmatch(digest):
            raise flaw
        if not _good_path(path):
            raise Invalid(f"the manifest names {path!r}, which leaves the artifact.", next_step="do not use it.")
        files.append(File(path, size, digest))
    paths = [f.path for f in files]
    folders = {p[:i] for p in paths for i, c in enumerate(p) if c == "/"}
    if paths != sorted(set(paths)) or folders & set(paths):
        raise flaw
    return value["format"], tuple(files)


def manifest_of(desk: Desk, digest: str) -> tuple[str, tuple[File, ...]]:
    """The verified manifest of an artifact. Raises ``ArtifactTampered``."""
    with desk.open(digest) as source:
        body = source.read(MANIFEST_LIMIT)
    found = digests.of_bytes(body)
    if found != digest:
        raise ArtifactTampered("manifest", digest, found)
    return parse_manifest(body)


def restore(desk: Desk, digest: str, into: Path) -> tuple[str, tuple[File, ...]]:
    """Copy an artifact into an empty private folder, verifying every file; nothing is left there if one differs.

    Raises ``ArtifactTampered`` with expected and found digest.
    """
    declared, files = manifest_of(desk, digest)
    made: list[Path] = []
    try:
        for f in files:
            target = into / f.path
            target.parent.mkdir(parents=True, exist_ok=True)
            made.append(target)
            _copy(desk, f, target)
    except (AffidavitError, OSError):
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return declared, files


def _copy(desk: Desk, f: File, target: Path) -> None:
    state = hashlib.sha256()
    with desk.open(f.sha256) as source, target.open("xb") as out:
        while chunk := source.read(digests.CHUNK):
            state.update(chunk)
            out.write(chunk)
    found = "sha256:" + state.hexdigest()
    if found != f.sha256:
        raise ArtifactTampered(f.path, f.sha256, found)
