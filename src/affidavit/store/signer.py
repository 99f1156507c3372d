"""Signing keys in files: a 32-byte Ed25519 seed, readable by its owner alone (``core.ports.Signer``)."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from affidavit.core.errors import Invalid, NotFound, StoreDown, Tampered
from affidavit.ledger.keys import Ed25519Signer
from affidavit.store.durable import make_folder, wrapping_os, write_once

SEED_BYTES = 32
_HEADER = "affidavit-ed25519-seed-v1"


def create_key(path: Path) -> bytes:
    """Draw a seed and store it in a new file (0600, in a folder 0700 if that is new); the 32 bytes are returned.

    Durable on return. An existing file is never overwritten: ``Invalid``. Raises ``StoreDown``.
    """
    path = Path(path)
    seed = secrets.token_bytes(SEED_BYTES)
    make_folder(path.parent, 0o700)
    if not write_once(path, f"{_HEADER} {base64.b64encode(seed).decode()}\n".encode(), mode=0o600):
        raise Invalid(f"the key file {path} exists.", next_step="use it, or choose another name; it is never replaced.")
    return seed


def load_key(path: Path) -> bytes:
    """The 32-byte seed of a key file.

    Raises ``NotFound``, ``StoreDown`` if others than its owner may read it (POSIX) or it cannot be read,
    ``Tampered`` if it is not a key file or a symbolic link. No message holds a byte of the key.
    """
    path = Path(path)
    if path.is_symlink():
        raise _not_a_key(path)
    with wrapping_os(path, "reading the key file"):
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError as error:
            raise NotFound(f"there is no key file {path}.", next_step="create the key, or restore keys/.") from error
        with os.fdopen(fd, "rb") as source:
            mode = os.fstat(fd).st_mode
            body = source.read(4096)
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StoreDown(
            f"the key file {path} may be read by others (mode {stat.S_IMODE(mode):04o}).",
            next_step="chmod 600 it; rotate the key if others had access.",
        )
    return _seed(path, body)


def _seed(path: Path, body: bytes) -> bytes:
    try:
        header, text = body.decode("ascii").split()
        seed = base64.b64decode(text, validate=True)
    except (UnicodeDecodeError, ValueError, binascii.Error):
        raise _not_a_key(path) from None
    if header != _HEADER or len(seed) != SEED_BYTES:
        raise _not_a_key(path)
    return seed


def _not_a_key(path: Path) -> Tampered:
    return Tampered(f"{path} is not a key file.", next_step="restore keys/ from a backup.")


class FileSigner:
    """Signs note bodies with the seed of a key file under key name ``name``.

    The file is read once. Raises as ``load_key``.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._signer = Ed25519Signer(name, load_key(path))
        self.vkey: str = self._signer.vkey

    def sign(self, body: bytes) -> bytes:
        """The complete signature line (U+2014, name, base64) with its newline."""
        return self._signer.sign(body)


class LostSigner:
    """Stands in for a key whose file is gone: its public half is known, signing is ``StoreDown``."""

    lost = True

    def __init__(self, vkey: str) -> None:
        self.vkey = vkey

    def sign(self, body: bytes) -> bytes:  # noqa: ARG002
        """Raises ``StoreDown``."""
        raise StoreDown("the log key is lost.", next_step="`affidavit log recover-key` with the recovery key.")
