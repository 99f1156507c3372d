"""Tiles and objects as files: put-if-absent by hard link, computed paths only, durable on return."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from affidavit.core.digest import CHUNK
from affidavit.core.errors import Invalid, NotFound, StoreDown, Tampered
from affidavit.store.durable import (
    TEMP_PREFIX,
    FsyncFailed,
    TempFile,
    durable_write,
    from_os,
    make_folder,
    remove,
    sweep_temps,
    sync_folder,
    wrapping_os,
    write_once,
)
from affidavit.store.hooks import NO_HOOKS, Hooks

__all__ = ["FileObjectStore", "FileTileStore", "check_path", "chunks", "durable_write", "hex_of", "is_partial"]

CHECKPOINT = "checkpoint"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_OLD_TEMP_S = 3600.0


def check_path(path: str) -> str:
    """``path`` itself when it is relative and plain: parts of letters, digits and ``._+-`` joined by ``/``.

    Raises ``Invalid`` for absolute paths, drives, ``..``, hidden names, backslashes and empty parts.
    """
    if not all(_PART.fullmatch(part) and not part.endswith(".") for part in path.split("/")):
        raise Invalid(
            f"{path!r} is not a relative path of a log resource.", next_step="compute the path by tlog-tiles."
        )
    return path


def is_partial(path: str) -> bool:
    """Whether ``path`` names a partial tile or bundle (``…/000.p/5``)."""
    parts = path.split("/")
    return len(parts) > 1 and parts[-2].endswith(".p")


def hex_of(digest: str) -> str:
    """The 64 digits of ``sha256:<hex>``; raises ``Invalid`` for any other form."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise Invalid(
            f"{digest!r} is not sha256: and 64 hexadecimal digits.", next_step="give the digest of an object."
        )
    return match[1]


def _read(path: Path) -> bytes | None:
    """All bytes of a regular file, None if there is none; a symbolic link in its place is ``Tampered``."""
    if path.is_symlink():
        raise Tampered(f"{path.name} is a symbolic link.", next_step="restore the file and run `affidavit verify`.")
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as source:
            return source.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise from_os(error, path, "reading") from error


class _Files:
    """A folder below which files are created once; after a failed fsync it takes no more."""

    def __init__(self, root: Path, hooks: Hooks | None) -> None:
        self.root = Path(root)
        self.hooks = hooks or NO_HOOKS
        self._synced: set[Path] = set()
        self._fsync_failed = False

    @contextlib.contextmanager
    def _persisting(self) -> Iterator[None]:
        if self._fsync_failed:
            raise StoreDown(
                f"{self.root} takes nothing more: an fsync failed before.",
                next_step="check the disk, start the process again and run `affidavit verify`.",
            )
        try:
            yield
        except FsyncFailed:
            self._fsync_failed = True
            raise

    def _folder(self, folder: Path) -> None:
        """Make ``folder`` and everything above it, up to the root, durable: a dead process may have made it."""
        make_folder(folder)
        while folder not in self._synced:
            sync_folder(folder.parent)
            self._synced.add(folder)
            if folder == self.root:
                break
            folder = folder.parent

    def sweep(self, older_than_s: float = _OLD_TEMP_S) -> int:
        """Remove temp files of dead processes; the number removed. Younger ones may be in use and stay."""
        return sweep_temps(self.root, before=time.time() - older_than_s) if self.root.is_dir() else 0


