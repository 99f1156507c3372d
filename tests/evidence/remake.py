"""Take a package apart and put it together again, as somebody with or without a key would."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from affidavit.core import canonical
from affidavit.core.digest import of_bytes
from affidavit.evidence import manifest as m
from affidavit.evidence.archive import ZipWriter, open_archive
from affidavit.ledger.keys import Ed25519Signer

Files = dict[str, bytes]


def files_of(package: bytes) -> Files:
    archive = open_archive(io.BytesIO(package))
    return {name: archive.read(name, 1 << 30) for name in archive.order}


def zip_of(files: Files) -> bytes:
    """A zip in canonical form of these files, in this order."""
    out = io.BytesIO()
    writer = ZipWriter(out)
    for name, body in files.items():
        writer.add(name, body)
    writer.close()
    return out.getvalue()


def remade(package: bytes, edit: Callable[[Files], Any], signer: Ed25519Signer | None = None, **fields: Any) -> bytes:
    """The package after an edit; with a signer its manifest is brought up to date and signed again.

    ``fields`` replace fields of the manifest.
    """
    files = files_of(package)
    edit(files)
    if signer is not None:
        value = canonical.decode(files.pop(m.MANIFEST))
        files.pop(m.NOTE)
        value |= fields
        value["log_key"] = signer.vkey
        files[m.VKEY] = (signer.vkey + "\n").encode()
        files = {n: files[n] for n in m.order(list(files))}
        value["files"] = [{"path": n, "bytes": len(b), "sha256": of_bytes(b)} for n, b in files.items()]
        body = canonical.encode(value)
        files[m.MANIFEST] = body
        line = f"{m.FORMAT}\n{value['origin']}\n{value['as_of']}\n{of_bytes(body)}\n".encode()
        files[m.NOTE] = line + b"\n" + signer.sign(line)
    return zip_of(files)


def swap(files: Files, name: str, old: bytes, new: bytes) -> None:
    """Replace the one occurrence of ``old`` in a file."""
    assert files[name].count(old) >= 1, (name, old)
    files[name] = files[name].replace(old, new, 1)