class FileTileStore(_Files):
    """A tlog-tiles folder (``core.ports.TileStore``).

    Durable: bytes and name are on disk when ``put`` or ``publish`` returns. Immutable files are 0444 and
    appear whole or not at all. Retry: identical bytes are success, different bytes ``Tampered``.
    """

    def __init__(self, root: Path, *, hooks: Hooks | None = None) -> None:
        super().__init__(root, hooks)

    def put(self, path: str, body: bytes) -> None:
        """Store an immutable resource if absent.

        Raises ``Tampered`` if other bytes have the name, ``StoreDown``, ``Invalid`` for a path that is not
        computed or is ``checkpoint``.
        """
        target = self.root / check_path(path)
        if path == CHECKPOINT:
            raise Invalid("the checkpoint is not immutable.", next_step="use publish().")
        with self._persisting():
            self._folder(target.parent)
            if self._same(target, body, path):
                sync_folder(target.parent)  # the process that linked it may have died before its own sync
                return
            self.hooks.before("tile.put")
            if not write_once(target, body) and not self._same(target, body, path):
                raise StoreDown(f"{path} vanished while it was stored.", next_step="retry.")
            self.hooks.after("tile.put")

    def get(self, path: str) -> bytes:
        """The bytes. Raises ``NotFound``, ``StoreDown``, ``Tampered`` for a symbolic link, ``Invalid``."""
        body = _read(self.root / check_path(path))
        if body is None:
            raise NotFound(f"{path} is not in {self.root.name}.", next_step="publish the log up to that size first.")
        return body

    def delete(self, path: str) -> None:
        """Remove a partial tile or bundle that a full one replaced; absent is success.

        Raises ``Invalid`` for any other resource: full tiles and checkpoints are never deleted here.
        """
        target = self.root / check_path(path)
        if not is_partial(path):
            raise Invalid(f"{path} is not a partial tile.", next_step="delete partial tiles (…/NNN.p/W) only.")
        with wrapping_os(target, "deleting"):
            remove(target)
        with contextlib.suppress(OSError):  # not empty, or gone: both are fine
            target.parent.rmdir()

    def publish(self, checkpoint: bytes) -> None:
        """Atomically replace ``checkpoint``; durable on return. Raises ``StoreDown``: the old one stands."""
        with self._persisting():
            self._folder(self.root)
            self.hooks.before("tile.publish")
            durable_write(self.root / CHECKPOINT, checkpoint)
            self.hooks.after("tile.publish")

    def list(self, prefix: str) -> Iterator[str]:
        """Relative paths below the folder ``prefix`` (``""`` for all), sorted. Raises ``Invalid``."""
        prefix = prefix.rstrip("/")
        start = self.root / check_path(prefix) if prefix else self.root
        with wrapping_os(start, "listing"):
            found = [
                (Path(where) / name).relative_to(self.root).as_posix()
                for where, _, names in os.walk(start)
                for name in names
                if not name.startswith(TEMP_PREFIX)
            ]
        return iter(sorted(found))

    @staticmethod
    def _same(target: Path, body: bytes, path: str) -> bool:
        """Whether the file is there with these bytes; raises ``Tampered`` for other bytes."""
        found = _read(target)
        if found is not None and found != body:
            raise Tampered(
                f"{path} holds {len(found)} bytes that differ from the {len(body)} computed from the entries.",
                next_step="keep the file as evidence, stop the writer and run `affidavit verify`.",
            )
        return found is not None


class FileObjectStore(_Files):
    """Content-addressed files ``<root>/sha256/ab/cdef…`` (``core.ports.ObjectStore``); root is the ``objects`` folder.

    Durable on return of ``put``; a blob appears whole or not at all. Streams by 1 MiB: memory stays flat.
    """

    def __init__(self, root: Path, *, hooks: Hooks | None = None) -> None:
        super().__init__(root, hooks)
        self._blobs = self.root / "sha256"

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Store a stream from its present position: ``("sha256:<hex>", bytes)``; an empty one has a name too.

        Present already is success if the stored bytes still are those of the name, else ``Tampered``.
        Raises ``StoreDown`` when source or disk fails, ``Invalid`` when the source is not a binary stream.
        """
        with self._persisting():
            self._folder(self._blobs)
            with TempFile(self._blobs, 0o444) as temp:
                state, length = hashlib.sha256(), 0
                for chunk in chunks(source):
                    state.update(chunk)
                    temp.write(chunk)
                    length += len(chunk)
                name = state.hexdigest()
                self._place(temp, name)
        return f"sha256:{name}", length

    def adopt(self, file: Path) -> tuple[str, int] | None:
        """Store a file that its owner has fsynced and will only remove, by a hard link; None where that cannot be done."""
        with file.open("rb") as source:
            name = hashlib.file_digest(source, "sha256").hexdigest()
            length, target = source.tell(), self._path(name)
        with self._persisting():
            self._folder(target.parent)
            try:
                file.chmod(0o444)
                os.link(file, target)
            except OSError:
                return None
            sync_folder(target.parent)
        return f"sha256:{name}", length

    def open(self, digest: str) -> BinaryIO:
        """A stream of the stored bytes, unverified: read it through ``core.digest.verified_chunks``.

        Raises ``NotFound``, ``StoreDown``, ``Tampered`` for a symbolic link, ``Invalid`` for a malformed digest.
        """
        path = self._path(hex_of(digest))
        if path.is_symlink():
            raise Tampered(f"{digest} is a symbolic link.", next_step="restore the object and run `affidavit verify`.")
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"{digest} is not stored.", next_step="upload the object, or restore it.") from error
        except OSError as error:
            raise from_os(error, path, "opening") from error

    def has(self, digest: str) -> bool:
        """Whether a blob of this name exists. Raises ``Invalid`` for a malformed digest."""
        return self._path(hex_of(digest)).is_file()

    def delete(self, digest: str) -> None:
        """Destroy a blob; absent is success. Durable on return: name gone, then content cut to nothing.

        The second step reaches copies under the temp name that a killed ``put`` may have left.
        """
        path = self._path(hex_of(digest))
        with self._persisting(), wrapping_os(path, "deleting"):
            if not path.exists():
                return
            path.chmod(0o600)
            with path.open("r+b") as blob:
                if os.name == "posix":
                    path.unlink()
                    sync_folder(path.parent)
                blob.truncate(0)
                os.fsync(blob.fileno())
            remove(path)

    def list(self) -> Iterator[str]:
        """Every stored digest, sorted; nothing stored gives nothing. Foreign files are not listed."""
        for first in sorted(self._blobs.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(first.iterdir()):
                if _DIGEST.fullmatch(f"sha256:{first.name}{path.name}"):
                    yield f"sha256:{first.name}{path.name}"

    def _path(self, name: str) -> Path:
        return self._blobs / name[:2] / name[2:]

    def _place(self, temp: TempFile, name: str) -> None:
        target = self._path(name)
        if target.exists():
            self._verify(target, name)
            sync_folder(target.parent)
            return
        self.hooks.before("object.put")
        temp.sync()
        self._folder(target.parent)
        if not temp.link(target):
            self._verify(target, name)
        sync_folder(target.parent)
        self.hooks.after("object.put")

    @staticmethod
    def _verify(target: Path, name: str) -> None:
        with wrapping_os(target, "reading"), target.open("rb") as stored:
            found = hashlib.file_digest(stored, "sha256").hexdigest()
        if found != name:
            raise Tampered(
                f"the stored object sha256:{name} now hashes to {found}.",
                next_step="keep the file as evidence, restore the object and run `affidavit verify`.",
            )


def chunks(source: BinaryIO) -> Iterator[bytes]:
    """Chunks of at most 1 MiB; a failing source is ``StoreDown``, one of text or closed ``Invalid``."""
    while True:
        try:
            chunk = source.read(CHUNK)
        except OSError as error:
            raise StoreDown(f"the source cannot be read ({error}).", next_step="check the file, then retry.") from error
        except ValueError as error:
            raise Invalid(f"the source cannot be read ({error}).", next_step="give an open binary stream.") from error
        if not isinstance(chunk, bytes):
            raise Invalid(f"the source gives {type(chunk).__name__}.", next_step="give an open binary stream.")
        if not chunk:
            return
        yield chunk
